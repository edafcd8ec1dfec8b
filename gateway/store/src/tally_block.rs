//! The tallies of one meter, packed by columns.
//!
//! ```text
//! version  answers   column × 4     series  tallies  which  column ...    series ...
//!    1      count    with lengths   delta    count    mask   those of the mask, with lengths
//! ```
//!
//! First how often the meter answered in each period, then its series one by one, each with its
//! tallies. A column that is nothing throughout is left out, and columns are told so that most are:
//! `last` as the rise from `first`, `low` and `high` as how far the readings went beyond both, `sum` as
//! what it differs from the middle between both.
//!
//! The numbers of readings, by which tallies in memory are told from those in the file, are not kept:
//! the file says up to which number it has counted.

use std::collections::BTreeMap;

use crate::codec::{Bytes, Unpackable, put, put_signed};
use crate::column;
use crate::rollup::{Answers, Row, Tally};
use metering::SeriesId;

/// The tallies of one meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TallyBlock {
    /// By series, era and the period's first millisecond.
    pub(crate) tallies: BTreeMap<(SeriesId, u32, i64), Tally>,
    /// By the period's first millisecond.
    pub(crate) answers: BTreeMap<i64, Answers>,
}

/// A day of quarter hours of two thousand series, or a month of days; and some eras.
const MOST: usize = 200_000;

const VERSION: u8 = 1;
const COLUMNS: usize = 14;
const ANSWER_COLUMNS: usize = 4;

impl TallyBlock {
    /// Adds what was counted after it.
    pub(crate) fn add(&mut self, later: Self) {
        for (key, tally) in later.tallies {
            self.tallies.entry(key).and_modify(|it| *it = it.plus(tally)).or_insert(tally);
        }
        for (starts_at, answers) in later.answers {
            let known = self.answers.entry(starts_at).or_default();
            *known = answers.plus(*known);
        }
    }

    /// When its first and its last period begin.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        let starts = || {
            let answers = self.answers.keys().copied();
            self.tallies.keys().map(|(_, _, starts_at)| *starts_at).chain(answers)
        };
        starts().min().zip(starts().max())
    }

    /// As bytes.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, u64::try_from(self.answers.len()).unwrap_or_default());
        let counts: [fn(&Answers) -> u32; 3] =
            [|it| it.answered, |it| it.failed, |it| it.remembered];
        put_column(&mut out, &self.answers.keys().copied().collect::<Vec<_>>());
        for count in counts {
            let column: Vec<i64> = self.answers.values().map(|it| count(it).into()).collect();
            put_column(&mut out, &column);
        }
        let all: Vec<_> = self.tallies.iter().collect();
        let mut before = 0_i64;
        for of_series in all.chunk_by(|((a, _, _), _), ((b, _, _), _)| a == b) {
            let Some(((series, _, _), _)) = of_series.first() else { continue };
            put_signed(&mut out, i64::from(series.get()) - before);
            before = i64::from(series.get());
            put(&mut out, u64::try_from(of_series.len()).unwrap_or_default());
            let mut columns: [Vec<i64>; COLUMNS] = Default::default();
            for ((_, era, starts_at), tally) in of_series {
                for (column, number) in columns.iter_mut().zip(numbers(*era, *starts_at, tally)) {
                    column.push(number);
                }
            }
            let is_news = |column: &&Vec<i64>| column.iter().any(|it| *it != 0);
            let mask = (0..).zip(&columns).filter(|(_, column)| is_news(column));
            put(&mut out, mask.fold(0, |mask, (at, _)| mask | 1_u64 << at));
            for column in columns.iter().filter(is_news) {
                put_column(&mut out, column);
            }
        }
        out
    }

    /// All of a block.
    pub(crate) fn unpack(blob: &[u8]) -> Result<Self, Unpackable> {
        let mut bytes = begin(blob)?;
        let mut block = Self { answers: answers(&mut bytes)?, ..Self::default() };
        each_series(bytes, None, |series, row| {
            block.tallies.insert((series, row.era, row.starts_at), row.tally);
        })?;
        Ok(block)
    }

    /// Hands the tallies of one series to `take`, in their order, and looks at nothing else.
    pub(crate) fn rows(
        blob: &[u8],
        series: SeriesId,
        mut take: impl FnMut(Row),
    ) -> Result<(), Unpackable> {
        let mut bytes = begin(blob)?;
        bytes.count(MOST)?;
        for _ in 0..ANSWER_COLUMNS {
            take_column(&mut bytes)?;
        }
        each_series(bytes, Some(series), |_, row| take(row))
    }

    /// How often the meter answered; looks at nothing else.
    pub(crate) fn answers(blob: &[u8]) -> Result<BTreeMap<i64, Answers>, Unpackable> {
        answers(&mut begin(blob)?)
    }
}

