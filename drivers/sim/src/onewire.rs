//! A 1-Wire as the kernel shows it: a folder for each thermometer, and in it `w1_slave`.
//!
//! ```text
//! FOLDER/28-0000039d8b21/w1_slave
//!     5a 01 4b 46 7f ff 06 10 5e : crc=5e YES
//!     5a 01 4b 46 7f ff 06 10 5e t=21625
//! ```
//!
//! What the kernel measures when it is asked is written here before anybody asks, and anew four
//! times a second. Faults: `silence` takes the thermometer off the wire, `noise` spoils its
//! checksum, `refuse` leaves the 85 °C of a power failure, `foreign` short-circuits the wire, `half`
//! leaves the file empty.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metering::Clock;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::meter::Meter;
use crate::place::Measure;

/// The wire, and who is on it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) folder: PathBuf,
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

/// What is burnt into the thermometer that is installed now.
pub(crate) fn number(meter: &Meter) -> String {
    format!("28-{:012x}", meter.serial())
}

impl Wire {
    /// Writes what the thermometers show, until the wire is stopped.
    pub(crate) async fn serve(self) {
        let mut every = time::interval(Duration::from_millis(250));
        let mut written = HashMap::new();
        while self.stop.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.write(&mut written) {
                tracing::error!(error = &error as &dyn std::error::Error, "the 1-Wire is gone");
                return;
            }
        }
    }

    /// Writes what has changed since it was `written`.
    pub(crate) fn write(&self, written: &mut HashMap<String, Option<String>>) -> io::Result<()> {
        let at = self.clock.now().wall;
        for meter in &self.meters {
            let number = number(meter);
            let sight = meter.sight(at);
            let shown = meter.thousandths(&sight, Measure::Temperature).unwrap_or(0);
            let text = text(meter, shown);
            if written.get(&number) == Some(&text) {
                continue;
            }
            let sensor = self.folder.join(&number);
            match &text {
                Some(text) => {
                    fs::create_dir_all(&sensor)?;
                    replace(&sensor.join("w1_slave"), text)?;
                }
                None => match fs::remove_dir_all(&sensor) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
            written.insert(number, text);
        }
        Ok(())
    }
}

/// The file; `None` if the thermometer is not there.
fn text(meter: &Meter, thousandths: i64) -> Option<String> {
    let faults = meter.faults();
    if faults.silence {
        return None;
    }
    if faults.half {
        return Some(String::new());
    }
    // Sixteenths of a degree.
    let steps = i16::try_from((thousandths * 16).div_euclid(1_000)).unwrap_or(0);
    let [low, high] = steps.to_le_bytes();
    let six = 0x10_u8.wrapping_sub(low & 0x0F);
    let bytes = match (faults.foreign, faults.refusal) {
        (true, _) => [0; 8],
        (_, true) => [0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10],
        _ => [low, high, 0x4B, 0x46, 0x7F, 0xFF, six, 0x10],
    };
    let shown = match (faults.foreign, faults.refusal) {
        (true, _) => 0,
        (_, true) => 85_000,
        _ => i64::from(steps) * 1_000 / 16,
    };
    let sum = crc8(&bytes);
    let hex: Vec<String> = bytes.iter().chain([&sum]).map(|byte| format!("{byte:02x}")).collect();
    let scratchpad = hex.join(" ");
    let verdict = if faults.noise { "NO" } else { "YES" };
    Some(format!("{scratchpad} : crc={sum:02x} {verdict}\n{scratchpad} t={shown}\n"))
}

/// Nobody reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}

/// The checksum of 1-Wire: x⁸ + x⁵ + x⁴ + 1, the lowest bit first.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x8C } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_data_sheet() {
        // The example of Maxim's application note 27.
        assert_eq!(crc8(&[0x02, 0x1C, 0xB8, 0x01, 0, 0, 0]), 0xA2);
        // What a DS18B20 shows after power-on.
        assert_eq!(crc8(&[0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10]), 0x1C);
    }
}
