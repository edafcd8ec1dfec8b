//! A profile as it is written: every key of the file, and nothing judged yet.
//!
//! A key that is not listed here is a mistake: ignoring it would leave its author with a profile
//! that does something else than it says.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use metering::Medium;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::point::{Coding, ScaleMode};
use super::sensor::Edge;
use super::{Interval, Kind, Status, Taken};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) schema: Spanned<u32>,
    pub(super) id: Spanned<String>,
    pub(super) vendor: String,
    pub(super) models: Vec<String>,
    pub(super) medium: Medium,
    pub(super) status: Status,
    pub(super) source: String,
    /// What whoever reads its numbers has to know.
    pub(super) note: Option<String>,
    pub(super) modbus: Option<Modbus>,
    pub(super) mbus: Option<Spanned<Mbus>>,
    pub(super) mqtt: Option<Mqtt>,
    #[serde(default)]
    pub(super) register: Vec<Spanned<Register>>,
    #[serde(default)]
    pub(super) vector: Vec<Spanned<Vector>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modbus {
    /// The table that points are in unless they say otherwise.
    #[serde(default)]
    pub(super) function: Function,
    #[serde(default)]
    pub(super) word_order: WordOrder,
    /// Within a word the high byte always comes first; the key may say so.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one byte order, which serde has checked")]
    pub(super) byte_order: ByteOrder,
    pub(super) max_registers: Option<Spanned<u16>>,
    pub(super) gap: Option<Gap>,
    pub(super) align: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) solo: Vec<Solo>,
    #[serde(default)]
    pub(super) barrier: Vec<u16>,
    #[serde(default)]
    pub(super) min_interval_ms: u16,
    #[serde(default)]
    pub(super) unit_change_ms: u16,
    #[serde(default)]
    pub(super) connect_pause_ms: u16,
    /// How the device leaves the factory: for the installer.
    pub(super) serial_default: Option<Spanned<SerialDefault>>,
    #[serde(default)]
    pub(super) identify: Vec<Spanned<Identify>>,
    pub(super) serial: Option<Spanned<Point>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Function {
    #[default]
    Holding,
    Input,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WordOrder {
    #[default]
    Msw,
    Lsw,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ByteOrder {
    #[default]
    Be,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gap {
    pub(super) allow: bool,
    pub(super) max: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an address, or the first and the last of several: [0x300, 0x304]")]
pub(super) enum Solo {
    One(u16),
    Range([u16; 2]),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SerialDefault {
    pub(super) baud: u32,
    pub(super) parity: SerialParity,
    pub(super) stop: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SerialParity {
    Even,
    None,
    Odd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identify {
    pub(super) function: Option<Function>,
    pub(super) address: u16,
    pub(super) r#type: Option<Coding>,
    #[serde(default)]
    pub(super) any_of: Vec<i64>,
    /// What stands there, register by register: for texts.
    #[serde(default)]
    pub(super) words: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mbus {
    #[serde(default)]
    pub(super) identify: Vec<Spanned<MbusIdentify>>,
    #[serde(default)]
    pub(super) reset: Reset,
    pub(super) max_telegrams: Option<Spanned<u8>>,
    pub(super) min_interval: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) baud: Vec<Spanned<u32>>,
    /// Who saw it, for what of these is not as the standard has it.
    pub(super) because: Option<String>,
    #[serde(default)]
    pub(super) memory: Vec<Spanned<Memory>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reset {
    #[default]
    WhenNeeded,
    Always,
    Never,
}

/// Values of an earlier time that the meter sends along.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// The first storage number and the last.
    pub(super) storages: [u64; 2],
    pub(super) interval: Interval,
    /// The keys of the registers that are kept.
    pub(super) registers: Vec<Spanned<String>>,
    pub(super) date: DateRecord,
    #[serde(default)]
    pub(super) taken: Taken,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DateRecord {
    Date,
    DateTime,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MbusIdentify {
    pub(super) manufacturer: String,
    #[serde(default)]
    pub(super) versions: Vec<Versions>,
    /// The medium byte of the header, EN 13757-7.
    #[serde(default)]
    pub(super) media: Vec<u8>,
}

/// One generation of a family of meters, or the first and the last of several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a version, or the first and the last of several: [0x10, 0x1F]")]
pub(super) enum Versions {
    One(u8),
    Range([u8; 2]),
}

/// A text in the languages of the pages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Texts {
    pub(super) nb: String,
    pub(super) en: String,
    pub(super) da: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flag {
    pub(super) bit: u8,
    pub(super) nb: String,
    pub(super) en: String,
    pub(super) da: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    pub(super) key: Spanned<String>,
    pub(super) quantity: String,
    pub(super) direction: Option<Direction>,
    pub(super) phase: Option<Phase>,
    #[serde(default)]
    pub(super) tariff: u32,
    #[serde(default)]
    pub(super) storage: u64,
    #[serde(default)]
    pub(super) function: Moment,
    pub(super) role: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) kind: Kind,
    pub(super) decimals: Option<i8>,
    pub(super) modulus: Option<String>,
    /// Not every one of these meters sends it.
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) name: Option<Spanned<Texts>>,
    #[serde(default)]
    pub(super) bits: Vec<Spanned<Flag>>,
    pub(super) modbus: Option<Spanned<Point>>,
    pub(super) mbus: Option<Spanned<Record>>,
    pub(super) mqtt: Option<Spanned<Several<MqttPoint>>>,
    pub(super) pulse: Option<Spanned<Pulse>>,
    pub(super) onewire: Option<Spanned<OneWire>>,
    pub(super) invalid: Option<Invalid>,
    pub(super) plausible: Option<Plausible>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    Import,
    Export,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    L1,
    L2,
    L3,
    Total,
}

/// Of a register; in a telegram the same words are written out.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Moment {
    #[default]
    #[serde(alias = "now")]
    Instantaneous,
    #[serde(alias = "max")]
    Maximum,
    #[serde(alias = "min")]
    Minimum,
    Error,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) function: Option<Function>,
    pub(super) address: u16,
    pub(super) r#type: Coding,
    pub(super) word_order: Option<WordOrder>,
    pub(super) scale: Option<String>,
    pub(super) scale_register: Option<ScaleRegister>,
    pub(super) unit_register: Option<UnitRegister>,
    pub(super) bit: Option<u8>,
    /// The maker's own number for it, `40067`.
    #[expect(dead_code, reason = "shown in the file, used by people")]
    pub(super) doc_ref: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleRegister {
    pub(super) address: u16,
    pub(super) r#type: Coding,
    pub(super) mode: ScaleMode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitRegister {
    pub(super) address: u16,
    pub(super) r#type: Coding,
    /// By the number that stands there: `{ 2 = "kWh", 3 = "MWh" }`.
    pub(super) units: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The quantity of the record: `energy`, `volume_flow`, `vif_fd3a`.
    pub(super) vif: String,
    #[serde(default)]
    pub(super) function: Moment,
    #[serde(default)]
    pub(super) storage: u64,
    #[serde(default)]
    pub(super) tariff: u32,
    #[serde(default)]
    pub(super) subunit: u16,
    pub(super) direction: Option<Direction>,
    pub(super) phase: Option<Phase>,
    /// What stands behind it in the record's own register, where it has VIFEs: `manufacturer`.
    pub(super) role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    pub(super) availability: Option<Spanned<Availability>>,
}

/// How a sensor's coming and going is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Availability {
    pub(super) topic: String,
    pub(super) pointer: Option<String>,
    pub(super) online: Vec<String>,
    pub(super) offline: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MqttPoint {
    /// With `{device}` where the sensor's own name stands.
    pub(super) topic: String,
    /// Where in a JSON payload; without it the payload is the value.
    pub(super) pointer: Option<String>,
    pub(super) senml: Option<SenMl>,
    pub(super) time_pointer: Option<String>,
    pub(super) scale: Option<String>,
    #[serde(default = "one")]
    pub(super) divisor: u32,
    /// Words that stand for numbers: `{ ON = 1, OFF = 0 }`.
    #[serde(default)]
    pub(super) values: BTreeMap<String, i64>,
    pub(super) expire_after: Option<String>,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SenMl {
    /// The record's name with its base name before it.
    pub(super) name: String,
    pub(super) unit: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pulse {
    pub(super) per_unit: Option<String>,
    #[serde(default)]
    pub(super) edge: Edge,
    pub(super) debounce: Option<String>,
    pub(super) min_low: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneWire {
    /// The first byte of the address.
    pub(super) family: u8,
}

/// A table, or a list of tables.
#[derive(Debug)]
pub(super) struct Several<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
            type Value = Several<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, or a list of tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Several<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Several(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Several<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Several)
            }
        }

        deserializer.deserialize_any(OneOrMore(PhantomData))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invalid {
    pub(super) raw: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plausible {
    pub(super) min: Option<Figure>,
    pub(super) max: Option<Figure>,
    pub(super) max_rate_per_hour: Option<Figure>,
}

/// A whole number, or a text with a point in it. A TOML float is not exact.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a whole number, or a text such as \"0.5\": a TOML float is not exact"
)]
pub(super) enum Figure {
    Whole(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vector {
    #[serde(default)]
    pub(super) read: Vec<Read>,
    pub(super) frame: Option<String>,
    /// The name of the sensor that sends the messages.
    pub(super) device: Option<String>,
    #[serde(default)]
    pub(super) message: Vec<Message>,
    pub(super) pulses: Option<u64>,
    /// Where the profile leaves it to the site.
    pub(super) per_unit: Option<String>,
    pub(super) millidegrees: Option<i64>,
    #[serde(default)]
    pub(super) expect: BTreeMap<String, String>,
    /// What must come out of the meter's memory: `"energy 2026-01-01T00:00" = "11800"`.
    #[serde(default)]
    pub(super) remembers: BTreeMap<String, String>,
    /// What the bits that are set must say, in English.
    #[serde(default)]
    pub(super) says: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    pub(super) function: Function,
    pub(super) address: u16,
    pub(super) words: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
}

impl From<Function> for crate::modbus::Function {
    fn from(function: Function) -> Self {
        match function {
            Function::Holding => Self::Holding,
            Function::Input => Self::Input,
        }
    }
}

impl From<SerialParity> for crate::port::Parity {
    fn from(parity: SerialParity) -> Self {
        match parity {
            SerialParity::Even => Self::Even,
            SerialParity::None => Self::None,
            SerialParity::Odd => Self::Odd,
        }
    }
}

impl From<Direction> for metering::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Import => Self::Import,
            Direction::Export => Self::Export,
        }
    }
}

impl From<Phase> for metering::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::L1 => Self::L1,
            Phase::L2 => Self::L2,
            Phase::L3 => Self::L3,
            Phase::Total => Self::Total,
        }
    }
}

impl From<Moment> for metering::Function {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::Instantaneous => Self::Instantaneous,
            Moment::Maximum => Self::Maximum,
            Moment::Minimum => Self::Minimum,
            Moment::Error => Self::DuringError,
        }
    }
}
