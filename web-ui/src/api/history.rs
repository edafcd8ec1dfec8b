//! `GET /api/v1/meters/{meter}/history`: what a register did, period by period.
//!
//! A counter tells what was used in each period, everything else the least, the most and the mean. Asked
//! for a number of rows instead of a step, both tell the least and the most that they showed: what a chart
//! of so many pixels is drawn of.
//! A new device, another unit or a finer step begins a new run. What nobody knows has no row.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use documents::{Cell, Table};
use metering::{MeterId, Quantity, Register, Resolution};
use serde::{Deserialize, Serialize};
use store::{CounterBreak, Gap, Kind, Level, Point, Run, Snapshot, Step, StoreError, Used};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::meters::seen;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Amount, Asked, Time, unit_of};

/// The rows as columns of a chart.
pub(crate) async fn history(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Json<History>, Problem> {
    Ok(Json(ask(&web, &visitor, &meter, question).await?))
}

/// The same rows as a file.
pub(crate) async fn csv(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Response, Problem> {
    let history = ask(&web, &visitor, &meter, question).await?;
    let file = documents::csv(&history.table());
    let name = format!("attachment; filename=\"{}-{}.csv\"", history.register, history.step);
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, file).into_response())
}

async fn ask(
    web: &Web,
    visitor: &Visitor,
    meter: &str,
    question: Question,
) -> Result<History, Problem> {
    let meter = seen(&web.site(), visitor, meter)?.id;
    let asked = question.asked()?;
    let span = question.span(asked)?;
    let asked = asked.shown_to(visitor, &span)?;
    let now_ms = web.now().wall_ms();
    let answer = web.ask(visitor, move |store| {
        let points = store.points(meter);
        let point = points.into_iter().find(|point| point.register == question.register);
        let of = |point: Point| History::of(store, meter, &point, &span, asked, now_ms);
        point.map(of).transpose()
    });
    answer.await?.ok_or_else(no_such_register)
}

/// What asks for more than the hours that the visitor sees.
pub(crate) fn too_fine(visitor: &Visitor) -> Problem {
    let detail = "What a flat uses is shown by the hour.";
    Problem::new(Code::TooFine, detail).with("role", &visitor.user.role)
}

/// What asks for a register that was never read.
pub(crate) fn no_such_register() -> Problem {
    Problem::new(Code::NoSuchRegister, "The meter has never told this register.")
}

/// `?register=energy&from=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z&step=hour`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// `energy`, `flow_temperature`.
    #[param(value_type = String)]
    register: Register,
    /// RFC 3339.
    #[param(value_type = String)]
    from: DateTime<Utc>,
    /// RFC 3339; the instant itself is not in the span.
    #[param(value_type = String)]
    until: DateTime<Utc>,
    /// `quarter`, `hour`, `day`, `month`; the last two are civil ones of the site's zone.
    #[param(value_type = Option<String>)]
    #[serde(default, deserialize_with = "step")]
    step: Option<Step>,
    /// Instead of `step`: at most so many rows of equal length, 1 to 4000, each with the least and the
    /// most that the register showed.
    rows: Option<u32>,
}

/// What the rows of an answer are.
#[derive(Clone, Copy, Debug)]
enum Rows {
    Of(Step),
    AtMost(u32),
}

impl Rows {
    /// These, if the visitor sees what a meter showed within an hour; else rows of an hour at least.
    fn shown_to(self, visitor: &Visitor, span: &Range<i64>) -> Result<Self, Problem> {
        match self {
            _ if visitor.sees_within_hours() => Ok(self),
            Self::Of(Step::Quarter) => Err(too_fine(visitor)),
            Self::Of(_) => Ok(self),
            Self::AtMost(rows) => {
                let hours = (span.end - span.start) / 3_600_000;
                let hours = u32::try_from(hours).unwrap_or(u32::MAX).max(1);
                Ok(Self::AtMost(rows.min(hours)))
            }
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Of(step) => step_code(step),
            Self::AtMost(_) => "drawn",
        }
    }
}

/// More than a screen has pixels.
const MOST_ROWS: u32 = 4_000;

pub(crate) fn step<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Step>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Quarter,
        Hour,
        Day,
        Month,
    }
    Ok(Some(match Word::deserialize(deserializer)? {
        Word::Quarter => Step::Quarter,
        Word::Hour => Step::Hour,
        Word::Day => Step::Day,
        Word::Month => Step::Month,
    }))
}

pub(crate) const fn step_code(step: Step) -> &'static str {
    match step {
        Step::Quarter => "quarter",
        Step::Hour => "hour",
        Step::Day => "day",
        Step::Month => "month",
    }
}

