//! The files of a store: their names, how they are opened, and how a damaged one is put aside.
//!
//! ```text
//! core.db            configuration, accounts, audit, ledger, cursors: small, durable
//! raw-2026-11.db     every reading of a month
//! rollup.db          quarter hours to months, made from the raw files
//! telegrams-000007.db  what meters said, byte by byte, for as long as it is wanted
//! ballast            bytes that are given up when the disk is full
//! lock               held by the one process that writes
//! *.damaged-N        what was put aside, for somebody to look at
//! ```
//!
//! Every database is in WAL mode with `synchronous = FULL`, so that what a commit has returned for
//! survives a power cut. A migration, once released, is never edited.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::chained;
use crate::error::{Doing, DoingWith, StoreError};

/// A kind of database and what its tables are.
pub(crate) struct Schema {
    pub(crate) migrations: &'static [&'static str],
    /// What SQL alone cannot say, by the number of the migration behind which it is done, with it or not at all.
    pub(crate) then: Option<(usize, Then)>,
    /// Whether it keeps book of its pages, so that free ones can be given back: a page more to write
    /// with every commit that needs a new one.
    pub(crate) shrinks: bool,
}

/// What belongs to a migration.
type Then = fn(&Transaction<'_>) -> rusqlite::Result<()>;

pub(crate) const CORE: Schema = Schema {
    migrations: &[
        include_str!("../migrations/core/0001_small_durable_things.sql"),
        include_str!("../migrations/core/0002_proofs.sql"),
        include_str!("../migrations/core/0003_outages_and_counters.sql"),
        include_str!("../migrations/core/0004_corrections.sql"),
        include_str!("../migrations/core/0005_waiting.sql"),
        include_str!("../migrations/core/0006_events.sql"),
        include_str!("../migrations/core/0007_vendors_book.sql"),
        include_str!("../migrations/core/0008_ends_of_boots.sql"),
        include_str!("../migrations/core/0009_wanted.sql"),
        include_str!("../migrations/core/0010_history.sql"),
        include_str!("../migrations/core/0011_recalled.sql"),
    ],
    then: Some((chained::CHAINED_BY, chained::begin)),
    shrinks: true,
};
pub(crate) const RAW: Schema = Schema {
    migrations: &[
        include_str!("../migrations/raw/0001_spool.sql"),
        include_str!("../migrations/raw/0002_blocks.sql"),
        include_str!("../migrations/raw/0003_spool_without_index.sql"),
        include_str!("../migrations/raw/0004_seals.sql"),
    ],
    then: None,
    // A file goes as a whole, and what is packed leaves its room to what comes.
    shrinks: false,
};
pub(crate) const ROLLUP: Schema = Schema {
    migrations: &[
        include_str!("../migrations/rollup/0001_rollups.sql"),
        include_str!("../migrations/rollup/0002_tally_blocks.sql"),
    ],
    then: None,
    shrinks: true,
};

pub(crate) const TELEGRAMS: Schema = Schema {
    migrations: &[include_str!("../migrations/telegrams/0001_telegrams.sql")],
    then: None,
    // A file goes as a whole.
    shrinks: false,
};

pub(crate) fn core_path(dir: &Path) -> PathBuf {
    dir.join("core.db")
}

pub(crate) fn rollup_path(dir: &Path) -> PathBuf {
    dir.join("rollup.db")
}

/// Opens a database for its one writer, makes it if it is not there, and brings its tables up to
/// date.
pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Connection, StoreError> {
    let is_new = !path.exists();
    let mut db = Connection::open(path).doing("open a database")?;
    if schema.shrinks {
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;").doing("set up a database")?;
    }
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA busy_timeout = 5000;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA journal_size_limit = 67108864;",
    )
    .doing("set up a database")?;
    migrate(&mut db, path, schema)?;
    if is_new {
        sync_dir(path)?;
    }
    Ok(db)
}

/// An empty database that no disk has.
pub(crate) fn in_memory(schema: &Schema) -> Result<Connection, StoreError> {
    let mut db = Connection::open_in_memory().doing("open a database")?;
    migrate(&mut db, Path::new(":memory:"), schema)?;
    Ok(db)
}

/// Opens a database beside its writer, to read alone.
///
/// Not with `SQLITE_OPEN_READ_ONLY`: the first reader of a WAL has to make its index.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    const DOING: &str = "open a database to read";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = match unchanging(path) {
        Some(uri) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri, flags).doing(DOING)?
        }
        None => Connection::open_with_flags(path, flags).doing(DOING)?,
    };
    // A reader may have dozens of files open. Of what they read the system keeps pages anyway; what is here
    // has room for the way to a row.
    db.execute_batch(
        "PRAGMA busy_timeout = 5000;
         PRAGMA cache_size = -256;
         PRAGMA query_only = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA wal_autocheckpoint = 0;",
    )
    .doing("set up a database to read")?;
    Ok(db)
}

