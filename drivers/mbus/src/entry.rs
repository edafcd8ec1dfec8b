//! Records to be written: what a meter, or a simulated one, puts into its telegram.
//!
//! What has been made can be written: each constructor of [`Data`] takes only what its coding can
//! hold, and [`Entry`] has no number without a [`VibBuf`] that says what it is of.

use crate::value::{to_bcd, write_f, write_i};
use crate::{
    Bits, ByteOrder, Date, Dib, Encoding, Full, Function, Latin1, Real32, Time, VibBuf, Writer,
};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which moment of the period it stands for.
    pub function: Function,
    /// 0 is the current value, higher ones are history.
    pub storage: Bits<41>,
    /// 0 is the total over all tariffs.
    pub tariff: Bits<20>,
    /// Which meter, where one housing holds several.
    pub subunit: Bits<10>,
    /// Of what, in what.
    pub vib: VibBuf,
    /// The number itself.
    pub data: Data<'a>,
}

impl<'a> Entry<'a> {
    /// The current value.
    pub const fn new(vib: VibBuf, data: Data<'a>) -> Self {
        Self {
            function: Function::Instantaneous,
            storage: Bits::ZERO,
            tariff: Bits::ZERO,
            subunit: Bits::ZERO,
            vib,
            data,
        }
    }

    /// The same of `storage`; `None` if a DIB has no place for it.
    #[must_use]
    pub fn stored(self, storage: u64) -> Option<Self> {
        Some(Self { storage: Bits::new(storage)?, ..self })
    }

    /// The same of `tariff`; `None` if a DIB has no place for it.
    #[must_use]
    pub fn of_tariff(self, tariff: u64) -> Option<Self> {
        Some(Self { tariff: Bits::new(tariff)?, ..self })
    }

    /// Writes the record, all of it or nothing.
    pub fn write(&self, w: &mut Writer<'_>, order: ByteOrder) -> Result<(), Full> {
        let before = w.len();
        let written = self.write_parts(w, order);
        if written.is_err() {
            w.truncate(before);
        }
        written
    }

    fn write_parts(&self, w: &mut Writer<'_>, order: ByteOrder) -> Result<(), Full> {
        let Self { function, storage, tariff, subunit, .. } = *self;
        Dib { encoding: self.data.encoding, function, storage, tariff, subunit }.write(w)?;
        w.bytes(self.vib.bytes())?;
        self.data.write(w, order)
    }
}

