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
//! [`pieces`] gives the [`Piece`]s of a wired frame, [`of_heard`] those of any frame that a
//! [`Listener`](crate::radio::Listener) has heard, decrypted where it was; first byte first. Both
//! are more patient than the readers of this crate: what is wrong is a piece that says so, what
//! stands around it is explained all the same, and what cannot be understood is a piece, too.
//!
//! **Invariant:** the pieces follow each other without a gap from the first byte to the last, so
//! each byte is in just one of them, whatever the bytes are. None is empty.
//!
//! **Never true:** a value that [`Record::value`] would not tell is told here.
//!
//! Source: as for the readers of the parts.

mod by_radio;
mod records;
#[cfg(test)]
mod tests;
mod words;

use core::ops::Range;

use crate::radio::{self, Heard, Link, Session, State};
use crate::{
    ApplicationError, ByteOrder, Configuration, Content, Control, DecodeError, Fixed, Flaw, Id,
    Latin1, Long, Manufacturer, Medium, Modifier, Primary, Reader, Record, Records, Status, ci,
    vib,
};

/// Some bytes that mean one thing.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Offset of the first of them, counted from the first of the frame.
    pub at: usize,
    /// At least one; where they were encrypted and a key was right, as they are decrypted.
    pub bytes: &'a [u8],
    /// What they are a part of.
    pub layer: Layer,
    /// What they say; `Display` has it in words.
    pub meaning: Meaning<'a>,
    /// The piece before the last one goes on: a checksum of radio stands in the middle of it.
    pub continued: bool,
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
    /// The extended link layer of radio.
    Ell,
    /// The authentication and fragmentation layer.
    Afl,
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
            Self::Ell => "ell",
            Self::Afl => "afl",
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

    /// How many bytes follow.
    RadioLength(u8),
    /// Who speaks by radio, and why.
    RadioControl(Control),
    /// What is in the radio frame: some CIs mean something else than on a wire.
    RadioCi(u8),
    /// The checksum of the block before.
    BlockChecksum,
    /// Of the extended link layer.
    EllControl(u8),
    /// Of the extended link layer: its number, and how it is encrypted.
    Session(Session),
    /// Of what follows the extended link layer.
    PayloadChecksum,
    /// How many bytes of the authentication and fragmentation layer follow.
    AflLength(u8),
    /// Which piece of a message this is, and which fields follow.
    AflFragment(u8),
    /// How the message is authenticated.
    AflControl,
    /// Which key.
    AflKeyInformation,
    /// Counts the messages, for their keys.
    AflCounter(u32),
    /// Proves who sent the message.
    AflMac {
        /// Whether it is right; `None` if no key was tried.
        right: Option<bool>,
    },
    /// Of a message in several pieces.
    AflMessageLength,

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
    /// Two of the medium's bits, and the unit of a counter of the fixed structure.
    FixedUnit {
        /// Which of the two counters, from 1.
        counter: u8,
        /// The counter.
        record: Record<'a>,
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
    /// A number whose DIB and VIB a full frame has told.
    Told(Record<'a>),
    /// Names the full frame that has told the DIBs and VIBs.
    FormatSignature(u16),
    /// Of the full frame.
    FullChecksum,
    /// Numbers that nobody has told the DIBs and VIBs of.
    CompactData,
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
    Walk { rest: frame, at: 0, each, known: Known::default() }.wired(None);
}

/// The same for a frame of any kind, `raw`, and what a [`Listener`](crate::radio::Listener) has
/// heard in it.
pub fn of_heard<'a>(raw: &'a [u8], heard: &Heard<'a>, each: &mut dyn FnMut(Piece<'a>)) {
    let is_of = |layer, opened: bool| {
        heard.envelope.encryption.is_some_and(|it| {
            let open = matches!(it.state, State::Decrypted | State::PlainMarked);
            it.layer == layer && open == opened
        })
    };
    let compact = match heard.envelope.ci {
        Some(0x79 | 0x7B) => true,
        Some(ci::FIXED) => matches!(heard.envelope.link, Some(Link::Radio(_))),
        _ => false,
    };
    let rebuilt = match &heard.content {
        Ok(Content::Records(records)) if compact => Some(records.clone()),
        _ => None,
    };
    let known = Known {
        is_opened: is_of(radio::Layer::Tpl, true),
        is_sealed: Some(is_of(radio::Layer::Tpl, false)),
        ell_is_sealed: is_of(radio::Layer::Ell, false),
        mac_ok: heard.envelope.mac_ok,
        rebuilt,
        is_radio: false,
    };
    match (heard.envelope.link, &heard.content) {
        (Some(Link::Radio(link)), _) => {
            let (bare, framing) = (heard.frame, link.framing);
            let mut framed = by_radio::Framed { raw, bare_len: bare.len(), framing, each };
            let mut each = |piece| framed.give(piece);
            let known = Known { is_radio: true, ..known };
            Walk { rest: bare, at: 0, each: &mut each, known }.radio();
        }
        (None, &Err(DecodeError { at, flaw: flaw @ Flaw::Radio(_) })) => {
            let mut walk = Walk { rest: raw, at: 0, each, known };
            walk.all(Layer::Unread, |_| Meaning::Broken { at, flaw });
        }
        _ => Walk { rest: raw, at: 0, each, known }.wired(Some(heard.frame)),
    }
}

