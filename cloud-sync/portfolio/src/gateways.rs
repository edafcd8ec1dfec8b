//! What gateways ask for, over HTTPS with a certificate of their own.
//!
//! | Request               | Needs                              | Answer                            |
//! |-----------------------|------------------------------------|-----------------------------------|
//! | POST /v1/enrol        | a one-time code                    | a certificate                     |
//! | POST /v1/renew        | a certificate, expired or not      | the next one                      |
//! | POST /v1/batch        | a certificate                      | how far it is, after the commit   |
//! | POST /v1/series       | a certificate                      | how far it is                     |
//! | POST /v1/document     | a certificate                      | a part of a proof                 |
//! | POST /v1/errands      | a certificate                      | what is asked of it               |
//! | POST /v1/bundle       | a certificate, and to be asked     | how much of it is here            |
//! | POST /v1/recall       | a certificate                      | readings that it lost             |
//! | POST /v1/ledger       | a certificate                      | its own ledger, after a loss      |
//! | POST /v1/books        | a certificate                      | the vendor's book, a signature    |
//! | POST /v1/latest       | a certificate                      | how far it is                     |
//! | POST /v1/accounts     | a certificate                      | how far it is                     |
//! | GET /v1/report/{n}    | a certificate, or a probe's ticket | the newest reading of a series    |
//!
//! A certificate is good while it stands on the list, whatever it says of itself. Where the
//! database cannot answer the gateway hears that we are busy, and keeps what it has.

use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::{Pace, Slowing};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use chrono::{DateTime, SecondsFormat};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use listener::Peer;
use metering::{Clock, GatewayId, NoReading, Quantity, SeriesId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sync_wire::{
    Accounts, Ack, Books, Certificate, Document, Enrol, Envelope, ErrandsTold, Latest, Malformed,
    Refusal, Renew, SeriesTable, Wishes, limits, path,
};
use tokio::sync::Semaphore;
use tokio::time;

use crate::authority::{Authority, RENEWABLE, ms};
use crate::errands;
use crate::ledgers::{Ledgers, NotSaid};
use crate::probe;
use crate::receive::off_the_list;
use crate::repository::{Listed, Reported, Repository, SpendCode, StoredReading};

mod recall;
mod sent;

use recall::Recalls;
use sent::Sent;

/// What the gateways' listener needs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Gateways<R> {
    repository: R,
    ledgers: Ledgers<R>,
    authority: Arc<Authority>,
    clock: Arc<dyn Clock>,
    slowing: Arc<Mutex<Slowing<IpAddr>>>,
    bodies: Arc<Semaphore>,
    enrolments: Arc<Semaphore>,
    recalls: Recalls,
    /// What each certificate's gateway has said that it is.
    versions: Arc<Mutex<HashMap<[u8; 32], String>>>,
}

/// Gateways whose version is remembered; beyond that all are asked for again.
const VERSIONS: usize = 16_384;

/// Bodies that are read at once: at a quarter of a megabyte each 16 MB. The next is sent away.
const BODIES: usize = 64;

/// For how long a body may take: 256 KiB over a link of 4 kB/s.
const BODY: Duration = Duration::from_secs(65);

/// Bodies of those who have shown no certificate, which are read at once. They have places of their
/// own: who drips one byte after the other keeps no gateway from sending.
const ENROLMENTS: usize = 16;

/// Of an enrolment: the request for a certificate, and a little.
const ENROLMENT_BYTES: usize = limits::CERTIFICATE_BYTES + 1_024;

/// For how long an enrolment may take: one packet, and its second try over a slow link.
const ENROLMENT: Duration = Duration::from_secs(15);

impl<R: Repository> Gateways<R> {
    /// With these.
    pub(crate) fn new(repository: R, authority: Arc<Authority>, clock: Arc<dyn Clock>) -> Self {
        let slowing = Arc::new(Mutex::new(Slowing::new(Pace::SOURCE)));
        let bodies = Arc::new(Semaphore::new(BODIES));
        let enrolments = Arc::new(Semaphore::new(ENROLMENTS));
        let key = authority.ledger_key().clone();
        let ledgers = Ledgers::new(repository.clone(), Arc::clone(&clock), key);
        let (recalls, versions) = (Recalls::new(), Arc::default());
        Self {
            repository,
            ledgers,
            authority,
            clock,
            slowing,
            bodies,
            enrolments,
            recalls,
            versions,
        }
    }

