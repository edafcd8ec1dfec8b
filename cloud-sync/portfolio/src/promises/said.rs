//! What the vendor says of a promise, into its own book: what it invokes, what becomes of a claim, and the
//! documents that stand behind both.

use access::User;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ledger::Interval;
use ledger::book::{Book, Refused};
use ledger::case::{Ground, Notice};
use ledger::entry::{Fact, Invoked, Progress, Proof, Step};
use metering::{GatewayId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{found, none, time};
use crate::handover::is_released;
use crate::ledgers::{Both, Shown};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::Repository;

/// `POST /sites/{site}/promise/exclusions`: the vendor invokes an exclusion.
pub(crate) async fn invoke<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    site: Result<Path<SiteId>, PathRejection>,
    new: Result<Json<NewExclusion>, JsonRejection>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let gateway = written_on(&people, site?.0).await?;
    let Json(new) = new?;
    let second = |at: DateTime<Utc>| at.timestamp();
    let notice = new.notice_at.map(|at| Notice { given_at: second(at), written: true });
    let ground = Ground::of(&new.kind, notice, new.agreed_at.map(second));
    let ground = ground.ok_or_else(|| Problem::malformed("`kind` is no ground of an exclusion"))?;
    let time = Interval::new(second(new.from), second(new.until));
    let time = time.ok_or_else(|| Problem::malformed("`from` has to be before `until`"))?;
    let fact = Fact::Exclusion(Invoked {
        id: text("id", &new.id)?,
        ground,
        time,
        who: user.name.to_string(),
        why: text("why", &new.why)?,
        proofs: proofs(&people, gateway, &new.proofs).await?,
    });
    say(&people, gateway, fact).await
}

/// `POST /sites/{site}/promise/{month}/progress`: what the vendor says to a claim.
pub(crate) async fn progress<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: Result<Path<(SiteId, String)>, PathRejection>,
    new: Result<Json<NewProgress>, JsonRejection>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let Path((site, month)) = path?;
    let gateway = written_on(&people, site).await?;
    let Json(new) = new?;
    let step: Step =
        new.step.parse().map_err(|error: ledger::NoWord| Problem::malformed(error.to_string()))?;
    let note = text("note", &new.note)?;
    let who = user.name.to_string();
    let proofs = proofs(&people, gateway, &new.proofs).await?;
    say(&people, gateway, Fact::Progress(Progress { month, step, who, note, proofs })).await
}

/// `POST /sites/{site}/promise/proofs`: keeps a document that an entry is going to name.
pub(crate) async fn keep_proof<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<KeptProof>), Problem> {
    let gateway = written_on(&people, site?.0).await?;
    let most = sync_wire::limits::DOCUMENT_BYTES;
    let bytes =
        bytes.map_err(|_| Problem::malformed(format!("a document has {most} bytes at most")))?;
    if bytes.is_empty() {
        return Err(Problem::malformed("the document is empty"));
    }
    let sha256 = people.ledgers.keep(gateway, bytes.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(KeptProof { sha256: HEXLOWER.encode(&sha256) })))
}

/// `GET /sites/{site}/promise/proofs/{sha256}`: a document, as it was given. What it is nobody knows: the
/// browser saves it and does not show it.
pub(crate) async fn proof<R: Repository>(
    State(people): State<People<R>>,
    path: Result<Path<(SiteId, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((site, sha256)) = path?;
    let (_, gateway) = found(&people, site).await?;
    let missing = || Problem::new(Code::NoSuchPromise, "No document with this hash is kept.");
    let hash = hash(&sha256).ok_or_else(missing)?;
    let bytes = people.ledgers.document(gateway, hash).await?.ok_or_else(missing)?;
    let name = HeaderValue::try_from(format!("attachment; filename=\"proof-{sha256}\""));
    let name = name.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], bytes).into_response())
}

/// The gateway of a building whose book is written on. Where the gateway was given away the book that stays
/// is evidence: one more entry would have the number of another in the book that goes on elsewhere.
async fn written_on<R: Repository>(people: &People<R>, site: SiteId) -> Result<GatewayId, Problem> {
    let (site, gateway) = found(people, site).await?;
    if site.released.is_some() { Err(is_released()) } else { Ok(gateway) }
}

