//! The month's verdict: how much of the promise was kept, and which credit that makes.
//!
//! | Uptime of the month  | Credit on the month's fee |
//! |----------------------|---------------------------|
//! | at least 99.5 %      | none                      |
//! | 99.0 % to under 99.5 % | 10 %                    |
//! | 95.0 % to under 99.0 % | 25 %                    |
//! | under 95.0 %         | 50 %                      |
//!
//! The denominator is the contract's: 1,440 minutes for each day of the calendar month, also in
//! the months in which the clocks change. An outage of at most 120 s is not counted; one of 121 s
//! counts in full. The test looks at the whole outage, and its seconds go to the month they lie
//! in.

use std::fmt;
use std::ops::Range;

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;

use crate::{Code, Span};

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
    /// [`InvalidMonth`] unless `month` is 1 to 12 and `year` is 2000 to 2199.
    pub fn new(year: i32, month: u32, zone: Tz) -> Result<Self, InvalidMonth> {
        match NaiveDate::from_ymd_opt(year, month, 1) {
            Some(first) if (2000..2200).contains(&year) => Ok(Self { first, zone }),
            _ => Err(InvalidMonth { year, month }),
        }
    }

    /// The month that `second` (UTC since 1970) lies in.
    ///
    /// # Errors
    ///
    /// [`InvalidMonth`] before 2000 and after 2199.
    pub fn of(second: i64, zone: Tz) -> Result<Self, InvalidMonth> {
        let local = zone.timestamp_opt(second, 0).single();
        let local = local.ok_or(InvalidMonth { year: 0, month: 0 })?;
        Self::new(local.year(), local.month(), zone)
    }

    /// From local midnight to local midnight, in seconds UTC since 1970.
    pub fn span(self) -> Range<i64> {
        self.midnight(self.first)..self.midnight(self.next())
    }

    /// What the contract takes for the length of the month: 1,440 minutes a day, in seconds.
    pub fn denominator(self) -> i64 {
        86_400 * self.days()
    }

    /// Calendar days: 28 to 31.
    pub fn days(self) -> i64 {
        (self.next() - self.first).num_days()
    }

    fn next(self) -> NaiveDate {
        self.first.checked_add_months(Months::new(1)).unwrap_or(self.first)
    }

    /// The first second of a local day. No zone that we sell to skips midnight for longer than
    /// an hour, and where one does the day begins an hour later.
    fn midnight(self, day: NaiveDate) -> i64 {
        let midnight = day.and_time(NaiveTime::MIN);
        let found = self.zone.from_local_datetime(&midnight).earliest();
        found
            .map(|at| at.timestamp())
            .or_else(|| {
                let day_before = day.checked_sub_days(Days::new(1))?.and_time(NaiveTime::MIN);
                Some(self.zone.from_local_datetime(&day_before).earliest()?.timestamp() + 86_400)
            })
            .unwrap_or(0)
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
        write!(f, "{}-{:02} is not a month from 2000-01 to 2199-12", self.year, self.month)
    }
}

impl std::error::Error for InvalidMonth {}

/// One time during which the reports could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Seconds UTC since 1970; may lie before the month.
    pub from: i64,
    /// Seconds UTC since 1970; may lie after the month.
    pub until: i64,
    /// How many of its seconds count in this month; 0 if it is short.
    pub counted: i64,
}

/// Unknown time of the month, by its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Why nobody knows.
    pub code: Code,
    /// For how many seconds of the month.
    pub seconds: i64,
}

/// What a month came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Seconds of the month by the contract.
    pub denominator: i64,
    /// Counted downtime, in seconds; at most the denominator.
    pub down: i64,
    /// Downtime in outages of 120 s or less, which does not count.
    pub short: i64,
    /// Unknown time that has passed, by reason, the longest first.
    pub unknown: Vec<Unknown>,
    /// Every outage that touches the month, in order.
    pub outages: Vec<Outage>,
    /// The credit.
    pub tier: Tier,
    /// The credit if all unknown time had been down.
    pub tier_if_unknown_down: Tier,
}

impl Verdict {
    /// Seconds of uptime: the numerator of the promise.
    pub const fn up(&self) -> i64 {
        self.denominator - self.down
    }

