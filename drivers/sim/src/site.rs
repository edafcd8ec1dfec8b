//! The configuration by which a gateway reads a running building: `site.toml`.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::device::Device;
use crate::mqtt;
use crate::plan::{BusKind, ReceiverKind};
use crate::pulses;
use crate::simulator::{Port, Simulator};

/// The whole file. Every meter in it is marked `simulated`.
///
/// # Errors
///
/// None that a building can cause; the writer of TOML has one.
pub fn site_toml(simulator: &Simulator) -> Result<String, toml::ser::Error> {
    let plan = simulator.plan();
    let buses = simulator.buses().map(|(bus, port)| BusEntry {
        id: &bus.id,
        name: bus.name.as_deref(),
        kind: match bus.kind {
            BusKind::Mbus => "mbus",
            BusKind::ModbusTcp | BusKind::ModbusRtu => "modbus",
            BusKind::Han => "han",
            BusKind::Wmbus => "wmbus",
            BusKind::Mqtt => "mqtt",
            BusKind::OneWire => "onewire",
            BusKind::Pulse => "pulse",
            BusKind::Weather => "weather",
        },
        port: match (port, bus.kind) {
            (Port::Broker(_), _) => "mqtt://own".to_owned(),
            (Port::Folder(path), _) => format!("sysfs://{}", path.display()),
            (Port::Socket(path), _) => format!("events://{}", path.display()),
            (Port::Tcp(port), BusKind::Weather) => format!("http://127.0.0.1:{port}/weatherapi"),
            (Port::Pty(path), _) => format!("serial://{}", path.display()),
            (Port::Tcp(port), BusKind::ModbusRtu) => format!("rtu+tcp://127.0.0.1:{port}"),
            (Port::Tcp(port), _) => format!("tcp://127.0.0.1:{port}"),
        },
        baud: bus.baud,
        poll_every_secs: bus.poll_every_secs,
        receiver: bus.receiver,
        energy_step_wh: plan
            .meters
            .iter()
            .any(|it| it.bus == bus.id && it.sealed && it.device == Device::Kamstrup)
            .then_some(10),
        mode: match bus.receiver {
            Some(ReceiverKind::Amb8465) => Some("c+t"),
            Some(ReceiverKind::Im871a | ReceiverKind::Cul) => Some("c"),
            Some(ReceiverKind::Lines) | None => None,
        },
        topic: bus.over_mqtt.then_some("wmbus/#"),
        contact: (bus.kind == BusKind::Weather).then_some("drift@example.no"),
        consent: (bus.kind == BusKind::Weather).then_some(true),
    });
    let known = plan.meters.iter().filter(|meter| !meter.stranger);
    let meters = known.map(|meter| MeterEntry {
        id: meter.id.to_string(),
        name: &meter.name,
        bus: &meter.bus,
        address: match meter.device {
            device if meter.secondary || device.speaks_unasked() => None,
            Device::Forecast => None,
            device if device == Device::Ds18b20 || device.speaks(BusKind::Mqtt) => {
                simulator.plate(meter.id).map(Address::Text)
            }
            _ => Some(Address::Number(meter.address)),
        },
        secondary: if meter.secondary || meter.device.speaks(BusKind::Wmbus) {
            simulator.plate(meter.id)
        } else {
            None
        },
        serial: if meter.device.speaks(BusKind::Han) { simulator.plate(meter.id) } else { None },
        coordinates: (meter.device == Device::Forecast).then_some("63.43, 10.39, 12"),
        pulses_per_unit: pulses::per_unit(meter.device),
        profile: meter.device.profile(),
        medium: meter.medium.unwrap_or(meter.device.medium()).code(),
        part_of: meter.part_of.map(|id| id.to_string()),
        simulated: true,
    });
    let file = File {
        site: SiteEntry {
            id: plan.site_id().to_string(),
            name: &plan.name,
            place: plan.place.as_deref(),
            time_zone: "Europe/Oslo",
        },
        broker: simulator.buses().find_map(|(_, port)| match port {
            Port::Broker(port) => Some(BrokerEntry { plain: format!("127.0.0.1:{port}") }),
            _ => None,
        }),
        publish: simulator
            .buses()
            .any(|(_, port)| matches!(port, Port::Broker(_)))
            .then(|| vec![PublishEntry { to: "mqtt://own" }]),
        buses: buses.collect(),
        meters: meters.collect(),
    };
    let text = toml::to_string(&file)?;
    Ok(format!("# Written by meter-sim: a simulated building, seed {}.\n\n{text}", plan.seed))
}

