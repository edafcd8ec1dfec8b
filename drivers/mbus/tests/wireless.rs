//! Telegrams of many kinds of meter, mostly by radio, and cases for each rule of radio frames,
//! encryption and compact frames, from a public corpus.
//!
//! `FYRHUS_CORPUS` names the folder that holds `mbus/`; it is `../shared/corpus` beside the project
//! if it is not set. Without it nothing is tested here, and the output says so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::indexing_slicing, reason = "a key that is absent reads as null")]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mbus::crypto::Key;
use mbus::radio::{Envelope, Format, Heard, Link, Listener, Scratch};
use mbus::{Content, Record, Secondary};
use serde_json::{Value, json};

/// Numbers that the corpus calls records and that are none, by the meter's number: a zero inside
/// the manufacturer's own data, and one inside a profile of many values, whose meaning takes a
/// description of the meter.
const NO_RECORDS: &[(&str, &str)] = &[("03122061", "backflow_m3"), ("61330764", "target_1_m3")];

#[test]
fn telegrams_of_drivers_hold_the_numbers_that_the_drivers_show() {
    let Some(corpus) = corpus() else { return };
    let text = fs::read_to_string(corpus.join("wireless.json")).unwrap();
    let drivers: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeMap::<&str, (usize, usize)>::new();
    let mut missing = Vec::new();
    for set in drivers["telegrams"].as_array().unwrap() {
        let driver = set["driver"].as_str().unwrap();
        let keys: Vec<Key> = set["key"].as_str().iter().map(|key| key.parse().unwrap()).collect();
        let mut table = [Format::EMPTY; 4];
        let mut listener = Listener::new(&mut table);
        let (mut numbers, mut errors) = (Vec::new(), Vec::new());
        for telegram in set["telegrams"].as_array().unwrap() {
            let mut scratch = Scratch::new();
            let bytes = bytes(telegram.as_str().unwrap());
            match listener.hear(&bytes, keys.as_slice(), &mut scratch).content {
                Ok(Content::Records(records)) => {
                    for record in records {
                        match record {
                            Ok(record) => numbers.extend(number(&record)),
                            Err(error) => errors.push(error.to_string()),
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => errors.push(error.to_string()),
            }
        }
        for (field, expected) in set["fields"].as_object().unwrap() {
            let id = set["id"].as_str().unwrap();
            if expected["generic"] != true || NO_RECORDS.contains(&(id, field)) {
                continue;
            }
            let (wanted, seen) = found.entry(driver).or_default();
            *wanted += 1;
            let shown = expected["value"].as_f64().unwrap();
            if numbers.iter().any(|(number, unit)| says(*number, unit, field, shown)) {
                *seen += 1;
            } else {
                missing.push(format!("{driver} {field} {shown} {errors:?}"));
            }
        }
    }
    let sets = drivers["telegrams"].as_array().unwrap().len();
    let (wanted, seen) =
        found.values().fold((0, 0), |(wanted, seen), (w, s)| (wanted + w, seen + s));
    println!("{sets} sets of telegrams of {} drivers: {seen} of {wanted} numbers", found.len());
    for (driver, (wanted, seen)) in found.iter().filter(|(_, (wanted, seen))| wanted != seen) {
        println!("  {driver}: {seen} of {wanted}");
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(wanted > 1000, "only {wanted} numbers");
}

fn number(record: &Record<'_>) -> Option<(f64, String)> {
    let number = record.number()?.to_string().parse().unwrap();
    Some((number, record.vib.unit.to_string()))
}

/// Whether `number` with its `unit` is what a driver shows as `field`, with six decimals.
fn says(number: f64, unit: &str, field: &str, shown: f64) -> bool {
    let factor = match (field.rsplit('_').next().unwrap(), unit) {
        ("kwh", "Wh") | ("kw", "W") | ("kvarh", "varh") => 1e-3,
        ("kwh", "J") | ("kw", "J/h") => 1.0 / 3.6e6,
        ("h", "s") => 1.0 / 3600.0,
        ("h", "min") => 1.0 / 60.0,
        ("h", "d") => 24.0,
        ("s" | "m3h", "min" | "m3/min") => 60.0,
        ("s" | "m3h", "h" | "m3/s") => 3600.0,
        ("s", "d") => 86_400.0,
        ("m3h", "m3/h")
        | ("c", "C" | "K")
        | ("rh", "%")
        | ("v", "V")
        | ("a", "A")
        | ("hz", "Hz") => 1.0,
        (field, unit) if field == unit => 1.0,
        _ => return false,
    };
    (number * factor - shown).abs() <= 1e-6 + 1e-9 * shown.abs()
}

#[test]
fn cases_for_each_rule_come_out_as_expected() {
    let Some(corpus) = corpus() else { return };
    let mut table = vec![Format::EMPTY; 64];
    let mut listener = Listener::new(&mut table);
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in fs::read_to_string(corpus.join("examples.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let words = case["line"].as_str().unwrap().split_whitespace();
        let (keys, hex): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("key="));
        let keys: Vec<Key> = keys.iter().map(|key| key.split_at(4).1.parse().unwrap()).collect();
        let mut scratch = Scratch::new();
        let decoded = object(&listener.hear(&bytes(&hex.concat()), keys.as_slice(), &mut scratch));
        cases += 1;
        for (key, expected) in case["expect"].as_object().unwrap() {
            let same = match key.as_str() {
                "error" if expected.get("offset").is_some_and(Value::is_null) => {
                    decoded[key]["code"] == expected["code"]
                }
                "records" => {
                    let expected = expected.as_array().unwrap().iter();
                    let values: Vec<Value> = expected
                        .map(|record| json!([record["vib"], record["data"], record["value"]]))
                        .collect();
                    decoded[key] == Value::from(values)
                }
                _ => decoded[key] == *expected,
            };
            if !same {
                let decoded = &decoded[key];
                wrong.push(format!("{} {key}: {decoded} instead of {expected}", case["id"]));
            }
        }
    }
    println!("{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 50, "only {cases} cases");
}

/// The part of a decoded frame that is not of its records; of them bytes and values.
fn object(heard: &Heard<'_>) -> Value {
    let Heard { envelope, content, .. } = heard;
    let mut object = json!({
        "link": link(envelope),
        "ci": envelope.ci,
        "header": header(envelope),
        "ell": envelope.ell.map(|ell| json!({
            "ci": ell.ci(), "control": ell.control, "access_number": ell.access_number,
            "session_number": ell.session.map(|session| session.0), "encryption": ell.encryption(),
        })),
        "afl": envelope.afl.map(|afl| json!({
            "fragment": afl.fragment, "counter": afl.counter, "mac_ok": envelope.mac_ok,
            "mac": afl.mac.map(|mac| hex(mac.bytes())),
        })),
        "encryption": envelope.encryption.map(|encryption| json!({
            "layer": encryption.layer.as_str(), "mode": encryption.mode,
            "state": encryption.state.as_str(),
        })),
        "error": null, "records": [], "more_records_follow": false, "manufacturer_data": null,
        "application_error": null, "alarm": null,
    });
    let mut error = content.as_ref().err().copied();
    match content {
        Ok(Content::Records(records)) => {
            let mut records = records.clone();
            let mut values = Vec::new();
            for record in records.by_ref() {
                match record {
                    Ok(record) => {
                        let value = record.value().map(|value| value.to_string()).ok();
                        let value = value.filter(|_| record.data_type() != mbus::DataType::None);
                        values.push(json!([hex(record.vib.bytes()), hex(record.data()), value]));
                    }
                    Err(flaw) => error = Some(flaw),
                }
            }
            object["records"] = values.into();
            if let Some(trailer) = records.trailer() {
                object["more_records_follow"] = trailer.more_follow.into();
                object["manufacturer_data"] = hex(trailer.manufacturer_data).into();
            }
        }
        Ok(Content::Error(said)) => {
            object["application_error"] = json!({"code": said.0, "name": said.name()});
        }
        Ok(Content::Alarm(status)) => object["alarm"] = json!({ "status": status }),
        Ok(Content::Sealed(_)) | Err(_) => {}
    }
    if let Some(error) = error {
        object["error"] = json!({"code": error.flaw.code(), "offset": error.at});
    }
    object["ok"] = error.is_none().into();
    object
}

fn link(envelope: &Envelope) -> Value {
    let wired = |kind: &str, control: mbus::Control, address: mbus::Primary| json!({"type": kind, "control": control.0, "address": address.0});
    match envelope.link {
        None => Value::Null,
        Some(Link::Ack) => json!({"type": "ack"}),
        Some(Link::Short { control, address }) => wired("short", control, address),
        Some(Link::Control { control, address }) => wired("control", control, address),
        Some(Link::Long { control, address }) => wired("long", control, address),
        Some(Link::Radio(link)) => {
            let mut object = identity(Some(link.address));
            object["type"] = "wireless".into();
            object["format"] = link.framing.as_str().into();
            object["control"] = link.control.0.into();
            object
        }
    }
}

fn header(envelope: &Envelope) -> Value {
    let by_radio = matches!(envelope.link, Some(Link::Radio(_)));
    let Some(header) = envelope.header else {
        return match envelope.ci {
            Some(0x78 | 0x79) if by_radio => {
                let mut object = identity(envelope.meter);
                object["access_number"] = Value::Null;
                object["status"] = Value::Null;
                object["signature"] = Value::Null;
                object
            }
            _ => Value::Null,
        };
    };
    let mut object = identity(header.address());
    if let Some(id) = header.id {
        object["id"] = id.to_string().into();
        object["medium"] = header.medium.map(mbus::Medium::code).into();
        object["medium_name"] = header.medium.map(mbus::Medium::name).into();
    }
    object["access_number"] = header.access_number.into();
    object["status"] = header.status.0.into();
    let signature = header.configuration.map(|it| format!("{:04X}", it.0));
    object["signature"] = signature.into();
    object
}

fn identity(address: Option<Secondary>) -> Value {
    json!({
        "id": address.map(|it| it.id.to_string()),
        "manufacturer": address.and_then(|it| it.manufacturer.letters())
            .map(|letters| letters.iter().collect::<String>()),
        "manufacturer_code": address.map(|it| it.manufacturer.0),
        "version": address.map(|it| it.version),
        "medium": address.map(|it| it.medium.code()),
        "medium_name": address.map(|it| it.medium.name()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let corpus = std::env::var_os("FYRHUS_CORPUS").map_or(beside, PathBuf::from).join("mbus");
    if !corpus.is_dir() {
        println!("skipped: there is no corpus in {}", corpus.display());
        return None;
    }
    Some(corpus)
}
