//! The packed part of a raw file: chunks of readings, each a block for each meter.
//!
//! ```text
//! spool   ▪▪▪▪▪▪▪▪▪▪▪▪     a row for each commit: all meters, one minute
//!            │ pack.rs
//!            ▼
//! chunk   ▬ ▬ ▬            an hour: a block for each meter
//!            │
//!            ▼
//!         ▬▬▬▬▬▬▬▬         a day: a block for each meter
//! ```
//!
//! A reading keeps its number in a block, so packed readings go to the cloud like others, in the order
//! of their numbers and however long after. Whoever reads both parts does so in one transaction:
//! what is packed meanwhile is seen before or after, never twice and never not at all.
//!
//! **Invariant:** a block whose CRC does not fit is never taken for readings.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use metering::MeterId;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};

use crate::block::{Block, Numbered, Sample, View};
use crate::codec::Entry;
use crate::error::{Doing, StoreError};
use crate::spool::{self, SpoolRow};

/// What the packed readings of some time are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) number: i64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) n: u64,
    pub(crate) blocks: u32,
    pub(crate) ts: i64,
    pub(crate) ts_last: i64,
}

/// Readings whose numbers follow each other, of one commit or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) first_seq: u64,
    pub(crate) imported: bool,
    pub(crate) boot_id: u128,
    pub(crate) entries: Vec<Entry>,
}

impl Piece {
    /// The number of its last reading.
    pub(crate) fn last_seq(&self) -> u64 {
        let n = u64::try_from(self.entries.len()).unwrap_or_default();
        self.first_seq.saturating_add(n).saturating_sub(1)
    }
}

/// A block as it lies in the file.
#[derive(Clone)]
pub(crate) struct Laid {
    pub(crate) id: i64,
    pub(crate) n: u64,
    crc32c: u32,
    pub(crate) blob: Vec<u8>,
}

/// A file has keys for sixteen million meters.
pub(crate) const KEY_BITS: u32 = 24;
const READING: &str = "read packed readings";
const PACKING: &str = "pack readings";

impl Chunk {
    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, u32)> {
        let chunk = Self {
            number: row.get("number")?,
            first_seq: row.get("first_seq")?,
            last_seq: row.get("last_seq")?,
            n: row.get("n")?,
            blocks: row.get("blocks")?,
            ts: row.get("ts")?,
            ts_last: row.get("ts_last")?,
        };
        Ok((chunk, row.get("crc32c")?))
    }

    fn checksum(&self) -> u32 {
        let columns = [
            self.number,
            self.first_seq.cast_signed(),
            self.last_seq.cast_signed(),
            self.n.cast_signed(),
            i64::from(self.blocks),
            self.ts,
            self.ts_last,
        ];
        columns.iter().fold(0, |crc, it| crc32c::crc32c_append(crc, &it.to_le_bytes()))
    }

    /// Whether it may hold readings of `span`.
    pub(crate) const fn reaches(&self, span: &Range<i64>) -> bool {
        self.ts < span.end && self.ts_last >= span.start
    }

    /// The ids of its blocks.
    const fn ids(&self) -> Range<i64> {
        self.number << KEY_BITS..(self.number + 1) << KEY_BITS
    }

    /// Its numbers, if none between is elsewhere.
    fn unbroken(&self) -> Option<(u64, u64)> {
        let wide = self.last_seq.checked_sub(self.first_seq)?.checked_add(1)?;
        (wide == self.n).then_some((self.first_seq, self.last_seq))
    }
}

