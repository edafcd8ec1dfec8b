//! The building on real sockets and ptys, asked by bytes that stand here and nowhere else.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which the configuration of the lints does not see as tests"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use meter_sim::{Captured, Counts, Options, Plan, Port, Replay, Simulator};
use meter_sim::{command, site_toml, write_history};
use metering::{Clock, MeterId, Moment, Trust};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// A clock that stands still.
#[derive(Debug)]
struct Stopped(DateTime<Utc>);

impl Clock for Stopped {
    fn now(&self) -> Moment {
        let boottime = Duration::ZERO;
        Moment { wall: self.0, boottime, boot_id: 1, trust: Trust::Synced }
    }
}

const NOW: &str = "2024-02-29T12:34:56Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// A line of each kind, as fast as possible but for the bus `slow`.
const BUILDING: &str = r#"
name = "Test house"

[[bus]]
id = "mbus"
kind = "mbus"

[[bus]]
id = "slow"
kind = "mbus"
baud = 9600

[[bus]]
id = "tcp"
kind = "modbus-tcp"

[[bus]]
id = "rtu"
kind = "modbus-rtu"

[[meter]]
name = "heat"
bus = "mbus"
address = 5
device = "heat-main"
place = "heat-main"

[[meter]]
name = "water main"
bus = "mbus"
address = 6
device = "cold-water"
place = "water-main"

[[meter]]
name = "one"
bus = "mbus"
address = 7
device = "cold-water"
place = "cold-2"

[[meter]]
name = "other"
bus = "mbus"
address = 7
device = "hot-water"
place = "hot-flats"

[[meter]]
name = "paced"
bus = "slow"
address = 1
device = "heat"
place = "heat-flats"

[[meter]]
name = "sdm"
bus = "tcp"
address = 1
device = "sdm630"
place = "electricity-offices"

[[meter]]
name = "iem"
bus = "tcp"
address = 2
device = "iem3155"
place = "electricity-flats"

[[meter]]
name = "room"
bus = "rtu"
address = 1
device = "room"
place = "meeting-room"

[[meter]]
name = "abb"
bus = "rtu"
address = 2
device = "b23"
place = "electricity-main"
"#;

async fn building(ptys: &[&str]) -> Simulator {
    let ptys = ptys.iter().map(|bus| (*bus).to_owned()).collect();
    let plan = Plan::parse(BUILDING, 1).unwrap();
    let options = Options { ptys, ..Options::default() };
    Simulator::start(plan, &options, Arc::new(Stopped(now()))).await.unwrap()
}

fn meter(simulator: &Simulator, name: &str) -> MeterId {
    simulator.meter_called(name).unwrap()
}

async fn connect(simulator: &Simulator, bus: &str) -> TcpStream {
    let port = simulator.buses().find(|(plan, _)| plan.id == bus).map(|(_, port)| port.clone());
    let Some(Port::Tcp(port)) = port else { panic!("{bus} is no TCP port") };
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

const SOON: Duration = Duration::from_mins(1);

async fn read(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(SOON, stream.read_exact(&mut bytes)).await.expect("an answer").unwrap();
    bytes
}

/// One M-Bus frame, ended by its own length.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = read(stream, 1).await;
    if bytes[0] == 0xE5 {
        return bytes;
    }
    bytes.append(&mut read(stream, 3).await);
    let rest = read(stream, usize::from(bytes[1]) + 2).await;
    bytes.extend(rest);
    let sum = bytes[4..bytes.len() - 2].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    assert_eq!(bytes[bytes.len() - 2..], [sum, 0x16]);
    bytes
}

fn short(control: u8, address: u8) -> [u8; 5] {
    [0x10, control, address, control.wrapping_add(address), 0x16]
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), question: &[u8]) -> Vec<u8> {
    stream.write_all(question).await.unwrap();
    frame(stream).await
}

/// The signed number of four bytes behind `dib_vib` in a telegram.
fn int32(frame: &[u8], dib_vib: [u8; 2]) -> i64 {
    let at = frame.windows(2).skip(19).position(|pair| pair == dib_vib).unwrap() + 19;
    i64::from(i32::from_le_bytes(frame[at + 2..at + 6].try_into().unwrap()))
}

