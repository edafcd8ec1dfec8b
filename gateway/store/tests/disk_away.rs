//! The disk turns read-only, fails, goes away and comes back: what was stored is there, what was refused
//! is stored when it comes again, and a disk that is another one is left alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use faultfs::{Fault, disk};
use metering::{Clock, Unit};
use store::testing::{FixedClock, HEAT, MIDNIGHT_MS, answer, moment, reading};
use store::{Away, Kind, MeterRound, Options, Store, StoreError};
use tokio::runtime::Runtime;

fn open(dir: &Path, clock: &Arc<FixedClock>) -> Store {
    let time_zone = chrono_tz::Europe::Oslo;
    let options = Options { dir: dir.to_owned(), time_zone, ballast_bytes: 0 };
    Store::open(options, Arc::clone(clock) as Arc<dyn Clock>).unwrap().0
}

/// The value is the number that it will have.
fn round(number: u64) -> Vec<MeterRound> {
    let number = i64::try_from(number).unwrap();
    let at = moment(MIDNIGHT_MS + number * 60_000);
    let energy = reading("energy", number, 3, Unit::Gigajoule, at);
    vec![answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)])]
}

fn commit(runtime: &Runtime, store: &Store, number: u64) -> Result<(), StoreError> {
    let stored = runtime.block_on(store.writer().commit(round(number)))?;
    assert_eq!((stored.first_seq, stored.count), (number, 1));
    Ok(())
}

fn all_is_there(runtime: &Runtime, store: &Store, head: u64) {
    let batch = runtime.block_on(store.outbox().batch(0, 10_000)).unwrap();
    assert_eq!(batch.lost, None);
    let found: Vec<_> = batch.readings.iter().map(|it| (it.seq, it.value.unwrap())).collect();
    assert_eq!(found, (1..=head).zip(1..).collect::<Vec<_>>());
}

/// The disk does so from now on; whatever is asked of the store says so, and afterwards all goes on.
fn check(runtime: &Runtime, fault: Fault, expected: Away, sentence: &str) {
    let dir = tempfile::tempdir().unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    let store = open(dir.path(), &clock);
    for number in 1..=20 {
        commit(runtime, &store, number).unwrap();
    }
    disk().fail(0, u64::MAX, fault);
    for _ in 0..3 {
        let error = commit(runtime, &store, 21).unwrap_err();
        assert!(matches!(error, StoreError::Away { how, .. } if how == expected), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "the disk of {} {sentence}: nothing is stored until it works again; look at its \
                 plug, its power and its health",
                dir.path().display()
            )
        );
        assert!(runtime.block_on(store.writer().flush()).is_err());
    }
    disk().heal();
    for number in 21..=40 {
        commit(runtime, &store, number).unwrap();
    }
    all_is_there(runtime, &store, 40);
    let levels = runtime.block_on(store.readers().ask(|it| {
        let register = store::testing::register("energy");
        it.levels(HEAT, &register, MIDNIGHT_MS..MIDNIGHT_MS + 86_400_000, store::Step::Day)
    }));
    let counts: Vec<u32> =
        levels.unwrap().iter().flat_map(|it| &it.rows).map(|it| it.count).collect();
    assert_eq!(counts, [40], "nothing is counted twice");
    store.close().unwrap();
    let store = open(dir.path(), &clock);
    all_is_there(runtime, &store, 40);
}

/// One test, since the disk is the process's.
#[test]
fn a_disk_that_comes_back_is_gone_on_with() {
    faultfs::install();
    disk().be_lazy();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    check(&runtime, Fault::ReadOnly, Away::ReadOnly, "has become read-only");
    check(&runtime, Fault::Io, Away::Failing, "fails");
    check(&runtime, Fault::Gone, Away::Failing, "fails");
    a_store_is_opened_when_the_disk_is_there(&runtime);
    what_is_not_there_is_waited_for(&runtime);
    another_disk_is_left_alone(&runtime);
}

/// A gateway is started while its disk takes nothing, and hears so.
fn a_store_is_opened_when_the_disk_is_there(runtime: &Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let clock = FixedClock::at(MIDNIGHT_MS);
    let store = open(dir.path(), &clock);
    commit(runtime, &store, 1).unwrap();
    store.close().unwrap();
    for (fault, how) in [(Fault::ReadOnly, Away::ReadOnly), (Fault::Gone, Away::Failing)] {
        disk().fail(0, u64::MAX, fault);
        let options = Options {
            dir: dir.path().to_owned(),
            time_zone: chrono_tz::Europe::Oslo,
            ballast_bytes: 0,
        };
        let refused = Store::open(options, Arc::clone(&clock) as Arc<dyn Clock>);
        let told = refused.map(drop).unwrap_err();
        assert!(matches!(told, StoreError::Away { how: it, .. } if it == how), "{told:?}");
        disk().heal();
    }
    let store = open(dir.path(), &clock);
    all_is_there(runtime, &store, 1);
}

/// The mount point is empty, and nothing is begun in it.
fn what_is_not_there_is_waited_for(runtime: &Runtime) {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, elsewhere) = (scratch.path().join("data"), scratch.path().join("elsewhere"));
    let clock = FixedClock::at(MIDNIGHT_MS);
    let store = open(&dir, &clock);
    commit(runtime, &store, 1).unwrap();
    fs::rename(&dir, &elsewhere).unwrap();
    fs::create_dir(&dir).unwrap();
    disk().fail(0, u64::MAX, Fault::Gone);
    assert!(commit(runtime, &store, 2).is_err());
    disk().heal();
    let error = commit(runtime, &store, 2).unwrap_err();
    assert!(matches!(error, StoreError::Away { how: Away::Gone, .. }), "{error:?}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing is made where the disk was");
    fs::remove_dir(&dir).unwrap();
    fs::rename(&elsewhere, &dir).unwrap();
    commit(runtime, &store, 2).unwrap();
    all_is_there(runtime, &store, 2);
    store.close().unwrap();
}

/// Yesterday's copy of the disk is in the slot, and then a disk that was never ours.
fn another_disk_is_left_alone(runtime: &Runtime) {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, copy) = (scratch.path().join("data"), scratch.path().join("copy"));
    let clock = FixedClock::at(MIDNIGHT_MS);
    let store = open(&dir, &clock);
    commit(runtime, &store, 1).unwrap();
    store::backup(&dir, &copy).unwrap();
    commit(runtime, &store, 2).unwrap();
    disk().fail(0, u64::MAX, Fault::Gone);
    assert!(commit(runtime, &store, 3).is_err());
    disk().heal();
    fs::rename(&dir, scratch.path().join("ours")).unwrap();
    fs::rename(&copy, &dir).unwrap();
    let error = commit(runtime, &store, 3).unwrap_err();
    assert!(matches!(error, StoreError::Exchanged { .. }), "{error:?}");
    fs::remove_dir_all(&dir).unwrap();
    open(&dir, &clock).close().unwrap();
    let error = commit(runtime, &store, 3).unwrap_err();
    assert!(matches!(error, StoreError::Exchanged { .. }), "{error:?}");
    fs::remove_dir_all(&dir).unwrap();
    fs::rename(scratch.path().join("ours"), &dir).unwrap();
    commit(runtime, &store, 3).unwrap();
    all_is_there(runtime, &store, 3);
}
