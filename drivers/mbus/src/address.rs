//! Addresses: one byte on the bus, or eight bytes that are the meter's own.
//!
//! ```text
//! secondary   ID, 8 digits     manufacturer   version   medium
//!             67 00 11 22      KAM            35        04
//!             └─ least significant byte first on the wire ─┘
//! ```
//!
//! Digits are half bytes. Most meters use 0 to 9, some A to E too. In a [`Selection`] a digit F
//! stands for any digit and a byte FF for any byte.
//!
//! Source: EN 13757-3, "secondary addressing"; the M-Bus documentation 4.8, section 7.

use core::fmt;
use core::str::FromStr;

use crate::Medium;

/// The address byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Primary(pub u8);

impl Primary {
    /// As a meter comes from the factory.
    pub const UNCONFIGURED: Self = Self(0);
    /// The highest that a meter can be given.
    pub const MAX: Self = Self(250);
    /// Whoever has been selected by its secondary address.
    pub const SELECTED: Self = Self(253);
    /// Everybody, and everybody answers: only where there is just one meter.
    pub const ALL_ANSWER: Self = Self(254);
    /// Everybody, and nobody answers.
    pub const ALL_SILENT: Self = Self(255);

    /// Whether one meter can have this address.
    pub const fn is_of_a_meter(self) -> bool {
        self.0 <= Self::MAX.0
    }
}

impl fmt::Display for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The identification number: eight digits, mostly decimal ones, and so never a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

/// Who made the meter: three letters in fifteen bits, registered by the flag association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manufacturer(pub u16);

impl Manufacturer {
    /// The code of three letters from A to Z.
    pub fn of(letters: &str) -> Option<Self> {
        let letters: [u8; 3] = letters.as_bytes().try_into().ok()?;
        let mut code = 0;
        for letter in letters {
            if !letter.is_ascii_uppercase() {
                return None;
            }
            code = code << 5 | u16::from(letter - BEFORE_A);
        }
        Some(Self(code))
    }

    /// The three letters; `None` if they are not all from A to Z.
    pub fn letters(self) -> Option<[char; 3]> {
        let letter = |shift: u32| {
            let [low, _] = (self.0 >> shift & 0b1_1111).to_le_bytes();
            let letter = char::from(low + BEFORE_A);
            letter.is_ascii_uppercase().then_some(letter)
        };
        Some([letter(10)?, letter(5)?, letter(0)?])
    }
}

impl fmt::Display for Manufacturer {
    /// The letters, or the code as four hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.letters() {
            Some(letters) => letters.iter().try_for_each(|letter| write!(f, "{letter}")),
            None => write!(f, "{:04X}", self.0),
        }
    }
}

/// The address that a meter is born with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Secondary {
    /// Its number.
    pub id: Id,
    /// Who made it.
    pub manufacturer: Manufacturer,
    /// Which generation of its maker's type.
    pub version: u8,
    /// What it counts.
    pub medium: Medium,
}

impl fmt::Display for Secondary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Selection::of(*self).fmt(f)
    }
}

/// Which meters are meant: a secondary address with wildcards.
///
/// The fields are as sent: a digit F of `id` and `fabrication` stands for any digit, a byte FF of
/// the others for any byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Eight digits.
    pub id: u32,
    /// Both bytes are compared on their own.
    pub manufacturer: u16,
    /// The generation.
    pub version: u8,
    /// The medium.
    pub medium: u8,
    /// The fabrication number, eight digits, where two meters have all the rest in common
    /// ("enhanced selection"). Not every meter understands it.
    pub fabrication: Option<u32>,
}

impl Selection {
    /// Every meter.
    pub const ALL: Self = Self {
        id: 0xFFFF_FFFF,
        manufacturer: 0xFFFF,
        version: 0xFF,
        medium: 0xFF,
        fabrication: None,
    };

    /// Just the meter with this address.
    pub const fn of(address: Secondary) -> Self {
        Self {
            id: address.id.0,
            manufacturer: address.manufacturer.0,
            version: address.version,
            medium: address.medium.code(),
            fabrication: None,
        }
    }

