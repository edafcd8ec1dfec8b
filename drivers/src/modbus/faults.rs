//! A device that lies in every way it can, over wires whose time is their own: never a wrong value.
//!
//! ```text
//! bus ──▶ wire in memory ──▶ device     answers late, twice, swapped, cut, spoiled, or not at all
//!      ◀── tokio's paused clock ──▶     hours of it in seconds
//! ```
//!
//! Each register says its own address and how many questions the device had heard when it was
//! read. So a value of another register shows itself, and a value of an earlier question too.
//!
//! The faults come in storms, and after each there is calm. A storm is over when the last of its
//! answers has been said; what is asked from one response time-out later on has to be answered
//! whole.
//!
//! **Never true:** chance decides about the outcome. `FYRHUS_MODBUS_READS` sets how many readouts
//! there are and `PROPTEST_RNG_SEED` which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use metering::{Clock, Moment, Origin, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use super::ModbusBus;
use super::frame::crc;
use crate::port::Port;
use crate::profile::Profile;
use crate::{BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Readout};

/// The response time-out of the bus.
const WITHIN: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Tcp,
    Rtu,
    RtuOverTcp,
}

/// What is wrong with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Late,
    Dropped,
    Twice,
    Swapped,
    CutShort,
    Spoiled,
    ForeignUnit,
    OtherLength,
    Busy,
    Noise,
}

const FAULTS: [Fault; 10] = [
    Fault::Late,
    Fault::Dropped,
    Fault::Twice,
    Fault::Swapped,
    Fault::CutShort,
    Fault::Spoiled,
    Fault::ForeignUnit,
    Fault::OtherLength,
    Fault::Busy,
    Fault::Noise,
];

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.throw(below * 1_000))
    }
}

/// What the device is told, and tells.
struct Shared {
    /// Questions heard so far.
    heard: AtomicU16,
    storm: std::sync::Mutex<Storm>,
}

struct Storm {
    blows: bool,
    /// When the last answer that a fault held back was or will be said.
    over: Instant,
    faults: BTreeMap<Fault, u64>,
}

/// One wire's device: all units behind all connections that are made to it.
struct Device {
    wire: Wire,
    dice: Dice,
    shared: Arc<Shared>,
    /// The newest last.
    connections: Vec<(u64, WriteHalf<DuplexStream>)>,
    /// What is to be said, on which connection, and when.
    due: BTreeMap<(Instant, u64), (u64, Vec<u8>)>,
    /// An answer that waits for the next to be said before it.
    swapped: Option<Vec<u8>>,
    count: u64,
}

