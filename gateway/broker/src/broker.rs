//! The broker as a whole: what it is given, what it keeps, what it counts.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use access::{Pace, SecretHash, Slowing};
use rumqttc::{ConnectReturnCode, Login};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::{task, time};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::door::{self, Strangers};
use crate::hub::Hub;
use crate::kept;
use crate::retained::Most;
use crate::users::{Secret, User, Users};

/// How much of everything there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that have logged in.
    pub connections: usize,
    /// Connections that have not.
    pub strangers: usize,
    /// Of those, from one source.
    pub strangers_of_one: usize,
    /// How long a connection may take to log in, TLS included.
    pub login: Duration,
    /// How long a client may read nothing while there is something for it.
    pub stuck: Duration,
    /// Bytes of the longest packet: what zigbee2mqtt says of a hundred devices is half of it.
    pub packet: usize,
    /// Topics with a retained value.
    pub retained_topics: usize,
    /// Bytes of them all.
    pub retained_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            strangers: 256,
            strangers_of_one: 32,
            login: Duration::from_secs(15),
            stuck: Duration::from_secs(30),
            packet: 1 << 20,
            retained_topics: 100_000,
            retained_bytes: 48 << 20,
        }
    }
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are logged in now.
    pub connections: usize,
    /// Connections now that are not.
    pub strangers: usize,
    /// Topics that have a retained value now.
    pub retained: usize,
    /// Times that somebody logged in.
    pub logins: u64,
    /// Times that somebody could not: no user, a wrong password, or too many of them.
    pub refused: u64,
    /// Messages that came.
    pub messages: u64,
    /// Messages that a slow subscriber did not get.
    pub dropped: u64,
    /// Messages and subscriptions that no rule allowed.
    pub not_allowed: u64,
    /// Messages that were delivered and not retained, because there is too much already.
    pub not_retained: u64,
}

/// An MQTT broker. It runs in the futures of its functions, and stops with its token.
#[derive(Clone, Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
}

