//! Keeps the ledger: every hour what the probe tried goes in, and how far it is is signed.
//!
//! ```text
//! attempts ──▶ entry ──▶ chain ──▶ checkpoint, signed ──▶ settings
//!                          │        └──▶ the portfolio, see [`books`](crate::books)
//!                          └─────▶ statement, when a month is lost and when it is over
//! ```
//!
//! **Never true:** that an entry is changed, or written after one that does not hold. A ledger that
//! was tampered with, or damaged, gets no more entries: it is said in the log every hour.
//!
//! **Never true:** that an entry is written by a clock that nobody trusts. What was tried waits in its
//! table until one does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Timelike as _, Utc};
use ed25519_dalek::{Signer as _, SigningKey};
use ledger::book::{Book, Refused, Statement};
use ledger::chain::{Broken, Chain, rotation};
use ledger::entry::{Attempts, Entry, Fact, NewKey, Open};
use ledger::note::{Checkpoint, Note};
use ledger::settlement::ClaimState;
use ledger::{Attempt, Channel, Month, Tier, Tried};
use metering::{Clock, GatewayId, Trust};
use sha2::{Digest as _, Sha256};
use store::{AttemptRow, Core, LEDGER_BEHIND, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::time::{self, MissedTickBehavior};
use web_ui::{NotRecorded, Owed};

use crate::evidence;
use crate::keys::Keys;
use crate::ledger_keys::LedgerKeys;
use crate::restart::Task;

/// Writes the ledger of one gateway.
#[derive(Clone)]
pub(crate) struct Scribe {
    pub(crate) core: Core,
    pub(crate) gateway: GatewayId,
    pub(crate) keys: LedgerKeys,
    pub(crate) clock: Arc<dyn Clock>,
    /// What can still be claimed.
    pub(crate) owed: watch::Sender<Arc<Vec<Owed>>>,
    /// The hour, since 1970, that was written last in this life.
    pub(crate) hour: Option<i64>,
    /// Who writes: an entry follows from those before it, so they are written one after the other.
    pub(crate) turn: Arc<Mutex<()>>,
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
            let now = self.clock.now();
            let hour = now.wall.timestamp().div_euclid(3_600);
            if now.trust >= Trust::Holdover && self.hour != Some(hour) {
                if self.is_behind().await.unwrap_or(false) {
                    continue;
                }
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
    /// Nobody knows what time it is.
    #[error("the clock is not trusted yet, and every entry of the ledger says when it was written")]
    Clock,
    /// It makes no sense after what was written before.
    #[error("{0}")]
    Refused(Refused),
    /// There may be more of the ledger than is here.
    #[error(
        "the ledger was put back from a backup, or is on another machine: it goes on when the portfolio \
         has shown what it has of it, or after a week"
    )]
    Behind,
    /// A key is missing.
    #[error("the key that signs the ledger is not in `keys/`: put it back from a backup")]
    NoKey,
    /// A key cannot be made.
    #[error("no key can be made")]
    Key(#[source] std::io::Error),
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
    pub(crate) fn new(keys: &Keys, state: &Path, core: Core, clock: Arc<dyn Clock>) -> Self {
        let (owed, turn) = (watch::Sender::default(), Arc::default());
        let (gateway, keys) = (keys.gateway, LedgerKeys::open(state, &keys.device));
        Self { core, gateway, keys, clock, owed, hour: None, turn }
    }

    /// Whether somebody else may have more of the ledger than is here. Nobody waits for longer than a
    /// week for an answer to that.
    pub(crate) async fn is_behind(&self) -> Result<bool, StoreError> {
        let Some(since) = self.core.setting(LEDGER_BEHIND).await?.filter(|it| !it.is_empty())
        else {
            return Ok(false);
        };
        let now = self.clock.now();
        match since.parse::<i64>() {
            Err(_) if now.trust >= Trust::Holdover => {
                self.core.put_setting(LEDGER_BEHIND, now.wall_ms().to_string()).await?;
                Ok(true)
            }
            Ok(since) if now.trust >= Trust::Holdover && now.wall_ms() - since > WEEK_MS => {
                tracing::warn!("nobody showed what there was of the ledger: it goes on without");
                self.is_whole().await?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Nobody has more of the ledger than is here.
    pub(crate) async fn is_whole(&self) -> Result<(), StoreError> {
        if self.core.setting(LEDGER_BEHIND).await?.is_some_and(|it| !it.is_empty()) {
            self.core.put_setting(LEDGER_BEHIND, String::new()).await?;
        }
        Ok(())
    }

    /// Another key signs from here on; the number of the entry that says so.
    ///
    /// # Errors
    ///
    /// [`NotWritten`] if it cannot be made, or the one before it is not here.
    pub(crate) async fn change_key(&self) -> Result<u64, NotWritten> {
        if self.clock.now().trust < Trust::Holdover {
            return Err(NotWritten::Clock);
        }
        if self.is_behind().await? {
            return Err(NotWritten::Behind);
        }
        let _turn = self.turn.lock().await;
        let mut chain = self.open().await?;
        let before = self.keys.of(&chain).ok_or(NotWritten::NoKey)?;
        let new = self.keys.make().map_err(NotWritten::Key)?.verifying_key().to_bytes();
        let signature = before.sign(&rotation(new)).to_bytes();
        let seq = self.append(&mut chain, Fact::Key(NewKey { key: new, signature })).await?;
        self.sign(&chain).await?;
        tracing::info!(seq, "another key signs the ledger");
        Ok(seq)
    }

    /// Everything that was tried since the last time, a statement if one is due, and a checkpoint.
    pub(crate) async fn write_hour(&self) -> Result<(), NotWritten> {
        let _turn = self.turn.lock().await;
        let mut chain = self.open().await?;
        loop {
            let through = Book::new(chain.entries()).kept_through();
            let rows = self.core.attempts_after(through, MOST_ATTEMPTS).await?;
            let Some((last, _)) = rows.last() else { break };
            let of = |wanted: Channel| {
                let read = |(_, row): &(u64, AttemptRow)| Attempt::of_channel(&row.body);
                let of_it = rows.iter().filter_map(read).filter(move |(it, _)| *it == wanted);
                Tried::new(of_it.map(|(_, attempt)| attempt))
            };
            let (through, tried, ingest) = (*last, of(Channel::Report), of(Channel::Ingest));
            let hour = Attempts { through, tried, ingest };
            self.append(&mut chain, Fact::Attempts(hour)).await?;
        }
        if self.nothing_more(&chain) {
            // Nothing was tried up to now: that too has to be in the ledger for a month to be whole.
            let through = Book::new(chain.entries()).kept_through();
            let tried = Tried::default();
            self.append(&mut chain, Fact::Attempts(Attempts::new(through, tried))).await?;
        }
        for statement in self.due(&chain) {
            self.append(&mut chain, Fact::Statement(statement.stated())).await?;
        }
        self.sign(&chain).await?;
        self.tell_owed(&chain);
        let before = self.clock.now().wall_ms() - KEEP_ATTEMPTS_MS;
        let through = Book::new(chain.entries()).kept_through();
        self.core.forget_attempts(through, before).await?;
        self.clear_up().await?;
        Ok(())
    }

    /// Throws away documents that nothing names any more, once a day. While there may be more of the
    /// ledger than is here nobody comes here: what it names would be among them.
    async fn clear_up(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now.wall.hour() == CLEARED_AT_HOUR {
            let gone = self.core.collect_proofs(now.wall_ms()).await?;
            if gone > 0 {
                tracing::info!(gone, "documents that nothing names were thrown away");
            }
        }
        Ok(())
    }

    /// Writes down what somebody says, if it makes sense; the number of the entry.
    ///
    /// # Errors
    ///
    /// [`NotWritten`] if it does not, or cannot be written.
    pub(crate) async fn write(&self, fact: Fact) -> Result<u64, NotWritten> {
        if self.clock.now().trust < Trust::Holdover {
            return Err(NotWritten::Clock);
        }
        if self.is_behind().await? {
            return Err(NotWritten::Behind);
        }
        let _turn = self.turn.lock().await;
        let mut chain = self.open().await?;
        Book::new(chain.entries()).takes(&fact).map_err(NotWritten::Refused)?;
        let seq = self.append(&mut chain, fact).await?;
        self.sign(&chain).await?;
        self.tell_owed(&chain);
        Ok(seq)
    }

    /// The same, for the pages.
    pub(crate) async fn record(&self, fact: Fact) -> Result<u64, NotRecorded> {
        self.write(fact).await.map_err(|error| match error {
            NotWritten::Refused(refused) => NotRecorded::Refused(refused.to_string()),
            error => {
                tracing::error!(error = crate::chain(&error), "an entry is not written");
                NotRecorded::Failed(crate::chain(&error))
            }
        })
    }

    /// Keeps a document that an entry is going to name.
    ///
    /// # Errors
    ///
    /// [`NotWritten::Store`], also if it is too large.
    pub(crate) async fn keep(&self, bytes: Vec<u8>) -> Result<[u8; 32], NotWritten> {
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        self.core.keep_proof(sha256, self.clock.now().wall_ms(), bytes).await?;
        Ok(sha256)
    }

    /// The evidence file of `month`, signed now.
    ///
    /// # Errors
    ///
    /// One sentence, if there is no statement of that month.
    pub(crate) async fn evidence(&self, month: &str) -> Result<Vec<u8>, String> {
        let made = async {
            let chain = self.open().await?;
            let countersigned = self.core.setting(COUNTERSIGNED_SETTING).await?;
            let proofs = self.proofs(&chain).await?;
            Ok::<_, NotWritten>((chain, countersigned, proofs))
        };
        let (chain, countersigned, proofs) = made.await.map_err(|error| crate::chain(&error))?;
        let key = self.keys.of(&chain).ok_or_else(|| NotWritten::NoKey.to_string())?;
        let note = checkpoint(&chain, self.clock.now().wall_ms(), &key);
        let countersigned = countersigned.and_then(|note| note.parse().ok());
        let notes: Vec<Note> = countersigned.into_iter().chain([note]).collect();
        evidence::file(&chain, &notes, &proofs, month).map_err(|error| error.to_string())
    }

    /// The documents that entries name, as far as they are kept.
    async fn proofs(&self, chain: &Chain) -> Result<evidence::Proofs, StoreError> {
        let mut proofs = evidence::Proofs::new();
        for sha256 in evidence::named(chain) {
            let kept = self.core.proof(sha256).await?;
            proofs.extend(kept.map(|bytes| (sha256, bytes)));
        }
        Ok(proofs)
    }

    /// What the customer can still claim, for whoever has to be reminded.
    fn tell_owed(&self, chain: &Chain) {
        let book = Book::new(chain.entries());
        let now = self.clock.now().wall;
        let Some(running) = self.running(&book) else { return };
        let today = now.with_timezone(&running.zone()).date_naive();
        // No deadline is further away than this many months.
        let months = std::iter::once(running).chain(earlier(running)).take(MOST_OWED);
        let statements = months
            .take_while(|month| month.span().end > book.opened())
            .filter_map(|month| book.statement(&month.to_string()).ok())
            .filter(|statement| statement.settled.claim == ClaimState::NotNotified);
        let owed = statements.filter_map(|statement| {
            let deadline = statement.deadline()?;
            (today <= deadline).then(|| Owed {
                month: statement.case.period.month().to_string(),
                tier: statement.settled.tier.percent(),
                ore: statement.settled.claimable,
                currency: statement.contract.currency.clone(),
                deadline,
                days_left: (deadline - today).num_days(),
            })
        });
        let owed: Vec<Owed> = owed.collect();
        self.owed.send_if_modified(|known| {
            let changed = **known != owed;
            *known = Arc::new(owed);
            changed
        });
    }

    /// The ledger as it is; opened, if it never was.
    async fn open(&self) -> Result<Chain, NotWritten> {
        let entries = self.core.ledger(0).await?;
        if !entries.is_empty() {
            return Chain::read(entries.iter().map(Vec::as_slice)).map_err(NotWritten::Broken);
        }
        let ledger = self.gateway.uuid().into_bytes();
        let key = self.keys.first().ok_or(NotWritten::NoKey)?.verifying_key().to_bytes();
        let fact = Fact::Open(Open { ledger, key });
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
        let key = self.keys.of(chain).ok_or(NotWritten::NoKey)?;
        let note = checkpoint(chain, at_ms, &key);
        self.core.put_setting(CHECKPOINT_SETTING, note.to_string()).await?;
        Ok(())
    }

    /// The statements that have to be made now: of the month that is over, in the morning of its
    /// first day, and of the running one at the moment at which it is lost.
    fn due(&self, chain: &Chain) -> Vec<Statement> {
        let book = Book::new(chain.entries());
        let now = self.clock.now().wall;
        let Some(running) = self.running(&book) else { return Vec::new() };
        // The gateway may have been off for months: each of them is told, the oldest first.
        let is_over = |month: &Month| Self::is_told_of(*month, now);
        let over = earlier(running).take_while(|month| month.span().end > book.opened());
        let over = over.filter(is_over).map(|month| month.to_string());
        let untold: Vec<String> = over.take_while(|month| !book.is_final(month)).collect();
        let made = untold.iter().rev().filter_map(|month| book.statement(month).ok());
        let mut due: Vec<_> = made.filter(|it| !it.is_provisional()).collect();
        let month = running.to_string();
        let lost = book.statement(&month).ok().filter(|it| it.settled.tier != Tier::NONE);
        due.extend(lost.filter(|_| !book.is_stated(&month)));
        due
    }

    /// The contract's month that is running now.
    fn running(&self, book: &Book<'_>) -> Option<Month> {
        Month::of(self.clock.now().wall.timestamp(), book.zone()?).ok()
    }

    /// Whether the statement of a month that is over is made at `now`: from the morning of the first
    /// day after it on.
    fn is_told_of(month: Month, now: DateTime<Utc>) -> bool {
        let local = now.with_timezone(&month.zone());
        let morning = local.hour() >= MADE_AT_HOUR;
        local.date_naive() > month.end_day() || local.date_naive() == month.end_day() && morning
    }

    /// Whether a month is to be told and nothing in the ledger says what was tried at its end.
    fn nothing_more(&self, chain: &Chain) -> bool {
        let book = Book::new(chain.entries());
        let now = self.clock.now().wall;
        let over = self.running(&book).and_then(|running| earlier(running).next());
        over.is_some_and(|over| {
            Self::is_told_of(over, now)
                && book.statement(&over.to_string()).is_ok_and(|it| it.is_provisional())
        })
    }
}

/// The months before `month`, the latest first.
fn earlier(month: Month) -> impl Iterator<Item = Month> {
    let before = |month: &Month| Month::of(month.span().start - 1, month.zone()).ok();
    std::iter::successors(before(&month), before)
}

/// How far `chain` is, signed.
pub(crate) fn checkpoint(chain: &Chain, at_ms: i64, key: &SigningKey) -> Note {
    let (ledger, head) = (chain.ledger(), chain.head());
    Note::new(Checkpoint { ledger, head, at_ms }).signed(&evidence::name(ledger), key)
}

/// The newest checkpoint of this gateway.
pub(crate) const CHECKPOINT_SETTING: &str = "ledger_checkpoint";

/// The newest checkpoint that the portfolio has countersigned.
pub(crate) use web_ui::COUNTERSIGNED as COUNTERSIGNED_SETTING;

/// How often it looks whether an hour is over.
const LOOK: Duration = Duration::from_secs(20);

/// In one entry: more than there are in a day. What is left goes into the next.
const MOST_ATTEMPTS: u32 = 10_000;

/// Statements are made at this hour of the first day, when nothing is missing any more.
const MADE_AT_HOUR: u32 = 6;

/// In the middle of the night of Europe, UTC.
const CLEARED_AT_HOUR: u32 = 1;

/// A notice may be given within ten years at the most, and a month that old is nobody's business on
/// the first page: half a year is.
const MOST_OWED: usize = 6;

/// For how long a ledger that was put back waits for the portfolio.
const WEEK_MS: i64 = 7 * 86_400_000;

/// Thirteen months: the ledger has them for longer.
const KEEP_ATTEMPTS_MS: i64 = 396 * 86_400_000;

#[cfg(test)]
mod tests;
