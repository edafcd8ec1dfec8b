//! Who may log in, and who has.

use access::{Role, SecretHash};
use metering::UserId;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::rows::{self, Trouble};
use crate::branches;
use crate::columns;
use crate::repository::{Change, Changed, Kept, Person, Seen, Token, without_app};

pub(super) fn add_first(db: &Connection, person: &Person) -> Result<bool, Trouble> {
    if claimed(db)? {
        return Ok(false);
    }
    add(db, person)
}

pub(super) fn add(db: &Connection, person: &Person) -> Result<bool, Trouble> {
    let added = db.execute(
        "INSERT INTO person (id, name, folded, role, password, ways, made_ms, grants, link)
         VALUES (:id, :name, :folded, :role, :password, :ways, :made_ms, :grants, :link)
             ON CONFLICT (folded) DO NOTHING",
        named_params! {
            ":id": person.user.id.uuid().as_bytes(),
            ":name": person.user.name.as_str(),
            ":folded": person.row_name(),
            ":role": person.user.role.as_str(),
            ":password": person.password,
            ":ways": person.ways,
            ":made_ms": person.made_ms,
            ":grants": person.grants_text(),
            ":link": person.link_text(),
        },
    )?;
    Ok(added > 0)
}

pub(super) fn claimed(db: &Connection) -> Result<bool, Trouble> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM person)", [], |row| row.get(0))?)
}

pub(super) fn named(db: &Connection, folded: &str) -> Result<Option<Person>, Trouble> {
    let mut statement = db.prepare_cached("SELECT * FROM person WHERE folded = ?1")?;
    let mut found = statement.query([folded])?;
    found.next()?.map(person).transpose()
}

pub(super) fn with_id(db: &Connection, id: UserId) -> Result<Option<Person>, Trouble> {
    let mut statement = db.prepare_cached("SELECT * FROM person WHERE id = ?1")?;
    let mut found = statement.query([id.uuid().as_bytes()])?;
    found.next()?.map(person).transpose()
}

pub(super) fn all(db: &Connection) -> Result<Vec<Seen>, Trouble> {
    let mut statement = db.prepare_cached("SELECT * FROM person ORDER BY folded")?;
    let mut found = statement.query([])?;
    let mut people = Vec::new();
    while let Some(row) = found.next()? {
        people.push(person(row)?);
    }
    let mut statement =
        db.prepare_cached("SELECT person, used, token IS NOT NULL AS is_token FROM session")?;
    let mut found = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = found.next()? {
        sessions.push((rows::uuid(row, "person")?, row.get("used")?, row.get("is_token")?));
    }
    columns::seen(people, &sessions)
}

pub(super) fn change(
    db: &Connection,
    id: UserId,
    change: &Change,
    spared: SecretHash,
) -> Result<Changed, Trouble> {
    let Some(person) = with_id(db, id)? else { return Ok(Changed::Nobody) };
    if !change.makes_owner() && is_last_owner(db, &person)? {
        return Ok(Changed::LastOwner);
    }
    let ways = if change.without_app { without_app(&person.ways) } else { person.ways };
    db.execute(
        "UPDATE person SET role = :role, password = :password, ways = :ways, grants = :grants
          WHERE id = :id",
        named_params! {
            ":id": id.uuid().as_bytes(),
            ":role": change.role.as_str(),
            ":password": change.password.as_ref().unwrap_or(&person.password),
            ":ways": ways,
            ":grants": change.grants.as_deref().map(branches::written),
        },
    )?;
    end_sessions(db, id, Some(spared))?;
    Ok(Changed::Done)
}

pub(super) fn remove(db: &Connection, id: UserId) -> Result<Changed, Trouble> {
    let Some(person) = with_id(db, id)? else { return Ok(Changed::Nobody) };
    if is_last_owner(db, &person)? {
        return Ok(Changed::LastOwner);
    }
    // Their sessions go with them.
    db.execute("DELETE FROM person WHERE id = ?1", [id.uuid().as_bytes()])?;
    Ok(Changed::Done)
}

fn is_last_owner(db: &Connection, person: &Person) -> Result<bool, Trouble> {
    let others = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM person
                         WHERE role = ?1 AND id <> ?2 AND grants IS NULL AND link IS NULL)",
        (Role::Owner.as_str(), person.user.id.uuid().as_bytes()),
        |row| row.get::<_, bool>(0),
    )?;
    Ok(person.is_owner() && !others)
}

pub(super) fn change_password(
    db: &Connection,
    id: UserId,
    before: &str,
    after: &str,
    spared: SecretHash,
) -> Result<bool, Trouble> {
    let changed = db.execute(
        "UPDATE person SET password = ?3 WHERE id = ?1 AND password = ?2",
        (id.uuid().as_bytes(), before, after),
    )?;
    if changed > 0 {
        end_sessions(db, id, Some(spared))?;
    }
    Ok(changed > 0)
}

