//! The tallies in the roll-up file: pieces of time, each with a block for each meter.
//!
//! ```text
//! quarter hours   ▪ ▪ ▪ ▪      written every six hours at least, as it comes
//!                 ▬▬▬▬▬▬▬      a day that is over
//! days            ▪ ▪ ▪ ▪ ▪    what each writing adds to the site's days
//!                 ▬▬▬▬▬▬▬▬▬    32 days, made one of eight parts
//! ```
//!
//! Tallies are sums, so the pieces of one time need not know of each other: whoever asks adds them up,
//! in the order in which they were written. Nothing is written twice but by a merge, and what lies next to
//! each other was written together: a row for each tally and period would cost the disk four times the
//! bytes of the readings themselves, and forty times the writing.
//!
//! **Invariant:** a piece of quarter hours lies within a day of UTC, one of days within 32 days of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use metering::{MeterId, SeriesId};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::chunk::{self, KEY_BITS};
use crate::civil::{Civil, Step};
use crate::error::{Doing, StoreError};
use crate::hot::{Hot, add_up};
use crate::query::Side;
use crate::rollup::{Answers, Key, Tally};
use crate::tally_block::TallyBlock;

const WRITING: &str = "write roll-ups";
const READING: &str = "read roll-ups";
const DAY_MS: i64 = 86_400_000;

/// What is kept; the rest is added up from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Quarters,
    Days,
}

impl Kept {
    /// Of what rows of a step are added up.
    pub(crate) const fn for_step(step: Step) -> Self {
        match step {
            Step::Quarter | Step::Hour => Self::Quarters,
            Step::Day | Step::Month => Self::Days,
        }
    }

    /// What is kept, as a step.
    pub(crate) const fn step(self) -> Step {
        match self {
            Self::Quarters => Step::Quarter,
            Self::Days => Step::Day,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Quarters => 0,
            Self::Days => 2,
        }
    }

    /// How long the time of a piece is.
    const fn longest(self) -> i64 {
        match self {
            Self::Quarters => DAY_MS,
            Self::Days => 32 * DAY_MS,
        }
    }

    /// By what periods are in one piece.
    const fn piece_of(self, starts_at: i64) -> i64 {
        starts_at.div_euclid(self.longest())
    }

    /// From how many parts on a piece is made one, before its time is over.
    const fn many(self) -> usize {
        match self {
            Self::Quarters => 16,
            Self::Days => 8,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    number: i64,
    ts: i64,
    ts_last: i64,
}

/// Tallies and answers by meter, on their way into the file.
pub(crate) type ByMeter = BTreeMap<MeterId, TallyBlock>;

/// Writes tallies; the caller has the transaction.
pub(crate) fn write(db: &Connection, kept: Kept, all: ByMeter) -> Result<(), StoreError> {
    let mut pieces: BTreeMap<i64, ByMeter> = BTreeMap::new();
    for (meter, block) in all {
        for ((series, era, starts_at), tally) in block.tallies {
            let piece = pieces.entry(kept.piece_of(starts_at)).or_default();
            let block = piece.entry(meter).or_default();
            block.tallies.insert((series, era, starts_at), tally);
        }
        for (starts_at, answers) in block.answers {
            let piece = pieces.entry(kept.piece_of(starts_at)).or_default();
            piece.entry(meter).or_default().answers.insert(starts_at, answers);
        }
    }
    for piece in pieces.into_values() {
        let mut writing = Writing::begin(db, kept)?;
        for (meter, block) in piece {
            writing.put(chunk::ensure_key(db, meter)?, &block)?;
        }
        writing.end()?;
    }
    Ok(())
}

struct Writing<'a> {
    db: &'a Connection,
    kept: Kept,
    piece: Piece,
}

impl<'a> Writing<'a> {
    fn begin(db: &'a Connection, kept: Kept) -> Result<Self, StoreError> {
        let number = db
            .query_row("SELECT COALESCE(MAX(number), 0) + 1 FROM piece", [], |row| row.get(0))
            .doing(WRITING)?;
        Ok(Self { db, kept, piece: Piece { number, ts: i64::MAX, ts_last: i64::MIN } })
    }

