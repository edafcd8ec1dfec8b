//! What can go wrong between a reading and the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use metering::{MeterId, QuantityError, Resolution};
use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
///
/// Each message is one sentence for the person who runs the gateway; the cause is in
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of this was stored; what was stored before is safe.
    #[error(
        "the disk of {} is full: nothing stored earlier is lost, and storing goes on when there \
         is space again",
        dir.display()
    )]
    Full {
        /// Of the database files.
        dir: PathBuf,
    },
    /// The disk is read-only, fails or is gone. Nothing of this was stored; what was stored before is as
    /// safe as the disk.
    #[error(
        "the disk of {} {}: nothing is stored until it works again; look at its plug, its power and its \
         health",
        dir.display(),
        how.sentence()
    )]
    Away {
        /// Of the database files.
        dir: PathBuf,
        /// What it does.
        how: Away,
        /// What was tried.
        #[source]
        cause: Box<Self>,
    },
    /// The disk went, and what is there now is not what was there.
    #[error(
        "the disk of {} is another one now, or an older copy of it: nothing is stored on it until the \
         gateway is started again",
        dir.display()
    )]
    Exchanged {
        /// Of the database files.
        dir: PathBuf,
    },
    /// A file is not for this process, which no disk mends.
    #[error("{} {}", file.display(), how.sentence())]
    Barred {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it.
        how: Barred,
        /// What was tried.
        #[source]
        cause: Box<Self>,
    },
    /// Another process has the directory.
    #[error("{} is in use by another fyrhus process", dir.display())]
    InUse {
        /// Of the database files.
        dir: PathBuf,
    },
    /// A file holds something else than what was written.
    #[error("{} is damaged: {what}", file.display())]
    Corrupt {
        /// Which one.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file of a later version than this program's.
    #[error("{} was written by a newer version of fyrhus", file.display())]
    TooNew {
        /// Which one.
        file: PathBuf,
    },
    /// SQLite refused.
    #[error("could not {doing}")]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// What SQLite says.
        #[source]
        cause: rusqlite::Error,
    },
    /// The file system refused.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// A column holds what this version never writes there.
    #[error("column {column} holds `{found}`, which means nothing to this version")]
    Foreign {
        /// Which column.
        column: &'static str,
        /// What is there.
        found: String,
    },
    /// Somebody else changed the same thing in the meantime.
    #[error("somebody else has changed it in the meantime: it is at {current} now")]
    Outdated {
        /// What is in force.
        current: u64,
    },
    /// The name belongs to somebody else.
    #[error("the name `{name}` is taken")]
    Taken {
        /// Which name.
        name: String,
    },
    /// More than the store takes in one piece.
    #[error("{what} is {found} long, and at most {most} are kept")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// An acknowledgement of what was never sent.
    #[error("reading {seq} cannot be acknowledged, because the newest is {head}")]
    Ahead {
        /// What was acknowledged.
        seq: u64,
        /// What there is.
        head: u64,
    },
    /// A sum that cannot be told in the steps that were asked for.
    #[error("could not answer in steps of {wanted}")]
    Converted {
        /// What was asked for.
        wanted: Resolution,
        /// Why not.
        #[source]
        cause: QuantityError,
    },
    /// All 2 147 483 647 series numbers are used.
    #[error("there are no series numbers left")]
    NoSeriesLeft,
    /// An import with more series of one meter than it may have.
    #[error(
        "meter {meter} would have more than {} series; are all of its registers and units meant?",
        crate::MOST_SERIES
    )]
    TooManySeries {
        /// Which.
        meter: MeterId,
    },
    /// The store was closed, or its thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// What a disk does that takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It may be read.
    ReadOnly,
    /// It answers with errors.
    Failing,
    /// There is no file of ours any more.
    Gone,
}

/// What keeps the store from a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// Its owner or its rights.
    Rights,
    /// It is no file.
    NoFile,
}

impl Barred {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Rights => {
                "may not be read and written by the gateway's user: give it back its owner and its \
                 rights, such as those that the files beside it have"
            }
            Self::NoFile => "is not a file: move it away",
        }
    }

    /// What the operating system says of a file that cannot be opened, if it is not the disk's.
    fn of(cause: &io::Error) -> Option<Self> {
        match cause.kind() {
            io::ErrorKind::PermissionDenied => Some(Self::Rights),
            io::ErrorKind::IsADirectory => Some(Self::NoFile),
            _ => None,
        }
    }
}

impl Away {
    const fn sentence(self) -> &'static str {
        match self {
            Self::ReadOnly => "has become read-only",
            Self::Failing => "fails",
            Self::Gone => "is gone",
        }
    }

    /// What the operating system's word means for the disk.
    fn of(kind: io::ErrorKind, code: Option<i32>) -> Option<Self> {
        const EIO: i32 = nix::errno::Errno::EIO as i32;
        const ENODEV: i32 = nix::errno::Errno::ENODEV as i32;
        const ENXIO: i32 = nix::errno::Errno::ENXIO as i32;
        match (kind, code) {
            (io::ErrorKind::ReadOnlyFilesystem, _) => Some(Self::ReadOnly),
            (io::ErrorKind::NotFound, _) | (_, Some(ENODEV | ENXIO)) => Some(Self::Gone),
            (_, Some(EIO)) => Some(Self::Failing),
            _ => None,
        }
    }
}

