//! Amounts as the meter shows them.
//!
//! ```text
//! 12.345 GJ  =  12 345             ×  0.001 GJ
//!               mantissa              resolution: 3 decimals, GJ
//!               of each reading       of the whole series
//! ```
//!
//! Readings are subtracted, summed and billed, so they are integers: `0.1 + 0.2` has to be
//! `0.3`. Nothing is converted on the way in. The store holds what the display shows, and queries
//! convert what they have summed.

use std::fmt;

/// An amount as a register shows it: a whole number of the register's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    mantissa: i64,
    resolution: Resolution,
}

impl Quantity {
    /// `mantissa` steps of `resolution`: 12 345 steps of 0.001 GJ are 12.345 GJ.
    pub const fn new(mantissa: i64, resolution: Resolution) -> Self {
        Self { mantissa, resolution }
    }

    /// The amount that `text` writes down, with the decimals that it has: `12.340` is 12 340
    /// steps of a thousandth.
    ///
    /// # Errors
    ///
    /// [`InvalidDecimal`] unless `text` is digits with at most one point among them and at most
    /// one minus before them, 18 digits in all.
    pub fn from_decimal(text: &str, unit: Unit) -> Result<Self, InvalidDecimal> {
        let invalid = || InvalidDecimal(text.chars().take(40).collect());
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let dangling = text.ends_with('.') || digits.is_empty();
        if dangling || !all_digits(digits) || !all_digits(part) || digits.len() + part.len() > 18 {
            return Err(invalid());
        }
        let mantissa = format!("{whole}{part}").parse().map_err(|_| invalid())?;
        let decimals = i8::try_from(part.len()).map_err(|_| invalid())?;
        let resolution = Resolution::new(decimals, unit).ok_or_else(invalid)?;
        Ok(Self::new(mantissa, resolution))
    }

    /// The same amount in the steps of a series, exactly: how a telegram's value enters it.
    ///
    /// Some meters change their power of ten from telegram to telegram. A coarser value is scaled
    /// up. `None` means that the value belongs in a new series of the same point, because it is
    /// finer, counts another unit or has too many digits for this one. A finer value that happens
    /// to end in zero is finer all the same: the resolution decides, never the digits.
    pub fn scaled_to(self, series: Resolution) -> Option<Self> {
        if self.resolution.unit != series.unit {
            return None;
        }
        let more_decimals = u32::try_from(series.decimals - self.resolution.decimals).ok()?;
        let factor = 10_i64.checked_pow(more_decimals)?;
        Some(Self::new(self.mantissa.checked_mul(factor)?, series))
    }

    /// How much was used between `earlier` and `self`, two values of one series.
    ///
    /// Negative after the counter overflowed. What that means is for the caller to decide, who
    /// knows the meter's history.
    ///
    /// # Errors
    ///
    /// [`QuantityError::Steps`] if the two do not count the same steps: they are not of one
    /// series, and no conversion is guessed.
    pub fn since(self, earlier: Self) -> Result<Self, QuantityError> {
        self.combined(earlier, i64::checked_sub)
    }

    /// `self` and `other`, two amounts that count the same steps.
    pub fn plus(self, other: Self) -> Result<Self, QuantityError> {
        self.combined(other, i64::checked_add)
    }

    fn combined(
        self,
        other: Self,
        operation: fn(i64, i64) -> Option<i64>,
    ) -> Result<Self, QuantityError> {
        if self.resolution != other.resolution {
            return Err(QuantityError::Steps(self.resolution, other.resolution));
        }
        match operation(self.mantissa, other.mantissa) {
            Some(mantissa) => Ok(Self::new(mantissa, self.resolution)),
            None => Err(QuantityError::TooLarge(self.resolution)),
        }
    }

