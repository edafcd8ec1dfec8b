//! The report probe: asks the portfolio, again and again, for a value that this gateway knows, and
//! keeps how that ended. Of these attempts the ledger makes the month's uptime.
//!
//! ```text
//!  what was acknowledged ──▶ ask ──┬─ right ──▶ Success
//!                                  └─ else ───▶ Failed(stage) + what else could be reached
//! ```
//!
//! A wired gateway asks every 20 s, a metered one every 60 s, each at a phase of its own; after a
//! failure every 10 s until it is over. The connection is kept, and made anew for every tenth
//! question and after every failure.
//!
//! **Never true:** that an attempt counts against the portfolio which could not have known the
//! value: one that was acknowledged less than five minutes ago may be missing, and then there is
//! no attempt.

mod link;
mod references;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ledger::{Attempt, Failure, Outcome, References};
use metering::{Clock, GatewayId, Moment, Quantity, Trust};
use store::{AttemptRow, Core, Order, Outbox, Readers, StoredReading};
use tokio::sync::watch;
use tokio::time;

use crate::canary;
use crate::cloud::{self, KnownAs};
use crate::config::{Cloud, LineProfile};
use crate::restart::Task;
use link::{Reported, Stage};

/// Asks, and keeps the attempts.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) gateway: GatewayId,
    pub(crate) core: Core,
    pub(crate) outbox: Outbox,
    pub(crate) readers: Readers,
    pub(crate) identity: watch::Receiver<KnownAs>,
    pub(crate) wanted: watch::Receiver<Option<Cloud>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Since when which numbers are acknowledged, oldest first.
    pub(crate) acked: VecDeque<(Duration, u64)>,
}

impl Task for Probe {
    fn name(&self) -> String {
        "probe".to_owned()
    }

    async fn live(&mut self) {
        let mut link = None;
        let (mut failed, mut asked) = (false, 0_u32);
        loop {
            time::sleep(self.wait(failed)).await;
            let identity = match self.identity.wait_for(Option::is_some).await {
                Ok(identity) => identity.clone(),
                Err(_) => return,
            };
            let Some(identity) = identity else { continue };
            self.note_acked();
            let Some(expected) = self.expected().await else { continue };
            // A connection of its own now and then, so that name and certificate are tried too.
            if failed || asked.is_multiple_of(FRESH_EVERY) {
                link = None;
            }
            asked = asked.wrapping_add(1);
            let at = self.clock.now();
            let url = identity.report_url(expected.reading.series, Some(expected.reading.at_ms));
            let mut stage = Stage::Name;
            let question = link::ask(&mut link, &mut stage, &identity, &url);
            let answer = time::timeout(TIME_OUT, question).await;
            let outcome = match answer {
                Ok(Ok(reported)) => judge(reported, &expected),
                Ok(Err(failure)) => Some(Outcome::Failed(failure)),
                Err(_elapsed) => Some(Outcome::Failed(stage.hangs())),
            };
            let Some(outcome) = outcome else { continue };
            failed = outcome != Outcome::Success;
            self.keep(at, outcome).await;
        }
    }
}

/// A value that the portfolio has to have.
struct Expected {
    reading: StoredReading,
    /// Whether it has had it for so long that it must be readable.
    visible: bool,
}

impl Probe {
    /// How long until the next question.
    fn wait(&self, failed: bool) -> Duration {
        if failed {
            return AFTER_FAILURE;
        }
        let period = match cloud::line(self.wanted.borrow().as_ref()) {
            LineProfile::Wired => Duration::from_secs(20),
            LineProfile::Metered => Duration::from_mins(1),
        };
        until_phase(self.clock.now().wall_ms(), period, self.gateway)
    }

    /// Writes down since when the portfolio has what.
    fn note_acked(&mut self) {
        let (now, acked) = (self.clock.now().boottime, self.outbox.state().acked);
        if self.acked.back().is_none_or(|(_, before)| *before < acked) {
            self.acked.push_back((now, acked));
        }
        // The newest of those that are old enough is all that is needed of them.
        while self.acked.get(1).is_some_and(|(since, _)| *since + VISIBLE_WITHIN <= now) {
            self.acked.pop_front();
        }
    }

    /// The newest value that must be readable, or else the newest that may be.
    async fn expected(&self) -> Option<Expected> {
        let now = self.clock.now().boottime;
        let long_ago = self.acked.front().filter(|(since, _)| *since + VISIBLE_WITHIN <= now);
        let newest = self.acked.back();
        let (long_ago, newest) = (long_ago.map(|it| it.1), newest.map(|it| it.1)?);

        let (meter, register) = (canary::meter(self.gateway), canary::register()?);
        let answer = self.readers.ask(move |store| {
            let all = i64::MIN..i64::MAX;
            store.readings(meter, &register, all, Order::NewestFirst, LOOK_BACK)
        });
        let readings = match answer.await {
            Ok(readings) => readings,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the canary cannot be read");
                return None;
            }
        };
        let of = |acked: u64| {
            readings.iter().find(|reading| reading.seq <= acked && reading.value.is_ok()).copied()
        };
        match long_ago.and_then(of) {
            Some(reading) => Some(Expected { reading, visible: true }),
            None => Some(Expected { reading: of(newest)?, visible: false }),
        }
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
        };
        let row = AttemptRow { at_ms: at.wall_ms(), body: attempt.to_bytes().to_vec() };
        if let Err(error) = self.core.append_attempts(vec![row]).await {
            tracing::error!(error = crate::chain(&error), "a probe attempt is not kept");
        }
    }
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

/// How long until this gateway's turn in a period: they do not all ask at the same second.
fn until_phase(wall_ms: i64, period: Duration, gateway: GatewayId) -> Duration {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
    // The last bytes of a UUIDv7 are random.
    let [.., a, b, c, d] = gateway.uuid().into_bytes();
    let phase = i64::from(u32::from_be_bytes([a, b, c, d])).rem_euclid(period);
    let left = (phase - wall_ms - 1).rem_euclid(period) + 1;
    Duration::from_millis(left.unsigned_abs())
}

/// The promise's own time-out for a report.
const TIME_OUT: Duration = Duration::from_secs(10);

/// How soon the promise has acknowledged data readable.
const VISIBLE_WITHIN: Duration = Duration::from_mins(5);

const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Every tenth question has a connection of its own.
const FRESH_EVERY: u32 = 10;

/// Half a day of canaries: longer than a sync is behind without the outbox saying so.
const LOOK_BACK: usize = 720;

#[cfg(test)]
mod tests {
    use metering::{Origin, Quality, Resolution, SeriesId, Unit};
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
