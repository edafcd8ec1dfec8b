//! `[[bus]]` and `[[meter]]`: every wire with the meters on it, as the file names them one after
//! the other. Two buses never share a port, two meters of one bus never an address.

use std::collections::BTreeMap;
use std::time::Duration;

use drivers::{BusKind, PortSettings};
use metering::MeterId;

use super::keys::{
    ANSWER_WITHIN, BAUD, BUS_ID, BUS_NAME, CONTACT, KIND, MAX_UNIT_LOADS, MEDIUM, METER_BUS,
    METER_ID, METER_NAME, METER_POLL_EVERY, OUTDOOR, PARITY, PART_OF, PAUSE_AFTER_CONNECT,
    POLL_EVERY, PORT, PROFILE, ROOM, SERIAL, SIMULATED, TAGS, UNIT_LOADS,
};
use super::{Bus, Meter, WireKind, heard, mqtt, telegramless};
use crate::config::check::{Check, Section, nearest};
use crate::config::schedule::PollEvery;

/// The buses so far, and what has been said of them.
#[derive(Default)]
pub(super) struct Buses {
    pub(super) known: Vec<KnownBus>,
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

pub(super) struct KnownBus {
    pub(super) bus: Bus,
    line: usize,
    poll_every: PollEvery,
    pub(super) taken: BTreeMap<String, usize>,
}

impl Buses {
    pub(super) fn bus(&mut self, check: &mut Check<'_>, section: Section<'_>) {
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
                let twin = self.known.iter().find(|known| share(&known.bus, &bus));
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
        let radio = heard::radio(check, section, kind, port.as_ref());
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
            energy_step: heard::energy_step(check, section, kind),
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

    pub(super) fn meter(
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
        let place = check.text(section, &ROOM).map(str::to_owned);
        let tags = tags(check, section);
        let medium = check.text(section, &MEDIUM).and_then(|medium| medium.parse().ok());
        let own_interval = check.number(section, &METER_POLL_EVERY).and_then(PollEvery::new);
        let part_of = check.text(section, &PART_OF).and_then(|id| id.parse().ok());
        if let (Some(id), Some(whole)) = (id, part_of) {
            self.parts.push(Part { id, whole, at: section.place(&PART_OF) });
        }
        let unit_loads = loads(check.number(section, &UNIT_LOADS)).unwrap_or(1);
        let simulated = check.flag(section, &SIMULATED);
        let outdoor = check.flag(section, &OUTDOOR);
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
                place,
                tags,
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
    pub(super) fn parts(&self, check: &mut Check<'_>, ids: &BTreeMap<MeterId, usize>) {
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

/// Whether two buses are one wire. A broker carries what sensors say beside what is heard by radio.
fn share(one: &Bus, other: &Bus) -> bool {
    let is_broker = matches!(one.port, PortSettings::Broker(_));
    one.port == other.port && !(is_broker && one.kind != other.kind)
}

/// None of a list that is refused: nothing is read of a file with a mistake.
fn tags(check: &mut Check<'_>, section: Section<'_>) -> Vec<String> {
    let tags = check.texts(section, &TAGS).unwrap_or_default();
    let is_word = |tag: &String| (1..=40).contains(&tag.trim().chars().count());
    if !tags.iter().all(is_word) {
        check.refuse(section, &TAGS, None);
        return Vec::new();
    }
    tags
}

fn loads(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

/// The port that someone who wrote only its end may have meant.
fn nearest_port(written: &str) -> Option<String> {
    let whole = ["serial://", "tcp://"].map(|kind| format!("{kind}{written}"));
    whole.into_iter().find(|whole| whole.parse::<PortSettings>().is_ok())
}
