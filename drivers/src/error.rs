//! Why a meter could not be read.
//!
//! Each message names one thing and leaves the cause to [`source`](std::error::Error::source):
//! whoever logs the error walks the chain, and nothing is said twice. What the store keeps in
//! place of the readings follows from the error by one `match` ([`ReadError::no_reading`]).

use std::time::Duration;

use metering::NoReading;

use crate::MeterAddress;
use crate::port::{PortFault, PortSettings};

/// Why a meter could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// What answered was not an answer of this meter to this question.
    #[error("meter {address} did not give an answer that fits the question")]
    Garbled {
        /// Who was asked.
        address: MeterAddress,
        /// What was heard instead.
        #[source]
        cause: Garble,
    },
    /// The sensor has been unplugged, or its wire is cut.
    #[error(
        "sensor {address} is not on the wire any more; check its plug and its cable, and with \
         `fyrhus onewire scan` which sensors are there"
    )]
    Gone {
        /// Who should have been there.
        address: MeterAddress,
    },
    /// What came is encrypted, and it takes a key that is not there or another one.
    #[error(
        "meter {address} encrypts what it says, and {} key of it is known: `fyrhus keys add \
         {number}` takes the one that its supplier gives out",
        if *has_key { "no fitting" } else { "no" }
    )]
    Locked {
        /// Who said it.
        address: MeterAddress,
        /// The number that its key is kept under.
        number: String,
        /// Whether a key is known that does not fit.
        has_key: bool,
    },
    /// The configuration asks something that this bus cannot do.
    #[error("meter {address} cannot be asked: {because}")]
    Misfit {
        /// Who should have been asked.
        address: MeterAddress,
        /// What does not fit, and what to do.
        because: &'static str,
    },
    /// The bus itself is out of reach: no meter on it can be read.
    #[error("bus port {port} cannot be used")]
    Port {
        /// As written in the configuration.
        port: PortSettings,
        /// What is wrong with it.
        #[source]
        cause: PortFault,
    },
    /// A meter that speaks unasked has said nothing.
    #[error(
        "nothing has been heard of meter {address} for {} s; is its port opened, and is what \
         listens to it plugged in?",
        waited.as_secs()
    )]
    Quiet {
        /// Who should have been heard.
        address: MeterAddress,
        /// For how long.
        waited: Duration,
    },
    /// The meter understood and said no.
    #[error(
        "meter {address} refused register {register} with Modbus exception {exception} ({})",
        exception_meaning(*exception)
    )]
    Refused {
        /// Who refused.
        address: MeterAddress,
        /// The first register of the request.
        register: u16,
        /// The exception code, as in the Modbus application protocol, section 7.
        exception: u8,
    },
    /// The meter understood and said that it cannot answer now.
    #[error("meter {address} answered with the application error `{error}`")]
    RefusedAnswer {
        /// Who refused.
        address: MeterAddress,
        /// The error's name in EN 13757-3.
        error: String,
    },
    /// The meter said nothing.
    #[error("meter {address} did not answer within {} ms", waited.as_millis())]
    Silent {
        /// Who was asked.
        address: MeterAddress,
        /// For how long, at the last try on a Modbus, at all of them on an M-Bus.
        waited: Duration,
    },
    /// A Modbus gateway heard nothing from the meter behind it.
    #[error(
        "the Modbus gateway answered that meter {address} is silent (exception {exception}); \
         check the meter's unit number, its power and its wiring"
    )]
    SilentBehindGateway {
        /// Who was asked.
        address: MeterAddress,
        /// 10 or 11.
        exception: u8,
    },
    /// An answer to an earlier question may still come, and could not be told from the next one.
    #[error(
        "meter {address} is left alone for {} ms: a late answer of it could be mistaken for \
         the next one",
        remaining.as_millis()
    )]
    Unsettled {
        /// Who should have been asked.
        address: MeterAddress,
        /// How long the late answer may still take.
        remaining: Duration,
    },
    /// Another device answers at the meter's address.
    #[error(
        "meter {address} has the serial number {found}, and {expected} is configured; if the \
         meter was exchanged, put the new number into the configuration"
    )]
    WrongMeter {
        /// Where it answered.
        address: MeterAddress,
        /// As configured.
        expected: String,
        /// What answered.
        found: String,
    },
}

