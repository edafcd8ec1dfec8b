//! What one meter answered in an hour, or in a day, packed by columns.
//!
//! ```text
//! version  answers  shape ...  boot ...   seq  at  shift  cycle  how  flags  shape  reason   value ...
//!    1     count    count      count      └── a column each, of one number an answer ──┘   a column a series
//! ```
//!
//! An *answer* here is what was got in one way at one instant: numbers that follow each other, of one
//! time, trust, quality and origin. Its *shape* is the list of its series in their order; a meter says
//! the same ones nearly always. So an hour of a meter with six registers that is read each minute is
//! 60 answers of one shape, of which only the six columns of values hold any news.
//!
//! | Column   | Is, of an answer                                                         |
//! |----------|--------------------------------------------------------------------------|
//! | `seq`    | the number of its first reading; the others follow                       |
//! | `at`     | milliseconds since 1970                                                  |
//! | `shift`  | the boot's clock less the wall's                                         |
//! | `cycle`  | the how-manieth round of that boot                                       |
//! | `how`    | trust (bits 0-2, 4 is none), quality (bits 3-4), origin (bits 5-7)       |
//! | `flags`  | imported (bit 0), the first of a commit (bit 1), which boot (from bit 2) |
//! | `shape`  | which of the shapes                                                      |
//! | `reason` | why there is no value in it, 0 if there are values                       |
//!
//! A column is told with its length, so that a question about one register passes over the others.
//! Values are integers in steps of their series, whose decimals stand in its row. The block cannot
//! find its own damage: that is what the CRC of its row is for. Any bytes unpack to answers or to
//! [`Unpackable`], without a panic, and take no more memory than [`MOST_READINGS`] need.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use metering::{NoReading, Origin, Quality, Trust};

use crate::codec::{Bytes, Entry, Unpackable, put, put_signed};
use crate::column;

/// A day of a meter with two hundred registers that is read every ten seconds.
pub(crate) const MOST_READINGS: usize = 2_000_000;

/// A day of a meter that is read every second.
pub(crate) const MOST_ANSWERS: usize = 100_000;

/// More than one answer of one meter has, three times over.
const MOST_OF_SHAPE: usize = 10_000;

const VERSION: u8 = 1;
const NO_TRUST: i64 = 4;
const IMPORTED: i64 = 1;
const BEGINS: i64 = 2;

/// A reading with what its commit says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) seq: u64,
    pub(crate) entry: Entry,
    /// It was imported.
    pub(crate) imported: bool,
    /// It is the first one of its commit.
    pub(crate) begins: bool,
    pub(crate) boot_id: u128,
}

/// Answers of one meter, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    shapes: Vec<Vec<u32>>,
    boots: Vec<u128>,
    /// In the order of [`COLUMNS`], each with one number an answer.
    columns: [Vec<i64>; COLUMNS],
    /// The values of each series, in the order of the answers.
    values: BTreeMap<u32, Vec<i64>>,
}

const COLUMNS: usize = 8;
const SEQ: usize = 0;
const AT: usize = 1;
const SHIFT: usize = 2;
const CYCLE: usize = 3;
const HOW: usize = 4;
const FLAGS: usize = 5;
const SHAPE: usize = 6;
const REASON: usize = 7;

impl Block {
    /// How many readings and absences it holds.
    pub(crate) fn len(&self) -> usize {
        let length = |shape: &i64| self.shape(*shape).len();
        self.columns[SHAPE].iter().map(length).sum()
    }

    /// How many answers.
    pub(crate) const fn answers(&self) -> usize {
        self.columns[SEQ].len()
    }

    /// The first and the last number in it.
    pub(crate) fn seqs(&self) -> Option<(u64, u64)> {
        let first = self.ranges().map(|it| it.start).min()?;
        let end = self.ranges().map(|it| it.end).max()?;
        Some((first, end.saturating_sub(1)))
    }

