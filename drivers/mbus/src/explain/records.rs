//! The pieces of records.

use super::{Layer, Meaning, Vif, Walk, first};
use crate::{ByteOrder, DecodeError, Dib, Encoding, Latin1, Record, Vib, vib};

impl<'a> Walk<'a, '_> {
    /// Records, to the last byte.
    pub(super) fn records(&mut self, order: ByteOrder) {
        let mut number = 0;
        while let Some(&dif) = self.rest.first() {
            match dif {
                0x2F => {
                    let fillers = self.rest.iter().take_while(|byte| **byte == 0x2F).count();
                    self.piece(fillers, Layer::Application, |_| Meaning::Filler);
                }
                0x0F | 0x1F => {
                    let more_follow = dif == 0x1F;
                    self.piece(1, Layer::Application, |_| Meaning::ManufacturerMark {
                        more_follow,
                    });
                    self.all(Layer::Application, |_| Meaning::ManufacturerData);
                }
                0x7F => {
                    self.piece(1, Layer::Record(number), |_| Meaning::GlobalReadout);
                    number = number.saturating_add(1);
                }
                _ => {
                    if let Err(DecodeError { at, flaw }) = self.record(order, number) {
                        self.all(Layer::Unread, |_| Meaning::Broken { at, flaw });
                    }
                    number = number.saturating_add(1);
                }
            }
        }
    }

    /// One record, as far as it goes.
    fn record(&mut self, order: ByteOrder, number: u16) -> Result<(), DecodeError> {
        let layer = Layer::Record(number);
        let whole = Record::read(&mut self.reader(), order);

        let mut r = self.reader();
        let start = r.clone();
        Dib::read(&mut r)?;
        let dib_len = r.since(&start).len();
        self.piece(1, layer, |bytes| Meaning::Dif(first(bytes)));
        for place in (0..).take(dib_len.saturating_sub(1)) {
            self.piece(1, layer, |bytes| Meaning::Dife { dife: first(bytes), place });
        }

        let vib = Vib::read(&mut r)?;
        self.vib(&vib, layer);

        let record = whole?;
        let mut data = record.data().len();
        if record.dib.encoding == Encoding::Variable {
            self.piece(1, layer, |bytes| Meaning::Lvar(first(bytes)));
            data = data.saturating_sub(1);
        }
        self.piece(data, layer, |_| Meaning::Data(record));
        Ok(())
    }

    fn vib(&mut self, vib: &Vib<'a>, layer: Layer) {
        let bytes = vib.bytes();
        let vif = first(bytes);
        let told = |meaning, code: u8| Meaning::Vif(Vif { meaning, more: code & MORE != 0 });
        let mut text_is_due = false;
        if let (0xFB | 0xFD, Some(&code)) = (vif, bytes.get(1)) {
            self.piece(1, layer, |_| Meaning::VifTable(vif));
            let table = if vif == 0xFB { vib::Meaning::fb } else { vib::Meaning::fd };
            self.piece(1, layer, |_| told(table(code), code));
        } else {
            self.piece(1, layer, |_| told(vib::Meaning::primary(vif), vif));
            let behind = bytes.get(1..).unwrap_or_default();
            text_is_due = vif & !MORE == 0x7C;
            if vif == 0x7C || (vif == 0xFC && vib::begins_with_text(behind)) {
                self.unit_text(layer);
                text_is_due = false;
            }
        }

        let mut modifiers = vib.modifiers();
        let mut left = modifiers.rest().len();
        while let Some(modifier) = modifiers.next() {
            let behind = modifiers.rest().len();
            self.piece(left.saturating_sub(behind), layer, |_| Meaning::Vife(modifier));
            left = behind;
        }
        if text_is_due {
            self.unit_text(layer);
        }
    }

    fn unit_text(&mut self, layer: Layer) {
        let len = first(self.rest);
        self.piece(1, layer, |_| Meaning::UnitLength(len));
        self.piece(len.into(), layer, |text| Meaning::UnitText(Latin1::reversed(text)));
    }
}

const MORE: u8 = 0b1000_0000;
