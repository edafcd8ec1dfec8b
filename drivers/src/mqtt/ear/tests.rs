//! The ear at a real broker, with sensors that say what the makers of theirs document.

use broker::{Broker, Limits, NewUser, Users};
use chrono::{TimeZone as _, Utc};
use metering::{MeterId, Origin, Quantity, Trust};
use mqtt_client::{Address, Client, Options, Will};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::mqtt::DeviceName;
use crate::port::{BrokerAt, PortSettings};

/// Long enough for a machine with much to do.
const SOON: Duration = Duration::from_mins(1);

/// Noon, always.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        let wall = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        Moment { wall, boottime: Duration::from_hours(99), boot_id: 1, trust: Trust::Synced }
    }
}

/// A broker with a user `all`, who may everything.
struct Running {
    address: String,
    token: String,
    users: Users,
    shutdown: CancellationToken,
}

impl Running {
    async fn start() -> Self {
        let mut users = Users::default();
        let all = || vec!["#".parse().unwrap()];
        let new = NewUser { name: "all".into(), publish: all(), subscribe: all() };
        let token = users.set(new, None).unwrap().unwrap();
        let mut running = Self {
            address: "127.0.0.1:0".into(),
            token,
            users,
            shutdown: CancellationToken::new(),
        };
        running.again().await;
        running
    }

