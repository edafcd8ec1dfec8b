//! `GET /api/v1/analysis`: what a medium's use looks like over a season: every hour of it, every day
//! beside the temperature outdoors, the line that the days follow, and how well district heating is
//! cooled.
//!
//! ```text
//! hours  ──▶ heat map, duration curve, highest hours        the page sorts and adds them up
//! days   ──▶ ET plot ◀── signature, fitted by `energy`
//! water  ──▶ flow and return, weighted by the volume that came at them
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use energy::{Grows, Signature, Warmth};
use metering::{Medium, MeterId, Quantity, Register, Resolution, Unit};
use serde::{Deserialize, Serialize};
use store::{Point, Snapshot, Step, StoreError};
use utoipa::{IntoParams, ToSchema};

use crate::api::history::span;
use crate::figures::{self, Measure, UsedBy};
use crate::handles::MeterInfo;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::{Asked, Time, unit_of};
use crate::{Site, Web, building};

/// A medium's use, as far as the visitor sees its meters.
pub(crate) async fn analysis(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(question): Asked<Question>,
) -> Result<Json<Analysis>, Problem> {
    let medium = question.medium;
    let span = span(question.from, question.until, LONGEST_DAYS)?;
    let site = web.site();
    let now_ms = web.now().wall_ms();
    let who = visitor.clone();
    let answer = web.ask(&who, move |store| {
        let seen: Vec<&MeterInfo> =
            site.meters.iter().filter(|meter| visitor.user.sees(meter.id)).collect();
        Season { store, site: &site, seen: &seen, medium, now_ms }.analysed(span)
    });
    Ok(Json(answer.await?))
}

/// A year and a month.
const LONGEST_DAYS: i64 = 400;

/// `?medium=heat&from=2025-11-20T23:00:00Z&until=2026-11-20T23:00:00Z`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`.
    #[param(value_type = String)]
    medium: Medium,
    /// RFC 3339; a local midnight, or the first day is cut.
    #[param(value_type = String)]
    from: DateTime<Utc>,
    /// RFC 3339; the instant itself is not in the span. 400 days later at most.
    #[param(value_type = String)]
    until: DateTime<Utc>,
}

/// What a medium's use looks like: the meters that are part of no other, added up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Analysis {
    medium: &'static str,
    /// How many meters are added up.
    meters: usize,
    /// ASCII code, of everything that was used; `null` if nothing is known of the span.
    unit: Option<String>,
    decimals: Option<i8>,
    /// The first of the hours.
    start: Time,
    /// What was used in each hour of UTC from `start` on; `null` where it is not known in full.
    hours: Vec<Option<i64>>,
    outdoor: Option<OutdoorHours>,
    /// The local days that have ended.
    days: Vec<AnalysedDay>,
    /// The line that the days follow; `null` where they are too few.
    signature: Option<SignatureBody>,
    /// `null` unless one meter tells flow and return temperature.
    cooled: Option<Cooled>,
}

/// How cold it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutdoorHours {
    /// `sensor` or `forecast`.
    source: &'static str,
    /// ASCII code.
    unit: String,
    decimals: i8,
    /// The mean of each hour from `start` on; `null` where it was not measured.
    hours: Vec<Option<i64>>,
}

/// A local day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnalysedDay {
    start: Time,
    /// 23, 24 or 25 hours later.
    end: Time,
    /// In steps of the analysis; `null` if less than 95 % of the readings came.
    used: Option<i64>,
    /// The day's mean, in steps of `outdoor`; `null` if less than 80 % of the readings came.
    outdoor: Option<i64>,
}

/// The line that the days follow, over those of which use and temperature are known.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signature)]
pub(crate) struct SignatureBody {
    /// `cold` or `heat`: what the use grows with beyond the knee.
    grows_with: &'static str,
    /// How many days it goes through.
    days: usize,
    /// A day's use whatever the weather, in thousandths of a step.
    base: i64,
    /// What each degree beyond the knee adds to it, in thousandths of a step; 0 where the use does
    /// not follow the temperature.
    slope: i64,
    /// In tenths of a degree Celsius; `null` without a slope.
    knee: Option<i64>,
    /// One standard deviation of the days from the line, in thousandths of a step.
    deviation: i64,
    /// R², in parts of ten thousand.
    explained: i64,
    /// CV(RMSE), in parts of ten thousand; `null` if nothing was used.
    scatter: Option<i64>,
}

/// How warm water came and left, day by day, weighted by the volume that came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cooled {
    meter: String,
    name: String,
    /// ASCII code and decimals of the temperatures.
    unit: String,
    decimals: i8,
    /// ASCII code and decimals of the volumes.
    volume_unit: String,
    volume_decimals: i8,
    /// One for each day; `null` where it is not known.
    flow: Vec<Option<i64>>,
    back: Vec<Option<i64>>,
    volume: Vec<Option<i64>>,
}

