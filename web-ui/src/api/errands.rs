//! `/api/v1/errands`: what the portfolio asks of this gateway, and what the people here say to it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Web;
use crate::errands::{Errand, ErrandOrder, Errands, Leave, NotObeyed};
use crate::handles::Wish;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};

/// How things stand.
pub(crate) async fn errands(State(web): State<Arc<Web>>) -> Result<Json<ErrandsBody>, Problem> {
    obey(&web, ErrandOrder::Tell).await
}

/// Allows one.
pub(crate) async fn allow(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(errand): Path<String>,
) -> Result<Json<ErrandsBody>, Problem> {
    let id = id(&errand)?;
    drop(web.change_by(&visitor).await?);
    obey(&web, ErrandOrder::Allow { id, who: visitor.name() }).await
}

/// Refuses one.
pub(crate) async fn refuse(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(errand): Path<String>,
) -> Result<Json<ErrandsBody>, Problem> {
    let id = id(&errand)?;
    drop(web.change_by(&visitor).await?);
    obey(&web, ErrandOrder::Refuse { id, who: visitor.name() }).await
}

/// Says what is left to the portfolio.
pub(crate) async fn leave(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<LeaveBody>,
) -> Result<Json<ErrandsBody>, Problem> {
    let diagnosis = Leave::from_word(&asked.diagnosis)
        .ok_or_else(|| Problem::malformed("`diagnosis` is ask, always or never"))?;
    drop(web.change_by(&visitor).await?);
    obey(&web, ErrandOrder::Leave { diagnosis, who: visitor.name() }).await
}

async fn obey(web: &Web, order: ErrandOrder) -> Result<Json<ErrandsBody>, Problem> {
    match web.wish(|reply| Wish::Errand { order, reply }).await? {
        Ok(errands) => Ok(Json(ErrandsBody::of(errands))),
        Err(NotObeyed::Over) => Err(over()),
        Err(NotObeyed::Store) => {
            Err(Problem::new(Code::Store, "The log of the gateway says more."))
        }
    }
}

fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| over())
}

fn over() -> Problem {
    let detail = "This waits for no answer any more; look how it stands.";
    Problem::new(Code::ErrandOver, detail)
}

/// What is left to the portfolio.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ErrandsLeave)]
pub(crate) struct LeaveBody {
    /// Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`.
    diagnosis: String,
}

/// What the portfolio asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errands)]
pub(crate) struct ErrandsBody {
    /// Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`.
    diagnosis: &'static str,
    /// What is asked, and what was since the start, the newest first.
    asked: Vec<ErrandBody>,
}

/// Something that the portfolio asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errand)]
pub(crate) struct ErrandBody {
    id: String,
    /// `diagnosis`, or `unknown` to this version.
    kind: &'static str,
    /// Who asks, by the name that the portfolio knows them under.
    who: String,
    until: Time,
    /// `waiting`, `going`, `done`, `refused`, `failed`, `withdrawn` or `expired`.
    state: &'static str,
    /// Why it failed, as one English sentence; empty if it did not.
    said: String,
}

impl ErrandsBody {
    fn of(errands: Errands) -> Self {
        let asked = errands.asked.into_iter().map(|it| {
            let Errand { id, kind, who, until, state, said } = it;
            ErrandBody { id: id.to_string(), kind, who, until: Time(until), state, said }
        });
        Self { diagnosis: errands.diagnosis.as_str(), asked: asked.collect() }
    }
}
