//! Years of readings come in, and all of them go out in the order of their numbers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Instant;

use metering::{Clock, MeterId, Origin, Quantity, Trust, Unit};
use store::testing::{
    HEAT, KnownDay, MIDNIGHT_MS, answer, empty, known_day, moment, reading, register, resolution,
};
use store::{Imported, Kind, Outbox, OutboxReading, Retention, Step, StoreError};

const HOUR: i64 = 3_600_000;

fn meter(number: u128) -> MeterId {
    MeterId::from_uuid(uuid::Uuid::from_u128(number + 1))
}

/// `hours` of `meters` meters with two registers, the registers of a meter after each other.
fn history(meters: u128, hours: i64) -> Vec<Imported> {
    let of = |meter: u128, name: &str, hour: i64| Imported {
        meter: self::meter(meter),
        register: register(name),
        kind: Kind::Counter,
        at_ms: MIDNIGHT_MS - hour * HOUR,
        quantity: Quantity::new(1_000_000 - hour, resolution(1, Unit::KilowattHour)),
        origin: Origin::Simulated,
    };
    (0..meters)
        .flat_map(|meter| ["energy_import", "energy_export"].map(|name| (meter, name)))
        .flat_map(|(meter, name)| (0..hours).map(move |hour| of(meter, name, hour)))
        .collect()
}

/// Everything the outbox has; asks for `piece` readings at once.
async fn everything(outbox: &Outbox, piece: usize) -> Vec<OutboxReading> {
    let mut all: Vec<OutboxReading> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.seq);
        let batch = outbox.batch(after, piece).await.unwrap();
        assert_eq!(batch.lost, None);
        assert!(batch.readings.len() <= piece);
        if batch.readings.is_empty() {
            return all;
        }
        all.extend(batch.readings);
    }
}

fn assert_contiguous(readings: &[OutboxReading], count: u64) {
    assert!(readings.iter().map(|reading| reading.seq).eq(1..=count));
}

#[tokio::test]
async fn a_year_of_readings_comes_in_once() {
    let day = empty().unwrap();
    let readings = history(6, 8760);
    let count = u64::try_from(readings.len()).unwrap();
    let started = Instant::now();
    let stored = day.store.writer().import(readings.clone()).await.unwrap();
    println!("{count} readings imported in {} ms", started.elapsed().as_millis());
    assert_eq!((stored.first_seq, stored.count), (1, count));

    let started = Instant::now();
    let again = day.store.writer().import(readings).await.unwrap();
    println!("and known the second time in {} ms", started.elapsed().as_millis());
    assert_eq!(again.count, 0, "all of them are there");

    let started = Instant::now();
    let sent = everything(&day.store.outbox(), 10_000).await;
    println!("and sent in {} ms", started.elapsed().as_millis());
    assert_contiguous(&sent, count);
    let size = day.store.readers().ask(|it| Ok(it.size())).await.unwrap();
    assert_eq!(size.files, 13);

    let started = Instant::now();
    let months = day
        .store
        .readers()
        .ask(|it| it.used(meter(3), &register("energy_import"), 0..i64::MAX, Step::Month))
        .await
        .unwrap();
    let used: i64 = months[0].rows.iter().map(|row| row.amount.mantissa()).sum();
    assert_eq!(used, 8759);
    let hours = day
        .store
        .readers()
        .ask(|it| it.used(meter(3), &register("energy_import"), 0..i64::MAX, Step::Hour))
        .await
        .unwrap();
    assert_eq!(hours[0].rows.len(), 8759);
    println!("a year in months and in hours: {} ms", started.elapsed().as_millis());
}

#[tokio::test]
async fn an_import_between_two_rounds_takes_its_turn() {
    let day = known_day().await.unwrap();
    let before = day.store.outbox().state().head;
    let stored = day.store.writer().import(history(2, 1500)).await.unwrap();
    assert_eq!(stored.first_seq, before + 1);
    let at = moment(MIDNIGHT_MS + 26 * HOUR);
    let energy = (reading("energy", 99_000, 3, Unit::Gigajoule, at), Kind::Counter);
    day.store.writer().commit(vec![answer(HEAT, "67001122", at, vec![energy])]).await.unwrap();
    for piece in [1000, 7, 10_000] {
        let sent = everything(&day.store.outbox(), piece).await;
        assert_contiguous(&sent, before + stored.count + 1);
    }
}

#[tokio::test]
async fn what_the_cloud_has_is_remembered_and_can_be_taken_back() {
    let day = known_day().await.unwrap();
    let outbox = day.store.outbox();
    let head = outbox.state().head;
    outbox.acknowledge(100).await.unwrap();
    outbox.acknowledge(50).await.unwrap();
    assert_eq!(outbox.state().acked, 100, "an older confirmation changes nothing");
    assert_eq!(
        outbox.acknowledge(head + 1).await.unwrap_err().to_string(),
        format!("reading {} cannot be acknowledged, because the newest is {head}", head + 1)
    );
    outbox.rewind(20).await.unwrap();
    let epoch = outbox.epoch();
    let day = reopened(day);
    let outbox = day.store.outbox();
    assert_eq!((outbox.state().acked, outbox.epoch()), (20, epoch));
    assert_eq!(outbox.batch(20, 3).await.unwrap().readings[0].seq, 21);
}

