//! An M-Bus over real sockets and pseudo-terminals, with slaves that misbehave by a script.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use drivers::mbus::MbusBus;
use drivers::{
    Bus, BusKind, BusSettings, Garble, Meter, MeterAddress, Parity, PortSettings, Profiles,
    Progress, ReadError, Readout, Scan, ScanStep, scan_primary, scan_secondary,
};
use mbus::{
    Control, Data, Encoding, Entry, Frame, Header, Id, Manufacturer, Medium, Modifier, Place,
    Primary, Quantity, Request, Secondary, Status, VibBuf, Writer, ci, write_frame,
};
use metering::{NoReading, Origin};
use support::{Noon, pty};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

const KAM: Secondary = Secondary {
    id: Id(0x6700_1122),
    manufacturer: Manufacturer(0x2C2D), // KAM
    version: 0x08,
    medium: Medium::new(0x04),
};

/// What the slave does with one request for data.
#[derive(Clone, Debug)]
enum Act {
    Answer,
    Silence,
    /// Damages the checksum.
    Damaged,
    /// Says so many bytes.
    Part(usize),
    /// Answers as the meter at this address.
    AsAddress(u8),
    /// Answers as another meter at its own address.
    AsId(u32),
    /// Sends the request back first.
    Echo,
    /// Another master asks somebody else in the middle of it.
    SecondMaster,
    /// Says that it is busy.
    Busy,
    /// Says another meter's answer again and again, for as long as somebody listens.
    Babble,
    /// Begins the longest frame, and says a byte of it now and then for ever.
    Drip,
    HangUp,
    /// Answers, and hangs up.
    LastWord,
    /// Says the telegrams with these access numbers, of which none announces another, one after
    /// the other.
    Says(&'static [u8]),
}

struct Slave {
    settings: BusSettings,
    task: JoinHandle<()>,
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The slave behind a converter that puts so many bytes into a datagram, and loses those of
/// `lost`, counted from 0 in both directions.
async fn behind_datagrams(script: Vec<Act>, size: usize, lost: &'static [usize]) -> Slave {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Udp(socket.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        let (line, far) = tokio::io::duplex(4_096);
        let mut script = script.into_iter();
        tokio::select! {
            () = serve(far, &mut script) => {}
            () = converter(socket, line, size, lost) => {}
        }
    });
    Slave { settings: settings(port), task }
}

async fn converter(socket: UdpSocket, line: DuplexStream, size: usize, lost: &[usize]) {
    let (mut from_line, mut to_line) = tokio::io::split(line);
    let mut master = None;
    let (mut heard, mut said) = ([0; 2_048], vec![0; size]);
    for count in 0.. {
        let is_lost = lost.contains(&count);
        tokio::select! {
            datagram = socket.recv_from(&mut heard) => {
                let (len, from) = datagram.unwrap();
                master = Some(from);
                if !is_lost {
                    to_line.write_all(&heard[..len]).await.unwrap();
                }
            }
            len = from_line.read(&mut said) => {
                let len = len.unwrap();
                if let (Some(master), false) = (master, is_lost || len == 0) {
                    socket.send_to(&said[..len], master).await.unwrap();
                }
            }
        }
    }
}

async fn slave(on_pty: bool, script: Vec<Act>) -> Slave {
    let (port, task) = if on_pty {
        let (master, name, kept) = pty();
        let task = tokio::spawn(async move {
            let _kept = kept;
            serve(master, &mut script.into_iter()).await;
        });
        (PortSettings::Serial(name), task)
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
        let task = tokio::spawn(async move {
            let mut script = script.into_iter();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // What it says is on its way at once.
                stream.set_nodelay(true).unwrap();
                serve(stream, &mut script).await;
            }
        });
        (port, task)
    };
    Slave { settings: settings(port), task }
}

fn settings(port: PortSettings) -> BusSettings {
    BusSettings {
        kind: BusKind::Mbus,
        port,
        baud: 38_400,
        parity: Parity::Even,
        answer_within: Some(Duration::from_millis(150)),
        pause_after_connect: Duration::ZERO,
    }
}

