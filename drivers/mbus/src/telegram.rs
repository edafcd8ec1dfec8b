//! Telegrams: what a meter says inside a frame.
//!
//! The CI says how: records behind a long, short or no header, the fixed structure, an application
//! error or an alarm.
//!
//! Source: EN 13757-3, "CI field"; EN 13757-7, "application error", "alarm".

use crate::{ByteOrder, DecodeError, Fixed, Flaw, Header, Reader, Records};

/// The values of the CI field that stand for something here.
pub mod ci {
    /// To a meter: forget and start over, or choose which telegram to send.
    pub const APPLICATION_RESET: u8 = 0x50;
    /// To a meter: here are records.
    pub const DATA: u8 = 0x51;
    /// To a meter: feel addressed, or not, by your secondary address.
    pub const SELECT: u8 = 0x52;
    /// To a meter: choose which telegram to send, and forget nothing.
    pub const APPLICATION_SELECT: u8 = 0x53;
    /// To a meter: store your values now, all at the same moment.
    pub const SYNCHRONISE: u8 = 0x54;
    /// To a meter: here are records, most significant byte first.
    pub const DATA_MSB_FIRST: u8 = 0x55;
    /// As [`SELECT`], most significant byte first.
    pub const SELECT_MSB_FIRST: u8 = 0x56;
    /// To a meter: here are records behind the short header.
    pub const DATA_SHORT_HEADER: u8 = 0x5A;
    /// To a meter: here are records behind the long header.
    pub const DATA_LONG_HEADER: u8 = 0x5B;
    /// From a meter: an application error.
    pub const ERROR: u8 = 0x70;
    /// From a meter: an alarm.
    pub const ALARM: u8 = 0x71;
    /// From a meter: records behind the long header.
    pub const RECORDS: u8 = 0x72;
    /// From a meter: the fixed structure.
    pub const FIXED: u8 = 0x73;
    /// From a meter: records behind the long header, most significant byte first.
    pub const RECORDS_MSB_FIRST: u8 = 0x76;
    /// From a meter: the fixed structure, most significant byte first.
    pub const FIXED_MSB_FIRST: u8 = 0x77;
    /// From a meter: records without a header.
    pub const RECORDS_WITHOUT_HEADER: u8 = 0x78;
    /// From a meter: records behind the short header.
    pub const RECORDS_SHORT_HEADER: u8 = 0x7A;
    /// From a meter: the layer that authenticates what is behind it, and counts its pieces.
    pub const AUTHENTICATION: u8 = 0x90;

    /// What the data behind `ci` is, in a few words: also of those that are not read here.
    pub const fn name(ci: u8) -> &'static str {
        match ci {
            APPLICATION_RESET => "application reset, to a meter",
            DATA | DATA_MSB_FIRST | DATA_SHORT_HEADER | DATA_LONG_HEADER => "data, to a meter",
            SELECT | SELECT_MSB_FIRST => "selection, to a meter",
            APPLICATION_SELECT => "choice of a telegram, to a meter",
            SYNCHRONISE => "synchronisation, to a meter",
            0x60..=0x67 => "DLMS data, to a meter",
            0x69..=0x6B => "format frame, which tells how a compact frame is to be read",
            0x6C | 0x6D => "clock, to a meter",
            ERROR | 0x6E | 0x6F => "application error",
            ALARM | 0x74 | 0x75 => "alarm",
            RECORDS | RECORDS_MSB_FIRST | RECORDS_WITHOUT_HEADER | RECORDS_SHORT_HEADER => {
                "records"
            }
            FIXED | FIXED_MSB_FIRST => "fixed structure",
            0x79 | 0x7B => "compact frame",
            0x7C..=0x7F => "DLMS data",
            0x80..=0x83 => "network or transport layer",
            0x8C..=0x8F => "extended link layer of radio",
            AUTHENTICATION => "authentication and fragmentation layer",
            0xA0..=0xB7 => "maker's own data",
            0xB8..=0xBF => "baud rate, to a meter",
            _ => "reserved",
        }
    }
}

/// What a meter says.
#[derive(Clone, Debug)]
pub struct Telegram<'a> {
    /// How it says it.
    pub ci: u8,
    /// Who says it, as far as the CI has a header.
    pub header: Option<Header>,
    /// What.
    pub content: Content<'a>,
}

