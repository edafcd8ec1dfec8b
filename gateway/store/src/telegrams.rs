//! What meters said, byte by byte, so that any figure leads back to it.
//!
//! ```text
//! telegrams-000007.db   a day    ▪▪▪▪▪▪▪▪▪▪     a row for each commit
//! telegrams-000008.db   today    ▪▪▪▪
//! ```
//!
//! A reading and its telegram have the number of the question in common: it is given once, whatever the clock
//! shows. Telegrams lie in files of their own, so that they go when their time is over, or when they are
//! more than there is room for, and readings stay. They are written once the readings are stored, and what
//! becomes of them keeps no reading from being stored.
//!
//! They are sealed like readings, by the row (`telegram_seal.rs`).

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use metering::{MeterId, Origin};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::chunk;
use crate::engine::Engine;
use crate::error::{Doing, DoingWith, StoreError};
use crate::files;
use crate::hot::MOST_TELEGRAM_BYTES;
use crate::query::Snapshot;
use crate::repair::Damage;
use crate::round::MeterRound;
use crate::spool;
use crate::telegram_pack::{Answer, LONGEST, Packer, Told, unpack, with};
use crate::telegram_seal::Covered;
use crate::walk::naming;

/// How many telegrams are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepTelegrams {
    /// For so many days; 0 keeps none.
    pub days: u16,
    /// And no more bytes than this.
    pub bytes: u64,
}

impl KeepTelegrams {
    const fn is_none(self) -> bool {
        self.days == 0 || self.bytes == 0
    }
}

/// What a meter said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When its answer began, in milliseconds since 1970.
    pub at_ms: i64,
    /// As it came; empty if it is not kept any more, or never was.
    pub telegrams: Vec<Vec<u8>>,
}

/// What the writer thread knows of the telegrams.
#[derive(Debug, Default)]
pub(crate) struct Telegrams {
    /// `None` until somebody has said so.
    keep: Option<KeepTelegrams>,
    pub(crate) open: Option<Open>,
    /// The last failure was told.
    told: bool,
    /// The files of which it was told that something in them is damaged.
    damaged: HashSet<u32>,
}

impl Telegrams {
    /// For files that are opened anew: what is kept of them is as before.
    pub(crate) fn afresh(&self) -> Self {
        Self { keep: self.keep, ..Self::default() }
    }

    /// What comes next goes into a file that is opened anew.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }
}

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) file: u32,
    pub(crate) db: Connection,
    next: i64,
    /// When its first row was asked.
    began_ms: Option<i64>,
    packer: Packer,
}

const DAY_MS: i64 = 86_400_000;
const KEEPING: &str = "keep telegrams";
pub(crate) const READING: &str = "read telegrams";

/// A file is a day, or so much of what may be kept.
const PARTS: u64 = 8;

/// Questions of several buses are answered in another order than they were asked.
const NEAR: i64 = 64;

impl Engine {
    /// From now on so many are kept.
    pub(crate) fn keep_telegrams(&mut self, keep: KeepTelegrams) {
        self.telegrams.keep = Some(keep);
        self.telegrams.open = None;
    }

    /// Keeps what was said in a round that is on the disk. A failure is logged, and costs them alone.
    pub(crate) fn keep_said(&mut self, round: &[MeterRound]) {
        let Some(keep) = self.telegrams.keep.filter(|keep| !keep.is_none()) else { return };
        let mut answers = Vec::new();
        let mut at_ms = None;
        for meter in round {
            let bytes: usize = meter.telegrams.iter().map(Vec::len).sum();
            if bytes == 0 || bytes > MOST_TELEGRAM_BYTES {
                continue;
            }
            at_ms = at_ms.or(Some(meter.asked.wall_ms()));
            answers.push(Answer {
                cycle: meter.cycle.cast_signed(),
                meter: meter.meter,
                telegrams: meter.telegrams.clone(),
            });
        }
        let Some(at_ms) = at_ms else { return };
        match self.write_said(keep, at_ms, &answers) {
            Ok(()) => self.telegrams.told = false,
            Err(error) => {
                self.telegrams.open = None;
                let error = &error as &dyn std::error::Error;
                if !std::mem::replace(&mut self.telegrams.told, true) {
                    tracing::warn!(error, "telegrams are not kept");
                }
            }
        }
    }

