//! The meter's own clock.
//!
//! Most meters say what a clock on the wall beside them would, and not in which zone: some with
//! summer time, some on winter time all year, and an octet that says "0 minutes from UTC" may
//! stand there of a meter that means nothing by it. A list is sent within seconds, though, so the
//! gateway's own clock tells which hour is meant, the one that comes twice in autumn too.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _, Utc};

/// A time as the meter shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterTime {
    /// On its display.
    pub local: NaiveDateTime,
    /// What has to be added to it for UTC, in minutes, as far as the meter says: -60 in the
    /// winter of Central Europe.
    pub deviation_min: Option<i16>,
}

impl MeterTime {
    /// The UTC of it, told by somebody for whom it is `now`.
    ///
    /// `None` if no zone from UTC to two hours east of it, in summer time or not, brings the two
    /// clocks together within ten minutes: one of them is wrong.
    pub fn utc_near(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let east = |minutes: i16| {
            let utc = self.local.checked_sub_signed(TimeDelta::minutes(minutes.into()))?.and_utc();
            ((utc - now).abs() <= MOST_APART).then_some(utc)
        };
        match self.deviation_min {
            // Nobody who has this port lives at UTC: 0 is sent by those who do not know.
            Some(deviation) if deviation != 0 => east(deviation.checked_neg()?),
            _ => [60, 120, 0].into_iter().find_map(east),
        }
    }

    /// How long after `earlier` it is.
    pub(super) fn since(self, earlier: Self) -> TimeDelta {
        let shown = self.local - earlier.local;
        match (self.deviation_min, earlier.deviation_min) {
            (Some(own), Some(other)) => {
                shown + TimeDelta::minutes(i64::from(own) - i64::from(other))
            }
            _ => shown,
        }
    }

    /// The full hour that it was last.
    pub(super) fn hour(self) -> Self {
        let hour = self.local.date().and_hms_opt(self.local.hour(), 0, 0);
        Self { local: hour.unwrap_or(self.local), ..self }
    }

    /// Reads a COSEM date-time, IEC 62056-6-2; `None` if it leaves open what
    /// makes an instant, or cannot be.
    ///
    /// ```text
    /// year(2) month day weekday hour minute second hundredths deviation(2) status
    /// ```
    pub(super) fn of_cosem(octets: &[u8; 12]) -> Option<Self> {
        let [y1, y0, month, day, _, hour, minute, second, _, d1, d0, _] = *octets;
        let year = u16::from_be_bytes([y1, y0]);
        let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())?;
        let local = date.and_hms_opt(hour.into(), minute.into(), second.into())?;
        let deviation = i16::from_be_bytes([d1, d0]);
        Some(Self { local, deviation_min: (-720..=840).contains(&deviation).then_some(deviation) })
    }
}

/// More than a meter's clock may be wrong (seconds), and far less than half of the hour that
/// zones are apart.
const MOST_APART: TimeDelta = TimeDelta::minutes(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(local: &str, deviation_min: Option<i16>, now: &str, expected: Option<&str>) {
        let time = MeterTime { local: local.parse().unwrap(), deviation_min };
        let utc = time.utc_near(now.parse().unwrap());
        assert_eq!(utc, expected.map(|it| it.parse().unwrap()));
    }

    #[test]
    fn the_gateways_clock_tells_which_hour_is_meant() {
        let autumn = "2026-10-25T02:30:00";
        check(autumn, None, "2026-10-25T00:30:07Z", Some("2026-10-25T00:30:00Z"));
        check(autumn, None, "2026-10-25T01:29:58Z", Some("2026-10-25T01:30:00Z"));
        // On winter time all year.
        check("2026-07-01T12:00:10", None, "2026-07-01T11:00:10Z", Some("2026-07-01T11:00:10Z"));
        // Its 0 means nothing.
        check("2026-07-01T12:00:10", Some(0), "2026-07-01T10:00:10Z", Some("2026-07-01T10:00:10Z"));
        check(
            "2026-07-01T12:00:10",
            Some(-60),
            "2026-07-01T11:00:00Z",
            Some("2026-07-01T11:00:10Z"),
        );
        check("2026-07-01T12:00:10", Some(-60), "2026-07-01T10:00:00Z", None);
        check("2026-07-01T12:00:10", None, "2026-07-01T08:00:00Z", None);
    }
}
