//! What proves that readings are those that were stored.
//!
//! ```text
//! readings   ▪▪▪▪▪▪▪▪▪│▪▪▪▪▪▪▪▪│▪▪▪▪▪▪▪▪│▪▪▪▪        an hour or so between two seals
//!                     ▼        ▼        ▼
//! seals          SHA-256 ─▶ SHA-256 ─▶ SHA-256       each over the readings since the one before and
//!                     ✎        ✎        ✎            over its hash, and signed by the device
//! ```
//!
//! What is hashed are the readings, one by one in the order of their numbers, and not the bytes they are
//! packed in: packing changes no seal. With them goes what their series mean. A file's first seal goes on
//! from the last one of the month before, so a month's file is proven by itself and has its place.
//!
//! Who signs is the caller's affair: no key is known here.
//!
//! What came back from the portfolio (`recalled.rs`) is under no seal: nobody here can say any more that it is what
//! the meter said. It is counted apart, and a seal whose readings it is in the place of does not hold.
//!
//! **Never true:** a reading that was changed, added, taken out or moved among sealed ones is proven.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use metering::{NoReading, Trust};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest as _, Sha256};

use crate::chunk::{self, Next};
use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::{self, Month};
use crate::recalled::RECALLED;
use crate::registry::read_series;
use crate::spool::Held;

/// Signs a hash: 64 bytes of Ed25519.
pub type Sign = dyn Fn(&[u8; 32]) -> [u8; 64] + Send + Sync;

/// A seal, and what became of what it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its place in the file, from 1 on.
    pub number: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// The number of the last reading it covers.
    pub last_seq: u64,
    /// How many readings it covers.
    pub readings: u64,
    /// What is signed.
    pub hash: [u8; 32],
    /// By the device.
    pub signature: Vec<u8>,
    /// Why it does not hold, whoever signed it.
    pub fault: Option<String>,
}

/// The seals of a month's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The file's name.
    pub file: String,
    /// In their order.
    pub seals: Vec<Seal>,
    /// Readings that came since the last one.
    pub unsealed: u64,
    /// Readings that were lost and came back from the portfolio: no seal proves them.
    pub recalled: u64,
}

/// Under one seal, so that commits take their turns between two of them.
const MOST_READINGS: u64 = 60_000;

const DOING: &str = "seal readings";
const NOTHING: [u8; 32] = [0; 32];

/// How far the files are sealed, as far as that is known.
pub(crate) type SealedMonths = HashMap<Month, u64>;

impl Engine {
    /// Makes the next seal, and says how many readings it covers; `None` if all are sealed.
    pub(crate) fn seal(&mut self, sign: &Arc<Sign>) -> Result<Option<u64>, StoreError> {
        // What is sealed has a time, and so has the seal.
        if self.clock.now().trust == Trust::Untrusted {
            return Ok(None);
        }
        for held in self.state().files.iter() {
            let Held { month, seqs: Some((_, newest)), .. } = *held else { continue };
            if self.sealed.get(&month).is_some_and(|last| *last >= newest) {
                continue;
            }
            let at_ms = self.clock.now().wall_ms();
            let before = self.hash_before(month)?;
            let raw = self.raw(month)?;
            let last = last(&raw.db)?;
            let after = last.as_ref().map_or(0, |it| it.last_seq);
            let covered = Covered::of(&raw.db, &held.path, after, u64::MAX, MOST_READINGS)?;
            if covered.readings == 0 {
                self.sealed.insert(month, newest);
                continue;
            }
            let number = last.as_ref().map_or(1, |it| it.number + 1);
            let before = last.map_or(before, |it| it.hash);
            let hash = covered.hash(month, number, at_ms, &before);
            raw.db
                .execute(
                    "INSERT INTO seal (number, at_ms, last_seq, n, before, hash, signature)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        number,
                        at_ms,
                        covered.last_seq,
                        covered.readings,
                        before,
                        hash,
                        sign(&hash)
                    ],
                )
                .doing(DOING)?;
            self.sealed.insert(month, covered.last_seq);
            return Ok(Some(covered.readings));
        }
        Ok(None)
    }

    /// The last hash of the month before `month` that has one.
    fn hash_before(&mut self, month: Month) -> Result<[u8; 32], StoreError> {
        let state = self.state();
        for held in state.files.iter().rev().filter(|it| it.month < month) {
            if let Some(seal) = last(&self.raw(held.month)?.db)? {
                return Ok(seal.hash);
            }
        }
        Ok(NOTHING)
    }
}

/// The seals of the raw file `path`, each with whether it holds. Reads all of it.
///
/// # Errors
///
/// If the file cannot be read at all. What is damaged in it is a fault of the seals that cover it.
pub fn seals(path: &Path) -> Result<Sealed, StoreError> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let foreign = || StoreError::Foreign { column: "file name", found: file.clone() };
    let month: Month = file.parse().map_err(|()| foreign())?;
    let db = files::open_to_read(path)?;
    let mut sealed = Sealed { file, ..Sealed::default() };
    let mut after = 0;
    let mut known: Option<[u8; 32]> = None;
    for (mut seal, before) in all(&db)? {
        let covered = Covered::of(&db, path, after, seal.last_seq, u64::MAX);
        sealed.recalled += covered.as_ref().map_or(0, |it| it.recalled);
        seal.fault = match covered {
            Err(error) => Some(error.to_string()),
            Ok(_) if known.is_some_and(|known| known != before) => {
                Some("it does not go on from the one before it".to_owned())
            }
            Ok(covered) if covered.readings != seal.readings => {
                let (there, all, back) = (covered.readings, seal.readings, covered.recalled);
                let mut fault = format!("{there} of {all} readings are there");
                if back > 0 {
                    let _ = write!(fault, ", and {back} that came back from the portfolio");
                }
                Some(fault)
            }
            Ok(covered) => {
                let again = covered.hash(month, seal.number, seal.at_ms, &before);
                let differs = again != seal.hash || covered.last_seq != seal.last_seq;
                differs.then(|| "its readings are not those that were sealed".to_owned())
            }
        };
        (after, known) = (seal.last_seq, Some(seal.hash));
        sealed.seals.push(seal);
    }
    if let Ok(rest) = Covered::of(&db, path, after, u64::MAX, u64::MAX) {
        sealed.unsealed = rest.readings;
        sealed.recalled += rest.recalled;
    }
    Ok(sealed)
}

