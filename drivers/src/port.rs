//! The way to a bus: a serial line or a converter behind TCP or UDP. Bytes out, bytes in, and
//! nothing else.
//!
//! ```text
//! closed ──▶ open ──▶ write / read / drain
//!    ▲        │ fault
//!    └────────┘ with the reason, and not tried again before the back-off is over
//! ```
//!
//! A port is opened when it is first needed and again after every fault: the caller never
//! connects. While a port that cannot be opened is backed off (half a second, doubled up to
//! thirty), every question gets the last fault at once, so that a bus that is down costs its
//! meters no time.
//!
//! A datagram is so many bytes and no more: a frame may come in several, several frames in one.
//! What is lost or overtaken on the way is missing or wrong on the line, and is asked again as
//! after noise.
//!
//! **Never true:** two of our processes, or two of our buses, use one serial port at a time. The
//! device file is locked (`flock`) for as long as the port is open, as `pyserial` and others do,
//! and a port that another program took with `TIOCEXCL` says so by itself (`EBUSY`).

mod settings;

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use serial2_tokio::{SerialPort, Settings, StopBits};
pub use settings::{BrokerAt, InvalidParity, InvalidPort, Parity, PortSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{self, TcpStream, UdpSocket};
use tokio::time::{self, Instant};

/// What is wrong with a port, and what can be done about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PortFault {
    /// The other end closed the connection, or the adapter was unplugged.
    #[error(
        "the connection was lost while it was in use; is the converter still powered and plugged \
         in?"
    )]
    Lost(#[source] Option<Arc<io::Error>>),
    /// The user of the daemon may not open it.
    #[error(
        "this user may not open it; serial ports are mostly open to the group `dialout`, into \
         which the user must be put"
    )]
    Denied,
    /// The broker does not know the user, or the password is another.
    #[error(
        "the broker does not know this user and password; look at `user` and at the file that \
         `password_file` names"
    )]
    Login,
    /// The broker does not give the topics.
    #[error(
        "the broker does not let this user hear what is said under `topic`; give it a rule for that"
    )]
    NotAllowed,
    /// What answers is no MQTT broker, or one that takes nobody.
    #[error("what answers there is no MQTT 3.1.1 broker that takes us just now")]
    NoBroker,
    /// The file with the password cannot be read.
    #[error("the file with the password cannot be read by the daemon's user")]
    NoPassword(#[source] Arc<io::Error>),
    /// The certificate of the other end.
    #[error(
        "its certificate is of nobody whom we trust, or of another name; `ca_file` names the \
         certificate of the authority that made it"
    )]
    Untrusted,
    /// A GPIO chip that is not there.
    #[error(
        "there is no such GPIO chip; `gpiodetect` lists those that there are, and a chip on an \
         expansion board needs its overlay"
    )]
    NoGpio,
    /// The service answered something that is no forecast.
    #[error("what answered is not a weather service; is there a login page before the network?")]
    NoForecast,
    /// It carries no bytes of telegrams.
    #[error("it is not a line for telegrams")]
    NoLine,
    /// The kernel has no master of a 1-Wire.
    #[error(
        "the kernel shows no 1-Wire there; load the drivers `w1-gpio` (or that of the adapter) \
         and `w1-therm`"
    )]
    NoOneWire,
    /// A service that does not want to.
    #[error("the service answered with the status {0}{advice}", advice = status_advice(*.0))]
    Status(u16),
    /// A host name that no server knows.
    #[error("the host name is not known; check its spelling and the network's name server")]
    HostUnknown(#[source] Arc<io::Error>),
    /// There is no such device file.
    #[error(
        "there is no such device; {}. A name under /dev/serial/by-id stays the same when the \
         adapter is plugged into another socket",
        present(others)
    )]
    Missing {
        /// The serial ports that are there.
        others: Vec<PathBuf>,
    },
    /// The host is there, and nothing listens.
    #[error("the host refused the connection; check the port number and the converter's mode")]
    NotListening,
    /// What is at the port does not answer, a radio receiver that can be asked.
    #[error(
        "the receiver does not answer within {} ms; it is set up anew. Is `receiver` the right one, \
         and does it have power?",
        .0.as_millis()
    )]
    Mute(Duration),
    /// It is a file, but not a serial line.
    #[error("it is not a serial port")]
    NotSerial(#[source] Arc<io::Error>),
    /// The baud rate or the parity is beyond the adapter.
    #[error("the adapter does not take {baud} baud with this parity")]
    Settings {
        /// As configured.
        baud: u32,
        /// What the system says.
        #[source]
        cause: Arc<io::Error>,
    },
    /// Another process has it.
    #[error("another program uses it; one program alone can be master of a bus")]
    Taken,
    /// The host did not answer at all.
    #[error(
        "the host did not answer within {} ms; is it powered and on this network?",
        .0.as_millis()
    )]
    Unreachable(Duration),
    /// Something else.
    #[error("the system cannot use it")]
    System(#[source] Arc<io::Error>),
}

