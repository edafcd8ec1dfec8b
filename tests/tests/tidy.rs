//! House rules that a compiler does not know, each as a test over the files that git tracks.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::process::Command;

use site_tests::paths::root;

/// Tracked files with one of these endings, as paths from the root, with their text.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is what this folder came from");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<_> = listed
        .lines()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        .filter_map(|path| {
            Some((path.to_owned(), std::fs::read_to_string(root().join(path)).ok()?))
        })
        .collect();
    assert!(!files.is_empty(), "there are files that end in {endings:?}");
    files
}

#[test]
fn the_root_holds_the_fixed_folders_and_no_other() {
    let folders: BTreeSet<_> = files(&[""])
        .iter()
        .filter_map(|(path, _)| path.split_once('/'))
        .map(|(folder, _)| folder.to_owned())
        .filter(|folder| !folder.starts_with('.'))
        .collect();
    let fixed = ["cloud-sync", "drivers", "gateway", "image", "systemd", "tests", "web-ui"];
    assert_eq!(folders, fixed.map(str::to_owned).into());
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let migrations = files(&[".sql"]);
    let folders: BTreeSet<_> = migrations
        .iter()
        .filter_map(|(path, _)| path.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .filter(|folder| folder.contains("migrations"))
        .collect();
    assert!(!folders.is_empty());
    for folder in folders {
        let numbers: Vec<usize> = migrations
            .iter()
            .filter_map(|(path, _)| path.strip_prefix(folder)?.strip_prefix('/'))
            .map(|name| {
                name.get(..4)
                    .and_then(|number| number.parse().ok())
                    .unwrap_or_else(|| panic!("{folder}/{name} begins with four digits"))
            })
            .collect();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "in {folder}");
    }
}

#[test]
fn every_profile_has_a_vector() {
    for (path, text) in files(&[".toml"]) {
        if path.starts_with("drivers/profiles/") {
            assert!(text.contains("[[vector]]"), "{path} is never tried");
        }
    }
}

#[test]
fn nothing_is_left_to_do_without_a_name() {
    let marks = ["TODO", "FIXME", "XXX"].map(|mark| format!("{mark}:"));
    for (path, text) in files(&[".rs", ".ts", ".svelte", ".sh", ".sql", ".toml", ".css"]) {
        for (line, text) in text.lines().enumerate() {
            let found = marks.iter().any(|mark| text.contains(mark.as_str()));
            assert!(!found, "{path}:{}: say who and why, or do it", line + 1);
        }
    }
}

#[test]
fn no_file_is_about_everything() {
    // Longer ones are split, or stand here with the reason why they are one thing.
    const LONG: &[&str] = &[
        "web-ui/app/src/lib/api.gen.ts",       // made from the API's document
        "web-ui/app/src/portfolio/api.gen.ts", // the same
        "web-ui/app/src/gateway/Analysis.svelte", // one page: a third of it is its tables
    ];
    let long: Vec<_> = files(&[".rs", ".ts", ".svelte"])
        .into_iter()
        .filter(|(path, text)| text.lines().count() > 700 && !LONG.contains(&path.as_str()))
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn decision_records_are_numbered_and_say_what_would_prove_them_wrong() {
    let records: Vec<_> = files(&[".md"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("gateway/docs/decisions/"))
        .collect();
    let numbers: BTreeSet<_> = records
        .iter()
        .filter_map(|(path, _)| path.rsplit('/').next()?.get(..4)?.parse::<usize>().ok())
        .collect();
    assert_eq!(numbers, (1..=records.len()).collect());
    for (path, text) in records {
        assert!(text.contains("notice that we were wrong"), "{path}");
    }
}
