//! Looking at a store from outside, whether a gateway runs in it or not: what its files hold, whether
//! they are as they were written, and a copy of them.
//!
//! Nothing here takes the lock or changes a file of the store.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::chunk;
use crate::error::{Doing, DoingWith, StoreError};
use crate::files::{self, Month};
use crate::spool;
use crate::telegrams;

/// What a file of the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its size with its log.
    pub bytes: u64,
    /// The readings and absences in it; 0 of a file that holds none.
    pub readings: u64,
    /// Those of them that are not packed yet.
    pub spooled: u64,
    /// The pieces in which the others are packed, a day or some hours each.
    pub chunks: usize,
    /// Damaged blocks that were set aside in it.
    pub set_aside: u32,
    /// What is damaged, a sentence each; empty as long as nobody has looked.
    pub damages: Vec<String>,
}

/// What the files of the store in `dir` hold.
///
/// # Errors
///
/// Whatever keeps `dir` from being listed. A file that cannot be read says so in its report.
pub fn stats(dir: &Path) -> Result<Vec<FileReport>, StoreError> {
    look_at_all(dir, false)
}

/// What the files of the store in `dir` hold, and whether every byte of the readings is as it was
/// written. Reads all of it: a minute or so for each gigabyte.
///
/// # Errors
///
/// As [`stats`].
pub fn verify(dir: &Path) -> Result<Vec<FileReport>, StoreError> {
    look_at_all(dir, true)
}

/// What became of times whose readings were damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HadAgain {
    /// How many such times there are, of those whose files are kept.
    pub times: u64,
    /// Those about which the portfolio is still to be asked.
    pub open: u64,
    /// Readings that came back from the portfolio.
    pub recalled: u64,
    /// Readings that came out of meters' memories.
    pub remembered: u64,
}

/// What the store in `dir` has again of what was damaged in it.
///
/// # Errors
///
/// If its `core.db` cannot be read.
pub fn had_again(dir: &Path) -> Result<HadAgain, StoreError> {
    let db = files::open_to_read(&files::core_path(dir))?;
    // Of what only an older version wrote nothing is known.
    if files::version(&db)? < WANTED_SINCE {
        return Ok(HadAgain::default());
    }
    db.query_row(
        "SELECT COUNT(*), COALESCE(SUM(over = 0), 0), COALESCE(SUM(recalled), 0),
                COALESCE(SUM(fetched), 0)
           FROM wanted",
        [],
        |row| {
            let (times, open) = (row.get(0)?, row.get(1)?);
            Ok(HadAgain { times, open, recalled: row.get(2)?, remembered: row.get(3)? })
        },
    )
    .doing("read what is wanted again")
}

/// The migration of `core.db` from which on it is known what the portfolio was asked.
const WANTED_SINCE: usize = 11;

/// Whether this version can open the store in `dir`, as far as the versions of its files say; a damaged one
/// says nothing. Opening it for a trial would write.
///
/// # Errors
///
/// [`StoreError::TooNew`] if a newer version wrote one of them, and whatever keeps `dir` from being listed.
pub fn readable(dir: &Path) -> Result<(), StoreError> {
    for path in paths(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let schema = match &*name {
            "core.db" => &files::CORE,
            "rollup.db" => &files::ROLLUP,
            name if telegrams::number_of(name).is_some() => &files::TELEGRAMS,
            _ => &files::RAW,
        };
        let version = files::open_to_read(&path).and_then(|db| files::version(&db));
        if version.is_ok_and(|version| version > schema.migrations.len()) {
            return Err(StoreError::TooNew { file: path });
        }
    }
    Ok(())
}

/// Copies the store in `dir` to the new folder `to`, while a gateway may be writing: each file as it
/// is at one instant. Whatever is newer than its copy is not in it, and what is in it is whole.
///
/// `core.db` is copied last, since the others may only speak of what it knows.
///
/// # Errors
///
/// If `to` is there already, or a file cannot be read or written. What was copied before stays.
pub fn backup(dir: &Path, to: &Path) -> Result<Vec<FileReport>, StoreError> {
    // Hashes of passwords are in it: nobody else looks in.
    DirBuilder::new().mode(0o700).create(to).doing_with("make the folder", to)?;
    for path in paths(dir)? {
        let copy = to.join(path.file_name().unwrap_or_default());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags).doing("open a database to copy it")?;
        db.busy_timeout(Duration::from_secs(5)).doing("open a database to copy it")?;
        db.pragma_update(None, "wal_autocheckpoint", 0).doing("open a database to copy it")?;
        db.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).doing("copy a database")?;
        File::open(&copy).and_then(|file| file.sync_all()).doing_with("sync", &copy)?;
    }
    File::open(to).and_then(|it| it.sync_all()).doing_with("sync the folder", to)?;
    stats(to)
}

/// The databases that are there; `core.db` is the last.
fn paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths: Vec<_> = Month::all_in(dir)?.into_iter().map(|it| it.path(dir)).collect();
    paths.extend(telegrams::telegram_files(dir)?);
    paths.extend([files::rollup_path(dir), files::core_path(dir)]);
    paths.retain(|path| path.exists());
    Ok(paths)
}

fn look_at_all(dir: &Path, thorough: bool) -> Result<Vec<FileReport>, StoreError> {
    Ok(paths(dir)?.iter().map(|path| look_at(path, thorough)).collect())
}

fn look_at(path: &Path, thorough: bool) -> FileReport {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut report = FileReport { bytes: files::bytes(path), name, ..FileReport::default() };
    let holds_readings = report.name.parse::<Month>().is_ok();
    let looked = files::open_to_read(path).and_then(|db| {
        if thorough {
            files::check_structure(&db, path)?;
        }
        if thorough && telegrams::number_of(&report.name).is_some() {
            telegrams::check(&db, path)?;
        }
        if holds_readings { look_into(&db, path, thorough, &mut report) } else { Ok(()) }
    });
    if let Err(error) = looked {
        report.damages.push(told(&error));
    }
    report
}

fn look_into(
    db: &Connection,
    path: &Path,
    thorough: bool,
    report: &mut FileReport,
) -> Result<(), StoreError> {
    let view = chunk::view(db)?;
    report.spooled = spool::heads(&view)?.iter().map(|row| row.n).sum();
    report.readings = report.spooled;
    let chunks = chunk::all(&view, path)?;
    report.chunks = chunks.len();
    report.readings += chunks.iter().map(|chunk| chunk.n).sum::<u64>();
    report.set_aside = chunk::count_set_aside(&view)?;
    if thorough {
        if let Err(error) = spool::check(&view, path) {
            report.damages.push(told(&error));
        }
        chunk::check(&view, path, |_, _, error| {
            report.damages.push(told(&error));
            Ok(())
        })?;
    }
    Ok(())
}

/// The error with its causes.
fn told(error: &StoreError) -> String {
    let mut sentence = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        sentence.push_str(": ");
        sentence.push_str(&why.to_string());
        cause = why.source();
    }
    sentence
}