fn shown(simulator: &Simulator, name: &str, register: &str) -> i64 {
    let shows = simulator.shows(meter(simulator, name), now());
    shows.iter().find(|(key, _)| *key == register).unwrap().1.mantissa()
}

#[tokio::test]
async fn an_mbus_meter_answers_on_tcp_with_what_it_shows() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "mbus").await;
    assert_eq!(ask(&mut stream, &short(0x40, 5)).await, [0xE5]);
    let first = ask(&mut stream, &short(0x7B, 5)).await;
    assert_eq!(first[4..7], [0x08, 5, 0x72]);
    assert_eq!(int32(&first, [0x04, 0x06]), shown(&simulator, "heat", "energy"));
    assert_eq!(int32(&first, [0x04, 0x2D]), shown(&simulator, "heat", "power"));
    assert_eq!(int32(&first, [0x04, 0x3B]), shown(&simulator, "heat", "volume_flow"));
    assert_eq!(first[first.len() - 3], 0x1F, "more telegrams follow");
    let second = ask(&mut stream, &short(0x5B, 5)).await;
    assert!(int32(&second, [0x44, 0x06]) < shown(&simulator, "heat", "energy"));
    assert_ne!(second[second.len() - 3], 0x1F);
    simulator.stop().await;
}

#[tokio::test]
async fn a_second_master_shares_the_slaves_and_a_fifth_is_hung_up_on() {
    let simulator = building(&[]).await;
    let mut first = connect(&simulator, "mbus").await;
    let mut second = connect(&simulator, "mbus").await;
    let told = ask(&mut first, &short(0x7B, 6)).await;
    assert_eq!(
        ask(&mut second, &short(0x7B, 6)).await,
        told,
        "the slave takes it for a repetition"
    );
    let mut others = [connect(&simulator, "mbus").await, connect(&simulator, "mbus").await];
    for master in &mut others {
        assert_eq!(ask(master, &short(0x40, 6)).await, [0xE5]);
    }
    let mut fifth = connect(&simulator, "mbus").await;
    let mut byte = [0];
    let end = timeout(SOON, fifth.read(&mut byte)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn two_on_one_address_are_heard_as_garbage() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "mbus").await;
    stream.write_all(&short(0x7B, 7)).await.unwrap();
    let head = read(&mut stream, 20).await;
    let mut rest = vec![0; 400];
    let count = timeout(Duration::from_millis(300), stream.read(&mut rest)).await;
    let heard = [&head[..], &rest[..count.map_or(0, Result::unwrap)]].concat();
    let sum = heard[4..heard.len() - 2].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    assert_ne!(sum, heard[heard.len() - 2], "{heard:02x?}");
}

#[tokio::test]
async fn a_pty_is_a_serial_line_of_the_wires_speed() {
    let simulator = building(&["slow"]).await;
    let path = simulator.buses().find_map(|(_, port)| match port {
        Port::Pty(path) => Some(path.clone()),
        _ => None,
    });
    let path = path.unwrap();
    for _master in 0..2 {
        let mut line = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        line.write_all(&short(0x40, 1)).await.unwrap();
        line.flush().await.unwrap();
        assert_eq!(read(&mut line, 1).await, [0xE5]);
        let began = Instant::now();
        line.write_all(&short(0x7B, 1)).await.unwrap();
        line.flush().await.unwrap();
        let told = frame(&mut line).await;
        let characters = u64::try_from(told.len()).unwrap() + 5;
        let wire = Duration::from_micros(characters * 11 * 1_000_000 / 9_600);
        assert!(began.elapsed() >= wire, "{:?} for {wire:?} of bits", began.elapsed());
        assert_eq!(int32(&told, [0x04, 0x05]), shown(&simulator, "paced", "energy"));
    }
}

