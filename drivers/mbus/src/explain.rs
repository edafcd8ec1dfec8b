//! Every byte of a telegram with its meaning, for people who look at a telegram byte by byte.
//!
//! ```text
//! 68      start of a long frame
//! 1F 1F   length …
//! 0C      8 decimal digits, current value
//! 14      volume, steps of 0.01 m3
//! 27 …    = 28504.27 m3
//! ```
//!
//! [`pieces`] gives [`Piece`]s, first byte first. It is more patient than the readers of this
//! crate: what is wrong is a piece that says so, what stands around it is explained all the same,
//! and what cannot be understood is a piece, too.
//!
//! **Invariant:** the pieces follow each other without a gap from the first byte to the last, so
//! each byte is in just one of them, whatever the bytes are. None is empty.
//!
//! **Never true:** a value that [`Record::value`] would not tell is told here.
//!
//! Source: as for the readers of the parts.

mod records;
#[cfg(test)]
mod tests;
mod words;

use core::ops::Range;

use crate::{
    ApplicationError, ByteOrder, Configuration, Control, Fixed, Flaw, Id, Latin1, Manufacturer,
    Medium, Modifier, Primary, Reader, Record, Status, ci, vib,
};

/// Some bytes that mean one thing.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Offset of the first of them, counted from the first of the frame.
    pub at: usize,
    /// At least one.
    pub bytes: &'a [u8],
    /// What they are a part of.
    pub layer: Layer,
    /// What they say; `Display` has it in words.
    pub meaning: Meaning<'a>,
}

impl Piece<'_> {
    /// Where its bytes stand.
    pub const fn range(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }
}

/// What a piece is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The frame: start, length, control, address, CI, checksum, stop.
    Link,
    /// What stands before the records.
    Header,
    /// A record, counted from 0.
    Record(u16),
    /// The application's data that are no records.
    Application,
    /// What nobody can read.
    Unread,
}

impl Layer {
    /// A code for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Header => "header",
            Self::Record(_) => "record",
            Self::Application => "application",
            Self::Unread => "unread",
        }
    }

    /// Which record, counted from 0.
    pub const fn record(self) -> Option<u16> {
        match self {
            Self::Record(number) => Some(number),
            _ => None,
        }
    }
}

/// What bytes say. [`Display`](core::fmt::Display) has it in words, [`Meaning::code`] for programs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Meaning<'a> {
    /// The single character that acknowledges.
    Ack,
    /// Of a short frame.
    ShortStart,
    /// Of a long frame.
    LongStart,
    /// How many bytes from the control field to the last of the data.
    Length(u8),
    /// The same again, and whether it is the same.
    LengthAgain {
        /// Whether it is.
        same: bool,
    },
    /// The second start byte.
    StartAgain {
        /// Whether it is one.
        right: bool,
    },
    /// Who speaks, and what is asked or answered.
    Control(Control),
    /// Whom it is for, or who says it.
    Address(Primary),
    /// What is in the frame.
    Ci(u8),
    /// The sum of the bytes from the control field to the last of the data.
    Checksum {
        /// As it should be.
        right: u8,
        /// As it is.
        found: u8,
    },
    /// The end of the frame.
    Stop {
        /// Whether it is 16.
        right: bool,
    },

    /// A meter's number.
    Id(Id),
    /// Who made it.
    Manufacturer(Manufacturer),
    /// The generation of its maker's type.
    Version(u8),
    /// What it counts.
    Medium(Medium),
    /// Counts the answers.
    AccessNumber(u8),
    /// How the meter is.
    Status(Status),
    /// Whether and how the records are encrypted.
    Configuration(Configuration),
    /// The byte that mode 7 has behind the configuration field.
    ConfigurationExtension,
    /// The medium's bits and the unit of a counter of the fixed structure.
    FixedUnit {
        /// Which of the two counters, from 1.
        counter: u8,
    },

    /// What a selection leaves open, or asks for.
    Wanted(Wanted),
    /// The telegram that a meter is to begin with.
    ApplicationReset(u8),
    /// Why a meter refuses.
    ApplicationError(ApplicationError),
    /// The bits of an alarm, which are the manufacturer's.
    Alarm(u8),

    /// Says nothing.
    Filler,
    /// How a number is coded, and which one it is.
    Dif(u8),
    /// More of which number it is.
    Dife {
        /// The byte.
        dife: u8,
        /// Which of them, from 0.
        place: u8,
    },
    /// What the number is of.
    Vif(Vif),
    /// The code of the number stands in another table, behind this byte.
    VifTable(u8),
    /// The length of a unit in plain text.
    UnitLength(u8),
    /// A unit in plain text.
    UnitText(Latin1<'a>),
    /// More of what the number is of.
    Vife(Modifier),
    /// The length and the coding of the data.
    Lvar(u8),
    /// The number.
    Data(Record<'a>),
    /// "All of it, please."
    GlobalReadout,
    /// What follows is the manufacturer's own.
    ManufacturerMark {
        /// And the meter has a further telegram.
        more_follow: bool,
    },
    /// The manufacturer's own.
    ManufacturerData,

    /// Encrypted records.
    Sealed {
        /// How.
        mode: u8,
    },
    /// A record breaks off or cannot be.
    Broken {
        /// The byte at fault.
        at: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The data of a CI that is not read here.
    Unknown,
    /// Bytes behind the end of the frame.
    Surplus,
    /// Bytes that are no frame, or of a frame whose beginning is wrong.
    NoFrame,
}

/// What a VIF says before its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Vif {
    meaning: vib::Meaning,
    /// A VIFE follows.
    more: bool,
}

/// A field of a selection, which may be a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Eight digits, F for any.
    Id(u32),
    /// FFFF for any.
    Manufacturer(u16),
    /// FF for any.
    Version(u8),
    /// FF for any.
    Medium(u8),
}

