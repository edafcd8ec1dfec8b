//! What proves that the versions of the configuration and the audit log are what was written.
//!
//! ```text
//! audit     1 ─▶ 2 ─▶ 3 ─▶ … ─▶ 4711 ─▶ 4712      each row's hash is over its columns and the hash before
//! version   1 ─▶ 2 ─▶ … ─▶ 12               │      from the first that was signed on ✎ each by the device
//!                          └──── head ✎ ────┘      the newest of both, every few minutes
//! ```
//!
//! A row carries the hash before it, so that the oldest ones of the log may go. Rows that are older than the
//! chains were chained when they began: then an entry of the log, `chained`, says which those are, and such a
//! version says in its hash that nobody signed it.
//!
//! Who signs is the caller's affair: no key is known here.
//!
//! **Never true:** a row that was changed, added, taken out or moved under a signed head that is still there
//! is proven. Where none is, or more came behind it than the log keeps, what is there is signed (record 71).

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use sha2::{Digest as _, Sha256};

use crate::core_db::{AuditEntry, Core, MOST_AUDIT, Version};
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files;
use crate::seal::Sign;

/// The versions and the log, as far as they are proven without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Every version, in their order.
    pub versions: Vec<VersionProof>,
    /// The log.
    pub audit: AuditProof,
    /// What was signed last of both.
    pub head: Option<Head>,
}

/// A version, and whether it is what was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionProof {
    /// Its number.
    pub number: i64,
    /// When it was saved, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is signed.
    pub hash: Vec<u8>,
    /// By the device; `None` of those that are older than signatures.
    pub signature: Option<Vec<u8>>,
    /// Why it does not hold, whoever signed it.
    pub fault: Option<String>,
}

/// The log, and where it is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditProof {
    /// How many entries are there.
    pub entries: u64,
    /// The number of the oldest one; 0 if there is none.
    pub first: i64,
    /// The number of the newest one; 0 if there is none.
    pub newest: i64,
    /// The hash of the newest one.
    pub hash: Vec<u8>,
    /// The first entry that is not what was written.
    pub fault: Option<Fault>,
}

/// An entry that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number.
    pub number: i64,
    /// Its time, in milliseconds since 1970.
    pub at_ms: i64,
    /// In a sentence without its beginning: `it is not what was written`.
    pub why: String,
}

/// The newest version and the newest entry of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of which moment, in milliseconds since 1970.
    pub at_ms: i64,
    /// The number of the entry; 0 if there was none.
    pub audit: i64,
    /// The number of the version; 0 if there was none.
    pub version: i64,
    /// What is signed.
    pub hash: Vec<u8>,
    /// By the device.
    pub signature: Vec<u8>,
    /// Why it does not hold, whoever signed it.
    pub fault: Option<String>,
}

/// Before the first row.
pub(crate) const NOTHING: [u8; 32] = [0; 32];

const DOING: &str = "prove the history";

/// The core database's migration that chains what is there.
pub(crate) const CHAINED_BY: usize = 10;

impl Version {
    /// Its hash as it follows from the rest of it.
    pub fn hash_again(&self) -> [u8; 32] {
        let Self { number, at_ms, who, why, text, before, signature, .. } = self;
        let how = if signature.is_some() { "signed" } else { "chained later" };
        let mut hash = Sha256::new_with_prefix(format!(
            "fyrhus configuration, version 1\n{number}\n{at_ms}\n{how}\n"
        ));
        for part in [before, who.as_bytes(), why.as_bytes(), &Sha256::digest(text)] {
            add(&mut hash, part);
        }
        hash.finalize().into()
    }
}

impl AuditEntry {
    /// Its hash after the hash `before` it.
    pub(crate) fn hash(&self, before: &[u8]) -> [u8; 32] {
        let Self { number, at_ms, who, what, detail } = self;
        let mut hash =
            Sha256::new_with_prefix(format!("fyrhus audit log, entry 1\n{number}\n{at_ms}\n"));
        for part in [before, who.as_bytes(), what.as_bytes(), detail.as_bytes()] {
            add(&mut hash, part);
        }
        hash.finalize().into()
    }
}

