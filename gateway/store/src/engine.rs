//! The store as its writer thread has it: every connection that writes, and the order of things.
//!
//! ```text
//! a round ──▶ series (core.db) ──▶ seq reserved (core.db) ──▶ spool row (raw file) ──▶ stored
//!             only new ones         one commit in 10 000       one commit, FULL        │
//!                                                                                      ▼
//!                                                          memory: tallies, newest, head
//! ```
//!
//! A transaction over several files is not atomic at a power cut, so what must be atomic shares a
//! file: readings and their numbers the raw file. What core.db says leads, where leading does no harm
//! (a series that no reading speaks of, a reserved number that nobody got), or lags (`acked`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use metering::{Clock, MeterId, NoReading, Quality, Reading, Register, SeriesId, Trust};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::Options;
use crate::ballast::Ballast;
use crate::codec::Entry;
use crate::error::{Doing, StoreError};
use crate::files::{self, DirLock, Month};
use crate::hot::MOST_TELEGRAM_BYTES;
use crate::outage::{self, Watch};
use crate::pack::PackedMonths;
use crate::registry::{Kind, Placing, SeriesInfo, Wanted, write_series};
use crate::repair;
use crate::round::{MeterRound, Remembered, Stored};
use crate::seal::SealedMonths;
use crate::spool::{self, Held, SpoolRow};
use crate::state::{Shared, State};
use crate::tables;
use crate::telegrams::Telegrams;
use crate::waiting::{self, Waiting};
use crate::wanted;

/// See the module.
pub(crate) struct Engine {
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) core: Connection,
    pub(crate) rollup: Connection,
    /// The raw files that are open: the newest ones used, at most [`MOST_OPEN`].
    pub(crate) raws: BTreeMap<Month, RawFile>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ballast: Ballast,
    /// core.db has it that no number above this one was ever given.
    pub(crate) reserved: u64,
    /// When the tallies were last written, by the boot's clock.
    pub(crate) written_at: std::time::Duration,
    /// The month that was looked through last.
    pub(crate) scrubbed: Option<Month>,
    /// What packing knows of the raw files.
    pub(crate) packed: PackedMonths,
    /// How far the files are sealed.
    pub(crate) sealed: SealedMonths,
    /// What each meter said of an earlier time in its last answer: the same again is no news.
    pub(crate) remembered: HashMap<MeterId, Vec<Remembered>>,
    /// A round was refused, and may be in that month's file all the same.
    pub(crate) in_doubt: Option<Month>,
    /// The disk takes nothing; see `disk.rs`.
    pub(crate) away: bool,
    /// The store was begun without its disk, and is to be opened with these.
    pub(crate) unopened: Option<Options>,
    /// `None` only while the directory is opened anew, or takes nothing since the start.
    pub(crate) lock: Option<DirLock>,
    /// What of the rounds before may turn out to be an outage.
    pub(crate) watch: Watch,
    /// What came while nobody knew what time it was.
    pub(crate) waiting: Waiting,
    pub(crate) telegrams: Telegrams,
    /// Of which times readings were damaged.
    pub(crate) wanted: Vec<wanted::Wanted>,
    /// How full the disk is, in percent, as far as a test wants it.
    pub(crate) pretended_full: Option<u64>,
}

/// An open raw file.
pub(crate) struct RawFile {
    pub(crate) db: Connection,
    /// The series that it explains already.
    pub(crate) explained: HashSet<SeriesId>,
    used: u64,
}

/// This month, the one before, and some that an import goes through.
const MOST_OPEN: usize = 4;

/// A reservation is a commit of core.db; a lost raw file costs at most so many numbers.
const RESERVED_AT_ONCE: u64 = 10_000;

/// Tallies in memory, some 150 bytes each, before they are written ahead of time.
pub(crate) const MOST_TALLIES: usize = 50_000;

/// How long tallies stay in memory alone. After a power cut they are counted again from the raw
/// file, half a million readings a second.
const WRITTEN_EVERY: std::time::Duration = std::time::Duration::from_hours(6);

/// Of one round or one chunk of an import.
pub(crate) const MOST_AT_ONCE: usize = 100_000;

impl Engine {
    pub(crate) fn state(&self) -> State {
        self.shared.state()
    }

    /// Stores a round; returns when it survives a power cut.
    ///
    /// While nobody knows what time it is it waits on the disk, and has no number yet.
    pub(crate) fn commit(&mut self, mut round: Vec<MeterRound>) -> Result<Stored, StoreError> {
        if waiting::is_untimed(&round) {
            let now = self.clock.now();
            if now.trust == Trust::Untrusted {
                return self.wait(round);
            }
            waiting::stamp(&mut round, now);
        }
        self.stamp_all()?;
        let asked = round.first().map(|first| first.asked);
        let stored = self.commit_round(round);
        let disk = |error: &StoreError| {
            error.is_full() || error.is_away() || matches!(error, StoreError::Sqlite { .. })
        };
        if let Some(asked) = asked
            && stored.as_ref().err().is_none_or(disk)
        {
            self.watch_round(asked, stored.is_ok());
        }
        stored
    }

