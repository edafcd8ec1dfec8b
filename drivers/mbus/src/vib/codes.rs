//! The tables of the standard: what each VIF means before its extensions.
//!
//! In the ranges, `n` is the low three bits of the code and `p` the low two; the power of ten is
//! told in them, as in the standard.
//!
//! Source: EN 13757-3, "primary VIFs", "first extension" (FB) and "second extension" (FD).

use self::Symbol as S;
use super::Quantity as Q;
use super::Sort::{self, Bits, Date as DateSort, Number, Unsigned};

/// What a code means: four bytes, so that the tables stay near the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) quantity: Q,
    pub(crate) unit: Symbol,
    pub(crate) exponent: i8,
    pub(crate) sort: Sort,
}

macro_rules! symbols {
    ($($(#[$doc:meta])* $variant:ident $text:literal)*) => {
        /// A unit of the tables, or none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Symbol { $($(#[$doc])* $variant),* }

        impl Symbol {
            /// Empty where there is none, and where the meter names it.
            #[inline]
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

symbols! {
    None ""
    /// A text of the meter's own.
    Text ""
    WattHour "Wh"
    Joule "J"
    Calorie "cal"
    VarHour "varh"
    VoltAmpereHour "VAh"
    CubicMetre "m3"
    CubicFoot "ft3"
    Gallon "gal"
    Kilogram "kg"
    Second "s"
    Minute "min"
    Hour "h"
    Day "d"
    Month "month"
    Year "a"
    Watt "W"
    JoulePerHour "J/h"
    Var "var"
    VoltAmpere "VA"
    CubicMetrePerHour "m3/h"
    CubicMetrePerMinute "m3/min"
    CubicMetrePerSecond "m3/s"
    GallonPerMinute "gal/min"
    GallonPerHour "gal/h"
    KilogramPerHour "kg/h"
    Celsius "C"
    Fahrenheit "F"
    Kelvin "K"
    Bar "bar"
    HeatCost "hca"
    Currency "currency"
    Baud "Bd"
    BitTime "bittime"
    Volt "V"
    Ampere "A"
    DecibelMilliwatt "dBm"
    Percent "%"
    Degree "deg"
    Hertz "Hz"
}

impl Meaning {
    pub(crate) const UNKNOWN: Self = plain(Q::Unknown);

    /// The primary table: the seven low bits of a VIF.
    #[inline]
    pub(crate) fn primary(code: u8) -> Self {
        look_up(&PRIMARY, code)
    }

    /// The table behind FB.
    pub(crate) fn fb(code: u8) -> Self {
        look_up(&FB, code)
    }

    /// The table behind FD.
    pub(crate) fn fd(code: u8) -> Self {
        look_up(&FD, code)
    }
}

const fn primary(code: u8) -> Meaning {
    let (n, p) = (n(code), p(code));
    match code {
        0x00..=0x07 => number(Q::Energy, S::WattHour, n - 3),
        0x08..=0x0F => number(Q::Energy, S::Joule, n),
        0x10..=0x17 => number(Q::Volume, S::CubicMetre, n - 6),
        0x18..=0x1F => number(Q::Mass, S::Kilogram, n - 3),
        0x20..=0x23 => number(Q::OnTime, time(p), 0),
        0x24..=0x27 => number(Q::OperatingTime, time(p), 0),
        0x28..=0x2F => number(Q::Power, S::Watt, n - 3),
        0x30..=0x37 => number(Q::Power, S::JoulePerHour, n),
        0x38..=0x3F => number(Q::VolumeFlow, S::CubicMetrePerHour, n - 6),
        0x40..=0x47 => number(Q::VolumeFlow, S::CubicMetrePerMinute, n - 7),
        0x48..=0x4F => number(Q::VolumeFlow, S::CubicMetrePerSecond, n - 9),
        0x50..=0x57 => number(Q::MassFlow, S::KilogramPerHour, n - 3),
        0x58..=0x5B => number(Q::FlowTemperature, S::Celsius, p - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, S::Celsius, p - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, S::Kelvin, p - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, S::Celsius, p - 3),
        0x68..=0x6B => number(Q::Pressure, S::Bar, p - 3),
        0x6C => date(Q::Date),
        0x6D => date(Q::DateTime),
        0x6E => number(Q::HeatCost, S::HeatCost, 0),
        0x70..=0x73 => number(Q::AveragingDuration, time(p), 0),
        0x74..=0x77 => number(Q::ActualityDuration, time(p), 0),
        0x78 => unsigned(Q::FabricationNumber, S::None),
        0x79 => unsigned(Q::Identification, S::None),
        0x7A => unsigned(Q::BusAddress, S::None),
        0x7C => number(Q::PlainText, S::Text, 0),
        0x7E => plain(Q::Any),
        0x7F => plain(Q::ManufacturerSpecific),
        _ => Meaning::UNKNOWN,
    }
}

const fn fd(code: u8) -> Meaning {
    let p = p(code);
    let low = (code & 0b1111).cast_signed();
    match code {
        0x00..=0x03 => number(Q::Credit, S::Currency, p - 3),
        0x04..=0x07 => number(Q::Debit, S::Currency, p - 3),
        0x08 => unsigned(Q::AccessNumber, S::None),
        0x09 => unsigned(Q::Medium, S::None),
        0x0A => unsigned(Q::Manufacturer, S::None),
        0x0B => unsigned(Q::ParameterSet, S::None),
        0x0C => unsigned(Q::ModelVersion, S::None),
        0x0D => unsigned(Q::HardwareVersion, S::None),
        0x0E => unsigned(Q::FirmwareVersion, S::None),
        0x0F => unsigned(Q::SoftwareVersion, S::None),
        0x10 => unsigned(Q::CustomerLocation, S::None),
        0x11 => unsigned(Q::Customer, S::None),
        0x12 => unsigned(Q::AccessCodeUser, S::None),
        0x13 => unsigned(Q::AccessCodeOperator, S::None),
        0x14 => unsigned(Q::AccessCodeSystemOperator, S::None),
        0x15 => unsigned(Q::AccessCodeDeveloper, S::None),
        0x16 => unsigned(Q::Password, S::None),
        0x17 => bits(Q::ErrorFlags),
        0x18 => bits(Q::ErrorMask),
        0x1A => bits(Q::DigitalOutput),
        0x1B => bits(Q::DigitalInput),
        0x1C => unsigned(Q::BaudRate, S::Baud),
        0x1D => unsigned(Q::ResponseDelay, S::BitTime),
        0x1E => unsigned(Q::Retry, S::None),
        0x20 => unsigned(Q::FirstStorageNumber, S::None),
        0x21 => unsigned(Q::LastStorageNumber, S::None),
        0x22 => unsigned(Q::StorageBlockSize, S::None),
        0x24..=0x27 => number(Q::StorageInterval, time(p), 0),
        0x28 => number(Q::StorageInterval, S::Month, 0),
        0x29 => number(Q::StorageInterval, S::Year, 0),
        0x2C..=0x2F => number(Q::SinceLastReadout, time(p), 0),
        0x30 => date(Q::TariffStart),
        0x31..=0x33 => number(Q::TariffDuration, time(p), 0),
        0x34..=0x37 => number(Q::TariffPeriod, time(p), 0),
        0x38 => number(Q::TariffPeriod, S::Month, 0),
        0x39 => number(Q::TariffPeriod, S::Year, 0),
        0x3A => plain(Q::Dimensionless),
        0x40..=0x4F => number(Q::Voltage, S::Volt, low - 9),
        0x50..=0x5F => number(Q::Current, S::Ampere, low - 12),
        0x60 => unsigned(Q::ResetCounter, S::None),
        0x61 => unsigned(Q::CumulationCounter, S::None),
        0x62 => unsigned(Q::ControlSignal, S::None),
        0x63 => unsigned(Q::DayOfWeek, S::None),
        0x64 => unsigned(Q::WeekNumber, S::None),
        0x65 => plain(Q::TimeOfDayChange),
        0x66 => plain(Q::ParameterActivation),
        0x67 => plain(Q::SupplierInformation),
        0x68..=0x6B => number(Q::SinceLastCumulation, long_time(p), 0),
        0x6C..=0x6F => number(Q::BatteryOperatingTime, long_time(p), 0),
        0x70 => date(Q::BatteryChange),
        0x71 => number(Q::RfLevel, S::DecibelMilliwatt, 0),
        0x74 => number(Q::BatteryRemaining, S::Day, 0),
        _ => Meaning::UNKNOWN,
    }
}

const fn fb(code: u8) -> Meaning {
    let (n, p) = (n(code), p(code));
    let lowest = n & 1;
    match code {
        0x00..=0x01 => number(Q::Energy, S::WattHour, lowest + 5),
        0x02..=0x03 => number(Q::ReactiveEnergy, S::VarHour, lowest + 3),
        0x04..=0x05 => number(Q::ApparentEnergy, S::VoltAmpereHour, lowest + 3),
        0x08..=0x09 => number(Q::Energy, S::Joule, lowest + 8),
        0x0C..=0x0F => number(Q::Energy, S::Calorie, p + 5),
        0x10..=0x11 => number(Q::Volume, S::CubicMetre, lowest + 2),
        0x14..=0x17 => number(Q::ReactivePower, S::Var, p),
        0x18..=0x19 => number(Q::Mass, S::Kilogram, lowest + 5),
        0x1A..=0x1B => number(Q::RelativeHumidity, S::Percent, lowest - 1),
        0x20 => number(Q::Volume, S::CubicFoot, 0),
        0x21 => number(Q::Volume, S::CubicFoot, -1),
        0x22 => number(Q::Volume, S::Gallon, -1),
        0x23 => number(Q::Volume, S::Gallon, 0),
        0x24 => number(Q::VolumeFlow, S::GallonPerMinute, -3),
        0x25 => number(Q::VolumeFlow, S::GallonPerMinute, 0),
        0x26 => number(Q::VolumeFlow, S::GallonPerHour, 0),
        0x28..=0x29 => number(Q::Power, S::Watt, lowest + 5),
        0x2A => number(Q::PhaseUU, S::Degree, -1),
        0x2B => number(Q::PhaseUI, S::Degree, -1),
        0x2C..=0x2F => number(Q::Frequency, S::Hertz, p - 3),
        0x30..=0x31 => number(Q::Power, S::JoulePerHour, lowest + 8),
        0x34..=0x37 => number(Q::ApparentPower, S::VoltAmpere, p),
        0x58..=0x5B => number(Q::FlowTemperature, S::Fahrenheit, p - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, S::Fahrenheit, p - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, S::Fahrenheit, p - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, S::Fahrenheit, p - 3),
        0x70..=0x73 => number(Q::TemperatureLimit, S::Fahrenheit, p - 3),
        0x74..=0x77 => number(Q::TemperatureLimit, S::Celsius, p - 3),
        0x78..=0x7F => number(Q::MaximumPowerCumulated, S::Watt, n - 3),
        _ => Meaning::UNKNOWN,
    }
}

const fn number(quantity: Q, unit: Symbol, exponent: i8) -> Meaning {
    Meaning { quantity, unit, exponent, sort: Number }
}

const fn plain(quantity: Q) -> Meaning {
    number(quantity, S::None, 0)
}

const fn unsigned(quantity: Q, unit: Symbol) -> Meaning {
    Meaning { quantity, unit, exponent: 0, sort: Unsigned }
}

const fn bits(quantity: Q) -> Meaning {
    Meaning { quantity, unit: S::None, exponent: 0, sort: Bits }
}

const fn date(quantity: Q) -> Meaning {
    Meaning { quantity, unit: S::None, exponent: 0, sort: DateSort }
}

/// Seconds, minutes, hours or days.
pub(super) const fn time(p: i8) -> Symbol {
    match p {
        0 => S::Second,
        1 => S::Minute,
        2 => S::Hour,
        _ => S::Day,
    }
}

/// Hours, days, months or years.
const fn long_time(p: i8) -> Symbol {
    match p {
        0 => S::Hour,
        1 => S::Day,
        2 => S::Month,
        _ => S::Year,
    }
}

const fn n(code: u8) -> i8 {
    (code & 0b111).cast_signed()
}

const fn p(code: u8) -> i8 {
    (code & 0b11).cast_signed()
}

static PRIMARY: [Meaning; 128] = table!(primary);
static FB: [Meaning; 128] = table!(fb);
static FD: [Meaning; 128] = table!(fd);

/// All 128 codes of a function, computed by the compiler.
macro_rules! table {
    ($of:ident) => {{
        let mut table = [$of(0); 128];
        let mut code = 0_u8;
        while code < 128 {
            #[expect(clippy::indexing_slicing, reason = "the compiler computes it, below 128")]
            {
                table[code as usize] = $of(code);
            }
            code += 1;
        }
        table
    }};
}
pub(super) use table;

#[inline]
fn look_up(table: &[Meaning; 128], code: u8) -> Meaning {
    table.get(usize::from(code & 0x7F)).copied().unwrap_or(Meaning::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(meaning: Meaning, quantity: Q, unit: &str, exponent: i8) {
        assert_eq!(
            (meaning.quantity, meaning.unit.as_str(), meaning.exponent),
            (quantity, unit, exponent)
        );
    }

    #[test]
    fn both_ends_of_ranges() {
        check(Meaning::primary(0x00), Q::Energy, "Wh", -3);
        check(Meaning::primary(0x07), Q::Energy, "Wh", 4);
        check(Meaning::primary(0x4F), Q::VolumeFlow, "m3/s", -2);
        check(Meaning::primary(0x67), Q::ExternalTemperature, "C", 0);
        check(Meaning::fb(0x01), Q::Energy, "Wh", 6);
        check(Meaning::fb(0x1A), Q::RelativeHumidity, "%", -1);
        check(Meaning::fb(0x7F), Q::MaximumPowerCumulated, "W", 4);
        check(Meaning::fd(0x40), Q::Voltage, "V", -9);
        check(Meaning::fd(0x5F), Q::Current, "A", 3);
        check(Meaning::fd(0x6B), Q::SinceLastCumulation, "a", 0);
    }

    #[test]
    fn what_is_reserved_is_unknown() {
        for code in [0x6F, 0x7B, 0x7D] {
            assert_eq!(Meaning::primary(code), Meaning::UNKNOWN);
        }
        assert_eq!(Meaning::fd(0x19), Meaning::UNKNOWN);
        assert_eq!(Meaning::fb(0x50), Meaning::UNKNOWN);
    }
}
