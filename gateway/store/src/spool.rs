//! The spool of a month's raw file: readings in the order in which they were stored, until they are
//! packed (see `pack.rs`).
//!
//! A row is what one commit brought, or a piece of it: at most [`MOST_READINGS`] readings that lie
//! within a day and come from one boot. The row and the numbers of its readings are written in one
//! transaction, so a reading without a number, or a number without a reading, cannot be.
//!
//! **Invariant:** a row whose CRC does not fit is never taken for readings.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::chunk::{self, Piece};
use crate::codec::{self, Base, Entry};
use crate::error::{Doing, StoreError};

/// Of one row. What the outbox sends at once, too.
pub(crate) const MOST_READINGS: usize = 10_000;

/// No row spans more.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// A row of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolRow {
    pub(crate) first_seq: u64,
    pub(crate) n: u32,
    pub(crate) cycle: i64,
    pub(crate) ts: i64,
    pub(crate) ts_last: i64,
    boot_id: [u8; 16],
    pub(crate) boottime_ms: i64,
    pub(crate) imported: bool,
    pub(crate) blob: Vec<u8>,
    pub(crate) crc32c: u32,
}

impl SpoolRow {
    /// Packs `entries`, numbered from `first_seq`. `None` if there are none, or too many.
    fn pack(first_seq: u64, boot_id: u128, imported: bool, entries: &[Entry]) -> Option<Self> {
        let head = entries.first()?;
        let ts = entries.iter().map(|entry| entry.at_ms).min()?;
        let ts_last = entries.iter().map(|entry| entry.at_ms).max()?;
        let base = Base { at_ms: ts, boottime_ms: head.boottime_ms, cycle: head.cycle };
        let mut row = Self {
            first_seq,
            n: u32::try_from(entries.len()).ok()?,
            cycle: head.cycle,
            ts,
            ts_last,
            boot_id: boot_id.to_be_bytes(),
            boottime_ms: head.boottime_ms,
            imported,
            blob: codec::pack(base, entries),
            crc32c: 0,
        };
        row.crc32c = row.checksum();
        Some(row)
    }

    /// Its readings, in the order of their numbers.
    pub(crate) fn unpack(&self, file: &Path) -> Result<Vec<Entry>, StoreError> {
        let damaged = |what: &str| StoreError::Corrupt {
            file: file.to_owned(),
            what: format!("{what} of the readings from {}", self.first_seq),
        };
        if self.checksum() != self.crc32c {
            return Err(damaged("the checksum does not fit those"));
        }
        let base = Base { at_ms: self.ts, boottime_ms: self.boottime_ms, cycle: self.cycle };
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        codec::unpack(base, n, &self.blob).map_err(|_| damaged("this version cannot read those"))
    }

    /// The number of its last reading.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.n).saturating_sub(1)
    }

    fn checksum(&self) -> u32 {
        let columns = [
            self.first_seq.cast_signed(),
            i64::from(self.n),
            self.cycle,
            self.ts,
            self.ts_last,
            self.boottime_ms,
            i64::from(self.imported),
        ];
        let crc =
            columns.iter().fold(0, |crc, column| crc32c::crc32c_append(crc, &column.to_le_bytes()));
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &self.boot_id), &self.blob)
    }

    /// Its readings, in one piece.
    pub(crate) fn piece(&self, file: &Path) -> Result<Piece, StoreError> {
        let (first_seq, imported) = (self.first_seq, self.imported);
        let entries = self.unpack(file)?;
        Ok(Piece { first_seq, imported, boot_id: self.boot_id(), entries })
    }

    /// In which boot they came.
    pub(crate) const fn boot_id(&self) -> u128 {
        u128::from_be_bytes(self.boot_id)
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            first_seq: row.get("first_seq")?,
            n: row.get("n")?,
            cycle: row.get("cycle_seq")?,
            ts: row.get("ts")?,
            ts_last: row.get("ts_last")?,
            boot_id: row.get("boot_id")?,
            boottime_ms: row.get("boottime_ms")?,
            imported: row.get("imported")?,
            blob: row.get("blob")?,
            crc32c: row.get("crc32c")?,
        })
    }
}

