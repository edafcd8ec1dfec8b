//! `site.toml`: the building, its buses and the meters on them.

mod heard;
mod keys;
mod mqtt;
mod telegramless;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;
use drivers::{BusKind, EarKind, MeterAddress, Parity, PortSettings};
use metering::{Medium, MeterId, SiteId};

use super::check::{Check, Mistake, Root, Section, nearest};
use super::schedule::PollEvery;
pub use heard::Radio;
pub(crate) use keys::TABLES;
use keys::{
    ADDRESS, ANSWER_WITHIN, BAUD, BMS, BMS_CLIENTS, BMS_LISTEN, BMS_UNIT, BROKER, BUS, BUS_ID,
    BUS_NAME, CLOUD, CONTACT, KIND, LINE, MAX_UNIT_LOADS, MEDIUM, METER, METER_BUS, METER_ID,
    METER_NAME, METER_POLL_EVERY, PARITY, PART_OF, PAUSE_AFTER_CONNECT, PLACE, POLL_EVERY, PORT,
    PROFILE, PUBLISH, REFERENCES, SECONDARY, SERIAL, SIMULATED, SITE, SITE_ID, SITE_NAME,
    TIME_ZONE, UNIT_LOADS, URL,
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
    let publish: Vec<_> = publish.into_iter().filter_map(|it| mqtt::publish(check, it)).collect();

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
    Some(Cloud { url: url?.trim_end_matches('/').to_owned(), profile, references: references? })
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

fn loads(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

/// The buses so far, and what has been said of them.
#[derive(Default)]
struct Buses {
    known: Vec<KnownBus>,
    /// Ids of buses that have a mistake: their meters are not blamed for it.
    broken: Vec<String>,
    /// Which meter says that it is part of which.
    parts: Vec<Part>,
}

struct Part {
    id: MeterId,
    whole: MeterId,
    at: usize,
}

struct KnownBus {
    bus: Bus,
    line: usize,
    poll_every: PollEvery,
    taken: BTreeMap<String, usize>,
}

impl Buses {
    fn bus(&mut self, check: &mut Check<'_>, section: Section<'_>) {
        let id = check.text(section, &BUS_ID).map(str::to_owned);
        let line = check.line(section.at);
        let mut unique = true;
        if let Some(id) = &id
            && let Some(other) = self.known.iter().find(|known| known.bus.id == *id)
        {
            let advice = format!("bus `{id}` is there already, on line {}", other.line);
            check.mistake(section.place(&BUS_ID), advice);
            unique = false;
        }
        match Self::settings(check, section, id.as_deref()) {
            Some((bus, poll_every)) if unique => {
                let twin = self.known.iter().find(|known| known.bus.port == bus.port);
                if let Some(twin) = twin {
                    let advice = format!(
                        "port {} is taken by bus `{}` on line {}: a wire has one master, so put \
                         all its meters on one bus",
                        bus.port, twin.bus.id, twin.line
                    );
                    check.mistake(section.place(&PORT), advice);
                }
                self.known.push(KnownBus { bus, line, poll_every, taken: BTreeMap::new() });
            }
            _ => self.broken.extend(id),
        }
    }

    /// The bus without its meters.
    fn settings(
        check: &mut Check<'_>,
        section: Section<'_>,
        id: Option<&str>,
    ) -> Option<(Bus, PollEvery)> {
        let name = check.text(section, &BUS_NAME).map(str::to_owned);
        let kind = check.text(section, &KIND);
        let kind = kind.and_then(|kind| WireKind::ALL.into_iter().find(|it| it.code() == kind));
        let port = check.text(section, &PORT).and_then(|written| {
            let port = written.parse::<PortSettings>();
            if let Err(wrong) = &port {
                if let Some(advice) = kind.and_then(telegramless::port_of) {
                    check.mistake(section.place(&PORT), format!("port = \"{written}\": {advice}"));
                    return None;
                }
                let near = nearest_port(written).map(|near| format!("; did you mean \"{near}\"?"));
                let advice = format!("{wrong}{}", near.unwrap_or_default());
                check.mistake(section.place(&PORT), advice);
            }
            port.ok()
        });
        let poll_every = if section.has(&POLL_EVERY) {
            check.number(section, &POLL_EVERY)
        } else {
            kind.map(WireKind::default_poll_every)
        };
        let poll_every = poll_every.and_then(PollEvery::new);
        let answer_within = check.number(section, &ANSWER_WITHIN).map(Duration::from_millis);
        let pause_after_connect = check.number(section, &PAUSE_AFTER_CONNECT);
        let max_unit_loads = loads(check.number(section, &MAX_UNIT_LOADS));
        let radio = heard::radio(check, section, kind);
        let baud = check.number(section, &BAUD);
        let parity = check.text(section, &PARITY);
        let contact = check.text(section, &CONTACT).map(str::to_owned);

        match (kind, &port) {
            (Some(WireKind::Asked(BusKind::Mbus)), Some(PortSettings::RtuOverTcp(_))) => {
                let advice = "rtu+tcp:// carries Modbus: an M-Bus behind a converter is tcp://";
                check.mistake(section.place(&PORT), advice.to_owned());
            }
            (Some(WireKind::Asked(BusKind::Modbus)), Some(PortSettings::Udp(_))) => {
                let advice = "udp:// carries an M-Bus: Modbus is tcp://, or rtu+tcp:// behind a \
                              converter that passes Modbus RTU through";
                check.mistake(section.place(&PORT), advice.to_owned());
            }
            (Some(WireKind::Asked(BusKind::Modbus)), Some(PortSettings::Tcp(_))) => {
                for key in [&BAUD, &PARITY] {
                    if section.has(key) {
                        let advice = format!(
                            "`{}` means nothing on Modbus TCP: leave it out, or write \
                             rtu+tcp:// if a converter carries Modbus RTU",
                            key.name
                        );
                        check.mistake(section.place(key), advice);
                    }
                }
            }
            _ => {}
        }
        if let (Some(kind), Some(port)) = (kind, &port) {
            telegramless::check_bus(check, section, kind, port);
        }
        if let Some(kind) = kind {
            heard::check_bus(check, section, kind, port.as_ref());
        }
        let login = match (kind, &port) {
            (Some(kind), Some(port)) => mqtt::check_bus(check, section, kind, port),
            _ => None,
        };
        let is_mbus = kind == Some(WireKind::Asked(BusKind::Mbus));
        if kind.is_some() && !is_mbus && section.has(&MAX_UNIT_LOADS) {
            let advice = "`max_unit_loads` belongs to an M-Bus, whose converter feeds its meters: \
                          leave it out";
            check.mistake(section.place(&MAX_UNIT_LOADS), advice.to_owned());
        }
        if is_mbus && let Some(baud @ (57_600 | 115_200)) = baud {
            let advice = format!("baud = {baud} is not a rate of M-Bus: 300 to 38400, mostly 2400");
            check.mistake(section.place(&BAUD), advice);
        }

        let (id, kind) = (id?.to_owned(), kind?);
        let bus = Bus {
            name: name.unwrap_or_else(|| id.clone()),
            id,
            kind,
            port: port?,
            baud: baud.and_then(|baud| u32::try_from(baud).ok()).unwrap_or(kind.default_baud()),
            parity: parity?.parse().ok()?,
            finds_line: !section.has(&BAUD) && !section.has(&PARITY),
            radio: radio.ok()?,
            answer_within,
            pause_after_connect: Duration::from_millis(pause_after_connect?),
            max_unit_loads,
            contact,
            login: login?,
            meters: Vec::new(),
        };
        Some((bus, poll_every?))
    }

    fn meter(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        profiles: &[&str],
        ids: &mut BTreeMap<MeterId, usize>,
    ) {
        let line = check.line(section.at);
        let id = check.text(section, &METER_ID).and_then(|id| id.parse().ok());
        if let Some(id) = id
            && let Some(other) = ids.insert(id, line)
        {
            let advice = format!(
                "meter {id} is there already, on line {other}: each meter has an id of its own, \
                 which `uuidgen -t7` makes"
            );
            check.mistake(section.place(&METER_ID), advice);
        }
        let name = check.text(section, &METER_NAME).map(str::to_owned);
        let bus_id = check.text(section, &METER_BUS);
        let serial = check.text(section, &SERIAL).map(str::to_owned);
        let medium = check.text(section, &MEDIUM).and_then(|medium| medium.parse().ok());
        let own_interval = check.number(section, &METER_POLL_EVERY).and_then(PollEvery::new);
        let part_of = check.text(section, &PART_OF).and_then(|id| id.parse().ok());
        if let (Some(id), Some(whole)) = (id, part_of) {
            self.parts.push(Part { id, whole, at: section.place(&PART_OF) });
        }
        let unit_loads = loads(check.number(section, &UNIT_LOADS)).unwrap_or(1);
        let simulated = check.flag(section, &SIMULATED);
        let outdoor = check.flag(section, &keys::OUTDOOR);
        let profile = check.text(section, &PROFILE).map(str::to_owned);
        if let Some(profile) = &profile
            && !profiles.contains(&profile.as_str())
        {
            let near = nearest(profile, profiles).map_or_else(
                || "`fyrhus profile list` shows those that there are".to_owned(),
                |near| format!("did you mean \"{near}\"?"),
            );
            let advice = format!("profile \"{profile}\" is not known: {near}");
            check.mistake(section.place(&PROFILE), advice);
        }

        let Some(bus_id) = bus_id else { return };
        let Some(at) = self.known.iter().position(|known| known.bus.id == bus_id) else {
            if !self.broken.iter().any(|broken| broken == bus_id) {
                let names: Vec<&str> = self.known.iter().map(|it| it.bus.id.as_str()).collect();
                let hint = match nearest(bus_id, &names) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None if names.is_empty() => "the file has no [[bus]]".to_owned(),
                    None => format!("there are {}", names.join(", ")),
                };
                let advice = format!("bus \"{bus_id}\" is not there: {hint}");
                check.mistake(section.place(&METER_BUS), advice);
            }
            return;
        };
        let Some(known) = self.known.get_mut(at) else { return };
        let address = known.address(check, section, line);
        if known.bus.kind == WireKind::Asked(BusKind::Modbus)
            && profile.is_none()
            && !section.has(&PROFILE)
        {
            let advice = "`profile` is missing: a Modbus meter does not say what its registers \
                          mean; `fyrhus profile list` shows the known types";
            check.mistake(section.at, advice.to_owned());
        }
        if let (Some(id), Some(name), Some(address)) = (id, name, address) {
            let poll_every = own_interval.unwrap_or(known.poll_every);
            known.bus.meters.push(Meter {
                id,
                name,
                address,
                profile,
                medium,
                serial,
                part_of,
                poll_every,
                unit_loads,
                simulated,
                outdoor,
            });
        }
    }
}

impl Buses {
    /// A meter is part of one that there is, and no meter of itself in the end.
    fn parts(&self, check: &mut Check<'_>, ids: &BTreeMap<MeterId, usize>) {
        let whole_of: BTreeMap<MeterId, MeterId> =
            self.parts.iter().map(|part| (part.id, part.whole)).collect();
        for Part { id, whole, at } in &self.parts {
            if !ids.contains_key(whole) {
                let advice = format!("part_of = \"{whole}\" is not the id of a meter of this file");
                check.mistake(*at, advice);
                continue;
            }
            let chain = std::iter::successors(Some(*whole), |whole| whole_of.get(whole).copied());
            if chain.take(ids.len()).any(|above| above == *id) {
                check.mistake(*at, format!("meter {id} is part of itself: see `part_of` here"));
            }
        }
    }
}

impl KnownBus {
    /// Where the meter answers; taken from now on.
    fn address(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        line: usize,
    ) -> Option<MeterAddress> {
        if self.bus.kind == WireKind::Listened(EarKind::Mqtt) {
            return self.on_the_broker(check, section, line);
        }
        if self.bus.kind == WireKind::Listened(EarKind::Han) {
            return self.at_the_port(check, section, line);
        }
        telegramless::check_meter(check, section, self.bus.kind);
        if telegramless::port_of(self.bus.kind).is_some() {
            return self.without_telegrams(check, section, line);
        }
        let number = check.number(section, &ADDRESS);
        let secondary = check.text(section, &SECONDARY).map(str::to_uppercase);
        let (address, place) = match (section.has(&ADDRESS), section.has(&SECONDARY)) {
            (true, true) => {
                let advice = "`address` and `secondary` are both given: keep the one that the \
                              meter is to be asked by";
                check.mistake(section.place(&SECONDARY), advice.to_owned());
                return None;
            }
            (false, false) => {
                let advice = match self.bus.kind {
                    WireKind::Asked(BusKind::Modbus) => {
                        "`address` is missing: the Modbus unit, 1 to 247"
                    }
                    WireKind::Listened(_) => {
                        "`secondary` is missing: the meter's number, such as \"67001122\"; \
                         `fyrhus radio listen` shows who is heard"
                    }
                    WireKind::Asked(_) => "`address` (0 to 250) or `secondary` is missing",
                };
                check.mistake(section.at, advice.to_owned());
                return None;
            }
            (true, false) => {
                let (number, place) = (number?, section.place(&ADDRESS));
                match self.numbered(number) {
                    Ok(address) => (address, place),
                    Err(why) => {
                        check.mistake(place, format!("address = {number} is not {why}"));
                        return None;
                    }
                }
            }
            (false, true) => {
                let written = secondary?;
                let place = section.place(&SECONDARY);
                if self.bus.kind == WireKind::Asked(BusKind::Modbus) {
                    let advice = "`secondary` is an address of M-Bus: on Modbus write `address`";
                    check.mistake(place, advice.to_owned());
                    return None;
                }
                let Ok(secondary) = written.parse() else {
                    check.refuse(section, &SECONDARY, None);
                    return None;
                };
                (MeterAddress::Secondary(secondary), place)
            }
        };
        if let Some(other) = self.taken.insert(address.to_string(), line) {
            let advice = format!(
                "address {address} on bus `{}` is taken by the meter on line {other}",
                self.bus.id
            );
            check.mistake(place, advice);
            return None;
        }
        Some(address)
    }

    /// The address `number` on this bus, or what it is not.
    fn numbered(&self, number: u64) -> Result<MeterAddress, &'static str> {
        let byte = u8::try_from(number).ok();
        match (self.bus.kind, byte) {
            (WireKind::Asked(BusKind::Modbus), Some(unit @ 1..=247)) => {
                Ok(MeterAddress::Unit(unit))
            }
            (WireKind::Asked(BusKind::Modbus), Some(255))
                if matches!(self.bus.port, PortSettings::Tcp(_)) =>
            {
                Ok(MeterAddress::Unit(255))
            }
            (WireKind::Listened(_), _) => {
                Err("how a meter is known by radio: write its `secondary` instead")
            }
            (WireKind::Asked(BusKind::Modbus), _) => {
                Err("a Modbus unit: 1 to 247, or 255 on Modbus TCP")
            }
            (_, Some(primary @ 0..=250)) => Ok(MeterAddress::Primary(primary)),
            (_, _) => Err(no_primary_address(number)),
        }
    }
}

/// What `number`, which is none of 0 to 250, is not. Source: EN 13757-2, the address field.
const fn no_primary_address(number: u64) -> &'static str {
    match number {
        251 | 252 => "a meter's primary address, 0 to 250: 251 and 252 are reserved",
        253 => {
            "a meter's primary address, 0 to 250: 253 is whichever meter is selected; write its \
             `secondary` instead"
        }
        254 => "a meter's primary address, 0 to 250: to 254 all meters answer at once",
        255 => "a meter's primary address, 0 to 250: 255 is for all meters, and none answers",
        _ => "a meter's primary address, 0 to 250; 251 to 255 are no single meter's",
    }
}

/// The port that someone who wrote only its end may have meant.
fn nearest_port(written: &str) -> Option<String> {
    let whole = ["serial://", "tcp://"].map(|kind| format!("{kind}{written}"));
    whole.into_iter().find(|whole| whole.parse::<PortSettings>().is_ok())
}

#[cfg(test)]
mod tests;
