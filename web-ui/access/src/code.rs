//! One-time codes: who holds one may do one thing, once: within an hour, or, where it stands in for an
//! app that was lost, whenever that is.
//!
//! ```text
//! 7K2M-9QXA-04TB-HZ3W     16 characters of 5 bits: 80 random bits
//! ```
//!
//! The alphabet is Crockford's base32, which has no I, L, O and U: what a person reads off a label
//! as one of these is taken for the 1 or the 0 that stands there. Capitals, spaces and dashes do
//! not matter.

use std::fmt;
use std::time::Duration;

use metering::Moment;

use crate::{SecretHash, Stamp};

/// A code as a person gets it. It is shown once and kept as a hash.
pub struct OneTimeCode(String);

impl OneTimeCode {
    /// A fresh one.
    pub fn new() -> Self {
        let random: [u8; LEN] = rand::random();
        let text = random.into_iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
        Self(text.map(|letter| char::from(*letter)).collect())
    }

    /// As a person copies it, in groups of four.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, letter) in self.0.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        text
    }

    /// What is kept of one that is good until it is spent: a recovery code.
    pub fn hash(&self) -> SecretHash {
        hash_of(&self.0)
    }

    /// The same of `text`, as a person typed it.
    pub fn hash_of(text: &str) -> SecretHash {
        hash_of(text)
    }

    /// What is kept of one that is good for an hour.
    pub fn issued(&self, now: &Moment) -> Issued {
        Issued { hash: hash_of(&self.0), at: Stamp::of(now) }
    }
}

impl Default for OneTimeCode {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}

/// What is kept of a code until it is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Of the code.
    pub hash: SecretHash,
    /// When it was issued, or its hour begun again.
    pub at: Stamp,
}

impl Issued {
    /// Whether `text`, as a person typed it, is this code and still good.
    ///
    /// # Errors
    ///
    /// [`CodeProblem`]. A code that is too old is said to be so even when it is wrong: that
    /// the hour is over is no secret, and the person must know it to go on.
    pub fn check(&self, text: &str, now: &Moment) -> Result<(), CodeProblem> {
        // An age that nobody knows is too old: a clock must not be able to reopen a window.
        if self.at.age(now).is_none_or(|age| age > Self::GOOD_FOR) {
            return Err(CodeProblem::Expired);
        }
        if hash_of(text) == self.hash { Ok(()) } else { Err(CodeProblem::Wrong) }
    }

    /// How long a code is good.
    pub const GOOD_FOR: Duration = Duration::from_hours(1);
}

/// Why a code opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeProblem {
    /// Its hour is over.
    #[error("the code is older than an hour")]
    Expired,
    /// It is another.
    #[error("this is not the code")]
    Wrong,
}

fn hash_of(typed: &str) -> SecretHash {
    let plain: String = typed
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .take(2 * LEN)
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        })
        .collect();
    SecretHash::of(plain.as_bytes())
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::tests::moment;

    #[test]
    fn a_code_is_taken_as_people_type_it() {
        let issued = OneTimeCode("7K2M9QXA01TBHZ3W".into()).issued(&moment(1, 0));
        for typed in [
            "7K2M-9QXA-01TB-HZ3W",
            "7k2m9qxa01tbhz3w",
            " 7K2M 9QXA OITB HZ3W ",
            "7K2M-9QXA-oltb-HZ3W",
        ] {
            assert_eq!(issued.check(typed, &moment(1, 60)), Ok(()), "{typed}");
        }
        for typed in ["", "7K2M-9QXA-01TB-HZ3", "7K2M-9QXA-01TB-HZ3WW", "7K2M-9QXA-01TB-HZ3V"] {
            assert_eq!(issued.check(typed, &moment(1, 60)), Err(CodeProblem::Wrong), "{typed}");
        }
    }

    #[test]
    fn it_is_good_for_an_hour() {
        let code = OneTimeCode::new();
        let issued = code.issued(&moment(1, 0));
        assert_eq!(issued.check(&code.text(), &moment(1, 3_600)), Ok(()));
        assert_eq!(issued.check(&code.text(), &moment(1, 3_601)), Err(CodeProblem::Expired));
        assert_eq!(
            issued.check(&code.text(), &moment(2, -1)),
            Err(CodeProblem::Expired),
            "set back"
        );
    }

    #[test]
    fn it_has_eighty_bits_in_groups_of_four_and_is_not_shown() {
        let code = OneTimeCode::new();
        let text = code.text();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 4], "{text}");
        assert!(text.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{text}");
        assert_ne!(OneTimeCode::new().text(), text);
        assert_eq!(format!("{code:?}"), "OneTimeCode(…)");
    }
}
