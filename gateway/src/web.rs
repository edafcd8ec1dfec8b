//! The listeners: HTTPS with the gateway's own certificate, and plain HTTP on loopback.
//!
//! A port that another program has keeps nothing else from running: it is said, and tried again
//! until it is free.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;
use web_ui::{Listener, WebUi};

use crate::keys::Keys;
use crate::restart::Task;

/// What is served, and where it listens now.
#[derive(Debug)]
pub(crate) struct Served {
    router: Router,
    tls: Option<RustlsConfig>,
    address: SocketAddr,
    listening: watch::Sender<Option<SocketAddr>>,
    shutdown: CancellationToken,
}

impl Task for Served {
    fn name(&self) -> String {
        format!("listener {}", self.address)
    }

    async fn live(&mut self) {
        self.run().await;
    }
}

impl Served {
    /// The pages over TLS, with the certificate of `keys`.
    ///
    /// # Errors
    ///
    /// If certificate and key do not belong together.
    pub(crate) fn https(
        pages: &WebUi,
        keys: &Keys,
        address: SocketAddr,
        shutdown: CancellationToken,
    ) -> Result<Self, rustls::Error> {
        let (certificate, key) = (keys.certificate.clone(), keys.certificate_key.clone_key());
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        // HTTP/2 would bring nothing to a page of a dozen files, and one more protocol to defend.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Some(RustlsConfig::from_config(Arc::new(tls)));
        let router = pages.router(Listener::Https);
        Ok(Self { router, tls, address, listening: watch::Sender::new(None), shutdown })
    }

    /// The pages in the clear, for this machine alone.
    pub(crate) fn plain(pages: &WebUi, address: SocketAddr, shutdown: CancellationToken) -> Self {
        debug_assert!(address.ip().is_loopback(), "the configuration refuses all others");
        let router = pages.router(Listener::PlainLoopback);
        Self { router, tls: None, address, listening: watch::Sender::new(None), shutdown }
    }

    /// Where it listens; `None` while the port is not to be had.
    pub(crate) fn listening(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.listening.subscribe()
    }

    /// Serves until the shutdown, and then for [`GRACE`] those whose answer is under way.
    async fn run(&self) {
        let shutdown = &self.shutdown;
        let mut said = false;
        let listener = loop {
            match bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => {
                    if !said {
                        let (address, error): (_, &dyn std::error::Error) = (self.address, &error);
                        tracing::error!(
                            %address,
                            error,
                            "the pages cannot be served here; is another program on this port? \
                             Trying again until it is free"
                        );
                        said = true;
                    }
                }
            }
            if shutdown.run_until_cancelled(time::sleep(AGAIN)).await.is_none() {
                return;
            }
        };
        let address = listener.local_addr().unwrap_or(self.address);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        tracing::info!("pages at {scheme}://{address}");

        let handle = Handle::new();
        let service = self.router.clone().into_make_service_with_connect_info::<SocketAddr>();
        let serve = async {
            if let Some(tls) = &self.tls {
                let server = axum_server::from_tcp_rustls(listener, tls.clone())?;
                server.handle(handle.clone()).serve(service).await
            } else {
                let server = axum_server::from_tcp(listener)?;
                server.handle(handle.clone()).serve(service).await
            }
        };
        self.listening.send_replace(Some(address));
        let mut serve = std::pin::pin!(serve);
        let served = tokio::select! {
            served = &mut serve => served,
            () = shutdown.cancelled() => {
                handle.graceful_shutdown(Some(GRACE));
                serve.await
            }
        };
        self.listening.send_replace(None);
        if let Err(error) = served {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the listener failed");
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// How soon a port that was taken is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long an answer that is under way may take at the shutdown: the whole of it has 5 s.
const GRACE: Duration = Duration::from_secs(1);
