//! The loop: what the outbox has goes to the portfolio, one batch after the other.
//!
//! ```text
//!  wait for an identity ──▶ renew it, when it is time
//!        ▲                      │
//!        │                      ▼
//!        │        names ──▶ batch ──▶ batch … ──▶ caught up ──▶ wait for the next round
//!        │                    │
//!        └── back off ◀───────┘ no, or no answer
//! ```
//!
//! While it is far behind it sends what the meters show now ahead of the batches, once a minute.
//!
//! A batch that the portfolio calls malformed is halved until the one reading is found that it
//! means. That one is put aside: its number goes as a gap, the reading stays in the store, and the
//! log and the portfolio both say so.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, GatewayId, Quantity, SeriesId};
use store::{LossReason, Outbox, OutboxReading, OutboxState, Readers};
use sync_wire::{
    Ack, Batch, Certificate, Gap, GapReason, Latest, Newest, Refusal, Renew, SyncReading, limits,
    path,
};
use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::building::Building;
use crate::identity::{Identity, fresh_key};
use crate::post::{Post, SyncError};

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
    /// A word here begins the next round at once: somebody is looking.
    pub hurry: Arc<Notify>,
}

/// How often a gateway that has caught up sends what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two rounds.
    pub every: Duration,
    /// Over how long gateways that were away together spread their catching up.
    pub spread: Duration,
}

impl Pace {
    /// On a line that costs nothing by the byte.
    pub const WIRED: Self = Self { every: Duration::from_mins(1), spread: Duration::from_mins(15) };

    /// On a SIM card.
    pub const METERED: Self =
        Self { every: Duration::from_mins(15), spread: Duration::from_mins(15) };
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
}

/// A portfolio that calls more than this malformed within an hour is itself at fault.
const PARKED_AN_HOUR: u32 = 100;

