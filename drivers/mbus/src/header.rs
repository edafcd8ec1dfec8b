//! The fixed header in front of the records: who speaks, how often it has spoken, and how it is.
//!
//! ```text
//! long   CI 72   ID ID ID ID  MAN MAN  VER  MED  ACC  STATUS  CONF CONF
//! short  CI 7A                                   ACC  STATUS  CONF CONF
//! none   CI 78
//! fixed  CI 73   ID ID ID ID                     ACC  STATUS
//! ```
//!
//! Source: EN 13757-3, "data header".

use crate::{ByteOrder, DecodeError, Full, Id, Manufacturer, Part, Reader, Secondary, Writer};

/// What stands before the records; what a kind of header has no place for is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The meter's number.
    pub id: Option<Id>,
    /// Who made it.
    pub manufacturer: Option<Manufacturer>,
    /// Which generation of its maker's type.
    pub version: Option<u8>,
    /// What it counts.
    pub medium: Option<Medium>,
    /// Counts the answers.
    pub access_number: u8,
    /// How the meter is.
    pub status: Status,
    /// Says whether the records are encrypted. Old wired meters put other things there.
    pub configuration: Option<Configuration>,
}

impl Header {
    /// The header of an unencrypted answer of a meter.
    pub const fn long(address: Secondary, access_number: u8, status: Status) -> Self {
        Self {
            id: Some(address.id),
            manufacturer: Some(address.manufacturer),
            version: Some(address.version),
            medium: Some(address.medium),
            access_number,
            status,
            configuration: Some(Configuration(0)),
        }
    }

    /// The meter's own address, if the header tells all of it.
    pub fn address(&self) -> Option<Secondary> {
        Some(Secondary {
            id: self.id?,
            manufacturer: self.manufacturer?,
            version: self.version?,
            medium: self.medium?,
        })
    }

    pub(crate) fn read_long(r: &mut Reader<'_>, order: ByteOrder) -> Result<Self, DecodeError> {
        let id = order.u32(r.array(Part::Header)?);
        let manufacturer = order.u16(r.array(Part::Header)?);
        let [version, medium] = r.array(Part::Header)?;
        Ok(Self {
            id: Some(Id(id)),
            manufacturer: Some(Manufacturer(manufacturer)),
            version: Some(version),
            medium: Some(Medium::new(medium)),
            ..Self::read_short(r, order)?
        })
    }

    pub(crate) fn read_short(r: &mut Reader<'_>, order: ByteOrder) -> Result<Self, DecodeError> {
        let [access_number, status] = r.array(Part::Header)?;
        let configuration = order.u16(r.array(Part::Header)?);
        Ok(Self {
            id: None,
            manufacturer: None,
            version: None,
            medium: None,
            access_number,
            status: Status(status),
            configuration: Some(Configuration(configuration)),
        })
    }

    /// Writes the header as behind CI 72 if it has an address, else as behind CI 7A.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has no room for it; [`Self::MAX_LEN`] bytes are always enough.
    pub fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if let Some(address) = self.address() {
            w.bytes(&address.id.0.to_le_bytes())?;
            w.bytes(&address.manufacturer.0.to_le_bytes())?;
            w.bytes(&[address.version, address.medium.code()])?;
        }
        w.bytes(&[self.access_number, self.status.0])?;
        w.bytes(&self.configuration.unwrap_or(Configuration(0)).0.to_le_bytes())
    }

    /// Of the long header.
    pub const MAX_LEN: usize = 12;
}

/// What a meter counts, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Medium {
    code: u8,
    fixed: bool,
}

impl Medium {
    /// As in the header of a telegram.
    pub const fn new(code: u8) -> Self {
        Self { code, fixed: false }
    }

    /// As in the four bits of the fixed structure, which names some media in its own way.
    pub(crate) const fn of_fixed(code: u8) -> Self {
        Self { code, fixed: true }
    }

    /// As sent.
    pub const fn code(self) -> u8 {
        self.code
    }

