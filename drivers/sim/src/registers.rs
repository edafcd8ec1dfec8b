//! The register maps of the simulated Modbus devices.
//!
//! | Device | Functions | Numbers | At most |
//! |---|---|---|---|
//! | Eastron SDM630 | 4 | f32, high word first | 80, in pairs |
//! | Schneider iEM3155 | 3 | f32 and i64, high word first | 125 |
//! | Carlo Gavazzi EM340 | 3, 4 | i32, low word first | 125 |
//! | ABB B23 | 3 | u64, u32, i32, high word first; all ones where there is nothing | 125 |
//! | room and outdoor sensor | 3, 4 | i16, u16 | 8 |
//!
//! The addresses are those of volkszaehler/mbmd (2026-06), as in the profiles of `drivers`, and were
//! not held against a device. So the two agree with each other; that they are right, only a device
//! can say. The sensors are an invention of this file.
//!
//! A map is readable in blocks. A register within a block that means nothing is 0 (all ones at ABB);
//! one outside every block is an illegal address, as is a request that leaves its block.
//!
//! The room sensor: register 0 °C × 10 (i16), 1 % relative humidity × 10, 2 ppm carbon dioxide,
//! 4 and 5 its serial number (u32, high word first). The outdoor sensor has 0 in register 2.

use std::ops::Range;

use chrono::{DateTime, Utc};

use crate::device::{Device, float};
use crate::meter::Meter;
use crate::place::Measure;

/// What can be read of one device at one instant.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) functions: &'static [u8],
    /// Registers in a request.
    pub(crate) most: u16,
    /// Only even addresses and counts.
    pub(crate) pairs: bool,
    blocks: Vec<Range<u16>>,
    filler: u16,
    words: Vec<(u16, Vec<u16>)>,
}

impl Map {
    /// `count` words from `address` on; `None` unless one block holds them all.
    pub(crate) fn words(&self, address: u16, count: u16) -> Option<Vec<u16>> {
        let end = address.checked_add(count)?;
        self.blocks.iter().find(|block| block.start <= address && end <= block.end)?;
        let word = |register: u16| {
            let value = self
                .words
                .iter()
                .find_map(|(start, words)| words.get(usize::from(register.checked_sub(*start)?)));
            value.copied().unwrap_or(self.filler)
        };
        Some((address..end).map(word).collect())
    }
}

/// The map of `meter` with what it shows at `at`; empty of a device that is on an M-Bus.
pub(crate) fn map(meter: &Meter, at: DateTime<Utc>) -> Map {
    let sight = meter.sight(at);
    let raw = |measure: Measure| meter.thousandths(&sight, measure).unwrap_or(0);
    match meter.plan.device {
        Device::Sdm630 => sdm630(&raw),
        Device::Iem3155 => iem3155(&raw, meter.serial()),
        Device::Em340 => em340(&raw),
        Device::B23 => b23(&raw),
        _ => sensor(&raw, meter.serial()),
    }
}

/// Thousandths of what a measure shows.
type Raw<'a> = &'a dyn Fn(Measure) -> i64;

fn sdm630(raw: Raw<'_>) -> Map {
    let mut words = Vec::new();
    for phase in 1..=3_u8 {
        let at = 2 * (u16::from(phase) - 1);
        words.push((at, f32_words(raw(Measure::Voltage(phase)), 1_000)));
        words.push((0x06 + at, f32_words(raw(Measure::Current(phase)), 1_000)));
        words.push((0x0C + at, f32_words(raw(Measure::PhasePower(phase)), 1_000)));
        words.push((0x1E + at, f32_words(960, 1_000)));
        words.push((0x015A + at, f32_words(raw(Measure::Energy) / 3, 1_000_000)));
    }
    let energies = raw(Measure::Energy) + raw(Measure::Export);
    words.extend([
        (0x34, f32_words(raw(Measure::Power), 1_000)),
        (0x3C, f32_words(raw(Measure::Power) / 4, 1_000)),
        (0x3E, f32_words(960, 1_000)),
        (0x46, f32_words(raw(Measure::Frequency), 1_000)),
        (0x48, f32_words(raw(Measure::Energy), 1_000_000)),
        (0x4A, f32_words(raw(Measure::Export), 1_000_000)),
        (0x0156, f32_words(energies, 1_000_000)),
        (0x0158, f32_words(raw(Measure::Energy) / 4, 1_000_000)),
    ]);
    Map {
        functions: &[4],
        most: 80,
        pairs: true,
        blocks: vec![0..0x6C, 0xC8..0x010E, 0x014E..0x0182],
        filler: 0,
        words,
    }
}

