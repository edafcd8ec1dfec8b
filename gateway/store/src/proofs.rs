//! Documents: what stands behind entries of the ledger, and the pieces of papers, plans and photos.
//!
//! Each is kept once, under the SHA-256 of its bytes, by which it is named: in an entry of the ledger or
//! of the vendor's book as its 32 bytes, in a setting as 64 hex digits. What nothing names any more is
//! thrown away.
//!
//! **Never true:** that a document goes which somebody is about to name. Whoever keeps it, or looks
//! whether it is there in order to name it, has a day for that.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core_db::{Core, bounded};
use crate::error::{Doing, StoreError};
use crate::readers::Readers;

type Hash = [u8; 32];

impl Core {
    /// Keeps a document under the SHA-256 of its bytes, which the caller has computed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] also if it is larger than [`MOST_PROOF`], or all of them are than 1 GiB.
    pub async fn keep_proof(
        &self,
        sha256: Hash,
        at_ms: i64,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        bounded("a proof", bytes.len(), MOST_PROOF)?;
        self.change("keep a proof", move |db, _| {
            if hold(db, sha256, at_ms)? {
                return Ok(Ok(()));
            }
            let kept = "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM proof";
            let kept: i64 = db.query_row(kept, [], |row| row.get(0))?;
            let all = usize::try_from(kept).unwrap_or(usize::MAX).saturating_add(bytes.len());
            if let Err(error) = bounded("all proofs and papers together", all, MOST_PROOFS) {
                return Ok(Err(error));
            }
            db.execute(
                "INSERT INTO proof (sha256, at_ms, bytes) VALUES (?1, ?2, ?3)",
                params![sha256, at_ms, bytes],
            )
            .map(|_| Ok(()))
        })
        .await
    }

    /// Whether there is a document that somebody is about to name: from now on they have a day for it.
    pub async fn hold_proof(&self, sha256: Hash, at_ms: i64) -> Result<bool, StoreError> {
        self.change("hold a document", move |db, _| hold(db, sha256, at_ms).map(Ok)).await
    }

    /// Throws away documents that nothing names, and that nobody has kept or held since a day before
    /// `now_ms`; how many. At most [`MOST_AT_ONCE`], so that others get their turn.
    pub async fn collect_proofs(&self, now_ms: i64) -> Result<usize, StoreError> {
        self.change("throw documents away that nothing names", move |db, _| {
            let nameless = nameless(db, now_ms - HELD_MS)?;
            let gone = nameless.iter().take(MOST_AT_ONCE);
            for sha256 in gone.clone() {
                db.execute("DELETE FROM proof WHERE sha256 = ?1", [sha256])?;
            }
            Ok(Ok(gone.count()))
        })
        .await
    }

    /// The document with this SHA-256; `None` if it is not kept.
    pub async fn proof(&self, sha256: Hash) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.proof(sha256).await
    }
}

impl Readers {
    /// The document with this SHA-256; `None` if it is not kept.
    pub async fn proof(&self, sha256: Hash) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(move |snapshot| {
            let db = snapshot.desk.core()?;
            let found = || -> rusqlite::Result<_> {
                db.prepare_cached("SELECT bytes FROM proof WHERE sha256 = ?1")?
                    .query_row([sha256], |row| row.get(0))
                    .optional()
            };
            found().doing("read a proof")
        })
        .await
    }
}

/// Whether it is there; if so, somebody wanted it at `at_ms`.
fn hold(db: &Connection, sha256: Hash, at_ms: i64) -> rusqlite::Result<bool> {
    let held = "UPDATE proof SET at_ms = MAX(at_ms, ?2) WHERE sha256 = ?1";
    Ok(db.execute(held, params![sha256, at_ms])? > 0)
}

/// The documents from before `before_ms` that nothing names.
fn nameless(db: &Connection, before_ms: i64) -> rusqlite::Result<BTreeSet<Hash>> {
    let mut left: BTreeSet<Hash> = db
        .prepare("SELECT sha256 FROM proof WHERE at_ms < ?1")?
        .query_map([before_ms], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    unname(db, "SELECT value FROM setting", in_hex, &mut left)?;
    unname(db, "SELECT entry FROM chain", in_bytes, &mut left)?;
    unname(db, "SELECT entry FROM vendor_chain", in_bytes, &mut left)?;
    Ok(left)
}

/// Takes those out of `left` that `named` finds in the answers to `question`.
fn unname(
    db: &Connection,
    question: &str,
    named: fn(&[u8], &mut BTreeSet<Hash>),
    left: &mut BTreeSet<Hash>,
) -> rusqlite::Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let mut asked = db.prepare(question)?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        named(row.get_ref(0)?.as_bytes()?, left);
    }
    Ok(())
}