/// What is analysed.
struct Season<'a> {
    store: &'a Snapshot<'a>,
    site: &'a Site,
    seen: &'a [&'a MeterInfo],
    medium: Medium,
    now_ms: i64,
}

impl Season<'_> {
    fn analysed(&self, span: Range<i64>) -> Result<Analysis, StoreError> {
        let hour = self.store.civil().period(Step::Hour, span.start).start;
        let until = span.end.min(self.now_ms).max(hour);
        let hours = self.store.civil().periods(Step::Hour, &(hour..until));
        let days: Vec<Range<i64>> = self.store.civil().periods(Step::Day, &(span.start..until));
        let days: Vec<_> = days.into_iter().filter(|day| day.end <= until).collect();

        let of_medium: Vec<&MeterInfo> =
            self.seen.iter().copied().filter(|it| it.medium == Some(self.medium)).collect();
        let tops = building::tops(self.site, &of_medium);
        let counters = building::counters(self.store, self.medium, &tops);
        let mut answer = Analysis {
            medium: self.medium.code(),
            meters: counters.len(),
            unit: None,
            decimals: None,
            start: Time::of_ms(hour),
            hours: Vec::new(),
            outdoor: None,
            days: Vec::new(),
            signature: None,
            cooled: None,
        };
        let Some(measure) = Measure::of(self.medium) else { return Ok(answer) };
        let ask = |step| {
            let ask = |(meter, register): &(MeterId, Register)| {
                UsedBy::ask(self.store, *meter, register, hour..until, step)
            };
            counters.iter().map(ask).collect::<Result<Vec<UsedBy>, StoreError>>()
        };
        let hourly = ask(Step::Hour)?;
        let Some(resolution) = figures::resolution(&hourly, measure.total) else {
            return Ok(answer);
        };
        let daily = ask(Step::Day)?;
        answer.unit = Some(unit_of(resolution));
        answer.decimals = Some(resolution.decimals());
        let together = |used: &[UsedBy], known: &dyn Fn(&UsedBy) -> Option<i64>| {
            used.iter().map(known).reduce(|sum, it| sum?.checked_add(it?)).flatten()
        };
        answer.hours = hours
            .iter()
            .map(|hour| {
                together(&hourly, &|used| match used.at(hour.start, resolution) {
                    (amount, false) => amount,
                    (_, true) => None,
                })
            })
            .collect();
        let outdoors = self.outdoors(hour..until)?;
        answer.days = days
            .iter()
            .map(|day| AnalysedDay {
                start: Time::of_ms(day.start),
                end: Time::of_ms(day.end),
                used: together(&daily, &|used| used.nearly_whole(day.start, resolution)),
                outdoor: outdoors.as_ref().and_then(|it| it.days.get(&day.start).copied()),
            })
            .collect();
        answer.signature =
            outdoors.as_ref().and_then(|it| self.signature(&answer.days, it.resolution));
        answer.outdoor = outdoors.map(|it| OutdoorHours {
            source: it.source,
            unit: unit_of(it.resolution),
            decimals: it.resolution.decimals(),
            hours: hours.iter().map(|hour| it.hours.get(&hour.start).copied()).collect(),
        });
        answer.cooled = self.cooled(&tops, hour..until, &days)?;
        Ok(answer)
    }

    /// The mean temperature outdoors of each hour and day that was measured well enough.
    fn outdoors(&self, span: Range<i64>) -> Result<Option<Outdoors>, StoreError> {
        let Some((point, source)) = building::outdoors(self.store, self.seen) else {
            return Ok(None);
        };
        let Some(resolution) = point.series.last().map(|series| series.resolution) else {
            return Ok(None);
        };
        let hours = self.means(&point, span.clone(), Step::Hour, resolution)?;
        let days = self.means(&point, span, Step::Day, resolution)?;
        Ok(Some(Outdoors { source, resolution, hours, days }))
    }

    /// The means of a gauge, in steps of `wanted`, by the start of their period.
    fn means(
        &self,
        point: &Point,
        span: Range<i64>,
        step: Step,
        wanted: Resolution,
    ) -> Result<BTreeMap<i64, i64>, StoreError> {
        let mut means = BTreeMap::new();
        for run in self.store.levels(point.meter, &point.register, span, step)? {
            for row in &run.rows {
                let enough = row.coverage.got * 10 >= row.coverage.expected * 8;
                let mean = row.mean().filter(|_| enough);
                let mean = mean.map(|mean| Quantity::new(mean, run.series.resolution));
                let mean = mean.and_then(|mean| mean.converted(wanted).ok());
                means.extend(mean.map(|mean| (row.start_ms, mean.mantissa())));
            }
        }
        Ok(means)
    }

    fn signature(&self, days: &[AnalysedDay], outdoors: Resolution) -> Option<SignatureBody> {
        let grows = match self.medium {
            Medium::Heat | Medium::Electricity | Medium::Gas => Grows::WithCold,
            Medium::Cooling => Grows::WithHeat,
            // Water is not warmed by the weather, and the sun is no use.
            _ => return None,
        };
        let milli = Resolution::new(3, Unit::Celsius)?;
        let known: Vec<Warmth> = days
            .iter()
            .filter_map(|day| {
                let outdoors = Quantity::new(day.outdoor?, outdoors).converted(milli).ok()?;
                Some(Warmth { outdoors: outdoors.mantissa(), used: day.used? })
            })
            .collect();
        let Signature { base, slope, knee, deviation, explained, scatter } =
            energy::signature(&known, grows)?;
        let grows_with = match grows {
            Grows::WithCold => "cold",
            Grows::WithHeat => "heat",
        };
        let days = known.len();
        let body =
            SignatureBody { grows_with, days, base, slope, knee, deviation, explained, scatter };
        Some(body)
    }

    /// Of the first of `tops` that tells both temperatures and a volume.
    fn cooled(
        &self,
        tops: &[&MeterInfo],
        span: Range<i64>,
        days: &[Range<i64>],
    ) -> Result<Option<Cooled>, StoreError> {
        if !matches!(self.medium, Medium::Heat | Medium::Cooling) {
            return Ok(None);
        }
        for meter in tops {
            let points = self.store.points(meter.id);
            let named = |name: &str| points.iter().find(|point| point.register.to_string() == name);
            let (Some(flow), Some(back), Some(volume)) =
                (named("flow_temperature"), named("return_temperature"), named("volume"))
            else {
                continue;
            };
            let newest = |point: &Point| point.series.last().map(|series| series.resolution);
            let used =
                UsedBy::ask(self.store, meter.id, &volume.register, span.clone(), Step::Hour)?;
            let (Some(steps), Some(litres)) =
                (newest(flow), figures::resolution([&used], Unit::CubicMetre))
            else {
                continue;
            };
            let flows = self.means(flow, span.clone(), Step::Hour, steps)?;
            let backs = self.means(back, span, Step::Hour, steps)?;
            let weighted: Vec<_> =
                days.iter().map(|day| Weighted::of(day, &used, litres, &flows, &backs)).collect();
            return Ok(Some(Cooled {
                meter: meter.id.to_string(),
                name: meter.name.clone(),
                unit: unit_of(steps),
                decimals: steps.decimals(),
                volume_unit: unit_of(litres),
                volume_decimals: litres.decimals(),
                flow: weighted.iter().map(|it| it.map(|it| it.flow)).collect(),
                back: weighted.iter().map(|it| it.map(|it| it.back)).collect(),
                volume: weighted.iter().map(|it| it.map(|it| it.volume)).collect(),
            }));
        }
        Ok(None)
    }
}

