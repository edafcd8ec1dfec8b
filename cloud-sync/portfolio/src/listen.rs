//! Sockets: from a connection to the router, and back to nothing when the service stops.
//!
//! Each connection is a task; at most [`CONNECTIONS`] of a listener are open, further ones wait in
//! the kernel's queue. Who has shown no certificate is a stranger: of those there are at most
//! [`STRANGERS`], and [`STRANGERS_OF_ONE`] from one source; further ones are hung up on, so that
//! nobody who only holds connections open keeps gateways out.
//!
//! A handshake that is not done in [`HANDSHAKE`] is given up, and so is a connection on which
//! nothing is asked for the time that its kind may be quiet.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
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

/// Connections of a listener on which no certificate was shown, or not yet.
const STRANGERS: usize = 2_048;

/// Of those, from one source: gateways behind one address that all come back at once take turns.
const STRANGERS_OF_ONE: usize = 256;

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

impl Peer {
    /// What is held against them when they try too often.
    ///
    /// Of an IPv6 address its network, because one machine has as many addresses as it likes there.
    /// `None` for this machine: behind a proxy that runs here it is everybody.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        let ip = self.address.ip().to_canonical();
        match ip {
            _ if ip.is_loopback() => None,
            IpAddr::V4(_) => Some(ip),
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & !u128::from(u64::MAX);
                Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
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
    let strangers = Strangers::default();
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
            let peer = Peer { address, certificate: None };
            let Some(stranger) = strangers.admit(peer.source()) else {
                tracing::debug!(%address, "hung up: too many connections without a certificate");
                continue;
            };
            let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
            connections.spawn(async move {
                let _place = place;
                if let Err(error) = serve(stream, peer, stranger, tls, router, shutdown).await {
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
    peer: Peer,
    stranger: Stranger,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return answer(stream, peer, router, shutdown).await;
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
    let _still_one = certificate.is_none().then_some(stranger);
    answer(stream, Peer { certificate, ..peer }, router, shutdown).await
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

/// How many strangers there are, by source.
#[derive(Clone, Debug, Default)]
struct Strangers(Arc<Mutex<HashMap<Option<IpAddr>, usize>>>);

impl Strangers {
    /// A place until it is dropped; `None` if there is none left, in all or for this source.
    fn admit(&self, source: Option<IpAddr>) -> Option<Stranger> {
        let mut by_source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = by_source.get(&source).copied().unwrap_or(0);
        let too_many = source.is_some() && own >= STRANGERS_OF_ONE;
        if too_many || by_source.values().sum::<usize>() >= STRANGERS {
            return None;
        }
        by_source.insert(source, own + 1);
        Some(Stranger { source, all: self.clone() })
    }
}

/// One of the [`Strangers`].
#[derive(Debug)]
struct Stranger {
    source: Option<IpAddr>,
    all: Strangers,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut by_source = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        match by_source.get_mut(&self.source) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_never_takes_the_places_of_all() {
        let strangers = Strangers::default();
        let admit = |source: &str, most: usize| -> Vec<Stranger> {
            let peer = Peer { address: source.parse().unwrap(), certificate: None };
            (0..most).map_while(|_| strangers.admit(peer.source())).collect()
        };
        let first = admit("[2001:db8::1]:1", 10_000);
        assert_eq!(first.len(), STRANGERS_OF_ONE);
        assert!(admit("[2001:db8::ffff:1]:1", 1).is_empty(), "the same network");
        let here = admit("127.0.0.1:1", 10_000);
        assert_eq!(here.len(), STRANGERS - STRANGERS_OF_ONE, "this machine may be a proxy");
        assert!(admit("192.0.2.1:1", 1).is_empty(), "all places are taken");
        drop(first);
        assert_eq!(admit("[::ffff:192.0.2.1]:1", 1).len(), 1);
        drop(here);
        assert!(strangers.0.lock().unwrap().is_empty(), "who left is forgotten");
    }
}