/// The documents of these names; each has to be kept already.
async fn proofs<R: Repository>(
    people: &People<R>,
    gateway: GatewayId,
    named: &[NamedProof],
) -> Result<Vec<Proof>, Problem> {
    if named.len() > MOST_PROOFS {
        let why = format!("at most {MOST_PROOFS} documents stand behind an entry");
        return Err(Problem::malformed(why));
    }
    let mut proofs = Vec::with_capacity(named.len());
    for NamedProof { name, sha256 } in named {
        let unknown = || Problem::malformed("no document with this `sha256` is kept");
        let sha256 = hash(sha256).ok_or_else(unknown)?;
        people.ledgers.document(gateway, sha256).await?.ok_or_else(unknown)?;
        proofs.push(Proof { name: text("name", name)?, sha256 });
    }
    Ok(proofs)
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// Writes `fact` into the vendor's book, if the gateway's ledger would take it.
async fn say<R: Repository>(
    people: &People<R>,
    gateway: GatewayId,
    fact: Fact,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let Both { customer, vendor } = people.ledgers.both(gateway).await?;
    let customer = customer.ok_or_else(|| none(&Refused::NoContract))?;
    let said = vendor.iter().flat_map(Shown::entries).any(|entry| match (&entry.fact, &fact) {
        (Fact::Exclusion(said), Fact::Exclusion(new)) => said.id == new.id,
        _ => false,
    });
    let taken = Book::new(customer.entries()).takes(&fact);
    let taken = match &fact {
        Fact::Exclusion(new) if said => Err(Refused::Twice(new.id.clone())),
        _ => taken,
    };
    taken.map_err(|refused| {
        Problem::new(Code::LedgerRefused, format!("{refused}.")).with("why", &refused)
    })?;
    let entry = people.ledgers.say(gateway, fact).await?;
    tracing::info!(%gateway, entry, "an entry of the vendor's book");
    Ok((StatusCode::CREATED, Json(Written { entry })))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExclusion {
    id: String,
    kind: String,
    #[schema(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[schema(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    #[schema(value_type = Option<String>, format = DateTime)]
    notice_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    agreed_at: Option<DateTime<Utc>>,
    why: String,
    #[serde(default)]
    proofs: Vec<NamedProof>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProgress {
    step: String,
    note: String,
    #[serde(default)]
    proofs: Vec<NamedProof>,
}

/// A document that is kept, and what its entry calls it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedProof {
    name: String,
    /// In hex.
    sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptProof {
    /// In hex: an entry names it so.
    sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    entry: u64,
}

/// The notice of a breach, or what was said to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Said)]
pub(super) struct SaidBody {
    /// The number of its entry; `null` of the notice.
    entry: Option<u64>,
    at: String,
    /// `claimed`, `acknowledged`, `disputed` or `credited`.
    step: &'static str,
    who: String,
    note: String,
    proofs: Vec<ProofBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proof)]
pub(super) struct ProofBody {
    name: String,
    sha256: String,
}

impl ProofBody {
    pub(super) fn all(proofs: &[Proof]) -> Vec<Self> {
        let told = |it: &Proof| Self { name: it.name.clone(), sha256: HEXLOWER.encode(&it.sha256) };
        proofs.iter().map(told).collect()
    }
}

pub(super) fn said(book: &Book<'_>, month: &str) -> Vec<SaidBody> {
    let Some((claimed, progress)) = book.claimed(month) else { return Vec::new() };
    let notice = SaidBody {
        entry: None,
        at: time(claimed.claim.notified_at),
        step: "claimed",
        who: claimed.who.clone(),
        note: String::new(),
        proofs: ProofBody::all(&claimed.proofs),
    };
    let answers = progress.into_iter().map(|(entry, progress)| SaidBody {
        entry: Some(entry.seq),
        at: time(entry.at_ms.div_euclid(1_000)),
        step: progress.step.as_str(),
        who: progress.who.clone(),
        note: progress.note.clone(),
        proofs: ProofBody::all(&progress.proofs),
    });
    std::iter::once(notice).chain(answers).collect()
}

/// What somebody wrote, of which there is something and not too much.
fn text(name: &str, written: &str) -> Result<String, Problem> {
    let text = written.trim();
    if text.is_empty() || text.len() > MOST_TEXT {
        let why = format!("`{name}` has 1 to {MOST_TEXT} letters");
        return Err(Problem::malformed(why));
    }
    Ok(text.to_owned())
}

const MOST_TEXT: usize = 2_000;

/// Behind one entry.
const MOST_PROOFS: usize = 16;
