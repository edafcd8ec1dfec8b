use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{Entry, Frame, Long, VibBuf, Writer};

/// Explains `frame`, having seen that each byte is in just one piece.
#[track_caller]
fn explained(frame: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    pieces(frame, &mut |piece| {
        assert_eq!(piece.at, at, "no gap and no overlap");
        assert!(!piece.bytes.is_empty());
        assert_eq!(frame.get(piece.range()), Some(piece.bytes));
        at = piece.range().end;
        let hex = hex(piece.bytes);
        writeln!(text, "{hex} {} {}: {}", piece.layer.code(), piece.meaning.code(), piece.meaning)
            .unwrap();
    });
    assert_eq!(at, frame.len(), "to the last byte");
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"))
}

#[track_caller]
fn check(frame: &[u8], expected: &[&str]) {
    assert_eq!(explained(frame).lines().collect::<Vec<_>>(), expected);
}

/// A long frame around `data`; its pieces behind the CI and before the checksum.
#[track_caller]
fn check_body(ci: u8, data: &[u8], expected: &[&str]) {
    let mut buffer = [0; Frame::MAX_LEN];
    let mut w = Writer::new(&mut buffer);
    let control = Control::RSP_UD;
    Frame::Long(Long { control, address: Primary(1), ci, data }).write(&mut w).unwrap();
    let text = explained(w.written());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.get(7..lines.len() - 2).unwrap(), expected);
}

#[test]
fn short_frames_and_acknowledges() {
    check(&[0xE5], &["E5 link ack: acknowledge: understood"]);
    check(
        &[0x10, 0x7B, 0xFD, 0x79, 0x16],
        &[
            "10 link start: start of a short frame",
            "7B link control: REQ_UD2, to the meter: your data, please, count bit (FCB) 1",
            "FD link address: address 253: whoever is selected",
            "79 link checksum: WRONG checksum: should be 78",
            "16 link stop: end of the frame",
        ],
    );
}

#[test]
fn a_selection() {
    check(
        &[
            0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0x22, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
            0x04, 0xC2, 0x16,
        ],
        &[
            "68 link start: start of a long frame",
            "0B link length: length: 11 bytes from control to the last of the data",
            "0B link length_again: the length again",
            "68 link start_again: the start again",
            "53 link control: SND_UD, to the meter: take this",
            "FD link address: address 253: whoever is selected",
            "52 link ci: selection by secondary address",
            "22FFFFFF header id: meter number FFFFFF22 (F: any digit)",
            "FFFF header manufacturer: any maker",
            "FF header version: any version",
            "04 header medium: medium: heat",
            "C2 link checksum: checksum, right",
            "16 link stop: end of the frame",
        ],
    );
}

#[test]
fn a_long_header() {
    check_body(
        ci::RECORDS,
        &[0x22, 0x11, 0x00, 0x67, 0x2D, 0x2C, 0x08, 0x04, 0x07, 0x0C, 0x00, 0x00, 0x2F, 0x2F],
        &[
            "22110067 header id: meter number 67001122",
            "2D2C header manufacturer: maker KAM",
            "08 header version: version 8 of the maker's type",
            "04 header medium: medium: heat",
            "07 header access_number: access number 7: counts the answers",
            "0C header status: status: power low, permanent error",
            "0000 header configuration: configuration: not encrypted",
            "2F2F application filler: filler",
        ],
    );
    check_body(
        ci::RECORDS,
        &[0x22, 0x11],
        &["2211 unread unknown: not read: no meaning known here"],
    );
}

#[test]
fn the_fixed_structure() {
    check_body(
        ci::FIXED,
        &[0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 1, 0, 0, 0, 0x35, 1, 0, 0],
        &[
            "78563412 header id: meter number 12345678",
            "0A header access_number: access number 10: counts the answers",
            "00 header status: status: nothing to report",
            "E9 header fixed_unit: counter 1: volume, steps of 0.001 m3; medium in the top 2 bits",
            "7E header fixed_unit: counter 2: volume, steps of 0.001 m3; medium in the top 2 bits",
            "01000000 record data: = 0.001 m3",
            "35010000 record data: = 0.135 m3",
        ],
    );
    let flaw = "byte 9: the fixed structure has 2 bytes and should have 16";
    check_body(ci::FIXED, &[1, 2], &[&format!("0102 unread broken: NOT READ: {flaw}")]);
}

