//! What a meter is, apart from its numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a meter counts. The dashboard has a row, a colour and an icon for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// District heating and other heat in water.
    Heat,
    /// Electric energy; export is a direction of its registers, not a medium.
    Electricity,
    /// District cooling.
    Cooling,
    /// Cold water.
    Water,
    /// Warm tap water.
    HotWater,
    /// Natural gas and biogas.
    Gas,
    /// Electricity from the sun, where it has a meter of its own.
    Solar,
    /// Air of a room or outdoors: temperature, humidity, carbon dioxide.
    Climate,
    /// Something else. Its registers are read and kept like all others.
    Other,
}

impl Medium {
    /// As in the store, on the wire and in files.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Heat => "heat",
            Self::Electricity => "electricity",
            Self::Cooling => "cooling",
            Self::Water => "water",
            Self::HotWater => "hot_water",
            Self::Gas => "gas",
            Self::Solar => "solar",
            Self::Climate => "climate",
            Self::Other => "other",
        }
    }

    /// All of them, in the order of the dashboard.
    pub const ALL: [Self; 9] = [
        Self::Heat,
        Self::Electricity,
        Self::Cooling,
        Self::Water,
        Self::HotWater,
        Self::Gas,
        Self::Solar,
        Self::Climate,
        Self::Other,
    ];
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Medium {
    type Err = UnknownMedium;

    fn from_str(text: &str) -> Result<Self, UnknownMedium> {
        Self::ALL
            .into_iter()
            .find(|medium| medium.code() == text)
            .ok_or_else(|| UnknownMedium(text.to_owned()))
    }
}

/// A text that names no medium.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not one of heat, electricity, cooling, water, hot_water, gas, solar, climate, other"
)]
pub struct UnknownMedium(String);

/// Which device answered: what a meter's telegram or its identity registers say of itself.
///
/// A change of it under one meter of the configuration is an exchange of the device, and begins
/// new series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Serial or fabrication number as shown on the device, `67001122`; empty if it tells none.
    pub serial: String,
    /// Three letters of the M-Bus register of makers, `KAM`, or a maker's name; empty if unknown.
    pub manufacturer: String,
    /// Generation or firmware, `35`; empty if unknown.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_medium_is_read_as_it_is_written() {
        for medium in Medium::ALL {
            assert_eq!(medium.code().parse(), Ok(medium));
            assert_eq!(serde_json::to_string(&medium).unwrap(), format!("\"{medium}\""));
        }
    }

    #[test]
    fn an_unknown_medium_hears_the_known_ones() {
        assert_eq!(
            "steam".parse::<Medium>().unwrap_err().to_string(),
            "`steam` is not one of heat, electricity, cooling, water, hot_water, gas, solar, climate, other"
        );
    }
}
