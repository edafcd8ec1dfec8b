//! What people ask for: pages, and the API that the pages use.
//!
//! ```text
//!  request ──▶ guard: Host, Origin, time ──▶ route: session, role ──▶ handler ──▶ Repository
//! ```
//!
//! **Invariant:** a route that shows or changes something stands in [`routes`](crate::routes) with
//! what it takes to use it; nothing else decides that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::{Act, Pace, SessionId, Slowing, Standing, Ticket, User};
use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::http::uri::{Authority as HostAndPort, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use listener::Peer;
use metering::{Clock, Moment, SiteId, UserId};
use openapi::{Need, Route};
use tokio::sync::Semaphore;
use tokio::time;

use crate::assets;
use crate::authority::Authority;
use crate::branches::{Reach, Tree};
use crate::config::LimitsConfig;
use crate::ledgers::Ledgers;
use crate::limits::{Caller, Counted, FromAddress, Limits};
use crate::problem::{Code, Problem};
use crate::quota::Quota;
use crate::repository::{Kept, Person, Repository, RepositoryError, Token};
use crate::routes::V1;
use crate::session::Own;
use crate::{promises, routes, session, sites};

/// What the people's listener needs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct People<R> {
    pub(crate) repository: R,
    pub(crate) ledgers: Ledgers<R>,
    pub(crate) promises: promises::Known,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<Settings>,
    slowing: Arc<Mutex<SlowingOf>>,
    limits: Arc<Limits>,
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) histories: Arc<Semaphore>,
}

/// How wrong tries to get in are slowed.
#[derive(Debug)]
struct SlowingOf {
    accounts: Slowing<String>,
    sources: Slowing<IpAddr>,
    /// Wrong codes of an app. Only who knows the password comes so far, so that the wait may be long: there
    /// are but a million codes.
    codes: Slowing<UserId>,
}

/// How the listener is set up.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Signs one-time codes.
    pub(crate) authority: Arc<Authority>,
    /// What a person tells a gateway: `https://portfolio.example:9443`.
    pub(crate) gateways_url: String,
    /// Names of ours beside IP addresses and `localhost`.
    pub(crate) own_hosts: BTreeSet<String>,
    /// Whether the listener speaks HTTPS, so that the cookie may say so.
    pub(crate) secure: bool,
    /// SHA-256 of the listener's certificate; empty without HTTPS.
    pub(crate) fingerprint: String,
    /// How much may be asked.
    pub(crate) limits: LimitsConfig,
    /// How many things there may be.
    pub(crate) quota: Quota,
}

/// Two passwords at once: more would be a way to stop the service.
const HASHINGS: usize = 2;

/// Histories that are read and added up at once; further ones wait. Eleven years of minutes are some
/// 200 MB while they are.
const HISTORIES: usize = 2;

/// Names, passwords and codes; nothing that people send is larger.
const BODY: usize = 16 * 1024;

