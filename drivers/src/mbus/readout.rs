//! From the telegrams of one meter to its readings.
//!
//! The telegrams of an answer are joined: together they are one readout. A register that stands in
//! two of them with the same value counts once; with another value, or in another unit, the second
//! one is kept under a name of its own (`energy_n2`), for nothing that a meter says is dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use ::mbus::{Content, Frame, Header, Long, Records, Secondary};
use metering::{Identity, Medium, Moment, NoReading, Quality, Quantity, Reading, Register};

use super::record::{Said, note, said};
use crate::error::{Garble, ReadError};
use crate::profile::{Profile, Profiles};
use crate::{Meter, MeterAddress, OddRecord, Readout};

/// One telegram, and when it began to come.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: Moment,
}

/// What the telegrams of `meter` say.
///
/// # Errors
///
/// [`ReadError::Garbled`] if the first telegram does not decode up to its records, or one is of
/// another meter; [`ReadError::RefusedAnswer`]; [`ReadError::WrongMeter`].
pub(crate) fn readout(
    came: Vec<Came>,
    meter: &Meter,
    profiles: &Profiles,
    took: Duration,
) -> Result<Readout, ReadError> {
    let mut joined = Joined::default();
    for (index, telegram) in came.iter().enumerate() {
        joined.add(index, telegram, meter.address)?;
    }
    let header = joined.header;
    let identity = header.as_ref().map(identity).unwrap_or_default();
    if let (MeterAddress::Secondary(selection), Some(address)) =
        (meter.address, header.and_then(|header| header.address()))
        && !selection.matches_address(&address)
    {
        return Err(ReadError::WrongMeter {
            address: meter.address,
            expected: selection.to_string(),
            found: address.to_string(),
        });
    }
    meter.expect_serial(&identity)?;

    let medium_code = joined.medium_code();
    let profile = meter.profile.clone().or_else(|| profiles.matching(&identity, medium_code));
    let at = came.first().map(|telegram| telegram.at);
    let mut readings = Vec::new();
    if let (Some(profile), Some(at)) = (&profile, at) {
        readings = joined.by_profile(profile, at, meter);
    }
    readings.extend(joined.others(meter));
    // The meter knows better than its type what it is mounted in: heat or cooling.
    let of_header = header.and_then(|header| header.medium).map(medium);
    let of_header = of_header.filter(|medium| *medium != Medium::Other);
    let of_profile = profile.as_ref().map(|profile| profile.medium);
    Ok(Readout {
        identity,
        medium: of_header.or(of_profile),
        readings,
        odd: joined.odd,
        telegrams: came.into_iter().map(|telegram| telegram.bytes).collect(),
        took,
        profile: profile.map(|profile| profile.id.clone()),
    })
}

/// What the header tells of the device.
fn identity(header: &Header) -> Identity {
    Identity {
        serial: header.id.map(|id| id.to_string()).unwrap_or_default(),
        manufacturer: header.manufacturer.map(|it| it.to_string()).unwrap_or_default(),
        version: header.version.map(|version| format!("{version:02X}")).unwrap_or_default(),
    }
}

/// What a secondary address tells of the device.
pub(crate) fn identity_of(address: Secondary) -> Identity {
    Identity {
        serial: address.id.to_string(),
        manufacturer: address.manufacturer.to_string(),
        version: format!("{:02X}", address.version),
    }
}

/// What the medium byte of a header is on the dashboard: EN 13757-7.
pub(crate) fn medium(medium: ::mbus::Medium) -> Medium {
    match medium.code() {
        0x02 | 0x20 => Medium::Electricity,
        0x03 | 0x12 | 0x13 => Medium::Gas,
        0x04 | 0x08 | 0x0C | 0x0D => Medium::Heat,
        0x06 | 0x15 => Medium::HotWater,
        0x07 | 0x10 | 0x11 | 0x16 | 0x17 => Medium::Water,
        0x0A | 0x0B => Medium::Cooling,
        0x1B => Medium::Climate,
        _ => Medium::Other,
    }
}

/// The telegrams of an answer, together.
#[derive(Debug, Default)]
struct Joined {
    header: Option<Header>,
    said: Vec<(Moment, Said)>,
    odd: Vec<OddRecord>,
}

