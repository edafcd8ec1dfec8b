//! `fyrhus profile` as whoever writes a profile runs it: every mistake with its file, its line and
//! what to do, and a way from the profile of a similar meter to one's own.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use site_tests::paths;
use tempfile::TempDir;

/// Status, standard output and standard error of `fyrhus profile` in `folder`.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(paths::binary("fyrhus").unwrap())
        .arg("profile")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A water meter with pulses, as it is right.
const RIGHT: &str = r#"schema = 1
id = "example.water"
vendor = "Example"
models = ["W1"]
medium = "water"
status = "document"
source = "its plate"

[[register]]
key = "volume"
quantity = "volume"
unit = "m3"
kind = "counter"
pulse = { per_unit = "100" }

[[vector]]
pulses = 1234
expect = { volume = "12.34" }
"#;

/// Puts `new` in the place of `old` in [`RIGHT`], and expects a mistake at this line.
#[track_caller]
fn check(old: &str, new: &str, line: usize, says: &str) {
    let folder = TempDir::new().unwrap();
    assert!(RIGHT.contains(old), "{old}");
    std::fs::write(folder.path().join("wrong.toml"), RIGHT.replacen(old, new, 1)).unwrap();
    let (status, out, error) = run(folder.path(), &["check", "wrong.toml"]);
    assert_ne!(status, 0, "{out}");
    assert_eq!(error, "", "the mistakes are what was asked for");
    let place = format!("wrong.toml:{line}: ");
    let is_told = out.lines().any(|it| it.starts_with(&place) && it.contains(says));
    assert!(is_told, "{old} -> {new}: {out}");
    assert!(out.contains("wrong.toml would not be used"), "{out}");

    let (_, out, _) = run(folder.path(), &["check", "--json", "wrong.toml"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    let lines: Vec<&Value> =
        told["mistakes"].as_array().unwrap().iter().map(|it| &it["line"]).collect();
    assert!(told["ok"] == false && lines.contains(&&json!(line)), "{out}");
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_to_do() {
    check("schema = 1", "schema = 2", 1, "write 1");
    check("vendor = \"Example\"\n", "", 1, "`vendor` is missing");
    check("medium = \"water\"", "medium = \"beer\"", 5, "beer");
    check("key = \"volume\"", "key = \"volume_total\"", 10, "its parts make \"volume\"");
    check("unit = \"m3\"", "unit = \"kilo watt\"", 10, "is not a unit");
    check("unit = \"m3\"", "unit = \"m3\"\ncolour = \"blue\"", 13, "unknown field `colour`");
    check("per_unit = \"100\"", "per_unit = \"0\"", 14, "how many pulses are one unit");
    check("volume = \"12.34\"", "volume = \"12.35\"", 16, "12.34");
    check("[[vector]]\npulses = 1234\nexpect = { volume = \"12.34\" }\n", "", 1, "vector");
    check("[[register]]", "[[register]", 9, "unclosed");
}

#[test]
fn a_file_that_cannot_be_read_says_so_and_the_others_are_checked() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("right.toml"), RIGHT).unwrap();
    std::fs::write(folder.path().join("bytes.toml"), [0xFF, 0xFE, 0x00]).unwrap();
    let (status, out, _) =
        run(folder.path(), &["check", "missing.toml", "bytes.toml", "right.toml"]);
    assert_ne!(status, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.iter().any(|it| it.starts_with("missing.toml:")), "{out}");
    assert!(lines.iter().any(|it| it.starts_with("bytes.toml:")), "{out}");
    let good = "right.toml is good: example.water, 1 register over pulses, 1 test passed";
    assert!(lines.contains(&good), "{out}");
}

#[test]
fn the_profile_of_a_similar_meter_is_shown_changed_checked_and_listed() {
    let folder = TempDir::new().unwrap();
    let (status, shown, _) = run(folder.path(), &["show", "eastron.sdm630"]);
    assert_eq!(status, 0);
    let own = shown.replace("id     = \"eastron.sdm630\"", "id     = \"mine.sdm630\"");
    assert_ne!(own, shown, "it was changed");
    let profiles = folder.path().join("state/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    std::fs::write(profiles.join("mine-sdm630.toml"), own).unwrap();
    std::fs::write(profiles.join("broken.toml"), RIGHT.replace("\"water\"", "\"beer\"")).unwrap();
    let (status, out, _) = run(folder.path(), &["check", "state/profiles/mine-sdm630.toml"]);
    assert!(status == 0 && out.contains("mine.sdm630"), "{out}");

    // The broken one is told, and spoils nothing.
    let list = ["list", "--wire", "modbus", "--json", "--state", "state"];
    let (status, out, error) = run(folder.path(), &list);
    assert_eq!(status, 0);
    assert!(error.contains("broken.toml:5: `medium`: unknown variant `beer`"), "{error}");
    let ids: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert!(ids.contains(&json!("mine.sdm630")) && ids.contains(&json!("abb.b23")), "{out}");
    assert!(!ids.contains(&json!("kamstrup.multical-403")), "that is on an M-Bus");

    let (status, out, error) = run(folder.path(), &["show", "nobody.nothing"]);
    assert_ne!(status, 0);
    assert_eq!(out, "");
    assert!(error.contains("there is no profile nobody.nothing"), "{error}");
}
