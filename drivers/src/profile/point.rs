//! Where a register is on a Modbus device, and how its words become a number.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use metering::{NoReading, Quantity, Unit};
use serde::Deserialize;

use crate::modbus::{Function, Request};
use crate::number::{self, Float, Scale};

/// What was read of a device, answer by answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    answers: Vec<(Function, u16, Vec<u16>)>,
}

impl Words {
    /// Keeps the answer to a request that began at `address`.
    pub(crate) fn put(&mut self, function: Function, address: u16, words: Vec<u16>) {
        self.answers.push((function, address, words));
    }

    /// The words of `request` as one number; `None` if one of them was not read.
    fn joined(&self, request: Request, low_word_first: bool) -> Option<u64> {
        let Request { function, address, count } = request;
        (0..count).try_fold(0, |raw, at| {
            let at = if low_word_first { count - 1 - at } else { at };
            let word = self.word(function, address.checked_add(at)?)?;
            Some(raw << 16 | u64::from(word))
        })
    }

    /// What was read last of the register at `address`.
    fn word(&self, function: Function, address: u16) -> Option<u16> {
        let answers = self.answers.iter().rev().filter(|(of, ..)| *of == function);
        let mut words = answers.filter_map(|(_, first, words)| {
            words.get(usize::from(address.checked_sub(*first)?)).copied()
        });
        words.next()
    }
}

/// Where a number is and how it is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) at: Request,
    pub(crate) coding: Coding,
    pub(crate) low_word_first: bool,
    pub(crate) scale: Scale,
    /// What the device itself adds to the scale.
    pub(crate) scale_register: Option<ScaleRegister>,
    /// Where the device says what unit it is set to.
    pub(crate) unit_register: Option<UnitRegister>,
    pub(crate) bit: Option<u8>,
    /// Words that stand for no number, taken together as one.
    pub(crate) invalid: Vec<RangeInclusive<u64>>,
}

/// A register that scales others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScaleRegister {
    pub(crate) at: Request,
    pub(crate) coding: Coding,
    pub(crate) mode: ScaleMode,
}

/// What a scale register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScaleMode {
    /// A power of ten.
    Pow10,
    /// A factor, such as the ratio of a current transformer.
    Factor,
}

/// A register that tells the unit of another, by numbers of the maker's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitRegister {
    pub(crate) at: Request,
    pub(crate) coding: Coding,
    pub(crate) units: BTreeMap<i128, Unit>,
}

impl Point {
    /// The registers that have to be read together for it: a scale and a unit may change, so they
    /// come from the same moment.
    pub(crate) fn hull(&self) -> Request {
        let end = |it: Request| u32::from(it.address) + u32::from(it.count);
        self.beside().fold(self.at, |hull, beside| {
            let address = hull.address.min(beside.address);
            let count = end(hull).max(end(beside)) - u32::from(address);
            Request { address, count: u16::try_from(count).unwrap_or(u16::MAX), ..hull }
        })
    }

    /// What is read for it besides its own registers.
    pub(super) fn beside(&self) -> impl Iterator<Item = Request> {
        let scale = self.scale_register.iter().map(|it| it.at);
        scale.chain(self.unit_register.iter().map(|it| it.at))
    }

    /// The number, in `unit` and with at least `decimals`. `None` if its words were not read.
    pub(crate) fn number(
        &self,
        words: &Words,
        decimals: Option<i8>,
        unit: Unit,
    ) -> Option<Result<Quantity, NoReading>> {
        let raw = self.raw(words)?;
        let told = |at: Request, coding: Coding| {
            words.joined(at, self.low_word_first).map(|raw| coding.integer(raw))
        };
        let unit = match &self.unit_register {
            None => Some(unit),
            Some(it) => told(it.at, it.coding)?.and_then(|number| it.units.get(&number).copied()),
        };
        let scaling = match self.scale_register {
            None => Some((self.scale, 1)),
            Some(ScaleRegister { at, coding, mode }) => {
                told(at, coding)?.and_then(|number| match mode {
                    ScaleMode::Pow10 => Some((self.scale.shifted(i64::try_from(number).ok()?)?, 1)),
                    ScaleMode::Factor => (number > 0).then_some((self.scale, number)),
                })
            }
        };
        // What is not there says so by a scale or a unit that cannot be.
        let (Some(unit), Some((scale, factor))) = (unit, scaling) else {
            return Some(Err(NoReading::Invalid));
        };
        Some(self.decoded(raw, scale, factor, decimals, unit))
    }

