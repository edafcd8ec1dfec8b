//! Readings that came while nobody knew what time it was: on the disk at once, and stored once it is known.
//!
//! ```text
//! core.db    ▪ ▪ ▪ ▪ ▪                by the clock of their boot, without a number
//!                     ▼ the clock is set: its wall time less its boot time is when the boot began
//! raw file   ▪ ▪ ▪ ▪ ▪ ▪ ▪ ▪          in their order, before whatever came later
//! ```
//!
//! | They came                           | and get as their time                                     |
//! |-------------------------------------|-----------------------------------------------------------|
//! | in the boot in which the clock is set | the exact one: a boot's clock is never set              |
//! | in a boot before it                 | an estimate, marked as such: as if the machine had started again at once |
//! | and there are [`MOST_BYTES`] of them | what the clock shows, no earlier than what is stored; marked as estimated |
//!
//! A reading that waits is in no history and goes to nobody. Its row and the raw file are two files, which a
//! power cut may find apart; so the number that it is about to get is written down first, and one whose number
//! has been given is not stored again.
//!
//! **Never true:** a reading gets a number before its time is known, or two.

use metering::{MeterId, Moment, Quality, SeriesId, Trust};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params, params};

use crate::codec::Entry;
use crate::completeness;
use crate::engine::{Engine, MOST_AT_ONCE, remember_what_was_said};
use crate::error::{Doing, StoreError};
use crate::files::{self, Month};
use crate::open;
use crate::outage;
use crate::registry::{Placing, SeriesInfo};
use crate::repair::Damage;
use crate::round::{MeterRound, Stored};
use crate::spool::{self, SpoolRow};

/// Of readings that wait: a month of 250 meters with six registers at a quarter hour.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

const WAITING: &str = "keep readings that wait for the time";
const STAMPING: &str = "store readings that waited for the time";

/// What the writer thread knows of those that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// How many readings there are.
    pub(crate) readings: u64,
    bytes: u64,
    /// The number of the next row.
    next: u64,
    /// Some may have been told a number that was given to none, and that others get now.
    numbered: bool,
    /// A round was refused, and may be there all the same.
    in_doubt: bool,
    /// Which meters are asked from when on, by a clock that nobody has set.
    schedule: Option<(Moment, Vec<(MeterId, u32)>)>,
}

impl Waiting {
    /// Those in `core`.
    pub(crate) fn read(core: &Connection) -> Result<Self, StoreError> {
        core.query_row(
            "SELECT COALESCE(SUM(n), 0), COALESCE(SUM(LENGTH(blob)), 0),
                    COALESCE(MAX(number + n), 1), COALESCE(MAX(seq), 0) > 0
               FROM waiting",
            [],
            |row| {
                Ok(Self {
                    readings: row.get(0)?,
                    bytes: row.get(1)?,
                    next: row.get(2)?,
                    numbered: row.get(3)?,
                    in_doubt: false,
                    schedule: None,
                })
            },
        )
        .doing("look at the readings that wait")
    }
}

/// Of the rows that were being given numbers when the power went, those up to `newest`, the newest that is
/// in a raw file, are stored, and the others are not.
///
/// To be asked before it is known whether numbers are left out for readings that are gone: those were given
/// to none of these.
pub(crate) fn settle(core: &mut Connection, newest: u64) -> Result<(), StoreError> {
    let transaction = core.transaction().doing(STAMPING)?;
    forget_numbers(&transaction, newest)?;
    transaction.commit().doing(STAMPING)
}

fn forget_numbers(core: &Connection, newest: u64) -> Result<(), StoreError> {
    core.execute("DELETE FROM waiting WHERE seq <= ?1", [newest])
        .and_then(|_| core.execute("UPDATE waiting SET seq = NULL WHERE seq IS NOT NULL", []))
        .map(drop)
        .doing(STAMPING)
}

/// A row that waits, and what is known of its boot.
struct Held {
    row: SpoolRow,
    began_ms: i64,
    estimated: bool,
    /// Why nothing was read after it, if the gateway was started anew then.
    ended: Option<&'static str>,
}

