//! `GET /api/v1/flow`: where a day's energy and water went: through which mains, into which
//! sub-meters.
//!
//! What a main counted and none of its sub-meters did is the difference of the two. It is left to the
//! reader of these amounts, which are all in the same steps.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use metering::{Medium, MeterId, Quantity, Unit};
use serde::{Deserialize, Serialize};
use store::{Snapshot, Step, StoreError};
use utoipa::{IntoParams, ToSchema};

use crate::figures::{self, Measure, UsedBy};
use crate::handles::MeterInfo;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Asked, Time, unit_of};
use crate::{Site, Web, building};

/// The flows of a day, as far as the visitor sees the meters.
pub(crate) async fn flow(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(question): Asked<Question>,
) -> Result<Json<Flow>, Problem> {
    let site = web.site();
    let now_ms = web.now().wall_ms();
    let who = visitor.clone();
    let answer = web.ask(&who, move |store| {
        let Some(day) = question.day(store, now_ms) else { return Ok(None) };
        let seen: Vec<&MeterInfo> =
            site.meters.iter().filter(|meter| visitor.user.sees(meter.id)).collect();
        let until = now_ms.clamp(day.start, day.end);
        let balances = Kind::ALL
            .into_iter()
            .map(|kind| Balance::of(store, &site, &seen, kind, day.start..until));
        let balances = balances.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let (start, end, until) =
            (Time::of_ms(day.start), Time::of_ms(day.end), Time::of_ms(until));
        Ok(Some(Flow { start, end, until, balances }))
    });
    let none = || Problem::new(Code::Span, "`day` is a date like 2026-11-21.");
    answer.await?.map(Json).ok_or_else(none)
}

/// `?day=2026-11-21`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// Of the site's calendar; today if it is left out.
    #[param(value_type = Option<String>)]
    day: Option<NaiveDate>,
}

impl Question {
    fn day(&self, store: &Snapshot<'_>, now_ms: i64) -> Option<std::ops::Range<i64>> {
        let at_ms = match self.day {
            None => now_ms,
            // Noon is on its day in every zone's own time.
            Some(day) => {
                let noon = day.and_hms_opt(12, 0, 0)?;
                let zone = store.civil().zone();
                noon.and_local_timezone(zone).earliest()?.timestamp_millis()
            }
        };
        Some(store.civil().period(Step::Day, at_ms))
    }
}

/// Where a day's energy and water went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Flow {
    /// The local day.
    start: Time,
    end: Time,
    /// Up to when it is counted: its end, or now.
    until: Time,
    /// What can be added up, each by itself; only those that are metered in parts.
    balances: Vec<Balance>,
}

/// Amounts that can be added up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    /// `energy` or `water`.
    kind: &'static str,
    /// ASCII code.
    unit: String,
    decimals: i8,
    /// Mains and sub-meters, in the order of the configuration.
    meters: Vec<Metered>,
}

/// What went through one meter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metered {
    meter: String,
    name: String,
    /// `heat`, `electricity`, ...
    medium: &'static str,
    /// Another one of these, whose amount includes this one's; `null` of a main.
    part_of: Option<String>,
    /// In steps of the balance; `null` if nobody knows.
    mantissa: Option<i64>,
    /// Readings that came.
    got: u32,
    /// Readings that were expected.
    expected: u32,
}

/// What is added up.
#[derive(Clone, Copy)]
enum Kind {
    Energy,
    Water,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Energy, Self::Water];

    const fn of(medium: Medium) -> Option<Self> {
        match medium {
            Medium::Heat | Medium::Electricity | Medium::Cooling | Medium::Solar => {
                Some(Self::Energy)
            }
            Medium::Water | Medium::HotWater => Some(Self::Water),
            Medium::Gas | Medium::Climate | Medium::Other => None,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Water => "water",
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Energy => Unit::KilowattHour,
            Self::Water => Unit::CubicMetre,
        }
    }
}

impl Balance {
    /// `None` where no meter is part of another.
    fn of(
        store: &Snapshot<'_>,
        site: &Site,
        seen: &[&MeterInfo],
        kind: Kind,
        span: std::ops::Range<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let mut used: HashMap<MeterId, (&MeterInfo, Medium, UsedBy)> = HashMap::new();
        let of_kind = |meter: &MeterInfo| meter.medium.and_then(Kind::of).map(Kind::code);
        for meter in seen.iter().copied().filter(|meter| of_kind(meter) == Some(kind.code())) {
            let Some(medium) = meter.medium.filter(|it| Measure::of(*it).is_some()) else {
                continue;
            };
            for (id, register) in building::counters(store, medium, &[meter]) {
                let by = UsedBy::ask(store, id, &register, span.clone(), Step::Hour)?;
                used.insert(id, (meter, medium, by));
            }
        }
        let whole = |meter: &MeterInfo| site.wholes(meter).find(|id| used.contains_key(id));
        if !used.values().any(|(meter, ..)| whole(meter).is_some()) {
            return Ok(None);
        }
        let all: Vec<&UsedBy> = used.values().map(|(.., by)| by).collect();
        let Some(resolution) = figures::resolution(all.iter().copied(), kind.unit()) else {
            return Ok(None);
        };
        let metered = seen.iter().filter_map(|meter| used.get(&meter.id));
        let meters = metered.map(|(meter, medium, by)| {
            let coverage = by.coverage();
            Metered {
                meter: meter.id.to_string(),
                name: meter.name.clone(),
                medium: medium.code(),
                part_of: whole(meter).map(|id| id.to_string()),
                mantissa: figures::sum(&by.totals(), resolution).map(Quantity::mantissa),
                got: coverage.got,
                expected: coverage.expected,
            }
        });
        Ok(Some(Self {
            kind: kind.code(),
            unit: unit_of(resolution),
            decimals: resolution.decimals(),
            meters: meters.collect(),
        }))
    }
}
