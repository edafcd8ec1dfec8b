//! The disk is full: one round is refused with a clear sentence, nothing earlier is lost, and storing
//! goes on when there is space again.
//!
//! The test mounts a file system of a few megabytes in a namespace of its own, which needs root; where
//! that is not allowed it says so and is skipped.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use metering::Unit;
use store::testing::{COLD, FixedClock, MIDNIGHT_MS, answer, moment, reading};
use store::{Kind, MeterRound, Options, Store, StoreError};

const CHILD: &str = "STORE_TEST_SMALL_DISK";
const MIB: u64 = 1024 * 1024;

#[test]
fn a_full_disk_costs_the_rounds_that_do_not_fit_and_nothing_else() {
    for child in ["with_ballast", "without_ballast", "with_a_damaged_month"] {
        let child = format!("disk_full::child_{child}");
        let dir = tempfile::tempdir().unwrap();
        let script = r#"mount -t tmpfs -o size=6m tmpfs "$1" || exit 77; exec "$2" --exact "$3" --nocapture"#;
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .arg(&child)
            .env(CHILD, dir.path())
            .output();
        let Ok(output) = output else {
            println!("skipped: there is no `unshare` to mount a small disk with");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(77) || said.contains("unshare failed") {
            println!("skipped: a small disk cannot be mounted here: {said}");
            return;
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{child}: {printed}{said}");
        println!("{printed}");
    }
}

/// Not a test of its own: runs on the small disk.
#[tokio::test]
async fn child_with_ballast() {
    if let Some(dir) = std::env::var_os(CHILD) {
        fills_up(Path::new(&dir), MIB).await;
    }
}

/// Not a test of its own: runs on the small disk.
#[tokio::test]
async fn child_without_ballast() {
    if let Some(dir) = std::env::var_os(CHILD) {
        fills_up(Path::new(&dir), 0).await;
    }
}

/// Not a test of its own: runs on the small disk.
#[tokio::test]
async fn child_with_a_damaged_month() {
    if let Some(dir) = std::env::var_os(CHILD) {
        opens_with_a_damaged_month(Path::new(&dir)).await;
    }
}

/// What can be read of a damaged month would need room that is not there: it waits, and the rest goes on.
async fn opens_with_a_damaged_month(dir: &Path) {
    let mut options = Options::new(dir.join("store"), chrono_tz::Europe::Oslo);
    options.ballast_bytes = 0;
    let clock = FixedClock::at(MIDNIGHT_MS);
    let open = || Store::open(options.clone(), Arc::clone(&clock) as Arc<dyn metering::Clock>);
    let (store, _) = open().unwrap();
    let mut head = 0;
    while fs::metadata(options.dir.join("raw-2026-03.db")).map_or(0, |it| it.len()) < MIB {
        head += store.writer().commit(round(head)).await.unwrap().count;
    }
    let april = moment(MIDNIGHT_MS + 20 * 24 * 3_600_000);
    let volume = (reading("volume_t1", 5_000_000, 0, Unit::Litre, april), Kind::Counter);
    let last = vec![answer(COLD, "20110815", april, vec![volume])];
    store.writer().commit(last).await.unwrap();
    store.close().unwrap();

    let march = options.dir.join("raw-2026-03.db");
    let file = File::options().write(true).open(&march).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x55; 4096], 40 * 4096).unwrap();
    let mut filler = File::create(dir.join("filler")).unwrap();
    let mut filled = 0;
    while filler.write_all(&[1; 4096]).is_ok() {
        filled += 4096;
    }
    filler.set_len(filled - 400 * 1024).unwrap();

    let (store, report) = open().unwrap();
    let told: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|it| it.contains("there is no room to save")), "{told:?}");
    let latest = store.readers().ask(|it| Ok(it.latest(COLD))).await.unwrap();
    assert!(latest.iter().any(|it| it.at_ms == april.wall_ms()), "the month after it is there");
    store.close().unwrap();
    assert!(march.exists(), "it is left where it is");

    drop(filler);
    fs::remove_file(dir.join("filler")).unwrap();
    let (store, report) = open().unwrap();
    let told: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|it| it.contains("readings were saved from it")), "{told:?}");
    store.close().unwrap();
}

