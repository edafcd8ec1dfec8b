//! `/api/v1/users`: who may what. For owners.
//!
//! The shapes are those of the gateway's API, so that one page can draw both. Here everybody sees all
//! buildings, so that tenants and screens do not log in.

use access::{Role, User};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use metering::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Change, Changed, Person, Repository, Seen};
use crate::session::{Own, hashed, name_of, uuid_v7};
use crate::sites::time;

/// `GET /users`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
) -> Result<Json<Vec<UserBody>>, Problem> {
    let all = people.repository.people().await?;
    Ok(Json(all.iter().map(UserBody::of).collect()))
}

/// `POST /users`: lets somebody in. They change their first password themselves.
pub(crate) async fn add<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    asked: Result<Json<NewUser>, JsonRejection>,
) -> Result<(StatusCode, Json<UserBody>), Problem> {
    let Json(NewUser { name, role, password }) = asked?;
    let (name, role) = (name_of(&name)?, role_of(&role)?);
    let password = hashed(&people, &name, password).await?;
    let now = people.clock.now();
    let id = UserId::from_uuid(uuid_v7(&now));
    let user = User { id, name, role, meters: Vec::new() };
    let made_ms = now.wall_ms();
    let person = Person { user, password, ways: "{}".to_owned(), begun: None, made_ms };
    let seen = Seen { person: person.clone(), sessions: 0, tokens: 0, used_ms: None };
    if !people.repository.add_person(person).await? {
        let name = &seen.person.user.name;
        let detail = format!("There is a user called {name} already.");
        return Err(Problem::new(Code::NameTaken, detail).with("name", name));
    }
    tracing::info!(by = %by.name, name = %seen.person.user.name, %role, "user added");
    Ok((StatusCode::CREATED, Json(UserBody::of(&seen))))
}

/// `PUT /users/{user}`: changes what somebody is, or helps them in again. Wherever they are logged in,
/// they are out.
pub(crate) async fn change<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    Extension(own): Extension<Own>,
    id: Result<Path<UserId>, PathRejection>,
    asked: Result<Json<ChangedUser>, JsonRejection>,
) -> Result<Json<UserBody>, Problem> {
    let (Path(id), Json(ChangedUser { role, password, without_app })) = (id?, asked?);
    let role = role_of(&role)?;
    let person = people.repository.person(id).await?.ok_or_else(no_such_user)?;
    let password = match password {
        Some(password) => Some(hashed(&people, &person.user.name, password).await?),
        None => None,
    };
    let anew = password.is_some();
    let change = Change { role, password, without_app };
    done(people.repository.change_person(id, change, own.session).await?)?;
    let name = &person.user.name;
    tracing::warn!(by = %by.name, %name, %role, password = anew, without_app, "user changed");
    let all = people.repository.people().await?;
    let seen = all.iter().find(|seen| seen.person.user.id == id).ok_or_else(no_such_user)?;
    Ok(Json(UserBody::of(seen)))
}

/// `DELETE /users/{user}/sessions`: logs somebody out wherever they are.
pub(crate) async fn log_out<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<UserId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let person = people.repository.person(id).await?.ok_or_else(no_such_user)?;
    people.repository.end_sessions(id, None).await?;
    tracing::warn!(by = %by.name, name = %person.user.name, "user logged out");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /users/{user}`: takes somebody's access away, wherever they are logged in.
pub(crate) async fn remove<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<UserId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    done(people.repository.remove_person(id).await?)?;
    tracing::warn!(by = %by.name, %id, "user removed");
    Ok(StatusCode::NO_CONTENT)
}

fn done(changed: Changed) -> Result<(), Problem> {
    match changed {
        Changed::Done => Ok(()),
        Changed::LastOwner => {
            let detail = "The last owner stays: nobody else could let anybody in.";
            Err(Problem::new(Code::LastOwner, detail))
        }
        Changed::Nobody => Err(no_such_user()),
    }
}

fn no_such_user() -> Problem {
    Problem::new(Code::NoSuchUser, "No user has this id.")
}

/// What somebody may be who sees all buildings.
fn role_of(text: &str) -> Result<Role, Problem> {
    match text.parse() {
        Ok(role @ (Role::Owner | Role::Operator | Role::Installer)) => Ok(role),
        _ => Err(Problem::malformed("`role` is one of owner, operator, installer")),
    }
}

/// `{"name":"per","role":"operator","password":"…"}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    name: String,
    role: String,
    password: String,
}

/// `{"role":"operator","password":"…","without_app":true}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedUser {
    role: String,
    /// Another password, for who has forgotten theirs.
    #[serde(default)]
    password: Option<String>,
    /// Ask them for no code any more, because the app is lost.
    #[serde(default)]
    without_app: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    role: &'static str,
    /// Of a gateway's tenant; nobody here is one.
    #[schema(value_type = Vec<String>)]
    meters: [String; 0],
    made: String,
    app: bool,
    passkeys: usize,
    sessions: u32,
    tokens: u32,
    used: Option<String>,
}

impl UserBody {
    fn of(Seen { person, sessions, tokens, used_ms }: &Seen) -> Self {
        let ways = person.known_ways();
        Self {
            id: person.user.id,
            name: person.user.name.to_string(),
            role: person.user.role.as_str(),
            meters: [],
            made: time(person.made_ms),
            // Where that cannot be read nobody gets in without help.
            app: ways.is_none_or(|ways| ways.app.is_some()),
            passkeys: 0,
            sessions: *sessions,
            tokens: *tokens,
            used: used_ms.map(time),
        }
    }
}
