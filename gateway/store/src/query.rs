//! Questions to the store: readings, levels, gaps and the newest of everything. What a counter used is
//! in `used.rs`, what is missing in `completeness.rs`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use metering::{
    Identity, MeterId, NoReading, Origin, Quality, Quantity, Register, Resolution, SeriesId, Trust,
};
use rusqlite::{Connection, Transaction};

use crate::block::Sample;
use crate::chunk;
use crate::civil::{Civil, Step};
use crate::error::{StoreError, free_bytes};
use crate::files;
use crate::hot::add_up;
use crate::readers::Desk;
use crate::registry::{Point, SeriesInfo};
use crate::rollup::{Answers, Row, Tally, clamped};
use crate::spool;
use crate::state::State;
use crate::tables;
use crate::tallied::{self, Kept};
use crate::tally_file::{Index, Source};
use crate::walk::naming;

/// A view of the store while one question is answered.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) civil: Civil,
    pub(crate) state: State,
}

/// The rows of one series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<R> {
    /// Which series; its resolution is that of all the rows.
    pub series: SeriesInfo,
    /// By time.
    pub rows: Vec<R>,
}

/// How many readings a row is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Those that came.
    pub got: u32,
    /// Readings out of the meter's memory: those among the ones that came, and, of a counter, the
    /// one right at the end, if the period's use is told from that.
    pub from_memory: u32,
    /// Those that the schedule of that time expected, up to the end of the span asked for.
    pub expected: u32,
}

impl Coverage {
    /// Nothing came, and nothing was expected.
    pub const NONE: Self = Self { got: 0, from_memory: 0, expected: 0 };
}

/// Where a gauge was in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The period's first millisecond.
    pub start_ms: i64,
    /// The one after its last.
    pub end_ms: i64,
    /// The lowest reading, in steps of the series.
    pub min: i64,
    /// The highest.
    pub max: i64,
    /// All of them together; `None` if 64 bits do not hold it.
    pub sum: Option<i64>,
    /// How many.
    pub count: u32,
    /// The last one.
    pub last: i64,
    /// How many readings there are.
    pub coverage: Coverage,
}

impl Level {
    /// The mean in steps of the series, a half rounded away from zero.
    pub fn mean(&self) -> Option<i64> {
        let (sum, count) = (i128::from(self.sum?), i128::from(self.count));
        let half = count / 2 * sum.signum();
        Some(clamped((sum + half).checked_div(count)?))
    }
}

/// A reading as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredReading {
    /// Its number.
    pub seq: u64,
    /// Of which series.
    pub series: SeriesId,
    /// What the wall clock showed, in milliseconds since 1970.
    pub at_ms: i64,
    /// The number, or why there is none.
    pub value: Result<Quantity, NoReading>,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
    /// How far the clock could be believed; `None` of an import.
    pub trust: Option<Trust>,
}

/// The newest of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Its series.
    pub series: SeriesInfo,
    /// When the newest reading or absence was.
    pub at_ms: i64,
    /// What it was.
    pub value: Result<Quantity, NoReading>,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
    /// The newest value and its time, however old.
    pub last_value: Option<(i64, Quantity)>,
}

/// A meter's failures in a row for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it first failed.
    pub from_ms: i64,
    /// When it answered again, or failed for another reason; `None` if it still fails.
    pub until_ms: Option<i64>,
    /// Why.
    pub reason: NoReading,
    /// How often it was tried.
    pub tries: u32,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Readings and absences that were ever stored.
    pub readings: u64,
    /// Of the raw files, with their logs.
    pub raw_bytes: u64,
    /// The raw files.
    pub files: usize,
    /// What is free on the disk, if that can be told.
    pub free_bytes: Option<u64>,
}

/// In which order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

