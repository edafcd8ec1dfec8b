//! CUL and others with culfw: a line for each frame.
//!
//! ```text
//! b  2E44…            a frame in hex, with its checksums, then LQI and RSSI, a byte each
//! bY 3644…            the same of format B
//! V 1.67 nanoCUL868   what it says when it is asked who it is
//! ```

use super::codec::{Reply, Said, Step};
use super::lines::{bytes_of, cut};
use super::{Frame, RadioMode, amb8465};

/// Hears in `mode` and tells how strong. It cannot hear C and T at once.
pub(super) fn setup(mode: RadioMode) -> Vec<Step> {
    let command: &[u8] = match mode {
        RadioMode::S => b"brs\r\n",
        RadioMode::T | RadioMode::CAndT => b"brt\r\n",
        RadioMode::C => b"brc\r\n",
    };
    let unanswered = |send: &[u8]| Step { send: send.to_vec(), reply: None };
    vec![ping(), unanswered(b"X21\r\n"), unanswered(command)]
}

pub(super) fn ping() -> Step {
    Step { send: b"V\r\n".to_vec(), reply: Some(u16::from(b'V')) }
}

/// It boots again.
pub(super) fn reset() -> Step {
    Step { send: b"B00\r\n".to_vec(), reply: None }
}

/// What a line says.
pub(super) fn said(line: &str) -> Said {
    if line.starts_with('b') {
        return frame(line).map_or(Said::Noise, Said::Frame);
    }
    match line.bytes().next() {
        Some(first) => Said::Reply(Reply { kind: first.into(), data: line.as_bytes().to_vec() }),
        None => Said::Noise,
    }
}

/// The frame in a line.
pub(super) fn frame(line: &str) -> Option<Frame> {
    let hex = line.strip_prefix('b')?;
    let bytes = bytes_of(hex.strip_prefix('Y').unwrap_or(hex))?;
    let (frame, behind) = cut(&bytes)?;
    let rssi_dbm = behind.last().map(|raw| amb8465::rssi_dbm(*raw));
    Some(Frame { bytes: frame.to_vec(), rssi_dbm })
}
