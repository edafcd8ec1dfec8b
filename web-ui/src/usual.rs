//! What a group of meters usually uses in each hour of such a day.
//!
//! It is asked of six weeks of hours, so it is kept for a quarter of an hour.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Timelike};
use chrono_tz::Tz;
use energy::{Day, HOURS};
use metering::{MeterId, Register, Resolution};
use store::{Snapshot, Step, StoreError};

use crate::figures::UsedBy;

/// What is usual for a day, by the meters that were added up.
#[derive(Debug, Default)]
pub(crate) struct UsualDays {
    kept: HashMap<Vec<MeterId>, Usual>,
}

/// For one group of meters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    date: NaiveDate,
    resolution: Resolution,
    asked: Duration,
    pub(crate) hours: [Option<i64>; HOURS],
}

impl UsualDays {
    pub(crate) fn get(
        &self,
        meters: &[MeterId],
        date: NaiveDate,
        resolution: Resolution,
        now: Duration,
    ) -> Option<[Option<i64>; HOURS]> {
        let kept = self.kept.get(meters)?;
        let young = now.saturating_sub(kept.asked) < Duration::from_mins(15);
        (kept.date == date && kept.resolution == resolution && young).then_some(kept.hours)
    }

    /// Keeps it. When there are too many the oldest is dropped.
    pub(crate) fn put(
        &mut self,
        meters: Vec<MeterId>,
        date: NaiveDate,
        resolution: Resolution,
        asked: Duration,
        hours: &[Option<i64>; HOURS],
    ) {
        if self.kept.len() >= 64 {
            let oldest = self.kept.iter().min_by_key(|(_, usual)| usual.asked);
            if let Some(oldest) = oldest.map(|(meters, _)| meters.clone()) {
                self.kept.remove(&oldest);
            }
        }
        self.kept.insert(meters, Usual { date, resolution, asked, hours: *hours });
    }
}

/// What `meters` used together in each local hour of the days of `span`. An hour that one of them
/// has not measured in full is unknown for all.
pub(crate) fn days(
    store: &Snapshot<'_>,
    meters: &[(MeterId, Register)],
    span: &Range<i64>,
    wanted: Resolution,
    zone: Tz,
) -> Result<Vec<Day>, StoreError> {
    let mut days: BTreeMap<NaiveDate, [Option<i64>; HOURS]> = BTreeMap::new();
    for (index, (meter, register)) in meters.iter().enumerate() {
        let used = UsedBy::ask(store, *meter, register, span.clone(), Step::Hour)?;
        let mut own: BTreeMap<NaiveDate, [Option<i64>; HOURS]> = BTreeMap::new();
        for start_ms in used.starts() {
            let (Some(amount), false) = used.at(start_ms, wanted) else {
                continue;
            };
            let Some(local) = DateTime::from_timestamp_millis(start_ms) else {
                continue;
            };
            let local = local.with_timezone(&zone);
            let hours = own.entry(local.date_naive()).or_default();
            let hour = usize::try_from(local.hour()).ok().and_then(|hour| hours.get_mut(hour));
            if let Some(hour) = hour {
                *hour = Some(hour.unwrap_or(0).saturating_add(amount));
            }
        }
        if index == 0 {
            days = own;
            continue;
        }
        for (date, hours) in &mut days {
            let own = own.get(date).copied().unwrap_or_default();
            for (hour, own) in hours.iter_mut().zip(own) {
                *hour = hour.zip(own).map(|(sum, own)| sum.saturating_add(own));
            }
        }
    }
    Ok(days.into_iter().map(|(date, hours)| Day { date, hours }).collect())
}
