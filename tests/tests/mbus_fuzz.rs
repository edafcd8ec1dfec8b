//! The kept cases of the fuzz targets, without a fuzzer: what was found once is not found again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::fmt::Write;

use mbus_fuzz::{TARGETS, cases, seeds};
use site_tests::paths::root;

#[test]
fn kept_cases_hold() {
    for (name, target) in TARGETS {
        let kept = cases(&std::fs::read_to_string(kept_by(name)).unwrap());
        for case in &kept {
            println!("{name} {}", hex(case));
            target(case);
        }
        assert!(kept.len() > 20, "{name} has only {} cases", kept.len());
    }
}

/// `UPDATE=1` adds those that are missing.
#[test]
fn what_our_encoder_writes_is_kept() {
    for (name, _) in TARGETS {
        let kept = std::fs::read_to_string(kept_by(name)).unwrap_or_default();
        let mut lines: BTreeSet<String> = kept.lines().map(str::to_owned).collect();
        let before = lines.len();
        lines.extend(seeds::of(name).iter().map(|seed| hex(seed)));
        if lines.len() > before && std::env::var_os("UPDATE").is_some() {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            std::fs::write(kept_by(name), text).unwrap();
        } else {
            assert_eq!(lines.len(), before, "UPDATE=1 adds what is missing of {name}");
        }
    }
}

fn kept_by(target: &str) -> std::path::PathBuf {
    root().join(format!("tests/fuzz/corpus/{target}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
