//! The customer port of electricity meters: what a meter pushes, unasked, every few seconds.
//!
//! ```text
//! bytes ──▶ Framer ──▶ a message ──▶ decode ──▶ Telegram ──▶ readings
//!           by length               │
//!           and checksum            ├ HDLC: (opened) COSEM data ──▶ the maker's list
//!                                   └ P1: lines of text
//! ```
//!
//! | Module     | Is                                                              |
//! |------------|-----------------------------------------------------------------|
//! | `ear`      | the port as a wire of the gateway                                |
//! | `listener` | a port on which one listens: speed and parity found, silence told |
//! | `framer`   | where messages begin and end in what comes                       |
//! | `hdlc`     | one frame of IEC 62056-46, as these meters use it                |
//! | `cipher`   | general-glo-ciphering: AES-128-GCM, the tag cut to twelve octets |
//! | `apdu`     | data-notification of IEC 62056-5-3, and its head                 |
//! | `data`     | COSEM data: items with a tag each                                |
//! | `list`     | which item is which, of Aidon, Kaifa and Kamstrup                |
//! | `p1`       | the text telegrams of DSMR, ESMR and the Swedish P1              |
//! | `obis`     | what a code means, and which register it is                      |
//! | `time`     | the meter's own clock                                           |
//! | `anything` | what must hold of any bytes                                     |
//!
//! All but `ear` and `listener` do no I/O and know no time. Sources: NVE's letter of 2016-06-27 on the HAN
//! interface and the OBIS lists of Aidon, Kaifa and Kamstrup; IEC 62056-46, -5-3 and -6-2;
//! DSMR P1 companion standard 5.0.2; Swedenergy's P1 recommendation.
//!
//! **Never true:** a code that is not in the frame has a value. A number whose power of ten
//! neither the frame nor the maker's list tells becomes a value. Anything is ever sent.

pub mod anything;
mod apdu;
mod cipher;
mod crc;
mod cursor;
mod data;
mod ear;
mod flaw;
mod framer;
mod hdlc;
mod list;
mod listener;
mod obis;
mod p1;
mod telegram;
#[cfg(test)]
mod tests;
mod time;

pub use ::mbus::crypto::{InvalidKey, Key};
pub use ear::{HanEar, HanSettings};
pub use flaw::{Fault, Flaw};
pub use framer::{Framer, Heard};
pub use listener::{Event, Line, Listener, Patience};
pub use obis::Obis;
pub use telegram::{Maker, Note, Opened, Telegram, Value};
pub use time::MeterTime;

/// What a frame does not say by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The meter's keys, if it encrypts.
    pub keys: Option<Keys>,
    /// What one step of an energy register is, as a power of ten of 1 Wh, on a Kamstrup meter.
    ///
    /// `None` for what is known: 1 (10 Wh) for the Norwegian list. For the Swedish ones it is 0.
    pub kamstrup_energy: Option<i8>,
}

/// The keys of one meter, as its network operator gives them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// EK, also called GUEK: without it nothing can be read.
    pub encryption: Key,
    /// AK, also called GAK: without it what was read may have been altered on the way.
    pub authentication: Option<Key>,
}

/// Reads one message: an HDLC frame, with or without its closing flag, or a P1 telegram.
///
/// # Errors
///
/// The first octet at fault, and what is wrong with it. In what was encrypted the offsets are
/// those of the frame, too.
pub fn decode(message: &[u8], rules: &Rules) -> Result<Telegram, Flaw> {
    match message {
        [hdlc::FLAG, ..] => apdu::read(hdlc::information(message)?, rules),
        [b'/' | b'\r' | b'\n', ..] => p1::read(message),
        _ => Err(Flaw::new(0, Fault::NoStart)),
    }
}
