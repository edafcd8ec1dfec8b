//! What was expected of each meter, what came, and why the rest did not: which of it the portfolio lacks.
//!
//! ```text
//!  every hour, or six on a SIM   yesterday and today ─┐
//!  every day, and at first       35 days ─────────────┴─▶ those that differ from what was told last
//! ```
//!
//! A day's account may change for a month: meters tell at a month's end what they remember. What is told
//! is nothing that readings depend on, so nothing waits for it, and what does not get through is told the
//! next time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use metering::{MeterId, Moment, Trust};
use store::{Account, Snapshot, Step, StoreError};
use sync_wire::{AccountDay, limits};
use tokio::time::Instant;

/// What was told over a connection.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// When it was last looked at.
    looked: Option<Instant>,
    /// When all of it was.
    looked_at_all: Option<Instant>,
    /// Of each day that was told, a hash: 35 days of 500 meters take half a megabyte.
    days: HashMap<(MeterId, i64), u64>,
}

/// How far back a day's account may change: a month, and some days for whoever reads monthly.
const BACK_MS: i64 = 35 * DAY_MS;

const DAY_MS: i64 = 86_400_000;

impl Told {
    /// From when on it is time to look, if it is.
    ///
    /// A clock that nobody has set knows no days.
    pub(crate) fn look(&mut self, now: Moment, every: Option<Duration>) -> Option<i64> {
        let pause = every?;
        let long = |since: Option<Instant>, pause| since.is_none_or(|at| at.elapsed() >= pause);
        if now.trust == Trust::Untrusted || !long(self.looked, pause) {
            return None;
        }
        self.looked = Some(Instant::now());
        if long(self.looked_at_all, Duration::from_hours(24)) {
            self.looked_at_all = self.looked;
            return Some(now.wall_ms().saturating_sub(BACK_MS));
        }
        Some(now.wall_ms().saturating_sub(DAY_MS))
    }

    /// Those of `days` that were not told like this, in as many messages as it takes.
    pub(crate) fn news(&self, mut days: Vec<AccountDay>) -> Vec<Vec<AccountDay>> {
        days.retain(|day| self.days.get(&key(day)) != Some(&hash(day)));
        days.chunks(limits::ACCOUNTS).map(<[AccountDay]>::to_vec).collect()
    }

    /// These went through.
    pub(crate) fn told(&mut self, days: &[AccountDay]) {
        let oldest = days.iter().map(|day| day.start_ms).max().unwrap_or_default() - 2 * BACK_MS;
        self.days.retain(|(_, start_ms), _| *start_ms > oldest);
        self.days.extend(days.iter().map(|day| (key(day), hash(day))));
    }

    /// The portfolio has forgotten something: it is told anew.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

fn key(day: &AccountDay) -> (MeterId, i64) {
    (day.meter, day.start_ms)
}

fn hash(day: &AccountDay) -> u64 {
    let mut hasher = DefaultHasher::new();
    day.hash(&mut hasher);
    hasher.finish()
}

/// The accounts of the days from the one that holds `from_ms` on. A quarter hour that has not ended is not
/// in them.
pub(crate) fn since(
    store: &Snapshot<'_>,
    from_ms: i64,
    now_ms: i64,
) -> Result<Vec<AccountDay>, StoreError> {
    let civil = store.civil();
    let first = civil.period(Step::Day, from_ms).start;
    let ended = civil.period(Step::Quarter, now_ms).start;
    Ok(store.accounts(first..ended, Step::Day)?.iter().map(day).collect())
}

fn day(account: &Account) -> AccountDay {
    let missing = account.missing.iter();
    AccountDay {
        meter: account.meter,
        start_ms: account.start_ms,
        end_ms: account.end_ms,
        expected: account.expected,
        received: account.received,
        late: account.late,
        from_memory: account.from_memory,
        corrected: account.corrected,
        unplanned: account.unplanned,
        missing: missing.map(|(cause, count)| (cause.as_str().to_owned(), *count)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use store::testing::{HEAT, MIDNIGHT_MS, known_day, moment};

    use super::*;

    #[tokio::test]
    async fn only_what_changed_is_told_again() {
        let day = known_day().await.unwrap();
        let now_ms = MIDNIGHT_MS + 12 * 3_600_000;
        let ask = move |until| move |it: &Snapshot<'_>| since(it, MIDNIGHT_MS, until);
        let morning = day.store.readers().ask(ask(now_ms)).await.unwrap();
        assert_eq!(morning.len(), 2);
        let heat = morning.iter().find(|it| it.meter == HEAT).unwrap();
        assert_eq!((heat.expected, &*heat.missing), (48, &[("silent".to_owned(), 4)][..]));
        assert!(heat.end_ms > now_ms, "the day's end, whatever the hour");

        let mut told = Told::default();
        assert_eq!(told.news(morning.clone()).concat(), morning);
        told.told(&morning);
        assert!(told.news(morning.clone()).is_empty());
        let noon = day.store.readers().ask(ask(now_ms + 3_600_000)).await.unwrap();
        assert_eq!(told.news(noon.clone()).concat(), noon);
        told.forget();
        assert_eq!(told.news(morning.clone()).concat(), morning);
        let many = vec![morning[0].clone(); 600];
        assert_eq!(told.news(many).iter().map(Vec::len).collect::<Vec<_>>(), [250, 250, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_now_and_then_and_all_of_it_once_a_day() {
        let mut told = Told::default();
        let [hour, seldom] = [1, 6].map(|hours| Some(Duration::from_hours(hours)));
        let mut now = moment(MIDNIGHT_MS);
        now.trust = Trust::Untrusted;
        assert_eq!(told.look(now, hour), None);
        now.trust = Trust::Synced;
        assert_eq!(told.look(now, None), None);
        assert_eq!(told.look(now, hour), Some(MIDNIGHT_MS - BACK_MS));
        assert_eq!(told.look(now, hour), None);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(told.look(now, hour), Some(MIDNIGHT_MS - DAY_MS));
        tokio::time::advance(Duration::from_hours(5)).await;
        assert_eq!(told.look(now, seldom), None);
        tokio::time::advance(Duration::from_hours(18)).await;
        assert_eq!(told.look(now, seldom), Some(MIDNIGHT_MS - BACK_MS));
    }
}
