//! The small durable things: configuration, audit, probe attempts, the ledger's chain and settings, and
//! in `accounts.rs` users and sessions; all in `core.db`.
//!
//! This is only where they are kept. What a role may do, how a password is hashed and what an entry
//! of the ledger means is other crates' affair; here they are text and bytes.
//!
//! Each change is one transaction and on the disk when it returns.

use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::chained::{self, read_entry, read_version};
use crate::error::{Doing, StoreError};
use crate::readers::Readers;
use crate::seal::Sign;
use crate::writer::Queue;

/// Keeps and finds the small durable things. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) queue: Queue,
    pub(crate) readers: Readers,
}

/// A version of the site's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// When it was saved, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who saved it.
    pub who: String,
    /// What they said about it.
    pub why: String,
    /// The file.
    pub text: String,
    /// The hash of the version before it.
    pub before: Vec<u8>,
    /// What is signed; [`hash_again`](Self::hash_again) makes it from the rest.
    pub hash: Vec<u8>,
    /// By the device; `None` of those that are older than signatures.
    pub signature: Option<Vec<u8>>,
}

/// A version without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionHead {
    /// Its number, from 1.
    pub number: u64,
    /// When it was saved, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who saved it.
    pub who: String,
    /// What they said about it.
    pub why: String,
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, counted from 1 without a hole.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// What, as a code.
    pub what: String,
    /// To what, in the caller's own form.
    pub detail: String,
}

/// A probe attempt, in the prober's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What came of it.
    pub body: Vec<u8>,
}

/// A configuration of two thousand meters has half a megabyte.
const MOST_TEXT: usize = 4 * 1024 * 1024;
/// An entry of the ledger, a setting, the data of an account.
pub(crate) const MOST_SMALL: usize = 1024 * 1024;

/// Of a hundred bytes each, so 5 MB.
pub(crate) const MOST_AUDIT: i64 = 50_000;

/// The configuration.
impl Core {
    /// Saves a version, chains it to the one before it, has it signed and returns its number. `expected` is the
    /// version that the editor saw; `None` saves in any case.
    ///
    /// # Errors
    ///
    /// [`StoreError::Outdated`] if another one has been saved since: two people edit the same thing.
    pub async fn save_version(
        &self,
        text: String,
        who: String,
        why: String,
        expected: Option<u64>,
        sign: Arc<Sign>,
    ) -> Result<u64, StoreError> {
        bounded("the configuration", text.len(), MOST_TEXT)?;
        self.change("save the configuration", move |db, now| {
            let current: u64 =
                db.query_row("SELECT COALESCE(MAX(number), 0) FROM version", [], |row| row.get(0))?;
            if expected.is_some_and(|expected| expected != current) {
                return Ok(Err(StoreError::Outdated { current }));
            }
            let number = current + 1;
            let (before, hash) = (Vec::new(), Vec::new());
            let version =
                Version { number, at_ms: now, who, why, text, before, hash, signature: None };
            chained::append_version(db, version, &*sign)?;
            Ok(Ok(number))
        })
        .await
    }

    /// A version.
    pub async fn version(&self, number: u64) -> Result<Option<Version>, StoreError> {
        self.ask("read a version", move |db| {
            db.query_row("SELECT * FROM version WHERE number = ?1", [number], read_version)
                .optional()
        })
        .await
    }

    /// The newest version.
    pub async fn current_version(&self) -> Result<Option<Version>, StoreError> {
        self.ask("read the configuration", |db| {
            db.query_row("SELECT * FROM version ORDER BY number DESC LIMIT 1", [], read_version)
                .optional()
        })
        .await
    }

    /// The newest versions, the newest first.
    pub async fn versions(&self, limit: u32) -> Result<Vec<VersionHead>, StoreError> {
        self.ask("list the versions", move |db| {
            db.prepare_cached(
                "SELECT number, at_ms, who, why FROM version ORDER BY number DESC LIMIT ?1",
            )?
            .query_map([limit], |row| {
                Ok(VersionHead {
                    number: row.get("number")?,
                    at_ms: row.get("at_ms")?,
                    who: row.get("who")?,
                    why: row.get("why")?,
                })
            })?
            .collect()
        })
        .await
    }
}

/// Evidence.
impl Core {
    /// Writes down who did what, chained to the entry before it. The log has room for the last 50,000 entries, which at a busy
    /// building's fifty a day are years; the oldest make room.
    pub async fn audit(&self, who: String, what: String, detail: String) -> Result<(), StoreError> {
        bounded("an audit entry", detail.len(), MOST_SMALL)?;
        self.change("write the audit log", move |db, now| {
            let newest = chained::append_audit(db, now, [who, what, detail])?;
            db.execute("DELETE FROM audit WHERE number <= ?1", [newest - MOST_AUDIT])?;
            Ok(Ok(()))
        })
        .await
    }

    /// The newest entries with numbers below `before`, the newest first.
    pub async fn audit_log(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.ask("read the audit log", move |db| {
            db.prepare_cached(
                "SELECT * FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
            )?
            .query_map(params![before.map_or(i64::MAX, u64::cast_signed), limit], read_entry)?
            .collect()
        })
        .await
    }

