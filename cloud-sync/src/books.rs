//! The two books of one promise of uptime change hands.

use std::sync::Arc;

use metering::GatewayId;
use sync_wire::{Books, Document, Refusal, limits, path};

use crate::identity::Identity;
use crate::post::{Post, SyncError};
use crate::way::Way;

/// Entries of this gateway's ledger, and how much of the vendor's book is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The place of the first of the entries, from 0.
    pub from: u64,
    /// Those from there on, in order; what does not fit into a message stays.
    pub entries: Vec<Vec<u8>>,
    /// How far the ledger is, signed.
    pub checkpoint: Option<String>,
    /// How many entries of the vendor's book are here.
    pub have: u64,
}

/// What the portfolio says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many entries of the ledger it has now.
    pub have: u64,
    /// Entries of its own book, from the ones that are here on.
    pub entries: Vec<Vec<u8>>,
    /// The newest checkpoint that it has countersigned.
    pub checkpoint: Option<String>,
}

/// A connection over which the books change hands, under one identity.
#[derive(Debug)]
pub struct BookKeeper {
    identity: Arc<Identity>,
    post: Post,
}

impl BookKeeper {
    /// With this identity, by this way.
    ///
    /// # Errors
    ///
    /// [`SyncError`] if the identity cannot be used.
    pub fn new(identity: Arc<Identity>, way: Way) -> Result<Self, SyncError> {
        let post = Post::as_gateway(&identity, way)?;
        Ok(Self { identity, post })
    }

    /// Whether it is under this identity.
    pub fn is_of(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity, identity)
    }

    /// Shows what is new, and hears what is new there.
    ///
    /// # Errors
    ///
    /// [`SyncError`]
    pub async fn exchange(&mut self, shown: Shown) -> Result<Seen, SyncError> {
        let Shown { from, entries, checkpoint, have } = shown;
        let gateway = self.identity.gateway();
        let entries = Books::fitting(entries, limits::BOOK_BYTES).ok_or_else(|| {
            let sentence = format!("entry {} of the ledger is too large to be sent", from + 1);
            Refusal::Malformed { sentence }
        })?;
        let message = Books { gateway, have, from, entries, checkpoint }.write();
        let answer = self.post.post(path::BOOKS, message, Books::read).await?;
        // An answer that goes on elsewhere than it was asked to is not one of ours.
        let entries = if answer.from == have { answer.entries } else { Vec::new() };
        Ok(Seen { have: answer.have, entries, checkpoint: answer.checkpoint })
    }

    /// What the portfolio has of this gateway's own ledger from the place `from` on.
    ///
    /// # Errors
    ///
    /// [`SyncError`]
    pub async fn own(&mut self, from: u64) -> Result<Seen, SyncError> {
        let gateway = self.identity.gateway();
        let asked = Books { gateway, have: from, from: 0, entries: Vec::new(), checkpoint: None };
        let answer = self.post.post(path::LEDGER, asked.write(), Books::read).await?;
        let entries = if answer.from == from { answer.entries } else { Vec::new() };
        Ok(Seen { have: answer.have, entries, checkpoint: answer.checkpoint })
    }

    /// A document of the vendor's; `None` if the portfolio has it not, or not as a whole. Whether it
    /// has the hash that it is asked for by, the caller has to see.
    ///
    /// # Errors
    ///
    /// [`SyncError`]
    pub async fn document(&mut self, sha256: [u8; 32]) -> Result<Option<Vec<u8>>, SyncError> {
        let mut all = Vec::new();
        loop {
            let part = self.hand_over(sha256, 0, all.len() as u64, Vec::new()).await?;
            if part.whole == 0 {
                return Ok(None);
            }
            let stuck = part.bytes.is_empty();
            all.extend(part.bytes);
            if all.len() as u64 >= part.whole {
                return Ok(Some(all));
            }
            if stuck {
                return Ok(None);
            }
        }
    }

    /// Gives the portfolio a document that stands behind an entry of this gateway's, as far as it is
    /// not there yet.
    ///
    /// # Errors
    ///
    /// [`SyncError`]
    pub async fn give(&mut self, sha256: [u8; 32], document: &[u8]) -> Result<(), SyncError> {
        let gateway = self.identity.gateway();
        give(&mut self.post, path::DOCUMENT, gateway, sha256, document).await
    }

    async fn hand_over(
        &mut self,
        sha256: [u8; 32],
        whole: u64,
        from: u64,
        bytes: Vec<u8>,
    ) -> Result<Document, SyncError> {
        let gateway = self.identity.gateway();
        let part = Document { gateway, sha256, whole, from, bytes };
        self.post.post(path::DOCUMENT, part.write(), Document::read).await
    }
}

/// Gives the portfolio a document at `path`, part by part, as far as it is not there yet.
pub(crate) async fn give(
    post: &mut Post,
    path: &str,
    gateway: GatewayId,
    sha256: [u8; 32],
    document: &[u8],
) -> Result<(), SyncError> {
    let whole = document.len() as u64;
    let question = Document { gateway, sha256, whole: 0, from: 0, bytes: Vec::new() };
    let there = post.post(path, question.write(), Document::read).await?;
    if there.whole != 0 {
        return Ok(());
    }
    let mut have = there.from;
    while let Some(rest) = usize::try_from(have).ok().and_then(|at| document.get(at..)) {
        let part = rest.get(..limits::DOCUMENT_PART).unwrap_or(rest);
        if part.is_empty() {
            break;
        }
        let part = Document { gateway, sha256, whole, from: have, bytes: part.to_vec() };
        let answer = post.post(path, part.write(), Document::read).await?;
        if answer.from <= have {
            break;
        }
        have = answer.from;
    }
    Ok(())
}