#[test]
fn records() {
    check_body(
        ci::RECORDS_WITHOUT_HEADER,
        &[
            0xCC, 0x11, 0x94, 0x3B, 0x78, 0x56, 0x34, 0x12, // BCD, storage, tariff, VIFE
            0x02, 0xFD, 0x17, 0x01, 0x80, // flags
            0x01, 0xFC, 0x03, b'H', b'R', b'%', 0x74, 0x20, // text before the VIFE
            0x01, 0xFC, 0x74, 0x03, b'H', b'R', b'%', 0x20, // and behind it
            0x0D, 0xFD, 0x11, 0x02, 0x07, b'a', // text, with a control character
            0x04, 0x6D, 0x1A, 0x0E, 0xCD, 0x13, // a date
            0x01, 0xFB, 0xFC, 0x81, 0x3B, 0x80, // a modifier of two bytes, and no value
            0x1F, 0xAA, 0xBB,
        ],
        &[
            "CC record dif: 8 decimal digits, current value, storage +1; a DIFE follows",
            "11 record dife: storage +2, tariff +1",
            "94 record vif: volume, steps of 0.01 m3; a VIFE follows",
            "3B record vife: positive only",
            "78563412 record data: = 123456.78 m3",
            "02 record dif: 16-bit integer, current value",
            "FD record vif_table: the code is of table FD",
            "17 record vif: error flags",
            "0180 record data: = 32769: bit 0, 15",
            "01 record dif: 8-bit integer, current value",
            "FC record vif: quantity told by its unit, in plain text; a VIFE follows",
            "03 record unit_length: a unit in plain text, 3 characters",
            "485225 record unit_text: unit \"%RH\", last character first",
            "74 record vife: times 10^-2",
            "20 record data: = 0.32 %RH",
            "01 record dif: 8-bit integer, current value",
            "FC record vif: quantity told by its unit, in plain text; a VIFE follows",
            "74 record vife: times 10^-2",
            "03 record unit_length: a unit in plain text, 3 characters",
            "485225 record unit_text: unit \"%RH\", last character first",
            "20 record data: = 0.32 %RH",
            "0D record dif: variable length, current value",
            "FD record vif_table: the code is of table FD",
            "11 record vif: customer",
            "02 record lvar: text of 2 characters, last one first",
            "0761 record data: = \"a·\"",
            "04 record dif: 32-bit integer, current value",
            "6D record vif: date time",
            "1A0ECD13 record data: = 2014-03-13 14:26",
            "01 record dif: 8-bit integer, current value",
            "FB record vif_table: the code is of table FB",
            "FC record vif: maximum power cumulated, steps of 10 W; a VIFE follows",
            "81 record vife: record error too many difes",
            "3B record vife: positive only",
            "80 record data: no value: the meter reported an error instead of a value",
            "1F application manufacturer_mark: another telegram follows; the rest is the maker's own",
            "AABB application manufacturer_data: the maker's own",
        ],
    );
}

#[test]
fn what_breaks_off_says_where() {
    check_body(
        ci::RECORDS_WITHOUT_HEADER,
        &[0x01, 0x13, 0x05, 0x04, 0x13, 0x01],
        &[
            "01 record dif: 8-bit integer, current value",
            "13 record vif: volume, steps of 0.001 m3",
            "05 record data: = 0.005 m3",
            "04 record dif: 32-bit integer, current value",
            "13 record vif: volume, steps of 0.001 m3",
            "01 unread broken: NOT READ: byte 13: the telegram ends inside the data",
        ],
    );
    check(
        &[0x68, 0x04, 0x05, 0x68, 0x08],
        &[
            "68 link start: start of a long frame",
            "04 link length: length: 4 bytes from control to the last of the data",
            "05 link length_again: WRONG: should be the length again",
            "68 link start_again: the start again",
            "08 unread no_frame: NOT READ: no frame begins like this",
        ],
    );
    check(&[0x42, 0x43], &["4243 unread no_frame: NOT READ: no frame begins like this"]);
    assert!(
        explained(&[0xE5, 0x00])
            .ends_with("00 unread surplus: WRONG: behind the end of the frame\n")
    );
}

