//! Calendar months and days of the contract's zone.
//!
//! A month runs from local midnight to local midnight. A midnight that does not exist, because the
//! zone skips it, is the instant of the jump; one that happens twice is the first.

use std::fmt;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;

use crate::Interval;

/// A calendar month in the contract's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    first: NaiveDate,
    zone: Tz,
}

impl Month {
    /// The month `year`-`month` of `zone`.
    ///
    /// # Errors
    ///
    /// [`InvalidMonth`] unless `month` is 1 to 12 and `year` is 1970 to 2999.
    pub fn new(year: i32, month: u32, zone: Tz) -> Result<Self, InvalidMonth> {
        match NaiveDate::from_ymd_opt(year, month, 1) {
            Some(first) if (1970..3000).contains(&year) => Ok(Self { first, zone }),
            _ => Err(InvalidMonth { year, month }),
        }
    }

    /// The month that `second` (UTC since 1970) lies in.
    ///
    /// # Errors
    ///
    /// [`InvalidMonth`] before 1970 and after 2999.
    pub fn of(second: i64, zone: Tz) -> Result<Self, InvalidMonth> {
        let day = local_day(zone, second).ok_or(InvalidMonth { year: 0, month: 0 })?;
        Self::new(day.year(), day.month(), zone)
    }

    /// The month written as `2026-11`; `None` unless it is one, in exactly this form.
    pub fn parse(text: &str, zone: Tz) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (year.len(), month.len()) != (4, 2) || !digits(year) || !digits(month) {
            return None;
        }
        Self::new(year.parse().ok()?, month.parse().ok()?, zone).ok()
    }

    /// From local midnight to local midnight, in seconds UTC since 1970.
    pub fn span(self) -> std::ops::Range<i64> {
        midnight(self.zone, self.first)..midnight(self.zone, self.end_day())
    }

    /// What the contract takes for the length of the month: 1,440 minutes a day, in seconds.
    pub fn denominator(self) -> i64 {
        DAY_S * self.days()
    }

    /// Calendar days: 28 to 31.
    pub fn days(self) -> i64 {
        (self.end_day() - self.first).num_days()
    }

    /// The zone whose days these are.
    pub const fn zone(self) -> Tz {
        self.zone
    }

    /// The first day.
    pub const fn first_day(self) -> NaiveDate {
        self.first
    }

    /// The first day of the month after it.
    pub fn end_day(self) -> NaiveDate {
        self.first.checked_add_months(Months::new(1)).unwrap_or(self.first)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first.format("%Y-%m"))
    }
}

/// No month of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMonth {
    /// As asked for.
    pub year: i32,
    /// As asked for.
    pub month: u32,
}

impl fmt::Display for InvalidMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02} is not a month from 1970-01 to 2999-12", self.year, self.month)
    }
}

impl std::error::Error for InvalidMonth {}

/// What is billed of a month: all of its days, or those that the subscription covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    month: Month,
    first: NaiveDate,
    end: NaiveDate,
    time: Interval,
}

impl Period {
    /// The days of `month` from `start` on and before `end`; an end that is `None` is open.
    ///
    /// `None` if no day is left.
    pub fn new(month: Month, start: Option<NaiveDate>, end: Option<NaiveDate>) -> Option<Self> {
        let first = start.map_or(month.first, |start| start.max(month.first));
        let end = end.map_or(month.end_day(), |end| end.min(month.end_day()));
        if first >= end {
            return None;
        }
        let time = Interval::new(midnight(month.zone, first), midnight(month.zone, end))?;
        Some(Self { month, first, end, time })
    }

    /// All days of `month`.
    pub fn whole(month: Month) -> Self {
        let std::ops::Range { start: from, end: until } = month.span();
        Self { month, first: month.first, end: month.end_day(), time: Interval { from, until } }
    }

    /// The month that it is of.
    pub const fn month(self) -> Month {
        self.month
    }

    /// From its first local midnight to its last.
    pub const fn time(self) -> Interval {
        self.time
    }

    /// Covered local days; at least 1.
    pub fn days(self) -> i64 {
        (self.end - self.first).num_days()
    }

    /// The last covered day.
    pub fn last_day(self) -> NaiveDate {
        self.end.pred_opt().unwrap_or(self.first)
    }
}

/// The local date at `second` (UTC since 1970); `None` outside the years 1 to 9999.
pub(crate) fn local_day(zone: Tz, second: i64) -> Option<NaiveDate> {
    let utc = DateTime::from_timestamp(second, 0)?.naive_utc();
    (1..=9_999).contains(&utc.year()).then_some(())?;
    let shift = shift(utc.year());
    let like = utc.checked_sub_days(Days::new(shift))?;
    zone.from_utc_datetime(&like).date_naive().checked_add_days(Days::new(shift))
}

