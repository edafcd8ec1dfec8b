//! The loop: what the outbox has goes to the portfolio, one batch after the other.
//!
//! ```text
//!  wait for an identity ──▶ renew it, when it is time
//!        ▲                      │
//!        │                      ▼
//!        │        names ──▶ batch ──▶ batch … ──▶ caught up ──▶ accounts ──▶ what was damaged ──▶ wait
//!        │                    │
//!        └── back off ◀───────┘ no, or no answer
//! ```
//!
//! While it is far behind it sends what the meters show now ahead of the batches, every few seconds
//! where bytes cost nothing.
//!
//! A batch that the portfolio calls malformed is halved until the one reading is found that it
//! means. That one is put aside: its number goes as a gap, the reading stays in the store, and the
//! log and the portfolio both say so. A table of names is halved in the same way; of a series that
//! the portfolio cannot read all readings are put aside, for a day.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, GatewayId, Quantity, SeriesId};
use store::{LossReason, Outbox, OutboxReading, OutboxState, Readers, Snapshot};
use sync_wire::{
    Accounts, Ack, Batch, Certificate, Gap, GapReason, Latest, Newest, Refusal, Renew, SyncReading,
    Wishes, limits, path,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, Told};
use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::building::Building;
use crate::identity::{Identity, fresh_key};
use crate::post::{Post, SyncError};
use crate::way::Way;

mod aside;
mod names;
mod recall;
mod sent;

use aside::Unread;
pub use sent::Sent;
use sent::Teller;

/// Everything that the loop needs.
#[derive(Debug)]
pub struct Uploader {
    /// What is to be sent.
    pub outbox: Outbox,
    /// What the meters show now.
    pub readers: Readers,
    /// What they are called. A change is sent at once.
    pub building: watch::Receiver<Arc<Building>>,
    /// Who we are; `None` until the gateway is enrolled. The loop renews it here, and whoever
    /// holds a receiver keeps it.
    pub identity: watch::Sender<Option<Arc<Identity>>>,
    /// How far we are, for whoever looks.
    pub status: watch::Sender<SyncStatus>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How often.
    pub pace: Pace,
    /// By which way, and what went over it.
    pub way: Way,
    /// What may go over it in this month; `None` where bytes cost nothing.
    pub budget: watch::Receiver<Option<Budget>>,
    /// A word here begins the next round at once: somebody is looking.
    pub hurry: Arc<Notify>,
    /// Whether the portfolio takes readings. What does not fit in is not told.
    pub sent: mpsc::Sender<Sent>,
    /// A word from here: the portfolio asks something that the gateway has not fetched.
    pub errands: Arc<Notify>,
}

/// How often a gateway that has caught up sends what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two rounds.
    pub every: Duration,
    /// Over how long gateways that were away together spread their catching up.
    pub spread: Duration,
    /// While it catches up, between two messages of what the meters show now.
    pub latest: Duration,
    /// How often it tells what was expected and what came; `None`: never.
    pub accounts: Option<Duration>,
}

impl Pace {
    /// On a line that costs nothing by the byte.
    pub const WIRED: Self = Self {
        every: Duration::from_mins(1),
        spread: Duration::from_mins(15),
        latest: Duration::from_secs(2),
        accounts: Some(Duration::from_hours(1)),
    };

    /// On a SIM card.
    pub const METERED: Self = Self {
        every: Duration::from_mins(15),
        spread: Duration::from_mins(15),
        latest: Duration::from_mins(1),
        accounts: Some(Duration::from_hours(6)),
    };
}

/// How far the sync is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// Whether there is an identity.
    pub enrolled: bool,
    /// Where the portfolio is; empty while not enrolled.
    pub url: String,
    /// The highest number that the portfolio has confirmed.
    pub acked: u64,
    /// The highest number that there is.
    pub head: u64,
    /// How many readings are between the two.
    pub backlog: u64,
    /// When the portfolio last answered, in milliseconds since 1970.
    pub last_contact_ms: Option<i64>,
    /// Why the last try failed, in one sentence; `None` when it did not.
    pub last_error: Option<String>,
    /// How many readings were put aside since the start.
    pub parked: u64,
    /// Until when the month's budget keeps the next ones here, in milliseconds since 1970; `None`
    /// when it does not.
    pub saves_until_ms: Option<i64>,
}

/// After how long out of reach a gateway takes part in the spread.
const LONG_ABSENCE: Duration = Duration::from_mins(15);

