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
//! **Never true:** readings go to a disk on which other readings are. Another card in the slot, or a copy
//! of this one from yesterday, is told and left alone until the gateway is started again.

use std::fs;
use std::sync::Arc;

use crate::engine::{Engine, cursor};
use crate::error::{DoingWith, StoreError};
use crate::files::{self, DirLock, Month};
use crate::open;
use crate::spool::{self, Held};
use crate::tables;

impl Engine {
    /// Opens all files anew if the disk was away; done at once if it was not.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`] as long as it is, [`StoreError::Exchanged`] if it is another one.
    pub(crate) fn be_back(&mut self) -> Result<(), StoreError> {
        if !self.away {
            return Ok(());
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
