//! What the tests of both wires need.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{Clock, Moment, Trust};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
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
    let pair = nix::pty::openpty(None, None).unwrap();
    let mut raw = termios::tcgetattr(&pair.slave).unwrap();
    termios::cfmakeraw(&mut raw);
    termios::tcsetattr(&pair.slave, termios::SetArg::TCSANOW, &raw).unwrap();
    let name = nix::unistd::ttyname(&pair.slave).unwrap();
    fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let listen = pipe::Receiver::from_owned_fd_unchecked(pair.master.try_clone().unwrap()).unwrap();
    let say = pipe::Sender::from_owned_fd_unchecked(pair.master).unwrap();
    (tokio::io::join(listen, say), name, pair.slave)
}
