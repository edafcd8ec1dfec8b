//! The small durable things: configuration, accounts, audit, probe attempts, the ledger's chain and
//! settings, all in `core.db`.
//!
//! This is only where they are kept. What a role may do, how a password is hashed and what an entry
//! of the ledger means is other crates' affair; here they are text and bytes.
//!
//! Each change is one transaction and on the disk when it returns.

use std::ops::Range;

use metering::UserId;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};

use crate::error::{Doing, StoreError};
use crate::readers::Readers;
use crate::registry::uuid;
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

/// A person with an account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// The name they log in with; capitals do not tell two apart.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// The hash of their password.
    pub password: String,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// What else their accounts need, in the caller's own form.
    pub data: String,
}

/// Neither the password's hash nor what else is secret stands in a log.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Somebody who is logged in, or a token that acts for them.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of the token: the token itself is nowhere in the store.
    pub hash: Vec<u8>,
    /// For whom.
    pub user: UserId,
    /// Since when, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last used.
    pub seen_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// What else it needs, in the caller's own form.
    pub data: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1 and without a hole.
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
const MOST_SMALL: usize = 1024 * 1024;

/// The configuration.
impl Core {
    /// Saves a version and returns its number. `expected` is the version that the editor saw; `None`
    /// saves in any case.
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
    ) -> Result<u64, StoreError> {
        bounded("the configuration", text.len(), MOST_TEXT)?;
        self.change("save the configuration", move |db, now| {
            let current: u64 =
                db.query_row("SELECT COALESCE(MAX(number), 0) FROM version", [], |row| row.get(0))?;
            if expected.is_some_and(|expected| expected != current) {
                return Ok(Err(StoreError::Outdated { current }));
            }
            db.execute(
                "INSERT INTO version (number, at_ms, who, why, text) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![current + 1, now, who, why, text],
            )?;
            Ok(Ok(current + 1))
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

/// Accounts.
impl Core {
    /// Makes the first user; `false`, and nothing done, if there is one already.
    pub async fn first_user(&self, user: User) -> Result<bool, StoreError> {
        bounded("an account", user.data.len(), MOST_SMALL)?;
        self.change("make the first user", move |db, _| {
            let there: bool =
                db.query_row("SELECT EXISTS (SELECT 1 FROM user)", [], |row| row.get(0))?;
            if !there {
                write_user(db, &user)?;
            }
            Ok(Ok(!there))
        })
        .await
    }

    /// Makes or changes a user.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if another one has the name.
    pub async fn put_user(&self, user: User) -> Result<(), StoreError> {
        bounded("an account", user.data.len(), MOST_SMALL)?;
        self.change("keep a user", move |db, _| match write_user(db, &user) {
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Ok(Err(StoreError::Taken { name: user.name }))
            }
            other => other.map(Ok),
        })
        .await
    }

    /// A user.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let users = self.users_where("SELECT * FROM user WHERE id = ?1", id.uuid().into_bytes());
        Ok(users.await?.pop())
    }

    /// The user who logs in with that name, whatever its capitals.
    pub async fn user_named(&self, name: String) -> Result<Option<User>, StoreError> {
        Ok(self.users_where("SELECT * FROM user WHERE name = ?1", name).await?.pop())
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.users_where("SELECT * FROM user WHERE ?1 ORDER BY name", true).await
    }

    async fn users_where(
        &self,
        sql: &'static str,
        key: impl rusqlite::ToSql + Send + 'static,
    ) -> Result<Vec<User>, StoreError> {
        self.readers
            .ask(move |snapshot| {
                const DOING: &str = "find users";
                let mut statement = snapshot.desk.core()?.prepare_cached(sql).doing(DOING)?;
                let mut rows = statement.query([key]).doing(DOING)?;
                let mut users = Vec::new();
                while let Some(row) = rows.next().doing(DOING)? {
                    users.push(User {
                        id: UserId::from_uuid(uuid(row, "id")?),
                        name: row.get("name").doing(DOING)?,
                        role: row.get("role").doing(DOING)?,
                        password: row.get("password").doing(DOING)?,
                        created_ms: row.get("created_ms").doing(DOING)?,
                        data: row.get("data").doing(DOING)?,
                    });
                }
                Ok(users)
            })
            .await
    }

    /// Deletes a user with their sessions; `false` if there was none.
    pub async fn delete_user(&self, id: UserId) -> Result<bool, StoreError> {
        self.change("delete a user", move |db, _| {
            db.execute("DELETE FROM user WHERE id = ?1", [id.uuid().as_bytes()])
                .map(|gone| Ok(gone > 0))
        })
        .await
    }

    /// Makes or changes a session. Its user has to be there.
    pub async fn put_session(&self, session: Session) -> Result<(), StoreError> {
        bounded("a session", session.data.len(), MOST_SMALL)?;
        self.change("keep a session", move |db, _| {
            db.execute(
                "INSERT INTO session (hash, user, created_ms, seen_ms, expires_ms, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (hash) DO UPDATE
                    SET seen_ms = excluded.seen_ms, expires_ms = excluded.expires_ms,
                        data = excluded.data",
                params![
                    session.hash,
                    session.user.uuid().as_bytes(),
                    session.created_ms,
                    session.seen_ms,
                    session.expires_ms,
                    session.data,
                ],
            )
            .map(|_| Ok(()))
        })
        .await
    }

    /// The session of a token with that hash, whether it has ended or not.
    pub async fn session(&self, hash: Vec<u8>) -> Result<Option<Session>, StoreError> {
        self.readers
            .ask(move |snapshot| {
                const DOING: &str = "find a session";
                let sql = "SELECT * FROM session WHERE hash = ?1";
                let mut statement = snapshot.desk.core()?.prepare_cached(sql).doing(DOING)?;
                let mut rows = statement.query([hash]).doing(DOING)?;
                let Some(row) = rows.next().doing(DOING)? else { return Ok(None) };
                Ok(Some(Session {
                    hash: row.get("hash").doing(DOING)?,
                    user: UserId::from_uuid(uuid(row, "user")?),
                    created_ms: row.get("created_ms").doing(DOING)?,
                    seen_ms: row.get("seen_ms").doing(DOING)?,
                    expires_ms: row.get("expires_ms").doing(DOING)?,
                    data: row.get("data").doing(DOING)?,
                }))
            })
            .await
    }

    /// Ends a session.
    pub async fn delete_session(&self, hash: Vec<u8>) -> Result<(), StoreError> {
        self.change("end a session", move |db, _| {
            db.execute("DELETE FROM session WHERE hash = ?1", [hash]).map(|_| Ok(()))
        })
        .await
    }

    /// Ends all sessions of a user.
    pub async fn delete_sessions_of(&self, user: UserId) -> Result<(), StoreError> {
        self.change("end sessions", move |db, _| {
            db.execute("DELETE FROM session WHERE user = ?1", [user.uuid().as_bytes()])
                .map(|_| Ok(()))
        })
        .await
    }

    /// Deletes the sessions that ended before `now_ms`, and says how many.
    pub async fn expire_sessions(&self, now_ms: i64) -> Result<usize, StoreError> {
        self.change("end old sessions", move |db, _| {
            db.execute("DELETE FROM session WHERE expires_ms < ?1", [now_ms]).map(Ok)
        })
        .await
    }
}

/// Evidence.
impl Core {
    /// Writes down who did what.
    pub async fn audit(&self, who: String, what: String, detail: String) -> Result<(), StoreError> {
        bounded("an audit entry", detail.len(), MOST_SMALL)?;
        self.change("write the audit log", move |db, now| {
            db.execute(
                "INSERT INTO audit (at_ms, who, what, detail) VALUES (?1, ?2, ?3, ?4)",
                params![now, who, what, detail],
            )
            .map(|_| Ok(()))
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
            .query_map(params![before.map_or(i64::MAX, u64::cast_signed), limit], |row| {
                Ok(AuditEntry {
                    number: row.get("number")?,
                    at_ms: row.get("at_ms")?,
                    who: row.get("who")?,
                    what: row.get("what")?,
                    detail: row.get("detail")?,
                })
            })?
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
        let key = key.to_owned();
        self.ask("read a setting", move |db| {
            db.query_row("SELECT value FROM setting WHERE key = ?1", [key], |row| row.get(0))
                .optional()
        })
        .await
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

impl Core {
    /// One transaction on the writer's thread. `change` gets the time; an error of its own undoes it.
    async fn change<T: Send + 'static>(
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

    async fn ask<T: Send + 'static>(
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

fn read_version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        number: row.get("number")?,
        at_ms: row.get("at_ms")?,
        who: row.get("who")?,
        why: row.get("why")?,
        text: row.get("text")?,
    })
}

fn write_user(db: &Connection, user: &User) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO user (id, name, role, password, created_ms, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, role = excluded.role, password = excluded.password,
                data = excluded.data",
        params![
            user.id.uuid().as_bytes(),
            user.name,
            user.role,
            user.password,
            user.created_ms,
            user.data,
        ],
    )
    .map(drop)
}

const fn bounded(what: &'static str, found: usize, most: usize) -> Result<(), StoreError> {
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
    }
}
