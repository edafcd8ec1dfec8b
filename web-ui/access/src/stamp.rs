//! When something happened, so that a later boot can still tell how long ago.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use metering::Moment;

/// A [`Moment`] in the form in which a row keeps it: `1763731925000.6f…9.81250`.
///
/// Within one boot its age is exact, whatever is done to the wall clock. Across boots the wall
/// clock is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds UTC since 1970.
    pub wall_ms: i64,
    /// Which boot it was.
    pub boot_id: u128,
    /// How long that boot had lasted, in milliseconds.
    pub boottime_ms: u64,
}

impl Stamp {
    /// Of `now`.
    pub fn of(now: &Moment) -> Self {
        let boottime_ms = u64::try_from(now.boottime.as_millis()).unwrap_or(u64::MAX);
        Self { wall_ms: now.wall_ms(), boot_id: now.boot_id, boottime_ms }
    }

    /// How long ago that was; `None` if it lies in the future by a wall clock that was set back
    /// since, so that nobody knows.
    pub fn age(&self, now: &Moment) -> Option<Duration> {
        let now = Self::of(now);
        let ms = if now.boot_id == self.boot_id {
            now.boottime_ms.checked_sub(self.boottime_ms)?
        } else {
            u64::try_from(now.wall_ms.checked_sub(self.wall_ms)?).ok()?
        };
        Some(Duration::from_millis(ms))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}.{}", self.wall_ms, self.boot_id, self.boottime_ms)
    }
}

impl FromStr for Stamp {
    type Err = InvalidStamp;

    fn from_str(text: &str) -> Result<Self, InvalidStamp> {
        let read = || {
            let (wall_ms, rest) = text.split_once('.')?;
            let (boot_id, boottime_ms) = rest.split_once('.')?;
            Some(Self {
                wall_ms: wall_ms.parse().ok()?,
                boot_id: u128::from_str_radix(boot_id, 16).ok()?,
                boottime_ms: boottime_ms.parse().ok()?,
            })
        };
        read().ok_or_else(|| InvalidStamp(text.chars().take(80).collect()))
    }
}

/// A text that tells no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a wall clock, a boot and its age")]
pub struct InvalidStamp(String);

#[cfg(test)]
pub(crate) mod tests {
    use metering::Trust;
    use proptest::prelude::*;

    use super::*;

    /// `seconds` into boot `boot_id`, which began at the same wall clock as every other.
    pub(crate) fn moment(boot_id: u128, seconds: i64) -> Moment {
        let wall = chrono::DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap();
        let boottime = Duration::from_secs(seconds.try_into().unwrap_or_default());
        Moment { wall, boottime, boot_id, trust: Trust::Synced }
    }

    #[test]
    fn within_a_boot_a_leap_of_the_wall_clock_changes_no_age() {
        let stamp = Stamp::of(&moment(1, 100));
        let leapt = Moment { wall: chrono::DateTime::UNIX_EPOCH, ..moment(1, 160) };
        assert_eq!(stamp.age(&leapt), Some(Duration::from_mins(1)));
    }

    #[test]
    fn across_boots_the_wall_clock_tells() {
        let stamp = Stamp::of(&moment(1, 100));
        assert_eq!(stamp.age(&moment(2, 160)), Some(Duration::from_mins(1)));
        assert_eq!(stamp.age(&moment(2, 40)), None, "set back");
    }

    proptest! {
        #[test]
        fn a_stamp_is_read_as_it_is_written(
            wall_ms: i64,
            boot_id: u128,
            boottime_ms: u64,
        ) {
            let stamp = Stamp { wall_ms, boot_id, boottime_ms };
            prop_assert_eq!(stamp.to_string().parse(), Ok(stamp));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = text.parse::<Stamp>();
        }
    }

    #[test]
    fn what_is_no_stamp_is_refused() {
        assert_eq!(
            "yesterday".parse::<Stamp>().unwrap_err().to_string(),
            "`yesterday` is not a wall clock, a boot and its age"
        );
    }
}
