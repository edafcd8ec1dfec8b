//! The kept cases of the fuzz target of the blocks, without a fuzzer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/blocks.hex")
}

/// `UPDATE=1` adds what our own encoders write.
#[test]
fn kept_cases_hold() {
    let text = std::fs::read_to_string(kept()).unwrap_or_default();
    let mut lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let before = lines.len();
    lines.extend(store::anything::block_cases().iter().map(|case| {
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
        store::anything::blocks(&case);
        // Nearly right gets further than anything else.
        for at in (0..case.len()).step_by(7) {
            let mut harmed = case.clone();
            harmed[at] ^= 0x10;
            store::anything::blocks(&harmed);
        }
    }
}