impl Device {
    async fn run(mut self, mut dialled: mpsc::Receiver<DuplexStream>) {
        let (ask, mut asked) = mpsc::channel::<(u64, Vec<u8>)>(64);
        let mut ears = JoinSet::new();
        loop {
            let next = self.due.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                connected = dialled.recv() => {
                    let Some(wire) = connected else { return };
                    let (near, far) = tokio::io::split(wire);
                    self.count += 1;
                    // One master at a time: the converter lets go of the connection before.
                    self.connections.clear();
                    self.connections.push((self.count, far));
                    ears.spawn(listen(self.wire, self.count, near, ask.clone()));
                }
                Some((connection, question)) = asked.recv() => self.hear(connection, &question),
                () = time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let Some((_, (connection, bytes))) = self.due.pop_first() else { continue };
                    self.say(connection, &bytes).await;
                }
            }
        }
    }

    /// A converter gives what comes from its line to whoever is connected; a Modbus TCP server
    /// answers where it was asked.
    async fn say(&mut self, connection: u64, bytes: &[u8]) {
        let wire = self.wire;
        for (number, far) in &mut self.connections {
            if wire != Wire::Tcp || *number == connection {
                drop(far.write_all(bytes).await);
            }
        }
    }

    fn hear(&mut self, connection: u64, question: &[u8]) {
        let head = if self.wire == Wire::Tcp { 6 } else { 0 };
        let &[unit, function, a1, a2, n1, n2] = &question[head..head + 6] else { unreachable!() };
        let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([n1, n2]));
        let stamp = self.shared.heard.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        let seal = |pdu: Vec<u8>| match self.wire {
            Wire::Tcp => {
                let len = u16::try_from(pdu.len()).unwrap();
                [&question[..4], &len.to_be_bytes(), &pdu].concat()
            }
            Wire::Rtu | Wire::RtuOverTcp => [pdu.as_slice(), &crc(&pdu).to_le_bytes()].concat(),
        };
        // Pairs: an even register holds its address, the one behind it the stamp.
        let word = |at: u16| if at.is_multiple_of(2) { at } else { stamp };
        let words = |unit: u8, count: u16| {
            let mut pdu = vec![unit, function, u8::try_from(count * 2).unwrap()];
            pdu.extend((address..address + count).flat_map(|at| word(at).to_be_bytes()));
            seal(pdu)
        };
        let right = words(unit, count);

        let now = Instant::now();
        let usual = now + self.dice.millis(30);
        let mut storm = self.shared.storm.lock().unwrap();
        let fault = (storm.blows && self.dice.throw(3) == 0)
            .then(|| FAULTS[usize::try_from(self.dice.throw(FAULTS.len() as u64)).unwrap()])
            // TCP has checksums of its own, and carries no noise.
            .filter(|fault| (self.wire, *fault) != (Wire::Tcp, Fault::Noise));
        if let Some(fault) = fault {
            *storm.faults.entry(fault).or_default() += 1;
        }
        let mut due = vec![(usual, right.clone())];
        match fault {
            None => {}
            // As late as three time-outs after the question.
            Some(Fault::Late) => due[0].0 = now + self.dice.millis(600),
            Some(Fault::Dropped) => due.clear(),
            Some(Fault::Twice) => due.push((usual + self.dice.millis(60), right)),
            Some(Fault::Swapped) => {
                due.clear();
                // At the latest it is said by itself.
                if let Some(before) = self.swapped.replace(right) {
                    due.push((usual, before));
                }
            }
            Some(Fault::CutShort) => {
                let len = usize::try_from(self.dice.throw(right.len() as u64)).unwrap();
                due[0].1.truncate(len);
            }
            Some(Fault::Spoiled) => {
                // TCP does not spoil bytes; a gateway may lose count of its transactions.
                let len = if self.wire == Wire::Tcp { 4 } else { right.len() };
                let at = usize::try_from(self.dice.throw(len as u64)).unwrap();
                due[0].1[at] ^= 1 << self.dice.throw(8);
            }
            Some(Fault::ForeignUnit) => due[0].1 = words(unit ^ 1, count),
            Some(Fault::OtherLength) => {
                let count = if self.dice.throw(2) == 0 { count + 1 } else { count - 1 };
                due[0].1 = words(unit, count.clamp(1, 125));
            }
            Some(Fault::Busy) => due[0].1 = seal(vec![unit, function | 0x80, 6]),
            Some(Fault::Noise) => {
                let noise: Vec<u8> = (0..=self.dice.throw(40))
                    .map(|_| self.dice.throw(256).to_le_bytes()[0])
                    .collect();
                due.push((now + self.dice.millis(300), noise));
            }
        }
        if fault != Some(Fault::Swapped)
            && let Some(held) = self.swapped.take()
        {
            let after = due.iter().map(|(at, _)| *at).max().unwrap_or(usual);
            due.push((after + self.dice.millis(40), held));
        }
        for (at, bytes) in due {
            if fault.is_some() || at > usual {
                storm.over = storm.over.max(at);
            }
            self.count += 1;
            self.due.insert((at, self.count), (connection, bytes));
        }
        storm.over = storm.over.max(if fault.is_some() { now } else { storm.over });
    }
}

