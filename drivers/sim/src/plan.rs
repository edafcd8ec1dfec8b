//! Which meters a simulated building has, and on which buses: `building.toml`.
//!
//! ```toml
//! name = "Kvernhusgata 4"
//!
//! [[bus]]
//! id = "riser"
//! kind = "mbus"              # mbus | modbus-tcp | modbus-rtu | han | wmbus | mqtt | onewire | pulse |
//!                            # weather
//! baud = 2400                # optional: answers take as long as on such a wire
//!
//! [[meter]]
//! name = "Water, main"
//! bus = "riser"
//! address = 1                # M-Bus 0..=250, Modbus 1..=247, pulses: the line
//! device = "cold-water"      # what it is, see `Device`
//! place = "water-main"       # what it measures, see `Place`
//! ```
//!
//! On an M-Bus two meters may have one address: they collide, as in life.

use std::collections::HashSet;

use metering::{Medium, MeterId, SiteId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::building::EPOCH;
use crate::device::Device;
use crate::dice::Dice;
use crate::faults::Flaw;
use crate::place::Place;

/// A building that can be simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All that chance decides in it grows from this number.
    pub seed: u64,
    /// What people call it.
    pub name: String,
    /// The town it stands in.
    pub place: Option<String>,
    /// Its buses, in the order of the file.
    pub buses: Vec<BusPlan>,
    /// Its meters, in the order of the file. Each name occurs once; each bus exists.
    pub meters: Vec<MeterPlan>,
}

/// A bus of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusPlan {
    /// A short name of `a-z`, `0-9` and `-`.
    pub id: String,
    /// What people call it; the id without one.
    pub name: Option<String>,
    /// What is spoken on it.
    pub kind: BusKind,
    /// Bits a second of the wire; without it answers come as fast as they can.
    pub baud: Option<u32>,
    /// How often its meters are to be read, for the site's configuration.
    pub poll_every_secs: Option<u32>,
    /// On a wire of radio, what hears its meters.
    pub receiver: Option<ReceiverKind>,
    /// Whether that receiver says its lines on the gateway's own broker, and not on a port.
    #[serde(default)]
    pub over_mqtt: bool,
}

/// What hears meters by radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// A stick of IMST.
    Im871a,
    /// A stick of Amber's, now Würth's.
    Amb8465,
    /// A stick with culfw.
    Cul,
    /// A program that says a line of text for each frame.
    Lines,
}

/// What is spoken on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BusKind {
    /// M-Bus behind a transparent converter, or on a serial line.
    Mbus,
    /// Modbus TCP.
    ModbusTcp,
    /// Modbus RTU behind a transparent converter, or on a serial line.
    ModbusRtu,
    /// The customer port of an electricity meter.
    Han,
    /// A receiver of wireless M-Bus.
    Wmbus,
    /// Sensors that are clients of the gateway's own broker.
    Mqtt,
    /// Thermometers in a folder.
    #[serde(rename = "onewire")]
    OneWire,
    /// Pulses at the lines of a chip.
    Pulse,
    /// A weather service.
    Weather,
}

/// A meter of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterPlan {
    /// Names it in the site's configuration; the same for the same seed, bus and name.
    pub id: MeterId,
    /// What people call it.
    pub name: String,
    /// The id of its bus.
    pub bus: String,
    /// Primary address or unit.
    pub address: u8,
    /// Whether the site's configuration names its secondary address instead.
    pub secondary: bool,
    /// What it is.
    pub device: Device,
    /// What it measures.
    pub place: Place,
    /// What the configuration says it counts, where that is not the device's own medium.
    pub medium: Option<Medium>,
    /// The meter whose consumption includes this one's.
    pub part_of: Option<MeterId>,
    /// How much of what there is at its place runs through it, in thousandths: in a large load
    /// many meters share a place.
    pub share: u32,
    /// Whether it encrypts what it says, with a key of its own.
    pub sealed: bool,
    /// Whether it is a neighbour's: heard, and not in the site's configuration.
    pub stranger: bool,
    /// How it is built in wrongly from the start, if it is.
    pub flaw: Option<Flaw>,
}

