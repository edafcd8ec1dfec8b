//! From the configuration's words to the drivers': which bus to open, which meters to ask on it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use drivers::han::{HanSettings, Line};
use drivers::mqtt::MqttSettings;
use drivers::pulse::{Counts, PulseBus};
use drivers::radio::{RadioMode, RadioSettings, ReceiverKind};
use drivers::weather::WeatherBus;
use drivers::{
    BrokerAt, Bus, BusKind, BusSettings, Ear, EarKind, EarSettings, Keyring, Load, PortSettings,
    Profiles,
};
use metering::{MeterId, Origin, Register};
use store::Kind;
use web_ui::{ScanKind, ScanOrder};

use crate::config::{self, WireKind};
use crate::poll::{Plan, Planned};

/// What a bus's task is made from. Two that are equal read the same in the same way, whatever
/// people call them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wiring {
    bus: config::Bus,
    zone: Tz,
}

impl Wiring {
    /// `bus` of a building in `zone`, without what is only for people.
    pub(crate) fn of(bus: &config::Bus, zone: Tz) -> Self {
        let mut bus = bus.clone();
        bus.name.clear();
        for meter in &mut bus.meters {
            meter.name.clear();
            meter.medium = None;
            meter.outdoor = false;
            meter.part_of = None;
        }
        Self { bus, zone }
    }

    /// As in the configuration.
    pub(crate) fn id(&self) -> &str {
        &self.bus.id
    }

    /// Where it is plugged in.
    pub(crate) fn port(&self) -> &PortSettings {
        &self.bus.port
    }

    /// Whether it can be searched as `order` has it.
    pub(crate) fn can_be_scanned(&self, order: ScanOrder) -> bool {
        let by_units = match order {
            ScanOrder::Start(kind) => Some(kind == ScanKind::Units),
            ScanOrder::Pause | ScanOrder::Resume | ScanOrder::Cancel => None,
        };
        match self.bus.kind {
            WireKind::Asked(BusKind::Mbus) => by_units != Some(true),
            WireKind::Asked(BusKind::Modbus) => by_units != Some(false),
            _ => false,
        }
    }

    /// Whether it is the bus `other`, reached in the same way; its meters may be others.
    pub(crate) fn has_wire_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.bus, &other.bus);
        a.id == b.id
            && (a.kind, &a.port, a.baud, a.parity, a.answer_within)
                == (b.kind, &b.port, b.baud, b.parity, b.answer_within)
    }

    /// How many there are on it.
    pub(crate) fn meters(&self) -> usize {
        self.bus.meters.len()
    }

    /// Its wire, which is opened when it is first used.
    ///
    /// Pulses are counted into `counts` from now on. `state` is where the gateway's own broker
    /// has its socket.
    pub(crate) fn wire(
        &self,
        profiles: &Arc<Profiles>,
        counts: &Counts,
        keys: &Arc<Keyring>,
        state: &Path,
    ) -> Wire {
        match self.bus.kind {
            WireKind::Asked(kind @ BusKind::Pulse) => {
                let meters: Vec<_> = self.bus.meters.iter().map(|it| meter(it, profiles)).collect();
                let settings = settings(&self.bus, kind);
                let bus = PulseBus::counting(&settings, &meters, counts.clone());
                Wire::Asked(Bus::Pulse(Box::new(bus)))
            }
            WireKind::Asked(kind @ BusKind::Weather) => {
                let settings = settings(&self.bus, kind);
                let bus = WeatherBus::open(&settings, self.bus.contact.clone());
                Wire::Asked(Bus::Weather(Box::new(bus)))
            }
            WireKind::Asked(kind) => {
                let mut bus = Bus::open(&settings(&self.bus, kind), Arc::clone(profiles));
                bus.set_keys(Arc::clone(keys));
                Wire::Asked(bus)
            }
            WireKind::Listened(kind) => {
                let meters = self.bus.meters.iter().map(|it| meter(it, profiles)).collect();
                let settings = heard_at(&self.bus, kind, state);
                Wire::Listened(Ear::open(settings, meters, Arc::clone(profiles), keys))
            }
        }
    }

    /// When its meters are asked; `answered` tells when those did that need not be asked at once.
    pub(crate) fn plan(
        &self,
        profiles: &Profiles,
        answered: &HashMap<MeterId, DateTime<Utc>>,
    ) -> Plan {
        let planned = |meter: &config::Meter| Planned {
            meter: self::meter(meter, profiles),
            poll_every: meter.poll_every,
            answered: answered.get(&meter.id).copied(),
        };
        Plan {
            bus: self.bus.id.clone(),
            zone: self.zone,
            longest: longest(&self.bus),
            load: load(&self.bus),
            meters: self.bus.meters.iter().map(planned).collect(),
        }
    }

    /// The meters that `before` asked in the same way: these need not be asked again at once.
    pub(crate) fn unchanged_meters(&self, before: &Self) -> impl Iterator<Item = MeterId> {
        let same = |meter: &&config::Meter| before.bus.meters.contains(meter);
        self.bus.meters.iter().filter(same).map(|meter| meter.id)
    }
}

