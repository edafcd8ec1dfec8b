//! The number that is burnt into a device on a 1-Wire.

use std::fmt;
use std::str::FromStr;

/// A device's family and serial number, as the kernel prints them: `28-0316a2795bff`.
///
/// The checksum, which is the rest of the 64 bits, follows from them, and the kernel leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SensorId {
    family: u8,
    /// 48 bits.
    serial: u64,
}

impl SensorId {
    /// The first byte, which tells the type: 0x28 is a DS18B20.
    pub const fn family(self) -> u8 {
        self.family
    }

    /// The type, if it is a thermometer that the kernel reads.
    pub const fn model(self) -> Option<&'static str> {
        match self.family {
            0x10 => Some("DS18S20"),
            0x22 => Some("DS1822"),
            0x28 => Some("DS18B20"),
            0x3B => Some("DS1825"),
            0x42 => Some("DS28EA00"),
            _ => None,
        }
    }
}

impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}-{:012x}", self.family, self.serial)
    }
}

impl FromStr for SensorId {
    type Err = InvalidSensor;

    fn from_str(text: &str) -> Result<Self, InvalidSensor> {
        let invalid = || InvalidSensor(text.chars().take(40).collect());
        let (family, serial) = text.split_once('-').ok_or_else(invalid)?;
        let hex = |text: &str, digits: usize| {
            let whole = text.len() == digits && text.bytes().all(|it| it.is_ascii_hexdigit());
            whole.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        let family = hex(family, 2).and_then(|it| u8::try_from(it).ok()).ok_or_else(invalid)?;
        Ok(Self { family, serial: hex(serial, 12).ok_or_else(invalid)? })
    }
}

/// A text that is no device of a 1-Wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the number of a 1-Wire sensor, such as 28-0316a2795bff: two hexadecimal digits, \
     `-` and twelve more, as `fyrhus onewire scan` lists them"
)]
pub struct InvalidSensor(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_is_read_as_the_kernel_prints_it() {
        let sensor: SensorId = "28-0316a2795bff".parse().unwrap();
        assert_eq!(
            (sensor.to_string().as_str(), sensor.model()),
            ("28-0316a2795bff", Some("DS18B20"))
        );
        assert_eq!("28-0316A2795BFF".parse(), Ok(sensor), "as some print it on a label");
        for wrong in [
            "",
            "28",
            "28-0316a2795bf",
            "28-0316a2795bfff",
            "28-0316a2795bfg",
            "w1_bus_master1",
            "2-80316a2795bff",
            "28-+316a2795bff",
        ] {
            assert!(wrong.parse::<SensorId>().is_err(), "{wrong}");
        }
    }
}
