//! The records of a telegram, one by one, odd ones included.
//!
//! ```text
//! DIB  VIB  [LVAR] data    a record
//! 2F                       filler, skipped
//! 7F                       a record without VIB and data: "all of it, please" (to a meter)
//! 0F …                     the rest is the manufacturer's own
//! 1F …                     the same, and the meter has a further telegram
//! ```
//!
//! A record that breaks off ends the telegram: nothing behind it can be found. A record that is
//! whole but has no valid value is a record all the same ([`Record::value`] says why).
//!
//! Source: EN 13757-3, "data record", "variable data structure".

use core::fmt;
use core::iter::FusedIterator;

use crate::fixed::Counters;
use crate::value::{bcd, read_f, read_i};
use crate::vib::{Layout, Meaning};
use crate::{
    ByteOrder, Date, DecodeError, Dib, Encoding, Flaw, Invalid, Latin1, Number, Part, Quantity,
    Reader, Real32, Sort, Time, Value, Vib,
};

/// One number of a meter, with everything that says which one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Which of its numbers, and how coded.
    pub dib: Dib,
    /// Of what.
    pub vib: Vib<'a>,
    /// All of it; of the fixed structure the data alone.
    bytes: &'a [u8],
    /// With it `bytes` begin.
    dib_len: u8,
    /// With it they end.
    data_len: u8,
    pub(crate) order: ByteOrder,
}

impl<'a> Record<'a> {
    /// Reads one record and leaves `r` on the first byte after it.
    ///
    /// # Errors
    ///
    /// Also on the DIFs that are markers; [`Records`] takes them out before.
    pub fn read(r: &mut Reader<'a>, order: ByteOrder) -> Result<Self, DecodeError> {
        match Self::parse(r.rest(), order) {
            Some(record) => {
                r.skip(record.bytes.len());
                Ok(record)
            }
            None => Err(Self::flaw(r.clone())),
        }
    }

    /// The record with which `bytes` begin; `None` if there is something wrong.
    ///
    /// It finds the parts by their lengths and asks no further. Where an error is, only
    /// [`Self::flaw`] finds out, so that the many sound records do not pay for the few others.
    fn parse(bytes: &'a [u8], order: ByteOrder) -> Option<Self> {
        let (dib_len, dib) = Dib::parse(bytes)?;
        let layout = Layout::parse(bytes.get(dib_len..)?)?;
        let data_at = dib_len + layout.len;
        let data_len = match dib.encoding.data_len() {
            Some(len) => len,
            None => variable_len(*bytes.get(data_at)?)?,
        };
        let bytes = bytes.get(..data_at + data_len)?;
        let vib = Vib::new(bytes.get(dib_len..data_at)?, layout);
        let (dib_len, data_len) = (u8::try_from(dib_len).ok()?, u8::try_from(data_len).ok()?);
        Some(Self { dib, vib, bytes, dib_len, data_len, order })
    }

    /// The same, but `None` also if it is not of the form that most have: at most one DIFE, no
    /// VIFE, and data of a fixed length. This is small enough to stand in the loop over records.
    #[inline]
    fn parse_short(bytes: &'a [u8], order: ByteOrder) -> Option<Self> {
        let (dib_len, dib) = Dib::parse_short(bytes)?;
        let (vib_len, meaning) = Vib::bare_meaning(bytes.get(dib_len..)?)?;
        let data_at = dib_len + vib_len;
        let data_len = dib.encoding.data_len()?;
        let bytes = bytes.get(..data_at + data_len)?;
        let vib = Vib::with_meaning(bytes.get(dib_len..data_at)?, meaning);
        let (dib_len, data_len) = (u8::try_from(dib_len).ok()?, u8::try_from(data_len).ok()?);
        Some(Self { dib, vib, bytes, dib_len, data_len, order })
    }

    /// What is wrong with the record that begins before `r` and could not be parsed.
    #[cold]
    fn flaw(mut r: Reader<'a>) -> DecodeError {
        let mut step_by_step = || {
            let dib = Dib::read(&mut r)?;
            Vib::read(&mut r)?;
            match dib.encoding.data_len() {
                Some(len) => r.take(len, Part::Data),
                None => take_variable(&mut r),
            }
        };
        match step_by_step() {
            Err(error) => error,
            // Not reached: the same steps have just failed.
            Ok(_) => r.reject(Flaw::Truncated(Part::Data)),
        }
    }

