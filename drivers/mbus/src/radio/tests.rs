//! Frames as meters send them, through all layers, there and back.

use proptest::prelude::*;

use super::link::sent_first;
use super::{
    Ell, Format, Framing, Layer, Link, Listener, RadioLink, Scratch, Security, Session, State,
    Transmission, write_compact,
};
use crate::crypto::{Key, Purpose};
use crate::{
    ByteOrder, Content, Control, Full, Header, Primary, Reader, Records, Secondary, Status, Writer,
    ci, write_frame,
};

const KEY: Key = Key::new(*b"the meter's key.");
const OTHER: Key = Key::new(*b"another's key...");

/// 12.345 m3 and 12.3 m3 at the due date.
const RECORDS: &[u8] = &[0x04, 0x13, 0x39, 0x30, 0, 0, 0x42, 0x14, 0x7B, 0];
const TEXTS: &[&str] = &["volume: integer 12.345 m3", "volume storage 1: integer 1.23 m3"];

fn meter() -> Secondary {
    sent_first([0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x07])
}

fn other_meter() -> Secondary {
    sent_first([0xA5, 0x11, 0x21, 0x43, 0x65, 0x87, 0x02, 0x37])
}

fn plain() -> Transmission<'static> {
    let link = RadioLink { framing: Framing::A, control: Control(0x44), address: meter() };
    Transmission { link, ell: None, link_key: None, security: Security::Plain }
}

fn short_header() -> Header {
    let mut header = Header::long(meter(), 7, Status(0));
    header.id = None;
    header
}

fn long_header() -> Header {
    Header::long(meter(), 8, Status(0))
}

