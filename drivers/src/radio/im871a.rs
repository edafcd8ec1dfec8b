//! IMST iM871A: its host controller interface.
//!
//! ```text
//! A5 | flags, endpoint | message | length | payload | time 4 | RSSI | CRC 2
//!      │                                    └ without the frame's own length byte
//!      └ 2x time, 4x RSSI, 8x CRC follow behind the payload
//! ```
//!
//! The CRC is CRC-16/X-25 over everything behind A5. What a frame had of checksums by radio, the
//! receiver has checked and taken out.

use super::codec::{Front, Reply, Said, Step};
use super::{Frame, RadioMode};

const START: u8 = 0xA5;

const MANAGEMENT: u8 = 1;
const RADIO: u8 = 2;

const PING: u8 = 0x01;
const SET_CONFIG: u8 = 0x03;
const RESET: u8 = 0x07;
const FRAME_HEARD: u8 = 0x03;

const HAS_TIME: u8 = 0x20;
const HAS_RSSI: u8 = 0x40;
const HAS_CRC: u8 = 0x80;

/// Hears in `mode` and tells how strong. It cannot hear C and T at once.
pub(super) fn setup(mode: RadioMode) -> Vec<Step> {
    let link_mode = match mode {
        RadioMode::S => 0x00,
        RadioMode::T | RadioMode::CAndT => 0x03,
        RadioMode::C => 0x06,
    };
    // Until it loses its power; not a meter, this mode; never asleep, with RSSI.
    let config = [0x00, 0x03, 0x00, link_mode, 0x18, 0x00, 0x01];
    vec![ping(), request(SET_CONFIG, &config)]
}

pub(super) fn ping() -> Step {
    request(PING, &[])
}

pub(super) fn reset() -> Step {
    request(RESET, &[])
}

/// Something for its management, which answers under the next number.
fn request(message: u8, payload: &[u8]) -> Step {
    let len = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    let mut send = vec![START, HAS_CRC | MANAGEMENT, message, len];
    send.extend_from_slice(payload);
    let crc = crc(send.get(1..).unwrap_or_default());
    send.extend_from_slice(&crc.to_le_bytes());
    Step { send, reply: Some(u16::from_be_bytes([MANAGEMENT, message + 1])) }
}

/// What stands at the beginning of `waiting`.
pub(super) fn front(waiting: &[u8]) -> Front {
    let begins = waiting.iter().position(|byte| *byte == START);
    let Some(0) = begins else {
        return Front::Said(begins.unwrap_or(waiting.len()), Said::Noise);
    };
    let [_, control, message, len, rest @ ..] = waiting else { return Front::Part };
    let len = usize::from(*len);
    let (flags, endpoint) = (control & 0xF0, control & 0x0F);
    let has = |flag: u8, bytes: usize| if flags & flag == 0 { 0 } else { bytes };
    let behind = has(HAS_TIME, 4) + has(HAS_RSSI, 1) + has(HAS_CRC, 2);
    if !matches!(endpoint, 1..=4) {
        return Front::Said(1, Said::Noise);
    }
    let Some(body) = rest.get(..len + behind) else { return Front::Part };
    if flags & HAS_CRC != 0 {
        let (counted, sent) = (waiting.get(1..4 + len + behind - 2), body.last_chunk());
        let fits = counted.zip(sent).is_some_and(|(it, sent)| crc(it).to_le_bytes() == *sent);
        if !fits {
            return Front::Said(1, Said::Noise);
        }
    }
    let payload = body.get(..len).unwrap_or_default();
    let said = if (endpoint, *message) == (RADIO, FRAME_HEARD) {
        let rssi = body.get(len + has(HAS_TIME, 4)).filter(|_| flags & HAS_RSSI != 0);
        let mut bytes = vec![u8::try_from(len).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(payload);
        Said::Frame(Frame { bytes, rssi_dbm: rssi.map(|raw| rssi_dbm(*raw)) })
    } else {
        let kind = u16::from_be_bytes([endpoint, *message]);
        Said::Reply(Reply { kind, data: payload.to_vec() })
    };
    Front::Said(4 + len + behind, said)
}

/// From its steps: 80/150 dB each, and −126.7 dBm at 0.
fn rssi_dbm(raw: u8) -> i16 {
    (80 * i16::from(raw) - 19_000) / 150
}

/// CRC-16/X-25.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    let mut crc = u16::MAX;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x8408 };
        }
    }
    !crc
}
