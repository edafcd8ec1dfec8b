//! Numbers as the meter sent them, exactly: a mantissa and a power of ten, or a float's own bits.
//!
//! ```text
//! DIF 04  VIF 13  39 30 00 00     12345 × 10⁻³ m³  =  12.345 m³
//! DIF 05  VIF 13  CD CC CC 3D     0.100000001490116119384765625 × 10⁻³ m³
//! ```
//!
//! Nothing is rounded unless [`Number::rounded`] is asked for it.

use core::fmt;

/// A number with its power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Of an integer or BCD.
    Integer {
        /// As counted by the meter, in steps of its own resolution.
        mantissa: i128,
        /// How large a step is: ten to this power.
        exponent: i8,
    },
    /// Of a float.
    Real {
        /// As sent.
        real: Real32,
        /// To be multiplied by ten to this power.
        exponent: i8,
    },
}

impl Number {
    /// The power of ten of the VIF and its factors.
    pub const fn exponent(self) -> i8 {
        match self {
            Self::Integer { exponent, .. } | Self::Real { exponent, .. } => exponent,
        }
    }

    /// Mantissa and power of ten, as the meter counts; `None` for a float and for what `i64`
    /// cannot hold.
    pub fn steps(self) -> Option<(i64, i8)> {
        match self {
            Self::Integer { mantissa, exponent } => Some((i64::try_from(mantissa).ok()?, exponent)),
            Self::Real { .. } => None,
        }
    }

    /// How many steps of ten to the power of minus `decimals` it is, rounded to the nearest, a
    /// half away from zero; `None` if `i64` cannot count them.
    ///
    /// This is how a float enters a series, once, on its way in.
    pub fn rounded(self, decimals: i8) -> Option<i64> {
        let power = i32::from(self.exponent()) + i32::from(decimals);
        let (negative, mantissa, twos) = match self {
            Self::Integer { mantissa, .. } => (mantissa < 0, mantissa.unsigned_abs(), 0),
            Self::Real { real, .. } => {
                let (negative, mantissa, twos) = real.parts()?;
                (negative, u128::from(mantissa), twos)
            }
        };
        // value = mantissa × 2^twos × 10^power = numerator / denominator
        let (mut numerator, mut denominator) = (Some(mantissa), Some(1_u128));
        let tens = 10_u128.checked_pow(power.unsigned_abs());
        let twos_factor = 1_u128.checked_shl(twos.unsigned_abs());
        let product = |side: Option<u128>, factor: Option<u128>| side?.checked_mul(factor?);
        if power > 0 {
            numerator = product(numerator, tens);
        } else {
            denominator = product(denominator, tens);
        }
        if twos > 0 {
            numerator = product(numerator, twos_factor);
        } else {
            denominator = product(denominator, twos_factor);
        }
        let magnitude = match (numerator, denominator) {
            _ if mantissa == 0 => 0,
            (Some(numerator), Some(denominator)) => {
                let (whole, rest) = (numerator / denominator, numerator % denominator);
                whole + u128::from(rest >= denominator - rest)
            }
            // Less than 2^64 by more than 2^127, or less than 10^39 of them: nothing is left.
            (Some(numerator), None) if numerator < 1 << 126 => 0,
            _ => return None,
        };
        let magnitude = i128::try_from(magnitude).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }
}

impl fmt::Display for Number {
    /// All digits and no others: no exponent, no trailing zeros behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Digits::new();
        match *self {
            Self::Integer { mantissa, exponent } => {
                digits.set(mantissa.unsigned_abs());
                digits.write(f, mantissa < 0, i32::from(exponent))
            }
            Self::Real { real, exponent } => {
                // Only what a record does not give away as a value has no parts.
                let (negative, mantissa, twos) = real.parts().ok_or(fmt::Error)?;
                let exponent = i32::from(exponent);
                digits.set(u128::from(mantissa));
                if twos >= 0 {
                    digits.multiply(2, twos.unsigned_abs());
                    digits.write(f, negative, exponent)
                } else {
                    // m / 2^k = m × 5^k / 10^k
                    digits.multiply(5, twos.unsigned_abs());
                    digits.write(f, negative, exponent + twos)
                }
            }
        }
    }
}