    fn write_said(
        &mut self,
        keep: KeepTelegrams,
        at_ms: i64,
        answers: &[Answer],
    ) -> Result<(), StoreError> {
        let dir = self.dir.clone();
        let over = |open: &Open| {
            let day = open.began_ms.is_some_and(|began| !(began..began + DAY_MS).contains(&at_ms));
            day || files::bytes(&path(&dir, open.file)) > keep.bytes / PARTS
        };
        let file = match &mut self.telegrams.open {
            Some(open) if over(open) => Some(open.file + 1),
            Some(_) => None,
            None => Some(all_in(&dir)?.last().copied().unwrap_or(1)),
        };
        if let Some(mut file) = file {
            let mut open = Open::file(&dir, file)?;
            if over(&open) {
                file += 1;
                open = Open::file(&dir, file)?;
            }
            self.telegrams.open = Some(open);
        }
        let Some(open) = &mut self.telegrams.open else { return Ok(()) };
        open.began_ms.get_or_insert(at_ms);
        let transaction = open.db.unchecked_transaction().doing(KEEPING)?;
        let mut next = open.next;
        for part in parts(answers) {
            let blob = open.packer.pack(next, part);
            SaidRow::of(next, at_ms, part, blob).insert(&transaction)?;
            next += 1;
        }
        transaction.commit().doing(KEEPING)?;
        open.next = next;
        Ok(())
    }

    /// Deletes the files that are too old or too many, and, on a disk that fills, all but the newest. Says
    /// their names. The newest goes with its last row's time, or if none are to be kept.
    pub(crate) fn prune_telegrams(
        &mut self,
        now: i64,
        fills: bool,
    ) -> Result<Vec<String>, StoreError> {
        let Some(keep) = self.telegrams.keep else { return Ok(Vec::new()) };
        let most = if keep.is_none() { 0 } else { keep.bytes };
        let numbers = all_in(&self.dir)?;
        let mut bytes: u64 = numbers.iter().map(|it| files::bytes(&path(&self.dir, *it))).sum();
        let mut gone = Vec::new();
        for (file, after) in numbers.iter().zip(1..) {
            let path = path(&self.dir, *file);
            let ended = match numbers.get(after) {
                Some(next) => began(&self::path(&self.dir, *next)).or_else(|| began(&path)),
                None => ended(&path),
            };
            // By a clock that nobody has set nothing is old.
            let days = i64::from(keep.days).saturating_mul(DAY_MS);
            let old = ended.is_some_and(|at| now.saturating_sub(at) > days);
            let is_newest = after == numbers.len();
            if !(old || keep.is_none() || !is_newest && (fills || bytes > most)) {
                break;
            }
            if is_newest {
                // Its number is not given again.
                let next = || Open::file(&self.dir, *file + 1);
                self.telegrams.open = if keep.is_none() { None } else { Some(next()?) };
            }
            bytes = bytes.saturating_sub(files::bytes(&path));
            files::remove(&path)?;
            gone.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        Ok(gone)
    }

    /// Reads all files through. One that SQLite cannot read is put aside; of one in which a row is damaged
    /// the others stay.
    pub(crate) fn scrub_telegrams(&mut self) -> Result<Vec<Damage>, StoreError> {
        let mut damages = Vec::new();
        for file in all_in(&self.dir)? {
            let path = path(&self.dir, file);
            let checked = files::open_to_read(&path).and_then(|db| {
                files::check_structure(&db, &path)?;
                check(&db, &path)
            });
            let error = match checked {
                Ok(_) => continue,
                Err(error) if error.is_damage() => error,
                Err(error) => return Err(error),
            };
            let row = matches!(&error, StoreError::Corrupt { what, .. } if what.contains(OF_ROW));
            if row && !self.telegrams.damaged.insert(file) {
                continue;
            }
            let mut damage = Damage::new(&path, &error, None);
            if row {
                "the telegrams of that commit cannot be read, and the others can"
                    .clone_into(&mut damage.outcome);
            } else {
                self.telegrams.open = None;
                let aside = files::put_aside(&path)?;
                damage = Damage::new(&path, &error, Some(&aside));
                "its telegrams cannot be read; no reading is lost".clone_into(&mut damage.outcome);
            }
            self.report(&damage);
            damages.push(damage);
        }
        Ok(damages)
    }
}

/// Pieces of which none is too long for a row.
fn parts(answers: &[Answer]) -> Vec<&[Answer]> {
    let mut parts = Vec::new();
    let mut rest = answers;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest
            .iter()
            .take_while(|it| {
                bytes += it.telegrams.iter().map(|it| it.len() + 8).sum::<usize>() + 40;
                bytes < LONGEST
            })
            .count();
        let (part, after) = rest.split_at(fits.max(1));
        parts.push(part);
        rest = after;
    }
    parts
}

