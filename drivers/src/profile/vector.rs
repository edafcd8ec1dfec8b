//! A profile's own test: words or a telegram, and the values that must come out of it.
//!
//! The vectors of the embedded profiles run under `cargo test`; those of a profile that is read
//! from a folder run when it is loaded, so that one that contradicts itself is not used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metering::{Moment, Quantity, Register, Trust};

use super::{Mistake, Profile, Profiles, RegisterSpec, Vector, VectorSource};
use crate::mbus::readout::{Came, readout};
use crate::{Meter, MeterAddress, ReadError};

/// Where the profile does something else than its vectors say. `frame` gives the text of a file
/// that lies beside it.
pub(super) fn failures(profile: &Profile, frame: impl Fn(&str) -> Option<String>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for vector in &profile.vectors {
        let mut mistake = |advice: String| {
            mistakes.push(Mistake { file: String::new(), line: vector.line, advice });
        };
        let values = match values(profile, vector, &frame) {
            Ok(values) => values,
            Err(advice) => {
                mistake(advice);
                continue;
            }
        };
        for (key, expected) in &vector.expect {
            match values.get(key) {
                Some(found) if found == expected => {}
                Some(found) => mistake(format!("`{key}` is {found}, and {expected} is expected")),
                None => mistake(format!("`{key}` does not come out of it")),
            }
        }
    }
    mistakes
}

fn values(
    profile: &Profile,
    vector: &Vector,
    frame: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let shown = |value: Result<Quantity, metering::NoReading>| {
        value.map_or_else(|reason| reason.as_str().to_owned(), Quantity::decimal)
    };
    match &vector.source {
        VectorSource::Words(words) => {
            let value = |spec: &RegisterSpec| {
                let point = spec.point.as_ref()?;
                let number = point.number(words, spec.decimals, spec.unit)?;
                Some((spec.register.to_string(), shown(number)))
            };
            Ok(profile.registers().filter_map(value).collect())
        }
        VectorSource::Frame(name) => {
            let text = frame(name).ok_or_else(|| format!("{name} is not beside the profile"))?;
            let bytes = hex(&text).ok_or_else(|| format!("{name} is not a telegram in hex"))?;
            let readout = read(profile, bytes).map_err(|error| format!("{name}: {error}"))?;
            let values = readout.readings.into_iter();
            Ok(values.map(|it| (Register::to_string(&it.register), shown(it.value))).collect())
        }
    }
}

/// Reads a telegram as the bus would, and insists that the profile is found by its header.
fn read(profile: &Profile, bytes: Vec<u8>) -> Result<crate::Readout, String> {
    let meter = Meter::stranger(MeterAddress::Primary(0));
    let at = Moment {
        wall: chrono::DateTime::UNIX_EPOCH,
        boottime: Duration::ZERO,
        boot_id: 0,
        trust: Trust::Untrusted,
    };
    let one = Profiles { by_id: [(profile.id.clone(), Arc::new(profile.clone()))].into() };
    let readout = readout(vec![Came { bytes, at }], &meter, &one, Duration::ZERO)
        .map_err(|error: ReadError| error.to_string())?;
    match &readout.profile {
        Some(_) => Ok(readout),
        None => Err("its header is not one that [[mbus.identify]] takes".to_owned()),
    }
}

/// Hex digits with any white space; a line that begins with `#` is a remark.
fn hex(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: String = lines.flat_map(str::split_whitespace).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then_some(())?;
    digits.as_bytes().chunks_exact(2).map(byte).collect()
}
