//! A broker as a wire of the gateway: the configured sensors, and those that are heard beside them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metering::{Clock, Identity, Medium, Moment, NoReading, Quality, Reading, Register};
use mqtt_client::Event;
use tokio::time::{self, Instant};

use super::announcement::{self, Announcements};
use super::link::{BrokerLink, Linked, MqttSettings};
use crate::ear::{Heard, Plaint, Stranger};
use crate::error::ReadError;
use crate::port::PortFault;
use crate::{Meter, Profile, Profiles, Readout, Said};

/// The ear at one broker.
pub struct MqttEar {
    link: BrokerLink,
    sensors: Vec<Sensor>,
    profiles: Arc<Profiles>,
    announcements: Announcements,
    /// What the sensors say on; if the broker does not give it, they cannot be heard.
    needed: BTreeSet<String>,
    /// What was asked of the broker on this connection.
    subscribed: BTreeSet<String>,
    heard: VecDeque<Heard>,
}

impl fmt::Debug for MqttEar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttEar").field("settings", self.link.settings()).finish_non_exhaustive()
    }
}

/// A configured sensor.
#[derive(Debug)]
struct Sensor {
    meter: Meter,
    /// As it is configured.
    name: String,
    /// As its profile has to be asked.
    device: String,
    /// The configured one, or what it announced.
    profile: Option<Arc<Profile>>,
    is_announced: bool,
    /// Until when the last value of each of its registers holds.
    held: BTreeMap<String, (Register, Instant)>,
    /// When it was last heard.
    last: Instant,
    is_offline: bool,
}

impl MqttEar {
    /// An ear for `meters`, whose addresses are their names on the broker.
    pub fn open(settings: MqttSettings, meters: Vec<Meter>, profiles: Arc<Profiles>) -> Self {
        let now = Instant::now();
        let sensor = |meter: Meter| Sensor {
            name: meter.address.to_string(),
            device: match meter.profile {
                Some(_) => meter.address.to_string(),
                None => announcement::NAMELESS.to_owned(),
            },
            profile: meter.profile.clone(),
            is_announced: meter.profile.is_none(),
            meter,
            held: BTreeMap::new(),
            last: now,
            is_offline: false,
        };
        Self {
            link: BrokerLink::new(settings),
            sensors: meters.into_iter().map(sensor).collect(),
            profiles,
            announcements: Announcements::default(),
            needed: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            heard: VecDeque::new(),
        }
    }

    /// Whether what the meter `index` said last still holds, so that its silence is none.
    pub fn holds(&self, index: usize) -> bool {
        let now = Instant::now();
        let sensor = self.sensors.get(index).filter(|it| self.link.is_up() && !it.is_offline);
        sensor.is_some_and(|it| it.held.values().any(|(_, until)| *until > now))
    }

