//! Telegrams that are thrown together: any record that our encoder can write.

use mbus::{Bits, ByteOrder, Data, Encoding, Entry, Function, VibBuf, Writer, ci};
use proptest::prelude::*;
use proptest::strategy::Union;

use crate::frame;

/// A frame of up to twelve records, mostly least significant byte first.
pub(crate) fn telegram() -> impl Strategy<Value = Vec<u8>> {
    let ci = prop_oneof![
        8 => Just(ci::RECORDS),
        1 => Just(ci::RECORDS_MSB_FIRST),
        1 => Just(ci::RECORDS_WITHOUT_HEADER),
    ];
    (ci, prop::collection::vec(record(), 0..12)).prop_map(|(ci, records)| {
        let order = match ci {
            ci::RECORDS_MSB_FIRST => ByteOrder::MsbFirst,
            _ => ByteOrder::LsbFirst,
        };
        let mut buffer = [0; 240];
        let mut w = Writer::new(&mut buffer);
        for record in records {
            // What no longer fits is left out.
            let _ = record.write(&mut w, order);
        }
        frame(ci, w.written())
    })
}

/// One record: which number it is, of what, and its bits.
#[derive(Clone, Debug)]
struct Generated {
    function: Function,
    storage: u64,
    tariff: u64,
    subunit: u64,
    vib: Vec<u8>,
    encoding: Encoding,
    bits: u64,
    variable: Vec<u8>,
}

impl Generated {
    /// Writes the record; nothing if there is no such record or no room for it.
    fn write(&self, w: &mut Writer<'_>, order: ByteOrder) -> Option<()> {
        let data = match self.encoding {
            Encoding::Variable => match self.bits % 3 {
                0 => Data::latin1(&self.variable),
                // None at all make the other decoder panic, where overflows are checked.
                1 if !self.variable.is_empty() => Data::bytes(&self.variable),
                _ => Data::variable_bcd(self.bits.cast_signed() >> (self.bits % 64)),
            },
            Encoding::Real32 | Encoding::Nothing | Encoding::Selection => {
                Data::raw(self.encoding, self.masked())
            }
            // Half of the BCD have ten digits only.
            Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd6 | Encoding::Bcd8 | Encoding::Bcd12
                if self.bits.is_multiple_of(2) =>
            {
                Data::bcd(self.encoding, self.bits.cast_signed() >> (24 + self.bits % 40))
            }
            _ => Data::raw(self.encoding, self.masked()),
        };
        let entry = Entry {
            function: self.function,
            storage: Bits::new(self.storage)?,
            tariff: Bits::new(self.tariff)?,
            subunit: Bits::new(self.subunit)?,
            vib: VibBuf::read(&self.vib)?,
            data: data?,
        };
        entry.write(w, order).ok()
    }

    fn masked(&self) -> u64 {
        let bits = 8 * u32::try_from(self.encoding.data_len().unwrap_or(0)).unwrap_or(0);
        if bits == u64::BITS { self.bits } else { self.bits & ((1 << bits) - 1) }
    }
}

fn record() -> impl Strategy<Value = Generated> {
    let function = prop_oneof![
        Just(Function::Instantaneous),
        Just(Function::Maximum),
        Just(Function::Minimum),
        Just(Function::DuringError),
    ];
    // Small ones are what meters have; large ones take all ten DIFEs.
    let storage = prop_oneof![4 => 0_u64..3, 1 => 0_u64..1 << 41];
    let tariff = prop_oneof![4 => 0_u64..4, 1 => 0_u64..1 << 20];
    let subunit = prop_oneof![4 => 0_u64..2, 1 => 0_u64..1 << 10];
    let variable = prop::collection::vec(any::<u8>(), 0..24);
    (function, storage, tariff, subunit, vib(), encoding(), any::<u64>(), variable).prop_map(
        |(function, storage, tariff, subunit, vib, encoding, bits, variable)| Generated {
            function,
            storage,
            tariff,
            subunit,
            vib,
            encoding,
            bits,
            variable,
        },
    )
}

/// VIF and VIFEs of all tables, or a unit as text; few of them are what a meter would send.
fn vib() -> impl Strategy<Value = Vec<u8>> {
    let head = Union::new_weighted(vec![
        (4, (0_u8..0x7C).prop_map(|vif| vec![vif]).boxed()),
        (3, (0_u8..0x7D).prop_map(|code| vec![0xFD, code]).boxed()),
        (2, (0_u8..0x80).prop_map(|code| vec![0xFB, code]).boxed()),
        (1, Just(vec![0x7C, 3, b'm', b'p', b'p']).boxed()),
    ]);
    let vifes = prop_oneof![
        4 => Just(Vec::new()),
        2 => prop::collection::vec(0_u8..0x7C, 1..3),
    ];
    (head, vifes).prop_map(|(mut vib, vifes)| {
        if let Some(last) = vifes.last().copied()
            && vib[0] != 0x7C
        {
            *vib.last_mut().unwrap() |= 0x80;
            vib.extend(vifes[..vifes.len() - 1].iter().map(|vife| vife | 0x80));
            vib.push(last);
        }
        vib
    })
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![
        Encoding::Nothing,
        Encoding::Int8,
        Encoding::Int16,
        Encoding::Int24,
        Encoding::Int32,
        Encoding::Real32,
        Encoding::Int48,
        Encoding::Int64,
        Encoding::Selection,
        Encoding::Bcd2,
        Encoding::Bcd4,
        Encoding::Bcd6,
        Encoding::Bcd8,
        Encoding::Variable,
        Encoding::Bcd12,
    ])
}
