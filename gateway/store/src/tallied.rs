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
//! What is old may be coarser: hours in the place of quarter hours, months in that of days. The file says up to
//! when, and of that time nobody is told of the finer ones.
//!
//! **Invariant:** a piece of quarter hours lies within a day of UTC, one of days within 32 days of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use metering::{MeterId, SeriesId};
use rusqlite::{self as sqlite, Connection, named_params, params};

use crate::chunk::{self, KEY_BITS};
use crate::civil::{Civil, Step};
use crate::codec::Unpackable;
use crate::error::{Doing, StoreError};
use crate::hot::{Hot, add_up};
use crate::rollup::{Row, Tally};
use crate::tables;
use crate::tally_block::TallyBlock;

const WRITING: &str = "write roll-ups";
const READING: &str = "read roll-ups";
pub(crate) const DAY_MS: i64 = 86_400_000;

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

    /// Before or at which no piece begins that reaches into `span`.
    pub(crate) const fn earliest(self, span: &Range<i64>) -> i64 {
        span.start.saturating_sub(self.longest())
    }

    /// By what periods are in one piece.
    const fn piece_of(self, starts_at: i64) -> i64 {
        starts_at.div_euclid(self.longest())
    }

    /// Of what its rows are when they are old.
    const fn coarse(self) -> Step {
        match self {
            Self::Quarters => Step::Hour,
            Self::Days => Step::Month,
        }
    }

    /// How long the period of a row is at most.
    const fn period(self, coarse: bool) -> i64 {
        match (self, coarse) {
            (Self::Quarters, false) => DAY_MS / 96,
            (Self::Quarters, true) => DAY_MS / 24,
            (Self::Days, false) => DAY_MS,
            (Self::Days, true) => 32 * DAY_MS,
        }
    }

    /// Where the file says up to when they are coarse.
    const fn mark(self) -> &'static str {
        match self {
            Self::Quarters => "quarter_hours_thrown_away_ms",
            Self::Days => "days_thrown_away_ms",
        }
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
pub(crate) struct Piece {
    pub(crate) number: i64,
    pub(crate) ts: i64,
    pub(crate) ts_last: i64,
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
    pieces.into_values().try_for_each(|piece| write_piece(db, kept, piece))
}

