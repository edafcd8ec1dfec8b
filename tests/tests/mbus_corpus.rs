//! Frames of real meters, and cases for nearly every rule, against what they are known to say.
//!
//! Every wired frame of the public corpus is decoded into the object of its truth file, and the two
//! must be equal in each key: link, header, errors with their offset, and each record with its
//! bytes, quantity, unit, modifiers, value and validity. Another decoder of the field is asked who
//! is speaking, and nothing else: of the values it has some that are wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a key that is absent reads as null")]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mbus::{Content, DecodeError, Frame, Header, Record, Records, Telegram, Value as Worth};
use serde_json::{Map, Value, json};

#[test]
fn frames_of_real_meters_say_what_they_are_known_to_say() {
    let Some(corpus) = corpus("frames of real meters say what they are known to say") else {
        return;
    };
    let truth: BTreeMap<String, Value> =
        serde_json::from_str(&fs::read_to_string(corpus.join("truth.json")).unwrap()).unwrap();
    let mut count = Count::default();
    for (kind, folder) in
        [("good", "frames"), ("errors", "frames/errors"), ("unsupported", "frames/unsupported")]
    {
        for (name, expected) in truth[kind].as_object().unwrap() {
            let path = corpus.join(folder).join(format!("{name}.hex"));
            let decoded = decode(&fs::read_to_string(path).unwrap());
            count.compare(name, &decoded, expected.as_object().unwrap());
        }
    }
    count.report("frames of real meters");
    assert!(count.frames >= 70, "only {} frames", count.frames);
}