    /// This amount in steps of `wanted`, rounded to the nearest, a half away from zero.
    ///
    /// For queries alone: sum first, convert once, store never.
    ///
    /// # Errors
    ///
    /// [`QuantityError::Dimension`] if no factor leads from the one unit to the other,
    /// [`QuantityError::TooLarge`] if the steps are so small that `i64` cannot count them.
    pub fn converted(self, wanted: Resolution) -> Result<Self, QuantityError> {
        let Resolution { decimals, unit } = self.resolution;
        let (size, wanted_size) = match (unit.size(), wanted.unit.size()) {
            _ if unit == wanted.unit => (1, 1),
            (Some((dimension, size)), Some((other, wanted_size))) if dimension == other => {
                (size, wanted_size)
            }
            _ => return Err(QuantityError::Dimension(unit, wanted.unit)),
        };

        // At most 10^24, so that nothing below overflows but the product with the mantissa.
        let power = 10_i128.pow(wanted.decimals.abs_diff(decimals).into());
        let (factor, divisor) = if wanted.decimals > decimals {
            (size * power, wanted_size)
        } else {
            (size, wanted_size * power)
        };

        let half = divisor / 2 * i128::from(self.mantissa.signum());
        let exact = i128::from(self.mantissa).checked_mul(factor);
        let rounded = exact.and_then(|exact| Some(exact.checked_add(half)? / divisor));
        match rounded.map(i64::try_from) {
            Some(Ok(mantissa)) => Ok(Self::new(mantissa, wanted)),
            _ => Err(QuantityError::TooLarge(wanted)),
        }
    }

    /// How many steps: what the store and the wire formats hold.
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// How large a step is: what they hold once for each series.
    pub const fn resolution(self) -> Resolution {
        self.resolution
    }

    /// The figure alone, as on the display, `12.345`: for columns whose head names the unit.
    pub fn decimal(self) -> String {
        let decimals = self.resolution.decimals;
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let places = usize::from(decimals.unsigned_abs());
        if decimals <= 0 {
            let zeros = if self.mantissa == 0 { 0 } else { places };
            return format!("{sign}{digits}{:0<zeros$}", "");
        }
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        format!("{sign}{whole}.{part}")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal())?;
        match self.resolution.unit.symbol() {
            "" => Ok(()),
            symbol => write!(f, " {symbol}"),
        }
    }
}

/// A text that writes down no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal number of at most 18 digits, such as 12.345")]
pub struct InvalidDecimal(String);

/// The smallest step of a register: fixed for a series, and written down with it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    decimals: i8,
    unit: Unit,
}

impl Resolution {
    /// Steps of 1 `unit` with `decimals` digits after the point; -1 counts in tens, as some
    /// electricity meters do.
    ///
    /// `None` beyond twelve digits either way: the longest display of an M-Bus meter has twelve.
    pub const fn new(decimals: i8, unit: Unit) -> Option<Self> {
        match decimals {
            -12..=12 => Some(Self { decimals, unit }),
            _ => None,
        }
    }

    /// Digits after the decimal point.
    pub const fn decimals(self) -> i8 {
        self.decimals
    }

    /// The unit on the display.
    pub const fn unit(self) -> Unit {
        self.unit
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::new(1, *self).fmt(f)
    }
}

macro_rules! units {
    ($($variant:ident $code:literal $symbol:literal $dimension:ident $size:literal,)*) => {
        /// The units that meters show.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each name is the unit's own")]
        #[non_exhaustive]
        pub enum Unit {
            $($variant,)*
            /// A unit that no table of ours has, by the code it came with: kept, never converted.
            Foreign(ForeignUnit),
        }

        impl Unit {
            /// As on the display; empty for a bare number.
            pub fn symbol(&self) -> &str {
                match self {
                    $(Self::$variant => $symbol,)*
                    Self::Foreign(unit) => unit.as_str(),
                }
            }

            /// As in the database, on the wire and in files: ASCII alone.
            pub fn code(&self) -> &str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Foreign(unit) => unit.as_str(),
                }
            }

            /// The unit with this code; one that we do not know is kept as it is.
            ///
            /// `None` if it is no code at all: empty, longer than 15 bytes or not of printable
            /// ASCII without spaces.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => ForeignUnit::new(code).map(Self::Foreign),
                }
            }

            /// What it measures, and how many of the dimension's smallest unit it is.
            ///
            /// Energy counts joules, because watt hours and gigajoules alike are whole numbers of
            /// them; power counts joules an hour, flow litres an hour, for the same reason.
            const fn size(self) -> Option<(Dimension, i128)> {
                match self {
                    $(Self::$variant => Some((Dimension::$dimension, $size)),)*
                    Self::Foreign(_) => None,
                }
            }

            /// Those that our tables have.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

