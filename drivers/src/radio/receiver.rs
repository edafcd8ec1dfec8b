//! A port with a receiver at it.
//!
//! ```text
//! open ──▶ set up, step by step ──▶ frames ──▶ Event::Frame
//!   ▲          │ no answer            │ nothing for a minute: it is asked whether it is there
//!   └──────────┴──────────────────────┘ no answer: Event::Down, once; reset, and set up anew
//! ```
//!
//! A receiver that has lost its power, or has hung itself up, hears nothing and does not say so: in
//! a basement where no meter is heard either, only asking it tells.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::codec::{Codec, Reply, Said, Step};
use super::{RadioMode, ReceiverKind};
use crate::error::ReadError;
use crate::port::{Parity, Port, PortFault, PortSettings};

/// What happened at the receiver.
#[derive(Clone, Debug)]
pub enum Event {
    /// It heard a frame.
    Frame(Frame),
    /// Something came that is no frame, or one that is broken.
    Noise,
    /// It cannot be used. Told once, until it can.
    Down(ReadError),
    /// It can be used again.
    Up,
}

/// A frame of a meter, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From its length byte on, with its checksums or without them.
    pub bytes: Vec<u8>,
    /// How strong it was, in dBm, as far as the receiver tells.
    pub rssi_dbm: Option<i16>,
}

/// A receiver. It keeps the events of one read, which is of at most 512 bytes, and no more.
#[derive(Debug)]
pub struct Receiver {
    port: Port,
    codec: Codec,
    mode: RadioMode,
    events: VecDeque<Event>,
    /// What it has to be told; the first is under way if `asked` is there.
    steps: VecDeque<Step>,
    asked: Option<Instant>,
    /// How often the first was told.
    tries: u32,
    /// When something came last.
    last: Instant,
    is_down: bool,
    /// Whether it did not answer before its port was opened anew.
    is_mute: bool,
    patience: ReceiverPatience,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiverPatience {
    /// For an answer, before it is asked again.
    pub(super) reply: Duration,
    /// Longer than it pauses within a frame.
    pub(super) within: Duration,
    /// Without anything, before it is asked whether it is there.
    pub(super) quiet: Duration,
    /// The same of one that cannot be asked, before its connection is made anew.
    pub(super) unasked: Duration,
    /// Between two tries to open the port.
    pub(super) reopen: Duration,
}

impl Default for ReceiverPatience {
    fn default() -> Self {
        Self {
            // One that is reset takes half a second to be there again.
            reply: Duration::from_secs(1),
            within: Duration::from_millis(500),
            quiet: Duration::from_mins(1),
            unasked: Duration::from_mins(10),
            // The port backs off by itself: it answers from memory in between.
            reopen: Duration::from_millis(500),
        }
    }
}

impl Receiver {
    /// One that is set up when it is first listened to. `baud` is for who has changed it.
    pub fn new(port: PortSettings, kind: ReceiverKind, mode: RadioMode, baud: Option<u32>) -> Self {
        Self::patient(port, kind, mode, baud, ReceiverPatience::default())
    }

    pub(super) fn patient(
        port: PortSettings,
        kind: ReceiverKind,
        mode: RadioMode,
        baud: Option<u32>,
        patience: ReceiverPatience,
    ) -> Self {
        Self {
            port: Port::new(port, baud.unwrap_or(kind.baud()), Parity::None),
            codec: Codec::new(kind),
            mode,
            events: VecDeque::new(),
            steps: VecDeque::new(),
            asked: None,
            tries: 0,
            last: Instant::now(),
            is_down: false,
            is_mute: false,
            patience,
        }
    }