async fn fills_up(dir: &Path, ballast_bytes: u64) {
    let options =
        Options { dir: dir.join("store"), time_zone: chrono_tz::Europe::Oslo, ballast_bytes };
    let clock = FixedClock::at(MIDNIGHT_MS);
    let open = || Store::open(options.clone(), Arc::clone(&clock) as Arc<dyn metering::Clock>);
    let (store, _) = open().unwrap();
    let filler = dir.join("filler");
    File::create(&filler).unwrap().write_all(&vec![1; usize::try_from(3 * MIB).unwrap()]).unwrap();

    // The first refusals make room: logs are put into their files.
    let mut acknowledged = 0;
    let mut refusals = Vec::new();
    while refusals.len() < 3 {
        match store.writer().commit(round(acknowledged)).await {
            Ok(stored) => {
                acknowledged = stored.first_seq + stored.count - 1;
                refusals.clear();
            }
            Err(error) => refusals.push(error),
        }
    }
    let refused = refusals.remove(0);
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        format!(
            "the disk of {} is full: nothing stored earlier is lost, and storing goes on when \
             there is space again",
            options.dir.display()
        )
    );
    assert!(acknowledged > 1000, "{acknowledged}");
    all_is_there(&store, acknowledged).await;
    if ballast_bytes > 0 {
        assert!(!options.dir.join("ballast").exists(), "it was given up");
        // The room that it left is not for readings.
        store.core().put_setting("small", "things go on".to_owned()).await.unwrap();
        // A restart on a full disk.
        store.close().unwrap();
        let (store, report) = open().unwrap();
        assert_eq!((report.head, report.damaged), (acknowledged, vec![]));
        assert!(store.writer().commit(round(acknowledged)).await.unwrap_err().is_full());
        fs::remove_file(&filler).unwrap();
        goes_on(&store, acknowledged).await;
        assert_eq!(fs::metadata(options.dir.join("ballast")).unwrap().len(), MIB);
        store.close().unwrap();
    } else {
        fs::remove_file(&filler).unwrap();
        goes_on(&store, acknowledged).await;
        store.close().unwrap();
    }
    let (store, report) = open().unwrap();
    assert_eq!(report.damaged, []);
    all_is_there(&store, report.head).await;
    println!("{acknowledged} readings until the disk was full, {} at last", report.head);
}

async fn goes_on(store: &Store, acknowledged: u64) {
    let stored = store.writer().commit(round(acknowledged)).await.unwrap();
    assert_eq!(stored.first_seq, acknowledged + 1, "the refused round took no numbers");
    all_is_there(store, stored.first_seq + stored.count - 1).await;
}

/// A round of a hundred registers; their values are the numbers that they will have.
fn round(head: u64) -> Vec<MeterRound> {
    let head = i64::try_from(head).unwrap();
    let at = moment(MIDNIGHT_MS + head);
    let readings = (1..=100)
        .map(|number| {
            let name = format!("volume_t{number}");
            (reading(&name, head + number, 0, Unit::Litre, at), Kind::Counter)
        })
        .collect();
    vec![answer(COLD, "20110815", at, readings)]
}

async fn all_is_there(store: &Store, head: u64) {
    let mut after = 0;
    while after < head {
        let batch = store.outbox().batch(after, 10_000).await.unwrap();
        assert_eq!(batch.lost, None);
        assert!(!batch.readings.is_empty(), "nothing after {after} of {head}");
        for reading in batch.readings {
            after += 1;
            assert_eq!(reading.seq, after);
            assert_eq!(reading.value, Ok(i64::try_from(after).unwrap()));
        }
    }
}
