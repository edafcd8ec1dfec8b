//! Dashboard, commissioning and API of one gateway.
//!
//! ```text
//!            ┌ Host, Origin, time-out ┐   ┌ session, role ┐
//! browser ──▶│         guard          │──▶│    routes     │──▶ api::* ──▶ store, ledger
//!            └────────────────────────┘   └───────────────┘       └─────▶ Wish ──▶ daemon
//!                         └── everything else ──▶ assets: the built front end
//! ```
//!
//! [`WebUi::router`] is made from one table of routes, each with its method, path, what its visitor
//! must be allowed, and its entry in the API's description. Binding, TLS and shutting down are the
//! caller's.
//!
//! **Invariant:** this crate never sees the daemon. It reads the store, looks at three `watch`es and
//! sends wishes.
//!
//! **Invariant:** a request without a session reads no value, and one whose role is too small
//! changes nothing. The table says who may what, and a test goes through all of it.
//!
//! **Invariant:** the only JSON of the gateway is made here. What goes over the wire are structs of
//! the `api` modules, converted by hand; changing one changes `openapi.json`, which a test
//! compares.

mod agreement;
mod api;
mod assets;
mod backups;
mod building;
mod certificate;
mod chronicle;
mod claim;
mod commission;
mod doors;
mod errands;
mod figures;
mod guard;
mod handles;
mod live;
mod meter_keys;
mod meter_list;
mod papers;
mod passkeys;
mod people;
mod places;
mod plans;
mod ports;
mod probed;
mod problem;
mod proven;
mod questions;
mod restores;
mod routes;
mod scan;
mod session;
mod sticks;
#[cfg(test)]
mod tests;
mod texts;
mod told;
#[cfg(test)]
mod types;
mod usual;
mod watchful;
mod wire;
mod wishes;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use metering::Clock;
use store::{Core, Readers};
use tokio::sync::{mpsc, watch};

pub use agreement::{Agreement, hundredths};
pub use api::{COUNTERSIGNED, UNSIGNED_BECAUSE};
pub use backups::{BackupMade, NotBackedUp};
pub use certificate::{CertificateFlaw, CertificateOrder, PagesCertificate, Whose};
pub use chronicle::Chronicle;
pub use claim::open_claim;
pub use commission::edit::put as put_into_toml;
pub use errands::{Errand, ErrandOrder, Errands, Leave, NotObeyed};
pub use handles::WrongProfile;
pub use handles::{BatterySign, LowBattery};
pub use handles::{
    BmsPoint, BmsStatus, BusFinding, BusHealth, BusInfo, BusState, BusStatus, ConfigProblem,
    FoundMeter, Heard, HeardStranger, Live, LiveMeter, LiveValue, MeterHealth, MeterInfo,
    MeterState, Mistake, MonthTraffic, NewFigure, NewSpan, NotEnrolled, NotRead, NotRecorded,
    NotSaved, NotScanned, NotTaken, NotTried, Owed, PortFound, PortTried, ScanKind, ScanOrder,
    ScanState, ScanStatus, Site, SpanChange, Status, StoreStatus, Strangers, SyncStatus, Wish,
};
pub use meter_keys::{KeptKey, KeyOrder, KeysKept, KeysRefused, Secret};
pub use proven::{AuditStands, BrokenEntry, HistoryProof, VersionStands};
pub use restores::{Held, NotRestored, RestoreOrder, RestoreStands, Restoring};
pub use sticks::{Copying, NotOnStick, OnStick, Stick, StickOrder, StickReply, Sticks};
pub use told::{Device, Devices, RegisterWords, Said, SaidKind, Trouble, TroubleCode, Words};

/// Everything that the pages are given.
#[derive(Clone, Debug)]
pub struct Handles {
    /// The history.
    pub readers: Readers,
    /// People, sessions, versions of the configuration, probe attempts.
    pub core: Core,
    /// What is installed.
    pub site: watch::Receiver<Arc<Site>>,
    /// The newest values.
    pub live: watch::Receiver<Arc<Live>>,
    /// How the gateway is doing.
    pub status: watch::Receiver<Arc<Status>>,
    /// The Modbus server for the building's management system.
    pub bms: watch::Receiver<Arc<BmsStatus>>,
    /// What the types of meters are called and say. It does not change while the daemon runs.
    pub devices: watch::Receiver<Arc<Devices>>,
    /// The credits that can still be claimed.
    pub owed: watch::Receiver<Arc<Vec<Owed>>>,
    /// What people ask of the daemon. When it is full they are told to try again.
    pub wishes: mpsc::Sender<Wish>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The certificate that the pages come with.
    pub certificate: watch::Receiver<Arc<PagesCertificate>>,
    /// Of the program.
    pub version: &'static str,
}

/// How a router is reached. It decides what the session's cookie looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Over TLS: the cookie is `Secure` and bound to this host.
    Https,
    /// Over plain HTTP, which the caller serves on the loopback address and nowhere else: for the
    /// demo, and for a proxy on the same machine.
    PlainLoopback,
}

/// The pages of one gateway.
#[derive(Clone)]
pub struct WebUi {
    handles: Handles,
    /// Shared by all listeners, so that a second one is no second chance to guess.
    doors: Arc<doors::Doors>,
    own_hosts: Arc<HashSet<String>>,
}

impl WebUi {
    /// Pages that answer to `own_hosts`, such as `fyrhus-7k2m.local`, and to every IP address and
    /// `localhost`. A request for another name is refused: it comes from a page elsewhere, whose
    /// name was pointed at this address.
    pub fn new(handles: Handles, own_hosts: Vec<String>) -> Self {
        let own_hosts = own_hosts.into_iter().map(|host| host.to_lowercase()).collect();
        Self { handles, doors: Arc::default(), own_hosts: Arc::new(own_hosts) }
    }

    /// Everything that is served at `listener`.
    ///
    /// The caller puts the peer's address into each request
    /// ([`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo)): it is the source to which wrong
    /// passwords are charged. Without it all visitors are one source.
    pub fn router(&self, listener: Listener) -> axum::Router {
        let web = Web {
            handles: self.handles.clone(),
            doors: Arc::clone(&self.doors),
            own_hosts: Arc::clone(&self.own_hosts),
            listener,
        };
        routes::router(Arc::new(web))
    }
}

impl fmt::Debug for WebUi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebUi").field("own_hosts", &self.own_hosts).finish_non_exhaustive()
    }
}

/// What every handler sees.
struct Web {
    handles: Handles,
    doors: Arc<doors::Doors>,
    own_hosts: Arc<HashSet<String>>,
    listener: Listener,
}

impl Web {
    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.handles.site.borrow())
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.handles.live.borrow())
    }

    fn bms(&self) -> Arc<BmsStatus> {
        Arc::clone(&self.handles.bms.borrow())
    }

    fn certificate(&self) -> Arc<PagesCertificate> {
        Arc::clone(&self.handles.certificate.borrow())
    }

    fn owed(&self) -> Arc<Vec<Owed>> {
        Arc::clone(&self.handles.owed.borrow())
    }

    fn status(&self) -> Arc<Status> {
        Arc::clone(&self.handles.status.borrow())
    }
}
