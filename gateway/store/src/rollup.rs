//! Readings to quarter hours, hours, days and months.
//!
//! ```text
//! stand  ·······•·····•····•··|··•·····•········|······•········
//!               first      last  first last     |
//!               └─ up, down ─┘└─┘└────┘└────────┘
//!                 in the row    a link: worked out by the question
//! ```
//!
//! A [`Tally`] is made of the readings of its period and of nothing else. It is a sum: two tallies
//! of one series add up to the tally of their readings together, in whatever order they come. So a
//! late reading changes one row of each table, rows can be made again after a power cut, and a day
//! is the sum of its quarter hours.
//!
//! What was used between the last reading of one row and the first of the next is no part of either;
//! the question counts it (see `query.rs`), and therefore rows add up to the difference of the
//! stands, with nothing lost between them.
//!
//! The wall clock may be set back. Readings of a series then go on in a new *era*, with rows of its
//! own, so that within an era the order of time is the order of seq and nothing is counted twice.

use metering::{MeterId, NoReading, Origin, Quality, SeriesId};

/// What the readings of a period come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) first_at: i64,
    pub(crate) first: i64,
    pub(crate) last_at: i64,
    pub(crate) last: i64,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// `None` where 64 bits do not hold it.
    pub(crate) sum: Option<i64>,
    pub(crate) n: u32,
    /// Of `n`, those that came later, out of the meter's memory.
    pub(crate) remembered: u32,
    /// What the counter rose from reading to reading, and what it fell: `up - down` is
    /// `last - first`.
    pub(crate) up: i64,
    pub(crate) down: i64,
    /// The highest number in it; 0 out of the file, which does not keep it.
    pub(crate) seq: u64,
}

impl Tally {
    /// Of one reading.
    pub(crate) const fn of(at_ms: i64, mantissa: i64, remembered: bool, seq: u64) -> Self {
        Self {
            first_at: at_ms,
            first: mantissa,
            last_at: at_ms,
            last: mantissa,
            low: mantissa,
            high: mantissa,
            sum: Some(mantissa),
            n: 1,
            remembered: if remembered { 1 } else { 0 },
            up: 0,
            down: 0,
            seq,
        }
    }

    /// Of the readings of both.
    ///
    /// Exact where one ends before the other begins. Where they overlap (a late reading between
    /// two that are there) the rise is taken to be what the stands differ by, which is exact for
    /// a counter that did not fall in between.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        let (a, b) = if (self.first_at, self.seq) <= (other.first_at, other.seq) {
            (self, other)
        } else {
            (other, self)
        };
        let (last_at, last) =
            if b.last_at >= a.last_at { (b.last_at, b.last) } else { (a.last_at, a.last) };
        let fell = a.down.saturating_add(b.down);
        let (up, down) = if b.first_at >= a.last_at {
            let link = i128::from(b.first) - i128::from(a.last);
            let rose = a.up.saturating_add(b.up);
            (rose.saturating_add(clamped(link.max(0))), fell.saturating_add(clamped(-link.min(0))))
        } else {
            let rose = i128::from(last) - i128::from(a.first) + i128::from(fell);
            (clamped(rose.max(0)), clamped(i128::from(fell) - rose.min(0)))
        };
        Self {
            first_at: a.first_at,
            first: a.first,
            last_at,
            last,
            low: a.low.min(b.low),
            high: a.high.max(b.high),
            sum: a.sum.zip(b.sum).and_then(|(a, b)| a.checked_add(b)),
            n: a.n.saturating_add(b.n),
            remembered: a.remembered.saturating_add(b.remembered),
            up,
            down,
            seq: a.seq.max(b.seq),
        }
    }
}

/// A difference of two `i64` may need 65 bits; such a counter is broken, and its use is told as the
/// most that can be told.
pub(crate) fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Where a tally stands in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) series: SeriesId,
    pub(crate) era: u32,
    pub(crate) starts_at: i64,
}

impl Key {
    /// The row of a tally that stands here.
    pub(crate) const fn row(self, tally: Tally) -> Row {
        Row { era: self.era, starts_at: self.starts_at, tally }
    }
}

/// A tally of one series, and the period that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) era: u32,
    pub(crate) starts_at: i64,
    pub(crate) tally: Tally,
}

impl Row {
    /// By which the rows of a series are in their order.
    pub(crate) const fn place(&self) -> (u32, i64) {
        (self.era, self.starts_at)
    }

