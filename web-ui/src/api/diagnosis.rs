//! `/api/v1/diagnosis.json`: what somebody who helps from afar has to know, without names, secrets and readings.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::Web;
use crate::api::sla::file;
use crate::handles::Wish;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::Time;

/// The file, made now.
pub(crate) async fn diagnosis(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let told = web.wish(|reply| Wish::Diagnose { reply }).await?;
    web.handles.core.audit(visitor.name(), "diagnosis_taken".into(), String::new()).await?;
    let day = Time(web.now().wall).text().chars().take(10).collect::<String>();
    Ok(file("application/json", &format!("fyrhus-diagnosis-{day}.json"), told.into_bytes()))
}
