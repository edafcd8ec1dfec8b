//! Files are overwritten, cut, deleted: the store says so in one sentence, saves what can be saved,
//! and goes on.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use metering::Unit;
use store::testing::{
    COLD, FixedClock, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, empty, known_day, moment,
    open, reading, register,
};
use store::{Kind, LossReason, OpenReport, Order, Step, Store};

const RAW: &str = "raw-2026-03.db";

/// The known day is closed, harmed and opened again.
async fn harmed(harm: impl FnOnce(&Path)) -> (Store, OpenReport, KnownDayDir) {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    store.close().unwrap();
    harm(dir.path());
    let (store, report) = open(dir.path(), &clock).unwrap();
    (store, report, KnownDayDir { dir, clock })
}

struct KnownDayDir {
    dir: store::testing::ScratchDir,
    clock: std::sync::Arc<FixedClock>,
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Changes a byte of a row in the middle of the file, without SQLite noticing.
fn change_a_byte_of_a_row(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    let blob: Vec<u8> =
        db.query_row("SELECT blob FROM spool WHERE first_seq = 136", [], |row| row.get(0)).unwrap();
    drop(db);
    let bytes = fs::read(path).unwrap();
    // A page that was split still has copies of what was moved away.
    for (at, window) in (0..).zip(bytes.windows(blob.len())) {
        if window == blob {
            overwrite(path, at + 10, &[!window[10]]);
        }
    }
}

/// It stores, hands out and counts as if nothing had been.
async fn goes_on(store: &Store) {
    let at = moment(NEXT_MIDNIGHT_MS + 3_600_000);
    let volume = reading("volume", 500, 0, Unit::Litre, at);
    let round = vec![answer(COLD, "20110815", at, vec![(volume, Kind::Counter)])];
    let stored = store.writer().commit(round).await.unwrap();
    let batch = store.outbox().batch(stored.first_seq - 1, 10).await.unwrap();
    assert_eq!(batch.readings.len(), 1);
    assert_eq!(batch.readings[0].seq, stored.first_seq);
}

/// How many readings the outbox still has, and how many ranges it tells as lost.
async fn sent(store: &Store) -> (usize, Vec<LossReason>) {
    let (mut readings, mut lost, mut after) = (0, Vec::new(), 0);
    loop {
        let batch = store.outbox().batch(after, 1000).await.unwrap();
        readings += batch.readings.len();
        after = batch.readings.last().map_or(after, |last| last.seq);
        match batch.lost {
            Some(range) => {
                assert_eq!(range.from, after + 1);
                lost.push(range.reason);
                after = range.to;
            }
            None if batch.readings.is_empty() => return (readings, lost),
            None => {}
        }
    }
}

const ALL: usize = 93 * 3;

#[tokio::test]
async fn a_byte_that_changed_in_a_row_costs_that_row() {
    let (store, report, _dir) = harmed(|dir| change_a_byte_of_a_row(&dir.join(RAW))).await;
    let sentence = report.damaged[0].to_string();
    assert_eq!(
        sentence,
        "raw-2026-03.db was damaged (the checksum does not fit those of the readings from 136); \
         it is kept as raw-2026-03.db.damaged-1; 276 readings were saved from it into a fresh file"
    );
    assert_eq!(store.core().damages().await.unwrap(), [sentence]);
    let (readings, lost) = sent(&store).await;
    assert_eq!(readings, ALL - 3);
    assert_eq!(lost[0], LossReason::Damage);
    goes_on(&store).await;
}

#[tokio::test]
async fn whichever_page_is_overwritten_it_goes_on() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    store.close().unwrap();
    let pages = fs::metadata(dir.path().join(RAW)).unwrap().len() / 4096;
    assert!(pages > 5);
    let mut saved = Vec::new();
    for page in 0..pages {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        overwrite(&copy.path().join(RAW), page * 4096, &[0xA5; 4096]);
        let (store, report) = open(copy.path(), &clock).unwrap();
        assert_eq!(report.damaged.len(), 1, "page {page}: {:?}", report.damaged);
        goes_on(&store).await;
        let (readings, lost) = sent(&store).await;
        assert!(readings > ALL || !lost.is_empty(), "page {page}: the cloud hears of a loss");
        saved.push(readings - 1);
    }
    println!("of {ALL} readings, saved by the page that was overwritten: {saved:?}");
    assert!(saved.iter().filter(|saved| **saved > 0).count() > 1, "a leaf costs only itself");
}

