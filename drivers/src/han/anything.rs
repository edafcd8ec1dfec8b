//! What must hold of any bytes at all that come at a customer port, for a fuzzer to disprove.
//!
//! The same function is run by libFuzzer (`tests/fuzz`) with bytes of its own, and by `make test`
//! with the kept ones.

use std::time::Duration;

use chrono::DateTime;
use metering::{Moment, Origin, Trust};

use super::{Framer, Heard, Key, Keys, Rules, crc, decode, p1};

/// Takes the bytes behind the first for what comes at a port, for the information of a frame, for
/// what a notification tells, or for the lines of a P1 telegram, as the first one says.
///
/// - They are read or refused; neither panics, and a refusal names a place in them.
/// - What is cut into messages is the same in whatever pieces it comes; no octet is given away
///   twice, none but flags and ends of lines gets lost, and nothing waits behind a silence.
/// - A message has the right checksum, and so one changed octet leaves no HDLC frame another.
/// - What is read of a telegram stands in it.
///
/// # Panics
///
/// If one of these does not hold.
pub fn han(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let addresses = ADDRESSES.get(usize::from(kind >> 4) % ADDRESSES.len());
    let addresses = addresses.copied().unwrap_or_default();
    match kind % 4 {
        0 => drop(stream(bytes)),
        1 => framed(addresses, bytes),
        2 => framed(addresses, &[NOTIFICATION, bytes].concat()),
        _ => text(bytes),
    }
}

/// Of an Aidon, a Norwegian Kamstrup, a Danish one and a Kaifa: they tell whose list it is.
const ADDRESSES: [&[u8]; 4] =
    [&[0x41, 0x08, 0x83], &[0x2B, 0x21], &[0x41, 0x03], &[0x01, 0x02, 0x01]];

/// Up to the time in a notification.
const NOTIFICATION: &[u8] = &[0xE6, 0xE7, 0x00, 0x0F, 0x40, 0, 0, 0];

fn framed(addresses: &[u8], information: &[u8]) {
    let Some(frame) = frame(addresses, information) else { return };
    let cut = stream(&frame);
    assert_eq!(cut, [frame.get(..frame.len() - 1).unwrap_or_default()], "it is one message");
    let choice = information.last().copied().unwrap_or_default();
    let mut changed = frame.clone();
    let at = usize::from(choice) % frame.len();
    if let Some(octet) = changed.get_mut(at) {
        *octet ^= choice.max(1);
    }
    assert!(decode(&changed, &Rules::default()).is_err(), "octet {at} may be anything");
}

fn text(lines: &[u8]) {
    let telegram = [b"/ABC5\r\n\r\n".as_slice(), lines, b"\r\n!"].concat();
    let sum = crc::arc(&telegram);
    let telegram = [telegram, format!("{sum:04X}\r\n").into_bytes()].concat();
    stream(&telegram);
}

/// The messages in what comes, each of which is read or refused.
fn stream(bytes: &[u8]) -> Vec<Vec<u8>> {
    let whole = cut(bytes, |_| bytes.len().max(1));
    if bytes.len() < p1::LONGEST {
        let pieces = cut(bytes, |first| usize::from(first % 16) + 1);
        assert_eq!(pieces, whole, "pieces make other messages");
    }
    for message in &whole {
        read(message);
    }
    read(bytes);
    whole
}

/// Cuts what comes in pieces, as long as their first octet says.
fn cut(bytes: &[u8], length: impl Fn(u8) -> usize) -> Vec<Vec<u8>> {
    let mut framer = Framer::new();
    let mut messages = Vec::new();
    let mut at = 0;
    let mut each = |heard: Heard<'_>| {
        let these = match heard {
            Heard::Message(these) => {
                messages.push(these.to_vec());
                these
            }
            Heard::Noise { bytes, .. } => bytes,
        };
        let rest = bytes.get(at..).unwrap_or_default();
        let idle = rest.iter().take_while(|octet| b"\r\n~".contains(octet)).count();
        // What is given away may begin with such an octet itself.
        let skipped = (0..=idle)
            .find(|skipped| rest.get(*skipped..).is_some_and(|rest| rest.starts_with(these)));
        assert!(skipped.is_some(), "{these:02X?} is not what comes at {at}");
        at += skipped.unwrap_or_default() + these.len();
    };
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, behind) = rest.split_at(length(*first).clamp(1, rest.len()));
        framer.push(piece, &mut each);
        rest = behind;
    }
    framer.silence(&mut each);
    assert!(!framer.is_waiting(), "nothing more comes");
    let lost = bytes.get(at..).unwrap_or_default();
    assert!(lost.iter().all(|octet| b"\r\n~".contains(octet)), "{lost:02X?} is lost");
    messages
}