fn begin(blob: &[u8]) -> Result<Bytes<'_>, Unpackable> {
    let mut bytes = Bytes::of(blob);
    if bytes.byte()? == VERSION { Ok(bytes) } else { Err(Unpackable) }
}

fn answers(bytes: &mut Bytes<'_>) -> Result<BTreeMap<i64, Answers>, Unpackable> {
    let n = bytes.count(MOST)?;
    let mut column = || take_column(bytes).and_then(|column| column::take(column, n));
    let (starts, answered, failed, remembered) = (column()?, column()?, column()?, column()?);
    let count =
        |of: &[i64], at: usize| of.get(at).and_then(|it| u32::try_from(*it).ok()).ok_or(Unpackable);
    let answers = |at: usize| {
        Ok(Answers {
            answered: count(&answered, at)?,
            failed: count(&failed, at)?,
            remembered: count(&remembered, at)?,
        })
    };
    starts.into_iter().enumerate().map(|(at, starts_at)| Ok((starts_at, answers(at)?))).collect()
}

fn each_series(
    mut bytes: Bytes<'_>,
    only: Option<SeriesId>,
    mut take: impl FnMut(SeriesId, Row),
) -> Result<(), Unpackable> {
    let mut before = 0_i64;
    let mut left = MOST;
    let mut columns: [Vec<i64>; COLUMNS] = Default::default();
    while !bytes.rest().is_empty() {
        before = before.wrapping_add(bytes.signed()?);
        let series = u32::try_from(before).ok().and_then(SeriesId::new).ok_or(Unpackable)?;
        let n = bytes.count(left)?;
        left -= n;
        let mask = bytes.varint()?;
        let wanted = only.is_none_or(|only| only == series);
        for (at, column) in columns.iter_mut().enumerate() {
            column.clear();
            if mask >> at & 1 == 1 {
                let told = take_column(&mut bytes)?;
                if wanted {
                    column::take_into(column, told, n)?;
                }
            }
        }
        for at in 0..if wanted { n } else { 0 } {
            // A column that is nothing throughout is left out.
            let number = |column: &Vec<i64>| column.get(at).copied().unwrap_or(0);
            take(series, row(columns.each_ref().map(number))?);
        }
    }
    Ok(())
}

/// How a tally stands in its columns.
fn numbers(era: u32, starts_at: i64, tally: &Tally) -> [i64; COLUMNS] {
    let Tally { first_at, first, last_at, last, low, high, sum, n, remembered, up, down, .. } =
        *tally;
    let rise = last.wrapping_sub(first);
    [
        era.into(),
        starts_at,
        first_at.wrapping_sub(starts_at),
        last_at.wrapping_sub(first_at),
        first,
        rise,
        first.min(last).wrapping_sub(low),
        high.wrapping_sub(first.max(last)),
        sum.map_or(0, |sum| sum.wrapping_sub(middle(first, rise, n))),
        sum.is_none().into(),
        i64::from(n).wrapping_sub(1),
        remembered.into(),
        up.wrapping_sub(rise.max(0)),
        down.wrapping_sub(up).wrapping_add(rise),
    ]
}

