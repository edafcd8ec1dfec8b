//! A person corrects all readings of a register in a span of time, for one reason.
//!
//! Each reading gets a correction of its own (`correction.rs`): what was read stays, and a later correction
//! holds instead. So a span is put back as it was read by correcting it once more.
//!
//! **Never true:** a reading without a figure gets one by this; half of a span is corrected and nobody is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use metering::{MeterId, Origin, Quality, Quantity, Register};
use rusqlite::params;

use crate::civil::Step;
use crate::codec::Entry;
use crate::correction::{MOST_TEXT, NotCorrected, values_in};
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::Month;
use crate::query::Snapshot;
use crate::registry::SeriesInfo;

/// Readings of one span: a month of quarter hours. The writer thread stores nothing else meanwhile.
pub const MOST_IN_A_SPAN: usize = 3_000;

/// What becomes of each reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This figure holds.
    To(Quantity),
    /// It is more by so much; less, if that is negative.
    By(Quantity),
    /// What was read holds again.
    AsRead,
}

/// What somebody wants to have corrected.
#[derive(Clone, Debug)]
pub struct SpanCorrection {
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// From the first instant on to the one that is not in it any more, in milliseconds since 1970.
    pub span: Range<i64>,
    /// To what.
    pub change: Change,
    /// Who says so.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What came of it, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanCorrected {
    /// Readings that have another figure by it.
    pub readings: usize,
    /// When the first of them was.
    pub first_ms: Option<i64>,
    /// When the last of them was.
    pub last_ms: Option<i64>,
}

/// One reading that is to have another figure.
#[derive(Clone, Copy, Debug)]
struct Changed {
    series: u32,
    at_ms: i64,
    old: i64,
    new: i64,
}

impl Engine {
    /// Stores the corrections of a span, or says what they would be.
    pub(crate) fn correct_span(
        &mut self,
        wanted: &SpanCorrection,
        preview: bool,
    ) -> Result<Result<SpanCorrected, NotCorrected>, StoreError> {
        let made_ms = self.clock.now().wall_ms();
        let SpanCorrection { who, why, span, .. } = wanted;
        let unsaid = |it: &String| it.trim().is_empty() || it.len() > MOST_TEXT;
        if !preview && [who, why].into_iter().any(unsaid) {
            return Ok(Err(NotCorrected::Unsaid));
        }
        if span.end > made_ms {
            return Ok(Err(NotCorrected::Future));
        }
        let changed = match self.look(|store| find(store, wanted))? {
            Ok(changed) => changed,
            Err(why) => return Ok(Err(why)),
        };
        let told = SpanCorrected {
            readings: changed.len(),
            first_ms: changed.first().map(|it| it.at_ms),
            last_ms: changed.last().map(|it| it.at_ms),
        };
        if preview {
            return Ok(Ok(told));
        }
        self.ballast.restore()?;
        let months = changed.chunk_by(|a, b| Month::of(a.at_ms) == Month::of(b.at_ms));
        let stored = months.map(|month| self.correct_month(month, wanted, made_ms));
        let stored: Result<Vec<()>, StoreError> = stored.collect();
        // Of a span over two months one may be done.
        self.count_corrections();
        stored.map(|_| Ok(told))
    }

