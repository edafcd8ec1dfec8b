//! `/api/v1/users`: who may what. For owners.

use std::sync::Arc;

use access::Role;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use metering::MeterId;
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::ToSchema;

use crate::api::session::{hashed, user_name};
use crate::people::{Kept, Person};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};
use crate::{Web, people};

/// Everybody who can log in.
pub(crate) async fn users(State(web): State<Arc<Web>>) -> Result<Json<Vec<UserBody>>, Problem> {
    let core = &web.handles.core;
    let mut bodies = Vec::new();
    for person in people::all(core).await? {
        if person.link.is_none() {
            let kept = people::sessions_of(core, person.user.id).await?;
            bodies.push(UserBody::of(&person, &kept));
        }
    }
    Ok(Json(bodies))
}

/// Lets somebody in. They change their first password themselves.
pub(crate) async fn add(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<NewUser>,
) -> Result<(StatusCode, Json<UserBody>), Problem> {
    let core = &web.handles.core;
    let name = user_name(&asked.name)?;
    let role: Role = asked
        .role
        .parse()
        .map_err(|error: access::UnknownRole| Problem::malformed(error.to_string()))?;
    let meters = meters(&web, role, &asked.meters)?;

    let password = hashed(&web, &name, asked.password).await?;
    let person = Person::new(name, role, meters, password, &web.now());
    let _changing = web.change_by(&visitor).await?;
    match core.put_user(person.row()).await {
        Ok(()) => {}
        Err(StoreError::Taken { .. }) => {
            let detail = format!("There is a user called {} already.", person.user.name);
            return Err(Problem::new(Code::NameTaken, detail).with("name", &person.user.name));
        }
        Err(error) => return Err(error.into()),
    }
    let detail = format!("{} as {role}", person.user.name);
    core.audit(visitor.user.name.to_string(), "user_added".into(), detail).await?;
    Ok((StatusCode::CREATED, Json(UserBody::of(&person, &[]))))
}

/// Changes what somebody is, or helps them in again. Wherever they are logged in, they are out.
pub(crate) async fn change(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<ChangedUser>,
) -> Result<Json<UserBody>, Problem> {
    let core = &web.handles.core;
    let role: Role = asked
        .role
        .parse()
        .map_err(|error: access::UnknownRole| Problem::malformed(error.to_string()))?;
    let meters = meters(&web, role, &asked.meters)?;
    let name = found(&people::all(core).await?, &id)?.user.name.clone();
    let password = match asked.password {
        Some(password) => Some(hashed(&web, &name, password).await?),
        None => None,
    };

    let _changing = web.change_by(&visitor).await?;
    let people = people::all(core).await?;
    let mut person = found(&people, &id)?.clone();
    if person.user.role == Role::Owner && role != Role::Owner {
        not_the_last_owner(&people)?;
    }
    let mut changes = vec![format!("{} as {role}", person.user.name)];
    (person.user.role, person.user.meters) = (role, meters);
    if let Some(password) = password {
        person.password = password;
        changes.push("another password".to_owned());
    }
    if asked.without_app {
        person.ways.app = None;
        person.ways.recovery.clear();
        changes.push("without an app".to_owned());
    }
    core.put_user(person.row()).await?;
    people::end_sessions(core, person.user.id, Some(visitor.session.hash)).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.name(), "user_changed".into(), changes.join(", ")).await?;
    let kept = people::sessions_of(core, person.user.id).await?;
    Ok(Json(UserBody::of(&person, &kept)))
}

/// Logs somebody out wherever they are, and takes their tokens away.
pub(crate) async fn log_out(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let people = people::all(core).await?;
    let person = found(&people, &id)?;
    core.delete_sessions_of(person.user.id).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.name(), "user_logged_out".into(), person.user.name.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody's access away, wherever they are logged in, and their tokens.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let people = people::all(core).await?;
    let found = found(&people, &id)?;
    if found.user.role == Role::Owner {
        not_the_last_owner(&people)?;
    }
    if !core.delete_user(found.user.id).await? {
        return Err(no_such_user());
    }
    web.doors.ended.send_replace(());
    let name = found.user.name.to_string();
    core.audit(visitor.user.name.to_string(), "user_removed".into(), name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn found<'p>(people: &'p [Person], id: &str) -> Result<&'p Person, Problem> {
    let mut people = people.iter().filter(|person| person.link.is_none());
    people.find(|person| person.user.id.to_string() == id).ok_or_else(no_such_user)
}

fn not_the_last_owner(people: &[Person]) -> Result<(), Problem> {
    if people.iter().filter(|person| person.user.role == Role::Owner).count() > 1 {
        return Ok(());
    }
    let detail = "The last owner cannot be removed: nobody could let anybody in.";
    Err(Problem::new(Code::LastOwner, detail))
}

fn no_such_user() -> Problem {
    Problem::new(Code::NoSuchUser, "No user has this id.")
}

fn meters(web: &Web, role: Role, asked: &[String]) -> Result<Vec<MeterId>, Problem> {
    if role != Role::Tenant && !asked.is_empty() {
        let why = format!("the role {role} sees all meters: leave `meters` out");
        return Err(Problem::malformed(why));
    }
    known(web, asked)
}

/// The meters with these ids.
pub(crate) fn known(web: &Web, asked: &[String]) -> Result<Vec<MeterId>, Problem> {
    let site = web.site();
    let known = |id: &String| id.parse().ok().filter(|id| site.meter(*id).is_some());
    asked.iter().map(|id| known(id).ok_or_else(Problem::no_such_meter)).collect()
}

/// What somebody is from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedUser {
    /// `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`.
    role: String,
    /// The meters of a tenant.
    #[serde(default)]
    meters: Vec<String>,
    /// Another password, for who has forgotten theirs.
    #[serde(default)]
    password: Option<String>,
    /// Ask them for no code any more, because the app is lost.
    #[serde(default)]
    without_app: bool,
}

/// Somebody new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    name: String,
    /// `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`.
    role: String,
    /// At least 12 characters.
    password: String,
    /// The meters of a tenant.
    #[serde(default)]
    meters: Vec<String>,
}

/// Somebody who can log in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody {
    id: String,
    name: String,
    /// `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`.
    role: &'static str,
    /// The meters of a tenant; empty for every other role.
    meters: Vec<String>,
    /// When they were let in.
    made: Time,
    /// Whether a code of an app is asked for.
    app: bool,
    passkeys: usize,
    /// With how many browsers they are logged in.
    sessions: usize,
    tokens: usize,
    /// When a session or a token of theirs was used last.
    used: Option<Time>,
}

impl UserBody {
    fn of(person: &Person, kept: &[Kept]) -> Self {
        let tokens = kept.iter().filter(|it| it.token.is_some()).count();
        let used = kept.iter().map(|it| it.session.used.wall_ms).max();
        Self {
            id: person.user.id.to_string(),
            name: person.user.name.to_string(),
            role: person.user.role.as_str(),
            meters: person.user.meters.iter().map(MeterId::to_string).collect(),
            made: Time::of_ms(person.created_ms),
            app: person.ways.app.is_some(),
            passkeys: person.ways.passkeys.len(),
            sessions: kept.len().saturating_sub(tokens),
            tokens,
            used: used.map(Time::of_ms),
        }
    }
}
