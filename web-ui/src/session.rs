//! From the cookie or the token of a request to who makes it and what they may.
//!
//! | The route needs   | Nobody | Role too small, or not in the token's scope | Stale session     |
//! |-------------------|--------|----------------------------------------------|-------------------|
//! | nobody            | goes   | goes                                         | goes              |
//! | a login           | 401    | goes                                         | goes              |
//! | to be a person    | 401    | 403 for links and tokens                     | 403 `login_again` |
//! | to be allowed     | 401    | 403                                          | goes              |
//! | to change things  | 401    | 403                                          | 403 `login_again` |
//!
//! A token is as fresh as on its first day: it was given its scope by somebody who had just logged in.

use std::error::Error;
use std::sync::Arc;

use access::{Act, LinkKind, Scope, Session, SessionId, Standing, Ticket, User};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use metering::Moment;
use openapi::Need;
use store::StoreError;
use tokio::sync::MutexGuard;

use crate::doors::Source;
use crate::people::{Kept, Opened};
use crate::problem::{Code, Problem};
use crate::{Listener, Web, people};

/// Who makes a request: somebody with a session or a token.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) user: User,
    pub(crate) session: Session,
    pub(crate) standing: Standing,
    pub(crate) via: Via,
}

/// How somebody has got in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// As themselves.
    Person,
    Link(LinkKind),
    Token(Scope),
}

impl Visitor {
    pub(crate) fn may(&self, act: Act) -> bool {
        let scoped = match &self.via {
            Via::Token(scope) => scope.allows(act),
            Via::Person | Via::Link(_) => true,
        };
        scoped && self.user.may(act)
    }

    /// By name, as the audit log has it.
    pub(crate) fn name(&self) -> String {
        self.user.name.to_string()
    }

    /// Whether they see what a meter showed within an hour.
    pub(crate) fn sees_within_hours(&self) -> bool {
        self.user.role.sees_within_hours()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Option<Self>>().cloned().flatten();
        visitor.ok_or_else(not_logged_in)
    }
}

/// A visitor, or nobody.
pub(crate) struct Anyone(pub(crate) Option<Visitor>);

impl<S: Send + Sync> FromRequestParts<S> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Option<Visitor>>().cloned().flatten()))
    }
}

/// The layer of a route: lets in whom it may, and tells it who that is.
pub(crate) async fn admit(
    State((web, need)): State<(Arc<Web>, Need)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let visitor = web.visitor(request.headers()).await?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (need, &visitor) {
        (Need::Nobody, _) | (Need::Login, Some(_)) => {}
        (_, None) => return Err(not_logged_in()),
        (Need::Person, Some(visitor)) => {
            if visitor.via != Via::Person {
                let detail = "This is for people who log in, and neither for links nor for tokens.";
                return Err(Problem::new(Code::NotAllowed, detail).with("role", &visitor.user.role));
            }
            if !reads && visitor.standing != Standing::Fresh {
                return Err(login_again());
            }
        }
        (Need::May(act), Some(visitor)) => {
            if !visitor.may(act) {
                let role = visitor.user.role;
                let detail = match visitor.via {
                    Via::Token(_) => {
                        "The token may not do this. Make one of a larger scope.".into()
                    }
                    _ => format!("The role {role} may not do this. Ask an owner."),
                };
                return Err(Problem::new(Code::NotAllowed, detail).with("role", &role));
            }
            if act.changes() && !reads && visitor.standing != Standing::Fresh {
                return Err(login_again());
            }
        }
    }
    request.extensions_mut().insert(visitor);
    Ok(next.run(request).await)
}

fn login_again() -> Problem {
    let detail = "The last login is too long ago for a change. Log in and repeat it.";
    Problem::new(Code::LoginAgain, detail)
}

pub(crate) fn not_logged_in() -> Problem {
    Problem::new(Code::NotLoggedIn, "Log in first.")
}

impl<S: Send + Sync> FromRequestParts<S> for Opened {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let from = Source::from_request_parts(parts, state).await?.to_string();
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent = agent.unwrap_or_default().chars().filter(|it| !it.is_control()).take(300);
        Ok(Self { agent: agent.collect(), from })
    }
}

