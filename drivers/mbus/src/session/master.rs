//! The state machine: from what comes and what time it is to what is to be done.

mod hearing;

use core::time::Duration;

use super::exchange::{Command, Exchange};
use super::fcb::FcbMemory;
use super::inbox::Inbox;
use super::lag::Lag;
use super::traffic::{Traffic, count};
use super::{
    Action, Failure, Patience, Reason, Reset, Responses, Settings, Step, Summary, Target, Task,
};
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
    /// The frame of a [`Task::Send`] or of a prelude, until it is its turn.
    letter: Outbox,
    inbox: Inbox,
    exchange: Exchange,
    phase: Phase,
    lag: Lag,
    traffic: Traffic,
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
    /// It has been given away; whoever took it may find that another follows.
    Delivered,
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
            lag: Lag::NONE,
            traffic: Traffic::NONE,
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

    /// How long a meter may take to begin its answer if nothing is known of it: what the standard
    /// says and what the transport has been seen to add, unless the settings tell another time.
    pub fn answer_within(&self) -> Duration {
        let Settings { answer_within, .. } = self.settings;
        answer_within.unwrap_or(self.settings.slowest_answer() + self.slack())
    }

    /// How long a meter of which `known` is known is waited for in a readout: never less than the
    /// standard says and the transport was guessed to add, unless the settings tell another time.
    /// That the transport has shown to add less hastens scans alone, which ask where nobody is: what
    /// is read again and again only ever costs more by a repetition that was too soon.
    pub fn patience(&self, known: &Responses) -> Patience {
        known.patience(self.answer_within().max(self.settings.answer_within()))
    }

    /// What the task that is under way, or ended last, saw of the wire.
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How much later than on the wire a byte may be seen, as far as it is known.
    fn slack(&self) -> Duration {
        self.lag.slack(&self.settings)
    }

    /// The frame of the last [`Action::Send`].
    pub(crate) fn last_sent(&self) -> &[u8] {
        self.outbox.frame()
    }

    /// The frame of the last [`Action::Telegram`], until the next one is sent.
    pub fn last_telegram(&self) -> &[u8] {
        self.inbox.frame()
    }

    /// Begins `task`; a task that is under way is given up, and what its meter still says is
    /// thrown away.
    ///
    /// `patience` is how long this meter is waited for ([`Self::patience`]), where something is
    /// known of it; otherwise [`Self::answer_within`].
    ///
    /// # Errors
    ///
    /// [`Full`] if the data of a [`Task::Send`] has more than 252 bytes.
    pub fn start(
        &mut self,
        task: &Task<'_>,
        patience: Option<Patience>,
        now: Duration,
    ) -> Result<(), Full> {
        self.give_up(now);
        self.traffic = Traffic::NONE;
        let patience = patience.unwrap_or(Patience::fixed(self.answer_within()));
        let Exchange { sent_at, .. } = self.exchange;
        let mut exchange = Exchange { patience, sent_at, ..Exchange::NONE };
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
            Task::Read { meter, reset: wanted, prelude } => {
                address(meter);
                reset = wanted;
                if let Some(prelude) = prelude {
                    let mut subcode = [0];
                    let (ci, data) = prelude.letter(&mut subcode);
                    self.letter.put(&Request::Send { to: exchange.to, fcb: true, ci, data })?;
                    exchange.prelude = true;
                }
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
        if exchange.command == Command::Identify {
            let most = sent_at + self.exchange.taken + self.settings.second_acknowledge();
            self.keep_quiet_until(most.min(self.all_have_begun_by()));
        }
        if self.unanswered && exchange.wants_telegram() {
            // No acknowledge will separate a late answer of this meter from the one asked for.
            self.keep_quiet_until(now + patience.at_last);
        }
        self.phase = Phase::Quiet { noise_since: None };
        Ok(())
    }

    /// The connection to the line was lost and is there again, or another port was opened for it:
    /// the task under way is given up, and nothing is believed of what the meters were told. What
    /// has been learned of the line's times stays.
    pub fn reconnected(&mut self, now: Duration) {
        self.give_up(now);
        self.fcb = FcbMemory::new();
        self.selected = None;
        self.unanswered = false;
    }

    /// How many telegrams a meter is asked for from the next readout on; 0 is one.
    pub const fn set_max_telegrams(&mut self, most: u8) {
        self.settings.max_telegrams = most;
    }

    /// Talks at another speed from now on. The port is the caller's to switch.
    pub const fn set_baud(&mut self, baud: Baud) {
        self.settings.baud = baud.bits_per_second();
    }

    /// By when the first byte of an answer is seen, if there is one.
    fn answer_begins_by(&self) -> Duration {
        let exchange = &self.exchange;
        // A byte is seen when all of it has come.
        exchange.sent_at + exchange.answer_within + self.settings.characters(1)
    }

    /// How long the answer is waited for, bytes having been seen at `now`.
    fn answer_until(&self, now: Duration) -> Duration {
        let foreign = self.exchange.foreign;
        let beginning = self.answer_begins_by();
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
                    self.phase = Phase::Delivered;
                    return Action::Telegram(self.inbox.frame());
                }
                Phase::Delivered => self.phase = self.after_telegram(now),
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

    /// The telegram that was given away last announces another, which only whoever opened it could
    /// see: it is encrypted, or a piece of a longer message. To be said before the next
    /// [`Self::poll`]; the meter is asked as if it had announced it for all to read.
    pub const fn announce_more(&mut self) {
        if matches!(self.phase, Phase::Delivered) {
            self.exchange.summary.more_follow = true;
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
            (Step::Prepare, ..) | (_, Command::Send, _) => match Frame::read(self.letter.frame()) {
                Ok(Frame::Long(Long { ci, data, .. })) => Request::Send { to, fcb, ci, data },
                // The letter is a frame of our own.
                _ => return,
            },
            (_, Command::Read | Command::Identify, _) => Request::Data { to, fcb },
            (_, Command::Alarm, _) => Request::Alarm { to, fcb },
            (_, Command::SetBaud(baud), _) => Request::SetBaud { to, baud },
        };
        // Only the data of a letter can be too long, and `start` has seen to that.
        let _ = self.outbox.put(&request);
    }

    fn say(&mut self, now: Duration) {
        let exchange = &mut self.exchange;
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.summary.sends = exchange.summary.sends.saturating_add(1);
        exchange.foreign = false;
        exchange.sent_at = now + self.settings.characters(self.outbox.len);
        if !exchange.unanswered {
            exchange.asked_at = exchange.sent_at;
        }
        exchange.answer_within = exchange.waits(&self.settings);
        count(&mut self.traffic.sends);
        if exchange.attempts > 1 {
            count(&mut self.traffic.repeats);
        }
        self.inbox.clear();
        self.lag.sent();
        self.dirty = false;
        self.unanswered = false;
        if exchange.to == Primary::ALL_SILENT {
            self.fcb = FcbMemory::new();
            self.selected = None;
            self.end(Ok(self.exchange.summary), self.exchange.sent_at);
        } else {
            self.phase = Phase::Waiting { until: self.answer_begins_by() };
        }
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
        self.exchange.step = self.exchange.next_step();
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
            // What paused for so long may go on, and would meet the next request.
            let missing = self.inbox.missing();
            self.keep_quiet_until(now + self.settings.characters(missing));
            let flaw = Flaw::Truncated(Part::Frame);
            self.failed(Reason::Garbled(DecodeError { at: self.inbox.len(), flaw }), now);
        }
    }

    fn failed(&mut self, reason: Reason, now: Duration) {
        if reason != Reason::Silent {
            // A line that was silent until now has been left alone for long enough.
            self.keep_quiet_until(now + self.settings.idle_after_error());
        }
        let selecting = self.exchange.is_probe() || matches!(self.phase, Phase::Quiet { .. });
        if selecting && matches!(reason, Reason::Garbled(_) | Reason::LineError) {
            // More may be meant than those that were heard, and none of them be taken for an
            // answer to what is said next.
            self.keep_quiet_until(self.all_have_begun_by());
        }
        let exchange = &self.exchange;
        let may_be_two = exchange.may_be_answered_by_two() || exchange.command == Command::Identify;
        match reason {
            Reason::Silent => count(&mut self.traffic.silences),
            Reason::Garbled(_) | Reason::LineError if may_be_two => {
                count(&mut self.traffic.collisions);
            }
            Reason::Garbled(DecodeError { flaw: Flaw::Checksum { .. }, .. }) => {
                count(&mut self.traffic.checksum_errors);
            }
            Reason::Garbled(_) => count(&mut self.traffic.broken),
            // These have been counted when they came.
            Reason::LineError | Reason::Foreign | Reason::NeverSilent => {}
        }
        if exchange.step == Step::Deselect {
            // Nobody was selected any more.
            self.selected = None;
            self.next_step(now);
            return;
        }
        let hopeless = matches!(reason, Reason::Garbled(_) | Reason::LineError)
            && matches!(exchange.command, Command::Probe { .. } | Command::Identify);
        if !hopeless && exchange.attempts < exchange.sends(&self.settings) {
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
                now + self.settings.idle_after_answer() + self.slack()
            }
            _ => now,
        };
        // A line on which nothing came has been left alone for long enough.
        if !matches!(result, Err(Failure { reason: Reason::Silent, .. })) {
            self.settle(now);
        }
        self.phase = Phase::Settle { until, result };
    }

    /// Leaves the line alone as long as it must be after an answer.
    fn settle(&mut self, now: Duration) {
        self.keep_quiet_until(now + self.settings.idle_after_answer());
        if self.exchange.unanswered {
            // The meter was asked more than once, and may answer more than once.
            let Exchange { sent_at, patience, .. } = self.exchange;
            self.keep_quiet_until(sent_at + patience.usual.max(patience.at_last));
        }
    }

    /// Gives up the task under way, if there is one: what its meter still says is thrown away.
    pub fn give_up(&mut self, now: Duration) {
        let outstanding = match self.phase {
            Phase::Waiting { .. } => self.answer_begins_by(),
            Phase::Idle | Phase::Settle { .. } => return,
            _ => now,
        };
        self.fcb.forget(self.exchange.to);
        self.dirty = true;
        // It may take longer than it was waited for.
        self.unanswered |= self.exchange.attempts > 0 && !self.exchange.is_probe();
        self.keep_quiet_until(outstanding);
        self.phase = Phase::Idle;
    }

    fn keep_quiet_until(&mut self, until: Duration) {
        self.quiet_until = self.quiet_until.max(until);
    }
}
