//! How long questions take with ten years on the disk, and how many bytes those are.
//!
//! The years are made once, under the build folder, and kept: a billion readings keep a processor busy for
//! about half an hour.
//! `FYRHUS_BENCH_YEARS` is how many years (10). Warm is what has just been asked of others; cold is the
//! first question of all, with nothing of the files in memory.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench says what it found"
)]

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use metering::MeterId;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::time::{ClockId, clock_gettime};
use store::testing::building::meter;
use store::testing::years::{END_MS, Years};
use store::testing::{FixedClock, open, register};
use store::{Order, Readers, Snapshot, Step, StoreError};

const DAY: i64 = 86_400_000;
const YEAR: i64 = 365 * DAY;

fn main() {
    let years: u32 =
        std::env::var("FYRHUS_BENCH_YEARS").ok().and_then(|it| it.parse().ok()).unwrap_or(10);
    let kept = Years { days: Years::TEN.days * years / 10, ..Years::TEN };
    let under = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let tell = |day| {
        if day % 365 == 0 {
            println!("    year {} is made, after {:?}", day / 365, started.elapsed());
        }
    };
    let dir = runtime.block_on(kept.ready(under, tell)).unwrap();
    println!(
        "{} meters x 6 registers every 900 s for {years} years, and one every 60 s for the last: {} \
         readings",
        kept.meters,
        kept.readings()
    );
    sizes(&dir, kept, years);

    let clock = FixedClock::at(END_MS);
    let started = Instant::now();
    let (store, report) = open(&dir, &clock).unwrap();
    println!(
        "    opened in {:?}, resident memory then {:.1} MB",
        started.elapsed(),
        resident_kb().unwrap_or_default() as f64 / 1e3
    );
    assert_eq!(report.damaged, []);
    let warm = store.readers();
    let year = END_MS - YEAR..END_MS;
    for question in [
        Question { name: "a year of one meter by hours", ask: hours, target: 20, turns: 300 },
        Question { name: "a day of one meter by minutes", ask: minutes, target: 20, turns: 300 },
        Question { name: "a year of minutes in 1,200 rows", ask: drawn, target: 20, turns: 300 },
        Question { name: "a year of 250 meters by months", ask: months, target: 100, turns: 60 },
    ] {
        question.time(&warm, &dir, kept, &year);
    }
    store.close().unwrap();
}

/// Something that is asked, and in how many milliseconds 99 of 100 warm answers should be there.
struct Question {
    name: &'static str,
    ask: fn(&Snapshot<'_>, Years, MeterId, &Range<i64>) -> Result<usize, StoreError>,
    target: u64,
    turns: u32,
}

impl Question {
    fn time(&self, warm: &Readers, dir: &Path, kept: Years, year: &Range<i64>) {
        let asked = |readers: &Readers, turn: u32| {
            let of = meter(turn * 37 % kept.meters);
            let (started, busy) = (Instant::now(), processor());
            let rows = readers.ask_blocking(|it| (self.ask)(it, kept, of, year)).unwrap();
            assert!(rows > 0, "{}", self.name);
            (started.elapsed(), rows, processor().saturating_sub(busy))
        };
        let rows = asked(warm, 0).1;
        let all: Vec<_> = (0..self.turns).map(|turn| asked(warm, turn)).collect();
        let mut took: Vec<_> = all.iter().map(|(took, _, _)| *took).collect();
        let mut busy: Vec<_> = all.iter().map(|(_, _, busy)| *busy).collect();
        let [busy_50, busy_99] = of_100(&mut busy);
        let cold = (0..12).map(|turn| {
            let readers = Readers::beside(dir, chrono_tz::Europe::Oslo).unwrap();
            forget(dir);
            asked(&readers, turn).0
        });
        let mut cold: Vec<_> = cold.collect();
        let [warm_50, warm_99] = of_100(&mut took);
        let [cold_50, cold_99] = of_100(&mut cold);
        let holds = warm_99 <= Duration::from_millis(self.target);
        println!(
            "    {}, {rows} rows: p50 {warm_50:?}, p99 {warm_99:?} warm (at most {} ms{}), of the \
             processor {busy_50:?} and {busy_99:?}; p50 {cold_50:?}, p99 {cold_99:?} cold",
            self.name,
            self.target,
            if holds { "" } else { ": TOO SLOW" }
        );
    }
}

fn hours(it: &Snapshot<'_>, _: Years, of: MeterId, year: &Range<i64>) -> Result<usize, StoreError> {
    let runs = it.used(of, &register("energy"), year.clone(), Step::Hour)?;
    Ok(runs.iter().map(|run| run.rows.len()).sum())
}

fn minutes(
    it: &Snapshot<'_>,
    kept: Years,
    of: MeterId,
    year: &Range<i64>,
) -> Result<usize, StoreError> {
    // A day that depends on the turn.
    let day = year.start + i64::from(of.uuid().as_fields().3[7]) * DAY;
    let (power, order) = (register("power"), Order::OldestFirst);
    Ok(it.readings(kept.of_minutes(), &power, day..day + DAY, order, usize::MAX)?.len())
}

fn drawn(
    it: &Snapshot<'_>,
    kept: Years,
    _: MeterId,
    year: &Range<i64>,
) -> Result<usize, StoreError> {
    let runs = it.drawn(kept.of_minutes(), &register("power"), year.clone(), 1_200)?;
    Ok(runs.iter().map(|run| run.rows.len()).sum())
}

fn months(it: &Snapshot<'_>, _: Years, _: MeterId, year: &Range<i64>) -> Result<usize, StoreError> {
    let mut rows = 0;
    for number in 0..250 {
        let runs = it.used(meter(number), &register("energy"), year.clone(), Step::Month)?;
        rows += runs.iter().map(|run| run.rows.len()).sum::<usize>();
    }
    Ok(rows)
}

/// What half of them took at most, and what 99 of 100.
fn of_100(took: &mut [Duration]) -> [Duration; 2] {
    took.sort_unstable();
    [50, 99].map(|percent| took.get(took.len() * percent / 100).copied().unwrap_or_default())
}

fn sizes(dir: &Path, kept: Years, years: u32) {
    let bytes = |prefix: &str| files(dir, prefix).map(|file| file.metadata().unwrap().len()).sum();
    let each = |bytes: u64| bytes as f64 / kept.readings() as f64;
    let [raw, rollup, core]: [u64; 3] = ["raw-", "rollup", "core"].map(bytes);
    println!(
        "    {:.2} GB on disk ({:.2} GB in ten years, at most 2.5): {:.2} B/reading, of these {:.2} \
         raw files, {:.2} roll-ups, {:.3} core.db",
        (raw + rollup + core) as f64 / 1e9,
        (raw + rollup + core) as f64 / 1e9 * 10.0 / f64::from(years),
        each(raw + rollup + core),
        each(raw),
        each(rollup),
        each(core)
    );
}

fn files(dir: &Path, prefix: &str) -> impl Iterator<Item = fs::DirEntry> {
    let prefix = prefix.to_owned();
    fs::read_dir(dir).unwrap().map(Result::unwrap).filter(move |file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.contains(".db") && name.starts_with(&prefix)
    })
}

/// Has the system forget what it knows of the files.
fn forget(dir: &Path) {
    for file in files(dir, "") {
        let file = File::open(file.path()).unwrap();
        file.sync_all().unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
}

/// What this thread has had of the processor: on a machine that is busy with other things less than has
/// passed.
fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn resident_kb() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
