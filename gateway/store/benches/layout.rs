//! What a reading costs on the disk, with everything that is made of it, beside SQLite with one row for
//! each reading in the same run; and how long questions take.
//!
//! A building is read for some days, each commit with its `fsync`; readings are packed every hour and
//! roll-ups written every six, as the gateway does. The values move as meters' do: counters by what
//! a random hour uses, temperatures and powers by noise. Run with `cargo bench -p store --bench layout`.
//! `FYRHUS_BENCH_DAYS` is how many days (3).

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench says what it found"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use metering::{MeterId, Unit};
use rusqlite::{Connection, params};
use store::testing::{KnownDay, MIDNIGHT_MS, answer, empty, moment, reading, register};
use store::{Kind, MeterRound, Order, Step};
use uuid::Uuid;

const REGISTERS: [(&str, Unit, Kind); 6] = [
    ("energy", Unit::Gigajoule, Kind::Counter),
    ("volume", Unit::CubicMetre, Kind::Counter),
    ("power", Unit::Kilowatt, Kind::Gauge),
    ("volume_flow", Unit::LitrePerHour, Kind::Gauge),
    ("flow_temperature", Unit::Celsius, Kind::Gauge),
    ("return_temperature", Unit::Celsius, Kind::Gauge),
];

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

fn main() {
    let days = std::env::var("FYRHUS_BENCH_DAYS").ok().and_then(|it| it.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let minutes = Building::new(250, MINUTE);
        let day = minutes.live(days, 1.5, 25.0).await;
        questions(&day, days).await;
        drop(day);
        minutes.one_row_per_reading();
        let quarters = Building::new(500, 15 * MINUTE);
        let day = quarters.live(days * 4, 2.4, 60.0).await;
        drop(day);
        quarters.one_row_per_reading();
    });
}

/// So many meters with six registers each, that are read so often.
struct Building {
    meters: u32,
    every: i64,
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    /// A number from 0 to `below` - 1.
    fn roll(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 33).unwrap() % below
    }
}

impl Building {
    const fn new(meters: u32, every: i64) -> Self {
        Self { meters, every }
    }

    /// Where each register of each meter stands at first.
    fn stands(&self, dice: &mut Dice) -> Vec<[i64; 6]> {
        (0..self.meters)
            .map(|_| {
                [
                    1_000_000 + dice.roll(9_000_000),
                    100_000 + dice.roll(900_000),
                    dice.roll(900),
                    dice.roll(3_000),
                    600 + dice.roll(200),
                    350 + dice.roll(100),
                ]
            })
            .collect()
    }

    /// What changes until the next reading.
    fn pass(&self, stands: &mut [[i64; 6]], dice: &mut Dice) {
        let minutes = self.every / MINUTE;
        for [energy, volume, power, flow, warm, cold] in stands {
            *energy += dice.roll(12 * minutes);
            *volume += dice.roll(4 * minutes);
            *power = (*power + dice.roll(21) - 10).max(0);
            *flow = (*flow + dice.roll(41) - 20).max(0);
            *warm += dice.roll(5) - 2;
            *cold += dice.roll(3) - 1;
        }
    }

    fn readings(&self, days: i64) -> i64 {
        i64::from(self.meters) * 6 * days * DAY / self.every
    }