units! {
    WattHour            "Wh"     "Wh"     Energy                3_600,
    KilowattHour        "kWh"    "kWh"    Energy                3_600_000,
    MegawattHour        "MWh"    "MWh"    Energy                3_600_000_000,
    GigawattHour        "GWh"    "GWh"    Energy                3_600_000_000_000,
    Joule               "J"      "J"      Energy                1,
    Kilojoule           "kJ"     "kJ"     Energy                1_000,
    Megajoule           "MJ"     "MJ"     Energy                1_000_000,
    Gigajoule           "GJ"     "GJ"     Energy                1_000_000_000,
    VarHour             "varh"   "varh"   ReactiveEnergy        1,
    KilovarHour         "kvarh"  "kvarh"  ReactiveEnergy        1_000,
    VoltAmpereHour      "VAh"    "VAh"    ApparentEnergy        1,
    KilovoltAmpereHour  "kVAh"   "kVAh"   ApparentEnergy        1_000,
    Watt                "W"      "W"      Power                 3_600,
    Kilowatt            "kW"     "kW"     Power                 3_600_000,
    Megawatt            "MW"     "MW"     Power                 3_600_000_000,
    JoulePerHour        "J/h"    "J/h"    Power                 1,
    GigajoulePerHour    "GJ/h"   "GJ/h"   Power                 1_000_000_000,
    Var                 "var"    "var"    ReactivePower         1,
    Kilovar             "kvar"   "kvar"   ReactivePower         1_000,
    VoltAmpere          "VA"     "VA"     ApparentPower         1,
    KilovoltAmpere      "kVA"    "kVA"    ApparentPower         1_000,
    Litre               "l"      "l"      Volume                1,
    CubicMetre          "m3"     "m³"     Volume                1_000,
    LitrePerHour        "l/h"    "l/h"    Flow                  1,
    LitrePerMinute      "l/min"  "l/min"  Flow                  60,
    CubicMetrePerHour   "m3/h"   "m³/h"   Flow                  1_000,
    CubicMetrePerMinute "m3/min" "m³/min" Flow                  60_000,
    CubicMetrePerSecond "m3/s"   "m³/s"   Flow                  3_600_000,
    Kilogram            "kg"     "kg"     Mass                  1,
    Tonne               "t"      "t"      Mass                  1_000,
    KilogramPerHour     "kg/h"   "kg/h"   MassFlow              1,
    Celsius             "C"      "°C"     Temperature           1,
    Kelvin              "K"      "K"      TemperatureDifference 1,
    Bar                 "bar"    "bar"    Pressure              1_000,
    Millibar            "mbar"   "mbar"   Pressure              1,
    Volt                "V"      "V"      Voltage               1_000,
    Millivolt           "mV"     "mV"     Voltage               1,
    Ampere              "A"      "A"      Current               1_000,
    Milliampere         "mA"     "mA"     Current               1,
    Hertz               "Hz"     "Hz"     Frequency             1,
    Percent             "%"      "%"      Share                 1,
    PartPerMillion      "ppm"    "ppm"    Concentration         1,
    Lux                 "lx"     "lx"     Illuminance           1,
    Degree              "deg"    "°"      Angle                 1,
    Second              "s"      "s"      Time                  1,
    Minute              "min"    "min"    Time                  60,
    Hour                "h"      "h"      Time                  3_600,
    Day                 "d"      "d"      Time                  86_400,
    DecibelMilliwatt    "dBm"    "dBm"    SignalLevel           1,
    HeatCostUnit        "hca"    "HCA"    HeatCost              1,
    One                 "1"      ""       Number                1,
}

