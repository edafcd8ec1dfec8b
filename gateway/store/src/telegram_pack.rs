//! How the telegrams of one commit are packed into a blob.
//!
//! ```text
//! how  answer answer ...
//!  0, 1 the rest is deflated
//! answer: Δquestion  0  meter (16)   count  (length bytes) × count           whole
//!         Δquestion  back  place     runs   (pass  length bytes) × runs      as another one, but for these
//! ```
//!
//! A meter says nearly the same each time: the digits that have changed, a counter of its answers, a
//! checksum. So an answer is told as what is different from one that was told whole, some rows *back* (1 is
//! this one) and at a *place* in that. One that is whole stands behind at most [`FARTHEST`] rows, so that a
//! damaged row costs no more, and any answer is had from two rows.
//!
//! All numbers are LEB128 varints. Any bytes unpack to answers or to [`Unpackable`], without a panic, and
//! take no more memory than [`LONGEST`] twice over.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use metering::MeterId;
use uuid::Uuid;

use crate::codec::{Bytes, Unpackable, put, put_signed};

/// So many rows may stand between an answer and the one that it is told by.
pub(crate) const FARTHEST: i64 = 64;

/// Of a row, before it is deflated. A commit with more is told in several.
pub(crate) const LONGEST: usize = 1024 * 1024;

/// What a meter said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The number of the question.
    pub(crate) cycle: i64,
    pub(crate) meter: MeterId,
    pub(crate) telegrams: Vec<Vec<u8>>,
}

/// An answer as it stands in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Whole {
        meter: MeterId,
        telegrams: Vec<Vec<u8>>,
    },
    /// As the one at `place` in the row `back - 1` before this one, but for these bytes.
    Like {
        back: i64,
        place: usize,
        runs: Vec<(usize, Vec<u8>)>,
    },
}

/// Where an answer stands that was told whole.
#[derive(Clone, Debug)]
struct Base {
    row: i64,
    place: usize,
    telegrams: Vec<Vec<u8>>,
}

/// Packs the rows of one file, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bases: HashMap<MeterId, Base>,
}

impl Packer {
    /// The row `number`.
    pub(crate) fn pack(&mut self, number: i64, answers: &[Answer]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut cycle = 0;
        for (place, answer) in answers.iter().enumerate() {
            put_signed(&mut plain, answer.cycle.wrapping_sub(cycle));
            cycle = answer.cycle;
            let base = self.bases.get(&answer.meter).filter(|it| number - it.row < FARTHEST);
            let like = base.and_then(|base| {
                let runs = differences(&base.telegrams, &answer.telegrams)?;
                let cost: usize = runs.iter().map(|(_, bytes)| bytes.len() + 2).sum();
                let whole: usize = answer.telegrams.iter().map(Vec::len).sum();
                (cost < whole).then_some((base, runs))
            });
            if let Some((base, runs)) = like {
                put(&mut plain, (number - base.row + 1).unsigned_abs());
                count(&mut plain, base.place);
                count(&mut plain, runs.len());
                for (pass, bytes) in runs {
                    count(&mut plain, pass);
                    count(&mut plain, bytes.len());
                    plain.extend(bytes);
                }
            } else {
                put(&mut plain, 0);
                plain.extend(answer.meter.uuid().as_bytes());
                count(&mut plain, answer.telegrams.len());
                for telegram in &answer.telegrams {
                    count(&mut plain, telegram.len());
                    plain.extend(telegram);
                }
                let telegrams = answer.telegrams.clone();
                self.bases.insert(answer.meter, Base { row: number, place, telegrams });
            }
        }
        match deflated(&plain) {
            Some(short) if short.len() < plain.len() => [&[DEFLATED], short.as_slice()].concat(),
            _ => [&[PLAIN], plain.as_slice()].concat(),
        }
    }
}

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// The answers of a row, each with the number of its question.
pub(crate) fn unpack(blob: &[u8]) -> Result<Vec<(i64, Told)>, Unpackable> {
    let (how, rest) = blob.split_first().ok_or(Unpackable)?;
    let inflated;
    let plain = match *how {
        PLAIN => rest,
        DEFLATED => {
            inflated = self::inflated(rest).ok_or(Unpackable)?;
            &inflated
        }
        _ => return Err(Unpackable),
    };
    let most = plain.len();
    let mut bytes = Bytes::of(plain);
    let mut answers = Vec::new();
    let mut cycle = 0_i64;
    while !bytes.rest().is_empty() {
        cycle = cycle.wrapping_add(bytes.signed()?);
        let back = i64::try_from(bytes.varint()?).map_err(|_| Unpackable)?;
        let told = if back == 0 {
            let meter = <[u8; 16]>::try_from(bytes.take(16)?).map_err(|_| Unpackable)?;
            let mut telegrams = Vec::new();
            for _ in 0..bytes.count(most)? {
                let length = bytes.count(most)?;
                telegrams.push(bytes.take(length)?.to_vec());
            }
            Told::Whole { meter: MeterId::from_uuid(Uuid::from_bytes(meter)), telegrams }
        } else {
            let place = bytes.count(LONGEST)?;
            let mut runs = Vec::new();
            for _ in 0..bytes.count(most)? {
                let pass = bytes.count(LONGEST)?;
                let length = bytes.count(most)?;
                runs.push((pass, bytes.take(length)?.to_vec()));
            }
            Told::Like { back, place, runs }
        };
        answers.push((cycle, told));
    }
    Ok(answers)
}