#[tokio::test]
async fn a_file_that_was_cut_or_is_none_is_put_aside() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 3] = [
        ("cut", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(3 * 4096 + 100).unwrap();
        }),
        ("nonsense", |path| fs::write(path, b"this is not a database, it is a text\n").unwrap()),
        ("zeros", |path| {
            let length = fs::metadata(path).unwrap().len();
            File::create(path).unwrap().set_len(length).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let (store, report, dir) = harmed(|dir| harm(&dir.join(RAW))).await;
        assert!(!report.damaged.is_empty(), "{name}");
        assert!(dir.dir.path().join("raw-2026-03.db.damaged-1").exists(), "{name}");
        goes_on(&store).await;
        let (_, lost) = sent(&store).await;
        assert!(lost.contains(&LossReason::Damage), "{name}: the cloud hears of it");
        // What was counted before is still known.
        let used = store
            .readers()
            .ask(|it| it.used(COLD, &register("volume"), MIDNIGHT_MS..NEXT_MIDNIGHT_MS, Step::Day))
            .await
            .unwrap();
        assert_eq!(used[0].rows[0].amount.mantissa(), 92, "{name}");
        store.close().unwrap();
        let (_, again) = open(dir.dir.path(), &dir.clock).unwrap();
        assert_eq!(again.damaged, [], "{name}: it is told once");
    }
}

#[tokio::test]
async fn a_raw_file_that_is_gone_is_noticed_and_no_number_is_given_twice() {
    let (store, report, _dir) = harmed(|dir| fs::remove_file(dir.join(RAW)).unwrap()).await;
    assert_eq!(
        report.damaged[0].to_string(),
        "a raw file was damaged (it is gone: readings were stored up to 279, and 0 is the last one found); \
         the missing ones are told to the cloud as lost"
    );
    assert!(report.head >= 279);
    goes_on(&store).await;
}

#[tokio::test]
async fn a_damaged_roll_up_is_made_again() {
    let (store, report, _dir) =
        harmed(|dir| overwrite(&dir.join("rollup.db"), 4096, &[0xA5; 8192])).await;
    assert!(report.damaged[0].to_string().ends_with("it was made again from the raw files"));
    assert_eq!(report.recovered, 279);
    let used = store
        .readers()
        .ask(|it| it.used(COLD, &register("volume"), 0..i64::MAX, Step::Quarter))
        .await
        .unwrap();
    assert_eq!(used[0].rows.len(), 92);
    goes_on(&store).await;
}

#[tokio::test]
async fn a_damaged_core_is_begun_again_and_the_readings_stay() {
    let before = known_day().await.unwrap().store.outbox().epoch();
    let (store, report, dir) =
        harmed(|dir| fs::write(dir.join("core.db"), vec![0x55; 20_000]).unwrap()).await;
    assert_eq!(
        report.damaged[0].to_string(),
        "core.db was damaged (file is not a database); it is kept as core.db.damaged-1; a fresh \
         one was begun: the configuration's history, users and settings are only in the old one"
    );
    assert!(dir.dir.path().join("core.db.damaged-1").exists());
    assert_ne!(store.outbox().epoch(), before, "the cloud must not mix up the numbers");
    assert_eq!(sent(&store).await, (ALL, vec![]));
    let found = store
        .readers()
        .ask(|it| it.readings(COLD, &register("volume"), 0..i64::MAX, Order::OldestFirst, 1000))
        .await
        .unwrap();
    assert_eq!(found.len(), 93, "the raw files explain their series themselves");
    goes_on(&store).await;
}