    /// Keeps probe attempts.
    pub async fn append_attempts(&self, attempts: Vec<AttemptRow>) -> Result<(), StoreError> {
        self.change("keep probe attempts", move |db, _| {
            let mut statement =
                db.prepare_cached("INSERT INTO attempt (at_ms, body) VALUES (?1, ?2)")?;
            for AttemptRow { at_ms, body } in attempts {
                statement.execute(params![at_ms, body])?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// The attempts of a span, by time and, where the clock stood still or went back, in the order
    /// in which they were kept; at most `limit`.
    pub async fn attempts(
        &self,
        span: Range<i64>,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        self.ask("read probe attempts", move |db| {
            db.prepare_cached(ATTEMPTS)?
                .query_map(params![span.start, span.end, limit], |row| {
                    Ok(AttemptRow { at_ms: row.get("at_ms")?, body: row.get("body")? })
                })?
                .collect()
        })
        .await
    }

    /// Appends an entry to the ledger's chain, at the place that its maker chained it to.
    ///
    /// # Errors
    ///
    /// [`StoreError::Outdated`] if the chain's length is not `index`.
    pub async fn append_chain(&self, index: u64, entry: Vec<u8>) -> Result<(), StoreError> {
        bounded("an entry of the ledger", entry.len(), MOST_SMALL)?;
        self.change("append to the ledger", move |db, _| {
            let current = chain_len(db)?;
            if current != index {
                return Ok(Err(StoreError::Outdated { current }));
            }
            db.execute("INSERT INTO chain (position, entry) VALUES (?1, ?2)", params![index, entry])
                .map(|_| Ok(()))
        })
        .await
    }

    /// Entries from a place on, at most `limit`.
    pub async fn chain(&self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.ask("read the ledger", move |db| {
            db.prepare_cached(
                "SELECT * FROM chain WHERE position >= ?1 ORDER BY position LIMIT ?2",
            )?
            .query_map(params![from, limit], |row| Ok((row.get("position")?, row.get("entry")?)))?
            .collect()
        })
        .await
    }

    /// How many entries there are.
    pub async fn chain_len(&self) -> Result<u64, StoreError> {
        self.ask("read the ledger", chain_len).await
    }

    /// What was found damaged from `since_ms` on, with its time; the newest first, at most twenty.
    pub async fn damages_since(&self, since_ms: i64) -> Result<Vec<(i64, String)>, StoreError> {
        self.ask("read what was damaged", move |db| {
            db.prepare_cached(
                "SELECT at_ms, sentence FROM damage WHERE at_ms >= ?1 ORDER BY number DESC LIMIT 20",
            )?
            .query_map([since_ms], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
        })
        .await
    }

    /// What was found damaged, a sentence each, the newest first; the last hundred.
    pub async fn damages(&self) -> Result<Vec<String>, StoreError> {
        self.ask("read what was damaged", |db| {
            db.prepare_cached("SELECT sentence FROM damage ORDER BY number DESC LIMIT 100")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }
}

/// Settings: one value for a name.
impl Core {
    /// The value of a setting.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.readers.setting(key).await
    }

    /// Makes or changes a setting.
    pub async fn put_setting(&self, key: &str, value: String) -> Result<(), StoreError> {
        bounded("a setting", value.len(), MOST_SMALL)?;
        let key = key.to_owned();
        self.change("keep a setting", move |db, _| {
            db.execute(
                "INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)",
                params![key, value],
            )
            .map(|_| Ok(()))
        })
        .await
    }

    /// Deletes a setting.
    pub async fn remove_setting(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.change("delete a setting", move |db, _| {
            db.execute("DELETE FROM setting WHERE key = ?1", [key]).map(|_| Ok(()))
        })
        .await
    }
}

impl Readers {
    /// The value of a setting, also beside another process that has the store.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.ask(move |snapshot| {
            let db = snapshot.desk.core()?;
            db.query_row("SELECT value FROM setting WHERE key = ?1", [key], |row| row.get(0))
                .optional()
                .doing("read a setting")
        })
        .await
    }
}

impl Core {
    /// One transaction on the writer's thread. `change` gets the time; an error of its own undoes it.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        self.queue
            .ask(move |engine| {
                let now = engine.clock.now().wall_ms();
                let transaction = engine.core.transaction().doing(doing)?;
                let done = change(&transaction, now).doing(doing)??;
                transaction.commit().doing(doing)?;
                Ok(done)
            })
            .await
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.ask(move |snapshot| question(snapshot.desk.core()?).doing(doing)).await
    }
}

const ATTEMPTS: &str =
    "SELECT * FROM attempt WHERE at_ms >= ?1 AND at_ms < ?2 ORDER BY at_ms, number LIMIT ?3";

fn chain_len(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT COALESCE(MAX(position) + 1, 0) FROM chain", [], |row| row.get(0))
}

pub(crate) const fn bounded(
    what: &'static str,
    found: usize,
    most: usize,
) -> Result<(), StoreError> {
    if found > most { Err(StoreError::TooLarge { what, found, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn no_row_is_read_in_vain() {
        let dir = tempfile::tempdir().unwrap();
        let db = files::open(&files::core_path(dir.path()), &files::CORE).unwrap();
        let plan = |sql: &str| -> String {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let details = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
            details.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
        };
        assert_eq!(
            plan(ATTEMPTS),
            "SEARCH attempt USING INDEX attempt_by_time (at_ms>? AND at_ms<?)"
        );
        assert_eq!(
            plan("SELECT * FROM user WHERE name = ?1"),
            "SEARCH user USING INDEX sqlite_autoindex_user_2 (name=?)"
        );
        assert_eq!(
            plan("DELETE FROM session WHERE user = ?1"),
            "SEARCH session USING INDEX session_of_user (user=?)"
        );
        assert_eq!(
            plan(crate::accounts::SESSIONS_OF),
            "SEARCH session USING INDEX session_of_user (user=?); USE TEMP B-TREE FOR ORDER BY"
        );
    }
}
