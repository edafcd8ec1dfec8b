//! A Modbus over real sockets and pseudo-terminals, with devices that misbehave by a script.
//!
//! Every register of the scripted device holds its own number, so a value in the wrong place
//! shows itself.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drivers::modbus::{ModbusBus, SweepProgress, sweep};
use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortFault, PortSettings, Profile,
    Profiles, ReadError, Readout,
};
use metering::{NoReading, Origin};
use support::{Noon, pty};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

/// What the device does with one request.
#[derive(Clone, Debug)]
enum Act {
    /// Answers as it should.
    Answer,
    /// Answers so many milliseconds late, and answers nothing before that.
    Late(u64),
    /// Says nothing, ever.
    Silence,
    /// Answers twice.
    Twice,
    /// Answers as this unit.
    AsUnit(u8),
    /// Answers with so many registers more or less.
    Longer(i32),
    /// Puts bytes before the answer.
    Before(&'static [u8]),
    /// Puts bytes behind the answer.
    Behind(&'static [u8]),
    /// Says so many bytes of the answer.
    Part(usize),
    /// Says so many bytes of the answer and hangs up.
    HangUp(usize),
    /// Refuses.
    Exception(u8),
    /// Sends the request back, and then the answer.
    Echo,
    /// Answers with a checksum, or on TCP a transaction, that is wrong.
    Damaged,
    /// Gives the answer to the question before, again and again, for as long as somebody listens.
    Babble,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Tcp,
    RtuOverTcp,
    Pty,
}

/// A device that follows `script`, one act for each request, and then answers as it should.
struct Device {
    settings: BusSettings,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Long enough for a machine that has other things to do, short enough for a test.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

fn settings(port: PortSettings) -> BusSettings {
    BusSettings {
        kind: BusKind::Modbus,
        port,
        baud: 115_200,
        parity: Parity::Even,
        answer_within: Some(ANSWER_WITHIN),
        pause_after_connect: Duration::ZERO,
    }
}

/// Every register from 0 to 299 exists, but for these.
type Missing = &'static [u16];

async fn device(wire: Wire, script: Vec<Act>, missing: Missing) -> Device {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let (port, task) = match wire {
        Wire::Tcp | Wire::RtuOverTcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let port = if wire == Wire::Tcp {
                PortSettings::Tcp(address)
            } else {
                PortSettings::RtuOverTcp(address)
            };
            let task = tokio::spawn(async move {
                let mut script = script.into_iter();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    serve(wire, stream, &mut script, missing, &counted).await;
                }
            });
            (port, task)
        }
        Wire::Pty => {
            let (master, slave, kept) = pty();
            let task = tokio::spawn(async move {
                let _kept = kept;
                let mut script = script.into_iter();
                serve(wire, master, &mut script, missing, &counted).await;
            });
            (PortSettings::Serial(slave), task)
        }
    };
    Device { settings: settings(port), requests, task }
}

async fn serve(
    wire: Wire,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &mut std::vec::IntoIter<Act>,
    missing: Missing,
    requests: &AtomicUsize,
) {
    let header = if wire == Wire::Tcp { 6 } else { 0 };
    let mut request = vec![0; if wire == Wire::Tcp { 12 } else { 8 }];
    while stream.read_exact(&mut request).await.is_ok() {
        requests.fetch_add(1, Ordering::SeqCst);
        let [unit, function, a1, a2, c1, c2] = request[header..header + 6] else { unreachable!() };
        let address = u16::from_be_bytes([a1, a2]);
        let count = u16::from_be_bytes([c1, c2]);
        let seal = |pdu: &[u8]| -> Vec<u8> {
            match wire {
                Wire::Tcp => {
                    let len = u16::try_from(pdu.len()).unwrap();
                    [&request[..4], len.to_be_bytes().as_slice(), pdu].concat()
                }
                _ => [pdu, crc(pdu).to_le_bytes().as_slice()].concat(),
            }
        };
        let registers = |unit: u8, count: u16| {
            let mut pdu = vec![unit, function, u8::try_from(count * 2).unwrap()];
            pdu.extend((address..address + count).flat_map(u16::to_be_bytes));
            seal(&pdu)
        };
        let right = if (address..address + count).any(|it| it >= 300 || missing.contains(&it)) {
            seal(&[unit, function | 0x80, 2])
        } else {
            registers(unit, count)
        };
        let act = script.next().unwrap_or(Act::Answer);
        if matches!(act, Act::Babble) {
            let mut late = registers(unit, count + 1);
            if wire == Wire::Tcp {
                late[1] = late[1].wrapping_sub(1);
            }
            while stream.write_all(&late).await.is_ok() {}
            return;
        }
        let mut hang_up = false;
        let answer = match act {
            Act::Answer => right,
            Act::Late(ms) => {
                time::sleep(Duration::from_millis(ms)).await;
                right
            }
            Act::Silence | Act::Babble => continue,
            Act::Twice => right.repeat(2),
            Act::AsUnit(unit) => registers(unit, count),
            Act::Longer(more) => registers(unit, u16::try_from(i32::from(count) + more).unwrap()),
            Act::Before(noise) => [noise, &right].concat(),
            Act::Behind(noise) => [right.as_slice(), noise].concat(),
            Act::Part(len) => right[..len].to_vec(),
            Act::HangUp(len) => {
                hang_up = true;
                right[..len].to_vec()
            }
            Act::Exception(code) => seal(&[unit, function | 0x80, code]),
            Act::Echo => [request.as_slice(), &right].concat(),
            Act::Damaged => {
                let mut damaged = right;
                let at = if wire == Wire::Tcp { 0 } else { damaged.len() - 1 };
                damaged[at] ^= 0x55;
                damaged
            }
        };
        if stream.write_all(&answer).await.is_err() || hang_up {
            return;
        }
    }
}

fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 }
            },
        )
    })
}

