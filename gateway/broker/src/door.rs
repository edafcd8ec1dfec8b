//! Where connections come in.
//!
//! Who has not logged in is a stranger. There are so many places for strangers, and fewer for one
//! source; when they are taken, the stranger who has waited for longest is hung up on. So a
//! thousand open sockets on which nothing is said keep nobody out: whoever says who they are is
//! let in, because that takes less time than it takes others to take the place.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::unistd::getuid;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Limits, Shared, lock};
use crate::session::{self, From};

/// Lets in who comes over TCP, until the broker stops.
pub(crate) async fn listen(shared: &Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let tracker = TaskTracker::new();
    let accepting = async {
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    wait(&error).await;
                    continue;
                }
            };
            let (shared, tls) = (Arc::clone(shared), tls.clone());
            tracker.spawn(async move {
                if let Err(error) = let_in(stream, address, tls, &shared).await {
                    tracing::debug!(%address, "connection ended: {error}");
                }
            });
        }
    };
    shared.shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// Lets the gateway itself in, and nobody else of this machine, until the broker stops.
pub(crate) async fn listen_own(shared: &Arc<Shared>, listener: UnixListener) {
    let tracker = TaskTracker::new();
    let accepting = async {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    wait(&error).await;
                    continue;
                }
            };
            let ours = stream.peer_cred().is_ok_and(|peer| peer.uid() == getuid().as_raw());
            if !ours {
                continue;
            }
            let shared = Arc::clone(shared);
            tracker.spawn(async move {
                session::serve(stream, From::Gateway, &shared, || {}).await;
            });
        }
    };
    shared.shutdown.run_until_cancelled(accepting).await;
    tracker.close();
    tracker.wait().await;
}

/// While the machine has no descriptor left: those that end give one back.
async fn wait(error: &io::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "no connection can be accepted");
    time::sleep(Duration::from_millis(100)).await;
}

async fn let_in(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: &Shared,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&alive())?;
    let source = source(address);
    let stranger = shared.strangers.admit(source, &shared.limits);
    let gave_way = stranger.gave_way.clone();
    let known = CancellationToken::new();
    let logged_in = {
        let known = known.clone();
        move || {
            known.cancel();
            drop(stranger);
        }
    };
    let serving = async {
        let from = From::Source(source);
        match tls {
            None => session::serve(stream, from, shared, logged_in).await,
            Some(tls) => {
                let stream = tls.accept(stream).await?;
                session::serve(stream, from, shared, logged_in).await;
            }
        }
        Ok(())
    };
    let out = async {
        tokio::select! {
            () = time::sleep(shared.limits.login) => {}
            () = gave_way.cancelled() => {}
            () = shared.shutdown.cancelled() => {}
        }
    };
    let patience = async {
        tokio::select! {
            // Whoever is known is not thrown out for having been a stranger.
            () = known.cancelled() => std::future::pending().await,
            () = out => {}
        }
    };
    tokio::select! {
        served = serving => served,
        () = patience => Ok(()),
    }
}

/// A client that is cut off from the network is noticed after two minutes, whatever it promised.
fn alive() -> TcpKeepalive {
    let probes = TcpKeepalive::new().with_time(Duration::from_mins(1));
    probes.with_interval(Duration::from_secs(10)).with_retries(6)
}

/// Whom it is held against when somebody at `address` tries too often: of an IPv6 address its
/// network, and nobody for this machine.
pub(crate) fn source(address: SocketAddr) -> Option<IpAddr> {
    let ip = address.ip().to_canonical();
    match ip {
        _ if ip.is_loopback() => None,
        IpAddr::V4(_) => Some(ip),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// Those who have not logged in, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    by_arrival: BTreeMap<u64, (Option<IpAddr>, CancellationToken)>,
}

impl Strangers {
    /// A place until it is dropped; somebody else may lose theirs.
    fn admit(&self, source: Option<IpAddr>, limits: &Limits) -> Stranger {
        let mut waiting = lock(&self.0);
        let of_one = |it: &&(Option<IpAddr>, CancellationToken)| source.is_some() && it.0 == source;
        let own = waiting.by_arrival.values().filter(of_one).count();
        let gives_way = if own >= limits.strangers_of_one {
            let first = waiting.by_arrival.iter().find(|(_, it)| it.0 == source);
            first.map(|(place, _)| *place)
        } else if waiting.by_arrival.len() >= limits.strangers {
            waiting.by_arrival.keys().next().copied()
        } else {
            None
        };
        if let Some((_, gave_way)) = gives_way.and_then(|it| waiting.by_arrival.remove(&it)) {
            gave_way.cancel();
        }
        waiting.last += 1;
        let (place, gave_way) = (waiting.last, CancellationToken::new());
        waiting.by_arrival.insert(place, (source, gave_way.clone()));
        Stranger { place, gave_way, all: self.clone() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).by_arrival.len()
    }
}

#[derive(Debug)]
struct Stranger {
    place: u64,
    /// Somebody who came later has the place now.
    gave_way: CancellationToken,
    all: Strangers,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        lock(&self.all.0).by_arrival.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_for_longest_gives_way_and_first_those_of_the_same_source() {
        let limits = Limits { strangers: 5, strangers_of_one: 2, ..Limits::default() };
        let strangers = Strangers::default();
        let admit = |address: &str| strangers.admit(source(address.parse().unwrap()), &limits);
        let here: Vec<_> = (0..3).map(|_| admit("127.0.0.1:1")).collect();
        let one = admit("[2001:db8::1]:1");
        let two = admit("[2001:db8::2]:1");
        let three = admit("[2001:db8::3]:1");
        assert!(one.gave_way.is_cancelled(), "the same network");
        assert!(!two.gave_way.is_cancelled() && !here[0].gave_way.is_cancelled());
        let other = admit("192.0.2.1:1");
        assert!(here[0].gave_way.is_cancelled(), "all places were taken");
        assert_eq!(strangers.count(), 5);
        drop((here, one, two, three, other));
        assert_eq!(strangers.count(), 0);
    }
}
