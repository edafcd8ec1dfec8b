//! `site.toml`: the building, its buses and the meters on them.

mod addresses;
mod buses;
mod heard;
mod keys;
mod mqtt;
mod telegramless;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;
use cloud_sync::Proxy;
use drivers::{BusKind, EarKind, MeterAddress, Parity, PortSettings};
use metering::{Medium, MeterId, SiteId};

use super::check::{Check, Mistake, Root, Section, nearest};
use super::schedule::PollEvery;
use buses::Buses;
pub use heard::Radio;
pub(crate) use keys::TABLES;
use keys::{
    BMS, BMS_CLIENTS, BMS_LISTEN, BMS_UNIT, BROKER, BUS, CLOUD, DATA, LINE, METER, PLACE,
    PROBE_EVERY, PROXY, PROXY_LOGIN, PUBLISH, REFERENCES, REPORT_TIMEOUT, SITE, SITE_ID, SITE_NAME,
    TIME_ZONE, URL,
};
pub use mqtt::{BrokerLogin, OwnBroker, Publish};

/// What `site.toml` says. Two buses never share a port, two meters never an id or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which building.
    pub id: SiteId,
    /// What people call it.
    pub name: String,
    /// The town, for people.
    pub place: Option<String>,
    /// Whose midnight begins a day.
    pub time_zone: Tz,
    /// One entry for each wire, in the order of the file.
    pub buses: Vec<Bus>,
    /// The portfolio service that this building belongs to.
    pub cloud: Option<Cloud>,
    /// The Modbus server for the building's management system; off where this is `None`.
    pub bms: Option<Bms>,
    /// The gateway's own MQTT broker.
    pub broker: Option<OwnBroker>,
    /// The MQTT brokers on which it says its values.
    pub publish: Vec<Publish>,
}

/// One wire and the meters on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// What the file and the API call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is spoken on it.
    pub kind: WireKind,
    /// Where it is plugged in.
    pub port: PortSettings,
    /// Bits a second on the wire itself, behind a converter too. No meaning on Modbus TCP.
    pub baud: u32,
    /// Of the serial line.
    pub parity: Parity,
    /// Whether the file leaves `baud` and `parity` to be found by listening.
    pub finds_line: bool,
    /// Of a customer port, what one step of energy is, as a power of ten of 1 Wh.
    pub energy_step: Option<i8>,
    /// Of a wire of radio, the receiver.
    pub radio: Option<Radio>,
    /// How long a meter may take to begin its answer; the bus has a formula where this is `None`.
    pub answer_within: Option<Duration>,
    /// How long a gateway is left alone after a connection to it was made.
    pub pause_after_connect: Duration,
    /// How many unit loads the level converter of an M-Bus is built for, where the file says so.
    pub max_unit_loads: Option<u32>,
    /// Who asks a weather service.
    pub contact: Option<String>,
    /// How an MQTT broker is logged in to.
    pub login: BrokerLogin,
    /// Who is on the wire, in the order of the file.
    pub meters: Vec<Meter>,
}

/// What is spoken on a wire, and who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireKind {
    /// The meters answer when they are asked.
    Asked(BusKind),
    /// The meters speak when they want to.
    Listened(EarKind),
}

impl WireKind {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 8] = [
        Self::Asked(BusKind::Mbus),
        Self::Asked(BusKind::Modbus),
        Self::Listened(EarKind::Han),
        Self::Listened(EarKind::Radio),
        Self::Listened(EarKind::Mqtt),
        Self::Asked(BusKind::OneWire),
        Self::Asked(BusKind::Pulse),
        Self::Asked(BusKind::Weather),
    ];

    /// As in the file and in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Asked(BusKind::Mbus) => "mbus",
            Self::Asked(BusKind::Modbus) => "modbus",
            Self::Listened(EarKind::Han) => "han",
            Self::Listened(EarKind::Radio) => "wmbus",
            Self::Listened(EarKind::Mqtt) => "mqtt",
            Self::Asked(BusKind::OneWire) => "onewire",
            Self::Asked(BusKind::Pulse) => "pulse",
            Self::Asked(BusKind::Weather) => "weather",
        }
    }

    const fn default_baud(self) -> u32 {
        match self {
            Self::Asked(BusKind::Mbus) | Self::Listened(EarKind::Han) => 2_400,
            // A receiver has its own.
            Self::Asked(_) | Self::Listened(EarKind::Radio | EarKind::Mqtt) => 9_600,
        }
    }

    const fn default_poll_every(self) -> u64 {
        match self {
            Self::Asked(BusKind::OneWire) => 300,
            Self::Asked(BusKind::Pulse) | Self::Listened(EarKind::Han) => 60,
            Self::Asked(BusKind::Weather) => 3_600,
            // Of those that are listened to most say something every few seconds or minutes; some,
            // in thick walls, are heard now and then.
            Self::Asked(BusKind::Mbus | BusKind::Modbus)
            | Self::Listened(EarKind::Radio | EarKind::Mqtt) => 900,
        }
    }
}

