//! Where a building is, as a weather service may know it.

use std::fmt;
use std::str::FromStr;

use metering::{Quantity, Resolution, Unit};

/// Latitude and longitude in steps of 0.0001 degrees, some 10 m, and the height above the sea.
///
/// What is written finer is cut off: the service refuses it, and has no use for it. Two decimals, a
/// kilometre, are enough for a temperature, and tell less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coordinates {
    latitude: i32,
    longitude: i32,
    metres: Option<i16>,
}

impl Coordinates {
    /// As the service wants it behind `?`.
    pub(super) fn query(self) -> String {
        let (latitude, longitude) = (degrees(self.latitude), degrees(self.longitude));
        let altitude = self.metres.map(|it| format!("&altitude={it}")).unwrap_or_default();
        format!("lat={latitude}&lon={longitude}{altitude}")
    }
}

/// In digits and without zeros at the end.
fn degrees(steps: i32) -> String {
    let exact = Resolution::new(4, Unit::One).map(|it| Quantity::new(steps.into(), it).decimal());
    let exact = exact.unwrap_or_default();
    exact.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", degrees(self.latitude), degrees(self.longitude))?;
        match self.metres {
            Some(metres) => write!(f, ", {metres}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Coordinates {
    type Err = InvalidCoordinates;

    fn from_str(text: &str) -> Result<Self, InvalidCoordinates> {
        let invalid = || InvalidCoordinates(text.chars().take(60).collect());
        let mut parts = text.split(',').map(str::trim);
        let mut next = |most: i32| {
            let steps = steps(parts.next()?)?;
            (steps.abs() <= most * 10_000).then_some(steps)
        };
        let (latitude, longitude) = (next(90), next(180));
        let metres = parts.next().map(|it| it.parse::<i16>().map_err(|_| invalid())).transpose()?;
        let sensible = metres.is_none_or(|it| (-500..=9_000).contains(&it));
        if parts.next().is_some() || !sensible {
            return Err(invalid());
        }
        Ok(Self {
            latitude: latitude.ok_or_else(invalid)?,
            longitude: longitude.ok_or_else(invalid)?,
            metres,
        })
    }
}

/// Ten-thousandths of a degree; further digits are cut off.
fn steps(text: &str) -> Option<i32> {
    let figure = Quantity::from_decimal(text, Unit::One).ok()?;
    let decimals = figure.resolution().decimals();
    let step = 10_i64.checked_pow(u32::from(decimals.abs_diff(4)))?;
    let steps = if decimals > 4 {
        figure.mantissa() / step
    } else {
        figure.mantissa().checked_mul(step)?
    };
    i32::try_from(steps).ok()
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a place: write latitude and longitude in degrees and, if you like, the metres \
     above the sea, as in \"59.91, 10.75\" or \"63.43, 10.39, 12\"; west and south are negative"
)]
pub struct InvalidCoordinates(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, query: &str) {
        let place: Coordinates = text.parse().unwrap();
        assert_eq!(place.query(), query);
        assert_eq!(place.to_string().parse(), Ok(place));
    }

    #[test]
    fn a_place_is_never_finer_than_four_decimals() {
        check("59.91, 10.75", "lat=59.91&lon=10.75");
        check("59.913868999,10.752245999", "lat=59.9138&lon=10.7522");
        check("-33.00001, -70.99999, 520", "lat=-33&lon=-70.9999&altitude=520");
        check("63,10,0", "lat=63&lon=10&altitude=0");
        check("-0.00009, 0", "lat=0&lon=0");
        for wrong in [
            "",
            "59.91",
            "59.91 10.75",
            "91, 0",
            "0, 181",
            "59,91, 10,75",
            "1, 2, 3, 4",
            "1, 2, high",
            "1, 2, 9999",
            "N59, E10",
            "99999999999, 1",
        ] {
            assert!(wrong.parse::<Coordinates>().is_err(), "{wrong}");
        }
    }
}
