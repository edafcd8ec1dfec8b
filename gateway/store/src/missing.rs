//! The account of a meter's answers, or of a register's values: what was expected, what came, and why the
//! rest did not.
//!
//! ```text
//! expected = received + late + from memory + corrected + missing, by cause
//! ```
//!
//! It closes, for every meter, register and quarter hour; all longer periods are sums of quarter hours. What
//! was expected is what the schedule of that time planned. An answer that nobody had planned, since somebody
//! pressed a button, is told beside it and makes up for nothing.
//!
//! A planned answer that is missing has left an absence with its reason, if the meter was asked. If it was
//! not, the quarter hour tells: when no meter at all was asked in it, the gateway was not running, and what
//! was written down of that time tells why. One that came after its quarter hour, and before the next was
//! planned, is late.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use metering::{MeterId, NoReading, Origin, Register};

use crate::civil::{Civil, Step};
use crate::error::StoreError;
use crate::query::{Gap, Order, Snapshot};
use crate::rollup::Answers;

/// Why a planned answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// The meter was to be asked, and this came of it.
    Reason(NoReading),
    /// The gateway was not running, or could not store anything: it has nothing of any meter.
    GatewayOff,
    /// The machine went off without a goodbye.
    PowerOff,
    /// The wall clock leapt over that time.
    ClockWrong,
    /// The disk took nothing.
    Disk,
    /// The meter's schedule was changed just then.
    ConfigurationChanged,
    /// The gateway was running and has not asked this meter.
    NeverAsked,
}

impl Missing {
    /// As in the API: that of the reason, `gateway_off`, `power_off`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::GatewayOff => "gateway_off",
            Self::PowerOff => "power_off",
            Self::ClockWrong => "clock_wrong",
            Self::Disk => "disk",
            Self::ConfigurationChanged => "configuration_changed",
            Self::NeverAsked => "never_asked",
        }
    }
}

/// The account of one meter, or of one register of it, in one period.
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
    /// Those that came after their quarter hour, before the next was planned.
    pub late: u32,
    /// Those that the meter remembered and told later.
    pub from_memory: u32,
    /// Those that a person put in. Of registers alone: nobody corrects an answer.
    pub corrected: u32,
    /// The others by cause, each cause once.
    pub missing: Vec<(Missing, u32)>,
    /// Answers beyond the expected ones.
    pub unplanned: u32,
}

impl Account {
    const fn empty(meter: MeterId, period: &Range<i64>) -> Self {
        Self {
            meter,
            start_ms: period.start,
            end_ms: period.end,
            expected: 0,
            received: 0,
            late: 0,
            from_memory: 0,
            corrected: 0,
            missing: Vec::new(),
            unplanned: 0,
        }
    }

    /// How many are missing, whatever the cause.
    pub fn missing_in_all(&self) -> u32 {
        self.missing.iter().map(|(_, count)| *count).fold(0, u32::saturating_add)
    }

    /// How many there are: `expected` less what is missing.
    pub fn got(&self) -> u32 {
        self.expected.saturating_sub(self.missing_in_all())
    }

