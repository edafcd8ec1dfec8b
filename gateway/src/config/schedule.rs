//! When a meter is asked.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use store::{Civil, Step};

/// How often a meter is asked: ten seconds to a day.
///
/// Shorter would keep a 300 baud M-Bus busy for good; longer would leave days without a reading.
///
/// Its slots begin at the site's midnight and then at every multiple of the interval (`:00`,
/// `:15`), so that all meters of a building are read together. A day that the interval does not
/// divide, as the 23 and 25 hours of a clock change, ends with a shorter slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PollEvery {
    secs: u32,
}

impl PollEvery {
    /// The shortest and the longest, in seconds.
    pub const SECS: (u64, u64) = (10, 86_400);

    /// Every `secs` seconds; `None` outside the limits.
    pub fn new(secs: u64) -> Option<Self> {
        let within = (Self::SECS.0..=Self::SECS.1).contains(&secs);
        u32::try_from(secs).ok().filter(|_| within).map(|secs| Self { secs })
    }

    /// In seconds.
    pub const fn secs(self) -> u32 {
        self.secs
    }

    /// As a length of time.
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.secs as u64)
    }

    /// The first slot that begins after `wall`, where clocks show `zone`.
    pub fn slot_after(self, wall: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let day = day(wall, zone);
        let next = self.slot_in(&day, wall).saturating_add(i64::from(self.secs) * 1_000);
        instant(next.min(day.end), wall)
    }

    /// The last slot that began at `wall` or before it.
    pub fn slot_at(self, wall: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        instant(self.slot_in(&day(wall, zone), wall), wall)
    }

    /// The slot of a day that `wall` lies in.
    const fn slot_in(self, day: &Range<i64>, wall: DateTime<Utc>) -> i64 {
        let length = self.secs as i64 * 1_000;
        day.start + (wall.timestamp_millis() - day.start) / length * length
    }
}

/// The civil day that `wall` lies in, from one midnight to the next.
fn day(wall: DateTime<Utc>, zone: Tz) -> Range<i64> {
    Civil::of(zone).period(Step::Day, wall.timestamp_millis())
}

/// `wall` itself beyond all calendars.
fn instant(ms: i64, wall: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(secs: u64, wall: &str, slot: &str, next: &str) {
        let every = PollEvery::new(secs).unwrap();
        let wall = wall.parse().unwrap();
        let shown = |at: DateTime<Utc>| at.format("%FT%TZ").to_string();
        assert_eq!(shown(every.slot_at(wall, Tz::Europe__Oslo)), slot);
        assert_eq!(shown(every.slot_after(wall, Tz::Europe__Oslo)), next);
    }

    #[test]
    fn a_slot_begins_at_a_multiple_of_the_interval() {
        check(900, "2026-03-01T00:14:50Z", "2026-03-01T00:00:00Z", "2026-03-01T00:15:00Z");
        check(900, "2026-03-01T00:15:00Z", "2026-03-01T00:15:00Z", "2026-03-01T00:30:00Z");
        check(10, "2026-03-01T00:15:09.999Z", "2026-03-01T00:15:00Z", "2026-03-01T00:15:10Z");
    }

    #[test]
    fn a_day_begins_at_the_buildings_midnight() {
        check(86_400, "2026-01-10T12:00:00Z", "2026-01-09T23:00:00Z", "2026-01-10T23:00:00Z");
        check(86_400, "2026-07-10T12:00:00Z", "2026-07-09T22:00:00Z", "2026-07-10T22:00:00Z");
    }

    #[test]
    fn the_days_of_23_and_25_hours_end_at_midnight_all_the_same() {
        check(86_400, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check(86_400, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z");
        check(86_400, "2026-10-25T22:30:00Z", "2026-10-25T22:00:00Z", "2026-10-25T23:00:00Z");
        check(3_600, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_one_slot(
            secs in 10_u64..=86_400,
            wall_ms in 1_700_000_000_000_i64..1_900_000_000_000,
        ) {
            let every = PollEvery::new(secs).unwrap();
            let wall = DateTime::from_timestamp_millis(wall_ms).unwrap();
            let (slot, next) = (every.slot_at(wall, Tz::Europe__Oslo), every.slot_after(wall, Tz::Europe__Oslo));
            prop_assert!(slot <= wall && wall < next);
            prop_assert!(next - slot <= TimeDelta::seconds(i64::try_from(secs).unwrap()));
            prop_assert_eq!(every.slot_at(next, Tz::Europe__Oslo), next);
        }

        /// What the store expects is what is asked for, over both clock changes.
        #[test]
        fn the_account_expects_as_many_slots_as_there_are(
            secs in prop_oneof![
                prop::sample::select(vec![60, 900, 1_800, 3_600, 7_200, 21_600, 86_400]),
                300_u64..=86_400,
            ],
            autumn in any::<bool>(),
            (from_min, minutes) in (0..3_000_i64, 0..4_000_i64),
        ) {
            let evening = if autumn { "2026-10-24T00:00:00Z" } else { "2026-03-28T00:00:00Z" };
            let (every, zone) = (PollEvery::new(secs).unwrap(), Tz::Europe__Oslo);
            let from = evening.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(from_min);
            let until = from + TimeDelta::minutes(minutes);
            let first = every.slot_after(from - TimeDelta::milliseconds(1), zone);
            let slots = std::iter::successors(Some(first), |it| Some(every.slot_after(*it, zone)));
            let span = from.timestamp_millis()..until.timestamp_millis();
            let expected = Civil::of(zone).polls(every.secs(), &span);
            prop_assert_eq!(slots.take_while(|it| *it < until).count(), expected as usize);
        }
    }
}
