//! What a message of a sensor says: a topic, a payload, and the registers in it.
//!
//! ```text
//! zigbee2mqtt/{device}         the topic, with the sensor's own name in it
//! {"temperature": 27.34, …}    the payload
//!   /temperature               where in it, a JSON pointer; without one, all of it
//! ```
//!
//! A message need not hold everything: what is not in it says nothing, and the value before it
//! goes on holding until it expires. `null` says that the sensor has no value, which is an
//! absence. RFC 6901 (pointers), RFC 8428 (`SenML`).
//!
//! **Never true:** a number passes through a float, a missing key becomes a value, or a value of
//! another unit than the profile's is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{NoReading, Quality, Quantity, Register};
use serde_json::value::RawValue;

use super::{Kind, Profile, RegisterSpec};
use crate::number::{Decimal, Scale};

/// What one message says of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which.
    pub register: Register,
    /// The number, or why there is none.
    pub value: Result<Quantity, NoReading>,
    /// Whether the profile holds it possible.
    pub quality: Quality,
    /// When it was measured, if the message tells; else it is of the moment at which it came.
    pub at: Option<DateTime<Utc>>,
    /// After so long without another it is no value of now any more.
    pub expires_after: Option<Duration>,
}

impl Profile {
    /// The topics on which the sensor with the name `device` speaks, without wildcards.
    pub fn mqtt_topics(&self, device: &str) -> BTreeSet<String> {
        let points = self.mqtt_points().map(|(_, point)| &point.topic);
        let availability = self.availability.iter().map(|it| &it.topic);
        points.chain(availability).map(|topic| topic.filled(device)).collect()
    }

    /// The patterns of its topics, with `{device}` where the sensor's name stands.
    pub fn mqtt_patterns(&self) -> BTreeSet<String> {
        let points = self.mqtt_points().map(|(_, point)| &point.topic);
        let availability = self.availability.iter().map(|it| &it.topic);
        points.chain(availability).map(|topic| topic.filled("{device}")).collect()
    }

    /// The name of the sensor of this type that would speak on `topic`: to tell strangers.
    pub fn mqtt_device<'t>(&self, topic: &'t str) -> Option<&'t str> {
        self.mqtt_points().find_map(|(_, point)| point.topic.device(topic))
    }

    /// What `payload` says on `topic`, of the sensor with the name `device`.
    ///
    /// `now` is for times that are told as an age. What is not in the message is not in the
    /// answer; of two records of one register the last holds. A payload of more than
    /// [`MOST_PAYLOAD`] says nothing.
    pub fn hear_mqtt(
        &self,
        device: &str,
        topic: &str,
        payload: &[u8],
        now: DateTime<Utc>,
    ) -> Vec<Said> {
        let Some(payload) = readable(payload) else { return Vec::new() };
        let points = self.mqtt_points().filter(|(_, point)| point.topic.filled(device) == topic);
        let mut said: Vec<Said> = Vec::new();
        for one in points.filter_map(|(spec, point)| point.said(spec, device, payload, now)) {
            said.retain(|other| other.register != one.register);
            said.push(one);
        }
        said
    }

    /// Whether the sensor says, or the broker says for it, that it is there; `None` if the
    /// message is about something else.
    pub fn mqtt_available(&self, device: &str, topic: &str, payload: &[u8]) -> Option<bool> {
        let availability = self.availability.as_ref()?;
        if availability.topic.filled(device) != topic {
            return None;
        }
        let text = availability.pick.of(device, readable(payload)?)?.value.text()?;
        if availability.online.contains(&text) {
            Some(true)
        } else {
            availability.offline.contains(&text).then_some(false)
        }
    }

    fn mqtt_points(&self) -> impl Iterator<Item = (&RegisterSpec, &MqttPoint)> {
        self.registers.iter().flat_map(|spec| spec.mqtt.iter().map(move |point| (spec, point)))
    }
}

/// The longest payload that is looked into, in bytes: a sensor's message has some hundred.
pub const MOST_PAYLOAD: usize = 65_536;

fn readable(payload: &[u8]) -> Option<&str> {
    (payload.len() <= MOST_PAYLOAD).then_some(payload).and_then(|it| str::from_utf8(it).ok())
}

/// How a sensor's coming and going is told.
#[derive(Clone, Debug)]
pub(crate) struct Availability {
    pub(super) topic: Pattern,
    pub(super) pick: Pick,
    pub(super) online: Vec<String>,
    pub(super) offline: Vec<String>,
}

