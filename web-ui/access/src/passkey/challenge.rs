//! What a device has to sign, so that what it signed yesterday is worth nothing today.
//!
//! ```text
//! 16 random bytes │ when, s, 8 bytes │ 32 bytes of an HMAC over both and what it is for
//! ```
//!
//! Nothing is kept of a challenge that was issued, so that asking for a million of them takes no
//! memory and pushes out nobody's. Kept are those that were redeemed, until they are too old; only
//! who has a passkey that is known can add to these.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use metering::UserId;
use ring::hmac;

use super::PasskeyProblem;

/// What a challenge is for. One for the one thing is worth nothing for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// To add a passkey to this user.
    Add(UserId),
    /// To log in, as whom the passkey says.
    LogIn,
}

/// Issues challenges and takes each back once. Those of before a restart are void.
pub struct Challenges {
    key: hmac::Key,
    /// Since when each is too old, the oldest first, and its random bytes.
    redeemed: VecDeque<(Duration, Vec<u8>)>,
}

impl Challenges {
    /// None has been issued yet.
    pub fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), redeemed: VecDeque::new() }
    }

    /// One for `ceremony`, in base64url as browsers give it back. `now` is the age of the boot.
    pub fn issue(&self, ceremony: Ceremony, now: Duration) -> String {
        let random: [u8; 16] = rand::random();
        let body = [random.as_slice(), &now.as_secs().to_be_bytes()].concat();
        let tag = hmac::sign(&self.key, &signed(&body, ceremony));
        BASE64URL_NOPAD.encode(&[body.as_slice(), tag.as_ref()].concat())
    }

    /// Takes `text` back, if it is one of ours for `ceremony`.
    fn redeem(&mut self, text: &str, ceremony: Ceremony, now: Duration) -> bool {
        while self.redeemed.front().is_some_and(|(too_old, _)| *too_old <= now) {
            self.redeemed.pop_front();
        }
        let Ok(bytes) = BASE64URL_NOPAD.decode(text.as_bytes()) else { return false };
        let Some((body, tag)) = bytes.split_at_checked(BODY) else { return false };
        let Some(at) = body.last_chunk().map(|it| Duration::from_secs(u64::from_be_bytes(*it)))
        else {
            return false;
        };
        let ours = hmac::verify(&self.key, &signed(body, ceremony), tag).is_ok();
        let young = now.checked_sub(at).is_some_and(|age| age <= Self::GOOD_FOR);
        let used = self.redeemed.iter().any(|(_, before)| before == body);
        if !ours || !young || used || self.redeemed.len() >= MOST {
            return false;
        }
        self.redeemed.push_back((at + Self::GOOD_FOR + Duration::from_secs(1), body.to_vec()));
        true
    }

    /// A person has to find their phone.
    pub const GOOD_FOR: Duration = Duration::from_mins(5);
}

/// What the HMAC is over.
fn signed(body: &[u8], ceremony: Ceremony) -> Vec<u8> {
    let what = match ceremony {
        Ceremony::Add(user) => format!("add {user}"),
        Ceremony::LogIn => "log in".to_owned(),
    };
    [body, what.as_bytes()].concat()
}

/// Random bytes and the time.
const BODY: usize = 24;

/// Of those with a passkey, so many in five minutes; more are refused until some are too old.
const MOST: usize = 1_024;

impl Default for Challenges {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("redeemed", &self.redeemed.len()).finish_non_exhaustive()
    }
}

/// What a device has proved, for the price of its challenge.
#[derive(Debug)]
#[must_use]
pub struct Proven<T> {
    challenge: String,
    value: T,
}

impl<T> Proven<T> {
    pub(super) fn new(challenge: &str, value: T) -> Self {
        Self { challenge: challenge.to_owned(), value }
    }

    /// What was proved.
    ///
    /// # Errors
    ///
    /// [`PasskeyProblem::Challenge`] if the challenge is not one of `challenges` for `ceremony`, is
    /// too old or was redeemed before.
    pub fn redeem(
        self,
        challenges: &mut Challenges,
        ceremony: Ceremony,
        now: Duration,
    ) -> Result<T, PasskeyProblem> {
        let ours = challenges.redeem(&self.challenge, ceremony, now);
        if ours { Ok(self.value) } else { Err(PasskeyProblem::Challenge) }
    }
}
