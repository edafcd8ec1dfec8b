//! Keeps the ledger: every hour what the probe tried goes in, and how far it is is signed.
//!
//! ```text
//! attempts ──▶ entry ──▶ chain ──▶ checkpoint, signed ──▶ settings ──▶ whoever countersigns
//!                          └─────▶ statement, when a month is lost and when it is over
//! ```
//!
//! **Never true:** that an entry is changed, or written after one that does not hold. A ledger that
//! was tampered with, or damaged, gets no more entries: it is said in the log every hour.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike as _, Timelike as _};
use ed25519_dalek::SigningKey;
use ledger::book::{Book, Refused, Statement};
use ledger::chain::{Broken, Chain};
use ledger::entry::{Attempts, Entry, Fact, Open};
use ledger::note::{Checkpoint, Note};
use ledger::{Attempt, Month, Tier, Tried};
use metering::{Clock, GatewayId};
use store::{AttemptRow, Core, StoreError};
use tokio::time::{self, MissedTickBehavior};

use crate::evidence;
use crate::keys::Keys;
use crate::restart::Task;

/// Writes the ledger of one gateway.
#[derive(Clone)]
pub(crate) struct Scribe {
    pub(crate) core: Core,
    pub(crate) gateway: GatewayId,
    pub(crate) key: SigningKey,
    pub(crate) clock: Arc<dyn Clock>,
    /// The hour, since 1970, that was written last in this life.
    pub(crate) hour: Option<i64>,
}

impl std::fmt::Debug for Scribe {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scribe").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl Task for Scribe {
    fn name(&self) -> String {
        "ledger".to_owned()
    }

