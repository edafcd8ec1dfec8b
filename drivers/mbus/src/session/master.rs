//! The state machine: from what comes and what time it is to what is to be done.

use core::time::Duration;

use super::exchange::{Command, Described, Exchange, Verdict};
use super::fcb::FcbMemory;
use super::inbox::{Inbox, Received};
use super::{Action, Failure, Reason, Reset, Settings, Step, Summary, Target, Task};
use crate::{
    Baud, DecodeError, Flaw, Frame, Full, Long, Part, Primary, Request, Selection, Writer,
};

/// The master of one bus.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    fcb: FcbMemory,
    /// The last selection that was acknowledged.
    selected: Option<Selection>,
    outbox: Outbox,
    /// The frame of a [`Task::Send`], until it is its turn.
    letter: Outbox,
    inbox: Inbox,
    exchange: Exchange,
    phase: Phase,
    /// Nothing may be sent before.
    quiet_until: Duration,
    /// Bytes came that nobody had asked for.
    dirty: bool,
    /// The last task ended in silence: its answer may still come.
    unanswered: bool,
}

/// The frame that is being said.
#[derive(Debug)]
struct Outbox {
    bytes: [u8; Frame::MAX_LEN],
    len: usize,
}

impl Outbox {
    const EMPTY: Self = Self { bytes: [0; Frame::MAX_LEN], len: 0 };

