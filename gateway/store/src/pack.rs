//! How spool rows become blocks: hours at first, and days when they are over.
//!
//! ```text
//! a file's hours     09      10      11      12      13 ← now
//! spool              .       .       ▪▪▪▪    ▪▪▪▪    ▪▪▪      too few yet for a block
//! chunks             ▬▬▬▬▬▬▬▬▬▬
//! ```
//!
//! The spool is what a power cut must not take, and the last hours are asked for most, all meters at
//! once. A block is what ten years fit in: one meter, a long time. So rows wait in the spool until an
//! hour is over and there are enough of them for good blocks ([`ENOUGH_OF_METER`] readings of each
//! meter on average, or [`ENOUGH`] of all), or until the day is over. When a day has been over for
//! an hour its chunks become one.
//!
//! Each step is one transaction of one file: what is packed is written and its rows are deleted
//! together, so a power cut leaves it done or not begun. A step is short, and commits of readings take
//! their turns between two of them.
//!
//! A row with a series that nobody knows stays in the spool. Its meter cannot be told.

use std::collections::{BTreeMap, HashSet};

use metering::MeterId;
use rusqlite::TransactionBehavior;

use crate::block::{Block, MOST_ANSWERS, MOST_READINGS, Numbered};
use crate::chunk::{self, Chunk, Writing};
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::Month;
use crate::registry::Registry;
use crate::spool::{self, SpoolRow};
use crate::tallied;

/// What packing still remembers of the files it went through.
#[derive(Debug, Default)]
pub(crate) struct PackedMonths {
    /// The files in which there is nothing more to do, unless something is stored in them.
    settled: HashSet<Month>,
    /// Rows that have to stay in the spool, by their first numbers.
    staying: HashSet<(Month, u64)>,
    /// Days whose chunks do not fit into one.
    too_long: HashSet<(Month, i64)>,
}

impl PackedMonths {
    /// Something was stored there.
    pub(crate) fn touched(&mut self, month: Month) {
        self.settled.remove(&month);
    }
}

/// A block of fewer is mostly its own head.
const ENOUGH_OF_METER: u64 = 240;

/// More make every question about today slow.
const ENOUGH: u64 = 60_000;

/// In one step. It bounds memory, at some twenty bytes each, and how long a commit waits.
const MOST_AT_ONCE: u64 = 100_000;

