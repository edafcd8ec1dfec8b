//! What a decoder says of one record, in words that any decoder can be put into.

use std::fmt;

use mbus::{Number, Record, Value};

/// One record as a decoder tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) function: &'static str,
    pub(crate) storage: u64,
    pub(crate) tariff: u64,
    pub(crate) subunit: u64,
    pub(crate) value: Worth,
    /// `None` if it does not tell one for this kind of record; empty if it says that there is none.
    pub(crate) unit: Option<String>,
}

/// A value, or that there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Worth {
    /// The mantissa as the nearest `f64`, which is all that the other decoders have, and its power
    /// of ten. Equal means equal in both: nothing is compared within a tolerance.
    Number(f64, i32),
    Text(String),
    Bytes(Vec<u8>),
    /// Of any of the types, as ISO 8601.
    Date(String),
    /// The record says that it has no valid value, whatever its words for the reason.
    Invalid,
    /// The record has no data.
    Nothing,
}

impl Said {
    /// The same with a unit that has but one name: `kg/kW` and a power of ten of 0 are `kg/W` and
    /// one of -3, and the dots of a product are left out.
    pub(crate) fn plain(mut self) -> Self {
        const NAMES: &[(&str, &str, i32)] = &[
            ("/kWh", "/W/h", -3),
            ("/kW", "/W", -3),
            ("/GJ", "/J", -9),
            ("/(K.l)", "/K/l", 0),
            (".", "", 0),
        ];
        if let Some(unit) = &mut self.unit {
            for (name, plain, power) in NAMES {
                for _ in unit.matches(name) {
                    if let Worth::Number(_, exponent) = &mut self.value {
                        *exponent += power;
                    }
                }
                *unit = unit.replace(name, plain);
            }
        }
        self
    }
}

/// What our own decoder says.
pub(crate) fn ours(record: &Record<'_>) -> Said {
    let dib = record.dib;
    Said {
        function: dib.function.as_str(),
        storage: dib.storage.get(),
        tariff: dib.tariff.get(),
        subunit: dib.subunit.get(),
        value: worth(record),
        unit: Some(record.vib.unit.to_string()),
    }
    .plain()
}

#[expect(clippy::cast_precision_loss, reason = "the others have no more than an f64")]
fn worth(record: &Record<'_>) -> Worth {
    match record.value() {
        Err(_) => Worth::Invalid,
        Ok(Value::None) => Worth::Nothing,
        Ok(Value::Number(Number::Integer { mantissa, exponent })) => {
            Worth::Number(mantissa as f64, exponent.into())
        }
        Ok(Value::Number(Number::Real { real, exponent })) => {
            Worth::Number(f32::from_bits(real.0).into(), exponent.into())
        }
        Ok(Value::Text(text)) => Worth::Text(text.to_string()),
        Ok(Value::Bytes(bytes)) => Worth::Bytes(bytes.to_vec()),
        Ok(date @ (Value::Date(_) | Value::DateTime(..) | Value::Time(_))) => {
            Worth::Date(date.to_string())
        }
    }
}

impl fmt::Display for Said {
    /// `maximum storage 1 0.25e3 W`: what is zero or usual is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.function != "instantaneous" {
            write!(f, "{} ", self.function)?;
        }
        let numbers =
            [("storage", self.storage), ("tariff", self.tariff), ("subunit", self.subunit)];
        for (name, number) in numbers {
            if number != 0 {
                write!(f, "{name} {number} ")?;
            }
        }
        match &self.value {
            Worth::Number(mantissa, 0) => write!(f, "{mantissa}")?,
            Worth::Number(mantissa, exponent) => write!(f, "{mantissa}e{exponent}")?,
            Worth::Text(text) => write!(f, "{text:?}")?,
            Worth::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?,
            Worth::Date(date) => f.write_str(date)?,
            Worth::Invalid => f.write_str("invalid")?,
            Worth::Nothing => f.write_str("nothing")?,
        }
        match self.unit.as_deref() {
            None | Some("") => Ok(()),
            Some(unit) => write!(f, " {unit}"),
        }
    }
}
