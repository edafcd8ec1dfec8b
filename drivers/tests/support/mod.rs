//! What the tests of both wires need.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{Clock, Moment, Trust};
use nix::fcntl::OFlag;
use nix::sys::termios;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH,
            boottime: Duration::ZERO,
            boot_id: 1,
            trust: Trust::Synced,
        }
    }
}

/// A pair of pseudo-terminals: the device's end, the name of ours, and ours, which keeps the pair
/// alive while nobody has it open.
pub(crate) fn pty() -> (impl AsyncRead + AsyncWrite + Unpin, PathBuf, OwnedFd) {
    // Closed in programs that other tests start meanwhile: they would keep it alive.
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let master = nix::pty::posix_openpt(flags).unwrap();
    nix::pty::grantpt(&master).unwrap();
    nix::pty::unlockpt(&master).unwrap();
    let name = PathBuf::from(nix::pty::ptsname_r(&master).unwrap());
    let flags = OFlag::O_NOCTTY.bits();
    let slave = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&name).unwrap();
    let slave = OwnedFd::from(slave);
    let mut raw = termios::tcgetattr(&slave).unwrap();
    termios::cfmakeraw(&mut raw);
    termios::tcsetattr(&slave, termios::SetArg::TCSANOW, &raw).unwrap();
    let master = OwnedFd::from(master);
    let listen = pipe::Receiver::from_owned_fd_unchecked(master.try_clone().unwrap()).unwrap();
    let say = pipe::Sender::from_owned_fd_unchecked(master).unwrap();
    (tokio::io::join(listen, say), name, slave)
}
