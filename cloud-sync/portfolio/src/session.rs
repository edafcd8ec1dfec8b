//! `/api/v1/claim` and `/api/v1/session`: who is there.
//!
//! While nobody may log in, the service shows a one-time code where it runs; whoever types it in
//! becomes the owner. Every start without an owner makes a fresh code, good for an hour, wherever
//! it is typed in: of several receivers each shows its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{
    Act, Issued, OneTimeCode, Password, Role, Scope, Second, SecretHash, Session, Standing, User,
    UserName, WeakPassword,
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
use utoipa::ToSchema;
use uuid::{NoContext, Timestamp, Uuid};

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Kept, Person, Repository, RepositoryError};
use crate::ways;

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
    // Beside those that other receivers of this database have shown.
    repository.add_to_setting(CLAIM, format!("{hash} {at}")).await?;
    Ok(Some(code.text()))
}

const CLAIM: &str = "claim";

/// `GET /health`
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Debug, Serialize, ToSchema)]
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
    let Some((kept, person, standing)) = found else {
        return Ok(Json(body(&people, None, claimed)));
    };
    let may = people.reach(&person).await?.everywhere();
    let fresh = standing == Standing::Fresh;
    let who = Who { user: person.user, may, fresh, scope: kept.token.map(|token| token.scope) };
    Ok(Json(body(&people, Some(who), claimed)))
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
    let issued = |line: &str| {
        let (hash, at) = line.split_once(' ')?;
        Some(Issued { hash: hash.parse().ok()?, at: at.parse().ok()? })
    };
    let kept = kept.unwrap_or_default();
    let judged = kept.lines().filter_map(issued).map(|issued| issued.check(&code, &now));
    let judged: Vec<_> = judged.collect();
    if judged.contains(&Ok(())) {
        people.welcome(&account, source);
    } else if judged.contains(&Err(access::CodeProblem::Wrong)) {
        return Err(Problem::new(Code::ClaimWrong, "This is not the code."));
    } else {
        let detail = "The code is older than an hour. Restart the service for a new one.";
        return Err(Problem::new(Code::ClaimExpired, detail));
    }

    let name = name_of(&name)?;
    let password = hashed(&people, &name, password).await?;
    let user =
        User { id: UserId::from_uuid(uuid_v7(&now)), name, role: Role::Owner, meters: Vec::new() };
    let person = Person::new(user, password, now.wall_ms());
    if !people.repository.add_first_person(person.clone()).await? {
        return Err(spent());
    }
    people.repository.put_setting(CLAIM, None).await?;
    tracing::info!(name = %person.user.name, "the service has an owner");
    let logged_in = open(&people, person, &now).await?;
    Ok((StatusCode::CREATED, logged_in).into_response())
}

/// `{"code":"7K2M-…","name":"kari","password":"…"}`
#[derive(Deserialize, ToSchema)]
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
    headers: HeaderMap,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Login { name, password, code }) = login?;
    let (now, source) = (people.clock.now(), listener::source(peer.address));
    let folded: String = name.trim().to_lowercase().chars().take(64).collect();
    people.knock(&folded, source, &now)?;

    let person = people.repository.person_named(folded.clone()).await?;
    // A link has a name that nobody logs in as.
    let person = person.filter(|person| person.link.is_none());
    let kept = person.as_ref().map(|person| person.password.clone());
    let right = hashing(&people, move || access::verify(kept.as_deref(), &password)).await?;
    let person = person.filter(|_| right).ok_or_else(login_wrong)?;
    // Read again, because hashing took its time: a password that was changed meanwhile opens nothing.
    let newest = people.repository.person(person.user.id).await?;
    let person = newest.filter(|it| it.password == person.password).ok_or_else(login_wrong)?;
    people.welcome(&folded, source);
    second_factor(&people, &person, code.as_deref(), &now).await?;
    leave(&people, &headers).await?;
    tracing::info!(name = %person.user.name, address = %peer.address, "logged in");
    open(&people, person, &now).await
}

/// Ends the session that a browser had before it got another.
pub(crate) async fn leave<R: Repository>(
    people: &People<R>,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if let Some((Kept { session, token: None }, _, _)) = people.session(headers).await? {
        people.repository.end_session(session.hash).await?;
    }
    Ok(())
}

