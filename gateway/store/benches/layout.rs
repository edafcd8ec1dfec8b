//! What a reading costs on the disk, with everything that is made of it, beside SQLite with one row for
//! each reading in the same run.
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
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use store::testing::building::{AFTER_MS, Building};
use store::testing::{MIDNIGHT_MS, empty};
use store::{KeepTelegrams, MeterRound};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

fn main() {
    let days = std::env::var("FYRHUS_BENCH_DAYS").ok().and_then(|it| it.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let minutes = Site { meters: 250, every: MINUTE };
        minutes.live(days, 1.5, 25.0).await;
        minutes.telegrams().await;
        minutes.one_row_per_reading();
        let quarters = Site { meters: 500, every: 15 * MINUTE };
        quarters.live(days * 4, 2.4, 60.0).await;
        quarters.telegrams().await;
        quarters.one_row_per_reading();
    });
}

/// So many meters with six registers each, that are read so often.
#[derive(Clone, Copy)]
struct Site {
    meters: u32,
    every: i64,
}

impl Site {
    fn building(self) -> Building {
        Building::new(0, self.meters, self.every)
    }

    fn readings(self, days: i64) -> i64 {
        i64::from(self.meters) * 6 * days * DAY / self.every
    }

    async fn live(self, days: i64, most_on_disk: f64, most_written: f64) {
        let day = empty().unwrap();
        let writer = day.store.writer();
        day.clock.set(MIDNIGHT_MS);
        let mut building = self.building();
        let written = written_bytes();
        let (mut commits, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut packing = Duration::ZERO;
        // Pages in use after each day.
        let mut grew = Vec::new();
        // An hour and a half more, so that the last day is over and packed.
        let rounds = (days * DAY + 90 * MINUTE) / self.every;
        for round in 0..rounds {
            let at = MIDNIGHT_MS + round * self.every;
            let round_of_all = building.round(at);
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
        let parts = ["raw-", "rollup", "core"].map(|prefix| bytes(dir, prefix));
        println!(
            "    {:.2} B/reading on disk (at most {most_on_disk}): {:.2} raw files, {:.2} roll-ups, \
             {:.2} core.db",
            each(parts.iter().sum()),
            each(parts[0]),
            each(parts[1]),
            each(parts[2])
        );
        println!(
            "    of these {:.2} raw files and {:.2} roll-ups are free pages, which wait for what comes, \
             and {:.2} is the spool until it is packed",
            each(free(dir, "raw-")),
            each(free(dir, "rollup")),
            each(spooled(dir))
        );
        println!(
            "    apart: the window to send again costs nothing, since packed readings keep their numbers"
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
        let (Some(first), Some(last)) = (grew.first(), grew.last()) else { return };
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
    }

    /// What it takes to keep what the meters said, beside the same rounds without: of half a day.
    async fn telegrams(self) {
        let rounds = 12 * 60 * MINUTE / self.every;
        let all = (rounds * i64::from(self.meters) * 6) as f64;
        let mut costs = Vec::new();
        for keep in
            [KeepTelegrams { days: 0, bytes: 0 }, KeepTelegrams { days: 90, bytes: 1 << 30 }]
        {
            let day = empty().unwrap();
            let writer = day.store.writer();
            writer.keep_telegrams(keep);
            day.clock.set(MIDNIGHT_MS);
            let mut building = self.building();
            let written = written_bytes();
            for round in 0..rounds {
                let mut of_all = building.round(MIDNIGHT_MS + round * self.every);
                for (number, meter) in (0_u32..).zip(&mut of_all) {
                    meter.telegrams = vec![telegram(number, round, meter)];
                }
                writer.commit(of_all).await.unwrap();
                day.clock.pass(Duration::from_millis(self.every.unsigned_abs()));
            }
            checkpoint(day.dir.path());
            let wrote = written_bytes().zip(written).map(|(after, before)| after - before);
            costs.push((bytes(day.dir.path(), "telegrams-"), wrote.unwrap_or_default()));
        }
        let [(none, without), (held, with)] = costs[..] else { return };
        assert!(none == 0 && held > 0, "they are kept in one of the two");
        println!(
            "    apart: {:.2} B/reading of raw telegrams on disk, and {:.1} written to the device for them",
            held as f64 / all,
            with.saturating_sub(without) as f64 / all
        );
    }

    /// The same readings for some hours, in the table that everybody begins with.
    fn one_row_per_reading(self) {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Connection::open(dir.path().join("rows.db")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE reading (meter INTEGER, register INTEGER, ts INTEGER, value INTEGER);
             CREATE INDEX reading_of ON reading (meter, register, ts);",
        )
        .unwrap();
        let mut building = self.building();
        let rounds = 180;
        let written = written_bytes();
        let started = Instant::now();
        for round in 0..rounds {
            let transaction = db.transaction().unwrap();
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4)")
                    .unwrap();
                for (number, stands) in (0_i64..).zip(building.pass()) {
                    let at = MIDNIGHT_MS + round * self.every + number * AFTER_MS;
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

/// What a heat meter says on an M-Bus: a long frame with its address, its number, how often it was asked, and
/// six records of four bytes.
fn telegram(number: u32, round: i64, meter: &MeterRound) -> Vec<u8> {
    let mut body = vec![0x08, 0x01, 0x72];
    body.extend(number.to_le_bytes());
    body.extend([0x2D, 0x2C, 0x40, 0x04, round.to_le_bytes()[0], 0, 0, 0]);
    let codes = [0x0E, 0x14, 0x2E, 0x3B, 0x5A, 0x5E];
    for (code, (reading, _)) in codes.into_iter().zip(meter.outcome.iter().flatten()) {
        body.extend([0x04, code]);
        let stand = reading.value.map_or(0, metering::Quantity::mantissa);
        body.extend(i32::try_from(stand).unwrap_or_default().to_le_bytes());
    }
    let length = u8::try_from(body.len()).unwrap();
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [&[0x68, length, length, 0x68], &*body, &[sum, 0x16]].concat()
}

/// Puts the logs into their files, so that only these are counted.
fn checkpoint(dir: &Path) {
    for db in databases(dir, "") {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
}

/// The bytes of the raw files and of the roll-ups that something is in.
fn used(dir: &Path) -> (u64, u64) {
    let used = |prefix| bytes(dir, prefix).saturating_sub(free(dir, prefix));
    (used("raw-"), used("rollup"))
}

/// The bytes of what is not packed yet.
fn spooled(dir: &Path) -> u64 {
    databases(dir, "raw-")
        .map(|db| {
            let sum = "SELECT COALESCE(SUM(LENGTH(blob) + 64), 0) FROM spool";
            db.query_row(sum, [], |row| row.get::<_, u64>(0)).unwrap()
        })
        .sum()
}

/// The pages that nothing is in.
fn free(dir: &Path, prefix: &str) -> u64 {
    databases(dir, prefix)
        .map(|db| {
            db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).unwrap() * 4096
        })
        .sum()
}

fn databases(dir: &Path, prefix: &str) -> impl Iterator<Item = Connection> {
    let paths = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let is_one = move |path: &PathBuf| {
        path.file_name().unwrap().to_string_lossy().starts_with(prefix)
            && path.extension().is_some_and(|it| it == "db")
    };
    paths.filter(is_one).map(|path| Connection::open(path).unwrap())
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