impl<R: Repository> People<R> {
    /// With these.
    pub(crate) fn new(
        repository: R,
        ledgers: Ledgers<R>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            repository,
            ledgers,
            promises: promises::Known::default(),
            clock,
            slowing: Arc::new(Mutex::new(SlowingOf {
                accounts: Slowing::new(Pace::ACCOUNT),
                sources: Slowing::new(Pace::SOURCE),
                codes: Slowing::new(Pace::SOURCE),
            })),
            limits: Arc::new(Limits::new(settings.limits)),
            hashing: Arc::new(Semaphore::new(HASHINGS)),
            histories: Arc::new(Semaphore::new(HISTORIES)),
            settings: Arc::new(settings),
        }
    }

    /// The routes. Every request needs a [`Peer`] among its extensions.
    pub(crate) fn router(self) -> Router {
        let mut api = Router::new();
        for Route { path, need, serve, .. } in routes::table() {
            let needs = (need, Of::path(path, need));
            let allow = middleware::from_fn_with_state((self.clone(), needs), allow::<R>);
            api = api.route(path, serve.route_layer(allow));
        }
        let api = api
            .fallback(async || Problem::new(Code::NoSuchRoute, "The API has no such route."))
            .method_not_allowed_fallback(async || {
                Problem::new(Code::Method, "The route is there, but not for this method.")
            });
        V1.nest(Router::new(), api)
            .fallback(assets::asset)
            .layer(DefaultBodyLimit::max(BODY))
            .layer(middleware::from_fn_with_state(self.clone(), guard::<R>))
            .with_state(self)
    }

    /// The session of a request, or the token that it comes with, and whose it is, if that has not ended.
    ///
    /// Who comes with a token has no cookie that counts, and the other way round. What a proxy in between
    /// asks for, as `Authorization: Basic`, is nothing to us.
    pub(crate) async fn session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Kept, Person, Standing)>, RepositoryError> {
        let authorization = headers.get(header::AUTHORIZATION);
        let bearer = authorization.and_then(|it| it.to_str().ok()).and_then(token_of);
        let hash = match bearer {
            Some(token) => Ticket::hash_of_token(token),
            None => self.cookie(headers).map(SessionId::hash_of),
        };
        let Some(hash) = hash else { return Ok(None) };
        let now = self.clock.now();
        let Some((mut kept, person)) = self.repository.session(hash).await? else {
            return Ok(None);
        };
        let standing = match &kept.token {
            Some(_) if now.wall_ms() > kept.ends_ms() => Standing::Ended,
            Some(_) => Standing::Fresh,
            None if person.link.as_ref().is_some_and(|link| link.has_ended(now.wall_ms())) => {
                Standing::Ended
            }
            None => kept.session.standing(&now),
        };
        if kept.token.is_some() != bearer.is_some() || standing == Standing::Ended {
            return Ok(None);
        }
        if kept.session.touch(&now) {
            self.repository.touch_session(kept.clone()).await?;
        }
        Ok(Some((kept, person, standing)))
    }

    /// What somebody has of all the buildings now.
    pub(crate) async fn reach(&self, person: &Person) -> Result<Reach, RepositoryError> {
        let Some(grants) = &person.grants else { return Ok(Reach::All(person.user.role)) };
        let tree = Tree::new(self.repository.tags().await?);
        Ok(Reach::of(grants, &tree, &self.repository.tagged().await?))
    }

    fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie_name())
            .map(|(_, value)| value)
    }

    /// `__Host-` binds a cookie to HTTPS and to this very host.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.settings.secure { "__Host-fyrhus-portfolio" } else { "fyrhus-portfolio" }
    }

    /// Counts a try to get in as `account` from `source`, before it is judged: of a hundred at once
    /// the first few are free, and no more.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many wrong ones that it has to wait.
    pub(crate) fn knock(
        &self,
        account: &str,
        source: Option<IpAddr>,
        now: &Moment,
    ) -> Result<(), Problem> {
        let (mut slowing, now) = (self.slowing(), now.boottime);
        let by_source = source.and_then(|source| slowing.sources.wait(&source, now));
        if let Some(wait) = slowing.accounts.wait(account, now).max(by_source) {
            let detail = "There were too many wrong tries; wait a little.";
            return Err(Problem::new(Code::Slowed, detail).retry_after(wait));
        }
        slowing.accounts.count(account.to_owned(), now);
        if let Some(source) = source {
            slowing.sources.count(source, now);
        }
        Ok(())
    }

    /// It was right.
    pub(crate) fn welcome(&self, account: &str, source: Option<IpAddr>) {
        let mut slowing = self.slowing();
        slowing.accounts.forgive(account);
        if let Some(source) = source {
            slowing.sources.forgive(&source);
        }
    }

    /// Counts a code of `user`'s app before it is judged.
    ///
    /// # Errors
    ///
    /// [`Code::Slowed`] if there were so many wrong ones that it has to wait.
    pub(crate) fn count_code(&self, user: UserId, now: &Moment) -> Result<(), Problem> {
        let (mut slowing, now) = (self.slowing(), now.boottime);
        if let Some(wait) = slowing.codes.wait(&user, now) {
            let detail = "There were too many wrong codes; wait a little.";
            return Err(Problem::new(Code::Slowed, detail).retry_after(wait));
        }
        slowing.codes.count(user, now);
        Ok(())
    }

    /// It was right.
    pub(crate) fn forgive_code(&self, user: UserId) {
        self.slowing().codes.forgive(&user);
    }

    fn slowing(&self) -> MutexGuard<'_, SlowingOf> {
        self.slowing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets those through who may do what the route does, as often as people may ask; the handler finds