    /// The account of several meters or periods together; `None` of none. Meter and start are those of
    /// the first one, and the end that of the last.
    pub fn sum<'a>(accounts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        accounts.into_iter().fold(None, |sum: Option<Self>, next| {
            let Some(mut sum) = sum else { return Some(next.clone()) };
            sum.add(next);
            Some(sum)
        })
    }

    /// Added up by whom they are of, such as the meter's bus, period by period.
    pub fn grouped<K: Ord>(accounts: &[Self], of: impl Fn(MeterId) -> K) -> Vec<(K, Self)> {
        let mut groups: BTreeMap<(K, i64), Self> = BTreeMap::new();
        for account in accounts {
            groups
                .entry((of(account.meter), account.start_ms))
                .and_modify(|sum| sum.add(account))
                .or_insert_with(|| account.clone());
        }
        groups.into_iter().map(|((of, _), account)| (of, account)).collect()
    }

    fn add(&mut self, other: &Self) {
        self.end_ms = self.end_ms.max(other.end_ms);
        for (mine, theirs) in [
            (&mut self.expected, other.expected),
            (&mut self.received, other.received),
            (&mut self.late, other.late),
            (&mut self.from_memory, other.from_memory),
            (&mut self.corrected, other.corrected),
            (&mut self.unplanned, other.unplanned),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        for (cause, count) in &other.missing {
            self.miss(*cause, *count);
        }
    }

    fn miss(&mut self, cause: Missing, count: u32) {
        match self.missing.binary_search_by_key(&cause, |(cause, _)| *cause) {
            Ok(at) => {
                if let Some((_, known)) = self.missing.get_mut(at) {
                    *known = known.saturating_add(count);
                }
            }
            Err(at) if count > 0 => self.missing.insert(at, (cause, count)),
            Err(_) => {}
        }
    }

    /// Takes up to `most` of those that were never asked for, since they came late.
    fn came_late(&mut self, most: u32) -> u32 {
        let mut left = most;
        for (cause, count) in &mut self.missing {
            if matches!(cause, Missing::NeverAsked | Missing::ConfigurationChanged) {
                let taken = left.min(*count);
                *count -= taken;
                left -= taken;
            }
        }
        self.missing.retain(|(_, count)| *count > 0);
        self.late = self.late.saturating_add(most - left);
        most - left
    }
}

impl Snapshot<'_> {
    /// The account of each meter in each period that begins in `span`, by meter and time. A period in
    /// which nothing was expected and nothing came is absent.
    ///
    /// Of the period that holds the end of the span only the part before it counts.
    pub fn accounts(&self, span: Range<i64>, step: Step) -> Result<Vec<Account>, StoreError> {
        let Some(time) = Time::of(self, &span, step, None)? else { return Ok(Vec::new()) };
        let mut accounts = Vec::new();
        for (meter, answers) in &time.answers {
            let gaps = self.gaps(*meter, time.quarters_of.clone())?;
            let came = |quarter: &Range<i64>| {
                let answers = answers.get(&quarter.start).copied().unwrap_or_default();
                let mut came = Came { answered: answers.answered, ..Came::default() };
                came.remembered = answers.remembered;
                came.fail(quarter, answers.failed, &gaps);
                came
            };
            accounts.extend(time.accounts(self, *meter, i64::MIN, came));
        }
        Ok(accounts)
    }

    /// The account of one register of a meter, as [`Self::accounts`]; from its first reading on. A value
    /// that was left out of an answer that came is missing as `left_out`.
    pub fn register_accounts(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        step: Step,
    ) -> Result<Vec<Account>, StoreError> {
        let only = Some(meter);
        let Some(time) = Time::of(self, &span, step, only)? else { return Ok(Vec::new()) };
        let series = || self.state.registry.of_point(meter, register);
        let Some(begins_ms) = series().map(|info| info.begins_ms).min() else {
            return Ok(Vec::new());
        };
        let mut values: BTreeMap<i64, (u32, u32)> = BTreeMap::new();
        for info in series() {
            for row in self.tallies(info.series, Step::Quarter, &time.quarters_of)? {
                let (all, remembered) = values.entry(row.starts_at).or_default();
                *all = all.saturating_add(row.tally.n);
                *remembered = remembered.saturating_add(row.tally.remembered);
            }
        }
        let mut corrected: BTreeMap<i64, u32> = BTreeMap::new();
        let readings = self.readings(
            meter,
            register,
            time.quarters_of.clone(),
            Order::OldestFirst,
            usize::MAX,
        )?;
        for it in readings.iter().filter(|it| it.origin == Origin::Correction && it.value.is_ok()) {
            *corrected.entry(self.civil.period(Step::Quarter, it.at_ms).start).or_default() += 1;
        }
        let gaps = self.gaps(meter, time.quarters_of.clone())?;
        let answers = time.answers.get(&meter).cloned().unwrap_or_default();
        let came = |quarter: &Range<i64>| {
            let answers = answers.get(&quarter.start).copied().unwrap_or_default();
            let (all, remembered) = values.get(&quarter.start).copied().unwrap_or_default();
            let corrected = corrected.get(&quarter.start).copied().unwrap_or_default();
            let answered = all.saturating_sub(remembered).saturating_sub(corrected);
            let mut came = Came { answered, remembered, corrected, ..Came::default() };
            let left_out = answers.answered.saturating_sub(answered);
            if left_out > 0 {
                came.failed.insert(NoReading::LeftOut, left_out);
            }
            came.fail(quarter, answers.failed, &gaps);
            came
        };
        Ok(time.accounts(self, meter, begins_ms, came))
    }
}