    fn frame(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, request: &Request<'_>) -> Result<(), Full> {
        let mut w = Writer::new(&mut self.bytes);
        request.write(&mut w)?;
        self.len = w.len();
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Idle,
    /// Listening until the line may be used.
    Quiet {
        noise_since: Option<Duration>,
    },
    /// A frame has been sent.
    Waiting {
        until: Duration,
    },
    /// There is a telegram in the inbox.
    Deliver,
    SwitchBaud(Baud),
    /// All is said; the line is left alone for a moment.
    Settle {
        until: Duration,
        result: Result<Summary, Failure>,
    },
}

impl Session {
    /// A bus of which nothing is known.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            fcb: FcbMemory::new(),
            selected: None,
            outbox: Outbox::EMPTY,
            letter: Outbox::EMPTY,
            inbox: Inbox::new(),
            exchange: Exchange::NONE,
            phase: Phase::Idle,
            quiet_until: Duration::ZERO,
            dirty: false,
            unanswered: false,
        }
    }

    /// The settings, with the speed of the last [`Action::SetBaud`].
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the line echoes what is sent.
    pub const fn echoes(&self) -> bool {
        self.inbox.echoes()
    }

    /// The frame of the last [`Action::Send`].
    pub(crate) fn last_sent(&self) -> &[u8] {
        self.outbox.frame()
    }

    /// The frame of the last [`Action::Telegram`], until the next one is sent.
    pub(crate) fn last_received(&self) -> &[u8] {
        self.inbox.frame()
    }

    /// Begins `task`; a task that is under way is given up, and what its meter still says is
    /// thrown away.
    ///
    /// `answer_within` is this meter's own time, where it is known to be a slow or a quick one.
    ///
    /// # Errors
    ///
    /// [`Full`] if the data of a [`Task::Send`] has more than 252 bytes.
    pub fn start(
        &mut self,
        task: &Task<'_>,
        answer_within: Option<Duration>,
        now: Duration,
    ) -> Result<(), Full> {
        self.give_up(now);
        let answer_within = answer_within.unwrap_or(self.settings.answer_within());
        let mut exchange = Exchange { answer_within, ..Exchange::NONE };
        let mut address = |target| match target {
            Target::Primary(primary) => exchange.to = primary,
            Target::Secondary(selection) => {
                exchange.to = Primary::SELECTED;
                exchange.selection = Some(selection);
            }
        };
        let mut reset = Reset::Never;
        exchange.command = match *task {
            Task::Ping { to, sends } => {
                address(Target::Primary(to));
                Command::Ping { sends }
            }
            Task::Read { meter, reset: wanted } => {
                address(meter);
                reset = wanted;
                Command::Read
            }
            Task::Identify => {
                address(Target::Primary(Primary::SELECTED));
                Command::Identify
            }
            Task::Alarm(to) => {
                address(Target::Primary(to));
                reset = Reset::WhenNeeded;
                Command::Alarm
            }
            Task::Probe { selection, sends } => {
                address(Target::Secondary(selection));
                Command::Probe { sends }
            }
            Task::Send { meter, ci, data } => {
                address(meter);
                reset = Reset::WhenNeeded;
                self.letter.put(&Request::Send { to: exchange.to, fcb: true, ci, data })?;
                Command::Send
            }
            Task::SetBaud { meter, baud } => {
                address(Target::Primary(meter));
                Command::SetBaud(baud)
            }
        };
        exchange.reset = exchange.selection.is_none()
            && exchange.to != Primary::ALL_SILENT
            && match reset {
                Reset::Always => true,
                Reset::WhenNeeded => !self.fcb.is_known(exchange.to),
                Reset::Never => false,
            };
        exchange.step = exchange.first_step(self.selected);
        self.exchange = exchange;
        if self.dirty {
            self.keep_quiet_until(now + self.settings.idle_after_error());
        }
        if self.unanswered && exchange.wants_telegram() {
            // No acknowledge will separate a late answer of this meter from the one asked for.
            self.keep_quiet_until(now + answer_within);
        }
        self.phase = Phase::Quiet { noise_since: None };
        Ok(())
    }

    /// Takes `bytes`, which have come in since the last call.
    pub fn received(&mut self, bytes: &[u8], now: Duration) {
        for byte in bytes {
            match self.phase {
                Phase::Waiting { .. } => self.received_in_answer(*byte, now),
                Phase::Settle { result: Ok(_), .. } if self.exchange.may_be_answered_by_two() => {
                    // A second meter has acknowledged.
                    let flaw = Flaw::Trailing(*byte);
                    self.failed(Reason::Garbled(DecodeError { at: 1, flaw }), now);
                }
                _ => {
                    if let Phase::Quiet { noise_since } = &mut self.phase {
                        noise_since.get_or_insert(now);
                    }
                    self.dirty = true;
                    self.keep_quiet_until(now + self.settings.idle_after_error());
                }
            }
        }
        if !bytes.is_empty() && matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Waiting { until: self.answer_until(now) };
        }
    }

    /// How long the answer is waited for, bytes having been seen at `now`.
    fn answer_until(&self, now: Duration) -> Duration {
        let Exchange { sent_at, answer_within, foreign, .. } = self.exchange;
        let beginning = sent_at + answer_within;
        let going_on = now + self.settings.longest_gap();
        let until = if self.inbox.answer_has_begun() {
            going_on
        } else if foreign {
            beginning.max(going_on)
        } else {
            beginning
        };
        until.min(beginning + self.settings.longest_answer())
    }

    /// What is to be done at `now`.
    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        loop {
            match self.phase {
                Phase::Idle => return Action::Idle,
                Phase::Quiet { noise_since } if now < self.quiet_until => {
                    let noise = noise_since.map(|since| now.saturating_sub(since));
                    if noise.is_none_or(|noise| noise <= self.settings.longest_noise()) {
                        return Action::Wait(self.quiet_until);
                    }
                    self.end(Err(self.failure(Reason::NeverSilent)), now);
                }
                Phase::Quiet { .. } => {
                    self.compose();
                    self.say(now);
                    return Action::Send(self.outbox.frame());
                }
                Phase::Deliver => {
                    self.phase = self.after_telegram(now);
                    return Action::Telegram(self.inbox.frame());
                }
                Phase::SwitchBaud(baud) => {
                    self.settings.baud = baud.bits_per_second();
                    self.end(Ok(self.exchange.summary), now);
                    return Action::SetBaud(baud);
                }
                Phase::Waiting { until } | Phase::Settle { until, .. } if now < until => {
                    return Action::Wait(until);
                }
                Phase::Waiting { .. } => self.nothing_more_comes(now),
                Phase::Settle { result, .. } => {
                    self.phase = Phase::Idle;
                    return Action::Done(result);
                }
            }
        }
    }

    /// Makes the frame of the present step.
    fn compose(&mut self) {
        let Exchange { command, selection, to, step, .. } = self.exchange;
        let fcb = self.fcb.next(to);
        let request = match (step, command, selection) {
            (Step::Deselect, ..) => Request::Reset(Primary::SELECTED),
            (Step::Select, _, Some(selection)) | (_, Command::Probe { .. }, Some(selection)) => {
                Request::Select(selection)
            }
            (Step::Reset, ..) | (_, Command::Ping { .. } | Command::Probe { .. }, _) => {
                Request::Reset(to)
            }
            (_, Command::Read | Command::Identify, _) => Request::Data { to, fcb },
            (_, Command::Alarm, _) => Request::Alarm { to, fcb },
            (_, Command::SetBaud(baud), _) => Request::SetBaud { to, baud },
            (_, Command::Send, _) => match Frame::read(self.letter.frame()) {
                Ok(Frame::Long(Long { ci, data, .. })) => Request::Send { to, fcb, ci, data },
                // The letter is a frame of our own.
                _ => return,
            },
        };
        // Only the data of a `Send` can be too long, and `start` has seen to that.
        let _ = self.outbox.put(&request);
    }

    fn say(&mut self, now: Duration) {
        let exchange = &mut self.exchange;
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.summary.sends = exchange.summary.sends.saturating_add(1);
        exchange.foreign = false;
        exchange.sent_at = now + self.settings.characters(self.outbox.len);
        self.inbox.clear();
        self.dirty = false;
        self.unanswered = false;
        if exchange.to == Primary::ALL_SILENT {
            self.fcb = FcbMemory::new();
            self.selected = None;
            self.end(Ok(self.exchange.summary), self.exchange.sent_at);
        } else {
            self.phase = Phase::Waiting { until: exchange.sent_at + exchange.answer_within };
        }
    }

    fn received_in_answer(&mut self, byte: u8, now: Duration) {
        let had_begun = self.inbox.answer_has_begun();
        let received = self.inbox.push(byte, self.outbox.frame());
        if !had_begun && self.inbox.answer_has_begun() {
            let taken = now.saturating_sub(self.exchange.sent_at);
            let slowest = &mut self.exchange.summary.slowest_answer;
            *slowest = taken.max(*slowest);
        }
        match received {
            Received::Nothing => {}
            Received::Garbage(error) => self.failed(Reason::Garbled(error), now),
            Received::Frame => match Frame::read(self.inbox.frame()) {
                Ok(frame) => match self.exchange.judge(&frame) {
                    Verdict::Ack => self.acknowledged(now),
                    Verdict::Telegram(telegram) => self.telegram(telegram, now),
                    Verdict::Foreign if self.exchange.is_probe() => {
                        let error = DecodeError { at: 0, flaw: Flaw::Start(byte) };
                        self.failed(Reason::Garbled(error), now);
                    }
                    Verdict::Foreign => self.thrown_away(),
                },
                Err(error) => self.failed(Reason::Garbled(error), now),
            },
        }
    }

    /// A frame that was not asked for: the answer may still come.
    const fn thrown_away(&mut self) {
        self.inbox.clear_frame();
        self.exchange.foreign = true;
        self.exchange.summary.foreign = self.exchange.summary.foreign.saturating_add(1);
    }

    fn acknowledged(&mut self, now: Duration) {
        let Exchange { command, selection, to, step, .. } = self.exchange;
        match step {
            Step::Deselect => self.selected = None,
            Step::Select => {
                self.selected = selection;
                self.fcb.reset(Primary::SELECTED);
            }
            Step::Reset => self.fcb.reset(to),
            Step::Command => match command {
                Command::Probe { .. } => {
                    self.selected = selection;
                    self.fcb.reset(Primary::SELECTED);
                }
                Command::Ping { .. } => self.fcb.reset(to),
                Command::Alarm | Command::Send => self.fcb.answered(to),
                Command::Read | Command::Identify | Command::SetBaud(_) => {}
            },
        }
        if step == Step::Command {
            match command {
                Command::SetBaud(baud) => self.phase = Phase::SwitchBaud(baud),
                _ => self.end(Ok(self.exchange.summary), now),
            }
        } else {
            self.next_step(now);
        }
    }

    fn telegram(&mut self, telegram: Described, now: Duration) {
        let exchange = &mut self.exchange;
        self.fcb.answered(exchange.to);
        let seen = exchange.fingerprints.get(..exchange.summary.telegrams.into());
        if seen.is_some_and(|seen| seen.contains(&telegram.fingerprint)) {
            exchange.summary.repeated = true;
            exchange.summary.more_follow = false;
            self.fcb.forget(exchange.to);
            self.end(Ok(self.exchange.summary), now);
            return;
        }
        if let Some(place) = exchange.fingerprints.get_mut(usize::from(exchange.summary.telegrams))
        {
            *place = telegram.fingerprint;
        }
        exchange.summary.telegrams = exchange.summary.telegrams.saturating_add(1);
        exchange.summary.more_follow = telegram.more_follow;
        self.phase = Phase::Deliver;
    }

    /// Asks for the next telegram if there is one.
    fn after_telegram(&mut self, now: Duration) -> Phase {
        let Exchange { summary, to, command, .. } = self.exchange;
        let go_on = command == Command::Read
            && summary.more_follow
            && summary.telegrams < self.settings.max_telegrams.min(Settings::MOST_TELEGRAMS);
        if go_on {
            self.next_step(now);
        } else {
            if summary.telegrams > 1 || summary.more_follow {
                // Where such a meter goes on without a reset is anybody's guess.
                self.fcb.forget(to);
            }
            self.end(Ok(summary), now);
        }
        self.phase
    }

    fn next_step(&mut self, now: Duration) {
        self.exchange.step = match self.exchange.step {
            Step::Deselect => Step::Select,
            _ => Step::Command,
        };
        self.settle(now);
        self.exchange.attempts = 0;
        self.exchange.unanswered = false;
        self.phase = Phase::Quiet { noise_since: None };
    }

    fn nothing_more_comes(&mut self, now: Duration) {
        if self.inbox.is_empty() {
            self.exchange.unanswered = true;
            let foreign = self.exchange.foreign;
            self.failed(if foreign { Reason::Foreign } else { Reason::Silent }, now);
        } else {
            let flaw = Flaw::Truncated(Part::Frame);
            self.failed(Reason::Garbled(DecodeError { at: self.inbox.len(), flaw }), now);
        }
    }

    fn failed(&mut self, reason: Reason, now: Duration) {
        if reason != Reason::Silent {
            // A line that was silent until now has been left alone for long enough.
            self.keep_quiet_until(now + self.settings.idle_after_error());
        }
        let exchange = &self.exchange;
        let again = match (exchange.step, exchange.command, reason) {
            (Step::Deselect, ..) => {
                // Nobody was selected any more.
                self.selected = None;
                self.next_step(now);
                return;
            }
            (_, Command::Probe { .. } | Command::Identify, Reason::Garbled(_)) => false,
            (_, Command::Probe { sends } | Command::Ping { sends }, _) => exchange.attempts < sends,
            _ => exchange.attempts < self.settings.sends,
        };
        if again {
            self.phase = Phase::Quiet { noise_since: None };
        } else {
            self.unanswered = exchange.unanswered && !exchange.is_probe();
            self.fcb.forget(exchange.to);
            self.end(Err(self.failure(reason)), now);
        }
    }

    const fn failure(&self, reason: Reason) -> Failure {
        let Exchange { step, summary, .. } = self.exchange;
        Failure { step, reason, sends: summary.sends, telegrams: summary.telegrams }
    }

    fn end(&mut self, result: Result<Summary, Failure>, now: Duration) {
        let until = match result {
            // Where two meters acknowledge, the second may be seen later than the first.
            Ok(_) if self.exchange.may_be_answered_by_two() => {
                now + self.settings.idle_after_answer() + self.settings.slack
            }
            _ => now,
        };
        self.settle(now);
        self.phase = Phase::Settle { until, result };
    }

    /// Leaves the line alone as long as it must be after an answer.
    fn settle(&mut self, now: Duration) {
        self.keep_quiet_until(now + self.settings.idle_after_answer());
        if self.exchange.unanswered {
            // The meter was asked more than once, and may answer more than once.
            self.keep_quiet_until(self.exchange.sent_at + self.exchange.answer_within);
        }
    }

    fn give_up(&mut self, now: Duration) {
        let outstanding = match self.phase {
            Phase::Waiting { .. } => self.exchange.sent_at + self.exchange.answer_within,
            Phase::Idle | Phase::Settle { .. } => return,
            _ => now,
        };
        self.fcb.forget(self.exchange.to);
        self.dirty = true;
        self.keep_quiet_until(outstanding);
        self.phase = Phase::Idle;
    }

    fn keep_quiet_until(&mut self, until: Duration) {
        self.quiet_until = self.quiet_until.max(until);
    }
}
