use chrono_tz::Tz;
use drivers::{Load, MeterAddress};
use metering::{Identity, MeterId, Origin, Quality, Quantity, Unit};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::board::Board;
use crate::clock::testing::TestClock;
use crate::config::PollEvery;
use crate::cycle::Cycles;
use crate::poll::Kept;

/// Hears what it is given.
struct Fake(mpsc::Receiver<Heard>);

impl Hear for Fake {
    async fn hear(&mut self, _: &dyn Clock) -> Heard {
        match self.0.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }

    fn set_keys(&mut self, _: &Arc<Keyring>) {}
}

struct Wire {
    says: mpsc::Sender<Heard>,
    told: mpsc::Receiver<Polled>,
    wishes: mpsc::Sender<AskNow>,
    board: Board,
    clock: TestClock,
    _keys: watch::Sender<Arc<Keyring>>,
}

impl Wire {
    /// One meter that is stored every minute, from 12:00:30 on.
    fn start() -> Self {
        let clock = TestClock::started_at("2026-01-31T12:00:30Z");
        let (says, heard) = mpsc::channel(8);
        let (polled, told) = mpsc::channel(64);
        let (wishes, wished) = mpsc::channel(1);
        let (_, scans) = mpsc::channel(1);
        let (keys_come, keys) = watch::channel(Arc::default());
        let board = Board::new(clock.now().wall);
        board.set_buses(["a".to_owned()]);
        let mut lines = Lines {
            wishes: wished,
            scans,
            survey: Kept::default(),
            keys,
            polled,
            board: board.clone(),
            core: None,
            cycles: Arc::new(Cycles::of_start(1)),
            leave: CancellationToken::new(),
            shutdown: CancellationToken::new(),
        };
        let meter = drivers::Meter {
            id: meter(),
            address: MeterAddress::Port,
            profile: None,
            serial: None,
            origin: Origin::Live,
        };
        let poll_every = PollEvery::new(60).unwrap();
        let plan = Plan {
            bus: "a".to_owned(),
            zone: Tz::Europe__Oslo,
            longest: Duration::from_secs(10),
            load: Load::default(),
            meters: vec![Planned { meter, poll_every, answered: None }],
        };
        let listens = clock;
        tokio::spawn(async move {
            listen_bus(&mut Fake(heard), plan, Arc::new(listens), &mut lines).await;
        });
        Self { says, told, wishes, board, clock, _keys: keys_come }
    }

    /// The meter says `watts`, and `wh` if it is the end of an hour.
    async fn says(&self, watts: i64, wh: Option<i64>) {
        let now = self.clock.now();
        let reading = |register: &str, amount, unit| Reading {
            register: register.parse().unwrap(),
            at: now,
            value: Ok(Quantity::new(amount, metering::Resolution::new(0, unit).unwrap())),
            quality: Quality::Good,
            origin: Origin::Live,
        };
        let power = reading("power_import_total", watts, Unit::Watt);
        let energy = wh.map(|wh| reading("energy_import_total", wh, Unit::WattHour));
        let readout = Readout {
            identity: Identity::default(),
            medium: None,
            readings: [power].into_iter().chain(energy).collect(),
            remembered: Vec::new(),
            odd: Vec::new(),
            telegrams: Vec::new(),
            took: Duration::ZERO,
            profile: None,
        };
        let heard = Heard::Meter { index: 0, readout: Box::new(readout), once: wh.is_some() };
        self.says.send(heard).await.unwrap();
    }

    /// What is handed on until the clock shows `until`, a line each; the ends of rounds left out.
    async fn log(&mut self, until: &str) -> Vec<String> {
        let until: DateTime<Utc> = until.parse().unwrap();
        let mut log = Vec::new();
        while let Ok(left) = (until - self.clock.now().wall).to_std()
            && !left.is_zero()
        {
            let Ok(Some(polled)) = time::timeout(left, self.told.recv()).await else { break };
            let (what, asked) = match polled {
                Polled::Meter(asked) => ("stored", asked),
                Polled::Glance(asked) => ("shown", asked),
                Polled::RoundOver => continue,
            };
            let outcome = match asked.outcome {
                Outcome::Told(readout) => {
                    let values = readout.readings.iter().map(|it| it.value.unwrap().to_string());
                    values.collect::<Vec<_>>().join(", ")
                }
                Outcome::Failed(error) => format!("{:?}", error.no_reading()),
                Outcome::Answered(_) | Outcome::NotAsked => "nothing new".to_owned(),
            };
            for reply in asked.reply {
                drop(reply.send(Err(NotRead::Busy)));
            }
            log.push(format!("{} {what} {outcome}", asked.at.wall.format("%M:%S")));
        }
        log
    }
}

