//! Sums go when the site wants it, and never before the readings that they are of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use metering::{Clock, Origin, Quality, Quantity, Unit};
use store::testing::{
    COLD, KnownDay, MIDNIGHT_MS, answer, empty, moment, reading, register, resolution,
};
use store::{Imported, Kind, Remembered, Retention, Step};

const HOUR: i64 = 3_600_000;

/// A hundred days of a counter, an hour apart, up to midnight.
async fn hundred_days() -> KnownDay {
    let day = empty().unwrap();
    let of = |hour: i64| Imported {
        meter: COLD,
        register: register("volume"),
        kind: Kind::Counter,
        at_ms: MIDNIGHT_MS - hour * HOUR,
        quantity: Quantity::new(100_000 - hour, resolution(0, Unit::Litre)),
        origin: Origin::Import,
    };
    day.store.writer().import((0..2_400).map(of).collect()).await.unwrap();
    day.store.writer().flush().await.unwrap();
    day.store.writer().pack().await.unwrap();
    day
}

/// How many rows there are of a step.
async fn rows(day: &KnownDay, step: Step) -> usize {
    let ask = move |it: &store::Snapshot<'_>| {
        it.levels(COLD, &register("volume"), i64::MIN..i64::MAX, step)
    };
    let runs = day.store.readers().ask(ask).await.unwrap();
    runs.iter().map(|run| run.rows.len()).sum()
}

/// Each row of a step: when it begins, how many readings it is of, and what the last one was.
async fn told(day: &KnownDay, step: Step) -> Vec<(i64, u32, i64, i64)> {
    let ask = move |it: &store::Snapshot<'_>| {
        it.levels(COLD, &register("volume"), i64::MIN..i64::MAX, step)
    };
    let runs = day.store.readers().ask(ask).await.unwrap();
    let rows = runs.iter().flat_map(|run| &run.rows);
    rows.map(|row| (row.start_ms, row.count, row.min, row.last)).collect()
}

#[tokio::test]
async fn each_step_has_a_term_of_its_own() {
    let day = hundred_days().await;
    let before = [told(&day, Step::Hour).await, told(&day, Step::Month).await];
    assert_eq!(before[0].len(), 2_400);
    let keep = Retention {
        keep_days: 31,
        quarter_hours_days: Some(50),
        days_days: Some(70),
        ..Retention::default()
    };
    // The readings of two months go; those of February are younger than 31 days.
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files.len(), 2, "{:?}", gone.files);
    let quarters = rows(&day, Step::Quarter).await;
    assert_eq!(quarters, (28 + 28) * 24, "and sums stay as long as readings do");
    day.clock.pass(Duration::from_hours(20 * 24));
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["raw-2026-02.db"]);
    let left = rows(&day, Step::Quarter).await;
    assert!((28 * 24..=31 * 24).contains(&left), "{left}");
    // What went has left what is made of it, to the last figure.
    assert_eq!([told(&day, Step::Hour).await, told(&day, Step::Month).await], before);
    let days = rows(&day, Step::Day).await;
    assert!((50..=85).contains(&days), "{days}");
    // None is made again, in this start or the next.
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = store::testing::open(dir.path(), &clock).unwrap();
    assert_eq!(report.recovered, 0);
    let day = KnownDay { store, clock, dir };
    assert_eq!(rows(&day, Step::Quarter).await, left);
    assert_eq!([told(&day, Step::Hour).await, told(&day, Step::Month).await], before);

    let keep = Retention { hours_days: Some(60), months_days: Some(75), ..keep };
    day.store.writer().prune(keep).await.unwrap();
    let hours = rows(&day, Step::Hour).await;
    assert!((38 * 24..=42 * 24).contains(&hours), "{hours}");
    let months = told(&day, Step::Month).await;
    let (gone, whole) = before[1].split_at(before[1].len() - months.len());
    assert!(!gone.is_empty() && months == whole, "{months:?} of {:?}", before[1]);
}

#[tokio::test]
async fn sums_stay_as_long_as_the_readings_that_they_are_of() {
    let day = hundred_days().await;
    let keep = Retention {
        keep_days: 400,
        cloud: true,
        quarter_hours_days: Some(31),
        hours_days: Some(31),
        days_days: Some(31),
        months_days: Some(31),
    };
    day.store.writer().prune(keep).await.unwrap();
    assert_eq!(rows(&day, Step::Quarter).await, 2_400, "the cloud has none of them yet");
}

/// Without its tallies nobody knows whether a time was read, so what the meter remembers of it is no news.
#[tokio::test]
async fn what_a_meter_remembers_of_a_time_that_is_thrown_away_is_not_stored_again() {
    let day = hundred_days().await;
    let keep = Retention { keep_days: 31, quarter_hours_days: Some(50), ..Retention::default() };
    day.store.writer().prune(keep).await.unwrap();
    day.clock.pass(Duration::from_secs(1));
    let at = moment(day.clock.now().wall_ms());
    let volume = reading("volume", 100_100, 0, Unit::Litre, at);
    let mut round = answer(COLD, "", at, vec![(volume, Kind::Counter)]);
    round.remembered = vec![Remembered {
        register: register("volume"),
        at_ms: MIDNIGHT_MS - 80 * 24 * HOUR,
        quantity: Quantity::new(100_000 - 80 * 24, resolution(0, Unit::Litre)),
        quality: Quality::Good,
    }];
    let before = day.store.outbox().state().head;
    day.store.writer().commit(vec![round]).await.unwrap();
    assert_eq!(day.store.outbox().state().head, before + 1, "the reading alone");
}
