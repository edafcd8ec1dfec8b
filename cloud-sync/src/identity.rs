//! Who the gateway is to the portfolio: a key, a certificate for it, and whom to believe.
//!
//! ```text
//!  fyrhus-identity 1
//!  gateway 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77
//!  url https://portfolio.example:9443
//!  -----BEGIN PRIVATE KEY----- …
//!  -----BEGIN CERTIFICATE----- …        the gateway's
//!  -----BEGIN CERTIFICATE----- …        the portfolio's authority, the only one believed, and
//!  …                                    the one after it, once it was announced
//! ```
//!
//! The key was made here and leaves the machine for nobody. A certificate lasts for ninety days, and
//! is renewed when a third of that is left.

use std::fmt;
use std::sync::Arc;

use ::ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metering::{GatewayId, SeriesId};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sync_wire::{Certificate, ChangeDocument, SignedChange, path};
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A key, a certificate for it, and whom to believe.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    gateway: GatewayId,
    url: Url,
    key: String,
    certificate: CertificateDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
    begins_ms: i64,
    ends_ms: i64,
}

/// What does not make an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be read.
    #[error("the certificate cannot be read")]
    Certificate,
    /// Key, certificate and authority do not go together.
    #[error("key and certificate do not belong together")]
    Mismatch(#[source] rustls::Error),
    /// The text is not one that [`Identity::to_text`] wrote.
    #[error("the kept identity is damaged: {0} is missing; enrol the gateway again")]
    Text(&'static str),
}

impl Identity {
    /// Of the parts, if they go together.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]
    pub(crate) fn new(
        gateway: GatewayId,
        url: Url,
        key: &KeyPair,
        given: Certificate,
    ) -> Result<Self, IdentityError> {
        let Certificate { certificate, authority, others } = given;
        let authorities = [authority].into_iter().chain(others).map(Into::into).collect();
        Self::of_parts(gateway, url, key.serialize_pem(), certificate.into(), authorities)
    }

    fn of_parts(
        gateway: GatewayId,
        url: Url,
        key: String,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| IdentityError::Certificate)?;
        let begins_ms = parsed.validity().not_before.timestamp().saturating_mul(1_000);
        let ends_ms = parsed.validity().not_after.timestamp().saturating_mul(1_000);
        let identity = Self { gateway, url, key, certificate, authorities, begins_ms, ends_ms };
        identity.client_config()?;
        Ok(identity)
    }

    /// Whose it is.
    pub const fn gateway(&self) -> GatewayId {
        self.gateway
    }

    /// Where the portfolio is: `https://portfolio.example:9443/`.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// When the certificate ends, in milliseconds since 1970.
    pub const fn ends_ms(&self) -> i64 {
        self.ends_ms
    }

    /// From when on the certificate is to be renewed: two thirds of its life.
    pub const fn renew_from_ms(&self) -> i64 {
        self.ends_ms - self.ends_ms.saturating_sub(self.begins_ms) / 3
    }

    /// Where the newest stored reading of a series is reported, or the one at a time.
    pub fn report_url(&self, series: SeriesId, at_ms: Option<i64>) -> Url {
        let mut url = self.at(&format!("{}{series}", path::REPORT));
        url.set_query(at_ms.map(|at_ms| format!("at_ms={at_ms}")).as_deref());
        url
    }

    /// The change of the configuration that the portfolio has signed for this gateway; `None` if another has
    /// signed it, or it is for another.
    pub fn signed_change(&self, signed: &SignedChange) -> Option<ChangeDocument> {
        let SignedChange { document, signature } = signed;
        let has_signed = |authority: &CertificateDer<'_>| {
            let parsed = X509Certificate::from_der(authority);
            parsed.is_ok_and(|(_, authority)| {
                let key = &authority.public_key().subject_public_key.data;
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
                key.verify(document, signature).is_ok()
            })
        };
        let document = ChangeDocument::read(document).ok()?;
        let is_ours = document.gateway == self.gateway && self.authorities.iter().any(has_signed);
        is_ours.then_some(document)
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    /// TLS 1.3 with this certificate, and with the portfolio alone.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Mismatch`], which an identity that exists has passed already.
    pub fn client_config(&self) -> Result<ClientConfig, IdentityError> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(authority.clone()).map_err(IdentityError::Mismatch)?;
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|_| IdentityError::Text("the key"))?;
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(IdentityError::Mismatch)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.certificate.clone()], key)
            .map_err(IdentityError::Mismatch)
    }

    /// To be kept where nobody else can read it: it holds the key.
    pub fn to_text(&self) -> String {
        let Self { gateway, url, key, .. } = self;
        let certificate = pem(&self.certificate);
        let authorities: String = self.authorities.iter().map(|it| pem(it)).collect();
        format!("{MAGIC}\ngateway {gateway}\nurl {url}\n{key}{certificate}{authorities}")
    }

    /// What [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with what is missing.
    pub fn from_text(text: &str) -> Result<Self, IdentityError> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        if text.lines().next() != Some(MAGIC) {
            return Err(IdentityError::Text("its first line"));
        }
        let gateway = field("gateway").and_then(|id| id.parse().ok());
        let gateway = gateway.ok_or(IdentityError::Text("the gateway's id"))?;
        let url = field("url").and_then(|url| url.parse().ok());
        let url = url.ok_or(IdentityError::Text("the portfolio's address"))?;
        let key = KeyPair::from_pem(text).map_err(|_| IdentityError::Text("the key"))?;
        let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes()).flatten();
        let certificate = certificates.next().ok_or(IdentityError::Text("the certificate"))?;
        let authorities: Vec<_> = certificates.collect();
        if authorities.is_empty() {
            return Err(IdentityError::Text("the portfolio's certificate"));
        }
        Self::of_parts(gateway, url, key.serialize_pem(), certificate, authorities)
    }
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("gateway", &self.gateway)
            .field("url", &self.url.as_str())
            .field("ends_ms", &self.ends_ms)
            .finish_non_exhaustive()
    }
}

const MAGIC: &str = "fyrhus-identity 1";

/// A fresh key on the curve P-256, and a request for a certificate (PKCS #10, DER).
pub(crate) fn fresh_key() -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    Ok((key, request.der().to_vec()))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Lines of 64 letters of base64 (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    let base64 = STANDARD.encode(certificate);
    let mut lines = vec!["-----BEGIN CERTIFICATE-----"];
    let mut rest = base64.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        lines.push(line);
        rest = more;
    }
    lines.extend([rest, "-----END CERTIFICATE-----", ""]);
    lines.join("\n")
}
