//! A customer port as a wire of the gateway: one meter, by its number if it is configured.

use std::time::Duration;

use metering::{Clock, Identity, Medium};

use super::listener::{Event, Line, Listener, Patience};
use super::{Fault, Keys, Rules, Telegram};
use crate::ear::{Heard, Plaint};
use crate::error::{Garble, ReadError};
use crate::keyring::Keyring;
use crate::port::PortSettings;
use crate::{Meter, MeterAddress, OddKind, OddRecord, Readout};

/// What the ear at a customer port has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HanSettings {
    /// Where it is plugged in.
    pub port: PortSettings,
    /// How its line is set; `None` finds it.
    pub line: Option<Line>,
    /// As [`Rules::kamstrup_energy`].
    pub kamstrup_energy: Option<i8>,
}

/// The ear at one customer port.
///
/// Most lists of a meter name it, and the shortest, which come most often, do not. Such a one is
/// believed if the last that did was the configured meter's, over the same connection.
#[derive(Debug)]
pub struct HanEar {
    listener: Listener,
    meter: Option<Meter>,
    /// What the meter says of itself.
    known: Option<Identity>,
    /// The last number under which it has encrypted, of a message that nobody else can have written.
    counter: Option<u32>,
}

impl HanEar {
    /// An ear for the first of `meters`: there is one meter at a port.
    pub fn open(settings: HanSettings, meters: Vec<Meter>, keys: &Keyring) -> Self {
        let HanSettings { port, line, kamstrup_energy } = settings;
        let meter = meters.into_iter().next();
        let rules = Rules { kamstrup_energy, ..Self::rules(meter.as_ref(), keys) };
        let listener = Listener::new(port, line, rules, Patience::default());
        Self { listener, meter, known: None, counter: None }
    }

    /// Opens what is heard from now on with `keys`: those that are kept under the meter's number.
    pub fn set_keys(&mut self, keys: &Keyring) {
        let kamstrup_energy = self.listener.rules().kamstrup_energy;
        let rules = Rules { kamstrup_energy, ..Self::rules(self.meter.as_ref(), keys) };
        if *self.listener.rules() != rules {
            self.counter = None;
            self.listener.set_rules(rules);
        }
    }

    fn rules(meter: Option<&Meter>, keys: &Keyring) -> Rules {
        let serial = meter.and_then(|meter| meter.serial.as_deref());
        let keys = serial
            .and_then(|serial| keys.of_number(serial))
            .map(|keys| Keys { encryption: keys.encryption, authentication: keys.authentication });
        Rules { keys, ..Rules::default() }
    }

    /// As [`Ear::hear`](crate::Ear::hear).
    pub async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        loop {
            let event = self.listener.next().await;
            if let Some(heard) = self.heard(event, clock) {
                return heard;
            }
        }
    }

    fn heard(&mut self, event: Event, clock: &dyn Clock) -> Option<Heard> {
        let address = MeterAddress::Port;
        let garbled = |cause| Some(plaint(ReadError::Garbled { address, cause }));
        match event {
            Event::Telegram { telegram, message } => self.telegram(&telegram, message, clock),
            Event::Unread { flaw, .. } => match flaw.fault {
                Fault::KeyNeeded => Some(self.locked(false)),
                Fault::Key | Fault::Authentication => Some(self.locked(true)),
                _ => garbled(Garble::Undecodable(flaw.to_string())),
            },
            Event::Noise { why, .. } => garbled(Garble::Noise(why.to_string())),
            Event::Silent(waited) => Some(plaint(ReadError::Quiet { address, waited })),
            // What is wrong with the line is told by what is heard, or not, when it is set so.
            Event::Trying(_) => None,
            Event::Down(error) => {
                self.known = None;
                Some(Heard::Trouble(Plaint { index: None, error }))
            }
            Event::Up => Some(Heard::Well),
        }
    }

    fn telegram(
        &mut self,
        telegram: &Telegram,
        message: Vec<u8>,
        clock: &dyn Clock,
    ) -> Option<Heard> {
        let meter = self.meter.as_ref()?;
        if let Some(serial) = &telegram.meter_id {
            self.known = Some(Identity {
                serial: serial.clone(),
                manufacturer: telegram.maker.name().to_owned(),
                version: telegram.meter_type.clone().unwrap_or_default(),
            });
        }
        // Whose the shortest list is, is told within seconds: until then nobody's.
        let identity = match (&self.known, &meter.serial) {
            (Some(known), _) => known.clone(),
            (None, Some(_)) => return None,
            (None, None) => Identity {
                serial: String::new(),
                manufacturer: telegram.maker.name().to_owned(),
                version: String::new(),
            },
        };
        if let Err(error) = meter.expect_serial(&identity) {
            return Some(plaint(error));
        }
        if let Some(opened) = telegram.opened.filter(|it| it.verified) {
            if self.counter.is_some_and(|last| opened.frame_counter <= last) {
                let what = "an encrypted message of before came again".to_owned();
                let cause = Garble::Foreign(what);
                return Some(plaint(ReadError::Garbled { address: MeterAddress::Port, cause }));
            }
            self.counter = Some(opened.frame_counter);
        }
        let readings = telegram.readings(clock.now(), meter.origin);
        let odd = telegram.notes.iter().map(|note| OddRecord {
            telegram: 0,
            at: note.byte,
            kind: OddKind::Value,
            what: note.code.clone(),
            note: note.text.clone(),
        });
        let once = telegram.values.iter().any(|value| value.at.is_some());
        let readout = Readout {
            identity,
            medium: Some(Medium::Electricity),
            readings,
            remembered: Vec::new(),
            odd: odd.collect(),
            telegrams: vec![message],
            took: Duration::ZERO,
            profile: None,
        };
        Some(Heard::Meter { index: 0, readout: Box::new(readout), once })
    }

    fn locked(&self, has_key: bool) -> Heard {
        let serial = self.meter.as_ref().and_then(|meter| meter.serial.clone());
        // Its key is found by its number, which an encrypted message does not tell.
        let number = serial.unwrap_or_else(|| "SERIAL".to_owned());
        plaint(ReadError::Locked { address: MeterAddress::Port, number, has_key })
    }
}

fn plaint(error: ReadError) -> Heard {
    Heard::Trouble(Plaint { index: Some(0), error })
}
