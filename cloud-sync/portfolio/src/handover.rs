//! `/api/v1/sites/{site}/handover` and `…/enrol-code`: a gateway goes to another owner, and is enrolled there.
//!
//! ```text
//!  building ──hand over──▶ building, released: books, proofs, requests, and the readings if they stay
//!                     └──▶ a new building, in no branch or in those named: the gateway once it is enrolled
//! ```
//!
//! Whoever owns a building gives its gateway away, and each that it had before, replaced or reset; where it goes is for who has all buildings. The one that
//! is left keeps what its owner may need as evidence, and has a gateway no more.
//!
//! **Never true:** that something which opened a door before opens one of the new owner's; or that a page of
//! the new owner tells what was written into the books before.

use std::sync::Arc;

use access::{Act, User};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use metering::SiteId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::authority::ms;
use crate::branches::{MOST_OF_SITE, Reach, TagId, Tree};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Handover, NotGiven, Released, Repository, TakenOver};
use crate::sites::{CODE_LASTS, CodeBody, no_such_site, time};
use crate::tags::{enough, no_such_tag};

/// `POST /sites/{site}/handover`
pub(crate) async fn give<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    Extension(reach): Extension<Arc<Reach>>,
    site: Result<Path<SiteId>, PathRejection>,
    wanted: Result<Json<HandoverBody>, JsonRejection>,
) -> Result<(StatusCode, Json<GivenBody>), Problem> {
    let Path(site) = site?;
    let Json(HandoverBody { readings, tags }) = wanted?;
    let with_readings = match readings.as_str() {
        "stay" => false,
        "go" => true,
        _ => return Err(Problem::malformed("`readings` is one of stay, go")),
    };
    let has_all = reach.everywhere().is_some_and(|role| role.may(Act::Administer));
    if !tags.is_empty() {
        if !has_all {
            let detail = "Only who has all buildings says where the gateway goes.";
            return Err(Problem::new(Code::NotEverywhere, detail));
        }
        if tags.len() > MOST_OF_SITE {
            return Err(enough(MOST_OF_SITE));
        }
        let tree = Tree::new(people.repository.tags().await?);
        if !tags.iter().all(|tag| tree.has(*tag)) {
            return Err(no_such_tag());
        }
    }
    let who = user.name.to_string();
    let given = Handover { site, who, with_readings, tags };
    let made = people.repository.hand_over(given, people.clock.now().wall_ms()).await?;
    let to = made.map_err(|why| match why {
        NotGiven::NoSite => no_such_site(),
        NotGiven::NoGateway => {
            Problem::new(Code::NoGateway, "The site has no gateway that could be given away.")
        }
        NotGiven::Released => is_released(),
    })?;
    tracing::warn!(by = %user.name, %site, %to, with_readings, "a gateway is handed over");
    // Whoever has a branch alone has nothing there.
    Ok((StatusCode::CREATED, Json(GivenBody { site: has_all.then_some(to) })))
}

/// `POST /sites/{site}/enrol-code`
pub(crate) async fn code<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<(StatusCode, Json<CodeBody>), Problem> {
    let Path(site) = site?;
    let code = people.settings.authority.new_code();
    let expires_ms = people.clock.now().wall_ms().saturating_add(ms(CODE_LASTS));
    let sha256 = Sha256::digest(code.secret()).into();
    if !people.repository.add_code_for(site, sha256, expires_ms).await? {
        let known = people.repository.site(site).await?.is_some();
        return Err(if known { is_released() } else { no_such_site() });
    }
    tracing::info!(by = %user.name, %site, "one-time code made");
    let url = people.settings.gateways_url.clone();
    Ok((StatusCode::CREATED, Json(CodeBody::new(&code, url, expires_ms, site))))
}

pub(crate) fn is_released() -> Problem {
    let detail = "The gateway of this site was given to another owner.";
    Problem::new(Code::Released, detail)
}

/// `{"readings":"stay","tags":["…"]}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Handover)]
pub(crate) struct HandoverBody {
    /// `stay`: the new owner begins with nothing. `go`: all go along, and are not here any more.
    readings: String,
    /// Where the gateway's new building is; in no branch if it is left out. For who has all buildings.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<TagId>,
}

/// The building that was made, for who has all of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HandedOver)]
pub(crate) struct GivenBody {
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
}

/// Of a building whose gateway went to another owner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Released)]
pub(crate) struct ReleasedBody {
    at: String,
    who: String,
    /// `stay` or `go`.
    readings: &'static str,
}

impl ReleasedBody {
    pub(crate) fn of(released: Released) -> Self {
        let Released { at_ms, who, with_readings } = released;
        Self { at: time(at_ms), who, readings: word(with_readings) }
    }
}

/// Of a building whose gateway came from another owner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TakenOver)]
pub(crate) struct TakenOverBody {
    at: String,
    /// `go`: all came along.
    readings: &'static str,
}

impl TakenOverBody {
    pub(crate) fn of(taken: TakenOver) -> Self {
        Self { at: time(taken.at_ms), readings: word(taken.with_readings) }
    }
}

const fn word(with_readings: bool) -> &'static str {
    if with_readings { "go" } else { "stay" }
}