impl Laid {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            n: row.get("n")?,
            crc32c: row.get("crc32c")?,
            blob: row.get("blob")?,
        })
    }

    fn of(id: i64, block: &Block) -> Self {
        let n = u64::try_from(block.len()).unwrap_or_default();
        let mut laid = Self { id, n, crc32c: 0, blob: block.pack() };
        laid.crc32c = laid.checksum();
        laid
    }

    fn checksum(&self) -> u32 {
        let crc = crc32c::crc32c_append(0, &self.id.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &self.n.to_le_bytes()), &self.blob)
    }

    /// Of its meter.
    pub(crate) const fn key(&self) -> i64 {
        self.id & ((1 << KEY_BITS) - 1)
    }

    /// Its bytes, if they are those that were written.
    fn whole(&self, file: &Path) -> Result<&[u8], StoreError> {
        if self.checksum() == self.crc32c {
            Ok(&self.blob)
        } else {
            Err(self.damaged(file, "the checksum does not fit"))
        }
    }

    /// Its readings.
    pub(crate) fn unpack(&self, file: &Path) -> Result<Block, StoreError> {
        let unreadable = || self.damaged(file, "this version cannot read");
        let block = Block::unpack(self.whole(file)?).map_err(|_| unreadable())?;
        let n = u64::try_from(block.len()).unwrap_or_default();
        if n == self.n { Ok(block) } else { Err(unreadable()) }
    }

    fn damaged(&self, file: &Path, what: &str) -> StoreError {
        let (chunk, key) = (self.id >> KEY_BITS, self.key());
        StoreError::Corrupt {
            file: file.to_owned(),
            what: format!("{what} the block of meter {key} in chunk {chunk}"),
        }
    }
}

/// All chunks of a file, by their numbers; none in a file of the version that had none.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if one is not as it was written.
pub(crate) fn all(db: &Connection, file: &Path) -> Result<Vec<Chunk>, StoreError> {
    if !can_hold(db)? {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare_cached("SELECT * FROM chunk ORDER BY number").doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    let mut chunks = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        let (chunk, crc32c) = Chunk::read(row).doing(READING)?;
        if chunk.checksum() != crc32c {
            return Err(StoreError::Corrupt {
                file: file.to_owned(),
                what: format!("the checksum does not fit chunk {}", chunk.number),
            });
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// The command line may look into a file before its writer has brought it up to date.
pub(crate) fn can_hold(db: &Connection) -> Result<bool, StoreError> {
    let version: u32 = db
        .prepare_cached("PRAGMA user_version")
        .and_then(|mut it| it.query_row([], |row| row.get(0)))
        .doing(READING)?;
    Ok(version >= 2)
}

/// How many damaged blocks a file keeps for somebody to look at.
pub(crate) fn count_set_aside(db: &Connection) -> Result<u32, StoreError> {
    if !can_hold(db)? {
        return Ok(0);
    }
    db.query_row("SELECT COUNT(*) FROM set_aside", [], |row| row.get(0)).doing(READING)
}

/// One view of a file, whatever is packed meanwhile.
pub(crate) fn view(db: &Connection) -> Result<Transaction<'_>, StoreError> {
    db.unchecked_transaction().doing(READING)
}

/// The key of a meter in a file.
pub(crate) fn key(db: &Connection, meter: MeterId) -> Result<Option<i64>, StoreError> {
    db.prepare_cached("SELECT key FROM packed_meter WHERE meter = ?1")
        .and_then(|mut it| it.query_row([meter.uuid().as_bytes()], |row| row.get(0)).optional())
        .doing(READING)
}

/// The key of a meter in a file; it gets one if it has none.
pub(crate) fn ensure_key(db: &Connection, meter: MeterId) -> Result<i64, StoreError> {
    if let Some(key) = key(db, meter)? {
        return Ok(key);
    }
    db.execute("INSERT INTO packed_meter (meter) VALUES (?1)", [meter.uuid().as_bytes()])
        .doing(PACKING)?;
    Ok(db.last_insert_rowid())
}

/// Hands the values of some series of a meter in `span` to `take`, in no order.
pub(crate) fn values(
    db: &Connection,
    file: &Path,
    meter: MeterId,
    wanted: impl Fn(u32) -> bool,
    span: &Range<i64>,
    mut take: impl FnMut(Sample),
) -> Result<(), StoreError> {
    let chunks = all(db, file)?;
    if chunks.is_empty() {
        return Ok(());
    }
    let Some(key) = key(db, meter)? else { return Ok(()) };
    for chunk in chunks.iter().filter(|it| it.reaches(span)) {
        if let Some(laid) = laid(db, chunk, key)? {
            View::of(laid.whole(file)?)
                .and_then(|view| view.each(&wanted, span, &mut take))
                .map_err(|_| laid.damaged(file, "this version cannot read"))?;
        }
    }
    Ok(())
}

/// A meter's part of a chunk.
fn laid(db: &Connection, chunk: &Chunk, key: i64) -> Result<Option<Laid>, StoreError> {
    db.prepare_cached(ONE)
        .and_then(|mut it| it.query_row([chunk.number << KEY_BITS | key], Laid::read).optional())
        .doing(READING)
}

const ONE: &str = "SELECT * FROM block WHERE id = ?1";
const OF_CHUNK: &str = "SELECT * FROM block WHERE id >= ?1 AND id < ?2 ORDER BY id";

/// Hands each block of a chunk to `take`.
pub(crate) fn each_block(
    db: &Connection,
    chunk: &Chunk,
    mut take: impl FnMut(Laid) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(OF_CHUNK).doing(READING)?;
    let mut rows = statement.query([chunk.ids().start, chunk.ids().end]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        take(Laid::read(row).doing(READING)?)?;
    }
    Ok(())
}

/// The keys of a chunk's blocks.
pub(crate) fn keys(db: &Connection, chunk: &Chunk) -> Result<Vec<i64>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT id FROM block WHERE id >= ?1 AND id < ?2").doing(READING)?;
    let ids = statement.query_map([chunk.ids().start, chunk.ids().end], |row| row.get(0));
    let ids = ids.and_then(Iterator::collect::<rusqlite::Result<Vec<i64>>>).doing(READING)?;
    Ok(ids.into_iter().map(|id| id & ((1 << KEY_BITS) - 1)).collect())
}

/// A meter's part of a chunk, unpacked.
pub(crate) fn block(
    db: &Connection,
    file: &Path,
    chunk: &Chunk,
    key: i64,
) -> Result<Option<Block>, StoreError> {
    laid(db, chunk, key)?.map(|it| it.unpack(file)).transpose()
}

/// Writes a chunk one block after the other; the caller has the transaction.
pub(crate) struct Writing<'a> {
    db: &'a Connection,
    chunk: Chunk,
}

