//! What is set in a meter once, and listening without a word, over real sockets and
//! pseudo-terminals; the meters obey, forget, refuse or fall silent.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use drivers::mbus::{MbusBus, SetError, SpeedSet, Tap};
use drivers::{BusKind, BusSettings, MeterAddress, Parity, PortSettings, Profiles};
use mbus::{
    Baud, ByteOrder, Control, Data, Date, Encoding, Entry, Frame, Full, Header, Id, Manufacturer,
    Medium, Overheard, Primary, Quantity, Reader, Record, Request, Secondary, Status, Time, Value,
    VibBuf, ci, write_frame,
};
use serial2_tokio::{SerialPort, Settings};
use support::{Noon, pty};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a meter takes what is set in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mind {
    /// Does it.
    Obeys,
    /// Acknowledges, and stays as it is.
    Forgets,
    /// Does not acknowledge.
    Locked,
    /// Acknowledges, and says nothing more.
    FallsSilent,
    /// Does it without a word, and does not answer the five questions after that.
    GoesOver,
    /// Answers neither a reset nor a selection.
    NoReset,
    /// Does it all, and says nothing as long as it has the address 9.
    Mute,
}

#[derive(Clone, Debug)]
struct Meter {
    id: u32,
    address: u8,
    mind: Mind,
    selected: bool,
    /// For so many questions.
    silent: u32,
    clock: (Date, Time),
}

fn meter(id: u32, address: u8, mind: Mind) -> Meter {
    let clock = (Date::new(2026, 1, 1).unwrap(), Time::new(0, 0, None).unwrap());
    Meter { id, address, mind, selected: false, silent: 0, clock }
}

impl Meter {
    fn secondary(&self) -> Secondary {
        let (id, manufacturer) = (Id(self.id), Manufacturer::of("KAM").unwrap());
        Secondary { id, manufacturer, version: 1, medium: Medium::new(4) }
    }

    fn answer(&mut self, request: &Request<'_>) -> Vec<u8> {
        let answer = self.would_answer(request);
        let mute = match self.mind {
            Mind::Mute => self.address == 9,
            Mind::NoReset => matches!(request, Request::Reset(_) | Request::Select(_)),
            _ => false,
        };
        if mute { vec![] } else { answer }
    }

    fn would_answer(&mut self, request: &Request<'_>) -> Vec<u8> {
        let selected = self.selected;
        let mine = |to: Primary| to.0 == self.address || (to == Primary::SELECTED && selected);
        let ack = vec![0xE5];
        if self.silent > 0 {
            self.silent -= 1;
            return vec![];
        }
        match *request {
            Request::Reset(to) if mine(to) => {
                self.selected &= to != Primary::SELECTED;
                ack
            }
            Request::Select(selection) => {
                self.selected = selection.matches(&self.secondary(), None);
                if self.selected { ack } else { vec![] }
            }
            Request::Data { to, .. } if mine(to) => self.telegram(),
            Request::SetBaud { to, .. } if mine(to) => self.set(|_| {}),
            Request::Send { to, ci: ci::DATA, data, .. } if mine(to) => {
                let data = data.to_vec();
                self.set(move |meter| {
                    if let [0x01, 0x7A, address] = *data {
                        meter.address = address;
                        return;
                    }
                    let order = ByteOrder::LsbFirst;
                    let record = Record::read(&mut Reader::new(&data), order).unwrap();
                    let Ok(Value::DateTime(date, time)) = record.value() else { return };
                    meter.clock = (date, time);
                })
            }
            _ => vec![],
        }
    }

    fn set(&mut self, how: impl FnOnce(&mut Self)) -> Vec<u8> {
        match self.mind {
            Mind::Obeys | Mind::Mute | Mind::NoReset => how(self),
            Mind::Forgets => {}
            Mind::Locked => return vec![],
            Mind::FallsSilent => self.silent = u32::MAX,
            Mind::GoesOver => {
                self.silent = 5;
                return vec![];
            }
        }
        vec![0xE5]
    }

    fn telegram(&self) -> Vec<u8> {
        let mut buffer = [0; Frame::MAX_LEN];
        let header = Header::long(self.secondary(), 1, Status::OK);
        let (date, time) = self.clock;
        let from = Primary(self.address);
        write_frame(&mut buffer, Control::RSP_UD, from, ci::RECORDS, |w| {
            header.write(w)?;
            let energy = VibBuf::of(Quantity::Energy, "Wh", 3).ok_or(Full)?;
            let value = Data::int(Encoding::Int32, 12_345).ok_or(Full)?;
            Entry::new(energy, value).write(w, ByteOrder::LsbFirst)?;
            let clock = VibBuf::of(Quantity::DateTime, "", 0).ok_or(Full)?;
            let now = Data::date_time(date, time).ok_or(Full)?;
            Entry::new(clock, now).write(w, ByteOrder::LsbFirst)
        })
        .unwrap()
        .to_vec()
    }
}

