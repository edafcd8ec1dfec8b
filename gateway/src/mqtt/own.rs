//! The gateway's own broker: off until `[broker]` in `site.toml` switches it on.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::{Broker, Limits, Users};
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::restart::Task;

/// The task.
pub(crate) struct OwnBroker {
    pub(crate) state: PathBuf,
    pub(crate) wanted: watch::Receiver<Option<config::OwnBroker>>,
    /// Of the pages, and of the broker.
    pub(crate) tls: Arc<ServerConfig>,
    /// Whether the gateway itself can come in by now.
    pub(crate) there: watch::Sender<bool>,
    pub(crate) shutdown: CancellationToken,
}

impl Task for OwnBroker {
    fn name(&self) -> String {
        "broker".to_owned()
    }

    async fn live(&mut self) {
        while !self.shutdown.is_cancelled() {
            let wanted = self.wanted.borrow_and_update().clone();
            let stop = self.shutdown.child_token();
            let mut changed = self.wanted.clone();
            let until = async {
                tokio::select! {
                    () = self.shutdown.cancelled() => {}
                    _ = changed.changed() => {}
                }
                stop.cancel();
            };
            match wanted {
                None => until.await,
                Some(wanted) => drop(tokio::join!(self.run(&wanted, &stop), until)),
            }
        }
    }
}

impl OwnBroker {
    /// Runs the broker until `stop`, to the last retained message.
    async fn run(&self, wanted: &config::OwnBroker, stop: &CancellationToken) {
        let users = match load_users(&self.state) {
            Ok(users) => users,
            Err(error) => {
                tracing::error!("{error:#}; nobody can log in to the broker until it is mended");
                Users::default()
            }
        };
        let file = self.state.join(RETAINED);
        let opened = {
            let (users, stop) = (users.clone(), stop.clone());
            let open = move || Broker::open(Some(file), users, Limits::default(), stop);
            tokio::task::spawn_blocking(open).await
        };
        let (broker, trouble) = match opened {
            Ok(opened) => opened,
            // It is said, and tried again, by whoever keeps this task running.
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => return,
        };
        if let Some(error) = trouble {
            tracing::error!("the broker starts without retained messages: {error}");
        }
        let tls = Some(TlsAcceptor::from(Arc::clone(&self.tls)));
        tokio::join!(
            broker.keep(),
            self.own_socket(&broker, stop),
            over_tcp(&broker, wanted.listen, tls, stop),
            over_tcp(&broker, wanted.plain, None, stop),
            self.follow_users(&broker, users, stop),
            tell(&broker, stop),
        );
    }

    async fn own_socket(&self, broker: &Broker, stop: &CancellationToken) {
        let path = socket(&self.state);
        // What the last run left behind: nobody else makes sockets in the state directory.
        drop(std::fs::remove_file(&path));
        match UnixListener::bind(&path) {
            Ok(listener) => {
                self.there.send_replace(true);
                broker.listen_own(listener).await;
            }
            Err(error) => {
                let path = path.display();
                tracing::error!(%path, %error, "the gateway cannot reach its own broker");
                stop.cancelled().await;
            }
        }
        self.there.send_replace(false);
        drop(std::fs::remove_file(&path));
    }

    /// Takes over the users when their file has changed.
    async fn follow_users(&self, broker: &Broker, users: Users, stop: &CancellationToken) {
        let mut users = Ok(users);
        while stop.run_until_cancelled(time::sleep(LOOK_EVERY)).await.is_some() {
            let now = load_users(&self.state).map_err(|error| format!("{error:#}"));
            if now == users {
                continue;
            }
            match &now {
                Ok(now) => {
                    tracing::info!(users = now.iter().count(), "the broker's users are taken over");
                    broker.set_users(now.clone());
                }
                Err(error) => tracing::error!("{error}; the broker's users stay as they were"),
            }
            users = now;
        }
    }
}

/// Listens at `address` until `stop`; a port that another program has is tried again.
async fn over_tcp(
    broker: &Broker,
    address: Option<SocketAddr>,
    tls: Option<TlsAcceptor>,
    stop: &CancellationToken,
) {
    let Some(address) = address else { return };
    let mut said = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if !said => {
                tracing::error!(%address, %error, "the broker cannot listen here; trying on");
                said = true;
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    };
    let scheme = if tls.is_some() { "mqtts" } else { "mqtt" };
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!("broker at {scheme}://{address}");
    broker.listen(listener, tls).await;
}

/// Says what was dropped, refused or not retained since it said so last.
async fn tell(broker: &Broker, stop: &CancellationToken) {
    let mut before = broker.counts();
    while stop.run_until_cancelled(time::sleep(TELL_EVERY)).await.is_some() {
        let now = broker.counts();
        let more = |count: fn(&broker::Counts) -> u64| count(&now).saturating_sub(count(&before));
        let (dropped, refused) = (more(|it| it.dropped), more(|it| it.refused));
        let (not_allowed, not_retained) = (more(|it| it.not_allowed), more(|it| it.not_retained));
        if dropped + refused + not_allowed + not_retained > 0 {
            let connections = now.connections;
            tracing::warn!(dropped, refused, not_allowed, not_retained, connections, "broker");
        }
        before = now;
    }
}

/// Where the gateway itself comes in.
pub(crate) fn socket(state: &Path) -> PathBuf {
    state.join("mqtt.sock")
}

/// The broker's users; none without a file.
pub(crate) fn load_users(state: &Path) -> anyhow::Result<Users> {
    let file = state.join(USERS);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Users::default()),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", file.display()));
        }
    };
    Users::parse(&text).with_context(|| format!("{} is not taken", file.display()))
}

/// Puts `users` in place of those that there are.
pub(crate) fn save_users(state: &Path, users: &Users) -> anyhow::Result<()> {
    let file = state.join(USERS);
    crate::keys::put(&file, &users.to_string())
        .with_context(|| format!("{} cannot be written", file.display()))
}

const USERS: &str = "mqtt-users.toml";
const RETAINED: &str = "mqtt-retained";

/// A user who was added waits so long, and a port that was taken.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const TELL_EVERY: Duration = Duration::from_mins(10);
