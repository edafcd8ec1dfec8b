//! What sensors announce of themselves, as Home Assistant wants it: "MQTT discovery".
//!
//! ```text
//! homeassistant/sensor/NODE/OBJECT/config     retained
//! {"name":"Temperature","unit_of_measurement":"°C","device_class":"temperature",
//!  "state_topic":"zigbee2mqtt/kitchen","value_template":"{{ value_json.temperature }}",
//!  "device":{"identifiers":["zigbee2mqtt_0x00158d0001a2b3c4"],"name":"kitchen"}}
//! ```
//!
//! What a device announces becomes a profile, in the words of any other: so there is one way from
//! a message to a register. A template that is more than a path is left aside, because its
//! language is a whole one; so is what is neither a sensor nor of a quantity that we know. Of the
//! sensors that know two states (`binary_sensor`) doors and windows, leaks and batteries are taken.
//!
//! **Never true:** what a Fyrhus announces is taken for a sensor. It tells values of meters that are read
//! already, and a sensor of the same name would be told its own as new ones, which are announced again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Profile;

/// What was announced, by the topic of the announcement.
#[derive(Debug, Default)]
pub(super) struct Announcements(BTreeMap<String, Announced>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Announced {
    /// What the device is called: its identifiers, its name, its node.
    names: BTreeSet<String>,
    /// What tells this entity from others of the device.
    object: String,
    quantity: &'static str,
    /// What tells it from others of the quantity, for one that knows two states.
    role: Option<&'static str>,
    shows: Shows,
    topic: String,
    pointer: Option<String>,
    expire_secs: Option<u64>,
    availability: Option<Availability>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shows {
    Amount {
        unit: String,
        decimals: u8,
        is_counter: bool,
    },
    /// The words for one and for zero.
    State {
        one: String,
        zero: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Availability {
    topic: String,
    pointer: Option<String>,
    online: String,
    offline: String,
}

/// What stands for the device's name in a profile that was announced.
pub(super) const NAMELESS: &str = "";

/// Where announcements come.
pub(super) const FILTERS: [&str; 4] = [
    "homeassistant/sensor/+/config",
    "homeassistant/sensor/+/+/config",
    "homeassistant/binary_sensor/+/config",
    "homeassistant/binary_sensor/+/+/config",
];

/// A building has some hundred devices with ten entities each; what is beyond is left aside.
const MOST: usize = 5_000;

/// Longer ones have lists of options, which a sensor has not.
const MOST_PAYLOAD: usize = 16_384;

impl Announcements {
    /// Takes an announcement; true if it is a new or another one than before.
    pub(super) fn take(&mut self, topic: &str, payload: &[u8]) -> bool {
        let Some(place) = place(topic) else { return false };
        let announced = (payload.len() <= MOST_PAYLOAD)
            .then(|| serde_json::from_slice(payload).ok())
            .flatten()
            .and_then(|config| Announced::of(config, place));
        match announced {
            None => self.0.remove(topic).is_some(),
            Some(announced) if self.0.get(topic) == Some(&announced) => false,
            Some(_) if self.0.len() >= MOST && !self.0.contains_key(topic) => false,
            Some(announced) => {
                self.0.insert(topic.to_owned(), announced);
                true
            }
        }
    }

    /// The profile of what is called `device`, to be asked with [`NAMELESS`]; `None` if it has announced nothing that we know.
    pub(super) fn profile(&self, device: &str) -> Option<Arc<Profile>> {
        let own: Vec<&Announced> = self.0.values().filter(|it| it.names.contains(device)).collect();
        let mut registers = BTreeMap::new();
        for announced in &own {
            let alike =
                |it: &&&Announced| (it.quantity, it.role) == (announced.quantity, announced.role);
            let is_alone = own.iter().filter(alike).count() == 1;
            registers.entry(announced.key(is_alone)).or_insert(announced);
        }
        let text = profile(&registers)?;
        Profile::parse(&text).ok().map(Arc::new)
    }

    /// The names of the devices that announce something on `topic`.
    pub(super) fn devices_at(&self, topic: &str) -> impl Iterator<Item = &str> {
        let at = self.0.values().filter(move |it| it.topic == topic);
        at.filter_map(|it| it.names.iter().next().map(String::as_str))
    }

    /// Every topic on which something is announced to come.
    pub(super) fn topics(&self) -> BTreeSet<String> {
        self.0.values().map(|it| it.topic.clone()).collect()
    }
}

/// Where an announcement stands.
#[derive(Clone, Copy)]
struct Place<'t> {
    node: &'t str,
    object: &'t str,
    knows_two_states: bool,
}

fn place(topic: &str) -> Option<Place<'_>> {
    let (component, path) = topic.strip_prefix("homeassistant/")?.split_once('/')?;
    let knows_two_states = match component {
        "sensor" => false,
        "binary_sensor" => true,
        _ => return None,
    };
    let path = path.strip_suffix("/config")?;
    let (node, object) = path.split_once('/').unwrap_or((path, path));
    // As a gateway announces a meter: see its own `[[publish]]`.
    if node.strip_prefix("fyrhus_").is_some_and(|meter| Uuid::try_parse(meter).is_ok()) {
        return None;
    }
    Some(Place { node, object, knows_two_states })
}

impl Announced {
    fn of(config: Value, place: Place<'_>) -> Option<Self> {
        let Value::Object(config) = config else { return None };
        let config = Config(config);
        let base = config.text("~", "~").unwrap_or_default();
        let full = |topic: String| match (topic.strip_prefix('~'), topic.strip_suffix('~')) {
            (Some(rest), _) => format!("{base}{rest}"),
            (None, Some(rest)) => format!("{rest}{base}"),
            (None, None) => topic,
        };
        let class = config.text("device_class", "dev_cla")?;
        let (quantity, role, shows) = if place.knows_two_states {
            state(&class, &config)?
        } else {
            let unit = config.text("unit_of_measurement", "unit_of_meas")?;
            let (quantity, unit, decimals) = known(&class, &unit)?;
            let state_class = config.text("state_class", "stat_cla").unwrap_or_default();
            let is_counter = state_class.starts_with("total");
            (quantity, None, Shows::Amount { unit: unit.to_owned(), decimals, is_counter })
        };
        let pointer = match config.text("value_template", "val_tpl") {
            None => None,
            Some(template) => path(&template)?,
        };
        let device = config.0.get("device").or_else(|| config.0.get("dev"));
        let device = device.and_then(Value::as_object).cloned().map(Config);
        let mut names = BTreeSet::from([place.node.to_owned()]);
        if let Some(device) = &device {
            names.extend(device.texts("identifiers", "ids"));
            names.extend(device.text("name", "name"));
        }
        let expire = config.0.get("expire_after").or_else(|| config.0.get("exp_aft"));
        Some(Self {
            names,
            object: place.object.to_owned(),
            quantity,
            role,
            shows,
            topic: Some(full(config.text("state_topic", "stat_t")?)).filter(|it| is_topic(it))?,
            pointer,
            expire_secs: expire.and_then(Value::as_u64).filter(|it| *it > 0),
            availability: config.availability(&full),
        })
    }

    /// The register's canonical text. Two of one quantity are told apart by their objects.
    fn key(&self, is_alone: bool) -> String {
        let is_placed = matches!(self.quantity, "temperature" | "humidity" | "co2");
        if let (true, Some(role)) = (is_alone, self.role) {
            return format!("{}_{role}", self.quantity);
        }
        if is_alone {
            return if is_placed {
                format!("{}_room", self.quantity)
            } else {
                self.quantity.into()
            };
        }
        let word = |letter: char| match letter.to_ascii_lowercase() {
            it @ ('a'..='z' | '0'..='9') => it,
            _ => '_',
        };
        let object: String = self.object.chars().map(word).take(60).collect();
        let object: Vec<&str> = object.split('_').filter(|it| !it.is_empty()).collect();
        format!("{}_at_{}", self.quantity, object.join("_"))
    }
}

/// An announcement's keys, long or short.
struct Config(Map<String, Value>);

impl Config {
    fn text(&self, long: &str, short: &str) -> Option<String> {
        let value = self.0.get(long).or_else(|| self.0.get(short))?;
        value.as_str().filter(|text| text.len() <= 512).map(str::to_owned)
    }

    /// A word, which may be written as JSON's own `true`, or as a number.
    fn word(&self, long: &str, short: &str) -> Option<String> {
        let value = self.0.get(long).or_else(|| self.0.get(short))?;
        let word = match value {
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            other => other.as_str()?.to_owned(),
        };
        (word.len() <= 64).then_some(word)
    }

    fn texts(&self, long: &str, short: &str) -> Vec<String> {
        match self.0.get(long).or_else(|| self.0.get(short)) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(texts)) => {
                texts.iter().filter_map(Value::as_str).take(8).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The device's own availability: of a list, the last, because the first is that of a bridge.
    fn availability(&self, full: &impl Fn(String) -> String) -> Option<Availability> {
        let list = self.0.get("availability").or_else(|| self.0.get("avty"));
        let last = list.and_then(Value::as_array).and_then(|list| list.last()?.as_object());
        let (config, topic) = match last.cloned().map(Self) {
            Some(last) => {
                let topic = last.text("topic", "t")?;
                (last, topic)
            }
            None => (Self(self.0.clone()), self.text("availability_topic", "avty_t")?),
        };
        let template = config
            .text("value_template", "val_tpl")
            .filter(|_| last.is_some())
            .or_else(|| config.text("availability_template", "avty_tpl"));
        let pointer = match template {
            None => None,
            Some(template) => path(&template)?,
        };
        let text =
            |long, short, else_| config.text(long, short).unwrap_or_else(|| String::from(else_));
        Some(Availability {
            topic: Some(full(topic)).filter(|it| is_topic(it))?,
            pointer,
            online: text("payload_available", "pl_avail", "online"),
            offline: text("payload_not_available", "pl_not_avail", "offline"),
        })
    }
}

/// Whether a message can be said on it. One that is none would end the connection, and a pattern
/// would subscribe to what others say.
fn is_topic(text: &str) -> bool {
    (1..=512).contains(&text.len()) && !text.contains(['+', '#', '\0'])
}

/// Quantity, unit and decimals of a class of Home Assistant; `None` of one that we do not take.
fn known(class: &str, unit: &str) -> Option<(&'static str, &'static str, u8)> {
    Some(match (class, unit) {
        ("temperature", "°C") => ("temperature", "C", 2),
        ("humidity", "%") => ("humidity", "%", 2),
        ("carbon_dioxide", "ppm") => ("co2", "ppm", 0),
        ("atmospheric_pressure" | "pressure", "hPa" | "mbar") => ("pressure", "mbar", 1),
        ("illuminance", "lx") => ("illuminance", "lx", 0),
        ("battery", "%") => ("battery", "%", 0),
        ("signal_strength", "dBm") => ("signal", "dBm", 0),
        ("energy", "kWh") => ("energy", "kWh", 3),
        ("energy", "Wh") => ("energy", "Wh", 1),
        ("energy", "MWh") => ("energy", "MWh", 6),
        ("power", "W") => ("power", "W", 1),
        ("power", "kW") => ("power", "kW", 3),
        ("voltage", "V") => ("voltage", "V", 1),
        ("current", "A") => ("current", "A", 3),
        ("frequency", "Hz") => ("frequency", "Hz", 2),
        ("water" | "gas" | "volume", "m³") => ("volume", "m3", 3),
        _ => return None,
    })
}

/// Quantity, role and words of a class that knows two states. A contact is one while it is closed,
/// which Home Assistant calls off.
fn state(class: &str, config: &Config) -> Option<(&'static str, Option<&'static str>, Shows)> {
    let on = config.word("payload_on", "pl_on").unwrap_or_else(|| "ON".to_owned());
    let off = config.word("payload_off", "pl_off").unwrap_or_else(|| "OFF".to_owned());
    if on == off {
        return None;
    }
    Some(match class {
        "door" | "garage_door" | "opening" | "window" => {
            ("contact", None, Shows::State { one: off, zero: on })
        }
        "moisture" => ("alarm", Some("leak"), Shows::State { one: on, zero: off }),
        "battery" => ("alarm", Some("battery_low"), Shows::State { one: on, zero: off }),
        _ => return None,
    })
}

/// The JSON pointer of a template that is a path and nothing else. The outer `None` is for others,
/// the inner for the whole payload.
#[expect(clippy::option_option, reason = "not a path, the empty path, and a path")]
fn path(template: &str) -> Option<Option<String>> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let mut parts = inner.split('|').map(str::trim);
    let path = parts.next()?;
    // These change no number that is one.
    if !parts.all(|filter| matches!(filter, "float" | "int" | "is_defined")) {
        return None;
    }
    let Some(mut rest) = path.strip_prefix("value_json") else {
        return (path == "value").then_some(None);
    };
    let mut pointer = String::new();
    while !rest.is_empty() {
        let step;
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            (step, rest) = name.split_at_checked(end)?;
            if step.is_empty() || !step.chars().all(|it| it.is_alphanumeric() || it == '_') {
                return None;
            }
        } else {
            let name = rest.strip_prefix('[')?;
            let quote = name.chars().next()?;
            (step, rest) = match quote {
                '\'' | '"' => name.get(1..)?.split_once(quote)?,
                _ => {
                    let end = name.find(']')?;
                    name.split_at_checked(end).filter(|it| it.0.parse::<u16>().is_ok())?
                }
            };
            rest = rest.strip_prefix(']')?;
        }
        let escaped = step.replace('~', "~0").replace('/', "~1");
        write!(pointer, "/{escaped}").ok()?;
    }
    (!pointer.is_empty()).then_some(Some(pointer))
}

/// The topics of a profile have the device's name in them, and what is announced are whole topics:
/// it is read as what says a device without a name.
fn placed(topic: &str) -> String {
    format!("{{device}}{topic}")
}

/// A profile, as it would be written.
fn profile(registers: &BTreeMap<String, &&Announced>) -> Option<String> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let at = |topic: &str, pointer: Option<&String>| {
        let pointer = pointer.map(|it| format!(", pointer = {}", quoted(it)));
        format!("topic = {}{}", quoted(&placed(topic)), pointer.unwrap_or_default())
    };
    let (first_key, first) = registers.first_key_value()?;
    let mut text = String::from(
        "schema = 1\nid = \"homeassistant.announced\"\nvendor = \"its own announcement\"\n\
         models = [\"announced\"]\nmedium = \"other\"\nstatus = \"community\"\n\
         source = \"Home Assistant, MQTT discovery\"\n",
    );
    if let Some(it) = registers.values().find_map(|it| it.availability.as_ref()) {
        let at = at(&it.topic, it.pointer.as_ref());
        let (online, offline) = (quoted(&it.online), quoted(&it.offline));
        let there = format!("{{ {at}, online = [{online}], offline = [{offline}] }}");
        write!(text, "[mqtt]\navailability = {there}\n").ok()?;
    }
    for (key, it) in registers {
        let register: metering::Register = key.parse().ok()?;
        let role = register.role.as_ref().map(|role| format!("role = \"{role}\"\n"));
        let (shown, values) = match &it.shows {
            Shows::Amount { unit, decimals, is_counter } => {
                let kind = if *is_counter { "counter" } else { "gauge" };
                let shown = format!("unit = \"{unit}\"\nkind = \"{kind}\"\ndecimals = {decimals}");
                (shown, String::new())
            }
            Shows::State { one, zero } => {
                let values = format!(", values = {{ {} = 1, {} = 0 }}", quoted(one), quoted(zero));
                ("kind = \"flag\"".to_owned(), values)
            }
        };
        let expire = it.expire_secs.unwrap_or(EXPIRE_SECS).clamp(1, 10 * EXPIRE_SECS);
        write!(
            text,
            "[[register]]\nkey = \"{key}\"\nquantity = \"{}\"\n{}{shown}\n\
             mqtt = {{ {}{values}, expire_after = \"{expire}s\" }}\n",
            register.quantity,
            role.unwrap_or_default(),
            at(&it.topic, it.pointer.as_ref()),
        )
        .ok()?;
    }
    // A profile proves itself by one; this one is proved by the tests below.
    let topic = quoted(&placed(&first.topic));
    let message = format!("{{ topic = {topic}, payload = \"null\" }}");
    let vector = format!("[[vector]]\ndevice = \"x\"\nmessage = [{message}]\n");
    writeln!(text, "{vector}expect = {{ {first_key} = \"invalid\" }}").ok()?;
    Some(text)
}

