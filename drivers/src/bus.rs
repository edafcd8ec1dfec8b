//! The one thing the gateway asks of a bus, and what it gets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::mbus::Traffic;
use chrono::NaiveDateTime;
use metering::{Clock, Identity, Medium, MeterId, Origin, Quality, Quantity, Reading, Register};

use crate::error::ReadError;
use crate::keyring::Keyring;
use crate::mbus::MbusBus;
use crate::modbus::ModbusBus;
use crate::mqtt::DeviceName;
use crate::onewire::{OneWireBus, SensorId};
use crate::port::{Parity, PortSettings};
use crate::profile::{Profile, Profiles, PulseWeight};
use crate::pulse::{Counts, PulseBus};
use crate::scan::{Scan, ScanStep};
use crate::weather::{Coordinates, WeatherBus};

/// A bus, and the meters that can be asked over it.
///
/// A bus is one wire shared by many meters, so it takes one question at a time: that is the
/// `&mut self`. When to ask, how long to wait and what to do with the answer are not its
/// business; the scheduler decides, and drops the future when it has waited long enough.
#[derive(Debug)]
pub enum Bus {
    /// Over a serial line or a transparent converter.
    Mbus(Box<MbusBus>),
    /// RTU, over TCP or not, and TCP.
    Modbus(Box<ModbusBus>),
    /// Thermometers behind the kernel's 1-Wire master.
    OneWire(Box<OneWireBus>),
    /// Pulses at the lines of a GPIO chip.
    Pulse(Box<PulseBus>),
    /// A weather service.
    Weather(Box<WeatherBus>),
}

impl Bus {
    /// A bus that connects when it is first asked, and again after every fault.
    ///
    /// A meter on an M-Bus that has no profile is read with the one of `profiles` that fits it; on a
    /// Modbus they tell a scan who was found.
    ///
    /// Pulses are counted, and a weather service is asked, only by who says more than settings:
    /// see [`PulseBus::counting`] and [`WeatherBus::open`].
    pub fn open(settings: &BusSettings, profiles: Arc<Profiles>) -> Self {
        match settings.kind {
            BusKind::Mbus => Self::Mbus(Box::new(MbusBus::open(settings, profiles))),
            BusKind::Modbus => Self::Modbus(Box::new(ModbusBus::knowing(settings, profiles))),
            BusKind::OneWire => Self::OneWire(Box::new(OneWireBus::open(settings))),
            BusKind::Pulse => {
                Self::Pulse(Box::new(PulseBus::counting(settings, &[], Counts::in_memory())))
            }
            BusKind::Weather => Self::Weather(Box::new(WeatherBus::open(settings, None))),
        }
    }

    /// Asks `meter` for everything it has to say, once.
    ///
    /// `clock` stamps the readings with the moment at which the answer began. One record that
    /// cannot be read does not spoil the others.
    ///
    /// # Errors
    ///
    /// Why the meter said nothing at all.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the bus fit for the next question: a late answer to the dropped
    /// one is never taken for an answer to another.
    pub async fn read(&mut self, meter: &Meter, clock: &dyn Clock) -> Result<Readout, ReadError> {
        match self {
            Self::Mbus(bus) => bus.read(meter, clock).await,
            Self::Modbus(bus) => bus.read(meter, clock).await,
            Self::OneWire(bus) => bus.read(meter, clock).await,
            Self::Pulse(bus) => bus.read(meter, clock).await,
            Self::Weather(bus) => bus.read(meter, clock).await,
        }
    }
}

impl Bus {
    /// Opens what M-Bus meters encrypt with `keys`, from the next answer on.
    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        if let Self::Mbus(bus) = self {
            bus.set_keys(keys);
        }
    }

    /// As [`ModbusBus::lessons`]; `None` of all but a Modbus, whose devices alone teach anything.
    pub fn lessons(&self) -> Option<String> {
        match self {
            Self::Modbus(bus) => Some(bus.lessons()),
            Self::Mbus(_) | Self::OneWire(_) | Self::Pulse(_) | Self::Weather(_) => None,
        }
    }

    /// As [`ModbusBus::recall`].
    pub fn recall(&mut self, lessons: &str) {
        if let Self::Modbus(bus) = self {
            bus.recall(lessons);
        }
    }

    /// What the last question saw of the wire; `None` of all but an M-Bus, which alone has a doctor.
    pub const fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Mbus(bus) => Some(bus.traffic()),
            Self::Modbus(_) | Self::OneWire(_) | Self::Pulse(_) | Self::Weather(_) => None,
        }
    }

    /// Asks at the next address of `scan`, once: see [`Scan::step`] and [`Scan::unit_step`] for
    /// errors and cancellation.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`] on any other than an M-Bus and a Modbus, too.
    pub async fn scan_step(
        &mut self,
        scan: &mut Scan,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        match self {
            Self::Mbus(bus) => scan.step(bus, clock).await,
            Self::Modbus(bus) => scan.unit_step(bus, clock).await,
            Self::OneWire(_) | Self::Pulse(_) | Self::Weather(_) => Err(ReadError::Misfit {
                address: MeterAddress::Unit(0),
                because: "there is nothing on this wire that can be searched for",
            }),
        }
    }
}

/// Which protocol is spoken on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusKind {
    /// EN 13757-2 and -3.
    Mbus,
    /// Modbus application protocol 1.1b3.
    Modbus,
    /// Thermometers on a 1-Wire.
    OneWire,
    /// S0 outputs and reed contacts.
    Pulse,
    /// The forecast of a weather service.
    Weather,
}