/// A type of meter with registers of one word at `addresses`, named by them.
fn profile(addresses: &[u16], limits: &str) -> String {
    let mut text = format!(
        "schema = 1\nid = \"test.meter\"\nvendor = \"Test\"\nmodels = []\nmedium = \"other\"\n\
         status = \"document\"\nsource = \"this test\"\n[modbus]\nfunction = \"input\"\n{limits}\n"
    );
    text.extend(addresses.iter().map(|address| {
        format!(
            "[[register]]\nkey = \"value_r{address}x\"\nquantity = \"value_r{address}x\"\n\
             unit = \"1\"\nkind = \"gauge\"\n\
             [register.modbus]\naddress = {address}\ntype = \"u16\"\n"
        )
    }));
    let first = addresses[0];
    let vector = format!(
        "[[vector]]\nread = [{{ function = \"input\", address = {first}, words = [\"1\"] }}]\n\
         expect = {{ value_r{first}x = \"1\" }}\n"
    );
    text.push_str(&vector);
    text
}

/// A meter at unit 7 with registers of one word at `addresses`.
fn meter(addresses: &[u16], limits: &str) -> Meter {
    let text = profile(addresses, limits);
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address: MeterAddress::Unit(7),
        profile: Some(Arc::new(Profile::parse(&text).unwrap())),
        serial: None,
        origin: Origin::Live,
    }
}

async fn read(bus: &mut Bus, meter: &Meter) -> Result<Readout, ReadError> {
    time::timeout(Duration::from_secs(20), bus.read(meter, &Noon)).await.unwrap()
}

/// Insists that every value is the number of its register; gives the number of values.
fn honest(readout: &Readout) -> usize {
    let mut values = 0;
    for reading in &readout.readings {
        if let Ok(value) = reading.value {
            let name = format!("value_r{}x", value.mantissa());
            assert_eq!(reading.register.to_string(), name, "a value of another register");
            values += 1;
        }
    }
    values
}

const LIMITS: &str = "gap = { allow = true, max = 20 }";