/// What the wire of `bus` carries, and may.
pub(crate) fn load(bus: &config::Bus) -> Load {
    let sum = bus.meters.iter().map(|meter| meter.unit_loads).sum();
    Load { sum, most: bus.max_unit_loads }
}

/// A wire, and who begins on it.
#[derive(Debug)]
pub(crate) enum Wire {
    /// We do.
    Asked(Bus),
    /// Its meters do.
    Listened(Ear),
}

/// How the wire of `bus` is listened to.
fn heard_at(bus: &config::Bus, kind: EarKind, state: &Path) -> EarSettings {
    match kind {
        EarKind::Han => EarSettings::Han(HanSettings {
            port: bus.port.clone(),
            line: (!bus.finds_line).then_some(Line { baud: bus.baud, parity: bus.parity }),
            kamstrup_energy: bus.energy_step,
        }),
        EarKind::Mqtt => {
            let at = match &bus.port {
                PortSettings::Broker(at) => at.clone(),
                // The configuration refuses all others.
                _ => BrokerAt::Own,
            };
            EarSettings::Mqtt(broker(bus, &at, state))
        }
        EarKind::Radio => {
            let radio = bus.radio.clone().unwrap_or(config::Radio {
                receiver: ReceiverKind::Lines,
                mode: RadioMode::default(),
                topic: None,
            });
            EarSettings::Radio(match (&bus.port, radio.topic) {
                (PortSettings::Broker(at), Some(topic)) => {
                    RadioSettings::Broker { broker: broker(bus, at, state), topic }
                }
                _ => RadioSettings::Receiver {
                    port: bus.port.clone(),
                    kind: radio.receiver,
                    mode: radio.mode,
                    baud: (!bus.finds_line).then_some(bus.baud),
                },
            })
        }
    }
}

/// How the broker of `bus`, which is `at`, is connected to.
fn broker(bus: &config::Bus, at: &BrokerAt, state: &Path) -> MqttSettings {
    MqttSettings {
        port: bus.port.clone(),
        address: crate::mqtt::address(&bus.login, at, state),
        // Two gateways may be on one broker, with buses of one name.
        client_id: format!("fyrhus-{}-{:08x}", bus.id, rand::random::<u32>()),
        user: bus.login.user.clone(),
        password_file: bus.login.password_file.clone(),
    }
}

/// How the wire of `bus` is opened.
fn settings(bus: &config::Bus, kind: BusKind) -> BusSettings {
    BusSettings {
        kind,
        port: bus.port.clone(),
        baud: bus.baud,
        parity: bus.parity,
        answer_within: bus.answer_within,
        pause_after_connect: bus.pause_after_connect,
    }
}

fn meter(meter: &config::Meter, profiles: &Profiles) -> drivers::Meter {
    drivers::Meter {
        id: meter.id,
        address: meter.address,
        profile: meter.profile.as_deref().and_then(|id| profiles.get(id)),
        serial: meter.serial.clone(),
        origin: if meter.simulated { Origin::Simulated } else { Origin::Live },
    }
}

/// The longest that one question may take: eight full telegrams of a slow meter, each with as much
/// time before it begins.
///
/// The bus has time-outs of its own for a meter that is silent; this one is for a meter that goes
/// on and on.
fn longest(bus: &config::Bus) -> Duration {
    if bus.kind == WireKind::Asked(BusKind::Weather) {
        // Its first question goes out into the world.
        return Duration::from_secs(45);
    }
    let answer_within = bus.answer_within.unwrap_or(Duration::from_secs(1));
    let telegram = match bus.port {
        PortSettings::Tcp(_) if bus.kind == WireKind::Asked(BusKind::Modbus) => Duration::ZERO,
        // 261 characters of 11 bits.
        _ => Duration::from_secs(261 * 11) / bus.baud.max(300),
    };
    (8 * (telegram + answer_within)).clamp(Duration::from_secs(8), Duration::from_mins(2))
}

/// The kind of a register, by the profile that its meter is read with or by what it counts.
pub(crate) fn kind(profiles: &Profiles, profile: Option<&str>, register: &Register) -> Kind {
    let profile = profile.and_then(|id| profiles.get(id));
    let of_profile = profile.as_ref().and_then(|profile| {
        profile.registers().find(|spec| spec.register == *register).map(|spec| spec.kind)
    });
    match of_profile.unwrap_or_else(|| drivers::kind_of(register)) {
        drivers::Kind::Counter => Kind::Counter,
        drivers::Kind::Gauge => Kind::Gauge,
        drivers::Kind::Flag => Kind::Flag,
    }
}
