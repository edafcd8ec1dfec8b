//! A receiver as a wire of the gateway: the configured meters, and everybody else it hears.

use std::sync::Arc;

use ::mbus::radio::{Format, Link, Listener, Piece, Pieces, Scratch, State};
use ::mbus::{Header, Selection, Status};
use metering::{Clock, Moment};

use super::topics::Topics;
use super::{Event, Frame, RadioMode, Receiver, ReceiverKind};
use crate::ear::{Heard, Plaint, Stranger};
use crate::error::{Garble, ReadError};
use crate::keyring::Keyring;
use crate::mbus::readout::{Came, identity_of, locked, medium, readout_of};
use crate::mqtt::MqttSettings;
use crate::port::PortSettings;
use crate::{Meter, MeterAddress, OddKind, OddRecord, Profiles};

/// What the ear at a receiver has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RadioSettings {
    /// Of one that is plugged in, or says its lines over a connection.
    Receiver {
        /// Where it is plugged in.
        port: PortSettings,
        /// Which one it is.
        kind: ReceiverKind,
        /// What it listens for.
        mode: RadioMode,
        /// The speed of its serial line, if it was changed.
        baud: Option<u32>,
    },
    /// Of those that say their lines on an MQTT broker.
    Broker {
        /// Where that is.
        broker: MqttSettings,
        /// Under which topics: a filter.
        topic: String,
    },
}

/// The ear at one receiver.
#[derive(Debug)]
pub struct RadioEar {
    source: Source,
    meters: Vec<Meter>,
    profiles: Arc<Profiles>,
    keys: Arc<Keyring>,
    /// Of the compact frames of all meters that are heard: one for each type of meter.
    formats: Box<[Format]>,
    /// Of the message that comes in several frames at the moment.
    pieces: Pieces<Box<[u8]>>,
    scratch: Box<Scratch>,
}

/// Where frames come from.
#[derive(Debug)]
pub(super) enum Source {
    Receiver(Box<Receiver>),
    Topics(Box<Topics>),
}

impl RadioEar {
    /// An ear for `meters`, whose addresses are those that they send by radio.
    pub fn open(
        settings: RadioSettings,
        meters: Vec<Meter>,
        profiles: Arc<Profiles>,
        keys: Arc<Keyring>,
    ) -> Self {
        let source = match settings {
            RadioSettings::Receiver { port, kind, mode, baud } => {
                Source::Receiver(Box::new(Receiver::new(port, kind, mode, baud)))
            }
            RadioSettings::Broker { broker, topic } => {
                Source::Topics(Box::new(Topics::new(broker, topic)))
            }
        };
        Self::at(source, meters, profiles, keys)
    }

    pub(super) fn at(
        source: Source,
        meters: Vec<Meter>,
        profiles: Arc<Profiles>,
        keys: Arc<Keyring>,
    ) -> Self {
        let formats = vec![Format::EMPTY; MOST_FORMATS].into_boxed_slice();
        let pieces = Pieces::new(vec![0; LONGEST_MESSAGE].into_boxed_slice());
        Self { source, meters, profiles, keys, formats, pieces, scratch: Box::default() }
    }

    /// Opens what is heard from now on with `keys`.
    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.keys = keys;
    }

    /// As [`Ear::hear`](crate::Ear::hear).
    pub async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        loop {
            let event = match &mut self.source {
                Source::Receiver(receiver) => receiver.next().await,
                Source::Topics(topics) => topics.next().await,
            };
            return match event {
                Event::Frame(frame) => match self.frame(frame, clock.now()) {
                    Some(heard) => heard,
                    None => continue,
                },
                Event::Noise => Heard::Noise,
                Event::Down(error) => Heard::Trouble(Plaint { index: None, error }),
                Event::Up => Heard::Well,
            };
        }
    }

    /// What a frame says; `None` if it is a piece of a message that is not whole yet.
    fn frame(&mut self, frame: Frame, at: Moment) -> Option<Heard> {
        let Self { meters, profiles, keys, formats, pieces, scratch, .. } = self;
        let Frame { bytes, rssi_dbm } = frame;
        let mut listener = Listener::resume(formats);
        let heard = listener.hear(&bytes, &**keys, scratch);
        let heard = match pieces.take(&heard, at.boottime) {
            Piece::None => heard,
            Piece::More => return None,
            Piece::Last => listener.hear_whole(pieces, &**keys, scratch)?,
            Piece::Lost => return Some(Heard::Noise),
        };
        let (Some(Link::Radio(_)), Some(sender)) = (heard.envelope.link, heard.envelope.meter)
        else {
            return Some(Heard::Noise);
        };
        let state = heard.envelope.encryption.map(|it| it.state);
        let chosen = meters.iter().enumerate().find(|(_, meter)| {
            matches!(meter.address, MeterAddress::Secondary(it) if it.matches_address(&sender))
        });
        let Some((index, meter)) = chosen else {
            return Some(Heard::Stranger(Stranger {
                name: Selection::of(sender).to_string(),
                identity: identity_of(sender),
                medium: Some(medium(sender.medium)),
                rssi_dbm,
                sealed: !matches!(state, None | Some(State::Decrypted | State::PlainMarked)),
                at,
            }));
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
        Some(match readout {
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
        })
    }
}

/// Eight frames: meters that send more of one message are not read by radio in buildings.
const LONGEST_MESSAGE: usize = 2_048;

/// Types of meters in one place whose compact frames can be read: 17 KB.
const MOST_FORMATS: usize = 64;
