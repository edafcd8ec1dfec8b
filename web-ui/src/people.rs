//! Users, sessions, links and tokens as rows of the store, and back.
//!
//! | What    | Row                                                                        |
//! |---------|----------------------------------------------------------------------------|
//! | person  | a user, with a name and a password                                         |
//! | link    | a user without either: what it logs in as is the hash of its secret        |
//! | session | a session; of a link, a session of that user                               |
//! | token   | a session of its person that ends when it says, with a name and a scope    |
//!
//! So whoever is removed takes everything with them that acts for them.
//!
//! What a row says that this version does not understand makes a user that nobody can log in as,
//! never one that may more.

use std::time::Duration;

use access::{
    Act, Link, LinkData, Role, Scope, SecretHash, Session, Stamp, User, UserName, Ways, WaysData,
};
use metering::{MeterId, Moment, UserId};
use serde::{Deserialize, Serialize};
use store::{Core, StoreError};

/// A user with what only this module writes.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    /// The password as argon2id in a PHC string; empty, which is none, for a link.
    pub(crate) password: String,
    pub(crate) created_ms: i64,
    /// Second factor and passkeys.
    pub(crate) ways: Ways,
    /// What it is, if it is a link and no person.
    pub(crate) link: Option<Link>,
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
    #[serde(flatten)]
    ways: WaysData,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkData>,
}

/// What stands in a session's `data`.
#[derive(Debug, Serialize, Deserialize)]
struct SessionData {
    login: Option<String>,
    used: String,
    #[serde(default)]
    opened: Opened,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenData>,
}

/// Where a session was opened, as the one who opened it may know it again by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Opened {
    /// What the browser calls itself.
    pub(crate) agent: String,
    /// Its address.
    pub(crate) from: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct TokenData {
    name: String,
    scope: Vec<String>,
}

/// What makes a session a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// When it ends, if it does.
    pub(crate) ends_ms: Option<i64>,
}

/// A session with what only this module writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) session: Session,
    pub(crate) opened: Opened,
    pub(crate) token: Option<Token>,
    pub(crate) created_ms: i64,
}

impl Kept {
    pub(crate) fn new(session: Session, opened: Opened) -> Self {
        let created_ms = session.used.wall_ms;
        Self { session, opened, token: None, created_ms }
    }

    /// What a list calls it: enough of its hash to tell it from others.
    pub(crate) fn id(&self) -> String {
        self.session.hash.to_string().chars().take(16).collect()
    }

    fn of_row(row: &store::Session) -> Option<Self> {
        let SessionData { login, used, opened, token } = serde_json::from_str(&row.data).ok()?;
        let hash = SecretHash::of_bytes(row.hash.as_slice().try_into().ok()?);
        let login = login.and_then(|login| login.parse().ok());
        let session = Session { hash, user: row.user, login, used: used.parse().ok()? };
        let token = token.map(|TokenData { name, scope }| {
            let given = |act: &Act| scope.iter().any(|it| it == act.as_str());
            let scope: Vec<Act> = Act::ALL.into_iter().filter(given).collect();
            let ends_ms = (row.expires_ms < i64::MAX).then_some(row.expires_ms);
            Token { name, scope: Scope::of(&scope), ends_ms }
        });
        Some(Self { session, opened, token, created_ms: row.created_ms })
    }
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
        let ways = Ways::default();
        Self { user, password, created_ms: now.wall_ms(), ways, link: None }
    }

    pub(crate) fn row(&self) -> store::User {
        let data = UserData {
            name: Some(self.user.name.to_string()),
            meters: self.user.meters.clone(),
            ways: self.ways.data(),
            link: self.link.as_ref().map(Link::data),
        };
        store::User {
            id: self.user.id,
            name: match &self.link {
                Some(link) => link.row_name(self.user.id),
                None => self.user.name.folded(),
            },
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
            let link = data.link.map(|link| Link::of_data(link, &row.name));
            let ways = Ways::of_data(data.ways)?;
            let password = row.password.clone();
            Some(Self { user, password, created_ms: row.created_ms, ways, link })
        };
        let person = read();
        if person.is_none() {
            tracing::warn!(user = %row.id, "a user of the database makes no sense and is ignored");
        }
        person
    }
}

