//! Device profiles: what a type of meter says, as data.
//!
//! One TOML file for each type, in one format for every wire. Those of this crate are embedded
//! in the program; those beside `site.toml` are read over them, for the meter that came
//! yesterday. `profiles/README.md` says how one is written.
//!
//! | Module    | Is                                                        |
//! |-----------|-----------------------------------------------------------|
//! | `file`    | the file as it is written, key by key                      |
//! | `check`   | from there to a [`Profile`], or to everything that is wrong |
//! | `mbus`    | recognition, quirks and memory of a meter on an M-Bus      |
//! | `point`   | where a register is on a Modbus device, and its decoding   |
//! | `mqtt`    | what a message of a sensor says                            |
//! | `sensor`  | pulses that are counted, and 1-Wire thermometers           |
//! | `vector`  | the profile's own test                                     |
//! | `folder`  | the profiles that somebody has added                       |
//!
//! **Never true:** a profile that was loaded asks for something that its own limits forbid.

mod check;
mod file;
mod folder;
mod growth;
mod mbus;
mod mqtt;
mod point;
mod sensor;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{Identity, Medium, NoReading, Quality, Quantity, Register, Unit};
use rust_embed::RustEmbed;

use crate::modbus::plan::Limits;
use crate::modbus::{self, Answer, Request};
use crate::port::Parity;

pub use folder::FolderStamp;
pub(crate) use mbus::MbusIdentity;
pub use mbus::{FlagBit, Interval, Memory, Quirks, Taken, Texts};
pub(crate) use mqtt::{Availability, MqttPoint};
pub use mqtt::{MOST_PAYLOAD, Said};
pub(crate) use point::{Point, Words, compare};
pub use sensor::{Edge, InvalidPulseWeight, OneWire, PulseInput, PulseWeight};

/// One type of meter.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `eastron.sdm630`.
    pub id: String,
    /// Who makes it.
    pub vendor: String,
    /// The types it is for, as on the type plates.
    pub models: Vec<String>,
    /// What it counts.
    pub medium: Medium,
    /// What stands behind it.
    pub status: Status,
    /// Where the facts are from.
    pub source: String,
    /// What whoever reads its numbers has to know: digits that are lost, a counter that steps back.
    pub note: Option<String>,
    pub(crate) modbus: Option<Modbus>,
    pub(crate) mbus: Vec<MbusIdentity>,
    quirks: Quirks,
    memory: Vec<Memory>,
    availability: Option<Availability>,
    registers: Vec<RegisterSpec>,
    pub(crate) vectors: Vec<Vector>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines, at most some hundred mistakes.
    /// (Of what is not TOML, only what is wrong with that.)
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        check::profile(text)
    }

    /// How many vectors test it.
    pub fn vectors(&self) -> usize {
        self.vectors.len()
    }

    /// What the meter says, in the order of the file.
    pub fn registers(&self) -> impl Iterator<Item = &RegisterSpec> {
        self.registers.iter()
    }

    /// What is odd about it on an M-Bus.
    pub fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// What it sends of an earlier time.
    pub fn memory(&self) -> &[Memory] {
        &self.memory
    }

    /// The wires it can be read over.
    pub fn wires(&self) -> Vec<&'static str> {
        let any = |is: fn(&RegisterSpec) -> bool| self.registers.iter().any(is);
        let wires = [
            (any(|it| it.mbus.is_some()), "M-Bus"),
            (self.modbus.is_some(), "Modbus"),
            (any(|it| !it.mqtt.is_empty()), "MQTT"),
            (any(|it| it.pulse.is_some()), "pulses"),
            (any(|it| it.onewire.is_some()), "1-Wire"),
        ];
        wires.into_iter().filter_map(|(is, wire)| is.then_some(wire)).collect()
    }

    /// How its serial line is set as it leaves the factory, where that is known.
    pub fn serial_default(&self) -> Option<SerialDefault> {
        self.modbus.as_ref()?.serial_default
    }

    /// The register that its pulses count; `None` for what gives none.
    pub fn pulse_register(&self) -> Option<(&RegisterSpec, &PulseInput)> {
        self.registers.iter().find_map(|spec| Some((spec, spec.pulse.as_ref()?)))
    }

    /// The temperature of a thermometer on a 1-Wire; `None` for what is none.
    pub fn onewire_register(&self) -> Option<(&RegisterSpec, &OneWire)> {
        self.registers.iter().find_map(|spec| Some((spec, spec.onewire.as_ref()?)))
    }

    /// The Modbus registers that one readout needs, one entry for each value, and what the device
    /// allows in one request. `None` for a meter that is not on a Modbus.
    pub fn modbus_points(&self) -> Option<(Vec<Request>, &Limits)> {
        let modbus = self.modbus.as_ref()?;
        let points = self.registers.iter().filter_map(|spec| spec.point.as_ref());
        let serial = modbus.serial.iter();
        Some((points.chain(serial).map(Point::hull).collect(), &modbus.limits))
    }

    /// What the answers of a Modbus device mean, for whoever has them without a bus: each is what
    /// the device said behind its unit and before the checksum. A register whose words are not
    /// among them is left out.
    pub fn of_answers(
        &self,
        answers: &[(Request, &[u8])],
    ) -> Vec<(Register, Result<Quantity, NoReading>)> {
        let mut words = Words::default();
        for (request, pdu) in answers {
            if let Ok(Answer::Words(came)) = modbus::answer(pdu, *request) {
                words.put(request.function, request.address, came);
            }
        }
        let value = |spec: &RegisterSpec| {
            let number = spec.point.as_ref()?.number(&words, spec.decimals, spec.unit)?;
            Some((spec.register.clone(), number))
        };
        self.registers.iter().filter_map(value).collect()
    }

    /// Whether there is a meter on an M-Bus, or a thermometer on a 1-Wire, that both are for.
    pub fn meets(&self, other: &Self) -> bool {
        let family = |it: &Self| it.onewire_register().map(|(_, wire)| wire.family);
        let of_mbus = |it: &MbusIdentity| other.mbus.iter().any(|other| it.meets(other));
        self.mbus.iter().any(of_mbus) || family(self).is_some_and(|it| family(other) == Some(it))
    }

    /// Whether `identity` is that of a meter on an M-Bus that this profile is for.
    pub fn fits(&self, identity: &Identity, medium_code: u8) -> bool {
        self.mbus.iter().any(|it| it.fits(identity, medium_code))
    }
}