/// What accounts of one time share.
struct Time {
    civil: Civil,
    periods: Vec<Range<i64>>,
    /// All of the periods.
    quarters_of: Range<i64>,
    /// What of them counts.
    counted: Range<i64>,
    answers: BTreeMap<MeterId, BTreeMap<i64, Answers>>,
    /// Quarter hours in which any meter was asked.
    busy: BTreeSet<i64>,
    outages: Vec<(Range<i64>, Missing)>,
}

impl Time {
    /// Of all meters, or with `only` of what one of them needs.
    fn of(
        store: &Snapshot<'_>,
        span: &Range<i64>,
        step: Step,
        only: Option<MeterId>,
    ) -> Result<Option<Self>, StoreError> {
        let civil = store.civil();
        let periods = civil.periods(step, span);
        let Some((first, last)) = periods.first().zip(periods.last()) else { return Ok(None) };
        let quarters_of = first.start..last.end;
        let counted = quarters_of.start..quarters_of.end.min(span.end);
        let schedules = &store.state.schedules;
        let mut meters: BTreeSet<MeterId> =
            schedules.meters().chain(store.state.registry.meters()).collect();
        let outages = store.outages(&quarters_of)?;
        let mut time = Self {
            civil,
            periods,
            quarters_of,
            counted,
            answers: BTreeMap::new(),
            busy: BTreeSet::new(),
            outages,
        };
        let asked = |answers: &BTreeMap<i64, Answers>| {
            let at_once = answers.iter().filter(|(_, it)| it.answered > 0 || it.failed > 0);
            at_once.map(|(starts_at, _)| *starts_at).collect::<Vec<i64>>()
        };
        if let Some(meter) = only {
            let answers = store.answers(meter, &time.quarters_of)?;
            time.busy.extend(asked(&answers));
            time.answers.insert(meter, answers);
            meters.remove(&meter);
            let expects = |quarter: &Range<i64>| schedules.expected(civil, meter, quarter) > 0;
            let mut open: BTreeSet<i64> = civil
                .periods(Step::Quarter, &time.counted)
                .into_iter()
                .filter(|it| !time.busy.contains(&it.start) && expects(it))
                .map(|it| it.start)
                .collect();
            // Another meter tells whether the gateway was running.
            for other in meters {
                let Some((first, last)) = open.first().zip(open.last()) else { break };
                let found = asked(&store.answers(other, &(*first..*last + QUARTER_MS))?);
                open.retain(|quarter| !found.contains(quarter));
                time.busy.extend(found);
            }
        } else {
            for meter in meters {
                let answers = store.answers(meter, &time.quarters_of)?;
                time.busy.extend(asked(&answers));
                time.answers.insert(meter, answers);
            }
        }
        Ok(Some(time))
    }

