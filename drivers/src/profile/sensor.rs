//! Registers of wires that carry no telegrams: pulses that are counted, and 1-Wire thermometers.
//!
//! **Never true:** a counter shows what has not been counted yet.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use metering::{NoReading, Quality, Quantity};

use super::RegisterSpec;
use crate::number::{self, Scale};

/// How the pulses of a meter become its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulseInput {
    /// How many pulses are one unit of the register; `None` where the type has many weights and
    /// the one on the type plate has to be configured.
    pub per_unit: Option<PulseWeight>,
    /// Which edge is counted.
    pub edge: Edge,
    /// What is shorter than this is bouncing of the contact.
    pub debounce: Duration,
    /// The shortest that a pulse of the device is; `None` if it does not say so.
    pub min_low: Option<Duration>,
}

/// Which edge of a pulse is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// From high to low: a contact that closes pulls the line down.
    #[default]
    Falling,
    /// From low to high.
    Rising,
}

/// Pulses to one unit of a register, as on the type plate: `1000` (imp/kWh), `0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PulseWeight {
    per_unit: Scale,
}

impl PulseWeight {
    pub(super) const ONE: Self = Self { per_unit: Scale::ONE };
}

impl FromStr for PulseWeight {
    type Err = InvalidPulseWeight;

    fn from_str(text: &str) -> Result<Self, InvalidPulseWeight> {
        let per_unit = Scale::parse(text).filter(|it| it.is_positive());
        per_unit
            .map(|per_unit| Self { per_unit })
            .ok_or_else(|| InvalidPulseWeight(text.chars().take(40).collect()))
    }
}

impl fmt::Display for PulseWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_unit.fmt(f)
    }
}

/// A text that is no number of pulses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not how many pulses are one unit, such as 1000, 640 or 0.1")]
pub struct InvalidPulseWeight(String);

/// Of which thermometers on a 1-Wire a register is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneWire {
    /// The first byte of their address: 0x28 for DS18B20.
    pub family: u8,
    /// Thousandths of a degree that stand for no temperature.
    pub(super) invalid: Vec<RangeInclusive<i64>>,
}

impl RegisterSpec {
    /// What a counter shows after `pulses`, counted from a display of zero.
    ///
    /// With the decimals of the profile; without any, as many as one pulse has, at most 6. Cut
    /// off, not rounded, as a display does.
    ///
    /// # Errors
    ///
    /// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
    pub fn of_pulses(&self, pulses: u64, per_unit: PulseWeight) -> Result<Quantity, NoReading> {
        number::of_pulses(pulses, per_unit.per_unit, self.decimals, self.unit)
    }

    /// The temperature that a thermometer on a 1-Wire tells in thousandths of a degree.
    pub fn of_millidegrees(&self, raw: i64) -> (Result<Quantity, NoReading>, Quality) {
        let invalid = self.onewire.as_ref().map(|it| it.invalid.as_slice()).unwrap_or_default();
        if invalid.iter().any(|range| range.contains(&raw)) {
            return (Err(NoReading::Invalid), Quality::Good);
        }
        let value = number::of_integer(raw.into(), Scale::MILLI, self.decimals, self.unit);
        (value, value.map_or(Quality::Good, |it| self.plausible.judge(it)))
    }
}
