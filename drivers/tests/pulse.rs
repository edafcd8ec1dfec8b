//! Pulses over the kernel's own bytes: every one is counted, once, whatever happens to the socket
//! and to the process.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use drivers::pulse::{Counts, PulseBus};
use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Profiles, Readout,
};
use metering::{Clock, MeterId, Moment, Origin, Trust};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Moment {
        let wall: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
        Moment { wall, boottime: Duration::from_secs(100), boot_id: 1, trust: Trust::Synced }
    }
}

/// An edge of line 17, as `struct gpio_v2_line_event` has it.
fn edge(at_ms: u64, high: bool, number: u32) -> Vec<u8> {
    let words = [if high { 1_u32 } else { 2 }, 17, number, number];
    let mut bytes = (at_ms * 1_000_000).to_ne_bytes().to_vec();
    bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
    bytes.extend([0; 24]);
    bytes
}

/// `count` pulses of 40 ms, 100 ms apart, from the pulse `first` on.
async fn pulses(stream: &mut UnixStream, first: u32, count: u32) {
    let edges = (first..first + count).flat_map(|pulse| {
        let at = u64::from(pulse) * 100;
        [edge(at, false, 2 * pulse + 1), edge(at + 40, true, 2 * pulse + 2)].concat()
    });
    stream.write_all(&edges.collect::<Vec<u8>>()).await.unwrap();
}

fn settings(socket: &Path) -> BusSettings {
    BusSettings {
        kind: BusKind::Pulse,
        port: PortSettings::Events(socket.to_owned()),
        baud: 0,
        parity: Parity::None,
        answer_within: None,
        pause_after_connect: Duration::ZERO,
    }
}

fn meter() -> Meter {
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse::<MeterId>().unwrap(),
        address: MeterAddress::Line { line: 17, weight: Some("1000".parse().unwrap()) },
        profile: Profiles::embedded().get("s0.electricity"),
        serial: None,
        origin: Origin::Live,
    }
}

fn counting(socket: &Path, counts: &Path) -> (Bus, Meter) {
    let meter = meter();
    let (counts, trouble) = Counts::open(counts);
    assert!(trouble.is_none());
    let bus = PulseBus::counting(&settings(socket), std::slice::from_ref(&meter), counts);
    (Bus::Pulse(Box::new(bus)), meter)
}

fn shown(readout: &Readout) -> String {
    readout.readings[0].value.unwrap().to_string()
}

/// Asks until the counter shows `expected`.
async fn until(bus: &mut Bus, meter: &Meter, expected: &str) -> Readout {
    let asked = async {
        loop {
            match bus.read(meter, &Stopped).await {
                Ok(readout) if shown(&readout) == expected => return readout,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let within = tokio::time::timeout(Duration::from_mins(1), asked).await;
    within.unwrap_or_else(|_elapsed| panic!("it never showed {expected}"))
}

#[tokio::test]
async fn every_pulse_counts_once_over_a_new_connection_and_a_new_process() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, file) = (dir.path().join("edges.sock"), dir.path().join("pulses.counts"));
    let listener = UnixListener::bind(&socket).unwrap();
    let (mut bus, meter) = counting(&socket, &file);
    let (mut stream, _) = listener.accept().await.unwrap();

    pulses(&mut stream, 0, 12_345).await;
    let readout = until(&mut bus, &meter, "12.345 kWh").await;
    assert!(readout.odd.is_empty(), "{:?}", readout.odd);
    assert_eq!(readout.readings[1].register.to_string(), "power");

    // The socket is gone and comes back; the edges meanwhile are known to be missing.
    drop(stream);
    let (mut stream, _) = listener.accept().await.unwrap();
    pulses(&mut stream, 12_355, 5).await;
    let readout = until(&mut bus, &meter, "12.350 kWh").await;
    assert!(readout.odd[0].note.starts_with("20 edges came faster"), "{:?}", readout.odd);

    // What was told is on the disk: a process that was killed loses none of it.
    drop(bus);
    let (mut bus, meter) = counting(&socket, &file);
    let (mut stream, _) = listener.accept().await.unwrap();
    pulses(&mut stream, 0, 1).await;
    until(&mut bus, &meter, "12.351 kWh").await;
}

#[tokio::test]
async fn a_chip_that_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let settings = BusSettings {
        port: PortSettings::Gpio("/dev/gpiochip-none".into()),
        ..settings(dir.path())
    };
    let meter = meter();
    let bus = PulseBus::counting(&settings, std::slice::from_ref(&meter), Counts::in_memory());
    let error = Bus::Pulse(Box::new(bus)).read(&meter, &Stopped).await.unwrap_err();
    assert_eq!(error.no_reading(), metering::NoReading::BusDown);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("there is no such GPIO chip"), "{cause}");

    let no_weight = Meter { address: MeterAddress::Line { line: 17, weight: None }, ..meter };
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));
    let error = bus.read(&no_weight, &Stopped).await.unwrap_err();
    assert!(error.to_string().contains("pulses_per_unit"), "{error}");
}
