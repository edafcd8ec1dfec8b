//! The evidence file: a ledger, who signed it, and what follows from it, in one archive.
//!
//! ```text
//! fyrhus-evidence-2026-11/
//!   manifest.txt         the SHA-256 of every other file, as `sha256sum -c` wants it
//!   ledger.bin           every entry from the first on, each with its hash
//!   checkpoint-1.txt …   how far it was, signed, and countersigned by whoever has seen it
//!   keys.txt             whose keys these say they are; whom to believe is the reader's affair
//!   case.json            the month, as `fyrhus sla evaluate` takes it
//!   result.json          what it comes to
//!   statement.json       the statement
//!   statement.csv        its outages and exclusions
//!   statement.nb.pdf     the statement as a sheet, in bokmål and in English
//!   statement.en.pdf
//!   proof-HASH …        what stands behind exclusions and claims, as far as it was kept
//! ```
//!
//! Only the ledger and its checkpoints are believed, and these for their signatures. Everything
//! else is made again from them, and the whole archive with it, and has to be the same to the byte:
//! so there is no bit in the file that could be another.

mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use data_encoding::HEXLOWER;
use documents::NoPdf;
use ledger::book::{Book, Refused};
use ledger::chain::{Broken, Chain, segment};
use ledger::note::{Note, Verifier};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use statement::{Language, Place};

/// Documents that stand behind entries, by the SHA-256 of their bytes.
pub(crate) type Proofs = BTreeMap<[u8; 32], Vec<u8>>;

/// The hashes of all documents that entries in force name.
pub(crate) fn named(chain: &Chain) -> BTreeSet<[u8; 32]> {
    Book::new(chain.entries()).proofs().map(|proof| proof.sha256).collect()
}

/// The file for `month`, of a ledger that holds, with the checkpoints that were signed of it and the
/// documents that its entries name.
///
/// # Errors
///
/// [`NotMade`] if the ledger has no statement of that month.
pub(crate) fn file(
    chain: &Chain,
    notes: &[Note],
    proofs: &Proofs,
    month: &str,
) -> Result<Vec<u8>, NotMade> {
    let statement = Book::new(chain.entries()).statement(month)?;
    if statement.until <= statement.case.period.time().from() {
        return Err(NotMade::NotBegun(month.to_owned()));
    }
    let entries: Vec<Vec<u8>> =
        chain.entries().iter().map(ledger::entry::Entry::to_bytes).collect();
    let ledger = segment(chain.ledger(), entries.iter().map(Vec::as_slice));
    let json = |value: &Value| format!("{value:#}\n").into_bytes();
    let mut files = vec![("ledger.bin".to_owned(), ledger)];
    for (place, note) in (1..).zip(notes) {
        files.push((format!("checkpoint-{place}.txt"), note.to_string().into_bytes()));
    }
    let key =
        chain.key_at(chain.head().seq).and_then(|key| Verifier::new(&name(chain.ledger()), key));
    let keys = key.map(|key| format!("{key}\n")).unwrap_or_default();
    files.push(("keys.txt".to_owned(), keys.into_bytes()));
    files.push(("case.json".to_owned(), json(&statement::case(&statement))));
    files.push(("result.json".to_owned(), json(&statement::result(&statement))));
    files.push(("statement.json".to_owned(), json(&statement::statement(&statement))));
    let table = documents::csv(&statement::table(&statement));
    files.push(("statement.csv".to_owned(), table.into_bytes()));
    let place = Place { ledger: chain.ledger(), head: chain.head() };
    for language in Language::ALL {
        let sheet = documents::pdf(&statement::sheet(&statement, place, language))?;
        files.push((format!("statement.{}.pdf", language.as_str()), sheet));
    }
    for sha256 in named(chain) {
        let kept = proofs.get(&sha256).cloned();
        files.extend(kept.map(|bytes| (format!("{PROOF}{}", HEXLOWER.encode(&sha256)), bytes)));
    }

    Ok(archive(files, &format!("{FOLDER}{month}")))
}