/// Writes tallies whose periods lie in one piece; the caller has the transaction.
pub(crate) fn write_piece(db: &Connection, kept: Kept, piece: ByMeter) -> Result<(), StoreError> {
    let mut writing = Writing::begin(db, kept)?;
    for (meter, block) in piece {
        writing.put(chunk::ensure_key(db, meter)?, &block)?;
    }
    writing.end()
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
pub(crate) fn pieces(
    db: &Connection,
    kept: Kept,
    span: &Range<i64>,
) -> Result<Vec<Piece>, StoreError> {
    if !chunk::can_hold(db)? {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare_cached(PIECES).doing(READING)?;
    let parameters = named_params! {
        ":step": kept.code(),
        ":from": span.start,
        ":earliest": kept.earliest(span),
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

fn read_piece(row: &sqlite::Row<'_>) -> rusqlite::Result<(Piece, u32)> {
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

const BLOCK: &str = "SELECT crc32c, blob FROM tally_block WHERE id = ?1";

/// What `read` makes of a meter's block of a piece; `None` if it has none there.
pub(crate) fn of_block<T>(
    db: &Connection,
    piece: &Piece,
    key: i64,
    read: impl FnOnce(&[u8]) -> Result<T, Unpackable>,
) -> Result<Option<T>, StoreError> {
    let id = piece.number << KEY_BITS | key;
    let unreadable = |what: &str| {
        damaged(db, format!("{what} the block of meter {key} in piece {}", piece.number))
    };
    let mut statement = db.prepare_cached(BLOCK).doing(READING)?;
    let mut rows = statement.query([id]).doing(READING)?;
    let Some(row) = rows.next().doing(READING)? else { return Ok(None) };
    let crc32c: u32 = row.get(0).doing(READING)?;
    let blob = row.get_ref(1).doing(READING)?;
    let blob = blob.as_blob().map_err(|_| unreadable("this version cannot read"))?;
    if checksum(id, blob) != crc32c {
        return Err(unreadable("the checksum does not fit"));
    }
    read(blob).map(Some).map_err(|_| unreadable("this version cannot read"))
}

fn block(db: &Connection, piece: &Piece, key: i64) -> Result<Option<TallyBlock>, StoreError> {
    of_block(db, piece, key, TallyBlock::unpack)
}

/// Hands a series' rows of a piece to `take`.
pub(crate) fn each_row(
    db: &Connection,
    piece: &Piece,
    key: i64,
    series: SeriesId,
    take: impl FnMut(Row),
) -> Result<(), StoreError> {
    of_block(db, piece, key, |blob| TallyBlock::rows(blob, series, take)).map(drop)
}

/// Takes out the tallies of one series whose periods begin in `span`; the caller has the transaction.
pub(crate) fn remove(
    db: &Connection,
    kept: Kept,
    meter: MeterId,
    series: SeriesId,
    span: &Range<i64>,
) -> Result<(), StoreError> {
    let Some(key) = chunk::key(db, meter)? else { return Ok(()) };
    for piece in pieces(db, kept, span)? {
        let Some(mut there) = block(db, &piece, key)? else { continue };
        let before = there.tallies.len();
        there.tallies.retain(|(of, _, starts_at), _| *of != series || !span.contains(starts_at));
        if there.tallies.len() == before {
            continue;
        }
        let (id, blob) = (piece.number << KEY_BITS | key, there.pack());
        db.prepare_cached("UPDATE tally_block SET crc32c = ?2, blob = ?3 WHERE id = ?1")
            .and_then(|mut it| it.execute(params![id, checksum(id, &blob), blob]))
            .doing(WRITING)?;
    }
    Ok(())
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
            sum.add(block(db, piece, key)?.unwrap_or_default());
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
///
/// Days whose quarter hours are thrown away stay those of the zone before.
pub(crate) fn remake_days(db: &Connection, civil: Civil) -> Result<(), StoreError> {
    let all = i64::MIN..i64::MAX;
    let meters = chunk::meters(db)?;
    let thrown_away = thrown_away(db, Kept::Quarters)?;
    for piece in pieces(db, Kept::Days, &all)? {
        let mut old = ByMeter::new();
        for key in if piece.ts < thrown_away { keys_of(db, &piece)? } else { Vec::new() } {
            let Some(meter) = meters.get(&key) else { continue };
            let mut block = block(db, &piece, key)?.unwrap_or_default();
            block.tallies.retain(|(_, _, starts_at), _| *starts_at < thrown_away);
            old.insert(*meter, block);
        }
        delete(db, &piece)?;
        write(db, Kept::Days, old)?;
    }
    for piece in pieces(db, Kept::Quarters, &all)? {
        let mut days = ByMeter::new();
        for key in keys_of(db, &piece)? {
            let Some(meter) = meters.get(&key) else { continue };
            let block = block(db, &piece, key)?.unwrap_or_default();
            let mut made = days_of(&block, civil);
            made.tallies.retain(|(_, _, starts_at), _| *starts_at >= thrown_away);
            days.insert(*meter, made);
        }
        write(db, Kept::Days, days)?;
    }
    Ok(())
}

/// Throws away what lies before `before_ms`, a piece at a time.
pub(crate) fn forget(db: &mut Connection, kept: Kept, before_ms: i64) -> Result<(), StoreError> {
    const DOING: &str = "throw away old sums";
    let coarse = thrown_away(db, kept)?;
    // What is in memory alone may be as old: no more than an import is.
    let old = pieces(db, kept, &(i64::MIN..before_ms))?;
    let end = |it: &Piece| it.ts_last.saturating_add(kept.period(it.ts_last < coarse));
    // Of a month that is not coarse to its end the rest is days, which stay.
    let whole = |it: &Piece| it.ts_last >= coarse || end(it) <= coarse;
    let old: Vec<Piece> = old.into_iter().filter(|it| end(it) <= before_ms && whole(it)).collect();
    let Some(newest) = old.iter().map(end).max() else { return Ok(()) };
    let transaction = db.transaction().doing(DOING)?;
    for piece in &old {
        delete(&transaction, piece)?;
    }
    tables::set_meta(&transaction, kept.mark(), &newest.max(coarse).to_string())?;
    transaction.commit().doing(DOING)?;
    db.execute_batch("PRAGMA incremental_vacuum").doing(DOING)
}

/// Makes hours of the quarter hours, or months of the days, that lie before `before_ms`: the finer ones are
/// thrown away. Some at a time, so that nobody waits for years of them.
pub(crate) fn coarsen(
    db: &mut Connection,
    kept: Kept,
    before_ms: i64,
    civil: Civil,
) -> Result<(), StoreError> {
    const DOING: &str = "add up old sums";
    // All that was written of one time becomes coarse together.
    let before = before_ms.div_euclid(kept.longest()) * kept.longest();
    for _ in 0..MOST_TIMES {
        let done = thrown_away(db, kept)?;
        let fine = pieces(db, kept, &(done..before))?;
        let Some(first) = fine.iter().map(|it| it.ts.max(done)).min() else { break };
        let time = kept.piece_of(first);
        let until = (time + 1).saturating_mul(kept.longest());
        let meters = chunk::meters(db)?;
        let transaction = db.transaction().doing(DOING)?;
        for piece in fine.iter().filter(|it| kept.piece_of(it.ts.max(done)) == time) {
            let mut sums = ByMeter::new();
            for key in keys_of(&transaction, piece)? {
                let Some(meter) = meters.get(&key) else { continue };
                let fine = block(&transaction, piece, key)?.unwrap_or_default();
                let mut coarse = sums_of(&fine, civil, kept.coarse());
                for (starts_at, answers) in fine.answers {
                    let starts_at = civil.period(kept.coarse(), starts_at).start;
                    let known = coarse.answers.entry(starts_at).or_default();
                    *known = answers.plus(*known);
                }
                sums.insert(*meter, coarse);
            }
            delete(&transaction, piece)?;
            write(&transaction, kept, sums)?;
        }
        tables::set_meta(&transaction, kept.mark(), &until.to_string())?;
        transaction.commit().doing(DOING)?;
    }
    db.execute_batch("PRAGMA incremental_vacuum").doing(DOING)
}

/// Days, or times of 32 of them, that are added up in one go.
const MOST_TIMES: usize = 64;

/// Up to when quarter hours, or days, were thrown away: what there is of that time is hours, or months.
pub(crate) fn thrown_away(db: &Connection, kept: Kept) -> Result<i64, StoreError> {
    Ok(tables::meta(db, kept.mark())?.and_then(|it| it.parse().ok()).unwrap_or(i64::MIN))
}

/// The tallies of a block by the site's days; answers are kept by quarter hours alone.
pub(crate) fn days_of(block: &TallyBlock, civil: Civil) -> TallyBlock {
    sums_of(block, civil, Step::Day)
}

fn sums_of(block: &TallyBlock, civil: Civil, step: Step) -> TallyBlock {
    let mut sums = TallyBlock::default();
    let all: Vec<_> = block.tallies.iter().collect();
    for of_series in all.chunk_by(|((a, _, _), _), ((b, _, _), _)| a == b) {
        let Some(((series, _, _), _)) = of_series.first() else { continue };
        let fine = of_series.iter().map(|((_, era, starts_at), tally)| Row {
            era: *era,
            starts_at: *starts_at,
            tally: **tally,
        });
        let rows = add_up(fine, civil, step).into_iter();
        sums.tallies.extend(rows.map(|row| ((*series, row.era, row.starts_at), row.tally)));
    }
    sums
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
                let Ok(Some(mut block)) = block(old, &piece, key) else { continue };
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
            let block = block(db, piece, key)?.unwrap_or_default();
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
                block(db, &piece, key)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use crate::tally_file::Source;

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

    #[test]
    fn every_changed_byte_of_a_block_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let db = files::open(&files::rollup_path(dir.path()), &files::ROLLUP).unwrap();
        let series = SeriesId::new(1).unwrap();
        let tally = |quarter: i64| {
            let at = quarter * 900_000;
            ((series, 0, at), Tally::of(at + 3_000, 1_000 + quarter * quarter % 7, false, 1))
        };
        let tallies: BTreeMap<_, _> = (0..96).map(tally).collect();
        let meter = MeterId::from_uuid(uuid::Uuid::max());
        let block = TallyBlock { tallies, answers: BTreeMap::new() };
        write(&db, Kept::Quarters, [(meter, block)].into()).unwrap();
        let all = i64::MIN..i64::MAX;
        let found = || Source::of(&db).tallies(Kept::Quarters, meter, series, &all);
        assert_eq!(found().unwrap().len(), 96);
        let whole: Vec<u8> =
            db.query_row("SELECT blob FROM tally_block", [], |row| row.get(0)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            db.execute("UPDATE tally_block SET blob = ?1", [changed]).unwrap();
            assert!(found().unwrap_err().is_damage(), "byte {at}");
        }
        db.execute("UPDATE tally_block SET blob = ?1", [whole]).unwrap();
        assert_eq!(found().unwrap().len(), 96);
        db.execute("UPDATE piece SET ts_last = ts_last + 1", []).unwrap();
        assert!(found().unwrap_err().is_damage(), "the piece");
    }
}
