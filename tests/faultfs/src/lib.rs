//! A disk for SQLite that fails when it is told to, and remembers the order of all writes.
//!
//! ```text
//! SQLite ──▶ xOpen, xWrite, xTruncate, xSync ──▶ faultfs ──▶ the file system of the machine
//!                                                  │
//!                                    [`Op`]s, and faults by number
//! ```
//!
//! Once [installed](install), every database that this process opens goes through it. What was written
//! between two syncs may be lost, torn or reordered by a power cut: [`Replay`] makes such disks of what
//! was recorded.
//!
//! For tests alone. It models what is in files, not the file system's own structures: a name that is
//! given or taken away is taken to be safe at once.
//!
//! All `unsafe` of the project is in `vfs.rs`.

mod replay;
mod vfs;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use replay::{Dice, Image, Replay, Rule};
pub use vfs::install;

/// What SQLite had the disk do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Bytes of a file were written.
    Write {
        /// Which file.
        file: PathBuf,
        /// From which byte on.
        at: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut, or made longer.
    Truncate {
        /// Which file.
        file: PathBuf,
        /// To how many bytes.
        size: u64,
    },
    /// All of a file that was written before is safe.
    Sync {
        /// Which file.
        file: PathBuf,
    },
    /// A file is gone.
    Delete {
        /// Which file.
        file: PathBuf,
    },
    /// The test has been told something here.
    Mark(u64),
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no space left.
    Full,
    /// The device does not work.
    Io,
    /// The file system takes no writes.
    ReadOnly,
    /// There is no device any more: nothing can be read or opened either.
    Gone,
}

/// What the disk does from now on. There is one for the process. A call is whatever writes.
#[derive(Debug, Default)]
pub struct Disk {
    recorded: Option<Vec<Op>>,
    /// The calls since the count was begun.
    calls: u64,
    /// From which call on, and to which; how.
    fault: Option<(u64, u64, Fault)>,
    /// The looks since the count was begun.
    looks: u64,
    /// From which look on they fail, and to which.
    blind: Option<(u64, u64)>,
    /// Syncs are told to be done, and are not: for tests that lose no power.
    lazy: bool,
}

static DISK: Mutex<Disk> =
    Mutex::new(Disk { recorded: None, calls: 0, fault: None, looks: 0, blind: None, lazy: false });

/// The disk; whatever holds it keeps SQLite waiting.
pub fn disk() -> MutexGuard<'static, Disk> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Records all that is done from now on.
    pub fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// Ends recording.
    pub fn recorded(&mut self) -> Vec<Op> {
        self.recorded.take().unwrap_or_default()
    }

    /// Writes among what is recorded that the test has been told so.
    pub fn mark(&mut self, number: u64) {
        self.note(Op::Mark(number));
    }

    /// Syncs are told to be done from now on, without doing them.
    pub fn be_lazy(&mut self) {
        self.lazy = true;
    }

    /// Begins to count calls anew, and lets `count` of them fail, from the `first` (0 is the next one)
    /// on.
    pub fn fail(&mut self, first: u64, count: u64, fault: Fault) {
        self.calls = 0;
        self.fault = Some((first, first.saturating_add(count), fault));
    }

    /// Begins to count looks anew, and lets `count` of them fail with an I/O error, from the `first` on. A
    /// look is whatever changes no byte of a file: to open it, to read it, to ask for its length, to delete
    /// it.
    pub fn be_blind(&mut self, first: u64, count: u64) {
        self.looks = 0;
        self.blind = Some((first, first.saturating_add(count)));
    }

    /// Nothing fails any more.
    pub fn heal(&mut self) {
        self.fault = None;
        self.blind = None;
    }

    /// How many calls there were since the count was begun.
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// How many looks.
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    pub(crate) fn note(&mut self, op: Op) {
        if let Some(recorded) = &mut self.recorded {
            recorded.push(op);
        }
    }

    /// Counts a call, and says how it fails.
    pub(crate) fn call(&mut self) -> Option<Fault> {
        let number = self.calls;
        self.calls += 1;
        let (first, end, fault) = self.fault?;
        (first..end).contains(&number).then_some(fault)
    }

    /// Counts a look, and says whether it fails.
    pub(crate) fn look(&mut self) -> bool {
        let number = self.looks;
        self.looks += 1;
        self.is_gone() || self.blind.is_some_and(|(first, end)| (first..end).contains(&number))
    }

    /// Whether there is no device at the moment. Asking does not count.
    fn is_gone(&self) -> bool {
        self.fault.is_some_and(|(first, end, fault)| {
            fault == Fault::Gone && (first..end).contains(&self.calls)
        })
    }

    pub(crate) const fn is_lazy(&self) -> bool {
        self.lazy
    }
}
