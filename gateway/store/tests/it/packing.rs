//! Readings move from the spool into blocks: nobody who asks can tell, whatever happens meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use metering::{Clock as _, MeterId, NoReading, Origin, Quantity, Unit};
use proptest::prelude::*;
use rusqlite::Connection;
use store::testing::{
    COLD, FixedClock, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, empty, known_day,
    moment, open, reading, register, resolution, silence,
};
use store::{Imported, Kind, LossReason, MeterRound, Order, OutboxReading, Step, Store};

const RAW: &str = "raw-2026-03.db";
const ALL: u64 = 93 * 3;
const HOUR: i64 = 3_600_000;

/// Everything that can be asked, as text.
async fn answers(store: &Store) -> String {
    let sent = everything(store).await;
    let readers = store.readers();
    let rest = readers.ask(|it| {
        let all = i64::MIN..i64::MAX;
        let day = MIDNIGHT_MS..NEXT_MIDNIGHT_MS;
        let mut text = String::new();
        let mut meters = it.meters();
        meters.sort_unstable();
        for meter in meters {
            write!(text, "{:#?}{:#?}", it.latest(meter), it.gaps(meter, all.clone())?).unwrap();
            for point in it.points(meter) {
                for order in [Order::OldestFirst, Order::NewestFirst] {
                    let found = it.readings(meter, &point.register, all.clone(), order, 10_000)?;
                    write!(text, "{found:#?}").unwrap();
                }
                for step in Step::ALL {
                    let used = it.used(meter, &point.register, all.clone(), step)?;
                    let levels = it.levels(meter, &point.register, all.clone(), step)?;
                    write!(text, "{used:#?}{levels:#?}").unwrap();
                }
            }
        }
        write!(text, "{:#?}", it.completeness(day, Step::Hour)?).unwrap();
        Ok(text)
    });
    let text = format!("{sent:#?}{}", rest.await.unwrap());
    // The ids of points are drawn.
    let mut of_point = false;
    let lines =
        text.lines().filter(|line| !std::mem::replace(&mut of_point, line.ends_with("PointId(")));
    lines.collect::<Vec<_>>().join("\n")
}

async fn everything(store: &Store) -> Vec<OutboxReading> {
    let mut all: Vec<OutboxReading> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.seq);
        let batch = store.outbox().batch(after, 1_000).await.unwrap();
        assert_eq!(batch.lost, None);
        if batch.readings.is_empty() {
            return all;
        }
        all.extend(batch.readings);
    }
}

/// Rows in the spool, chunks, and blocks of a file.
fn parts(path: &Path) -> (u32, u32, u32) {
    let db = Connection::open(path).unwrap();
    let count = |table: &str| -> u32 {
        db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    (count("spool"), count("chunk"), count("block"))
}

#[tokio::test]
async fn a_day_is_packed_and_nobody_can_tell() {
    let day = known_day().await.unwrap();
    let before = answers(&day.store).await;
    assert_eq!(day.store.writer().pack().await.unwrap(), ALL);
    assert_eq!(parts(&day.dir.path().join(RAW)), (0, 2, 4), "both days of UTC, both meters");
    assert_eq!(answers(&day.store).await, before);
    assert_eq!(day.store.writer().pack().await.unwrap(), 0, "it is done once");

    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!((report.head, report.recovered, report.damaged), (ALL, 0, vec![]));
    assert_eq!(answers(&store).await, before);

    // What only the blocks hold now makes the roll-ups again.
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("rollup.db")).unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!((report.recovered, report.damaged), (ALL, vec![]));
    assert_eq!(answers(&store).await, before);
}

#[tokio::test]
async fn what_comes_late_is_packed_to_the_rest() {
    let day = known_day().await.unwrap();
    day.store.writer().pack().await.unwrap();
    let late = moment(MIDNIGHT_MS + 5 * HOUR + 7);
    let volume = (reading("volume", 119, 0, Unit::Litre, late), Kind::Counter);
    day.store.writer().commit(vec![answer(COLD, "20110815", late, vec![volume])]).await.unwrap();
    day.store.writer().commit(vec![silence(HEAT, late)]).await.unwrap();
    let before = answers(&day.store).await;
    assert_eq!(day.store.writer().pack().await.unwrap(), 3 + 89 * 3 + 3, "and its day with it");
    assert_eq!(parts(&day.dir.path().join(RAW)), (0, 2, 4));
    assert_eq!(answers(&day.store).await, before);
}

