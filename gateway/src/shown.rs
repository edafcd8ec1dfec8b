//! The certificate that the pages are served with: the owner's, or one of the gateway's own authority.
//!
//! An own one is for the names and addresses of now. It is looked at every ten minutes and made anew when it ends
//! soon, when the machine has moved, and when the clock was put right; connections that are there go on.
//!
//! **Never true:** that the pages have none. What cannot be written to the disk is shown all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use metering::Clock;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;
use tokio::time;
use web_ui::PagesCertificate;
use x509_parser::parse_x509_certificate;

use crate::authority::{Names, fingerprint};
use crate::certificate::Certificate;
use crate::keys::{Keys, put};
use crate::restart::Task;

/// What is shown now; clones show the same.
#[derive(Clone)]
pub(crate) struct Shown {
    keys: Arc<Keys>,
    file: PathBuf,
    current: Arc<RwLock<Arc<CertifiedKey>>>,
    told: Arc<watch::Sender<Arc<PagesCertificate>>>,
    brought: bool,
}

impl std::fmt::Debug for Shown {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("told", &self.told.borrow()).finish_non_exhaustive()
    }
}

impl Shown {
    /// The owner's certificate and key, if they can be used, else one of the gateway's own.
    ///
    /// # Errors
    ///
    /// If none can be made.
    pub(crate) fn new(
        keys: Arc<Keys>,
        state: &Path,
        brought: Option<&(PathBuf, PathBuf)>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let file = state.join("keys").join("tls.crt");
        let mut trouble = None;
        let read = brought.and_then(|(certificate, key)| {
            let read = Certificate::read(certificate, key);
            read.inspect_err(|error| {
                let error = crate::chain(error);
                tracing::error!(
                    error,
                    "the certificate of fyrhus.toml cannot be used: the pages come with the gateway's own"
                );
                trouble = Some(error);
            })
            .ok()
        });
        let (chain, key, is_brought) = match read {
            Some(Certificate { chain, key }) => (chain, key, true),
            None => (own_chain(&keys, kept_or_made(&keys, &file, now)?), own_key(&keys), false),
        };
        let told = told(&keys, &chain, is_brought, trouble);
        let current = Arc::new(RwLock::new(certified(chain, key)?));
        let told = Arc::new(watch::Sender::new(Arc::new(told)));
        Ok(Self { keys, file, current, told, brought: is_brought })
    }

    /// What the pages tell of it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<PagesCertificate>> {
        self.told.subscribe()
    }

    /// For a listener.
    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(self.clone())
    }

    /// Makes an own one anew if it is time to.
    fn look(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        if self.brought {
            return Ok(());
        }
        let leaf = kept_or_made(&self.keys, &self.file, now)?;
        let is_same = |told: &PagesCertificate| told.fingerprint == fingerprint(&leaf);
        if is_same(&self.told.borrow()) {
            return Ok(());
        }
        let chain = own_chain(&self.keys, leaf);
        let trouble = self.told.borrow().trouble.clone();
        let told = told(&self.keys, &chain, false, trouble);
        let certified = certified(chain, own_key(&self.keys))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certified;
        tracing::info!(names = ?told.names, "the pages have a new certificate");
        self.told.send_replace(Arc::new(told));
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Looks after it while the daemon runs.
pub(crate) struct Renewal {
    pub(crate) shown: Shown,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Task for Renewal {
    fn name(&self) -> String {
        "certificate of the pages".to_owned()
    }

    async fn live(&mut self) {
        loop {
            time::sleep(LOOK_EVERY).await;
            let (shown, now) = (self.shown.clone(), self.clock.now().wall);
            let looked = tokio::task::spawn_blocking(move || shown.look(now)).await;
            if let Ok(Err(error)) = looked {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(error, "the pages keep the certificate that they have");
            }
        }
    }
}

/// What is on the disk if it is good, else a new one.
fn kept_or_made(
    keys: &Keys,
    file: &Path,
    now: DateTime<Utc>,
) -> anyhow::Result<CertificateDer<'static>> {
    // Before the clock is right it may stand anywhere, but no gateway is older than this.
    let now = now.max(Utc.timestamp_millis_opt(crate::clock::WRITTEN_MS).single().unwrap_or(now));
    let names = keys.authority.may(Names::now());
    let kept = fs::read(file).ok().and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
    if let Some(kept) = kept.filter(|it| keys.authority.is_good(it, &keys.tls, &names, now)) {
        return Ok(kept);
    }
    let made = keys.authority.issue(&keys.tls, &names, now)?;
    if let Err(error) = put(file, &pem(&made)) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, file = %file.display(), "the pages' certificate is not kept: the next start makes another");
    }
    Ok(made)
}

