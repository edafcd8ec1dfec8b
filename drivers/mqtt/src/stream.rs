//! From an address to bytes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::client::NotConnected;

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`, in the clear.
    Tcp(String),
    /// `HOST:PORT`, over TLS.
    Tls(String, Trust),
    /// A socket of this machine.
    Unix(PathBuf),
}

/// Who vouches for a broker's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Whom the system trusts.
    System,
    /// The certificates in this PEM file, and nobody else.
    File(PathBuf),
}

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Opens `address`.
pub(crate) async fn open(address: &Address) -> Result<Box<dyn Stream>, NotConnected> {
    Ok(match address {
        Address::Tcp(host) => Box::new(tcp(host).await?),
        Address::Unix(path) => {
            Box::new(UnixStream::connect(path).await.map_err(|_| NotConnected::NotListening)?)
        }
        Address::Tls(host, trust) => {
            let connector = connector(trust).await?;
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(name).map_err(|_| NotConnected::Host)?;
            let stream = tcp(host).await?;
            Box::new(connector.connect(name, stream).await.map_err(of_handshake)?)
        }
    })
}

async fn tcp(host: &str) -> Result<TcpStream, NotConnected> {
    let addresses = tokio::net::lookup_host(host).await.map_err(|_| NotConnected::Host)?;
    let mut last = NotConnected::Host;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(NotConnected::Io)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = NotConnected::NotListening;
            }
            Err(error) => last = NotConnected::Io(error),
        }
    }
    Err(last)
}

async fn connector(trust: &Trust) -> Result<TlsConnector, NotConnected> {
    let trust = trust.clone();
    // The system's certificates are some hundred files.
    let config = tokio::task::spawn_blocking(move || config(&trust)).await;
    let config = config.unwrap_or(Err(NotConnected::Trust("it could not be looked up")))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

fn config(trust: &Trust) -> Result<ClientConfig, NotConnected> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| NotConnected::Trust("no version of TLS is known"))?;
    let builder = match trust {
        Trust::System => builder
            .with_platform_verifier()
            .map_err(|_| NotConnected::Trust("the system's certificates cannot be read"))?,
        Trust::File(file) => {
            let wrong = || NotConnected::Trust("its file cannot be read or has no certificate");
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|_| wrong())? {
                let added = certificate.ok().map(|certificate| roots.add(certificate));
                added.and_then(Result::ok).ok_or_else(wrong)?;
            }
            if roots.is_empty() {
                return Err(wrong());
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

fn of_handshake(error: io::Error) -> NotConnected {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => NotConnected::Certificate,
        Some(_) => NotConnected::NoMqtt,
        None => NotConnected::Io(error),
    }
}
