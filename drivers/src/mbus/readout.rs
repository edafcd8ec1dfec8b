//! From the telegrams of one meter to its readings.
//!
//! The telegrams of an answer are joined: together they are one readout. Records of the same name
//! are told apart by their place, so that each stays in its series whatever they show:
//!
//! ```text
//! telegram 1:  voltage 231.0   voltage 229.8   voltage 231.0     voltage, voltage_n2, voltage_n3
//! telegram 2:  voltage 231.0   energy 17                         again; energy
//! ```
//!
//! What a later telegram says again, the same number in the same place among its likes, counts
//! once. Nothing else that a meter says is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::mbus::radio::{Heard, Link, Piece, Pieces, State};
use ::mbus::{Content, Frame, Header, Records, Secondary, Settings};
use metering::{Identity, Medium, Moment, NoReading, Quality, Quantity, Reading, Register};

use super::memory::{Dated, remembered};
use super::opening::{Opening, asked_at};
use super::record::{Said, Told, note, said};
use crate::error::{Garble, ReadError};
use crate::profile::{Profile, Profiles};
use crate::{Meter, MeterAddress, OddKind, OddRecord, Readout, RegisterSpec};

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
    opening: &mut Opening,
    took: Duration,
) -> Result<Readout, ReadError> {
    let mut joined = Joined::default();
    let mut room = [0; MOST_IN_PIECES];
    let mut pieces = Pieces::new(room.as_mut_slice());
    for (index, telegram) in came.iter().enumerate() {
        joined.add(index, telegram, meter.address, opening, &mut pieces)?;
    }
    let at = came.first().map(|telegram| telegram.at);
    let telegrams = came.into_iter().map(|telegram| telegram.bytes).collect();
    finish(joined, at, telegrams, meter, profiles, took)
}

/// What one telegram of `meter` says that came by radio as `bytes` and was opened.
///
/// # Errors
///
/// As [`readout`].
pub(crate) fn readout_of(
    header: Option<Header>,
    content: Content<'_>,
    came: Came,
    meter: &Meter,
    profiles: &Profiles,
) -> Result<Readout, ReadError> {
    let mut joined = Joined::default();
    joined.add_content(0, came.at, header, content, meter.address)?;
    finish(joined, Some(came.at), vec![came.bytes], meter, profiles, Duration::ZERO)
}

fn finish(
    mut joined: Joined,
    at: Option<Moment>,
    telegrams: Vec<Vec<u8>>,
    meter: &Meter,
    profiles: &Profiles,
    took: Duration,
) -> Result<Readout, ReadError> {
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
    let mut readings = Vec::new();
    let mut memory = Vec::new();
    if let (Some(profile), Some(at)) = (&profile, at) {
        memory = remembered(profile, &joined.numbers, &joined.dates);
        readings = joined.by_profile(profile, at, meter);
    }
    let others = joined.others(&readings, meter);
    readings.extend(others);
    // The meter knows better than its type what it is mounted in: heat or cooling.
    let of_header = header.and_then(|header| header.medium).map(medium);
    let of_header = of_header.filter(|medium| *medium != Medium::Other);
    let of_profile = profile.as_ref().map(|profile| profile.medium);
    Ok(Readout {
        identity,
        medium: of_header.or(of_profile),
        readings,
        remembered: memory,
        odd: joined.odd,
        telegrams,
        took,
        profile: profile.map(|profile| profile.id.clone()),
    })
}

/// Why an encrypted telegram of `meter` cannot be read, if it is for want of the right key; of one
/// that does not say who it is nobody knows whose key that would be.
pub(crate) fn locked(
    state: Option<State>,
    address: MeterAddress,
    meter: Option<Secondary>,
) -> Option<ReadError> {
    let has_key = match state? {
        State::KeyMissing => false,
        State::KeyWrong => true,
        State::Decrypted | State::PlainMarked | State::Unsupported => return None,
    };
    let Some(meter) = meter else {
        let what = "it is encrypted and does not say whose key opens it; ask the meter by its own \
                    address, eight digits, maker, version and medium";
        return Some(undecodable(address, what.to_owned()));
    };
    Some(ReadError::Locked { address, number: meter.id.to_string(), has_key })
}

const fn undecodable(address: MeterAddress, what: String) -> ReadError {
    ReadError::Garbled { address, cause: Garble::Undecodable(what) }
}

/// As many telegrams as a meter is asked for, each as long as can be.
const MOST_IN_PIECES: usize = Settings::MOST_TELEGRAMS as usize * Frame::MAX_LEN;

/// The telegrams of one readout come one after the other.
const AT_ONCE: Duration = Duration::ZERO;

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

