//! A store is looked at and copied from outside, while it is written to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::Unit;
use store::testing::{
    COLD, KnownDay, NEXT_MIDNIGHT_MS, answer, known_day, moment, open, reading, register,
};
use store::{FileReport, Kind, Order, backup, stats, verify};

const ALL: u64 = 93 * 3;

async fn read_on(day: &KnownDay, minutes: i64) {
    for minute in 0..minutes {
        let at = moment(NEXT_MIDNIGHT_MS + minute * 60_000);
        let volume = (reading("volume", 200 + minute, 0, Unit::Litre, at), Kind::Counter);
        day.store.writer().commit(vec![answer(COLD, "20110815", at, vec![volume])]).await.unwrap();
    }
}

fn raw(reports: &[FileReport]) -> FileReport {
    reports.iter().find(|it| it.name == "raw-2026-03.db").unwrap().clone()
}

#[tokio::test]
async fn a_report_says_what_is_packed_and_what_is_not() {
    let day = known_day().await.unwrap();
    let before = raw(&stats(day.dir.path()).unwrap());
    assert_eq!((before.readings, before.spooled, before.chunks), (ALL, ALL, 0));
    day.store.writer().pack().await.unwrap();
    read_on(&day, 5).await;
    let after = raw(&stats(day.dir.path()).unwrap());
    assert_eq!((after.readings, after.spooled, after.chunks), (ALL + 5, 5, 2));
    let reports = verify(day.dir.path()).unwrap();
    assert!(reports.iter().all(|it| it.damages.is_empty()), "{reports:?}");
    let names: Vec<_> = reports.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["raw-2026-03.db", "rollup.db", "core.db"]);
}

#[tokio::test]
async fn whoever_verifies_hears_of_a_damaged_block() {
    let day = known_day().await.unwrap();
    day.store.writer().pack().await.unwrap();
    let path = day.dir.path().join("raw-2026-03.db");
    let db = rusqlite::Connection::open(path).unwrap();
    let harm = "UPDATE block SET blob = zeroblob(length(blob))
                 WHERE id = (SELECT MAX(id) FROM block)";
    db.execute(harm, []).unwrap();
    let found = raw(&verify(day.dir.path()).unwrap());
    let [damage] = found.damages.as_slice() else { unreachable!("{found:?}") };
    assert!(damage.contains("the checksum does not fit the block of meter 2"), "{damage}");
    day.store.writer().scrub().await.unwrap();
    let after = raw(&verify(day.dir.path()).unwrap());
    assert_eq!((after.damages, after.set_aside), (vec![], 1), "it is out of the way");
}

#[tokio::test]
async fn a_copy_that_was_made_meanwhile_is_a_store() {
    let day = known_day().await.unwrap();
    day.store.writer().pack().await.unwrap();
    day.store.writer().flush().await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let copy = to.path().join("copy");
    let from = day.dir.path().to_owned();
    let copying = tokio::task::spawn_blocking({
        let copy = copy.clone();
        move || backup(&from, &copy)
    });
    read_on(&day, 30).await;
    let copied = copying.await.unwrap().unwrap();
    let readings = raw(&copied).readings;
    assert!((ALL..=ALL + 30).contains(&readings), "{readings}");
    assert!(backup(day.dir.path(), &copy).is_err(), "a folder that is there is left alone");

    let (store, report) = open(&copy, &day.clock).unwrap();
    assert_eq!((report.head, report.damaged), (readings, vec![]));
    let readers = store.readers();
    let found = readers.ask(|it| {
        it.readings(COLD, &register("volume"), 0..i64::MAX, Order::OldestFirst, usize::MAX)
    });
    let found = u64::try_from(found.await.unwrap().len()).unwrap();
    assert_eq!(found, 93 + readings - ALL);
}
