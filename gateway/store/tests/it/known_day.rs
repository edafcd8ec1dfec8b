//! The known day, asked in every way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{NoReading, Quantity, Resolution, Unit};
use store::testing::{COLD, HEAT, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, known_day, register, resolution};
use store::{Order, Run, Snapshot, Step, StoreError, Used};

async fn ask<T: Send + 'static>(
    question: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let day = known_day().await.unwrap();
    day.store.readers().ask(question).await.unwrap()
}

const DAY: std::ops::Range<i64> = MIDNIGHT_MS..NEXT_MIDNIGHT_MS;
const HOUR: i64 = 3_600_000;

fn amounts(runs: &[Run<Used>]) -> Vec<String> {
    runs.iter().flat_map(|run| &run.rows).map(|row| row.amount.to_string()).collect()
}

#[tokio::test]
async fn a_quarter_hour_is_closed_by_the_reading_at_its_end() {
    let runs = ask(|it| it.used(COLD, &register("volume"), DAY, Step::Quarter)).await;
    assert_eq!(amounts(&runs), vec!["1 l"; 92]);
    let rows = &runs[0].rows;
    assert_eq!((rows[0].start_ms, rows[0].opening, rows[0].closing), (MIDNIGHT_MS, 100, 101));
    assert!(rows.iter().all(|row| row.coverage.got == 1 && row.coverage.expected == 1));
    assert!(rows.iter().all(|row| !row.spread_unknown && row.fell == 0));
}

#[tokio::test]
async fn a_day_of_23_hours_is_one_row() {
    let runs = ask(|it| it.used(COLD, &register("volume"), DAY, Step::Day)).await;
    assert_eq!(amounts(&runs), ["92 l"]);
    let row = runs[0].rows[0];
    assert_eq!((row.start_ms, row.end_ms), (MIDNIGHT_MS, NEXT_MIDNIGHT_MS));
    assert_eq!((row.coverage.got, row.coverage.expected), (92, 92));
}

#[tokio::test]
async fn what_was_used_in_a_gap_is_spread_over_it_and_says_so() {
    let runs = ask(|it| it.used(HEAT, &register("energy"), DAY, Step::Hour)).await;
    let lines: Vec<String> = runs[0]
        .rows
        .iter()
        .map(|row| {
            let hour = (row.start_ms - MIDNIGHT_MS) / HOUR;
            format!("{hour} {} {}", row.amount, if row.spread_unknown { "unknown" } else { "" })
        })
        .collect();
    assert_eq!(lines.len(), 23);
    // The last reading before the gap is that of 08:45 after midnight, the next that of 10:00.
    assert_eq!(
        lines[7..11],
        ["7 0.008 GJ ", "8 0.008 GJ unknown", "9 0.008 GJ unknown", "10 0.008 GJ "]
    );
    let quarters = ask(|it| it.used(HEAT, &register("energy"), DAY, Step::Quarter)).await;
    assert_eq!(amounts(&quarters), vec!["0.002 GJ"; 92]);
    let spread: Vec<_> = (0..).zip(&quarters[0].rows).filter(|it| it.1.spread_unknown).collect();
    assert!(spread.iter().map(|it| it.0).eq(35..40), "{spread:?}");
    assert!(quarters[0].rows.windows(2).all(|two| two[0].closing == two[1].opening));
    let day = ask(|it| it.used(HEAT, &register("energy"), DAY, Step::Day)).await;
    assert_eq!(amounts(&day), ["0.184 GJ"]);
}

#[tokio::test]
async fn rows_of_every_length_add_up_to_the_difference_of_the_stands() {
    for step in Step::ALL {
        let runs = ask(move |it| it.used(HEAT, &register("energy"), 0..i64::MAX, step)).await;
        let rows = &runs[0].rows;
        let sum: i64 = rows.iter().map(|row| row.amount.mantissa()).sum();
        assert_eq!(sum, 2 * 92, "{step:?}");
        assert!(rows.windows(2).all(|pair| pair[0].closing == pair[1].opening), "{step:?}");
    }
}

