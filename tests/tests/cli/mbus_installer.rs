//! One meter on a pseudo-terminal, from the first scan to its last setting: with the program that
//! an installer has, and a meter that hears nothing at another speed than its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a key that is absent reads as null")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mbus::crypto::Key;
use mbus::radio::{Framing, RadioLink, Security, Transmission};
use mbus::{
    ByteOrder, Control, Data, Date, Encoding, Entry, Frame, Full, Header, Id, Manufacturer, Medium,
    Primary, Quantity, Reader, Record, Request, Secondary, Status, Time, Value, VibBuf, Writer, ci,
    write_frame,
};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use serde_json::Value as Json;
use serial2_tokio::{SerialPort, Settings};
use site_tests::paths;

const KEY: Key = Key::new(*b"the meter's key.");
const KEY_HEX: &str = "746865206D657465722773206B65792E";

/// As it comes from its maker: without an address, at 2400 baud, with a wrong clock.
struct Meter {
    encrypts: bool,
    address: u8,
    baud: u32,
    clock: (Date, Time),
    selected: bool,
}

impl Meter {
    const OWN: Secondary = Secondary {
        id: Id(0x6700_1122),
        manufacturer: Manufacturer(0x2C2D), // KAM
        version: 0x08,
        medium: Medium::new(0x04),
    };

    fn new(encrypts: bool) -> Self {
        let clock = (Date::new(2020, 1, 1).unwrap(), Time::new(0, 0, None).unwrap());
        Self { encrypts, address: 0, baud: 2_400, clock, selected: false }
    }

    fn answer(&mut self, request: &Request<'_>) -> Vec<u8> {
        let (address, selected) = (self.address, self.selected);
        let mine = |to: Primary| to.0 == address || (to == Primary::SELECTED && selected);
        let ack = vec![0xE5];
        match *request {
            Request::Reset(to) if mine(to) => {
                self.selected &= to != Primary::SELECTED;
                ack
            }
            Request::Select(selection) => {
                self.selected = selection.matches(&Self::OWN, None);
                if self.selected { ack } else { vec![] }
            }
            Request::Data { to, .. } if mine(to) => self.telegram(),
            Request::SetBaud { to, baud } if mine(to) => {
                self.baud = baud.bits_per_second();
                ack
            }
            Request::Send { to, ci: ci::DATA, data, .. } if mine(to) => {
                if let [0x01, 0x7A, address] = *data {
                    self.address = address;
                    return ack;
                }
                let record = Record::read(&mut Reader::new(data), ByteOrder::LsbFirst).unwrap();
                let Ok(Value::DateTime(date, time)) = record.value() else { return vec![] };
                self.clock = (date, time);
                ack
            }
            _ => vec![],
        }
    }

    fn telegram(&self) -> Vec<u8> {
        let link =
            RadioLink { framing: Framing::Bare, control: Control::RSP_UD, address: Self::OWN };
        let security = if self.encrypts { Security::Mode5(&KEY) } else { Security::Plain };
        let sender = Transmission { link, ell: None, link_key: None, security };
        let header = Header::long(Self::OWN, 1, Status::OK);
        let mut room = [0; 256];
        let mut w = Writer::new(&mut room);
        let records = |w: &mut Writer<'_>| {
            let energy = VibBuf::of(Quantity::Energy, "Wh", 3).ok_or(Full)?;
            let value = Data::int(Encoding::Int32, 12_345).ok_or(Full)?;
            Entry::new(energy, value).write(w, ByteOrder::LsbFirst)?;
            let clock = VibBuf::of(Quantity::DateTime, "", 0).ok_or(Full)?;
            let now = Data::date_time(self.clock.0, self.clock.1).ok_or(Full)?;
            Entry::new(clock, now).write(w, ByteOrder::LsbFirst)
        };
        sender.write_telegram(ci::RECORDS, Some(&header), &mut w, records).unwrap();
        let (code, message) = w.written().split_first().unwrap();
        let mut buffer = [0; Frame::MAX_LEN];
        let from = Primary(self.address);
        let frame = write_frame(&mut buffer, Control::RSP_UD, from, *code, |w| w.bytes(message));
        frame.unwrap().to_vec()
    }
}

/// The wire of one meter, and the state directory of whoever reads it.
struct Wire {
    path: PathBuf,
    folder: tempfile::TempDir,
    /// Keeps the pair alive while nobody has it open.
    _kept: OwnedFd,
}