#[test]
fn encrypted_records_and_those_that_only_say_so() {
    let header = [0x07, 0x00, 0x10, 0x05];
    let sealed = [&header[..], &[0x11; 16]].concat();
    check_body(
        ci::RECORDS_SHORT_HEADER,
        &sealed,
        &[
            "07 header access_number: access number 7: counts the answers",
            "00 header status: status: nothing to report",
            "1005 header configuration: configuration: mode 5, 1 blocks of 16 encrypted",
            "11111111111111111111111111111111 unread encrypted: encrypted in mode 5",
        ],
    );
    let plain = [&header[..], &[0x2F, 0x2F, 0x01, 0x13, 0x05]].concat();
    let mut buffer = [0; Frame::MAX_LEN];
    let mut w = Writer::new(&mut buffer);
    let ci = ci::RECORDS_SHORT_HEADER;
    let long = Long { control: Control::RSP_UD, address: Primary(1), ci, data: &plain };
    Frame::Long(long).write(&mut w).unwrap();
    assert!(explained(w.written()).contains("= 0.005 m3"));
}

proptest! {
    #[test]
    fn each_byte_of_anything_is_in_one_piece(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        explained(&bytes);
    }

    #[test]
    fn each_byte_of_a_frame_is_in_one_piece(
        control in any::<u8>(),
        ci in prop_oneof![
            prop::sample::select(&[0x50, 0x51, 0x52, 0x70, 0x71, 0x72, 0x73, 0x76, 0x77, 0x78, 0x7A][..]),
            any::<u8>(),
        ],
        data in prop::collection::vec(any::<u8>(), 0..252),
        cut in 0_usize..300,
    ) {
        let mut buffer = [0; Frame::MAX_LEN];
        let mut w = Writer::new(&mut buffer);
        let long = Long { control: Control(control), address: Primary(1), ci, data: &data };
        Frame::Long(long).write(&mut w).unwrap();
        let frame = w.written();
        explained(frame);
        explained(frame.get(..cut).unwrap_or_default());
    }

    /// What the reader reads is what is explained: as many records, with the same bytes of data.
    #[test]
    fn each_record_is_explained(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut buffer = [0; Frame::MAX_LEN];
        let mut w = Writer::new(&mut buffer);
        let ci = ci::RECORDS_WITHOUT_HEADER;
        Frame::Long(Long { control: Control::RSP_UD, address: Primary(1), ci, data: &bytes })
            .write(&mut w).unwrap();
        let frame = w.written();
        let Frame::Long(long) = Frame::read(frame).unwrap() else { unreachable!() };
        let records = long.telegram().unwrap().records().unwrap();
        let read = records.filter_map(Result::ok).filter(|record| !record.data().is_empty());
        let mut explained: Vec<Vec<u8>> = Vec::new();
        pieces(frame, &mut |piece| match piece.meaning {
            Meaning::Data(record) if record.dib.encoding == crate::Encoding::Variable => {
                explained.last_mut().unwrap().extend(piece.bytes);
            }
            Meaning::Lvar(_) | Meaning::Data(_) => explained.push(piece.bytes.to_vec()),
            _ => {}
        });
        let read: Vec<_> = read.map(|record| record.data().to_vec()).collect();
        prop_assert_eq!(explained.get(..read.len()).unwrap_or_default(), read);
    }
}