/// The certificate and the one that vouches for it, so that browsers show that one's fingerprint too.
fn own_chain(keys: &Keys, leaf: CertificateDer<'static>) -> Vec<CertificateDer<'static>> {
    vec![leaf, keys.authority.certificate.clone()]
}

fn own_key(keys: &Keys) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(keys.tls.serialize_der()).into()
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> anyhow::Result<Arc<CertifiedKey>> {
    // That of the program, which has chosen it at its start; tests have not.
    let default = || Arc::new(rustls::crypto::ring::default_provider());
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(default);
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}

fn told(
    keys: &Keys,
    chain: &[CertificateDer<'static>],
    brought: bool,
    trouble: Option<String>,
) -> PagesCertificate {
    let leaf: &[u8] = chain.first().map_or(&[], |leaf| leaf);
    let Names { hosts, addresses } = Names::of(leaf);
    let ends = parse_x509_certificate(leaf).ok();
    let ends =
        ends.and_then(|(_, it)| Utc.timestamp_opt(it.validity().not_after.timestamp(), 0).single());
    PagesCertificate {
        authority: keys.authority.certificate.to_vec(),
        authority_fingerprint: fingerprint(&keys.authority.certificate),
        brought,
        fingerprint: fingerprint(leaf),
        names: hosts,
        addresses,
        ends,
        trouble,
    }
}

/// pem's own lines have 64 characters.
fn pem(certificate: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(certificate);
    let mut lines = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.extend(line.iter().map(|byte| char::from(*byte)));
        lines.push('\n');
    }
    lines.push_str("-----END CERTIFICATE-----\n");
    lines
}

/// Whoever has moved the machine waits for at most so long.
const LOOK_EVERY: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn at(day: &str) -> DateTime<Utc> {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    #[test]
    fn it_stays_over_a_start_and_is_made_anew_in_time_while_the_pages_run() {
        let state = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::open(state.path(), &SystemClock::new()).unwrap());
        let start = |now| Shown::new(Arc::clone(&keys), state.path(), None, at(now)).unwrap();
        let print = |shown: &Shown| shown.told.borrow().fingerprint.clone();
        // A clock that nobody has set.
        let first = print(&start("1970-01-01"));
        let shown = start("2026-12-01");
        assert_eq!(print(&shown), first, "browsers are not asked again after every start");
        shown.look(at("2027-06-01")).unwrap();
        assert_eq!(print(&shown), first);
        shown.look(at("2028-06-01")).unwrap();
        assert_ne!(print(&shown), first);
        let current = shown.current.read().unwrap().cert.clone();
        assert_eq!(fingerprint(&current[0]), print(&shown));
        assert_eq!(current[1], keys.authority.certificate);
        assert_eq!(print(&start("2028-07-01")), print(&shown), "it is on the disk");
    }

    #[test]
    fn one_that_cannot_be_used_is_told() {
        let state = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::open(state.path(), &SystemClock::new()).unwrap());
        let nowhere = (state.path().join("none.pem"), state.path().join("none.key"));
        let shown = Shown::new(keys, state.path(), Some(&nowhere), at("2026-12-01")).unwrap();
        let told = shown.watch().borrow().clone();
        assert!(!told.brought && !told.names.is_empty());
        assert!(
            told.trouble.as_ref().unwrap().contains("none.pem cannot be read as PEM"),
            "{told:?}"
        );
    }
}
