//! The service's own certificate authority: whom gateways believe, and who is a gateway.
//!
//! ```text
//!  authority.pem ──signs──▶ the listener's certificate     90 days, made anew at every start and
//!        │                                                 each day when a third of it is left
//!        └─────────signs──▶ a gateway's certificate        90 days, renewed by the gateway
//! ```
//!
//! It is made at the first start and is not part of any public trust: a gateway learns it from its
//! one-time code. Its signature alone makes nobody a gateway; the certificate has to stand on the
//! list in the database too.
//!
//! Another takes its place without a gateway being touched:
//!
//! ```text
//!  prepare ──▶ authority-next.pem     gateways are asked to renew, and learn it with the answer
//!  turn ─────▶ authority.pem          it signs; of the one before the key is gone
//!        └───▶ authority-before.pem   what that one has signed is good until it ends
//! ```
//!
//! **Invariant:** what a gateway asks for is a certificate for its key, and nothing else: names,
//! validity and use are ours.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use metering::GatewayId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SigningKey as _,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use sha2::{Digest, Sha256};
use sync_wire::{ChangeDocument, EnrolCode, SignedChange};

use crate::repository::NewCertificate;

/// For how long a certificate is good: a lost one is a danger for three months at most.
pub(crate) const LASTS: Duration = Duration::from_hours(90 * 24);

/// For how long an expired certificate may still be renewed: a gateway may have been in a box.
pub(crate) const RENEWABLE: Duration = Duration::from_hours(180 * 24);

/// Certificates begin a day before they are made: clocks differ.
const BACKDATED: Duration = Duration::from_hours(24);

/// The authority outlives every gateway that learned it.
const AUTHORITY_LASTS: Duration = Duration::from_hours(30 * 365 * 24);

/// The key that signs, and its certificate.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The one that will sign after it.
    next: Option<CertificateDer<'static>>,
    /// Those that have signed before it.
    before: Vec<CertificateDer<'static>>,
    ledger_key: SigningKey,
}

/// A gateway's certificate, and for which key.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// To give, and to put on the list.
    pub(crate) certificate: NewCertificate,
    /// SHA-256 of the public key.
    pub(crate) key_sha256: [u8; 32],
}