/// How SQLite names a file that nobody can change: on a file system that is read-only the index of a WAL
/// cannot be made, and a WAL that is not there cannot be begun. `None` where the usual way goes.
fn unchanging(path: &Path) -> Option<String> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    let read_only = stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY);
    let name = path.file_name()?.to_str()?;
    let log = fs::metadata(path.with_file_name(format!("{name}-wal"))).map_or(0, |log| log.len());
    if !read_only || log > 0 {
        return None;
    }
    let mut uri = "file:".to_owned();
    for character in path.to_str()?.chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    Some(uri + "?immutable=1")
}

/// How many migrations it has seen.
pub(crate) fn version(db: &Connection) -> Result<usize, StoreError> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).doing("open a database")
}

fn migrate(db: &mut Connection, path: &Path, schema: &Schema) -> Result<(), StoreError> {
    const DOING: &str = "bring a database up to date";
    let done = version(db)?;
    if done > schema.migrations.len() {
        return Err(StoreError::TooNew { file: path.to_owned() });
    }
    for (index, migration) in schema.migrations.iter().enumerate().skip(done) {
        let step = db.transaction().doing(DOING)?;
        step.execute_batch(migration).doing(DOING)?;
        if let Some((number, then)) = schema.then
            && number == index + 1
        {
            then(&step).doing(DOING)?;
        }
        step.pragma_update(None, "user_version", index + 1).doing(DOING)?;
        step.commit().doing(DOING)?;
    }
    Ok(())
}

/// Makes a new file's name survive a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(path);
    File::open(dir).and_then(|dir| dir.sync_all()).doing_with("sync the folder", dir)
}

/// SQLite's own look at the structure of a database; it does not see bytes that changed inside a
/// row.
///
/// To SQLite a page that the disk did not give is damage like any other. So whatever is found is looked for
/// a second time, on a connection of its own: there a disk that gives nothing any more says so.
pub(crate) fn check_structure(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut found = quick_check(db)?;
    if found != "ok" {
        found = quick_check(&open_to_read(path)?)?;
    }
    if found == "ok" {
        Ok(())
    } else {
        // The first line may be a heading.
        let what = found.lines().find(|line| !line.starts_with("***")).unwrap_or(&found);
        let what = what.to_owned();
        Err(StoreError::Corrupt { file: path.to_owned(), what })
    }
}

fn quick_check(db: &Connection) -> Result<String, StoreError> {
    db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).doing("check a database")
}

/// Holds the directory until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    held: File,
}

impl Drop for DirLock {
    /// Closing is not enough: a process that was begun at this moment has the file too, until it
    /// becomes another program.
    fn drop(&mut self) {
        if let Err(error) = self.held.unlock() {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "the lock ends with the process");
        }
    }
}

impl DirLock {
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        Self::hold(dir, file.doing_with("open", &path)?)
    }

    /// Where no file can be made; `None` if nobody has ever made it.
    pub(crate) fn take_unwritten(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join("lock");
        match File::open(&path) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            file => Self::hold(dir, file.doing_with("open", &path)?).map(Some),
        }
    }

    fn hold(dir: &Path, file: File) -> Result<Self, StoreError> {
        match file.try_lock() {
            Ok(()) => Ok(Self { held: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(cause)) => {
                Err(StoreError::Io { doing: "lock", path: dir.join("lock"), cause })
            }
        }
    }
}

/// Renames a database and its companions, so that a fresh one can begin in its place.
///
/// Nothing is deleted: a person may still get something out of it.
pub(crate) fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A thousand damaged files of one name: the disk is worn out, and the last one is overwritten.
    let aside = (1..=1000)
        .map(|number| path.with_file_name(format!("{name}.damaged-{number}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| path.with_file_name(format!("{name}.damaged")));
    for companion in ["-wal", "-shm", ""] {
        let from = path.with_file_name(format!("{name}{companion}"));
        let aside_name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = path.with_file_name(format!("{aside_name}{companion}"));
        match fs::rename(&from, &to) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io { doing: "put aside", path: from, cause });
            }
            _ => {}
        }
    }
    sync_dir(path)?;
    Ok(aside)
}

/// Deletes a database and its companions.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for companion in ["", "-wal", "-shm"] {
        let file = path.with_file_name(format!("{name}{companion}"));
        match fs::remove_file(&file) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io { doing: "delete", path: file, cause });
            }
            _ => {}
        }
    }
    sync_dir(path)
}

