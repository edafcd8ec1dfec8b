//! `GET /api/v1/events`: what happened, the latest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::problem::Problem;
use crate::wire::{Asked, Time};

/// What happened before the event with a number.
pub(crate) async fn happened(
    State(web): State<Arc<Web>>,
    Asked(question): Asked<Question>,
) -> Result<Json<Happened>, Problem> {
    let before = question.before.unwrap_or(u64::MAX);
    // One more says whether there are more.
    let found = web.handles.readers.events(before, PAGE + 1).await?;
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = found.len() > page;
    let site = web.site();
    let events = found.into_iter().take(page).map(|(number, event)| EventBody {
        number,
        from: Time::of_ms(event.from_ms),
        until: event.until_ms.map(Time::of_ms),
        code: event.code,
        params: serde_json::from_str(&event.params).unwrap_or_default(),
        meter: event
            .subject
            .parse()
            .ok()
            .filter(|id| site.meter(*id).is_some())
            .map(|id| id.to_string()),
    });
    Ok(Json(Happened { events: events.collect(), more }))
}

/// In one answer.
const PAGE: u32 = 100;

/// `?before=1200`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// The number of an event; the newest if it is left out.
    before: Option<u64>,
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Happened {
    /// The latest first.
    events: Vec<EventBody>,
    /// There are earlier ones.
    more: bool,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HappenedEvent)]
pub(crate) struct EventBody {
    number: u64,
    from: Time,
    /// `null` while it goes on.
    until: Option<Time>,
    /// That of a notice, or `outage`, `configuration`.
    code: String,
    /// What its sentence needs.
    params: BTreeMap<String, String>,
    /// The meter it is about, if that is still installed.
    meter: Option<String>,
}