fn present(others: &[PathBuf]) -> String {
    match others {
        [] => "no serial port is plugged in".to_owned(),
        others => {
            let names: Vec<String> =
                others.iter().map(|path| path.display().to_string()).take(8).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

/// What to do about the status of a service, after RFC 9110 and the terms of MET Norway.
const fn status_advice(status: u16) -> &'static str {
    match status {
        403 => ": it does not know who asks, or not that place; check `contact` and `coordinates`",
        429 => ": it was asked too often",
        500..=599 => ": it has a fault of its own",
        _ => "; check the port",
    }
}

/// One port, open or not.
#[derive(Debug)]
pub(crate) struct Port {
    settings: PortSettings,
    baud: u32,
    parity: Parity,
    line: Option<Line>,
    /// Why it could not be opened, and when it may be tried again.
    down: Option<(PortFault, Instant)>,
    failures: u32,
    /// How often it was lost while it was open.
    losses: u32,
    #[cfg(test)]
    memory: Option<tokio::sync::mpsc::Sender<tokio::io::DuplexStream>>,
}

#[derive(Debug)]
enum Line {
    /// The near end of a wire that is nowhere but in a test, whose time is its own.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
    Serial {
        port: SerialPort,
        /// Kept for its lock alone.
        _lock: File,
    },
    Tcp(TcpStream),
    Udp(Box<Datagrams>),
}

/// The datagrams of one converter, as bytes.
#[derive(Debug)]
struct Datagrams {
    socket: UdpSocket,
    /// The last one, as far as it is.
    last: [u8; LONGEST_DATAGRAM],
    len: usize,
    /// How much of it has been read.
    read: usize,
}

impl Datagrams {
    async fn open(host: &str) -> Result<Self, PortFault> {
        let mut addresses = time::timeout(CONNECT_WITHIN, net::lookup_host(host))
            .await
            .map_err(|_elapsed| PortFault::Unreachable(CONNECT_WITHIN))?
            .map_err(|cause| PortFault::HostUnknown(Arc::new(cause)))?;
        let address = addresses.next().ok_or(PortFault::Lost(None))?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let failed = |cause| PortFault::System(Arc::new(cause));
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        // What others send to this socket is not for us.
        socket.connect(address).await.map_err(connect_fault)?;
        Ok(Self { socket, last: [0; LONGEST_DATAGRAM], len: 0, read: 0 })
    }

    async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).await.map(drop)
    }

    /// At least one byte. A datagram without any is none.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.len {
            self.len = self.socket.recv(&mut self.last).await?;
            self.read = 0;
        }
        let rest = self.last.get(self.read..self.len).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.read += count;
        Ok(count)
    }
}

impl Port {
    pub(crate) const fn new(settings: PortSettings, baud: u32, parity: Parity) -> Self {
        Self {
            settings,
            baud,
            parity,
            line: None,
            down: None,
            failures: 0,
            losses: 0,
            #[cfg(test)]
            memory: None,
        }
    }