    fn commit_round(&mut self, round: Vec<MeterRound>) -> Result<Stored, StoreError> {
        self.ballast.restore()?;
        let (entries, left_out) = self.in_series(&round)?;
        let Some(asked) = round.first().map(|first| first.asked) else {
            return Ok(Stored { first_seq: self.state().head + 1, count: 0, left_out });
        };
        self.keep_breaks(&entries);
        let rows = self.store(Month::of(asked.wall_ms()), asked.boot_id, false, &entries)?;
        let stored = Stored { left_out, ..self.count(&rows, &entries) };
        self.fill_gaps(&round);
        self.keep_said(&round);
        self.shared.change(|state| remember_what_was_said(state, round));
        Ok(stored)
    }

    /// The readings and absences of a round, each in its series, and the meters of which some are left out.
    pub(crate) fn in_series(
        &mut self,
        round: &[MeterRound],
    ) -> Result<(Vec<Entry>, Vec<MeterId>), StoreError> {
        let state = self.state();
        let mut placing = Placing::new(Arc::clone(&state.registry));
        let entries = entries(&mut placing, &state, round)?;
        if entries.len() > MOST_AT_ONCE {
            let (found, most) = (entries.len(), MOST_AT_ONCE);
            return Err(StoreError::TooLarge { what: "a round", found, most });
        }
        drop(state);
        let left_out = std::mem::take(&mut placing.left_out);
        self.register(placing)?;
        Ok((entries, left_out))
    }

    /// Writes readings to the raw file of `month`, in one transaction.
    ///
    /// A file that turns out to be damaged is put aside, and the readings go into a fresh one.
    pub(crate) fn store(
        &mut self,
        month: Month,
        boot_id: u128,
        imported: bool,
        entries: &[Entry],
    ) -> Result<Vec<SpoolRow>, StoreError> {
        self.forget_numbers()?;
        match self.store_once(month, boot_id, imported, entries) {
            Err(error) if error.is_damage() => {
                self.repair_raw(month)?;
                self.store_once(month, boot_id, imported, entries)
            }
            other => other,
        }
    }

    /// As [`store`](Self::store), but a damaged file is the caller's affair.
    pub(crate) fn store_once(
        &mut self,
        month: Month,
        boot_id: u128,
        imported: bool,
        entries: &[Entry],
    ) -> Result<Vec<SpoolRow>, StoreError> {
        self.reserve(entries.len())?;
        self.forget_what_was_refused()?;
        let rows = spool::cut(self.state().head + 1, boot_id, imported, entries);
        self.in_doubt = Some(month);
        self.append(month, &rows, entries)?;
        self.in_doubt = None;
        Ok(rows)
    }

    /// Deletes what a commit wrote that failed after its last byte was on the disk: nobody was told that
    /// it is stored, and its numbers are given once more.
    pub(crate) fn forget_what_was_refused(&mut self) -> Result<(), StoreError> {
        let Some(month) = self.in_doubt else { return Ok(()) };
        let head = self.state().head;
        match self.raw(month).and_then(|raw| spool::delete_after(&raw.db, head)) {
            Err(error) if error.is_damage() => drop(self.repair_raw(month)?),
            other => other?,
        }
        self.in_doubt = None;
        Ok(())
    }

    /// In one transaction; numbers may be those of readings that were lost.
    pub(crate) fn append(
        &mut self,
        month: Month,
        rows: &[SpoolRow],
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let registry = self.state().registry;
        let raw = self.raw(month)?;
        let unexplained: Vec<SeriesId> = entries
            .iter()
            .filter_map(|entry| SeriesId::new(entry.series))
            .filter(|series| !raw.explained.contains(series))
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let transaction = raw
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing("begin to store readings")?;
        write_series(
            &transaction,
            unexplained.iter().filter_map(|series| registry.get(*series)).map(|info| &**info),
        )?;
        for row in rows {
            spool::insert(&transaction, row)?;
        }
        transaction.commit().doing("store readings")?;
        raw.explained.extend(unexplained);
        self.packed.touched(month);

        let path = month.path(&self.dir);
        self.shared.change(|state| {
            let files = Arc::make_mut(&mut state.files);
            if !files.iter().any(|held| held.month == month) {
                files.push(Held { path, month, seqs: None, times: None });
                files.sort_by_key(|held| held.month);
            }
            if let Some(held) = files.iter_mut().find(|held| held.month == month) {
                for row in rows {
                    held.add(row);
                }
            }
            state.head = rows.last().map_or(0, SpoolRow::last_seq).max(state.head);
        });
        Ok(())
    }