/// What stands behind a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was read from such a device.
    Hardware,
    /// It was written from the maker's documents.
    Document,
    /// It was written from what others say.
    Community,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hardware => "hardware",
            Self::Document => "document",
            Self::Community => "community",
        })
    }
}

/// One of the numbers that a type of meter says.
#[derive(Clone, Debug)]
pub struct RegisterSpec {
    /// Which.
    pub register: Register,
    /// How it behaves.
    pub kind: Kind,
    /// The unit of its display.
    pub unit: Unit,
    /// Digits behind the point, where the wire does not say it.
    pub decimals: Option<i8>,
    /// Where the counter begins again at zero. For whoever subtracts two values.
    pub modulus: Option<Quantity>,
    /// The bounds of what is possible.
    pub plausible: Plausible,
    /// Not every one of these meters sends it: that it is left out is no absence.
    pub optional: bool,
    /// What people call it, where the words of its key do not say it.
    pub name: Option<Texts>,
    /// What its bits mean, if it is a flag of several.
    pub bits: Vec<FlagBit>,
    pub(crate) point: Option<Point>,
    pub(crate) mbus: Option<RecordMatch>,
    /// A sensor may tell it in several places.
    pub(crate) mqtt: Vec<MqttPoint>,
    pub(crate) pulse: Option<PulseInput>,
    pub(crate) onewire: Option<OneWire>,
}

impl RegisterSpec {
    /// What the record on an M-Bus is called without a profile; `None` if it is on none.
    pub fn record(&self) -> Option<&Register> {
        self.mbus.as_ref().map(|it| &it.register)
    }
}

/// How a register behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It only grows, and consumption is a difference of two of its values.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A bit, or several as one number: neither a sum nor a mean of it says anything.
    Flag,
}

/// Bounds of what is possible. A value outside is kept, and marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plausible {
    /// The least.
    pub min: Option<Quantity>,
    /// The most.
    pub max: Option<Quantity>,
    /// The most that a counter can grow in an hour: see [`RegisterSpec::judge_growth`].
    pub max_rate_per_hour: Option<Quantity>,
}

