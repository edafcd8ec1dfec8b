//! One meter's trouble is its own: whoever else is on the wire loses no reading by it, it is said
//! where people look, and it ends by itself. So it is with a meter that is exchanged, and with a
//! configuration that changes under way.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use chrono::{DateTime, Utc};
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "riser"
kind = "mbus"
poll_every_secs = 10
[[bus]]
id = "board"
kind = "modbus-tcp"
poll_every_secs = 10

[[meter]]
name = "Mute"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
[[meter]]
name = "Late"
bus = "riser"
address = 2
device = "cold-water"
place = "cold-flats"
[[meter]]
name = "Noisy"
bus = "riser"
address = 3
device = "cold-water"
place = "cold-restaurant"
[[meter]]
name = "Slow"
bus = "riser"
address = 4
device = "heat"
place = "heat-ventilation"
[[meter]]
name = "Well"
bus = "riser"
address = 5
device = "cold-water"
place = "cold-2"
[[meter]]
name = "Well too"
bus = "riser"
secondary = true
device = "heat"
place = "heat-offices"

[[meter]]
name = "Off"
bus = "board"
address = 1
device = "room"
place = "meeting-room"
[[meter]]
name = "Well as well"
bus = "board"
address = 2
device = "iem3155"
place = "electricity-offices"
"#;

#[tokio::test]
async fn whoever_is_well_loses_no_reading_by_those_who_are_not() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let gateway = home.start().await.unwrap();
    gateway
        .until("all answer", "meters", |meters| all(meters, |it| it["state"] == "ok"))
        .await
        .unwrap();

    for fault in ["silence Mute on", "late Late 2000", "noise Noisy on", "slow Slow 200"] {
        building.tell(fault).unwrap();
    }
    building.tell("silence Off on").unwrap();
    let sick = ["Mute", "Late", "Noisy", "Off"];
    let said = |meters: &Value| {
        all(meters, |it| !sick.contains(&text(&it["name"])) || it["state"] == "silent")
    };
    let meters = gateway.until("it is said of each", "meters", said).await.unwrap();
    for (name, reasons, sentence) in [
        ("Mute", ["silent", "silent"], "meter 1 did not answer within"),
        // What comes when nobody waits for it any more may be heard as a foreign frame.
        ("Late", ["silent", "garbled"], "meter 2 did not"),
        ("Noisy", ["garbled", "garbled"], "meter 3 did not give an answer that fits the question"),
        ("Off", ["silent", "silent"], "meter 1 did not answer within"),
    ] {
        let meter = one(&meters, name);
        assert!(reasons.contains(&text(&meter["reason"])), "{meter}");
        let meter = gateway.get(&format!("meters/{}", text(&meter["id"]))).await.unwrap();
        assert!(text(&meter["error"]["text"]).contains(sentence), "{name}: {}", meter["error"]);
    }
    assert_eq!(one(&meters, "Slow")["state"], "ok");

    for name in sick {
        building.tell(&format!("heal {name}")).unwrap();
    }
    gateway
        .until("all answer", "meters", |meters| all(meters, |it| it["state"] == "ok"))
        .await
        .unwrap();
    for (name, register) in [
        ("Well", "volume"),
        ("Well too", "energy"),
        ("Well as well", "energy_import_total"),
        ("Slow", "energy"),
    ] {
        let meter = building.meter(name).unwrap();
        let three = |readings: &[Value]| slots(readings) >= 3;
        let readings =
            gateway.until_readings("three slots", &meter, register, three).await.unwrap();
        let series = &readings[0]["series"];
        let one_device = readings.iter().all(|reading| reading["series"] == *series);
        assert!(one_device, "{name} was taken for another: {readings:#?}");
    }
}

#[tokio::test]
async fn an_exchanged_meter_begins_a_new_series_unless_another_is_expected() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    let plate = building.plate("Slow").unwrap();
    let serial = plate.get(..8).unwrap();
    let expected = format!("name = \"Slow\"\nserial = \"{serial}\"\n");
    std::fs::write(home.site(), site.replacen("name = \"Slow\"\n", &expected, 1)).unwrap();
    let gateway = home.start().await.unwrap();
    gateway
        .until("all answer", "meters", |meters| all(meters, |it| it["state"] == "ok"))
        .await
        .unwrap();

    for (name, register) in [("Well", "volume"), ("Well as well", "energy_import_total")] {
        let meter = building.meter(name).unwrap();
        let before = gateway.get(&format!("meters/{meter}")).await.unwrap();
        building.tell(&format!("swap {name}")).unwrap();
        let after = read_now(&gateway, &meter).await;
        assert_ne!(before["identity"]["serial"], after["identity"]["serial"], "{name}");

        let two = |readings: &[Value]| readings[0]["series"] != readings.last().unwrap()["series"];
        let found = gateway.until_readings("two series", &meter, register, two).await.unwrap();
        let [until, from] = [&found[0], found.last().unwrap()].map(|it| text(&it["at"]));
        let path = format!(
            "meters/{meter}/history?register={register}&step=hour&from={from}&until={until}"
        );
        let history = gateway.get(&path).await.unwrap();
        // The new meter's counter begins at nothing: that is no use of minus the old one's stand.
        let used = history["runs"].as_array().unwrap().iter().flat_map(|run| list(&run["rows"]));
        assert!(
            used.clone().all(|row| row["mantissa"].as_i64().is_none_or(|it| it >= 0)),
            "{history:#}"
        );
    }

    let meter = building.meter("Slow").unwrap();
    building.tell("swap Slow").unwrap();
    let after = read_now(&gateway, &meter).await;
    assert_eq!((text(&after["state"]), text(&after["reason"])), ("silent", "wrong_meter"));
    let error = text(&after["error"]["text"]);
    assert!(error.contains(&format!("{serial} is configured")), "{error}");
}

