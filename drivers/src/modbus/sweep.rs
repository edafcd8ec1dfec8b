//! Who is on a Modbus: what an installer wants to know before anything is configured.
//!
//! ```text
//! unit 1, 2, 3 … ──▶ one register ──▶ an answer or a refusal: somebody is there
//!                                          └─▶ the registers by which profiles tell their type
//! ```
//!
//! Whoever is there says so by any answer: a device that does not know the function or the
//! register has to refuse it (Modbus application protocol, section 7). A silent unit costs one
//! response time-out, so a sweep of a serial line takes minutes: it tells how far it is, and can be
//! dropped at any time.
//!
//! **Never true:** a sweep writes anything to a device, or asks one for more than it is read for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use metering::Clock;

use super::bus::ModbusBus;
use super::frame::{Function, Request};
use crate::error::ReadError;
use crate::profile::{Modbus, Profiles, Words};

/// A unit that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUnit {
    /// Where it answers: 1 to 247, or 255 for the device itself on Modbus TCP.
    pub unit: u8,
    /// The profiles whose fingerprint it has; mostly one, and none of a type that has no
    /// fingerprint.
    pub profiles: Vec<String>,
    /// The serial number, where one of them knows the register of it.
    pub serial: Option<String>,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepProgress<'a> {
    /// This unit is being asked.
    Asking(u8),
    /// It is there.
    Found(&'a FoundUnit),
    /// Something answers for this unit that is no answer of one unit: two devices with one
    /// address, mostly, or a line that is set wrong.
    Garbled(u8),
}

/// Asks every unit of `units` for a sign of life, and those that give one what they are.
///
/// # Errors
///
/// [`ReadError::Port`]: the wire itself is out of reach.
///
/// # Cancellation
///
/// As with [`ModbusBus::read`]: the bus is then fit for the next question.
pub async fn sweep(
    bus: &mut ModbusBus,
    units: RangeInclusive<u8>,
    profiles: &Profiles,
    clock: &dyn Clock,
    mut progress: impl FnMut(SweepProgress<'_>),
) -> Result<Vec<FoundUnit>, ReadError> {
    let mut found = Vec::new();
    for unit in units {
        progress(SweepProgress::Asking(unit));
        match bus.ask(unit, SIGN_OF_LIFE, &Modbus::default(), clock).await {
            Ok(_) | Err(ReadError::Refused { .. }) => {}
            Err(error @ ReadError::Port { .. }) => return Err(error),
            Err(ReadError::Garbled { .. }) => {
                progress(SweepProgress::Garbled(unit));
                continue;
            }
            Err(_) => continue,
        }
        let it = fingerprint(bus, unit, profiles, clock).await?;
        progress(SweepProgress::Found(&it));
        found.push(it);
    }
    Ok(found)
}

/// Any register will do.
const SIGN_OF_LIFE: Request = Request { function: Function::Holding, address: 0, count: 1 };

/// Of which type the device at `unit` is. Each register is asked for once, however many profiles
/// look at it.
async fn fingerprint(
    bus: &mut ModbusBus,
    unit: u8,
    profiles: &Profiles,
    clock: &dyn Clock,
) -> Result<FoundUnit, ReadError> {
    let mut asked: BTreeMap<(u8, u16, u16), Option<Vec<u16>>> = BTreeMap::new();
    let mut it = FoundUnit { unit, profiles: Vec::new(), serial: None };
    for profile in profiles.iter() {
        let Some(modbus) = &profile.modbus else { continue };
        for identify in &modbus.identify {
            let at = identify.point.at;
            let key = (at.function.code(), at.address, at.count);
            if let std::collections::btree_map::Entry::Vacant(e) = asked.entry(key) {
                let words = register(bus, unit, at, modbus, clock).await?;
                e.insert(words);
            }
            let Some(Some(found)) = asked.get(&key) else { continue };
            let mut words = Words::default();
            words.put(at.function, at.address, found);
            let number = identify.point.integer(&words);
            if number.is_some_and(|number| identify.any_of.contains(&number)) {
                it.profiles.push(profile.id.clone());
                break;
            }
        }
        if it.profiles.last() == Some(&profile.id)
            && it.serial.is_none()
            && let Some(serial) = &modbus.serial
            && let Some(found) = register(bus, unit, serial.at, modbus, clock).await?
        {
            let mut words = Words::default();
            words.put(serial.at.function, serial.at.address, &found);
            it.serial = serial.serial(&words);
        }
    }
    Ok(it)
}

/// A register of a device that is there; `None` where it refuses it or does not answer.
async fn register(
    bus: &mut ModbusBus,
    unit: u8,
    at: Request,
    modbus: &Modbus,
    clock: &dyn Clock,
) -> Result<Option<Vec<u16>>, ReadError> {
    match bus.ask(unit, at, modbus, clock).await {
        Ok(heard) => Ok(Some(heard.words)),
        Err(error @ ReadError::Port { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}
