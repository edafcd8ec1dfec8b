//! `/api/v1/session`, `/claim`, `/password`: getting in, staying in, getting out.

use std::sync::{Arc, PoisonError};

use access::{Ceremony, CodeProblem, Password, Role, Second, Standing, UserName, WeakPassword};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use metering::{Moment, UserId};
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::ToSchema;

use crate::api::login::code_wrong;
use crate::doors::{Source, account, claim_account, own_account, passkey_account};
use crate::passkeys::{Address, ClientJson, bytes};
use crate::people::{Opened, Person};
use crate::problem::{Code, Problem};
use crate::session::{Anyone, Via, Visitor, not_logged_in};
use crate::wire::Body;
use crate::{Web, claim, people};

/// Who is logged in, and what a page has to know before anybody is.
pub(crate) async fn session(
    State(web): State<Arc<Web>>,
    Anyone(visitor): Anyone,
) -> Result<Json<SessionBody>, Problem> {
    let claimed = visitor.is_some() || !web.handles.core.users().await?.is_empty();
    Ok(Json(SessionBody::of(&web, claimed, visitor.as_ref())))
}

/// Makes the first user of a gateway, who has its one-time code.
pub(crate) async fn claim(
    State(web): State<Arc<Web>>,
    source: Source,
    opened: Opened,
    Body(asked): Body<Claim>,
) -> Result<Response, Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let issued = claim::open(core).await?;
    if !core.users().await?.is_empty() {
        return Err(spent());
    }
    let account = claim_account(source);
    web.doors.knock(&account, source, &now)?;
    match issued.ok_or(CodeProblem::Expired).and_then(|it| it.check(&asked.code, &now)) {
        Ok(()) => web.doors.welcome(&account, source),
        Err(CodeProblem::Expired) => {
            let detail = "The hour of the code is over. Restart the gateway for another.";
            return Err(Problem::new(Code::ClaimExpired, detail));
        }
        Err(CodeProblem::Wrong) => {
            tracing::warn!(%source, "a wrong one-time code");
            let detail = "This is not the code that the gateway shows.";
            return Err(Problem::new(Code::ClaimWrong, detail));
        }
    }

    let name = user_name(&asked.name)?;
    let password = hashed(&web, &name, asked.password).await?;
    let owner = Person::new(name, Role::Owner, Vec::new(), password, &now);
    if !core.first_user(owner.row()).await? {
        return Err(spent());
    }
    claim::close(core).await?;
    core.audit(owner.user.name.to_string(), "claim".into(), String::new()).await?;
    let entered = enter(&web, owner, opened, &now).await?;
    Ok((StatusCode::CREATED, entered).into_response())
}

/// Logs in. The session before it, if there was one, ends.
pub(crate) async fn log_in(
    State(web): State<Arc<Web>>,
    source: Source,
    opened: Opened,
    Anyone(before): Anyone,
    Body(asked): Body<Login>,
) -> Result<Response, Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let name = asked.name.parse::<UserName>().map_err(|_| login_wrong())?;
    let account = account(&name, before.as_ref());
    web.doors.knock(&account, source, &now)?;

    let person = people::named(core, &name).await?;
    let kept = person.as_ref().map(|person| person.password.clone());
    let right = web.doors.hash(move || access::verify(kept.as_deref(), &asked.password)).await?;
    let Some(person) = person.filter(|_| right) else {
        if core.users().await?.is_empty() {
            let detail = "The gateway has no owner yet. Claim it with its one-time code.";
            return Err(Problem::new(Code::NotClaimed, detail));
        }
        tracing::warn!(%source, "a wrong name or password");
        return Err(login_wrong());
    };

    // Read again, because hashing took its time: a password that was changed meanwhile opens
    // nothing any more.
    let _changing = web.doors.people.lock().await;
    let newest = people::with_id(core, person.user.id).await?;
    let person = newest.filter(|it| it.password == person.password).ok_or_else(login_wrong)?;
    web.doors.welcome(&account, source);
    let (person, how) = second_factor(&web, person, asked.code.as_deref(), &now).await?;
    logged_in(&web, person, before.as_ref(), opened, how, &now).await
}