/// What the medium of a header is on the dashboard.
///
/// By its name, because the fixed structure gives some of the codes to other media.
pub(crate) fn medium(medium: ::mbus::Medium) -> Medium {
    match medium.name() {
        "electricity" | "breaker_electricity" => Medium::Electricity,
        "gas" | "gas_data_logger" | "gas_converter" => Medium::Gas,
        "heat" | "heat_inlet" | "heat_cooling" | "heat_cost_allocator" => Medium::Heat,
        "warm_water" | "hot_water" => Medium::HotWater,
        "water" | "cold_water" | "dual_water" | "irrigation_water" | "water_data_logger" => {
            Medium::Water
        }
        "cooling_outlet" | "cooling_inlet" => Medium::Cooling,
        "room_sensor" => Medium::Climate,
        _ => Medium::Other,
    }
}

/// The telegrams of an answer, together.
#[derive(Debug, Default)]
struct Joined {
    header: Option<Header>,
    numbers: Vec<NumberSaid>,
    /// Of each register, the numbers that were said of it so far, those that were left out too.
    places: BTreeMap<Register, Vec<Place>>,
    names: BTreeSet<Register>,
    dates: Vec<Dated>,
    odd: Vec<OddRecord>,
}

/// A number under the name that is its alone.
#[derive(Debug)]
pub(super) struct NumberSaid {
    at: Moment,
    telegram: usize,
    place: usize,
    pub(super) register: Register,
    pub(super) number: Result<Told, NoReading>,
}

/// Where a number of a register was said.
#[derive(Debug)]
struct Place {
    telegram: usize,
    number: Result<Told, NoReading>,
}

impl Joined {
    fn add(
        &mut self,
        index: usize,
        came: &Came,
        address: MeterAddress,
        opening: &mut Opening,
        pieces: &mut Pieces<&mut [u8]>,
    ) -> Result<(), ReadError> {
        let asked = self.header.and_then(|header| header.address()).or(asked_at(address));
        let heard = opening.hear(&came.bytes, asked);
        match pieces.take(&heard, AT_ONCE) {
            Piece::None => self.add_heard(index, came.at, heard, address),
            Piece::More => Ok(()),
            Piece::Last => match opening.hear_whole(pieces) {
                Some(whole) => self.add_heard(index, came.at, whole, address),
                None => Ok(()),
            },
            Piece::Lost => {
                let what = "it is a piece of a message of which another piece is missing";
                Err(undecodable(address, what.to_owned()))
            }
        }
    }

    fn add_heard(
        &mut self,
        index: usize,
        at: Moment,
        heard: Heard<'_>,
        address: MeterAddress,
    ) -> Result<(), ReadError> {
        let Heard { envelope, content, .. } = heard;
        if matches!(envelope.link, Some(Link::Ack | Link::Short { .. })) {
            return Err(undecodable(address, "it holds no telegram".to_owned()));
        }
        let content = content.map_err(|error| {
            let state = envelope.encryption.map(|it| it.state);
            locked(state, address, envelope.meter)
                .unwrap_or_else(|| undecodable(address, error.to_string()))
        })?;
        self.add_content(index, at, envelope.header, content, address)
    }

    fn add_content(
        &mut self,
        index: usize,
        at: Moment,
        header: Option<Header>,
        content: Content<'_>,
        address: MeterAddress,
    ) -> Result<(), ReadError> {
        if let (Some(first), Some(own)) =
            (self.header.and_then(|it| it.id), header.and_then(|it| it.id))
            && first != own
        {
            let what = format!("telegram {} is of another meter", index + 1);
            return Err(ReadError::Garbled { address, cause: Garble::Foreign(what) });
        }
        self.header = self.header.or(header);
        if let Some(header) = &header {
            self.note_status(index, header);
        }
        match content {
            Content::Records(records) => self.add_records(index, at, records),
            Content::Sealed(sealed) => {
                return Err(undecodable(address, sealed.error().to_string()));
            }
            Content::Error(error) => {
                return Err(ReadError::RefusedAnswer { address, error: error.name().to_owned() });
            }
            Content::Alarm(status) => self.odd.push(OddRecord {
                telegram: index,
                at: 0,
                kind: OddKind::Alarm,
                what: "alarm".to_owned(),
                note: status.map(|status| format!("{status:02X}")).unwrap_or_default(),
            }),
        }
        Ok(())
    }

    fn note_status(&mut self, index: usize, header: &Header) {
        let status = header.status;
        let says = [
            (
                status.permanent_error(),
                OddKind::PermanentError,
                "the meter reports a permanent error",
            ),
            (
                status.temporary_error(),
                OddKind::TemporaryError,
                "the meter reports a temporary error",
            ),
            (status.power_low(), OddKind::PowerLow, "the meter's battery or supply is low"),
        ];
        for (_, kind, note) in says.into_iter().filter(|(is, ..)| *is && index == 0) {
            let (what, note) = ("status".to_owned(), note.to_owned());
            self.odd.push(OddRecord { telegram: index, at: 0, kind, what, note });
        }
    }

