//! `/api/v1/commission`: the wizard that takes a gateway from its box to a signed report.
//!
//! Every answer that changes something is the whole state, so that two phones that work on one building show the
//! same after each of their steps.

pub(crate) mod meter;
pub(crate) mod place;
pub(crate) mod report;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use energy::{Check, Verdict};
use metering::{Medium, NoReading, Quantity, Resolution, Unit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::buses::trust_code;
use crate::api::meters::state_of;
use crate::commission::plate::{self, Verdict as Compared};
use crate::commission::{Commission, Draw, Plate, STEPS, Work, checks};
use crate::handles::MeterInfo;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::{Amount, Body, Time};
use crate::{Live, Site, Web};

/// How far it is.
pub(crate) async fn commission(
    State(web): State<Arc<Web>>,
) -> Result<Json<CommissionBody>, Problem> {
    told(&web).await
}

/// Goes to a step. What was done stays done.
pub(crate) async fn step(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Step>,
) -> Result<Json<CommissionBody>, Problem> {
    if !STEPS.contains(&&*asked.step) {
        let why = format!("`step` is one of {}", STEPS.join(", "));
        return Err(Problem::malformed(why));
    }
    Commission::change(&web, &visitor, |it| {
        it.step = asked.step;
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Puts a name under the report. What is changed afterwards is not under it, and the report says so.
pub(crate) async fn sign(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Signing>,
) -> Result<Json<CommissionBody>, Problem> {
    let name = asked.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 80 {
        return Err(Problem::malformed("a signature has a name of 1 to 80 characters"));
    }
    let points: usize = asked.strokes.iter().map(Vec::len).sum();
    let inside = |point: &(u16, u16)| point.0 <= 1_000 && point.1 <= 400;
    if points == 0 || points > MOST_POINTS || !asked.strokes.iter().flatten().all(inside) {
        let why = format!("a signature has 1 to {MOST_POINTS} points on a field of 1000 by 400");
        return Err(Problem::malformed(why));
    }
    let (user, at_ms) = (visitor.user.name.to_string(), web.now().wall_ms());
    let version = web.site().version;
    Commission::change(&web, &visitor, |it| {
        let (strokes, changes) = (asked.strokes, it.changes);
        it.signed =
            Some(crate::commission::Signed { name, user, at_ms, strokes, changes, version });
        Ok(())
    })
    .await?;
    let who = visitor.user.name.to_string();
    web.handles.core.audit(who, "commissioning_signed".into(), String::new()).await?;
    told(&web).await
}

/// A signature of a minute.
const MOST_POINTS: usize = 4_000;

async fn told(web: &Web) -> Result<Json<CommissionBody>, Problem> {
    let commission = Commission::load(web).await?;
    Ok(Json(CommissionBody::of(web, &commission)))
}

/// The step to go to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// `claim`, `site`, `buses`, `scan`, `meters`, `plates`, `checks`, `cloud`, `report`.
    step: String,
}

/// Who takes responsibility for the report.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signing {
    /// In full, as it stands under the report.
    name: String,
    /// The lines of the signature: each through points on a field 1000 wide and 400 high.
    #[schema(value_type = Vec<Vec<Vec<u16>>>)]
    strokes: Vec<Vec<(u16, u16)>>,
}

/// How far commissioning is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Commission)]
pub(crate) struct CommissionBody {
    /// Where it stands: `claim`, `site`, `buses`, `scan`, `meters`, `plates`, `checks`, `cloud`,
    /// `report`; empty before the first.
    step: String,
    /// Who changed it last; empty if nobody did.
    who: String,
    at: Option<Time>,
    /// Whether there is a building at all.
    has_site: bool,
    /// The version of the configuration in force.
    version: u64,
    /// `untrusted`, `floor`, `holdover`, `synced`.
    clock: &'static str,
    now: Time,
    meters: Vec<CommissionedMeter>,
    signed: Option<SignedBody>,
}

/// A signature under the report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedBody {
    name: String,
    at: Time,
    /// Whether something was changed since, so that the name does not stand under it.
    changed: bool,
}

/// A meter and what was done with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommissionedMeter {
    id: String,
    name: String,
    bus: String,
    address: String,
    medium: Option<&'static str>,
    /// What its type is called.
    model: Option<String>,
    place: Option<String>,
    tags: Vec<String>,
    part_of: Option<String>,
    /// The number that it tells; `null` before its first answer.
    serial: Option<String>,
    /// `ok`, `late`, `silent`, `new`.
    state: &'static str,
    /// Why the newest question has no answer.
    reason: Option<&'static str>,
    read_at: Option<Time>,
    /// Those that can be compared with its display, the totals first.
    values: Vec<Displayed>,
    checks: Vec<CheckBody>,
    draw: Option<DrawBody>,
    test: Option<TestBody>,
    /// The SHA-256 of each photo, in hex.
    photos: Vec<String>,
    remark: String,
}

