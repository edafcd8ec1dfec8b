//! From the bits on the wire to the digits of a display, exactly.
//!
//! An integer stays an integer: its scale is a power of ten, which moves the point, or a decimal,
//! which multiplies. A float is taken as the number that its bits stand for, and is rounded
//! once, a half away from zero, to the decimals that are wanted.
//!
//! **Never true:** a value passes through the processor's floating point.

mod decimal;

use std::fmt;
use std::ops::RangeInclusive;

use metering::{NoReading, Quantity, Resolution, Unit};

pub(crate) use decimal::{Decimal, of_pulses};

/// A factor of the form digits × 10^-decimals: `0.1`, `10`, `0.005`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scale {
    /// Not zero, and not a multiple of ten.
    digits: i64,
    decimals: i8,
}

impl Scale {
    /// A factor of one.
    pub(crate) const ONE: Self = Self { digits: 1, decimals: 0 };
    /// A thousandth.
    pub(crate) const MILLI: Self = Self { digits: 1, decimals: 3 };

    /// Reads `0.1`, `10` or `1e-3`. `None` for zero, for more than six digits, beyond 10^9 and
    /// 10^-12, and for what is no number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (figure, power) = match text.split_once(['e', 'E']) {
            Some((figure, power)) => (figure, power.parse::<i8>().ok()?),
            None => (text, 0),
        };
        let figure = Quantity::from_decimal(figure, Unit::One).ok()?;
        let mut digits = figure.mantissa();
        let mut decimals = figure.resolution().decimals().checked_sub(power)?;
        if digits == 0 {
            return None;
        }
        while digits % 10 == 0 {
            digits /= 10;
            decimals = decimals.checked_sub(1)?;
        }
        let small = digits.unsigned_abs() < 1_000_000 && Self::DECIMALS.contains(&decimals);
        small.then_some(Self { digits, decimals })
    }

    /// The factor times ten to `power`.
    pub(crate) fn shifted(self, power: i64) -> Option<Self> {
        let decimals = i8::try_from(i64::from(self.decimals).checked_sub(power)?).ok()?;
        Self::DECIMALS.contains(&decimals).then_some(Self { decimals, ..self })
    }

    pub(crate) const fn is_positive(self) -> bool {
        self.digits > 0
    }

    /// With these, and six digits, a float's computation fits into 128 bits.
    const DECIMALS: RangeInclusive<i8> = -9..=12;
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resolution = Resolution::new(self.decimals, Unit::One).ok_or(fmt::Error)?;
        f.write_str(&Quantity::new(self.digits, resolution).decimal())
    }
}

/// `raw` × `scale` in `unit`, with at least `decimals` digits behind the point if they are given.
///
/// # Errors
///
/// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
pub(crate) fn of_integer(
    raw: i128,
    scale: Scale,
    decimals: Option<i8>,
    unit: Unit,
) -> Result<Quantity, NoReading> {
    let mantissa = raw.checked_mul(scale.digits.into()).ok_or(NoReading::TooLarge)?;
    let wanted = decimals.unwrap_or(scale.decimals).max(scale.decimals);
    let more = u32::from(wanted.abs_diff(scale.decimals));
    let mantissa = 10_i128.checked_pow(more).and_then(|factor| mantissa.checked_mul(factor));
    quantity(mantissa, wanted, unit)
}

/// The number that a float's bits stand for: ± mantissa × 2^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Float {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Float {
    /// `None` for NaN and the infinities: there is no such number.
    pub(crate) fn of_f32(bits: u32) -> Option<Self> {
        let fraction = u64::from(bits & 0x007F_FFFF);
        let exponent = i32::try_from(bits >> 23 & 0xFF).ok()?;
        let negative = bits >> 31 == 1;
        match exponent {
            0xFF => None,
            0 => Some(Self { negative, mantissa: fraction, exponent: -149 }),
            _ => Some(Self { negative, mantissa: fraction | 1 << 23, exponent: exponent - 150 }),
        }
    }

    /// `None` for NaN and the infinities.
    pub(crate) fn of_f64(bits: u64) -> Option<Self> {
        let fraction = bits & 0x000F_FFFF_FFFF_FFFF;
        let exponent = i32::try_from(bits >> 52 & 0x7FF).ok()?;
        let negative = bits >> 63 == 1;
        match exponent {
            0x7FF => None,
            0 => Some(Self { negative, mantissa: fraction, exponent: -1074 }),
            _ => Some(Self { negative, mantissa: fraction | 1 << 52, exponent: exponent - 1075 }),
        }
    }

    /// This number × `scale` in `unit`, rounded to `decimals`, a half away from zero.
    ///
    /// # Errors
    ///
    /// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
    pub(crate) fn rounded(
        self,
        scale: Scale,
        decimals: i8,
        unit: Unit,
    ) -> Result<Quantity, NoReading> {
        // mantissa × digits × 2^exponent × 10^shift: a numerator and a denominator.
        let shift = i32::from(decimals) - i32::from(scale.decimals);
        let mut numerator = u128::from(self.mantissa) * u128::from(scale.digits.unsigned_abs());
        if numerator == 0 {
            return quantity(Some(0), decimals, unit);
        }
        if self.exponent > 0 {
            let bits = self.exponent.unsigned_abs();
            if bits > numerator.leading_zeros() {
                return Err(NoReading::TooLarge);
            }
            numerator <<= bits;
        }
        // What goes into both is cancelled first: 10^n is 5^n × 2^n, and the denominator's
        // powers of two swallow the latter, so that nothing overflows that has an answer.
        let mut halvings = self.exponent.min(0).unsigned_abs();
        let mut divisor = 1_u128;
        if shift >= 0 {
            let tens = shift.unsigned_abs();
            let fives = 5_u128.checked_pow(tens).and_then(|power| numerator.checked_mul(power));
            numerator = fives.ok_or(NoReading::TooLarge)?;
            let doublings = tens.saturating_sub(halvings);
            halvings = halvings.saturating_sub(tens);
            if doublings > numerator.leading_zeros() {
                return Err(NoReading::TooLarge);
            }
            numerator <<= doublings;
        } else {
            divisor = 10_u128.checked_pow(shift.unsigned_abs()).ok_or(NoReading::TooLarge)?;
        }
        let rounded = match divisor.checked_shl(halvings).filter(|it| *it >> halvings == divisor) {
            Some(divisor) => {
                numerator.checked_add(divisor / 2).ok_or(NoReading::TooLarge)? / divisor
            }
            // The denominator has more than 128 bits, the numerator at most 122.
            None => 0,
        };
        let mantissa = i128::try_from(rounded).map_err(|_| NoReading::TooLarge)?;
        let negative = self.negative != (scale.digits < 0);
        quantity(Some(if negative { -mantissa } else { mantissa }), decimals, unit)
    }
}