/// Meters on a wire, and what the test needs of it.
#[derive(Debug)]
struct Wire {
    settings: BusSettings,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    async fn with(on_pty: bool, meters: &[Meter]) -> Self {
        let mut meters = meters.to_vec();
        let (port, task) = if on_pty {
            let (master, name, kept) = pty();
            let task = tokio::spawn(async move {
                let _kept = kept;
                serve(master, &mut meters).await;
            });
            (PortSettings::Serial(name), task)
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
            let task = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    serve(stream, &mut meters).await;
                }
            });
            (port, task)
        };
        let settings = BusSettings {
            kind: BusKind::Mbus,
            port,
            baud: 2_400,
            parity: Parity::Even,
            answer_within: Some(Duration::from_millis(150)),
            pause_after_connect: Duration::ZERO,
        };
        Self { settings, task }
    }

    fn bus(&self) -> MbusBus {
        MbusBus::open(&self.settings, Arc::new(Profiles::embedded()))
    }

    /// What the pseudo-terminal was set to, as another program sees it.
    fn speed(&self) -> u32 {
        let PortSettings::Serial(name) = &self.settings.port else { unreachable!() };
        let port = SerialPort::open(name, |settings: Settings| Ok(settings)).unwrap();
        port.get_configuration().unwrap().get_baud_rate().unwrap()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, meters: &mut [Meter]) {
    let mut heard = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        heard.push(byte[0]);
        let Ok(frame) = Frame::read(&heard) else { continue };
        let request = Request::read(&frame).unwrap();
        let answers: Vec<u8> = meters.iter_mut().flat_map(|it| it.answer(&request)).collect();
        heard.clear();
        if stream.write_all(&answers).await.is_err() {
            return;
        }
    }
}

/// Sets the address of the first of `meters`, over both kinds of wire; tells what came of it.
async fn set_address(meters: &[Meter], address: &str, new: u8) -> Vec<String> {
    let mut told = Vec::new();
    for on_pty in [false, true] {
        let wire = Wire::with(on_pty, meters).await;
        let address = match address.parse::<u8>() {
            Ok(number) => MeterAddress::Primary(number),
            Err(_) => MeterAddress::Secondary(address.parse().unwrap()),
        };
        told.push(match wire.bus().set_address(address, new, &Noon).await {
            Ok(readout) => format!("{} at {}", readout.identity.serial, readout.telegrams[0][5]),
            Err(error) => error.to_string(),
        });
    }
    told.dedup();
    told
}

#[tokio::test]
async fn an_address_is_set_and_read_back() {
    let obeys = [meter(0x1111_1111, 0, Mind::Obeys), meter(0x2222_2222, 4, Mind::Obeys)];
    assert_eq!(set_address(&obeys, "0", 12).await, ["11111111 at 12"]);
    assert_eq!(set_address(&obeys, "11111111", 250).await, ["11111111 at 250"]);
    assert_eq!(
        set_address(&obeys, "0", 4).await,
        ["nothing was changed, because address 4 is taken by meter 22222222 KAM; two meters \
             with one address disturb each other"]
    );
    assert_eq!(set_address(&obeys, "22222222", 4).await, ["the meter has address 4 already"]);
    for wrong in [0, 251, 253, 255] {
        let told = set_address(&obeys, "0", wrong).await;
        assert!(told[0].contains("is no address for a meter"), "{told:?}");
    }
}

#[tokio::test]
async fn a_meter_that_does_not_take_an_address_is_told_as_such() {
    let set = async |mind| set_address(&[meter(0x1111_1111, 1, mind)], "1", 7).await;
    let told = set(Mind::Locked).await;
    assert!(told[0].starts_with("the meter did not take it and is as it was"), "{told:?}");
    let told = set(Mind::Forgets).await;
    assert_eq!(
        told,
        ["the meter acknowledged, but reads back as before: the address is the old one"]
    );
    let told = set(Mind::FallsSilent).await;
    assert!(told[0].contains("answers neither at 7 nor as before"), "{told:?}");

    // Two meters answer at the new one, so nobody is given it.
    let two = [1, 7, 7].map(|at| meter(0x1111_1111 * u32::from(at), at, Mind::Obeys));
    let told = set_address(&two, "1", 7).await;
    assert!(told.iter().all(|it| it.contains("address 7 is taken")), "{told:?}");
    // So is it if the one there does not acknowledge a reset.
    let two = [meter(0x1111_1111, 1, Mind::Obeys), meter(0x7777_7777, 7, Mind::NoReset)];
    let told = set_address(&two, "1", 7).await;
    assert!(told.iter().all(|it| it.contains("address 7 is taken")), "{told:?}");
    let told = set_address(&[], "1", 7).await;
    assert_eq!(told, ["nothing was changed, because the meter could not be read first"]);
}

