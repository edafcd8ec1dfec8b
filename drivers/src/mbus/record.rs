//! From a record of a telegram to a register and its number.
//!
//! A record says what it is, so this needs no profile:
//!
//! ```text
//! 84 10 06  39 30 00 00     storage 0, tariff 1, 10³ Wh, 12345     energy_t1 = 12345 kWh
//! 04 FF 12  …               the maker's own                        manufacturer_specific_…
//! ```
//!
//! | Of the record             | Becomes                                                  |
//! |---------------------------|----------------------------------------------------------|
//! | quantity of the VIF       | quantity; `vif_fd3a` where no table has it                |
//! | storage, tariff, function | the same                                                  |
//! | VIFE "positive only", "negative only" of electricity | direction                      |
//! | VIFE "phase L1" …         | phase                                                     |
//! | other VIFEs, subunit      | role                                                      |
//!
//! The unit is that of a display, the same for all powers of ten of one VIF, so that a meter that
//! changes its power of ten stays in one series: watt hours are told in kWh, joules in GJ.
//!
//! What describes the device (its numbers, versions and passwords), dates and texts are no
//! readings.

use ::mbus::{Modifier, Number, Quantity as Kind, Record};
use metering::{Direction, Function, Name, NoReading, Phase, Quantity, Register, Resolution, Unit};

use crate::OddKind;

/// What a record is, without a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) register: Register,
    /// `None` for what is not a number of the meter's: a date, a text, a version.
    pub(crate) number: Option<Result<Told, NoReading>>,
}

/// A number with the unit of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    number: Number,
    display: Display,
}

/// The unit of a display, and how many tens of the record's unit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Display {
    unit: Unit,
    tens: i8,
    /// No VIF says the unit: the record has none, or a text of the meter's own.
    is_open: bool,
}

impl Told {
    /// As the display shows it, in the unit of the VIF.
    ///
    /// A float is rounded once, to `decimals` or to the third digit behind the point of the
    /// number as it was sent.
    pub(crate) fn quantity(self, decimals: Option<i8>) -> Result<Quantity, NoReading> {
        self.shown(self.display, decimals)
    }

    /// In `unit`, if no more than the point has to be moved for it, or if no VIF says another;
    /// else as [`Self::quantity`].
    pub(crate) fn quantity_in(
        self,
        unit: Unit,
        decimals: Option<i8>,
    ) -> Result<Quantity, NoReading> {
        let tens =
            if self.display.is_open { Some(0) } else { tens_between(self.display.unit, unit) };
        let tens = tens.map(|tens| self.display.tens.saturating_add(tens));
        let display = tens.map(|tens| Display { unit, tens, is_open: false });
        self.shown(display.unwrap_or(self.display), decimals)
    }

    fn shown(self, display: Display, wanted: Option<i8>) -> Result<Quantity, NoReading> {
        let exponent = self.number.exponent().saturating_sub(display.tens);
        let own = exponent.saturating_neg();
        let decimals = match self.number {
            // Never coarser than it was sent; a coarser series is the store's business.
            Number::Integer { .. } => wanted.unwrap_or(own).max(own),
            Number::Real { .. } => wanted.unwrap_or_else(|| own.saturating_add(REAL_DECIMALS)),
        };
        let decimals = decimals.clamp(-12, 12);
        // Rounded in the record's unit, whose steps are larger or smaller by `tens`.
        let steps = self.number.rounded(decimals.saturating_sub(display.tens));
        let resolution = Resolution::new(decimals, display.unit);
        match (steps, resolution) {
            (Some(steps), Some(resolution)) => Ok(Quantity::new(steps, resolution)),
            _ => Err(NoReading::TooLarge),
        }
    }
}

