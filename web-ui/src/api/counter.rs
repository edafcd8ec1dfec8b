//! `POST /api/v1/meters/{meter}/counter`: a counter of pulses is set to what its meter's display shows.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Web;
use crate::api::meters::seen;
use crate::handles::Wish;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Body;

/// Sets the counter, in the name of who is logged in.
pub(crate) async fn set(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<CounterRequest>,
) -> Result<Json<CounterBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    let who = visitor.user.name.to_string();
    let display = asked.display;
    let set = web.wish(|reply| Wish::SetCounter { meter, display, who, reply }).await?;
    let counter =
        set.map_err(|why| Problem::new(Code::CounterWrong, why.clone()).with("why", &why))?;
    Ok(Json(CounterBody { counter }))
}

/// What the meter's display shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CounterRequest {
    /// `48213.6`, or with its unit: `48213.6 kWh`.
    display: String,
}

/// What the counter shows from now on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counter)]
pub(crate) struct CounterBody {
    /// With its unit: `48213.600 kWh`.
    counter: String,
}
