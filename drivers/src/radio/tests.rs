//! Every receiver at a pseudo-terminal, played by a thread that speaks as its data sheet says.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Heard, Sender};
use std::time::Duration;

use ::mbus::crypto::Key;
use ::mbus::radio::{Framing, RadioLink, Security, Transmission};
use ::mbus::{
    ByteOrder, Control, Data, Encoding, Entry, Header, Id, Manufacturer, Medium, Quantity,
    Secondary, Status, VibBuf, Writer,
};
use metering::{Clock, MeterId, Moment, Origin, Trust};
use tokio::time::timeout;

use super::codec::{Codec, Said};
use super::ear::Source;
use super::receiver::ReceiverPatience;
use super::*;
use crate::ear::{Heard as Told, Plaint};
use crate::{KeyName, Keyring, Meter, MeterAddress, MeterKeys, Profiles, ReadError};

/// Short, so that a test needs no seconds; long beside what a pseudo-terminal takes.
const QUICK: ReceiverPatience = ReceiverPatience {
    reply: Duration::from_millis(150),
    within: Duration::from_millis(100),
    quiet: Duration::from_millis(300),
    unasked: Duration::from_millis(300),
    reopen: Duration::from_millis(20),
};

const KEY: Key = Key::new([0x5A; 16]);

fn sender(id: u32) -> Secondary {
    Secondary {
        id: Id(id),
        manufacturer: Manufacturer::of("KAM").unwrap(),
        version: 0x1B,
        medium: Medium::new(0x16),
    }
}

/// 12 345 litres of cold water, from the meter `id`.
fn frame(id: u32, framing: Framing, key: Option<&Key>) -> Vec<u8> {
    let link = RadioLink { framing, control: Control(0x44), address: sender(id) };
    let security = key.map_or(Security::Plain, Security::Mode5);
    let transmission = Transmission { link, ell: None, link_key: None, security };
    let mut room = [0; 300];
    let mut w = Writer::new(&mut room);
    let header = Header {
        id: None,
        manufacturer: None,
        version: None,
        medium: None,
        ..Header::long(sender(id), 7, Status::OK)
    };
    let written = transmission.write(0x7A, Some(&header), &mut w, |w| {
        let vib = VibBuf::of(Quantity::Volume, "m3", -3).unwrap();
        let data = Data::bcd(Encoding::Bcd8, 12_345).unwrap();
        Entry::new(vib, data).write(w, ByteOrder::LsbFirst)
    });
    written.unwrap();
    w.written().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    digits.concat()
}

/// What the IMST says of a frame: without its length byte, with RSSI and checksum.
fn by_im871a(frame: &[u8]) -> Vec<u8> {
    let body = &frame[1..];
    let mut said = vec![0xC2, 0x03, u8::try_from(body.len()).unwrap()];
    said.extend_from_slice(body);
    said.push(100);
    let crc = im871a::crc(&said);
    said.insert(0, 0xA5);
    said.extend(crc.to_le_bytes());
    said
}

/// What the Amber says of a frame.
fn by_amb8465(frame: &[u8]) -> Vec<u8> {
    let mut said = vec![0xFF, 0x03, frame[0] + 1];
    said.extend_from_slice(&frame[1..]);
    said.push(0xE0);
    said.push(said.iter().fold(0, |sum, byte| sum ^ byte));
    said
}

/// What `stream`, in pieces of any size, is taken for.
fn said(kind: ReceiverKind, stream: &[u8], size: usize) -> Vec<Said> {
    let mut codec = Codec::new(kind);
    let mut told: Vec<Said> = Vec::new();
    let mut each = |said| {
        if said != Said::Noise || told.last() != Some(&Said::Noise) {
            told.push(said);
        }
    };
    for piece in stream.chunks(size) {
        codec.push(piece, &mut each);
    }
    codec.silence(&mut each);
    told
}

fn heard(bytes: &[u8], rssi_dbm: Option<i16>) -> Said {
    Said::Frame(Frame { bytes: bytes.to_vec(), rssi_dbm })
}