    /// All unknown seconds.
    pub fn unknown_seconds(&self) -> i64 {
        self.unknown.iter().map(|unknown| unknown.seconds).sum()
    }

    /// More than 5 % of the month is unknown, and the statement has to say so.
    pub fn is_incomplete(&self) -> bool {
        20 * self.unknown_seconds() > self.denominator
    }

    /// Uptime in percent with four decimals, cut and not rounded: `99.4999`.
    pub fn percent(&self) -> String {
        let ten_thousandths = 1_000_000 * self.up() / self.denominator.max(1);
        format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)
    }
}

/// The share of the month's fee that is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The promise was kept.
    None,
    /// 10 %.
    Tenth,
    /// 25 %.
    Quarter,
    /// 50 %.
    Half,
}

impl Tier {
    /// In percent of the fee.
    pub const fn percent(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Tenth => 10,
            Self::Quarter => 25,
            Self::Half => 50,
        }
    }

    /// `up` of `denominator` seconds, compared in integers.
    const fn of(up: i64, denominator: i64) -> Self {
        if 1_000 * up >= 995 * denominator {
            Self::None
        } else if 100 * up >= 99 * denominator {
            Self::Tenth
        } else if 100 * up >= 95 * denominator {
            Self::Quarter
        } else {
            Self::Half
        }
    }
}

/// The verdict on `month` by `spans`.
///
/// Give the spans of at least a day on either side of the month too: an outage that straddles its
/// border is tested whole. Time that no span covers, such as the rest of a month that is still
/// running, is neither down nor unknown.
pub fn evaluate(month: Month, spans: &[Span]) -> Verdict {
    let span = month.span();
    let denominator = month.denominator();
    let within = |from: i64, until: i64| (until.min(span.end) - from.max(span.start)).max(0);

    let mut outages: Vec<Outage> = Vec::new();
    let mut unknown: Vec<Unknown> = Vec::new();
    for Span { from, until, code } in spans.iter().copied() {
        if code.is_down() {
            match outages.last_mut() {
                Some(last) if last.until == from => last.until = until,
                _ => outages.push(Outage { from, until, counted: 0 }),
            }
        } else if code.is_unknown() {
            let seconds = within(from, until);
            match unknown.iter_mut().find(|unknown| unknown.code == code) {
                Some(unknown) => unknown.seconds += seconds,
                None => unknown.push(Unknown { code, seconds }),
            }
        }
    }
    unknown.retain(|unknown| unknown.seconds > 0);
    unknown.sort_by_key(|unknown| std::cmp::Reverse(unknown.seconds));

    let (mut down, mut short) = (0, 0);
    outages.retain_mut(|outage| {
        let seconds = within(outage.from, outage.until);
        if outage.until - outage.from > FORGIVEN {
            outage.counted = seconds;
            down += seconds;
        } else {
            short += seconds;
        }
        seconds > 0
    });

    let down = down.min(denominator);
    let unknown_seconds: i64 = unknown.iter().map(|unknown| unknown.seconds).sum();
    let down_or_unknown = (down + unknown_seconds).min(denominator);
    Verdict {
        denominator,
        down,
        short,
        unknown,
        outages,
        tier: Tier::of(denominator - down, denominator),
        tier_if_unknown_down: Tier::of(denominator - down_or_unknown, denominator),
    }
}

