//! What happens to a damaged file: it is put aside, what can be read of it is saved, and a fresh one
//! begins.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::{self, Month};
use crate::hot::Hot;
use crate::open::replay;
use crate::registry::{read_series, write_series};
use crate::spool::{self, Held};
use crate::walk::{Next, OpenRaws, walk};

/// A file that was found damaged, and what became of it. Its `Display` is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its name.
    pub file: String,
    /// What was found in it.
    pub what: String,
    /// The name under which it was put aside, if it was.
    pub kept_as: Option<String>,
    /// What is there now.
    pub outcome: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was damaged ({})", self.file, self.what)?;
        if let Some(kept_as) = &self.kept_as {
            write!(f, "; it is kept as {kept_as}")?;
        }
        write!(f, "; {}", self.outcome)
    }
}

impl Damage {
    pub(crate) fn new(path: &Path, found: &StoreError, kept_as: Option<&Path>) -> Self {
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = match found {
            StoreError::Corrupt { what, .. } => what.clone(),
            StoreError::Sqlite { cause, .. } => cause.to_string(),
            other => other.to_string(),
        };
        Self { file: name(path), what, kept_as: kept_as.map(name), outcome: String::new() }
    }
}

/// Puts a raw file aside and begins a fresh one with what can be read of it.
pub(crate) fn raw(dir: &Path, month: Month, found: &StoreError) -> Result<Damage, StoreError> {
    const DOING: &str = "save readings from a damaged file";
    let path = month.path(dir);
    let aside = files::put_aside(&path)?;
    let mut fresh = files::open(&path, &files::RAW)?;
    let mut saved = 0_u64;
    if let Ok(old) = files::open_to_read(&aside) {
        let transaction = fresh.transaction().doing(DOING)?;
        for row in spool::salvage(&old, &aside) {
            spool::insert(&transaction, &row)?;
            saved += u64::from(row.n);
        }
        write_series(&transaction, &read_series(&old).unwrap_or_default().series)?;
        transaction.commit().doing(DOING)?;
    }
    let mut damage = Damage::new(&path, found, Some(&aside));
    damage.outcome = format!("{saved} readings were saved from it into a fresh file");
    Ok(damage)
}

/// Writes down which numbers no file has any more, up to `head`.
///
/// The outbox finds every hole by itself and takes it for damage, so a failure, of another file
/// that is damaged too, is no reason to stop.
pub(crate) fn try_to_note_losses(core: &Connection, files: &[Held], head: u64, at_ms: i64) {
    if let Err(error) = note_losses(core, files, head, at_ms) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "what is lost is not written down"
        );
    }
}

fn note_losses(core: &Connection, files: &[Held], head: u64, at_ms: i64) -> Result<(), StoreError> {
    let Some(oldest) = files.iter().filter_map(|held| held.seqs).map(|(first, _)| first).min()
    else {
        return Ok(());
    };
    let raws = OpenRaws::default();
    let mut end = oldest;
    let mut holes = Vec::new();
    walk(files, &raws, oldest, |next| {
        match next {
            Next::Row(_, row) => end = row.last_seq() + 1,
            Next::Hole(from, to) => holes.push((from, to)),
        }
        Ok(true)
    })?;
    if end <= head {
        holes.push((end, head));
    }
    for (from, to) in holes {
        core.execute(
            "INSERT INTO lost (from_seq, to_seq, reason, at_ms) VALUES (?1, ?2, 'damage', ?3)
             ON CONFLICT DO NOTHING",
            params![from, to, at_ms],
        )
        .doing("write down a loss")?;
    }
    Ok(())
}

impl Engine {
    /// Puts a month's file aside while the store is running.
    pub(crate) fn repair_raw(&mut self, month: Month) -> Result<Damage, StoreError> {
        let path = month.path(&self.dir);
        let found = self.raws.remove(&month).map_or_else(
            || StoreError::Corrupt { file: path.clone(), what: "it cannot be read".to_owned() },
            |raw| match files::check_structure(&raw.db, &path)
                .and_then(|()| spool::check(&raw.db, &path))
            {
                Err(error) => error,
                Ok(()) => StoreError::Corrupt {
                    file: path.clone(),
                    what: "it could not be written".to_owned(),
                },
            },
        );
        let damage = raw(&self.dir, month, &found)?;
        let held = Held::ask(&self.raw(month)?.db, &path, month)?;
        // Numbers that were in the lost part must not be given again.
        let reserved = self.reserved;
        self.shared.change(|state| {
            let files = Arc::make_mut(&mut state.files);
            files.retain(|other| other.month != month);
            files.push(held);
            files.sort_by_key(|held| held.month);
            state.generation += 1;
            let last = files.iter().filter_map(|held| held.seqs).map(|(_, last)| last).max();
            if last.unwrap_or(0) < state.head {
                state.head = state.head.max(reserved);
            }
        });
        let state = self.state();
        try_to_note_losses(&self.core, &state.files, state.head, self.clock.now().wall_ms());
        self.report(&damage);
        Ok(damage)
    }

    /// Puts the roll-up file aside and makes it again from the raw files.
    pub(crate) fn repair_rollup(&mut self, found: &StoreError) -> Result<(), StoreError> {
        let path = files::rollup_path(&self.dir);
        let aside = files::put_aside(&path)?;
        self.rollup = files::open(&path, &files::ROLLUP)?;
        let mut damage = Damage::new(&path, found, Some(&aside));
        "it was made again from the raw files".clone_into(&mut damage.outcome);
        let state = self.state();
        let mut hot = Hot {
            telegrams: state.hot.telegrams.clone(),
            identities: state.hot.identities.clone(),
            ..Hot::default()
        };
        replay(&mut self.rollup, &state, &mut hot, self.shared.civil)?;
        self.shared.change(|state| {
            state.hot = Arc::new(hot);
            state.generation += 1;
        });
        self.report(&damage);
        Ok(())
    }
}