/// Cuts pieces off the front.
struct Walk<'a, 'f> {
    rest: &'a [u8],
    at: usize,
    each: &'f mut dyn FnMut(Piece<'a>),
    known: Known<'a>,
}

/// What is known of a frame beforehand.
#[derive(Default)]
struct Known<'a> {
    is_radio: bool,
    /// What the header calls encrypted has been decrypted, or was plain.
    is_opened: bool,
    /// What the header calls encrypted is; `None` where nobody has tried.
    is_sealed: Option<bool>,
    ell_is_sealed: bool,
    mac_ok: Option<bool>,
    /// The full records that a compact frame stands for.
    rebuilt: Option<Records<'a>>,
}

impl<'a> Walk<'a, '_> {
    /// A frame of a wire, whose telegram stands decrypted in `opened`.
    fn wired(&mut self, opened: Option<&'a [u8]>) {
        match self.rest.first() {
            Some(0xE5) => self.link(1, |_| Meaning::Ack),
            Some(0x10) => self.short(),
            Some(0x68) => self.long(opened),
            _ => self.all(Layer::Unread, |_| Meaning::NoFrame),
        }
        self.all(Layer::Unread, |_| Meaning::Surplus);
    }

    /// The next `len` bytes, or what is left of them, are one piece. Nothing is no piece.
    fn piece(&mut self, len: usize, layer: Layer, meaning: impl FnOnce(&'a [u8]) -> Meaning<'a>) {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        if !bytes.is_empty() {
            let (at, meaning) = (self.at, meaning(bytes));
            (self.each)(Piece { at, bytes, layer, meaning, continued: false });
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

    fn long(&mut self, opened: Option<&'a [u8]>) {
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
        self.control_and_address();

        let (body, behind) = self.rest.split_at((usize::from(len) - 2).min(self.rest.len()));
        let opened = opened.and_then(|frame| frame.get(Long::DATA_AT - 1..));
        self.rest = opened.filter(|opened| opened.len() == body.len()).unwrap_or(body);
        self.afl();
        let ci = first(self.rest);
        self.link(1, |bytes| Meaning::Ci(first(bytes)));
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
                self.short_header(ci, ByteOrder::LsbFirst);
            }
            ci::RECORDS_MSB_FIRST => {
                self.address(ByteOrder::MsbFirst);
                self.short_header(ci, ByteOrder::MsbFirst);
            }
            ci::RECORDS_SHORT_HEADER => self.short_header(ci, ByteOrder::LsbFirst),
            ci::RECORDS_WITHOUT_HEADER => self.records(ByteOrder::LsbFirst),
            0x79 => self.compact(),
            0x7B => self.short_header(ci, ByteOrder::LsbFirst),
            ci::FIXED if self.known.is_radio => {
                self.address(ByteOrder::LsbFirst);
                self.short_header(ci, ByteOrder::LsbFirst);
            }
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
    fn short_header(&mut self, ci: u8, order: ByteOrder) {
        self.header(1, |bytes| Meaning::AccessNumber(first(bytes)));
        self.header(1, |bytes| Meaning::Status(Status(first(bytes))));
        let field = self.rest.get(..2).map(|bytes| Configuration(number(order, bytes)));
        let Some(field) = field else { return self.all(Layer::Unread, |_| Meaning::Unknown) };
        self.header(2, |_| Meaning::Configuration(field));
        if field.mode() == 7 {
            self.header(1, |_| Meaning::ConfigurationExtension);
        }
        let mode = field.mode();
        let is_sealed = self.known.is_sealed.unwrap_or_else(|| {
            let records = Records::new(self.reader(), order);
            let plain = matches!(mode, 5 | 7) && records.are_plain_all_the_same();
            field.is_encrypted_on_a_wire() && !plain
        });
        match ci {
            _ if is_sealed => self.all(Layer::Unread, |_| Meaning::Sealed { mode }),
            0x7B | ci::FIXED => self.compact(),
            _ => self.records(order),
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
        let Ok((_, records)) = Fixed::read(&mut self.reader(), order) else {
            let flaw = Flaw::FixedLength(self.rest.len());
            return self.all(Layer::Unread, |_| Meaning::Broken { at, flaw });
        };
        self.header(4, |bytes| Meaning::Id(Id(number(order, bytes))));
        self.header(1, |bytes| Meaning::AccessNumber(first(bytes)));
        self.header(1, |bytes| Meaning::Status(Status(first(bytes))));
        let counters = || records.clone().filter_map(Result::ok);
        for (counter, record) in (1..).zip(counters()) {
            self.header(1, |_| Meaning::FixedUnit { counter, record });
        }
        for (number, record) in (0..).zip(counters()) {
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
