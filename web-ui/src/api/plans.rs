//! `/api/v1/plans`: pictures of the building, with its meters on them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::tokens::{enough, label};
use crate::commission::edit::new_id;
use crate::plans::{self, Pin, Plan};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Asked, Body};

/// Those of which the visitor sees something.
pub(crate) async fn plans(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<Vec<PlanBody>>, Problem> {
    let plans = plans::all(&web).await?;
    let seen = plans.into_iter().filter_map(|plan| plan.seen_by(&web, &visitor));
    Ok(Json(seen.map(PlanBody::of).collect()))
}

/// The picture of one.
pub(crate) async fn picture(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let plan = plans::all(&web).await?.into_iter().find(|plan| plan.id == id);
    let plan = plan.and_then(|plan| plan.seen_by(&web, &visitor)).ok_or_else(no_such_plan)?;
    let hash = HEXLOWER.decode(plan.picture.as_bytes()).ok().and_then(|it| it.try_into().ok());
    let bytes = match hash {
        Some(hash) => web.handles.core.proof(hash).await?,
        None => None,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        // The picture of a plan is never another.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    Ok((headers, bytes.ok_or_else(no_such_plan)?).into_response())
}

/// Adds one.
pub(crate) async fn add(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(asked): Asked<NewPlan>,
    picture: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<PlanBody>), Problem> {
    let picture = picture?;
    let name = label(&asked.name)?;
    let Some(jpeg) = documents::Jpeg::of(&picture) else {
        let detail = "A plan is a JPEG; the page makes one of whatever picture it is given.";
        return Err(Problem::new(Code::PhotoWrong, detail));
    };
    if plans::all(&web).await?.len() >= MOST {
        return Err(enough(MOST));
    }
    let hash: [u8; 32] = Sha256::digest(&picture).into();
    let now = web.now();
    web.handles.core.keep_proof(hash, now.wall_ms(), picture.to_vec()).await?;
    let (width, height) = jpeg.size();
    let (id, picture) = (new_id(&now), HEXLOWER.encode(&hash));
    let plan = Plan { id, name, picture, width, height, ..Plan::default() };
    let added = plan.clone();
    plans::change(&web, &visitor, |plans| {
        if plans.len() >= MOST {
            return Err(enough(MOST));
        }
        plans.push(added);
        Ok(())
    })
    .await?;
    web.handles.core.audit(visitor.name(), "plan_added".into(), plan.name.clone()).await?;
    Ok((StatusCode::CREATED, Json(PlanBody::of(plan))))
}

/// Names one, and says where its meters are. A meter is on one plan: it leaves the one on which it was.
pub(crate) async fn change(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<ChangedPlan>,
) -> Result<Json<PlanBody>, Problem> {
    let name = label(&asked.name)?;
    let site = web.site();
    let mut pins = std::collections::BTreeMap::new();
    for PinBody { meter, x, y } in &asked.pins {
        let known = meter.parse().ok().filter(|id| site.meter(*id).is_some());
        let known = known.ok_or_else(Problem::no_such_meter)?;
        if *x > 1_000 || *y > 1_000 {
            return Err(Problem::malformed("a place on a plan is from 0 to 1000 in x and in y"));
        }
        pins.insert(known, Pin { x: *x, y: *y });
    }
    let changed = plans::change(&web, &visitor, |plans| {
        if !plans.iter().any(|plan| plan.id == id) {
            return Err(no_such_plan());
        }
        for other in plans.iter_mut().filter(|plan| plan.id != id) {
            other.pins.retain(|meter, _| !pins.contains_key(meter));
        }
        let plan = plans.iter_mut().find(|plan| plan.id == id).ok_or_else(no_such_plan)?;
        (plan.name, plan.pins) = (name, pins);
        Ok(plan.clone())
    });
    Ok(Json(PlanBody::of(changed.await?)))
}

/// Takes one away. The bytes of its picture stay, as those of every document do.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let removed = plans::change(&web, &visitor, |plans| {
        let at = plans.iter().position(|plan| plan.id == id).ok_or_else(no_such_plan)?;
        Ok(plans.remove(at))
    });
    let name = removed.await?.name;
    web.handles.core.audit(visitor.name(), "plan_removed".into(), name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_plan() -> Problem {
    Problem::new(Code::NoSuchPlan, "No plan of yours has this id.")
}

/// The floors of a tall house.
const MOST: usize = 40;

/// `?name=Kjeller`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewPlan {
    /// What people call it, in 1 to 64 characters.
    name: String,
}

/// What a plan is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedPlan {
    name: String,
    /// All that are on it.
    pins: Vec<PinBody>,
}

/// Where a meter is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Pin)]
pub(crate) struct PinBody {
    meter: String,
    /// In thousandths of the width, from the left.
    x: u16,
    /// In thousandths of the height, from above.
    y: u16,
}

/// A picture with meters on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanBody {
    id: String,
    name: String,
    /// Of the picture, in pixels.
    width: u16,
    height: u16,
    pins: Vec<PinBody>,
}

impl PlanBody {
    fn of(plan: Plan) -> Self {
        let Plan { id, name, width, height, pins, .. } = plan;
        let pin = |(meter, Pin { x, y }): (metering::MeterId, Pin)| PinBody {
            meter: meter.to_string(),
            x,
            y,
        };
        Self { id, name, width, height, pins: pins.into_iter().map(pin).collect() }
    }
}