#[tokio::test]
async fn a_new_head_wakes_who_waits_for_it() {
    let day = known_day().await.unwrap();
    let mut heads = day.store.outbox().watch();
    let before = *heads.borrow_and_update();
    let at = moment(MIDNIGHT_MS + 26 * HOUR);
    day.store.writer().commit(vec![store::testing::silence(HEAT, at)]).await.unwrap();
    heads.changed().await.unwrap();
    assert_eq!(*heads.borrow(), before + 2);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let day = known_day().await.unwrap();
    let writer = day.store.writer();
    day.store.close().unwrap();
    assert!(matches!(writer.commit(Vec::new()).await, Err(StoreError::Closed)));
}

fn reopened(day: KnownDay) -> KnownDay {
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = store::testing::open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(report.recovered, 0, "it was closed properly");
    KnownDay { store, clock, dir }
}

#[tokio::test]
async fn old_months_go_and_their_roll_ups_stay() {
    let day = empty().unwrap();
    let stored = day.store.writer().import(history(1, 2500)).await.unwrap();
    let files = || async {
        let size = day.store.readers().ask(|it| Ok(it.size())).await.unwrap();
        size.files
    };
    assert_eq!(files().await, 4);
    let prune = |cloud| {
        let writer = day.store.writer();
        async move {
            writer.prune(Retention { keep_days: 20, cloud, ..Retention::default() }).await.unwrap()
        }
    };
    let kept = prune(true).await;
    assert_eq!(kept.files, Vec::<String>::new(), "the cloud has nothing yet");
    day.store.outbox().acknowledge(stored.count).await.unwrap();
    let kept = prune(true).await;
    assert_eq!(kept.files, Vec::<String>::new(), "it has not had them for thirty days");
    day.clock.pass(std::time::Duration::from_hours(24 * 31));
    let gone = prune(true).await;
    assert_eq!(gone.files, ["raw-2025-12.db", "raw-2026-01.db", "raw-2026-02.db"]);
    assert_eq!((gone.lost, files().await), (0, 1), "the newest stays");
    let hours = day
        .store
        .readers()
        .ask(|it| it.used(meter(0), &register("energy_import"), 0..i64::MAX, Step::Hour))
        .await
        .unwrap();
    assert_eq!(hours[0].rows.len(), 2499);
    let outbox = day.store.outbox();
    let first = outbox.state().oldest_kept;
    assert!(first > 1);
    let lost = outbox.batch(0, 10).await.unwrap().lost.unwrap();
    assert_eq!((lost.from, lost.to), (1, first - 1), "who asks for them hears that they are gone");
}

/// What the cloud has had for thirty days goes from 85 % on, and from 90 % on the oldest whoever has it; the
/// newest stays.
#[tokio::test]
async fn a_disk_that_fills_costs_the_oldest_months() {
    for (percent, cloud, gone, lost) in
        [(84, true, 0, 0), (85, true, 0, 0), (85, false, 0, 0), (90, true, 3, 1), (90, false, 3, 0)]
    {
        let day = empty().unwrap();
        day.store.writer().import(history(1, 2500)).await.unwrap();
        store::testing::disk_is(&day.store, percent);
        let keep = Retention { keep_days: 400, cloud, ..Retention::default() };
        let pruned = day.store.writer().prune(keep).await.unwrap();
        assert_eq!(pruned.files.len(), gone, "{percent} {cloud}");
        assert_eq!(pruned.lost > 0, lost > 0, "{percent} {cloud}");
    }
}

/// Four months are acknowledged by a clock that is so many days late and trusted so far; perhaps the
/// cloud forgets them after a month. How many months go?
#[track_caller]
fn check(days_late: i64, trust: Trust, forgets: bool, expected: usize) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let day = empty().unwrap();
        let stored = day.store.writer().import(history(1, 2500)).await.unwrap();
        let now_ms = day.clock.now().wall_ms();
        day.clock.set(now_ms - 24 * HOUR * days_late);
        day.clock.trust(trust);
        day.store.outbox().acknowledge(stored.count).await.unwrap();
        day.clock.set(now_ms);
        day.clock.trust(Trust::Synced);
        if forgets {
            day.clock.pass(std::time::Duration::from_hours(24 * 31));
            day.store.outbox().rewind(0).await.unwrap();
        }
        let keep = Retention { keep_days: 0, cloud: true, ..Retention::default() };
        let gone = day.store.writer().prune(keep).await.unwrap();
        assert_eq!(gone.files.len(), expected, "{caller}");
    }
}

#[tokio::test]
async fn nothing_goes_before_the_cloud_has_certainly_had_it_for_thirty_days() {
    check(31, Trust::Synced, false, 3).await;
    check(29, Trust::Synced, false, 0).await;
    check(9_000, Trust::Untrusted, false, 0).await;
    check(0, Trust::Synced, true, 0).await;
}
