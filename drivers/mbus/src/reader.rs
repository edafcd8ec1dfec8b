//! A cursor that knows where it is, so that every error can say where it happened.

use core::fmt;

use crate::ci;
use crate::radio::{RadioFlaw, SealFlaw};

/// Reads a telegram from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Offset of the first byte behind the last, so that reading on only shortens `rest`.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// Starts at the first byte of `bytes`, which is byte `at` of the frame.
    #[inline]
    pub const fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { rest: bytes, end: at + bytes.len() }
    }

    /// The next byte, which belongs to `part`.
    #[inline]
    pub fn byte(&mut self, part: Part) -> Result<u8, DecodeError> {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return Err(self.truncated(part));
        };
        self.rest = rest;
        Ok(byte)
    }

    /// The next `N` bytes, which belong to `part`.
    #[inline]
    pub fn array<const N: usize>(&mut self, part: Part) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(part));
        };
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` bytes, which belong to `part`.
    #[inline]
    pub fn take(&mut self, len: usize, part: Part) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.truncated(part));
        };
        self.rest = rest;
        Ok(head)
    }

    /// Leaves out the next `len` bytes, or all if there are fewer.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    /// Everything that is left.
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// What is left, without taking it.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Offset of the next byte, counted from the first of the frame.
    pub const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// What has been read since `earlier`, a former state of this reader.
    #[inline]
    pub fn since(&self, earlier: &Self) -> &'a [u8] {
        let count = earlier.rest.len().saturating_sub(self.rest.len());
        earlier.rest.get(..count).unwrap_or_default()
    }

    /// How many bytes have been read since `earlier`, as far as a byte can count.
    pub(crate) fn count_since(&self, earlier: &Self) -> u8 {
        u8::try_from(self.since(earlier).len()).unwrap_or(u8::MAX)
    }

    /// An error in the byte that was read last.
    #[cold]
    pub const fn reject(&self, flaw: Flaw) -> DecodeError {
        DecodeError { at: self.offset().saturating_sub(1), flaw }
    }

    /// The bytes end inside `part`: an error behind the last of them.
    #[cold]
    const fn truncated(&self, part: Part) -> DecodeError {
        DecodeError { at: self.end, flaw: Flaw::Truncated(part) }
    }
}

/// In which order the bytes of a number stand. Mode 2 (CI 76 and 77) is as good as extinct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ByteOrder {
    /// Mode 1: least significant byte first.
    #[default]
    LsbFirst,
    /// Mode 2: most significant byte first.
    MsbFirst,
}

impl ByteOrder {
    #[inline]
    pub(crate) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::LsbFirst => u16::from_le_bytes(bytes),
            Self::MsbFirst => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(crate) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::LsbFirst => u32::from_le_bytes(bytes),
            Self::MsbFirst => u32::from_be_bytes(bytes),
        }
    }

    /// A number of at most eight bytes.
    #[inline]
    pub(crate) fn u64(self, bytes: &[u8]) -> u64 {
        // Two loads that overlap unless there are four or eight bytes: a loop over the bytes, or a
        // branch for each length, takes several times as long.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let lsb_first = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(low), Some(high)) => {
                let high = u64::from(u32::from_le_bytes(*high));
                high.wrapping_shl(8 * (len - 4)) | u64::from(u32::from_le_bytes(*low))
            }
            _ => match (bytes.first_chunk(), bytes.last_chunk()) {
                (Some(low), Some(high)) => {
                    let high = u64::from(u16::from_le_bytes(*high));
                    high.wrapping_shl(8 * (len - 2)) | u64::from(u16::from_le_bytes(*low))
                }
                _ => bytes.first().copied().unwrap_or_default().into(),
            },
        };
        match self {
            Self::LsbFirst => lsb_first,
            Self::MsbFirst => lsb_first.swap_bytes().wrapping_shr(8 * 8_u32.saturating_sub(len)),
        }
    }
}

/// A frame that does not say what EN 13757 lets it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {flaw}")]
pub struct DecodeError {
    /// Offset of the offending byte, counted from the first of the frame; where bytes are missing,
    /// of the first that is.
    pub at: usize,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The frame does not begin as one of the three kinds.
    #[error("{0:#04x} starts no frame")]
    Start(u8),
    /// The two length bytes differ, or there is no room for control, address and CI.
    #[error("the length byte {0:#04x} is not that of a frame")]
    Length(u8),
    /// The frame, or a part of it, ends too early.
    #[error("the telegram ends inside the {0}")]
    Truncated(Part),
    /// Bytes behind the end of the frame.
    #[error("{0:#04x} follows the end of the frame")]
    Trailing(u8),
    /// The sum of control, address, CI and data.
    #[error("the checksum is {found:#04x} and should be {right:#04x}")]
    Checksum {
        /// As sent.
        found: u8,
        /// As computed.
        right: u8,
    },
    /// The last byte is not 16.
    #[error("the stop byte is {0:#04x} and should be 0x16")]
    Stop(u8),
    /// A CI that no meter sends, or that is not read here.
    #[error("the application layer {0:#04x} ({name}) is not one that is read here", name = ci::name(*.0))]
    Ci(u8),
    /// The fixed structure has 16 bytes, neither more nor less.
    #[error("the fixed structure has {0} bytes and should have 16")]
    FixedLength(usize),
    /// A DIF whose data field codes a marker that is reserved.
    #[error("DIF {0:#04x} is reserved")]
    ReservedDif(u8),
    /// A length byte of variable data that is reserved.
    #[error("the length byte {0:#04x} is reserved")]
    ReservedLvar(u8),
    /// More extension bytes than the standard allows.
    #[error("is an eleventh DIFE")]
    TooManyDife,
    /// More extension bytes than the standard allows.
    #[error("is an eleventh VIFE")]
    TooManyVife,
    /// The records are encrypted, and there is no key.
    #[error("the records are encrypted in mode {0} and there is no key")]
    KeyMissing(u8),
    /// The records are encrypted in a way that is not read here.
    #[error("the records are encrypted in mode {0} ({name}), which is not supported", name = mode_name(*.0))]
    Mode(u8),
    /// What only radio frames can have wrong.
    #[error("{0}")]
    Radio(RadioFlaw),
    /// It is encrypted, and stays so.
    #[error("{0}")]
    Sealed(SealFlaw),
}

impl Flaw {
    /// A code for programs, which stays as it is when the sentence changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Length(_) => "length",
            Self::Truncated(part) => part.code(),
            Self::Trailing(_) => "trailing",
            Self::Checksum { .. } => "checksum",
            Self::Stop(_) => "stop",
            Self::Ci(_) => "ci_unsupported",
            Self::FixedLength(_) => "fixed_length",
            Self::ReservedDif(_) => "dif_reserved",
            Self::ReservedLvar(_) => "lvar_reserved",
            Self::TooManyDife => "dife_count",
            Self::TooManyVife => "vife_count",
            Self::KeyMissing(_) => "key_missing",
            Self::Mode(_) => "mode_unsupported",
            Self::Radio(flaw) => flaw.code(),
            Self::Sealed(flaw) => flaw.code(),
        }
    }
}

/// What a mode of encryption is called where it is written down.
const fn mode_name(mode: u8) -> &'static str {
    match mode {
        1 => "the manufacturer's own",
        2 => "DES, vector 0",
        3 => "DES, vector from the address",
        4 => "AES-128, vector 0",
        8 => "AES-128 in CTR mode, with CMAC",
        9 => "AES-128 in GCM mode",
        10 => "AES-128 in CCM mode",
        13 => "TLS",
        _ => "reserved",
    }
}

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Start, length, control, address, checksum, stop.
    Frame,
    /// The fixed header in front of the records.
    Header,
    /// The data information block.
    Dib,
    /// The value information block.
    Vib,
    /// The plain text inside a VIB.
    Text,
    /// The value, with its length byte where it has one.
    Data,
}

impl Part {
    const fn code(self) -> &'static str {
        match self {
            Self::Frame => "truncated",
            Self::Header => "header_short",
            Self::Dib => "dif_truncated",
            Self::Vib => "vif_truncated",
            Self::Text => "text_truncated",
            Self::Data => "data_truncated",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Header => "header",
            Self::Dib => "DIB",
            Self::Vib => "VIB",
            Self::Text => "text of the VIB",
            Self::Data => "data",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_bytes_are_missing() {
        let mut r = Reader::at(&[1, 2, 3], 7);
        assert_eq!(r.byte(Part::Data), Ok(1));
        let error = r.take(3, Part::Data).unwrap_err();
        assert_eq!(error.to_string(), "byte 10: the telegram ends inside the data");
        assert_eq!(r.take_rest(), [2, 3]);
        assert_eq!(r.offset(), 10);
    }

    #[test]
    fn both_orders() {
        assert_eq!(ByteOrder::LsbFirst.u64(&[1, 2, 3]), 0x03_0201);
        assert_eq!(ByteOrder::MsbFirst.u64(&[1, 2, 3]), 0x01_0203);
    }
}