impl Uploader {
    /// Sends until `shutdown`.
    ///
    /// # Cancellation
    ///
    /// May be dropped at any time: a batch whose answer was not heard is sent again.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.forever()).await;
    }

    async fn forever(mut self) {
        let mut identities = self.identity.subscribe();
        let mut backoff = Backoff::default();
        let mut unreachable_since = None;
        let mut renewed = None;
        loop {
            let identity = identities.borrow_and_update().clone();
            let Some(identity) = identity else {
                self.status.send_if_modified(|status| {
                    let changed = status.enrolled || !status.url.is_empty();
                    *status = SyncStatus { parked: status.parked, ..SyncStatus::default() };
                    changed
                });
                if identities.changed().await.is_err() {
                    return; // The gateway is gone, so nobody wants to know.
                }
                continue;
            };

            let teller = Teller::new(Arc::clone(&self.clock), self.sent.clone());
            let mut link =
                match Link::new(identity, self.way.clone(), teller, Arc::clone(&self.errands)) {
                    Ok(link) => link,
                    Err(error) => {
                        self.tell(Some(&error));
                        if identities.changed().await.is_err() {
                            return;
                        }
                        continue;
                    }
                };
            // One link for as long as the identity stays: the connection is kept.
            while !identities.has_changed().unwrap_or(false) {
                let wait = match self.round(&mut link, &mut unreachable_since, &mut renewed).await {
                    Ok(()) => {
                        backoff.worked();
                        self.tell(None);
                        match self.saves_until_ms() {
                            Some(ms) => {
                                let wait = Budget::wait(ms, self.clock.now().wall_ms());
                                wait.max(self.pace.every)
                            }
                            None => self.pace.every,
                        }
                    }
                    Err(error) => {
                        if error.is_contact() {
                            unreachable_since = None;
                        } else {
                            unreachable_since.get_or_insert_with(Instant::now);
                        }
                        self.tell(Some(&error));
                        let random = rand::random();
                        match backoff.failed(random, error.retry_after()) {
                            _ if error.needs_a_person() => {
                                Backoff::MOST.mul_f64(0.5 + random / 2.0)
                            }
                            wait => wait,
                        }
                    }
                };
                tokio::select! {
                    () = time::sleep(wait) => {}
                    () = self.hurry.notified() => {}
                    _ = identities.changed() => break,
                    changed = self.building.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        link.named = false;
                    }
                }
            }
        }
    }

    /// Sends all there is.
    async fn round(
        &mut self,
        link: &mut Link,
        unreachable_since: &mut Option<Instant>,
        renewed: &mut Option<Instant>,
    ) -> Result<(), SyncError> {
        // Once a day is enough: where the two clocks are months apart a new certificate is old too.
        let is_due = self.clock.now().wall_ms() >= link.identity.renew_from_ms();
        let rest = if is_due { Duration::from_hours(24) } else { Duration::from_hours(1) };
        let may_renew = renewed.is_none_or(|at| at.elapsed() >= rest);
        if may_renew && (is_due || link.wishes.has(Wishes::RENEW)) {
            match self.renew(link).await {
                Ok(identity) => {
                    *renewed = Some(Instant::now());
                    self.identity.send_replace(Some(Arc::new(identity)));
                    return Ok(());
                }
                // With a certificate that is still good there is time.
                Err(error) if self.clock.now().wall_ms() < link.identity.ends_ms() => {
                    tracing::warn!(error = &error as &dyn Error, "certificate not renewed");
                }
                Err(error) => return Err(error),
            }
        }
        if self.saves_until_ms().is_some() {
            return Ok(());
        }
        if link.unread.meters_again() {
            link.named = false;
        }
        if !link.named {
            self.send_names(link, &[], None).await?;
            link.named = true;
        }
        self.be_patient(link, unreachable_since).await?;

        loop {
            let OutboxState { acked, head, .. } = self.outbox.state();
            let batch = self.outbox.batch(acked, link.most).await?;
            if batch.readings.is_empty() && batch.lost.is_none() {
                self.send_accounts(link).await;
                if self.recall(link).await {
                    continue;
                }
                return Ok(());
            }
            if head.saturating_sub(acked) > limits::READINGS as u64 {
                self.send_latest(link).await?;
            }
            self.send(link, acked, head, batch).await?;
            self.tell(None);
            if self.saves_until_ms().is_some() {
                return Ok(());
            }
        }
    }

    /// Until when the month's budget keeps what there is here.
    fn saves_until_ms(&self) -> Option<i64> {
        let budget = (*self.budget.borrow())?;
        budget.opens_ms(self.way.traffic().bytes(), self.clock.now().wall_ms())
    }

    /// Gateways that lost the portfolio together are there again together. What their meters show
    /// now they send at once; what they have to catch up with they send one after the other.
    async fn be_patient(
        &self,
        link: &mut Link,
        unreachable_since: &mut Option<Instant>,
    ) -> Result<(), SyncError> {
        let Some(since) = *unreachable_since else { return Ok(()) };
        if since.elapsed() >= LONG_ABSENCE {
            let turn = Instant::now() + share_of(self.pace.spread, link.identity.gateway());
            loop {
                self.send_latest(link).await?;
                self.tell(None);
                let next = (Instant::now() + self.pace.latest).min(turn);
                tokio::select! {
                    () = time::sleep_until(next) => {}
                    () = self.hurry.notified() => break,
                }
                if Instant::now() >= turn || self.saves_until_ms().is_some() {
                    break;
                }
            }
        }
        *unreachable_since = None;
        Ok(())
    }

    /// Sends one batch, or as much of it as goes into one, and does what the answer says.
    async fn send(
        &self,
        link: &mut Link,
        acked: u64,
        head: u64,
        batch: store::Batch,
    ) -> Result<(), SyncError> {
        let store::Batch { readings, lost } = batch;
        let count = readings.len();
        // While a malformed reading is looked for, it is asked about alone.
        let lost = lost.filter(|_| readings.is_empty() || link.most > 1);
        let lost =
            lost.map(|lost| Gap { from: lost.from, to: lost.to, reason: reason(lost.reason) });
        let readings = readings.iter().map(wire).collect();
        let (readings, gaps, aside) = aside::sorted_out(readings, lost, &link.unread.aside());
        let (gateway, epoch) = (link.identity.gateway(), self.outbox.epoch());
        let made = Batch::new(gateway, epoch, head, acked, readings, gaps);
        // The outbox hands out numbers without a hole; one in it is a defect, and nothing is sent.
        let made = made.map_err(|hole| {
            let why = hole.to_string();
            SyncError::Refused(Refusal::Malformed { sentence: why })
        })?;
        let Ok(message) = made.write() else {
            link.most = (count / 2).max(1);
            return Ok(());
        };

        let to = made.to();
        match link.acknowledged(path::BATCH, message).await {
            Ok(Ack { acked: confirmed }) => {
                self.heard();
                if confirmed < to {
                    return Err(self.ahead_or(confirmed, Refusal::Behind { acked: confirmed }));
                }
                self.confirm(confirmed).await?;
                if aside > 0 {
                    self.status.send_modify(|status| status.parked += aside);
                }
                link.most = (2 * link.most).min(limits::READINGS);
                link.taught.clear();
                link.went_back = 0;
                Ok(())
            }
            Err(SyncError::Refused(refusal)) => {
                self.heard();
                self.refused(link, refusal, &made).await
            }
            Err(error) => Err(error),
        }
    }

    async fn refused(
        &self,
        link: &mut Link,
        refusal: Refusal,
        batch: &Batch,
    ) -> Result<(), SyncError> {
        match refusal {
            // Once is a restored backup. A portfolio that goes on asking for something else has two
            // opinions, and is not helped by haste.
            Refusal::Behind { .. } | Refusal::OtherEpoch { .. } if link.went_back >= 2 => {
                link.went_back = 0;
                Err(refusal.into())
            }
            Refusal::Behind { acked } => {
                link.went_back += 1;
                link.accounts.forget();
                self.go_on_behind(acked).await
            }
            Refusal::OtherEpoch { epoch, acked } if epoch == self.outbox.epoch() => {
                tracing::info!("the portfolio begins anew with this database");
                link.went_back += 1;
                link.accounts.forget();
                self.go_on_behind(acked).await
            }
            Refusal::UnknownSeries { series } => {
                // Taught once, a series is known; a portfolio that still asks is not helped by a
                // third time.
                if !series.iter().any(|series| link.taught.insert(*series)) {
                    return Err(Refusal::UnknownSeries { series }.into());
                }
                let mut told = batch.readings().iter().map(|reading| reading.series);
                let known = told.find(|told| !series.contains(told));
                let told = self.send_names(link, &series, known).await;
                if told.is_err() {
                    // Not known, so that it is told again when the portfolio can read it.
                    link.taught.clear();
                }
                told
            }
            Refusal::Malformed { sentence } => match batch.readings() {
                [] => Err(Refusal::Malformed { sentence }.into()),
                [one] if batch.gaps().is_empty() => self.park(link, *one, sentence).await,
                [_] => {
                    link.most = 1;
                    Ok(())
                }
                several => {
                    link.most = several.len() / 2;
                    Ok(())
                }
            },
            refusal => Err(refusal.into()),
        }
    }

    /// The portfolio has everything up to `acked`, by its own word.
    async fn go_on_behind(&self, acked: u64) -> Result<(), SyncError> {
        let head = self.outbox.state().head;
        if acked > head {
            return Err(SyncError::Ahead { acked, head });
        }
        tracing::info!(acked, "the portfolio asks to go on from here");
        Ok(self.outbox.rewind(acked).await?)
    }

    async fn confirm(&self, acked: u64) -> Result<(), SyncError> {
        let head = self.outbox.state().head;
        if acked > head {
            return Err(SyncError::Ahead { acked, head });
        }
        Ok(self.outbox.acknowledge(acked).await?)
    }

    fn ahead_or(&self, acked: u64, refusal: Refusal) -> SyncError {
        let head = self.outbox.state().head;
        if acked > head { SyncError::Ahead { acked, head } } else { refusal.into() }
    }

    /// Tells what the meters show now and have not shown before, if it is time for that.
    async fn send_latest(&self, link: &mut Link) -> Result<(), SyncError> {
        if link.latest_sent.is_some_and(|sent| sent.elapsed() < self.pace.latest) {
            return Ok(());
        }
        let latest = self.readers.ask(|snapshot| Ok(snapshot.latest_all())).await?;
        let unread = link.unread.aside();
        let told = |series: SeriesId| link.latest_told.get(&series).copied();
        let newest: Vec<Newest> = latest
            .into_iter()
            .filter(|latest| !unread.contains(&latest.series.series))
            .filter(|latest| told(latest.series.series) != Some(latest.at_ms))
            .take(limits::READINGS)
            .map(|latest| Newest {
                series: latest.series.series,
                at_ms: latest.at_ms,
                value: latest.value.map(Quantity::mantissa),
                quality: latest.quality,
                origin: latest.origin,
            })
            .collect();
        link.latest_sent = Some(Instant::now());
        if newest.is_empty() {
            return Ok(());
        }
        let fresh = newest.iter().map(|newest| newest.series);
        let fresh: Vec<_> = fresh.filter(|series| told(*series).is_none()).collect();
        let told: Vec<_> = newest.iter().map(|newest| (newest.series, newest.at_ms)).collect();
        if !fresh.is_empty() {
            self.send_names(link, &fresh, None).await?;
        }
        let message = Latest {
            gateway: link.identity.gateway(),
            epoch: self.outbox.epoch(),
            head: self.outbox.state().head,
            newest,
        }
        .write();
        if let Ok(message) = message {
            link.acknowledged(path::LATEST, message).await?;
            link.latest_told.extend(told);
            self.heard();
        }
        Ok(())
    }

    /// Tells what was expected, what came and why the rest did not, where that is news. No reading waits
    /// for it: what goes wrong is tried again the next time.
    async fn send_accounts(&self, link: &mut Link) {
        let now = self.clock.now();
        let Some(from_ms) = link.accounts.look(now, self.pace.accounts) else { return };
        let head = self.outbox.state().head;
        let question = move |store: &Snapshot<'_>| accounts::since(store, from_ms, now.wall_ms());
        let days = match self.readers.ask(question).await {
            Ok(days) => days,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "no accounts for the portfolio");
                return;
            }
        };
        let (gateway, epoch) = (link.identity.gateway(), self.outbox.epoch());
        for days in link.accounts.news(days) {
            let message = Accounts { gateway, epoch, head, days };
            // As many days as may be in a message fit into it.
            let Ok(bytes) = message.write() else { return };
            if let Err(error) = link.acknowledged(path::ACCOUNTS, bytes).await {
                tracing::debug!(error = &error as &dyn Error, "accounts not told");
                return;
            }
            self.heard();
            link.accounts.told(&message.days);
        }
    }

    /// A certificate for a fresh key, by the word of the one before.
    ///
    /// The authorities come with it: whoever answers here is believed already, and tells in time
    /// whom to believe next.
    async fn renew(&self, link: &mut Link) -> Result<Identity, SyncError> {
        let (key, request) = fresh_key().map_err(SyncError::Key)?;
        let message = Renew { request }.write();
        let given = link.post.post(path::RENEW, message, Certificate::read).await?;
        self.heard();
        let identity = &link.identity;
        let renewed = Identity::new(identity.gateway(), identity.url().clone(), &key, given)?;
        tracing::info!(ends_ms = renewed.ends_ms(), "certificate renewed");
        Ok(renewed)
    }

    fn heard(&self) {
        let now_ms = self.clock.now().wall_ms();
        self.status.send_modify(|status| status.last_contact_ms = Some(now_ms));
    }

    /// Tells how far we are, and what is wrong, to whoever looks and, when it is news, to the log.
    fn tell(&self, error: Option<&SyncError>) {
        let OutboxState { acked, head, .. } = self.outbox.state();
        let identity = self.identity.borrow().clone();
        let sentence = error.map(ToString::to_string);
        let saves_until_ms = identity.is_some().then(|| self.saves_until_ms()).flatten();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.enrolled = identity.is_some();
            status.url = identity.map(|identity| identity.url().to_string()).unwrap_or_default();
            status.acked = acked;
            status.head = head;
            status.backlog = head - acked.min(head);
            status.last_error = sentence;
            status.saves_until_ms = saves_until_ms;
            if status.last_error != before.last_error {
                if let Some(error) = error {
                    tracing::warn!(error = error as &dyn Error, "the sync waits");
                } else {
                    tracing::info!("the sync goes on");
                }
            }
            *status != before
        });
    }
}

