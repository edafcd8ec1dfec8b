//! Who may log in, and who has.

use access::{Role, SecretHash};
use metering::UserId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Trouble, Work};
use crate::branches;
use crate::columns;
use crate::repository::{Change, Changed, Kept, Person, Seen, Token, without_app};

pub(super) async fn add_first(db: &mut Work<'_>, person: &Person) -> Result<bool, Trouble> {
    // Of two who claim at once on two receivers one is the first.
    db.transaction.batch_execute("LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE").await?;
    if claimed(db).await? {
        return Ok(false);
    }
    add(db, person).await
}

pub(super) async fn add(db: &mut Work<'_>, person: &Person) -> Result<bool, Trouble> {
    let added = db
        .change(
            "INSERT INTO person (id, name, folded, role, password, ways, made_ms, grants, link)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT (folded) DO NOTHING",
            &[
                &person.user.id.uuid(),
                &person.user.name.as_str(),
                &person.row_name(),
                &person.user.role.as_str(),
                &person.password,
                &person.ways,
                &person.made_ms,
                &person.grants_text(),
                &person.link_text(),
            ],
        )
        .await?;
    Ok(added > 0)
}

pub(super) async fn claimed(db: &mut Work<'_>) -> Result<bool, Trouble> {
    Ok(db.row("SELECT 1 FROM person LIMIT 1", &[]).await?.is_some())
}

pub(super) async fn named(db: &mut Work<'_>, folded: &str) -> Result<Option<Person>, Trouble> {
    let found = db.row("SELECT * FROM person WHERE folded = $1", &[&folded]).await?;
    found.as_ref().map(person).transpose()
}

pub(super) async fn with_id(db: &mut Work<'_>, id: UserId) -> Result<Option<Person>, Trouble> {
    let found = db.row("SELECT * FROM person WHERE id = $1", &[&id.uuid()]).await?;
    found.as_ref().map(person).transpose()
}

pub(super) async fn all(db: &mut Work<'_>) -> Result<Vec<Seen>, Trouble> {
    let found = db.rows("SELECT * FROM person ORDER BY folded COLLATE \"C\"", &[]).await?;
    let people: Result<Vec<_>, _> = found.iter().map(person).collect();
    let mut sessions: Vec<(Uuid, String, bool)> = Vec::new();
    for row in
        db.rows("SELECT person, used, token IS NOT NULL AS is_token FROM session", &[]).await?
    {
        sessions.push((row.try_get("person")?, row.try_get("used")?, row.try_get("is_token")?));
    }
    columns::seen(people?, &sessions)
}

pub(super) async fn change(
    db: &mut Work<'_>,
    id: UserId,
    change: &Change,
    spared: SecretHash,
) -> Result<Changed, Trouble> {
    one_at_a_time(db).await?;
    let Some(person) = with_id(db, id).await? else { return Ok(Changed::Nobody) };
    if !change.makes_owner() && is_last_owner(db, &person).await? {
        return Ok(Changed::LastOwner);
    }
    let ways = if change.without_app { without_app(&person.ways) } else { person.ways };
    let password = change.password.as_ref().unwrap_or(&person.password);
    let grants = change.grants.as_deref().map(branches::written);
    db.change(
        "UPDATE person SET role = $2, password = $3, ways = $4, grants = $5 WHERE id = $1",
        &[&id.uuid(), &change.role.as_str(), password, &ways, &grants],
    )
    .await?;
    end_sessions(db, id, Some(spared)).await?;
    Ok(Changed::Done)
}

pub(super) async fn remove(db: &mut Work<'_>, id: UserId) -> Result<Changed, Trouble> {
    one_at_a_time(db).await?;
    let Some(person) = with_id(db, id).await? else { return Ok(Changed::Nobody) };
    if is_last_owner(db, &person).await? {
        return Ok(Changed::LastOwner);
    }
    // Their sessions go with them.
    db.change("DELETE FROM person WHERE id = $1", &[&id.uuid()]).await?;
    Ok(Changed::Done)
}

/// Of two owners who take each other's access away on two receivers one stays.
async fn one_at_a_time(db: &mut Work<'_>) -> Result<(), Trouble> {
    Ok(db.transaction.batch_execute("LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE").await?)
}

async fn is_last_owner(db: &mut Work<'_>, person: &Person) -> Result<bool, Trouble> {
    let owner = Role::Owner.as_str();
    let id = person.user.id.uuid();
    let others = "SELECT 1 AS one FROM person
                   WHERE role = $1 AND id <> $2 AND grants IS NULL AND link IS NULL LIMIT 1";
    let others = db.row(others, &[&owner, &id]).await?.is_some();
    Ok(person.is_owner() && !others)
}

pub(super) async fn change_password(
    db: &mut Work<'_>,
    id: UserId,
    before: &str,
    after: &str,
    spared: SecretHash,
) -> Result<bool, Trouble> {
    let changed = "UPDATE person SET password = $3 WHERE id = $1 AND password = $2";
    let changed = db.change(changed, &[&id.uuid(), &before, &after]).await?;
    if changed > 0 {
        end_sessions(db, id, Some(spared)).await?;
    }
    Ok(changed > 0)
}

