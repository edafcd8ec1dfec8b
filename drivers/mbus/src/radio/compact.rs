//! Compact frames: values without the DIBs and VIBs that a meter has sent before.
//!
//! ```text
//! full     7A …    DIB VIB data  DIB VIB data  …
//! compact  7B …    signature 2  CRC 2  data data …
//!                  │            └─ of the full frame's DIB VIB data DIB VIB data …
//!                  └─ CRC of DIB VIB DIB VIB …
//! ```
//!
//! A meter sends a full frame now and then, so that who listens long enough can read all of them.
//! Meters of one maker, version and medium share their formats.
//!
//! **Invariant:** values of a compact frame are told only if they add up to the checksum of the
//! full frame.
//!
//! Source: EN 13757-3, "compact M-Bus frames".

use super::RadioFlaw;
use super::link::Checksum;
use crate::record::take_variable;
use crate::{
    DecodeError, Dib, Flaw, Full, Manufacturer, Medium, Part, Reader, Records, Secondary, Vib,
    Writer,
};

/// What compact frames of one kind of meter leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    kind: Kind,
    signature: u16,
    len: u8,
    blocks: [u8; u8::MAX as usize],
}

/// Whose formats are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    manufacturer: Manufacturer,
    version: u8,
    medium: u8,
}

impl Kind {
    const fn of(meter: &Secondary) -> Self {
        let Secondary { manufacturer, version, medium, .. } = *meter;
        Self { manufacturer, version, medium: medium.code() }
    }
}

impl Format {
    /// A place for a format in the table that is lent to a [`Listener`](super::Listener).
    pub const EMPTY: Self = Self {
        kind: Kind { manufacturer: Manufacturer(0), version: 0, medium: 0 },
        signature: 0,
        len: 0,
        blocks: [0; _],
    };

    /// A format that is known beforehand: all DIBs and VIBs of the full frame, in its order.
    ///
    /// `None` if `blocks` are none, are not whole, or have more than 255 bytes.
    pub fn new(
        manufacturer: Manufacturer,
        version: u8,
        medium: Medium,
        blocks: &[u8],
    ) -> Option<Self> {
        let mut r = Reader::new(blocks);
        while !r.rest().is_empty() {
            Dib::read(&mut r).ok()?;
            Vib::read(&mut r).ok()?;
        }
        let mut format = Self {
            kind: Kind { manufacturer, version, medium: medium.code() },
            signature: Checksum::of(blocks),
            len: u8::try_from(blocks.len()).ok().filter(|len| *len > 0)?,
            ..Self::EMPTY
        };
        format.blocks.get_mut(..blocks.len())?.copy_from_slice(blocks);
        Some(format)
    }

    /// The format of a full frame of `meter`; `None` if not all of it fits.
    fn of(meter: &Secondary, records: Records<'_>) -> Option<Self> {
        let mut blocks = [0; u8::MAX as usize];
        let mut w = Writer::new(&mut blocks);
        for record in records.flatten() {
            w.bytes(record.dib_bytes()).ok()?;
            w.bytes(record.vib.bytes()).ok()?;
        }
        Self::new(meter.manufacturer, meter.version, meter.medium, w.written())
    }

    /// What compact frames name it by.
    pub const fn signature(&self) -> u16 {
        self.signature
    }

    /// The DIBs and VIBs.
    pub fn blocks(&self) -> &[u8] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The formats that have been learned. When the table is full, the one that was learned first
/// makes room.
#[derive(Debug)]
pub(super) struct Formats<'t> {
    table: &'t mut [Format],
    next: usize,
}

impl<'t> Formats<'t> {
    pub(super) fn new(table: &'t mut [Format]) -> Self {
        table.fill(Format::EMPTY);
        Self { table, next: 0 }
    }

    pub(super) fn resume(table: &'t mut [Format]) -> Self {
        let next = table.iter().position(|format| format.len == 0).unwrap_or(0);
        Self { table, next }
    }

    /// Remembers the format of a full frame, if all of its records are whole.
    pub(super) fn learn(&mut self, meter: &Secondary, records: &Records<'_>) {
        let mut blocks = Checksum::default();
        for record in records.clone() {
            let Ok(record) = record else { return };
            blocks.add(record.dib_bytes());
            blocks.add(record.vib.bytes());
        }
        // Most frames have been heard before, so this comes first.
        if self.find(Kind::of(meter), blocks.value()).is_some() {
            return;
        }
        if let Some(format) = Format::of(meter, records.clone()) {
            self.teach(&format);
        }
    }

