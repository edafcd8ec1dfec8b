//! A receiver as a wire of the gateway: the configured meters, and everybody else it hears.

use std::sync::Arc;

use ::mbus::radio::{Format, Link, Listener, Scratch, State};
use ::mbus::{Header, Selection, Status};
use metering::{Clock, Moment};

use super::{Event, Frame, RadioMode, Receiver, ReceiverKind};
use crate::ear::{Heard, Plaint, Stranger};
use crate::error::{Garble, ReadError};
use crate::keyring::Keyring;
use crate::mbus::readout::{Came, identity_of, locked, medium, readout_of};
use crate::port::PortSettings;
use crate::{Meter, MeterAddress, OddKind, OddRecord, Profiles};

/// What the ear at a receiver has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadioSettings {
    /// Where it is plugged in.
    pub port: PortSettings,
    /// Which one it is.
    pub kind: ReceiverKind,
    /// What it listens for.
    pub mode: RadioMode,
    /// The speed of its serial line, if it was changed.
    pub baud: Option<u32>,
}

/// The ear at one receiver.
#[derive(Debug)]
pub struct RadioEar {
    receiver: Receiver,
    meters: Vec<Meter>,
    profiles: Arc<Profiles>,
    keys: Arc<Keyring>,
    /// Of the compact frames of all meters that are heard: one for each type of meter.
    formats: Box<[Format]>,
    scratch: Box<Scratch>,
}

impl RadioEar {
    /// An ear for `meters`, whose addresses are those that they send by radio.
    pub fn open(
        settings: RadioSettings,
        meters: Vec<Meter>,
        profiles: Arc<Profiles>,
        keys: Arc<Keyring>,
    ) -> Self {
        let RadioSettings { port, kind, mode, baud } = settings;
        Self::at(Receiver::new(port, kind, mode, baud), meters, profiles, keys)
    }

    pub(super) fn at(
        receiver: Receiver,
        meters: Vec<Meter>,
        profiles: Arc<Profiles>,
        keys: Arc<Keyring>,
    ) -> Self {
        let formats = vec![Format::EMPTY; MOST_FORMATS].into_boxed_slice();
        Self { receiver, meters, profiles, keys, formats, scratch: Box::default() }
    }

    /// Opens what is heard from now on with `keys`.
    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.keys = keys;
    }

    /// As [`Ear::hear`](crate::Ear::hear).
    pub async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        match self.receiver.next().await {
            Event::Frame(frame) => self.frame(frame, clock.now()),
            Event::Noise => Heard::Noise,
            Event::Down(error) => Heard::Trouble(Plaint { index: None, error }),
            Event::Up => Heard::Well,
        }
    }

    fn frame(&mut self, frame: Frame, at: Moment) -> Heard {
        let Self { meters, profiles, keys, formats, scratch, .. } = self;
        let Frame { bytes, rssi_dbm } = frame;
        let heard = Listener::resume(formats).hear(&bytes, &**keys, scratch);
        let (Some(Link::Radio(_)), Some(sender)) = (heard.envelope.link, heard.envelope.meter)
        else {
            return Heard::Noise;
        };
        let state = heard.envelope.encryption.map(|it| it.state);
        let chosen = meters.iter().enumerate().find(|(_, meter)| {
            matches!(meter.address, MeterAddress::Secondary(it) if it.matches_address(&sender))
        });
        let Some((index, meter)) = chosen else {
            return Heard::Stranger(Stranger {
                name: Selection::of(sender).to_string(),
                identity: identity_of(sender),
                medium: Some(medium(sender.medium)),
                rssi_dbm,
                sealed: !matches!(state, None | Some(State::Decrypted | State::PlainMarked)),
                at,
            });
        };
        let address = meter.address;
        let content = heard.content.map_err(|error| {
            let garbled =
                ReadError::Garbled { address, cause: Garble::Undecodable(error.to_string()) };
            locked(state, address, Some(sender)).unwrap_or(garbled)
        });
        // Not every message has a header, and the link tells as much of the sender.
        let header = heard.envelope.header.unwrap_or(Header::long(sender, 0, Status(0)));
        let readout = content.and_then(|content| {
            readout_of(Some(header), content, Came { bytes: bytes.clone(), at }, meter, profiles)
        });
        match readout {
            Ok(mut readout) => {
                readout.odd.extend(rssi_dbm.map(|dbm| OddRecord {
                    telegram: 0,
                    at: 0,
                    kind: OddKind::Value,
                    what: "rssi".to_owned(),
                    note: format!("{dbm} dBm"),
                }));
                Heard::Meter { index, readout: Box::new(readout), once: false }
            }
            Err(error) => Heard::Trouble(Plaint { index: Some(index), error }),
        }
    }
}

/// Types of meters in one place whose compact frames can be read: 17 KB.
const MOST_FORMATS: usize = 64;
