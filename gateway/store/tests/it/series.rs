//! Devices are exchanged, units and resolutions change, counters overflow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{NoReading, Origin, Reading, Unit};
use store::testing::{
    COLD, HEAT, KnownDay, MIDNIGHT_MS, answer, empty, moment, reading, register, silence,
};
use store::{Imported, Kind, MOST_SERIES, MeterRound, Step};

const QUARTER: i64 = 900_000;

/// Stands of the heat meter, one a quarter hour: serial number, mantissa, decimals, unit.
async fn stands(stands: &[(&str, i64, i8, Unit)]) -> KnownDay {
    let day = empty().unwrap();
    for (at, (serial, mantissa, decimals, unit)) in (0..).zip(stands) {
        let at = moment(MIDNIGHT_MS + at * QUARTER);
        let energy = reading("energy", *mantissa, *decimals, *unit, at);
        let round = vec![answer(HEAT, serial, at, vec![(energy, Kind::Counter)])];
        day.store.writer().commit(round).await.unwrap();
    }
    day
}

/// What was used, as `series: amount (fell)` for each quarter hour.
async fn used(day: &KnownDay) -> Vec<String> {
    let runs = day
        .store
        .readers()
        .ask(|it| it.used(HEAT, &register("energy"), 0..i64::MAX, Step::Quarter))
        .await
        .unwrap();
    runs.iter()
        .flat_map(|run| run.rows.iter().map(|row| (run.series.series, row)))
        .map(|(series, row)| match row.fell {
            0 => format!("{series}: {}", row.amount),
            fell => format!("{series}: {} (fell {fell})", row.amount),
        })
        .collect()
}

#[tokio::test]
async fn nothing_falls_between_a_coarse_series_and_the_finer_one() {
    use Unit::Gigajoule as GJ;
    let day = stands(&[("a", 12, 0, GJ), ("a", 123, 1, GJ), ("a", 13, 0, GJ)]).await;
    assert_eq!(used(&day).await, ["2: 0.3 GJ", "2: 0.7 GJ"]);
}

#[tokio::test]
async fn what_two_devices_counted_is_not_mixed() {
    use Unit::Gigajoule as GJ;
    let day = stands(&[("a", 50, 0, GJ), ("a", 51, 0, GJ), ("b", 3, 0, GJ), ("b", 5, 0, GJ)]).await;
    assert_eq!(used(&day).await, ["1: 1 GJ", "2: 2 GJ"]);
    let total = day
        .store
        .readers()
        .ask(|it| {
            let wanted = store::testing::resolution(0, Unit::Gigajoule);
            it.total(HEAT, &register("energy"), 0..i64::MAX, wanted)
        })
        .await
        .unwrap();
    assert_eq!(total.unwrap().to_string(), "3 GJ");
    let latest = day.store.readers().ask(|it| Ok(it.latest(HEAT))).await.unwrap();
    assert_eq!(latest.len(), 1, "one point, and it shows the device that is there");
    assert_eq!(latest[0].series.serial, "b");
}

#[tokio::test]
async fn a_counter_that_goes_back_is_told_and_not_taken_from_the_use() {
    use Unit::Gigajoule as GJ;
    let day = stands(&[("a", 9_990, 0, GJ), ("a", 9_999, 0, GJ), ("a", 4, 0, GJ), ("a", 9, 0, GJ)]);
    assert_eq!(used(&day.await).await, ["1: 9 GJ", "1: 0 GJ (fell 9995)", "1: 5 GJ"]);
}

#[tokio::test]
async fn a_failure_is_an_absence_of_every_register_of_the_last_answer() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    let at = |quarter: i64| moment(MIDNIGHT_MS + quarter * QUARTER);
    let never = writer.commit(vec![silence(HEAT, at(0))]).await.unwrap();
    assert_eq!(never.count, 1, "on the register `answer`, since nothing else is known");
    let energy = (reading("energy", 1, 0, Unit::Gigajoule, at(1)), Kind::Counter);
    let power = (reading("power", 1, 0, Unit::Kilowatt, at(1)), Kind::Gauge);
    writer.commit(vec![answer(HEAT, "a", at(1), vec![energy, power])]).await.unwrap();
    let simulated = MeterRound { origin: Origin::Simulated, ..silence(HEAT, at(2)) };
    let later = writer.commit(vec![simulated]).await.unwrap();
    assert_eq!(later.count, 2);
    let batch = day.store.outbox().batch(later.first_seq - 1, 10).await.unwrap();
    assert!(batch.readings.iter().all(|reading| reading.value == Err(NoReading::Silent)));
    assert!(batch.readings.iter().all(|reading| reading.origin == Origin::Simulated));
    let latest = day.store.readers().ask(|it| Ok(it.latest(HEAT))).await.unwrap();
    let energy = latest.iter().find(|it| it.series.register == register("energy")).unwrap();
    assert_eq!(energy.value, Err(NoReading::Silent));
    assert_eq!(energy.last_value.unwrap().1.to_string(), "1 GJ");
}

