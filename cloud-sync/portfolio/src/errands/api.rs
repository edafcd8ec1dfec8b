//! `/api/v1/sites/{site}/errands`: what is asked of a building's gateway, how it stands, and who did what.

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use metering::{GatewayId, SiteId};
use serde::{Deserialize, Serialize};
use sync_wire::{ErrandKind, ErrandState};
use utoipa::ToSchema;
use uuid::Uuid;

use super::change::{self, ChangeBody};
use super::{BUNDLE_LASTS, asked, current, step};
use crate::authority::ms;
use crate::handover::is_released;
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Errand, ErrandMove, ErrandNote, Repository};
use crate::session::uuid_v7;
use crate::sites::{found, time};

/// `GET /sites/{site}/errands`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<Json<ErrandsBody>, Problem> {
    let site = found(&people, site?.0).await?;
    let (name, time_zone) = (site.name, site.time_zone);
    let Some(gateway) = site.gateway.map(|it| it.id) else {
        let (errands, steps) = (Vec::new(), Vec::new());
        return Ok(Json(ErrandsBody { name, time_zone, gateway: false, errands, steps }));
    };
    let now_ms = people.clock.now().wall_ms();
    let errands = current(&people.repository, gateway, now_ms).await?;
    let errands = errands.iter().map(|it| ErrandBody::of(it, now_ms)).collect();
    let steps = people.repository.errand_notes(gateway).await?.into_iter().map(StepBody::of);
    let steps = steps.collect();
    Ok(Json(ErrandsBody { name, time_zone, gateway: true, errands, steps }))
}

/// `POST /sites/{site}/errands`
pub(crate) async fn ask<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    site: Result<Path<SiteId>, PathRejection>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let Path(site) = site?;
    if found(&people, site).await?.released.is_some() {
        return Err(is_released());
    }
    let gateway = gateway(&people, site).await?;
    let Json(wanted) = wanted?;
    let kind = ErrandKind::from_word(&wanted.kind)
        .ok_or_else(|| Problem::malformed("`kind` is diagnosis, dry_run or change"))?;
    let now = people.clock.now();
    // One whose time is over makes room.
    current(&people.repository, gateway, now.wall_ms()).await?;
    let (id, who, now_ms) = (uuid_v7(&now), user.name.to_string(), now.wall_ms());
    let document = change::document(kind, wanted, gateway, id, &who, now_ms)?;
    let body = match document {
        Some(document) => people
            .settings
            .authority
            .sign_change(&document)
            .map_err(|error| {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a change cannot be signed");
                Problem::new(
                    Code::Store,
                    "The change cannot be signed; the log of the service says more.",
                )
            })?
            .write(),
        None => Vec::new(),
    };
    let errand = asked(id, kind, body, who, now_ms);
    if !people.repository.add_errand(gateway, errand).await? {
        let detail = "This is asked of the gateway already; wait for it, or take it back.";
        return Err(Problem::new(Code::AskedAlready, detail));
    }
    tracing::info!(by = %user.name, %gateway, %id, kind = kind.as_str(), "a gateway is asked");
    Ok((StatusCode::CREATED, Json(Asked { id })))
}