/// What is behind the header.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// Its numbers.
    Records(Records<'a>),
    /// Its numbers, encrypted.
    Sealed(Sealed<'a>),
    /// It did not understand, or could not.
    Error(ApplicationError),
    /// Its alarm byte, whose bits are the manufacturer's; `None` where it sent none.
    Alarm(Option<u8>),
}

impl<'a> Telegram<'a> {
    /// Reads what is behind `ci`, in front of whose data `r` stands.
    ///
    /// # Errors
    ///
    /// [`Flaw::Ci`] if it is not for a master, or not known here; what is wrong with the header.
    /// What is wrong with the records, [`Records`] tells.
    pub fn read(ci: u8, mut r: Reader<'a>) -> Result<Self, DecodeError> {
        let order = match ci {
            ci::RECORDS_MSB_FIRST | ci::FIXED_MSB_FIRST => ByteOrder::MsbFirst,
            _ => ByteOrder::LsbFirst,
        };
        let without_header = |content| Ok(Self { ci, header: None, content });
        let header = match ci {
            ci::ERROR => {
                let code = r.take_rest().first().copied();
                return without_header(Content::Error(ApplicationError(code)));
            }
            ci::ALARM => return without_header(Content::Alarm(r.take_rest().first().copied())),
            ci::RECORDS_WITHOUT_HEADER => {
                return without_header(Content::Records(Records::new(r, order)));
            }
            ci::FIXED | ci::FIXED_MSB_FIRST => {
                let (header, records) = Fixed::read(&mut r, order)?;
                let content = Content::Records(records);
                return Ok(Self { ci, header: Some(header), content });
            }
            ci::RECORDS | ci::RECORDS_MSB_FIRST => Header::read_long(&mut r, order)?,
            ci::RECORDS_SHORT_HEADER => Header::read_short(&mut r, order)?,
            _ => return Err(r.reject(Flaw::Ci(ci))),
        };
        let sealed = match header.configuration {
            Some(configuration) if configuration.is_encrypted_on_a_wire() => {
                Some(configuration.mode())
            }
            _ => None,
        };
        if header.configuration.is_some_and(|configuration| configuration.mode() == 7) {
            r.byte(crate::Part::Header)?;
        }
        let content = match sealed {
            Some(mode) => Content::Sealed(Sealed { mode, reader: r, order }),
            None => Content::Records(Records::new(r, order)),
        };
        Ok(Self { ci, header: Some(header), content })
    }

    /// The records, if they can be read without a key.
    ///
    /// # Errors
    ///
    /// [`Flaw::KeyMissing`] or [`Flaw::Mode`] if they are encrypted. A telegram without records
    /// has none, which is no error.
    pub fn records(self) -> Result<Records<'a>, DecodeError> {
        match self.content {
            Content::Records(records) => Ok(records),
            Content::Sealed(sealed) => sealed.plain().ok_or(sealed.error()),
            Content::Error(_) | Content::Alarm(_) => Ok(Records::none()),
        }
    }
}

/// Records that the header calls encrypted.
#[derive(Clone, Debug)]
pub struct Sealed<'a> {
    /// How.
    pub mode: u8,
    reader: Reader<'a>,
    order: ByteOrder,
}

impl<'a> Sealed<'a> {
    /// As sent.
    pub const fn bytes(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// The records, if they are in plain text all the same: a log of decrypted telegrams, which
    /// begin with two fillers and whose records are whole.
    pub fn plain(&self) -> Option<Records<'a>> {
        let records = Records::new(self.reader.clone(), self.order);
        (matches!(self.mode, 5 | 7) && records.are_plain_all_the_same()).then_some(records)
    }

    /// Why there are no records.
    pub const fn error(&self) -> DecodeError {
        let flaw = match self.mode {
            5 | 7 => Flaw::KeyMissing(self.mode),
            mode => Flaw::Mode(mode),
        };
        DecodeError { at: self.reader.offset(), flaw }
    }
}

/// What a meter has to say about a request that it did not answer; `None` where it sent no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationError(pub Option<u8>);

impl ApplicationError {
    /// It is busy: ask again later.
    pub const BUSY: Self = Self(Some(8));

    /// As in decoded telegrams.
    pub const fn name(self) -> &'static str {
        match self.0 {
            None | Some(0) => "unspecified",
            Some(1) => "unimplemented_ci",
            Some(2) => "buffer_too_long",
            Some(3) => "too_many_records",
            Some(4) => "premature_end_of_record",
            Some(5) => "too_many_difes",
            Some(6) => "too_many_vifes",
            Some(8) => "application_busy",
            Some(9) => "too_many_readouts",
            Some(_) => "reserved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telegram(ci: u8, data: &[u8]) -> Result<Telegram<'_>, DecodeError> {
        Telegram::read(ci, Reader::at(data, 7))
    }

