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
    ("mbus-fuzz", &["mbus-rs"]),
    ("faultfs", &[]),
    ("own-postgres", &[]),
    ("documents", &[]),
    ("listener", &[]),
    ("ledger", &["metering"]),
    ("statement", &["ledger", "documents"]),
    ("energy", &["metering"]),
    ("mqtt-client", &[]),
    ("drivers", &["metering", "mbus-rs", "mqtt-client"]),
    ("meter-sim", &["metering", "mbus-rs"]),
    ("access", &["metering"]),
    ("openapi", &["access"]),
    ("broker", &["access"]),
    ("store", &["metering", "ledger"]),
    ("sync-wire", &["metering", "ledger"]),
    (
        "web-ui",
        &[
            "metering",
            "ledger",
            "energy",
            "store",
            "access",
            "listener",
            "documents",
            "statement",
            "mbus-rs",
            "openapi",
        ],
    ),
    ("cloud-sync", &["sync-wire", "store", "metering"]),
    (
        "portfolio",
        &[
            "sync-wire",
            "ledger",
            "statement",
            "energy",
            "metering",
            "access",
            "listener",
            "documents",
            "openapi",
        ],
    ),
    (
        "gateway",
        &[
            "metering",
            "mbus-rs",
            "documents",
            "statement",
            "ledger",
            "energy",
            "drivers",
            "mqtt-client",
            "access",
            "broker",
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
            "mqtt-client",
            "meter-sim",
            "access",
            "broker",
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

/// `mbus-rs` runs where there is neither an allocator nor an operating system: nothing in it says
/// otherwise, and nothing that it uses asks for more.
#[test]
fn the_meter_bus_needs_no_allocator() {
    let folder = root().join("drivers/mbus");
    let library = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    assert!(library.contains("#![cfg_attr(not(test), no_std)]"));
    assert!(library.contains("#![forbid(unsafe_code)]"));
    for entry in walk(&folder.join("src")) {
        let text = std::fs::read_to_string(&entry).unwrap();
        // What stands behind the unit tests' mark is theirs.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_of_tests = entry.components().any(|part| {
            part.as_os_str().to_str().is_some_and(|part| matches!(part, "tests" | "tests.rs"))
        });
        for word in ["extern crate", "std::vec", "std::string", "alloc::"] {
            assert!(is_of_tests || !code.contains(word), "{} says {word}", entry.display());
        }
    }
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package=mbus-rs", "--edges=normal,features"])
        .args(["--prefix=none"])
        .current_dir(root())
        .output()
        .expect("cargo runs, it is running this test");
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("thiserror"), "the test looks at the real tree: {tree}");
    for line in tree.lines().filter(|line| !line.contains("(proc-macro)")) {
        let asks_for_more = line.contains("feature \"std\"") || line.contains("feature \"alloc\"");
        let by_a_macro = ["proc-macro2", "quote", "syn", "unicode-ident"]
            .iter()
            .any(|name| line.starts_with(name));
        assert!(by_a_macro || !asks_for_more, "{line}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