impl<'a> Writing<'a> {
    /// Begins a chunk with a number that none has had among those that are there.
    pub(crate) fn begin(db: &'a Connection) -> Result<Self, StoreError> {
        let number = db
            .query_row("SELECT COALESCE(MAX(number), 0) + 1 FROM chunk", [], |row| row.get(0))
            .doing(PACKING)?;
        let (first_seq, ts, ts_last) = (u64::MAX, i64::MAX, i64::MIN);
        let chunk = Chunk { number, first_seq, last_seq: 0, n: 0, blocks: 0, ts, ts_last };
        Ok(Self { db, chunk })
    }

    pub(crate) fn put(&mut self, key: i64, block: &Block) -> Result<(), StoreError> {
        let (Some((first, last)), Some((ts, ts_last))) = (block.seqs(), block.times()) else {
            return Ok(());
        };
        let laid = Laid::of(self.chunk.number << KEY_BITS | key, block);
        self.db
            .prepare_cached("INSERT INTO block (id, n, crc32c, blob) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut it| it.execute(params![laid.id, laid.n, laid.crc32c, laid.blob]))
            .doing(PACKING)?;
        let chunk = &mut self.chunk;
        chunk.first_seq = chunk.first_seq.min(first);
        chunk.last_seq = chunk.last_seq.max(last);
        chunk.ts = chunk.ts.min(ts);
        chunk.ts_last = chunk.ts_last.max(ts_last);
        chunk.n += laid.n;
        chunk.blocks += 1;
        Ok(())
    }

    /// Says what it holds, unless that is nothing.
    pub(crate) fn end(self) -> Result<Chunk, StoreError> {
        if self.chunk.n > 0 {
            write(self.db, &self.chunk)?;
        }
        Ok(self.chunk)
    }
}

fn write(db: &Connection, chunk: &Chunk) -> Result<(), StoreError> {
    db.execute(
        "INSERT OR REPLACE INTO chunk (number, first_seq, last_seq, n, blocks, ts, ts_last, crc32c)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            chunk.number,
            chunk.first_seq,
            chunk.last_seq,
            chunk.n,
            chunk.blocks,
            chunk.ts,
            chunk.ts_last,
            chunk.checksum(),
        ],
    )
    .map(drop)
    .doing(PACKING)
}

