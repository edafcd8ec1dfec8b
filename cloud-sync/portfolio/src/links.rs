//! `/api/v1/links` and `/api/v1/session/link`: who comes without a name and a password.
//!
//! A link lets in whoever has it: to look or to set up, in all buildings, in a branch or in one. It is
//! shown once, can be made anew and taken away, and each use of it is kept. The shapes are those of the
//! gateway's API.

use access::{Link, LinkKind, Role, Ticket, User};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Json};
use listener::Peer;
use metering::{SiteId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branches::{Branch, Grant, TagId};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{LinkUse, Person, Repository};
use crate::session::{leave, name_of, open as enter, uuid_v7};
use crate::sites::time;
use crate::tags::enough;
use crate::tokens::ends;
use crate::users;

/// `GET /links`: never their secrets.
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
) -> Result<Json<Vec<LinkBody>>, Problem> {
    let all = people.repository.people().await?;
    Ok(Json(all.iter().filter_map(|seen| LinkBody::of(&seen.person)).collect()))
}

/// `POST /links`
pub(crate) async fn make<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    asked: Result<Json<NewLink>, JsonRejection>,
) -> Result<(StatusCode, Json<MadeLink>), Problem> {
    let Json(NewLink { name, kind, tag, site, days }) = asked?;
    let name = name_of(&name)?;
    let (kind, role) = match kind.as_str() {
        "view" => (LinkKind::View, Role::Viewer),
        "edit" => (LinkKind::Edit, Role::Installer),
        _ => return Err(Problem::malformed("`kind` is one of view, edit")),
    };
    let on = match (tag, site) {
        (None, None) => None,
        (Some(tag), None) => Some(Branch::Tag(tag)),
        (None, Some(site)) => Some(Branch::Site(site)),
        (Some(_), Some(_)) => return Err(Problem::malformed("a link is for a tag or for a site")),
    };
    let grants = on.map(|on| vec![Grant { role, on }]);
    users::known(&people, grants.as_deref().unwrap_or_default()).await?;
    let now = people.clock.now();
    let ends_ms = ends(days, now.wall_ms())?;
    let all = people.repository.people().await?;
    if all.iter().filter(|seen| seen.person.link.is_some()).count() >= MOST {
        return Err(enough(MOST));
    }
    let (secret, link) = Link::new(kind, by.name.to_string(), ends_ms);
    let user = User { id: UserId::from_uuid(uuid_v7(&now)), name, role, meters: Vec::new() };
    let person = Person::new(user, String::new(), now.wall_ms()).with_grants(grants);
    let person = Person { link: Some(link), ..person };
    // Its name is a random number's, which nobody has.
    people.repository.add_person(person.clone()).await?;
    tracing::info!(by = %by.name, link = %person.user.name, kind = kind.as_str(), "link made");
    Ok((StatusCode::CREATED, Json(MadeLink::of(&person, &secret)?)))
}

/// `POST /links/{link}/renew`: another secret. What was let in by the one before is out.
pub(crate) async fn renew<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<UserId>, PathRejection>,
) -> Result<Json<MadeLink>, Problem> {
    let mut person = found(&people, id?.0).await?;
    let link = person.link.as_mut().ok_or_else(no_such_link)?;
    if link.has_ended(people.clock.now().wall_ms()) {
        return Err(Problem::malformed(
            "the link has ended, so a new secret would open nothing: make another link",
        ));
    }
    let secret = link.renew();
    if !people.repository.renew_link(person.user.id, link.clone()).await? {
        return Err(no_such_link());
    }
    tracing::warn!(by = %by.name, link = %person.user.name, "link made anew");
    Ok(Json(MadeLink::of(&person, &secret)?))
}

