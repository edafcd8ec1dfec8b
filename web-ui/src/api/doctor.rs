//! `GET /api/v1/buses/{bus}`: what the wire doctor has seen, what is most likely wrong, what
//! a scan has found, and who else is heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Web;
use crate::api::buses::BusBody;
use crate::api::scan::FoundBody;
use crate::api::strangers::StrangerBody;
use crate::handles::{BusFinding, BusHealth, MeterHealth};
use crate::problem::{Code, Problem};
use crate::wire::Time;

/// One bus of the configuration.
pub(crate) async fn bus(
    State(web): State<Arc<Web>>,
    Path(bus): Path<String>,
) -> Result<Json<BusDetail>, Problem> {
    let (site, status) = (web.site(), web.status());
    let all = BusBody::list(&site, &web.live(), &status);
    let at = site.buses.iter().position(|info| info.id == bus);
    let body = at.and_then(|at| all.into_iter().nth(at));
    let told = status.buses.iter().find(|told| told.id == bus);
    let health = told.and_then(|told| told.health.as_deref()).map(Health::of);
    let scan = told.and_then(|told| told.scan.as_deref());
    let found = scan.into_iter().flat_map(|scan| &scan.found);
    let found = found.map(|found| FoundBody::of(found, &web)).collect();
    let several = scan.map(|scan| scan.several.clone()).unwrap_or_default();
    let strangers = told.and_then(|told| told.strangers.as_ref());
    let strangers = strangers.map(|all| all.heard.iter().map(StrangerBody::of).collect());
    let strangers = strangers.unwrap_or_default();
    body.map(|bus| Json(BusDetail { bus, health, found, several, strangers }))
        .ok_or_else(|| Problem::new(Code::NoSuchBus, "The configuration has no bus with this id."))
}

/// A bus and its wire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BusDetail {
    bus: BusBody,
    /// `null` on a Modbus, and before the first question.
    health: Option<Health>,
    /// What the last scan has found.
    found: Vec<FoundBody>,
    /// Where several meters answered it at once and could not be told apart.
    several: Vec<String>,
    /// Who is heard and is not in the configuration.
    strangers: Vec<StrangerBody>,
}

/// How a wire is. Counts are kept over restarts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// What is most likely wrong, the likeliest cause first; empty if all is well.
    findings: Vec<FindingBody>,
    /// The meters that have been asked, in the order of the configuration.
    meters: Vec<MeterHealthBody>,
    /// What all meters draw together, 1.5 mA each.
    unit_loads: u32,
    /// What the level converter is built for, if the configuration tells.
    max_unit_loads: Option<u32>,
    /// How often the port could not be used after it could.
    port_failures: u32,
}

/// One thing that is most likely wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingBody {
    /// `same_address`, `cut_off`, `wrong_speed`, ...; the language files have a sentence and an
    /// advice for each.
    code: &'static str,
    /// At which meter; `null` for the wire as a whole.
    meter: Option<String>,
    /// That meter's address.
    address: Option<String>,
    /// How many: meters, damaged answers, frames, unit loads.
    count: u32,
    /// Of how many; 0 where that means nothing.
    of: u32,
    since: Option<Time>,
    /// The device that is known, where one is held back.
    known: Option<String>,
    /// The device that is held back.
    held: Option<String>,
}

/// What one meter has shown on its wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterHealth)]
pub(crate) struct MeterHealthBody {
    meter: String,
    /// Since when it is watched.
    since: Time,
    /// By name: `polls`, `answered`, `retries`, `checksum_errors`, `collisions`, ...
    counts: BTreeMap<&'static str, u32>,
    /// How many answers began within a time and not within that of the bin before.
    times: Vec<Bin>,
    median_ms: Option<u64>,
    /// 19 of 20 answers began within this.
    p95_ms: Option<u64>,
    answered_at: Option<Time>,
    silent_since: Option<Time>,
    /// How often it fell silent, for two questions or more.
    silent_times: u32,
    /// The longest silence that is over, in seconds.
    silent_longest_s: u64,
    /// The device that answers, by its own address.
    device: Option<String>,
    /// The device that is held back.
    held: Option<String>,
}

/// One bin of a histogram.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bin {
    /// Its longest time, in microseconds.
    up_to_us: u64,
    count: u32,
}

impl Health {
    fn of(health: &BusHealth) -> Self {
        Self {
            findings: health.findings.iter().map(FindingBody::of).collect(),
            meters: health.meters.iter().map(MeterHealthBody::of).collect(),
            unit_loads: health.unit_loads,
            max_unit_loads: health.max_unit_loads,
            port_failures: health.port_failures,
        }
    }
}

impl FindingBody {
    fn of(finding: &BusFinding) -> Self {
        let (known, held) = finding.devices.clone().unzip();
        Self {
            code: finding.code,
            meter: finding.meter.map(|meter| meter.to_string()),
            address: finding.address.clone(),
            count: finding.count,
            of: finding.of,
            since: finding.since.map(Time),
            known,
            held,
        }
    }
}

impl MeterHealthBody {
    fn of(health: &MeterHealth) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bin = |(up_to, count): &(Duration, u32)| Bin {
            up_to_us: u64::try_from(up_to.as_micros()).unwrap_or(u64::MAX),
            count: *count,
        };
        Self {
            meter: health.meter.to_string(),
            since: Time(health.since),
            counts: health.counts.iter().copied().collect(),
            times: health.times.iter().map(bin).collect(),
            median_ms: health.median.map(ms),
            p95_ms: health.p95.map(ms),
            answered_at: health.answered.map(Time),
            silent_since: health.silent_since.map(Time),
            silent_times: health.silent_times,
            silent_longest_s: health.silent_longest.as_secs(),
            device: health.device.clone(),
            held: health.held.clone(),
        }
    }
}
