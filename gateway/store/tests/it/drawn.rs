//! What a chart is drawn of: few rows, and no reading of many is lost to the eye.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{Origin, Quantity, Unit};
use store::testing::{HEAT, KnownDay, MIDNIGHT_MS, empty, register, resolution};
use store::{Imported, Kind, Level, Order};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

/// So many days of minutes from some days before the night in which summer time begins; with one spike.
async fn days_of_minutes(days: i64) -> KnownDay {
    let day = empty().unwrap();
    let steps = resolution(1, Unit::Celsius);
    let minutes = 0..days * 1440;
    let readings = minutes.map(|minute| Imported {
        meter: HEAT,
        register: register("flow_temperature"),
        kind: Kind::Gauge,
        at_ms: MIDNIGHT_MS - 3 * DAY + minute * MINUTE,
        quantity: Quantity::new(if minute == 4_321 { 9_999 } else { 600 + minute * 7 % 31 }, steps),
        origin: Origin::Simulated,
    });
    day.store.writer().import(readings.collect()).await.unwrap();
    day
}

/// Every row tells its readings, and there are neither more rows nor fewer readings than asked for.
async fn check(day: &KnownDay, span: Range<i64>, most: u32) -> Vec<Level> {
    let asked = span.clone();
    let (runs, readings) = (day.store.readers())
        .ask(move |it| {
            let name = register("flow_temperature");
            let runs = it.drawn(HEAT, &name, asked.clone(), most)?;
            let wide = asked.start - 3 * DAY..asked.end + 30 * DAY;
            let readings = it.readings(HEAT, &name, wide, Order::OldestFirst, usize::MAX)?;
            Ok((runs, readings))
        })
        .await
        .unwrap();
    assert_eq!(runs.len(), 1);
    let run = runs.first().unwrap();
    assert!(run.rows.len() <= most as usize, "{} rows of {most}", run.rows.len());
    let mut counted: BTreeMap<i64, (i64, i64, u32)> = BTreeMap::new();
    for row in &run.rows {
        let within = readings.iter().filter(|it| (row.start_ms..row.end_ms).contains(&it.at_ms));
        for reading in within {
            let value = reading.value.unwrap().mantissa();
            let (low, high, n) = counted.entry(row.start_ms).or_insert((i64::MAX, i64::MIN, 0));
            (*low, *high, *n) = (value.min(*low), value.max(*high), *n + 1);
        }
    }
    let told: BTreeMap<_, _> =
        run.rows.iter().map(|row| (row.start_ms, (row.min, row.max, row.count))).collect();
    assert_eq!(told, counted);
    let all = readings.iter().filter(|it| span.contains(&it.at_ms)).count();
    let told = run.rows.iter().map(|row| row.count as usize).sum::<usize>();
    assert!(told >= all, "{told} of {all}");
    assert!(run.rows.is_sorted_by(|a, b| a.end_ms <= b.start_ms));
    run.rows.clone()
}

#[tokio::test]
async fn rows_are_no_more_than_asked_for_and_hold_every_reading() {
    let day = days_of_minutes(12).await;
    let all = MIDNIGHT_MS - 3 * DAY..MIDNIGHT_MS + 9 * DAY;
    for most in [1, 2, 7, 100, 1_200, 4_000] {
        let rows = check(&day, all.clone(), most).await;
        assert_eq!(rows.iter().map(|row| row.max).max(), Some(9_999), "the spike is seen");
    }
    // Minutes, beginning within one.
    let rows = check(&day, MIDNIGHT_MS + 1..MIDNIGHT_MS + 60 * MINUTE, 1_200).await;
    assert_eq!((rows.len(), rows[0].count), (60, 1));
    // Days of the site, of which one has 23 hours.
    let rows = check(&day, all.start..all.end - 60 * MINUTE, 4).await;
    let lengths: Vec<_> =
        rows.iter().map(|row| (row.end_ms - row.start_ms) / (60 * MINUTE)).collect();
    assert_eq!(lengths, [72, 71, 72, 72]);
}

#[tokio::test]
async fn nothing_is_drawn_where_nothing_is() {
    let day = days_of_minutes(1).await;
    let readers = day.store.readers();
    for (name, from) in [("flow_temperature", i64::MIN), ("power", MIDNIGHT_MS - 3 * DAY)] {
        let drawn = readers.ask(move |it| it.drawn(HEAT, &register(name), from..from + DAY, 1_200));
        assert_eq!(drawn.await.unwrap(), []);
    }
}