impl Plan {
    /// The building of the demo.
    ///
    /// # Errors
    ///
    /// None, as its file is part of this crate; a test holds it to that.
    pub fn demo(seed: u64) -> Result<Self, PlanError> {
        Self::parse(include_str!("demo.toml"), seed)
    }

    /// The building that `text` describes.
    pub fn parse(text: &str, seed: u64) -> Result<Self, PlanError> {
        let file: File = toml::from_str(text).map_err(|error| PlanError::Toml(Box::new(error)))?;
        let dice = Dice::new(seed);

        let mut buses = HashSet::new();
        for bus in &file.buses {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if bus.id.is_empty() || !bus.id.bytes().all(plain) || !buses.insert(&bus.id) {
                return Err(PlanError::BusId(bus.id.clone()));
            }
            if bus.baud.is_some_and(|baud| !(300..=115_200).contains(&baud)) {
                return Err(PlanError::Baud(bus.id.clone()));
            }
            if bus.receiver.is_some() != (bus.kind == BusKind::Wmbus) {
                return Err(PlanError::Receiver(bus.id.clone()));
            }
            if bus.over_mqtt && bus.receiver != Some(ReceiverKind::Lines) {
                return Err(PlanError::OverMqtt(bus.id.clone()));
            }
        }

        let mut names = HashSet::new();
        let mut units = HashSet::new();
        let mut meters = Vec::with_capacity(file.meters.len());
        for meter in &file.meters {
            let name = || meter.name.clone();
            let bus = file.buses.iter().find(|bus| bus.id == meter.bus);
            let Some(bus) = bus else { return Err(PlanError::NoBus(name(), meter.bus.clone())) };
            if meter.name.trim().is_empty() || !names.insert(&meter.name) {
                return Err(PlanError::Name(name()));
            }
            if !meter.device.speaks(bus.kind) {
                return Err(PlanError::WrongBus(name()));
            }
            if !meter.place.suits(meter.device) {
                return Err(PlanError::WrongPlace(name()));
            }
            let address = match (meter.address, bus.kind) {
                (None, BusKind::Mbus) if meter.secondary => 0,
                (Some(address @ 0..=250), BusKind::Mbus) => address,
                (None, BusKind::Mqtt | BusKind::OneWire | BusKind::Weather | BusKind::Wmbus) => 0,
                (None, BusKind::Han) if units.insert((&meter.bus, 0)) => 0,
                (Some(line), BusKind::Pulse) if units.insert((&meter.bus, line)) => line,
                (Some(unit @ 1..=247), BusKind::ModbusTcp | BusKind::ModbusRtu)
                    if units.insert((&meter.bus, unit)) =>
                {
                    unit
                }
                _ => return Err(PlanError::Address(name())),
            };
            let part_of = match &meter.part_of {
                None => None,
                Some(main) => {
                    let found = file.meters.iter().find(|other| other.name == *main);
                    let main = found.ok_or_else(|| PlanError::NoMain(name(), main.clone()))?;
                    Some(meter_id(dice, &main.bus, &main.name))
                }
            };
            if (meter.sealed || meter.stranger) && !meter.device.speaks_unasked() {
                return Err(PlanError::Unasked(name()));
            }
            if !(1..=1_000).contains(&meter.share) {
                return Err(PlanError::Share(name()));
            }
            meters.push(MeterPlan {
                id: meter_id(dice, &meter.bus, &meter.name),
                name: name(),
                bus: meter.bus.clone(),
                address,
                secondary: meter.secondary,
                device: meter.device,
                place: meter.place,
                medium: meter.medium,
                part_of,
                share: meter.share,
                sealed: meter.sealed,
                stranger: meter.stranger,
                flaw: meter.flaw,
            });
        }
        Ok(Self { seed, name: file.name, place: file.place, buses: file.buses, meters })
    }

