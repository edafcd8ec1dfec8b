//! One connection to the portfolio, made stage by stage, so that a failure names its stage.
//!
//! ```text
//! name ──▶ TCP ──▶ TLS ──▶ HTTP ──▶ report
//! Dns      Tcp     Tls     NoAnswer, Status, WrongData
//! ```

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use cloud_sync::{Identity, Way};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use ledger::{Failure, TlsFailure};
use reqwest::Url;
use rustls::{CertificateError, HandshakeKind};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// An open connection; closed when it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    requests: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How connections speak TLS. Those of one go on where the one before ended, for half of the bytes, and
/// then the portfolio's certificate is not looked at again.
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Of which the first connection begins from nothing.
    ///
    /// # Errors
    ///
    /// Our own identity cannot be used.
    pub(super) fn new(identity: &Identity) -> Result<Self, Failure> {
        let mut config = identity.client_config().map_err(|_| OWN_FAULT)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

const OWN_FAULT: Failure = Failure::Tls(TlsFailure::OwnFault);

/// What the portfolio reports of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reported {
    /// When it was read, in milliseconds since 1970.
    pub(super) at_ms: i64,
    /// Its steps.
    pub(super) mantissa: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Report {
    reading: Option<Reported>,
}

/// How far a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Name,
    Tcp,
    Tls,
    Http,
}

impl Stage {
    /// What it is when nothing more happens at this stage.
    pub(super) const fn hangs(self) -> Failure {
        match self {
            Self::Name => Failure::Dns,
            Self::Tcp => Failure::Tcp,
            Self::Tls => Failure::Tls(TlsFailure::Handshake),
            Self::Http => Failure::NoAnswer,
        }
    }
}

/// Asks for the report at `url`: over the connection that is kept in `link`, or over a new one,
/// which is then kept there. `stage` tells how far that has come, also when this is dropped.
///
/// # Errors
///
/// The stage at which it failed.
pub(super) async fn ask(
    link: &mut Option<Link>,
    stage: &mut Stage,
    tls: &Tls,
    way: &Way,
    url: &Url,
) -> Result<Option<Reported>, Failure> {
    if let Some(mut kept) = link.take() {
        *stage = Stage::Http;
        // A connection that was closed meanwhile is no failure of the service.
        if let Ok(answer) = kept.get(url).await {
            *link = Some(kept);
            return answer;
        }
    }
    let mut fresh = connect(stage, tls, way, url).await?;
    *stage = Stage::Http;
    let answer = fresh.get(url).await.map_err(|_closed| Failure::NoAnswer)?;
    *link = Some(fresh);
    answer
}

async fn connect(stage: &mut Stage, tls: &Tls, way: &Way, url: &Url) -> Result<Link, Failure> {
    *stage = Stage::Name;
    let host = url.host_str().ok_or(Failure::Dns)?.trim_matches(['[', ']']);
    let places = way.find(url).await.map_err(|_| Failure::Dns)?;

    *stage = Stage::Tcp;
    let stream = way.connect(&places, url).await.map_err(|_| Failure::Tcp)?;

    *stage = Stage::Tls;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| OWN_FAULT)?;
    let stream = tls.0.connect(name, stream).await;
    let stream = stream.map_err(|error| Failure::Tls(tls_failure(&error)))?;
    way.traffic().shaken(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed));

    *stage = Stage::Http;
    let (requests, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::NoAnswer)?;
    let driver = tokio::spawn(async move {
        // Whoever asks over it hears of its end.
        drop(connection.await);
    });
    Ok(Link { requests, driver })
}

impl Link {
    /// The outer error: the connection broke off. The inner one: an answer that is none.
    async fn get(
        &mut self,
        url: &Url,
    ) -> Result<Result<Option<Reported>, Failure>, Box<dyn Error + Send + Sync>> {
        self.requests.ready().await?;
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let place = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let request = Request::get(place)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("fyrhus-probe/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Ok(Err(Failure::Status(status.as_u16())));
        }
        let report: Result<Report, _> = serde_json::from_slice(&body);
        Ok(report.map(|report| report.reading).map_err(|_| Failure::WrongData))
    }
}

/// Whose fault a handshake that failed is.
fn tls_failure(error: &io::Error) -> TlsFailure {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => TlsFailure::ForeignCa,
        Some(rustls::Error::InvalidCertificate(_)) => TlsFailure::OwnFault,
        _ => TlsFailure::Handshake,
    }
}

/// A report has some two hundred bytes; an error page of a proxy has more.
const MOST_BYTES: usize = 64 * 1024;
