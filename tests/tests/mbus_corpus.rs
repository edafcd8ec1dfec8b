//! Telegrams of real meters, and cases for nearly every rule, through the program that installers
//! and other programs use: `fyrhus mbus decode`.
//!
//! What is known of each telegram is compared in every key: link, header, layers, errors with
//! their offset, and each record with its bytes, quantity, unit, modifiers, value and validity.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a key that is absent reads as null")]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

#[path = "mbus_corpus/schema.rs"]
mod schema;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value};
use site_tests::{corpus, paths};

#[test]
fn frames_of_real_meters_say_what_they_are_known_to_say() {
    let Some(corpus) = corpus("frames of real meters say what they are known to say") else {
        return;
    };
    let mut count = Count::default();
    let frames = real_frames(&corpus);
    let lines: Vec<&str> = frames.iter().map(|(_, line, _)| line.as_str()).collect();
    let run = Run::of(&lines, &["--json"]);
    assert_eq!(run.status, Some(1), "some frames are wrong on purpose");
    for ((name, _, expected), decoded) in frames.iter().zip(run.objects()) {
        count.compare(name, &decoded, expected.as_object().unwrap());
    }
    count.report("frames of real meters");
    assert!(count.frames >= 70, "only {} frames", count.frames);
}

/// All in one run: full frames teach the formats of compact ones.
#[test]
fn cases_for_each_rule_come_out_as_expected() {
    let Some(corpus) = corpus("cases for each rule come out as expected") else { return };
    let mut count = Count::default();
    let cases = cases(&corpus);
    let lines: Vec<&str> = cases.iter().map(|case| case["line"].as_str().unwrap()).collect();
    let run = Run::of(&lines, &["--json"]);
    for (case, decoded) in cases.iter().zip(run.objects()) {
        let name = format!("{} {}", case["class"].as_str().unwrap(), case["id"]);
        count.compare(&name, &decoded, case["expect"].as_object().unwrap());
    }
    count.report("cases");
    assert!(count.frames >= 99, "only {} cases", count.frames);
}