    /// One that has no bytes but its data.
    pub(crate) fn bare(dib: Dib, vib: Vib<'a>, data: &'a [u8], order: ByteOrder) -> Self {
        let data_len = u8::try_from(data.len()).unwrap_or(u8::MAX);
        Self { dib, vib, bytes: data, dib_len: 0, data_len, order }
    }

    /// The DIB as sent.
    pub fn dib_bytes(&self) -> &'a [u8] {
        self.bytes.get(..usize::from(self.dib_len)).unwrap_or_default()
    }

    /// The data as sent, with its length byte where it has one.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        let from = self.bytes.len().saturating_sub(usize::from(self.data_len));
        self.bytes.get(from..).unwrap_or_default()
    }

    /// What kind of value it carries, valid or not.
    pub fn data_type(&self) -> DataType {
        match self.dib.encoding {
            Encoding::Nothing | Encoding::Selection => DataType::None,
            Encoding::Real32 => DataType::Real32,
            Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd6 | Encoding::Bcd8 | Encoding::Bcd12 => {
                match self.vib.sort {
                    Sort::Opaque => DataType::Bytes,
                    _ => DataType::Bcd,
                }
            }
            Encoding::Variable => match self.data().first() {
                Some(0x00..=0xBF) => DataType::Text,
                Some(0xC0..=0xDF) => DataType::Bcd,
                _ => DataType::Bytes,
            },
            _ => match (self.vib.sort, self.data_len) {
                (Sort::Unsigned, _) => DataType::Unsigned,
                (Sort::Bits, _) => DataType::Bits,
                (Sort::Opaque, _) => DataType::Bytes,
                (Sort::Date, 2) => DataType::Date,
                (Sort::Date, 3) => DataType::Time,
                (Sort::Date, 4 | 6) => DataType::DateTime,
                (Sort::Number | Sort::Date, _) => DataType::Integer,
            },
        }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// Why there is none, although the record is whole.
    pub fn value(&self) -> Result<Value<'a>, Invalid> {
        let encoding = self.dib.encoding;
        match encoding {
            Encoding::Nothing | Encoding::Selection => return Ok(Value::None),
            _ if self.vib.record_error => return Err(Invalid::RecordError),
            Encoding::Variable => return self.variable_value(),
            _ => {}
        }
        let bits = self.order.u64(self.data());
        match (encoding, self.vib.sort) {
            (_, Sort::Opaque) => Ok(Value::Bytes(self.data())),
            (
                Encoding::Int8
                | Encoding::Int16
                | Encoding::Int24
                | Encoding::Int32
                | Encoding::Int48
                | Encoding::Int64,
                sort,
            ) => match sort {
                Sort::Date => self.date(bits),
                Sort::Number => {
                    signed(bits, self.data_len).map(|it| self.integer(it)).ok_or(Invalid::Integer)
                }
                _ => Ok(self.integer(bits)),
            },
            (_, Sort::Date) => Err(Invalid::DateCoding),
            (Encoding::Real32, _) => self.real(Real32(low_half(bits))),
            _ => {
                signed_bcd(bits, self.data_len).map(|it| self.integer(it)).ok_or(Invalid::BcdDigit)
            }
        }
    }

    #[inline]
    fn integer(&self, mantissa: impl Into<i128>) -> Value<'a> {
        let exponent = self.vib.exponent;
        Value::Number(Number::Integer { mantissa: mantissa.into(), exponent })
    }

    fn real(&self, real: Real32) -> Result<Value<'a>, Invalid> {
        match real.parts() {
            Some(_) => Ok(Value::Number(Number::Real { real, exponent: self.vib.exponent })),
            None if real.is_nan() => Err(Invalid::RealNan),
            None => Err(Invalid::RealInfinite),
        }
    }

    fn date(&self, bits: u64) -> Result<Value<'a>, Invalid> {
        let date_time = |(date, time)| Value::DateTime(date, time);
        match self.data_len {
            2 => {
                let [low, high, ..] = bits.to_le_bytes();
                Date::read_g(u16::from_le_bytes([low, high])).map(Value::Date)
            }
            3 => Time::read_j(low_half(bits)).map(Value::Time),
            4 => read_f(low_half(bits)).map(date_time),
            6 => read_i(bits).map(date_time),
            _ => Err(Invalid::DateCoding),
        }
    }

    /// What is behind a length byte.
    fn variable_value(&self) -> Result<Value<'a>, Invalid> {
        let Some((&lvar, content)) = self.data().split_first() else {
            return Ok(Value::Bytes(&[]));
        };
        match (lvar, self.order) {
            (0x00..=0xBF, ByteOrder::LsbFirst) => Ok(Value::Text(Latin1::reversed(content))),
            (0x00..=0xBF, ByteOrder::MsbFirst) => Ok(Value::Text(Latin1::forward(content))),
            (0xC0..=0xCF, _) => Ok(self.integer(self.variable_bcd(content)?)),
            (0xD0..=0xDF, _) => Ok(self.integer(-self.variable_bcd(content)?)),
            _ => Ok(Value::Bytes(content)),
        }
    }

    /// Up to 18 digits without a place for the sign, which stands in the length byte.
    fn variable_bcd(&self, content: &[u8]) -> Result<i64, Invalid> {
        let push = |magnitude: i64, byte: &u8| {
            let two = bcd(u64::from(*byte)).ok_or(Invalid::BcdDigit)?;
            Ok(100 * magnitude + two.cast_signed())
        };
        match self.order {
            ByteOrder::LsbFirst => content.iter().rev().try_fold(0, push),
            ByteOrder::MsbFirst => content.iter().try_fold(0, push),
        }
    }

    /// The number, where there is a valid one.
    pub fn number(&self) -> Option<Number> {
        self.value().ok()?.number()
    }
}

