//! The profiles that somebody has added: a folder of files beside the configuration.
//!
//! A file that is wrong is left out, and everything that is wrong with it is told; the others are
//! read. Its vectors run before it is used, so that one that contradicts itself is not.
//!
//! **Never true:** a file of the folder keeps the program from starting, or another from being read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use toml::de::DeTable;

use super::{Mistake, Profile, Profiles, has_profile_name, vector};

impl Profile {
    /// Reads the profile in `file`, and runs its vectors with the telegrams that lie beside it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it: with the file, or else with what its vectors expect.
    pub fn read(file: &Path) -> Result<Self, Vec<Mistake>> {
        let named = |it: Mistake| Mistake { file: file.display().to_string(), ..it };
        let tried = text(file).and_then(|text| tried(file, &text));
        tried.map_err(|mistakes| mistakes.into_iter().map(named).collect())
    }
}

impl Profiles {
    /// Those of this crate, and over them those of the folder `dir`, which need not exist.
    ///
    /// A file that is wrong is left out, and what is wrong with it is told; the others are read.
    pub fn load_over(dir: &Path) -> (Self, Vec<Mistake>) {
        let mut profiles = Self::embedded();
        let mut mistakes = Vec::new();
        let files: Vec<PathBuf> = match listed(dir) {
            Ok(files) => files.into_iter().filter(|file| has_profile_name(file)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                mistakes.push(mistake(dir, format!("the folder cannot be read: {error}")));
                Vec::new()
            }
        };
        if files.len() > MOST_FILES {
            let advice = format!("only the first {MOST_FILES} files of the folder are read");
            mistakes.push(mistake(dir, advice));
        }
        for file in files.into_iter().take(MOST_FILES) {
            match Profile::read(&file) {
                Ok(profile) => {
                    if let Some(first) = profiles.added.get(&profile.id) {
                        let (id, first) = (&profile.id, first.display());
                        let advice = format!("`{id}` is in {first} already, which is used");
                        mistakes.push(mistake(&file, advice));
                        continue;
                    }
                    profiles.added.insert(profile.id.clone(), file);
                    profiles.by_id.insert(profile.id.clone(), Arc::new(profile));
                }
                Err(wrong) => {
                    profiles.unusable.extend(meant(&file));
                    mistakes.extend(wrong);
                }
            }
        }
        (profiles, mistakes)
    }

    /// Goes on with what `before` had of files that cannot be used any more.
    pub fn keep_of(&mut self, before: &Self) {
        for id in &self.unusable {
            if let (Some(profile), Some(file)) = (before.by_id.get(id), before.added.get(id))
                && !self.added.contains_key(id)
            {
                self.by_id.insert(id.clone(), Arc::clone(profile));
                self.added.insert(id.clone(), file.clone());
            }
        }
    }
}

/// By what a change of a folder is seen: its files, how long they are and when they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderStamp(BTreeSet<(PathBuf, u64, Option<SystemTime>)>);

impl FolderStamp {
    /// That of the folder `dir` as it is now; empty if it is not there.
    pub fn of(dir: &Path) -> Self {
        let stamp = |file: PathBuf| {
            let about = std::fs::metadata(&file).ok()?;
            Some((file, about.len(), about.modified().ok()))
        };
        Self(listed(dir).unwrap_or_default().into_iter().filter_map(stamp).collect())
    }
}

/// The profiles and telegrams of a folder, by name.
fn listed(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.path();
        if has_profile_name(&file) || file.extension() == Some(OsStr::new("hex")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn text(file: &Path) -> Result<String, Vec<Mistake>> {
    let wrong = |advice: String| vec![mistake(file, advice)];
    let about = std::fs::metadata(file).map_err(|it| wrong(format!("it cannot be read: {it}")))?;
    if !about.is_file() {
        // Whoever reads a pipe waits for its other end.
        return Err(wrong("it is no file".to_owned()));
    }
    if about.len() > MAX_FILE {
        return Err(wrong(format!("a profile has at most {MAX_FILE} bytes")));
    }
    let bytes = std::fs::read(file).map_err(|it| wrong(format!("it cannot be read: {it}")))?;
    String::from_utf8(bytes).map_err(|it| {
        let before = it.as_bytes().get(..it.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        vec![Mistake { line, ..mistake(file, "the file is not UTF-8".to_owned()) }]
    })
}

fn tried(file: &Path, text: &str) -> Result<Profile, Vec<Mistake>> {
    let profile = Profile::parse(text)?;
    let dir = file.parent().unwrap_or(Path::new("."));
    // A name, never a path out of the folder.
    let plain = |name: &str| Path::new(name).file_name() == Some(OsStr::new(name));
    let beside = |name: &str| {
        let frame = dir.join(name);
        let about = std::fs::metadata(&frame).ok().filter(|_| plain(name))?;
        let readable = about.is_file() && about.len() <= MAX_FILE;
        readable.then(|| std::fs::read_to_string(frame).ok())?
    };
    let failures = vector::failures(&profile, beside);
    if failures.is_empty() { Ok(profile) } else { Err(failures) }
}

/// The id that a file has which cannot be used: the one in it, or else the one of its name.
fn meant(file: &Path) -> BTreeSet<String> {
    let text = text(file).unwrap_or_default();
    let (root, _) = DeTable::parse_recoverable(&text);
    let written = root.get_ref().get("id").and_then(|id| id.get_ref().as_str()).map(str::to_owned);
    let named = || Some(file.file_stem()?.to_str()?.replacen('-', ".", 1));
    written.or_else(named).into_iter().collect()
}

fn mistake(file: &Path, advice: String) -> Mistake {
    Mistake { file: file.display().to_string(), line: 1, advice }
}

/// A profile of a large meter has some 10 kB.
const MAX_FILE: u64 = 262_144;
/// Each is parsed and tested at the start, which shall be quick.
const MOST_FILES: usize = 1_000;

#[cfg(test)]
mod tests;