struct Outdoors {
    source: &'static str,
    resolution: Resolution,
    hours: BTreeMap<i64, i64>,
    days: BTreeMap<i64, i64>,
}

/// A day's temperatures, each litre with the ones of its hour.
#[derive(Clone, Copy)]
struct Weighted {
    flow: i64,
    back: i64,
    volume: i64,
}

impl Weighted {
    /// `None` if no hour of the day tells volume and temperatures, or nothing flowed.
    fn of(
        day: &Range<i64>,
        used: &UsedBy,
        litres: Resolution,
        flows: &BTreeMap<i64, i64>,
        backs: &BTreeMap<i64, i64>,
    ) -> Option<Self> {
        let (mut flow, mut back, mut volume) = (0_i128, 0_i128, 0_i128);
        for (start, warm) in flows.range(day.clone()) {
            let (Some(cool), (Some(litres), _)) = (backs.get(start), used.at(*start, litres))
            else {
                continue;
            };
            flow += i128::from(*warm) * i128::from(litres);
            back += i128::from(*cool) * i128::from(litres);
            volume += i128::from(litres);
        }
        let mean = |sum: i128| {
            let half = volume / 2 * sum.signum();
            i64::try_from((sum + half).checked_div(volume)?).ok()
        };
        let volume_told = i64::try_from(volume).ok().filter(|volume| *volume > 0)?;
        Some(Self { flow: mean(flow)?, back: mean(back)?, volume: volume_told })
    }
}
