//! What comes all at once: a month of a large building, and every gateway of a fleet.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud_sync::{Backoff, Identity, Pace, Way, enrol};
use metering::{Clock, GatewayId, MeterId, Origin, PointId, Quality, Quantity, Unit};
use portfolio::SystemClock;
use reqwest::Client;
use store::testing::{self, COLD, HEAT, moment, reading, resolution};
use store::{Imported, Kind};
use sync_wire::{Ack, Batch, Refusal, SeriesRow, SeriesTable, SiteRow, SyncReading, path};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Cloud, Gateway, gateway_id, series};

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |count| count.parse().unwrap())
}

/// For whoever reads the output, and for the table of the proof.
fn figure(text: &str) {
    // Other than what is printed, this is shown of tests that hold as well.
    std::io::stdout().write_all(format!("\nfigure: {text}\n").as_bytes()).unwrap();
}

/// 250 meters with 6 registers, every 15 min.
const SERIES: i64 = 250 * 6;
const ROUNDS_A_DAY: i64 = 96;

/// `make test` has some rounds of it; `FYRHUS_OFFLINE_ROUNDS=2880` are 30 days.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_drains_while_what_the_meters_show_stays_fresh() {
    let rounds = i64::try_from(from_environment("FYRHUS_OFFLINE_ROUNDS", 30)).unwrap();
    let (cloud, day) = (Cloud::start().await, testing::empty().unwrap());
    let now_ms = SystemClock::new().now().wall_ms();
    let first_ms = (now_ms / 900_000 - rounds) * 900_000;
    let registers = ["energy", "volume", "power", "flow", "flow_temperature", "return_temperature"];
    for part in 0..=rounds.div_euclid(ROUNDS_A_DAY) {
        let of_part = part * ROUNDS_A_DAY..rounds.min((part + 1) * ROUNDS_A_DAY);
        let imported = of_part.flat_map(|round| (0..SERIES).map(move |n| (round, n)));
        let imported = imported.map(|(round, n)| Imported {
            meter: MeterId::from_uuid(Uuid::from_u128(1_000 + u128::try_from(n / 6).unwrap())),
            register: registers[usize::try_from(n % 6).unwrap()].parse().unwrap(),
            kind: if n % 6 < 2 { Kind::Counter } else { Kind::Gauge },
            at_ms: first_ms + 900_000 * round + 37 * (n / 6),
            quantity: Quantity::new(1_000 * n + 7 * round, resolution(1, Unit::WattHour)),
            origin: Origin::Simulated,
        });
        day.store.writer().import(imported.collect()).await.unwrap();
    }
    let outbox = day.store.outbox();
    let backlog = outbox.state().head;
    assert_eq!(backlog, (rounds * SERIES).unsigned_abs());

    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.pace = Pace { every: Duration::from_millis(100), ..Pace::WIRED };
    let begun = Instant::now();
    gateway.run(&day.store);
    // Meanwhile one meter goes on being read, every half second, and somebody looks at it.
    let (mut oldest, mut looks) = (Duration::ZERO, 0_u32);
    let mut status = gateway.status.clone();
    while status.borrow_and_update().acked < backlog {
        let at_ms = SystemClock::new().now().wall_ms();
        let at = moment(at_ms);
        let shown = vec![(reading("power", i64::from(looks), 1, Unit::Kilowatt, at), Kind::Gauge)];
        let answer = testing::answer(HEAT, "67001122", at, shown);
        day.store.writer().commit(vec![answer]).await.unwrap();
        let shows = format!(
            "SELECT count(*) FROM (SELECT ts FROM latest UNION ALL SELECT ts FROM readings)
              WHERE ts >= {at_ms}"
        );
        let measured = Instant::now();
        while cloud.count(&shows) == 0 {
            assert!(measured.elapsed() < Duration::from_mins(1), "it is not shown");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        oldest = oldest.max(measured.elapsed());
        looks += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = begun.elapsed();
    gateway.caught_up(&outbox).await;
    assert_eq!(cloud.rows() as u64, outbox.state().head);
    figure(&format!(
        "{backlog} readings that had waited drained in {:.1} s; what the meters showed was at most \
         {:.1} s old, {looks} looks",
        took.as_secs_f64(),
        oldest.as_secs_f64()
    ));
    // What a machine has to do is asked of it in the proof alone.
    if std::env::var_os("FYRHUS_OFFLINE_ROUNDS").is_some() {
        assert!(took < Duration::from_mins(10) && oldest < Duration::from_secs(5));
    }
    gateway.stop().await;
}

/// `make test` has some gateways; `FYRHUS_GATEWAYS=1000` are a fleet.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_comes_back_at_once_loses_nothing_and_has_its_turn() {
    let count = from_environment("FYRHUS_GATEWAYS", 40);
    let cloud = Cloud::on_postgres().await;
    let (mut fleet, start) = (JoinSet::new(), Arc::new(Barrier::new(count + 1)));
    let way = Way::default();
    for number in 0..count {
        let code = cloud.code(&format!("Site {number:04}")).await;
        let id = gateway_id();
        let identity = enrol(&cloud.url(), &code, id, &*cloud.clock, &way).await.unwrap();
        let client = Client::builder()
            .tls_backend_preconfigured(identity.client_config().unwrap())
            .timeout(Duration::from_secs(90))
            .build()
            .unwrap();
        let table = client.post(identity.url().join(path::SERIES).unwrap()).body(table(id));
        assert!(table.send().await.unwrap().status().is_success());
        // The connection of before is gone: the portfolio was.
        let client = Client::builder()
            .tls_backend_preconfigured(identity.client_config().unwrap())
            .timeout(Duration::from_secs(90))
            .build()
            .unwrap();
        let start = Arc::clone(&start);
        fleet.spawn(async move {
            start.wait().await;
            come_back(client, identity).await
        });
    }
    start.wait().await;
    let begun = Instant::now();
    let mut uploads = Vec::new();
    let (mut sent_away, mut lost) = (0, 0);
    while let Some(came) = fleet.join_next().await {
        let Came { took, away, broken } = came.unwrap();
        uploads.push(took);
        sent_away += away;
        lost += broken;
    }
    let all = begun.elapsed();
    uploads.sort();
    let share = |share: usize| uploads[(uploads.len() * share / 100).min(uploads.len() - 1)];
    figure(&format!(
        "{count} gateways, each with {} readings, came back within {:.1} s: an upload took {:.2} s \
         in the middle, {:.2} s at p99; {sent_away} were sent away for a while, {lost} connections \
         broke",
        READINGS,
        all.as_secs_f64(),
        share(50).as_secs_f64(),
        share(99).as_secs_f64()
    ));
    assert_eq!(cloud.rows(), count * READINGS);
    let complete = format!("SELECT count(*) FROM gateway_state WHERE acked = {READINGS}");
    assert_eq!(cloud.count(&complete), count);
    assert_eq!(cloud.alarms(), []);
    assert_eq!(lost, 0, "whoever cannot be served is told so");
}