/// With its length, so that no two rows are the same bytes.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(part);
}

impl Head {
    fn hash_again(&self, audit: &[u8], version: &[u8]) -> [u8; 32] {
        let Self { at_ms, audit: entry, version: saved, .. } = self;
        let mut hash =
            Sha256::new_with_prefix(format!("fyrhus history, head 1\n{at_ms}\n{entry}\n{saved}\n"));
        add(&mut hash, audit);
        add(&mut hash, version);
        hash.finalize().into()
    }
}

/// Writes an entry behind the newest one, and says which number it has.
pub(crate) fn append_audit(
    db: &Connection,
    at_ms: i64,
    [who, what, detail]: [String; 3],
) -> rusqlite::Result<i64> {
    let (last, before) = newest(db, "audit")?;
    let number = u64::try_from(last).unwrap_or_default() + 1;
    let entry = AuditEntry { number, at_ms, who, what, detail };
    let hash = entry.hash(&before);
    let AuditEntry { who, what, detail, .. } = entry;
    db.prepare_cached(
        "INSERT INTO audit (number, at_ms, who, what, detail, before, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![number, at_ms, who, what, detail, before, hash])?;
    Ok(number.cast_signed())
}

/// Chains the version behind the newest one, and has it signed; its number is that of its place.
pub(crate) fn append_version(
    db: &Connection,
    mut version: Version,
    sign: &Sign,
) -> rusqlite::Result<()> {
    version.before = newest(db, "version")?.1;
    version.signature = Some(Vec::new());
    let hash = version.hash_again();
    let Version { number, at_ms, who, why, text, before, .. } = version;
    db.execute(
        "INSERT INTO version (number, at_ms, who, why, text, before, hash, signature)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![number, at_ms, who, why, text, before, hash, sign(&hash)],
    )?;
    Ok(())
}

/// The number and the hash of the newest row.
fn newest(db: &Connection, table: &'static str) -> rusqlite::Result<(i64, Vec<u8>)> {
    let sql = format!("SELECT number, hash FROM {table} ORDER BY number DESC LIMIT 1");
    let row = db.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row.optional()?.unwrap_or((0, NOTHING.to_vec())))
}

/// Chains the rows that are there already, and writes into the log which those are. In the transaction of the
/// migration that makes the columns, so that it is done once.
pub(crate) fn begin(db: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut told = Vec::new();
    let mut before = NOTHING;
    let mut next = db.prepare("SELECT * FROM audit WHERE number > ?1 ORDER BY number LIMIT 1")?;
    let mut put = db.prepare("UPDATE audit SET before = ?2, hash = ?3 WHERE number = ?1")?;
    let mut last = i64::MIN;
    let mut first = None;
    while let Some(entry) = next.query_row([last], read_entry).optional()? {
        let hash = entry.hash(&before);
        last = entry.number.cast_signed();
        first.get_or_insert(last);
        put.execute(params![last, before, hash])?;
        before = hash;
    }
    told.extend(first.map(|first| format!("entries {first} to {last}")));

    let mut before = NOTHING.to_vec();
    let mut next = db.prepare("SELECT * FROM version WHERE number > ?1 ORDER BY number LIMIT 1")?;
    let mut put = db.prepare("UPDATE version SET before = ?2, hash = ?3 WHERE number = ?1")?;
    let (mut last, mut first) = (i64::MIN, None);
    while let Some(mut version) = next.query_row([last], read_version).optional()? {
        version.before = before;
        let hash = version.hash_again();
        last = version.number.cast_signed();
        first.get_or_insert(last);
        put.execute(params![last, version.before, hash])?;
        before = hash.to_vec();
    }
    told.extend(first.map(|first| format!("versions {first} to {last}")));

    if !told.is_empty() {
        let now = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
        let now = db.query_row(now, [], |row| row.get(0))?;
        let mark = ["gateway".to_owned(), "chained".to_owned(), told.join(", ")];
        append_audit(db, now, mark)?;
    }
    Ok(())
}