impl Snapshot<'_> {
    /// The meters that ever had a reading or an absence, in no order.
    pub fn meters(&self) -> Vec<MeterId> {
        self.state.registry.meters().collect()
    }

    /// The points of a meter, by register.
    pub fn points(&self, meter: MeterId) -> Vec<Point> {
        self.state.registry.points(meter)
    }

    /// The newest reading of each point of a meter, by register.
    pub fn latest(&self, meter: MeterId) -> Vec<Latest> {
        let newest = |info: &Arc<SeriesInfo>| {
            self.state.hot.progress.get(&info.series).map(|progress| progress.newest.seq)
        };
        let mut by_point: BTreeMap<String, &Arc<SeriesInfo>> = BTreeMap::new();
        for info in self.state.registry.of_meter(meter) {
            by_point
                .entry(info.register.to_string())
                .and_modify(|there| {
                    if newest(info) >= newest(there) {
                        *there = info;
                    }
                })
                .or_insert(info);
        }
        by_point.into_values().filter_map(|info| self.latest_of(info)).collect()
    }

    /// The newest reading of each point of each meter.
    pub fn latest_all(&self) -> Vec<Latest> {
        self.meters().into_iter().flat_map(|meter| self.latest(meter)).collect()
    }

    fn latest_of(&self, info: &SeriesInfo) -> Option<Latest> {
        let progress = self.state.hot.progress.get(&info.series)?;
        let quantity = |mantissa| Quantity::new(mantissa, info.resolution);
        Some(Latest {
            series: info.clone(),
            at_ms: progress.newest.at_ms,
            value: progress.newest.value.map(quantity),
            quality: progress.newest.quality,
            origin: progress.newest.origin,
            last_value: progress.value.map(|(_, at_ms, mantissa)| (at_ms, quantity(mantissa))),
        })
    }

    /// When a meter last told a value, in milliseconds since 1970.
    pub fn last_answer(&self, meter: MeterId) -> Option<i64> {
        self.state
            .registry
            .of_meter(meter)
            .filter_map(|info| self.state.hot.progress.get(&info.series)?.value)
            .max_by_key(|(seq, _, _)| *seq)
            .map(|(_, at_ms, _)| at_ms)
    }

    /// What a meter's last answer since the start looked like on the wire.
    pub fn telegrams(&self, meter: MeterId) -> Vec<Vec<u8>> {
        self.state.hot.telegrams.get(&meter).map(|them| Vec::clone(them)).unwrap_or_default()
    }

    /// Which device last answered for a meter since the start.
    pub fn identity(&self, meter: MeterId) -> Option<Identity> {
        self.state.hot.identities.get(&meter).cloned()
    }

    /// The readings and absences of a point in `span`, by time, at most `limit`.
    pub fn readings(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<StoredReading>, StoreError> {
        let series: BTreeMap<u32, Resolution> = self
            .state
            .registry
            .of_point(meter, register)
            .map(|info| (info.series.get(), info.resolution))
            .collect();
        let mut found = Vec::new();
        for window in self.windows(&span, order) {
            let mut part = self.readings_in(meter, &series, &window)?;
            part.sort_by_key(|reading| (reading.at_ms, reading.seq));
            if order == Order::NewestFirst {
                part.reverse();
            }
            found.extend(part);
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Pieces of `span` in which there may be readings, a day at first and then longer, so that a
    /// few readings are found without unpacking a year.
    fn windows(&self, span: &Range<i64>, order: Order) -> Vec<Range<i64>> {
        let Some(there) = self.times() else { return Vec::new() };
        let (from, until) = (span.start.max(there.start), span.end.min(there.end));
        let mut windows = Vec::new();
        let mut length = spool::DAY_MS;
        let (mut low, mut high) = (from, until);
        while low < high {
            match order {
                Order::OldestFirst => {
                    let end = low.saturating_add(length).min(high);
                    windows.push(low..end);
                    low = end;
                }
                Order::NewestFirst => {
                    let start = high.saturating_sub(length).max(low);
                    windows.push(start..high);
                    high = start;
                }
            }
            length = length.saturating_mul(2);
        }
        windows
    }

    fn readings_in(
        &self,
        meter: MeterId,
        series: &BTreeMap<u32, Resolution>,
        span: &Range<i64>,
    ) -> Result<Vec<StoredReading>, StoreError> {
        let mut found = Vec::new();
        self.samples(
            meter,
            |it| series.contains_key(&it),
            span,
            |it| {
                let resolution = series.get(&it.series);
                let id = SeriesId::new(it.series);
                found.extend(resolution.zip(id).map(|(resolution, series)| StoredReading {
                    seq: it.seq,
                    series,
                    at_ms: it.at_ms,
                    value: it.value.map(|it| Quantity::new(it, *resolution)),
                    quality: it.quality,
                    origin: it.origin,
                    trust: it.trust,
                }));
            },
        )?;
        Ok(found)
    }

    /// Hands what is kept of some series of a meter in `span`, and holds, to `take`, in no order.
    pub(crate) fn samples(
        &self,
        meter: MeterId,
        wanted: impl Fn(u32) -> bool,
        span: &Range<i64>,
        mut take: impl FnMut(Sample),
    ) -> Result<(), StoreError> {
        let mut take = |it: Sample| {
            if self.state.corrected.holds(it.series, it.at_ms, it.seq) {
                take(it);
            }
        };
        for held in self.state.files.iter() {
            let reaches = |(first, last): (i64, i64)| first < span.end && last >= span.start;
            if !held.times.is_some_and(reaches) {
                continue;
            }
            let db = self.desk.raws.get(held).map_err(|error| naming(error, held))?;
            let view = chunk::view(&db)?;
            chunk::values(&view, &held.path, meter, &wanted, span, &mut take)
                .map_err(|error| naming(error, held))?;
            spool::rows_in(&view, span, |row| {
                for (seq, entry) in (row.first_seq..).zip(row.unpack(&held.path)?) {
                    if wanted(entry.series) && span.contains(&entry.at_ms) {
                        take(Sample::of(seq, &entry, row.imported));
                    }
                }
                Ok(())
            })
            .map_err(|error| naming(error, held))?;
        }
        Ok(())
    }

    /// Where `register` of `meter` was in each period that begins in `span`.
    ///
    /// A period without a reading is absent from the answer.
    pub fn levels(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        step: Step,
    ) -> Result<Vec<Run<Level>>, StoreError> {
        let mut runs = Vec::new();
        for info in self.state.registry.of_point(meter, register) {
            let tallies = self.tallies(info.series, step, &span)?;
            let rows = self.rows(info, &tallies, &span, |at| self.civil.period(step, at));
            if !rows.is_empty() {
                runs.push(Run { series: SeriesInfo::clone(info), rows });
            }
        }
        Ok(runs)
    }

    /// The rows of tallies whose periods have these ends.
    pub(crate) fn rows(
        &self,
        info: &SeriesInfo,
        tallies: &[Row],
        span: &Range<i64>,
        period: impl Fn(i64) -> Range<i64>,
    ) -> Vec<Level> {
        let coverage = self.coverage(info, tallies, span);
        // What the eras have of one period is one row.
        let mut periods: Vec<Row> = tallies.iter().map(|row| Row { era: 0, ..*row }).collect();
        Row::merge(&mut periods);
        let rows = periods.into_iter().map(|Row { starts_at, tally, .. }| {
            let period = period(starts_at);
            Level {
                start_ms: period.start,
                end_ms: period.end,
                min: tally.low,
                max: tally.high,
                sum: tally.sum,
                count: tally.n,
                last: tally.last,
                coverage: coverage(&period),
            }
        });
        rows.collect()
    }

    /// The failures of a meter that reach into `span`, by time.
    pub fn gaps(&self, meter: MeterId, span: Range<i64>) -> Result<Vec<Gap>, StoreError> {
        let mut found = BTreeMap::new();
        for failing in tables::failures(self.desk.rollup()?, meter, &span)? {
            found.insert((failing.from_ms, failing.first_seq), failing);
        }
        let hot = &self.state.hot;
        let fresh = hot.ended.iter().chain(hot.failing.get(&meter));
        for failing in fresh.filter(|failing| failing.meter == meter) {
            let reaches = failing.from_ms < span.end
                && failing.until_ms.is_none_or(|until_ms| until_ms > span.start);
            // One that the file still has as open may be over.
            found.remove(&(failing.from_ms, failing.first_seq));
            if reaches {
                found.insert((failing.from_ms, failing.first_seq), *failing);
            }
        }
        Ok(found
            .into_values()
            .map(|failing| Gap {
                from_ms: failing.from_ms,
                until_ms: failing.until_ms,
                reason: failing.reason,
                tries: failing.tries,
            })
            .collect())
    }

    /// From the earliest reading to the latest, about; `None` if there are none.
    pub fn times(&self) -> Option<Range<i64>> {
        let times = || self.state.files.iter().filter_map(|held| held.times);
        let first = times().map(|(first, _)| first).min()?;
        Some(first..times().map(|(_, last)| last).max()?.saturating_add(1))
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        let files = &self.state.files;
        Size {
            readings: self.state.head,
            raw_bytes: files.iter().map(|held| files::bytes(&held.path)).sum(),
            files: files.len(),
            free_bytes: files.first().and_then(|held| held.path.parent()).and_then(free_bytes),
        }
    }

    /// The site's calendar.
    pub const fn civil(&self) -> Civil {
        self.civil
    }

    /// The tallies of a series in their order, from the file and from memory.
    pub(crate) fn tallies(
        &self,
        series: SeriesId,
        step: Step,
        span: &Range<i64>,
    ) -> Result<Vec<Row>, StoreError> {
        self.tallied()?.tallies(series, step, span)
    }

    pub(crate) fn tallied(&self) -> Result<Tallied<'_>, StoreError> {
        let view = chunk::view(self.desk.rollup()?)?;
        let index = self.desk.index(&view)?;
        Tallied::seen(view, Some(index), &self.state, self.civil)
    }

    pub(crate) fn coverage<'s>(
        &'s self,
        info: &SeriesInfo,
        tallies: &[Row],
        span: &Range<i64>,
    ) -> impl Fn(&Range<i64>) -> Coverage + use<'s> {
        let came = |row: &Row| (row.starts_at, row.tally.n, row.tally.remembered);
        let mut came: Vec<(i64, u32, u32)> = tallies.iter().map(came).collect();
        came.sort_by_key(|(starts_at, ..)| *starts_at);
        came.dedup_by(|(later, more, memory), (starts_at, got, from_memory)| {
            let same = later == starts_at;
            if same {
                *got = got.saturating_add(*more);
                *from_memory = from_memory.saturating_add(*memory);
            }
            same
        });
        let (meter, end) = (info.meter, span.end);
        let came = move |start: i64| {
            let at = came.binary_search_by_key(&start, |(starts_at, ..)| *starts_at).ok()?;
            came.get(at).copied()
        };
        move |period| Coverage {
            got: came(period.start).map_or(0, |(_, got, _)| got),
            from_memory: came(period.start).map_or(0, |(_, _, from_memory)| from_memory),
            expected: self.state.schedules.expected(
                self.civil,
                meter,
                &(period.start..period.end.min(end)),
            ),
        }
    }
}

