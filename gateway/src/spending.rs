//! What the portfolio costs by the byte: counted by the calendar month of the building, kept over
//! restarts, and held to the budget of `site.toml`.
//!
//! ```text
//!  traffic of the sync ──┬─▶ month, kept ──▶ board
//!  traffic of the probe ─┘       └────────▶ budget ──▶ uploader
//! ```
//!
//! A restart forgets at most what went over the line since the last keeping, ten minutes before.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeZone as _};
use chrono_tz::Tz;
use cloud_sync::{Budget, Traffic};
use metering::Clock;
use store::Core;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};
use web_ui::{MonthTraffic, Site};

use crate::config::Cloud;
use crate::restart::Task;

/// What went over the line since the start, each with a counter of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sync: Arc<Traffic>,
    pub(crate) probe: Arc<Traffic>,
}

/// Counts by the month, and makes the budget of it.
#[derive(Debug)]
pub(crate) struct Spending {
    pub(crate) core: Core,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) wanted: watch::Receiver<Option<Cloud>>,
    pub(crate) budget: watch::Sender<Option<Budget>>,
    pub(crate) told: watch::Sender<Option<MonthTraffic>>,
}

impl Task for Spending {
    fn name(&self) -> String {
        "spending of the sync".to_owned()
    }

    async fn live(&mut self) {
        let kept = match self.core.setting(SETTING).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the month's traffic is not known");
                None
            }
        };
        let mut spent = kept.as_deref().and_then(Spent::read).unwrap_or_default();
        spent.counted = self.now();
        let mut written = spent.clone();
        let mut every = time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for minute in 0_u64.. {
            tokio::select! {
                _ = every.tick() => {}
                changed = self.wanted.changed() => if changed.is_err() { return },
            }
            // A clock that shows a time before this program was made has no month.
            let now_ms = self.clock.now().wall_ms();
            let zone = self.site.borrow().time_zone;
            let month = Month::of(now_ms, zone).filter(|_| now_ms > MADE_MS);
            let Some(month) = month else { continue };
            spent.count(&month, self.now());
            self.tell(&month, &spent, now_ms);
            if minute % KEPT_EVERY == KEPT_EVERY - 1 && spent != written {
                if let Err(error) = self.core.put_setting(SETTING, spent.text()).await {
                    tracing::error!(
                        error = crate::chain(&error),
                        "the month's traffic is not kept"
                    );
                }
                written = spent.clone();
            }
        }
    }
}

impl Spending {
    fn now(&self) -> (u64, u64) {
        (self.counters.sync.bytes(), self.counters.probe.bytes())
    }

    fn tell(&self, month: &Month, spent: &Spent, now_ms: i64) {
        let megabytes = self.wanted.borrow().as_ref().and_then(|cloud| cloud.data_mb_a_month);
        let bytes = megabytes.map(|megabytes| 1_000_000 * u64::from(megabytes));
        self.budget.send_replace(bytes.map(|bytes| Budget {
            from_ms: month.from_ms,
            until_ms: month.until_ms,
            bytes,
            set_aside: month.whole(spent.probe, now_ms),
            spent: spent.sync,
            counted_from: spent.counted.0,
        }));
        let traffic =
            MonthTraffic { sync_bytes: spent.sync, probe_bytes: spent.probe, budget_bytes: bytes };
        self.told.send_if_modified(|told| {
            let changed = *told != Some(traffic);
            *told = Some(traffic);
            changed
        });
    }
}

/// A month of the building.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Month {
    /// `2026-11`
    name: String,
    from_ms: i64,
    until_ms: i64,
}

impl Month {
    fn of(now_ms: i64, zone: Tz) -> Option<Self> {
        let now = DateTime::from_timestamp_millis(now_ms)?.with_timezone(&zone);
        let (year, month) = (now.year(), now.month());
        let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let begin = |(year, month)| {
            Some(zone.with_ymd_and_hms(year, month, 1, 0, 0, 0).earliest()?.timestamp_millis())
        };
        Some(Self {
            name: format!("{year}-{month:02}"),
            from_ms: begin((year, month))?,
            until_ms: begin(next)?,
        })
    }

