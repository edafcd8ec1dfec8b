//! The systemd units, read by systemd itself against a stub root: they load, and they confine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says where"
)]

use std::path::Path;
use std::process::{Command, Output};

use site_tests::paths::root;

const UNITS: [&str; 2] = ["fyrhus.service", "fyrhus-portfolio.service"];

/// Targets that a unit names and a stub root does not have.
const TARGETS: [&str; 8] = [
    "basic.target",
    "multi-user.target",
    "network-online.target",
    "network.target",
    "shutdown.target",
    "sysinit.target",
    "time-sync.target",
    "umount.target",
];

/// A root folder with our units and programs of the right names in it.
fn stub_root() -> tempfile::TempDir {
    let stub = tempfile::tempdir().unwrap();
    let units = stub.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    for folder in ["usr/bin", "bin", "usr/lib/systemd/system"] {
        std::fs::create_dir_all(stub.path().join(folder)).unwrap();
    }
    for program in ["usr/bin/fyrhus", "usr/bin/fyrhus-portfolio", "bin/kill"] {
        std::fs::copy("/bin/true", stub.path().join(program)).unwrap();
    }
    for target in TARGETS {
        std::fs::write(units.join(target), format!("[Unit]\nDescription={target}\n")).unwrap();
    }
    for unit in UNITS {
        std::fs::copy(root().join("systemd").join(unit), units.join(unit)).unwrap();
    }
    stub
}

/// What `systemd-analyze` says; `None` where there is none, which is told, and fails in CI.
fn analyze(stub: &Path, arguments: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(format!("--root={}", stub.display()))
        .args(UNITS)
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            println!("SKIPPED: systemd-analyze cannot be run: {error}");
            assert!(std::env::var_os("CI").is_none(), "CI has systemd-analyze");
            None
        }
    }
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let stub = stub_root();
    let Some(output) = analyze(stub.path(), &["verify", "--man=no"]) else { return };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}

#[test]
fn an_unknown_directive_would_be_found() {
    let stub = stub_root();
    let unit = stub.path().join("etc/systemd/system/fyrhus.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    std::fs::write(&unit, text.replace("WatchdogSec", "WatchdogSecs")).unwrap();
    let Some(output) = analyze(stub.path(), &["verify", "--man=no"]) else { return };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.contains("'WatchdogSecs'"), "{complaints}");
}

#[test]
fn the_units_confine_what_they_start() {
    let stub = stub_root();
    // Exposure of at most 2.0 of 10, in tenths.
    let gate = ["security", "--offline=true", "--threshold=20"];
    let Some(output) = analyze(stub.path(), &gate) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