    /// The number as it stands there, without a scale: to tell a type or a serial number.
    pub(crate) fn integer(&self, words: &Words) -> Option<i128> {
        let raw = self.raw(words)?;
        if self.is_invalid(raw) { None } else { self.coding.integer(raw) }
    }

    /// The number as a serial number. A device that has none has zeros there, or ones.
    pub(crate) fn serial(&self, words: &Words) -> Option<String> {
        let number = self.integer(words).filter(|number| *number > 0 && *number < 0xFFFF_FFFF);
        number.map(|number| number.to_string())
    }

    fn raw(&self, words: &Words) -> Option<u64> {
        words.joined(self.at, self.low_word_first)
    }

    fn is_invalid(&self, raw: u64) -> bool {
        self.invalid.iter().any(|range| range.contains(&raw))
    }

    fn decoded(
        &self,
        raw: u64,
        scale: Scale,
        factor: i128,
        decimals: Option<i8>,
        unit: Unit,
    ) -> Result<Quantity, NoReading> {
        if self.is_invalid(raw) {
            return Err(NoReading::Invalid);
        }
        if let Some(bit) = self.bit {
            return number::of_integer((raw >> bit & 1).into(), Scale::ONE, None, unit);
        }
        if let Some(integer) = self.coding.integer(raw) {
            let integer = integer.checked_mul(factor).ok_or(NoReading::TooLarge)?;
            return number::of_integer(integer, scale, decimals, unit);
        }
        let float = match self.coding {
            Coding::F32 => u32::try_from(raw).ok().and_then(Float::of_f32),
            _ => Float::of_f64(raw),
        };
        let decimals = decimals.unwrap_or_default();
        float.ok_or(NoReading::Invalid).and_then(|float| float.rounded(scale, decimals, unit))
    }
}

/// How a number is coded: its words in the order of `word_order`, its bytes high first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Coding {
    U16,
    I16,
    U32,
    I32,
    F32,
    U64,
    I64,
    F64,
}

impl Coding {
    pub(crate) const fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The whole number that `raw` codes; `None` if it codes a float.
    pub(crate) fn integer(self, raw: u64) -> Option<i128> {
        let signed = |bits: u32| {
            let raw = i128::from(raw);
            if raw >> (bits - 1) & 1 == 1 { raw - (1 << bits) } else { raw }
        };
        match self {
            Self::U16 | Self::U32 | Self::U64 => Some(raw.into()),
            Self::I16 => Some(signed(16)),
            Self::I32 => Some(signed(32)),
            Self::I64 => Some(signed(64)),
            Self::F32 | Self::F64 => None,
        }
    }
}

