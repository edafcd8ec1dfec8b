//! What a register showed, in as many rows as a chart has pixels.
//!
//! ```text
//! readings   ·.··:··.·.:·.·.··:··     525 600 of a year of minutes
//! rows       ┃ ╻ ┃ ╹ ┃ ╻              1 200, each from the lowest to the highest
//! ```
//!
//! A row has the lowest and the highest reading of its time, so no spike is lost, however few rows there
//! are. It is so many minutes long that the rows are no more than was asked for. From half an hour on rows
//! are whole quarter hours and made of the roll-ups, which tell the same and outlive the readings; from two
//! days on they are days of the site.

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{MeterId, Origin, Register, SeriesId};

use crate::civil::Step;
use crate::error::StoreError;
use crate::query::{Level, Run, Snapshot};
use crate::registry::SeriesInfo;
use crate::rollup::{Row, Tally};

/// The rows of an answer.
struct Grid {
    /// Of what they are made; `None` is of the readings themselves.
    of: Option<Step>,
    /// Where each begins, and where the last one ends.
    edges: Vec<i64>,
}

impl Snapshot<'_> {
    /// What `register` of `meter` showed in `span`, in at most `most` rows for each series.
    ///
    /// All rows are equally long, but for days of 23 and 25 hours and what is left for the last one.
    /// The first begins right before the span if there is no edge of a row at its beginning. A row
    /// without a reading is absent from the answer.
    pub fn drawn(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        most: u32,
    ) -> Result<Vec<Run<Level>>, StoreError> {
        let grid = self.grid(&span, most.max(1));
        let whole = grid.span();
        let mut runs = Vec::new();
        let mut of_readings = match grid.of {
            None => self.count_readings(meter, register, &grid)?,
            Some(_) => BTreeMap::new(),
        };
        for info in self.state.registry.of_point(meter, register) {
            let mut tallies = of_readings.remove(&info.series).unwrap_or_default();
            if let Some(step) = grid.of {
                tallies = self.tallies(info.series, step, &whole)?;
            }
            grid.put(&mut tallies);
            if !tallies.is_empty() {
                let rows = self.rows(info, &tallies, &whole, |at| grid.row(at));
                runs.push(Run { series: SeriesInfo::clone(info), rows });
            }
        }
        Ok(runs)
    }

    fn count_readings(
        &self,
        meter: MeterId,
        register: &Register,
        grid: &Grid,
    ) -> Result<BTreeMap<SeriesId, Vec<Row>>, StoreError> {
        let series: Vec<u32> =
            self.state.registry.of_point(meter, register).map(|it| it.series.get()).collect();
        let mut all: BTreeMap<SeriesId, Vec<Row>> = BTreeMap::new();
        self.samples(
            meter,
            |it| series.contains(&it),
            &grid.span(),
            |sample| {
                if let (Ok(mantissa), Some(series)) = (sample.value, SeriesId::new(sample.series)) {
                    let remembered = sample.origin == Origin::MeterMemory;
                    let tally = Tally::of(sample.at_ms, mantissa, remembered, sample.seq);
                    let row = Row { era: 0, starts_at: sample.at_ms, tally };
                    all.entry(series).or_default().push(row);
                }
            },
        )?;
        Ok(all)
    }

    fn grid(&self, span: &Range<i64>, most: u32) -> Grid {
        let end = span.end.max(span.start.saturating_add(1));
        let every = |unit: i64| {
            let first = span.start.div_euclid(unit).saturating_mul(unit);
            let length = end.saturating_sub(first);
            let units = length / unit + i64::from(length % unit > 0);
            let step = unit * (units / i64::from(most) + i64::from(units % i64::from(most) > 0));
            (first, step.max(unit))
        };
        let along = |(first, step): (i64, i64)| {
            let mut edges: Vec<i64> = (0..i64::from(most))
                .map_while(|row| first.checked_add(step.checked_mul(row)?))
                .take_while(|edge| *edge < end)
                .collect();
            edges.extend(edges.last().and_then(|last| last.checked_add(step)));
            edges
        };
        // Of a time whose readings are gone the roll-ups are all there is.
        let kept = self.times().is_none_or(|there| there.start <= span.start);
        let (first, step) = every(MINUTE_MS);
        if step < 2 * QUARTER_MS && kept {
            return Grid { of: None, edges: along((first, step)) };
        }
        let (first, step) = every(QUARTER_MS);
        if step < 2 * DAY_MS {
            return Grid { of: Some(Step::Quarter), edges: along((first, step)) };
        }
        let days = self.civil.period(Step::Day, span.start).start..end;
        let days = self.civil.periods(Step::Day, &days);
        let together = days.len().div_ceil(usize::try_from(most).unwrap_or(usize::MAX)).max(1);
        let mut edges: Vec<i64> = days.iter().step_by(together).map(|day| day.start).collect();
        edges.extend(days.last().map(|day| day.end));
        Grid { of: Some(Step::Day), edges }
    }
}

impl Grid {
    /// All of it.
    fn span(&self) -> Range<i64> {
        let ends = self.edges.first().zip(self.edges.last());
        ends.map_or(0..0, |(first, last)| *first..*last)
    }

    /// The row that holds an instant; of one outside an empty one.
    fn row(&self, at: i64) -> Range<i64> {
        let after = self.edges.partition_point(|edge| *edge <= at);
        let begins = after.checked_sub(1).and_then(|it| self.edges.get(it));
        begins.zip(self.edges.get(after)).map_or(at..at, |(begins, ends)| *begins..*ends)
    }

    /// Adds up what lies in one row of it.
    fn put(&self, tallies: &mut Vec<Row>) {
        let mut row = 0..0;
        for tally in tallies.iter_mut() {
            if !row.contains(&tally.starts_at) {
                row = self.row(tally.starts_at);
            }
            (tally.era, tally.starts_at) = (0, row.start);
        }
        Row::merge(tallies);
    }
}

const MINUTE_MS: i64 = 60_000;
const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;
