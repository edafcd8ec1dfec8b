//! One frame of IEC 62056-46, as these meters send it.
//!
//! ```text
//! 7E | A0..A7 LL | destination | source | 13 | HCS | information | FCS | 7E
//!      └ 11 bits: octets between the flags   └─ over all of it before ─┘
//! ```
//!
//! An address is one to four octets, the last with its lowest bit set.
//!
//! **Never true:** an octet is stuffed. 7E and 7D stand for themselves within a frame, so that
//! its length and its checksum say where it ends, and never the next 7E.

use super::crc;
use super::cursor::Cursor;
use super::flaw::{Fault, Flaw};

/// Opens and closes a frame; one may do both.
pub(super) const FLAG: u8 = 0x7E;

/// What is between the checksums, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Information<'b> {
    pub(super) at: usize,
    pub(super) octets: &'b [u8],
    /// Who sends, as sent: it tells which list of its maker a meter uses.
    pub(super) addresses: &'b [u8],
}

/// How far what came is a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// More octets must come to tell.
    More,
    /// A frame of so many octets, the closing flag not counted.
    Frame(usize),
    /// None.
    No(Flaw),
}

/// Whether a frame begins with the flag at the beginning of `bytes`, and how long it is.
pub(super) fn measure(bytes: &[u8]) -> Measure {
    let Some(&[high, low]) = bytes.get(1..).and_then(|it| it.first_chunk()) else {
        return Measure::More;
    };
    if high & 0xF0 != FORMAT {
        return Measure::No(Flaw::new(1, Fault::NoStart));
    }
    let length = usize::from(u16::from_be_bytes([high, low]) & 0x07FF);
    let Some(frame) = bytes.get(1..=length) else {
        // The header has its own checksum, so that noise keeps nobody waiting for 2,047 octets.
        return match header(bytes.get(1..).unwrap_or_default()) {
            Ok(_) | Err(Flaw { fault: Fault::Ends(_), .. }) => Measure::More,
            Err(flaw) => Measure::No(flaw),
        };
    };
    match checked(frame) {
        Ok(_) => Measure::Frame(length + 1),
        Err(flaw) => Measure::No(flaw),
    }
}

/// The information of a whole frame, whose checksums are right.
pub(super) fn information(frame: &[u8]) -> Result<Information<'_>, Flaw> {
    let mut cursor = Cursor::new(frame, 0);
    cursor.expect(&[FLAG], "7E, the opening flag")?;
    let Some(&[high, low]) = cursor.rest().first_chunk() else {
        return Err(Flaw::new(frame.len(), Fault::Ends("the frame's length")));
    };
    if high & 0xF0 != FORMAT {
        return Err(Flaw::new(1, Fault::Expected("a frame format from A0 to A7")));
    }
    let length = u16::from_be_bytes([high, low]) & 0x07FF;
    let between = cursor.take(length.into(), "the frame")?;
    if cursor.peek() == Some(FLAG) {
        cursor.byte("7E, the closing flag")?;
    }
    cursor.end()?;
    let information = checked(between)?;
    if high & SEGMENTED != 0 {
        return Err(Flaw::new(1, Fault::Segment));
    }
    Ok(information)
}

const FORMAT: u8 = 0xA0;
const SEGMENTED: u8 = 0x08;

/// The information in what stands between the flags.
fn checked(between: &[u8]) -> Result<Information<'_>, Flaw> {
    let (inner, found) = between
        .split_last_chunk()
        .ok_or(Flaw::new(1 + between.len(), Fault::Ends("the frame's checksum")))?;
    let (found, expected) = (u16::from_le_bytes(*found), crc::x25(inner));
    let (header, addresses) = header(between)?;
    if found != expected {
        let part = "frame's end";
        return Err(Flaw::new(1 + inner.len(), Fault::Checksum { part, found, expected }));
    }
    let octets = inner.get(header..).unwrap_or_default();
    Ok(Information { at: 1 + header, octets, addresses })
}

/// How long the header is, its checksum with it, and the addresses in it.
fn header(between: &[u8]) -> Result<(usize, &[u8]), Flaw> {
    let mut cursor = Cursor::new(between, 1);
    cursor.take(2, "the frame's format")?;
    for _ in 0..2 {
        let at = cursor.at();
        let mut octets = 1;
        while cursor.byte("an address")? & 1 == 0 {
            octets += 1;
            if octets > 4 {
                return Err(Flaw::new(at, Fault::Expected("an address of at most four octets")));
            }
        }
    }
    let addresses = 2..cursor.at() - 1;
    cursor.byte("the control octet")?;
    let at = cursor.at();
    let found = u16::from_le_bytes(cursor.array("the header's checksum")?);
    let expected = crc::x25(between.get(..at - 1).unwrap_or_default());
    if found != expected {
        let part = "header";
        return Err(Flaw::new(at, Fault::Checksum { part, found, expected }));
    }
    Ok((cursor.at() - 1, between.get(addresses).unwrap_or_default()))
}
