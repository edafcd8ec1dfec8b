//! Entries chained by hash: what was written cannot be changed, dropped, moved or doubled unseen.
//!
//! ```text
//! h0 = SHA-256("sla-ledger/1\n" ‖ ledger id)
//! hn = SHA-256(01 ‖ number, 8 bytes ‖ hn-1 ‖ bytes of entry n)
//! ```

use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, Fact, NewKey};

/// The hash of everything up to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: u64,
    /// The hash.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first entry.
    pub fn start(ledger: [u8; 16]) -> Self {
        let hash = Sha256::new().chain_update("sla-ledger/1\n").chain_update(ledger).finalize();
        Self { seq: 0, hash: hash.into() }
    }

    /// After one more entry of these bytes.
    #[must_use]
    pub fn after(self, entry: &[u8]) -> Self {
        let seq = self.seq.saturating_add(1);
        let hash = Sha256::new()
            .chain_update([1])
            .chain_update(seq.to_be_bytes())
            .chain_update(self.hash)
            .chain_update(entry)
            .finalize();
        Self { seq, hash: hash.into() }
    }
}

/// Why a chain does not hold, and at which entry first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number that the entry should have.
    pub seq: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    ledger: [u8; 16],
    entries: Vec<Entry>,
    heads: Vec<Head>,
    /// Each key, and the number of the entry from which on it signs.
    keys: Vec<(u64, [u8; 32])>,
    /// How many attempts its entries have.
    attempts: u64,
}

impl Chain {
    /// Reads a whole chain, from its first entry on.
    ///
    /// # Errors
    ///
    /// [`Broken`] at the first entry that is not one, or not the next one.
    pub fn read<'b>(entries: impl IntoIterator<Item = &'b [u8]>) -> Result<Self, Broken> {
        let mut entries = entries.into_iter();
        let broken = |seq, why| Broken { seq, why };
        let bytes = entries.next().ok_or(broken(1, "there is no first entry"))?;
        let first = Entry::from_bytes(bytes).ok_or(broken(1, UNREADABLE))?;
        let Fact::Open(open) = &first.fact else {
            return Err(broken(1, "the first entry does not open a ledger"));
        };
        if first.seq != 1 {
            return Err(broken(1, OUT_OF_ORDER));
        }
        let mut chain = Self {
            ledger: open.ledger,
            keys: vec![(1, open.key)],
            heads: vec![Head::start(open.ledger).after(bytes)],
            entries: vec![first],
            attempts: 0,
        };
        for bytes in entries {
            chain.push(bytes)?;
        }
        Ok(chain)
    }

    /// Takes one more entry.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it is not the next.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let head = self.head().after(bytes);
        let broken = |why| Broken { seq: head.seq, why };
        let entry = Entry::from_bytes(bytes).ok_or(broken(UNREADABLE))?;
        if entry.seq != head.seq {
            return Err(broken(OUT_OF_ORDER));
        }
        match &entry.fact {
            Fact::Open(_) => return Err(broken("a ledger is opened twice")),
            Fact::Attempts(it) => {
                let more = it.tried.len().saturating_add(it.ingest.len());
                self.attempts = self.attempts.saturating_add(more);
            }
            Fact::Correction(it) if !(1..entry.seq).contains(&it.of) => {
                return Err(broken("it corrects an entry that is not before it"));
            }
            Fact::Key(key) if !self.signs(key) => {
                return Err(broken("the new key is not signed by the one before it"));
            }
            Fact::Key(key) => self.keys.push((entry.seq, key.key)),
            _ => {}
        }
        if self.attempts > MOST_ATTEMPTS {
            return Err(broken("it has more attempts than a probe makes in twenty years"));
        }
        self.heads.push(head);
        self.entries.push(entry);
        Ok(())
    }

    fn signs(&self, new: &NewKey) -> bool {
        let message = rotation(new.key);
        self.keys
            .last()
            .is_some_and(|(_, key)| crate::note::verifies(key, &message, &new.signature))
    }

    /// Whose it is.
    pub const fn ledger(&self) -> [u8; 16] {
        self.ledger
    }

    /// Its entries, from number 1 on.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// After the last entry.
    pub fn head(&self) -> Head {
        self.heads.last().copied().unwrap_or_else(|| Head::start(self.ledger))
    }

    /// After the entry with this number.
    pub fn head_at(&self, seq: u64) -> Option<Head> {
        self.heads.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }

    /// Each key that signs, with the number of the entry from which on it does, in order.
    pub fn keys(&self) -> impl Iterator<Item = (u64, [u8; 32])> {
        self.keys.iter().copied()
    }

    /// The key that signs what ends with the entry of this number.
    pub fn key_at(&self, seq: u64) -> Option<[u8; 32]> {
        let (_, key) = self.keys.iter().rev().find(|(from, _)| *from <= seq)?;
        Some(*key)
    }
}

