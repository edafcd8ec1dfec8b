//! What was damaged on the gateway's disk comes back from the portfolio, and nothing else does.

use std::path::Path;
use std::time::Duration;

use metering::MeterId;
use rusqlite::Connection;
use store::testing::{COLD, HEAT, KnownDay, MIDNIGHT_MS, known_day};
use store::{OutboxReading, Store};
use sync_wire::{RecallAsked, Recalled, Refusal, limits, path};
use tokio::time::{interval, timeout};
use uuid::Uuid;

use crate::folding::fold;
use crate::support::{
    Cloud, Cut, Gateway, SOON, assert_same, everything, gateway_id, on_both_databases,
};
use crate::sync::{post, round};

on_both_databases! {
    a_damaged_block_comes_back_and_nothing_is_sent_for_it,
    it_goes_on_where_a_cut_line_and_a_stop_left_it,
    a_gateway_hears_of_its_own_readings_alone_and_of_no_more_than_fit,
}

const HOUR_MS: i64 = 3_600_000;

/// A gateway whose day the portfolio has, and nobody asks anything of it.
async fn told(cloud: &Cloud) -> (KnownDay, Gateway, Vec<OutboxReading>) {
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let has = everything(&day.store.outbox()).await;
    (day, gateway, has)
}

/// Packs what is stored, and changes all blocks of a meter.
pub(crate) async fn harm(store: &Store, dir: &Path, meter: MeterId) {
    store.writer().pack().await.unwrap();
    let db = Connection::open(dir.join("raw-2026-03.db")).unwrap();
    let harmed = db.execute(
        "UPDATE block SET crc32c = crc32c + 1
          WHERE id & 16777215 = (SELECT key FROM packed_meter WHERE meter = ?1)",
        [meter.uuid().as_bytes()],
    );
    assert!(harmed.unwrap() > 0);
    drop(db);
    assert!(!store.writer().scrub_all().await.unwrap().is_empty());
}

/// Waits until nothing is left to be asked for.
async fn had_again(gateway: &Gateway, store: &Store) {
    let asked = async {
        let mut every = interval(Duration::from_millis(20));
        while store.outbox().recall().await.unwrap().is_some() {
            gateway.hurry.notify_one();
            every.tick().await;
        }
    };
    timeout(SOON, asked).await.unwrap_or_else(|_| panic!("still {:?}", *gateway.status.borrow()));
}

async fn a_damaged_block_comes_back_and_nothing_is_sent_for_it(mut cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let empty = cloud.backup();
    let day = known_day().await.unwrap();
    let mut gateway = Gateway::new(Some(identity));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    let has = everything(&day.store.outbox()).await;
    let rows = cloud.rows();
    // Some of it is folded there.
    fold(&cloud, MIDNIGHT_MS + HOUR_MS).await;
    assert!((1..rows).contains(&cloud.rows()));

    harm(&day.store, day.dir.path(), HEAT).await;
    harm(&day.store, day.dir.path(), COLD).await;
    had_again(&gateway, &day.store).await;
    assert_eq!(everything(&day.store.outbox()).await, has);
    let said = day.store.core().damages().await.unwrap();
    assert!(
        said.iter().any(|it| it.ends_with("came back from the portfolio; it has no more of them"))
    );

    // What is new is sent, and nothing else; a portfolio that was put back gets the same again.
    for minute in 0..3 {
        round(&day.store, minute).await;
    }
    gateway.caught_up(&day.store.outbox()).await;
    assert_eq!(cloud.alarms(), []);
    cloud.down().await;
    cloud.restore(&empty);
    cloud.up().await;
    round(&day.store, 3).await;
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    assert_same(&everything(&day.store.outbox()).await, &cloud, gateway.id);
    assert_eq!(cloud.alarms(), []);
}

async fn it_goes_on_where_a_cut_line_and_a_stop_left_it(cloud: Cloud) {
    let (day, mut gateway, has) = told(&cloud).await;
    harm(&day.store, day.dir.path(), HEAT).await;
    assert_ne!(everything_left(&day.store).await, has);
    // Anywhere: in a handshake, a question, an answer.
    let places = (500..6_000).step_by(500).flat_map(|bytes| {
        [Cut { down: Some(bytes), up: None }, Cut { up: Some(bytes), down: None }]
    });
    let mut cuts = cloud.line.cuts();
    let mut cut_off = 0;
    for cut in places {
        cuts.mark_unchanged();
        cloud.line.cut(cut);
        gateway.run(&day.store);
        tokio::select! {
            cut = cuts.changed() => {
                cut.unwrap();
                cut_off += 1;
            }
            () = had_again(&gateway, &day.store) => break,
        }
        gateway.crash().await;
    }
    assert!(cut_off > 1, "{cut_off}");
    gateway.crash().await;
    cloud.line.cut(Cut::default());
    gateway.run(&day.store);
    had_again(&gateway, &day.store).await;
    gateway.stop().await;
    assert_eq!(everything(&day.store.outbox()).await, has);
    assert_same(&has, &cloud, gateway.id);
}