#[tokio::test]
async fn a_series_that_means_nothing_is_left_out_and_keeps_its_number() {
    let rename = "UPDATE series SET register = 'of a newer version' WHERE id = 1";
    let (store, report, dir) = harmed(|dir| {
        rusqlite::Connection::open(dir.join("core.db")).unwrap().execute(rename, []).unwrap();
    })
    .await;
    let sentences: Vec<_> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "core.db was damaged (column register holds `of a newer version`, which means nothing to \
          this version); series 1 is neither shown nor sent; its readings are kept for a version \
          that knows it"
        ]
    );
    let (readings, lost) = sent(&store).await;
    assert_eq!(readings + lost.len(), ALL);
    assert_eq!(lost, [LossReason::Damage; 93]);
    goes_on(&store).await;
    store.close().unwrap();

    let restore = "UPDATE series SET register = 'energy' WHERE id = 1";
    rusqlite::Connection::open(dir.dir.path().join("core.db"))
        .unwrap()
        .execute(restore, [])
        .unwrap();
    let (store, report) = open(dir.dir.path(), &dir.clock).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(sent(&store).await, (ALL + 1, vec![]));
}

#[tokio::test]
async fn roll_ups_outlive_their_readings_and_their_own_damage() {
    let day = known_day().await.unwrap();
    let readings = (0..2_000).map(|hour| store::Imported {
        meter: COLD,
        register: register("volume"),
        kind: Kind::Counter,
        at_ms: MIDNIGHT_MS - (hour + 1) * 3_600_000,
        quantity: metering::Quantity::new(
            90_000 - hour,
            store::testing::resolution(0, Unit::Litre),
        ),
        origin: metering::Origin::Import,
    });
    day.store.writer().import(readings.collect()).await.unwrap();
    let keep = store::Retention { keep_days: 1, ..store::Retention::default() };
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["raw-2026-01.db", "raw-2026-02.db"]);
    let hours = |store: &Store| {
        let readers = store.readers();
        async move {
            let used = |it: &store::Snapshot<'_>| {
                it.used(COLD, &register("volume"), i64::MIN..i64::MAX, Step::Hour)
            };
            readers.ask(used).await.unwrap()[0].rows.len()
        }
    };
    // One old reading, which comes later: of a year that no other file has.
    let old = store::Imported {
        meter: store::testing::HEAT,
        register: register("energy"),
        kind: Kind::Counter,
        at_ms: MIDNIGHT_MS - 1_000 * 86_400_000,
        quantity: metering::Quantity::new(1, store::testing::resolution(3, Unit::Gigajoule)),
        origin: metering::Origin::Import,
    };
    day.store.writer().import(vec![old]).await.unwrap();
    let before = hours(&day.store).await;
    assert!(before > 1_900);
    day.store.writer().pack().await.unwrap();
    let db = rusqlite::Connection::open(day.dir.path().join("rollup.db")).unwrap();
    let newest = "UPDATE tally_block SET crc32c = crc32c + 1
                   WHERE id = (SELECT MAX(number) FROM piece WHERE step = 0) << 24 | 1";
    assert_eq!(db.execute(newest, []).unwrap(), 1);
    drop(db);
    let first = day.store.writer().scrub_all().await.unwrap();
    let second = day.store.writer().scrub_all().await.unwrap();
    let sentence = first.iter().chain(&second).next().unwrap().to_string();
    assert!(sentence.ends_with("and what they do not hold was saved from it"), "{sentence}");
    assert_eq!(hours(&day.store).await, before);
}

/// What each quarter hour, hour and day has, of both meters.
async fn counted(store: &Store) -> Vec<(i64, i64)> {
    let mut all = Vec::new();
    for (meter, name) in [(COLD, "volume"), (store::testing::HEAT, "energy")] {
        for step in [Step::Quarter, Step::Day] {
            let used = move |it: &store::Snapshot<'_>| {
                it.used(meter, &register(name), i64::MIN..i64::MAX, step)
            };
            let runs = store.readers().ask(used).await.unwrap();
            let rows = runs.iter().flat_map(|run| &run.rows);
            all.extend(rows.map(|row| (row.start_ms, row.amount.mantissa())));
        }
    }
    all
}