    /// The numbers of its answers, in their order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.columns[SEQ].iter().zip(&self.columns[SHAPE]).map(|(seq, shape)| {
            let first = seq.cast_unsigned();
            let length = u64::try_from(self.shape(*shape).len()).unwrap_or_default();
            first..first.saturating_add(length)
        })
    }

    /// When its first and its last reading were.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        let at = &self.columns[AT];
        at.iter().copied().min().zip(at.iter().copied().max())
    }

    /// Appends an answer: readings of one meter whose numbers follow each other.
    pub(crate) fn push(&mut self, answer: &[Numbered]) {
        for part in answer.chunk_by(|a, b| !b.begins && together(a, b)) {
            let Some(head) = part.first() else { continue };
            let Entry { at_ms, boottime_ms, cycle, trust, quality, origin, value, .. } = head.entry;
            let shape: Vec<u32> = part.iter().map(|it| it.entry.series).collect();
            let trust = trust.map_or(NO_TRUST, |it| i64::from(it.code()));
            let how = trust | i64::from(quality.code()) << 3 | i64::from(origin.code()) << 5;
            let boot = i64::try_from(index_of(&mut self.boots, head.boot_id)).unwrap_or_default();
            let imported = if head.imported { IMPORTED } else { 0 };
            let begins = if head.begins { BEGINS } else { 0 };
            let shape = i64::try_from(index_of(&mut self.shapes, shape)).unwrap_or_default();
            let numbers = [
                head.seq.cast_signed(),
                at_ms,
                boottime_ms.wrapping_sub(at_ms),
                cycle,
                how,
                imported | begins | boot << 2,
                shape,
                value.err().map_or(0, |reason| i64::from(reason.code())),
            ];
            for (column, number) in self.columns.iter_mut().zip(numbers) {
                column.push(number);
            }
            for reading in part {
                if let Ok(mantissa) = reading.entry.value {
                    self.values.entry(reading.entry.series).or_default().push(mantissa);
                }
            }
        }
    }

    /// Appends the answers of `later`.
    pub(crate) fn append(&mut self, later: Self) {
        let shapes: Vec<usize> =
            later.shapes.into_iter().map(|it| index_of(&mut self.shapes, it)).collect();
        let boots: Vec<usize> =
            later.boots.into_iter().map(|it| index_of(&mut self.boots, it)).collect();
        let renamed = |names: &[usize], name: i64| {
            let name = usize::try_from(name).ok().and_then(|it| names.get(it)).copied();
            i64::try_from(name.unwrap_or_default()).unwrap_or_default()
        };
        let columns = self.columns.iter_mut().zip(later.columns);
        for (index, (column, mut numbers)) in columns.enumerate() {
            match index {
                SHAPE => numbers.iter_mut().for_each(|it| *it = renamed(&shapes, *it)),
                FLAGS => numbers.iter_mut().for_each(|it| {
                    *it = *it & (IMPORTED | BEGINS) | renamed(&boots, *it >> 2) << 2;
                }),
                _ => {}
            }
            column.append(&mut numbers);
        }
        for (series, values) in later.values {
            self.values.entry(series).or_default().extend(values);
        }
    }

    /// The readings in it, in their order.
    #[cfg(test)]
    pub(crate) fn readings(&self) -> Vec<Numbered> {
        let mut readings = Vec::with_capacity(self.len());
        self.each_answer(|_| true, |it| readings.push(it));
        readings
    }

    /// Hands the readings of the answers that `wanted` says yes to, by their numbers, to `take`.
    pub(crate) fn each_answer(
        &self,
        wanted: impl Fn(&Range<u64>) -> bool,
        mut take: impl FnMut(Numbered),
    ) {
        let mut columns: BTreeMap<u32, std::slice::Iter<'_, i64>> =
            self.values.iter().map(|(series, values)| (*series, values.iter())).collect();
        for (index, range) in self.ranges().enumerate() {
            let number = |column: usize| {
                self.columns.get(column).and_then(|it| it.get(index)).copied().unwrap_or_default()
            };
            let takes = wanted(&range);
            let (how, flags) = (number(HOW), number(FLAGS));
            let reason = code(number(REASON)).and_then(NoReading::from_code);
            let boot = usize::try_from(flags >> 2).ok().and_then(|it| self.boots.get(it));
            for (offset, series) in (0..).zip(self.shape(number(SHAPE))) {
                let value = if let Some(reason) = reason {
                    Err(reason)
                } else {
                    let column = columns.get_mut(series);
                    Ok(column.and_then(Iterator::next).copied().unwrap_or_default())
                };
                if !takes {
                    continue;
                }
                take(Numbered {
                    seq: range.start.saturating_add(offset),
                    entry: Entry {
                        series: *series,
                        at_ms: number(AT),
                        boottime_ms: number(SHIFT).wrapping_add(number(AT)),
                        cycle: number(CYCLE),
                        trust: code(how & 7).and_then(Trust::from_code),
                        quality: quality(how),
                        origin: origin(how),
                        value,
                    },
                    imported: flags & IMPORTED != 0,
                    begins: offset == 0 && flags & BEGINS != 0,
                    boot_id: boot.copied().unwrap_or_default(),
                });
            }
        }
    }

    /// As bytes.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let count = |out: &mut Vec<u8>, it: usize| put(out, u64::try_from(it).unwrap_or_default());
        count(&mut out, self.columns[SEQ].len());
        count(&mut out, self.shapes.len());
        let mut last = 0_i64;
        for shape in &self.shapes {
            count(&mut out, shape.len());
            for series in shape {
                put_signed(&mut out, i64::from(*series) - last);
                last = i64::from(*series);
            }
        }
        count(&mut out, self.boots.len());
        self.boots.iter().for_each(|boot| out.extend(boot.to_be_bytes()));
        let mut bytes = Vec::new();
        let values = series_of(&self.shapes)
            .into_iter()
            .map(|series| self.values.get(&series).map_or(&[][..], Vec::as_slice));
        for column in self.columns.iter().map(Vec::as_slice).chain(values) {
            bytes.clear();
            column::put(&mut bytes, column);
            count(&mut out, bytes.len());
            out.extend_from_slice(&bytes);
        }
        out
    }

    /// All of a block that was packed.
    pub(crate) fn unpack(blob: &[u8]) -> Result<Self, Unpackable> {
        let view = View::of(blob)?;
        let mut columns: [Vec<i64>; COLUMNS] = Default::default();
        for (index, column) in columns.iter_mut().enumerate() {
            *column = view.numbers(index)?;
        }
        let fits = |column: usize, most: usize| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            columns.get(column).is_some_and(|it| it.iter().all(|it| (0..most).contains(it)))
        };
        let known = |column: usize, known: fn(i64) -> bool| {
            columns.get(column).is_some_and(|it| it.iter().all(|it| known(*it)))
        };
        if !fits(SHAPE, view.shapes.len())
            || !fits(FLAGS, view.boots.len() << 2)
            || !known(REASON, |it| it == 0 || code(it).and_then(NoReading::from_code).is_some())
            || !known(HOW, is_how)
        {
            return Err(Unpackable);
        }
        let mut block = Self {
            shapes: view.shapes.clone(),
            boots: view.boots.clone(),
            columns,
            ..Self::default()
        };
        if block.len() > MOST_READINGS {
            return Err(Unpackable);
        }
        for (series, column) in view.series.iter().zip(&view.values) {
            let n = view.count(*series, &block.columns[SHAPE], &block.columns[REASON]);
            if n > 0 {
                block.values.insert(*series, column::take(column, n)?);
            } else if !column.is_empty() {
                return Err(Unpackable);
            }
        }
        Ok(block)
    }

    fn shape(&self, index: i64) -> &[u32] {
        let shape = usize::try_from(index).ok().and_then(|it| self.shapes.get(it));
        shape.map_or(&[], Vec::as_slice)
    }
}