    /// Very many small meters, for measurements: `mbus` of them on buses of at most 50 each,
    /// `modbus` of them on buses of at most 25 each, none slowed down to the speed of a wire.
    pub fn load(mbus: u16, modbus: u16, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let mut plan = Self {
            seed,
            name: "Målebenken".to_owned(),
            place: None,
            buses: Vec::new(),
            meters: Vec::new(),
        };
        let mut add = |kind, prefix: &str, count: u16, a_bus: u16, kinds: &[(Device, Place)]| {
            for (number, (device, place)) in (0..count).zip(kinds.iter().cycle()) {
                let bus = format!("{prefix}-{}", number / a_bus + 1);
                if number % a_bus == 0 {
                    plan.buses.push(BusPlan {
                        id: bus.clone(),
                        name: None,
                        kind,
                        baud: None,
                        poll_every_secs: Some(60),
                        receiver: None,
                        over_mqtt: false,
                    });
                }
                let name = format!("{prefix} {}", number + 1);
                plan.meters.push(MeterPlan {
                    id: meter_id(dice, &bus, &name),
                    name,
                    bus,
                    address: u8::try_from(number % a_bus + 1).unwrap_or(u8::MAX),
                    secondary: false,
                    device: *device,
                    place: *place,
                    medium: None,
                    part_of: None,
                    share: 20,
                    sealed: false,
                    stranger: false,
                    flaw: None,
                });
            }
        };
        add(
            BusKind::Mbus,
            "mbus",
            mbus,
            50,
            &[
                (Device::Heat, Place::HeatFlats),
                (Device::ColdWater, Place::ColdFlats),
                (Device::HotWater, Place::HotFlats),
                (Device::Heat, Place::HeatOffices),
                (Device::ColdWater, Place::ColdSecond),
            ],
        );
        add(
            BusKind::ModbusTcp,
            "modbus",
            modbus,
            25,
            &[
                (Device::Sdm630, Place::ElectricityFlats),
                (Device::Iem3155, Place::ElectricityOffices),
                (Device::Em340, Place::ElectricityRestaurant),
                (Device::B23, Place::ElectricityFlats),
                (Device::Room, Place::OfficeLandscape),
            ],
        );
        plan
    }

    /// Names the building in the site's configuration.
    pub fn site_id(&self) -> SiteId {
        SiteId::from_uuid(uuid(Dice::new(self.seed).of("site")))
    }
}

fn meter_id(dice: Dice, bus: &str, name: &str) -> MeterId {
    MeterId::from_uuid(uuid(dice.of("meter").of(bus).of(name)))
}

