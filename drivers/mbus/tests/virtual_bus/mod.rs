//! A bus in virtual time: a wire, simulated meters and the session, and no I/O.
//!
//! Every character takes its 11 bit times, every meter its own time before it answers; nothing
//! else takes any. What a task takes here is what it takes on a wire with nothing in between, to
//! the nanosecond, on every machine.
//!
//! Where two meters say a character at the same moment a 0 wins each bit, as a meter says 0 by
//! drawing current; where they only overlap the receiver reads rubbish.

#![expect(
    clippy::panic,
    reason = "a simulation that cannot go on fails the test or the bench that runs it"
)]

use std::time::Duration;

use mbus::{
    Action, Control, Failure, Found, Frame, Header, Id, Manufacturer, Medium, Patience, Prelude,
    Primary, PrimaryScan, Request, Reset, ScanAction, Search, SearchAction, Secondary, Selection,
    Session, Settings, Status, Summary, Target, Task, ci, write_frame,
};

/// What is peculiar about a meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Nothing.
    #[default]
    None,
    /// Says the next telegram to each request, whatever the FCB.
    IgnoresFcb,
    /// Announces more telegrams and says the first one for ever.
    RepeatsForEver,
    /// Announces one more telegram with each, for ever.
    Endless,
    /// Acknowledges, and never sends a telegram.
    Mute,
    /// Says its second telegram alone, unless an application reset came before.
    WantsApplicationReset,
    /// Acknowledges a new speed and keeps the old one.
    KeepsItsSpeed,
    /// Takes the new speed without an acknowledge that is heard.
    SwitchesSilently,
    /// Acknowledges a new address and keeps the old one.
    KeepsItsAddress,
}

/// A meter that does what the standard says, but for its [`Quirk`].
#[derive(Clone, Debug)]
pub(crate) struct Slave {
    pub(crate) address: Secondary,
    pub(crate) primary: u8,
    pub(crate) fabrication: Option<u32>,
    /// How long after a request it begins to answer.
    pub(crate) reaction: Duration,
    /// Of each of its answers, in bytes, at least 27.
    pub(crate) len: usize,
    /// How many it has.
    pub(crate) telegrams: usize,
    pub(crate) baud: u32,
    pub(crate) quirk: Quirk,
    /// What it was told with CI 50 and 51.
    pub(crate) told: Vec<Vec<u8>>,
    selected: bool,
    by_address: Dialogue,
    by_selection: Dialogue,
    was_reset: bool,
    asked: u32,
    /// While it thinks and talks it hears nothing.
    busy_until: Duration,
}

#[derive(Clone, Debug, Default)]
struct Dialogue {
    fcb: Option<bool>,
    next: usize,
    last: Vec<u8>,
}

impl Slave {
    pub(crate) fn new(id: u32, primary: u8) -> Self {
        let address = Secondary {
            id: Id(id),
            manufacturer: Manufacturer(0x2C2D),
            version: 0x35,
            medium: Medium::new(4),
        };
        Self {
            address,
            primary,
            fabrication: None,
            reaction: bits(2400, 50),
            len: 100,
            telegrams: 1,
            baud: 2400,
            quirk: Quirk::None,
            told: Vec::new(),
            selected: false,
            by_address: Dialogue::default(),
            by_selection: Dialogue::default(),
            was_reset: false,
            asked: 0,
            busy_until: Duration::ZERO,
        }
    }