impl Joined {
    fn add(&mut self, index: usize, came: &Came, address: MeterAddress) -> Result<(), ReadError> {
        let undecodable =
            |what: String| ReadError::Garbled { address, cause: Garble::Undecodable(what) };
        let decode_error = |error: ::mbus::DecodeError| undecodable(error.to_string());
        let long: Long<'_> = match Frame::read(&came.bytes).map_err(decode_error)? {
            Frame::Long(long) => long,
            Frame::Ack | Frame::Short { .. } => {
                return Err(undecodable("it holds no telegram".to_owned()));
            }
        };
        let telegram = long.telegram().map_err(decode_error)?;
        if let (Some(first), Some(header)) = (&self.header, &telegram.header)
            && first.id != header.id
        {
            let what = format!("telegram {} is of another meter", index + 1);
            return Err(ReadError::Garbled { address, cause: Garble::Foreign(what) });
        }
        self.header = self.header.or(telegram.header);
        if let Some(header) = &telegram.header {
            self.note_status(index, header);
        }
        match telegram.content {
            Content::Records(records) => self.add_records(index, came.at, records),
            Content::Sealed(sealed) => match sealed.plain() {
                Some(records) => self.add_records(index, came.at, records),
                None => return Err(decode_error(sealed.error())),
            },
            Content::Error(error) => {
                return Err(ReadError::RefusedAnswer { address, error: error.name().to_owned() });
            }
            Content::Alarm(status) => self.odd.push(OddRecord {
                telegram: index,
                at: 0,
                what: "alarm".to_owned(),
                note: status.map(|status| format!("{status:02X}")).unwrap_or_default(),
            }),
        }
        Ok(())
    }

    fn note_status(&mut self, index: usize, header: &Header) {
        let status = header.status;
        let says = [
            (status.permanent_error(), "the meter reports a permanent error"),
            (status.temporary_error(), "the meter reports a temporary error"),
            (status.power_low(), "the meter's battery or supply is low"),
        ];
        for (_, note) in says.into_iter().filter(|(is, _)| *is && index == 0) {
            let what = "status".to_owned();
            self.odd.push(OddRecord { telegram: index, at: 0, what, note: note.to_owned() });
        }
    }

    fn add_records(&mut self, index: usize, at: Moment, records: Records<'_>) {
        let medium_code = self.medium_code();
        for (place, record) in records.enumerate() {
            match record {
                Ok(record) => {
                    let said = said(&record, medium_code);
                    if said.number.is_none() {
                        self.odd.push(OddRecord {
                            telegram: index,
                            at: place,
                            what: said.register.to_string(),
                            note: note(&record),
                        });
                    }
                    self.said.push((at, said));
                }
                Err(error) => self.odd.push(OddRecord {
                    telegram: index,
                    at: place,
                    what: String::new(),
                    note: error.to_string(),
                }),
            }
        }
    }

    fn medium_code(&self) -> u8 {
        self.header.and_then(|header| header.medium).map_or(0, ::mbus::Medium::code)
    }

    /// The registers of `profile`, also those that were left out; they are taken off the list.
    fn by_profile(&mut self, profile: &Profile, at: Moment, meter: &Meter) -> Vec<Reading> {
        let mut readings = Vec::new();
        for spec in profile.registers() {
            let Some(wanted) = &spec.mbus else { continue };
            let found = self
                .said
                .iter()
                .position(|(_, said)| said.number.is_some() && said.register == wanted.register);
            let (at, value) = match found.map(|index| self.said.remove(index)) {
                None => (at, Err(NoReading::LeftOut)),
                Some((at, Said { number, .. })) => {
                    let told = number.unwrap_or(Err(NoReading::LeftOut));
                    (at, told.and_then(|told| told.quantity_in(spec.unit, spec.decimals)))
                }
            };
            // The same in a later telegram says nothing new.
            let unit = |told: super::record::Told| told.quantity_in(spec.unit, spec.decimals);
            self.said.retain(|(_, said)| {
                let again = said.number.is_some_and(|it| it.and_then(unit) == value);
                !(again && said.register == wanted.register)
            });
            let quality = value.map_or(Quality::Good, |value| spec.plausible.judge(value));
            let register = spec.register.clone();
            readings.push(Reading { register, at, value, quality, origin: meter.origin });
        }
        readings
    }

    /// What no profile names.
    fn others(&mut self, meter: &Meter) -> Vec<Reading> {
        let mut seen: BTreeMap<Register, Vec<Result<Quantity, NoReading>>> = BTreeMap::new();
        let mut readings = Vec::new();
        for (at, said) in self.said.drain(..) {
            let Some(number) = said.number else { continue };
            let value = number.and_then(|told| told.quantity(None));
            let before = seen.entry(said.register.clone()).or_default();
            if before.contains(&value) {
                continue;
            }
            before.push(value);
            let register = numbered(said.register, before.len());
            let quality = Quality::Good;
            readings.push(Reading { register, at, value, quality, origin: meter.origin });
        }
        readings
    }
}

/// `register` itself, or the second, third, … of that name.
fn numbered(register: Register, nth: usize) -> Register {
    if nth < 2 {
        return register;
    }
    let roles =
        [register.role.as_ref().map(|role| format!("{role}_n{nth}")), Some(format!("n{nth}"))];
    // Only a name that is already as long as can be has no room for a number.
    roles
        .into_iter()
        .flatten()
        .filter_map(|role| role.parse().ok())
        .map(|role| Register { role: Some(role), ..register.clone() })
        .find(Register::is_canonical)
        .unwrap_or(register)
}