/// Cuts readings into rows. Each keeps its place in the order.
pub(crate) fn cut(
    first_seq: u64,
    boot_id: u128,
    imported: bool,
    entries: &[Entry],
) -> Vec<SpoolRow> {
    let mut rows = Vec::new();
    let mut rest = entries;
    let mut seq = first_seq;
    while let Some(head) = rest.first() {
        let (mut low, mut high) = (head.at_ms, head.at_ms);
        let len = rest
            .iter()
            .take(MOST_READINGS)
            .take_while(|entry| {
                low = low.min(entry.at_ms);
                high = high.max(entry.at_ms);
                high.saturating_sub(low) < DAY_MS
            })
            .count();
        let (piece, after) = rest.split_at(len.max(1));
        rows.extend(SpoolRow::pack(seq, boot_id, imported, piece));
        seq += u64::try_from(piece.len()).unwrap_or_default();
        rest = after;
    }
    rows
}

/// Writes a row; the caller has the transaction.
pub(crate) fn insert(db: &Connection, row: &SpoolRow) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO spool (first_seq, n, cycle_seq, ts, ts_last, boot_id, boottime_ms, imported,
                            blob, crc32c)
         VALUES (:first_seq, :n, :cycle, :ts, :ts_last, :boot_id, :boottime_ms, :imported, :blob,
                 :crc32c)",
    )
    .and_then(|mut statement| {
        statement.execute(named_params! {
            ":first_seq": row.first_seq,
            ":n": row.n,
            ":cycle": row.cycle,
            ":ts": row.ts,
            ":ts_last": row.ts_last,
            ":boot_id": row.boot_id,
            ":boottime_ms": row.boottime_ms,
            ":imported": row.imported,
            ":blob": row.blob,
            ":crc32c": row.crc32c,
        })
    })
    .map(drop)
    .doing("store readings")
}

/// What a raw file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) path: PathBuf,
    pub(crate) month: crate::files::Month,
    /// From its first number to its last; numbers between may be in other files.
    pub(crate) seqs: Option<(u64, u64)>,
    /// The times of its readings; the end is in it.
    pub(crate) times: Option<(i64, i64)>,
}

impl Held {
    /// Asks the file.
    pub(crate) fn ask(
        db: &Connection,
        path: &Path,
        month: crate::files::Month,
    ) -> Result<Self, StoreError> {
        const DOING: &str = "look at a raw file";
        let seqs = db
            .query_row(LAST, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))
            .optional()
            .doing(DOING)?;
        let first: Option<u64> =
            db.query_row("SELECT MIN(first_seq) FROM spool", [], |row| row.get(0)).doing(DOING)?;
        let seqs = first.zip(seqs).map(|(first, (last, n))| (first, last + n.saturating_sub(1)));
        let earliest: Option<i64> =
            db.query_row("SELECT MIN(ts) FROM spool", [], |row| row.get(0)).doing(DOING)?;
        let latest: Option<i64> =
            db.query_row("SELECT MAX(ts) FROM spool", [], |row| row.get(0)).doing(DOING)?;
        let times = earliest.zip(latest.map(|latest| latest.saturating_add(DAY_MS)));
        let mut held = Self { path: path.to_owned(), month, seqs, times };
        for chunk in chunk::all(db, path)? {
            held.add_chunk(&chunk);
        }
        Ok(held)
    }

    /// Takes note of a row that was added.
    pub(crate) fn add(&mut self, row: &SpoolRow) {
        self.seqs = Some(around(self.seqs, (row.first_seq, row.last_seq())));
        self.times = Some(around(self.times, (row.ts, row.ts_last)));
    }

    /// Takes note of a chunk that was added.
    pub(crate) fn add_chunk(&mut self, chunk: &chunk::Chunk) {
        self.seqs = Some(around(self.seqs, (chunk.first_seq, chunk.last_seq)));
        self.times = Some(around(self.times, (chunk.ts, chunk.ts_last)));
    }
}

