//! Meters that speak by radio, and the air between them and a receiver.
//!
//! Each meter sends what it shows every few seconds, in mode C; sealed, a water meter encrypts in
//! mode 5 and a heat meter in mode 7, with a message authentication code, under a key of its own.
//!
//! Faults: `silence`, `noise`, `half`, `duplicate`; `foreign` sends as the meter with the next
//! number; `refuse` encrypts with another key than its own.
//!
//! Sources: EN 13757-4; EN 13757-7, "security modes".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mbus::crypto::Key;
use mbus::radio::{Framing, RadioLink, Security, Transmission};
use mbus::{Control, Full, Header, Id, Secondary, Status, Writer};
use metering::Clock;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::device::Device;
use crate::faults::spoiled;
use crate::mbus::secondary;
use crate::meter::Meter;
use crate::outlet::Said;
use crate::receiver::Receiver;
use crate::telegrams;

/// What is in the air around one receiver.
#[derive(Debug)]
pub(crate) struct Air {
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) said: Said,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

/// What a meter sends, and how strong it arrives.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The frame from its length byte on, as the receiver wants it.
    pub(crate) frame: Vec<u8>,
    pub(crate) number: u32,
    pub(crate) rssi_dbm: i16,
}

impl Air {
    /// Carries what the meters send to the receiver, until it is stopped.
    pub(crate) async fn serve(self) {
        // By when it is due, and who.
        let begin = Instant::now();
        let mut queue: BTreeMap<(Instant, usize), u8> = BTreeMap::new();
        for (index, meter) in self.meters.iter().enumerate() {
            let millis = u64::from(meter.dice().of("radio").below(0, 1_000));
            queue.insert((begin + Duration::from_millis(millis) + FIRST, index), 0);
        }
        while let Some(((due, index), access_number)) = queue.pop_first() {
            let sent = async {
                time::sleep_until(due).await;
                if let Some(meter) = self.meters.get(index) {
                    self.send(meter, access_number).await;
                }
            };
            if self.stop.run_until_cancelled(sent).await.is_none() {
                return;
            }
            queue.insert((Instant::now() + EVERY, index), access_number.wrapping_add(1));
        }
    }

    async fn send(&self, meter: &Meter, access_number: u8) {
        let at = self.clock.now().wall;
        // What does not fit into a frame is not sent: no device here has so much.
        let Ok(frame) = frame(meter, access_number, self.receiver.framing(), at) else { return };
        let dice = meter.dice().of("radio");
        let far = i16::try_from(dice.below(1, 45)).unwrap_or_default();
        let sway = i16::try_from(dice.below(i64::from(access_number) + 2, 5)).unwrap_or_default();
        let signal = Signal { frame, number: meter.serial(), rssi_dbm: -50 - far - sway };
        let Some(said) = self.receiver.tells(&signal) else { return };
        let number = u64::from(access_number);
        for utterance in spoiled(&meter.handle, said, Duration::ZERO, number) {
            time::sleep(utterance.wait).await;
            // Without a listener nobody hears it.
            drop(self.said.send(utterance.bytes.into()));
            utterance.speaker.answered();
        }
    }
}

fn frame(
    meter: &Meter,
    access_number: u8,
    framing: Framing,
    at: DateTime<Utc>,
) -> Result<Vec<u8>, Full> {
    let faults = meter.faults();
    let mut address = secondary(meter);
    if faults.foreign {
        address.id = Id(telegrams::bcd(meter.serial() + 1));
    }
    let purpose = if faults.refusal { "another" } else { "encryption" };
    let key = Key::new(meter.key(purpose));
    let counter = u32::try_from(at.timestamp()).unwrap_or_default();
    let security = match meter.plan.device {
        _ if !meter.plan.sealed => Security::Plain,
        Device::RadioHeat => Security::Mode7 { key: &key, counter },
        _ => Security::Mode5(&key),
    };
    let link = RadioLink { framing, control: Control(SEND_NO_REPLY), address };
    let transmission = Transmission { link, ell: None, link_key: None, security };
    let header = short_header(address, access_number);
    let mut room = [0; 300];
    let mut w = Writer::new(&mut room);
    let records = |w: &mut Writer<'_>| telegrams::write_records(meter, w, at);
    transmission.write(SHORT_HEADER, Some(&header), &mut w, records)?;
    Ok(w.written().to_vec())
}

/// Who sends is in the link.
fn short_header(address: Secondary, access_number: u8) -> Header {
    let long = Header::long(address, access_number, Status::OK);
    Header { id: None, manufacturer: None, version: None, medium: None, ..long }
}

/// SND-NR.
const SEND_NO_REPLY: u8 = 0x44;
/// CI of records behind a short header.
const SHORT_HEADER: u8 = 0x7A;

/// Before the first word.
const FIRST: Duration = Duration::from_millis(200);
/// From word to word of one meter; of real ones the quickest are as quick.
const EVERY: Duration = Duration::from_secs(4);
