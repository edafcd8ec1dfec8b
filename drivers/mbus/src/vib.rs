//! The value information block: what the number is of, its unit and its power of ten.
//!
//! ```text
//! VIF                 bit 7: a VIFE follows
//! VIF VIFE …          up to ten of them
//! FB|FD code VIFE …   the code is from one of two further tables
//! 7C len text         the unit in plain text, last character first
//! FC VIFE … len text  the same, as the standard orders it
//! FC len text VIFE …  the same, as real meters order it
//! 7F, FF VIFE …       the manufacturer's own
//! ```
//!
//! Which of the two orders behind FC a meter means can only be guessed from what would come out:
//! a length of 1 to 32 with as many printable characters behind it is text.
//!
//! Source: EN 13757-3, "value information block".

mod codes;
mod modifier;
mod quantity;

use core::fmt;

pub(crate) use codes::{Meaning, Symbol};
use modifier::{Chain, Effect, Vifes};
pub use modifier::{Modifier, Modifiers};
pub use quantity::Quantity;

use crate::{DecodeError, Flaw, Latin1, Part, Reader};

/// What a data record says about its number, beside which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vib<'a> {
    /// In what the number is.
    pub unit: Unit<'a>,
    vifes: Vifes,
    /// What the number counts or measures.
    pub quantity: Quantity,
    /// The number is to be multiplied by ten to this power.
    pub exponent: i8,
    /// What sort of number the bytes are.
    pub sort: Sort,
    /// A VIFE says that there is no valid value.
    pub record_error: bool,
}

/// What sort of number the bits of an integer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// A signed number.
    Number,
    /// A number without sign: identification, counts.
    Unsigned,
    /// Flags.
    Bits,
    /// A date, a time or both.
    Date,
    /// Nobody knows.
    Opaque,
}

impl<'a> Vib<'a> {
    /// Reads one block and leaves `r` on the first byte after it.
    ///
    /// # Errors
    ///
    /// The bytes end inside it, or an eleventh VIFE.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.clone();
        let layout = Layout::read(r)?;
        Ok(Self::new(r.since(&start), layout))
    }

    /// The block that `bytes` are, whose parts are known.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], layout: Layout) -> Self {
        let Layout { meaning, vifes, text, .. } = layout;
        let mut vib = Self::with_meaning(bytes, meaning);
        vib.vifes = vifes;
        vib.unit.suffixes = vifes;
        vib.unit.text = text;
        if !vifes.is_empty() {
            vib.apply_modifiers();
        }
        vib
    }

    /// What the block says with which `bytes` begin, and how long it is, if it has no VIFE.
    #[inline]
    pub(crate) fn bare_meaning(bytes: &[u8]) -> Option<(usize, Meaning)> {
        match *bytes {
            [vif, ..] if vif & MORE == 0 && vif != PLAIN_TEXT => Some((1, Meaning::primary(vif))),
            [0xFD, code, ..] if code & MORE == 0 => Some((2, Meaning::fd(code))),
            [0xFB, code, ..] if code & MORE == 0 => Some((2, Meaning::fb(code))),
            _ => None,
        }
    }

    fn apply_modifiers(&mut self) {
        let mut modifiers = self.modifiers();
        while let Some(modifier) = modifiers.next() {
            match modifier.effect() {
                Effect::None | Effect::Unit => {}
                Effect::RecordError => self.record_error = true,
                Effect::Reinterpret(sort) => self.sort = sort,
                Effect::Factor(factor) => self.exponent = self.exponent.saturating_add(factor),
                Effect::Sort(sort) => self.restart(sort, Symbol::None, &modifiers),
                Effect::Duration(unit) => self.restart(Sort::Number, unit, &modifiers),
            }
        }
    }

    /// The number turns out to be of another dimension than its VIF says.
    fn restart(&mut self, sort: Sort, symbol: Symbol, read: &Modifiers<'a>) {
        self.sort = sort;
        self.exponent = 0;
        self.unit.symbol = symbol;
        self.unit.suffixes = self.vifes.behind(read);
    }

    /// A block that has no VIFEs and no meaning but this one.
    #[inline]
    pub(crate) const fn with_meaning(bytes: &'a [u8], meaning: Meaning) -> Self {
        let Meaning { quantity, unit: symbol, exponent, sort } = meaning;
        Self {
            unit: Unit { block: bytes, symbol, text: Place::NONE, suffixes: Vifes::NONE },
            vifes: Vifes::NONE,
            quantity,
            exponent,
            sort,
            record_error: false,
        }
    }

    /// As sent, text included.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        self.unit.block
    }

    /// What its VIFEs say, in their order.
    pub fn modifiers(&self) -> Modifiers<'a> {
        self.vifes.of(self.unit.block)
    }
}