/// Gives whole questions of one connection to the device.
async fn listen(
    wire: Wire,
    number: u64,
    mut near: ReadHalf<DuplexStream>,
    ask: mpsc::Sender<(u64, Vec<u8>)>,
) {
    let mut question = vec![0; if wire == Wire::Tcp { 12 } else { 8 }];
    while near.read_exact(&mut question).await.is_ok() {
        if ask.send((number, question.clone())).await.is_err() {
            return;
        }
    }
}

#[derive(Debug)]
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Moment {
        Moment {
            wall: chrono::DateTime::UNIX_EPOCH,
            boottime: Duration::ZERO,
            boot_id: 1,
            trust: Trust::Synced,
        }
    }
}

/// A meter of numbers of two words at `addresses`.
fn meter(unit: u8, addresses: &[u16]) -> Meter {
    let mut text = "schema = 1\nid = \"test.meter\"\nvendor = \"Test\"\nmodels = []\n\
         medium = \"other\"\nstatus = \"document\"\nsource = \"this test\"\n\
         [modbus]\nfunction = \"input\"\ngap = { allow = true, max = 20 }\n"
        .to_owned();
    for address in addresses {
        write!(
            text,
            "[[register]]\nkey = \"value_r{address}x\"\nquantity = \"value_r{address}x\"\n\
             unit = \"1\"\nkind = \"gauge\"\n\
             [register.modbus]\naddress = {address}\ntype = \"u32\"\n"
        )
        .unwrap();
    }
    let first = addresses[0];
    write!(
        text,
        "[[vector]]\nread = [{{ function = \"input\", address = {first}, words = [\"0\", \"1\"] }}]\n\
         expect = {{ value_r{first}x = \"1\" }}\n"
    )
    .unwrap();
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address: MeterAddress::Unit(unit),
        profile: Some(Arc::new(Profile::parse(&text).unwrap())),
        serial: None,
        origin: Origin::Live,
    }
}

/// What came of all readouts.
#[derive(Debug, Default)]
struct Tally {
    reads: u64,
    whole: u64,
    in_part: u64,
    none: u64,
    values: u64,
    wrong: u64,
    /// Readouts in calm, later than a response time-out after the storm.
    calm: u64,
    not_recovered: u64,
}

impl Tally {
    fn take(&mut self, meter: &Meter, readout: Option<&Readout>, before: u16, after: u16) {
        self.reads += 1;
        let Some(readout) = readout else {
            self.none += 1;
            return;
        };
        let mut values = 0;
        for reading in &readout.readings {
            let Ok(value) = reading.value else { continue };
            values += 1;
            let (register, stamp) = (value.mantissa() >> 16, value.mantissa() & 0xFFFF);
            let stamp = u16::try_from(stamp).unwrap();
            // Heard after the readout began and before it ended.
            let age = stamp.wrapping_sub(before);
            let fresh = age >= 1 && age <= after.wrapping_sub(before);
            if format!("value_r{register}x") != reading.register.to_string() || !fresh {
                println!("{}: {value}, questions {before} to {after}", reading.register);
                self.wrong += 1;
            }
        }
        self.values += values;
        let all = meter.profile.as_ref().map_or(0, |profile| profile.registers().count());
        if usize::try_from(values).unwrap() == all {
            self.whole += 1;
        } else {
            self.in_part += 1;
        }
    }
}