impl Engine {
    /// Has the newest version and the newest entry signed, if they are not yet.
    ///
    /// If what was signed the last time is not there any more, nothing is signed: the old head is what tells.
    pub(crate) fn sign_history(&mut self, sign: &Arc<Sign>) -> Result<bool, StoreError> {
        let at_ms = self.clock.now().wall_ms();
        let transaction = self.core.transaction().doing(DOING)?;
        let signed = sign_newest(&transaction, at_ms, sign).doing(DOING)?;
        transaction.commit().doing(DOING)?;
        Ok(signed)
    }
}

fn sign_newest(db: &Connection, at_ms: i64, sign: &Arc<Sign>) -> rusqlite::Result<bool> {
    let (audit, audit_hash) = newest(db, "audit")?;
    let (version, version_hash) = newest(db, "version")?;
    if let Some(old) = read_head(db)? {
        let oldest: Option<i64> =
            db.query_row("SELECT MIN(number) FROM audit", [], |row| row.get(0))?;
        let gone = oldest.is_some_and(|oldest| oldest > old.audit);
        if (old.audit, old.version) == (audit, version) || (old.fault.is_some() && !gone) {
            return Ok(false);
        }
    } else if (audit, version) == (0, 0) {
        return Ok(false);
    }
    let (hash, signature) = (Vec::new(), Vec::new());
    let head = Head { at_ms, audit, version, hash, signature, fault: None };
    let hash = head.hash_again(&audit_hash, &version_hash);
    db.execute(
        "INSERT OR REPLACE INTO head (only, at_ms, audit, version, hash, signature)
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![at_ms, audit, version, hash, sign(&hash)],
    )?;
    Ok(true)
}

/// What was signed last, and whether it is still there.
fn read_head(db: &Connection) -> rusqlite::Result<Option<Head>> {
    let read = |row: &Row<'_>| {
        Ok(Head {
            at_ms: row.get("at_ms")?,
            audit: row.get("audit")?,
            version: row.get("version")?,
            hash: row.get("hash")?,
            signature: row.get("signature")?,
            fault: None,
        })
    };
    let head = db.query_row("SELECT * FROM head", [], read).optional()?;
    let Some(mut head) = head else { return Ok(None) };
    let hash_of = |table: &str, number: i64| -> rusqlite::Result<Option<Vec<u8>>> {
        if number == 0 {
            return Ok(Some(NOTHING.to_vec()));
        }
        let sql = format!("SELECT hash FROM {table} WHERE number = ?1");
        db.query_row(&sql, [number], |row| row.get(0)).optional()
    };
    let entry = hash_of("audit", head.audit)?;
    let version = hash_of("version", head.version)?;
    head.fault = match (entry, version) {
        (None, _) => Some(format!("entry {} of the log, which it covers, is gone", head.audit)),
        (_, None) => Some(format!("version {}, which it covers, is gone", head.version)),
        (Some(entry), Some(version)) if head.hash_again(&entry, &version)[..] != head.hash[..] => {
            Some("what it covers is not what was signed".to_owned())
        }
        _ => None,
    };
    Ok(Some(head))
}

/// The versions and the log, each row with whether it holds. Reads all of them.
fn read(db: &Connection) -> rusqlite::Result<History> {
    let mut versions: Vec<VersionProof> = Vec::new();
    let mut is_signed = false;
    let mut statement = db.prepare("SELECT * FROM version ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get("number")?;
        let version = read_version(row).map(|it| (it.hash_again(), it));
        let before = versions.last();
        let (last, hash_before) =
            before.map_or((0, &NOTHING[..]), |it| (it.number, it.hash.as_slice()));
        let fault = match version {
            Err(error) => Some(error.to_string()),
            Ok((again, version)) if again[..] != version.hash[..] => {
                Some("it is not what was saved".to_owned())
            }
            Ok(_) if number != last.saturating_add(1) => Some(MISSING.to_owned()),
            Ok((_, version)) if version.before != hash_before => Some(BROKEN.to_owned()),
            // Since signatures began every version has one: this was not saved by the gateway.
            Ok((_, version)) if is_signed && version.signature.is_none() => {
                Some(UNSIGNED.to_owned())
            }
            Ok(_) => None,
        };
        let signature: Option<Vec<u8>> = row.get("signature")?;
        is_signed |= signature.is_some();
        versions.push(VersionProof {
            number,
            at_ms: row.get("at_ms")?,
            hash: row.get("hash")?,
            signature,
            fault,
        });
    }
    Ok(History { versions, audit: read_audit(db)?, head: read_head(db)? })
}

