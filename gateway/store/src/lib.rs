//! Readings on a small flash disk: nothing lost, every gap explained.
//!
//! ```text
//!  Writer ──▶ queue ──▶ the writer thread ──▶ raw-2026-11.db   every reading, by month
//!  Core   ──▶  (64)           │          ──▶ core.db           configuration, accounts, ledger
//!                             │          ──▶ rollup.db         quarter hours to months
//!                             │          ──▶ telegrams-*.db    what meters said, byte by byte
//!                             ▼
//!                     memory: newest values, tallies of six hours
//!                             │
//!  Readers ◀── at most four questions at once, read-only connections
//!  Outbox  ◀── readings in the order of their numbers, for the cloud
//! ```
//!
//! | Handle      | For                                                             |
//! |-------------|-----------------------------------------------------------------|
//! | [`Writer`]  | whoever polls and imports: [`commit`](Writer::commit) returns when a round is safe |
//! | [`Readers`] | whoever asks: history, newest values, completeness              |
//! | [`Outbox`]  | whoever tells the cloud                                         |
//! | [`Core`]    | whoever keeps something small: versions, users, audit, settings |
//!
//! **Invariant:** what a commit has returned for survives a power cut. Nothing is acknowledged, synced
//! or called stored before.
//!
//! **Invariant:** an absence is a row with its reason, never a zero and never nothing.
//!
//! **Invariant:** a value is an integer of its series' own steps. Only [`Snapshot::total`] converts,
//! after it has summed.
//!
//! **Invariant:** no number of a reading is ever given twice under one epoch, and no SQL stands
//! outside this crate.

mod accounts;
pub mod anything;
mod ballast;
mod block;
mod bulk;
mod chained;
mod chunk;
mod civil;
mod codec;
mod column;
mod completeness;
mod core_db;
mod correction;
mod correction_span;
mod counter_break;
mod disk;
mod drawn;
mod engine;
mod error;
mod events;
mod files;
mod hot;
mod import;
mod inspect;
mod ledger;
mod missing;
mod moved;
mod open;
mod outage;
mod outbox;
mod pack;
mod proofs;
mod query;
mod readers;
mod recalled;
mod registry;
mod remembered;
mod repair;
mod retention;
mod rollup;
mod round;
mod seal;
mod spool;
mod state;
mod successor;
mod tables;
mod tallied;
mod tally_block;
mod tally_file;
mod telegram_pack;
mod telegram_seal;
mod telegrams;
pub mod testing;
mod used;
mod waiting;
mod walk;
mod wanted;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;
use metering::Clock;

pub use accounts::{Session, User};
pub use chained::{AuditProof, Fault, Head, History, VersionProof, history, saved_version};
pub use civil::{Civil, Step};
pub use completeness::Completeness;
pub use core_db::{AttemptRow, AuditEntry, Core, Version, VersionHead};
pub use correction::{Correction, NewCorrection, NotCorrected};
pub use correction_span::{Change, MOST_IN_A_SPAN, SpanCorrected, SpanCorrection};
pub use counter_break::{BreakKind, CounterBreak};
pub use error::{Away, Barred, StoreError};
pub use events::Event;
pub use inspect::{FileReport, HadAgain, backup, had_again, readable, stats, verify};
pub use missing::{Account, Missing};
pub use moved::{LEDGER_BEHIND, Stands, restored};
pub use open::OpenReport;
pub use outbox::{Batch, LossReason, Lost, Outbox, OutboxReading, OutboxState};
pub use proofs::MOST_PROOF;
pub use query::{Coverage, Gap, Latest, Level, Order, Run, Size, Snapshot, StoredReading};
pub use readers::Readers;
pub use recalled::Recall;
pub use registry::{Kind, MOST_SERIES, Point, SeriesInfo};
pub use repair::Damage;
pub use retention::{Pruned, Retention};
pub use round::{Imported, MOST_REMEMBERED, MeterRound, Remembered, Stored};
pub use seal::{Seal, Sealed, Sign, raw_files, seals};
pub use telegram_seal::telegram_seals;
pub use telegrams::{Heard, KeepTelegrams, telegram_files};
pub use used::Used;
pub use writer::Writer;

/// Where a store is, and what it must know of its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory of its files; made if it is not there.
    pub dir: PathBuf,
    /// Whose days and months are counted.
    pub time_zone: Tz,
    /// How much is given up when the disk is full, so that there is room to tidy up in; 0 is none.
    pub ballast_bytes: u64,
}

impl Options {
    /// A store in `dir`, with 64 MiB of ballast.
    pub fn new(dir: impl Into<PathBuf>, time_zone: Tz) -> Self {
        Self { dir: dir.into(), time_zone, ballast_bytes: 64 * 1024 * 1024 }
    }
}

/// A store that is open. There is one for a directory.
pub struct Store {
    queue: writer::Queue,
    readers: Readers,
}

impl Store {
    /// Opens the store, makes it if there is none, and brings it up from whatever state the last power
    /// cut left it in. Blocks.
    ///
    /// A damaged file is put aside, and the report says so: it does not keep the gateway from
    /// starting.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another process has it, [`StoreError::TooNew`] if a newer version
    /// wrote it, [`StoreError::Full`] and [`StoreError::Away`] if the disk takes nothing,
    /// [`StoreError::Barred`] if a file of it is not for this process, and whatever else the file system
    /// refuses.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport), StoreError> {
        let dir = options.dir.clone();
        let told =
            |error: StoreError| error.full_if_it_is(&dir).barred_if_it_is(&dir).away_if_it_is(&dir);
        let opened = open::open(options.clone(), Arc::clone(&clock)).map_err(told);
        let (engine, report) = match opened {
            // The room that is kept for that is enough for a start.
            Err(error) if error.is_full() && ballast::Ballast::drop_in(&dir) => {
                open::open(options, clock).map_err(told)?
            }
            other => other?,
        };
        Ok((Self::of(engine)?, report))
    }

    /// A store whose disk can be read and takes nothing, which [`open`](Self::open) has just said. It
    /// answers, and refuses whatever it is to keep, until the disk is back: then the first that comes opens
    /// it, and goes on. Blocks.
    ///
    /// # Errors
    ///
    /// If the disk cannot be read either.
    pub fn open_away(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let dir = options.dir.clone();
        let engine = disk::begin(options, clock)
            .map_err(|error| error.full_if_it_is(&dir).barred_if_it_is(&dir).away_if_it_is(&dir))?;
        Self::of(engine)
    }

    fn of(engine: engine::Engine) -> Result<Self, StoreError> {
        let readers = Readers::new(Arc::clone(&engine.shared));
        Ok(Self { queue: writer::start(engine)?, readers })
    }

    /// For whoever stores readings.
    pub fn writer(&self) -> Writer {
        Writer { queue: self.queue.clone() }
    }

    /// For whoever asks.
    pub fn readers(&self) -> Readers {
        self.readers.clone()
    }

    /// For whoever tells the cloud.
    pub fn outbox(&self) -> Outbox {
        Outbox { queue: self.queue.clone(), readers: self.readers.clone() }
    }

    /// For whoever keeps something small.
    pub fn core(&self) -> Core {
        Core { queue: self.queue.clone(), readers: self.readers.clone() }
    }

    /// Does what was asked before, writes the roll-ups and puts every log into its file. Blocks.
    ///
    /// Handles that are still around hear [`StoreError::Closed`] from then on. A store that is not
    /// closed loses nothing, and takes a little longer to open.
    pub fn close(self) -> Result<(), StoreError> {
        self.queue.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