/// Takes those out of `left` whose 64 hex digits stand anywhere in `text`.
fn in_hex(text: &[u8], left: &mut BTreeSet<Hash>) {
    for digits in text.chunk_by(|one, next| one.is_ascii_hexdigit() && next.is_ascii_hexdigit()) {
        for hash in digits.windows(64).filter_map(hash_of) {
            left.remove(&hash);
        }
    }
}

/// The hash with these 64 hex digits.
fn hash_of(digits: &[u8]) -> Option<Hash> {
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    digits.chunks_exact(2).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// Takes those out of `left` whose 32 bytes stand anywhere in `entry`.
fn in_bytes(entry: &[u8], left: &mut BTreeSet<Hash>) {
    for window in entry.windows(32) {
        if let Ok(hash) = Hash::try_from(window) {
            left.remove(&hash);
        }
    }
}

/// Of a document that stands behind an entry, in bytes: a scanned letter, a message with its head.
pub const MOST_PROOF: usize = 1024 * 1024;

/// Of all documents together, and of the pieces of papers and photos, in bytes: a backup has them all.
const MOST_PROOFS: usize = 1024 * 1024 * 1024;

/// For how long a document that nothing names is kept for whoever is about to.
const HELD_MS: i64 = 24 * 3_600_000;

/// Thrown away in one transaction.
const MOST_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn a_proof_is_kept_once_under_its_hash() {
        let empty = testing::empty().unwrap();
        let (core, readers) = (empty.store.core(), empty.store.readers());
        core.keep_proof([7; 32], 1_000, vec![1, 2]).await.unwrap();
        core.keep_proof([7; 32], 2_000, vec![1, 2]).await.unwrap();
        assert_eq!(readers.proof([7; 32]).await.unwrap(), Some(vec![1, 2]));
        assert_eq!(readers.proof([8; 32]).await.unwrap(), None);
        assert!(core.keep_proof([9; 32], 0, vec![0; MOST_PROOF + 1]).await.is_err());
    }

    #[tokio::test]
    async fn what_nothing_names_goes_after_a_day_and_what_anything_names_stays() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        for number in 1..=6 {
            core.keep_proof([number; 32], 1_000, vec![number]).await.unwrap();
        }
        let hex = |number: u8| format!("{number:02x}").repeat(32);
        let papers = format!(r#"[{{"name":"Manual","pieces":["{}","{}"]}}]"#, hex(1), hex(9));
        core.put_setting("papers", papers).await.unwrap();
        core.append_chain(0, [&[0x84, 0x58, 0x20][..], &[2; 32], &[1]].concat()).await.unwrap();
        core.append_vendors_book(0, vec![[&[7_u8][..], &[3; 32]].concat()]).await.unwrap();
        let kept = async || {
            let mut kept = Vec::new();
            for number in 1..=6 {
                let found = core.proof([number; 32]).await.unwrap();
                kept.extend(found.map(|_| number));
            }
            kept
        };

        // Somebody is about to name the fourth, and gives the fifth again.
        assert!(core.hold_proof([4; 32], 2_000).await.unwrap());
        assert!(!core.hold_proof([8; 32], 2_000).await.unwrap());
        core.keep_proof([5; 32], 2_000, vec![5]).await.unwrap();
        assert_eq!(core.collect_proofs(1_000 + HELD_MS).await.unwrap(), 0, "not a day yet");
        assert_eq!(core.collect_proofs(1_001 + HELD_MS).await.unwrap(), 1);
        assert_eq!(kept().await, [1, 2, 3, 4, 5]);

        // The paper is taken away, and one with a part of the hash comes.
        let mut part = hex(1);
        part.truncate(62);
        core.put_setting("papers", part).await.unwrap();
        assert_eq!(core.collect_proofs(2_001 + HELD_MS).await.unwrap(), 3);
        assert_eq!(kept().await, [2, 3]);
    }
}
