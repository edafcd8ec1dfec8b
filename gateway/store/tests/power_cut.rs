//! The power goes at any instant, and the disk has written what it liked of what was not synced.
//!
//! A store is written to, packed, sealed, rolled up, audited and configured once, over a disk that remembers
//! the order of all writes; then that is cut at `FYRHUS_CUTS` instants (2,000 without it), and each disk that is found is
//! opened. The control does the same over a disk on which logs are not synced, as `synchronous = NORMAL`
//! does, and has to find losses. `PROPTEST_RNG_SEED` decides where is cut, and what survives.
//!
//! Then every call to the disk fails, one after the other: once, for a while, and until the process ends.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use faultfs::{Dice, Fault, Image, Op, Replay, Rule, disk};
use metering::{Clock, Unit};
use store::testing::{COLD, FixedClock, HEAT, MIDNIGHT_MS, answer, moment, reading, register};
use store::{Kind, MeterRound, Options, Sign, Step, Store};
use tokio::runtime::Runtime;

fn open(dir: &Path, clock: &Arc<FixedClock>) -> (Store, store::OpenReport) {
    let time_zone = chrono_tz::Europe::Oslo;
    let options = Options { dir: dir.to_owned(), time_zone, ballast_bytes: 0 };
    Store::open(options, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// Two readings, whose values follow from the round's number; a round takes eight minutes.
fn round(number: i64) -> Vec<MeterRound> {
    let at = moment(MIDNIGHT_MS + number * 480_000);
    let energy = reading("energy", number, 3, Unit::Gigajoule, at);
    let volume = reading("volume", 2 * number, 0, Unit::Litre, at);
    vec![
        answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)]),
        answer(COLD, "20110815", at, vec![(volume, Kind::Counter)]),
    ]
}

/// Commits, packs and rolls up; marks what was acknowledged.
fn live(runtime: &Runtime, store: &Store, clock: &FixedClock, rounds: std::ops::Range<i64>) {
    runtime.block_on(async {
        for number in rounds {
            clock.set(MIDNIGHT_MS + number * 480_000);
            let stored = store.writer().commit(round(number)).await.unwrap();
            disk().mark(stored.first_seq + stored.count - 1);
            if number % 40 == 0 {
                store.writer().pack().await.unwrap();
            }
            if number % 70 == 0 {
                store.writer().seal(sign()).await.unwrap();
            }
            if number % 60 == 0 {
                let (core, text) = (store.core(), number.to_string());
                core.audit("kari".into(), "login".into(), text.clone()).await.unwrap();
                let why = String::new();
                core.save_version(text, "kari".into(), why, None, sign()).await.unwrap();
                store.writer().sign_history(sign()).await.unwrap();
            }
            if number % 90 == 0 {
                store.writer().flush().await.unwrap();
            }
        }
    });
}

/// Nobody checks it here.
fn sign() -> Arc<Sign> {
    Arc::new(|_| [7; 64])
}

/// What became of a disk: whether it is whole, and the readings that are there.
fn found(runtime: &Runtime, image: &Image, from: &Path) -> Result<u64, String> {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in &image.files {
        fs::write(dir.path().join(path.strip_prefix(from).unwrap()), bytes).unwrap();
    }
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, report) = open(dir.path(), &clock);
    if let Some(damage) = report.damaged.first() {
        return Err(damage.to_string());
    }
    let head = runtime.block_on(async {
        let mut after = 0;
        while after < report.head {
            let batch = store.outbox().batch(after, 10_000).await.unwrap();
            if let Some(lost) = batch.lost {
                return Err(format!("{lost:?}"));
            }
            for reading in batch.readings {
                let number = i64::try_from(reading.seq.div_ceil(2)).unwrap();
                let value = if reading.seq % 2 == 1 { number } else { 2 * number };
                if reading.seq != after + 1 || reading.value != Ok(value) {
                    return Err(format!("{reading:?} after {after}"));
                }
                after = reading.seq;
            }
        }
        Ok(after)
    })?;
    let counted = counted(runtime, &store);
    let history = runtime.block_on(store.core().history()).unwrap();
    let versions = history.versions.iter().filter_map(|it| it.fault.clone());
    let log = history.audit.fault.iter().map(|it| it.why.clone());
    let signed = history.head.iter().filter_map(|it| it.fault.clone());
    if let Some(broken) = versions.chain(log).chain(signed).next() {
        return Err(broken);
    }
    drop(store);
    if counted == head.div_ceil(2) { Ok(head) } else { Err(format!("{counted} of {head} counted")) }
}