    /// As [`Ear::hear`](crate::Ear::hear).
    pub async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let ends = self.sensors.iter().flat_map(|it| it.held.values());
            let ends = ends.map(|(_, until)| *until).min().filter(|_| self.link.is_up());
            let ended = async {
                match ends {
                    Some(ends) => time::sleep_until(ends).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                linked = self.link.next() => match linked {
                    Linked::Up => self.up(),
                    Linked::Down(cause) => self.down(cause),
                    Linked::Event(event) => self.event(event, clock.now()),
                },
                () = ended => self.expire(clock.now()),
            }
        }
    }

    fn up(&mut self) {
        self.heard.push_back(Heard::Well);
        self.subscribed.clear();
        self.needed = self.sensors.iter().flat_map(Sensor::topics).collect();
        let patterns = self.profiles.iter().flat_map(|profile| profile.mqtt_patterns());
        let mut filters: BTreeSet<String> = patterns.filter_map(|it| filter_of(&it)).collect();
        filters.extend(announcement::FILTERS.map(str::to_owned));
        self.subscribe(self.needed.clone());
        self.subscribe(filters);
        self.subscribe(self.announcements.topics());
    }

    /// Asks the broker for what it was not asked for on this connection, as far as there is room.
    fn subscribe(&mut self, filters: BTreeSet<String>) {
        let Some(client) = self.link.client() else { return };
        let room = MOST_SUBSCRIBED.saturating_sub(self.subscribed.len());
        let new = filters.into_iter().filter(|it| !self.subscribed.contains(it)).take(room);
        let new: Vec<String> = new.collect();
        if !new.is_empty() {
            self.subscribed.extend(new.iter().cloned());
            client.subscribe(new);
        }
    }

    fn down(&mut self, cause: PortFault) {
        let port = self.link.settings().port.clone();
        let error = ReadError::Port { port, cause };
        self.heard.push_back(Heard::Trouble(Plaint { index: None, error }));
    }

    fn event(&mut self, event: Event, now: Moment) {
        match event {
            Event::Message { topic, payload, retained } => {
                self.message(&topic, &payload, retained, now);
            }
            Event::NotAllowed(filter) if self.needed.contains(&filter) => {
                let mute = self.sensors.iter().position(|it| it.topics().contains(&filter));
                let address = mute.and_then(|it| self.sensors.get(it)).map(|it| it.meter.address);
                if let Some(address) = address {
                    let error = ReadError::Misfit { address, because: NOT_ALLOWED };
                    self.heard.push_back(Heard::Trouble(Plaint { index: mute, error }));
                }
            }
            // What is not given only for strangers need not be.
            Event::NotAllowed(_) | Event::Subscribed(_) | Event::AllTaken => {}
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Moment) {
        if self.announcements.take(topic, payload) {
            self.announced();
        }
        let mut is_ours = false;
        for (index, sensor) in self.sensors.iter_mut().enumerate() {
            let Some(profile) = sensor.profile.clone() else { continue };
            is_ours |= sensor.topics().contains(topic);
            match profile.mqtt_available(&sensor.device, topic, payload) {
                Some(true) => sensor.is_offline = false,
                Some(false) if !sensor.is_offline => {
                    sensor.is_offline = true;
                    sensor.held.clear();
                    self.heard.push_back(sensor.quiet(index));
                }
                _ => {}
            }
            let said = profile.hear_mqtt(&sensor.device, topic, payload, now.wall);
            let readings: Vec<Reading> =
                said.into_iter().filter_map(|said| sensor.reading(said, retained, now)).collect();
            if !readings.is_empty() {
                sensor.last = Instant::now();
                sensor.is_offline = false;
                let readout = sensor.readout(readings, payload);
                let readout = Box::new(readout);
                self.heard.push_back(Heard::Meter { index, readout, once: false });
            }
        }
        if !is_ours && !retained {
            self.stranger(topic, payload, now);
        }
    }

    fn stranger(&mut self, topic: &str, payload: &[u8], at: Moment) {
        let found = self.profiles.of_mqtt(topic, payload, at.wall);
        let known = found.first().map(|(_, device)| *device);
        let announced = self.announcements.devices_at(topic).next();
        let Some(name) = known.or(announced) else { return };
        self.heard.push_back(Heard::Stranger(Stranger {
            name: name.to_owned(),
            identity: Identity {
                serial: String::new(),
                manufacturer: String::new(),
                version: String::new(),
            },
            medium: None,
            rssi_dbm: None,
            sealed: false,
            at,
        }));
    }

    /// Reads what has announced itself by what it announced.
    fn announced(&mut self) {
        for sensor in self.sensors.iter_mut().filter(|it| it.is_announced) {
            sensor.profile = self.announcements.profile(&sensor.name);
        }
        self.needed = self.sensors.iter().flat_map(Sensor::topics).collect();
        self.subscribe(self.needed.clone());
        self.subscribe(self.announcements.topics());
    }

    /// Says of what has not been said again in its time that it holds no more.
    fn expire(&mut self, at: Moment) {
        let now = Instant::now();
        for (index, sensor) in self.sensors.iter_mut().enumerate() {
            let ended: Vec<Register> = sensor
                .held
                .extract_if(.., |_, (_, until)| *until <= now)
                .map(|(_, (register, _))| register)
                .collect();
            if ended.is_empty() {
                continue;
            }
            if sensor.held.is_empty() {
                self.heard.push_back(sensor.quiet(index));
                continue;
            }
            let absent = |register| Reading {
                register,
                at,
                value: Err(NoReading::Silent),
                quality: Quality::Good,
                origin: sensor.meter.origin,
            };
            let readings = ended.into_iter().map(absent).collect();
            let readout = Box::new(sensor.readout(readings, &[]));
            self.heard.push_back(Heard::Meter { index, readout, once: false });
        }
    }
}