/// Deletes a chunk; the caller has the transaction.
pub(crate) fn delete(db: &Connection, chunk: &Chunk) -> Result<(), StoreError> {
    let ids = chunk.ids();
    db.execute("DELETE FROM block WHERE id >= ?1 AND id < ?2", [ids.start, ids.end])
        .and_then(|_| db.execute("DELETE FROM chunk WHERE number = ?1", [chunk.number]))
        .map(drop)
        .doing(PACKING)
}

/// Unpacks every block: the only way to see a byte that changed inside one. What does not fit goes
/// to `damaged`; the chunk itself, if its blocks are not those that it says.
pub(crate) fn check(
    db: &Connection,
    file: &Path,
    mut damaged: impl FnMut(&Chunk, Option<&Laid>, StoreError) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for chunk in all(db, file)? {
        let (mut n, mut blocks) = (0_u64, 0_u32);
        each_block(db, &chunk, |laid| {
            n = n.saturating_add(laid.n);
            blocks = blocks.saturating_add(1);
            match laid.unpack(file) {
                Ok(_) => Ok(()),
                Err(error) => damaged(&chunk, Some(&laid), error),
            }
        })?;
        if (n, blocks) != (chunk.n, chunk.blocks) {
            let what = format!("chunk {} has lost a block", chunk.number);
            damaged(&chunk, None, StoreError::Corrupt { file: file.to_owned(), what })?;
        }
    }
    Ok(())
}

/// Moves a damaged block out of the way and has its chunk say what is left; the caller has the
/// transaction.
pub(crate) fn set_aside(
    db: &Connection,
    laid: &Laid,
    at_ms: i64,
    sentence: &str,
) -> Result<(), StoreError> {
    const DOING: &str = "set a damaged block aside";
    db.execute(
        "INSERT OR REPLACE INTO set_aside (id, at_ms, sentence, crc32c, blob)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![laid.id, at_ms, sentence, laid.crc32c, laid.blob],
    )
    .and_then(|_| db.execute("DELETE FROM block WHERE id = ?1", [laid.id]))
    .map(drop)
    .doing(DOING)
}

/// Has a chunk say what its blocks hold; one without any goes. The caller has the transaction.
pub(crate) fn recount(db: &Connection, file: &Path, chunk: Chunk) -> Result<(), StoreError> {
    let (mut n, mut blocks) = (0_u64, 0_u32);
    each_block(db, &chunk, |laid| {
        laid.unpack(file)?;
        n += laid.n;
        blocks += 1;
        Ok(())
    })?;
    if n == 0 { delete(db, &chunk) } else { write(db, &Chunk { n, blocks, ..chunk }) }
}

