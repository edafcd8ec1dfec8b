//! What a counter rose in each hour of a day that is folded: years are added up without a reading of
//! them being unpacked.
//!
//! ```text
//!  day       = [1] first-ms first last-ms last n n × ( hours-since amount )
//!  integers  = LEB128, zigzag where they may be negative
//! ```
//!
//! It follows from the readings of its day alone. What was used between two days is between the last
//! stand of the one and the first of the other, and belongs to whoever adds them up: so a day that is
//! folded once more changes no other.
//!
//! **Never true:** that a tally is the only place of something. Where there is none, or one that this
//! version cannot read, the day is unpacked.

use std::ops::Range;

use crate::folded::{Kept, day_of};

/// A counter's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTally {
    /// The first value: when, and what.
    pub(crate) first: (i64, i64),
    /// The last.
    pub(crate) last: (i64, i64),
    /// What it rose between the two, in steps, by the hour of UTC since 1970 in which it did. By hour.
    pub(crate) hours: Vec<(i64, i64)>,
}

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// A reading closes an hour that ended at most so long before it.
const SLACK_MS: i64 = 450_000;

/// The instant to which what a counter rose between two readings belongs.
pub(crate) fn instant(interval: &Range<i64>) -> i64 {
    let length = interval.end.saturating_sub(interval.start);
    interval.end.saturating_sub((length / 2).min(SLACK_MS))
}

/// A counter that fell was exchanged, set back or ran over; nobody can tell what was used.
pub(crate) const fn rise(from: i64, to: i64) -> i64 {
    if to > from { to.saturating_sub(from) } else { 0 }
}

/// What rose in an interval, by hour: after a long silence spread evenly over the time that it took.
fn by_hour(interval: &Range<i64>, rose: i64) -> Vec<(i64, i64)> {
    let length = interval.end.saturating_sub(interval.start);
    if length <= 2 * HOUR_MS {
        return vec![(instant(interval).div_euclid(HOUR_MS), rose)];
    }
    let (mut from_ms, mut told, mut hours) = (interval.start, 0_i64, Vec::new());
    while from_ms < interval.end {
        let hour = from_ms.div_euclid(HOUR_MS);
        let until_ms = ((hour + 1) * HOUR_MS).min(interval.end);
        let passed = i128::from(until_ms - interval.start);
        let so_far = i128::from(rose) * passed / i128::from(length);
        let so_far = i64::try_from(so_far).unwrap_or(rose);
        // Seconds into another hour, and maybe day, in which nothing rose say nothing of it.
        if so_far > told || until_ms - from_ms > SLACK_MS {
            hours.push((hour, so_far - told));
        }
        (from_ms, told) = (until_ms, so_far);
    }
    hours
}

impl DayTally {
    /// Of the readings of one day, by time; `None` if none has a value.
    pub(crate) fn of(day: &[Kept]) -> Option<Self> {
        let mut values =
            day.iter().filter_map(|kept| Some((kept.reading.at_ms, kept.reading.value.ok()?)));
        let first = values.next()?;
        let (mut last, mut hours): (_, Vec<(i64, i64)>) = (first, Vec::new());
        for (at_ms, value) in values {
            for (hour, rose) in by_hour(&(last.0..at_ms), rise(last.1, value)) {
                match hours.last_mut() {
                    Some((of, amount)) if *of == hour => *amount = amount.saturating_add(rose),
                    _ => hours.push((hour, rose)),
                }
            }
            last = (at_ms, value);
        }
        Some(Self { first, last, hours })
    }

    /// As bytes; none for a day without a value.
    pub(crate) fn write(tally: Option<&Self>) -> Vec<u8> {
        let Some(Self { first, last, hours }) = tally else { return Vec::new() };
        let mut bytes = vec![VERSION];
        put(&mut bytes, zigzag(first.0));
        put(&mut bytes, zigzag(first.1));
        put(&mut bytes, last.0.abs_diff(first.0));
        put(&mut bytes, zigzag(last.1.wrapping_sub(first.1)));
        put(&mut bytes, hours.len() as u64);
        let mut before = first.0.div_euclid(HOUR_MS);
        for (hour, amount) in hours {
            put(&mut bytes, zigzag(hour - before));
            put(&mut bytes, amount.unsigned_abs());
            before = *hour;
        }
        bytes
    }

