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
            Content::Error(_) | Content::Alarm(_) => {
                Ok(Records::new(Reader::new(&[]), ByteOrder::LsbFirst))
            }
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
    /// begin with two fillers.
    pub fn plain(&self) -> Option<Records<'a>> {
        let is_plain = matches!(self.mode, 5 | 7) && self.bytes().starts_with(&[0x2F, 0x2F]);
        is_plain.then(|| Records::new(self.reader.clone(), self.order))
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
            "byte 6: the application layer 0x52 is not one that is read here"
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
    }
}