    async fn live(&self, days: i64, most_on_disk: f64, most_written: f64) -> KnownDay {
        let day = empty().unwrap();
        let writer = day.store.writer();
        day.clock.set(MIDNIGHT_MS);
        let mut dice = Dice(0x5EED_CAFE);
        let mut stands = self.stands(&mut dice);
        let written = written_bytes();
        let (mut commits, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut packing = Duration::ZERO;
        // Pages in use after each day.
        let mut grew = Vec::new();
        // An hour and a half more, so that the last day is over and packed.
        let rounds = (days * DAY + 90 * MINUTE) / self.every;
        for round in 0..rounds {
            let at = MIDNIGHT_MS + round * self.every;
            self.pass(&mut stands, &mut dice);
            let round_of_all = self.round(at, &stands);
            let started = Instant::now();
            writer.commit(round_of_all).await.unwrap();
            commits += started.elapsed();
            longest = longest.max(started.elapsed());
            day.clock.pass(Duration::from_millis(self.every.unsigned_abs()));
            if (at / MINUTE) % 60 == 15 {
                let started = Instant::now();
                writer.pack().await.unwrap();
                packing += started.elapsed();
                if (at - MIDNIGHT_MS) % DAY == 75 * MINUTE && at > MIDNIGHT_MS + DAY {
                    writer.flush().await.unwrap();
                    checkpoint(day.dir.path());
                    grew.push(used(day.dir.path()));
                }
            }
        }
        writer.flush().await.unwrap();
        writer.pack().await.unwrap();
        let wrote = written_bytes().zip(written).map(|(after, before)| after - before);
        let all = self.readings(1) * rounds * self.every / DAY;
        let each = |bytes: u64| bytes as f64 / all as f64;
        let dir = day.dir.path();
        checkpoint(dir);
        println!(
            "{} meters x 6 registers every {} s, {all} readings of {days} days:",
            self.meters,
            self.every / 1000
        );
        println!(
            "    {:.2} B/reading on disk (at most {most_on_disk}): {:.2} raw files, {:.2} roll-ups, \
             {:.2} core.db",
            each(bytes(dir, "")),
            each(bytes(dir, "raw-")),
            each(bytes(dir, "rollup")),
            each(bytes(dir, "core"))
        );
        println!(
            "    of these {:.2} raw files and {:.2} roll-ups are free pages, which wait for what comes",
            each(free(dir, "raw-")),
            each(free(dir, "rollup"))
        );
        println!(
            "    {:.1} B/reading written to the device (at most {most_written}), with logs and \
             checkpoints",
            each(wrote.unwrap_or_default())
        );
        println!(
            "    {:.0} acknowledged readings/s with FULL, longest commit {longest:?}; packing took \
             {packing:?}",
            all as f64 / commits.as_secs_f64()
        );
        let (Some(first), Some(last)) = (grew.first(), grew.last()) else { return day };
        let days_between = i64::try_from(grew.len() - 1).unwrap().max(1);
        let more = |first: u64, last: u64| {
            last.saturating_sub(first) as f64 / self.readings(days_between) as f64
        };
        let (raw, rollup) = (more(first.0, last.0), more(first.1, last.1));
        println!(
            "    {:.2} B/reading more with each day (at most {most_on_disk}): {raw:.2} raw files, \
             {rollup:.2} roll-ups",
            raw + rollup
        );
        let ten_years = self.readings(3_652) as f64;
        let gigabytes = |kept: i64| (self.readings(kept) as f64 * raw + ten_years * rollup) / 1e9;
        println!(
            "    ten years: {:.2} GB with all readings, {:.2} GB with readings of 400 days and all \
             roll-ups",
            gigabytes(3_652),
            gigabytes(400)
        );
        day
    }

    fn round(&self, at: i64, stands: &[[i64; 6]]) -> Vec<MeterRound> {
        (0..self.meters)
            .zip(stands)
            .map(|(number, stands)| {
                // A bus asks one after the other.
                let at = moment(at + i64::from(number) * 90);
                let readings = REGISTERS
                    .iter()
                    .zip(stands)
                    .map(|((name, unit, kind), stand)| (reading(name, *stand, 2, *unit, at), *kind))
                    .collect();
                answer(meter(number), "67001122", at, readings)
            })
            .collect()
    }

    /// The same readings for some hours, in the table that everybody begins with.
    fn one_row_per_reading(&self) {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Connection::open(dir.path().join("rows.db")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE reading (meter INTEGER, register INTEGER, ts INTEGER, value INTEGER);
             CREATE INDEX reading_of ON reading (meter, register, ts);",
        )
        .unwrap();
        let mut dice = Dice(0x5EED_CAFE);
        let mut stands = self.stands(&mut dice);
        let rounds = 180;
        let written = written_bytes();
        let started = Instant::now();
        for round in 0..rounds {
            self.pass(&mut stands, &mut dice);
            let transaction = db.transaction().unwrap();
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4)")
                    .unwrap();
                for (number, stands) in (0_i64..).zip(&stands) {
                    let at = MIDNIGHT_MS + round * self.every + number * 90;
                    for (register, stand) in (0_i64..).zip(stands) {
                        insert.execute(params![number, register, at, stand]).unwrap();
                    }
                }
            }
            transaction.commit().unwrap();
        }
        let took = started.elapsed();
        let wrote = written_bytes().zip(written).map(|(after, before)| after - before);
        drop(db);
        let all = (rounds * i64::from(self.meters) * 6) as f64;
        println!(
            "    one row per reading: {:.1} B/reading on disk, {:.1} written, {:.0} readings/s",
            bytes(dir.path(), "") as f64 / all,
            wrote.unwrap_or_default() as f64 / all,
            all / took.as_secs_f64()
        );
    }
}

