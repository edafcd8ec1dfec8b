//! Days of a series that are over: from rows to as many bytes as they had on the wire, and back.
//!
//! ```text
//!  a batch ──▶ rows of a day ──after a week──▶ folded day
//!                  ▲                               │
//!                  └── a late reading, a correction ┴──▶ folded once more
//! ```
//!
//! A row costs a hundred bytes of disk, a folded reading two. What comes for a day that is folded
//! already is a row like any other, and wins over what it corrects by its number; the next folding
//! takes it in. So folding can be cut off and done again at any time, and changes no answer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use metering::SeriesId;
use sync_wire::{Stretch, SyncReading, fold, limits, unfold};

use crate::columns::Trouble;
use crate::repository::StoredReading;

/// For how long readings stay rows, at least: what is looked at and corrected most.
pub(crate) const ROWS_FOR: Duration = Duration::from_hours(7 * 24);

/// Days are those of UTC.
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;

/// Days of series that are folded in one transaction: while one lasts the gateway's next batch
/// waits.
pub(crate) const AT_ONCE: usize = 50;

/// How far a folding has come among the series, by their keys in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) gateway: i64,
    pub(crate) series: i64,
    /// Of that series, what was measured before this has had its turn.
    pub(crate) from_ms: i64,
}

impl Place {
    /// Before all of them.
    pub const START: Self = Self { gateway: i64::MIN, series: i64::MIN, from_ms: i64::MIN };

    /// Behind all of this series.
    pub(crate) const fn after(gateway: i64, series: i64) -> Self {
        Self { gateway, series: series.saturating_add(1), from_ms: i64::MIN }
    }
}

/// A reading as it is stored, with what decides which of two is the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The number of its epoch, and its own in that.
    pub(crate) number: (i64, u64),
    pub(crate) reading: StoredReading,
}

impl Kept {
    /// Whether it was measured later or, of one instant, has the later number.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        (self.reading.at_ms, self.number) > (other.reading.at_ms, other.number)
    }

    /// Whether `reading` of this epoch is the one, or one that this corrects.
    pub(crate) fn holds(&self, epoch_no: i64, reading: &SyncReading) -> bool {
        let SyncReading { seq, at_ms, value, quality, origin, .. } = *reading;
        let sent = Self {
            number: (epoch_no, seq),
            reading: StoredReading { at_ms, value, quality, origin },
        };
        self.number > sent.number || *self == sent
    }
}

/// The beginning of the first day that may not be folded yet.
pub(crate) fn first_row_ms(now_ms: i64) -> i64 {
    let kept_ms = i64::try_from(ROWS_FOR.as_millis()).unwrap_or(i64::MAX);
    day_of(now_ms.saturating_sub(kept_ms)) * DAY_MS
}

/// Days since 1970.
pub(crate) const fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// The days that `span` touches.
pub(crate) const fn days(span: &Range<i64>) -> Range<i64> {
    if span.start >= span.end {
        return 0..0;
    }
    day_of(span.start)..day_of(span.end - 1) + 1
}

/// Two lots of readings of one series as one, by time. Of two of one instant that with the later
/// number counts.
pub(crate) fn merge(folded: Vec<Kept>, rows: Vec<Kept>) -> Vec<Kept> {
    if folded.is_empty() {
        return rows;
    }
    let mut all: BTreeMap<i64, Kept> = BTreeMap::new();
    for kept in folded.into_iter().chain(rows) {
        let place = all.entry(kept.reading.at_ms).or_insert(kept);
        if kept.number > place.number {
            *place = kept;
        }
    }
    all.into_values().collect()
}

/// The same without their numbers, of those in `span`.
pub(crate) fn readings(kept: Vec<Kept>, span: &Range<i64>) -> Vec<StoredReading> {
    let readings = kept.into_iter().map(|kept| kept.reading);
    readings.filter(|reading| span.contains(&reading.at_ms)).collect()
}

/// Says that a day is not folded, because it holds something that cannot be.
pub(crate) fn stays(gateway: i64, series: u32, day: i64, what: &str, found: &str) {
    tracing::error!(gateway, series, day, what, found, "a day of readings is not folded");
}

