//! `/api/v1/meters/{meter}/papers`: manuals, certificates and pictures of a meter and of its place, and the
//! photos of its commissioning.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::meters::seen;
use crate::api::tokens::{enough, label};
use crate::commission::Commission;
use crate::commission::edit::new_id;
use crate::handles::MeterInfo;
use crate::papers::{self, Paper};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Asked, Time};

/// Those of a meter, of its place, and of its commissioning.
pub(crate) async fn papers(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
) -> Result<Json<PapersBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &meter)?;
    let papers = of(&web, meter).await?;
    let papers = papers.into_iter().map(PaperBody::of).collect();
    Ok(Json(PapersBody { place: meter.place.clone(), papers }))
}

/// The bytes of one.
pub(crate) async fn paper(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path((meter, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &meter)?;
    let paper = of(&web, meter).await?.into_iter().find(|paper| paper.id == id);
    let paper = paper.ok_or_else(no_such_paper)?;
    let mut bytes = Vec::with_capacity(paper.bytes.min(MOST_BYTES));
    for piece in &paper.pieces {
        let hash = HEXLOWER.decode(piece.as_bytes()).ok().and_then(|it| it.try_into().ok());
        let piece = match hash {
            Some(hash) => web.handles.core.proof(hash).await?,
            None => None,
        };
        bytes.extend(piece.ok_or_else(no_such_paper)?);
    }
    // A picture is shown; what can hold a program of its own is only handed out.
    let (kind, how) =
        if paper.pdf { ("application/pdf", "attachment") } else { ("image/jpeg", "inline") };
    let name: String =
        paper.name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let end = if paper.pdf { "pdf" } else { "jpg" };
    let name = HeaderValue::try_from(format!("{how}; filename=\"{name}.{end}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment"))),
        // The bytes of a paper are never others.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    Ok((headers, bytes).into_response())
}

/// Puts one to a meter, or to all meters at its place.
pub(crate) async fn add(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Asked(asked): Asked<NewPaper>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<PaperBody>), Problem> {
    let bytes = bytes?;
    let site = web.site();
    let meter = seen(&site, &visitor, &meter)?;
    let name = label(&asked.name)?;
    let pdf = bytes.starts_with(b"%PDF-");
    if !pdf && documents::Jpeg::of(&bytes).is_none() {
        let detail =
            "A paper is a PDF or a JPEG; the page makes a JPEG of whatever picture it is given.";
        return Err(Problem::new(Code::PaperWrong, detail));
    }
    let place = match (asked.whole_place, &meter.place) {
        (true, None) => return Err(Problem::malformed("the meter is at no place")),
        (true, Some(place)) => Some(place.clone()),
        (false, _) => None,
    };
    if papers::all(&web).await?.len() >= MOST {
        return Err(enough(MOST));
    }
    let now = web.now();
    let mut pieces = Vec::new();
    for piece in bytes.chunks(store::MOST_PROOF) {
        let hash: [u8; 32] = Sha256::digest(piece).into();
        web.handles.core.keep_proof(hash, now.wall_ms(), piece.to_vec()).await?;
        pieces.push(HEXLOWER.encode(&hash));
    }
    let paper = Paper {
        id: new_id(&now),
        name,
        pdf,
        bytes: bytes.len(),
        pieces,
        meter: place.is_none().then_some(meter.id),
        place,
        who: visitor.name(),
        at_ms: now.wall_ms(),
    };
    let added = paper.clone();
    papers::change(&web, &visitor, |papers| {
        if papers.len() >= MOST {
            return Err(enough(MOST));
        }
        papers.push(added);
        Ok(())
    })
    .await?;
    let detail = format!("{}: {}", meter.name, paper.name);
    web.handles.core.audit(visitor.name(), "paper_added".into(), detail).await?;
    Ok((StatusCode::CREATED, Json(PaperBody::of(paper))))
}

/// Takes one away. Its bytes go a day later, unless something else names them.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path((meter, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &meter)?;
    let removed = papers::change(&web, &visitor, |papers| {
        let is_it = |paper: &Paper| paper.id == id && paper.is_of(meter);
        let at = papers.iter().position(is_it).ok_or_else(no_such_paper)?;
        Ok(papers.remove(at))
    });
    let detail = format!("{}: {}", meter.name, removed.await?.name);
    web.handles.core.audit(visitor.name(), "paper_removed".into(), detail).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What people have put there, and the photos of the commissioning.
async fn of(web: &Web, meter: &MeterInfo) -> Result<Vec<Paper>, Problem> {
    let mut papers = papers::all(web).await?;
    papers.retain(|paper| paper.is_of(meter));
    let photos = Commission::load(web).await?.of(meter.id).photos.clone();
    papers.extend(photos.into_iter().map(|sha256| Paper {
        id: format!("photo-{sha256}"),
        pieces: vec![sha256],
        ..Paper::default()
    }));
    Ok(papers)
}

fn no_such_paper() -> Problem {
    Problem::new(Code::NoSuchPaper, "The meter has no such paper.")
}

/// A manual with pictures.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// In the whole building.
const MOST: usize = 200;

/// `?name=Bruksanvisning&whole_place=false`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewPaper {
    /// What people call it, in 1 to 64 characters.
    name: String,
    /// It is of all meters at this one's place.
    #[serde(default)]
    whole_place: bool,
}

/// What stands at a meter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Papers)]
pub(crate) struct PapersBody {
    /// Where the meter is.
    place: Option<String>,
    /// In the order in which they came; the photos of the commissioning last.
    papers: Vec<PaperBody>,
}

/// A manual, a certificate or a picture.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Paper)]
pub(crate) struct PaperBody {
    id: String,
    /// What people call it; empty for a photo of the commissioning.
    name: String,
    /// `pdf`, `jpeg`
    kind: &'static str,
    /// `null` for a photo of the commissioning.
    bytes: Option<usize>,
    /// It is of all meters at this place.
    place: Option<String>,
    /// Who has put it here, and when; not of a photo of the commissioning, which its report has.
    who: Option<String>,
    at: Option<Time>,
}

impl PaperBody {
    fn of(paper: Paper) -> Self {
        let put = !paper.who.is_empty();
        Self {
            id: paper.id,
            name: paper.name,
            kind: if paper.pdf { "pdf" } else { "jpeg" },
            bytes: put.then_some(paper.bytes),
            place: paper.place,
            who: put.then_some(paper.who),
            at: put.then(|| Time::of_ms(paper.at_ms)),
        }
    }
}
