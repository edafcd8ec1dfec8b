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

#[tokio::test]
async fn quarter_hours_go_and_days_stay() {
    let day = hundred_days().await;
    let (hours, days) = (rows(&day, Step::Hour).await, rows(&day, Step::Day).await);
    assert_eq!(hours, 2_400);
    let keep = Retention {
        keep_days: 31,
        quarter_hours_days: Some(50),
        days_days: Some(90),
        ..Retention::default()
    };
    // The readings of two months go; those of February are younger than 31 days.
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files.len(), 2, "{:?}", gone.files);
    assert_eq!(rows(&day, Step::Quarter).await, (28 + 28) * 24, "and its sums stay as long");
    day.clock.pass(Duration::from_hours(20 * 24));
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["raw-2026-02.db"]);
    let left = rows(&day, Step::Quarter).await;
    assert!((27 * 24..=28 * 24).contains(&left), "{left}");
    assert_eq!(rows(&day, Step::Hour).await, left, "hours are made of them");
    // A piece of days goes as a whole.
    let left_days = rows(&day, Step::Day).await;
    assert!((90..=days).contains(&left_days), "{left_days} of {days}");
    // None is made again, in this start or the next.
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = store::testing::open(dir.path(), &clock).unwrap();
    assert_eq!(report.recovered, 0);
    let day = KnownDay { store, clock, dir };
    assert_eq!(rows(&day, Step::Quarter).await, left);
}

#[tokio::test]
async fn sums_stay_as_long_as_the_readings_that_they_are_of() {
    let day = hundred_days().await;
    let keep = Retention {
        keep_days: 400,
        cloud: true,
        quarter_hours_days: Some(31),
        days_days: Some(31),
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
