//! `/api/v1/tags`, and which buildings an answer is about.
//!
//! Whoever is let in to a branch sees its tags alone: what others call theirs is none of their
//! business.

use std::collections::HashMap;
use std::sync::Arc;

use access::User;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use metering::SiteId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branches::{DEEPEST, MOST, MOST_OF_SITE, Reach, Tag, TagChange, TagId, Tree, WrongTag};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Repository, Site};
use crate::session::uuid_v7;
use crate::sites::{self, SiteBody};
use crate::tokens::label;

/// The buildings that an answer is about: those that somebody has, or of these those with a tag.
#[derive(Debug)]
pub(crate) struct Asked {
    reach: Arc<Reach>,
    tag: Option<(Tree, TagId)>,
}

impl Asked {
    /// Those of `reach`, and of them those within `tag` if there is one.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchTag`] for one that they do not know.
    pub(crate) async fn new<R: Repository>(
        people: &People<R>,
        reach: Arc<Reach>,
        tag: Option<TagId>,
    ) -> Result<Self, Problem> {
        let Some(tag) = tag else { return Ok(Self { reach, tag: None }) };
        let tree = Tree::new(people.repository.tags().await?);
        if !tree.has(tag) || !reach.knows(tag) {
            return Err(no_such_tag());
        }
        Ok(Self { reach, tag: Some((tree, tag)) })
    }

    pub(crate) fn has(&self, site: &Site) -> bool {
        self.reach.at(site.id).is_some() && self.is_tagged(&site.tags)
    }

    fn is_tagged(&self, tags: &[TagId]) -> bool {
        self.tag.as_ref().is_none_or(|(tree, tag)| tags.iter().any(|it| tree.is_within(*it, *tag)))
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// `GET /tags`: those that one knows, with what their buildings come to.
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
) -> Result<Json<Vec<TagBody>>, Problem> {
    let tree = Tree::new(people.repository.tags().await?);
    let asked = Asked::new(&people, Arc::clone(&reach), None).await?;
    let mut sums: HashMap<TagId, SumBody> = HashMap::new();
    for site in sites::bodies(&people, &asked).await? {
        let mut of: Vec<TagId> =
            site.tags.iter().flat_map(|id| tree.up(*id)).map(|tag| tag.id).collect();
        of.sort_unstable();
        // A building with two tags of one branch is one building of it.
        of.dedup();
        for tag in of {
            sums.entry(tag).or_default().add(&site);
        }
    }
    let known = tree.tags().filter(|tag| reach.knows(tag.id));
    let bodies = known.map(|Tag { id, parent, name }| TagBody {
        id: *id,
        parent: parent.filter(|parent| reach.knows(*parent)),
        name: name.clone(),
        sum: sums.remove(id).unwrap_or_default(),
    });
    Ok(Json(bodies.collect()))
}

/// `POST /tags`
pub(crate) async fn add<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    asked: Result<Json<NewTag>, JsonRejection>,
) -> Result<(StatusCode, Json<MadeTag>), Problem> {
    let Json(NewTag { name, parent }) = asked?;
    let id = TagId::from_uuid(uuid_v7(&people.clock.now()));
    let tag = Tag { id, parent, name: label(&name)? };
    change(&people, TagChange::Put(tag)).await?;
    tracing::info!(by = %by.name, tag = %id, "tag added");
    Ok((StatusCode::CREATED, Json(MadeTag { id })))
}

/// `PUT /tags/{tag}`: another name, or another place in the tree.
pub(crate) async fn put<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<TagId>, PathRejection>,
    asked: Result<Json<NewTag>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(id), Json(NewTag { name, parent })) = (id?, asked?);
    if !people.repository.tags().await?.iter().any(|tag| tag.id == id) {
        return Err(no_such_tag());
    }
    change(&people, TagChange::Put(Tag { id, parent, name: label(&name)? })).await?;
    tracing::info!(by = %by.name, tag = %id, "tag changed");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /tags/{tag}`
pub(crate) async fn remove<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    id: Result<Path<TagId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    change(&people, TagChange::Remove(id)).await?;
    tracing::info!(by = %by.name, tag = %id, "tag removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /sites/{site}/tags`: these instead of those that it had.
