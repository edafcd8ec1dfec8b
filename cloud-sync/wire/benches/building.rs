//! A building's readings of a day, made from a seed: what the protocol has to carry.
//!
//! 12 heat meters with 10 registers every 15 min, 8 electricity meters with 5 registers and 4 water
//! meters with one each minute, 16 room sensors with one value each minute: 180 series. Counters
//! walk upwards, gauges wander, and one poll in 500 stays
//! without an answer. It is a model: real meters that stand still at night cost less.

use metering::{NoReading, Origin, Quality, SeriesId};
use sync_wire::SyncReading;

/// `len` readings from midnight on, in the order in which their rounds were stored. An answer begins
/// up to `late_ms` after its minute.
pub(crate) fn readings(len: usize, late_ms: u64) -> Vec<SyncReading> {
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    let mut meters = Vec::new();
    let mut number = 0;
    for (count, registers, counters, every_min) in
        [(12, 10, 3, 15), (8, 5, 2, 1), (4, 1, 1, 1), (16, 1, 0, 1)]
    {
        for _ in 0..count {
            let series = (0..registers)
                .map(|register| {
                    number += 1;
                    let start = i64::try_from(chance.below(10_000_000)).unwrap_or_default();
                    Series { id: number, counts: register < counters, stand: start }
                })
                .collect();
            meters.push(Meter { every_min, series });
        }
    }

    let mut readings = Vec::with_capacity(len);
    let mut seq = 0;
    for minute in 0_i64.. {
        for meter in &mut meters {
            if minute % meter.every_min != 0 {
                continue;
            }
            let late = i64::try_from(chance.below(late_ms)).unwrap_or_default();
            let at_ms = MIDNIGHT_MS + 60_000 * minute + late;
            let silent = chance.below(500) == 0;
            for series in &mut meter.series {
                let step = i64::try_from(chance.below(if series.counts { 12 } else { 9 }))
                    .unwrap_or_default();
                series.stand += if series.counts { step } else { step - 4 };
                seq += 1;
                readings.push(SyncReading {
                    seq,
                    series: SeriesId::new(series.id).unwrap_or_else(|| unreachable!()),
                    at_ms,
                    value: if silent { Err(NoReading::Silent) } else { Ok(series.stand) },
                    quality: Quality::Good,
                    origin: Origin::Live,
                });
                if readings.len() == len {
                    return readings;
                }
            }
        }
    }
    readings
}

const MIDNIGHT_MS: i64 = 1_795_212_000_000;

struct Meter {
    every_min: i64,
    series: Vec<Series>,
}

struct Series {
    id: u32,
    counts: bool,
    stand: i64,
}

/// Xorshift: the same numbers on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
