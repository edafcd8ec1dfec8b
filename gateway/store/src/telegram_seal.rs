//! What proves that telegrams are those that the meters sent: as for readings, by the row.
//!
//! A file's first seal goes on from the last one of the file before, so that a file is proven by itself and has
//! its place.

use std::path::Path;
use std::sync::Arc;

use metering::Trust;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files;
use crate::seal::{Seal, Sealed, Sign};
use crate::telegrams::{READING, SaidRow, all_in, number_of, path};

const NOTHING: [u8; 32] = [0; 32];

impl Engine {
    /// Makes the next seal of telegrams; `None` if all are sealed.
    pub(crate) fn seal_telegrams(&mut self, sign: &Arc<Sign>) -> Result<Option<u64>, StoreError> {
        if self.clock.now().trust == Trust::Untrusted {
            return Ok(None);
        }
        let mut before = NOTHING;
        for file in all_in(&self.dir)? {
            let path = path(&self.dir, file);
            let opened;
            let db = match &self.telegrams.open {
                Some(open) if open.file == file => &open.db,
                _ => {
                    opened = files::open(&path, &files::TELEGRAMS)?;
                    &opened
                }
            };
            let last = seals_of(db)?.pop();
            let (number, after) =
                last.as_ref().map_or((0, 0), |(seal, _)| (seal.number, seal.last_seq));
            before = last.map_or(before, |(seal, _)| seal.hash);
            let covered = Covered::of(db, &path, after, u64::MAX)?;
            if covered.rows == 0 {
                continue;
            }
            let (number, at_ms) = (number + 1, self.clock.now().wall_ms());
            let (rows, last) = (covered.rows, covered.last);
            let hash = covered.hash(file, number, at_ms, &before);
            db.execute(
                "INSERT INTO seal (number, at_ms, last_row, n, before, hash, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![number, at_ms, last, rows, before, hash, sign(&hash)],
            )
            .doing("seal telegrams")?;
            return Ok(Some(rows));
        }
        Ok(None)
    }
}

/// Rows under one seal.
pub(crate) struct Covered {
    pub(crate) rows: u64,
    last: u64,
    sum: Sha256,
}

impl Covered {
    /// The rows after `after`, up to `until`.
    pub(crate) fn of(
        db: &Connection,
        path: &Path,
        after: u64,
        until: u64,
    ) -> Result<Self, StoreError> {
        let mut covered = Self { rows: 0, last: after, sum: Sha256::new() };
        let sql = "SELECT * FROM said WHERE number > ?1 AND number <= ?2 ORDER BY number";
        let mut statement = db.prepare_cached(sql).doing(READING)?;
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![after, until]).doing(READING)?;
        while let Some(row) = rows.next().doing(READING)? {
            let row = SaidRow::read(row).doing(READING)?;
            row.answers(path)?;
            row.columns().iter().for_each(|it| covered.sum.update(it.to_be_bytes()));
            covered.sum.update(u64::try_from(row.blob.len()).unwrap_or_default().to_be_bytes());
            covered.sum.update(&row.blob);
            covered.rows += 1;
            covered.last = row.number.unsigned_abs();
        }
        Ok(covered)
    }

    /// What is signed: which seal of which file it is, the one before, and the rows.
    fn hash(self, file: u32, number: u64, at_ms: i64, before: &[u8; 32]) -> [u8; 32] {
        let mut sum = Sha256::new();
        sum.update(b"fyrhus telegrams 1\n");
        sum.update(file.to_be_bytes());
        sum.update(number.to_be_bytes());
        sum.update(at_ms.to_be_bytes());
        sum.update(before);
        sum.update(self.rows.to_be_bytes());
        sum.update(self.sum.finalize());
        sum.finalize().into()
    }
}

fn seals_of(db: &Connection) -> Result<Vec<(Seal, [u8; 32])>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM seal ORDER BY number").doing(READING)?;
    let rows = statement.query_map([], |row| {
        let seal = Seal {
            number: row.get("number")?,
            at_ms: row.get("at_ms")?,
            last_seq: row.get("last_row")?,
            readings: row.get("n")?,
            hash: row.get("hash")?,
            signature: row.get("signature")?,
            fault: None,
        };
        Ok((seal, row.get("before")?))
    });
    rows.and_then(Iterator::collect).doing(READING)
}

/// The seals of the file of telegrams at `path`, each with whether it holds: their `readings` are rows.
///
/// # Errors
///
/// If the file cannot be read at all.
pub fn telegram_seals(path: &Path) -> Result<Sealed, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let foreign = || StoreError::Foreign { column: "file name", found: name.clone() };
    let file = number_of(&name).ok_or_else(foreign)?;
    let db = files::open_to_read(path)?;
    let mut sealed = Sealed { file: name, ..Sealed::default() };
    let mut after = 0;
    let mut known: Option<[u8; 32]> = None;
    for (mut seal, before) in seals_of(&db)? {
        seal.fault = match Covered::of(&db, path, after, seal.last_seq) {
            Err(error) => Some(error.to_string()),
            Ok(_) if known.is_some_and(|known| known != before) => {
                Some("it does not go on from the one before it".to_owned())
            }
            Ok(covered) if covered.rows != seal.readings => {
                Some(format!("{} of {} rows are there", covered.rows, seal.readings))
            }
            Ok(covered) => {
                let again = covered.hash(file, seal.number, seal.at_ms, &before);
                (again != seal.hash).then(|| "its rows are not those that were sealed".to_owned())
            }
        };
        (after, known) = (seal.last_seq, Some(seal.hash));
        sealed.seals.push(seal);
    }
    sealed.unsealed = Covered::of(&db, path, after, u64::MAX).map_or(0, |it| it.rows);
    Ok(sealed)
}
