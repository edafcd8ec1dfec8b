//! What was used on each of a building's days, out of tallies by the hour.
//!
//! ```text
//!  tally of a day ── hours ──────────────────▶ their days in the building's zone
//!       │ last stand
//!       ▼                                      a short while: the day of its end,
//!  first stand of the next ── in between ────▶ half an interval or 7.5 minutes before
//!                                              long: spread evenly over the days it took
//! ```
//!
//! **Never true:** that a day of which nothing is known has a zero. It is absent.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use metering::{Quantity, Resolution};

use crate::history::begins;
use crate::repository::SeriesUse;
use crate::tally::{HOUR_MS, instant, rise};

/// Amounts by the days of a building.
pub(crate) type Days = BTreeMap<NaiveDate, i64>;

/// What a meter counted on each day, in steps of `wanted`; its devices one after the other.
pub(crate) fn by_date(uses: &[SeriesUse], wanted: Resolution, zone: Tz) -> Days {
    let mut all = Days::new();
    for one in uses {
        let mut days = Days::new();
        let mut before = one.before;
        for day in &one.days {
            if let Some((at_ms, stand)) = before {
                spread(&mut days, &(at_ms..day.first.0), rise(stand, day.first.1), zone);
            }
            for (hour, amount) in &day.hours {
                add(&mut days, date(hour.saturating_mul(HOUR_MS), zone), *amount);
            }
            before = Some(day.last);
        }
        for (date, amount) in days {
            let amount = Quantity::new(amount, one.resolution).converted(wanted);
            add(&mut all, Some(date), amount.map_or(0, Quantity::mantissa));
        }
    }
    all
}

/// The sum of several meters, on the days of which all of them are known.
pub(crate) fn together(meters: &[Days]) -> Days {
    let Some((first, others)) = meters.split_first() else { return Days::new() };
    let sum = |(date, amount): (&NaiveDate, &i64)| {
        let mut others = others.iter().map(|other| other.get(date).copied());
        let amount = others.try_fold(*amount, |sum, other| Some(sum.saturating_add(other?)));
        Some((*date, amount?))
    };
    first.iter().filter_map(sum).collect()
}

/// A longer time without a value is nobody's use: it cannot be told when it was.
const LONGEST_MS: i64 = 62 * 24 * HOUR_MS;

fn spread(days: &mut Days, interval: &Range<i64>, amount: i64, zone: Tz) {
    let length = interval.end.saturating_sub(interval.start);
    if length <= 2 * HOUR_MS {
        return add(days, date(instant(interval), zone), amount);
    }
    if length > LONGEST_MS {
        return;
    }
    let (mut from_ms, mut told) = (interval.start, 0_i64);
    while from_ms < interval.end {
        let Some(date) = date(from_ms, zone) else { return };
        let next = date.succ_opt().and_then(|next| begins(next, zone));
        let Some(next) = next.filter(|next| *next > from_ms) else { return };
        let until_ms = next.min(interval.end);
        let passed = i128::from(until_ms - interval.start);
        let so_far = i128::from(amount) * passed / i128::from(length);
        let so_far = i64::try_from(so_far).unwrap_or(amount);
        // A silence that ends with the day says nothing of the next one.
        if so_far > told || until_ms - from_ms > HOUR_MS {
            add(days, Some(date), so_far - told);
        }
        (from_ms, told) = (until_ms, so_far);
    }
}

fn add(days: &mut Days, date: Option<NaiveDate>, amount: i64) {
    if let Some(date) = date {
        let sum = days.entry(date).or_default();
        *sum = sum.saturating_add(amount);
    }
}

/// The day of the building that holds `at_ms`.
pub(crate) fn date(at_ms: i64, zone: Tz) -> Option<NaiveDate> {
    Some(DateTime::<Utc>::from_timestamp_millis(at_ms)?.with_timezone(&zone).date_naive())
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;
    use metering::Unit;

    use super::*;
    use crate::repository::DayTally;

    fn ms(at: &str) -> i64 {
        at.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
    }

    fn told(days: &Days) -> String {
        days.iter().map(|(date, amount)| format!("{date} {amount}")).collect::<Vec<_>>().join(", ")
    }

    /// The first and the last value of a day, and what it rose in its hours.
    type Day<'d> = (At<'d>, At<'d>, &'d [At<'d>]);
    type At<'d> = (&'d str, i64);

    #[track_caller]
    fn check(before: Option<At<'_>>, days: &[Day<'_>], expected: &str) {
        let resolution = Resolution::new(0, Unit::KilowattHour).unwrap();
        let at = |(at, value): At<'_>| (ms(at), value);
        let days = days.iter().map(|(first, last, hours)| DayTally {
            first: at(*first),
            last: at(*last),
            hours: hours.iter().map(|(at, amount)| (ms(at) / HOUR_MS, *amount)).collect(),
        });
        let one = SeriesUse { resolution, before: before.map(at), days: days.collect() };
        assert_eq!(told(&by_date(&[one], resolution, Oslo)), expected);
    }

    #[test]
    fn hours_belong_to_the_days_of_the_building() {
        let hours = [("2026-06-01T21:00:00Z", 3), ("2026-06-01T22:00:00Z", 4)];
        let day = (("2026-06-01T20:00:00Z", 10), ("2026-06-01T23:00:00Z", 17), &hours[..]);
        check(None, &[day], "2026-06-01 3, 2026-06-02 4");
    }

    #[test]
    fn what_closes_a_day_belongs_to_it() {
        let next = (("2026-01-01T23:00:03Z", 14), ("2026-01-01T23:00:03Z", 14), &[][..]);
        check(Some(("2026-01-01T22:00:02Z", 10)), &[next], "2026-01-01 4");
    }

    #[test]
    fn a_gap_is_spread_over_its_days_and_nothing_of_it_is_lost() {
        let next = (("2026-01-03T11:00:00Z", 58), ("2026-01-03T11:00:00Z", 58), &[][..]);
        let told = "2026-01-01 12, 2026-01-02 24, 2026-01-03 12";
        check(Some(("2026-01-01T11:00:00Z", 10)), &[next], told);
        check(Some(("2025-10-01T11:00:00Z", 10)), &[next], "");
        let at_midnight = (("2026-01-02T23:00:03Z", 10), ("2026-01-02T23:00:03Z", 10), &[][..]);
        let told = "2026-01-01 0, 2026-01-02 0";
        check(Some(("2026-01-01T11:00:00Z", 10)), &[at_midnight], told);
        let exchanged = (("2026-01-03T11:00:00Z", 3), ("2026-01-03T11:00:00Z", 3), &[][..]);
        check(Some(("2026-01-03T10:00:00Z", 10)), &[exchanged], "2026-01-03 0");
    }

    #[test]
    fn of_several_meters_only_the_days_count_that_all_know() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
        let one = Days::from([(day(1), 1), (day(2), 2)]);
        let other = Days::from([(day(2), 20), (day(3), 30)]);
        assert_eq!(told(&together(&[one, other])), "2026-01-02 22");
        assert_eq!(told(&together(&[])), "");
    }
}
