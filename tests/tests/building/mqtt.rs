//! MQTT sensors, from what they say to the pages' API, and the gateway's own values on its broker:
//! with mosquitto's and paho's clients, which we did not write, and with what goes wrong.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by a panic, in its helpers too, and says what it cannot try"
)]

use std::fmt::Write as _;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "air"
kind = "mqtt"
poll_every_secs = 10

[[meter]]
name = "Kitchen"
bus = "air"
device = "zigbee-room"
place = "flat"
"#;

/// For a busy machine.
const STOP: Duration = Duration::from_mins(1);

/// The broker of a gateway, and a user who may everything.
struct Broker {
    port: String,
    token: String,
}

impl Broker {
    fn of(home: &Home) -> Self {
        let site = std::fs::read_to_string(home.site()).unwrap();
        let plain = site.lines().find_map(|line| line.strip_prefix("plain = \"127.0.0.1:"));
        let port = plain.unwrap().trim_end_matches('"').to_owned();
        let added = home
            .fyrhus(["--json", "mqtt", "add", "tester", "--publish", "#", "--subscribe", "#"])
            .unwrap();
        let added: Value = serde_json::from_slice(&added.stdout).unwrap();
        Self { port, token: added["token"].as_str().unwrap().to_owned() }
    }

    /// One of mosquitto's clients; `None`, and said, where they are not installed.
    fn mosquitto(&self, program: &str, token: &str, more: &[&str]) -> Option<Output> {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-u", "tester", "-P", token]);
        let output = command.args(more).output();
        if output.is_err() {
            println!("SKIPPED: no {program}; image/prepare.sh installs mosquitto-clients");
        }
        output.ok()
    }

    /// Says something as the sensor in the kitchen would.
    fn say(&self, payload: &str) -> bool {
        self.say_on("zigbee2mqtt/Kitchen", payload)
    }

