//! Readings that are a week old are packed, and nobody notices.

use metering::{Origin, Quality};
use portfolio::config::PostgresConfig;
use portfolio::repository::{Place, Repository};
use portfolio::{Postgres, Sqlite};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use store::testing::{HEAT, MIDNIGHT_MS, known_day};
use sync_wire::{Ack, Batch, Refusal, SyncReading, path};

use crate::people::Browser;
use crate::support::{Cloud, Gateway, gateway_id, on_both_databases, series};
use crate::sync::{post, round};

on_both_databases! {
    what_is_folded_is_answered_as_before,
    what_comes_for_a_folded_day_is_judged_and_stored_as_before,
    a_damaged_day_keeps_no_other_from_being_folded,
    more_damaged_days_than_go_at_once_keep_no_other_from_being_folded,
    what_was_used_is_compared_by_the_meters_that_count,
}

/// Folds all that was measured before this.
pub(crate) async fn fold(cloud: &Cloud, before_ms: i64) {
    if let Some(url) = cloud.database_url() {
        let server = url.parse().unwrap();
        let config = PostgresConfig { server, password_file: None, authority: None };
        fold_all(Postgres::open(&config).await.unwrap(), before_ms).await;
    } else {
        let sqlite = Sqlite::open(&cloud.dir.path().join("portfolio.db")).unwrap();
        fold_all(sqlite, before_ms).await;
    }
}

async fn fold_all(database: impl Repository, before_ms: i64) {
    let mut from = Some(Place::START);
    while let Some(place) = from {
        from = database.fold(before_ms, place).await.unwrap();
    }
}

const HOUR_MS: i64 = 3_600_000;

async fn what_is_folded_is_answered_as_before(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    let sites = browser.get("/sites").await;
    let site = format!("/sites/{}", sites.split('"').nth(3).unwrap());
    let meter = format!("{site}/meters/{HEAT}");
    let span = "from=2026-03-28T00:00:00Z&until=2026-03-31T00:00:00Z";
    let one_hour = "from=2026-03-29T08:30:00Z&until=2026-03-29T09:30:00Z";
    let questions = [
        meter.clone(),
        format!("{meter}/history?register=energy&{span}&step=hour"),
        format!("{meter}/history?register=energy&{one_hour}&step=quarter"),
        format!("{meter}/history?register=flow_temperature&{span}&step=day"),
        format!("{meter}/readings?register=energy&{span}&limit=1000"),
        format!("{meter}/readings?register=energy&{one_hour}&limit=3"),
        format!("{meter}/readings.csv?register=energy&{span}"),
        "/comparison?year=2026".to_owned(),
        "/comparison?year=2027".to_owned(),
    ];
    let identity = gateway.identity.borrow().clone().unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client_config().unwrap())
        .build()
        .unwrap();
    let mut ask_all = async || {
        let mut answers = Vec::new();
        for question in &questions {
            answers.push(browser.get(question).await);
        }
        for at_ms in [None, Some(MIDNIGHT_MS + 1_000), Some(MIDNIGHT_MS + 9 * HOUR_MS + 1_000)] {
            let url = identity.report_url(series(1), at_ms);
            answers.push(client.get(url).send().await.unwrap().text().await.unwrap());
        }
        answers
    };
    let before = ask_all().await;
    let rows = cloud.rows();
    // To the end of the 28th by UTC, which is an hour into the day of Oslo; then all of it.
    for (until_ms, left) in [(MIDNIGHT_MS + HOUR_MS, 0..rows), (MIDNIGHT_MS + 48 * HOUR_MS, 0..1)] {
        fold(&cloud, until_ms).await;
        assert!(left.contains(&cloud.rows()), "{} rows of {rows}", cloud.rows());
        assert_eq!(ask_all().await, before, "folded until {until_ms}");
    }
    assert!(cloud.count("SELECT count(*) FROM folded") > 3);
    // Of days that were folded before there were tallies there is none.
    cloud.ask("UPDATE folded SET hours = NULL WHERE series = 1");
    assert_eq!(ask_all().await, before);
    if cloud.database_url().is_some() {
        let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'readings'::regclass";
        assert_eq!(cloud.count(days), 2, "of empty days nothing stays");
    }

    // The day goes on for the gateway: what comes is rows, beside what is folded.
    for minute in 0..30 {
        round(&day.store, minute).await;
    }
    gateway.caught_up(&day.store.outbox()).await;
    let all = browser.get(&format!("{meter}/readings?register=energy&{span}&limit=1000")).await;
    assert_eq!(all.matches("\"at\"").count(), 93 + 30);
    fold(&cloud, MIDNIGHT_MS + 72 * HOUR_MS).await;
    let folded = browser.get(&format!("{meter}/readings?register=energy&{span}&limit=1000")).await;
    assert_eq!(folded, all);
    gateway.stop().await;
}

