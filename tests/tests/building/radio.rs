//! Meters by radio, from a stick's bytes to the pages' API: every receiver, every kind of
//! encryption, keys that are missing, wrong and entered, a stick that hangs, and the neighbours.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use site_tests::building::{Building, KEYS};
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;

const BUILDING: &str = r#"
name = "Blokk"
[[bus]]
id = "stick"
kind = "wmbus"
receiver = "im871a"
poll_every_secs = 10

[[meter]]
name = "Cold"
bus = "stick"
device = "radio-water"
place = "cold-flats"
sealed = true
[[meter]]
name = "Heat"
bus = "stick"
device = "radio-heat"
place = "heat-flats"
sealed = true
[[meter]]
name = "Hot"
bus = "stick"
device = "radio-hot-water"
place = "hot-flats"
[[meter]]
name = "Neighbour"
bus = "stick"
device = "radio-water"
place = "cold-2"
sealed = true
stranger = true
"#;

const OTHERS: &str = r#"
name = "Blokk"
[[bus]]
id = "amber"
kind = "wmbus"
receiver = "amb8465"
poll_every_secs = 10
[[bus]]
id = "cul"
kind = "wmbus"
receiver = "cul"
poll_every_secs = 10
[[bus]]
id = "lines"
kind = "wmbus"
receiver = "lines"
poll_every_secs = 10

[[bus]]
id = "loft"
kind = "wmbus"
receiver = "lines"
over_mqtt = true
poll_every_secs = 10

[[meter]]
name = "By Amber"
bus = "amber"
device = "radio-heat"
place = "heat-flats"
sealed = true
[[meter]]
name = "By CUL"
bus = "cul"
device = "radio-water"
place = "cold-flats"
sealed = true
[[meter]]
name = "By lines"
bus = "lines"
device = "radio-water"
place = "cold-2"
sealed = true
[[meter]]
name = "By MQTT"
bus = "loft"
device = "radio-heat"
place = "heat-flats"
sealed = true
[[meter]]
name = "Far away"
bus = "loft"
device = "radio-water"
place = "cold-flats"
stranger = true
"#;

fn register<'v>(meter: &'v Value, register: &str) -> Option<&'v Value> {
    let registers = meter["registers"].as_array()?;
    registers.iter().find(|it| it["register"] == register)
}

fn volume(meter: &Value) -> Option<f64> {
    register(meter, "volume")?["value"].as_str()?.parse().ok()
}

fn is_heard(meter: &Value) -> bool {
    meter["reason"].is_null() && meter["error"].is_null() && volume(meter).is_some()
}

/// As [`Gateway::until`], for what takes more than a minute by its nature.
async fn until_late(gateway: &Gateway, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..3 {
        if let Ok(answer) = gateway.until("in three minutes", path, &holds).await {
            return answer;
        }
    }
    gateway.until("in four minutes", path, holds).await.unwrap()
}

fn import(home: &Home) -> Output {
    let file = home.site().with_file_name(KEYS);
    home.fyrhus(["keys".as_ref(), "import".as_ref(), file.as_os_str()]).unwrap()
}

