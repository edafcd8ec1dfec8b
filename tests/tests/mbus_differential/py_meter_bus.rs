//! What pyMeterBus says of frames of real meters, and where it is known to be wrong.
//!
//! Compared are the values as they were sent: it keeps numbers as floats once their power of ten is
//! in them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use site_tests::paths::root;

use crate::said::{Said, Worth};

/// Each difference: frame, record (from 0, among those with data), what we say, what it says.
///
/// 1. BCD with digits from A to F is no number (EN 13757-3, annex A, type A): it adds them up.
/// 2. A date of day 0 and month 0 is none (EN 13757-3, annex A, type G): it tells it as one.
/// 3. It does not read the fixed structure (EN 13757-3, CI 73).
/// 4. It takes no application error (EN 13757-7, CI 70) for an answer.
/// 5. A record that breaks off costs it those in front of it, which are whole.
pub(crate) const DIFFERENCES: &str = "\
abb_f95 | 2 | error 0 0 0 invalid | error 0 0 0 13110413
abb_f95 | 3 | error 0 0 0 invalid | error 0 0 0 110413
itron_bm_+m | 2 | instantaneous 1 0 0 invalid | instantaneous 1 0 0 2000-00-00
siemens_water | 3 | error 0 0 0 invalid | error 0 0 0 2000-00-00
siemens_wfh21 | 3 | error 0 0 0 invalid | error 0 0 0 2000-00-00
manual_frame2 | - | 2 records | MBusFrameDecodeError
buffer_too_long | - | 0 records | MBusFrameDecodeError
premature_end_of_record | - | 0 records | MBusFrameDecodeError
too_many_difes | - | 0 records | MBusFrameDecodeError
too_many_records | - | 0 records | MBusFrameDecodeError
too_many_vifes | - | 0 records | MBusFrameDecodeError
unspecified_error | - | 0 records | MBusFrameDecodeError
premature_end_of_data1 | - | 2 records | IndexError
premature_end_of_data2 | - | 2 records | IndexError
premature_end_of_dif1 | - | 2 records | IndexError
premature_end_of_dif2 | - | 2 records | IndexError
premature_end_of_vif1 | - | 2 records | IndexError
too_long_var_vif | - | 3 records | IndexError";

/// Its records of each frame, or its error; `None`, with a word, where it is not installed.
pub(crate) fn records(frames: &[Vec<u8>]) -> Option<Vec<Result<Vec<String>, String>>> {
    let python = root().join("target/peers/bin/python");
    let has_peer = Command::new(&python).args(["-c", "import meterbus"]).output();
    if !has_peer.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no pyMeterBus in target/peers; image/prepare.sh installs it");
        assert!(std::env::var_os("CI").is_none(), "CI has pyMeterBus");
        return None;
    }
    let mut peer = Command::new(python)
        .arg(root().join("tests/peers/meterbus_decode.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = frames.iter().map(|frame| hex(frame).join("") + "\n").collect();
    let mut to_peer = peer.stdin.take().unwrap();
    // What it answers is far less than a pipe holds, so it can be asked everything at once.
    let asking = std::thread::spawn(move || to_peer.write_all(lines.concat().as_bytes()));
    let answers = peer.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let answers = String::from_utf8(answers.stdout).unwrap();
    Some(answers.lines().map(|line| answer(&serde_json::from_str(line).unwrap())).collect())
}

fn answer(answer: &Value) -> Result<Vec<String>, String> {
    if let Some(error) = answer["error"].as_str() {
        // The class of an exception is steady, its words are not.
        return Err(error.split(':').next().unwrap_or_default().to_owned());
    }
    let record = |it: &Value| {
        let (function, value) = (it[0].as_str().unwrap(), it[4].as_str().unwrap());
        let value = match value.parse::<f64>() {
            // A real, as Python writes it.
            Ok(real) if value.contains('.') => real.to_string(),
            _ => value.to_owned(),
        };
        format!("{function} {} {} {} {value}", it[1], it[2], it[3])
    };
    Ok(answer["records"].as_array().unwrap().iter().map(record).collect())
}

/// The same of ours; `None` of a record without data, of which it tells nothing.
pub(crate) fn as_it_would_say(said: &Said) -> Option<String> {
    let value = match &said.value {
        Worth::Number(mantissa, _) if *mantissa == 0.0 => "0".to_owned(),
        Worth::Number(mantissa, _) => mantissa.to_string(),
        Worth::Text(text) => text.clone(),
        Worth::Bytes(bytes) => hex(bytes).join(" "),
        Worth::Date(date) => date.clone(),
        Worth::Invalid => "invalid".to_owned(),
        Worth::Nothing => return None,
    };
    let Said { function, storage, tariff, subunit, .. } = said;
    Some(format!("{function} {storage} {tariff} {subunit} {value}"))
}

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