/// Calls `each` with every piece of `frame`, a frame of a wire, from the first byte to the last.
///
/// ```
/// let mut words = Vec::new();
/// mbus::explain::pieces(&[0x10, 0x5B, 0x05, 0x60, 0x16], &mut |piece| {
///     words.push(format!("{:2}: {}", piece.at, piece.meaning));
/// });
/// assert_eq!(words[2], " 2: primary address 5");
/// ```
pub fn pieces<'a>(frame: &'a [u8], each: &mut dyn FnMut(Piece<'a>)) {
    let mut walk = Walk { rest: frame, at: 0, each };
    match frame.first() {
        Some(0xE5) => walk.link(1, |_| Meaning::Ack),
        Some(0x10) => walk.short(),
        Some(0x68) => walk.long(),
        _ => walk.piece(frame.len(), Layer::Unread, |_| Meaning::NoFrame),
    }
    walk.all(Layer::Unread, |_| Meaning::Surplus);
}

/// Cuts pieces off the front.
struct Walk<'a, 'f> {
    rest: &'a [u8],
    at: usize,
    each: &'f mut dyn FnMut(Piece<'a>),
}

impl<'a> Walk<'a, '_> {
    /// The next `len` bytes, or what is left of them, are one piece. Nothing is no piece.
    fn piece(&mut self, len: usize, layer: Layer, meaning: impl FnOnce(&'a [u8]) -> Meaning<'a>) {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        if !bytes.is_empty() {
            (self.each)(Piece { at: self.at, bytes, layer, meaning: meaning(bytes) });
        }
        self.rest = rest;
        self.at += bytes.len();
    }

    fn all(&mut self, layer: Layer, meaning: impl FnOnce(&'a [u8]) -> Meaning<'a>) {
        self.piece(self.rest.len(), layer, meaning);
    }

    fn link(&mut self, len: usize, meaning: impl FnOnce(&'a [u8]) -> Meaning<'a>) {
        self.piece(len, Layer::Link, meaning);
    }

    fn header(&mut self, len: usize, meaning: impl FnOnce(&'a [u8]) -> Meaning<'a>) {
        // A header that breaks off is told as such, once.
        if self.rest.len() < len {
            self.all(Layer::Unread, |_| Meaning::Unknown);
        } else {
            self.piece(len, Layer::Header, meaning);
        }
    }

    fn reader(&self) -> Reader<'a> {
        Reader::at(self.rest, self.at)
    }

    fn short(&mut self) {
        let sum = self.rest.iter().skip(1).take(2).fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        self.link(1, |_| Meaning::ShortStart);
        self.control_and_address();
        self.link(1, |bytes| Meaning::Checksum { right: sum, found: first(bytes) });
        self.link(1, |bytes| Meaning::Stop { right: first(bytes) == 0x16 });
    }

    fn long(&mut self) {
        let len = match *self.rest {
            [_, len, again, start, ..] if len == again && start == 0x68 && len >= 3 => len,
            _ => 0,
        };
        let told = self.rest.get(1).copied();
        self.link(1, |_| Meaning::LongStart);
        self.link(1, |bytes| Meaning::Length(first(bytes)));
        self.link(1, |bytes| Meaning::LengthAgain { same: bytes.first().copied() == told });
        self.link(1, |bytes| Meaning::StartAgain { right: first(bytes) == 0x68 });
        if len == 0 {
            return self.all(Layer::Unread, |_| Meaning::NoFrame);
        }
        let summed = self.rest.get(..usize::from(len)).unwrap_or(self.rest);
        let sum = summed.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let control = self.rest.first().copied().map(Control);
        let ci = self.rest.get(2).copied().unwrap_or_default();
        self.control_and_address();
        self.link(1, |bytes| Meaning::Ci(first(bytes)));

        let (body, behind) = self.rest.split_at((usize::from(len) - 3).min(self.rest.len()));
        self.rest = body;
        self.body(ci, control.is_some_and(Control::to_meter));
        self.rest = behind;
        self.link(1, |bytes| Meaning::Checksum { right: sum, found: first(bytes) });
        self.link(1, |bytes| Meaning::Stop { right: first(bytes) == 0x16 });
    }

    fn control_and_address(&mut self) {
        self.link(1, |bytes| Meaning::Control(Control(first(bytes))));
        self.link(1, |bytes| Meaning::Address(Primary(first(bytes))));
    }

    /// What is behind the CI, to its last byte.
    fn body(&mut self, ci: u8, to_meter: bool) {
        match ci {
            ci::APPLICATION_RESET if to_meter => {
                self.piece(1, Layer::Application, |bytes| Meaning::ApplicationReset(first(bytes)));
            }
            ci::DATA if to_meter => self.records(ByteOrder::LsbFirst),
            ci::SELECT if to_meter => self.selection(),
            ci::ERROR => self.piece(1, Layer::Application, |bytes| {
                Meaning::ApplicationError(ApplicationError(bytes.first().copied()))
            }),
            ci::ALARM => {
                self.piece(1, Layer::Application, |bytes| Meaning::Alarm(first(bytes)));
            }
            ci::RECORDS => {
                self.address(ByteOrder::LsbFirst);
                self.short_header(ByteOrder::LsbFirst);
            }
            ci::RECORDS_MSB_FIRST => {
                self.address(ByteOrder::MsbFirst);
                self.short_header(ByteOrder::MsbFirst);
            }
            ci::RECORDS_SHORT_HEADER => self.short_header(ByteOrder::LsbFirst),
            ci::RECORDS_WITHOUT_HEADER => self.records(ByteOrder::LsbFirst),
            ci::FIXED => self.fixed(ByteOrder::LsbFirst),
            ci::FIXED_MSB_FIRST => self.fixed(ByteOrder::MsbFirst),
            _ => {}
        }
        self.all(Layer::Unread, |_| Meaning::Unknown);
    }

    fn address(&mut self, order: ByteOrder) {
        self.header(4, |bytes| Meaning::Id(Id(number(order, bytes))));
        self.header(2, |bytes| Meaning::Manufacturer(Manufacturer(number(order, bytes))));
        self.header(1, |bytes| Meaning::Version(first(bytes)));
        self.header(1, |bytes| Meaning::Medium(Medium::new(first(bytes))));
    }

    /// The short header, or the end of the long one, and what it announces.
    fn short_header(&mut self, order: ByteOrder) {
        self.header(1, |bytes| Meaning::AccessNumber(first(bytes)));
        self.header(1, |bytes| Meaning::Status(Status(first(bytes))));
        let field = self.rest.get(..2).map(|bytes| Configuration(number(order, bytes)));
        let Some(field) = field else { return self.all(Layer::Unread, |_| Meaning::Unknown) };
        self.header(2, |_| Meaning::Configuration(field));
        if field.mode() == 7 {
            self.header(1, |_| Meaning::ConfigurationExtension);
        }
        let mode = field.mode();
        let plain = matches!(mode, 5 | 7) && self.rest.starts_with(&[0x2F, 0x2F]);
        if field.is_encrypted_on_a_wire() && !plain {
            self.all(Layer::Application, |_| Meaning::Sealed { mode });
        } else {
            self.records(order);
        }
    }

    /// What a master wants to select.
    fn selection(&mut self) {
        let order = ByteOrder::LsbFirst;
        self.header(4, |bytes| Meaning::Wanted(Wanted::Id(number(order, bytes))));
        self.header(2, |bytes| Meaning::Wanted(Wanted::Manufacturer(number(order, bytes))));
        self.header(1, |bytes| Meaning::Wanted(Wanted::Version(first(bytes))));
        self.header(1, |bytes| Meaning::Wanted(Wanted::Medium(first(bytes))));
        self.records(order);
    }

    fn fixed(&mut self, order: ByteOrder) {
        let at = self.at + self.rest.len();
        let Ok((header, records)) = Fixed::read(&mut self.reader(), order) else {
            let flaw = Flaw::FixedLength(self.rest.len());
            return self.all(Layer::Unread, |_| Meaning::Broken { at, flaw });
        };
        self.header(4, |bytes| Meaning::Id(Id(number(order, bytes))));
        self.header(1, |bytes| Meaning::AccessNumber(first(bytes)));
        self.header(1, |bytes| Meaning::Status(Status(first(bytes))));
        debug_assert!(header.medium.is_some());
        self.header(1, |_| Meaning::FixedUnit { counter: 1 });
        self.header(1, |_| Meaning::FixedUnit { counter: 2 });
        for (number, record) in (0..).zip(records.filter_map(Result::ok)) {
            self.piece(4, Layer::Record(number), |_| Meaning::Data(record));
        }
    }
}

fn first(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or_default()
}

/// A number of four or two bytes, from just as many.
fn number<N: TryFrom<u64> + Default>(order: ByteOrder, bytes: &[u8]) -> N {
    N::try_from(order.u64(bytes)).unwrap_or_default()
}