/// What can be read of a damaged file, a chunk at a time: the meters' blocks.
pub(crate) fn salvage(
    db: &Connection,
    file: &Path,
    mut take: impl FnMut(Vec<(MeterId, Block)>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Ok(meters) = meters(db) else { return Ok(()) };
    let mut numbers = BTreeMap::new();
    for sql in ["SELECT id FROM block ORDER BY id", "SELECT id FROM block ORDER BY id DESC"] {
        let Ok(mut statement) = db.prepare(sql) else { continue };
        let Ok(mut rows) = statement.query([]) else { continue };
        // A row that cannot be read ends the way from this end.
        while let Ok(Some(row)) = rows.next() {
            if let Ok(id) = row.get::<_, i64>(0) {
                numbers.entry(id >> KEY_BITS).or_insert_with(Vec::new).push(id);
            }
        }
    }
    for ids in numbers.into_values() {
        let mut blocks = BTreeMap::new();
        for id in ids {
            let found = db.prepare_cached(ONE).and_then(|mut it| it.query_row([id], Laid::read));
            let meter = meters.get(&(id & ((1 << KEY_BITS) - 1)));
            if let (Ok(laid), Some(meter)) = (found, meter)
                && let Ok(block) = laid.unpack(file)
            {
                blocks.insert(id, (*meter, block));
            }
        }
        take(blocks.into_values().collect())?;
    }
    Ok(())
}

/// The meters by their keys in a file.
pub(crate) fn meters(db: &Connection) -> Result<BTreeMap<i64, MeterId>, StoreError> {
    let mut statement = db.prepare("SELECT * FROM packed_meter").doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    let mut meters = BTreeMap::new();
    while let Some(row) = rows.next().doing(READING)? {
        let meter = MeterId::from_uuid(crate::registry::uuid(row, "meter")?);
        meters.insert(row.get("key").doing(READING)?, meter);
    }
    Ok(meters)
}

/// What stands next in a file, spool and chunks together, in the order of seq.
pub(crate) enum Next {
    /// Nothing before that number.
    From(u64),
    /// Readings.
    Piece(Piece),
}

/// Hands what a file has from the commit that holds `seq` on to `take`, until that says no.
pub(crate) fn pieces_from(
    db: &Connection,
    file: &Path,
    seq: u64,
    mut take: impl FnMut(Next) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let view = view(db)?;
    let mut chunks = all(&view, file)?;
    chunks.retain(|chunk| chunk.last_seq >= seq);
    let mut statement = view.prepare_cached(spool::FROM_SEQ).doing(READING)?;
    let mut rows = statement.query(named_params! { ":seq": seq }).doing(READING)?;
    let mut spooled = || -> Result<Option<SpoolRow>, StoreError> {
        while let Some(row) = rows.next().doing(READING)? {
            let row = SpoolRow::read(row).doing(READING)?;
            if row.last_seq() >= seq {
                return Ok(Some(row));
            }
        }
        Ok(None)
    };
    let mut row = spooled()?;
    let mut at = seq;
    loop {
        let packed = chunks.iter().filter(|it| it.last_seq >= at).map(|it| it.first_seq.max(at));
        let packed = packed.min();
        if let Some(next) = row.take_if(|row| packed.is_none_or(|packed| row.first_seq < packed)) {
            at = at.max(next.last_seq().saturating_add(1));
            if !take(Next::Piece(next.piece(file)?))? {
                return Ok(());
            }
            row = spooled()?;
            continue;
        }
        let Some(packed) = packed else { return Ok(()) };
        if packed > at && !take(Next::From(packed))? {
            return Ok(());
        }
        let first = at == seq;
        let (pieces, end) = window(&view, file, &chunks, packed, first)?;
        for piece in pieces {
            while let Some(next) = row.take_if(|row| row.first_seq < piece.first_seq) {
                if !take(Next::Piece(next.piece(file)?))? {
                    return Ok(());
                }
                row = spooled()?;
            }
            if !take(Next::Piece(piece))? {
                return Ok(());
            }
        }
        at = end;
    }
}

/// So many numbers are unpacked at once: more than the longest commit has.
const WINDOW: u64 = 30_000;

/// The packed readings from `start` on, some of them, and where to go on. The `first` window begins
/// in the middle of an answer, maybe; the others begin where the one before ended.
fn window(
    db: &Connection,
    file: &Path,
    chunks: &[Chunk],
    start: u64,
    first: bool,
) -> Result<(Vec<Piece>, u64), StoreError> {
    let end = start.saturating_add(WINDOW);
    let mut found: Vec<Numbered> = Vec::new();
    let reaching = || chunks.iter().filter(|it| it.first_seq < end && it.last_seq >= start);
    for chunk in reaching() {
        each_block(db, chunk, |laid| {
            let wanted = |it: &Range<u64>| {
                it.start < end && (it.start >= start || (first && it.end > start))
            };
            laid.unpack(file)?.each_answer(wanted, |reading| found.push(reading));
            Ok(())
        })?;
    }
    found.sort_unstable_by_key(|it| it.seq);
    let mut upto = end;
    // A commit is not cut in two: its answers are counted together.
    if reaching().any(|it| it.last_seq >= end)
        && let Some(last) = found.iter().rev().find(|it| it.begins && it.seq > start)
    {
        upto = last.seq;
        found.retain(|it| it.seq < upto);
    }
    let follows = |a: &Numbered, b: &Numbered| {
        a.seq.checked_add(1) == Some(b.seq)
            && !b.begins
            && (a.imported, a.boot_id) == (b.imported, b.boot_id)
    };
    let pieces = found.chunk_by(follows).filter_map(|piece| {
        let head = piece.first()?;
        Some(Piece {
            first_seq: head.seq,
            imported: head.imported,
            boot_id: head.boot_id,
            entries: piece.iter().map(|it| it.entry).collect(),
        })
    });
    Ok((pieces.collect(), upto))
}

/// The numbers from `from` on that a file has, as ranges with their ends in them, by number.
pub(crate) fn ranges(
    db: &Connection,
    file: &Path,
    from: u64,
) -> Result<Vec<(u64, u64)>, StoreError> {
    let view = view(db)?;
    let mut ranges = spool::ranges(&view)?;
    for chunk in all(&view, file)?.iter().filter(|it| it.last_seq >= from) {
        if let Some(range) = chunk.unbroken() {
            ranges.push(range);
            continue;
        }
        each_block(&view, chunk, |laid| {
            ranges.extend(laid.unpack(file)?.ranges().map(|it| (it.start, it.end - 1)));
            Ok(())
        })?;
    }
    ranges.retain(|(_, last)| *last >= from);
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
            _ => joined.push((first.max(from), last)),
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use metering::{Origin, Quality, Trust};
    use proptest::prelude::*;

    use super::*;

    fn laid(values: &[i64]) -> Laid {
        let mut block = Block::default();
        for (seq, value) in (1..).zip(values) {
            let entry = Entry {
                series: 1,
                at_ms: 900_000 * seq,
                boottime_ms: 0,
                cycle: seq,
                trust: Some(Trust::Synced),
                quality: Quality::Good,
                origin: Origin::Live,
                value: Ok(*value),
            };
            let (imported, begins, boot_id) = (false, true, 7);
            let seq = seq.cast_unsigned();
            block.push(&[Numbered { seq, entry, imported, begins, boot_id }]);
        }
        Laid::of(1 << KEY_BITS | 2, &block)
    }

    proptest! {
        #[test]
        fn whatever_changes_of_a_block_is_seen(
            values in prop::collection::vec(any::<i64>(), 1..40),
            change in 1..=u8::MAX,
        ) {
            let file = Path::new("raw");
            let laid = laid(&values);
            prop_assert_eq!(laid.unpack(file).unwrap().len(), values.len());
            for at in 0..laid.blob.len() {
                let mut changed = laid.clone();
                changed.blob[at] ^= change;
                prop_assert!(changed.unpack(file).is_err(), "byte {}", at);
            }
            let elsewhere = [
                Laid { id: laid.id + 1, ..laid.clone() },
                Laid { n: laid.n + 1, ..laid.clone() },
                Laid { crc32c: laid.crc32c ^ u32::from(change), ..laid.clone() },
                Laid { blob: laid.blob[..laid.blob.len() - 1].to_vec(), ..laid.clone() },
                Laid { blob: [laid.blob.as_slice(), &[0]].concat(), ..laid },
            ];
            prop_assert!(elsewhere.iter().all(|it| it.unpack(file).is_err()));
        }
    }
}