/// A value that a meter shows, and what somebody read off the display.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Displayed {
    register: String,
    /// `counter`, `gauge`, `flag`.
    kind: &'static str,
    value: Amount,
    plate: Option<PlateBody>,
}

/// What somebody read off the display.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlateBody {
    shown: Amount,
    /// What the meter said at that moment.
    read: Amount,
    /// `same`, `too_little`, `too_much`, `unit`, `different`.
    verdict: &'static str,
    /// How many times too little or too much.
    factor: Option<i64>,
    /// The unit in which the two would be the same.
    unit: Option<String>,
    who: String,
    at: Time,
}

/// A physics check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PhysicsCheck)]
pub(crate) struct CheckBody {
    /// `sensors`, `difference`, `power`, `lifetime`, `energy`, `direction`, `pulses`, `parts`.
    pub(crate) what: &'static str,
    /// `good`, `open`, `wrong`.
    pub(crate) verdict: &'static str,
    /// What is wrong, or why nothing can be told; the language files have a sentence for each.
    pub(crate) code: Option<&'static str>,
    /// The figures of that sentence.
    pub(crate) figures: Vec<FigureBody>,
}

/// A figure of a sentence.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FigureBody {
    pub(crate) name: &'static str,
    /// Decimal text.
    pub(crate) value: String,
}

/// An amount that is drawn while a meter counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DrawBody {
    register: String,
    from: Amount,
    at: Time,
    counted: Option<Amount>,
    drawn: Option<Amount>,
}

/// How the test reading went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestBody {
    at: Time,
    answered: bool,
    took_ms: Option<u64>,
}

impl CommissionBody {
    fn of(web: &Web, commission: &Commission) -> Self {
        let (site, live, now) = (web.site(), web.live(), web.now());
        let none = Work::default();
        let meters = site.meters.iter().map(|meter| {
            let work = commission.meters.get(&meter.id).unwrap_or(&none);
            CommissionedMeter::of(web, meter, work, &site, &live, commission)
        });
        Self {
            step: commission.step.clone(),
            who: commission.who.clone(),
            at: (commission.at_ms > 0).then(|| Time::of_ms(commission.at_ms)),
            has_site: site.id.is_some(),
            version: site.version,
            clock: trust_code(now.trust),
            now: Time(now.wall),
            meters: meters.collect(),
            signed: commission.signed.as_ref().map(|signed| SignedBody {
                name: signed.name.clone(),
                at: Time::of_ms(signed.at_ms),
                changed: commission.changed_since(signed, &site),
            }),
        }
    }
}

