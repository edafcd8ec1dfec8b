//! When the gateway could not read meters or keep what it read, and why.
//!
//! ```text
//! last round        stopped, or nobody said so         first round
//! ────┼───────────────────── gateway_off ─────────────────┼────   the same boot, or it said goodbye
//! ────┼────────────────────── power_off ──────────────────┼────   another boot, and no goodbye
//!     10:00:00 ▸ 14:00:01  clock_wrong                            time that never was
//!     refused … kept        disk                                  rounds that found no room and are gone
//! ```
//!
//! It is written down when it is over, as a record; what is missing of a meter in that time has it as its
//! cause. **Never true:** a round that is stored waits for this.

use std::ops::Range;

use metering::Moment;
use rusqlite::{Connection, params};

use crate::engine::{Engine, cursor};
use crate::error::{Doing, StoreError};
use crate::missing::Missing;
use crate::query::Snapshot;

/// What the writer thread remembers of the rounds before.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The gateway has not read anything since then.
    off: Option<(i64, &'static str)>,
    last: Option<Moment>,
    /// The first round that was refused since one was stored.
    refused: Option<i64>,
}

const GATEWAY_OFF: &str = "gateway_off";
const POWER_OFF: &str = "power_off";
const CLOCK_WRONG: &str = "clock_wrong";
const DISK: &str = "disk";

/// A clock that is steered moves by less.
const LEAP_MS: i64 = 60_000;

/// Says goodbye: what follows is no power cut.
pub(crate) fn say_goodbye(core: &Connection, at_ms: i64) -> Result<(), StoreError> {
    let value = at_ms.max(0).cast_unsigned();
    crate::engine::set_cursor(core, "stopped", value)
}

impl Watch {
    /// Finds out why nothing was read since `alive_ms`, if anything was read before.
    pub(crate) fn begin(
        core: &Connection,
        now: Moment,
        alive_ms: Option<i64>,
    ) -> Result<Self, StoreError> {
        let boot = u64::try_from(now.boot_id & u128::from(u64::MAX >> 1)).unwrap_or_default();
        let boot_before = cursor(core, "boot")?;
        let stopped = cursor(core, "stopped")?.map(u64::cast_signed);
        core.execute("DELETE FROM cursor WHERE name = 'stopped'", []).doing("note the start")?;
        crate::engine::set_cursor(core, "boot", boot)?;
        let off = match (stopped, alive_ms) {
            (Some(stopped), _) => Some((stopped, GATEWAY_OFF)),
            (None, Some(alive)) if boot_before.is_some_and(|it| it != boot) => {
                Some((alive, POWER_OFF))
            }
            (None, alive) => alive.map(|alive| (alive, GATEWAY_OFF)),
        };
        Ok(Self { off, last: None, refused: None })
    }

    /// What is over with a round that was asked at `asked` and is stored, or is not.
    fn round(&mut self, asked: Moment, stored: bool) -> Vec<(Range<i64>, &'static str)> {
        let at = asked.wall_ms();
        if !stored {
            self.refused.get_or_insert(at);
            return Vec::new();
        }
        let mut over = Vec::new();
        over.extend(self.off.take().map(|(from, cause)| (from..at, cause)));
        over.extend(self.refused.take().map(|from| (from..at, DISK)));
        if let Some(last) = self.last.filter(|last| last.boot_id == asked.boot_id) {
            let real = asked.boottime.saturating_sub(last.boottime).as_millis();
            let real = i64::try_from(real).unwrap_or(i64::MAX);
            let due = last.wall_ms().saturating_add(real);
            if at.saturating_sub(due) > LEAP_MS {
                over.push((due..at, CLOCK_WRONG));
            }
        }
        if self.last.is_none_or(|last| last.boottime <= asked.boottime) {
            self.last = Some(asked);
        }
        over.retain(|(span, _)| span.start < span.end);
        over
    }
}

impl Engine {
    /// Writes down what is over with this round. A failure is logged: it costs a cause, and no reading.
    pub(crate) fn watch_round(&mut self, asked: Moment, stored: bool) {
        for (span, cause) in self.watch.round(asked, stored) {
            let written = self.core.execute(
                "INSERT INTO outage (from_ms, until_ms, cause) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms",
                params![span.start, span.end, cause],
            );
            match written {
                Ok(_) => tracing::info!(from_ms = span.start, until_ms = span.end, cause, "outage"),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an outage is not written down"
                ),
            }
        }
    }
}

impl Snapshot<'_> {
    /// The outages that reach into `span`, by time.
    pub(crate) fn outages(
        &self,
        span: &Range<i64>,
    ) -> Result<Vec<(Range<i64>, Missing)>, StoreError> {
        const DOING: &str = "read the outages";
        let core = self.desk.core()?;
        let sql = "SELECT * FROM outage WHERE from_ms < ?1 AND until_ms > ?2 ORDER BY from_ms";
        let mut statement = core.prepare_cached(sql).doing(DOING)?;
        let mut rows = statement.query([span.end, span.start]).doing(DOING)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().doing(DOING)? {
            let cause: String = row.get("cause").doing(DOING)?;
            let cause = match cause.as_str() {
                POWER_OFF => Missing::PowerOff,
                CLOCK_WRONG => Missing::ClockWrong,
                DISK => Missing::Disk,
                _ => Missing::GatewayOff,
            };
            found
                .push((row.get("from_ms").doing(DOING)?..row.get("until_ms").doing(DOING)?, cause));
        }
        Ok(found)
    }
}