#[tokio::test]
async fn a_number_that_is_too_long_is_an_absence_even_of_a_new_register() {
    let day = empty().unwrap();
    let at = moment(MIDNIGHT_MS);
    let too_large =
        Reading { value: Err(NoReading::TooLarge), ..reading("energy", 0, 0, Unit::Gigajoule, at) };
    let round = vec![answer(HEAT, "a", at, vec![(too_large, Kind::Counter)])];
    assert_eq!(day.store.writer().commit(round).await.unwrap().count, 1);
    let latest = day.store.readers().ask(|it| Ok(it.latest(HEAT))).await.unwrap();
    assert_eq!(latest[0].value, Err(NoReading::TooLarge));
}

#[tokio::test]
async fn history_and_what_is_read_live_join_without_a_step() {
    let day = empty().unwrap();
    let imported = (0..4)
        .map(|hour| Imported {
            meter: HEAT,
            register: register("energy"),
            kind: Kind::Counter,
            at_ms: MIDNIGHT_MS + hour * 4 * QUARTER,
            quantity: metering::Quantity::new(
                100 + hour,
                store::testing::resolution(0, Unit::Gigajoule),
            ),
            origin: Origin::Simulated,
        })
        .collect();
    day.store.writer().import(imported).await.unwrap();
    let at = moment(MIDNIGHT_MS + 16 * QUARTER);
    let energy = (reading("energy", 104, 0, Unit::Gigajoule, at), Kind::Counter);
    day.store.writer().commit(vec![answer(HEAT, "67001122", at, vec![energy])]).await.unwrap();
    let runs = day
        .store
        .readers()
        .ask(|it| it.used(HEAT, &register("energy"), 0..i64::MAX, Step::Hour))
        .await
        .unwrap();
    assert_eq!(runs.len(), 1, "the device is taken for the one of the history");
    assert_eq!(runs[0].series.serial, "67001122");
    let amounts: Vec<_> = runs[0].rows.iter().map(|row| row.amount.mantissa()).collect();
    assert_eq!(amounts, [1, 1, 1, 1]);
    assert!(runs[0].rows.iter().all(|row| !row.spread_unknown));
}

#[tokio::test]
async fn a_meter_that_is_ever_another_fills_no_disk_and_what_it_told_before_goes_on() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    let round =
        async |meter, serial: &str, names: &mut dyn Iterator<Item = String>, minute: i64| {
            let at = moment(MIDNIGHT_MS + 60_000 * minute);
            let readings = names.map(|name| (reading(&name, 7, 0, Unit::Litre, at), Kind::Counter));
            writer.commit(vec![answer(meter, serial, at, readings.collect())]).await.unwrap()
        };
    let names = |most: usize| (1..=most).map(|number| format!("volume_s{number}"));
    let first = round(HEAT, "a", &mut names(MOST_SERIES - 1), 0).await;
    assert_eq!((first.count, first.left_out), (MOST_SERIES as u64 - 1, Vec::new()));
    let second = round(HEAT, "b", &mut names(2), 1).await;
    assert_eq!((second.count, second.left_out), (1, vec![HEAT]));

    // None of this answer finds a place: it is as if the meter had left out what it told before.
    let third = round(HEAT, "c", &mut names(2), 2).await;
    assert_eq!((third.count, third.left_out), (1, vec![HEAT]));
    let fourth = round(HEAT, "a", &mut names(2), 3).await;
    assert_eq!((fourth.count, fourth.left_out), (2, Vec::new()));
    let other = round(COLD, "c", &mut names(2), 4).await;
    assert_eq!((other.count, other.left_out), (2, Vec::new()));

    let point = |number| register(&format!("volume_s{number}"));
    let values = async |number: usize| {
        let question = move |it: &store::Snapshot<'_>| {
            it.readings(HEAT, &point(number), 0..i64::MAX, store::Order::OldestFirst, 10)
        };
        let found = day.store.readers().ask(question).await.unwrap();
        found.iter().map(|it| it.value.map(metering::Quantity::mantissa)).collect::<Vec<_>>()
    };
    assert_eq!(values(1).await, [Ok(7), Ok(7), Err(NoReading::LeftOut), Ok(7)]);
    assert_eq!(values(2).await, [Ok(7), Ok(7)]);
}
