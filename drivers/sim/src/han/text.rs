//! The text of a P1 port, with a checksum, as Swedish meters write it.
//!
//! Source: Swedenergy's P1 recommendation; DSMR P1 companion standard 5.0.2.

use std::fmt::Write as _;

use chrono_tz::{Europe::Oslo, OffsetComponents as _};

use super::Shown;

pub(super) fn telegram(shown: &Shown<'_>) -> Vec<u8> {
    let mut text = "/KAM5SIM\r\n\r\n".to_owned();
    let zone = shown.utc.with_timezone(&Oslo);
    let season = if zone.offset().dst_offset().is_zero() { 'W' } else { 'S' };
    // Writing to a text does not fail.
    let _ = write!(text, "0-0:1.0.0({}{season})\r\n", shown.clock.format("%y%m%d%H%M%S"));
    let number: Vec<_> = shown.number.bytes().map(|byte| format!("{byte:02X}")).collect();
    let _ = write!(text, "0-0:96.1.1({})\r\n", number.concat());
    for (c, (energy, unit)) in
        (1..).zip(shown.energies.into_iter().zip(["kWh", "kWh", "kvarh", "kvarh"]))
    {
        let _ = write!(text, "1-0:{c}.8.0({:08}.{:03}*{unit})\r\n", energy / 1_000, energy % 1_000);
    }
    for (c, (power, unit)) in (1..).zip(shown.powers.into_iter().zip(["kW", "kW", "kvar", "kvar"]))
    {
        let _ = write!(text, "1-0:{c}.7.0({:04}.{:03}*{unit})\r\n", power / 1_000, power % 1_000);
    }
    for (c, volts) in [32, 52, 72].into_iter().zip(shown.voltages) {
        let _ = write!(text, "1-0:{c}.7.0({:03}.{}*V)\r\n", volts / 1_000, volts % 1_000 / 100);
    }
    for (c, amperes) in [31, 51, 71].into_iter().zip(shown.currents) {
        let _ = write!(text, "1-0:{c}.7.0({:03}.{}*A)\r\n", amperes / 1_000, amperes % 1_000 / 100);
    }
    text.push('!');
    let checksum = checksum(text.as_bytes());
    let _ = write!(text, "{checksum:04X}\r\n");
    text.into_bytes()
}

/// CRC-16/ARC.
fn checksum(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), step))
}