    /// Waits for the broker to know the user first.
    fn say_on(&self, topic: &str, payload: &str) -> bool {
        let more = ["-q", "1", "-t", topic, "-m", payload];
        for _ in 0..600 {
            match self.mosquitto("mosquitto_pub", &self.token, &more) {
                None => return false,
                Some(output) if output.status.success() => return true,
                Some(_) => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
        unreachable!("the broker takes over its users within seconds");
    }

    /// The first message under `filter`.
    fn hear(&self, filter: &str) -> Option<String> {
        let more = ["-C", "1", "-W", "60", "-t", filter];
        let output = self.mosquitto("mosquitto_sub", &self.token, &more)?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

fn register<'v>(meter: &'v Value, register: &str) -> Option<&'v Value> {
    let registers = meter["registers"].as_array()?;
    registers.iter().find(|it| it["register"] == register)
}

fn temperature(meter: &Value) -> Option<&str> {
    register(meter, "temperature_room")?["value"].as_str()
}

async fn until_shown(gateway: &Gateway, path: &str, value: &str) -> Value {
    gateway.until(value, path, |meter| temperature(meter) == Some(value)).await.unwrap()
}

#[tokio::test]
async fn a_sensor_is_heard_and_its_faults_are_no_temperatures() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let kitchen = building.meter("Kitchen").unwrap();
    let gateway = home.start().await.unwrap();
    let path = format!("meters/{kitchen}");

    let warm = |meter: &Value| {
        let shown = temperature(meter).and_then(|it| it.parse().ok());
        meter["reason"].is_null() && shown.is_some_and(|it: f64| (15.0..30.0).contains(&it))
    };
    let meter = gateway.until("it is warm indoors", &path, warm).await.unwrap();
    assert_eq!(register(&meter, "battery").unwrap()["value"], "87", "{meter}");
    assert_eq!(register(&meter, "link_quality").unwrap()["value"], "120", "{meter}");
    assert_eq!(meter["address"], "Kitchen");

    // Offline is silence, and online again is not.
    building.tell("refuse Kitchen on").unwrap();
    let quiet = |meter: &Value| meter["error"]["code"] == "quiet";
    gateway.until("it is offline", &path, quiet).await.unwrap();
    building.tell("heal Kitchen").unwrap();
    gateway.until("it is there again", &path, warm).await.unwrap();

    // Garbage and halves are nothing, and what is said twice is said: each is heard, and what is
    // said after them is shown.
    for fault in ["noise", "half", "foreign", "duplicate"] {
        building.tell_and_hear(fault, &["Kitchen"]).await.unwrap();
        building.tell_and_hear("heal", &["Kitchen"]).await.unwrap();
        gateway.until(fault, &path, warm).await.unwrap();
    }
    let is_foreign = |bus: &Value| {
        let strangers = bus["strangers"].as_array();
        strangers.is_some_and(|all| all.iter().any(|it| it["name"] == "stranger"))
    };
    gateway.until("whoever spoke is listed", "buses/air", is_foreign).await.unwrap();

    building.tell("silence Kitchen on").unwrap();
    let broker = Broker::of(&home);
    if broker.say("{\"temperature\":19.504}") {
        until_shown(&gateway, &path, "19.50").await;
        for garbage in ["", "{", "{\"temperature\":}", "[[[[", "{\"temperature\":\"hot\"}x"] {
            assert!(broker.say(garbage));
        }
        // A number that does not fit is no value, and never another.
        assert!(broker.say("{\"temperature\":1e300,\"humidity\":33}"));
        let large = |meter: &Value| {
            register(meter, "temperature_room").is_some_and(|it| it["reason"] == "too_large")
        };
        gateway.until("it does not fit", &path, large).await.unwrap();
        assert!(broker.say("{\"temperature\":20.255}"));
        until_shown(&gateway, &path, "20.26").await;
    }
    let stored = gateway.readings(&kitchen, "temperature_room").await.unwrap();
    let celsius: Vec<f64> =
        stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
    assert!(
        !celsius.is_empty() && celsius.iter().all(|it| (15.0..30.0).contains(it)),
        "{stored:?}"
    );
}

const PLUGS: &str = r#"
name = "Verksted"
[[bus]]
id = "air"
kind = "mqtt"
poll_every_secs = 10

[[meter]]
name = "Shelly one"
bus = "air"
device = "shelly-plug"
place = "electricity-flats"
share = 40
[[meter]]
name = "Shelly two"
bus = "air"
device = "shelly-plus"
place = "electricity-flats"
share = 40
[[meter]]
name = "Tasmota"
bus = "air"
device = "tasmota-plug"
place = "electricity-flats"
share = 40
[[meter]]
name = "SenML"
bus = "air"
device = "senml-room"
place = "flat"
[[meter]]
name = "Announced"
bus = "air"
device = "esp-room"
place = "flat"
"#;

/// The simulated sensors of each maker, the register that is looked at, what its values lie between
/// and within how much of each other, and whether the sensor can say that it is offline.
const MAKERS: [(&str, &str, f64, f64, bool); 5] = [
    ("Shelly one", "energy", 1.0, 1e9, true),
    ("Shelly two", "energy", 1.0, 1e9, true),
    ("Tasmota", "energy", 0.001, 1e6, true),
    ("SenML", "temperature_room", 10.0, 35.0, false),
    ("Announced", "temperature_room", 10.0, 35.0, true),
];

#[tokio::test]
async fn sensors_of_each_maker_are_heard_and_their_faults_are_no_values() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, PLUGS).unwrap();
    let gateway = home.start().await.unwrap();
    for (name, key, least, most, says_offline) in MAKERS {
        let id = building.meter(name).unwrap();
        let path = format!("meters/{id}");
        let well = |meter: &Value| {
            let shown = register(meter, key).and_then(|it| it["value"].as_str()?.parse().ok());
            meter["error"].is_null() && shown.is_some_and(|it: f64| (least..most).contains(&it))
        };
        gateway.until(name, &path, well).await.unwrap();
        for fault in ["noise", "half", "foreign", "duplicate"] {
            building.tell_and_hear(fault, &[name]).await.unwrap();
            building.tell_and_hear("heal", &[name]).await.unwrap();
            gateway.until(&format!("{fault} {name}"), &path, well).await.unwrap();
        }
        if says_offline {
            building.tell(&format!("refuse {name} on")).unwrap();
            let quiet = |meter: &Value| meter["error"]["code"] == "quiet";
            gateway.until(&format!("{name} is offline"), &path, quiet).await.unwrap();
            building.tell(&format!("heal {name}")).unwrap();
            gateway.until(&format!("{name} is there again"), &path, well).await.unwrap();
        }
        let is_stored = |all: &[Value]| all.iter().any(|it| it["value"].is_string());
        let stored = gateway.until_readings(name, &id, key, is_stored).await.unwrap();
        let values: Vec<f64> =
            stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
        let first = values[0];
        let near = |it: &f64| (least..most).contains(it) && (it - first).abs() < 5_000.0;
        assert!(values.iter().all(near), "{name}: {values:?}");
    }
    // What the gateway announces of its meters is none of theirs, though it is called the same.
    let announced = gateway.get(&format!("meters/{}", building.meter("Announced").unwrap())).await;
    let announced = announced.unwrap();
    let registers = announced["registers"].as_array().unwrap().iter();
    let mut registers: Vec<&str> = registers.filter_map(|it| it["register"].as_str()).collect();
    // On a slow machine its first message may come late, and that it was missed stands there too.
    registers.retain(|it| *it != "answer");
    registers.sort_unstable();
    assert_eq!(registers, ["co2_room", "humidity_room", "temperature_room"]);
}

