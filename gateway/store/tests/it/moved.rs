//! A store that goes on in another machine begins a new epoch, with all its readings.

use std::sync::Arc;

use metering::Clock;
use store::testing::known_day;
use store::{Options, Stands, Store};

#[tokio::test]
async fn another_machine_is_another_epoch() {
    let day = known_day().await.unwrap();
    let (core, outbox) = (day.store.core(), day.store.outbox());
    let (epoch, head) = (outbox.epoch(), outbox.state().head);
    outbox.acknowledge(head).await.unwrap();
    assert_eq!(core.stands_in("box-1".into()).await.unwrap(), Stands::First);
    assert_eq!(core.stands_in("box-1".into()).await.unwrap(), Stands::Still);
    assert_eq!((outbox.epoch(), outbox.state().acked), (epoch, head));

    assert_eq!(core.stands_in("box-2".into()).await.unwrap(), Stands::Elsewhere);
    assert_ne!(outbox.epoch(), epoch);
    assert_eq!(
        (outbox.state().acked, outbox.state().head),
        (0, head),
        "the cloud gets all of it again"
    );
    let all = outbox.batch(0, 10_000).await.unwrap().readings.len();
    assert_eq!(u64::try_from(all).unwrap(), head);
    assert_eq!(core.stands_in("box-2".into()).await.unwrap(), Stands::Still);
}

#[tokio::test]
async fn a_backup_that_was_put_back_begins_anew() {
    let day = known_day().await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path().join("backup");
    day.store.core().stands_in("box-1".into()).await.unwrap();
    store::backup(day.dir.path(), &to).unwrap();
    store::restored(&to).unwrap();
    let options = Options { dir: to, time_zone: chrono_tz::Europe::Oslo, ballast_bytes: 0 };
    let clock = Arc::clone(&day.clock) as Arc<dyn Clock>;
    let (store, report) = Store::open(options, clock).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(report.head, day.store.outbox().state().head);
    assert_ne!(store.outbox().epoch(), day.store.outbox().epoch());
    assert_eq!(store.core().stands_in("box-9".into()).await.unwrap(), Stands::First);
}