/// Which of two amounts of one unit is larger, exactly.
pub(crate) fn compare(a: Quantity, b: Quantity) -> Ordering {
    let (a_decimals, b_decimals) = (a.resolution().decimals(), b.resolution().decimals());
    let most = a_decimals.max(b_decimals);
    // At most 10^24 × 2^63, which 128 bits hold but for the last figures.
    let scaled = |mantissa: i64, decimals: i8| {
        i128::from(mantissa).saturating_mul(10_i128.pow(most.abs_diff(decimals).into()))
    };
    scaled(a.mantissa(), a_decimals).cmp(&scaled(b.mantissa(), b_decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(coding: Coding, low_word_first: bool) -> Point {
        Point {
            at: Request { function: Function::Input, address: 10, count: coding.words() },
            coding,
            low_word_first,
            scale: Scale::ONE,
            scale_register: None,
            unit_register: None,
            bit: None,
            invalid: Vec::new(),
        }
    }

    #[track_caller]
    fn check(point: &Point, words: &[u16], decimals: Option<i8>, expected: &str) {
        let mut read = Words::default();
        read.put(Function::Input, 10, words.to_vec());
        let number = point.number(&read, decimals, Unit::One).unwrap();
        let shown = number.map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string());
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_coding_has_its_words_and_its_sign() {
        check(&point(Coding::U16, false), &[0xFFFE], None, "65534");
        check(&point(Coding::I16, false), &[0xFFFE], None, "-2");
        check(&point(Coding::U32, false), &[0x0001, 0x86A0], None, "100000");
        check(&point(Coding::U32, true), &[0x86A0, 0x0001], None, "100000");
        check(&point(Coding::I32, true), &[0xFFFF, 0xFFFF], None, "-1");
        check(&point(Coding::I64, false), &[0x8000, 0, 0, 0], None, "-9223372036854775808");
        check(
            &point(Coding::U64, false),
            &[0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF],
            None,
            "9223372036854775807",
        );
        check(&point(Coding::U64, false), &[0x8000, 0, 0, 0], None, "too_large");
        check(&point(Coding::F32, false), &[0x4366, 0x8000], Some(1), "230.5");
        check(&point(Coding::F32, true), &[0x8000, 0x4366], Some(1), "230.5");
        check(&point(Coding::F32, false), &[0x7FC0, 0], Some(1), "invalid");
        check(&point(Coding::F64, false), &[0x3FF8, 0, 0, 0], Some(2), "1.50");
    }

    #[test]
    fn a_scale_may_come_from_a_register_of_the_same_moment() {
        let scale = Request { function: Function::Input, address: 11, count: 1 };
        let register = |mode| Some(ScaleRegister { at: scale, coding: Coding::I16, mode });
        let scaled =
            Point { scale_register: register(ScaleMode::Pow10), ..point(Coding::U16, false) };
        assert_eq!(scaled.hull(), Request { count: 2, ..scaled.at });
        check(&scaled, &[1234, 0xFFFF], None, "123.4");
        check(&scaled, &[1234, 2], None, "123400");
        check(&scaled, &[1234, 0x8000], None, "invalid");
        let with_factor = Point {
            scale_register: register(ScaleMode::Factor),
            scale: Scale::parse("0.1").unwrap(),
            ..point(Coding::U16, false)
        };
        check(&with_factor, &[1234, 40], None, "4936.0");
        check(&with_factor, &[1234, 0], None, "invalid");
        check(&with_factor, &[1234, 0xFFFF], None, "invalid");
    }

    #[test]
    fn a_unit_may_come_from_a_register_of_the_same_moment() {
        let at = Request { function: Function::Input, address: 12, count: 1 };
        let units = [(2, Unit::KilowattHour), (3, Unit::MegawattHour)].into();
        let told = Point {
            unit_register: Some(UnitRegister { at, coding: Coding::U16, units }),
            ..point(Coding::U16, false)
        };
        assert_eq!(told.hull(), Request { count: 3, ..told.at });
        check(&told, &[1234, 0, 2], None, "1234 kWh");
        check(&told, &[1234, 0, 3], None, "1234 MWh");
        check(&told, &[1234, 0, 4], None, "invalid");
    }

    #[test]
    fn what_stands_for_no_number_is_none() {
        let overflow =
            Point { invalid: vec![0x7FFF_0000..=0x7FFF_FFFF], ..point(Coding::I32, true) };
        check(&overflow, &[0x1234, 0x7FFF], None, "invalid");
        check(&overflow, &[0x1234, 0x7FFE], None, "2147357236");
    }

    #[test]
    fn a_flag_is_one_bit() {
        let flag = Point { bit: Some(3), ..point(Coding::U16, false) };
        check(&flag, &[0b1000], None, "1");
        check(&flag, &[0b0111], None, "0");
    }

    #[test]
    fn words_that_were_not_read_are_no_number() {
        let read = Words::default();
        assert_eq!(point(Coding::U16, false).number(&read, None, Unit::One), None);
    }
}