#[test]
fn each_receiver_tells_the_same_frame_in_its_way() {
    let (bare, a, b) = (
        frame(0x6700_1122, Framing::Bare, None),
        frame(0x6700_1122, Framing::A, None),
        frame(0x6700_1122, Framing::B, None),
    );
    let cul = |prefix: &str, frame: &[u8]| format!("{prefix}{}80E0\r\n", hex(frame)).into_bytes();
    let line = |text: String| format!("{text}\r\n").into_bytes();
    for size in [1, 7, 1_000] {
        let check = |kind, stream: &[u8], expected: Said| {
            assert_eq!(said(kind, stream, size), [expected], "{kind:?} in pieces of {size}");
        };
        check(ReceiverKind::Im871a, &by_im871a(&bare), heard(&bare, Some(-73)));
        check(ReceiverKind::Amb8465, &by_amb8465(&bare), heard(&bare, Some(-90)));
        check(ReceiverKind::Cul, &cul("b", &a), heard(&a, Some(-90)));
        check(ReceiverKind::Cul, &cul("bY", &b), heard(&b, Some(-90)));
        let rtl = format!("T1;1;1;2026-01-31 12:00:00.000;97;148;67001122;0x{}", hex(&bare));
        check(
            ReceiverKind::Lines,
            &line(rtl.to_lowercase().replace("t1", "T1")),
            heard(&bare, None),
        );
        let elvaco = format!("67001122; KAM;1B;16;00; -83; T;{};", hex(&bare));
        check(ReceiverKind::Lines, &line(elvaco), heard(&bare, Some(-83)));
        check(ReceiverKind::Lines, &line(format!("telegram=|{}|+3", hex(&a))), heard(&a, None));
    }
    let wrong = format!("T1;0;1;2026-01-31 12:00:00.000;97;148;67001122;0x{}", hex(&bare));
    assert_eq!(said(ReceiverKind::Lines, &line(wrong), 99), [Said::Noise]);
}

/// Messages of receivers on a broker.
#[track_caller]
fn check_message(payload: &str, expected: &[(&[u8], Option<i16>)]) {
    let frames = topics::frames_of(payload.as_bytes()).unwrap_or_default();
    let frames: Vec<_> = frames.iter().map(|it| (it.bytes.as_slice(), it.rssi_dbm)).collect();
    assert_eq!(frames, expected, "{payload}");
}

#[test]
fn a_message_is_lines_or_an_object_with_a_frame_in_it() {
    let (bare, a) = (frame(0x6700_1122, Framing::Bare, None), frame(0x6700_1122, Framing::A, None));
    let esphome = format!(
        "{{\"address\": \"67001122\", \"mode\": \"T\", \"rssi\": -73, \"frame\": \"{}\"}}",
        hex(&bare)
    );
    check_message(&esphome, &[(&bare, Some(-73))]);
    check_message(&format!("{{\"data\":\"{}\"}}", hex(&bare).to_lowercase()), &[(&bare, None)]);
    let csv = format!("T1;1;1;2026-01-31 12:00:00.00Z;-73;;;0x{}", hex(&bare));
    check_message(&csv, &[(&bare, Some(-73))]);
    check_message(&format!("b{}80E0", hex(&a)), &[(&a, Some(-90))]);
    check_message(&format!("bY{}80E0\n", hex(&bare)), &[(&bare, Some(-90))]);
    check_message(&hex(&a), &[(&a, None)]);
    check_message(&format!("{}\r\n{}\n", hex(&a), hex(&bare)), &[(&a, None), (&bare, None)]);
    for nothing in [
        "",
        "online",
        "{\"id\":\"76406477\",\"total_m3\":82.187,\"rssi_dbm\":-115}",
        "{\"frame\":null}",
        "[\"1F44\"]",
        "b1F44",
    ] {
        check_message(nothing, &[]);
    }
    assert_eq!(topics::frames_of(&[0xFF, 0x44]), None);
    let many = format!("{}\n", hex(&bare)).repeat(70);
    assert_eq!(topics::frames_of(many.as_bytes()).unwrap().len(), 64);
}

#[test]
fn frames_are_found_again_behind_noise_and_halves() {
    let bare = frame(0x6700_1122, Framing::Bare, None);
    let cases: [(ReceiverKind, Vec<u8>); 2] =
        [(ReceiverKind::Im871a, by_im871a(&bare)), (ReceiverKind::Amb8465, by_amb8465(&bare))];
    for (kind, whole) in cases {
        let half = whole.get(..whole.len() / 2).unwrap();
        let mut spoiled = whole.clone();
        *spoiled.get_mut(12).unwrap() ^= 1;
        let stream = [b"\x00\x17".as_slice(), half, &whole, &spoiled, &whole].concat();
        for size in [1, 5, 1_000] {
            let frames = said(kind, &stream, size);
            let frames = frames.iter().filter(|it| matches!(it, Said::Frame(_))).count();
            assert_eq!(frames, 2, "{kind:?} in pieces of {size}");
        }
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment {
            wall: "2026-01-31T12:00:00Z".parse().unwrap(),
            boottime: Duration::from_secs(1),
            boot_id: 1,
            trust: Trust::Synced,
        }
    }
}