#[test]
fn cases_for_each_rule_come_out_as_expected() {
    let Some(corpus) = corpus("cases for each rule come out as expected") else { return };
    let mut count = Count::default();
    let mut elsewhere = 0;
    for line in fs::read_to_string(corpus.join("examples.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = case["line"].as_str().unwrap();
        if !is_for_wired_reader(text) {
            elsewhere += 1;
            continue;
        }
        let name = format!("{} {}", case["class"].as_str().unwrap(), case["id"]);
        count.compare(&name, &decode(text), case["expect"].as_object().unwrap());
    }
    count.report("cases");
    println!("{elsewhere} cases are of radio frames, keys or compact frames, and left out");
    assert!(count.frames >= 50, "only {} cases", count.frames);
}

/// Wired telegrams from among those of drivers for single meters: their numbers are found.
#[test]
fn telegrams_of_drivers_hold_the_numbers_that_the_drivers_show() {
    let Some(corpus) = corpus("telegrams of drivers hold the numbers that the drivers show") else {
        return;
    };
    let drivers: Value =
        serde_json::from_str(&fs::read_to_string(corpus.join("wireless.json")).unwrap()).unwrap();
    let (mut telegrams, mut numbers, mut missing) = (0, 0, Vec::new());
    for set in drivers["telegrams"].as_array().unwrap() {
        let frames: Vec<&str> = set["telegrams"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect();
        if !frames.iter().all(|text| is_for_wired_reader(text)) {
            continue;
        }
        let mut found = Vec::new();
        for text in frames {
            let decoded = decode(text);
            assert_eq!(decoded["ok"], true, "{text}: {}", decoded["error"]);
            telegrams += 1;
            let records = decoded["records"].as_array().unwrap();
            found.extend(records.iter().filter_map(scaled));
        }
        for (field, expected) in set["fields"].as_object().unwrap() {
            let Some(expected_number) = expected["value"].as_f64() else { continue };
            if expected["generic"] != true {
                continue;
            }
            numbers += 1;
            // A driver may count in kWh or hours what the meter counts in J or days, and prints a
            // few digits.
            let factors = [
                1.0,
                1e3,
                1e-3,
                1e6,
                1e-6,
                1e-9,
                24.0,
                1.0 / 60.0,
                1.0 / 3600.0,
                3600.0,
                1.0 / 3.6e6,
            ];
            let near = |number: &f64| {
                factors.iter().any(|factor| {
                    (number * factor - expected_number).abs() <= 1e-5 * expected_number.abs() + 1e-9
                })
            };
            if !found.iter().any(near) {
                missing.push(format!("{} {field} {expected_number}", set["driver"]));
            }
        }
    }
    println!("{telegrams} wired telegrams of drivers, {numbers} numbers");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(telegrams >= 20, "only {telegrams} telegrams");
}

fn scaled(record: &Value) -> Option<f64> {
    record["value"].as_str()?.parse().ok()
}

/// Number, maker, generation and access number of every frame whose long header the other decoder
/// reads; it reads no number with digits from A to F.
#[test]
fn another_decoder_finds_the_same_meters() {
    let Some(corpus) = corpus("another decoder finds the same meters") else { return };
    let mut compared = 0;
    for entry in fs::read_dir(corpus.join("frames")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let bytes = bytes(&fs::read_to_string(&path).unwrap()).unwrap();
        let Some(theirs) = header_by_another_decoder(&bytes) else { continue };
        let ours = &decode_bytes(&bytes)["header"];
        let ours = ["id", "manufacturer", "version", "access_number"].map(|key| ours[key].clone());
        assert_eq!(ours, theirs, "{}", path.display());
        compared += 1;
    }
    println!("{compared} frames are of the same meter to another decoder, too");
    assert!(compared > 40, "only {compared} frames");
}

fn header_by_another_decoder(bytes: &[u8]) -> Option<[Value; 4]> {
    use m_bus_parser::WiredFrame;
    use m_bus_parser::user_data::UserDataBlock;

    let WiredFrame::LongFrame { data, .. } = WiredFrame::try_from(bytes).ok()? else { return None };
    let block = UserDataBlock::try_from(data).ok()?;
    let UserDataBlock::VariableDataStructureWithLongTplHeader { long_tpl_header, .. } = block
    else {
        return None;
    };
    let manufacturer =
        long_tpl_header.manufacturer.ok().map(|it| it.code.iter().collect::<String>());
    Some([
        long_tpl_header.identification_number.to_string().into(),
        manufacturer.into(),
        long_tpl_header.version.into(),
        long_tpl_header.short_tpl_header.access_number.into(),
    ])
}

/// What was compared, and what was wrong.
#[derive(Default)]
struct Count {
    frames: usize,
    frames_equal: usize,
    records: usize,
    records_equal: usize,
    wrong: Vec<String>,
}

impl Count {
    fn compare(&mut self, name: &str, decoded: &Value, expected: &Map<String, Value>) {
        self.frames += 1;
        let wrong_before = self.wrong.len();
        for (key, expected) in expected {
            match key.as_str() {
                "adjudicated" => {}
                "records" => self.compare_records(name, &decoded[key], expected),
                "error" if is_error_anywhere(expected) => {
                    if decoded[key]["code"] != expected["code"] {
                        self.tell(name, key, &decoded[key], expected);
                    }
                }
                _ if decoded[key] == *expected => {}
                _ => self.tell(name, key, &decoded[key], expected),
            }
        }
        self.frames_equal += usize::from(self.wrong.len() == wrong_before);
    }

    fn compare_records(&mut self, name: &str, decoded: &Value, expected: &Value) {
        let (decoded, expected) = (decoded.as_array().unwrap(), expected.as_array().unwrap());
        self.records += expected.len();
        if decoded.len() != expected.len() {
            self.wrong.push(format!(
                "{name}: {} records instead of {}",
                decoded.len(),
                expected.len()
            ));
        }
        for (index, (decoded, expected)) in decoded.iter().zip(expected).enumerate() {
            if decoded == expected {
                self.records_equal += 1;
            } else {
                self.tell(&format!("{name}, record {index}"), "", decoded, expected);
            }
        }
    }

    fn tell(&mut self, name: &str, key: &str, decoded: &Value, expected: &Value) {
        self.wrong.push(format!("{name} {key}\n   decoded {decoded}\n  expected {expected}"));
    }

    #[track_caller]
    fn report(&self, of: &str) {
        println!(
            "{of}: {} of {} equal in all keys; {} of {} records",
            self.frames_equal, self.frames, self.records_equal, self.records
        );
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

fn is_error_anywhere(expected: &Value) -> bool {
    expected.get("offset").is_some_and(Value::is_null)
}

/// Radio frames, keys and compact frames are read by other parts.
fn is_for_wired_reader(line: &str) -> bool {
    let Some(bytes) = bytes(line) else { return false };
    match *bytes {
        [0xE5] | [0x10, _, _, _, 0x16] => true,
        [0x68, l, again, start, ..] => {
            let compact = matches!(bytes.get(6), Some(0x79 | 0x7B));
            (start == 0x68 || l == again) && !compact
        }
        _ => false,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn decode(text: &str) -> Value {
    if let Some(bytes) = bytes(text) {
        return decode_bytes(&bytes);
    }
    // Only an odd number of digits is found here.
    let at = text.split_whitespace().map(str::len).sum::<usize>() / 2;
    let mut decoded = nothing();
    decoded["error"] = json!({"code": "hex", "offset": at});
    decoded
}

fn decode_bytes(bytes: &[u8]) -> Value {
    let mut decoded = nothing();
    if let Err(error) = read_frame(bytes, &mut decoded) {
        decoded["error"] = json!({"code": error.flaw.code(), "offset": error.at});
    }
    decoded["ok"] = decoded["error"].is_null().into();
    decoded
}

fn nothing() -> Value {
    json!({
        "ok": false, "error": null, "link": null, "ci": null, "header": null, "ell": null,
        "afl": null, "encryption": null, "records": [], "more_records_follow": false,
        "manufacturer_data": null, "application_error": null, "alarm": null,
    })
}

fn read_frame(bytes: &[u8], decoded: &mut Value) -> Result<(), DecodeError> {
    let long = match Frame::read(bytes)? {
        Frame::Ack => {
            decoded["link"] = json!({"type": "ack"});
            return Ok(());
        }
        Frame::Short { control, address } => {
            decoded["link"] = json!({"type": "short", "control": control.0, "address": address.0});
            return Ok(());
        }
        Frame::Long(long) => long,
    };
    let kind = if long.data.is_empty() { "control" } else { "long" };
    decoded["link"] = json!({"type": kind, "control": long.control.0, "address": long.address.0});
    decoded["ci"] = long.ci.into();
    let Telegram { header, content, .. } = long.telegram()?;
    decoded["header"] = header.as_ref().map_or(Value::Null, header_object);
    match content {
        Content::Records(records) => read_records(records, decoded),
        Content::Sealed(sealed) => {
            let plain = sealed.plain();
            let state = match (&plain, sealed.mode) {
                (Some(_), _) => "plain_marked",
                (None, 5 | 7) => "key_missing",
                _ => "unsupported",
            };
            decoded["encryption"] = json!({"layer": "tpl", "mode": sealed.mode, "state": state});
            read_records(plain.ok_or(sealed.error())?, decoded)
        }
        Content::Error(error) => {
            decoded["application_error"] = json!({"code": error.0, "name": error.name()});
            Ok(())
        }
        Content::Alarm(status) => {
            decoded["alarm"] = json!({ "status": status });
            Ok(())
        }
    }
}

fn header_object(header: &Header) -> Value {
    let short = header.configuration.is_some() || header.id.is_some();
    json!({
        "id": header.id.map(|id| id.to_string()),
        "manufacturer": header.manufacturer.and_then(mbus::Manufacturer::letters)
            .map(|letters| letters.iter().collect::<String>()),
        "manufacturer_code": header.manufacturer.map(|manufacturer| manufacturer.0),
        "version": header.version,
        "medium": header.medium.map(mbus::Medium::code),
        "medium_name": header.medium.map(mbus::Medium::name),
        "access_number": short.then_some(header.access_number),
        "status": short.then_some(header.status.0),
        "signature": header.configuration.map(|field| format!("{:04X}", field.0)),
    })
}

fn read_records(mut records: Records<'_>, decoded: &mut Value) -> Result<(), DecodeError> {
    let list = decoded["records"].as_array_mut().unwrap();
    for record in records.by_ref() {
        list.push(record_object(&record?));
    }
    if let Some(trailer) = records.trailer() {
        decoded["manufacturer_data"] = hex(trailer.manufacturer_data).into();
        decoded["more_records_follow"] = trailer.more_follow.into();
    }
    Ok(())
}

fn record_object(record: &Record<'_>) -> Value {
    let (value, error) = match record.value() {
        Ok(Worth::None) => (None, None),
        Ok(value) => (Some(value.to_string()), None),
        Err(invalid) => (None, Some(invalid.code())),
    };
    let data_type = record.data_type();
    let modifiers: Vec<String> = record.vib.modifiers().map(|m| m.to_string()).collect();
    json!({
        "dib": hex(record.dib_bytes()),
        "vib": hex(record.vib.bytes()),
        "data": hex(record.data()),
        "function": record.dib.function.as_str(),
        "storage": record.dib.storage.get(),
        "tariff": record.dib.tariff.get(),
        "subunit": record.dib.subunit.get(),
        "quantity": record.vib.quantity.as_str(),
        "unit": (!record.vib.unit.is_none()).then(|| record.vib.unit.to_string()),
        "modifiers": modifiers,
        "type": data_type.as_str(),
        "value": value,
        "exponent": data_type.is_number().then_some(record.vib.exponent),
        "valid": error.is_none(),
        "error": error,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

/// The folder of M-Bus frames.
fn corpus(test: &str) -> Option<PathBuf> {
    Some(site_tests::corpus::folder(test)?.join("mbus"))
}
