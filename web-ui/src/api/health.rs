//! `GET /api/v1/health`: whether the pages are served. It tells nothing else to nobody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Web;

pub(crate) async fn health(State(web): State<Arc<Web>>) -> Json<Health> {
    Json(Health { status: "ok", version: web.handles.version })
}

/// The pages are served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// Of the program.
    version: &'static str,
}
