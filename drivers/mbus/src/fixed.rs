//! The fixed structure: what the oldest meters send.
//!
//! ```text
//! ID ID ID ID  ACC  STATUS  MED+UNIT1  MED+UNIT2  counter 1 (4)  counter 2 (4)
//!                           mm uuuuuu  mm uuuuuu
//! ```
//!
//! The medium's low two bits stand in the first unit byte, its high two in the second. Status bit
//! 0: the counters are binary, else BCD. Bit 1: they were stored at a due date. Both counters come
//! out as ordinary records, without a DIB.
//!
//! Source: EN 13757-3, "fixed data structure" (withdrawn); the M-Bus documentation 4.8, section 6.

use crate::vib::{Meaning, Symbol};
use crate::{
    Bits, ByteOrder, DecodeError, Dib, Encoding, Flaw, Full, Header, Id, Medium, Part, Quantity,
    Reader, Record, Records, Sort, Status, Vib, Writer,
};

/// A whole answer in the fixed structure, as a meter writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The meter's number.
    pub id: Id,
    /// Counts the answers.
    pub access_number: u8,
    /// Bits 0 and 1 say how the counters are coded and when they were stored.
    pub status: Status,
    /// The two unit bytes, with the medium in their top bits.
    pub units: [u8; 2],
    /// As coded: BCD or binary.
    pub counters: [u32; 2],
}

impl Fixed {
    /// Writes it as it stands behind CI 73.
    pub fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&self.id.0.to_le_bytes())?;
        w.bytes(&[self.access_number, self.status.0])?;
        w.bytes(&self.units)?;
        self.counters.iter().try_for_each(|counter| w.bytes(&counter.to_le_bytes()))
    }

    pub(crate) fn read<'a>(
        r: &mut Reader<'a>,
        order: ByteOrder,
    ) -> Result<(Header, Records<'a>), DecodeError> {
        let len = r.rest().len();
        if len != LEN {
            return Err(DecodeError { at: r.offset() + len, flaw: Flaw::FixedLength(len) });
        }
        let id = order.u32(r.array(Part::Header)?);
        let [access_number, status] = r.array(Part::Header)?;
        let units = r.take(2, Part::Header)?;
        let header = Header {
            id: Some(Id(id)),
            manufacturer: None,
            version: None,
            medium: Some(Medium::of_fixed(byte(units, 0) >> 6 | byte(units, 1) >> 6 << 2)),
            access_number,
            status: Status(status),
            configuration: None,
        };
        let counters = Counters { units, rest: r.take_rest(), next: 0, status };
        Ok((header, Records::fixed(counters, order)))
    }
}

/// The two counters, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Counters<'a> {
    /// Two bytes.
    units: &'a [u8],
    /// What is left of eight bytes.
    rest: &'a [u8],
    /// Which of the two comes next.
    next: usize,
    status: u8,
}

impl<'a> Counters<'a> {
    pub(crate) fn next(&mut self, order: ByteOrder) -> Option<Record<'a>> {
        let (data, rest) = self.rest.split_at_checked(4)?;
        let place = self.next;
        (self.rest, self.next) = (rest, 1);

        let (unit, other) = (byte(self.units, place) & UNIT, byte(self.units, 1 - place) & UNIT);
        let historic = unit == HISTORIC;
        let meaning = meaning(if historic { other } else { unit });
        let mut dib = Dib::new(Encoding::Bcd8);
        let mut vib = Vib::with_meaning(self.units.get(place..=place)?, meaning);
        if historic || self.status & STORED != 0 {
            dib.storage = Bits::ONE;
        }
        if self.status & BINARY != 0 {
            dib.encoding = Encoding::Int32;
            if vib.sort == Sort::Number {
                vib.sort = Sort::Unsigned;
            }
        }
        Some(Record::bare(dib, vib, data, order))
    }
}

const fn meaning(unit: u8) -> Meaning {
    // Each quantity has nine units, one power of ten apart.
    let step = unit.cast_signed();
    match unit {
        0x00 | 0x01 => Meaning { sort: Sort::Opaque, ..Meaning::UNKNOWN },
        0x02..=0x0A => number(Quantity::Energy, Symbol::WattHour, step - 0x02),
        0x0B..=0x13 => number(Quantity::Energy, Symbol::Joule, step - 0x0B + 3),
        0x14..=0x1C => number(Quantity::Power, Symbol::Watt, step - 0x14),
        0x1D..=0x25 => number(Quantity::Power, Symbol::JoulePerHour, step - 0x1D + 3),
        0x26..=0x2E => number(Quantity::Volume, Symbol::CubicMetre, step - 0x26 - 6),
        0x2F..=0x37 => number(Quantity::VolumeFlow, Symbol::CubicMetrePerHour, step - 0x2F - 6),
        0x38 => number(Quantity::Temperature, Symbol::Celsius, -3),
        0x39 => number(Quantity::HeatCost, Symbol::HeatCost, 0),
        0x3F => number(Quantity::Dimensionless, Symbol::None, 0),
        _ => Meaning::UNKNOWN,
    }
}

const fn number(quantity: Quantity, unit: Symbol, exponent: i8) -> Meaning {
    Meaning { quantity, unit, exponent, sort: Sort::Number }
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

const LEN: usize = 16;
/// The rest of the unit byte is of the medium.
const UNIT: u8 = 0b0011_1111;
/// "The unit of the other counter, at a due date."
const HISTORIC: u8 = 0x3E;
const BINARY: u8 = 0b01;
const STORED: u8 = 0b10;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fixed: Fixed, expected: [&str; 3]) {
        let mut buffer = [0; LEN];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(fixed.write(&mut w), Ok(()));
        let (header, records) =
            Fixed::read(&mut Reader::new(w.written()), ByteOrder::LsbFirst).unwrap();
        let mut texts = vec![header.medium.unwrap().name().to_owned()];
        texts.extend(records.map(|record| record.unwrap().to_string()));
        assert_eq!(texts, expected);
    }

    const HEAT: Fixed = Fixed {
        id: Id(0x0223_7893),
        access_number: 100,
        status: Status(0b01),
        units: [0xD1, 0x72],
        counters: [78_379, 9],
    };

    #[test]
    fn binary_counters() {
        check(
            HEAT,
            ["water", "energy: unsigned 78379000000000 J", "volume_flow: unsigned 0.009 m3/h"],
        );
    }

    #[test]
    fn decimal_counters_of_a_due_date() {
        let fixed = Fixed { status: Status(0b10), counters: [0x0007_8379, 0xA], ..HEAT };
        check(
            fixed,
            [
                "water",
                "energy storage 1: bcd 78379000000000 J",
                "volume_flow storage 1: bcd invalid, bcd_digit m3/h",
            ],
        );
    }

    #[test]
    fn the_other_counters_unit_and_none_at_all() {
        check(
            Fixed { units: [0x29, 0x3E], ..HEAT },
            ["other", "volume: unsigned 78.379 m3", "volume storage 1: unsigned 0.009 m3"],
        );
        check(
            Fixed { units: [0x81, 0xFF], ..HEAT },
            ["heat_cost_allocator", "unknown: bytes 2B320100", "dimensionless: unsigned 9"],
        );
    }
}