impl Question {
    /// Which rows; it has to be one of both.
    fn asked(&self) -> Result<Rows, Problem> {
        match (self.step, self.rows) {
            (Some(step), None) => Ok(Rows::Of(step)),
            (None, Some(rows @ 1..=MOST_ROWS)) => Ok(Rows::AtMost(rows)),
            (None, Some(rows)) => {
                let detail = format!("rows = {rows} is not from 1 to {MOST_ROWS}");
                Err(Problem::malformed(detail))
            }
            _ => Err(Problem::malformed("give either `step` or `rows`")),
        }
    }

    /// As many rows as a chart can show, and a day more for the longest month.
    fn span(&self, rows: Rows) -> Result<Range<i64>, Problem> {
        let most = match rows {
            Rows::Of(Step::Quarter) => 32,
            Rows::Of(Step::Hour) => 367,
            Rows::Of(Step::Day | Step::Month) | Rows::AtMost(_) => 3_661,
        };
        span(self.from, self.until, most)
    }
}

/// `from` to `until` in milliseconds, if that is a span of `most` days at most.
pub(crate) fn span(
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    most: i64,
) -> Result<Range<i64>, Problem> {
    let length = until.signed_duration_since(from);
    if length <= TimeDelta::zero() || length > TimeDelta::days(most) {
        let detail = format!("`until` comes after `from`, by {most} days at most.");
        return Err(Problem::new(Code::Span, detail).with("days", &most));
    }
    Ok(from.timestamp_millis()..until.timestamp_millis())
}

/// What a register did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    meter: String,
    register: String,
    /// `counter`, `gauge`, `flag`.
    kind: &'static str,
    /// `quarter`, `hour`, `day`, `month`, `drawn`.
    step: &'static str,
    /// Of a counter: what was used in the whole span, in the newest run's steps. `null` if the
    /// runs cannot be added, and of `drawn` rows.
    total: Option<Amount>,
    /// One for each device, unit and step, in order of time.
    runs: Vec<RunBody>,
    /// When nothing was read, and why.
    gaps: Vec<GapBody>,
    /// What a counter did that is no use, by time.
    breaks: Vec<Break>,
}

/// A counter ran over, was set back, or goes on in another device or unit. None of it is use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CounterBreak)]
pub(crate) struct Break {
    at: Time,
    /// `rollover`, `reset`, `swap`, `unit`
    kind: &'static str,
    /// The last figure before it.
    old: Amount,
    old_at: Time,
    /// Of the device that showed it; empty if it does not tell.
    old_serial: String,
    /// The first figure after it.
    new: Amount,
    new_serial: String,
}

/// Rows that count the same steps: 3 with 3 decimals in GJ are 0.003 GJ.
///
/// JavaScript is exact up to fifteen digits, more than a meter shows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunBody {
    /// Of the gateway; it changes with the device.
    series: u32,
    /// ASCII code.
    unit: String,
    decimals: i8,
    rows: Vec<Row>,
}

/// One period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Row {
    start: Time,
    end: Time,
    /// Of a counter: what was used, in steps of the run.
    mantissa: Option<i64>,
    /// Of everything else, and of a counter's `drawn` rows: the least that it showed.
    min: Option<i64>,
    /// The most.
    max: Option<i64>,
    /// The mean, rounded to the run's steps.
    mean: Option<i64>,
    /// Readings that came.
    got: u32,
    /// Readings out of the meter's memory that it is told from; the one right at its end, too.
    from_memory: u32,
    /// Readings that were expected.
    expected: u32,
    /// It has an even share of what was used while nobody read the meter: when, nobody knows.
    spread_unknown: bool,
}

/// When nothing was read, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
pub(crate) struct GapBody {
    from: Time,
    /// `null` while it lasts.
    until: Option<Time>,
    /// `silent`, `garbled`, `bus_down`, ...
    reason: &'static str,
    /// How often the meter was asked in it.
    tries: u32,
}

