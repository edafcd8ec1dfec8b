//! An M-Bus slave that misbehaves by a script, over TCP, UDP and a pseudo-terminal.

use std::time::Duration;

use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, ReadError, Readout,
};
use mbus::{
    Control, Data, Encoding, Entry, Frame, Header, Id, Manufacturer, Medium, Modifier, Primary,
    Quantity, Request, Secondary, Status, VibBuf, Writer, ci, write_frame,
};
use metering::{NoReading, Origin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time;

use crate::support::{Noon, pty};

pub(crate) const KAM: Secondary = Secondary {
    id: Id(0x6700_1122),
    manufacturer: Manufacturer(0x2C2D), // KAM
    version: 0x08,
    medium: Medium::new(0x04),
};

/// What the slave does with one request for data.
#[derive(Clone, Debug)]
pub(crate) enum Act {
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
    /// the other, and tells when it has.
    Says(&'static [u8], &'static Notify),
    /// Says what this makes of the number of the telegram.
    Own(fn(u8) -> Vec<u8>),
}

pub(crate) struct Slave {
    pub(crate) settings: BusSettings,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The slave behind a converter that puts so many bytes into a datagram, and loses those of
/// `lost`, counted from 0 in both directions.
pub(crate) async fn behind_datagrams(
    script: Vec<Act>,
    size: usize,
    lost: &'static [usize],
) -> Slave {
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

pub(crate) async fn converter(socket: UdpSocket, line: DuplexStream, size: usize, lost: &[usize]) {
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

pub(crate) async fn slave(on_pty: bool, script: Vec<Act>) -> Slave {
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

pub(crate) fn settings(port: PortSettings) -> BusSettings {
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
pub(crate) async fn serve(
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
                    Act::Own(said) => said(telegram),
                    Act::Says(numbers, told) => {
                        for number in numbers {
                            drop(stream.write_all(&said(*number, 5, KAM)).await);
                            time::sleep(Duration::from_millis(10)).await;
                        }
                        told.notify_one();
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
pub(crate) fn said(telegram: u8, address: u8, meter: Secondary) -> Vec<u8> {
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

pub(crate) fn meter(address: MeterAddress) -> Meter {
    Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address,
        profile: None,
        serial: None,
        origin: Origin::Live,
    }
}

pub(crate) async fn read(bus: &mut Bus, meter: &Meter) -> Result<Readout, ReadError> {
    time::timeout(Duration::from_mins(2), bus.read(meter, &Noon)).await.unwrap()
}

pub(crate) fn shown(readout: &Readout) -> Vec<String> {
    let value = |value: Result<metering::Quantity, NoReading>| {
        value.map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string())
    };
    let readings = readout.readings.iter();
    readings.map(|it| format!("{} = {}", it.register, value(it.value))).collect()
}
