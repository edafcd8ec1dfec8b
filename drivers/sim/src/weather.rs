//! The weather over Trondheim: a season, fronts that pass in days, the sun of the hour.
//!
//! Normals of 1991 to 2020 are near: 5.8 °C in the mean of the year, -2 °C in January, 14 °C in
//! July. It is weather such as there might have been, never that of a certain day.

use std::f64::consts::TAU;

use crate::dice::Dice;

/// What a year outdoors is like, for one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    fronts: Dice,
    showers: Dice,
    clouds: Dice,
}

/// The air and the sky at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Air {
    /// °C in the shade.
    pub(crate) celsius: f64,
    /// °C without the swing of day and night, as heavy walls feel it.
    pub(crate) felt: f64,
    /// W/m² on level ground.
    pub(crate) sun: f64,
    /// % relative.
    pub(crate) humidity: f64,
}

impl Weather {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { fronts: dice.of("fronts"), showers: dice.of("showers"), clouds: dice.of("clouds") }
    }

    /// `hours` since the beginning of 2024 UTC.
    pub(crate) fn at(&self, hours: f64) -> Air {
        let days = hours / 24.0;
        let year = (days / 365.2425).fract() * TAU;
        let winter = (year - 0.35).cos();

        let season = 5.8 - 8.4 * winter;
        let fronts = (6.2 + 2.6 * winter) * self.fronts.wave(days / 3.7)
            + 2.2 * self.showers.wave(days / 1.3);
        let felt = season + fronts;

        let cloud = (0.62 + 0.55 * self.clouds.wave(days / 0.6)).clamp(0.0, 1.0);
        let solar_hour = (days.fract() * 24.0 + LONGITUDE / 15.0 - 12.0) / 24.0 * TAU;
        let declination = -0.4091 * (year + 0.172).cos();
        let height =
            LATITUDE_SIN * declination.sin() + LATITUDE_COS * declination.cos() * solar_hour.cos();
        let sun =
            if height > 0.0 { 1_000.0 * height.powf(1.2) * (1.0 - 0.74 * cloud) } else { 0.0 };

        // Warmest three hours after noon; a covered sky holds day and night together.
        let swing = (0.8 + 2.6 * (1.0 - winter) / 2.0) * (1.3 - cloud);
        let celsius = felt + swing * (solar_hour - 0.785).cos();
        let humidity = (64.0 + 26.0 * cloud - 1.6 * (celsius - felt)).clamp(28.0, 99.0);
        Air { celsius, felt, sun, humidity }
    }
}

/// Degrees east.
const LONGITUDE: f64 = 10.4;
/// Sine and cosine of 63.4° north.
const LATITUDE_SIN: f64 = 0.8942;
const LATITUDE_COS: f64 = 0.4478;

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(seed: u64, days: std::ops::Range<u32>, of: fn(Air) -> f64) -> f64 {
        let weather = Weather::new(Dice::new(seed));
        let hours = days.start * 24..days.end * 24;
        let count = f64::from(hours.end - hours.start);
        hours.map(|hour| of(weather.at(hour.into()))).sum::<f64>() / count
    }

    #[test]
    fn a_year_is_such_as_trondheim_has_them() {
        for seed in 0..5 {
            let year = mean(seed, 0..366, |air| air.celsius);
            let january = mean(seed, 0..31, |air| air.celsius);
            let july = mean(seed, 182..213, |air| air.celsius);
            let sun = mean(seed, 0..366, |air| air.sun) * 8.784;
            assert!((4.5..7.5).contains(&year), "{year}");
            assert!((-7.0..3.0).contains(&january), "{january}");
            assert!((10.0..18.0).contains(&july), "{july}");
            assert!((600.0..1_100.0).contains(&sun), "{sun} kWh/m² in a year");
        }
    }

    #[test]
    fn the_sun_is_down_at_midnight_and_highest_at_noon() {
        let weather = Weather::new(Dice::new(3));
        for day in 0..366 {
            let midnight = f64::from(day) * 24.0 + 23.3;
            assert!(weather.at(midnight).sun < 40.0, "day {day}");
        }
        let june_noon = 172.0 * 24.0 + 11.3;
        assert!(weather.at(june_noon).sun > 150.0);
    }
}
