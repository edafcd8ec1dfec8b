//! Quarter hours, hours, and the site's own days and months.
//!
//! A quarter hour and an hour are of UTC. A day and a month are of the site's civil time, so a day
//! has 23 or 25 hours when the clocks change; all its boundaries are boundaries of quarter hours,
//! because every zone in use is a whole number of quarter hours away from UTC.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// How long a row's period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A quarter hour.
    Quarter,
    /// An hour of UTC.
    Hour,
    /// A day of the site: 23, 24 or 25 hours.
    Day,
    /// A month of the site.
    Month,
}

impl Step {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Quarter, Self::Hour, Self::Day, Self::Month];
}

/// The site's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    zone: Tz,
}

impl Civil {
    /// The calendar of `zone`.
    pub const fn of(zone: Tz) -> Self {
        Self { zone }
    }

    /// Its time zone.
    pub const fn zone(self) -> Tz {
        self.zone
    }

    /// The period of length `step` that holds the instant `at_ms`.
    ///
    /// An instant that no calendar has, hundreds of thousands of years away, lies in a day or month
    /// of its own quarter hour.
    pub fn period(self, step: Step, at_ms: i64) -> Range<i64> {
        match step {
            Step::Quarter => aligned(at_ms, QUARTER_MS),
            Step::Hour => aligned(at_ms, HOUR_MS),
            Step::Day => self
                .date(at_ms)
                .and_then(|date| self.between(date, date.succ_opt()?))
                .unwrap_or_else(|| aligned(at_ms, QUARTER_MS)),
            Step::Month => self
                .date(at_ms)
                .and_then(|date| {
                    let first = date.with_day(1)?;
                    self.between(first, first.checked_add_months(chrono::Months::new(1))?)
                })
                .unwrap_or_else(|| aligned(at_ms, QUARTER_MS)),
        }
    }

    /// The periods that begin in `span`, oldest first; at most 200 000 of them, which is five
    /// years of quarter hours.
    pub fn periods(self, step: Step, span: &Range<i64>) -> Vec<Range<i64>> {
        let mut periods = Vec::new();
        let mut period = self.period(step, span.start);
        if period.start < span.start {
            period = self.period(step, period.end);
        }
        while period.start < span.end && periods.len() < 200_000 {
            let next = self.period(step, period.end);
            periods.push(period);
            period = next;
        }
        periods
    }

    /// How many polls, `every_secs` apart and counted from the site's midnight, fall into `span`.
    ///
    /// A day that `every_secs` does not divide, as those of 23 and 25 hours may be, ends with a shorter
    /// wait: midnight is always one. Of more than 200 000 days nothing is told beyond those.
    pub fn polls(self, every_secs: u32, span: &Range<i64>) -> u32 {
        if span.start >= span.end || every_secs == 0 {
            return 0;
        }
        let every = i64::from(every_secs) * 1000;
        // How many of them, the first at `midnight`, there are before an instant.
        let before = |at: i64, midnight: i64| {
            at.saturating_sub(midnight).saturating_add(every - 1).div_euclid(every)
        };
        if HALF_HOUR_MS % every == 0
            && let Some(at) = DateTime::<Utc>::from_timestamp_millis(span.start)
        {
            // Days begin, and clocks change, at half hours of the site: these go on through.
            let ahead = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
            let midnight = -i64::from(ahead.local_minus_utc()) * 1000;
            let polls = before(span.end, midnight) - before(span.start, midnight);
            return u32::try_from(polls).unwrap_or(u32::MAX);
        }
        let mut day = self.period(Step::Day, span.start);
        let mut polls: u32 = 0;
        for _ in 0..200_000 {
            let (first, last) = (span.start.max(day.start), span.end.min(day.end));
            let of_day = before(last, day.start) - before(first, day.start);
            polls = polls.saturating_add(u32::try_from(of_day).unwrap_or(u32::MAX));
            if day.end >= span.end {
                break;
            }
            day = self.period(Step::Day, day.end);
        }
        polls
    }

    fn date(self, at_ms: i64) -> Option<NaiveDate> {
        let at = DateTime::<Utc>::from_timestamp_millis(at_ms)?;
        // A margin, so that no offset leads out of the calendar.
        let safe = (-200_000..200_000).contains(&at.year());
        safe.then(|| at.with_timezone(&self.zone).date_naive())
    }

