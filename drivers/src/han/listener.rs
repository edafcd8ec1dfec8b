//! A port on which a meter pushes, and a gateway that only listens.
//!
//! ```text
//! open ──▶ octets ──▶ messages ──▶ Event::Telegram
//!   ▲        │ none for 30 s         Event::Silent, once
//!   │        │ no message for 22 s: the line's next setting, on a serial line
//!   └────────┘ fault: Event::Down, once, and again with the port's back-off
//! ```
//!
//! **Never true:** an octet is sent.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::{Flaw, Framer, Heard, Rules, Telegram, decode};
use crate::error::ReadError;
use crate::port::{Parity, Port, PortSettings};

/// How a serial line is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits a second.
    pub baud: u32,
    /// Its parity bit.
    pub parity: Parity,
}

impl Line {
    /// The settings that there are, the most frequent first: Kaifa and Aidon, Kamstrup, P1.
    pub const USUAL: [Self; 3] = [
        Self { baud: 2_400, parity: Parity::Even },
        Self { baud: 2_400, parity: Parity::None },
        Self { baud: 115_200, parity: Parity::None },
    ];
}

/// What happened at the port.
#[derive(Clone, Debug)]
pub enum Event {
    /// The meter said something.
    Telegram {
        /// What.
        telegram: Box<Telegram>,
        /// As it came.
        message: Vec<u8>,
    },
    /// A whole message came that cannot be read.
    Unread {
        /// Why.
        flaw: Flaw,
        /// As it came.
        message: Vec<u8>,
    },
    /// Octets came that are no message.
    Noise {
        /// As they came.
        bytes: Vec<u8>,
        /// Why the first begins none.
        why: Flaw,
    },
    /// Nothing has come for so long. Told once, until something comes.
    Silent(Duration),
    /// The line is set so from now on; told for a serial line alone.
    Trying(Line),
    /// The port cannot be used. Told once, until it can.
    Down(ReadError),
    /// It can be used again.
    Up,
}

/// An ear at a customer port.
///
/// It keeps the events of one read, which is of at most 512 octets, and no more.
#[derive(Debug)]
pub struct Listener {
    port: Port,
    rules: Rules,
    framer: Framer,
    events: VecDeque<Event>,
    /// What is tried in turn; the first is set now.
    lines: VecDeque<Line>,
    /// Since when the line is set so, or since the last message.
    settled: Instant,
    /// When something came last.
    last: Instant,
    /// The same, or when that was last looked into.
    quiet_since: Instant,
    is_silent: bool,
    is_down: bool,
    patience: Patience,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longer than a meter pauses within a message, and shorter than between two.
    pub within: Duration,
    /// For a first message before the line is set otherwise, or after the last one before it is
    /// looked for anew.
    pub line: Duration,
    /// Until a port on which nothing comes is told to be silent.
    pub silent: Duration,
    /// Between two tries to open the port.
    pub reopen: Duration,
}

impl Default for Patience {
    /// As the meters are: the slowest push every ten seconds.
    fn default() -> Self {
        Self {
            within: Duration::from_millis(800),
            // Two pushes and what is cut off of a third.
            line: Duration::from_secs(22),
            silent: Duration::from_secs(30),
            // The port backs off by itself: it answers from memory in between.
            reopen: Duration::from_millis(500),
        }
    }
}

impl Listener {
    /// One that opens its port when it first listens. `line` is for who knows it: without, what is
    /// usual is tried in turn.
    pub fn new(port: PortSettings, line: Option<Line>, rules: Rules, patience: Patience) -> Self {
        let lines: VecDeque<Line> = line.map_or_else(|| Line::USUAL.into(), |line| [line].into());
        let first = lines.front().copied().unwrap_or(Line::USUAL[0]);
        let now = Instant::now();
        Self {
            port: Port::new(port, first.baud, first.parity),
            rules,
            framer: Framer::new(),
            events: VecDeque::new(),
            lines,
            settled: now,
            last: now,
            quiet_since: now,
            is_silent: false,
            is_down: false,
            patience,
        }
    }