    fn put(&mut self, key: i64, block: &TallyBlock) -> Result<(), StoreError> {
        let Some((first, last)) = block.times() else { return Ok(()) };
        let id = self.piece.number << KEY_BITS | key;
        let blob = block.pack();
        self.db
            .prepare_cached("INSERT INTO tally_block (id, crc32c, blob) VALUES (?1, ?2, ?3)")
            .and_then(|mut it| it.execute(params![id, checksum(id, &blob), blob]))
            .doing(WRITING)?;
        self.piece.ts = self.piece.ts.min(first);
        self.piece.ts_last = self.piece.ts_last.max(last);
        Ok(())
    }

    fn end(self) -> Result<(), StoreError> {
        let Self { db, kept, piece } = self;
        if piece.ts > piece.ts_last {
            return Ok(());
        }
        let crc32c = piece.checksum(kept);
        db.prepare_cached(
            "INSERT INTO piece (number, step, ts, ts_last, crc32c) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut it| {
            it.execute(params![piece.number, kept.code(), piece.ts, piece.ts_last, crc32c])
        })
        .map(drop)
        .doing(WRITING)
    }
}

impl Piece {
    fn checksum(&self, kept: Kept) -> u32 {
        let columns = [self.number, kept.code().into(), self.ts, self.ts_last];
        columns.iter().fold(0, |crc, it| crc32c::crc32c_append(crc, &it.to_le_bytes()))
    }

    const fn ids(&self) -> Range<i64> {
        self.number << KEY_BITS..(self.number + 1) << KEY_BITS
    }
}

fn checksum(id: i64, blob: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(0, &id.to_le_bytes()), blob)
}

fn damaged(db: &Connection, what: String) -> StoreError {
    StoreError::Corrupt { file: Path::new(db.path().unwrap_or_default()).to_owned(), what }
}

/// The pieces that may hold periods of `span`, in the order in which they were written.
fn pieces(db: &Connection, kept: Kept, span: &Range<i64>) -> Result<Vec<Piece>, StoreError> {
    if !chunk::can_hold(db)? {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare_cached(PIECES).doing(READING)?;
    let parameters = named_params! {
        ":step": kept.code(),
        ":from": span.start,
        ":earliest": span.start.saturating_sub(kept.longest()),
        ":until": span.end,
    };
    let mut rows = statement.query(parameters).doing(READING)?;
    let mut pieces = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        let (piece, crc32c) = read_piece(row).doing(READING)?;
        if piece.checksum(kept) != crc32c {
            let what = format!("the checksum does not fit piece {}", piece.number);
            return Err(damaged(db, what));
        }
        pieces.push(piece);
    }
    pieces.sort_unstable_by_key(|piece| piece.number);
    Ok(pieces)
}

fn read_piece(row: &Row<'_>) -> rusqlite::Result<(Piece, u32)> {
    let piece =
        Piece { number: row.get("number")?, ts: row.get("ts")?, ts_last: row.get("ts_last")? };
    Ok((piece, row.get("crc32c")?))
}

const PIECES: &str = "
    SELECT *
      FROM piece
     WHERE step = :step
       AND ts > :earliest
       AND ts < :until
       AND ts_last >= :from";

const BLOCK: &str = "SELECT * FROM tally_block WHERE id = ?1";

fn block(
    db: &Connection,
    piece: &Piece,
    key: i64,
    only: Option<SeriesId>,
) -> Result<Option<TallyBlock>, StoreError> {
    let id = piece.number << KEY_BITS | key;
    let read = |row: &Row<'_>| Ok((row.get("crc32c")?, row.get("blob")?));
    let found: Option<(u32, Vec<u8>)> = db
        .prepare_cached(BLOCK)
        .and_then(|mut it| it.query_row([id], read).optional())
        .doing(READING)?;
    let Some((crc32c, blob)) = found else { return Ok(None) };
    let unreadable = |what: &str| {
        damaged(db, format!("{what} the block of meter {key} in piece {}", piece.number))
    };
    if checksum(id, &blob) != crc32c {
        return Err(unreadable("the checksum does not fit"));
    }
    let block = TallyBlock::unpack(&blob, only);
    block.map(Some).map_err(|_| unreadable("this version cannot read"))
}

