//! The master's session: one exchange after another on one bus, without I/O.
//!
//! Whoever has the port runs a loop around [`Session::poll`]: it sends what it is told to, hands in
//! the bytes that come ([`Session::received`]), and waits no longer than it is told. Time is a
//! [`Duration`] since any moment that the caller likes, as long as it stays the same one.
//!
//! ```text
//!            ┌──────────── repeat, at most `sends` times ◀────────────┐
//!            ▼                                                        │ silence, noise, another
//! quiet ──▶ send ──▶ wait for the answer ── what was asked ──▶ settle │ meter's answer
//!   ▲                                                            │
//!   └──── next step: deselect, select, reset, request, request … ┘──▶ done
//! ```
//!
//! The rules, each with a test of its own:
//!
//! * A frame ends by its own length, never by silence; after it the line is left alone for 11 bit
//!   times, and for 33 after an error, during which whatever still comes is thrown away.
//! * An answer may take 330 bit times and 50 ms, and what the transport adds, which its answers
//!   show; a meter that is known to be slow is waited for as long as it needs, and none that is
//!   quick for less than that ([`Session::patience`]).
//! * Who drips bytes or says frame after frame is listened to for two of the longest frames.
//! * What a meter does not answer is said up to three times, with the same frame count bit.
//! * Echoes of what was sent are recognised and taken away.
//! * Only the asked meter's answer of the asked kind is an answer. What comes late, from another
//!   meter or to an earlier request is thrown away, and the wait goes on.
//! * After a repetition an answer to the first saying may still come: the next request waits for it.
//! * A meter with several telegrams is asked until it has no more, repeats itself, or has said
//!   [`Settings::max_telegrams`]. Whether an encrypted one announces another, whoever has its key
//!   tells the session ([`Session::announce_more`]).
//!
//! **Invariant:** a telegram that the session gives away is a whole frame with a right checksum, of
//! the meter that was asked, in answer to the request that was sent last.
//!
//! Source: EN 13757-2, "link layer procedures"; EN 13757-3; the M-Bus documentation 4.8, section 5.

mod exchange;
mod fcb;
mod inbox;
mod lag;
mod master;
mod responses;
mod settings;
#[cfg(test)]
mod tests;
mod traffic;

use core::time::Duration;

pub use master::Session;
pub use responses::{Patience, Responses};
pub use settings::Settings;
pub use traffic::Traffic;

use crate::{Baud, DecodeError, Primary, Selection, ci};

/// What the session is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Is there anybody? Resets the frame count bit, too. To [`Primary::ALL_SILENT`] it only does
    /// the latter, and deselects.
    Ping {
        /// Who.
        to: Primary,
        /// How often it is said.
        sends: u8,
    },
    /// All telegrams of a meter.
    Read {
        /// Which.
        meter: Target,
        /// Whether it is told to begin with the first telegram.
        reset: Reset,
        /// What it is told before, where it needs that.
        prelude: Option<Prelude<'a>>,
    },
    /// The first telegram of whoever is selected, to learn who it is. Garbled answers are not
    /// repeated: they are two meters' answers.
    Identify,
    /// The alarm telegram of a meter, if it has one.
    Alarm(Primary),
    /// Does anybody feel addressed? Garbled answers are not repeated: they are two meters' answers.
    Probe {
        /// Who is meant.
        selection: Selection,
        /// How often it is said into silence.
        sends: u8,
    },
    /// Data for a meter.
    Send {
        /// Which.
        meter: Target,
        /// How `data` is to be understood.
        ci: u8,
        /// At most 252 bytes.
        data: &'a [u8],
    },
    /// Another speed for a meter, and from then on for this session.
    SetBaud {
        /// Which.
        meter: Primary,
        /// How fast.
        baud: Baud,
    },
}