impl Wire {
    /// Runs in a runtime, for the look at the line's speed.
    fn of(mut meter: Meter) -> Self {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut raw = tcgetattr(&pair.slave).unwrap();
        cfmakeraw(&mut raw);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).unwrap();
        let path = nix::unistd::ttyname(&pair.slave).unwrap();
        let name = path.clone();
        let runtime = tokio::runtime::Handle::current();
        // Ends with the test, as the pair does.
        std::thread::spawn(move || {
            let _entered = runtime.enter();
            serve(pair.master.into(), &name, &mut meter);
        });
        Self { path, folder: tempfile::tempdir().unwrap(), _kept: pair.slave }
    }

    /// `fyrhus mbus COMMAND` at a speed: its status, and what it says on both streams.
    async fn run(&self, command: &str, baud: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut fyrhus = Command::new(paths::binary("fyrhus").unwrap());
        let port = format!("serial://{}", self.path.display());
        fyrhus.args(["mbus", command, "--port", &port, "--baud", baud]).args(arguments);
        fyrhus.arg("--state").arg(self.folder.path()).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || fyrhus.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn serve(mut wire: File, name: &Path, meter: &mut Meter) {
    let mut heard = Vec::new();
    let mut byte = [0];
    while wire.read_exact(&mut byte).is_ok() {
        heard.push(byte[0]);
        let Ok(frame) = Frame::read(&heard) else {
            if ![0x10, 0x68].contains(&heard[0]) {
                heard.clear();
            }
            continue;
        };
        let answer = match Request::read(&frame) {
            Some(request) if speed_of(name) == meter.baud => meter.answer(&request),
            _ => vec![],
        };
        heard.clear();
        if wire.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What the pseudo-terminal is set to.
fn speed_of(name: &Path) -> u32 {
    let port = SerialPort::open(name, |settings: Settings| Ok(settings)).unwrap();
    port.get_configuration().unwrap().get_baud_rate().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_is_set_up_from_the_first_scan_to_its_clock() {
    let wire = Wire::of(Meter::new(false));
    let (status, out, error) = wire.run("scan", "2400", &["--to", "1", "--json"]).await;
    assert_eq!(status, 0, "{error}");
    let found: Json = serde_json::from_str(out.trim()).unwrap();
    assert_eq!((&found["address"], &found["serial"]), (&"0".into(), &"67001122".into()));

    let (status, out, error) =
        wire.run("set-address", "2400", &["--address", "0", "5", "--yes"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("has the address 5 now, and was read there"), "{out}");

    let (status, out, error) =
        wire.run("set-baud", "2400", &["--address", "5", "9600", "--yes"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("talks at 9600 baud now, and was read so"), "{out}");
    let (status, _, error) = wire.run("read", "2400", &["--address", "5"]).await;
    assert!(status == 1 && error.contains("did not answer"), "{error}");

    let clock = ["--address", "5", "2026-11-22T14:30", "--yes"];
    let (status, out, error) = wire.run("set-clock", "9600", &clock).await;
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("says that it is 2026-11-22 14:30"), "{out}");

    let own = ["--secondary", "67001122KAM0804", "--json"];
    let (status, out, error) = wire.run("read", "9600", &own).await;
    assert_eq!(status, 0, "{error}");
    let read: Json = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(read["readings"][0]["value"], "12345", "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_encrypts_is_read_and_set_up_with_its_key() {
    let wire = Wire::of(Meter::new(true));
    let (status, out, _) = wire.run("scan", "2400", &["--to", "0", "--json"]).await;
    let found: Json = serde_json::from_str(out.trim()).unwrap();
    assert_eq!((status, &found["serial"]), (0, &"67001122".into()), "{out}");

    let (status, _, error) = wire.run("read", "2400", &["--address", "0"]).await;
    assert!(status == 1 && error.contains("`fyrhus keys add 67001122`"), "{error}");
    let (status, _, error) =
        wire.run("set-address", "2400", &["--address", "0", "5", "--yes"]).await;
    assert!(status == 1 && error.contains("`fyrhus keys add 67001122`"), "{error}");

    let keys = wire.folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("meters"), format!("67001122 {KEY_HEX}\n")).unwrap();
    let (status, out, error) = wire.run("read", "2400", &["--address", "0"]).await;
    assert!(status == 0 && out.contains("12345 kWh"), "{out}{error}");
    let (status, _, error) =
        wire.run("set-address", "2400", &["--address", "0", "5", "--yes"]).await;
    assert_eq!(status, 0, "{error}");
    let clock = ["--address", "5", "2026-11-22T14:30", "--yes"];
    let (status, out, error) = wire.run("set-clock", "2400", &clock).await;
    assert!(status == 0 && out.contains("says that it is 2026-11-22 14:30"), "{out}{error}");

    // A file that is none is said, and what is plain can be read all the same.
    std::fs::write(keys.join("meters"), "nonsense\n").unwrap();
    let (status, _, error) = wire.run("read", "2400", &["--address", "5"]).await;
    assert!(status == 1 && error.contains("what meters encrypt is not opened"), "{error}");
}