impl History {
    fn of(
        store: &Snapshot<'_>,
        meter: MeterId,
        point: &Point,
        span: &Range<i64>,
        rows: Rows,
        now_ms: i64,
    ) -> Result<Self, StoreError> {
        let register = &point.register;
        // Of a period that is still running nothing is expected yet but what should have come by
        // now. A clock that is far off hides nothing.
        let past = if span.contains(&now_ms) { span.start..now_ms } else { span.clone() };
        let (runs, newest) = match (rows, point.kind) {
            (Rows::AtMost(most), _) => {
                let runs = store.drawn(meter, register, past, most)?;
                (runs.iter().map(RunBody::of_levels).collect(), None)
            }
            (Rows::Of(step), Kind::Counter) => {
                let runs = store.used(meter, register, past, step)?;
                let newest = runs.last().map(|run| run.series.resolution);
                (runs.iter().map(RunBody::of_used).collect(), newest)
            }
            (Rows::Of(step), Kind::Gauge | Kind::Flag) => {
                let runs = store.levels(meter, register, past, step)?;
                (runs.iter().map(RunBody::of_levels).collect(), None)
            }
        };
        let total = match newest {
            Some(newest) => match store.total(meter, register, span.clone(), newest) {
                Err(StoreError::Converted { .. }) => None,
                total => total?,
            },
            None => None,
        };
        let gaps = store.gaps(meter, span.clone())?;
        let breaks = store.counter_breaks(meter, register, span)?;
        Ok(Self {
            meter: meter.to_string(),
            register: point.register.to_string(),
            kind: point.kind.code(),
            step: rows.code(),
            total: total.map(Amount::of),
            runs,
            gaps: gaps.iter().map(GapBody::of).collect(),
            breaks: breaks.into_iter().map(Break::of).collect(),
        })
    }

    /// One row for each of ours. A column of figures has one unit, so a new run is told by its own
    /// unit column.
    fn table(&self) -> Table {
        let counter = self.kind == "counter" && self.step != "drawn";
        let figures: &[&str] = if counter { &["used"] } else { &["min", "mean", "max"] };
        let head = ["start", "end", "series"]
            .iter()
            .chain(figures)
            .chain(&["unit", "got", "from_memory", "expected", "spread_unknown"])
            .map(|head| (*head).to_owned());
        let mut table = Table { head: head.collect(), rows: Vec::new() };
        for run in &self.runs {
            table.rows.extend(run.rows.iter().map(|row| run.cells(row, counter)));
        }
        table
    }
}

impl RunBody {
    fn of_used(run: &Run<Used>) -> Self {
        let rows = run.rows.iter().map(|row| Row {
            start: Time::of_ms(row.start_ms),
            end: Time::of_ms(row.end_ms),
            mantissa: Some(row.amount.mantissa()),
            min: None,
            max: None,
            mean: None,
            got: row.coverage.got,
            from_memory: row.coverage.from_memory,
            expected: row.coverage.expected,
            spread_unknown: row.spread_unknown,
        });
        Self::with(&run.series, rows.collect())
    }

    fn of_levels(run: &Run<Level>) -> Self {
        let rows = run.rows.iter().map(|row| Row {
            start: Time::of_ms(row.start_ms),
            end: Time::of_ms(row.end_ms),
            mantissa: None,
            min: Some(row.min),
            max: Some(row.max),
            mean: row.mean(),
            got: row.coverage.got,
            from_memory: row.coverage.from_memory,
            expected: row.coverage.expected,
            spread_unknown: false,
        });
        Self::with(&run.series, rows.collect())
    }

    fn with(series: &store::SeriesInfo, rows: Vec<Row>) -> Self {
        let (series, resolution) = (series.series.get(), series.resolution);
        Self { series, unit: unit_of(resolution), decimals: resolution.decimals(), rows }
    }

    fn cells(&self, row: &Row, counter: bool) -> Vec<Cell> {
        let steps = metering::Unit::from_code(&self.unit)
            .and_then(|unit| Resolution::new(self.decimals, unit));
        let figure = |mantissa: Option<i64>| match mantissa.zip(steps) {
            Some((mantissa, steps)) => Cell::Figure(Quantity::new(mantissa, steps).decimal()),
            None => Cell::Empty,
        };
        let mut cells = vec![Cell::Figure(row.start.text()), Cell::Figure(row.end.text())];
        cells.push(Cell::Figure(self.series.to_string()));
        if counter {
            cells.push(figure(row.mantissa));
        } else {
            cells.extend([row.min, row.mean, row.max].map(figure));
        }
        cells.push(Cell::Text(self.unit.clone()));
        cells.push(Cell::Figure(row.got.to_string()));
        cells.push(Cell::Figure(row.from_memory.to_string()));
        cells.push(Cell::Figure(row.expected.to_string()));
        cells.push(Cell::Figure(row.spread_unknown.to_string()));
        cells
    }
}

impl Break {
    fn of(it: CounterBreak) -> Self {
        Self {
            at: Time::of_ms(it.at_ms),
            kind: it.kind.as_str(),
            old: Amount::of(it.old),
            old_at: Time::of_ms(it.old_at_ms),
            old_serial: it.old_serial,
            new: Amount::of(it.new),
            new_serial: it.new_serial,
        }
    }
}

impl GapBody {
    fn of(gap: &Gap) -> Self {
        Self {
            from: Time::of_ms(gap.from_ms),
            until: gap.until_ms.map(Time::of_ms),
            reason: gap.reason.as_str(),
            tries: gap.tries,
        }
    }
}
