//! The report probe: asks the portfolio, again and again, for a value that this gateway knows, and
//! keeps how that ended. Of these attempts the ledger makes the month's uptime.
//!
//! ```text
//!  what was acknowledged ──▶ ask ──┬─ right ──▶ Success
//!                                  └─ else ───▶ Failed(stage) + what else could be reached
//! ```
//!
//! A wired gateway asks every 20 s, a metered one every 60 s, or as the configuration says, each at a
//! phase of its own; after a failure every 10 s until it is over. The connection is kept, and made anew
//! for every tenth question and after every failure. A new one goes on with the keys of the one before,
//! which costs half the bytes; after every failure, and for every 120th question, it begins from nothing,
//! with both certificates.
//!
//! **Never true:** that an attempt counts against the portfolio which could not have known the
//! value: one that was acknowledged less than five minutes ago may be missing, and then there is
//! no attempt.

#[cfg(test)]
pub(crate) mod end_to_end;
mod link;
mod references;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{Identity, Traffic};
use ledger::{Attempt, Failure, Outcome, References};
use metering::{Clock, GatewayId, Moment, Quantity, Trust};
use store::{AttemptRow, Core, Order, Outbox, Readers, StoredReading};
use tokio::sync::watch;
use tokio::time;

use crate::canary;
use crate::cloud::{self, KnownAs};
use crate::config::{Cloud, LineProfile};
use crate::restart::Task;
use link::{Link, Reported, Stage, Tls};

/// Asks, and keeps the attempts.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) gateway: GatewayId,
    pub(crate) core: Core,
    pub(crate) outbox: Outbox,
    pub(crate) readers: Readers,
    pub(crate) identity: watch::Receiver<KnownAs>,
    pub(crate) wanted: watch::Receiver<Option<Cloud>>,
    /// What its questions cost.
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What was acknowledged, oldest first.
    pub(crate) acked: VecDeque<Acked>,
}

/// What the portfolio has had since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// By the age of the boot.
    since: Duration,
    /// The number up to which.
    seq: u64,
    /// The newest canary of that; `None` until it is found.
    canary: Option<StoredReading>,
}

impl Task for Probe {
    fn name(&self) -> String {
        "probe".to_owned()
    }

    async fn live(&mut self) {
        let mut going = Going::default();
        loop {
            time::sleep(self.wait(going.failed)).await;
            if self.identity.wait_for(Option::is_some).await.is_err() {
                return;
            }
            self.ask_once(&mut going).await;
        }
    }
}

/// What goes on from one question to the next.
#[derive(Debug, Default)]
struct Going {
    link: Option<Link>,
    /// And for whom it was made.
    tls: Option<(Arc<Identity>, Tls)>,
    failed: bool,
    asked: u32,
}

/// A value that the portfolio has to have.
struct Expected {
    reading: StoredReading,
    /// Whether it has had it for so long that it must be readable.
    visible: bool,
}

impl Probe {
    /// One question, if there is anything that the portfolio must know.
    async fn ask_once(&mut self, going: &mut Going) {
        let Some(identity) = self.identity.borrow().clone() else { return };
        self.note_acked();
        let Some(expected) = self.expected().await else { return };
        // A connection of its own now and then, so that name and certificate are tried too.
        if going.failed || going.asked.is_multiple_of(FRESH_EVERY) {
            going.link = None;
        }
        let is_other = |(known, _): &(Arc<Identity>, Tls)| !Arc::ptr_eq(known, &identity);
        let from_nothing = going.failed || going.asked.is_multiple_of(FROM_NOTHING_EVERY);
        if from_nothing || going.tls.as_ref().is_some_and(is_other) {
            (going.link, going.tls) = (None, None);
        }
        going.asked = going.asked.wrapping_add(1);
        let at = self.clock.now();
        let url = identity.report_url(expected.reading.series, Some(expected.reading.at_ms));
        let mut stage = Stage::Name;
        let way = cloud::way(self.wanted.borrow().as_ref(), &self.traffic);
        let agreed = self.wanted.borrow().as_ref().map(|cloud| cloud.report_timeout);
        let time_out = agreed.unwrap_or(TIME_OUT);
        let Going { link, tls, .. } = going;
        let question = async {
            let (_, tls) = match tls {
                Some(tls) => tls,
                none => none.insert((Arc::clone(&identity), Tls::new(&identity)?)),
            };
            link::ask(link, &mut stage, tls, &way, &url).await
        };
        let answer = time::timeout(time_out, question).await;
        let outcome = match answer {
            Ok(Ok(reported)) => judge(reported, &expected),
            Ok(Err(failure)) => Some(Outcome::Failed(failure)),
            Err(_elapsed) => Some(Outcome::Failed(stage.hangs())),
        };
        let Some(outcome) = outcome else { return };
        going.failed = outcome != Outcome::Success;
        self.keep(at, outcome).await;
    }

