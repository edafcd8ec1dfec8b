//! The certificate that the pages are served with: the owner's, or one of the gateway's own authority.
//!
//! ```text
//! keys/brought.pem   sent on the page            ─┐
//! fyrhus.toml        the files that it names     ─┼─▶ the first that can be used ─▶ whoever connects
//! keys/tls.crt       of the gateway's authority  ─┘
//! ```
//!
//! An own one is for the names and addresses of now. All of them are looked at every ten minutes: an own one is
//! made anew when it ends soon, when the machine has moved, and when the clock was put right; one that was brought
//! gives way when it ends, and one that a program renews is taken up. Connections that are there go on.
//!
//! **Never true:** that the pages have none. What cannot be written to the disk is shown all the same.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use metering::Clock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::{oneshot, watch};
use tokio::time;
use web_ui::{CertificateFlaw, CertificateOrder, PagesCertificate, Whose};
use x509_parser::parse_x509_certificate;

use crate::authority::{Names, fingerprint};
use crate::certificate::{Certificate, provider};
use crate::keys::{Keys, put};
use crate::restart::Task;

/// What is shown now; clones show the same.
#[derive(Clone)]
pub(crate) struct Shown {
    keys: Arc<Keys>,
    folder: PathBuf,
    /// Certificate and key that `fyrhus.toml` names.
    named: Option<(PathBuf, PathBuf)>,
    current: Arc<RwLock<Arc<CertifiedKey>>>,
    told: Arc<watch::Sender<Arc<PagesCertificate>>>,
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
        named: Option<&(PathBuf, PathBuf)>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let folder = state.join("keys");
        let Choice { certified, told } = choose(&keys, &folder, named, now)?;
        say(&told);
        Ok(Self {
            keys,
            folder,
            named: named.cloned(),
            current: Arc::new(RwLock::new(certified)),
            told: Arc::new(watch::Sender::new(Arc::new(told))),
        })
    }

    /// What the pages tell of it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<PagesCertificate>> {
        self.told.subscribe()
    }

    /// For a listener.
    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(self.clone())
    }

    /// The same as [`obey`](Self::obey), whose answer is sent when it is there: files are read and written.
    pub(crate) fn answer(
        &self,
        order: CertificateOrder,
        now: DateTime<Utc>,
        reply: oneshot::Sender<Result<(), CertificateFlaw>>,
    ) {
        let shown = self.clone();
        drop(tokio::task::spawn_blocking(move || reply.send(shown.obey(&order, now))));
    }

    /// Does what an owner asks; whoever connects from now on is shown what is there then.
    ///
    /// # Errors
    ///
    /// Why it is as it was.
    pub(crate) fn obey(
        &self,
        order: &CertificateOrder,
        now: DateTime<Utc>,
    ) -> Result<(), CertificateFlaw> {
        let failed = |error: &dyn std::error::Error| CertificateFlaw::Failed(crate::chain(error));
        let file = self.folder.join(UPLOADED);
        match order {
            CertificateOrder::Bring { certificates, key } => {
                let (certificates, key) = (certificates.0.as_bytes(), key.0.as_bytes());
                let Certificate { chain, key } = Certificate::of(certificates, key, right(now))?;
                // One file: a power cut leaves both or neither.
                let mut text: String = chain.iter().map(|it| pem("CERTIFICATE", it)).collect();
                let label = match &key {
                    PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
                    PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
                    _ => "PRIVATE KEY",
                };
                text.push_str(&pem(label, key.secret_der()));
                put(&file, &text).map_err(|error| failed(&error))?;
            }
            CertificateOrder::Forget => match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&error)),
                _ => {}
            },
        }
        self.look(now).map_err(|error| failed(error.as_ref()))
    }

    /// Looks whether another one is to be shown: one has ended, was put in the other's place, or has to be
    /// made anew.
    fn look(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Choice { certified, told } =
            choose(&self.keys, &self.folder, self.named.as_ref(), now)?;
        // Another chain of the same certificate is told alike, and shown all the same.
        let shown = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        if shown.cert == certified.cert && **self.told.borrow() == told {
            return Ok(());
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certified;
        tracing::info!(names = ?told.names, "the pages have a new certificate");
        say(&told);
        self.told.send_replace(Arc::new(told));
        Ok(())
    }
}

/// What the log says of one that cannot be used.
fn say(told: &PagesCertificate) {
    if let Some(error) = &told.trouble {
        tracing::error!(error, "a certificate that was brought is not used");
    }
}

/// What is to be shown, and what is told of it.
struct Choice {
    certified: Arc<CertifiedKey>,
    told: PagesCertificate,
}