#[tokio::test]
async fn an_import_is_known_again_after_it_was_packed() {
    let day = known_day().await.unwrap();
    let readings: Vec<Imported> = (0..3_000)
        .map(|hour| Imported {
            meter: COLD,
            register: register("volume"),
            kind: Kind::Counter,
            at_ms: MIDNIGHT_MS - hour * HOUR,
            quantity: Quantity::new(100_000 - hour, resolution(0, Unit::Litre)),
            origin: Origin::Import,
        })
        .collect();
    let stored = day.store.writer().import(readings.clone()).await.unwrap();
    assert_eq!(stored.count, 3_000);
    let before = answers(&day.store).await;
    day.store.writer().pack().await.unwrap();
    assert_eq!(answers(&day.store).await, before);
    assert_eq!(day.store.writer().import(readings).await.unwrap().count, 0);
}

#[tokio::test]
async fn a_block_that_is_damaged_costs_itself_and_is_named() {
    let day = known_day().await.unwrap();
    day.store.writer().pack().await.unwrap();
    let path = day.dir.path().join(RAW);
    {
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "UPDATE block SET blob = zeroblob(length(blob)) WHERE id = (SELECT MAX(id) FROM block)",
        )
        .unwrap();
    }
    let damage = day.store.writer().scrub().await.unwrap();
    let sentence = damage[0].to_string();
    assert_eq!(damage.len(), 1);
    assert!(
        sentence.starts_with("raw-2026-03.db was damaged (the checksum does not fit the block of ")
            && sentence.contains(&format!("89 readings of meter {COLD} from 2026-03-29 00:00 UTC")),
        "{sentence}"
    );
    assert_eq!(day.store.core().damages().await.unwrap(), [sentence]);
    assert_eq!(day.store.writer().scrub().await.unwrap(), [], "it is told once");

    let readers = day.store.readers();
    let found = |register: &'static str, meter| {
        readers.ask(move |it| {
            let all = i64::MIN..i64::MAX;
            it.readings(meter, &store::testing::register(register), all, Order::OldestFirst, 1_000)
        })
    };
    assert_eq!(found("volume", COLD).await.unwrap().len(), 93 - 89);
    assert_eq!(found("energy", HEAT).await.unwrap().len(), 93, "the other meter's is whole");
    let batch = day.store.outbox().batch(0, 10_000).await.unwrap();
    assert_eq!(batch.lost.unwrap().reason, LossReason::Damage, "the cloud hears of it");
    // And a damaged file as a whole keeps what is whole of its blocks.
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged, []);
    drop(store);
}

#[tokio::test]
async fn a_file_of_packed_readings_that_is_damaged_is_saved_from() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    store.writer().pack().await.unwrap();
    store.close().unwrap();
    let path = dir.path().join(RAW);
    let db = Connection::open(&path).unwrap();
    db.execute("DELETE FROM block WHERE id = (SELECT MAX(id) FROM block)", []).unwrap();
    drop(db);
    let (store, report) = open(dir.path(), &clock).unwrap();
    let sentence = report.damaged[0].to_string();
    assert!(sentence.contains("has lost a block"), "{sentence}");
    let saved = format!("{} readings were saved from it", ALL - 89);
    assert!(sentence.contains(&saved), "{sentence}");
    assert!(dir.path().join("raw-2026-03.db.damaged-1").exists());
    assert!(store.outbox().batch(0, 10_000).await.unwrap().lost.is_some());
}

#[tokio::test]
async fn a_file_of_the_version_before_is_read_and_packed() {
    let KnownDay { store, clock, dir } = known_day().await.unwrap();
    let before = answers(&store).await;
    store.close().unwrap();
    let path = dir.path().join(RAW);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TABLE chunk; DROP TABLE block; DROP TABLE packed_meter; DROP TABLE set_aside;
             DROP TABLE seal;
             CREATE INDEX spool_by_time ON spool (ts); PRAGMA user_version = 1;",
        )
        .unwrap();
    // The command line looks at it before its writer has.
    let beside = store::Readers::beside(dir.path(), chrono_tz::Europe::Oslo).unwrap();
    assert_eq!(beside.ask(|it| Ok(it.size().readings)).await.unwrap(), ALL);
    drop(beside);
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged, []);
    store.writer().pack().await.unwrap();
    assert_eq!(answers(&store).await, before);
}

