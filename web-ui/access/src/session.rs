//! A browser that somebody logged in from.
//!
//! ```text
//! login ──▶ Fresh ──12 h after the login, or unused for 30 min──▶ Stale ──unused for 100 d──▶ Ended
//! ```
//!
//! A screen that only looks is never asked for the password while it is in use. Whatever changes
//! configuration, access or money needs a [`Fresh`](Standing::Fresh) session, and a new login
//! makes one. A session that went stale stays so: using it again does not make it fresh.

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;
use metering::{Moment, UserId};

use crate::{SecretHash, Stamp};

/// What the browser has: 256 random bits. It is never kept and never shown but in the cookie.
pub struct SessionId([u8; 32]);

impl SessionId {
    fn new() -> Self {
        Self(rand::random())
    }

    /// The text of the cookie: 64 hexadecimal digits.
    pub fn cookie(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// What the store has, of the text of a cookie. Any text has a hash, and only a real id's is
    /// found.
    pub fn hash_of(cookie: &str) -> SecretHash {
        SecretHash::of(cookie.as_bytes())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Of the id.
    pub hash: SecretHash,
    /// Who logged in.
    pub user: UserId,
    /// When, unless the session has gone stale by being idle.
    pub login: Option<Stamp>,
    /// When it was used last, give or take [`Self::KEPT_EVERY`].
    pub used: Stamp,
}

impl Session {
    /// A new session of `user`, who has just proved who they are.
    pub fn open(user: UserId, now: &Moment) -> (SessionId, Self) {
        let id = SessionId::new();
        let hash = SessionId::hash_of(&id.cookie());
        let now = Stamp::of(now);
        (id, Self { hash, user, login: Some(now), used: now })
    }

    /// What it is good for.
    pub fn standing(&self, now: &Moment) -> Standing {
        let idle = self.used.age(now);
        if idle.is_some_and(|idle| idle > Self::ENDS_AFTER) {
            return Standing::Ended;
        }
        let since_login = self.login.and_then(|login| login.age(now));
        match (idle, since_login) {
            (Some(idle), Some(since_login))
                if idle <= Self::IDLE && since_login <= Self::FRESH_FOR =>
            {
                Standing::Fresh
            }
            // A wall clock that was set back takes freshness away, and nothing else.
            _ => Standing::Stale,
        }
    }

    /// Notes that it is used now; `true` if that has to be kept.
    ///
    /// A use within [`Self::KEPT_EVERY`] of the last one is not, which spares the flash disk a
    /// write with each request. So a session may count as idle that much too early, never too
    /// late.
    pub fn touch(&mut self, now: &Moment) -> bool {
        let idle = self.used.age(now);
        if idle.is_some_and(|idle| idle < Self::KEPT_EVERY) {
            return false;
        }
        if idle.is_none_or(|idle| idle > Self::IDLE) {
            self.login = None;
        }
        self.used = Stamp::of(now);
        true
    }

    /// Unused for longer, it has ended.
    pub const ENDS_AFTER: Duration = Duration::from_hours(100 * 24);
    /// How long after a login changes are taken without another.
    pub const FRESH_FOR: Duration = Duration::from_hours(12);
    /// Unused for longer, it takes no more changes.
    pub const IDLE: Duration = Duration::from_mins(30);
    /// How often a session in use is written down.
    pub const KEPT_EVERY: Duration = Duration::from_mins(5);
}

/// What a session is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything its user may.
    Fresh,
    /// Looking, but not for an act that [`changes`](crate::Act::changes).
    Stale,
    /// Nothing.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::tests::moment;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    fn user() -> UserId {
        "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap()
    }

    /// A session opened at 0 and used every 20 minutes until `used`, looked at at `now`.
    #[track_caller]
    fn check(used: i64, now: i64, expected: Standing) {
        let (_, mut session) = Session::open(user(), &moment(1, 0));
        for at in (0..=used).step_by(1_200) {
            session.touch(&moment(1, at));
        }
        session.touch(&moment(1, used));
        assert_eq!(session.standing(&moment(1, now)), expected);
    }

    #[test]
    fn it_is_fresh_for_twelve_hours_when_in_use() {
        check(12 * HOUR, 12 * HOUR, Standing::Fresh);
        check(12 * HOUR, 12 * HOUR + 1, Standing::Stale);
    }

    #[test]
    fn half_an_hour_unused_makes_it_stale() {
        check(HOUR, HOUR + 1_800, Standing::Fresh);
        check(HOUR, HOUR + 1_801, Standing::Stale);
    }

    #[test]
    fn using_it_again_does_not_make_it_fresh() {
        let (_, mut session) = Session::open(user(), &moment(1, 0));
        assert!(session.touch(&moment(1, 1_801)));
        assert_eq!(session.standing(&moment(1, 1_802)), Standing::Stale);
    }

    #[test]
    fn a_hundred_days_unused_end_it() {
        check(HOUR, HOUR + 100 * DAY, Standing::Stale);
        check(HOUR, HOUR + 100 * DAY + 1, Standing::Ended);
    }

    #[test]
    fn a_clock_that_was_set_back_takes_freshness_alone() {
        let (_, mut session) = Session::open(user(), &moment(1, 1_000));
        assert_eq!(session.standing(&moment(2, 0)), Standing::Stale);
        session.touch(&moment(2, 0));
        assert_eq!(session.standing(&moment(2, 10)), Standing::Stale);
        assert_eq!(session.login, None);
    }

    #[test]
    fn a_use_soon_after_another_is_not_written_down() {
        let (_, mut session) = Session::open(user(), &moment(1, 0));
        assert!(!session.touch(&moment(1, 299)));
        assert!(session.touch(&moment(1, 300)));
    }

    #[test]
    fn only_the_hash_of_the_id_is_kept_and_the_id_is_never_shown() {
        let (id, session) = Session::open(user(), &moment(1, 0));
        assert_eq!(SessionId::hash_of(&id.cookie()), session.hash);
        assert_eq!(id.cookie().len(), 64);
        assert_eq!(format!("{id:?}"), "SessionId(…)");
        assert_ne!(Session::open(user(), &moment(1, 0)).1.hash, session.hash);
    }
}
