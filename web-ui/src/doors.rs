//! What the listeners share: who waits for what, and how wrong tries to get in are slowed.
//!
//! All of it is in memory alone. Whatever is bounded here is refused with a
//! [`Problem`] when it is full, and nothing is queued for longer than ten seconds.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::{Challenges, Pace, SecretHash, Slowing, Totp, UserName};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;
use metering::{Moment, UserId};
use tokio::sync::{Semaphore, watch};

use crate::agreement::Agreed;
use crate::backups::Backup;
use crate::places::Places;
use crate::probed::ProbedDays;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::usual::UsualDays;

/// What all listeners share.
pub(crate) struct Doors {
    /// At most two passwords are hashed at once, so that logins are no way to use up the memory.
    hashing: Arc<Semaphore>,
    /// Pages that listen to live values. More are told to try again.
    pub(crate) streams: Places,
    /// Questions to the store that are asked, and those of them that are being answered.
    pub(crate) questions: Places,
    pub(crate) answering: Arc<Semaphore>,
    slowing: Mutex<SlowingOf>,
    /// Held by whoever changes people or sessions by what they have just read of them, so that
    /// nobody brings back what another takes away.
    pub(crate) people: tokio::sync::Mutex<()>,
    /// Held by whoever changes how far commissioning is.
    pub(crate) commissioning: tokio::sync::Mutex<()>,
    /// Held by whoever changes the papers of the building.
    pub(crate) papers: tokio::sync::Mutex<()>,
    /// Held by whoever changes the plans of the building.
    pub(crate) plans: tokio::sync::Mutex<()>,
    /// Told when sessions have ended: whoever listens looks whether it was theirs.
    pub(crate) ended: watch::Sender<()>,
    /// What devices with passkeys have to sign.
    pub(crate) challenges: Mutex<Challenges>,
    /// Apps that are being set up: one for a person, until it has shown a code.
    pub(crate) apps: Mutex<HashMap<UserId, Totp>>,
    /// What is usual for a day, which changes with the date only.
    pub(crate) usual: Mutex<UsualDays>,
    /// The newest backup that an owner has asked for.
    pub(crate) backup: Mutex<Backup>,
    /// How the cloud did on the days that have ended.
    pub(crate) probed: tokio::sync::Mutex<ProbedDays>,
    /// What of that the contract makes money.
    pub(crate) agreed: tokio::sync::Mutex<Agreed>,
}

struct SlowingOf {
    accounts: Slowing<String>,
    sources: Slowing<IpAddr>,
    /// Logins that were right: each keeps a session and an entry of the audit.
    logins: Slowing<UserId>,
    /// Wrong codes of an app. Only who knows the password comes so far, so that the wait may be
    /// long: there are but a million codes.
    codes: Slowing<UserId>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            hashing: Arc::new(Semaphore::new(2)),
            streams: Places::new(MOST_STREAMS, MOST_OF_ONE),
            questions: Places::new(MOST_QUESTIONS, MOST_OF_ONE),
            answering: Arc::new(Semaphore::new(2)),
            slowing: Mutex::new(SlowingOf {
                accounts: Slowing::new(Pace::ACCOUNT),
                sources: Slowing::new(Pace::SOURCE),
                logins: Slowing::new(LOGINS),
                codes: Slowing::new(Pace::SOURCE),
            }),
            commissioning: tokio::sync::Mutex::default(),
            papers: tokio::sync::Mutex::default(),
            plans: tokio::sync::Mutex::default(),
            people: tokio::sync::Mutex::default(),
            ended: watch::Sender::default(),
            challenges: Mutex::default(),
            apps: Mutex::default(),
            usual: Mutex::default(),
            backup: Mutex::default(),
            probed: tokio::sync::Mutex::default(),
            agreed: tokio::sync::Mutex::default(),
        }
    }
}

/// More than the people and screens of a building.
const MOST_STREAMS: usize = 128;

const MOST_QUESTIONS: usize = 128;

/// Several screens may share a user, and a browser asks six things at once.
const MOST_OF_ONE: usize = 16;

/// A hundred logins of one user without a day's rest are a program's, and fill the disk.
const LOGINS: Pace =
    Pace { free: 100, first: Duration::from_secs(1), most: Duration::from_mins(1) };

