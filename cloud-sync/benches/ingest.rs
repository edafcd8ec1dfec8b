//! How fast readings get into PostgreSQL through HTTPS, beside the statement alone that does it; and
//! two receivers beside one.
//!
//! Speeds are those of the machine, so they stand as ratios of one run. All of it, gateways,
//! receivers and database, shares the machine, and the disk is waited for.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that fails says where")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, not values")]

use std::sync::Arc;
use std::time::Instant;

use cloud_sync::{Identity, Way, enrol};
use metering::{
    Clock, GatewayId, MeterId, Origin, PointId, Quality, Register, Resolution, SeriesId, SiteId,
    Unit,
};
use own_postgres::OwnPostgres;
use portfolio::config::{Config, GatewaysListener, LimitsConfig, PeopleListener, PostgresConfig};
use portfolio::{Quota, Service, SystemClock, enrol_code};
use reqwest::{Client, Url};
use sync_wire::{Ack, Batch, Kind, SeriesRow, SeriesTable, SiteRow, SyncReading, path};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// As many as there are connections of a receiver.
const GATEWAYS: usize = 8;

/// Batches of each.
const BATCHES: u64 = 4;

/// In a batch.
const READINGS: u64 = 10_000;

const SERIES: u32 = 180;

/// The server as it is installed, but for its memory.
const SERVER: &str = "fsync = on\nshared_buffers = 256MB\nmax_wal_size = 4GB\n";

/// 2026-03-29, midnight in Oslo.
const FROM_MS: i64 = 1_774_738_800_000;

#[tokio::main]
async fn main() {
    let server = OwnPostgres::start(SERVER).unwrap();
    let bare = bare(&server).await;
    println!("upsert of {READINGS} readings, {GATEWAYS} connections   {bare:>9.0} readings/s");
    let one = through_https(&server, "one", 1).await;
    println!(
        "through HTTPS, one receiver              {one:>9.0} readings/s, {:.2} of it",
        one / bare
    );
    let two = through_https(&server, "two", 2).await;
    println!(
        "through HTTPS, two receivers             {two:>9.0} readings/s, {:.2} of one",
        two / one
    );
}