/// What a device has to sign to let its holder in.
pub(crate) async fn passkey_challenge(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<PasskeyChallenge>, Problem> {
    let address = Address::of(&web, &headers, &uri)?;
    let host = address.party()?.id.to_owned();
    let challenges = web.doors.challenges.lock().unwrap_or_else(PoisonError::into_inner);
    let challenge = challenges.issue(Ceremony::LogIn, web.now().boottime);
    Ok(Json(PasskeyChallenge { challenge, host }))
}

/// Logs in with a passkey, which stands for name, password and code together.
pub(crate) async fn log_in_by_passkey(
    State(web): State<Arc<Web>>,
    source: Source,
    opened: Opened,
    Anyone(before): Anyone,
    headers: HeaderMap,
    uri: Uri,
    Body(asked): Body<PasskeyLogin>,
) -> Result<Response, Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let address = Address::of(&web, &headers, &uri)?;
    let party = address.party()?;
    let client = ClientJson::read(&asked.client)?;
    let (authenticator, signature) = (bytes(&asked.authenticator)?, bytes(&asked.signature)?);
    let account = passkey_account(source);
    web.doors.knock(&account, source, &now)?;
    let unknown = || {
        let detail = "No user has this passkey. It may have been removed.";
        Problem::new(Code::PasskeyWrong, detail).with("why", &"unknown")
    };
    let id = bytes(&asked.user)?.try_into().map(uuid::Uuid::from_bytes).map_err(|_| unknown())?;

    let _changing = web.doors.people.lock().await;
    let mut person = people::with_id(core, UserId::from_uuid(id)).await?.ok_or_else(unknown)?;
    let mut known = person.ways.passkeys.iter_mut();
    let known = known.find(|known| known.id() == asked.id).ok_or_else(unknown)?;
    let proven = known.passkey.verify(party, &client.data(), &authenticator, &signature)?;
    known.passkey = {
        let mut challenges = web.doors.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        proven.redeem(&mut challenges, Ceremony::LogIn, now.boottime)?
    };
    known.used_ms = Some(now.wall_ms());
    let how = format!("passkey {}", known.name);
    core.put_user(person.row()).await?;
    web.doors.welcome(&account, source);
    logged_in(&web, person, before.as_ref(), opened, &how, &now).await
}

/// Asks for the code of the app, if there is one; what they got in with.
///
/// Called by whoever holds the turn to change people.
async fn second_factor(
    web: &Web,
    mut person: Person,
    code: Option<&str>,
    now: &Moment,
) -> Result<(Person, &'static str), Problem> {
    if person.ways.app.is_none() {
        return Ok((person, "password"));
    }
    let Some(code) = code.filter(|code| !code.trim().is_empty()) else {
        let detail = "The password is right. Send the code that the app shows as well.";
        return Err(Problem::new(Code::SecondNeeded, detail));
    };
    web.doors.count_code(person.user.id, now)?;
    let taken = person.ways.take(code, now).ok_or_else(code_wrong)?;
    web.handles.core.put_user(person.row()).await?;
    web.doors.forgive_code(person.user.id);
    let how = match taken {
        Second::App => "password and code",
        Second::Recovery => "password and recovery code",
    };
    Ok((person, how))
}

/// Lets `person` in, who has proved who they are. The session before it, if there was one, ends.
///
/// Called by whoever holds the turn to change people.
async fn logged_in(
    web: &Web,
    person: Person,
    before: Option<&Visitor>,
    opened: Opened,
    how: &str,
    now: &Moment,
) -> Result<Response, Problem> {
    let core = &web.handles.core;
    web.doors.count_login(person.user.id, now)?;
    if let Some(before) = before.filter(|before| !matches!(before.via, Via::Token(_))) {
        but_for_the_disk(core.delete_session(before.session.hash.bytes().to_vec()).await)?;
        web.doors.ended.send_replace(());
    }
    but_for_the_disk(core.expire_sessions(now.wall_ms()).await.map(drop))?;
    let detail = format!("{how}, {}", opened.from);
    but_for_the_disk(core.audit(person.user.name.to_string(), "login".into(), detail).await)?;
    enter(web, person, opened, now).await
}