fn sent(
    transmission: &Transmission<'_>,
    ci: u8,
    header: Option<&Header>,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Vec<u8> {
    let mut buffer = [0; 300];
    let mut w = Writer::new(&mut buffer);
    transmission.write(ci, header, &mut w, body).unwrap();
    w.written().to_vec()
}

fn sent_records(transmission: &Transmission<'_>, header: Option<&Header>) -> Vec<u8> {
    let ci = match header {
        None => ci::RECORDS_WITHOUT_HEADER,
        Some(header) if header.address().is_some() => ci::RECORDS,
        Some(_) => ci::RECORDS_SHORT_HEADER,
    };
    sent(transmission, ci, header, |w| w.bytes(RECORDS))
}

/// What is heard of `frame`: the state of its encryption, and its records or its error.
#[track_caller]
fn check(
    frame: &[u8],
    keys: &[Key],
    state: Option<(Layer, State)>,
    expected: Result<&[&str], &str>,
) {
    let mut table = [Format::EMPTY; 1];
    let mut listener = Listener::new(&mut table);
    check_in(&mut listener, frame, keys, state, expected);
}

#[track_caller]
fn check_in(
    listener: &mut Listener<'_>,
    frame: &[u8],
    keys: &[Key],
    state: Option<(Layer, State)>,
    expected: Result<&[&str], &str>,
) {
    let mut scratch = Scratch::new();
    let heard = listener.hear(frame, keys, &mut scratch);
    let texts = heard.content.map_err(|error| error.to_string()).map(|content| match content {
        Content::Records(records) => {
            records.map(|record| record.map_or_else(|e| e.to_string(), |r| r.to_string())).collect()
        }
        other => vec![format!("{other:?}")],
    });
    let expected = expected
        .map(|texts| texts.iter().copied().map(String::from).collect::<Vec<_>>())
        .map_err(str::to_owned);
    assert_eq!(texts, expected);
    let encryption = heard.envelope.encryption;
    assert_eq!(encryption.map(|encryption| (encryption.layer, encryption.state)), state);
}

/// Open Metering System, volume 2, annex N: one gas meter with the security profiles A and B. Our
/// encoder and decoder could be wrong in the same way; these are not from our encoder.
#[test]
fn the_published_examples() {
    let texts =
        ["volume: bcd 28504.27 m3", "date_time: datetime 2008-05-31T23:50", "error_flags: bits 0"];
    let decrypted = Some((Layer::Tpl, State::Decrypted));
    let profile_a = bytes(
        "2E44931578563412 33033363 7A2A002025 5923C95AAA26D1B2E7493B C2AD
         013EC4A6F6D3529B520EDFF0EA6DEFC9 55B2 9D6D69EBF3 EC8A",
    );
    let key = "0102030405060708090A0B0C0D0E0F11".parse().unwrap();
    check(&profile_a, &[key], decrypted, Ok(&texts));
    let profile_b = bytes(
        "43449315785634123303 8C2075 900F002C25B30A000021924D4F2FB66E01 7A7500200710
         9058475F4BC91DF878B80A1B0F98B629 024AAC727942BFC549233C0140829B93",
    );
    let key = "000102030405060708090A0B0C0D0E0F".parse().unwrap();
    check(&profile_b, &[key], decrypted, Ok(&texts));
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn plain_ones_with_each_header() {
    check(&sent_records(&plain(), None), &[], None, Ok(TEXTS));
    check(&sent_records(&plain(), Some(&short_header())), &[], None, Ok(TEXTS));
    // A key that is not needed does no harm.
    let header = Header::long(other_meter(), 7, Status(0));
    check(&sent_records(&plain(), Some(&header)), &[KEY], None, Ok(TEXTS));
}

#[test]
fn a_short_header_is_completed() {
    let frame = sent_records(&plain(), Some(&short_header()));
    let mut scratch = Scratch::new();
    let heard = Listener::new(&mut []).hear(&frame, &[], &mut scratch);
    assert_eq!(heard.envelope.header.unwrap().address(), Some(meter()));
    assert!(matches!(heard.envelope.link, Some(Link::Radio(link)) if link.address == meter()));

    let ell =
        Some(Ell { control: 0x20, access_number: 9, meter: Some(other_meter()), session: None });
    let frame = sent_records(&Transmission { ell, ..plain() }, Some(&short_header()));
    let heard = Listener::new(&mut []).hear(&frame, &[], &mut scratch);
    assert_eq!(heard.envelope.meter, Some(other_meter()));
    assert_eq!(heard.envelope.header.unwrap().address(), Some(other_meter()));
}

#[test]
fn mode_5() {
    let security = Security::Mode5(&KEY);
    let transmission = Transmission { security, ..plain() };
    for header in [short_header(), Header::long(other_meter(), 7, Status(0))] {
        let frame = sent_records(&transmission, Some(&header));
        let tpl = |state| Some((Layer::Tpl, state));
        check(&frame, &[OTHER, KEY], tpl(State::Decrypted), Ok(TEXTS));
        let at = if header.id.is_none() { 15 } else { 23 };
        let missing = format!("byte {at}: the records are encrypted in mode 5 and there is no key");
        check(&frame, &[], tpl(State::KeyMissing), Err(&missing));
        let wrong = format!("byte {at}: no key that is known for this meter opens it");
        check(&frame, &[OTHER], tpl(State::KeyWrong), Err(&wrong));
    }
}

/// The wrong keys were searched for: each fits by chance, and would make something else of it.
#[test]
fn of_two_keys_that_fit_the_one_that_says_something_is_right() {
    let wrong = |number: u32| Key::new([number.to_le_bytes(); 4].concat().try_into().unwrap());
    let security = Security::Mode5(&KEY);
    let frame = sent_records(&Transmission { security, ..plain() }, Some(&short_header()));
    let decrypted = Some((Layer::Tpl, State::Decrypted));
    check(&frame, &[wrong(114_392), KEY], decrypted, Ok(TEXTS));
    let nonsense =
        Listener::new(&mut []).hear(&frame, &[wrong(114_392)], &mut Scratch::new()).envelope;
    assert_eq!(nonsense.encryption.map(|it| (it.layer, it.state)), decrypted);

    let session = Some(Session(0x2000_0001));
    let ell = Some(Ell { control: 0x20, access_number: 9, meter: None, session });
    let frame = sent_records(&Transmission { ell, link_key: Some(&KEY), ..plain() }, None);
    let decrypted = Some((Layer::Ell, State::Decrypted));
    check(&frame, &[wrong(33_830), KEY], decrypted, Ok(TEXTS));
    let nonsense =
        Listener::new(&mut []).hear(&frame, &[wrong(33_830)], &mut Scratch::new()).envelope;
    assert_eq!(nonsense.encryption.map(|it| (it.layer, it.state)), decrypted);
}

#[test]
fn mode_7() {
    let security = Security::Mode7 { key: &KEY, counter: 0x0102_0304 };
    let frame = sent_records(&Transmission { security, ..plain() }, Some(&short_header()));
    let tpl = |state| Some((Layer::Tpl, state));
    check(&frame, &[OTHER, KEY], tpl(State::Decrypted), Ok(TEXTS));
    let missing = "byte 33: the records are encrypted in mode 7 and there is no key";
    check(&frame, &[], tpl(State::KeyMissing), Err(missing));
    let wrong =
        "byte 33: no key that is known for this meter agrees with the message authentication code";
    check(&frame, &[OTHER], tpl(State::KeyWrong), Err(wrong));

    // One bit of the last block, which would decrypt to something else without a word.
    let mut scratch = Scratch::new();
    let mut bare = [0; 256];
    let (link, len) = RadioLink::read(&frame, &mut bare).unwrap();
    bare[len - 1] ^= 1;
    let mut buffer = [0; 300];
    let mut w = Writer::new(&mut buffer);
    RadioLink { framing: Framing::B, ..link }.write(&bare[10..len], &mut w).unwrap();
    check(w.written(), &[KEY], tpl(State::KeyWrong), Err(wrong));
    let heard = Listener::new(&mut []).hear(&frame, &[KEY], &mut scratch);
    assert_eq!(heard.envelope.mac_ok, Some(true));
    assert_eq!(heard.envelope.afl.unwrap().counter, Some(0x0102_0304));
}

/// Without a code the plain text decides. The wrong key was searched for.
#[test]
fn mode_7_without_a_code() {
    let counter = 0x0102_0304_u32;
    let mut records = [0x2F; 16];
    records[2..2 + RECORDS.len()].copy_from_slice(RECORDS);
    let own = KEY.derive(Purpose::Encryption, counter, [0x78, 0x56, 0x34, 0x12]);
    own.seal_chained([0; 16], &mut records);
    let afl = [&[0x07, 0x00, 0x28, 0x25][..], &counter.to_le_bytes()].concat();
    let header = [0x7A, 7, 0, 0x10, 0x07, 0x10];
    let body = [&afl[..], &header, &records].concat();
    let frame = sent(&plain(), 0x90, None, |w| w.bytes(&body));
    let decrypted = Some((Layer::Tpl, State::Decrypted));
    check(&frame, &[KEY], decrypted, Ok(TEXTS));
    let fits = |key: Key| {
        let heard = Listener::new(&mut []).hear(&frame, &[key], &mut Scratch::new()).envelope;
        heard.encryption.map(|it| (it.layer, it.state)) == decrypted
    };
    let wrong = |number: u32| Key::new([number.to_le_bytes(); 4].concat().try_into().unwrap());
    assert!(fits(wrong(46_936)));
    check(&frame, &[wrong(46_936), KEY], decrypted, Ok(TEXTS));

    // One of a kind that nobody here knows is not taken for none.
    let mut body = body;
    (body[0], body[2], body[3]) = (0x0B, 0x2C, 0x21);
    body.splice(8..8, [1, 2, 3, 4]);
    let frame = sent(&plain(), 0x90, None, |w| w.bytes(&body));
    let unsupported = Some((Layer::Tpl, State::Unsupported));
    let error = "byte 29: the message has an authentication code of a kind that is not supported";
    check(&frame, &[KEY], unsupported, Err(error));
}

#[test]
fn encryption_of_the_link() {
    let ell = |session| {
        let meter = None;
        Some(Ell { control: 0x20, access_number: 9, meter, session: Some(Session(session)) })
    };
    let sealed = Transmission { ell: ell(0x2000_0001), link_key: Some(&KEY), ..plain() };
    let frame = sent_records(&sealed, None);
    let at_link = |state| Some((Layer::Ell, state));
    check(&frame, &[OTHER, KEY], at_link(State::Decrypted), Ok(TEXTS));
    let missing = "byte 17: the payload of the link layer is encrypted and there is no key";
    check(&frame, &[], at_link(State::KeyMissing), Err(missing));
    let wrong = "byte 17: no key that is known for this meter opens it";
    check(&frame, &[OTHER], at_link(State::KeyWrong), Err(wrong));

    // A repeater has set its bits in the control byte, which the key does not work on.
    let mut bare = [0; 256];
    let (link, len) = RadioLink::read(&frame, &mut bare).unwrap();
    bare[11] ^= 0b0001_0010;
    let mut buffer = [0; 300];
    let mut w = Writer::new(&mut buffer);
    link.write(&bare[10..len], &mut w).unwrap();
    check(w.written(), &[KEY], at_link(State::Decrypted), Ok(TEXTS));

    let marked = sent_records(&Transmission { link_key: None, ..sealed }, None);
    check(&marked, &[], at_link(State::PlainMarked), Ok(TEXTS));
    check(&marked, &[KEY], at_link(State::KeyWrong), Err(wrong));

    let plain_link = Transmission { ell: ell(1), ..plain() };
    check(&sent_records(&plain_link, None), &[], None, Ok(TEXTS));
    let short = sent(&plain(), 0x8D, None, |w| w.bytes(&[0x20, 9, 1, 0, 0, 0x20, 0xFF]));
    check(&short, &[KEY], None, Err("byte 18: the telegram ends inside the header"));
    let reserved = Transmission { ell: ell(0x6000_0001), ..plain() };
    let error = "byte 17: the payload of the link layer is encrypted in mode 3, which is reserved";
    check(&sent_records(&reserved, None), &[KEY], at_link(State::Unsupported), Err(error));

    // Both layers at once: the inner one is told of.
    let both = Transmission { security: Security::Mode5(&OTHER), ..sealed };
    let frame = sent_records(&both, Some(&short_header()));
    check(&frame, &[KEY, OTHER], Some((Layer::Tpl, State::Decrypted)), Ok(TEXTS));
}

#[test]
fn plain_ones_that_are_called_encrypted() {
    let mut header = short_header();
    header.configuration = Some(crate::Configuration(0x0510));
    let log = sent(&plain(), ci::RECORDS_SHORT_HEADER, Some(&header), |w| {
        w.bytes(&[0x2F; 6])?;
        w.bytes(RECORDS)
    });
    check(&log, &[], Some((Layer::Tpl, State::PlainMarked)), Ok(TEXTS));
    // Whoever has a key wants it used.
    let wrong = "byte 15: no key that is known for this meter opens it";
    check(&log, &[KEY], Some((Layer::Tpl, State::KeyWrong)), Err(wrong));
    // Encrypted, and two fillers by chance: what follows does not end as records do.
    let sealed = sent(&plain(), ci::RECORDS_SHORT_HEADER, Some(&header), |w| {
        w.bytes(&[0x2F; 6])?;
        w.bytes(&RECORDS[..9])
    });
    let missing = "byte 15: the records are encrypted in mode 5 and there is no key";
    check(&sealed, &[], Some((Layer::Tpl, State::KeyMissing)), Err(missing));
}

#[test]
fn what_is_not_read_says_what_it_is() {
    let mode = |configuration| {
        let mut header = short_header();
        header.configuration = Some(crate::Configuration(configuration));
        sent_records(&plain(), Some(&header))
    };
    let unsupported = Some((Layer::Tpl, State::Unsupported));
    let gcm = "byte 15: the records are encrypted in mode 9 (AES-128 in GCM mode), which is not supported";
    check(&mode(0x0910), &[KEY], unsupported, Err(gcm));
    let long = "byte 15: 48 bytes are said to be encrypted and 10 are there";
    check(&mode(0x0530), &[KEY], unsupported, Err(long));
    let derivation = "byte 16: the records are encrypted in mode 7 with key derivation 0, which is not supported";
    check(&mode(0x0710), &[KEY], unsupported, Err(derivation));
    let vendor = sent(&plain(), 0xA2, None, |w| w.bytes(RECORDS));
    let error = "byte 10: the application layer 0xa2 is the manufacturer's own, which takes a profile of the meter";
    check(&vendor, &[], None, Err(error));
    let fragment = [&[0x90, 3, 2, 0x60, 0x25][..], RECORDS].concat();
    let fragment = sent(&plain(), fragment[0], None, |w| w.bytes(&fragment[1..]));
    let error = "byte 12: is fragment 2 of a message, and the others are not here";
    check(&fragment, &[], None, Err(error));
}

#[test]
fn encrypted_on_a_wire() {
    let transmission = Transmission { security: Security::Mode5(&KEY), ..plain() };
    let wired = |header: &Header, first: u8| {
        let mut room = [0; 250];
        let mut w = Writer::new(&mut room);
        transmission.write_telegram(first, Some(header), &mut w, |w| w.bytes(RECORDS)).unwrap();
        let telegram = w.written();
        let mut buffer = [0; 261];
        let body = |w: &mut Writer<'_>| w.bytes(&telegram[1..]);
        write_frame(&mut buffer, Control::RSP_UD, Primary(5), first, body).unwrap().to_vec()
    };
    let long = wired(&Header::long(other_meter(), 7, Status(0)), ci::RECORDS);
    check(&long, &[KEY], Some((Layer::Tpl, State::Decrypted)), Ok(TEXTS));
    let short = wired(&short_header(), ci::RECORDS_SHORT_HEADER);
    let error = "byte 11: the records are encrypted with the meter's identity, which a short header on a wire does not tell";
    check(&short, &[KEY], Some((Layer::Tpl, State::Unsupported)), Err(error));
    check(&[0xE5], &[], None, Ok(&[]));
    check(&[0x10, 0x5B, 1, 0x5C, 0x16], &[], None, Ok(&[]));
}

#[test]
fn compact_frames_follow_a_full_one() {
    let mut table = [Format::EMPTY; 1];
    let mut listener = Listener::new(&mut table);
    let compact = |transmission: &Transmission<'_>, ci, header: Option<&Header>| {
        let records = Records::new(Reader::new(RECORDS), ByteOrder::LsbFirst);
        sent(transmission, ci, header, |w| write_compact(&records, w))
    };
    let bare = compact(&plain(), 0x79, None);
    let unknown =
        "byte 11: the compact frame has format 0x1471, which no full frame of this meter has shown";
    check_in(&mut listener, &bare, &[], None, Err(unknown));
    let msb_first =
        sent(&plain(), ci::RECORDS_MSB_FIRST, Some(&long_header()), |w| w.bytes(RECORDS));
    let mut scratch = Scratch::new();
    assert!(listener.hear(&msb_first, &[], &mut scratch).content.is_ok());
    check_in(&mut listener, &bare, &[], None, Err(unknown));
    check_in(&mut listener, &sent_records(&plain(), None), &[], None, Ok(TEXTS));
    check_in(&mut listener, &bare, &[], None, Ok(TEXTS));
    let short = compact(&plain(), 0x7B, Some(&short_header()));
    check_in(&mut listener, &short, &[], None, Ok(TEXTS));
    let sealed = Transmission { security: Security::Mode5(&KEY), ..plain() };
    let long = compact(&sealed, ci::FIXED, Some(&long_header()));
    let decrypted = Some((Layer::Tpl, State::Decrypted));
    check_in(&mut listener, &long, &[KEY], decrypted, Ok(TEXTS));
}

/// Everything there is, as a meter would send it.
fn any_transmission() -> impl Strategy<Value = (Framing, u32, Option<[u8; 8]>, u8, [u8; 8])> {
    let framing = prop_oneof![Just(Framing::A), Just(Framing::B), Just(Framing::Bare)];
    (framing, any::<u32>(), any::<Option<[u8; 8]>>(), 0_u8..6, any::<[u8; 8]>())
}

proptest! {
    #[test]
    fn what_is_sent_is_heard(
        (framing, number, behind, kind, address) in any_transmission(),
        is_long: bool, values in prop::collection::vec(any::<u16>(), 1..30),
    ) {
        let link = RadioLink { framing, control: Control(0x44), address: sent_first(address) };
        let session = match kind {
            0..2 => None,
            2..4 => Some(Session(number & 0x1FFF_FFFF)),
            _ => Some(Session(number & 0x1FFF_FFFF | 0x2000_0000)),
        };
        let ell = Some(Ell { control: 0x20, access_number: 1, meter: behind.map(sent_first), session })
            .filter(|_| kind > 0);
        let security = match number % 3 {
            0 => Security::Plain,
            1 => Security::Mode5(&KEY),
            _ => Security::Mode7 { key: &KEY, counter: number },
        };
        let transmission = Transmission { link, ell, link_key: Some(&KEY), security };
        let mut header = Header::long(other_meter(), 7, Status(0));
        header.configuration = None;
        if !is_long {
            header.id = None;
        }
        let first = if is_long { ci::RECORDS } else { ci::RECORDS_SHORT_HEADER };
        let records: Vec<u8> =
            values.iter().flat_map(|value| [&[0x02, 0x13][..], &value.to_le_bytes()].concat()).collect();
        let frame = sent(&transmission, first, Some(&header), |w| w.bytes(&records));
        // One frame in 65 536 looks wired, by its length and address, and the last two bytes of
        // one bare frame in as many are its checksum. As rarely, a second key would fit as well.
        prop_assume!(frame[0] != 0x68 || (frame[1] != frame[2] && frame[3] != 0x68));
        let mut scratch = Scratch::new();
        let heard = Listener::new(&mut []).hear(&frame, &[KEY], &mut scratch);
        prop_assume!(heard.envelope.link == Some(Link::Radio(link)));
        let Ok(Content::Records(read)) = heard.content else { panic!("{:?}", heard.content) };
        let read: Vec<u8> = read.flat_map(|record| record.unwrap().data().to_vec()).collect();
        let written: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        prop_assert_eq!(read, written);
        prop_assert_eq!(heard.envelope.ell, ell);
        prop_assert_eq!(heard.envelope.mac_ok, matches!(security, Security::Mode7 { .. }).then_some(true));
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        layers in prop::collection::vec(prop::sample::select(LAYERS), 0..4), fits: bool,
    ) {
        // Mostly with a length that fits and layers that exist.
        let mut at = 10;
        for layer in layers {
            if let Some(place) = bytes.get_mut(at..at + layer.len()) {
                place.copy_from_slice(layer);
                at += layer.len();
            }
        }
        if fits && let Ok(len) = u8::try_from(bytes.len().saturating_sub(1)) && let Some(first) = bytes.first_mut() {
            *first = len;
        }
        let mut table = [Format::EMPTY; 2];
        let mut listener = Listener::new(&mut table);
        let mut scratch = Scratch::new();
        for keys in [&[][..], &[KEY]] {
            let heard = listener.hear(&bytes, keys, &mut scratch);
            match heard.content {
                Ok(Content::Records(records)) => {
                    for record in records.flatten() {
                        prop_assert!(record.data().len() <= 256);
                    }
                }
                Ok(_) => {}
                Err(error) => prop_assert!(error.at <= bytes.len()),
            }
        }
    }
}

const LAYERS: &[&[u8]] = &[
    &[0x8C, 0x20, 1],
    &[0x8D, 0x20, 1, 0, 0, 0, 0x20],
    &[0x8D, 0x20, 1, 0, 0, 0, 0],
    &[0x8F, 0x20, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x20],
    &[0x90, 0x0D, 0x00, 0x3C, 0x24, 1, 0, 0, 0, 1, 2, 3, 4, 0x4F, 0],
    &[0x7A, 1, 0, 0x10, 0x05, 0x2F, 0x2F],
    &[0x7A, 1, 0, 0x10, 0x07, 0x10],
    &[0x72, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0],
    &[0x78],
    &[0x79],
    &[0x69],
];
