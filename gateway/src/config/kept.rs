//! The last good copy: what the daemon goes on with when `site.toml` does not load.
//!
//! The copy stands beside the file, as `site.last-good.toml`, so that whoever has broken the file
//! can compare the two, and so that it is there even when the database is not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::check::{MAX_BYTES, Mistake};
use super::site::Site;

/// What there was to start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `site.toml` loads.
    Good {
        /// What it says.
        site: Box<Site>,
        /// The file as it is.
        text: String,
    },
    /// `site.toml` does not load; its last good copy does.
    LastGood {
        /// What the copy says.
        site: Box<Site>,
        /// The copy as it is.
        text: String,
        /// What is wrong with the file.
        mistakes: Vec<Mistake>,
    },
    /// Neither is there or loads: only the pages are served.
    Commissioning {
        /// What is wrong with the file; empty if there is none.
        mistakes: Vec<Mistake>,
    },
}

/// Looks for `site.toml` in the state directory `state`, and for its last good copy.
pub fn find(state: &Path, profiles: &[&str]) -> Found {
    let mistakes = match read(&site_file(state)).and_then(|text| load(text, profiles)) {
        Ok((site, text)) => return Found::Good { site, text },
        Err(mistakes) => mistakes,
    };
    match read(&copy_file(state)).and_then(|text| load(text, profiles)) {
        // A file that was taken away is a mistake too, unless there has never been one.
        Ok((site, text)) => {
            let gone = || Mistake { line: 1, advice: "the file is gone".to_owned() };
            let mistakes = if mistakes.is_empty() { vec![gone()] } else { mistakes };
            Found::LastGood { site, text, mistakes }
        }
        Err(_) => Found::Commissioning { mistakes },
    }
}

/// Keeps `text`, which has loaded, as the last good one.
///
/// # Errors
///
/// If the state directory cannot be written; the old copy is then still there.
pub fn keep(state: &Path, text: &str) -> io::Result<()> {
    replace(&copy_file(state), text)
}

/// Puts `text`, which has loaded, in place as `site.toml`.
///
/// # Errors
///
/// If the state directory cannot be written; the old file is then still there.
pub fn save(state: &Path, text: &str) -> io::Result<()> {
    replace(&site_file(state), text)
}

/// Where the building's file is.
pub fn site_file(state: &Path) -> PathBuf {
    state.join("site.toml")
}

fn copy_file(state: &Path) -> PathBuf {
    state.join("site.last-good.toml")
}

fn load(text: String, profiles: &[&str]) -> Result<(Box<Site>, String), Vec<Mistake>> {
    Site::load(&text, profiles).map(|site| (Box::new(site), text))
}

/// The file's text, or why there is none; no mistake if it was never there.
pub(crate) fn read(file: &Path) -> Result<String, Vec<Mistake>> {
    let unreadable = |error: &dyn std::fmt::Display| {
        vec![Mistake { line: 1, advice: format!("the file cannot be read: {error}") }]
    };
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    opened.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        let advice = "this is not UTF-8: save the file as UTF-8".to_owned();
        vec![Mistake { line, advice }]
    })
}

/// Writes `text` beside `file`, to the disk, and only then puts it in the file's place: after a
/// power cut there is the old one or the new one, whole.
pub(crate) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("toml.new");
    let mut written = OpenOptions::new();
    written.write(true).create(true).truncate(true).mode(0o640);
    let mut written = written.open(&beside)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&beside, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"A\"\n";

    #[test]
    fn without_a_file_there_is_nothing_to_go_on_with_and_nothing_wrong() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(find(state.path(), &[]), Found::Commissioning { mistakes: Vec::new() });
    }

    #[test]
    fn a_broken_file_falls_back_to_its_last_good_copy() {
        let state = tempfile::tempdir().unwrap();
        save(state.path(), "[site]\nname = 3\n").unwrap();
        let Found::Commissioning { mistakes } = find(state.path(), &[]) else { panic!() };
        assert_eq!(mistakes.len(), 2);

        keep(state.path(), GOOD).unwrap();
        let Found::LastGood { site, mistakes, .. } = find(state.path(), &[]) else { panic!() };
        assert_eq!((site.name.as_str(), mistakes.len()), ("A", 2));

        save(state.path(), GOOD).unwrap();
        let Found::Good { site, text } = find(state.path(), &[]) else { panic!() };
        assert_eq!((site.name.as_str(), text.as_str()), ("A", GOOD));
    }

    #[test]
    fn a_file_that_is_gone_is_said_to_be() {
        let state = tempfile::tempdir().unwrap();
        keep(state.path(), GOOD).unwrap();
        let Found::LastGood { mistakes, .. } = find(state.path(), &[]) else { panic!() };
        assert_eq!(mistakes[0].to_string(), "line 1: the file is gone");
    }

    #[test]
    fn a_file_in_another_encoding_is_told_where() {
        let state = tempfile::tempdir().unwrap();
        fs::write(site_file(state.path()), b"[site]\nname = \"M\xe5ler\"\n").unwrap();
        let Found::Commissioning { mistakes } = find(state.path(), &[]) else { panic!() };
        assert_eq!(mistakes[0].to_string(), "line 2: this is not UTF-8: save the file as UTF-8");
    }
}
