//! `/api/v1/buses` and `/api/v1/status`: how the gateway is doing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use metering::Trust;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::meters::state_of;
use crate::api::scan::ScanBody;
use crate::api::told::TroubleBody;
use crate::handles::{BusInfo, BusState, MeterState, SyncStatus};
use crate::wire::Time;
use crate::{Live, Site, Status, Web};

/// Every bus of the configuration, in its order.
pub(crate) async fn buses(State(web): State<Arc<Web>>) -> Json<Vec<BusBody>> {
    Json(BusBody::list(&web.site(), &web.live(), &web.status()))
}

/// All parts of the gateway at once.
pub(crate) async fn status(State(web): State<Arc<Web>>) -> Json<StatusBody> {
    Json(StatusBody::of(&web))
}

/// A bus and how it is doing. Its counts are those since the daemon started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bus)]
pub(crate) struct BusBody {
    id: String,
    name: String,
    /// `mbus`, `modbus`.
    kind: &'static str,
    port: String,
    /// `up`, `down`, `starting`.
    state: &'static str,
    last_error: Option<BusError>,
    /// Questions that were answered.
    answered: u64,
    /// Questions that were not.
    failed: u64,
    /// Half of the answers came within this.
    median_ms: Option<u64>,
    /// 19 of 20 answers came within this.
    p95_ms: Option<u64>,
    /// How long the last round over all meters took.
    round_ms: Option<u64>,
    /// Meters on it.
    meters: usize,
    /// Of these, how many do not answer.
    silent: usize,
    /// How many meters are heard on it that are not in the configuration; `null` where nobody can
    /// be heard. They are told with the bus.
    strangers: Option<usize>,
    /// The scan that is under way or was the last; `null` before the first.
    scan: Option<ScanBody>,
}

/// What went wrong last on a bus.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BusError {
    at: Time,
    trouble: TroubleBody,
}

impl BusBody {
    pub(crate) fn list(site: &Site, live: &Live, status: &Status) -> Vec<Self> {
        site.buses.iter().map(|bus| Self::of(bus, site, live, status)).collect()
    }

    fn of(bus: &BusInfo, site: &Site, live: &Live, status: &Status) -> Self {
        let meters = || site.meters.iter().filter(|meter| meter.bus == bus.id);
        let silent = meters().filter(|meter| state_of(live, meter.id) == MeterState::Silent);
        let ms = |time: Option<Duration>| {
            time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        let told = status.buses.iter().find(|status| status.id == bus.id);
        Self {
            id: bus.id.clone(),
            name: bus.name.clone(),
            kind: bus.kind,
            port: bus.port.clone(),
            state: told.map_or(BusState::Starting, |told| told.state).as_str(),
            last_error: told
                .and_then(|told| told.last_error.as_ref())
                .map(|(at, trouble)| BusError { at: Time(*at), trouble: TroubleBody::of(trouble) }),
            answered: told.map_or(0, |told| told.answered),
            failed: told.map_or(0, |told| told.failed),
            median_ms: ms(told.and_then(|told| told.median)),
            p95_ms: ms(told.and_then(|told| told.p95)),
            round_ms: ms(told.and_then(|told| told.round)),
            meters: meters().count(),
            silent: silent.count(),
            strangers: told.and_then(|told| told.strangers.as_ref()).map(|all| all.heard.len()),
            scan: told.and_then(|told| told.scan.as_deref()).map(ScanBody::of),
        }
    }
}

/// How the gateway is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusBody {
    started_at: Time,
    version: &'static str,
    /// SHA-256 of the certificate.
    fingerprint: String,
    /// `untrusted`, `floor`, `holdover`, `synced`.
    clock: &'static str,
    store: StoreBody,
    buses: Vec<BusBody>,
    /// `null` if no cloud is configured.
    sync: Option<SyncBody>,
}

/// The store and its disk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Store)]
pub(crate) struct StoreBody {
    /// Readings stored since the daemon started.
    stored: u64,
    /// Readings on the disk that get their time once the clock is set.
    waiting: u64,
    /// Bytes.
    disk_free: u64,
    /// Bytes.
    disk_size: u64,
    /// In English; `null` if all is well.
    trouble: Option<String>,
}

impl StatusBody {
    pub(crate) fn of(web: &Web) -> Self {
        let (site, live, status) = (web.site(), web.live(), web.status());
        Self {
            started_at: Time(status.started_at),
            version: web.handles.version,
            fingerprint: web.certificate().to_compare().to_owned(),
            clock: trust_code(status.trust),
            store: StoreBody {
                stored: status.store.stored,
                waiting: status.store.waiting,
                disk_free: status.store.disk_free,
                disk_size: status.store.disk_size,
                trouble: status.store.trouble.clone(),
            },
            buses: BusBody::list(&site, &live, &status),
            sync: status.sync.as_ref().map(SyncBody::of),
        }
    }
}

/// As in the API.
pub(crate) const fn trust_code(trust: Trust) -> &'static str {
    match trust {
        Trust::Untrusted => "untrusted",
        Trust::Floor => "floor",
        Trust::Holdover => "holdover",
        Trust::Synced => "synced",
    }
}

/// Where the sync to the cloud stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sync)]
pub(crate) struct SyncBody {
    url: String,
    /// Whether the gateway has a certificate of that cloud.
    enrolled: bool,
    /// The cloud has confirmed every reading up to this number.
    acked: u64,
    /// The newest reading has this number.
    head: u64,
    /// How many readings are still to be confirmed.
    backlog: u64,
    last_contact: Option<Time>,
    /// In English; `null` once it works again.
    last_error: Option<String>,
    /// Readings that the cloud could not read and that were put aside, since the start.
    parked: u64,
    /// Bytes to and from the cloud in this calendar month; `null` until the clock is right.
    month: Option<MonthBody>,
    /// Until when the month's budget keeps what is new here; `null` when it does not.
    saves_until: Option<Time>,
}

/// Bytes to and from the cloud in a calendar month, TLS and HTTP included.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonthTraffic)]
#[expect(clippy::struct_field_names, reason = "a number never travels without its unit")]
pub(crate) struct MonthBody {
    /// Of the readings.
    sync_bytes: u64,
    /// Of the probes of its uptime.
    probe_bytes: u64,
    /// What may go over the line, if there is a limit.
    budget_bytes: Option<u64>,
}

impl SyncBody {
    pub(crate) fn of(sync: &SyncStatus) -> Self {
        Self {
            url: sync.url.clone(),
            enrolled: sync.enrolled,
            acked: sync.acked,
            head: sync.head,
            backlog: sync.head.saturating_sub(sync.acked),
            last_contact: sync.last_contact.map(Time),
            last_error: sync.last_error.clone(),
            parked: sync.parked,
            month: sync.month.map(|month| MonthBody {
                sync_bytes: month.sync_bytes,
                probe_bytes: month.probe_bytes,
                budget_bytes: month.budget_bytes,
            }),
            saves_until: sync.saves_until.map(Time),
        }
    }
}
