//! Frames: what stands on the wire around a telegram.
//!
//! ```text
//! acknowledge  E5
//! short        10 C A CS 16
//! long         68 L L 68 C A CI data CS 16        L = 3..=255, without data: "control frame"
//!                        └──── L ────┘
//! ```
//!
//! CS is the sum of the bytes from C to the last of the data, modulo 256. A character has 11 bits:
//! start, eight data bits, even parity, stop.
//!
//! Source: EN 13757-2, "data link layer"; IEC 60870-5-1, format class FT1.2.

use crate::{DecodeError, Flaw, Full, Header, Part, Primary, Reader, Telegram, Writer, ci};

/// One frame, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// "I have understood."
    Ack,
    /// A command without data.
    Short {
        /// What is asked.
        control: Control,
        /// Of whom.
        address: Primary,
    },
    /// Anything with data, and commands whose CI says it all.
    Long(Long<'a>),
}

/// A long frame, or a control frame where `data` is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a> {
    /// What is asked or answered.
    pub control: Control,
    /// Of whom, or by whom.
    pub address: Primary,
    /// How the data is to be understood.
    pub ci: u8,
    /// At most 252 bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes `bytes` apart, which are one whole frame and nothing else.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match *bytes {
            [ACK] => Ok(Self::Ack),
            [ACK, surplus, ..] => Err(DecodeError { at: 1, flaw: Flaw::Trailing(surplus) }),
            [SHORT, ..] => Self::read_short(bytes),
            [LONG, ..] => Long::read(bytes).map(Self::Long),
            [other, ..] => Err(DecodeError { at: 0, flaw: Flaw::Start(other) }),
            [] => Err(DecodeError { at: 0, flaw: Flaw::Truncated(Part::Frame) }),
        }
    }

    fn read_short(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let [_, control, address, found, stop] = r.array(Part::Frame)?;
        if let Some(&surplus) = r.rest().first() {
            return Err(DecodeError { at: SHORT_LEN, flaw: Flaw::Trailing(surplus) });
        }
        let right = control.wrapping_add(address);
        if found != right {
            return Err(DecodeError { at: 3, flaw: Flaw::Checksum { found, right } });
        }
        if stop != STOP {
            return Err(DecodeError { at: 4, flaw: Flaw::Stop(stop) });
        }
        Ok(Self::Short { control: Control(control), address: Primary(address) })
    }

    /// How long the frame is that begins with `bytes`; `None` while too little is there to tell.
    ///
    /// This is how a frame ends: by its own length, never by silence.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the first four bytes.
    pub fn expected_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        match *bytes {
            [ACK, ..] => Ok(Some(1)),
            [SHORT, ..] => Ok(Some(SHORT_LEN)),
            [LONG, l, again, ..] if l != again => {
                Err(DecodeError { at: 2, flaw: Flaw::Length(again) })
            }
            [LONG, _, _, start, ..] if start != LONG => {
                Err(DecodeError { at: 3, flaw: Flaw::Start(start) })
            }
            [LONG, l, ..] if l < LEN_WITHOUT_DATA => {
                Err(DecodeError { at: 1, flaw: Flaw::Length(l) })
            }
            [LONG, l, _, _, ..] => Ok(Some(usize::from(l) + AROUND_LONG)),
            [] | [LONG, ..] => Ok(None),
            [other, ..] => Err(DecodeError { at: 0, flaw: Flaw::Start(other) }),
        }
    }

    /// Writes the frame.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has too little room or the data too many bytes; [`Self::MAX_LEN`] bytes of
    /// room are always enough.
    pub fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match *self {
            Self::Ack => w.byte(ACK),
            Self::Short { control, address } => {
                w.bytes(&[SHORT, control.0, address.0, control.0.wrapping_add(address.0), STOP])
            }
            Self::Long(Long { control, address, ci, data }) => {
                let len = u8::try_from(data.len()).map_err(|_| Full)?;
                let len = len.checked_add(LEN_WITHOUT_DATA).ok_or(Full)?;
                let head = [LONG, len, len, LONG, control.0, address.0, ci];
                if w.room() < head.len() + data.len() + 2 {
                    return Err(Full);
                }
                w.bytes(&head)?;
                w.bytes(data)?;
                w.bytes(&[checksum(control, address, ci, data), STOP])
            }
        }
    }

    /// The longest frame there is.
    pub const MAX_LEN: usize = 255 + AROUND_LONG;
}