/// Pieces and blocks of the roll-up file.
fn rolled_up(dir: &Path) -> (u32, u32) {
    let db = Connection::open(dir.join("rollup.db")).unwrap();
    let count = |table: &str| -> u32 {
        db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    (count("piece"), count("tally_block"))
}

#[tokio::test]
async fn roll_ups_are_written_as_they_come_and_merged() {
    let day = empty().unwrap();
    let mut at = MIDNIGHT_MS;
    for number in 0..40 {
        at += 900_000 * (number % 5);
        let flow = reading("flow_temperature", 700 + number, 1, Unit::Celsius, moment(at));
        let volume = reading("volume", 100 + number, 0, Unit::Litre, moment(at));
        let round = vec![
            answer(HEAT, "67001122", moment(at), vec![(flow, Kind::Gauge)]),
            answer(COLD, "20110815", moment(at), vec![(volume, Kind::Counter)]),
        ];
        day.store.writer().commit(round).await.unwrap();
        let before = answers(&day.store).await;
        day.store.writer().flush().await.unwrap();
        assert_eq!(answers(&day.store).await, before);
    }
    assert!(rolled_up(day.dir.path()).0 >= 80, "one of quarter hours, one of days, each time");
    let before = answers(&day.store).await;
    day.store.writer().pack().await.unwrap();
    let (pieces, blocks) = rolled_up(day.dir.path());
    assert!(pieces <= 3 && blocks == 2 * pieces, "{pieces} {blocks}");
    assert_eq!(answers(&day.store).await, before);
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!((report.recovered, report.damaged), (0, vec![]));
    assert_eq!(answers(&store).await, before);

    // A changed byte is seen, and the roll-ups are made again.
    let db = Connection::open(dir.path().join("rollup.db")).unwrap();
    db.execute("UPDATE tally_block SET blob = zeroblob(length(blob))", []).unwrap();
    drop(db);
    assert_eq!(store.writer().scrub().await.unwrap(), []);
    let damage = store.writer().scrub().await.unwrap();
    assert!(damage[0].to_string().ends_with("it was made again from the raw files"), "{damage:?}");
    assert_eq!(answers(&store).await, before);
}

/// What may happen to a store.
#[derive(Clone, Debug)]
enum Event {
    /// A meter is read, or silent, so much after the event before; the clock may have been set.
    Read {
        meter: u8,
        passed: i64,
        value: Option<i64>,
    },
    Import {
        at: i64,
    },
    Pack,
    Flush,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let passed = prop_oneof![
        8 => Just(900_000_i64), 2 => 0..100_000_i64, 1 => Just(20 * HOUR), 1 => Just(-3 * HOUR),
        1 => Just(35 * 24 * HOUR),
    ];
    prop_oneof![
        20 => (0..3_u8, passed, prop::option::weighted(0.9, -5..500_i64))
            .prop_map(|(meter, passed, value)| Event::Read { meter, passed, value }),
        2 => (0..90 * 24_i64).prop_map(|hour| Event::Import {
            at: MIDNIGHT_MS + hour * HOUR,
        }),
        3 => Just(Event::Pack),
        3 => Just(Event::Flush),
        1 => Just(Event::Restart),
    ]
}

/// Of a counter that never falls: of one that does, a late reading hides how far.
const fn stand(at_ms: i64) -> i64 {
    (at_ms - MIDNIGHT_MS) / 60_000
}

fn meter(number: u8) -> MeterId {
    MeterId::from_uuid(uuid::Uuid::from_u128(u128::from(number) + 1))
}

/// A case takes stores on a disk: 24 of them, unless `PROPTEST_CASES` says otherwise.
fn few() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    if told { usual } else { ProptestConfig { cases: 24, ..usual } }
}