async fn storms(wire: Wire, reads: u64, seed: u64) -> (Tally, BTreeMap<Fault, u64>) {
    let port = match wire {
        Wire::Tcp => PortSettings::Tcp("gateway:502".to_owned()),
        Wire::Rtu => PortSettings::Serial("/dev/line".into()),
        Wire::RtuOverTcp => PortSettings::RtuOverTcp("converter:4001".to_owned()),
    };
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port: port.clone(),
        baud: 115_200,
        parity: Parity::Even,
        answer_within: Some(WITHIN),
        pause_after_connect: Duration::ZERO,
    };
    let (dial, dialled) = mpsc::channel(4);
    let storm = Storm { blows: true, over: Instant::now(), faults: BTreeMap::new() };
    let shared = Arc::new(Shared { heard: AtomicU16::new(0), storm: std::sync::Mutex::new(storm) });
    let device = Device {
        wire,
        dice: Dice(seed | 1),
        shared: Arc::clone(&shared),
        connections: Vec::new(),
        due: BTreeMap::new(),
        swapped: None,
        count: 0,
    };
    let device = tokio::spawn(device.run(dialled));
    let mut bus = ModbusBus::over(Port::in_memory(port, dial), &settings);
    // Answers of one length, of several, and of a single number; two units that a bit tells apart.
    let meters = [
        meter(6, &[10, 12, 14]),
        meter(7, &[20, 22, 24]),
        meter(7, &[100, 102, 108, 140, 146]),
        meter(7, &[30, 32, 34]),
        meter(9, &[200]),
        meter(9, &[210]),
    ];
    let mut dice = Dice(seed.rotate_left(17) | 1);
    let mut tally = Tally::default();
    while tally.reads < reads {
        for (blows, length) in [(true, 20), (false, 12)] {
            shared.storm.lock().unwrap().blows = blows;
            for _ in 0..length {
                let meter = &meters[usize::try_from(dice.throw(meters.len() as u64)).unwrap()];
                let begun = Instant::now();
                let before = shared.heard.load(Ordering::SeqCst);
                // Now and then nobody waits for the end of it, as the scheduler does.
                let patience = if dice.throw(16) == 0 { dice.millis(300) } else { HOUR };
                let readout = time::timeout(patience, bus.read(meter, &StandingClock)).await;
                let dropped = readout.is_err();
                let readout = readout.ok().and_then(Result::ok);
                let whole = tally.whole;
                let after = shared.heard.load(Ordering::SeqCst);
                tally.take(meter, readout.as_ref(), before, after);
                let over = shared.storm.lock().unwrap().over;
                if !blows && !dropped && begun >= over + WITHIN {
                    tally.calm += 1;
                    tally.not_recovered += u64::from(tally.whole == whole);
                }
                if dice.throw(4) == 0 {
                    time::sleep(dice.millis(400)).await;
                }
            }
        }
    }
    device.abort();
    let faults = std::mem::take(&mut shared.storm.lock().unwrap().faults);
    (tally, faults)
}

const HOUR: Duration = Duration::from_hours(1);

async fn check(wire: Wire) {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let reads = number("FYRHUS_MODBUS_READS").unwrap_or(100_000);
    let seed = number("PROPTEST_RNG_SEED").unwrap_or(20_261_122);
    let begun = Instant::now();
    let (tally, faults) = storms(wire, reads, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).await;
    println!(
        "{wire:?}, seed {seed}, {} virtual minutes: {tally:?}",
        begun.elapsed().as_secs() / 60
    );
    println!("  {faults:?}");
    assert_eq!(tally.wrong, 0, "wrong values");
    assert_eq!(tally.not_recovered, 0, "readouts in calm that were not whole");
    assert!(tally.whole * 2 > tally.reads && tally.calm * 8 > tally.reads, "too little was read");
    let kinds = FAULTS.len() - usize::from(wire == Wire::Tcp);
    assert_eq!(faults.len(), kinds, "every fault was there");
}

#[tokio::test(start_paused = true)]
async fn no_storm_on_tcp_makes_a_wrong_value() {
    check(Wire::Tcp).await;
}

#[tokio::test(start_paused = true)]
async fn no_storm_on_a_serial_line_makes_a_wrong_value() {
    check(Wire::Rtu).await;
}

#[tokio::test(start_paused = true)]
async fn no_storm_behind_a_converter_makes_a_wrong_value() {
    check(Wire::RtuOverTcp).await;
}
