//! Six digits that change every 30 s, as an authenticator app shows them (RFC 6238).
//!
//! ```text
//! secret, 160 bits ─┐
//!                   ├─ HMAC-SHA-1 ─▶ 31 bits at an offset of its own ─▶ the last 6 digits
//! time / 30 s ──────┘
//! ```
//!
//! SHA-1, six digits, 30 s: the one combination that every app understands. What is known against
//! SHA-1 are collisions, which do not help against an HMAC.
//!
//! **Never true:** that a code is taken twice, or one of before the last that was taken.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use metering::Moment;
use ring::hmac;

use crate::SecretHash;

/// The secret that a gateway shares with an app. It is shown once, when the app is set up.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp([u8; 20]);

impl Totp {
    /// A fresh one.
    pub fn new() -> Self {
        Self(rand::random())
    }

    /// What a person types into an app that has no camera, and what is kept: 32 letters and digits.
    pub fn text(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// What the app's camera looks for: `otpauth://totp/…`. `issuer` is the building, `account` the
    /// person.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (escaped(issuer), escaped(account));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.text())
    }

    /// The step of time in which `typed` is the code, if it is one now, one step ago or one ahead,
    /// and later than `after`, the step of the last code that was taken.
    ///
    /// Keep what it returns, and give it as `after` next time.
    pub fn check(&self, typed: &str, now: &Moment, after: u64) -> Option<u64> {
        let digits: String =
            typed.chars().filter(|it| !it.is_whitespace()).take(DIGITS + 1).collect();
        let step = u64::try_from(now.wall_ms()).ok()? / STEP_MS;
        let near = [step.checked_sub(1), Some(step), step.checked_add(1)];
        // Hashes are compared in a time that does not tell where they differ.
        let typed = SecretHash::of(digits.as_bytes());
        near.into_iter()
            .flatten()
            .find(|near| *near > after && SecretHash::of(self.code(*near).as_bytes()) == typed)
    }

    /// The code of a step, as the app shows it.
    pub fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226, 5.3: the last four bits say where the 31 bits stand.
        let offset = usize::from(tag.last().map_or(0, |last| last & 0x0f));
        let four = tag.get(offset..offset + 4).and_then(|it| it.try_into().ok());
        let number = u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff;
        format!("{:0DIGITS$}", number % 1_000_000)
    }
}

const DIGITS: usize = 6;

const STEP_MS: u64 = 30_000;

/// Percent-encoded, all but what never means anything (RFC 3986, 2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

impl Default for Totp {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp(…)")
    }
}

impl FromStr for Totp {
    type Err = InvalidTotp;

    fn from_str(text: &str) -> Result<Self, InvalidTotp> {
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| InvalidTotp)?;
        bytes.try_into().map(Self).map_err(|_| InvalidTotp)
    }
}

/// A text that is no secret of an app. What it says is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of an app is 32 letters and digits of base32")]
pub struct InvalidTotp;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::tests::moment;

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let totp = Totp(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp.code(seconds / 30), code, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_for_a_step_around_its_own_and_once() {
        let totp = Totp::new();
        let now = moment(1, 3_000);
        let step = u64::try_from(now.wall_ms()).unwrap() / STEP_MS;
        for near in [step - 1, step, step + 1] {
            assert_eq!(totp.check(&totp.code(near), &now, 0), Some(near));
            assert_eq!(totp.check(&totp.code(near), &now, near), None, "taken before");
        }
        for far in [step - 2, step + 2] {
            // One in a million is the code of a nearer step as well.
            let nearer = (step - 1..=step + 1).any(|near| totp.code(near) == totp.code(far));
            assert!(nearer || totp.check(&totp.code(far), &now, 0).is_none(), "{far}");
        }
        let spaced = totp.code(step);
        let (first, last) = spaced.split_at(3);
        let spaced = format!(" {first} {last}");
        assert_eq!(totp.check(&spaced, &now, 0), Some(step), "as apps show it");
        for wrong in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(totp.check(wrong, &now, 0), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_is_kept_and_not_shown() {
        let totp = Totp::new();
        assert_eq!(totp.text().parse(), Ok(totp.clone()));
        assert_eq!(totp.text().len(), 32);
        assert_eq!(format!("{totp:?}"), "Totp(…)");
        for wrong in ["", "AAAA", "1".repeat(32).as_str(), "A".repeat(40).as_str()] {
            assert_eq!(wrong.parse::<Totp>(), Err(InvalidTotp), "{wrong}");
        }
    }

    #[test]
    fn an_app_is_told_the_building_and_the_person() {
        let totp = Totp([0; 20]);
        assert_eq!(
            totp.uri("Kvernhusgata 4", "Åse"),
            "otpauth://totp/Kvernhusgata%204:%C3%85se\
             ?secret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&issuer=Kvernhusgata%204"
        );
    }
}