fn read(message: &[u8]) {
    let keys = Keys { encryption: Key::new([7; 16]), authentication: None };
    for rules in [
        Rules::default(),
        Rules { keys: Some(keys), kamstrup_energy: Some(0) },
        Rules {
            keys: Some(Keys { authentication: Some(Key::new([9; 16])), ..keys }),
            kamstrup_energy: None,
        },
    ] {
        match decode(message, &rules) {
            Err(flaw) => {
                assert!(flaw.at <= message.len(), "{flaw} is behind the message");
                assert!(!flaw.to_string().is_empty(), "a refusal has words");
            }
            Ok(telegram) => {
                let places = telegram.values.iter().map(|it| it.byte);
                for place in places.chain(telegram.notes.iter().map(|it| it.byte)) {
                    assert!(place < message.len(), "{place} is behind the message");
                }
                let readings = telegram.readings(NOON, Origin::Live);
                assert!(readings.len() <= telegram.values.len(), "a value is one reading at most");
            }
        }
    }
}

/// The same moment in each run.
const NOON: Moment = Moment {
    wall: DateTime::from_timestamp_nanos(1_769_860_800_000_000_000),
    boottime: Duration::from_secs(1_000),
    boot_id: 1,
    trust: Trust::Synced,
};

/// A frame around `information`, both flags with it; `None` if it is longer than a frame may be.
fn frame(addresses: &[u8], information: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(addresses.len() + information.len() + 7).ok()?;
    let mut between = (length <= 0x07FF).then_some(0xA000 | length)?.to_be_bytes().to_vec();
    between.extend(addresses);
    between.push(0x13);
    between.extend(crc::x25(&between).to_le_bytes());
    between.extend(information);
    between.extend(crc::x25(&between).to_le_bytes());
    Some([&[0x7E], between.as_slice(), &[0x7E]].concat())
}

/// Cases to begin with, written by hand in the layouts of the makers.
pub fn han_cases() -> Vec<Vec<u8>> {
    let mut cases = Vec::new();
    let aidon: Vec<Vec<u8>> = (1..6).map(aidon).collect();
    let kamstrup = [b"6841".as_slice(), b"6851"].map(kamstrup);
    for (kind, bodies) in [(0x02, aidon.as_slice()), (0x12, &kamstrup), (0x22, &kamstrup)] {
        cases.extend(bodies.iter().map(|body| [[kind].as_slice(), body].concat()));
    }
    for places in 1..14 {
        cases.push([vec![0x32], kaifa(places)].concat());
    }
    for clock in CLOCKS {
        cases.push([[0x32].as_slice(), clock, &[0x02, 0x01, 0x06, 0, 0, 0, 7]].concat());
    }
    for lines in LINES {
        cases.push([b"\x03".as_slice(), lines.as_bytes()].concat());
    }
    // Sealed by nobody, with a tag and without, and a message in blocks.
    for control in [0x30, 0x20] {
        let sealed = [SEALED.as_slice(), &[0x1F, control], &[5; 30]].concat();
        cases.push([[0x21].as_slice(), &sealed].concat());
    }
    cases.push([[0x01, 0xE6, 0xE7, 0x00, 0xE0].as_slice(), &[0; 8]].concat());
    // Two that share a flag, between noise and an end of line.
    if let Some(one) = frame(&[0x01, 0x02, 0x01], &[NOTIFICATION, &kaifa(1)].concat()) {
        let half = one.get(..one.len() / 2).unwrap_or_default();
        let shared = one.get(..one.len() - 1).unwrap_or_default();
        cases
            .push([b"\x00\xFF\x00".as_slice(), half, shared, &one, b"\r\n/ABC5\r\n!\r\n"].concat());
        cases.push([b"\x00".as_slice(), half].concat());
    }
    cases
}

