//! `/api/v1/cloud`: where the sync stands, how the cloud kept its promise, and enrolling with it.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Datelike};
use chrono_tz::Tz;
use ledger::{Code as LedgerCode, Limit, Month, Span, Terms, Verdict};
use metering::Moment;
use serde::{Deserialize, Serialize};
use store::{Civil, Step};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::buses::SyncBody;
use crate::handles::{NotEnrolled, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Asked, Body, Time};

/// The sync, and a month of the cloud's uptime.
pub(crate) async fn cloud(
    State(web): State<Arc<Web>>,
    Asked(question): Asked<Question>,
) -> Result<Json<Cloud>, Problem> {
    let zone = web.site().time_zone;
    let now = web.now();
    let month = question.month(now.wall.timestamp(), zone)?;
    Ok(Json(Cloud {
        sync: web.status().sync.as_ref().map(SyncBody::of),
        uptime: uptime(&web, month, &now, zone).await?,
    }))
}

/// Has the gateway enrol with a cloud.
pub(crate) async fn enrol(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Enrolment>,
) -> Result<StatusCode, Problem> {
    drop(web.change_by(&visitor).await?);
    let Enrolment { url, code } = asked;
    let detail = url.clone();
    web.wish(|reply| Wish::Enrol { url, code, reply }).await?.map_err(|problem| match problem {
        NotEnrolled::Code => {
            let detail = "The code is wrong, spent or too old. Ask the portfolio for a new one.";
            Problem::new(Code::EnrolWrong, detail)
        }
        NotEnrolled::Clock => {
            let detail = "No certificate can be checked before the clock is set.";
            Problem::new(Code::EnrolClock, detail)
        }
        NotEnrolled::Unreachable(why) => {
            Problem::new(Code::EnrolUnreachable, why.clone()).with("why", &why)
        }
        NotEnrolled::Failed(why) => Problem::new(Code::EnrolFailed, why.clone()).with("why", &why),
    })?;
    let core = &web.handles.core;
    core.audit(visitor.user.name.to_string(), "enrolled".into(), detail).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which cloud, and the one-time code that it gave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    /// `https://portfolio.example:9443`
    url: String,
    code: String,
}

/// `?month=2026-11`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// `2026-11`; the running month if it is left out.
    month: Option<String>,
}

impl Question {
    fn month(&self, now: i64, zone: Tz) -> Result<Month, Problem> {
        let Some(text) = &self.month else {
            return Month::of(now, zone).map_err(|error| Problem::malformed(error.to_string()));
        };
        let parts = text
            .split_once('-')
            .filter(|(year, month)| year.len() == 4 && month.len() == 2 && !text.contains('+'));
        let parts = parts.and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
        let month = parts.and_then(|(year, month)| Month::new(year, month, zone).ok());
        month.ok_or_else(|| Problem::malformed("`month` is written like 2026-11"))
    }
}

/// `None` if the cloud was never probed in that month.
async fn uptime(
    web: &Web,
    month: Month,
    now: &Moment,
    zone: Tz,
) -> Result<Option<Uptime>, Problem> {
    let core = &web.handles.core;
    let (span, now_s) = (month.span(), now.wall.timestamp());
    // Before the very first probe there was no promise to keep.
    let first = core.attempts(0..now.wall_ms(), 1).await?;
    let Some(first) = first.first().map(|attempt| attempt.at_ms.div_euclid(1_000)) else {
        return Ok(None);
    };
    // An outage that straddles the month's border is tested whole.
    let around = (span.start - DAY_S).max(first)..(span.end + DAY_S).min(now_s);
    if around.start.max(span.start) >= span.end.min(now_s) {
        return Ok(None);
    }
    let settings = web.site().probes;
    let spans = web.doors.probed.lock().await.spans(core, around, now, settings).await?;
    let terms = web.doors.agreed.lock().await.terms(core, month).await?;
    let verdict = ledger::evaluate(month, &spans, &terms);
    let measured_from = first.max(span.start);
    Ok(Some(Uptime::of(month, &terms, &verdict, &spans, measured_from, now_s, zone)))
}

const DAY_S: i64 = 86_400;

fn ms(seconds: &Range<i64>) -> Range<i64> {
    seconds.start.saturating_mul(1_000)..seconds.end.saturating_mul(1_000)
}

/// The sync, and a month of uptime.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cloud {
    /// `null` if no cloud is configured.
    sync: Option<SyncBody>,
    /// `null` if the cloud was never probed in that month.
    uptime: Option<Uptime>,
}

/// A month of the cloud's uptime.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uptime {
    /// `2026-11`
    month: String,
    start: Time,
    end: Time,
    /// When measuring began in this month. What was before it is neither up nor down: the gateway
    /// had not joined yet.
    measured_from: Time,
    /// It has not ended.
    running: bool,
    /// `99.9712`: four decimals, cut, not rounded.
    percent: String,
    /// The credit in percent of the month's fee, 0 while the promise is kept.
    tier: u8,
    /// The credit if all unknown time had been down.
    tier_if_unknown_down: u8,
    /// What is promised, and what is credited below that: by the contract, or as is usual.
    limits: Vec<UptimeLimit>,
    /// Seconds of the month by the contract, of which the percentage is.
    denominator_s: i64,
    /// Seconds that count as down.
    down_s: i64,
    /// Seconds in outages that are too short to count.
    short_s: i64,
    /// Seconds of which nobody knows, and which count as up.
    unknown_s: i64,
    /// More than 5 % of the month is unknown.
    incomplete: bool,
    outages: Vec<OutageBody>,
    /// The longest first.
    unknown: Vec<UnknownBody>,
    /// Those that have begun.
    days: Vec<UptimeDay>,
    /// Whatever was not up, in order of time.
    spans: Vec<SpanBody>,
}