/// `DELETE /links/{link}`: takes one away, and everybody out whom it let in.
pub(crate) async fn remove<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<UserId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let person = found(&people, id?.0).await?;
    people.repository.remove_person(person.user.id).await?;
    tracing::warn!(by = %by.name, link = %person.user.name, "link removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /links/{link}/uses`: the latest hundred, the latest first.
pub(crate) async fn uses<R: Repository>(
    State(people): State<People<R>>,
    id: Result<Path<UserId>, PathRejection>,
) -> Result<Json<Vec<UseBody>>, Problem> {
    let person = found(&people, id?.0).await?;
    let uses = people.repository.link_uses(person.user.id).await?;
    Ok(Json(uses.into_iter().map(UseBody::of).collect()))
}

/// `POST /session/link`: lets in whoever has the secret of one.
pub(crate) async fn open<R: Repository>(
    State(people): State<People<R>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    asked: Result<Json<OpenLink>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(OpenLink { link }) = asked?;
    let (now, source) = (people.clock.now(), listener::source(peer.address));
    let account = format!("\u{0}link {}", source.map(|it| it.to_string()).unwrap_or_default());
    people.knock(&account, source, &now)?;
    let hash = Ticket::hash_of_link(link.trim()).ok_or_else(link_wrong)?;
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default().chars().filter(|it| !it.is_control()).take(300);
    let address = peer.address.ip().to_canonical().to_string();
    let used = LinkUse { at_ms: now.wall_ms(), address, agent: agent.collect() };
    let person = people.repository.open_link(hash, used).await?.ok_or_else(link_wrong)?;
    people.welcome(&account, source);
    tracing::info!(link = %person.user.name, address = %peer.address, "link used");
    leave(&people, &headers).await?;
    let browsers = people.repository.sessions_of(person.user.id).await?;
    let oldest = browsers.iter().min_by_key(|kept| kept.session.used.wall_ms);
    if let Some(oldest) = oldest.filter(|_| browsers.len() >= MOST_BROWSERS) {
        people.repository.end_session(oldest.session.hash).await?;
    }
    let id = person.user.id;
    let entered = enter(&people, person, &now).await?;
    // Made anew or taken away in the meantime: what was let in by the secret of before is out.
    let newest = people.repository.person(id).await?.and_then(|it| it.link).and_then(|it| it.hash);
    if newest != Some(hash) {
        people.repository.end_sessions(id, None).await?;
        return Err(link_wrong());
    }
    Ok(entered)
}

async fn found<R: Repository>(people: &People<R>, id: UserId) -> Result<Person, Problem> {
    let person = people.repository.person(id).await?.filter(|person| person.link.is_some());
    person.ok_or_else(no_such_link)
}

fn no_such_link() -> Problem {
    Problem::new(Code::NoSuchLink, "No link has this id.")
}

fn link_wrong() -> Problem {
    let detail = "The link was taken away, made anew or has ended. Ask for another.";
    Problem::new(Code::LinkWrong, detail)
}

/// More than a portfolio has guests.
const MOST: usize = 500;

/// Browsers that are in by one link; when one more comes, the one that was used least of late is out.
const MOST_BROWSERS: usize = 200;

/// `{"name":"Revisor","kind":"view","tag":"…","days":30}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    name: String,
    kind: String,
    /// Of which tag; of all buildings if neither is told.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tag: Option<TagId>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    /// How long it is good; until it is taken away if it is left out.
    #[serde(default)]
    days: Option<u32>,
}

/// `{"link":"fyl_…"}`: what stands behind the `#` of the address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenLink {
    link: String,
}

/// It is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeLink {
    link: LinkBody,
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
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    kind: &'static str,
    #[schema(value_type = Option<String>)]
    tag: Option<TagId>,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    made: String,
    made_by: String,
    ends: Option<String>,
    uses: u64,
    used: Option<String>,
}

impl LinkBody {
    fn of(person: &Person) -> Option<Self> {
        let link = person.link.as_ref()?;
        let on = person.grants.as_ref().and_then(|grants| Some(grants.first()?.on));
        let (tag, site) = match on {
            None => (None, None),
            Some(Branch::Tag(tag)) => (Some(tag), None),
            Some(Branch::Site(site)) => (None, Some(site)),
        };
        Some(Self {
            id: person.user.id,
            name: person.user.name.to_string(),
            kind: link.kind.as_str(),
            tag,
            site,
            made: time(person.made_ms),
            made_by: link.made_by.clone(),
            ends: link.ends_ms.map(time),
            uses: link.uses,
            used: link.used_ms.map(time),
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LinkUse)]
pub(crate) struct UseBody {
    at: String,
    address: String,
    agent: String,
}

impl UseBody {
    fn of(used: LinkUse) -> Self {
        let LinkUse { at_ms, address, agent } = used;
        Self { at: time(at_ms), address, agent }
    }
}
