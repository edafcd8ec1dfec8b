//! What was damaged is had again out of the meter's memory, and no sum grows by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use metering::{Origin, Quality, Quantity, Unit};
use store::testing::{
    HEAT, KnownDay, MIDNIGHT_MS, answer, empty, moment, open, reading, register, resolution,
};
use store::{Kind, MeterRound, Order, Remembered, Step, Store};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The meter is read every hour and counts one each time.
fn round(hour: i64, memory: &[i64]) -> MeterRound {
    let at = moment(MIDNIGHT_MS + hour * HOUR);
    let energy = reading("energy", 1_000 + hour, 0, Unit::KilowattHour, at);
    let remembered = memory.iter().map(|hour| Remembered {
        register: register("energy"),
        at_ms: MIDNIGHT_MS + hour * HOUR,
        quantity: Quantity::new(1_000 + hour, resolution(0, Unit::KilowattHour)),
        quality: Quality::Good,
    });
    let answer = answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)]);
    MeterRound { remembered: remembered.collect(), ..answer }
}

/// The hours of which there are readings, and where those came from.
async fn told(store: &Store) -> Vec<(i64, i64, Origin)> {
    let ask = |it: &store::Snapshot<'_>| {
        it.readings(HEAT, &register("energy"), 0..i64::MAX, Order::OldestFirst, 1_000)
    };
    let readings = store.readers().ask(ask).await.unwrap().into_iter();
    let hour = |at_ms: i64| (at_ms - MIDNIGHT_MS) / HOUR;
    readings.map(|it| (hour(it.at_ms), it.value.unwrap().mantissa(), it.origin)).collect()
}

/// What the sums of quarter hours and days have counted, but for the newest day.
async fn counted(store: &Store) -> Vec<(i64, u32, i64)> {
    let mut all = Vec::new();
    for step in [Step::Quarter, Step::Day] {
        let span = MIDNIGHT_MS..MIDNIGHT_MS + 2 * DAY;
        let ask = move |it: &store::Snapshot<'_>| it.levels(HEAT, &register("energy"), span, step);
        let runs = store.readers().ask(ask).await.unwrap();
        let rows = runs.iter().flat_map(|run| &run.rows);
        all.extend(rows.map(|row| (row.start_ms, row.count, row.last)));
    }
    all
}

#[tokio::test]
async fn a_damaged_block_is_filled_from_the_meters_memory_and_counted_once() {
    let KnownDay { store, clock, dir } = empty().unwrap();
    for hour in 0..72 {
        clock.set(MIDNIGHT_MS + hour * HOUR + 1);
        store.writer().commit(vec![round(hour, &[])]).await.unwrap();
    }
    clock.pass(Duration::from_hours(6));
    store.writer().pack().await.unwrap();
    let (before, sums) = (told(&store).await, counted(&store).await);
    assert_eq!(before.len(), 72);

    let db = rusqlite::Connection::open(dir.path().join("raw-2026-03.db")).unwrap();
    let one = "UPDATE block SET crc32c = crc32c + 1
                WHERE id = (SELECT id FROM block ORDER BY id LIMIT 1
                            OFFSET (SELECT COUNT(*) / 2 FROM block))";
    assert_eq!(db.execute(one, []).unwrap(), 1);
    drop(db);
    let damages = store.writer().scrub_all().await.unwrap();
    assert_eq!(damages.len(), 1, "{damages:?}");
    let left = told(&store).await;
    let gone: Vec<i64> =
        before.iter().map(|it| it.0).filter(|hour| left.iter().all(|it| it.0 != *hour)).collect();
    assert!(gone.first().is_some_and(|hour| *hour > 0), "{gone:?}");
    assert_eq!(counted(&store).await, sums, "the sums are in another file");

    // After a start it is still known. The meter remembers an hour that is gone, and one that is not.
    store.close().unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    let lost = *gone.first().unwrap();
    for hour in [78, 79, 80] {
        clock.set(MIDNIGHT_MS + hour * HOUR + 1);
        store.writer().commit(vec![round(hour, &[lost, 71])]).await.unwrap();
    }
    let found = told(&store).await;
    let again: Vec<_> = found.iter().filter(|it| it.2 == Origin::MeterMemory).collect();
    assert_eq!(again, [&(lost, 1_000 + lost, Origin::MeterMemory)], "once, and nothing else");
    assert_eq!(counted(&store).await, sums);
    let said = store.core().damages().await.unwrap();
    assert!(said[0].starts_with("1 of the damaged readings of meter"), "{said:?}");

    // The power goes: nothing is counted a second time.
    drop(store);
    let (store, report) = loop {
        // The thread of the store that was dropped may still have it.
        match open(dir.path(), &clock) {
            Err(store::StoreError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    assert_eq!(report.damaged, []);
    assert_eq!(counted(&store).await, sums);
    assert_eq!(told(&store).await, found);
}
