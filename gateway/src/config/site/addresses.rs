//! Where a meter answers: what an address may be depends on the wire that it is on.

use drivers::{BusKind, EarKind, MeterAddress, PortSettings};

use super::buses::KnownBus;
use super::keys::{ADDRESS, SECONDARY};
use super::{WireKind, telegramless};
use crate::config::check::{Check, Section};

impl KnownBus {
    /// Where the meter answers; taken from now on.
    pub(super) fn address(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        line: usize,
    ) -> Option<MeterAddress> {
        if self.bus.kind == WireKind::Listened(EarKind::Mqtt) {
            return self.on_the_broker(check, section, line);
        }
        if self.bus.kind == WireKind::Listened(EarKind::Han) {
            return self.at_the_port(check, section, line);
        }
        telegramless::check_meter(check, section, self.bus.kind);
        if telegramless::port_of(self.bus.kind).is_some() {
            return self.without_telegrams(check, section, line);
        }
        let number = check.number(section, &ADDRESS);
        let secondary = check.text(section, &SECONDARY).map(str::to_uppercase);
        let (address, place) = match (section.has(&ADDRESS), section.has(&SECONDARY)) {
            (true, true) => {
                let advice = "`address` and `secondary` are both given: keep the one that the \
                              meter is to be asked by";
                check.mistake(section.place(&SECONDARY), advice.to_owned());
                return None;
            }
            (false, false) => {
                let advice = match self.bus.kind {
                    WireKind::Asked(BusKind::Modbus) => {
                        "`address` is missing: the Modbus unit, 1 to 247"
                    }
                    WireKind::Listened(_) => {
                        "`secondary` is missing: the meter's number, such as \"67001122\"; \
                         `fyrhus radio listen` shows who is heard"
                    }
                    WireKind::Asked(_) => "`address` (0 to 250) or `secondary` is missing",
                };
                check.mistake(section.at, advice.to_owned());
                return None;
            }
            (true, false) => {
                let (number, place) = (number?, section.place(&ADDRESS));
                match self.numbered(number) {
                    Ok(address) => (address, place),
                    Err(why) => {
                        check.mistake(place, format!("address = {number} is not {why}"));
                        return None;
                    }
                }
            }
            (false, true) => {
                let written = secondary?;
                let place = section.place(&SECONDARY);
                if self.bus.kind == WireKind::Asked(BusKind::Modbus) {
                    let advice = "`secondary` is an address of M-Bus: on Modbus write `address`";
                    check.mistake(place, advice.to_owned());
                    return None;
                }
                let Ok(secondary) = written.parse() else {
                    check.refuse(section, &SECONDARY, None);
                    return None;
                };
                (MeterAddress::Secondary(secondary), place)
            }
        };
        if let Some(other) = self.taken.insert(address.to_string(), line) {
            let advice = format!(
                "address {address} on bus `{}` is taken by the meter on line {other}",
                self.bus.id
            );
            check.mistake(place, advice);
            return None;
        }
        Some(address)
    }

    /// The address `number` on this bus, or what it is not.
    fn numbered(&self, number: u64) -> Result<MeterAddress, &'static str> {
        let byte = u8::try_from(number).ok();
        match (self.bus.kind, byte) {
            (WireKind::Asked(BusKind::Modbus), Some(unit @ 1..=247)) => {
                Ok(MeterAddress::Unit(unit))
            }
            (WireKind::Asked(BusKind::Modbus), Some(255))
                if matches!(self.bus.port, PortSettings::Tcp(_)) =>
            {
                Ok(MeterAddress::Unit(255))
            }
            (WireKind::Listened(_), _) => {
                Err("how a meter is known by radio: write its `secondary` instead")
            }
            (WireKind::Asked(BusKind::Modbus), _) => {
                Err("a Modbus unit: 1 to 247, or 255 on Modbus TCP")
            }
            (_, Some(primary @ 0..=250)) => Ok(MeterAddress::Primary(primary)),
            (_, _) => Err(no_primary_address(number)),
        }
    }
}

/// What `number`, which is none of 0 to 250, is not. Source: EN 13757-2, the address field.
const fn no_primary_address(number: u64) -> &'static str {
    match number {
        251 | 252 => "a meter's primary address, 0 to 250: 251 and 252 are reserved",
        253 => {
            "a meter's primary address, 0 to 250: 253 is whichever meter is selected; write its \
             `secondary` instead"
        }
        254 => "a meter's primary address, 0 to 250: to 254 all meters answer at once",
        255 => "a meter's primary address, 0 to 250: 255 is for all meters, and none answers",
        _ => "a meter's primary address, 0 to 250; 251 to 255 are no single meter's",
    }
}