/// Files in one folder, with the manifest before them.
fn archive(files: Vec<(String, Vec<u8>)>, folder: &str) -> Vec<u8> {
    let sums = files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", HEXLOWER.encode(&Sha256::digest(bytes))));
    let manifest = ("manifest.txt".to_owned(), sums.collect::<String>().into_bytes());
    let all = std::iter::once(manifest).chain(files);
    let all: Vec<_> = all.map(|(name, bytes)| (format!("{folder}/{name}"), bytes)).collect();
    tar::write(&all)
}

/// Why there is no evidence file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotMade {
    /// The ledger has no statement of the month.
    #[error("{0}")]
    Refused(Refused),
    /// The ledger says nothing of the month yet: what was not measured would be told as kept.
    #[error("the ledger says nothing of {0} yet")]
    NotBegun(String),
    /// The sheets cannot be written.
    #[error("{0}")]
    Sheet(NoPdf),
}

impl From<Refused> for NotMade {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<NoPdf> for NotMade {
    fn from(no_pdf: NoPdf) -> Self {
        Self::Sheet(no_pdf)
    }
}

/// What was asked of a file, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) holds: bool,
    /// What was found, as a sentence.
    pub(crate) found: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", if self.holds { "PASS" } else { "FAIL" }, self.found)
    }
}

fn pass(found: impl Into<String>) -> Check {
    Check { holds: true, found: found.into() }
}

fn fail(found: impl Into<String>) -> Check {
    Check { holds: false, found: found.into() }
}

/// Asks of an evidence file whether it holds, by the keys that are believed. The first one that does
/// not hold is the last one that is asked, where nothing after it could be.
pub(crate) fn checks(file: &[u8], trust: &[Verifier]) -> Vec<Check> {
    let mut checks = Vec::new();
    let Some(files) = tar::read(file) else { return vec![fail("this is no evidence file")] };
    let find = |name: &str| {
        let ends = |full: &str| full.rsplit_once('/').is_some_and(|(_, it)| it == name);
        files.iter().find(|(full, _)| ends(full)).map(|(_, bytes)| bytes.as_slice())
    };
    checks.push(manifest(&files));

    let ledger = find("ledger.bin").ok_or_else(|| fail("there is no ledger.bin in it"));
    let chain = ledger.and_then(|ledger| {
        Chain::read_segment(ledger)
            .map_err(|Broken { seq, why }| fail(format!("entry {seq} of the ledger: {why}")))
    });
    let chain = match chain {
        Ok(chain) => chain,
        Err(check) => {
            checks.push(check);
            return checks;
        }
    };
    let last = chain.head().seq;
    checks.push(pass(format!("the ledger's {last} entries follow from each other")));

    let notes: Vec<Note> = (1..)
        .map_while(|place: u32| find(&format!("checkpoint-{place}.txt")))
        .filter_map(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok())
        .collect();
    checks.extend(signatures(&chain, &notes, trust));
    let proofs = proofs(&files);
    checks.extend(documents_of(&chain, &proofs));

    let book = Book::new(chain.entries());
    checks.push(match book.first_wrong_statement() {
        None => pass("every statement in the ledger follows from the entries before it"),
        Some(seq) => fail(format!(
            "entry {seq} of the ledger: its figures do not follow from those before it"
        )),
    });

    let month = files.first().and_then(|(name, _)| name.strip_prefix(FOLDER)?.get(..7));
    let again = month.map(|month| self::file(&chain, &notes, &proofs, month));
    checks.push(match again {
        None => fail("the file does not say of which month it is"),
        Some(Err(refused)) => fail(format!("no statement follows from the ledger: {refused}")),
        Some(Ok(again)) if again == file => {
            pass("case, result and statement follow from the ledger, to the byte")
        }
        Some(Ok(again)) => fail(difference(&files, &again)),
    });
    checks
}

