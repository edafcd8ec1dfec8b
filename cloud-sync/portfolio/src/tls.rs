//! TLS of the two listeners.
//!
//! Gateways speak TLS 1.3 alone, and show a certificate of our authority; one without can only
//! enrol. A certificate that has expired is let in too, for as long as it may be renewed: what it
//! may do is decided for each request, because a connection can outlive the certificate.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::RENEWABLE;

/// A certificate that can be exchanged while the listener runs.
#[derive(Debug)]
pub(crate) struct Renewed(RwLock<Arc<CertifiedKey>>);

impl Renewed {
    /// Starts with `key`.
    pub(crate) fn new(key: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(key)))
    }

    /// New connections get `key` from now on.
    pub(crate) fn renew(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// For the gateways' listener.
///
/// # Errors
///
/// [`TlsError`] if the authority's certificate cannot be used as one.
pub(crate) fn gateways<'a>(
    believed: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    certificate: Arc<Renewed>,
) -> Result<ServerConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in believed {
        roots.add(authority.clone()).map_err(TlsError::Rustls)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .with_client_cert_verifier(Arc::new(ExpiredToo(verifier)))
        .with_cert_resolver(certificate);
    // A resumed handshake costs a 4G SIM half the bytes. One ticket: one connection at a time.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Rustls)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// For the people's listener.
///
/// # Errors
///
/// [`TlsError`] if there is no TLS to be had.
pub(crate) fn people(certificate: CertifiedKey) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Rustls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Renewed::new(certificate)));
    Ok(config)
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Of our own probe.
    #[error("the service cannot ask itself")]
    Client(#[source] reqwest::Error),
    /// By rustls.
    #[error("TLS cannot be set up")]
    Rustls(#[source] Error),
    /// By its verifier.
    #[error("certificates of gateways cannot be verified")]
    Verifier(#[source] VerifierBuilderError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Takes expired certificates too, for [`RENEWABLE`]; everything else about them has to be right.
#[derive(Debug)]
struct ExpiredToo(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ExpiredToo {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.0.verify_client_cert(certificate, intermediates, now) {
            Err(Error::InvalidCertificate(
                expired @ (CertificateError::Expired | CertificateError::ExpiredContext { .. }),
            )) => {
                let expired = Error::InvalidCertificate(expired);
                let end = end_of(certificate).ok_or_else(|| expired.clone())?;
                if now.as_secs() > end.saturating_add(RENEWABLE.as_secs()) {
                    return Err(expired);
                }
                let last_moment = UnixTime::since_unix_epoch(Duration::from_secs(end));
                self.0.verify_client_cert(certificate, intermediates, last_moment)
            }
            judged => judged,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Its last second since 1970.
fn end_of(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use metering::GatewayId;
    use rcgen::{CertificateParams, KeyPair};
    use uuid::Uuid;

    use super::*;
    use crate::authority::{Authority, LASTS};

    const MADE_SECS: u64 = 1_795_000_000;

    fn certificate(authority: &Authority) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let gateway = GatewayId::from_uuid(Uuid::nil());
        let now_ms = i64::try_from(1_000 * MADE_SECS).unwrap();
        authority.sign(request.der(), gateway, now_ms).unwrap().certificate.der.into()
    }

    fn authority() -> Authority {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path(), i64::try_from(1_000 * MADE_SECS).unwrap()).unwrap()
    }

    /// What the verifier says of a certificate of `signer` so many days after it was made.
    fn verdict(believed: &Authority, signer: &Authority, days: u64) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(believed.certificate().clone()).unwrap();
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = ExpiredToo(inner.build().unwrap());
        let now = UnixTime::since_unix_epoch(Duration::from_secs(MADE_SECS + 86_400 * days));
        verifier.verify_client_cert(&certificate(signer), &[], now).map(|_| ())
    }

    #[test]
    fn an_expired_certificate_is_let_in_for_half_a_year() {
        let ours = authority();
        let (good_for, renewable) = (LASTS.as_secs() / 86_400, RENEWABLE.as_secs() / 86_400);
        for days in [0, good_for - 1, good_for + 1, good_for + renewable - 1] {
            assert_eq!(verdict(&ours, &ours, days), Ok(()), "after {days} days");
        }
        let late = verdict(&ours, &ours, good_for + renewable + 1).unwrap_err();
        assert!(matches!(late, Error::InvalidCertificate(_)), "{late}");
    }

    #[test]
    fn another_authority_is_not_believed_expired_or_not() {
        let (ours, theirs) = (authority(), authority());
        for days in [0, LASTS.as_secs() / 86_400 + 1] {
            assert!(verdict(&ours, &theirs, days).is_err(), "after {days} days");
        }
    }
}
