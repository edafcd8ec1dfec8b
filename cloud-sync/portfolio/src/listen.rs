//! Sockets: from a connection to the router, and back to nothing when the service stops.
//!
//! Each connection is a task; at most [`CONNECTIONS`] of a listener are open, further ones wait in
//! the kernel's queue. A handshake that is not done in [`HANDSHAKE`] is given up, and so is a
//! connection on which nothing is asked for the time that its kind may be quiet.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Connections of one listener. A gateway has one or two.
pub(crate) const CONNECTIONS: usize = 4_096;

/// Enough for a link of 600 ms there and back with a lost packet.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Between two requests, of somebody who has shown no certificate.
const QUIET: Duration = Duration::from_secs(75);

/// Between two requests of a gateway: one that syncs every 15 min keeps its connection.
const QUIET_GATEWAY: Duration = Duration::from_mins(17);

/// Who is at the other end: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where they are.
    pub(crate) address: SocketAddr,
    /// SHA-256 of the certificate that they proved to be theirs.
    pub(crate) certificate: Option<[u8; 32]>,
}

/// Answers on `listener` until `shutdown`, then finishes what is under way.
///
/// # Cancellation
///
/// Dropped, it leaves the connections running until their tasks end by themselves.
pub(crate) async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Mostly no file descriptor left: those that end give one back.
                    tracing::warn!(error = &error as &dyn std::error::Error, "not accepted");
                    time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
            connections.spawn(async move {
                let _place = place;
                if let Err(error) = serve(stream, address, tls, router, shutdown).await {
                    tracing::debug!(
                        error = &*error as &dyn std::error::Error,
                        %address,
                        "connection ended",
                    );
                }
            });
        }
    };
    shutdown.run_until_cancelled(accept).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return answer(stream, Peer { address, certificate: None }, router, shutdown).await;
    };
    let handshake = time::timeout(HANDSHAKE, tls.accept(stream));
    let Some(handshake) = shutdown.run_until_cancelled(handshake).await else {
        return Ok(());
    };
    let stream = handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (_, session) = stream.get_ref();
    let certificate = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|certificate| Sha256::digest(certificate).into());
    answer(stream, Peer { address, certificate }, router, shutdown).await
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    let quiet = if peer.certificate.is_some() { QUIET_GATEWAY } else { QUIET };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(quiet)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), service)
    );
    if let Some(ended) = shutdown.run_until_cancelled(connection.as_mut()).await {
        return Ok(ended?);
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
