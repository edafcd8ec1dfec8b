//! Meters are read while nobody knows what time it is: what they say waits on the disk, and is stored with
//! its time once that is known. Nothing is lost or doubled, and no sum of a period is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, Moment, Origin, Quality, Trust, Unit};
use proptest::prelude::*;
use store::testing::{
    COLD, FixedClock, HEAT, KnownDay, MIDNIGHT_MS, answer, empty, known_day, moment, reading,
    register, silence,
};
use store::{Kind, Order, OutboxReading, Step, StoredReading};

const MINUTE: Duration = Duration::from_mins(1);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const YEAR_MS: i64 = 8_766 * HOUR_MS;

/// A machine without a clock of its own, that is started at `real_ms` and shows 1970.
struct Machine {
    day: KnownDay,
    clock: Arc<FixedClock>,
    /// What time it is.
    real_ms: i64,
    boots: u128,
    /// Since when this boot has lasted.
    began_ms: i64,
    /// When each value was read, and in which boot.
    read: Vec<(i64, u128)>,
}

impl Machine {
    fn started(real_ms: i64) -> Self {
        Self::with(empty().unwrap(), real_ms)
    }

    fn with(day: KnownDay, real_ms: i64) -> Self {
        let clock = Arc::clone(&day.clock);
        let mut it = Self { day, clock, real_ms, boots: 0, began_ms: 0, read: Vec::new() };
        it.boot(Duration::ZERO);
        it
    }

    /// Off for so long, and on again.
    fn boot(&mut self, off: Duration) {
        self.reboot(off, true);
    }

    /// As [`boot`](Self::boot); without a goodbye the power is gone.
    fn reboot(&mut self, off: Duration, goodbye: bool) {
        self.boots += 1;
        self.real_ms += i64::try_from(off.as_millis()).unwrap();
        self.began_ms = self.real_ms;
        let clock = FixedClock::of(Moment {
            wall: chrono::DateTime::UNIX_EPOCH,
            boottime: Duration::ZERO,
            boot_id: self.boots,
            trust: Trust::Untrusted,
        });
        let KnownDay { store, dir, .. } = std::mem::replace(&mut self.day, empty().unwrap());
        store.close().unwrap();
        if !goodbye {
            let core = rusqlite::Connection::open(dir.path().join("core.db")).unwrap();
            core.execute("DELETE FROM cursor WHERE name = 'stopped'", []).unwrap();
        }
        let (store, report) = store::testing::open(dir.path(), &clock).unwrap();
        assert_eq!(report.damaged, []);
        self.day = KnownDay { store, clock: Arc::clone(&clock), dir };
        self.clock = clock;
    }

    fn pass(&mut self, time: Duration) {
        self.real_ms += i64::try_from(time.as_millis()).unwrap();
        self.clock.pass(time);
    }

    /// A server says what time it is.
    fn sync(&self) {
        self.clock.set(self.real_ms);
        self.clock.trust(Trust::Synced);
    }

    /// Reads a counter that rises by one with each reading.
    async fn read(&mut self) {
        let litres = i64::try_from(self.read.len()).unwrap();
        self.read.push((self.real_ms, self.boots));
        let at = self.clock.now();
        let volume = reading("volume", 1000 + litres, 0, Unit::Litre, at);
        let mut round = answer(COLD, "20110815", at, vec![(volume, Kind::Counter)]);
        round.cycle = u64::try_from(self.boots).unwrap() << 32 | u64::try_from(litres).unwrap();
        self.day.store.writer().commit(vec![round]).await.unwrap();
    }

    async fn sent(&self) -> Vec<OutboxReading> {
        let batch = self.day.store.outbox().batch(0, 10_000).await.unwrap();
        assert_eq!(batch.lost, None);
        batch.readings
    }