    fn hears(&mut self, request: &Request<'_>) -> Option<Vec<u8>> {
        let ack = || Some(vec![0xE5]);
        let mine = |to: Primary| match to {
            Primary::SELECTED => self.selected,
            Primary::ALL_ANSWER => true,
            to => to == Primary(self.primary),
        };
        match *request {
            Request::Select(selection) => {
                self.by_selection = Dialogue::default();
                self.selected = selection.matches(&self.address, self.fabrication);
                self.selected.then(ack)?
            }
            Request::Reset(to) if mine(to) => {
                if to == Primary::SELECTED {
                    self.selected = false;
                    self.by_selection = Dialogue::default();
                } else {
                    self.by_address = Dialogue::default();
                }
                ack()
            }
            Request::Data { to, fcb } if mine(to) && self.quirk != Quirk::Mute => {
                Some(self.tell(to == Primary::SELECTED, fcb))
            }
            Request::Alarm { to, .. } if mine(to) => ack(),
            Request::SetBaud { to, baud } if mine(to) => {
                if self.quirk != Quirk::KeepsItsSpeed {
                    self.baud = baud.bits_per_second();
                }
                (self.quirk != Quirk::SwitchesSilently).then(ack)?
            }
            Request::Send { to, ci, data, fcb } if mine(to) => {
                self.told.push([&[ci], data].concat());
                if ci == ci::APPLICATION_RESET {
                    self.was_reset = true;
                    self.by_address.next = 0;
                    self.by_selection.next = 0;
                }
                if let (ci::DATA, &[0x01, 0x7A, new]) = (ci, data)
                    && self.quirk != Quirk::KeepsItsAddress
                {
                    self.primary = new;
                }
                let by_selection = to == Primary::SELECTED;
                let dialogue =
                    if by_selection { &mut self.by_selection } else { &mut self.by_address };
                dialogue.fcb = Some(fcb);
                dialogue.last = vec![0xE5];
                ack()
            }
            _ => None,
        }
    }

    fn tell(&mut self, by_selection: bool, fcb: bool) -> Vec<u8> {
        self.asked += 1;
        let (len, quirk, asked, primary) = (self.len, self.quirk, self.asked, self.primary);
        let telegrams = self.telegrams;
        let address = self.address;
        let number = self.fabrication.unwrap_or(address.id.0);
        let was_reset = std::mem::take(&mut self.was_reset);
        let dialogue = if by_selection { &mut self.by_selection } else { &mut self.by_address };
        if dialogue.fcb == Some(fcb) && quirk != Quirk::IgnoresFcb && !dialogue.last.is_empty() {
            return dialogue.last.clone();
        }
        dialogue.fcb = Some(fcb);
        let telegram = match quirk {
            Quirk::RepeatsForEver => 0,
            Quirk::WantsApplicationReset if dialogue.next == 0 && !was_reset => 1,
            _ => dialogue.next % telegrams,
        };
        dialogue.next = telegram + 1;
        let more = match quirk {
            Quirk::RepeatsForEver | Quirk::Endless => true,
            _ => telegram + 1 < telegrams,
        };
        let value = match quirk {
            Quirk::RepeatsForEver => 0,
            _ => asked,
        };
        let mut buffer = [0; Frame::MAX_LEN];
        let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(primary), ci::RECORDS, |w| {
            Header::long(address, 1, Status::OK).write(w)?;
            // Something that only this meter says, and what it says only now.
            w.bytes(&[0x04, 0x78])?;
            w.bytes(&number.to_le_bytes())?;
            w.bytes(&[0x04, 0x13])?;
            let [telegram, ..] = telegram.to_le_bytes();
            w.bytes(&(value << 8 | u32::from(telegram)).to_le_bytes())?;
            for _ in 0..len.saturating_sub(9 + 12 + 12 + usize::from(more)) {
                w.byte(0x2F)?;
            }
            if more { w.byte(0x1F) } else { Ok(()) }
        });
        dialogue.last = frame.expect("it fits").to_vec();
        dialogue.last.clone()
    }
}

/// What is between the wire and the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing: a byte is seen when its last bit is there.
    #[default]
    Direct,
    /// A USB adapter that hands over what it has once in so long.
    Chunks(Duration),
    /// A converter that waits for the end of a frame, and a network that takes so long.
    Packets(Duration),
}

