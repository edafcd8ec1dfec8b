//! How the two books of one promise of uptime get to the other side.
//!
//! ```text
//!  Books = [version, gateway, have, from, [entry, …], checkpoint | null]
//! ```
//!
//! The gateway posts entries of its ledger from the place `from` on and says how many of the
//! portfolio's it has; the answer has the same form the other way round. The checkpoint of the
//! answer is the gateway's own, countersigned, once the portfolio has every entry of it.
//!
//! What stands in an entry, and who may have written it, is not this crate's affair.

use metering::GatewayId;

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// Entries of one side's book, and how much of the other's it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// Whose promise it is.
    pub gateway: GatewayId,
    /// How many entries of the other side's book are here.
    pub have: u64,
    /// The place of the first of [`entries`](Self::entries), from 0.
    pub from: u64,
    /// Entries of this side's book, in order.
    pub entries: Vec<Vec<u8>>,
    /// How far the gateway's book is, signed: by the gateway, and in the answer by both.
    pub checkpoint: Option<String>,
}

impl Books {
    /// Those of `entries` that go into a message of `most` bytes; `None` if the first alone is too
    /// large.
    pub fn fitting(
        entries: impl IntoIterator<Item = Vec<u8>>,
        most: usize,
    ) -> Option<Vec<Vec<u8>>> {
        let mut bytes = 0;
        let mut fitting = Vec::new();
        for entry in entries {
            bytes += entry.len() + 9;
            if bytes > most || fitting.len() == limits::BOOK_ENTRIES {
                return if fitting.is_empty() { None } else { Some(fitting) };
            }
            fitting.push(entry);
        }
        Some(fitting)
    }

    /// What is posted, or answered.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(6).unsigned(crate::VERSION).id(self.gateway.uuid());
        pen.unsigned(self.have).unsigned(self.from).list(self.entries.len());
        for entry in &self.entries {
            pen.bytes(entry);
        }
        match &self.checkpoint {
            Some(checkpoint) => pen.text(checkpoint),
            None => pen.null(),
        };
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("books", 6)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let have = r.unsigned("number of entries")?;
        let from = r.unsigned("place")?;
        let at = r.at();
        let count = r.list("entries", limits::BOOK_ENTRIES)?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        for _ in 0..count {
            let entry = r.bytes("entry", limits::BOOK_BYTES)?;
            bytes += entry.len();
            if bytes > limits::BOOK_BYTES {
                return Err(Malformed { at, flaw: Flaw::TooMany("bytes of entries") });
            }
            entries.push(entry.to_vec());
        }
        let checkpoint =
            r.optional(|r| r.text("checkpoint", limits::CHECKPOINT_BYTES).map(str::to_owned))?;
        r.end()?;
        Ok(Self { gateway, have, from, entries, checkpoint })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn books(entries: Vec<Vec<u8>>, checkpoint: Option<&str>) -> Books {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        Books { gateway, have: 3, from: 12, entries, checkpoint: checkpoint.map(str::to_owned) }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let full = books(vec![vec![1, 2], Vec::new()], Some("sla-ledger/1\n"));
        assert_eq!(Books::read(&full.write()), Ok(full));
        let empty = books(Vec::new(), None);
        assert_eq!(Books::read(&empty.write()), Ok(empty.clone()));
        let cut = empty.write();
        assert!(Books::read(cut.get(..cut.len() - 1).unwrap()).is_err());
    }

    #[test]
    fn only_so_much_goes_into_a_message() {
        let large = vec![0; limits::BOOK_BYTES / 2];
        let fitting =
            Books::fitting([large.clone(), large.clone(), large], limits::BOOK_BYTES).unwrap();
        assert_eq!(fitting.len(), 1);
        assert!(books(fitting, None).write().len() <= limits::POSTED_BYTES);
        assert_eq!(Books::fitting([vec![0; limits::BOOK_BYTES + 1]], limits::BOOK_BYTES), None);
        assert_eq!(Books::fitting([], limits::BOOK_BYTES), Some(Vec::new()));
        assert!(Books::read(&books(vec![vec![0; limits::BOOK_BYTES + 1]], None).write()).is_err());
    }
}
