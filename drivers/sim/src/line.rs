//! A line between a master and its slaves: a TCP port or a pty, and the time that bytes take.
//!
//! ```text
//! master ══ TCP or pty ══ serve ── hear: bytes in, utterances out ── slaves
//!                           └ each utterance waits for its time, then leaves at the line's speed
//! ```
//!
//! A line stays up while masters come and go. Up to [`MASTERS`] may be connected to a port at
//! once, as to a converter; a further one is hung up on. They share the slaves, and so also what
//! the slaves think they were asked last.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metering::Clock;
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Utterance;
use crate::mbus::Slaves;
use crate::modbus::Units;

/// Masters on a port at once.
const MASTERS: usize = 4;

/// Who is on a line.
#[derive(Debug)]
pub(crate) enum Party {
    Mbus(Mutex<Slaves>),
    Modbus(Units),
}

/// A line and who is on it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) party: Arc<Party>,
    /// Bits a second; `None` for as fast as possible.
    pub(crate) baud: Option<u32>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

impl Line {
    /// Serves every master that connects to `listener`, until the line is stopped.
    pub(crate) async fn serve_port(self, listener: TcpListener, tasks: TaskTracker) {
        let places = Arc::new(Semaphore::new(MASTERS));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let line = self.clone();
            tasks.spawn(async move {
                line.serve_stream(stream).await;
                drop(place);
            });
        }
    }

    async fn serve_stream(&self, stream: TcpStream) {
        // Each utterance is a packet of its own, as a converter sends them.
        drop(stream.set_nodelay(true));
        if let Err(error) = self.serve(stream).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a master went away");
        }
    }

    /// Serves the master at the other end of `pty`, until the line is stopped.
    pub(crate) async fn serve_pty(self, pty: Pty) {
        if let Err(error) = self.serve(pty).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the pty is gone");
        }
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut heard = Vec::new();
        let mut last_heard = Instant::now();
        let mut to_say: Vec<(Instant, Utterance)> = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let next = to_say.first().map(|(due, _)| *due);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                read = stream.read(&mut chunk) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let now = Instant::now();
                    if now - last_heard > LONGEST_GAP {
                        heard.clear();
                    }
                    last_heard = now;
                    heard.extend(chunk.iter().take(read));
                    for utterance in self.hear(&mut heard) {
                        to_say.push((now + utterance.wait, utterance));
                    }
                    heard.truncate(LONGEST_QUESTION);
                    // A wire keeps nothing back: what a master that does not listen leaves
                    // unsaid beyond this is lost.
                    to_say.truncate(MOST_UNSAID);
                    to_say.sort_by_key(|(due, _)| *due);
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let (due, utterance) = to_say.remove(0);
                    // Late by the timer alone: counted from when it was due. It is later where
                    // somebody else had the line.
                    let now = Instant::now();
                    let began = if now.duration_since(due) < TIMER { due } else { now };
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(()),
                        said = say(&mut stream, &utterance.bytes, began, self.baud) => said?,
                    }
                    utterance.speaker.answered();
                }
            }
        }
    }

    fn hear(&self, heard: &mut Vec<u8>) -> Vec<Utterance> {
        let now = self.clock.now().wall;
        match &*self.party {
            Party::Mbus(slaves) => {
                let mut slaves = slaves.lock().unwrap_or_else(PoisonError::into_inner);
                slaves.hear(heard, now)
            }
            Party::Modbus(units) => units.hear(heard, now),
        }
    }
}

/// Writes `bytes`, the first of which begins at `began`, at the speed of the line: each once its
/// last bit would have passed, to half a tick of the timer. As fast as possible without a speed.
pub(crate) async fn say(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    began: Instant,
    baud: Option<u32>,
) -> io::Result<()> {
    let Some(baud) = baud else {
        stream.write_all(bytes).await?;
        return stream.flush().await;
    };
    let passes = |count| began + wire_time(count, baud);
    let mut rest = bytes;
    while !rest.is_empty() {
        let said = bytes.len() - rest.len();
        // The timer is late, by a tick at most: half of it too early and half of it too late is
        // right in the mean.
        let next = passes(said + 1);
        sleep_until(next.checked_sub(TIMER / 4).unwrap_or(next)).await;
        let passed = (1..=rest.len())
            .take_while(|count| passes(said + count) <= Instant::now())
            .count()
            .max(1);
        let (due, later) = rest.split_at_checked(passed).unwrap_or((rest, &[]));
        stream.write_all(due).await?;
        stream.flush().await?;
        rest = later;
    }
    Ok(())
}

/// The runtime's timers count in milliseconds, and are a little late.
const TIMER: Duration = Duration::from_millis(4);

/// How long `count` characters of 11 bits take.
pub(crate) fn wire_time(count: usize, baud: u32) -> Duration {
    let bits = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(11);
    Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(baud.max(1)))
}

/// A question whose bytes are further apart than this is none: 330 bits at 300 baud and more.
const LONGEST_GAP: Duration = Duration::from_millis(1_500);
/// Twice the longest frame of either protocol.
const LONGEST_QUESTION: usize = 522;
const MOST_UNSAID: usize = 16;

/// Opens a port on loopback; 0 is any that is free.
pub(crate) async fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A pseudo-terminal: the slaves' end of a serial line whose other end has a path.
#[derive(Debug)]
pub(crate) struct Pty {
    master: AsyncFd<PtyMaster>,
    path: PathBuf,
    /// Keeps the other end open, so that the line outlives the masters that come and go.
    _slave: File,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname_r(&master)?);
        let slave = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut raw = tcgetattr(&slave)?;
        cfmakeraw(&mut raw);
        tcsetattr(&slave, SetArg::TCSANOW, &raw)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are closed too early; this \
                      one is owned"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, path, _slave: slave })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.master.poll_read_ready(cx))?;
            let unfilled = buf.initialize_unfilled();
            match ready.try_io(|master| master.get_ref().read(unfilled)) {
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.master.poll_write_ready(cx))?;
            match ready.try_io(|master| master.get_ref().write(bytes)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_has_eleven_bits() {
        assert_eq!(wire_time(1, 2_400), Duration::from_micros(4_583));
        assert_eq!(wire_time(100, 2_400), Duration::from_micros(458_333));
        assert_eq!(wire_time(0, 300), Duration::ZERO);
    }
}