/// the [`User`] among the extensions.
async fn allow<R: Repository>(
    State((people, (need, of))): State<(People<R>, (Need, Of))>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if need == Need::Nobody {
        return Ok(next.run(request).await);
    }
    let Some((kept, person, standing)) = people.session(request.headers()).await? else {
        return Err(session::not_logged_in());
    };
    let token = kept.token.as_ref().map(|_| kept.session.hash);
    let caller = Caller::of(person.user.id, token);
    let counted = people.limits.count(caller, people.clock.now().boottime);
    if !counted.allowed {
        let mut response = too_many(counted).into_response();
        counted.tell(response.headers_mut());
        return Ok(response);
    }
    let reach = Arc::new(people.reach(&person).await?);
    let site = parameters.iter().flatten().find(|(name, _)| *name == "site");
    let site = site.and_then(|(_, id)| id.parse::<SiteId>().ok());
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let here = as_whom(&person, &reach, need, of, site);
    let mut response = match here.and_then(|user| {
        may(&user, kept.token.as_ref(), need, looks, standing)?;
        Ok(user)
    }) {
        Err(problem) => problem.into_response(),
        Ok(user) => {
            request.extensions_mut().insert(user);
            request.extensions_mut().insert(reach);
            request.extensions_mut().insert(Own { session: kept.session.hash });
            request.extensions_mut().insert(counted);
            next.run(request).await
        }
    };
    counted.tell(response.headers_mut());
    Ok(response)
}

fn too_many(counted: Counted) -> Problem {
    let detail = "There were too many requests; wait for the next minute.";
    Problem::new(Code::TooMany, detail).retry_after(counted.reset)
}

/// Of which buildings somebody has to have what a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Of the one that the path names. Whoever has none of it is told that there is no such site.
    Site,
    /// Of any: the answer is about those that they have.
    Any,
    /// Of all: it changes something that is not one building's.
    All,
}

impl Of {
    fn path(path: &str, need: Need) -> Self {
        // Who is let in to a building follows from its tags, so they are no matter of its own.
        if path == "/sites/{site}/tags" {
            Self::All
        } else if path.contains("{site}") {
            Self::Site
        } else if matches!(need, Need::May(act) if act != Act::See) {
            Self::All
        } else {
            Self::Any
        }
    }
}

/// Who asks, with the role that counts here. `site` is that of the path, if it is one.
fn as_whom(
    who: &Person,
    reach: &Reach,
    need: Need,
    of: Of,
    site: Option<SiteId>,
) -> Result<User, Problem> {
    let mut user = who.user.clone();
    if need == Need::Person && who.link.is_some() {
        let detail = "A link has no page of its own.";
        return Err(Problem::new(Code::NotAllowed, detail).with("role", &user.role));
    }
    user.role = match (of, reach.everywhere()) {
        (_, Some(role)) => role,
        (Of::Site, None) => {
            let role = site.and_then(|site| reach.at(site));
            role.ok_or_else(sites::no_such_site)?
        }
        (Of::Any, None) => user.role,
        (Of::All, None) => {
            let detail = "Only who has all buildings may do this.";
            return Err(Problem::new(Code::NotEverywhere, detail));
        }
    };
    Ok(user)
}

/// Whoever changes what they need a right for, or how they get in, has to have logged in of late.
fn may(
    user: &User,
    token: Option<&Token>,
    need: Need,
    looks: bool,
    standing: Standing,
) -> Result<(), Problem> {
    let (scoped, allowed, changes) = match need {
        Need::Nobody | Need::Login => (true, true, false),
        Need::Person => (token.is_none(), true, true),
        Need::May(act) => {
            (token.is_none_or(|token| token.scope.allows(act)), user.may(act), act.changes())
        }
    };
    if let Some(token) = token.filter(|_| !scoped) {
        let detail = format!("The token {} may not do this.", token.name);
        return Err(Problem::new(Code::NotAllowed, detail).with("role", &user.role));
    }
    if !allowed {
        let detail = format!("The role {} may not do this.", user.role);
        return Err(Problem::new(Code::NotAllowed, detail).with("role", &user.role));
    }
    if changes && !looks && standing != Standing::Fresh {
        let detail = "The last login is too long ago for a change; log in again.";
        return Err(Problem::new(Code::LoginAgain, detail));
    }
    Ok(())
}