    /// How long until the next question.
    fn wait(&self, failed: bool) -> Duration {
        if failed {
            return AFTER_FAILURE;
        }
        let period = period(self.wanted.borrow().as_ref());
        until_phase(self.clock.now().wall_ms(), period, self.gateway)
    }

    /// Writes down since when the portfolio has what.
    fn note_acked(&mut self) {
        let (now, acked) = (self.clock.now().boottime, self.outbox.state().acked);
        if self.acked.back().is_none_or(|before| before.seq < acked) {
            self.acked.push_back(Acked { since: now, seq: acked, canary: None });
        }
        // The newest of those that are old enough is all that is needed of them.
        while self.acked.get(1).is_some_and(|acked| acked.since + VISIBLE_WITHIN <= now) {
            self.acked.pop_front();
        }
    }

    /// The newest value that must be readable, or else the newest that may be.
    ///
    /// Once found it is kept: in an outage nothing more is acknowledged, however long it lasts.
    async fn expected(&mut self) -> Option<Expected> {
        let now = self.clock.now().boottime;
        let is_visible = |acked: &Acked| acked.since + VISIBLE_WITHIN <= now;
        let visible = self.acked.front().is_some_and(is_visible);
        for visible in [true, false].into_iter().filter(|wanted| visible || !wanted) {
            let at = if visible { 0 } else { self.acked.len().checked_sub(1)? };
            let acked = *self.acked.get(at)?;
            let canary = match acked.canary {
                Some(canary) => Some(canary),
                None => newest_canary(&self.readers, self.gateway, acked.seq).await,
            };
            if let Some(acked) = self.acked.get_mut(at) {
                acked.canary = canary;
            }
            if let Some(reading) = canary {
                return Some(Expected { reading, visible });
            }
        }
        None
    }

    async fn keep(&self, at: Moment, outcome: Outcome) {
        let references = match outcome {
            Outcome::Success => References::default(),
            Outcome::Failed(failure) => {
                let wanted = self.wanted.borrow().clone();
                let named = wanted.map(|cloud| cloud.references).unwrap_or_default();
                let references = references::ask(&named).await;
                tracing::warn!(?failure, ?references, "the portfolio's reports cannot be had");
                references
            }
        };
        let attempt = Attempt {
            at: at.wall.timestamp(),
            outcome,
            references,
            clock_trusted: at.trust >= Trust::Holdover,
            age: u32::try_from(at.boottime.as_secs()).ok(),
        };
        let row = AttemptRow { at_ms: at.wall_ms(), body: attempt.to_bytes() };
        if let Err(error) = self.core.append_attempts(vec![row]).await {
            tracing::error!(error = crate::chain(&error), "a probe attempt is not kept");
        }
    }
}

/// The newest canary with a number up to `acked`: after a restart in the middle of an outage it is
/// as old as that.
async fn newest_canary(readers: &Readers, gateway: GatewayId, acked: u64) -> Option<StoredReading> {
    let (meter, register) = (canary::meter(gateway), canary::register()?);
    let mut until = i64::MAX;
    for _ in 0..MOST_LOOKS {
        let register = register.clone();
        let answer = readers.ask(move |store| {
            let before = i64::MIN..until;
            store.readings(meter, &register, before, Order::NewestFirst, LOOK_BACK)
        });
        let readings = match answer.await {
            Ok(readings) => readings,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the canary cannot be read");
                return None;
            }
        };
        let has = |reading: &&StoredReading| reading.seq <= acked && reading.value.is_ok();
        if let Some(found) = readings.iter().find(has) {
            return Some(*found);
        }
        until = readings.last()?.at_ms;
    }
    None
}

/// What an answer proves; `None` if nothing.
fn judge(reported: Option<Reported>, expected: &Expected) -> Option<Outcome> {
    let right = reported.is_some_and(|reported| {
        reported.at_ms == expected.reading.at_ms
            && reported.mantissa == expected.reading.value.ok().map(Quantity::mantissa)
    });
    match (right, expected.visible) {
        (true, _) => Some(Outcome::Success),
        (false, true) => Some(Outcome::Failed(Failure::WrongData)),
        (false, false) => None,
    }
}

