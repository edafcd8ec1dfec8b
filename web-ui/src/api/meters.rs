//! `/api/v1/meters`: the list, one meter, and reading it now.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use access::Act;
use axum::Json;
use axum::extract::{Path, State};
use metering::{Identity, MeterId, NoReading, Register};
use serde::Serialize;
use store::{Latest, Snapshot, Step, StoreError};
use utoipa::ToSchema;

use crate::api::told::{DeviceBody, SaidBody, TroubleBody};
use crate::figures::{self, UsedBy};
use crate::handles::{LiveMeter, LiveValue, LowBattery, MeterInfo, MeterState, NotRead, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::told::{Device, Devices};
use crate::wire::{Amount, Time, unit_of};
use crate::{Live, Site, Web};

/// Every meter that the visitor sees, in the order of the configuration.
pub(crate) async fn meters(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<Vec<MeterBody>>, Problem> {
    let (site, live, now_ms) = (web.site(), web.live(), web.now().wall_ms());
    let who = visitor.clone();
    let meters = web.ask(&who, move |store| {
        let today = store.civil().period(Step::Day, now_ms).start..now_ms;
        let seen = site.meters.iter().filter(|meter| visitor.user.sees(meter.id));
        seen.map(|meter| {
            let live = live.meters.get(&meter.id).map(Arc::as_ref);
            MeterBody::of(store, meter, live, &today)
        })
        .collect()
    });
    Ok(Json(meters.await?))
}

/// One meter with all of its registers.
pub(crate) async fn meter(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<MeterDetail>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?;
    let live = web.live().meters.get(&meter.id).cloned();
    Ok(Json(detail(&web, &visitor, meter.clone(), live).await?))
}

/// Has the meter asked between the polls. One that stays silent is no failure: its state says it.
pub(crate) async fn read(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<MeterDetail>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.clone();
    let asked = web.wish(|reply| Wish::ReadNow { meter: meter.id, reply }).await?;
    let answer = asked.map_err(|problem| match problem {
        NotRead::Unknown => Problem::no_such_meter(),
        NotRead::Busy => {
            let detail = "Others are having meters of this bus read. Try again in a moment.";
            Problem::new(Code::Busy, detail)
        }
    })?;
    Ok(Json(detail(&web, &visitor, meter, Some(answer)).await?))
}

/// Takes notice of a battery that is running low, in the name of who is logged in.
pub(crate) async fn see_battery(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<MeterDetail>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.clone();
    let who = visitor.user.name.to_string();
    // That it is well by now is no failure: the answer shows it.
    web.wish(|reply| Wish::SeeBattery { meter: meter.id, who, reply }).await?;
    let live = web.live().meters.get(&meter.id).cloned();
    Ok(Json(detail(&web, &visitor, meter, live).await?))
}

/// The meter with this id, if the visitor may know its values.
pub(crate) fn seen<'s>(
    site: &'s Site,
    visitor: &Visitor,
    id: &str,
) -> Result<&'s MeterInfo, Problem> {
    let meter = id.parse().ok().and_then(|id| site.meter(id)).ok_or_else(Problem::no_such_meter)?;
    if visitor.user.sees(meter.id) {
        return Ok(meter);
    }
    let role = visitor.user.role;
    let detail = "This meter is not one of yours. Ask the owner of the building.";
    Err(Problem::new(Code::NotAllowed, detail).with("role", &role))
}

async fn detail(
    web: &Web,
    visitor: &Visitor,
    meter: MeterInfo,
    live: Option<Arc<LiveMeter>>,
) -> Result<MeterDetail, Problem> {
    let inspects = visitor.may(Act::Inspect);
    let now_ms = web.now().wall_ms();
    let devices = Arc::clone(&web.handles.devices.borrow());
    let status = web.status();
    let question = move |store: &Snapshot<'_>| {
        let today = store.civil().period(Step::Day, now_ms).start..now_ms;
        let live = live.as_deref();
        let shown = live.filter(|_| inspects);
        Ok(MeterDetail {
            meter: MeterBody::of(store, &meter, live, &today)?,
            address: meter.address.clone(),
            profile: meter.profile.clone(),
            device: device(&devices, &meter).map(DeviceBody::of),
            poll_every_secs: meter.poll_every.as_secs(),
            identity: live.and_then(|live| live.identity.as_ref()).map(IdentityBody::of),
            took_ms: live.and_then(LiveMeter::took_ms),
            error: shown.and_then(|live| live.error.as_ref()).map(TroubleBody::of),
            battery: status.batteries.get(&meter.id).map(BatteryBody::of),
            registers: registers(store, meter.id, live),
            said: live.map(|live| live.said.iter().map(SaidBody::of).collect()).unwrap_or_default(),
            telegrams: shown.map(|live| live.telegrams.iter().map(|it| hex(it)).collect()),
        })
    };
    web.ask(visitor, question).await
}

