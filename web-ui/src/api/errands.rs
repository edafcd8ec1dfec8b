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
    let leave = |word: Option<String>| match word {
        Some(word) => Leave::from_word(&word)
            .map(Some)
            .ok_or_else(|| Problem::malformed("what is left is ask, always or never")),
        None => Ok(None),
    };
    let (diagnosis, configuration) = (leave(asked.diagnosis)?, leave(asked.configuration)?);
    if diagnosis.is_none() && configuration.is_none() {
        return Err(Problem::malformed("`diagnosis` or `configuration` is ask, always or never"));
    }
    drop(web.change_by(&visitor).await?);
    obey(&web, ErrandOrder::Leave { diagnosis, configuration, who: visitor.name() }).await
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
    /// Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`; without it that
    /// stays as it is.
    #[serde(default)]
    diagnosis: Option<String>,
    /// Whether the portfolio may change the configuration, in the same words.
    #[serde(default)]
    configuration: Option<String>,
}

/// What the portfolio asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errands)]
pub(crate) struct ErrandsBody {
    /// Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`.
    diagnosis: &'static str,
    /// Whether the portfolio may change the configuration, in the same words.
    configuration: &'static str,
    /// What is asked, and what was since the start, the newest first.
    asked: Vec<ErrandBody>,
}

/// Something that the portfolio asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errand)]
pub(crate) struct ErrandBody {
    id: String,
    /// `diagnosis`, `dry_run` or `change`, or `unknown` to this version.
    kind: &'static str,
    /// Who asks, by the name that the portfolio knows them under.
    who: String,
    until: Time,
    /// `waiting`, `going`, `done`, `refused`, `failed`, `withdrawn` or `expired`.
    state: &'static str,
    /// Why it failed, in English; empty if it did not.
    said: String,
    /// Of a change, the lines of the configuration that are other: `-` before what goes, `+` before what
    /// comes, each under its section. Otherwise empty.
    lines: String,
}

impl ErrandsBody {
    fn of(errands: Errands) -> Self {
        let asked = errands.asked.into_iter().map(|it| {
            let Errand { id, kind, who, until, state, said, lines } = it;
            let until = Time(until);
            ErrandBody { id: id.to_string(), kind, who, until, state, said, lines }
        });
        let (diagnosis, configuration) = (errands.diagnosis, errands.configuration);
        Self {
            diagnosis: diagnosis.as_str(),
            configuration: configuration.as_str(),
            asked: asked.collect(),
        }
    }
}
