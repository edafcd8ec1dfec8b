//! Codes, IEC 62056-6-1: what a number is.
//!
//! ```text
//! 1-0:1.8.0     A-B:C.D.E
//! │ │ │ │ └ tariff, 0 for the total
//! │ │ │ └ 7 now, 8 counted since ever
//! │ │ └ 1 active power in, 2 out, 3 reactive in, 4 out; +20 in L1, +40 in L2, +60 in L3
//! │ └ channel: 0, on Kamstrup's meters 1, of a P1 port's other meters 1 to 9
//! └ 1 electricity, 0 none in particular
//! ```

use std::fmt;

use metering::{Direction, Phase, Register, Unit};

/// A code without its last part, F, which is 255 (now) in every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the parts have no other names")]
pub struct Obis {
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub d: u8,
    pub e: u8,
}

impl Obis {
    /// That of six octets; `None` for what stands for another time than now.
    pub(super) fn of_octets(octets: &[u8]) -> Option<Self> {
        let parts: [u8; 6] = octets.try_into().ok()?;
        (parts[5] == 255).then(|| Self {
            a: parts[0],
            b: parts[1],
            c: parts[2],
            d: parts[3],
            e: parts[4],
        })
    }

    /// That of electricity.
    pub(super) const fn electricity(c: u8, d: u8, e: u8) -> Self {
        Self { a: 1, b: 0, c, d, e }
    }

    /// C, D and E.
    pub(super) const fn cde(self) -> (u8, u8, u8) {
        (self.c, self.d, self.e)
    }

    /// What of electricity it is.
    pub(super) fn measured(self) -> Option<Measured> {
        let Self { a: 1, c, d, e, .. } = self else { return None };
        let (c, phase) = match c {
            21..=39 => (c - 20, Phase::L1),
            41..=59 => (c - 40, Phase::L2),
            61..=79 => (c - 60, Phase::L3),
            0..=20 => (c, Phase::Total),
            _ => return None,
        };
        let (kind, direction) = match (c, d) {
            (1, 7) => (Kind::Power, Some(Direction::Import)),
            (2, 7) => (Kind::Power, Some(Direction::Export)),
            (3, 7) => (Kind::ReactivePower, Some(Direction::Import)),
            (4, 7) => (Kind::ReactivePower, Some(Direction::Export)),
            (1, 8) => (Kind::Energy, Some(Direction::Import)),
            (2, 8) => (Kind::Energy, Some(Direction::Export)),
            (3, 8) => (Kind::ReactiveEnergy, Some(Direction::Import)),
            (4, 8) => (Kind::ReactiveEnergy, Some(Direction::Export)),
            (11, 7) => (Kind::Current, None),
            (12, 7) => (Kind::Voltage, None),
            (13, 7) => (Kind::PowerFactor, None),
            (14, 7) => (Kind::Frequency, None),
            _ => return None,
        };
        let is_energy = matches!(kind, Kind::Energy | Kind::ReactiveEnergy);
        (e == 0 || is_energy).then_some(Measured { kind, direction, phase })
    }

    /// The register that it is, with a number in `unit`; `None` for what is no register of ours.
    pub fn register(self, unit: Unit) -> Option<Register> {
        if let Self { a: 0, b: 1..=9, c: 24, d: 2, e: 1 } = self {
            let quantity = match unit {
                Unit::CubicMetre | Unit::Litre => "volume",
                _ if unit.dimension() == Some(metering::Dimension::Energy) => "energy",
                _ => return None,
            };
            let mut register = Register::new(quantity.parse().ok()?);
            register.role = Some(format!("channel_{}", self.b).parse().ok()?);
            return Some(register);
        }
        let Measured { kind, direction, phase } = self.measured()?;
        let mut register = Register::new(kind.quantity().parse().ok()?);
        register.direction = direction;
        register.phase = (phase != Phase::Total || kind != Kind::Frequency).then_some(phase);
        register.tariff = self.e.into();
        Some(register)
    }
}

impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}:{}.{}.{}", self.a, self.b, self.c, self.d, self.e)
    }
}

/// A number of electricity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) kind: Kind,
    direction: Option<Direction>,
    phase: Phase,
}

/// What is measured, apart from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Current,
    Energy,
    Frequency,
    Power,
    PowerFactor,
    ReactiveEnergy,
    ReactivePower,
    Voltage,
}

impl Kind {
    const fn quantity(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Energy => "energy",
            Self::Frequency => "frequency",
            Self::Power => "power",
            Self::PowerFactor => "power_factor",
            Self::ReactiveEnergy => "reactive_energy",
            Self::ReactivePower => "reactive_power",
            Self::Voltage => "voltage",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((a, b): (u8, u8), cde: (u8, u8, u8), unit: Unit, expected: Option<&str>) {
        let obis = Obis { a, b, ..Obis::electricity(cde.0, cde.1, cde.2) };
        let register = obis.register(unit);
        assert_eq!(register.as_ref().map(ToString::to_string).as_deref(), expected);
        assert!(register.is_none_or(|it| it.is_canonical()));
    }

    #[test]
    fn a_code_is_one_register() {
        check((1, 0), (1, 8, 0), Unit::WattHour, Some("energy_import_total"));
        check((1, 1), (2, 8, 0), Unit::WattHour, Some("energy_export_total"));
        check((1, 0), (1, 8, 2), Unit::KilowattHour, Some("energy_import_total_t2"));
        check((1, 0), (1, 7, 0), Unit::Watt, Some("power_import_total"));
        check((1, 0), (4, 7, 0), Unit::Var, Some("reactive_power_export_total"));
        check((1, 0), (62, 7, 0), Unit::Watt, Some("power_export_l3"));
        check((1, 0), (31, 7, 0), Unit::Ampere, Some("current_l1"));
        check((1, 0), (52, 7, 0), Unit::Volt, Some("voltage_l2"));
        check((1, 0), (14, 7, 0), Unit::Hertz, Some("frequency"));
        check((0, 1), (24, 2, 1), Unit::CubicMetre, Some("volume_channel_1"));
        check((1, 0), (1, 7, 1), Unit::Watt, None);
        check((1, 0), (80, 7, 0), Unit::Watt, None);
        check((0, 0), (1, 8, 0), Unit::WattHour, None);
    }
}