/// A wire with meters, and a master.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) slaves: Vec<Slave>,
    pub(crate) session: Session,
    pub(crate) now: Duration,
    /// The speed of the master's port.
    pub(crate) baud: u32,
    pub(crate) way: Way,
    /// What is sent comes back.
    pub(crate) echo: bool,
    /// The converter hangs up after so many bytes from now.
    pub(crate) hangs_up_after: Option<usize>,
    /// Every n-th byte that comes is another one.
    pub(crate) noise_every: Option<usize>,
    /// Frames that were sent.
    pub(crate) sent: Vec<Vec<u8>>,
    /// Telegrams that the session gave away.
    pub(crate) telegrams: Vec<Vec<u8>>,
    coming: Vec<(Duration, u8)>,
    came: usize,
}

/// The converter hung up in the middle of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HungUp;

impl Bus {
    pub(crate) fn new(settings: Settings, slaves: Vec<Slave>) -> Self {
        Self {
            slaves,
            session: Session::new(settings),
            now: Duration::from_secs(5),
            baud: settings.baud,
            way: Way::Direct,
            echo: false,
            hangs_up_after: None,
            noise_every: None,
            sent: Vec::new(),
            telegrams: Vec::new(),
            coming: Vec::new(),
            came: 0,
        }
    }

    pub(crate) fn since(&self, begun: Duration) -> Duration {
        self.now.saturating_sub(begun)
    }

    fn bits(&self, count: usize) -> Duration {
        bits(self.baud, count)
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.sent.push(frame.to_vec());
        let begun = self.now;
        let end = begun + self.bits(11 * frame.len());
        let baud = self.baud;
        let read = Frame::read(frame).expect("a master sends whole frames");
        let request = Request::read(&read).expect("a master sends requests");
        let mut voices: Vec<(Duration, u8)> = Vec::new();
        for slave in &mut self.slaves {
            if slave.baud != baud {
                continue;
            }
            if end < slave.busy_until {
                continue;
            }
            let Some(answer) = slave.hears(&request) else { continue };
            let first = end + slave.reaction;
            slave.busy_until = first + bits(baud, 11 * answer.len());
            let said = answer.iter().zip(0..);
            voices.extend(said.map(|(byte, at)| (first + bits(baud, 11 * at), *byte)));
        }
        voices.sort_by_key(|(at, _)| *at);
        let (character, bit) = (self.bits(11), self.bits(1));
        let mut wire: Vec<(Duration, u8)> = Vec::new();
        for (at, byte) in voices {
            match wire.last_mut() {
                Some((other_at, other)) if at < *other_at + bit / 2 => *other &= byte,
                Some((other_at, other)) if at < *other_at + character => *other &= byte & 0x5A,
                _ => wire.push((at, byte)),
            }
        }
        let seen_at = |at: Duration| at + character;
        let mut seen: Vec<(Duration, u8)> =
            wire.iter().map(|(at, byte)| (seen_at(*at), *byte)).collect();
        if self.echo {
            let sent = frame.iter().zip(1..);
            seen.extend(sent.map(|(byte, count)| (begun + self.bits(11 * count), *byte)));
        }
        match self.way {
            Way::Direct => {}
            Way::Chunks(every) => {
                for (at, _) in &mut seen {
                    let chunk = at.as_nanos().div_ceil(every.as_nanos());
                    *at = every * u32::try_from(chunk).expect("a short test");
                }
            }
            Way::Packets(latency) => {
                let last = seen.iter().map(|(at, _)| *at).max().unwrap_or_default();
                for (at, _) in &mut seen {
                    *at = last + latency;
                }
            }
        }
        for (_, byte) in &mut seen {
            self.came += 1;
            if self.noise_every.is_some_and(|every| self.came.is_multiple_of(every)) {
                *byte ^= 0x10;
            }
        }
        self.coming.extend(seen);
        self.coming.sort_by_key(|(at, _)| *at);
    }

