//! A disk that takes nothing any more, and comes back.
//!
//! ```text
//! Ok ── read-only, I/O error, gone ──▶ away ── every file opened anew, and the same store ──▶ Ok
//!                                        └──── nothing of it is touched meanwhile
//! ```
//!
//! A file that was open when its disk went stays with the disk that went, even when the same one is back.
//! So the first question after an error opens all files anew, and until that succeeds nothing is written:
//! whoever stores keeps what it has and asks again.
//!
//! A store may be begun away as well ([`begin`]): on a disk that can be read and takes nothing it answers what
//! it has, and what it is asked to keep it refuses. The first question that finds the disk back opens it as
//! any start does.
//!
//! **Never true:** readings go to a disk on which other readings are. Another card in the slot, or a copy
//! of this one from yesterday, is told and left alone until the gateway is started again.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metering::Clock;

use crate::Options;
use crate::ballast::Ballast;
use crate::civil::Civil;
use crate::engine::{Engine, cursor};
use crate::error::{DoingWith, StoreError};
use crate::files::{self, DirLock, Month};
use crate::open;
use crate::outage::Watch;
use crate::pack::PackedMonths;
use crate::spool::{self, Held};
use crate::state::State;
use crate::tables;
use crate::telegrams::Telegrams;
use crate::waiting::Waiting;

/// A store whose disk can be read and takes nothing: away from its first moment.
///
/// # Errors
///
/// If it cannot be read either, or another process has it.
pub(crate) fn begin(options: Options, clock: Arc<dyn Clock>) -> Result<Engine, StoreError> {
    let lock = DirLock::take_unwritten(&options.dir)?;
    let shared = open::beside(&options.dir, Civil::of(options.time_zone))?;
    shared.unopened.store(true, Ordering::Relaxed);
    // Nothing is asked of them before the files are opened in their place.
    let (core, rollup) = (files::in_memory(&files::CORE)?, files::in_memory(&files::ROLLUP)?);
    Ok(Engine {
        dir: options.dir.clone(),
        written_at: clock.now().boottime,
        clock,
        waiting: Waiting::read(&core)?,
        core,
        rollup,
        raws: BTreeMap::new(),
        shared: Arc::new(shared),
        ballast: Ballast::new(&options.dir, 0),
        reserved: 0,
        scrubbed: None,
        packed: PackedMonths::default(),
        sealed: HashMap::new(),
        remembered: HashMap::new(),
        in_doubt: None,
        away: true,
        unopened: Some(options),
        lock,
        watch: Watch::default(),
        telegrams: Telegrams::default(),
        wanted: Vec::new(),
        pretended_full: None,
    })
}

impl Engine {
    /// Opens what was begun without a disk, as any start does.
    fn open_at_last(&mut self, options: Options) -> Result<(), StoreError> {
        let core_path = files::core_path(&self.dir);
        let exchanged = || StoreError::Exchanged { dir: self.dir.clone() };
        // Neither where no disk is mounted, nor on another one, is anything begun.
        fs::metadata(&core_path).doing_with("find", &core_path)?;
        let epoch = cursor(&files::open_to_read(&core_path)?, "epoch")?;
        if epoch.unwrap_or(0) != self.state().epoch {
            return Err(exchanged());
        }
        // Ours has to go first, or it would keep us out.
        self.lock = None;
        let (opened, report) = open::open(options, Arc::clone(&self.clock))?;
        let shared = Arc::clone(&self.shared);
        shared.unopened.store(false, Ordering::Relaxed);
        let found = opened.state();
        shared.change(|state| {
            let generation = state.generation + 1;
            *state = State { generation, ..found };
        });
        let telegrams = self.telegrams.afresh();
        *self = Self { shared, telegrams, ..opened };
        tracing::info!(
            dir = %self.dir.display(),
            head = report.head,
            recovered = report.recovered,
            "the disk takes something again: the store is open"
        );
        Ok(())
    }

    /// Opens all files anew if the disk was away; done at once if it was not.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`] as long as it is, [`StoreError::Exchanged`] if it is another one.
    pub(crate) fn be_back(&mut self) -> Result<(), StoreError> {
        if !self.away {
            return Ok(());
        }
        if let Some(options) = self.unopened.clone() {
            return self.open_at_last(options);
        }
        self.raws.clear();
        let core_path = files::core_path(&self.dir);
        // A database that is not there would be made.
        fs::metadata(&core_path).doing_with("find", &core_path)?;
        // Ours has to go first, or it would keep us out.
        self.lock = None;
        self.lock = Some(DirLock::take(&self.dir)?);
        let core = files::open(&core_path, &files::CORE)?;
        let state = self.state();
        let exchanged = || StoreError::Exchanged { dir: self.dir.clone() };
        if cursor(&core, "epoch")?.unwrap_or(0) != state.epoch {
            return Err(exchanged());
        }
        for held in state.files.iter() {
            fs::metadata(&held.path).map_err(|_| exchanged())?;
        }
        for month in Month::all_in(&self.dir)? {
            let path = month.path(&self.dir);
            let db = files::open(&path, &files::RAW)?;
            // What was refused may be there all the same, and will come once more.
            spool::delete_after(&db, state.head)?;
            let found = Held::ask(&db, &path, month)?.seqs;
            if state.files.iter().any(|held| held.month == month && held.seqs != found) {
                return Err(exchanged());
            }
        }
        let mut rollup = files::open(&files::rollup_path(&self.dir), &files::ROLLUP)?;
        // So may tallies be that are in memory, too.
        if tables::counted(&rollup)? != state.hot.written_seq {
            let mut hot = tables::read_hot(&rollup)?;
            open::replay(&mut rollup, &state, &mut hot, self.shared.civil)?;
            hot.telegrams.clone_from(&state.hot.telegrams);
            hot.identities.clone_from(&state.hot.identities);
            self.shared.change(|state| state.hot = Arc::new(hot));
        }
        self.telegrams.close();
        self.core = core;
        self.rollup = rollup;
        self.away = false;
        // Readers go to the new files, too.
        self.shared.change(|state| state.generation += 1);
        tracing::info!(dir = %self.dir.display(), "the disk is back");
        Ok(())
    }

    /// Takes note of what a question came to: whether the disk has to come back first.
    pub(crate) fn note_disk(&mut self, result: Option<&StoreError>) {
        if result.is_some_and(StoreError::is_away) && !self.away {
            tracing::error!(dir = %self.dir.display(), "the disk takes nothing any more");
            self.away = true;
        }
    }
}
