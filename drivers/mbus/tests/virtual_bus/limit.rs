//! What the wire itself allows, and what a master on it takes: the whole matrix.
//!
//! | Task | At least |
//! |---|---|
//! | read | request 5 characters, reaction, answer |
//! | reset before | 5 characters, reaction, 1 character |
//! | selection before | 17 characters, reaction, 1 character |
//! | scan, an address where nobody is | 5 characters, 330 bit times and 50 ms |
//! | search, digit by digit | as the selections of an ideal searcher: silent, one, or several |

use std::time::Duration;

use mbus::{Id, Primary, PrimaryScan, Reset, Search, Selection, Settings, Target};

use super::virtual_bus::{Bus, Slave, bits};

/// How each meter is addressed and told to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `REQ_UD2` alone.
    Plain,
    /// `SND_NKE` before.
    WithReset,
    /// By its own address.
    WithSelection,
}

impl Manner {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::WithReset, Self::WithSelection];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::WithReset => "with reset",
            Self::WithSelection => "with selection",
        }
    }
}

/// What something took, and the least that it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) took: Duration,
    pub(crate) limit: Duration,
}

impl Measured {
    /// How much of the wire was used, in thousandths.
    pub(crate) fn permille(self) -> u128 {
        self.limit.as_nanos() * 1000 / self.took.as_nanos().max(1)
    }
}

/// Nothing is between the session and the wire.
pub(crate) fn bare(baud: u32) -> Settings {
    Settings { slack: Duration::ZERO, ..Settings::new(baud) }
}

/// Meters with reactions from 11 to 90 bit times, as if by dice.
pub(crate) fn slaves(baud: u32, len: usize, ids: &[u32]) -> Vec<Slave> {
    let slave = |(id, place): (&u32, usize)| {
        let mut slave = Slave::new(*id, u8::try_from(place % 250 + 1).expect("small"));
        let dice = u32::try_from(place).expect("small").wrapping_mul(2_654_435_769) >> 16;
        slave.reaction = Duration::from_secs(1) * (11_000 + dice % 79_000) / baud / 1000;
        (slave.len, slave.baud) = (len, baud);
        slave
    };
    ids.iter().zip(0..).map(slave).collect()
}

/// `count` meters, once each, after a round in which nothing is measured.
pub(crate) fn reading(baud: u32, count: usize, len: usize, manner: Manner) -> Measured {
    let mut bus = Bus::new(bare(baud), slaves(baud, len, &random_ids(count)));
    let meters: Vec<(Target, Duration)> = bus
        .slaves
        .iter()
        .map(|slave| {
            let meter = match manner {
                Manner::WithSelection => Target::Secondary(Selection::of(slave.address)),
                _ => Target::Primary(Primary(slave.primary)),
            };
            (meter, slave.reaction)
        })
        .collect();
    let reset = match manner {
        Manner::WithReset => Reset::Always,
        _ => Reset::WhenNeeded,
    };
    let mut round = || {
        let begun = bus.now;
        for (meter, _) in &meters {
            let summary = bus.read(*meter, reset).expect("it answers");
            assert_eq!((summary.telegrams, summary.foreign), (1, 0));
        }
        bus.since(begun)
    };
    round();
    let took = round();
    let limit = meters
        .iter()
        .map(|(_, reaction)| {
            let before = match manner {
                Manner::Plain => Duration::ZERO,
                Manner::WithReset => bits(baud, 6 * 11) + *reaction,
                Manner::WithSelection => bits(baud, 18 * 11) + *reaction,
            };
            before + bits(baud, 11 * (5 + len)) + *reaction
        })
        .sum();
    Measured { took, limit }
}

/// All primary addresses, `count` of which are taken.
pub(crate) fn primary_scan(baud: u32, count: usize) -> Measured {
    let mut slaves = slaves(baud, 120, &random_ids(count));
    for (slave, place) in slaves.iter_mut().zip(0..) {
        slave.primary = u8::try_from(place * 251 / count.max(1)).expect("up to 250");
    }
    let reactions: Duration = slaves.iter().map(|slave| slave.reaction).sum();
    let mut bus = Bus::new(bare(baud), slaves);
    let begun = bus.now;
    let (found, several) = bus.scan(&mut PrimaryScan::new(Primary(0), Primary(250)));
    assert_eq!((found.len(), several.len()), (count, 0));
    let silent = 251 - count;
    let limit = bits(baud, 251 * 55 + silent * 330 + count * 11)
        + reactions
        + Duration::from_millis(50) * u32::try_from(silent).expect("small");
    Measured { took: bus.since(begun), limit }
}

/// All meters by their own addresses.
pub(crate) fn secondary_search(baud: u32, len: usize, ids: &[u32]) -> Measured {
    let slaves = slaves(baud, len, ids);
    let limit = ideal_search(baud, &slaves.iter().collect::<Vec<_>>(), 0);
    let mut bus = Bus::new(bare(baud), slaves);
    let begun = bus.now;
    let (found, unresolved) = bus.search(&mut Search::new(&[]));
    let missing: Vec<_> = ids
        .iter()
        .filter(|id| found.iter().all(|it| it.meter.is_none_or(|meter| meter.id.0 != **id)))
        .collect();
    assert_eq!((found.len(), unresolved), (ids.len(), vec![]), "missing {missing:08X?}");
    Measured { took: bus.since(begun), limit }
}

/// What the ten selections below a prefix of `depth` digits take at least, and those below them:
/// who is alone there is read; where there are several, the first acknowledge gives them away.
fn ideal_search(baud: u32, slaves: &[&Slave], depth: u32) -> Duration {
    let select = 17 * 11;
    let digit = |slave: &Slave| slave.address.id.0 >> (28 - 4 * depth) & 0xF;
    let below = |value| -> Vec<&Slave> {
        slaves.iter().copied().filter(|slave| digit(slave) == value).collect()
    };
    (0..10)
        .map(|value| match below(value).as_slice() {
            [] => bits(baud, select + 330) + Duration::from_millis(50),
            [one] => bits(baud, select + 11 + 5 * 11 + 11 * one.len) + 2 * one.reaction,
            several => {
                let first = several.iter().map(|slave| slave.reaction).min().unwrap_or_default();
                bits(baud, select + 11) + first + ideal_search(baud, several, depth + 1)
            }
        })
        .sum()
}

/// Eight digits each, the same in each run.
pub(crate) fn random_ids(count: usize) -> Vec<u32> {
    let mut state = 20_261_121_u64;
    let mut ids = Vec::new();
    while ids.len() < count {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = decimal((state >> 33) % 100_000_000);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// As they come from a pallet: one after the other.
pub(crate) fn sequential_ids(count: usize) -> Vec<u32> {
    (0..count as u64).map(|place| decimal(43_190_377 + place)).collect()
}

/// From several deliveries of twenty.
pub(crate) fn batched_ids(count: usize) -> Vec<u32> {
    let first = random_ids(count.div_ceil(20));
    let batch = |first: &u32| {
        let first: u64 = format!("{:08X}", Id(*first).0).parse().expect("decimal digits");
        (0..20).map(move |place| decimal((first + place) % 100_000_000)).collect::<Vec<_>>()
    };
    first.iter().flat_map(batch).take(count).collect()
}

fn decimal(number: u64) -> u32 {
    u32::from_str_radix(&format!("{number:08}"), 16).expect("eight digits")
}
