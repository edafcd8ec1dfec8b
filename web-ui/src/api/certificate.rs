//! `/api/v1/certificate`: what browsers are shown, and whose word they can take for it.
//!
//! The authority's certificate is for everybody: it is in every answer over TLS, and who installs it on a phone
//! has not logged in there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::wire::Time;
use crate::{Web, guard};

/// Which it is.
pub(crate) async fn certificate(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<CertificateBody>, Problem> {
    let told = web.certificate();
    let host = guard::name_of(&guard::host(&headers, &uri)?);
    let addresses = told.addresses.iter().map(ToString::to_string);
    let covers: Vec<String> = told.names.iter().cloned().chain(addresses).collect();
    Ok(Json(CertificateBody {
        kind: if told.brought { "brought" } else { "own" },
        fingerprint: told.fingerprint.clone(),
        authority: told.authority_fingerprint.clone(),
        covered: covers.iter().any(|it| it.eq_ignore_ascii_case(&host)),
        covers,
        host,
        ends: told.ends.map(Time),
        trouble: told.trouble.clone(),
    }))
}

/// The authority's, as phones and computers install it.
pub(crate) async fn authority(State(web): State<Arc<Web>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-x509-ca-cert")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"fyrhus-authority.crt\""),
        ),
    ];
    (headers, web.certificate().authority.clone()).into_response()
}

/// The certificate that the pages come with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Certificate)]
pub(crate) struct CertificateBody {
    /// `own`, of the gateway's own authority, or `brought` by the owner.
    kind: &'static str,
    /// Its SHA-256 as browsers show it.
    fingerprint: String,
    /// The SHA-256 of the authority's, which stays.
    authority: String,
    /// The names and addresses that it is for.
    covers: Vec<String>,
    /// Under which the gateway was asked now.
    host: String,
    /// Whether that is one of them.
    covered: bool,
    /// Until when it is good.
    ends: Option<Time>,
    /// Why the one that the owner has brought is not used, as one English sentence.
    trouble: Option<String>,
}