/// One way in which a register comes over MQTT.
#[derive(Clone, Debug)]
pub(crate) struct MqttPoint {
    pub(super) topic: Pattern,
    pub(super) pick: Pick,
    pub(super) time: Option<Pointer>,
    pub(super) scale: Scale,
    pub(super) divisor: u32,
    /// Words that stand for numbers; if there are any, nothing else is taken.
    pub(super) values: BTreeMap<String, i64>,
    pub(super) invalid: Vec<RangeInclusive<i64>>,
    pub(super) expires_after: Option<Duration>,
}

impl MqttPoint {
    fn said(
        &self,
        spec: &RegisterSpec,
        device: &str,
        payload: &str,
        now: DateTime<Utc>,
    ) -> Option<Said> {
        let picked = self.pick.of(device, payload)?;
        let told = (self.time.as_ref()).and_then(|pointer| pointer.of(payload));
        let at = told.and_then(|it| it.time()).or_else(|| picked.time(now));
        let value = self.value(spec, &picked);
        let quality = value.map_or(Quality::Good, |it| spec.plausible.judge(it));
        let expires_after = self.expires_after;
        Some(Said { register: spec.register.clone(), value, quality, at, expires_after })
    }

    fn value(&self, spec: &RegisterSpec, picked: &Picked) -> Result<Quantity, NoReading> {
        if let Pick::SenMl { unit: Some(unit), .. } = &self.pick
            && picked.unit.as_ref() != Some(unit)
        {
            return Err(NoReading::Invalid);
        }
        let number = match &picked.value {
            scalar if !self.values.is_empty() => {
                let number = scalar.text().and_then(|text| self.values.get(&text).copied());
                return number
                    .map(|number| Decimal::of(number).quantity(Scale::ONE, 1, 0, spec.unit))
                    .ok_or(NoReading::Invalid)?;
            }
            Scalar::Bool(is) if spec.kind == Kind::Flag => Decimal::of((*is).into()),
            Scalar::Text(text) => Decimal::parse(text).ok_or(NoReading::Invalid)?,
            Scalar::Number(number) => *number,
            Scalar::Bool(_) | Scalar::Null | Scalar::Compound => return Err(NoReading::Invalid),
        };
        let number = number.plus(picked.base).ok_or(NoReading::TooLarge)?;
        let whole = number.whole();
        if whole.is_some_and(|it| self.invalid.iter().any(|range| range.contains(&it))) {
            return Err(NoReading::Invalid);
        }
        number.quantity(self.scale, self.divisor, spec.decimals.unwrap_or_default(), spec.unit)
    }
}

/// A text with at most one `{device}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    before: String,
    /// What stands behind `{device}`; `None` if that is not there.
    after: Option<String>,
}

impl Pattern {
    /// `None` if `{device}` is there twice.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(DEVICE) {
            None => Some(Self { before: text.to_owned(), after: None }),
            Some((_, after)) if after.contains(DEVICE) => None,
            Some((before, after)) => {
                Some(Self { before: before.to_owned(), after: Some(after.to_owned()) })
            }
        }
    }

    pub(super) const fn has_device(&self) -> bool {
        self.after.is_some()
    }

    fn filled(&self, device: &str) -> String {
        match &self.after {
            Some(after) => format!("{}{device}{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// What stands in the place of `{device}`; it may have slashes.
    fn device<'t>(&self, text: &'t str) -> Option<&'t str> {
        let device = text.strip_prefix(&self.before)?.strip_suffix(self.after.as_ref()?)?;
        (!device.is_empty()).then_some(device)
    }
}

const DEVICE: &str = "{device}";

/// Where in a payload a value is.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// It is the payload.
    Whole,
    At(Pointer),
    /// In a pack of `SenML`: the record with this name, `bn` and `n` together; without `{device}` in it
    /// the name may also be `n` alone, whatever sensor the pack is from.
    SenMl {
        name: Pattern,
        /// As RFC 8428 writes it, `Cel`: a record of another unit is no value.
        unit: Option<String>,
    },
}

/// What was found, and what stands beside it.
#[derive(Debug)]
struct Picked {
    value: Scalar,
    base: Decimal,
    unit: Option<String>,
    /// In seconds: since 1970, or before now.
    senml_time: Option<Decimal>,
}

impl Picked {
    const fn plain(value: Scalar) -> Self {
        Self { value, base: Decimal::ZERO, unit: None, senml_time: None }
    }

    /// RFC 8428, section 4.5.3: below 2^28 a time is counted from now.
    fn time(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let millis = self.senml_time?.millis()?;
        if millis.abs() < 1000 << 28 {
            now.checked_add_signed(chrono::TimeDelta::milliseconds(millis))
        } else {
            DateTime::from_timestamp_millis(millis)
        }
    }
}

