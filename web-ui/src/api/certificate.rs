//! `/api/v1/certificate`: what browsers are shown, and whose word they can take for it.
//!
//! The authority's certificate is for everybody: it is in every answer over TLS, and who installs it on a phone
//! has not logged in there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::{CertificateFlaw, CertificateOrder};
use crate::handles::Wish;
use crate::meter_keys::Secret;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};
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
        kind: told.whose.as_str(),
        fingerprint: told.fingerprint.clone(),
        authority: told.authority_fingerprint.clone(),
        covered: covers.iter().any(|it| it.eq_ignore_ascii_case(&host)),
        covers,
        host,
        ends: told.ends.map(Time),
        trouble: told.trouble.clone(),
    }))
}

/// Shows one that the owner brings, to whoever connects from now on.
pub(crate) async fn bring(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
    Body(brought): Body<NewCertificate>,
) -> Result<Json<CertificateBody>, Problem> {
    let NewCertificate { certificates, key } = brought;
    let order = CertificateOrder::Bring { certificates: Secret(certificates), key: Secret(key) };
    ordered(&web, &visitor, order, "certificate_brought").await?;
    certificate(State(web), headers, uri).await
}

/// Takes it away.
pub(crate) async fn forget(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<CertificateBody>, Problem> {
    ordered(&web, &visitor, CertificateOrder::Forget, "certificate_forgotten").await?;
    certificate(State(web), headers, uri).await
}

async fn ordered(
    web: &Web,
    visitor: &Visitor,
    order: CertificateOrder,
    did: &str,
) -> Result<(), Problem> {
    drop(web.change_by(visitor).await?);
    let obeyed = web.wish(|reply| Wish::Certificate { order, reply }).await?;
    obeyed.map_err(|flaw| refused(&flaw))?;
    let fingerprint = web.certificate().fingerprint.clone();
    Ok(web.handles.core.audit(visitor.name(), did.to_owned(), fingerprint).await?)
}

fn refused(flaw: &CertificateFlaw) -> Problem {
    let say = |code| Problem::new(code, format!("{flaw}."));
    match flaw {
        CertificateFlaw::None => say(Code::CertificateNone),
        CertificateFlaw::Broken(n) => say(Code::CertificateBroken).with("n", n),
        CertificateFlaw::KeyNone => say(Code::CertificateKeyNone),
        CertificateFlaw::KeySealed => say(Code::CertificateKeySealed),
        CertificateFlaw::KeyKind => say(Code::CertificateKeyKind),
        CertificateFlaw::KeyApart => say(Code::CertificateKeyApart),
        CertificateFlaw::Early(from) => say(Code::CertificateEarly).with("day", &from.date_naive()),
        CertificateFlaw::Ended(at) => say(Code::CertificateEnded).with("day", &at.date_naive()),
        CertificateFlaw::Names => say(Code::CertificateNames),
        CertificateFlaw::Purpose => say(Code::CertificatePurpose),
        CertificateFlaw::Stranger(n) => say(Code::CertificateStranger).with("n", n),
        CertificateFlaw::Chain => say(Code::CertificateChain),
        CertificateFlaw::Failed(_) => say(Code::CertificateFailed),
    }
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
    /// `own`, of the gateway's own authority; of the owner: `brought`, in files that `fyrhus.toml` names, or
    /// `uploaded`.
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

/// A certificate that the owner brings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCertificate {
    /// PEM: it, and those that vouch for it, in any order.
    certificates: String,
    /// PEM; empty if it stands with them. Only the gateway has it from then on.
    key: String,
}
