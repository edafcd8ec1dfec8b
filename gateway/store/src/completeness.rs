//! Which answers were expected, by the schedule in force at that time, and which came.
//!
//! What is counted is a meter's answers, not its readings: a meter with forty registers is not more
//! missing than one with two. A poll is expected where the schedule of that time puts it, aligned to
//! the site's clock; one that nobody had planned yet, or no longer, is not missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use metering::MeterId;
use rusqlite::{Connection, params};

use crate::civil::{Civil, Step};
use crate::error::{Doing, StoreError};
use crate::query::Snapshot;
use crate::registry::uuid;

/// How complete the answers of one meter are in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// Which meter.
    pub meter: MeterId,
    /// The period's first millisecond.
    pub start_ms: i64,
    /// The one after its last.
    pub end_ms: i64,
    /// The answers that the schedule expected, up to the end of the span that was asked for.
    pub expected: u32,
    /// Those that came, from memory too.
    pub got: u32,
    /// Of those, the ones that the meter remembered and told later.
    pub from_memory: u32,
}

/// What is expected of each meter, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedules {
    /// From that instant, every so many seconds; 0 is never. By time.
    by_meter: HashMap<MeterId, Vec<(i64, u32)>>,
}

impl Schedules {
    pub(crate) fn read(db: &Connection) -> Result<Self, StoreError> {
        const DOING: &str = "read the schedules";
        let mut statement = db.prepare("SELECT * FROM schedule ORDER BY from_ms").doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        let mut schedules = Self::default();
        while let Some(row) = rows.next().doing(DOING)? {
            let meter = match uuid(row, "meter") {
                Ok(meter) => MeterId::from_uuid(meter),
                // What was expected of whom nobody knows is no reason not to start.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "schedule left out");
                    continue;
                }
            };
            let from_ms = row.get("from_ms").doing(DOING)?;
            schedules.set(meter, from_ms, row.get("every_secs").doing(DOING)?);
        }
        Ok(schedules)
    }

    /// What `list` changes, if it is in force from `from_ms` on: a meter that is not in it is
    /// no longer expected.
    pub(crate) fn changes(&self, from_ms: i64, list: &[(MeterId, u32)]) -> Vec<(MeterId, u32)> {
        let wanted: HashMap<_, _> = list.iter().copied().collect();
        let meters: BTreeSet<_> = self.by_meter.keys().chain(wanted.keys()).copied().collect();
        meters
            .into_iter()
            .map(|meter| (meter, wanted.get(&meter).copied().unwrap_or(0)))
            .filter(|(meter, every_secs)| self.in_force(*meter, from_ms) != *every_secs)
            .collect()
    }

    pub(crate) fn set(&mut self, meter: MeterId, from_ms: i64, every_secs: u32) {
        let list = self.by_meter.entry(meter).or_default();
        match list.binary_search_by_key(&from_ms, |(from_ms, _)| *from_ms) {
            Ok(at) => list.splice(at..=at, [(from_ms, every_secs)]).for_each(drop),
            Err(at) => list.insert(at, (from_ms, every_secs)),
        }
    }

    fn in_force(&self, meter: MeterId, at_ms: i64) -> u32 {
        let list = self.by_meter.get(&meter).map_or(&[][..], Vec::as_slice);
        list.iter().take_while(|(from_ms, _)| *from_ms <= at_ms).last().map_or(0, |(_, it)| *it)
    }

    /// How many answers of a meter were expected in `span`.
    pub(crate) fn expected(&self, civil: Civil, meter: MeterId, span: &Range<i64>) -> u32 {
        let Some(list) = self.by_meter.get(&meter) else { return 0 };
        let ends = list.iter().skip(1).map(|(from_ms, _)| *from_ms).chain([i64::MAX]);
        list.iter()
            .zip(ends)
            .map(|((from_ms, every_secs), end)| {
                civil.polls(*every_secs, &(span.start.max(*from_ms)..span.end.min(end)))
            })
            .fold(0, u32::saturating_add)
    }

    /// Whether the schedule of a meter changed in `span`.
    pub(crate) fn changes_in(&self, meter: MeterId, span: &Range<i64>) -> bool {
        let list = self.by_meter.get(&meter).map_or(&[][..], Vec::as_slice);
        list.iter().any(|(from_ms, _)| span.contains(from_ms))
    }

    pub(crate) fn meters(&self) -> impl Iterator<Item = MeterId> {
        self.by_meter.keys().copied()
    }
}