fn read_audit(db: &Connection) -> rusqlite::Result<AuditProof> {
    let mut proof = AuditProof { hash: NOTHING.to_vec(), ..AuditProof::default() };
    let newest: i64 =
        db.query_row("SELECT COALESCE(MAX(number), 0) FROM audit", [], |row| row.get(0))?;
    let mut statement = db.prepare("SELECT * FROM audit ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, at_ms): (i64, i64) = (row.get("number")?, row.get("at_ms")?);
        let (before, hash): (Vec<u8>, Vec<u8>) = (row.get("before")?, row.get("hash")?);
        let entry = read_entry(row);
        let is_first = proof.entries == 0;
        // The oldest go when there are too many, and not before.
        let may_begin = number == 1 || number <= newest.saturating_sub(MOST_AUDIT - 1);
        let why = match entry {
            Err(error) => Some(error.to_string()),
            Ok(entry) if entry.hash(&before)[..] != hash[..] => {
                Some("it is not what was written".to_owned())
            }
            Ok(_) if is_first && !may_begin => Some(MISSING.to_owned()),
            Ok(_) if is_first && number == 1 && before != NOTHING => Some(BROKEN.to_owned()),
            Ok(_) if !is_first && number != proof.newest.saturating_add(1) => {
                Some(MISSING.to_owned())
            }
            Ok(_) if !is_first && before != proof.hash => Some(BROKEN.to_owned()),
            Ok(_) => None,
        };
        if let (None, Some(why)) = (&proof.fault, why) {
            proof.fault = Some(Fault { number, at_ms, why });
        }
        if is_first {
            proof.first = number;
        }
        proof.entries += 1;
        (proof.newest, proof.hash) = (number, hash);
    }
    Ok(proof)
}

const MISSING: &str = "what was before it is missing";
const BROKEN: &str = "it does not go on from the one before it";
const UNSIGNED: &str = "nobody signed it, though one before it is signed";

pub(crate) fn read_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        number: row.get("number")?,
        at_ms: row.get("at_ms")?,
        who: row.get("who")?,
        what: row.get("what")?,
        detail: row.get("detail")?,
    })
}

pub(crate) fn read_version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        number: row.get("number")?,
        at_ms: row.get("at_ms")?,
        who: row.get("who")?,
        why: row.get("why")?,
        text: row.get("text")?,
        before: row.get("before")?,
        hash: row.get("hash")?,
        signature: row.get("signature")?,
    })
}

impl Core {
    /// What proves the versions and the log.
    pub async fn history(&self) -> Result<History, StoreError> {
        self.ask(DOING, read).await
    }
}

/// What proves the versions and the log of the store in `dir`, also beside a gateway that runs; `None` if no
/// version of the program has opened it yet that chains them.
///
/// # Errors
///
/// If core.db cannot be read.
pub fn history(dir: &Path) -> Result<Option<History>, StoreError> {
    let Some(db) = chained(dir)? else { return Ok(None) };
    read(&db).doing(DOING).map(Some)
}

/// A version of the store in `dir`, also beside a gateway that runs.
///
/// # Errors
///
/// If core.db cannot be read.
pub fn saved_version(dir: &Path, number: u64) -> Result<Option<Version>, StoreError> {
    let Some(db) = chained(dir)? else { return Ok(None) };
    let sql = "SELECT * FROM version WHERE number = ?1";
    db.query_row(sql, [number.min(i64::MAX.cast_unsigned())], read_version).optional().doing(DOING)
}

