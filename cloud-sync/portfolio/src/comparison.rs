//! `GET /api/v1/comparison`: what buildings use, this year against the last and one against the other.
//!
//! Every figure is told with the number of days it is known of; only days of which both years are known
//! are set against each other. Today is not over and not in it.
//!
//! Which meters count for a whole building its owner says. While nobody has, the only meter of a medium
//! does; of several, none: what is behind another meter would count twice.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use metering::{Dimension, Medium, MeterId, Quantity, Register, Resolution, SiteId, Unit};
use serde::{Deserialize, Serialize};
use sync_wire::Kind;
use utoipa::{IntoParams, ToSchema};

use crate::branches::{Reach, TagId};
use crate::history::begins;
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{MeterState, Repository, Site};
use crate::sites::{found, no_such_site};
use crate::tags::Asked;
use crate::used::{Days, by_date, date, together};

/// `GET /comparison?year=2026`, of all buildings or of the one.
pub(crate) async fn compare<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<ComparisonBody>, Problem> {
    let Query(Question { year, site, tag }) = question?;
    let asked = Asked::new(&people, reach, tag).await?;
    if !(2000..=2100).contains(&year) {
        return Err(Problem::malformed("`year` is a number from 2000 to 2100"));
    }
    let _turn = people.histories.acquire().await;
    let mut sites = match site {
        Some(site) => vec![found(&people, site).await?],
        None => people.repository.sites().await?,
    };
    sites.retain(|site| asked.has(site));
    if site.is_some() && sites.is_empty() {
        return Err(no_such_site());
    }
    let mut meters = people.repository.newest(site).await?;
    let mut bodies = Vec::new();
    for site in sites {
        let meters = meters.remove(&site.id).unwrap_or_default();
        bodies.push(of_site(&people, site, &meters, year).await?);
    }
    Ok(Json(ComparisonBody { year, sites: bodies }))
}

/// `?year=2026&site=…&tag=…`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    year: i32,
    #[param(value_type = Option<String>)]
    site: Option<SiteId>,
    #[param(value_type = Option<String>)]
    tag: Option<TagId>,
}

/// What is consumption, in the order of the pages, and by which counters it is told.
const MEDIA: [Medium; 6] = [
    Medium::Heat,
    Medium::Electricity,
    Medium::Cooling,
    Medium::Gas,
    Medium::Water,
    Medium::HotWater,
];

const COUNTERS: [&str; 4] = ["energy_import_total", "energy", "energy_import", "volume"];

async fn of_site<R: Repository>(
    people: &People<R>,
    site: Site,
    meters: &[MeterState],
    year: i32,
) -> Result<SiteBody, Problem> {
    let zone: Tz = site.time_zone.parse().unwrap_or(chrono_tz::Europe::Oslo);
    let now_ms = people.clock.now().wall_ms();
    let time = Time::of(year, now_ms, zone)
        .ok_or_else(|| Problem::malformed("`year` is one that nobody counts"))?;
    let (mut media, mut energy, mut all_known) = (Vec::new(), Vec::new(), true);
    for medium in MEDIA {
        let counters = meters.iter().filter(|meter| meter.medium == medium).filter_map(counter);
        let counters: Vec<Counter> = counters.collect();
        let counting: Vec<&Counter> = match &site.counted {
            Some(ids) => counters.iter().filter(|it| ids.contains(&it.meter)).collect(),
            None if counters.len() == 1 => counters.iter().collect(),
            None => Vec::new(),
        };
        let in_kwh = |it: &Counter| it.wanted.unit() == Unit::KilowattHour;
        // As long as nobody has said which meters count, one in kWh may.
        let is_energy = if counting.is_empty() {
            counters.iter().any(in_kwh)
        } else {
            counting.iter().all(|it| in_kwh(it))
        };
        if counting.is_empty() {
            all_known &= counters.is_empty() || site.counted.is_some() || !is_energy;
            if !counters.is_empty() && site.counted.is_none() {
                media.push(MediumBody::undecided(medium, counters.len()));
            }
            continue;
        }
        let Some(wanted) = counting.first().map(|it| it.wanted) else { continue };
        let mut days = Vec::new();
        for it in counting.iter().filter(|it| it.wanted == wanted) {
            let (repository, register) = (&people.repository, it.register.clone());
            let uses = repository.used(site.id, it.meter, register, time.span.clone()).await?;
            days.push(by_date(&uses, wanted, zone));
        }
        let sum = together(&days);
        media.push(MediumBody::of(medium.code(), wanted, days.len(), &sum, &time));
        if is_energy {
            energy.push(sum);
        }
    }
    if let Some(wanted) = kilowatt_hours().filter(|_| all_known && !energy.is_empty()) {
        let body = MediumBody::of("energy", wanted, energy.len(), &together(&energy), &time);
        media.insert(0, body);
    }
    let Site { id, name, place, area_m2, .. } = site;
    Ok(SiteBody { id, name, place, area_m2, media })
}

