//! One task as far as it has come, and what counts as an answer in it.

use core::time::Duration;

use super::{Patience, Settings, Step, Summary};
use crate::{Baud, Content, Control, Frame, Long, Primary, Records, Selection, Telegram, ci};

/// Where the task is.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true with any other, and none is passed on as an argument"
)]
pub(super) struct Exchange {
    pub(super) command: Command,
    /// The selection of a meter that is addressed by its own address.
    pub(super) selection: Option<Selection>,
    /// The address byte.
    pub(super) to: Primary,
    pub(super) step: Step,
    pub(super) reset: bool,
    /// There is a letter to be sent before the readout.
    pub(super) prelude: bool,
    /// How often this step's frame has been sent.
    pub(super) attempts: u8,
    /// One of the attempts met silence: its answer may still come.
    pub(super) unanswered: bool,
    /// The present attempt met another frame.
    pub(super) foreign: bool,
    pub(super) patience: Patience,
    /// How long the answer to what has just been said may take to begin.
    pub(super) answer_within: Duration,
    /// When the last byte of the frame has left, by the speed of the line.
    pub(super) sent_at: Duration,
    /// That of the first saying that may still be answered.
    pub(super) asked_at: Duration,
    /// From then to the beginning of the answer.
    pub(super) taken: Duration,
    pub(super) summary: Summary,
    /// Of the telegrams so far.
    pub(super) fingerprints: [u64; Settings::MOST_TELEGRAMS as usize],
}

/// A [`Task`](super::Task) without its data, which is a letter of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ping { sends: u8 },
    Read,
    Identify,
    Alarm,
    Probe { sends: u8 },
    Send,
    SetBaud(Baud),
}

impl Exchange {
    pub(super) const NONE: Self = Self {
        command: Command::Read,
        selection: None,
        to: Primary::UNCONFIGURED,
        step: Step::Command,
        reset: false,
        prelude: false,
        attempts: 0,
        unanswered: false,
        foreign: false,
        patience: Patience::fixed(Duration::ZERO),
        answer_within: Duration::ZERO,
        sent_at: Duration::ZERO,
        asked_at: Duration::ZERO,
        taken: Duration::ZERO,
        summary: Summary {
            telegrams: 0,
            sends: 0,
            repeated: false,
            more_follow: false,
            foreign: 0,
            slowest_answer: Duration::ZERO,
        },
        fingerprints: [0; Settings::MOST_TELEGRAMS as usize],
    };

    pub(super) fn first_step(&self, selected: Option<Selection>) -> Step {
        match (self.selection, selected) {
            _ if self.is_probe() => Step::Command,
            // A meter that is still selected would go on where it was, with the same FCB.
            (Some(selection), Some(last)) if selection.overlaps(&last) => Step::Deselect,
            (Some(_), _) => Step::Select,
            (None, _) if self.reset => Step::Reset,
            (None, _) if self.prelude => Step::Prepare,
            (None, _) => Step::Command,
        }
    }

    pub(super) const fn next_step(&self) -> Step {
        match self.step {
            Step::Deselect => Step::Select,
            Step::Select | Step::Reset if self.prelude => Step::Prepare,
            Step::Select | Step::Reset | Step::Prepare | Step::Command => Step::Command,
        }
    }

    /// How often a frame of this step is said.
    pub(super) const fn sends(&self, settings: &Settings) -> u8 {
        match (self.step, self.command) {
            // Who does not answer to that is selected no more.
            (Step::Deselect, _) => 1,
            (_, Command::Probe { sends } | Command::Ping { sends }) => sends,
            _ => settings.sends,
        }
    }

    /// How long the answer to the frame that is said now is waited for.
    pub(super) const fn waits(&self, settings: &Settings) -> Duration {
        let last = self.attempts >= self.sends(settings);
        match self.step {
            Step::Deselect => self.patience.usual,
            _ if last => self.patience.at_last,
            _ => self.patience.usual,
        }
    }

    pub(super) const fn is_probe(&self) -> bool {
        matches!(self.command, Command::Probe { .. })
    }

    pub(super) const fn may_be_answered_by_two(&self) -> bool {
        matches!(self.command, Command::Probe { .. } | Command::Ping { .. })
    }

    pub(super) fn wants_telegram(&self) -> bool {
        self.step == Step::Command
            && matches!(self.command, Command::Read | Command::Identify | Command::Alarm)
    }

    /// Whether `frame` is what was asked for.
    pub(super) fn judge(&self, frame: &Frame<'_>) -> Verdict {
        let wants_telegram = self.wants_telegram();
        match frame {
            Frame::Ack if !wants_telegram || self.command == Command::Alarm => Verdict::Ack,
            Frame::Long(long) if wants_telegram && self.is_from_asked_meter(long) => {
                Verdict::Telegram(Described::of(long))
            }
            _ => Verdict::Foreign,
        }
    }

    fn is_from_asked_meter(&self, long: &Long<'_>) -> bool {
        let any_address = matches!(self.to, Primary::SELECTED | Primary::ALL_ANSWER);
        if !long.control.is(Control::RSP_UD) || !(any_address || long.address == self.to) {
            return false;
        }
        let Some(selection) = self.selection else { return true };
        match long.header().map(|header| (header.address(), header.id)) {
            Some((Some(address), _)) => selection.matches_address(&address),
            Some((None, Some(id))) => selection.matches_id(id),
            // It does not say who it is.
            Some((None, None)) | None => true,
        }
    }
}

pub(super) enum Verdict {
    Ack,
    Telegram(Described),
    Foreign,
}

/// What the session has to know of a telegram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) more_follow: bool,
    /// Of what is behind the header, whose access number counts on.
    pub(super) fingerprint: u64,
}

impl Described {
    fn of(long: &Long<'_>) -> Self {
        let header_len = match long.ci {
            ci::RECORDS | ci::RECORDS_MSB_FIRST => 12,
            ci::RECORDS_SHORT_HEADER => 4,
            _ => 0,
        };
        let body = long.data.get(header_len..).unwrap_or_default();
        let records = match long.telegram().map(|Telegram { content, .. }| content) {
            Ok(Content::Records(records)) => Some(records),
            Ok(Content::Sealed(sealed)) => sealed.plain(),
            Ok(Content::Error(_) | Content::Alarm(_)) | Err(_) => None,
        };
        Self { more_follow: records.is_some_and(Records::more_follow), fingerprint: fnv1a(body) }
    }
}

/// FNV-1a, 64 bits: one telegram in 10¹⁹ is taken for another by chance.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
