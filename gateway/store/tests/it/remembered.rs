//! What meters remember fills gaps, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{Origin, Quality, Quantity, Unit};
use store::testing::{
    HEAT, KnownDay, MIDNIGHT_MS, answer, empty, moment, reading, register, resolution,
};
use store::{Kind, MeterRound, Order, Remembered, Step};

const HOUR: i64 = 3_600_000;
const SERIAL: &str = "67001122";

fn remembered(at_ms: i64, mantissa: i64) -> Remembered {
    Remembered {
        register: register("energy"),
        at_ms,
        quantity: Quantity::new(mantissa, resolution(0, Unit::KilowattHour)),
        quality: Quality::Good,
    }
}

/// An answer with a live value, and with what the meter remembers.
fn round(serial: &str, at_ms: i64, mantissa: i64, memory: &[(i64, i64)]) -> MeterRound {
    let at = moment(at_ms);
    let energy = (reading("energy", mantissa, 0, Unit::KilowattHour, at), Kind::Counter);
    let remembered = memory.iter().map(|(at_ms, mantissa)| remembered(*at_ms, *mantissa));
    MeterRound { remembered: remembered.collect(), ..answer(HEAT, serial, at, vec![energy]) }
}

/// Each reading by hours since midnight, value and origin.
async fn told(day: &KnownDay) -> Vec<(i64, i64, Origin)> {
    let span = MIDNIGHT_MS - 10_000 * HOUR..MIDNIGHT_MS + 10_000 * HOUR;
    let readers = day.store.readers();
    let ask = readers
        .ask(move |it| it.readings(HEAT, &register("energy"), span, Order::OldestFirst, 100));
    let readings = ask.await.unwrap();
    let told = readings
        .into_iter()
        .map(|it| ((it.at_ms - MIDNIGHT_MS) / HOUR, it.value.unwrap().mantissa(), it.origin));
    told.collect()
}

/// The meter was read at 100 kWh ten hours before midnight and at 200 kWh ten hours after it. What
/// of its memory is stored?
#[track_caller]
fn check(
    memory: &'static [(i64, i64)],
    expected: &'static [(i64, i64)],
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let day = empty().unwrap();
        let writer = day.store.writer();
        writer.commit(vec![round(SERIAL, MIDNIGHT_MS - 10 * HOUR, 100, &[])]).await.unwrap();
        let memory: Vec<_> =
            memory.iter().map(|(minutes, it)| (MIDNIGHT_MS + minutes * 60_000, *it)).collect();
        writer.commit(vec![round(SERIAL, MIDNIGHT_MS + 10 * HOUR, 200, &memory)]).await.unwrap();
        let stored: Vec<_> = told(&day).await;
        let stored = stored.into_iter().filter(|(_, _, origin)| *origin == Origin::MeterMemory);
        let stored: Vec<_> = stored.map(|(hour, value, _)| (hour, value)).collect();
        assert_eq!(stored, expected, "{caller}");
    }
}

#[tokio::test]
async fn only_what_lies_in_a_gap_and_fits_its_ends_is_stored() {
    check(&[(0, 150)], &[(0, 150)]).await;
    check(&[(60, 170), (0, 150)], &[(0, 150), (1, 170)]).await;
    check(&[(0, 100), (60, 200)], &[(0, 100), (1, 200)]).await;
    check(&[(0, 150), (0, 150)], &[(0, 150)]).await;
    // Larger than a later reading, or smaller than an earlier one.
    check(&[(0, 201), (60, 99)], &[]).await;
    // Within a quarter hour of a live reading.
    check(&[(-600, 100), (-590, 110), (-610, 100), (600, 200), (586, 190)], &[]).await;
    check(&[(-570, 110), (570, 190)], &[(-9, 110), (9, 190)]).await;
    // Before the meter was read here, now, and in the future.
    check(&[(-700, 90), (600, 200), (660, 200), (100_000, 200)], &[]).await;
}

