//! What sensors of each maker say.
//!
//! | Device | On | Says |
//! |---|---|---|
//! | Zigbee behind `Zigbee2MQTT` | `zigbee2mqtt/NAME` | `{"temperature":21.50,…}` |
//! | Shelly, first generation | `shellies/ID/relay/0/energy` | `123456`: watt-minutes |
//! | Shelly, second generation | `ID/events/rpc` | `{"method":"NotifyStatus","params":{…}}` |
//! | Tasmota | `tele/ID/SENSOR` | `{"ENERGY":{"Total":154.671,…}}` |
//! | `SenML` | `sensors/ID` | `[{"bt":…,"n":"temperature","u":"Cel","v":21.5},…]` |
//! | `ESPHome` and its kind | `sensors/ID/state` | what it has announced to Home Assistant |
//!
//! Sources: the documentation of `Zigbee2MQTT`, Shelly (both generations), Tasmota and Home
//! Assistant (MQTT discovery); RFC 8428.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::device::Device;
use crate::meter::Meter;
use crate::place::Measure;

/// A message.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) topic: String,
    pub(super) payload: String,
}

fn word(topic: String, payload: impl Into<String>) -> Word {
    Word { topic, payload: payload.into() }
}

/// What a sensor is called in its topics, as whoever reads it has to know.
pub(crate) fn name(meter: &Meter) -> String {
    let serial = meter.serial();
    match meter.plan.device {
        Device::ShellyPlug => format!("shellyplug-s-{serial:X}"),
        Device::ShellyPlus => format!("shellyplus1pm-{serial:x}"),
        Device::TasmotaPlug => format!("tasmota_{serial:X}"),
        Device::SenmlRoom => format!("sensors/{serial}"),
        _ => meter.plan.name.clone(),
    }
}

/// What a sensor has the broker keep: whether it is there, and what it is.
pub(super) fn there(meter: &Meter, is_there: bool) -> Vec<Word> {
    let name = name(meter);
    let either = |yes, no| if is_there { yes } else { no };
    match meter.plan.device {
        Device::ZigbeeRoom => {
            let state = json!({ "state": either("online", "offline") });
            vec![word(format!("zigbee2mqtt/{name}/availability"), state.to_string())]
        }
        Device::ShellyPlug => {
            vec![word(format!("shellies/{name}/online"), either("true", "false"))]
        }
        Device::ShellyPlus => vec![word(format!("{name}/online"), either("true", "false"))],
        Device::TasmotaPlug => vec![word(format!("tele/{name}/LWT"), either("Online", "Offline"))],
        Device::EspRoom => announced(meter, either("online", "offline")),
        _ => Vec::new(),
    }
}

fn announced(meter: &Meter, state: &str) -> Vec<Word> {
    let (name, serial) = (name(meter), meter.serial());
    let kinds = [
        ("temperature", "temperature", "°C"),
        ("humidity", "humidity", "%"),
        ("co2", "carbon_dioxide", "ppm"),
    ];
    let entity = |(key, class, unit): (&str, &str, &str)| {
        let config = json!({
            "~": format!("sensors/{serial}"),
            "name": key,
            "uniq_id": format!("{serial}_{key}"),
            "stat_t": "~/state",
            "val_tpl": format!("{{{{ value_json.{key} }}}}"),
            "dev_cla": class,
            "stat_cla": "measurement",
            "unit_of_meas": unit,
            "avty_t": "~/status",
            "dev": { "ids": [serial.to_string()], "name": name },
        });
        word(format!("homeassistant/sensor/{serial}/{key}/config"), config.to_string())
    };
    let mut words: Vec<Word> = kinds.into_iter().map(entity).collect();
    words.push(word(format!("sensors/{serial}/status"), state));
    words
}

/// What a sensor measures at `at`; said by a `stranger`, on another's topics.
pub(super) fn measured(meter: &Meter, at: DateTime<Utc>, stranger: bool) -> Vec<Word> {
    let name = if stranger { "stranger".to_owned() } else { name(meter) };
    let sight = meter.sight(at);
    let value = |measure| meter.shows(&sight, measure);
    let decimal = |measure| value(measure).map(metering::Quantity::decimal).unwrap_or_default();
    match meter.plan.device {
        Device::ShellyPlug => {
            // A tenth of a watt-hour is six watt-minutes.
            let minutes = value(Measure::Energy).map_or(0, |it| it.mantissa() * 6);
            let relay = format!("shellies/{name}/relay/0");
            vec![
                word(format!("{relay}/power"), decimal(Measure::Power)),
                word(format!("{relay}/energy"), minutes.to_string()),
                word(relay, "on"),
            ]
        }
        Device::ShellyPlus => {
            let (energy, power) = (decimal(Measure::Energy), decimal(Measure::Power));
            let status = format!(
                "{{\"src\":\"{name}\",\"dst\":\"{name}/events\",\"method\":\"NotifyStatus\",\
                 \"params\":{{\"ts\":{}.00,\"switch:0\":{{\"id\":0,\"output\":true,\
                 \"apower\":{power},\"aenergy\":{{\"total\":{energy}}}}}}}}}",
                looked_at(at)
            );
            vec![word(format!("{name}/events/rpc"), status)]
        }
        Device::TasmotaPlug => {
            let (energy, power) = (decimal(Measure::Energy), decimal(Measure::Power));
            let sensor = format!("{{\"ENERGY\":{{\"Total\":{energy},\"Power\":{power}}}}}");
            vec![word(format!("tele/{name}/SENSOR"), sensor)]
        }
        Device::SenmlRoom => {
            let topic = if stranger { "sensors/stranger".to_owned() } else { name };
            let (warm, humid) = (decimal(Measure::Temperature), decimal(Measure::Humidity));
            let pack = format!(
                "[{{\"bt\":{},\"n\":\"temperature\",\"u\":\"Cel\",\"v\":{warm}}},\
                 {{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":{humid}}}]",
                looked_at(at)
            );
            vec![word(topic, pack)]
        }
        Device::EspRoom => {
            let serial = if stranger { 0 } else { meter.serial() };
            let state = format!("{{{}\"uptime\":1}}", air(meter, at));
            vec![word(format!("sensors/{serial}/state"), state)]
        }
        _ => {
            let payload = format!("{{{}\"battery\":87,\"linkquality\":120}}", air(meter, at));
            vec![word(format!("zigbee2mqtt/{name}"), payload)]
        }
    }
}

/// When a sensor with a clock looked at it last, in seconds since 1970: every ten seconds.
fn looked_at(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(10) * 10
}

/// What there is of the air in a room, as the beginning of an object.
fn air(meter: &Meter, at: DateTime<Utc>) -> String {
    let sight = meter.sight(at);
    let values = [
        ("temperature", Measure::Temperature),
        ("humidity", Measure::Humidity),
        ("co2", Measure::Co2),
    ];
    let value = |(key, measure)| {
        meter.shows(&sight, measure).map(|it| format!("\"{key}\":{},", it.decimal()))
    };
    values.into_iter().filter_map(value).collect()
}