impl Open {
    /// The file with that number, made if it is not there; one that is damaged is put aside.
    fn file(dir: &Path, file: u32) -> Result<Self, StoreError> {
        let path = path(dir, file);
        let opened = files::open(&path, &files::TELEGRAMS).and_then(|db| {
            files::check_structure(&db, &path)?;
            Ok(db)
        });
        let db = match opened {
            Err(error) if error.is_damage() => {
                let aside = files::put_aside(&path)?;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    kept_as = %aside.display(),
                    "telegrams were damaged"
                );
                files::open(&path, &files::TELEGRAMS)?
            }
            opened => opened?,
        };
        let next = db
            .query_row("SELECT COALESCE(MAX(number), 0) + 1 FROM said", [], |row| row.get(0))
            .doing(KEEPING)?;
        let began_ms = at(&db, FIRST_AT)?;
        Ok(Self { file, db, next, began_ms, packer: Packer::default() })
    }
}

const FIRST_AT: &str = "SELECT at_ms FROM said ORDER BY number LIMIT 1";
const LAST_AT: &str = "SELECT at_ms FROM said ORDER BY number DESC LIMIT 1";

fn at(db: &Connection, which: &str) -> Result<Option<i64>, StoreError> {
    db.query_row(which, [], |row| row.get(0)).optional().doing(READING)
}

/// When the first row of a file was asked, by a clock that had been set.
fn began(path: &Path) -> Option<i64> {
    by_a_set_clock(path, FIRST_AT)
}

/// When the last one was.
fn ended(path: &Path) -> Option<i64> {
    by_a_set_clock(path, LAST_AT)
}

fn by_a_set_clock(path: &Path, which: &str) -> Option<i64> {
    let db = files::open_to_read(path).ok()?;
    at(&db, which).ok().flatten().filter(|at| *at > A_SET_CLOCK_MS)
}

/// 2020: a clock that nobody has set shows 1970, or when the machine's system was built.
const A_SET_CLOCK_MS: i64 = 1_577_836_800_000;

pub(crate) fn path(dir: &Path, file: u32) -> PathBuf {
    dir.join(format!("telegrams-{file:06}.db"))
}

/// The files in `dir`, oldest first.
pub(crate) fn all_in(dir: &Path) -> Result<Vec<u32>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).doing_with("list", dir)? {
        let entry = entry.doing_with("list", dir)?;
        found.extend(entry.file_name().to_str().and_then(number_of));
    }
    found.sort_unstable();
    Ok(found)
}

/// The number of the file with that name.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("telegrams-")?.strip_suffix(".db")?.parse().ok()?;
    (format!("telegrams-{number:06}.db") == name).then_some(number)
}

/// A row.
pub(crate) struct SaidRow {
    pub(crate) number: i64,
    first_cycle: i64,
    last_cycle: i64,
    at_ms: i64,
    crc32c: u32,
    pub(crate) blob: Vec<u8>,
}

