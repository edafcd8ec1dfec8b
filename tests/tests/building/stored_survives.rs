//! The plug is pulled: what the gateway has called stored is there when it comes back, in the same
//! order and with the same digits; and what was never read has a reason.
//!
//! `FYRHUS_KILLS` is how often it is killed (50 without it), `PROPTEST_RNG_SEED` decides when.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};
use store::testing::{FixedClock, HEAT, KnownDay, MIDNIGHT_MS, known_day};
use store::{Options, Readers, Store};

/// Two wires that answer at once, so that there is always something to be stored.
const QUICK: &str = r#"
name = "Skur"
[[bus]]
id = "riser"
kind = "mbus"
poll_every_secs = 10
[[bus]]
id = "board"
kind = "modbus-tcp"
poll_every_secs = 10
[[meter]]
name = "Heat"
bus = "riser"
address = 1
device = "heat"
place = "heat-offices"
[[meter]]
name = "Cold water"
bus = "riser"
address = 2
device = "cold-water"
place = "cold-2"
[[meter]]
name = "Electricity"
bus = "board"
address = 1
device = "iem3155"
place = "electricity-offices"
"#;

/// What is looked at of each meter, again and again.
const COUNTERS: [(&str, &str); 3] =
    [("Heat", "energy"), ("Cold water", "volume"), ("Electricity", "energy_import_total")];

/// The account of a known day, as the command line prints it.
#[tokio::test]
async fn the_account_of_a_day_is_printed_and_closes() {
    let home = Home::new().unwrap();
    let KnownDay { store, dir, .. } = known_day().await.unwrap();
    store.close().unwrap();
    std::fs::create_dir_all(home.state()).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), home.state().join(file.file_name())).unwrap();
    }
    let day = ["--from", "2026-03-28T23:00:00Z", "--until", "2026-03-29T22:00:00Z"];
    let run =
        |more: &[&str]| home.fyrhus(["store", "account"].iter().chain(&day).chain(more)).unwrap();
    let lines = |more: &[&str]| -> Vec<Value> {
        let out = run(&[&["--json"], more].concat());
        assert!(out.status.success(), "{out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let closes = |line: &Value| {
        let of = |name: &str| line[name].as_u64().unwrap();
        let came = of("received") + of("late") + of("from_memory") + of("corrected");
        assert_eq!(of("expected"), came + of("missing"), "{line}");
        let causes: u64 =
            line["causes"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(of("missing"), causes, "{line}");
        (of("expected"), of("missing"))
    };
    let months = lines(&[]);
    assert_eq!(months.iter().map(closes).collect::<Vec<_>>(), [(92, 4), (92, 0)]);
    assert_eq!(months[0]["causes"], json!({"silent": 4}));
    let hours = lines(&["--by", "site", "--step", "hour"]);
    assert_eq!(hours.len(), 23, "the clock was put forward that night");
    assert_eq!(hours.iter().map(closes).map(|(expected, _)| expected).sum::<u64>(), 184);
    let heat = HEAT.to_string();
    let one = lines(&["--meter", &heat, "--register", "energy", "--step", "day"]);
    assert_eq!(one.iter().map(closes).collect::<Vec<_>>(), [(92, 4)]);

    let people = String::from_utf8(run(&["--by", "site", "--step", "day"]).stdout).unwrap();
    let (head, line) = people.trim_end().split_once('\n').unwrap();
    assert!(head.starts_with("from        of") && head.ends_with("missing  why"), "{people}");
    assert!(line.starts_with("2026-03-29") && line.ends_with("4  silent 4"), "{people}");
    let empty = ["--from", "2020-01-01T00:00:00Z", "--until", "2020-02-01T00:00:00Z"];
    let none = home.fyrhus(["store", "account"].iter().chain(&empty)).unwrap();
    assert!(!none.status.success() && none.stdout.is_empty(), "{none:?}");
}

#[tokio::test]
async fn what_was_called_stored_is_there_after_kill_9() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("FYRHUS_KILLS").unwrap_or(50);
    let mut dice = StdRng::seed_from_u64(number("PROPTEST_RNG_SEED").unwrap_or(20_261_121));

    let home = Home::new().unwrap();
    let building = Building::start(&home, QUICK).unwrap();
    let mut told = Told::default();
    for kill in 0..kills {
        let mut gateway = home.start().await.unwrap();
        told.hold_against(&gateway, &building).await;

        let before = told.head;
        told.look(&gateway, &building).await.unwrap();
        let moment = Duration::from_millis(dice.random_range(0..500));
        let asked = ask_on_and_on(&gateway, &building, &mut told, &mut dice);
        let _killed_in_the_middle = tokio::time::timeout(moment, asked).await;
        gateway.program.kill().unwrap();

        // Whoever looks at the files finds at least what was called stored.
        let readers = Readers::beside(&home.state(), Tz::Europe__Oslo).unwrap();
        let head = readers.ask(|store| Ok(store.size().readings)).await.unwrap();
        let stored = told.stored;
        assert!(
            head >= before + stored,
            "kill {kill}: {before} + {stored} were stored, not {head}"
        );
        told = Told { head, stored: 0, ..told };
    }
    let gateway = home.start().await.unwrap();
    told.hold_against(&gateway, &building).await;
    let seen = told.readings.values().filter(|known| !known.is_empty()).count();
    assert_eq!(seen, COUNTERS.len(), "each meter was seen");
    drop(gateway);
    println!("{kills} kills, {} readings", told.head);
    assert!(in_unbroken_order(&home).await >= told.head);
}