/// As bytes.
pub(crate) fn write<E>(kept: &[Kept]) -> Result<Vec<u8>, Trouble<E>> {
    let foreign = || Trouble::foreign("readings to fold", kept.len());
    let mut sorted = kept.to_vec();
    sorted.sort_by_key(|kept| kept.number);
    // Which series it is stands beside the bytes, and nothing in them.
    let series = SeriesId::new(1).ok_or_else(foreign)?;
    let mut stretches: Vec<Stretch> = Vec::new();
    for Kept { number: (epoch_no, seq), reading } in sorted {
        let epoch_no = u32::try_from(epoch_no).map_err(|_| foreign())?;
        let StoredReading { at_ms, value, quality, origin } = reading;
        let reading = SyncReading { seq, series, at_ms, value, quality, origin };
        match stretches.last_mut() {
            Some(last) if last.epoch_no == epoch_no && last.readings.len() < limits::READINGS => {
                last.readings.push(reading);
            }
            _ => stretches.push(Stretch { epoch_no, readings: vec![reading] }),
        }
    }
    fold(&stretches).map_err(|_| foreign())
}

/// What [`write`] wrote, by time.
pub(crate) fn read<E>(bytes: &[u8]) -> Result<Vec<Kept>, Trouble<E>> {
    let stretches = unfold(bytes).map_err(|wrong| Trouble::foreign("a folded day", wrong))?;
    let mut all = Vec::new();
    for Stretch { epoch_no, readings } in stretches {
        all.extend(readings.into_iter().map(|reading| {
            let SyncReading { seq, at_ms, value, quality, origin, .. } = reading;
            let reading = StoredReading { at_ms, value, quality, origin };
            Kept { number: (epoch_no.into(), seq), reading }
        }));
    }
    all.sort_by_key(|kept| kept.reading.at_ms);
    Ok(all)
}

/// The last one before `before_ms`; of those with a value, if it has to have one.
pub(crate) fn last_before(kept: &[Kept], before_ms: i64, with_value: bool) -> Option<Kept> {
    let fits = |kept: &&Kept| {
        kept.reading.at_ms < before_ms && (kept.reading.value.is_ok() || !with_value)
    };
    kept.iter().rev().find(fits).copied()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use metering::{NoReading, Origin, Quality};

    use super::*;

    fn kept(at_ms: i64, number: (i64, u64), value: Result<i64, NoReading>) -> Kept {
        let (quality, origin) = (Quality::Good, Origin::Live);
        Kept { number, reading: StoredReading { at_ms, value, quality, origin } }
    }

    #[test]
    fn a_day_is_read_as_it_was_written_whatever_its_epochs() {
        let mut day: Vec<Kept> = (0..30_000)
            .map(|n| kept(1_000 * n, (1 + n / 25_000, 7 * n.unsigned_abs()), Ok(3 * n)))
            .collect();
        day[17] = kept(17_000, (1, 900_001), Err(NoReading::Silent));
        let bytes = write::<Infallible>(&day).unwrap();
        assert_eq!(read::<Infallible>(&bytes).unwrap(), day);
    }

    #[test]
    fn of_two_of_one_instant_the_later_number_counts() {
        let folded = vec![kept(1, (1, 5), Ok(10)), kept(2, (1, 6), Ok(20))];
        let rows = vec![kept(2, (1, 4), Ok(21)), kept(3, (1, 7), Ok(30))];
        let values = |kept: Vec<Kept>| {
            let readings = kept.into_iter().map(|it| it.reading.value.unwrap());
            readings.collect::<Vec<_>>()
        };
        assert_eq!(values(merge(folded.clone(), rows)), [10, 20, 30]);
        assert_eq!(values(merge(folded, vec![kept(2, (2, 1), Ok(22))])), [10, 22]);
    }

    #[test]
    fn a_span_touches_the_days_that_it_begins_and_ends_in() {
        assert_eq!(days(&(0..DAY_MS)), 0..1);
        assert_eq!(days(&(DAY_MS - 1..DAY_MS + 1)), 0..2);
        assert_eq!(days(&(-1..0)), -1..0);
        assert_eq!(days(&(5..5)), 0..0);
        assert_eq!(days(&(i64::MIN..i64::MAX)).start, day_of(i64::MIN));
    }

    #[test]
    fn a_week_of_whole_days_stays_rows() {
        assert_eq!(first_row_ms(20 * DAY_MS), 13 * DAY_MS);
        assert_eq!(first_row_ms(21 * DAY_MS - 1), 13 * DAY_MS);
    }
}