    /// The accounts of one meter or register, of which nothing is expected before `begins_ms`.
    fn accounts(
        &self,
        store: &Snapshot<'_>,
        meter: MeterId,
        begins_ms: i64,
        came: impl Fn(&Range<i64>) -> Came,
    ) -> Vec<Account> {
        let schedules = &store.state.schedules;
        let mut quarters: Vec<Account> = Vec::new();
        let mut planned_last: Option<usize> = None;
        for quarter in self.civil.periods(Step::Quarter, &self.counted) {
            let part = quarter.start..quarter.end.min(self.counted.end);
            let expected = match schedules.expected(self.civil, meter, &part) {
                expected if quarter.end > begins_ms => expected,
                _ => 0,
            };
            let outage = self
                .outages
                .iter()
                .find(|(span, _)| span.start < quarter.end && span.end > quarter.start)
                .map(|(_, cause)| *cause);
            let just_before = quarter.start.saturating_sub(QUARTER_MS)..quarter.end;
            let never = if schedules.changes_in(meter, &just_before) {
                Missing::ConfigurationChanged
            } else {
                outage.unwrap_or(Missing::NeverAsked)
            };
            let mut came = came(&quarter);
            if !self.busy.contains(&quarter.start) {
                came.idle = expected;
            }
            let off = outage.unwrap_or(Missing::GatewayOff);
            let mut account = Account::empty(meter, &quarter);
            came.against(expected, off, never, &mut account);
            if let Some(before) = planned_last.and_then(|index| quarters.get_mut(index)) {
                account.unplanned -= before.came_late(account.unplanned);
            }
            if expected > 0 {
                planned_last = Some(quarters.len());
            }
            if expected > 0 || account.unplanned > 0 {
                quarters.push(account);
            }
        }
        let mut quarters = quarters.into_iter().peekable();
        let mut accounts = Vec::new();
        for period in &self.periods {
            let mut sum = Account::empty(meter, period);
            while let Some(quarter) = quarters.next_if(|it| it.start_ms < period.end) {
                sum.add(&quarter);
            }
            if sum.expected > 0 || sum.unplanned > 0 {
                accounts.push(sum);
            }
        }
        accounts
    }
}

/// What there is of a quarter hour.
#[derive(Debug, Default)]
struct Came {
    answered: u32,
    remembered: u32,
    corrected: u32,
    failed: BTreeMap<NoReading, u32>,
    /// What was expected, if no meter was asked.
    idle: u32,
}

impl Came {
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

    /// Fills what was expected with what came, as far as it goes. Nobody asked for the rest: the gateway
    /// was `off`, or `never` did.
    fn against(self, expected: u32, off: Missing, never: Missing, account: &mut Account) {
        let mut open = expected;
        let mut fill = |count: u32| {
            let filled = count.min(open);
            open -= filled;
            filled
        };
        account.expected = expected;
        account.received = fill(self.answered);
        account.from_memory = fill(self.remembered);
        account.corrected = fill(self.corrected);
        account.unplanned = self.answered - account.received;
        for (reason, count) in self.failed {
            account.miss(Missing::Reason(reason), fill(count));
        }
        account.miss(off, fill(self.idle));
        account.miss(never, fill(u32::MAX));
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
            (answered, remembered, corrected) in (0..50_u32, 0..50_u32, 0..50_u32),
            failed in 0..50_u32,
            gaps in prop::collection::vec(
                (0..QUARTER_MS, prop::option::of(0..QUARTER_MS), 0..9_usize), 0..5,
            ),
            idle in 0..100_u32,
            late in 0..20_u32,
        ) {
            let gaps: Vec<Gap> = gaps
                .into_iter()
                .map(|(from_ms, until_ms, reason)| {
                    Gap { from_ms, until_ms, reason: NoReading::ALL[reason], tries: 1 }
                })
                .collect();
            let mut came = Came { answered, remembered, corrected, idle, ..Came::default() };
            came.fail(&(0..QUARTER_MS), failed, &gaps);
            let meter = MeterId::from_uuid(uuid::Uuid::nil());
            let mut account = Account::empty(meter, &(0..QUARTER_MS));
            came.against(expected, Missing::PowerOff, Missing::NeverAsked, &mut account);
            prop_assert_eq!(account.received + account.unplanned, answered);
            let closes = |it: &Account| {
                let came = it.received + it.late + it.from_memory + it.corrected;
                came + it.missing_in_all() == it.expected && came == it.got()
            };
            prop_assert!(closes(&account), "{account:?}");
            let mut sum = account.clone();
            prop_assert!(account.came_late(late) <= late);
            prop_assert!(closes(&account), "{account:?}");
            sum.add(&account);
            prop_assert!(closes(&sum), "{sum:?}");
        }
    }
}