proptest! {
    #![proptest_config(few())]

    /// Two stores live through the same, and one of them never packs.
    #[test]
    fn nothing_tells_a_store_that_packs_from_one_that_does_not(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (packs, plain) = (live(&events, true).await, live(&events, false).await);
            same(&packs.store, &plain.store).await;
            for store in [&packs.store, &plain.store] {
                store.writer().flush().await.unwrap();
            }
            packs.store.writer().pack().await.unwrap();
            same(&packs.store, &plain.store).await;
        });
    }
}

/// Tells the first line in which they differ.
async fn same(one: &Store, other: &Store) {
    let (one, other) = (answers(one).await, answers(other).await);
    let differs = one.lines().zip(other.lines()).position(|(a, b)| a != b);
    let around = |text: &str, at: usize| -> String {
        text.lines().skip(at.saturating_sub(25)).take(30).collect::<Vec<_>>().join("\n")
    };
    let at = differs.unwrap_or_default();
    let differs = differs.is_some() || one.len() != other.len();
    assert!(!differs, "{}\n----\n{}", around(&one, at), around(&other, at));
}

async fn live(events: &[Event], packs: bool) -> KnownDay {
    let mut day = empty().unwrap();
    let mut now = MIDNIGHT_MS;
    day.clock.set(now);
    for event in events {
        match event {
            Event::Read { meter, passed, value } => {
                now += passed;
                day.clock.set(now);
                let round = value.map_or_else(
                    || silence(self::meter(*meter), moment(now)),
                    |value| {
                        let flow =
                            reading("flow_temperature", value, 1, Unit::Celsius, moment(now));
                        let mut readings = vec![(flow, Kind::Gauge)];
                        if value % 3 == 0 {
                            let energy =
                                reading("energy", stand(now), 3, Unit::Gigajoule, moment(now));
                            readings.push((energy, Kind::Counter));
                        }
                        answer(self::meter(*meter), "1", moment(now), readings)
                    },
                );
                day.store.writer().commit(vec![round]).await.unwrap();
            }
            Event::Import { at } => {
                let imported = Imported {
                    meter: meter(1),
                    register: register("energy"),
                    kind: Kind::Counter,
                    at_ms: *at,
                    quantity: Quantity::new(stand(*at), resolution(3, Unit::Gigajoule)),
                    origin: Origin::Import,
                };
                day.store.writer().import(vec![imported]).await.unwrap();
            }
            Event::Pack if packs => {
                day.store.writer().pack().await.unwrap();
            }
            Event::Flush if packs => day.store.writer().flush().await.unwrap(),
            Event::Pack | Event::Flush => {}
            Event::Restart => {
                let KnownDay { store, clock, dir } = day;
                store.close().unwrap();
                let (store, report) = open(dir.path(), &clock).unwrap();
                assert_eq!(report.damaged, []);
                day = KnownDay { store, clock, dir };
            }
        }
    }
    day
}

const CHILD: &str = "STORE_TEST_PACKS_INTO";

/// Two meters; their values follow from the round's number. A round takes eight minutes, so that
/// hours and days are over all the time.
fn round(number: i64) -> Vec<MeterRound> {
    let at = moment(MIDNIGHT_MS + number * 480_000);
    let energy = reading("energy", number, 3, Unit::Gigajoule, at);
    let heat = if number % 11 == 0 {
        MeterRound { outcome: Err(NoReading::Silent), ..silence(HEAT, at) }
    } else {
        answer(HEAT, "67001122", at, vec![(energy, Kind::Counter)])
    };
    let volume = reading("volume", 2 * number, 0, Unit::Litre, at);
    vec![heat, answer(COLD, "20110815", at, vec![(volume, Kind::Counter)])]
}