fn meter(id: u32) -> Meter {
    let selection = ::mbus::Selection::of(sender(id));
    Meter {
        id: MeterId::from_uuid(uuid::Uuid::from_u128(id.into())),
        address: MeterAddress::Secondary(selection),
        origin: Origin::Live,
        ..Meter::stranger(MeterAddress::Port)
    }
}

/// What a receiver is played with: bytes of the gateway come out, bytes for it go in.
struct Stick {
    path: std::path::PathBuf,
    asked: Heard<Vec<u8>>,
    say: File,
    /// The last question and its answer.
    before: Option<(String, String)>,
    _slave: std::os::fd::OwnedFd,
}

impl Stick {
    fn new() -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut raw = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &raw).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        let say = File::from(pty.master.try_clone().unwrap());
        let mut hear = File::from(pty.master);
        let (tell, asked): (Sender<Vec<u8>>, _) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = hear.read(&mut buffer) {
                if tell.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { path, asked, say, before: None, _slave: pty.slave }
    }

    fn ear(&self, kind: ReceiverKind, meters: Vec<Meter>, keys: Keyring) -> RadioEar {
        let port = format!("serial://{}", self.path.display()).parse().unwrap();
        let receiver = Receiver::patient(port, kind, RadioMode::C, None, QUICK);
        RadioEar::at(
            Source::Receiver(Box::new(receiver)),
            meters,
            Arc::new(Profiles::default()),
            Arc::new(keys),
        )
    }

    /// Waits for `question` and answers with `answer`. Whoever is asked the same again meanwhile
    /// answers the same again.
    fn answers(&mut self, question: &str, answer: &str) {
        let mut asked = String::new();
        while !asked.ends_with(question) {
            let more = self.asked.recv_timeout(Duration::from_secs(10));
            asked += &hex(&more.unwrap_or_else(|_| panic!("{question} did not come: {asked}")));
            if let Some((question, answer)) = self.before.clone()
                && asked.ends_with(&question)
            {
                self.says(&unhex(&answer));
            }
        }
        self.says(&unhex(answer));
        self.before = Some((question.to_owned(), answer.to_owned()));
    }

    fn says(&mut self, bytes: &[u8]) {
        self.say.write_all(bytes).unwrap();
    }
}

fn unhex(text: &str) -> Vec<u8> {
    lines::bytes_of(&text.replace(' ', "")).unwrap()
}

async fn next(ear: &mut RadioEar) -> String {
    let heard = timeout(Duration::from_secs(10), ear.hear(&Noon)).await;
    match heard.unwrap_or_else(|_| panic!("nothing happened for ten seconds")) {
        Told::Meter { index, readout, .. } => {
            let values = readout.readings.iter();
            let values = values.map(|it| format!("{} {}", it.register, it.value.unwrap()));
            format!("{index}: {}", values.collect::<Vec<_>>().join(", "))
        }
        Told::Stranger(it) => {
            format!("stranger {} {:?} sealed {}", it.name, it.rssi_dbm, it.sealed)
        }
        Told::Noise => "noise".to_owned(),
        Told::Well => "well".to_owned(),
        Told::Trouble(Plaint { index, error }) => match error {
            ReadError::Port { cause, .. } => format!("down: {cause}"),
            error => format!("{index:?}: {error}"),
        },
    }
}

