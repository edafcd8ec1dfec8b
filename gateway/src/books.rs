//! The two books of the promise of uptime change hands with the portfolio.
//!
//! ```text
//! ledger, checkpoint ──────────────────────▶ portfolio
//! ◀── checkpoint, countersigned; entries of the vendor's book
//!        └─▶ settings   └─▶ checked, kept ──▶ what the vendor says ──▶ ledger
//! ```
//!
//! The vendor's book is kept beside the ledger and never in it. Of what the vendor says there, that it
//! invokes an exclusion, and what becomes of a claim, are written into the ledger, once, as said by the
//! vendor: whether an exclusion acts is for the customer to say.
//!
//! **Never true:** that a countersignature is kept which is not of this ledger, or not by the key that
//! opens the vendor's book; or that a ledger which was put back to an older state goes on over there in the
//! place of the newer one.

mod handed;

use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{BookKeeper, Seen, Shown, SyncError, Traffic};
use ledger::book::Book;
use ledger::chain::{Chain, vendors};
use ledger::entry::{Entry, Fact, Invoked, Progress, Proof};
use ledger::note::{Note, Verifier};
use sha2::{Digest as _, Sha256};
use store::{Core, StoreError};
use tokio::sync::watch;
use tokio::time;

use crate::cloud::{self, KnownAs};
use crate::config::{Cloud, LineProfile};
use crate::restart::Task;
use crate::scribe::{CHECKPOINT_SETTING, COUNTERSIGNED_SETTING, NotWritten, Scribe};
pub(crate) use handed::Handed;

/// Shows the ledger, and keeps the vendor's book.
#[derive(Debug)]
pub(crate) struct BookExchange {
    pub(crate) core: Core,
    pub(crate) scribe: Scribe,
    pub(crate) identity: watch::Receiver<KnownAs>,
    pub(crate) wanted: watch::Receiver<Option<Cloud>>,
    /// What has gone over the line.
    pub(crate) traffic: Arc<Traffic>,
    /// The connection, as long as the identity is the same.
    pub(crate) keeper: Option<BookKeeper>,
    /// What was wrong the last time, so that it is said once.
    pub(crate) said: Option<String>,
    /// The documents that the portfolio was asked about under this identity.
    pub(crate) handed: Handed,
}

impl Task for BookExchange {
    fn name(&self) -> String {
        "books".to_owned()
    }

    async fn live(&mut self) {
        if self.identity.borrow().is_none()
            && let Err(error) = self.scribe.is_whole().await
        {
            // Nobody was ever shown anything: there is nothing to fetch back.
            tracing::error!(error = crate::chain(&error), "the ledger waits for nobody");
        }
        loop {
            if self.identity.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let failed = self.exchange().await.err();
            self.show(failed.as_ref()).await;
            let wrong = failed.map(|error| crate::chain(&error));
            if let Some(error) = wrong.as_ref().filter(|wrong| self.said.as_ref() != Some(wrong)) {
                tracing::warn!(error, "the ledger is not countersigned");
            }
            self.said = wrong;
            let every = match cloud::line(self.wanted.borrow().as_ref()) {
                LineProfile::Wired => Duration::from_mins(1),
                LineProfile::Metered => Duration::from_hours(1),
            };
            time::sleep(every).await;
        }
    }
}

/// Whether the key that the ledger names for that entry has signed the note: one that was replaced, and
/// may be in other hands, signs nothing more.
fn is_by_the_key_of_its_time(chain: &Chain, note: &Note) -> bool {
    let name = crate::evidence::name(chain.ledger());
    let key = chain.key_at(note.checkpoint.head.seq);
    key.and_then(|key| Verifier::new(&name, key)).is_some_and(|own| note.is_signed(&own))
}

