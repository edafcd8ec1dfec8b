//! The part of a profile that tests it.

use std::collections::BTreeSet;

use metering::{NoReading, Quantity, Unit};
use toml::Spanned;

use super::super::file;
use super::super::point::Words;
use super::super::sensor::PulseWeight;
use super::super::{Vector, VectorSource};
use super::{Check, line_of, raw};

impl Check<'_> {
    /// `weight` is that of the profile's pulses.
    pub(super) fn vector(
        &mut self,
        vector: Spanned<file::Vector>,
        keys: &BTreeSet<String>,
        weight: Option<PulseWeight>,
    ) -> Option<Vector> {
        let at = vector.span().start;
        let mut vector = vector.into_inner();
        let remembered = vector.remembers.iter().map(|(key, value)| {
            (key.split_once(' ').map_or(key.as_str(), |(register, _)| register), value)
        });
        let expected = vector.expect.iter().map(|(key, value)| (key.as_str(), value));
        for (key, value) in expected.chain(remembered) {
            if !keys.contains(key) {
                self.at(at, format!("`{key}` is expected, and no register has that key"));
            }
            let reason = NoReading::ALL.iter().any(|reason| reason.as_str() == value);
            if !reason && Quantity::from_decimal(value, Unit::One).is_err() {
                self.at(at, format!("`{value}` is no decimal number and no word for an absence"));
            }
        }
        if vector.expect.is_empty() {
            self.at(at, "a vector has to expect something");
        }
        let source = self.source(at, &mut vector, weight)?;
        Some(Vector {
            line: line_of(self.text, at),
            source,
            expect: vector.expect,
            remembers: vector.remembers,
            says: vector.says,
        })
    }

    fn source(
        &mut self,
        at: usize,
        vector: &mut file::Vector,
        weight: Option<PulseWeight>,
    ) -> Option<VectorSource> {
        let words = self.read(at, &vector.read);
        let own_weight = match vector.per_unit.as_deref().map(str::parse::<PulseWeight>) {
            Some(Ok(weight)) => Some(weight),
            Some(Err(error)) => {
                self.at(at, error.to_string());
                None
            }
            None => None,
        };
        let messages: Vec<_> = vector
            .message
            .drain(..)
            .map(|file::Message { topic, payload }| (topic, payload))
            .collect();
        let mut sources: Vec<VectorSource> = Vec::new();
        sources.extend((!vector.read.is_empty()).then_some(VectorSource::Words(words)));
        sources.extend(vector.frame.take().map(VectorSource::Frame));
        sources.extend(vector.millidegrees.map(VectorSource::Millidegrees));
        if !messages.is_empty() {
            let device = vector.device.take().unwrap_or_else(|| {
                self.at(at, "messages come from a sensor: device = \"its name\"");
                String::new()
            });
            sources.push(VectorSource::Messages { device, messages });
        }
        if let Some(pulses) = vector.pulses {
            let weight = own_weight.or(weight).or_else(|| {
                self.at(at, "the profile has no weight for its pulses: per_unit = \"1000\"");
                None
            })?;
            sources.push(VectorSource::Pulses(pulses, weight));
        }
        if sources.len() != 1 {
            self.at(
                at,
                "a vector has one of `read`, words of a Modbus, `frame`, a telegram, `message`, \
                 of MQTT, `pulses` and `millidegrees`",
            );
        }
        sources.pop()
    }

    fn read(&mut self, at: usize, reads: &[file::Read]) -> Words {
        let mut words = Words::default();
        for read in reads {
            let parsed: Option<Vec<u16>> =
                read.words.iter().map(|word| u16::try_from(raw(word)?).ok()).collect();
            match parsed {
                Some(parsed) => words.put(read.function.into(), read.address, parsed),
                None => self.at(at, "words are written like \"0x86A0\""),
            }
        }
        words
    }
}
