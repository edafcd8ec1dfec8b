//! The two books of each promise of uptime: a copy of the gateway's, and the vendor's own.
//!
//! ```text
//!  gateway's ledger ──entries──▶ copy, checked ──▶ countersigned checkpoint ──▶ gateway
//!  probe, people ──▶ vendor's book ────────────────────entries────────────────▶ gateway
//!                        └── beside the copy ──▶ what the two differ in
//! ```
//!
//! The copy is taken only as far as it is a chain, and only as the continuation of what was there
//! before: once the portfolio has an entry, its gateway cannot show another in its place.
//!
//! **Never true:** that the vendor's book changes the customer's. What it says of exclusions and claims
//! the gateway writes down as said by the vendor, or not at all.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ledger::book::Book;
use ledger::chain::{Broken, Chain, vendors};
use ledger::entry::{Attempts, Entry, Fact, Open};
use ledger::note::{Note, Verifier};
use ledger::{Attempt, Tried};
use metering::{Clock, GatewayId};
use sha2::{Digest as _, Sha256};
use sync_wire::{Books, Document, Refusal, limits};
use tokio::task;

use crate::repository::{Owned, Repository, RepositoryError, Side};

/// Keeps the books. Clones share it.
#[derive(Clone)]
pub(crate) struct Ledgers<R> {
    repository: R,
    clock: Arc<dyn Clock>,
    key: SigningKey,
}

impl<R> std::fmt::Debug for Ledgers<R> {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledgers").finish_non_exhaustive()
    }
}

/// Why an entry of the vendor's book is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSaid {
    /// A book is not what it was.
    #[error("entry {} of the book: {}", .0.seq, .0.why)]
    Broken(Broken),
    /// Another receiver writes all the time.
    #[error("the book is being written by somebody else")]
    Busy,
    /// The database.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// What both sides have written.
#[derive(Debug)]
pub(crate) struct Both {
    /// The gateway's ledger, as far as it is here; `None` if it never sent any.
    pub(crate) customer: Option<Shown>,
    /// The vendor's.
    pub(crate) vendor: Option<Shown>,
}

/// A book, and of it what its owner is shown: what was written since the gateway is theirs.
#[derive(Debug)]
pub(crate) struct Shown {
    chain: Chain,
    /// So many entries are of an owner before.
    hidden: usize,
}

impl Shown {
    /// From the entry on which follows the first `hidden`, and was written at `since_ms` or later.
    pub(crate) fn new(chain: Chain, hidden: u64, since_ms: i64) -> Self {
        let hidden = usize::try_from(hidden).unwrap_or(usize::MAX).min(chain.entries().len());
        // What the gateway had not sent yet when it was given away.
        let later = chain.entries().iter().skip(hidden);
        let hidden = hidden + later.take_while(|entry| entry.at_ms < since_ms).count();
        Self { chain, hidden }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.chain.entries().get(self.hidden..).unwrap_or_default()
    }

    /// All of it, as a chain.
    pub(crate) const fn chain(&self) -> &Chain {
        &self.chain
    }
}

impl<R: Repository> Ledgers<R> {
    /// With these; `key` signs what is seen.
    pub(crate) const fn new(repository: R, clock: Arc<dyn Clock>, key: SigningKey) -> Self {
        Self { repository, clock, key }
    }

