//! The tables of the standard: what each VIF means before its extensions.
//!
//! In the ranges, `n` is the low three bits of the code and `p` the low two; the power of ten is
//! told in them, as in the standard.
//!
//! Source: EN 13757-3, "primary VIFs", "first extension" (FB) and "second extension" (FD).

use super::Quantity as Q;
use super::Sort::{self, Bits, Date as DateSort, Number, Unsigned};

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) quantity: Q,
    /// Empty where there is none.
    pub(crate) unit: &'static str,
    pub(crate) exponent: i8,
    pub(crate) sort: Sort,
}

impl Meaning {
    pub(crate) const UNKNOWN: Self = plain(Q::Unknown);

    /// The primary table: the seven low bits of a VIF.
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
        0x00..=0x07 => number(Q::Energy, "Wh", n - 3),
        0x08..=0x0F => number(Q::Energy, "J", n),
        0x10..=0x17 => number(Q::Volume, "m3", n - 6),
        0x18..=0x1F => number(Q::Mass, "kg", n - 3),
        0x20..=0x23 => number(Q::OnTime, time(p), 0),
        0x24..=0x27 => number(Q::OperatingTime, time(p), 0),
        0x28..=0x2F => number(Q::Power, "W", n - 3),
        0x30..=0x37 => number(Q::Power, "J/h", n),
        0x38..=0x3F => number(Q::VolumeFlow, "m3/h", n - 6),
        0x40..=0x47 => number(Q::VolumeFlow, "m3/min", n - 7),
        0x48..=0x4F => number(Q::VolumeFlow, "m3/s", n - 9),
        0x50..=0x57 => number(Q::MassFlow, "kg/h", n - 3),
        0x58..=0x5B => number(Q::FlowTemperature, "C", p - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, "C", p - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, "K", p - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, "C", p - 3),
        0x68..=0x6B => number(Q::Pressure, "bar", p - 3),
        0x6C => date(Q::Date),
        0x6D => date(Q::DateTime),
        0x6E => number(Q::HeatCost, "hca", 0),
        0x70..=0x73 => number(Q::AveragingDuration, time(p), 0),
        0x74..=0x77 => number(Q::ActualityDuration, time(p), 0),
        0x78 => unsigned(Q::FabricationNumber, ""),
        0x79 => unsigned(Q::Identification, ""),
        0x7A => unsigned(Q::BusAddress, ""),
        0x7C => plain(Q::PlainText),
        0x7E => plain(Q::Any),
        0x7F => plain(Q::ManufacturerSpecific),
        _ => Meaning::UNKNOWN,
    }
}

const fn fd(code: u8) -> Meaning {
    let p = p(code);
    let low = (code & 0b1111).cast_signed();
    match code {
        0x00..=0x03 => number(Q::Credit, "currency", p - 3),
        0x04..=0x07 => number(Q::Debit, "currency", p - 3),
        0x08 => unsigned(Q::AccessNumber, ""),
        0x09 => unsigned(Q::Medium, ""),
        0x0A => unsigned(Q::Manufacturer, ""),
        0x0B => unsigned(Q::ParameterSet, ""),
        0x0C => unsigned(Q::ModelVersion, ""),
        0x0D => unsigned(Q::HardwareVersion, ""),
        0x0E => unsigned(Q::FirmwareVersion, ""),
        0x0F => unsigned(Q::SoftwareVersion, ""),
        0x10 => unsigned(Q::CustomerLocation, ""),
        0x11 => unsigned(Q::Customer, ""),
        0x12 => unsigned(Q::AccessCodeUser, ""),
        0x13 => unsigned(Q::AccessCodeOperator, ""),
        0x14 => unsigned(Q::AccessCodeSystemOperator, ""),
        0x15 => unsigned(Q::AccessCodeDeveloper, ""),
        0x16 => unsigned(Q::Password, ""),
        0x17 => bits(Q::ErrorFlags),
        0x18 => bits(Q::ErrorMask),
        0x1A => bits(Q::DigitalOutput),
        0x1B => bits(Q::DigitalInput),
        0x1C => unsigned(Q::BaudRate, "Bd"),
        0x1D => unsigned(Q::ResponseDelay, "bittime"),
        0x1E => unsigned(Q::Retry, ""),
        0x20 => unsigned(Q::FirstStorageNumber, ""),
        0x21 => unsigned(Q::LastStorageNumber, ""),
        0x22 => unsigned(Q::StorageBlockSize, ""),
        0x24..=0x27 => number(Q::StorageInterval, time(p), 0),
        0x28 => number(Q::StorageInterval, "month", 0),
        0x29 => number(Q::StorageInterval, "a", 0),
        0x2C..=0x2F => number(Q::SinceLastReadout, time(p), 0),
        0x30 => date(Q::TariffStart),
        0x31..=0x33 => number(Q::TariffDuration, time(p), 0),
        0x34..=0x37 => number(Q::TariffPeriod, time(p), 0),
        0x38 => number(Q::TariffPeriod, "month", 0),
        0x39 => number(Q::TariffPeriod, "a", 0),
        0x3A => plain(Q::Dimensionless),
        0x40..=0x4F => number(Q::Voltage, "V", low - 9),
        0x50..=0x5F => number(Q::Current, "A", low - 12),
        0x60 => unsigned(Q::ResetCounter, ""),
        0x61 => unsigned(Q::CumulationCounter, ""),
        0x62 => unsigned(Q::ControlSignal, ""),
        0x63 => unsigned(Q::DayOfWeek, ""),
        0x64 => unsigned(Q::WeekNumber, ""),
        0x65 => plain(Q::TimeOfDayChange),
        0x66 => plain(Q::ParameterActivation),
        0x67 => plain(Q::SupplierInformation),
        0x68..=0x6B => number(Q::SinceLastCumulation, long_time(p), 0),
        0x6C..=0x6F => number(Q::BatteryOperatingTime, long_time(p), 0),
        0x70 => date(Q::BatteryChange),
        0x71 => number(Q::RfLevel, "dBm", 0),
        0x74 => number(Q::BatteryRemaining, "d", 0),
        _ => Meaning::UNKNOWN,
    }
}

