//! `GET /api/v1/commission/report.pdf`: what was done, as a sheet that stays with the building.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use documents::{Jpeg, pdf};
use serde::Deserialize;
use utoipa::IntoParams;

use super::meter::photo_of;
use crate::api::sla::file;
use crate::commission::{Commission, sheet};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::texts::Texts;
use crate::wire::Asked;
use crate::{Listener, Web};

/// The acceptance report as it is now.
pub(crate) async fn report(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<Report>,
) -> Result<Response, Problem> {
    let language = asked.language.as_deref().unwrap_or("nb");
    let texts = Texts::of(language);
    let texts = texts.ok_or_else(|| Problem::malformed("`language` is nb, en or da"))?;
    let commission = Commission::load(&web).await?;
    let site = web.site();
    let (mut photos, mut bytes, mut left) = (HashMap::new(), 0, 0);
    let kept = site.meters.iter().filter_map(|meter| commission.meters.get(&meter.id));
    for photo in kept.flat_map(|work| &work.photos) {
        if bytes >= MOST_BYTES {
            left += 1;
        } else if let Some(photo_bytes) = photo_of(&web, photo).await? {
            bytes += photo_bytes.len();
            photos.extend(Jpeg::of(&photo_bytes).map(|jpeg| (photo.clone(), jpeg)));
        }
    }
    let scheme = match web.listener {
        Listener::Https => "https",
        Listener::PlainLoopback => "http",
    };
    // The guard has let it through, so it is a name of ours or an address.
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let certificate = web.certificate();
    let facts = sheet::Facts {
        texts,
        site: &site,
        live: &web.live(),
        status: &web.status(),
        devices: &web.handles.devices.borrow().clone(),
        commission: &commission,
        photos: &photos,
        photos_left: left,
        now: web.now().wall,
        who: visitor.user.name.as_str(),
        version: web.handles.version,
        fingerprint: certificate.to_compare(),
        url: &format!("{scheme}://{host}/"),
    };
    let paper = sheet::paper(&facts);
    // Setting it takes a while, and others are to be served meanwhile.
    let set = tokio::task::spawn_blocking(move || pdf(&paper)).await;
    let set = set.map_err(|error| not_set(&error))?.map_err(|error| not_set(&error))?;
    Ok(file("application/pdf", "acceptance-report.pdf", set))
}

fn not_set(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "the acceptance report is not set");
    Problem::new(Code::Store, "The log of the gateway says more.")
}

/// Of photos: a file that still goes out by mail, and that a gateway of little memory sets. A hundred as the
/// page makes them; those after them stay on the gateway, and the report says how many.
const MOST_BYTES: usize = 20 << 20;

/// `?language=nb`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Report {
    /// `nb`, `en`, `da`; `nb` if it is left out.
    language: Option<String>,
}
