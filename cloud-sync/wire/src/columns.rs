//! Readings as columns, one for each series: what makes a batch small.
//!
//! ```text
//!  columns = n, base, reasons, qualities, origins, [column, …]      n readings in all
//!  column  = [series, places, v0 | null, dvs]
//!  places  = [count, t0, dts, s0, dss]
//!          | [back, later]          times as in the column `back` before; its numbers plus `later`
//!
//!  dts, dss, dvs              = step | [step, …]           one alone if all are the same
//!  reasons, qualities, origins = code | [code, count, …]   over all columns, one behind the other
//! ```
//!
//! `series` and `s0` count from those of the column before, `t0` from `base`, all times in ms; of
//! the first column, `series` counts from 0 and `s0` from the batch's first number. Differences wrap
//! around, so every pair of `i64` has one.
//!
//! All registers of a meter are read in one answer, so they share their times: all but the first of
//! them have `[1, 1]` for places. Reason 0 is "there is a value"; a column holds just the values that
//! are there. A batch without gaps, of one quality and one origin, pays one byte for each of these.
//!
//! CBOR writes an integer below 24 in one byte, and so a counter that moves a few steps costs one
//! byte a reading, before it is packed.

use std::collections::HashMap;

use metering::{NoReading, Origin, Quality, SeriesId};

use crate::batch::SyncReading;
use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// How many fields [`write`] writes.
pub(crate) const FIELDS: usize = 6;

/// Writes the columns of `readings`, which are sorted by number and start at or after `from`.
pub(crate) fn write(pen: &mut Pen, from: u64, readings: &[SyncReading]) {
    let columns = by_series(readings);
    let base = readings.first().map_or(0, |reading| reading.at_ms);
    let all = || columns.iter().flatten();

    pen.unsigned(readings.len() as u64).signed(base);
    write_runs(pen, all().map(|reading| reading.value.err().map_or(0, NoReading::code)));
    write_runs(pen, all().map(|reading| reading.quality.code()));
    write_runs(pen, all().map(|reading| reading.origin.code()));

    let mut places_before = HashMap::new();
    let (mut series_before, mut first_before) = (0, from);
    pen.list(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let Some(head) = column.first() else { continue };
        let series = i64::from(head.series.get());
        pen.list(4).signed(series - series_before);
        series_before = series;

        let times: Vec<i64> = column.iter().map(|reading| reading.at_ms).collect();
        let numbers: Vec<i64> = column.iter().map(|reading| reading.seq.cast_signed()).collect();
        let dss = steps(&numbers);
        let key = (times, dss);
        if let Some((other, other_first)) = places_before.get(&key) {
            pen.list(2).unsigned((index - other) as u64).signed(difference(*other_first, head.seq));
        } else {
            let (times, dss) = &key;
            pen.list(5).unsigned(column.len() as u64).signed(head.at_ms.wrapping_sub(base));
            write_steps(pen, &steps(times));
            pen.signed(difference(first_before, head.seq));
            write_steps(pen, dss);
        }
        places_before.insert(key, (index, head.seq));
        first_before = head.seq;

        let values: Vec<i64> = column.iter().filter_map(|reading| reading.value.ok()).collect();
        match values.first() {
            Some(first) => pen.signed(*first),
            None => pen.null(),
        };
        write_steps(pen, &steps(&values));
    }
}

/// A column for each series, in the order in which they come first.
fn by_series(readings: &[SyncReading]) -> Vec<Vec<&SyncReading>> {
    let mut columns: Vec<Vec<&SyncReading>> = Vec::new();
    let mut column_of = HashMap::new();
    for reading in readings {
        let column = *column_of.entry(reading.series).or_insert(columns.len());
        match columns.get_mut(column) {
            Some(column) => column.push(reading),
            None => columns.push(vec![reading]),
        }
    }
    columns
}

/// Reads what [`write`] wrote: column after column.
pub(crate) fn read(r: &mut Reader<'_>, from: u64) -> Result<Vec<SyncReading>, Malformed> {
    let at_count = r.at();
    let total = count(r, limits::READINGS)?;
    let base = r.signed("base of the times")?;
    let reasons = read_runs(r, total, "reason of absence", |code| match code {
        0 => Some(None),
        code => NoReading::from_code(code).map(Some),
    })?;
    let qualities = read_runs(r, total, "quality", Quality::from_code)?;
    let origins = read_runs(r, total, "origin", Origin::from_code)?;
    let mut lanes = reasons.into_iter().zip(qualities).zip(origins);

    let mut readings = Vec::with_capacity(total);
    let mut places_before: Vec<Places> = Vec::new();
    let (mut series, mut first) = (0_i64, from);
    for _ in 0..r.list("columns", total)? {
        r.fields("column", 4)?;
        let at = r.at();
        series = series.wrapping_add(r.signed("series")?);
        let id = u32::try_from(series)
            .ok()
            .and_then(SeriesId::new)
            .ok_or(Malformed { at, flaw: Flaw::Expected("series") })?;

        let places = Places::read(r, total - readings.len(), base, first, &places_before)?;
        first = places.first;

        let column: Vec<_> = lanes.by_ref().take(places.times.len()).collect();
        let present = column.iter().filter(|((reason, _), _)| reason.is_none()).count();
        let mut values = read_values(r, present)?.into_iter();
        let place = places.times.iter().zip(&places.numbers);
        for (((reason, quality), origin), (at_ms, seq)) in column.into_iter().zip(place) {
            // There are as many values as readings without a reason: `read_values` made sure.
            let value = reason.map_or_else(|| Ok(values.next().unwrap_or_default()), Err);
            readings.push(SyncReading {
                seq: *seq,
                series: id,
                at_ms: *at_ms,
                value,
                quality,
                origin,
            });
        }
        places_before.push(places);
    }
    if readings.len() == total {
        Ok(readings)
    } else {
        Err(Malformed { at: at_count, flaw: Flaw::Expected("the number of readings") })
    }
}

