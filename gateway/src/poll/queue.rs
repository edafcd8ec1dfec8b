//! Which meter of a bus is asked next, and how long it may take. No I/O, and time comes in.
//!
//! Every meter has slots of its own, at multiples of its interval. When one begins the meter is
//! *due*, and stays so until it has answered, has failed all its tries, or its next slot begins.
//! Among those that are due this order holds:
//!
//! ```text
//! 1  whom a person waits for
//! 2  first try, answered last time       those whose turn was missed first, then the quicker ones
//! 3  first try, failed last time
//! 4  further tries, the fewer the sooner
//! ```
//!
//! So a dead or slow meter costs the others nothing but the time it takes while nobody else is
//! due, and of that no more than until somebody is. A meter of which nothing is known yet has its
//! share of the slot; if that was too little it has its further tries. After [`SICK`] failed slots it has one try a
//! slot and some of its slots are left out, more and more of them, but never so many that it is
//! asked less than once in a quarter of an hour.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use drivers::ReadError;

use crate::config::PollEvery;

/// The meters of one bus.
#[derive(Debug)]
pub(super) struct Queue {
    zone: Tz,
    /// The longest that one question may take where nothing is known of the meter.
    longest: Duration,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    every: PollEvery,
    next_slot: DateTime<Utc>,
    due: Option<Due>,
    /// Slots in a row that failed.
    failures: u32,
    /// Slots that are still left out.
    skip: u32,
    /// Slots in a row in which it was due and nobody came to ask it.
    passed_over: u32,
    /// How long its answers take, on a running average; `None` before the first.
    usual: Option<Duration>,
}

#[derive(Debug)]
struct Due {
    tries: u32,
    /// The time between two tries.
    not_before: DateTime<Utc>,
    /// A person waits for it.
    urgent: bool,
    error: Option<ReadError>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask this meter, and give up after that long.
    Ask(usize, Duration),
    /// Nobody can be asked before then. `idle` if nobody is due either: the round is over.
    Wait { until: DateTime<Utc>, idle: bool },
}

/// A slot that ended without an answer before its meter had all its tries.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) index: usize,
    /// Why the last try failed; `None` if there was none.
    pub(super) error: Option<ReadError>,
}

impl Queue {
    /// Meters with these intervals, each with the time of its last answer: one that has answered
    /// in the slot that is under way waits for the next, the others are due at once.
    pub(super) fn new(
        zone: Tz,
        longest: Duration,
        meters: impl IntoIterator<Item = (PollEvery, Option<DateTime<Utc>>)>,
        now: DateTime<Utc>,
    ) -> Self {
        let entry = |(every, answered): (PollEvery, Option<DateTime<Utc>>)| {
            let slot = every.slot_at(now, zone);
            let done = answered.is_some_and(|at| slot <= at && at <= now);
            Entry {
                every,
                next_slot: every.slot_after(now, zone),
                due: (!done).then(|| Due::since(now)),
                failures: 0,
                skip: 0,
                passed_over: 0,
                usual: None,
            }
        };
        Self { zone, longest, entries: meters.into_iter().map(entry).collect() }
    }

