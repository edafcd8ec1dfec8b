//! What was damaged on the gateway's disk, had again from the portfolio.
//!
//! ```text
//!  caught up ──▶ what is lost? ──▶ POST /v1/recall ──▶ put back under its numbers ──▶ what is lost? …
//!                     │ nothing          │ no answer: back off, a minute to six hours
//!                     ▼                  ▼ an older portfolio: not before tomorrow
//!                  the round ends     the round ends
//! ```
//!
//! It comes last in a round: no reading waits for it, and what goes wrong fails nothing. How far it has come is
//! known to the store, so a cut connection or a restart goes on there.
//!
//! **Never true:** a reading that came back is sent.

use std::error::Error;
use std::time::Duration;

use store::{OutboxReading, Recall};
use sync_wire::{RecallAsked, Recalled, Refusal, SyncReading, limits, path};
use tokio::time::Instant;

use super::{Link, Uploader};
use crate::post::SyncError;

/// Questions of one round: fewer than a portfolio answers in a minute, so that a round is one.
const A_ROUND: usize = 200;

/// After the first failure; twice as long after each further one.
const FIRST: Duration = Duration::from_mins(1);

/// After any number of failures.
const MOST: Duration = Duration::from_hours(6);

/// A portfolio that does not know the question is asked again then: it may be a newer one.
const OLDER: Duration = Duration::from_hours(24);

/// When the portfolio is asked next.
#[derive(Debug, Default)]
pub(super) struct Rest {
    until: Option<Instant>,
    failures: u32,
}

impl Rest {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }

    fn worked(&mut self) {
        *self = Self::default();
    }

    /// How long it rests after `error`.
    fn failed(&mut self, error: &SyncError) -> Duration {
        let rest = match error {
            // Nobody answers at that place.
            SyncError::NotPortfolio { status: 404 | 405, .. }
            | SyncError::Refused(Refusal::Malformed { .. } | Refusal::Version { .. }) => OLDER,
            _ => {
                let doubled = FIRST.saturating_mul(1 << self.failures.min(12));
                doubled.min(MOST).max(error.retry_after().unwrap_or_default())
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + rest);
        rest
    }
}

impl Uploader {
    /// Asks for what was damaged here, page after page; whether something new is to be sent first.
    pub(super) async fn recall(&self, link: &mut Link) -> bool {
        for _ in 0..A_ROUND {
            if !link.recalls.is_over() || self.saves_until_ms().is_some() {
                return false;
            }
            let state = self.outbox.state();
            if state.head > state.acked {
                return true;
            }
            match self.recall_page(link).await {
                Ok(true) => link.recalls.worked(),
                Ok(false) => return false,
                Err(error) => {
                    let rest = link.recalls.failed(&error);
                    match &error {
                        // What the disk does is told by whoever stores readings.
                        SyncError::Store(error) => {
                            let error = error as &dyn Error;
                            tracing::debug!(error, "nobody knows what was damaged");
                        }
                        error => {
                            let error = error as &dyn Error;
                            tracing::warn!(error, ?rest, "damaged readings are not had again yet");
                        }
                    }
                    return false;
                }
            }
        }
        false
    }

    /// One question and its answer; `false` if there is nothing to ask for.
    async fn recall_page(&self, link: &mut Link) -> Result<bool, SyncError> {
        let Some(recall) = self.outbox.recall().await? else { return Ok(false) };
        let gateway = link.identity.gateway();
        let (meter, span) = (recall.meter, recall.span.clone());
        // What lies outside was never taken there.
        let times = limits::TIMES_MS;
        let from_ms = span.start.clamp(times.start, times.end);
        let until_ms = span.end.clamp(from_ms, times.end);
        let (epoch, numbers) = (recall.epoch, recall.numbers.clone());
        let asked = RecallAsked { gateway, epoch, meter, from_ms, until_ms, numbers };
        let answer = link.post.post(path::RECALL, asked.write(), Recalled::read).await?;
        self.heard();
        if answer.gateway != gateway {
            let sentence = "its answer is another gateway's".to_owned();
            return Err(Refusal::Malformed { sentence }.into());
        }
        self.put_back(recall, answer).await?;
        Ok(true)
    }

    async fn put_back(&self, recall: Recall, answer: Recalled) -> Result<(), SyncError> {
        let Recalled { next_ms, readings, .. } = answer;
        let meter = recall.meter;
        // One that does not lead on would be asked for for ever.
        let next_ms = next_ms.filter(|next| *next > recall.span.start);
        let count =
            self.outbox.restore(recall, readings.iter().map(kept).collect(), next_ms).await?;
        tracing::info!(%meter, count, "damaged readings came back from the portfolio");
        Ok(())
    }
}

fn kept(reading: &SyncReading) -> OutboxReading {
    let SyncReading { seq, series, at_ms, value, quality, origin } = *reading;
    OutboxReading { seq, series, at_ms, value, quality, origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rests_longer_each_time_and_a_day_where_nobody_knows_the_question() {
        let host = || "portfolio.example".to_owned();
        let gone = SyncError::Unreachable { host: host(), why: "no answer".to_owned() };
        let mut rest = Rest::default();
        assert!(rest.is_over());
        let minutes: Vec<u64> = (0..11).map(|_| rest.failed(&gone).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
        assert!(!rest.is_over());
        tokio::time::advance(MOST).await;
        assert!(rest.is_over());

        rest.worked();
        let often = SyncError::Refused(Refusal::TooOften { retry_after_secs: 90 });
        assert_eq!(rest.failed(&often), Duration::from_secs(90));
        for older in [
            SyncError::NotPortfolio { host: host(), status: 404 },
            SyncError::Refused(Refusal::Malformed { sentence: String::new() }),
        ] {
            assert_eq!(rest.failed(&older), OLDER);
        }
    }
}