/// What some meters have to be told before they say what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prelude<'a> {
    /// Forget what you were at, and say, as far as you know the subcode, these data. The high half
    /// of a subcode is the kind of data (0 all, 1 user data, 2 simple billing, 3 enhanced billing,
    /// 5 instantaneous values, …), the low half which telegram of them.
    ApplicationReset(Option<u8>),
    /// Say everything that you can say ("global readout").
    Everything,
    /// Say the data that are written here as selectors: the coding 8 in the DIF and the VIF of what
    /// is wanted, such as `08 13`; with VIF `7E` any. At most 252 bytes.
    Only(&'a [u8]),
}

impl<'a> Prelude<'a> {
    /// The CI and the data behind it.
    pub(crate) const fn letter(self, buffer: &'a mut [u8; 1]) -> (u8, &'a [u8]) {
        match self {
            Self::ApplicationReset(None) => (ci::APPLICATION_RESET, &[]),
            Self::ApplicationReset(Some(subcode)) => {
                *buffer = [subcode];
                (ci::APPLICATION_RESET, buffer)
            }
            Self::Everything => (ci::DATA, &[0x7F]),
            Self::Only(selectors) => (ci::DATA, selectors),
        }
    }
}

/// How a meter is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its address on the bus.
    Primary(Primary),
    /// By its own address: it is selected first.
    Secondary(Selection),
}

/// Whether `SND_NKE` comes before a readout by primary address.
///
/// A selection does the same for a meter that is addressed by its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reset {
    /// Only if the frame count bit is not known, or the last readout was of several telegrams or
    /// failed.
    #[default]
    WhenNeeded,
    /// Each time, for meters that want it.
    Always,
    /// Never, for meters that do not answer it.
    Never,
}

/// What the owner of the port has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Send this, then poll again.
    Send(&'a [u8]),
    /// Wait for bytes until then, then poll again.
    Wait(Duration),
    /// A frame with the meter's telegram; poll again, after [`Session::announce_more`] if it is
    /// encrypted and announces another.
    Telegram(&'a [u8]),
    /// The meter has acknowledged: switch the port to this speed, then poll again.
    SetBaud(Baud),
    /// The task has ended.
    Done(Result<Summary, Failure>),
    /// There is no task.
    Idle,
}

/// How a task went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many telegrams the meter sent.
    pub telegrams: u8,
    /// How many frames were sent.
    pub sends: u8,
    /// The meter sent a telegram that it had sent before, which was not given away.
    pub repeated: bool,
    /// The meter has more telegrams than it is asked for.
    pub more_follow: bool,
    /// How many frames came that nobody had asked for.
    pub foreign: u8,
    /// The longest time from the end of a request to the first byte of its answer.
    pub slowest_answer: Duration,
}

/// How a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}, {sends} frames sent in all: {reason}")]
pub struct Failure {
    /// At what.
    pub step: Step,
    /// Why, at the last attempt.
    pub reason: Reason,
    /// How many frames were sent in all.
    pub sends: u8,
    /// How many telegrams came before. They have been given away and are right.
    pub telegrams: u8,
}

/// One exchange of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Resetting the meter that is selected, so that it feels addressed no longer.
    Deselect,
    /// Selecting a meter by its own address.
    Select,
    /// Resetting the frame count bit.
    Reset,
    /// Telling it the [`Prelude`].
    Prepare,
    /// What the task is about.
    Command,
}

impl core::fmt::Display for Step {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Deselect => "deselecting",
            Self::Select => "selecting",
            Self::Reset => "resetting",
            Self::Prepare => "preparing",
            Self::Command => "asking",
        })
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not a byte came.
    #[error("no answer")]
    Silent,
    /// Something came that is no frame: noise, or two meters at once.
    #[error("garbled answer ({0})")]
    Garbled(DecodeError),
    /// A byte came with a wrong parity or stop bit, as the port tells.
    #[error("a byte came damaged (parity or stop bit)")]
    LineError,
    /// Frames came, but none that was asked for.
    #[error("another meter, or an answer to something else")]
    Foreign,
    /// The line never fell silent, so that nothing could be sent.
    #[error("the line does not fall silent")]
    NeverSilent,
}