/// `DELETE /sites/{site}/errands/{errand}`: whoever asked does not want it any more.
pub(crate) async fn withdraw<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    path: Result<Path<(SiteId, Uuid)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((site, id)) = path?;
    let gateway = gateway(&people, site).await?;
    let errand = errand(&people, gateway, id).await?;
    if !errand.state.is_open() {
        return Err(Problem::new(Code::ErrandOver, "This is over; nothing can be taken back."));
    }
    let to = ErrandState::Withdrawn;
    let moved = ErrandMove { from: errand.state, to, number: errand.number, said: errand.said };
    let taken_back = step(people.clock.now().wall_ms(), user.name.as_str(), to);
    if !people.repository.move_errand(gateway, id, moved, taken_back).await? {
        let detail = "The gateway was quicker; look how it stands now.";
        return Err(Problem::new(Code::ErrandOver, detail));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /sites/{site}/errands/{errand}/diagnosis.json`: the bundle; that it was taken is noted.
pub(crate) async fn bundle<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<access::User>,
    path: Result<Path<(SiteId, Uuid)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((site, id)) = path?;
    let gateway = gateway(&people, site).await?;
    let now_ms = people.clock.now().wall_ms();
    let errand = errand(&people, gateway, id).await?;
    let kept = kept_until(&errand).is_some_and(|until| now_ms < until);
    let bundle = if kept { people.repository.bundle(gateway, id).await? } else { None };
    let Some(bundle) = bundle.filter(|it| it.bytes.len() as u64 == it.whole) else {
        return Err(no_such_errand());
    };
    let (who, what) = (user.name.to_string(), "taken".to_owned());
    let taken = ErrandNote { at_ms: now_ms, who, what, detail: String::new() };
    people.repository.note_errand(gateway, id, taken).await?;
    let day: String = time(errand.state_ms).chars().take(10).collect();
    let name = format!("attachment; filename=\"fyrhus-diagnosis-{day}.json\"");
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bundle.bytes).into_response())
}

async fn gateway<R: Repository>(people: &People<R>, site: SiteId) -> Result<GatewayId, Problem> {
    let site = found(people, site).await?;
    site.gateway.map(|it| it.id).ok_or_else(|| {
        Problem::new(Code::NoGateway, "The site has no gateway yet that could be asked.")
    })
}

async fn errand<R: Repository>(
    people: &People<R>,
    gateway: GatewayId,
    id: Uuid,
) -> Result<Errand, Problem> {
    let known = people.repository.errands(gateway).await?;
    known.into_iter().find(|it| it.id == id).ok_or_else(no_such_errand)
}

fn no_such_errand() -> Problem {
    Problem::new(Code::NoSuchErrand, "There is no such thing, or it is not kept any more.")
}

/// When a bundle that has come goes again.
fn kept_until(errand: &Errand) -> Option<i64> {
    let is_here = errand.kind == ErrandKind::Diagnosis && errand.state == ErrandState::Done;
    is_here.then(|| errand.state_ms.saturating_add(ms(BUNDLE_LASTS)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewErrand)]
pub(crate) struct Wanted {
    /// `diagnosis`, `dry_run` or `change`
    pub(super) kind: String,
    /// Of a `dry_run` or a `change`: what, 24 keys at most.
    #[serde(default)]
    pub(super) changes: Vec<ChangeBody>,
    /// Of a `change`: the version of the gateway's configuration that it is of, as a `dry_run` tells it. Of any
    /// other version the gateway refuses it.
    #[serde(default)]
    pub(super) base: Option<u64>,
    /// Of a `change`: how long the gateway may take until it reaches the portfolio again, in seconds from 10
    /// to 3600; 600 if not given. Then it takes the change back.
    #[serde(default)]
    pub(super) within_s: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AskedErrand)]
pub(crate) struct Asked {
    #[schema(value_type = String)]
    id: Uuid,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteErrands)]
pub(crate) struct ErrandsBody {
    /// Of the site.
    name: String,
    time_zone: String,
    /// Whether there is anybody to be asked.
    gateway: bool,
    /// The newest first.
    errands: Vec<ErrandBody>,
    /// The newest first.
    steps: Vec<StepBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteErrand)]
pub(crate) struct ErrandBody {
    #[schema(value_type = String)]
    id: Uuid,
    kind: &'static str,
    asked_at: String,
    who: String,
    /// Until when somebody at the gateway may answer.
    until: String,
    state: &'static str,
    since: String,
    /// By the gateway, in English; empty if it said nothing. Of a change the lines of its configuration that
    /// are other, `-` before what goes and `+` before what comes, or what would be wrong and where.
    said: String,
    /// Of a change: what it changes.
    changes: Vec<ChangeBody>,
    /// Of a change: the version of the gateway's configuration that it is of or, once it was made, that came of
    /// it; `null` if the gateway has not told one.
    version: Option<u64>,
    /// Until when what came of it can be fetched; `null` if nothing can.
    kept_until: Option<String>,
}

impl ErrandBody {
    fn of(errand: &Errand, now_ms: i64) -> Self {
        Self {
            id: errand.id,
            kind: errand.kind.as_str(),
            asked_at: time(errand.asked_ms),
            who: errand.who.clone(),
            until: time(errand.until_ms),
            state: errand.state.as_str(),
            since: time(errand.state_ms),
            said: errand.said.clone(),
            changes: change::listed(&errand.body),
            version: (errand.number > 0).then_some(errand.number),
            kept_until: kept_until(errand).filter(|until| now_ms < *until).map(time),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrandStep)]
pub(crate) struct StepBody {
    #[schema(value_type = String)]
    errand: Uuid,
    at: String,
    /// A person, `gateway` or `clock`.
    who: String,
    /// `asked`, the state that it led to, or `taken`.
    what: String,
    detail: String,
}

impl StepBody {
    fn of((errand, note): (Uuid, ErrandNote)) -> Self {
        let ErrandNote { at_ms, who, what, detail } = note;
        Self { errand, at: time(at_ms), who, what, detail }
    }
}