/// The meter [`KAM`] at address 5, with two telegrams.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &mut impl Iterator<Item = Act>,
) {
    let mut heard = Vec::new();
    let mut selected = false;
    let (mut last_fcb, mut telegram) = (None, 0_u8);
    loop {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        heard.push(byte[0]);
        let Ok(frame) = Frame::read(&heard) else {
            // Noise before a frame is thrown away at the first byte that cannot begin one.
            if ![0x10, 0x68].contains(&heard[0]) {
                heard.clear();
            }
            continue;
        };
        let mine =
            |to: Primary, selected: bool| to == Primary(5) || (to == Primary::SELECTED && selected);
        let answer = match Request::read(&frame) {
            Some(Request::Reset(to)) if mine(to, selected) => {
                (last_fcb, telegram) = (None, 0);
                selected &= to != Primary::SELECTED;
                vec![0xE5]
            }
            Some(Request::Select(selection)) => {
                selected = selection.matches(&KAM, None);
                (last_fcb, telegram) = (None, 0);
                if selected { vec![0xE5] } else { vec![] }
            }
            Some(Request::Data { to, fcb }) if mine(to, selected) => {
                if last_fcb.is_some_and(|last| last != fcb) {
                    telegram = (telegram + 1) % 2;
                }
                last_fcb = Some(fcb);
                let right = said(telegram, 5, KAM);
                match script.next().unwrap_or(Act::Answer) {
                    Act::Answer => right,
                    Act::Silence => vec![],
                    Act::Damaged => {
                        let mut damaged = right;
                        let at = damaged.len() - 2;
                        damaged[at] ^= 1;
                        damaged
                    }
                    Act::Part(len) => right[..len].to_vec(),
                    Act::AsAddress(address) => said(telegram, address, KAM),
                    Act::AsId(id) => said(telegram, 5, Secondary { id: Id(id), ..KAM }),
                    Act::Echo => [heard.as_slice(), &right].concat(),
                    Act::SecondMaster => vec![0x10, 0x5B, 0x09, 0x64, 0x16],
                    Act::Busy => {
                        let mut buffer = [0; Frame::MAX_LEN];
                        let busy = |w: &mut Writer<'_>| w.byte(8);
                        write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::ERROR, busy)
                            .unwrap()
                            .to_vec()
                    }
                    Act::Babble => {
                        let foreign = said(telegram, 6, KAM);
                        while stream.write_all(&foreign).await.is_ok() {}
                        return;
                    }
                    Act::Drip => {
                        let mut wait = time::interval(Duration::from_millis(50));
                        let mut drip = [0x68, 0xFF, 0xFF, 0x68].into_iter();
                        while stream.write_all(&[drip.next().unwrap_or(8)]).await.is_ok() {
                            wait.tick().await;
                        }
                        return;
                    }
                    Act::HangUp => return,
                    Act::LastWord => {
                        drop(stream.write_all(&right).await);
                        return;
                    }
                    Act::Says(numbers) => {
                        for number in numbers {
                            drop(stream.write_all(&said(*number, 5, KAM)).await);
                            time::sleep(Duration::from_millis(10)).await;
                        }
                        vec![]
                    }
                }
            }
            _ => vec![],
        };
        heard.clear();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Telegram 0 has energy and volume, and announces the other; telegram 1 has the rest.
fn said(telegram: u8, address: u8, meter: Secondary) -> Vec<u8> {
    let mut buffer = [0; Frame::MAX_LEN];
    let fill = |w: &mut Writer<'_>| {
        Header::long(meter, telegram, Status::OK).write(w)?;
        let entry = |quantity, unit, exponent, number| {
            let vib = VibBuf::of(quantity, unit, exponent).unwrap();
            Entry::new(vib, Data::int(Encoding::Int32, number).unwrap())
        };
        let order = mbus::ByteOrder::LsbFirst;
        if telegram == 0 {
            entry(Quantity::Energy, "Wh", 3, 12_345).write(w, order)?;
            entry(Quantity::Volume, "m3", -2, 45_678).write(w, order)?;
            w.byte(0x1F)
        } else {
            entry(Quantity::Volume, "m3", -2, 45_678).write(w, order)?;
            entry(Quantity::Power, "W", 2, 234).write(w, order)?;
            let other = VibBuf::of(Quantity::Energy, "Wh", 3).unwrap();
            let other = other.with(Modifier::NEGATIVE_ONLY).unwrap();
            Entry::new(other, Data::int(Encoding::Int32, 7).unwrap()).write(w, order)
        }
    };
    write_frame(&mut buffer, Control::RSP_UD, Primary(address), ci::RECORDS, fill).unwrap().to_vec()
}

