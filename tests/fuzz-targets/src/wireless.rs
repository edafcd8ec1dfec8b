//! Bytes as what a receiver heard, and as what a meter sends by radio.

use mbus::crypto::Key;
use mbus::radio::{
    Ell, Format, Framing, Heard, Layer, Link, Listener, RadioLink, Recent, Scratch, Security,
    Session, State, Transmission,
};
use mbus::{
    ByteOrder, Content, Control, Header, Id, Manufacturer, Medium, Reader, Records, Secondary,
    Status, Writer, ci, explain,
};

use crate::records::{all, displayed, is_worded};

/// Reads `bytes`, if the first of them is even, as frames that one listener hears one after the
/// other, each with its length before it; else as a choice of layers and what a meter sends in them.
///
/// Heard:
///
/// - What was encrypted and not opened is not told, and nothing is called encrypted that is told as
///   such; what is told although its header calls it encrypted is whole records.
/// - The records and what is behind them cover the rest of the frame; an error stands in it.
/// - The link is written back as the same bytes where nothing was decrypted.
/// - Who hears the same again hears the same; an explanation holds each byte once.
///
/// Sent:
///
/// - With the right key all records come out, in whatever framing and layers.
/// - One changed byte of a frame with checksums behind each block costs the frame.
/// - Under an authentication code nothing comes out with another key.
///
/// # Panics
///
/// If one of these does not hold.
pub fn wireless(bytes: &[u8]) {
    match bytes.split_first() {
        Some((choice, rest)) if choice % 2 == 0 => heard(rest, choice & 2 != 0),
        Some((choice, rest)) => sent(*choice >> 1, rest),
        None => {}
    }
}

const KEY: Key = Key::new(*b"key of one meter");
const OTHER_KEY: Key = Key::new(*b"that of another.");

fn heard(mut bytes: &[u8], has_keys: bool) {
    // Of two places one is soon needed again.
    let mut table = [Format::EMPTY; 2];
    let mut listener = Listener::new(&mut table);
    let mut recent = Recent::<2>::new();
    let keys: &[Key] = if has_keys { &[OTHER_KEY, KEY] } else { &[] };
    let (mut scratch, mut scratch_again) = (Scratch::new(), Scratch::new());
    while let Some((&len, rest)) = bytes.split_first() {
        let (frame, behind) = rest.split_at(usize::from(len).min(rest.len()));
        bytes = behind;
        let heard = listener.hear(frame, keys, &mut scratch);
        consistent(&heard, frame, keys);
        // Of messages without a counter there is nothing to say.
        let _ = recent.is_repeated(&heard.envelope);
        let again = listener.hear(frame, keys, &mut scratch_again);
        assert_eq!(again.envelope, heard.envelope);
        assert_eq!(texts(&again), texts(&heard), "the same frame says something else");
    }
}

fn consistent(heard: &Heard<'_>, bytes: &[u8], keys: &[Key]) {
    let Heard { envelope, content, frame } = heard;
    assert!(frame.len() <= bytes.len(), "more than was heard");
    if let Some(encryption) = envelope.encryption {
        let is_open = matches!(encryption.state, State::Decrypted | State::PlainMarked);
        assert!(is_open || content.is_err(), "{encryption:?} and all the same content");
        let is_right = match encryption.state {
            State::Decrypted | State::KeyWrong => !keys.is_empty(),
            State::KeyMissing | State::PlainMarked => keys.is_empty(),
            State::Unsupported => true,
        };
        assert!(is_right, "{encryption:?} with {} keys", keys.len());
        // What begins as plain text by chance seldom goes on as records do.
        if let (State::PlainMarked, Layer::Tpl, Ok(Content::Records(records))) =
            (encryption.state, encryption.layer, content)
        {
            assert!(records.clone().all(|it| it.is_ok()), "{encryption:?} of broken records");
        }
    }
    if let Some(Link::Radio(link)) = envelope.link
        && envelope.encryption.is_none_or(|encryption| encryption.state != State::Decrypted)
        && !frame.is_empty()
    {
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        link.write(&frame[LINK_LEN..], &mut w).expect("what was read can be written");
        assert_eq!(w.written(), bytes);
    }
    match content {
        Ok(Content::Records(records)) => {
            let is_whole = !frame.is_empty() && !envelope.ci.is_some_and(is_compact);
            let order = match envelope.ci {
                Some(ci::RECORDS_MSB_FIRST | ci::FIXED_MSB_FIRST) => ByteOrder::MsbFirst,
                _ => ByteOrder::LsbFirst,
            };
            let is_fixed = matches!(envelope.ci, Some(ci::FIXED | ci::FIXED_MSB_FIRST));
            if is_whole && !is_fixed {
                all(records.clone(), frame, 0, order);
            }
        }
        Ok(Content::Sealed(_)) => panic!("what is sealed is no content"),
        Ok(Content::Error(_) | Content::Alarm(_)) => {}
        Err(error) => {
            assert!(error.at <= bytes.len(), "{error} is not in the frame");
            displayed(error);
        }
    }
    let mut at = 0;
    let choice = bytes.last().copied().unwrap_or_default();
    explain::of_heard(bytes, heard, &mut |piece| {
        assert_eq!(piece.at, at, "{piece:?} follows a gap, or lies over another");
        assert!(!piece.bytes.is_empty(), "{piece:?} is of nothing");
        if is_worded(piece.at, choice) {
            displayed(&piece.meaning);
        }
        at = piece.range().end;
    });
    assert_eq!(at, bytes.len(), "the last bytes are not explained");
}