/// The steps by which an iM871A is set up for mode C.
fn set_up_im871a(stick: &mut Stick) {
    stick.answers("A58101002489", "A50102 00");
    stick.answers("A58103070003000618000199B2", "A50104 01 01");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_im871a_is_set_up_heard_and_set_up_anew_when_it_is_mute() {
    let mut stick = Stick::new();
    let mut keys = Keyring::new();
    let name: KeyName = "67001123KAM".parse().unwrap();
    keys.put(name.clone(), MeterKeys { encryption: KEY, authentication: None });
    let meters = vec![meter(0x6700_1122), meter(0x6700_1123), meter(0x6700_1124)];
    let mut ear = stick.ear(ReceiverKind::Im871a, meters, keys);
    let playing = tokio::task::spawn_blocking(move || {
        set_up_im871a(&mut stick);
        for (id, key) in [
            (0x6700_1122, None),
            (0x6700_1123, Some(&KEY)),
            (0x6700_1124, Some(&KEY)),
            (0x9999_0001, Some(&KEY)),
        ] {
            stick.says(&by_im871a(&frame(id, Framing::Bare, key)));
        }
        stick
    });
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    assert_eq!(next(&mut ear).await, "1: volume 12.345 m³");
    let locked = next(&mut ear).await;
    assert!(locked.starts_with("Some(2): meter 67001124") && locked.contains("no key"), "{locked}");
    assert_eq!(next(&mut ear).await, "stranger 99990001KAM1B16 Some(-73) sealed true");
    let mut stick = playing.await.unwrap();

    // It is asked whether it is there, and says nothing: it is set up anew, and said to be mute.
    let down = next(&mut ear).await;
    assert!(down.starts_with("down: the receiver does not answer"), "{down}");
    let playing = tokio::task::spawn_blocking(move || {
        set_up_im871a(&mut stick);
        stick.says(&by_im871a(&frame(0x6700_1122, Framing::Bare, None)));
        stick
    });
    assert_eq!(next(&mut ear).await, "well");
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    let mut stick = playing.await.unwrap();

    // One that answers is left as it is.
    let playing = tokio::task::spawn_blocking(move || {
        stick.answers("A58101002489", "A50102 00");
        stick.says(&by_im871a(&frame(0x6700_1122, Framing::Bare, None)));
        stick
    });
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    drop(playing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amber_is_written_to_only_where_its_settings_are_wrong() {
    let mut stick = Stick::new();
    let mut ear = stick.ear(ReceiverKind::Amb8465, vec![meter(0x6700_1122)], Keyring::new());
    let playing = tokio::task::spawn_blocking(move || {
        // Frames come in commands already; RSSI does not come yet.
        stick.answers("FF0A020501F3", "FF8A03050101 73");
        stick.answers("FF0A024501B3", "FF8A03450100 32");
        stick.answers("FF0903450101B0", "FF890100 77");
        stick.answers("FF0500FA", "FF850100 7B");
        stick.answers("FF04010EF4", "FF840100 7A");
        stick.says(&by_amb8465(&frame(0x6700_1122, Framing::Bare, None)));
        stick
    });
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    drop(playing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cul_is_told_what_to_hear() {
    let mut stick = Stick::new();
    let mut ear = stick.ear(ReceiverKind::Cul, vec![meter(0x6700_1122)], Keyring::new());
    let playing = tokio::task::spawn_blocking(move || {
        stick.answers(&hex(b"V\r\n"), &hex(b"V 1.67 nanoCUL868\r\n"));
        stick.answers(&hex(b"brc\r\n"), &hex(b"CMODE\r\n"));
        let line = format!("bY{}80E0\r\n", hex(&frame(0x6700_1122, Framing::B, None)));
        stick.says(line.as_bytes());
        stick
    });
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    drop(playing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_over_a_connection_that_ends_come_again_over_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let receiver = Receiver::patient(port, ReceiverKind::Lines, RadioMode::C, None, QUICK);
    let meters = vec![meter(0x6700_1122)];
    let mut ear = RadioEar::at(
        Source::Receiver(Box::new(receiver)),
        meters,
        Arc::new(Profiles::default()),
        Arc::new(Keyring::new()),
    );
    let playing = tokio::task::spawn_blocking(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let line = format!("{}\n", hex(&frame(0x6700_1122, Framing::A, None)));
            stream.write_all(line.as_bytes()).unwrap();
            // Read up to the other end's word that it has heard enough, or to its end.
            drop(stream.set_read_timeout(Some(Duration::from_millis(100))));
            drop(stream.read(&mut [0; 8]));
        }
        listener
    });
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    let down = next(&mut ear).await;
    assert!(down.starts_with("down: the connection was lost"), "{down}");
    assert_eq!(next(&mut ear).await, "well");
    assert_eq!(next(&mut ear).await, "0: volume 12.345 m³");
    drop(playing.await.unwrap());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        text in "([bY0-9A-F;x| \r\n-]{0,40}\n){0,9}",
        size in 1_usize..99,
    ) {
        for kind in ReceiverKind::ALL {
            let framed = [b"\xA5\xC2\x03".as_slice(), &bytes, b"\xFF\x03", &bytes].concat();
            for stream in [&bytes, &framed, text.as_bytes()] {
                said(kind, stream, size);
            }
        }
    }
}
