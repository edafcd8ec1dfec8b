//! `/api/v1/claim` and `/api/v1/session`: who is there.
//!
//! While nobody may log in, the service shows a one-time code where it runs; whoever types it in
//! becomes the owner. Every start without an owner makes a fresh code, good for an hour.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{
    Issued, OneTimeCode, Password, Role, Session, Standing, User, UserName, WeakPassword,
};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use listener::Peer;
use metering::{Clock, Moment, UserId};
use serde::{Deserialize, Serialize};
use tokio::task;
use uuid::{NoContext, Timestamp, Uuid};

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Person, Repository, RepositoryError};

/// Opens the claim of a service that has no owner yet: makes a fresh code and returns it to be
/// shown. `None` once there is an owner.
///
/// # Errors
///
/// [`RepositoryError`]
pub(crate) async fn open_claim<R: Repository>(
    repository: &R,
    clock: &dyn Clock,
) -> Result<Option<String>, RepositoryError> {
    if repository.claimed().await? {
        return Ok(None);
    }
    let code = OneTimeCode::new();
    let Issued { hash, at } = code.issued(&clock.now());
    repository.put_setting(CLAIM, Some(format!("{hash} {at}"))).await?;
    Ok(Some(code.text()))
}

const CLAIM: &str = "claim";

/// `GET /health`
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
}

/// `GET /session`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    headers: HeaderMap,
) -> Result<Json<SessionBody>, Problem> {
    let found = people.session(&headers).await?;
    let claimed = found.is_some() || people.repository.claimed().await?;
    let who = found.map(|(_, user, standing)| (user, standing == Standing::Fresh));
    Ok(Json(body(&people, who, claimed)))
}

/// `POST /claim`
pub(crate) async fn claim<R: Repository>(
    State(people): State<People<R>>,
    Extension(peer): Extension<Peer>,
    claim: Result<Json<Claim>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Claim { code, name, password }) = claim?;
    let (now, source) = (people.clock.now(), listener::source(peer.address));
    let account = claim_account(source);
    people.knock(&account, source, &now)?;
    if people.repository.claimed().await? {
        return Err(spent());
    }
    let kept = people.repository.setting(CLAIM).await?;
    let issued = kept.as_deref().and_then(|kept| {
        let (hash, at) = kept.split_once(' ')?;
        Some(Issued { hash: hash.parse().ok()?, at: at.parse().ok()? })
    });
    match issued.map(|issued| issued.check(&code, &now)) {
        Some(Ok(())) => people.welcome(&account, source),
        Some(Err(access::CodeProblem::Wrong)) => {
            return Err(Problem::new(Code::ClaimWrong, "This is not the code."));
        }
        Some(Err(access::CodeProblem::Expired)) | None => {
            let detail = "The code is older than an hour. Restart the service for a new one.";
            return Err(Problem::new(Code::ClaimExpired, detail));
        }
    }

    let name: UserName = name.parse().map_err(|wrong: access::InvalidUserName| {
        Problem::new(Code::NameWrong, wrong.to_string())
    })?;
    let password = Password::new(&password, &[name.as_str(), "fyrhus"]).map_err(weak)?;
    let password = hashing(&people, move || password.hash()).await?.map_err(|failed| {
        tracing::error!(error = &failed as &dyn std::error::Error, "password not hashed");
        Problem::new(Code::Store, "The log of the service says more.")
    })?;
    let user =
        User { id: UserId::from_uuid(uuid_v7(&now)), name, role: Role::Owner, meters: Vec::new() };
    let person = Person { user: user.clone(), password, made_ms: now.wall_ms() };
    if !people.repository.add_first_person(person).await? {
        return Err(spent());
    }
    people.repository.put_setting(CLAIM, None).await?;
    tracing::info!(name = %user.name, "the service has an owner");
    let logged_in = open(&people, user, &now).await?;
    Ok((StatusCode::CREATED, logged_in).into_response())
}

/// `{"code":"7K2M-…","name":"kari","password":"…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    code: String,
    name: String,
    password: String,
}

/// `POST /session`
pub(crate) async fn login<R: Repository>(
    State(people): State<People<R>>,
    Extension(peer): Extension<Peer>,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Login { name, password }) = login?;
    let (now, source) = (people.clock.now(), listener::source(peer.address));
    let folded: String = name.trim().to_lowercase().chars().take(64).collect();
    people.knock(&folded, source, &now)?;

    let person = people.repository.person_named(folded.clone()).await?;
    let kept = person.as_ref().map(|person| person.password.clone());
    let right = hashing(&people, move || access::verify(kept.as_deref(), &password)).await?;
    match person {
        Some(person) if right => {
            people.welcome(&folded, source);
            Ok(open(&people, person.user, &now).await?)
        }
        _ => Err(Problem::new(Code::LoginWrong, "The name or the password is wrong.")),
    }
}

