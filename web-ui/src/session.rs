//! From the cookie of a request to who makes it and what they may.
//!
//! | The route needs   | Nobody | Role too small | Stale session  |
//! |-------------------|--------|----------------|----------------|
//! | nobody            | goes   | goes           | goes           |
//! | a login           | 401    | goes           | goes           |
//! | to be allowed     | 401    | 403            | goes           |
//! | to change things  | 401    | 403            | 403 `login_again` |

use std::error::Error;
use std::sync::Arc;

use access::{Act, Session, SessionId, Standing, User};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use metering::Moment;
use store::StoreError;
use tokio::sync::MutexGuard;

use crate::problem::{Code, Problem};
use crate::{Listener, Web, people};

/// What a visitor needs for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Not even a login.
    Nobody,
    /// To be logged in, as anything.
    Login,
    /// To be allowed this.
    May(Act),
}

/// Who makes a request: somebody with a session.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) user: User,
    pub(crate) session: Session,
    pub(crate) standing: Standing,
}

impl Visitor {
    pub(crate) fn may(&self, act: Act) -> bool {
        self.user.may(act)
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
    match (need, &visitor) {
        (Need::Nobody, _) | (Need::Login, Some(_)) => {}
        (_, None) => return Err(not_logged_in()),
        (Need::May(act), Some(visitor)) => {
            if !visitor.may(act) {
                let role = visitor.user.role;
                let detail = format!("The role {role} may not do this. Ask an owner.");
                return Err(Problem::new(Code::NotAllowed, detail).with("role", &role));
            }
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            if act.changes() && !reads && visitor.standing != Standing::Fresh {
                let detail = "The last login is too long ago for a change. Log in and repeat it.";
                return Err(Problem::new(Code::LoginAgain, detail));
            }
        }
    }
    request.extensions_mut().insert(visitor);
    Ok(next.run(request).await)
}

pub(crate) fn not_logged_in() -> Problem {
    Problem::new(Code::NotLoggedIn, "Log in first.")
}

impl Web {
    pub(crate) fn now(&self) -> Moment {
        self.handles.clock.now()
    }

    async fn visitor(&self, headers: &HeaderMap) -> Result<Option<Visitor>, StoreError> {
        let Some(cookie) = self.listener.cookie_of(headers) else {
            return Ok(None);
        };
        let core = &self.handles.core;
        let now = self.now();
        let Some((mut session, person)) = people::session(core, SessionId::hash_of(cookie)).await?
        else {
            return Ok(None);
        };
        let standing = session.standing(&now);
        if standing == Standing::Ended {
            return Ok(None);
        }
        if session.touch(&now) {
            self.keep_used(&session).await;
        }
        Ok(Some(Visitor { user: person.user, session, standing }))
    }

    /// Notes that `session` is used, unless it was ended a moment ago.
    ///
    /// That it cannot be noted, because the disk is full, keeps nobody from looking: it counts as
    /// idle for longer than it was, and takes no changes sooner.
    async fn keep_used(&self, session: &Session) {
        let core = &self.handles.core;
        let _changing = self.doors.people.lock().await;
        let kept = match people::session(core, session.hash).await {
            Ok(Some(_)) => people::keep_session(core, session).await,
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