/// It was selected too, and would have heard its new address.
#[tokio::test]
async fn a_meter_that_only_listens_is_given_no_address() {
    let two = [meter(0x1111_2222, 9, Mind::Mute), meter(0x1111_1111, 0, Mind::Obeys)];
    assert_eq!(set_address(&two, "1111FFFF", 12).await, ["11111111 at 12"]);
}

#[tokio::test]
async fn a_meter_that_changed_its_speed_without_a_word_is_followed() {
    let wire = Wire::with(true, &[meter(0x1111_1111, 1, Mind::GoesOver)]).await;
    let set = wire.bus().set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Ok(SpeedSet::ReadBack(_))), "{set:?}");
    assert_eq!(wire.speed(), 9_600);

    let wire = Wire::with(false, &[meter(0x1111_1111, 1, Mind::GoesOver)]).await;
    let set = wire.bus().set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Err(SetError::Lost(_))), "{set:?}");
}

#[tokio::test]
async fn a_meter_is_followed_to_another_speed_and_back() {
    let obeys = meter(0x1111_1111, 1, Mind::Obeys);
    let wire = Wire::with(true, std::slice::from_ref(&obeys)).await;
    let set = wire.bus().set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Ok(SpeedSet::ReadBack(_))), "{set:?}");
    assert_eq!(wire.speed(), 9_600);

    // The speed of a converter's wire is not ours to change.
    let wire = Wire::with(false, &[obeys]).await;
    let mut bus = wire.bus();
    let set = bus.set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Ok(SpeedSet::Acknowledged)), "{set:?}");

    let wire = Wire::with(true, &[meter(0x1111_1111, 1, Mind::FallsSilent)]).await;
    let set = wire.bus().set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Err(SetError::Lost(_))), "{set:?}");
    assert_eq!(wire.speed(), 2_400, "back at the old one");

    let wire = Wire::with(true, &[meter(0x1111_1111, 1, Mind::Locked)]).await;
    let set = wire.bus().set_baud(1, Baud::B9600, &Noon).await;
    assert!(matches!(set, Err(SetError::NotTaken)), "{set:?}");
    assert_eq!(wire.speed(), 2_400);
}

#[tokio::test]
async fn a_clock_is_set_and_read_back() {
    let date = Date::new(2026, 11, 22).unwrap();
    let time = Time::new(14, 30, None).unwrap();
    for (mind, expected) in [
        (Mind::Obeys, "2026-11-22 14:30"),
        (Mind::Forgets, "the meter acknowledged, but reads back as 2026-01-01 00:00"),
        (
            Mind::Locked,
            "the meter did not take it and is as it was: some meters are locked, and are set at \
             their buttons or with their maker's program",
        ),
    ] {
        let wire = Wire::with(false, &[meter(0x1111_1111, 1, mind)]).await;
        let set = wire.bus().set_clock(MeterAddress::Primary(1), date, time, &Noon).await;
        let told = match set {
            Ok((date, time)) => format!("{date} {time}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_tap_hears_frames_and_noise_and_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
    let others = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0x3F, 0x10, 0x5B]).await.unwrap();
        stream.write_all(&[0x05, 0x60, 0x16, 0xE5, 0x68, 0x07]).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        said
    });
    let settings = BusSettings {
        kind: BusKind::Mbus,
        port,
        baud: 2_400,
        parity: Parity::Even,
        answer_within: None,
        pause_after_connect: Duration::ZERO,
    };
    let mut tap = Tap::new(&settings);
    let mut heard = Vec::new();
    while heard.len() < 4 {
        tap.listen(&mut |it| {
            heard.push(match it {
                Overheard::Frame(_, bytes) => (true, bytes.to_vec()),
                Overheard::Noise(bytes) => (false, bytes.to_vec()),
            });
        })
        .await
        .unwrap();
    }
    assert_eq!(
        heard,
        [
            (false, vec![0x3F]),
            (true, vec![0x10, 0x5B, 0x05, 0x60, 0x16]),
            (true, vec![0xE5]),
            (false, vec![0x68, 0x07]),
        ]
    );
    drop(tap);
    assert_eq!(others.await.unwrap(), [0; 0], "not a byte was sent");
}