/// Reads twice from a device that follows `script`, and expects the outcome of the first.
async fn check(wire: Wire, script: Vec<Act>, expected: &str) {
    let told = format!("{wire:?} {script:?}");
    let device = device(wire, script, &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    let first = match read(&mut bus, &meter).await {
        Ok(readout) => {
            assert!(readout.telegrams.iter().all(|telegram| telegram.len() > 4), "{told}");
            format!("{} values", honest(&readout))
        }
        Err(error) => error.no_reading().as_str().to_owned(),
    };
    assert_eq!(first, expected, "{told}");

    // Whatever it was: when the device is well again, so is the bus.
    time::sleep(Duration::from_millis(200)).await;
    let mut whole = false;
    for _ in 0..4 {
        whole |= read(&mut bus, &meter).await.is_ok_and(|readout| honest(&readout) == 4);
    }
    assert!(whole, "{told}: it did not recover");
}

const EVERY_WIRE: [Wire; 3] = [Wire::Tcp, Wire::RtuOverTcp, Wire::Pty];
const SERIAL: [Wire; 2] = [Wire::RtuOverTcp, Wire::Pty];

#[tokio::test]
async fn one_fault_is_survived_within_the_readout() {
    let mut checks = JoinSet::new();
    for wire in EVERY_WIRE {
        checks.spawn(check(wire, vec![], "4 values"));
        for act in [
            Act::Silence,
            Act::Late(300),
            Act::Twice,
            Act::AsUnit(8),
            Act::Longer(1),
            Act::Longer(-1),
            Act::Part(5),
            Act::Damaged,
            Act::Behind(&[0x01, 0x02, 0x03]),
            Act::Exception(6),
        ] {
            checks.spawn(check(wire, vec![act], "4 values"));
        }
    }
    for wire in [Wire::Tcp, Wire::RtuOverTcp] {
        checks.spawn(check(wire, vec![Act::HangUp(0)], "bus_down"));
        checks.spawn(check(wire, vec![Act::HangUp(4)], "bus_down"));
    }
    for wire in SERIAL {
        checks.spawn(check(wire, vec![Act::Echo; 3], "4 values"));
        for noise in [[0x00, 0xFF].as_slice(), &[0x12, 0x34], &[0x07, 0x04, 0x02, 0x00, 0x0A]] {
            checks.spawn(check(wire, vec![Act::Before(noise)], "4 values"));
        }
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_fault_that_stays_is_an_absence_with_its_reason() {
    let mut checks = JoinSet::new();
    for wire in EVERY_WIRE {
        checks.spawn(check(wire, vec![Act::Silence; 2], "silent"));
        checks.spawn(check(wire, vec![Act::Exception(1); 2], "refused"));
        checks.spawn(check(wire, vec![Act::AsUnit(8); 2], "garbled"));
        checks.spawn(check(wire, vec![Act::Part(4); 2], "garbled"));
    }
    checks.spawn(check(Wire::RtuOverTcp, vec![Act::Babble; 2], "garbled"));
    checks.spawn(check(Wire::Tcp, vec![Act::Babble; 2], "silent"));
    checks.spawn(check(Wire::Tcp, vec![Act::Exception(11)], "silent"));
    checks.join_all().await;
}

#[tokio::test]
async fn a_hole_that_is_refused_is_learned_and_no_value_is_lost() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![], &[12]).await;
        let mut bus = Bus::open(&device.settings, Arc::default());
        let meter = meter(&[10, 11, 14, 30], LIMITS);
        let mut requests = Vec::new();
        for _ in 0..4 {
            assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
            requests.push(device.requests.swap(0, Ordering::SeqCst));
        }
        assert!(requests[0] > 2, "{wire:?}: the first readout had to learn: {requests:?}");
        assert_eq!(requests[3], 2, "{wire:?}: one request on each side of the hole: {requests:?}");
    }
}

#[tokio::test]
async fn a_register_that_does_not_exist_costs_no_other() {
    let device = device(Wire::RtuOverTcp, vec![], &[11]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 12, 14], LIMITS);
    for _ in 0..3 {
        let readout = read(&mut bus, &meter).await.unwrap();
        assert_eq!(honest(&readout), 3);
        let refused = &readout.readings[1];
        assert_eq!(refused.value, Err(NoReading::Refused), "{}", refused.register);
    }
}

