//! Amber AMB8465, now Würth Metis: its command interface.
//!
//! ```text
//! FF | command | length | payload | XOR of all before
//!      03: a frame         └ the frame without its own length byte, then RSSI if that is switched on
//!      8x: the answer to command x
//! ```
//!
//! Two of its settings have to be right, and are kept in its flash: they are read first and written
//! only if they are not, since each writing wears it.

use super::codec::{Front, Reply, Said, Step};
use super::{Frame, RadioMode};

const START: u8 = 0xFF;

const FRAME_HEARD: u8 = 0x03;
const SET_MODE: u8 = 0x04;
const RESET: u8 = 0x05;
const SET: u8 = 0x09;
const GET: u8 = 0x0A;
const VERSION: u8 = 0x0C;
const ANSWER: u8 = 0x80;

/// Frames come in the form above, and not bare.
const COMMAND_OUT: u8 = 0x05;
/// With RSSI behind.
const RSSI_OUT: u8 = 0x45;

/// Hears in `mode` and tells how strong.
pub(super) fn setup(mode: RadioMode) -> Vec<Step> {
    let mode = match mode {
        RadioMode::S => 0x03,
        RadioMode::T => 0x08,
        RadioMode::C => 0x0E,
        RadioMode::CAndT => 0x09,
    };
    vec![request(GET, &[COMMAND_OUT, 1]), request(GET, &[RSSI_OUT, 1]), request(SET_MODE, &[mode])]
}

/// A setting that is not as it has to be is written, and in force after a reset.
pub(super) fn further(reply: &Reply) -> Vec<Step> {
    match reply.data.as_slice() {
        [setting @ (COMMAND_OUT | RSSI_OUT), 1, value]
            if reply.kind == u16::from(GET | ANSWER) && *value != 1 =>
        {
            vec![request(SET, &[*setting, 1, 1]), request(RESET, &[])]
        }
        _ => Vec::new(),
    }
}

pub(super) fn ping() -> Step {
    request(VERSION, &[])
}

pub(super) fn reset() -> Step {
    request(RESET, &[])
}

fn request(command: u8, payload: &[u8]) -> Step {
    let mut send = vec![START, command, u8::try_from(payload.len()).unwrap_or(u8::MAX)];
    send.extend_from_slice(payload);
    send.push(checksum(&send));
    Step { send, reply: Some(u16::from(command | ANSWER)) }
}

/// What stands at the beginning of `waiting`.
pub(super) fn front(waiting: &[u8]) -> Front {
    let begins = waiting.iter().position(|byte| *byte == START);
    let Some(0) = begins else {
        return Front::Said(begins.unwrap_or(waiting.len()), Said::Noise);
    };
    let [_, command, len, rest @ ..] = waiting else { return Front::Part };
    let len = usize::from(*len);
    if *command != FRAME_HEARD && command & ANSWER == 0 {
        return Front::Said(1, Said::Noise);
    }
    let (Some(payload), Some(sum)) = (rest.get(..len), rest.get(len)) else { return Front::Part };
    if waiting.get(..3 + len).is_none_or(|counted| checksum(counted) != *sum) {
        return Front::Said(1, Said::Noise);
    }
    let said = match payload.split_last() {
        Some((rssi, frame)) if *command == FRAME_HEARD => {
            let mut bytes = vec![u8::try_from(frame.len()).unwrap_or(u8::MAX)];
            bytes.extend_from_slice(frame);
            Said::Frame(Frame { bytes, rssi_dbm: Some(rssi_dbm(*rssi)) })
        }
        None if *command == FRAME_HEARD => Said::Noise,
        _ => Said::Reply(Reply { kind: u16::from(*command), data: payload.to_vec() }),
    };
    Front::Said(4 + len, said)
}

/// Half decibels, in two's complement, over −74 dBm: of the chip in it, the CC1101 of a CUL too.
pub(super) fn rssi_dbm(raw: u8) -> i16 {
    i16::from(raw.cast_signed()) / 2 - 74
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}
