//! Every place at which the line, the gateway or the portfolio can fail, with exact counts.
//!
//! The line is cut after so many bytes up or down, which walks through the handshake, the request and
//! the answer; in each place nobody, the gateway, the portfolio or both die with it. Afterwards the
//! portfolio has what the gateway's store has: no reading less, none twice.

use crate::support::{Cloud, Cut, Gateway, assert_same, everything, gateway_id, moment};
use metering::Unit;
use store::Kind;
use store::testing::{self, COLD, HEAT, MIDNIGHT_MS, known_day, reading};

/// A meter's answer with two readings, and another's with one.
async fn round(store: &store::Store, minute: i64) {
    let at = moment(MIDNIGHT_MS + 26 * 3_600_000 + 60_000 * minute);
    let heat = vec![
        (reading("energy", 20_000 + minute, 3, Unit::Gigajoule, at), Kind::Counter),
        (reading("flow_temperature", 700, 1, Unit::Celsius, at), Kind::Gauge),
    ];
    let cold = vec![(reading("volume", 900 + minute, 0, Unit::Litre, at), Kind::Counter)];
    let answers = vec![
        testing::answer(HEAT, "67001122", at, heat),
        testing::answer(COLD, "20110815", at, cold),
    ];
    store.writer().commit(answers).await.unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Dies {
    Nobody,
    Gateway,
    Portfolio,
    Both,
}

/// Steps of 120 bytes, through two and a half kilobytes each way.
const STEPS: usize = 21;

#[tokio::test]
async fn nothing_is_lost_and_nothing_doubled_wherever_it_breaks() {
    let (mut cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;

    let up = (0..STEPS).map(|step| Cut { up: Some(1 + 120 * step), down: None });
    let down = (0..STEPS).map(|step| Cut { up: None, down: Some(1 + 120 * step) });
    let dies = [Dies::Nobody, Dies::Gateway, Dies::Portfolio, Dies::Both];
    let mut cuts = cloud.line.cuts();
    let cases = up.chain(down).zip(dies.into_iter().cycle());
    for (minute, (cut, dies)) in (0..).zip(cases) {
        cuts.mark_unchanged();
        cloud.line.cut(cut);
        cloud.line.hang_up();
        round(&day.store, minute).await;
        gateway.hurry.notify_one();
        // Either it breaks, or so much fits through that the round is done.
        let head = outbox.state().head;
        let mut status = gateway.status.clone();
        let hurry = gateway.hurry.clone();
        let broken = async {
            loop {
                hurry.notify_one();
                tokio::select! {
                    _ = cuts.changed() => return,
                    _ = status.changed() => if status.borrow().acked >= head { return },
                }
            }
        };
        tokio::time::timeout(crate::support::SOON, broken).await.unwrap();
        if matches!(dies, Dies::Gateway | Dies::Both) {
            gateway.crash().await;
        }
        if matches!(dies, Dies::Portfolio | Dies::Both) {
            cloud.down().await;
            cloud.up().await;
        }
        cloud.line.cut(Cut::default());
        if matches!(dies, Dies::Gateway | Dies::Both) {
            gateway.run(&day.store);
        }
        gateway.caught_up(&outbox).await;
        let stored = everything(&outbox).await;
        assert_same(&stored, &cloud, gateway.id);
        assert_eq!(cloud.rows(), stored.len(), "{cut:?}, {dies:?} dies");
    }
    assert!(*cuts.borrow() >= 20, "only {} of the cuts cut anything", *cuts.borrow());
    assert_eq!(cloud.alarms(), []);
    assert_eq!(cloud.rows(), 93 * 3 + 2 * STEPS * 3);
    gateway.stop().await;
}
