//! Puts a message together that was too long for one frame.
//!
//! ```text
//! link  90 …  piece 1, more follow, MCL, counter, length   72|7A …  the first part
//! link  90 …  piece 2, more follow                                  the next
//! link  90 …  piece 3, MAC                                          the last
//!                                                          └──────┘
//!                                                           behind the first link: one message
//! ```
//!
//! A field of the layer counts whichever piece it stands in. One message is put together at a time:
//! a first piece begins a new one, and a piece that does not follow the one before it ends it, since
//! nobody sends a piece again. What a repeater says twice is heard once.
//!
//! **Never true:** pieces of two meters, or pieces between which one is missing, become a message.
//!
//! Source: EN 13757-7, "authentication and fragmentation layer".

use super::link::LINK_LEN;
use super::{Envelope, Heard, Link, Mac, RadioFlaw};
use crate::{DecodeError, Flaw, Long};

/// Room for a message, and what has come of it.
#[derive(Debug)]
pub struct Pieces<'b> {
    room: &'b mut [u8],
    len: usize,
    /// Behind the link of the first piece.
    pub(super) message_at: usize,
    /// What is around the message, from all pieces so far; `None` while there is none.
    envelope: Option<Envelope>,
    /// The number of the last piece.
    last: u8,
    is_whole: bool,
}

/// What a frame was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// No piece of anything: what has been put together stays.
    None,
    /// A piece, and there are more to come; or one that was there already.
    More,
    /// The last one: the message can be read ([`Listener::hear_whole`](super::Listener::hear_whole)).
    Last,
    /// One that cannot be used: those before it were not heard, or the message is longer than the
    /// room for it or than it says.
    Lost,
}

impl<'b> Pieces<'b> {
    /// `room` is for one message with its link: one of two pieces has up to 500 bytes, one of the
    /// longest 16 KiB.
    pub const fn new(room: &'b mut [u8]) -> Self {
        Self { room, len: 0, message_at: 0, envelope: None, last: 0, is_whole: false }
    }

    /// Takes what was heard, if it is a piece.
    pub fn take(&mut self, heard: &Heard<'_>) -> Piece {
        let Err(DecodeError { at, flaw: Flaw::Radio(RadioFlaw::Fragment(number)) }) = heard.content
        else {
            return Piece::None;
        };
        let piece = self.added(heard, at, number);
        if piece == Piece::Lost {
            (self.envelope, self.is_whole) = (None, false);
        }
        piece
    }

    /// The error is told where the number of the piece stands, behind the layer's CI and length.
    fn added(&mut self, heard: &Heard<'_>, at: usize, number: u8) -> Piece {
        let Some(afl) = heard.envelope.afl else { return Piece::Lost };
        let layer_len = at.checked_sub(1).and_then(|at| heard.frame.get(at));
        let Some(part) = layer_len.and_then(|len| heard.frame.get(at + usize::from(*len)..)) else {
            return Piece::Lost;
        };
        if number == FIRST {
            let link = match heard.envelope.link {
                Some(Link::Radio(_)) => LINK_LEN,
                _ => Long::DATA_AT - 1,
            };
            self.len = 0;
            self.envelope = Some(heard.envelope);
            self.is_whole = false;
            if !self.push(heard.frame.get(..link).unwrap_or_default()) {
                return Piece::Lost;
            }
            self.message_at = self.len;
        } else {
            let Some(envelope) = &mut self.envelope else { return Piece::Lost };
            if envelope.meter != heard.envelope.meter {
                return Piece::None;
            }
            if number == self.last {
                return if self.is_whole { Piece::Last } else { Piece::More };
            }
            if self.is_whole || self.last.checked_add(1) != Some(number) {
                return Piece::Lost;
            }
            if let Some(whole) = &mut envelope.afl {
                whole.control = whole.control.or(afl.control);
                whole.key_information = whole.key_information.or(afl.key_information);
                whole.counter = whole.counter.or(afl.counter);
                whole.mac = whole.mac.or(afl.mac);
                whole.message_len = whole.message_len.or(afl.message_len);
            }
        }
        self.last = number;
        if !self.push(part) {
            return Piece::Lost;
        }
        if afl.more {
            return Piece::More;
        }
        self.is_whole = self.is_as_announced();
        if self.is_whole { Piece::Last } else { Piece::Lost }
    }

    /// Whether the message is as long as it says, and its code as well.
    fn is_as_announced(&mut self) -> bool {
        let found = self.len - self.message_at;
        let Some(afl) = self.envelope.as_mut().and_then(|it| it.afl.as_mut()) else { return false };
        let announced = afl.control.map_or(0, Mac::len_of);
        if afl.mac.is_some_and(|mac| mac.bytes().len() != announced) {
            afl.mac = Some(Mac::UNREAD);
        }
        afl.message_len.is_none_or(|said| usize::from(said) == found)
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        let Some(place) = self.room.get_mut(self.len..end) else { return false };
        place.copy_from_slice(bytes);
        self.len = end;
        true
    }

    /// The whole message behind its link, and what is around it; once.
    pub(super) fn whole(&mut self) -> Option<(&mut [u8], Envelope)> {
        let is_whole = core::mem::take(&mut self.is_whole);
        let envelope = self.envelope.take().filter(|_| is_whole)?;
        Some((self.room.get_mut(..self.len)?, envelope))
    }
}