/// A number, text or date in the coding in which it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    encoding: Encoding,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content<'a> {
    /// The low `len` bytes.
    Bits {
        bits: u64,
        len: usize,
    },
    /// The low `len` bytes behind a length byte.
    Digits {
        lvar: u8,
        digits: u128,
        len: usize,
    },
    Text(Latin1<'a>),
    Bytes(&'a [u8]),
}

impl<'a> Data<'a> {
    /// No data.
    pub const NOTHING: Self = Self::fixed(Encoding::Nothing, 0, 0);
    /// "This record, please": to a meter.
    pub const SELECTION: Self = Self::fixed(Encoding::Selection, 0, 0);

    const fn fixed(encoding: Encoding, bits: u64, len: usize) -> Self {
        Self { encoding, content: Content::Bits { bits, len } }
    }

    /// A signed number, if `encoding` is one of integers that can hold it.
    ///
    /// The most negative one stands for "invalid" when it is read.
    pub fn int(encoding: Encoding, number: i64) -> Option<Self> {
        let len = int_len(encoding)?;
        let unused = u64::BITS - 8 * u32::try_from(len).ok()?;
        let fits = number << unused >> unused == number;
        let bits = number.cast_unsigned() << unused >> unused;
        fits.then_some(Self::fixed(encoding, bits, len))
    }

    /// An unsigned number or flags, if `encoding` is one of integers that can hold it.
    pub fn unsigned(encoding: Encoding, number: u64) -> Option<Self> {
        int_len(encoding)?;
        Self::raw(encoding, number)
    }

    /// Decimal digits, if `encoding` is BCD and has enough of them; a minus takes one.
    pub fn bcd(encoding: Encoding, number: i64) -> Option<Self> {
        let len = bcd_len(encoding)?;
        let mut bits = u64::try_from(to_bcd(number.unsigned_abs())?).ok()?;
        if number < 0 {
            let sign_place = 8 * u32::try_from(len).ok()? - 4;
            if bits >> sign_place != 0 {
                return None;
            }
            bits |= 0xF << sign_place;
        }
        Self::raw(encoding, bits)
    }

    /// Whatever bits, if `encoding` can hold them: error codes of a BCD among them.
    pub fn raw(encoding: Encoding, bits: u64) -> Option<Self> {
        let len = encoding.data_len()?;
        let unused = u64::BITS.checked_sub(8 * u32::try_from(len).ok()?)?;
        let fits = bits == 0 || (unused < u64::BITS && bits << unused >> unused == bits);
        fits.then_some(Self::fixed(encoding, bits, len))
    }

    /// A float.
    pub const fn real(real: Real32) -> Self {
        // From `u32` without a cast, in a `const fn`.
        let [a, b, c, d] = real.0.to_le_bytes();
        let bits = u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0]);
        Self::fixed(Encoding::Real32, bits, 4)
    }

    /// Up to 18 decimal digits behind a length byte, with a sign of their own.
    pub fn variable_bcd(number: i64) -> Option<Self> {
        let digits = to_bcd(number.unsigned_abs())?;
        let len = u128::BITS.div_ceil(8) - digits.leading_zeros() / 8;
        let lvar = if number < 0 { 0xD0 } else { 0xC0 } | u8::try_from(len).ok()?;
        let len = usize::try_from(len).ok()?;
        let content = Content::Digits { lvar, digits, len };
        Some(Self { encoding: Encoding::Variable, content })
    }

    /// Text of ISO 8859-1, first character first; at most 191 of them.
    pub const fn latin1(text: &'a [u8]) -> Option<Self> {
        if text.len() > 0xBF {
            return None;
        }
        let content = Content::Text(Latin1::forward(text));
        Some(Self { encoding: Encoding::Variable, content })
    }

    /// Text of ASCII characters, at most 191 of them.
    pub const fn text(text: &'a str) -> Option<Self> {
        if text.is_ascii() { Self::latin1(text.as_bytes()) } else { None }
    }

    /// Bytes: up to 15 of them, or 16, 20, 24, 28, 32, 48 or 64.
    pub fn bytes(bytes: &'a [u8]) -> Option<Self> {
        lvar_of_bytes(bytes.len())?;
        Some(Self { encoding: Encoding::Variable, content: Content::Bytes(bytes) })
    }

    /// A day, as type G; `None` if its year is not one of 1981 to 2080.
    pub fn date(date: Date) -> Option<Self> {
        let day = Self::fixed(Encoding::Int16, date.write_g().into(), 2);
        date.fits_two_digits().then_some(day)
    }

    /// A time of day, as type J.
    pub fn time(time: Time) -> Self {
        Self::fixed(Encoding::Int24, time.write_j().into(), 3)
    }

    /// Day and time: as type I if there are seconds (years 2000 to 2099), else as type F.
    pub fn date_time(date: Date, time: Time) -> Option<Self> {
        match time.second() {
            None => Some(Self::fixed(Encoding::Int32, write_f(date, time).into(), 4)),
            Some(_) if !matches!(date.year(), 2000..=2099) => None,
            Some(_) => Some(Self::fixed(Encoding::Int48, write_i(date, time), 6)),
        }
    }

    /// How it is coded.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn write(&self, w: &mut Writer<'_>, order: ByteOrder) -> Result<(), Full> {
        match self.content {
            Content::Bits { bits, len } => write_low(w, order, &bits.to_le_bytes(), len),
            Content::Digits { lvar, digits, len } => {
                w.byte(lvar)?;
                write_low(w, order, &digits.to_le_bytes(), len)
            }
            Content::Text(text) => {
                let bytes = text.bytes();
                w.byte(u8::try_from(bytes.len()).map_err(|_| Full)?)?;
                match order {
                    ByteOrder::LsbFirst => bytes.iter().rev().try_for_each(|byte| w.byte(*byte)),
                    ByteOrder::MsbFirst => w.bytes(bytes),
                }
            }
            Content::Bytes(bytes) => {
                w.byte(lvar_of_bytes(bytes.len()).ok_or(Full)?)?;
                w.bytes(bytes)
            }
        }
    }
}