/// How many readings of the first meter the roll-ups tell of: every other one.
fn counted(runtime: &Runtime, store: &Store) -> u64 {
    let readers = store.readers();
    let all = i64::MIN..i64::MAX;
    let levels = readers.ask(move |it| it.levels(HEAT, &register("energy"), all, Step::Month));
    let runs = runtime.block_on(levels).unwrap();
    runs.iter().flat_map(|run| &run.rows).map(|row| u64::from(row.count)).sum()
}

/// Cuts at so many instants from the first mark on; disks that are damaged, and those that have lost
/// something that was acknowledged.
fn cuts(runtime: &Runtime, ops: &[Op], from: &Path, rule: Rule, count: usize) -> (usize, usize) {
    let mut dice = Dice::new(number("PROPTEST_RNG_SEED").unwrap_or(20_261_122));
    let first = ops.iter().position(|op| matches!(op, Op::Mark(_))).unwrap();
    let span = u64::try_from(ops.len() - first).unwrap();
    let mut instants: Vec<usize> =
        (0..count).map(|_| first + 1 + usize::try_from(dice.roll(span)).unwrap()).collect();
    instants.sort_unstable();
    let mut replay = Replay::new(ops, rule);
    let (mut damaged, mut lossy) = (0, 0);
    for instant in instants {
        let image = replay.cut(instant, &mut dice);
        match found(runtime, &image, from) {
            Err(what) => {
                damaged += 1;
                println!("cut after {instant}: {what}");
            }
            Ok(head) if head < image.mark.unwrap() => lossy += 1,
            Ok(_) => {}
        }
    }
    (damaged, lossy)
}

/// Of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One test, since the disk is the process's.
#[test]
fn power_cuts_and_failing_disks() {
    faultfs::install();
    disk().be_lazy();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    a_power_cut_takes_nothing_that_was_acknowledged(&runtime);
    what_cannot_be_read_is_neither_lost_nor_damaged(&runtime);
    a_call_that_fails_costs_at_most_its_round(&runtime);
    a_repair_that_is_interrupted_costs_nothing(&runtime);
}

fn a_power_cut_takes_nothing_that_was_acknowledged(runtime: &Runtime) {
    let count = number("FYRHUS_CUTS").and_then(|it| it.try_into().ok()).unwrap_or(2_000);
    let dir = tempfile::tempdir().unwrap();
    let from = fs::canonicalize(dir.path()).unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    disk().record();
    let (store, _) = open(&from, &clock);
    live(runtime, &store, &clock, 1..700);
    let ops = disk().recorded();
    store.close().unwrap();

    let (damaged, lossy) = cuts(runtime, &ops, &from, Rule::Synced, count);
    println!(
        "{count} power cuts in {} operations: {damaged} damaged, {lossy} lost readings",
        ops.len()
    );
    assert_eq!((damaged, lossy), (0, 0));
    let control = count.min(60);
    let (damaged, lossy) = cuts(runtime, &ops, &from, Rule::LogsAreNotSynced, control);
    println!("{control} without syncs of the logs: {damaged} damaged, {lossy} lost readings");
    assert!(lossy > 0, "the control finds what the syncs are for");
}

/// Until the process ends.
const FOR_EVER: u64 = u64::MAX;