impl<'a> Long<'a> {
    /// Where the data begins in its frame.
    pub const DATA_AT: usize = 7;

    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let [_, len, again, start] = r.array(Part::Frame)?;
        if len != again {
            return Err(DecodeError { at: 2, flaw: Flaw::Length(again) });
        }
        if start != LONG {
            return Err(DecodeError { at: 3, flaw: Flaw::Start(start) });
        }
        let Some(data_len) = len.checked_sub(LEN_WITHOUT_DATA) else {
            return Err(DecodeError { at: 1, flaw: Flaw::Length(len) });
        };
        let [control, address, ci] = r.array(Part::Frame)?;
        let data = r.take(usize::from(data_len), Part::Frame)?;
        let [found, stop] = r.array(Part::Frame)?;
        if let Some(&surplus) = r.rest().first() {
            return Err(DecodeError { at: r.offset(), flaw: Flaw::Trailing(surplus) });
        }
        let frame = Self { control: Control(control), address: Primary(address), ci, data };
        let right = checksum(frame.control, frame.address, ci, data);
        let checksum_at = Self::DATA_AT + data.len();
        if found != right {
            return Err(DecodeError { at: checksum_at, flaw: Flaw::Checksum { found, right } });
        }
        if stop != STOP {
            return Err(DecodeError { at: checksum_at + 1, flaw: Flaw::Stop(stop) });
        }
        Ok(frame)
    }

    /// Who speaks, as far as a header tells: also one behind the authentication layer, and whether
    /// or not the rest can be read.
    pub fn header(&self) -> Option<Header> {
        let (ci, data) = match (self.ci, self.data) {
            (ci::AUTHENTICATION, [len, layer @ ..]) => {
                // In a message of several pieces it stands in the first.
                layer.first().filter(|piece| **piece <= 1)?;
                layer.get(usize::from(*len)..)?.split_first()?
            }
            _ => (&self.ci, self.data),
        };
        Telegram::read(*ci, Reader::new(data)).ok()?.header
    }

    /// What the meter says in it.
    pub fn telegram(&self) -> Result<Telegram<'a>, DecodeError> {
        Telegram::read(self.ci, Reader::at(self.data, Self::DATA_AT))
    }
}