/// A Modbus TCP request for `count` registers, and the reply from its unit on.
async fn modbus(
    stream: &mut TcpStream,
    unit: u8,
    function: u8,
    address: u16,
    count: u16,
) -> Vec<u8> {
    let mut request = vec![0x12, 0x34, 0, 0, 0, 6, unit, function];
    request.extend(address.to_be_bytes());
    request.extend(count.to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let head = read(stream, 6).await;
    assert_eq!(head[..5], [0x12, 0x34, 0, 0, 0]);
    read(stream, usize::from(head[5])).await
}

#[tokio::test]
async fn modbus_tcp_reads_registers_and_refuses_what_the_device_would_refuse() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "tcp").await;

    let reply = modbus(&mut stream, 2, 3, 0x0C83, 4).await;
    assert_eq!(reply[..3], [2, 3, 8]);
    let energy = i64::from_be_bytes(reply[3..11].try_into().unwrap());
    assert_eq!(energy, shown(&simulator, "iem", "energy_import_total"));

    let reply = modbus(&mut stream, 1, 4, 0x34, 2).await;
    let watts = f32::from_be_bytes(reply[3..7].try_into().unwrap());
    let expected = shown(&simulator, "sdm", "power_total");
    assert_eq!(format!("{watts:.1}"), format!("{}.{}", expected / 10, expected % 10));

    for (unit, function, address, count, exception) in [
        (1, 3, 0x34, 2, 1),     // no such function in this device
        (1, 4, 0x33, 2, 2),     // an odd address
        (1, 4, 0x34, 3, 2),     // an odd count
        (1, 4, 0x0C00, 2, 2),   // no such register
        (1, 4, 0x00, 82, 3),    // more than 80
        (1, 4, 0x6A, 4, 2),     // over the end of a block
        (2, 3, 0x0C83, 126, 3), // more than 125
        (2, 3, 0x0C83, 0, 3),   // none
        (2, 6, 0x0C83, 1, 1),   // a write
        (9, 3, 0, 2, 11),       // nobody there
    ] {
        let reply = modbus(&mut stream, unit, function, address, count).await;
        assert_eq!(reply, [unit, function | 0x80, exception], "{count} from {address:#x}");
    }
}

fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}

fn rtu(unit: u8, function: u8, address: u16, count: u16) -> Vec<u8> {
    let [a, b] = address.to_be_bytes();
    let [c, d] = count.to_be_bytes();
    let body = [unit, function, a, b, c, d];
    [&body[..], &crc(&body)].concat()
}

#[tokio::test]
async fn modbus_rtu_runs_over_tcp_and_several_units_share_the_line() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "rtu").await;
    // Nobody is unit 9, and so the first that is heard is unit 1.
    stream.write_all(&rtu(9, 4, 0, 3)).await.unwrap();
    stream.write_all(&rtu(1, 4, 0, 3)).await.unwrap();
    let reply = read(&mut stream, 11).await;
    assert_eq!(reply[..3], [1, 4, 6]);
    assert_eq!(reply[9..], crc(&reply[..9]));
    let co2 = i64::from(u16::from_be_bytes([reply[7], reply[8]]));
    assert_eq!(co2, shown(&simulator, "room", "co2_room"));

    stream.write_all(&rtu(2, 3, 0x5000, 4)).await.unwrap();
    let reply = read(&mut stream, 13).await;
    let energy = i64::from_be_bytes(reply[3..11].try_into().unwrap());
    assert_eq!(energy, shown(&simulator, "abb", "energy_import_total"));

    stream.write_all(&rtu(1, 4, 0, 9)).await.unwrap();
    assert_eq!(read(&mut stream, 5).await[..3], [1, 0x84, 3], "a sensor gives eight at most");
}

async fn counted(counts: &mut watch::Receiver<Counts>, done: impl FnMut(&Counts) -> bool) {
    timeout(SOON, counts.wait_for(done)).await.expect("it is counted").unwrap();
}

#[tokio::test]
async fn a_silent_meter_hears_and_its_neighbour_speaks() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "mbus").await;
    let heat = simulator.handle(meter(&simulator, "heat")).unwrap();
    let mut counts = heat.counts();
    heat.set(|faults| faults.silence = true);
    stream.write_all(&short(0x7B, 5)).await.unwrap();
    counted(&mut counts, |it| it.questions == 1).await;
    assert_eq!(ask(&mut stream, &short(0x7B, 6)).await[5], 6);
    assert_eq!(counts.borrow().answers, 0);
    heat.set(|faults| faults.silence = false);
    assert_eq!(ask(&mut stream, &short(0x7B, 5)).await[5], 5);
    counted(&mut counts, |it| *it == Counts { questions: 2, answers: 1 }).await;
}