/// `{"name":"kari","password":"…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    name: String,
    password: String,
}

/// `DELETE /session`
pub(crate) async fn logout<R: Repository>(
    State(people): State<People<R>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some((session, _, _)) = people.session(&headers).await? {
        people.repository.end_session(session.hash).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&people, &mut response, "", 0)?;
    Ok(response)
}

/// Opens a session for somebody who has just proved who they are.
async fn open<R: Repository>(
    people: &People<R>,
    user: User,
    now: &Moment,
) -> Result<Response, Problem> {
    let (id, session) = Session::open(user.id, now);
    people.repository.keep_session(session, now.wall_ms()).await?;
    let mut response = Json(body(people, Some((user, true)), true)).into_response();
    set_cookie(people, &mut response, &id.cookie(), Session::ENDS_AFTER.as_secs())?;
    Ok(response)
}

fn set_cookie<R: Repository>(
    people: &People<R>,
    response: &mut Response,
    value: &str,
    max_age_secs: u64,
) -> Result<(), Problem> {
    let secure = if people.settings.secure { "; Secure" } else { "" };
    let cookie = format!(
        "{}={value}; Path=/; Max-Age={max_age_secs}; HttpOnly; SameSite=Strict{secure}",
        people.cookie_name()
    );
    let cookie = HeaderValue::try_from(cookie)
        .map_err(|_| Problem::malformed("the session cannot be told"))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}

fn body<R: Repository>(
    people: &People<R>,
    who: Option<(User, bool)>,
    claimed: bool,
) -> SessionBody {
    let fresh = matches!(who, Some((_, true)));
    let can = who.iter().flat_map(|(user, _)| user.role.acts()).map(access::Act::as_str).collect();
    let user = who.map(|(user, _)| UserBody {
        id: user.id,
        name: user.name.to_string(),
        role: user.role.as_str(),
    });
    let fingerprint = people.settings.fingerprint.clone();
    SessionBody { claimed, user, can, fresh, version: env!("CARGO_PKG_VERSION"), fingerprint }
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionBody {
    claimed: bool,
    user: Option<UserBody>,
    can: Vec<&'static str>,
    fresh: bool,
    version: &'static str,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
struct UserBody {
    id: UserId,
    name: String,
    role: &'static str,
}

/// As what tries of the claim's code are counted, for each source on its own: a stranger's must not
/// use up the hour in which it is good. Names hold no control characters, so no name is this.
fn claim_account(source: Option<IpAddr>) -> String {
    format!("\u{0}claim {}", source.map(|source| source.to_string()).unwrap_or_default())
}

/// Runs `work`, which takes some tenths of a second, off the threads that answer. When it cannot
/// begin soon, whoever asked comes again.
///
/// # Cancellation
///
/// Work that has begun goes on when whoever asked leaves, and keeps its turn until it is done.
async fn hashing<R: Repository, T: Send + 'static>(
    people: &People<R>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let busy = || {
        Problem::new(Code::Slowed, "Too many people log in at once; wait a little.")
            .retry_after(Duration::from_secs(5))
    };
    let turn = Arc::clone(&people.hashing).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(Duration::from_secs(10), turn).await else {
        return Err(busy());
    };
    let worked = task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    worked.await.map_err(|_| busy())
}

fn weak(weak: WeakPassword) -> Problem {
    let detail = weak.to_string();
    match weak {
        WeakPassword::Common => Problem::new(Code::PasswordCommon, detail),
        WeakPassword::Long => {
            Problem::new(Code::PasswordLong, detail).with("most", &WeakPassword::MOST)
        }
        WeakPassword::Short => {
            Problem::new(Code::PasswordShort, detail).with("least", &WeakPassword::LEAST)
        }
    }
}

fn spent() -> Problem {
    Problem::new(Code::ClaimSpent, "The service has an owner already; log in.")
}

/// Version 7 of the wall clock, so that people sort by age.
fn uuid_v7(now: &Moment) -> Uuid {
    let ms = u64::try_from(now.wall_ms()).unwrap_or_default();
    let nanos = u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}
