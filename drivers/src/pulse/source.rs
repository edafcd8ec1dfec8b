//! Where the edges of lines come from.
//!
//! A GPIO chip of this machine, which is asked for the lines once and then read like a file; or a
//! socket on which a simulator writes the same bytes. (Nothing else of this crate knows which.)

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time;

use super::event::LEN;
use super::input::Shape;
use crate::port::{PortFault, PortSettings};
use crate::profile::Edge;

/// An open source of edges.
#[derive(Debug)]
pub(super) enum Source {
    /// Lines of a chip.
    Gpio {
        edges: pipe::Receiver,
        /// Kept for its lines alone, which it gives back when it is dropped.
        _request: Box<Request>,
    },
    /// A simulator.
    Socket(UnixStream),
}

impl Source {
    /// Opens `port` for `lines`. Edges are queued from now on.
    pub(super) async fn open(
        port: &PortSettings,
        lines: &[(u32, Shape)],
    ) -> Result<Self, PortFault> {
        match port {
            PortSettings::Gpio(chip) => request(chip, lines),
            PortSettings::Events(path) => {
                let connected = time::timeout(CONNECT_WITHIN, UnixStream::connect(path)).await;
                let connected =
                    connected.map_err(|_elapsed| PortFault::Unreachable(CONNECT_WITHIN))?;
                connected.map(Self::Socket).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                        PortFault::NotListening
                    }
                    _ => fault(error),
                })
            }
            // The configuration has seen to it that there is no other.
            _ => Err(PortFault::NoGpio),
        }
    }

    /// The number that the first event of each line has, where that is known: a chip begins anew.
    pub(super) const fn first_number(&self) -> Option<u32> {
        match self {
            Self::Gpio { .. } => Some(1),
            Self::Socket(_) => None,
        }
    }

    /// Waits for edges.
    ///
    /// # Cancellation
    ///
    /// Safe: no edge is lost when the future is dropped.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gpio { edges, .. } => edges.read(buffer).await,
            Self::Socket(stream) => stream.read(buffer).await,
        }
    }
}

fn request(chip: &Path, lines: &[(u32, Shape)]) -> Result<Source, PortFault> {
    // What the system says of the file itself is clearer than what comes of asking the chip.
    std::fs::File::open(chip).map_err(fault)?;
    let mut builder = Request::builder();
    builder.on_chip(chip).with_consumer("fyrhus").with_kernel_event_buffer_size(QUEUED);
    for (line, shape) in lines {
        // An S0 output and a reed contact need a resistor; where the chip has one, it is used.
        let bias = if shape.edge == Edge::Falling { Bias::PullUp } else { Bias::PullDown };
        builder
            .with_line(*line)
            .as_input()
            .with_bias(bias)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_debounce_period(shape.debounce);
    }
    let request = builder.request().map_err(|error| {
        // Which error of the system it was is in the words alone.
        let busy = io::Error::from(nix::errno::Errno::EBUSY).to_string();
        if error.to_string().contains(&busy) {
            PortFault::Taken
        } else {
            PortFault::System(Arc::new(io::Error::other(error)))
        }
    })?;
    // Read like a pipe: what can be read is told in the same way, and tokio has no other way to
    // such a file that is safe.
    let system = |error: io::Error| PortFault::System(Arc::new(error));
    let edges = request.as_fd().try_clone_to_owned().map_err(system)?;
    fcntl(&edges, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| system(error.into()))?;
    let edges = pipe::Receiver::from_owned_fd_unchecked(edges).map_err(system)?;
    Ok(Source::Gpio { edges, _request: Box::new(request) })
}

fn fault(error: io::Error) -> PortFault {
    match error.kind() {
        io::ErrorKind::NotFound => PortFault::NoGpio,
        io::ErrorKind::PermissionDenied => PortFault::Denied,
        _ => PortFault::System(Arc::new(error)),
    }
}

/// The most that the kernel queues: half a minute of sixteen lines at the fastest that S0 allows.
const QUEUED: u32 = 1_024;
/// As many are fetched at once.
pub(super) const AT_ONCE: usize = 64 * LEN;
/// A socket of this machine answers at once, or its other end hangs.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