impl Held {
    /// Its readings with their time.
    fn stamped(&self, core: &std::path::Path, trust: Trust) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.row.unpack(core)?;
        for entry in &mut entries {
            entry.at_ms = self.began_ms.saturating_add(entry.boottime_ms);
            if !self.estimated {
                entry.trust = Some(trust);
            } else if entry.quality == Quality::Good {
                entry.quality = Quality::TimeEstimated;
            }
        }
        Ok(entries)
    }
}

/// Whether nobody knew what time it was when a part of this came.
pub(crate) fn is_untimed(round: &[MeterRound]) -> bool {
    let untimed = |moment: &Moment| moment.trust == Trust::Untrusted;
    round.iter().any(|meter| {
        untimed(&meter.asked) || meter.outcome.iter().flatten().any(|(it, _)| untimed(&it.at))
    })
}

/// Gives what came in this boot its time.
pub(crate) fn stamp(round: &mut [MeterRound], now: Moment) {
    let stamp = |moment: &mut Moment| {
        if moment.trust == Trust::Untrusted && moment.boot_id == now.boot_id {
            let ago = now.boottime.saturating_sub(moment.boottime);
            *moment = Moment { wall: now.wall - ago, trust: now.trust, ..*moment };
        }
    };
    for meter in round {
        stamp(&mut meter.asked);
        meter.outcome.iter_mut().flatten().for_each(|(reading, _)| stamp(&mut reading.at));
    }
}

impl Engine {
    /// Keeps a round until it is known when it was; returns when that survives a power cut.
    pub(crate) fn wait(&mut self, round: Vec<MeterRound>) -> Result<Stored, StoreError> {
        self.ballast.restore()?;
        let head = self.state().head;
        let (entries, left_out) = self.in_series(&round)?;
        let stored = Stored { first_seq: head + 1, count: 0, left_out };
        let Some(asked) = round.first().map(|first| first.asked) else { return Ok(stored) };
        if self.waiting.bytes > MOST_BYTES {
            tracing::warn!(
                readings = self.waiting.readings,
                "nobody says what time it is, and there is no more room to wait: times are estimated"
            );
            self.take_what_the_clock_shows()?;
            while self.stamp_next()? {}
        }
        self.forget_numbers()?;
        let rows = spool::cut(self.waiting.next, asked.boot_id, false, &entries);
        self.waiting.in_doubt = true;
        let transaction =
            self.core.transaction_with_behavior(TransactionBehavior::Immediate).doing(WAITING)?;
        for row in &rows {
            row.insert_waiting(&transaction)?;
        }
        transaction.commit().doing(WAITING)?;
        self.waiting.in_doubt = false;
        self.waiting.next = rows.last().map_or(self.waiting.next, |row| row.last_seq() + 1);
        self.waiting.readings += rows.iter().map(|row| u64::from(row.n)).sum::<u64>();
        self.waiting.bytes += rows.iter().map(|row| bytes(&row.blob)).sum::<u64>();
        self.keep_said(&round);
        self.shared.change(|state| {
            let hot = std::sync::Arc::make_mut(&mut state.hot);
            for answers in entries.chunk_by(|a, b| a.cycle == b.cycle) {
                let valued = || answers.iter().filter(|it| it.value.is_ok());
                let meter = valued().next().and_then(|it| state.registry.numbered(it.series));
                if let Some(meter) = meter.map(|info| info.meter) {
                    let series = valued().filter_map(|it| SeriesId::new(it.series)).collect();
                    hot.answered.insert(meter, series);
                }
            }
            remember_what_was_said(state, round);
        });
        Ok(stored)
    }

