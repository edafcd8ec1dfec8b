//! Real folders, with good files and bad ones.

use std::os::unix::fs::symlink;

use super::*;

const GOOD: &str = r#"
schema = 1
id = "example.meter"
vendor = "Example"
models = ["M1"]
medium = "electricity"
status = "document"
source = "its manual"
[modbus]
[[register]]
key = "voltage"
quantity = "voltage"
unit = "V"
kind = "gauge"
[register.modbus]
address = 1
type = "u16"
[[vector]]
read = [{ function = "holding", address = 1, words = ["0x00E6"] }]
expect = { voltage = "230" }
"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// What is told of the folder, without where it is.
#[track_caller]
fn check(dir: &Path, expected: &[&str]) -> Profiles {
    let (profiles, mistakes) = Profiles::load_over(dir);
    let place = format!("{}/", dir.display());
    let told: Vec<String> = mistakes.iter().map(|it| it.to_string().replace(&place, "")).collect();
    assert_eq!(told, expected);
    profiles
}

#[test]
fn a_file_that_is_wrong_is_told_with_all_that_is_wrong_and_the_others_are_read() {
    let two = GOOD.replace("unit = \"V\"", "unit = \"v\"").replace("0x00E6", "E6");
    let dir = folder(&[
        ("a.toml", &two.replace("example.meter", "example.wrong")),
        ("b.toml", GOOD),
        ("c.toml", &GOOD.replace("\"230\"", "\"231\"").replace("example.meter", "example.lies")),
        ("notes.txt", "no profile"),
    ]);
    let profiles = check(
        dir.path(),
        &[
            "a.toml, line 11: unit = \"v\" is not a unit; write V",
            "a.toml, line 18: words are written like \"0x86A0\"",
            "c.toml, line 18: `voltage` is 230, and 231 is expected",
        ],
    );
    assert!(profiles.get("example.meter").is_some());
    assert_eq!(profiles.file("example.meter"), Some(dir.path().join("b.toml").as_path()));
    assert!(profiles.get("example.wrong").is_none() && profiles.get("example.lies").is_none());
    assert!(profiles.ids().contains("example.wrong"), "a configuration may name it");
    assert!(!profiles.ids().contains("example.other"));
    assert_eq!(profiles.text("example.meter").unwrap(), GOOD);
}

#[test]
fn of_two_files_with_one_id_the_first_is_used() {
    let dir = folder(&[("a.toml", GOOD), ("b.toml", &GOOD.replace("\"M1\"", "\"M2\""))]);
    let first = dir.path().join("a.toml");
    let told =
        format!("b.toml, line 1: `example.meter` is in {} already, which is used", first.display());
    let place = format!("{}/", dir.path().display());
    let profiles = check(dir.path(), &[&told.replace(&place, "")]);
    assert_eq!(profiles.get("example.meter").unwrap().models, ["M1"]);
}

#[test]
fn what_is_no_file_is_told_and_nobody_waits_for_it() {
    let dir = folder(&[("a.toml", GOOD)]);
    nix::unistd::mkfifo(&dir.path().join("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(dir.path().join("dir.toml")).unwrap();
    symlink("/nowhere", dir.path().join("gone.toml")).unwrap();
    std::fs::write(dir.path().join("latin.toml"), b"schema = 1\nvendor = \"M\xe5ler\"\n").unwrap();
    std::fs::write(dir.path().join("long.toml"), " ".repeat(300_000)).unwrap();
    let profiles = check(
        dir.path(),
        &[
            "dir.toml, line 1: it is no file",
            "gone.toml, line 1: it cannot be read: No such file or directory (os error 2)",
            "latin.toml, line 2: the file is not UTF-8",
            "long.toml, line 1: a profile has at most 262144 bytes",
            "pipe.toml, line 1: it is no file",
        ],
    );
    assert!(profiles.get("example.meter").is_some());
}

#[test]
fn a_folder_that_is_not_there_or_cannot_be_read_leaves_the_programs_own() {
    let dir = folder(&[("file", "")]);
    let embedded = Profiles::embedded().iter().count();
    assert_eq!(check(&dir.path().join("gone"), &[]).iter().count(), embedded);
    let (profiles, mistakes) = Profiles::load_over(&dir.path().join("file"));
    assert_eq!((profiles.iter().count(), mistakes.len()), (embedded, 1));
}

#[test]
fn what_was_good_goes_on_when_its_file_is_broken() {
    let dir = folder(&[("a.toml", GOOD)]);
    let before = check(dir.path(), &[]);
    let stamp = FolderStamp::of(dir.path());
    assert_eq!(stamp, FolderStamp::of(dir.path()));
    std::fs::write(dir.path().join("a.toml"), format!("{GOOD}\n= broken")).unwrap();
    assert_ne!(stamp, FolderStamp::of(dir.path()));
    let (mut now, mistakes) = Profiles::load_over(dir.path());
    assert_eq!(mistakes.len(), 1);
    assert!(now.get("example.meter").is_none());
    now.keep_of(&before);
    assert!(now.get("example.meter").is_some());

    std::fs::remove_file(dir.path().join("a.toml")).unwrap();
    let (mut now, _) = Profiles::load_over(dir.path());
    now.keep_of(&before);
    assert!(now.get("example.meter").is_none(), "whoever takes it away wants it away");
}

#[test]
fn a_telegram_lies_beside_its_profile_and_nowhere_else() {
    let dir = folder(&[(
        "a.toml",
        &GOOD.replace(
            "read = [{ function = \"holding\", address = 1, words = [\"0x00E6\"] }]",
            "frame = \"../a.hex\"",
        ),
    )]);
    check(dir.path(), &["a.toml, line 18: ../a.hex is not beside the profile"]);
}
