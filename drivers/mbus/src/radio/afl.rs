//! The authentication and fragmentation layer: a counter for the key, a code that proves who sent
//! the message, and pieces of long ones.
//!
//! ```text
//! 90 length  FC 2  [MCL]  [key information 2]  [counter 4]  [MAC]  [message length 2]
//!
//! FC   bit 14 more   13 MCL   12 length   11 counter   10 MAC   9 key   7..0 fragment
//! MCL  bits 3..0: how long the MAC is
//! ```
//!
//! Source: EN 13757-7, "authentication and fragmentation layer".

use crate::crypto::{BLOCK, Key};
use crate::{DecodeError, Full, Part, Reader, Writer};

/// An authentication and fragmentation layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Afl {
    /// Which piece of a message; 0 where it is in one.
    pub fragment: u8,
    /// Further pieces follow.
    pub more: bool,
    /// The message control byte, as sent.
    pub control: Option<u8>,
    /// Which of the meter's keys, and how the message's key comes from it.
    pub key_information: Option<u16>,
    /// Counts the messages, so that no two have the same key.
    pub counter: Option<u32>,
    /// Proves that the message comes from whoever has the key.
    pub mac: Option<Mac>,
    /// Of the whole message.
    pub message_len: Option<u16>,
}

impl Afl {
    /// Reads the layer if there is one, and leaves `r` behind it.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        if r.rest().first() != Some(&CI) {
            return Ok(None);
        }
        let [_, len] = r.array(Part::Header)?;
        let at = r.offset();
        let mut r = Reader::at(r.take(usize::from(len), Part::Header)?, at);
        let [fragment, has] = r.array(Part::Header)?;
        let mut afl = Self { fragment, more: has & MORE != 0, ..Self::default() };
        if has & HAS_CONTROL != 0 {
            afl.control = Some(r.byte(Part::Header)?);
        }
        if has & HAS_KEY_INFORMATION != 0 {
            afl.key_information = Some(u16::from_le_bytes(r.array(Part::Header)?));
        }
        if has & HAS_COUNTER != 0 {
            afl.counter = Some(u32::from_le_bytes(r.array(Part::Header)?));
        }
        if has & HAS_MAC != 0 {
            let len = match afl.control {
                Some(control) => Mac::len_of(control),
                // It stands in another piece: the code goes to the end, or to the length behind it.
                None if afl.is_fragmented() => {
                    let behind = if has & HAS_LENGTH == 0 { 0 } else { 2 };
                    r.rest().len().saturating_sub(behind)
                }
                None => 0,
            };
            if len == 0 {
                // How long it is nobody knows, nor what stands behind it.
                afl.mac = Some(Mac::UNREAD);
                return Ok(Some(afl));
            }
            afl.mac = Mac::new(r.take(len, Part::Header)?).or(Some(Mac::UNREAD));
        }
        if has & HAS_LENGTH != 0 {
            afl.message_len = Some(u16::from_le_bytes(r.array(Part::Header)?));
        }
        Ok(Some(afl))
    }

    /// Writes the layer.
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let mut fields = [0; 1 + 2 + 4 + BLOCK + 2];
        let mut inner = Writer::new(&mut fields);
        let mut has = if self.more { MORE } else { 0 };
        if let Some(control) = self.control {
            has |= HAS_CONTROL;
            inner.byte(control)?;
        }
        if let Some(information) = self.key_information {
            has |= HAS_KEY_INFORMATION;
            inner.bytes(&information.to_le_bytes())?;
        }
        if let Some(counter) = self.counter {
            has |= HAS_COUNTER;
            inner.bytes(&counter.to_le_bytes())?;
        }
        if let Some(mac) = self.mac {
            has |= HAS_MAC;
            inner.bytes(mac.bytes())?;
        }
        if let Some(len) = self.message_len {
            has |= HAS_LENGTH;
            inner.bytes(&len.to_le_bytes())?;
        }
        let fields = inner.written();
        let len = u8::try_from(fields.len() + 2).map_err(|_| Full)?;
        w.bytes(&[CI, len, self.fragment, has])?;
        w.bytes(fields)
    }

    /// Whether the message is in several pieces.
    pub const fn is_fragmented(&self) -> bool {
        self.more || self.fragment > 1
    }

    /// The code that belongs to `message`, which is still encrypted and begins with its CI.
    pub(super) fn authenticate(&self, key: &Key, message: &[u8]) -> [u8; BLOCK] {
        let control = self.control.map(|control| [control]);
        let counter = self.counter.map(u32::to_le_bytes);
        let len = self.message_len.map(u16::to_le_bytes);
        key.authenticate(&[
            control.as_ref().map_or(&[], |it| it),
            counter.as_ref().map_or(&[], |it| it),
            len.as_ref().map_or(&[], |it| it),
            message,
        ])
    }
}