/// Four registers in one request, cut to pieces: seven refusals.
#[tokio::test]
async fn a_device_that_refuses_everything_while_it_starts_is_soon_read_as_before() {
    let device = device(Wire::RtuOverTcp, vec![Act::Exception(4); 7], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 12, 14], LIMITS);
    assert!(matches!(read(&mut bus, &meter).await, Err(ReadError::Refused { .. })));
    let mut requests = Vec::new();
    for _ in 0..2 {
        device.requests.store(0, Ordering::SeqCst);
        assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
        requests.push(device.requests.load(Ordering::SeqCst));
    }
    assert_eq!(requests, [4, 1]);
}

#[tokio::test]
async fn a_sweep_finds_who_is_there_and_of_which_type_and_writes_nothing() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![], &[0]).await;
        let settings = BusSettings {
            answer_within: Some(Duration::from_millis(60)),
            ..device.settings.clone()
        };
        let mut bus = ModbusBus::open(&settings);
        // The register at each address holds the address. Register 0 is refused: that is a sign
        // of life too.
        let folder = tempfile::tempdir().unwrap();
        for (id, address, value) in
            [("test.absent", 400, 1), ("test.other", 20, 1), ("test.right", 30, 30)]
        {
            let identify = format!(
                "serial = {{ address = 55, type = \"u16\" }}\n\
                 [[modbus.identify]]\naddress = {address}\ntype = \"u16\"\nany_of = [{value}]"
            );
            let text = profile(&[10], &identify).replace("test.meter", id);
            std::fs::write(folder.path().join(format!("{}.toml", id.replace('.', "-"))), text)
                .unwrap();
        }
        let (profiles, mistakes) = Profiles::load_over(folder.path());
        assert_eq!(mistakes, []);
        let mut told = Vec::new();
        let note = |progress: SweepProgress<'_>| told.push(format!("{progress:?}"));
        let found = sweep(&mut bus, 6..=8, &profiles, &Noon, note).await.unwrap();
        // This device answers for every unit.
        let units: Vec<u8> = found.iter().map(|it| it.unit).collect();
        assert_eq!(units, [6, 7, 8], "{wire:?}");
        for it in &found {
            let own: Vec<&str> = it
                .profiles
                .iter()
                .map(String::as_str)
                .filter(|id| id.starts_with("test."))
                .collect();
            assert_eq!((own, it.serial.as_deref()), (vec!["test.right"], Some("55")), "{wire:?}");
        }
        assert_eq!(told[0], "Asking(6)");
        assert!(told[1].starts_with("Found(") && told.len() == 6, "{told:?}");
    }
}

#[tokio::test]
async fn a_sweep_passes_over_units_that_are_not_there() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![Act::Silence, Act::Exception(11), Act::Answer], &[]).await;
        let settings = BusSettings {
            answer_within: Some(Duration::from_millis(60)),
            ..device.settings.clone()
        };
        let mut bus = ModbusBus::open(&settings);
        let mut garbled = Vec::new();
        let note = |progress: SweepProgress<'_>| {
            if let SweepProgress::Garbled(unit) = progress {
                garbled.push(unit);
            }
        };
        let found = sweep(&mut bus, 1..=3, &Profiles::embedded(), &Noon, note).await.unwrap();
        let units: Vec<u8> = found.iter().map(|it| it.unit).collect();
        assert_eq!((units, garbled), (vec![3], vec![]), "{wire:?}");
    }
}