fn iem3155(raw: Raw<'_>, serial: u32) -> Map {
    let mut words = Vec::new();
    let mut amperes = 0;
    for phase in 1..=3_u8 {
        let at = 2 * (u16::from(phase) - 1);
        amperes += raw(Measure::Current(phase));
        words.push((0x0BB7 + at, f32_words(raw(Measure::Current(phase)), 1_000)));
        words.push((0x0BD3 + at, f32_words(raw(Measure::Voltage(phase)), 1_000)));
        words.push((0x0BED + at, f32_words(raw(Measure::PhasePower(phase)), 1_000_000)));
        words.push((0x0DBD + 2 * at, i64_words(raw(Measure::Energy) / 3_000)));
    }
    let mut model = b"iEM3155".to_vec();
    model.resize(40, 0);
    let model = model.chunks_exact(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    });
    words.extend([
        (0x31, model.collect()),
        (0x81, u32_words(serial)),
        (0x0BC1, f32_words(amperes / 3, 1_000)),
        (0x0BF3, f32_words(raw(Measure::Power), 1_000_000)),
        (0x0BFB, f32_words(raw(Measure::Power) / 4, 1_000_000)),
        (0x0C03, f32_words(raw(Measure::Power) / 96 * 100, 1_000_000)),
        (0x0C25, f32_words(raw(Measure::Frequency), 1_000)),
        (0x0C83, i64_words(raw(Measure::Energy) / 1_000)),
        (0x0C87, i64_words(raw(Measure::Export) / 1_000)),
        (0x0C93, i64_words(raw(Measure::Energy) / 4_000)),
        (0x0C97, i64_words(0)),
    ]);
    Map {
        functions: &[3],
        most: 125,
        pairs: false,
        blocks: vec![0x1D..0x45, 0x81..0x83, 0x0BB7..0x0C27, 0x0C83..0x0C9B, 0x0DBD..0x0DC9],
        filler: 0,
        words,
    }
}

fn em340(raw: Raw<'_>) -> Map {
    let mut words = Vec::new();
    for phase in 1..=3_u8 {
        let at = 2 * (u16::from(phase) - 1);
        words.push((at, i32_low_first(raw(Measure::Voltage(phase)) / 100)));
        words.push((0x0C + at, i32_low_first(raw(Measure::Current(phase)))));
        words.push((0x12 + at, i32_low_first(raw(Measure::PhasePower(phase)).div_euclid(100))));
        words.push((0x2E + u16::from(phase) - 1, vec![960]));
        words.push((0x40 + at, i32_low_first(raw(Measure::Energy) / 300_000)));
    }
    words.extend([
        (0x28, i32_low_first(raw(Measure::Power).div_euclid(100))),
        (0x31, vec![960]),
        (0x33, vec![u16_word(raw(Measure::Frequency) / 100)]),
        (0x34, i32_low_first(raw(Measure::Energy) / 100_000)),
        (0x4E, i32_low_first(raw(Measure::Export) / 100_000)),
    ]);
    Map {
        functions: &[3, 4],
        most: 125,
        pairs: false,
        blocks: std::iter::once(0..0x50).collect(),
        filler: 0,
        words,
    }
}

fn b23(raw: Raw<'_>) -> Map {
    let mut words = Vec::new();
    for phase in 1..=3_u8 {
        let at = u16::from(phase) - 1;
        words.push((0x5460 + 4 * at, i64_words(raw(Measure::Energy) / 30_000)));
        words.push((0x546C + 4 * at, i64_words(raw(Measure::Export) / 30_000)));
        words.push((0x5B00 + 2 * at, i32_words(raw(Measure::Voltage(phase)) / 100)));
        words.push((0x5B0C + 2 * at, i32_words(raw(Measure::Current(phase)) / 10)));
        words.push((0x5B16 + 2 * at, i32_words(raw(Measure::PhasePower(phase)).div_euclid(10))));
        words.push((0x5B3B + at, vec![960]));
    }
    words.extend([
        (0x5000, i64_words(raw(Measure::Energy) / 10_000)),
        (0x5004, i64_words(raw(Measure::Export) / 10_000)),
        (0x5B14, i32_words(raw(Measure::Power).div_euclid(10))),
        (0x5B2C, vec![u16_word(raw(Measure::Frequency) / 10)]),
        (0x5B3A, vec![960]),
        // `B23 `, the type designation.
        (0x8960, vec![0x4232, 0x3320]),
    ]);
    Map {
        functions: &[3],
        most: 125,
        pairs: false,
        blocks: vec![0x5000..0x5010, 0x5460..0x5478, 0x5B00..0x5B40, 0x8960..0x8966],
        filler: 0xFFFF,
        words,
    }
}

