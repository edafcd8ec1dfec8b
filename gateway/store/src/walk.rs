//! Through all raw files in the order of seq.
//!
//! A month's file holds the readings of that month, whenever they came, so an import of last year
//! lies between today's rounds by its numbers and a year before them by its files.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;

use rusqlite::Connection;

use crate::chunk::{self, Piece};
use crate::error::StoreError;
use crate::files::{self, Month};
use crate::spool::Held;

/// Raw files that are open to be read; at most [`MOST_OPEN`] at once.
#[derive(Debug, Default)]
pub(crate) struct OpenRaws {
    open: RefCell<HashMap<Month, Connection>>,
}

/// A reader has so many file handles at most.
const MOST_OPEN: usize = 16;

impl OpenRaws {
    /// The connection to a raw file.
    pub(crate) fn get(&self, held: &Held) -> Result<Ref<'_, Connection>, StoreError> {
        if !self.open.borrow().contains_key(&held.month) {
            let db = files::open_to_read(&held.path)?;
            let mut open = self.open.borrow_mut();
            if open.len() >= MOST_OPEN {
                open.clear();
            }
            open.insert(held.month, db);
        }
        Ref::filter_map(self.open.borrow(), |open| open.get(&held.month))
            .map_err(|_| StoreError::Closed)
    }
}

/// What stands next in the order of seq.
pub(crate) enum Next {
    /// Readings.
    Piece(Piece),
    /// Numbers that no file has, from the first to the last.
    Hole(u64, u64),
}

/// Hands what stands from `seq` on to `take`, until that says no. The first piece may begin before
/// `seq`.
///
/// # Errors
///
/// Damage is told as [`StoreError::Corrupt`], with the file.
pub(crate) fn walk(
    files: &[Held],
    raws: &OpenRaws,
    seq: u64,
    mut take: impl FnMut(Next) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut next = seq;
    loop {
        let mut nearest: Option<u64> = None;
        let mut moved = false;
        for held in files {
            let Some((_, last)) = held.seqs.filter(|(_, last)| *last >= next) else { continue };
            debug_assert!(last >= next, "the others were left out");
            let db = raws.get(held).map_err(|error| naming(error, held))?;
            let mut go_on = true;
            chunk::pieces_from(&db, &held.path, next, |found| {
                let first = match &found {
                    chunk::Next::From(first) => *first,
                    chunk::Next::Piece(piece) => piece.first_seq,
                };
                if first > next {
                    nearest = Some(nearest.map_or(first, |it| it.min(first)));
                    return Ok(false);
                }
                if let chunk::Next::Piece(piece) = found {
                    next = next.max(piece.last_seq() + 1);
                    moved = true;
                    go_on = take(Next::Piece(piece))?;
                }
                Ok(go_on)
            })
            .map_err(|error| naming(error, held))?;
            if !go_on {
                return Ok(());
            }
        }
        match nearest {
            _ if moved => {}
            None => return Ok(()),
            Some(first) => {
                if !take(Next::Hole(next, first - 1))? {
                    return Ok(());
                }
                next = first;
            }
        }
    }
}

/// Damage that SQLite found, with the file it was found in.
pub(crate) fn naming(error: StoreError, held: &Held) -> StoreError {
    match error {
        StoreError::Sqlite { ref cause, .. } if error.is_damage() => {
            StoreError::Corrupt { file: held.path.clone(), what: cause.to_string() }
        }
        other => other,
    }
}

/// The numbers that the files have, as ranges with their ends in them; those of two files may overlap.
fn ranges(files: &[Held]) -> Result<Vec<(u64, u64)>, StoreError> {
    let raws = OpenRaws::default();
    let mut ranges = Vec::new();
    for held in files.iter().filter(|held| held.seqs.is_some()) {
        let db = raws.get(held).map_err(|error| naming(error, held))?;
        let found = chunk::ranges(&db, &held.path, 0).map_err(|error| naming(error, held))?;
        ranges.extend(found);
    }
    ranges.sort_unstable();
    Ok(ranges)
}

/// The numbers from the oldest on that no file has, up to `head`.
///
/// # Errors
///
/// Damage is told as [`StoreError::Corrupt`], with the file.
pub(crate) fn holes(files: &[Held], head: u64) -> Result<Vec<(u64, u64)>, StoreError> {
    let ranges = ranges(files)?;
    let Some((oldest, _)) = ranges.first().copied() else { return Ok(Vec::new()) };
    Ok(between(ranges, oldest, head))
}

/// All numbers up to `head` that no file has.
///
/// # Errors
///
/// As [`holes`].
pub(crate) fn absent(files: &[Held], head: u64) -> Result<Vec<(u64, u64)>, StoreError> {
    Ok(between(ranges(files)?, 1, head))
}

/// What is not in `ranges`, which are sorted, from `next` to `head`.
fn between(ranges: Vec<(u64, u64)>, mut next: u64, head: u64) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    for (first, last) in ranges {
        if first > next {
            holes.push((next, first - 1));
        }
        next = next.max(last + 1);
    }
    if next <= head {
        holes.push((next, head));
    }
    holes
}