    /// As [`new`](Self::new), over wires in memory: each time it is opened, the far end of a new
    /// one goes to `dialled`.
    #[cfg(test)]
    pub(crate) fn in_memory(
        settings: PortSettings,
        dialled: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>,
    ) -> Self {
        Self { memory: Some(dialled), ..Self::new(settings, 9_600, Parity::Even) }
    }

    pub(crate) const fn settings(&self) -> &PortSettings {
        &self.settings
    }

    /// Whether a silence may mean that the other end is gone without a word (half-open): true of
    /// TCP, where nothing but a new connection can tell.
    pub(crate) const fn may_be_half_open(&self) -> bool {
        matches!(self.settings, PortSettings::Tcp(_) | PortSettings::RtuOverTcp(_))
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.line.is_some()
    }

    /// How often it was lost while it was in use. What was said shortly before may not have been
    /// heard, up to [`UNACKNOWLEDGED`] over TCP.
    pub(crate) const fn losses(&self) -> u32 {
        self.losses
    }

    /// Makes sure that the port is open. Tells whether it had to be opened.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened; while it is backed off, why it could not be the last time.
    pub(crate) async fn open(&mut self) -> Result<bool, PortFault> {
        if self.line.is_some() {
            return Ok(false);
        }
        if let Some((fault, not_before)) = &self.down
            && Instant::now() < *not_before
        {
            return Err(fault.clone());
        }
        #[cfg(test)]
        if let Some(dialled) = &self.memory {
            let (near, far) = tokio::io::duplex(4_096);
            dialled.send(far).await.map_err(|_gone| PortFault::NotListening)?;
            self.line = Some(Line::Memory(near));
            return Ok(true);
        }
        let opened = match &self.settings {
            PortSettings::Serial(path) => open_serial(path, self.baud, self.parity),
            PortSettings::Tcp(host) | PortSettings::RtuOverTcp(host) => connect(host).await,
            PortSettings::Udp(host) => {
                Datagrams::open(host).await.map(|datagrams| Line::Udp(Box::new(datagrams)))
            }
            PortSettings::Sysfs(_)
            | PortSettings::Gpio(_)
            | PortSettings::Events(_)
            | PortSettings::Service(_)
            | PortSettings::Broker(_) => Err(PortFault::NoLine),
        };
        match opened {
            Ok(line) => {
                (self.line, self.down, self.failures) = (Some(line), None, 0);
                Ok(true)
            }
            Err(fault) => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(6)).min(LONGEST_WAIT);
                self.down = Some((fault.clone(), Instant::now() + wait));
                self.failures = self.failures.saturating_add(1);
                Err(fault)
            }
        }
    }

    /// Changes the speed, also of the port that is open. That of a converter's wire is set at the
    /// converter: here it is only kept.
    pub(crate) fn set_baud(&mut self, baud: u32) -> Result<(), PortFault> {
        self.baud = baud;
        let Some(Line::Serial { port, .. }) = &mut self.line else { return Ok(()) };
        let changed = port.get_configuration().and_then(|mut settings| {
            settings.set_baud_rate(baud)?;
            port.set_configuration(&settings)
        });
        changed.map_err(|cause| PortFault::Settings { baud, cause: Arc::new(cause) })
    }

    /// Lets go of the port. It is opened again when it is next needed.
    pub(crate) fn close(&mut self) {
        self.line = None;
    }

    /// Puts all of `bytes` on the wire, or into the system's buffer before it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), PortFault> {
        let written = match &mut self.line {
            None => return Err(PortFault::Lost(None)),
            #[cfg(test)]
            Some(Line::Memory(wire)) => time::timeout(WRITE_WITHIN, wire.write_all(bytes)).await,
            // Bounded, because a converter that is gone stops taking bytes some time later.
            Some(Line::Tcp(stream)) => time::timeout(WRITE_WITHIN, stream.write_all(bytes)).await,
            Some(Line::Udp(datagrams)) => time::timeout(WRITE_WITHIN, datagrams.send(bytes)).await,
            Some(Line::Serial { port, .. }) => {
                time::timeout(WRITE_WITHIN, port.write_all(bytes)).await
            }
        };
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(self.lost(Some(cause))),
            Err(_elapsed) => Err(self.lost(None)),
        }
    }

    /// Waits for bytes and puts them into `buffer`; at least one.
    ///
    /// # Cancellation
    ///
    /// Safe: no byte is lost when the future is dropped.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PortFault> {
        let read = match &mut self.line {
            None => return Err(PortFault::Lost(None)),
            #[cfg(test)]
            Some(Line::Memory(wire)) => wire.read(buffer).await,
            Some(Line::Tcp(stream)) => stream.read(buffer).await,
            Some(Line::Udp(datagrams)) => datagrams.read(buffer).await,
            Some(Line::Serial { port, .. }) => port.read(buffer).await,
        };
        match read {
            Ok(0) => Err(self.lost(None)),
            Ok(count) => Ok(count),
            Err(cause) => Err(self.lost(Some(cause))),
        }
    }

    /// Takes what comes off the wire until nothing has come for `quiet`, but no longer than
    /// `at_most`. Gives the first [`MOST_DRAINED`] bytes of it.
    pub(crate) async fn drain(
        &mut self,
        quiet: Duration,
        at_most: Duration,
    ) -> Result<Vec<u8>, PortFault> {
        let until = Instant::now() + at_most;
        let mut drained = Vec::new();
        let mut buffer = [0; 512];
        while Instant::now() < until {
            match time::timeout(quiet, self.read(&mut buffer)).await {
                Ok(count) => {
                    let room = MOST_DRAINED.saturating_sub(drained.len());
                    drained.extend(buffer.iter().take(count?.min(room)));
                }
                Err(_quiet) => break,
            }
        }
        Ok(drained)
    }

    fn lost(&mut self, cause: Option<io::Error>) -> PortFault {
        self.line = None;
        self.losses = self.losses.wrapping_add(1);
        if cause.as_ref().is_some_and(|it| it.kind() == io::ErrorKind::ConnectionRefused) {
            // An earlier datagram came back.
            return PortFault::NotListening;
        }
        PortFault::Lost(cause.map(Arc::new))
    }
}

