//! Who may log in, and who has.

use access::{SecretHash, Session};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::rows::{self, Trouble};
use crate::columns::{self, ends_ms};
use crate::repository::Person;

pub(super) fn add_first(db: &Connection, person: &Person) -> Result<bool, Trouble> {
    if claimed(db)? {
        return Ok(false);
    }
    db.execute(
        "INSERT INTO person (id, name, folded, role, password, made_ms)
         VALUES (:id, :name, :folded, :role, :password, :made_ms)",
        named_params! {
            ":id": person.user.id.uuid().as_bytes(),
            ":name": person.user.name.as_str(),
            ":folded": person.user.name.folded(),
            ":role": person.user.role.as_str(),
            ":password": person.password,
            ":made_ms": person.made_ms,
        },
    )?;
    Ok(true)
}

pub(super) fn claimed(db: &Connection) -> Result<bool, Trouble> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM person)", [], |row| row.get(0))?)
}

pub(super) fn named(db: &Connection, folded: &str) -> Result<Option<Person>, Trouble> {
    let mut statement = db
        .prepare_cached("SELECT id, name, role, password, made_ms FROM person WHERE folded = ?1")?;
    let mut found = statement.query([folded])?;
    found.next()?.map(person).transpose()
}

pub(super) fn session(
    db: &Connection,
    hash: SecretHash,
) -> Result<Option<(Session, Person)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT login, used, id, name, role, password, made_ms
           FROM session
           JOIN person ON person.id = session.person
          WHERE sha256 = ?1",
    )?;
    let mut found = statement.query([hash.bytes()])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let person = person(row)?;
    let login: Option<String> = row.get("login")?;
    let used: String = row.get("used")?;
    let (login, used) = columns::stamps(login.as_deref(), &used)?;
    Ok(Some((Session { hash, user: person.user.id, login, used }, person)))
}

pub(super) fn keep_session(db: &Connection, session: &Session, now_ms: i64) -> Result<(), Trouble> {
    db.execute("DELETE FROM session WHERE ends_ms < ?1", [now_ms])?;
    db.execute(
        "INSERT INTO session (sha256, person, login, used, ends_ms)
         VALUES (:sha256, :person, :login, :used, :ends_ms)",
        named_params! {
            ":sha256": session.hash.bytes(),
            ":person": session.user.uuid().as_bytes(),
            ":login": session.login.map(|login| login.to_string()),
            ":used": session.used.to_string(),
            ":ends_ms": ends_ms(session),
        },
    )?;
    Ok(())
}

/// Changes nothing where the session was ended meanwhile: a request that was under way does not
/// bring it back.
pub(super) fn touch_session(db: &Connection, session: &Session) -> Result<(), Trouble> {
    db.execute(
        "UPDATE session SET login = ?2, used = ?3, ends_ms = ?4 WHERE sha256 = ?1",
        (
            session.hash.bytes(),
            session.login.map(|login| login.to_string()),
            session.used.to_string(),
            ends_ms(session),
        ),
    )?;
    Ok(())
}

pub(super) fn end_session(db: &Connection, hash: SecretHash) -> Result<(), Trouble> {
    db.execute("DELETE FROM session WHERE sha256 = ?1", [hash.bytes()])?;
    Ok(())
}

pub(super) fn setting(db: &Connection, key: &str) -> Result<Option<String>, Trouble> {
    let found = db
        .query_row("SELECT value FROM setting WHERE key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(found)
}

pub(super) fn put_setting(db: &Connection, key: &str, value: Option<&str>) -> Result<(), Trouble> {
    match value {
        Some(value) => {
            db.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)", (key, value))?
        }
        None => db.execute("DELETE FROM setting WHERE key = ?1", [key])?,
    };
    Ok(())
}

fn person(row: &Row<'_>) -> Result<Person, Trouble> {
    let (name, role): (String, String) = (row.get("name")?, row.get("role")?);
    let id = rows::uuid(row, "id")?;
    columns::person(id, &name, &role, row.get("password")?, row.get("made_ms")?)
}
