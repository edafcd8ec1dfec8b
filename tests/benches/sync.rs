//! What a building's readings cost on their way to the portfolio, in bytes.
//!
//! Bytes are the same on every machine. The month is measured over real TLS and HTTP, and grown from
//! one day; what TCP and IP add is apart, as are the probes of the promise of uptime.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that fails says where")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, of three digits")]

#[path = "../../cloud-sync/wire/benches/building.rs"]
mod building;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cloud_sync::{Building, Pace, SyncStatus, Uploader, Way, enrol};
use meter_sim::{Plan, write_history};
use metering::{Clock, GatewayId, Origin, Quality, Quantity, Resolution, SeriesId, SiteId, Unit};
use portfolio::config::{Config, GatewaysListener, LimitsConfig, PeopleListener};
use portfolio::{Quota, Service, SystemClock, enrol_code};
use store::{Imported, Kind, Options, Store};
use sync_wire::{Batch, SyncReading, limits};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[tokio::main]
async fn main() {
    println!("\nBytes of the sync\n");
    // The demo asks its meters every minute. Who asks less often pays more for a reading, and less
    // in all.
    for (name, step_min, most) in [
        ("the demo building", 1, ["at most 1.3", "at most 2.1"]),
        ("the same, asked every 15 min", 15, ["", ""]),
    ] {
        let day = demo_day(step_min, 900);
        row(&format!("{name}: full batches"), each(&day, limits::READINGS), most[0]);
        let quarter = usize::try_from(15 / step_min).unwrap() * round_of(&day);
        row(&format!("{name}: a batch in 15 min"), each(&day, quarter), most[1]);
    }
    let (bytes, readings) = spec_day().await;
    let month = bytes as f64 * 30.0 / 1e6;
    row("the design's building, a month at 15 min", format!("{month:.1} MB"), "at most 20 MB");
    let own = bytes as f64 / readings as f64;
    row("the same, all of it", format!("{own:.2} B a reading"), "");
}

fn row(name: &str, found: impl std::fmt::Display, limit: &str) {
    println!("  {name:<52} {found:>14}  {limit}");
}

/// Bytes a reading in batches of so many.
fn each(readings: &[SyncReading], count: usize) -> String {
    let gateway = GatewayId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0c2f_6a1b_8e77));
    let mut bytes = 0;
    let head = readings.len() as u64;
    // The rest, which is no full batch, is left out.
    let whole: Vec<&[SyncReading]> = readings.chunks_exact(count.min(readings.len())).collect();
    for part in &whole {
        let after = part.first().unwrap().seq - 1;
        let batch = Batch::new(gateway, 0xC0FF_EE00, head, after, part.to_vec(), Vec::new());
        bytes += batch.unwrap().write().unwrap().len();
    }
    format!("{:.2} B a reading", bytes as f64 / whole.concat().len() as f64)
}

/// Readings in the first round.
fn round_of(day: &[SyncReading]) -> usize {
    let first = day.first().unwrap().at_ms;
    day.iter().take_while(|reading| reading.at_ms < first + 30_000).count()
}

/// A day of the demo's meters as they are read: each meter answers a little after the minute, and
/// all of its registers at once.
fn demo_day(step_min: i64, late_ms: u64) -> Vec<SyncReading> {
    let from: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    let plan = Plan::demo(7).unwrap();
    let mut csv = Vec::new();
    write_history(&plan, from, from + TimeDelta::days(1), TimeDelta::minutes(step_min), &mut csv)
        .unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let places = |value: &str| value.split_once('.').map_or(0, |(_, places)| places.len());
    let mut series: HashMap<(&str, &str), (u32, usize)> = HashMap::new();
    for row in &rows {
        let next = u32::try_from(series.len()).unwrap() + 1;
        let entry = series.entry((row[1], row[2])).or_insert((next, 0));
        entry.1 = entry.1.max(places(row[3]));
    }
    let mut chance = 0x2545_F491_4F6C_DD1D_u64;
    let mut late: HashMap<(&str, &str), i64> = HashMap::new();
    let readings = rows.iter().zip(1..).map(|(row, seq)| {
        let late = *late.entry((row[0], row[1])).or_insert_with(|| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance % late_ms).cast_signed()
        });
        let (number, decimals) = series[&(row[1], row[2])];
        let digits: String = row[3].chars().filter(|digit| *digit != '.').collect();
        let scale = u32::try_from(decimals - places(row[3])).unwrap();
        SyncReading {
            seq,
            series: SeriesId::new(number).unwrap(),
            at_ms: row[0].parse::<DateTime<Utc>>().unwrap().timestamp_millis() + late,
            value: Ok(digits.parse::<i64>().unwrap() * 10_i64.pow(scale)),
            quality: Quality::Good,
            origin: Origin::Live,
        }
    });
    readings.collect()
}

