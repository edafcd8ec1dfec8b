//! An attempt as canonical bytes: the form in which it is kept and can be hashed.
//!
//! ```text
//! byte  0        1..8          9        10       11, 12  13     14        15     16..19
//!       version  start, s UTC  channel  outcome  status  asked  answered  flags  age of the boot, s
//! ```
//!
//! Numbers are big-endian. Version 1 ends after the flags and knows no age, version 2 has one. Channel 0
//! is the report probe, 1 what was sent to the portfolio.
//! There is one encoding for each attempt, fixed by the golden tests below: a version is never
//! changed, a new one is added.

use crate::{Attempt, Failure, Outcome, References, TlsFailure};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A report, by the probe.
    Report,
    /// To hand over new readings, see [`ingest`](crate::ingest).
    Ingest,
}

impl Attempt {
    /// The canonical bytes of an attempt to get a report.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_of(Channel::Report)
    }

    /// Its canonical bytes.
    pub fn to_bytes_of(&self, channel: Channel) -> Vec<u8> {
        let (outcome, status) = self.outcome.code();
        let References { asked, answered, .. } = self.references;
        let mut bytes = vec![if self.age.is_some() { 2 } else { 1 }];
        bytes.extend(self.at.to_be_bytes());
        let channel = match channel {
            Channel::Report => 0,
            Channel::Ingest => INGEST,
        };
        bytes.extend([channel, outcome]);
        bytes.extend(status.to_be_bytes());
        bytes.extend([asked, answered, self.flags()]);
        bytes.extend(self.age.map(u32::to_be_bytes).into_iter().flatten());
        bytes
    }

    /// The attempt to get a report with these bytes; `None` unless they are its canonical ones.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::of_channel(bytes).and_then(|(channel, it)| (channel == Channel::Report).then_some(it))
    }

    /// The attempt with these bytes; `None` unless they are its canonical ones.
    pub fn of_channel(bytes: &[u8]) -> Option<(Channel, Self)> {
        let (fixed, age) = bytes.split_first_chunk::<16>()?;
        let [version, at @ .., channel, outcome, s0, s1, asked, answered, flags] = fixed;
        let channel = match *channel {
            0 => Channel::Report,
            INGEST => Channel::Ingest,
            _ => return None,
        };
        let attempt = Self {
            at: i64::from_be_bytes(*at),
            outcome: Outcome::from_code(*outcome, u16::from_be_bytes([*s0, *s1]))?,
            references: References {
                asked: *asked,
                answered: *answered,
                link_down: flags & LINK_DOWN != 0,
            },
            clock_trusted: flags & CLOCK_TRUSTED != 0,
            age: match version {
                1 => None,
                _ => Some(u32::from_be_bytes(age.try_into().ok()?)),
            },
        };
        // There may be other bytes that say the same; they are not the canonical ones.
        (attempt.to_bytes_of(channel) == *bytes).then_some((channel, attempt))
    }

    pub(crate) const fn flags(&self) -> u8 {
        (if self.references.link_down { LINK_DOWN } else { 0 })
            | if self.clock_trusted { CLOCK_TRUSTED } else { 0 }
    }
}

const INGEST: u8 = 1;

pub(crate) const LINK_DOWN: u8 = 0b01;
pub(crate) const CLOCK_TRUSTED: u8 = 0b10;

impl Outcome {
    /// Its code, and the status that goes with it.
    pub(crate) const fn code(self) -> (u8, u16) {
        match self {
            Self::Success => (0, 0),
            Self::Failed(Failure::Dns) => (1, 0),
            Self::Failed(Failure::Tcp) => (2, 0),
            Self::Failed(Failure::Tls(TlsFailure::ForeignCa)) => (3, 0),
            Self::Failed(Failure::Tls(TlsFailure::OwnFault)) => (4, 0),
            Self::Failed(Failure::Tls(TlsFailure::Handshake)) => (5, 0),
            Self::Failed(Failure::NoAnswer) => (6, 0),
            Self::Failed(Failure::Status(status)) => (7, status),
            Self::Failed(Failure::WrongData) => (8, 0),
        }
    }

    /// The outcome with this code; `None` if there is none, or if a status goes with another.
    pub(crate) const fn from_code(code: u8, status: u16) -> Option<Self> {
        let outcome = match code {
            0 => Self::Success,
            1 => Self::Failed(Failure::Dns),
            2 => Self::Failed(Failure::Tcp),
            3 => Self::Failed(Failure::Tls(TlsFailure::ForeignCa)),
            4 => Self::Failed(Failure::Tls(TlsFailure::OwnFault)),
            5 => Self::Failed(Failure::Tls(TlsFailure::Handshake)),
            6 => Self::Failed(Failure::NoAnswer),
            7 => return Some(Self::Failed(Failure::Status(status))),
            8 => Self::Failed(Failure::WrongData),
            _ => return None,
        };
        if status == 0 { Some(outcome) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFUSED: Attempt = Attempt {
        at: 1_795_269_600,
        outcome: Outcome::Failed(Failure::Status(503)),
        references: References { asked: 4, answered: 3, link_down: false },
        clock_trusted: true,
        age: None,
    };

    #[test]
    fn the_bytes_of_version_2_never_change() {
        let attempt = Attempt { age: Some(0x0001_5180), ..REFUSED };
        let bytes = attempt.to_bytes();
        assert_eq!(
            bytes,
            [2, 0, 0, 0, 0, 0x6B, 0x01, 0xA3, 0xE0, 0, 7, 0x01, 0xF7, 4, 3, 2, 0, 1, 0x51, 0x80]
        );
        assert_eq!(Attempt::from_bytes(&bytes), Some(attempt));
        assert_eq!(Attempt::from_bytes(&bytes[..19]), None);
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        assert_eq!(
            REFUSED.to_bytes(),
            [1, 0, 0, 0, 0, 0x6B, 0x01, 0xA3, 0xE0, 0, 7, 0x01, 0xF7, 4, 3, 2]
        );
    }

    #[test]
    fn what_was_sent_is_told_from_what_was_asked() {
        let bytes = REFUSED.to_bytes_of(Channel::Ingest);
        assert_eq!(bytes, [1, 0, 0, 0, 0, 0x6B, 0x01, 0xA3, 0xE0, 1, 7, 0x01, 0xF7, 4, 3, 2]);
        assert_eq!(Attempt::of_channel(&bytes), Some((Channel::Ingest, REFUSED)));
        assert_eq!(Attempt::from_bytes(&bytes), None);
        assert_eq!(Attempt::of_channel(&REFUSED.to_bytes()), Some((Channel::Report, REFUSED)));
    }

    #[test]
    fn what_is_not_canonical_is_no_attempt() {
        let good = REFUSED.to_bytes();
        assert_eq!(Attempt::from_bytes(&good), Some(REFUSED));
        for (at, byte) in [(0, 2), (9, 2), (10, 9), (10, 0), (15, 6)] {
            let mut wrong = good.clone();
            wrong[at] = byte;
            assert_eq!(Attempt::of_channel(&wrong), None, "byte {at} is {byte}");
        }
        assert_eq!(Attempt::from_bytes(&good[..15]), None);
        assert_eq!(Attempt::from_bytes(&[]), None);
    }

    proptest! {
        #[test]
        fn bytes_that_are_read_are_written_again(bytes in prop::collection::vec(0_u8..10, 16..21)) {
            if let Some((channel, attempt)) = Attempt::of_channel(&bytes) {
                prop_assert_eq!(attempt.to_bytes_of(channel), bytes);
            }
        }
    }
}