/// The range that holds both, their ends in them.
fn around<T: Ord + Copy>(known: Option<(T, T)>, more: (T, T)) -> (T, T) {
    known.map_or(more, |(first, last)| (first.min(more.0), last.max(more.1)))
}

/// The last row.
const LAST: &str = "SELECT first_seq, n FROM spool ORDER BY first_seq DESC LIMIT 1";

/// The row that holds the number `:seq`, or the first one after it.
pub(crate) const FROM_SEQ: &str = "
    SELECT *
      FROM spool
     WHERE first_seq >= COALESCE(
               (SELECT first_seq FROM spool WHERE first_seq <= :seq
                 ORDER BY first_seq DESC LIMIT 1),
               0)
     ORDER BY first_seq";

/// The rows that may hold readings of a span, in no order. The blobs of the others are passed over.
pub(crate) const BY_TIME: &str = "
    SELECT *
      FROM spool
     WHERE ts_last >= :from
       AND ts < :until";

/// A row without its readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) first_seq: u64,
    pub(crate) n: u64,
    pub(crate) ts: i64,
}

/// All rows of a file, without their readings.
pub(crate) fn heads(db: &Connection) -> Result<Vec<Head>, StoreError> {
    const DOING: &str = "look at stored readings";
    let mut statement = db.prepare_cached("SELECT first_seq, n, ts FROM spool").doing(DOING)?;
    let rows = statement
        .query_map([], |row| Ok(Head { first_seq: row.get(0)?, n: row.get(1)?, ts: row.get(2)? }));
    rows.and_then(Iterator::collect).doing(DOING)
}

/// The numbers of all rows, as ranges with their ends in them.
pub(crate) fn ranges(db: &Connection) -> Result<Vec<(u64, u64)>, StoreError> {
    let ends = |row: Head| (row.first_seq, row.first_seq.saturating_add(row.n).saturating_sub(1));
    Ok(heads(db)?.into_iter().map(ends).collect())
}

/// The row with that first number.
pub(crate) fn row(db: &Connection, first_seq: u64) -> Result<Option<SpoolRow>, StoreError> {
    db.prepare_cached("SELECT * FROM spool WHERE first_seq = ?1")
        .and_then(|mut it| it.query_row([first_seq], SpoolRow::read).optional())
        .doing("read stored readings")
}

/// Deletes the row with that first number; the caller has the transaction.
pub(crate) fn delete(db: &Connection, first_seq: u64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM spool WHERE first_seq = ?1")
        .and_then(|mut it| it.execute([first_seq]))
        .map(drop)
        .doing("delete packed readings")
}

/// Deletes the rows whose readings were never given these numbers, those after `head`.
pub(crate) fn delete_after(db: &Connection, head: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM spool WHERE first_seq > ?1", [head])
        .map(drop)
        .doing("delete readings that were refused")
}

/// Hands each row that may hold readings of `span` to `take`, in no order.
pub(crate) fn rows_in(
    db: &Connection,
    span: &Range<i64>,
    mut take: impl FnMut(SpoolRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    const DOING: &str = "read stored readings";
    let mut statement = db.prepare_cached(BY_TIME).doing(DOING)?;
    let parameters = named_params! { ":from": span.start, ":until": span.end };
    let mut rows = statement.query(parameters).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        take(SpoolRow::read(row).doing(DOING)?)?;
    }
    Ok(())
}

/// Unpacks every row of a file: the only way to see a byte that changed inside one.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<(), StoreError> {
    const DOING: &str = "read stored readings";
    let mut statement = db.prepare_cached("SELECT * FROM spool").doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        SpoolRow::read(row).doing(DOING)?.unpack(path)?;
    }
    Ok(())
}

