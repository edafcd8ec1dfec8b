//! A wire on which meters speak unasked, and what is heard on it.
//!
//! ```text
//!  bytes ──▶ Ear::hear ──▶ Heard::Meter      one of the configured meters said something
//!                          Heard::Stranger   somebody else did
//!                          Heard::Trouble    something is wrong, with the wire or with a meter
//!                          Heard::Noise      bytes that are nobody's
//!                          Heard::Well       the wire can be used again
//! ```
//!
//! What an asked bus is to the scheduler ([`Bus`](crate::Bus)), an ear is to whoever listens. When
//! a silence is worth a word to the store is the listener's business; an ear tells only what it
//! hears, and that its port is silent.
//!
//! **Never true:** a meter is told to say anything. What cannot be told apart from noise, is of
//! another meter than the configured one, or came in part, becomes a value.

use std::sync::Arc;

use metering::{Clock, Identity, Medium, Moment};

use crate::han::{HanEar, HanSettings};
use crate::keyring::Keyring;
use crate::mqtt::{MqttEar, MqttSettings};
use crate::radio::{RadioEar, RadioSettings};
use crate::{Meter, Profiles, ReadError, Readout};

/// A wire that is listened to, and the configured meters on it.
#[derive(Debug)]
pub enum Ear {
    /// The customer port of one electricity meter.
    Han(Box<HanEar>),
    /// An MQTT broker.
    Mqtt(Box<MqttEar>),
    /// A receiver of wireless M-Bus.
    Radio(Box<RadioEar>),
}

/// Which kind of wire that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EarKind {
    /// The customer port of an electricity meter: HAN, P1.
    Han,
    /// MQTT.
    Mqtt,
    /// EN 13757-4.
    Radio,
}

/// What an ear has to know before it can listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarSettings {
    /// Of a customer port.
    Han(HanSettings),
    /// Of a broker.
    Mqtt(MqttSettings),
    /// Of a receiver.
    Radio(RadioSettings),
}

impl Ear {
    /// An ear that opens its port when it first listens, and again after every fault.
    ///
    /// [`Heard`] names a meter by its place in `meters`. One without a profile is read with the one
    /// of `profiles` that fits it, where its kind of wire has profiles.
    pub fn open(
        settings: EarSettings,
        meters: Vec<Meter>,
        profiles: Arc<Profiles>,
        keys: &Arc<Keyring>,
    ) -> Self {
        match settings {
            EarSettings::Han(settings) => Self::Han(Box::new(HanEar::open(settings, meters, keys))),
            EarSettings::Mqtt(settings) => {
                Self::Mqtt(Box::new(MqttEar::open(settings, meters, profiles)))
            }
            EarSettings::Radio(settings) => {
                let keys = Arc::clone(keys);
                Self::Radio(Box::new(RadioEar::open(settings, meters, profiles, keys)))
            }
        }
    }

    /// Opens what is heard from now on with `keys`.
    pub fn set_keys(&mut self, keys: &Arc<Keyring>) {
        match self {
            Self::Han(ear) => ear.set_keys(keys),
            Self::Mqtt(_) => {}
            Self::Radio(ear) => ear.set_keys(Arc::clone(keys)),
        }
    }

    /// Whether what the meter `index` said last still holds, so that it need not say it again yet.
    pub fn holds(&self, index: usize) -> bool {
        match self {
            Self::Mqtt(ear) => ear.holds(index),
            Self::Han(_) | Self::Radio(_) => false,
        }
    }

    /// Waits for what is heard next. `clock` stamps it.
    ///
    /// # Cancellation
    ///
    /// Safe: what was heard in part is heard on.
    pub async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        match self {
            Self::Han(ear) => ear.hear(clock).await,
            Self::Mqtt(ear) => ear.hear(clock).await,
            Self::Radio(ear) => ear.hear(clock).await,
        }
    }
}

/// Something that was heard.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A configured meter said something.
    Meter {
        /// Which one, by its place among them.
        index: usize,
        /// What it said: not always all that it has.
        readout: Box<Readout>,
        /// It says some of this once and not again, as the register of an hour's end: it is to be
        /// stored whatever comes next.
        once: bool,
    },
    /// Somebody who is not configured said something.
    Stranger(Stranger),
    /// Something came that is no message, or of nobody known.
    Noise,
    /// Something is wrong.
    Trouble(Plaint),
    /// The wire, of which [`ReadError::Port`] was told, can be used again.
    Well,
}

/// Somebody who was heard and is not configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// As it would be written in the configuration: an address, a topic.
    pub name: String,
    /// What it says of itself.
    pub identity: Identity,
    /// What it counts, if it tells.
    pub medium: Option<Medium>,
    /// How strong it came in, in dBm, if the receiver tells.
    pub rssi_dbm: Option<i16>,
    /// Whether it takes a key to read it.
    pub sealed: bool,
    /// When it was heard.
    pub at: Moment,
}

/// What is wrong.
#[derive(Clone, Debug)]
pub struct Plaint {
    /// With which meter, by its place among the configured; `None` for the wire as a whole.
    pub index: Option<usize>,
    /// What.
    pub error: ReadError,
}
