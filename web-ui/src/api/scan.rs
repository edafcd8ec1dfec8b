//! `POST /api/v1/buses/{bus}/scan`: who is on a bus, while its meters go on being read.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use metering::Medium;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Web;
use crate::api::told::TroubleBody;
use crate::handles::{FoundMeter, NotScanned, ScanKind, ScanOrder, ScanStatus, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};

/// Starts, pauses, goes on with or cancels the scan of a bus.
pub(crate) async fn scan(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(bus): Path<String>,
    Body(asked): Body<ScanRequest>,
) -> Result<Json<ScanBody>, Problem> {
    let order = asked.order()?;
    let to = bus.clone();
    let scan = web.wish(|reply| Wish::Scan { bus: to, order, reply }).await?;
    let scan = scan.map_err(problem)?;
    if !matches!(order, ScanOrder::Pause | ScanOrder::Resume) {
        let what = if scan.state.is_under_way() { "scan_started" } else { "scan_cancelled" };
        let detail = format!("{bus}, {}", scan.kind.as_str());
        let who = visitor.user.name.to_string();
        web.handles.core.audit(who, what.into(), detail).await?;
    }
    Ok(Json(ScanBody::of(&scan)))
}

fn problem(refused: NotScanned) -> Problem {
    let (code, detail) = match refused {
        NotScanned::NoSuchBus => {
            (Code::NoSuchBus, "The configuration in force has no bus with this id.")
        }
        NotScanned::Kind => (
            Code::NoScanHere,
            "Only an M-Bus can be searched for meters by primary or secondary addresses or both, \
             and only a Modbus by units.",
        ),
        NotScanned::Runs => (
            Code::ScanRuns,
            "A scan of this bus is under way already. Go on with that one, or cancel it first.",
        ),
        NotScanned::Nothing => (Code::NoScan, "No scan of this bus is under way."),
        NotScanned::Busy => (Code::Busy, "The bus has too much to do. Try again in a moment."),
    };
    Problem::new(code, detail)
}

/// What is wanted of a scan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanRequest {
    /// `start`, `pause`, `resume`, `cancel`.
    order: String,
    /// With `start`: `primary`, `secondary`, `both`; on a Modbus `units`.
    #[serde(default)]
    kind: Option<String>,
}

impl ScanRequest {
    fn order(&self) -> Result<ScanOrder, Problem> {
        let kind = self.kind.as_deref();
        match (self.order.as_str(), kind) {
            ("start", Some(kind)) => {
                let found = ScanKind::ALL.into_iter().find(|it| it.as_str() == kind);
                found.map(ScanOrder::Start).ok_or_else(|| {
                    let why =
                        format!("`{kind}` is no scan: it is primary, secondary, both or units");
                    Problem::malformed(why)
                })
            }
            ("start", None) => {
                Err(Problem::malformed("a start needs a kind: primary, secondary, both or units"))
            }
            ("pause", None) => Ok(ScanOrder::Pause),
            ("resume", None) => Ok(ScanOrder::Resume),
            ("cancel", None) => Ok(ScanOrder::Cancel),
            ("pause" | "resume" | "cancel", Some(_)) => {
                Err(Problem::malformed("only a start has a kind"))
            }
            (order, _) => {
                let why = format!("`{order}` is no order: it is start, pause, resume or cancel");
                Err(Problem::malformed(why))
            }
        }
    }
}

/// The scan of a bus that is under way or was the last; what it has found is told with the bus.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scan)]
pub(crate) struct ScanBody {
    /// `primary`, `secondary`, `both`, `units`.
    kind: &'static str,
    /// `running`, `paused`, `done`, `cancelled`, `failed`.
    state: &'static str,
    /// `primary`, `secondary`, `units`: by which addresses it looks now.
    looking: &'static str,
    /// What is asked next: `17`, `67FFFFFF`; `null` at the end.
    place: Option<String>,
    /// How many addresses or selections have been asked.
    asked: u32,
    /// How much has been gone through, in thousandths.
    permille: u16,
    /// How many seconds it takes to the end if it goes on as until now.
    rest_s: Option<u64>,
    began: Time,
    ended: Option<Time>,
    /// How many meters it has found.
    found: usize,
    /// At how many places several meters answer that cannot be told apart.
    several: usize,
    /// What keeps it from going on, or what ended it.
    trouble: Option<TroubleBody>,
}

impl ScanBody {
    pub(crate) fn of(scan: &ScanStatus) -> Self {
        Self {
            kind: scan.kind.as_str(),
            state: scan.state.as_str(),
            looking: scan.looking.as_str(),
            place: scan.place.clone(),
            asked: scan.asked,
            permille: scan.permille,
            rest_s: scan.rest.map(|rest| rest.as_secs()),
            began: Time(scan.began),
            ended: scan.ended.map(Time),
            found: scan.found.len(),
            several: scan.several.len(),
            trouble: scan.trouble.as_ref().map(TroubleBody::of),
        }
    }
}

/// A meter that a scan has found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundMeter)]
pub(crate) struct FoundBody {
    /// By which it can be asked: `5`, `67001122KAM0807`.
    address: String,
    /// Its address on the bus, or its unit number.
    primary: Option<u8>,
    /// Its own address, if it tells all of it.
    own: Option<String>,
    /// What it says that its number is; empty if it says nothing.
    serial: String,
    /// Its maker's three letters.
    manufacturer: String,
    /// Its generation.
    version: String,
    medium: Option<&'static str>,
    /// The id of the profile that fits it.
    profile: Option<String>,
    /// What that type of meter is called.
    model: Option<String>,
    /// The id of the meter of the configuration that it is.
    meter: Option<String>,
    /// The known address that its own is nearly: most likely a fault of the wire has made it up.
    nearly: Option<String>,
}

impl FoundBody {
    pub(crate) fn of(found: &FoundMeter, web: &Web) -> Self {
        let profile = found.profile.clone();
        let devices = Arc::clone(&web.handles.devices.borrow());
        let device = profile.as_ref().and_then(|id| devices.get(id));
        let model = device.map(|it| format!("{} {}", it.vendor, it.models.join(" / ")));
        Self {
            address: found.address.clone(),
            primary: found.primary,
            own: found.own.clone(),
            serial: found.serial.clone(),
            manufacturer: found.manufacturer.clone(),
            version: found.version.clone(),
            medium: found.medium.map(Medium::code),
            profile,
            model,
            meter: found.meter.map(|meter| meter.to_string()),
            nearly: found.nearly.clone(),
        }
    }
}