/// A day of the design's building through a store, an uploader, TLS and a portfolio, a batch each
/// quarter of an hour: bytes both ways, and readings.
async fn spec_day() -> (u64, usize) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (gateway_dir, cloud_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let any = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        state: cloud_dir.path().to_owned(),
        gateways: GatewaysListener { listen: any, names: vec!["localhost".to_owned()] },
        people: PeopleListener { listen: any, names: Vec::new(), plain_http: true },
        database: None,
        probe: false,
        limits: LimitsConfig::default(),
        quota: Quota::default(),
        log_filter: String::new(),
    };
    let service = Service::start(&config, Arc::clone(&clock)).await.unwrap();
    let id = GatewayId::from_uuid(Uuid::now_v7());
    let code = enrol_code(&config, &*clock, "Bakken".to_owned(), None).await.unwrap().code;
    let identity = enrol(&service.gateways_url, &code, id, &*clock, &Way::default()).await.unwrap();
    let options = Options {
        dir: gateway_dir.path().to_owned(),
        time_zone: chrono_tz::Europe::Oslo,
        ballast_bytes: 0,
    };
    let (store, _) = Store::open(options, Arc::clone(&clock)).unwrap();

    let (told, mut status) = watch::channel(SyncStatus::default());
    let (way, hurry) = (Way::default(), Arc::new(Notify::new()));
    // Held: an uploader whose building is gone ends.
    let building = watch::Sender::new(Arc::new(Building {
        site: SiteId::from_uuid(Uuid::from_u128(1)),
        name: "Bakken".to_owned(),
        place: None,
        time_zone: "Europe/Oslo".to_owned(),
        meters: Vec::new(),
    }));
    let uploader = Uploader {
        outbox: store.outbox(),
        readers: store.readers(),
        building: building.subscribe(),
        identity: watch::Sender::new(Some(Arc::new(identity))),
        status: told,
        clock: Arc::clone(&clock),
        pace: Pace { every: Duration::from_hours(1), ..Pace::METERED },
        way: way.clone(),
        budget: watch::Sender::new(None).subscribe(),
        hurry: Arc::clone(&hurry),
        sent: mpsc::channel(1).0,
        errands: Arc::default(),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(uploader.run(shutdown.clone()));

    let day = building::readings(96 * 1_156, 900);
    for quarter in day.chunks(1_156) {
        let imported = quarter.iter().map(|reading| Imported {
            meter: metering::MeterId::from_uuid(Uuid::from_u128(reading.series.get().into())),
            register: "energy".parse().unwrap(),
            kind: Kind::Gauge,
            at_ms: reading.at_ms,
            quantity: Quantity::new(
                reading.value.unwrap_or_default(),
                Resolution::new(0, Unit::WattHour).unwrap(),
            ),
            origin: Origin::Simulated,
        });
        store.writer().import(imported.collect()).await.unwrap();
        let head = store.outbox().state().head;
        hurry.notify_one();
        let done = status.wait_for(|status| status.acked >= head);
        tokio::time::timeout(Duration::from_mins(1), done).await.unwrap().unwrap();
    }
    shutdown.cancel();
    task.await.unwrap();
    let bytes = way.traffic().bytes();
    service.stop().await;
    (bytes, day.len())
}