#[tokio::test]
async fn what_was_learned_of_a_device_is_known_again_after_a_restart() {
    let device = device(Wire::Tcp, vec![], &[12]).await;
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    let mut bus = ModbusBus::open(&device.settings);
    for _ in 0..3 {
        assert_eq!(honest(&bus.read(&meter, &Noon).await.unwrap()), 4);
    }
    let lessons = bus.lessons();
    assert_eq!(lessons, "7 test.meter seam 4 14\n");
    drop(bus);

    device.requests.store(0, Ordering::SeqCst);
    let mut bus = ModbusBus::open(&device.settings);
    bus.recall(&lessons);
    assert_eq!(honest(&bus.read(&meter, &Noon).await.unwrap()), 4);
    assert_eq!(device.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn unit_0_is_asked_nothing() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = Meter { address: MeterAddress::Unit(0), ..meter(&[10], "") };
    assert!(matches!(read(&mut bus, &meter).await, Err(ReadError::Misfit { .. })));
    assert_eq!(device.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_gateway_is_left_alone_after_a_connection_was_made() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let pause = Duration::from_millis(150);
    let settings = BusSettings { pause_after_connect: pause, ..device.settings.clone() };
    let mut bus = Bus::open(&settings, Arc::default());
    let begun = time::Instant::now();
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    assert!(begun.elapsed() >= pause);
    let begun = time::Instant::now();
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    assert!(begun.elapsed() < pause, "the connection is kept");
}

#[tokio::test]
async fn a_time_out_teaches_nothing() {
    let device = device(Wire::Tcp, vec![Act::Silence; 2], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    assert!(read(&mut bus, &meter).await.is_err());
    device.requests.store(0, Ordering::SeqCst);
    assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
    assert_eq!(device.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_question_that_was_dropped_does_not_answer_the_next() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![Act::Late(150)], &[]).await;
        let mut bus = Bus::open(&device.settings, Arc::default());
        let dropped = meter(&[50, 51, 54, 70], LIMITS);
        let _ = time::timeout(Duration::from_millis(50), bus.read(&dropped, &Noon)).await;
        let meter = meter(&[10, 11, 14, 30], LIMITS);
        assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4, "{wire:?}");
    }
}

/// A converter that queues what it is asked, as they do, and gives every answer to whoever is
/// connected when it comes: also to the next connection. Each answer takes as long as `delays`
/// says.
async fn queueing_converter(mut delays: impl Iterator<Item = u64> + Send + 'static) -> Device {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::RtuOverTcp(listener.local_addr().unwrap().to_string());
    let (ask, mut asked) = tokio::sync::mpsc::channel::<[u8; 8]>(64);
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        let mut connected: Option<OwnedWriteHalf> = None;
        let mut readers = JoinSet::new();
        let mut answer: Option<(time::Instant, Vec<u8>)> = None;
        loop {
            let due = answer.as_ref().map(|(due, _)| *due);
            tokio::select! {
                accepted = listener.accept() => {
                    let (mut reader, writer) = accepted.unwrap().0.into_split();
                    connected = Some(writer);
                    let ask = ask.clone();
                    readers.spawn(async move {
                        let mut request = [0; 8];
                        while reader.read_exact(&mut request).await.is_ok() {
                            ask.send(request).await.unwrap();
                        }
                    });
                }
                Some([unit, function, a1, a2, c1, c2, ..]) = asked.recv(), if due.is_none() => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
                    let mut frame = vec![unit, function, u8::try_from(count * 2).unwrap()];
                    frame.extend((address..address + count).flat_map(u16::to_be_bytes));
                    frame.extend(crc(&frame).to_le_bytes());
                    let delay = Duration::from_millis(delays.next().unwrap_or(0));
                    answer = Some((time::Instant::now() + delay, frame));
                }
                () = time::sleep_until(due.unwrap_or_else(time::Instant::now)), if due.is_some() => {
                    if let (Some((_, frame)), Some(writer)) = (answer.take(), &mut connected) {
                        let _ = writer.write_all(&frame).await;
                    }
                }
            }
        }
    });
    Device { settings: settings(port), requests, task }
}

