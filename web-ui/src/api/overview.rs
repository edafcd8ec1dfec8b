//! `GET /api/v1/overview`: is all well, what is used now, is that usual.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use access::Act;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, TimeDelta, Timelike};
use energy::{Comparison, HOURS};
use metering::{Medium, MeterId, Moment, Register, Resolution, Unit};
use serde::Serialize;
use store::{Account, Snapshot, Step, StoreError};
use utoipa::ToSchema;

use crate::api::account::{self, Cause};
use crate::api::meters::state_of;
use crate::doors::Doors;
use crate::figures::{self, Measure, UsedBy};
use crate::handles::{LiveMeter, MeterInfo, MeterState};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::watchful::{Notice, Sentence};
use crate::wire::{Amount, Time, unit_of};
use crate::{Live, Site, Web, building, usual, watchful};

/// The building at a glance, as far as the visitor sees it.
pub(crate) async fn overview(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<Overview>, Problem> {
    let (site, live, status) = (web.site(), web.live(), web.status());
    let doors = Arc::clone(&web.doors);
    let now = web.now();
    let who = visitor.clone();
    let (owed, certificate) = (web.owed(), web.certificate());
    let answer = web.ask(&who, move |store| {
        let seen: Vec<&MeterInfo> =
            site.meters.iter().filter(|meter| visitor.user.sees(meter.id)).collect();
        let board = Board { store, site: &site, live: &live, seen: &seen, doors: &doors, now };
        let today = board.today();
        Ok(Overview {
            at: Time(now.wall),
            sentence: watchful::sentence(&site, &live, &seen),
            outdoor: board.outdoor(),
            media: board.media(&today)?,
            completeness: board.completeness(&today)?,
            look_at: watchful::notices(
                &site,
                &live,
                &status,
                &owed,
                (&certificate, now.wall),
                &seen,
                visitor.may(Act::Inspect),
            ),
            day: today,
        })
    });
    Ok(Json(answer.await?))
}

/// The building at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    at: Time,
    day: DayBody,
    sentence: Sentence,
    /// `null` unless a meter outdoors tells.
    outdoor: Option<Outdoor>,
    /// In the order of the dashboard; only those that have meters.
    media: Vec<MediumBody>,
    completeness: CompletenessBody,
    /// The worst first.
    look_at: Vec<Notice>,
}

/// The local day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Day)]
pub(crate) struct DayBody {
    /// `2026-11-21`
    date: String,
    start: Time,
    /// 23, 24 or 25 hours later.
    end: Time,
    #[serde(skip)]
    span_ms: Range<i64>,
    #[serde(skip)]
    civil: NaiveDate,
}

/// How cold it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Outdoor {
    /// Decimal text.
    value: String,
    /// ASCII code.
    unit: String,
    at: Time,
    /// `sensor`: measured at the building; `forecast`: told by a weather service, and measured by
    /// nobody.
    source: &'static str,
}

/// One medium: the meters that are part of no other of the same medium, added up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Medium)]
pub(crate) struct MediumBody {
    /// `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`.
    medium: &'static str,
    /// All of this medium, sub-meters too.
    meters: usize,
    /// Of these, how many do not answer.
    silent: usize,
    /// The meter whose figures these are, if they are those of one alone.
    main: Option<String>,
    /// What flows now.
    live: Option<Amount>,
    /// What was used since local midnight.
    today: Option<MediumToday>,
    /// How that stands beside the usual, over the hours that have ended.
    comparison: Option<ComparisonBody>,
    /// ASCII code, of `hours` and `usual_hours`.
    unit: Option<String>,
    decimals: Option<i8>,
    /// Those of the day that have begun.
    hours: Vec<Hour>,
    /// What is usual at each local hour of such a day: 24 mantissas; `null` where nothing is usual.
    usual_hours: Vec<Option<i64>>,
}

/// What was used since local midnight.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MediumToday {
    /// Decimal text.
    value: String,
    /// ASCII code.
    unit: String,
    /// Readings that came.
    got: u32,
    /// Readings that were expected.
    expected: u32,
}

/// An amount beside the usual one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comparison)]
pub(crate) struct ComparisonBody {
    /// `above`, `below`, `as_usual`.
    kind: &'static str,
    /// `null` for `as_usual`.
    percent: Option<i64>,
}

/// An hour of the day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hour {
    start: Time,
    /// `null` if nothing is known of it.
    mantissa: Option<i64>,
    /// Readings are missing in it.
    missing: bool,
}

/// How many of the answers that were expected today have come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Completeness)]
pub(crate) struct CompletenessBody {
    expected: u32,
    /// Those from the meters' memory among them.
    got: u32,
    missing: u32,
    from_memory: u32,
    /// Why they are missing, the most frequent first.
    causes: Vec<Cause>,
    /// Those that have ended.
    quarters: Vec<Quarter>,
}