/// Between two messages ahead of the batches.
const LATEST_EVERY: Duration = Duration::from_mins(1);

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

            let mut link = match Link::new(identity) {
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
                        self.pace.every
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
        let may_renew = renewed.is_none_or(|at| at.elapsed() >= Duration::from_hours(24));
        if may_renew && self.clock.now().wall_ms() >= link.identity.renew_from_ms() {
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
        if !link.named {
            self.send_names(link, &[]).await?;
            link.named = true;
        }
        self.be_patient(link, unreachable_since).await?;

        loop {
            let OutboxState { acked, head, .. } = self.outbox.state();
            let batch = self.outbox.batch(acked, link.most).await?;
            if batch.readings.is_empty() && batch.lost.is_none() {
                return Ok(());
            }
            if head.saturating_sub(acked) > limits::READINGS as u64 {
                self.send_latest(link).await?;
            }
            self.send(link, acked, head, batch).await?;
            self.tell(None);
        }
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
            self.send_latest(link).await?;
            self.tell(None);
            let wait = share_of(self.pace.spread, link.identity.gateway());
            tokio::select! {
                () = time::sleep(wait) => {}
                () = self.hurry.notified() => {}
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
        let gaps: Vec<Gap> = lost
            .map(|lost| Gap { from: lost.from, to: lost.to, reason: reason(lost.reason) })
            .into_iter()
            .collect();
        let readings = readings.iter().map(wire).collect();
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
        match link.post(path::BATCH, message, Ack::read).await {
            Ok(Ack { acked: confirmed }) => {
                self.heard();
                if confirmed < to {
                    return Err(self.ahead_or(confirmed, Refusal::Behind { acked: confirmed }));
                }
                self.confirm(confirmed).await?;
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
                self.go_on_behind(acked).await
            }
            Refusal::OtherEpoch { epoch, acked } if epoch == self.outbox.epoch() => {
                tracing::info!("the portfolio begins anew with this database");
                link.went_back += 1;
                self.go_on_behind(acked).await
            }
            Refusal::UnknownSeries { series } => {
                // Taught once, a series is known; a portfolio that still asks is not helped by a
                // third time.
                if !series.iter().any(|series| link.taught.insert(*series)) {
                    return Err(Refusal::UnknownSeries { series }.into());
                }
                self.send_names(link, &series).await
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

    /// Puts one reading aside: the portfolio gets a gap in its place.
    async fn park(
        &self,
        link: &mut Link,
        reading: SyncReading,
        sentence: String,
    ) -> Result<(), SyncError> {
        link.parked.retain(|at| at.elapsed() < Duration::from_hours(1));
        if link.parked.len() >= PARKED_AN_HOUR as usize {
            return Err(SyncError::Parking { sentence });
        }
        let SyncReading { seq, series, at_ms, .. } = reading;
        let (gateway, epoch) = (link.identity.gateway(), self.outbox.epoch());
        let head = self.outbox.state().head;
        let gap = Gap { from: seq, to: seq, reason: GapReason::Parked };
        let message = Batch::new(gateway, epoch, head, seq - 1, Vec::new(), vec![gap])
            .ok()
            .and_then(|batch| batch.write().ok());
        let Some(message) = message else {
            return Err(SyncError::Parking { sentence });
        };
        let Ack { acked } = link.post(path::BATCH, message, Ack::read).await?;
        self.confirm(acked).await?;
        link.parked.push(Instant::now());
        self.status.send_modify(|status| status.parked += 1);
        tracing::error!(
            seq, %series, at_ms, because = sentence,
            "a reading was put aside: the portfolio cannot read it, it stays in the store",
        );
        Ok(())
    }

    /// Tells what meters are called and what `series` mean.
    async fn send_names(&self, link: &Link, series: &[SeriesId]) -> Result<(), SyncError> {
        let building = Arc::clone(&self.building.borrow());
        let infos = self.outbox.series(series);
        for table in building.tables(link.identity.gateway(), self.outbox.epoch(), &infos) {
            let Ok(message) = table.write() else {
                // 250 names of 256 bytes fit; nothing else in a table can grow.
                continue;
            };
            link.post(path::SERIES, message, Ack::read).await?;
            self.heard();
        }
        Ok(())
    }

    /// Tells what the meters show now, at most once a minute.
    async fn send_latest(&self, link: &mut Link) -> Result<(), SyncError> {
        if link.latest_sent.is_some_and(|sent| sent.elapsed() < LATEST_EVERY) {
            return Ok(());
        }
        let latest = self.readers.ask(|snapshot| Ok(snapshot.latest_all())).await?;
        let newest: Vec<Newest> = latest
            .into_iter()
            .take(limits::READINGS)
            .map(|latest| Newest {
                series: latest.series.series,
                at_ms: latest.at_ms,
                value: latest.value.map(Quantity::mantissa),
                quality: latest.quality,
                origin: latest.origin,
            })
            .collect();
        let series: Vec<SeriesId> = newest.iter().map(|newest| newest.series).collect();
        if link.latest_sent.is_none() {
            self.send_names(link, &series).await?;
        }
        let message = Latest {
            gateway: link.identity.gateway(),
            epoch: self.outbox.epoch(),
            head: self.outbox.state().head,
            newest,
        }
        .write();
        if let Ok(message) = message {
            link.post(path::LATEST, message, Ack::read).await?;
            self.heard();
        }
        link.latest_sent = Some(Instant::now());
        Ok(())
    }

    /// A certificate for a fresh key, by the word of the one before.
    async fn renew(&self, link: &Link) -> Result<Identity, SyncError> {
        let (key, request) = fresh_key().map_err(SyncError::Key)?;
        let message = Renew { request }.write();
        let Certificate { certificate, .. } =
            link.post(path::RENEW, message, Certificate::read).await?;
        self.heard();
        let identity = &link.identity;
        let renewed = Identity::new(
            identity.gateway(),
            identity.url().clone(),
            &key,
            certificate,
            identity.authority().to_vec(),
        )?;
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
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.enrolled = identity.is_some();
            status.url = identity.map(|identity| identity.url().to_string()).unwrap_or_default();
            status.acked = acked;
            status.head = head;
            status.backlog = head - acked.min(head);
            status.last_error = sentence;
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
    /// Whether the building's names were told.
    named: bool,
    /// Series that were told since the last batch went through.
    taught: BTreeSet<SeriesId>,
    /// How often we were sent back since then.
    went_back: u32,
    /// How many readings go into the next batch.
    most: usize,
    latest_sent: Option<Instant>,
    /// When readings were put aside.
    parked: Vec<Instant>,
}

impl Link {
    fn new(identity: Arc<Identity>) -> Result<Self, SyncError> {
        let post = Post::as_gateway(&identity)?;
        Ok(Self {
            identity,
            post,
            named: false,
            taught: BTreeSet::new(),
            went_back: 0,
            most: limits::READINGS,
            latest_sent: None,
            parked: Vec::new(),
        })
    }

    async fn post<T>(
        &self,
        path: &str,
        message: Vec<u8>,
        read: impl FnOnce(&[u8]) -> Result<T, sync_wire::Malformed>,
    ) -> Result<T, SyncError> {
        self.post.post(self.identity.at(path), message, read).await
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
