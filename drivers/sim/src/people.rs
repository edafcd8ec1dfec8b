//! When people are in the building, and what they are at: offices, flats, a restaurant.

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Europe::Oslo;

/// The life of the house at one instant; each a share of its own most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// How many are at their desks.
    pub(crate) office: f64,
    /// How much water and electricity the flats draw.
    pub(crate) flats: f64,
    /// How busy the restaurant's kitchen is.
    pub(crate) kitchen: f64,
    /// Whether the ventilation runs for the offices; 0 to 1.
    pub(crate) air: f64,
    /// How warm the offices are kept: 1 by day, less at night, more before work begins.
    pub(crate) setback: f64,
}

impl Life {
    /// At `at`, by the clock on the wall: people rise by civil time.
    pub(crate) fn at(at: DateTime<Utc>) -> Self {
        let shift = Oslo.offset_from_utc_datetime(&at.naive_utc()).fix();
        let civil = at.with_timezone(&shift);
        let hour = f64::from(civil.num_seconds_from_midnight()) / 3_600.0;
        let (kind, crowd) = day(civil.date_naive());

        let office = match kind {
            Kind::Work => {
                let lunch = 1.0 - 0.25 * bump(hour, 11.6, 0.5);
                crowd * lunch * slope(hour, 7.9, 0.6) * (1.0 - slope(hour, 16.2, 0.8))
            }
            Kind::Saturday => 0.10 * bump(hour, 13.0, 3.0),
            Kind::Rest => 0.03 * bump(hour, 13.0, 3.0),
        };
        let flats = match kind {
            Kind::Work => {
                0.12 + 0.75 * bump(hour, 7.0, 0.9)
                    + 0.30 * bump(hour, 12.5, 3.0)
                    + 0.85 * bump(hour, 18.7, 2.4)
            }
            Kind::Saturday | Kind::Rest => {
                0.12 + 0.80 * bump(hour, 10.0, 2.0)
                    + 0.45 * bump(hour, 14.0, 2.5)
                    + 0.75 * bump(hour, 18.5, 2.6)
            }
        };
        let (noon, evening) = match (kind, civil.weekday()) {
            (Kind::Work, Weekday::Fri) => (0.70, 1.00),
            (Kind::Work, _) => (0.70, 0.65),
            (Kind::Saturday, _) => (0.75, 1.00),
            (Kind::Rest, _) => (0.65, 0.50),
        };
        let kitchen = noon * bump(hour, 12.9, 1.8) + evening * bump(hour, 19.2, 1.7);
        let (air, setback) = match kind {
            Kind::Work => {
                let air = slope(hour, 6.0, 0.3) * (1.0 - slope(hour, 18.0, 0.3));
                let night = 0.78 + 0.22 * slope(hour, 5.0, 0.3) * (1.0 - slope(hour, 21.5, 0.8));
                (air, night + 0.24 * bump(hour, 6.2, 0.9))
            }
            Kind::Saturday => (0.45 * bump(hour, 13.0, 3.0), 0.92),
            Kind::Rest => (0.0, 0.84),
        };
        Self { office, flats, kitchen, air, setback }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Work,
    Saturday,
    Rest,
}

/// What kind of day it is, and which share of those who work here come on such a day of the year.
fn day(date: NaiveDate) -> (Kind, f64) {
    let rest = matches!((date.month(), date.day()), (1 | 5, 1) | (5, 17) | (12, 24..=26 | 31));
    let kind = match date.weekday() {
        _ if rest => Kind::Rest,
        Weekday::Sun => Kind::Rest,
        Weekday::Sat => Kind::Saturday,
        _ => Kind::Work,
    };
    let crowd = match (date.month(), date.day()) {
        (7, _) => 0.35,
        (12, 27..) => 0.30,
        (6, 22..) | (8, ..=10) => 0.65,
        _ => 1.0,
    };
    (kind, crowd)
}

/// 1 at `centre`, little beyond `width` hours from it.
fn bump(hour: f64, centre: f64, width: f64) -> f64 {
    let distance = (hour - centre) / width;
    (-distance * distance).exp()
}

/// From 0 to 1 around `hour` of the day `centre`, within about two `width` to either side.
fn slope(hour: f64, centre: f64, width: f64) -> f64 {
    let way = ((hour - centre) / width / 4.0 + 0.5).clamp(0.0, 1.0);
    way * way * (3.0 - 2.0 * way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(wall: &str) -> Life {
        Life::at(wall.parse().unwrap())
    }

    #[test]
    fn offices_are_full_on_workdays_and_empty_at_night_and_on_constitution_day() {
        assert!(life("2026-11-19T09:00:00Z").office > 0.9, "a Thursday at ten by the wall");
        assert!(life("2026-11-19T01:00:00Z").office < 0.01);
        assert!(life("2026-11-21T11:00:00Z").office < 0.2, "a Saturday");
        assert!(life("2027-05-17T09:00:00Z").office < 0.1, "a Monday, but the seventeenth of May");
        assert!(life("2026-07-15T08:00:00Z").office < 0.5, "July");
    }

    #[test]
    fn people_rise_by_the_clock_on_the_wall() {
        let (summer, winter) = (life("2026-06-10T06:00:00Z"), life("2026-11-18T07:00:00Z"));
        assert!((summer.office - winter.office).abs() < 1e-9, "both are at eight");
    }

    #[test]
    fn the_kitchen_is_busiest_in_the_evening_and_shut_at_night() {
        assert!(life("2026-11-20T18:15:00Z").kitchen > 0.9);
        assert!(life("2026-11-20T03:00:00Z").kitchen < 0.01);
    }
}
