//! Messages as the sensors' makers document them, and what comes out of them.

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

const PROFILE: &str = r#"
schema = 1
id = "example.sensor"
vendor = "Example"
models = ["S1"]
medium = "climate"
status = "document"
source = "its manual"

[mqtt]
availability = { topic = "home/{device}/there", online = ["online", "true"], offline = ["offline"] }

[[register]]
key = "temperature_room"
quantity = "temperature"
role = "room"
unit = "C"
kind = "gauge"
decimals = 2
invalid = { raw = ["-127"] }
plausible = { min = -20, max = 60 }
[[register.mqtt]]
topic = "home/{device}"
pointer = "/climate/0/temperature"
time_pointer = "/last_seen"
expire_after = "2h"
[[register.mqtt]]
topic = "home/{device}/plain"
[[register.mqtt]]
topic = "home/{device}/senml"
senml = { name = "urn:{device}:temp", unit = "Cel" }

[[register]]
key = "humidity_room"
quantity = "humidity"
role = "room"
unit = "%"
kind = "gauge"
decimals = 0
[register.mqtt]
topic = "home/{device}/senml"
senml = { name = "humidity", unit = "%RH" }

[[register]]
key = "energy"
quantity = "energy"
unit = "Wh"
kind = "counter"
decimals = 1
[register.mqtt]
topic = "home/{device}/energy"
divisor = 60

[[register]]
key = "contact"
quantity = "contact"
kind = "flag"
[register.mqtt]
topic = "home/{device}"
pointer = "/contact"

[[register]]
key = "relay"
quantity = "relay"
kind = "flag"
[register.mqtt]
topic = "home/{device}"
pointer = "/state~1now"
values = { ON = 1, OFF = 0 }

[[vector]]
device = "a/b"
message = [
  { topic = "home/a/b", payload = '{"climate":[{"temperature":20.0}]}' },
  { topic = "home/a/b", payload = '{"climate":[{"temperature":21.504}],"contact":true}' },
  { topic = "home/a/b/energy", payload = "90" },
]
expect = { temperature_room = "21.50", contact = "1", energy = "1.5" }
"#;