/// An IEEE 754 number of 32 bits, kept as its bits: what a float prints is not what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Real32(pub u32);

impl Real32 {
    /// Sign, mantissa and power of two; `None` if it is infinite or no number.
    pub const fn parts(self) -> Option<(bool, u32, i32)> {
        let negative = self.0 >> 31 != 0;
        let biased = (self.0 >> 23 & 0xFF).cast_signed();
        let fraction = self.0 & 0x007F_FFFF;
        match biased {
            0xFF => None,
            0 => Some((negative, fraction, -149)),
            _ => Some((negative, fraction | 0x0080_0000, biased - 150)),
        }
    }

    /// Whether it stands for no number at all.
    pub const fn is_nan(self) -> bool {
        self.0 & 0x7FFF_FFFF > 0x7F80_0000
    }
}

/// A number up to (2²⁴ − 1) × 5¹⁴⁹, to be written in decimal digits: nine of them in each place, the
/// least significant place first.
struct Digits {
    places: [u32; Self::MAX],
    len: usize,
}

impl Digits {
    /// (2²⁴ − 1) × 5¹⁴⁹ has 112 digits.
    const MAX: usize = 13;
    const PER_PLACE: usize = 9;
    const PLACE: u32 = 1_000_000_000;
    /// The largest power of five that a place is multiplied by at once is 5¹³.
    const MOST_POWERS: u32 = 13;

    const fn new() -> Self {
        Self { places: [0; Self::MAX], len: 0 }
    }

    fn set(&mut self, mut number: u128) {
        let base = u128::from(Self::PLACE);
        self.len = 0;
        for place in &mut self.places {
            if number == 0 {
                break;
            }
            *place = u32::try_from(number % base).unwrap_or_default();
            number /= base;
            self.len += 1;
        }
    }

    /// Multiplies by `factor`, two or five, so many `times`.
    fn multiply(&mut self, factor: u32, mut times: u32) {
        while times > 0 {
            let at_once = times.min(Self::MOST_POWERS);
            self.multiply_once(factor.pow(at_once));
            times -= at_once;
        }
    }

    fn multiply_once(&mut self, factor: u32) {
        let base = u64::from(Self::PLACE);
        let mut carry = 0;
        for place in self.places.iter_mut().take(self.len) {
            let product = u64::from(*place) * u64::from(factor) + carry;
            *place = u32::try_from(product % base).unwrap_or_default();
            carry = product / base;
        }
        // 5¹³ is more than a place holds: what is carried may fill two.
        while carry != 0
            && let Some(place) = self.places.get_mut(self.len)
        {
            *place = u32::try_from(carry % base).unwrap_or_default();
            carry /= base;
            self.len += 1;
        }
    }