/// What is still there.
async fn everything_left(store: &Store) -> Vec<OutboxReading> {
    let (outbox, mut all, mut after) = (store.outbox(), Vec::new(), 0);
    while after < outbox.state().head {
        let batch = outbox.batch(after, 10_000).await.unwrap();
        after = batch.readings.last().map_or(after, |last| last.seq);
        after = batch.lost.map_or(after, |lost| lost.to);
        all.extend(batch.readings);
    }
    all
}

async fn a_gateway_hears_of_its_own_readings_alone_and_of_no_more_than_fit(cloud: Cloud) {
    let (day, gateway, has) = told(&cloud).await;
    let identity = gateway.identity.borrow().clone().unwrap();
    let epoch = day.store.outbox().epoch();
    let all = RecallAsked {
        gateway: gateway.id,
        epoch,
        meter: HEAT,
        from_ms: limits::TIMES_MS.start,
        until_ms: limits::TIMES_MS.end,
        numbers: vec![(1, u64::MAX)],
    };
    let ask = async |asked: &RecallAsked| {
        let (status, body) = post(&identity, path::RECALL, asked.write()).await;
        assert_eq!(status.as_u16(), 200);
        assert!(body.len() <= limits::RECALL_BYTES);
        Recalled::read(&body).unwrap()
    };
    let of = |meter: MeterId, it: &OutboxReading| {
        day.store.outbox().series(&[it.series]).iter().all(|info| info.meter == meter)
    };
    // From the beginning of time on, page by page, whether it is folded or not.
    for folded_until in [MIDNIGHT_MS - HOUR_MS, MIDNIGHT_MS + HOUR_MS, MIDNIGHT_MS + 48 * HOUR_MS] {
        fold(&cloud, folded_until).await;
        for meter in [HEAT, COLD] {
            let (mut asked, mut found, mut questions) =
                (RecallAsked { meter, ..all.clone() }, vec![], 0);
            // It lies some fifty years on; nobody asks so.
            asked.from_ms = MIDNIGHT_MS - 400 * 24 * HOUR_MS;
            asked.until_ms = MIDNIGHT_MS + 400 * 24 * HOUR_MS;
            loop {
                let answer = ask(&asked).await;
                found.extend(answer.readings);
                questions += 1;
                let Some(next_ms) = answer.next_ms else { break };
                assert!(next_ms > asked.from_ms);
                asked.from_ms = next_ms;
            }
            assert!((2..20).contains(&questions), "{questions}");
            let told =
                |it: &OutboxReading| (it.seq, it.series, it.at_ms, it.value, it.quality, it.origin);
            let found: Vec<_> = found
                .iter()
                .map(|it| (it.seq, it.series, it.at_ms, it.value, it.quality, it.origin))
                .collect();
            let expected: Vec<_> = has.iter().filter(|it| of(meter, it)).map(told).collect();
            assert_eq!(found, expected);
        }
    }
    // A part of it by number and time.
    let some = RecallAsked {
        from_ms: MIDNIGHT_MS + HOUR_MS,
        until_ms: MIDNIGHT_MS + 2 * HOUR_MS,
        numbers: vec![(1, 14), (16, 20)],
        ..all.clone()
    };
    let seqs: Vec<u64> = ask(&some).await.readings.iter().map(|it| it.seq).collect();
    assert_eq!(seqs, [13, 14, 16, 17, 19, 20]);

    // Another's, and what is nobody's.
    let (other, nobody) = (gateway_id(), MeterId::from_uuid(Uuid::nil()));
    let others = cloud.identity(other).await;
    let answer =
        post(&others, path::RECALL, RecallAsked { gateway: other, ..all.clone() }.write()).await;
    assert_eq!(Recalled::read(&answer.1).unwrap().readings, []);
    let (status, body) = post(&others, path::RECALL, all.write()).await;
    let refused = Refusal::read(&body).unwrap();
    assert!(matches!(refused, Refusal::NotAllowed { .. }), "{status}: {refused}");
    for none in [
        RecallAsked { meter: nobody, ..all.clone() },
        RecallAsked { epoch: epoch + 1, ..all.clone() },
        RecallAsked { numbers: vec![], ..some.clone() },
    ] {
        assert_eq!(ask(&none).await.readings, []);
    }
    let (status, body) = post(&identity, path::RECALL, vec![0; limits::POSTED_BYTES + 1]).await;
    assert_eq!((status.as_u16(), Refusal::read(&body).is_ok()), (400, true));
}
