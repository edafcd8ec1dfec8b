//! The line between a gateway and its portfolio: forwards bytes, and fails in the ways that lines do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the next connections fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// After so many bytes from the gateway.
    pub(crate) up: Option<usize>,
    /// After so many bytes from the portfolio.
    pub(crate) down: Option<usize>,
}

/// A proxy on loopback that understands nothing of what it forwards.
#[derive(Debug)]
pub(crate) struct Line {
    near: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    far: Mutex<u16>,
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
            far: Mutex::new(1),
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
        *self.shared.far.lock().unwrap() = port;
    }

    /// How new connections fail from now on.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = cut;
    }

    /// How many have failed so.
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
    let far = *line.far.lock().unwrap();
    let Ok(far) = TcpStream::connect(("127.0.0.1", far)).await else { return };
    let cut = *line.cut.lock().unwrap();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let never = watch::Sender::new(false);
    let mut hung_up = line.hung_up.subscribe();
    let was_cut = tokio::select! {
        was_cut = copy(near_read, far_write, cut.up, never.subscribe()) => was_cut,
        was_cut = copy(far_read, near_write, cut.down, line.held.subscribe()) => was_cut,
        _ = hung_up.changed() => false,
    };
    if was_cut {
        line.cuts.send_modify(|count| *count += 1);
    }
}

/// Returns whether it was cut, or just ended.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut budget: Option<usize>,
    mut held: watch::Receiver<bool>,
) -> bool {
    let mut buffer = [0; 4_096];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return false };
        if held.wait_for(|held| !held).await.is_err() {
            return false;
        }
        let may = budget.map_or(count, |budget| budget.min(count));
        if to.write_all(&buffer[..may]).await.is_err() {
            return false;
        }
        if let Some(budget) = &mut budget {
            *budget -= may;
            if *budget == 0 {
                return true;
            }
        }
    }
}
