//! A stick with culfw.

use super::{Command, Front, hex};
use crate::radio::Signal;

/// What stands at the front of what it heard: a line.
pub(super) fn front(heard: &[u8]) -> Front {
    let end = heard.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = heard.get(..end).unwrap_or_default();
    let command = match line {
        b"V" => Command::new(|_| Some(b"V 1.67 nanoCUL868\r\n".to_vec())),
        b"brc" => Command::new(|state| {
            state.listens = true;
            Some(b"CMODE\r\n".to_vec())
        }),
        b"brt" | b"brs" => Command::new(|state| {
            state.listens = false;
            Some(b"TMODE\r\n".to_vec())
        }),
        b"B00" => Command { resets: true, ..Command::new(|_| None) },
        _ => return Some((end + 1, None)),
    };
    Some((end + 1, Some(command)))
}

/// Of format B, with LQI and RSSI behind.
pub(super) fn frame(signal: &Signal) -> Vec<u8> {
    let rssi = i8::try_from(2 * (signal.rssi_dbm + 74)).unwrap_or(i8::MIN).cast_unsigned();
    let frame = hex(&signal.frame).to_uppercase();
    format!("bY{frame}80{rssi:02X}\r\n").into_bytes()
}
