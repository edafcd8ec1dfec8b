//! Canonical bytes: one encoding for each value, so that hashing and signing it means something.
//!
//! The bytes are CBOR (RFC 8949) with the shortest heads and definite lengths, and of it only
//! integers, byte strings, texts, lists, `true`, `false` and `null`. A record is a list of fixed
//! shape. What a reader here accepts, a writer here gives again byte for byte: [`from_bytes`] asks.

use std::fmt;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::Interval;
use crate::case::Ore;

/// A value with one encoding.
pub(crate) trait Canon: Sized {
    fn write(&self, pen: &mut Pen);
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

pub(crate) fn to_bytes(value: &impl Canon) -> Vec<u8> {
    let mut pen = Pen::default();
    value.write(&mut pen);
    pen.bytes
}

/// The value of `bytes`; `None` unless they are its canonical ones.
pub(crate) fn from_bytes<T: Canon>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader { rest: bytes };
    let value = T::read(&mut reader)?;
    (reader.rest.is_empty() && to_bytes(&value) == bytes).then_some(value)
}

/// Writes.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    bytes: Vec<u8>,
}

impl Pen {
    fn head(&mut self, major: u8, number: u64) {
        let wide = number.to_be_bytes();
        let [.., a, b, c, d] = wide;
        // What a first byte says of the length of the number: itself, or how many bytes follow.
        let mut first = |follows: u8| self.bytes.push((major << 5) + follows);
        match number {
            0..24 => first(d),
            24..0x100 => {
                first(24);
                self.bytes.push(d);
            }
            0x100..0x1_0000 => {
                first(25);
                self.bytes.extend([c, d]);
            }
            0x1_0000..0x1_0000_0000 => {
                first(26);
                self.bytes.extend([a, b, c, d]);
            }
            _ => {
                first(27);
                self.bytes.extend(wide);
            }
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A list of `length` values, which follow.
    pub(crate) fn list(&mut self, length: usize) -> &mut Self {
        self.head(LIST, length as u64);
        self
    }

    pub(crate) fn put(&mut self, value: &impl Canon) -> &mut Self {
        value.write(self);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.head(TEXT, text.len() as u64);
        self.bytes.extend(text.as_bytes());
        self
    }
}

/// Reads what came from elsewhere: nothing in it makes it panic or take more than its length.
#[derive(Debug)]
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn head(&mut self) -> Option<(u8, u64)> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        let width = match first & 0x1F {
            small @ 0..24 => return Some((first >> 5, small.into())),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let number =
            self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Some((first >> 5, number))
    }

    fn length(&mut self, major: u8) -> Option<u64> {
        self.head().filter(|(found, _)| *found == major).map(|(_, length)| length)
    }

    /// The length of a list.
    pub(crate) fn list(&mut self) -> Option<usize> {
        usize::try_from(self.length(LIST)?).ok()
    }

    /// A list of just this length.
    pub(crate) fn list_of(&mut self, length: usize) -> Option<()> {
        (self.list()? == length).then_some(())
    }

    pub(crate) fn get<T: Canon>(&mut self) -> Option<T> {
        T::read(self)
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        let length = self.length(TEXT)?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }
}

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const FALSE: u8 = 0xF4;
const TRUE: u8 = 0xF5;
const NULL: u8 = 0xF6;

impl Canon for i64 {
    fn write(&self, pen: &mut Pen) {
        if *self < 0 {
            pen.head(1, !self.cast_unsigned());
        } else {
            pen.head(0, self.cast_unsigned());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (major, number) = reader.head()?;
        let number = Self::try_from(number).ok()?;
        match major {
            0 => Some(number),
            1 => Some(!number),
            _ => None,
        }
    }
}

/// Integers that fit into the widest.
macro_rules! narrow {
    ($($type:ty),*) => {$(
        impl Canon for $type {
            fn write(&self, pen: &mut Pen) {
                pen.head(0, u64::from(*self));
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                Self::try_from(reader.length(0)?).ok()
            }
        }
    )*};
}
narrow!(u8, u16, u32, u64);

impl Canon for bool {
    fn write(&self, pen: &mut Pen) {
        pen.bytes.push(if *self { TRUE } else { FALSE });
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.skip(TRUE) { Some(true) } else { reader.skip(FALSE).then_some(false) }
    }
}

impl Canon for String {
    fn write(&self, pen: &mut Pen) {
        pen.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text().map(str::to_owned)
    }
}

impl<const N: usize> Canon for [u8; N] {
    fn write(&self, pen: &mut Pen) {
        pen.head(BYTES, N as u64);
        pen.bytes.extend(self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let length = reader.length(BYTES)?;
        reader.take(length)?.try_into().ok()
    }
}

impl<T: Canon> Canon for Option<T> {
    fn write(&self, pen: &mut Pen) {
        match self {
            Some(value) => value.write(pen),
            None => pen.bytes.push(NULL),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.skip(NULL) { Some(None) } else { T::read(reader).map(Some) }
    }
}

impl<T: Canon> Canon for Vec<T> {
    fn write(&self, pen: &mut Pen) {
        pen.list(self.len());
        for value in self {
            value.write(pen);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Whatever it says, it cannot have more values than bytes.
        let length = reader.list().filter(|length| *length <= reader.rest.len())?;
        (0..length).map(|_| T::read(reader)).collect()
    }
}

impl Canon for NaiveDate {
    fn write(&self, pen: &mut Pen) {
        pen.text(&self.to_string());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text()?.parse().ok()
    }
}

impl Canon for Tz {
    fn write(&self, pen: &mut Pen) {
        pen.text(self.name());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text()?.parse().ok()
    }
}

impl Canon for Interval {
    fn write(&self, pen: &mut Pen) {
        pen.list(2).put(&self.from()).put(&self.until());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(2)?;
        Self::new(reader.get()?, reader.get()?)
    }
}

impl Canon for Ore {
    fn write(&self, pen: &mut Pen) {
        pen.put(&self.ore());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Self::new(reader.get()?)
    }
}

/// A struct as the list of its fields, in this order.
macro_rules! record {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::canon::Canon for $type {
            fn write(&self, pen: &mut $crate::canon::Pen) {
                pen.list([$(stringify!($field)),*].len());
                $(pen.put(&self.$field);)*
            }

            fn read(reader: &mut $crate::canon::Reader<'_>) -> Option<Self> {
                reader.list_of([$(stringify!($field)),*].len())?;
                Some(Self { $($field: reader.get()?),* })
            }
        }
    };
}

/// An enum without data as a word for each variant.
macro_rules! words {
    ($type:ty { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $crate::canon::Canon for $type {
            fn write(&self, pen: &mut $crate::canon::Pen) {
                pen.text(match self { $(Self::$variant => $word),* });
            }

            fn read(reader: &mut $crate::canon::Reader<'_>) -> Option<Self> {
                reader.text()?.parse().ok()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::NoWord;

            fn from_str(text: &str) -> Result<Self, $crate::NoWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::NoWord { found: text.to_owned(), known: &[$($word),*] }),
                }
            }
        }
    };
}

/// Not one of the words that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoWord {
    /// What was written.
    pub found: String,
    /// What may be.
    pub known: &'static [&'static str],
}

impl fmt::Display for NoWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not one of {}", self.found, self.known.join(", "))
    }
}