const LINK_LEN: usize = 10;

/// By radio `73` is one, too.
const fn is_compact(ci: u8) -> bool {
    matches!(ci, 0x73 | 0x79 | 0x7B)
}

/// Every record as people see it; an error ends them.
fn texts(heard: &Heard<'_>) -> Vec<String> {
    match &heard.content {
        Ok(Content::Records(records)) => texts_of(records.clone()),
        Ok(Content::Error(error)) => vec![error.name().to_owned()],
        Ok(other) => vec![format!("{other:?}")],
        Err(error) => vec![error.to_string()],
    }
}

fn texts_of(records: Records<'_>) -> Vec<String> {
    records.map_while(Result::ok).map(|record| record.to_string()).collect()
}

fn sent(choice: u8, bytes: &[u8]) {
    // The layers are the fuzzer's choice, and so are the numbers in them.
    let Some((&numbers, body)) = bytes.split_first_chunk() else {
        return;
    };
    let number = u32::from_le_bytes(numbers);
    let [version, medium, control, access_number] = numbers;
    let meter = Secondary {
        id: Id(number),
        manufacturer: Manufacturer(0x2C2D),
        version,
        medium: Medium::new(medium),
    };
    let framing = [Framing::A, Framing::B, Framing::Bare][usize::from(choice % 3)];
    let link = RadioLink { framing, control: Control(0x44), address: meter };
    let ell = match choice / 3 % 4 {
        0 => None,
        1 => Some((None, None)),
        2 => Some((None, Some(Session(number & 0x1FFF_FFFF)))),
        _ => Some((Some(meter), Some(Session(number & 0x1FFF_FFFF | 1 << 29)))),
    };
    let ell = ell.map(|(meter, session)| Ell { control, access_number, meter, session });
    let security = match choice / 12 % 3 {
        0 => Security::Plain,
        1 => Security::Mode5(&KEY),
        _ => Security::Mode7 { key: &KEY, counter: number },
    };
    let header = Header::long(meter, access_number, Status::OK);
    let transmission = Transmission { link, ell, link_key: Some(&KEY), security };
    let mut buffer = [0; 300];
    let mut w = Writer::new(&mut buffer);
    if transmission.write(ci::RECORDS, Some(&header), &mut w, |w| w.bytes(body)).is_err() {
        // More than a frame can hold.
        return;
    }
    let frame = w.written();
    if framing == Framing::Bare && looks_checked(frame) {
        return;
    }

    let hear = |frame: &[u8], keys: &[Key]| {
        let mut table = [Format::EMPTY; 1];
        let mut scratch = Scratch::new();
        let heard = Listener::new(&mut table).hear(frame, keys, &mut scratch);
        consistent(&heard, frame, keys);
        heard.content.is_ok().then(|| texts(&heard))
    };
    // With its own key alone: without an authentication code a wrong one is known by 16 bits.
    let found = hear(frame, &[KEY]).expect("with its key a frame is read");
    let expected = texts_of(Records::new(Reader::new(body), ByteOrder::LsbFirst));
    assert!(found.starts_with(&expected), "{found:?} instead of {expected:?}");

    // Without a key one in 65 536 begins as plain text does; any other tells nothing.
    let _ = hear(frame, &[]);

    if framing == Framing::A {
        let mut changed = frame.to_vec();
        // Behind the length byte, which says where the checksums are.
        let at = 1 + usize::from(control) % (frame.len() - 1);
        changed[at] ^= access_number.max(1);
        assert_eq!(hear(&changed, &[KEY]), None, "byte {at} may be anything");
    }
    let is_link_sealed = ell.is_some_and(|ell| ell.encryption() != "none");
    if matches!(security, Security::Mode7 { .. }) && !is_link_sealed {
        assert_eq!(hear(frame, &[OTHER_KEY, KEY]), Some(found), "another key is in the way");
        assert_eq!(hear(frame, &[OTHER_KEY]), None, "nothing is what another key makes of it");
    }
}

/// One bare frame in 65 536 ends with what would be the checksum of format B.
fn looks_checked(frame: &[u8]) -> bool {
    let mut table = [Format::EMPTY; 1];
    let mut scratch = Scratch::new();
    let no_keys: &[Key] = &[];
    let heard = Listener::new(&mut table).hear(frame, no_keys, &mut scratch);
    matches!(heard.envelope.link, Some(Link::Radio(link)) if link.framing != Framing::Bare)
}