    async fn stored(&self) -> Vec<StoredReading> {
        let ask = |snapshot: &store::Snapshot<'_>| {
            let all = i64::MIN..i64::MAX;
            snapshot.readings(COLD, &register("volume"), all, Order::OldestFirst, 10_000)
        };
        self.day.store.readers().ask(ask).await.unwrap()
    }

    /// Each reading is there once, in its order; those of a boot of which the time became known at their
    /// time, the others in between and marked; and each period's use adds up to all of it.
    async fn everything_once(&self, known: &[u128]) {
        let all: Vec<i64> = (0..).zip(&self.read).map(|(litres, _)| 1000 + litres).collect();
        let sent = self.sent().await;
        let values: Vec<i64> = sent.iter().map(|it| it.value.unwrap()).collect();
        assert_eq!(values, all, "the outbox keeps the order in which they were read");
        for ((real_ms, boot), reading) in self.read.iter().zip(&sent) {
            if known.contains(boot) {
                assert_eq!((reading.at_ms, reading.quality), (*real_ms, Quality::Good));
            } else {
                assert_eq!(reading.quality, Quality::TimeEstimated);
            }
        }
        let stored = self.stored().await;
        let values: Vec<i64> = stored.iter().map(|it| it.value.unwrap().mantissa()).collect();
        assert_eq!(values, all, "by time it is the same order");
        for step in Step::ALL {
            let used = self.used(step).await;
            assert_eq!(used, i64::try_from(all.len()).unwrap() - 1, "{step:?}");
        }
    }

    /// When nothing was read, by time, and why.
    fn outages(&self) -> Vec<((i64, i64), String)> {
        let core = rusqlite::Connection::open(self.day.dir.path().join("core.db")).unwrap();
        let mut rows = core.prepare("SELECT * FROM outage ORDER BY from_ms").unwrap();
        rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    async fn used(&self, step: Step) -> i64 {
        let runs = self
            .day
            .store
            .readers()
            .ask(move |it| it.used(COLD, &register("volume"), i64::MIN..i64::MAX, step))
            .await
            .unwrap();
        let rows = runs.iter().flat_map(|run| &run.rows);
        rows.inspect(|row| assert_eq!(row.fell, 0)).map(|row| row.amount.mantissa()).sum()
    }
}

#[tokio::test]
async fn what_came_before_the_time_is_stored_with_it() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    for _ in 0..30 {
        machine.pass(MINUTE);
        machine.read().await;
    }
    assert_eq!(machine.sent().await, [], "nobody knows yet when it was");
    assert_eq!(machine.stored().await, []);
    assert_eq!(machine.day.store.writer().stamp().await.unwrap(), 30);
    machine.sync();
    assert_eq!(machine.day.store.writer().stamp().await.unwrap(), 0);
    machine.everything_once(&[1]).await;
    for _ in 0..30 {
        machine.pass(MINUTE);
        machine.read().await;
    }
    machine.everything_once(&[1]).await;
}

#[tokio::test]
async fn the_next_round_brings_those_before_it_along() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.pass(MINUTE);
    machine.read().await;
    machine.pass(MINUTE);
    machine.sync();
    machine.read().await;
    machine.everything_once(&[1]).await;
}

/// A round was asked before the clock was set, and is committed after it.
#[tokio::test]
async fn a_round_on_its_way_gets_its_time() {
    let day = empty().unwrap();
    let clock = Arc::clone(&day.clock);
    let asked =
        Moment { trust: Trust::Untrusted, wall: chrono::DateTime::UNIX_EPOCH, ..clock.now() };
    clock.pass(Duration::from_secs(20));
    let volume = reading("volume", 7, 0, Unit::Litre, asked);
    let round = vec![answer(COLD, "20110815", asked, vec![(volume, Kind::Counter)])];
    assert_eq!(day.store.writer().commit(round).await.unwrap().count, 1);
    let sent = day.store.outbox().batch(0, 10).await.unwrap().readings;
    assert_eq!(sent[0].at_ms, clock.now().wall_ms() - 20_000);
}

#[tokio::test]
async fn a_start_of_the_gateway_alone_changes_nothing() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.pass(MINUTE);
    machine.read().await;
    let KnownDay { store, dir, clock } = std::mem::replace(&mut machine.day, empty().unwrap());
    store.close().unwrap();
    machine.pass(MINUTE);
    let (store, _) = store::testing::open(dir.path(), &clock).unwrap();
    machine.day = KnownDay { store, clock, dir };
    assert_eq!(machine.day.store.writer().stamp().await.unwrap(), 1);
    machine.sync();
    machine.read().await;
    machine.everything_once(&[1]).await;
}

