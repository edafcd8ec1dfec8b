//! What a master sends.
//!
//! ```text
//! reset          10 40 A CS 16                            answered by E5
//! data           10 5B|7B A CS 16                         answered by a telegram
//! alarm          10 5A|7A A CS 16                         answered by E5 (none) or a telegram
//! select         68 0B 0B 68 53 FD 52 ID MAN VER MED …    answered by E5, by whom it means
//!                68 11 11 68 53 FD 52 ID MAN VER MED 0C 78 FABNO …
//! baud rate      68 03 03 68 53 A B8–BF …                 answered by E5, at the old rate
//! other data     68 L L 68 53|73 A CI data …              answered by E5
//! ```
//!
//! Source: EN 13757-2 and EN 13757-3; the M-Bus documentation 4.8, sections 5 to 7.

use crate::{
    ByteOrder, Control, Date, Frame, Full, Id, Long, Primary, Selection, Time, Writer, ci,
    value::{write_f, write_i},
};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `SND_NKE`: forget what we were at.
    Reset(Primary),
    /// `REQ_UD2`: your data.
    Data {
        /// Of whom.
        to: Primary,
        /// The frame count bit.
        fcb: bool,
    },
    /// `REQ_UD1`: your alarm.
    Alarm {
        /// Of whom.
        to: Primary,
        /// The frame count bit.
        fcb: bool,
    },
    /// Feel addressed by 253, or do not.
    Select(Selection),
    /// Talk at another speed.
    SetBaud {
        /// Who.
        to: Primary,
        /// How fast.
        baud: Baud,
    },
    /// `SND_UD`: anything else.
    Send {
        /// To whom.
        to: Primary,
        /// The frame count bit.
        fcb: bool,
        /// How `data` is to be understood.
        ci: u8,
        /// At most 252 bytes.
        data: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// The request that `frame` is, as a meter reads it; `None` if a meter has no business with it.
    pub fn read(frame: &Frame<'a>) -> Option<Self> {
        match *frame {
            Frame::Short { control, address: to } if control.is(Control::SND_NKE) => {
                Some(Self::Reset(to))
            }
            Frame::Short { control, address: to } if control.is(Control::REQ_UD2) => {
                Some(Self::Data { to, fcb: control.fcb() })
            }
            Frame::Short { control, address: to } if control.is(Control::REQ_UD1) => {
                Some(Self::Alarm { to, fcb: control.fcb() })
            }
            Frame::Long(Long { control, address: to, ci, data }) if control.is(Control::SND_UD) => {
                if ci == ci::SELECT && to == Primary::SELECTED {
                    return read_selection(data).map(Self::Select);
                }
                match Baud::of_ci(ci) {
                    Some(baud) if data.is_empty() => Some(Self::SetBaud { to, baud }),
                    _ => Some(Self::Send { to, fcb: control.fcb(), ci, data }),
                }
            }
            _ => None,
        }
    }

    /// Writes its frame.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has too little room, or the data of a [`Request::Send`] too many bytes.
    pub fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let short = |control, address| Frame::Short { control, address };
        let long = |address, fcb, ci, data| {
            Frame::Long(Long { control: Control::SND_UD.with_fcb(fcb), address, ci, data })
        };
        match *self {
            Self::Reset(to) => short(Control::SND_NKE, to).write(w),
            Self::Data { to, fcb } => short(Control::REQ_UD2.with_fcb(fcb), to).write(w),
            Self::Alarm { to, fcb } => short(Control::REQ_UD1.with_fcb(fcb), to).write(w),
            Self::Select(selection) => {
                let (data, len) = selection_bytes(&selection);
                let data = data.get(..len).unwrap_or_default();
                long(Primary::SELECTED, false, ci::SELECT, data).write(w)
            }
            Self::SetBaud { to, baud } => long(to, false, baud.ci(), &[]).write(w),
            Self::Send { to, fcb, ci, data } => long(to, fcb, ci, data).write(w),
        }
    }

    /// The data of a [`Request::Send`] (CI [`ci::DATA`]) that gives a meter a primary address;
    /// `None` if no meter can have it.
    pub const fn set_address(new: Primary) -> Option<[u8; 3]> {
        if new.is_of_a_meter() { Some([0x01, 0x7A, new.0]) } else { None }
    }

    /// The data of a [`Request::Send`] (CI [`ci::DATA`]) that gives a meter a new number.
    pub const fn set_id(new: Id) -> [u8; 6] {
        let [a, b, c, d] = new.0.to_le_bytes();
        [0x0C, 0x79, a, b, c, d]
    }

    /// The data of a [`Request::Send`] (CI [`ci::DATA`]) that sets a meter's clock, to the minute.
    pub fn set_clock(date: Date, time: Time) -> [u8; 6] {
        let [a, b, c, d] = write_f(date, time).to_le_bytes();
        [0x04, 0x6D, a, b, c, d]
    }

    /// The data of a [`Request::Send`] (CI [`ci::DATA`]) that sets a meter's clock, to the second
    /// (type I).
    pub fn set_clock_to_the_second(date: Date, time: Time) -> [u8; 8] {
        let [second, minute, hour, day, month, week, ..] = write_i(date, time).to_le_bytes();
        [0x06, 0x6D, second, minute, hour, day, month, week]
    }

    /// The data of a [`Request::Send`] (CI [`Self::SYNCHRONISE_CLOCK`]) that sets the clock of a
    /// meter of the Open Metering System: "set", the time as type I, three bytes that are reserved.
    pub fn synchronise_clock(date: Date, time: Time) -> [u8; 10] {
        let [second, minute, hour, day, month, week, ..] = write_i(date, time).to_le_bytes();
        [0x00, second, minute, hour, day, month, week, 0, 0, 0]
    }

    /// To a meter: this is the time.
    pub const SYNCHRONISE_CLOCK: u8 = 0x6C;
}

