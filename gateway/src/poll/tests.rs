use std::future;

use drivers::MeterAddress;
use metering::{Identity, Origin};
use uuid::Uuid;

use super::*;
use crate::clock::testing::TestClock;

/// Answers by address: 1 to 99 at once, 100 to 199 after that many seconds less 100, the others
/// never.
struct Fake;

impl Wire for Fake {
    async fn read(&mut self, meter: &drivers::Meter, _: &dyn Clock) -> Result<Readout, ReadError> {
        match meter.address {
            MeterAddress::Primary(address @ 0..100) => {
                time::sleep(Duration::from_millis(u64::from(address))).await;
            }
            MeterAddress::Primary(address @ 100..200) => {
                time::sleep(Duration::from_secs(u64::from(address) - 100)).await;
            }
            _ => future::pending().await,
        }
        Ok(nothing_said())
    }
}

fn nothing_said() -> Readout {
    Readout {
        identity: Identity::default(),
        medium: None,
        readings: Vec::new(),
        remembered: Vec::new(),
        odd: Vec::new(),
        telegrams: Vec::new(),
        took: Duration::ZERO,
        profile: None,
    }
}

fn meter(address: u8, secs: u64) -> Planned {
    let meter = drivers::Meter {
        id: MeterId::from_uuid(Uuid::from_u128(address.into())),
        address: MeterAddress::Primary(address),
        profile: None,
        serial: None,
        origin: Origin::Live,
    };
    Planned { meter, poll_every: PollEvery::new(secs).unwrap(), answered: None }
}

struct Bus {
    heard: mpsc::Receiver<Polled>,
    wishes: mpsc::Sender<AskNow>,
    leave: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    clock: TestClock,
}

impl Bus {
    fn start(meters: Vec<Planned>) -> Self {
        let clock = TestClock::started_at("2026-02-28T23:59:48Z");
        let (polled, heard) = mpsc::channel(4);
        let (wishes, wished) = mpsc::channel(1);
        let leave = CancellationToken::new();
        let board = Board::new(clock.now().wall);
        board.set_buses(["a".to_owned()]);
        let mut lines = Lines {
            wishes: wished,
            polled,
            board,
            core: None,
            cycles: Arc::new(Cycles::of_start(1)),
            leave: leave.clone(),
            shutdown: CancellationToken::new(),
        };
        let plan = Plan {
            bus: "a".to_owned(),
            zone: Tz::Europe__Oslo,
            longest: Duration::from_secs(10),
            load: Load::default(),
            meters,
        };
        let task = tokio::spawn(async move {
            poll_bus(&mut Fake, plan, Arc::new(clock), &mut lines).await;
        });
        Self { heard, wishes, leave, task, clock }
    }

    /// What is heard until the clock shows `until`, a line each.
    async fn log(&mut self, until: &str) -> Vec<String> {
        let until: DateTime<Utc> = until.parse().unwrap();
        let mut log = Vec::new();
        while self.clock.now().wall < until {
            let left = (until - self.clock.now().wall).to_std().unwrap();
            let Ok(Some(polled)) = time::timeout(left, self.heard.recv()).await else { break };
            log.push(match polled {
                Polled::RoundOver => "round over".to_owned(),
                Polled::Glance(_) => "glance".to_owned(),
                Polled::Meter(asked) => {
                    let outcome = match asked.outcome {
                        Outcome::Answered(_) => "answered".to_owned(),
                        Outcome::Told(_) => "told".to_owned(),
                        Outcome::Failed(error) => format!("{:?}", error.no_reading()),
                        Outcome::NotAsked => "not asked".to_owned(),
                    };
                    let number = asked.meter.uuid().as_u128();
                    format!("{} {number} {outcome}", asked.at.wall.format("%H:%M:%S"))
                }
            });
        }
        log
    }
}

#[tokio::test(start_paused = true)]
async fn meters_are_asked_at_once_and_then_at_the_multiples_of_their_interval() {
    let mut bus = Bus::start(vec![meter(1, 60), meter(2, 10)]);
    assert_eq!(
        bus.log("2026-03-01T00:00:11Z").await,
        [
            "23:59:48 1 answered",
            "23:59:48 2 answered",
            "round over",
            "23:59:50 2 answered",
            "round over",
            "00:00:00 1 answered",
            "00:00:00 2 answered",
            "round over",
            "00:00:10 2 answered",
            "round over",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_meter_costs_no_other_a_reading() {
    let mut meters: Vec<Planned> = (1..=40).map(|address| meter(address, 10)).collect();
    meters.insert(0, meter(250, 10));
    meters.insert(20, meter(112, 10));
    let mut bus = Bus::start(meters);
    let log = bus.log("2026-03-01T00:10:00Z").await;
    for address in 1..=40 {
        let answered = log.iter().filter(|it| it.ends_with(&format!(" {address} answered")));
        assert_eq!(answered.count(), 61, "meter {address}: one for each slot from 23:59:50 on");
    }
    let slots = |address: &str| log.iter().filter(|it| it.contains(address)).count();
    assert_eq!(slots(" 250 "), 62, "every slot has its reason");
    assert_eq!(slots(" 112 "), 62, "an answer that takes 12 s is none on a bus of 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_answered_between_the_polls() {
    let mut bus = Bus::start(vec![meter(1, 900), meter(250, 900)]);
    bus.log("2026-03-01T00:05:00Z").await;
    let (reply, _answer) = oneshot::channel();
    let wish = AskNow { meter: MeterId::from_uuid(Uuid::from_u128(1)), reply };
    bus.wishes.send(wish).await.unwrap();
    let Some(Polled::Meter(asked)) = bus.heard.recv().await else { panic!() };
    assert_eq!(asked.at.wall.to_string(), "2026-03-01 00:05:00 UTC");
    assert!(matches!(asked.outcome, Outcome::Answered(_)) && asked.reply.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_leaves_after_the_question_under_way() {
    let mut bus = Bus::start(vec![meter(105, 60), meter(1, 60)]);
    bus.log("2026-02-28T23:59:50Z").await;
    bus.leave.cancel();
    let log = bus.log("2026-03-01T00:10:00Z").await;
    assert_eq!(log, ["23:59:48 105 answered", "round over"]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_takes_the_readings_the_task_waits_and_loses_none() {
    let mut bus = Bus::start((1..=9).map(|address| meter(address, 10)).collect());
    time::sleep(Duration::from_mins(10)).await;
    let log = bus.log("2026-03-01T00:09:49Z").await;
    let answered = log.iter().filter(|it| it.starts_with("23:59:48")).count();
    assert_eq!(answered, 5, "four in the queue and the one that waited for it");
    bus.leave.cancel();
    bus.heard.close();
    bus.task.await.unwrap();
}
