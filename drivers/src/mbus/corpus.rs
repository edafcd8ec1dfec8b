//! The public frames: every number that they are known to hold becomes a reading of that amount.

use std::path::PathBuf;
use std::time::Duration;

use metering::{Moment, Quantity, Resolution, Trust, Unit};
use serde_json::Value;

use super::opening::Opening;
use super::readout::{Came, readout};
use crate::profile::Profiles;
use crate::{Meter, MeterAddress, Readout};

#[test]
fn every_number_of_the_public_frames_is_a_reading() {
    let Some(corpus) = corpus() else { return };
    let truth = std::fs::read_to_string(corpus.join("truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let (mut frames, mut numbers) = (0, 0);
    for (name, frame) in truth["good"].as_object().unwrap() {
        let hex = std::fs::read_to_string(corpus.join("frames").join(format!("{name}.hex")));
        let hex: String = hex.unwrap().split_whitespace().collect();
        let bytes = hex.as_bytes().chunks(2);
        let bytes = bytes.map(|it| u8::from_str_radix(str::from_utf8(it).unwrap(), 16).unwrap());
        let came = vec![Came { bytes: bytes.collect(), at: NEVER }];
        let meter = Meter::stranger(MeterAddress::Primary(0));
        let readout = match readout(
            came,
            &meter,
            &Profiles::default(),
            &mut Opening::default(),
            Duration::ZERO,
        ) {
            Ok(readout) => readout,
            Err(error) => {
                let tells_nothing = frame["records"].as_array().unwrap().is_empty();
                assert!(tells_nothing, "{name}: {error:?}");
                continue;
            }
        };
        if let Some(id) = frame["header"]["id"].as_str() {
            assert_eq!(readout.identity.serial, id, "{name}");
        }
        frames += 1;
        numbers += frame["records"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| {
                let Some(amount) = amount(record) else { return false };
                assert!(holds(&readout, record, amount), "{name}: {record}");
                true
            })
            .count();
    }
    println!("{numbers} numbers of {frames} public frames are readings");
    assert!(frames > 40 && numbers > 300);
}

/// Where the public frames are; says so if they are not there.
fn corpus() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let corpus = std::env::var_os("FYRHUS_CORPUS")
        .map_or_else(|| root.join("../shared/corpus"), PathBuf::from)
        .join("mbus");
    if corpus.join("truth.json").exists() {
        return Some(corpus);
    }
    println!("skipped: there are no public M-Bus frames in {}", corpus.display());
    None
}

/// The number of a record in its own unit; `None` for what is no number, or is about the device.
fn amount(record: &Value) -> Option<Quantity> {
    let kind = record["type"].as_str()?;
    let quantity = record["quantity"].as_str()?;
    let about_the_device = [
        "fabrication_number",
        "identification",
        "bus_address",
        "any",
        "access_number",
        "parameter_set",
        "storage_interval",
        "baud_rate",
    ];
    let measured = !about_the_device.contains(&quantity)
        && !quantity.ends_with("_version")
        && !quantity.starts_with("customer")
        && !quantity.ends_with("storage_number");
    if !["integer", "unsigned", "bits", "bcd", "real32"].contains(&kind) || !measured {
        return None;
    }
    let unit = match record["unit"].as_str() {
        Some(code) if quantity != "plain_text" => Unit::from_code(code)?,
        // The meter's own text: only the figure is compared.
        _ => Unit::One,
    };
    Quantity::from_decimal(record["value"].as_str()?, unit).ok()
}

fn holds(readout: &Readout, record: &Value, amount: Quantity) -> bool {
    let quantity = record["quantity"].as_str().unwrap_or_default();
    readout.readings.iter().any(|reading| {
        let name = reading.register.quantity.as_str();
        let alike = name == quantity || (quantity == "unknown" && name.starts_with("vif_"));
        let storage = record["storage"].as_u64() == Some(reading.register.storage);
        let same = reading.value.is_ok_and(|value| {
            let unit = if amount.resolution().unit() == Unit::One {
                Unit::One
            } else {
                value.resolution().unit()
            };
            let shown = Resolution::new(value.resolution().decimals(), unit).unwrap();
            amount.converted(shown).is_ok_and(|it| it.mantissa() == value.mantissa())
        });
        alike && storage && same
    })
}

const NEVER: Moment = Moment {
    wall: chrono::DateTime::UNIX_EPOCH,
    boottime: Duration::ZERO,
    boot_id: 0,
    trust: Trust::Untrusted,
};
