//! `/api/v1/sites`: the buildings, their meters and their histories.
//!
//! The shapes are those of the gateway's API wherever both show the same, so that one page can draw
//! both. Only what a gateway alone knows is absent: `expected` is null, because its schedule stays
//! with it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use metering::{
    GatewayId, Medium, MeterId, NoReading, Origin, Quantity, Register, Resolution, SiteId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sync_wire::{Kind, limits};

use crate::authority::ms;
use crate::history::{self, Content, HistoryGap, HistoryRow, Step};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{
    Alarm, Gateway, MeterState, NewCode, NewestReading, Repository, Series, Site, StoredReading,
};

/// For how long a one-time code for a gateway is good.
pub(crate) const CODE_LASTS: Duration = Duration::from_hours(1);

/// A gateway that has been quiet for so long is late: twice the interval of one on a SIM card.
const LATE: Duration = Duration::from_mins(30);

/// `GET /sites`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
) -> Result<Json<Vec<SiteBody>>, Problem> {
    let now_ms = people.clock.now().wall_ms();
    let mut bodies = Vec::new();
    for site in people.repository.sites().await? {
        let meters = people.repository.newest(site.id).await?;
        bodies.push(SiteBody::of(site, &meters, now_ms));
    }
    Ok(Json(bodies))
}

/// `GET /sites/{site}`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<Json<WholeSiteBody>, Problem> {
    let site = found(&people, site?.0).await?;
    let meters = people.repository.newest(site.id).await?;
    let meters_list = meters.iter().map(MeterBody::of).collect();
    let site = SiteBody::of(site, &meters, people.clock.now().wall_ms());
    Ok(Json(WholeSiteBody { site, meters_list }))
}

/// `GET /sites/{site}/meters/{meter}`
pub(crate) async fn meter<R: Repository>(
    State(people): State<People<R>>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
) -> Result<Json<WholeMeterBody>, Problem> {
    let Path((site, meter)) = path?;
    let site = found(&people, site).await?;
    let meters = people.repository.newest(site.id).await?;
    let meter = meters.iter().find(|state| state.id == meter).ok_or_else(no_such_meter)?;
    let registers = meter.registers.iter().map(RegisterBody::of).collect();
    let site = InSite { id: site.id, name: site.name, time_zone: site.time_zone };
    Ok(Json(WholeMeterBody { meter: MeterBody::of(meter), site, registers }))
}

/// `GET /sites/{site}/meters/{meter}/history?register=energy&from=…&until=…&step=hour`
pub(crate) async fn history<R: Repository>(
    State(people): State<People<R>>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
    question: Result<Query<HistoryQuestion>, QueryRejection>,
) -> Result<Json<HistoryBody>, Problem> {
    let Path((site, meter)) = path?;
    let Query(HistoryQuestion { register, from, until, step }) = question?;
    let site = found(&people, site).await?;
    let step = Step::from_name(&step)
        .ok_or_else(|| Problem::malformed("`step` is one of quarter, hour, day, month"))?;
    let span = span(from, until, step.longest())?;
    let zone = site.time_zone.parse().unwrap_or(chrono_tz::Europe::Oslo);

    // The reading that closes the last row comes a little after it.
    let asked = span.start..span.end.saturating_add(ms(TAIL));
    let (repository, id) = (&people.repository, register.clone());
    let histories = repository.history(site.id, meter, id, asked).await?;
    let Some(newest) = histories.last() else {
        return Err(no_such_register(&register));
    };
    let kind = newest.series.kind;
    let (mut runs, mut gaps, mut total) = (Vec::new(), Vec::new(), Total::default());
    for one in &histories {
        let rows = history::rows(one, &span, step, zone);
        gaps.extend(history::gaps(one).into_iter().filter(|gap| gap.from_ms < span.end));
        if rows.is_empty() {
            continue;
        }
        total.add(one.series.resolution, &rows);
        runs.push(RunBody {
            series: one.series.number,
            unit: one.series.resolution.unit().code().to_owned(),
            decimals: one.series.resolution.decimals(),
            rows: rows.iter().map(RowBody::of).collect(),
        });
    }
    Ok(Json(HistoryBody {
        meter,
        register,
        kind: kind.as_str(),
        step: step.as_str(),
        total: total.told(kind),
        runs,
        gaps: gaps.iter().map(GapBody::of).collect(),
    }))
}