/// A sensor that runs on a battery says something once a day at least.
const EXPIRE_SECS: u64 = 25 * 3_600;

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};
    use metering::Quantity;

    use super::*;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let path = path(template).map(|it| it.unwrap_or_else(|| "all".to_owned()));
        assert_eq!(path.as_deref().unwrap_or("none"), expected, "{template}");
    }

    #[test]
    fn a_template_is_taken_if_it_is_a_path() {
        check("{{ value_json.temperature }}", "/temperature");
        check("{{value_json['ENERGY']['Total']}}", "/ENERGY/Total");
        check("{{ value_json[\"a/b~\"].c | float }}", "/a~1b~0/c");
        check("{{ value_json.list[0].x }}", "/list/0/x");
        check("{{ value }}", "all");
        check("{{ value | float }}", "all");
        for other in [
            "{{ value_json.a * 2 }}",
            "{{ value_json.a | default(0) }}",
            "{% if value_json.a %}1{% endif %}",
            "{{ value_json }}",
            "{{ value_json. }}",
            "{{ value_json[x] }}",
            "{{ value_json['a }}",
            "{{ states('sensor.a') }}",
            "21",
            "",
        ] {
            check(other, "none");
        }
    }

    const ZIGBEE: &str = r#"{"availability":[{"topic":"zigbee2mqtt/bridge/state",
        "value_template":"{{ value_json.state }}"},{"topic":"zigbee2mqtt/kjøkken/availability",
        "value_template":"{{ value_json.state }}"}],"device":{"identifiers":
        ["zigbee2mqtt_0x00158d0001a2b3c4"],"name":"kjøkken"},"device_class":"temperature",
        "state_class":"measurement","state_topic":"zigbee2mqtt/kjøkken","unit_of_measurement":"°C",
        "value_template":"{{ value_json.temperature }}"}"#;

    const TASMOTA: &str = r#"{"~":"tele/plug/","stat_t":"~SENSOR","dev_cla":"energy","unit_of_meas":"kWh",
        "stat_cla":"total_increasing","val_tpl":"{{value_json['ENERGY']['Total']}}","exp_aft":600,
        "avty_t":"~LWT","pl_avail":"Online","pl_not_avail":"Offline","dev":{"ids":"A1B2C3"}}"#;

    #[test]
    fn what_is_announced_is_a_profile() {
        let mut all = Announcements::default();
        assert!(
            all.take(
                "homeassistant/sensor/0x00158d0001a2b3c4/temperature/config",
                ZIGBEE.as_bytes()
            )
        );
        assert!(
            !all.take(
                "homeassistant/sensor/0x00158d0001a2b3c4/temperature/config",
                ZIGBEE.as_bytes()
            )
        );
        assert!(all.take("homeassistant/sensor/A1B2C3_total/config", TASMOTA.as_bytes()));
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        let value = |name: &str, topic: &str, payload: &str| {
            let profile = all.profile(name).expect("it is announced");
            let said = profile.hear_mqtt(NAMELESS, topic, payload.as_bytes(), now);
            said.iter()
                .map(|it| {
                    format!("{} {}", it.register, it.value.map_or("-".into(), Quantity::decimal))
                })
                .collect::<Vec<_>>()
                .join(", ")
        };
        for name in ["kjøkken", "zigbee2mqtt_0x00158d0001a2b3c4", "0x00158d0001a2b3c4"] {
            let said = value(name, "zigbee2mqtt/kjøkken", "{\"temperature\":21.504}");
            assert_eq!(said, "temperature_room 21.50");
        }
        let said = value("A1B2C3", "tele/plug/SENSOR", "{\"ENERGY\":{\"Total\":12.3456}}");
        assert_eq!(said, "energy 12.346");
        let plug = all.profile("A1B2C3").unwrap();
        assert_eq!(plug.mqtt_available(NAMELESS, "tele/plug/LWT", b"Offline"), Some(false));
        let kitchen = all.profile("kjøkken").unwrap();
        let topic = "zigbee2mqtt/kjøkken/availability";
        assert_eq!(kitchen.mqtt_available(NAMELESS, topic, b"{\"state\":\"online\"}"), Some(true));
        assert!(all.take("homeassistant/sensor/A1B2C3_total/config", b""));
        assert!(all.profile("A1B2C3").is_none(), "it takes its announcement back");
    }

    #[test]
    fn doors_leaks_and_batteries_know_two_states() {
        let mut all = Announcements::default();
        let mut announce = |object: &str, more: &str| {
            let config = format!(
                "{{\"state_topic\":\"z/door\",\"device\":{{\"name\":\"door\"}},\"value_template\":\"\
                 {{{{ value_json.{object} }}}}\",{more}}}"
            );
            let topic = format!("homeassistant/binary_sensor/0x1/{object}/config");
            all.take(&topic, config.as_bytes())
        };
        assert!(announce(
            "contact",
            "\"device_class\":\"door\",\"payload_on\":false,\"payload_off\":true"
        ));
        assert!(announce("water_leak", "\"dev_cla\":\"moisture\",\"pl_on\":true,\"pl_off\":false"));
        assert!(announce("battery_low", "\"device_class\":\"battery\""));
        assert!(!announce("a", "\"device_class\":\"motion\""));
        assert!(!announce("b", "\"device_class\":\"door\",\"payload_on\":1,\"payload_off\":1"));

        let door = all.profile("door").expect("it is announced");
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        let said = |payload: &str| {
            let said = door.hear_mqtt(NAMELESS, "z/door", payload.as_bytes(), now);
            let shown = said.iter().map(|it| {
                let value = it.value.map_or_else(|it| it.as_str().to_owned(), Quantity::decimal);
                format!("{} {value}", it.register)
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        let open = "{\"contact\":false,\"water_leak\":true,\"battery_low\":\"OFF\"}";
        assert_eq!(said(open), "alarm_battery_low 0, alarm_leak 1, contact 0");
        assert_eq!(said("{\"contact\":true}"), "contact 1");
        assert_eq!(said("{\"battery_low\":\"ON\"}"), "alarm_battery_low 1");
        assert_eq!(said("{\"battery_low\":\"perhaps\"}"), "alarm_battery_low invalid");
    }

    #[test]
    fn two_of_one_quantity_are_told_apart() {
        let mut all = Announcements::default();
        for (object, pointer) in [("supply-T", "a"), ("return T", "b")] {
            let config = format!(
                "{{\"state_topic\":\"h\",\"device_class\":\"temperature\",\"unit_of_measurement\":\"°C\",\
                 \"value_template\":\"{{{{ value_json.{pointer} }}}}\",\"device\":{{\"name\":\"heat\"}}}}"
            );
            assert!(
                all.take(&format!("homeassistant/sensor/n/{object}/config"), config.as_bytes())
            );
        }
        let profile = all.profile("heat").expect("both are known");
        let keys: Vec<_> = profile.registers().map(|it| it.register.to_string()).collect();
        assert_eq!(keys, ["temperature_at_return_t", "temperature_at_supply_t"]);
    }

    #[test]
    fn what_a_gateway_announces_is_no_sensor() {
        let mut all = Announcements::default();
        let config =
            ZIGBEE.replace("zigbee2mqtt/kjøkken", "fyrhus/019a8f3e/value/temperature_room");
        let node = "fyrhus_019a8f3e7c527b3e9d410c2f6a1b8e77";
        let topic = |node| format!("homeassistant/sensor/{node}/temperature_room/config");
        assert!(!all.take(&topic(node), config.as_bytes()));
        assert!(all.profile("kjøkken").is_none() && all.topics().is_empty());
        assert!(all.take(&topic("fyrhus_attic"), ZIGBEE.as_bytes()), "that is somebody else's");
    }

    #[test]
    fn what_we_do_not_know_is_left_aside() {
        let mut all = Announcements::default();
        let topic = "homeassistant/sensor/a/config";
        for other in [
            "",
            "{}",
            "[]",
            "{\"state_topic\":\"a\"}",
            "{\"state_topic\":\"a\",\"device_class\":\"temperature\",\"unit_of_measurement\":\"°F\"}",
            "{\"state_topic\":\"a\",\"device_class\":\"power\",\"unit_of_measurement\":\"W\",\"value_template\":\"{{ value_json.a * 2 }}\"}",
        ] {
            assert!(!all.take(topic, other.as_bytes()), "{other}");
        }
        for topic_of_it in ["", "#", "a/+/b", "a\\u0000b", &"a".repeat(513)] {
            let config = format!(
                "{{\"state_topic\":\"{topic_of_it}\",\"device_class\":\"power\",\"unit_of_measurement\":\"W\"}}"
            );
            assert!(!all.take(topic, config.as_bytes()), "{config}");
            let config =
                config.replace("state_topic", "avty_t").replace("{\"", "{\"stat_t\":\"a\",\"");
            let mut all = Announcements::default();
            assert!(all.take(topic, config.as_bytes()), "{config}");
            assert_eq!(all.0.values().next().and_then(|it| it.availability.as_ref()), None);
        }
        assert!(!all.take("homeassistant/switch/a/config", TASMOTA.as_bytes()));
        assert!(all.profile("a").is_none());
    }
}
