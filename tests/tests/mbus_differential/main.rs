//! Our decoder against one that somebody else wrote: record by record, value, unit, storage,
//! tariff, subunit and function have to be the same, over frames of real meters, over cases for
//! each rule, and over telegrams that are thrown together.
//!
//! Where the two differ, one of them is wrong. Each known difference stands in `rules.rs` with the
//! reason why it is not we; those in frames of real meters stand in `frames.rs`, one by one. A
//! difference that is not there fails, and so does one that is there and no longer differs.
//!
//! Compared is the level of `m-bus-parser` that does not allocate, which tells mantissa, power of
//! ten and unit apart.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

mod frames;
mod generated;
mod m_bus_parser;
mod py_meter_bus;
mod rules;
mod said;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mbus::{Control, DecodeError, Frame, Header, Id, Manufacturer, Medium, Primary, Secondary};
use mbus::{Status, ci, write_frame};
use proptest::prelude::*;
use rules::{In, RULES, Rule, Seen};
use said::Said;

/// A record in which the two do not say the same.
#[derive(Debug)]
struct Difference {
    /// Which of the frame's; `None` if one of the two has no records at all.
    record: Option<usize>,
    ours: String,
    theirs: String,
    /// The name of the rule by which it is known.
    known: Option<&'static str>,
}

#[test]
fn frames_of_real_meters() {
    let Some(corpus) = corpus("frames of real meters") else { return };
    let frames = real_frames(&corpus);
    let mut record_count = 0;
    let mut found = BTreeSet::new();
    for (name, bytes) in &frames {
        record_count += ours(bytes).map_or(0, |records| records.len());
        for Difference { record, ours, theirs, known } in differences(bytes) {
            let rule = known.unwrap_or("NOT KNOWN");
            let record = record.map_or("-".to_owned(), |record| record.to_string());
            found.insert(format!("{name} | {record} | {ours} | {theirs} | {rule}"));
        }
    }
    println!("{} frames, {record_count} records, {} differences", frames.len(), found.len());
    check_listed(&found, frames::DIFFERENCES);
    assert!(frames.len() >= 60, "only {} frames", frames.len());
}

/// Of the values as they were sent, with what else says which they are.
#[test]
fn frames_of_real_meters_to_a_third_decoder() {
    let Some(corpus) = corpus("frames of real meters to a third decoder") else { return };
    let (names, frames): (Vec<_>, Vec<_>) = real_frames(&corpus).into_iter().unzip();
    let Some(answers) = py_meter_bus::records(&frames) else { return };
    assert_eq!(answers.len(), frames.len());
    let mut record_count = 0;
    let mut found = BTreeSet::new();
    for ((name, frame), theirs) in names.iter().zip(&frames).zip(answers) {
        // Broken frames are not what it is here for.
        let Ok(ours) = ours(frame) else { continue };
        let ours: Vec<String> = ours
            .iter()
            .flatten()
            .filter_map(|seen| py_meter_bus::as_it_would_say(&said::ours(&seen.record)))
            .collect();
        record_count += ours.len();
        match theirs {
            Err(error) => {
                found.insert(format!("{name} | - | {} records | {error}", ours.len()));
            }
            Ok(theirs) => {
                for record in 0..ours.len().max(theirs.len()) {
                    let said = |by: &[String]| by.get(record).cloned().unwrap_or_default();
                    let (ours, theirs) = (said(&ours), said(&theirs));
                    if ours != theirs {
                        found.insert(format!("{name} | {record} | {ours} | {theirs}"));
                    }
                }
            }
        }
    }
    println!("{} frames, {record_count} records, {} differences", frames.len(), found.len());
    check_listed(&found, py_meter_bus::DIFFERENCES);
}

#[track_caller]
fn check_listed(found: &BTreeSet<String>, listed: &str) {
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not listed: {new:#?}\nno longer so: {gone:#?}");
}

#[test]
fn cases_for_each_rule_of_the_standard() {
    let Some(corpus) = corpus("cases for each rule of the standard") else { return };
    let (mut cases, mut known, mut unknown) = (0, 0, Vec::new());
    for line in fs::read_to_string(corpus.join("examples.jsonl")).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(bytes) = bytes(case["line"].as_str().unwrap()) else { continue };
        if bytes.first() != Some(&0x68) {
            continue;
        }
        cases += 1;
        for difference in differences(&bytes) {
            if difference.known.is_some() {
                known += 1;
            } else {
                unknown.push(format!("{} {}: {difference:?}", case["class"], case["id"]));
            }
        }
    }
    println!("{cases} cases, {known} known differences");
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(cases >= 50, "only {cases} cases");
}

/// A rule without a difference is one to be taken out.
#[test]
fn each_known_difference_is_one() {
    for rule in RULES {
        let body = bytes(rule.sample).unwrap();
        let ci = match rule.name {
            "most significant byte first" => ci::RECORDS_MSB_FIRST,
            "units of the fixed structure" => ci::FIXED,
            _ => ci::RECORDS,
        };
        let frame = frame(ci, &body);
        let known: Vec<_> = differences(&frame).into_iter().map(|it| it.known).collect();
        assert_eq!(known.first(), Some(&Some(rule.name)), "{}", rule.sample);
    }
}

proptest! {
    #[test]
    fn telegrams_that_are_thrown_together(telegram in generated::telegram()) {
        for difference in differences(&telegram) {
            prop_assert!(difference.known.is_some(), "{telegram:02X?} {difference:#?}");
        }
    }
}

