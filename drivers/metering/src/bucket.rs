//! The quarter hour, in which all consumption is counted.

use chrono::{DateTime, TimeDelta, Utc};

/// A quarter hour of UTC, which is a quarter hour of every civil time zone too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeBucket(i64);

impl TimeBucket {
    /// The quarter hour that `instant` lies in; its first millisecond does, its last plus one
    /// does not.
    pub const fn of(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_millis().div_euclid(Self::MS) * Self::MS)
    }

    /// The quarter hour that begins at `ms` since 1970, if one begins there.
    pub const fn aligned(ms: i64) -> Option<Self> {
        if ms.rem_euclid(Self::MS) == 0 { Some(Self(ms)) } else { None }
    }

    /// Its beginning, in milliseconds since 1970.
    pub const fn start_ms(self) -> i64 {
        self.0
    }

    /// Its beginning.
    pub fn start(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(Self::MS))
    }

    /// Fifteen minutes.
    pub const LENGTH: TimeDelta = TimeDelta::minutes(15);

    const MS: i64 = 900_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_first_instant_is_in_it_and_its_end_is_not() {
        let of = |wall: &str| TimeBucket::of(wall.parse().unwrap()).start().to_rfc3339();
        assert_eq!(of("2026-03-01T00:15:00Z"), "2026-03-01T00:15:00+00:00");
        assert_eq!(of("2026-03-01T00:29:59.999Z"), "2026-03-01T00:15:00+00:00");
        assert_eq!(of("2026-03-01T00:30:00Z"), "2026-03-01T00:30:00+00:00");
        assert_eq!(of("1969-12-31T23:59:59Z"), "1969-12-31T23:45:00+00:00");
    }

    #[test]
    fn only_a_quarter_is_aligned() {
        assert!(TimeBucket::aligned(900_000).is_some());
        assert!(TimeBucket::aligned(900_001).is_none());
    }
}