/// The statement alone, from as many connections.
async fn bare(server: &OwnPostgres) -> f64 {
    let url = server.database("bare").unwrap();
    server
        .ask(
            "bare",
            "CREATE TABLE readings (
                 gateway integer, series integer, ts bigint, value_mantissa bigint,
                 epoch_no integer, seq bigint, flags integer,
                 PRIMARY KEY (gateway, series, ts))",
        )
        .unwrap();
    let mut clients = Vec::new();
    for _ in 0..GATEWAYS {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        clients.push(client);
    }
    let mut ready = Vec::new();
    for (gateway, client) in (0_i32..).zip(clients) {
        let upsert = client.prepare(UPSERT).await.unwrap();
        let batches: Vec<Columns> = (0..BATCHES).map(|batch| columns(batch * READINGS)).collect();
        ready.push((gateway, client, upsert, batches));
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (gateway, client, upsert, batches) in ready {
        tasks.spawn(async move {
            for (series, times, values, seqs) in batches {
                client
                    .execute(&upsert, &[&gateway, &series, &times, &values, &seqs])
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    rate(begun)
}

const UPSERT: &str = "
    INSERT INTO readings
    SELECT $1, series, ts, value, 1, seq, 0
      FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[])
           AS sent (series, ts, value, seq)
        ON CONFLICT (gateway, series, ts)
        DO UPDATE SET value_mantissa = excluded.value_mantissa, epoch_no = excluded.epoch_no,
                      seq = excluded.seq, flags = excluded.flags
     WHERE (excluded.epoch_no, excluded.seq) > (readings.epoch_no, readings.seq)";

/// Series, times, values and numbers of a batch, in the order of the key.
type Columns = (Vec<i32>, Vec<i64>, Vec<Option<i64>>, Vec<i64>);

fn columns(after: u64) -> Columns {
    let mut readings = readings(after);
    readings.sort_by_key(|reading| (reading.series, reading.at_ms));
    (
        readings.iter().map(|it| it.series.get().cast_signed()).collect(),
        readings.iter().map(|it| it.at_ms).collect(),
        readings.iter().map(|it| it.value.ok()).collect(),
        readings.iter().map(|it| it.seq.cast_signed()).collect(),
    )
}

/// All of the way: a batch is posted, opened, judged, stored and acknowledged.
async fn through_https(server: &OwnPostgres, name: &str, receivers: usize) -> f64 {
    let url = server.database(name).unwrap();
    let state = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        state: state.path().to_owned(),
        gateways: GatewaysListener { listen: any, names: vec!["localhost".to_owned()] },
        people: PeopleListener { listen: any, names: Vec::new(), plain_http: true },
        database: Some(PostgresConfig {
            server: url.parse().unwrap(),
            password_file: None,
            authority: None,
        }),
        limits: LimitsConfig::default(),
        quota: Quota::default(),
        probe: false,
        log_filter: String::new(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut services = Vec::new();
    for _ in 0..receivers {
        services.push(Service::start(&config, Arc::clone(&clock)).await.unwrap());
    }
    let mut gateways = Vec::new();
    for number in 0..GATEWAYS {
        let base = &services[number % receivers].gateways_url;
        gateways.push(Gateway::new(&config, base, &*clock).await);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for gateway in gateways {
        tasks.spawn(gateway.send());
    }
    tasks.join_all().await;
    let rate = rate(begun);
    for service in services {
        service.stop().await;
    }
    rate
}

/// One that has its batches ready.
struct Gateway {
    client: Client,
    to: Url,
    batches: Vec<(u64, Vec<u8>)>,
}

impl Gateway {
    async fn new(config: &Config, base: &str, clock: &dyn Clock) -> Self {
        let id = GatewayId::from_uuid(Uuid::now_v7());
        let made = enrol_code(config, clock, id.to_string(), None).await.unwrap();
        let identity = enrol(base, &made.code, id, clock, &Way::default()).await.unwrap();
        let client = client(&identity);
        let table = client.post(identity.url().join(path::SERIES).unwrap());
        let taught = table.body(table_of(id).write().unwrap()).send().await.unwrap();
        assert!(taught.status().is_success());
        let batches = (0..BATCHES).map(|batch| {
            let after = batch * READINGS;
            let made = Batch::new(id, 1, BATCHES * READINGS, after, readings(after), Vec::new());
            let made = made.unwrap();
            (made.to(), made.write().unwrap())
        });
        let to = identity.url().join(path::BATCH).unwrap();
        Self { client, to, batches: batches.collect() }
    }

    async fn send(self) {
        for (last, message) in self.batches {
            let answer = self.client.post(self.to.clone()).body(message).send().await.unwrap();
            let body = answer.bytes().await.unwrap();
            assert_eq!(Ack::read(&body).unwrap().acked, last);
        }
    }
}

fn client(identity: &Identity) -> Client {
    Client::builder().tls_backend_preconfigured(identity.client_config().unwrap()).build().unwrap()
}

fn table_of(gateway: GatewayId) -> SeriesTable {
    let id = Uuid::now_v7();
    let series = (1..=SERIES).map(|number| SeriesRow {
        series: SeriesId::new(number).unwrap(),
        point: PointId::from_uuid(id),
        meter: MeterId::from_uuid(Uuid::from_u128(number.into())),
        register: "energy".parse::<Register>().unwrap(),
        kind: Kind::Counter,
        resolution: Resolution::new(3, Unit::Gigajoule).unwrap(),
        begins_ms: FROM_MS,
        serial: number.to_string(),
    });
    SeriesTable {
        gateway,
        epoch: 1,
        site: SiteRow {
            id: SiteId::from_uuid(id),
            name: gateway.to_string(),
            place: None,
            time_zone: "Europe/Oslo".to_owned(),
        },
        meters: Vec::new(),
        series: series.collect(),
    }
}

/// A batch: all series a minute apart.
fn readings(after: u64) -> Vec<SyncReading> {
    let reading = |seq: u64| {
        let (round, nth) = (seq / u64::from(SERIES), seq % u64::from(SERIES));
        SyncReading {
            seq: seq + 1,
            series: SeriesId::new(1 + u32::try_from(nth).unwrap()).unwrap(),
            at_ms: FROM_MS + 60_000 * round.cast_signed(),
            value: Ok(1_000_000 + 7 * round.cast_signed()),
            quality: Quality::Good,
            origin: Origin::Live,
        }
    };
    (after..after + READINGS).map(reading).collect()
}

fn rate(begun: Instant) -> f64 {
    (GATEWAYS as u64 * BATCHES * READINGS) as f64 / begun.elapsed().as_secs_f64()
}
