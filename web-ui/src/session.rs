//! From the cookie of a request to who makes it and what they may.
//!
//! | The route needs   | Nobody | Role too small | Stale session  |
//! |-------------------|--------|----------------|----------------|
//! | nobody            | goes   | goes           | goes           |
//! | a login           | 401    | goes           | goes           |
//! | to be allowed     | 401    | 403            | goes           |
//! | to change things  | 401    | 403            | 403 `login_again` |

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::{Act, Pace, Session, SessionId, Slowing, Standing, User};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use metering::Moment;
use store::StoreError;
use tokio::sync::Semaphore;

use crate::figures::UsualDays;
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

fn not_logged_in() -> Problem {
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
            people::keep_session(core, &session).await?;
        }
        Ok(Some(Visitor { user: person.user, session, standing }))
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

/// What all listeners share, in memory alone.
pub(crate) struct Doors {
    /// At most two passwords are hashed at once, so that logins are no way to use up the memory.
    hashing: Arc<Semaphore>,
    /// Pages that listen to live values. More are told to try again.
    pub(crate) streams: Arc<Semaphore>,
    slowing: Mutex<SlowingOf>,
    /// What is usual for a day, which changes with the date only.
    pub(crate) usual: Mutex<UsualDays>,
}

struct SlowingOf {
    accounts: Slowing<String>,
    sources: Slowing<IpAddr>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            hashing: Arc::new(Semaphore::new(2)),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            slowing: Mutex::new(SlowingOf {
                accounts: Slowing::new(Pace::ACCOUNT),
                sources: Slowing::new(Pace::SOURCE),
            }),
            usual: Mutex::default(),
        }
    }
}

/// More than the people and screens of a building.
const MOST_STREAMS: usize = 64;

impl Doors {
    /// Counts a try to get in as `account` from `source`, before it is judged.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many wrong ones that it has to wait.
    pub(crate) fn knock(&self, account: &str, source: Source, now: &Moment) -> Result<(), Problem> {
        let now = now.boottime;
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = slowing.accounts.wait(account, now);
        let wait = wait.max(source.0.and_then(|source| slowing.sources.wait(&source, now)));
        if let Some(wait) = wait {
            let detail = "There were many wrong tries. Wait, then try again.";
            return Err(Problem::new(Code::Slowed, detail).retry_after(wait));
        }
        slowing.accounts.count(account.to_owned(), now);
        if let Some(source) = source.0 {
            slowing.sources.count(source, now);
        }
        Ok(())
    }

    /// It was right.
    pub(crate) fn welcome(&self, account: &str, source: Source) {
        let mut slowing = self.slowing.lock().unwrap_or_else(PoisonError::into_inner);
        slowing.accounts.forgive(account);
        if let Some(source) = source.0 {
            slowing.sources.forgive(&source);
        }
    }

    /// Does `work`, which hashes one password, when its turn has come.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] if that would take too long.
    ///
    /// # Cancellation
    ///
    /// Work that has begun goes on when the visitor leaves, and keeps its turn until it is done.
    pub(crate) async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.hashing).acquire_owned();
        let busy = || {
            let detail = "Too many people are logging in at once. Try again in a moment.";
            Problem::new(Code::Busy, detail).retry_after(Duration::from_secs(5))
        };
        let Ok(Ok(turn)) = tokio::time::timeout(LONGEST_TURN, turn).await else {
            return Err(busy());
        };
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        worked.await.map_err(|_| Problem::stopping())
    }
}

/// A hash takes a quarter of a second on the slowest gateway, so this is a queue of eighty.
const LONGEST_TURN: Duration = Duration::from_secs(10);

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// Where a try came from.
///
/// Of an IPv6 address its network, because one machine has as many addresses as it likes there.
/// Nothing is charged to the loopback address: behind a proxy on this machine it is everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(Option<IpAddr>);

impl Source {
    fn of(extensions: &Extensions) -> Self {
        let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else {
            return Self(Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        };
        let ip = peer.ip().to_canonical();
        if ip.is_loopback() {
            return Self(None);
        }
        Self(Some(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.extensions))
    }
}