/// A block of which only what is asked for is unpacked.
pub(crate) struct View<'a> {
    answers: usize,
    shapes: Vec<Vec<u32>>,
    boots: Vec<u128>,
    columns: [&'a [u8]; COLUMNS],
    /// Those of the shapes, each once.
    series: Vec<u32>,
    values: Vec<&'a [u8]>,
}

/// A value, or why there is none, as a question needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) seq: u64,
    pub(crate) series: u32,
    pub(crate) at_ms: i64,
    pub(crate) value: Result<i64, NoReading>,
    pub(crate) trust: Option<Trust>,
    pub(crate) quality: Quality,
    pub(crate) origin: Origin,
    pub(crate) imported: bool,
}

impl Sample {
    /// A reading that is not packed.
    pub(crate) const fn of(seq: u64, entry: &Entry, imported: bool) -> Self {
        let Entry { series, at_ms, value, trust, quality, origin, .. } = *entry;
        Self { seq, series, at_ms, value, trust, quality, origin, imported }
    }
}

impl<'a> View<'a> {
    pub(crate) fn of(blob: &'a [u8]) -> Result<Self, Unpackable> {
        let mut bytes = Bytes::of(blob);
        if bytes.byte()? != VERSION {
            return Err(Unpackable);
        }
        let answers = bytes.count(MOST_ANSWERS)?;
        let mut shapes = Vec::new();
        let mut last = 0_i64;
        for _ in 0..bytes.count(blob.len())? {
            let length = bytes.count(MOST_OF_SHAPE.min(blob.len()))?;
            let mut shape = Vec::with_capacity(length);
            for _ in 0..length {
                last = last.wrapping_add(bytes.signed()?);
                shape.push(u32::try_from(last).map_err(|_| Unpackable)?);
            }
            shapes.push(shape);
        }
        let mut boots = Vec::new();
        for _ in 0..bytes.count(blob.len() / 16)? {
            let boot = bytes.take(16)?.try_into().map_err(|_| Unpackable)?;
            boots.push(u128::from_be_bytes(boot));
        }
        let mut column = || {
            let length = bytes.count(blob.len())?;
            bytes.take(length)
        };
        let mut columns: [&[u8]; COLUMNS] = [&[]; COLUMNS];
        for slot in &mut columns {
            *slot = column()?;
        }
        let series = series_of(&shapes);
        let values = series.iter().map(|_| column()).collect::<Result<_, _>>()?;
        if !bytes.rest().is_empty() {
            return Err(Unpackable);
        }
        Ok(Self { answers, shapes, boots, columns, series, values })
    }