/// Whoever wants to see what the meters show gets in while the disk takes nothing, too.
fn but_for_the_disk(kept: Result<(), StoreError>) -> Result<(), StoreError> {
    match kept {
        Err(error) if error.is_away() || error.is_full() => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a login is not written down");
            Ok(())
        }
        other => other,
    }
}

/// Logs out here.
pub(crate) async fn log_out(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let _changing = web.change_by(&visitor).await?;
    if matches!(visitor.via, Via::Token(_)) {
        let detail = "A token does not log out. Remove it where it was made.";
        return Err(Problem::new(Code::NotAllowed, detail).with("role", &visitor.user.role));
    }
    web.handles.core.delete_session(visitor.session.hash.bytes().to_vec()).await?;
    Ok(left(&web))
}

/// Logs out wherever the visitor is logged in. Their tokens stay: no browser has them. Of a link
/// only this browser: the others are other people's.
pub(crate) async fn log_out_everywhere(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    if visitor.via != Via::Person {
        return log_out(State(web), visitor).await;
    }
    let _changing = web.change_by(&visitor).await?;
    people::end_sessions(&web.handles.core, visitor.user.id, None).await?;
    web.handles.core.audit(visitor.name(), "sessions_ended".into(), String::new()).await?;
    Ok(left(&web))
}

/// Changes the visitor's own password. Their other sessions end.
pub(crate) async fn change_password(
    State(web): State<Arc<Web>>,
    source: Source,
    visitor: Visitor,
    Body(asked): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let account = own_account(visitor.session.hash);
    web.doors.knock(&account, source, &web.now())?;
    let person = people::with_id(core, visitor.user.id).await?.ok_or_else(not_logged_in)?;
    let old = person.password.clone();
    if !web.doors.hash(move || access::verify(Some(&old), &asked.password)).await? {
        return Err(login_wrong());
    }
    web.doors.welcome(&account, source);
    let password = hashed(&web, &visitor.user.name, asked.new_password).await?;

    // Read again, because hashing took its time: whoever was removed meanwhile stays removed, and
    // of two changes the first holds.
    let _changing = web.change_by(&visitor).await?;
    let newest = people::with_id(core, visitor.user.id).await?;
    let newest = newest.filter(|it| it.password == person.password).ok_or_else(login_wrong)?;
    core.put_user(Person { password, ..newest }.row()).await?;
    people::end_sessions(core, visitor.user.id, Some(visitor.session.hash)).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.user.name.to_string(), "password".into(), String::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `text` as the name of a user.
pub(crate) fn user_name(text: &str) -> Result<UserName, Problem> {
    text.parse().map_err(|error: access::InvalidUserName| {
        Problem::new(Code::NameWrong, format!("{error}."))
    })
}

/// What is kept of `password`, if it is good enough for a user called `name`.
pub(crate) async fn hashed(
    web: &Web,
    name: &UserName,
    password: String,
) -> Result<String, Problem> {
    let known = [web.site().name.clone(), name.to_string()];
    let known: Vec<&str> = known.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    let password = Password::new(&password, &known).map_err(|weak| {
        let detail = format!("{weak}.");
        match weak {
            WeakPassword::Short => {
                Problem::new(Code::PasswordShort, detail).with("least", &WeakPassword::LEAST)
            }
            WeakPassword::Long => {
                Problem::new(Code::PasswordLong, detail).with("most", &WeakPassword::MOST)
            }
            WeakPassword::Common => Problem::new(Code::PasswordCommon, detail),
        }
    })?;
    web.doors.hash(move || password.hash()).await?.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "password not hashed");
        Problem::new(Code::Busy, "The gateway has no memory to spare. Try again in a moment.")
    })
}