    /// Begins the slots that have begun, and tells which were missed.
    pub(super) fn begin_slots(&mut self, now: DateTime<Utc>) -> Vec<Missed> {
        let mut missed = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            // Farther away than any slot: the clock was set back.
            let length = TimeDelta::seconds(entry.every.secs().into());
            if entry.next_slot - now > length {
                entry.next_slot = entry.every.slot_after(now, self.zone);
            }
            if now < entry.next_slot {
                continue;
            }
            entry.next_slot = entry.every.slot_after(now, self.zone);
            if let Some(due) = entry.due.take() {
                match &due.error {
                    Some(error) => entry.count_failure(error),
                    None => entry.passed_over += 1,
                }
                missed.push(Missed { index, error: due.error });
            }
            if entry.skip > 0 {
                entry.skip -= 1;
                missed.push(Missed { index, error: None });
            } else {
                entry.due = Some(Due::since(now));
            }
        }
        missed
    }

    /// What to do now.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Next {
        let ready = self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let due = entry.due.as_ref().filter(|due| due.not_before <= now)?;
            let class = match (due.urgent, due.tries, entry.failures) {
                (true, ..) => 0,
                (_, 0, 0) => 1,
                (_, 0, _) => 2,
                (_, tries, _) => 2 + tries,
            };
            let usual = entry.usual.unwrap_or(self.longest);
            Some((class, Reverse(entry.passed_over), usual, index))
        });
        if let Some((class, .., index)) = ready.min() {
            return Next::Ask(index, self.within(class, index, now));
        }
        let slots = self.entries.iter().map(|entry| entry.next_slot);
        let tries = self.entries.iter().filter_map(|entry| Some(entry.due.as_ref()?.not_before));
        let idle = self.entries.iter().all(|entry| entry.due.is_none());
        let until = slots.chain(tries).min().unwrap_or(now + TimeDelta::minutes(1));
        Next::Wait { until, idle }
    }

    /// How long a question may take: three times as long as usual. One that the others do not
    /// have to wait for ends when the next of them is due.
    fn within(&self, class: u32, index: usize, now: DateTime<Utc>) -> Duration {
        let until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or_default();
        let Some(entry) = self.entries.get(index) else { return LEAST };
        let patient = match entry.usual {
            Some(usual) => (usual * 3).max(LEAST).min(self.longest),
            None => self.longest,
        };
        match (class, entry.usual) {
            (0, _) | (1, Some(_)) => patient,
            (1, None) => {
                let due = self.entries.iter().filter(|entry| entry.due.is_some()).count();
                let share = until(entry.next_slot) / u32::try_from(due).unwrap_or(1).max(1);
                patient.min(share.max(LEAST))
            }
            _ => {
                let healthy = self.entries.iter().filter(|entry| entry.failures == 0);
                let left = healthy.map(|entry| until(entry.next_slot)).min().unwrap_or(patient);
                patient.min(left.max(LEAST))
            }
        }
    }

    /// The meter answered.
    pub(super) fn answered(&mut self, index: usize, took: Duration) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.due = None;
        entry.failures = 0;
        entry.skip = 0;
        entry.passed_over = 0;
        entry.usual = Some(entry.usual.map_or(took, |usual| (usual * 3 + took) / 4));
    }

    /// The meter did not answer. Gives `error` back if this was its last try in this slot.
    pub(super) fn failed(
        &mut self,
        index: usize,
        error: ReadError,
        now: DateTime<Utc>,
    ) -> Option<ReadError> {
        let entry = self.entries.get_mut(index)?;
        let due = entry.due.as_mut()?;
        let again = match &error {
            // Not a try: the bus waits until it can tell an old answer from a new one.
            ReadError::Unsettled { remaining, .. } => Some((0, *remaining)),
            // The same question gets the same answer.
            ReadError::Misfit { .. } | ReadError::WrongMeter { .. } => None,
            // The port is opened anew in between.
            ReadError::Port { .. } => Some((1, 3 * PAUSE)),
            _ if entry.failures >= SICK => None,
            _ => Some((1, PAUSE)),
        };
        // What an earlier try heard tells more than the silence of a later one.
        let heard = due.error.take().filter(|it| !matches!(it, ReadError::Unsettled { .. }));
        let error = match (error, heard) {
            (ReadError::Silent { .. }, Some(heard)) => heard,
            (error, _) => error,
        };
        if let Some((try_, pause)) = again
            && due.tries + try_ < TRIES
            && !due.urgent
        {
            due.tries += try_;
            due.not_before = now + TimeDelta::from_std(pause.max(PAUSE)).unwrap_or_default();
            due.error = Some(error);
            return None;
        }
        entry.due = None;
        entry.count_failure(&error);
        Some(error)
    }

    /// A person waits for this meter: it is the next, once.
    pub(super) fn ask_now(&mut self, index: usize, now: DateTime<Utc>) {
        if let Some(entry) = self.entries.get_mut(index) {
            let due = entry.due.get_or_insert_with(|| Due::since(now));
            due.urgent = true;
            due.not_before = now;
        }
    }
}

