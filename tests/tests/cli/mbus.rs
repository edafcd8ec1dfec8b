//! `fyrhus mbus` as an installer runs it, on the wires of a simulated building: what is printed,
//! and with which status it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a key that is absent reads as null")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use site_tests::paths;
use site_tests::process::Program;

/// Three meters on a TCP converter, two of them with one address; one more on a pseudo-terminal.
const BUILDING: &str = r#"
name = "Prøve"

[[bus]]
id = "a"
name = "A"
kind = "mbus"
baud = 38400

[[bus]]
id = "b"
name = "B"
kind = "mbus"
baud = 38400

[[meter]]
name = "Vann 1"
bus = "a"
address = 1
device = "cold-water"
place = "water-main"

[[meter]]
name = "Vann 2"
bus = "a"
address = 2
device = "cold-water"
place = "cold-restaurant"

[[meter]]
name = "Vann 3"
bus = "a"
address = 2
device = "cold-water"
place = "cold-2"

[[meter]]
name = "Vann 4"
bus = "b"
address = 4
device = "cold-water"
place = "cold-3-west"
"#;

/// The building, and what its wires are called.
struct Wires {
    _simulator: Program,
    folder: tempfile::TempDir,
    buses: Value,
}

impl Wires {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("building.toml");
        std::fs::write(&file, BUILDING).unwrap();
        let file = file.display().to_string();
        let arguments = ["run", &file, "--base-port", "0", "--pty", "b"];
        let log = folder.path().join("log");
        let mut simulator = Program::start("meter-sim", arguments, &log).unwrap();
        let buses = simulator.json_line(Duration::from_mins(1)).unwrap()["buses"].take();
        Self { _simulator: simulator, folder, buses }
    }

    fn tcp(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.buses[0]["port"])
    }

    fn pty(&self) -> String {
        format!("serial://{}", self.buses[1]["port"].as_str().unwrap())
    }

    fn plate(&self, meter: usize) -> &str {
        self.buses[0]["meters"][meter]["plate"].as_str().unwrap()
    }

    /// `fyrhus mbus COMMAND` on the wire `port`.
    fn command(&self, command: &str, port: &str, arguments: &[&str]) -> Command {
        let mut fyrhus = Command::new(paths::binary("fyrhus").unwrap());
        fyrhus.args(["mbus", command, "--port", port, "--baud", "38400"]).args(arguments);
        if command != "listen" {
            fyrhus.arg("--state").arg(self.folder.path());
        }
        fyrhus.stdin(Stdio::null());
        fyrhus
    }

    /// Runs it; the status and what it says on both streams.
    fn run(&self, command: &str, port: &str, arguments: &[&str]) -> (i32, String, String) {
        said(&self.command(command, port, arguments).output().unwrap())
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn meters_are_read_found_and_set_up() {
    let wires = Wires::start();
    let (tcp, pty) = (wires.tcp(), wires.pty());
    for (port, address) in [(&tcp, "1"), (&pty, "4")] {
        let (status, out, _) = wires.run("read", port, &["--address", address]);
        assert_eq!(status, 0);
        assert!(out.contains("maker KAW") && out.contains("volume "), "{out}");
    }

    let (status, out, error) = wires.run("scan", &tcp, &["--to", "3"]);
    assert_eq!(status, 0, "{error}");
    assert!(out.lines().count() == 1 && out.starts_with("1 "), "{out}");
    assert!(error.contains("several meters answer at 2 at once"), "{error}");

    let (status, out, error) = wires.run("scan", &tcp, &["--secondary", "--json"]);
    assert_eq!(status, 0, "{error}");
    let found: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let primaries: Vec<_> = found.iter().filter_map(|meter| meter["primary"].as_u64()).collect();
    assert_eq!((found.len(), primaries.iter().sum::<u64>()), (3, 1 + 2 + 2));

    let third = wires.plate(2);
    let set = |new: &str, more: &[&str]| {
        let arguments = [&["--secondary", third, new], more].concat();
        wires.run("set-address", &tcp, &arguments)
    };
    let (status, _, error) = set("1", &["--yes"]);
    assert!(status == 1 && error.contains("address 1 is taken by meter"), "{error}");
    let (status, _, error) = set("3", &[]);
    assert!(status == 1 && error.contains("--yes"), "nobody is there to ask: {error}");
    assert_eq!(set("0", &["--yes"]).0, 2);
    assert_eq!(set("251", &["--yes"]).0, 2);
    let (status, out, error) = set("3", &["--yes"]);
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("has the address 3 now, and was read there"), "{out}");
    let (status, out, _) = wires.run("scan", &tcp, &["--to", "3"]);
    assert_eq!((status, out.lines().count()), (0, 3), "{out}");

    // The simulated meters talk at one speed alone, and have no clock to be set.
    let (status, _, error) = wires.run("set-baud", &pty, &["--address", "4", "9600", "--yes"]);
    assert!(status == 1 && error.contains("did not take it"), "{error}");
    assert_eq!(wires.run("set-baud", &pty, &["--address", "4", "1234"]).0, 2);
}