    /// As in decoded telegrams.
    pub const fn name(self) -> &'static str {
        match (self.fixed, self.code) {
            (true, 10) => "gas",
            (true, 11) => "heat",
            (true, 12) => "warm_water",
            (true, 13) => "water",
            (true, 14) => "heat_cost_allocator",
            (true, 9 | 15..) => "reserved",
            (_, code) => Self::name_of(code),
        }
    }

    const fn name_of(code: u8) -> &'static str {
        match code {
            0 => "other",
            1 => "oil",
            2 => "electricity",
            3 => "gas",
            4 => "heat",
            5 => "steam",
            6 => "warm_water",
            7 => "water",
            8 => "heat_cost_allocator",
            9 => "compressed_air",
            10 => "cooling_outlet",
            11 => "cooling_inlet",
            12 => "heat_inlet",
            13 => "heat_cooling",
            14 => "bus_system",
            15 => "unknown",
            16 => "irrigation_water",
            17 => "water_data_logger",
            18 => "gas_data_logger",
            19 => "gas_converter",
            20 => "calorific_value",
            21 => "hot_water",
            22 => "cold_water",
            23 => "dual_water",
            24 => "pressure",
            25 => "ad_converter",
            26 => "smoke_detector",
            27 => "room_sensor",
            28 => "gas_detector",
            32 => "breaker_electricity",
            33 => "valve",
            37 => "customer_unit",
            40 => "waste_water",
            41 => "garbage",
            48 => "service_unit",
            49 => "communication_controller",
            50 => "unidirectional_repeater",
            51 => "bidirectional_repeater",
            54 => "radio_converter_system",
            55 => "radio_converter_meter",
            _ => "reserved",
        }
    }
}

/// How a meter is.
///
/// ```text
/// bit   7 6 5   4          3          2            1 0
///       vendor  temporary  permanent  power low    0 ok, 1 busy, 2 application error, 3 alarm
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Nothing to tell.
    pub const OK: Self = Self(0);

    /// What the application of the meter is at.
    pub const fn application(self) -> Application {
        match self.0 & 0b11 {
            0 => Application::Ok,
            1 => Application::Busy,
            2 => Application::Error,
            _ => Application::Alarm,
        }
    }

    /// The battery, or the supply, is low.
    pub const fn power_low(self) -> bool {
        self.0 & 0b0000_0100 != 0
    }

    /// Something is broken for good.
    pub const fn permanent_error(self) -> bool {
        self.0 & 0b0000_1000 != 0
    }

    /// Something is wrong at the moment.
    pub const fn temporary_error(self) -> bool {
        self.0 & 0b0001_0000 != 0
    }

    /// Bits 5 to 7, whose meaning is the manufacturer's own.
    pub const fn of_manufacturer(self) -> u8 {
        self.0 >> 5
    }
}

/// What the application of a meter is at: the low two bits of its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// Nothing to tell.
    Ok,
    /// It cannot answer now: ask again later.
    Busy,
    /// It could not do what it was asked for.
    Error,
    /// Something has happened that somebody should look at.
    Alarm,
}

/// The configuration field, once "signature": whether and how the records are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Configuration(pub u16);

impl Configuration {
    /// Bits 8 to 12.
    pub const fn mode(self) -> u8 {
        let [_, high] = self.0.to_le_bytes();
        high & 0b1_1111
    }

    /// Bits 4 to 7: how many blocks of 16 bytes are encrypted, in modes 5 and 7.
    pub const fn blocks(self) -> u8 {
        let [low, _] = self.0.to_le_bytes();
        low >> 4
    }

    /// Whether the records behind a wired header are encrypted.
    ///
    /// The modes that mean nothing do not count: old wired meters put anything into this field.
    pub const fn is_encrypted_on_a_wire(self) -> bool {
        match self.mode() {
            5 | 7 => self.blocks() != 0,
            0 | 11 | 12 | 14.. => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_an_old_meter_is_not_taken_for_an_encrypted_one() {
        assert!(!Configuration(0xFFFF).is_encrypted_on_a_wire());
        assert!(!Configuration(0x0500).is_encrypted_on_a_wire());
        assert!(Configuration(0x0510).is_encrypted_on_a_wire());
        assert!(Configuration(0x0400).is_encrypted_on_a_wire());
    }

    #[test]
    fn each_bit_of_the_status() {
        let told = |status: u8| {
            let status = Status(status);
            let flags = (status.power_low(), status.permanent_error(), status.temporary_error());
            (status.application(), flags, status.of_manufacturer())
        };
        assert_eq!(told(0), (Application::Ok, (false, false, false), 0));
        assert_eq!(told(0b0000_0101), (Application::Busy, (true, false, false), 0));
        assert_eq!(told(0b0000_1010), (Application::Error, (false, true, false), 0));
        assert_eq!(told(0b1011_0011), (Application::Alarm, (false, false, true), 0b101));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let address = Secondary {
            id: Id(0x6700_1122),
            manufacturer: Manufacturer(0x2C2D),
            version: 0x35,
            medium: Medium::new(4),
        };
        let header = Header::long(address, 7, Status(0b100));
        let mut buffer = [0; Header::MAX_LEN];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(header.write(&mut w), Ok(()));
        let mut r = Reader::new(w.written());
        assert_eq!(Header::read_long(&mut r, ByteOrder::LsbFirst), Ok(header));
        assert!(r.rest().is_empty());
    }
}
