//! What `m-bus-parser` says of a frame.

use m_bus_parser::WiredFrame;
use m_bus_parser::user_data::UserDataBlock;
use m_bus_parser::user_data::data_information::{
    DataInformation, DataType, FunctionField, Month, SingleEveryOrInvalid, TextUnit,
};
use m_bus_parser::user_data::data_record::DataRecord;
use m_bus_parser::user_data::value_information::{Unit, UnitName};

use crate::said::{Said, Worth};

/// The records of a frame, each of them or its own error; or why there are none at all.
pub(crate) fn records(bytes: &[u8]) -> Result<Vec<Result<Said, String>>, String> {
    std::panic::catch_unwind(|| read(bytes)).unwrap_or_else(|_| Err(PANIC.to_owned()))
}

/// Variable data of no bytes (LVAR E0) overflow where that is checked. It meets some when it has
/// lost its place, too.
pub(crate) const PANIC: &str = "a panic";

fn read(bytes: &[u8]) -> Result<Vec<Result<Said, String>>, String> {
    let frame = WiredFrame::try_from(bytes).map_err(|error| format!("{error:?}"))?;
    let (WiredFrame::LongFrame { data, .. } | WiredFrame::ControlFrame { data, .. }) = frame else {
        return Ok(Vec::new());
    };
    let block = UserDataBlock::try_from(data).map_err(|error| format!("{error:?}"))?;
    if let UserDataBlock::FixedDataStructure { counter1, counter2, .. } = &block {
        return Ok([counter1, counter2].map(|it| Ok(of_fixed(&format!("{it:?}")))).into());
    }
    let Some(records) = block.data_records() else {
        return Err("taken for encrypted".to_owned());
    };
    let is_trailer =
        |record: &DataRecord<'_>| matches!(record.value(), Some(DataType::ManufacturerSpecific(_)));
    Ok(records
        .filter(|record| !record.as_ref().is_ok_and(is_trailer))
        .map(|record| record.map_err(|error| format!("{error:?}")).map(|record| said(&record)))
        .collect())
}

/// It tells the two counters as digits, and neither their units nor which of them is history.
fn of_fixed(counter: &str) -> Said {
    let digits: String = counter.chars().filter(char::is_ascii_digit).collect();
    let number = digits.parse().unwrap_or(f64::NAN);
    Said {
        function: "instantaneous",
        storage: 0,
        tariff: 0,
        subunit: 0,
        value: Worth::Number(number, 0),
        unit: None,
    }
}

fn said(record: &DataRecord<'_>) -> Said {
    let information = record.data_information();
    let number = |of: fn(&DataInformation) -> u64| information.map_or(0, of);
    let value_information = record.value_information();
    let exponent = value_information.map_or(0, |it| it.decimal_scale_exponent);
    let raw_header = &record.data_record_header.raw_data_record_header;
    let text = raw_header
        .value_information_block
        .as_ref()
        .and_then(|block| block.plaintext_vife.as_ref()?.as_ascii_str())
        .map(|reversed| reversed.chars().rev().collect::<String>());
    let mut names: Vec<Unit> = value_information.map(|it| it.units().collect()).unwrap_or_default();
    let is_tonnes = names.iter().any(|unit| unit.name == UnitName::Tonne);
    // It has a label for these instead of a unit.
    if raw_header
        .value_information_block
        .as_ref()
        .is_some_and(|block| block.value_information.data & 0x7F == 0x6E)
    {
        names.insert(0, Unit { name: UnitName::HCAUnit, exponent: 1 });
    }
    Said {
        function: match information.map(|it| it.function_field) {
            Some(FunctionField::MaximumValue) => "maximum",
            Some(FunctionField::MinimumValue) => "minimum",
            Some(FunctionField::ValueDuringErrorState) => "error",
            _ => "instantaneous",
        },
        storage: number(|it| it.storage_number),
        tariff: number(|it| it.tariff),
        subunit: number(|it| it.device),
        value: worth(record, i32::try_from(exponent).unwrap() + if is_tonnes { 3 } else { 0 }),
        unit: Some(text.unwrap_or_default() + &unit(&names)),
    }
    .plain()
}