/// How much lies between two questions while all is well.
fn period(wanted: Option<&Cloud>) -> Duration {
    let usual = match cloud::line(wanted) {
        LineProfile::Wired => Duration::from_secs(20),
        LineProfile::Metered => Duration::from_mins(1),
    };
    wanted.and_then(|cloud| cloud.probe_every).unwrap_or(usual)
}

/// How long until this gateway's turn in a period: they do not all ask at the same second.
fn until_phase(wall_ms: i64, period: Duration, gateway: GatewayId) -> Duration {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
    // The last bytes of a UUIDv7 are random.
    let [.., a, b, c, d] = gateway.uuid().into_bytes();
    let phase = i64::from(u32::from_be_bytes([a, b, c, d])).rem_euclid(period);
    let left = (phase - wall_ms - 1).rem_euclid(period) + 1;
    Duration::from_millis(left.unsigned_abs())
}

/// The promise's own time-out for a report, where nothing else was agreed.
const TIME_OUT: Duration = Duration::from_secs(10);

/// How soon the promise has acknowledged data readable.
const VISIBLE_WITHIN: Duration = Duration::from_mins(5);

const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Every tenth question has a connection of its own.
const FRESH_EVERY: u32 = 10;

/// And every twelfth of those looks at both certificates again: on a SIM card every two hours.
const FROM_NOTHING_EVERY: u32 = 12 * FRESH_EVERY;

/// Canaries that are looked through at once: half a day of them.
const LOOK_BACK: usize = 720;

/// Two months of canaries: the account of a month that an outage ends needs no more.
const MOST_LOOKS: u32 = 120;

#[cfg(test)]
mod tests {
    use metering::{Origin, Quality, Resolution, SeriesId, Unit};
    use store::testing;
    use uuid::Uuid;

    use super::*;

    fn expected(visible: bool) -> Expected {
        let value = Quantity::new(29_538_000, Resolution::new(0, Unit::Minute).unwrap());
        let reading = StoredReading {
            seq: 7,
            series: SeriesId::new(3).unwrap(),
            at_ms: 1_772_280_000_000,
            value: Ok(value),
            quality: Quality::Good,
            origin: Origin::Live,
            trust: Some(Trust::Synced),
        };
        Expected { reading, visible }
    }

    #[tokio::test]
    async fn the_canary_of_an_outage_is_found_however_long_it_lasts() {
        let empty = testing::empty().unwrap();
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        // Two days of canaries, of which the portfolio has the first three.
        for hour in 0..48 {
            let of_minute = |minute: i64| {
                let at = testing::moment(testing::MIDNIGHT_MS + 60_000 * (60 * hour + minute));
                canary::round(gateway, at, 1).unwrap()
            };
            let rounds = (0..60).map(of_minute).collect();
            empty.store.writer().commit(rounds).await.unwrap();
        }
        let readers = empty.store.readers();
        let found = newest_canary(&readers, gateway, 3).await.map(|it| (it.seq, it.at_ms));
        assert_eq!(found, Some((3, testing::MIDNIGHT_MS + 120_000)));
        assert!(newest_canary(&readers, gateway, 0).await.is_none());
    }

    #[test]
    fn only_the_right_value_is_a_success_and_a_young_one_may_be_missing() {
        let right = Reported { at_ms: 1_772_280_000_000, mantissa: Some(29_538_000) };
        let wrong = Reported { mantissa: Some(29_538_001), ..right };
        let failed = Some(Outcome::Failed(Failure::WrongData));
        for visible in [true, false] {
            assert_eq!(judge(Some(right), &expected(visible)), Some(Outcome::Success));
        }
        assert_eq!(judge(Some(wrong), &expected(true)), failed);
        assert_eq!(judge(None, &expected(true)), failed);
        assert_eq!(judge(None, &expected(false)), None);
    }

    #[test]
    fn every_gateway_has_its_turn_in_each_period() {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(0x1_0007));
        let period = Duration::from_secs(20);
        let wait = |ms| until_phase(ms, period, gateway).as_millis();
        let phase = u128::from(0x1_0007_u32 % 20_000);
        assert_eq!(wait(0), phase);
        assert_eq!(wait(i64::try_from(phase).unwrap()), 20_000, "the turn under way is over");
        assert_eq!(wait(i64::try_from(phase).unwrap() - 1), 1);
    }
}
