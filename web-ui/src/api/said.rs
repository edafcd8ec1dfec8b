//! What people write into the ledger of the promise of uptime: exclusions, answers, claims, and what
//! became of them.
//!
//! An entry is made by the daemon, which refuses what makes no sense after those before it. Nothing
//! that was written is ever changed; a correction says that it is not in force.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ledger::Interval;
use ledger::case::{Claim, Ground, Notice};
use ledger::entry::{Answer, Claimed, Correction, Fact, Invoked, Progress, Proof};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::Web;
use crate::agreement::Agreement;
use crate::api::sla::file;
use crate::handles::{NotRecorded, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Body;

/// Writes down what was agreed.
pub(crate) async fn contract(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(new): Body<Agreement>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let contract = new.contract().map_err(Problem::malformed)?;
    write(&web, &visitor, Fact::Contract(contract)).await
}

/// Invokes an exclusion.
pub(crate) async fn invoke(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(new): Body<NewExclusion>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let second = |at: DateTime<Utc>| at.timestamp();
    let notice = new.notice_at.map(|at| Notice { given_at: second(at), written: true });
    let agreed_at = new.agreed_at.map(second);
    let ground = Ground::of(&new.kind, notice, agreed_at).ok_or_else(|| {
        Problem::malformed(format!("`{}` is no ground of an exclusion", short(&new.kind)))
    })?;
    let time = Interval::new(second(new.from), second(new.until));
    let time = time.ok_or_else(|| Problem::malformed("`from` has to be before `until`"))?;
    let fact = Fact::Exclusion(Invoked {
        id: text("id", &new.id)?,
        ground,
        time,
        who: visitor.user.name.to_string(),
        why: text("why", &new.why)?,
        proofs: proofs(&web, &new.proofs).await?,
    });
    write(&web, &visitor, fact).await
}

/// Answers to an exclusion.
pub(crate) async fn answer(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(exclusion): Path<String>,
    Body(new): Body<NewAnswer>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let status = word(&new.status)?;
    let who = visitor.user.name.to_string();
    let fact = Fact::Answer(Answer { exclusion, status, who, why: text("why", &new.why)? });
    write(&web, &visitor, fact).await
}

/// Says that notice was given.
pub(crate) async fn claim(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(month): Path<String>,
    Body(new): Body<NewClaim>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let claim = Claim {
        notified_at: new.at.timestamp(),
        written: new.written,
        evidence: !new.proofs.is_empty(),
    };
    if claim.notified_at > web.now().wall.timestamp() {
        return Err(Problem::malformed("`at` lies in the future"));
    }
    let proofs = proofs(&web, &new.proofs).await?;
    let who = visitor.user.name.to_string();
    write(&web, &visitor, Fact::Claim(Claimed { month, claim, who, proofs })).await
}

/// Says what became of a claim.
pub(crate) async fn progress(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(month): Path<String>,
    Body(new): Body<NewProgress>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let step = word(&new.step)?;
    let who = visitor.user.name.to_string();
    let note = text("note", &new.note)?;
    let proofs = proofs(&web, &new.proofs).await?;
    write(&web, &visitor, Fact::Progress(Progress { month, step, who, note, proofs })).await
}

/// Says that an entry is not in force.
pub(crate) async fn correct(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(new): Body<NewCorrection>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let (who, why) = (visitor.user.name.to_string(), text("why", &new.why)?);
    let fact = Fact::Correction(Correction { of: new.entry, who, why, instead: None });
    write(&web, &visitor, fact).await
}

/// Keeps a document.
pub(crate) async fn keep_proof(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    bytes: Bytes,
) -> Result<(StatusCode, Json<KeptProof>), Problem> {
    drop(web.change_by(&visitor).await?);
    if bytes.is_empty() {
        return Err(Problem::malformed("the document is empty"));
    }
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    let core = &web.handles.core;
    core.keep_proof(sha256, web.now().wall_ms(), bytes.to_vec()).await?;
    let sha256 = HEXLOWER.encode(&sha256);
    core.audit(visitor.user.name.to_string(), "proof".into(), sha256.clone()).await?;
    Ok((StatusCode::CREATED, Json(KeptProof { sha256 })))
}

/// A document, as it was given. What it is nobody knows: the browser saves it and does not show it.
pub(crate) async fn proof(
    State(web): State<Arc<Web>>,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::new(Code::NoSuchRoute, "No document with this hash is kept.");
    let found = web.handles.readers.proof(hash(&sha256).ok_or_else(missing)?).await?;
    Ok(file("application/octet-stream", &format!("proof-{sha256}"), found.ok_or_else(missing)?))
}

async fn write(
    web: &Web,
    visitor: &Visitor,
    fact: Fact,
) -> Result<(StatusCode, Json<Written>), Problem> {
    drop(web.change_by(visitor).await?);
    let kind = fact.kind();
    let fact = Box::new(fact);
    let entry = web.wish(|reply| Wish::Record { fact, reply }).await?.map_err(|not| match not {
        NotRecorded::Refused(why) => {
            Problem::new(Code::LedgerRefused, why.clone()).with("why", &why)
        }
        NotRecorded::Failed(why) => Problem::new(Code::LedgerFailed, why),
    })?;
    let (who, detail) = (visitor.user.name.to_string(), format!("{kind} {entry}"));
    web.handles.core.audit(who, "ledger".into(), detail).await?;
    Ok((StatusCode::CREATED, Json(Written { entry })))
}

/// The documents of these names; each has to be kept already.
async fn proofs(web: &Web, named: &[NamedProof]) -> Result<Vec<Proof>, Problem> {
    if named.len() > MOST_PROOFS {
        return Err(Problem::malformed(format!(
            "at most {MOST_PROOFS} documents stand behind an entry"
        )));
    }
    let mut proofs = Vec::with_capacity(named.len());
    for NamedProof { name, sha256 } in named {
        let unknown = || Problem::malformed(format!("no document `{}` is kept", short(sha256)));
        let sha256 = hash(sha256).ok_or_else(unknown)?;
        if !web.handles.core.hold_proof(sha256, web.now().wall_ms()).await? {
            return Err(unknown());
        }
        proofs.push(Proof { name: text("name", name)?, sha256 });
    }
    Ok(proofs)
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// A text that stays in the ledger for ever: there is one, and it fits on a page.
fn text(name: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    match text.chars().count() {
        1..=MOST_TEXT if !text.chars().any(|letter| letter.is_control() && letter != '\n') => {
            Ok(text.to_owned())
        }
        _ => Err(Problem::malformed(format!("`{name}` has 1 to {MOST_TEXT} letters"))),
    }
}

fn word<T: std::str::FromStr<Err = ledger::NoWord>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|no_word: ledger::NoWord| Problem::malformed(no_word.to_string()))
}