    /// What [`write`](Self::write) wrote; `None` if that is not what this is.
    #[expect(clippy::option_option, reason = "a day without a value is known, too")]
    pub(crate) fn read(bytes: &[u8]) -> Option<Option<Self>> {
        let mut bytes = match bytes {
            [] => return Some(None),
            [VERSION, rest @ ..] => rest,
            _ => return None,
        };
        let bytes = &mut bytes;
        let first = (unzigzag(take(bytes)?), unzigzag(take(bytes)?));
        let last_ms = first.0.checked_add_unsigned(take(bytes)?)?;
        let last = (last_ms, first.1.wrapping_add(unzigzag(take(bytes)?)));
        let count = usize::try_from(take(bytes)?).ok().filter(|count| *count <= MOST)?;
        let (mut hours, mut hour) = (Vec::with_capacity(count), first.0.div_euclid(HOUR_MS));
        for _ in 0..count {
            hour = hour.checked_add(unzigzag(take(bytes)?))?;
            hours.push((hour, i64::try_from(take(bytes)?).ok()?));
        }
        bytes.is_empty().then_some(Some(Self { first, last, hours }))
    }
}

/// The readings of a series, by time, as those of its days.
pub(crate) fn by_day(kept: &[Kept]) -> impl Iterator<Item = (i64, &[Kept])> {
    let day = |kept: &Kept| day_of(kept.reading.at_ms);
    let days = kept.chunk_by(move |one, next| day(one) == day(next));
    days.filter_map(move |rows| Some((day(rows.first()?), rows)))
}

const VERSION: u8 = 1;

/// Hours of a day, and the one before it.
const MOST: usize = 25;

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7F);
        number |= part.checked_shl(shift).filter(|it| it >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use metering::{NoReading, Origin, Quality};
    use proptest::prelude::*;

    use super::*;
    use crate::folded::DAY_MS;
    use crate::repository::StoredReading;

    fn kept(at_ms: i64, value: Result<i64, NoReading>) -> Kept {
        let (quality, origin) = (Quality::Good, Origin::Live);
        Kept { number: (1, 1), reading: StoredReading { at_ms, value, quality, origin } }
    }

    #[test]
    fn an_hour_has_what_rose_in_it_and_a_fall_is_no_use() {
        let quarter = HOUR_MS / 4;
        let values = [(0, 10), (quarter, 12), (4 * quarter + 3_000, 15), (5 * quarter, 3)];
        let mut day: Vec<Kept> = values.map(|(at_ms, value)| kept(at_ms, Ok(value))).to_vec();
        day.insert(2, kept(2 * quarter, Err(NoReading::Silent)));
        let hours = vec![(0, 5), (1, 0)];
        let tally = DayTally { first: (0, 10), last: (5 * quarter, 3), hours };
        assert_eq!(DayTally::of(&day), Some(tally));
        assert_eq!(DayTally::of(&day[2..3]), None);
    }

    #[test]
    fn what_rose_in_a_silence_is_spread_over_its_hours() {
        let silence = [kept(HOUR_MS / 2, Ok(10)), kept(5 * HOUR_MS / 2 + 3_600_000, Ok(16))];
        let hours = vec![(0, 1), (1, 2), (2, 2), (3, 1)];
        assert_eq!(DayTally::of(&silence).map(|it| it.hours), Some(hours));
        let still = [kept(0, Ok(10)), kept(3 * HOUR_MS + 3_000, Ok(10))];
        let hours = vec![(0, 0), (1, 0), (2, 0)];
        assert_eq!(DayTally::of(&still).map(|it| it.hours), Some(hours));
    }

    proptest! {
        #[test]
        fn a_tally_is_read_as_it_was_written(
            day in -30_000_i64..60_000,
            values in prop::collection::btree_map(0..DAY_MS, any::<i64>(), 0..200),
        ) {
            let at = |ms: i64| day * DAY_MS + ms;
            let day: Vec<Kept> = values.iter().map(|(ms, it)| kept(at(*ms), Ok(*it))).collect();
            let tally = DayTally::of(&day);
            let bytes = DayTally::write(tally.as_ref());
            prop_assert_eq!(DayTally::read(&bytes), Some(tally));
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _read = DayTally::read(&bytes);
        }
    }
}