#[tokio::test]
async fn what_a_counter_did_is_told_and_is_no_use() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    // One stands at its last figure before anybody reads it.
    building.tell("full Well").unwrap();
    let gateway = home.start().await.unwrap();
    gateway
        .until("all answer", "meters", |meters| all(meters, |it| it["state"] == "ok"))
        .await
        .unwrap();

    for (name, register, command, kind) in [
        ("Well", "volume", "reset", "rollover"),
        ("Well too", "energy", "reset", "reset"),
        ("Well as well", "energy_import_total", "swap", "swap"),
    ] {
        let meter = building.meter(name).unwrap();
        building.tell(&format!("{command} {name}")).unwrap();
        read_now(&gateway, &meter).await;
        let is = |event: &Value| event["kind"] == kind && event["register"] == register;
        let told = |events: &Value| list(&events["events"]).iter().any(is);
        let events = gateway.until(kind, &format!("meters/{meter}/events"), told).await.unwrap();
        let event = list(&events["events"]).iter().find(|it| is(it)).unwrap();
        let figure = |which: &str| text(&event[which]["value"]).replace('.', "");
        let [old, new] = ["old", "new"].map(|it| figure(it).parse::<i64>().unwrap());
        assert!(new < old, "{event:#}");
        if kind == "rollover" {
            assert_eq!(old, 99_999_999, "{event:#}");
        }
        assert_eq!(event["old_serial"] == event["new_serial"], kind != "swap", "{event:#}");

        // Less than an hour has gone by: whatever was used is far from what the counter fell by.
        let at = text(&event["at"]).parse::<DateTime<Utc>>().unwrap();
        let time = |by: i64| {
            let at = at + chrono::TimeDelta::hours(by);
            at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let (from, until) = (time(-2), time(2));
        let path = format!(
            "meters/{meter}/history?register={register}&step=hour&from={from}&until={until}"
        );
        let history = gateway.get(&path).await.unwrap();
        let rows = list(&history["runs"]).iter().flat_map(|run| list(&run["rows"]));
        let used: Vec<i64> = rows.filter_map(|row| row["mantissa"].as_i64()).collect();
        assert!(used.iter().all(|it| (0..old / 10).contains(it)), "{used:?}");
        let breaks = list(&history["breaks"]);
        assert!(breaks.iter().any(|it| it["kind"] == kind), "{history:#}");
    }
}

/// Somebody sets a meter up anew, and it tells its energy in another unit: that the figure is another one is no use.
#[tokio::test]
async fn a_counter_that_goes_on_in_another_unit_is_told_and_is_no_use() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let gateway = home.start().await.unwrap();
    let meter = building.meter("Well too").unwrap();
    gateway
        .until("it answers", "meters", |meters| one(meters, "Well too")["state"] == "ok")
        .await
        .unwrap();

    // From kWh to GJ, and back.
    for (command, factor) in [("on", 0.0036), ("off", 1.0 / 0.0036)] {
        building.tell(&format!("joules Well too {command}")).unwrap();
        read_now(&gateway, &meter).await;
        let is = |event: &Value| event["kind"] == "unit" && event["register"] == "energy";
        let wanted = if command == "on" { 1 } else { 2 };
        let told =
            |events: &Value| list(&events["events"]).iter().filter(|it| is(it)).count() == wanted;
        let events = gateway.until("unit", &format!("meters/{meter}/events"), told).await.unwrap();
        let event = list(&events["events"]).iter().find(|it| is(it)).unwrap();
        let figure = |which: &str| text(&event[which]["value"]).parse::<f64>().unwrap();
        assert_ne!(event["old"]["unit"], event["new"]["unit"], "{event:#}");
        let grew = figure("new") / figure("old");
        assert!((grew / factor - 1.0).abs() < 0.1, "{event:#}");
        assert_eq!(event["old_serial"], event["new_serial"], "{event:#}");

        let at = text(&event["at"]).parse::<DateTime<Utc>>().unwrap();
        let time = |by: i64| {
            let at = at + chrono::TimeDelta::hours(by);
            at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let (from, until) = (time(-2), time(2));
        let path =
            format!("meters/{meter}/history?register=energy&step=hour&from={from}&until={until}");
        let history = gateway.get(&path).await.unwrap();
        let rows = list(&history["runs"]).iter().flat_map(|run| list(&run["rows"]));
        let used: Vec<f64> = rows.filter_map(|row| row["mantissa"].as_f64()).collect();
        let most = figure("old").max(figure("new")) / 100.0;
        assert!(used.iter().all(|it| (0.0..most).contains(it)), "{used:?}: {history:#}");
    }
}