    /// The routes. Every request needs a [`Peer`] among its extensions.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(path::ACCOUNTS, post(accounts::<R>))
            .route(path::BATCH, post(batch::<R>))
            .route(path::BOOKS, post(books::<R>))
            .route(path::BUNDLE, post(bundle::<R>))
            .route(path::DOCUMENT, post(document::<R>))
            .route(path::ERRANDS, post(asked::<R>))
            .route(path::LEDGER, post(own_ledger::<R>))
            .route(path::ENROL, post(enrol::<R>))
            .route(path::LATEST, post(latest::<R>))
            .route(path::RECALL, post(recall::recall::<R>))
            .route(path::RENEW, post(renew::<R>))
            .route(&format!("{}{{series}}", path::REPORT), get(report::<R>))
            .route(path::SERIES, post(series::<R>))
            .layer(middleware::from_fn_with_state(self.clone(), hear_version::<R>))
            .with_state(self)
    }

    /// Keeps what a gateway says that it is, if it says something else than before. Nothing depends on
    /// it, so that nobody is told when it cannot be kept.
    async fn learn_version(&self, peer: Peer, version: String) {
        let Some(certificate) = peer.certificate else { return };
        if self.versions().get(&certificate) == Some(&version) {
            return;
        }
        let Ok((gateway, _)) = self.who(peer).await else { return };
        match self.repository.note_version(gateway, version.clone()).await {
            Ok(()) => {
                let mut versions = self.versions();
                if versions.len() >= VERSIONS {
                    versions.clear();
                }
                versions.insert(certificate, version);
            }
            Err(error) => {
                tracing::warn!(%gateway, error = &error as &dyn Error, "a version is not kept");
            }
        }
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<[u8; 32], String>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose certificate it is, if it is good now, and what we would like of them.
    async fn who(&self, peer: Peer) -> Result<(GatewayId, Wishes), Sent> {
        let Listed { gateway, ends_ms, told, unheard, .. } = self.listed(peer).await?;
        if ends_ms <= self.now_ms() {
            let day = DateTime::from_timestamp_millis(ends_ms).unwrap_or_default();
            let sentence = format!(
                "its certificate ended on {}; it may renew it, and do nothing else",
                day.format("%Y-%m-%d")
            );
            return Err(Sent::Refusal(Refusal::NotAllowed { sentence }));
        }
        let mut wishes = Wishes::default();
        if self.authority.next().is_some() && told != Some(self.authority.newest_sha256()) {
            wishes = wishes.and(Wishes::RENEW);
        }
        if unheard {
            wishes = wishes.and(Wishes::ERRANDS);
        }
        Ok((gateway, wishes))
    }

    /// What the list says of its certificate, if it is on the list.
    async fn listed(&self, peer: Peer) -> Result<Listed, Sent> {
        let certificate = shown(peer)?;
        match self.repository.certificate(certificate).await? {
            Some(listed) if listed.revoked => Err(Sent::Refusal(off_the_list())),
            Some(listed) => Ok(listed),
            None => {
                let sentence = "its certificate is not on the list; enrol it again".to_owned();
                Err(Sent::Refusal(Refusal::NotAllowed { sentence }))
            }
        }
    }

    /// The body of somebody who has shown a certificate, if there is room for it and it comes in
    /// time.
    async fn body(&self, body: Body) -> Result<Bytes, Sent> {
        let _room = self.bodies.try_acquire().map_err(|_| Sent::busy())?;
        read(body, limits::POSTED_BYTES, BODY).await
    }

    /// The message of somebody who has shown a certificate, which speaks of nobody else, and what
    /// we would like of them.
    async fn message<M>(
        &self,
        peer: Peer,
        body: Body,
        read: impl FnOnce(&[u8]) -> Result<M, Malformed>,
        of: impl FnOnce(&M) -> GatewayId,
    ) -> Result<(M, Wishes), Sent> {
        self.who(peer).await?;
        let body = self.body(body).await?;
        // A body may be held back for a minute, and the certificate be worth nothing by then.
        let (gateway, wishes) = self.who(peer).await?;
        let message = read(&body).map_err(|wrong| malformed(gateway, wrong.into()))?;
        own(gateway, of(&message))?;
        Ok((message, wishes))
    }

    /// Like [`body`](Self::body), of anybody.
    async fn enrolment(&self, body: Body) -> Result<Bytes, Sent> {
        let _room = self.enrolments.try_acquire().map_err(|_| Sent::busy())?;
        read(body, ENROLMENT_BYTES, ENROLMENT).await
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().wall_ms()
    }
}