    /// What something that has cost `spent` until now will have cost at the end.
    fn whole(&self, spent: u64, now_ms: i64) -> u64 {
        let passed = now_ms.saturating_sub(self.from_ms).max(SURE_AFTER_MS);
        let lasts = self.until_ms.saturating_sub(self.from_ms).max(passed);
        let whole = i128::from(spent) * i128::from(lasts) / i128::from(passed);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

/// What went over the line in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spent {
    /// [`Month::name`]
    month: String,
    sync: u64,
    probe: u64,
    /// Where the two counters were when it was that much.
    counted: (u64, u64),
}

impl Spent {
    /// Takes what the counters have counted since the last time; in another month it begins anew.
    fn count(&mut self, month: &Month, now: (u64, u64)) {
        if self.month != month.name {
            self.month.clone_from(&month.name);
            (self.sync, self.probe) = (0, 0);
        }
        self.sync += now.0.saturating_sub(self.counted.0);
        self.probe += now.1.saturating_sub(self.counted.1);
        self.counted = now;
    }

    /// `2026-11 1234567 89012`
    fn text(&self) -> String {
        format!("{} {} {}", self.month, self.sync, self.probe)
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            month: words.next()?.to_owned(),
            sync: words.next()?.parse().ok()?,
            probe: words.next()?.parse().ok()?,
            counted: (0, 0),
        })
    }
}

const SETTING: &str = "cloud_traffic";

/// 2026-01-01T00:00:00Z
const MADE_MS: i64 = 1_767_225_600_000;

const EVERY: Duration = Duration::from_mins(1);

/// A setting is written that often, in minutes: flash does not last for ever.
const KEPT_EVERY: u64 = 10;

/// Before this much of a month nobody can tell what the whole will come to.
const SURE_AFTER_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const OSLO: Tz = chrono_tz::Europe::Oslo;

    /// 2026-11-22T12:00:00Z
    const NOVEMBER_MS: i64 = 1_795_348_800_000;

    #[test]
    fn a_month_is_that_of_the_building() {
        let november = Month::of(NOVEMBER_MS, OSLO).unwrap();
        assert_eq!(november.name, "2026-11");
        let last_second_ms = november.until_ms - 1_000;
        assert_eq!(Month::of(last_second_ms, OSLO).unwrap(), november);
        let december = Month::of(november.until_ms, OSLO).unwrap();
        assert_eq!((december.name.as_str(), december.from_ms), ("2026-12", november.until_ms));
        assert_eq!(Month::of(december.until_ms, OSLO).unwrap().name, "2027-01");
        let hours = |month: &Month| (month.until_ms - month.from_ms) / 3_600_000;
        assert_eq!(hours(&november), 30 * 24);
        let march = Month::of(NOVEMBER_MS + 120 * 24 * 3_600_000, OSLO).unwrap();
        assert_eq!((march.name.as_str(), hours(&march)), ("2027-03", 31 * 24 - 1));
    }

    #[test]
    fn a_restart_goes_on_with_the_month_and_a_month_begins_with_nothing() {
        let november = Month::of(NOVEMBER_MS, OSLO).unwrap();
        let mut spent = Spent::default();
        spent.count(&november, (700, 20));
        spent.count(&november, (1_000, 50));
        assert_eq!((spent.sync, spent.probe), (1_000, 50));

        let mut again = Spent::read(&spent.text()).unwrap();
        again.count(&november, (5, 1));
        assert_eq!(again.text(), "2026-11 1005 51");
        let december = Month::of(november.until_ms, OSLO).unwrap();
        again.count(&december, (12, 2));
        assert_eq!(again.text(), "2026-12 7 1");
        for damaged in ["", "2026-11", "2026-11 x 1", "2026-11 1"] {
            assert_eq!(Spent::read(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn what_the_probes_need_until_the_end_is_set_aside() {
        let month = Month { name: String::new(), from_ms: 0, until_ms: 720 * 3_600_000 };
        assert_eq!(month.whole(1_000, 360 * 3_600_000), 2_000);
        assert_eq!(month.whole(1_000, 720 * 3_600_000), 1_000);
        assert_eq!(month.whole(1_000, 0), 720_000, "an hour at least");
    }
}