/// Asks for the code of the app, if there is one. A code is taken once, whichever receiver it is told.
async fn second_factor<R: Repository>(
    people: &People<R>,
    person: &Person,
    code: Option<&str>,
    now: &Moment,
) -> Result<(), Problem> {
    let mut known = person.known_ways().ok_or_else(ways::unreadable)?;
    if known.app.is_none() {
        return Ok(());
    }
    let Some(code) = code.filter(|code| !code.trim().is_empty()) else {
        let detail = "The password is right. Send the code that the app shows as well.";
        return Err(Problem::new(Code::SecondNeeded, detail));
    };
    people.count_code(person.user.id, now)?;
    let taken = known.take(code, now).ok_or_else(ways::code_wrong)?;
    ways::keep(people, person, &known).await?;
    people.forgive_code(person.user.id);
    if taken == Second::Recovery {
        tracing::warn!(name = %person.user.name, "a recovery code is spent");
    }
    Ok(())
}

/// `{"name":"kari","password":"…","code":"123456"}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    name: String,
    password: String,
    /// Of the app, for who has one.
    #[serde(default)]
    code: Option<String>,
}

/// The session with which something is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) session: SecretHash,
}

/// `DELETE /session`
pub(crate) async fn logout<R: Repository>(
    State(people): State<People<R>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    leave(&people, &headers).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&people, &mut response, "", 0)?;
    Ok(response)
}

/// Opens a session for somebody who has just proved who they are.
pub(crate) async fn open<R: Repository>(
    people: &People<R>,
    person: Person,
    now: &Moment,
) -> Result<Response, Problem> {
    let (id, session) = Session::open(person.user.id, now);
    let kept = Kept { session, token: None };
    people.repository.keep_session(kept, now.wall_ms()).await?;
    let may = people.reach(&person).await?.everywhere();
    let who = Who { user: person.user, may, fresh: true, scope: None };
    let mut response = Json(body(people, Some(who), true)).into_response();
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

/// Who asks.
struct Who {
    user: User,
    /// As what in all buildings, if they have them all.
    may: Option<Role>,
    fresh: bool,
    /// Of a program.
    scope: Option<Scope>,
}

fn body<R: Repository>(people: &People<R>, who: Option<Who>, claimed: bool) -> SessionBody {
    let fresh = who.as_ref().is_some_and(|who| who.fresh);
    let (mut can, mut user) = (Vec::new(), None);
    if let Some(who) = who {
        let in_scope = |act: &Act| who.scope.as_ref().is_none_or(|scope| scope.allows(*act));
        // What somebody may in some buildings, those say.
        let may = |act: &Act| who.may.map_or(*act == Act::See, |role| role.may(*act));
        can = Act::ALL.into_iter().filter(may).filter(in_scope).map(Act::as_str).collect();
        let (id, name) = (who.user.id, who.user.name.to_string());
        user = Some(UserBody { id, name, role: who.user.role.as_str() });
    }
    let fingerprint = people.settings.fingerprint.clone();
    SessionBody { claimed, user, can, fresh, version: env!("CARGO_PKG_VERSION"), fingerprint }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionBody {
    claimed: bool,
    user: Option<UserBody>,
    can: Vec<&'static str>,
    fresh: bool,
    version: &'static str,
    fingerprint: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionUser)]
struct UserBody {
    #[schema(value_type = String)]
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
pub(crate) async fn hashing<R: Repository, T: Send + 'static>(
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

/// `text` as somebody's name.
pub(crate) fn name_of(text: &str) -> Result<UserName, Problem> {
    text.parse()
        .map_err(|wrong: access::InvalidUserName| Problem::new(Code::NameWrong, wrong.to_string()))
}

/// What is kept of `password`, if it is good enough for somebody called `name`.
pub(crate) async fn hashed<R: Repository>(
    people: &People<R>,
    name: &UserName,
    password: String,
) -> Result<String, Problem> {
    let password = Password::new(&password, &[name.as_str(), "fyrhus"]).map_err(weak)?;
    hashing(people, move || password.hash()).await?.map_err(|failed| {
        tracing::error!(error = &failed as &dyn std::error::Error, "password not hashed");
        Problem::new(Code::Store, "The log of the service says more.")
    })
}

pub(crate) fn login_wrong() -> Problem {
    Problem::new(Code::LoginWrong, "The name or the password is wrong.")
}

pub(crate) fn not_logged_in() -> Problem {
    Problem::new(Code::NotLoggedIn, "Log in first.")
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
pub(crate) fn uuid_v7(now: &Moment) -> Uuid {
    let ms = u64::try_from(now.wall_ms()).unwrap_or_default();
    let nanos = u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}