/// The bytes of a database and its WAL.
pub(crate) fn bytes(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ["", "-wal"]
        .into_iter()
        .filter_map(|companion| {
            fs::metadata(path.with_file_name(format!("{name}{companion}"))).ok()
        })
        .map(|file| file.len())
        .sum()
}

/// A month of UTC, which has a raw file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month of an instant. One before 1970 or after 9999, which only a broken clock tells,
    /// is filed under the nearest month that a name can be made of.
    pub(crate) fn of(at_ms: i64) -> Self {
        let at = DateTime::<Utc>::from_timestamp_millis(at_ms.max(0));
        match at {
            Some(at) if at.year() <= 9999 => Self { year: at.year(), month: at.month() },
            _ => Self { year: 9999, month: 12 },
        }
    }

    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("raw-{:04}-{:02}.db", self.year, self.month))
    }

    /// The first instant after it.
    pub(crate) fn end_ms(self) -> i64 {
        let (year, month) =
            if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        chrono::NaiveDate::from_ymd_opt(year, month, 1)
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .map_or(i64::MAX, |at| at.and_utc().timestamp_millis())
    }

    /// From its first instant to the first after it.
    pub(crate) fn span(self) -> std::ops::Range<i64> {
        let (year, month) =
            if self.month == 1 { (self.year - 1, 12) } else { (self.year, self.month - 1) };
        Self { year, month }.end_ms()..self.end_ms()
    }

    /// The months that have a file in `dir`, oldest first.
    pub(crate) fn all_in(dir: &Path) -> Result<Vec<Self>, StoreError> {
        let mut months = Vec::new();
        for entry in fs::read_dir(dir).doing_with("list", dir)? {
            let entry = entry.doing_with("list", dir)?;
            if let Some(Ok(month)) = entry.file_name().to_str().map(str::parse) {
                months.push(month);
            }
        }
        months.sort_unstable();
        Ok(months)
    }
}

impl FromStr for Month {
    type Err = ();

    /// The month of a raw file's name.
    fn from_str(name: &str) -> Result<Self, ()> {
        let middle =
            name.strip_prefix("raw-").and_then(|rest| rest.strip_suffix(".db")).ok_or(())?;
        let (year, month) = middle.split_once('-').ok_or(())?;
        let found =
            Self { year: year.parse().map_err(|_| ())?, month: month.parse().map_err(|_| ())? };
        let written = format!("{:04}-{:02}", found.year, found.month);
        if written == middle && (1..=12).contains(&found.month) { Ok(found) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_month_is_found_by_the_name_it_is_given() {
        let dir = Path::new("/data");
        for at_ms in [i64::MIN, 0, 1_772_323_199_999, 1_772_323_200_000, i64::MAX] {
            let month = Month::of(at_ms);
            let path = month.path(dir);
            assert_eq!(path.file_name().unwrap().to_str().unwrap().parse(), Ok(month));
        }
        assert_eq!(Month::of(1_772_323_199_999).path(dir), dir.join("raw-2026-02.db"));
        assert_eq!(Month::of(1_772_323_199_999).end_ms(), 1_772_323_200_000);
        assert_eq!(Month::of(1_772_323_199_999).span(), 1_769_904_000_000..1_772_323_200_000);
        assert_eq!(Month::of(0).span(), 0..2_678_400_000);
        assert_eq!("raw-2026-13.db".parse::<Month>(), Err(()));
        assert_eq!("raw-2026-03.db-wal".parse::<Month>(), Err(()));
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = core_path(dir.path());
        open(&path, &CORE).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = open(&path, &CORE).unwrap_err();
        assert!(error.to_string().ends_with("was written by a newer version of fyrhus"), "{error}");
        assert!(!error.is_damage());
    }

    /// The migrations add up to `schema.sql`; `UPDATE=1` writes it.
    #[test]
    fn the_migrations_add_up_to_the_schema() {
        let dir = tempfile::tempdir().unwrap();
        let mut found = String::from("-- What the migrations add up to. Written by a test.\n");
        for (name, schema) in [
            ("core.db", CORE),
            ("raw-YYYY-MM.db", RAW),
            ("rollup.db", ROLLUP),
            ("telegrams-NNNNNN.db", TELEGRAMS),
        ] {
            let db = open(&dir.path().join(name), &schema).unwrap();
            writeln!(found, "\n-- {name}\n").unwrap();
            let mut statement = db
                .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
                .unwrap();
            for sql in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
                writeln!(found, "{};", sql.unwrap()).unwrap();
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.sql");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "run with UPDATE=1");
    }
}