#[tokio::test]
async fn keys_are_asked_for_entered_and_never_shown() {
    let home = Home::new().unwrap();
    let building = Building::with_ptys(&home, BUILDING, &["stick"]).unwrap();
    let [cold, heat, hot] = ["Cold", "Heat", "Hot"].map(|name| building.meter(name).unwrap());
    let gateway = home.start().await.unwrap();

    // What is plain is read; what is not is told, with the number that its key is kept under.
    gateway.until("it is plain", &format!("meters/{hot}"), is_heard).await.unwrap();
    for (id, name) in [(&cold, "Cold"), (&heat, "Heat")] {
        let missing = |meter: &Value| meter["error"]["code"] == "key_missing";
        let path = format!("meters/{id}");
        let meter = gateway.until("its key is missing", &path, missing).await.unwrap();
        let plate = building.plate(name).unwrap();
        let number = meter["error"]["params"]["number"].as_str().unwrap();
        assert!(plate.starts_with(number), "{plate} {meter}");
    }

    // A wrong key is never a value: in mode 5 by the plain text's beginning, in mode 7 by its code.
    let wrong = "00112233445566778899AABBCCDDEEFF";
    for name in ["Cold", "Heat"] {
        let plate = building.plate(name).unwrap();
        let number = plate.get(..8).unwrap();
        let put = gateway.request(Method::PUT, &format!("keys/{number}"));
        gateway.done(put.json(&json!({"encryption": wrong}))).await.unwrap();
    }
    for id in [&cold, &heat] {
        let wrong = |meter: &Value| meter["error"]["code"] == "key_wrong";
        gateway.until("its key is wrong", &format!("meters/{id}"), wrong).await.unwrap();
        let stored = gateway.readings(id, "volume").await.unwrap();
        assert!(stored.iter().all(|it| it["value"].is_null()), "{stored:?}");
    }

    // The supplier's file brings the right ones; the gateway takes them over by itself.
    let imported = import(&home);
    assert!(imported.status.success(), "{imported:?}");
    let told = String::from_utf8_lossy(&imported.stdout).into_owned();
    assert!(told.contains("2 keys are new, 0 are replaced"), "{told}");
    for id in [&cold, &heat] {
        let path = format!("meters/{id}");
        let meter = gateway.until("it is opened", &path, is_heard).await.unwrap();
        let rssi = meter["said"].to_string();
        assert!(rssi.contains("dBm"), "how strong it came in is told: {meter}");
        let is_stored = |readings: &[Value]| readings.iter().any(|it| it["value"].is_string());
        let stored = gateway.until_readings("it is stored", id, "volume", is_stored).await.unwrap();
        let values: Vec<f64> =
            stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
        let first = *values.first().unwrap();
        assert!(values.iter().all(|it| (it - first).abs() < 1.0), "{stored:?}");
    }

    // Whose keys are kept is told, by page and command, and the keys by neither.
    let keys = std::fs::read_to_string(home.site().with_file_name(KEYS)).unwrap();
    let secrets: Vec<&str> = keys.lines().skip(1).filter_map(|it| it.split(';').nth(1)).collect();
    let kept = gateway.get("keys").await.unwrap();
    assert_eq!(kept.as_array().unwrap().len(), 4, "{kept}");
    let list = home.fyrhus(["--json", "keys", "list"]).unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), 4, "{list}");
    for text in [kept.to_string(), list, home.log(), told] {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        assert!(!text.contains(wrong), "{text}");
    }

    // A command enters one, from a pipe as from a terminal, and forgets it again.
    let plate = building.plate("Hot").unwrap();
    let number = plate.get(..11).unwrap();
    let mut add = Command::new(paths::binary("fyrhus").unwrap())
        .args(["keys", "add", number, "--config"])
        .arg(home.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(add.stdin.take().unwrap(), "{wrong}").unwrap();
    let added = add.wait_with_output().unwrap();
    assert!(added.status.success(), "{added:?}");
    assert!(!String::from_utf8_lossy(&added.stderr).contains(wrong));
    let removed = home.fyrhus(["keys", "remove", number]).unwrap();
    assert!(removed.status.success(), "{removed:?}");
}