    /// Whether a meter with `address` and `fabrication` number feels addressed.
    ///
    /// A meter that has no fabrication number ignores an enhanced selection.
    pub fn matches(&self, address: &Secondary, fabrication: Option<u32>) -> bool {
        let enhanced = match (self.fabrication, fabrication) {
            (None, _) => true,
            (Some(wanted), Some(number)) => digits_match(wanted, number),
            (Some(_), None) => false,
        };
        enhanced && self.matches_address(address)
    }

    /// Whether `address` is one of those that are meant, whatever its fabrication number.
    pub fn matches_address(&self, address: &Secondary) -> bool {
        let [wanted_low, wanted_high] = self.manufacturer.to_le_bytes();
        let [low, high] = address.manufacturer.0.to_le_bytes();
        digits_match(self.id, address.id.0)
            && byte_matches(wanted_low, low)
            && byte_matches(wanted_high, high)
            && byte_matches(self.version, address.version)
            && byte_matches(self.medium, address.medium.code())
    }

    /// Whether `id` is one of those that are meant.
    pub fn matches_id(&self, id: Id) -> bool {
        digits_match(self.id, id.0)
    }

    /// Whether there can be a meter that both mean.
    pub fn overlaps(&self, other: &Self) -> bool {
        let digits = |a: u32, b: u32| {
            (0..8).all(|digit| {
                let (a, b) = (a >> (4 * digit) & 0xF, b >> (4 * digit) & 0xF);
                a == b || a == 0xF || b == 0xF
            })
        };
        let bytes = |a: u8, b: u8| a == b || a == 0xFF || b == 0xFF;
        let [low, high] = self.manufacturer.to_le_bytes();
        let [other_low, other_high] = other.manufacturer.to_le_bytes();
        digits(self.id, other.id)
            && bytes(low, other_low)
            && bytes(high, other_high)
            && bytes(self.version, other.version)
            && bytes(self.medium, other.medium)
            && match (self.fabrication, other.fabrication) {
                (Some(a), Some(b)) => digits(a, b),
                _ => true,
            }
    }

    /// How many digits of the number are wildcards.
    pub(crate) fn open_digits(&self) -> usize {
        (0..8).filter(|digit| self.id >> (4 * digit) & 0xF == 0xF).count()
    }

    /// The address of the one meter that is meant; `None` with wildcards.
    pub fn address(&self) -> Option<Secondary> {
        (!self.has_wildcards()).then(|| Secondary {
            id: Id(self.id),
            manufacturer: Manufacturer(self.manufacturer),
            version: self.version,
            medium: Medium::new(self.medium),
        })
    }

    /// Whether it can mean more than one meter.
    pub fn has_wildcards(&self) -> bool {
        (0..8).any(|digit| self.id >> (4 * digit) & 0xF == 0xF)
            || self.manufacturer.to_le_bytes().contains(&0xFF)
            || self.version == 0xFF
            || self.medium == 0xFF
    }
}

impl fmt::Display for Selection {
    /// `67001122KAM3504`, or just the digits where all the rest is a wildcard; `***` is any
    /// manufacturer; the fabrication number follows behind a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Id(self.id))?;
        if self.manufacturer != 0xFFFF || self.version != 0xFF || self.medium != 0xFF {
            if self.manufacturer == 0xFFFF {
                f.write_str("***")?;
            } else {
                write!(f, "{}", Manufacturer(self.manufacturer))?;
            }
            write!(f, "{:02X}{:02X}", self.version, self.medium)?;
        }
        match self.fabrication {
            Some(number) => write!(f, "/{}", Id(number)),
            None => Ok(()),
        }
    }
}

impl FromStr for Selection {
    type Err = InvalidAddress;

