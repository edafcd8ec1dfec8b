//! Readings on their way from a gateway's store to the portfolio's database, over real TLS.

use std::time::Duration;

use crate::support::{
    Cloud, Gateway, SOON, assert_same, copy_dir, everything, gateway_id, moment, on_both_databases,
};
use cloud_sync::Sent;
use metering::{NoReading, Origin, PointId, Quality, Quantity, SiteId, Unit};
use reqwest::StatusCode;
use store::testing::{self, COLD, HEAT, MIDNIGHT_MS, known_day, reading, resolution};
use store::{Imported, Kind};
use sync_wire::{
    Ack, Batch, Envelope, Refusal, SeriesRow, SeriesTable, SiteRow, SyncReading, limits, path,
};
use tokio::time::timeout;

on_both_databases! {
    a_day_arrives_reading_for_reading_with_its_absences,
    a_year_goes_through_in_batches_of_ten_thousand,
    a_lost_answer_is_asked_for_again_and_doubles_nothing,
    a_restored_portfolio_gets_again_what_it_forgot,
    a_gateway_with_a_new_database_begins_a_new_epoch_and_its_series_go_on,
    a_copied_disk_is_an_alarm_and_changes_nothing,
    malformed_readings_are_put_aside_and_the_rest_goes_on,
    every_row_of_the_receivers_table_has_its_answer,
    a_series_may_be_read_in_another_way_but_never_becomes_another,
    of_two_readings_of_one_instant_the_later_number_counts,
    malformed_and_oversized_messages_are_refused_and_the_service_goes_on,
    the_report_reads_back_what_was_acknowledged,
}

/// One more round of both meters: five readings.
pub(crate) async fn round(store: &store::Store, minute: i64) {
    let at = moment(MIDNIGHT_MS + 26 * 3_600_000 + 60_000 * minute);
    let heat = vec![
        (reading("energy", 20_000 + minute, 3, Unit::Gigajoule, at), Kind::Counter),
        (reading("flow_temperature", 700, 1, Unit::Celsius, at), Kind::Gauge),
    ];
    let cold = vec![(reading("volume", 900 + minute, 0, Unit::Litre, at), Kind::Counter)];
    let answers = vec![
        testing::answer(HEAT, "67001122", at, heat),
        testing::answer(COLD, "20110815", at, cold),
    ];
    store.writer().commit(answers).await.unwrap();
}

async fn a_day_arrives_reading_for_reading_with_its_absences(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;

    let stored = everything(&outbox).await;
    assert_same(&stored, &cloud, gateway.id);
    let silent = cloud.readings(gateway.id).values().filter(|(value, ..)| value.is_none()).count();
    assert_eq!(silent, 8, "four rounds of two registers");
    let status = gateway.status.borrow().clone();
    assert_eq!((status.enrolled, status.backlog, status.parked), (true, 0, 0));
    assert_eq!(status.head, stored.len() as u64);
    assert!(status.last_contact_ms.is_some());
    assert!(status.url.starts_with("https://localhost:"));

    // What comes now follows at the next round, and a new series with it.
    round(&day.store, 0).await;
    let at = moment(MIDNIGHT_MS + 30 * 3_600_000);
    let more = vec![(reading("power", 4, 1, Unit::Kilowatt, at), Kind::Gauge)];
    day.store.writer().commit(vec![testing::answer(HEAT, "67001122", at, more)]).await.unwrap();
    gateway.caught_up(&outbox).await;
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    gateway.stop().await;
}

async fn a_year_goes_through_in_batches_of_ten_thousand(cloud: Cloud) {
    let day = testing::empty().unwrap();
    let imported = |n: i64| Imported {
        meter: HEAT,
        register: "energy".parse().unwrap(),
        kind: Kind::Counter,
        at_ms: MIDNIGHT_MS + 900_000 * n,
        quantity: Quantity::new(7 * n, resolution(3, Unit::Gigajoule)),
        origin: Origin::Simulated,
    };
    day.store.writer().import((0..35_040).map(imported).collect()).await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    assert_eq!(cloud.rows(), 35_040);
    let ahead = cloud.count("SELECT count(*) FROM latest");
    assert_eq!(ahead, 1, "while it was far behind, the newest value went ahead");
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    gateway.stop().await;
}

