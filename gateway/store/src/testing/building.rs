//! A building whose meters move as meters do: counters by what a random hour uses, temperatures and
//! powers by noise. The same numbers in every run.

use metering::{MeterId, Unit};
use uuid::Uuid;

use crate::{Kind, MeterRound};

use super::{answer, moment, reading};

/// What each meter shows, with two decimals.
pub const REGISTERS: [(&str, Unit, Kind); 6] = [
    ("energy", Unit::Gigajoule, Kind::Counter),
    ("volume", Unit::CubicMetre, Kind::Counter),
    ("power", Unit::Kilowatt, Kind::Gauge),
    ("volume_flow", Unit::LitrePerHour, Kind::Gauge),
    ("flow_temperature", Unit::Celsius, Kind::Gauge),
    ("return_temperature", Unit::Celsius, Kind::Gauge),
];

/// How long after the one before it a meter of a bus answers.
pub const AFTER_MS: i64 = 90;

/// The meter of that number.
pub const fn meter(number: u32) -> MeterId {
    MeterId::from_uuid(Uuid::from_u128(number as u128 + 1))
}

/// Meters, and where their registers stand.
#[derive(Clone, Debug)]
pub struct Building {
    first: u32,
    every_ms: i64,
    dice: Dice,
    stands: Vec<[i64; 6]>,
}

/// The same numbers in every run.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// A number from 0 to `below` - 1.
    fn roll(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33).cast_signed().checked_rem(below).unwrap_or_default()
    }
}

impl Building {
    /// So many meters with the numbers from `first` on, which are read so often.
    pub fn new(first: u32, meters: u32, every_ms: i64) -> Self {
        let mut dice = Dice(0x5EED_CAFE);
        let stands = (0..meters)
            .map(|_| {
                [
                    1_000_000 + dice.roll(9_000_000),
                    100_000 + dice.roll(900_000),
                    dice.roll(900),
                    dice.roll(3_000),
                    600 + dice.roll(200),
                    350 + dice.roll(100),
                ]
            })
            .collect();
        Self { first, every_ms, dice, stands }
    }

    /// What its meters show when they are read next, by [`REGISTERS`].
    pub fn pass(&mut self) -> &[[i64; 6]] {
        let minutes = self.every_ms / 60_000;
        let dice = &mut self.dice;
        for [energy, volume, power, flow, warm, cold] in &mut self.stands {
            *energy += dice.roll(12 * minutes);
            *volume += dice.roll(4 * minutes);
            *power = (*power + dice.roll(21) - 10).max(0);
            *flow = (*flow + dice.roll(41) - 20).max(0);
            *warm += dice.roll(5) - 2;
            *cold += dice.roll(3) - 1;
        }
        &self.stands
    }

    /// The next round, which begins then; a bus asks one meter after the other.
    pub fn round(&mut self, at_ms: i64) -> Vec<MeterRound> {
        (self.first..)
            .zip(self.pass())
            .map(|(number, stands)| {
                let at = moment(at_ms + i64::from(number) * AFTER_MS);
                let readings = REGISTERS
                    .iter()
                    .zip(stands)
                    .map(|((name, unit, kind), stand)| (reading(name, *stand, 2, *unit, at), *kind))
                    .collect();
                answer(meter(number), "", at, readings)
            })
            .collect()
    }
}