/// The parts of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) len: usize,
    /// Before the VIFEs.
    meaning: Meaning,
    vifes: Vifes,
    text: Place,
}

impl Layout {
    /// That of the block with which `bytes` begin; `None` if there is something wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        match Vib::bare_meaning(bytes) {
            Some((len, meaning)) => {
                Some(Self { len, meaning, vifes: Vifes::NONE, text: Place::NONE })
            }
            None => Self::read(&mut Reader::new(bytes)).ok(),
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.clone();
        let vif = r.byte(Part::Vib)?;
        let mut more = vif & MORE != 0;
        let mut room = MAX_VIFE;
        let mut chain = Chain::Standard;
        let meaning = match vif {
            0xFB | 0xFD => {
                let code = r.byte(Part::Vib)?;
                room -= 1;
                more = code & MORE != 0;
                if code & !MORE == 0x7D && vif == 0xFD {
                    chain = Chain::Unknown;
                }
                if vif == 0xFB { Meaning::fb(code) } else { Meaning::fd(code) }
            }
            _ => Meaning::primary(vif),
        };
        let mut text = Place::NONE;
        match vif {
            0xEF => chain = Chain::Unknown,
            0xFF => chain = Chain::Manufacturer,
            PLAIN_TEXT => text = Place::read_text(r, &start)?,
            PLAIN_TEXT_AND_VIFES if begins_with_text(r.rest()) => {
                text = Place::read_text(r, &start)?;
            }
            _ => {}
        }

        let from = r.count_since(&start);
        while more {
            let vife = r.byte(Part::Vib)?;
            room = room.checked_sub(1).ok_or_else(|| r.reject(Flaw::TooManyVife))?;
            more = vife & MORE != 0;
        }
        let vifes = Vifes { from, to: r.count_since(&start), chain };
        if vif == PLAIN_TEXT_AND_VIFES && text == Place::NONE {
            text = Place::read_text(r, &start)?;
        }
        Ok(Self { len: r.since(&start).len(), meaning, vifes, text })
    }
}

/// Where a text stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: u8,
    len: u8,
}

impl Place {
    /// No text begins with the VIF.
    const NONE: Self = Self { at: 0, len: 0 };

    fn read_text<'a>(r: &mut Reader<'a>, start: &Reader<'a>) -> Result<Self, DecodeError> {
        let len = r.byte(Part::Text)?;
        let at = r.count_since(start);
        r.take(usize::from(len), Part::Text)?;
        Ok(Self { at, len })
    }
}

/// Whether a text stands here rather than VIFEs, with the text behind them.
pub(crate) fn begins_with_text(bytes: &[u8]) -> bool {
    let Some((&len, rest)) = bytes.split_first() else { return false };
    let printable = |text: &[u8]| text.iter().all(|byte| matches!(byte, 0x20..=0x7E | 0xA0..));
    (1..=MAX_TEXT).contains(&len) && rest.get(..usize::from(len)).is_some_and(printable)
}

/// What a number is in: a name, a text of the meter's own, or neither, and what VIFEs append.
///
/// It is put together only when it is asked for its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The block that tells it.
    block: &'a [u8],
    symbol: Symbol,
    text: Place,
    /// The VIFEs that can append to it.
    suffixes: Vifes,
}

impl<'a> Unit<'a> {
    /// Whether the number has no unit at all.
    pub fn is_none(&self) -> bool {
        self.symbol == Symbol::None && self.suffixes().next().is_none()
    }

    /// The unit, where it is just one of the standard's: `Wh`, `m3/h`.
    #[inline]
    pub fn as_str(&self) -> Option<&'static str> {
        match self.symbol {
            Symbol::None | Symbol::Text => None,
            symbol if self.suffixes.is_empty() => Some(symbol.as_str()),
            symbol => self.suffixes().next().is_none().then_some(symbol.as_str()),
        }
    }

    /// The text that the meter sent as its unit, if it did; what VIFEs append is not part of it.
    pub fn text(&self) -> Option<Latin1<'a>> {
        let Place { at, len } = self.text;
        let text = self.block.get(usize::from(at)..)?.get(..usize::from(len))?;
        (self.symbol == Symbol::Text).then_some(Latin1::reversed(text))
    }

    fn suffixes(&self) -> impl Iterator<Item = &'static str> {
        self.suffixes.of(self.block).filter_map(Modifier::unit_suffix)
    }
}