    /// Counts stored rows in memory, and writes the tallies when it is time. From here on
    /// nothing can take the readings back: a failure is logged, and the tallies are made again.
    pub(crate) fn count(&mut self, rows: &[SpoolRow], entries: &[Entry]) -> Stored {
        let first_seq = rows.first().map_or(0, |row| row.first_seq);
        let tallies = self.shared.change(|state| {
            let registry = Arc::clone(&state.registry);
            let hot = Arc::make_mut(&mut state.hot);
            let mut rest = entries;
            for row in rows {
                let n = usize::try_from(row.n).unwrap_or(usize::MAX).min(rest.len());
                let (piece, after) = rest.split_at(n);
                hot.apply(&registry, row.first_seq, row.imported, piece);
                rest = after;
            }
            hot.tallies.len()
        });
        let late = self.clock.now().boottime.saturating_sub(self.written_at) >= WRITTEN_EVERY;
        if (tallies > MOST_TALLIES || late)
            && let Err(error) = self.write_tallies()
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "roll-ups not written; they will be made again from the raw files"
            );
        }
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        Stored { first_seq, count, left_out: Vec::new() }
    }

    /// Writes the tallies to the roll-up file; makes that again if it is damaged.
    pub(crate) fn write_tallies(&mut self) -> Result<(), StoreError> {
        let State { hot, registry, .. } = self.state();
        match tables::write(&mut self.rollup, &hot, &registry, self.shared.civil) {
            // All that is stored is counted into the new one, and nothing is left in memory alone.
            Err(error) if error.is_damage() => drop(self.repair_rollup(&error)?),
            other => other?,
        }
        drop(hot);
        self.written_at = self.clock.now().boottime;
        self.shared.change(|state| Arc::make_mut(&mut state.hot).written());
        Ok(())
    }

    /// Writes new and changed series to core.db, so that a reading may speak of them.
    pub(crate) fn register(&mut self, placing: Placing) -> Result<(), StoreError> {
        if placing.written.is_empty() {
            return Ok(());
        }
        let transaction = self.core.transaction().doing("write series")?;
        write_series(&transaction, &placing.written)?;
        transaction.commit().doing("write series")?;
        // The raw files get the change with the next reading.
        for raw in self.raws.values_mut() {
            for SeriesInfo { series, .. } in &placing.written {
                raw.explained.remove(series);
            }
        }
        self.shared.change(|state| state.registry = placing.registry);
        Ok(())
    }

    /// Makes sure that core.db leads all numbers that are about to be given.
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), StoreError> {
        let needed = self.state().head.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if needed <= self.reserved {
            return Ok(());
        }
        let reserved = needed.saturating_add(RESERVED_AT_ONCE);
        set_cursor(&self.core, "reserved", reserved)?;
        self.reserved = reserved;
        Ok(())
    }

    /// The open raw file of a month; it is made if there is none.
    pub(crate) fn raw(&mut self, month: Month) -> Result<&mut RawFile, StoreError> {
        let newest = self.raws.values().map(|raw| raw.used).max().unwrap_or(0);
        if !self.raws.contains_key(&month) {
            let db = files::open(&month.path(&self.dir), &files::RAW)?;
            let raw = RawFile { db, explained: HashSet::new(), used: 0 };
            self.raws.insert(month, raw);
            if self.raws.len() > MOST_OPEN {
                let oldest = self.raws.iter().filter(|(other, _)| **other != month);
                let oldest = oldest.min_by_key(|(_, raw)| raw.used).map(|(month, _)| *month);
                oldest.and_then(|month| self.raws.remove(&month));
            }
        }
        let raw = self.raws.get_mut(&month).ok_or(StoreError::Closed)?;
        raw.used = newest + 1;
        Ok(raw)
    }

    /// Does what a full disk needs: gives up the ballast, so that there is room to tidy up in, and
    /// puts every log into its file.
    pub(crate) fn relieve(&mut self) {
        self.ballast.give_up();
        let raws = self.raws.values().map(|raw| &raw.db);
        for db in raws.chain([&self.core, &self.rollup]) {
            if let Err(cause) = checkpoint(db) {
                tracing::warn!(
                    error = &cause as &dyn std::error::Error,
                    "log not put into its file"
                );
            }
        }
    }

    /// Writes down that a file was damaged.
    pub(crate) fn report(&self, damage: &repair::Damage) {
        tracing::error!("{damage}");
        let written = self.core.execute(
            "INSERT INTO damage (at_ms, sentence) VALUES (?1, ?2)",
            params![self.clock.now().wall_ms(), damage.to_string()],
        );
        if let Err(cause) = written {
            tracing::warn!(error = &cause as &dyn std::error::Error, "damage not written down");
        }
    }

    /// Writes what is in memory alone, and leaves every log empty.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.be_back()?;
        self.write_tallies()?;
        outage::say_goodbye(&self.core, self.clock.now(), self.alive_ms())?;
        for raw in self.raws.values() {
            checkpoint(&raw.db)?;
        }
        checkpoint(&self.core)?;
        checkpoint(&self.rollup)
    }
}

