//! The wall clock is set, in either direction, while meters are read: no reading is lost or counted
//! twice, whatever it shows.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use metering::{Quantity, Unit};
use store::testing::{COLD, KnownDay, answer, empty, moment, reading, register};
use store::{Kind, Order, Step};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const YEAR: i64 = 8766 * HOUR;

fn ms(at: &str) -> i64 {
    at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
}

async fn read(day: &KnownDay, at_ms: i64, litres: i64) {
    let volume = reading("volume", litres, 0, Unit::Litre, moment(at_ms));
    let round = vec![answer(COLD, "20110815", moment(at_ms), vec![(volume, Kind::Counter)])];
    day.store.writer().commit(round).await.unwrap();
}

/// A counter that rises by 1 l a minute is read every minute from `start` on; the wall clock is moved
/// by `jumps`, each at a minute and by so many milliseconds. Half of it is asked after the tallies
/// were written, half before, and all of it again after they were counted from the raw files.
#[track_caller]
fn check(start: &str, minutes: i64, jumps: &[(i64, i64)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let day = empty().unwrap();
        let mut wall = ms(start);
        for minute in 0..=minutes {
            wall += jumps.iter().filter(|(at, _)| *at == minute).map(|(_, by)| by).sum::<i64>();
            read(&day, wall + 500, 1000 + minute).await;
            wall += MINUTE;
            if minute == minutes / 2 {
                day.store.writer().flush().await.unwrap();
            }
        }
        everything_once(&day, minutes).await;
        day.store.writer().flush().await.unwrap();
        everything_once(&day, minutes).await;
    });
}

async fn everything_once(day: &KnownDay, minutes: i64) {
    let batch = day.store.outbox().batch(0, 10_000).await.unwrap();
    let sent: Vec<_> = batch.readings.iter().map(|reading| reading.value.unwrap()).collect();
    let all: Vec<i64> = (1000..=1000 + minutes).collect();
    assert_eq!(sent, all, "the outbox keeps the order in which they were read");

    let span = i64::MIN..i64::MAX;
    let found = day
        .store
        .readers()
        .ask(|it| {
            it.readings(COLD, &register("volume"), i64::MIN..i64::MAX, Order::OldestFirst, 10_000)
        })
        .await
        .unwrap();
    let mut litres: Vec<_> =
        found.iter().map(|reading| reading.value.unwrap().mantissa()).collect();
    litres.sort_unstable();
    assert_eq!(litres, all, "each is found once");

    for step in Step::ALL {
        let span = span.clone();
        let runs = day
            .store
            .readers()
            .ask(move |it| it.used(COLD, &register("volume"), span, step))
            .await
            .unwrap();
        let rows: Vec<_> = runs.iter().flat_map(|run| &run.rows).collect();
        let used: i64 = rows.iter().map(|row| row.amount.mantissa()).sum();
        assert_eq!(used, minutes, "{step:?}: {rows:?}");
        assert!(rows.iter().all(|row| row.fell == 0), "{step:?}: the counter never fell");
    }
    let latest = day.store.readers().ask(|it| Ok(it.latest(COLD))).await.unwrap();
    let newest = latest[0].value.map(Quantity::mantissa);
    assert_eq!(newest, Ok(1000 + minutes), "the newest is the last one read");
}

#[test]
fn forward_by_an_hour_and_back_again() {
    check("2026-11-21T10:00:00Z", 200, &[(60, HOUR), (150, -HOUR)]);
}

#[test]
fn back_by_an_hour() {
    check("2026-11-21T10:00:00Z", 200, &[(100, -HOUR)]);
}

#[test]
fn back_by_an_hour_three_times() {
    check("2026-11-21T10:00:00Z", 200, &[(50, -HOUR), (90, -HOUR), (130, -HOUR)]);
}

#[test]
fn back_by_less_than_the_time_between_two_readings() {
    check("2026-11-21T10:00:00Z", 100, &[(50, -1000), (60, 1000)]);
}

#[test]
fn back_by_ten_years_and_forward_again() {
    check("2026-11-21T10:00:00Z", 200, &[(60, -10 * YEAR), (150, 10 * YEAR)]);
}

#[test]
fn forward_by_twenty_years_and_back_again() {
    check("2026-11-21T10:00:00Z", 200, &[(60, 20 * YEAR), (150, -20 * YEAR)]);
}

#[test]
fn across_a_month_of_utc_and_of_the_site() {
    check("2026-11-30T22:00:00Z", 200, &[(100, -HOUR)]);
}

#[test]
fn days_that_change_the_clocks_have_23_and_25_hours() {
    for (start, hours) in [("2026-03-28T23:00:00Z", 23), ("2026-10-24T22:00:00Z", 25)] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let day = empty().unwrap();
            let start = ms(start);
            for quarter in 0..=hours * 4 + 8 {
                read(&day, start + quarter * 15 * MINUTE, quarter).await;
            }
            let runs = day
                .store
                .readers()
                .ask(move |it| it.used(COLD, &register("volume"), 0..i64::MAX, Step::Day))
                .await
                .unwrap();
            let rows = &runs[0].rows;
            assert_eq!(rows[0].end_ms - rows[0].start_ms, hours * HOUR);
            assert_eq!(rows[0].amount.mantissa(), hours * 4);
            assert_eq!(rows[1].amount.mantissa(), 8);
        });
    }
}

#[test]
fn a_leap_day_is_a_day() {
    check("2028-02-28T22:00:00Z", 200, &[]);
    check("2028-02-29T22:00:00Z", 200, &[(90, -HOUR)]);
}
