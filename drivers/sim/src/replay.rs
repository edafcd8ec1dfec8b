//! A slave that says what a real meter once said, byte for byte.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use mbus::{Frame, Id, Long, Manufacturer, Medium, Secondary};
use metering::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Handle;
use crate::line::{Line, Party, listen};
use crate::mbus::{Slave, Slaves};

/// One or several captured frames of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    frames: Vec<Vec<u8>>,
    address: u8,
    secondary: Option<Secondary>,
}

impl Captured {
    /// The frames that `text` writes down in hex; white space and lines that begin with `#` are
    /// skipped. They may follow each other without a mark: each ends by its own length.
    ///
    /// What is no proper frame is served all the same, as a test may want it, if it begins like
    /// a long one.
    pub fn parse(text: &str) -> Result<Self, CaptureError> {
        let digits: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(str::chars)
            .filter(|character| !character.is_whitespace())
            .collect();
        let nibbles: Option<Vec<u8>> =
            digits.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
        let nibbles = nibbles.ok_or(CaptureError::Hex)?;
        let (pairs, []) = nibbles.as_chunks::<2>() else { return Err(CaptureError::Hex) };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        Self::new(&bytes)
    }

    /// The frames in `bytes`, one after the other.
    pub fn new(bytes: &[u8]) -> Result<Self, CaptureError> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let whole = match Frame::expected_len(rest) {
                Ok(Some(length)) => length.min(rest.len()),
                _ => rest.len(),
            };
            let (frame, others) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
            frames.push(frame.to_vec());
            rest = others;
        }
        let Some(&[0x68, _, _, 0x68, _, address, ci, ref data @ ..]) =
            frames.first().map(Vec::as_slice)
        else {
            return Err(CaptureError::NotLong);
        };
        let data = match frames.first().map(|frame| Frame::read(frame)) {
            Some(Ok(Frame::Long(Long { data, .. }))) => data,
            _ => data,
        };
        let secondary = secondary(ci, data);
        Ok(Self { frames, address, secondary })
    }

    /// The address field of the first frame: to whom it answers.
    pub const fn address(&self) -> u8 {
        self.address
    }

    /// By which it can be selected; `None` if its frames do not tell.
    pub const fn secondary(&self) -> Option<Secondary> {
        self.secondary
    }

    /// The frames as they were captured.
    pub fn telegrams(&self) -> &[Vec<u8>] {
        &self.frames
    }
}

/// The whole address of a header of variable structure. The fixed structure tells the number
/// alone, so that only a selection with wildcards for the rest fits.
fn secondary(ci: u8, data: &[u8]) -> Option<Secondary> {
    let (id, rest) = data.split_first_chunk::<4>()?;
    let swapped = matches!(ci, 0x76 | 0x77);
    let id = if swapped { u32::from_be_bytes(*id) } else { u32::from_le_bytes(*id) };
    let (manufacturer, version, medium) = match (ci, rest) {
        (0x72, &[m0, m1, version, medium, ..]) => (u16::from_le_bytes([m0, m1]), version, medium),
        (0x76, &[m0, m1, version, medium, ..]) => (u16::from_be_bytes([m0, m1]), version, medium),
        (0x73 | 0x77, _) => (0xFFFF, 0xFF, 0xFF),
        _ => return None,
    };
    Some(Secondary {
        id: Id(id),
        manufacturer: Manufacturer(manufacturer),
        version,
        medium: Medium::new(medium),
    })
}

/// A text or bytes that hold nothing to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Not hex.
    #[error("a captured frame is written in pairs of hex digits")]
    Hex,
    /// No frame that a meter sends.
    #[error("a captured frame begins with 68 LL LL 68, an address and a CI")]
    NotLong,
}

/// A running slave with a TCP port of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Replay {
    address: SocketAddr,
    handle: Handle,
    stop: CancellationToken,
}

impl Replay {
    /// Serves `captured` on `port` of loopback, 0 for any that is free, at the speed of `baud` or
    /// as fast as possible.
    ///
    /// # Errors
    ///
    /// The port's, mostly because it is taken.
    pub async fn start(
        captured: Captured,
        port: u16,
        baud: Option<u32>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (listener, address) = listen(port).await?;
        let handle = Handle::new();
        let slave = Slave::of_captured(captured, handle.clone());
        let stop = CancellationToken::new();
        let party = Party::Mbus(Mutex::new(Slaves::new(vec![slave], baud)));
        let line = Line { party: Arc::new(party), baud, clock, stop: stop.clone() };
        let tasks = TaskTracker::new();
        tasks.spawn(line.serve_port(listener, tasks.clone()));
        Ok(Self { address, handle, stop })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be wrong with it, and how often it was asked.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_and_lines_of_remarks_are_skipped() {
        let one = "68 0F 0F 68 08 07 72 22 11 00 67 2D 2C 35 04 01 00 00 00 AE 16";
        let text = format!("# a meter, twice\n{one}\n{}", one.to_lowercase().replace(' ', ""));
        let captured = Captured::parse(&text).unwrap();
        assert_eq!(captured.telegrams().len(), 2);
        assert_eq!(captured.address(), 7);
        assert_eq!(captured.secondary().unwrap().to_string(), "67001122KAM3504");
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        for (text, expected) in [
            ("6", CaptureError::Hex),
            ("zz", CaptureError::Hex),
            ("", CaptureError::NotLong),
            ("E5", CaptureError::NotLong),
            ("10 5B 01 5C 16", CaptureError::NotLong),
        ] {
            assert_eq!(Captured::parse(text), Err(expected), "{text}");
        }
    }
}
