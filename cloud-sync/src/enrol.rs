//! From a one-time code to an identity.
//!
//! ```text
//!  code ──▶ whom to believe ──TLS, pinned──▶ the portfolio
//!       └─▶ secret, with a request for a certificate ──▶ certificate
//! ```
//!
//! The code holds the beginning of the hash of the portfolio's authority, so the very first
//! connection is to the right one: the secret is told to nobody else.

use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, GatewayId, Trust};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sync_wire::{Certificate, Enrol, EnrolCode, InvalidEnrolCode, Refusal, path};
use tokio::time;
use url::Url;

use crate::identity::{Identity, fresh_key, provider};
use crate::post::{Post, SyncError};
use crate::way::Way;

/// Why a gateway was not enrolled, in one sentence for whoever typed the code.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The address is none.
    #[error("`{0}` is not a portfolio's address, such as https://portfolio.example:9443")]
    Address(String),
    /// Certificates are good for a time, and nobody knows what time it is.
    #[error(
        "this gateway does not know what time it is yet; connect it to a network with a time \
         server, and try again"
    )]
    Clock,
    /// The text is no code.
    #[error(transparent)]
    Code(#[from] InvalidEnrolCode),
    /// The portfolio said no, or was not there.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl EnrolError {
    /// Whether it is the code that opens nothing.
    pub const fn is_code(&self) -> bool {
        matches!(
            self,
            Self::Code(_)
                | Self::Sync(SyncError::Refused(
                    Refusal::CodeWrong | Refusal::CodeSpent | Refusal::CodeExpired
                ))
        )
    }

    /// Whether the portfolio, or whoever is at its address, could not be talked to.
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Sync(
                SyncError::Unreachable { .. }
                    | SyncError::NotPortfolio { .. }
                    | SyncError::BusyOnTheWay { .. }
                    | SyncError::Way(_)
            )
        )
    }
}

/// Joins the portfolio at `url`, by `way`, with a one-time code: makes a key, and has it certified.
///
/// An answer that was lost on its way is asked for again, with the same key: the code is good for
/// that.
///
/// # Errors
///
/// [`EnrolError`]
///
/// # Cancellation
///
/// Dropped after the code was told, the code may be spent.
pub async fn enrol(
    url: &str,
    code: &str,
    gateway: GatewayId,
    clock: &dyn Clock,
    way: &Way,
) -> Result<Identity, EnrolError> {
    let url = address(url)?;
    let code: EnrolCode = code.parse()?;
    if clock.now().trust == Trust::Untrusted {
        return Err(EnrolError::Clock);
    }

    let (key, request) = fresh_key().map_err(SyncError::Key)?;
    let message = Enrol { secret: code.secret(), gateway, request }.write();
    let config = pinned(&code).map_err(SyncError::Identity)?;
    let mut post = Post::new(config, &url, way.clone());
    let asked = async {
        let mut tries = 0;
        loop {
            match post.post(path::ENROL, message.clone(), Certificate::read).await {
                Err(SyncError::Unreachable { .. }) if tries < TRIES => {
                    tries += 1;
                    time::sleep(BETWEEN).await;
                }
                answer => break answer,
            }
        }
    };
    let answer = time::timeout(WITHIN, asked).await;
    let answer = answer.unwrap_or_else(|_elapsed| Err(SyncError::too_late(&url, WITHIN)))?;
    if !code.believes(&answer.authority) {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(SyncError::WrongAuthority { host }.into());
    }
    let identity = Identity::new(gateway, url, &key, answer);
    Ok(identity.map_err(SyncError::Identity)?)
}

/// How often an answer is asked for again.
const TRIES: u32 = 2;
const BETWEEN: Duration = Duration::from_millis(500);

/// All tries together: a person waits for the end, at a page or a terminal.
const WITHIN: Duration = Duration::from_secs(25);

fn address(text: &str) -> Result<Url, EnrolError> {
    let wrong = || EnrolError::Address(text.trim().chars().take(100).collect());
    let url: Url = text.trim().parse().map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.query().is_none() && url.path() == "/";
    if url.scheme() == "https" && url.host_str().is_some() && plain {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// TLS 1.3 with whom the code believes, without a certificate of our own.
fn pinned(code: &EnrolCode) -> Result<ClientConfig, crate::IdentityError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(crate::IdentityError::Mismatch)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            code: code.clone(),
            provider: provider(),
        }))
        .with_no_client_auth();
    Ok(config)
}

/// Believes the authority of a one-time code, which the portfolio sends along, and judges the
/// portfolio's certificate by it: signature, name and time.
#[derive(Debug)]
struct Pinned {
    code: EnrolCode,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|certificate| self.code.believes(certificate))
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| unknown())?
            .verify_server_cert(certificate, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_a_host() {
        for good in [
            "https://portfolio.example",
            "https://portfolio.example:9443",
            " https://10.0.0.7:9443/ ",
            "https://[::1]:9443",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "portfolio.example",
            "portfolio.example:9443",
            "http://portfolio.example",
            "https://",
            "https://user@portfolio.example",
            "https://portfolio.example/pages",
        ] {
            let refused = address(wrong).unwrap_err().to_string();
            assert!(refused.contains("is not a portfolio's address, such as"), "{refused}");
        }
    }
}