    /// Reads eight digits, and then, as far as they are given, three letters (or four hex digits,
    /// or `***`), two hex digits of the version, two of the medium, and `/` with eight digits.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let mut selection = Self::ALL;
        let (address, fabrication) = match text.split_once('/') {
            Some((address, number)) => (address, Some(number)),
            None => (text, None),
        };
        if let Some(number) = fabrication {
            selection.fabrication = Some(digits(number)?);
        }
        let (id, rest) = address.split_at_checked(8).ok_or(InvalidAddress)?;
        selection.id = digits(id)?;
        if rest.is_empty() {
            return Ok(selection);
        }
        let manufacturer_len = if rest.len() == 8 { 4 } else { 3 };
        let (manufacturer, rest) = rest.split_at_checked(manufacturer_len).ok_or(InvalidAddress)?;
        selection.manufacturer = match (manufacturer, Manufacturer::of(manufacturer)) {
            ("***", _) => 0xFFFF,
            (_, Some(manufacturer)) => manufacturer.0,
            (code, None) if code.len() == 4 => {
                u16::from_str_radix(code, 16).map_err(|_| InvalidAddress)?
            }
            _ => return Err(InvalidAddress),
        };
        let (version, medium) = match rest.len() {
            0 => ("FF", "FF"),
            2 => (rest, "FF"),
            4 => rest.split_at_checked(2).ok_or(InvalidAddress)?,
            _ => return Err(InvalidAddress),
        };
        selection.version = u8::from_str_radix(version, 16).map_err(|_| InvalidAddress)?;
        selection.medium = u8::from_str_radix(medium, 16).map_err(|_| InvalidAddress)?;
        Ok(selection)
    }
}

/// A text that is no secondary address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a secondary address: write eight digits (F for any), then, if you like, three letters \
     of the manufacturer, two hex digits of the version and two of the medium: 67001122KAM3504"
)]
pub struct InvalidAddress;

fn digits(text: &str) -> Result<u32, InvalidAddress> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(InvalidAddress);
    }
    u32::from_str_radix(text, 16).map_err(|_| InvalidAddress)
}

fn digits_match(wanted: u32, number: u32) -> bool {
    (0..8).all(|digit| {
        let wanted = wanted >> (4 * digit) & 0xF;
        wanted == 0xF || wanted == number >> (4 * digit) & 0xF
    })
}

const fn byte_matches(wanted: u8, byte: u8) -> bool {
    wanted == 0xFF || wanted == byte
}

const BEFORE_A: u8 = b'A' - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Selection>) {
        let read: Result<Selection, _> = text.parse();
        assert_eq!(read.ok(), expected);
        if let Some(selection) = expected {
            assert_eq!(selection.to_string(), text);
        }
    }

    const KAM: u16 = 0x2C2D;

    #[test]
    fn texts() {
        check("67001122", Some(Selection { id: 0x6700_1122, ..Selection::ALL }));
        check("6700FFFF", Some(Selection { id: 0x6700_FFFF, ..Selection::ALL }));
        let whole = Selection {
            id: 0x6700_1122,
            manufacturer: KAM,
            version: 0x35,
            medium: 4,
            fabrication: None,
        };
        check("67001122KAM3504", Some(whole));
        check("67001122KAM3504/00000007", Some(Selection { fabrication: Some(7), ..whole }));
        check("67001122***FF04", Some(Selection { manufacturer: 0xFFFF, version: 0xFF, ..whole }));
        check("6700112204203504", Some(Selection { manufacturer: 0x0420, ..whole }));
        assert_eq!("67001122KAM".parse::<Selection>().map(|s| s.version), Ok(0xFF));
        for wrong in ["", "6700112", "+7001122", "67001122kam3504", "67001122KAM350", "67001122/1"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn wildcards_match_digit_by_digit_and_byte_by_byte() {
        let meter = Secondary {
            id: Id(0x6700_1122),
            manufacturer: Manufacturer(KAM),
            version: 0x35,
            medium: Medium::new(4),
        };
        let matches = |text: &str| {
            let selection: Selection = text.parse().unwrap();
            selection.matches(&meter, Some(0x0000_0012))
        };
        assert!(matches("67FF1F22"));
        assert!(!matches("67FF2F22"));
        assert!(matches("FFFFFFFFKAMFF04"));
        assert!(!matches("FFFFFFFFKAMFF07"));
        assert!(matches("67001122/0000001F"));
        assert!(!matches("67001122/0000002F"));
        assert_eq!(Selection::of(meter).address(), Some(meter));
        assert_eq!("67001122".parse::<Selection>().unwrap().address(), None);
    }

    #[test]
    fn three_letters() {
        assert_eq!(Manufacturer::of("KAM"), Some(Manufacturer(KAM)));
        assert_eq!(Manufacturer(KAM).to_string(), "KAM");
        assert_eq!(Manufacturer(1056).letters(), None);
        assert_eq!(Manufacturer(1056).to_string(), "0420");
    }
}
