//! A database that takes the place of a damaged one, whatever the power does meanwhile.
//!
//! ```text
//! raw-2026-03.db   raw-2026-03.db.saving              what can be read is being saved
//! raw-2026-03.db   raw-2026-03.db.saved               all of it is in there, and on the disk
//!                  raw-2026-03.db.saved   .damaged-1
//! raw-2026-03.db                          .damaged-1
//! ```
//!
//! **Never true:** a name is free, or has a file that holds less than can be had, while what was saved lies
//! under another one and nobody looks there. When the store is opened, [`settle`] finishes what is `.saved`
//! and forgets what is `.saving`: the damaged file is still in its place then.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::engine::checkpoint;
use crate::error::{Doing, DoingWith, StoreError};
use crate::files::{self, Schema};

const SAVING: &str = ".saving";
const SAVED: &str = ".saved";

/// See the module. One that is dropped leaves nothing behind.
pub(crate) struct Successor {
    of: PathBuf,
    db: Option<Connection>,
}

impl Successor {
    /// An empty one.
    pub(crate) fn begin(of: &Path, schema: &Schema) -> Result<Self, StoreError> {
        files::remove(&beside(of, SAVED))?;
        files::remove(&beside(of, SAVING))?;
        let mut it = Self { of: of.to_owned(), db: None };
        it.db = Some(files::open(&beside(of, SAVING), schema)?);
        Ok(it)
    }

    /// What is saved goes in here.
    pub(crate) fn db(&mut self) -> Result<&mut Connection, StoreError> {
        self.db.as_mut().ok_or(StoreError::Closed)
    }

    /// Puts the damaged file aside, and this one into its place. Returns the new name of the damaged one.
    pub(crate) fn take_over(mut self) -> Result<PathBuf, StoreError> {
        let (saving, saved) = (beside(&self.of, SAVING), beside(&self.of, SAVED));
        if let Some(db) = self.db.take() {
            checkpoint(&db)?;
            db.close().map_err(|(_, cause)| cause).doing("close what was saved")?;
        }
        fs::rename(&saving, &saved).doing_with("rename", &saving)?;
        files::sync_dir(&saved)?;
        install(&self.of).inspect_err(|_| {
            // The damaged file is written on, and this one would lack that.
            let _ = files::remove(&saved);
        })
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.db = None;
        if let Err(error) = files::remove(&beside(&self.of, SAVING)) {
            tracing::warn!(error = &error as &dyn std::error::Error, "left behind");
        }
    }
}

/// Ends what a power cut has interrupted, before any database of `dir` is opened.
pub(crate) fn settle(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).doing_with("list", dir)? {
        let path = entry.doing_with("list", dir)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(of) = name.strip_suffix(SAVED) {
            install(&path.with_file_name(of))?;
        } else if name.ends_with(SAVING) {
            files::remove(&path)?;
        }
    }
    Ok(())
}

fn install(of: &Path) -> Result<PathBuf, StoreError> {
    let saved = beside(of, SAVED);
    let aside = files::put_aside(of)?;
    fs::rename(&saved, of).doing_with("rename", &saved)?;
    files::sync_dir(of)?;
    Ok(aside)
}

fn beside(of: &Path, ending: &str) -> PathBuf {
    let name = of.file_name().unwrap_or_default().to_string_lossy().into_owned();
    of.with_file_name(format!("{name}{ending}"))
}
