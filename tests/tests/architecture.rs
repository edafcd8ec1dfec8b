//! The crate graph of `ARCHITECTURE.md`, as a test.
//!
//! A new edge between our crates is a change of the architecture. Make it here and in that
//! document, in the same commit, and say why in the commit message.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says where"
)]

use std::collections::BTreeSet;
use std::process::Command;

use site_tests::paths::root;

/// Who may use whom, in the order in which data flows. Dev-dependencies are free.
const MAY_USE: &[(&str, &[&str])] = &[
    ("metering", &[]),
    ("mbus-rs", &[]),
    ("documents", &[]),
    ("listener", &[]),
    ("ledger", &["metering"]),
    ("energy", &["metering"]),
    ("drivers", &["metering", "mbus-rs"]),
    ("meter-sim", &["metering", "mbus-rs"]),
    ("access", &["metering"]),
    ("store", &["metering", "ledger"]),
    ("sync-wire", &["metering", "ledger"]),
    (
        "web-ui",
        &["metering", "ledger", "energy", "store", "access", "listener", "documents", "mbus-rs"],
    ),
    ("cloud-sync", &["sync-wire", "store", "metering"]),
    (
        "portfolio",
        &["sync-wire", "ledger", "energy", "metering", "access", "listener", "documents"],
    ),
    (
        "gateway",
        &[
            "metering",
            "mbus-rs",
            "documents",
            "ledger",
            "energy",
            "drivers",
            "access",
            "listener",
            "store",
            "web-ui",
            "cloud-sync",
        ],
    ),
    (
        "site-tests",
        &[
            "metering",
            "mbus-rs",
            "documents",
            "ledger",
            "energy",
            "drivers",
            "meter-sim",
            "access",
            "listener",
            "store",
            "sync-wire",
            "web-ui",
            "cloud-sync",
            "portfolio",
            "gateway",
        ],
    ),
];

/// Every edge between two of our crates, as `(user, used)`, without those of tests.
fn edges() -> Vec<(String, String)> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo runs, it is running this test");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();

    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let user = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["path"].is_string() && dependency["kind"].is_null() {
                let used = dependency["name"].as_str().unwrap();
                edges.push((user.to_owned(), used.to_owned()));
            }
        }
    }
    edges
}

#[test]
fn crates_use_only_what_the_architecture_lets_them_use() {
    let allowed: BTreeSet<(&str, &str)> = MAY_USE
        .iter()
        .flat_map(|(user, used)| used.iter().map(move |used| (*user, *used)))
        .collect();
    let edges = edges();
    assert!(edges.len() > 20, "the test looks at the real graph: {edges:?}");
    let surprises: Vec<_> = edges
        .iter()
        .filter(|(user, used)| !allowed.contains(&(user.as_str(), used.as_str())))
        .collect();
    assert!(surprises.is_empty(), "not in the architecture: {surprises:?}");
}

#[test]
fn the_document_names_every_crate() {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, _) in MAY_USE {
        assert!(document.contains(&format!("`{name}`")), "ARCHITECTURE.md does not name `{name}`");
    }
}
