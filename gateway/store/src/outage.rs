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
use std::time::Duration;

use chrono::DateTime;
use metering::{Moment, Trust};
use rusqlite::{Connection, params};

use crate::codec::Entry;
use crate::engine::{Engine, cursor, set_cursor};
use crate::error::{Doing, StoreError};
use crate::missing::Missing;
use crate::query::Snapshot;
use crate::waiting::Waiting;

/// What the writer thread remembers of the rounds before.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The gateway has not read anything since then.
    off: Option<(i64, &'static str)>,
    last: Option<Moment>,
    /// Why nothing was read after `last`: the gateway was started anew then.
    ended: Option<&'static str>,
    /// The first round that was refused since one was stored.
    refused: Option<i64>,
}

const GATEWAY_OFF: &str = "gateway_off";
const POWER_OFF: &str = "power_off";
const CLOCK_WRONG: &str = "clock_wrong";
const DISK: &str = "disk";

const OFF_FROM: &str = "off_from";
const OFF_POWER: &str = "off_power";
const STARTING: &str = "note the start";

/// A clock that is steered moves by less.
const LEAP_MS: i64 = 60_000;

/// Says goodbye: what follows is no power cut.
///
/// By a clock that nobody has set it is said at the last reading, at `alive_ms`.
pub(crate) fn say_goodbye(
    core: &Connection,
    now: Moment,
    alive_ms: Option<i64>,
) -> Result<(), StoreError> {
    let at_ms = match alive_ms {
        Some(alive) if now.trust == Trust::Untrusted => alive,
        _ => now.wall_ms(),
    };
    let value = at_ms.max(0).cast_unsigned();
    set_cursor(core, "stopped", value)
}

impl Watch {
    /// Finds out why nothing was read before this start, if anything was read before it.
    ///
    /// What was read last is what is `waiting` for its time, if anything is: it remembers why nothing came
    /// after it. Otherwise it is what was stored, at `alive_ms`.
    pub(crate) fn begin(
        core: &Connection,
        now: Moment,
        alive_ms: Option<i64>,
        waiting: &Waiting,
    ) -> Result<Self, StoreError> {
        let boot = u64::try_from(now.boot_id & u128::from(u64::MAX >> 1)).unwrap_or_default();
        let other_boot = cursor(core, "boot")?.is_some_and(|it| it != boot);
        let stopped = cursor(core, "stopped")?.map(u64::cast_signed);
        forget(core, "stopped")?;
        set_cursor(core, "boot", boot)?;
        let cause = if stopped.is_none() && other_boot { POWER_OFF } else { GATEWAY_OFF };
        if waiting.readings > 0 {
            core.execute(
                "UPDATE waiting SET ended = ?1 WHERE number = (SELECT MAX(number) FROM waiting)",
                [cause],
            )
            .doing(STARTING)?;
            // What was stored since then has ended it, and why it was is written down.
            let off =
                kept_off(core)?.filter(|(from, _)| alive_ms.is_none_or(|alive| alive <= *from));
            return Ok(Self { off, ..Self::default() });
        }
        let off = stopped.or(alive_ms).map(|from| (from, cause));
        keep_off(core, off)?;
        Ok(Self { off, ..Self::default() })
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
        let ended = self.ended.take().zip(self.last);
        over.extend(ended.map(|(cause, last)| (last.wall_ms()..at, cause)));
        // Of a boot before this one something waited for the time.
        let is_news =
            |last: Moment| last.boot_id != asked.boot_id || last.boottime <= asked.boottime;
        if self.last.is_none_or(is_news) {
            self.last = Some(asked);
        }
        over.retain(|(span, _)| span.start < span.end);
        over
    }
}

/// Since when nothing was read before what waits, and why: kept until there is nothing that waits.
fn keep_off(core: &Connection, off: Option<(i64, &'static str)>) -> Result<(), StoreError> {
    let Some((from, cause)) = off else {
        return [OFF_FROM, OFF_POWER].into_iter().try_for_each(|name| forget(core, name));
    };
    set_cursor(core, OFF_FROM, from.max(0).cast_unsigned())?;
    set_cursor(core, OFF_POWER, u64::from(cause == POWER_OFF))
}

fn kept_off(core: &Connection) -> Result<Option<(i64, &'static str)>, StoreError> {
    let Some(from) = cursor(core, OFF_FROM)? else { return Ok(None) };
    let cause = if cursor(core, OFF_POWER)? == Some(1) { POWER_OFF } else { GATEWAY_OFF };
    Ok(Some((from.cast_signed(), cause)))
}

fn forget(core: &Connection, name: &str) -> Result<(), StoreError> {
    core.execute("DELETE FROM cursor WHERE name = ?1", [name]).map(drop).doing(STARTING)
}

/// The cause that is written so, in a row that waits.
pub(crate) fn cause_of(written: Option<String>) -> Option<&'static str> {
    let written = written?;
    [GATEWAY_OFF, POWER_OFF].into_iter().find(|it| *it == written)
}

impl Engine {
    /// As [`watch_round`](Self::watch_round), of what waited for its time, and why nothing came after it.
    pub(crate) fn watch_stamped(
        &mut self,
        first: &Entry,
        boot_id: u128,
        ended: Option<&'static str>,
    ) {
        let boottime = Duration::from_millis(first.boottime_ms.max(0).unsigned_abs());
        let trust = first.trust.unwrap_or(Trust::Untrusted);
        if let Some(wall) = DateTime::from_timestamp_millis(first.at_ms) {
            self.watch_round(Moment { wall, boottime, boot_id, trust }, true);
            self.watch.ended = ended;
        }
    }

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