fn read_selection(data: &[u8]) -> Option<Selection> {
    let order = ByteOrder::LsbFirst;
    let (&id, rest) = data.split_first_chunk()?;
    let (&manufacturer, rest) = rest.split_first_chunk()?;
    let (&[version, medium], rest) = rest.split_first_chunk()?;
    let fabrication = match *rest {
        [] => None,
        [0x0C, 0x78, a, b, c, d] => Some(order.u32([a, b, c, d])),
        _ => return None,
    };
    let (id, manufacturer) = (order.u32(id), order.u16(manufacturer));
    Some(Selection { id, manufacturer, version, medium, fabrication })
}

fn selection_bytes(selection: &Selection) -> ([u8; 14], usize) {
    let Selection { id, manufacturer, version, medium, fabrication } = *selection;
    let [i0, i1, i2, i3] = id.to_le_bytes();
    let [m0, m1] = manufacturer.to_le_bytes();
    let [f0, f1, f2, f3] = fabrication.unwrap_or_default().to_le_bytes();
    let bytes = [i0, i1, i2, i3, m0, m1, version, medium, 0x0C, 0x78, f0, f1, f2, f3];
    (bytes, if fabrication.is_some() { 14 } else { 8 })
}

/// The speeds that meters can be told to talk at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the bits in a second")]
pub enum Baud {
    B300,
    B600,
    B1200,
    B2400,
    B4800,
    B9600,
    B19200,
    B38400,
}

impl Baud {
    /// The one of this many bits in a second.
    pub fn of(bits_per_second: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|baud| baud.bits_per_second() == bits_per_second)
    }

    /// Bits in a second.
    pub const fn bits_per_second(self) -> u32 {
        match self {
            Self::B300 => 300,
            Self::B600 => 600,
            Self::B1200 => 1200,
            Self::B2400 => 2400,
            Self::B4800 => 4800,
            Self::B9600 => 9600,
            Self::B19200 => 19_200,
            Self::B38400 => 38_400,
        }
    }

    const fn ci(self) -> u8 {
        FIRST_BAUD_CI + self as u8
    }

    fn of_ci(ci: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|baud| baud.ci() == ci)
    }

    /// From the slowest to the fastest.
    pub const ALL: [Self; 8] = [
        Self::B300,
        Self::B600,
        Self::B1200,
        Self::B2400,
        Self::B4800,
        Self::B9600,
        Self::B19200,
        Self::B38400,
    ];
}

const FIRST_BAUD_CI: u8 = 0xB8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the request, and reads it back as a meter would.
    #[track_caller]
    fn check(request: Request<'_>, expected: &[u8]) {
        let mut buffer = [0; Frame::MAX_LEN];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(request.write(&mut w), Ok(()));
        let written = w.written();
        assert_eq!(written, expected);
        assert_eq!(Request::read(&Frame::read(written).unwrap()), Some(request));
    }

    #[test]
    fn short_frames() {
        check(Request::Reset(Primary(1)), &[0x10, 0x40, 0x01, 0x41, 0x16]);
        let data = Request::Data { to: Primary(1), fcb: true };
        check(data, &[0x10, 0x7B, 0x01, 0x7C, 0x16]);
        let alarm = Request::Alarm { to: Primary(1), fcb: false };
        check(alarm, &[0x10, 0x5A, 0x01, 0x5B, 0x16]);
    }

    #[test]
    fn selections() {
        let selection: Selection = "67001122KAM3504".parse().unwrap();
        check(
            Request::Select(selection),
            &[
                0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0x22, 0x11, 0x00, 0x67, 0x2D, 0x2C, 0x35,
                0x04, 0xCE, 0x16,
            ],
        );
        check(
            Request::Select(Selection { fabrication: Some(0x1234_5678), ..Selection::ALL }),
            &[
                0x68, 0x11, 0x11, 0x68, 0x53, 0xFD, 0x52, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                0xFF, 0x0C, 0x78, 0x78, 0x56, 0x34, 0x12, 0x32, 0x16,
            ],
        );
    }

    #[test]
    fn settings() {
        let baud = Request::SetBaud { to: Primary(5), baud: Baud::B9600 };
        check(baud, &[0x68, 0x03, 0x03, 0x68, 0x53, 0x05, 0xBD, 0x15, 0x16]);
        let data = Request::set_address(Primary(7)).unwrap();
        let send = Request::Send { to: Primary(0), fcb: true, ci: ci::DATA, data: &data };
        check(send, &[0x68, 0x06, 0x06, 0x68, 0x73, 0x00, 0x51, 0x01, 0x7A, 0x07, 0x46, 0x16]);
        assert_eq!(Request::set_address(Primary(251)), None);
    }

    #[test]
    fn clocks() {
        let date = Date::new(2026, 11, 22).unwrap();
        let time = Time::new(13, 45, Some(10)).unwrap();
        assert_eq!(Request::set_clock(date, time), [0x04, 0x6D, 45, 13, 0x56, 0x3B]);
        let to_the_second = Request::set_clock_to_the_second(date, time);
        assert_eq!(to_the_second, [0x06, 0x6D, 10, 45, 13, 0x56, 0x3B, 0]);
        assert_eq!(Request::synchronise_clock(date, time), [0, 10, 45, 13, 0x56, 0x3B, 0, 0, 0, 0]);
    }

    #[test]
    fn a_meters_answer_is_no_request() {
        let answer = Frame::Short { control: Control::RSP_UD, address: Primary(1) };
        assert_eq!(Request::read(&answer), None);
        assert_eq!(Request::read(&Frame::Ack), None);
    }
}