/// Which of the documents that entries name are not in the file: the ledger has their hashes alone. They
/// need not be, for nobody keeps them for ever, but who reads the file has to know.
fn documents_of(chain: &Chain, proofs: &Proofs) -> Option<Check> {
    let book = Book::new(chain.entries());
    let named: BTreeMap<_, _> = book.proofs().map(|it| (it.sha256, it.name.as_str())).collect();
    let missing = named.iter().filter(|(sha256, _)| !proofs.contains_key(*sha256));
    let missing: Vec<String> = missing
        .map(|(sha256, name)| format!("{name} (SHA-256 {})", HEXLOWER.encode(sha256)))
        .collect();
    if named.is_empty() {
        return None;
    }
    let (all, here) = (named.len(), named.len() - missing.len());
    Some(pass(if missing.is_empty() {
        format!("all documents that entries name are in the file: {all}")
    } else {
        let missing = missing.join(", ");
        format!("of {all} documents that entries name {here} are in the file; not in it: {missing}")
    }))
}

/// The documents in an archive whose names are the hashes of their bytes.
fn proofs(files: &[(String, Vec<u8>)]) -> Proofs {
    let hash = |(name, bytes): &(String, Vec<u8>)| {
        let (_, name) = name.rsplit_once('/')?;
        let said = HEXLOWER.decode(name.strip_prefix(PROOF)?.as_bytes()).ok()?;
        let found: [u8; 32] = Sha256::digest(bytes).into();
        (said == found).then(|| (found, bytes.clone()))
    };
    files.iter().filter_map(hash).collect()
}

/// The sentence of the month, for whoever has a file that holds.
pub(crate) fn summary(file: &[u8]) -> Option<String> {
    let files = tar::read(file)?;
    let statement = files.iter().find(|(name, _)| name.ends_with("/statement.json"))?;
    let statement: Value = serde_json::from_slice(&statement.1).ok()?;
    let at = |place: &str| statement.pointer(place);
    Some(format!(
        "{}, {}: uptime {} % ({}/{} s), credit {} %, {} øre if claimed in time, {} øre due",
        at("/line")?.as_str()?,
        at("/result/month")?.as_str()?,
        at("/result/uptime/percent")?.as_str()?,
        at("/result/uptime/num_s")?,
        at("/result/uptime/den_s")?,
        at("/result/tier")?,
        at("/result/credit/claimable_ore")?,
        at("/result/credit/due_ore")?,
    ))
}

fn manifest(files: &[(String, Vec<u8>)]) -> Check {
    let Some(((name, manifest), others)) = files.split_first() else {
        return fail("the file is empty");
    };
    if !name.ends_with("/manifest.txt") {
        return fail("there is no manifest.txt at its beginning");
    }
    let listed = String::from_utf8_lossy(manifest);
    let mut lines = listed.lines();
    for (full, bytes) in others {
        let name = full.rsplit_once('/').map_or(full.as_str(), |(_, name)| name);
        let line = format!("{}  {name}", HEXLOWER.encode(&Sha256::digest(bytes)));
        if lines.next() != Some(line.as_str()) {
            return fail(format!("{name} is not the file that the manifest lists"));
        }
    }
    match lines.next() {
        Some(_) => fail("the manifest lists a file that is not there"),
        None => pass(format!("{} files are those of the manifest", others.len())),
    }
}