/// An uptime, and what is credited below it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UptimeLimit {
    /// `99.5`, in percent.
    below: String,
    /// So many seconds of the month may be down.
    allows_s: i64,
    /// The credit in percent of the month's fee.
    credit: u8,
}

impl UptimeLimit {
    fn of(terms: &Terms, denominator: i64) -> Vec<Self> {
        let limits = terms.tiers.limits().iter();
        let limit = |limit: &Limit| Self {
            below: short_percent(limit.below),
            allows_s: limit.allows(denominator),
            credit: limit.credit,
        };
        limits.map(limit).collect()
    }
}

/// Hundredths of a percent as short as they can be: `99.5`.
fn short_percent(hundredths: u16) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One time during which the reports could not be had.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outage)]
pub(crate) struct OutageBody {
    from: Time,
    until: Time,
    /// How many of its seconds count in this month; 0 if it is too short.
    counted_s: i64,
}

/// Unknown time by its reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unknown)]
pub(crate) struct UnknownBody {
    /// `gap`, `clock`, `link`, `ambiguous`, `rate_limited`, `refused`.
    code: &'static str,
    seconds: i64,
}

/// A civil day of the month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UptimeDay {
    /// `2026-11-01`
    date: String,
    start: Time,
    end: Time,
    /// Seconds that count as down.
    down_s: i64,
    /// Seconds in outages that are too short to count.
    short_s: i64,
    unknown_s: i64,
}

/// Seconds in a row that were not up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Span)]
pub(crate) struct SpanBody {
    from: Time,
    until: Time,
    /// `down_proven`, `down_single`, or why nobody knows.
    code: &'static str,
}

impl Uptime {
    fn of(
        month: Month,
        terms: &Terms,
        verdict: &Verdict,
        spans: &[Span],
        measured_from: i64,
        now: i64,
        zone: Tz,
    ) -> Self {
        let whole = month.span();
        let begun = whole.start..whole.end.min(now);
        let days = Civil::of(zone).periods(Step::Day, &ms(&begun));
        let shown = spans.iter().filter(|span| span.code != LedgerCode::Up).filter_map(|span| {
            let (from, until) = (span.from.max(whole.start), span.until.min(whole.end));
            let code = code_word(span.code);
            (from < until).then(|| SpanBody {
                from: Time::of_s(from),
                until: Time::of_s(until),
                code,
            })
        });
        Self {
            month: month.to_string(),
            start: Time::of_s(whole.start),
            end: Time::of_s(whole.end),
            measured_from: Time::of_s(measured_from),
            running: now < whole.end,
            percent: verdict.percent(),
            tier: verdict.tier.percent(),
            tier_if_unknown_down: verdict.tier_if_unknown_down.percent(),
            limits: UptimeLimit::of(terms, verdict.denominator),
            denominator_s: verdict.denominator,
            down_s: verdict.down,
            short_s: verdict.short,
            unknown_s: verdict.unknown_seconds(),
            incomplete: verdict.is_incomplete(),
            outages: verdict
                .outages
                .iter()
                .map(|outage| OutageBody {
                    from: Time::of_s(outage.from),
                    until: Time::of_s(outage.until),
                    counted_s: outage.counted,
                })
                .collect(),
            unknown: verdict
                .unknown
                .iter()
                .map(|unknown| UnknownBody {
                    code: code_word(unknown.code),
                    seconds: unknown.seconds,
                })
                .collect(),
            days: days.into_iter().map(|day| UptimeDay::of(day, verdict, spans, zone)).collect(),
            spans: shown.collect(),
        }
    }
}

impl UptimeDay {
    fn of(day_ms: Range<i64>, verdict: &Verdict, spans: &[Span], zone: Tz) -> Self {
        let day = day_ms.start.div_euclid(1_000)..day_ms.end.div_euclid(1_000);
        let within = |from: i64, until: i64| (until.min(day.end) - from.max(day.start)).max(0);
        let outages = |counts: bool| {
            let outages = verdict.outages.iter().filter(|it| (it.counted > 0) == counts);
            outages.map(|outage| within(outage.from, outage.until)).sum()
        };
        let unknown = spans.iter().filter(|span| span.code.is_unknown());
        let date = DateTime::from_timestamp(day.start, 0).unwrap_or_default();
        let date = date.with_timezone(&zone).date_naive();
        Self {
            date: format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
            start: Time::of_s(day.start),
            end: Time::of_s(day.end),
            down_s: outages(true),
            short_s: outages(false),
            unknown_s: unknown.map(|span| within(span.from, span.until)).sum(),
        }
    }
}

pub(crate) const fn code_word(code: LedgerCode) -> &'static str {
    match code {
        LedgerCode::Up => "up",
        LedgerCode::DownProven => "down_proven",
        LedgerCode::DownSingle => "down_single",
        LedgerCode::Gap => "gap",
        LedgerCode::Clock => "clock",
        LedgerCode::Link => "link",
        LedgerCode::Ambiguous => "ambiguous",
        LedgerCode::RateLimited => "rate_limited",
        LedgerCode::Refused => "refused",
    }
}
