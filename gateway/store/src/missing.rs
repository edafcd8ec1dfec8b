//! The account of a meter's answers: what was expected, what came, and why the rest did not.
//!
//! ```text
//! expected = received + from memory + missing, by cause
//! ```
//!
//! It closes, for every meter and period. What was expected is what the schedule of that time planned.
//! An answer that nobody had planned, since somebody pressed a button, is told beside it and makes up for
//! nothing.
//!
//! A planned answer that is missing has left an absence with its reason, if the meter was asked. If it was
//! not, the quarter hour tells: when no meter at all was asked in it, the gateway was not running.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use metering::{MeterId, NoReading};

use crate::civil::Step;
use crate::error::StoreError;
use crate::query::{Gap, Snapshot};
use crate::rollup::Answers;

/// Why a planned answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// The meter was to be asked, and this came of it.
    Reason(NoReading),
    /// The gateway was not running, or could not store anything: it has nothing of any meter.
    GatewayOff,
    /// The gateway was running and has not asked this meter.
    NeverAsked,
}

impl Missing {
    /// As in the API: that of the reason, `gateway_off` or `never_asked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::GatewayOff => "gateway_off",
            Self::NeverAsked => "never_asked",
        }
    }
}

/// The account of one meter in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which meter.
    pub meter: MeterId,
    /// The period's first millisecond.
    pub start_ms: i64,
    /// The one after its last.
    pub end_ms: i64,
    /// The answers that the schedule of that time planned, up to the end of the span asked for.
    pub expected: u32,
    /// Those of them that came when they were asked for.
    pub received: u32,
    /// Those that the meter remembered and told later, or that were imported.
    pub from_memory: u32,
    /// The others by cause, each cause once.
    pub missing: Vec<(Missing, u32)>,
    /// Answers beyond the expected ones.
    pub unplanned: u32,
}

impl Account {
    /// How many are missing, whatever the cause.
    pub fn missing_in_all(&self) -> u32 {
        self.missing.iter().map(|(_, count)| *count).fold(0, u32::saturating_add)
    }

    /// The account of several meters or periods together; `None` of none. Meter and start are those of
    /// the first one, and the end that of the last.
    pub fn sum<'a>(accounts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        accounts.into_iter().fold(None, |sum: Option<Self>, next| {
            let Some(sum) = sum else { return Some(next.clone()) };
            let mut missing: BTreeMap<Missing, u32> = BTreeMap::new();
            for (cause, count) in sum.missing.iter().chain(&next.missing) {
                let known = missing.entry(*cause).or_default();
                *known = known.saturating_add(*count);
            }
            Some(Self {
                end_ms: sum.end_ms.max(next.end_ms),
                expected: sum.expected.saturating_add(next.expected),
                received: sum.received.saturating_add(next.received),
                from_memory: sum.from_memory.saturating_add(next.from_memory),
                missing: missing.into_iter().collect(),
                unplanned: sum.unplanned.saturating_add(next.unplanned),
                ..sum
            })
        })
    }
}

impl Snapshot<'_> {
    /// The account of each meter in each period that begins in `span`, by meter and time. A period in
    /// which nothing was expected and nothing came is absent.
    ///
    /// Of the period that holds the end of the span only the part before it counts.
    pub fn accounts(&self, span: Range<i64>, step: Step) -> Result<Vec<Account>, StoreError> {
        let civil = self.civil();
        let periods = civil.periods(step, &span);
        let Some(all) = periods.first().zip(periods.last()).map(|(a, z)| a.start..z.end) else {
            return Ok(Vec::new());
        };
        let schedules = &self.state.schedules;
        let meters: BTreeSet<MeterId> =
            schedules.meters().chain(self.state.registry.meters()).collect();
        let mut answers = BTreeMap::new();
        let mut busy: BTreeSet<i64> = BTreeSet::new();
        for meter in meters {
            let of_meter = self.answers(meter, &all)?;
            let at_once = of_meter.iter().filter(|(_, it)| it.answered > 0 || it.failed > 0);
            busy.extend(at_once.map(|(starts_at, _)| *starts_at));
            answers.insert(meter, of_meter);
        }
        let mut accounts = Vec::new();
        for (meter, answers) in answers {
            let gaps = self.gaps(meter, all.clone())?;
            for period in &periods {
                let counted = period.start..period.end.min(span.end);
                let expected = |part: &Range<i64>| schedules.expected(civil, meter, part);
                let idle = civil
                    .periods(Step::Quarter, &counted)
                    .into_iter()
                    .filter(|quarter| !busy.contains(&quarter.start))
                    .map(|quarter| expected(&(quarter.start..quarter.end.min(counted.end))))
                    .fold(0, u32::saturating_add);
                let came = Came::of(answers.range(counted.clone()), &gaps, idle);
                let account = came.against(expected(&counted));
                if account.expected > 0 || account.unplanned > 0 {
                    let (start_ms, end_ms) = (period.start, period.end);
                    accounts.push(Account { meter, start_ms, end_ms, ..account });
                }
            }
        }
        Ok(accounts)
    }
}