async fn what_comes_for_a_folded_day_is_judged_and_stored_as_before(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let (id, epoch) = (identity.gateway(), day.store.outbox().epoch());
    let acked = day.store.outbox().state().acked;
    let at_ms = MIDNIGHT_MS + 10 * HOUR_MS + 77;
    let message = |after: u64, values: &[i64]| {
        let readings = values.iter().zip(after + 1..).map(|(value, seq)| SyncReading {
            seq,
            series: series(1),
            at_ms: at_ms + 1_000 * (seq - acked).cast_signed(),
            value: Ok(*value),
            quality: Quality::Good,
            origin: Origin::Live,
        });
        let (head, readings) = (after + values.len() as u64, readings.collect());
        Batch::new(id, epoch, head, after, readings, Vec::new()).unwrap().write().unwrap()
    };
    let send = |body| post(&identity, path::BATCH, body);
    let taken = |answer: (StatusCode, Vec<u8>)| Ack::read(&answer.1).unwrap().acked;
    assert_eq!(taken(send(message(acked, &[1, 2, 3])).await), acked + 3);
    let until_ms = MIDNIGHT_MS + 48 * HOUR_MS;
    fold(&cloud, until_ms).await;
    assert_eq!(cloud.rows(), 0);

    // A lost answer, an overlap, and somebody else under the same numbers.
    assert_eq!(taken(send(message(acked, &[1, 2, 3])).await), acked + 3);
    assert_eq!(taken(send(message(acked, &[1, 2])).await), acked + 3);
    assert_eq!(taken(send(message(acked + 1, &[2, 3, 4])).await), acked + 4);
    assert_eq!(cloud.rows(), 1);
    let clone = send(message(acked + 1, &[2, 9, 4, 5])).await;
    assert_eq!(Refusal::read(&clone.1), Ok(Refusal::Clone));

    // A correction of what is folded holds at once, and after the next folding.
    let corrected = SyncReading {
        seq: acked + 5,
        series: series(1),
        at_ms: at_ms + 2_000,
        value: Ok(20),
        quality: Quality::Good,
        origin: Origin::Correction,
    };
    let message = Batch::new(id, epoch, acked + 5, acked + 4, vec![corrected], Vec::new()).unwrap();
    assert_eq!(taken(send(message.write().unwrap()).await), acked + 5);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client_config().unwrap())
        .build()
        .unwrap();
    for _ in 0..2 {
        let url = identity.report_url(series(1), Some(at_ms + 2_000));
        let told = client.get(url).send().await.unwrap().text().await.unwrap();
        assert!(told.contains(&format!("\"seq\":{},\"mantissa\":20", acked + 5)), "{told}");
        fold(&cloud, until_ms).await;
        assert_eq!(cloud.rows(), 0);
    }
    assert_eq!(cloud.alarms().len(), 1, "the clone's alone");
}