/// What the gateway has told of its store.
#[derive(Default)]
struct Told {
    /// How many readings there were at the start of this run.
    head: u64,
    /// How many were called stored in this run.
    stored: u64,
    /// The newest of each counter, by time.
    readings: BTreeMap<&'static str, BTreeMap<String, Value>>,
}

impl Told {
    /// Takes in what the gateway tells now; a question that the kill cut off tells nothing.
    async fn look(&mut self, gateway: &Gateway, building: &Building) -> anyhow::Result<()> {
        let status = gateway.get("status").await?;
        self.stored = status["store"]["stored"].as_u64().unwrap();
        for (name, register) in COUNTERS {
            let readings = gateway.readings(&building.meter(name)?, register).await?;
            self.readings.insert(name, by_time(readings));
        }
        Ok(())
    }

    /// All that was told before the kill is told again.
    async fn hold_against(&self, gateway: &Gateway, building: &Building) {
        for (name, register) in COUNTERS {
            let Some(known) = self.readings.get(name) else { continue };
            let meter = building.meter(name).unwrap();
            let found = by_time(gateway.readings(&meter, register).await.unwrap());
            // The list has an end: what is older than its oldest entry is not looked for.
            let oldest = found.keys().next().cloned().unwrap_or_default();
            for (at, reading) in known.range(oldest..) {
                assert_eq!(found.get(at), Some(reading), "{name} at {at}");
            }
        }
    }
}

fn by_time(readings: Vec<Value>) -> BTreeMap<String, Value> {
    let key = |reading: &Value| reading["at"].as_str().unwrap().to_owned();
    readings.into_iter().map(|reading| (key(&reading), reading)).collect()
}

/// Has meters read as fast as they answer, and notes what is called stored, until it is dropped.
async fn ask_on_and_on(
    gateway: &Gateway,
    building: &Building,
    told: &mut Told,
    dice: &mut StdRng,
) -> anyhow::Result<()> {
    let ids: Vec<&str> = building.ids().collect();
    loop {
        told.look(gateway, building).await?;
        let meter = ids.choose(dice).unwrap();
        let read = gateway.request(Method::POST, &format!("meters/{meter}/read"));
        gateway.done(read.json(&json!({}))).await?;
    }
}