fn profile() -> Profile {
    Profile::parse(PROFILE).unwrap()
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

/// `expected` is each register with its value, its quality if it is not good, and its time.
#[track_caller]
fn check(topic: &str, payload: &str, expected: &str) {
    let said = profile().hear_mqtt("x", topic, payload.as_bytes(), noon());
    let shown = said.iter().map(|it| {
        let value = it.value.map_or_else(|reason| reason.as_str().to_owned(), Quantity::decimal);
        let quality = if it.quality == Quality::Good { "" } else { it.quality.as_str() };
        let at = it.at.map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default();
        format!("{} {value} {quality} {at}", it.register)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(shown.collect::<Vec<_>>().join(", "), expected, "{payload}");
}

#[test]
fn the_profile_does_what_its_vector_says() {
    assert_eq!(super::super::vector::failures(&profile(), |_| None), []);
    assert_eq!(profile().wires(), ["MQTT"]);
}

#[test]
fn a_value_is_where_its_pointer_says() {
    let at = |json: &str| format!("{{\"climate\":[{{\"temperature\":{json}}}]}}");
    check("home/x", &at("27.34"), "temperature_room 27.34");
    check("home/x", &at("\"27.34\""), "temperature_room 27.34");
    check("home/x", &at("2.7e1"), "temperature_room 27.00");
    check("home/x", &at("21.899999618530273"), "temperature_room 21.90");
    check("home/x", &at("null"), "temperature_room invalid");
    check("home/x", &at("\"unavailable\""), "temperature_room invalid");
    check("home/x", &at("true"), "temperature_room invalid");
    check("home/x", &at("{}"), "temperature_room invalid");
    check("home/x", &at("-127"), "temperature_room invalid");
    check("home/x", &at("-127.0"), "temperature_room invalid");
    check("home/x", &at("85"), "temperature_room 85.00 implausible");
    check("home/x", &at("1e300"), "temperature_room too_large");
    check("home/x", "{\"contact\":false,\"state/now\":\"ON\"}", "contact 0, relay 1");
    check("home/x", "{\"state/now\":\"on\"}", "relay invalid");
    check("home/x/plain", "21.5", "temperature_room 21.50");
    check("home/x/plain", " 21.5\n", "temperature_room 21.50");
    check("home/x/plain", "nan", "temperature_room invalid");
    check("home/x/energy", "123456", "energy 2057.6");
}

#[test]
fn what_is_not_in_a_message_is_not_made_up() {
    for payload in
        ["{}", "[]", "", "{", "{\"climate\":[]}", "{\"climate\":{\"0\":1}}", "21", "\"\""]
    {
        check("home/x", payload, "");
    }
    check("home/y", "{\"contact\":true}", "");
    check("home/x/more", "{\"contact\":true}", "");
    let long = format!("{{\"contact\":true,\"pad\":\"{}\"}}", "x".repeat(MOST_PAYLOAD));
    check("home/x", &long, "");
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    check("home/x", &deep, "");
}

#[test]
fn a_time_is_taken_where_it_has_a_zone() {
    let seen = |json: &str| format!("{{\"climate\":[{{\"temperature\":1}}],\"last_seen\":{json}}}");
    let told = "temperature_room 1.00 2026-11-22T11:59:30";
    check("home/x", &seen("\"2026-11-22T12:59:30+01:00\""), told);
    check("home/x", &seen("\"2026-11-22T11:59:30.123Z\""), told);
    check("home/x", &seen("1795348770"), told);
    check("home/x", &seen("1795348770.9"), told);
    check("home/x", &seen("1795348770123"), told);
    check("home/x", &seen("\"2026-11-22T11:59:30\""), "temperature_room 1.00");
    check("home/x", &seen("0"), "temperature_room 1.00");
    check("home/x", &seen("null"), "temperature_room 1.00");
    check("home/x", &seen("1e99"), "temperature_room 1.00");
}

#[test]
fn a_senml_pack_is_resolved_before_it_is_read() {
    let topic = "home/x/senml";
    let now = "2026-11-22T12:00:00";
    let pack = r#"[{"bn":"urn:x:","bt":1795348770,"bu":"Cel","n":"temp","v":21.5},{"n":"hum","u":"%RH","v":40}]"#;
    check(topic, pack, "temperature_room 21.50 2026-11-22T11:59:30");
    check(
        topic,
        r#"[{"n":"urn:x:temp","u":"Cel","v":21.5}]"#,
        &format!("temperature_room 21.50 {now}"),
    );
    check(
        topic,
        r#"[{"n":"urn:x:temp","u":"Cel","v":21.5,"t":-30}]"#,
        "temperature_room 21.50 2026-11-22T11:59:30",
    );
    check(
        topic,
        r#"[{"bn":"urn:x:","bv":20,"bu":"Cel"},{"n":"temp","v":1.25}]"#,
        &format!("temperature_room 21.25 {now}"),
    );
    check(
        topic,
        r#"[{"bn":"urn:x:temp","u":"Cel","v":1},{"u":"Cel","v":2}]"#,
        &format!("temperature_room 2.00 {now}"),
    );
    check(
        topic,
        r#"[{"n":"urn:x:temp","u":"K","v":294}]"#,
        &format!("temperature_room invalid {now}"),
    );
    check(topic, r#"[{"n":"urn:x:temp","v":21}]"#, &format!("temperature_room invalid {now}"));
    check(topic, r#"[{"n":"urn:y:temp","u":"Cel","v":21}]"#, "");
    check(topic, r#"{"n":"urn:x:temp","u":"Cel","v":21}"#, "");
    check(
        topic,
        r#"[{"bn":"any:","n":"humidity","u":"%RH","v":40}]"#,
        &format!("humidity_room 40 {now}"),
    );
    check(topic, r#"[{"n":"humidity","u":"%RH","v":40}]"#, &format!("humidity_room 40 {now}"));
    check(topic, r#"[{"bn":"any:humidity","u":"%RH","v":40}]"#, "");
}

#[test]
fn a_sensor_comes_and_goes() {
    let profile = profile();
    let said = |payload: &[u8]| profile.mqtt_available("x", "home/x/there", payload);
    assert_eq!(said(b"online"), Some(true));
    assert_eq!(said(b"true"), Some(true));
    assert_eq!(said(b"offline"), Some(false));
    assert_eq!(said(b"perhaps"), None);
    assert_eq!(profile.mqtt_available("x", "home/x", b"online"), None);
}

#[test]
fn a_sensor_is_known_by_its_topics() {
    let profile = profile();
    let topics =
        ["home/a/b", "home/a/b/energy", "home/a/b/plain", "home/a/b/senml", "home/a/b/there"];
    assert_eq!(profile.mqtt_topics("a/b").iter().map(String::as_str).collect::<Vec<_>>(), topics);
    assert_eq!(profile.mqtt_device("home/kitchen"), Some("kitchen"));
    assert_eq!(profile.mqtt_device("home/"), None);
    assert_eq!(profile.mqtt_device("elsewhere/kitchen"), None);
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(payload in "[\\[\\]{}:,\"0-9a-z.eE~/ -]{0,80}") {
        for topic in ["home/x", "home/x/plain", "home/x/senml", "home/x/energy"] {
            let _ = profile().hear_mqtt("x", topic, payload.as_bytes(), noon());
        }
    }
}