    /// Remembers what a format frame says: `[length] signature blocks`, whose signature agrees.
    pub(super) fn learn_announced(&mut self, meter: &Secondary, announced: &[u8]) {
        for said in [announced, announced.get(1..).unwrap_or_default()] {
            let Some((signature, blocks)) = said.split_first_chunk() else { continue };
            let Secondary { manufacturer, version, medium, .. } = *meter;
            if let Some(format) = Format::new(manufacturer, version, medium, blocks)
                && format.signature == u16::from_le_bytes(*signature)
            {
                self.teach(&format);
            }
        }
    }

    pub(super) fn teach(&mut self, format: &Format) {
        if let Some(known) = self.find(format.kind, format.signature) {
            *known = *format;
            return;
        }
        if let Some(place) = self.table.get_mut(self.next) {
            *place = *format;
            self.next += 1;
        }
        if self.next == self.table.len() {
            self.next = 0;
        }
    }

    fn find(&mut self, kind: Kind, signature: u16) -> Option<&mut Format> {
        self.table
            .iter_mut()
            .find(|known| known.len > 0 && known.kind == kind && known.signature == signature)
    }

    /// Writes the records of the full frame into `room`; `r` stands before the signature.
    /// `padded` is what was encrypted in whole blocks, whose rest is filler.
    pub(super) fn rebuild<'b>(
        &mut self,
        meter: Option<&Secondary>,
        mut r: Reader<'_>,
        padded: bool,
        room: &'b mut [u8],
    ) -> Result<&'b [u8], DecodeError> {
        let at = r.offset();
        let signature = u16::from_le_bytes(r.array(Part::Header)?);
        let checksum_at = r.offset();
        let found = u16::from_le_bytes(r.array(Part::Header)?);
        let format = meter
            .and_then(|meter| self.find(Kind::of(meter), signature))
            .ok_or(DecodeError { at, flaw: Flaw::Radio(RadioFlaw::FormatUnknown(signature)) })?;

        let mut blocks = Reader::new(format.blocks());
        let mut w = Writer::new(room);
        while !blocks.rest().is_empty() {
            let before = blocks.clone();
            let dib = Dib::read(&mut blocks)?;
            Vib::read(&mut blocks)?;
            let data = match dib.encoding.data_len() {
                Some(len) => r.take(len, Part::Data)?,
                None => take_variable(&mut r)?,
            };
            let at = r.offset();
            let too_long =
                |Full| DecodeError { at, flaw: Flaw::Radio(RadioFlaw::CompactLength(data.len())) };
            w.bytes(blocks.since(&before)).map_err(too_long)?;
            w.bytes(data).map_err(too_long)?;
        }
        let full = w.written();
        let right = Checksum::of(full);
        if found != right {
            let flaw = Flaw::Radio(RadioFlaw::CompactChecksum { found, right });
            return Err(DecodeError { at: checksum_at, flaw });
        }
        let surplus = r.rest();
        if surplus.is_empty() || (padded && surplus.iter().all(|byte| *byte == FILLER)) {
            return Ok(full);
        }
        let flaw = Flaw::Radio(RadioFlaw::CompactLength(surplus.len()));
        Err(DecodeError { at: r.offset(), flaw })
    }
}

/// Writes what stands behind the header of a compact frame: signature, checksum and data of
/// `records`, which are those of a full frame as far as they are whole.
///
/// # Errors
///
/// [`Full`] if `w` has no room for it.
pub fn write_compact(records: &Records<'_>, w: &mut Writer<'_>) -> Result<(), Full> {
    let (mut blocks, mut full) = (Checksum::default(), Checksum::default());
    for record in records.clone().flatten() {
        for block in [record.dib_bytes(), record.vib.bytes()] {
            blocks.add(block);
            full.add(block);
        }
        full.add(record.data());
    }
    w.bytes(&blocks.value().to_le_bytes())?;
    w.bytes(&full.value().to_le_bytes())?;
    records.clone().flatten().try_for_each(|record| w.bytes(record.data()))
}

