//! Readings that were sealed are proven, and whatever is done to them is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use store::testing::{KnownDay, known_day, sign};
use store::{Sealed, seals};

/// The day in three seals, and its file.
async fn sealed() -> (KnownDay, PathBuf) {
    let day = known_day().await.unwrap();
    let writer = day.store.writer();
    assert_eq!(writer.seal(sign()).await.unwrap(), day.store.outbox().state().head);
    for _ in 0..2 {
        day.clock.pass(Duration::from_hours(1));
        let at = metering::Clock::now(&*day.clock);
        let reading = store::testing::reading("energy", 99_999, 3, metering::Unit::Gigajoule, at);
        let readings = vec![(reading, store::Kind::Counter)];
        let round = store::testing::answer(store::testing::HEAT, "67001122", at, readings);
        writer.commit(vec![round]).await.unwrap();
        assert_eq!(writer.seal(sign()).await.unwrap(), 1);
    }
    assert_eq!(writer.seal(sign()).await.unwrap(), 0, "all are sealed");
    let file = store::raw_files(day.dir.path()).unwrap().pop().unwrap();
    (day, file)
}

fn faults(file: &Path) -> Vec<Option<String>> {
    seals(file).unwrap().seals.into_iter().map(|seal| seal.fault).collect()
}

#[tokio::test]
async fn sealed_readings_are_proven_packed_or_not() {
    let (day, file) = sealed().await;
    let before = seals(&file).unwrap();
    let whole = |sealed: &Sealed| sealed.seals.iter().all(|seal| seal.fault.is_none());
    assert_eq!((before.seals.len(), before.unsealed, whole(&before)), (3, 0, true));
    assert!(before.seals.iter().all(|it| it.signature == [it.hash[0]; 64]));
    assert_eq!(
        before.seals.iter().map(|it| it.readings).sum::<u64>(),
        day.store.outbox().state().head
    );
    // Another day is over, and all is packed.
    day.clock.pass(Duration::from_hours(72));
    assert!(day.store.writer().pack().await.unwrap() > 0);
    assert_eq!(seals(&file).unwrap(), before, "packing changes no seal");
    assert_eq!(day.store.writer().seal(sign()).await.unwrap(), 0);
}

/// Whoever changes the file, and makes all its checksums fit again, is seen.
async fn check(sql: &str, expected: &[Option<&str>]) {
    let (day, file) = sealed().await;
    day.store.close().unwrap();
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let expected: Vec<_> = expected.iter().map(|it| it.map(str::to_owned)).collect();
    assert_eq!(faults(&file), expected, "{sql}");
}

#[tokio::test]
async fn whatever_is_done_to_them_is_seen() {
    let changed = Some("its readings are not those that were sealed");
    let broken = Some("it does not go on from the one before it");
    // Another meaning, another time of sealing, another hash.
    check("UPDATE series SET decimals = decimals + 1 WHERE register = 'energy'", &[changed; 3])
        .await;
    check("UPDATE seal SET at_ms = at_ms + 1 WHERE number = 2", &[None, changed, None]).await;
    check("UPDATE seal SET hash = zeroblob(32) WHERE number = 1", &[changed, broken, None]).await;
    // A seal is taken out, and what it covered falls under the next.
    check("DELETE FROM seal WHERE number = 2", &[None, broken]).await;
    // A reading is taken out.
    check(
        "DELETE FROM spool WHERE first_seq = (SELECT MAX(first_seq) FROM spool)",
        &[None, None, Some("0 of 1 readings are there")],
    )
    .await;
}

#[tokio::test]
async fn a_changed_value_is_seen_even_with_its_checksum() {
    let (day, file) = sealed().await;
    day.store.close().unwrap();
    // The last byte of a blob is the last one of a value; its row is told anew as the store would.
    let db = Connection::open(&file).unwrap();
    let row: (u64, Vec<u8>) = db
        .query_row("SELECT first_seq, blob FROM spool ORDER BY first_seq DESC LIMIT 1", [], |it| {
            Ok((it.get(0)?, it.get(1)?))
        })
        .unwrap();
    let mut blob = row.1;
    *blob.last_mut().unwrap() ^= 2;
    db.execute("UPDATE spool SET blob = ?1 WHERE first_seq = ?2", (blob, row.0)).unwrap();
    let faults = faults(&file);
    assert_eq!(faults[..2], [None, None]);
    let fault = faults[2].as_deref().unwrap();
    assert!(fault.contains("the checksum does not fit"), "{fault}");
}
