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
use crate::proven::{HistoryProof, VersionStands};
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

/// Whether the versions and the audit log are what was written. Reads all of them.
pub(crate) async fn proof(State(web): State<Arc<Web>>) -> Result<Json<HistoryBody>, Problem> {
    let proof = web.wish(|reply| Wish::ProveHistory { reply }).await??;
    Ok(Json(HistoryBody::of(proof)))
}

/// A version as a file that proves itself on any machine.
pub(crate) async fn signed(
    State(web): State<Arc<Web>>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let number = self::number(&number)?;
    let document = web.wish(|reply| Wish::SignedVersion { number, reply }).await??;
    let none = || {
        let detail =
            "The configuration has no version of this number, or it is older than signatures.";
        Problem::new(Code::NoVersion, detail)
    };
    let name = format!("site-{number}.signed.toml");
    Ok(file("application/toml", &name, document.ok_or_else(none)?.into_bytes()))
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
    Ok(web.handles.core.version(self::number(number)?).await?.ok_or_else(none)?.text)
}

fn number(text: &str) -> Result<u64, Problem> {
    let number: u64 = text.parse().map_err(|_| none())?;
    // A larger one is none the store could count.
    Ok(i64::try_from(number).map_err(|_| none())?.unsigned_abs())
}

fn none() -> Problem {
    Problem::new(Code::NoVersion, "The configuration has no version of this number.")
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

/// Which versions of the configuration and which entries of the audit log are what was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryProof)]
pub(crate) struct HistoryBody {
    /// The gateway's public Ed25519 key, 64 hexadecimal digits: `--key` of `fyrhus audit`.
    key: String,
    /// The newest 200, the newest first.
    versions: Vec<VersionStanding>,
    /// How many versions in all are not what was saved.
    broken: usize,
    audit: AuditStanding,
}

/// Whether a version is what was saved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionStanding {
    number: u64,
    /// `signed` by the gateway; `earlier`: older than signatures, and as it was when these began; `broken`.
    stands: &'static str,
}

/// How far the audit log is proven.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditStanding {
    /// The number of the oldest entry; 0 if there is none.
    first: u64,
    /// The number of the newest entry; 0 if there is none.
    newest: u64,
    /// SHA-256 of the newest entry over the one before it, 64 hexadecimal digits.
    hash: String,
    /// The newest entry under the gateway's signature, which is made anew every ten minutes.
    signed: Option<u64>,
    /// Whether what was signed last is not there any more, or another key signed it.
    forged: bool,
    /// The first entry that is not what was written.
    broken: Option<BrokenAt>,
}

/// An entry that is not what was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BrokenAt {
    number: u64,
    /// As it says.
    at: Time,
}

impl HistoryBody {
    fn of(proof: HistoryProof) -> Self {
        let HistoryProof { key, versions, audit } = proof;
        let broken = versions.iter().filter(|(_, stands)| *stands == VersionStands::Broken).count();
        let most = usize::try_from(MOST_VERSIONS).unwrap_or(usize::MAX);
        let told = |(number, stands): (u64, VersionStands)| VersionStanding {
            number,
            stands: stands.as_str(),
        };
        Self {
            key,
            versions: versions.into_iter().take(most).map(told).collect(),
            broken,
            audit: AuditStanding {
                first: audit.first,
                newest: audit.newest,
                hash: audit.hash,
                signed: audit.signed,
                forged: audit.forged,
                broken: audit.broken.map(|it| BrokenAt { number: it.number, at: Time(it.at) }),
            },
        }
    }
}