/// Writes a long frame around whatever `body` writes behind the CI.
///
/// # Errors
///
/// [`Full`] if `buffer` is too small or the body has more than 252 bytes.
pub fn write_frame(
    buffer: &mut [u8],
    control: Control,
    address: Primary,
    ci: u8,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<&[u8], Full> {
    let mut scratch = [0; MAX_DATA];
    let mut inner = Writer::new(&mut scratch);
    body(&mut inner)?;
    let mut w = Writer::new(buffer);
    Frame::Long(Long { control, address, ci, data: inner.written() }).write(&mut w)?;
    Ok(w.written())
}

/// The control field: who speaks, and what is asked or answered.
///
/// ```text
/// bit          7  6        5          4          3 2 1 0
/// to a meter   0  1        FCB        FCV        function
/// from it      0  0        ACD        DFC        function
/// ```
///
/// FCB is toggled with each new request, so that a meter can tell one from a repetition, which it
/// answers with what it said last; FCV says that it counts. ACD: the meter has an alarm. DFC: it
/// cannot take more data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Control(pub u8);

impl Control {
    /// Master: forget what we were at. Answered by [`Frame::Ack`].
    pub const SND_NKE: Self = Self(0x40);
    /// Master: here is data. With FCB 0; answered by [`Frame::Ack`].
    pub const SND_UD: Self = Self(0x53);
    /// Master: give me your data. With FCB 0.
    pub const REQ_UD2: Self = Self(0x5B);
    /// Master: give me your alarm, if any. With FCB 0.
    pub const REQ_UD1: Self = Self(0x5A);
    /// Meter: here is my data.
    pub const RSP_UD: Self = Self(0x08);

    /// The same with the frame count bit `fcb`.
    #[must_use]
    pub const fn with_fcb(self, fcb: bool) -> Self {
        if fcb { Self(self.0 | FCB) } else { Self(self.0 & !FCB) }
    }

    /// The frame count bit of a master's frame.
    pub const fn fcb(self) -> bool {
        self.0 & FCB != 0
    }

    /// Whether a meter's frame says that it has an alarm to tell (ACD).
    pub const fn has_alarm(self) -> bool {
        !self.to_meter() && self.0 & FCB != 0
    }

    /// Whether a meter's frame says that it can take no more data now (DFC).
    pub const fn is_full(self) -> bool {
        !self.to_meter() && self.0 & FCV != 0
    }

    /// Whether this is `kind`, one of the constants above, whatever its FCB, ACD and DFC.
    pub const fn is(self, kind: Self) -> bool {
        let ignored = if kind.0 & TO_METER == 0 { FCB | FCV } else { FCB };
        (self.0 ^ kind.0) & !ignored == 0
    }

    /// Whether a master sent it.
    pub const fn to_meter(self) -> bool {
        self.0 & TO_METER != 0
    }
}

fn checksum(control: Control, address: Primary, ci: u8, data: &[u8]) -> u8 {
    let head = control.0.wrapping_add(address.0).wrapping_add(ci);
    data.iter().fold(head, |sum, byte| sum.wrapping_add(*byte))
}

const ACK: u8 = 0xE5;
const SHORT: u8 = 0x10;
const LONG: u8 = 0x68;
const STOP: u8 = 0x16;
const SHORT_LEN: usize = 5;
/// Start, length twice, start, checksum and stop.
const AROUND_LONG: usize = 6;
/// Control, address and CI.
const LEN_WITHOUT_DATA: u8 = 3;
const MAX_DATA: usize = 252;

const TO_METER: u8 = 0b0100_0000;
const FCB: u8 = 0b0010_0000;
const FCV: u8 = 0b0001_0000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `bytes`; what could be read is written back as the same bytes.
    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Frame<'_>, &str>) {
        let read = Frame::read(bytes).map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned));
        if let Ok(frame) = read {
            let mut buffer = [0; Frame::MAX_LEN];
            let mut w = Writer::new(&mut buffer);
            assert_eq!(frame.write(&mut w), Ok(()));
            assert_eq!(w.written(), bytes);
            assert_eq!(Frame::expected_len(bytes), Ok(Some(bytes.len())));
        }
    }

    #[test]
    fn the_three_kinds() {
        check(&[0xE5], Ok(Frame::Ack));
        let request = Frame::Short { control: Control(0x7B), address: Primary(5) };
        check(&[0x10, 0x7B, 0x05, 0x80, 0x16], Ok(request));
        let answer =
            Long { control: Control::RSP_UD, address: Primary(1), ci: 0x70, data: &[0x04] };
        check(
            &[0x68, 0x04, 0x04, 0x68, 0x08, 0x01, 0x70, 0x04, 0x7D, 0x16],
            Ok(Frame::Long(answer)),
        );
    }

    #[test]
    fn each_flaw_is_told_at_its_byte() {
        check(&[], Err("byte 0: the telegram ends inside the frame"));
        check(&[0x42], Err("byte 0: 0x42 starts no frame"));
        check(&[0xE5, 0xE5], Err("byte 1: 0xe5 follows the end of the frame"));
        check(
            &[0x68, 4, 5, 0x68, 8, 1, 0x70, 4, 0x7D, 0x16],
            Err("byte 2: the length byte 0x05 is not that of a frame"),
        );
        check(&[0x68, 3, 3, 0x10, 8, 1, 0x70, 0x79, 0x16], Err("byte 3: 0x10 starts no frame"));
        check(
            &[0x68, 2, 2, 0x68, 8, 1, 9, 0x16],
            Err("byte 1: the length byte 0x02 is not that of a frame"),
        );
        check(
            &[0x68, 4, 4, 0x68, 8, 1, 0x70, 4, 0x7D],
            Err("byte 9: the telegram ends inside the frame"),
        );
        check(
            &[0x68, 3, 3, 0x68, 8, 1, 0x70, 0x79, 0x16, 0],
            Err("byte 9: 0x00 follows the end of the frame"),
        );
        check(
            &[0x68, 3, 3, 0x68, 8, 1, 0x70, 0x78, 0x16],
            Err("byte 7: the checksum is 0x78 and should be 0x79"),
        );
        check(
            &[0x68, 3, 3, 0x68, 8, 1, 0x70, 0x79, 0x17],
            Err("byte 8: the stop byte is 0x17 and should be 0x16"),
        );
    }

    #[test]
    fn a_control_field_is_what_it_is_whatever_its_flags() {
        assert!(Control(0x7B).is(Control::REQ_UD2));
        assert!(Control(0x38).is(Control::RSP_UD));
        assert!(!Control(0x48).is(Control::RSP_UD));
        assert!(!Control(0x4B).is(Control::REQ_UD2));
        let flags = |control: Control| (control.has_alarm(), control.is_full());
        assert_eq!(flags(Control::RSP_UD), (false, false));
        assert_eq!(flags(Control(0x28)), (true, false));
        assert_eq!(flags(Control(0x18)), (false, true));
        assert_eq!(flags(Control(0x7B)), (false, false));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            control: u8, address: u8, ci: u8,
            data in prop::collection::vec(any::<u8>(), 0..=MAX_DATA),
        ) {
            let (control, address) = (Control(control), Primary(address));
            let mut buffer = [0; Frame::MAX_LEN];
            let written = write_frame(&mut buffer, control, address, ci, |w| w.bytes(&data));
            let frame = Long { control, address, ci, data: &data };
            prop_assert_eq!(Frame::read(written.unwrap()), Ok(Frame::Long(frame)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Err(error) = Frame::read(&bytes) {
                prop_assert!(error.at <= bytes.len());
            }
        }
    }
}
