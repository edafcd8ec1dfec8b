//! Accounts: users, and the sessions and tokens that act for them.
//!
//! What is secret comes as a hash and leaves as one; neither stands in a log.
//!
//! Whoever logs in while the disk takes nothing is let in all the same, to see what meters show: their session
//! is in memory alone until it is used with a disk that works, and ends with the process otherwise.

use std::sync::{Mutex, PoisonError};

use metering::UserId;
use rusqlite::{Connection, ErrorCode, params};

use crate::core_db::{Core, MOST_SMALL, bounded};
use crate::error::{Doing, StoreError};
use crate::registry::uuid;

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

/// Sessions that no disk has: the newest [`MOST_FLEETING`].
#[derive(Debug, Default)]
pub(crate) struct Fleeting(Mutex<Vec<Session>>);

const MOST_FLEETING: usize = 64;

impl Fleeting {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Session>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, session: Session) {
        self.change(|all| {
            all.retain(|it| it.hash != session.hash);
            if all.len() >= MOST_FLEETING {
                all.remove(0);
            }
            all.push(session);
        });
    }

    fn forget(&self, gone: impl Fn(&Session) -> bool) {
        self.change(|all| all.retain(|it| !gone(it)));
    }

    fn found(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Session> {
        self.change(|all| all.iter().filter(|it| wanted(it)).cloned().collect())
    }
}

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
        self.readers.shared.fleeting.forget(|it| it.user == id);
        self.change("delete a user", move |db, _| {
            db.execute("DELETE FROM user WHERE id = ?1", [id.uuid().as_bytes()])
                .map(|gone| Ok(gone > 0))
        })
        .await
    }

    /// Makes or changes a session. Its user has to be there. While the disk takes nothing it is in memory
    /// alone.
    pub async fn put_session(&self, session: Session) -> Result<(), StoreError> {
        bounded("a session", session.data.len(), MOST_SMALL)?;
        let fleeting = &self.readers.shared.fleeting;
        let same = session.hash.clone();
        match self.write_session(session.clone()).await {
            Err(error) if error.is_away() || error.is_full() => {
                fleeting.keep(session);
                Ok(())
            }
            other => {
                fleeting.forget(|it| it.hash == same);
                other
            }
        }
    }

    async fn write_session(&self, session: Session) -> Result<(), StoreError> {
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
        let fleeting = self.readers.shared.fleeting.found(|it| it.hash == hash).pop();
        if fleeting.is_some() {
            return Ok(fleeting);
        }
        Ok(self.sessions_where("SELECT * FROM session WHERE hash = ?1", hash).await?.pop())
    }

    /// The sessions and tokens of a user, whether they have ended or not, the oldest first.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let mut all = self.sessions_where(SESSIONS_OF, user.uuid().into_bytes()).await?;
        for fleeting in self.readers.shared.fleeting.found(|it| it.user == user) {
            all.retain(|it| it.hash != fleeting.hash);
            all.push(fleeting);
        }
        Ok(all)
    }

    async fn sessions_where(
        &self,
        sql: &'static str,
        key: impl rusqlite::ToSql + Send + 'static,
    ) -> Result<Vec<Session>, StoreError> {
        self.readers
            .ask(move |snapshot| {
                const DOING: &str = "find sessions";
                let mut statement = snapshot.desk.core()?.prepare_cached(sql).doing(DOING)?;
                let mut rows = statement.query([key]).doing(DOING)?;
                let mut sessions = Vec::new();
                while let Some(row) = rows.next().doing(DOING)? {
                    sessions.push(Session {
                        hash: row.get("hash").doing(DOING)?,
                        user: UserId::from_uuid(uuid(row, "user")?),
                        created_ms: row.get("created_ms").doing(DOING)?,
                        seen_ms: row.get("seen_ms").doing(DOING)?,
                        expires_ms: row.get("expires_ms").doing(DOING)?,
                        data: row.get("data").doing(DOING)?,
                    });
                }
                Ok(sessions)
            })
            .await
    }

    /// Ends a session.
    pub async fn delete_session(&self, hash: Vec<u8>) -> Result<(), StoreError> {
        self.readers.shared.fleeting.forget(|it| it.hash == hash);
        self.change("end a session", move |db, _| {
            db.execute("DELETE FROM session WHERE hash = ?1", [hash]).map(|_| Ok(()))
        })
        .await
    }

    /// Ends all sessions of a user.
    pub async fn delete_sessions_of(&self, user: UserId) -> Result<(), StoreError> {
        self.readers.shared.fleeting.forget(|it| it.user == user);
        self.change("end sessions", move |db, _| {
            db.execute("DELETE FROM session WHERE user = ?1", [user.uuid().as_bytes()])
                .map(|_| Ok(()))
        })
        .await
    }

    /// Deletes the sessions that ended before `now_ms`, and says how many.
    pub async fn expire_sessions(&self, now_ms: i64) -> Result<usize, StoreError> {
        self.readers.shared.fleeting.forget(|it| it.expires_ms < now_ms);
        self.change("end old sessions", move |db, _| {
            db.execute("DELETE FROM session WHERE expires_ms < ?1", [now_ms]).map(Ok)
        })
        .await
    }
}

pub(crate) const SESSIONS_OF: &str =
    "SELECT * FROM session WHERE user = ?1 ORDER BY created_ms, hash";

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