/// The first second of a local day.
pub(crate) fn midnight(zone: Tz, day: NaiveDate) -> i64 {
    let shift = shift(day.year());
    let like = day.checked_sub_days(Days::new(shift)).unwrap_or(day);
    let wall = like.and_time(NaiveTime::MIN);
    let found = zone.from_local_datetime(&wall).earliest();
    let second = found.map_or_else(|| jump_over(zone, &wall), |at| at.timestamp());
    second + DAY_S * i64::try_from(shift).unwrap_or_default()
}

/// When a zone's clocks jumped over the local time `wall`.
fn jump_over(zone: Tz, wall: &chrono::NaiveDateTime) -> i64 {
    let is_before = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0).unwrap_or_default().naive_utc();
        zone.from_utc_datetime(&utc).naive_local() < *wall
    };
    // No zone is further from UTC than this.
    let (mut before, mut after) =
        (wall.and_utc().timestamp() - 26 * 3_600, wall.and_utc().timestamp() + 26 * 3_600);
    while after - before > 1 {
        let middle = i64::midpoint(before, after);
        if is_before(middle) { before = middle } else { after = middle }
    }
    after
}

/// By how many days to go back from `year` to one with the same calendar, in which the zone tables
/// still list the changes of the clock one by one: they end with the year 2099.
fn shift(year: i32) -> u64 {
    if year < LISTED_UNTIL {
        return 0;
    }
    let first = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1);
    let calendar = |year: i32| first(year).map(|day| (day.weekday(), day.leap_year()));
    // The fourteen calendars all come within 28 years in which no leap year is left out.
    let like = (LISTED_UNTIL - 28..LISTED_UNTIL).rev().find(|it| calendar(*it) == calendar(year));
    let days = like.and_then(first).zip(first(year)).map(|(like, day)| (day - like).num_days());
    days.and_then(|days| u64::try_from(days).ok()).unwrap_or_default()
}

const LISTED_UNTIL: i32 = 2098;

const DAY_S: i64 = 86_400;

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;

    use super::*;

    fn second(local: &str) -> i64 {
        local.parse::<DateTime<chrono::FixedOffset>>().unwrap().timestamp()
    }

    #[track_caller]
    fn check(zone: Tz, day: &str, expected: &str) {
        let found = midnight(zone, day.parse().unwrap());
        let found = DateTime::from_timestamp(found, 0).unwrap();
        assert_eq!(found.format("%Y-%m-%dT%H:%M:%SZ").to_string(), expected);
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        check(Oslo, "2026-01-01", "2025-12-31T23:00:00Z");
        check(Oslo, "2026-07-01", "2026-06-30T22:00:00Z");
    }

    #[test]
    fn a_midnight_that_is_skipped_is_the_jump_and_one_that_comes_twice_the_first() {
        check(Tz::America__Sao_Paulo, "2018-11-04", "2018-11-04T03:00:00Z");
        check(Tz::Pacific__Apia, "2011-12-30", "2011-12-30T10:00:00Z");
        check(Tz::Pacific__Apia, "2011-12-31", "2011-12-30T10:00:00Z");
        check(Tz::America__Havana, "2025-11-02", "2025-11-02T04:00:00Z");
    }

    #[test]
    fn summer_time_goes_on_after_the_tables_end() {
        check(Oslo, "2099-07-01", "2099-06-30T22:00:00Z");
        check(Oslo, "2500-07-01", "2500-06-30T22:00:00Z");
        check(Oslo, "2500-01-01", "2499-12-31T23:00:00Z");
        check(Tz::America__New_York, "2999-08-01", "2999-08-01T04:00:00Z");
        let last_of_march = second("2500-03-28T00:59:59Z");
        assert_eq!(local_day(Oslo, last_of_march).unwrap().to_string(), "2500-03-28");
    }

    #[test]
    fn a_month_belongs_to_its_zone() {
        let of = |local: &str| Month::of(second(local), Oslo).unwrap().to_string();
        assert_eq!(of("2026-10-31T22:59:59Z"), "2026-10");
        assert_eq!(of("2026-10-31T23:00:00Z"), "2026-11");
        assert_eq!(
            Month::new(2026, 13, Oslo).unwrap_err().to_string(),
            "2026-13 is not a month from 1970-01 to 2999-12"
        );
    }

    #[test]
    fn a_month_is_written_in_one_way() {
        let parse = |text| Month::parse(text, Oslo).map(|month| month.to_string());
        assert_eq!(parse("2026-11").as_deref(), Some("2026-11"));
        for wrong in ["2026-13", "2026-1", "1969-12", "3000-01", "2026-11-01", "+026-11", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_subscription_covers_what_it_covers() {
        let month = Month::new(2026, 3, Oslo).unwrap();
        let day = |text: &str| Some(text.parse().unwrap());
        let days = |start, end| Period::new(month, start, end).map(Period::days);
        assert_eq!(days(None, None), Some(31));
        assert_eq!(days(day("2026-03-17"), None), Some(15));
        assert_eq!(days(None, day("2026-03-02")), Some(1));
        assert_eq!(days(day("2026-04-01"), None), None);
        assert_eq!(days(None, day("2026-03-01")), None);
        assert_eq!(days(day("2026-03-10"), day("2026-03-10")), None);
    }
}
