//! A register's history in rows: what was used in each quarter hour, hour, day or month.
//!
//! Consumption is counted as on the gateway, so that both show one figure: what a counter rose
//! between two readings lies in the row that holds the instant half an interval before the second
//! one, but no more than 7.5 minutes. So a reading at 10:00:03 closes the quarter before it, and the
//! rows of a series add up to the difference of its stands.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use metering::NoReading;
use sync_wire::Kind;

use crate::repository::{SeriesHistory, StoredReading};

/// How long a row's period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
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
    /// The one with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Quarter, Self::Hour, Self::Day, Self::Month]
            .into_iter()
            .find(|step| step.as_str() == name)
    }

    /// As in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Quarter => "quarter",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The longest span that is answered: as many rows as a chart can show.
    pub(crate) const fn longest(self) -> TimeDelta {
        match self {
            Self::Quarter => TimeDelta::days(62),
            Self::Hour => TimeDelta::days(400),
            Self::Day => TimeDelta::days(11 * 366),
            Self::Month => TimeDelta::days(50 * 366),
        }
    }

    /// The period that holds `at_ms`.
    pub(crate) fn period(self, at_ms: i64, zone: Tz) -> Range<i64> {
        let civil = || {
            let date =
                DateTime::<Utc>::from_timestamp_millis(at_ms)?.with_timezone(&zone).date_naive();
            let (first, after) = match self {
                Self::Month => {
                    let first = date.with_day(1)?;
                    (first, first.checked_add_months(chrono::Months::new(1))?)
                }
                _ => (date, date.succ_opt()?),
            };
            Some(begins(first, zone)?..begins(after, zone)?)
        };
        match self {
            Self::Quarter => aligned(at_ms, QUARTER_MS),
            Self::Hour => aligned(at_ms, HOUR_MS),
            Self::Day | Self::Month => civil().unwrap_or_else(|| aligned(at_ms, QUARTER_MS)),
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryRow {
    /// Its first millisecond.
    pub(crate) start_ms: i64,
    /// Its last plus one.
    pub(crate) end_ms: i64,
    /// How many readings have a value.
    pub(crate) got: u32,
    /// What is known.
    pub(crate) content: Content,
}

/// What a row knows, by how its series moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Of a counter.
    Used {
        /// By how many steps it rose.
        amount: i64,
        /// Some of it may belong to the rows before: nothing was read in between.
        spread_unknown: bool,
    },
    /// Of everything else.
    Level {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// The mean, a half rounded away from zero.
        mean: i64,
    },
}

/// Time without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryGap {
    /// When the first try was made.
    pub(crate) from_ms: i64,
    /// When the next value came; `None` if none came in the span.
    pub(crate) until_ms: Option<i64>,
    /// Why the first failed.
    pub(crate) reason: NoReading,
    /// How many there were.
    pub(crate) tries: u32,
}

/// The rows of a series that begin in `span`, oldest first. A row of which nothing is known is
/// absent.
pub(crate) fn rows(
    history: &SeriesHistory,
    span: &Range<i64>,
    step: Step,
    zone: Tz,
) -> Vec<HistoryRow> {
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    let mut tally = |at_ms: i64, change: &mut dyn FnMut(&mut Tally)| {
        let period = step.period(at_ms, zone);
        if span.contains(&period.start) {
            change(tallies.entry(period.start).or_insert_with(|| Tally::of(period)));
        }
    };

    let mut before = history.before;
    for StoredReading { at_ms, value, .. } in &history.readings {
        let Ok(mantissa) = *value else { continue };
        tally(*at_ms, &mut |tally| tally.level(mantissa));
        if let Some((earlier_ms, stand)) = before {
            let interval = at_ms.saturating_sub(earlier_ms);
            let instant = at_ms.saturating_sub((interval / 2).min(SLACK_MS));
            let rose = i128::from(mantissa) - i128::from(stand);
            tally(instant, &mut |tally| tally.rise(rose, earlier_ms..*at_ms));
        }
        before = Some((*at_ms, mantissa));
    }

    let counts = history.series.kind == Kind::Counter;
    tallies.into_values().filter_map(|tally| tally.row(counts)).collect()
}

/// The stretches of a series without a value, oldest first.
pub(crate) fn gaps(history: &SeriesHistory) -> Vec<HistoryGap> {
    let mut gaps: Vec<HistoryGap> = Vec::new();
    let mut open = false;
    for StoredReading { at_ms, value, .. } in &history.readings {
        match (value, gaps.last_mut()) {
            (Err(_), Some(gap)) if open => gap.tries = gap.tries.saturating_add(1),
            (Err(reason), _) => {
                gaps.push(HistoryGap {
                    from_ms: *at_ms,
                    until_ms: None,
                    reason: *reason,
                    tries: 1,
                });
                open = true;
            }
            (Ok(_), Some(gap)) if open => {
                gap.until_ms = Some(*at_ms);
                open = false;
            }
            (Ok(_), _) => {}
        }
    }
    gaps
}