impl Broker {
    /// A broker for `users` that keeps what is retained in `file`.
    ///
    /// With the broker comes what was wrong with the file, if anything was: it starts without.
    pub fn open(
        file: Option<PathBuf>,
        users: Users,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> (Self, Option<io::Error>) {
        let most = Most { topics: limits.retained_topics, bytes: limits.retained_bytes };
        let mut hub = Hub::new(most);
        let trouble = match file.as_deref().map(kept::load).transpose() {
            Ok(messages) => {
                for message in messages.into_iter().flatten() {
                    if hub.retained.set(Arc::new(message), false).is_err() {
                        hub.counts.not_retained += 1;
                    }
                }
                hub.retained.take_unsaved();
                None
            }
            Err(error) => Some(error),
        };
        let shared = Shared {
            hub: Mutex::new(hub),
            users: Mutex::new(Arc::new(users)),
            gateway: Arc::new(User::gateway()),
            strangers: Strangers::default(),
            slowing: Mutex::new(Slowing::new(Pace::SOURCE)),
            proven: Mutex::default(),
            salt: rand::random(),
            hashing: Semaphore::new(HASHED_AT_ONCE),
            limits,
            started: Instant::now(),
            shutdown,
        };
        (Self { shared: Arc::new(shared), file }, trouble)
    }

    /// Lets clients in over TCP, or over TLS, until the shutdown.
    pub async fn listen(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        door::listen(&self.shared, listener, tls).await;
    }

    /// Lets the gateway itself in, which may everything, until the shutdown: every process of the
    /// same user as this one's.
    pub async fn listen_own(&self, listener: UnixListener) {
        door::listen_own(&self.shared, listener).await;
    }

    /// Writes what is retained to the file now and then, and once more at the shutdown.
    ///
    /// A power cut takes what was retained in the minutes before it: sensors say it again, and a
    /// file that is written for every message wears the flash.
    pub async fn keep(&self) {
        loop {
            let stops = self.shared.shutdown.run_until_cancelled(time::sleep(SAVE_EVERY)).await;
            if let Err(error) = self.save().await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "retained MQTT messages cannot be kept");
            }
            if stops.is_none() {
                return;
            }
        }
    }

    /// Writes what is retained to the file, if it has changed.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The old one is then still there.
    pub async fn save(&self) -> io::Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let Some(messages) = lock(&self.shared.hub).retained.take_unsaved() else { return Ok(()) };
        let saved = task::spawn_blocking(move || kept::save(&file, &messages)).await;
        let saved = saved.unwrap_or_else(|error| Err(io::Error::other(error)));
        if saved.is_err() {
            lock(&self.shared.hub).retained.not_saved();
        }
        saved
    }

    /// From now on these may connect. Who may not any more, or has another secret or other rules,
    /// is hung up on.
    pub fn set_users(&self, users: Users) {
        let users = Arc::new(users);
        *lock(&self.shared.users) = Arc::clone(&users);
        lock(&self.shared.proven).clear();
        let same = |user: &User| {
            user.is_gateway() || users.get(user.name()).is_some_and(|now| **now == *user)
        };
        lock(&self.shared.hub).keep_users(same);
    }

    /// What has happened since the start.
    pub fn counts(&self) -> Counts {
        let hub = lock(&self.shared.hub);
        Counts {
            connections: hub.connections(),
            strangers: self.shared.strangers.count(),
            retained: hub.retained.topics(),
            ..hub.counts
        }
    }
}

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Mutex<Hub>,
    users: Mutex<Arc<Users>>,
    pub(crate) gateway: Arc<User>,
    pub(crate) strangers: Strangers,
    slowing: Mutex<Slowing<IpAddr>>,
    /// Of those whose password was right: its hash with a salt that only this process knows, so
    /// that a sensor that connects every minute costs one argon2id and not one each time.
    proven: Mutex<HashMap<Box<str>, SecretHash>>,
    salt: [u8; 16],
    hashing: Semaphore,
    pub(crate) limits: Limits,
    started: Instant,
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    /// Who logs in from `source`, or the code of the refusal.
    pub(crate) async fn log_in(
        &self,
        login: Option<&Login>,
        source: Option<IpAddr>,
    ) -> Result<Arc<User>, ConnectReturnCode> {
        let refuse = |code| {
            lock(&self.hub).counts.refused += 1;
            Err(code)
        };
        let Some(login) = login else { return refuse(ConnectReturnCode::NotAuthorized) };
        if let Some(source) = source {
            let now = self.started.elapsed();
            let mut slowing = lock(&self.slowing);
            if slowing.wait(&source, now).is_some() {
                drop(slowing);
                return refuse(ConnectReturnCode::ServiceUnavailable);
            }
            slowing.count(source, now);
        }
        let users = Arc::clone(&lock(&self.users));
        let user = users.get(&login.username);
        if !self.is_right(user, &login.password).await {
            let user: String = login.username.chars().take(64).collect();
            tracing::warn!(user, ?source, "an MQTT client gave a wrong name or password");
            return refuse(ConnectReturnCode::BadUserNamePassword);
        }
        if let Some(source) = source {
            lock(&self.slowing).forgive(&source);
        }
        user.map_or(Err(ConnectReturnCode::BadUserNamePassword), |user| Ok(Arc::clone(user)))
    }

    /// Whether `user` may connect as it is now, with the same secret and rules.
    pub(crate) fn knows(&self, user: &Arc<User>) -> bool {
        user.is_gateway() || lock(&self.users).get(user.name()).is_some_and(|now| now == user)
    }

    /// Whether `text` is the secret of `user`.
    async fn is_right(&self, user: Option<&Arc<User>>, text: &str) -> bool {
        let kept = match user.and_then(|user| user.secret()) {
            None => return false, // Names are no secret.
            Some(Secret::Token(hash)) => return SecretHash::of(text.as_bytes()) == *hash,
            Some(Secret::Password(kept)) => kept.clone(),
        };
        let name = user.map(|user| Box::from(user.name())).unwrap_or_default();
        // With what is kept of it now: a password that was changed meanwhile proves nothing.
        let salted = SecretHash::of(&[&self.salt, kept.as_bytes(), text.as_bytes()].concat());
        if lock(&self.proven).get(&name) == Some(&salted) {
            return true;
        }
        // Each takes 19 MiB and some tenths of a second.
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        let text = text.to_owned();
        let right = task::spawn_blocking(move || access::verify(Some(&kept), &text)).await;
        let right = right.unwrap_or(false);
        if right {
            lock(&self.proven).insert(name, salted);
        }
        right
    }
}

/// What a panic left behind is still whole: nothing that can panic happens under a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const HASHED_AT_ONCE: usize = 2;

const SAVE_EVERY: Duration = Duration::from_mins(5);
