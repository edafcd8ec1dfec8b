//! What a reading costs: time and bytes, beside SQLite with one row for each reading.
//!
//! Rounds of 60 meters with 4 registers are committed one after the other, each with its `fsync`, for
//! some hours of one-minute polls; then half a million readings of a year are imported. Run with
//! `cargo bench -p store`; the figures are of the machine and the disk that it runs on, the ratios
//! travel better.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench says what it found, or where it could not go on"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use metering::{MeterId, Origin, Quantity, Unit};
use rusqlite::{Connection, params};
use store::testing::building::Building;
use store::testing::{MIDNIGHT_MS, answer, empty, moment, reading, register, resolution};
use store::{Imported, Kind, MeterRound, Step};
use uuid::Uuid;

const METERS: u32 = 60;
const REGISTERS: [&str; 4] = ["energy", "volume", "power", "flow_temperature"];
const ROUNDS: i64 = 240;
const READINGS: i64 = ROUNDS * 240;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        rounds().await;
        one_row_per_reading();
        heavy_rounds().await;
        pace().await;
        import().await;
    });
}

async fn rounds() {
    let day = empty().unwrap();
    let writer = day.store.writer();
    let rounds: Vec<Vec<MeterRound>> = (0..ROUNDS).map(round).collect();
    let written = written_bytes();
    let mut longest = Duration::ZERO;
    let started = Instant::now();
    for round in rounds {
        let before = Instant::now();
        writer.commit(round).await.unwrap();
        longest = longest.max(before.elapsed());
    }
    let took = started.elapsed();
    let wrote = written_bytes().zip(written).map(|(after, before)| after - before);

    let started = Instant::now();
    let runs = day
        .store
        .readers()
        .ask(|it| it.used(meter(17), &register("energy"), 0..i64::MAX, Step::Quarter))
        .await
        .unwrap();
    println!(
        "{} quarter hours of one meter from memory in {:?}",
        runs[0].rows.len(),
        started.elapsed()
    );

    let started = Instant::now();
    writer.flush().await.unwrap();
    println!("roll-ups of {READINGS} readings written in {:?}", started.elapsed());
    day.store.close().unwrap();
    let raw = bytes(day.dir.path(), "raw-");
    let all = bytes(day.dir.path(), "");
    report("fyrhus, a transaction per round", took, raw, wrote);
    println!(
        "    longest commit {longest:?}; {:.1} B/reading with roll-ups and core.db",
        each(all)
    );
}

/// The heavy case: 250 meters with 6 registers each minute, so that a commit fills its pages.
async fn heavy_rounds() {
    let day = empty().unwrap();
    let rounds: Vec<Vec<MeterRound>> = (0..60)
        .map(|minute| {
            (0..250).map(|meter| answers(meter, minute, &["energy", "volume", "power"])).collect()
        })
        .collect();
    let readings = 60.0 * 250.0 * 6.0;
    let written = written_bytes();
    let started = Instant::now();
    for round in rounds {
        day.store.writer().commit(round).await.unwrap();
    }
    let took = started.elapsed();
    let wrote = written_bytes().zip(written).map(|(after, before)| after - before);
    day.store.close().unwrap();
    let each = |bytes: u64| f64::from(u32::try_from(bytes).unwrap()) / readings;
    println!(
        "fyrhus, 1500 readings a round: {:.0} readings/s, {:.1} B/reading on disk, {:.1} written",
        readings / took.as_secs_f64(),
        each(bytes(day.dir.path(), "raw-")),
        each(wrote.unwrap_or_default())
    );
}

/// A thousand meters with 6 registers on 20 buses, each of which is read every ten seconds: how much of
/// these the writer needs, and how many of its places are taken at most. All buses bring their rounds at
/// once, which is the worst that they can do.
async fn pace() {
    const BUSES: u32 = 20;
    const ROUNDS: i64 = 60;
    let day = empty().unwrap();
    let mut buses: Vec<Building> =
        (0..BUSES).map(|bus| Building::new(bus * 50, 50, 10_000)).collect();
    let (mut most, mut longest, mut all) = (0, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let at = MIDNIGHT_MS + round * 10_000;
        day.clock.set(at);
        let rounds: Vec<_> = buses.iter_mut().map(|bus| bus.round(at)).collect();
        let started = Instant::now();
        let commits: Vec<_> = rounds
            .into_iter()
            .map(|round| {
                let writer = day.store.writer();
                tokio::spawn(async move { writer.commit(round).await })
            })
            .collect();
        for commit in commits {
            most = most.max(day.store.writer().waiting().0);
            commit.await.unwrap().unwrap();
        }
        longest = longest.max(started.elapsed());
        all += started.elapsed();
    }
    let of = day.store.writer().waiting().1;
    let readings = f64::from(BUSES) * 50.0 * 6.0 * f64::from(u32::try_from(ROUNDS).unwrap());
    println!(
        "1000 meters x 6 registers every 10 s: {:.0} acknowledged readings/s with FULL; a round of all \
         takes {:?}, at most {longest:?} of 10 s{}; at most {most} of the queue's {of} places taken",
        readings / all.as_secs_f64(),
        all / u32::try_from(ROUNDS).unwrap(),
        if longest < Duration::from_secs(10) { "" } else { ": TOO SLOW" }
    );
    assert!(most < of, "the queue is never full");
}