fn chained(dir: &Path) -> Result<Option<Connection>, StoreError> {
    let db = files::open_to_read(&files::core_path(dir))?;
    Ok((files::version(&db)? >= CHAINED_BY).then_some(db))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::testing::{FixedClock, KnownDay, MIDNIGHT_MS, empty, open, sign};

    /// Three versions and three entries, the newest of both signed.
    async fn written() -> KnownDay {
        let day = empty().unwrap();
        let core = day.store.core();
        for text in ["a", "b", "c"] {
            let (who, why) = ("kari".to_owned(), "a reason".to_owned());
            core.save_version(text.to_owned(), who, why, None, sign()).await.unwrap();
            core.audit("kari".to_owned(), "login".to_owned(), text.to_owned()).await.unwrap();
        }
        assert!(day.store.writer().sign_history(sign()).await.unwrap());
        assert!(!day.store.writer().sign_history(sign()).await.unwrap(), "nothing is new");
        day
    }

    /// Every fault, as a sentence.
    fn faults(history: &History) -> Vec<String> {
        let mut found = Vec::new();
        for VersionProof { number, hash, signature, fault, .. } in &history.versions {
            let signed = signature.as_ref().is_none_or(|it| it[..] == sign()(&sized(hash))[..]);
            let unsigned = (!signed).then(|| "the signature".to_owned());
            found.extend(fault.clone().or(unsigned).map(|why| format!("version {number}: {why}")));
        }
        let audit = history.audit.fault.iter();
        found.extend(audit.map(|Fault { number, why, .. }| format!("entry {number}: {why}")));
        match &history.head {
            None => found.push("no head".to_owned()),
            Some(Head { fault: Some(why), .. }) => found.push(format!("head: {why}")),
            Some(head) if head.signature[..] != sign()(&sized(&head.hash))[..] => {
                found.push("head: the signature".to_owned());
            }
            Some(_) => {}
        }
        found
    }

    fn sized(hash: &[u8]) -> [u8; 32] {
        let mut sized = [0; 32];
        sized.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        sized
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    /// What is seen of a copy of the file that somebody has changed.
    fn after(core: &[u8], sql: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(files::core_path(dir.path()), core).unwrap();
        let db = Connection::open(files::core_path(dir.path())).unwrap();
        assert!(db.execute(sql, []).unwrap() > 0, "{sql} changes nothing");
        drop(db);
        faults(&history(dir.path()).unwrap().unwrap())
    }

    #[tokio::test]
    async fn what_is_as_it_was_written_holds_and_is_found_again() {
        let KnownDay { store, dir, .. } = written().await;
        let told = store.core().history().await.unwrap();
        assert_eq!(faults(&told), [""; 0]);
        assert_eq!((told.audit.first, told.audit.newest, told.audit.entries), (1, 3, 3));
        store.close().unwrap();
        assert_eq!(history(dir.path()).unwrap().unwrap(), told);
        let version = saved_version(dir.path(), 2).unwrap().unwrap();
        assert_eq!((version.text.as_str(), &version.hash_again()[..]), ("b", &version.hash[..]));
        assert!(saved_version(dir.path(), u64::MAX).unwrap().is_none());
    }

    /// Each column of each row, whatever is put into it.
    #[tokio::test]
    async fn a_change_of_any_column_of_any_row_is_seen() {
        let KnownDay { store, dir, .. } = written().await;
        store.close().unwrap();
        let core = fs::read(files::core_path(dir.path())).unwrap();
        let after = |sql: &str| after(&core, sql);
        let columns = [
            ("version", &["at_ms", "who", "why", "text", "before", "hash", "signature"][..]),
            ("audit", &["at_ms", "who", "what", "detail", "before", "hash"]),
        ];
        for (table, columns) in columns {
            for row in 1..=3 {
                let name = if table == "audit" { "entry" } else { "version" };
                let first = format!("{name} {row}: ");
                for column in columns {
                    let other = match *column {
                        "at_ms" => "at_ms + 1",
                        "before" | "hash" | "signature" => "zeroblob(31)",
                        _ => "'other'",
                    };
                    let sql = format!("UPDATE {table} SET {column} = {other} WHERE number = {row}");
                    let seen = after(&sql);
                    assert!(seen[0].starts_with(&first), "{sql}: {seen:?}");
                }
                // One that is taken out is missed by the next, or by what was signed of all.
                let sql = format!("DELETE FROM {table} WHERE number = {row}");
                let seen = after(&sql);
                let by =
                    if row == 3 { "head: ".to_owned() } else { format!("{name} {}: ", row + 1) };
                assert!(seen[0].starts_with(&by), "{sql}: {seen:?}");
                let sql = format!("UPDATE {table} SET number = number + 7 WHERE number = {row}");
                assert!(!after(&sql).is_empty(), "{sql}");
            }
        }
        // One that is put behind the newest, chained as those are that are older than signatures.
        let newest = saved_version(dir.path(), 3).unwrap().unwrap();
        let put = Version { number: 4, before: newest.hash.clone(), signature: None, ..newest };
        let (before, hash) = (hex(&put.before), hex(&put.hash_again()));
        let sql = format!(
            "INSERT INTO version SELECT 4, at_ms, who, why, text, x'{before}', x'{hash}', NULL \
             FROM version WHERE number = 3"
        );
        assert_eq!(after(&sql), [format!("version 4: {UNSIGNED}")]);
        let first = "version 1: it is not what was saved";
        assert_eq!(after("UPDATE version SET signature = NULL WHERE number = 1"), [first]);
        for column in ["at_ms", "audit", "version", "hash", "signature"] {
            let other = match column {
                "hash" | "signature" => "zeroblob(64)".to_owned(),
                number => format!("{number} - 1"),
            };
            let seen = after(&format!("UPDATE head SET {column} = {other}"));
            assert!(seen[0].starts_with("head: "), "{column}: {seen:?}");
        }
        assert_eq!(after("DELETE FROM head"), ["no head"]);
    }

    /// Whoever makes the chain anew behind what they changed is seen by what was signed before.
    #[tokio::test]
    async fn a_log_that_is_chained_anew_is_seen_and_not_signed() {
        let KnownDay { store, dir, clock } = written().await;
        store.close().unwrap();
        let mut db = Connection::open(files::core_path(dir.path())).unwrap();
        let change = db.transaction().unwrap();
        change.execute("DELETE FROM audit WHERE number > 1", []).unwrap();
        for _ in 0..2 {
            let parts = ["ola".to_owned(), "login".to_owned(), String::new()];
            append_audit(&change, MIDNIGHT_MS, parts).unwrap();
        }
        change.commit().unwrap();
        drop(db);
        let (store, _) = open(dir.path(), &clock).unwrap();
        let seen = || async { faults(&store.core().history().await.unwrap()) };
        let expected = ["head: what it covers is not what was signed"];
        assert_eq!(seen().await, expected);
        // The gateway goes on, and the old signature goes on telling.
        store.core().audit("kari".into(), "login".into(), String::new()).await.unwrap();
        assert!(!store.writer().sign_history(sign()).await.unwrap());
        assert_eq!(seen().await, expected);
    }

    #[tokio::test]
    async fn the_oldest_entries_go_and_the_rest_holds() {
        let KnownDay { store, dir, clock } = written().await;
        store.close().unwrap();
        let mut db = Connection::open(files::core_path(dir.path())).unwrap();
        let many = db.transaction().unwrap();
        for _ in 3..MOST_AUDIT {
            let parts = ["kari".to_owned(), "login".to_owned(), String::new()];
            append_audit(&many, MIDNIGHT_MS, parts).unwrap();
        }
        many.commit().unwrap();
        drop(db);
        let (store, _) = open(dir.path(), &clock).unwrap();
        for _ in 0..2 {
            store.core().audit("kari".into(), "login".into(), String::new()).await.unwrap();
        }
        let told = store.core().history().await.unwrap();
        assert_eq!((told.audit.first, told.audit.newest), (3, MOST_AUDIT + 2));
        assert_eq!(faults(&told), [""; 0], "entry 3 is still under the signature");
        store.core().audit("kari".into(), "login".into(), String::new()).await.unwrap();
        assert!(store.writer().sign_history(sign()).await.unwrap(), "the signed one went in time");
        assert_eq!(faults(&store.core().history().await.unwrap()), [""; 0]);
        store.close().unwrap();
        // Whoever takes out more of them is seen.
        let db = Connection::open(files::core_path(dir.path())).unwrap();
        db.execute("DELETE FROM audit WHERE number < 10", []).unwrap();
        let seen = faults(&history(dir.path()).unwrap().unwrap());
        assert_eq!(seen, ["entry 10: what was before it is missing"]);
    }

    /// A core.db as that many migrations left it, with rows of that time.
    fn of_before(dir: &Path, migrations: usize) -> PathBuf {
        let path = files::core_path(dir);
        let db = Connection::open(&path).unwrap();
        for migration in &files::CORE.migrations[..migrations] {
            db.execute_batch(migration).unwrap();
        }
        db.pragma_update(None, "user_version", migrations).unwrap();
        db.execute_batch(
            "INSERT INTO version VALUES (1, 10, 'kari', 'first', 'a'), (2, 20, 'file', 'x', 'b');
             INSERT INTO audit VALUES (7, 10, 'kari', 'login', ''), (8, 20, 'ola', 'login', 'x'),
                                      (9, 30, 'kari', 'claim', '');
             DELETE FROM audit WHERE number = 7;",
        )
        .unwrap();
        path
    }

    #[tokio::test]
    async fn rows_of_every_version_before_are_chained_once_and_marked() {
        for migrations in 1..CHAINED_BY {
            let dir = tempfile::tempdir().unwrap();
            of_before(dir.path(), migrations);
            assert_eq!(history(dir.path()).unwrap(), None, "nothing is chained yet");
            let clock = FixedClock::at(MIDNIGHT_MS);
            let (store, report) = open(dir.path(), &clock).unwrap();
            assert_eq!(report.damaged, []);
            let mark = store.core().audit_log(None, 1).await.unwrap().pop().unwrap();
            assert_eq!(
                (mark.number, mark.who.as_str(), mark.what.as_str(), mark.detail.as_str()),
                (10, "gateway", "chained", "entries 8 to 9, versions 1 to 2")
            );
            let text = store.core().current_version().await.unwrap().unwrap().text;
            assert_eq!(text, "b");
            save(&store, "c").await;
            assert!(store.writer().sign_history(sign()).await.unwrap());
            store.close().unwrap();
            let (store, _) = open(dir.path(), &clock).unwrap();
            let told = store.core().history().await.unwrap();
            let signed: Vec<bool> = told.versions.iter().map(|it| it.signature.is_some()).collect();
            assert_eq!((signed, told.audit.entries), (vec![false, false, true], 3));
            // Seven entries are gone that were there before anything was chained.
            let missing = "entry 8: what was before it is missing";
            assert_eq!(faults(&told), [missing], "migration {migrations}");
        }
    }

    async fn save(store: &crate::Store, text: &str) {
        let core = store.core();
        core.save_version(text.into(), "kari".into(), "x".into(), None, sign()).await.unwrap();
    }

    /// The power goes before the transaction is whole: all of it is done at the next start.
    #[test]
    fn a_migration_that_is_cut_is_done_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = of_before(dir.path(), CHAINED_BY - 1);
        let mut db = Connection::open(&path).unwrap();
        let cut = db.transaction().unwrap();
        cut.execute_batch(files::CORE.migrations[CHAINED_BY - 1]).unwrap();
        begin(&cut).unwrap();
        drop(cut);
        drop(db);
        assert_eq!(history(dir.path()).unwrap(), None);
        drop(files::open(&path, &files::CORE).unwrap());
        assert_eq!(history(dir.path()).unwrap().unwrap().audit.entries, 3);
    }
}
