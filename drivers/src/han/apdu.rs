//! The application layer: a data-notification, sealed or not, and its head.
//!
//! ```text
//! E6 E7 00 | 0F | long invoke id (4) | date and time | body
//!            DB …                      └ 00 none
//!                                        0C + 12 octets          Kamstrup, and the standard
//!                                        09 0C + 12 octets       Kaifa
//! ```

use super::cursor::Cursor;
use super::data::Item;
use super::flaw::{Fault, Flaw};
use super::hdlc::Information;
use super::telegram::Telegram;
use super::time::MeterTime;
use super::{Rules, cipher, list};

/// Reads the information of a frame.
pub(super) fn read(information: Information<'_>, rules: &Rules) -> Result<Telegram, Flaw> {
    let mut cursor = Cursor::new(information.octets, information.at);
    cursor.expect(&[0xE6, 0xE7, 0x00], "E6 E7 00, the link's header")?;
    let at = cursor.at();
    match cursor.byte("the kind of message")? {
        NOTIFICATION => notification(cursor, information.addresses, rules),
        SEALED => {
            let plain = cipher::open(&mut cursor, rules)?;
            let mut cursor = Cursor::new(&plain.octets, plain.at);
            if cursor.byte("what was encrypted")? != NOTIFICATION {
                return Err(Flaw::new(plain.at, Fault::Key));
            }
            let mut telegram = notification(cursor, information.addresses, rules)?;
            telegram.opened = Some(plain.opened);
            Ok(telegram)
        }
        BLOCK => Err(Flaw::new(at, Fault::Blocks)),
        _ => Err(Flaw::new(at, Fault::Expected("0F, a data notification, or DB, a sealed one"))),
    }
}

const NOTIFICATION: u8 = 0x0F;
const SEALED: u8 = 0xDB;
const BLOCK: u8 = 0xE0;

fn notification(mut cursor: Cursor<'_>, addresses: &[u8], rules: &Rules) -> Result<Telegram, Flaw> {
    cursor.take(4, "the invoke id")?;
    let clock = clock(&mut cursor)?;
    let body = Item::read(&mut cursor)?;
    cursor.end()?;
    list::read(&body, clock, addresses, rules)
}

fn clock(cursor: &mut Cursor<'_>) -> Result<Option<MeterTime>, Flaw> {
    let at = cursor.at();
    let mut length = cursor.byte("date and time")?;
    if length == 9 {
        length = cursor.byte("date and time")?;
    }
    match length {
        0 => Ok(None),
        12 => Ok(MeterTime::of_cosem(&cursor.array("date and time")?)),
        _ => Err(Flaw::new(at, Fault::Expected("a date and time of 12 octets, or 00"))),
    }
}
