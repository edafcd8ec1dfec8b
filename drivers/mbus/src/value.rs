//! Values: the number, text or date that a record carries.
//!
//! ```text
//! integer   two's complement; the most negative number means "invalid"
//! BCD       two digits a byte; F in the highest place is a minus, A to E are a meter's error codes
//! real      IEEE 754, 32 bits
//! variable  LVAR  00–BF text, last character first      C0–C9 BCD   D0–D9 negative BCD
//!                 E0–EF 0 to 15 bytes, F0–F4 16 to 32 bytes, F5 48, F6 64
//! ```
//!
//! Source: EN 13757-3, annex "coding of data records".

mod date;
mod number;

use core::fmt;

pub use date::{Date, Time};
pub(crate) use date::{read_f, read_i, write_f, write_i};
pub use number::{Number, Real32};

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing: the record has no data.
    None,
    /// An integer, a BCD or a real number, with its power of ten.
    Number(Number),
    /// Kept whole, with spaces and control characters.
    Text(Latin1<'a>),
    /// In the order of the wire.
    Bytes(&'a [u8]),
    /// Type G.
    Date(Date),
    /// Types F and I: the meter's own clock, in its own zone.
    DateTime(Date, Time),
    /// Type J.
    Time(Time),
}

impl Value<'_> {
    /// The number, if it is one.
    pub const fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    /// As in decoded telegrams: numbers exactly, dates as in ISO 8601, bytes as hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}")),
            Self::Date(date) => date.fmt(f),
            Self::DateTime(date, time) => write!(f, "{date}T{time}"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// Why a record has no value although it is well formed. The raw bytes stay with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The most negative integer, which stands for "no value".
    #[error("the meter sent the integer that stands for no value")]
    Integer,
    /// A digit from A to F.
    #[error("the meter sent digits that are no decimal ones: an error code of its own")]
    BcdDigit,
    /// Not a number.
    #[error("the meter sent a real number that is none")]
    RealNan,
    /// Infinite.
    #[error("the meter sent an infinite number")]
    RealInfinite,
    /// A date in a coding that has no dates.
    #[error("a date cannot be coded like this")]
    DateCoding,
    /// The meter says that its clock is wrong.
    #[error("the meter marked the date as invalid")]
    DateInvalid,
    /// The meter has no date to tell.
    #[error("the meter has no date here")]
    DateNone,
    /// The 31st of February.
    #[error("there is no such date")]
    DateRange,
    /// "Every year", "every day": a rule, not a date.
    #[error("the date is a rule for many dates")]
    DatePartial,
    /// A VIFE says why.
    #[error("the meter reported an error instead of a value")]
    RecordError,
}

impl Invalid {
    /// A code for programs, which stays as it is when the sentence changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Integer => "integer_invalid",
            Self::BcdDigit => "bcd_digit",
            Self::RealNan => "real_nan",
            Self::RealInfinite => "real_infinite",
            Self::DateCoding => "date_coding",
            Self::DateInvalid => "date_invalid",
            Self::DateNone => "date_none",
            Self::DateRange => "date_range",
            Self::DatePartial => "date_partial",
            Self::RecordError => "record_error",
        }
    }
}

/// Text of ISO 8859-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latin1<'a> {
    bytes: &'a [u8],
    reversed: bool,
}

impl<'a> Latin1<'a> {
    /// Last character first, as is usual on the wire.
    pub const fn reversed(bytes: &'a [u8]) -> Self {
        Self { bytes, reversed: true }
    }

    /// First character first.
    pub const fn forward(bytes: &'a [u8]) -> Self {
        Self { bytes, reversed: false }
    }

    /// As they stand, in whichever order that is.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The characters, first one first.
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        let Self { bytes, reversed } = *self;
        let forward = if reversed { &[] } else { bytes };
        let backward = if reversed { bytes } else { &[] };
        forward.iter().chain(backward.iter().rev()).map(|byte| char::from(*byte))
    }
}

impl fmt::Display for Latin1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.chars().try_for_each(|character| f.write_char(character))
    }
}

/// The decimal number that the hex digits of `bits` spell; `None` if one of them is not decimal.
pub(crate) fn bcd(bits: u64) -> Option<u64> {
    // A digit is above 9 exactly if its bit 3 is set, and its bit 2 or 1.
    if bits >> 3 & (bits >> 2 | bits >> 1) & 0x1111_1111_1111_1111 != 0 {
        return None;
    }
    // Neighbours are joined: two digits in each byte, four in each 16 bits, eight, all.
    let pairs = 10 * (bits >> 4 & 0x0F0F_0F0F_0F0F_0F0F) + (bits & 0x0F0F_0F0F_0F0F_0F0F);
    let fours = 100 * (pairs >> 8 & 0x00FF_00FF_00FF_00FF) + (pairs & 0x00FF_00FF_00FF_00FF);
    let eights = 10_000 * (fours >> 16 & 0xFFFF_0000_FFFF) + (fours & 0xFFFF_0000_FFFF);
    Some(100_000_000 * (eights >> 32) + (eights & 0xFFFF_FFFF))
}

/// The hex digits that spell `number`, which has at most 18 decimal ones.
pub(crate) fn to_bcd(mut number: u64) -> Option<u128> {
    let mut bits = 0;
    for digit in 0..18 {
        bits |= u128::from(number % 10) << (4 * digit);
        number /= 10;
    }
    (number == 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_digits() {
        assert_eq!(bcd(0x9999_9999_9999_9999), Some(9_999_999_999_999_999));
        assert_eq!(bcd(0x1234_5678), Some(12_345_678));
        for digit in 0xA..=0xF {
            assert_eq!(bcd(digit << 20), None);
        }
    }

    #[test]
    fn text_comes_last_character_first() {
        assert_eq!(Latin1::reversed(b"\xB0%HR").to_string(), "RH%°");
        assert_eq!(Latin1::forward(b"RH%").to_string(), "RH%");
    }

    proptest! {
        #[test]
        fn digits_there_and_back(number in 0_u64..10_000_000_000_000_000) {
            let digits = to_bcd(number).and_then(|digits| u64::try_from(digits).ok());
            prop_assert_eq!(digits.and_then(bcd), Some(number));
            prop_assert_eq!(digits, u64::from_str_radix(&number.to_string(), 16).ok());
        }
    }
}
