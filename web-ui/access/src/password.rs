//! Passwords: long enough, not among those that everybody tries first, and kept as argon2id.
//!
//! There is no rule about digits and capitals: such rules make passwords that are alike. A
//! password of 12 characters that is not in the list is a good one.
//!
//! Hashing takes 19 MiB and some tenths of a second, by intention. Whoever calls sees to it that
//! at most two are under way at once, off the threads that answer requests.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// A password that may be set. It is never shown.
pub struct Password(String);

impl Password {
    /// `text`, if it is good enough for somebody to whom `known` are near words: the name of the
    /// building and their own.
    ///
    /// # Errors
    ///
    /// [`WeakPassword`].
    pub fn new(text: &str, known: &[&str]) -> Result<Self, WeakPassword> {
        match text.chars().count() {
            0..LEAST => return Err(WeakPassword::Short),
            LEAST..=MOST => {}
            _ => return Err(WeakPassword::Long),
        }
        let core = core_of(text);
        let near = |word: &&str| core_of(word) == core;
        if COMMON.lines().any(|line| near(&line)) || known.iter().any(near) || repeats(text) {
            return Err(WeakPassword::Common);
        }
        Ok(Self(text.to_owned()))
    }

    /// What is kept of it: argon2id with a salt of its own, as a PHC string. Blocks.
    ///
    /// # Errors
    ///
    /// [`HashFailed`] if there is no memory or no randomness to be had.
    pub fn hash(&self) -> Result<String, HashFailed> {
        let hash = argon2().hash_password(self.0.as_bytes()).map_err(|_| HashFailed)?;
        Ok(hash.to_string())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Whether `text` is the password that `kept` was made of. Blocks.
///
/// Give `None` for a user that does not exist: it takes as long as a wrong password, so
/// that the time does not tell who has an account.
pub fn verify(kept: Option<&str>, text: &str) -> bool {
    // What cannot have been set is not worth a hash of it, which could be of a megabyte.
    let candidate = if text.chars().nth(MOST).is_none() { text } else { "" };
    let right = PasswordHash::new(kept.unwrap_or(NOBODY))
        .is_ok_and(|kept| argon2().verify_password(candidate.as_bytes(), &kept).is_ok());
    right && kept.is_some()
}

/// Why a password cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too few characters.
    #[error("a password has at least {LEAST} characters")]
    Short,
    /// Too many.
    #[error("a password has at most {MOST} characters")]
    Long,
    /// Among the first that anybody would try.
    #[error("this is one of the first passwords that anybody would try")]
    Common,
}

impl WeakPassword {
    /// The fewest characters.
    pub const LEAST: usize = LEAST;
    /// The most.
    pub const MOST: usize = MOST;
}

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed: no memory or no randomness")]
pub struct HashFailed;

/// The library's default cost is the one that OWASP asks for at least: 19 MiB, two passes, one
/// lane. A test holds it to that.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// A hash of the same cost that no password has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The part of a password that a guesser varies last: letters and digits, in small letters,
/// without the digits that people put behind a word that was too short.
fn core_of(text: &str) -> String {
    let plain: String =
        text.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let word = plain.trim_end_matches(|it: char| it.is_ascii_digit());
    if word.is_empty() { plain } else { word.to_owned() }
}

/// Whether it is at most four characters over and over: `abcabcabcabc`.
fn repeats(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=4).any(|period| letters.iter().zip(letters.iter().skip(period)).all(|(a, b)| a == b))
}

/// One a line. Only those are of use whose letters and digits make twelve characters with what
/// people put behind them.
const COMMON: &str = include_str!("common.txt");

const LEAST: usize = 12;
const MOST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), WeakPassword>) {
        let known = ["Kvernhusgata 4", "kari.moen"];
        assert_eq!(Password::new(text, &known).map(|_| ()), expected, "{text}");
    }

    #[test]
    fn twelve_characters_are_enough_whatever_they_are() {
        check("elleve tegn", Err(WeakPassword::Short));
        check("fjorten blåbær", Ok(()));
        check("ææææøøøøåå12", Ok(()));
        check(&"tolv ".repeat(25), Ok(()));
        check(&format!("{}1234", "tolv ".repeat(25)), Err(WeakPassword::Long));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for text in [
            "password1234",
            "Password-1234!",
            "123456789012",
            "qwertyuiop123",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "Kvernhusgata 4",
            "kvernhusgata2026",
            "Kari-Moen-1234",
            "administrator",
        ] {
            check(text, Err(WeakPassword::Common));
        }
    }

    #[test]
    fn a_password_is_verified_against_what_is_kept() {
        let password = Password::new("riktig hest batteri", &[]).unwrap();
        let kept = password.hash().unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(password.hash().unwrap(), kept, "each has a salt of its own");
        assert!(verify(Some(&kept), "riktig hest batteri"));
        assert!(!verify(Some(&kept), "riktig hest batter"));
        assert!(!verify(Some("nonsense"), "riktig hest batteri"));
        assert_eq!(format!("{password:?}"), "Password(…)");
    }

    #[test]
    fn nobody_has_a_hash_of_the_same_cost_and_no_password() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let cost = Params::try_from(&nobody).unwrap();
        assert_eq!((cost.m_cost(), cost.t_cost(), cost.p_cost()), (19 * 1_024, 2, 1));
        assert!(!verify(None, "riktig hest batteri"));
        assert!(!verify(None, ""));
    }
}