#[test]
fn a_written_record_is_explained_as_it_was_meant() {
    let vib = VibBuf::of(crate::Quantity::Power, "W", 3).unwrap();
    let data = crate::Data::bcd(crate::Encoding::Bcd4, 12).unwrap();
    let mut buffer = [0; 16];
    let mut w = Writer::new(&mut buffer);
    Entry::new(vib, data).stored(1).unwrap().write(&mut w, ByteOrder::LsbFirst).unwrap();
    check_body(
        ci::RECORDS_WITHOUT_HEADER,
        w.written(),
        &[
            "4A record dif: 4 decimal digits, current value, storage +1",
            "2E record vif: power, steps of 1000 W",
            "1200 record data: = 12000 W",
        ],
    );
}

/// Explains `frame` as a listener with `keys` has heard it, `before` having been heard first.
#[track_caller]
fn explained_when_heard(before: &[&[u8]], frame: &[u8], keys: &[crate::crypto::Key]) -> String {
    let mut table = [radio::Format::EMPTY; 4];
    let mut listener = radio::Listener::new(&mut table);
    let mut scratch = radio::Scratch::new();
    for frame in before {
        let _ = listener.hear(frame, keys, &mut scratch);
    }
    let heard = listener.hear(frame, keys, &mut scratch);
    let mut text = String::new();
    let mut at = 0;
    of_heard(frame, &heard, &mut |piece| {
        assert_eq!(piece.at, at, "no gap and no overlap");
        assert!(!piece.bytes.is_empty());
        at = piece.range().end;
        let hex = hex(piece.bytes);
        let more = if piece.continued { " …" } else { "" };
        writeln!(text, "{hex} {}: {}{more}", piece.layer.code(), piece.meaning).unwrap();
    });
    assert_eq!(at, frame.len(), "to the last byte");
    text
}

/// On a wire the same CI is the fixed structure.
#[test]
fn a_compact_frame_of_radio_is_called_one() {
    let address = crate::Secondary {
        id: Id(0x1234_5678),
        manufacturer: Manufacturer(0x2C2D),
        version: 1,
        medium: Medium::new(7),
    };
    let header = crate::Header::long(address, 7, Status::OK);
    let link = radio::RadioLink { framing: radio::Framing::Bare, control: Control(0x44), address };
    let security = radio::Security::Plain;
    let transmission = radio::Transmission { link, ell: None, link_key: None, security };
    let full = [0x04, 0x13, 0x39, 0x30, 0, 0];
    let records = Records::new(Reader::new(&full), ByteOrder::LsbFirst);
    let sent = |ci, body: &dyn Fn(&mut Writer<'_>) -> Result<(), crate::Full>| {
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        transmission.write(ci, Some(&header), &mut w, body).unwrap();
        w.written().to_vec()
    };
    let whole = sent(ci::RECORDS, &|w| w.bytes(&full));
    let compact = sent(ci::FIXED, &|w| radio::write_compact(&records, w));
    let text = explained_when_heard(&[&whole], &compact, &[]);
    let said = |line: &str| text.lines().any(|it| it == line);
    assert!(said("73 link: compact records behind the long header"), "{text}");
    assert!(said("39300000 record: volume = 12.345 m3"), "{text}");
}

proptest! {
    #[test]
    fn each_byte_of_what_is_heard_is_in_one_piece(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cis in prop::collection::vec(
            prop::sample::select(&[0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x72, 0x73, 0x79, 0x7A, 0x7B][..]),
            1..3,
        ),
        framing in prop::sample::select(
            &[radio::Framing::A, radio::Framing::B, radio::Framing::Bare][..]
        ),
        keys in prop::collection::vec(any::<[u8; 16]>(), 0..2),
    ) {
        let keys: Vec<_> = keys.into_iter().map(crate::crypto::Key::new).collect();
        explained_when_heard(&[], &bytes, &keys);

        let payload = [&cis, bytes.get(..bytes.len().min(230)).unwrap()].concat();
        let address = crate::Secondary {
            id: Id(0x1234_5678),
            manufacturer: Manufacturer(0x2C2D),
            version: 1,
            medium: Medium::new(7),
        };
        let link = radio::RadioLink { framing, control: Control(0x44), address };
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        link.write(&payload, &mut w).unwrap();
        explained_when_heard(&[], w.written(), &keys);
    }
}
