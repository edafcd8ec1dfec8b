//! Whether a thermometer outdoors shows the air, or the sun on it.
//!
//! A sensor that the sun reaches between two clouds, or that a hand holds, leaps; the air does not.
//! So each temperature is laid beside the median of the five before it.
//!
//! **Never true:** a value is altered, or left out. One that can hardly be the air's is kept, and
//! marked as implausible. What stays is believed: after three such temperatures the median is theirs.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use metering::{MeterId, Origin, Quality, Reading, Register, Resolution, Unit};

/// The last temperatures of each thermometer outdoors, in thousandths of a degree: five at most. A meter may
/// have several.
#[derive(Debug, Default)]
pub(crate) struct Outdoors(HashMap<(MeterId, Register), Past>);

/// The last temperatures of one thermometer, the oldest first.
type Past = VecDeque<(DateTime<Utc>, i64)>;

impl Outdoors {
    /// Marks `reading`, of a meter that is `outdoors` by the configuration, if it leaps or cannot be.
    pub(super) fn judge(&mut self, meter: MeterId, outdoors: bool, reading: &mut Reading) {
        let register = reading.register.to_string();
        let is_it = register == "temperature_outdoor"
            || outdoors
                && register.starts_with("temperature")
                && reading.origin != Origin::Forecast;
        let Some(milli) = Resolution::new(3, Unit::Celsius).filter(|_| is_it) else { return };
        let Ok(Ok(now)) = reading.value.map(|it| it.converted(milli)) else { return };
        let now = now.mantissa();
        let past = self.0.entry((meter, reading.register.clone())).or_default();
        past.retain(|(at, _)| (reading.at.wall - *at).abs() <= NEAR);
        let leaps = median(past).is_some_and(|it| it.abs_diff(now) > MOST_APART);
        past.push_back((reading.at.wall, now));
        while past.len() > KEPT {
            past.pop_front();
        }
        let is_air = (COLDEST..=WARMEST).contains(&now) && !leaps;
        if !is_air && reading.quality == Quality::Good {
            reading.quality = Quality::Implausible;
        }
    }
}

/// Of five; of fewer nobody knows which of them leapt.
fn median(past: &Past) -> Option<i64> {
    let mut values: Vec<i64> = past.iter().map(|(_, value)| *value).collect();
    values.sort_unstable();
    if values.len() == KEPT { values.get(KEPT / 2).copied() } else { None }
}

const KEPT: usize = 5;

/// The air between −45 °C and 40 °C.
const COLDEST: i64 = -45_000;
const WARMEST: i64 = 40_000;

/// A front may bring some degrees in an hour; the sun on a sensor brings ten in minutes.
const MOST_APART: u64 = 6_000;

/// What was further back tells nothing of now.
const NEAR: TimeDelta = TimeDelta::hours(2);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metering::{Moment, Quantity, Trust};

    use super::*;

    fn reading(register: &str, celsius: &str, after: TimeDelta) -> Reading {
        let noon: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        Reading {
            register: register.parse().unwrap(),
            at: Moment {
                wall: noon + after,
                boottime: Duration::ZERO,
                boot_id: 1,
                trust: Trust::Synced,
            },
            value: Ok(Quantity::from_decimal(celsius, Unit::Celsius).unwrap()),
            quality: Quality::Good,
            origin: Origin::Live,
        }
    }

    /// What becomes of temperatures that come every ten minutes: `!` behind those that are marked.
    #[track_caller]
    fn check(register: &str, outdoors: bool, celsius: &[&str], expected: &str) {
        let mut judge = Outdoors::default();
        let meter = MeterId::from_uuid(uuid::Uuid::nil());
        let marked: Vec<String> = (0_i32..)
            .zip(celsius)
            .map(|(number, text)| {
                let mut reading = reading(register, text, TimeDelta::minutes(10) * number);
                judge.judge(meter, outdoors, &mut reading);
                let shown = reading.value.unwrap().decimal();
                let mark = if reading.quality == Quality::Implausible { "!" } else { "" };
                format!("{shown}{mark}")
            })
            .collect();
        assert_eq!(marked.join(" "), expected);
    }

    #[test]
    fn a_leap_is_marked_and_kept_and_what_stays_is_believed() {
        let spring = ["4.0", "4.2", "4.1", "4.4", "4.6", "14.1", "4.9"];
        check("temperature", true, &spring, "4.0 4.2 4.1 4.4 4.6 14.1! 4.9");
        check("temperature_outdoor", false, &spring, "4.0 4.2 4.1 4.4 4.6 14.1! 4.9");
        check("temperature_room", false, &spring, "4.0 4.2 4.1 4.4 4.6 14.1 4.9");
        let moved = ["1", "1", "1", "1", "1", "9", "9", "9", "9"];
        check("temperature", true, &moved, "1 1 1 1 1 9! 9! 9! 9");
    }

    #[test]
    fn two_thermometers_of_one_station_are_not_mixed_up() {
        let mut judge = Outdoors::default();
        let station = MeterId::from_uuid(uuid::Uuid::nil());
        for minute in 0..20 {
            for (register, celsius) in [("temperature", "20.0"), ("temperature_floor", "2.0")] {
                let mut shown = reading(register, celsius, TimeDelta::minutes(minute));
                judge.judge(station, true, &mut shown);
                assert_eq!(shown.quality, Quality::Good, "{register} in minute {minute}");
            }
        }
    }

    #[test]
    fn what_the_air_never_is_is_marked_from_the_first() {
        check("temperature", true, &["-45.0", "-45.1", "40.0", "40.1"], "-45.0 -45.1! 40.0 40.1!");
    }
}
