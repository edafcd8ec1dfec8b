//! What is thrown away when: whole months, oldest first, and never before the cloud has had them for
//! thirty days.
//!
//! | The disk is    | A month goes when                                                  |
//! |----------------|--------------------------------------------------------------------|
//! | up to 85 % full | it is older than `keep_days` and the cloud has it, for 30 days     |
//! | over 85 %      | the cloud has it, for 30 days                                       |
//! | over 90 %      | it is the oldest; what the cloud did not have is told to it as lost |
//!
//! Without a cloud nobody has anything, and the first and last lines hold by age alone. The newest
//! file always stays, and so do the configuration and the ledger.
//!
//! Sums outlive the readings. Those of quarter hours, hours, days and months each go when they are as old as
//! [`Retention`] says, and never before the readings that they are of: so never before the cloud has had those.
//! Quarter hours that go leave their hours, and days their months. Telegrams have a time and a room of their own
//! (`telegrams.rs`), and go before readings do when the disk fills.

use std::sync::Arc;

use metering::Trust;
use rusqlite::{OptionalExtension, params};

use crate::chunk;
use crate::engine::Engine;
use crate::error::{Doing, StoreError, percent_used};
use crate::files::{self, Month};
use crate::repair::Damage;
use crate::spool::{self, Held};
use crate::tallied::{self, Kept};

/// What is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days for which every reading is kept; 400 unless the site wants otherwise.
    pub keep_days: u16,
    /// Whether there is a cloud that should have the readings first.
    pub cloud: bool,
    /// Days for which sums of quarter hours are kept; `None` is for ever.
    pub quarter_hours_days: Option<u16>,
    /// Of hours; less than of quarter hours means nothing.
    pub hours_days: Option<u16>,
    /// Of days.
    pub days_days: Option<u16>,
    /// Of months; less than of days means nothing.
    pub months_days: Option<u16>,
}

/// What was thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The files' names.
    pub files: Vec<String>,
    /// How many readings went that the cloud never had.
    pub lost: u64,
}

const DAY_MS: i64 = 86_400_000;
const KEPT_AFTER_ACK_MS: i64 = 30 * DAY_MS;
pub(crate) const HIGH_WATER_PERCENT: u64 = 85;
const LAST_RESORT_PERCENT: u64 = 90;

impl Engine {
    /// Deletes the months that may go.
    pub(crate) fn prune(&mut self, retention: Retention) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        // By a clock that nobody has set nothing is old.
        let moment = self.clock.now();
        let now = if moment.trust == Trust::Untrusted { i64::MIN } else { moment.wall_ms() };
        let had = self.had_for_30_days(now)?;
        let fills = self.percent_used() >= HIGH_WATER_PERCENT;
        pruned.files.extend(self.prune_telegrams(now, fills)?);
        let pruned = self.prune_readings(retention, now, had, pruned)?;
        self.prune_sums(retention, now)?;
        Ok(pruned)
    }

    fn prune_readings(
        &mut self,
        retention: Retention,
        now: i64,
        had: u64,
        mut pruned: Pruned,
    ) -> Result<Pruned, StoreError> {
        loop {
            let state = self.state();
            let Some((oldest, _)) = state.files.split_first().filter(|(_, rest)| !rest.is_empty())
            else {
                return Ok(pruned);
            };
            let full = self.percent_used();
            if !may_go(oldest, retention, now, had, full) {
                return Ok(pruned);
            }
            // The roll-ups outlive it.
            self.write_tallies()?;
            let lost = self.delete(oldest, retention.cloud.then_some(state.acked), now)?;
            pruned.lost += lost;
            pruned.files.push(oldest.path.file_name().unwrap_or_default().to_string_lossy().into());
        }
    }

    /// How full the disk is.
    pub(crate) fn percent_used(&self) -> u64 {
        self.pretended_full.or_else(|| percent_used(&self.dir)).unwrap_or(0)
    }

    /// Sums go when they are old, and no readings are there that they are of.
    fn prune_sums(&mut self, retention: Retention, now: i64) -> Result<(), StoreError> {
        let times = self.state().files.iter().filter_map(|held| held.times).min();
        let oldest = times.map_or(now, |(first, _)| first);
        let before =
            |days: u16| now.saturating_sub(i64::from(days).saturating_mul(DAY_MS)).min(oldest);
        let Retention { quarter_hours_days, hours_days, days_days, months_days, .. } = retention;
        let terms = [
            (Kept::Quarters, quarter_hours_days, hours_days),
            (Kept::Days, days_days, months_days),
        ];
        for (kept, fine, coarse) in terms {
            if let Some(days) = coarse {
                tallied::forget(&mut self.rollup, kept, before(days.max(fine.unwrap_or(days))))?;
            }
            if let Some(days) = fine {
                tallied::coarsen(&mut self.rollup, kept, before(days), self.shared.civil)?;
            }
        }
        Ok(())
    }

    /// The newest number that the cloud has had for thirty days.
    fn had_for_30_days(&self, now: i64) -> Result<u64, StoreError> {
        self.core
            .query_row(
                "SELECT MAX(seq) FROM acknowledged WHERE day_ms <= ?1",
                params![now.saturating_sub(KEPT_AFTER_ACK_MS)],
                |row| row.get::<_, Option<u64>>(0),
            )
            .optional()
            .map(|seq| seq.flatten().unwrap_or(0))
            .doing("read what the cloud has")
    }

    fn delete(&mut self, held: &Held, acked: Option<u64>, now: i64) -> Result<u64, StoreError> {
        self.raws.remove(&held.month);
        let ranges = match acked.map(|acked| unsent(held, acked)) {
            None => Vec::new(),
            Some(Ok(ranges)) => ranges,
            // It goes all the same, and with it at most what it was said to hold.
            Some(Err(error)) if error.is_damage() => {
                let next = acked.unwrap_or(0) + 1;
                let held = held.seqs.filter(|(_, last)| *last >= next);
                held.map(|(first, last)| (first.max(next), last)).into_iter().collect()
            }
            Some(Err(error)) => return Err(error),
        };
        let lost = ranges.iter().map(|(from, to)| to - from + 1).sum();
        // Told before it is done: a range that is told and still there does no harm.
        let transaction = self.core.transaction().doing("write down a loss")?;
        for (from, to) in ranges {
            transaction
                .execute(
                    "INSERT INTO lost (from_seq, to_seq, reason, at_ms)
                     VALUES (?1, ?2, 'retention', ?3) ON CONFLICT DO NOTHING",
                    params![from, to, now],
                )
                .doing("write down a loss")?;
        }
        // What goes by its age is not asked for again.
        let end_ms = held.month.end_ms();
        transaction
            .execute("DELETE FROM wanted WHERE until_ms <= ?1", [end_ms])
            .doing("write down a loss")?;
        transaction.commit().doing("write down a loss")?;
        self.wanted.retain(|wanted| !wanted.ends_by(end_ms));
        files::remove(&held.path)?;
        self.shared.change(|state| {
            Arc::make_mut(&mut state.files).retain(|other| other.month != held.month);
            state.generation += 1;
        });
        Ok(lost)
    }

    /// Reads the next month's file through, and after the last one the roll-ups.
    pub(crate) fn scrub(&mut self) -> Result<Vec<Damage>, StoreError> {
        let state = self.state();
        let months = state.files.iter().map(|held| held.month);
        let next = months.clone().find(|month| Some(*month) > self.scrubbed);
        let Some(month) = next.or_else(|| months.min()) else { return Ok(Vec::new()) };
        let mut damages = Vec::new();
        if next.is_none() {
            match files::check_structure(&self.rollup, &files::rollup_path(&self.dir))
                .and_then(|()| tallied::check(&self.rollup))
            {
                Err(error) if error.is_damage() => damages.push(self.repair_rollup(&error)?),
                other => other?,
            }
        }
        if next.is_none() {
            damages.extend(self.scrub_telegrams()?);
        }
        self.scrubbed = Some(month);
        let path = month.path(&self.dir);
        let checked = self.raw(month).and_then(|raw| {
            files::check_structure(&raw.db, &path)?;
            spool::check(&raw.db, &path)
        });
        match checked.and_then(|()| self.scrub_blocks(month)) {
            Err(error) if error.is_damage() => damages.push(self.repair_raw(month)?),
            other => damages.extend(other?),
        }
        Ok(damages)
    }
}