    fn between(self, first: NaiveDate, after: NaiveDate) -> Option<Range<i64>> {
        Some(self.begins(first)?..self.begins(after)?)
    }

    /// The first instant of a day. Where clocks change at midnight it is not 00:00, or the earlier
    /// of two.
    fn begins(self, date: NaiveDate) -> Option<i64> {
        let midnight = date.and_time(NaiveTime::MIN);
        (0..=12)
            .find_map(|quarters| {
                let local = midnight.checked_add_signed(TimeDelta::minutes(15 * quarters))?;
                self.zone.from_local_datetime(&local).earliest()
            })
            .map(|at| at.timestamp_millis())
    }
}

const QUARTER_MS: i64 = 900_000;
const HALF_HOUR_MS: i64 = 1_800_000;
const HOUR_MS: i64 = 3_600_000;

fn aligned(at_ms: i64, length: i64) -> Range<i64> {
    let start = at_ms.saturating_sub(at_ms.rem_euclid(length));
    start..start.saturating_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: &str) -> i64 {
        at.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
    }

    #[track_caller]
    fn check(zone: Tz, step: Step, at: &str, start: &str, end: &str) {
        assert_eq!(Civil::of(zone).period(step, ms(at)), ms(start)..ms(end));
    }

    #[test]
    fn days_have_23_24_or_25_hours() {
        use chrono_tz::Europe::Oslo;
        let check = |at, start, end| check(Oslo, Step::Day, at, start, end);
        check("2026-03-28T12:00:00Z", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z");
        check("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check("2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        check("2028-02-28T23:30:00Z", "2028-02-28T23:00:00Z", "2028-02-29T23:00:00Z");
    }

    #[test]
    fn months_end_where_the_site_ends_them() {
        use chrono_tz::Europe::Oslo;
        let check = |at, start, end| check(Oslo, Step::Month, at, start, end);
        check("2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
        check("2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z");
    }

    #[test]
    fn a_day_may_begin_after_midnight_and_a_zone_may_be_45_minutes_off() {
        use chrono_tz::{America::Santiago, Asia::Kathmandu};
        check(
            Santiago,
            Step::Day,
            "2026-09-06T12:00:00Z",
            "2026-09-06T04:00:00Z",
            "2026-09-07T03:00:00Z",
        );
        check(
            Kathmandu,
            Step::Day,
            "2026-01-01T00:00:00Z",
            "2025-12-31T18:15:00Z",
            "2026-01-01T18:15:00Z",
        );
    }

    #[test]
    fn periods_follow_each_other_without_a_hole() {
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        for step in Step::ALL {
            let span = ms("2026-03-25T10:07:00Z")..ms("2026-06-02T00:00:00Z");
            let periods = civil.periods(step, &span);
            assert!(periods.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(periods[0].start >= span.start);
            assert!(periods.last().unwrap().start < span.end);
        }
        assert_eq!(civil.period(Step::Month, i64::MAX).start % 900_000, 0);
        assert!(civil.periods(Step::Day, &(i64::MIN..i64::MIN + 1)).len() < 2);
    }

    #[test]
    fn a_day_of_quarter_hours_has_as_many_polls() {
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        // A day after midnight it is 23 o'clock on a day of 25 hours.
        let days = [("2026-03-29", 92, 1), ("2026-03-30", 96, 1), ("2026-10-25", 100, 2)];
        for (day, polls, daily) in days {
            let day = civil.period(Step::Day, ms(&format!("{day}T12:00:00Z")));
            assert_eq!(civil.polls(900, &day), polls);
            assert_eq!(civil.polls(86_400, &day), daily);
        }
    }

    /// Two o'clock, which the clocks leap over, is no poll; and where it strikes twice, the day has one
    /// more, at 23 o'clock.
    #[test]
    fn a_poll_every_two_hours_is_counted_from_midnight() {
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        for (day, polls) in [("2026-03-29", 12), ("2026-03-30", 12), ("2026-10-25", 13)] {
            let day = civil.period(Step::Day, ms(&format!("{day}T12:00:00Z")));
            assert_eq!(civil.polls(7_200, &day), polls);
            let quarters = civil.periods(Step::Quarter, &day);
            let sum: u32 = quarters.iter().map(|quarter| civil.polls(7_200, quarter)).sum();
            assert_eq!(sum, polls);
        }
        assert!(civil.polls(7_200, &(i64::MIN..i64::MAX)) > 0, "and it ends");
    }
}