impl SaidRow {
    fn of(number: i64, at_ms: i64, answers: &[Answer], blob: Vec<u8>) -> Self {
        let cycles = || answers.iter().map(|it| it.cycle);
        let (first, last) = (cycles().min().unwrap_or(0), cycles().max().unwrap_or(0));
        let mut row = Self { number, first_cycle: first, last_cycle: last, at_ms, crc32c: 0, blob };
        row.crc32c = row.checksum();
        row
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get("number")?,
            first_cycle: row.get("first_cycle")?,
            last_cycle: row.get("last_cycle")?,
            at_ms: row.get("at_ms")?,
            crc32c: row.get("crc32c")?,
            blob: row.get("blob")?,
        })
    }

    fn insert(&self, db: &Connection) -> Result<(), StoreError> {
        db.prepare_cached(
            "INSERT INTO said (number, first_cycle, last_cycle, at_ms, crc32c, blob)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut it| {
            it.execute(params![
                self.number,
                self.first_cycle,
                self.last_cycle,
                self.at_ms,
                self.crc32c,
                self.blob
            ])
        })
        .map(drop)
        .doing(KEEPING)
    }

    pub(crate) fn columns(&self) -> [i64; 4] {
        [self.number, self.first_cycle, self.last_cycle, self.at_ms]
    }

    fn checksum(&self) -> u32 {
        let crc = self
            .columns()
            .iter()
            .fold(0, |crc, column| crc32c::crc32c_append(crc, &column.to_le_bytes()));
        crc32c::crc32c_append(crc, &self.blob)
    }

    pub(crate) fn answers(&self, file: &Path) -> Result<Vec<(i64, Told)>, StoreError> {
        let damaged = |what: &str| StoreError::Corrupt {
            file: file.to_owned(),
            what: format!("{what} row {}{OF_ROW}", self.number),
        };
        if self.checksum() != self.crc32c {
            return Err(damaged("the checksum does not fit"));
        }
        unpack(&self.blob).map_err(|_| damaged("this version cannot read"))
    }
}

const OF_ROW: &str = " of the telegrams";
const ROW: &str = "SELECT * FROM said WHERE number = ?1";

fn row_of(db: &Connection, number: i64) -> Result<Option<SaidRow>, StoreError> {
    db.prepare_cached(ROW)
        .and_then(|mut it| it.query_row([number], SaidRow::read).optional())
        .doing(READING)
}