impl Pick {
    fn of(&self, device: &str, payload: &str) -> Option<Picked> {
        match self {
            Self::Whole => Some(Picked::plain(Scalar::of_whole(payload))),
            Self::At(pointer) => pointer.of(payload).map(Picked::plain),
            Self::SenMl { name, .. } => senml(&name.filled(device), !name.has_device(), payload),
        }
    }
}

/// A JSON pointer, RFC 6901: `/ENERGY/Total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    steps: Vec<String>,
}

impl Pointer {
    /// `None` unless it begins with `/` and `~` is followed by 0 or 1.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unescaped = |step: &str| {
            let plain = step.replace("~1", "").replace("~0", "");
            (!plain.contains('~')).then(|| step.replace("~1", "/").replace("~0", "~"))
        };
        let steps: Option<Vec<String>> =
            text.strip_prefix('/')?.split('/').map(unescaped).collect();
        steps.map(|steps| Self { steps })
    }

    fn of(&self, payload: &str) -> Option<Scalar> {
        let mut here: &RawValue = serde_json::from_str(payload).ok()?;
        for step in &self.steps {
            let text = here.get();
            here = if text.starts_with('[') {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                items.get(step.parse::<usize>().ok()?).copied()?
            } else {
                let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                members.remove(step)?
            };
        }
        Some(Scalar::of_json(here))
    }
}

/// One value of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scalar {
    Number(Decimal),
    Text(String),
    Bool(bool),
    Null,
    /// An object or an array, which is no value.
    Compound,
}

impl Scalar {
    fn of_json(raw: &RawValue) -> Self {
        let text = raw.get();
        match text {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => {
                let string = serde_json::from_str(text).ok().map(Self::Text);
                string.or_else(|| Decimal::parse(text).map(Self::Number)).unwrap_or(Self::Compound)
            }
        }
    }

    /// A payload that is a value by itself; a text in it has no quotes.
    fn of_whole(payload: &str) -> Self {
        let payload = payload.trim();
        let json: Option<&RawValue> = serde_json::from_str(payload).ok();
        json.map_or_else(|| Self::Text(payload.to_owned()), Self::of_json)
    }

    /// As it is written in a profile.
    fn text(&self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Bool(is) => Some(is.to_string()),
            Self::Null | Self::Compound => None,
        }
    }

    /// RFC 3339; or a number of seconds since 1970, or of milliseconds, which has three digits
    /// more. A time without a zone is nobody's, and is left aside.
    fn time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Text(text) => DateTime::parse_from_rfc3339(text).ok().map(|it| it.to_utc()),
            Self::Number(number) => {
                let millis = number.millis()?;
                let told_in_millis = millis / 1000 >= 100_000_000_000;
                let millis = if told_in_millis { millis / 1000 } else { millis };
                (millis > 0).then(|| DateTime::from_timestamp_millis(millis))?
            }
            Self::Bool(_) | Self::Null | Self::Compound => None,
        }
    }
}

/// The last record of a pack with this name. Base fields hold from their record on.
fn senml(name: &str, alone: bool, payload: &str) -> Option<Picked> {
    let records: Vec<BTreeMap<String, &RawValue>> = serde_json::from_str(payload).ok()?;
    let (mut base_name, mut base_unit) = (String::new(), None);
    let (mut base_time, mut base_value) = (Decimal::ZERO, Decimal::ZERO);
    let mut found = None;
    for record in records {
        let scalar = |key: &str| record.get(key).map(|raw| Scalar::of_json(raw));
        let text = |key: &str| match scalar(key) {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        };
        let number = |key: &str| match scalar(key) {
            Some(Scalar::Number(number)) => Some(number),
            _ => None,
        };
        base_name = text("bn").unwrap_or(base_name);
        base_unit = text("bu").or(base_unit);
        base_time = number("bt").unwrap_or(base_time);
        base_value = number("bv").unwrap_or(base_value);
        let own_name = text("n").unwrap_or_default();
        if !(alone && own_name == name) && format!("{base_name}{own_name}") != name {
            continue;
        }
        let value =
            number("v").map(Scalar::Number).or_else(|| scalar("vb")).or_else(|| scalar("vs"));
        let Some(value) = value else { continue };
        found = Some(Picked {
            value,
            base: base_value,
            unit: text("u").or_else(|| base_unit.clone()),
            senml_time: base_time.plus(number("t").unwrap_or(Decimal::ZERO)),
        });
    }
    found
}

#[cfg(test)]
mod tests;
