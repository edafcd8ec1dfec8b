//! A thousand meters on twenty buses: whoever commits waits for the disk and not for a place in the queue,
//! and everybody's readings are there in the order in which they were stored.

use std::collections::BTreeMap;

use store::testing::building::Building;
use store::testing::{MIDNIGHT_MS, empty};

const BUSES: u32 = 20;
const METERS: u32 = 50;
const ROUNDS: i64 = 4;

/// Every bus comes with its next round the moment the one before is stored, which is more than one every ten
/// seconds; the store is packed, rolled up and asked meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_is_never_full_and_loses_no_round() {
    let day = empty().unwrap();
    let buses: Vec<_> = (0..BUSES)
        .map(|number| {
            let writer = day.store.writer();
            let mut bus = Building::new(number * METERS, METERS, 10_000);
            tokio::spawn(async move {
                let (mut most, mut last) = (0, 0);
                for round in 0..ROUNDS {
                    let committing = writer.commit(bus.round(MIDNIGHT_MS + round * 10_000));
                    let stored = committing.await.unwrap();
                    assert!(stored.first_seq > last, "later ones have higher numbers");
                    assert_eq!(stored.count, u64::from(METERS) * 6);
                    last = stored.first_seq + stored.count - 1;
                    most = most.max(writer.waiting().0);
                }
                most
            })
        })
        .collect();
    let writer = day.store.writer();
    let housekeeping = tokio::spawn(async move {
        for _ in 0..ROUNDS {
            writer.flush().await.unwrap();
            writer.pack().await.unwrap();
        }
    });
    let (mut most, places) = (0, day.store.writer().waiting().1);
    for bus in buses {
        most = most.max(bus.await.unwrap());
    }
    housekeeping.await.unwrap();
    println!("at most {most} of {places} places were taken");
    assert!(most <= usize::try_from(BUSES).unwrap() + 2, "a commit takes one place: {most}");
    assert!(most < places, "the queue is never full");
    // What was done has given its place back.
    day.store.writer().flush().await.unwrap();
    assert!(day.store.writer().waiting().0 <= 1);

    let mut by_series: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    let (mut after, head) = (0, u64::from(BUSES * METERS) * 6 * ROUNDS.unsigned_abs());
    while after < head {
        let batch = day.store.outbox().batch(after, 10_000).await.unwrap();
        for reading in batch.readings {
            assert_eq!(reading.seq, after + 1);
            after = reading.seq;
            by_series.entry(reading.series).or_default().push(reading.at_ms);
        }
    }
    assert_eq!(by_series.len(), usize::try_from(BUSES * METERS * 6).unwrap());
    let rounds = usize::try_from(ROUNDS).unwrap();
    assert!(by_series.values().all(|it| it.len() == rounds && it.is_sorted_by(|a, b| a < b)));
}
