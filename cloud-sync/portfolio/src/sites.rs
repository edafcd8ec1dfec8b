//! `/api/v1/sites`: the buildings, and what their meters show now.
//!
//! The shapes are those of the gateway's API wherever both show the same, so that one page can draw
//! both.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use access::{Act, Role};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, SecondsFormat};
use metering::{GatewayId, Medium, MeterId, NoReading, Origin, Quantity, Register, SiteId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sync_wire::{Kind, limits};
use utoipa::{IntoParams, ToSchema};

use crate::authority::ms;
use crate::branches::{Reach, TagId};
use crate::dwellings::{self, SeenBody};
use crate::handover::{ReleasedBody, TakenOverBody};
use crate::people::People;
use crate::position::PositionBody;
use crate::problem::{Code, Problem};
use crate::quota;
use crate::repository::{
    Alarm, Completeness, Gateway, MeterState, NewCode, NewestReading, Repository, Series, Site,
};
use crate::tags::Asked;

/// For how long a one-time code for a gateway is good.
pub(crate) const CODE_LASTS: Duration = Duration::from_hours(1);

/// A gateway that has been quiet for so long is late: twice the interval of one on a SIM card.
const LATE: Duration = Duration::from_mins(30);

/// `GET /sites`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Vec<SiteBody>>, Problem> {
    let asked = Asked::new(&people, reach, question?.0.tag).await?;
    Ok(Json(bodies(&people, &asked).await?))
}

/// `?tag=…`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    #[param(value_type = Option<String>)]
    tag: Option<TagId>,
}

/// The buildings that are asked for, by name.
pub(crate) async fn bodies<R: Repository>(
    people: &People<R>,
    asked: &Asked,
) -> Result<Vec<SiteBody>, Problem> {
    let now_ms = people.clock.now().wall_ms();
    let complete = people.repository.completeness(None, days_before(now_ms)).await?;
    let mut meters = people.repository.newest(None).await?;
    let mut sites = people.repository.sites().await?;
    let beyond = people.settings.quota.beyond(&sites, &meters);
    sites.retain(|site| asked.has(site));
    let body = |site: Site| {
        let meters = meters.remove(&site.id).unwrap_or_default();
        let complete = complete.get(&site.id).copied();
        SiteBody::of(site, &meters, &beyond, complete, asked.reach(), now_ms)
    };
    Ok(sites.into_iter().map(body).collect())
}

/// Days of the list's completeness: a weekend is in it, and what is older is on the site's own page.
const DAYS: i64 = 7;

/// So many, and what of today is over.
fn days_before(now_ms: i64) -> Range<i64> {
    now_ms.saturating_sub(DAYS * 24 * 3_600_000)..now_ms
}

/// `GET /sites/{site}`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<Json<WholeSiteBody>, Problem> {
    let site = found(&people, site?.0).await?;
    let meters = meters_of(&people, site.id).await?;
    let beyond = quota::beyond(&people).await?;
    let dwellings = people.repository.dwellings(site.id).await?;
    let is_dwelling = |meter: &MeterState| dwellings.iter().any(|it| it.meter == meter.id);
    let body = |meter| MeterBody::of(meter, &beyond, is_dwelling(meter));
    let meters_list = meters.iter().map(body).collect();
    let now_ms = people.clock.now().wall_ms();
    let complete = people.repository.completeness(Some(site.id), days_before(now_ms)).await?;
    let complete = complete.get(&site.id).copied();
    let counted = site.counted.clone();
    let site = SiteBody::of(site, &meters, &beyond, complete, &reach, now_ms);
    let dwellings = dwellings.len();
    Ok(Json(WholeSiteBody { site, meters_list, counted, dwellings }))
}

