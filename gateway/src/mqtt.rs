//! MQTT: the gateway's own broker, and what the gateway says on it or on others.
//!
//! ```text
//!  sensors ──▶ own broker ──▶ ear (drivers) ──▶ ingest ──▶ live values
//!                  ▲                                          │
//!  displays ◀──────┴───────────── publisher ◀── topics ◀──────┘
//! ```
//!
//! | Module    | Is                                                                  |
//! |-----------|---------------------------------------------------------------------|
//! | `own`     | the broker, while `[broker]` of `site.toml` wants it, and its users |
//! | `topics`  | what is published: names and payloads, and nothing else             |
//! | `publish` | says it, again after each connecting                                |
//!
//! **Never true:** a value that nobody knows is published as a number, or what a broker has
//! acknowledged is therefore thrown away here.

mod own;
mod publish;
mod tidy;
mod topics;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;
use web_ui::{Live, Site};

use crate::config;
use crate::restart::restarted;
use crate::shown::Shown;
use own::{OwnBroker, socket};
pub(crate) use own::{load_users, save_users};
use publish::Publisher;
pub(crate) use publish::address;

/// What both tasks are given.
pub(crate) struct Parts {
    pub(crate) state: PathBuf,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) shutdown: CancellationToken,
}

/// The two tasks, and what they are told.
pub(crate) struct Mqtt {
    broker: watch::Sender<Option<config::OwnBroker>>,
    publish: watch::Sender<Vec<config::Publish>>,
    /// Whether the own broker can be reached.
    there: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Mqtt {
    /// Starts both for `site`.
    pub(crate) fn start(site: Option<&config::Site>, shown: &Shown, parts: Parts) -> Self {
        let tls =
            ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown.resolver());
        let broker = watch::Sender::new(site.and_then(|site| site.broker.clone()));
        let publish = watch::Sender::new(site.map(|it| it.publish.clone()).unwrap_or_default());
        let Parts { state, site, live, shutdown } = parts;
        let (said, there) = watch::channel(false);
        let own = OwnBroker {
            state: state.clone(),
            wanted: broker.subscribe(),
            tls: Arc::new(tls),
            there: said,
            shutdown: shutdown.clone(),
        };
        let publisher = Publisher {
            state,
            wanted: publish.subscribe(),
            site,
            live,
            shutdown: shutdown.clone(),
        };
        let tasks = [
            tokio::spawn(restarted(own, shutdown.clone())),
            tokio::spawn(restarted(publisher, shutdown)),
        ];
        Self { broker, publish, there, tasks }
    }

    /// Waits until the own broker can be reached, if there is to be one, so that no sensor's bus begins
    /// with a fault. A broker that cannot start keeps nobody waiting for long: it says why itself.
    pub(crate) async fn there(&mut self) {
        if self.broker.borrow().is_some() {
            drop(time::timeout(THERE_WITHIN, self.there.wait_for(|there| *there)).await);
        }
    }

    /// Does as `site` says from now on.
    pub(crate) fn take_over(&self, site: &config::Site) {
        fn tell<T: Clone + PartialEq>(to: &watch::Sender<T>, wanted: &T) {
            to.send_if_modified(|now| {
                let changed = now != wanted;
                now.clone_from(wanted);
                changed
            });
        }
        tell(&self.broker, &site.broker);
        tell(&self.publish, &site.publish);
    }

    /// Waits until what is retained is kept and the brokers know that the gateway is gone; the
    /// shutdown has begun.
    pub(crate) async fn stop(self) {
        let both = async {
            for task in self.tasks {
                drop(task.await);
            }
        };
        if time::timeout(STOP_WITHIN, both).await.is_err() {
            tracing::error!("MQTT did not stop in time");
        }
    }
}

/// To read what is retained and to open a socket.
const THERE_WITHIN: Duration = Duration::from_secs(2);

/// Of the five seconds of a stop; it began with them.
const STOP_WITHIN: Duration = Duration::from_millis(500);
