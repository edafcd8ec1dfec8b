//! The parts of a profile that are about MQTT, pulses and 1-Wire.

use std::ops::RangeInclusive;
use std::time::Duration;

use metering::Unit;
use toml::Spanned;

use super::super::file::{self, Several};
use super::super::mqtt::{Availability, MqttPoint, Pattern, Pick, Pointer};
use super::super::sensor::{InvalidPulseWeight, OneWire, PulseInput, PulseWeight};
use super::super::{Kind, RegisterSpec};
use super::Check;
use crate::number::Scale;

impl Check<'_> {
    pub(super) fn mqtt(
        &mut self,
        points: Spanned<Several<file::MqttPoint>>,
        kind: Kind,
        decimals: Option<i8>,
        invalid: &[RangeInclusive<i128>],
    ) -> Vec<MqttPoint> {
        let at = points.span().start;
        let points = points.into_inner().0;
        if points.is_empty() {
            self.at(at, "a list of places holds at least one");
        }
        let invalid = signed(invalid);
        points.into_iter().filter_map(|it| self.place(at, it, kind, decimals, &invalid)).collect()
    }

    fn place(
        &mut self,
        at: usize,
        it: file::MqttPoint,
        kind: Kind,
        decimals: Option<i8>,
        invalid: &[RangeInclusive<i64>],
    ) -> Option<MqttPoint> {
        if decimals.is_none() && kind != Kind::Flag && it.values.is_empty() {
            self.at(
                at,
                "a number in a text has any number of digits: give the register `decimals`",
            );
        }
        if it.values.values().any(|value| !(0..=i64::from(u32::MAX)).contains(value)) {
            self.at(at, "a word stands for a number from 0 on: values = { ON = 1, OFF = 0 }");
        }
        if it.divisor == 0 {
            self.at(at, "divisor = 0 divides nothing");
        }
        let scale = it.scale.as_deref().map_or(Some(Scale::ONE), |text| {
            let scale = Scale::parse(text);
            if scale.is_none() {
                self.at(at, format!("scale = \"{text}\" is not a factor such as 0.1 or 10"));
            }
            scale
        });
        let pick = match (it.pointer, it.senml) {
            (Some(_), Some(_)) => {
                self.at(at, "a value is at a `pointer` or in a record of `senml`, not both");
                None
            }
            (pointer, None) => self.pick(at, pointer.as_deref()),
            (None, Some(senml)) => {
                let name = Pattern::parse(&senml.name);
                if name.is_none() {
                    self.at(at, "the name of a record has {device} at most once");
                }
                name.map(|name| Pick::SenMl { name, unit: senml.unit })
            }
        };
        let time = it.time_pointer.and_then(|text| self.pointer(at, &text));
        let expires_after =
            it.expire_after.and_then(|text| self.duration(at, "expire_after", &text));
        Some(MqttPoint {
            topic: self.topic(at, &it.topic)?,
            pick: pick?,
            time,
            scale: scale?,
            divisor: it.divisor,
            values: it.values,
            invalid: invalid.to_vec(),
            expires_after,
        })
    }

    pub(super) fn availability(&mut self, it: Spanned<file::Availability>) -> Option<Availability> {
        let at = it.span().start;
        let it = it.into_inner();
        let both = it.online.iter().any(|word| it.offline.contains(word));
        if both || it.online.is_empty() || it.offline.is_empty() {
            self.at(
                at,
                "availability needs words for each: online = [\"online\"], offline = [\"offline\"]",
            );
        }
        Some(Availability {
            topic: self.topic(at, &it.topic)?,
            pick: self.pick(at, it.pointer.as_deref())?,
            online: it.online,
            offline: it.offline,
        })
    }

    /// A topic of one sensor.
    fn topic(&mut self, at: usize, text: &str) -> Option<Pattern> {
        let topic = Pattern::parse(text).filter(Pattern::has_device);
        let plain = !text.contains(['+', '#', '\0']) && text.len() <= MOST_TOPIC;
        let topic = topic.filter(|_| plain);
        if topic.is_none() {
            let advice = format!(
                "topic = \"{text}\" is not a topic with {{device}} in it once, and no + or #"
            );
            self.at(at, advice);
        }
        topic
    }

    fn pick(&mut self, at: usize, pointer: Option<&str>) -> Option<Pick> {
        match pointer {
            None => Some(Pick::Whole),
            Some(text) => self.pointer(at, text).map(Pick::At),
        }
    }

    fn pointer(&mut self, at: usize, text: &str) -> Option<Pointer> {
        let pointer = Pointer::parse(text);
        if pointer.is_none() {
            self.at(at, format!("`{text}` is not a JSON pointer such as /ENERGY/Total"));
        }
        pointer
    }

    pub(super) fn pulse(&mut self, pulse: Spanned<file::Pulse>, kind: Kind) -> PulseInput {
        let at = pulse.span().start;
        let pulse = pulse.into_inner();
        if kind != Kind::Counter {
            self.at(at, "pulses are counted: kind = \"counter\"");
        }
        let per_unit = pulse.per_unit.map(|text| {
            text.parse().unwrap_or_else(|error: InvalidPulseWeight| {
                self.at(at, error.to_string());
                // So that its vectors are not told to be wrong as well.
                PulseWeight::ONE
            })
        });
        let debounce = pulse.debounce.map(|text| self.millis(at, "debounce", &text));
        let min_low = pulse.min_low.map(|text| self.millis(at, "min_low", &text));
        let debounce = debounce.flatten().unwrap_or(DEBOUNCE);
        let min_low = min_low.flatten();
        if min_low.is_some_and(|min_low| debounce >= min_low) {
            self.at(at, "debounce is not shorter than min_low: pulses would be taken for bouncing");
        }
        PulseInput { per_unit, edge: pulse.edge, debounce, min_low }
    }

    pub(super) fn onewire(
        &mut self,
        wire: &Spanned<file::OneWire>,
        unit: Unit,
        invalid: &[RangeInclusive<i128>],
    ) -> OneWire {
        if unit != Unit::Celsius {
            self.mistake(wire, "a thermometer on a 1-Wire tells degrees: unit = \"C\"");
        }
        OneWire { family: wire.get_ref().family, invalid: signed(invalid) }
    }

    /// What can be there only once, because the wire tells nothing apart.
    pub(super) fn one_of_each(&mut self, registers: &[RegisterSpec]) {
        if registers.iter().filter(|it| it.pulse.is_some()).count() > 1 {
            self.at(0, "an input counts one register: give each its own profile");
        }
        if registers.iter().filter(|it| it.onewire.is_some()).count() > 1 {
            self.at(0, "a thermometer on a 1-Wire has one register");
        }
    }

    /// `20ms`, `1s`.
    fn millis(&mut self, at: usize, key: &str, text: &str) -> Option<Duration> {
        let millis = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => millis.parse::<u16>().ok().map(u64::from),
            (None, Some(seconds)) => seconds.parse::<u16>().ok().map(|it| u64::from(it) * 1_000),
            (None, None) => None,
        };
        let millis = millis.filter(|millis| (1..=MOST_MILLIS).contains(millis));
        if millis.is_none() {
            self.at(at, format!("{key} = \"{text}\" is not a time from 1ms to 10s, such as 20ms"));
        }
        millis.map(Duration::from_millis)
    }
}

fn signed(ranges: &[RangeInclusive<i128>]) -> Vec<RangeInclusive<i64>> {
    let end = |it: i128| i64::try_from(it).unwrap_or(if it < 0 { i64::MIN } else { i64::MAX });
    ranges.iter().map(|range| end(*range.start())..=end(*range.end())).collect()
}

/// Contacts bounce for some milliseconds; an S0 pulse lasts at least 30 ms.
const DEBOUNCE: Duration = Duration::from_millis(10);
const MOST_MILLIS: u64 = 10_000;
/// MQTT allows 65 535 bytes; nobody's topic has more.
const MOST_TOPIC: usize = 512;