impl fmt::Display for Unit<'_> {
    /// `m3/h`, `Wh/pulse_in0`, `1/s`; empty if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut suffixes = self.suffixes();
        match (self.symbol, self.text()) {
            (Symbol::None, _) => match suffixes.next() {
                Some(first) if first.starts_with('/') => write!(f, "1{first}")?,
                Some(first) => f.write_str(first.trim_start_matches('.'))?,
                None => {}
            },
            (_, Some(text)) => write!(f, "{text}")?,
            (symbol, None) => f.write_str(symbol.as_str())?,
        }
        suffixes.try_for_each(|suffix| f.write_str(suffix))
    }
}

/// A block to be written: checked when it is made, so that it can be written and read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VibBuf {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl VibBuf {
    /// The block of a quantity in a unit (empty for none) with a power of ten, as its reader
    /// would tell it; `None` if no VIF of the standard says just that.
    ///
    /// ```
    /// use mbus::{Quantity, VibBuf};
    ///
    /// let kilowatt_hours = VibBuf::of(Quantity::Energy, "Wh", 3).unwrap();
    /// assert_eq!(kilowatt_hours.bytes(), [0x06]);
    /// ```
    pub fn of(quantity: Quantity, unit: &str, exponent: i8) -> Option<Self> {
        let says = |meaning: Meaning| {
            meaning.quantity == quantity
                && meaning.unit.as_str() == unit
                && meaning.exponent == exponent
        };
        let find = |table: fn(u8) -> Meaning| (0..128).find(|code| says(table(*code)));
        if quantity == Quantity::Unknown || quantity == Quantity::PlainText {
            return None;
        }
        if let Some(vif) = find(Meaning::primary) {
            return Self::read(&[vif]);
        }
        if let Some(code) = find(Meaning::fd) {
            return Self::read(&[0xFD, code]);
        }
        find(Meaning::fb).and_then(|code| Self::read(&[0xFB, code]))
    }

    /// The block whose unit is `text`: 1 to 32 printable characters of Latin-1.
    pub fn text(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX_LEN];
        let len = text.chars().count();
        let (head, rest) = bytes.split_at_mut_checked(2)?;
        head.copy_from_slice(&[PLAIN_TEXT, u8::try_from(len).ok()?]);
        for (place, character) in rest.iter_mut().zip(text.chars().rev()) {
            *place = u8::try_from(u32::from(character)).ok()?;
        }
        let bytes = bytes.get(..2 + len)?;
        begins_with_text(bytes.get(1..)?).then(|| Self::read(bytes)).flatten()
    }

    /// The block that `bytes` are, if they are just one whole block.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        Vib::read(&mut r).ok()?;
        if !r.rest().is_empty() {
            return None;
        }
        let mut buf = Self { bytes: [0; Self::MAX_LEN], len: bytes.len() };
        buf.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(buf)
    }

    /// The same with one more VIFE of the standard behind the others; `None` if there are ten, or
    /// if a text stands behind them.
    pub fn with(self, modifier: Modifier) -> Option<Self> {
        let mut extended = self;
        let vib = Vib::read(&mut Reader::new(self.bytes())).ok()?;
        // Behind a text the last byte is no VIFE but the VIF is, which then announces the text.
        let has_text = vib.quantity == Quantity::PlainText;
        if has_text && !begins_with_text(self.bytes().get(1..)?) {
            return None;
        }
        let last = match (vib.vifes.is_empty(), has_text) {
            (true, true) => 0,
            _ => self.len.checked_sub(1)?,
        };
        *extended.bytes.get_mut(last)? |= MORE;
        let (first, second) = modifier.bytes();
        match second {
            Some(second) => {
                extended.push(first | MORE)?;
                extended.push(second)?;
            }
            None => extended.push(first)?,
        }
        Self::read(extended.bytes())
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        Some(())
    }

    /// As it is sent.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// VIF, ten VIFEs, and a text of 32 characters with its length.
    pub const MAX_LEN: usize = 1 + 10 + 33;
}