    fn add_records(&mut self, index: usize, at: Moment, records: Records<'_>) {
        let medium_code = self.medium_code();
        for (place, record) in records.enumerate() {
            match record {
                Ok(record) => {
                    let Said { register, number } = said(&record, medium_code);
                    self.dates.extend(Dated::of(&record, &register));
                    let (kind, note) = match number {
                        Some(number) if self.keep((index, place), at, &register, number) => {
                            continue;
                        }
                        Some(_) => {
                            let note = "there are too many records of this name".to_owned();
                            (OddKind::Nameless, note)
                        }
                        None => note(&record),
                    };
                    let what = register.to_string();
                    self.odd.push(OddRecord { telegram: index, at: place, kind, what, note });
                }
                Err(error) => self.odd.push(OddRecord {
                    telegram: index,
                    at: place,
                    kind: OddKind::Unread,
                    what: String::new(),
                    note: error.to_string(),
                }),
            }
        }
    }

    /// Keeps a number under a name of its own, if it does not repeat an earlier telegram. `false`
    /// if there is no such name.
    fn keep(
        &mut self,
        (telegram, place): (usize, usize),
        at: Moment,
        register: &Register,
        number: Result<Told, NoReading>,
    ) -> bool {
        let places = self.places.entry(register.clone()).or_default();
        let place_in = |telegram| places.iter().filter(move |it| it.telegram == telegram);
        let among_likes = place_in(telegram).count();
        let repeats = (0..telegram)
            .filter_map(|earlier| place_in(earlier).nth(among_likes))
            .any(|earlier| earlier.number == number);
        places.push(Place { telegram, number });
        let nth = places.len();
        if repeats {
            return true;
        }
        let Some(name) = self.name(register, nth) else { return false };
        self.numbers.push(NumberSaid { at, telegram, place, register: name, number });
        true
    }

    /// A name that no other number has: `register` itself, or with the number `nth`.
    fn name(&mut self, register: &Register, nth: usize) -> Option<Register> {
        let role = register.role.as_ref();
        let roles = [role.map(|role| format!("{role}_n{nth}")), Some(format!("n{nth}"))];
        let numbered = roles.into_iter().flatten().filter_map(|role| role.parse().ok());
        let numbered = numbered.map(|role| Register { role: Some(role), ..register.clone() });
        let name = (nth == 1)
            .then(|| register.clone())
            .into_iter()
            .chain(numbered)
            .find(|name| name.is_canonical() && !self.names.contains(name))?;
        self.names.insert(name.clone());
        Some(name)
    }

    fn medium_code(&self) -> u8 {
        self.header.and_then(|header| header.medium).map_or(0, ::mbus::Medium::code)
    }

    /// The registers of `profile`, also those that were left out; they are taken off the list.
    fn by_profile(&mut self, profile: &Profile, at: Moment, meter: &Meter) -> Vec<Reading> {
        let mut readings = Vec::new();
        for spec in profile.registers() {
            let Some(wanted) = &spec.mbus else { continue };
            let found = self.numbers.iter().position(|it| it.register == wanted.register);
            let (at, value) = match found.map(|index| self.numbers.remove(index)) {
                None if spec.optional => continue,
                None => (at, Err(NoReading::LeftOut)),
                Some(NumberSaid { at, telegram, place, number, .. }) => {
                    let value = number.and_then(|told| told.quantity_in(spec.unit, spec.decimals));
                    if let Ok(flags) = value {
                        let what = spec.register.to_string();
                        self.odd.extend(in_words(spec, flags).map(|note| OddRecord {
                            telegram,
                            at: place,
                            kind: OddKind::SetBit,
                            what: what.clone(),
                            note,
                        }));
                    }
                    (at, value)
                }
            };
            let quality = value.map_or(Quality::Good, |value| spec.plausible.judge(value));
            let register = spec.register.clone();
            readings.push(Reading { register, at, value, quality, origin: meter.origin });
        }
        readings
    }

    /// What no profile names. The profile may have given the name of one of these to another.
    fn others(&mut self, by_profile: &[Reading], meter: &Meter) -> Vec<Reading> {
        let taken: BTreeSet<&Register> = by_profile.iter().map(|it| &it.register).collect();
        let mut readings = Vec::new();
        for NumberSaid { at, register, number, .. } in std::mem::take(&mut self.numbers) {
            let name =
                if taken.contains(&register) { self.name(&register, 2) } else { Some(register) };
            let Some(register) = name else { continue };
            let value = number.and_then(|told| told.quantity(None));
            let quality = Quality::Good;
            readings.push(Reading { register, at, value, quality, origin: meter.origin });
        }
        readings
    }
}

/// What the bits of `flags` that are set say, by the texts of `spec`; nothing where it has none.
fn in_words(spec: &RegisterSpec, flags: Quantity) -> impl Iterator<Item = String> {
    let bits = match (flags.resolution().decimals(), u64::try_from(flags.mantissa())) {
        (0, Ok(bits)) if !spec.bits.is_empty() => bits,
        _ => 0,
    };
    (0..u64::BITS).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| {
        let known = spec.bits.iter().find(|it| u32::from(it.bit) == bit);
        known.map_or_else(|| format!("bit {bit} is set"), |it| it.text.en.clone())
    })
}

#[cfg(test)]
mod tests;