/// Which days are asked about.
struct Time {
    year: i32,
    /// Of UTC: the year, the one before and what of a rolling year is before that.
    span: Range<i64>,
    /// The first day that is not over, or not of the year.
    end: NaiveDate,
}

impl Time {
    fn of(year: i32, now_ms: i64, zone: Tz) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(year - 1, 1, 1)?;
        let after = NaiveDate::from_ymd_opt(year + 1, 1, 1)?;
        let end = after.min(date(now_ms, zone)?);
        // What closes the last day is read a little after it.
        let until_ms = begins(after, zone)?.saturating_add(3_600_000);
        Some(Self { year, span: begins(first, zone)?..until_ms, end })
    }
}

/// By which register a meter counts what a building uses.
struct Counter {
    meter: MeterId,
    register: Register,
    wanted: Resolution,
}

fn kilowatt_hours() -> Option<Resolution> {
    Resolution::new(3, Unit::KilowattHour)
}

fn counter(meter: &MeterState) -> Option<Counter> {
    let named = |name: &str| {
        let mut all = meter.registers.iter().map(|(series, _)| series);
        all.find(|series| series.kind == Kind::Counter && series.register.to_string() == *name)
    };
    let series = COUNTERS.iter().find_map(|name| named(name))?;
    let wanted = match series.resolution.unit().dimension()? {
        Dimension::Energy => kilowatt_hours()?,
        Dimension::Volume => Resolution::new(3, Unit::CubicMetre)?,
        _ => return None,
    };
    Some(Counter { meter: meter.id, register: series.register.clone(), wanted })
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comparison)]
pub(crate) struct ComparisonBody {
    year: i32,
    sites: Vec<SiteBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteUse)]
struct SiteBody {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    place: Option<String>,
    area_m2: Option<u32>,
    /// `energy` is the sum of those that are counted in kWh, where all of them are known.
    media: Vec<MediumBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MediumUse)]
struct MediumBody {
    medium: &'static str,
    unit: &'static str,
    /// How many meters or media it is the sum of.
    of: usize,
    /// There are several meters, and nobody has said which of them count.
    undecided: bool,
    months: Vec<MonthBody>,
    /// Of the days of which both years are known.
    like: LikeBody,
    /// Of the last 365 days, or of the last of the year.
    rolling: SumBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonthUse)]
struct MonthBody {
    used: SumBody,
    /// The same month a year before; of one that is not over, as many days of it.
    before: SumBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LikeUse)]
struct LikeBody {
    days: usize,
    used: String,
    before: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sum)]
struct SumBody {
    /// So many days are known.
    days: usize,
    value: String,
}

impl MediumBody {
    fn undecided(medium: Medium, meters: usize) -> Self {
        let none = || SumBody { days: 0, value: "0".to_owned() };
        Self {
            medium: medium.code(),
            unit: "",
            of: meters,
            undecided: true,
            months: Vec::new(),
            like: LikeBody { days: 0, used: "0".to_owned(), before: "0".to_owned() },
            rolling: none(),
        }
    }