impl Plausible {
    /// Whether `value` lies within.
    pub fn judge(&self, value: Quantity) -> Quality {
        // A meter that was set to another unit than its type usually has is not judged.
        let unit = value.resolution().unit();
        let bound = |bound: Option<Quantity>| bound.filter(|it| it.resolution().unit() == unit);
        let below = bound(self.min).is_some_and(|min| compare(value, min).is_lt());
        let above = bound(self.max).is_some_and(|max| compare(value, max).is_gt());
        if below || above { Quality::Implausible } else { Quality::Good }
    }
}

/// How the serial line of a device is set as it leaves the factory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialDefault {
    /// Bits a second.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop: u8,
}

/// What the whole device is like on a Modbus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modbus {
    pub(crate) limits: Limits,
    /// Quiet time between two requests to the unit.
    pub(crate) min_interval: Duration,
    /// Quiet time after another unit was asked.
    pub(crate) unit_change: Duration,
    /// Quiet time after a connection to it was made.
    pub(crate) after_connect: Duration,
    pub(crate) serial_default: Option<SerialDefault>,
    pub(crate) identify: Vec<Identify>,
    /// Where its serial number is.
    pub(crate) serial: Option<Point>,
}

/// What tells the type of a device.
#[derive(Clone, Debug)]
pub(crate) enum Identify {
    /// One of these numbers.
    Number { point: Point, any_of: Vec<i128> },
    /// What stands in registers one after the other.
    Words { at: Request, words: Vec<u16> },
}

impl Identify {
    /// What has to be read for it.
    pub(crate) const fn at(&self) -> Request {
        match self {
            Self::Number { point, .. } => point.at,
            Self::Words { at, .. } => *at,
        }
    }

    /// Whether a device where `found` stands is of this type.
    pub(crate) fn is_it(&self, found: &[u16]) -> bool {
        match self {
            Self::Number { point, any_of } => {
                let mut words = Words::default();
                words.put(point.at.function, point.at.address, found.to_vec());
                point.integer(&words).is_some_and(|number| any_of.contains(&number))
            }
            Self::Words { words, .. } => words == found,
        }
    }
}

/// Which record of a telegram a register is: never its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordMatch {
    /// The canonical text of the record without a profile: `energy_t1_s1`.
    pub(crate) register: Register,
}

/// What comes over a wire, and the values that must come out of it.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    /// Where it stands in the file.
    pub(crate) line: usize,
    pub(crate) source: VectorSource,
    /// By canonical text; a decimal, or the word of a [`metering::NoReading`].
    pub(crate) expect: BTreeMap<String, String>,
    /// By canonical text and time, `energy 2026-01-01T00:00`.
    pub(crate) remembers: BTreeMap<String, String>,
    pub(crate) says: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum VectorSource {
    /// The file beside the profile that holds a telegram in hex.
    Frame(String),
    Words(Words),
    Messages {
        device: String,
        /// Topic and payload.
        messages: Vec<(String, String)>,
    },
    Pulses(u64, PulseWeight),
    Millidegrees(i64),
}

/// One thing that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// In which file; empty if it has none.
    pub file: String,
    /// Where, counted from 1.
    pub line: usize,
    /// What was found, what is allowed, and what to do.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.advice),
            file => write!(f, "{file}, line {}: {}", self.line, self.advice),
        }
    }
}

/// All profiles that there are.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    by_id: BTreeMap<String, Arc<Profile>>,
    /// Those that were read from a folder, and from which file: they come before the embedded ones.
    added: BTreeMap<String, PathBuf>,
    /// The ids that files of the folder have which cannot be used.
    unusable: BTreeSet<String>,
}

#[derive(RustEmbed)]
#[folder = "profiles"]
pub(crate) struct Embedded;

impl Profiles {
    /// Those of this crate. (The tests load every one of them, and run their vectors.)
    pub fn embedded() -> Self {
        static PARSED: LazyLock<BTreeMap<String, Arc<Profile>>> = LazyLock::new(|| {
            let names = Embedded::iter().filter(|name| has_profile_name(Path::new(name.as_ref())));
            let text = |name: &str| String::from_utf8(Embedded::get(name)?.data.into_owned()).ok();
            let profiles = names.filter_map(|name| Profile::parse(&text(&name)?).ok());
            profiles.map(|it| (it.id.clone(), Arc::new(it))).collect()
        });
        Self { by_id: PARSED.clone(), ..Self::default() }
    }

    /// The profile with this id.
    pub fn get(&self, id: &str) -> Option<Arc<Profile>> {
        self.by_id.get(id).cloned()
    }

