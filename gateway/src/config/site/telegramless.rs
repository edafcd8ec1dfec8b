//! The wires that carry no telegrams: thermometers on a 1-Wire, pulses, a weather service.

use drivers::onewire::SensorId;
use drivers::weather::Coordinates;
use drivers::{BusKind, MeterAddress, PortSettings};

use super::WireKind;
use super::buses::KnownBus;
use super::keys::{
    ADDRESS, BAUD, CONSENT, CONTACT, COORDINATES, PARITY, PORT, PROFILE, PULSES_PER_UNIT, SECONDARY,
};
use crate::config::check::{Check, Section};
use crate::config::key::Key;

/// What the port of such a wire is; `None` of the others.
pub(super) const fn port_of(kind: WireKind) -> Option<&'static str> {
    match kind {
        WireKind::Asked(BusKind::OneWire) => Some(
            "a 1-Wire is the folder in which the kernel shows its sensors, mostly \
             \"sysfs:///sys/bus/w1/devices\"",
        ),
        WireKind::Asked(BusKind::Pulse) => {
            Some("pulses are counted at a GPIO chip, such as \"gpio:///dev/gpiochip0\"")
        }
        WireKind::Asked(BusKind::Weather) => Some(
            "a weather service is reached at https://: that of MET Norway at \
             \"https://api.met.no/weatherapi/locationforecast/2.0\"",
        ),
        _ => None,
    }
}

/// Says what of a bus's section does not fit its kind.
pub(super) fn check_bus(
    check: &mut Check<'_>,
    section: Section<'_>,
    kind: WireKind,
    port: &PortSettings,
) {
    use PortSettings::{Events, Gpio, Service, Sysfs};
    let fits = match kind {
        WireKind::Asked(BusKind::OneWire) => matches!(port, Sysfs(_)),
        WireKind::Asked(BusKind::Pulse) => matches!(port, Gpio(_) | Events(_)),
        WireKind::Asked(BusKind::Weather) => matches!(port, Service(_)),
        _ => !matches!(port, Sysfs(_) | Gpio(_) | Events(_) | Service(_)),
    };
    if !fits {
        let advice = port_of(kind).unwrap_or(
            "sysfs:// belongs to kind = \"onewire\", gpio:// to \"pulse\" and https:// to \"weather\"",
        );
        check.mistake(section.place(&PORT), format!("port = \"{port}\": {advice}"));
    }
    if port_of(kind).is_some() {
        let why = "means nothing on a wire without telegrams";
        leave_out(check, section, &[&BAUD, &PARITY], why);
    }
    let is_weather = kind == WireKind::Asked(BusKind::Weather);
    if !is_weather {
        leave_out(check, section, &[&CONTACT, &CONSENT], "belongs to a weather service");
    } else if !section.has(&CONTACT) {
        let advice = "`contact` is missing: a weather service wants to know who asks; write an \
                      e-mail address or a page";
        check.mistake(section.at, advice.to_owned());
    } else if !check.flag(section, &CONSENT) {
        let advice = "the service is told where the building is: write consent = true once its \
                      owner agrees";
        check.mistake(section.place(&CONSENT), advice.to_owned());
    }
}

/// Says what of a meter's section belongs to another kind of bus than `kind`.
pub(super) fn check_meter(check: &mut Check<'_>, section: Section<'_>, kind: WireKind) {
    if kind != WireKind::Asked(BusKind::Weather) {
        leave_out(check, section, &[&COORDINATES], "belongs to a weather service");
    }
    if kind != WireKind::Asked(BusKind::Pulse) {
        leave_out(check, section, &[&PULSES_PER_UNIT], "belongs to a bus of pulses");
    }
}

fn leave_out(check: &mut Check<'_>, section: Section<'_>, keys: &[&Key], why: &str) {
    for key in keys.iter().filter(|key| section.has(key)) {
        check.mistake(section.place(key), format!("`{}` {why}: leave it out", key.name));
    }
}

impl KnownBus {
    /// Where a meter is on such a wire; taken from now on.
    pub(super) fn without_telegrams(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        line: usize,
    ) -> Option<MeterAddress> {
        leave_out(check, section, &[&SECONDARY], "is an address of M-Bus");
        let (address, place) = match self.bus.kind {
            WireKind::Asked(BusKind::Weather) => {
                leave_out(check, section, &[&ADDRESS], "means nothing to a weather service");
                (at_place(check, section)?, section.place(&COORDINATES))
            }
            WireKind::Asked(BusKind::Pulse) => {
                if !section.has(&PROFILE) {
                    let advice = "`profile` is missing: pulses do not say what they count; \
                                  `fyrhus profile list` shows what they can";
                    check.mistake(section.at, advice.to_owned());
                }
                (at_line(check, section)?, section.place(&ADDRESS))
            }
            _ => (at_sensor(check, section)?, section.place(&ADDRESS)),
        };
        if let Some(other) = self.taken.insert(address.to_string(), line) {
            let advice =
                format!("{address} on bus `{}` is taken by the meter on line {other}", self.bus.id);
            check.mistake(place, advice);
            return None;
        }
        Some(address)
    }
}

fn at_sensor(check: &mut Check<'_>, section: Section<'_>) -> Option<MeterAddress> {
    if !section.has(&ADDRESS) {
        let advice = "`address` is missing: the sensor's number, which `fyrhus onewire scan` lists";
        check.mistake(section.at, advice.to_owned());
        return None;
    }
    match check.text(section, &ADDRESS)?.parse::<SensorId>() {
        Ok(sensor) => Some(MeterAddress::Sensor(sensor)),
        Err(wrong) => {
            check.mistake(section.place(&ADDRESS), wrong.to_string());
            None
        }
    }
}

fn at_line(check: &mut Check<'_>, section: Section<'_>) -> Option<MeterAddress> {
    if !section.has(&ADDRESS) {
        let advice = "`address` is missing: the number of the line at the chip";
        check.mistake(section.at, advice.to_owned());
        return None;
    }
    let number = check.number(section, &ADDRESS)?;
    let weight = match check.text(section, &PULSES_PER_UNIT).map(str::parse) {
        None => None,
        Some(Ok(weight)) => Some(weight),
        Some(Err(_)) => {
            check.refuse(section, &PULSES_PER_UNIT, None);
            return None;
        }
    };
    if let Ok(line @ 0..=1_023) = u32::try_from(number) {
        return Some(MeterAddress::Line { line, weight });
    }
    let advice = format!("address = {number} is not the number of a line, 0 to 1023");
    check.mistake(section.place(&ADDRESS), advice);
    None
}

fn at_place(check: &mut Check<'_>, section: Section<'_>) -> Option<MeterAddress> {
    if !section.has(&COORDINATES) {
        let advice = "`coordinates` is missing: latitude and longitude, as in \"59.91, 10.75\"";
        check.mistake(section.at, advice.to_owned());
        return None;
    }
    match check.text(section, &COORDINATES)?.parse::<Coordinates>() {
        Ok(place) => Some(MeterAddress::Place(place)),
        Err(wrong) => {
            check.mistake(section.place(&COORDINATES), wrong.to_string());
            None
        }
    }
}