/// One meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Its name for ever.
    pub id: MeterId,
    /// What people call it.
    pub name: String,
    /// Where it answers on its bus.
    pub address: MeterAddress,
    /// Which of its numbers is which; an M-Bus meter may be recognised by what it answers.
    pub profile: Option<String>,
    /// What it counts, where the file says so.
    pub medium: Option<Medium>,
    /// The serial number it must tell.
    pub serial: Option<String>,
    /// Where it is, in people's words.
    pub place: Option<String>,
    /// Words by which people group their meters.
    pub tags: Vec<String>,
    /// The meter whose consumption includes this one's.
    pub part_of: Option<MeterId>,
    /// How often it is asked.
    pub poll_every: PollEvery,
    /// How many unit loads it draws from an M-Bus.
    pub unit_loads: u32,
    /// Whether its readings are marked as simulated.
    pub simulated: bool,
    /// Whether its temperature is that of the air outdoors.
    pub outdoor: bool,
}

/// The portfolio service of the building's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its gateways' address, `https://…`.
    pub url: String,
    /// How the building is connected to it.
    pub profile: LineProfile,
    /// What is tried to tell an outage of the portfolio from one of the building's own link, as
    /// `HOST:PORT`; the default router and the name servers where this is empty.
    pub references: Vec<String>,
    /// What may go over the line in a month, in megabytes.
    pub data_mb_a_month: Option<u32>,
    /// Through whom it is reached.
    pub proxy: Option<Proxy>,
    /// How long a report may take before it is an outage.
    pub report_timeout: Duration,
    /// How often the probe asks while all is well, where that is not as usual.
    pub probe_every: Option<Duration>,
}

/// The Modbus server for the building's management system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bms {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The first unit that it answers as.
    pub unit: u8,
    /// Who may connect; everybody where this is empty.
    pub clients: Vec<IpAddr>,
}

/// How a building is connected to the world, and so how much may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineProfile {
    /// Sent bytes cost nothing.
    #[default]
    Wired,
    /// Each one is paid for.
    Metered,
}

impl Site {
    /// Reads `file`, of a building whose meters may have the device profiles `profiles`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines.
    pub fn load(file: &str, profiles: &[&str]) -> Result<Self, Vec<Mistake>> {
        Check::file(file, TABLES, |check, root| site(check, root, profiles))
    }
}

fn site(check: &mut Check<'_>, root: Root<'_>, profiles: &[&str]) -> Option<Site> {
    let whole = root.section(check, &SITE);
    if whole.is_none() && !root.has(&SITE) {
        check.mistake(0, "[site] is missing: it has the building's id and name".to_owned());
    }
    let head = whole.map(|section| {
        (
            check.text(section, &SITE_ID).and_then(|id| id.parse().ok()),
            check.text(section, &SITE_NAME).map(str::to_owned),
            check.text(section, &PLACE).map(str::to_owned),
            time_zone(check, section),
        )
    });

    let mut buses = Buses::default();
    for section in root.sections(check, &BUS) {
        buses.bus(check, section);
    }
    let mut ids = BTreeMap::new();
    for section in root.sections(check, &METER) {
        buses.meter(check, section, profiles, &mut ids);
    }
    buses.parts(check, &ids);
    let cloud = root.section(check, &CLOUD).and_then(|section| cloud(check, section));
    let bms = root.section(check, &BMS).and_then(|section| bms(check, section));
    let broker = root.section(check, &BROKER).and_then(|it| mqtt::own_broker(check, it));
    let publish = root.sections(check, &PUBLISH);
    let publish = mqtt::all_to_publish(check, &publish);

    let (id, name, place, time_zone) = head?;
    let buses = buses.known.into_iter().map(|known| known.bus).collect();
    Some(Site {
        id: id?,
        name: name?,
        place,
        time_zone: time_zone?,
        buses,
        cloud,
        bms,
        broker,
        publish,
    })
}