const fn fb(code: u8) -> Meaning {
    let (n, p) = (n(code), p(code));
    let lowest = n & 1;
    match code {
        0x00..=0x01 => number(Q::Energy, "Wh", lowest + 5),
        0x02..=0x03 => number(Q::ReactiveEnergy, "varh", lowest + 3),
        0x04..=0x05 => number(Q::ApparentEnergy, "VAh", lowest + 3),
        0x08..=0x09 => number(Q::Energy, "J", lowest + 8),
        0x0C..=0x0F => number(Q::Energy, "cal", p + 5),
        0x10..=0x11 => number(Q::Volume, "m3", lowest + 2),
        0x14..=0x17 => number(Q::ReactivePower, "var", p),
        0x18..=0x19 => number(Q::Mass, "kg", lowest + 5),
        0x1A..=0x1B => number(Q::RelativeHumidity, "%", lowest - 1),
        0x20 => number(Q::Volume, "ft3", 0),
        0x21 => number(Q::Volume, "ft3", -1),
        0x22 => number(Q::Volume, "gal", -1),
        0x23 => number(Q::Volume, "gal", 0),
        0x24 => number(Q::VolumeFlow, "gal/min", -3),
        0x25 => number(Q::VolumeFlow, "gal/min", 0),
        0x26 => number(Q::VolumeFlow, "gal/h", 0),
        0x28..=0x29 => number(Q::Power, "W", lowest + 5),
        0x2A => number(Q::PhaseUU, "deg", -1),
        0x2B => number(Q::PhaseUI, "deg", -1),
        0x2C..=0x2F => number(Q::Frequency, "Hz", p - 3),
        0x30..=0x31 => number(Q::Power, "J/h", lowest + 8),
        0x34..=0x37 => number(Q::ApparentPower, "VA", p),
        0x58..=0x5B => number(Q::FlowTemperature, "F", p - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, "F", p - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, "F", p - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, "F", p - 3),
        0x70..=0x73 => number(Q::TemperatureLimit, "F", p - 3),
        0x74..=0x77 => number(Q::TemperatureLimit, "C", p - 3),
        0x78..=0x7F => number(Q::MaximumPowerCumulated, "W", n - 3),
        _ => Meaning::UNKNOWN,
    }
}

const fn number(quantity: Q, unit: &'static str, exponent: i8) -> Meaning {
    Meaning { quantity, unit, exponent, sort: Number }
}

const fn plain(quantity: Q) -> Meaning {
    number(quantity, "", 0)
}

const fn unsigned(quantity: Q, unit: &'static str) -> Meaning {
    Meaning { quantity, unit, exponent: 0, sort: Unsigned }
}

const fn bits(quantity: Q) -> Meaning {
    Meaning { quantity, unit: "", exponent: 0, sort: Bits }
}

const fn date(quantity: Q) -> Meaning {
    Meaning { quantity, unit: "", exponent: 0, sort: DateSort }
}

/// Seconds, minutes, hours or days.
pub(super) const fn time(p: i8) -> &'static str {
    match p {
        0 => "s",
        1 => "min",
        2 => "h",
        _ => "d",
    }
}

/// Hours, days, months or years.
const fn long_time(p: i8) -> &'static str {
    match p {
        0 => "h",
        1 => "d",
        2 => "month",
        _ => "a",
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

fn look_up(table: &[Meaning; 128], code: u8) -> Meaning {
    table.get(usize::from(code & 0x7F)).copied().unwrap_or(Meaning::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(meaning: Meaning, quantity: Q, unit: &str, exponent: i8) {
        assert_eq!((meaning.quantity, meaning.unit, meaning.exponent), (quantity, unit, exponent));
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