    /// Stores all that waits if the time is known, and says how many readings still wait.
    pub(crate) fn stamp_all(&mut self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        if now.trust == Trust::Untrusted {
            return Ok(self.waiting.readings);
        }
        if let Some((at, meters)) = self.waiting.schedule.take() {
            let ago = now.boottime.saturating_sub(at.boottime);
            let from_ms = Moment { wall: now.wall - ago, ..at }.wall_ms();
            if let Err(error) = self.keep_schedule(from_ms, &meters) {
                self.waiting.schedule = Some((at, meters));
                return Err(error);
            }
        }
        self.forget_numbers()?;
        if self.waiting.readings == 0 {
            return Ok(0);
        }
        self.find_out_when(now)?;
        let before = self.waiting.readings;
        while self.stamp_next()? {}
        tracing::info!(readings = before, "what waited for the time is stored");
        // The room that they took is given back.
        self.core.execute_batch("PRAGMA incremental_vacuum").doing(STAMPING)?;
        Ok(self.waiting.readings)
    }

    /// Keeps which meters are asked from now on, once it is known when that is.
    pub(crate) fn schedule(
        &mut self,
        from_ms: i64,
        meters: Vec<(MeterId, u32)>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now.trust == Trust::Untrusted {
            self.waiting.schedule = Some((now, meters));
            return Ok(());
        }
        self.waiting.schedule = None;
        self.keep_schedule(from_ms, &meters)
    }

    fn keep_schedule(&mut self, from_ms: i64, meters: &[(MeterId, u32)]) -> Result<(), StoreError> {
        let changes = self.state().schedules.changes(from_ms, meters);
        completeness::write_schedule(&mut self.core, from_ms, &changes)?;
        self.shared.change(|state| {
            let schedules = std::sync::Arc::make_mut(&mut state.schedules);
            for (meter, every_secs) in changes {
                schedules.set(meter, from_ms, every_secs);
            }
        });
        Ok(())
    }

    /// Writes down when each boot began of which something waits.
    fn find_out_when(&mut self, now: Moment) -> Result<(), StoreError> {
        let began_ms = now.wall_ms().saturating_sub(millis(now.boottime));
        self.core
            .execute(
                "UPDATE waiting SET began_ms = ?1, estimated = 0
                  WHERE began_ms IS NULL AND boot_id = ?2",
                params![began_ms, now.boot_id.to_be_bytes()],
            )
            .doing(STAMPING)?;
        // The newest of the others first: one ended before the next began.
        let (mut end_ms, alive_ms) = (began_ms, self.alive_ms());
        while let Some(last) = self.newest_unknown()? {
            let (first_boottime, last_boottime) = self.boottimes(&last)?;
            let latest = end_ms.saturating_sub(last_boottime);
            let earliest = alive_ms.filter(|alive| *alive < end_ms);
            let began_ms = earliest
                .map_or(latest, |alive| latest.max(alive.saturating_sub(first_boottime) + 1));
            self.core
                .execute(
                    "UPDATE waiting SET began_ms = ?1, estimated = 1
                      WHERE began_ms IS NULL AND boot_id = ?2",
                    params![began_ms, last.boot_id().to_be_bytes()],
                )
                .doing(STAMPING)?;
            end_ms = began_ms;
        }
        Ok(())
    }

    /// There is no more room to wait: the times are those that the clock shows.
    fn take_what_the_clock_shows(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let shown = now.wall_ms().saturating_sub(millis(now.boottime));
        let began_ms = match (self.newest_unknown()?, self.alive_ms()) {
            (Some(last), Some(alive)) => {
                let (first_boottime, _) = self.boottimes(&last)?;
                shown.max(alive.saturating_sub(first_boottime) + 1)
            }
            _ => shown,
        };
        self.find_out_when(Moment {
            wall: chrono::DateTime::from_timestamp_millis(
                began_ms.saturating_add(millis(now.boottime)),
            )
            .unwrap_or(now.wall),
            ..now
        })?;
        self.core.execute("UPDATE waiting SET estimated = 1", []).map(drop).doing(STAMPING)
    }

    /// When the newest reading was that is stored.
    pub(crate) fn alive_ms(&self) -> Option<i64> {
        self.state().hot.progress.values().filter_map(|it| it.live_at).max()
    }

    /// The last row of which nobody knows yet when it was.
    fn newest_unknown(&self) -> Result<Option<SpoolRow>, StoreError> {
        let sql = "SELECT *, number AS first_seq, 0 AS imported FROM waiting
                    WHERE began_ms IS NULL ORDER BY number DESC LIMIT 1";
        self.core.query_row(sql, [], SpoolRow::read).optional().doing(STAMPING)
    }

