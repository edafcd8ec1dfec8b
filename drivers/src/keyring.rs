//! The keys of meters that encrypt, by the numbers that stand on them.
//!
//! ```text
//! 67001122       ──▶ key            an M-Bus meter, whoever made it
//! 67001122KAM    ──▶ key            the one of this maker, before any other
//! 5706567326590407 ─▶ key, key      an electricity meter: encryption and authentication
//! ```
//!
//! **Never true:** a key is shown. `Debug` and errors have the numbers alone.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ::mbus::Secondary;
use ::mbus::crypto::{self, Key};

/// Whose keys they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    /// Reads 4 to 24 letters and digits; what separates them on the meter's label is left out.
    fn from_str(text: &str) -> Result<Self, InvalidKeyName> {
        let is_separator = |letter: &char| matches!(letter, ' ' | '-' | '.' | '/' | '_');
        let name: String = text.trim().chars().filter(|it| !is_separator(it)).collect();
        let fits = (4..=24).contains(&name.len());
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !(fits && plain) {
            return Err(InvalidKeyName);
        }
        Ok(Self(name.to_ascii_uppercase()))
    }
}

/// A text that is no meter's number. It is not told which: it may be a key in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no meter's number: it has 4 to 24 letters and digits")]
pub struct InvalidKeyName;

/// The keys of one meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterKeys {
    /// Without it nothing can be read.
    pub encryption: Key,
    /// Of an electricity meter: without it what was read may have been altered on the way.
    pub authentication: Option<Key>,
}

/// Who knows the keys of meters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    keys: BTreeMap<KeyName, MeterKeys>,
}

impl Keyring {
    /// None yet.
    pub const fn new() -> Self {
        Self { keys: BTreeMap::new() }
    }

    /// Puts the keys of a meter in; those that it had are forgotten. Tells whether it had any.
    pub fn put(&mut self, meter: KeyName, keys: MeterKeys) -> bool {
        self.keys.insert(meter, keys).is_some()
    }

    /// Forgets the keys of a meter. Tells whether it had any.
    pub fn remove(&mut self, meter: &KeyName) -> bool {
        self.keys.remove(meter).is_some()
    }

    /// Whose keys are known, and what they are.
    pub fn iter(&self) -> impl Iterator<Item = (&KeyName, &MeterKeys)> {
        self.keys.iter()
    }

    /// How many meters' keys are known.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are kept under `number`, as it stands on a meter.
    pub fn of_number(&self, number: &str) -> Option<&MeterKeys> {
        self.keys.get(&number.parse::<KeyName>().ok()?)
    }
}

impl crypto::Keys for Keyring {
    /// That of the number and the maker, else that of the number. A short header on a wire, which
    /// tells no meter, has none.
    fn keys_of(&self, meter: Option<Secondary>) -> &[Key] {
        let Some(meter) = meter else { return &[] };
        let of_maker = self.of_number(&format!("{}{}", meter.id, meter.manufacturer));
        let keys = of_maker.or_else(|| self.of_number(&meter.id.to_string()));
        keys.map_or(&[], |keys| std::slice::from_ref(&keys.encryption))
    }
}

#[cfg(test)]
mod tests {
    use ::mbus::crypto::Keys as _;
    use ::mbus::{Id, Manufacturer, Medium};

    use super::*;

    fn keys(byte: u8) -> MeterKeys {
        MeterKeys { encryption: Key::new([byte; 16]), authentication: None }
    }

    #[test]
    fn a_number_is_read_as_it_stands_on_the_meter() {
        let read = |text: &str| text.parse::<KeyName>().map(|name| name.to_string());
        assert_eq!(read("6700-1122 kam"), Ok("67001122KAM".to_owned()));
        assert!(read("67").is_err());
        assert!(read("måler 5").is_err());
        let key = "000102030405060708090A0B0C0D0E0F";
        let refused = read(key).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("0102"), "it may be a key: {refused}");
    }

    #[test]
    fn the_maker_comes_before_the_number_alone() {
        let mut ring = Keyring::new();
        ring.put("67001122".parse().unwrap(), keys(1));
        ring.put("67001122KAM".parse().unwrap(), keys(2));
        let meter = |letters| Secondary {
            id: Id(0x6700_1122),
            manufacturer: Manufacturer::of(letters).unwrap(),
            version: 0x1B,
            medium: Medium::new(0x16),
        };
        assert_eq!(ring.keys_of(Some(meter("KAM"))), [Key::new([2; 16])]);
        assert_eq!(ring.keys_of(Some(meter("ELS"))), [Key::new([1; 16])]);
        assert_eq!(ring.keys_of(None), []);
        assert!(ring.remove(&"67001122".parse().unwrap()));
        assert_eq!(ring.keys_of(Some(meter("ELS"))), []);
    }

    #[test]
    fn a_key_is_never_shown() {
        let mut ring = Keyring::new();
        ring.put("67001122".parse().unwrap(), keys(0xAB));
        let shown = format!("{ring:?}");
        assert!(shown.contains("67001122") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