impl std::error::Error for NoWord {}

pub(crate) use {record, words};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check<T: Canon + PartialEq + fmt::Debug>(value: &T, expected: &[u8]) {
        assert_eq!(to_bytes(value), expected);
        assert_eq!(from_bytes::<T>(expected).as_ref(), Some(value));
    }

    #[test]
    fn numbers_have_the_shortest_head() {
        check(&0_i64, &[0]);
        check(&23_i64, &[23]);
        check(&24_i64, &[24, 24]);
        check(&-1_i64, &[0x20]);
        check(&-500_i64, &[0x39, 0x01, 0xF3]);
        check(&1_795_269_600_i64, &[0x1A, 0x6B, 0x01, 0xA3, 0xE0]);
        check(&i64::MIN, &[0x3B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    }

    #[test]
    fn the_rest_is_as_in_rfc_8949() {
        check(&"ø".to_owned(), &[0x62, 0xC3, 0xB8]);
        check(&[1_u8, 2], &[0x42, 1, 2]);
        check(&vec![Some(true), None, Some(false)], &[0x83, TRUE, NULL, FALSE]);
    }

    #[test]
    fn another_encoding_of_the_same_is_refused() {
        assert_eq!(from_bytes::<i64>(&[24, 1]), None, "a longer head than it takes");
        assert_eq!(from_bytes::<i64>(&[1, 0]), None, "a byte behind it");
        assert_eq!(from_bytes::<Vec<i64>>(&[0x9F, 1, 0xFF]), None, "an open list");
        assert_eq!(from_bytes::<Vec<i64>>(&[0x9B, 255, 255, 255, 255, 255, 255, 255, 255]), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(value) = from_bytes::<Vec<Option<String>>>(&bytes) {
                prop_assert_eq!(to_bytes(&value), bytes);
            }
        }
    }
}