    /// How old the boot of `last` was when its first and its last row came.
    fn boottimes(&self, last: &SpoolRow) -> Result<(i64, i64), StoreError> {
        let first = "SELECT MIN(boottime_ms) FROM waiting WHERE boot_id = ?1";
        let boot_id = last.boot_id().to_be_bytes();
        let first = self.core.query_row(first, [boot_id], |row| row.get(0)).doing(STAMPING)?;
        let entries = last.unpack(&files::core_path(&self.dir)).unwrap_or_default();
        let newest = entries.iter().map(|it| it.boottime_ms).max();
        Ok((first, newest.unwrap_or(first).max(first)))
    }

    /// Stores the oldest that wait, of one boot and month; `false` if none are left.
    fn stamp_next(&mut self) -> Result<bool, StoreError> {
        self.forget_numbers()?;
        let path = files::core_path(&self.dir);
        let trust = self.clock.now().trust;
        let mut entries: Vec<Entry> = Vec::new();
        let (mut firsts, mut batch) = (Vec::new(), Vec::new());
        let (mut number, mut boot) = (0, None);
        while let Some(held) = self.after(number)? {
            let same = (held.row.boot_id(), held.began_ms, held.estimated);
            if boot.is_some_and(|boot| boot != same)
                || entries.len() + usize::try_from(held.row.n).unwrap_or(usize::MAX) > MOST_AT_ONCE
            {
                break;
            }
            number = held.row.first_seq;
            let stamped = match held.stamped(&path, trust) {
                Ok(stamped) => stamped,
                Err(error) => {
                    self.give_up(number, held.row.n.into(), &error)?;
                    continue;
                }
            };
            let month = |it: &Entry| Month::of(it.at_ms);
            if let (Some(first), Some(next)) = (entries.first(), stamped.first())
                && month(first) != month(next)
            {
                break;
            }
            boot = Some(same);
            firsts.push((number, entries.len()));
            batch.extend(stamped.first().map(|first| (*first, held.ended)));
            entries.extend(stamped);
        }
        let (Some(first), Some(last), Some((boot_id, ..))) = (firsts.first(), firsts.last(), boot)
        else {
            return Ok(false);
        };
        let (first, last) = (first.0, last.0);
        self.begin_series(&entries)?;
        self.keep_breaks(&entries);
        let next_seq = self.state().head + 1;
        let transaction = self.core.transaction().doing(STAMPING)?;
        for (number, offset) in &firsts {
            let seq = next_seq + u64::try_from(*offset).unwrap_or_default();
            transaction
                .execute("UPDATE waiting SET seq = ?1 WHERE number = ?2", params![seq, number])
                .doing(STAMPING)?;
        }
        transaction.commit().doing(STAMPING)?;
        self.waiting.numbered = true;
        let month = Month::of(entries.first().map_or(0, |entry| entry.at_ms));
        let rows = match self.store_once(month, boot_id, false, &entries) {
            Err(error) if error.is_damage() => {
                // A repair moves on to numbers that nobody got.
                self.core
                    .execute("UPDATE waiting SET seq = NULL WHERE seq IS NOT NULL", [])
                    .doing(STAMPING)?;
                self.repair_raw(month)?;
                return Ok(true);
            }
            rows => rows?,
        };
        self.count(&rows, &entries);
        for (entry, ended) in batch {
            self.watch_stamped(&entry, boot_id, ended);
        }
        self.core
            .execute("DELETE FROM waiting WHERE number BETWEEN ?1 AND ?2", [first, last])
            .doing(STAMPING)?;
        self.count_those_that_wait()?;
        Ok(true)
    }