/// The authority cannot be had, or cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// The file is there and holds no key and certificate.
    #[error(
        "{} does not hold the service's key and certificate; put it back from a backup: without \
         it every gateway has to be enrolled again",
        .0.display()
    )]
    Unreadable(PathBuf),
    /// Nobody was prepared to follow.
    #[error("no other authority is prepared; `fyrhus-portfolio authority prepare` makes one")]
    NoNext,
    /// No key or certificate could be made.
    #[error("a certificate cannot be made")]
    Sign(#[source] rcgen::Error),
    /// A configured name cannot stand in a certificate.
    #[error("the certificate cannot be used")]
    Use(#[source] rustls::Error),
}

/// Why a request for a certificate is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// It is no request, or its signature is not by its own key.
    #[error("the certificate request cannot be read, or is not signed by its own key")]
    Malformed(#[source] rcgen::Error),
    /// Another kind of key.
    #[error("the key of the certificate request is not on the curve P-256")]
    Key,
    /// We cannot sign.
    #[error(transparent)]
    Authority(AuthorityError),
}

impl Authority {
    /// Reads the authority in `dir`, or makes it if there is none. Blocks.
    ///
    /// Key and certificate are one file that appears as a whole, so that two programs that start
    /// at the same time agree on one.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]
    pub(crate) fn open(dir: &Path, now_ms: i64) -> Result<Self, AuthorityError> {
        let (issuer, certificate) = read_or_make(&dir.join(PRESENT), now_ms)?;
        let next = match read(&dir.join(NEXT))? {
            Some(pem) => Some(parse(&pem).ok_or(AuthorityError::Unreadable(dir.join(NEXT)))?.1),
            None => None,
        };
        let before = read(&dir.join(BEFORE))?.unwrap_or_default();
        let before: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(before.as_bytes()).collect();
        let before = before.map_err(|_| AuthorityError::Unreadable(dir.join(BEFORE)))?;
        let ledger_key = match read(&dir.join(LEDGER_KEY))? {
            Some(kept) => seed(&kept).ok_or(AuthorityError::Unreadable(dir.join(LEDGER_KEY)))?,
            None => Sha256::new()
                .chain_update("fyrhus portfolio ledger key\n")
                .chain_update(issuer.key().serialize_der())
                .finalize()
                .into(),
        };
        let ledger_key = SigningKey::from_bytes(&ledger_key);
        Ok(Self { issuer, certificate, next, before, ledger_key })
    }

    /// Makes the authority that will follow, unless there is one. Blocks.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]
    pub(crate) fn prepare(dir: &Path, now_ms: i64) -> Result<(), AuthorityError> {
        read_or_make(&dir.join(NEXT), now_ms)?;
        Ok(())
    }

    /// Puts the prepared authority in the place of the present one, whose key is lost by that.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; then the present one signs on.
    pub(crate) fn turn(dir: &Path, now_ms: i64) -> Result<(), AuthorityError> {
        let present = Self::open(dir, now_ms)?;
        if present.next.is_none() {
            return Err(AuthorityError::NoNext);
        }
        let mut text = String::new();
        for certificate in present.before.iter().chain([&present.certificate]) {
            text.push_str(&pem(certificate));
        }
        let (path, draft) = (dir.join(BEFORE), dir.join(format!("{BEFORE}.new")));
        let file = |cause| AuthorityError::File { path: path.clone(), cause };
        write_private(&draft, &text).map_err(file)?;
        fs::rename(&draft, &path).map_err(file)?;
        // Books that were opened with it go on: it does not follow from the next authority's key.
        let kept = format!("{}\n", BASE64.encode(present.ledger_key.as_bytes()));
        write_private(&dir.join(LEDGER_KEY), &kept).map_err(file)?;
        fs::rename(dir.join(NEXT), dir.join(PRESENT)).map_err(file)?;
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(file)
    }

    /// Whose signature makes a certificate that may stand on the list.
    pub(crate) fn believed(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        [&self.certificate].into_iter().chain(&self.next).chain(&self.before)
    }

    /// Who will sign next, if that is known.
    pub(crate) const fn next(&self) -> Option<&CertificateDer<'static>> {
        self.next.as_ref()
    }

    /// SHA-256 of the newest authority: that which gateways have to learn.
    pub(crate) fn newest_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.next.as_ref().unwrap_or(&self.certificate)).into()
    }

    /// Its certificate.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What checkpoints of ledgers are countersigned with. It follows from the first authority's own
    /// key, so that all receivers of one database have it; when another authority follows it is kept
    /// in a file of its own.
    pub(crate) const fn ledger_key(&self) -> &SigningKey {
        &self.ledger_key
    }

    /// A fresh one-time code. Its secret is to be kept as a hash.
    pub(crate) fn new_code(&self) -> EnrolCode {
        EnrolCode::new(&self.certificate, rand::random())
    }

    /// A change of a gateway's configuration, with a signature that the gateway can check: it has pinned
    /// the authority.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Sign`]
    pub(crate) fn sign_change(
        &self,
        change: &ChangeDocument,
    ) -> Result<SignedChange, AuthorityError> {
        let document = change.write();
        let signature = self.issuer.key().sign(&document).map_err(AuthorityError::Sign)?;
        Ok(SignedChange { document, signature })
    }

    /// A fresh key and certificate for the gateways' listener. The chain ends with the authority,
    /// by which a gateway with a one-time code recognises it.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] if one of the names cannot stand in a certificate.
    pub(crate) fn server(
        &self,
        names: &[String],
        now_ms: i64,
    ) -> Result<CertifiedKey, AuthorityError> {
        let key = p256().map_err(AuthorityError::Sign)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(AuthorityError::Sign)?;
        params.distinguished_name = name("Fyrhus portfolio");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now_ms, LASTS);
        let certificate = params.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)?;
        certified(vec![certificate.der().clone(), self.certificate.clone()], &key)
    }

    /// A certificate for the key of a request (PKCS #10, DER).
    ///
    /// # Errors
    ///
    /// [`RequestError`]
    pub(crate) fn sign(
        &self,
        request: &[u8],
        gateway: GatewayId,
        now_ms: i64,
    ) -> Result<Signed, RequestError> {
        let request = CertificateSigningRequestDer::from(request);
        let request =
            CertificateSigningRequestParams::from_der(&request).map_err(RequestError::Malformed)?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(RequestError::Key);
        }

        let sign = || {
            let mut params = CertificateParams::default();
            params.distinguished_name = name(&gateway.to_string());
            let uri = format!("urn:uuid:{gateway}");
            params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.use_authority_key_identifier_extension = true;
            valid(&mut params, now_ms, LASTS);
            params.signed_by(&request.public_key, &self.issuer)
        };
        let certificate =
            sign().map_err(|cause| RequestError::Authority(AuthorityError::Sign(cause)))?;
        let der = certificate.der().to_vec();
        let sha256 = Sha256::digest(&der).into();
        let ends_ms = now_ms.saturating_add(ms(LASTS));
        Ok(Signed {
            certificate: NewCertificate { der, sha256, ends_ms, told: self.newest_sha256() },
            key_sha256: Sha256::digest(request.public_key.der_bytes()).into(),
        })
    }
}

/// In the folder of everything that is kept.
const PRESENT: &str = "authority.pem";
const NEXT: &str = "authority-next.pem";
const BEFORE: &str = "authority-before.pem";
const LEDGER_KEY: &str = "ledger-key";

/// A file's text; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>, AuthorityError> {
    match fs::read_to_string(path) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(AuthorityError::File { path: path.to_owned(), cause }),
    }
}