fn time_zone(check: &mut Check<'_>, section: Section<'_>) -> Option<Tz> {
    let written = check.text(section, &TIME_ZONE)?;
    if let Ok(zone) = written.parse() {
        return Some(zone);
    }
    let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    let near = nearest(written, &names).map(|near| format!("\"{near}\""));
    check.refuse(section, &TIME_ZONE, near);
    None
}

fn cloud(check: &mut Check<'_>, section: Section<'_>) -> Option<Cloud> {
    let url = check.text(section, &URL);
    let profile = check.text(section, &LINE);
    let references = check.texts(section, &REFERENCES);
    let data_mb_a_month = check.number(section, &DATA);
    let proxy = proxy(check, section);
    let report_timeout = check.number(section, &REPORT_TIMEOUT);
    let probe_every = check.number(section, &PROBE_EVERY);
    if profile == Some("wired") && probe_every.is_some_and(|seconds| seconds > 60) {
        let advice = "probe_every_s is at most 60 on a wired line: an answer speaks for 60 s there";
        check.mistake(section.place(&PROBE_EVERY), advice.to_owned());
    }
    let is_place = |place: &str| format!("tcp://{place}").parse::<PortSettings>().is_ok();
    let references = references.filter(|places| {
        let all = places.iter().all(|place| is_place(place));
        if !all {
            check.refuse(section, &REFERENCES, None);
        }
        all
    });
    let named = url.and_then(|url| url.strip_prefix("https://"));
    if url.is_some() && named.is_none_or(|host| host.is_empty() || host.contains([' ', '@'])) {
        check.refuse(section, &URL, None);
        return None;
    }
    let profile = match profile? {
        "metered" => LineProfile::Metered,
        _ => LineProfile::Wired,
    };
    Some(Cloud {
        url: url?.trim_end_matches('/').to_owned(),
        profile,
        references: references?,
        data_mb_a_month: data_mb_a_month.and_then(|it| u32::try_from(it).ok()),
        proxy: proxy?,
        report_timeout: Duration::from_secs(report_timeout?),
        probe_every: probe_every.map(Duration::from_secs),
    })
}

/// The outer `None` is for what is no proxy.
#[expect(clippy::option_option, reason = "a mistake, no proxy, and a proxy")]
fn proxy(check: &mut Check<'_>, section: Section<'_>) -> Option<Option<Proxy>> {
    let login_file = mqtt::path(check, section, &PROXY_LOGIN)?;
    let Some(written) = check.text(section, &PROXY) else {
        if login_file.is_some() {
            let advice = "`proxy` is missing: name and password are for one";
            check.mistake(section.place(&PROXY_LOGIN), advice.to_owned());
        }
        return Some(None);
    };
    let Ok(proxy) = written.parse::<Proxy>() else {
        check.refuse(section, &PROXY, None);
        return None;
    };
    Some(Some(Proxy { login_file, ..proxy }))
}

fn bms(check: &mut Check<'_>, section: Section<'_>) -> Option<Bms> {
    let listen = check.text(section, &BMS_LISTEN).map(str::parse::<SocketAddr>);
    if listen.as_ref().is_some_and(|listen| listen.as_ref().map_or(0, SocketAddr::port) == 0) {
        check.refuse(section, &BMS_LISTEN, None);
        return None;
    }
    let unit = check.number(section, &BMS_UNIT).and_then(|unit| u8::try_from(unit).ok());
    let clients = check.texts(section, &BMS_CLIENTS)?;
    let clients: Result<Vec<IpAddr>, _> = clients.iter().map(|it| it.parse()).collect();
    if clients.is_err() {
        check.refuse(section, &BMS_CLIENTS, None);
    }
    Some(Bms { listen: listen?.ok()?, unit: unit?, clients: clients.ok()? })
}

#[cfg(test)]
mod tests;