    /// The first row after `number` whose boot's beginning is known.
    fn after(&self, number: u64) -> Result<Option<Held>, StoreError> {
        let sql = "SELECT *, number AS first_seq, 0 AS imported FROM waiting
                    WHERE number > ?1 AND began_ms IS NOT NULL ORDER BY number LIMIT 1";
        self.core
            .prepare_cached(sql)
            .and_then(|mut it| {
                it.query_row([number], |row| {
                    Ok(Held {
                        row: SpoolRow::read(row)?,
                        began_ms: row.get("began_ms")?,
                        estimated: row.get("estimated")?,
                        ended: outage::cause_of(row.get("ended")?),
                    })
                })
                .optional()
            })
            .doing(STAMPING)
    }

    /// Those whose numbers were given are stored; the others have none. And what was refused comes once
    /// more.
    pub(crate) fn forget_numbers(&mut self) -> Result<(), StoreError> {
        if !self.waiting.numbered && !self.waiting.in_doubt {
            return Ok(());
        }
        if self.waiting.numbered {
            // What may be in a raw file all the same goes from there first: a row without a number is one
            // that is stored nowhere.
            self.forget_what_was_refused()?;
        }
        // Not the newest number that was given: a repair goes on beyond all that may have been.
        let newest = open::newest(&self.state().files);
        let transaction = self.core.transaction().doing(STAMPING)?;
        forget_numbers(&transaction, newest)?;
        if self.waiting.in_doubt {
            transaction
                .execute("DELETE FROM waiting WHERE number >= ?1", [self.waiting.next])
                .doing(STAMPING)?;
        }
        transaction.commit().doing(STAMPING)?;
        self.waiting.in_doubt = false;
        self.count_those_that_wait()
    }

    fn count_those_that_wait(&mut self) -> Result<(), StoreError> {
        let Waiting { readings, bytes, numbered, .. } = Waiting::read(&self.core)?;
        self.waiting.readings = readings;
        self.waiting.bytes = bytes;
        self.waiting.numbered = numbered;
        Ok(())
    }

    /// What cannot be read any more keeps nothing else waiting.
    fn give_up(&mut self, number: u64, n: u64, error: &StoreError) -> Result<(), StoreError> {
        let mut damage = Damage::new(&files::core_path(&self.dir), error, None);
        damage.outcome = format!("{n} readings that waited for the time are gone");
        self.report(&damage);
        self.core.execute("DELETE FROM waiting WHERE number = ?1", [number]).doing(STAMPING)?;
        self.count_those_that_wait()
    }

    /// A series begins with its first reading, whose time nobody knew when it was begun.
    fn begin_series(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let state = self.state();
        let mut placing = Placing::new(std::sync::Arc::clone(&state.registry));
        let mut known = std::collections::HashSet::new();
        for entry in entries {
            let Some(info) = state.registry.numbered(entry.series) else { continue };
            let is_first = known.insert(entry.series)
                && !state.hot.progress.contains_key(&info.series)
                && info.begins_ms != entry.at_ms;
            if is_first {
                placing.write(SeriesInfo { begins_ms: entry.at_ms, ..SeriesInfo::clone(info) });
            }
        }
        self.register(placing)
    }
}

impl SpoolRow {
    /// Writes it as one that waits; the caller has the transaction.
    fn insert_waiting(&self, db: &Connection) -> Result<(), StoreError> {
        db.execute(
            "INSERT INTO waiting (number, n, cycle_seq, ts, ts_last, boot_id, boottime_ms, blob,
                                  crc32c, estimated)
             VALUES (:number, :n, :cycle, :ts, :ts_last, :boot_id, :boottime_ms, :blob, :crc32c, 0)",
            named_params! {
                ":number": self.first_seq,
                ":n": self.n,
                ":cycle": self.cycle,
                ":ts": self.ts,
                ":ts_last": self.ts_last,
                ":boot_id": self.boot_id().to_be_bytes(),
                ":boottime_ms": self.boottime_ms,
                ":blob": self.blob,
                ":crc32c": self.crc32c,
            },
        )
        .map(drop)
        .doing(WAITING)
    }
}