fn sensor(raw: Raw<'_>, serial: u32) -> Map {
    let words = vec![
        (0, vec![i16_word(raw(Measure::Temperature).div_euclid(100))]),
        (1, vec![u16_word(raw(Measure::Humidity) / 100)]),
        (2, vec![u16_word(raw(Measure::Co2) / 1_000)]),
        (4, u32_words(serial)),
    ];
    Map {
        functions: &[3, 4],
        most: 8,
        pairs: false,
        blocks: std::iter::once(0..8).collect(),
        filler: 0,
        words,
    }
}

/// High word first.
fn f32_words(amount: i64, divisor: i64) -> Vec<u16> {
    u32_words(float(amount, divisor).to_bits())
}

fn u32_words(number: u32) -> Vec<u16> {
    let [a, b, c, d] = number.to_be_bytes();
    vec![u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

fn i32_words(number: i64) -> Vec<u16> {
    u32_words(i32::try_from(number).unwrap_or(i32::MAX).cast_unsigned())
}

fn i32_low_first(number: i64) -> Vec<u16> {
    let mut words = i32_words(number);
    words.reverse();
    words
}

fn i64_words(number: i64) -> Vec<u16> {
    let number = number.cast_unsigned();
    [48, 32, 16, 0].map(|shift| (number >> shift & 0xFFFF) as u16).to_vec()
}

fn u16_word(number: i64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn i16_word(number: i64) -> u16 {
    i16::try_from(number).unwrap_or(i16::MAX).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::building::Building;
    use crate::plan::Plan;

    /// What `figure` of the demo's meter `name` is on the wire, by `read`, and in its figures.
    #[track_caller]
    fn check(name: &str, measure: Measure, address: u16, count: u16, read: fn(&[u16]) -> i64) {
        let plan = Plan::demo(1).unwrap();
        let building = Arc::new(Building::new(1));
        let meter = plan.meters.iter().find(|meter| meter.name == name).unwrap();
        let meter = Meter::new(&plan, meter, &building);
        let at = "2024-03-20T09:00:00Z".parse().unwrap();
        let shown = meter.shows(&meter.sight(at), measure).unwrap().mantissa();
        let words = map(&meter, at).words(address, count).unwrap();
        assert_eq!(read(&words), shown, "{words:04x?}");
    }

    /// A float with `DECIMALS` digits, as a reader rounds it.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2⁵³")]
    fn rounded<const DECIMALS: i32>(words: &[u16]) -> i64 {
        let float = f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]));
        (f64::from(float) * 10_f64.powi(DECIMALS)).round() as i64
    }

    fn integer(words: &[u16]) -> i64 {
        words.iter().fold(0, |number, word| number << 16 | i64::from(*word))
    }

    #[test]
    fn the_wire_says_what_the_display_shows() {
        check("Strøm kontorer", Measure::Energy, 0x48, 2, rounded::<2>);
        check("Strøm kontorer", Measure::Power, 0x34, 2, rounded::<1>);
        check("Strøm leiligheter", Measure::Energy, 0x0C83, 4, integer);
        check("Strøm leiligheter", Measure::Power, 0x0BF3, 2, rounded::<3>);
        check("Elbillading", Measure::Energy, 0x34, 2, |it| integer(&[it[1], it[0]]));
        check("Elbillading", Measure::Power, 0x28, 2, |it| integer(&[it[1], it[0]]));
        check("Strøm, inntak", Measure::Energy, 0x5000, 4, integer);
        check("Strøm, inntak", Measure::Export, 0x5004, 4, integer);
        check("Strøm, inntak", Measure::Power, 0x5B14, 2, integer);
        check("Møterom 2", Measure::Co2, 2, 1, integer);
        check("Utetemperatur", Measure::Temperature, 0, 1, |it| i64::from(it[0].cast_signed()));
    }

    #[test]
    fn a_block_is_not_left() {
        let map = Map {
            functions: &[3],
            most: 8,
            pairs: false,
            blocks: vec![2..6, 10..12],
            filler: 7,
            words: vec![(3, vec![1, 2])],
        };
        assert_eq!(map.words(2, 4), Some(vec![7, 1, 2, 7]));
        for (address, count) in [(1, 2), (5, 2), (6, 4), (10, 3), (u16::MAX, 2)] {
            assert_eq!(map.words(address, count), None, "{count} from {address}");
        }
    }
}
