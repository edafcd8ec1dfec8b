//! The kept cases of the fuzz target of customer ports, without a fuzzer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use drivers::han::anything;

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/han.hex")
}

/// `UPDATE=1` adds what is written by hand.
#[test]
fn kept_cases_hold() {
    let text = std::fs::read_to_string(kept()).unwrap_or_default();
    let mut lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let before = lines.len();
    lines.extend(anything::han_cases().iter().map(|case| {
        case.iter().fold(String::new(), |mut line, byte| {
            write!(line, "{byte:02x}").unwrap();
            line
        })
    }));
    if lines.len() > before && std::env::var_os("UPDATE").is_some() {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(kept(), text).unwrap();
    } else {
        assert_eq!(lines.len(), before, "UPDATE=1 adds what is missing");
    }
    for line in lines {
        println!("{line}");
        let byte = |at| u8::from_str_radix(line.get(at..at + 2).unwrap(), 16).unwrap();
        let case: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
        anything::han(&case);
        // Nearly right gets further than anything else.
        for at in 0..case.len() {
            for harm in [0x01, 0x10, 0xFF] {
                let mut harmed = case.clone();
                harmed[at] ^= harm;
                anything::han(&harmed);
            }
        }
    }
}