impl CommissionedMeter {
    fn of(
        web: &Web,
        meter: &MeterInfo,
        work: &Work,
        site: &Site,
        live: &Live,
        commission: &Commission,
    ) -> Self {
        let it = live.meters.get(&meter.id);
        let devices = Arc::clone(&web.handles.devices.borrow());
        let device = meter.profile.as_ref().and_then(|id| devices.get(id));
        let identity = it.and_then(|it| it.identity.as_ref());
        let values = it.map(|it| it.values.as_slice()).unwrap_or_default();
        let values = values.iter().filter_map(|value| {
            let register = value.register.to_string();
            if !checks::is_looked_at(&register) && !work.plates.contains_key(&register) {
                return None;
            }
            let read = value.value.ok()?;
            let counts = value.kind == store::Kind::Counter;
            let plate = work.plates.get(&register).and_then(|it| PlateBody::of(it, counts));
            let (kind, value) = (value.kind.code(), Amount::of(read));
            Some(Displayed { register, kind, value, plate })
        });
        Self {
            id: meter.id.to_string(),
            name: meter.name.clone(),
            bus: meter.bus.clone(),
            address: meter.address.clone(),
            medium: meter.medium.map(Medium::code),
            model: device.map(|it| format!("{} {}", it.vendor, it.models.join(" / "))),
            place: meter.place.clone(),
            tags: meter.tags.clone(),
            part_of: meter.part_of.map(|id| id.to_string()),
            serial: identity.map(|it| it.serial.clone()).filter(|it| !it.is_empty()),
            state: state_of(live, meter.id).as_str(),
            reason: it.and_then(|it| it.absent).map(NoReading::as_str),
            read_at: it.and_then(|it| it.last_answer).map(Time),
            values: values.collect(),
            checks: checks::of(meter, site, live, commission).iter().map(CheckBody::of).collect(),
            draw: work.draw.as_ref().and_then(DrawBody::of),
            test: work.test.map(|test| TestBody {
                at: Time::of_ms(test.at_ms),
                answered: test.answered,
                took_ms: test.took_ms,
            }),
            photos: work.photos.clone(),
            remark: work.remark.clone(),
        }
    }
}

impl PlateBody {
    /// `None` of a kept plate that makes no sense.
    fn of(plate: &Plate, counts: bool) -> Option<Self> {
        let (shown, read) = (plate.shown.quantity()?, plate.read.quantity()?);
        let verdict = plate::compared(shown, read, counts);
        Some(Self {
            shown: Amount::of(shown),
            read: Amount::of(read),
            verdict: verdict.as_str(),
            factor: match verdict {
                Compared::TooLittle(factor) | Compared::TooMuch(factor) => Some(factor),
                _ => None,
            },
            unit: match verdict {
                Compared::Unit(unit) => Some(unit.code().to_owned()),
                _ => None,
            },
            who: plate.who.clone(),
            at: Time::of_ms(plate.at_ms),
        })
    }
}

impl CheckBody {
    pub(crate) fn of(check: &Check) -> Self {
        let (verdict, code, params) = match check.verdict {
            Verdict::Good => ("good", None, Vec::new()),
            Verdict::Open(why) => ("open", Some(why.as_str()), Vec::new()),
            Verdict::Wrong(wrong) => ("wrong", Some(wrong.as_str()), wrong.params()),
        };
        let figures = params
            .into_iter()
            .map(|(name, steps, decimals)| FigureBody { name, value: decimal(steps, decimals) });
        Self { what: check.what.as_str(), verdict, code, figures: figures.collect() }
    }
}

impl DrawBody {
    fn of(draw: &Draw) -> Option<Self> {
        let amount = |kept: &crate::commission::Kept| kept.quantity().map(Amount::of);
        let (counted, drawn) =
            draw.done.as_ref().map(|(it, drawn)| (amount(it), amount(drawn))).unzip();
        Some(Self {
            register: draw.register.clone(),
            from: amount(&draw.from)?,
            at: Time::of_ms(draw.from_ms),
            counted: counted.flatten(),
            drawn: drawn.flatten(),
        })
    }
}

/// `412` with one decimal is `41.2`.
fn decimal(steps: i64, decimals: u8) -> String {
    let resolution = Resolution::new(i8::try_from(decimals).unwrap_or(0), Unit::One);
    resolution.map_or_else(String::new, |it| Quantity::new(steps, it).decimal())
}
