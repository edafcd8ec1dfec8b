//! When a meter is asked.

use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

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
        let midnight = midnight(wall, zone, 0);
        let length = i64::from(self.secs) * 1_000;
        let since = (wall - midnight).num_milliseconds().max(0);
        let next = midnight + TimeDelta::milliseconds((since / length + 1) * length);
        next.min(midnight_after(wall, zone))
    }

    /// The last slot that began at `wall` or before it.
    pub fn slot_at(self, wall: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let midnight = midnight(wall, zone, 0);
        let length = i64::from(self.secs) * 1_000;
        let since = (wall - midnight).num_milliseconds().max(0);
        midnight + TimeDelta::milliseconds(since / length * length)
    }
}

/// The first midnight after `wall`: tomorrow's, also on a day of 25 hours.
fn midnight_after(wall: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    midnight(wall, zone, 1)
}

/// When the civil day that `wall` lies in began, or the one `days` after it.
///
/// Where the clocks are put forward at midnight itself, the day begins an hour later.
fn midnight(wall: DateTime<Utc>, zone: Tz, days: u64) -> DateTime<Utc> {
    let day = wall.with_timezone(&zone).date_naive();
    let day = day.checked_add_days(Days::new(days)).unwrap_or(day);
    (0..=3)
        .filter_map(|hour| zone.from_local_datetime(&day.and_hms_opt(hour, 0, 0)?).earliest())
        .map(|begins| begins.with_timezone(&Utc))
        .next()
        .unwrap_or(wall)
}

#[cfg(test)]
mod tests {
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
    }
}