/// The tallies of one series whose periods begin in `span`, as they are kept, by era and time.
pub(crate) fn tallies(
    db: &Connection,
    kept: Kept,
    meter: MeterId,
    series: SeriesId,
    span: &Range<i64>,
) -> Result<BTreeMap<Key, Tally>, StoreError> {
    let mut found: BTreeMap<Key, Tally> = BTreeMap::new();
    let pieces = pieces(db, kept, span)?;
    if pieces.is_empty() {
        return Ok(found);
    }
    let Some(key) = chunk::key(db, meter)? else { return Ok(found) };
    for piece in pieces {
        for ((series, era, starts_at), tally) in
            block(db, &piece, key, Some(series))?.unwrap_or_default().tallies
        {
            if span.contains(&starts_at) {
                found
                    .entry(Key { series, era, starts_at })
                    .and_modify(|it| *it = it.plus(tally))
                    .or_insert(tally);
            }
        }
    }
    Ok(found)
}

/// The tally of a series next to an instant in one era. Near it a quarter hour, farther away a day; of
/// days alone if `kept` says so, for an instant at which a day of the site begins.
pub(crate) fn beside(
    db: &Connection,
    meter: MeterId,
    series: SeriesId,
    era: u32,
    at: i64,
    side: Side,
    kept: Kept,
) -> Result<Option<Tally>, StoreError> {
    let nearest = |found: BTreeMap<Key, Tally>| {
        let mut of_era = found.into_iter().filter(|(key, _)| key.era == era).map(|it| it.1);
        match side {
            Side::Before => of_era.next_back(),
            Side::After => of_era.next(),
        }
    };
    // Mostly it is within a day, and every block that is not unpacked is time.
    for reach in if kept == Kept::Quarters { [DAY_MS, NEAR_MS].as_slice() } else { &[] } {
        let near = match side {
            Side::Before => at.saturating_sub(*reach)..at,
            Side::After => at..at.saturating_add(*reach),
        };
        if let Some(found) = nearest(tallies(db, Kept::Quarters, meter, series, &near)?) {
            return Ok(Some(found));
        }
    }
    // Nothing is within three days, so a day that begins two days away is on that side as a whole.
    let far = match (side, kept) {
        (Side::Before, Kept::Quarters) => i64::MIN..at.saturating_sub(2 * DAY_MS),
        (Side::After, Kept::Quarters) => at.saturating_add(DAY_MS)..i64::MAX,
        (Side::Before, Kept::Days) => i64::MIN..at,
        (Side::After, Kept::Days) => at..i64::MAX,
    };
    let mut months = pieces(db, Kept::Days, &far)?;
    let Some(key) = chunk::key(db, meter)? else { return Ok(None) };
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
        let block = block(db, &piece, key, Some(series))?.unwrap_or_default();
        let days = block.tallies.into_iter();
        for ((_, of, starts_at), tally) in days {
            if of != era || !far.contains(&starts_at) {
                continue;
            }
            best = Some(match best {
                Some((known, there)) if known == starts_at => (known, there.plus(tally)),
                Some((known, there)) if (side == Side::Before) == (known > starts_at) => {
                    (known, there)
                }
                _ => (starts_at, tally),
            });
        }
    }
    Ok(best.map(|(_, tally)| tally))
}

const NEAR_MS: i64 = 3 * DAY_MS;

/// How often a meter answered in the quarter hours that begin in `span`.
pub(crate) fn answers(
    db: &Connection,
    meter: MeterId,
    span: &Range<i64>,
) -> Result<BTreeMap<i64, Answers>, StoreError> {
    let mut found: BTreeMap<i64, Answers> = BTreeMap::new();
    let pieces = pieces(db, Kept::Quarters, span)?;
    let Some(key) = chunk::key(db, meter)?.filter(|_| !pieces.is_empty()) else {
        return Ok(found);
    };
    for piece in pieces {
        let block = block(db, &piece, key, None)?.unwrap_or_default();
        for (starts_at, answers) in block.answers {
            if span.contains(&starts_at) {
                let known = found.entry(starts_at).or_default();
                *known = answers.plus(*known);
            }
        }
    }
    Ok(found)
}