/// Not a test of its own: the process that is killed. It commits and packs until it is, and says what
/// was acknowledged.
#[test]
fn child_that_packs() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, report) = open(Path::new(&dir), &clock).unwrap();
    assert_eq!(report.damaged, []);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for number in i64::try_from(report.head / 2).unwrap() + 1.. {
            clock.set(MIDNIGHT_MS + number * 480_000);
            let writer = store.writer();
            let packing =
                (number % 5 == 0).then(|| tokio::spawn(async move { writer.pack().await }));
            let stored = store.writer().commit(round(number)).await.unwrap();
            println!("acknowledged {}", stored.first_seq + stored.count - 1);
            if let Some(packing) = packing {
                packing.await.unwrap().unwrap();
            }
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_9_while_it_is_packed() {
    let kills: u64 =
        std::env::var("FYRHUS_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "packing::child_that_packs", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let wanted = usize::try_from(5 + kill * 29 % 83).unwrap();
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
    let (_, chunks, _) = parts(&dir.path().join(RAW));
    println!("{acknowledged} readings acknowledged over {kills} kills, none lost, {chunks} chunks");
    assert!(chunks > 0, "it did pack");
}

#[track_caller]
fn every_round_is_there_once(dir: &Path, acknowledged: u64) {
    let clock = FixedClock::at(MIDNIGHT_MS);
    let (store, report) = open(dir, &clock).unwrap();
    assert_eq!(report.damaged, []);
    assert!(report.head >= acknowledged, "{} of {acknowledged}", report.head);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sent = everything(&store).await;
        assert!(sent.iter().map(|reading| reading.seq).eq(1..=report.head));
        let mut by_time: BTreeMap<i64, usize> = BTreeMap::new();
        for reading in &sent {
            *by_time.entry(reading.at_ms).or_default() += 1;
        }
        assert!(by_time.values().all(|count| *count == 2), "a round is there whole, and once");
        let readers = store.readers();
        let found = readers.ask(|it| {
            it.readings(COLD, &register("volume"), 0..i64::MAX, Order::OldestFirst, usize::MAX)
        });
        let found: Vec<_> =
            found.await.unwrap().iter().map(|it| it.value.unwrap().mantissa()).collect();
        let rounds = i64::try_from(report.head / 2).unwrap();
        assert!(found.iter().copied().eq((1..=rounds).map(|it| 2 * it)));
    });
    store.close().unwrap();
    let _ = Arc::clone(&clock).now();
}

proptest! {
    #![proptest_config(few())]

    /// The lowest, highest, last and sum of a gauge in each period are those of a naive recount, over
    /// the ends of years and where the clocks change.
    #[test]
    fn roll_ups_are_what_a_recount_finds(
        start in prop::sample::select(vec![
            "2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-12-31T15:00:00Z",
            "2028-02-28T20:00:00Z",
        ]),
        readings in prop::collection::vec((1..20_000_000_i64, -50..500_i64), 1..40),
        pack in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let day = empty().unwrap();
            let start = start.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            let mut at = start.timestamp_millis();
            let mut all = Vec::new();
            for (index, (passed, value)) in readings.iter().enumerate() {
                at += passed;
                all.push((at, *value));
                let flow = reading("flow_temperature", *value, 1, Unit::Celsius, moment(at));
                let round = answer(HEAT, "1", moment(at), vec![(flow, Kind::Gauge)]);
                day.store.writer().commit(vec![round]).await.unwrap();
                if pack && index % 7 == 0 {
                    day.store.writer().flush().await.unwrap();
                }
            }
            day.clock.set(at + 100 * 24 * HOUR);
            if pack {
                day.store.writer().pack().await.unwrap();
            }
            for step in Step::ALL {
                let readers = day.store.readers();
                let found = readers.ask(move |it| {
                    let flow = register("flow_temperature");
                    Ok((it.levels(HEAT, &flow, i64::MIN..i64::MAX, step)?, it.civil()))
                });
                let (runs, civil) = found.await.unwrap();
                let found: Vec<_> = runs
                    .iter()
                    .flat_map(|run| &run.rows)
                    .map(|row| {
                        (row.start_ms, (row.min, row.max, row.sum.unwrap(), row.count, row.last))
                    })
                    .collect();
                let mut naive: BTreeMap<i64, (i64, i64, i64, u32, i64)> = BTreeMap::new();
                for (at, value) in &all {
                    let start = civil.period(step, *at).start;
                    let row = naive.entry(start).or_insert((*value, *value, 0, 0, *value));
                    *row = (
                        row.0.min(*value), row.1.max(*value), row.2 + value, row.3 + 1, *value,
                    );
                }
                assert_eq!(found, naive.into_iter().collect::<Vec<_>>(), "{step:?}");
            }
        });
    }
}