#[tokio::test]
async fn a_roll_up_that_turns_out_damaged_as_it_is_written_loses_nothing() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    let before = counted(&store).await;
    let db = rusqlite::Connection::open(dir.path().join("rollup.db")).unwrap();
    db.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = 1000000 WHERE name = 'tally_block';
         PRAGMA schema_version = 4711;",
    )
    .unwrap();
    drop(db);
    store.writer().flush().await.unwrap();
    assert!(store.core().damages().await.unwrap()[0].starts_with("rollup.db was damaged"));
    assert_eq!(counted(&store).await, before);
    store.writer().flush().await.unwrap();
    assert_eq!(counted(&store).await, before);
    store.close().unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(counted(&store).await, before);
}

#[tokio::test]
async fn a_repair_is_finished_that_the_power_has_interrupted() {
    type State = fn(&Path);
    let states: [(&str, State); 4] = [
        ("half saved", |dir| fs::write(dir.join("raw-2026-03.db.saving"), b"half").unwrap()),
        ("saved", |dir| {
            fs::copy(dir.join(RAW), dir.join("raw-2026-03.db.saved")).unwrap();
            fs::write(dir.join(RAW), b"what was damaged").unwrap();
        }),
        ("its log is put aside", |dir| {
            fs::copy(dir.join(RAW), dir.join("raw-2026-03.db.saved")).unwrap();
            fs::write(dir.join(RAW), b"what was damaged").unwrap();
            fs::write(dir.join("raw-2026-03.db.damaged-1-wal"), b"its log").unwrap();
        }),
        ("put aside", |dir| {
            fs::rename(dir.join(RAW), dir.join("raw-2026-03.db.saved")).unwrap();
            fs::write(dir.join("raw-2026-03.db.damaged-1"), b"what was damaged").unwrap();
        }),
    ];
    for (name, state) in states {
        let (store, report, dir) = harmed(state).await;
        assert_eq!(report.damaged, [], "{name}");
        assert_eq!(sent(&store).await, (ALL, vec![]), "{name}");
        let left = fs::read_dir(dir.dir.path()).unwrap().map(|it| it.unwrap().file_name());
        let left: Vec<_> = left.filter(|it| it.to_string_lossy().contains(".sav")).collect();
        assert!(left.is_empty(), "{name}: {left:?}");
        goes_on(&store).await;
    }
}

#[tokio::test]
async fn a_roll_up_that_means_nothing_is_made_again() {
    let (store, report, _dir) = harmed(|dir| {
        let db = rusqlite::Connection::open(dir.join("rollup.db")).unwrap();
        db.execute("UPDATE progress SET quality = 99 WHERE series = 1", []).unwrap();
    })
    .await;
    assert_eq!(
        report.damaged[0].to_string(),
        "rollup.db was damaged (column quality holds `99`, which means nothing to this version); \
         it is kept as rollup.db.damaged-1; it was made again from the raw files"
    );
    assert_eq!(report.recovered, 279);
    goes_on(&store).await;
}

#[tokio::test]
async fn damage_is_found_while_the_store_runs() {
    let KnownDay { store, clock: _clock, dir } = known_day().await.unwrap();
    assert_eq!(store.writer().scrub().await.unwrap(), []);
    store.writer().flush().await.unwrap();
    // Into the file, behind the store's back: what a worn flash does.
    let path = dir.path().join(RAW);
    {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        db.execute("UPDATE spool SET blob = zeroblob(length(blob)) WHERE first_seq = 136", [])
            .unwrap();
    }
    let damage = store.writer().scrub().await.unwrap();
    assert_eq!(damage.len(), 1);
    assert_eq!(store.writer().scrub().await.unwrap(), []);
    let (readings, lost) = sent(&store).await;
    assert_eq!(readings, ALL - 3);
    assert_eq!(lost, [LossReason::Damage]);
    goes_on(&store).await;
}

#[tokio::test]
async fn an_empty_store_has_no_damage() {
    let KnownDay { store, clock, dir } = empty().unwrap();
    store.close().unwrap();
    let (_, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report, OpenReport::default());
}