/// An unplugged adapter is mostly back within a second; a host that is down is asked no more
/// often than twice a minute.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A lost packet is said again after a second; a wrong address never answers. It is less than
/// anybody waits for a meter, who would be told that the meter is silent.
const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);
/// A converter acknowledges what it is sent within milliseconds, whether or not a meter answers; over
/// a mobile network a lost packet is said again after one second, then two.
pub(crate) const UNACKNOWLEDGED: Duration = Duration::from_secs(6);
/// More than a converter puts into one, and more than a network lets pass in one piece.
const LONGEST_DATAGRAM: usize = 2_048;
/// Of what nobody asked for, more would tell nothing more.
const MOST_DRAINED: usize = 4_096;
/// The longest frame, 261 bytes, takes 9.6 s at 300 baud.
const WRITE_WITHIN: Duration = Duration::from_secs(12);

async fn connect(host: &str) -> Result<Line, PortFault> {
    let connected = time::timeout(CONNECT_WITHIN, TcpStream::connect(host)).await;
    let stream = match connected {
        Err(_elapsed) => return Err(PortFault::Unreachable(CONNECT_WITHIN)),
        Ok(Err(cause)) => return Err(connect_fault(cause)),
        Ok(Ok(stream)) => stream,
    };
    // A request is one small segment that must not wait for another.
    stream.set_nodelay(true).map_err(|cause| PortFault::System(Arc::new(cause)))?;
    // Else the system goes on saying it for a quarter of an hour.
    socket2::SockRef::from(&stream)
        .set_tcp_user_timeout(Some(UNACKNOWLEDGED))
        .map_err(|cause| PortFault::System(Arc::new(cause)))?;
    Ok(Line::Tcp(stream))
}

fn connect_fault(cause: io::Error) -> PortFault {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => PortFault::NotListening,
        io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => PortFault::Unreachable(CONNECT_WITHIN),
        // What the resolver says has no errno.
        _ if cause.raw_os_error().is_none() => PortFault::HostUnknown(Arc::new(cause)),
        _ => PortFault::System(Arc::new(cause)),
    }
}