/// What there is of a period.
#[derive(Debug, Default)]
struct Came {
    answered: u32,
    remembered: u32,
    failed: BTreeMap<NoReading, u32>,
    /// What was expected in quarter hours in which no meter was asked.
    idle: u32,
}

impl Came {
    fn of<'a>(
        answers: impl Iterator<Item = (&'a i64, &'a Answers)>,
        gaps: &[Gap],
        idle: u32,
    ) -> Self {
        let mut came = Self { idle, ..Self::default() };
        for (starts_at, it) in answers {
            came.answered = came.answered.saturating_add(it.answered);
            came.remembered = came.remembered.saturating_add(it.remembered);
            came.fail(&(*starts_at..starts_at.saturating_add(QUARTER_MS)), it.failed, gaps);
        }
        came
    }

    /// So many failures of a quarter hour: one for each reason in it, and the rest for the last one.
    fn fail(&mut self, quarter: &Range<i64>, failed: u32, gaps: &[Gap]) {
        let reaches = |gap: &&Gap| {
            gap.from_ms < quarter.end && gap.until_ms.is_none_or(|until| until > quarter.start)
        };
        let mut left = failed;
        let mut last = NoReading::Silent;
        for gap in gaps.iter().filter(reaches) {
            last = gap.reason;
            if left > 0 {
                *self.failed.entry(gap.reason).or_default() += 1;
                left -= 1;
            }
        }
        if left > 0 {
            let known = self.failed.entry(last).or_default();
            *known = known.saturating_add(left);
        }
    }

    /// Fills what was expected with what came, as far as it goes.
    fn against(self, expected: u32) -> Account {
        let mut open = expected;
        let mut fill = |count: u32| {
            let filled = count.min(open);
            open -= filled;
            filled
        };
        let received = fill(self.answered);
        let from_memory = fill(self.remembered);
        let mut missing: Vec<(Missing, u32)> =
            self.failed.iter().map(|(it, count)| (Missing::Reason(*it), fill(*count))).collect();
        missing.push((Missing::GatewayOff, fill(self.idle)));
        missing.push((Missing::NeverAsked, fill(u32::MAX)));
        missing.retain(|(_, count)| *count > 0);
        Account {
            meter: MeterId::from_uuid(uuid::Uuid::nil()),
            start_ms: 0,
            end_ms: 0,
            expected,
            received,
            from_memory,
            missing,
            unplanned: self.answered - received,
        }
    }
}

const QUARTER_MS: i64 = 900_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever came, the account closes.
        #[test]
        fn expected_is_the_sum(
            expected in 0..100_u32,
            quarters in prop::collection::btree_map(
                (0..8_i64).prop_map(|it| it * QUARTER_MS),
                (0..20_u32, 0..20_u32, 0..20_u32),
                0..8,
            ),
            gaps in prop::collection::vec(
                (0..8 * QUARTER_MS, prop::option::of(0..8 * QUARTER_MS), 0..9_usize), 0..5,
            ),
            idle in 0..100_u32,
        ) {
            let quarters: BTreeMap<i64, Answers> = quarters
                .into_iter()
                .map(|(at, (answered, failed, remembered))| {
                    (at, Answers { answered, failed, remembered })
                })
                .collect();
            let gaps: Vec<Gap> = gaps
                .into_iter()
                .map(|(from_ms, until_ms, reason)| {
                    Gap { from_ms, until_ms, reason: NoReading::ALL[reason], tries: 1 }
                })
                .collect();
            let account = Came::of(quarters.iter(), &gaps, idle).against(expected);
            let sum = account.received + account.from_memory + account.missing_in_all();
            prop_assert_eq!(sum, expected);
            let answered: u32 = quarters.values().map(|it| it.answered).sum();
            prop_assert_eq!(account.received + account.unplanned, answered);
        }
    }
}