#[tokio::test]
async fn a_late_answer_comes_between_those_to_later_questions() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "mbus").await;
    let heat = simulator.handle(meter(&simulator, "heat")).unwrap();
    heat.set(|faults| faults.late = Some(Duration::from_millis(250)));
    stream.write_all(&short(0x7B, 5)).await.unwrap();
    assert_eq!(ask(&mut stream, &short(0x7B, 6)).await[5], 6, "the other one was quicker");
    assert_eq!(frame(&mut stream).await[5], 5, "and here is the late one");
}

#[tokio::test]
async fn half_noisy_doubled_and_foreign_answers() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "rtu").await;
    let room = simulator.handle(meter(&simulator, "room")).unwrap();
    let question = rtu(1, 4, 0, 3);

    stream.write_all(&question).await.unwrap();
    let whole = read(&mut stream, 11).await;

    room.set(|faults| faults.half = true);
    stream.write_all(&question).await.unwrap();
    assert_eq!(read(&mut stream, 5).await, whole[..5]);
    room.set(|faults| faults.half = false);

    room.set(|faults| faults.duplicate = true);
    stream.write_all(&question).await.unwrap();
    assert_eq!(read(&mut stream, 22).await, [&whole[..], &whole[..]].concat());
    room.set(|faults| faults.duplicate = false);

    room.set(|faults| faults.foreign = true);
    stream.write_all(&question).await.unwrap();
    let foreign = read(&mut stream, 11).await;
    assert_eq!((foreign[0], &foreign[9..]), (0, &crc(&foreign[..9])[..]));
    room.set(|faults| faults.foreign = false);

    room.set(|faults| faults.refusal = true);
    stream.write_all(&question).await.unwrap();
    assert_eq!(read(&mut stream, 5).await[..3], [1, 0x84, 4]);
    room.set(|faults| faults.refusal = false);

    room.set(|faults| faults.noise = true);
    stream.write_all(&question).await.unwrap();
    let noisy = read(&mut stream, 11).await;
    assert_ne!(noisy, whole);
}

#[tokio::test]
async fn an_exchanged_meter_has_another_number_and_begins_at_zero() {
    let simulator = building(&[]).await;
    let mut stream = connect(&simulator, "mbus").await;
    let before = ask(&mut stream, &short(0x7B, 5)).await;
    let plate = simulator.plate(meter(&simulator, "heat")).unwrap();
    command(&simulator, "swap heat").unwrap();
    let after = ask(&mut stream, &short(0x5B, 5)).await;
    assert_ne!(after[7..11], before[7..11], "the number in the header");
    assert_ne!(simulator.plate(meter(&simulator, "heat")).unwrap(), plate);
    let first = ask(&mut stream, &short(0x7B, 5)).await;
    assert_eq!(int32(&first, [0x04, 0x06]), 0);
    assert_eq!(
        int32(&first, [0x04, 0x2D]),
        int32(&before, [0x04, 0x2D]),
        "it is as cold as before"
    );
}