fn open_serial(path: &Path, baud: u32, parity: Parity) -> Result<Line, PortFault> {
    // Locked first, so that the settings of a line that someone else uses stay as they are.
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(open_fault)?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => PortFault::Taken,
        std::fs::TryLockError::Error(cause) => PortFault::System(Arc::new(cause)),
    })?;

    // A pseudo-terminal has no parity bit: Linux drops it, and serial2 calls that an error.
    let parity = if is_pseudo_terminal(path) { Parity::None } else { parity };
    let mut port = SerialPort::open(path, |mut settings: Settings| {
        settings.set_raw();
        Ok(settings)
    })
    .map_err(|cause| match cause.raw_os_error() {
        Some(errno) if errno == nix::errno::Errno::ENOTTY as i32 => {
            PortFault::NotSerial(Arc::new(cause))
        }
        _ => open_fault(cause),
    })?;
    let configured = port.get_configuration().and_then(|mut settings| {
        settings.set_raw();
        settings.set_stop_bits(StopBits::One);
        settings.set_parity(match parity {
            Parity::Even => serial2_tokio::Parity::Even,
            Parity::None => serial2_tokio::Parity::None,
            Parity::Odd => serial2_tokio::Parity::Odd,
        });
        settings.set_baud_rate(baud)?;
        port.set_configuration(&settings)
    });
    configured.map_err(|cause| PortFault::Settings { baud, cause: Arc::new(cause) })?;
    // What a meter said to an earlier master is not for us.
    port.discard_buffers().map_err(|cause| PortFault::System(Arc::new(cause)))?;
    Ok(Line::Serial { port, _lock: lock })
}

fn open_fault(cause: io::Error) -> PortFault {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            PortFault::Missing { others: SerialPort::available_ports().unwrap_or_default() }
        }
        io::ErrorKind::PermissionDenied => PortFault::Denied,
        io::ErrorKind::ResourceBusy => PortFault::Taken,
        _ => match cause.raw_os_error().map(nix::errno::Errno::from_raw) {
            // The device file is there, the adapter behind it is not.
            Some(nix::errno::Errno::ENXIO | nix::errno::Errno::ENODEV) => {
                PortFault::Missing { others: SerialPort::available_ports().unwrap_or_default() }
            }
            _ => PortFault::System(Arc::new(cause)),
        },
    }
}

fn is_pseudo_terminal(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path.starts_with("/dev/pts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_port_names_those_that_are_there() {
        let fault = PortFault::Missing { others: vec!["/dev/ttyUSB1".into()] };
        assert_eq!(
            fault.to_string(),
            "there is no such device; there are /dev/ttyUSB1. A name under /dev/serial/by-id \
             stays the same when the adapter is plugged into another socket"
        );
    }

    #[tokio::test]
    async fn a_device_that_does_not_exist_is_told_at_once_and_not_tried_at_every_question() {
        let settings: PortSettings = "serial:///dev/fyrhus-no-such-port".parse().unwrap();
        let mut port = Port::new(settings, 2400, Parity::Even);
        assert!(matches!(port.open().await, Err(PortFault::Missing { .. })));
        let (_, not_before) = port.down.clone().unwrap();
        assert!(matches!(port.open().await, Err(PortFault::Missing { .. })));
        assert_eq!(port.down.unwrap().1, not_before, "backed off: it was not tried again");
    }

    #[tokio::test]
    async fn a_file_that_is_no_serial_line_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut port = Port::new(PortSettings::Serial(file.path().to_owned()), 2400, Parity::Even);
        let fault = port.open().await.unwrap_err();
        assert_eq!(fault.to_string(), "it is not a serial port");
    }

    #[tokio::test]
    async fn a_host_where_nothing_listens_says_so() {
        // Held, so that nobody else gets the port, and not listening.
        let socket = net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let mut port = Port::new(PortSettings::Tcp(address.to_string()), 2400, Parity::Even);
        assert!(matches!(port.open().await, Err(PortFault::NotListening)));
    }
}