    /// Brings rows into their order, and adds up those of one place as they follow each other here.
    pub(crate) fn merge(rows: &mut Vec<Self>) {
        rows.sort_by_key(Self::place);
        rows.dedup_by(|later, row| {
            let same = later.place() == row.place();
            if same {
                row.tally = row.tally.plus(later.tally);
            }
            same
        });
    }

    /// Those of one era, of rows that are in their order.
    pub(crate) fn of_era(rows: &[Self], era: u32) -> &[Self] {
        let first = rows.partition_point(|row| row.era < era);
        let end = rows.partition_point(|row| row.era <= era);
        rows.get(first..end).unwrap_or_default()
    }
}

/// How far a series has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) era: u32,
    pub(crate) era_began_ms: i64,
    /// When its meter last answered at once.
    pub(crate) live_at: Option<i64>,
    /// Its newest reading.
    pub(crate) newest: Newest,
    /// Its newest value: number, time, mantissa.
    pub(crate) value: Option<(u64, i64, i64)>,
}

impl Progress {
    /// In which era a reading of that time is.
    pub(crate) const fn era_of(&self, at_ms: i64) -> u32 {
        if at_ms >= self.era_began_ms { self.era } else { 0 }
    }
}

/// The newest reading of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) seq: u64,
    pub(crate) at_ms: i64,
    pub(crate) value: Result<i64, NoReading>,
    pub(crate) quality: Quality,
    pub(crate) origin: Origin,
}

/// How often a meter answered in a quarter hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) answered: u32,
    pub(crate) failed: u32,
    pub(crate) remembered: u32,
}

impl Answers {
    /// Both together.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered.saturating_add(other.answered),
            failed: self.failed.saturating_add(other.failed),
            remembered: self.remembered.saturating_add(other.remembered),
        }
    }
}

/// A meter's failures in a row for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    pub(crate) meter: MeterId,
    pub(crate) from_ms: i64,
    pub(crate) first_seq: u64,
    pub(crate) until_ms: Option<i64>,
    pub(crate) reason: NoReading,
    pub(crate) tries: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(readings: &[(i64, i64)]) -> Option<Tally> {
        readings
            .iter()
            .zip(1..)
            .map(|((at_ms, mantissa), seq)| Tally::of(*at_ms, *mantissa, false, seq))
            .reduce(Tally::plus)
    }

    proptest! {
        /// Cut anywhere, a row is the sum of its parts, and it rises and falls from stand to stand.
        #[test]
        fn rows_add_up_wherever_they_are_cut(
            values in prop::collection::vec(-1000..1000_i64, 2..30),
            cut in 1..29_usize,
        ) {
            let readings: Vec<_> = (0..).zip(values).collect();
            let whole = tally(&readings).unwrap();
            let (head, tail) = readings.split_at(cut.min(readings.len() - 1));
            let tail: Vec<_> = tail.to_vec();
            let mut sum = tally(head).unwrap().plus(tally(&tail).unwrap());
            sum.seq = whole.seq;
            prop_assert_eq!(sum, whole);
            prop_assert_eq!(whole.up - whole.down, whole.last - whole.first);
        }

        /// A counter that only rises comes to the same in whatever order its readings come.
        #[test]
        fn late_readings_of_a_rising_counter_change_nothing_but_what_they_bring(
            rises in prop::collection::vec(0..50_i64, 2..20),
            order in any::<prop::sample::Index>(),
        ) {
            let mut stand = 0;
            let in_order: Vec<_> = (0..)
                .zip(rises)
                .map(|(at, rise)| { stand += rise; (at, stand) })
                .collect();
            let mut shuffled = in_order.clone();
            let turn = order.index(shuffled.len());
            shuffled.rotate_left(turn);
            prop_assert_eq!(tally(&shuffled), tally(&in_order));
        }

        #[test]
        fn the_ends_of_64_bits_do_not_panic(values in prop::collection::vec(any::<i64>(), 1..10)) {
            let readings: Vec<_> = (0..).zip(values).collect();
            prop_assert!(tally(&readings).is_some());
        }
    }

    #[test]
    fn a_fall_is_told_and_not_taken_from_the_use() {
        let whole = tally(&[(0, 9_990), (1, 9_999), (2, 4), (3, 10)]).unwrap();
        assert_eq!((whole.up, whole.down), (9 + 6, 9_995));
    }
}