/// Each checkpoint is of this ledger; the last entry is signed with its own key, and somebody that
/// is believed says whose key that is; and how far whoever else is believed has seen it.
fn signatures(chain: &Chain, notes: &[Note], trust: &[Verifier]) -> Vec<Check> {
    let mut checks = Vec::new();
    let last = chain.head().seq;
    let of_chain = |note: &&Note| {
        let checkpoint = &note.checkpoint;
        checkpoint.ledger == chain.ledger()
            && chain.head_at(checkpoint.head.seq) == Some(checkpoint.head)
    };
    if let Some(note) = notes.iter().find(|note| !of_chain(note)) {
        let seq = note.checkpoint.head.seq;
        let good = notes.iter().filter(of_chain).map(|note| note.checkpoint.head.seq);
        let from = good.filter(|good| *good < seq).max().unwrap_or(0) + 1;
        return vec![fail(format!(
            "the checkpoint at entry {seq} is of another ledger: an entry from {from} on is not \
             what was signed"
        ))];
    }
    let forged =
        notes.iter().find_map(|note| Some((note, trust.iter().find(|it| note.is_forged(it))?)));
    if let Some((note, by)) = forged {
        let (seq, name) = (note.checkpoint.head.seq, by.name());
        return vec![fail(format!(
            "the checkpoint at entry {seq} is not signed by {name}, as it says"
        ))];
    }
    let writes = |note: &&Note| {
        let key = chain.key_at(note.checkpoint.head.seq);
        key.and_then(|key| Verifier::new(&name(chain.ledger()), key))
            .is_some_and(|writer| note.is_signed(&writer))
    };
    if let Some(note) = notes.iter().find(|note| !writes(note)) {
        let seq = note.checkpoint.head.seq;
        return vec![fail(format!(
            "the checkpoint at entry {seq} is not signed with the ledger's own key"
        ))];
    }
    // Each key signed the one after it: who believes one believes those that follow.
    let own = |note: &Note| {
        let ours = name(chain.ledger());
        let until = note.checkpoint.head.seq;
        let led_here = |it: &&Verifier| {
            let mut keys = chain.keys().take_while(|(from, _)| *from <= until);
            it.name() == ours && keys.any(|(_, key)| key == it.key())
        };
        trust.iter().find(led_here)
    };
    let signed = notes.iter().filter(|note| own(note).is_some());
    match signed.map(|note| note.checkpoint.head.seq).max() {
        Some(seq) if seq == last => checks.push(pass(format!(
            "entry {last}, the last, is signed by {}",
            notes.iter().find_map(own).map_or("", Verifier::name)
        ))),
        Some(seq) => checks.push(fail(format!(
            "entry {}: nobody signed it, and none after it; the signature is of entry {seq}",
            seq + 1
        ))),
        None => checks.push(fail(
            "entry 1: no checkpoint is signed with a key that is believed (see --trust)",
        )),
    }
    let keys: Vec<[u8; 32]> = chain.keys().map(|(_, key)| key).collect();
    if keys.len() > 1 {
        let at: Vec<String> = chain.keys().skip(1).map(|(from, _)| from.to_string()).collect();
        let at = at.join(", ");
        checks.push(pass(format!(
            "the key was changed at entry {at}, each time signed by the one before"
        )));
    }
    for other in trust.iter().filter(|it| !keys.contains(&it.key())) {
        let seen = notes.iter().filter(|note| note.is_signed(other));
        checks.push(match seen.map(|note| note.checkpoint.head.seq).max() {
            Some(seq) => pass(format!("{} has countersigned entry {seq} of {last}", other.name())),
            None => fail(format!("{} has countersigned nothing", other.name())),
        });
    }
    checks
}

/// The first file of an archive that is not what it has to be.
fn difference(files: &[(String, Vec<u8>)], again: &[u8]) -> String {
    let again = tar::read(again).unwrap_or_default();
    let other = files.iter().zip(&again).find(|(found, expected)| found != expected);
    match other {
        Some(((name, _), (_, expected))) if files.iter().any(|(_, bytes)| bytes == expected) => {
            format!("{name} is not where it belongs")
        }
        Some(((name, _), _)) => format!("{name} does not follow from the ledger"),
        None if files.len() != again.len() => "a file is missing or too many".to_owned(),
        None => "the archive itself was changed, beside its files".to_owned(),
    }
}

/// What the writer of a ledger is called in checkpoints.
pub(crate) fn name(ledger: [u8; 16]) -> String {
    format!("gateway-{}", uuid::Uuid::from_bytes(ledger))
}

const PROOF: &str = "proof-";

const FOLDER: &str = "fyrhus-evidence-";

#[cfg(test)]
mod tests;