impl Doors {
    /// Counts a try to get in as `account` from `source`, before it is judged.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many wrong ones that it has to wait.
    pub(crate) fn knock(&self, account: &str, source: Source, now: &Moment) -> Result<(), Problem> {
        let now = now.boottime;
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = slowing.accounts.wait(account, now);
        let wait = wait.max(source.0.and_then(|source| slowing.sources.wait(&source, now)));
        if let Some(wait) = wait {
            tracing::warn!(%source, "many wrong tries to get in");
            return Err(slowed(wait));
        }
        slowing.accounts.count(account.to_owned(), now);
        if let Some(source) = source.0 {
            slowing.sources.count(source, now);
        }
        Ok(())
    }

    /// It was right.
    pub(crate) fn welcome(&self, account: &str, source: Source) {
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        slowing.accounts.forgive(account);
        if let Some(source) = source.0 {
            slowing.sources.forgive(&source);
        }
    }

    /// Counts a login of `user` that was right.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many that it has to wait.
    pub(crate) fn count_login(&self, user: UserId, now: &Moment) -> Result<(), Problem> {
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = slowing.logins.wait(&user, now.boottime) {
            return Err(slowed(wait));
        }
        slowing.logins.count(user, now.boottime);
        Ok(())
    }

    /// Counts a code of `user`'s app, before it is judged.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many wrong ones that it has to wait.
    pub(crate) fn count_code(&self, user: UserId, now: &Moment) -> Result<(), Problem> {
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = slowing.codes.wait(&user, now.boottime) {
            return Err(slowed(wait));
        }
        slowing.codes.count(user, now.boottime);
        Ok(())
    }

    /// It was right.
    pub(crate) fn forgive_code(&self, user: UserId) {
        self.slowing.lock().unwrap_or_else(PoisonError::into_inner).codes.forgive(&user);
    }

    /// Does `work`, which hashes one password, when its turn has come.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] if that would take too long.
    ///
    /// # Cancellation
    ///
    /// Work that has begun goes on when the visitor leaves, and keeps its turn until it is done.
    pub(crate) async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.hashing).acquire_owned();
        let busy = || {
            let detail = "Too many people are logging in at once. Try again in a moment.";
            Problem::new(Code::Busy, detail).retry_after(Duration::from_secs(5))
        };
        let Ok(Ok(turn)) = tokio::time::timeout(LONGEST_TURN, turn).await else {
            return Err(busy());
        };
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        worked.await.map_err(|_| Problem::stopping())
    }
}

fn slowed(wait: Duration) -> Problem {
    let detail = "There were too many tries. Wait, then try again.";
    Problem::new(Code::Slowed, detail).retry_after(wait)
}

/// As what a try to get in as `name` is counted.
///
/// Who still has a session of that user is counted on their own: a stranger's wrong tries must not
/// keep them from showing that they are who they were.
pub(crate) fn account(name: &UserName, before: Option<&Visitor>) -> String {
    let account = name.folded();
    match before {
        Some(before) if before.user.name.folded() == account => own_account(before.session.hash),
        _ => account,
    }
}

/// Names hold no control characters, so no name is this.
pub(crate) fn own_account(session: SecretHash) -> String {
    format!("\u{0}session {session}")
}

/// Wrong codes are slowed like passwords, for each source on its own: a code of 80 random bits is
/// not guessed, and a stranger's tries must not use up the hour in which it is good.
pub(crate) fn claim_account(source: Source) -> String {
    format!("\u{0}claim {source}")
}

/// A signature is not guessed either, but each try takes time and a line of the log.
pub(crate) fn passkey_account(source: Source) -> String {
    format!("\u{0}passkey {source}")
}

/// Nor is a link.
pub(crate) fn link_account(source: Source) -> String {
    format!("\u{0}link {source}")
}

/// A hash takes a quarter of a second on the slowest gateway, so this is a queue of eighty.
const LONGEST_TURN: Duration = Duration::from_secs(10);

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// Where a try came from. Nothing is charged to this machine: behind a proxy it is everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(Option<IpAddr>);

impl Source {
    fn of(extensions: &Extensions) -> Self {
        let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else {
            return Self(Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        };
        Self(listener::source(*peer))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("this machine"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.extensions))
    }
}