fn read_or_make(path: &Path, now_ms: i64) -> Result<Signing, AuthorityError> {
    let unreadable = || AuthorityError::Unreadable(path.to_owned());
    if let Some(pem) = read(path)? {
        return parse(&pem).ok_or_else(unreadable);
    }
    let file = |cause| AuthorityError::File { path: path.to_owned(), cause };
    let draft = path.with_extension(format!("pem.{}", std::process::id()));
    let pem = make(now_ms).map_err(AuthorityError::Sign)?;
    write_private(&draft, &pem).map_err(file)?;
    // Fails, other than a rename, if somebody was quicker; then theirs is the one.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(file)?;
    match linked {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(file(cause)),
        _ => {}
    }
    let pem = fs::read_to_string(path).map_err(file)?;
    parse(&pem).ok_or_else(unreadable)
}

/// What signs, and its certificate.
type Signing = (Issuer<'static, KeyPair>, CertificateDer<'static>);

/// The ledger's key as it is kept.
fn seed(kept: &str) -> Option<[u8; 32]> {
    BASE64.decode(kept.trim_end().as_bytes()).ok()?.try_into().ok()
}

fn parse(pem: &str) -> Option<Signing> {
    let key = KeyPair::from_pem(pem).ok()?;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
    Some((issuer, certificate))
}

/// Lines of 64 letters of base64 (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    let base64 = BASE64.encode(certificate);
    let mut lines = vec!["-----BEGIN CERTIFICATE-----"];
    let mut rest = base64.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        lines.push(line);
        rest = more;
    }
    lines.extend([rest, "-----END CERTIFICATE-----", ""]);
    lines.join("\n")
}

/// The key and certificate with which people are served, self-signed, kept in `dir`. Blocks.
///
/// # Errors
///
/// [`AuthorityError`]
pub(crate) fn people(
    dir: &Path,
    names: &[String],
    now_ms: i64,
) -> Result<CertifiedKey, AuthorityError> {
    let path = dir.join("people.pem");
    let file = |cause| AuthorityError::File { path: path.clone(), cause };
    let pem = match fs::read_to_string(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let make = || {
                let key = p256()?;
                let mut params = CertificateParams::new(names.to_vec())?;
                params.distinguished_name = name("Fyrhus portfolio");
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                valid(&mut params, now_ms, PEOPLE_LASTS);
                let certificate = params.self_signed(&key)?;
                Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
            };
            let pem = make().map_err(AuthorityError::Sign)?;
            write_private(&path, &pem).map_err(file)?;
            pem
        }
        Err(cause) => return Err(file(cause)),
    };
    let unreadable = || AuthorityError::Unreadable(path.clone());
    let key = KeyPair::from_pem(&pem).map_err(|_| unreadable())?;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
    certified(vec![certificate], &key)
}

/// Browsers ask about it once and remember the answer; ten years, so that they do not ask again.
const PEOPLE_LASTS: Duration = Duration::from_hours(10 * 365 * 24);

/// The authority's key and certificate as one text.
fn make(now_ms: i64) -> Result<String, rcgen::Error> {
    let key = p256()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Fyrhus portfolio authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut params, now_ms, AUTHORITY_LASTS);
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn p256() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn valid(params: &mut CertificateParams, now_ms: i64, lasts: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1)
        + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    params.not_before = now - BACKDATED;
    params.not_after = now + lasts;
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
) -> Result<CertifiedKey, AuthorityError> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&key).map_err(AuthorityError::Use)?;
    Ok(CertifiedKey::new(chain, Arc::clone(&key)))
}

/// Writes a file that nobody else may read, and sees that it reached the disk.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::PKCS_ED25519;
    use uuid::Uuid;

    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    #[test]
    fn it_is_made_once_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path(), NOW_MS).unwrap();
        let again = Authority::open(dir.path(), NOW_MS + 1).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(first.new_code().believes(again.certificate()));
        assert_eq!(first.ledger_key(), again.ledger_key());
    }

    #[test]
    fn the_key_of_the_ledgers_stays_when_another_authority_follows_and_another() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path(), NOW_MS).unwrap();
        for turn in 1..3 {
            Authority::prepare(dir.path(), NOW_MS + turn).unwrap();
            Authority::turn(dir.path(), NOW_MS + turn).unwrap();
            let now = Authority::open(dir.path(), NOW_MS + turn).unwrap();
            assert_ne!(now.certificate(), first.certificate());
            assert_eq!(now.ledger_key(), first.ledger_key(), "turn {turn}");
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("authority.pem"), "nonsense").unwrap();
        let refused = Authority::open(dir.path(), NOW_MS).unwrap_err().to_string();
        assert!(refused.contains("put it back from a backup"), "{refused}");
        assert_eq!(fs::read(dir.path().join("authority.pem")).unwrap(), b"nonsense");
    }

    #[track_caller]
    fn check(request: &[u8], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), NOW_MS).unwrap();
        let gateway = GatewayId::from_uuid(Uuid::nil());
        let refused = authority.sign(request, gateway, NOW_MS).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn only_a_request_by_its_own_p256_key_is_signed() {
        let unreadable = "the certificate request cannot be read, or is not signed by its own key";
        check(b"", unreadable);
        check(&[0x30, 0x82, 0xFF, 0xFF], unreadable);
        let key = p256().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let mut forged = request.der().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        check(&forged, unreadable);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        check(request.der(), "the key of the certificate request is not on the curve P-256");
    }
}