/// The text behind `Bearer`.
fn token_of(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What every request has to pass, and what every answer carries.
async fn guard<R: Repository>(
    State(people): State<People<R>>,
    mut request: Request,
    next: Next,
) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let peer = request.extensions().get::<Peer>();
    // Files of the pages cost nothing, and one page has many.
    let source = peer.and_then(|peer| listener::source(peer.address)).filter(|_| api);
    let now = people.clock.now().boottime;
    let address = source.map(|source| people.limits.count_from(source, now));
    request.extensions_mut().insert(FromAddress(address));
    let mut checked = check(&people.settings, request.headers(), request.uri(), request.method());
    if let Some(counted) = address.filter(|counted| !counted.allowed) {
        checked = Err(too_many(counted));
    }
    let mut response = match checked {
        Ok(()) => match time::timeout(LONGEST, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => {
                let detail = format!("There was no answer within {} s.", LONGEST.as_secs());
                Problem::new(Code::TooSlow, detail).into_response()
            }
        },
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    if let Some(counted) = address {
        counted.tell(headers);
    }
    for (name, value) in &HEADERS {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    if api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Eleven years of one meter's minutes take some seconds.
const LONGEST: Duration = Duration::from_secs(30);

static HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src \
         'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Another name in front of our address (DNS rebinding), or a page of somebody else.
fn check(
    settings: &Settings,
    headers: &HeaderMap,
    uri: &Uri,
    method: &Method,
) -> Result<(), Problem> {
    let host: HostAndPort = uri
        .authority()
        .cloned()
        .or_else(|| headers.get(header::HOST)?.to_str().ok()?.parse().ok())
        .ok_or_else(|| Problem::malformed("the request does not say which host it is for"))?;
    let name = host.host().trim_matches(['[', ']']).to_lowercase();
    let ours =
        name == "localhost" || name.parse::<IpAddr>().is_ok() || settings.own_hosts.contains(&name);
    if !ours {
        let detail = format!(
            "`{name}` is not a name of this service. Add it to `names` of [people], or use the \
             IP address."
        );
        return Err(Problem::new(Code::Host, detail).with("host", &name));
    }
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if safe || same_origin(headers, &host, settings.secure) {
        return Ok(());
    }
    Err(Problem::new(Code::Origin, "A page of another host may not change anything here."))
}

/// Whether the request was made by one of our own pages, or by no page at all: a browser sends
/// `Origin` with every unsafe request, and what is none has no cookie that a page could abuse. Where
/// we speak HTTPS (`secure`) a page that came in the clear is not ours: anybody on the way may have
/// written it.
fn same_origin(headers: &HeaderMap, host: &HostAndPort, secure: bool) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let Some(origin) = origin else {
            return false;
        };
        let in_the_clear = secure && origin.scheme() != Some(&Scheme::HTTPS);
        return !in_the_clear && origin.authority() == Some(host);
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, None | Some(b"same-origin" | b"none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unsafe request to `portfolio.example:8443` with these two headers; `""` is none.
    #[track_caller]
    fn check(secure: bool, origin: &str, fetch_site: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("origin", origin), ("sec-fetch-site", fetch_site)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let host = HostAndPort::from_static("portfolio.example:8443");
        assert_eq!(same_origin(&headers, &host, secure), expected, "{origin} {fetch_site}");
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        check(true, "https://portfolio.example:8443", "same-origin", true);
        check(true, "https://portfolio.example", "", false);
        check(true, "https://evil.example:8443", "", false);
        check(true, "null", "", false);
        check(true, "", "", true);
        check(true, "", "same-origin", true);
        check(true, "", "same-site", false);
    }

    #[test]
    fn a_page_in_the_clear_is_ours_only_where_we_speak_so() {
        check(true, "http://portfolio.example:8443", "", false);
        check(false, "http://portfolio.example:8443", "", true);
        // Behind a proxy that speaks HTTPS for us.
        check(false, "https://portfolio.example:8443", "", true);
    }
}
