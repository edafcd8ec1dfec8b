//! The wire doctor: what each meter of an M-Bus and the wire itself have shown, and what is most
//! likely wrong with them.
//!
//! ```text
//!  Traffic, answer or error ──▶ Doctor::hear ──▶ the answer, or that it is held back
//!  of each question                  │
//!                                    ├──▶ Record: of each meter, counts and response times
//!                                    └──▶ Doctor::findings: what is wrong, the likeliest first
//! ```
//!
//! There is no I/O in it and no clock: whoever asks tells when. A meter costs the same few hundred
//! bytes however long it is watched. Each count is kept twice: since the beginning, for people, and
//! *lately*, over the last 32 to 64 questions, which is what findings are made from: a fault that
//! was repaired is forgotten after some rounds.

mod finding;
mod quarantine;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ::mbus::Traffic;
use metering::MeterId;
use serde::{Deserialize, Serialize};

pub use self::finding::{Finding, Trouble};
pub use self::quarantine::{HELD_WHILE_ALONE, MOST_BITS, Whole, are_near};
pub use self::record::{Counts, Last, Record};
use crate::error::{Garble, ReadError};
use crate::{Meter, MeterAddress, Readout};

/// What is known of a wire. See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doctor {
    meters: BTreeMap<MeterId, Record>,
    /// Since when the port cannot be used, in milliseconds since 1970.
    port_down_since_ms: Option<i64>,
    /// How often it could not be used, after it could.
    port_failures: u32,
}

/// What a wire carries, and may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Unit loads of all meters together: 1.5 mA each.
    pub sum: u32,
    /// What the level converter is built for, where somebody has said so.
    pub most: Option<u32>,
}

impl Doctor {
    /// Takes note of how a question ended, and hands on the answer, unless that is to be held back.
    ///
    /// `at_ms` is when it was asked, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// As `ended`; and [`Garble::Alike`] for an answer of a device whose address differs in so few
    /// bits from that of the device before that a line fault is more likely than an exchange.
    pub fn hear(
        &mut self,
        meter: &Meter,
        at_ms: i64,
        traffic: &Traffic,
        ended: Result<Readout, ReadError>,
    ) -> Result<Readout, ReadError> {
        if matches!(ended, Err(ReadError::Port { .. })) {
            if self.port_down_since_ms.is_none() {
                self.port_down_since_ms = Some(at_ms);
                self.port_failures = self.port_failures.saturating_add(1);
            }
            return ended;
        }
        self.port_down_since_ms = None;
        let ended = match ended {
            Ok(readout) => self.admitted(meter, traffic, readout),
            error => error,
        };
        let record = self.meters.entry(meter.id).or_default();
        record.note(at_ms, traffic, &ended);
        ended
    }

    /// The answer, unless it is held back.
    fn admitted(
        &mut self,
        meter: &Meter,
        traffic: &Traffic,
        readout: Readout,
    ) -> Result<Readout, ReadError> {
        let Some(found) = readout.telegrams.first().and_then(|it| Whole::of_telegram(it)) else {
            return Ok(readout);
        };
        let lives = self.heard_elsewhere(meter.id);
        let record = self.meters.entry(meter.id).or_default();
        match record.quarantine.admit(found, is_clean(traffic), lives) {
            Ok(()) => Ok(readout),
            Err(known) => {
                let cause = Garble::Alike { known: known.to_string(), found: found.to_string() };
                Err(ReadError::Garbled { address: meter.address, cause })
            }
        }
    }

    /// Whether the device that is known at `meter` answered last at another address.
    fn heard_elsewhere(&self, meter: MeterId) -> bool {
        let known = self.meters.get(&meter).and_then(|record| record.quarantine.known);
        known.is_some()
            && self.meters.iter().any(|(other, record)| {
                *other != meter && record.last == Last::Answered && record.quarantine.known == known
            })
    }

    /// What a meter has shown.
    pub fn record(&self, meter: MeterId) -> Option<&Record> {
        self.meters.get(&meter)
    }

    /// How often the port could not be used after it could.
    pub const fn port_failures(&self) -> u32 {
        self.port_failures
    }

    /// Forgets the meters that are not among these.
    pub fn keep(&mut self, meters: &[MeterId]) {
        self.meters.retain(|meter, _| meters.contains(meter));
    }

    /// What is wrong, the likeliest cause first; nothing if all is well.
    ///
    /// What one finding explains is not told as another: while the port cannot be used no meter is
    /// called silent.
    pub fn findings(&self, meters: &[(MeterId, MeterAddress)], load: Load) -> Vec<Finding> {
        finding::findings(self, meters, load)
    }

    /// Since when the port cannot be used.
    pub(crate) const fn port_down_since_ms(&self) -> Option<i64> {
        self.port_down_since_ms
    }
}

/// Whether an answer came without anything odd on the wire.
const fn is_clean(traffic: &Traffic) -> bool {
    let odd = traffic.checksum_errors as u32
        + traffic.line_errors as u32
        + traffic.broken as u32
        + traffic.collisions as u32
        + traffic.foreign as u32
        + traffic.stray_bytes as u32;
    odd == 0
}