/// Writes changes of the schedule.
pub(crate) fn write_schedule(
    db: &mut Connection,
    from_ms: i64,
    changes: &[(MeterId, u32)],
) -> Result<(), StoreError> {
    const DOING: &str = "write the schedule";
    let transaction = db.transaction().doing(DOING)?;
    for (meter, every_secs) in changes {
        transaction
            .execute(
                "INSERT OR REPLACE INTO schedule (from_ms, meter, every_secs) VALUES (?1, ?2, ?3)",
                params![from_ms, meter.uuid().as_bytes(), every_secs],
            )
            .doing(DOING)?;
    }
    transaction.commit().doing(DOING)
}

impl Snapshot<'_> {
    /// How complete each meter is in each period that begins in `span`, by meter and time.
    ///
    /// Of the period that holds the end of the span only the part before it counts, so a span that
    /// ends now expects nothing of the future.
    pub fn completeness(
        &self,
        span: Range<i64>,
        step: Step,
    ) -> Result<Vec<Completeness>, StoreError> {
        let civil = self.civil();
        let periods = civil.periods(step, &span);
        let Some(all) = periods.first().zip(periods.last()).map(|(a, z)| a.start..z.end) else {
            return Ok(Vec::new());
        };
        let schedules = &self.state.schedules;
        let meters: BTreeSet<MeterId> =
            schedules.meters().chain(self.state.registry.meters()).collect();
        let mut found = Vec::new();
        for meter in meters {
            let answers = self.answers(meter, &all)?;
            for period in &periods {
                let counted = period.start..period.end.min(span.end);
                let expected = schedules.expected(civil, meter, &counted);
                let came = answers.range(counted);
                let (got, from_memory) = came.fold((0_u32, 0_u32), |(got, memory), (_, it)| {
                    let answered = it.answered.saturating_add(it.remembered);
                    (got.saturating_add(answered), memory.saturating_add(it.remembered))
                });
                if expected > 0 || got > 0 {
                    found.push(Completeness {
                        meter,
                        start_ms: period.start,
                        end_ms: period.end,
                        expected,
                        got,
                        from_memory,
                    });
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn answers(
        &self,
        meter: MeterId,
        span: &Range<i64>,
    ) -> Result<BTreeMap<i64, crate::rollup::Answers>, StoreError> {
        self.tallied()?.answers(meter, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn what_was_expected_follows_the_schedule_of_its_time() {
        let meter = MeterId::from_uuid(::uuid::Uuid::from_u128(1));
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        let mut schedules = Schedules::default();
        schedules.set(meter, HOUR, 900);
        schedules.set(meter, 2 * HOUR, 60);
        schedules.set(meter, 3 * HOUR, 0);
        let expected = |from, until| schedules.expected(civil, meter, &(from..until));
        assert_eq!(expected(0, HOUR), 0, "nobody had planned it yet");
        assert_eq!(expected(0, 2 * HOUR), 4);
        assert_eq!(expected(0, 24 * HOUR), 64);
        assert_eq!(expected(2 * HOUR + 1, 2 * HOUR + 60_001), 1);
    }

    #[test]
    fn only_what_changes_is_a_change() {
        let meter = |number| MeterId::from_uuid(::uuid::Uuid::from_u128(number));
        let mut schedules = Schedules::default();
        schedules.set(meter(1), 10, 900);
        schedules.set(meter(2), 10, 900);
        assert_eq!(schedules.changes(20, &[(meter(1), 900), (meter(2), 900)]), []);
        assert_eq!(
            schedules.changes(20, &[(meter(1), 60), (meter(3), 60)]),
            [(meter(1), 60), (meter(2), 0), (meter(3), 60)]
        );
    }
}
