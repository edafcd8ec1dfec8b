//! Numbers that come as text: `27.34`, `6e-3`, `21.899999618530273`.
//!
//! **Never true:** a digit that was told is lost before the one rounding at the end. (Of more
//! than 30 the last ones behind the point are cut off.)

use std::fmt;

use metering::{NoReading, Quantity, Resolution, Unit};

use super::{Scale, quantity};

/// A number as it was written: mantissa × 10^-decimals, without zeros at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    decimals: i32,
}

impl Decimal {
    pub(crate) const ZERO: Self = Self { mantissa: 0, decimals: 0 };

    pub(crate) fn of(number: i64) -> Self {
        Self { mantissa: number.into(), decimals: 0 }
    }

    /// Reads digits with at most one point among them, a minus before them and a power of ten
    /// behind them. `None` for anything else, for more than 30 digits before the point, and for
    /// powers beyond three digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (figure, power) = match text.split_once(['e', 'E']) {
            Some((figure, power)) if power.len() <= 4 => (figure, power.parse::<i32>().ok()?),
            Some(_) => return None,
            None => (text, 0),
        };
        let (negative, digits) =
            figure.strip_prefix('-').map_or((false, figure), |digits| (true, digits));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let dangling = whole.is_empty() || digits.ends_with('.');
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if dangling || !all_digits(whole) || !all_digits(part) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let room = MOST_DIGITS.checked_sub(whole.len())?;
        let part = part.get(..room.min(part.len()))?;
        let mantissa: i128 = format!("0{whole}{part}").parse().ok()?;
        let decimals = i32::try_from(part.len()).ok()? - power;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, decimals }.trimmed())
    }

    /// `None` if the two are so far apart that 128 bits do not hold the sum.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let decimals = self.decimals.max(other.decimals);
        let raised = |it: Self| {
            10_i128.checked_pow(decimals.abs_diff(it.decimals))?.checked_mul(it.mantissa)
        };
        match (self.mantissa, other.mantissa) {
            (0, _) => Some(other),
            (_, 0) => Some(self),
            _ => {
                let mantissa = raised(self)?.checked_add(raised(other)?)?;
                Some(Self { mantissa, decimals }.trimmed())
            }
        }
    }

    /// The number, if it has nothing behind the point.
    pub(crate) fn whole(self) -> Option<i64> {
        (self.decimals <= 0).then(|| self.steps(0))?
    }

    /// A thousand times the number, cut off at the point.
    pub(crate) fn millis(self) -> Option<i64> {
        self.steps(3)
    }

    /// How many steps of 10^-decimals are in it, cut off.
    fn steps(self, decimals: i32) -> Option<i64> {
        let shift = decimals - self.decimals;
        let factor = 10_i128.checked_pow(shift.unsigned_abs());
        let steps = if shift < 0 {
            factor.map_or(0, |factor| self.mantissa / factor)
        } else {
            factor?.checked_mul(self.mantissa)?
        };
        i64::try_from(steps).ok()
    }

    /// This number × `scale` ÷ `divisor` in `unit`, rounded to `decimals`, a half away from zero.
    ///
    /// # Errors
    ///
    /// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
    pub(crate) fn quantity(
        self,
        scale: Scale,
        divisor: u32,
        decimals: i8,
        unit: Unit,
    ) -> Result<Quantity, NoReading> {
        let scaled = self.mantissa.checked_mul(scale.digits.into()).ok_or(NoReading::TooLarge)?;
        let shift = i32::from(decimals) - i32::from(scale.decimals) - self.decimals;
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        let divisor = i128::from(divisor.max(1));
        let (numerator, denominator) = match (power, shift < 0) {
            (Some(power), true) => (Some(scaled), power.checked_mul(divisor)),
            (Some(power), false) => (scaled.checked_mul(power), Some(divisor)),
            (None, true) => (Some(scaled), None),
            (None, false) => (if scaled == 0 { Some(0) } else { None }, Some(divisor)),
        };
        let numerator = numerator.ok_or(NoReading::TooLarge)?;
        let mantissa = match denominator {
            Some(denominator) => {
                let size = numerator.checked_abs().and_then(|it| it.checked_add(denominator / 2));
                size.map(|size| size / denominator * numerator.signum())
            }
            // Less than a step by many powers of ten.
            None => Some(0),
        };
        quantity(mantissa, decimals, unit)
    }

    fn trimmed(mut self) -> Self {
        if self.mantissa == 0 {
            return Self::ZERO;
        }
        while self.decimals > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.decimals -= 1;
        }
        self
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = i64::try_from(self.mantissa).ok().and_then(|mantissa| {
            let resolution = Resolution::new(i8::try_from(self.decimals).ok()?, Unit::One)?;
            Some(Quantity::new(mantissa, resolution).decimal())
        });
        match shown {
            Some(shown) => f.write_str(&shown),
            None => write!(f, "{}e{}", self.mantissa, -self.decimals),
        }
    }
}