/// The raw files in `dir`, by month.
///
/// # Errors
///
/// If `dir` cannot be listed.
pub fn raw_files(dir: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    Ok(Month::all_in(dir)?.into_iter().map(|month| month.path(dir)).collect())
}

fn last(db: &Connection) -> Result<Option<Seal>, StoreError> {
    db.query_row("SELECT * FROM seal ORDER BY number DESC LIMIT 1", [], read)
        .optional()
        .map(|it| it.map(|(seal, _)| seal))
        .doing(DOING)
}

fn all(db: &Connection) -> Result<Vec<(Seal, [u8; 32])>, StoreError> {
    const DOING: &str = "read seals";
    // A file that only an older version wrote has none.
    let there = db.table_exists(None, "seal").doing(DOING)?;
    if !there {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare("SELECT * FROM seal ORDER BY number").doing(DOING)?;
    let rows = statement.query_map([], read).doing(DOING)?;
    rows.collect::<rusqlite::Result<_>>().doing(DOING)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Seal, [u8; 32])> {
    let seal = Seal {
        number: row.get("number")?,
        at_ms: row.get("at_ms")?,
        last_seq: row.get("last_seq")?,
        readings: row.get("n")?,
        hash: row.get("hash")?,
        signature: row.get("signature")?,
        fault: None,
    };
    Ok((seal, row.get("before")?))
}

/// The readings under a seal.
struct Covered {
    readings: u64,
    /// Those among them that came back from the portfolio, which it does not cover.
    recalled: u64,
    last_seq: u64,
    content: Sha256,
}

impl Covered {
    /// Those with numbers behind `after`, up to `until`, and about `most` at most.
    fn of(
        db: &Connection,
        path: &Path,
        after: u64,
        until: u64,
        most: u64,
    ) -> Result<Self, StoreError> {
        let (readings, recalled, last_seq) = (0, 0, after);
        let mut covered = Self { readings, recalled, last_seq, content: Sha256::new() };
        let mut series = BTreeSet::new();
        chunk::pieces_from(db, path, after.saturating_add(1), |next| {
            let Next::Piece(piece) = next else { return Ok(true) };
            for (seq, entry) in (piece.first_seq..).zip(&piece.entries) {
                if seq <= after {
                    continue;
                }
                if seq > until {
                    return Ok(false);
                }
                if piece.boot_id == RECALLED {
                    covered.recalled += 1;
                    continue;
                }
                covered.content.update(bytes_of(seq, piece.boot_id, piece.imported, entry));
                series.insert(entry.series);
                covered.readings += 1;
                covered.last_seq = seq;
            }
            Ok(covered.readings < most && covered.last_seq < until)
        })?;
        covered.content.update(meaning(db, &series)?);
        Ok(covered)
    }

    fn hash(&self, month: Month, number: u64, at_ms: i64, before: &[u8; 32]) -> [u8; 32] {
        let head = format!(
            "fyrhus readings, seal 1\n{}\n{number}\n{at_ms}\n{}\n{}\n",
            month.path(Path::new("")).display(),
            self.last_seq,
            self.readings
        );
        let mut hash = Sha256::new_with_prefix(head);
        hash.update(before);
        hash.update(self.content.clone().finalize());
        hash.finalize().into()
    }
}

/// A reading as it is hashed: every part in its place, highest byte first.
fn bytes_of(seq: u64, boot_id: u128, imported: bool, entry: &Entry) -> [u8; 66] {
    let Entry { series, at_ms, boottime_ms, cycle, trust, quality, origin, value } = *entry;
    let told = [
        u8::from(imported),
        trust.map_or(u8::MAX, Trust::code),
        quality.code(),
        origin.code(),
        value.err().map_or(0, NoReading::code),
        0,
    ];
    let mut bytes = [0; 66];
    let parts = (seq.to_be_bytes().into_iter())
        .chain(series.to_be_bytes())
        .chain(at_ms.to_be_bytes())
        .chain(boottime_ms.to_be_bytes())
        .chain(cycle.to_be_bytes())
        .chain(boot_id.to_be_bytes())
        .chain(value.unwrap_or(0).to_be_bytes())
        .chain(told);
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    bytes
}

/// What the series mean: a line for each, by number.
fn meaning(db: &Connection, series: &BTreeSet<u32>) -> Result<String, StoreError> {
    let mut text = String::new();
    for info in read_series(db)?.series {
        if series.contains(&info.series.get()) {
            let (unit, decimals) = (info.resolution.unit(), info.resolution.decimals());
            let (number, meter, register) = (info.series, info.meter, &info.register);
            // A string takes all that is written.
            let _ = writeln!(text, "{number} {meter} {register} {} {decimals}", unit.code());
        }
    }
    Ok(text)
}