/// `GET /sites/{site}/meters/{meter}`
pub(crate) async fn meter<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
) -> Result<Json<WholeMeterBody>, Problem> {
    let Path((site, meter)) = path?;
    let site = found(&people, site).await?;
    let meters = meters_of(&people, site.id).await?;
    let meter = meters.iter().find(|state| state.id == meter).ok_or_else(no_such_meter)?;
    let dwellings = people.repository.dwellings(site.id).await?;
    let dwelling = match dwellings.iter().find(|it| it.meter == meter.id) {
        Some(dwelling) => Some(dwellings::seen(&people, &user, site.id, dwelling).await?),
        None => None,
    };
    let is_open = dwelling.as_ref().is_none_or(|it| it.stated && it.fine);
    let register = |it: &(Series, Option<NewestReading>)| {
        if is_open { RegisterBody::of(it) } else { RegisterBody::of(&(it.0.clone(), None)) }
    };
    let registers = meter.registers.iter().map(register).collect();
    let site = InSite { id: site.id, name: site.name, time_zone: site.time_zone };
    let beyond = quota::beyond(&people).await?;
    let meter = MeterBody::of(meter, &beyond, !is_open);
    Ok(Json(WholeMeterBody { meter, site, registers, dwelling }))
}

/// `POST /enrol-codes`
pub(crate) async fn enrol_code<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    wanted: Result<Json<NewCodeBody>, JsonRejection>,
) -> Result<(StatusCode, Json<CodeBody>), Problem> {
    let Json(NewCodeBody { site_name, place }) = wanted?;
    let site_name = site_name.trim();
    if site_name.is_empty() || is_unfit(site_name) {
        let most = limits::NAME_BYTES;
        let detail =
            format!("A site's name has 1 to {most} bytes of UTF-8 and no control characters.");
        return Err(Problem::new(Code::NameWrong, detail));
    }
    let place = place.map(|place| place.trim().to_owned()).filter(|place| !place.is_empty());
    if place.as_deref().is_some_and(is_unfit) {
        let most = limits::NAME_BYTES;
        let detail =
            format!("A place has at most {most} bytes of UTF-8 and no control characters.");
        return Err(Problem::new(Code::NameWrong, detail));
    }
    let quota = people.settings.quota;
    if quota.gateways.is_some() {
        quota.one_more(&people.repository.sites().await?, site_name)?;
    }
    let now_ms = people.clock.now().wall_ms();
    let code = people.settings.authority.new_code();
    let expires_ms = now_ms.saturating_add(ms(CODE_LASTS));
    let kept = NewCode {
        sha256: Sha256::digest(code.secret()).into(),
        site_name: site_name.to_owned(),
        place,
        expires_ms,
    };
    let site = people.repository.add_code(kept, now_ms).await?;
    tracing::info!(by = %user.name, %site, "one-time code made");
    let url = people.settings.gateways_url.clone();
    Ok((StatusCode::CREATED, Json(CodeBody::new(&code, url, expires_ms, site))))
}

/// Whether a name would not go through the sync, or not onto a page.
fn is_unfit(name: &str) -> bool {
    name.len() > limits::NAME_BYTES || name.contains(char::is_control)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEnrolCode)]
pub(crate) struct NewCodeBody {
    site_name: String,
    place: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnrolCode)]
pub(crate) struct CodeBody {
    code: String,
    url: String,
    expires_at: String,
    #[schema(value_type = String)]
    site: SiteId,
}

impl CodeBody {
    pub(crate) fn new(code: &dyn ToString, url: String, expires_ms: i64, site: SiteId) -> Self {
        Self { code: code.to_string(), url, expires_at: time(expires_ms), site }
    }
}