struct Tally {
    period: Range<i64>,
    got: u32,
    min: i64,
    max: i64,
    sum: i128,
    rose: Option<i128>,
    spread_unknown: bool,
}

impl Tally {
    const fn of(period: Range<i64>) -> Self {
        Self {
            period,
            got: 0,
            min: i64::MAX,
            max: i64::MIN,
            sum: 0,
            rose: None,
            spread_unknown: false,
        }
    }

    fn level(&mut self, mantissa: i64) {
        self.got = self.got.saturating_add(1);
        self.min = self.min.min(mantissa);
        self.max = self.max.max(mantissa);
        self.sum += i128::from(mantissa);
    }

    /// A counter that fell was exchanged, set back or ran over; nobody can tell what was used.
    fn rise(&mut self, rose: i128, interval: Range<i64>) {
        self.rose = Some(self.rose.unwrap_or_default() + rose.max(0));
        self.spread_unknown |= interval.start < self.period.start.saturating_sub(SLACK_MS)
            || interval.end > self.period.end.saturating_add(SLACK_MS);
    }

    fn row(self, counts: bool) -> Option<HistoryRow> {
        let content = if counts {
            Content::Used { amount: clamped(self.rose?), spread_unknown: self.spread_unknown }
        } else {
            let count = i128::from(self.got);
            let half = count / 2 * self.sum.signum();
            let mean = clamped((self.sum + half).checked_div(count)?);
            Content::Level { min: self.min, max: self.max, mean }
        };
        let Range { start: start_ms, end: end_ms } = self.period;
        Some(HistoryRow { start_ms, end_ms, got: self.got, content })
    }
}

/// A broken counter may rise by more than 64 bits hold.
fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// The first instant of a day. Where clocks change at midnight it is not 00:00.
pub(crate) fn begins(date: NaiveDate, zone: Tz) -> Option<i64> {
    let midnight = date.and_time(NaiveTime::MIN);
    (0..=12)
        .find_map(|quarters| {
            let local = midnight.checked_add_signed(TimeDelta::minutes(15 * quarters))?;
            zone.from_local_datetime(&local).earliest()
        })
        .map(|at| at.timestamp_millis())
}

fn aligned(at_ms: i64, length: i64) -> Range<i64> {
    let start = at_ms.saturating_sub(at_ms.rem_euclid(length));
    start..start.saturating_add(length)
}

const QUARTER_MS: i64 = 900_000;
const HOUR_MS: i64 = 3_600_000;