#[tokio::test]
async fn history_and_wire_say_the_same_of_one_instant() {
    let simulator = building(&[]).await;
    let mut csv = Vec::new();
    let step = chrono::TimeDelta::seconds(1);
    write_history(simulator.plan(), now(), now() + step, step, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    for plan in &simulator.plan().meters {
        for (register, quantity) in simulator.shows(plan.id, now()) {
            let unit = quantity.resolution().unit();
            let row =
                format!("{NOW},{},{register},{},{}", plan.id, quantity.decimal(), unit.code());
            assert!(csv.lines().any(|line| line == row), "{row}");
        }
    }
}

#[tokio::test]
async fn the_sites_configuration_names_every_meter_once() {
    let plan = Plan::demo(1).unwrap();
    let options = Options { ptys: vec!["teknisk-rom".to_owned()], ..Options::default() };
    let simulator = Simulator::start(plan, &options, Arc::new(Stopped(now()))).await.unwrap();
    let site: toml::Table = site_toml(&simulator).unwrap().parse().unwrap();
    let meters = site["meter"].as_array().unwrap();
    let known = simulator.plan().meters.iter().filter(|meter| !meter.stranger);
    assert_eq!(meters.len(), known.count());
    let mut ids: Vec<&str> = meters.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert!(meters.iter().all(|it| it["simulated"].as_bool() == Some(true)));
    for meter in meters {
        let places = ["address", "secondary", "coordinates", "serial"];
        assert_eq!(places.iter().filter(|it| meter.contains_key(it)).count(), 1, "{meter}");
        if let Some(main) = meter.get("part_of") {
            assert!(ids.contains(&main.as_str().unwrap()));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), meters.len());
    let ports: Vec<&str> =
        site["bus"].as_array().unwrap().iter().map(|bus| bus["port"].as_str().unwrap()).collect();
    assert!(ports[0].starts_with("tcp://127.0.0.1:"), "{ports:?}");
    assert!(ports[1].starts_with("serial:///dev/pts/"), "{ports:?}");
    assert!(ports[3].starts_with("rtu+tcp://127.0.0.1:"), "{ports:?}");
}

trait Contains {
    fn contains_key(&self, key: &str) -> bool;
}

impl Contains for toml::Value {
    fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

#[tokio::test]
async fn commands_do_what_they_say_or_say_what_is_wrong() {
    let simulator = building(&[]).await;
    let faults = |name: &str| simulator.handle(meter(&simulator, name)).unwrap().faults();
    command(&simulator, "silence water main on").unwrap();
    assert!(faults("water main").silence);
    command(&simulator, " late water main 4000 ").unwrap();
    assert_eq!(faults("water main").late, Some(Duration::from_secs(4)));
    command(&simulator, &format!("heal {}", meter(&simulator, "water main"))).unwrap();
    assert_eq!(faults("water main"), meter_sim::Faults::default());

    for (line, expected) in [
        ("silence cellar on", "there is no meter `cellar`"),
        ("silence heat", "`silence` needs a meter and then on or off"),
        ("slow heat 9 weeks", "`slow` needs a meter and then milliseconds, at most 600000, or off"),
    ] {
        assert_eq!(command(&simulator, line).unwrap_err().to_string(), expected);
    }
    let unknown = command(&simulator, "explode heat").unwrap_err().to_string();
    assert!(unknown.starts_with("`explode` is no command: write silence,"), "{unknown}");
}

#[tokio::test]
async fn a_captured_meter_says_what_it_said() {
    let first = "68 0F 0F 68 08 07 72 22 11 00 67 2D 2C 35 04 01 00 00 00 AE 16";
    let second = "68 0F 0F 68 08 07 72 22 11 00 67 2D 2C 35 04 02 00 00 00 AF 16";
    let captured = Captured::parse(&format!("{first}\n{second}")).unwrap();
    let telegrams = captured.telegrams().to_vec();
    let replay = Replay::start(captured, 0, None, Arc::new(Stopped(now()))).await.unwrap();
    let mut stream = TcpStream::connect(replay.address()).await.unwrap();
    assert_eq!(ask(&mut stream, &short(0x40, 7)).await, [0xE5]);
    assert_eq!(ask(&mut stream, &short(0x7B, 7)).await, telegrams[0]);
    assert_eq!(ask(&mut stream, &short(0x7B, 7)).await, telegrams[0], "a repetition");
    assert_eq!(ask(&mut stream, &short(0x5B, 254)).await, telegrams[1]);
    let select = [
        0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0x22, 0x11, 0x00, 0x67, 0xFF, 0xFF, 0xFF, 0xFF,
        0x38, 0x16,
    ];
    assert_eq!(ask(&mut stream, &select).await, [0xE5]);
    assert_eq!(ask(&mut stream, &short(0x7B, 253)).await, telegrams[0]);
    assert_eq!(replay.handle().counts().borrow().questions, 6);
}

/// Every public capture can be served, and is answered as it was captured.
#[tokio::test]
async fn captures_are_served_as_they_are() {
    let corpus = std::env::var_os("FYRHUS_CORPUS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        std::path::PathBuf::from,
    );
    let frames = corpus.join("mbus/frames");
    let Ok(files) = std::fs::read_dir(&frames) else {
        println!("skipped: no captured frames at {} (FYRHUS_CORPUS)", frames.display());
        return;
    };
    let clock: Arc<dyn Clock> = Arc::new(Stopped(now()));
    let mut served = 0;
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let captured = Captured::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let (address, frame) = (captured.address(), captured.telegrams()[0].clone());
        let replay = Replay::start(captured, 0, None, Arc::clone(&clock)).await.unwrap();
        let mut stream = TcpStream::connect(replay.address()).await.unwrap();
        let asked = if address <= 250 { address } else { 254 };
        stream.write_all(&short(0x7B, asked)).await.unwrap();
        assert_eq!(read(&mut stream, frame.len()).await, frame, "{}", path.display());
        served += 1;
    }
    assert!(served > 20, "{served} captures");
}

/// A port on which a meter pushes, and a receiver, of those who listen there by the bytes.
const UNASKED: &str = r#"
name = "Test house"

[[bus]]
id = "han"
kind = "han"

[[bus]]
id = "stick"
kind = "wmbus"
receiver = "im871a"

[[meter]]
name = "mains"
bus = "han"
device = "kaifa"
place = "electricity-main"

[[meter]]
name = "flat"
bus = "stick"
device = "radio-water"
place = "cold-flats"
share = 100

[[meter]]
name = "neighbour"
bus = "stick"
device = "radio-water"
place = "cold-2"
stranger = true
"#;

#[tokio::test]
async fn a_meter_pushes_unasked_and_a_stick_hears_once_it_is_told_to() {
    let plan = Plan::parse(UNASKED, 1).unwrap();
    let clock = Arc::new(Stopped(now()));
    let simulator = Simulator::start(plan, &Options::default(), clock).await.unwrap();
    let mut port = connect(&simulator, "han").await;
    command(&simulator, "hour mains").unwrap();
    // Its clock stands still: it pushes what it is told to, and nothing else.
    let head = read(&mut port, 3).await;
    assert_eq!(head[..2], [0x7E, 0xA0], "{head:02x?}");
    let whole = read(&mut port, usize::from(head[2]) - 1).await;
    let energy = u32::try_from(shown_at(&simulator, "mains", "2024-02-29T12:00:00Z")).unwrap();
    let sent = energy.to_be_bytes();
    assert!(whole.windows(4).any(|it| it == sent), "{sent:02x?} in {whole:02x?}");
    assert_eq!(whole.last(), Some(&0x7E));

    let mut stick = connect(&simulator, "stick").await;
    stick.write_all(&[0xA5, 0x81, 0x01, 0x00, 0x24, 0x89]).await.unwrap();
    assert_eq!(read(&mut stick, 4).await, [0xA5, 0x01, 0x02, 0x00]);
    let mode_c = [0xA5, 0x81, 0x03, 0x07, 0, 3, 0, 6, 0x18, 0, 1, 0x99, 0xB2];
    stick.write_all(&mode_c).await.unwrap();
    assert_eq!(read(&mut stick, 5).await, [0xA5, 0x01, 0x04, 0x01, 0x00]);
    let head = read(&mut stick, 4).await;
    assert_eq!(head[..3], [0xA5, 0xC2, 0x03], "a frame, with strength and checksum");
    // Behind control and maker: the number, its last digits first.
    let frame = read(&mut stick, usize::from(head[3]) + 3).await;
    let digits: Vec<_> = frame[3..7].iter().rev().map(|byte| format!("{byte:02X}")).collect();
    let number = digits.concat();
    let plates = ["flat", "neighbour"].map(|name| {
        let plate = simulator.plate(meter(&simulator, name)).unwrap();
        plate.get(..8).unwrap().to_owned()
    });
    assert!(plates.contains(&number), "{number} of {plates:?}");
    let site = site_toml(&simulator).unwrap();
    assert!(site.contains(&plates[0]) && !site.contains(&plates[1]), "{site}");
    simulator.stop().await;
}

/// What a meter's first counter showed at `at`.
fn shown_at(simulator: &Simulator, name: &str, at: &str) -> i64 {
    let shows = simulator.shows(meter(simulator, name), at.parse().unwrap());
    shows.first().unwrap().1.mantissa()
}
