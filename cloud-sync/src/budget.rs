//! What may go over the line in a month, and how it is made to last.
//!
//! ```text
//!  bytes ▲                            ┌ the budget
//!        │                    ·´‾‾‾‾‾‾
//!        │            ·´ ‾ ‾             by this line so much may have gone at any time:
//!        │    ·´ ‾ ‾                     a day in advance, then evenly
//!        └────────────────────────▶ month
//! ```
//!
//! What was not used is there later: a gateway that needs less than its budget never waits, and one
//! with a backlog catches up with what it has saved. One that needs more waits, and the longer it
//! waits, the fewer bytes a reading takes.

use std::time::Duration;

/// What may be spent in a month by the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When the month begins, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it ends.
    pub until_ms: i64,
    /// What may go over the line in it.
    pub bytes: u64,
    /// What others need of that until its end.
    pub set_aside: u64,
    /// What the sync had spent of it when its traffic was at `counted_from`.
    pub spent: u64,
    /// See `spent`.
    pub counted_from: u64,
}

impl Budget {
    /// Of a month that is not known yet: nothing is sent.
    pub const CLOSED: Self =
        Self { from_ms: 0, until_ms: i64::MAX, bytes: 0, set_aside: 0, spent: 0, counted_from: 0 };

    /// When something may be sent again, where `traffic` is what has gone over the way of the sync;
    /// `None`: now.
    pub fn opens_ms(&self, traffic: u64, now_ms: i64) -> Option<i64> {
        if now_ms >= self.until_ms {
            return None; // Another month, of which nobody has told yet.
        }
        let whole = self.bytes.saturating_sub(self.set_aside);
        let spent = self.spent.saturating_add(traffic.saturating_sub(self.counted_from));
        if spent >= whole {
            return Some(self.until_ms);
        }
        let lasts_ms = self.until_ms.saturating_sub(self.from_ms).max(1);
        // In which part of the month so much may have gone, less what is had in advance.
        let share = i128::from(spent) * i128::from(lasts_ms) / i128::from(whole);
        let opens_ms = i128::from(self.from_ms) + share - i128::from(IN_ADVANCE_MS);
        let opens_ms = i64::try_from(opens_ms).unwrap_or(i64::MAX);
        (opens_ms > now_ms).then_some(opens_ms)
    }

    /// How long until then, from `now_ms`; at most an hour, then one looks again: clocks are set.
    pub(crate) fn wait(opens_ms: i64, now_ms: i64) -> Duration {
        let wait = u64::try_from(opens_ms.saturating_sub(now_ms)).unwrap_or_default();
        Duration::from_millis(wait).min(Duration::from_hours(1))
    }
}

/// So that the first day of a month is like every other.
const IN_ADVANCE_MS: i64 = 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    #[track_caller]
    fn check(spent: u64, day: i64, expected: Option<i64>) {
        let budget = Budget {
            from_ms: 1_000 * DAY_MS,
            until_ms: 1_030 * DAY_MS,
            bytes: 32_000_000,
            set_aside: 2_000_000,
            spent: spent / 2,
            counted_from: 500,
        };
        let traffic = 500 + spent - spent / 2;
        let opens = budget.opens_ms(traffic, (1_000 + day) * DAY_MS);
        assert_eq!(opens, expected.map(|day| (1_000 + day) * DAY_MS), "{spent} bytes on day {day}");
    }

    #[test]
    fn a_million_a_day_lasts_for_the_month() {
        check(0, 0, None);
        check(1_000_000, 0, None);
        check(2_000_000, 0, Some(1));
        check(2_000_000, 1, None);
        check(15_000_000, 14, None);
        check(16_000_000, 14, Some(15));
    }

    #[test]
    fn what_was_saved_is_spent_at_once_and_what_is_spent_is_spent() {
        check(5_000_000, 29, None);
        check(29_999_999, 29, None);
        check(30_000_000, 29, Some(30));
        check(40_000_000, 3, Some(30));
        check(40_000_000, 30, None);
    }

    #[test]
    fn a_budget_that_others_need_is_no_budget() {
        let all = Budget {
            from_ms: 0,
            until_ms: DAY_MS,
            bytes: 5,
            set_aside: 9,
            spent: 0,
            counted_from: 0,
        };
        assert_eq!(all.opens_ms(0, 1), Some(DAY_MS));
    }

    #[test]
    fn nobody_waits_longer_than_an_hour_before_looking_again() {
        assert_eq!(Budget::wait(1_500, 1_000), Duration::from_millis(500));
        assert_eq!(Budget::wait(500, 1_000), Duration::ZERO);
        assert_eq!(Budget::wait(i64::MAX, i64::MIN), Duration::from_hours(1));
    }
}