/// A reading closes a quarter hour that ended at most so long before it.
const SLACK_MS: i64 = 450_000;

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;
    use metering::{Origin, Quality, Resolution, Unit};

    use super::*;
    use crate::repository::Series;

    fn ms(at: &str) -> i64 {
        at.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
    }

    fn history(kind: Kind, readings: &[(&str, Result<i64, NoReading>)]) -> SeriesHistory {
        let series = Series {
            gateway: 1,
            number: 1,
            register: "energy".parse().unwrap(),
            kind,
            resolution: Resolution::new(3, Unit::MegawattHour).unwrap(),
            begins_ms: 0,
        };
        let readings = readings
            .iter()
            .map(|(at, value)| StoredReading {
                at_ms: ms(at),
                value: *value,
                quality: Quality::Good,
                origin: Origin::Live,
            })
            .collect();
        SeriesHistory { series, before: None, readings }
    }

    #[track_caller]
    fn check(kind: Kind, step: Step, readings: &[(&str, Result<i64, NoReading>)], expected: &str) {
        let span = ms("2026-01-01T00:00:00Z")..ms("2027-01-01T00:00:00Z");
        let told: Vec<String> = rows(&history(kind, readings), &span, step, Oslo)
            .into_iter()
            .map(|row| {
                let at = |ms| DateTime::from_timestamp_millis(ms).unwrap().format("%m-%dT%H:%M");
                let content = match row.content {
                    Content::Used { amount, spread_unknown: false } => format!("used {amount}"),
                    Content::Used { amount, spread_unknown: true } => format!("used {amount}?"),
                    Content::Level { min, max, mean } => format!("{min}..{max} mean {mean}"),
                };
                format!("{} {} {content} of {}", at(row.start_ms), at(row.end_ms), row.got)
            })
            .collect();
        assert_eq!(told.join("\n"), expected);
    }

    #[test]
    fn a_reading_closes_the_quarter_before_it() {
        check(
            Kind::Counter,
            Step::Quarter,
            &[
                ("2026-03-01T10:00:03Z", Ok(100)),
                ("2026-03-01T10:15:02Z", Ok(104)),
                ("2026-03-01T10:30:04Z", Ok(104)),
            ],
            "03-01T10:00 03-01T10:15 used 4 of 1\n03-01T10:15 03-01T10:30 used 0 of 1",
        );
    }

    #[test]
    fn what_a_gap_used_is_in_the_row_that_ends_it_and_marked() {
        check(
            Kind::Counter,
            Step::Quarter,
            &[
                ("2026-03-01T10:00:00Z", Ok(100)),
                ("2026-03-01T10:15:00Z", Err(NoReading::Silent)),
                ("2026-03-01T11:00:00Z", Ok(140)),
                ("2026-03-01T11:15:00Z", Ok(150)),
            ],
            "03-01T10:45 03-01T11:00 used 40? of 0\n03-01T11:00 03-01T11:15 used 10 of 1",
        );
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        check(
            Kind::Counter,
            Step::Day,
            &[
                ("2026-03-28T23:00:00Z", Ok(0)),
                ("2026-03-29T22:00:00Z", Ok(23)),
                ("2026-10-24T22:00:00Z", Ok(1_000)),
                ("2026-10-25T23:00:00Z", Ok(1_025)),
            ],
            "03-28T23:00 03-29T22:00 used 23 of 1\n\
             10-23T22:00 10-24T22:00 used 977? of 0\n\
             10-24T22:00 10-25T23:00 used 25 of 1",
        );
    }

    #[test]
    fn a_counter_that_fell_has_used_nothing_that_anybody_knows() {
        check(
            Kind::Counter,
            Step::Hour,
            &[
                ("2026-03-01T10:00:00Z", Ok(100)),
                ("2026-03-01T10:20:00Z", Ok(7)),
                ("2026-03-01T10:40:00Z", Ok(9)),
            ],
            "03-01T10:00 03-01T11:00 used 2 of 3",
        );
    }

    #[test]
    fn a_gauge_has_a_least_a_greatest_and_a_mean() {
        check(
            Kind::Gauge,
            Step::Month,
            &[
                ("2026-03-01T10:00:00Z", Ok(-5)),
                ("2026-03-05T10:00:00Z", Ok(-2)),
                ("2026-03-31T22:30:00Z", Ok(40)),
            ],
            "02-28T23:00 03-31T22:00 -5..-2 mean -4 of 2\n\
             03-31T22:00 04-30T22:00 40..40 mean 40 of 1",
        );
    }

    #[test]
    fn rows_add_up_to_the_difference_of_the_stands() {
        let readings: Vec<(String, i64)> = (0..500)
            .map(|n| {
                let at = ms("2026-03-28T20:00:07Z") + n * 437_123;
                let at = DateTime::from_timestamp_millis(at).unwrap();
                (at.to_rfc3339(), n * n)
            })
            .collect();
        let readings: Vec<_> =
            readings.iter().map(|(at, stand)| (at.as_str(), Ok(*stand))).collect();
        let span = ms("2026-01-01T00:00:00Z")..ms("2027-01-01T00:00:00Z");
        for step in [Step::Quarter, Step::Hour, Step::Day, Step::Month] {
            let rows = rows(&history(Kind::Counter, &readings), &span, step, Oslo);
            let sum: i64 = rows
                .iter()
                .map(|row| match row.content {
                    Content::Used { amount, .. } => amount,
                    Content::Level { .. } => 0,
                })
                .sum();
            assert_eq!(sum, 499 * 499, "{step:?}");
        }
    }

    #[test]
    fn a_gap_lasts_from_the_first_try_to_the_next_value() {
        let history = history(
            Kind::Counter,
            &[
                ("2026-03-01T10:00:00Z", Ok(1)),
                ("2026-03-01T10:15:00Z", Err(NoReading::Silent)),
                ("2026-03-01T10:30:00Z", Err(NoReading::Garbled)),
                ("2026-03-01T10:45:00Z", Ok(2)),
                ("2026-03-01T11:00:00Z", Err(NoReading::BusDown)),
            ],
        );
        let told = gaps(&history);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].tries, 2);
        assert_eq!(told[0].reason, NoReading::Silent);
        assert_eq!(told[0].until_ms, Some(ms("2026-03-01T10:45:00Z")));
        assert_eq!(told[1].until_ms, None);
    }
}
