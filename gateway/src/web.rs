//! The listeners: HTTPS with the gateway's own certificate or one that the owner brings, and plain
//! HTTP on loopback.
//!
//! A port that another program has keeps nothing else from running: it is said, and tried again
//! until it is free.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use listener::{Limits, listen};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use web_ui::{Listener, WebUi};

use crate::restart::Task;
use crate::shown::Shown;

/// What is served, and where it listens now.
pub(crate) struct Served {
    router: Router,
    tls: Option<TlsAcceptor>,
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
    /// The pages over TLS, with the certificate that is `shown`.
    pub(crate) fn https(
        pages: &WebUi,
        shown: &Shown,
        address: SocketAddr,
        shutdown: CancellationToken,
    ) -> Self {
        let mut tls =
            ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown.resolver());
        // HTTP/2 would bring nothing to a page of a dozen files, and one more protocol to defend.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Some(TlsAcceptor::from(Arc::new(tls)));
        let router = pages.router(Listener::Https);
        Self { router, tls, address, listening: watch::Sender::new(None), shutdown }
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
            match TcpListener::bind(self.address).await {
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

        let (router, tls) = (self.router.clone(), self.tls.clone());
        self.listening.send_replace(Some(address));
        tokio::select! {
            () = listen(listener, tls, router, LIMITS, shutdown.clone()) => {}
            () = async { shutdown.cancelled().await; time::sleep(GRACE).await } => {}
        }
        self.listening.send_replace(None);
    }
}

/// A browser opens six connections, and each of its tabs with live values keeps one of them.
const LIMITS: Limits = Limits {
    connections: 512,
    // Everybody is one: the pages ask for a password and not for a certificate.
    strangers: 512,
    // A household of tabs, or an office behind one address.
    strangers_of_one: 128,
    quiet: Duration::from_secs(30),
    quiet_certified: Duration::from_secs(30),
};

/// How soon a port that was taken is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long an answer that is under way may take at the shutdown: the whole of it has 5 s.
const GRACE: Duration = Duration::from_secs(1);
