//! What can go wrong between a reading and the disk.

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

/// Below this SQLite cannot even grow its shared memory file, by 32 KiB at a time.
const NEARLY_NOTHING: u64 = 256 * 1024;

/// What an ordinary process may still write to the file system of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// How full the file system of `dir` is, in percent.
pub(crate) fn percent_used(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    let all = stat.blocks();
    let free = stat.blocks_available();
    all.saturating_sub(free).saturating_mul(100).checked_div(all)
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
