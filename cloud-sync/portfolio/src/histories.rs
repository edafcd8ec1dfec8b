//! `/api/v1/sites/{site}/meters/{meter}/history` and `…/readings`: what was, in rows and one by one.
//!
//! The shapes are those of the gateway's API. Only what a gateway alone knows is absent: `expected`
//! is null, because its schedule stays with it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use access::User;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use documents::Cell;
use metering::{MeterId, NoReading, Quantity, Register, Resolution, SiteId};
use serde::{Deserialize, Serialize};
use sync_wire::Kind;
use tokio::task;
use utoipa::{IntoParams, ToSchema};

use crate::authority::ms;
use crate::dwellings::{self, As, Sight, days_alone, whole_days};
use crate::history::{self, Content, HistoryGap, HistoryRow, Step};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{LastTold, Repository, Series, SeriesHistory, StoredReading};
use crate::sites::{found, time};

/// `GET /sites/{site}/meters/{meter}/history?register=energy&from=…&until=…&step=hour`
pub(crate) async fn history<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
    question: Result<Query<HistoryQuestion>, QueryRejection>,
) -> Result<Json<HistoryBody>, Problem> {
    let Path((site, meter)) = path?;
    let Query(HistoryQuestion { register, from, until, step }) = question?;
    let site = found(&people, site).await?;
    let step = Step::from_name(&step)
        .ok_or_else(|| Problem::malformed("`step` is one of quarter, hour, day, month"))?;
    let mut span = span(from, until, step.longest())?;
    let zone = site.time_zone.parse().unwrap_or(chrono_tz::Europe::Oslo);
    if dwellings::see(&people, &user, site.id, meter, As::Look).await? == Sight::Days {
        if !matches!(step, Step::Day | Step::Month) {
            return Err(days_alone());
        }
        span = whole_days(&span, zone, people.clock.now().wall_ms());
    }

    // The reading that closes the last row comes a little after it.
    let asked = span.start..span.end.saturating_add(ms(TAIL));
    let turn = Arc::clone(&people.histories).acquire_owned().await.map_err(|_| died())?;
    let (repository, id) = (&people.repository, register.clone());
    let histories = repository.history(site.id, meter, id, asked).await?;
    if histories.is_empty() {
        return Err(no_such_register(&register));
    }
    // Off the threads that answer: years of minutes take a second.
    let adding = task::spawn_blocking(move || {
        let _turn = turn;
        add_up(meter, register, &histories, &span, step, zone)
    });
    Ok(Json(adding.await.map_err(|_| died())?))
}

fn add_up(
    meter: MeterId,
    register: Register,
    histories: &[SeriesHistory],
    span: &Range<i64>,
    step: Step,
    zone: Tz,
) -> HistoryBody {
    let kind = histories.last().map_or(Kind::Gauge, |newest| newest.series.kind);
    let (mut runs, mut gaps, mut total) = (Vec::new(), Vec::new(), Total::default());
    for one in histories {
        let rows = history::rows(one, span, step, zone);
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
    HistoryBody {
        meter,
        register,
        kind: kind.as_str(),
        step: step.as_str(),
        total: total.told(kind),
        runs,
        gaps: gaps.iter().map(GapBody::of).collect(),
    }
}

fn died() -> Problem {
    Problem::new(Code::Store, "The log of the service says more.")
}

/// A poll that was late by a bus round still closes the row before it.
const TAIL: Duration = Duration::from_mins(15);

/// `?register=energy&from=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z&step=hour`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuestion {
    #[param(value_type = String)]
    register: Register,
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    step: String,
}

/// `GET /sites/{site}/meters/{meter}/readings?register=energy&from=…&until=…&limit=100`
pub(crate) async fn readings<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
    question: Result<Query<ReadingsQuestion>, QueryRejection>,
) -> Result<Json<ReadingsBody>, Problem> {
    let Path((site, meter)) = path?;
    let Query(question) = question?;
    let site = found(&people, site).await?;
    if dwellings::see(&people, &user, site.id, meter, As::Look).await? == Sight::Days {
        return Err(days_alone());
    }
    let limit = question.limit.unwrap_or(100);
    if !(1..=PAGE).contains(&limit) {
        return Err(Problem::malformed(format!("`limit` is a number from 1 to {PAGE}")));
    }
    let span = span(question.from, question.until, TimeDelta::days(50 * 366))?;
    let told = match question.cursor.as_deref().map(last_told) {
        Some(None) => return Err(Problem::malformed("`cursor` is not one of ours")),
        told => told.flatten(),
    };
    let (repository, register) = (&people.repository, question.register);
    let found = repository.readings(site.id, meter, register, span, told, limit).await?;
    let last = found.last().filter(|_| found.len() == limit);
    let next = last.map(|(Series { gateway, number, .. }, reading)| {
        format!("{}.{gateway}.{number}", reading.at_ms)
    });
    let readings = found.iter().map(ReadingBody::of).collect();
    Ok(Json(ReadingsBody { readings, next }))
}

/// What a cursor says.
fn last_told(cursor: &str) -> Option<LastTold> {
    let mut numbers = cursor.split('.');
    let at_ms = numbers.next()?.parse().ok()?;
    let gateway = numbers.next()?.parse().ok()?;
    let series = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(LastTold { at_ms, gateway, series })
}

/// Readings in one answer.
pub(crate) const PAGE: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadingsQuestion {
    #[param(value_type = String)]
    register: Register,
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(crate) fn no_such_register(register: &Register) -> Problem {
    let detail = format!("The meter has no register `{register}`.");
    Problem::new(Code::NoSuchRegister, detail).with("register", register)
}

pub(crate) fn span(
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    longest: TimeDelta,
) -> Result<Range<i64>, Problem> {
    let length = until - from;
    if length <= TimeDelta::zero() || length > longest {
        let days = longest.num_days();
        let detail = format!("`until` must come after `from`, by {days} days at most.");
        return Err(Problem::new(Code::Span, detail).with("days", &days));
    }
    Ok(from.timestamp_millis()..until.timestamp_millis())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub(crate) struct HistoryBody {
    #[schema(value_type = String)]
    meter: MeterId,
    #[schema(value_type = String)]
    register: Register,
    kind: &'static str,
    step: &'static str,
    total: Option<TotalBody>,
    runs: Vec<RunBody>,
    gaps: Vec<GapBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Amount)]
struct TotalBody {
    value: String,
    unit: String,
}

/// Rows of one series: they count the same steps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
struct RunBody {
    series: u32,
    unit: String,
    decimals: i8,
    rows: Vec<RowBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Row)]
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

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
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

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readings)]
pub(crate) struct ReadingsBody {
    readings: Vec<ReadingBody>,
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reading)]
pub(crate) struct ReadingBody {
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
        Self::new(series, reading)
    }

    pub(crate) fn new(series: &Series, reading: &StoredReading) -> Self {
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

    /// As fields of a file's line.
    pub(crate) fn cells(self) -> [Cell; 7] {
        let Self { at, value, unit, reason, quality, origin, series } = self;
        let word = |word: &str| Cell::Figure(word.to_owned());
        [
            Cell::Figure(at),
            value.map_or(Cell::Empty, Cell::Figure),
            Cell::Figure(unit),
            reason.map_or(Cell::Empty, word),
            word(quality),
            word(origin),
            Cell::Figure(series.to_string()),
        ]
    }
}