/// A fresh session for `person`, and its cookie.
pub(crate) async fn enter(
    web: &Web,
    person: Person,
    opened: Opened,
    now: &Moment,
) -> Result<Response, Problem> {
    let (id, kept) = people::opened(person.user.id, now, opened);
    people::keep_session(&web.handles.core, &kept).await?;
    let via = person.link.map_or(Via::Person, |link| Via::Link(link.kind));
    let visitor =
        Visitor { user: person.user, session: kept.session, standing: Standing::Fresh, via };
    let body = Json(SessionBody::of(web, true, Some(&visitor)));
    let cookie = web.listener.set_cookie(Some(&id)).map(|cookie| (header::SET_COOKIE, cookie));
    Ok((AppendHeaders(cookie), body).into_response())
}

fn left(web: &Web) -> Response {
    web.doors.ended.send_replace(());
    let cookie = web.listener.set_cookie(None).map(|cookie| (header::SET_COOKIE, cookie));
    (StatusCode::NO_CONTENT, AppendHeaders(cookie)).into_response()
}

fn login_wrong() -> Problem {
    Problem::new(Code::LoginWrong, "No user has this name and this password.")
}

fn spent() -> Problem {
    let detail = "The gateway has been claimed. Ask its owner for a user of your own.";
    Problem::new(Code::ClaimSpent, detail)
}

/// What the label or the terminal says, and who the owner will be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    /// Capitals, spaces and dashes do not matter.
    code: String,
    name: String,
    password: String,
}

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    name: String,
    password: String,
    /// What the app shows, or a recovery code, where one is asked for.
    #[serde(default)]
    code: Option<String>,
}

/// What `navigator.credentials.get` needs. Bytes are base64url.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasskeyChallenge {
    challenge: String,
    host: String,
}

/// What `navigator.credentials.get` gave. Bytes are base64url.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyLogin {
    /// Of the passkey.
    id: String,
    /// `clientDataJSON`.
    client: String,
    /// `authenticatorData`.
    authenticator: String,
    signature: String,
    /// `userHandle`: whose passkey it is.
    user: String,
}

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    password: String,
    new_password: String,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionBody {
    /// Whether the gateway has an owner. If not, the page is the first run.
    claimed: bool,
    /// `null` if nobody is.
    user: Option<SessionUser>,
    /// What they may: `see`, `inspect`, `ask`, `configure`, `administer`.
    can: Vec<&'static str>,
    /// How they got in: `login`, a link as `view`, `edit`, `screen`, a `token`, or `nothing`.
    via: &'static str,
    /// Whether changes are taken without another login.
    fresh: bool,
    /// Of the program.
    version: &'static str,
    /// SHA-256 of the certificate, to be compared with the label.
    fingerprint: String,
}

/// A user as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionUser {
    id: String,
    name: String,
    /// `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`.
    role: &'static str,
}

impl SessionBody {
    fn of(web: &Web, claimed: bool, visitor: Option<&Visitor>) -> Self {
        let acts = visitor.into_iter().flat_map(|visitor| {
            visitor.user.role.acts().filter(|act| visitor.may(*act)).map(access::Act::as_str)
        });
        Self {
            claimed,
            user: visitor.map(|visitor| SessionUser {
                id: visitor.user.id.to_string(),
                name: visitor.user.name.to_string(),
                role: visitor.user.role.as_str(),
            }),
            can: acts.collect(),
            via: visitor.map_or("nothing", |visitor| match &visitor.via {
                Via::Person => "login",
                Via::Link(kind) => kind.as_str(),
                Via::Token(_) => "token",
            }),
            fresh: visitor.is_some_and(|visitor| visitor.standing == Standing::Fresh),
            version: web.handles.version,
            fingerprint: web.certificate().to_compare().to_owned(),
        }
    }
}
