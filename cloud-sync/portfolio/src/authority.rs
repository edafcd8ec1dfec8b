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
//! **Invariant:** what a gateway asks for is a certificate for its key, and nothing else: names,
//! validity and use are ours.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metering::GatewayId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use sha2::{Digest, Sha256};
use sync_wire::EnrolCode;

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
        let path = dir.join("authority.pem");
        let file = |cause| AuthorityError::File { path: path.clone(), cause };
        match fs::read_to_string(&path) {
            Ok(pem) => return Self::of_pem(&pem).ok_or(AuthorityError::Unreadable(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(file(cause)),
        }

        let draft = dir.join(format!("authority.pem.{}", std::process::id()));
        let pem = make(now_ms).map_err(AuthorityError::Sign)?;
        write_private(&draft, &pem).map_err(file)?;
        // Fails, other than a rename, if somebody was quicker; then theirs is the one.
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(file)?;
        match linked {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(file(cause)),
            _ => {}
        }
        let pem = fs::read_to_string(&path).map_err(file)?;
        Self::of_pem(&pem).ok_or(AuthorityError::Unreadable(path))
    }

    fn of_pem(pem: &str) -> Option<Self> {
        let key = KeyPair::from_pem(pem).ok()?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        Some(Self { issuer, certificate })
    }

    /// Its certificate.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A fresh one-time code. Its secret is to be kept as a hash.
    pub(crate) fn new_code(&self) -> EnrolCode {
        EnrolCode::new(&self.certificate, rand::random())
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
            certificate: NewCertificate { der, sha256, ends_ms },
            key_sha256: Sha256::digest(request.public_key.der_bytes()).into(),
        })
    }
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
