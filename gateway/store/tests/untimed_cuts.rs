//! The power goes, or the process is killed, while readings wait for the time and while they get it: each
//! that was called kept is there once.
//!
//! `FYRHUS_CUTS` is at how many instants the power goes (400 without it), `PROPTEST_RNG_SEED` decides where.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faultfs::{Dice, Fault, Image, Op, Replay, Rule, disk};
use metering::{Clock, Moment, Trust, Unit};
use store::testing::{COLD, FixedClock, MIDNIGHT_MS, answer, reading};
use store::{Kind, Options, Store};
use tokio::runtime::Runtime;

const MINUTE: Duration = Duration::from_mins(1);

/// One test, since the disk is the process's.
#[test]
fn what_waits_for_the_time_survives_as_what_is_stored_does() {
    faultfs::install();
    disk().be_lazy();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    a_power_cut_takes_and_doubles_nothing(&runtime);
    nor_does_a_kill_between_two_failures(&runtime);
}

/// A machine that shows 1970 when it is started.
fn boot(id: u128) -> Arc<FixedClock> {
    FixedClock::of(Moment {
        wall: chrono::DateTime::UNIX_EPOCH,
        boottime: Duration::ZERO,
        boot_id: id,
        trust: Trust::Untrusted,
    })
}

fn sync(clock: &FixedClock) {
    clock.set(MIDNIGHT_MS);
    clock.trust(Trust::Synced);
}

fn open(dir: &Path, clock: &Arc<FixedClock>) -> (Store, store::OpenReport) {
    let time_zone = chrono_tz::Europe::Oslo;
    let options = Options { dir: dir.to_owned(), time_zone, ballast_bytes: 0 };
    Store::open(options, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// Keeps the readings with these values, one by one; how many were taken.
fn read(
    runtime: &Runtime,
    store: &Store,
    clock: &FixedClock,
    values: std::ops::RangeInclusive<i64>,
) -> u64 {
    let mut taken = 0;
    for value in values {
        clock.pass(MINUTE);
        let at = clock.now();
        let volume = reading("volume", value, 0, Unit::Litre, at);
        let mut round = answer(COLD, "20110815", at, vec![(volume, Kind::Counter)]);
        round.cycle = value.unsigned_abs();
        if runtime.block_on(store.writer().commit(vec![round])).is_err() {
            break;
        }
        taken = value.unsigned_abs();
        disk().mark(taken);
    }
    taken
}

/// The values that are there once a last start knows the time, in the order of their numbers.
fn values(runtime: &Runtime, dir: &Path) -> Vec<i64> {
    let clock = boot(99);
    sync(&clock);
    let (store, report) = open(dir, &clock);
    assert_eq!(report.damaged, []);
    runtime.block_on(async {
        assert_eq!(store.writer().stamp().await.unwrap(), 0);
        let batch = store.outbox().batch(0, 10_000).await.unwrap();
        assert_eq!(batch.lost, None);
        batch.readings.iter().map(|it| it.value.unwrap()).collect()
    })
}

/// Each once, in their order, up to at least the last that was taken.
fn whole(values: &[i64], taken: u64) -> bool {
    let count = i64::try_from(values.len()).unwrap();
    values.iter().copied().eq(1..=count) && count.unsigned_abs() >= taken
}

fn a_power_cut_takes_and_doubles_nothing(runtime: &Runtime) {
    let count = number("FYRHUS_CUTS").and_then(|it| it.try_into().ok()).unwrap_or(400);
    let dir = tempfile::tempdir().unwrap();
    let from = fs::canonicalize(dir.path()).unwrap();
    disk().record();
    // Two boots that never knew the time, and one that gets to know it.
    for (id, first) in [(1, 1), (2, 21)] {
        let clock = boot(id);
        let (store, _) = open(&from, &clock);
        assert_eq!(read(runtime, &store, &clock, first..=first + 19), first.unsigned_abs() + 19);
        store.close().unwrap();
    }
    let clock = boot(3);
    let (store, _) = open(&from, &clock);
    read(runtime, &store, &clock, 41..=60);
    sync(&clock);
    runtime.block_on(store.writer().stamp()).unwrap();
    read(runtime, &store, &clock, 61..=80);
    let ops = disk().recorded();
    store.close().unwrap();

    let mut dice = Dice::new(number("PROPTEST_RNG_SEED").unwrap_or(20_261_122));
    let first = ops.iter().position(|op| matches!(op, Op::Mark(_))).unwrap();
    let span = u64::try_from(ops.len() - first).unwrap();
    let mut instants: Vec<usize> =
        (0..count).map(|_| first + 1 + usize::try_from(dice.roll(span)).unwrap()).collect();
    instants.sort_unstable();
    let mut replay = Replay::new(&ops, Rule::Synced);
    for instant in instants {
        let image = replay.cut(instant, &mut dice);
        let there = written(runtime, &image, &from);
        let taken = image.mark.unwrap();
        assert!(whole(&there, taken), "cut after {instant}, {taken} were taken: {there:?}");
    }
    println!("{count} power cuts in {} operations while readings waited", ops.len());
}

fn written(runtime: &Runtime, image: &Image, from: &Path) -> Vec<i64> {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in &image.files {
        fs::write(dir.path().join(path.strip_prefix(from).unwrap()), bytes).unwrap();
    }
    values(runtime, dir.path())
}

/// A call fails while what waited is stored, and so does one of those that come after it; then the process
/// is killed. What a failed call wrote may be there all the same, and is not stored once more.
fn nor_does_a_kill_between_two_failures(runtime: &Runtime) {
    const READINGS: i64 = 5;
    let waiting = tempfile::tempdir().unwrap();
    let clock = boot(1);
    let (store, _) = open(waiting.path(), &clock);
    read(runtime, &store, &clock, 1..=READINGS);
    // Nobody writes any more when its files are copied.
    store.close().unwrap();

    let mut kills = 0;
    let mut first = 0;
    loop {
        let mut second = 0;
        let calls = loop {
            let dir = copy(waiting.path());
            let clock = boot(1);
            clock.pass(10 * MINUTE);
            let (store, _) = open(dir.path(), &clock);
            sync(&clock);
            disk().fail(first, 1, Fault::Io);
            let stamped = runtime.block_on(store.writer().stamp()).is_ok();
            let calls = disk().calls();
            disk().fail(second, u64::MAX, Fault::Io);
            let again = runtime.block_on(store.writer().stamp()).is_ok();
            let killed = copy(dir.path());
            disk().heal();
            let there = values(runtime, killed.path());
            let taken = READINGS.unsigned_abs();
            assert!(whole(&there, taken), "calls {first} and {second} fail: {there:?}");
            kills += 1;
            if stamped || again {
                break calls;
            }
            second += 1;
        };
        first += 1;
        if calls <= first {
            break;
        }
    }
    println!("{kills} kills between two failures of the disk while readings got their time");
}

/// As a process that is killed leaves it: all that it wrote.
fn copy(of: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(of).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    dir
}

/// Of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