#[tokio::test]
async fn the_same_value_comes_with_each_answer_and_is_stored_once() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    writer.commit(vec![round(SERIAL, MIDNIGHT_MS - 10 * HOUR, 100, &[])]).await.unwrap();
    for hour in 10..13 {
        let memory = [(MIDNIGHT_MS, 150), (MIDNIGHT_MS - HOUR * hour, 100)];
        writer.commit(vec![round(SERIAL, MIDNIGHT_MS + hour * HOUR, 200, &memory)]).await.unwrap();
    }
    let all = told(&day).await;
    assert_eq!(
        all,
        [
            (-10, 100, Origin::Live),
            (0, 150, Origin::MeterMemory),
            (10, 200, Origin::Live),
            (11, 200, Origin::Live),
            (12, 200, Origin::Live),
        ]
    );

    // Nor after a restart, which reads the roll-ups from their file.
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, _) = store::testing::open(dir.path(), &clock).unwrap();
    let day = KnownDay { store, clock, dir };
    let again = round(SERIAL, MIDNIGHT_MS + 13 * HOUR, 210, &[(MIDNIGHT_MS, 150)]);
    day.store.writer().commit(vec![again]).await.unwrap();
    assert_eq!(told(&day).await.len(), all.len() + 1);
}

#[tokio::test]
async fn what_another_device_remembers_is_of_another_place() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    writer.commit(vec![round(SERIAL, MIDNIGHT_MS - 10 * HOUR, 100, &[])]).await.unwrap();
    let memory = [(MIDNIGHT_MS, 150), (MIDNIGHT_MS + 9 * HOUR, 160)];
    let other = round("99999999", MIDNIGHT_MS + 10 * HOUR, 200, &memory);
    writer.commit(vec![other]).await.unwrap();
    assert_eq!(told(&day).await.len(), 2);
}

#[tokio::test]
async fn it_is_counted_as_from_memory_and_goes_to_the_cloud_as_such() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    writer.schedule(MIDNIGHT_MS - 24 * HOUR, vec![(HEAT, 3600)]).await.unwrap();
    writer.commit(vec![round(SERIAL, MIDNIGHT_MS - 10 * HOUR, 100, &[])]).await.unwrap();
    let memory = [(MIDNIGHT_MS, 150)];
    writer.commit(vec![round(SERIAL, MIDNIGHT_MS + 10 * HOUR, 200, &memory)]).await.unwrap();

    let span = MIDNIGHT_MS - HOUR..MIDNIGHT_MS + 2 * HOUR;
    let (complete, used) = day
        .store
        .readers()
        .ask(move |it| {
            let used = it.used(HEAT, &register("energy"), span.clone(), Step::Hour)?;
            Ok((it.completeness(span, Step::Hour)?, used))
        })
        .await
        .unwrap();
    let of_midnight = complete.iter().find(|it| it.start_ms == MIDNIGHT_MS).unwrap();
    assert_eq!((of_midnight.expected, of_midnight.got, of_midnight.from_memory), (1, 1, 1));
    // The use of each part of the gap is known now, ten hours each.
    let rows: Vec<_> = used[0]
        .rows
        .iter()
        .map(|row| ((row.start_ms - MIDNIGHT_MS) / HOUR, row.amount.mantissa()))
        .collect();
    assert_eq!(rows, [(-1, 5), (0, 5), (1, 5)]);
    assert!(used[0].rows.iter().all(|row| row.spread_unknown));
    assert_eq!(used[0].rows[0].coverage.from_memory, 1);

    let sent = day.store.outbox().batch(0, 10).await.unwrap().readings;
    let origins: Vec<_> = sent.iter().map(|it| (it.seq, it.origin)).collect();
    assert_eq!(
        origins,
        [(1, Origin::Live), (2, Origin::Live), (3, Origin::MeterMemory)],
        "the live reading that comes with it goes first"
    );
    let newest = day.store.readers().ask(|it| Ok(it.latest(HEAT))).await.unwrap();
    assert_eq!(newest[0].origin, Origin::Live, "the newest value is the newest by time");
}