fn meter(address: MeterAddress) -> Meter {
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address,
        profile: None,
        serial: None,
        origin: Origin::Live,
    }
}

async fn read(bus: &mut Bus, meter: &Meter) -> Result<Readout, ReadError> {
    time::timeout(Duration::from_secs(20), bus.read(meter, &Noon)).await.unwrap()
}

fn shown(readout: &Readout) -> Vec<String> {
    let value = |value: Result<metering::Quantity, NoReading>| {
        value.map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string())
    };
    let readings = readout.readings.iter();
    readings.map(|it| format!("{} = {}", it.register, value(it.value))).collect()
}

/// Reads from a slave that follows `script`, then again from the same one, now well.
async fn check(on_pty: bool, script: Vec<Act>, expected: &str) {
    let told = format!("pty {on_pty}: {script:?}");
    let slave = slave(on_pty, script).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = meter(MeterAddress::Primary(5));
    let outcome = match read(&mut bus, &meter).await {
        Ok(readout) => format!("{} readings", readout.readings.len()),
        Err(error) => error.no_reading().as_str().to_owned(),
    };
    assert_eq!(outcome, expected, "{told}");
    let mut whole = false;
    for _ in 0..3 {
        whole |= read(&mut bus, &meter).await.is_ok_and(|it| it.readings.len() == 4);
    }
    assert!(whole, "{told}: it did not recover");
}

#[tokio::test]
async fn the_telegrams_of_an_answer_are_joined() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        for address in [
            MeterAddress::Primary(5),
            MeterAddress::Secondary("67001122KAM0804".parse().unwrap()),
            MeterAddress::Secondary("6700FFFF".parse().unwrap()),
        ] {
            let readout = read(&mut bus, &meter(address)).await.unwrap();
            assert_eq!(
                shown(&readout),
                [
                    "energy = 12345 kWh",
                    "volume = 456.78 m³",
                    "power = 23.4 kW",
                    "energy_negative_only = 7 kWh"
                ],
                "{address}"
            );
            assert_eq!(readout.telegrams.len(), 2);
            assert_eq!(readout.identity.serial, "67001122");
            assert_eq!(readout.identity.manufacturer, "KAM");
            assert_eq!(readout.identity.version, "08");
            assert_eq!(readout.medium, Some(metering::Medium::Heat));
        }
    }
}