/// Hears what a gateway that is let in says that it is: `User-Agent: fyrhus/1.2.0`.
async fn hear_version<R: Repository>(
    State(gateways): State<Gateways<R>>,
    request: Request,
    next: Next,
) -> Response {
    let version = version_of(request.headers());
    let peer = request.extensions().get::<Peer>().copied();
    let response = next.run(request).await;
    if let (Some(version), Some(peer), true) = (version, peer, response.status().is_success()) {
        gateways.learn_version(peer, version).await;
    }
    response
}

/// The version that a gateway says; `None` for what is none.
fn version_of(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let version = agent.strip_prefix("fyrhus/")?;
    let is_version = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '+');
    let fits = (1..=32).contains(&version.len()) && version.chars().all(is_version);
    fits.then(|| version.to_owned())
}

async fn read(body: Body, most: usize, longest: Duration) -> Result<Bytes, Sent> {
    match time::timeout(longest, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        // Only what is too long is the message's own fault; what was cut off may come whole.
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let sentence = format!("it is longer than {most} bytes");
            Err(Sent::Refusal(Refusal::Malformed { sentence }))
        }
        Ok(Err(_)) | Err(_) => Err(Sent::busy()),
    }
}

async fn batch<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (gateway, wishes) = gateways.who(peer).await?;
    let body = gateways.body(body).await?;
    let envelope = Envelope::read(&body).map_err(|wrong| malformed(gateway, wrong.into()))?;
    let header = envelope.header;
    own(gateway, header.gateway)?;
    let batch = envelope.open().map_err(|wrong| malformed(gateway, wrong.into()))?;

    let count = batch.readings().len();
    let answer = gateways.repository.store_batch(shown(peer)?, header, batch, gateways.now_ms());
    let answer = answer.await?;
    match &answer {
        Ok(Ack { acked }) => {
            tracing::debug!(%gateway, header.from, header.to, count, acked, "batch stored");
        }
        Err(Refusal::Clone) => {
            tracing::error!(%gateway, header.from, header.to, "two gateways under one identity");
        }
        Err(refusal) => {
            let because = refusal as &dyn Error;
            tracing::info!(%gateway, header.from, header.to, because, "batch refused");
        }
    }
    answer.map(|ack| Sent::Ack(ack, wishes)).map_err(Sent::Refusal)
}

async fn series<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (table, wishes) = gateways.message(peer, body, SeriesTable::read, |it| it.gateway).await?;
    let answer = gateways.repository.store_table(table, gateways.now_ms()).await?;
    answer.map(|ack| Sent::Ack(ack, wishes)).map_err(Sent::Refusal)
}

async fn latest<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (latest, wishes) = gateways.message(peer, body, Latest::read, |it| it.gateway).await?;
    let answer = gateways.repository.store_latest(latest, gateways.now_ms()).await?;
    answer.map(|ack| Sent::Ack(ack, wishes)).map_err(Sent::Refusal)
}

async fn accounts<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (accounts, wishes) = gateways.message(peer, body, Accounts::read, |it| it.gateway).await?;
    let answer = gateways.repository.store_accounts(accounts, gateways.now_ms()).await?;
    answer.map(|ack| Sent::Ack(ack, wishes)).map_err(Sent::Refusal)
}

async fn books<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (books, _) = gateways.message(peer, body, Books::read, |it| it.gateway).await?;
    let answer = gateways.ledgers.exchange(books).await?;
    answer.map(Sent::Books).map_err(Sent::Refusal)
}

async fn own_ledger<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (asked, _) = gateways.message(peer, body, Books::read, |it| it.gateway).await?;
    Ok(Sent::Books(gateways.ledgers.own(asked).await?))
}

async fn document<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (asked, _) = gateways.message(peer, body, Document::read, |it| it.gateway).await?;
    let gateway = asked.gateway;
    match gateways.ledgers.hand_over(asked).await {
        Ok(answer) => answer.map(Sent::Document).map_err(Sent::Refusal),
        Err(NotSaid::Repository(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(%gateway, error = &error as &dyn Error, "a document is not taken");
            Err(Sent::busy())
        }
    }
}

async fn asked<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (told, _) = gateways.message(peer, body, ErrandsTold::read, |it| it.gateway).await?;
    let asked = errands::exchange(&gateways.repository, told, gateways.now_ms()).await?;
    Ok(Sent::Errands(asked))
}