/// The text behind `Bearer`.
fn token_of(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// `Kari Moen (energy report)`, cut to what a name may have.
fn long_name(user: &User, token: &str) -> String {
    format!("{} ({token})", user.name).chars().take(64).collect()
}

impl Web {
    pub(crate) fn now(&self) -> Moment {
        self.handles.clock.now()
    }

    async fn visitor(&self, headers: &HeaderMap) -> Result<Option<Visitor>, StoreError> {
        // Who comes with a token has no cookie that counts, and the other way round. What a proxy in
        // between asks for, as `Authorization: Basic`, is nothing to us.
        let authorization = headers.get(header::AUTHORIZATION);
        let bearer = authorization.and_then(|it| it.to_str().ok()).and_then(token_of);
        let hash = match bearer {
            Some(token) => Ticket::hash_of_token(token),
            None => self.listener.cookie_of(headers).map(SessionId::hash_of),
        };
        let Some(hash) = hash else { return Ok(None) };
        let now = self.now();
        let Some((mut kept, person)) = people::session(&self.handles.core, hash).await? else {
            return Ok(None);
        };
        if kept.token.is_some() != bearer.is_some() {
            return Ok(None);
        }
        let mut user = person.user;
        let link = person.link.as_ref();
        let (standing, via) = match (&kept.token, link) {
            (Some(token), _) => {
                if token.ends_ms.is_some_and(|ends| now.wall_ms() > ends) {
                    return Ok(None);
                }
                if let Ok(name) = long_name(&user, &token.name).parse() {
                    user.name = name;
                }
                (Standing::Fresh, Via::Token(token.scope.clone()))
            }
            (None, Some(link)) if link.has_ended(now.wall_ms()) => return Ok(None),
            (None, Some(link)) => (kept.session.standing(&now), Via::Link(link.kind)),
            (None, None) => (kept.session.standing(&now), Via::Person),
        };
        if standing == Standing::Ended {
            return Ok(None);
        }
        if kept.session.touch(&now) {
            self.keep_used(&kept.session).await;
        }
        Ok(Some(Visitor { user, session: kept.session, standing, via }))
    }

    /// Notes that `session` is used, unless it was ended a moment ago.
    ///
    /// That it cannot be noted, because the disk is full, keeps nobody from looking: it counts as
    /// idle for longer than it was, and takes no changes sooner.
    async fn keep_used(&self, session: &Session) {
        let core = &self.handles.core;
        let _changing = self.doors.people.lock().await;
        let kept = match people::session(core, session.hash).await {
            Ok(Some((kept, _))) => {
                people::keep_session(core, &Kept { session: session.clone(), ..kept }).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::warn!(error = &error as &dyn Error, "the use of a session is not noted");
        }
    }

    /// The turn to change people or sessions, for `visitor`.
    ///
    /// # Errors
    ///
    /// [`Code::NotLoggedIn`] if their session was ended since the request began. A body may take
    /// its time, and whoever was removed meanwhile lets nobody in.
    pub(crate) async fn change_by(&self, visitor: &Visitor) -> Result<MutexGuard<'_, ()>, Problem> {
        let changing = self.doors.people.lock().await;
        let there = people::session(&self.handles.core, visitor.session.hash).await?;
        there.map(|_| changing).ok_or_else(not_logged_in)
    }
}

impl Listener {
    const fn cookie_name(self) -> &'static str {
        match self {
            // The prefix makes the browser insist on Secure and on Path=/ without Domain.
            Self::Https => "__Host-fyrhus",
            Self::PlainLoopback => "fyrhus",
        }
    }

    fn cookie_of(self, headers: &HeaderMap) -> Option<&str> {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let mut pairs = cookies.filter_map(|line| line.to_str().ok()).flat_map(|it| it.split(';'));
        pairs.find_map(|pair| pair.trim().strip_prefix(self.cookie_name())?.strip_prefix('='))
    }

    /// The header that gives the browser `id`, or takes it away.
    pub(crate) fn set_cookie(self, id: Option<&SessionId>) -> Option<HeaderValue> {
        let name = self.cookie_name();
        let secure = if self == Self::Https { "; Secure" } else { "" };
        let (value, age) = match id {
            Some(id) => (id.cookie(), Session::ENDS_AFTER.as_secs()),
            None => (String::new(), 0),
        };
        let attributes = "Path=/; HttpOnly; SameSite=Strict";
        let cookie = format!("{name}={value}; {attributes}; Max-Age={age}{secure}");
        HeaderValue::try_from(cookie).ok()
    }
}