/// Each call to the disk fails once, from there on for a while, or for ever: what was acknowledged before is
/// there, and it goes on when the disk does.
fn a_call_that_fails_costs_at_most_its_round(runtime: &Runtime) {
    for (fault, counts) in [
        (Fault::Full, &[1, FOR_EVER][..]),
        (Fault::Io, &[1, 50, FOR_EVER]),
        (Fault::ReadOnly, &[FOR_EVER]),
    ] {
        for count in counts.iter().copied() {
            let mut first = 0;
            while fails(runtime, first, count, fault) > first {
                first += 1;
            }
            let times =
                if count == FOR_EVER { "for ever".to_owned() } else { format!("{count} times") };
            println!("{fault:?} {times}, at each of {first} calls");
        }
    }
}

/// The disk fails `count` times from a call on. Returns how many calls there were in all.
fn fails(runtime: &Runtime, first: u64, count: u64, fault: Fault) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, _) = open(dir.path(), &clock);
    let mut stored = 0;
    disk().fail(first, count, fault);
    runtime.block_on(async {
        let mut number = 1;
        for turn in 0..12 {
            clock.set(MIDNIGHT_MS + (200 * turn + number) * 480_000);
            if let Ok(done) = store.writer().commit(round(number)).await {
                assert_eq!(done.first_seq, stored + 1, "{fault:?} at {first}");
                stored = done.first_seq + done.count - 1;
                number += 1;
            }
            if turn % 4 == 3 {
                drop(store.writer().seal(sign()).await);
                drop(store.writer().pack().await);
                drop(store.writer().flush().await);
            }
        }
    });
    let calls = disk().calls();
    let store = if count == FOR_EVER {
        drop(store.close());
        disk().heal();
        let (store, report) = open(dir.path(), &clock);
        assert_eq!(report.damaged, [], "{fault:?} at {first}");
        // What was refused in the end may be there all the same; nobody will come with it once more.
        assert!([stored, stored + 2].contains(&report.head), "{fault:?} at {first}: {report:?}");
        stored = report.head;
        store
    } else {
        disk().heal();
        store
    };
    runtime.block_on(async {
        let number = i64::try_from(stored / 2).unwrap() + 1;
        let done = store.writer().commit(round(number)).await.unwrap();
        assert_eq!(done.first_seq, stored + 1, "{fault:?} at {first}");
        stored += done.count;
        store.writer().pack().await.unwrap();
    });
    drop(store.close());
    all_is_there(runtime, dir.path(), &clock, stored, &format!("{fault:?} at {first}"));
    calls
}

/// The store opens, undamaged, with the readings up to `stored`, each counted once.
fn all_is_there(runtime: &Runtime, dir: &Path, clock: &Arc<FixedClock>, stored: u64, after: &str) {
    let (store, report) = open(dir, clock);
    assert_eq!((report.head, report.damaged), (stored, vec![]), "{after}");
    let batch = runtime.block_on(store.outbox().batch(0, 10_000)).unwrap();
    assert_eq!(batch.lost, None);
    assert!(batch.readings.iter().map(|it| it.seq).eq(1..=stored), "{after}");
    assert_eq!(counted(runtime, &store), stored.div_ceil(2), "{after}");
    drop(store);
}

/// Each look at the disk fails once, or for ever: to open a file, to read it, to ask for its length, to
/// delete it. What cannot be read just now is not taken for damaged, and nothing is begun anew in its place.
fn what_cannot_be_read_is_neither_lost_nor_damaged(runtime: &Runtime) {
    let packed = tempfile::tempdir().unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, _) = open(packed.path(), &clock);
    live(runtime, &store, &clock, 1..60);
    store.close().unwrap();
    for count in [1, FOR_EVER] {
        let mut first = 0;
        while looks(runtime, packed.path(), first, count) > first {
            first += 1;
        }
        let times = if count == 1 { "once" } else { "for ever" };
        println!("an I/O error {times}, at each of {first} looks");
    }
}