/// The first `len` of `bytes`, which have the least significant one first.
fn write_low(w: &mut Writer<'_>, order: ByteOrder, bytes: &[u8], len: usize) -> Result<(), Full> {
    let mut bytes = bytes.iter().take(len);
    match order {
        ByteOrder::LsbFirst => bytes.try_for_each(|byte| w.byte(*byte)),
        ByteOrder::MsbFirst => bytes.rev().try_for_each(|byte| w.byte(*byte)),
    }
}

const fn int_len(encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Int8
        | Encoding::Int16
        | Encoding::Int24
        | Encoding::Int32
        | Encoding::Int48
        | Encoding::Int64 => encoding.data_len(),
        _ => None,
    }
}

const fn bcd_len(encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd6 | Encoding::Bcd8 | Encoding::Bcd12 => {
            encoding.data_len()
        }
        _ => None,
    }
}

fn lvar_of_bytes(len: usize) -> Option<u8> {
    match len {
        0..=15 => Some(0xE0 | u8::try_from(len).ok()?),
        16 | 20 | 24 | 28 | 32 => Some(0xEC + u8::try_from(len / 4).ok()?),
        48 => Some(0xF5),
        64 => Some(0xF6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dib::tests::any_dib;
    use crate::{Invalid, Number, Quantity, Reader, Record};

    /// Writes one record of `vib` and `data` and reads it back, in both orders.
    #[track_caller]
    fn check(vib: VibBuf, data: Option<Data<'_>>, expected: &str) {
        let entry = Entry::new(vib, data.unwrap());
        for order in [ByteOrder::LsbFirst, ByteOrder::MsbFirst] {
            let mut buffer = [0; 300];
            let mut w = Writer::new(&mut buffer);
            assert_eq!(entry.write(&mut w, order), Ok(()));
            let mut r = Reader::new(w.written());
            let record = Record::read(&mut r, order).unwrap();
            assert_eq!(record.to_string(), expected);
            assert!(r.rest().is_empty());
        }
    }

    fn vib(quantity: Quantity, unit: &str, exponent: i8) -> VibBuf {
        VibBuf::of(quantity, unit, exponent).unwrap()
    }

    #[test]
    fn one_of_each() {
        let energy = vib(Quantity::Energy, "Wh", 3);
        check(energy, Data::int(Encoding::Int32, -7), "energy: integer -7000 Wh");
        check(
            energy,
            Data::int(Encoding::Int64, i64::MAX),
            "energy: integer 9223372036854775807000 Wh",
        );
        check(energy, Data::bcd(Encoding::Bcd8, 12_345_678), "energy: bcd 12345678000 Wh");
        check(energy, Data::bcd(Encoding::Bcd4, -123), "energy: bcd -123000 Wh");
        check(energy, Data::raw(Encoding::Bcd4, 0xEEEE), "energy: bcd invalid, bcd_digit Wh");
        check(energy, Some(Data::real(Real32(0x3FC0_0000))), "energy: real32 1500 Wh");
        check(energy, Data::variable_bcd(-1_234_567), "energy: bcd -1234567000 Wh");
        check(energy, Some(Data::NOTHING), "energy: none  Wh");
        let customer = vib(Quantity::Customer, "", 0);
        check(customer, Data::text("Kvernhusgata 4"), "customer: text \"Kvernhusgata 4\"");
        check(customer, Data::bytes(&[0xAB; 16]), &format!("customer: bytes {}", "AB".repeat(16)));
        let (date, time) = (Date::new(2026, 11, 21).unwrap(), Time::new(7, 5, None).unwrap());
        check(vib(Quantity::Date, "", 0), Data::date(date), "date: date 2026-11-21");
        let date_time = vib(Quantity::DateTime, "", 0);
        check(date_time, Data::date_time(date, time), "date_time: datetime 2026-11-21T07:05");
        let time = Time::new(7, 5, Some(9)).unwrap();
        check(date_time, Data::date_time(date, time), "date_time: datetime 2026-11-21T07:05:09");
        check(date_time, Some(Data::time(time)), "date_time: time 07:05:09");
    }

    #[test]
    fn what_does_not_fit_cannot_be_made() {
        assert_eq!(Data::int(Encoding::Int8, 128), None);
        assert_eq!(Data::int(Encoding::Bcd2, 1), None);
        assert_eq!(Data::unsigned(Encoding::Int16, 65_536), None);
        assert_eq!(Data::bcd(Encoding::Bcd4, -1000), None);
        assert_eq!(Data::bcd(Encoding::Bcd12, 1_000_000_000_000), None);
        assert_eq!(Data::raw(Encoding::Nothing, 1), None);
        assert_eq!(Data::bytes(&[0; 17]), None);
        assert_eq!(Data::text("blå"), None);
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_no_half() {
        let entry = Entry::new(vib(Quantity::Volume, "m3", -3), Data::latin1(b"abc").unwrap());
        let mut buffer = [0; 5];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(entry.write(&mut w, ByteOrder::LsbFirst), Err(Full));
        assert!(w.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(dib in any_dib(), bits: u64, text: Vec<u8>, vif in 0_u8..0x78) {
            let vib = VibBuf::read(&[vif]).unwrap();
            let len = dib.encoding.data_len();
            let mask = len.map_or(0, |len| if len == 8 { u64::MAX } else { (1 << (8 * len)) - 1 });
            let data = match dib.encoding {
                Encoding::Variable => Data::latin1(text.get(..text.len().min(191)).unwrap()),
                encoding => Data::raw(encoding, bits & mask),
            };
            let Dib { function, storage, tariff, subunit, .. } = dib;
            let entry = Entry { function, storage, tariff, subunit, vib, data: data.unwrap() };
            for order in [ByteOrder::LsbFirst, ByteOrder::MsbFirst] {
                let mut buffer = [0; 300];
                let mut w = Writer::new(&mut buffer);
                prop_assert_eq!(entry.write(&mut w, order), Ok(()));
                let mut r = Reader::new(w.written());
                let record = Record::read(&mut r, order).unwrap();
                prop_assert!(r.rest().is_empty());
                prop_assert_eq!(record.dib, dib);
                prop_assert_eq!(record.vib.bytes(), vib.bytes());
                if dib.encoding == Encoding::Variable {
                    let characters = text.iter().take(191).copied().map(char::from);
                    let read = record.value().map(|value| value.to_string());
                    prop_assert_eq!(read, Ok(characters.collect()));
                } else {
                    prop_assert_eq!(order.u64(record.data()), bits & mask);
                }
            }
        }

        #[test]
        fn numbers_are_read_back(number: i64) {
            let vib = VibBuf::of(Quantity::HeatCost, "hca", 0).unwrap();
            let data = [
                Data::int(Encoding::Int64, number),
                Data::int(Encoding::Int24, number >> 40),
                Data::bcd(Encoding::Bcd12, number >> 28),
                Data::variable_bcd(number >> 12),
            ];
            let expected = [number, number >> 40, number >> 28, number >> 12];
            for (data, expected) in data.into_iter().zip(expected) {
                let Some(data) = data else { continue };
                let mut buffer = [0; 32];
                let mut w = Writer::new(&mut buffer);
                prop_assert_eq!(Entry::new(vib, data).write(&mut w, ByteOrder::LsbFirst), Ok(()));
                let record = Record::read(&mut Reader::new(w.written()), ByteOrder::LsbFirst);
                let value = record.unwrap().value().and_then(|v| v.number().ok_or(Invalid::Integer));
                let mantissa = i128::from(expected);
                prop_assert_eq!(value, Ok(Number::Integer { mantissa, exponent: 0 }));
            }
        }
    }
}