    fn correct_month(
        &mut self,
        changed: &[Changed],
        wanted: &SpanCorrection,
        made_ms: i64,
    ) -> Result<(), StoreError> {
        let Some(head) = changed.first() else { return Ok(()) };
        let entries: Vec<Entry> = changed.iter().map(entry).collect();
        // The entries lead: of numbers that no readings got nothing is corrected.
        let meant = self.state().head + 1;
        self.write_entries(meant, changed, wanted, made_ms)?;
        let rows = match self.store(Month::of(head.at_ms), 0, true, &entries) {
            Ok(rows) => rows,
            Err(error) => {
                crate::correction::forget_beyond(&self.core, self.state().head)?;
                return Err(error);
            }
        };
        // A file that was damaged may have cost the numbers that were meant.
        let first = rows.first().map_or(meant, |row| row.first_seq);
        if first != meant {
            self.core
                .execute("DELETE FROM correction WHERE seq >= ?1", [meant.cast_signed()])
                .doing(WRITING)?;
            self.write_entries(first, changed, wanted, made_ms)?;
        }
        self.shared.change(|state| {
            let corrected = std::sync::Arc::make_mut(&mut state.corrected);
            for (seq, it) in (first..).zip(changed) {
                corrected.insert(it.series, it.at_ms, seq);
            }
        });
        self.count(&rows, &entries);
        Ok(())
    }

    fn write_entries(
        &mut self,
        first: u64,
        changed: &[Changed],
        SpanCorrection { who, why, .. }: &SpanCorrection,
        made_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.core.transaction().doing(WRITING)?;
        for (seq, Changed { series, at_ms, old, new }) in (first..).zip(changed) {
            let seq = seq.cast_signed();
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO correction
                         (seq, made_ms, who, why, series, at_ms, old, old_reason, new, counted)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8, 0)",
                )
                .and_then(|mut it| {
                    it.execute(params![seq, made_ms, who, why, series, at_ms, old, new])
                })
                .doing(WRITING)?;
        }
        transaction.commit().doing(WRITING)
    }
}

const WRITING: &str = "write a correction";

const fn entry(it: &Changed) -> Entry {
    Entry {
        series: it.series,
        at_ms: it.at_ms,
        boottime_ms: 0,
        cycle: 0,
        trust: None,
        quality: Quality::Good,
        origin: Origin::Correction,
        value: Ok(it.new),
    }
}

/// The readings that have another figure then, by time; or why they cannot be corrected.
fn find(
    store: &Snapshot<'_>,
    wanted: &SpanCorrection,
) -> Result<Result<Vec<Changed>, NotCorrected>, StoreError> {
    let SpanCorrection { meter, register, span, change, .. } = wanted;
    let point: HashMap<u32, _> = store
        .state
        .registry
        .of_point(*meter, register)
        .map(|info| (info.series.get(), info))
        .collect();
    if point.is_empty() {
        return Ok(Err(NotCorrected::NoRegister));
    }
    // Of one instant the reading with the latest number holds.
    let mut there: BTreeMap<(i64, u32), (u64, i64)> = BTreeMap::new();
    let mut many = 0_usize;
    store.samples(
        *meter,
        |series| point.contains_key(&series),
        span,
        |it| {
            let Ok(value) = it.value else { return };
            many += 1;
            if many <= MOST_IN_A_SPAN.saturating_mul(4) {
                let held = there.entry((it.at_ms, it.series)).or_insert((it.seq, value));
                if it.seq > held.0 {
                    *held = (it.seq, value);
                }
            }
        },
    )?;
    if many > MOST_IN_A_SPAN.saturating_mul(4) {
        return Ok(Err(NotCorrected::TooMany { found: many }));
    }
    let read =
        if *change == Change::AsRead { as_read(store, &point, span)? } else { HashMap::new() };
    let mut changed = Vec::new();
    for ((at_ms, series), (_, old)) in there {
        let Some(info) = point.get(&series) else { continue };
        let new = match change {
            Change::To(figure) => figure.scaled_to(info.resolution).map(Quantity::mantissa),
            Change::By(more) => {
                let more = more.scaled_to(info.resolution).map(Quantity::mantissa);
                more.and_then(|more| old.checked_add(more))
            }
            Change::AsRead => Some(read.get(&(series, at_ms)).copied().unwrap_or(old)),
        };
        let Some(new) = new else { return Ok(Err(NotCorrected::Steps(info.resolution))) };
        if new != old {
            changed.push(Changed { series, at_ms, old, new });
        }
    }
    if changed.len() > MOST_IN_A_SPAN {
        return Ok(Err(NotCorrected::TooMany { found: changed.len() }));
    }
    for (info, days) in days_of(store, &point, &changed) {
        for (day, quarters) in days {
            if let Some(why) = why_not(store, info, &day, &quarters)? {
                return Ok(Err(why));
            }
        }
    }
    Ok(Ok(changed))
}