async fn bundle<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (part, _) = gateways.message(peer, body, Document::read, |it| it.gateway).await?;
    let answer = errands::hand_over(&gateways.repository, part, gateways.now_ms()).await?;
    answer.map(Sent::Document).map_err(Sent::Refusal)
}

async fn enrol<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (now, address) = (gateways.clock.now(), peer.address);
    let source = listener::source(peer.address);
    gateways.knock(source, now.boottime)?;

    let body = gateways.enrolment(body).await?;
    let Enrol { secret, gateway, request } =
        Enrol::read(&body).map_err(|wrong| Sent::Refusal(wrong.into()))?;
    let signed = gateways.authority.sign(&request, gateway, now.wall_ms())?;
    let spend = SpendCode {
        sha256: Sha256::digest(secret).into(),
        gateway,
        key_sha256: signed.key_sha256,
        certificate: signed.certificate,
    };
    match gateways.repository.spend_code(spend, now.wall_ms()).await? {
        Ok(certificate) => {
            if let Some(source) = source {
                gateways.slowing().forgive(&source);
            }
            tracing::info!(%gateway, %address, "gateway enrolled");
            Ok(gateways.certificate(certificate))
        }
        Err(refusal) => {
            let because = &refusal as &dyn Error;
            tracing::warn!(%gateway, %address, because, "gateway not enrolled");
            Err(Sent::Refusal(refusal))
        }
    }
}

async fn renew<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let now_ms = gateways.now_ms();
    let Listed { gateway, ends_ms, .. } = gateways.listed(peer).await?;
    if now_ms > ends_ms.saturating_add(ms(RENEWABLE)) {
        let sentence = "its certificate ended too long ago; enrol it again".to_owned();
        return Err(Sent::Refusal(Refusal::NotAllowed { sentence }));
    }
    let body = gateways.body(body).await?;
    let Renew { request } = Renew::read(&body).map_err(|wrong| Sent::Refusal(wrong.into()))?;
    let signed = gateways.authority.sign(&request, gateway, now_ms)?;
    let der = signed.certificate.der.clone();
    if !gateways.repository.renew_certificate(shown(peer)?, signed.certificate).await? {
        return Err(Sent::Refusal(off_the_list()));
    }
    tracing::info!(%gateway, "certificate renewed");
    Ok(gateways.certificate(der))
}

