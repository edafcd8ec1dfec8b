//! The line between a gateway and its portfolio: forwards bytes, and fails in the ways that lines do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Where the line is cut, once, counted from when that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// After so many bytes from the gateway.
    pub(crate) up: Option<usize>,
    /// After so many bytes from the portfolio.
    pub(crate) down: Option<usize>,
}

impl Cut {
    /// Of `count` bytes those that get through, and whether the line is cut after them.
    fn pass(&mut self, way: Way, count: usize) -> (usize, bool) {
        let left = match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        };
        match left {
            Some(some) if *some <= count => (left.take().unwrap_or_default(), true),
            Some(some) => {
                *some -= count;
                (count, false)
            }
            None => (count, false),
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

/// A proxy on loopback that understands nothing of what it forwards.
#[derive(Debug)]
pub(crate) struct Line {
    near: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The portfolio's ports, of which connections take the first in turn.
    far: Mutex<VecDeque<u16>>,
    cut: Mutex<Cut>,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
    /// Counts how often all connections were hung up.
    hung_up: watch::Sender<u64>,
    /// Counts how many connections ended by a [`Cut`].
    cuts: watch::Sender<u64>,
}

impl Line {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            far: Mutex::new(VecDeque::from([1])),
            cut: Mutex::new(Cut::default()),
            held: watch::Sender::new(false),
            hung_up: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        });
        let line = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, Arc::clone(&line)));
            }
        });
        Self { near, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.near.port()
    }

    pub(crate) fn leads_to(&self, port: u16) {
        self.leads_to_any(&[port]);
    }

    /// One after the other, as a load balancer does.
    pub(crate) fn leads_to_any(&self, ports: &[u16]) {
        *self.shared.far.lock().unwrap() = ports.iter().copied().collect();
    }

    /// Where it fails next.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = cut;
    }

    /// How often it has failed so.
    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.shared.cuts.subscribe()
    }

    /// Holds answers back, or lets them through.
    pub(crate) fn hold_answers(&self, hold: bool) {
        self.shared.held.send_replace(hold);
    }

    /// Ends all connections, with what they hold back.
    pub(crate) fn hang_up(&self) {
        self.shared.hung_up.send_modify(|count| *count += 1);
    }
}

async fn forward(near: TcpStream, line: Arc<Shared>) {
    let far = {
        let mut ports = line.far.lock().unwrap();
        ports.rotate_left(1);
        ports.back().copied().unwrap()
    };
    let mut hung_up = line.hung_up.subscribe();
    let Ok(far) = TcpStream::connect(("127.0.0.1", far)).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let was_cut = tokio::select! {
        was_cut = copy(near_read, far_write, Way::Up, &line) => was_cut,
        was_cut = copy(far_read, near_write, Way::Down, &line) => was_cut,
        _ = hung_up.changed() => false,
    };
    if was_cut {
        line.cuts.send_modify(|count| *count += 1);
    }
}

/// Returns whether it was cut, or just ended.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, line: &Shared) -> bool {
    let mut held = line.held.subscribe();
    let mut buffer = [0; 4_096];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return false };
        if matches!(way, Way::Down) && held.wait_for(|held| !held).await.is_err() {
            return false;
        }
        let (may, is_cut) = line.cut.lock().unwrap().pass(way, count);
        if to.write_all(&buffer[..may]).await.is_err() {
            return false;
        }
        if is_cut {
            return true;
        }
    }
}