/// The id of the book that the vendor keeps beside the ledger of this gateway.
pub fn vendors(gateway: [u8; 16]) -> [u8; 16] {
    let hash = Sha256::new().chain_update("sla-ledger/1 vendor\n").chain_update(gateway).finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

/// What the old key signs so that a new one takes its place.
pub fn rotation(new: [u8; 32]) -> Vec<u8> {
    [b"sla-ledger/1 key\n".as_slice(), &new].concat()
}

/// A probe that fails all the time asks every ten seconds. An entry of a few bytes can say that there
/// were a day of them: without a bound a file of some megabytes would keep its reader busy for days.
const MOST_ATTEMPTS: u64 = 20 * 366 * 8_640;

const UNREADABLE: &str = "its bytes are not the canonical ones of an entry";
const OUT_OF_ORDER: &str = "it has another number: an entry is missing, doubled or moved";

/// A whole chain as it stands in a file: each entry with the hash of everything up to it, so that
/// the first that does not hold can be named.
///
/// ```text
/// "sla-ledger/1 entries\n"  then for each entry:  length, 4 bytes ‖ entry ‖ hash, 32 bytes
/// ```
pub fn segment<'b>(ledger: [u8; 16], entries: impl IntoIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut file = SEGMENT.to_vec();
    let mut head = Head::start(ledger);
    for entry in entries {
        head = head.after(entry);
        // No entry is longer: the store takes none above 1 MiB.
        let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        file.extend(length.to_be_bytes());
        file.extend(entry);
        file.extend(head.hash);
    }
    file
}

impl Chain {
    /// Reads what [`segment`] wrote.
    ///
    /// # Errors
    ///
    /// [`Broken`] at the first entry that is not what it was.
    pub fn read_segment(file: &[u8]) -> Result<Self, Broken> {
        let broken = |seq, why| Broken { seq, why };
        let mut rest = file.strip_prefix(SEGMENT).ok_or(broken(1, "this is no ledger"))?;
        let mut chain: Option<Self> = None;
        while !rest.is_empty() {
            let seq = chain.as_ref().map_or(0, |chain| chain.head().seq) + 1;
            let (bytes, hash, after) = part(rest).ok_or(broken(seq, "it is cut short"))?;
            let chain = match &mut chain {
                Some(chain) => {
                    chain.push(bytes)?;
                    chain
                }
                None => chain.insert(Self::read([bytes])?),
            };
            if chain.head().hash != *hash {
                return Err(broken(
                    seq,
                    "its hash is not that of its bytes and of those before it",
                ));
            }
            rest = after;
        }
        chain.ok_or(broken(1, "there is no first entry"))
    }
}

/// The first entry of what follows, its hash, and the rest.
fn part(file: &[u8]) -> Option<(&[u8], &[u8; 32], &[u8])> {
    let (length, rest) = file.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, rest) = rest.split_at_checked(length)?;
    let (hash, rest) = rest.split_first_chunk()?;
    Some((bytes, hash, rest))
}

const SEGMENT: &[u8] = b"sla-ledger/1 entries\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Attempts, Open};
    use crate::{Attempt, Outcome, References, Tried};

    #[test]
    fn few_bytes_that_say_much_are_no_work_without_end() {
        let fact = Fact::Open(Open { ledger: [7; 16], key: [3; 32] });
        let opened = Entry { seq: 1, at_ms: 0, fact }.to_bytes();
        let well = |at| Attempt {
            at,
            outcome: Outcome::Success,
            references: References::default(),
            clock_trusted: true,
            age: None,
        };
        let tried = Tried::new((1_000..1_010).map(well));
        let fact = Fact::Attempts(Attempts::new(10, tried));
        let ten = Entry { seq: 2, at_ms: 0, fact }.to_bytes();
        let push = |before| {
            let mut chain = Chain::read([opened.as_slice()]).unwrap();
            chain.attempts = before;
            chain.push(&ten).map_err(|broken| broken.why)
        };
        assert_eq!(push(MOST_ATTEMPTS - 10), Ok(()));
        let said = "it has more attempts than a probe makes in twenty years";
        assert_eq!(push(MOST_ATTEMPTS - 9), Err(said));
    }
}