    /// Hands in what comes before `until`; tells whether the converter is still there.
    pub(crate) fn wait(&mut self, until: Duration) -> Result<(), HungUp> {
        match self.coming.first().copied() {
            Some((at, _)) if at <= until => {
                let count = self.coming.iter().take_while(|(other, _)| *other == at).count();
                let bytes: Vec<u8> = self.coming.drain(..count).map(|(_, byte)| byte).collect();
                self.now = self.now.max(at);
                self.session.received(&bytes, self.now);
                if let Some(left) = &mut self.hangs_up_after {
                    *left = left.saturating_sub(bytes.len());
                    if *left == 0 {
                        self.hangs_up_after = None;
                        self.coming.clear();
                        return Err(HungUp);
                    }
                }
            }
            _ => self.now = until,
        }
        Ok(())
    }

    /// Does a task to its end, unless the converter hangs up.
    pub(crate) fn try_run(
        &mut self,
        task: &Task<'_>,
        patience: Option<Patience>,
    ) -> Result<Result<Summary, Failure>, HungUp> {
        self.session.start(task, patience, self.now).expect("it fits");
        for _ in 0..1_000_000 {
            match self.session.poll(self.now) {
                Action::Send(frame) => {
                    let frame = frame.to_vec();
                    self.send(&frame);
                }
                Action::Wait(until) => self.wait(until)?,
                Action::Telegram(frame) => self.telegrams.push(frame.to_vec()),
                Action::SetBaud(baud) => self.baud = baud.bits_per_second(),
                Action::Done(result) => return Ok(result),
                Action::Idle => panic!("idle in a task"),
            }
        }
        panic!("the session runs in a circle");
    }

    pub(crate) fn run(&mut self, task: &Task<'_>) -> Result<Summary, Failure> {
        self.try_run(task, None).expect("nobody hangs up")
    }

    pub(crate) fn read(&mut self, meter: Target, reset: Reset) -> Result<Summary, Failure> {
        self.run(&Task::Read { meter, reset, prelude: None })
    }

    pub(crate) fn read_after(
        &mut self,
        meter: Target,
        prelude: Prelude<'_>,
    ) -> Result<Summary, Failure> {
        let reset = Reset::WhenNeeded;
        self.run(&Task::Read { meter, reset, prelude: Some(prelude) })
    }

    /// Runs the search to its end.
    pub(crate) fn search(&mut self, search: &mut Search<'_>) -> (Vec<Found>, Vec<Selection>) {
        let (mut found, mut unresolved) = (Vec::new(), Vec::new());
        for _ in 0..3_000_000 {
            match search.poll(&mut self.session, self.now) {
                SearchAction::Send(frame) => {
                    let frame = frame.to_vec();
                    self.send(&frame);
                }
                SearchAction::Wait(until) => self.wait(until).expect("nobody hangs up"),
                SearchAction::Found(meter) => found.push(meter),
                SearchAction::Unresolved(selection) => unresolved.push(selection),
                SearchAction::Pause => {}
                SearchAction::Failed(failure) => panic!("{failure}"),
                SearchAction::Done => return (found, unresolved),
            }
        }
        panic!("the search runs in a circle");
    }

    /// Runs the scan to its end: who is there, and where there are several.
    pub(crate) fn scan(&mut self, scan: &mut PrimaryScan) -> (Vec<u8>, Vec<u8>) {
        let (mut found, mut several) = (Vec::new(), Vec::new());
        for _ in 0..1_000_000 {
            match scan.poll(&mut self.session, self.now) {
                ScanAction::Send(frame) => {
                    let frame = frame.to_vec();
                    self.send(&frame);
                }
                ScanAction::Wait(until) => self.wait(until).expect("nobody hangs up"),
                ScanAction::Found(Primary(address)) => found.push(address),
                ScanAction::Several(Primary(address)) => several.push(address),
                ScanAction::Failed(failure) => panic!("{failure}"),
                ScanAction::Done => return (found, several),
            }
        }
        panic!("the scan runs in a circle");
    }
}

/// `count` bit times at `baud`.
pub(crate) fn bits(baud: u32, count: usize) -> Duration {
    Duration::from_secs(1) * u32::try_from(count).expect("a short time") / baud
}