/// What a bus has to know before it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// Which protocol.
    pub kind: BusKind,
    /// Where it is reached.
    pub port: PortSettings,
    /// Bits a second on the wire, also behind a converter: the time-outs follow from it.
    pub baud: u32,
    /// Of a serial line; a converter has its own setting.
    pub parity: Parity,
    /// How long a meter may take before its answer begins; `None` for what the protocol says.
    pub answer_within: Option<Duration>,
    /// How long a gateway on a network is left alone after a connection to it was made.
    pub pause_after_connect: Duration,
}

/// A meter as its bus needs to know it.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The name on this site.
    pub id: MeterId,
    /// The address on its bus.
    pub address: MeterAddress,
    /// What its type says. Needed on a Modbus; on an M-Bus it is found, and not needed.
    pub profile: Option<Arc<Profile>>,
    /// The serial number that has to answer.
    pub serial: Option<String>,
    /// What its readings are marked with: live, or simulated.
    pub origin: Origin,
}

impl Meter {
    /// A meter that nobody has configured: whoever answers at `address`.
    pub(crate) const fn stranger(address: MeterAddress) -> Self {
        let id = MeterId::from_uuid(uuid::Uuid::nil());
        Self { id, address, profile: None, serial: None, origin: Origin::Live }
    }

    /// Holds what answered against what is configured; who tells no serial number is believed.
    pub(crate) fn expect_serial(&self, identity: &Identity) -> Result<(), ReadError> {
        match &self.serial {
            Some(expected) if !identity.serial.is_empty() && *expected != identity.serial => {
                Err(ReadError::WrongMeter {
                    address: self.address,
                    expected: expected.clone(),
                    found: identity.serial.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Where a meter is on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeterAddress {
    /// On an M-Bus: 0 to 250.
    Primary(u8),
    /// On an M-Bus: the meter's own address, with wildcards.
    Secondary(::mbus::Selection),
    /// On a Modbus: 1 to 247.
    Unit(u8),
    /// The one meter at a customer port.
    Port,
    /// On a 1-Wire: the number that is burnt into the sensor.
    Sensor(SensorId),
    /// A pulse input.
    Line {
        /// Its number at the chip.
        line: u32,
        /// How many pulses are one unit, where the profile does not say it.
        weight: Option<PulseWeight>,
    },
    /// Of a weather service: where the building is.
    Place(Coordinates),
    /// On an MQTT broker: the sensor's name in its topics.
    Device(DeviceName),
}

impl fmt::Display for MeterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(number) | Self::Unit(number) => number.fmt(f),
            Self::Secondary(selection) => selection.fmt(f),
            Self::Port => f.write_str("at the port"),
            Self::Sensor(sensor) => sensor.fmt(f),
            Self::Line { line, .. } => write!(f, "line {line}"),
            Self::Place(place) => place.fmt(f),
            Self::Device(device) => device.fmt(f),
        }
    }
}

/// One answer of one meter.
#[derive(Clone, Debug)]
pub struct Readout {
    /// Who answered.
    pub identity: Identity,
    /// What it counts, as far as it or its profile says.
    pub medium: Option<Medium>,
    /// Its numbers, and the registers of its profile that it left out or marked as invalid.
    pub readings: Vec<Reading>,
    /// What it keeps of an earlier time, as far as its profile knows it.
    pub remembered: Vec<Remembered>,
    /// What else it said: dates, texts, flags in words, and records that cannot be read.
    pub odd: Vec<OddRecord>,
    /// The answers as they came.
    pub telegrams: Vec<Vec<u8>>,
    /// From the question to the end of the last answer.
    pub took: Duration,
    /// The profile that was used.
    pub profile: Option<String>,
}

/// A value of an earlier time, out of a meter's own memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Which of its registers showed it then: one with storage 0.
    pub register: Register,
    /// When, by the meter's own clock, which knows no time zone.
    pub at: NaiveDateTime,
    /// What it showed.
    pub value: Quantity,
    /// [`Quality::TimeEstimated`] if no document says when on that day it was taken.
    pub quality: Quality,
}

/// Something in an answer that is not a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddRecord {
    /// In which telegram of the readout, from 0.
    pub telegram: usize,
    /// Which record of it, from 0; 0 for what is about the telegram as a whole.
    pub at: usize,
    /// What is told of it.
    pub kind: OddKind,
    /// What it is: the register's canonical text, where it has one.
    pub what: String,
    /// What it says, or why it cannot be read, in English.
    pub note: String,
}

/// What is told of an [`OddRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OddKind {
    /// What the meter said: a date, a text, a version, bytes of the maker's own.
    Value,
    /// What a bit that is set means, by the profile.
    SetBit,
    /// A password or an access code, which is not shown.
    Secret,
    /// Why the record has no value although it is well formed.
    Invalid,
    /// Why the record cannot be read.
    Unread,
    /// There are more numbers of one name than can be told apart.
    Nameless,
    /// The meter's status tells of a permanent error.
    PermanentError,
    /// The meter's status tells of a temporary error.
    TemporaryError,
    /// The meter's status tells that its battery or supply is low.
    PowerLow,
    /// An alarm came instead of records: its byte in hex.
    Alarm,
    /// The meter has more telegrams than it is asked for.
    MoreFollow,
    /// Why the telegram after this one did not come.
    CutShort,
    /// Something that was to be counted was lost.
    Lost,
}