impl fmt::Display for Record<'_> {
    /// For people and golden files: function, storage, tariff, subunit, quantity, value, unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dib { function, storage, tariff, subunit, .. } = self.dib;
        write!(f, "{}", self.vib.quantity.as_str())?;
        self.vib.modifiers().try_for_each(|modifier| write!(f, " {modifier}"))?;
        if function != crate::Function::Instantaneous {
            write!(f, " {}", function.as_str())?;
        }
        for (name, number) in
            [("storage", storage.get()), ("tariff", tariff.get()), ("subunit", subunit.get())]
        {
            if number != 0 {
                write!(f, " {name} {number}")?;
            }
        }
        write!(f, ": {} ", self.data_type().as_str())?;
        match self.value() {
            Ok(Value::Text(text)) => write!(f, "\"{text}\"")?,
            Ok(value) => write!(f, "{value}")?,
            Err(invalid) => write!(f, "invalid, {}", invalid.code())?,
        }
        if self.vib.unit.is_none() { Ok(()) } else { write!(f, " {}", self.vib.unit) }
    }
}

/// What kind of value a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum DataType {
    None,
    Integer,
    Unsigned,
    Bits,
    Bcd,
    Real32,
    Text,
    Bytes,
    Date,
    DateTime,
    Time,
}

impl DataType {
    /// As in decoded telegrams.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::Bits => "bits",
            Self::Bcd => "bcd",
            Self::Real32 => "real32",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Time => "time",
        }
    }

    /// Whether its values are numbers, with a power of ten.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Unsigned | Self::Bits | Self::Bcd | Self::Real32)
    }
}

/// The records of a telegram, in the order of the wire; nothing comes behind an error.
///
/// Once it has ended, [`Records::trailer`] says what came behind the records, and
/// [`Records::unread`] what could not be read.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// Empty once there is nothing more to read.
    r: Reader<'a>,
    order: ByteOrder,
    counters: Option<Counters<'a>>,
    trailer: Option<Trailer<'a>>,
    unread: &'a [u8],
}

/// What is behind the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    /// The manufacturer's own, in the order of the wire.
    pub manufacturer_data: &'a [u8],
    /// The meter has a further telegram, and sends it when it is asked again.
    pub more_follow: bool,
}

impl<'a> Records<'a> {
    /// Those that `r` stands before.
    #[inline]
    pub const fn new(r: Reader<'a>, order: ByteOrder) -> Self {
        Self { r, order, counters: None, trailer: None, unread: &[] }
    }

    pub(crate) const fn none() -> Self {
        Self::new(Reader::new(&[]), ByteOrder::LsbFirst)
    }

    pub(crate) const fn fixed(counters: Counters<'a>, order: ByteOrder) -> Self {
        let r = Reader::new(&[]);
        Self { r, order, counters: Some(counters), trailer: None, unread: &[] }
    }

