use std::sync::Mutex;

use chrono_tz::Tz;
use drivers::{MeterAddress, ReadError};
use metering::{GatewayId, Identity, Medium, Moment, Origin, Quality, Quantity, Unit};
use tokio::sync::oneshot;
use uuid::Uuid;
use web_ui::{MeterInfo, MeterState};

use super::*;
use crate::clock::testing::TestClock;

/// Takes what it is given, or refuses as often as it is told to, and writes both down.
#[derive(Clone, Default)]
struct Shelf {
    log: Arc<Mutex<Vec<String>>>,
    refuse: Arc<Mutex<u32>>,
    leave_out: Arc<Mutex<Vec<MeterId>>>,
    closed: Arc<Mutex<bool>>,
    begun: Option<Instant>,
}

impl Save for Shelf {
    async fn save(&mut self, rounds: Vec<MeterRound>) -> Result<Stored, StoreError> {
        let at = self.begun.get_or_insert_with(Instant::now).elapsed().as_secs();
        let mut refuse = self.refuse.lock().unwrap();
        let count = u64::try_from(rounds.len()).unwrap();
        let what = if *refuse > 0 { "refused" } else { "stored" };
        self.log.lock().unwrap().push(format!("{at} s: {what} {count}"));
        if *refuse > 0 {
            *refuse -= 1;
            return Err(self.refusal());
        }
        let left_out = self.leave_out.lock().unwrap().clone();
        Ok(Stored { first_seq: 1, count, left_out })
    }
}

impl Shelf {
    fn refusal(&self) -> StoreError {
        let closed = *self.closed.lock().unwrap();
        if closed { StoreError::Closed } else { StoreError::Full { dir: "/var/lib".into() } }
    }
}

struct Bench {
    polled: mpsc::Sender<Polled>,
    live: watch::Receiver<Arc<web_ui::Live>>,
    site: Arc<watch::Sender<Arc<Site>>>,
    board: Board,
    shelf: Shelf,
    clock: TestClock,
    task: tokio::task::JoinHandle<()>,
}

fn meter() -> MeterId {
    MeterId::from_uuid(Uuid::from_u128(7))
}

impl Bench {
    fn start() -> Self {
        let clock = TestClock::started_at("2026-03-01T00:00:00Z");
        let info = MeterInfo {
            id: meter(),
            name: "Heat".to_owned(),
            bus: "a".to_owned(),
            address: "5".to_owned(),
            medium: None,
            profile: None,
            place: None,
            tags: Vec::new(),
            serial: None,
            part_of: None,
            poll_every: Duration::from_mins(1),
            simulated: false,
            outdoor: false,
        };
        let site = Site {
            id: None,
            gateway: GatewayId::from_uuid(Uuid::from_u128(1)),
            name: String::new(),
            place: None,
            time_zone: Tz::Europe__Oslo,
            buses: Vec::new(),
            meters: vec![info],
            version: 1,
            probes: ledger::Settings::WIRED,
            config_problem: None,
            wrong_profiles: Vec::new(),
            commissioning: false,
        };
        let site = Arc::new(watch::Sender::new(Arc::new(site)));
        let newest = Newest::new(site.subscribe(), Vec::new(), clock.now().wall);
        let (live, board) = (newest.watch(), Board::new(clock.now().wall));
        let ingest = Ingest {
            newest,
            site: Arc::clone(&site),
            profiles: watch::Sender::new(Arc::new(Profiles::embedded())).subscribe(),
            board: board.clone(),
            clock: Arc::new(clock),
            beyond: BTreeSet::new(),
            outdoors: Outdoors::default(),
        };
        let (polled, mut heard) = mpsc::channel(4);
        let shelf = Shelf { begun: Some(Instant::now()), ..Shelf::default() };
        let mut store = shelf.clone();
        let task = tokio::spawn(async move {
            super::ingest(ingest, &mut heard, &mut store).await;
        });
        Self { polled, live, site, board, shelf, clock, task }
    }

    fn moment(&self) -> Moment {
        self.clock.now()
    }

    async fn say(&self, outcome: Outcome) {
        let asked = Asked {
            meter: meter(),
            at: self.moment(),
            cycle: 1,
            origin: Origin::Live,
            outcome,
            reply: Vec::new(),
        };
        self.polled.send(Polled::Meter(Box::new(asked))).await.unwrap();
    }

    fn answer(&self) -> Outcome {
        let reading = Reading {
            register: "energy".parse().unwrap(),
            at: self.moment(),
            value: Ok(Quantity::from_decimal("12.5", Unit::MegawattHour).unwrap()),
            quality: Quality::Good,
            origin: Origin::Live,
        };
        Outcome::Answered(Readout {
            identity: Identity { serial: "67001122".to_owned(), ..Identity::default() },
            medium: Some(Medium::Heat),
            readings: vec![reading],
            remembered: Vec::new(),
            odd: Vec::new(),
            telegrams: vec![vec![0xE5]],
            took: Duration::from_millis(80),
            profile: None,
        })
    }