const MORE: u8 = 0b1000_0000;
const PLAIN_TEXT: u8 = 0x7C;
const PLAIN_TEXT_AND_VIFES: u8 = PLAIN_TEXT | MORE;
const MAX_VIFE: u32 = 10;
/// Longer units are longer than any display.
const MAX_TEXT: u8 = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `quantity unit exponent sort modifiers`, or the error.
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut r = Reader::new(bytes);
        let read = match Vib::read(&mut r) {
            Ok(vib) => {
                let modifiers: String = vib
                    .modifiers()
                    .flat_map(|modifier| [" ".to_owned(), modifier.to_string()])
                    .collect();
                let text = format!(
                    "{} {} {} {:?}{modifiers}",
                    vib.quantity.as_str(),
                    if vib.unit.is_none() { "-".to_owned() } else { vib.unit.to_string() },
                    vib.exponent,
                    vib.sort
                );
                assert_eq!(r.rest(), [0; 0]);
                assert_eq!(vib.bytes(), bytes);
                text
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn one_byte() {
        check(&[0x06], "energy Wh 3 Number");
        check(&[0x79], "identification - 0 Unsigned");
        check(&[0x6D], "date_time - 0 Date");
        check(&[0x7B], "unknown - 0 Number");
    }

    #[test]
    fn further_tables() {
        check(&[0xFD, 0x48], "voltage V -1 Number");
        check(&[0xFB, 0x01], "energy Wh 6 Number");
        check(&[0xFD, 0xFD, 0x3B], "unknown - 0 Number unknown:3B");
        check(&[0xFD], "byte 1: the telegram ends inside the VIB");
    }

    #[test]
    fn a_factor_before_a_duration_is_lost_and_one_after_it_counts() {
        check(
            &[0xBE, 0xF3, 0xD0, 0x74],
            "volume_flow s -2 Number factor:-3 lower_limit_first_exceed_duration factor:-2",
        );
    }

    #[test]
    fn units_grow() {
        check(&[0x90, 0x28], "volume m3/pulse_in0 -6 Number unit:/pulse_in0");
        check(&[0xFD, 0xBA, 0xA2, 0x2D], "dimensionless 1/h/m3 0 Number unit:/h unit:/m3");
        check(&[0xFD, 0xBA, 0x38], "dimensionless s/A 0 Number unit:.s/A");
        check(&[0x94, 0xA2, 0x6F], "volume - 0 Date unit:/h last_end");
    }

    #[test]
    fn text_before_and_behind_the_vifes() {
        check(&[0x7C, 3, b'H', b'R', b'%'], "plain_text %RH 0 Number");
        check(&[0xFC, 3, b'H', b'R', b'%', 0x74], "plain_text %RH -2 Number factor:-2");
        check(&[0xFC, 0x74, 3, b'H', b'R', b'%'], "plain_text %RH -2 Number factor:-2");
        check(&[0x7C, 0], "plain_text  0 Number");
        check(&[0xFC, 0x74, 3, b'H'], "byte 4: the telegram ends inside the text of the VIB");
    }

    #[test]
    fn ten_vifes_are_enough() {
        let mut bytes = [0xF6; 12];
        bytes[0] = 0x93;
        bytes[10] = 0x76;
        let factors = " factor:0".repeat(10);
        check(&bytes[..11], &format!("volume m3 -3 Number{factors}"));
        bytes[10] = 0xF6;
        check(&bytes[..12], "byte 11: is an eleventh VIFE");
        check(&bytes[..11], "byte 11: the telegram ends inside the VIB");
    }

    #[test]
    fn the_extension_code_is_one_of_the_ten() {
        let mut bytes = [0xF6; 12];
        bytes[..2].copy_from_slice(&[0xFD, 0xC8]);
        check(&bytes, "byte 11: is an eleventh VIFE");
    }

    #[test]
    fn blocks_to_write() {
        let block = |quantity, unit, exponent| {
            VibBuf::of(quantity, unit, exponent).map(|vib| vib.bytes().to_vec())
        };
        assert_eq!(block(Quantity::Volume, "m3", -3), Some(vec![0x13]));
        assert_eq!(block(Quantity::Voltage, "V", -1), Some(vec![0xFD, 0x48]));
        assert_eq!(block(Quantity::RelativeHumidity, "%", -1), Some(vec![0xFB, 0x1A]));
        assert_eq!(block(Quantity::Volume, "m3", -7), None);
        let export = VibBuf::of(Quantity::Energy, "Wh", 3)
            .and_then(|vib| vib.with(Modifier::NEGATIVE_ONLY))
            .and_then(|vib| vib.with(Modifier::PHASE_L2))
            .unwrap();
        check(export.bytes(), "energy Wh 3 Number negative_only phase_l2");
        let text = VibBuf::text("µg/m³").and_then(|vib| vib.with(Modifier::AVERAGE)).unwrap();
        check(text.bytes(), "plain_text µg/m³ 0 Number average");
        assert_eq!(VibBuf::text("€"), None);
        assert_eq!(VibBuf::text(""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
            let mut r = Reader::new(&bytes);
            match Vib::read(&mut r) {
                Ok(vib) => {
                    let _ = (vib.unit.to_string(), vib.modifiers().count());
                    prop_assert!(VibBuf::read(vib.bytes()).is_some() || vib.bytes().len() > 44);
                }
                Err(error) => prop_assert!(error.at <= bytes.len()),
            }
        }
    }
}