/// What can still be read of a damaged file: its rows from both ends to the damage, without those
/// whose checksum does not fit.
pub(crate) fn salvage(db: &Connection, path: &Path) -> Vec<SpoolRow> {
    let mut saved = BTreeMap::new();
    for sql in
        ["SELECT * FROM spool ORDER BY first_seq", "SELECT * FROM spool ORDER BY first_seq DESC"]
    {
        let Ok(mut statement) = db.prepare(sql) else { continue };
        let Ok(mut rows) = statement.query([]) else { continue };
        // A row that cannot be read ends the way from this end.
        while let Ok(Some(row)) = rows.next() {
            if let Ok(row) = SpoolRow::read(row)
                && row.unpack(path).is_ok()
            {
                saved.insert(row.first_seq, row);
            }
        }
    }
    saved.into_values().collect()
}

#[cfg(test)]
mod tests {
    use metering::{NoReading, Origin, Quality, Trust};

    use super::*;
    use crate::files;

    fn entry(series: u32, at_ms: i64, value: Result<i64, NoReading>) -> Entry {
        Entry {
            series,
            at_ms,
            boottime_ms: at_ms,
            cycle: 1,
            trust: Some(Trust::Synced),
            quality: Quality::Good,
            origin: Origin::Live,
            value,
        }
    }

    #[test]
    fn a_row_never_spans_more_than_a_day_and_loses_no_reading() {
        let entries: Vec<_> = [0, DAY_MS - 1, DAY_MS, 3, i64::MAX, i64::MIN, 4]
            .into_iter()
            .map(|at_ms| entry(1, at_ms, Ok(at_ms)))
            .collect();
        let rows = cut(10, 7, false, &entries);
        assert!(rows.iter().all(|row| row.ts_last - row.ts < DAY_MS));
        let again: Vec<_> =
            rows.iter().flat_map(|row| row.unpack(Path::new("raw")).unwrap()).collect();
        assert_eq!(again, entries);
        let seqs: Vec<_> = rows.iter().map(|row| (row.first_seq, row.n)).collect();
        assert_eq!(seqs, [(10, 2), (12, 2), (14, 1), (15, 1), (16, 1)]);
    }

    #[test]
    fn every_changed_byte_of_a_row_is_seen() {
        let row = cut(1, 2, false, &[entry(1, 5, Ok(3)), entry(2, 5, Ok(4))]).remove(0);
        assert!(row.unpack(Path::new("raw")).is_ok());
        for at in 0..row.blob.len() {
            let mut changed = row.clone();
            changed.blob[at] ^= 0x10;
            assert!(changed.unpack(Path::new("raw")).is_err());
        }
        let later = SpoolRow { ts: 6, ..row.clone() };
        assert_eq!(
            later.unpack(Path::new("raw")).unwrap_err().to_string(),
            "raw is damaged: the checksum does not fit those of the readings from 1"
        );
        assert!(SpoolRow { first_seq: 2, ..row }.unpack(Path::new("raw")).is_err());
    }

    /// Whoever swaps the columns of a key, or drops an index, hears of it here.
    #[test]
    fn no_row_is_read_in_vain() {
        let dir = tempfile::tempdir().unwrap();
        let db = files::open(&dir.path().join("raw-2026-03.db"), &files::RAW).unwrap();
        let plan = |sql: &str| -> Vec<String> {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let details = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
            details.collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(plan(BY_TIME), ["SCAN spool"], "some hours");
        assert_eq!(
            plan(FROM_SEQ),
            [
                "SEARCH spool USING INTEGER PRIMARY KEY (rowid>?)",
                "SCALAR SUBQUERY 1",
                "SEARCH spool USING INTEGER PRIMARY KEY (rowid<?)",
            ]
        );
        assert_eq!(plan(LAST), ["SCAN spool"], "one step from the end");
    }
}