/// What `base` is with these bytes in it.
pub(crate) fn with(
    mut base: Vec<Vec<u8>>,
    runs: &[(usize, Vec<u8>)],
) -> Result<Vec<Vec<u8>>, Unpackable> {
    let mut bytes = base.iter_mut().flatten();
    for (pass, run) in runs {
        for _ in 0..*pass {
            bytes.next().ok_or(Unpackable)?;
        }
        for new in run {
            *bytes.next().ok_or(Unpackable)? = *new;
        }
    }
    Ok(base)
}

/// Where two answers of one form differ; `None` if they have another form.
fn differences(base: &[Vec<u8>], answer: &[Vec<u8>]) -> Option<Vec<(usize, Vec<u8>)>> {
    let lengths = |it: &[Vec<u8>]| it.iter().map(Vec::len).collect::<Vec<_>>();
    if lengths(base) != lengths(answer) {
        return None;
    }
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    let (mut pass, mut open) = (0, false);
    for (old, new) in base.iter().flatten().zip(answer.iter().flatten()) {
        match (old == new, runs.last_mut()) {
            (true, _) => {
                pass += 1;
                open = false;
            }
            (false, Some((_, run))) if open => run.push(*new),
            (false, _) => {
                runs.push((pass, vec![*new]));
                (pass, open) = (0, true);
            }
        }
    }
    Some(runs)
}

fn count(out: &mut Vec<u8>, number: usize) {
    put(out, u64::try_from(number).unwrap_or(u64::MAX));
}

fn deflated(plain: &[u8]) -> Option<Vec<u8>> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
    packer.write_all(plain).ok()?;
    packer.finish().ok()
}

/// At most [`LONGEST`] and an answer more, whatever the bytes say.
fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let most = u64::try_from(2 * LONGEST).ok()?;
    let mut plain = Vec::new();
    DeflateDecoder::new(bytes).take(most + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= 2 * LONGEST).then_some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer() -> impl Strategy<Value = Answer> {
        let telegram = prop::collection::vec(prop_oneof![4 => 0..3_u8, 1 => any::<u8>()], 0..60);
        (any::<i64>(), 1..4_u128, prop::collection::vec(telegram, 0..3)).prop_map(
            |(cycle, meter, telegrams)| Answer {
                cycle,
                meter: MeterId::from_uuid(Uuid::from_u128(meter)),
                telegrams,
            },
        )
    }

    /// All rows, as a reader of the file has them.
    fn again(rows: &[Vec<u8>]) -> Vec<Vec<Answer>> {
        let told: Vec<_> = rows.iter().map(|row| unpack(row).unwrap()).collect();
        let whole = |row: usize, place: usize| match &told[row][place].1 {
            Told::Whole { meter, telegrams } => (*meter, telegrams.clone()),
            Told::Like { .. } => panic!("told by one that is not whole"),
        };
        let of = |row: usize, place: usize| {
            let (cycle, it) = &told[row][place];
            let (meter, telegrams) = match it {
                Told::Whole { .. } => whole(row, place),
                Told::Like { back, place, runs } => {
                    let (meter, base) = whole(row + 1 - usize::try_from(*back).unwrap(), *place);
                    (meter, with(base, runs).unwrap())
                }
            };
            Answer { cycle: *cycle, meter, telegrams }
        };
        let row = |row: usize| (0..told[row].len()).map(|place| of(row, place)).collect();
        (0..told.len()).map(row).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(
            rows in prop::collection::vec(prop::collection::vec(answer(), 0..5), 0..20),
        ) {
            let mut packer = Packer::default();
            let packed: Vec<_> =
                (1..).zip(&rows).map(|(number, row)| packer.pack(number, row)).collect();
            prop_assert_eq!(again(&packed), rows);
        }

        #[test]
        fn any_bytes_are_answers_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(answers) = unpack(&bytes) {
                for (_, told) in answers {
                    if let Told::Like { runs, .. } = told {
                        drop(with(vec![vec![0; 40]], &runs));
                    }
                }
            }
        }
    }

    #[test]
    fn an_answer_that_is_like_the_one_before_costs_what_has_changed() {
        let mut packer = Packer::default();
        let said = |energy: u8, access: u8| {
            let mut telegram = vec![0x68, 0x4D, 0x4D, 0x68, 0x08, 0x01, 0x72];
            telegram.extend((0..70_u8).map(|it| it.wrapping_mul(37)));
            telegram[30] = energy;
            telegram[14] = access;
            vec![Answer {
                cycle: i64::from(access),
                meter: MeterId::from_uuid(Uuid::from_u128(1)),
                telegrams: vec![telegram],
            }]
        };
        let whole = packer.pack(1, &said(1, 1));
        let like = packer.pack(2, &said(2, 2));
        assert!(whole.len() > 77 && like.len() <= 12, "{} {}", whole.len(), like.len());
        let far = packer.pack(1 + FARTHEST, &said(3, 3));
        assert!(far.len() > 77, "it is told whole again");
    }
}
