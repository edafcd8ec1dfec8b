//! How the cloud did, from the probe's attempts.
//!
//! ```text
//! |◀─ an hour ─▶|◀────────── a day of UTC ──────────▶|◀ 4 min ▶|
//!   an outage     its spans, kept when it has ended    a recovery
//!   under way                                          confirmed
//! ```
//!
//! A month has 130 000 attempts, which take some 90 ms, and those of all days but the last say the
//! same at every look. So the spans of a finished day are kept, which are few, and its attempts are
//! read once an hour: a clock that was set back may have brought another attempt into it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use ledger::{Attempt, Settings, Span};
use metering::Moment;
use store::{AttemptRow, Core, StoreError};

/// The spans of days that have ended.
#[derive(Debug, Default)]
pub(crate) struct ProbedDays {
    /// By the day's number since 1970.
    kept: BTreeMap<i64, Vec<Span>>,
    /// When the first of them was kept, by the age of the boot.
    since: Duration,
    /// How the attempts spoke for time; `None` while none is kept.
    by: Option<Settings>,
}

impl ProbedDays {
    /// The code of every second of `time`, as spans in order, without a hole between them and no
    /// two neighbours of one code.
    pub(crate) async fn spans(
        &mut self,
        core: &Core,
        time: Range<i64>,
        now: &Moment,
        settings: Settings,
    ) -> Result<Vec<Span>, StoreError> {
        let old = now.boottime.saturating_sub(self.since) > KEPT_FOR;
        if old || self.kept.len() > MOST_DAYS || self.by != Some(settings) {
            self.kept.clear();
            self.by = Some(settings);
        }
        let mut spans: Vec<Span> = Vec::new();
        for number in time.start.div_euclid(DAY_S)..=(time.end - 1).div_euclid(DAY_S) {
            let day = number * DAY_S..(number + 1) * DAY_S;
            if !self.kept.contains_key(&number) {
                let found = day_of(core, &day, settings).await?;
                if day.end + SETTLED_S > now.wall.timestamp() {
                    join(&mut spans, &found, &time);
                    continue;
                }
                if self.kept.is_empty() {
                    self.since = now.boottime;
                }
                self.kept.insert(number, found);
            }
            join(&mut spans, self.kept.get(&number).map_or(&[], Vec::as_slice), &time);
        }
        Ok(spans)
    }
}

async fn day_of(
    core: &Core,
    day: &Range<i64>,
    settings: Settings,
) -> Result<Vec<Span>, StoreError> {
    let around = 1_000 * (day.start - BEFORE_S)..1_000 * (day.end + AFTER_S);
    let rows = core.attempts(around, MOST_ATTEMPTS).await?;
    let attempts: Vec<Attempt> =
        rows.iter().filter_map(|AttemptRow { body, .. }| Attempt::from_bytes(body)).collect();
    Ok(ledger::account(&attempts, day.clone(), settings))
}

/// Appends what of `more` lies in `time`; a span that goes on over midnight stays one.
fn join(spans: &mut Vec<Span>, more: &[Span], time: &Range<i64>) {
    for Span { from, until, code } in more.iter().copied() {
        let (from, until) = (from.max(time.start), until.min(time.end));
        if from >= until {
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.code == code && last.until == from => last.until = until,
            _ => spans.push(Span { from, until, code }),
        }
    }
}

const DAY_S: i64 = 86_400;

/// Within an hour a probe fails, succeeds twice or is silent for a while, and each of these tells
/// whether an outage is under way.
const BEFORE_S: i64 = 3_600;

/// Twice as long as an attempt speaks for, on a metered line.
const AFTER_S: i64 = 2 * Settings::METERED.cover;

/// Attempts of a day come in no later.
const SETTLED_S: i64 = 3_600;

/// Probes every 10 s, as during an outage, make 9 000 in such a day.
const MOST_ATTEMPTS: u32 = 20_000;

/// Two months and a little.
const MOST_DAYS: usize = 70;

const KEPT_FOR: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use ledger::{Failure, Outcome, References};
    use metering::Trust;
    use store::testing;

    use super::*;

    /// Midnight of UTC.
    const START: i64 = 20_000 * DAY_S;

    /// Attempts every 20 s for `days`, failing and missing in no order.
    fn attempts(days: i64) -> Vec<Attempt> {
        let mut number = 7_u32;
        let attempts = (START..START + days * DAY_S).step_by(20).filter_map(|at| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Around each midnight, and now and then.
            let troubled = (at + 1_200).rem_euclid(DAY_S) < 2_400 || at.rem_euclid(7_000) < 400;
            let outcome = match number >> 29 {
                0..=3 if troubled => Outcome::Failed(Failure::Status(503)),
                4 if troubled => return None,
                _ => Outcome::Success,
            };
            let references = References { asked: 3, answered: 3, link_down: false };
            Some(Attempt { at, outcome, references, clock_trusted: true, age: None })
        });
        attempts.collect()
    }

    fn at(second: i64) -> Moment {
        let wall = DateTime::from_timestamp(second, 0).unwrap();
        let boottime = Duration::from_secs(u64::try_from(second - START).unwrap());
        Moment { wall, boottime, boot_id: 1, trust: Trust::Synced }
    }

    async fn keep(core: &Core, attempts: &[Attempt]) {
        let rows = attempts
            .iter()
            .map(|attempt| AttemptRow { at_ms: 1_000 * attempt.at, body: attempt.to_bytes() });
        core.append_attempts(rows.collect()).await.unwrap();
    }

    #[tokio::test]
    async fn day_by_day_is_the_same_as_all_at_once() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        let attempts = attempts(5);
        keep(&core, &attempts).await;
        let mut probed = ProbedDays::default();
        for (from, until) in [(0, 5 * DAY_S), (100_000, 300_000), (DAY_S - 5, DAY_S + 5)] {
            let time = START + from..START + until;
            let expected = ledger::account(&attempts, time.clone(), Settings::WIRED);
            let now = at(START + 5 * DAY_S);
            let found = probed.spans(&core, time, &now, Settings::WIRED).await;
            assert_eq!(found.unwrap(), expected);
        }
        assert_eq!(probed.kept.len(), 4, "the last day may still get attempts");
    }

    #[tokio::test]
    async fn a_finished_day_is_read_once_an_hour() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        let noon = START + DAY_S / 2;
        let (early, late): (Vec<_>, Vec<_>) =
            attempts(1).into_iter().partition(|attempt| attempt.at < noon);
        keep(&core, &early).await;
        let mut probed = ProbedDays::default();
        let time = START..START + DAY_S;
        let mut asked = async |hours: i64| {
            let now = at(START + DAY_S + hours * 3_600);
            probed.spans(&core, time.clone(), &now, Settings::WIRED).await.unwrap()
        };
        let before = asked(1).await;
        keep(&core, &late).await;
        assert_eq!(asked(2).await, before);
        assert_ne!(asked(3).await, before);
    }

    #[tokio::test]
    async fn a_line_that_became_metered_is_counted_anew() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        // As a gateway on a mobile line asks, a little late each time.
        let attempts: Vec<_> =
            attempts(1).into_iter().filter(|it| (it.at - START) % 80 == 0).collect();
        keep(&core, &attempts).await;
        let mut probed = ProbedDays::default();
        let (time, now) = (START..START + DAY_S, at(START + 2 * DAY_S));
        for settings in [Settings::WIRED, Settings::METERED] {
            let expected = ledger::account(&attempts, time.clone(), settings);
            let found = probed.spans(&core, time.clone(), &now, settings).await.unwrap();
            assert_eq!(found, expected, "{settings:?}");
        }
    }
}