impl Sensor {
    fn topics(&self) -> BTreeSet<String> {
        self.profile.as_ref().map(|it| it.mqtt_topics(&self.device)).unwrap_or_default()
    }

    fn quiet(&self, index: usize) -> Heard {
        let error = ReadError::Quiet { address: self.meter.address, waited: self.last.elapsed() };
        Heard::Trouble(Plaint { index: Some(index), error })
    }

    /// What was said as a reading; `None` if nobody knows whether it still holds.
    fn reading(&mut self, said: Said, retained: bool, now: Moment) -> Option<Reading> {
        let Said { register, value, quality, at, expires_after } = said;
        let age = match at {
            None if retained => return None,
            None => TimeDelta::zero(),
            Some(at) => now.wall - at,
        };
        let is_ahead = age < -AHEAD;
        let ago = age.to_std().unwrap_or_default();
        if let Some(expires) = expires_after {
            let left = expires.checked_sub(ago)?;
            let name = register.to_string();
            self.held.insert(name, (register.clone(), Instant::now() + left));
        } else if retained {
            return None;
        }
        let boottime = now.boottime.saturating_sub(ago);
        let (at, quality) = match (at, quality) {
            // Its clock is wrong: the time at which it came is nearer.
            (Some(_), Quality::Good) if is_ahead => (now, Quality::TimeEstimated),
            (Some(wall), quality) if !is_ahead => (Moment { wall, boottime, ..now }, quality),
            (_, quality) => (now, quality),
        };
        Some(Reading { register, at, value, quality, origin: self.meter.origin })
    }

    fn readout(&self, readings: Vec<Reading>, payload: &[u8]) -> Readout {
        let profile = self.profile.as_ref().filter(|_| !self.is_announced);
        let of_profile = |it: &Arc<Profile>| (it.id.clone(), it.vendor.clone(), it.medium);
        let (id, maker, medium) =
            profile.map(of_profile).map_or((None, None, None), |(id, maker, medium)| {
                (Some(id), Some(maker), Some(medium))
            });
        Readout {
            identity: Identity {
                serial: self.meter.serial.clone().unwrap_or_default(),
                manufacturer: maker.unwrap_or_default(),
                version: String::new(),
            },
            medium: medium.filter(|it| *it != Medium::Other),
            readings,
            remembered: Vec::new(),
            odd: Vec::new(),
            telegrams: payload
                .get(..MOST_KEPT.min(payload.len()))
                .map(<[u8]>::to_vec)
                .into_iter()
                .collect(),
            took: Duration::ZERO,
            profile: id,
        }
    }
}

/// The filter of all sensors of one type, from the pattern of its topics.
fn filter_of(pattern: &str) -> Option<String> {
    if !pattern.contains("{device}") {
        return None;
    }
    let level =
        |level: &str| if level.contains("{device}") { "+".to_owned() } else { level.to_owned() };
    let filter = pattern.split('/').map(level).collect::<Vec<_>>().join("/");
    // A pattern that begins with the device's name alone names half of what is on a broker; such
    // devices are heard once they are configured.
    (!filter.starts_with('+')).then_some(filter)
}

const NOT_ALLOWED: &str = "the broker does not let the gateway's user subscribe to its topics; give it \
                           a rule for them";

/// So far may a sensor's clock be ahead of ours.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What is subscribed to on one connection at most: anybody on the broker may announce topics, and
/// those that a sensor of the building takes back are not subscribed to any less.
const MOST_SUBSCRIBED: usize = 20_000;

/// Of a message, for whoever wants to see it as it came.
const MOST_KEPT: usize = 1_024;

#[cfg(test)]
mod tests;
