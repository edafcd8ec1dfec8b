//! `/api/v1/login` and `/api/v1/password`: how whoever is logged in gets in: their password, an app's
//! codes, and codes that stand in for it.
//!
//! The shapes are those of the gateway's API.

use access::{App, SecretHash, Totp, User, Ways};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::{Extension, Json};
use listener::Peer;
use metering::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Person, Repository, written};
use crate::session::{Own, hashed, hashing, login_wrong, not_logged_in};

/// `GET /login`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
) -> Result<Json<WaysBody>, Problem> {
    let (_, ways) = oneself(&people, user.id).await?;
    Ok(Json(WaysBody { app: ways.app.is_some(), recovery: ways.recovery.len() }))
}

/// `POST /login/app`: a fresh secret, which counts once the app has shown a code of it.
pub(crate) async fn begin_app<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
) -> Result<Json<AppSecret>, Problem> {
    let totp = Totp::new();
    let secret = totp.text();
    people.repository.begin_app(user.id, secret.clone()).await?;
    let host = people.settings.own_hosts.first().map(String::as_str);
    let issuer =
        host.map_or_else(|| "Fyrhus portfolio".to_owned(), |host| format!("Fyrhus {host}"));
    Ok(Json(AppSecret { secret, uri: totp.uri(&issuer, user.name.as_str()) }))
}

/// `PUT /login/app`: the app shows the right code, so that it is asked for from now on. The answer is the
/// recovery codes.
pub(crate) async fn finish_app<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    asked: Result<Json<AppCode>, JsonRejection>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let Json(AppCode { code }) = asked?;
    let now = people.clock.now();
    let (person, mut ways) = oneself(&people, user.id).await?;
    let totp = person.begun.as_deref().and_then(|secret| secret.parse::<Totp>().ok());
    let totp = totp.ok_or_else(|| no_app("Begin to set up an app first."))?;
    people.count_code(user.id, &now)?;
    let taken = totp.check(&code, &now, 0).ok_or_else(code_wrong)?;
    people.forgive_code(user.id);
    ways.app = Some(App { totp, taken });
    let codes = ways.new_recovery();
    keep(&people, &person, &ways).await?;
    tracing::info!(name = %user.name, "an app's codes are asked for");
    Ok(Json(RecoveryCodes { codes }))
}

/// `DELETE /login/app`
pub(crate) async fn remove_app<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
) -> Result<StatusCode, Problem> {
    let (person, mut ways) = oneself(&people, user.id).await?;
    (ways.app, ways.recovery) = (None, Vec::new());
    keep(&people, &person, &ways).await?;
    tracing::warn!(name = %user.name, "an app's codes are asked for no more");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /login/recovery`: fresh codes; those before are void.
pub(crate) async fn new_recovery<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let (person, mut ways) = oneself(&people, user.id).await?;
    if ways.app.is_none() {
        return Err(no_app("Recovery codes stand in for an app, and none is set up."));
    }
    let codes = ways.new_recovery();
    keep(&people, &person, &ways).await?;
    tracing::info!(name = %user.name, "recovery codes made");
    Ok(Json(RecoveryCodes { codes }))
}

/// `PUT /password`: another one for oneself. Wherever else one is logged in, one is out.
pub(crate) async fn change_password<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    Extension(own): Extension<Own>,
    Extension(peer): Extension<Peer>,
    asked: Result<Json<NewPassword>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(NewPassword { password, new_password }) = asked?;
    let (now, source) = (people.clock.now(), listener::source(peer.address));
    let account = own_account(own.session);
    people.knock(&account, source, &now)?;
    let (person, _) = oneself(&people, user.id).await?;
    let kept = person.password.clone();
    if !hashing(&people, move || access::verify(Some(&kept), &password)).await? {
        return Err(login_wrong());
    }
    people.welcome(&account, source);
    let after = hashed(&people, &user.name, new_password).await?;
    let repository = &people.repository;
    if !repository.change_password(user.id, person.password, after, own.session).await? {
        return Err(login_wrong()); // Of two changes the first holds.
    }
    tracing::info!(name = %user.name, "password changed");
    Ok(StatusCode::NO_CONTENT)
}

/// As what tries of one's own password are counted. Names hold no control characters, so no name is this.
fn own_account(session: SecretHash) -> String {
    format!("\u{0}own {session}")
}

async fn oneself<R: Repository>(people: &People<R>, id: UserId) -> Result<(Person, Ways), Problem> {
    let person = people.repository.person(id).await?.ok_or_else(not_logged_in)?;
    let ways = person.known_ways().ok_or_else(unreadable)?;
    Ok((person, ways))
}

/// Writes down how `person` gets in, unless that was changed meanwhile.
pub(crate) async fn keep<R: Repository>(
    people: &People<R>,
    person: &Person,
    ways: &Ways,
) -> Result<(), Problem> {
    let (id, before) = (person.user.id, person.ways.clone());
    if people.repository.change_ways(id, before, written(ways)).await? {
        return Ok(());
    }
    Err(Problem::new(Code::SecondWrong, "Somebody else did the same at this moment; try again."))
}

pub(crate) fn unreadable() -> Problem {
    Problem::new(Code::Store, "How this person gets in cannot be read; an owner can help.")
}

fn no_app(detail: &str) -> Problem {
    Problem::new(Code::NoApp, detail)
}

pub(crate) fn code_wrong() -> Problem {
    Problem::new(Code::SecondWrong, "This is not the code that the app shows now.")
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ways)]
pub(crate) struct WaysBody {
    app: bool,
    recovery: usize,
}

/// It is shown this once, to be set up.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppSecret {
    secret: String,
    uri: String,
}

/// `{"code":"123456"}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppCode {
    code: String,
}

/// They are shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    codes: Vec<String>,
}

/// `{"password":"…","new_password":"…"}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    password: String,
    new_password: String,
}
