//! An attempt as canonical bytes: the form in which it is kept and can be hashed.
//!
//! ```text
//! byte  0        1..8          9  10       11, 12  13     14        15
//!       version  start, s UTC  0  outcome  status  asked  answered  flags
//! ```
//!
//! Numbers are big-endian. There is one encoding for each attempt, fixed by the golden test below:
//! a version is never changed, a new one is added.

use crate::{Attempt, Failure, Outcome, References, TlsFailure};

impl Attempt {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let (outcome, status) = match self.outcome {
            Outcome::Success => (0, 0),
            Outcome::Failed(Failure::Dns) => (1, 0),
            Outcome::Failed(Failure::Tcp) => (2, 0),
            Outcome::Failed(Failure::Tls(TlsFailure::ForeignCa)) => (3, 0),
            Outcome::Failed(Failure::Tls(TlsFailure::OwnFault)) => (4, 0),
            Outcome::Failed(Failure::Tls(TlsFailure::Handshake)) => (5, 0),
            Outcome::Failed(Failure::NoAnswer) => (6, 0),
            Outcome::Failed(Failure::Status(status)) => (7, status),
            Outcome::Failed(Failure::WrongData) => (8, 0),
        };
        let References { asked, answered, link_down } = self.references;
        let flags = u8::from(link_down) | u8::from(self.clock_trusted) << 1;
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.at.to_be_bytes();
        let [s0, s1] = status.to_be_bytes();
        [VERSION, a0, a1, a2, a3, a4, a5, a6, a7, 0, outcome, s0, s1, asked, answered, flags]
    }

    /// The attempt with these bytes; `None` unless they are its canonical ones.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [VERSION, at @ .., 0, outcome, s0, s1, asked, answered, flags] = bytes else {
            return None;
        };
        let status = u16::from_be_bytes([*s0, *s1]);
        let outcome = match outcome {
            0 => Outcome::Success,
            1 => Outcome::Failed(Failure::Dns),
            2 => Outcome::Failed(Failure::Tcp),
            3 => Outcome::Failed(Failure::Tls(TlsFailure::ForeignCa)),
            4 => Outcome::Failed(Failure::Tls(TlsFailure::OwnFault)),
            5 => Outcome::Failed(Failure::Tls(TlsFailure::Handshake)),
            6 => Outcome::Failed(Failure::NoAnswer),
            7 => Outcome::Failed(Failure::Status(status)),
            8 => Outcome::Failed(Failure::WrongData),
            _ => return None,
        };
        let attempt = Self {
            at: i64::from_be_bytes(at.try_into().ok()?),
            outcome,
            references: References {
                asked: *asked,
                answered: *answered,
                link_down: flags & 0b01 != 0,
            },
            clock_trusted: flags & 0b10 != 0,
        };
        (attempt.to_bytes() == *bytes).then_some(attempt)
    }

    /// How many they are.
    pub const LEN: usize = 16;
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFUSED: Attempt = Attempt {
        at: 1_795_269_600,
        outcome: Outcome::Failed(Failure::Status(503)),
        references: References { asked: 4, answered: 3, link_down: false },
        clock_trusted: true,
    };

    #[test]
    fn the_bytes_of_version_1_never_change() {
        assert_eq!(
            REFUSED.to_bytes(),
            [1, 0, 0, 0, 0, 0x6B, 0x01, 0xA3, 0xE0, 0, 7, 0x01, 0xF7, 4, 3, 2]
        );
    }

    #[test]
    fn what_is_not_canonical_is_no_attempt() {
        let good = REFUSED.to_bytes();
        assert_eq!(Attempt::from_bytes(&good), Some(REFUSED));
        for (at, byte) in [(0, 2), (9, 1), (10, 9), (10, 0), (15, 6)] {
            let mut wrong = good;
            wrong[at] = byte;
            assert_eq!(Attempt::from_bytes(&wrong), None, "byte {at} is {byte}");
        }
        assert_eq!(Attempt::from_bytes(&good[..15]), None);
        assert_eq!(Attempt::from_bytes(&[]), None);
    }

    proptest! {
        #[test]
        fn bytes_that_are_read_are_written_again(bytes in prop::collection::vec(0_u8..10, 16)) {
            if let Some(attempt) = Attempt::from_bytes(&bytes) {
                prop_assert_eq!(attempt.to_bytes().to_vec(), bytes);
            }
        }
    }
}
