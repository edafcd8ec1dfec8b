//! What happens to a damaged file: it is put aside, what can be read of it is saved, and a fresh one
//! begins.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::chunk::{self, Writing};
use crate::civil::Civil;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::{self, Month};
use crate::hot::Hot;
use crate::open::replay;
use crate::registry::{read_series, write_series};
use crate::spool::{self, Held};
use crate::state::State;
use crate::successor::Successor;
use crate::tables;
use crate::walk::holes;

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

/// Saves what can be read of a raw file into a fresh one, which takes its place. If that fails, the
/// damaged one stays where it is.
pub(crate) fn raw(dir: &Path, month: Month, found: &StoreError) -> Result<Damage, StoreError> {
    const DOING: &str = "save readings from a damaged file";
    let path = month.path(dir);
    let mut fresh = Successor::begin(&path, &files::RAW)?;
    let mut saved = 0_u64;
    if let Ok(old) = files::open_to_read(&path) {
        let transaction = fresh.db()?.transaction().doing(DOING)?;
        for row in spool::salvage(&old, &path) {
            spool::insert(&transaction, &row)?;
            saved += u64::from(row.n);
        }
        chunk::salvage(&old, &path, |blocks| {
            let mut writing = Writing::begin(&transaction)?;
            for (meter, block) in blocks {
                writing.put(chunk::ensure_key(&transaction, meter)?, &block)?;
            }
            saved += writing.end()?.n;
            Ok(())
        })?;
        write_series(&transaction, &read_series(&old).unwrap_or_default().series)?;
        transaction.commit().doing(DOING)?;
    }
    let aside = fresh.take_over()?;
    let mut damage = Damage::new(&path, found, Some(&aside));
    damage.outcome = format!("{saved} readings were saved from it into a fresh file");
    Ok(damage)
}

/// The roll-up file that was made again.
pub(crate) struct NewRollUps {
    /// Open.
    pub(crate) db: Connection,
    /// What it says of the newest of everything; all that is counted is in the file.
    pub(crate) hot: Hot,
    /// How many readings were counted.
    pub(crate) counted: u64,
    pub(crate) damage: Damage,
}

/// Makes the roll-up file again from the raw files, and saves what they do not hold from the damaged one,
/// which stays where it is if that fails.
pub(crate) fn roll_ups(
    dir: &Path,
    state: &State,
    civil: Civil,
    found: &StoreError,
) -> Result<NewRollUps, StoreError> {
    let path = files::rollup_path(dir);
    let mut fresh = Successor::begin(&path, &files::ROLLUP)?;
    let db = fresh.db()?;
    tables::follow_zone(db, civil)?;
    let mut hot = Hot::default();
    let counted = replay(db, state, &mut hot, civil)?;
    tables::write(db, &hot, &state.registry, civil)?;
    hot.written();
    let saved = match files::open_to_read(&path) {
        Ok(old) => tables::salvage(&old, db, &mut hot, civil)?,
        Err(_) => 0,
    };
    let aside = fresh.take_over()?;
    let mut damage = Damage::new(&path, found, Some(&aside));
    "it was made again from the raw files".clone_into(&mut damage.outcome);
    if saved > 0 {
        damage.outcome.push_str(", and what they do not hold was saved from it");
    }
    Ok(NewRollUps { db: files::open(&path, &files::ROLLUP)?, hot, counted, damage })
}

/// As people write it.
pub(crate) fn instant(at_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M UTC").to_string()
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
    for (from, to) in holes(files, head)? {
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
    /// Unpacks every block of a month. One that is damaged is set aside in the same file, and costs
    /// nothing but itself.
    pub(crate) fn scrub_blocks(&mut self, month: Month) -> Result<Vec<Damage>, StoreError> {
        let path = month.path(&self.dir);
        let at_ms = self.clock.now().wall_ms();
        let registry = self.state().registry;
        let db = &self.raw(month)?.db;
        let mut found = Vec::new();
        chunk::check(db, &path, |chunk, laid, error| {
            // A chunk without one of its blocks has lost more than can be named: the whole file is
            // looked at.
            let Some(laid) = laid else { return Err(error) };
            found.push((*chunk, laid.clone(), error));
            Ok(())
        })?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let meters = chunk::meters(db)?;
        let transaction = self
            .raw(month)?
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing("set a damaged block aside")?;
        let (mut damages, mut wanted) = (Vec::new(), Vec::new());
        for (chunk, laid, error) in &found {
            let mut damage = Damage::new(&path, error, None);
            let of = meters.get(&laid.key()).copied();
            wanted.extend(of.map(|meter| (meter, chunk.ts..chunk.ts_last.saturating_add(1))));
            let meter = meters.get(&laid.key()).map_or_else(String::new, |meter| {
                let known = registry.of_meter(*meter).next().is_some();
                if known { format!(" of meter {meter}") } else { String::new() }
            });
            damage.outcome = format!(
                "{} readings{meter} from {} to {} are set aside in the file, and the rest of it \
                 goes on",
                laid.n,
                instant(chunk.ts),
                instant(chunk.ts_last)
            );
            chunk::set_aside(&transaction, laid, at_ms, &damage.to_string())?;
            damages.push(damage);
        }
        let mut chunks: Vec<_> = found.iter().map(|(chunk, _, _)| *chunk).collect();
        chunks.dedup();
        for chunk in chunks {
            chunk::recount(&transaction, &path, chunk)?;
        }
        transaction.commit().doing("set a damaged block aside")?;
        let state = self.state();
        try_to_note_losses(&self.core, &state.files, state.head, at_ms);
        for damage in &damages {
            self.report(damage);
        }
        for (meter, span) in wanted {
            self.want(Some(meter), span);
        }
        Ok(damages)
    }

    /// Puts a month's file aside while the store is running.
    pub(crate) fn repair_raw(&mut self, month: Month) -> Result<Damage, StoreError> {
        if self.in_doubt.is_some_and(|doubted| doubted != month) {
            // Before the numbers go on beyond it, and nobody knows any more that it was refused.
            self.forget_what_was_refused()?;
        }
        let path = month.path(&self.dir);
        self.sealed.remove(&month);
        let found = self.raws.remove(&month).map_or_else(
            || StoreError::Corrupt { file: path.clone(), what: "it cannot be read".to_owned() },
            |raw| match files::check_structure(&raw.db, &path)
                .and_then(|()| spool::check(&raw.db, &path))
                .and_then(|()| chunk::check(&raw.db, &path, |_, _, error| Err(error)))
            {
                Err(error) => error,
                Ok(()) => StoreError::Corrupt {
                    file: path.clone(),
                    what: "it could not be written".to_owned(),
                },
            },
        );
        let damage = raw(&self.dir, month, &found)?;
        if self.in_doubt == Some(month) {
            let head = self.state().head;
            spool::delete_after(&self.raw(month)?.db, head)?;
            self.in_doubt = None;
        }
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
        self.want(None, month.span());
        Ok(damage)
    }

    /// Makes the roll-up file again from the raw files.
    pub(crate) fn repair_rollup(&mut self, found: &StoreError) -> Result<Damage, StoreError> {
        let state = self.state();
        let NewRollUps { db, mut hot, damage, .. } =
            roll_ups(&self.dir, &state, self.shared.civil, found)?;
        self.rollup = db;
        hot.telegrams.clone_from(&state.hot.telegrams);
        hot.identities.clone_from(&state.hot.identities);
        self.shared.change(|state| {
            state.hot = Arc::new(hot);
            state.generation += 1;
        });
        self.report(&damage);
        self.wanted_uncounted();
        self.count_corrections_after(0);
        Ok(damage)
    }
}
