//! The vendor's own probe: asks this service, over its public address, for a value that it has, and
//! keeps in the vendor's book how that ended.
//!
//! ```text
//!  database ── what is known ──▶ ask over TLS ──▶ report ── right? ──▶ vendor's book, by the hour
//! ```
//!
//! It goes the way that gateways go: name, TCP, TLS, HTTP, database. Where the database does not say
//! what a report has to show, the last that it said is asked for. While the service is stopped there is
//! no attempt, which is unknown time in this book, and proves nothing against the customer's.
//!
//! **Never true:** that the probe may read what a gateway may not: it asks with a signature of this
//! authority for one report, good for a few minutes.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use futures_util::StreamExt as _;
use futures_util::stream;
use ledger::{Attempt, Failure, Outcome, References, TlsFailure};
use metering::{Clock, GatewayId, Trust};
use reqwest::{Client, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use sync_wire::path;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::ledgers::Ledgers;
use crate::repository::{Repository, Sample};
use crate::tls::TlsError;

/// Asks for all gateways.
pub(crate) struct Probe<R> {
    repository: R,
    ledgers: Ledgers<R>,
    clock: Arc<dyn Clock>,
    key: SigningKey,
    /// `https://portfolio.example:9443`
    url: String,
    client: Client,
    known: HashMap<GatewayId, Sample>,
    /// What is not in a book yet.
    tried: BTreeMap<GatewayId, Vec<Attempt>>,
    /// The hour, since 1970, of what was tried last.
    hour: Option<i64>,
    /// Whether anything of this life is in a book: the first round is, at once.
    begun: bool,
}

impl<R: Repository> Probe<R> {
    /// The one of the service at `url`, whose certificates `authority` signs.
    pub(crate) fn new(
        repository: R,
        ledgers: Ledgers<R>,
        clock: Arc<dyn Clock>,
        key: SigningKey,
        url: String,
        authority: &CertificateDer<'static>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(TlsError::Rustls)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Rustls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A connection of its own for every question: that too is what is promised.
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .http1_only()
            .no_proxy()
            .timeout(TIME_OUT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("fyrhus-portfolio-probe/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(TlsError::Client)?;
        let (known, tried) = (HashMap::new(), BTreeMap::new());
        Ok(Self {
            repository,
            ledgers,
            clock,
            key,
            url,
            client,
            known,
            tried,
            hour: None,
            begun: false,
        })
    }

    /// Asks once a minute until `shutdown`, and then writes down what was tried.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut every = time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = every.tick() => {}
            }
            if shutdown.run_until_cancelled(self.round()).await.is_none() {
                break;
            }
        }
        self.write_down().await;
    }

    /// Asks for every gateway once; what was tried goes into the books when an hour is over.
    pub(crate) async fn round(&mut self) {
        let hour = self.clock.now().wall.timestamp().div_euclid(3_600);
        if self.hour.is_some_and(|before| before != hour) {
            self.write_down().await;
        }
        self.hour = Some(hour);
        self.look().await;
        let questions: Vec<_> = self.known.iter().map(|(id, sample)| (*id, *sample)).collect();
        let answers = stream::iter(questions)
            .map(|(gateway, sample)| self.ask(gateway, sample))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        for (gateway, attempt) in answers {
            if let Outcome::Failed(failure) = attempt.outcome {
                tracing::warn!(%gateway, ?failure, "the service's own report cannot be had");
            }
            let tried = self.tried.entry(gateway).or_default();
            // A database that is away for a day loses what was tried first, which is then unknown.
            if tried.len() < MOST_KEPT {
                tried.push(attempt);
            }
        }
        if !self.begun && !self.tried.is_empty() {
            self.begun = true;
            self.write_down().await;
        }
    }

    /// What a report has to show now, as far as the database says so.
    async fn look(&mut self) {
        let sites = match self.repository.sites().await {
            Ok(sites) => sites,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the probe asks as before");
                return;
            }
        };
        let gateways = sites.into_iter().filter_map(|site| site.gateway);
        let enrolled: Vec<GatewayId> = gateways
            .filter(|gateway| gateway.certificate_until_ms.is_some())
            .map(|gateway| gateway.id)
            .collect();
        self.known.retain(|gateway, _| enrolled.contains(gateway));
        for gateway in enrolled {
            match self.repository.sample(gateway).await {
                Ok(Some(sample)) => drop(self.known.insert(gateway, sample)),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    async fn ask(&self, gateway: GatewayId, sample: Sample) -> (GatewayId, Attempt) {
        let at = self.clock.now();
        let outcome = match self.report(gateway, sample, at.wall.timestamp()).await {
            Ok(true) => Outcome::Success,
            Ok(false) => Outcome::Failed(Failure::WrongData),
            Err(failure) => Outcome::Failed(failure),
        };
        let attempt = Attempt {
            at: at.wall.timestamp(),
            outcome,
            references: References::default(),
            clock_trusted: at.trust >= Trust::Holdover,
            age: u32::try_from(at.boottime.as_secs()).ok(),
        };
        (gateway, attempt)
    }

    /// Whether the report shows what it has to.
    async fn report(&self, gateway: GatewayId, sample: Sample, now: i64) -> Result<bool, Failure> {
        let Sample { series, at_ms, mantissa } = sample;
        let place = path::REPORT;
        let url = format!("{}{place}{series}?at_ms={at_ms}&gateway={gateway}", self.url);
        let request = self.client.get(url).header(HEADER, ticket(&self.key, gateway, now));
        let response = request.send().await.map_err(|error| failure(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let report: Report = response.json().await.map_err(|error| {
            if error.is_timeout() { Failure::NoAnswer } else { Failure::WrongData }
        })?;
        Ok(report.reading == Some(Reading { at_ms, mantissa: Some(mantissa) }))
    }

    /// What was tried goes into the vendor's books. What cannot be written waits.
    pub(crate) async fn write_down(&mut self) {
        for (gateway, attempts) in std::mem::take(&mut self.tried) {
            if let Err(error) = self.ledgers.tried(gateway, attempts.clone()).await {
                let error = &error as &dyn Error;
                tracing::warn!(%gateway, error, "the vendor's book is not written");
                self.tried.insert(gateway, attempts);
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Report {
    reading: Option<Reading>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Reading {
    at_ms: i64,
    mantissa: Option<i64>,
}

/// The stage at which a question failed.
fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() && !error.is_connect() {
        return Failure::NoAnswer;
    }
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if text.contains("dns") || text.contains("lookup") {
            return Failure::Dns;
        }
        if cause.is::<rustls::Error>() || text.contains("certificate") {
            return Failure::Tls(TlsFailure::OwnFault);
        }
        next = cause.source();
    }
    if error.is_connect() { Failure::Tcp } else { Failure::NoAnswer }
}

/// What lets the probe ask for one gateway's report, for a few minutes.
fn ticket(key: &SigningKey, gateway: GatewayId, now: i64) -> String {
    let minute = now.div_euclid(60);
    let signature = key.sign(&told(gateway, minute)).to_bytes();
    format!("{minute}.{}", BASE64.encode(&signature))
}

/// Whether `ticket` is one of ours for `gateway`, and not an old one.
pub(crate) fn admits(key: &VerifyingKey, ticket: &str, gateway: GatewayId, now: i64) -> bool {
    let parse = || {
        let (minute, signature) = ticket.split_once('.')?;
        let minute: i64 = minute.parse().ok()?;
        let signature: [u8; 64] = BASE64.decode(signature.as_bytes()).ok()?.try_into().ok()?;
        Some((minute, Signature::from_bytes(&signature)))
    };
    let Some((minute, signature)) = parse() else { return false };
    minute.abs_diff(now.div_euclid(60)) <= TICKET_MINUTES
        && key.verify_strict(&told(gateway, minute), &signature).is_ok()
}

fn told(gateway: GatewayId, minute: i64) -> Vec<u8> {
    format!("fyrhus-probe/1\n{gateway}\n{minute}\n").into_bytes()
}

/// Where the ticket stands.
pub(crate) const HEADER: &str = "fyrhus-probe";

/// The promise's own time-out for a report.
const TIME_OUT: Duration = Duration::from_secs(10);

const EVERY: Duration = Duration::from_mins(1);

/// A thousand gateways are asked for within a minute as long as each answer takes half a second.
const AT_ONCE: usize = 8;

/// Receivers whose clocks differ believe each other so long.
const TICKET_MINUTES: u64 = 5;

/// A day of one gateway.
const MOST_KEPT: usize = 1_440;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_ticket_is_good_for_one_gateway_and_some_minutes() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        let other = GatewayId::from_uuid(Uuid::from_u128(8));
        let now = 1_795_269_600;
        let good = ticket(&key, gateway, now);
        let admits =
            |ticket: &str, gateway, now| admits(&key.verifying_key(), ticket, gateway, now);
        assert!(admits(&good, gateway, now) && admits(&good, gateway, now + 300));
        assert!(!admits(&good, other, now));
        assert!(!admits(&good, gateway, now + 420) && !admits(&good, gateway, now - 420));
        let (minute, _) = good.split_once('.').unwrap();
        for bad in ["", ".", "x.y", minute, &format!("{minute}.AAAA"), &format!("-{good}")] {
            assert!(!admits(bad, gateway, now), "{bad}");
        }
        let forged = ticket(&SigningKey::from_bytes(&[8; 32]), gateway, now);
        assert!(!admits(&forged, gateway, now));
    }
}
