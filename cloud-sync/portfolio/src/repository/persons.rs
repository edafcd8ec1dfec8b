//! Those who may log in, as they are kept.

use std::fmt::{self, Debug};

use access::{Act, Link, Role, Scope, Session, Ways};
use serde::{Deserialize, Serialize};

use crate::branches::{self, Grant};

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: access::User,
    /// The password as argon2id in a PHC string.
    pub password: String,
    /// How they get in beside it, as it is written: a change names what it changes.
    pub ways: String,
    /// The secret of an app that has not shown a code yet.
    pub begun: Option<String>,
    /// When they were made.
    pub made_ms: i64,
    /// What they may, and where, if that is not their role everywhere. Their role is the strongest of
    /// these then.
    pub grants: Option<Vec<Grant>>,
    /// What it is, if it is a link and no person.
    pub link: Option<Link>,
}

impl Person {
    /// Somebody new, who has all buildings and a password alone.
    pub fn new(user: access::User, password: String, made_ms: i64) -> Self {
        let ways = "{}".to_owned();
        Self { user, password, ways, begun: None, made_ms, grants: None, link: None }
    }

    /// The same, with these alone.
    #[must_use]
    pub fn with_grants(mut self, grants: Option<Vec<Grant>>) -> Self {
        self.grants = grants;
        self
    }

    /// What no other row may be called.
    pub(crate) fn row_name(&self) -> String {
        let link = self.link.as_ref().map(|link| link.row_name(self.user.id));
        link.unwrap_or_else(|| self.user.name.folded())
    }

    /// [`grants`](Self::grants) as they are kept.
    pub(crate) fn grants_text(&self) -> Option<String> {
        self.grants.as_deref().map(branches::written)
    }

    /// [`link`](Self::link) as it is kept.
    pub(crate) fn link_text(&self) -> Option<String> {
        self.link.as_ref().map(written_link)
    }

    /// Whether they decide who gets in: the last of these stays.
    pub(crate) fn is_owner(&self) -> bool {
        self.user.role == Role::Owner && self.grants.is_none() && self.link.is_none()
    }

    /// How they get in beside the password. `None` if that cannot be read: then nobody gets in, for an app
    /// may be meant.
    pub fn known_ways(&self) -> Option<Ways> {
        Ways::of_data(serde_json::from_str(&self.ways).ok()?)
    }
}

/// No secret of theirs stands in a log.
impl Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("user", &self.user).finish_non_exhaustive()
    }
}

/// [`Person::ways`] of `ways`.
pub(crate) fn written(ways: &Ways) -> String {
    // Texts and numbers alone, which JSON always has room for.
    serde_json::to_string(&ways.data()).unwrap_or_default()
}

/// What is kept of a link.
pub(crate) fn written_link(link: &Link) -> String {
    serde_json::to_string(&link.data()).unwrap_or_default()
}

/// The same without the app. One that cannot be read keeps nothing.
pub(crate) fn without_app(written_before: &str) -> String {
    let data = serde_json::from_str(written_before).unwrap_or_default();
    let mut ways = Ways::of_data(data).unwrap_or_default();
    (ways.app, ways.recovery) = (None, Vec::new());
    written(&ways)
}

/// Somebody, and where they are logged in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who.
    pub person: Person,
    /// With how many browsers.
    pub sessions: u32,
    /// How many tokens they have.
    pub tokens: u32,
    /// When one of all these was used last.
    pub used_ms: Option<i64>,
}

/// What becomes of somebody.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// What they are from now on.
    pub role: Role,
    /// Where, if it is not everywhere.
    pub grants: Option<Vec<Grant>>,
    /// Another password, as it is kept.
    pub password: Option<String>,
    /// Whether their app is lost.
    pub without_app: bool,
}

impl Change {
    /// Whether they decide from now on who gets in.
    pub(crate) fn makes_owner(&self) -> bool {
        self.role == Role::Owner && self.grants.is_none()
    }
}

impl Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was done.
    Done,
    /// Without them nobody could let anybody in, so it was not.
    LastOwner,
    /// There is no such person.
    Nobody,
}

/// A browser that somebody logged in from, or a program that comes in their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of what the browser or the program has.
    pub session: Session,
    /// Of a program.
    pub token: Option<Token>,
}

impl Kept {
    /// When it has ended if nobody uses it: a program's when it was to end.
    pub(crate) fn ends_ms(&self) -> i64 {
        if let Some(token) = &self.token {
            return token.ends_ms.unwrap_or(i64::MAX);
        }
        let lasts_ms = i64::try_from(Session::ENDS_AFTER.as_millis()).unwrap_or(i64::MAX);
        self.session.used.wall_ms.saturating_add(lasts_ms)
    }
}

/// What a program may, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which program comes with it.
    pub name: String,
    /// Of what its owner may.
    pub scope: Scope,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// When it ends, if it does.
    pub ends_ms: Option<i64>,
}

impl Token {
    /// As it is kept.
    pub(crate) fn written(&self) -> String {
        let Self { name, scope, made_ms, ends_ms } = self.clone();
        let scope = scope.acts().iter().map(|act| act.as_str().to_owned()).collect();
        serde_json::to_string(&TokenData { name, scope, made_ms, ends_ms }).unwrap_or_default()
    }

    /// What was kept.
    pub(crate) fn read(written: &str) -> Option<Self> {
        let TokenData { name, scope, made_ms, ends_ms } = serde_json::from_str(written).ok()?;
        let acts = Act::ALL.into_iter().filter(|act| scope.iter().any(|it| it == act.as_str()));
        let scope = Scope::of(&acts.collect::<Vec<_>>());
        Some(Self { name, scope, made_ms, ends_ms })
    }
}

#[derive(Serialize, Deserialize)]
struct TokenData {
    name: String,
    scope: Vec<String>,
    made_ms: i64,
    ends_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_kept_and_what_cannot_be_read_is_none() {
        let scope = Scope::of(&[Act::See, Act::Ask]);
        for ends_ms in [None, Some(7)] {
            let name = "energy \"report\"".to_owned();
            let token = Token { name, scope: scope.clone(), made_ms: 5, ends_ms };
            assert_eq!(Token::read(&token.written()), Some(token));
        }
        assert_eq!(Token::read("{}"), None);
        assert_eq!(Token::read(""), None);
    }

    #[test]
    fn without_the_app_the_rest_stays_and_what_cannot_be_read_lets_nobody_in() {
        let totp = access::Totp::new();
        let mut ways = Ways { app: Some(access::App { totp, taken: 3 }), ..Ways::default() };
        assert_eq!(ways.new_recovery().len(), 8);
        let user = access::User {
            id: metering::UserId::from_uuid(uuid::Uuid::nil()),
            name: "kari".parse().unwrap(),
            role: Role::Owner,
            meters: Vec::new(),
        };
        let person = |ways: String| Person { ways, ..Person::new(user.clone(), String::new(), 0) };
        let kept = written(&ways);
        assert_eq!(person(kept.clone()).known_ways(), Some(ways));
        assert_eq!(person(without_app(&kept)).known_ways(), Some(Ways::default()));
        let unreadable = kept.replace("\"secret\":\"", "\"secret\":\"1");
        assert_eq!(person(unreadable).known_ways(), None);
        assert_eq!(person(String::new()).known_ways(), None);
    }
}