async fn questions(day: &KnownDay, days: i64) {
    let readers = day.store.readers();
    // A month belongs to a span when it begins in it.
    let whole = MIDNIGHT_MS - 31 * DAY..MIDNIGHT_MS + days * DAY;
    let last = whole.end - DAY..whole.end;
    for (name, asked) in [
        ("a day of one meter by minutes", Asked::Minutes),
        ("the days of one meter by hours", Asked::Hours),
        ("all days of 250 meters by months", Asked::Months),
    ] {
        let mut took: Vec<Duration> = Vec::new();
        for turn in 0..60_u32 {
            let (whole, last) = (whole.clone(), last.clone());
            let of = meter(turn * 37 % 250);
            let started = Instant::now();
            let rows = readers
                .ask(move |it| match asked {
                    Asked::Minutes => {
                        let (energy, order) = (register("energy"), Order::OldestFirst);
                        Ok(it.readings(of, &energy, last, order, usize::MAX)?.len())
                    }
                    Asked::Hours => {
                        let runs = it.used(of, &register("energy"), whole, Step::Hour)?;
                        Ok(runs.iter().map(|run| run.rows.len()).sum())
                    }
                    Asked::Months => {
                        let mut rows = 0;
                        for number in 0..250 {
                            let energy = register("energy");
                            let runs =
                                it.used(meter(number), &energy, whole.clone(), Step::Month)?;
                            rows += runs.iter().map(|run| run.rows.len()).sum::<usize>();
                        }
                        Ok(rows)
                    }
                })
                .await
                .unwrap();
            assert!(rows > 0);
            took.push(started.elapsed());
        }
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
        println!("    {name}: p50 {:?}, p99 {:?} warm", at(50), at(99));
    }
}

#[derive(Clone, Copy)]
enum Asked {
    Minutes,
    Hours,
    Months,
}

fn meter(number: u32) -> MeterId {
    MeterId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

/// Puts the logs into their files, so that only these are counted.
fn checkpoint(dir: &Path) {
    for file in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if file.path().extension().is_some_and(|it| it == "db") {
            let db = Connection::open(file.path()).unwrap();
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
}

/// The bytes of the raw files and of the roll-ups that something is in.
fn used(dir: &Path) -> (u64, u64) {
    let used = |prefix| bytes(dir, prefix).saturating_sub(free(dir, prefix));
    (used("raw-"), used("rollup"))
}

/// The pages that nothing is in.
fn free(dir: &Path, prefix: &str) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .filter(|path| path.extension().is_some_and(|it| it == "db"))
        .map(|path| {
            let db = Connection::open(path).unwrap();
            db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).unwrap() * 4096
        })
        .sum()
}

fn bytes(dir: &Path, prefix: &str) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.contains(".db") && name.starts_with(prefix)
        })
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

/// What this process made the kernel write to the device; `None` where it does not count.
fn written_bytes() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}