/// What can be said of a boot whose clock was never set: after what was stored before it, before the boot
/// that came after it.
#[tokio::test]
async fn a_boot_that_never_knew_the_time_lies_between_its_neighbours() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.sync();
    for _ in 0..3 {
        machine.pass(MINUTE);
        machine.read().await;
    }
    let last_known = machine.real_ms;
    for off in [3 * 3600, 600] {
        machine.boot(Duration::from_secs(off));
        for _ in 0..3 {
            machine.pass(MINUTE);
            machine.read().await;
        }
    }
    machine.boot(Duration::from_secs(90));
    let began = machine.real_ms;
    machine.pass(MINUTE);
    machine.read().await;
    machine.sync();
    machine.day.store.writer().stamp().await.unwrap();
    machine.everything_once(&[1, 4]).await;
    let stored = machine.stored().await;
    let between = &stored[3..9];
    assert!(between.iter().all(|it| last_known < it.at_ms && it.at_ms <= began));
    assert_eq!(between[5].at_ms, began, "as if it had started again at once");
    assert_eq!(between[5].at_ms - between[4].at_ms, MINUTE_MS, "what its own clock says holds");
    let off = machine.day.store.readers().ask(move |it| it.gaps(COLD, 0..i64::MAX)).await.unwrap();
    assert_eq!(off, [], "it answered whenever it was asked");
}

#[tokio::test]
async fn a_meter_that_is_silent_meanwhile_is_so_afterwards() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.pass(MINUTE);
    machine.read().await;
    machine.pass(MINUTE);
    let round = vec![silence(COLD, machine.clock.now())];
    machine.day.store.writer().commit(round).await.unwrap();
    machine.sync();
    machine.day.store.writer().stamp().await.unwrap();
    let sent = machine.sent().await;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].series, sent[0].series, "an absence of what it had told");
    assert_eq!(sent[1].at_ms, MIDNIGHT_MS + 2 * MINUTE_MS);
}

/// A series, and the schedule, begin when they did and not in 1970.
#[tokio::test]
async fn what_begins_meanwhile_begins_at_its_time() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.day.store.writer().schedule(0, vec![(COLD, 60)]).await.unwrap();
    for _ in 0..29 {
        machine.pass(MINUTE);
        machine.read().await;
    }
    machine.sync();
    machine.day.store.writer().stamp().await.unwrap();
    let points = machine.day.store.readers().ask(|it| Ok(it.points(COLD))).await.unwrap();
    assert_eq!(points[0].series[0].begins_ms, MIDNIGHT_MS + MINUTE_MS);
    let runs = machine
        .day
        .store
        .readers()
        .ask(|it| it.levels(COLD, &register("volume"), 0..i64::MAX, Step::Quarter))
        .await
        .unwrap();
    let expected: u32 = runs[0].rows.iter().map(|row| row.coverage.expected).sum();
    assert!((29..=31).contains(&expected), "{expected} of a schedule of half an hour");
    // The next start knows it, too.
    machine.boot(Duration::from_secs(1));
    let points = machine.day.store.readers().ask(|it| Ok(it.points(COLD))).await.unwrap();
    assert_eq!(points[0].series[0].begins_ms, MIDNIGHT_MS + MINUTE_MS);
}

/// Another meter's history, and what it was, is left alone.
#[tokio::test]
async fn what_is_stored_stays_as_it_was() {
    let day = known_day().await.unwrap();
    let before = day.store.outbox().batch(0, 10_000).await.unwrap().readings;
    let end = day.clock.now().wall_ms();
    let mut machine = Machine::with(day, end);
    let at = machine.clock.now();
    let energy = reading("energy", 99_000, 3, Unit::Gigajoule, at);
    let round = vec![answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)])];
    machine.day.store.writer().commit(round).await.unwrap();
    machine.pass(MINUTE);
    machine.sync();
    machine.day.store.writer().stamp().await.unwrap();
    let after = machine.sent().await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);
    let last = after[before.len()];
    assert_eq!((last.at_ms, last.origin, last.value), (end, Origin::Live, Ok(99_000)));
}

