//! Sockets: from a connection to the router, and back to nothing at the shutdown.
//!
//! ```text
//!  TCP ──▶ a place? ──▶ TLS, at most 15 s ──▶ requests, each head within its time ──▶ router
//!            │ no: hung up
//! ```
//!
//! Each connection is a task; a listener has room for so many, and further ones wait in the
//! kernel's queue. Who has shown no certificate is a stranger: of those there are fewer places, and
//! fewer still for one source; further ones are hung up on, so that nobody who only holds
//! connections open, or sends a letter a minute, keeps the others out.
//!
//! What a request asks for is the router's affair, and so is how long a body or an answer may take.
//!
//! **Never true:** that one source holds all places, or that a connection on which nothing is asked
//! holds one for longer than [`Limits`] says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
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

/// How many connections a listener has, and how long they may be quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All of them.
    pub connections: usize,
    /// Those on which no certificate was shown, or not yet.
    pub strangers: usize,
    /// Of those, from one source.
    pub strangers_of_one: usize,
    /// How long the head of a request may take, the wait for it included, of somebody who has shown
    /// no certificate.
    pub quiet: Duration,
    /// The same of somebody who has.
    pub quiet_certified: Duration,
}

/// Enough for a link of 600 ms there and back with a lost packet.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// A browser sends fifteen lines, a proxy in front of us a few more.
const MOST_HEADERS: usize = 64;

/// While the machine has no descriptor left: those that end give one back.
const AGAIN: Duration = Duration::from_millis(100);

/// Who is at the other end: an extension of every request, as is axum's `ConnectInfo` of the
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where they are.
    pub address: SocketAddr,
    /// SHA-256 of the certificate that they proved to be theirs.
    pub certificate: Option<[u8; 32]>,
}

/// Whom it is held against when somebody at `address` tries too often.
///
/// Of an IPv6 address its network, because one machine has as many addresses as it likes there.
/// `None` for this machine: behind a proxy that runs here it is everybody.
pub fn source(address: SocketAddr) -> Option<IpAddr> {
    let ip = address.ip().to_canonical();
    match ip {
        _ if ip.is_loopback() => None,
        IpAddr::V4(_) => Some(ip),
        IpAddr::V6(ip) => {
            let network = ip.to_bits() & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
        }
    }
}

/// Answers on `listener` until `shutdown`, then finishes what is under way.
///
/// # Cancellation
///
/// Dropped, it leaves the connections running until their tasks end by themselves.
pub async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let free = Arc::new(Semaphore::new(limits.connections));
    let strangers = Strangers::new(limits);
    let accept = async {
        let mut refused = false;
        loop {
            let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => {
                    refused = false;
                    accepted
                }
                Err(error) => {
                    // Said once, not ten times a second.
                    if !refused {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "no connection can be accepted; trying on");
                    }
                    refused = true;
                    time::sleep(AGAIN).await;
                    continue;
                }
            };
            let peer = Peer { address, certificate: None };
            let Some(stranger) = strangers.admit(source(address)) else {
                tracing::debug!(%address, "hung up: too many connections without a certificate");
                continue;
            };
            let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
            connections.spawn(async move {
                let _place = place;
                let served = serve(stream, peer, stranger, tls, router, limits, shutdown).await;
                if let Err(error) = served {
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
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return answer(stream, peer, router, limits, shutdown).await;
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
    answer(stream, Peer { certificate, ..peer }, router, limits, shutdown).await
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(ConnectInfo(peer.address));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    let certified = peer.certificate.is_some();
    let quiet = if certified { limits.quiet_certified } else { limits.quiet };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(quiet)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
    );
    if let Some(ended) = shutdown.run_until_cancelled(connection.as_mut()).await {
        return Ok(ended?);
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// How many strangers there are, by source.
#[derive(Clone, Debug)]
struct Strangers {
    limits: Limits,
    by_source: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl Strangers {
    fn new(limits: Limits) -> Self {
        Self { limits, by_source: Arc::default() }
    }

    /// A place until it is dropped; `None` if there is none left, in all or for this source.
    fn admit(&self, source: Option<IpAddr>) -> Option<Stranger> {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let own = by_source.get(&source).copied().unwrap_or(0);
        let too_many = source.is_some() && own >= self.limits.strangers_of_one;
        if too_many || by_source.values().sum::<usize>() >= self.limits.strangers {
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
        let mut by_source = self.all.by_source.lock().unwrap_or_else(PoisonError::into_inner);
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
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 10,
        strangers: 8,
        strangers_of_one: 3,
        quiet: Duration::from_millis(300),
        quiet_certified: Duration::from_mins(1),
    };

    /// A listener on loopback that answers `/` with who asks.
    async fn start(shutdown: &CancellationToken) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let whoami = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let router = Router::new().route("/", get(whoami));
        (address, tokio::spawn(listen(listener, None, router, LIMITS, shutdown.clone())))
    }

    /// What comes until the other end hangs up.
    async fn all(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let read = time::timeout(Duration::from_mins(1), stream.read_to_end(&mut bytes)).await;
        drop(read.expect("it hangs up"));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn one_source_never_takes_the_places_of_all() {
        let strangers = Strangers::new(LIMITS);
        let admit = |peer: &str, most: usize| -> Vec<Stranger> {
            (0..most).map_while(|_| strangers.admit(source(peer.parse().unwrap()))).collect()
        };
        let first = admit("[2001:db8::1]:1", 100);
        assert_eq!(first.len(), 3);
        assert!(admit("[2001:db8::ffff:1]:1", 1).is_empty(), "the same network");
        let here = admit("127.0.0.1:1", 100);
        assert_eq!(here.len(), 8 - 3, "this machine may be a proxy");
        assert!(admit("192.0.2.1:1", 1).is_empty(), "all places are taken");
        drop(first);
        assert_eq!(admit("[::ffff:192.0.2.1]:1", 1).len(), 1);
        drop(here);
        assert!(strangers.by_source.lock().unwrap().is_empty(), "who left is forgotten");
    }

    #[tokio::test]
    async fn who_sends_a_letter_now_and_then_is_hung_up_on_and_the_others_are_served() {
        let shutdown = CancellationToken::new();
        let (address, listening) = start(&shutdown).await;
        let mut drips = Vec::new();
        for _ in 0..LIMITS.strangers {
            let mut drip = TcpStream::connect(address).await.unwrap();
            drip.write_all(b"GET / HTTP/1.1\r\nX-A: ").await.unwrap();
            drips.push(drip);
        }
        // All places are taken, and so the next one is hung up on at once.
        let mut late = TcpStream::connect(address).await.unwrap();
        assert_eq!(all(&mut late).await, "");

        let hung_up = async {
            for drip in &mut drips {
                while drip.write_all(b"a").await.is_ok() {
                    let mut one = [0];
                    if time::timeout(LIMITS.quiet / 10, drip.read(&mut one)).await.is_ok() {
                        break;
                    }
                }
            }
        };
        time::timeout(Duration::from_mins(1), hung_up).await.expect("they are hung up on");
        let mut good = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        good.write_all(request).await.unwrap();
        let (answer, own) = (all(&mut good).await, good.local_addr().unwrap().to_string());
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(&own), "{answer}");
        shutdown.cancel();
        listening.await.unwrap();
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_nobody_who_asks_nothing() {
        let shutdown = CancellationToken::new();
        let (address, listening) = start(&shutdown).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        idle.read_u8().await.unwrap();
        shutdown.cancel();
        time::timeout(Duration::from_mins(1), listening).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}