/// What `record` says, of a meter whose header tells `medium`.
pub(crate) fn said(record: &Record<'_>, medium: u8) -> Said {
    let register = register(record, medium);
    let kind = record.vib.quantity;
    let number =
        (record.data_type().is_number() && !describes_device(kind)).then(|| match record.value() {
            Ok(value) => match value.number() {
                Some(number) => Ok(Told { number, display: display(record) }),
                None => Err(NoReading::Invalid),
            },
            Err(_) => Err(NoReading::Invalid),
        });
    Said { register, number }
}

/// A text for what is no reading: a date, a version, or what is wrong with the record.
pub(crate) fn note(record: &Record<'_>) -> (OddKind, String) {
    if is_secret(record.vib.quantity) {
        return (OddKind::Secret, "not shown".to_owned());
    }
    let (kind, text) = match record.value() {
        Ok(value) => (OddKind::Value, value.to_string()),
        Err(invalid) => (OddKind::Invalid, invalid.to_string()),
    };
    // The meter's own text, which may hold anything.
    (kind, text.chars().filter(|it| !it.is_control()).take(MAX_NOTE).collect())
}

fn register(record: &Record<'_>, medium: u8) -> Register {
    let mut direction = None;
    let mut phase = None;
    let mut role: Vec<String> = Vec::new();
    if record.vib.quantity == Kind::PlainText {
        role.extend(words(&record.vib.unit.to_string()));
    }
    for modifier in record.vib.modifiers() {
        match modifier {
            Modifier::POSITIVE_ONLY if medium == ELECTRICITY => direction = Some(Direction::Import),
            Modifier::NEGATIVE_ONLY if medium == ELECTRICITY => direction = Some(Direction::Export),
            Modifier::PHASE_L1 => phase = Some(Phase::L1),
            Modifier::PHASE_L2 => phase = Some(Phase::L2),
            Modifier::PHASE_L3 => phase = Some(Phase::L3),
            other => {
                let said = other.to_string();
                // A factor is in the number, an error in its absence, and no error says nothing.
                if !said.starts_with("factor:") && !said.starts_with("record_error:") {
                    role.extend(words(&said));
                }
            }
        }
    }
    if record.dib.subunit.get() != 0 {
        role.push(format!("subunit_{}", record.dib.subunit.get()));
    }
    let plain = Register {
        direction,
        phase,
        tariff: u32::try_from(record.dib.tariff.get()).unwrap_or(u32::MAX),
        storage: record.dib.storage.get(),
        function: match record.dib.function {
            ::mbus::Function::Instantaneous => Function::Instantaneous,
            ::mbus::Function::Maximum => Function::Maximum,
            ::mbus::Function::Minimum => Function::Minimum,
            ::mbus::Function::DuringError => Function::DuringError,
        },
        ..Register::new(quantity(record))
    };
    if role.is_empty() {
        return plain;
    }
    // A chain of VIFEs that makes too long a name, or a meter's own text that reads like another
    // part of one, is told by its bytes.
    [role.join("_").parse().ok(), hex(record)]
        .into_iter()
        .flatten()
        .map(|role| Register { role: Some(role), ..plain.clone() })
        .find(Register::is_canonical)
        .unwrap_or(plain)
}

/// The name of what is counted; the bytes of its VIF where no table has it.
fn quantity(record: &Record<'_>) -> Name {
    let name = match record.vib.quantity {
        Kind::Unknown => hex(record),
        known => known.as_str().parse().ok(),
    };
    name.unwrap_or_else(|| Name::clone(&UNKNOWN))
}

/// `vif_fd3a`: the VIF and, behind an extension, the byte that says which.
fn hex(record: &Record<'_>) -> Option<Name> {
    let mut bytes = record.vib.bytes().iter().map(|byte| byte & 0x7F);
    let first = bytes.next().unwrap_or_default();
    let text = match (first, bytes.next()) {
        (0x7B | 0x7D, Some(second)) => format!("vif_{:02x}{second:02x}", first | 0x80),
        (first, _) => format!("vif_{first:02x}"),
    };
    text.parse().ok()
}

