//! A profile's own test: what comes over a wire, and the values that must come out of it.
//!
//! A file of hex may hold several telegrams, one after the other: those of one answer.
//!
//! The vectors of the embedded profiles run under `cargo test`; those of a profile that is read
//! from a folder run when it is loaded, so that one that contradicts itself is not used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::mbus::Frame;
use chrono::DateTime;
use metering::{Moment, Quantity, Trust};

use super::{Mistake, Profile, Profiles, RegisterSpec, Vector, VectorSource};
use crate::mbus::opening::Opening;
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
        let came = match came(profile, vector, &frame) {
            Ok(came) => came,
            Err(advice) => {
                mistake(advice);
                continue;
            }
        };
        let expected = vector.expect.iter().map(|(key, value)| (key, value, came.values.get(key)));
        let remembers = vector.remembers.iter();
        let remembered = remembers.map(|(key, value)| (key, value, came.remembered.get(key)));
        for (key, expected, found) in expected.chain(remembered) {
            match found {
                Some(found) if found == expected => {}
                Some(found) => mistake(format!("`{key}` is {found}, and {expected} is expected")),
                None => mistake(format!("`{key}` does not come out of it")),
            }
        }
        for text in &vector.says {
            if !came.said.contains(text) {
                mistake(format!("\"{text}\" is not among what its flags say: {:?}", came.said));
            }
        }
    }
    mistakes
}

/// What came out of a vector, as text.
#[derive(Debug, Default)]
struct CameOut {
    values: BTreeMap<String, String>,
    /// By register and time.
    remembered: BTreeMap<String, String>,
    said: Vec<String>,
}

fn came(
    profile: &Profile,
    vector: &Vector,
    frame: impl Fn(&str) -> Option<String>,
) -> Result<CameOut, String> {
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
            let values = profile.registers().filter_map(value).collect();
            Ok(CameOut { values, ..CameOut::default() })
        }
        VectorSource::Messages { device, messages } => {
            let heard = messages.iter().flat_map(|(topic, payload)| {
                profile.hear_mqtt(device, topic, payload.as_bytes(), DateTime::UNIX_EPOCH)
            });
            let values = heard.map(|said| (said.register.to_string(), shown(said.value)));
            Ok(CameOut { values: values.collect(), ..CameOut::default() })
        }
        VectorSource::Pulses(pulses, per_unit) => {
            let register = profile.pulse_register().map(|(spec, _)| spec);
            let value = |spec: &RegisterSpec| {
                (spec.register.to_string(), shown(spec.of_pulses(*pulses, *per_unit)))
            };
            Ok(CameOut { values: register.map(value).into_iter().collect(), ..CameOut::default() })
        }
        VectorSource::Millidegrees(raw) => {
            let register = profile.onewire_register().map(|(spec, _)| spec);
            let value = |spec: &RegisterSpec| {
                (spec.register.to_string(), shown(spec.of_millidegrees(*raw).0))
            };
            Ok(CameOut { values: register.map(value).into_iter().collect(), ..CameOut::default() })
        }
        VectorSource::Frame(name) => {
            let text = frame(name).ok_or_else(|| format!("{name} is not beside the profile"))?;
            let bytes = hex(&text).ok_or_else(|| format!("{name} is not a telegram in hex"))?;
            let readout = read(profile, &bytes).map_err(|error| format!("{name}: {error}"))?;
            let values = readout.readings.into_iter();
            let remembered = readout.remembered.into_iter().map(|it| {
                let at = it.at.format("%Y-%m-%dT%H:%M");
                (format!("{} {at}", it.register), it.value.decimal())
            });
            Ok(CameOut {
                values: values.map(|it| (it.register.to_string(), shown(it.value))).collect(),
                remembered: remembered.collect(),
                said: readout.odd.into_iter().map(|odd| odd.note).collect(),
            })
        }
    }
}

/// Reads telegrams as the bus would, and insists that the profile is found by their header.
fn read(profile: &Profile, mut bytes: &[u8]) -> Result<crate::Readout, String> {
    let meter = Meter::stranger(MeterAddress::Primary(0));
    let at = Moment {
        wall: DateTime::UNIX_EPOCH,
        boottime: Duration::ZERO,
        boot_id: 0,
        trust: Trust::Untrusted,
    };
    let mut came = Vec::new();
    while !bytes.is_empty() {
        let length = Frame::expected_len(bytes).ok().flatten().unwrap_or(bytes.len());
        let (telegram, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        came.push(Came { bytes: telegram.to_vec(), at });
        bytes = rest;
    }
    let only = [(profile.id.clone(), Arc::new(profile.clone()))].into();
    let only = Profiles { by_id: only, ..Profiles::default() };
    let readout = readout(came, &meter, &only, &mut Opening::default(), Duration::ZERO)
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