/// A quarter hour of all meters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quarter {
    start: Time,
    expected: u32,
    got: u32,
    from_memory: u32,
    /// The rest by cause, the most frequent first.
    missing: Vec<Cause>,
}

impl Quarter {
    fn of(account: &Account) -> Self {
        Self {
            start: Time::of_ms(account.start_ms),
            expected: account.expected,
            got: account.got(),
            from_memory: account.from_memory,
            missing: account::causes(account),
        }
    }
}

/// What the overview is made of.
struct Board<'a> {
    store: &'a Snapshot<'a>,
    site: &'a Site,
    live: &'a Live,
    seen: &'a [&'a MeterInfo],
    doors: &'a Doors,
    now: Moment,
}

/// A temperature outdoors that is older says nothing of now.
const OUTDOOR_HOLDS: TimeDelta = TimeDelta::hours(3);

impl Board<'_> {
    fn today(&self) -> DayBody {
        let span_ms = self.store.civil().period(Step::Day, self.now.wall_ms());
        let local = self.now.wall.with_timezone(&self.site.time_zone);
        let civil = local.date_naive();
        let date = civil.format("%Y-%m-%d").to_string();
        let (start, end) = (Time::of_ms(span_ms.start), Time::of_ms(span_ms.end));
        DayBody { date, start, end, span_ms, civil }
    }

    /// What a sensor of the building's own measures outdoors; if there is none, or it has told
    /// nothing for hours, what is forecast.
    fn outdoor(&self) -> Option<Outdoor> {
        let told = |source, matches: &dyn Fn(&MeterInfo, &str) -> bool| {
            let values = self.seen.iter().flat_map(|meter| {
                let live = self.live.meters.get(&meter.id).into_iter();
                live.flat_map(|live| &live.values).map(move |value| (*meter, value))
            });
            let mut values = values.filter(|(meter, value)| {
                let age = self.now.wall - value.at;
                age < OUTDOOR_HOLDS && matches(meter, &value.register.to_string())
            });
            values.find_map(|(_, value)| {
                let Amount { value: decimal, unit } = Amount::of(value.value.ok()?);
                Some(Outdoor { value: decimal, unit, at: Time(value.at), source })
            })
        };
        told("sensor", &|meter, register| meter.outdoor && register.starts_with("temperature"))
            .or_else(|| told("sensor", &|_, register| register == "temperature_outdoor"))
            .or_else(|| told("forecast", &|_, register| register == "temperature_forecast"))
    }

    fn live_of<'s>(&'s self, meters: &'s [&'s MeterInfo]) -> impl Iterator<Item = &'s LiveMeter> {
        meters.iter().filter_map(|meter| self.live.meters.get(&meter.id).map(Arc::as_ref))
    }

    fn media(&self, today: &DayBody) -> Result<Vec<MediumBody>, StoreError> {
        let mut media = Vec::new();
        for medium in Medium::ALL {
            let of_medium: Vec<&MeterInfo> = self
                .seen
                .iter()
                .copied()
                .filter(|meter| meter.medium.unwrap_or(Medium::Other) == medium)
                .collect();
            if !of_medium.is_empty() {
                media.push(self.medium(medium, &of_medium, today)?);
            }
        }
        Ok(media)
    }

    fn medium(
        &self,
        medium: Medium,
        meters: &[&MeterInfo],
        today: &DayBody,
    ) -> Result<MediumBody, StoreError> {
        let tops = building::tops(self.site, meters);
        let counters = building::counters(self.store, medium, &tops);
        let live: Vec<&LiveMeter> = self
            .live_of(&tops)
            .filter(|live| matches!(live.state, MeterState::Ok | MeterState::Late))
            .collect();
        let silent =
            meters.iter().filter(|it| state_of(self.live, it.id) == MeterState::Silent).count();
        let main = match tops.as_slice() {
            [one] => Some(one.id.to_string()),
            _ => None,
        };
        let mut body = MediumBody {
            medium: medium.code(),
            meters: meters.len(),
            silent,
            main,
            live: figures::flows(medium, &live).map(Amount::of),
            today: None,
            comparison: None,
            unit: None,
            decimals: None,
            hours: Vec::new(),
            usual_hours: Vec::new(),
        };
        if let Some(measure) = Measure::of(medium) {
            self.count(&mut body, measure.total, &counters, today)?;
        }
        Ok(body)
    }

    /// Adds up what `counters` counted today.
    fn count(
        &self,
        body: &mut MediumBody,
        unit: Unit,
        counters: &[(MeterId, Register)],
        today: &DayBody,
    ) -> Result<(), StoreError> {
        let now_ms = self.now.wall_ms();
        let so_far = today.span_ms.start..now_ms.max(today.span_ms.start);
        let used: Vec<UsedBy> = counters
            .iter()
            .map(|(meter, register)| {
                UsedBy::ask(self.store, *meter, register, so_far.clone(), Step::Hour)
            })
            .collect::<Result<_, _>>()?;
        let Some(resolution) = figures::resolution(&used, unit) else {
            return Ok(());
        };
        body.unit = Some(unit_of(resolution));
        body.decimals = Some(resolution.decimals());

        let totals: Vec<_> = used.iter().flat_map(UsedBy::totals).collect();
        let (got, expected) = used
            .iter()
            .map(UsedBy::coverage)
            .fold((0, 0), |sum, it| (sum.0 + it.got, sum.1 + it.expected));
        body.today = figures::sum(&totals, resolution).map(|total| {
            let Amount { value, unit } = Amount::of(total);
            MediumToday { value, unit, got, expected }
        });

        let usual = self.usual(counters, today, resolution)?;
        body.usual_hours = usual.to_vec();
        let (mut amount, mut usually) = (0_i64, 0_i64);
        for hour in self.store.civil().periods(Step::Hour, &so_far) {
            let told = used.iter().map(|used| used.at(hour.start, resolution));
            let (mantissa, missing) = told.fold((None, false), |sum: (Option<i64>, bool), it| {
                let mantissa = match (sum.0, it.0) {
                    (Some(sum), Some(it)) => Some(sum.saturating_add(it)),
                    (sum, it) => sum.or(it),
                };
                (mantissa, sum.1 || it.1)
            });
            let ended = hour.end <= now_ms;
            if let (true, false, Some(mantissa), Some(usual)) =
                (ended, missing, mantissa, self.usual_at(&usual, hour.start))
            {
                amount = amount.saturating_add(mantissa);
                usually = usually.saturating_add(usual);
            }
            // The running hour cannot be complete yet.
            let missing = missing && ended;
            body.hours.push(Hour { start: Time::of_ms(hour.start), mantissa, missing });
        }
        body.comparison = Comparison::of(amount, usually).map(ComparisonBody::of);
        Ok(())
    }

    fn usual_at(&self, usual: &[Option<i64>; HOURS], start_ms: i64) -> Option<i64> {
        let local = DateTime::from_timestamp_millis(start_ms)?.with_timezone(&self.site.time_zone);
        usual.get(usize::try_from(local.hour()).ok()?).copied().flatten()
    }

    /// What is usual for a day like today, by the six weeks before it.
    fn usual(
        &self,
        counters: &[(MeterId, Register)],
        today: &DayBody,
        resolution: Resolution,
    ) -> Result<[Option<i64>; HOURS], StoreError> {
        let meters: Vec<MeterId> = counters.iter().map(|(meter, _)| *meter).collect();
        let asked = self.now.boottime;
        let lock = || self.doors.usual.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(&meters, today.civil, resolution, asked) {
            return Ok(kept);
        }
        let start = today.span_ms.start;
        let weeks = start - SIX_WEEKS_MS..start;
        let days = usual::days(self.store, counters, &weeks, resolution, self.site.time_zone)?;
        let hours = energy::usual(today.civil, &days);
        lock().put(meters, today.civil, resolution, asked, &hours);
        Ok(hours)
    }

    fn completeness(&self, today: &DayBody) -> Result<CompletenessBody, StoreError> {
        let now_ms = self.now.wall_ms();
        let so_far = today.span_ms.start..now_ms.max(today.span_ms.start);
        let seen = |meter| self.seen.iter().any(|it| it.id == meter);
        let mut accounts = account::accounts(self.store, so_far, Step::Quarter, seen)?;
        accounts.retain(|account| account.end_ms <= now_ms && account.expected > 0);
        let causes = Account::sum(&accounts).as_ref().map_or_else(Vec::new, account::causes);
        let together = Account::grouped(&accounts, |_| ());
        let quarters: Vec<Quarter> = together.iter().map(|((), it)| Quarter::of(it)).collect();
        let sum = |of: fn(&Quarter) -> u32| quarters.iter().map(of).sum();
        let (expected, got): (u32, u32) = (sum(|it| it.expected), sum(|it| it.got));
        Ok(CompletenessBody {
            expected,
            got,
            missing: expected.saturating_sub(got),
            from_memory: sum(|it| it.from_memory),
            causes,
            quarters,
        })
    }
}

const SIX_WEEKS_MS: i64 = 42 * 86_400_000;

impl ComparisonBody {
    const fn of(comparison: Comparison) -> Self {
        match comparison {
            Comparison::AsUsual => Self { kind: "as_usual", percent: None },
            Comparison::Above(percent) => Self { kind: "above", percent: Some(percent) },
            Comparison::Below(percent) => Self { kind: "below", percent: Some(percent) },
        }
    }
}