impl Entry {
    /// A slot has failed, for `error`.
    fn count_failure(&mut self, error: &ReadError) {
        self.passed_over = 0;
        // A bus that is down, or a wrong configuration, says nothing about the meter.
        if matches!(error, ReadError::Port { .. } | ReadError::Misfit { .. }) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = 1_u32.checked_shl(self.failures.saturating_sub(SICK)).unwrap_or(u32::MAX);
        self.skip = doubled.min(AT_LEAST_EVERY_SECS / self.every.secs()).max(1) - 1;
    }
}

impl Due {
    const fn since(now: DateTime<Utc>) -> Self {
        Self { tries: 0, not_before: now, urgent: false, error: None }
    }
}

/// Tries in a slot: the bus's own session repeats a question already, so these are for a
/// disturbance that lasts longer than one.
const TRIES: u32 = 3;

/// Between two tries: what disturbed the first one may be over.
const PAUSE: Duration = Duration::from_secs(1);

/// Failed slots after which a meter is held to be out of order.
const SICK: u32 = 3;

/// A quarter of an hour: so long at most until a meter that was repaired is heard again.
const AT_LEAST_EVERY_SECS: u32 = 900;

/// Nobody is given less: the slowest answer that meets the standard, at 300 baud, begins after
/// 1.2 s.
const LEAST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use drivers::MeterAddress;
    use metering::NoReading;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_323_200 + seconds, 0).unwrap()
    }

    fn queue(intervals: &[u64]) -> Queue {
        let meters = intervals.iter().map(|secs| (PollEvery::new(*secs).unwrap(), None));
        Queue::new(Tz::Europe__Oslo, Duration::from_secs(10), meters, at(0))
    }

    fn silent() -> ReadError {
        ReadError::Silent { address: MeterAddress::Primary(1), waited: Duration::from_secs(1) }
    }

    fn asked(next: Next) -> usize {
        match next {
            Next::Ask(index, _) => index,
            Next::Wait { .. } => panic!("{next:?}"),
        }
    }

    #[test]
    fn the_quick_are_asked_first_and_the_failing_last() {
        let mut queue = queue(&[60, 60, 60]);
        queue.answered(0, Duration::from_secs(3));
        queue.answered(1, Duration::from_millis(80));
        assert!(queue.failed(2, silent(), at(5)).is_none());
        assert_eq!(asked(queue.next(at(6))), 2, "a try more while nobody else is due");
        queue.failed(2, silent(), at(6));
        assert!(queue.failed(2, silent(), at(7)).is_some(), "the last of its tries");

        queue.begin_slots(at(60));
        let mut order = Vec::new();
        while let Next::Ask(index, _) = queue.next(at(60)) {
            order.push(index);
            queue.answered(index, Duration::from_secs(1));
        }
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn a_dead_meter_is_asked_less_often_but_every_quarter_hour() {
        let mut queue = queue(&[60]);
        let (mut asked, mut told) = (Vec::new(), 0);
        for second in 0..7_200 {
            told += queue.begin_slots(at(second)).len();
            if let Next::Ask(index, _) = queue.next(at(second)) {
                asked.push(second / 60);
                told += usize::from(queue.failed(index, silent(), at(second)).is_some());
            }
        }
        assert_eq!(told, 120, "every slot has a reason, once");
        assert_eq!(
            asked,
            [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 5, 9, 17, 32, 47, 62, 77, 92, 107],
            "three slots with three tries, then one try and longer and longer pauses"
        );
    }

    #[test]
    fn a_meter_that_is_repaired_is_asked_in_every_slot_again() {
        let mut queue = queue(&[60]);
        for minute in 0..30 {
            queue.begin_slots(at(60 * minute));
            while let Next::Ask(index, _) = queue.next(at(60 * minute + 10)) {
                queue.failed(index, silent(), at(60 * minute));
            }
        }
        queue.ask_now(0, at(1_800));
        assert_eq!(asked(queue.next(at(1_800))), 0, "a person is not told to wait");
        queue.answered(0, Duration::from_secs(1));
        queue.begin_slots(at(1_860));
        assert_eq!(asked(queue.next(at(1_860))), 0);
    }

    #[test]
    fn a_failing_meter_has_only_the_time_until_another_is_due() {
        let mut queue = queue(&[60, 60]);
        queue.answered(0, Duration::from_millis(100));
        queue.failed(1, silent(), at(1));
        assert_eq!(queue.next(at(2)), Next::Ask(1, Duration::from_secs(10)));
        assert_eq!(queue.next(at(56)), Next::Ask(1, Duration::from_secs(4)));
        assert_eq!(queue.next(at(59)), Next::Ask(1, Duration::from_secs(2)), "never less");
    }

    #[test]
    fn what_an_earlier_try_heard_tells_more_than_the_silence_of_the_last() {
        let busy =
            || ReadError::RefusedAnswer { address: MeterAddress::Primary(1), error: "busy".into() };
        let told = |tries: [ReadError; 3]| {
            let mut queue = queue(&[60]);
            let told = tries.into_iter().filter_map(|error| queue.failed(0, error, at(1)));
            told.map(|error| error.no_reading()).collect::<Vec<_>>()
        };
        assert_eq!(told([busy(), silent(), silent()]), [NoReading::Refused]);
        assert_eq!(told([silent(), busy(), silent()]), [NoReading::Refused]);
        assert_eq!(told([silent(), silent(), silent()]), [NoReading::Silent]);
    }

    #[test]
    fn a_slot_that_a_slow_bus_missed_is_told_and_not_made_up_for() {
        let mut queue = queue(&[60, 60]);
        queue.answered(0, Duration::from_secs(1));
        let missed = queue.begin_slots(at(200));
        assert_eq!(missed.iter().map(|it| it.index).collect::<Vec<_>>(), [1]);
        assert!(missed[0].error.is_none(), "it was never asked");
        queue.answered(0, Duration::from_secs(1));
        queue.answered(1, Duration::from_secs(1));
        assert_eq!(queue.next(at(200)), Next::Wait { until: at(240), idle: true });
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_polls() {
        let mut queue = queue(&[60]);
        queue.answered(0, Duration::from_secs(1));
        queue.begin_slots(at(-7_200));
        assert_eq!(queue.next(at(-7_200)), Next::Wait { until: at(-7_140), idle: true });
    }

    #[test]
    fn a_bus_that_is_down_does_not_make_its_meters_sick() {
        let mut queue = queue(&[10]);
        let port: drivers::PortSettings = "tcp://127.0.0.1:1".parse().unwrap();
        let mut asked = 0;
        for second in 0..300 {
            queue.begin_slots(at(second));
            if let Next::Ask(index, _) = queue.next(at(second)) {
                asked += 1;
                let cause = drivers::PortFault::NotListening;
                queue.failed(index, ReadError::Port { port: port.clone(), cause }, at(second));
            }
        }
        assert_eq!(asked, 90);
    }

    #[test]
    fn who_has_answered_in_this_slot_waits_for_the_next() {
        let every = PollEvery::new(900).unwrap();
        let answered = |seconds| Some(at(seconds));
        let meters = [(every, answered(-10)), (every, answered(10)), (every, answered(999))];
        let queue = Queue::new(Tz::Europe__Oslo, Duration::from_secs(10), meters, at(60));
        assert!(queue.entries[0].due.is_some(), "that was in the slot before");
        assert!(queue.entries[1].due.is_none());
        assert!(queue.entries[2].due.is_some(), "that is in the future: the clock was set back");
    }
}