/// An outage of two minutes or less does not count, in seconds.
const FORGIVEN: i64 = 120;

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use chrono_tz::Europe::Oslo;

    use super::*;

    fn second(local: &str) -> i64 {
        local.parse::<DateTime<chrono::FixedOffset>>().unwrap().timestamp()
    }

    fn down(from: i64, length: i64) -> Span {
        Span { from, until: from + length, code: Code::DownProven }
    }

    /// One outage of `length` seconds in the middle of the month.
    #[track_caller]
    fn check(year: i32, month: u32, length: i64, expected: &str) {
        let month = Month::new(year, month, Oslo).unwrap();
        let verdict = evaluate(month, &[down(month.span().start + 3_600, length)]);
        assert_eq!(format!("{} % -> {} %", verdict.percent(), verdict.tier.percent()), expected);
    }

    #[test]
    fn a_second_decides_at_every_border() {
        check(2026, 1, 13_392, "99.5000 % -> 0 %");
        check(2026, 1, 13_393, "99.4999 % -> 10 %");
        check(2026, 2, 24_192, "99.0000 % -> 10 %");
        check(2026, 2, 24_193, "98.9999 % -> 25 %");
        check(2026, 4, 129_600, "95.0000 % -> 25 %");
        check(2026, 4, 129_601, "94.9999 % -> 50 %");
        check(2028, 2, 12_528, "99.5000 % -> 0 %");
        check(2028, 2, 12_529, "99.4999 % -> 10 %");
    }

    #[test]
    fn whole_minutes_of_counted_downtime() {
        for (year, month, kept, broken) in
            [(2026, 6, 216, 217), (2026, 7, 223, 224), (2026, 2, 201, 202), (2028, 2, 208, 209)]
        {
            let tier = |minutes: i64| {
                let month = Month::new(year, month, Oslo).unwrap();
                evaluate(month, &[down(month.span().start, 60 * minutes)]).tier
            };
            assert_eq!((tier(kept), tier(broken)), (Tier::None, Tier::Tenth), "{year}-{month}");
        }
    }

    #[test]
    fn the_contracts_month_is_not_the_clocks() {
        let march = Month::new(2026, 3, Oslo).unwrap();
        assert_eq!(march.span().end - march.span().start, 60 * 44_580, "an hour is missing");
        assert_eq!(march.denominator(), 60 * 44_640);
        check(2026, 3, 13_380, "99.5004 % -> 0 %");
        check(2026, 10, 13_400, "99.4997 % -> 10 %");

        let all_of_march = evaluate(march, &[down(march.span().start, 60 * 44_580)]);
        assert_eq!(all_of_march.percent(), "0.1344");
    }

    #[test]
    fn two_minutes_are_forgiven_and_a_second_more_is_not() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let spans = [
            down(start, 120),
            down(start + 1_000, 121),
            // These two touch, and are one outage of 180 s.
            down(start + 2_000, 120),
            Span { code: Code::DownSingle, ..down(start + 2_120, 60) },
        ];
        let verdict = evaluate(month, &spans);
        assert_eq!((verdict.down, verdict.short), (301, 120));
        assert_eq!(verdict.outages.len(), 3);
    }

    #[test]
    fn an_outage_over_two_months_is_tested_whole() {
        let spans = [down(second("2026-01-31T23:59:00+01:00"), 121)];
        let counted = |month| evaluate(Month::new(2026, month, Oslo).unwrap(), &spans).down;
        assert_eq!((counted(1), counted(2), counted(3)), (60, 61, 0));
    }

    #[test]
    fn unknown_time_counts_as_up_and_is_not_hidden() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let unknown = Span { from: start + 13_000, until: start + 13_600, code: Code::Gap };
        let verdict = evaluate(month, &[down(start, 13_000), unknown]);
        assert_eq!(verdict.tier, Tier::None);
        assert_eq!(verdict.tier_if_unknown_down, Tier::Tenth);
        assert_eq!(verdict.unknown, [Unknown { code: Code::Gap, seconds: 600 }]);
        assert!(!verdict.is_incomplete());
    }

    #[test]
    fn a_month_with_too_much_unknown_says_so() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let gap = |seconds| Span { from: start, until: start + seconds, code: Code::Link };
        assert!(!evaluate(month, &[gap(133_920)]).is_incomplete());
        assert!(evaluate(month, &[gap(133_921)]).is_incomplete());
    }

    #[test]
    fn a_month_belongs_to_its_zone() {
        let of = |local: &str| Month::of(second(local), Oslo).unwrap().to_string();
        assert_eq!(of("2026-10-31T22:59:59Z"), "2026-10");
        assert_eq!(of("2026-10-31T23:00:00Z"), "2026-11");
        assert_eq!(
            Month::new(2026, 13, Oslo).unwrap_err().to_string(),
            "2026-13 is not a month from 2000-01 to 2199-12"
        );
    }
}
