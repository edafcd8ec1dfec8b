//! Users and sessions as rows of the store, and back.
//!
//! What a row says that this version does not understand makes a user that nobody can log in as,
//! never one that may more.

use std::time::Duration;

use access::{Role, SecretHash, Session, Stamp, User, UserName};
use metering::{MeterId, Moment, UserId};
use serde::{Deserialize, Serialize};
use store::{Core, StoreError};

/// A user with what only this module writes.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    /// The password as argon2id in a PHC string.
    pub(crate) password: String,
    pub(crate) created_ms: i64,
}

/// What stands in a user's `data`.
///
/// The row's name is the folded one, because the store folds ASCII alone: `ÅSE` and `Åse` are one
/// user. As the person writes it, it stands here.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct UserData {
    name: Option<String>,
    meters: Vec<MeterId>,
}

/// What stands in a session's `data`.
#[derive(Debug, Serialize, Deserialize)]
struct SessionData {
    login: Option<String>,
    used: String,
}

impl Person {
    /// A new one, of whom the password's hash is known.
    pub(crate) fn new(
        name: UserName,
        role: Role,
        meters: Vec<MeterId>,
        password: String,
        now: &Moment,
    ) -> Self {
        let id = UserId::from_uuid(uuid_v7(now));
        let user = User { id, name, role, meters };
        Self { user, password, created_ms: now.wall_ms() }
    }

    pub(crate) fn row(&self) -> store::User {
        let name = Some(self.user.name.to_string());
        let data = UserData { name, meters: self.user.meters.clone() };
        store::User {
            id: self.user.id,
            name: self.user.name.folded(),
            role: self.user.role.to_string(),
            password: self.password.clone(),
            created_ms: self.created_ms,
            data: serde_json::to_string(&data).unwrap_or_default(),
        }
    }

    /// `None`, and a word in the log, if the row makes no sense.
    pub(crate) fn of_row(row: &store::User) -> Option<Self> {
        let read = || {
            let data: UserData = match row.data.as_str() {
                "" => UserData::default(),
                data => serde_json::from_str(data).ok()?,
            };
            let user = User {
                id: row.id,
                name: data.name.as_deref().unwrap_or(&row.name).parse().ok()?,
                role: row.role.parse().ok()?,
                meters: data.meters,
            };
            Some(Self { user, password: row.password.clone(), created_ms: row.created_ms })
        };
        let person = read();
        if person.is_none() {
            tracing::warn!(user = %row.id, "a user of the database makes no sense and is ignored");
        }
        person
    }
}

/// Everybody who makes sense.
pub(crate) async fn all(core: &Core) -> Result<Vec<Person>, StoreError> {
    Ok(core.users().await?.iter().filter_map(Person::of_row).collect())
}

/// Who logs in as `name`.
pub(crate) async fn named(core: &Core, name: &UserName) -> Result<Option<Person>, StoreError> {
    let row = core.user_named(name.folded()).await?;
    Ok(row.as_ref().and_then(Person::of_row))
}

/// Who has this id.
pub(crate) async fn with_id(core: &Core, id: UserId) -> Result<Option<Person>, StoreError> {
    Ok(core.user(id).await?.as_ref().and_then(Person::of_row))
}

/// The session with this hash, and whose it is.
pub(crate) async fn session(
    core: &Core,
    hash: SecretHash,
) -> Result<Option<(Session, Person)>, StoreError> {
    let Some(row) = core.session(hash.bytes().to_vec()).await? else {
        return Ok(None);
    };
    let Ok(SessionData { login, used }) = serde_json::from_str(&row.data) else {
        return Ok(None);
    };
    let Ok(used) = used.parse::<Stamp>() else {
        return Ok(None);
    };
    let login = login.and_then(|login| login.parse().ok());
    let person = with_id(core, row.user).await?;
    Ok(person.map(|person| (Session { hash, user: row.user, login, used }, person)))
}

/// Keeps a session that is new, or that was used.
pub(crate) async fn keep_session(core: &Core, session: &Session) -> Result<(), StoreError> {
    let Session { hash, user, login, used } = session;
    let data = SessionData { login: login.map(|it| it.to_string()), used: used.to_string() };
    core.put_session(store::Session {
        hash: hash.bytes().to_vec(),
        user: *user,
        created_ms: login.unwrap_or(*used).wall_ms,
        seen_ms: used.wall_ms,
        expires_ms: used.wall_ms.saturating_add(ms(Session::ENDS_AFTER)),
        data: serde_json::to_string(&data).unwrap_or_default(),
    })
    .await
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Version 7 of the wall clock, so that users sort by age.
fn uuid_v7(now: &Moment) -> uuid::Uuid {
    let ms = u64::try_from(now.wall_ms()).unwrap_or_default();
    let time = uuid::Timestamp::from_unix(uuid::NoContext, ms / 1_000, subsec_nanos(ms));
    uuid::Uuid::new_v7(time)
}

fn subsec_nanos(ms: u64) -> u32 {
    u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000
}
