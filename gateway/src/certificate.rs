//! A certificate that the owner brings for the pages, instead of the gateway's own.
//!
//! Browsers trust it, so that passkeys, the camera and the pages as an app work. The names in it are
//! names of this gateway. It is read at the start.
//!
//! **Never true:** that one which cannot be used keeps the pages from being served: they come with
//! the gateway's own, and the log says why.

use std::path::{Path, PathBuf};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Certificate and key, as TLS takes them.
pub(crate) struct Certificate {
    /// The one of the pages first, then those that vouch for it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Of two files in PEM.
    ///
    /// # Errors
    ///
    /// [`Unusable`].
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, Unusable> {
        let unreadable = |file: &Path| {
            let file = file.to_owned();
            move |cause| Unusable::Unreadable { file, cause }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(unreadable(certificate))?;
        if chain.is_empty() {
            return Err(Unusable::Empty { file: certificate.to_owned() });
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
        let fits = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key());
        fits.map_err(Unusable::Apart)?;
        Ok(Self { chain, key })
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Not there, not ours to read, or no PEM.
    #[error("{} cannot be read as PEM", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// What the reader says.
        #[source]
        cause: rustls_pki_types::pem::Error,
    },
    /// A file without one.
    #[error("{} has no certificate in it", file.display())]
    Empty {
        /// Which one.
        file: PathBuf,
    },
    /// The key is of another certificate.
    #[error("the certificate and the key do not belong together")]
    Apart(#[source] rustls::Error),
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[track_caller]
    fn check(certificate: &str, key: &str) -> Result<Vec<String>, String> {
        // Another test may have chosen it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let [certificate, key] =
            [("tls.pem", certificate), ("key.pem", key)].map(|(name, text)| {
                let file = dir.path().join(name);
                std::fs::write(&file, text).unwrap();
                file
            });
        let read = Certificate::read(&certificate, &key);
        let folder = format!("{}/", dir.path().display());
        read.map(|it| crate::authority::Names::of(&it.chain[0]).hosts)
            .map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn its_names_are_the_gateway_s_and_what_cannot_be_used_is_named() {
        let names = ["fyrhus.example", "*.example", "fyrhus-7k2m.local"].map(str::to_owned);
        let make = || generate_simple_self_signed(names.clone()).unwrap();
        let CertifiedKey { cert, signing_key } = make();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        let both = check(&certificate, &key).unwrap();
        assert_eq!(both, ["fyrhus.example", "fyrhus-7k2m.local"]);
        for (certificate, key, expected) in [
            ("", key.as_str(), "tls.pem has no certificate in it"),
            (&certificate, "rubbish", "key.pem cannot be read as PEM"),
            (
                &certificate,
                &make().signing_key.serialize_pem(),
                "the certificate and the key do not belong together",
            ),
        ] {
            assert_eq!(check(certificate, key).unwrap_err(), expected);
        }
    }
}