async fn a_damaged_day_keeps_no_other_from_being_folded(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    round(&day.store, 0).await;
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    let until_ms = MIDNIGHT_MS + 72 * HOUR_MS;
    fold(&cloud, until_ms).await;
    assert_eq!(cloud.rows(), 0);
    let nonsense = if cloud.database_url().is_some() { "'nonsense'::bytea" } else { "x'6e6f'" };
    cloud.ask(&format!("UPDATE folded SET content = {nonsense} WHERE series = 1"));

    for minute in 1..4 {
        round(&day.store, minute).await;
    }
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let series = "SELECT count(DISTINCT series) FROM readings";
    assert!(cloud.count(series) > 1, "of which one cannot be folded");
    fold(&cloud, until_ms).await;
    assert_eq!((cloud.count(series), cloud.rows()), (1, 3), "and stays");
}

async fn more_damaged_days_than_go_at_once_keep_no_other_from_being_folded(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    cloud.ask("DELETE FROM readings WHERE series > 1");
    assert!(cloud.rows() > 0);
    // Sixty days of the first series that hold what nobody knows, and after them a good one.
    let one = "SELECT gateway, series, ts, value_mantissa, epoch_no, seq, flags FROM readings";
    let (years_ms, day_ms) = (2 * 366 * 24 * HOUR_MS, 24 * HOUR_MS);
    for n in 1..=60 {
        let at_ms = MIDNIGHT_MS - years_ms + n * day_ms;
        cloud.ask(&format!(
            "INSERT INTO readings (gateway, series, ts, value_mantissa, epoch_no, seq, flags)
             SELECT gateway, series, {at_ms}, value_mantissa,
                    epoch_no, seq, 16777215
               FROM ({one}) AS one ORDER BY seq LIMIT 1"
        ));
    }
    let rows = cloud.rows();
    let until_ms = MIDNIGHT_MS + 72 * HOUR_MS;
    fold(&cloud, until_ms).await;
    assert!(rows > 60 && cloud.rows() == 60, "{} of {rows} stay", cloud.rows());
    assert!(cloud.count("SELECT count(*) FROM folded") > 0);
}

async fn what_was_used_is_compared_by_the_meters_that_count(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    fold(&cloud, MIDNIGHT_MS + 20 * HOUR_MS).await;
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let sites = read(&browser.get("/sites").await);
    let id = sites[0]["id"].as_str().unwrap().to_owned();
    let mut compared = async || read(&browser.get("/comparison?year=2026").await)["sites"].take();

    // The only meter of a medium counts without a word.
    let sites = compared().await;
    let media = |sites: &Value| {
        let media = sites[0]["media"].as_array().unwrap().iter();
        media.map(|it| it["medium"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (media(&sites), &sites[0]["area_m2"]),
        (words(&["energy", "heat", "water"]), &Value::Null)
    );
    let march = &sites[0]["media"][1]["months"][2]["used"];
    // 12.529 GJ at the end, and 12.345 at the beginning.
    let kilowatt_hours: f64 = march["value"].as_str().unwrap().parse().unwrap();
    assert!((kilowatt_hours - 51.111).abs() < 0.01, "{march}");

    let path = format!("/sites/{id}/facts");
    let mut change = async |facts: &str| browser.ask(Method::PUT, &path, facts).await.0;
    for wrong in [
        r#"{"area_m2":0,"counted":null}"#.to_owned(),
        r#"{"area_m2":9000000,"counted":null}"#.to_owned(),
        format!(r#"{{"area_m2":null,"counted":["{id}"]}}"#),
    ] {
        assert!([400, 404].contains(&change(&wrong).await), "{wrong}");
    }
    let heat = HEAT.uuid();
    assert_eq!(change(&format!(r#"{{"area_m2":1250,"counted":["{heat}"]}}"#)).await, 204);
    let mut compared = async || read(&browser.get("/comparison?year=2026").await)["sites"].take();
    let sites = compared().await;
    assert_eq!(
        (media(&sites), &sites[0]["area_m2"]),
        (words(&["energy", "heat"]), &Value::from(1250))
    );
    let site = read(&browser.get(&format!("/sites/{id}")).await);
    assert_eq!(
        (&site["area_m2"], &site["counted"][0]),
        (&Value::from(1250), &Value::from(heat.to_string()))
    );
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