    /// Writes the digits times ten to the power of `exponent`.
    fn write(&self, f: &mut fmt::Formatter<'_>, negative: bool, exponent: i32) -> fmt::Result {
        // As text, the most significant first.
        let mut text = [b'0'; Self::MAX * Self::PER_PLACE];
        for (place, digits) in self.places.iter().zip(text.rchunks_exact_mut(Self::PER_PLACE)) {
            let mut left = *place;
            for digit in digits.iter_mut().rev() {
                *digit += u8::try_from(left % 10).unwrap_or_default();
                left /= 10;
            }
        }
        let text = str::from_utf8(&text).map_err(|_| fmt::Error)?.trim_start_matches('0');
        let significant = text.trim_end_matches('0');
        if significant.is_empty() {
            return f.write_str("0");
        }
        let Ok(len) = i32::try_from(text.len()) else { return Err(fmt::Error) };
        if negative {
            f.write_str("-")?;
        }
        // How many of the digits stand before the point.
        let whole = len + exponent;
        if whole <= 0 {
            f.write_str("0.")?;
            (whole..0).try_for_each(|_| f.write_str("0"))?;
            return f.write_str(significant);
        }
        match usize::try_from(whole).ok().and_then(|whole| significant.split_at_checked(whole)) {
            Some((before, "")) => f.write_str(before),
            Some((before, behind)) => write!(f, "{before}.{behind}"),
            None => {
                f.write_str(significant)?;
                let Ok(written) = i32::try_from(significant.len()) else { return Err(fmt::Error) };
                (written..whole).try_for_each(|_| f.write_str("0"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn integer(mantissa: i128, exponent: i8) -> Number {
        Number::Integer { mantissa, exponent }
    }

    const fn real(real: f32, exponent: i8) -> Number {
        Number::Real { real: Real32(real.to_bits()), exponent }
    }

    #[track_caller]
    fn check(number: Number, expected: &str) {
        assert_eq!(number.to_string(), expected);
    }

    #[test]
    fn integers_with_their_power_of_ten() {
        check(integer(0, -3), "0");
        check(integer(135, -3), "0.135");
        check(integer(12_345, -3), "12.345");
        check(integer(-12_000, -3), "-12");
        check(integer(-5, -1), "-0.5");
        check(integer(120, -4), "0.012");
        check(integer(52, 2), "5200");
        check(integer(u64::MAX.into(), 4), "184467440737095516150000");
    }

    #[test]
    fn reals_to_the_last_digit() {
        check(real(0.1, 0), "0.100000001490116119384765625");
        check(real(-0.0, 3), "0");
        check(real(1.5, 3), "1500");
        check(real(-6_940_161.5, 0), "-6940161.5");
        check(real(f32::MAX, 0), "340282346638528859811704183484516925440");
        let smallest = real(f32::from_bits(1), 0).to_string();
        assert!(smallest.starts_with("0.00000000000000000000000000000000000000000000140129846"));
        assert_eq!(smallest.len(), 2 + 149);
        assert!(!real(f32::from_bits(0x007F_FFFF), 0).to_string().ends_with('0'));
    }

    #[test]
    fn rounding_is_to_the_nearest_and_a_half_away_from_zero() {
        assert_eq!(integer(12_345, -3).rounded(3), Some(12_345));
        assert_eq!(integer(12_345, -3).rounded(2), Some(1235));
        assert_eq!(integer(-12_345, -3).rounded(2), Some(-1235));
        assert_eq!(integer(12, 3).rounded(0), Some(12_000));
        assert_eq!(integer(12, 3).rounded(-4), Some(1));
        assert_eq!(real(0.1, 0).rounded(3), Some(100));
        assert_eq!(real(0.000_707, 3).rounded(3), Some(707));
        assert_eq!(real(2.5, 0).rounded(0), Some(3));
        assert_eq!(real(f32::from_bits(1), 0).rounded(3), Some(0));
        assert_eq!(real(f32::MAX, 0).rounded(0), None);
        assert_eq!(integer(1, 127).rounded(127), None);
        assert_eq!(integer(0, 127).rounded(127), Some(0));
        assert_eq!(integer(1, -100).rounded(0), Some(0));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_the_same_number(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            // No float has more places: this is all of it, and what zeros std puts behind it.
            let exactly = format!("{value:.149}");
            let exactly = exactly.trim_end_matches('0').trim_end_matches('.');
            let exactly = if value == 0.0 { "0" } else { exactly };
            prop_assert_eq!(real(value, 0).to_string(), exactly);
        }

        #[test]
        fn rounded_to_its_own_steps_it_is_itself(mantissa: i64, exponent in -30_i8..30) {
            prop_assert_eq!(integer(mantissa.into(), exponent).rounded(-exponent), Some(mantissa));
            let steps = integer(mantissa.into(), exponent).steps();
            prop_assert_eq!(steps, Some((mantissa, exponent)));
        }

        #[test]
        fn nothing_overflows(bits: u32, exponent: i8, decimals: i8, mantissa: i128) {
            let _ = real(f32::from_bits(bits), exponent).rounded(decimals);
            let _ = integer(mantissa, exponent).rounded(decimals);
        }
    }
}