/// What somebody sent, as a sentence repeats it.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

const MOST_TEXT: usize = 500;

/// Behind one entry.
const MOST_PROOFS: usize = 16;

/// An exclusion that is invoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExclusion {
    /// Its name, of which there is one.
    id: String,
    /// `planned_maintenance`, `security_maintenance`, `authority_order`, `agreed_suspension`,
    /// `outside_control`, `customer_caused`, `product_connectivity`, `battery`.
    kind: String,
    #[schema(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[schema(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    /// Of planned maintenance: when the written notice reached the customer.
    #[schema(value_type = Option<String>, format = DateTime)]
    notice_at: Option<DateTime<Utc>>,
    /// Of an agreed suspension: when it was agreed.
    #[schema(value_type = Option<String>, format = DateTime)]
    agreed_at: Option<DateTime<Utc>>,
    why: String,
    #[serde(default)]
    proofs: Vec<NamedProof>,
}

/// A document that is kept, and what it is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedProof {
    name: String,
    /// In hex.
    sha256: String,
}

/// What is said to an exclusion.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAnswer {
    /// `accepted`, `disputed` or `rejected`.
    status: String,
    why: String,
}

/// That notice was given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClaim {
    /// When it reached the vendor.
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    written: bool,
    /// What was sent; without any it came without evidence.
    #[serde(default)]
    proofs: Vec<NamedProof>,
}

/// What became of a claim.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProgress {
    /// `acknowledged`, `disputed` or `credited`.
    step: String,
    /// The number of the invoice, or why.
    note: String,
    /// What stands behind it.
    #[serde(default)]
    proofs: Vec<NamedProof>,
}

/// That an entry is not in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCorrection {
    /// Its number.
    entry: u64,
    why: String,
}

/// A new entry of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    /// Its number.
    entry: u64,
}

/// A document that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptProof {
    /// In hex: an entry names it so.
    sha256: String,
}