    async fn log_after(self) -> Vec<String> {
        drop(self.polled);
        self.task.await.unwrap();
        Arc::try_unwrap(self.shelf.log).unwrap_or_default().into_inner().unwrap()
    }
}

fn silent() -> Outcome {
    let (address, waited) = (MeterAddress::Primary(5), Duration::from_millis(330));
    Outcome::Failed(ReadError::Silent { address, waited })
}

#[tokio::test(start_paused = true)]
async fn a_commit_begins_when_a_round_is_over_and_after_a_minute_at_the_latest() {
    let bench = Bench::start();
    bench.say(bench.answer()).await;
    bench.say(silent()).await;
    bench.polled.send(Polled::RoundOver).await.unwrap();
    time::sleep(Duration::from_secs(10)).await;
    bench.say(bench.answer()).await;
    time::sleep(Duration::from_secs(30)).await;
    bench.say(bench.answer()).await;
    time::sleep(Duration::from_secs(40)).await;
    bench.say(bench.answer()).await;
    assert_eq!(bench.log_after().await, ["0 s: stored 2", "70 s: stored 2", "80 s: stored 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_kept_and_tried_again() {
    let bench = Bench::start();
    *bench.shelf.refuse.lock().unwrap() = 3;
    bench.say(bench.answer()).await;
    bench.polled.send(Polled::RoundOver).await.unwrap();
    time::sleep(Duration::from_millis(2_500)).await;
    assert!(bench.board.watch().borrow().store.trouble.is_some(), "the pages say so");
    bench.say(silent()).await;
    time::sleep(Duration::from_mins(1)).await;
    assert!(bench.board.watch().borrow().store.trouble.is_none());
    assert_eq!(
        bench.log_after().await,
        ["0 s: refused 1", "1 s: refused 1", "3 s: refused 2", "7 s: stored 2"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_is_ever_another_is_named_until_it_is_not() {
    let bench = Bench::start();
    let trouble_after = async |outcome: Outcome, leave_out: Vec<MeterId>| {
        *bench.shelf.leave_out.lock().unwrap() = leave_out;
        bench.say(outcome).await;
        bench.polled.send(Polled::RoundOver).await.unwrap();
        time::sleep(Duration::from_secs(1)).await;
        bench.board.watch().borrow().store.trouble.clone()
    };
    let said = "Heat calls itself or its registers ever differently: it has 2048 series, and what \
                would begin another is not stored; see what answers there, and give the meter a \
                new `id` in site.toml when that is in order";
    assert_eq!(trouble_after(bench.answer(), vec![meter()]).await.as_deref(), Some(said));
    assert_eq!(trouble_after(silent(), Vec::new()).await.as_deref(), Some(said), "still");
    assert_eq!(trouble_after(bench.answer(), Vec::new()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_ends_it() {
    let bench = Bench::start();
    (*bench.shelf.refuse.lock().unwrap(), *bench.shelf.closed.lock().unwrap()) = (1, true);
    bench.say(bench.answer()).await;
    bench.polled.send(Polled::RoundOver).await.unwrap();
    time::timeout(Duration::from_mins(5), bench.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_long_costs_what_there_is_no_room_for() {
    let bench = Bench::start();
    *bench.shelf.refuse.lock().unwrap() = u32::MAX;
    for _ in 0..MOST_UNSAVED + 30 {
        bench.say(silent()).await;
    }
    bench.say(bench.answer()).await;
    // The last refusal tells of all of them.
    time::sleep(LAST_PAUSE * 3).await;
    let trouble = bench.board.watch().borrow().store.trouble.clone().unwrap();
    let said =
        format!("; {MOST_UNSAVED} answers wait in memory, and 31 more were shown and not kept");
    assert!(trouble.ends_with(&said), "{trouble}");
    let live = Arc::clone(&bench.live.borrow());
    assert_eq!(live.meters.get(&meter()).unwrap().values.len(), 1, "what is not kept is shown");
    *bench.shelf.refuse.lock().unwrap() = 0;
    let log = bench.log_after().await;
    let stored: usize = log
        .iter()
        .filter_map(|line| line.split("stored ").nth(1))
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    assert_eq!(stored, MOST_UNSAVED, "nothing that was kept is lost");
}

#[tokio::test(start_paused = true)]
async fn the_live_values_show_what_the_meter_said_and_when_it_grew_old() {
    let mut bench = Bench::start();
    let now = |bench: &Bench| {
        let live = bench.live.borrow();
        let meter = live.meters.get(&meter()).unwrap();
        (meter.state, meter.values.len(), meter.absent.map(NoReading::as_str))
    };
    bench.say(bench.answer()).await;
    bench.live.changed().await.unwrap();
    assert_eq!(now(&bench), (MeterState::Ok, 1, None));
    assert_eq!(bench.site.borrow().meters[0].medium, Some(Medium::Heat), "its telegram told");

    bench.say(silent()).await;
    bench.live.changed().await.unwrap();
    assert_eq!(now(&bench), (MeterState::Silent, 1, Some("silent")), "the old values stay");

    bench.say(bench.answer()).await;
    bench.say(Outcome::NotAsked).await;
    bench.live.changed().await.unwrap();
    assert_eq!(now(&bench), (MeterState::Ok, 1, None), "a slot left out changes nothing");

    bench.live.changed().await.unwrap();
    assert_eq!(now(&bench), (MeterState::Late, 1, None));
    assert_eq!(bench.moment().boottime.as_secs(), 122, "two intervals and a look");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_meter_is_told() {
    let bench = Bench::start();
    let (reply, answer) = oneshot::channel();
    let asked = Asked {
        meter: meter(),
        at: bench.moment(),
        cycle: 1,
        origin: Origin::Live,
        outcome: bench.answer(),
        reply: vec![reply],
    };
    bench.polled.send(Polled::Meter(Box::new(asked))).await.unwrap();
    let live = answer.await.unwrap().unwrap();
    assert_eq!(live.values[0].value.unwrap().to_string(), "12.5 MWh");
    assert_eq!(live.values[0].kind, store::Kind::Counter);
}

/// What a meter says of a time, by its own clock; as the store gets it: UTC, and how sure that is.
#[track_caller]
fn check_recalled(said: &str, expected: Option<(&str, Quality)>) {
    let remembered = drivers::Remembered {
        register: "energy".parse().unwrap(),
        at: said.parse().unwrap(),
        value: Quantity::from_decimal("12.5", Unit::MegawattHour).unwrap(),
        quality: Quality::Good,
    };
    let recalled = recalled(&remembered, Tz::Europe__Oslo);
    let recalled = recalled.map(|it| {
        let at = chrono::DateTime::from_timestamp_millis(it.at_ms).unwrap();
        (at.format("%Y-%m-%dT%H:%M").to_string(), it.quality)
    });
    assert_eq!(recalled, expected.map(|(at, quality)| (at.to_owned(), quality)));
}

#[test]
fn what_a_meter_remembers_is_taken_by_the_clock_of_the_building() {
    check_recalled("2026-01-01T00:00:00", Some(("2025-12-31T23:00", Quality::Good)));
    check_recalled("2026-07-01T00:00:00", Some(("2026-06-30T22:00", Quality::TimeEstimated)));
    check_recalled("2026-10-25T02:30:00", Some(("2026-10-25T00:30", Quality::TimeEstimated)));
    check_recalled("2026-03-29T02:30:00", None);
}

/// A counter showed `before`, and a minute later `now`: what becomes of it?
#[track_caller]
fn check_growth(before: Result<&str, NoReading>, now: &str, expected: Quality) {
    let profile = Profile::parse(
        "schema = 1\nid = \"example.counter\"\nvendor = \"Example\"\nmodels = [\"C\"]\n\
         medium = \"water\"\nstatus = \"document\"\nsource = \"its plate\"\n\
         [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\n\
         kind = \"counter\"\npulse = { per_unit = \"100\" }\n\
         [register.plausible]\nmax_rate_per_hour = \"6\"\n\
         [[vector]]\npulses = 1234\nexpect = { volume = \"12.34\" }\n",
    )
    .unwrap();
    let at = TestClock::started_at("2026-03-01T00:00:00Z").now();
    let amount = |text| Quantity::from_decimal(text, Unit::CubicMetre).unwrap();
    let register = "volume".parse::<metering::Register>().unwrap();
    let before = LiveValue {
        register: register.clone(),
        value: before.map(amount),
        kind: store::Kind::Counter,
        quality: Quality::Good,
        origin: Origin::Live,
        at: at.wall - chrono::TimeDelta::minutes(1),
    };
    let (value, quality, origin) = (Ok(amount(now)), Quality::Good, Origin::Live);
    let mut reading = Reading { register, at, value, quality, origin };
    judge_growth(Some(&profile), &[before], &mut reading);
    assert_eq!((reading.quality, reading.value), (expected, Ok(amount(now))));
}

#[test]
fn a_counter_that_grew_too_fast_is_marked_and_kept() {
    check_growth(Ok("12.30"), "12.40", Quality::Good);
    check_growth(Ok("12.30"), "12.42", Quality::Implausible);
    check_growth(Err(NoReading::Silent), "99.00", Quality::Good);
    check_growth(Ok("12.30"), "1.00", Quality::Good);
}