/// The one that was sent on the page, else the one of `fyrhus.toml`, else one of the gateway's own.
fn choose(
    keys: &Keys,
    folder: &Path,
    named: Option<&(PathBuf, PathBuf)>,
    now: DateTime<Utc>,
) -> anyhow::Result<Choice> {
    let now = right(now);
    let file = folder.join(UPLOADED);
    let uploaded = file.exists().then_some((&file, &file, Whose::Uploaded));
    let named = named.map(|(certificate, key)| (certificate, key, Whose::Named));
    let mut trouble = None;
    for (certificate, key, whose) in uploaded.into_iter().chain(named) {
        let used = Certificate::read(certificate, key, now).map_err(|error| crate::chain(&error));
        let used = used.and_then(|Certificate { chain, key }| {
            let told = told(keys, &chain, whose, trouble.clone());
            let certified = certified(chain, key).map_err(|error| format!("{error:#}"))?;
            Ok(Choice { certified, told })
        });
        match used {
            Ok(choice) => return Ok(choice),
            Err(error) => drop(trouble.get_or_insert(error)),
        }
    }
    let chain = own_chain(keys, kept_or_made(keys, &folder.join("tls.crt"), now)?);
    let told = told(keys, &chain, Whose::Own, trouble);
    Ok(Choice { certified: certified(chain, own_key(keys))?, told })
}

/// Certificates and key that were sent on the page.
const UPLOADED: &str = "brought.pem";

/// Before the clock is right it may stand anywhere, but no gateway is older than this.
fn right(now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(Utc.timestamp_millis_opt(crate::clock::WRITTEN_MS).single().unwrap_or(now))
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
    let names = keys.authority.may(Names::now());
    let kept = fs::read(file).ok().and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
    if let Some(kept) = kept.filter(|it| keys.authority.is_good(it, &keys.tls, &names, now)) {
        return Ok(kept);
    }
    let made = keys.authority.issue(&keys.tls, &names, now)?;
    if let Err(error) = put(file, &pem("CERTIFICATE", &made)) {
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
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

fn told(
    keys: &Keys,
    chain: &[CertificateDer<'static>],
    whose: Whose,
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
        whose,
        fingerprint: fingerprint(leaf),
        names: hosts,
        addresses,
        ends,
        trouble,
    }
}

/// pem's own lines have 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.extend(line.iter().map(|byte| char::from(*byte)));
        lines.push('\n');
    }
    lines + &format!("-----END {label}-----\n")
}

/// Whoever has moved the machine waits for at most so long.
const LOOK_EVERY: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use web_ui::Secret;

    use super::*;
    use crate::certificate::tests::made;
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
        assert!(told.whose == Whose::Own && !told.names.is_empty());
        assert!(told.trouble.as_ref().unwrap().contains("none.pem cannot be read"), "{told:?}");
    }

    #[test]
    fn one_that_is_sent_is_shown_at_once_until_it_ends_or_is_taken_away() {
        let state = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::open(state.path(), &SystemClock::new()).unwrap());
        let open = |now| Shown::new(Arc::clone(&keys), state.path(), None, at(now)).unwrap();
        let shown = open("2026-12-01");
        let brought = made("pages", &["fyrhus.example"], None, |_| {});
        let bring = |key: &str| CertificateOrder::Bring {
            certificates: Secret(brought.pem.clone()),
            key: Secret(key.to_owned()),
        };
        let now = |shown: &Shown| {
            let told = shown.told.borrow().clone();
            let current = shown.current.read().unwrap().cert.clone();
            assert_eq!(fingerprint(&current[0]), told.fingerprint, "what is told is what is shown");
            (told.whose, told.names.first().cloned().unwrap_or_default(), told.trouble.clone())
        };
        let own = now(&shown);
        let other = made("other", &["fyrhus.example"], None, |_| {});
        assert_eq!(
            shown.obey(&bring(&other.key), at("2026-12-01")),
            Err(CertificateFlaw::KeyApart)
        );
        assert_eq!(now(&shown), own, "it is as it was");

        shown.obey(&bring(&brought.key), at("2026-12-01")).unwrap();
        let theirs = (Whose::Uploaded, "fyrhus.example".to_owned(), None);
        assert_eq!(now(&shown), theirs);
        assert_eq!(now(&open("2026-12-02")), theirs, "after a start, too");
        let file = state.path().join("keys").join(UPLOADED);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        shown.look(at("2028-01-02")).unwrap();
        let (whose, _, trouble) = now(&shown);
        assert_eq!(whose, Whose::Own);
        assert!(trouble.unwrap().contains("ended on 2027-12-31"));

        shown.obey(&CertificateOrder::Forget, at("2028-01-02")).unwrap();
        assert!(now(&shown).2.is_none() && !file.exists());
        shown.obey(&CertificateOrder::Forget, at("2028-01-02")).unwrap();
    }
}