/// What is known of the meter's type.
fn device<'d>(devices: &'d Devices, meter: &MeterInfo) -> Option<&'d Device> {
    devices.get(meter.profile.as_ref()?).map(Arc::as_ref)
}

/// What the last answer held, and of the store what earlier ones did.
fn registers(store: &Snapshot<'_>, meter: MeterId, live: Option<&LiveMeter>) -> Vec<RegisterBody> {
    let mut registers: Vec<RegisterBody> = Vec::new();
    let values = live.map(|live| live.values.as_slice()).unwrap_or_default();
    let kept = store.latest(meter);
    let resolutions: HashMap<&Register, &Latest> =
        kept.iter().map(|latest| (&latest.series.register, latest)).collect();
    for value in values {
        let mut body = RegisterBody::of_live(value);
        if let (None, Some(latest)) = (&body.unit, resolutions.get(&value.register)) {
            body.unit = Some(unit_of(latest.series.resolution));
            body.decimals = Some(latest.series.resolution.decimals());
        }
        registers.push(body);
    }
    let told =
        |latest: &&Latest| values.iter().all(|value| value.register != latest.series.register);
    registers.extend(kept.iter().filter(told).map(RegisterBody::of_latest));
    registers
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl LiveMeter {
    /// How long the last answer took, in whole milliseconds.
    pub(crate) fn took_ms(&self) -> Option<u64> {
        self.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How a meter is doing.
pub(crate) fn state_of(live: &Live, meter: MeterId) -> MeterState {
    live.meters.get(&meter).map_or(MeterState::New, |live| live.state)
}

/// A meter in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Meter)]
pub(crate) struct MeterBody {
    id: String,
    name: String,
    /// `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`;
    /// `null` until something tells.
    medium: Option<&'static str>,
    bus: String,
    /// The meter whose consumption includes this one's.
    part_of: Option<String>,
    simulated: bool,
    /// `ok`, `late`, `silent`, `new`.
    state: &'static str,
    /// When it was asked last.
    at: Option<Time>,
    /// When it answered last.
    last_answer: Option<Time>,
    /// Why the newest question has no answer; `null` if it has.
    reason: Option<&'static str>,
    /// The value that it is known by.
    main: Option<MainValue>,
    /// What it has counted since local midnight.
    today: Option<Today>,
}

/// The value that a meter is known by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MainValue {
    register: String,
    /// Decimal text.
    value: String,
    /// ASCII code.
    unit: String,
    at: Time,
}

/// What a meter has counted since local midnight.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Today {
    register: String,
    /// Decimal text.
    value: String,
    /// ASCII code.
    unit: String,
    /// Readings that came.
    got: u32,
    /// Readings that were expected.
    expected: u32,
}

impl MeterBody {
    fn of(
        store: &Snapshot<'_>,
        meter: &MeterInfo,
        live: Option<&LiveMeter>,
        today: &Range<i64>,
    ) -> Result<Self, StoreError> {
        let main = live.and_then(|live| figures::main_value(meter.medium, live));
        let main = main.and_then(|value| Some((value, value.value.ok()?)));
        let points = store.points(meter.id);
        let counter = figures::counter(meter.medium, points.iter().map(|point| &point.register));
        let today = match counter {
            Some(register) => Today::of(store, meter.id, register, today.clone())?,
            None => None,
        };
        Ok(Self {
            id: meter.id.to_string(),
            name: meter.name.clone(),
            medium: meter.medium.map(metering::Medium::code),
            bus: meter.bus.clone(),
            part_of: meter.part_of.map(|id| id.to_string()),
            simulated: meter.simulated,
            state: live.map_or(MeterState::New, |live| live.state).as_str(),
            at: live.map(|live| Time(live.at)),
            last_answer: live.and_then(|live| live.last_answer).map(Time),
            reason: live.and_then(|live| live.absent).map(NoReading::as_str),
            main: main.map(|(value, quantity)| {
                let Amount { value: decimal, unit } = Amount::of(quantity);
                let (register, at) = (value.register.to_string(), Time(value.at));
                MainValue { register, value: decimal, unit, at }
            }),
            today,
        })
    }
}

impl Today {
    /// `None` where nothing is known, or where the meter was exchanged today for one that counts
    /// in steps that cannot be added.
    fn of(
        store: &Snapshot<'_>,
        meter: MeterId,
        register: &Register,
        today: Range<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let used = UsedBy::ask(store, meter, register, today, Step::Hour)?;
        let totals = used.totals();
        let newest = totals.last().map(|total| total.resolution());
        let total = newest.and_then(|newest| figures::sum(&totals, newest));
        Ok(total.map(|total| {
            let Amount { value, unit } = Amount::of(total);
            let coverage = used.coverage();
            let (got, expected) = (coverage.got, coverage.expected);
            Self { register: register.to_string(), value, unit, got, expected }
        }))
    }
}

/// A meter with everything that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeterDetail {
    #[serde(flatten)]
    meter: MeterBody,
    /// On its bus.
    address: String,
    /// Of its device profile.
    profile: Option<String>,
    /// What that says of its type.
    device: Option<DeviceBody>,
    poll_every_secs: u64,
    /// Which device answered last.
    identity: Option<IdentityBody>,
    /// How long its last answer took.
    took_ms: Option<u64>,
    /// What went wrong last. Only for those who may inspect.
    error: Option<TroubleBody>,
    /// A battery that is running low; `null` if none is.
    battery: Option<BatteryBody>,
    /// Those of the last answer, then those that only earlier ones held.
    registers: Vec<RegisterBody>,
    /// What the last answer said besides: dates, texts, versions, and what cannot be read.
    said: Vec<SaidBody>,
    /// The last answer in hexadecimal digits; `null` for those who may not inspect.
    telegrams: Option<Vec<String>>,
}