    async fn live(&mut self) {
        let mut every = time::interval(LOOK);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let hour = self.clock.now().wall.timestamp().div_euclid(3_600);
            if self.hour != Some(hour) {
                self.hour = Some(hour);
                if let Err(error) = self.write_hour().await {
                    tracing::error!(error = crate::chain(&error), "the ledger is not kept");
                }
            }
        }
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWritten {
    /// The ledger is not what it was.
    #[error("entry {} of the ledger: {}", .0.seq, .0.why)]
    Broken(Broken),
    /// It makes no sense after what was written before.
    #[error("{0}")]
    Refused(Refused),
    /// The store says no.
    #[error("the ledger cannot be read or written")]
    Store(#[source] StoreError),
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Scribe {
    /// The one of the gateway with these keys.
    pub(crate) fn new(keys: &Keys, core: Core, clock: Arc<dyn Clock>) -> Self {
        Self { core, gateway: keys.gateway, key: keys.device.clone(), clock, hour: None }
    }

    /// Everything that was tried since the last time, a statement if one is due, and a checkpoint.
    pub(crate) async fn write_hour(&self) -> Result<(), NotWritten> {
        let mut chain = self.open().await?;
        loop {
            let through = Book::new(chain.entries()).kept_through();
            let rows = self.core.attempts_after(through, MOST_ATTEMPTS).await?;
            let Some((last, _)) = rows.last() else { break };
            let attempt = |(_, row): &(u64, AttemptRow)| Attempt::from_bytes(&row.body);
            let tried = Tried::new(rows.iter().filter_map(attempt));
            self.append(&mut chain, Fact::Attempts(Attempts { through: *last, tried })).await?;
        }
        for statement in self.due(&chain) {
            self.append(&mut chain, Fact::Statement(statement.stated())).await?;
        }
        self.sign(&chain).await?;
        let before = self.clock.now().wall_ms() - KEEP_ATTEMPTS_MS;
        let through = Book::new(chain.entries()).kept_through();
        self.core.forget_attempts(through, before).await?;
        Ok(())
    }

    /// Writes down what somebody says, if it makes sense; the number of the entry.
    ///
    /// # Errors
    ///
    /// [`NotWritten`] if it does not, or cannot be written.
    pub(crate) async fn write(&self, fact: Fact) -> Result<u64, NotWritten> {
        let mut chain = self.open().await?;
        Book::new(chain.entries()).takes(&fact).map_err(NotWritten::Refused)?;
        let seq = self.append(&mut chain, fact).await?;
        self.sign(&chain).await?;
        Ok(seq)
    }

    /// The ledger as it is; opened, if it never was.
    async fn open(&self) -> Result<Chain, NotWritten> {
        let entries = self.core.ledger(0).await?;
        if !entries.is_empty() {
            return Chain::read(entries.iter().map(Vec::as_slice)).map_err(NotWritten::Broken);
        }
        let ledger = self.gateway.uuid().into_bytes();
        let fact = Fact::Open(Open { ledger, key: self.key.verifying_key().to_bytes() });
        let first = Entry { seq: 1, at_ms: self.clock.now().wall_ms(), fact }.to_bytes();
        let chain = Chain::read([first.as_slice()]).map_err(NotWritten::Broken)?;
        self.core.append_chain(0, first).await?;
        Ok(chain)
    }

    async fn append(&self, chain: &mut Chain, fact: Fact) -> Result<u64, NotWritten> {
        let place = chain.head().seq;
        let entry = Entry { seq: place + 1, at_ms: self.clock.now().wall_ms(), fact }.to_bytes();
        // Into the chain first: what does not hold there must not be stored.
        chain.push(&entry).map_err(NotWritten::Broken)?;
        self.core.append_chain(place, entry).await?;
        Ok(place + 1)
    }

    async fn sign(&self, chain: &Chain) -> Result<(), NotWritten> {
        let at_ms = self.clock.now().wall_ms();
        let note = checkpoint(chain, at_ms, &self.key);
        self.core.put_setting(CHECKPOINT_SETTING, note.to_string()).await?;
        Ok(())
    }

    /// The statements that have to be made now: of the month that is over, in the morning of its
    /// first day, and of the running one at the moment at which it is lost.
    fn due(&self, chain: &Chain) -> Vec<Statement> {
        let book = Book::new(chain.entries());
        let now = self.clock.now().wall;
        let Some(zone) = book.zone() else { return Vec::new() };
        let Ok(running) = Month::of(now.timestamp(), zone) else { return Vec::new() };
        let local = now.with_timezone(&zone);
        let over = Month::of(running.span().start - 1, zone).ok();
        let over = over.filter(|_| local.day() > 1 || local.hour() >= MADE_AT_HOUR);
        let mut due = Vec::new();
        if let Some(over) = over {
            let month = over.to_string();
            let statement = book.statement(&month).ok();
            due.extend(statement.filter(|it| !it.is_provisional() && !book.is_final(&month)));
        }
        let month = running.to_string();
        let lost = book.statement(&month).ok().filter(|it| it.settled.tier != Tier::None);
        due.extend(lost.filter(|_| !book.is_stated(&month)));
        due
    }
}

/// How far `chain` is, signed.
pub(crate) fn checkpoint(chain: &Chain, at_ms: i64, key: &SigningKey) -> Note {
    let (ledger, head) = (chain.ledger(), chain.head());
    Note::new(Checkpoint { ledger, head, at_ms }).signed(&evidence::name(ledger), key)
}

/// The newest checkpoint of this gateway.
pub(crate) const CHECKPOINT_SETTING: &str = "ledger_checkpoint";

/// The newest checkpoint that the portfolio has countersigned.
pub(crate) const COUNTERSIGNED_SETTING: &str = "ledger_countersigned";

/// How often it looks whether an hour is over.
const LOOK: Duration = Duration::from_secs(20);

/// In one entry: more than there are in a day. What is left goes into the next.
const MOST_ATTEMPTS: u32 = 10_000;

/// Statements are made at this hour of the first day, when nothing is missing any more.
const MADE_AT_HOUR: u32 = 6;

/// Thirteen months: the ledger has them for longer.
const KEEP_ATTEMPTS_MS: i64 = 396 * 86_400_000;

#[cfg(test)]
mod tests;
