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
//! A piece does not say of which message it is. So it follows another only if it comes within
//! [`LONGEST_GAP`] of it, says nothing else of what both say (counter, length, kind of the code), and
//! has the access number of the extended link layer that goes before it: the same in all pieces, or
//! the next in each.
//!
//! **Never true:** pieces of two meters, pieces between which one is missing, or pieces of two
//! messages that are further apart than that, become a message.
//!
//! Source: EN 13757-7, "authentication and fragmentation layer".

use core::time::Duration;

use super::link::LINK_LEN;
use super::{Afl, Envelope, Heard, Link, Mac, RadioFlaw};
use crate::{DecodeError, Flaw, Long};

/// Room for a message, borrowed or its own, and what has come of it.
#[derive(Debug)]
pub struct Pieces<R> {
    room: R,
    len: usize,
    /// Behind the link of the first piece.
    pub(super) message_at: usize,
    /// What is around the message, from all pieces so far; `None` while there is none.
    envelope: Option<Envelope>,
    /// The number of the last piece.
    last: u8,
    /// When it was heard.
    heard_at: Duration,
    counting: Counting,
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

impl<R: AsMut<[u8]>> Pieces<R> {
    /// `room` is for one message with its link: one of two pieces has up to 500 bytes, one of the
    /// longest 16 KiB.
    pub const fn new(room: R) -> Self {
        Self {
            room,
            len: 0,
            message_at: 0,
            envelope: None,
            last: 0,
            heard_at: Duration::ZERO,
            counting: Counting::Unknown,
            is_whole: false,
        }
    }

    /// Takes what was heard at `now`, if it is a piece. Time is counted from any moment that the
    /// caller likes, as long as it stays the same one.
    pub fn take(&mut self, heard: &Heard<'_>, now: Duration) -> Piece {
        let Err(DecodeError { at, flaw: Flaw::Radio(RadioFlaw::Fragment(number)) }) = heard.content
        else {
            return Piece::None;
        };
        let piece = self.added(heard, at, number, now);
        if piece == Piece::Lost {
            (self.envelope, self.is_whole) = (None, false);
        }
        piece
    }

    /// The error is told where the number of the piece stands, behind the layer's CI and length.
    fn added(&mut self, heard: &Heard<'_>, at: usize, number: u8, now: Duration) -> Piece {
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
            self.counting = Counting::Unknown;
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
            if now.saturating_sub(self.heard_at) > LONGEST_GAP {
                return Piece::Lost;
            }
            let access_number = |it: &Envelope| it.ell.map(|ell| ell.access_number);
            let (first, own) = (access_number(envelope), access_number(&heard.envelope));
            let Some(counting) = self.counting.with(first, own, number) else {
                return Piece::Lost;
            };
            if number == self.last {
                return if self.is_whole { Piece::Last } else { Piece::More };
            }
            if self.is_whole || self.last.checked_add(1) != Some(number) {
                return Piece::Lost;
            }
            let Some(whole) = envelope.afl.and_then(|whole| joined(&whole, &afl)) else {
                return Piece::Lost;
            };
            envelope.afl = Some(whole);
            self.counting = counting;
        }
        (self.last, self.heard_at) = (number, now);
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
        let Some(place) = self.room.as_mut().get_mut(self.len..end) else { return false };
        place.copy_from_slice(bytes);
        self.len = end;
        true
    }

    /// The whole message behind its link, and what is around it; once.
    pub(super) fn whole(&mut self) -> Option<(&mut [u8], Envelope)> {
        let is_whole = core::mem::take(&mut self.is_whole);
        let envelope = self.envelope.take().filter(|_| is_whole)?;
        Some((self.room.as_mut().get_mut(..self.len)?, envelope))
    }
}

/// How the access numbers of a message's pieces go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// It has not shown yet, or there are none.
    Unknown,
    /// All have the same.
    Same,
    /// Each has the next.
    On,
}

impl Counting {
    /// How it goes on with the piece `number`, its own access number standing behind that of the
    /// first piece; `None` if that one is of another message.
    fn with(self, first: Option<u8>, own: Option<u8>, number: u8) -> Option<Self> {
        let (first, own) = match (first, own) {
            (None, None) => return Some(self),
            (Some(first), Some(own)) => (first, own),
            _ => return None,
        };
        let next = first.wrapping_add(number - FIRST);
        let seen = if own == first {
            Self::Same
        } else if own == next {
            Self::On
        } else {
            return None;
        };
        (self == Self::Unknown || self == seen).then_some(seen)
    }
}