/// `DELETE /sites/{site}/gateway`: its certificates are taken off the list.
pub(crate) async fn revoke<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let site = found(&people, site?.0).await?;
    let count = people.repository.revoke(site.id, people.clock.now().wall_ms()).await?;
    tracing::warn!(by = %user.name, site = %site.id, count, "certificates revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /sites/{site}/alarms/{alarm}`: somebody has looked.
pub(crate) async fn clear_alarm<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    path: Result<Path<(SiteId, i64)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((site, alarm)) = path?;
    let now_ms = people.clock.now().wall_ms();
    if !people.repository.clear_alarm(site, alarm, now_ms).await? {
        return Err(Problem::new(Code::NoSuchAlarm, "The site has no such alarm."));
    }
    tracing::info!(by = %user.name, %site, alarm, "alarm cleared");
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn found<R: Repository>(
    people: &People<R>,
    site: SiteId,
) -> Result<Site, Problem> {
    let found = people.repository.site(site).await?;
    found.ok_or_else(no_such_site)
}

pub(crate) fn no_such_site() -> Problem {
    Problem::new(Code::NoSuchSite, "There is no site with this id.")
}

pub(crate) async fn meters_of<R: Repository>(
    people: &People<R>,
    site: SiteId,
) -> Result<Vec<MeterState>, Problem> {
    Ok(people.repository.newest(Some(site)).await?.remove(&site).unwrap_or_default())
}

pub(crate) fn no_such_meter() -> Problem {
    Problem::new(Code::NoSuchMeter, "The site has no meter with this id.")
}

/// RFC 3339 with `Z`.
pub(crate) fn time(ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteRow)]
pub(crate) struct SiteBody {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    place: Option<String>,
    time_zone: String,
    gateway: Option<GatewayBody>,
    state: &'static str,
    last_contact: Option<String>,
    acked: Option<u64>,
    head: Option<u64>,
    pub(crate) backlog: Option<u64>,
    newest_reading: Option<String>,
    pub(crate) meters: usize,
    pub(crate) silent: usize,
    /// Meters and sensors beyond what was agreed: they are read like the others.
    beyond_quota: usize,
    #[schema(value_type = Vec<String>)]
    media: Vec<Medium>,
    /// Of the last days; absent where nothing was expected.
    pub(crate) completeness: Option<CompletenessBody>,
    pub(crate) alarms: Vec<AlarmBody>,
    pub(crate) area_m2: Option<u32>,
    /// Those that whoever asks knows of.
    #[schema(value_type = Vec<String>)]
    pub(crate) tags: Vec<TagId>,
    position: Option<PositionBody>,
    /// Its gateway went to another owner.
    released: Option<ReleasedBody>,
    /// Its gateway came from another owner.
    taken_over: Option<TakenOverBody>,
    /// What whoever asks may do here.
    can: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Completeness)]
pub(crate) struct CompletenessBody {
    days: i64,
    pub(crate) expected: u64,
    pub(crate) got: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gateway)]
