//! `/api/v1/links`: links to look or to set up, and screens. Each is shown once, can be made anew and
//! taken away, and each use of it stands in the audit log.

use std::sync::Arc;

use access::{Link, LinkKind, SecretHash, Ticket};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use metering::MeterId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::session::enter;
use crate::api::tokens::{ends, enough};
use crate::api::users;
use crate::doors::{Source, link_account};
use crate::people::{Opened, Person};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};
use crate::{Web, people};

/// All of them.
pub(crate) async fn links(State(web): State<Arc<Web>>) -> Result<Json<Vec<LinkBody>>, Problem> {
    let people = people::all(&web.handles.core).await?;
    Ok(Json(people.iter().filter_map(LinkBody::of).collect()))
}

/// Makes one.
pub(crate) async fn make(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<NewLink>,
) -> Result<(StatusCode, Json<MadeLink>), Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let name = crate::api::session::user_name(&asked.name)?;
    let kind = LinkKind::ALL.into_iter().find(|kind| kind.as_str() == asked.kind);
    let kind = kind.ok_or_else(|| Problem::malformed("`kind` is one of view, edit, screen"))?;
    if kind != LinkKind::View && !asked.meters.is_empty() {
        return Err(Problem::malformed("only a link to look is for some meters alone"));
    }
    let meters = users::known(&web, &asked.meters)?;
    let ends_ms = ends(asked.days, now.wall_ms())?;

    let _changing = web.change_by(&visitor).await?;
    let people = people::all(core).await?;
    if people.iter().filter(|person| person.link.is_some()).count() >= MOST {
        return Err(enough(MOST));
    }
    let (secret, link) = Link::new(kind, visitor.name(), ends_ms);
    let role = kind.role(&meters);
    let mut person = Person::new(name, role, meters, String::new(), &now);
    person.link = Some(link);
    core.put_user(person.row()).await?;
    let detail = format!("{}: {}", person.user.name, kind.as_str());
    core.audit(visitor.name(), "link_made".into(), detail).await?;
    Ok((StatusCode::CREATED, Json(MadeLink::of(&person, &secret)?)))
}

/// Another secret for one. What was let in by the one before is out.
pub(crate) async fn renew(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<MadeLink>, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let mut person = found(&web, &id).await?;
    let secret = person.link.as_mut().map(Link::renew).ok_or_else(no_such_link)?;
    core.put_user(person.row()).await?;
    people::end_sessions(core, person.user.id, None).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.name(), "link_renewed".into(), person.user.name.to_string()).await?;
    Ok(Json(MadeLink::of(&person, &secret)?))
}

/// Takes one away, and everybody out whom it let in.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let person = found(&web, &id).await?;
    core.delete_user(person.user.id).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.name(), "link_removed".into(), person.user.name.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets in whoever has the secret of one.
pub(crate) async fn open(
    State(web): State<Arc<Web>>,
    source: Source,
    opened: Opened,
    Body(asked): Body<OpenLink>,
) -> Result<Response, Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let account = link_account(source);
    web.doors.knock(&account, source, &now)?;
    let hash: Option<SecretHash> = Ticket::hash_of_link(asked.link.trim());
    let hash = hash.ok_or_else(link_wrong)?;

    let _changing = web.doors.people.lock().await;
    let person = people::link(core, hash).await?;
    let person = person
        .filter(|person| person.link.as_ref().is_some_and(|link| !link.has_ended(now.wall_ms())));
    let Some(mut person) = person else {
        tracing::warn!(%source, "a link that opens nothing");
        return Err(link_wrong());
    };
    web.doors.welcome(&account, source);
    web.doors.count_login(person.user.id, &now)?;
    if let Some(link) = person.link.as_mut() {
        link.open(now.wall_ms());
    }
    core.put_user(person.row()).await?;
    core.expire_sessions(now.wall_ms()).await?;
    let detail = format!("{source}, {}", opened.agent);
    core.audit(person.user.name.to_string(), "link_used".into(), detail).await?;
    enter(&web, person, opened, &now).await
}

async fn found(web: &Web, id: &str) -> Result<Person, Problem> {
    let people = people::all(&web.handles.core).await?;
    let mut links = people.into_iter().filter(|person| person.link.is_some());
    links.find(|person| person.user.id.to_string() == id).ok_or_else(no_such_link)
}

fn no_such_link() -> Problem {
    Problem::new(Code::NoSuchLink, "No link has this id.")
}

fn link_wrong() -> Problem {
    let detail = "The link was taken away, made anew, used up or has ended. Ask for another.";
    Problem::new(Code::LinkWrong, detail)
}

/// More than a building has screens and guests.
const MOST: usize = 200;

/// A new link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// For whom, or which screen.
    name: String,
    /// `view`, `edit`, `screen`.
    kind: String,
    /// The meters that it shows, by the hour; all if it is left out.
    #[serde(default)]
    meters: Vec<String>,
    /// How long it is good; until it is taken away if it is left out.
    #[serde(default)]
    days: Option<u32>,
}

/// What somebody has who was given a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenLink {
    /// What stands behind the `#` of the address.
    link: String,
}

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeLink {
    link: LinkBody,
    /// What stands behind the `#` of the address: `https://GATEWAY/#fyl_…`. It is shown this once.
    secret: String,
}

impl MadeLink {
    fn of(person: &Person, secret: &Ticket) -> Result<Self, Problem> {
        let link = LinkBody::of(person).ok_or_else(no_such_link)?;
        Ok(Self { link, secret: secret.text().to_owned() })
    }
}

/// A link, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
pub(crate) struct LinkBody {
    id: String,
    name: String,
    /// `view`, `edit`, `screen`.
    kind: &'static str,
    /// The meters that it shows; empty for all.
    meters: Vec<String>,
    made: Time,
    made_by: String,
    /// When it ends, if it does.
    ends: Option<Time>,
    /// How often it was opened.
    uses: u64,
    /// When last.
    used: Option<Time>,
    /// Whether it can be opened: a screen's once.
    open: bool,
}

impl LinkBody {
    fn of(person: &Person) -> Option<Self> {
        let link = person.link.as_ref()?;
        Some(Self {
            id: person.user.id.to_string(),
            name: person.user.name.to_string(),
            kind: link.kind.as_str(),
            meters: person.user.meters.iter().map(MeterId::to_string).collect(),
            made: Time::of_ms(person.created_ms),
            made_by: link.made_by.clone(),
            ends: link.ends_ms.map(Time::of_ms),
            uses: link.uses,
            used: link.used_ms.map(Time::of_ms),
            open: link.hash.is_some(),
        })
    }
}