/// A poll that was late by a bus round still closes the row before it.
const TAIL: Duration = Duration::from_mins(15);

/// `?register=energy&from=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z&step=hour`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuestion {
    register: Register,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    step: String,
}

/// `GET /sites/{site}/meters/{meter}/readings?register=energy&from=…&until=…&limit=100`
pub(crate) async fn readings<R: Repository>(
    State(people): State<People<R>>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
    question: Result<Query<ReadingsQuestion>, QueryRejection>,
) -> Result<Json<ReadingsBody>, Problem> {
    let Path((site, meter)) = path?;
    let Query(question) = question?;
    let site = found(&people, site).await?;
    let limit = question.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::malformed("`limit` is a number from 1 to 1000"));
    }
    let mut span = span(question.from, question.until, TimeDelta::days(50 * 366))?;
    if let Some(cursor) = &question.cursor {
        // The cursor is the time of the last reading that was told.
        let before: i64 =
            cursor.parse().map_err(|_| Problem::malformed("`cursor` is not one of ours"))?;
        span.end = span.end.min(before);
    }
    let (repository, register) = (&people.repository, question.register);
    let found = repository.readings(site.id, meter, register, span, limit).await?;
    let next =
        found.last().filter(|_| found.len() == limit).map(|(_, reading)| reading.at_ms.to_string());
    let readings = found.iter().map(ReadingBody::of).collect();
    Ok(Json(ReadingsBody { readings, next }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadingsQuestion {
    register: Register,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `POST /enrol-codes`
pub(crate) async fn enrol_code<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    wanted: Result<Json<NewCodeBody>, JsonRejection>,
) -> Result<(StatusCode, Json<CodeBody>), Problem> {
    let Json(NewCodeBody { site_name, place }) = wanted?;
    let site_name = site_name.trim();
    if site_name.is_empty() || site_name.len() > limits::NAME_BYTES {
        let detail = format!("A site's name has 1 to {} letters.", limits::NAME_BYTES);
        return Err(Problem::new(Code::NameWrong, detail));
    }
    let place = place.map(|place| place.trim().to_owned()).filter(|place| !place.is_empty());
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
    let code = CodeBody { code: code.to_string(), url, expires_at: time(expires_ms), site };
    Ok((StatusCode::CREATED, Json(code)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCodeBody {
    site_name: String,
    place: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CodeBody {
    code: String,
    url: String,
    expires_at: String,
    site: SiteId,
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

async fn found<R: Repository>(people: &People<R>, site: SiteId) -> Result<Site, Problem> {
    let found = people.repository.site(site).await?;
    found.ok_or_else(|| Problem::new(Code::NoSuchSite, "There is no site with this id."))
}

fn no_such_meter() -> Problem {
    Problem::new(Code::NoSuchMeter, "The site has no meter with this id.")
}

fn no_such_register(register: &Register) -> Problem {
    let detail = format!("The meter has no register `{register}`.");
    Problem::new(Code::NoSuchRegister, detail).with("register", register)
}

fn span(
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    longest: TimeDelta,
) -> Result<std::ops::Range<i64>, Problem> {
    let length = until - from;
    if length <= TimeDelta::zero() || length > longest {
        let days = longest.num_days();
        let detail = format!("`until` must come after `from`, by {days} days at most.");
        return Err(Problem::new(Code::Span, detail).with("days", &days));
    }
    Ok(from.timestamp_millis()..until.timestamp_millis())
}

fn time(ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[derive(Debug, Serialize)]
pub(crate) struct SiteBody {
    id: SiteId,
    name: String,
    place: Option<String>,
    time_zone: String,
    gateway: Option<GatewayBody>,
    state: &'static str,
    last_contact: Option<String>,
    acked: Option<u64>,
    head: Option<u64>,
    backlog: Option<u64>,
    newest_reading: Option<String>,
    meters: usize,
    silent: usize,
    media: Vec<Medium>,
    alarms: Vec<AlarmBody>,
}

#[derive(Debug, Serialize)]
struct GatewayBody {
    id: GatewayId,
    enrolled_at: String,
    certificate_until: Option<String>,
}

#[derive(Debug, Serialize)]
struct AlarmBody {
    id: i64,
    code: &'static str,
    params: BTreeMap<&'static str, String>,
    since: String,
}

impl SiteBody {
    fn of(site: Site, meters: &[MeterState], now_ms: i64) -> Self {
        let state = site.gateway.as_ref().and_then(|gateway| gateway.state);
        let quiet_ms = state.map(|state| now_ms.saturating_sub(state.last_contact_ms));
        let newest = meters.iter().filter_map(MeterView::of).map(|view| view.at_ms).max();
        let mut media: Vec<Medium> = meters.iter().map(|meter| meter.medium).collect();
        media.sort_unstable();
        media.dedup();
        Self {
            id: site.id,
            name: site.name,
            place: site.place,
            time_zone: site.time_zone,
            gateway: site.gateway.as_ref().map(GatewayBody::of),
            state: match quiet_ms {
                None => "waiting",
                Some(quiet) if quiet > ms(LATE) => "late",
                Some(_) => "ok",
            },
            last_contact: state.map(|state| time(state.last_contact_ms)),
            acked: state.map(|state| state.acked),
            head: state.map(|state| state.head),
            backlog: state.map(|state| state.head.saturating_sub(state.acked)),
            newest_reading: newest.map(time),
            meters: meters.len(),
            silent: meters.iter().filter(|meter| is_silent(meter)).count(),
            media,
            alarms: site.alarms.iter().map(AlarmBody::of).collect(),
        }
    }
}

impl GatewayBody {
    fn of(gateway: &Gateway) -> Self {
        Self {
            id: gateway.id,
            enrolled_at: time(gateway.enrolled_ms),
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
            params.insert("count", (alarm.to - alarm.from + 1).to_string());
        }
        let since = time(alarm.since_ms);
        Self { id: alarm.alarm, code: alarm.code.as_str(), params, since }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WholeSiteBody {
    #[serde(flatten)]
    site: SiteBody,
    meters_list: Vec<MeterBody>,
}

#[derive(Debug, Serialize)]
struct MeterBody {
    id: MeterId,
    name: String,
    medium: Medium,
    simulated: bool,
    state: &'static str,
    at: Option<String>,
    last_answer: Option<String>,
    reason: Option<&'static str>,
    main: Option<MainBody>,
}

#[derive(Debug, Serialize)]
struct MainBody {
    register: Register,
    value: String,
    unit: String,
    at: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct WholeMeterBody {
    #[serde(flatten)]
    meter: MeterBody,
    site: InSite,
    registers: Vec<RegisterBody>,
}

#[derive(Debug, Serialize)]
struct InSite {
    id: SiteId,
    name: String,
    time_zone: String,
}

#[derive(Debug, Serialize)]
struct RegisterBody {
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
    fn of(meter: &MeterState) -> Self {
        let view = MeterView::of(meter);
        Self {
            id: meter.id,
            name: meter.name.clone(),
            medium: meter.medium,
            simulated: view.as_ref().is_some_and(|view| view.simulated),
            state: match &view {
                None => "new",
                Some(view) if view.reason.is_some() => "silent",
                Some(_) => "ok",
            },
            at: view.as_ref().map(|view| time(view.at_ms)),
            last_answer: view.as_ref().and_then(|view| view.last_answer_ms).map(time),
            reason: view.and_then(|view| view.reason).map(NoReading::as_str),
            main: main_register(meter),
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

#[derive(Debug, Serialize)]
pub(crate) struct HistoryBody {
    meter: MeterId,
    register: Register,
    kind: &'static str,
    step: &'static str,
    total: Option<TotalBody>,
    runs: Vec<RunBody>,
    gaps: Vec<GapBody>,
}

#[derive(Debug, Serialize)]
struct TotalBody {
    value: String,
    unit: String,
}

/// Rows of one series: they count the same steps.
#[derive(Debug, Serialize)]
struct RunBody {
    series: u32,
    unit: String,
    decimals: i8,
    rows: Vec<RowBody>,
}

#[derive(Debug, Serialize)]
struct RowBody {
    start: String,
    end: String,
    mantissa: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    mean: Option<i64>,
    got: u32,
    expected: Option<u32>,
    spread_unknown: bool,
}

impl RowBody {
    fn of(row: &HistoryRow) -> Self {
        let (start, end) = (time(row.start_ms), time(row.end_ms));
        let (mut mantissa, mut levels, mut unknown) = (None, (None, None, None), false);
        match row.content {
            Content::Used { amount, spread_unknown } => {
                mantissa = Some(amount);
                unknown = spread_unknown;
            }
            Content::Level { min, max, mean } => levels = (Some(min), Some(max), Some(mean)),
        }
        let (min, max, mean) = levels;
        Self {
            start,
            end,
            mantissa,
            min,
            max,
            mean,
            got: row.got,
            expected: None,
            spread_unknown: unknown,
        }
    }
}

#[derive(Debug, Serialize)]
struct GapBody {
    from: String,
    until: Option<String>,
    reason: &'static str,
    tries: u32,
}

impl GapBody {
    fn of(gap: &HistoryGap) -> Self {
        Self {
            from: time(gap.from_ms),
            until: gap.until_ms.map(time),
            reason: gap.reason.as_str(),
            tries: gap.tries,
        }
    }
}

/// The sum over all runs, in the steps of the last one.
#[derive(Default)]
struct Total(Vec<Quantity>);

impl Total {
    fn add(&mut self, resolution: Resolution, rows: &[HistoryRow]) {
        let sum = rows
            .iter()
            .map(|row| match row.content {
                Content::Used { amount, .. } => amount,
                Content::Level { .. } => 0,
            })
            .fold(0_i64, i64::saturating_add);
        self.0.push(Quantity::new(sum, resolution));
    }

    /// `None` for what is no amount, or where no factor leads from one unit to the other.
    fn told(&self, kind: Kind) -> Option<TotalBody> {
        let wanted = self.0.last().filter(|_| kind == Kind::Counter)?.resolution();
        let total = self
            .0
            .iter()
            .map(|sum| sum.converted(wanted))
            .reduce(|total, sum| total?.plus(sum?))?
            .ok()?;
        Some(TotalBody { value: total.decimal(), unit: wanted.unit().code().to_owned() })
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ReadingsBody {
    readings: Vec<ReadingBody>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReadingBody {
    at: String,
    value: Option<String>,
    unit: String,
    reason: Option<&'static str>,
    quality: &'static str,
    origin: &'static str,
    series: u32,
}

impl ReadingBody {
    fn of((series, reading): &(Series, StoredReading)) -> Self {
        let StoredReading { at_ms, value, quality, origin } = reading;
        let decimal = |mantissa| Quantity::new(mantissa, series.resolution).decimal();
        Self {
            at: time(*at_ms),
            value: value.ok().map(decimal),
            unit: series.resolution.unit().code().to_owned(),
            reason: value.err().map(NoReading::as_str),
            quality: quality.as_str(),
            origin: origin.as_str(),
            series: series.number,
        }
    }
}