/// What is being stored right now may be of the hour before.
const GRACE_MS: i64 = 5 * 60_000;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Engine {
    /// Does the next step, and says how many readings it was; `None` when nothing is left to do.
    pub(crate) fn pack(&mut self) -> Result<Option<u64>, StoreError> {
        let now = self.clock.now().wall_ms();
        let months: Vec<Month> = self.state().files.iter().map(|held| held.month).collect();
        for month in months {
            if self.packed.settled.contains(&month) {
                continue;
            }
            let done = match self.pack_in(month, now) {
                Err(error) if error.is_damage() => {
                    self.repair_raw(month)?;
                    continue;
                }
                done => done?,
            };
            if done > 0 {
                return Ok(Some(done));
            }
        }
        match tallied::merge(&mut self.rollup, now) {
            Ok(merged) => Ok(merged.then_some(0)),
            Err(error) if error.is_damage() => self.repair_rollup(&error).map(|_| None),
            Err(error) => Err(error),
        }
    }

    fn pack_in(&mut self, month: Month, now: i64) -> Result<u64, StoreError> {
        let spooled = spool::heads(&self.raw(month)?.db)?;
        let meters = u64::try_from(self.state().registry.meters().count()).unwrap_or(u64::MAX);
        let staying = &self.packed.staying;
        let rows = spooled.iter().filter(|row| !staying.contains(&(month, row.first_seq)));
        let chosen = choose(rows.copied(), now, meters);
        if !chosen.is_empty() {
            let packed = self.pack_rows(month, &chosen)?;
            // None of them could be packed: the others are looked at.
            return if packed > 0 { Ok(packed) } else { self.pack_in(month, now) };
        }
        let path = month.path(&self.dir);
        let chunks = chunk::all(&self.raw(month)?.db, &path)?;
        if let Some((day, parts)) = self.day_in_parts(month, &chunks, now) {
            let merged = self.merge(month, &parts)?;
            if merged > 0 {
                return Ok(merged);
            }
            self.packed.too_long.insert((month, day));
            return self.pack_in(month, now);
        }
        let is_over = month.end_ms() < now.saturating_sub(2 * DAY_MS);
        if is_over && spooled.len() <= self.packed.staying.len() {
            self.packed.settled.insert(month);
        }
        Ok(0)
    }

    /// Packs these rows of the spool into one chunk.
    fn pack_rows(&mut self, month: Month, first_seqs: &[u64]) -> Result<u64, StoreError> {
        let path = month.path(&self.dir);
        let registry = self.state().registry;
        let mut blocks: BTreeMap<MeterId, Block> = BTreeMap::new();
        let (mut packed, mut staying) = (Vec::new(), Vec::new());
        let raw = self.raw(month)?;
        for first_seq in first_seqs {
            let Some(row) = spool::row(&raw.db, *first_seq)? else { continue };
            match by_meter(&registry, &row, &row.unpack(&path)?) {
                Some(parts) => {
                    for (meter, readings) in parts {
                        blocks.entry(meter).or_default().push(&readings);
                    }
                    packed.push(*first_seq);
                }
                None => staying.push((month, *first_seq)),
            }
        }
        let transaction = raw
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing("begin to pack readings")?;
        let mut writing = Writing::begin(&transaction)?;
        for (meter, block) in &blocks {
            writing.put(chunk::ensure_key(&transaction, *meter)?, block)?;
        }
        let chunk = writing.end()?;
        for first_seq in packed {
            spool::delete(&transaction, first_seq)?;
        }
        transaction.commit().doing("pack readings")?;
        self.packed.staying.extend(staying);
        Ok(chunk.n)
    }

    /// The first day of a file that is over and lies in several chunks, with them.
    fn day_in_parts(&self, month: Month, chunks: &[Chunk], now: i64) -> Option<(i64, Vec<Chunk>)> {
        let mut days: BTreeMap<i64, Vec<Chunk>> = BTreeMap::new();
        for chunk in chunks {
            days.entry(chunk.ts.div_euclid(DAY_MS)).or_default().push(*chunk);
        }
        let open = open_days(now, HOUR_MS);
        days.into_iter().find(|(day, parts)| {
            parts.len() > 1 && !open.contains(day) && !self.packed.too_long.contains(&(month, *day))
        })
    }

    /// Makes one chunk of several; 0 if it would be too long.
    fn merge(&mut self, month: Month, parts: &[Chunk]) -> Result<u64, StoreError> {
        let path = month.path(&self.dir);
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| part.first_seq);
        let transaction = self
            .raw(month)?
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing("begin to pack readings")?;
        let mut keys = Vec::new();
        for part in &parts {
            keys.extend(chunk::keys(&transaction, part)?);
        }
        keys.sort_unstable();
        keys.dedup();
        let mut writing = Writing::begin(&transaction)?;
        for key in keys {
            let mut whole = Block::default();
            for part in &parts {
                if let Some(block) = chunk::block(&transaction, &path, part, key)? {
                    whole.append(block);
                }
            }
            if whole.answers() > MOST_ANSWERS || whole.len() > MOST_READINGS {
                return Ok(0);
            }
            writing.put(key, &whole)?;
        }
        let chunk = writing.end()?;
        for part in &parts {
            chunk::delete(&transaction, part)?;
        }
        transaction.commit().doing("pack readings")?;
        Ok(chunk.n)
    }
}

