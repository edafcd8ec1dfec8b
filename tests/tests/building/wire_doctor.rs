//! What the gateway learns of its wires beside the values: what is wrong with one, for the API and
//! the command line; and what a meter remembers of a time when nobody read it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]
#![expect(clippy::disallowed_methods, reason = "the daemon beside it lives by the real clock")]

use chrono::{Days, SecondsFormat, Utc};
use serde_json::Value;
use site_tests::building::Building;
use site_tests::gateway::Home;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "riser"
kind = "mbus"
poll_every_secs = 10

[[meter]]
name = "Well"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
[[meter]]
name = "Noisy"
bus = "riser"
address = 2
device = "cold-water"
place = "cold-flats"
"#;

fn codes(findings: &Value) -> Vec<&str> {
    findings.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_wrong_with_a_wire_is_said_and_survives_a_restart() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    let site = site.replacen("kind = \"mbus\"", "kind = \"mbus\"\nmax_unit_loads = 1", 1);
    std::fs::write(home.site(), site).unwrap();
    building.tell("noise Noisy on").unwrap();
    let mut gateway = home.start().await.unwrap();
    let noise = |bus: &Value| {
        let findings = &bus["health"]["findings"];
        let wanted = ["too_many_loads", "meter_at_other_speed"];
        findings.is_array() && wanted.iter().all(|code| codes(findings).contains(code))
    };
    let bus = gateway.until("the doctor knows", "buses/riser", noise).await.unwrap();
    let meters = bus["health"]["meters"].as_array().unwrap();
    assert_eq!(meters.len(), 2, "{bus}");
    assert!(meters[0]["counts"]["answered"].as_u64().unwrap() > 0, "{bus}");
    assert!(!meters[0]["times"].as_array().unwrap().is_empty(), "{bus}");
    assert_eq!(meters[1]["counts"]["answered"], 0, "{bus}");
    gateway.program.stop(std::time::Duration::from_mins(1)).unwrap();

    // The command line reads what the gateway has left.
    let out = home.fyrhus(["mbus", "doctor", "riser", "--json"]).unwrap();
    let told: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{out:?}"));
    assert!(!out.status.success(), "something is wrong, and the exit status says so");
    assert!(codes(&told["findings"]).contains(&"too_many_loads"), "{told}");
    assert_eq!(told["unit_loads"], 2);
    let polls = told["meters"][0]["counts"]["polls"].as_u64().unwrap();
    let people = home.fyrhus(["mbus", "doctor"]).unwrap();
    let people = String::from_utf8(people.stdout).unwrap();
    assert!(people.contains("the wire has 2 unit loads, and its level converter is built for 1"));

    // And the next start goes on with it, until the fault is gone.
    building.tell("heal Noisy").unwrap();
    let gateway = home.start().await.unwrap();
    let healed = |bus: &Value| {
        let health = &bus["health"];
        health["meters"][1]["counts"]["answered"].as_u64().is_some_and(|count| count > 0)
            && health["meters"][0]["counts"]["polls"].as_u64().is_some_and(|now| now > polls)
    };
    gateway.until("it goes on", "buses/riser", healed).await.unwrap();
}

#[tokio::test]
async fn a_wire_that_is_held_down_is_the_cause_of_what_is_missing() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let gateway = home.start().await.unwrap();
    let every = |meters: &Value, field: &str, word: &str| {
        meters.as_array().unwrap().iter().all(|it| it[field] == word)
    };
    gateway.until("all answer", "meters", |it| every(it, "state", "ok")).await.unwrap();
    building.tell("short Noisy on").unwrap();
    let down = |meters: &Value| every(meters, "reason", "bus_short");
    gateway.until("the wire is down", "meters", down).await.unwrap();
    let said = |bus: &Value| {
        let findings = &bus["health"]["findings"];
        findings.is_array() && codes(findings).first() == Some(&"bus_short")
    };
    gateway.until("the doctor says so", "buses/riser", said).await.unwrap();
    building.tell("short Noisy off").unwrap();
    gateway.until("all answer", "meters", |it| every(it, "state", "ok")).await.unwrap();

    // It stays the cause of the gap, of the meter that did nothing too.
    let meter = building.meter("Well").unwrap();
    let from =
        (Utc::now() - chrono::TimeDelta::hours(2)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let until =
        (Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let path =
        format!("meters/{meter}/history?register=energy&from={from}&until={until}&step=hour");
    let history = gateway.get(&path).await.unwrap();
    let gaps = history["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["reason"] == "bus_short"), "{history:#}");
}

#[tokio::test]
async fn what_a_meter_remembers_of_its_due_date_fills_the_gap() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let meter = building.meter("Well").unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    std::fs::write(home.site(), site.replace("simulated = true", "simulated = false")).unwrap();

    // The gateway was there 40 days ago, and then it was off over the due date, which is the first
    // of this month.
    let mut gateway = home.start().await.unwrap();
    let some = |readings: &[Value]| !readings.is_empty();
    let live = gateway.until_readings("it is read", &meter, "energy", some).await.unwrap();
    assert!(live.iter().all(|it| it["origin"] == "live"), "nothing was there before: {live:?}");
    let unit = live[0]["unit"].as_str().unwrap().to_owned();
    gateway.program.stop(std::time::Duration::from_mins(1)).unwrap();
    let before = Utc::now().checked_sub_days(Days::new(40)).unwrap();
    let before = before.to_rfc3339_opts(SecondsFormat::Secs, true);
    let file = home.folder().join("before.csv");
    let line = format!("time,meter,register,value,unit\n{before},{meter},energy,0,{unit}\n");
    std::fs::write(&file, line).unwrap();
    let file = file.display().to_string();
    let imported = home.fyrhus(["import", &file]).unwrap();
    assert!(imported.status.success(), "{imported:?}");

    let gateway = home.start().await.unwrap();
    let some = |readings: &[Value]| readings.len() > live.len() + 2;
    gateway.until_readings("it is read again", &meter, "energy", some).await.unwrap();
    let (from, until) = (before, Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true));
    let path =
        format!("meters/{meter}/readings?register=energy&from={from}&until={until}&limit=1000");
    let all = gateway.get(&path).await.unwrap();
    let all = all["readings"].as_array().unwrap();
    let remembered: Vec<&Value> = all.iter().filter(|it| it["origin"] == "meter_memory").collect();
    assert_eq!(remembered.len(), 1, "once, however often it is told: {all:?}");

    let path = format!("meters/{meter}/history?register=energy&from={from}&until={until}&step=day");
    let history = gateway.get(&path).await.unwrap();
    let rows = history["runs"][0]["rows"].as_array().unwrap();
    let marked = rows.iter().filter_map(|row| row["from_memory"].as_u64()).sum::<u64>();
    // It closes the day before, and lies in the one that it begins.
    assert!((1..=2).contains(&marked), "{history}");
}