/// Telegrams from among those of drivers for single meters, with their keys: the numbers that a
/// driver shows are found.
#[test]
fn telegrams_of_drivers_hold_the_numbers_that_the_drivers_show() {
    let Some(corpus) = corpus("telegrams of drivers hold the numbers that the drivers show") else {
        return;
    };
    let (mut sets, mut telegrams, mut numbers) = (0, 0, 0);
    let mut missing = Vec::new();
    for set in drivers(&corpus) {
        let lines: Vec<&str> =
            set["telegrams"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let key = set["key"].as_str();
        let mut arguments = vec!["--json"];
        arguments.extend(key.iter().flat_map(|key| ["--key", key]));
        let run = Run::of(&lines, &arguments);
        sets += 1;
        telegrams += lines.len();
        let found: Vec<f64> = run
            .objects()
            .iter()
            .flat_map(|decoded| decoded["records"].as_array().unwrap().clone())
            .filter_map(|record| record["value"].as_str()?.parse().ok())
            .collect();
        for (field, expected) in set["fields"].as_object().unwrap() {
            let Some(number) = expected["value"].as_f64().filter(|_| expected["generic"] == true)
            else {
                continue;
            };
            numbers += 1;
            if !found.iter().any(|it| is_near(*it, number)) {
                missing.push(format!("{} {} {field} {number}", set["driver"], set["id"]));
            }
        }
    }
    println!("{sets} sets of {telegrams} telegrams of drivers, {numbers} numbers");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(telegrams >= 250, "only {telegrams} telegrams");
}

/// A driver may count in kWh or hours what the meter counts in J or days, and prints six digits
/// behind the point.
fn is_near(number: f64, shown: f64) -> bool {
    const FACTORS: [f64; 12] = [
        1.0,
        1e3,
        1e-3,
        1e6,
        1e-6,
        1e-9,
        24.0,
        1.0 / 24.0,
        1.0 / 60.0,
        1.0 / 3600.0,
        3600.0,
        1.0 / 3.6e6,
    ];
    FACTORS.iter().any(|factor| (number * factor - shown).abs() <= 1e-5 * shown.abs() + 1e-6)
}

/// Of all telegrams, and of each with its end cut off, with a byte flipped, and with a byte twice.
#[test]
fn every_object_keeps_the_format_key_by_key() {
    let Some(corpus) = corpus("every object keeps the format key by key") else { return };
    let mut lines = all_lines(&corpus);
    let damaged: Vec<String> = lines.iter().enumerate().flat_map(damaged).collect();
    lines.extend(damaged);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let objects = Run::of(&lines, &["--json"]).objects();
    let mut wrong = Vec::new();
    for (line, decoded) in lines.iter().zip(&objects) {
        let faults = schema::faults(decoded, digits(line).len() / 2);
        wrong.extend(faults.into_iter().map(|fault| format!("{line}: {fault}")));
    }
    let codes = schema::codes(&objects);
    println!("{} objects with {} kinds of errors: {codes:?}", objects.len(), codes.len());
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert!(codes.len() >= 30, "only {} kinds of errors", codes.len());
}

/// The hex digits of a line, without its keys.
fn digits(line: &str) -> String {
    line.split_whitespace().filter(|word| !word.starts_with("key=")).collect()
}

/// The `number`th line in four other forms, of which the last two have a right checksum.
fn damaged((number, line): (usize, &String)) -> Vec<String> {
    let hex = digits(line);
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    if bytes.len() < 12 || 2 * bytes.len() != hex.len() {
        return Vec::new();
    }
    // Somewhere else in each.
    let at = 7 + number * 7919 % (bytes.len() - 9);
    let flipped = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (number % 8);
        let sum = bytes.len() - 2;
        if bytes[0] == 0x68 {
            flipped[sum] = flipped[4..sum].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        }
        flipped
    };
    let mut twice = bytes.clone();
    twice.insert(at, bytes[at]);
    let keys: Vec<&str> = line.split_whitespace().filter(|it| it.starts_with("key=")).collect();
    [bytes[..at].to_vec(), twice, flipped(at), flipped(7 + number % 5)]
        .iter()
        .map(|bytes| {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("{} {}", digits.concat(), keys.join(" "))
        })
        .collect()
}

#[test]
fn every_byte_of_every_telegram_is_explained_once() {
    let Some(corpus) = corpus("every byte of every telegram is explained once") else { return };
    let lines = all_lines(&corpus);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = Run::of(&lines, &["--json", "--explain"]);
    let (mut telegrams, mut bytes) = (0, 0);
    for (line, decoded) in lines.iter().zip(run.objects()) {
        let Some(pieces) = decoded["explain"].as_array() else {
            assert_eq!(decoded["error"]["code"], "hex", "{line}");
            continue;
        };
        let mut at = 0;
        for piece in pieces {
            let length = piece["length"].as_u64().unwrap();
            assert_eq!(piece["offset"], at, "{line}");
            assert_eq!(piece["hex"].as_str().unwrap().len() as u64, 2 * length, "{line}");
            assert!(length > 0 && !piece["meaning"].as_str().unwrap().is_empty(), "{line}");
            at += length;
        }
        let digits = line.split_whitespace().filter(|word| !word.starts_with("key="));
        assert_eq!(2 * at, digits.map(|word| word.len() as u64).sum::<u64>(), "{line}");
        if decoded["ok"] == true {
            let fault = pieces.iter().find(|piece| piece["fault"] == true);
            assert!(fault.is_none(), "{line}: {fault:?}");
        }
        telegrams += 1;
        bytes += at;
    }
    println!("{telegrams} telegrams, {bytes} bytes");
    assert!(telegrams >= 400, "only {telegrams} telegrams");
}

/// An installer's terminal has 80 columns, and takes no orders from a meter.
#[test]
fn what_people_read_fits_their_terminal() {
    let Some(corpus) = corpus("what people read fits their terminal") else { return };
    let lines = all_lines(&corpus);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for arguments in [&[][..], &["--explain"]] {
        let run = Run::of(&lines, arguments);
        let longest = run.stdout.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= 80, "{longest}");
        let steers = |it: char| it.is_control() && it != '\n';
        assert_eq!(run.stdout.lines().find(|line| line.contains(steers)), None);
    }
}

