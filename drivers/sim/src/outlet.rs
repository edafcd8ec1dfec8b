//! A wire on which somebody speaks unasked: a TCP port or a pty, and whoever listens there.
//!
//! ```text
//! a meter, or a receiver ── said ──▶ every listener, at the speed of the wire
//!                  answers ◀── heard ── a listener, of a receiver alone
//! ```
//!
//! On a pty whose listener has set another speed than the wire's it hears garbage, as on a line.
//! What was said while nobody listened is lost, as it is with a port that nobody has opened.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serial2_tokio::{KeepSettings, SerialPort};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::line::{Pty, say};
use crate::receiver::Receiver;

/// What is said, to everybody who listens.
pub(crate) type Said = broadcast::Sender<Arc<[u8]>>;

/// A wire, and what is at the gateway's end of it.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    pub(crate) said: Said,
    /// What answers; nothing does at a customer port.
    pub(crate) receiver: Option<Arc<Receiver>>,
    /// Bits a second; `None` for as fast as possible.
    pub(crate) baud: Option<u32>,
    pub(crate) stop: CancellationToken,
}

impl Outlet {
    /// Serves every listener that connects to `listener`, until the wire is stopped.
    pub(crate) async fn serve_port(self, listener: TcpListener, tasks: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            // Who comes too late is hung up on by the other end of its channel.
            if self.said.receiver_count() >= LISTENERS {
                continue;
            }
            let outlet = self.clone();
            tasks.spawn(async move { outlet.serve_stream(stream).await });
        }
    }

    async fn serve_stream(&self, mut stream: TcpStream) {
        drop(stream.set_nodelay(true));
        if let Err(error) = self.serve(&mut stream, None).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a listener went away");
        }
    }

    /// Serves whoever opens `pty`, until the wire is stopped.
    pub(crate) async fn serve_pty(self, mut pty: Pty) {
        let served = match Setting::of(pty.path()) {
            Ok(setting) => self.serve(&mut pty, Some(&setting)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(error = &error as &dyn std::error::Error, "the pty is gone");
        }
    }

    async fn serve(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        setting: Option<&Setting>,
    ) -> io::Result<()> {
        let mut said = self.said.subscribe();
        let mut heard = Vec::new();
        let mut chunk = [0; 256];
        // When something was said last.
        let mut spoke: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                read = stream.read(&mut chunk) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let Some(receiver) = &self.receiver else { continue };
                    heard.extend(chunk.iter().take(read));
                    for answer in receiver.hear(&mut heard) {
                        self.tell(stream, &answer, setting).await?;
                        spoke = Some(Instant::now());
                    }
                    heard.truncate(LONGEST_COMMAND);
                }
                message = said.recv() => match message {
                    Ok(message) => {
                        let lately = spoke.is_some_and(|it| it.elapsed() < FRESH);
                        if let Some(setting) = setting && !lately {
                            setting.forget()?;
                        }
                        self.tell(stream, &message, setting).await?;
                        spoke = Some(Instant::now());
                    }
                    // What a listener is too slow for is lost to it.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }

    async fn tell(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        setting: Option<&Setting>,
    ) -> io::Result<()> {
        let garbled = setting.is_some_and(|it| !it.fits(self.baud));
        let bytes: Vec<u8> = if garbled { garbage(bytes) } else { bytes.to_vec() };
        let said = async { say(stream, &bytes, Instant::now(), self.baud).await };
        let passes =
            self.baud.map_or(Duration::ZERO, |baud| crate::line::wire_time(bytes.len(), baud));
        let told = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            told = timeout(passes + PATIENCE, said) => told,
        };
        match (told, setting) {
            (Ok(told), _) => told,
            // Nobody takes it.
            (Err(_elapsed), Some(setting)) => setting.forget(),
            (Err(elapsed), None) => Err(elapsed.into()),
        }
    }
}

/// What a line of another speed makes of `bytes`: as many, and others.
fn garbage(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.rotate_left(3) ^ 0x95).collect()
}

/// How a listener has set its end of a pty.
#[derive(Debug)]
struct Setting(Mutex<SerialPort>);

impl Setting {
    fn of(path: &Path) -> io::Result<Self> {
        SerialPort::open(path, KeepSettings).map(|port| Self(Mutex::new(port)))
    }

    /// Whether it hears what is sent at `baud`. Of parity a pty knows nothing.
    fn fits(&self, baud: Option<u32>) -> bool {
        let port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = port.get_configuration().and_then(|it| it.get_baud_rate());
        baud.is_none() || set.ok() == baud
    }

    /// What nobody has read is gone.
    fn forget(&self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).discard_input_buffer()
    }
}

/// Listeners at once.
const LISTENERS: usize = 8;
/// What waits for a slow listener, in messages.
pub(crate) const UNHEARD: usize = 64;
/// Longer than any command to a receiver.
const LONGEST_COMMAND: usize = 512;
/// What was said so lately may not have been read yet.
const FRESH: Duration = Duration::from_secs(1);
/// Who has not taken a message after so long does not listen.
const PATIENCE: Duration = Duration::from_secs(5);