pub(super) async fn change_ways(
    db: &mut Work<'_>,
    id: UserId,
    before: &str,
    after: &str,
) -> Result<bool, Trouble> {
    let changed = "UPDATE person SET ways = $3, begun = NULL WHERE id = $1 AND ways = $2";
    Ok(db.change(changed, &[&id.uuid(), &before, &after]).await? > 0)
}

pub(super) async fn begin_app(db: &mut Work<'_>, id: UserId, secret: &str) -> Result<(), Trouble> {
    db.change("UPDATE person SET begun = $2 WHERE id = $1", &[&id.uuid(), &secret]).await?;
    Ok(())
}

pub(super) async fn session(
    db: &mut Work<'_>,
    hash: SecretHash,
) -> Result<Option<(Kept, Person)>, Trouble> {
    let found = db
        .row(
            "SELECT session.*, person.*
           FROM session
           JOIN person ON person.id = session.person
          WHERE sha256 = $1",
            &[&hash.bytes().as_slice()],
        )
        .await?;
    found.as_ref().map(|row| Ok((kept(row)?, person(row)?))).transpose()
}

pub(super) async fn sessions_of(db: &mut Work<'_>, id: UserId) -> Result<Vec<Kept>, Trouble> {
    let found = db.rows("SELECT * FROM session WHERE person = $1", &[&id.uuid()]).await?;
    found.iter().map(kept).collect()
}

fn kept(row: &Row) -> Result<Kept, Trouble> {
    let hash: &[u8] = row.try_get("sha256")?;
    let hash = hash.try_into().map_err(|_| Trouble::foreign("a hash", hash.len()))?;
    let stamps = (row.try_get("login")?, row.try_get("used")?);
    columns::kept(SecretHash::of_bytes(hash), row.try_get("person")?, stamps, row.try_get("token")?)
}

pub(super) async fn keep(db: &mut Work<'_>, kept: &Kept, now_ms: i64) -> Result<(), Trouble> {
    let session = &kept.session;
    db.change("DELETE FROM session WHERE ends_ms < $1", &[&now_ms]).await?;
    db.change(
        "INSERT INTO session (sha256, person, login, used, ends_ms, token)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &session.hash.bytes().as_slice(),
            &session.user.uuid(),
            &session.login.map(|login| login.to_string()),
            &session.used.to_string(),
            &kept.ends_ms(),
            &kept.token.as_ref().map(Token::written),
        ],
    )
    .await?;
    Ok(())
}

/// Changes nothing where the session was ended meanwhile: a request that was under way does not
/// bring it back.
pub(super) async fn touch_session(db: &mut Work<'_>, kept: &Kept) -> Result<(), Trouble> {
    let session = &kept.session;
    db.change(
        "UPDATE session SET login = $2, used = $3, ends_ms = $4 WHERE sha256 = $1",
        &[
            &session.hash.bytes().as_slice(),
            &session.login.map(|login| login.to_string()),
            &session.used.to_string(),
            &kept.ends_ms(),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn end_session(db: &mut Work<'_>, hash: SecretHash) -> Result<(), Trouble> {
    db.change("DELETE FROM session WHERE sha256 = $1", &[&hash.bytes().as_slice()]).await?;
    Ok(())
}

pub(super) async fn end_sessions(
    db: &mut Work<'_>,
    id: UserId,
    spared: Option<SecretHash>,
) -> Result<(), Trouble> {
    let spared = spared.map(|hash| hash.bytes().to_vec());
    db.change(
        "DELETE FROM session
          WHERE person = $1 AND ($2::bytea IS NULL OR (sha256 <> $2 AND token IS NULL))",
        &[&id.uuid(), &spared],
    )
    .await?;
    Ok(())
}

pub(super) async fn setting(db: &mut Work<'_>, key: &str) -> Result<Option<String>, Trouble> {
    let found = db.row("SELECT value FROM setting WHERE key = $1", &[&key]).await?;
    Ok(found.map(|row| row.try_get("value")).transpose()?)
}

pub(super) async fn add_to_setting(
    db: &mut Work<'_>,
    key: &str,
    line: &str,
) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO setting (key, value) VALUES ($1, $2)
             ON CONFLICT (key)
             DO UPDATE SET value = right(setting.value || chr(10) || excluded.value, 2000)",
        &[&key, &line],
    )
    .await?;
    Ok(())
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
    let (link, row_name): (Option<&str>, &str) = (row.try_get("link")?, row.try_get("folded")?);
    Ok(Person {
        user: columns::user(row.try_get("id")?, row.try_get("name")?, row.try_get("role")?)?,
        password: row.try_get("password")?,
        ways: row.try_get("ways")?,
        begun: row.try_get("begun")?,
        made_ms: row.try_get("made_ms")?,
        grants: row.try_get::<_, Option<&str>>("grants")?.map(branches::read),
        link: link.map(|link| columns::link(link, row_name)).transpose()?,
    })
}
