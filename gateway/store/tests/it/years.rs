//! What comes in by whole days is what a gateway has that read its meters itself and packed the days.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fmt::Write as _;
use std::time::Duration;

use store::testing::building::{Building, REGISTERS, meter};
use store::testing::years::{END_MS, Years};
use store::testing::{KnownDay, empty, open, register};
use store::{Kind, Order, Step, Store};

const MINUTE: i64 = 60_000;
const FEW: Years = Years { meters: 3, days: 3 };

/// Everything that can be asked of it, as text.
async fn answers(store: &Store) -> String {
    store
        .readers()
        .ask(|it| {
            let mut text = String::new();
            let all = FEW.span().start - 86_400_000..END_MS + 86_400_000;
            for number in 0..=FEW.meters {
                let meter = meter(number);
                write!(text, "{:#?}{:#?}", it.latest(meter), it.gaps(meter, all.clone())?).unwrap();
                for (name, _, kind) in REGISTERS {
                    let name = register(name);
                    let order = Order::OldestFirst;
                    let readings = it.readings(meter, &name, all.clone(), order, usize::MAX)?;
                    let readings = readings.iter().map(|it| (it.at_ms, it.value, it.trust));
                    write!(text, "{:?}", readings.collect::<Vec<_>>()).unwrap();
                    for step in Step::ALL {
                        let levels = it.levels(meter, &name, all.clone(), step)?;
                        write!(text, "{levels:#?}").unwrap();
                        if kind == Kind::Counter {
                            let used = it.used(meter, &name, all.clone(), step)?;
                            write!(text, "{used:#?}").unwrap();
                        }
                    }
                }
            }
            write!(text, "{:#?}", it.completeness(all, Step::Day)?).unwrap();
            // A point has an id of its own in each store.
            let is_id = |line: &&str| line.contains("PointId") || line.contains("-7");
            Ok(text.lines().filter(|line| !is_id(line)).collect::<Vec<_>>().join("\n"))
        })
        .await
        .unwrap()
}

/// The same meters, read round for round.
async fn read() -> KnownDay {
    let day = empty().unwrap();
    let begin = FEW.span().start;
    let every = |number| if number == FEW.meters { 60 } else { 900 };
    let schedule = (0..=FEW.meters).map(|number| (meter(number), every(number))).collect();
    day.store.writer().schedule(begin, schedule).await.unwrap();
    let mut quarters = Building::new(0, FEW.meters, 15 * MINUTE);
    let mut minutes = Building::new(FEW.meters, 1, MINUTE);
    day.store.writer().commit(quarters.round(begin - 15 * MINUTE)).await.unwrap();
    day.store.writer().commit(minutes.round(begin - MINUTE)).await.unwrap();
    for minute in 0..FEW.days * 1440 {
        let at = begin + i64::from(minute) * MINUTE;
        day.clock.set(at);
        if minute % 15 == 0 {
            day.store.writer().commit(quarters.round(at)).await.unwrap();
        }
        day.store.writer().commit(minutes.round(at)).await.unwrap();
    }
    day.clock.set(END_MS);
    day.clock.pass(Duration::from_hours(2));
    day.store.writer().flush().await.unwrap();
    day.store.writer().pack().await.unwrap();
    day
}

#[tokio::test]
async fn days_that_are_brought_are_days_that_were_read() {
    let under = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let dir = FEW.ready(under.path(), |day| told.push(day)).await.unwrap();
    assert_eq!(told, [1, 2, 3]);
    assert_eq!(FEW.ready(under.path(), |_| unreachable!()).await.unwrap(), dir, "it is kept");

    let read = read().await;
    let (brought, report) = open(&dir, &read.clock).unwrap();
    assert_eq!((report.damaged, report.recovered), (vec![], 0));
    let first = 6 * u64::from(FEW.meters + 1);
    assert_eq!(report.head, FEW.readings() + first);
    assert_eq!(read.store.outbox().state().head, report.head);
    let (one, other) = (answers(&brought).await, answers(&read.store).await);
    let differs = one.lines().zip(other.lines()).position(|(a, b)| a != b);
    let around = |text: &str| {
        let at = differs.unwrap_or_default().saturating_sub(12);
        text.lines().skip(at).take(20).collect::<Vec<_>>().join("\n")
    };
    assert!(differs.is_none(), "{}\n----\n{}", around(&one), around(&other));
    assert_eq!(one.len(), other.len());
    assert_eq!(brought.writer().scrub_all().await.unwrap(), []);

    // It is gone on with.
    let mut next = Building::new(0, FEW.meters, 15 * MINUTE);
    let stored = brought.writer().commit(next.round(END_MS)).await.unwrap();
    assert_eq!(stored.first_seq, report.head + 1);
}