const FILLER: u8 = 0x2F;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ByteOrder;
    use crate::radio::link::sent_first;

    const METER: [u8; 8] = [0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x16];
    /// A volume, a volume at the due date, and a text.
    const FULL: &[u8] =
        &[0x04, 0x13, 1, 2, 0, 0, 0x44, 0x13, 3, 0, 0, 0, 0x0D, 0xFD, 0x11, 2, b'b', b'a'];

    fn records(full: &[u8]) -> Records<'_> {
        Records::new(Reader::new(full), ByteOrder::LsbFirst)
    }

    fn compact(full: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 256];
        let mut w = Writer::new(&mut buffer);
        write_compact(&records(full), &mut w).unwrap();
        w.written().to_vec()
    }

    /// What comes out of `compact` once `full` was heard from a meter.
    #[track_caller]
    fn check(full: &[u8], compact: &[u8], padded: bool, expected: Result<&[u8], &str>) {
        let mut table = [Format::EMPTY; 2];
        let mut formats = Formats::new(&mut table);
        let meter = sent_first(METER);
        formats.learn(&meter, &records(full));
        let mut room = [0; 512];
        let rebuilt = formats.rebuild(Some(&meter), Reader::new(compact), padded, &mut room);
        let rebuilt = rebuilt.map_err(|error| error.to_string());
        assert_eq!(rebuilt, expected.map_err(str::to_owned));
    }

    #[test]
    fn the_full_frame_comes_out_again() {
        let compact = compact(FULL);
        assert_eq!(compact.len(), 4 + 4 + 4 + 3);
        check(FULL, &compact, false, Ok(FULL));
    }

    #[test]
    fn a_signature_of_the_field() {
        // MULTICAL 21: status, volume, volume at the due date, lowest flow and highest temperature.
        let blocks = [2, 0xFF, 0x20, 4, 0x13, 0x44, 0x13, 0x61, 0x5B, 0x61, 0x67];
        let format = Format::new(Manufacturer(0x2C2D), 0x1B, Medium::new(0x16), &blocks).unwrap();
        assert_eq!(format.signature(), 0xA8ED);
        assert_eq!(format.blocks(), blocks);
    }

    #[test]
    fn what_does_not_add_up_is_not_told() {
        let mut wrong = compact(FULL);
        wrong[4] ^= 1;
        let error = "byte 2: the checksum of the full frame is 0x2580 and should be 0x156c";
        check(FULL, &wrong, false, Err(error));
        let mut long = compact(FULL);
        long.push(FILLER);
        check(FULL, &long, true, Ok(FULL));
        check(FULL, &long, false, Err("byte 15: 1 bytes follow the last record of the format"));
        let short = compact(FULL);
        let short = &short[..short.len() - 1];
        check(FULL, short, false, Err("byte 14: the telegram ends inside the data"));
        let unknown = "byte 0: the compact frame has format 0xdb2a, which no full frame of this meter has shown";
        check(&FULL[..6], &compact(FULL), false, Err(unknown));
        // A frame that breaks off teaches nothing.
        check(&FULL[..17], &compact(FULL), false, Err(unknown));
    }

    #[test]
    fn the_first_learned_makes_room() {
        let meter = sent_first(METER);
        let mut table = [Format::EMPTY; 2];
        let mut formats = Formats::new(&mut table);
        let fulls: [&[u8]; 3] = [&FULL[..6], &FULL[..12], FULL];
        for full in fulls {
            formats.learn(&meter, &records(full));
        }
        for (full, known) in fulls.into_iter().zip([false, true, true]) {
            let compact = compact(full);
            let mut room = [0; 512];
            let rebuilt = formats.rebuild(Some(&meter), Reader::new(&compact), false, &mut room);
            assert_eq!(rebuilt.is_ok(), known);
        }
    }

    #[test]
    fn a_format_frame_teaches_if_its_signature_agrees() {
        let meter = sent_first(METER);
        let blocks = [4, 0x13, 0x44, 0x13, 0x0D, 0xFD, 0x11];
        let [low, high] = Checksum::of(&blocks).to_le_bytes();
        for (announced, known) in [
            ([&[9, low, high][..], &blocks].concat(), true),
            ([&[low, high][..], &blocks].concat(), true),
            ([&[low, high ^ 1][..], &blocks].concat(), false),
        ] {
            let mut table = [Format::EMPTY; 1];
            let mut formats = Formats::new(&mut table);
            formats.learn_announced(&meter, &announced);
            let compact = compact(FULL);
            let mut room = [0; 512];
            let rebuilt = formats.rebuild(Some(&meter), Reader::new(&compact), false, &mut room);
            assert_eq!(rebuilt.is_ok(), known);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            full in prop::collection::vec(any::<u8>(), 0..250),
            rest in prop::collection::vec(any::<u8>(), 0..250),
        ) {
            let mut table = [Format::EMPTY; 1];
            let mut formats = Formats::new(&mut table);
            let meter = sent_first(METER);
            formats.learn(&meter, &records(&full));
            formats.learn_announced(&meter, &full);
            let mut data = formats.table[0].signature.to_le_bytes().to_vec();
            data.extend(&rest);
            let mut room = [0; 512];
            let rebuilt = formats.rebuild(Some(&meter), Reader::new(&data), true, &mut room);
            prop_assert!(rebuilt.is_err() || data[2..4] == Checksum::of(rebuilt.unwrap()).to_le_bytes());
        }
    }
}