/// Numbers from a fixed seed, so that a failure can be repeated.
fn random(seed: u64) -> impl Iterator<Item = u64> + Send {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[tokio::test]
async fn no_late_answer_is_ever_taken_for_another() {
    let mut seeds = JoinSet::new();
    for seed in 0..16_u64 {
        seeds.spawn(async move {
            // One answer in four may be later than the bus waits, by up to three times.
            let delays = random(seed).map(|it| if it % 4 == 0 { 150 + it % 450 } else { it % 40 });
            let device = queueing_converter(delays).await;
            let mut bus = Bus::open(&device.settings, Arc::default());
            // Answers of one length: nothing but the question tells them apart.
            let meters = [
                meter(&[10, 11, 12, 13, 14], ""),
                meter(&[20, 21, 22, 23, 24], ""),
                meter(&[30, 31, 32, 33, 34], ""),
            ];
            let mut values = 0;
            for round in 0..24 {
                if let Ok(readout) = read(&mut bus, &meters[round % 3]).await {
                    values += honest(&readout);
                }
            }
            values
        });
    }
    let values: usize = seeds.join_all().await.into_iter().sum();
    assert!(values > 16 * 5, "{values} values are too few to be a test");
}

#[tokio::test]
async fn faults_of_all_sorts_in_any_order_never_make_a_wrong_value() {
    let mut seeds = JoinSet::new();
    for (wire, seed) in EVERY_WIRE.into_iter().flat_map(|wire| (0..6).map(move |it| (wire, it))) {
        seeds.spawn(async move {
            let script = random(seed).take(60).map(|it| match it % 8 {
                0 => Act::Late(150 + it % 300),
                1 => Act::Late(it % 220),
                2 => Act::Twice,
                3 => Act::Longer(if it % 3 == 0 { 1 } else { -1 }),
                4 => Act::Part(3),
                _ => Act::Answer,
            });
            let device = device(wire, script.collect(), &[]).await;
            let mut bus = Bus::open(&device.settings, Arc::default());
            let meters = [
                meter(&[10, 11, 12], ""),
                meter(&[100, 101, 103, 106, 110], LIMITS),
                meter(&[200], ""),
                meter(&[20, 21, 22], ""),
            ];
            for round in 0..12 {
                if let Ok(readout) = read(&mut bus, &meters[round % 4]).await {
                    honest(&readout);
                }
            }
        });
    }
    seeds.join_all().await;
}

#[tokio::test]
async fn a_port_that_someone_else_uses_says_so_and_is_free_again_later() {
    let device = device(Wire::Pty, vec![], &[]).await;
    let PortSettings::Serial(path) = &device.settings.port else { unreachable!() };
    let lock = std::fs::File::open(path).unwrap();
    lock.try_lock().unwrap();
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10], "");
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert!(matches!(error, ReadError::Port { cause: PortFault::Taken, .. }), "{error:?}");
    assert_eq!(error.no_reading(), NoReading::BusDown);

    drop(lock);
    time::timeout(Duration::from_secs(5), async {
        while read(&mut bus, &meter).await.is_err() {
            time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the bus takes the port when it is free");
}

#[tokio::test]
async fn an_adapter_that_is_unplugged_is_told_and_its_name_may_be_gone() {
    let (master, slave, kept) = pty();
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port: PortSettings::Serial(slave),
        baud: 9_600,
        parity: Parity::None,
        answer_within: Some(Duration::from_millis(50)),
        pause_after_connect: Duration::ZERO,
    };
    let mut bus = Bus::open(&settings, Arc::default());
    let meter = meter(&[10], "");
    let silent = read(&mut bus, &meter).await;
    assert!(matches!(silent, Err(ReadError::Silent { .. })), "{silent:?}");
    drop((master, kept));
    for _ in 0..2 {
        let error = read(&mut bus, &meter).await.unwrap_err();
        assert_eq!(error.no_reading(), NoReading::BusDown, "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_half_open_is_made_anew() {
    // The first connection takes bytes and says nothing, like a converter that was restarted
    // behind a firewall; the second one answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        let (dead, _) = listener.accept().await.unwrap();
        let (alive, _) = listener.accept().await.unwrap();
        let mut script = Vec::new().into_iter();
        serve(Wire::Tcp, alive, &mut script, &[], &AtomicUsize::new(0)).await;
        drop(dead);
    });
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port,
        baud: 9_600,
        parity: Parity::Even,
        answer_within: Some(Duration::from_millis(50)),
        pause_after_connect: Duration::ZERO,
    };
    let mut bus = Bus::open(&settings, Arc::default());
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    task.abort();
}

#[tokio::test]
async fn another_serial_number_is_another_meter() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let with_serial = "serial = { address = 20, type = \"u16\" }";
    let meter = Meter { serial: Some("21".to_owned()), ..meter(&[10], with_serial) };
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert_eq!(error.no_reading(), NoReading::WrongMeter);
    let meter = Meter { serial: Some("20".to_owned()), ..meter };
    assert_eq!(read(&mut bus, &meter).await.unwrap().identity.serial, "20");
}