impl StoreError {
    /// Whether the disk has to come back before anything is stored.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Exchanged { .. })
    }

    /// Whether space on the disk would help.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether a file is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Sqlite { cause, .. } => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            _ => false,
        }
    }

    /// What SQLite says of a full disk, told as such: it has three ways of saying it.
    pub(crate) fn full_if_it_is(self, dir: &Path) -> Self {
        let full = match &self {
            Self::Sqlite { cause, .. } => match cause.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => true,
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                    free_bytes(dir).is_some_and(|free| free < NEARLY_NOTHING)
                }
                _ => false,
            },
            Self::Io { cause, .. } => {
                matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        };
        if full { Self::Full { dir: dir.to_owned() } } else { self }
    }

    /// What SQLite says of a file that it may not open or write, told as such: it has the same words for
    /// that as for a disk that takes nothing.
    pub(crate) fn barred_if_it_is(self, dir: &Path) -> Self {
        let maybe = match &self {
            Self::Sqlite { cause, .. } => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
            ),
            Self::Io { cause, .. } => Barred::of(cause).is_some(),
            _ => false,
        };
        match maybe.then(|| barred_in(dir)).flatten() {
            Some((file, how)) => Self::Barred { file, how, cause: Box::new(self) },
            None => self,
        }
    }

    /// What SQLite and the operating system say of a disk that takes nothing, told as such.
    pub(crate) fn away_if_it_is(self, dir: &Path) -> Self {
        let how = match &self {
            Self::Sqlite { cause, .. } => match cause.sqlite_error_code() {
                Some(ErrorCode::ReadOnly) => Some(Away::ReadOnly),
                Some(ErrorCode::SystemIoFailure) => Some(Away::Failing),
                Some(ErrorCode::CannotOpen) => {
                    Some(if dir.is_dir() { Away::Failing } else { Away::Gone })
                }
                _ => None,
            },
            Self::Io { cause, .. } => Away::of(cause.kind(), cause.raw_os_error()),
            _ => None,
        };
        match how {
            Some(how) => Self::Away { dir: dir.to_owned(), how, cause: Box::new(self) },
            None => self,
        }
    }
}

/// The first of the store's files in `dir` that this process may not open as it has to, or `dir` itself
/// where it may make none.
fn barred_in(dir: &Path) -> Option<(PathBuf, Barred)> {
    let barred =
        |path: PathBuf, opened: io::Result<fs::File>| Some((path, Barred::of(&opened.err()?)?));
    let opened = |path: PathBuf| {
        let file = fs::File::options().read(true).write(true).open(&path);
        barred(path, file)
    };
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) => return barred(dir.to_owned(), Err(error)),
    };
    let mut names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
    names.sort();
    let ours = |name: &std::ffi::OsString| {
        name.to_str().is_some_and(|name| {
            name == "lock" || [".db", ".db-wal", ".db-shm"].iter().any(|it| name.ends_with(it))
        })
    };
    names.into_iter().filter(ours).find_map(|name| opened(dir.join(name))).or_else(|| {
        let probe = dir.join(".probe");
        let made = fs::File::options().write(true).create(true).truncate(false).open(&probe);
        if made.is_ok() {
            // An empty file, if it stays.
            let _ = fs::remove_file(&probe);
        }
        barred(dir.to_owned(), made)
    })
}

/// Below this SQLite cannot even grow its shared memory file, by 32 KiB at a time.
const NEARLY_NOTHING: u64 = 256 * 1024;

/// What an ordinary process may still write to the file system of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// How full the file system of `dir` is, in percent, as `df` has it: what is kept back for root is neither
/// used nor free.
pub(crate) fn percent_used(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    let used = stat.blocks().saturating_sub(stat.blocks_free());
    used.saturating_mul(100).checked_div(used.saturating_add(stat.blocks_available()))
}

/// Names what was tried when SQLite refused.
pub(crate) trait Doing<T> {
    /// `doing` completes "could not ...".
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|cause| StoreError::Sqlite { doing, cause })
    }
}

/// Names what was tried, and with which file, when the file system refused.
pub(crate) trait DoingWith<T> {
    /// `doing` completes "could not ... PATH".
    fn doing_with(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> DoingWith<T> for io::Result<T> {
    fn doing_with(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|cause| StoreError::Io { doing, path: path.to_owned(), cause })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use nix::unistd::{Uid, setfsuid};

    use super::*;
    use crate::testing::{self, KnownDay, empty};

    /// Whoever has the file of another, or a folder in its place, is told which, and waits for no disk.
    #[track_caller]
    fn check(harm: impl FnOnce(&Path), file: &str, how: Barred) {
        let KnownDay { store, dir, clock } = empty().unwrap();
        store.close().unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(dir.path(), 0o777);
        for file in fs::read_dir(dir.path()).unwrap() {
            mode(&file.unwrap().path(), 0o666);
        }
        harm(&dir.path().join(file));
        let at = dir.path().to_owned();
        let opened = thread::spawn(move || {
            // Rights say nothing to root; and who asks is the thread's own affair.
            setfsuid(Uid::from_raw(65_534));
            testing::open(&at, &clock).map(drop)
        });
        let error = opened.join().unwrap().unwrap_err();
        let expected = dir.path().join(file);
        assert!(
            matches!(&error, StoreError::Barred { file, how: it, .. } if (file, *it) == (&expected, how)),
            "{error:?}"
        );
        assert!(!error.is_away() && !error.is_full(), "nobody waits for {error}");
    }

    #[test]
    fn a_file_that_is_not_ours_is_named_and_no_disk_is_waited_for() {
        let to = |mode| {
            move |path: &Path| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        let folder = |path: &Path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        };
        check(to(0o400), "core.db", Barred::Rights);
        check(to(0o444), "rollup.db", Barred::Rights);
        check(to(0o400), "lock", Barred::Rights);
        check(folder, "core.db", Barred::NoFile);
        check(to(0o555), "", Barred::Rights);
    }
}