    #[test]
    fn a_telegram_for_meters_is_not_read() {
        let error = telegram(ci::SELECT, &[0; 8]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 6: the application layer 0x52 (selection, to a meter) is not one that is read here"
        );
    }

    #[test]
    fn what_is_not_read_says_what_it_is() {
        for (ci, name) in [
            (0x69, "format frame, which tells how a compact frame is to be read"),
            (0x6B, "format frame, which tells how a compact frame is to be read"),
            (0x79, "compact frame"),
            (0x7C, "DLMS data"),
            (0x7F, "DLMS data"),
            (0xBD, "baud rate, to a meter"),
            (0xFF, "reserved"),
        ] {
            let error = telegram(ci, &[0; 20]).unwrap_err();
            assert_eq!((error.at, error.flaw), (6, Flaw::Ci(ci)));
            assert!(error.to_string().contains(&format!("({name})")), "{error}");
        }
    }

    #[test]
    fn a_whole_telegram_most_significant_byte_first() {
        let bytes = [
            0x12, 0x34, 0x56, 0x78, 0x2C, 0x2D, 0x35, 0x04, 9, 0b100, 0, 0, 0x02, 0x13, 0x01, 0x00,
            0x02, 0x6C, 0x23, 0xC2,
        ];
        let telegram = telegram(ci::RECORDS_MSB_FIRST, &bytes).unwrap();
        let header = telegram.header.unwrap();
        assert_eq!(header.address().unwrap().to_string(), "12345678KAM3504");
        assert!(header.status.power_low());
        let texts: Vec<String> =
            telegram.records().unwrap().map(|record| record.unwrap().to_string()).collect();
        assert_eq!(texts, ["volume: integer 0.256 m3", "date: date 2022-03-02"]);
    }

    #[test]
    fn the_fixed_structure_most_significant_byte_first() {
        let bytes = [0x02, 0x23, 0x78, 0x93, 7, 1, 0xD1, 0x72, 0, 1, 0x32, 0x2B, 0, 0, 0, 9];
        let telegram = telegram(ci::FIXED_MSB_FIRST, &bytes).unwrap();
        assert_eq!(telegram.header.unwrap().id.unwrap().to_string(), "02237893");
        let texts: Vec<String> =
            telegram.records().unwrap().map(|record| record.unwrap().to_string()).collect();
        assert_eq!(
            texts,
            ["energy: unsigned 78379000000000 J", "volume_flow: unsigned 0.009 m3/h"]
        );
    }

    #[test]
    fn a_header_that_breaks_off() {
        let error = telegram(ci::RECORDS, &[0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "byte 18: the telegram ends inside the header");
    }

    #[test]
    fn errors_and_alarms_are_telegrams() {
        let busy = telegram(ci::ERROR, &[8]).unwrap();
        assert!(matches!(busy.content, Content::Error(ApplicationError::BUSY)));
        let alarm = telegram(ci::ALARM, &[0b100]).unwrap();
        assert!(matches!(alarm.content, Content::Alarm(Some(0b100))));
        assert_eq!(telegram(ci::ERROR, &[]).unwrap().records().unwrap().count(), 0);
    }

    #[test]
    fn without_a_key_only_the_header_is_told() {
        let sealed = telegram(ci::RECORDS_SHORT_HEADER, &[1, 0, 0x10, 0x05, 1, 2]).unwrap();
        assert_eq!(sealed.header.map(|header| header.access_number), Some(1));
        let error = sealed.records().unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 11: the records are encrypted in mode 5 and there is no key"
        );
    }

    #[test]
    fn mode_7_has_one_byte_more_even_where_nothing_is_encrypted() {
        let bytes = [1, 0, 0x00, 0x07, 0x10, 0x01, 0x13, 5];
        let mut records = telegram(ci::RECORDS_SHORT_HEADER, &bytes).unwrap().records().unwrap();
        assert_eq!(records.next().unwrap().unwrap().to_string(), "volume: integer 0.005 m3");
    }

    #[test]
    fn a_log_of_decrypted_telegrams() {
        let plain = [1, 0, 0x10, 0x05, 0x2F, 0x2F, 0x01, 0x13, 1];
        let records = telegram(ci::RECORDS_SHORT_HEADER, &plain).unwrap().records().unwrap();
        assert_eq!(records.count(), 1);
        // Behind two fillers that are none: the record breaks off.
        let sealed = [1, 0, 0x10, 0x05, 0x2F, 0x2F, 0x01, 0x13, 1, 0x04, 0x13];
        let error = telegram(ci::RECORDS_SHORT_HEADER, &sealed).unwrap().records().unwrap_err();
        assert_eq!(error.flaw, Flaw::KeyMissing(5));
    }
}
