//! Pulses: from edges at a chip's lines to the pages' API, over a restart and over a kill.

use serde_json::Value;
use site_tests::building::Building;
use site_tests::gateway::Home;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "inputs"
kind = "pulse"
poll_every_secs = 10

[[meter]]
name = "Main"
bus = "inputs"
address = 17
device = "s0-electricity"
place = "electricity-main"
"#;

fn counter(meter: &Value) -> Option<f64> {
    value(meter, "energy")
}

fn value(meter: &Value, register: &str) -> Option<f64> {
    let registers = meter["registers"].as_array()?;
    let register = registers.iter().find(|it| it["register"] == register)?;
    register["value"].as_str()?.parse().ok()
}

#[tokio::test]
async fn pulses_are_counted_and_a_counter_never_goes_back() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let main = building.meter("Main").unwrap();
    let path = format!("meters/{main}");
    let gateway = home.start().await.unwrap();

    let counts = |meter: &Value| counter(meter).is_some_and(|kwh| kwh > 0.004);
    let meter = gateway.until("pulses are counted", &path, counts).await.unwrap();
    assert_eq!(meter["address"], "line 17");
    let paced =
        |meter: &Value| value(meter, "power").is_some_and(|w| (100.0..100_000.0).contains(&w));
    gateway.until("and their pace is a power", &path, paced).await.unwrap();

    // Set to what the display shows.
    let set = home.fyrhus(["pulse", "set", "Main", "48213.6"]).unwrap();
    let told = String::from_utf8(set.stdout).unwrap();
    assert!(told.starts_with("Main: the counter shows 48213.6"), "{told}{:?}", set.stderr);
    let wrong = home.fyrhus(["pulse", "set", "Main", "12 m3"]).unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("the counter is in kWh, and not in m³"), "{said}");
    let set = |meter: &Value| counter(meter).is_some_and(|kwh| kwh > 48_213.604);
    let meter = gateway.until("it counts on from there", &path, set).await.unwrap();

    // A kill and a restart: what was told is still there, and it goes on.
    let told = counter(&meter).unwrap();
    drop(gateway);
    let gateway = home.start().await.unwrap();
    let goes_on = |meter: &Value| {
        let now = counter(meter);
        now.is_some_and(|kwh| {
            assert!(kwh >= told, "{kwh} after {told}");
            kwh > told
        })
    };
    gateway.until("it goes on", &path, goes_on).await.unwrap();
    let stored = gateway.readings(&main, "energy").await.unwrap();
    let kwh: Vec<f64> =
        stored.iter().rev().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
    assert!(kwh.windows(2).all(|two| two[0] <= two[1]), "{kwh:?}");

    // Edges that came too fast are no pulses, and that is said.
    building.tell("half Main on").unwrap();
    let lost = |meter: &Value| {
        let said = meter["said"].as_array().into_iter().flatten();
        said.into_iter().any(|it| it["kind"] == "lost")
    };
    gateway.until("lost edges are said", &path, lost).await.unwrap();
    building.tell("heal Main").unwrap();
    // What was lost last shows with the next edge only: the counter is set after edges have come.
    let mut meter = gateway.get(&path).await.unwrap();
    for what in ["edges have come since", "and the last loss is known"] {
        let before = counter(&meter);
        meter = gateway.until(what, &path, |it| counter(it) > before).await.unwrap();
    }
    let told = home.fyrhus(["pulse", "set", "Main", "48300"]).unwrap();
    assert!(told.status.success(), "{told:?}");
    gateway.until("until it is set", &path, |meter| !lost(meter)).await.unwrap();
}
