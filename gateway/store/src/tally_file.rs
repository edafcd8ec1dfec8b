//! Questions to the roll-up file: the tallies of a series in some time, and those next to an instant.
//!
//! A building of ten years has thousands of pieces, and whoever asks of hundreds of meters looks for the same
//! ones each time. So a reader keeps an [`Index`] of them for as long as the file is as it was.
//!
//! **Never true:** an index tells of another version of the file than the view that is asked.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use metering::{MeterId, SeriesId};
use rusqlite::Connection;

use crate::chunk;
use crate::error::StoreError;
use crate::query::Side;
use crate::rollup::{Answers, Row, Tally};
use crate::tallied::{DAY_MS, Kept, Piece, each_row, of_block, pieces};
use crate::tally_block::TallyBlock;

/// Which pieces and meters a roll-up file has: what every question looks up, and what seldom changes.
#[derive(Debug)]
pub(crate) struct Index {
    /// By the beginning of their first period.
    quarters: Vec<Piece>,
    days: Vec<Piece>,
    keys: HashMap<MeterId, i64>,
}

impl Index {
    /// As the file is now.
    pub(crate) fn read(db: &Connection) -> Result<Self, StoreError> {
        let all = i64::MIN..i64::MAX;
        let by_time = |kept| {
            let mut pieces = pieces(db, kept, &all)?;
            pieces.sort_by_key(|piece| piece.ts);
            Ok(pieces)
        };
        let (quarters, days) = (by_time(Kept::Quarters)?, by_time(Kept::Days)?);
        // A file of the first version has neither pieces nor keys.
        let meters = if chunk::can_hold(db)? { chunk::meters(db)? } else { BTreeMap::new() };
        let keys = meters.into_iter().map(|(key, meter)| (meter, key)).collect();
        Ok(Self { quarters, days, keys })
    }

    fn pieces(&self, kept: Kept, span: &Range<i64>) -> Vec<Piece> {
        let all = match kept {
            Kept::Quarters => &self.quarters,
            Kept::Days => &self.days,
        };
        let earliest = kept.earliest(span);
        let first = all.partition_point(|piece| piece.ts <= earliest);
        let end = all.partition_point(|piece| piece.ts < span.end);
        let near = all.get(first..end).unwrap_or_default().iter();
        let mut found: Vec<Piece> =
            near.filter(|piece| piece.ts_last >= span.start).copied().collect();
        found.sort_unstable_by_key(|piece| piece.number);
        found
    }
}

/// A roll-up file, as whoever asks sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    db: &'a Connection,
    /// Of this view of the file; without one each question looks for itself.
    index: Option<&'a Index>,
}

impl<'a> Source<'a> {
    pub(crate) const fn of(db: &'a Connection) -> Self {
        Self { db, index: None }
    }

    pub(crate) const fn with(db: &'a Connection, index: &'a Index) -> Self {
        Self { db, index: Some(index) }
    }

    fn pieces(&self, kept: Kept, span: &Range<i64>) -> Result<Vec<Piece>, StoreError> {
        self.index.map_or_else(|| pieces(self.db, kept, span), |it| Ok(it.pieces(kept, span)))
    }

    fn key(&self, meter: MeterId) -> Result<Option<i64>, StoreError> {
        let known = |it: &Index| Ok(it.keys.get(&meter).copied());
        self.index.map_or_else(|| chunk::key(self.db, meter), known)
    }

    /// The tallies of one series whose periods begin in `span`, as they are kept, in their order.
    pub(crate) fn tallies(
        &self,
        kept: Kept,
        meter: MeterId,
        series: SeriesId,
        span: &Range<i64>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let pieces = self.pieces(kept, span)?;
        let Some(key) = self.key(meter)?.filter(|_| !pieces.is_empty()) else { return Ok(rows) };
        for piece in pieces {
            each_row(self.db, &piece, key, series, |row| {
                if span.contains(&row.starts_at) {
                    rows.push(row);
                }
            })?;
        }
        Row::merge(&mut rows);
        Ok(rows)
    }

    /// The tally of a series next to an instant in one era. Near it a quarter hour, farther away a day; of
    /// days alone if `kept` says so, for an instant at which a day of the site begins.
    pub(crate) fn beside(
        &self,
        meter: MeterId,
        series: SeriesId,
        era: u32,
        at: i64,
        side: Side,
        kept: Kept,
    ) -> Result<Option<Tally>, StoreError> {
        // Mostly it is within a day, and every block that is not unpacked is time.
        for reach in if kept == Kept::Quarters { [DAY_MS, NEAR_MS].as_slice() } else { &[] } {
            let near = match side {
                Side::Before => at.saturating_sub(*reach)..at,
                Side::After => at..at.saturating_add(*reach),
            };
            let rows = self.tallies(Kept::Quarters, meter, series, &near)?;
            let of_era = Row::of_era(&rows, era);
            let nearest = if side == Side::Before { of_era.last() } else { of_era.first() };
            if let Some(found) = nearest {
                return Ok(Some(found.tally));
            }
        }
        // Nothing is within three days, so a day that begins two days away is on that side as a whole.
        let far = match (side, kept) {
            (Side::Before, Kept::Quarters) => i64::MIN..at.saturating_sub(2 * DAY_MS),
            (Side::After, Kept::Quarters) => at.saturating_add(DAY_MS)..i64::MAX,
            (Side::Before, Kept::Days) => i64::MIN..at,
            (Side::After, Kept::Days) => at..i64::MAX,
        };
        let mut months = self.pieces(Kept::Days, &far)?;
        let Some(key) = self.key(meter)? else { return Ok(None) };
        match side {
            Side::Before => months.sort_by_key(|piece| std::cmp::Reverse(piece.ts_last)),
            Side::After => months.sort_by_key(|piece| piece.ts),
        }
        let mut best: Option<(i64, Tally)> = None;
        for piece in months {
            let hopeless = best.is_some_and(|(starts_at, _)| match side {
                Side::Before => piece.ts_last < starts_at,
                Side::After => piece.ts > starts_at,
            });
            if hopeless {
                break;
            }
            each_row(self.db, &piece, key, series, |Row { era: of, starts_at, tally }| {
                if of != era || !far.contains(&starts_at) {
                    return;
                }
                best = Some(match best {
                    Some((known, there)) if known == starts_at => (known, there.plus(tally)),
                    Some((known, there)) if (side == Side::Before) == (known > starts_at) => {
                        (known, there)
                    }
                    _ => (starts_at, tally),
                });
            })?;
        }
        Ok(best.map(|(_, tally)| tally))
    }

    /// How often a meter answered in the quarter hours that begin in `span`.
    pub(crate) fn answers(
        &self,
        meter: MeterId,
        span: &Range<i64>,
    ) -> Result<BTreeMap<i64, Answers>, StoreError> {
        let mut found: BTreeMap<i64, Answers> = BTreeMap::new();
        let pieces = self.pieces(Kept::Quarters, span)?;
        let Some(key) = self.key(meter)?.filter(|_| !pieces.is_empty()) else { return Ok(found) };
        for piece in pieces {
            let answers = of_block(self.db, &piece, key, TallyBlock::answers)?;
            for (starts_at, answers) in answers.unwrap_or_default() {
                if span.contains(&starts_at) {
                    let known = found.entry(starts_at).or_default();
                    *known = answers.plus(*known);
                }
            }
        }
        Ok(found)
    }
}

const NEAR_MS: i64 = 3 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_is_empty_to_whoever_looks_into_it() {
        let db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        let index = Index::read(&db).unwrap();
        assert!(index.quarters.is_empty() && index.days.is_empty() && index.keys.is_empty());
    }
}