#[tokio::test]
async fn a_total_is_converted_once() {
    let total = |decimals, unit| {
        ask(move |it| it.total(HEAT, &register("energy"), DAY, resolution(decimals, unit)))
    };
    // 0.184 GJ are 51 111.1 Wh.
    assert_eq!(total(0, Unit::WattHour).await.unwrap().to_string(), "51111 Wh");
    assert_eq!(total(1, Unit::KilowattHour).await.unwrap().to_string(), "51.1 kWh");
    let day = known_day().await.unwrap();
    let litres = Resolution::new(0, Unit::Litre).unwrap();
    let wrong = day
        .store
        .readers()
        .ask(move |it| it.total(HEAT, &register("energy"), DAY, litres))
        .await
        .unwrap_err();
    assert_eq!(wrong.to_string(), "could not answer in steps of 1 l");
    let nobody = ask(move |it| it.total(COLD, &register("energy"), DAY, litres)).await;
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn a_gauge_has_levels_and_a_gap_has_none() {
    let runs = ask(|it| it.levels(HEAT, &register("flow_temperature"), DAY, Step::Hour)).await;
    let rows = &runs[0].rows;
    assert_eq!(rows.len(), 22);
    let first = rows[0];
    assert_eq!((first.min, first.max, first.count, first.last), (700, 703, 4, 703));
    assert_eq!(first.mean(), Some(702), "701.5, a half away from zero");
    assert!(rows.iter().all(|row| row.start_ms != MIDNIGHT_MS + 9 * HOUR));
}

#[tokio::test]
async fn a_silent_meter_is_a_gap_with_its_reason() {
    let gaps = ask(|it| it.gaps(HEAT, DAY)).await;
    assert_eq!(gaps.len(), 1);
    let gap = gaps[0];
    assert_eq!((gap.reason, gap.tries), (NoReading::Silent, 4));
    assert_eq!(gap.from_ms, MIDNIGHT_MS + 9 * HOUR + 1000);
    assert_eq!(gap.until_ms, Some(MIDNIGHT_MS + 10 * HOUR + 1000));
    assert_eq!(ask(|it| it.gaps(COLD, DAY)).await, []);
    assert_eq!(ask(|it| it.gaps(HEAT, NEXT_MIDNIGHT_MS..i64::MAX)).await, []);
}

#[tokio::test]
async fn absences_are_readings_too() {
    let span = MIDNIGHT_MS + 9 * HOUR..MIDNIGHT_MS + 10 * HOUR + 1001;
    let found =
        ask(move |it| it.readings(HEAT, &register("energy"), span, Order::OldestFirst, 100)).await;
    let lines: Vec<String> = found
        .iter()
        .map(|reading| match reading.value {
            Ok(quantity) => quantity.to_string(),
            Err(reason) => reason.as_str().to_owned(),
        })
        .collect();
    assert_eq!(lines, ["silent", "silent", "silent", "silent", "12.425 GJ"]);
}

#[tokio::test]
async fn the_newest_readings_come_first_if_wanted() {
    let found =
        ask(|it| it.readings(COLD, &register("volume"), 0..i64::MAX, Order::NewestFirst, 3)).await;
    let litres: Vec<_> =
        found.iter().map(|reading| reading.value.map(Quantity::mantissa)).collect();
    assert_eq!(litres, [Ok(192), Ok(191), Ok(190)]);
}

#[tokio::test]
async fn completeness_counts_answers() {
    let found = ask(|it| it.completeness(DAY, Step::Day)).await;
    let counts: Vec<_> = found.iter().map(|it| (it.meter, it.expected, it.got)).collect();
    assert_eq!(counts, [(HEAT, 92, 88), (COLD, 92, 92)]);
    // Up to ten past nine, one answer of the tenth hour was expected.
    let morning = MIDNIGHT_MS + 9 * HOUR..MIDNIGHT_MS + 9 * HOUR + 600_000;
    let found = ask(move |it| it.completeness(morning, Step::Hour)).await;
    let counts: Vec<_> = found.iter().map(|it| (it.meter, it.expected, it.got)).collect();
    assert_eq!(counts, [(HEAT, 1, 0), (COLD, 1, 1)]);
}

#[tokio::test]
async fn the_newest_of_everything_is_known() {
    let day = known_day().await.unwrap();
    let readers = day.store.readers();
    let latest = readers.ask(|it| Ok(it.latest(HEAT))).await.unwrap();
    let lines: Vec<String> =
        latest.iter().map(|it| format!("{} {}", it.series.register, it.value.unwrap())).collect();
    assert_eq!(lines, ["energy 12.529 GJ", "flow_temperature 79.2 °C"]);
    let (answer, telegrams, identity) = readers
        .ask(|it| Ok((it.last_answer(HEAT), it.telegrams(HEAT), it.identity(HEAT))))
        .await
        .unwrap();
    assert_eq!(answer, Some(NEXT_MIDNIGHT_MS + 1000));
    assert_eq!(telegrams.len(), 1);
    assert_eq!(identity.unwrap().serial, "67001122");
}