    /// Waits for what happens next.
    ///
    /// # Cancellation
    ///
    /// Safe: no byte that came is lost when the future is dropped, and what was being told to the
    /// receiver is told again.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Err(cause) = self.turn().await {
                self.asked = None;
                self.down(cause).await;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), PortFault> {
        if self.port.open().await? {
            self.codec.clear();
            self.steps = self.codec.setup(self.mode).into();
            if std::mem::take(&mut self.is_mute)
                && let Some(reset) = self.codec.reset()
            {
                self.steps.push_front(reset);
            }
            (self.asked, self.tries, self.last) = (None, 0, Instant::now());
        }
        self.say().await?;
        let mut buffer = [0; 512];
        match time::timeout_at(self.wake(), self.port.read(&mut buffer)).await {
            Ok(count) => {
                self.last = Instant::now();
                let count = count?;
                self.heard(|codec, each| codec.push(buffer.get(..count).unwrap_or_default(), each));
            }
            Err(_elapsed) => self.nothing_came(),
        }
        Ok(())
    }

    /// Tells it the next step, or the same again.
    async fn say(&mut self) -> Result<(), PortFault> {
        while let Some(step) = self.steps.front() {
            if self.asked.is_some_and(|asked| asked.elapsed() < self.patience.reply) {
                return Ok(());
            }
            if self.tries == MOST_TRIES {
                self.port.close();
                self.is_mute = true;
                return Err(PortFault::Mute(self.patience.reply * MOST_TRIES));
            }
            self.port.write(&step.send).await?;
            self.asked = Some(Instant::now());
            self.tries += 1;
            if step.reply.is_some() {
                return Ok(());
            }
            self.done();
        }
        self.is_up();
        Ok(())
    }

    /// The step is done.
    fn done(&mut self) {
        self.steps.pop_front();
        (self.asked, self.tries) = (None, 0);
    }

    /// When something is due although nothing comes.
    fn wake(&self) -> Instant {
        if !self.events.is_empty() {
            return Instant::now();
        }
        let asked = self.asked.map(|asked| asked + self.patience.reply);
        let within = self.codec.is_waiting().then(|| self.last + self.patience.within);
        let quiet = self.last + self.quiet();
        [asked, within].into_iter().flatten().fold(quiet, Instant::min)
    }

    fn quiet(&self) -> Duration {
        if self.codec.probe().is_some() { self.patience.quiet } else { self.patience.unasked }
    }

    fn nothing_came(&mut self) {
        let now = Instant::now();
        if self.codec.is_waiting() && now >= self.last + self.patience.within {
            self.heard(|codec, each| codec.silence(each));
        }
        if self.steps.is_empty() && now >= self.last + self.quiet() {
            self.last = now;
            match self.codec.probe() {
                Some(probe) => self.steps.push_back(probe),
                // Only a new connection can tell whether the other end is gone.
                None if self.port.may_be_half_open() => self.port.close(),
                None => {}
            }
        }
    }

    fn heard(&mut self, give: impl FnOnce(&mut Codec, &mut dyn FnMut(Said))) {
        let mut heard = Vec::new();
        give(&mut self.codec, &mut |said| heard.push(said));
        for said in heard {
            match said {
                Said::Frame(frame) => self.events.push_back(Event::Frame(frame)),
                Said::Reply(reply) => self.replied(&reply),
                // Many bytes of noise are one noise.
                Said::Noise if matches!(self.events.back(), Some(Event::Noise)) => {}
                Said::Noise => self.events.push_back(Event::Noise),
            }
        }
    }

    fn replied(&mut self, reply: &Reply) {
        let expected = self.steps.front().and_then(|step| step.reply);
        if self.asked.is_none() || expected != Some(reply.kind) {
            return;
        }
        self.done();
        for step in self.codec.further(reply).into_iter().rev() {
            self.steps.push_front(step);
        }
        self.is_up();
    }

    /// It is, once there is nothing left that it has to be told.
    fn is_up(&mut self) {
        if self.steps.is_empty() && std::mem::take(&mut self.is_down) {
            self.events.push_back(Event::Up);
        }
    }

    async fn down(&mut self, cause: PortFault) {
        if std::mem::replace(&mut self.is_down, true) {
            time::sleep(self.patience.reopen).await;
        } else {
            let port = self.port.settings().clone();
            self.events.push_back(Event::Down(ReadError::Port { port, cause }));
        }
    }
}

/// One that is being reset does not hear the first.
const MOST_TRIES: u32 = 3;