/// Between boots of which nobody knows the time the machine was switched off in order, or lost its power;
/// and that is told of the time in between, and of no other.
#[tokio::test]
async fn why_it_was_off_between_boots_that_wait_is_told_of_that_time() {
    for goodbyes in [[true, true, true], [true, false, true], [false, true, false]] {
        let mut machine = Machine::started(MIDNIGHT_MS);
        machine.sync();
        machine.day.store.writer().schedule(MIDNIGHT_MS, vec![(COLD, 900)]).await.unwrap();
        machine.read().await;
        for goodbye in goodbyes {
            machine.reboot(Duration::from_hours(2), goodbye);
            machine.pass(MINUTE);
            machine.read().await;
        }
        machine.sync();
        machine.read().await;
        let stored: Vec<i64> = machine.stored().await.iter().map(|it| it.at_ms).collect();
        let expected = goodbyes.map(|goodbye| if goodbye { "gateway_off" } else { "power_off" });
        // What is not the time of a row is estimated: the order holds.
        let outages = machine.outages();
        let causes: Vec<&str> = outages.iter().map(|(_, cause)| cause.as_str()).collect();
        assert_eq!(causes, expected, "{outages:?}");
        for (((from, _), _), before) in outages.iter().zip(&stored) {
            assert!(from >= before, "{outages:?} after {stored:?}");
        }
    }
}

/// The gateway was off, went on, and much later nobody knew the time any more: what was before is told once.
#[tokio::test]
async fn an_outage_that_is_over_is_not_told_of_a_later_time() {
    let mut machine = Machine::started(MIDNIGHT_MS);
    machine.sync();
    machine.read().await;
    machine.boot(Duration::from_hours(2));
    machine.sync();
    for _ in 0..3 {
        machine.read().await;
        machine.pass(Duration::from_hours(1));
    }
    machine.clock.trust(Trust::Untrusted);
    machine.read().await;
    machine.pass(MINUTE);
    machine.boot(MINUTE);
    machine.pass(MINUTE);
    machine.sync();
    machine.read().await;
    let outages = machine.outages();
    let longest = outages.iter().map(|((from, until), _)| until - from).max();
    assert_eq!(longest, Some(2 * HOUR_MS), "{outages:?}");
    assert_eq!(outages[0].0.0, MIDNIGHT_MS, "{outages:?}");
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Read,
    /// The clock is set by so much, by somebody who does not know either.
    Set(i64),
    Sync,
    /// Switched off for so many seconds.
    Off(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        12 => Just(Turn::Read),
        1 => prop::sample::select(vec![-YEAR_MS, -HOUR_MS, -1_000, 1_000, HOUR_MS, 30 * YEAR_MS])
            .prop_map(Turn::Set),
        1 => Just(Turn::Sync),
        1 => (1..20_000_u64).prop_map(Turn::Off),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Over both nights in which the clocks change, a leap day and the end of a year.
    #[test]
    fn no_reading_is_lost_or_doubled_whatever_the_clock_does(
        start in prop::sample::select(vec![
            "2026-03-28T23:30:00Z", "2026-10-24T23:30:00Z", "2028-02-28T23:30:00Z",
            "2026-12-31T22:30:00Z",
        ]),
        turns in prop::collection::vec(turn(), 1..60),
    ) {
        let start = start.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut machine = Machine::started(start);
            let (mut known, mut synced) = (Vec::new(), false);
            for turn in turns {
                machine.pass(MINUTE);
                match turn {
                    Turn::Read => machine.read().await,
                    Turn::Set(by) if !synced => machine.clock.set(machine.clock.now().wall_ms() + by),
                    Turn::Set(_) => {}
                    Turn::Sync => {
                        machine.sync();
                        machine.day.store.writer().stamp().await.unwrap();
                        synced = true;
                        known.push(machine.boots);
                    }
                    Turn::Off(seconds) => {
                        machine.boot(Duration::from_secs(seconds));
                        synced = false;
                    }
                }
            }
            machine.pass(MINUTE);
            machine.sync();
            known.push(machine.boots);
            machine.read().await;
            machine.everything_once(&known).await;
        });
    }
}

/// A look of a clock that is right, for comparison.
#[test]
fn a_known_time_waits_for_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let day = empty().unwrap();
        let at = moment(MIDNIGHT_MS);
        let volume = reading("volume", 1, 0, Unit::Litre, at);
        let round = vec![answer(COLD, "20110815", at, vec![(volume, Kind::Counter)])];
        assert_eq!(day.store.writer().commit(round).await.unwrap().count, 1);
        assert_eq!(day.store.writer().stamp().await.unwrap(), 0);
    });
}