/// One run of the program over lines of its standard input.
struct Run {
    stdout: String,
    status: Option<i32>,
    lines: usize,
}

impl Run {
    #[track_caller]
    fn of(lines: &[&str], arguments: &[&str]) -> Self {
        let mut input = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut input, (lines.join("\n") + "\n").as_bytes()).unwrap();
        let output = Command::new(paths::binary("fyrhus").unwrap())
            .args(["mbus", "decode"])
            .args(arguments)
            .arg("-")
            .stdin(File::open(input.path()).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Self { stdout, status: output.status.code(), lines: lines.len() }
    }

    /// One for each line, and the status that follows from them.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        let objects: Vec<Value> =
            self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), self.lines);
        let all = objects.iter().all(|decoded| decoded["ok"] == true);
        assert_eq!(self.status, Some(i32::from(!all)));
        objects
    }
}

/// Name, hex digits in one line, and what is known of each frame.
fn real_frames(corpus: &Path) -> Vec<(String, String, Value)> {
    let truth = fs::read_to_string(corpus.join("truth.json")).unwrap();
    let truth: BTreeMap<String, Value> = serde_json::from_str(&truth).unwrap();
    let folders =
        [("good", "frames"), ("errors", "frames/errors"), ("unsupported", "frames/unsupported")];
    let mut frames = Vec::new();
    for (kind, folder) in folders {
        for (name, expected) in truth[kind].as_object().unwrap() {
            let hex = fs::read_to_string(corpus.join(folder).join(format!("{name}.hex"))).unwrap();
            let line = hex.split_whitespace().collect::<Vec<_>>().join(" ");
            frames.push((name.clone(), line, expected.clone()));
        }
    }
    frames
}

fn cases(corpus: &Path) -> Vec<Value> {
    let text = fs::read_to_string(corpus.join("examples.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn drivers(corpus: &Path) -> Vec<Value> {
    let text = fs::read_to_string(corpus.join("wireless.json")).unwrap();
    let mut drivers: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(drivers["telegrams"].take()).unwrap()
}

fn all_lines(corpus: &Path) -> Vec<String> {
    let mut lines: Vec<String> = real_frames(corpus).into_iter().map(|(_, line, _)| line).collect();
    lines.extend(cases(corpus).iter().map(|case| case["line"].as_str().unwrap().to_owned()));
    for set in drivers(corpus) {
        let key = set["key"].as_str().map(|key| format!(" key={key}")).unwrap_or_default();
        for telegram in set["telegrams"].as_array().unwrap() {
            lines.push(format!("{}{key}", telegram.as_str().unwrap()));
        }
    }
    lines
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
                "error" if expected.is_object() => {
                    let error = &decoded[key];
                    let anywhere = expected["offset"].is_null();
                    let there = anywhere || error["offset"] == expected["offset"];
                    if error["code"] != expected["code"] || !there {
                        self.tell(name, key, error, expected);
                    }
                    if error["message"].as_str().is_none_or(str::is_empty) {
                        self.tell(name, "message", error, expected);
                    }
                }
                _ if decoded.get(key) == Some(expected) => {}
                _ => self.tell(name, key, &decoded[key], expected),
            }
        }
        self.frames_equal += usize::from(self.wrong.len() == wrong_before);
    }

    fn compare_records(&mut self, name: &str, decoded: &Value, expected: &Value) {
        let (decoded, expected) = (decoded.as_array().unwrap(), expected.as_array().unwrap());
        self.records += expected.len();
        if decoded.len() != expected.len() {
            let (found, wanted) = (decoded.len(), expected.len());
            self.wrong.push(format!("{name}: {found} records instead of {wanted}"));
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

fn corpus(test: &str) -> Option<PathBuf> {
    corpus::folder(test).map(|folder| folder.join("mbus"))
}