/// The head of a sealed message, up to its length.
const SEALED: [u8; 13] =
    [0xE6, 0xE7, 0x00, 0xDB, 0x08, 0x4B, 0x41, 0x4D, 0x45, 0x01, 0xBC, 0x61, 0x4E];

/// None, and the same moment with and without the tag of an octet string.
const CLOCKS: [&[u8]; 3] = [
    &[0x00],
    &[0x0C, 0x07, 0xE4, 1, 21, 2, 16, 0, 10, 0xFF, 0x80, 0, 0],
    &[0x09, 0x0C, 0x07, 0xE4, 1, 21, 2, 16, 0, 10, 0xFF, 0, 0, 0],
];

const LINES: [&str; 6] = [
    "0-0:1.0.0(210217184019W)\r\n1-0:1.8.0(00001605.055*kWh)\r\n1-0:1.7.0(0001.011*kW)",
    "0-0:96.1.0(4530303236303030303230313233343131)\r\n0-1:24.2.1(101209112500W)(12785.123*m3)",
    "1-3:0.2.8(50)\r\n0-0:96.14.0(0002)\r\n1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)",
    "1.8.0(1*Wh)\r\n1-0:32.7.0(236.5*V)\r\n1-0:31.7.0(001.5*A)\r\n1-0:14.7.0(50.0*Hz)",
    "1-0:1.8.0*255(000001.5*kWh)\r\n1-0:2.8.0()\r\n1-0:3.8.0(-1*kvarh)\r\n)",
    "0-0:1.0.0(210230996199S)\r\n1-0:1.8.0(99999999999999999999.9*kWh)\r\n0-0:96.13.0(\u{20}~)",
];

/// Structures of code, number, and scale with unit.
fn aidon(values: u8) -> Vec<u8> {
    let mut body = vec![0x00, 0x01, values + 1];
    body.extend([0x02, 0x02, 0x09, 0x06, 0, 0, 1, 0, 0, 255, 0x09, 0x0C]);
    body.extend([0x07, 0xE4, 1, 21, 2, 16, 0, 10, 0xFF, 0, 0, 0]);
    for number in 0..values {
        body.extend([0x02, 0x03, 0x09, 0x06, 1, 0, number + 1, 7 + number % 2, 0, 255]);
        body.extend([0x06, 0, 0, number, 24, 0x02, 0x02, 0x0F, number.wrapping_neg(), 0x16, 27]);
    }
    body
}

/// A version, then numbers by place.
fn kaifa(places: u8) -> Vec<u8> {
    let mut body = vec![0x00, 0x02, places];
    for place in 0..places {
        match place {
            0 if places > 1 => body.extend([&[0x09, 0x07], b"KFM_001".as_slice()].concat()),
            1 | 2 if places > 4 => body.extend([&[0x09, 0x04], b"6970".as_slice()].concat()),
            _ => body.extend([0x06, 0, 0, 0x23, place]),
        }
    }
    body
}

/// A version, the type that tells the scale, then codes with a number each.
fn kamstrup(kind: &[u8]) -> Vec<u8> {
    let mut body = vec![0x00, 0x02, 0x09, 0x0A, 0x0E];
    body.extend(b"Kamstrup_V0001");
    body.extend([0x09, 0x06, 1, 1, 96, 1, 1, 255, 0x0A, 0x04]);
    body.extend(kind);
    body.extend([0x09, 0x06, 1, 1, 1, 8, 0, 255, 0x06, 0, 0, 0, 100]);
    body.extend([0x09, 0x06, 1, 1, 31, 7, 0, 255, 0x06, 0, 0, 0, 237, 0, 0]);
    body
}