#[tokio::test]
async fn every_receiver_hears_its_meters_and_the_neighbours() {
    let home = Home::new().unwrap();
    let mut building = Building::with_ptys(&home, OTHERS, &["amber", "cul"]).unwrap();
    assert!(import(&home).status.success());
    let gateway = home.start().await.unwrap();
    let names = ["By Amber", "By CUL", "By lines", "By MQTT"];
    for name in names {
        let path = format!("meters/{}", building.meter(name).unwrap());
        gateway.until(name, &path, is_heard).await.unwrap();
    }
    let plate = building.plate("Far away").unwrap();
    let is_listed = |bus: &Value| {
        let strangers = bus["strangers"].as_array();
        strangers.is_some_and(|all| all.iter().any(|it| it["name"] == plate.as_str()))
    };
    gateway.until("a neighbour is heard over MQTT", "buses/loft", is_listed).await.unwrap();

    // What is wrong in the air is no value, whichever way it comes.
    for fault in ["noise", "half", "foreign", "refuse", "duplicate"] {
        building.tell_and_hear(fault, &names).await.unwrap();
        building.tell_and_hear("heal", &names).await.unwrap();
    }
    for name in names {
        let id = building.meter(name).unwrap();
        let path = format!("meters/{id}");
        gateway.until(name, &path, is_heard).await.unwrap();
        let stored = gateway.readings(&id, "volume").await.unwrap();
        let values: Vec<f64> =
            stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
        let first = *values.first().unwrap();
        assert!(values.iter().all(|it| (it - first).abs() < 1.0), "{name}: {stored:?}");
    }

    // The command hears the same, and asks for no key.
    let site = std::fs::read_to_string(home.site()).unwrap();
    let address = site.lines().find_map(|line| line.strip_prefix("port = \"tcp:")).unwrap();
    let address = format!("tcp:{}", address.trim_end_matches('"'));
    let listen = Command::new(paths::binary("fyrhus").unwrap())
        .args(["--json", "radio", "listen", "--receiver", "lines", "--seconds", "20"])
        .args(["--port", &address])
        .output()
        .unwrap();
    assert!(listen.status.success(), "{listen:?}");
    let heard = String::from_utf8(listen.stdout).unwrap();
    let heard: Value = serde_json::from_str(heard.lines().next().unwrap()).unwrap();
    assert_eq!(heard["meter"], building.plate("By lines").unwrap());
    assert_eq!(heard["encrypted"], true);
}

#[tokio::test]
async fn a_stick_that_hangs_is_said_and_reset_and_strangers_are_listed() {
    let home = Home::new().unwrap();
    let mut building = Building::with_ptys(&home, BUILDING, &["stick"]).unwrap();
    assert!(import(&home).status.success());
    let cold = format!("meters/{}", building.meter("Cold").unwrap());
    let gateway = home.start().await.unwrap();
    gateway.until("it is heard", &cold, is_heard).await.unwrap();

    let plate = building.plate("Neighbour").unwrap();
    let is_listed = |bus: &Value| {
        let strangers = bus["strangers"].as_array();
        strangers.is_some_and(|all| all.iter().any(|it| it["name"] == plate.as_str()))
    };
    let bus = gateway.until("a neighbour is heard", "buses/stick", is_listed).await.unwrap();
    let strangers = bus["strangers"].as_array().unwrap();
    assert_eq!((strangers.len(), &bus["bus"]["strangers"]), (1, &json!(1)), "{bus}");
    let stranger = &strangers[0];
    assert_eq!((&stranger["sealed"], &stranger["medium"]), (&json!(true), &json!("water")));
    let rssi = stranger["rssi_dbm"].as_i64().unwrap();
    assert!((-110..-40).contains(&rssi), "{stranger}");
    assert!(stranger["at"].is_string() && stranger["count"].as_u64().unwrap() > 0);

    // It says nothing for a minute and does not answer: that is said, and a reset helps.
    building.tell("hang stick").unwrap();
    // It may be back before anybody has looked, and what was wrong is kept in mind.
    let said = |bus: &Value| bus["bus"]["last_error"].to_string().contains("does not answer");
    until_late(&gateway, "buses/stick", said).await;
    let up = |bus: &Value| bus["bus"]["state"] == "up";
    until_late(&gateway, "buses/stick", up).await;
    gateway.until("it is heard again", &cold, is_heard).await.unwrap();
}