#[tokio::test]
async fn a_profile_is_found_by_identity_and_tells_what_was_left_out() {
    let slave = slave(false, vec![]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::embedded()));
    let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
    assert_eq!(readout.profile.as_deref(), Some("kamstrup.multical-601"));
    let shown = shown(&readout);
    assert!(shown.contains(&"energy = 12345 kWh".to_owned()), "{shown:?}");
    assert!(shown.contains(&"flow_temperature = left_out".to_owned()), "{shown:?}");
    assert!(shown.contains(&"energy_negative_only = 7 kWh".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn one_fault_is_survived_within_the_readout() {
    let mut checks = JoinSet::new();
    for on_pty in [false, true] {
        for act in [Act::Answer, Act::Silence, Act::Damaged, Act::Part(20), Act::Echo] {
            checks.spawn(check(on_pty, vec![act], "4 readings"));
        }
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_fault_that_stays_is_an_absence_with_its_reason() {
    let mut checks = JoinSet::new();
    for on_pty in [false, true] {
        checks.spawn(check(on_pty, vec![Act::Silence; 3], "silent"));
        checks.spawn(check(on_pty, vec![Act::Damaged; 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::AsAddress(6); 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::SecondMaster; 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::Busy], "refused"));
    }
    checks.spawn(check(false, vec![Act::HangUp], "bus_down"));
    checks.join_all().await;
}

/// A converter in somebody else's hands takes a moment of everybody's time, and no more.
#[tokio::test]
async fn who_never_ends_is_given_up_within_seconds() {
    let begun = time::Instant::now();
    let mut checks = JoinSet::new();
    checks.spawn(check(false, vec![Act::Babble], "garbled"));
    checks.spawn(check(false, vec![Act::Drip], "garbled"));
    checks.join_all().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_came_before_a_fault_stays() {
    let script = [vec![Act::Answer], vec![Act::Silence; 3]].concat();
    let slave = slave(false, script).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
    assert_eq!(shown(&readout), ["energy = 12345 kWh", "volume = 456.78 m³"]);
    let note = &readout.odd.last().unwrap().note;
    assert!(note.starts_with("the telegram after this one did not come"), "{note}");
}

#[tokio::test]
async fn another_meter_is_no_value() {
    let slave = slave(false, vec![Act::AsId(0x1234_5678); 2]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = Meter { serial: Some("67001122".to_owned()), ..meter(MeterAddress::Primary(5)) };
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "meter 5 has the serial number 12345678, and 67001122 is configured; if the meter was \
         exchanged, put the new number into the configuration"
    );
    assert!(read(&mut bus, &meter).await.is_ok());
}

#[tokio::test]
async fn telegrams_of_two_meters_are_never_joined() {
    let slave = slave(false, vec![Act::Answer, Act::AsId(0x1234_5678)]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let error = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap_err();
    assert!(matches!(&error, ReadError::Garbled { cause: Garble::Foreign(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_question_that_was_dropped_does_not_answer_the_next() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let five = meter(MeterAddress::Primary(5));
        assert!(read(&mut bus, &five).await.is_ok());
        let _ = time::timeout(Duration::from_millis(1), bus.read(&five, &Noon)).await;
        assert!(read(&mut bus, &meter(MeterAddress::Primary(6))).await.is_err());
        assert_eq!(read(&mut bus, &five).await.unwrap().readings.len(), 4);
    }
}

/// Nobody listens between two questions. A bus with a meter that said its answer twice is not one
/// answer behind from then on.
#[tokio::test]
async fn what_comes_between_two_questions_answers_neither() {
    for on_pty in [false, true] {
        let script = vec![Act::Says(&[1, 1]), Act::Says(&[2]), Act::Says(&[3])];
        let slave = slave(on_pty, script).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let meter = meter(MeterAddress::Primary(5));
        for number in 1..=3 {
            let readout = read(&mut bus, &meter).await.unwrap();
            assert_eq!(readout.telegrams, [said(number, 5, KAM)], "on_pty {on_pty}");
            // What was said behind the answer is in the system's buffer by then.
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Some converters close a connection over which nothing was said for a while.
#[tokio::test]
async fn a_connection_that_ended_between_two_questions_costs_no_reading() {
    let slave = slave(false, vec![Act::Answer, Act::LastWord]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = meter(MeterAddress::Primary(5));
    for _ in 0..2 {
        assert_eq!(read(&mut bus, &meter).await.unwrap().telegrams.len(), 2);
        time::sleep(Duration::from_millis(30)).await;
    }
}

/// A converter that lost its power keeps the connection open, as far as anybody here can tell.
#[tokio::test]
async fn a_converter_that_is_gone_is_noticed_though_the_question_was_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = BusSettings {
        port: PortSettings::Tcp(listener.local_addr().unwrap().to_string()),
        ..slave(false, vec![]).await.settings.clone()
    };
    let converter = tokio::spawn(async move {
        let (_gone, _) = listener.accept().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, &mut std::iter::empty()).await;
    });
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));
    let five = meter(MeterAddress::Primary(5));
    let dropped = time::timeout(Duration::from_millis(100), bus.read(&five, &Noon)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    assert_eq!(read(&mut bus, &five).await.unwrap().readings.len(), 4);
    converter.abort();
}

#[tokio::test]
async fn a_scan_finds_who_is_there_and_tells_how_far_it_is() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = MbusBus::open(&slave.settings, Arc::new(Profiles::embedded()));
        let mut log = Vec::new();
        let by_primary = scan_primary(&mut bus, 3..=6, &Noon, |progress| {
            log.push(match progress {
                Progress::Asking(address) => format!("asking {address}"),
                Progress::Found(meter) => format!("found {}", meter.identity.serial),
                Progress::Several(address) => format!("several at {address}"),
            });
        })
        .await
        .unwrap();
        assert_eq!(log, ["asking 3", "asking 4", "asking 5", "found 67001122", "asking 6"]);
        assert_eq!(by_primary.len(), 1);
        assert_eq!(by_primary[0].profile.as_deref(), Some("kamstrup.multical-601"));

        let by_secondary = scan_secondary(&mut bus, Place::START, &Noon, |_| {}).await.unwrap();
        assert_eq!(by_secondary.len(), 1);
        assert_eq!(by_secondary[0].identity, by_primary[0].identity);
        assert_eq!(by_secondary[0].primary, Some(5));
        let found = read(&mut Bus::Mbus(Box::new(bus)), &meter(by_secondary[0].address)).await;
        assert!(found.is_ok(), "what was found can be read: {found:?}");
    }
}

/// A frame may come in many datagrams, and several frames in one.
#[tokio::test]
async fn the_bounds_of_datagrams_are_no_bounds_of_frames() {
    for size in [1, 7, 2_048] {
        let slave = behind_datagrams(vec![], size, &[]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        for _ in 0..3 {
            let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
            assert_eq!((readout.readings.len(), readout.telegrams.len()), (4, 2), "{size} bytes");
        }
    }
}

/// Reset, its acknowledge, request, telegram, request, telegram: each is lost once.
#[tokio::test]
async fn a_lost_datagram_is_asked_for_again() {
    for lost in [&[0][..], &[1], &[2], &[3], &[4], &[5], &[0, 2, 5]] {
        let slave = behind_datagrams(vec![], 2_048, lost).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await;
        assert_eq!(readout.unwrap().readings.len(), 4, "lost {lost:?}");
        let Bus::Mbus(bus) = bus else { unreachable!("it is one") };
        assert!(bus.traffic().repeats >= 1, "{:?}", bus.traffic());
    }
}

#[tokio::test]
async fn a_host_that_takes_no_datagrams_is_a_bus_that_is_down() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(PortSettings::Udp(nobody.local_addr().unwrap().to_string()));
    drop(nobody);
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));
    let error = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap_err();
    assert_eq!(error.no_reading(), NoReading::BusDown, "{error}");
}

/// The owner of the bus does a readout after each step of a scan, drops steps, and begins anew
/// where it was.
#[tokio::test]
async fn a_scan_gives_way_and_goes_on_where_it_was() {
    let slave = slave(false, vec![]).await;
    // A scan asks once, and this machine may have much else to do.
    let within = Some(Duration::from_millis(600));
    let patient = BusSettings { answer_within: within, ..slave.settings.clone() };
    let mut bus = Bus::open(&patient, Arc::new(Profiles::default()));
    let due = meter(MeterAddress::Primary(5));

    let mut scan = Scan::primary(3..=255);
    let mut found = Vec::new();
    let mut permille = Vec::new();
    while scan.place() != Some(MeterAddress::Primary(8)) {
        let polled = read(&mut bus, &due).await;
        assert_eq!(polled.unwrap().readings.len(), 4, "a readout before each step");
        // Mostly nobody waits for the first, and so the same is asked again.
        let hasty = Duration::from_millis(1);
        let dropped = time::timeout(hasty, bus.scan_step(&mut scan, &Noon)).await;
        let step = match dropped {
            Ok(step) => step,
            Err(_dropped) => bus.scan_step(&mut scan, &Noon).await,
        };
        if let ScanStep::Found(meter) = step.unwrap() {
            found.push(meter.identity.serial);
        }
        permille.push(scan.progress().permille);
    }
    assert_eq!(found, ["67001122"]);
    assert!(permille.is_sorted(), "{permille:?}");
    let progress = scan.progress();
    assert_eq!((progress.of, progress.found, progress.probed), (Some(248), 1, 5));

    // Nobody but the known meter is there; and when it is not known, it is found after a restart.
    for (known, expected) in [(vec![KAM.id], 0), (vec![], 1)] {
        let settings = if expected == 0 { &slave.settings } else { &patient };
        bus = Bus::open(settings, Arc::new(Profiles::default()));
        let mut scan = Scan::secondary(Place::START, known);
        let mut found = 0;
        for _ in 0..200 {
            assert!(read(&mut bus, &due).await.is_ok());
            match bus.scan_step(&mut scan, &Noon).await.unwrap() {
                ScanStep::Done => break,
                ScanStep::Found(_) => found += 1,
                ScanStep::Nothing | ScanStep::Several(_) => {}
            }
            let Some(MeterAddress::Secondary(selection)) = scan.place() else { break };
            let Some(place) = Place::at(selection) else { continue };
            if expected == 0 {
                scan = Scan::secondary(place, vec![KAM.id]);
            }
        }
        assert_eq!(found, expected);
        assert_eq!((scan.progress().permille, scan.place()), (1000, None));
    }
}

/// The meter [`KAM`] at address 5, which says one telegram after each reset and then no more.
async fn deaf_until_reset() -> Slave {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut heard, mut listens) = (Vec::new(), false);
            while let Ok(byte) = stream.read_u8().await {
                heard.push(byte);
                let Ok(frame) = Frame::read(&heard) else { continue };
                let answer = match Request::read(&frame) {
                    Some(Request::Reset(Primary(5))) => {
                        listens = true;
                        vec![0xE5]
                    }
                    Some(Request::Data { to: Primary(5), .. }) if listens => {
                        listens = false;
                        said(1, 5, KAM)
                    }
                    _ => vec![],
                };
                heard.clear();
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        }
    });
    Slave { settings: settings(port), task }
}

/// The embedded profiles, and over them one for [`KAM`] with this in its `[mbus]`.
fn profiles_with(quirk: &str) -> Arc<Profiles> {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "schema = 1\nid = \"example.odd\"\nvendor = \"Example\"\nmodels = [\"Odd 1\"]\n\
         medium = \"heat\"\nstatus = \"community\"\nsource = \"this test\"\n\n\
         [mbus]\n{quirk}\nbecause = \"this test\"\n\n\
         [[mbus.identify]]\nmanufacturer = \"KAM\"\nversions = [0x08]\nmedia = [0x04]\n\n\
         [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\nkind = \"counter\"\n\
         mbus = {{ vif = \"volume\" }}\n\n\
         [[vector]]\nframe = \"example.hex\"\nexpect = {{ volume = \"456.78\" }}\n"
    );
    let frame: Vec<String> = said(1, 5, KAM).iter().map(|byte| format!("{byte:02X}")).collect();
    std::fs::write(dir.path().join("example.hex"), frame.join(" ")).unwrap();
    std::fs::write(dir.path().join("example.toml"), text).unwrap();
    let (profiles, mistakes) = Profiles::load_over(dir.path());
    assert_eq!(mistakes, []);
    Arc::new(profiles)
}

#[tokio::test]
async fn a_meter_is_reset_as_its_profile_says_once_its_answer_told_which_it_is() {
    let meter = meter(MeterAddress::Primary(5));
    for (profiles, second) in [
        (Arc::new(Profiles::embedded()), Err(NoReading::Silent)),
        (profiles_with("reset = \"always\""), Ok(Some("example.odd".to_owned()))),
    ] {
        let slave = deaf_until_reset().await;
        let mut bus = Bus::open(&slave.settings, profiles);
        read(&mut bus, &meter).await.unwrap();
        let again = read(&mut bus, &meter).await;
        assert_eq!(again.map(|it| it.profile).map_err(|error| error.no_reading()), second);
    }
}

#[tokio::test]
async fn no_more_telegrams_are_asked_for_than_the_profile_wants() {
    let slave = slave(false, vec![]).await;
    let mut bus = Bus::open(&slave.settings, profiles_with("max_telegrams = 1"));
    let meter = meter(MeterAddress::Primary(5));
    let mut telegrams = Vec::new();
    for _ in 0..3 {
        telegrams.push(read(&mut bus, &meter).await.unwrap().telegrams.len());
    }
    assert_eq!(telegrams, [2, 1, 1], "the first answer told which meter it is");
}
