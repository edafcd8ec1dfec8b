//! `/api/v1/sessions`: the browsers that the visitor is logged in with.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::people::Kept;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Time;
use crate::{Web, people};

/// The visitor's own, the one used last first.
pub(crate) async fn sessions(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<Vec<SessionRow>>, Problem> {
    let now = web.now();
    let mut kept = people::sessions_of(&web.handles.core, visitor.user.id).await?;
    kept.retain(|it| it.token.is_none() && it.session.standing(&now) != access::Standing::Ended);
    kept.sort_by_key(|it| std::cmp::Reverse(it.session.used.wall_ms));
    Ok(Json(kept.iter().map(|it| SessionRow::of(it, &visitor)).collect()))
}

/// Ends one of them.
pub(crate) async fn end(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let kept = people::sessions_of(core, visitor.user.id).await?;
    let found = kept.iter().find(|it| it.token.is_none() && it.id() == id);
    let found = found
        .ok_or_else(|| Problem::new(Code::NoSuchSession, "No session of yours has this id."))?;
    core.delete_session(found.session.hash.bytes().to_vec()).await?;
    web.doors.ended.send_replace(());
    core.audit(visitor.name(), "session_ended".into(), found.opened.from.clone()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A browser that somebody is logged in with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionRow {
    id: String,
    /// Whether it is the one that asks.
    here: bool,
    /// What the browser calls itself.
    agent: String,
    /// The address that it came from.
    from: String,
    /// Since when.
    made: Time,
    /// When it was used last, give or take five minutes.
    used: Time,
}

impl SessionRow {
    fn of(kept: &Kept, visitor: &Visitor) -> Self {
        Self {
            id: kept.id(),
            here: kept.session.hash == visitor.session.hash,
            agent: kept.opened.agent.clone(),
            from: kept.opened.from.clone(),
            made: Time::of_ms(kept.created_ms),
            used: Time::of_ms(kept.session.used.wall_ms),
        }
    }
}
