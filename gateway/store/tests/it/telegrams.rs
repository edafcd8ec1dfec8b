//! Any reading leads back to what its meter said, byte by byte, for as long as that is wanted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, MeterId, Moment, Trust, Unit};
use store::testing::{COLD, HEAT, KnownDay, answer, empty, reading, silence};
use store::{KeepTelegrams, Kind, MeterRound, Retention, Seal, telegram_files, telegram_seals};

const KEEP: KeepTelegrams = KeepTelegrams { days: 30, bytes: 1 << 30 };
const MINUTE: Duration = Duration::from_mins(1);

/// What a meter says that shows `stand`.
fn telegram(meter: MeterId, stand: i64) -> Vec<u8> {
    let mut telegram = vec![0x68, 0x4D, 0x4D, 0x68, 0x08];
    telegram.extend(meter.uuid().as_bytes());
    telegram.extend((0..60_u8).map(|it| it.wrapping_mul(37)));
    telegram.extend(stand.to_le_bytes());
    telegram
}

fn said(meter: MeterId, serial: &str, at: Moment, cycle: i64, stand: i64) -> MeterRound {
    let volume = reading("volume", stand, 0, Unit::Litre, at);
    let mut round = answer(meter, serial, at, vec![(volume, Kind::Counter)]);
    round.cycle = cycle.unsigned_abs();
    round.telegrams = vec![telegram(meter, stand), vec![0xE5]];
    round
}

/// Two meters, read each minute; the second is silent every third time. The clock shows the end.
async fn minutes(day: &KnownDay, from: i64, count: i64) {
    for minute in from..from + count {
        day.clock.pass(MINUTE);
        let at = day.clock.now();
        let cold = if minute % 3 == 2 {
            silence(COLD, at)
        } else {
            said(COLD, "2", at, 2 * minute + 1, 7 * minute)
        };
        let round = vec![said(HEAT, "1", at, 2 * minute, minute), cold];
        day.store.writer().commit(round).await.unwrap();
    }
}

async fn heard(day: &KnownDay, meter: MeterId, at_ms: i64) -> (i64, Vec<Vec<u8>>) {
    let heard = day.store.readers().ask(move |it| it.heard(meter, at_ms)).await.unwrap().unwrap();
    (heard.at_ms, heard.telegrams)
}

/// Every minute of the last `count` up to the clock's leads back to its telegram.
#[track_caller]
fn check(day: &KnownDay, first: i64, count: i64) -> impl Future<Output = ()> + '_ {
    let caller = std::panic::Location::caller();
    async move {
        let end = day.clock.now().wall_ms();
        for minute in first..first + count {
            let at = end - (first + count - 1 - minute) * 60_000;
            let expected = (at, vec![telegram(HEAT, minute), vec![0xE5]]);
            assert_eq!(heard(day, HEAT, at).await, expected, "{caller} {minute}");
            assert_eq!(heard(day, HEAT, at + 59_999).await, expected, "what came before it");
            // The last one that was answered.
            let silent = i64::from(minute % 3 == 2);
            if minute - silent >= first {
                let stand = 7 * (minute - silent);
                let expected = (at - silent * 60_000, vec![telegram(COLD, stand), vec![0xE5]]);
                assert_eq!(heard(day, COLD, at).await, expected, "{caller} {minute}");
            }
        }
    }
}

fn keeping(keep: KeepTelegrams) -> KnownDay {
    let day = empty().unwrap();
    day.store.writer().keep_telegrams(keep);
    day
}

fn again(day: KnownDay) -> KnownDay {
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, _) = store::testing::open(dir.path(), &clock).unwrap();
    store.writer().keep_telegrams(KEEP);
    KnownDay { store, clock, dir }
}

#[tokio::test]
async fn every_reading_leads_back_to_its_telegram() {
    let day = keeping(KEEP);
    minutes(&day, 0, 200).await;
    check(&day, 0, 200).await;
    // When its readings are packed, and by the next start, too.
    day.clock.pass(Duration::from_hours(30));
    day.store.writer().pack().await.unwrap();
    let day = again(day);
    day.clock.set(day.clock.now().wall_ms() - 30 * 3_600_000);
    check(&day, 0, 200).await;
    minutes(&day, 200, 50).await;
    check(&day, 0, 250).await;
}

#[tokio::test]
async fn what_is_like_the_answer_before_takes_little_room() {
    let day = keeping(KEEP);
    minutes(&day, 0, 600).await;
    let path = telegram_files(day.dir.path()).unwrap().remove(0);
    let db = rusqlite::Connection::open(path).unwrap();
    let packed: usize =
        db.query_row("SELECT SUM(LENGTH(blob)) FROM said", [], |row| row.get(0)).unwrap();
    let plain = 1_000 * (telegram(HEAT, 0).len() + 1);
    assert!(packed * 4 < plain, "{packed} bytes of {plain}");
}

#[tokio::test]
async fn a_day_is_a_file_and_old_ones_go() {
    let day = keeping(KeepTelegrams { days: 2, ..KEEP });
    for begin in 0..5 {
        minutes(&day, begin * 10, 10).await;
        day.clock.pass(Duration::from_hours(24));
    }
    let files = || telegram_files(day.dir.path()).unwrap().len();
    assert_eq!(files(), 5);
    let readings = day.store.outbox().state().head;
    let keep = Retention { keep_days: 400, ..Retention::default() };
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!((gone.files.len(), files()), (3, 2), "{:?}", gone.files);
    assert_eq!(day.store.outbox().state().head, readings, "the readings stay");
    let oldest = heard(&day, HEAT, day.clock.now().wall_ms() - 4 * 24 * 3_600_000).await;
    assert_eq!(oldest.1, Vec::<Vec<u8>>::new(), "it is known when it was read, and no more");
}