/// The rows of the next chunk, by their first numbers; none if there are too few yet.
fn choose(rows: impl Iterator<Item = spool::Head>, now: i64, meters: u64) -> Vec<u64> {
    let open_hours = [now, now.saturating_sub(GRACE_MS)].map(|at| at.div_euclid(HOUR_MS));
    let mut days: BTreeMap<i64, Vec<(i64, spool::Head)>> = BTreeMap::new();
    for row in rows {
        let hour = row.ts.div_euclid(HOUR_MS);
        if !open_hours.contains(&hour) {
            days.entry(row.ts.div_euclid(DAY_MS)).or_default().push((hour, row));
        }
    }
    let enough = ENOUGH.min(meters.saturating_mul(ENOUGH_OF_METER));
    let open_days = open_days(now, GRACE_MS);
    for (day, mut rows) in days {
        rows.sort_by_key(|(hour, row)| (*hour, row.first_seq));
        let mut chosen = Vec::new();
        let mut n = 0;
        for (_, row) in rows {
            if n > 0 && n + row.n > MOST_AT_ONCE {
                break;
            }
            n += row.n;
            chosen.push(row.first_seq);
        }
        if n >= enough || !open_days.contains(&day) {
            return chosen;
        }
    }
    Vec::new()
}

/// The days that are not over, or not for as long as `grace`.
fn open_days(now: i64, grace: i64) -> [i64; 2] {
    [now, now.saturating_sub(grace)].map(|at| at.div_euclid(DAY_MS))
}

/// The readings of a row by meter, each in one piece; `None` if nobody knows whose one of them is.
fn by_meter(
    registry: &Registry,
    row: &SpoolRow,
    entries: &[crate::codec::Entry],
) -> Option<Vec<(MeterId, Vec<Numbered>)>> {
    let mut parts: Vec<(MeterId, Vec<Numbered>)> = Vec::new();
    for (seq, entry) in (row.first_seq..).zip(entries) {
        let meter = registry.numbered(entry.series)?.meter;
        let reading = Numbered {
            seq,
            entry: *entry,
            imported: row.imported,
            begins: seq == row.first_seq,
            boot_id: row.boot_id(),
        };
        match parts.last_mut() {
            Some((last, readings)) if *last == meter => readings.push(reading),
            _ => parts.push((meter, vec![reading])),
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as hours and readings; the clock in hours; the meters; and how many rows are chosen.
    #[track_caller]
    fn check(rows: &[(i64, u64)], now: i64, meters: u64, chosen: usize) {
        let heads = rows.iter().zip(1..).map(|((hour, n), first_seq)| spool::Head {
            first_seq,
            n: *n,
            ts: hour * HOUR_MS + 60_000,
        });
        assert_eq!(choose(heads, now * HOUR_MS + GRACE_MS, meters).len(), chosen);
    }

    #[test]
    fn an_hour_is_packed_when_it_is_over_and_worth_a_block() {
        check(&[(9, 300), (10, 300)], 10, 1, 1);
        check(&[(9, 200), (10, 300)], 10, 1, 0);
        check(&[(8, 200), (9, 200), (10, 300)], 10, 1, 2);
        check(&[(8, 200), (9, 200), (10, 300)], 10, 2, 0);
        check(&[(8, 40_000), (9, 40_000), (10, 1)], 10, 5_000, 2);
        check(&[(8, 90_000), (9, 90_000), (10, 1)], 10, 5_000, 1);
    }

    #[test]
    fn a_day_that_is_over_is_packed_whatever_it_holds() {
        check(&[(23, 1), (24, 1)], 24, 5, 1);
        check(&[(22, 1), (23, 1), (50, 1)], 24, 5, 2);
    }

    #[test]
    fn the_hour_before_has_some_minutes_of_grace() {
        let row = spool::Head { first_seq: 1, n: 900, ts: 9 * HOUR_MS };
        assert!(choose([row].into_iter(), 10 * HOUR_MS + GRACE_MS - 1, 1).is_empty());
        assert_eq!(choose([row].into_iter(), 10 * HOUR_MS + GRACE_MS, 1), [1]);
    }
}
