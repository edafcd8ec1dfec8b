//! `GET /api/v1/audit`: who did what, when, the newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::problem::Problem;
use crate::wire::{Asked, Time};

/// A page of the log.
pub(crate) async fn audit(
    State(web): State<Arc<Web>>,
    Asked(question): Asked<Question>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let limit = match question.limit.unwrap_or(100) {
        limit @ 1..=MOST => limit,
        limit => {
            return Err(Problem::malformed(format!("limit = {limit} is not from 1 to {MOST}")));
        }
    };
    // Row numbers have a sign.
    let before = question.before.map(|before| before.min(i64::MAX.cast_unsigned()));
    let log = web.handles.core.audit_log(before, limit).await?;
    let entries = log.into_iter().map(|entry| AuditEntry {
        number: entry.number,
        at: Time::of_ms(entry.at_ms),
        who: entry.who,
        what: entry.what,
        detail: entry.detail,
    });
    Ok(Json(entries.collect()))
}

const MOST: u32 = 1_000;

/// `?before=5120&limit=100`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// The number of the last entry of the page before.
    before: Option<u64>,
    /// 1 to 1000; 100 if it is left out.
    limit: Option<u32>,
}

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Counted from 1, without a hole.
    number: u64,
    at: Time,
    /// By name; `gateway`, `clock` for what nobody did.
    who: String,
    /// As a code: `login`, `user_added`, `link_used`.
    what: String,
    /// To what.
    detail: String,
}
