//! The handle for those who ask.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use chrono_tz::Tz;
use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use crate::civil::Civil;
use crate::error::{Doing, StoreError};
use crate::files;
use crate::open;
use crate::query::Snapshot;
use crate::state::Shared;
use crate::tally_file::Index;
use crate::walk::OpenRaws;

/// Questions that are answered at once; each has connections of its own.
const DESKS: usize = 4;

/// Answers questions. Cheap to clone.
///
/// At most four questions are answered at once; whoever comes then waits. A question never waits for
/// the writer, nor the writer for a question.
#[derive(Clone, Debug)]
pub struct Readers {
    pub(crate) shared: Arc<Shared>,
    desks: Arc<Mutex<Vec<Desk>>>,
    room: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, desks: Arc::default(), room: Arc::new(Semaphore::new(DESKS)) }
    }

    /// Readers of a store that another process has open: for the command line beside the daemon.
    ///
    /// They take no lock and write nothing, and they see the store as it is at this moment. Blocks.
    ///
    /// # Errors
    ///
    /// Whatever keeps the files in `dir` from being read; there has to be a store.
    pub fn beside(dir: &Path, time_zone: Tz) -> Result<Self, StoreError> {
        open::beside(dir, Civil::of(time_zone)).map(|shared| Self::new(Arc::new(shared)))
    }

    /// Answers `question` on a thread where it may block.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped no longer waits; the question is answered to nobody.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let answer = readers.ask_blocking(question);
            drop(permit);
            answer
        });
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Answers `question` here and now.
    pub fn ask_blocking<T>(
        &self,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // The memory first: what is written to a file after this is in both, and counted once.
        let state = self.shared.state();
        let free = self.desks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut desk = free.unwrap_or_else(|| Desk::new(&self.shared.dir, state.generation));
        if desk.generation != state.generation {
            desk = Desk::new(&self.shared.dir, state.generation);
        }
        let snapshot = Snapshot { desk: &desk, civil: self.shared.civil, state };
        let answer = question(&snapshot);
        let _ = snapshot;
        if self.shared.unopened.load(Ordering::Relaxed) {
            return answer;
        }
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        if desks.len() < DESKS {
            desks.push(desk);
        }
        drop(desks);
        answer
    }
}

/// The connections of one question at a time, each opened when it is first needed.
pub(crate) struct Desk {
    dir: PathBuf,
    generation: u64,
    core: OnceCell<Connection>,
    rollup: OnceCell<Connection>,
    /// What the roll-up file has, of the version of it that was seen last.
    index: RefCell<Option<(i64, Arc<Index>)>>,
    pub(crate) raws: OpenRaws,
}

impl Desk {
    pub(crate) fn new(dir: &Path, generation: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            generation,
            core: OnceCell::new(),
            rollup: OnceCell::new(),
            index: RefCell::new(None),
            raws: OpenRaws::default(),
        }
    }

    /// Of the files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn core(&self) -> Result<&Connection, StoreError> {
        opened(&self.core, &files::core_path(&self.dir))
    }

    pub(crate) fn rollup(&self) -> Result<&Connection, StoreError> {
        opened(&self.rollup, &files::rollup_path(&self.dir))
    }

    /// The pieces and meters of the roll-up file in this view of it.
    pub(crate) fn index(&self, view: &Transaction<'_>) -> Result<Arc<Index>, StoreError> {
        // It changes whenever somebody else has written to the file.
        let version: i64 = view
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut it| it.query_row([], |row| row.get(0)))
            .doing("look at the roll-ups")?;
        let mut known = self.index.borrow_mut();
        if let Some((_, index)) = known.as_ref().filter(|(of, _)| *of == version) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(Index::read(view)?);
        *known = Some((version, Arc::clone(&index)));
        Ok(index)
    }
}

fn opened<'a>(cell: &'a OnceCell<Connection>, path: &Path) -> Result<&'a Connection, StoreError> {
    if cell.get().is_none() {
        let _ = cell.set(files::open_to_read(path)?);
    }
    cell.get().ok_or(StoreError::Closed)
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("dir", &self.dir).finish_non_exhaustive()
    }
}
