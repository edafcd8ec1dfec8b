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
use crate::people::Person;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};
use crate::{Web, people};

/// Everybody who can log in.
pub(crate) async fn users(State(web): State<Arc<Web>>) -> Result<Json<Vec<UserBody>>, Problem> {
    let people = people::all(&web.handles.core).await?;
    Ok(Json(people.iter().map(UserBody::of).collect()))
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
    Ok((StatusCode::CREATED, Json(UserBody::of(&person))))
}

/// Takes somebody's access away, wherever they are logged in.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let people = people::all(core).await?;
    let found = people.iter().find(|person| person.user.id.to_string() == id);
    let found = found.ok_or_else(no_such_user)?;
    let owners = people.iter().filter(|person| person.user.role == Role::Owner).count();
    if found.user.role == Role::Owner && owners == 1 {
        let detail = "The last owner cannot be removed: nobody could let anybody in.";
        return Err(Problem::new(Code::LastOwner, detail));
    }
    if !core.delete_user(found.user.id).await? {
        return Err(no_such_user());
    }
    web.doors.ended.send_replace(());
    let name = found.user.name.to_string();
    core.audit(visitor.user.name.to_string(), "user_removed".into(), name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_user() -> Problem {
    Problem::new(Code::NoSuchUser, "No user has this id.")
}

fn meters(web: &Web, role: Role, asked: &[String]) -> Result<Vec<MeterId>, Problem> {
    if role != Role::Tenant && !asked.is_empty() {
        let why = format!("the role {role} sees all meters: leave `meters` out");
        return Err(Problem::malformed(why));
    }
    let site = web.site();
    let known = |id: &String| id.parse().ok().filter(|id| site.meter(*id).is_some());
    asked.iter().map(|id| known(id).ok_or_else(Problem::no_such_meter)).collect()
}

/// Somebody new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    name: String,
    /// `owner`, `operator`, `installer`, `tenant`, `wall`.
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
    /// `owner`, `operator`, `installer`, `tenant`, `wall`.
    role: &'static str,
    /// The meters of a tenant; empty for every other role.
    meters: Vec<String>,
    /// When they were let in.
    made: Time,
}

impl UserBody {
    fn of(person: &Person) -> Self {
        Self {
            id: person.user.id.to_string(),
            name: person.user.name.to_string(),
            role: person.user.role.as_str(),
            meters: person.user.meters.iter().map(MeterId::to_string).collect(),
            made: Time::of_ms(person.created_ms),
        }
    }
}
