//! Who may log in, and who has.

use access::{SecretHash, Session};
use tokio_postgres::Row;

use super::{Trouble, Work};
use crate::columns::{self, ends_ms};
use crate::repository::Person;

pub(super) async fn add_first(db: &mut Work<'_>, person: &Person) -> Result<bool, Trouble> {
    // Of two who claim at once on two receivers one is the first.
    db.transaction.batch_execute("LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE").await?;
    if claimed(db).await? {
        return Ok(false);
    }
    db.change(
        "INSERT INTO person (id, name, folded, role, password, made_ms)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &person.user.id.uuid(),
            &person.user.name.as_str(),
            &person.user.name.folded(),
            &person.user.role.as_str(),
            &person.password,
            &person.made_ms,
        ],
    )
    .await?;
    Ok(true)
}

pub(super) async fn claimed(db: &mut Work<'_>) -> Result<bool, Trouble> {
    Ok(db.row("SELECT 1 FROM person LIMIT 1", &[]).await?.is_some())
}

pub(super) async fn named(db: &mut Work<'_>, folded: &str) -> Result<Option<Person>, Trouble> {
    let found = db
        .row("SELECT id, name, role, password, made_ms FROM person WHERE folded = $1", &[&folded])
        .await?;
    found.as_ref().map(person).transpose()
}

pub(super) async fn session(
    db: &mut Work<'_>,
    hash: SecretHash,
) -> Result<Option<(Session, Person)>, Trouble> {
    let found = db
        .row(
            "SELECT login, used, id, name, role, password, made_ms
           FROM session
           JOIN person ON person.id = session.person
          WHERE sha256 = $1",
            &[&hash.bytes().as_slice()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let person = person(&row)?;
    let (login, used) = columns::stamps(row.try_get("login")?, row.try_get("used")?)?;
    Ok(Some((Session { hash, user: person.user.id, login, used }, person)))
}

pub(super) async fn keep_session(
    db: &mut Work<'_>,
    session: &Session,
    now_ms: i64,
) -> Result<(), Trouble> {
    db.change("DELETE FROM session WHERE ends_ms < $1", &[&now_ms]).await?;
    db.change(
        "INSERT INTO session (sha256, person, login, used, ends_ms) VALUES ($1, $2, $3, $4, $5)",
        &[
            &session.hash.bytes().as_slice(),
            &session.user.uuid(),
            &session.login.map(|login| login.to_string()),
            &session.used.to_string(),
            &ends_ms(session),
        ],
    )
    .await?;
    Ok(())
}

/// Changes nothing where the session was ended meanwhile: a request that was under way does not
/// bring it back.
pub(super) async fn touch_session(db: &mut Work<'_>, session: &Session) -> Result<(), Trouble> {
    db.change(
        "UPDATE session SET login = $2, used = $3, ends_ms = $4 WHERE sha256 = $1",
        &[
            &session.hash.bytes().as_slice(),
            &session.login.map(|login| login.to_string()),
            &session.used.to_string(),
            &ends_ms(session),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn end_session(db: &mut Work<'_>, hash: SecretHash) -> Result<(), Trouble> {
    db.change("DELETE FROM session WHERE sha256 = $1", &[&hash.bytes().as_slice()]).await?;
    Ok(())
}

pub(super) async fn setting(db: &mut Work<'_>, key: &str) -> Result<Option<String>, Trouble> {
    let found = db.row("SELECT value FROM setting WHERE key = $1", &[&key]).await?;
    Ok(found.map(|row| row.try_get("value")).transpose()?)
}

pub(super) async fn put_setting(
    db: &mut Work<'_>,
    key: &str,
    value: Option<&str>,
) -> Result<(), Trouble> {
    match value {
        Some(value) => {
            db.change(
                "INSERT INTO setting (key, value) VALUES ($1, $2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                &[&key, &value],
            )
            .await?
        }
        None => db.change("DELETE FROM setting WHERE key = $1", &[&key]).await?,
    };
    Ok(())
}

fn person(row: &Row) -> Result<Person, Trouble> {
    columns::person(
        row.try_get("id")?,
        row.try_get("name")?,
        row.try_get("role")?,
        row.try_get("password")?,
        row.try_get("made_ms")?,
    )
}