/// What was there before the first correction of each reading.
fn as_read<T>(
    store: &Snapshot<'_>,
    point: &HashMap<u32, T>,
    span: &Range<i64>,
) -> Result<HashMap<(u32, i64), i64>, StoreError> {
    const DOING: &str = "read the corrections";
    let mut statement = store
        .desk
        .core()?
        .prepare_cached(
            "SELECT at_ms, old FROM correction
              WHERE series = ?1 AND at_ms >= ?2 AND at_ms < ?3 AND seq <= ?4 ORDER BY seq DESC",
        )
        .doing(DOING)?;
    let mut all = HashMap::new();
    for series in point.keys() {
        let head = store.state.head.cast_signed();
        let mut rows = statement.query(params![series, span.start, span.end, head]).doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            let (at_ms, old): (i64, Option<i64>) =
                (row.get(0).doing(DOING)?, row.get(1).doing(DOING)?);
            // The first is the last one that is seen here. Where nothing was read, nothing is put back.
            match old {
                Some(old) => drop(all.insert((*series, at_ms), old)),
                None => drop(all.remove(&(*series, at_ms))),
            }
        }
    }
    Ok(all)
}

/// Days, and the quarter hours in each.
type Days = Vec<(Range<i64>, BTreeSet<i64>)>;

/// The days that are counted again, each with the quarter hours in it, of each series.
fn days_of<'a>(
    store: &Snapshot<'_>,
    point: &HashMap<u32, &'a std::sync::Arc<SeriesInfo>>,
    changed: &[Changed],
) -> Vec<(&'a SeriesInfo, Days)> {
    let mut all: BTreeMap<u32, Days> = BTreeMap::new();
    for it in changed {
        let days = all.entry(it.series).or_default();
        let quarter = store.civil.period(Step::Quarter, it.at_ms).start;
        match days.last_mut().filter(|(day, _)| day.contains(&it.at_ms)) {
            Some((_, quarters)) => drop(quarters.insert(quarter)),
            None => days.push((store.civil.period(Step::Day, it.at_ms), [quarter].into())),
        }
    }
    let of_series = |(series, days)| Some((&***point.get(&series)?, days));
    all.into_iter().filter_map(of_series).collect()
}

/// Why some quarter hours of a day cannot be counted again, if so.
fn why_not(
    store: &Snapshot<'_>,
    info: &SeriesInfo,
    day: &Range<i64>,
    quarters: &BTreeSet<i64>,
) -> Result<Option<NotCorrected>, StoreError> {
    let tallied = store.tallies(info.series, Step::Quarter, day)?;
    let mut there: BTreeMap<i64, u64> = BTreeMap::new();
    for value in values_in(store, info, day)? {
        *there.entry(store.civil.period(Step::Quarter, value.first_at).start).or_default() += 1;
    }
    for quarter in quarters {
        let mut of_it = tallied.iter().filter(|row| row.starts_at == *quarter);
        let counted = of_it.next().map_or(0, |row| u64::from(row.tally.n));
        if of_it.next().is_some() {
            return Ok(Some(NotCorrected::ClockSetBack));
        }
        if there.get(quarter) != Some(&counted) {
            return Ok(Some(NotCorrected::NotKept));
        }
    }
    let sum =
        |rows: &[crate::rollup::Row]| -> u64 { rows.iter().map(|it| u64::from(it.tally.n)).sum() };
    let of_day = store.tallies(info.series, Step::Day, day)?;
    Ok((sum(&of_day) != sum(&tallied)).then_some(NotCorrected::NotKept))
}