/// Why the books did not change hands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotExchanged {
    /// The ledger is shorter than what was shown before.
    #[error(
        "the portfolio has {have} entries of this gateway's ledger, and here are {here}: the disk \
         was put back to an older state"
    )]
    Ahead {
        /// There.
        have: u64,
        /// Here.
        here: u64,
    },
    /// The ledger is another than the one that was countersigned.
    #[error(
        "the portfolio has countersigned entry {seq} of this gateway's ledger, and here it is another: \
         the disk was put back to an older state"
    )]
    Parted {
        /// The last entry that was countersigned.
        seq: u64,
    },
    /// Nobody answers, or with a no.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The store.
    #[error("the books cannot be read or written")]
    Store(#[from] StoreError),
    /// The vendor's book is not one.
    #[error("entry {seq} of the vendor's book: {why}")]
    Vendors {
        /// The first that does not hold.
        seq: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The ledger takes no entry.
    #[error(transparent)]
    Written(#[from] NotWritten),
}

impl NotExchanged {
    /// It does not go away by itself, as a line that is down does.
    const fn is_lasting(&self) -> bool {
        match self {
            Self::Ahead { .. } | Self::Parted { .. } | Self::Vendors { .. } => true,
            Self::Sync(error) => matches!(error, SyncError::Refused(_)),
            Self::Store(_) | Self::Written(_) => false,
        }
    }
}

impl BookExchange {
    /// Shows what came of an exchange. One that never reached the portfolio's answer, as over a line that is
    /// down, takes nothing back of what the last answer said.
    async fn show(&self, failed: Option<&NotExchanged>) {
        match failed {
            None => self.tell(None).await,
            Some(error) if error.is_lasting() => self.tell(Some(crate::chain(error))).await,
            Some(_) => {}
        }
    }

    /// Says on the pages what is wrong. What is not new is not written again.
    async fn tell(&self, wrong: Option<String>) {
        let wrong = wrong.unwrap_or_default();
        let kept = self.core.setting(WRONG_SETTING).await.ok().flatten().unwrap_or_default();
        if kept == wrong {
            return;
        }
        if let Err(error) = self.core.put_setting(WRONG_SETTING, wrong).await {
            tracing::error!(
                error = crate::chain(&error),
                "what is wrong with the books is not kept"
            );
        }
    }

    /// Until both have all that there is.
    pub(crate) async fn exchange(&mut self) -> Result<(), NotExchanged> {
        let Some(identity) = self.identity.borrow().clone() else { return Ok(()) };
        let mut keeper = match self.keeper.take() {
            Some(keeper) if keeper.is_of(&identity) => keeper,
            _ => {
                // It may be another portfolio.
                self.handed = Handed::default();
                let way = cloud::way(self.wanted.borrow().as_ref(), &self.traffic);
                BookKeeper::new(identity, way)?
            }
        };
        let exchanged = self.whole_exchange(&mut keeper).await;
        self.keeper = Some(keeper);
        exchanged
    }

    async fn whole_exchange(&mut self, keeper: &mut BookKeeper) -> Result<(), NotExchanged> {
        if self.scribe.is_behind().await? {
            self.fetch_back(keeper).await?;
        }
        self.exchange_over(keeper).await?;
        self.give(keeper).await?;
        self.hear(keeper).await
    }

    /// Gets what the portfolio was shown of this ledger before its disk was put back.
    ///
    /// Only as far as this gateway's own key has signed it: what somebody added behind that is not ours.
    async fn fetch_back(&self, keeper: &mut BookKeeper) -> Result<(), NotExchanged> {
        // Nobody writes meanwhile: the entries would not follow on those that are here.
        let _turn = self.scribe.turn.lock().await;
        let mut all = self.core.ledger(0).await?;
        let here = all.len();
        let mut note = None;
        for _ in 0..MOST_MESSAGES {
            let seen = keeper.own(all.len() as u64).await?;
            note = seen.checkpoint.and_then(|text| text.parse::<Note>().ok());
            if seen.entries.is_empty() {
                break;
            }
            all.extend(seen.entries);
        }
        let note = note.filter(|note| self.is_by_us(note));
        let signed = note.as_ref().map(|note| note.checkpoint.head);
        let through = signed.and_then(|head| usize::try_from(head.seq).ok()).unwrap_or(0);
        if let Some(signed) = signed.filter(|_| through > here) {
            if all.len() < through {
                // Not all of it came. Nothing is written before it has.
                return Err(NotExchanged::Ahead { have: signed.seq, here: here as u64 });
            }
            all.truncate(through);
            let shown = all.clone();
            let read = move || Chain::read(shown.iter().map(Vec::as_slice)).ok();
            let chain = tokio::task::spawn_blocking(read).await.ok().flatten();
            let chain = chain.filter(|chain| {
                chain.ledger() == self.scribe.gateway.uuid().into_bytes()
                    && chain.head() == signed
                    && note.as_ref().is_some_and(|note| is_by_the_key_of_its_time(chain, note))
            });
            // What went on here before anybody asked is another history: a person has to decide.
            let Some(chain) = chain else {
                self.scribe.is_whole().await?;
                return Err(NotExchanged::Parted { seq: signed.seq });
            };
            let tried = |entry: &&Entry| matches!(entry.fact, Fact::Attempts(_));
            let last = chain.entries().iter().rev().find(tried);
            let until_ms = last.map_or(0, |entry| entry.at_ms);
            let kept = Book::new(chain.entries()).kept_through();
            let lost = all.split_off(here);
            let entries = lost.len();
            self.core.put_ledger_back(here as u64, lost, kept, until_ms).await?;
            tracing::warn!(entries, "the ledger was fetched back from the portfolio");
        }
        self.scribe.is_whole().await?;
        Ok(())
    }

    /// Whether one of this gateway's own keys has signed a checkpoint of its ledger.
    fn is_by_us(&self, note: &Note) -> bool {
        let ledger = self.scribe.gateway.uuid().into_bytes();
        let name = crate::evidence::name(ledger);
        let keys = self.scribe.keys.all();
        let mut own = keys.iter().map(|key| key.verifying_key().to_bytes());
        note.checkpoint.ledger == ledger
            && own.any(|key| Verifier::new(&name, key).is_some_and(|own| note.is_signed(&own)))
    }

    /// Gives the portfolio the documents that entries name.
    async fn give(&mut self, keeper: &mut BookKeeper) -> Result<(), NotExchanged> {
        let len = self.core.chain_len().await?;
        let now = self.scribe.clock.now().boottime;
        if !self.handed.is_due(len, now) {
            return Ok(());
        }
        let Some(chain) = self.chain().await? else { return Ok(()) };
        for sha256 in crate::evidence::named(&chain) {
            if !self.handed.lacks(&sha256, now) {
                continue;
            }
            let Some(document) = self.core.proof(sha256).await? else { continue };
            match keeper.give(sha256, &document).await {
                // One that it does not take keeps no other from it.
                Err(error @ SyncError::Refused(_)) => {
                    tracing::warn!(error = crate::chain(&error), "a document is not taken");
                    self.handed.refused(sha256, now);
                }
                given => {
                    given?;
                    self.handed.has(sha256);
                }
            }
        }
        self.handed.looked_at(len);
        Ok(())
    }

    /// Gets the documents that stand behind what the vendor says, before it is written down.
    async fn get(&self, keeper: &mut BookKeeper, fact: &Fact) -> Result<(), NotExchanged> {
        let proofs = match fact {
            Fact::Exclusion(it) => &it.proofs,
            Fact::Progress(it) => &it.proofs,
            _ => return Ok(()),
        };
        for Proof { name, sha256 } in proofs {
            if self.core.hold_proof(*sha256, self.scribe.clock.now().wall_ms()).await? {
                continue;
            }
            let found = keeper.document(*sha256).await?;
            let found = found.filter(|it| <[u8; 32]>::from(Sha256::digest(it)) == *sha256);
            match found {
                Some(document) => {
                    self.scribe.keep(document).await?;
                }
                None => {
                    tracing::warn!(name, "the portfolio does not show a document of the vendor's");
                }
            }
        }
        Ok(())
    }

    async fn exchange_over(&self, keeper: &mut BookKeeper) -> Result<(), NotExchanged> {
        // The first question only asks how far the portfolio is.
        let mut from = None;
        for _ in 0..MOST_MESSAGES {
            let here = self.core.chain_len().await?;
            let entries = match from {
                Some(from) => self.core.ledger(from).await?,
                None => Vec::new(),
            };
            let have = self.core.vendors_book_len().await?;
            let checkpoint = self.core.setting(CHECKPOINT_SETTING).await?;
            let shown = Shown { from: from.unwrap_or(here), entries, checkpoint, have };
            let seen = keeper.exchange(shown).await?;
            let (there, more) = (seen.have, !seen.entries.is_empty());
            self.keep(have, seen).await?;
            if there > here {
                return Err(NotExchanged::Ahead { have: there, here });
            }
            if there == here && !more {
                return Ok(());
            }
            from = Some(there);
        }
        Ok(())
    }

    /// Keeps what the portfolio has answered, as far as it holds.
    async fn keep(&self, have: u64, seen: Seen) -> Result<(), NotExchanged> {
        if !seen.entries.is_empty() {
            let mut entries = self.core.vendors_book(0).await?;
            entries.extend(seen.entries.iter().cloned());
            self.vendors(entries).await?;
            self.core.append_vendors_book(have, seen.entries).await?;
        }
        let Some(text) = seen.checkpoint else { return Ok(()) };
        if self.core.setting(COUNTERSIGNED_SETTING).await?.as_ref() == Some(&text) {
            return Ok(());
        }
        let Ok(note) = text.parse::<Note>() else { return Ok(()) };
        if !self.is_own(&note).await? {
            // Before anything of what is here is sent: it would go on in the place of what was lost.
            return Err(NotExchanged::Parted { seq: note.checkpoint.head.seq });
        }
        if self.is_countersigned(&note).await? {
            self.core.put_setting(COUNTERSIGNED_SETTING, text).await?;
        }
        Ok(())
    }

    /// Whether a note that this gateway's own key has signed is of this ledger; what is signed by
    /// others says nothing of it.
    async fn is_own(&self, note: &Note) -> Result<bool, NotExchanged> {
        let checkpoint = &note.checkpoint;
        if !self.is_by_us(note) {
            return Ok(true);
        }
        let chain = self.chain().await?;
        Ok(chain.is_none_or(|chain| chain.head_at(checkpoint.head.seq) == Some(checkpoint.head)))
    }

    /// The ledger; `None` if it is not one, which its writer says.
    async fn chain(&self) -> Result<Option<Chain>, NotExchanged> {
        let ours = self.core.ledger(0).await?;
        let read = move || Chain::read(ours.iter().map(Vec::as_slice)).ok();
        Ok(tokio::task::spawn_blocking(read).await.ok().flatten())
    }

    /// The vendor's book of these entries.
    async fn vendors(&self, entries: Vec<Vec<u8>>) -> Result<Chain, NotExchanged> {
        let read = move || Chain::read(entries.iter().map(Vec::as_slice));
        let read = tokio::task::spawn_blocking(read).await;
        let stopped = NotExchanged::Vendors { seq: 1, why: "it could not be read in time" };
        let chain = read
            .map_err(|_| stopped)?
            .map_err(|broken| NotExchanged::Vendors { seq: broken.seq, why: broken.why })?;
        if chain.ledger() != vendors(self.scribe.gateway.uuid().into_bytes()) {
            return Err(NotExchanged::Vendors { seq: 1, why: "it is of another gateway" });
        }
        Ok(chain)
    }

    /// Whether `note` is of this ledger and has the vendor's signature.
    async fn is_countersigned(&self, note: &Note) -> Result<bool, NotExchanged> {
        let theirs = self.core.vendors_book(0).await?;
        let Some(Fact::Open(open)) =
            theirs.first().and_then(|first| Entry::from_bytes(first)).map(|first| first.fact)
        else {
            return Ok(false);
        };
        let signed = Verifier::new(PORTFOLIO, open.key).is_some_and(|key| note.is_signed(&key));
        let Some(chain) = self.chain().await?.filter(|_| signed) else { return Ok(false) };
        let checkpoint = &note.checkpoint;
        Ok(checkpoint.ledger == chain.ledger()
            && chain.head_at(checkpoint.head.seq) == Some(checkpoint.head))
    }

    /// Writes down what the vendor says that was not heard yet.
    async fn hear(&self, keeper: &mut BookKeeper) -> Result<(), NotExchanged> {
        let heard = self.core.setting(HEARD_SETTING).await?;
        let heard: u64 = heard.and_then(|heard| heard.parse().ok()).unwrap_or(0);
        let new = self.core.vendors_book(heard).await?;
        if new.is_empty() {
            return Ok(());
        }
        let known = self.core.ledger(0).await?;
        let known: Vec<Entry> = known.iter().filter_map(|entry| Entry::from_bytes(entry)).collect();
        let said = self.core.vendors_book(0).await?;
        let said =
            said.iter().map(|entry| Entry::from_bytes(entry).and_then(|it| as_said(it.fact)));
        let said: Vec<Option<Fact>> = said.collect();
        for (place, entry) in (heard..).zip(&new) {
            let fact = Entry::from_bytes(entry).and_then(|entry| as_said(entry.fact));
            // After the disk was put back what the vendor said may be heard again; and it may say the
            // same a second time.
            let is_new = |fact: &Fact| {
                let told = said.iter().take(usize::try_from(place).unwrap_or(usize::MAX));
                let told = told.filter(|it| it.as_ref() == Some(fact)).count();
                known.iter().filter(|entry| entry.fact == *fact).count() <= told
            };
            if let Some(fact) = fact.filter(is_new) {
                self.get(keeper, &fact).await?;
                match self.scribe.write(fact).await {
                    Ok(seq) => tracing::info!(seq, "the vendor said something of the promise"),
                    Err(NotWritten::Refused(refused)) => {
                        let refused = refused.to_string();
                        tracing::warn!(refused, "what the vendor said is not written down");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.core.put_setting(HEARD_SETTING, (place + 1).to_string()).await?;
        }
        Ok(())
    }
}

/// What the vendor may say in the ledger of the customer, as said by the vendor.
fn as_said(fact: Fact) -> Option<Fact> {
    let by = |who: String| format!("{who} ({PORTFOLIO})");
    match fact {
        Fact::Exclusion(it) => Some(Fact::Exclusion(Invoked { who: by(it.who), ..it })),
        Fact::Progress(it) => Some(Fact::Progress(Progress { who: by(it.who), ..it })),
        _ => None,
    }
}

/// What the portfolio is called in checkpoints.
const PORTFOLIO: &str = "portfolio";

/// Why the ledger is not countersigned; empty if it is.
use web_ui::UNSIGNED_BECAUSE as WRONG_SETTING;

/// How many entries of the vendor's book were heard.
const HEARD_SETTING: &str = "ledger_vendor_heard";

/// A ledger of some years goes over in so many; the rest waits for the next time.
const MOST_MESSAGES: usize = 200;

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use ledger::chain::Head;
    use ledger::entry::{Answer, Attempts, Step};
    use ledger::note::Checkpoint;
    use ledger::{Tried, case};
    use metering::{Clock, GatewayId};
    use store::testing::{self, FixedClock};
    use uuid::Uuid;

    use super::*;
    use crate::ledger_keys::LedgerKeys;

    #[tokio::test]
    async fn a_ledger_that_was_put_back_is_not_shown_in_the_place_of_the_newer_one() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        let key = SigningKey::from_bytes(&[3; 32]);
        let clock = FixedClock::at(1_793_487_600_000);
        let scribe = Scribe {
            core: core.clone(),
            gateway,
            keys: LedgerKeys::open(std::path::Path::new("/nowhere"), &key),
            clock: clock as Arc<dyn Clock>,
            owed: watch::Sender::default(),
            hour: None,
            turn: Arc::default(),
        };
        let battery = |product: &str| {
            Fact::Battery(ledger::entry::Battery {
                product: product.to_owned(),
                event: ledger::entry::BatteryEvent::Told,
                who: "gateway".to_owned(),
            })
        };
        scribe.write(battery("a")).await.unwrap();
        let exchange = BookExchange {
            core: core.clone(),
            scribe,
            identity: watch::Sender::default().subscribe(),
            wanted: watch::Sender::default().subscribe(),
            traffic: Arc::default(),
            keeper: None,
            said: None,
            handed: Handed::default(),
        };
        let entries = core.ledger(0).await.unwrap();
        let ledger = gateway.uuid().into_bytes();
        let head = entries.iter().fold(Head::start(ledger), |head, entry| head.after(entry));
        let name = crate::evidence::name(ledger);
        let seen = |head: Head, key: &SigningKey| {
            let note = Note::new(Checkpoint { ledger, head, at_ms: 1 }).signed(&name, key);
            Seen { have: head.seq, entries: Vec::new(), checkpoint: Some(note.to_string()) }
        };
        exchange.keep(0, seen(head, &key)).await.unwrap();

        // The portfolio has signed an entry that is not here any more.
        let error = exchange.keep(0, seen(head.after(b"lost"), &key)).await.unwrap_err();
        assert!(matches!(error, NotExchanged::Parted { seq: 3 }), "{error}");
        // Another was written in its place.
        exchange.scribe.write(battery("b")).await.unwrap();
        let error = exchange.keep(0, seen(head.after(b"lost"), &key)).await.unwrap_err();
        assert!(matches!(error, NotExchanged::Parted { seq: 3 }), "{error}");
        // What somebody else signs proves nothing of this ledger.
        let stranger = SigningKey::from_bytes(&[4; 32]);
        exchange.keep(0, seen(head.after(b"lost"), &stranger)).await.unwrap();

        let shown = async || core.setting(WRONG_SETTING).await.unwrap().unwrap_or_default();
        exchange.show(Some(&error)).await;
        assert_eq!(shown().await, crate::chain(&error));
        // The line goes down: what the portfolio said stands.
        exchange.show(Some(&NotExchanged::Store(StoreError::Closed))).await;
        assert_eq!(shown().await, crate::chain(&error));
        exchange.show(None).await;
        assert_eq!(shown().await, "");
    }

    #[test]
    fn of_what_the_vendor_says_the_customer_writes_down_two_things() {
        let (month, note) = ("2026-11".to_owned(), "4711".to_owned());
        let (step, who, proofs) = (Step::Credited, "Kari".to_owned(), Vec::new());
        let progress = Progress { month, step, who, note, proofs };
        let Some(Fact::Progress(said)) = as_said(Fact::Progress(progress)) else { panic!() };
        assert_eq!(said.who, "Kari (portfolio)");
        let (exclusion, status) = ("m1".to_owned(), case::Status::Accepted);
        let answer = Answer { exclusion, status, who: "Kari".to_owned(), why: "x".to_owned() };
        assert_eq!(as_said(Fact::Answer(answer)), None, "nobody accepts what they invoke");
        let attempts = Attempts::new(1, Tried::default());
        assert_eq!(as_said(Fact::Attempts(attempts)), None);
    }
}