/// What sensors of other makers say, as their makers document it: what it is called, its profile if
/// it has one, its messages, and a register of which something must be shown.
struct Other {
    name: &'static str,
    address: &'static str,
    profile: Option<&'static str>,
    messages: &'static [(&'static str, &'static str)],
    shown: (&'static str, &'static str),
}

/// `NOW` stands for the time in seconds since 1970.
const OTHERS: [Other; 7] = [
    Other {
        name: "Shelly, first generation",
        address: "shellyplug-s-5A7F22",
        profile: Some("shelly.gen1-relay"),
        messages: &[("shellies/shellyplug-s-5A7F22/relay/0/energy", "123456")],
        shown: ("energy", "2057.6"),
    },
    Other {
        name: "Shelly, second generation",
        address: "shellyplus1pm-a8032ab12cd4",
        profile: Some("shelly.gen2-relay"),
        messages: &[(
            "shellyplus1pm-a8032ab12cd4/events/rpc",
            r#"{"src":"shellyplus1pm-a8032ab12cd4","method":"NotifyStatus","params":{"ts":NOW.25,"switch:0":{"id":0,"apower":41.5,"aenergy":{"total":1234.567}}}}"#,
        )],
        shown: ("energy", "1234.567"),
    },
    Other {
        name: "Tasmota",
        address: "pump",
        profile: Some("tasmota.energy"),
        messages: &[
            ("tele/pump/LWT", "Online"),
            ("tele/pump/SENSOR", r#"{"ENERGY":{"Total":154.671,"Power":41}}"#),
        ],
        shown: ("energy", "154.671"),
    },
    Other {
        name: "SenML, climate",
        address: "building/7/room",
        profile: Some("senml.climate"),
        messages: &[(
            "building/7/room",
            r#"[{"bn":"urn:dev:mac:0024befffe804ff1/","bt":NOW,"n":"temperature","u":"Cel","v":27.2}]"#,
        )],
        shown: ("temperature_room", "27.20"),
    },
    Other {
        name: "SenML, electricity",
        address: "main-board",
        profile: Some("senml.electricity"),
        messages: &[("main-board", r#"[{"bt":NOW,"n":"energy","u":"kWh","v":99.5}]"#)],
        shown: ("energy", "99.500"),
    },
    Other {
        name: "By its announcement",
        address: "loft",
        profile: None,
        messages: &[
            (
                "homeassistant/sensor/esp/t/config",
                r#"{"stat_t":"esp/loft","val_tpl":"{{ value_json.t }}","dev_cla":"temperature","unit_of_meas":"°C","dev":{"name":"loft"}}"#,
            ),
            ("esp/loft", r#"{"t":12.34}"#),
        ],
        shown: ("temperature_room", "12.34"),
    },
    Other {
        name: "A door by its announcement",
        address: "front door",
        profile: None,
        messages: &[
            (
                "homeassistant/binary_sensor/esp/door/config",
                r#"{"stat_t":"esp/door","dev_cla":"door","dev":{"name":"front door"}}"#,
            ),
            ("esp/door", "OFF"),
        ],
        shown: ("contact", "1"),
    },
];

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "these sensors have clocks of their own")]
async fn sensors_of_other_makers_are_heard_in_their_own_words() {
    let home = Home::new().unwrap();
    let _building = Building::start(&home, BUILDING).unwrap();
    let mut site = std::fs::read_to_string(home.site()).unwrap();
    let id = |at: usize| format!("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e{at:02}");
    for (at, other) in OTHERS.iter().enumerate() {
        let profile = other.profile.map(|it| format!("profile = \"{it}\"\n")).unwrap_or_default();
        let (id, name, address) = (id(at), other.name, other.address);
        write!(
            site,
            "\n[[meter]]\nid = \"{id}\"\nname = \"{name}\"\nbus = \"air\"\naddress = \"{address}\"\n{profile}",
        )
        .unwrap();
    }
    std::fs::write(home.site(), site).unwrap();
    let broker = Broker::of(&home);
    let gateway = home.start().await.unwrap();
    for (at, other) in OTHERS.iter().enumerate() {
        let (path, (key, value)) = (format!("meters/{}", id(at)), other.shown);
        // What is said before the gateway has subscribed is heard by nobody, so it is said again.
        let mut tries = 0;
        loop {
            let now = chrono::Utc::now().timestamp().to_string();
            for (topic, payload) in other.messages {
                if !broker.say_on(topic, &payload.replace("NOW", &now)) {
                    return;
                }
            }
            let meter = gateway.get(&path).await.unwrap();
            if register(&meter, key).is_some_and(|it| it["value"] == value) {
                break;
            }
            tries += 1;
            assert!(tries < 600, "{}: {meter}", other.name);
        }
    }
}

#[tokio::test]
async fn a_battery_that_runs_low_is_told_once_from_the_sensor_to_the_overview() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let kitchen = building.meter("Kitchen").unwrap();
    let path = format!("meters/{kitchen}");
    let mut gateway = home.start().await.unwrap();
    let level = |meter: &Value| Some(register(meter, "battery")?["value"].as_str()?.to_owned());
    gateway.until("it is heard", &path, |it| level(it).is_some()).await.unwrap();
    building.tell("silence Kitchen on").unwrap();
    let broker = Broker::of(&home);
    let shown = async |gateway: &Gateway, percent: &str| {
        let payload = format!("{{\"battery\":{percent}}}");
        let begun = Instant::now();
        // What is said before the gateway has subscribed is heard by nobody, so it is said again.
        while broker.say(&payload) {
            let meter = gateway.get(&path).await.unwrap();
            if level(&meter).as_deref() == Some(percent) {
                return true;
            }
            assert!(begun.elapsed() < STOP, "{percent}: {meter}");
        }
        false
    };
    let is_told = |overview: &Value| {
        let notices = overview["look_at"].as_array();
        notices.is_some_and(|all| all.iter().any(|it| it["code"] == "battery_low"))
    };

    // Between the two limits nothing is low yet.
    if !shown(&gateway, "20").await {
        return;
    }
    assert!(gateway.get(&path).await.unwrap()["battery"].is_null());
    shown(&gateway, "9").await;
    gateway.until("it is low", "overview", is_told).await.unwrap();
    gateway.done(gateway.request(Method::POST, &format!("{path}/battery/seen"))).await.unwrap();
    gateway.until("somebody took notice", "overview", |it| !is_told(it)).await.unwrap();

    // Neither a lower level nor a restart tells it again, and a new battery ends it.
    shown(&gateway, "7").await;
    gateway.program.stop(STOP).unwrap();
    gateway = home.start().await.unwrap();
    shown(&gateway, "6").await;
    let overview = gateway.get("overview").await.unwrap();
    assert!(!is_told(&overview), "{overview}");
    shown(&gateway, "100").await;
    gateway.until("it is well", &path, |it| it["battery"].is_null()).await.unwrap();
}

#[tokio::test]
async fn values_are_published_and_a_broker_that_is_gone_is_told() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let kitchen = building.meter("Kitchen").unwrap();
    let gateway = home.start().await.unwrap();
    let path = format!("meters/{kitchen}");
    let there = |meter: &Value| temperature(meter).is_some();
    gateway.until("it is heard", &path, there).await.unwrap();
    building.tell("silence Kitchen on").unwrap();

    let broker = Broker::of(&home);
    if broker.say("{\"temperature\":18.25}") {
        until_shown(&gateway, &path, "18.25").await;
        assert_eq!(broker.hear("fyrhus/status").unwrap(), "online");
        let topic = format!("fyrhus/{kitchen}/value/temperature_room");
        // The publisher looks every two seconds; what is retained before may be older.
        let begun = Instant::now();
        while broker.hear(&topic).unwrap() != "18.25" {
            assert!(begun.elapsed().as_secs() < 60, "an older value is retained");
        }
        assert_eq!(broker.hear(&format!("fyrhus/{kitchen}/available")).unwrap(), "online");
        let node = kitchen.replace('-', "");
        let config = format!("homeassistant/sensor/fyrhus_{node}/temperature_room/config");
        let config: Value = serde_json::from_str(&broker.hear(&config).unwrap()).unwrap();
        assert_eq!(config["state_topic"], topic);
        assert_eq!(config["device_class"], "temperature");
        assert_eq!(config["unit_of_measurement"], "°C");

        let wrong = broker.mosquitto("mosquitto_sub", "wrong", &["-C", "1", "-t", "#"]).unwrap();
        let said = String::from_utf8_lossy(&wrong.stderr).to_lowercase();
        assert!(!wrong.status.success() && said.contains("bad user name or password"), "{said}");
        paho(&broker, &topic);
    }

    // Switched off, and on again.
    let with = std::fs::read_to_string(home.site()).unwrap();
    let at = with.find("[broker]").unwrap();
    let (before, after) = with.split_at(at);
    let rest = after.get(1..).and_then(|rest| rest.find("\n[")).unwrap();
    let without = format!("{before}{}", after.get(rest + 2..).unwrap());
    std::fs::write(home.site(), without).unwrap();
    let down = |it: &Value| it["bus"]["state"] == "down" && !it["bus"]["last_error"].is_null();
    gateway.until("the broker is off", "buses/air", down).await.unwrap();
    std::fs::write(home.site(), with).unwrap();
    let up = |it: &Value| it["bus"]["state"] == "up";
    gateway.until("the broker is on again", "buses/air", up).await.unwrap();
    building.tell("heal Kitchen").unwrap();
    let again = |meter: &Value| temperature(meter).is_some_and(|it| it != "18.25");
    gateway.until("it is heard again", &path, again).await.unwrap();
}

/// paho's client, in Python, gets the same.
fn paho(broker: &Broker, topic: &str) {
    let python = paths::root().join("target/peers/bin/python");
    let script = paths::root().join("tests/peers/mqtt_hear.py");
    let mut command = Command::new(python);
    command.arg(script).args([&broker.port, "tester", &broker.token, topic]);
    match command.output() {
        Ok(output) if output.status.code() != Some(77) => {
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "18.25 retained");
        }
        _ => println!("SKIPPED: no paho-mqtt in target/peers; image/prepare.sh installs it"),
    }
}
