//! What the gateway publishes: every topic and payload, from what is live.
//!
//! ```text
//! PREFIX/status                      online | offline      offline is said by the broker
//! PREFIX/METER/available             online | offline      offline: the meter is silent
//! PREFIX/METER/state                 ok | late | silent | new
//! PREFIX/METER/at                    2026-11-22T11:00:00Z  when it was last heard
//! PREFIX/METER/value/REGISTER        12345.6 | None        as the meter shows it
//! homeassistant/sensor/fyrhus_METER/REGISTER/config        what Home Assistant has to know
//! ```
//!
//! `METER` is the meter's id, which never changes, and `REGISTER` its canonical text. All of it is
//! retained. `None` is Home Assistant's word for a value that nobody knows.

use std::collections::BTreeMap;

use metering::{Medium, Unit};
use serde_json::{Value, json};
use store::Kind;
use web_ui::{Live, LiveMeter, LiveValue, MeterInfo, MeterState, Site};

/// Everything that is to be said, by topic.
pub(super) fn all(
    site: &Site,
    live: &Live,
    prefix: &str,
    announced: bool,
) -> BTreeMap<String, String> {
    let mut said = BTreeMap::from([(status(prefix), ONLINE.to_owned())]);
    for meter in &site.meters {
        let Some(now) = live.meters.get(&meter.id) else { continue };
        let base = format!("{prefix}/{}", meter.id);
        let is_silent = now.state == MeterState::Silent;
        let available = if is_silent { OFFLINE } else { ONLINE };
        said.insert(format!("{base}/available"), available.to_owned());
        said.insert(format!("{base}/state"), now.state.as_str().to_owned());
        let at = now.last_answer.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        said.extend(at.map(|at| (format!("{base}/at"), at)));
        for value in &now.values {
            let topic = format!("{base}/value/{}", value.register);
            if announced {
                let config = announcement(site, meter, now, value, &topic, prefix);
                let node = meter.id.to_string().replace('-', "");
                let place = format!("homeassistant/sensor/fyrhus_{node}/{}/config", value.register);
                said.insert(place, config.to_string());
            }
            let payload =
                value.value.map_or_else(|_| NOBODY_KNOWS.into(), metering::Quantity::decimal);
            said.insert(topic, payload);
        }
    }
    said
}

/// Where the gateway says that it is there, and the broker that it is not.
pub(super) fn status(prefix: &str) -> String {
    format!("{prefix}/status")
}

pub(super) const ONLINE: &str = "online";
pub(super) const OFFLINE: &str = "offline";
const NOBODY_KNOWS: &str = "None";

/// Home Assistant, "MQTT sensor", discovery payload.
fn announcement(
    site: &Site,
    meter: &MeterInfo,
    now: &LiveMeter,
    value: &LiveValue,
    topic: &str,
    prefix: &str,
) -> Value {
    let id = meter.id.to_string();
    let register = value.register.to_string();
    let mut device = json!({
        "identifiers": [format!("fyrhus_{id}")],
        "name": meter.name,
        "suggested_area": site.name,
    });
    let mut say_of_device = |key: &str, text: Option<&String>| {
        if let (Some(device), Some(text)) =
            (device.as_object_mut(), text.filter(|it| !it.is_empty()))
        {
            device.insert(key.to_owned(), text.as_str().into());
        }
    };
    say_of_device("manufacturer", now.identity.as_ref().map(|it| &it.manufacturer));
    say_of_device("serial_number", now.identity.as_ref().map(|it| &it.serial));
    let mut config = json!({
        "name": register.replace('_', " "),
        "unique_id": format!("fyrhus_{id}_{register}"),
        "state_topic": topic,
        "availability": [
            {"topic": status(prefix)},
            {"topic": format!("{prefix}/{id}/available")},
        ],
        "availability_mode": "all",
        "device": device,
        "origin": {"name": "Fyrhus"},
    });
    let mut say = |key: &str, text: &str| {
        if let Some(config) = config.as_object_mut() {
            config.insert(key.to_owned(), text.into());
        }
    };
    let counts = value.kind == Kind::Counter;
    if let Ok(quantity) = value.value {
        let unit = quantity.resolution().unit();
        if let Some(class) = class(value.register.quantity.as_str(), unit, meter.medium) {
            say("device_class", class);
        }
        if !unit.symbol().is_empty() {
            say("unit_of_measurement", unit.symbol());
        }
    }
    if value.kind != Kind::Flag {
        say("state_class", if counts { "total_increasing" } else { "measurement" });
    }
    config
}

/// Home Assistant's word for a quantity, where it has one that takes the unit.
fn class(quantity: &str, unit: Unit, medium: Option<Medium>) -> Option<&'static str> {
    let takes = |codes: &[&str]| codes.contains(&unit.code());
    Some(match quantity {
        "energy" if takes(&["Wh", "kWh", "MWh", "GWh", "MJ", "GJ"]) => "energy",
        "power" if takes(&["W", "kW", "MW"]) => "power",
        "voltage" if takes(&["V", "mV"]) => "voltage",
        "current" if takes(&["A", "mA"]) => "current",
        "frequency" if takes(&["Hz"]) => "frequency",
        "humidity" if takes(&["%"]) => "humidity",
        "battery" if takes(&["%"]) => "battery",
        "co2" if takes(&["ppm"]) => "carbon_dioxide",
        "pressure" if takes(&["mbar", "bar", "Pa"]) => "pressure",
        "volume" if takes(&["m3", "l"]) => match medium {
            Some(Medium::Gas) => "gas",
            Some(Medium::Water | Medium::HotWater) => "water",
            _ => "volume",
        },
        quantity if quantity.ends_with("temperature") && takes(&["C"]) => "temperature",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod testing {
    use std::time::Duration;

    use chrono_tz::Tz;
    use metering::{GatewayId, MeterId};
    use uuid::Uuid;
    use web_ui::{MeterInfo, Site};

    /// A building with these meters.
    pub(crate) fn site(ids: &[MeterId], names: &[&str]) -> Site {
        let meter = |(id, name): (&MeterId, &&str)| MeterInfo {
            id: *id,
            name: (*name).to_owned(),
            bus: "a".into(),
            address: "1".into(),
            medium: None,
            profile: None,
            place: None,
            tags: Vec::new(),
            serial: None,
            part_of: None,
            poll_every: Duration::from_mins(15),
            simulated: false,
            outdoor: false,
        };
        Site {
            id: None,
            gateway: GatewayId::from_uuid(Uuid::from_u128(9)),
            name: "Kvernhusgata 4".into(),
            place: None,
            time_zone: Tz::Europe__Oslo,
            buses: Vec::new(),
            meters: ids.iter().zip(names).map(meter).collect(),
            version: 1,
            probes: ledger::Settings::WIRED,
            wrong_profiles: Vec::new(),
            config_problem: None,
            commissioning: false,
        }
    }
}

#[cfg(test)]
mod tests;