static UNKNOWN: std::sync::LazyLock<Name> = std::sync::LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "it is a word of small letters")]
    "unknown".parse().expect("a name")
});

/// Words of small letters and digits out of any text.
fn words(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|it: char| !it.is_ascii_lowercase() && !it.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join("_"))
}

/// The unit of a display for the unit of a VIF.
fn display(record: &Record<'_>) -> Display {
    let as_is = |unit| Display { unit, tens: 0, is_open: false };
    let scaled = |unit, tens| Display { unit, tens, is_open: false };
    if record.vib.unit.is_none() {
        return Display { is_open: true, ..as_is(Unit::One) };
    }
    if record.vib.modifiers().any(|it| it == Modifier::NON_METRIC) {
        // Of the American table, where a volume is in gallons: whatever it is, it is not in this.
        return as_is(Unit::from_code("non-metric").unwrap_or(Unit::One));
    }
    let large = matches!(record.vib.bytes(), [0xFB, ..]);
    match record.vib.unit.as_str() {
        Some("Wh") if large => scaled(Unit::MegawattHour, 6),
        Some("Wh") => scaled(Unit::KilowattHour, 3),
        Some("J") => scaled(Unit::Gigajoule, 9),
        Some("W") if large => scaled(Unit::Megawatt, 6),
        Some("W") => scaled(Unit::Kilowatt, 3),
        Some("J/h") => scaled(Unit::GigajoulePerHour, 9),
        Some("kg") if large => scaled(Unit::Tonne, 3),
        Some("varh") => scaled(Unit::KilovarHour, 3),
        Some("VAh") => scaled(Unit::KilovoltAmpereHour, 3),
        Some("var") => scaled(Unit::Kilovar, 3),
        Some("VA") => scaled(Unit::KilovoltAmpere, 3),
        _ => {
            let text: String = record.vib.unit.to_string().split_whitespace().collect();
            // A meter's own text may be no unit, or more of one than a unit has room for.
            let code: String = text.chars().filter(char::is_ascii_graphic).take(15).collect();
            let is_open = record.vib.quantity == Kind::PlainText;
            Display { is_open, ..as_is(Unit::from_code(&code).unwrap_or(Unit::One)) }
        }
    }
}

/// How many tens `from` the unit `to` is, where the two differ by a power of ten alone.
///
/// Meters tell reactive and apparent power as watts, in a subunit of their own, because the first
/// tables had no VIF for it. A profile that says `kvar` of such a record knows better.
fn tens_between(from: Unit, to: Unit) -> Option<i8> {
    const WATT_HOURS: u8 = 0;
    const WATTS: u8 = 2;
    const VAR_HOURS: u8 = 6;
    const VARS: u8 = 7;
    const VOLT_AMPERES: u8 = 8;
    const VOLT_AMPERE_HOURS: u8 = 9;
    let size = |unit| match unit {
        Unit::WattHour => Some((WATT_HOURS, 0)),
        Unit::KilowattHour => Some((WATT_HOURS, 3)),
        Unit::MegawattHour => Some((WATT_HOURS, 6)),
        Unit::GigawattHour => Some((WATT_HOURS, 9)),
        Unit::Joule => Some((1, 0)),
        Unit::Kilojoule => Some((1, 3)),
        Unit::Megajoule => Some((1, 6)),
        Unit::Gigajoule => Some((1, 9)),
        Unit::Watt => Some((WATTS, 0)),
        Unit::Kilowatt => Some((WATTS, 3)),
        Unit::Megawatt => Some((WATTS, 6)),
        Unit::Litre => Some((3, 0)),
        Unit::CubicMetre => Some((3, 3)),
        Unit::LitrePerHour => Some((4, 0)),
        Unit::CubicMetrePerHour => Some((4, 3)),
        Unit::Kilogram => Some((5, 0)),
        Unit::Tonne => Some((5, 3)),
        Unit::VarHour => Some((VAR_HOURS, 0)),
        Unit::KilovarHour => Some((VAR_HOURS, 3)),
        Unit::Var => Some((VARS, 0)),
        Unit::Kilovar => Some((VARS, 3)),
        Unit::VoltAmpere => Some((VOLT_AMPERES, 0)),
        Unit::KilovoltAmpere => Some((VOLT_AMPERES, 3)),
        Unit::KilovoltAmpereHour => Some((VOLT_AMPERE_HOURS, 3)),
        _ => None,
    };
    match (size(from), size(to)) {
        _ if from == to => Some(0),
        (Some((family, from)), Some((other, to))) if family == other => Some(to - from),
        (Some((WATT_HOURS, from)), Some((VAR_HOURS | VOLT_AMPERE_HOURS, to)))
        | (Some((WATTS, from)), Some((VARS | VOLT_AMPERES, to))) => Some(to - from),
        _ => None,
    }
}

