//! `GET /api/v1/meters/{meter}/readings`: what a register showed, reading by reading, the newest
//! first.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use metering::{NoReading, Register};
use serde::{Deserialize, Serialize};
use store::{Order, Point, StoredReading};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::history::{no_such_register, span, too_fine};
use crate::api::meters::seen;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::{Asked, Time, unit_of};

/// A page of readings, absences among them.
pub(crate) async fn readings(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Json<Readings>, Problem> {
    let meter = seen(&web.site(), &visitor, &meter)?.id;
    if !visitor.sees_within_hours() {
        return Err(too_fine(&visitor));
    }
    let limit = question.limit()?;
    let (span, told) = question.rest()?;
    let register = question.register;
    let answer = web.ask(&visitor, move |store| {
        let points = store.points(meter);
        let Some(point) = points.into_iter().find(|point| point.register == register) else {
            return Ok(None);
        };
        // One more than is shown, to know whether there is another page.
        let ask = limit + told + 1;
        let mut found =
            store.readings(meter, &register, span, Order::NewestFirst, ask)?.into_iter();
        let page: Vec<StoredReading> = found.by_ref().skip(told).take(limit).collect();
        Ok(Some(Readings::of(&point, &page, found.next().is_some(), told)))
    });
    answer.await?.map(Json).ok_or_else(no_such_register)
}

/// `?register=energy&from=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z&limit=100`
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
    /// 1 to 1000; 100 if it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// Where a page begins: at an instant, of which some readings were on the page before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Cursor {
    at_ms: i64,
    told: usize,
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let (at_ms, told) = text.rsplit_once('.')?;
            let told = told.parse().ok().filter(|told| *told <= MOST)?;
            Some(Self { at_ms: at_ms.parse().ok()?, told })
        };
        read().ok_or("the cursor is not one that this list has given")
    }
}

impl Question {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=MOST => Ok(limit),
            limit => Err(Problem::malformed(format!("limit = {limit} is not from 1 to {MOST}"))),
        }
    }

    /// What is still to be told, and how many readings at its end have been.
    fn rest(&self) -> Result<(Range<i64>, usize), Problem> {
        let span = span(self.from, self.until, LONGEST_DAYS)?;
        match self.cursor {
            None => Ok((span, 0)),
            Some(Cursor { at_ms, told }) if span.contains(&at_ms) => {
                Ok((span.start..at_ms.saturating_add(1), told))
            }
            Some(_) => Err(Problem::malformed("the cursor is of another span")),
        }
    }
}

const MOST: usize = 1_000;

/// Ten years. The limit bounds the work, not the span.
const LONGEST_DAYS: i64 = 3_661;

/// A page of readings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readings {
    /// The newest first.
    readings: Vec<ReadingBody>,
    /// The cursor of the next page; `null` on the last.
    next: Option<String>,
}

/// What a register showed at one instant, or why nobody knows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reading)]
pub(crate) struct ReadingBody {
    at: Time,
    /// Decimal text.
    value: Option<String>,
    /// ASCII code.
    unit: String,
    /// Why there is no value.
    reason: Option<&'static str>,
    /// `good`, `implausible`, `stale`, `time_estimated`.
    quality: &'static str,
    /// `live`, `meter_memory`, `correction`, `import`, `simulated`.
    origin: &'static str,
    /// Of the gateway; it changes with the device.
    series: u32,
}

impl Readings {
    /// `told`: how many readings of the instant at which this page begins were on the one before.
    fn of(point: &Point, page: &[StoredReading], more: bool, told: usize) -> Self {
        let next = page.last().filter(|_| more).map(|last| {
            let same = page.iter().rev().take_while(|it| it.at_ms == last.at_ms).count();
            let before = if same == page.len() { told } else { 0 };
            format!("{}.{}", last.at_ms, same + before)
        });
        let readings = page.iter().map(|reading| {
            let series = point.series.iter().find(|it| it.series == reading.series);
            ReadingBody {
                at: Time::of_ms(reading.at_ms),
                value: reading.value.ok().map(metering::Quantity::decimal),
                unit: series.map(|series| unit_of(series.resolution)).unwrap_or_default(),
                reason: reading.value.err().map(NoReading::as_str),
                quality: reading.quality.as_str(),
                origin: reading.origin.as_str(),
                series: reading.series.get(),
            }
        });
        Self { readings: readings.collect(), next }
    }
}
