//! The pieces of what only radio frames have: link, checksums, extended link layer, compact data.
//!
//! The pieces are cut out of the frame without checksums. These are put back between them at the
//! end ([`Framed`]), and where one stands in the middle of a piece, the piece goes on behind it.

use super::{Layer, Meaning, Piece, Walk, first, number};
use crate::radio::{Framing, Mac, Session};
use crate::{ByteOrder, Control, Encoding, Id, Manufacturer, Medium, Records};

impl<'a> Walk<'a, '_> {
    /// A radio frame without its checksums.
    pub(super) fn radio(&mut self) {
        self.link(1, |bytes| Meaning::RadioLength(first(bytes)));
        self.link(1, |bytes| Meaning::RadioControl(Control(first(bytes))));
        self.sender(Layer::Link);
        if let Some(0x8C..=0x8F) = self.rest.first() {
            self.ell();
        }
        self.afl();
        let ci = first(self.rest);
        self.link(1, |bytes| Meaning::RadioCi(first(bytes)));
        self.body(ci, false);
    }

    /// An address as radio has it.
    fn sender(&mut self, layer: Layer) {
        let order = ByteOrder::LsbFirst;
        self.piece(2, layer, |bytes| Meaning::Manufacturer(Manufacturer(number(order, bytes))));
        self.piece(4, layer, |bytes| Meaning::Id(Id(number(order, bytes))));
        self.piece(1, layer, |bytes| Meaning::Version(first(bytes)));
        self.piece(1, layer, |bytes| Meaning::Medium(Medium::new(first(bytes))));
    }

    fn ell(&mut self) {
        let ci = first(self.rest);
        self.piece(1, Layer::Ell, |_| Meaning::Ci(ci));
        self.piece(1, Layer::Ell, |bytes| Meaning::EllControl(first(bytes)));
        self.piece(1, Layer::Ell, |bytes| Meaning::AccessNumber(first(bytes)));
        if matches!(ci, 0x8E | 0x8F) {
            self.sender(Layer::Ell);
        }
        if matches!(ci, 0x8D | 0x8F) {
            let session = Session(number(ByteOrder::LsbFirst, self.rest.get(..4).unwrap_or(&[])));
            self.piece(4, Layer::Ell, |_| Meaning::Session(session));
            if self.known.ell_is_sealed {
                let mode = session.mode();
                self.all(Layer::Unread, |_| Meaning::Sealed { mode });
            }
            self.piece(2, Layer::Ell, |_| Meaning::PayloadChecksum);
        }
    }

    /// The authentication and fragmentation layer, if there is one.
    pub(super) fn afl(&mut self) {
        if self.rest.first() != Some(&0x90) {
            return;
        }
        let layer = Layer::Afl;
        self.piece(1, layer, |_| Meaning::Ci(0x90));
        let len = first(self.rest);
        self.piece(1, layer, |_| Meaning::AflLength(len));

        let (own, behind) = self.rest.split_at(usize::from(len).min(self.rest.len()));
        self.rest = own;
        let has: u16 = number(ByteOrder::LsbFirst, own.get(..2).unwrap_or(&[]));
        let has = |bit: u16| has >> bit & 1 == 1;
        self.piece(2, layer, |bytes| Meaning::AflFragment(first(bytes)));
        let mut mac_len = 0;
        if has(13) {
            mac_len = Mac::len_of(first(self.rest));
            self.piece(1, layer, |_| Meaning::AflControl);
        }
        if has(9) {
            self.piece(2, layer, |_| Meaning::AflKeyInformation);
        }
        if has(11) {
            let order = ByteOrder::LsbFirst;
            self.piece(4, layer, |bytes| Meaning::AflCounter(number(order, bytes)));
        }
        if has(10) {
            let right = self.known.mac_ok;
            self.piece(mac_len, layer, |_| Meaning::AflMac { right });
            if mac_len == 0 {
                self.all(Layer::Unread, |_| Meaning::Unknown);
            }
        }
        if has(12) {
            self.piece(2, layer, |_| Meaning::AflMessageLength);
        }
        self.all(Layer::Unread, |_| Meaning::Unknown);
        self.rest = behind;
    }

    /// The data of records whose DIBs and VIBs another frame has told.
    pub(super) fn compact(&mut self) {
        if self.known.is_opened && self.rest.starts_with(&[0x2F, 0x2F]) {
            self.piece(2, Layer::Application, |_| Meaning::Filler);
        }
        let order = ByteOrder::LsbFirst;
        self.piece(2, Layer::Application, |bytes| Meaning::FormatSignature(number(order, bytes)));
        self.piece(2, Layer::Application, |_| Meaning::FullChecksum);
        if let Some(records) = self.known.rebuilt.take() {
            self.compact_records(records);
            if self.rest.iter().all(|byte| *byte == 0x2F) {
                self.all(Layer::Application, |_| Meaning::Filler);
            }
        }
        self.all(Layer::Unread, |_| Meaning::CompactData);
    }

    fn compact_records(&mut self, records: Records<'a>) {
        for (number, record) in (0..).zip(records.filter_map(Result::ok)) {
            let mut len = record.data().len();
            if record.dib.encoding == Encoding::Variable {
                self.piece(1, Layer::Record(number), |bytes| Meaning::Lvar(first(bytes)));
                len = len.saturating_sub(1);
            }
            self.piece(len, Layer::Record(number), |_| Meaning::Told(record));
        }
    }
}

/// Puts the checksums of a radio frame back between its pieces.
pub(super) struct Framed<'a, 'f> {
    /// As it was received.
    pub(super) raw: &'a [u8],
    /// How many bytes it has without its checksums.
    pub(super) bare_len: usize,
    pub(super) framing: Framing,
    pub(super) each: &'f mut dyn FnMut(Piece<'a>),
}

impl<'a> Framed<'a, '_> {
    pub(super) fn give(&mut self, mut piece: Piece<'a>) {
        loop {
            let block_end = self.block_end(piece.at);
            let (bytes, rest) =
                piece.bytes.split_at(piece.bytes.len().min(block_end.saturating_sub(piece.at)));
            let end = piece.at + bytes.len();
            let at = self.raw_place(piece.at);
            (self.each)(Piece { at, bytes, ..piece });
            if end == block_end && self.framing != Framing::Bare {
                let at = self.raw_place(end.saturating_sub(1)) + 1;
                if let Some(bytes @ [_, _]) = self.raw.get(at..at + 2) {
                    let (layer, meaning) = (Layer::Link, Meaning::BlockChecksum);
                    (self.each)(Piece { at, bytes, layer, meaning, continued: false });
                }
            }
            if rest.is_empty() {
                return;
            }
            piece = Piece { at: end, bytes: rest, continued: true, ..piece };
        }
    }

    /// Where the block ends in which the byte `at` stands, both counted without checksums.
    fn block_end(&self, at: usize) -> usize {
        let end = match self.framing {
            Framing::A if at < 10 => 10,
            Framing::A => at + 16 - (at - 10) % 16,
            Framing::B if at < 126 => 126,
            Framing::B | Framing::Bare => usize::MAX,
        };
        end.min(self.bare_len.max(at + 1))
    }

    /// Where the byte `at` stood among the checksums.
    const fn raw_place(&self, at: usize) -> usize {
        let checksums = match self.framing {
            Framing::A if at >= 10 => 1 + (at - 10) / 16,
            Framing::B if at >= 126 => 1,
            Framing::A | Framing::B | Framing::Bare => 0,
        };
        at + 2 * checksums
    }
}