fn quantity(mantissa: Option<i128>, decimals: i8, unit: Unit) -> Result<Quantity, NoReading> {
    let mantissa = mantissa.and_then(|mantissa| i64::try_from(mantissa).ok());
    let resolution = Resolution::new(decimals, unit);
    match (mantissa, resolution) {
        (Some(mantissa), Some(resolution)) => Ok(Quantity::new(mantissa, resolution)),
        _ => Err(NoReading::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(number: f64, scale: &str, decimals: i8, expected: &str) {
        let float = Float::of_f64(number.to_bits()).unwrap();
        let rounded = float.rounded(Scale::parse(scale).unwrap(), decimals, Unit::One);
        let shown = rounded.map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string());
        assert_eq!(shown, expected, "{number}");
    }

    #[test]
    fn a_float_is_rounded_once_and_a_half_away_from_zero() {
        check(0.125, "1", 2, "0.13");
        check(-0.125, "1", 2, "-0.13");
        check(0.375, "1", 2, "0.38");
        check(2.5, "1", 0, "3");
        check(0.1, "1", 12, "0.100000000000");
        check(230.4, "0.001", 3, "0.230");
        check(12_345.678, "1", 1, "12345.7");
        check(45.0, "1", -1, "50");
        check(-44.999, "1", -1, "-40");
        check(0.0, "1", 3, "0.000");
        check(-0.0, "1", 3, "0.000");
    }

    #[test]
    fn a_float_of_any_size_has_an_answer() {
        check(f64::MIN_POSITIVE, "1", 12, "0.000000000000");
        check(5e-324, "1", 3, "0.000");
        check(f64::MAX, "1", 0, "too_large");
        check(1e18, "1", 0, "1000000000000000000");
        check(1e19, "1", 0, "too_large");
        check(9.0e18, "1", -12, "9000000000000000000");
        check(1.0e-7, "100000000", 0, "10");
        check(1.0e-7, "999999", 12, "0.099999900000");
        assert_eq!(Float::of_f64(f64::NAN.to_bits()), None);
        assert_eq!(Float::of_f64(f64::INFINITY.to_bits()), None);
        assert_eq!(Float::of_f32(f32::NAN.to_bits()), None);
        assert_eq!(Float::of_f32(f32::NEG_INFINITY.to_bits()), None);
    }

    #[test]
    fn a_scale_moves_the_point_or_multiplies() {
        let shown = |raw, scale: &str, decimals| {
            of_integer(raw, Scale::parse(scale).unwrap(), decimals, Unit::Watt)
                .map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string())
        };
        assert_eq!(shown(100_000, "0.1", None), "10000.0 W");
        assert_eq!(shown(7, "10", None), "70 W");
        assert_eq!(shown(3, "0.005", None), "0.015 W");
        assert_eq!(shown(3, "1e-3", None), "0.003 W");
        assert_eq!(shown(3, "0.1", Some(3)), "0.300 W");
        assert_eq!(shown(3, "0.001", Some(1)), "0.003 W");
        assert_eq!(shown(i128::from(u64::MAX), "1", None), "too_large");
        for wrong in ["0", "", "x", "1e", "1234567", "1e20"] {
            assert_eq!(Scale::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        // The standard library rounds to decimals exactly, but a half to even: leave those out.
        #[test]
        fn a_float_agrees_with_the_standard_librarys_digits(
            number in -1.0e9_f64..1.0e9,
            decimals in 0_i8..=6,
        ) {
            let shown = Float::of_f64(number.to_bits()).unwrap()
                .rounded(Scale::ONE, decimals, Unit::One).unwrap().to_string();
            let places = usize::try_from(decimals).unwrap();
            let expected = format!("{number:.places$}");
            let unsigned_zero = expected.trim_start_matches('-').bytes().all(|it| b"0.".contains(&it));
            let expected = if unsigned_zero { expected.trim_start_matches('-').to_owned() } else { expected };
            let tie = format!("{:.1$}", number.abs(), places + 30).chars().skip_while(|it| *it != '.')
                .skip(1 + places).collect::<String>().trim_end_matches('0') == "5";
            prop_assume!(!tie);
            prop_assert_eq!(shown, expected);
        }

        #[test]
        fn no_bits_make_it_panic(bits: u64, decimals in -12_i8..=12, digits in 1_i64..999_999) {
            if let Some(float) = Float::of_f64(bits) {
                let scale = Scale::parse(&digits.to_string()).unwrap();
                let _ = float.rounded(scale, decimals, Unit::One);
            }
        }
    }
}
