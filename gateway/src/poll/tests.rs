use std::future;

use drivers::MeterAddress;
use metering::{Identity, Origin};
use uuid::Uuid;
use web_ui::{ScanKind, ScanStatus};

use super::*;
use crate::clock::testing::TestClock;

/// Answers by address: 1 to 99 at once, 100 to 199 after that many seconds less 100, the others
/// never.
///
/// A scan of it has [`STEPS`] steps of 700 ms each; every tenth finds a meter, and the last but one
/// fails once.
#[derive(Default)]
struct Fake {
    steps: u32,
    has_failed: bool,
}

const STEPS: u32 = 100;

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

    async fn scan_step(&mut self, _: &mut Scan, _: &dyn Clock) -> Result<ScanStep, ReadError> {
        time::sleep(Duration::from_millis(700)).await;
        if self.steps == STEPS - 1 && !std::mem::replace(&mut self.has_failed, true) {
            let port: drivers::PortSettings = "tcp://127.0.0.1:1".parse().unwrap();
            return Err(ReadError::Port { port, cause: drivers::PortFault::NotListening });
        }
        self.steps += 1;
        Ok(match self.steps {
            STEPS => ScanStep::Done,
            step if step.is_multiple_of(10) => ScanStep::Found(found(step / 10)),
            _ => ScanStep::Nothing,
        })
    }
}

fn found(number: u32) -> drivers::Discovered {
    let number = u8::try_from(number).unwrap();
    drivers::Discovered {
        address: MeterAddress::Primary(number),
        own: None,
        identity: Identity::default(),
        medium: None,
        primary: Some(number),
        profile: None,
        nearly: None,
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
    scans: mpsc::Sender<ScanNow>,
    board: Board,
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
        let (scans, scan_wished) = mpsc::channel(1);
        let leave = CancellationToken::new();
        let board = Board::new(clock.now().wall);
        board.set_buses(["a".to_owned()]);
        let mut lines = Lines {
            wishes: wished,
            scans: scan_wished,
            survey: Kept::default(),
            keys: watch::channel(Arc::default()).1,
            polled,
            board: board.clone(),
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
            poll_bus(&mut Fake::default(), plan, Arc::new(clock), &mut lines).await;
        });
        Self { scans, board, heard, wishes, leave, task, clock }
    }

    async fn scan(&self, order: ScanOrder) -> Result<Arc<ScanStatus>, NotScanned> {
        let (reply, answer) = oneshot::channel();
        self.scans.send(ScanNow { order, reply }).await.unwrap();
        answer.await.unwrap()
    }

    fn scan_shown(&self) -> ScanStatus {
        let status = self.board.watch();
        let shown = status.borrow().buses[0].scan.clone();
        (*shown.unwrap()).clone()
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

#[tokio::test(start_paused = true)]
async fn a_scan_costs_no_meter_a_slot_and_comes_to_its_end() {
    let mut bus = Bus::start(vec![meter(1, 10), meter(90, 10)]);
    bus.log("2026-02-28T23:59:55Z").await;
    assert!(bus.scan(ScanOrder::Start(ScanKind::Primary)).await.is_ok());
    let log = bus.log("2026-03-01T00:02:00Z").await;
    for number in [1, 90] {
        let answered = log.iter().filter(|it| it.ends_with(&format!(" {number} answered")));
        assert_eq!(answered.count(), 12, "one for each slot from 00:00:00 on: {log:?}");
    }
    assert!(!log.iter().any(|it| it.ends_with("not asked")), "{log:?}");
    let scan = bus.scan_shown();
    assert_eq!((scan.state, scan.permille, scan.trouble), (ScanState::Done, 1_000, None));
    // 101 steps of 700 ms, three seconds after the one that failed, and what the readings took.
    assert_eq!(scan.ended.unwrap().format("%H:%M:%S").to_string(), "00:01:09");
    assert_eq!(scan.found.len(), 9);
    let configured: Vec<_> = scan.found.iter().map(|it| it.meter.is_some()).collect();
    assert_eq!(configured, [[true].as_slice(), &[false; 8]].concat(), "the meter at 1 is known");
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_paused_and_gone_on_with_and_there_is_one_at_a_time() {
    let mut bus = Bus::start(vec![meter(1, 60)]);
    bus.log("2026-02-28T23:59:50Z").await;
    let nothing = bus.scan(ScanOrder::Pause).await;
    assert_eq!(nothing.unwrap_err(), NotScanned::Nothing);
    bus.scan(ScanOrder::Start(ScanKind::Secondary)).await.unwrap();
    bus.log("2026-02-28T23:59:57Z").await;
    let second = bus.scan(ScanOrder::Start(ScanKind::Primary)).await;
    assert_eq!(second.unwrap_err(), NotScanned::Runs);

    let paused = bus.scan(ScanOrder::Pause).await.unwrap();
    assert_eq!((paused.state, paused.found.len()), (ScanState::Paused, 1));
    let log = bus.log("2026-03-01T00:10:30Z").await;
    assert_eq!(log.len(), 22, "the readings go on: {log:?}");
    assert_eq!(bus.scan_shown().found.len(), 1, "the scan does not");

    bus.scan(ScanOrder::Resume).await.unwrap();
    bus.log("2026-03-01T00:10:45Z").await;
    let cancelled = bus.scan(ScanOrder::Cancel).await.unwrap();
    assert_eq!((cancelled.state, cancelled.found.len()), (ScanState::Cancelled, 3));
    assert_eq!(bus.scan(ScanOrder::Resume).await.unwrap_err(), NotScanned::Nothing);
    assert!(bus.scan(ScanOrder::Start(ScanKind::Both)).await.is_ok(), "and another may begin");
}