/// Two of each register, by tariff.
fn answers(meter: u32, minute: i64, names: &[&str]) -> MeterRound {
    let at = moment(MIDNIGHT_MS + minute * 60_000 + i64::from(meter) * 120);
    let readings = names
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}_t1")])
        .zip(0..)
        .map(|(name, register)| {
            let mantissa = value(meter.into(), register % 4, minute);
            (reading(&name, mantissa, 2, Unit::Gigajoule, at), Kind::Counter)
        })
        .collect();
    answer(self::meter(meter), "67001122", at, readings)
}

fn one_row_per_reading() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Connection::open(dir.path().join("rows.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE reading (meter INTEGER, register INTEGER, ts INTEGER, value INTEGER);
         CREATE INDEX reading_of ON reading (meter, register, ts);",
    )
    .unwrap();
    for (name, per_transaction) in [
        ("one row per reading, a transaction per round", 240),
        ("one row per reading, each its own transaction", 1),
    ] {
        db.execute_batch("DELETE FROM reading; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
        // The second is so slow that a few hundred tell enough.
        let readings = if per_transaction == 1 { 720 } else { READINGS };
        let written = written_bytes();
        let started = Instant::now();
        for first in (0..readings).step_by(per_transaction) {
            let transaction = db.transaction().unwrap();
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4)")
                    .unwrap();
                for at in first..first + i64::try_from(per_transaction).unwrap() {
                    let (meter, register) = (at % 240 / 4, at % 4);
                    let minute = at / 240;
                    insert
                        .execute(params![
                            meter,
                            register,
                            MIDNIGHT_MS + minute * 60_000,
                            value(meter, register, minute)
                        ])
                        .unwrap();
                }
            }
            transaction.commit().unwrap();
        }
        let took = started.elapsed();
        let wrote = written_bytes().zip(written).map(|(after, before)| after - before);
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let scale = READINGS / readings;
        let size = bytes(dir.path(), "rows") * u64::try_from(scale).unwrap();
        let scale = u32::try_from(scale).unwrap();
        report(name, took * scale, size, wrote.map(|it| it * u64::from(scale)));
    }
}

async fn import() {
    let day = empty().unwrap();
    let readings: Vec<Imported> = (0..METERS)
        .flat_map(|meter| (0..8760).map(move |hour| (meter, hour)))
        .map(|(meter, hour)| Imported {
            meter: self::meter(meter),
            register: register("energy"),
            kind: Kind::Counter,
            at_ms: MIDNIGHT_MS - hour * 3_600_000,
            quantity: Quantity::new(9_000_000 - hour * 7, resolution(3, Unit::Gigajoule)),
            origin: Origin::Simulated,
        })
        .collect();
    let count = readings.len();
    let started = Instant::now();
    day.store.writer().import(readings).await.unwrap();
    let took = started.elapsed();
    println!(
        "{count} readings of a year imported in {took:?}, {:.0} a second",
        f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
    );
    for step in [Step::Hour, Step::Day, Step::Month] {
        let started = Instant::now();
        let runs = day
            .store
            .readers()
            .ask(move |it| it.used(meter(17), &register("energy"), 0..i64::MAX, step))
            .await
            .unwrap();
        println!(
            "    {} rows of {step:?} of one meter in {:?}",
            runs[0].rows.len(),
            started.elapsed()
        );
    }
}

fn round(minute: i64) -> Vec<MeterRound> {
    (0..METERS)
        .map(|meter| {
            let at = moment(MIDNIGHT_MS + minute * 60_000 + i64::from(meter) * 120);
            let units = [Unit::Gigajoule, Unit::CubicMetre, Unit::Kilowatt, Unit::Celsius];
            let readings = (0..)
                .zip(REGISTERS.into_iter().zip(units))
                .map(|(register, (name, unit))| {
                    let kind = if register < 2 { Kind::Counter } else { Kind::Gauge };
                    (reading(name, value(meter.into(), register, minute), 2, unit, at), kind)
                })
                .collect();
            answer(self::meter(meter), "67001122", at, readings)
        })
        .collect()
}

/// Two counters that rise, and two gauges that wander.
const fn value(meter: i64, register: i64, minute: i64) -> i64 {
    match register {
        0 => 1_234_567 + meter * 31_337 + minute * (meter % 5 + 1),
        1 => 345_678 + meter * 7_919 + minute * (meter % 3),
        2 => 4_200 + (minute * 37 + meter * 11) % 900,
        _ => 7_000 + (minute * 13 + meter * 29) % 500,
    }
}

fn meter(number: u32) -> MeterId {
    MeterId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

fn report(name: &str, took: Duration, on_disk: u64, written: Option<u64>) {
    let rate = f64::from(u32::try_from(READINGS).unwrap()) / took.as_secs_f64();
    let written = written.map_or_else(|| "?".to_owned(), |it| format!("{:.1}", each(it)));
    println!(
        "{name}: {rate:.0} readings/s, {:.1} B/reading on disk, {written} B/reading written",
        each(on_disk)
    );
}

fn each(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / f64::from(u32::try_from(READINGS).unwrap())
}

fn bytes(dir: &Path, prefix: &str) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|file| file.file_name().to_string_lossy().starts_with(prefix))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

/// What this process made the kernel write to the device; `None` where it does not count.
fn written_bytes() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}