/// A quarter of an hour of a building.
const READINGS: usize = 1_156;

struct Came {
    /// The upload that was taken, from the first byte of its connection to its answer.
    took: Duration,
    /// How often it was told to come again later.
    away: u32,
    /// How often it was told nothing.
    broken: u32,
}

async fn come_back(client: Client, identity: Identity) -> Came {
    let id = identity.gateway();
    let head = READINGS as u64;
    let reading = |seq: u64| SyncReading {
        seq,
        series: series(1),
        at_ms: testing::MIDNIGHT_MS + 1_000 * seq.cast_signed(),
        value: Ok(3 * seq.cast_signed()),
        quality: Quality::Good,
        origin: Origin::Live,
    };
    let readings = (1..=head).map(reading).collect();
    let batch = Batch::new(id, 1, head, 0, readings, Vec::new()).unwrap();
    let (message, url) = (batch.write().unwrap(), identity.url().join(path::BATCH).unwrap());
    let mut backoff = Backoff::default();
    let (mut away, mut broken) = (0, 0);
    loop {
        let begun = Instant::now();
        let answer = client.post(url.clone()).body(message.clone()).send().await;
        let wait = if let Ok(answer) = answer {
            let body = answer.bytes().await.unwrap();
            if let Ok(Ack { acked }) = Ack::read(&body) {
                assert_eq!(acked, head);
                return Came { took: begun.elapsed(), away, broken };
            }
            away += 1;
            let asked = Refusal::read(&body).unwrap().retry_after_secs().unwrap();
            // A test does not wait as long as it is asked to.
            backoff.failed(rand::random(), Some(Duration::from_millis(100 * u64::from(asked))))
        } else {
            broken += 1;
            backoff.failed(rand::random(), None)
        };
        tokio::time::sleep(wait).await;
    }
}

fn table(gateway: GatewayId) -> Vec<u8> {
    let table = SeriesTable {
        gateway,
        epoch: 1,
        site: SiteRow {
            id: metering::SiteId::from_uuid(gateway.uuid()),
            name: gateway.to_string(),
            place: None,
            time_zone: "Europe/Oslo".to_owned(),
        },
        meters: Vec::new(),
        series: vec![SeriesRow {
            series: series(1),
            point: PointId::from_uuid(COLD.uuid()),
            meter: COLD,
            register: testing::register("volume"),
            kind: sync_wire::Kind::Counter,
            resolution: resolution(0, Unit::Litre),
            begins_ms: testing::MIDNIGHT_MS,
            serial: "20110815".to_owned(),
        }],
    };
    table.write().unwrap()
}