struct GatewayBody {
    #[schema(value_type = String)]
    id: GatewayId,
    enrolled_at: String,
    /// Of its program; absent while it has not said.
    version: Option<String>,
    certificate_until: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub(crate) struct AlarmBody {
    id: i64,
    code: &'static str,
    params: BTreeMap<&'static str, String>,
    since: String,
}

impl SiteBody {
    fn of(
        site: Site,
        meters: &[MeterState],
        beyond: &BTreeSet<MeterId>,
        complete: Option<Completeness>,
        reach: &Reach,
        now_ms: i64,
    ) -> Self {
        let state = site.gateway.as_ref().and_then(|gateway| gateway.state);
        let quiet_ms = state.map(|state| now_ms.saturating_sub(state.last_contact_ms));
        let newest = meters.iter().filter_map(MeterView::of).map(|view| view.at_ms).max();
        let mut media: Vec<Medium> = meters.iter().map(|meter| meter.medium).collect();
        media.sort_unstable();
        media.dedup();
        // It came from another owner, and is not enrolled with this one yet.
        let listed = site.gateway.as_ref().and_then(|gateway| gateway.certificate_until_ms);
        let is_to_come = site.taken_over.is_some() && listed.is_none();
        Self {
            id: site.id,
            name: site.name,
            place: site.place,
            time_zone: site.time_zone,
            gateway: site.gateway.as_ref().map(GatewayBody::of),
            state: match quiet_ms {
                _ if site.released.is_some() => "released",
                _ if is_to_come => "waiting",
                None => "waiting",
                Some(quiet) if quiet > ms(LATE) => "late",
                Some(_) if complete.is_some_and(|it| it.lacks_much()) => "incomplete",
                Some(_) => "ok",
            },
            last_contact: state.map(|state| time(state.last_contact_ms)),
            acked: state.map(|state| state.acked),
            head: state.map(|state| state.head),
            backlog: state.map(|state| state.head.saturating_sub(state.acked)),
            newest_reading: newest.map(time),
            meters: meters.len(),
            silent: meters.iter().filter(|meter| is_silent(meter)).count(),
            beyond_quota: meters.iter().filter(|meter| beyond.contains(&meter.id)).count(),
            media,
            completeness: complete.map(|it| CompletenessBody {
                days: DAYS,
                expected: it.expected,
                got: it.got,
            }),
            alarms: site.alarms.iter().map(AlarmBody::of).collect(),
            area_m2: site.area_m2,
            tags: site.tags.into_iter().filter(|tag| reach.knows(*tag)).collect(),
            position: site.position.map(PositionBody::of),
            released: site.released.map(ReleasedBody::of),
            taken_over: site.taken_over.map(TakenOverBody::of),
            can: reach.at(site.id).into_iter().flat_map(Role::acts).map(Act::as_str).collect(),
        }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.state == "late"
    }
}

impl GatewayBody {
    fn of(gateway: &Gateway) -> Self {
        Self {
            id: gateway.id,
            enrolled_at: time(gateway.enrolled_ms),
            version: gateway.version.clone(),
            certificate_until: gateway.certificate_until_ms.map(time),
        }
    }
}

impl AlarmBody {
    fn of(alarm: &Alarm) -> Self {
        let mut params = BTreeMap::new();
        if alarm.to > 0 {
            params.insert("from", alarm.from.to_string());
            params.insert("to", alarm.to.to_string());
            params.insert("count", alarm.count.to_string());
        }
        let since = time(alarm.since_ms);
        Self { id: alarm.alarm, code: alarm.code.as_str(), params, since }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Site)]
pub(crate) struct WholeSiteBody {
    #[serde(flatten)]
    site: SiteBody,
    meters_list: Vec<MeterBody>,
    /// The meters that count for all of the building.
    #[schema(value_type = Option<Vec<String>>)]
    counted: Option<Vec<MeterId>>,
    /// How many of its meters are a dwelling's.
    dwellings: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterRow)]
struct MeterBody {
    #[schema(value_type = String)]
    id: MeterId,
    name: String,
    #[schema(value_type = String)]
    medium: Medium,
    simulated: bool,
    /// It is more than was agreed. It is read like the others.
    beyond_quota: bool,
    state: &'static str,
    at: Option<String>,
    last_answer: Option<String>,
    reason: Option<&'static str>,
    main: Option<MainBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MainValue)]
struct MainBody {
    #[schema(value_type = String)]
    register: Register,
    value: String,
    unit: String,
    at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Meter)]
pub(crate) struct WholeMeterBody {
    #[serde(flatten)]
    meter: MeterBody,
    site: InSite,
    registers: Vec<RegisterBody>,
    /// How it is shown, if it is a dwelling's.
    dwelling: Option<SeenBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct InSite {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    time_zone: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Register)]
struct RegisterBody {
    #[schema(value_type = String)]
    register: Register,
    kind: &'static str,
    unit: String,
    decimals: i8,
    value: Option<String>,
    reason: Option<&'static str>,
    at: Option<String>,
    quality: Option<&'static str>,
    origin: Option<&'static str>,
}