impl Unit {
    /// What it measures; `None` for a unit that no table of ours has.
    pub const fn dimension(self) -> Option<Dimension> {
        match self.size() {
            Some((dimension, _)) => Some(dimension),
            None => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// The code of a unit that no table of ours has: `m3/pulse_in0`, `USgal/min`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ForeignUnit {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl ForeignUnit {
    fn new(code: &str) -> Option<Self> {
        let printable = code.bytes().all(|byte| byte.is_ascii_graphic());
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..code.len())?.copy_from_slice(code.as_bytes());
        let len = u8::try_from(code.len()).ok()?;
        (printable && len > 0).then_some(Self { bytes, len })
    }

    /// Its code.
    pub fn as_str(&self) -> &str {
        let written = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(written).unwrap_or_default()
    }

    const MAX_LEN: usize = 15;
}

impl fmt::Debug for ForeignUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a unit measures. Amounts of one dimension can be converted into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is the dimension's own")]
pub enum Dimension {
    Angle,
    ApparentEnergy,
    ApparentPower,
    Concentration,
    Current,
    Energy,
    Flow,
    Frequency,
    HeatCost,
    Illuminance,
    Mass,
    MassFlow,
    Number,
    Power,
    Pressure,
    ReactiveEnergy,
    ReactivePower,
    Share,
    SignalLevel,
    Temperature,
    TemperatureDifference,
    Time,
    Voltage,
    Volume,
}

/// Why an amount cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// A conversion that no factor can make.
    #[error("{0} and {1} do not measure the same thing")]
    Dimension(Unit, Unit),
    /// Two amounts that have to be converted first.
    #[error("steps of {0} and steps of {1} are not of one series")]
    Steps(Resolution, Resolution),
    /// More steps than an `i64` can count.
    #[error("the amount has too many digits for steps of {0}")]
    TooLarge(Resolution),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(mantissa: i64, decimals: i8, unit: Unit) -> Quantity {
        Quantity::new(mantissa, Resolution::new(decimals, unit).unwrap())
    }

    #[test]
    fn an_amount_is_shown_as_on_the_meter() {
        assert_eq!(amount(12_345, 3, Unit::Gigajoule).to_string(), "12.345 GJ");
        assert_eq!(amount(-20, 3, Unit::CubicMetre).to_string(), "-0.020 m³");
        assert_eq!(amount(5, 0, Unit::KilowattHour).to_string(), "5 kWh");
        assert_eq!(amount(2_272_138, -1, Unit::WattHour).to_string(), "22721380 Wh");
        assert_eq!(amount(0, -1, Unit::WattHour).to_string(), "0 Wh");
        assert_eq!(amount(998, 3, Unit::One).to_string(), "0.998");
    }

    #[test]
    fn a_coarser_telegram_is_scaled_up_and_a_finer_one_needs_a_new_series() {
        let series = amount(12_345, 3, Unit::Gigajoule).resolution();
        let scaled = |mantissa, decimals, unit| {
            amount(mantissa, decimals, unit).scaled_to(series).map(Quantity::mantissa)
        };
        assert_eq!(scaled(12_345, 3, Unit::Gigajoule), Some(12_345));
        assert_eq!(scaled(124, 1, Unit::Gigajoule), Some(12_400));
        assert_eq!(scaled(123_450, 4, Unit::Gigajoule), None, "finer, though it ends in zero");
        assert_eq!(scaled(12_345, 3, Unit::MegawattHour), None, "another unit");
        assert_eq!(scaled(i64::MAX, 1, Unit::Gigajoule), None, "too many digits");
    }

    #[test]
    fn a_year_of_tenths_adds_up() {
        let tenth = amount(1, 1, Unit::KilowattHour);
        let year = (1..35_040).try_fold(tenth, |sum, _| sum.plus(tenth)).unwrap();
        assert_eq!(year.to_string(), "3504.0 kWh");
    }

    #[test]
    fn what_was_used_is_the_later_value_less_the_earlier() {
        let (earlier, later) =
            (amount(98, 1, Unit::KilowattHour), amount(101, 1, Unit::KilowattHour));
        assert_eq!(later.since(earlier).unwrap().to_string(), "0.3 kWh");
    }

    #[test]
    fn two_series_are_not_subtracted() {
        let error = amount(1, 1, Unit::KilowattHour).since(amount(1, 0, Unit::KilowattHour));
        assert_eq!(
            error.unwrap_err().to_string(),
            "steps of 0.1 kWh and steps of 1 kWh are not of one series"
        );
    }