/// A copy of a store, which cannot be looked at `count` times from a look on. Returns how many looks there
/// were in all.
fn looks(runtime: &Runtime, of: &Path, first: u64, count: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(of).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let clock = FixedClock::at(MIDNIGHT_MS + 60 * 480_000);
    let options = Options {
        dir: dir.path().to_owned(),
        time_zone: chrono_tz::Europe::Oslo,
        ballast_bytes: 0,
    };
    let mut stored = 118;
    disk().be_blind(first, count);
    if let Ok((store, report)) = Store::open(options, Arc::clone(&clock) as Arc<dyn Clock>) {
        assert_eq!((report.head, report.damaged), (118, vec![]), "look {first}");
        runtime.block_on(async {
            for turn in 0..3 {
                let number = i64::try_from(stored / 2).unwrap() + 1;
                if let Ok(done) = store.writer().commit(round(number)).await {
                    assert_eq!(done.first_seq, stored + 1, "look {first}");
                    stored += done.count;
                }
                clock.set(MIDNIGHT_MS + (200 * turn + number) * 480_000);
                drop(store.writer().pack().await);
                drop(store.writer().flush().await);
                drop(store.writer().scrub_all().await);
                drop(store.outbox().batch(0, 10_000).await);
            }
        });
        drop(store.close());
    }
    let looks = disk().looks();
    disk().heal();
    let (store, report) = open(dir.path(), &clock);
    assert_eq!(report.damaged, [], "look {first}");
    assert!([stored, stored + 2].contains(&report.head), "look {first}: {report:?}");
    store.close().unwrap();
    all_is_there(runtime, dir.path(), &clock, report.head, &format!("look {first}"));
    looks
}

/// The disk is full from any call of a repair on: whoever opens the store afterwards finds all that can be
/// read of the damaged file.
fn a_repair_that_is_interrupted_costs_nothing(runtime: &Runtime) {
    const ROUNDS: u64 = 60;
    let damaged = tempfile::tempdir().unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, _) = open(damaged.path(), &clock);
    runtime.block_on(async {
        for number in 1..=i64::try_from(ROUNDS).unwrap() {
            store.writer().commit(round(number)).await.unwrap();
        }
    });
    store.close().unwrap();
    let raw = rusqlite::Connection::open(damaged.path().join("raw-2026-03.db")).unwrap();
    let harm = "UPDATE spool SET blob = zeroblob(length(blob)) WHERE first_seq = 61";
    assert_eq!(raw.execute(harm, []).unwrap(), 1);
    drop(raw);

    let mut first = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        for file in fs::read_dir(damaged.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let options = Options {
            dir: dir.path().to_owned(),
            time_zone: chrono_tz::Europe::Oslo,
            ballast_bytes: 0,
        };
        disk().fail(first, u64::MAX, Fault::Full);
        let opened = Store::open(options, Arc::clone(&clock) as Arc<dyn Clock>);
        let calls = disk().calls();
        disk().heal();
        if let Ok((store, _)) = opened {
            store.close().unwrap();
        }
        let (store, _) = open(dir.path(), &clock);
        let (mut readings, mut after) = (0, 0);
        while after < 2 * ROUNDS {
            let batch = runtime.block_on(store.outbox().batch(after, 1000)).unwrap();
            readings += batch.readings.len();
            let last = batch.readings.last().map(|it| it.seq).max(batch.lost.map(|it| it.to));
            after = last.unwrap();
        }
        assert_eq!(readings, 118, "full from call {first} on");
        let left = fs::read_dir(dir.path()).unwrap();
        let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
        let half = |name: &std::ffi::OsString| name.to_string_lossy().contains(".sav");
        assert!(!left.iter().any(half), "{left:?}");
        drop(store);
        if calls <= first {
            break;
        }
        first += 1;
    }
    println!("a repair on a disk that is full from each of {first} calls on");
}