/// A message authentication code, mostly the beginning of a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    bytes: [u8; BLOCK],
    len: usize,
}

impl Mac {
    /// A code of a kind that is not known here. It agrees with none.
    pub(super) const UNREAD: Self = Self { bytes: [0; BLOCK], len: 0 };

    /// A code of 1 to 16 bytes.
    pub(super) fn new(code: &[u8]) -> Option<Self> {
        let mut bytes = [0; BLOCK];
        bytes.get_mut(..code.len())?.copy_from_slice(code);
        (!code.is_empty()).then_some(Self { bytes, len: code.len() })
    }

    /// As sent; none of a code whose kind is not known here.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether it is the beginning of `whole`. Takes as long whichever byte is wrong.
    pub(super) fn agrees(&self, whole: &[u8; BLOCK]) -> bool {
        let same = self.bytes().iter().zip(whole).fold(0, |wrong, (a, b)| wrong | a ^ b) == 0;
        same && self.len > 0
    }

    /// How many bytes the message control byte announces; none that are known here for kinds of
    /// code other than CMAC.
    pub(crate) const fn len_of(control: u8) -> usize {
        match control & 0x0F {
            3 => 2,
            4 => 4,
            5 => 8,
            6 => 12,
            7 => 16,
            _ => 0,
        }
    }
}

const CI: u8 = 0x90;
const MORE: u8 = 1 << 6;
const HAS_CONTROL: u8 = 1 << 5;
const HAS_LENGTH: u8 = 1 << 4;
const HAS_COUNTER: u8 = 1 << 3;
const HAS_MAC: u8 = 1 << 2;
const HAS_KEY_INFORMATION: u8 = 1 << 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_one_of_mode_7() {
        let bytes =
            [0x90, 0x0D, 0x00, 0x3C, 0x24, 1, 0, 0, 0, 0x11, 0xB6, 0xD2, 0x92, 0x4F, 0, 0x7A];
        let mut r = Reader::at(&bytes, 10);
        let afl = Afl::read(&mut r).unwrap().unwrap();
        assert_eq!(afl.counter, Some(1));
        assert_eq!(afl.mac.unwrap().bytes(), [0x11, 0xB6, 0xD2, 0x92]);
        assert_eq!(afl.message_len, Some(0x4F));
        assert!(!afl.is_fragmented());
        assert_eq!(r.rest(), [0x7A]);
        assert!(!afl.mac.unwrap().agrees(&[0x11; BLOCK]));
    }

    #[test]
    fn fields_stay_within_their_length() {
        let error = Afl::read(&mut Reader::at(&[0x90, 3, 0, 0x2C, 0x25, 1, 2], 10)).unwrap_err();
        assert_eq!(error.to_string(), "byte 15: the telegram ends inside the header");
        assert_eq!(Afl::read(&mut Reader::new(&[0x72, 1])), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            fragment: u8, more: bool, key_information: Option<u16>, counter: Option<u32>,
            message_len: Option<u16>, kind in 3_u8..8, code: [u8; BLOCK],
        ) {
            let mac = Mac::new(&code[..Mac::len_of(kind)]);
            let control = Some(0x20 | kind);
            let afl = Afl { fragment, more, control, key_information, counter, mac, message_len };
            let mut buffer = [0; 40];
            let mut w = Writer::new(&mut buffer);
            prop_assert_eq!(afl.write(&mut w), Ok(()));
            let mut r = Reader::new(w.written());
            prop_assert_eq!(Afl::read(&mut r), Ok(Some(afl)));
            prop_assert!(r.rest().is_empty());
        }
    }
}
