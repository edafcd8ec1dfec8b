//! What a counter did that is no use: kept as a record with the old and the new figure.
//!
//! | It                                            | is told as |
//! |-----------------------------------------------|------------|
//! | falls from near the end of its digits to near 0 | `rollover` |
//! | falls otherwise                               | `reset`    |
//! | goes on in another device                     | `swap`     |
//! | goes on in another unit                       | `unit`     |
//!
//! It is written before the reading that shows it, so that none is without its record; the same again, when
//! the reading was not stored and comes once more, is the same record. Tallies count no fall as use, and no
//! use is counted from one device or unit to another: that needs nothing of this.

use std::ops::Range;
use std::sync::Arc;

use metering::{MeterId, Quantity, Register, SeriesId};
use rusqlite::params;

use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::query::Snapshot;
use crate::registry::{Kind, Registry, SeriesInfo};
use crate::state::State;

/// What happened to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakKind {
    /// It ran over its last digit.
    Rollover,
    /// It was set back.
    Reset,
    /// Another device took its place.
    Swap,
    /// It goes on in another unit.
    Unit,
}

impl BreakKind {
    /// As in the store and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollover => "rollover",
            Self::Reset => "reset",
            Self::Swap => "swap",
            Self::Unit => "unit",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        [Self::Rollover, Self::Reset, Self::Swap, Self::Unit]
            .into_iter()
            .find(|it| it.as_str() == code)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterBreak {
    /// When the new figure was read, in milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub kind: BreakKind,
    /// When the old figure was read.
    pub old_at_ms: i64,
    /// The last figure before it.
    pub old: Quantity,
    /// The serial number of the device that showed it; empty if it does not tell.
    pub old_serial: String,
    /// The first figure after it.
    pub new: Quantity,
    /// The serial number of the device that shows it.
    pub new_serial: String,
}

struct Found {
    kind: BreakKind,
    old: (SeriesId, i64, i64),
    new: (SeriesId, i64, i64),
}

impl Engine {
    /// Writes down what the readings of a round show to be no use. A failure is logged.
    pub(crate) fn keep_breaks(&mut self, entries: &[Entry]) {
        let state = self.state();
        for Found { kind, old, new } in entries.iter().filter_map(|entry| found(&state, entry)) {
            let (old_series, old_at, old) = old;
            let (new_series, new_at, new) = new;
            let written = self.core.execute(
                "INSERT INTO counter_break
                     (at_ms, kind, old_series, old_at_ms, old, new_series, new)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING",
                params![
                    new_at,
                    kind.as_str(),
                    old_series.get(),
                    old_at,
                    old,
                    new_series.get(),
                    new
                ],
            );
            if let Err(error) = written {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    kind = kind.as_str(),
                    "what a counter did is not written down"
                );
            }
        }
    }
}

fn found(state: &State, entry: &Entry) -> Option<Found> {
    let series = SeriesId::new(entry.series)?;
    let mantissa = entry.value.ok()?;
    let info = state.registry.get(series).filter(|info| info.kind == Kind::Counter)?;
    let value_of = |series| state.hot.progress.get(&series)?.value;
    let new = (series, entry.at_ms, mantissa);
    let last_answer = state.hot.answered.get(&info.meter);
    let goes_on = last_answer.is_some_and(|answered| answered.contains(&series));
    let before = if goes_on { info } else { newest(&state.registry, info, &value_of)? };
    let (_, old_at, stand) = value_of(before.series)?;
    let kind = if before.series != series {
        if before.serial != info.serial {
            BreakKind::Swap
        } else if before.resolution.unit() != info.resolution.unit() {
            BreakKind::Unit
        } else {
            return None;
        }
    } else if mantissa >= stand || entry.at_ms < old_at {
        return None;
    } else if ran_over(stand, mantissa) {
        BreakKind::Rollover
    } else {
        BreakKind::Reset
    };
    Some(Found { kind, old: (before.series, old_at, stand), new })
}

/// The series of a point that had its newest value.
fn newest<'r>(
    registry: &'r Registry,
    info: &SeriesInfo,
    value_of: &impl Fn(SeriesId) -> Option<(u64, i64, i64)>,
) -> Option<&'r Arc<SeriesInfo>> {
    registry
        .of_point(info.meter, &info.register)
        .filter_map(|it| value_of(it.series).map(|(seq, _, _)| (seq, it)))
        .max_by_key(|(seq, _)| *seq)
        .map(|(_, it)| it)
}

/// From the last tenth of so many digits, four at least, into the first tenth.
const fn ran_over(stand: i64, new: i64) -> bool {
    let mut end: i64 = 10_000;
    while end <= stand {
        match end.checked_mul(10) {
            Some(next) => end = next,
            None => return false,
        }
    }
    stand >= end / 10 * 9 && 0 <= new && new < end / 10
}

impl Snapshot<'_> {
    /// What `register` of `meter` did in `span` that is no use, by time.
    pub fn counter_breaks(
        &self,
        meter: MeterId,
        register: &Register,
        span: &Range<i64>,
    ) -> Result<Vec<CounterBreak>, StoreError> {
        const DOING: &str = "read what counters did";
        let core = self.desk.core()?;
        let sql =
            "SELECT * FROM counter_break WHERE old_series = ?1 AND at_ms >= ?2 AND at_ms < ?3";
        let mut statement = core.prepare_cached(sql).doing(DOING)?;
        let mut found = Vec::new();
        for old in self.state.registry.of_point(meter, register) {
            let mut rows =
                statement.query(params![old.series.get(), span.start, span.end]).doing(DOING)?;
            while let Some(row) = rows.next().doing(DOING)? {
                let kind: String = row.get("kind").doing(DOING)?;
                let new = self.state.registry.numbered(row.get("new_series").doing(DOING)?);
                let (Some(kind), Some(new)) = (BreakKind::from_code(&kind), new) else { continue };
                found.push(CounterBreak {
                    at_ms: row.get("at_ms").doing(DOING)?,
                    kind,
                    old_at_ms: row.get("old_at_ms").doing(DOING)?,
                    old: Quantity::new(row.get("old").doing(DOING)?, old.resolution),
                    old_serial: old.serial.clone(),
                    new: Quantity::new(row.get("new").doing(DOING)?, new.resolution),
                    new_serial: new.serial.clone(),
                });
            }
        }
        found.sort_by_key(|it| it.at_ms);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::ran_over;

    #[test]
    fn a_counter_runs_over_at_the_end_of_its_digits() {
        for (stand, new) in [(9_999, 0), (99_950, 12), (99_999_999, 3), (9_000, 999)] {
            assert!(ran_over(stand, new), "{stand} {new}");
        }
        for (stand, new) in [(999, 0), (50_000, 0), (99_999, 50_000), (99_999, -1), (i64::MAX, 0)] {
            assert!(!ran_over(stand, new), "{stand} {new}");
        }
    }
}