/// A battery that is running low.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Battery)]
pub(crate) struct BatteryBody {
    /// What tells so: `status`, `flag`, `share`, `lifetime`.
    sign: &'static str,
    /// How much is left, where that is told.
    level: Option<Amount>,
    since: Time,
    /// Who has taken notice of it.
    seen_by: Option<String>,
    seen_at: Option<Time>,
}

impl BatteryBody {
    fn of(battery: &LowBattery) -> Self {
        let (seen_by, seen_at) = battery.seen.clone().unzip();
        Self {
            sign: battery.sign.as_str(),
            level: battery.level.map(Amount::of),
            since: Time(battery.since),
            seen_by,
            seen_at: seen_at.map(Time),
        }
    }
}

/// Which device answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
pub(crate) struct IdentityBody {
    serial: String,
    manufacturer: String,
    version: String,
}

impl IdentityBody {
    fn of(identity: &Identity) -> Self {
        Self {
            serial: identity.serial.clone(),
            manufacturer: identity.manufacturer.clone(),
            version: identity.version.clone(),
        }
    }
}

/// One register and what it showed last.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Register)]
pub(crate) struct RegisterBody {
    register: String,
    /// `counter`, `gauge`, `flag`.
    kind: &'static str,
    /// ASCII code; `null` until a value tells.
    unit: Option<String>,
    decimals: Option<i8>,
    /// Decimal text.
    value: Option<String>,
    /// Why there is no value.
    reason: Option<&'static str>,
    at: Time,
    /// `good`, `implausible`, `stale`, `time_estimated`.
    quality: &'static str,
    /// `live`, `meter_memory`, `correction`, `import`, `simulated`, `forecast`.
    origin: &'static str,
}

impl RegisterBody {
    pub(crate) fn of_live(value: &LiveValue) -> Self {
        let resolution = value.value.ok().map(metering::Quantity::resolution);
        Self {
            register: value.register.to_string(),
            kind: value.kind.code(),
            unit: resolution.map(unit_of),
            decimals: resolution.map(metering::Resolution::decimals),
            value: value.value.ok().map(metering::Quantity::decimal),
            reason: value.value.err().map(NoReading::as_str),
            at: Time(value.at),
            quality: value.quality.as_str(),
            origin: value.origin.as_str(),
        }
    }

    fn of_latest(latest: &Latest) -> Self {
        let resolution = latest.series.resolution;
        Self {
            register: latest.series.register.to_string(),
            kind: latest.series.kind.code(),
            unit: Some(unit_of(resolution)),
            decimals: Some(resolution.decimals()),
            value: latest.value.ok().map(metering::Quantity::decimal),
            reason: latest.value.err().map(NoReading::as_str),
            at: Time::of_ms(latest.at_ms),
            quality: latest.quality.as_str(),
            origin: latest.origin.as_str(),
        }
    }
}