fn worth(record: &DataRecord<'_>, exponent: i32) -> Worth {
    match record.value() {
        None => Worth::Nothing,
        // What is not equal to itself could not be compared.
        Some(DataType::Number(number)) if number.is_nan() => Worth::Text("NaN".to_owned()),
        Some(DataType::Number(number) | DataType::LossyNumber(number)) => {
            Worth::Number(*number, exponent)
        }
        Some(DataType::Text(text)) => {
            let bytes = record.raw_bytes();
            let bytes = &bytes[bytes.len() + 1 - record.data.get_size()..];
            assert_eq!(*text, TextUnit::new(bytes), "its text is the last of the record's bytes");
            Worth::Text(bytes.iter().rev().copied().map(char::from).collect())
        }
        Some(DataType::Date(day, month, year)) => date(day, month, year, &[]),
        Some(DataType::DateTime(day, month, year, hour, minute)) => {
            date(day, month, year, &[hour, minute])
        }
        Some(DataType::DateTimeWithSeconds(day, month, year, hour, minute, second)) => {
            date(day, month, year, &[hour, minute, second])
        }
        Some(DataType::Time(second, minute, hour)) => {
            time(&[hour, minute, second]).map_or(Worth::Invalid, Worth::Date)
        }
        Some(other) => Worth::Text(format!("{other:?}")),
    }
}

type Part<T> = SingleEveryOrInvalid<T>;

fn date(day: &Part<u8>, month: &Part<Month>, year: &Part<u16>, clock: &[&Part<u8>]) -> Worth {
    let (Part::Single(day), Part::Single(month), Part::Single(year)) = (day, month, year) else {
        return Worth::Invalid;
    };
    let date = format!("{year:04}-{:02}-{day:02}", *month as u8 + 1);
    match time(clock) {
        Some(_) if clock.is_empty() => Worth::Date(date),
        Some(time) => Worth::Date(format!("{date}T{time}")),
        None => Worth::Invalid,
    }
}

fn time(parts: &[&Part<u8>]) -> Option<String> {
    let two = |part: &&Part<u8>| match part {
        Part::Single(number) => Some(format!("{number:02}")),
        _ => None,
    };
    let parts: Option<Vec<String>> = parts.iter().map(two).collect();
    Some(parts?.join(":"))
}

/// Its list of factors as one of our names: `Watt, Hour` is `Wh`, `Meter³, Hour⁻¹` is `m3/h`.
fn unit(factors: &[Unit]) -> String {
    let mut text = String::new();
    for (place, Unit { name, exponent }) in factors.iter().enumerate() {
        if place == 1 && factors[0].name == UnitName::Symbol {
            // "Symbols a second" are what others call baud.
            continue;
        }
        let name = self::name(*name);
        if *exponent < 0 {
            text += if text.is_empty() { "1/" } else { "/" };
        }
        text += name;
        if exponent.abs() != 1 {
            text += &exponent.abs().to_string();
        }
    }
    text
}

fn name(name: UnitName) -> &'static str {
    match name {
        UnitName::Watt => "W",
        UnitName::ReactiveWatt => "var",
        UnitName::ApparentWatt => "VA",
        UnitName::Joul => "J",
        // The power of ten is mended where it is told.
        UnitName::Kilogram | UnitName::Tonne => "kg",
        UnitName::Meter => "m",
        UnitName::Feet => "ft",
        UnitName::Celsius => "C",
        UnitName::Kelvin => "K",
        UnitName::Bar => "bar",
        UnitName::HCA | UnitName::HCAUnit => "hca",
        UnitName::Reserved => "reserved",
        UnitName::WithoutUnits | UnitName::Increment => "",
        UnitName::Second => "s",
        UnitName::Minute => "min",
        UnitName::Hour => "h",
        UnitName::Day => "d",
        UnitName::Week => "week",
        UnitName::Month => "month",
        UnitName::Year => "a",
        UnitName::Revolution => "rev",
        UnitName::InputPulseOnChannel0 => "pulse_in0",
        UnitName::OutputPulseOnChannel0 => "pulse_out0",
        UnitName::InputPulseOnChannel1 => "pulse_in1",
        UnitName::OutputPulseOnChannel1 => "pulse_out1",
        UnitName::Liter => "l",
        UnitName::Volt => "V",
        UnitName::Ampere => "A",
        UnitName::LocalMoneyCurrency => "currency",
        UnitName::Symbol => "Bd",
        UnitName::BitTime => "bittime",
        UnitName::DecibelMilliWatt => "dBm",
        UnitName::Percent => "%",
        UnitName::Degree => "deg",
        UnitName::Hertz => "Hz",
        UnitName::Fahrenheit => "F",
        UnitName::AmericanGallon => "gal",
        UnitName::Calorie => "cal",
        UnitName::BritishThermalUnit => "BTU",
        _ => "a unit that was not there when this was written",
    }
}