#[tokio::test]
async fn a_changed_configuration_costs_no_meter_a_reading() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let whole = std::fs::read_to_string(home.site()).unwrap();
    let (without_last, last) = whole.rsplit_once("[[meter]]").unwrap();
    let renamed = without_last.replacen("name = \"Mute\"", "name = \"Quiet\"", 1);
    std::fs::write(home.site(), &renamed).unwrap();
    let gateway = home.start().await.unwrap();
    gateway
        .until("all answer", "meters", |meters| all(meters, |it| it["state"] == "ok"))
        .await
        .unwrap();

    // On a page a meter is added and another one gets its name back. One who has looked at an
    // older version is told so, and by whom.
    let put = |version: u64, text: &str| {
        let put = gateway
            .request(Method::PUT, "site/config")
            .header("If-Match", format!("\"{version}\""));
        put.header("Content-Type", "text/toml").body(text.to_owned())
    };
    assert_eq!(gateway.done(put(1, &whole)).await.unwrap(), json!({ "version": 2 }));
    let (status, answer) = gateway.answer(put(1, without_last)).await.unwrap();
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    assert_eq!((text(&answer["code"]), text(&answer["params"]["who"])), ("config_changed", "eier"));
    let added = |meters: &Value| list(meters).len() == 8 && all(meters, |it| it["state"] == "ok");
    let meters = gateway.until("the new meter answers", "meters", added).await.unwrap();
    assert_eq!(one(&meters, "Mute")["state"], "ok");
    assert_eq!(std::fs::read_to_string(home.site()).unwrap(), whole, "the file is what was saved");

    // By hand the other bus is changed: SIGHUP, and the file is looked at at once.
    let patient = "kind = \"mbus\"\nanswer_within_ms = 700\n";
    let by_hand = whole.replacen("kind = \"mbus\"\n", patient, 1);
    assert_ne!(by_hand, whole);
    std::fs::write(home.site(), &by_hand).unwrap();
    gateway.program.signal(Signal::SIGHUP).unwrap();
    gateway.until("the file is in force", "site", |site| site["version"] == 3).await.unwrap();
    assert!(last.contains("Well as well"));

    for (name, register) in [
        ("Off", "temperature_room"),
        ("Well as well", "energy_import_total"),
        ("Well", "volume"),
        ("Well too", "energy"),
        ("Mute", "energy"),
    ] {
        let meter = building.meter(name).unwrap();
        let three = |readings: &[Value]| slots(readings) >= 3;
        gateway.until_readings("three slots", &meter, register, three).await.unwrap();
    }
}

/// In how many slots of ten seconds, one after the other, there is a reading: all of those that
/// there were.
#[track_caller]
fn slots(readings: &[Value]) -> i64 {
    let at = |reading: &Value| text(&reading["at"]).parse::<DateTime<Utc>>().unwrap();
    let slot = |reading: &Value| at(reading).timestamp() / 10;
    for (newer, older) in readings.iter().zip(readings.iter().skip(1)) {
        // A reading may be late in its slot, and the next one early.
        assert!((at(newer) - at(older)).num_seconds() < 20, "{older}\nand then\n{newer}");
    }
    assert!(readings.iter().all(|reading| reading["reason"].is_null()), "{readings:#?}");
    match readings {
        [newest, .., oldest] => slot(newest) - slot(oldest) + 1,
        few => i64::try_from(few.len()).unwrap(),
    }
}

/// Has a meter read between the polls, as a person does.
async fn read_now(gateway: &Gateway, meter: &str) -> Value {
    let read = gateway.request(Method::POST, &format!("meters/{meter}/read"));
    gateway.done(read.json(&json!({}))).await.unwrap()
}

fn all(meters: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    list(meters).iter().all(holds)
}

#[track_caller]
fn one<'m>(meters: &'m Value, name: &str) -> &'m Value {
    let found = list(meters).iter().find(|meter| meter["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {meters:#}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
