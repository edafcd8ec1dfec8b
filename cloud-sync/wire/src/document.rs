//! How a document that stands behind an entry of a book gets to the other side.
//!
//! ```text
//!  Document = [version, gateway, sha256, whole, from, bytes]
//! ```
//!
//! It goes in parts, because a scanned letter is larger than a message. The gateway asks for one with
//! no bytes and how many it has, and gives one with bytes; the answer to a question has the bytes from
//! there on, and to what was given how many of them are there now. `whole` is the length of all of it;
//! 0 in an answer says that there is no such document.
//!
//! **Never true:** that a document is believed before the hash of all of it is the one in its name.

use metering::GatewayId;

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// A part of a document, or the question for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whose promise it is about.
    pub gateway: GatewayId,
    /// Of all of it.
    pub sha256: [u8; 32],
    /// How long all of it is; 0 if that is not known, or if there is none.
    pub whole: u64,
    /// Where the bytes begin.
    pub from: u64,
    /// Those from there on; none in a question.
    pub bytes: Vec<u8>,
}

impl Document {
    /// What is posted, or answered.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(6).unsigned(crate::VERSION).id(self.gateway.uuid()).bytes(&self.sha256);
        pen.unsigned(self.whole).unsigned(self.from).bytes(&self.bytes);
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("document", 6)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let sha256 = r.just("hash")?;
        let at = r.at();
        let whole = r.unsigned("length")?;
        let from = r.unsigned("place")?;
        let bytes = r.bytes("part", limits::DOCUMENT_PART)?.to_vec();
        r.end()?;
        let end = from.checked_add(bytes.len() as u64);
        let fits = bytes.is_empty() || end.is_some_and(|end| end <= whole);
        if whole > limits::DOCUMENT_BYTES || !fits {
            return Err(Malformed { at, flaw: Flaw::TooMany("bytes of a document") });
        }
        Ok(Self { gateway, sha256, whole, from, bytes })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn part(whole: u64, from: u64, bytes: usize) -> Document {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        Document { gateway, sha256: [9; 32], whole, from, bytes: vec![1; bytes] }
    }

    #[test]
    fn a_part_comes_as_it_was_sent() {
        for part in [part(0, 0, 0), part(100, 90, 10), part(1 << 20, 0, limits::DOCUMENT_PART)] {
            assert_eq!(Document::read(&part.write()), Ok(part));
        }
        let cut = part(100, 0, 100).write();
        assert!(Document::read(cut.get(..cut.len() - 1).unwrap()).is_err());
    }

    #[test]
    fn what_is_larger_than_a_document_is_not_read() {
        for wrong in [
            part(limits::DOCUMENT_BYTES + 1, 0, 0),
            part(10, 5, 6),
            part(10, u64::MAX, 1),
            part(1 << 20, 0, limits::DOCUMENT_PART + 1),
        ] {
            assert!(Document::read(&wrong.write()).is_err(), "{} {}", wrong.whole, wrong.from);
        }
    }
}