pub(crate) async fn of_site<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    site: Result<Path<SiteId>, PathRejection>,
    asked: Result<Json<SiteTags>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(site), Json(SiteTags { mut tags })) = (site?, asked?);
    tags.sort_unstable();
    tags.dedup();
    let tree = Tree::new(people.repository.tags().await?);
    if tags.iter().any(|tag| !tree.has(*tag)) {
        return Err(no_such_tag());
    }
    if tags.len() > MOST_OF_SITE {
        return Err(enough(MOST_OF_SITE));
    }
    if !people.repository.tag_site(site, tags).await? {
        return Err(sites::no_such_site());
    }
    tracing::info!(by = %by.name, %site, "tags of a site changed");
    Ok(StatusCode::NO_CONTENT)
}

async fn change<R: Repository>(people: &People<R>, change: TagChange) -> Result<(), Problem> {
    people.repository.change_tags(change).await?.map_err(|wrong| match wrong {
        WrongTag::Deep => {
            let detail = format!("A tree of tags has at most {DEEPEST} levels.");
            Problem::new(Code::TagDeep, detail).with("most", &DEEPEST)
        }
        WrongTag::Loop => Problem::new(Code::TagLoop, "A tag cannot be a part of itself."),
        WrongTag::Many => enough(MOST),
        WrongTag::NotThere => no_such_tag(),
        WrongTag::Taken => {
            Problem::new(Code::TagTaken, "There is a tag of this name at this place already.")
        }
        WrongTag::Used => {
            let detail = "Other tags are a part of it, or somebody is let in to it. Change those \
                          first.";
            Problem::new(Code::TagUsed, detail)
        }
    })
}

pub(crate) fn enough(most: usize) -> Problem {
    Problem::new(Code::Enough, format!("There may be {most}. Remove one first."))
        .with("most", &most)
}

pub(crate) fn no_such_tag() -> Problem {
    Problem::new(Code::NoSuchTag, "There is no tag with this id.")
}

/// `{"name":"Skoler","parent":"…"}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTag {
    name: String,
    /// The tag that it is a part of; none if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    parent: Option<TagId>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeTag {
    #[schema(value_type = String)]
    id: TagId,
}

/// `{"tags":["…"]}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteTags {
    #[schema(value_type = Vec<String>)]
    tags: Vec<TagId>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TagRow)]
pub(crate) struct TagBody {
    #[schema(value_type = String)]
    id: TagId,
    #[schema(value_type = Option<String>)]
    parent: Option<TagId>,
    name: String,
    sum: SumBody,
}

/// What the buildings of a tag come to, those of its parts included, each once.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = TagSum)]
struct SumBody {
    sites: usize,
    /// Of these, so many are late.
    late: usize,
    meters: usize,
    silent: usize,
    alarms: usize,
    /// Readings that are not here yet.
    backlog: u64,
    /// Of the last days.
    expected: u64,
    got: u64,
    /// Of those whose area is known.
    area_m2: u64,
    areas: usize,
}

impl SumBody {
    fn add(&mut self, site: &SiteBody) {
        self.sites += 1;
        self.late += usize::from(site.is_late());
        self.meters += site.meters;
        self.silent += site.silent;
        self.alarms += site.alarms.len();
        self.backlog = self.backlog.saturating_add(site.backlog.unwrap_or_default());
        if let Some(complete) = &site.completeness {
            self.expected = self.expected.saturating_add(complete.expected);
            self.got = self.got.saturating_add(complete.got);
        }
        if let Some(area) = site.area_m2 {
            self.area_m2 = self.area_m2.saturating_add(area.into());
            self.areas += 1;
        }
    }
}