/// What a number says about the device rather than about what it measures.
const fn describes_device(kind: Kind) -> bool {
    is_secret(kind)
        || matches!(
            kind,
            Kind::FabricationNumber
                | Kind::Identification
                | Kind::BusAddress
                | Kind::Any
                | Kind::AccessNumber
                | Kind::Medium
                | Kind::Manufacturer
                | Kind::ParameterSet
                | Kind::ModelVersion
                | Kind::HardwareVersion
                | Kind::FirmwareVersion
                | Kind::SoftwareVersion
                | Kind::CustomerLocation
                | Kind::Customer
                | Kind::ErrorMask
                | Kind::BaudRate
                | Kind::ResponseDelay
                | Kind::Retry
                | Kind::FirstStorageNumber
                | Kind::LastStorageNumber
                | Kind::StorageBlockSize
                | Kind::StorageInterval
                | Kind::GlobalReadout
        )
}

const fn is_secret(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Password
            | Kind::AccessCodeUser
            | Kind::AccessCodeOperator
            | Kind::AccessCodeSystemOperator
            | Kind::AccessCodeDeveloper
    )
}

/// The medium byte of an electricity meter.
const ELECTRICITY: u8 = 2;
/// A float of 32 bits has seven digits, of which a flow or a power uses four or five.
const REAL_DECIMALS: i8 = 3;
/// Of a text of the meter's own.
const MAX_NOTE: usize = 120;

#[cfg(test)]
mod tests {
    use ::mbus::{ByteOrder, Reader};

    use super::*;

    #[track_caller]
    fn check(medium: u8, hex: &str, expected: &str) {
        let bytes: Vec<u8> =
            hex.split_whitespace().map(|it| u8::from_str_radix(it, 16).unwrap()).collect();
        let record = Record::read(&mut Reader::new(&bytes), ByteOrder::LsbFirst).unwrap();
        let said = said(&record, medium);
        let shown = match said.number {
            None => format!("({})", note(&record).1),
            Some(number) => match number.and_then(|told| told.quantity(None)) {
                Ok(quantity) => quantity.to_string(),
                Err(reason) => reason.as_str().to_owned(),
            },
        };
        assert_eq!(format!("{} = {shown}", said.register), expected);
    }

    #[test]
    fn the_power_of_ten_goes_into_the_decimals_and_the_unit_is_the_displays() {
        check(4, "04 06 39 30 00 00", "energy = 12345 kWh");
        check(4, "04 03 39 30 00 00", "energy = 12.345 kWh");
        check(4, "04 07 39 30 00 00", "energy = 123450 kWh");
        check(4, "04 FB 00 39 30 00 00", "energy = 1234.5 MWh");
        check(4, "04 0E 39 30 00 00", "energy = 12.345 GJ");
        check(4, "04 14 39 30 00 00", "volume = 123.45 m³");
        check(4, "04 2D 7B 00 00 00", "power = 12.3 kW");
        check(4, "04 3B 7B 00 00 00", "volume_flow = 0.123 m³/h");
        check(4, "02 59 C4 09", "flow_temperature = 25.00 °C");
        check(7, "0C 13 45 23 01 00", "volume = 12.345 m³");
    }