/// `GET /v1/report/7?at_ms=…`: what a gateway asks to learn whether the service keeps its promise.
async fn report<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    Path(series): Path<u32>,
    Query(question): Query<Question>,
    headers: HeaderMap,
) -> Result<Json<Report>, Sent> {
    let gateway = match question.gateway {
        Some(gateway) => gateways.admitted(&headers, gateway)?,
        None => gateways.who(peer).await?.0,
    };
    let found = match SeriesId::new(series) {
        Some(series) => gateways.repository.report(gateway, series, question.at_ms).await?,
        None => None,
    };
    Ok(Json(Report { series, reading: found.map(ReportedReading::of) }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Without it, the newest.
    at_ms: Option<i64>,
    /// Whose; only our own probe asks for another.
    gateway: Option<GatewayId>,
}

#[derive(Debug, Serialize)]
struct Report {
    series: u32,
    reading: Option<ReportedReading>,
}

#[derive(Debug, Serialize)]
struct ReportedReading {
    at: String,
    at_ms: i64,
    seq: u64,
    mantissa: Option<i64>,
    value: Option<String>,
    reason: Option<&'static str>,
    unit: String,
    decimals: i8,
}

impl ReportedReading {
    fn of(reported: Reported) -> Self {
        let Reported { reading: StoredReading { at_ms, value, .. }, seq, resolution } = reported;
        let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
        Self {
            at: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            at_ms,
            seq,
            mantissa: value.ok(),
            value: value.ok().map(|mantissa| Quantity::new(mantissa, resolution).decimal()),
            reason: value.err().map(NoReading::as_str),
            unit: resolution.unit().code().to_owned(),
            decimals: resolution.decimals(),
        }
    }
}

impl<R: Repository> Gateways<R> {
    fn certificate(&self, certificate: Vec<u8>) -> Sent {
        Sent::Certificate(Certificate {
            certificate,
            authority: self.authority.certificate().to_vec(),
            others: self.authority.next().into_iter().map(|next| next.to_vec()).collect(),
        })
    }

    /// `gateway`, if our own probe asks for it.
    fn admitted(&self, headers: &HeaderMap, gateway: GatewayId) -> Result<GatewayId, Sent> {
        let ticket = headers.get(probe::HEADER).and_then(|ticket| ticket.to_str().ok());
        let key = self.authority.ledger_key().verifying_key();
        let now = self.clock.now().wall.timestamp();
        if ticket.is_some_and(|ticket| probe::admits(&key, ticket, gateway, now)) {
            return Ok(gateway);
        }
        let sentence = "it asks for another gateway's reading".to_owned();
        Err(Sent::Refusal(Refusal::NotAllowed { sentence }))
    }

    /// Counts a try to enrol before it is judged.
    fn knock(&self, source: Option<IpAddr>, now: Duration) -> Result<(), Sent> {
        let Some(source) = source else { return Ok(()) };
        let mut slowing = self.slowing();
        match slowing.wait(&source, now) {
            None => slowing.count(source, now),
            Some(wait) => {
                let retry_after_secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
                return Err(Sent::Refusal(Refusal::TooOften { retry_after_secs }));
            }
        }
        Ok(())
    }

    fn slowing(&self) -> MutexGuard<'_, Slowing<IpAddr>> {
        self.slowing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of the certificate that was shown.
fn shown(peer: Peer) -> Result<[u8; 32], Sent> {
    let sentence = || "it shows no certificate".to_owned();
    peer.certificate.ok_or_else(|| Sent::Refusal(Refusal::NotAllowed { sentence: sentence() }))
}

/// A gateway speaks for itself alone.
fn own(certificate: GatewayId, message: GatewayId) -> Result<(), Sent> {
    if certificate == message {
        return Ok(());
    }
    let sentence = format!("its certificate is that of {certificate}, its message of {message}");
    Err(Sent::Refusal(Refusal::NotAllowed { sentence }))
}

fn malformed(gateway: GatewayId, refusal: Refusal) -> Sent {
    tracing::warn!(%gateway, because = &refusal as &dyn Error, "message refused");
    Sent::Refusal(refusal)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task;

    use axum::body::HttpBody;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use hyper::body::Frame;
    use tower::ServiceExt;

    use super::*;
    use crate::clock::SystemClock;
    use crate::sqlite::Sqlite;

    /// Somebody who never sends what they announced.
    struct Dripping;

    impl HttpBody for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut task::Context<'_>,
        ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_drips_an_enrolment_keeps_no_gateway_from_sending() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Sqlite::open(&dir.path().join("portfolio.db")).unwrap();
        let authority = Arc::new(Authority::open(dir.path(), 0).unwrap());
        let gateways = Gateways::new(repository, authority, Arc::new(SystemClock::new()));
        let router = gateways.clone().router();
        let enrol = |body: Body| {
            let mut request = Request::post(path::ENROL).body(body).unwrap();
            let address = "127.0.0.1:1".parse().unwrap();
            request.extensions_mut().insert(Peer { address, certificate: None });
            router.clone().oneshot(request)
        };
        let dripping: Vec<_> =
            (0..ENROLMENTS).map(|_| tokio::spawn(enrol(Body::new(Dripping)))).collect();
        let all_in = async {
            while gateways.enrolments.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(5), all_in).await.unwrap();
        let refused = enrol(Body::empty()).await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(gateways.bodies.available_permits(), BODIES);

        dripping.iter().for_each(tokio::task::JoinHandle::abort);
        for dripped in dripping {
            assert!(dripped.await.unwrap_err().is_cancelled());
        }
        let malformed = enrol(Body::empty()).await.unwrap();
        assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_source_that_tries_too_often_waits() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Sqlite::open(&dir.path().join("portfolio.db")).unwrap();
        let authority = Arc::new(Authority::open(dir.path(), 0).unwrap());
        let gateways = Gateways::new(repository, authority, Arc::new(SystemClock::new()));
        let somebody = Some("192.0.2.1".parse().unwrap());
        for _ in 0..Pace::SOURCE.free {
            assert!(gateways.knock(somebody, Duration::ZERO).is_ok());
            assert!(gateways.knock(None, Duration::ZERO).is_ok(), "a proxy is everybody");
        }
        assert!(matches!(
            gateways.knock(somebody, Duration::ZERO),
            Err(Sent::Refusal(Refusal::TooOften { retry_after_secs: 1 }))
        ));
        assert!(gateways.knock(somebody, Duration::from_secs(2)).is_ok());
    }
}