/// A connection under one identity, and what was told over it.
#[derive(Debug)]
struct Link {
    identity: Arc<Identity>,
    post: Post,
    teller: Teller,
    /// Whether the building's names were told.
    named: bool,
    /// Series that were told since the last batch went through.
    taught: BTreeSet<SeriesId>,
    /// Whether the portfolio has read what a series means.
    reads_series: bool,
    unread: Unread,
    /// How often we were sent back since then.
    went_back: u32,
    /// How many readings go into the next batch.
    most: usize,
    latest_sent: Option<Instant>,
    /// How new it was what was sent then. As many as there are series.
    latest_told: BTreeMap<SeriesId, i64>,
    accounts: Told,
    /// When the portfolio may be asked for what was damaged here.
    recalls: recall::Rest,
    /// When readings were put aside.
    parked: Vec<Instant>,
    /// What the portfolio said last that it would like.
    wishes: Wishes,
    errands: Arc<Notify>,
}

impl Link {
    fn new(
        identity: Arc<Identity>,
        way: Way,
        teller: Teller,
        errands: Arc<Notify>,
    ) -> Result<Self, SyncError> {
        let post = Post::as_gateway(&identity, way)?;
        Ok(Self {
            identity,
            post,
            teller,
            named: false,
            taught: BTreeSet::new(),
            reads_series: false,
            unread: Unread::default(),
            went_back: 0,
            most: limits::READINGS,
            latest_sent: None,
            latest_told: BTreeMap::new(),
            accounts: Told::default(),
            recalls: recall::Rest::default(),
            parked: Vec::new(),
            wishes: Wishes::default(),
            errands,
        })
    }
}

fn wire(reading: &OutboxReading) -> SyncReading {
    let OutboxReading { seq, series, at_ms, value, quality, origin } = *reading;
    SyncReading { seq, series, at_ms, value, quality, origin }
}

const fn reason(reason: LossReason) -> GapReason {
    match reason {
        LossReason::Damage => GapReason::Damaged,
        LossReason::Retention => GapReason::NotKept,
    }
}

/// A part of `whole` that is always the same for one gateway, and differs from one to the other.
fn share_of(whole: Duration, gateway: GatewayId) -> Duration {
    // The low bits of a UUIDv7 are random.
    let [.., a, b] = gateway.uuid().into_bytes();
    whole.mul_f64(f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_fleet_spreads_over_all_of_the_time() {
        let share = |low: u128| {
            share_of(Duration::from_mins(15), GatewayId::from_uuid(Uuid::from_u128(low)))
        };
        assert_eq!(share(0), Duration::ZERO);
        assert_eq!(share(0xFFFF), Duration::from_mins(15));
        assert!((440..460).contains(&share(0x8000).as_secs()));
    }
}
