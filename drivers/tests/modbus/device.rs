//! A Modbus device that misbehaves by a script, over real sockets and pseudo-terminals.
//!
//! Every register holds its own number, so a value in the wrong place shows itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Profile, ReadError,
    Readout,
};
use metering::Origin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time;

use crate::support::{Noon, pty};

/// What the device does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
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
pub(crate) enum Wire {
    Tcp,
    RtuOverTcp,
    Pty,
}

/// A device that follows `script`, one act for each request, and then answers as it should.
pub(crate) struct Device {
    pub(crate) settings: BusSettings,
    pub(crate) requests: Arc<AtomicUsize>,
    /// On a network, how often it was connected to.
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Long enough for a machine that has other things to do, short enough for a test.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_millis(200);

pub(crate) fn settings(port: PortSettings) -> BusSettings {
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
pub(crate) type Missing = &'static [u16];

pub(crate) async fn device(wire: Wire, script: Vec<Act>, missing: Missing) -> Device {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let connections = Arc::new(AtomicUsize::new(0));
    let (port, task) = match wire {
        Wire::Tcp | Wire::RtuOverTcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let port = if wire == Wire::Tcp {
                PortSettings::Tcp(address)
            } else {
                PortSettings::RtuOverTcp(address)
            };
            let accepted = Arc::clone(&connections);
            let task = tokio::spawn(async move {
                let mut script = script.into_iter();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    accepted.fetch_add(1, Ordering::SeqCst);
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
    Device { settings: settings(port), requests, connections, task }
}

pub(crate) async fn serve(
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

pub(crate) fn crc(bytes: &[u8]) -> u16 {
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
pub(crate) fn profile(addresses: &[u16], limits: &str) -> String {
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
pub(crate) fn meter(addresses: &[u16], limits: &str) -> Meter {
    let text = profile(addresses, limits);
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address: MeterAddress::Unit(7),
        profile: Some(Arc::new(Profile::parse(&text).unwrap())),
        serial: None,
        origin: Origin::Live,
    }
}

pub(crate) async fn read(bus: &mut Bus, meter: &Meter) -> Result<Readout, ReadError> {
    time::timeout(Duration::from_mins(2), bus.read(meter, &Noon)).await.unwrap()
}

/// Insists that every value is the number of its register; gives the number of values.
pub(crate) fn honest(readout: &Readout) -> usize {
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

pub(crate) const LIMITS: &str = "gap = { allow = true, max = 20 }";

pub(crate) const EVERY_WIRE: [Wire; 3] = [Wire::Tcp, Wire::RtuOverTcp, Wire::Pty];
pub(crate) const SERIAL: [Wire; 2] = [Wire::RtuOverTcp, Wire::Pty];