impl ReadError {
    /// What the store keeps in place of the readings that are now missing.
    pub const fn no_reading(&self) -> NoReading {
        match self {
            Self::Garbled { cause: Garble::HeldDown, .. } => NoReading::BusShort,
            Self::Garbled { .. } | Self::Locked { .. } => NoReading::Garbled,
            Self::Misfit { .. } | Self::Unsettled { .. } => NoReading::NotAsked,
            Self::Port { .. } => NoReading::BusDown,
            Self::Refused { .. } | Self::RefusedAnswer { .. } => NoReading::Refused,
            Self::Gone { .. }
            | Self::Quiet { .. }
            | Self::Silent { .. }
            | Self::SilentBehindGateway { .. } => NoReading::Silent,
            Self::WrongMeter { .. } => NoReading::WrongMeter,
        }
    }
}

/// What was heard instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garble {
    /// Bytes that are no frame.
    #[error(
        "what came is not a frame: {0}; check the wiring, the baud rate and the parity, \
             and that no other meter has this address"
    )]
    Noise(String),
    /// It does not fit its checksum.
    #[error(
        "its checksum is wrong, for time {times} since the start; check the length of the wire, \
         its pull-up resistor and what runs beside it"
    )]
    Checksum {
        /// How often this has happened.
        times: u64,
    },
    /// Nothing but zeros came, one for each time that it was asked: no meter can say so.
    #[error(
        "the wire is held down: a short circuit, a meter that does not let go of it, or a level \
         converter at the limit of its current"
    )]
    HeldDown,
    /// A frame, but not the one that was asked for.
    #[error("a frame came that nobody asked for: {0}; is there a second master on the line?")]
    Foreign(String),
    /// The answer broke off.
    #[error("the answer broke off after {0} bytes")]
    BrokeOff(usize),
    /// The device's address differs in a few bits from the known one's.
    #[error(
        "the meter was {known} and calls itself {found}, which a fault of the wire may have made \
         of it: it is held back until it has shown to be another meter"
    )]
    Alike {
        /// Who answered before.
        known: String,
        /// Who answered now.
        found: String,
    },
    /// A frame that came in one piece and does not make sense.
    #[error("the telegram does not decode: {0}")]
    Undecodable(String),
}

/// What an exception code means, in the words of the Modbus application protocol, section 7.
const fn exception_meaning(code: u8) -> &'static str {
    match code {
        1 => "it does not know the function; check the profile",
        2 => "it has no such register; check the profile",
        3 => "it does not take requests of that length; check the profile",
        4 => "it failed while it read the register",
        5 => "it works on it and needs more time",
        6 => "it is busy",
        8 => "its memory has a parity error",
        10 | 11 => "the device behind the gateway is silent",
        _ => "the code is the maker's own",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn the_cause_is_in_the_chain_and_not_in_the_message() {
        let cause = Garble::BrokeOff(3);
        let error = ReadError::Garbled { address: MeterAddress::Unit(7), cause };
        assert_eq!(error.to_string(), "meter 7 did not give an answer that fits the question");
        assert_eq!(error.source().unwrap().to_string(), "the answer broke off after 3 bytes");
    }

    #[test]
    fn a_refusal_says_what_the_code_means() {
        let error =
            ReadError::Refused { address: MeterAddress::Unit(3), register: 0x42, exception: 2 };
        assert_eq!(
            error.to_string(),
            "meter 3 refused register 66 with Modbus exception 2 (it has no such register; check \
             the profile)"
        );
        assert_eq!(error.no_reading(), NoReading::Refused);
    }
}
