//! `GET /api/v1/sites/{site}/account`: what was expected of each meter, what came, and why the rest did
//! not, day by day or month by month.
//!
//! The shape is that of the gateway's API, whose word it is. `missing` has the causes, the most first, and
//! `expected` is the sum of it and of what came.

use std::collections::BTreeMap;
use std::ops::Range;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use metering::{MeterId, SiteId};
use serde::{Deserialize, Serialize};
use sync_wire::AccountDay;
use utoipa::{IntoParams, ToSchema};

use crate::histories::span;
use crate::history::Step;
use crate::people::People;
use crate::problem::Problem;
use crate::repository::Repository;
use crate::sites::{found, time};

/// A year and a month: 200,000 days of 500 meters, which is the largest building, take some 25 MB.
const LONGEST: TimeDelta = TimeDelta::days(400);

/// `GET /sites/{site}/account?from=…&until=…&step=month`
pub(crate) async fn account<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<AccountBody>, Problem> {
    let Query(Question { from, until, step, meter }) = question?;
    let site = found(&people, site?.0).await?;
    let Some(step @ (Step::Day | Step::Month)) = Step::from_name(&step) else {
        return Err(Problem::malformed("`step` is day or month"));
    };
    let span = span(from, until, LONGEST)?;
    let zone: Tz = site.time_zone.parse().unwrap_or(chrono_tz::Europe::Oslo);
    let mut days = people.repository.accounts(site.id, span).await?;
    days.retain(|day| meter.is_none_or(|meter| day.meter == meter));
    Ok(Json(AccountBody { step: step.as_str(), accounts: add_up(&days, step, zone) }))
}

/// `?from=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&step=month`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    step: String,
    #[param(value_type = Option<String>)]
    meter: Option<MeterId>,
}

fn add_up(days: &[AccountDay], step: Step, zone: Tz) -> Vec<PeriodBody> {
    let mut sums: BTreeMap<(MeterId, i64), (Range<i64>, Sum)> = BTreeMap::new();
    for day in days {
        let period = step.period(day.start_ms, zone);
        let (_, sum) = sums.entry((day.meter, period.start)).or_insert((period, Sum::default()));
        sum.add(day);
    }
    sums.into_iter().map(|((meter, _), (period, sum))| sum.told(meter, &period)).collect()
}

#[derive(Debug, Default)]
struct Sum {
    expected: u64,
    received: u64,
    late: u64,
    from_memory: u64,
    corrected: u64,
    unplanned: u64,
    missing: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, day: &AccountDay) {
        for (mine, theirs) in [
            (&mut self.expected, day.expected),
            (&mut self.received, day.received),
            (&mut self.late, day.late),
            (&mut self.from_memory, day.from_memory),
            (&mut self.corrected, day.corrected),
            (&mut self.unplanned, day.unplanned),
        ] {
            *mine += u64::from(theirs);
        }
        for (cause, count) in &day.missing {
            *self.missing.entry(cause.clone()).or_default() += u64::from(*count);
        }
    }

    fn told(self, meter: MeterId, period: &Range<i64>) -> PeriodBody {
        let Self { expected, received, late, from_memory, corrected, unplanned, missing } = self;
        let mut missing: Vec<CauseBody> =
            missing.into_iter().map(|(cause, count)| CauseBody { cause, count }).collect();
        missing.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        PeriodBody {
            of: meter,
            start: time(period.start),
            end: time(period.end),
            expected,
            received,
            late,
            from_memory,
            corrected,
            missing,
            unplanned,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountBody {
    step: &'static str,
    accounts: Vec<PeriodBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountPeriod)]
struct PeriodBody {
    #[schema(value_type = String)]
    of: MeterId,
    start: String,
    end: String,
    expected: u64,
    received: u64,
    late: u64,
    from_memory: u64,
    corrected: u64,
    missing: Vec<CauseBody>,
    unplanned: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
struct CauseBody {
    cause: String,
    count: u64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_month_is_the_sum_of_its_days_with_their_causes() {
        let zone = chrono_tz::Europe::Oslo;
        // From 2026-03-28 on: 24 hours, 23, 24, 24, and the first of April.
        let mut start_ms = 1_774_652_400_000;
        let mut days = Vec::new();
        for (n, hours) in (0..).zip([24, 23, 24, 24, 24]) {
            let end_ms = start_ms + hours * 3_600_000;
            days.push(AccountDay {
                meter: MeterId::from_uuid(Uuid::from_u128(1)),
                start_ms,
                end_ms,
                expected: 4,
                received: 1,
                late: 0,
                from_memory: 0,
                corrected: 0,
                unplanned: n,
                missing: vec![("silent".to_owned(), 1), ("power_off".to_owned(), 2)],
            });
            start_ms = end_ms;
        }
        let months = add_up(&days, Step::Month, zone);
        let told: Vec<_> = months
            .iter()
            .map(|it| (it.start.as_str(), it.expected, it.received, it.unplanned))
            .collect();
        let (march, april) = ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
        assert_eq!(told, [(march, 16, 4, 6), (april, 4, 1, 4)]);
        let causes: Vec<_> =
            months[0].missing.iter().map(|it| (it.cause.as_str(), it.count)).collect();
        assert_eq!(causes, [("power_off", 8), ("silent", 4)], "the most first");
        assert_eq!(add_up(&days, Step::Day, zone).len(), 5);
    }
}