/// What two pieces of a message say of it; `None` if they say different things.
fn joined(whole: &Afl, piece: &Afl) -> Option<Afl> {
    fn agree<T: Copy + PartialEq>(first: Option<T>, second: Option<T>) -> bool {
        first.is_none() || second.is_none() || first == second
    }
    let all_agree = agree(whole.control, piece.control)
        && agree(whole.key_information, piece.key_information)
        && agree(whole.counter, piece.counter)
        && agree(whole.mac, piece.mac)
        && agree(whole.message_len, piece.message_len);
    all_agree.then(|| Afl {
        control: whole.control.or(piece.control),
        key_information: whole.key_information.or(piece.key_information),
        counter: whole.counter.or(piece.counter),
        mac: whole.mac.or(piece.mac),
        message_len: whole.message_len.or(piece.message_len),
        ..*whole
    })
}

/// The number of the first piece; a message in one piece has 0.
const FIRST: u8 = 1;

/// A meter says the pieces of a message one after the other, in a few seconds; a piece on a wire of
/// 300 baud takes eleven. A meter by radio says its next message later than that.
pub const LONGEST_GAP: Duration = Duration::from_secs(12);

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

    const AT_ONCE: Duration = Duration::ZERO;

    fn link(number: u8) -> RadioLink {
        let address = sent_first([0x2D, 0x2C, number, 0x56, 0x34, 0x12, 0x1B, 0x07]);
        RadioLink { framing: Framing::A, control: Control(0x44), address }
    }

    /// A message of a meter in pieces of 50 bytes: the counter, the kind of the code and, where there
    /// is none, the length in the first, the code in the last.
    fn pieces_of(number: u8, security: Security<'_>) -> Vec<Vec<u8>> {
        numbered_pieces_of(number, security, &[])
    }

    /// With an extended link layer, which has these access numbers, if there are any.
    fn numbered_pieces_of(number: u8, security: Security<'_>, accesses: &[u8]) -> Vec<Vec<u8>> {
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
            if let Some(access) = accesses.get(at) {
                w.bytes(&[0x8C, 0x20, *access]).unwrap();
            }
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
        let mut pieces = Pieces::new(room.as_mut_slice());
        let mut listener = Listener::new(&mut []);
        let mut scratch = Scratch::new();
        let taken: Vec<Piece> = frames
            .iter()
            .map(|frame| pieces.take(&listener.hear(frame, &[KEY], &mut scratch), AT_ONCE))
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

    /// Of two messages of one meter, which have nothing else to tell them apart.
    #[test]
    fn a_piece_is_of_the_message_before_it_by_its_number() {
        use Piece::{Last, Lost, More};
        #[track_caller]
        fn check_numbers(accesses: [u8; 3], expected: [Piece; 3]) {
            let pieces = numbered_pieces_of(0x78, Security::Plain, &accesses);
            let frames: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let records = if expected[2] == Last { Ok(20) } else { Err("no message") };
            check(&frames, 500, &expected, records);
        }
        check_numbers([7, 7, 7], [More, More, Last]);
        check_numbers([254, 255, 0], [More, More, Last]);
        // The last piece of the next message: its number is the next to that of this one.
        check_numbers([7, 7, 8], [More, More, Lost]);
        check_numbers([7, 8, 12], [More, More, Lost]);
        check_numbers([7, 9, 9], [More, Lost, Lost]);
        let none = pieces_of(0x78, Security::Plain);
        let seven = numbered_pieces_of(0x78, Security::Plain, &[7; 3]);
        check(&[&seven[0], &none[1], &seven[2]], 500, &[More, Lost, Lost], Err("no message"));
        let longer = pieces_of(0x78, Security::Mode7 { key: &KEY, counter: 5 });
        check(&[&none[0], &longer[0], &none[1]], 500, &[More, More, More], Err("no message"));
    }

    #[test]
    fn a_piece_that_comes_too_late_is_of_another_message() {
        let message = pieces_of(0x78, Security::Plain);
        for (gap, expected) in [(12, Piece::Last), (13, Piece::Lost)] {
            let mut room = [0; 500];
            let mut pieces = Pieces::new(room.as_mut_slice());
            let mut listener = Listener::new(&mut []);
            let mut scratch = Scratch::new();
            let taken = message.iter().enumerate().map(|(at, frame)| {
                let now = Duration::from_secs(if at == 2 { 1_000 + gap } else { 1_000 });
                pieces.take(&listener.hear(frame, &[KEY], &mut scratch), now)
            });
            assert_eq!(taken.last(), Some(expected), "{gap} s");
        }
    }

    #[test]
    fn pieces_that_contradict_each_other_are_of_two_messages() {
        let whole = Afl { counter: Some(5), message_len: Some(100), ..Afl::default() };
        let says = |piece: Afl| joined(&whole, &piece).is_some();
        assert!(says(Afl::default()));
        assert!(says(Afl { counter: Some(5), mac: Mac::new(&[1; 4]), ..Afl::default() }));
        assert!(!says(Afl { counter: Some(6), ..Afl::default() }));
        assert!(!says(Afl { message_len: Some(99), ..Afl::default() }));
    }
}