/// Everybody who makes sense: people and links.
pub(crate) async fn all(core: &Core) -> Result<Vec<Person>, StoreError> {
    Ok(core.users().await?.iter().filter_map(Person::of_row).collect())
}

/// Who logs in as `name`.
pub(crate) async fn named(core: &Core, name: &UserName) -> Result<Option<Person>, StoreError> {
    let row = core.user_named(name.folded()).await?;
    Ok(row.as_ref().and_then(Person::of_row).filter(|person| person.link.is_none()))
}

/// The link whose secret has this hash.
pub(crate) async fn link(core: &Core, hash: SecretHash) -> Result<Option<Person>, StoreError> {
    let row = core.user_named(Link::open_name(hash)).await?;
    Ok(row.as_ref().and_then(Person::of_row).filter(|person| person.link.is_some()))
}

/// Who has this id.
pub(crate) async fn with_id(core: &Core, id: UserId) -> Result<Option<Person>, StoreError> {
    Ok(core.user(id).await?.as_ref().and_then(Person::of_row))
}

/// The session or token with this hash, and whose it is.
pub(crate) async fn session(
    core: &Core,
    hash: SecretHash,
) -> Result<Option<(Kept, Person)>, StoreError> {
    let Some(kept) = core.session(hash.bytes().to_vec()).await?.as_ref().and_then(Kept::of_row)
    else {
        return Ok(None);
    };
    Ok(with_id(core, kept.session.user).await?.map(|person| (kept, person)))
}

/// The sessions and tokens of a user, the oldest first; also those that have ended.
pub(crate) async fn sessions_of(core: &Core, user: UserId) -> Result<Vec<Kept>, StoreError> {
    Ok(core.sessions_of(user).await?.iter().filter_map(Kept::of_row).collect())
}

/// Ends the sessions of a user but `but`; their tokens stay.
pub(crate) async fn end_sessions(
    core: &Core,
    user: UserId,
    but: Option<SecretHash>,
) -> Result<(), StoreError> {
    for kept in sessions_of(core, user).await? {
        if kept.token.is_none() && but != Some(kept.session.hash) {
            core.delete_session(kept.session.hash.bytes().to_vec()).await?;
        }
    }
    Ok(())
}

/// Keeps a session that is new, or that was used.
pub(crate) async fn keep_session(core: &Core, kept: &Kept) -> Result<(), StoreError> {
    let Kept { session: Session { hash, user, login, used }, opened, token, created_ms } = kept;
    let scope = |scope: &Scope| scope.acts().iter().map(|act| act.as_str().to_owned()).collect();
    let data = SessionData {
        login: login.map(|it| it.to_string()),
        used: used.to_string(),
        opened: opened.clone(),
        token: token
            .as_ref()
            .map(|it| TokenData { name: it.name.clone(), scope: scope(&it.scope) }),
    };
    let expires_ms = match token {
        Some(token) => token.ends_ms.unwrap_or(i64::MAX),
        None => used.wall_ms.saturating_add(ms(Session::ENDS_AFTER)),
    };
    core.put_session(store::Session {
        hash: hash.bytes().to_vec(),
        user: *user,
        created_ms: *created_ms,
        seen_ms: used.wall_ms,
        expires_ms,
        data: serde_json::to_string(&data).unwrap_or_default(),
    })
    .await
}

/// A session that its user has just opened.
pub(crate) fn opened(user: UserId, now: &Moment, opened: Opened) -> (access::SessionId, Kept) {
    let (id, session) = Session::open(user, now);
    (id, Kept::new(session, opened))
}

/// A token of `user`, with the hash of its secret.
pub(crate) fn token(hash: SecretHash, user: UserId, token: Token, now: &Moment) -> Kept {
    let session = Session { hash, user, login: None, used: Stamp::of(now) };
    Kept { token: Some(token), ..Kept::new(session, Opened::default()) }
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