/// All tallies there are: those of the roll-up file, and those in memory.
pub(crate) struct Tallied<'a> {
    /// One view of the file, whatever is written meanwhile.
    view: Transaction<'a>,
    index: Option<Arc<Index>>,
    state: &'a State,
    civil: Civil,
    /// Whether the file has counted what is in memory: it was written since the memory was looked at.
    hot_is_in_file: bool,
}

impl<'a> Tallied<'a> {
    /// Those that the writer sees.
    pub(crate) fn of(
        db: &'a Connection,
        state: &'a State,
        civil: Civil,
    ) -> Result<Self, StoreError> {
        Self::seen(chunk::view(db)?, None, state, civil)
    }

    fn seen(
        view: Transaction<'a>,
        index: Option<Arc<Index>>,
        state: &'a State,
        civil: Civil,
    ) -> Result<Self, StoreError> {
        let hot_is_in_file = tables::counted(&view)? > state.hot.written_seq;
        Ok(Self { view, index, state, civil, hot_is_in_file })
    }

    fn file(&self) -> Source<'_> {
        match &self.index {
            Some(index) => Source::with(&self.view, index),
            None => Source::of(&self.view),
        }
    }

    /// Those of a series in their order.
    pub(crate) fn tallies(
        &self,
        series: SeriesId,
        step: Step,
        span: &Range<i64>,
    ) -> Result<Vec<Row>, StoreError> {
        let kept = Kept::for_step(step);
        // The last row may go on behind the span.
        let reach = match step {
            Step::Quarter | Step::Day => 0,
            Step::Hour => HOUR_MS,
            Step::Month => 32 * spool::DAY_MS,
        };
        let wide = span.start..span.end.saturating_add(reach);
        let mut all = match self.state.registry.get(series) {
            Some(info) => self.file().tallies(kept, info.meter, series, &wide)?,
            None => Vec::new(),
        };
        if !self.hot_is_in_file {
            all.extend(self.state.hot.by_step(series, self.civil, kept.step(), &wide));
            Row::merge(&mut all);
        }
        if step != kept.step() {
            all = add_up(all, self.civil, step);
        }
        all.retain(|row| span.contains(&row.starts_at));
        if step == kept.step() {
            // What there is of an older time is coarser.
            let fine = tallied::thrown_away(&self.view, kept)?;
            all.retain(|row| row.starts_at >= fine);
        }
        Ok(all)
    }

    /// One next to an instant in one era; a row of `step` that holds the instant lies before it.
    pub(crate) fn beside_row(
        &self,
        series: SeriesId,
        step: Step,
        era: u32,
        at: i64,
        side: Side,
    ) -> Result<Option<Tally>, StoreError> {
        let row = self.civil.period(step, at);
        let edge = if row.start == at { at } else { row.end };
        // What came before a day is told by the day before; what follows it may be a single reading out
        // of the meter's memory, which its quarter hour tells.
        let kept = if side == Side::Before { Kept::for_step(step) } else { Kept::Quarters };
        self.nearest(series, era, edge, side, kept)
    }

    /// One next to an instant in one era: of a quarter hour or of a day, but on that side as a whole.
    pub(crate) fn beside(
        &self,
        series: SeriesId,
        era: u32,
        at: i64,
        side: Side,
    ) -> Result<Option<Tally>, StoreError> {
        self.nearest(series, era, at, side, Kept::Quarters)
    }

    fn nearest(
        &self,
        series: SeriesId,
        era: u32,
        at: i64,
        side: Side,
        kept: Kept,
    ) -> Result<Option<Tally>, StoreError> {
        let stored = match self.state.registry.get(series) {
            Some(info) => self.file().beside(info.meter, series, era, at, side, kept)?,
            None => None,
        };
        if self.hot_is_in_file {
            return Ok(stored);
        }
        let span = if side == Side::Before { i64::MIN..at } else { at..i64::MAX };
        let hot = self.state.hot.by_step(series, self.civil, Step::Quarter, &span);
        let hot = Row::of_era(&hot, era);
        let fresh = if side == Side::Before { hot.last() } else { hot.first() };
        Ok(match (stored, fresh.map(|row| row.tally)) {
            (Some(stored), Some(fresh)) => Some(side.nearer(stored, fresh)),
            (stored, fresh) => stored.or(fresh),
        })
    }

    /// How often a meter answered, by quarter hour.
    pub(crate) fn answers(
        &self,
        meter: MeterId,
        span: &Range<i64>,
    ) -> Result<BTreeMap<i64, Answers>, StoreError> {
        let mut answers = self.file().answers(meter, span)?;
        if !self.hot_is_in_file {
            let hot = self.state.hot.answers.range((meter, span.start)..(meter, span.end));
            for ((_, starts_at), fresh) in hot {
                let known = answers.entry(*starts_at).or_default();
                *known = fresh.plus(*known);
            }
        }
        Ok(answers)
    }
}

const HOUR_MS: i64 = 3_600_000;

/// On which side of an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

impl Side {
    fn nearer(self, a: Tally, b: Tally) -> Tally {
        let a_is_nearer = match self {
            Self::Before => a.last_at > b.last_at,
            Self::After => a.first_at < b.first_at,
        };
        if a_is_nearer { a } else { b }
    }
}