/// Everything that the two say differently of a frame.
fn differences(bytes: &[u8]) -> Vec<Difference> {
    let (ours, theirs) = (ours(bytes), m_bus_parser::records(bytes));
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) => return Vec::new(),
        (ours, theirs) => {
            let told = |count: Result<usize, String>| match count {
                Ok(count) => format!("{count} records"),
                Err(error) => error,
            };
            let (ours, theirs) = (ours.map(|it| it.len()), theirs.map(|it| it.len()));
            let known = match &theirs {
                Err(error) if error == m_bus_parser::PANIC => Some(m_bus_parser::PANIC),
                Err(_) => frames::known(bytes),
                Ok(_) => None,
            };
            let (ours, theirs) = (told(ours.map_err(|it| it.to_string())), told(theirs));
            return vec![Difference { record: None, ours, theirs, known }];
        }
    };
    let mut lost: Option<&'static Rule> = None;
    let mut found = Vec::new();
    for record in 0..ours.len().max(theirs.len()) {
        let (ours, theirs) = (ours.get(record), theirs.get(record));
        let rules: Vec<&'static Rule> = match ours {
            Some(Ok(seen)) => RULES.iter().copied().filter(|rule| (rule.applies)(seen)).collect(),
            _ => Vec::new(),
        };
        let ours = ours.map(|it| it.as_ref().map(|seen| said::ours(&seen.record)));
        let theirs = theirs.map(Result::as_ref);
        let is_same = match (&ours, theirs) {
            (Some(Ok(ours)), Some(Ok(theirs))) => ours == theirs,
            (Some(Err(_)), Some(Err(_)) | None) => true,
            _ => false,
        };
        if !is_same {
            let by_rule = rules.iter().find(|rule| match (&ours, theirs) {
                (Some(Ok(ours)), Some(Ok(theirs))) => {
                    let mut mended = ours.clone();
                    for rule in &rules {
                        mend(&mut mended, theirs, rule.differ);
                    }
                    mended == *theirs && is_at_fault(ours, theirs, rule.differ)
                }
                _ => matches!(rule.differ, In::Record | In::RestOfFrame),
            });
            found.push(Difference {
                record: Some(record),
                ours: told(ours.as_ref().map(|it| it.as_ref().map_err(ToString::to_string))),
                theirs: told(theirs.map(|it| it.map_err(ToString::to_string))),
                known: match (lost, by_rule) {
                    (Some(_), _) => Some("behind such a record"),
                    (None, Some(rule)) => Some(rule.name),
                    (None, None) => None,
                },
            });
        }
        lost = lost.or(rules.into_iter().find(|rule| rule.differ == In::RestOfFrame));
    }
    found
}

/// Puts into `said` what `theirs` says where the two may differ.
fn mend(said: &mut Said, theirs: &Said, differ: In) {
    match differ {
        In::Value => said.value = theirs.value.clone(),
        In::Unit => {
            said.value = theirs.value.clone();
            said.unit.clone_from(&theirs.unit);
        }
        In::Record | In::RestOfFrame => *said = theirs.clone(),
    }
}

/// Whether the two differ in what a rule is about.
fn is_at_fault(ours: &Said, theirs: &Said, differ: In) -> bool {
    match differ {
        In::Value => ours.value != theirs.value,
        In::Unit => ours.value != theirs.value || ours.unit != theirs.unit,
        In::Record | In::RestOfFrame => true,
    }
}

fn told(said: Option<Result<&Said, String>>) -> String {
    match said {
        None => "nothing".to_owned(),
        Some(Ok(said)) => said.to_string(),
        Some(Err(error)) => format!("error: {error}"),
    }
}

/// The records of a frame, each of them or its error; or why there are none at all.
fn ours(bytes: &[u8]) -> Result<Vec<Result<Seen<'_>, DecodeError>>, DecodeError> {
    let Frame::Long(long) = Frame::read(bytes)? else { return Ok(Vec::new()) };
    let records = long.telegram()?.records()?;
    Ok(records.map(|record| Ok(Seen { ci: long.ci, record: record? })).collect())
}

/// A frame with a header that both can read.
fn frame(ci: u8, body: &[u8]) -> Vec<u8> {
    let address = Secondary {
        id: Id(0x1234_5678),
        manufacturer: Manufacturer(0x2C2D),
        version: 1,
        medium: Medium::new(4),
    };
    let mut buffer = [0; Frame::MAX_LEN];
    let written = write_frame(&mut buffer, Control::RSP_UD, Primary(1), ci, |w| {
        if ci != ci::RECORDS_WITHOUT_HEADER && ci != ci::FIXED {
            Header::long(address, 1, Status::OK).write(w)?;
        }
        w.bytes(body)
    });
    written.unwrap().to_vec()
}

fn corpus(test: &str) -> Option<PathBuf> {
    Some(site_tests::corpus::folder(test)?.join("mbus"))
}

/// The frames, broken ones too, with their names.
fn real_frames(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let mut frames = Vec::new();
    for folder in ["frames", "frames/errors", "frames/unsupported"] {
        for entry in fs::read_dir(corpus.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "hex")
                && let Some(bytes) = bytes(&fs::read_to_string(&path).unwrap())
            {
                frames.push((path.file_stem().unwrap().to_string_lossy().into_owned(), bytes));
            }
        }
    }
    frames
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}