    #[track_caller]
    fn check(from: Quantity, decimals: i8, unit: Unit, expected: &str) {
        let shown = match from.converted(Resolution::new(decimals, unit).unwrap()) {
            Ok(converted) => converted.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_conversion_rounds_once_and_a_half_away_from_zero() {
        check(amount(12_345, 3, Unit::Gigajoule), 0, Unit::WattHour, "3429167 Wh");
        check(amount(12_345, 3, Unit::Gigajoule), 2, Unit::MegawattHour, "3.43 MWh");
        check(amount(15, 1, Unit::Litre), 0, Unit::Litre, "2 l");
        check(amount(14, 1, Unit::Litre), 0, Unit::Litre, "1 l");
        check(amount(-15, 1, Unit::Litre), 0, Unit::Litre, "-2 l");
        check(amount(7, 0, Unit::CubicMetre), 0, Unit::Litre, "7000 l");
        check(amount(36, 1, Unit::GigajoulePerHour), 0, Unit::Kilowatt, "1000 kW");
        check(amount(6, 1, Unit::CubicMetrePerHour), 0, Unit::LitrePerHour, "600 l/h");
    }

    #[test]
    fn a_conversion_that_cannot_be_made_says_why() {
        check(
            amount(1, 0, Unit::KilowattHour),
            0,
            Unit::Litre,
            "kWh and l do not measure the same thing",
        );
        check(
            amount(20, 0, Unit::Celsius),
            0,
            Unit::Kelvin,
            "°C and K do not measure the same thing",
        );
        check(
            amount(i64::MAX, 0, Unit::Gigajoule),
            12,
            Unit::WattHour,
            "the amount has too many digits for steps of 0.000000000001 Wh",
        );
    }

    #[test]
    fn every_code_is_ascii_and_names_one_unit() {
        for unit in Unit::ALL {
            assert!(unit.code().is_ascii());
            assert_eq!(Unit::from_code(unit.code()), Some(*unit));
        }
    }

    #[test]
    fn a_foreign_unit_is_kept_and_never_converted() {
        let gallon = Unit::from_code("gal/min").unwrap();
        assert_eq!(gallon.code(), "gal/min");
        check(amount(15, 1, gallon), 0, gallon, "2 gal/min");
        check(
            amount(15, 1, gallon),
            0,
            Unit::LitrePerHour,
            "gal/min and l/h do not measure the same thing",
        );
        for no_code in ["", "two words", "m³", "sixteen-bytes-on"] {
            assert_eq!(Unit::from_code(no_code), None, "{no_code}");
        }
    }

    #[test]
    fn a_decimal_text_keeps_its_decimals() {
        let read = |text| Quantity::from_decimal(text, Unit::KilowattHour).map(|it| it.to_string());
        assert_eq!(read("12.340").unwrap(), "12.340 kWh");
        assert_eq!(read("-0.5").unwrap(), "-0.5 kWh");
        for wrong in ["", "-", ".5", "5.", "1e3", "1.2.3", "+1", "1 2", "1234567890123456789"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            read("1,5").unwrap_err().to_string(),
            "`1,5` is not a decimal number of at most 18 digits, such as 12.345"
        );
    }

    proptest! {
        #[test]
        fn a_decimal_is_read_as_it_is_written(
            mantissa in -999_999_999_999_i64..=999_999_999_999,
            decimals in 0_i8..=12,
        ) {
            let shown = amount(mantissa, decimals, Unit::Bar);
            prop_assert_eq!(Quantity::from_decimal(&shown.decimal(), Unit::Bar), Ok(shown));
        }

        #[test]
        fn what_is_scaled_up_is_the_same_amount(
            mantissa in -1_000_000_000..1_000_000_000_i64,
            decimals in -3_i8..3,
            more in 0_i8..4,
        ) {
            let told = amount(mantissa, decimals, Unit::KilowattHour);
            let series = Resolution::new(decimals + more, Unit::KilowattHour).unwrap();
            let kept = told.scaled_to(series).unwrap();
            prop_assert_eq!(kept.converted(told.resolution()), Ok(told));
        }

        #[test]
        fn finer_steps_lose_nothing(mantissa in -1_000_000_000..1_000_000_000_i64) {
            let shown = amount(mantissa, 3, Unit::Gigajoule);
            let finer = Resolution::new(0, Unit::WattHour).unwrap();
            let back = shown.converted(finer).unwrap().converted(shown.resolution());
            prop_assert_eq!(back, Ok(shown));
        }
    }
}