    /// Hands the readings of `series` in `span` to `take`, in their order.
    pub(crate) fn each(
        &self,
        wanted: impl Fn(u32) -> bool,
        span: &Range<i64>,
        mut take: impl FnMut(Sample),
    ) -> Result<(), Unpackable> {
        let sought: Vec<u32> = self.series.iter().copied().filter(|it| wanted(*it)).collect();
        if sought.is_empty() {
            return Ok(());
        }
        let [seqs, at, shapes, reasons, how, flags] =
            [SEQ, AT, SHAPE, REASON, HOW, FLAGS].map(|column| self.numbers(column));
        let (seqs, at, shapes, reasons) = (seqs?, at?, shapes?, reasons?);
        let (how, flags) = (how?, flags?);
        let lengths = shapes.iter().map(|shape| self.shapes.get(usize::try_from(*shape).ok()?));
        if lengths.flatten().map(Vec::len).sum::<usize>() > MOST_READINGS {
            return Err(Unpackable);
        }
        for series in sought {
            let n = self.count(series, &shapes, &reasons);
            let position = self.series.iter().position(|it| *it == series);
            let column = position.and_then(|it| self.values.get(it)).ok_or(Unpackable)?;
            let mut values = column::take(column, n)?.into_iter();
            // Where the series stands in each shape.
            let places: Vec<Vec<u64>> = self
                .shapes
                .iter()
                .map(|shape| (0..).zip(shape).filter(|(_, it)| **it == series).map(|it| it.0))
                .map(Iterator::collect)
                .collect();
            let said = shapes.iter().zip(reasons.iter().zip(how.iter().zip(&flags)));
            let answers = seqs.iter().zip(&at).zip(said);
            for ((seq, at_ms), (shape, (reason, (how, flags)))) in answers {
                let places = usize::try_from(*shape).ok().and_then(|it| places.get(it));
                for place in places.ok_or(Unpackable)? {
                    let value = match *reason {
                        0 => Ok(values.next().ok_or(Unpackable)?),
                        reason => {
                            let reason = code(reason).and_then(NoReading::from_code);
                            Err(reason.ok_or(Unpackable)?)
                        }
                    };
                    if span.contains(at_ms) {
                        take(Sample {
                            seq: seq.cast_unsigned().saturating_add(*place),
                            series,
                            at_ms: *at_ms,
                            value,
                            trust: code(how & 7).and_then(Trust::from_code),
                            quality: quality(*how),
                            origin: origin(*how),
                            imported: flags & IMPORTED != 0,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn numbers(&self, column: usize) -> Result<Vec<i64>, Unpackable> {
        column::take(self.columns.get(column).ok_or(Unpackable)?, self.answers)
    }

    /// How many values a series has.
    fn count(&self, series: u32, shapes: &[i64], reasons: &[i64]) -> usize {
        let of_shape: Vec<usize> = self
            .shapes
            .iter()
            .map(|shape| shape.iter().filter(|it| **it == series).count())
            .collect();
        let valued = shapes.iter().zip(reasons).filter(|(_, reason)| **reason == 0);
        valued
            .filter_map(|(shape, _)| of_shape.get(usize::try_from(*shape).ok()?))
            .fold(0, |sum: usize, it| sum.saturating_add(*it))
            .min(MOST_READINGS)
    }
}

/// Whether two readings are of one answer.
fn together(a: &Numbered, b: &Numbered) -> bool {
    let (x, y) = (&a.entry, &b.entry);
    a.seq.checked_add(1) == Some(b.seq)
        && (a.imported, a.boot_id) == (b.imported, b.boot_id)
        && (x.at_ms, x.boottime_ms, x.cycle, x.trust) == (y.at_ms, y.boottime_ms, y.cycle, y.trust)
        && (x.quality, x.origin, x.value.err()) == (y.quality, y.origin, y.value.err())
}

/// The series of all shapes, each once, as they first appear.
fn series_of(shapes: &[Vec<u32>]) -> Vec<u32> {
    let mut seen = HashSet::new();
    shapes.iter().flatten().copied().filter(|it| seen.insert(*it)).collect()
}

fn index_of<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    list.iter().position(|it| *it == wanted).unwrap_or_else(|| {
        list.push(wanted);
        list.len() - 1
    })
}

fn code(number: i64) -> Option<u8> {
    u8::try_from(number).ok()
}

fn quality(how: i64) -> Quality {
    code(how >> 3 & 3).and_then(Quality::from_code).unwrap_or(Quality::Implausible)
}

fn origin(how: i64) -> Origin {
    code(how >> 5).and_then(Origin::from_code).unwrap_or(Origin::Import)
}

fn is_how(how: i64) -> bool {
    let trust = how & 7 == NO_TRUST || code(how & 7).and_then(Trust::from_code).is_some();
    let quality = code(how >> 3 & 3).and_then(Quality::from_code).is_some();
    trust && quality && code(how >> 5).and_then(Origin::from_code).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_774_738_800_000;

    fn numbered(seq: u64, series: u32, at_ms: i64, value: Result<i64, NoReading>) -> Numbered {
        Numbered {
            seq,
            entry: Entry {
                series,
                at_ms,
                boottime_ms: at_ms - START + 77,
                cycle: at_ms / 60_000,
                trust: Some(Trust::Synced),
                quality: Quality::Good,
                origin: Origin::Live,
                value,
            },
            imported: false,
            begins: false,
            boot_id: 7,
        }
    }

    fn block(readings: &[Numbered]) -> Block {
        let mut block = Block::default();
        block.push(readings);
        block
    }

    fn any_reading() -> impl Strategy<Value = Numbered> {
        let value = prop_oneof![
            3 => any::<i64>().prop_map(Ok),
            1 => prop::sample::select(NoReading::ALL).prop_map(Err),
        ];
        let times = (
            prop_oneof![START..START + 3, any::<i64>()],
            prop_oneof![0..3_i64, any::<i64>()],
            prop_oneof![0..2_i64, any::<i64>()],
        );
        let how = (
            prop::sample::select(vec![None, Some(Trust::Untrusted), Some(Trust::Synced)]),
            prop::sample::select(Quality::ALL),
            prop::sample::select(Origin::ALL),
        );
        let commit = (any::<bool>(), prop::bool::weighted(0.2), 0..3_u128);
        (
            0..(i64::MAX.unsigned_abs()),
            prop_oneof![1..5_u32, any::<u32>()],
            times,
            how,
            value,
            commit,
        )
            .prop_map(|(seq, series, (at_ms, boottime_ms, cycle), how, value, commit)| {
                Numbered {
                    seq,
                    entry: Entry {
                        series,
                        at_ms,
                        boottime_ms,
                        cycle,
                        trust: how.0,
                        quality: how.1,
                        origin: how.2,
                        value,
                    },
                    imported: commit.0,
                    begins: commit.1,
                    boot_id: commit.2,
                }
            })
    }

    /// Any readings; half of them follow the one before as a meter's would.
    fn readings() -> impl Strategy<Value = Vec<Numbered>> {
        prop::collection::vec((any_reading(), any::<bool>()), 0..40).prop_map(|drawn| {
            let mut readings: Vec<Numbered> = Vec::new();
            for (reading, follows) in drawn {
                let before = readings.last().filter(|_| follows).copied();
                readings.push(before.map_or(reading, |before| Numbered {
                    seq: before.seq.saturating_add(1),
                    entry: Entry {
                        series: reading.entry.series,
                        value: reading.entry.value,
                        ..before.entry
                    },
                    begins: false,
                    ..before
                }));
            }
            readings
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(readings in readings()) {
            let block = block(&readings);
            prop_assert_eq!(block.len(), readings.len());
            let again = Block::unpack(&block.pack()).unwrap();
            prop_assert_eq!(again.readings(), readings);
        }

        #[test]
        fn blocks_add_up(readings in readings(), cut in any::<prop::sample::Index>()) {
            let (head, tail) = readings.split_at(cut.index(readings.len() + 1));
            let mut sum = block(head);
            sum.append(Block::unpack(&block(tail).pack()).unwrap());
            prop_assert_eq!(sum.readings(), readings.clone());
            prop_assert_eq!(Block::unpack(&sum.pack()).unwrap().readings(), readings);
        }

        #[test]
        fn a_question_about_one_series_hears_all_of_it(readings in readings(), series in 1..5_u32) {
            let packed = block(&readings).pack();
            let mut found = Vec::new();
            let span = START..i64::MAX;
            let view = View::of(&packed).unwrap();
            view.each(|it| it == series, &span, |it| found.push((it.seq, it.at_ms, it.value))).unwrap();
            let wanted: Vec<_> = readings
                .iter()
                .filter(|it| it.entry.series == series && span.contains(&it.entry.at_ms))
                .map(|it| (it.seq, it.entry.at_ms, it.entry.value))
                .collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn any_bytes_are_answers_or_not(mut blob in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = blob.first_mut() {
                *first %= 3;
            }
            unpacks_or_not(&blob);
        }

        /// What was written and then harmed gets further than what was never written.
        #[test]
        fn harmed_bytes_are_answers_or_not(
            readings in readings(),
            harms in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut blob = block(&readings).pack();
            for (at, byte) in harms {
                let at = at.index(blob.len());
                blob[at] = byte;
            }
            unpacks_or_not(&blob);
        }
    }

    fn unpacks_or_not(blob: &[u8]) {
        if let Ok(block) = Block::unpack(blob) {
            assert_eq!(block.readings().len(), block.len());
        }
        if let Ok(view) = View::of(blob) {
            let _ = view.each(|_| true, &(i64::MIN..i64::MAX), |_| {});
        }
    }

    #[test]
    fn an_hour_of_minutes_is_its_news_and_little_more() {
        let mut readings = Vec::new();
        for minute in 0..60 {
            for register in 0..6_u32 {
                let seq = 1_000_000 + u64::try_from(minute).unwrap() * 1500 + u64::from(register);
                let at_ms = START + minute * 60_000;
                let noise = minute * minute * 7919 / 13 % 8;
                readings.push(numbered(
                    seq,
                    register + 1,
                    at_ms,
                    Ok(123_456 + minute * 10 + noise),
                ));
            }
        }
        let bytes = block(&readings).pack().len();
        assert!(
            bytes < 360 * 4 / 8 + 110,
            "{bytes} bytes for 360 readings with 4 bits of news each"
        );
    }
}