    fn of(medium: &'static str, steps: Resolution, of: usize, days: &Days, time: &Time) -> Self {
        let year = time.year;
        let known = |it: &NaiveDate| *it < time.end;
        let earlier = |date: NaiveDate| date.with_year(date.year() - 1);
        let month = |month: u32| {
            let used = days
                .iter()
                .filter(|(date, _)| known(date) && date.year() == year && date.month() == month);
            let before = days.iter().filter(|(date, _)| {
                date.year() == year - 1
                    && date.month() == month
                    && a_year_later(**date).is_some_and(|later| known(&later))
            });
            MonthBody { used: sum(used, steps), before: sum(before, steps) }
        };
        let pairs = days.iter().filter(|(date, _)| known(date) && date.year() == year);
        let pairs = pairs.filter_map(|(date, now)| Some((*now, *days.get(&earlier(*date)?)?)));
        let (count, used, before) = pairs.fold((0, 0_i64, 0_i64), |(count, used, before), pair| {
            (count + 1, used.saturating_add(pair.0), before.saturating_add(pair.1))
        });
        let told = |amount| Quantity::new(amount, steps).decimal();
        let since = time.end - chrono::Days::new(365);
        let rolling = days.iter().filter(|(date, _)| known(date) && **date >= since);
        Self {
            medium,
            unit: if steps.unit() == Unit::KilowattHour { "kWh" } else { "m3" },
            of,
            undecided: false,
            months: (1..=12).map(month).collect(),
            like: LikeBody { days: count, used: told(used), before: told(before) },
            rolling: sum(rolling, steps),
        }
    }
}

/// The same day of the next year; of 29 February the day before.
fn a_year_later(date: NaiveDate) -> Option<NaiveDate> {
    let year = date.year() + 1;
    date.with_year(year).or_else(|| date.pred_opt()?.with_year(year))
}

fn sum<'d>(days: impl Iterator<Item = (&'d NaiveDate, &'d i64)>, steps: Resolution) -> SumBody {
    let (mut count, mut total) = (0, 0_i64);
    for (_, amount) in days {
        count += 1;
        total = total.saturating_add(*amount);
    }
    SumBody { days: count, value: Quantity::new(total, steps).decimal() }
}

/// `PUT /sites/{site}/facts`: what a building is compared by.
pub(crate) async fn change_facts<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    site: Result<Path<SiteId>, PathRejection>,
    wanted: Result<Json<FactsBody>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(site), Json(FactsBody { area_m2, counted })) = (site?, wanted?);
    if area_m2.is_some_and(|area| !(1..=LARGEST_M2).contains(&area)) {
        let detail = format!("`area_m2` is a number from 1 to {LARGEST_M2}, or null");
        return Err(Problem::malformed(detail));
    }
    if let Some(counted) = &counted {
        let meters = people.repository.newest(Some(site)).await?.remove(&site).unwrap_or_default();
        let unknown = counted.iter().any(|id| !meters.iter().any(|meter| meter.id == *id));
        if unknown || counted.len() > meters.len() {
            return Err(Problem::new(Code::NoSuchMeter, "The site has no such meter."));
        }
    }
    if !people.repository.change_facts(site, area_m2, counted).await? {
        return Err(no_such_site());
    }
    tracing::info!(by = %user.name, %site, "what a building is compared by was changed");
    Ok(StatusCode::NO_CONTENT)
}

/// The largest building in the world has not twice as many.
const LARGEST_M2: u32 = 5_000_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Facts)]
pub(crate) struct FactsBody {
    area_m2: Option<u32>,
    #[schema(value_type = Option<Vec<String>>)]
    counted: Option<Vec<MeterId>>,
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn only_days_that_both_years_know_are_set_against_each_other() {
        let now_ms = begins(day("2026-02-03"), Oslo).unwrap() + 1;
        let time = Time::of(2026, now_ms, Oslo).unwrap();
        let days = Days::from([
            (day("2025-01-01"), 1_000),
            (day("2025-02-01"), 2_000),
            (day("2025-02-02"), 3_000),
            (day("2025-02-03"), 9_000),
            (day("2026-01-31"), 7_000),
            (day("2026-02-01"), 4_000),
            (day("2026-02-03"), 100_000),
        ]);
        let body = MediumBody::of("heat", kilowatt_hours().unwrap(), 1, &days, &time);
        let told = |sum: &SumBody| format!("{} of {}", sum.value, sum.days);
        let month = |index: usize| {
            let MonthBody { used, before } = &body.months[index];
            format!("{}, {}", told(used), told(before))
        };
        assert_eq!(month(0), "7.000 of 1, 1.000 of 1");
        assert_eq!(month(1), "4.000 of 1, 5.000 of 2", "today is not over, nor was it then");
        assert_eq!(month(2), "0.000 of 0, 0.000 of 0");
        let LikeBody { days, used, before } = &body.like;
        assert_eq!((*days, used.as_str(), before.as_str()), (1, "4.000", "2.000"));
        assert_eq!(told(&body.rolling), "20.000 of 3");
    }
}