/// The number of the first piece; a message in one piece has 0.
const FIRST: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Key;
    use crate::radio::link::sent_first;
    use crate::radio::{Afl, Framing, Listener, RadioLink, Scratch, Security, Transmission};
    use crate::{Content, Control, Header, Reader, Status, Writer, ci};

    const KEY: Key = Key::new(*b"the meter's key.");
    /// 12.345 m3, which a message has twenty times.
    const RECORD: &[u8] = &[0x04, 0x13, 0x39, 0x30, 0, 0];

    fn link(number: u8) -> RadioLink {
        let address = sent_first([0x2D, 0x2C, number, 0x56, 0x34, 0x12, 0x1B, 0x07]);
        RadioLink { framing: Framing::A, control: Control(0x44), address }
    }

    /// A message of a meter in pieces of 50 bytes: the counter, the kind of the code and, where there
    /// is none, the length in the first, the code in the last.
    fn pieces_of(number: u8, security: Security<'_>) -> Vec<Vec<u8>> {
        let link = link(number);
        let whole = Transmission { link, ell: None, link_key: None, security };
        let mut header = Header::long(link.address, 7, Status(0));
        header.id = None;
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        let records = |w: &mut Writer<'_>| (0..20).try_for_each(|_| w.bytes(RECORD));
        whole.write_telegram(ci::RECORDS_SHORT_HEADER, Some(&header), &mut w, records).unwrap();
        let mut r = Reader::new(w.written());
        let afl = Afl::read(&mut r).unwrap().unwrap_or_default();
        let parts: Vec<&[u8]> = r.rest().chunks(50).collect();
        let plain_len = u16::try_from(r.rest().len()).ok().filter(|_| afl.mac.is_none());
        let piece = |(at, part): (usize, &&[u8])| {
            let (first, more) = (at == 0, at + 1 < parts.len());
            let afl = Afl {
                fragment: u8::try_from(at + 1).unwrap(),
                more,
                control: afl.control.filter(|_| first),
                key_information: None,
                counter: afl.counter.filter(|_| first),
                mac: afl.mac.filter(|_| !more),
                // It is part of what the code is made of.
                message_len: afl.message_len.or(plain_len).filter(|_| first),
            };
            let mut payload = [0; 200];
            let mut w = Writer::new(&mut payload);
            afl.write(&mut w).unwrap();
            w.bytes(part).unwrap();
            let mut frame = [0; 300];
            let mut framed = Writer::new(&mut frame);
            link.write(w.written(), &mut framed).unwrap();
            framed.written().to_vec()
        };
        parts.iter().enumerate().map(piece).collect()
    }

    /// What becomes of `frames` in `room` bytes: what each was, and how many records the message
    /// has in the end.
    #[track_caller]
    fn check(frames: &[&[u8]], room: usize, expected: &[Piece], records: Result<usize, &str>) {
        let mut room = vec![0; room];
        let mut pieces = Pieces::new(&mut room);
        let mut listener = Listener::new(&mut []);
        let mut scratch = Scratch::new();
        let taken: Vec<Piece> = frames
            .iter()
            .map(|frame| pieces.take(&listener.hear(frame, &[KEY], &mut scratch)))
            .collect();
        assert_eq!(taken, expected);
        let Some(heard) = listener.hear_whole(&mut pieces, &[KEY], &mut scratch) else {
            return assert_eq!(records, Err("no message"));
        };
        let told = match heard.content {
            Ok(Content::Records(records)) => Ok(records
                .map(|it| it.unwrap().to_string())
                .inspect(|it| assert_eq!(it, "volume: integer 12.345 m3"))
                .count()),
            Ok(_) => panic!("{:?}", heard.content),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(told.as_ref().copied().map_err(String::as_str), records);
        assert!(listener.hear_whole(&mut pieces, &[KEY], &mut scratch).is_none(), "once");
    }

    #[test]
    fn a_message_in_pieces_is_read_as_one() {
        use Piece::{Last, Lost, More, None};
        let message = pieces_of(0x78, Security::Mode7 { key: &KEY, counter: 5 });
        let [a, b, c] = [&*message[0], &message[1], &message[2]];
        let other = pieces_of(0x79, Security::Mode7 { key: &KEY, counter: 5 });
        let complete =
            &[0x0B, 0x44, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x07, 0x78, 0x2F][..];
        check(&[a, b, c], 500, &[More, More, Last], Ok(20));
        check(&[a, a, b, b, c, c], 500, &[More, More, More, More, Last, Last], Ok(20));
        check(&[a, &other[1], complete, b, c], 500, &[More, None, None, More, Last], Ok(20));
        check(&[b, c], 500, &[Lost, Lost], Err("no message"));
        check(&[a, c], 500, &[More, Lost], Err("no message"));
        check(&[a, b, a, c], 500, &[More, More, More, Lost], Err("no message"));
        check(&[a, b, c], 120, &[More, More, Lost], Err("no message"));
        check(&[], 500, &[], Err("no message"));
        let plain = pieces_of(0x78, Security::Plain);
        let plain: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
        check(&plain, 500, &[More, More, Last], Ok(20));
    }

    #[test]
    fn the_code_is_that_of_the_whole_message() {
        use Piece::{Last, More};
        let right = pieces_of(0x78, Security::Mode7 { key: &KEY, counter: 5 });
        let other = pieces_of(0x78, Security::Mode7 { key: &KEY, counter: 6 });
        check(
            &[&right[0], &other[1], &right[2]],
            500,
            &[More, More, Last],
            Err(
                "byte 16: no key that is known for this meter agrees with the message authentication code",
            ),
        );
    }
}
