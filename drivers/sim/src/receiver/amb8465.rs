//! Amber AMB8465.

use super::{Command, Front};
use crate::radio::Signal;

/// What stands at the front of what it heard.
pub(super) fn front(heard: &[u8]) -> Front {
    let [start, command, length, rest @ ..] = heard else {
        return (heard.first().is_some_and(|byte| *byte != START)).then_some((1, None));
    };
    if *start != START {
        return Some((1, None));
    }
    let length = usize::from(*length);
    let (sum, payload) = rest.get(..=length)?.split_last()?;
    let whole = 4 + length;
    if heard.get(..3 + length).is_none_or(|counted| xor(counted) != *sum) {
        return Some((1, None));
    }
    let done = |state_changes: fn(&mut super::State), command: u8| {
        Command::new(move |state| {
            state_changes(state);
            Some(said(command | ANSWER, &[0]))
        })
    };
    let command = match (*command, payload) {
        (0x04, [0x0E | 0x09]) => done(|it| it.listens = true, 0x04),
        (0x04, [_]) => done(|it| it.listens = false, 0x04),
        (0x05, []) => Command { resets: true, ..done(|_| (), 0x05) },
        (0x09, [RSSI_OUT, 1, on]) => {
            let on = *on == 1;
            Command::new(move |state| {
                state.tells_rssi = on;
                Some(said(0x09 | ANSWER, &[0]))
            })
        }
        (0x09, [_, 1, _]) => done(|_| (), 0x09),
        (0x0A, [setting, 1]) => {
            let setting = *setting;
            Command::new(move |state| {
                // Frames come as commands already.
                let value = if setting == RSSI_OUT { state.tells_rssi.into() } else { 1 };
                Some(said(0x0A | ANSWER, &[setting, 1, value]))
            })
        }
        (0x0C, []) => Command::new(|_| Some(said(0x0C | ANSWER, &[2, 4, 0]))),
        _ => return Some((whole, None)),
    };
    Some((whole, Some(command)))
}

/// With RSSI in half decibels over −74 dBm, if it is told to.
pub(super) fn frame(signal: &Signal, tells_rssi: bool) -> Option<Vec<u8>> {
    let mut payload = signal.frame.get(1..)?.to_vec();
    if tells_rssi {
        payload.push(i8::try_from(2 * (signal.rssi_dbm + 74)).ok()?.cast_unsigned());
    }
    Some(said(0x03, &payload))
}

fn said(command: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    let mut said = [&[START, command, length], payload].concat();
    said.push(xor(&said));
    said
}

fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

const START: u8 = 0xFF;
const ANSWER: u8 = 0x80;
const RSSI_OUT: u8 = 0x45;
