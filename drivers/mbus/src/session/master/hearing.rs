//! What the session makes of the bytes that come.

use core::time::Duration;

use super::{Phase, Session};
use crate::session::exchange::{Command, Described, Exchange, Verdict};
use crate::session::inbox::Received;
use crate::session::traffic::count;
use crate::session::{Reason, Step};
use crate::{DecodeError, Flaw, Frame, Primary};

impl Session {
    /// The port tells that a byte came with a wrong parity or stop bit. The answer it is part of
    /// is thrown away.
    pub fn line_error(&mut self, now: Duration) {
        count(&mut self.traffic.line_errors);
        match self.phase {
            Phase::Waiting { .. } => self.failed(Reason::LineError, now),
            _ if self.second_acknowledge_may_come() => self.failed(Reason::LineError, now),
            _ => self.received_unasked(now),
        }
    }

    /// Takes `bytes`, which have come in since the last call.
    pub fn received(&mut self, bytes: &[u8], now: Duration) {
        for byte in bytes {
            match self.phase {
                Phase::Waiting { .. } => self.received_in_answer(*byte, now),
                _ if self.second_acknowledge_may_come() => {
                    self.lag.begun(now.saturating_sub(self.exchange.sent_at));
                    let flaw = Flaw::Trailing(*byte);
                    self.failed(Reason::Garbled(DecodeError { at: 1, flaw }), now);
                }
                _ => {
                    count(&mut self.traffic.stray_bytes);
                    self.received_unasked(now);
                }
            }
        }
        if !bytes.is_empty() && matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Waiting { until: self.answer_until(now) };
        }
    }

    /// Whether a byte that comes now is a second meter's, which was meant too.
    const fn second_acknowledge_may_come(&self) -> bool {
        match self.phase {
            Phase::Settle { result: Ok(_), .. } => self.exchange.may_be_answered_by_two(),
            Phase::Quiet { .. } => matches!(self.exchange.command, Command::Identify),
            _ => false,
        }
    }

    /// By when all meters that were meant have begun to acknowledge the last frame: as far as they
    /// have shown, or in the time that they may take.
    pub(super) fn all_have_begun_by(&self) -> Duration {
        let slowest = self.lag.slowest().unwrap_or(self.answer_within());
        self.exchange.sent_at + slowest + self.settings.characters(1)
    }

    fn received_unasked(&mut self, now: Duration) {
        let selecting = self.exchange.is_probe()
            || (self.exchange.command == Command::Identify && self.exchange.attempts == 0);
        if selecting {
            // One of several that were meant.
            self.lag.begun(now.saturating_sub(self.exchange.sent_at).min(self.answer_within()));
        }
        if let Phase::Quiet { noise_since } = &mut self.phase {
            noise_since.get_or_insert(now);
        }
        self.dirty = true;
        self.keep_quiet_until(now + self.settings.idle_after_error());
    }

    fn received_in_answer(&mut self, byte: u8, now: Duration) {
        let had_begun = self.inbox.answer_has_begun();
        let received = self.inbox.push(byte, self.outbox.frame());
        if self.inbox.answer_has_begun() {
            let taken = now.saturating_sub(self.exchange.sent_at);
            self.lag.seen(taken, self.inbox.len(), &self.settings);
            if !had_begun {
                let slowest = &mut self.exchange.summary.slowest_answer;
                *slowest = taken.max(*slowest);
                // A meter that takes longer than the standard allows is not what others wait for.
                self.lag.begun(taken.min(self.answer_within()));
                let taken = now.saturating_sub(self.exchange.asked_at);
                self.exchange.taken = taken.saturating_sub(self.settings.characters(1));
            }
        }
        match received {
            Received::Nothing => {}
            Received::Echo => count(&mut self.traffic.echoes),
            Received::Garbage(error) => self.failed(Reason::Garbled(error), now),
            Received::Frame => match Frame::read(self.inbox.frame()) {
                Ok(frame) => match self.exchange.judge(&frame) {
                    Verdict::Ack => {
                        self.understood();
                        self.acknowledged(now);
                    }
                    Verdict::Telegram(telegram) => {
                        self.understood();
                        self.telegram(telegram, now);
                    }
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

    /// What came is an answer, and tells of the times of the meter and of the line.
    fn understood(&mut self) {
        self.traffic.answered(self.exchange.taken);
        if self.exchange.unanswered || self.exchange.foreign {
            // An answer to an earlier saying, or behind a frame of somebody else, came when it
            // came, and does not tell how long it was under way.
            self.lag.sent();
        } else {
            self.lag.understood(&self.settings);
        }
    }

    /// A frame that was not asked for: the answer may still come.
    const fn thrown_away(&mut self) {
        self.inbox.clear_frame();
        self.lag.sent();
        count(&mut self.traffic.foreign);
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
            Step::Prepare => self.fcb.answered(to),
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
}