/// Makes one piece of those of one time, if it is over or they are many; `false` if there are none such.
pub(crate) fn merge(db: &mut Connection, now: i64) -> Result<bool, StoreError> {
    for kept in [Kept::Quarters, Kept::Days] {
        let mut times: HashMap<i64, Vec<Piece>> = HashMap::new();
        for piece in pieces(db, kept, &(i64::MIN..i64::MAX))? {
            times.entry(kept.piece_of(piece.ts)).or_default().push(piece);
        }
        let open = kept.piece_of(now.saturating_sub(DAY_MS / 4));
        let due = times
            .into_iter()
            .find(|(time, parts)| parts.len() > 1 && (parts.len() >= kept.many() || *time < open));
        if let Some((_, parts)) = due {
            let transaction = db.transaction().doing(WRITING)?;
            merge_parts(&transaction, kept, &parts)?;
            transaction.commit().doing(WRITING)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn merge_parts(db: &Connection, kept: Kept, parts: &[Piece]) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    for piece in parts {
        keys.extend(keys_of(db, piece)?);
    }
    keys.sort_unstable();
    keys.dedup();
    let mut writing = Writing::begin(db, kept)?;
    for key in keys {
        let mut sum = TallyBlock::default();
        for piece in parts {
            sum.add(block(db, piece, key, None)?.unwrap_or_default());
        }
        writing.put(key, &sum)?;
    }
    writing.end()?;
    for piece in parts {
        delete(db, piece)?;
    }
    Ok(())
}

fn keys_of(db: &Connection, piece: &Piece) -> Result<Vec<i64>, StoreError> {
    let ids = piece.ids();
    let mut statement = db
        .prepare_cached("SELECT id FROM tally_block WHERE id >= ?1 AND id < ?2")
        .doing(READING)?;
    let ids = statement.query_map([ids.start, ids.end], |row| row.get(0));
    let ids = ids.and_then(Iterator::collect::<rusqlite::Result<Vec<i64>>>).doing(READING)?;
    Ok(ids.into_iter().map(|id| id & ((1 << KEY_BITS) - 1)).collect())
}

fn delete(db: &Connection, piece: &Piece) -> Result<(), StoreError> {
    let ids = piece.ids();
    db.execute("DELETE FROM tally_block WHERE id >= ?1 AND id < ?2", [ids.start, ids.end])
        .and_then(|_| db.execute("DELETE FROM piece WHERE number = ?1", [piece.number]))
        .map(drop)
        .doing(WRITING)
}

/// Makes the days again from the quarter hours: the site has moved to another zone. The caller has
/// the transaction.
pub(crate) fn remake_days(db: &Connection, civil: Civil) -> Result<(), StoreError> {
    let all = i64::MIN..i64::MAX;
    for piece in pieces(db, Kept::Days, &all)? {
        delete(db, &piece)?;
    }
    let meters = chunk::meters(db)?;
    for piece in pieces(db, Kept::Quarters, &all)? {
        let mut days = ByMeter::new();
        for key in keys_of(db, &piece)? {
            let Some(meter) = meters.get(&key) else { continue };
            let block = block(db, &piece, key, None)?.unwrap_or_default();
            days.insert(*meter, days_of(&block, civil));
        }
        write(db, Kept::Days, days)?;
    }
    Ok(())
}

/// The tallies of a block by the site's days; answers are kept by quarter hours alone.
pub(crate) fn days_of(block: &TallyBlock, civil: Civil) -> TallyBlock {
    let quarters: BTreeMap<Key, Tally> = block
        .tallies
        .iter()
        .map(|((series, era, starts_at), tally)| {
            (Key { series: *series, era: *era, starts_at: *starts_at }, *tally)
        })
        .collect();
    let tallies = add_up(quarters.iter(), civil, Step::Day)
        .into_iter()
        .map(|(key, tally)| ((key.series, key.era, key.starts_at), tally))
        .collect();
    TallyBlock { tallies, answers: BTreeMap::new() }
}

/// Brings over the tallies that can be read of a damaged file and that `fresh`, made again from the raw
/// files, does not have. The caller has the transaction. Says how many blocks.
///
/// What the raw files tell of a quarter hour is all that there was of it, or all that is left. A day that
/// they tell a part of gets the quarter hours that were saved.
pub(crate) fn salvage(
    old: &Connection,
    fresh: &Connection,
    hot: &Hot,
    civil: Civil,
) -> Result<usize, StoreError> {
    let mut saved = 0;
    let Ok(meters) = chunk::meters(old) else { return Ok(saved) };
    let all = i64::MIN..i64::MAX;
    let made = [pieces(fresh, Kept::Quarters, &all)?, pieces(fresh, Kept::Days, &all)?];
    let [made_quarters, made_days] = &made;
    for (kept, made) in [(Kept::Quarters, made_quarters), (Kept::Days, made_days)] {
        for piece in pieces(old, kept, &all).unwrap_or_default() {
            let span = piece.ts..piece.ts_last.saturating_add(1);
            for key in keys_of(old, &piece).unwrap_or_default() {
                let Some(meter) = meters.get(&key).copied() else { continue };
                let Ok(Some(mut block)) = block(old, &piece, key, None) else { continue };
                let known = Known::of(fresh, made, meter, &span)?;
                block.tallies.retain(|(series, _, at), _| !known.tallies.contains(&(*series, *at)));
                block.answers.retain(|at, _| !known.answers.contains(at));
                block.tallies = std::mem::take(&mut block.tallies)
                    .into_iter()
                    .map(|((series, era, at), tally)| {
                        ((series, era_of(hot, series, era), at), tally)
                    })
                    .fold(BTreeMap::new(), |mut sums, (key, tally)| {
                        sums.entry(key)
                            .and_modify(|sum: &mut Tally| *sum = sum.plus(tally))
                            .or_insert(tally);
                        sums
                    });
                if block.tallies.is_empty() && block.answers.is_empty() {
                    continue;
                }
                if kept == Kept::Quarters {
                    let mut days = days_of(&block, civil);
                    let span = span.start.saturating_sub(2 * DAY_MS)..span.end;
                    let known = Known::of(fresh, made_days, meter, &span)?;
                    days.tallies
                        .retain(|(series, _, at), _| known.tallies.contains(&(*series, *at)));
                    write(fresh, Kept::Days, [(meter, days)].into())?;
                }
                write(fresh, kept, [(meter, block)].into())?;
                saved += 1;
            }
        }
    }
    Ok(saved)
}

/// An era begins when the clock is set back. The raw files may not tell how often that was, and an era
/// beyond the newest that they tell would not be looked at.
fn era_of(hot: &Hot, series: SeriesId, era: u32) -> u32 {
    hot.progress.get(&series).map_or(ERA_OF_SAVED, |progress| era.min(progress.era))
}

/// Of a series that no raw file tells of.
pub(crate) const ERA_OF_SAVED: u32 = 0;

/// What some pieces have of a meter.
struct Known {
    tallies: HashSet<(SeriesId, i64)>,
    answers: HashSet<i64>,
}

impl Known {
    fn of(
        db: &Connection,
        pieces: &[Piece],
        meter: MeterId,
        span: &Range<i64>,
    ) -> Result<Self, StoreError> {
        let mut known = Self { tallies: HashSet::new(), answers: HashSet::new() };
        let Some(key) = chunk::key(db, meter)? else { return Ok(known) };
        for piece in pieces.iter().filter(|it| it.ts < span.end && it.ts_last >= span.start) {
            let block = block(db, piece, key, None)?.unwrap_or_default();
            known.tallies.extend(block.tallies.keys().map(|(series, _, at)| (*series, *at)));
            known.answers.extend(block.answers.keys());
        }
        Ok(known)
    }
}

/// Unpacks every block: the only way to see a byte that changed inside one.
pub(crate) fn check(db: &Connection) -> Result<(), StoreError> {
    for kept in [Kept::Quarters, Kept::Days] {
        for piece in pieces(db, kept, &(i64::MIN..i64::MAX))? {
            for key in keys_of(db, &piece)? {
                block(db, &piece, key, None)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    /// Whoever swaps the columns of a key, or drops an index, hears of it here.
    #[test]
    fn no_row_is_read_in_vain() {
        let dir = tempfile::tempdir().unwrap();
        let db = files::open(&files::rollup_path(dir.path()), &files::ROLLUP).unwrap();
        let plan = |sql: &str| -> String {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let details = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
            details.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
        };
        assert_eq!(
            plan(PIECES),
            "SEARCH piece USING INDEX piece_by_time (step=? AND ts>? AND ts<?)"
        );
        assert_eq!(plan(BLOCK), "SEARCH tally_block USING INTEGER PRIMARY KEY (rowid=?)");
    }
}