    /// What a message does not say by itself.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Reads the messages to come by `rules`.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Waits for what happens next.
    ///
    /// # Cancellation
    ///
    /// Safe: no octet is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some(event) = self.opened().await {
                return event;
            }
            self.listen().await;
        }
    }

    /// Makes sure that the port is open; what has to be told of it.
    async fn opened(&mut self) -> Option<Event> {
        match self.port.open().await {
            Ok(opened) => {
                if opened {
                    self.settled = Instant::now();
                }
                std::mem::take(&mut self.is_down).then(|| {
                    (self.last, self.quiet_since) = (self.settled, self.settled);
                    self.is_silent = false;
                    Event::Up
                })
            }
            Err(_) if self.is_down => {
                time::sleep(self.patience.reopen).await;
                None
            }
            Err(cause) => {
                self.is_down = true;
                let port = self.port.settings().clone();
                Some(Event::Down(ReadError::Port { port, cause }))
            }
        }
    }

    async fn listen(&mut self) {
        if self.is_down {
            return;
        }
        let mut buffer = [0; 512];
        match time::timeout_at(self.wake(), self.port.read(&mut buffer)).await {
            Ok(Ok(count)) => {
                self.last = Instant::now();
                self.quiet_since = self.last;
                self.is_silent = false;
                let heard = buffer.get(..count).unwrap_or_default();
                self.heard(|framer, each| framer.push(heard, each));
            }
            Ok(Err(cause)) => {
                self.heard(|framer, each| framer.silence(each));
                self.is_down = true;
                let port = self.port.settings().clone();
                self.events.push_back(Event::Down(ReadError::Port { port, cause }));
            }
            Err(_elapsed) => self.nothing_came(),
        }
    }

    /// When something is due although nothing comes.
    fn wake(&self) -> Instant {
        let within = self.framer.is_waiting().then(|| self.last + self.patience.within);
        let line = self.has_lines().then(|| self.settled + self.patience.line);
        let silent = self.quiet_since + self.patience.silent;
        [within, line].into_iter().flatten().fold(silent, Instant::min)
    }

    fn nothing_came(&mut self) {
        let now = Instant::now();
        if self.framer.is_waiting() && now >= self.last + self.patience.within {
            self.heard(|framer, each| framer.silence(each));
        }
        if now >= self.quiet_since + self.patience.silent {
            self.quiet_since = now;
            if !std::mem::replace(&mut self.is_silent, true) {
                self.events.push_back(Event::Silent(now - self.last));
            }
            if self.port.may_be_half_open() {
                // The other end may be gone without a word: only a new connection can tell.
                self.port.close();
            }
        }
        if self.has_lines() && now >= self.settled + self.patience.line {
            self.try_next();
        }
    }

    /// Whether the line can be set otherwise. That of a converter's is set at the converter.
    fn has_lines(&self) -> bool {
        self.lines.len() > 1 && !self.port.settings().is_network()
    }

    fn try_next(&mut self) {
        self.lines.rotate_left(1);
        self.settled = Instant::now();
        let Some(line) = self.lines.front().copied() else { return };
        self.port = Port::new(self.port.settings().clone(), line.baud, line.parity);
        self.framer = Framer::new();
        self.events.push_back(Event::Trying(line));
    }

    fn heard(&mut self, give: impl FnOnce(&mut Framer, &mut dyn FnMut(Heard<'_>))) {
        let Self { framer, events, rules, settled, .. } = self;
        let mut noisy = false;
        give(framer, &mut |heard| match heard {
            Heard::Message(message) => {
                *settled = Instant::now();
                let message = message.to_vec();
                events.push_back(match decode(&message, rules) {
                    Ok(telegram) => Event::Telegram { telegram: Box::new(telegram), message },
                    Err(flaw) => Event::Unread { flaw, message },
                });
            }
            Heard::Noise { bytes, why } => {
                noisy = true;
                events.push_back(Event::Noise { bytes: bytes.to_vec(), why });
            }
        });
        // A line that is set wrongly may never fall silent.
        if noisy && self.has_lines() && Instant::now() >= self.settled + self.patience.line {
            self.try_next();
        }
    }
}