pub(crate) fn checkpoint(db: &Connection) -> Result<(), StoreError> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).doing("checkpoint")
}

/// A cursor of core.db.
pub(crate) fn cursor(core: &Connection, name: &str) -> Result<Option<u64>, StoreError> {
    use rusqlite::OptionalExtension;
    let value: Option<i64> = core
        .query_row("SELECT value FROM cursor WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .doing("read a cursor")?;
    Ok(value.map(i64::cast_unsigned))
}

pub(crate) fn set_cursor(core: &Connection, name: &str, value: u64) -> Result<(), StoreError> {
    core.execute(
        "INSERT OR REPLACE INTO cursor (name, value) VALUES (?1, ?2)",
        params![name, value.cast_signed()],
    )
    .map(drop)
    .doing("write a cursor")
}

/// The readings and absences of a round, each with its series; without what is left out.
fn entries(
    placing: &mut Placing,
    state: &State,
    round: &[MeterRound],
) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for meter in round {
        let before = entries.len();
        for (reading, kind) in meter.outcome.iter().flatten() {
            entries.extend(entry(placing, meter, reading, *kind)?);
        }
        match &meter.outcome {
            // What it told before is not in its answer.
            Ok(_) if entries.len() == before => {
                absences(placing, state, meter, NoReading::LeftOut, &mut entries)?;
            }
            Ok(_) => {}
            Err(reason) => absences(placing, state, meter, *reason, &mut entries)?,
        }
    }
    Ok(entries)
}

fn entry(
    placing: &mut Placing,
    meter: &MeterRound,
    reading: &Reading,
    kind: Kind,
) -> Result<Option<Entry>, StoreError> {
    let wanted = Wanted {
        meter: meter.meter,
        register: &reading.register,
        kind,
        serial: meter.identity.as_ref().map(|identity| identity.serial.as_str()),
        at_ms: reading.at.wall_ms(),
    };
    let placed = match reading.value {
        Ok(quantity) => {
            let placed = placing.value(&wanted, quantity)?;
            placed.map(|(series, mantissa)| (series, Ok(mantissa)))
        }
        Err(reason) => placing.absence(&wanted)?.map(|series| (series, Err(reason))),
    };
    Ok(placed.map(|(series, value)| Entry {
        series: series.get(),
        at_ms: reading.at.wall_ms(),
        boottime_ms: millis(reading.at.boottime),
        cycle: meter.cycle.cast_signed(),
        trust: Some(reading.at.trust),
        quality: reading.quality,
        origin: reading.origin,
        value,
    }))
}

/// An absence for each series that had a value when the meter last answered; on the register
/// `answer` if it never did.
fn absences(
    placing: &mut Placing,
    state: &State,
    meter: &MeterRound,
    reason: NoReading,
    entries: &mut Vec<Entry>,
) -> Result<(), StoreError> {
    let mut series = state.hot.answered.get(&meter.meter).cloned().unwrap_or_default();
    if series.is_empty() {
        let register: Register = "answer"
            .parse()
            .map_err(|_| StoreError::Foreign { column: "register", found: "answer".to_owned() })?;
        let wanted = Wanted {
            meter: meter.meter,
            register: &register,
            kind: Kind::Flag,
            serial: None,
            at_ms: meter.asked.wall_ms(),
        };
        series.extend(placing.absence(&wanted)?);
    }
    entries.extend(series.into_iter().map(|series| Entry {
        series: series.get(),
        at_ms: meter.asked.wall_ms(),
        boottime_ms: millis(meter.asked.boottime),
        cycle: meter.cycle.cast_signed(),
        trust: Some(meter.asked.trust),
        quality: Quality::Good,
        origin: meter.origin,
        value: Err(reason),
    }));
    Ok(())
}

/// Keeps each meter's last telegrams and identity, in memory alone.
pub(crate) fn remember_what_was_said(state: &mut State, round: Vec<MeterRound>) {
    let hot = Arc::make_mut(&mut state.hot);
    for MeterRound { meter, identity, telegrams, .. } in round {
        let bytes: usize = telegrams.iter().map(Vec::len).sum();
        if !telegrams.is_empty() && bytes <= MOST_TELEGRAM_BYTES {
            hot.telegrams.insert(meter, Arc::new(telegrams));
        }
        if let Some(identity) = identity {
            hot.identities.insert(meter, identity);
        }
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