fn meter() -> MeterId {
    MeterId::from_uuid(Uuid::from_u128(7))
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_shown_at_once_and_stored_at_the_end_of_the_slot() {
    let mut wire = Wire::start();
    wire.says(280, None).await;
    // The first is stored at once: whoever has installed the meter waits for it.
    assert_eq!(wire.log("2026-01-31T12:00:40Z").await, ["00:30 stored 280 W"]);
    wire.says(300, None).await;
    wire.says(310, None).await;
    // Within two seconds of each other one is shown, and the last is stored.
    let log = wire.log("2026-01-31T12:01:10Z").await;
    assert_eq!(log, ["00:40 shown 300 W", "01:00 stored 310 W"]);
    // The register of an hour's end is not put off.
    wire.says(320, Some(7_000)).await;
    assert_eq!(wire.log("2026-01-31T12:01:20Z").await, ["01:10 stored 320 W, 7000 Wh"]);
}

#[tokio::test(start_paused = true)]
async fn a_whole_slot_of_silence_is_an_absence_with_its_reason() {
    let mut wire = Wire::start();
    wire.says(280, None).await;
    let log = wire.log("2026-01-31T12:03:10Z").await;
    // The slot in which the listening began was not whole, and it was heard in it.
    assert_eq!(log, ["00:30 stored 280 W", "02:00 stored Silent", "03:00 stored Silent"]);
    wire.says(290, None).await;
    let log = wire.log("2026-01-31T12:05:10Z").await;
    assert_eq!(log, ["03:10 shown 290 W", "04:00 stored 290 W", "05:00 stored Silent"]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_down_is_shown_at_once_and_told_as_such() {
    let mut wire = Wire::start();
    let port: drivers::PortSettings = "tcp://10.0.4.2:10001".parse().unwrap();
    let error = ReadError::Port { port, cause: drivers::PortFault::NotListening };
    wire.says.send(Heard::Trouble(Plaint { index: None, error })).await.unwrap();
    let log = wire.log("2026-01-31T12:02:10Z").await;
    assert_eq!(log, ["00:30 shown BusDown", "02:00 stored BusDown"]);
    assert_eq!(wire.board.watch().borrow().buses[0].state, BusState::Down);
    wire.says.send(Heard::Well).await.unwrap();
    assert!(wire.log("2026-01-31T12:02:30Z").await.is_empty());
    assert_eq!(wire.board.watch().borrow().buses[0].state, BusState::Up);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_what_is_said_next_or_what_was_said_last() {
    let mut wire = Wire::start();
    let (reply, answer) = oneshot::channel();
    wire.wishes.send(AskNow { meter: meter(), reply }).await.unwrap();
    // Nothing comes: after a while what is known is the answer.
    let log = wire.log("2026-01-31T12:00:50Z").await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].ends_with("shown nothing new"), "{log:?}");
    assert!(answer.await.is_ok());
    let (reply, _answer) = oneshot::channel();
    let nobody = MeterId::from_uuid(Uuid::from_u128(8));
    wire.wishes.send(AskNow { meter: nobody, reply }).await.unwrap();
    assert!(wire.log("2026-01-31T12:00:55Z").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn strangers_are_kept_in_mind_up_to_a_number() {
    let wire = Wire::start();
    let stranger = |number: usize| Stranger {
        name: format!("{number:08}KAM1B16"),
        identity: Identity::default(),
        medium: None,
        rssi_dbm: Some(-70),
        sealed: true,
        at: wire.clock.now(),
    };
    for number in (0..MOST_STRANGERS + 2).chain([1]) {
        wire.says.send(Heard::Stranger(stranger(number % (MOST_STRANGERS + 1)))).await.unwrap();
    }
    time::sleep(SHOWN_EVERY * 2).await;
    wire.says.send(Heard::Stranger(stranger(1))).await.unwrap();
    time::sleep(SHOWN_EVERY).await;
    let status = wire.board.watch().borrow().clone();
    let strangers = status.buses[0].strangers.clone().unwrap();
    assert_eq!(strangers.heard.len(), MOST_STRANGERS);
    assert!(strangers.forgotten > 0);
    assert!(strangers.heard.iter().any(|it| it.name.starts_with("00000001") && it.count > 1));
}