pub(super) fn change_ways(
    db: &Connection,
    id: UserId,
    before: &str,
    after: &str,
) -> Result<bool, Trouble> {
    let changed = db.execute(
        "UPDATE person SET ways = ?3, begun = NULL WHERE id = ?1 AND ways = ?2",
        (id.uuid().as_bytes(), before, after),
    )?;
    Ok(changed > 0)
}

pub(super) fn begin_app(db: &Connection, id: UserId, secret: &str) -> Result<(), Trouble> {
    db.execute("UPDATE person SET begun = ?2 WHERE id = ?1", (id.uuid().as_bytes(), secret))?;
    Ok(())
}

pub(super) fn session(
    db: &Connection,
    hash: SecretHash,
) -> Result<Option<(Kept, Person)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT session.*, person.*
           FROM session
           JOIN person ON person.id = session.person
          WHERE sha256 = ?1",
    )?;
    let mut found = statement.query([hash.bytes()])?;
    found.next()?.map(|row| Ok((kept(row)?, person(row)?))).transpose()
}

pub(super) fn sessions_of(db: &Connection, id: UserId) -> Result<Vec<Kept>, Trouble> {
    let mut statement = db.prepare_cached("SELECT * FROM session WHERE person = ?1")?;
    let mut found = statement.query([id.uuid().as_bytes()])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(kept(row)?);
    }
    Ok(all)
}

fn kept(row: &Row<'_>) -> Result<Kept, Trouble> {
    let hash = SecretHash::of_bytes(row.get("sha256")?);
    let (login, used): (Option<String>, String) = (row.get("login")?, row.get("used")?);
    let token: Option<String> = row.get("token")?;
    let stamps = (login.as_deref(), used.as_str());
    columns::kept(hash, rows::uuid(row, "person")?, stamps, token.as_deref())
}

pub(super) fn keep_session(db: &Connection, kept: &Kept, now_ms: i64) -> Result<(), Trouble> {
    let session = &kept.session;
    db.execute("DELETE FROM session WHERE ends_ms < ?1", [now_ms])?;
    db.execute(
        "INSERT INTO session (sha256, person, login, used, ends_ms, token)
         VALUES (:sha256, :person, :login, :used, :ends_ms, :token)",
        named_params! {
            ":sha256": session.hash.bytes(),
            ":person": session.user.uuid().as_bytes(),
            ":login": session.login.map(|login| login.to_string()),
            ":used": session.used.to_string(),
            ":ends_ms": kept.ends_ms(),
            ":token": kept.token.as_ref().map(Token::written),
        },
    )?;
    Ok(())
}

/// Changes nothing where the session was ended meanwhile: a request that was under way does not
/// bring it back.
pub(super) fn touch_session(db: &Connection, kept: &Kept) -> Result<(), Trouble> {
    let session = &kept.session;
    db.execute(
        "UPDATE session SET login = ?2, used = ?3, ends_ms = ?4 WHERE sha256 = ?1",
        (
            session.hash.bytes(),
            session.login.map(|login| login.to_string()),
            session.used.to_string(),
            kept.ends_ms(),
        ),
    )?;
    Ok(())
}

pub(super) fn end_session(db: &Connection, hash: SecretHash) -> Result<(), Trouble> {
    db.execute("DELETE FROM session WHERE sha256 = ?1", [hash.bytes()])?;
    Ok(())
}

pub(super) fn end_sessions(
    db: &Connection,
    id: UserId,
    spared: Option<SecretHash>,
) -> Result<(), Trouble> {
    db.execute(
        "DELETE FROM session
          WHERE person = ?1 AND (?2 IS NULL OR (sha256 <> ?2 AND token IS NULL))",
        (id.uuid().as_bytes(), spared.map(|hash| *hash.bytes())),
    )?;
    Ok(())
}

pub(super) fn setting(db: &Connection, key: &str) -> Result<Option<String>, Trouble> {
    let found = db
        .query_row("SELECT value FROM setting WHERE key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(found)
}

pub(super) fn add_to_setting(db: &Connection, key: &str, line: &str) -> Result<(), Trouble> {
    db.execute(
        "INSERT INTO setting (key, value) VALUES (?1, ?2)
             ON CONFLICT (key)
             DO UPDATE SET value = substr(value || char(10) || excluded.value, -2000)",
        (key, line),
    )?;
    Ok(())
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
    let (grants, link): (Option<String>, Option<String>) = (row.get("grants")?, row.get("link")?);
    let row_name: String = row.get("folded")?;
    Ok(Person {
        user: columns::user(rows::uuid(row, "id")?, &name, &role)?,
        password: row.get("password")?,
        ways: row.get("ways")?,
        begun: row.get("begun")?,
        made_ms: row.get("made_ms")?,
        grants: grants.as_deref().map(branches::read),
        link: link.map(|link| columns::link(&link, &row_name)).transpose()?,
    })
}