async fn a_lost_answer_is_asked_for_again_and_doubles_nothing(mut cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;

    for (minute, service_dies, gateway_dies) in
        [(0, false, false), (1, true, false), (2, false, true), (3, true, true)]
    {
        commit_without_an_answer(&cloud, &mut gateway, &day.store, 100 * minute).await;
        if gateway_dies {
            gateway.crash().await;
        }
        cloud.line.hang_up();
        if service_dies {
            cloud.down().await;
            cloud.up().await;
        }
        cloud.line.hold_answers(false);
        if gateway_dies {
            gateway.run(&day.store);
        }
        gateway.caught_up(&outbox).await;
        assert_same(&everything(&outbox).await, &cloud, gateway.id);
        assert_eq!(cloud.rows(), everything(&outbox).await.len());
    }
    assert_eq!(cloud.alarms(), []);
    gateway.stop().await;
}

/// Holds the line after a batch went up: it is committed, and nothing of that is heard.
async fn commit_without_an_answer(
    cloud: &Cloud,
    gateway: &mut Gateway,
    store: &store::Store,
    mut minute: i64,
) {
    let outbox = store.outbox();
    loop {
        let before = outbox.state().head;
        cloud.line.hold_answers(true);
        round(store, minute).await;
        minute += 1;
        gateway.hurry.notify_one();
        let head = outbox.state().head;
        let committed = async {
            while cloud.acked(gateway.id) < head {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if timeout(Duration::from_secs(2), committed).await.is_ok() {
            assert_eq!(outbox.state().acked, before, "nothing was heard");
            return;
        }
        // It was held in a handshake. Let it through, and try with the connection that is now open.
        cloud.line.hold_answers(false);
        gateway.caught_up(&outbox).await;
    }
}

async fn a_restored_portfolio_gets_again_what_it_forgot(mut cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    let backup = cloud.backup();
    for minute in 0..40 {
        round(&day.store, minute).await;
    }
    gateway.caught_up(&outbox).await;

    cloud.down().await;
    cloud.restore(&backup);
    cloud.up().await;
    assert!(cloud.acked(gateway.id) < outbox.state().head);
    round(&day.store, 40).await;
    gateway.caught_up(&outbox).await;
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    assert_eq!(cloud.alarms(), []);
    gateway.stop().await;
}

async fn a_gateway_with_a_new_database_begins_a_new_epoch_and_its_series_go_on(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let (rows, old) = (cloud.rows(), day.store.outbox().epoch());

    // The disk was lost. The meters are asked in another order, so the series have other numbers.
    let anew = testing::empty().unwrap();
    assert_ne!(anew.store.outbox().epoch(), old);
    let at = moment(MIDNIGHT_MS + 50 * 3_600_000);
    let volume = vec![(reading("volume", 5_000, 0, Unit::Litre, at), Kind::Counter)];
    anew.store.writer().commit(vec![testing::answer(COLD, "20110815", at, volume)]).await.unwrap();
    let outbox = anew.store.outbox();
    gateway.run(&anew.store);
    gateway.until(|status| status.head == 1 && status.acked == 1).await;
    assert_eq!(cloud.rows(), rows + 1);
    let volumes = cloud.ask(
        "SELECT count(DISTINCT series), count(*)
               FROM readings JOIN series USING (gateway, series)
              WHERE register = 'volume' AND value_mantissa IS NOT NULL",
    );
    assert_eq!(volumes, [["1", "94"]], "93 of the old disk and the new one, in one series");
    assert_eq!(cloud.alarms(), []);
    gateway.stop().await;

    // The old disk comes back into service beside the new one.
    let mut old = Gateway::new(gateway.identity.borrow().as_deref().cloned());
    old.run(&day.store);
    let status = old.until(|status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().contains("two gateways send under one identity"));
    assert_eq!(cloud.alarms(), [("clone".to_owned(), 0, 0)]);
    assert_eq!(cloud.acked(gateway.id), outbox.state().head);
    old.stop().await;
}

async fn a_copied_disk_is_an_alarm_and_changes_nothing(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut first = Gateway::new(Some(identity.clone()));
    first.run(&day.store);
    first.caught_up(&day.store.outbox()).await;
    first.stop().await;

    let copy = tempfile::tempdir().unwrap();
    copy_dir(day.dir.path(), copy.path());
    let (twin, _) = testing::open(copy.path(), &day.clock).unwrap();
    assert_eq!(twin.outbox().epoch(), day.store.outbox().epoch());

    // Both go on numbering, with other readings under the same numbers.
    round(&day.store, 0).await;
    round(&day.store, 1).await;
    first.run(&day.store);
    first.caught_up(&day.store.outbox()).await;
    round(&twin, 5).await;
    let mut second = Gateway::new(Some(identity));
    second.run(&twin);
    let status = second.until(|status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().contains("one may be a copy of the other's disk"));
    assert_eq!(cloud.alarms(), [("clone".to_owned(), 0, 0)]);
    round(&twin, 6).await;
    round(&twin, 7).await;
    second.hurry.notify_one();
    assert_same(&everything(&day.store.outbox()).await, &cloud, first.id);
    second.stop().await;
    first.stop().await;
}

async fn malformed_readings_are_put_aside_and_the_rest_goes_on(cloud: Cloud) {
    let day = testing::empty().unwrap();
    let is_bad = |n: i64| n == 200 || n == 700;
    let at = |n: i64| {
        if is_bad(n) { limits::TIMES_MS.end + n } else { MIDNIGHT_MS + 900_000 * n }
    };
    let imported = |n: i64| Imported {
        meter: COLD,
        register: "volume".parse().unwrap(),
        kind: Kind::Counter,
        at_ms: at(n),
        quantity: Quantity::new(n, resolution(0, Unit::Litre)),
        origin: Origin::Import,
    };
    day.store.writer().import((0..1_000).map(imported).collect()).await.unwrap();
    let outbox = day.store.outbox();
    let stored = everything(&outbox).await;
    let bad = [at(200), at(700)];
    let [first, last] = bad.map(|at_ms| stored.iter().find(|it| it.at_ms == at_ms).unwrap().seq);

    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    let good: Vec<_> = stored.into_iter().filter(|reading| !bad.contains(&reading.at_ms)).collect();
    assert_same(&good, &cloud, gateway.id);
    assert_eq!(gateway.status.borrow().parked, 2);
    // One alarm until somebody has looked, however many there are.
    let (from, to) = (first.min(last), first.max(last));
    assert_eq!(cloud.alarms(), [("parked".to_owned(), from, to)]);
    assert_eq!(cloud.count("SELECT concerned FROM alarm"), 2);
    gateway.stop().await;
}

/// Posts as a gateway does, and returns what was answered.
pub(crate) async fn post(
    identity: &cloud_sync::Identity,
    to: &str,
    body: Vec<u8>,
) -> (StatusCode, Vec<u8>) {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client_config().unwrap())
        .build()
        .unwrap();
    let url = identity.url().join(to).unwrap();
    let response = timeout(SOON, client.post(url).body(body).send()).await.unwrap().unwrap();
    (response.status(), response.bytes().await.unwrap().to_vec())
}

pub(crate) fn batch(
    gateway: metering::GatewayId,
    epoch: u64,
    after: u64,
    values: &[i64],
) -> Vec<u8> {
    let readings = values.iter().zip(after + 1..).map(|(value, seq)| SyncReading {
        seq,
        series: crate::support::series(1),
        at_ms: MIDNIGHT_MS + 60_000 * seq.cast_signed(),
        value: Ok(*value),
        quality: Quality::Good,
        origin: Origin::Live,
    });
    let head = after + values.len() as u64;
    Batch::new(gateway, epoch, head, after, readings.collect(), Vec::new())
        .unwrap()
        .write()
        .unwrap()
}

async fn every_row_of_the_receivers_table_has_its_answer(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let id = identity.gateway();
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let (epoch, acked) = (day.store.outbox().epoch(), day.store.outbox().state().acked);
    let rows = cloud.rows();

    let refused =
        |answer: (StatusCode, Vec<u8>)| (answer.0.as_u16(), Refusal::read(&answer.1).unwrap());
    let taken = |answer: (StatusCode, Vec<u8>)| {
        assert_eq!(answer.0, StatusCode::OK);
        Ack::read(&answer.1).unwrap().acked
    };
    let send = |body| post(&identity, path::BATCH, body);

    // The next: stored. Again: the same answer. Overlapping: the tail. Older: nothing.
    assert_eq!(taken(send(batch(id, epoch, acked, &[1, 2])).await), acked + 2);
    assert_eq!(taken(send(batch(id, epoch, acked, &[1, 2])).await), acked + 2);
    assert_eq!(taken(send(batch(id, epoch, acked, &[1, 2, 3])).await), acked + 3);
    assert_eq!(taken(send(batch(id, epoch, acked, &[1])).await), acked + 3);
    assert_eq!(cloud.rows(), rows + 3);

    // A hole.
    let behind = refused(send(batch(id, epoch, acked + 10, &[9])).await);
    assert_eq!(behind, (409, Refusal::Behind { acked: acked + 3 }));
    // The same range, and an overlap, with other readings.
    let clone = refused(send(batch(id, epoch, acked, &[1, 2, 4])).await);
    assert_eq!(clone, (422, Refusal::Clone));
    let clone = refused(send(batch(id, epoch, acked, &[1, 7, 3, 4])).await);
    assert_eq!(clone, (422, Refusal::Clone));
    assert_eq!(cloud.rows(), rows + 3);
    // Another epoch is noted; in it no series is known, and the old one is a clone.
    let other = refused(send(batch(id, epoch ^ 1, 0, &[1])).await);
    assert_eq!(other, (409, Refusal::OtherEpoch { epoch: epoch ^ 1, acked: 0 }));
    let unknown = refused(send(batch(id, epoch ^ 1, 0, &[1])).await);
    assert_eq!(unknown, (424, Refusal::UnknownSeries { series: vec![crate::support::series(1)] }));
    let clone = refused(send(batch(id, epoch, acked + 3, &[1])).await);
    assert_eq!(clone, (422, Refusal::Clone));
    assert_eq!(cloud.rows(), rows + 3);

    // Somebody else's readings.
    let (status, refusal) = refused(send(batch(gateway_id(), epoch, 0, &[1])).await);
    assert_eq!(status, 403);
    assert!(refusal.to_string().contains("its message of"), "{refusal}");
}

async fn a_series_may_be_read_in_another_way_but_never_becomes_another(cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let teach = async |kind, decimals| {
        let row = SeriesRow {
            series: crate::support::series(1),
            point: PointId::from_uuid(COLD.uuid()),
            meter: COLD,
            register: testing::register("volume"),
            kind,
            resolution: resolution(decimals, Unit::Litre),
            begins_ms: MIDNIGHT_MS,
            serial: "20110815".to_owned(),
        };
        let table = SeriesTable {
            gateway: identity.gateway(),
            epoch: 1,
            site: SiteRow {
                id: SiteId::from_uuid(HEAT.uuid()),
                name: "Kvernhusgata 4".to_owned(),
                place: None,
                time_zone: "Europe/Oslo".to_owned(),
            },
            meters: Vec::new(),
            series: vec![row],
        };
        let (status, _) = post(&identity, path::SERIES, table.write().unwrap()).await;
        let kept = cloud.count("SELECT kind FROM series");
        (status.as_u16(), kept)
    };
    assert_eq!(teach(sync_wire::Kind::Counter, 0).await, (200, 0));
    assert_eq!(teach(sync_wire::Kind::Gauge, 0).await, (200, 1));
    assert_eq!(teach(sync_wire::Kind::Gauge, 3).await, (422, 1));
}

async fn of_two_readings_of_one_instant_the_later_number_counts(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let (epoch, acked) = (day.store.outbox().epoch(), day.store.outbox().state().acked);
    let rows = cloud.rows();

    let at_ms = MIDNIGHT_MS + 40 * 3_600_000;
    let corrected = |from: u64, values: &[i64]| {
        let readings = values.iter().zip(from..).map(|(value, seq)| SyncReading {
            seq,
            series: crate::support::series(1),
            at_ms,
            value: Ok(*value),
            quality: Quality::Good,
            origin: Origin::Correction,
        });
        let (id, head) = (identity.gateway(), from + values.len() as u64 - 1);
        Batch::new(id, epoch, head, from - 1, readings.collect(), Vec::new())
            .unwrap()
            .write()
            .unwrap()
    };
    let found = || cloud.readings(identity.gateway())[&(1, at_ms)];
    // In one batch, in the next, and when the first comes once more.
    for (from, values, expected) in [
        (acked + 1, &[10, 11][..], (11, acked + 2)),
        (acked + 3, &[12], (12, acked + 3)),
        (acked + 1, &[10, 11], (12, acked + 3)),
    ] {
        let (status, _) = post(&identity, path::BATCH, corrected(from, values)).await;
        assert_eq!(status, StatusCode::OK);
        let (value, _, seq) = found();
        assert_eq!((value, seq), (Some(expected.0), expected.1));
        assert_eq!(cloud.rows(), rows + 1);
    }
    assert_eq!(cloud.alarms(), []);
}

#[tokio::test]
async fn a_database_that_is_busy_sends_the_gateway_away_for_a_while() {
    let (cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let identity = cloud.identity(gateway_id()).await;
    // Somebody holds the database for longer than the service waits for it.
    let held = rusqlite::Connection::open(cloud.dir.path().join("portfolio.db")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, answer) =
        post(&identity, path::BATCH, batch(identity.gateway(), 1, 0, &[1])).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let refusal = Refusal::read(&answer).unwrap();
    assert_eq!(refusal, Refusal::Busy { retry_after_secs: 10 });

    // The gateway tells that its readings are refused, and then once that they are taken.
    let mut gateway = Gateway::new(Some(identity));
    gateway.run(&day.store);
    let refused = timeout(SOON, gateway.answers.recv()).await.unwrap().unwrap();
    assert_eq!(refused, Sent { at: refused.at, refused: Some(503) });
    held.execute_batch("ROLLBACK").unwrap();
    gateway.caught_up(&day.store.outbox()).await;
    let rest: Vec<_> = std::iter::from_fn(|| gateway.answers.try_recv().ok()).collect();
    let taken = rest.iter().position(|it| it.refused.is_none()).unwrap();
    assert_eq!(taken + 1, rest.len(), "{rest:?}");
    assert_same(&everything(&day.store.outbox()).await, &cloud, gateway.id);
    gateway.stop().await;
}

async fn malformed_and_oversized_messages_are_refused_and_the_service_goes_on(cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let good = batch(identity.gateway(), 1, 0, &[1, 2, 3]);

    // A bomb: a header like ours, a length that is allowed, and a megabyte of zeros behind it.
    let mut bomb = good.clone();
    let zeros = deflated(&vec![0; 1024 * 1024]);
    let packed_at = 1 + 1 + 17 + 1 + 1 + 1 + 1 + 34;
    assert!(Envelope::read(&good).is_ok());
    bomb.truncate(packed_at);
    bomb.extend([0x19, 0x10, 0x00, 0x59]);
    bomb.extend(u16::try_from(zeros.len()).unwrap().to_be_bytes());
    bomb.extend(zeros);

    let mut newer = good.clone();
    newer[1] = 2;
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("nothing", Vec::new(), "byte 0: batch expected"),
        ("a page", b"<html>".to_vec(), "byte 0: batch expected"),
        ("half of it", good[..good.len() / 2].to_vec(), "byte"),
        ("a bomb", bomb, "does not unpack to the length given"),
        ("too long", vec![0; limits::POSTED_BYTES + 1], "it is longer than"),
        ("newer", newer, "update the older of the two"),
    ];
    for (name, body, expected) in cases {
        for to in [path::BATCH, path::SERIES, path::LATEST] {
            let (status, answer) = post(&identity, to, body.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name} to {to}");
            let refusal = Refusal::read(&answer).unwrap();
            if to == path::BATCH {
                assert!(refusal.to_string().contains(expected), "{name}: {refusal}");
            }
        }
    }
    let (status, _) = post(&identity, path::BATCH, good).await;
    assert_eq!(status, StatusCode::FAILED_DEPENDENCY, "it is read, only the series is not known");
    assert_eq!(cloud.rows(), 0);
}

/// Raw deflate (RFC 1951) of zeros by hand: stored blocks would be long, so runs of 258.
fn deflated(raw: &[u8]) -> Vec<u8> {
    // Bits, least significant first: final block, fixed codes, a zero, runs of 258 at distance 1.
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    let mut put = |value: u32, len: u32| {
        bits |= value << count;
        count += len;
        while count >= 8 {
            bytes.push((bits & 0xFF) as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    put(0b011, 3);
    put(0b0000_1100, 8);
    for _ in 0..raw.len() / 258 {
        put(0b1010_0011, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 7);
    bytes
}

async fn the_report_reads_back_what_was_acknowledged(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    let stored = everything(&day.store.outbox()).await;
    let last =
        stored.iter().rev().find(|reading| reading.series == crate::support::series(1)).unwrap();

    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client_config().unwrap())
        .build()
        .unwrap();
    let get = async |url: reqwest::Url| {
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    };
    let newest = get(identity.report_url(last.series, None)).await;
    let (seq, at, value) = (last.seq, last.at_ms, last.value.unwrap());
    assert!(
        newest.contains(&format!("\"at_ms\":{at},\"seq\":{seq},\"mantissa\":{value}")),
        "{newest}"
    );
    let at_midnight = get(identity.report_url(last.series, Some(MIDNIGHT_MS + 1_000))).await;
    assert!(
        at_midnight.contains("\"value\":\"12.345\",\"reason\":null,\"unit\":\"GJ\""),
        "{at_midnight}"
    );
    let silent =
        get(identity.report_url(last.series, Some(MIDNIGHT_MS + 9 * 3_600_000 + 1_000))).await;
    let reason = NoReading::Silent.as_str();
    assert!(silent.contains(&format!("\"value\":null,\"reason\":\"{reason}\"")), "{silent}");
    assert_eq!(
        get(identity.report_url(crate::support::series(99), None)).await,
        r#"{"series":99,"reading":null}"#
    );
    gateway.stop().await;
}
