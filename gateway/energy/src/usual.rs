//! What a building usually uses at this hour of such a day, and how today compares.
//!
//! The usual amount of an hour is the median over the same kind of day (workday, Saturday,
//! Sunday) of the weeks before. A median forgives a holiday or a failed meter among them, where a
//! mean would carry it into every comparison. Less than three such days are no usage at all.

use chrono::{Datelike, NaiveDate, Weekday};

/// Hours of a day's profile. The repeated hour of the autumn day is added to the first of the
/// two; the skipped one of spring is absent.
pub const HOURS: usize = 24;

/// One local day: what was used in each of its hours, in steps of one resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: NaiveDate,
    /// By local hour; `None` where it was not measured in full.
    pub hours: [Option<i64>; HOURS],
}

/// The usual amount of each hour on a day like `date`, from the days before it in `history`.
///
/// `None` for an hour that fewer than three such days have measured. Days of `history` on or
/// after `date` are left out, so that a day is never compared with itself.
pub fn usual(date: NaiveDate, history: &[Day]) -> [Option<i64>; HOURS] {
    let mut usual = [None; HOURS];
    for (hour, usual) in usual.iter_mut().enumerate() {
        let mut amounts: Vec<i64> = history
            .iter()
            .filter(|day| day.date < date && kind(day.date) == kind(date))
            .filter_map(|day| day.hours.get(hour).copied().flatten())
            .collect();
        *usual = median(&mut amounts);
    }
    usual
}

#[derive(PartialEq, Eq)]
enum Kind {
    Workday,
    Saturday,
    Sunday,
}

fn kind(date: NaiveDate) -> Kind {
    match date.weekday() {
        Weekday::Sat => Kind::Saturday,
        Weekday::Sun => Kind::Sunday,
        _ => Kind::Workday,
    }
}

fn median(amounts: &mut [i64]) -> Option<i64> {
    if amounts.len() < FEWEST_DAYS {
        return None;
    }
    amounts.sort_unstable();
    let upper = *amounts.get(amounts.len() / 2)?;
    let lower = *amounts.get((amounts.len() - 1) / 2)?;
    Some(lower.midpoint(upper))
}

/// With fewer days one of them decides alone.
const FEWEST_DAYS: usize = 3;

/// How an amount stands beside the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Less than 2.5 % off.
    AsUsual,
    /// Above by this many percent.
    Above(i64),
    /// Below by this many percent.
    Below(i64),
}

impl Comparison {
    /// `amount` beside `usual`, both in the same steps.
    ///
    /// `None` if nothing is usual: a share of zero says nothing.
    pub fn of(amount: i64, usual: i64) -> Option<Self> {
        if usual <= 0 {
            return None;
        }
        let (amount, usual) = (i128::from(amount), i128::from(usual));
        let off = amount - usual;
        if 1_000 * off.abs() < 25 * usual {
            return Some(Self::AsUsual);
        }
        // A half rounds up: 2.5 % is the least that is told, and it is told as 3 %.
        let percent = i64::try_from((200 * off.abs() + usual) / (2 * usual)).ok()?;
        Some(if off > 0 { Self::Above(percent) } else { Self::Below(percent) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn day(text: &str, at_noon: Option<i64>) -> Day {
        let mut hours = [None; HOURS];
        hours[12] = at_noon;
        Day { date: date(text), hours }
    }

    /// Noon on Saturday, 21 November 2026.
    #[track_caller]
    fn check(history: &[Day], expected: Option<i64>) {
        assert_eq!(usual(date("2026-11-21"), history)[12], expected);
    }

    #[test]
    fn a_saturday_is_compared_with_saturdays() {
        check(
            &[
                day("2026-10-31", Some(10)),
                day("2026-11-07", Some(12)),
                day("2026-11-14", Some(90)),
                day("2026-11-20", Some(500)),
            ],
            Some(12),
        );
    }

    #[test]
    fn of_four_days_the_middle_two_decide() {
        check(
            &[
                day("2026-10-24", Some(8)),
                day("2026-10-31", Some(10)),
                day("2026-11-07", Some(14)),
                day("2026-11-14", Some(90)),
            ],
            Some(12),
        );
    }

    #[test]
    fn an_hour_that_was_not_measured_does_not_count() {
        check(
            &[day("2026-10-31", Some(10)), day("2026-11-07", None), day("2026-11-14", Some(12))],
            None,
        );
    }

    #[test]
    fn a_day_is_not_compared_with_itself() {
        check(
            &[
                day("2026-11-07", Some(10)),
                day("2026-11-14", Some(12)),
                day("2026-11-21", Some(11)),
            ],
            None,
        );
    }

    #[test]
    fn under_two_and_a_half_percent_is_as_usual() {
        assert_eq!(Comparison::of(1_024, 1_000), Some(Comparison::AsUsual));
        assert_eq!(Comparison::of(1_025, 1_000), Some(Comparison::Above(3)));
        assert_eq!(Comparison::of(910, 1_000), Some(Comparison::Below(9)));
        assert_eq!(Comparison::of(0, 1_000), Some(Comparison::Below(100)));
        assert_eq!(Comparison::of(5, 0), None);
        assert_eq!(Comparison::of(i64::MAX, 1), None, "a share that no figure can hold");
    }
}