    #[test]
    fn every_part_of_a_record_is_in_its_register() {
        check(4, "84 10 06 01 00 00 00", "energy_t1 = 1 kWh");
        check(4, "C4 10 06 01 00 00 00", "energy_t1_s1 = 1 kWh");
        check(4, "14 2D 01 00 00 00", "power_max = 0.1 kW");
        check(4, "84 40 13 01 00 00 00", "volume_subunit_1 = 0.001 m³");
        check(2, "04 83 3B 01 00 00 00", "energy_import = 0.001 kWh");
        check(2, "04 83 3C 01 00 00 00", "energy_export = 0.001 kWh");
        check(4, "04 83 3C 01 00 00 00", "energy_negative_only = 0.001 kWh");
        check(2, "04 FD C8 FC 01 01 00 00 00", "voltage_l1 = 0.1 V");
        check(7, "04 93 7F 01 00 00 00", "volume_manufacturer = 0.001 m³");
        check(7, "04 93 3D 01 00 00 00", "volume_non_metric = 0.001 non-metric");
        check(0, "02 7C 00 01 00", "plain_text = 1");
        check(4, "02 FD 3B 01 00", "vif_fd3b = 1");
    }

    #[test]
    fn what_is_invalid_is_an_absence() {
        check(4, "04 06 00 00 00 80", "energy = invalid");
        check(4, "0C 06 DD DD EB BD", "energy = invalid");
        check(4, "05 06 00 00 C0 7F", "energy = invalid");
    }

    #[test]
    fn a_float_is_rounded_to_a_thousandth_of_what_was_sent() {
        // 0.707 × 10⁻³ m³/h
        check(4, "05 3B F4 FD 34 3F", "volume_flow = 0.000707 m³/h");
    }

    #[test]
    fn dates_texts_and_numbers_of_the_device_are_no_readings() {
        check(4, "04 6D 1A 0E CD 13", "date_time = (2014-03-13T14:26)");
        check(4, "0C 78 22 11 00 67", "fabrication_number = (67001122)");
        check(4, "02 FD 16 34 12", "password = (not shown)");
    }

    #[test]
    fn a_unit_of_the_profile_stands_where_no_vif_says_one() {
        // A maker's own record, and one whose unit is a text.
        for bytes in [&[0x02, 0xFF, 0x52, 0xF4, 0x01][..], &[0x02, 0x7C, 1, b'x', 0xF4, 0x01]] {
            let record = Record::read(&mut Reader::new(bytes), ByteOrder::LsbFirst).unwrap();
            let told = said(&record, 2).number.unwrap().unwrap();
            assert_eq!(told.quantity_in(Unit::Hertz, None).unwrap().to_string(), "500 Hz");
        }
    }

    #[test]
    fn a_unit_of_the_profile_moves_the_point_and_nothing_else() {
        let bytes = [0x04, 0x06, 0x39, 0x30, 0, 0];
        let record = Record::read(&mut Reader::new(&bytes), ByteOrder::LsbFirst).unwrap();
        let told = said(&record, 4).number.unwrap().unwrap();
        let shown = |unit, decimals| told.quantity_in(unit, decimals).unwrap().to_string();
        assert_eq!(shown(Unit::MegawattHour, None), "12.345 MWh");
        assert_eq!(shown(Unit::WattHour, None), "12345000 Wh");
        assert_eq!(shown(Unit::KilowattHour, Some(2)), "12345.00 kWh");
        assert_eq!(shown(Unit::KilovarHour, None), "12345 kvarh", "of a reactive subunit");
        assert_eq!(shown(Unit::Gigajoule, None), "12345 kWh", "joules are not watt hours");
    }
}