    /// As after a restart, at the same address.
    async fn again(&mut self) {
        self.shutdown = CancellationToken::new();
        let users = self.users.clone();
        let (broker, _) = Broker::open(None, users, Limits::default(), self.shutdown.clone());
        let listener = loop {
            // The old one may be about to let go of it.
            match TcpListener::bind(&self.address).await {
                Ok(listener) => break listener,
                Err(_) => time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { broker.listen(listener, None).await });
    }

    fn settings(&self, folder: &tempfile::TempDir) -> MqttSettings {
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{}\n", self.token)).unwrap();
        MqttSettings {
            port: PortSettings::Broker(BrokerAt::Plain(self.address.clone())),
            address: Address::Tcp(self.address.clone()),
            client_id: "fyrhus-test".into(),
            user: Some("all".into()),
            password_file: Some(file),
        }
    }

    async fn sensor(&self) -> Client {
        let options = Options {
            address: Address::Tcp(self.address.clone()),
            client_id: format!("sensor-{}", uuid::Uuid::now_v7()),
            login: Some(("all".into(), self.token.clone())),
            will: Some(Will { topic: "a".into(), payload: "b".into() }),
        };
        Client::connect(&options).await.unwrap()
    }
}

fn meter(device: &str, profile: Option<Arc<Profile>>) -> Meter {
    Meter {
        id: MeterId::from_uuid(uuid::Uuid::nil()),
        address: crate::MeterAddress::Device(device.parse::<DeviceName>().unwrap()),
        profile,
        serial: None,
        origin: Origin::Live,
    }
}

fn climate() -> Option<Arc<Profile>> {
    Profiles::embedded().get("zigbee2mqtt.climate")
}

async fn say(sensor: &mut Client, topic: &str, payload: &str, retain: bool) {
    sensor.publish(topic, payload, retain);
    let taken = async { while sensor.next().await.unwrap() != Event::AllTaken {} };
    time::timeout(SOON, taken).await.expect("the broker takes it");
}

/// Until it has asked for everything, and is given it.
async fn settle(ear: &mut MqttEar, running: &Running) {
    let mut sensor = running.sensor().await;
    let settled = async {
        loop {
            sensor.publish("zigbee2mqtt/marker", "{\"temperature\":1}", false);
            let heard = tokio::select! {
                heard = ear.hear(&Noon) => heard,
                () = async { while sensor.next().await.is_ok() {} } => continue,
                () = time::sleep(Duration::from_millis(50)) => continue,
            };
            if told(&heard) == MARKER {
                return;
            }
        }
    };
    time::timeout(SOON, settled).await.expect("the marker is heard");
    sensor.goodbye().await;
}

const MARKER: &str = "stranger marker";

async fn hear(ear: &mut MqttEar) -> String {
    loop {
        let heard = time::timeout(SOON, ear.hear(&Noon)).await.expect("something is heard");
        let told = told(&heard);
        if told != MARKER {
            return told;
        }
    }
}

fn told(heard: &Heard) -> String {
    match heard {
        Heard::Meter { index, readout, .. } => {
            let shown = readout.readings.iter().map(|it| {
                let value = it.value.map_or_else(|it| it.as_str().into(), Quantity::decimal);
                format!(" {} {value} {}", it.register, it.at.wall.format("%H:%M"))
            });
            format!("{index}:{}", shown.collect::<Vec<_>>().join(","))
        }
        Heard::Stranger(stranger) => format!("stranger {}", stranger.name),
        Heard::Trouble(Plaint { index, error: ReadError::Port { cause, .. } }) => {
            format!("trouble {index:?} {cause:?}")
        }
        Heard::Trouble(Plaint { index, error: ReadError::Quiet { .. } }) => {
            format!("quiet {index:?}")
        }
        Heard::Trouble(Plaint { index, .. }) => format!("trouble {index:?}"),
        Heard::Noise => "noise".into(),
        Heard::Well => "well".into(),
    }
}

/// An ear that listens for everything already.
async fn listening(running: &Running, meters: Vec<Meter>) -> (MqttEar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let profiles = Arc::new(Profiles::embedded());
    let mut ear = MqttEar::open(running.settings(&folder), meters, profiles);
    assert_eq!(hear(&mut ear).await, "well");
    settle(&mut ear, running).await;
    (ear, folder)
}

#[tokio::test]
async fn a_sensor_is_heard_by_its_profile_and_another_is_a_stranger() {
    let running = Running::start().await;
    let mut sensor = running.sensor().await;
    // What the broker kept: of an unknown time, of half past eleven, and of the day before.
    say(&mut sensor, "zigbee2mqtt/unknown", "{\"temperature\":1}", true).await;
    let seen = |at: &str| format!("{{\"temperature\":21.5,\"last_seen\":\"{at}\"}}");
    say(&mut sensor, "zigbee2mqtt/old", &seen("2026-11-21T10:00:00Z"), true).await;
    say(&mut sensor, "zigbee2mqtt/kept", &seen("2026-11-22T12:30:00+01:00"), true).await;
    let names = ["kitchen", "unknown", "old", "kept"];
    let meters = names.map(|name| meter(name, climate())).to_vec();
    let folder = tempfile::tempdir().unwrap();
    let profiles = Arc::new(Profiles::embedded());
    let mut ear = MqttEar::open(running.settings(&folder), meters, profiles);
    assert_eq!(hear(&mut ear).await, "well");
    assert_eq!(hear(&mut ear).await, "3: temperature_room 21.50 11:30");
    settle(&mut ear, &running).await;
    assert!(ear.holds(3) && !ear.holds(0) && !ear.holds(1) && !ear.holds(2));

    for garbage in ["", "{", "\u{fffd}", "[[[[[", "{\"temperature\":}"] {
        say(&mut sensor, "zigbee2mqtt/kitchen", garbage, false).await;
    }
    say(&mut sensor, "zigbee2mqtt/hall", "{\"temperature\":19}", false).await;
    let payload = "{\"temperature\":21.899999618530273,\"battery\":86,\"linkquality\":97}";
    say(&mut sensor, "zigbee2mqtt/kitchen", payload, false).await;
    say(&mut sensor, "zigbee2mqtt/kitchen", "{\"temperature\":1e300,\"humidity\":40}", false).await;
    assert_eq!(hear(&mut ear).await, "stranger hall");
    let told = "0: temperature_room 21.90 12:00, battery 86 12:00, link_quality 97 12:00";
    assert_eq!(hear(&mut ear).await, told);
    let told = "0: temperature_room too_large 12:00, humidity_room 40.00 12:00";
    assert_eq!(hear(&mut ear).await, told);
    // A sensor whose clock is an hour ahead has measured now.
    let payload = seen("2026-11-22T13:00:00Z");
    say(&mut sensor, "zigbee2mqtt/kitchen", &payload, false).await;
    assert_eq!(hear(&mut ear).await, "0: temperature_room 21.50 12:00");

    let there = "zigbee2mqtt/kitchen/availability";
    say(&mut sensor, there, "{\"state\":\"offline\"}", true).await;
    assert_eq!(hear(&mut ear).await, "quiet Some(0)");
    assert!(!ear.holds(0));
    running.shutdown.cancel();
    assert_eq!(hear(&mut ear).await, "trouble None Lost(None)");
}

#[tokio::test]
async fn a_sensor_that_announces_itself_needs_no_profile() {
    let running = Running::start().await;
    let mut sensor = running.sensor().await;
    let config = "{\"stat_t\":\"esp/kjeller/t\",\"dev_cla\":\"temperature\",\"unit_of_meas\":\"°C\",\
                  \"dev\":{\"ids\":[\"a1b2\"],\"name\":\"kjeller\"}}";
    let (mut ear, _folder) = listening(&running, vec![meter("kjeller", None)]).await;
    say(&mut sensor, "homeassistant/sensor/esp/t/config", config, true).await;
    // The broker may have been asked for it only after the first of these.
    let heard = async {
        loop {
            say(&mut sensor, "esp/kjeller/t", "12.3", false).await;
            if let Ok(heard) = time::timeout(Duration::from_millis(50), ear.hear(&Noon)).await
                && let Heard::Meter { readout, .. } = heard
            {
                break readout;
            }
        }
    };
    let readout = time::timeout(SOON, heard).await.unwrap();
    assert_eq!(readout.readings[0].value.unwrap().decimal(), "12.30");
    assert_eq!(readout.profile, None);
    running.shutdown.cancel();
}

#[tokio::test]
async fn what_is_not_said_again_in_its_time_holds_no_more() {
    const PROFILE: &str = r#"
schema = 1
id = "example.short"
vendor = "Example"
models = ["S1"]
medium = "climate"
status = "document"
source = "its manual"
[[register]]
key = "temperature_room"
quantity = "temperature"
role = "room"
unit = "C"
kind = "gauge"
decimals = 1
mqtt = { topic = "s/{device}/t", expire_after = "1s" }
[[register]]
key = "battery"
quantity = "battery"
unit = "%"
kind = "gauge"
decimals = 0
mqtt = { topic = "s/{device}/b", expire_after = "2s" }
[[vector]]
device = "x"
message = [{ topic = "s/x/t", payload = "1" }]
expect = { temperature_room = "1.0" }
"#;
    let running = Running::start().await;
    let mut sensor = running.sensor().await;
    let profile = Some(Arc::new(Profile::parse(PROFILE).unwrap()));
    let (mut ear, _folder) = listening(&running, vec![meter("x", profile)]).await;
    say(&mut sensor, "s/x/t", "21.5", false).await;
    say(&mut sensor, "s/x/b", "50", false).await;
    assert_eq!(hear(&mut ear).await, "0: temperature_room 21.5 12:00");
    assert_eq!(hear(&mut ear).await, "0: battery 50 12:00");
    assert!(ear.holds(0));
    // Together, on a machine that was busy for a second.
    let next = hear(&mut ear).await;
    if next != "quiet Some(0)" {
        assert_eq!(next, "0: temperature_room silent 12:00");
        assert_eq!(hear(&mut ear).await, "quiet Some(0)");
    }
    assert!(!ear.holds(0));
    running.shutdown.cancel();
}

#[tokio::test]
async fn a_broker_that_is_gone_is_told_once_and_one_that_is_back_is_heard() {
    let mut running = Running::start().await;
    let (mut ear, _folder) = listening(&running, vec![meter("kitchen", climate())]).await;
    running.shutdown.cancel();
    assert_eq!(hear(&mut ear).await, "trouble None Lost(None)");
    running.again().await;
    assert_eq!(hear(&mut ear).await, "well", "nothing is told twice");
    settle(&mut ear, &running).await;
    let mut sensor = running.sensor().await;
    say(&mut sensor, "zigbee2mqtt/kitchen", "{\"temperature\":20}", false).await;
    assert_eq!(hear(&mut ear).await, "0: temperature_room 20.00 12:00");
    running.shutdown.cancel();
}

#[tokio::test]
async fn who_only_announces_itself_is_a_stranger_after_a_restart_of_the_broker_too() {
    let mut running = Running::start().await;
    let (mut ear, _folder) = listening(&running, vec![]).await;
    let mut sensor = running.sensor().await;
    let config = "{\"stat_t\":\"esp/loft\",\"dev_cla\":\"temperature\",\"unit_of_meas\":\"°C\"}";
    say(&mut sensor, "homeassistant/sensor/loft/config", config, false).await;
    for start in 0..2 {
        let heard = async {
            loop {
                say(&mut sensor, "esp/loft", "12.3", false).await;
                if let Ok(heard) = time::timeout(Duration::from_millis(50), ear.hear(&Noon)).await
                    && told(&heard) == "stranger loft"
                {
                    return;
                }
            }
        };
        time::timeout(SOON, heard).await.expect("it is heard");
        running.shutdown.cancel();
        if start == 0 {
            while hear(&mut ear).await != "trouble None Lost(None)" {}
            running.again().await;
            assert_eq!(hear(&mut ear).await, "well");
            settle(&mut ear, &running).await;
            sensor = running.sensor().await;
        }
    }
    ear.subscribed = (0..MOST_SUBSCRIBED).map(|it| it.to_string()).collect();
    ear.subscribe(BTreeSet::from(["one/more".to_owned()]));
    assert_eq!(ear.subscribed.len(), MOST_SUBSCRIBED, "and what is beyond the bound is left aside");
}

#[tokio::test]
async fn a_wrong_password_and_one_that_cannot_be_read_are_told() {
    let running = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let right = running.settings(&folder);
    let other = folder.path().join("other");
    std::fs::write(&other, "wrong").unwrap();
    for (file, told) in [(other, "trouble None Login"), ("/none".into(), "trouble None NoPassword")]
    {
        let settings = MqttSettings { password_file: Some(file), ..right.clone() };
        let mut ear = MqttEar::open(settings, vec![], Arc::new(Profiles::embedded()));
        let heard = hear(&mut ear).await;
        assert!(heard.starts_with(told), "{heard}");
    }
    running.shutdown.cancel();
}
