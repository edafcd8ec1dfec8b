//! The process ends at any moment, and the store comes up again with all that it acknowledged.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use metering::{Clock, Unit};
use store::testing::{
    COLD, FixedClock, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, known_day, moment,
    open, reading, register,
};
use store::{Kind, MeterRound, Options, Readers, Run, Step, Store, StoreError, Used};

const CHILD: &str = "STORE_TEST_COMMITS_INTO";

/// Two meters with values that follow from the round's number.
fn round(number: i64) -> Vec<MeterRound> {
    let at = moment(MIDNIGHT_MS + number * 60_000);
    let energy = reading("energy", number, 3, Unit::Gigajoule, at);
    let volume = reading("volume", 2 * number, 0, Unit::Litre, at);
    vec![
        answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)]),
        answer(COLD, "20110815", at, vec![(volume, Kind::Counter)]),
    ]
}

/// Not a test of its own: the process that is killed. It commits until it is, and says what was
/// acknowledged.
#[test]
fn child_that_commits() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let (store, report) = open(Path::new(&dir), &FixedClock::at(MIDNIGHT_MS)).unwrap();
    assert_eq!(report.damaged, []);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for number in i64::try_from(report.head / 2).unwrap() + 1.. {
            let stored = store.writer().commit(round(number)).await.unwrap();
            println!("acknowledged {}", stored.first_seq + stored.count - 1);
            if number % 7 == 0 {
                store.writer().flush().await.unwrap();
            }
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recovery::child_that_commits", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let wanted = 3 + 5 * kill;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines
            .map(Result::unwrap)
            .filter_map(|line| line.split("acknowledged ").nth(1).map(str::to_owned))
            .take(wanted)
        {
            acknowledged = line.parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        every_round_is_there_once(dir.path(), acknowledged);
    }
    println!("{acknowledged} readings acknowledged over 8 kills, none lost");
}

#[track_caller]
fn every_round_is_there_once(dir: &Path, acknowledged: u64) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "db") {
            let db = rusqlite::Connection::open(&path).unwrap();
            let check: String =
                db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(check, "ok", "{}", path.display());
        }
    }
    let (store, report) = open(dir, &FixedClock::at(MIDNIGHT_MS)).unwrap();
    assert_eq!(report.damaged, []);
    assert!(report.head >= acknowledged, "{} of {acknowledged}", report.head);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let batch = store.outbox().batch(0, 10_000).await.unwrap();
        assert_eq!(batch.lost, None);
        assert!(batch.readings.iter().map(|reading| reading.seq).eq(1..=report.head));
        for pair in batch.readings.chunks(2) {
            let number = pair[0].value.unwrap();
            assert_eq!(pair[1].value, Ok(2 * number), "a round is stored whole or not at all");
            assert_eq!(pair[0].at_ms, MIDNIGHT_MS + number * 60_000);
        }
        let last = i64::try_from(report.head / 2).unwrap();
        let used = used(&store.readers(), Step::Day).await;
        let sum: i64 = used.iter().map(|row| row.amount.mantissa()).sum();
        assert_eq!(sum, last - 1, "the roll-ups count each round once");
    });
    store.close().unwrap();
}

async fn used(readers: &Readers, step: Step) -> Vec<Used> {
    let runs: Vec<Run<Used>> =
        readers.ask(move |it| it.used(HEAT, &register("energy"), 0..i64::MAX, step)).await.unwrap();
    runs.into_iter().flat_map(|run| run.rows).collect()
}

/// Everything that can be asked, as text.
async fn answers(readers: &Readers) -> String {
    readers
        .ask(|it| {
            let all = 0..i64::MAX;
            let day = MIDNIGHT_MS..NEXT_MIDNIGHT_MS;
            let mut text = format!(
                "{:#?}{:#?}{:#?}",
                it.latest(HEAT),
                it.gaps(HEAT, all.clone())?,
                it.completeness(day, Step::Hour)?
            );
            for step in Step::ALL {
                let used = it.used(HEAT, &register("energy"), all.clone(), step)?;
                let flow = register("flow_temperature");
                let levels = it.levels(HEAT, &flow, all.clone(), step)?;
                write!(text, "{used:#?}{levels:#?}").unwrap();
            }
            Ok(text)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn the_answers_are_the_same_from_memory_from_the_file_and_counted_again() {
    let day = known_day().await.unwrap();
    let from_memory = answers(&day.store.readers()).await;
    day.store.writer().flush().await.unwrap();
    assert_eq!(answers(&day.store.readers()).await, from_memory);

    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("rollup.db")).unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!((report.recovered, report.damaged), (report.head, vec![]));
    assert_eq!(answers(&store.readers()).await, from_memory);
}

#[tokio::test]
async fn a_silent_meter_is_still_silent_after_a_restart() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    let silence =
        |minute: i64| store::testing::silence(HEAT, moment(NEXT_MIDNIGHT_MS + minute * 60_000));
    store.writer().commit(vec![silence(15)]).await.unwrap();
    store.close().unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    let stored = store.writer().commit(vec![silence(30)]).await.unwrap();
    assert_eq!(stored.count, 2, "an absence for each register of its last answer");
    let gaps = store.readers().ask(|it| it.gaps(HEAT, NEXT_MIDNIGHT_MS..i64::MAX)).await.unwrap();
    let gaps: Vec<_> = gaps.iter().map(|gap| (gap.from_ms, gap.until_ms, gap.tries)).collect();
    assert_eq!(gaps, [(NEXT_MIDNIGHT_MS + 15 * 60_000, None, 2)]);
}

#[tokio::test]
async fn the_command_line_reads_beside_the_daemon() {
    let day = known_day().await.unwrap();
    let beside = Readers::beside(day.dir.path(), chrono_tz::Europe::Oslo).unwrap();
    assert_eq!(answers(&beside).await, answers(&day.store.readers()).await);
}

#[tokio::test]
async fn a_second_process_is_told_so() {
    let day = known_day().await.unwrap();
    let error = open(day.dir.path(), &day.clock).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }));
    let sentence = format!("{} is in use by another fyrhus process", day.dir.path().display());
    assert_eq!(error.to_string(), sentence);
}

#[tokio::test]
async fn a_site_that_moves_to_another_zone_gets_its_days_anew() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    store.close().unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        time_zone: chrono_tz::Europe::Helsinki,
        ballast_bytes: 0,
    };
    let (store, _) = Store::open(options, clock as Arc<dyn Clock>).unwrap();
    let days = used(&store.readers(), Step::Day).await;
    let hours: Vec<_> = days.iter().map(|row| (row.end_ms - row.start_ms) / 3_600_000).collect();
    assert_eq!(hours, [23, 24], "its midnight is an hour earlier");
    let sum: i64 = days.iter().map(|row| row.amount.mantissa()).sum();
    assert_eq!(sum, 184);
}