fn row(numbers: [i64; COLUMNS]) -> Result<Row, Unpackable> {
    let [
        era,
        starts_at,
        after,
        took,
        first,
        rise,
        below,
        above,
        beside,
        no_sum,
        more,
        remembered,
        more_up,
        more_down,
    ] = numbers;
    let first_at = starts_at.wrapping_add(after);
    let last = first.wrapping_add(rise);
    let n = u32::try_from(more.wrapping_add(1)).map_err(|_| Unpackable)?;
    let up = rise.max(0).wrapping_add(more_up);
    let tally = Tally {
        first_at,
        first,
        last_at: first_at.wrapping_add(took),
        last,
        low: first.min(last).wrapping_sub(below),
        high: first.max(last).wrapping_add(above),
        sum: (no_sum == 0).then(|| beside.wrapping_add(middle(first, rise, n))),
        n,
        remembered: u32::try_from(remembered).map_err(|_| Unpackable)?,
        up,
        down: more_down.wrapping_add(up).wrapping_sub(rise),
        seq: 0,
    };
    Ok(Row { era: u32::try_from(era).map_err(|_| Unpackable)?, starts_at, tally })
}

/// The sum of readings that rise evenly.
const fn middle(first: i64, rise: i64, n: u32) -> i64 {
    let n = n as i64;
    first.wrapping_mul(n).wrapping_add(rise.wrapping_mul(n) / 2)
}

fn put_column(out: &mut Vec<u8>, column: &[i64]) {
    let mut bytes = Vec::new();
    column::put(&mut bytes, column);
    put(out, u64::try_from(bytes.len()).unwrap_or_default());
    out.append(&mut bytes);
}

fn take_column<'a>(bytes: &mut Bytes<'a>) -> Result<&'a [u8], Unpackable> {
    let length = bytes.count(bytes.rest().len())?;
    bytes.take(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_tally() -> impl Strategy<Value = Tally> {
        let ends = (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>());
        let within = (any::<i64>(), any::<i64>(), prop::option::of(any::<i64>()));
        (ends, within, any::<u32>(), any::<u32>(), any::<i64>(), any::<i64>()).prop_map(
            |((first_at, last_at, first, last), (low, high, sum), n, remembered, up, down)| Tally {
                first_at,
                first,
                last_at,
                last,
                low,
                high,
                sum,
                n,
                remembered,
                up,
                down,
                seq: 0,
            },
        )
    }

    /// A tally as readings make it.
    fn likely_tally() -> impl Strategy<Value = Tally> {
        prop::collection::vec(-100..1_000_i64, 1..16).prop_map(|values| {
            let readings = (0..).zip(values).map(|(at, value)| Tally::of(at, value, false, 0));
            readings.reduce(Tally::plus).unwrap()
        })
    }

    fn block() -> impl Strategy<Value = TallyBlock> {
        let key = (
            1..5_u32,
            0..3_u32,
            prop_oneof![(0..96_i64).prop_map(|it| it * 900_000), any::<i64>()],
        );
        let tallies = prop::collection::btree_map(
            key.prop_map(|(series, era, at)| (SeriesId::new(series).unwrap(), era, at)),
            prop_oneof![any_tally(), likely_tally()],
            0..30,
        );
        let answers = (any::<u32>(), 0..3_u32, any::<u32>())
            .prop_map(|(answered, failed, remembered)| Answers { answered, failed, remembered });
        (tallies, prop::collection::btree_map(any::<i64>(), answers, 0..5))
            .prop_map(|(tallies, answers)| TallyBlock { tallies, answers })
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(block in block(), series in 1..5_u32) {
            let packed = block.pack();
            prop_assert_eq!(TallyBlock::unpack(&packed), Ok(block.clone()));
            prop_assert_eq!(TallyBlock::answers(&packed), Ok(block.answers));
            let series = SeriesId::new(series).unwrap();
            let mut part = Vec::new();
            TallyBlock::rows(&packed, series, |row| part.push(row)).unwrap();
            let of_series = block.tallies.into_iter().filter(|((of, _, _), _)| *of == series);
            let of_series =
                of_series.map(|((_, era, starts_at), tally)| Row { era, starts_at, tally });
            prop_assert_eq!(part, of_series.collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_tallies_or_not(
            block in block(),
            harms in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut harmed = block.pack();
            for (at, byte) in harms {
                let at = at.index(harmed.len());
                harmed[at] = byte;
            }
            for blob in [harmed, [vec![VERSION], bytes].concat()] {
                let _ = TallyBlock::unpack(&blob);
                let _ = TallyBlock::answers(&blob);
                let _ = TallyBlock::rows(&blob, SeriesId::new(1).unwrap(), drop);
            }
        }
    }
}