/// The numbers in a month's file that the cloud has not confirmed.
fn unsent(held: &Held, acked: u64) -> Result<Vec<(u64, u64)>, StoreError> {
    let db = files::open_to_read(&held.path)?;
    chunk::ranges(&db, &held.path, acked + 1)
}

/// Whether a month may go; `had` is what the cloud has had for thirty days, `full` the disk's percent.
fn may_go(held: &Held, retention: Retention, now: i64, had: u64, full: u64) -> bool {
    let age_ms = now.saturating_sub(Month::end_ms(held.month));
    let old = age_ms >= i64::from(retention.keep_days) * DAY_MS;
    let had = !retention.cloud || held.seqs.is_none_or(|(_, last)| last <= had);
    match full {
        LAST_RESORT_PERCENT.. => true,
        HIGH_WATER_PERCENT.. => had && (retention.cloud || old),
        _ => had && old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days_old: i64, last: u64, cloud: bool, full: u64, goes: bool) {
        let month: Month = "raw-2026-01.db".parse().unwrap();
        let held =
            Held { path: "raw-2026-01.db".into(), month, seqs: Some((1, last)), times: None };
        let now = month.end_ms() + days_old * DAY_MS;
        let retention = Retention { keep_days: 400, cloud, ..Retention::default() };
        assert_eq!(may_go(&held, retention, now, 1000, full), goes);
    }

    #[test]
    fn a_month_goes_when_it_is_old_and_the_cloud_has_it() {
        check(400, 1000, true, 10, true);
        check(399, 1000, true, 10, false);
        check(400, 1001, true, 10, false);
        check(400, 1001, false, 10, true);
    }

    #[test]
    fn a_filling_disk_costs_months_that_the_cloud_has() {
        check(31, 1000, true, 84, false);
        check(31, 1000, true, 85, true);
        check(31, 1001, true, 85, false);
        check(31, 1001, false, 85, false);
    }

    #[test]
    fn a_full_disk_costs_the_oldest_month() {
        check(31, 1001, true, 90, true);
        check(31, 1001, false, 90, true);
    }

    #[tokio::test]
    async fn a_damaged_month_goes_all_the_same() {
        let day = crate::testing::known_day().await.unwrap();
        let path = day.dir.path().join("raw-2026-03.db");
        let harmed = path.clone();
        let writer = day.store.writer();
        let lost = writer.queue.ask(move |engine| {
            engine.raws.clear();
            std::fs::write(&harmed, vec![0x55; 20_000]).unwrap();
            let held = engine.state().files[0].clone();
            engine.delete(&held, Some(9), 0)
        });
        assert_eq!(lost.await.unwrap(), 270);
        assert!(!path.exists());
    }
}