#[derive(Serialize)]
struct File<'a> {
    site: SiteEntry<'a>,
    broker: Option<BrokerEntry>,
    publish: Option<Vec<PublishEntry<'a>>>,
    #[serde(rename = "bus")]
    buses: Vec<BusEntry<'a>>,
    #[serde(rename = "meter")]
    meters: Vec<MeterEntry<'a>>,
}

/// The users of the gateway's own broker, for the file beside `site.toml`: the sensors, who may say
/// what they measure. `None` without sensors.
pub fn broker_users(simulator: &Simulator) -> Option<String> {
    simulator.buses().find(|(_, port)| matches!(port, Port::Broker(_)))?;
    let hash = Sha256::digest(simulator.broker_password());
    let hash: Vec<_> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = hash.concat();
    let (user, topics) = (mqtt::USER, mqtt::TOPICS);
    Some(format!("[[user]]\nname = \"{user}\"\nsecret = \"sha256:{hash}\"\npublish = {topics:?}\n"))
}

/// The keys of the meters that encrypt, as a supplier sends them: a table, which `fyrhus keys
/// import` takes. `None` if there are none.
pub fn meter_keys(simulator: &Simulator) -> Option<String> {
    let hex = |key: [u8; 16]| key.map(|byte| format!("{byte:02X}")).concat();
    let rows = simulator.plan().meters.iter().filter(|meter| !meter.stranger).filter_map(|meter| {
        let (encryption, authentication) = simulator.keys(meter.id)?;
        let number: String = simulator.plate(meter.id)?;
        // Of a radio meter: number and maker, without version and medium.
        let is_radio = meter.device.speaks(BusKind::Wmbus);
        let number = if is_radio { number.get(..11)?.to_owned() } else { number };
        Some(format!(
            "{number};{};{}\n",
            hex(encryption),
            authentication.map_or_else(String::new, hex)
        ))
    });
    let rows: Vec<String> = rows.collect();
    (!rows.is_empty())
        .then(|| format!("Serial number;AES key;Authentication key\n{}", rows.concat()))
}

#[derive(Serialize)]
struct BrokerEntry {
    plain: String,
}

#[derive(Serialize)]
struct PublishEntry<'a> {
    to: &'a str,
}

#[derive(Serialize)]
struct SiteEntry<'a> {
    id: String,
    name: &'a str,
    place: Option<&'a str>,
    time_zone: &'a str,
}

#[derive(Serialize)]
struct BusEntry<'a> {
    id: &'a str,
    name: Option<&'a str>,
    kind: &'a str,
    port: String,
    baud: Option<u32>,
    poll_every_secs: Option<u32>,
    receiver: Option<ReceiverKind>,
    energy_step_wh: Option<u32>,
    mode: Option<&'a str>,
    topic: Option<&'a str>,
    contact: Option<&'a str>,
    consent: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Address {
    Number(u8),
    Text(String),
}

#[derive(Serialize)]
struct MeterEntry<'a> {
    id: String,
    name: &'a str,
    bus: &'a str,
    address: Option<Address>,
    secondary: Option<String>,
    serial: Option<String>,
    coordinates: Option<&'a str>,
    pulses_per_unit: Option<&'a str>,
    profile: Option<&'a str>,
    medium: &'a str,
    part_of: Option<String>,
    simulated: bool,
}