/// What a meter's registers come to.
struct MeterView {
    at_ms: i64,
    last_answer_ms: Option<i64>,
    reason: Option<NoReading>,
    simulated: bool,
}

impl MeterView {
    /// `None` for a meter of which nothing was ever read.
    fn of(meter: &MeterState) -> Option<Self> {
        let newest: Vec<&NewestReading> =
            meter.registers.iter().filter_map(|(_, newest)| newest.as_ref()).collect();
        let last = newest.iter().max_by_key(|newest| newest.reading.at_ms)?;
        let at_ms = last.reading.at_ms;
        // A register that is left out does not make a meter silent while the others answer.
        let answered = newest
            .iter()
            .any(|newest| newest.reading.at_ms == at_ms && newest.reading.value.is_ok());
        Some(Self {
            at_ms,
            last_answer_ms: newest
                .iter()
                .filter_map(|newest| newest.last_value.map(|(at_ms, _)| at_ms))
                .max(),
            reason: if answered { None } else { last.reading.value.err() },
            simulated: newest.iter().any(|newest| newest.reading.origin == Origin::Simulated),
        })
    }
}

fn is_silent(meter: &MeterState) -> bool {
    MeterView::of(meter).is_some_and(|view| view.reason.is_some())
}

impl MeterBody {
    /// Of one that is `withheld` no value is told.
    fn of(meter: &MeterState, beyond: &BTreeSet<MeterId>, withheld: bool) -> Self {
        let view = MeterView::of(meter);
        Self {
            id: meter.id,
            name: meter.name.clone(),
            medium: meter.medium,
            beyond_quota: beyond.contains(&meter.id),
            simulated: view.as_ref().is_some_and(|view| view.simulated),
            state: match &view {
                None => "new",
                Some(view) if view.reason.is_some() => "silent",
                Some(_) => "ok",
            },
            at: view.as_ref().map(|view| time(view.at_ms)),
            last_answer: view.as_ref().and_then(|view| view.last_answer_ms).map(time),
            reason: view.and_then(|view| view.reason).map(NoReading::as_str),
            main: if withheld { None } else { main_register(meter) },
        }
    }
}

/// The register for which the meter is there: what it counts, by the first name of this list.
fn main_register(meter: &MeterState) -> Option<MainBody> {
    const MAIN: [&str; 8] = [
        "energy_import_total",
        "energy",
        "energy_import",
        "energy_export_total",
        "volume",
        "temperature_room",
        "temperature_outdoor",
        "power",
    ];
    let known = |(series, newest): &(Series, Option<NewestReading>)| {
        let (at_ms, mantissa) = newest.and_then(|newest| newest.last_value)?;
        Some(MainBody {
            register: series.register.clone(),
            value: Quantity::new(mantissa, series.resolution).decimal(),
            unit: series.resolution.unit().code().to_owned(),
            at: time(at_ms),
        })
    };
    MAIN.iter()
        .filter_map(|name| {
            meter.registers.iter().find(|(series, _)| series.register.to_string() == *name)
        })
        .chain(meter.registers.iter().filter(|(series, _)| series.kind == Kind::Counter))
        .chain(&meter.registers)
        .find_map(known)
}

impl RegisterBody {
    fn of((series, newest): &(Series, Option<NewestReading>)) -> Self {
        let reading = newest.map(|newest| newest.reading);
        let value = reading.and_then(|reading| reading.value.ok());
        Self {
            register: series.register.clone(),
            kind: series.kind.as_str(),
            unit: series.resolution.unit().code().to_owned(),
            decimals: series.resolution.decimals(),
            value: value.map(|mantissa| Quantity::new(mantissa, series.resolution).decimal()),
            reason: reading.and_then(|reading| reading.value.err()).map(NoReading::as_str),
            at: reading.map(|reading| time(reading.at_ms)),
            quality: reading.map(|reading| reading.quality.as_str()),
            origin: reading.map(|reading| reading.origin.as_str()),
        }
    }
}
