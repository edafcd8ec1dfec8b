//! A line without time of its own, on which meters say what a test has written down.

use std::collections::VecDeque;

use super::super::*;

/// A line on which meters say what the test has written down, at 2400 baud if nothing is said.
pub(super) struct Line {
    pub(super) session: Session,
    /// Of the wire: every time below is counted in its bits.
    baud: u32,
    pub(super) now: Duration,
    /// For each frame sent: what comes after it, and how many bit times after its end.
    pub(super) script: VecDeque<Vec<(u32, Vec<u8>)>>,
    /// Bytes under way.
    pub(super) coming: Vec<(Duration, u8)>,
    /// When each frame was sent, in bit times, and what it was.
    pub(super) sent: Vec<(u128, String)>,
    pub(super) telegrams: Vec<Vec<u8>>,
    /// For each telegram: whoever opens it finds that another follows.
    pub(super) opened: VecDeque<bool>,
    pub(super) bauds: Vec<Baud>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::with(Settings { slack: Duration::ZERO, ..Settings::new(2400) })
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self {
            session: Session::new(settings),
            baud: settings.baud,
            now: Duration::from_secs(1000),
            script: VecDeque::new(),
            coming: Vec::new(),
            sent: Vec::new(),
            telegrams: Vec::new(),
            opened: VecDeque::new(),
            bauds: Vec::new(),
        }
    }

    /// After the next frame this comes, so many bit times after its end.
    pub(super) fn then(&mut self, answers: &[(u32, &[u8])]) -> &mut Self {
        let answers = answers.iter().map(|(bits, bytes)| (*bits, bytes.to_vec())).collect();
        self.script.push_back(answers);
        self
    }

    /// After the next frame this comes, 50 bit times after its end.
    pub(super) fn answers(&mut self, answer: &[u8]) -> &mut Self {
        self.then(&[(50, answer)])
    }

    pub(super) fn silence(&mut self) -> &mut Self {
        self.then(&[])
    }

    pub(super) fn run(&mut self, task: &Task<'_>) -> Result<Summary, Failure> {
        self.session.start(task, None, self.now).unwrap();
        for _ in 0..10_000 {
            match self.session.poll(self.now) {
                Action::Send(frame) => {
                    let wire = Settings::new(self.baud);
                    let end = self.now + wire.characters(frame.len());
                    self.sent.push((in_bits_at(self.baud, self.now), hex(frame)));
                    for (bits, bytes) in self.script.pop_front().unwrap_or_default() {
                        // A byte is there when its last bit is.
                        let first = end + Duration::from_secs(1) * bits / self.baud;
                        let at = |count| first + wire.characters(count);
                        self.coming
                            .extend(bytes.iter().zip(1..).map(|(byte, count)| (at(count), *byte)));
                    }
                    self.coming.sort_by_key(|(at, _)| *at);
                }
                Action::Wait(until) => match self.coming.first().copied() {
                    Some((at, byte)) if at <= until => {
                        self.coming.remove(0);
                        self.now = self.now.max(at);
                        self.session.received(&[byte], self.now);
                    }
                    _ => self.now = until,
                },
                Action::Telegram(frame) => {
                    self.telegrams.push(frame.to_vec());
                    if self.opened.pop_front().is_some_and(|more_follow| more_follow) {
                        self.session.announce_more();
                    }
                }
                Action::SetBaud(baud) => self.bauds.push(baud),
                Action::Done(result) => return result,
                Action::Idle => panic!("idle in a task"),
            }
        }
        panic!("the session runs in a circle");
    }

    pub(super) fn read(&mut self, address: u8) -> Result<Summary, Failure> {
        let meter = Target::Primary(Primary(address));
        self.run(&Task::Read { meter, reset: Reset::WhenNeeded, prelude: None })
    }

    #[track_caller]
    pub(super) fn has_sent(&self, expected: &[&str]) {
        let frames: Vec<&str> = self.sent.iter().map(|(_, frame)| frame.as_str()).collect();
        assert_eq!(frames, expected);
    }

    /// From the end of one frame sent to the beginning of the next, in bit times.
    pub(super) fn pauses(&self) -> Vec<u128> {
        let end = |(at, frame): &(u128, String)| at + frame.len() as u128 / 2 * 11;
        self.sent.windows(2).map(|pair| pair[1].0 - end(&pair[0])).collect()
    }
}

pub(super) fn bit_times(count: u32) -> Duration {
    Duration::from_secs(1) * count / 2400
}

pub(super) fn in_bits(at: Duration) -> u128 {
    in_bits_at(2400, at)
}

pub(super) fn in_bits_at(baud: u32, at: Duration) -> u128 {
    (at.as_nanos() * u128::from(baud) + 500_000_000) / 1_000_000_000
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}
