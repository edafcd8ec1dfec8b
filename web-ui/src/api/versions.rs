//! `/api/v1/site/versions`: every configuration that was ever saved, and the way back to one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Web;
use crate::api::site::{Saved, not_saved};
use crate::api::sla::file;
use crate::commission::edit;
use crate::handles::Wish;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Time;

/// The newest versions, the newest first.
pub(crate) async fn versions(
    State(web): State<Arc<Web>>,
) -> Result<Json<Vec<VersionBody>>, Problem> {
    let versions = web.handles.core.versions(MOST_VERSIONS).await?;
    let told = versions.into_iter().map(|it| VersionBody {
        number: it.number,
        at: Time::of_ms(it.at_ms),
        who: it.who,
        why: it.why,
    });
    Ok(Json(told.collect()))
}

/// The text of a version.
pub(crate) async fn version(
    State(web): State<Arc<Web>>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let text = text(&web, &number).await?;
    Ok(file("application/toml", &format!("site-{number}.toml"), text.into_bytes()))
}

/// Saves a version anew, as the newest: whatever was changed since stays in the history.
pub(crate) async fn restore(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Json<Saved>, Problem> {
    drop(web.change_by(&visitor).await?);
    let text = text(&web, &number).await?;
    let newest = web.handles.core.current_version().await?;
    let expected = newest.map_or(0, |it| it.number);
    let (who, why) = (visitor.user.name.to_string(), format!("version {number} again"));
    let saved = web.wish(|reply| Wish::SaveSite { text, expected, who, why, reply }).await?;
    Ok(Json(Saved { version: saved.map_err(not_saved)? }))
}

/// The configuration for the next building.
pub(crate) async fn clone(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let newest = web.handles.core.current_version().await?;
    let none = || Problem::new(Code::NoConfig, "No configuration has been saved yet.");
    let text = edit::clone(&newest.ok_or_else(none)?.text, &web.now())?;
    Ok(file("application/toml", "next-building.toml", text.into_bytes()))
}

async fn text(web: &Web, number: &str) -> Result<String, Problem> {
    let none = || Problem::new(Code::NoVersion, "The configuration has no version of this number.");
    let number: u64 = number.parse().map_err(|_| none())?;
    // A larger one is none the store could count.
    let number = i64::try_from(number).map_err(|_| none())?.unsigned_abs();
    Ok(web.handles.core.version(number).await?.ok_or_else(none)?.text)
}

/// As many as somebody looks through.
const MOST_VERSIONS: u32 = 200;

/// A version of the configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(crate) struct VersionBody {
    number: u64,
    at: Time,
    who: String,
    /// In English, as the program or the person said it.
    why: String,
}