/// What `pulses` are, of which `per_unit` make one: cut off after `decimals`, or after as many as
/// one pulse has, at most 6.
///
/// # Errors
///
/// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
pub(crate) fn of_pulses(
    pulses: u64,
    per_unit: Scale,
    decimals: Option<i8>,
    unit: Unit,
) -> Result<Quantity, NoReading> {
    let digits = i128::from(per_unit.digits);
    // One pulse is 10^decimals / digits of a unit.
    let parts = |decimals: i8| {
        let shift = i32::from(decimals) + i32::from(per_unit.decimals);
        let power = 10_i128.checked_pow(shift.unsigned_abs())?;
        Some(if shift < 0 { (1, digits.checked_mul(power)?) } else { (power, digits) })
    };
    let is_exact = |decimals: &i8| parts(*decimals).is_some_and(|(factor, by)| factor % by == 0);
    let decimals = decimals.or_else(|| (0..MOST_DECIMALS).find(is_exact)).unwrap_or(MOST_DECIMALS);
    let mantissa = parts(decimals)
        .and_then(|(factor, by)| i128::from(pulses).checked_mul(factor)?.checked_div(by));
    quantity(mantissa, decimals, unit)
}

/// Times a scale of six digits they fit into 128 bits.
const MOST_DIGITS: usize = 30;
const MOST_DECIMALS: i8 = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, scale: &str, divisor: u32, decimals: i8, expected: &str) {
        let number = Decimal::parse(text).unwrap();
        let scale = Scale::parse(scale).unwrap();
        let shown = number
            .quantity(scale, divisor, decimals, Unit::One)
            .map_or_else(|reason| reason.as_str().to_owned(), Quantity::decimal);
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn what_was_written_is_rounded_once() {
        check("27.34", "1", 1, 2, "27.34");
        check("27.34", "1", 1, 1, "27.3");
        check("27.35", "1", 1, 1, "27.4");
        check("-27.35", "1", 1, 1, "-27.4");
        check("21.899999618530273", "1", 1, 2, "21.90");
        check("6e-3", "1", 1, 3, "0.006");
        check("1.5E3", "1", 1, 0, "1500");
        check("123456", "1", 60_000, 3, "2.058");
        check("90", "1", 60, 0, "2");
        check("12", "0.1", 1, 1, "1.2");
        check("0", "1", 1, 2, "0.00");
        check("-0.0", "1", 1, 2, "0.00");
        check("1e-400", "1", 1, 2, "0.00");
        check("1e400", "1", 1, 2, "too_large");
        check("0e999", "1", 1, 2, "0.00");
        check("9223372036854775808", "1", 1, 0, "too_large");
        check("0.3333333333333333333333333333333333333333", "1", 3, 3, "0.111");
    }

    #[test]
    fn what_is_no_number_is_none() {
        for wrong in ["", "-", ".5", "5.", "1.2.3", "+1", "1 2", "NaN", "1e", "1e99999", "0x10"] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(31)), None);
    }

    #[test]
    fn a_counter_of_pulses_is_cut_off_like_a_display() {
        let shown = |pulses, per_unit: &str, decimals| {
            of_pulses(pulses, Scale::parse(per_unit).unwrap(), decimals, Unit::One)
                .map_or_else(|reason| reason.as_str().to_owned(), Quantity::decimal)
        };
        assert_eq!(shown(1_234, "1000", None), "1.234");
        assert_eq!(shown(0, "1000", None), "0.000");
        assert_eq!(shown(3, "800", None), "0.00375");
        assert_eq!(shown(2, "75", None), "0.026666");
        assert_eq!(shown(199, "100", Some(1)), "1.9");
        assert_eq!(shown(7, "0.1", None), "70");
        assert_eq!(shown(1, "0.25", None), "4");
        assert_eq!(shown(u64::MAX, "1000", Some(3)), "too_large");
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "-?[0-9]{0,40}(\\.[0-9]{0,40})?(e-?[0-9]{0,4})?", decimals in -6_i8..=9) {
            if let Some(number) = Decimal::parse(&text) {
                let _ = number.quantity(Scale::ONE, 60, decimals, Unit::One);
                let _ = (number.whole(), number.millis(), number.to_string());
            }
        }

        #[test]
        fn a_written_number_comes_back(mantissa in -1_000_000_000_000_i64..1_000_000_000_000, decimals in 0_i8..=9) {
            let written = Quantity::new(mantissa, Resolution::new(decimals, Unit::One).unwrap());
            let read = Decimal::parse(&written.decimal()).unwrap();
            prop_assert_eq!(read.quantity(Scale::ONE, 1, decimals, Unit::One).unwrap(), written);
        }

        #[test]
        fn a_sum_is_that_of_its_parts(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            prop_assert_eq!(Decimal::of(a).plus(Decimal::of(b)).unwrap().whole(), Some(a + b));
        }
    }
}
