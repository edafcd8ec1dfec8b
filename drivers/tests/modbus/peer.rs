//! A server of another make (libmodbus) on a socket and on a pseudo-terminal, where a C compiler
//! and libmodbus-dev are there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use drivers::{Bus, BusSettings, Parity, PortSettings, ReadError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::device::*;
use crate::support::pty;

/// A child process; it is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The server, compiled into `folder`; `None`, with a word, where it cannot be.
fn compiled(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/modbus_server.c");
    let program = folder.join("modbus_server");
    let compiler =
        Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).arg("-lmodbus").output();
    if compiler.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    println!("SKIPPED: no C compiler or no libmodbus-dev; image/prepare.sh installs them");
    None
}

/// Starts it, and gives what it says first.
fn serve(program: &Path, arguments: &[&std::ffi::OsStr]) -> (Server, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    (Server(child), said.trim().to_owned())
}

/// Values of a server that has the registers 0 to 299, each with its own number, and refuses what
/// lies beyond.
async fn reads_all(settings: &BusSettings) {
    let mut bus = Bus::open(settings, Arc::default());
    for _ in 0..50 {
        let readout = read(&mut bus, &meter(&[10, 11, 14, 30], LIMITS)).await.unwrap();
        assert_eq!(honest(&readout), 4);
    }
    let readout = read(&mut bus, &meter(&[290, 299, 305], LIMITS)).await.unwrap();
    assert_eq!(honest(&readout), 2, "what is refused costs no other value");
    let refused = read(&mut bus, &meter(&[500], "")).await.unwrap_err();
    assert!(matches!(refused, ReadError::Refused { exception: 2, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn libmodbus_on_tcp_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    let (_server, port) = serve(&program, &["tcp".as_ref()]);
    let settings = settings(PortSettings::Tcp(format!("127.0.0.1:{port}")));
    reads_all(&BusSettings { answer_within: None, ..settings }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn libmodbus_on_a_line_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    // Two pairs of pseudo-terminals, and what comes out of one goes into the other.
    let ((ours, name, _kept), (theirs, device, _also)) = (pty(), pty());
    let (mut ours_out, mut ours_in) = tokio::io::split(ours);
    let (mut theirs_out, mut theirs_in) = tokio::io::split(theirs);
    let there = tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok(count) = ours_out.read(&mut buffer).await {
            theirs_in.write_all(&buffer[..count]).await.unwrap();
        }
    });
    let back = tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok(count) = theirs_out.read(&mut buffer).await {
            ours_in.write_all(&buffer[..count]).await.unwrap();
        }
    });
    let (_server, said) = serve(&program, &["rtu".as_ref(), device.as_os_str()]);
    assert_eq!(said, "ready");
    let settings = settings(PortSettings::Serial(name));
    let settings = BusSettings { answer_within: None, parity: Parity::None, ..settings };
    reads_all(&settings).await;
    there.abort();
    back.abort();
}