/// How many readings the store hands out, one after the other without a hole.
async fn in_unbroken_order(home: &Home) -> u64 {
    let options = Options::new(home.state(), Tz::Europe__Oslo);
    let (store, report) = Store::open(options, FixedClock::at(MIDNIGHT_MS)).unwrap();
    assert_eq!(report.damaged, []);
    let outbox = store.outbox();
    let mut last = 0;
    loop {
        let batch = outbox.batch(last, 1_000).await.unwrap();
        assert_eq!(batch.lost, None);
        if batch.readings.is_empty() {
            return last;
        }
        for reading in batch.readings {
            last += 1;
            assert_eq!(reading.seq, last);
        }
    }
}

/// A wire on which a round takes some seconds.
const SLOW: &str = r#"
name = "Tårn"
[[bus]]
id = "riser"
kind = "mbus"
baud = 2400
poll_every_secs = 60
[[meter]]
name = "1"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
[[meter]]
name = "2"
bus = "riser"
address = 2
device = "heat"
place = "heat-offices"
[[meter]]
name = "3"
bus = "riser"
address = 3
device = "heat"
place = "heat-ventilation"
[[meter]]
name = "4"
bus = "riser"
address = 4
device = "heat-main"
place = "heat-main"
"#;

#[tokio::test]
async fn a_stop_in_the_middle_of_a_round_stores_what_was_shown() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, SLOW).unwrap();
    for _ in 0..2 {
        let mut gateway = home.start().await.unwrap();
        let since = gateway.get("status").await.unwrap()["started_at"].clone();
        let is_new = |meter: &Value| meter["at"].as_str() >= since.as_str();
        let some = |meters: &Value| meters.as_array().unwrap().iter().any(is_new);
        let shown = gateway.until("a meter has answered", "meters", some).await.unwrap();
        let took = gateway.program.stop(Duration::from_mins(1)).unwrap();
        println!("stopped within {} ms", took.as_millis());

        for meter in shown.as_array().unwrap().iter().filter(|meter| is_new(meter)) {
            let id = meter["id"].as_str().unwrap();
            let printed = home.fyrhus(["readings", id, "--json"]).unwrap();
            let printed = String::from_utf8(printed.stdout).unwrap();
            let stored: Vec<Value> =
                printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let main = &meter["main"];
            let found = stored.iter().find(|it| it["register"] == main["register"]).unwrap();
            assert_eq!((&found["value"], &found["unit"]), (&main["value"], &main["unit"]));
            assert!(found["at"].as_str() >= meter["at"].as_str(), "{found} is not {meter}");
        }
        assert!(home.log().contains("everything is stored"), "{}", home.log());
    }
    drop(building);
}

#[tokio::test]
async fn a_gap_has_its_reason_before_and_after_a_kill() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, QUICK).unwrap();
    let meter = building.meter("Heat").unwrap();
    let mut gateway = home.start().await.unwrap();
    let valued = |readings: &[Value]| readings.first().is_some_and(|it| it["value"].is_string());
    gateway.until_readings("it answers", &meter, "energy", valued).await.unwrap();

    building.tell("silence Heat on").unwrap();
    let silent = |readings: &[Value]| readings[0]["reason"] == "silent";
    let told = gateway.until_readings("it is silent", &meter, "energy", silent).await.unwrap();
    gateway.program.kill().unwrap();

    building.tell("heal Heat").unwrap();
    let gateway = home.start().await.unwrap();
    let found = gateway.until_readings("it is back", &meter, "energy", valued).await.unwrap();
    assert!(found.ends_with(&told), "{told:#?}\nwas stored, and now there is\n{found:#?}");

    // Newest first: the gap ends with the oldest of those that are newer than the silence.
    let back = found.iter().take(found.len() - told.len()).rfind(|it| it["value"].is_string());
    let back = back.unwrap();
    let [from, until] = [found.last().unwrap(), &found[0]].map(|it| it["at"].as_str().unwrap());
    let path =
        format!("meters/{meter}/history?register=energy&step=quarter&from={from}&until={until}");
    let history = gateway.get(&path).await.unwrap();
    let gaps = history["gaps"].as_array().unwrap();
    let [gap] = gaps.as_slice() else { panic!("{history:#}") };
    assert_eq!(gap["reason"], "silent");
    assert_eq!((&gap["from"], &gap["until"]), (&told[0]["at"], &back["at"]), "{history:#}");
}