/// Times and numbers of a column.
#[derive(Clone)]
struct Places {
    first: u64,
    times: Vec<i64>,
    numbers: Vec<u64>,
}

impl Places {
    fn read(
        r: &mut Reader<'_>,
        most: usize,
        base: i64,
        first_before: u64,
        before: &[Self],
    ) -> Result<Self, Malformed> {
        let at = r.at();
        match r.list("places", 5)? {
            2 => {
                let back = usize::try_from(r.unsigned("column with the same times")?).ok();
                let later = r.signed("difference of the numbers")?;
                let mut places = back
                    .and_then(|back| before.len().checked_sub(back))
                    .and_then(|index| before.get(index))
                    .filter(|other| other.times.len() <= most)
                    .ok_or(Malformed { at, flaw: Flaw::Expected("an earlier column") })?
                    .clone();
                places.first = places.first.wrapping_add_signed(later);
                for number in &mut places.numbers {
                    *number = number.wrapping_add_signed(later);
                }
                Ok(places)
            }
            5 => {
                let count = count(r, most)?;
                let t0 = base.wrapping_add(r.signed("first time")?);
                let times = read_steps(r, t0, count)?;
                if let Some(wrong) = times.iter().find(|ms| !limits::TIMES_MS.contains(ms)) {
                    return Err(Malformed { at, flaw: Flaw::Time(*wrong) });
                }
                let first = first_before.wrapping_add_signed(r.signed("first number")?);
                let numbers = read_steps(r, first.cast_signed(), count)?;
                let numbers = numbers.into_iter().map(i64::cast_unsigned).collect();
                Ok(Self { first, times, numbers })
            }
            _ => Err(Malformed { at, flaw: Flaw::Expected("places") }),
        }
    }
}

fn difference(earlier: u64, later: u64) -> i64 {
    later.wrapping_sub(earlier).cast_signed()
}

fn steps(numbers: &[i64]) -> Vec<i64> {
    numbers.iter().zip(numbers.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)).collect()
}

fn write_steps(pen: &mut Pen, steps: &[i64]) {
    match steps {
        [] => {
            pen.signed(0);
        }
        [first, rest @ ..] if rest.iter().all(|step| step == first) => {
            pen.signed(*first);
        }
        _ => {
            pen.list(steps.len());
            for step in steps {
                pen.signed(*step);
            }
        }
    }
}

fn count(r: &mut Reader<'_>, most: usize) -> Result<usize, Malformed> {
    let at = r.at();
    usize::try_from(r.unsigned("number of readings")?)
        .ok()
        .filter(|count| *count <= most)
        .ok_or(Malformed { at, flaw: Flaw::TooMany("readings") })
}

/// `count` numbers, of which the first is `first`.
fn read_steps(r: &mut Reader<'_>, first: i64, count: usize) -> Result<Vec<i64>, Malformed> {
    let mut numbers = Vec::with_capacity(count);
    let mut last = first;
    if r.at_list() {
        r.fields("a difference for each but the first", count.saturating_sub(1))?;
        numbers.push(first);
        for _ in 1..count {
            last = last.wrapping_add(r.signed("difference")?);
            numbers.push(last);
        }
    } else {
        let step = r.signed("difference")?;
        for _ in 0..count {
            numbers.push(last);
            last = last.wrapping_add(step);
        }
    }
    Ok(numbers)
}

fn read_values(r: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, Malformed> {
    let at = r.at();
    let first = r.optional(|r| r.signed("first value"))?;
    if first.is_some() != (count > 0) {
        return Err(Malformed { at, flaw: Flaw::Expected("a value for each that has no reason") });
    }
    read_steps(r, first.unwrap_or_default(), count)
}

fn write_runs(pen: &mut Pen, codes: impl Iterator<Item = u8>) {
    let mut runs: Vec<(u8, u64)> = Vec::new();
    for code in codes {
        match runs.last_mut() {
            Some((last, count)) if *last == code => *count += 1,
            _ => runs.push((code, 1)),
        }
    }
    match runs.as_slice() {
        [] => {
            pen.unsigned(0_u8);
        }
        [(code, _)] => {
            pen.unsigned(*code);
        }
        _ => {
            pen.list(2 * runs.len());
            for (code, count) in runs {
                pen.unsigned(code).unsigned(count);
            }
        }
    }
}

fn read_runs<T: Copy>(
    r: &mut Reader<'_>,
    count: usize,
    what: &'static str,
    known: fn(u8) -> Option<T>,
) -> Result<Vec<T>, Malformed> {
    if !r.at_list() {
        let code = r.code(what, known)?;
        return Ok(vec![code; count]);
    }
    let at = r.at();
    let wrong = Malformed { at, flaw: Flaw::Expected("a run for each reading") };
    let mut lane = Vec::with_capacity(count);
    let fields = r.list("runs", 2 * count)?;
    if fields % 2 != 0 {
        return Err(wrong);
    }
    for _ in 0..fields / 2 {
        let code = r.code(what, known)?;
        let run = usize::try_from(r.unsigned("length of a run")?)
            .ok()
            .filter(|run| *run <= count - lane.len())
            .ok_or_else(|| wrong.clone())?;
        lane.resize(lane.len() + run, code);
    }
    if lane.len() == count { Ok(lane) } else { Err(wrong) }
}