    /// The file from which the profile with this id was read; `None` if it is of the program.
    pub fn file(&self, id: &str) -> Option<&Path> {
        self.added.get(id).map(PathBuf::as_path)
    }

    /// The ids that a configuration may name: those of profiles, and those of files that cannot be
    /// used. A meter of the latter is not read, and spoils nothing else.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.by_id.keys().chain(&self.unusable).map(String::as_str).collect()
    }

    /// The text of the profile with this id, as its author wrote it.
    pub fn text(&self, id: &str) -> Option<String> {
        if let Some(file) = self.added.get(id) {
            return std::fs::read_to_string(file).ok();
        }
        let name = format!("{}.toml", id.replace('.', "-"));
        String::from_utf8(Embedded::get(&name)?.data.into_owned()).ok()
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.by_id.values()
    }

    /// The one that fits the header of an M-Bus telegram; one that was added on this gateway
    /// before an embedded one.
    pub fn matching(&self, identity: &Identity, medium_code: u8) -> Option<Arc<Profile>> {
        let added = self.added.keys().filter_map(|id| self.by_id.get(id));
        let mut all = added.chain(self.by_id.values());
        all.find(|profile| profile.fits(identity, medium_code)).cloned()
    }

    /// The one for thermometers of this family on a 1-Wire; one that was added on this gateway
    /// before an embedded one.
    pub fn of_onewire(&self, family: u8) -> Option<Arc<Profile>> {
        let added = self.added.keys().filter_map(|id| self.by_id.get(id));
        let mut all = added.chain(self.by_id.values());
        all.find(|it| it.onewire_register().is_some_and(|(_, wire)| wire.family == family)).cloned()
    }

    /// The types of sensors that would say something by this message, each with the name of the
    /// sensor: to tell strangers.
    pub fn of_mqtt<'t>(
        &self,
        topic: &'t str,
        payload: &[u8],
        now: DateTime<Utc>,
    ) -> Vec<(Arc<Profile>, &'t str)> {
        let fits = |profile: &Arc<Profile>| {
            let device = profile.mqtt_device(topic)?;
            let said = profile.hear_mqtt(device, topic, payload, now);
            said.iter().any(|it| it.value.is_ok()).then(|| (Arc::clone(profile), device))
        };
        self.by_id.values().filter_map(fits).collect()
    }

    /// The table of supported meters, in Markdown, by maker: what the operator's manual shows.
    /// Those of the simulated building are no meters.
    pub fn table(&self) -> String {
        let row = |profile: &Arc<Profile>| {
            format!(
                "| {} | {} | {} | {} | {} | {} |\n",
                profile.vendor,
                profile.models.join(", "),
                profile.medium,
                profile.wires().join(", "),
                profile.status,
                profile.source,
            )
        };
        let real = self.iter().filter(|profile| !profile.id.starts_with("fyrhus."));
        let mut rows: Vec<String> = real.map(row).collect();
        rows.sort();
        let head =
            "| Maker | Type | Counts | Wire | Status | Known from |\n|---|---|---|---|---|---|\n";
        rows.into_iter().fold(head.to_owned(), |table, row| table + &row)
    }
}

fn has_profile_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// How a register without a profile behaves: what accumulates is a counter.
///
/// By its canonical text, which says the same of a register that was read back from it.
pub fn kind_of(register: &Register) -> Kind {
    let text = register.to_string();
    let words: Vec<&str> = text.split('_').collect();
    let counts = match words.as_slice() {
        ["error", "flags", ..] | ["digital", "input" | "output", ..] => return Kind::Flag,
        ["volume" | "mass", "flow", ..] => false,
        ["volume" | "mass", ..]
        | ["on" | "operating", "time", ..]
        | ["heat", "cost", ..]
        | ["reset" | "cumulation", "counter", ..] => true,
        _ => words.contains(&"energy"),
    };
    if counts && !words.iter().any(|word| UP_AND_DOWN.contains(word)) {
        Kind::Counter
    } else {
        Kind::Gauge
    }
}

/// What is no counter although it is of one: the most of a period, a mean, a limit that was set,
/// what is told by the hour or the pulse (`unit_h`).
const UP_AND_DOWN: [&str; 9] =
    ["max", "min", "error", "average", "deviation", "duration", "limit", "profile", "unit"];

#[cfg(test)]
mod tests;