    /// What came behind the last record, once that has been read.
    pub const fn trailer(&self) -> Option<Trailer<'a>> {
        self.trailer
    }

    /// What could not be read: everything from the first byte of the record in which the error is,
    /// since where that ends nobody knows. Empty while there has been no error.
    pub const fn unread(&self) -> &'a [u8] {
        self.unread
    }

    /// Whether they are plain although their header calls them encrypted: a log of decrypted
    /// telegrams, which begin with two fillers.
    ///
    /// One encrypted telegram in 65 536 begins so by chance, and of those one in ten is whole
    /// records up to its end or to a marker of manufacturer data. The others are not told.
    pub(crate) fn are_plain_all_the_same(&self) -> bool {
        self.r.rest().starts_with(&[0x2F; 2]) && self.clone().are_whole()
    }

    /// Whether nothing is wrong with any of them: what random bytes seldom come to.
    pub(crate) fn are_whole(mut self) -> bool {
        self.all(|record| record.is_ok())
    }

    /// Reads on to the end: whether the meter has a further telegram.
    pub fn more_follow(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.trailer.is_some_and(|trailer| trailer.more_follow)
    }

    /// Apart from the loop, so that the record is made where it is wanted and not copied there.
    #[inline(never)]
    fn next_of_any_form(&mut self) -> Result<Record<'a>, DecodeError> {
        let Some(record) = Record::parse(self.r.rest(), self.order) else {
            let error = Record::flaw(self.r.clone());
            self.unread = self.r.take_rest();
            return Err(error);
        };
        self.r.skip(record.bytes.len());
        Ok(record)
    }

    #[cold]
    fn manufacturer_data(&mut self, more_follow: bool) {
        let manufacturer_data = self.r.take_rest().get(1..).unwrap_or_default();
        self.trailer = Some(Trailer { manufacturer_data, more_follow });
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.r.rest().first() {
                Some(0x2F) => drop(self.r.byte(Part::Dib)),
                Some(0x0F) => self.manufacturer_data(false),
                Some(0x1F) => self.manufacturer_data(true),
                Some(0x7F) => return Some(self.r.take(1, Part::Dib).map(global_readout)),
                Some(_) => {
                    if let Some(record) = Record::parse_short(self.r.rest(), self.order) {
                        self.r.skip(record.bytes.len());
                        return Some(Ok(record));
                    }
                    return Some(self.next_of_any_form());
                }
                None => return self.counters.as_mut()?.next(self.order).map(Ok),
            }
        }
    }
}

impl FusedIterator for Records<'_> {}

fn global_readout(dif: &[u8]) -> Record<'_> {
    let meaning = Meaning { quantity: Quantity::GlobalReadout, ..Meaning::UNKNOWN };
    Record {
        dib: Dib::new(Encoding::Nothing),
        vib: Vib::with_meaning(&[], meaning),
        bytes: dif,
        dib_len: 1,
        data_len: 0,
        order: ByteOrder::LsbFirst,
    }
}

/// The length byte and what it announces.
pub(crate) fn take_variable<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let start = r.clone();
    let lvar = r.byte(Part::Data)?;
    let Some(len) = variable_len(lvar) else {
        return Err(r.reject(Flaw::ReservedLvar(lvar)));
    };
    r.take(len - 1, Part::Data)?;
    Ok(r.since(&start))
}

/// How long data is that begins with this length byte, which is part of it; `None` if that is
/// reserved.
fn variable_len(lvar: u8) -> Option<usize> {
    let len = match lvar {
        0x00..=0xBF => lvar,
        0xC0..=0xC9 | 0xD0..=0xD9 | 0xE0..=0xEF => lvar & 0x0F,
        0xF0..=0xF4 => 4 * (lvar - 0xEC),
        0xF5 => 48,
        0xF6 => 64,
        _ => return None,
    };
    Some(1 + usize::from(len))
}

/// Two's complement of `len` bytes; `None` for the most negative number.
fn signed(bits: u64, len: u8) -> Option<i64> {
    let unused = u64::BITS.saturating_sub(8 * u32::from(len));
    let top = bits.checked_shl(unused)?;
    if top == 1 << 63 { None } else { Some(top.cast_signed() >> unused) }
}

/// Packed decimal digits of `len` bytes, an F in the highest place being a minus.
fn signed_bcd(bits: u64, len: u8) -> Option<i64> {
    let sign_place = (8 * u32::from(len)).saturating_sub(4);
    if bits >> sign_place == 0xF {
        let magnitude = bcd(bits & !(0xF << sign_place))?;
        return Some(-magnitude.cast_signed());
    }
    bcd(bits).map(u64::cast_signed)
}

fn low_half(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
