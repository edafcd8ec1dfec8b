//! The wires that are listened to: customer ports of electricity meters, radio receivers.

use broker::Filter;
use drivers::radio::{RadioMode, ReceiverKind};
use drivers::{EarKind, MeterAddress, PortSettings};

use super::WireKind;
use super::buses::KnownBus;
use super::keys::{
    ADDRESS, ANSWER_WITHIN, ENERGY_STEP, METER_BUS, MODE, PARITY, PORT, RECEIVER, SECONDARY, TOPIC,
};
use crate::config::check::{Check, Section};

/// A receiver and what it listens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// Which one it is.
    pub receiver: ReceiverKind,
    /// What it listens for.
    pub mode: RadioMode,
    /// Of receivers on an MQTT broker, under which topics they say what they hear.
    pub topic: Option<String>,
}

/// A receiver that must be there is not, or is no receiver; it has been said.
pub(super) struct Missing;

/// The receiver of a bus of `kind`. `None` if it needs none.
pub(super) fn radio(
    check: &mut Check<'_>,
    section: Section<'_>,
    kind: Option<WireKind>,
    port: Option<&PortSettings>,
) -> Result<Option<Radio>, Missing> {
    if kind != Some(WireKind::Listened(EarKind::Radio)) {
        for key in [&RECEIVER, &MODE, &TOPIC] {
            if section.has(key) && kind.is_some() {
                let advice = format!("`{}` belongs to kind = \"wmbus\": leave it out", key.name);
                check.mistake(section.place(key), advice);
            }
        }
        return Ok(None);
    }
    if section.has(&PARITY) {
        let advice = "`parity` means nothing to a receiver: leave it out";
        check.mistake(section.place(&PARITY), advice.to_owned());
    }
    if !section.has(&RECEIVER) {
        let advice = format!("`receiver` is missing: {}", RECEIVER.takes);
        check.mistake(section.at, advice);
        return Err(Missing);
    }
    let receiver = check.text(section, &RECEIVER).ok_or(Missing)?;
    let receiver = ReceiverKind::ALL.into_iter().find(|it| it.code() == receiver).ok_or(Missing)?;
    let mode = check.text(section, &MODE).ok_or(Missing)?;
    let mode = RadioMode::ALL.into_iter().find(|it| it.code() == mode).ok_or(Missing)?;
    if receiver == ReceiverKind::Lines && section.has(&MODE) {
        let advice = "`mode` is set at what says the lines: leave it out here";
        check.mistake(section.place(&MODE), advice.to_owned());
    }
    let topic = topic(check, section, port, receiver)?;
    Ok(Some(Radio { receiver, mode, topic }))
}

/// Under which topics receivers say what they hear; `None` if it is not on a broker.
fn topic(
    check: &mut Check<'_>,
    section: Section<'_>,
    port: Option<&PortSettings>,
    receiver: ReceiverKind,
) -> Result<Option<String>, Missing> {
    if !matches!(port, Some(PortSettings::Broker(_))) {
        if section.has(&TOPIC) && port.is_some() {
            let advice = "`topic` belongs to a port such as \"mqtt://own\": leave it out";
            check.mistake(section.place(&TOPIC), advice.to_owned());
        }
        return Ok(None);
    }
    if receiver != ReceiverKind::Lines {
        let advice = format!(
            "receiver = \"{}\" is plugged in: receivers on a broker are \"lines\"",
            receiver.code()
        );
        check.mistake(section.place(&RECEIVER), advice);
        return Err(Missing);
    }
    if !section.has(&TOPIC) {
        let advice = "`topic` is missing: under which topics the receivers say what they hear, \
                      such as \"wmbus/#\"";
        check.mistake(section.at, advice.to_owned());
        return Err(Missing);
    }
    let topic = check.text(section, &TOPIC).ok_or(Missing)?;
    if let Err(wrong) = topic.parse::<Filter>() {
        check.mistake(section.place(&TOPIC), format!("topic = \"{topic}\": {wrong}"));
        return Err(Missing);
    }
    Ok(Some(topic.to_owned()))
}

/// What one step of the energy registers is at a customer port, as a power of ten of 1 Wh.
pub(super) fn energy_step(
    check: &mut Check<'_>,
    section: Section<'_>,
    kind: WireKind,
) -> Option<i8> {
    let step = check.number(section, &ENERGY_STEP)?;
    if kind != WireKind::Listened(EarKind::Han) {
        let advice = "`energy_step_wh` belongs to kind = \"han\": leave it out";
        check.mistake(section.place(&ENERGY_STEP), advice.to_owned());
    }
    i8::try_from(step.ilog10()).ok()
}

/// Says what of a bus's section does not fit a wire that is listened to.
pub(super) fn check_bus(
    check: &mut Check<'_>,
    section: Section<'_>,
    kind: WireKind,
    port: Option<&PortSettings>,
) {
    let WireKind::Listened(ear) = kind else { return };
    if section.has(&ANSWER_WITHIN) {
        let advice = "`answer_within_ms` belongs to a wire whose meters are asked: leave it out";
        check.mistake(section.place(&ANSWER_WITHIN), advice.to_owned());
    }
    let what = match ear {
        EarKind::Han => "a customer port",
        EarKind::Radio => "a receiver",
        // Told with the other ports that are no broker.
        EarKind::Mqtt => return,
    };
    if let Some(port @ (PortSettings::RtuOverTcp(_) | PortSettings::Udp(_))) = port {
        let advice = format!(
            "port = \"{port}\": {what} is serial:///dev/NAME, or tcp://HOST:PORT behind a converter"
        );
        check.mistake(section.place(&PORT), advice);
    }
}

impl KnownBus {
    /// There is one meter at a customer port, and it has no address.
    pub(super) fn at_the_port(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        line: usize,
    ) -> Option<MeterAddress> {
        for key in [&ADDRESS, &SECONDARY] {
            if section.has(key) {
                let advice = format!(
                    "`{}` means nothing at a customer port, which has one meter: leave it out; \
                     `serial` is the meter's number",
                    key.name
                );
                check.mistake(section.place(key), advice);
            }
        }
        let address = MeterAddress::Port;
        if let Some(other) = self.taken.insert(address.to_string(), line) {
            let advice = format!(
                "bus `{}` is a customer port and has its one meter on line {other}",
                self.bus.id
            );
            check.mistake(section.place(&METER_BUS), advice);
            return None;
        }
        Some(address)
    }
}
