//! What a sensor is called on its broker.

use std::fmt;
use std::str::FromStr;

/// The name that stands for `{device}` in the topics of a sensor's profile: 1 to 63 bytes.
///
/// It is small and copied like any other address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceName {
    bytes: [u8; Self::MOST],
    length: u8,
}

impl DeviceName {
    const MOST: usize = 63;

    /// As it is written.
    pub fn as_str(&self) -> &str {
        let whole = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        str::from_utf8(whole).unwrap_or_default()
    }
}

impl FromStr for DeviceName {
    type Err = InvalidDevice;

    fn from_str(text: &str) -> Result<Self, InvalidDevice> {
        let invalid = || InvalidDevice(text.chars().take(80).collect());
        if text.is_empty() || text.chars().any(|it| it.is_control() || matches!(it, '+' | '#')) {
            return Err(invalid());
        }
        let mut bytes = [0; Self::MOST];
        bytes.get_mut(..text.len()).ok_or_else(invalid)?.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: u8::try_from(text.len()).map_err(|_| invalid())? })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceName({:?})", self.as_str())
    }
}

/// A text that is no sensor's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a sensor: it has 1 to 63 bytes, without `+` and `#`")]
pub struct InvalidDevice(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["a", "kjøkken/vindu 2", &"x".repeat(63)] {
            let device: DeviceName = name.parse().unwrap();
            assert_eq!((device.as_str(), device.to_string()), (name, name.to_owned()));
        }
        for wrong in ["", "a+", "a/#", "a\n", &"x".repeat(64)] {
            assert!(wrong.parse::<DeviceName>().is_err(), "{wrong}");
        }
    }
}
