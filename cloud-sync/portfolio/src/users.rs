//! `/api/v1/users`: who may what. For owners.
//!
//! The shapes are those of the gateway's API, so that one page can draw both. Tenants and screens
//! do not log in here; somebody may have some buildings instead of all, in each as somebody else.

use access::{Role, User};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use metering::{SiteId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branches::{Branch, Grant, MOST_GRANTS, TagId, strongest};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Change, Changed, Person, Repository, Seen};
use crate::session::{Own, hashed, name_of, uuid_v7};
use crate::sites::{self, time};
use crate::tags::{enough, no_such_tag};

/// `GET /users`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
) -> Result<Json<Vec<UserBody>>, Problem> {
    let all = people.repository.people().await?;
    Ok(Json(all.iter().filter(|seen| seen.person.link.is_none()).map(UserBody::of).collect()))
}

/// `POST /users`: lets somebody in. They change their first password themselves.
pub(crate) async fn add<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    asked: Result<Json<NewUser>, JsonRejection>,
) -> Result<(StatusCode, Json<UserBody>), Problem> {
    let Json(NewUser { name, role, grants, password }) = asked?;
    let name = name_of(&name)?;
    let (role, grants) = rights(&people, role.as_deref(), grants).await?;
    let password = hashed(&people, &name, password).await?;
    let now = people.clock.now();
    let id = UserId::from_uuid(uuid_v7(&now));
    let user = User { id, name, role, meters: Vec::new() };
    let person = Person::new(user, password, now.wall_ms()).with_grants(grants);
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
    let (Path(id), Json(ChangedUser { role, grants, password, without_app })) = (id?, asked?);
    let (role, grants) = rights(&people, role.as_deref(), grants).await?;
    let person = found(&people, id).await?;
    let password = match password {
        Some(password) => Some(hashed(&people, &person.user.name, password).await?),
        None => None,
    };
    let anew = password.is_some();
    let change = Change { role, grants, password, without_app };
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
    let person = found(&people, id).await?;
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
    let id = found(&people, id?.0).await?.user.id;
    done(people.repository.remove_person(id).await?)?;
    tracing::warn!(by = %by.name, %id, "user removed");
    Ok(StatusCode::NO_CONTENT)
}

/// A person; a link is none.
async fn found<R: Repository>(people: &People<R>, id: UserId) -> Result<Person, Problem> {
    let person = people.repository.person(id).await?.filter(|person| person.link.is_none());
    person.ok_or_else(no_such_user)
}

/// The role that somebody is to have, and where if not everywhere.
async fn rights<R: Repository>(
    people: &People<R>,
    role: Option<&str>,
    grants: Option<Vec<GrantBody>>,
) -> Result<(Role, Option<Vec<Grant>>), Problem> {
    let grants = match (role, grants) {
        (Some(role), None) => return Ok((role_of(role)?, None)),
        (None, Some(grants)) => grants,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::malformed("a user has `role` or `grants`"));
        }
    };
    if grants.len() > MOST_GRANTS {
        return Err(enough(MOST_GRANTS));
    }
    let grants = grants.iter().map(GrantBody::grant).collect::<Result<Vec<_>, _>>()?;
    let role = strongest(grants.iter().map(|grant| grant.role));
    let role = role.ok_or_else(|| Problem::malformed("`grants` has one at least"))?;
    known(people, &grants).await?;
    Ok((role, Some(grants)))
}

/// Whether what is granted is there.
pub(crate) async fn known<R: Repository>(
    people: &People<R>,
    grants: &[Grant],
) -> Result<(), Problem> {
    for grant in grants {
        match grant.on {
            Branch::Tag(id) => {
                let tags = people.repository.tags().await?;
                if !tags.iter().any(|tag| tag.id == id) {
                    return Err(no_such_tag());
                }
            }
            Branch::Site(id) => {
                sites::found(people, id).await?;
            }
        }
    }
    Ok(())
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

/// What somebody may be who logs in here.
fn role_of(text: &str) -> Result<Role, Problem> {
    match text.parse() {
        Ok(role @ (Role::Owner | Role::Operator | Role::Installer | Role::Viewer)) => Ok(role),
        _ => Err(Problem::malformed("`role` is one of owner, operator, installer, viewer")),
    }
}

/// `{"name":"per","role":"operator","password":"…"}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    name: String,
    /// Everywhere; or `grants`.
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    grants: Option<Vec<GrantBody>>,
    password: String,
}

/// `{"role":"operator","password":"…","without_app":true}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedUser {
    /// Everywhere; or `grants`.
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    grants: Option<Vec<GrantBody>>,
    /// Another password, for who has forgotten theirs.
    #[serde(default)]
    password: Option<String>,
    /// Ask them for no code any more, because the app is lost.
    #[serde(default)]
    without_app: bool,
}

/// `{"role":"viewer","tag":"…"}`, or of a `site`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Grant)]
pub(crate) struct GrantBody {
    role: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tag: Option<TagId>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
}

impl GrantBody {
    fn grant(&self) -> Result<Grant, Problem> {
        let on = match (self.tag, self.site) {
            (Some(tag), None) => Branch::Tag(tag),
            (None, Some(site)) => Branch::Site(site),
            _ => return Err(Problem::malformed("a grant is for a `tag` or for a `site`")),
        };
        Ok(Grant { role: role_of(&self.role)?, on })
    }

    fn of(grant: &Grant) -> Self {
        let role = grant.role.as_str().to_owned();
        match grant.on {
            Branch::Tag(tag) => Self { role, tag: Some(tag), site: None },
            Branch::Site(site) => Self { role, tag: None, site: Some(site) },
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    /// The strongest, where there are grants.
    role: &'static str,
    /// What they may, and where; absent where it is their role everywhere.
    grants: Option<Vec<GrantBody>>,
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
            grants: person.grants.as_ref().map(|all| all.iter().map(GrantBody::of).collect()),
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