    /// Takes entries of a gateway, and answers with ours and a countersignature.
    pub(crate) async fn exchange(
        &self,
        books: Books,
    ) -> Result<Result<Books, Refusal>, RepositoryError> {
        let gateway = books.gateway;
        let have = self.repository.book_len(gateway, Side::Customer).await?;
        let kept = self.repository.book_note(gateway).await?;
        let same = books.entries.is_empty() && is_of(kept.as_deref(), books.checkpoint.as_deref());
        let (have, checkpoint) = if same || books.from > have {
            (have, kept)
        } else {
            match self.take(&books).await? {
                Ok(taken) => taken,
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
        self.open(gateway).await?;
        let ours = self.repository.book(gateway, Side::Vendor, books.have, MOST_ENTRIES).await?;
        let entries = Books::fitting(ours, limits::BOOK_ANSWER_BYTES).unwrap_or_default();
        Ok(Ok(Books { gateway, have, from: books.have, entries, checkpoint }))
    }

    /// How many entries of the gateway are here then, and the newest checkpoint that both signed.
    async fn take(
        &self,
        books: &Books,
    ) -> Result<Result<(u64, Option<String>), Refusal>, RepositoryError> {
        let gateway = books.gateway;
        let known = self.repository.book(gateway, Side::Customer, 0, u32::MAX).await?;
        let place = usize::try_from(books.from).unwrap_or(usize::MAX);
        let shown = books.entries.clone();
        let judged = task::spawn_blocking(move || judge(&known, place, shown, gateway)).await;
        let judged = judged
            .map_err(|died| RepositoryError::Failed { doing: "read a book", cause: died.into() })?;
        let (chain, new) = match judged {
            Ok(judged) => judged,
            Err(sentence) => {
                tracing::error!(%gateway, sentence, "a gateway's ledger is not taken");
                return Ok(Err(Refusal::Malformed { sentence }));
            }
        };
        if let Some(seq) = parted(&chain, &new, books.checkpoint.as_deref()) {
            tracing::error!(%gateway, seq, "a gateway's ledger is not taken: it has parted");
            let sentence = format!(
                "the ledger that entry {seq} ends is not the one that it showed before: the disk was \
                 put back to an older state"
            );
            return Ok(Err(Refusal::Malformed { sentence }));
        }
        let from = chain.head().seq - u64::try_from(new.len()).unwrap_or(u64::MAX);
        let have = if new.is_empty() {
            from
        } else {
            self.repository.append_book(gateway, Side::Customer, from, new).await?
        };
        let signed = books.checkpoint.as_deref().and_then(|note| self.countersigned(&chain, note));
        let kept = self.repository.book_note(gateway).await?;
        // A disk that was put back shows an older one: what both signed already stays.
        let note = match signed {
            Some(note) if seq_of(&note) >= kept.as_deref().map_or(0, seq_of) => {
                self.repository.put_book_note(gateway, note.clone()).await?;
                Some(note)
            }
            _ => kept,
        };
        Ok(Ok((have, note)))
    }

    /// The gateway's checkpoint with our signature; `None` unless it is of what we have.
    fn countersigned(&self, chain: &Chain, note: &str) -> Option<String> {
        let note: Note = note.parse().ok()?;
        let checkpoint = &note.checkpoint;
        let seq = checkpoint.head.seq;
        let name = format!("gateway-{}", uuid::Uuid::from_bytes(chain.ledger()));
        let writer = Verifier::new(&name, chain.key_at(seq)?)?;
        let ours = checkpoint.ledger == chain.ledger() && note.is_signed(&writer);
        let seen = chain.head_at(seq) == Some(checkpoint.head);
        (ours && seen && note.names().count() == 1)
            .then(|| note.signed(COUNTERSIGNER, &self.key).to_string())
    }

    /// Opens the vendor's book, if it never was: its key is what the countersignature is believed for.
    async fn open(&self, gateway: GatewayId) -> Result<(), RepositoryError> {
        if self.repository.book_len(gateway, Side::Vendor).await? == 0 {
            let first = self.entry(1, self.opening(gateway));
            self.repository.append_book(gateway, Side::Vendor, 0, vec![first]).await?;
        }
        Ok(())
    }

    fn opening(&self, gateway: GatewayId) -> Fact {
        let ledger = vendors(gateway.uuid().into_bytes());
        Fact::Open(Open { ledger, key: self.key.verifying_key().to_bytes() })
    }

    /// Writes `fact` into the vendor's book of `gateway`; the number of the entry.
    pub(crate) async fn say(&self, gateway: GatewayId, fact: Fact) -> Result<u64, NotSaid> {
        for _ in 0..TRIES {
            self.open(gateway).await?;
            let mut entries = self.repository.book(gateway, Side::Vendor, 0, u32::MAX).await?;
            let from = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            let entry = self.entry(from + 1, fact.clone());
            // What does not hold in the chain must not be stored.
            entries.push(entry.clone());
            chain(entries).await?;
            let len = self.repository.append_book(gateway, Side::Vendor, from, vec![entry]).await?;
            if len == from + 1 {
                return Ok(len);
            }
        }
        Err(NotSaid::Busy)
    }

    /// What the probe tried goes into the vendor's book. It waits for an hour to be over; what was tried for
    /// an owner before is told to nobody, which is unknown time in the vendor's book.
    pub(crate) async fn tried(
        &self,
        gateway: GatewayId,
        mut attempts: Vec<Attempt>,
    ) -> Result<(), NotSaid> {
        if let Some(Owned { since_ms, .. }) = self.repository.owned(gateway).await? {
            attempts.retain(|attempt| attempt.at.saturating_mul(1_000) >= since_ms);
            if attempts.is_empty() {
                return Ok(());
            }
        }
        let through = attempts.last().map_or(0, |last| last.at.unsigned_abs());
        let tried = Tried::new(attempts);
        self.say(gateway, Fact::Attempts(Attempts::new(through, tried))).await.map(drop)
    }

    /// The gateway's ledger, as far as it is here.
    pub(crate) async fn customer(&self, gateway: GatewayId) -> Result<Option<Shown>, NotSaid> {
        self.shown(gateway, Side::Customer).await
    }

    async fn shown(&self, gateway: GatewayId, side: Side) -> Result<Option<Shown>, NotSaid> {
        let owned = self.repository.owned(gateway).await?;
        let chain = chain(self.repository.book(gateway, side, 0, u32::MAX).await?).await?;
        Ok(chain.map(|chain| match owned {
            Some(Owned { since_ms, customer_from, vendor_from }) => {
                let hidden = if side == Side::Customer { customer_from } else { vendor_from };
                Shown::new(chain, hidden, since_ms)
            }
            None => Shown::new(chain, 0, i64::MIN),
        }))
    }

    /// Both books of a gateway.
    pub(crate) async fn both(&self, gateway: GatewayId) -> Result<Both, NotSaid> {
        let customer = self.shown(gateway, Side::Customer).await?;
        Ok(Both { customer, vendor: self.shown(gateway, Side::Vendor).await? })
    }

    /// What is here of a gateway's own ledger from the place `have` on, for one that has lost its disk.
    pub(crate) async fn own(&self, asked: Books) -> Result<Books, RepositoryError> {
        let Books { gateway, have: from, .. } = asked;
        let have = self.repository.book_len(gateway, Side::Customer).await?;
        let kept = self.repository.book(gateway, Side::Customer, from, MOST_ENTRIES).await?;
        let entries = Books::fitting(kept, limits::BOOK_ANSWER_BYTES).unwrap_or_default();
        let checkpoint = self.repository.book_note(gateway).await?;
        Ok(Books { gateway, have, from, entries, checkpoint })
    }

    /// Keeps a document that an entry of the vendor's book is going to name.
    pub(crate) async fn keep(
        &self,
        gateway: GatewayId,
        bytes: Vec<u8>,
    ) -> Result<[u8; 32], RepositoryError> {
        let (sha256, whole): ([u8; 32], _) = (Sha256::digest(&bytes).into(), bytes.len() as u64);
        if self.document(gateway, sha256).await?.is_none() {
            // What a gateway has given of it in parts is the same.
            self.repository.forget_proof(gateway, sha256).await?;
            self.repository.put_proof(gateway, sha256, whole, 0, bytes).await?;
        }
        Ok(sha256)
    }

    /// A document that is here as a whole.
    pub(crate) async fn document(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let found = self.repository.proof(gateway, sha256).await?;
        // Two requests at once may have written parts of different documents.
        let is_it = |(whole, bytes): &(u64, Vec<u8>)| {
            bytes.len() as u64 == *whole && <[u8; 32]>::from(Sha256::digest(bytes)) == sha256
        };
        Ok(found.filter(is_it).map(|(_, bytes)| bytes))
    }

    /// Gives a gateway a part of a document, or takes one from it.
    pub(crate) async fn hand_over(
        &self,
        asked: Document,
    ) -> Result<Result<Document, Refusal>, NotSaid> {
        let Document { gateway, sha256, whole, from, bytes } = asked;
        let found = self.repository.proof(gateway, sha256).await?;
        let (known, here) = found.unwrap_or_default();
        let have = here.len() as u64;
        let answer = |whole, from, bytes| Ok(Ok(Document { gateway, sha256, whole, from, bytes }));
        if bytes.is_empty() {
            if have < known || known == 0 {
                // Not as a whole: how much of it is here is of use to who has it.
                return answer(0, have, Vec::new());
            }
            let start = usize::try_from(from).unwrap_or(usize::MAX);
            let part = here.get(start..).unwrap_or_default();
            let part = part.get(..limits::DOCUMENT_PART).unwrap_or(part);
            return answer(known, from, part.to_vec());
        }
        let refused = |sentence: &str| {
            tracing::warn!(%gateway, sentence, "a document is not taken");
            Ok(Err(Refusal::Malformed { sentence: sentence.to_owned() }))
        };
        if known != 0 && known != whole {
            return refused("the document had another length before");
        }
        if from != have {
            return answer(whole, have, Vec::new());
        }
        let named = self.customer(gateway).await?;
        let named = named.is_some_and(|chain| {
            Book::new(chain.entries()).proofs().any(|proof| proof.sha256 == sha256)
        });
        if !named {
            return refused("no entry of the ledger names the document");
        }
        if self.repository.proofs_len(gateway).await? > MOST_PROOFS {
            return refused(
                "the documents of the gateway take too much room: the oldest have to go",
            );
        }
        let have = have + bytes.len() as u64;
        if have == whole {
            let all = Sha256::new().chain_update(&here).chain_update(&bytes).finalize();
            if <[u8; 32]>::from(all) != sha256 {
                self.repository.forget_proof(gateway, sha256).await?;
                return refused("the document has another hash than its name");
            }
        }
        self.repository.put_proof(gateway, sha256, whole, from, bytes).await?;
        answer(whole, have, Vec::new())
    }

    fn entry(&self, seq: u64, fact: Fact) -> Vec<u8> {
        Entry { seq, at_ms: self.clock.now().wall_ms(), fact }.to_bytes()
    }
}

/// What a gateway's documents may take together, in bytes: 256 of the largest.
const MOST_PROOFS: u64 = 256 * 1024 * 1024;

/// The entry that a note is of.
fn seq_of(note: &str) -> u64 {
    note.parse::<Note>().map_or(0, |note| note.checkpoint.head.seq)
}

/// Reads a chain beside those who wait for an answer; `None` if it has no entry.
async fn chain(entries: Vec<Vec<u8>>) -> Result<Option<Chain>, NotSaid> {
    if entries.is_empty() {
        return Ok(None);
    }
    let read = task::spawn_blocking(move || Chain::read(entries.iter().map(Vec::as_slice))).await;
    let read =
        read.map_err(|died| RepositoryError::Failed { doing: "read a book", cause: died.into() })?;
    read.map(Some).map_err(NotSaid::Broken)
}

/// The chain of `known` with what `shown`, which begins at `place`, adds to it, and that.
fn judge(
    known: &[Vec<u8>],
    place: usize,
    shown: Vec<Vec<u8>>,
    gateway: GatewayId,
) -> Result<(Chain, Vec<Vec<u8>>), String> {
    let mut new = Vec::new();
    for (place, entry) in (place..).zip(shown) {
        match known.get(place) {
            Some(known) if *known == entry => {}
            Some(_) => {
                let seq = place + 1;
                return Err(format!("entry {seq} of its ledger is another than it showed before"));
            }
            None => new.push(entry),
        }
    }
    let all = known.iter().chain(&new).map(Vec::as_slice);
    let chain = Chain::read(all)
        .map_err(|Broken { seq, why }| format!("entry {seq} of its ledger: {why}"))?;
    if chain.ledger() != gateway.uuid().into_bytes() {
        return Err("the ledger is another gateway's".to_owned());
    }
    Ok((chain, new))
}

/// The number of an entry that is signed with another history than `chain` has up to there.
///
/// An entry does not say what it follows on. A gateway whose disk was put back writes on from where it
/// was then, and sends only what is new: the numbers fit, and what it signs does not.
fn parted(chain: &Chain, new: &[Vec<u8>], note: Option<&str>) -> Option<u64> {
    let note: Note = note.filter(|_| !new.is_empty())?.parse().ok()?;
    let signed = &note.checkpoint;
    let here = chain.head_at(signed.head.seq)?;
    (signed.ledger == chain.ledger() && here != signed.head).then_some(signed.head.seq)
}

/// Whether `kept` is `note` with a signature more.
fn is_of(kept: Option<&str>, note: Option<&str>) -> bool {
    match (kept, note) {
        (Some(kept), Some(note)) => kept.starts_with(note),
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

/// What the portfolio is called in checkpoints.
pub(crate) const COUNTERSIGNER: &str = "portfolio";

/// So many of ours go into one answer.
const MOST_ENTRIES: u32 = 500;

/// Two receivers seldom write into one book at once.
const TRIES: u32 = 3;

#[cfg(test)]
mod tests;