#[tokio::test]
async fn the_last_ones_go_when_their_time_is_over_and_all_when_none_are_wanted() {
    let day = keeping(KeepTelegrams { days: 2, ..KEEP });
    minutes(&day, 0, 10).await;
    let keep = Retention { keep_days: 400, ..Retention::default() };
    day.clock.pass(Duration::from_hours(47));
    assert_eq!(day.store.writer().prune(keep).await.unwrap().files, Vec::<String>::new());
    day.clock.pass(Duration::from_hours(2));
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["telegrams-000001.db"], "no meter has said anything since");
    minutes(&day, 10, 10).await;
    check(&day, 10, 10).await;
    day.store.writer().keep_telegrams(KeepTelegrams { days: 0, ..KEEP });
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["telegrams-000002.db"]);
    assert_eq!(telegram_files(day.dir.path()).unwrap(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn more_than_there_is_room_for_goes() {
    let day = keeping(KeepTelegrams { bytes: 400_000, ..KEEP });
    minutes(&day, 0, 1_500).await;
    let files = || telegram_files(day.dir.path()).unwrap();
    assert!(files().len() > 2, "a file is an eighth of it");
    day.store.writer().keep_telegrams(KeepTelegrams { bytes: 1, ..KEEP });
    day.store.writer().prune(Retention { keep_days: 400, ..Retention::default() }).await.unwrap();
    assert_eq!(files().len(), 1, "the newest stays");
    let last = heard(&day, HEAT, day.clock.now().wall_ms()).await;
    assert_eq!(last.1[0], telegram(HEAT, 1_499));
}

#[tokio::test]
async fn a_filling_disk_costs_telegrams_before_readings() {
    let day = keeping(KEEP);
    minutes(&day, 0, 10).await;
    day.clock.pass(Duration::from_hours(25));
    minutes(&day, 10, 10).await;
    store::testing::disk_is(&day.store, 86);
    let keep = Retention { keep_days: 400, cloud: true, ..Retention::default() };
    let gone = day.store.writer().prune(keep).await.unwrap();
    assert_eq!(gone.files, ["telegrams-000001.db"]);
}

#[tokio::test]
async fn what_came_while_nobody_knew_the_time_leads_back_too() {
    let day = keeping(KEEP);
    let now = day.clock.now();
    day.clock.trust(Trust::Untrusted);
    day.clock.set(0);
    minutes(&day, 0, 5).await;
    day.clock.set(now.wall_ms() + 5 * 60_000);
    day.clock.trust(Trust::Synced);
    day.store.writer().stamp().await.unwrap();
    check(&day, 0, 5).await;
}

#[tokio::test]
async fn without_a_wish_for_them_none_are_kept() {
    for keep in [None, Some(KeepTelegrams { days: 0, ..KEEP })] {
        let day = empty().unwrap();
        if let Some(keep) = keep {
            day.store.writer().keep_telegrams(keep);
        }
        minutes(&day, 0, 3).await;
        assert_eq!(telegram_files(day.dir.path()).unwrap(), Vec::<std::path::PathBuf>::new());
        assert_eq!(heard(&day, HEAT, day.clock.now().wall_ms()).await.1, Vec::<Vec<u8>>::new());
    }
}

#[tokio::test]
async fn a_telegram_that_was_changed_is_seen() {
    let day = keeping(KEEP);
    let sign: Arc<store::Sign> = Arc::new(|hash| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(hash);
        signature
    });
    minutes(&day, 0, 5).await;
    day.store.writer().seal(Arc::clone(&sign)).await.unwrap();
    minutes(&day, 5, 5).await;
    day.store.writer().seal(sign).await.unwrap();
    minutes(&day, 10, 1).await;
    let path = telegram_files(day.dir.path()).unwrap().remove(0);
    let sealed = telegram_seals(&path).unwrap();
    let rows: Vec<_> = sealed.seals.iter().map(|it| (it.readings, it.fault.clone())).collect();
    assert_eq!((rows, sealed.unsealed), (vec![(5, None), (5, None)], 1));

    day.store.writer().scrub_all().await.unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let blob: Vec<u8> =
        db.query_row("SELECT blob FROM said WHERE number = 8", [], |row| row.get(0)).unwrap();
    let mut changed = blob.clone();
    *changed.last_mut().unwrap() ^= 1;
    db.execute("UPDATE said SET blob = ?1 WHERE number = 8", [changed]).unwrap();
    let faults = |path: &std::path::Path| -> Vec<bool> {
        let seals = telegram_seals(path).unwrap().seals;
        seals.iter().map(|Seal { fault, .. }| fault.is_some()).collect()
    };
    assert_eq!(faults(&path), [false, true]);
    // It is told once, and the others are still there.
    let told = day.store.writer().scrub_all().await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(day.store.writer().scrub_all().await.unwrap(), []);
    let end = day.clock.now().wall_ms();
    assert_eq!(heard(&day, HEAT, end).await.1[0], telegram(HEAT, 10));
    // A row that is taken out is missed, too.
    db.execute("DELETE FROM said WHERE number = 2", []).unwrap();
    assert!(faults(&path)[0]);
}