#[test]
fn a_scan_that_is_stopped_says_how_it_goes_on() {
    let wires = Wires::start();
    let mut scan = wires
        .command("scan", &wires.tcp(), &["--json", "--thorough"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once the first meter is told the scan is under way.
    let mut first = [0; 1];
    scan.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    interrupt(&scan);
    let (status, out, error) = said(&scan.wait_with_output().unwrap());
    assert_eq!(status, 1);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let from: u8 = last["from"].as_str().unwrap().parse().unwrap();
    assert!(last["stopped"] == true && from >= 1, "{out}");
    assert!(error.contains(&format!("--from {from} --thorough goes on there")), "{error}");
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
}

#[test]
fn a_wire_is_listened_to_without_a_byte_sent() {
    let wires = Wires::start();
    let others = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp://{}", others.local_addr().unwrap());
    let mut listen = wires
        .command("listen", &port, &["--raw"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut wire, _) = others.accept().unwrap();
    let answer = "68 13 13 68 08 05 73 78 56 34 12 0A 00 E9 7E 01 00 00 00 35 01 00 00 3C 16";
    let answer = answer.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
    let question = [0x10, 0x7B, 0x05, 0x80, 0x16];
    wire.write_all(&[&question[..], &answer.collect::<Vec<_>>(), &[0x3F, 0x07]].concat()).unwrap();

    // The noise is told last, once the line has been silent behind it.
    let mut out = Vec::new();
    let stdout = listen.stdout.as_mut().unwrap();
    while !out.ends_with(b"3F 07\n") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        out.push(byte[0]);
    }
    interrupt(&listen);
    let (status, _, error) = said(&listen.wait_with_output().unwrap());
    assert_eq!(status, 0, "{error}");
    assert!(error.contains("2 frames heard, 1 times something that is none"), "{error}");
    let mut sent = Vec::new();
    wire.read_to_end(&mut sent).unwrap();
    assert_eq!(sent, [0; 0]);

    let out = String::from_utf8(out).unwrap();
    let said: Vec<&str> = out.lines().filter_map(|line| line.get(14..)).collect();
    assert_eq!(said[0], "> 5: your data, please (count bit 1)");
    assert_eq!(said[1], "  10 7B 05 80 16");
    assert_eq!(said[2], "< 5: meter 12345678 water, 2 records");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.contains("? 2 bytes that are no frame"), "{out}");
}

#[test]
fn nonsense_gets_one_sentence_and_its_status() {
    let wires = Wires::start();
    let check = |arguments: &[&str], status: i32, word: &str| {
        let output =
            Command::new(paths::binary("fyrhus").unwrap()).args(arguments).output().unwrap();
        let (found, out, error) = said(&output);
        assert_eq!(found, status, "{arguments:?}: {out}{error}");
        assert!(format!("{out}{error}").contains(word), "{arguments:?}: {out}{error}");
        assert!(status == 2 || format!("{out}{error}").lines().count() == 1, "{out}{error}");
    };
    check(&["mbus", "decode", "hello"], 1, "column 1: `h` is no hex digit");
    check(&["mbus", "decode", "68 1"], 1, "the number of hex digits is odd");
    check(&["mbus", "decode", "/no/such/file"], 1, "there is no file /no/such/file");
    check(&["mbus", "decode", "--key", "12", "E5"], 2, "a key has 32 hex digits");
    check(&["mbus", "decode"], 2, "HEX|FILE|-");
    check(&["mbus", "decode", "E5"], 0, "understood");
    check(&["mbus", "read", "--port", "bogus", "--address", "1"], 2, "tcp://HOST:PORT");
    check(&["mbus", "read", "--port", "tcp://127.0.0.1:1", "--address", "1"], 1, "refused");
    let tcp = wires.tcp();
    let read = |rest: &[&'static str], status, word| {
        check(&[&["mbus", "read", "--port", &tcp, "--baud", "38400"], rest].concat(), status, word);
    };
    read(&["--secondary", "hello"], 1, "is not a secondary address");
    read(&["--address", "255"], 2, "255 is not in 0..=254");
    read(&["--address", "77"], 1, "did not answer");
    let from = ["mbus", "scan", "--port", &tcp, "--from", "67FFFFFF"];
    check(&from, 1, "is --secondary missing?");
}
