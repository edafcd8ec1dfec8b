//! IMST iM871A.

use super::{Command, Front};
use crate::radio::Signal;

/// What stands at the front of what it heard.
pub(super) fn front(heard: &[u8]) -> Front {
    let [start, control, message, length, rest @ ..] = heard else {
        return (heard.first().is_some_and(|byte| *byte != START)).then_some((1, None));
    };
    if *start != START || control & 0x0F != MANAGEMENT {
        return Some((1, None));
    }
    let length = usize::from(*length);
    let behind = if control & HAS_CRC == 0 { 0 } else { 2 };
    let whole = 4 + length + behind;
    let payload = rest.get(..length + behind)?.get(..length)?;
    let counted = heard.get(1..4 + length).unwrap_or_default();
    let sent = heard.get(4 + length..whole).unwrap_or_default();
    if behind > 0 && crc(counted).to_le_bytes() != sent {
        return Some((1, None));
    }
    let command = match message {
        0x01 => Command::new(|_| Some(answer(0x02, &[]))),
        // Device mode and link mode are there if the second byte says so.
        0x03 => {
            let listens = payload.get(3) == Some(&MODE_C);
            Command::new(move |state| {
                state.listens = listens;
                Some(answer(0x04, &[0]))
            })
        }
        0x07 => Command { resets: true, ..Command::new(|_| Some(answer(0x08, &[0]))) },
        _ => return Some((whole, None)),
    };
    Some((whole, Some(command)))
}

fn answer(message: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[START, MANAGEMENT, message, length], payload].concat()
}

/// With RSSI, in steps of 80/150 dB over −126.7 dBm, and a checksum.
pub(super) fn frame(signal: &Signal) -> Option<Vec<u8>> {
    let payload = signal.frame.get(1..)?;
    let rssi = (150 * i32::from(signal.rssi_dbm) + 19_000) / 80;
    let mut said = vec![HAS_CRC | HAS_RSSI | RADIO, 0x03, u8::try_from(payload.len()).ok()?];
    said.extend(payload);
    said.push(u8::try_from(rssi).ok()?);
    said.extend(crc(&said).to_le_bytes());
    said.insert(0, START);
    Some(said)
}

/// CRC-16/X-25.
fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
    !bytes.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), step))
}

const START: u8 = 0xA5;
const MANAGEMENT: u8 = 1;
const RADIO: u8 = 2;
const HAS_RSSI: u8 = 0x40;
const HAS_CRC: u8 = 0x80;
/// C1, telegrams of format A or B.
const MODE_C: u8 = 0x06;
