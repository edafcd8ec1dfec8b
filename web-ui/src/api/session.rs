//! `/api/v1/session`, `/claim`, `/password`: getting in, staying in, getting out.

use std::sync::Arc;

use access::{CodeProblem, Password, Role, Session, Standing, UserName, WeakPassword};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use metering::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::doors::{Source, account, claim_account, own_account};
use crate::people::Person;
use crate::problem::{Code, Problem};
use crate::session::{Anyone, Visitor, not_logged_in};
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
    let entered = enter(&web, owner, &now).await?;
    Ok((StatusCode::CREATED, entered).into_response())
}

/// Logs in. The session before it, if there was one, ends.
pub(crate) async fn log_in(
    State(web): State<Arc<Web>>,
    source: Source,
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
    web.doors.count_login(person.user.id, &now)?;
    if let Some(before) = before {
        core.delete_session(before.session.hash.bytes().to_vec()).await?;
        web.doors.ended.send_replace(());
    }
    core.expire_sessions(now.wall_ms()).await?;
    core.audit(person.user.name.to_string(), "login".into(), String::new()).await?;
    enter(&web, person, &now).await
}

/// Logs out here.
pub(crate) async fn log_out(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let _changing = web.change_by(&visitor).await?;
    web.handles.core.delete_session(visitor.session.hash.bytes().to_vec()).await?;
    Ok(left(&web))
}

/// Logs out wherever the visitor is logged in.
pub(crate) async fn log_out_everywhere(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let _changing = web.change_by(&visitor).await?;
    web.handles.core.delete_sessions_of(visitor.user.id).await?;
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
    core.delete_sessions_of(visitor.user.id).await?;
    people::keep_session(core, &visitor.session).await?;
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
async fn enter(web: &Web, person: Person, now: &Moment) -> Result<Response, Problem> {
    let (id, session) = Session::open(person.user.id, now);
    people::keep_session(&web.handles.core, &session).await?;
    let visitor = Visitor { user: person.user, session, standing: Standing::Fresh };
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
    /// `owner`, `operator`, `installer`, `tenant`, `wall`.
    role: &'static str,
}

impl SessionBody {
    fn of(web: &Web, claimed: bool, visitor: Option<&Visitor>) -> Self {
        let acts = visitor.map(|visitor| visitor.user.role.acts().map(access::Act::as_str));
        Self {
            claimed,
            user: visitor.map(|visitor| SessionUser {
                id: visitor.user.id.to_string(),
                name: visitor.user.name.to_string(),
                role: visitor.user.role.as_str(),
            }),
            can: acts.into_iter().flatten().collect(),
            fresh: visitor.is_some_and(|visitor| visitor.standing == Standing::Fresh),
            version: web.handles.version,
            fingerprint: web.handles.tls_fingerprint.clone(),
        }
    }
}