/// A UUID of version 7 whose time is the building's epoch and whose chance is the dice's.
fn uuid(dice: Dice) -> Uuid {
    let mut random = [0; 10];
    for (byte, number) in random.iter_mut().zip(0..) {
        *byte = dice.number(number).to_le_bytes().first().copied().unwrap_or(0);
    }
    let millis = u64::try_from(EPOCH.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    place: Option<String>,
    #[serde(rename = "bus")]
    buses: Vec<BusPlan>,
    #[serde(rename = "meter")]
    meters: Vec<MeterEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeterEntry {
    name: String,
    bus: String,
    address: Option<u8>,
    #[serde(default)]
    secondary: bool,
    device: Device,
    place: Place,
    medium: Option<Medium>,
    part_of: Option<String>,
    #[serde(default = "all")]
    share: u32,
    #[serde(default)]
    sealed: bool,
    #[serde(default)]
    stranger: bool,
    flaw: Option<Flaw>,
}

const fn all() -> u32 {
    1_000
}

/// Why a `building.toml` describes no building.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is not such a file at all.
    #[error("the building cannot be read")]
    Toml(#[source] Box<toml::de::Error>),
    /// A bus without a proper id of its own.
    #[error("bus `{0}`: an id is of a-z, 0-9 and -, and no two buses have the same")]
    BusId(String),
    /// A wire of no such speed.
    #[error("bus `{0}`: baud is 300 to 115200, or left out for as fast as possible")]
    Baud(String),
    /// A receiver where there is no radio, or none where there is.
    #[error("bus `{0}`: a bus of kind wmbus has a receiver, and no other has one")]
    Receiver(String),
    /// Sticks do not speak MQTT.
    #[error("bus `{0}`: over_mqtt belongs to receiver = \"lines\"")]
    OverMqtt(String),
    /// A meter without a name of its own.
    #[error("meter `{0}`: a name is not empty, and no two meters have the same")]
    Name(String),
    /// A meter on a bus that is not there.
    #[error("meter `{0}`: there is no bus `{1}`")]
    NoBus(String, String),
    /// A meter that does not speak its bus's language.
    #[error("meter `{0}`: its device does not speak what its bus speaks")]
    WrongBus(String),
    /// A meter that cannot measure what there is at its place.
    #[error("meter `{0}`: its device cannot measure what there is at its place")]
    WrongPlace(String),
    /// A meter that is asked, and so neither encrypts here nor is a stranger.
    #[error(
        "meter `{0}`: only what speaks unasked, at a customer port or by radio, can be sealed or a stranger"
    )]
    Unasked(String),
    /// More than there is, or nothing.
    #[error("meter `{0}`: share is 1 to 1000, in thousandths")]
    Share(String),
    /// A meter that cannot be addressed.
    #[error(
        "meter `{0}`: an M-Bus meter needs address = 0 to 250 or secondary = true, a Modbus meter \
         an address of its own from 1 to 247, one with pulses a line of its own; on a 1-Wire, by \
         radio, at a customer port and of a weather service there is none"
    )]
    Address(String),
    /// A part of a meter that is not there.
    #[error("meter `{0}`: there is no meter `{1}` for it to be a part of")]
    NoMain(String, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(meter: &str, expected: &str) {
        let text = format!(
            "name = \"x\"\n[[bus]]\nid = \"a\"\nkind = \"mbus\"\n[[bus]]\nid = \"b\"\nkind = \"modbus-tcp\"\n\
             [[meter]]\nname = \"first\"\nbus = \"b\"\naddress = 1\ndevice = \"room\"\nplace = \"flat\"\n\
             [[meter]]\n{meter}"
        );
        let told = match Plan::parse(&text, 1) {
            Ok(plan) => format!("{} meters", plan.meters.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_plan_is_whole_or_says_what_is_wrong_with_it() {
        let meter = |bus: &str, rest: &str| format!("name = \"m\"\nbus = \"{bus}\"\n{rest}");
        let water = "device = \"cold-water\"\nplace = \"cold-flats\"\n";
        check(&meter("a", &format!("{water}address = 3")), "2 meters");
        check(&meter("a", &format!("{water}secondary = true")), "2 meters");
        check(&meter("c", &format!("{water}address = 3")), "meter `m`: there is no bus `c`");
        check(
            &meter("b", &format!("{water}address = 3")),
            "meter `m`: its device does not speak what its bus speaks",
        );
        check(
            &meter("a", "device = \"cold-water\"\nplace = \"heat-main\"\naddress = 3"),
            "meter `m`: its device cannot measure what there is at its place",
        );
        let address = "meter `m`: an M-Bus meter needs address = 0 to 250 or secondary = true, a \
                       Modbus meter an address of its own from 1 to 247, one with pulses a line \
                       of its own; on a 1-Wire, by radio, at a customer port and of a weather \
                       service there is none";
        check(&meter("a", water), address);
        check(&meter("a", &format!("{water}address = 251")), address);
        check(&meter("b", "device = \"room\"\nplace = \"flat\"\naddress = 1"), address);
        check(
            &meter("a", &format!("{water}address = 3\npart_of = \"none\"")),
            "meter `m`: there is no meter `none` for it to be a part of",
        );
        check(&meter("a", &format!("{water}adress = 3")), "the building cannot be read");
    }

    #[test]
    fn the_demo_has_about_thirty_meters_with_ids_of_their_own() {
        let plan = Plan::demo(1).unwrap();
        assert!((24..=60).contains(&plan.meters.len()));
        let ids: HashSet<MeterId> = plan.meters.iter().map(|meter| meter.id).collect();
        assert_eq!(ids.len(), plan.meters.len());
        assert_eq!(plan.meters[0].id, Plan::demo(1).unwrap().meters[0].id);
        assert_ne!(plan.meters[0].id, Plan::demo(2).unwrap().meters[0].id);
        assert_eq!(plan.meters[0].id.uuid().get_version_num(), 7);
    }

    #[test]
    fn a_load_is_spread_over_buses() {
        let plan = Plan::load(250, 50, 1);
        assert_eq!((plan.buses.len(), plan.meters.len()), (7, 300));
        assert!(plan.meters.iter().all(|meter| meter.place.suits(meter.device)));
    }
}