/// What `meter` said to the question `cycle`, if it is in this file.
fn said(
    db: &Connection,
    file: &Path,
    meter: MeterId,
    cycle: i64,
) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
    let ends = "SELECT COALESCE(MIN(number), 0), COALESCE(MAX(number), -1) FROM said";
    let (mut low, end): (i64, i64) =
        db.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?))).doing(READING)?;
    let mut high = end;
    let mut cycles = db
        .prepare_cached("SELECT first_cycle, last_cycle FROM said WHERE number = ?1")
        .doing(READING)?;
    let mut cycles = |number: i64| {
        cycles
            .query_row([number], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()
            .doing(READING)
    };
    // Numbers of questions rise with those of rows, nearly.
    while low < high {
        let middle = i64::midpoint(low, high);
        if cycles(middle)?.is_some_and(|(_, last)| last < cycle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for number in low.saturating_sub(NEAR)..=low.saturating_add(NEAR).min(end) {
        if !cycles(number)?.is_some_and(|(first, last)| (first..=last).contains(&cycle)) {
            continue;
        }
        let Some(row) = row_of(db, number)? else { continue };
        for (of, told) in row.answers(file)? {
            if of != cycle {
                continue;
            }
            let (who, telegrams) = match told {
                Told::Whole { meter, telegrams } => (meter, telegrams),
                Told::Like { back, place, runs } => {
                    let base = row_of(db, number + 1 - back)?;
                    let base = base.map_or_else(|| Ok(Vec::new()), |row| row.answers(file))?;
                    let Some((_, Told::Whole { meter, telegrams })) = base.into_iter().nth(place)
                    else {
                        continue;
                    };
                    let unreadable = |_| StoreError::Corrupt {
                        file: file.to_owned(),
                        what: format!("this version cannot read row {number}{OF_ROW}"),
                    };
                    (meter, with(telegrams, &runs).map_err(unreadable)?)
                }
            };
            if who == meter {
                return Ok(Some(telegrams));
            }
        }
    }
    Ok(None)
}

/// Reads every row of a file.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<u64, StoreError> {
    Covered::of(db, path, 0, u64::MAX).map(|it| it.rows)
}

impl Snapshot<'_> {
    /// What a meter said last at `at_ms` or before it; `None` if it was not read in the month before.
    pub fn heard(&self, meter: MeterId, at_ms: i64) -> Result<Option<Heard>, StoreError> {
        let end = at_ms.saturating_add(1);
        for reach in [DAY_MS, 31 * DAY_MS] {
            let span = end.saturating_sub(reach)..end;
            if let Some((at_ms, cycle)) = self.answered(meter, &span)? {
                let telegrams = self.said(meter, cycle)?;
                return Ok(Some(Heard { at_ms, telegrams }));
            }
        }
        Ok(None)
    }

    /// When a meter last told a value at once in `span`, and to which question.
    fn answered(
        &self,
        meter: MeterId,
        span: &std::ops::Range<i64>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let mut newest: Option<(u64, i64, i64)> = None;
        let mut take = |seq: u64, entry: &crate::codec::Entry, imported: bool| {
            let at_once = matches!(entry.origin, Origin::Live | Origin::Simulated);
            if !imported
                && at_once
                && entry.value.is_ok()
                && span.contains(&entry.at_ms)
                && newest.is_none_or(|(known, at, _)| (at, known) < (entry.at_ms, seq))
            {
                newest = Some((seq, entry.at_ms, entry.cycle));
            }
        };
        for held in self.state.files.iter() {
            let reaches = |(first, last): (i64, i64)| first < span.end && last >= span.start;
            if !held.times.is_some_and(reaches) {
                continue;
            }
            let db = self.desk.raws.get(held).map_err(|error| naming(error, held))?;
            let view = chunk::view(&db)?;
            let key = chunk::key(&view, meter)?;
            for chunk in chunk::all(&view, &held.path)?.iter().filter(|it| it.reaches(span)) {
                let Some(key) = key else { break };
                if let Some(block) = chunk::block(&view, &held.path, chunk, key)? {
                    block.each_answer(|_| true, |it| take(it.seq, &it.entry, it.imported));
                }
            }
            spool::rows_in(&view, span, |row| {
                for (seq, entry) in (row.first_seq..).zip(row.unpack(&held.path)?) {
                    let known = self.state.registry.numbered(entry.series);
                    if known.is_some_and(|info| info.meter == meter) {
                        take(seq, &entry, row.imported);
                    }
                }
                Ok(())
            })
            .map_err(|error| naming(error, held))?;
        }
        Ok(newest.map(|(_, at_ms, cycle)| (at_ms, cycle)))
    }

    fn said(&self, meter: MeterId, cycle: i64) -> Result<Vec<Vec<u8>>, StoreError> {
        let dir = self.desk.dir();
        for file in all_in(dir)?.into_iter().rev() {
            let path = path(dir, file);
            // It may be deleted at this moment.
            let Ok(db) = files::open_to_read(&path) else { continue };
            let oldest: Option<i64> = db
                .query_row("SELECT first_cycle FROM said ORDER BY number LIMIT 1", [], |row| {
                    row.get(0)
                })
                .optional()
                .doing(READING)?;
            let Some(oldest) = oldest else { continue };
            if let Some(telegrams) = said(&db, &path, meter, cycle)? {
                return Ok(telegrams);
            }
            // One that was answered late lies in the file after its own.
            if oldest.saturating_add(NEAR) < cycle {
                break;
            }
        }
        Ok(Vec::new())
    }
}

/// The files of telegrams in `dir`, oldest first.
///
/// # Errors
///
/// Whatever keeps `dir` from being listed.
pub fn telegram_files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(all_in(dir)?.into_iter().map(|file| path(dir, file)).collect())
}