fn bytes(blob: &[u8]) -> u64 {
    u64::try_from(blob.len()).unwrap_or(u64::MAX)
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use metering::{Clock as _, Unit};

    use super::*;
    use crate::Kind;
    use crate::testing::{self, COLD, KnownDay, answer, known_day, reading};

    const MARCH: &str = "raw-2026-03.db";

    /// The known day, and a reading in that month or in the one after it that waits for its time.
    async fn one_waits(later: Duration) -> KnownDay {
        let day = known_day().await.unwrap();
        day.clock.pass(later);
        day.clock.trust(Trust::Untrusted);
        let at = day.clock.now();
        let volume = reading("volume", 4711, 0, Unit::Litre, at);
        let round = vec![answer(COLD, "20110815", at, vec![(volume, Kind::Counter)])];
        day.store.writer().commit(round).await.unwrap();
        day.clock.trust(Trust::Synced);
        day
    }

    async fn it_is_stored_once(day: &KnownDay) {
        assert_eq!(day.store.writer().stamp().await.unwrap(), 0);
        let outbox = day.store.outbox();
        let mut readings = Vec::new();
        let mut after = 0;
        loop {
            let batch = outbox.batch(after, 10_000).await.unwrap();
            let Some(last) = batch.readings.last().map(|it| it.seq).max(batch.lost.map(|it| it.to))
            else {
                break;
            };
            after = last;
            readings.extend(batch.readings);
        }
        let found = readings.iter().filter(|it| it.value == Ok(4711)).count();
        assert_eq!(found, 1, "of {} readings", readings.len());
    }

    /// The disk refuses a reading whose number is written down already, or says so although it is there; and
    /// meanwhile a month's file loses the newest numbers.
    #[track_caller]
    fn check(later: Duration, is_there_all_the_same: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let day = one_waits(later).await;
            let queue = day.store.writer().queue;
            let month = Month::of(day.clock.now().wall_ms());
            let refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON spool
                          BEGIN SELECT RAISE(ABORT, 'refused'); END";
            let prepared = queue
                .ask(move |engine| engine.raw(month)?.db.execute_batch(refuse).doing("prepare"));
            prepared.await.unwrap();
            assert!(day.store.writer().stamp().await.is_err());
            let path = day.dir.path().join(MARCH);
            let repaired = queue.ask(move |engine| {
                let raw = engine.raw(month)?;
                raw.db.execute_batch("DROP TRIGGER refuse").doing("prepare")?;
                if is_there_all_the_same {
                    let sql = "SELECT *, seq AS first_seq, 0 AS imported FROM waiting";
                    let row = engine.core.query_row(sql, [], SpoolRow::read).doing("prepare")?;
                    spool::insert(&engine.raw(month)?.db, &row)?;
                }
                engine.raws.clear();
                fs::write(&path, vec![0x55; 20_000]).unwrap();
                let head = engine.state().head;
                engine.repair_raw("raw-2026-03.db".parse().unwrap())?;
                assert!(engine.state().head > head + 1, "beyond all that was reserved");
                Ok(())
            });
            repaired.await.unwrap();
            it_is_stored_once(&day).await;
        });
    }

    #[test]
    fn a_repair_takes_no_reading_that_was_refused_for_stored() {
        for later in [Duration::ZERO, Duration::from_hours(48)] {
            for is_there_all_the_same in [false, true] {
                check(later, is_there_all_the_same);
            }
        }
    }

    #[tokio::test]
    async fn a_start_that_cannot_settle_what_waits_loses_nothing_of_it() {
        let day = one_waits(Duration::from_hours(48)).await;
        let KnownDay { store, clock, dir } = day;
        store.close().unwrap();
        let core = Connection::open(dir.path().join("core.db")).unwrap();
        core.execute_batch(
            "UPDATE waiting SET seq = 280;
             CREATE TRIGGER full BEFORE UPDATE ON waiting BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
        drop(core);
        fs::write(dir.path().join(MARCH), vec![0x55; 20_000]).unwrap();
        let (store, report) = testing::open(dir.path(), &clock).unwrap();
        assert!(report.head > 280, "beyond all that was reserved");
        let queue = store.writer().queue;
        let heal = |it: &mut Engine| it.core.execute_batch("DROP TRIGGER full").doing("heal");
        queue.ask(heal).await.unwrap();
        it_is_stored_once(&KnownDay { store, clock, dir }).await;
    }
}
