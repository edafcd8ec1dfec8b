//! What a counter used.
//!
//! Use is counted between two readings of a series that follow each other, in the quarter hour that
//! holds the instant half an interval before the second one, but no more than 7.5 minutes. What was used
//! while nobody read the meter is spread evenly over that time, and each share says so.
//!
//! ```text
//!        09:45:03        10:00:03                       a meter read every quarter hour:
//!   ────────┼───────────────┼──────                     the use is of the quarter from 09:45
//!                   ▲
//!        17:00:02                       08:00:02        a gap over a night: an even share for every
//!   ────────┼──────────  ·  ·  ────────────┼────        quarter from 17:00 to 08:00, rounded so
//!            ▲   ▲   ▲    ▲  ▲   ▲   ▲   ▲              that they add up
//! ```
//!
//! So rows of a series add up to the difference of its stands, whatever the length of the rows, and a
//! catch-up is never one spike. A share is told as one; a row of which nothing can be said is absent from
//! the answer. **Never true:** what a counter falls by, since it was reset, overflowed or exchanged, counts
//! as use.

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{MeterId, Quantity, Register, Resolution, SeriesId};

use crate::civil::{Civil, Step};
use crate::error::StoreError;
use crate::query::{Coverage, Run, Side, Snapshot, Tallied};
use crate::registry::SeriesInfo;
use crate::rollup::{Row, Tally, clamped};

/// What a counter counted in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The period's first millisecond.
    pub start_ms: i64,
    /// The one after its last.
    pub end_ms: i64,
    /// The stand at which the row before it closed.
    pub opening: i64,
    /// The stand at which this one closes: `opening` plus `amount` less `fell`, unless the wall
    /// clock was set back in between.
    pub closing: i64,
    /// How much was used.
    pub amount: Quantity,
    /// By how many steps the counter went back: it was reset, overflowed or exchanged unseen. What
    /// was used in that moment nobody knows.
    pub fell: i64,
    /// How many readings there are.
    pub coverage: Coverage,
    /// Whether it has a share of what was used while nobody read the meter: when in that time, nobody
    /// knows.
    pub spread_unknown: bool,
    /// Whether a reading that was planned is missing in that time. A meter that is read once a day has
    /// shares, and nothing is missing.
    pub in_gap: bool,
}

impl Snapshot<'_> {
    /// What `register` of `meter` counted in each period that begins in `span`.
    ///
    /// A period without an amount is absent from the answer, so the caller can tell "nothing was
    /// used" from "nobody knows". The period in which a new series began comes twice, once from each.
    pub fn used(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        step: Step,
    ) -> Result<Vec<Run<Used>>, StoreError> {
        let mut runs = Vec::new();
        for info in self.state.registry.of_point(meter, register) {
            let rows = self.used_by(info, &span, step)?;
            if !rows.is_empty() {
                runs.push(Run { series: SeriesInfo::clone(info), rows });
            }
        }
        Ok(runs)
    }

    fn used_by(
        &self,
        info: &SeriesInfo,
        span: &Range<i64>,
        step: Step,
    ) -> Result<Vec<Used>, StoreError> {
        let (from, until) = (span.start, span.end);
        let tallied = self.tallied()?;
        let tallies = tallied.tallies(info.series, step, span)?;
        let newest_era = self.state.hot.progress.get(&info.series).map_or(0, |it| it.era);
        let planned = |between: &Range<i64>| {
            self.state.schedules.expected(self.civil, info.meter, between) > 0
        };
        let mut counting = Counting::new(self.civil, step, span.clone(), planned);
        let mut stand = None;
        for era in 0..=newest_era {
            let before = tallied.beside_row(info.series, step, era, from, Side::Before)?;
            // An era begins where the one before it ended, whatever the wall clock showed.
            let earlier = before.map(|tally| (tally.last_at, tally.last)).or(stand);
            stand = match earlier {
                None if era == 0 => self.stand_of_coarser(info),
                other => other,
            };
            for Row { tally, .. } in Row::of_era(&tallies, era) {
                counting.link(stand, tally);
                counting.row(tally);
                stand = Some((tally.last_at, tally.last));
            }
            // A reading right after the span may close its last quarter hour.
            let after = tallied.beside_row(info.series, step, era, until, Side::After)?;
            if let Some(after) = after {
                counting.link(stand, &after);
                if era < newest_era {
                    stand = Some(end_of(&tallied, info.series, era, after)?);
                }
            }
        }
        let coverage = self.coverage(info, &tallies, span);
        Ok(counting.finish(info.resolution, coverage))
    }

    /// Where the coarser series of the same device stood last, in the steps of this one: nothing
    /// falls between the two.
    fn stand_of_coarser(&self, info: &SeriesInfo) -> Option<(i64, i64)> {
        let coarser = self.state.registry.get(info.continues?)?;
        let (_, at_ms, mantissa) = self.state.hot.progress.get(&coarser.series)?.value?;
        let stand = Quantity::new(mantissa, coarser.resolution).scaled_to(info.resolution)?;
        Some((at_ms, stand.mantissa()))
    }

    /// What `register` of `meter` counted in all quarter hours that begin in `span`; `None` if
    /// nobody knows.
    ///
    /// The mantissas of each series are summed as they are; the sum is converted to steps of
    /// `wanted` and rounded, a half away from zero. One series, one rounding.
    ///
    /// # Errors
    ///
    /// [`StoreError::Converted`] if no factor leads to `wanted`.
    pub fn total(
        &self,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        wanted: Resolution,
    ) -> Result<Option<Quantity>, StoreError> {
        let edges_of = |step| {
            [span.start, span.end].into_iter().all(|at| self.civil.period(step, at).start == at)
        };
        let longest = [Step::Month, Step::Day, Step::Hour].into_iter().find(|step| edges_of(*step));
        self.used(meter, register, span.clone(), longest.unwrap_or(Step::Quarter))?
            .into_iter()
            .filter_map(|run| {
                let amounts = run.rows.into_iter().map(|row| Ok(row.amount));
                let sum = amounts.reduce(|sum, amount| sum?.plus(amount?))?;
                Some(sum.and_then(|sum| sum.converted(wanted)))
            })
            .reduce(|total, sum| total?.plus(sum?))
            .transpose()
            .map_err(|cause| StoreError::Converted { wanted, cause })
    }
}

/// Where a series stood at the end of an era.
fn end_of(
    tallied: &Tallied<'_>,
    series: SeriesId,
    era: u32,
    known: Tally,
) -> Result<(i64, i64), StoreError> {
    let end = tallied.beside(series, era, i64::MAX, Side::Before)?;
    let end = end.unwrap_or(known);
    Ok((end.last_at, end.last))
}

/// Counts use into periods.
struct Counting<P> {
    civil: Civil,
    step: Step,
    span: Range<i64>,
    rows: BTreeMap<i64, Counted>,
    /// Whether a reading was planned in that time.
    planned: P,
}

struct Counted {
    period: Range<i64>,
    opening: i64,
    closing: i64,
    up: i64,
    down: i64,
    spread_unknown: bool,
    in_gap: bool,
    closed_from_memory: u32,
}

/// A reading closes a quarter hour that ended at most so long before it.
const SLACK_MS: i64 = 450_000;

impl<P: Fn(&Range<i64>) -> bool> Counting<P> {
    const fn new(civil: Civil, step: Step, span: Range<i64>, planned: P) -> Self {
        Self { civil, step, span, rows: BTreeMap::new(), planned }
    }

    /// Counts what lies between the stand before a row and the row's first reading.
    fn link(&mut self, before: Option<(i64, i64)>, row: &Tally) {
        let Some((at, stand)) = before else { return };
        let interval = row.first_at.saturating_sub(at).max(0);
        let instant = row.first_at.saturating_sub((interval / 2).min(SLACK_MS));
        let closed = self.civil.period(Step::Quarter, instant);
        let from = self.civil.period(Step::Quarter, at.saturating_add(SLACK_MS)).start;
        let difference = i128::from(row.first) - i128::from(stand);
        let gap = from.min(closed.start)..closed.end;
        let between = at.saturating_add(SLACK_MS)..row.first_at.saturating_sub(SLACK_MS);
        let missed = !between.is_empty() && (self.planned)(&between);
        let last = if difference < 0 {
            let mut last = self.count(instant, stand, row.first, 0, clamped(-difference));
            if let Some(counted) = &mut last {
                counted.in_gap |= missed;
            }
            last
        } else {
            self.spread(&gap, stand, difference, missed);
            self.row_of(instant)
        };
        // What was read right at the end of a period closes it, and lies in the next one.
        if let Some(counted) = last
            && row.first_at >= counted.period.end
            && row.remembered == row.n
        {
            counted.closed_from_memory = 1;
        }
    }

    /// Counts `difference` in even shares over `gap`, which is whole quarter hours.
    fn spread(&mut self, gap: &Range<i64>, stand: i64, difference: i128, missed: bool) {
        let length = i128::from(gap.end) - i128::from(gap.start);
        let used_by = |at: i64| {
            let at = i128::from(at.clamp(gap.start, gap.end)) - i128::from(gap.start);
            difference.checked_mul(at).and_then(|it| it.checked_div(length)).unwrap_or_default()
        };
        let stand_at = |at| clamped(i128::from(stand) + used_by(at));
        let mut period = self.civil.period(self.step, gap.start.max(self.span.start));
        while period.start < gap.end.min(self.span.end) {
            let share = clamped(used_by(period.end) - used_by(period.start));
            let (from, to) = (stand_at(period.start), stand_at(period.end));
            let outside = gap.start < period.start || gap.end > period.end;
            if let Some(counted) = self.count(period.start, from, to, share, 0) {
                counted.spread_unknown |= outside && difference > 0;
                counted.in_gap |= outside && missed;
            }
            period = self.civil.period(self.step, period.end);
        }
    }

    fn row_of(&mut self, instant: i64) -> Option<&mut Counted> {
        self.rows.get_mut(&self.civil.period(self.step, instant).start)
    }

    /// Counts what lies between the first and the last reading of a row.
    fn row(&mut self, row: &Tally) {
        if row.n > 1 {
            self.count(row.last_at, row.first, row.last, row.up, row.down);
        }
    }

    fn count(
        &mut self,
        instant: i64,
        from: i64,
        to: i64,
        up: i64,
        down: i64,
    ) -> Option<&mut Counted> {
        let period = self.civil.period(self.step, instant);
        if !self.span.contains(&period.start) {
            return None;
        }
        let counted = self.rows.entry(period.start).or_insert(Counted {
            period,
            opening: from,
            closing: to,
            up: 0,
            down: 0,
            spread_unknown: false,
            in_gap: false,
            closed_from_memory: 0,
        });
        counted.closing = to;
        counted.up = counted.up.saturating_add(up);
        counted.down = counted.down.saturating_add(down);
        Some(counted)
    }

    fn finish(
        self,
        resolution: Resolution,
        coverage: impl Fn(&Range<i64>) -> Coverage,
    ) -> Vec<Used> {
        self.rows
            .into_values()
            .map(|counted| (coverage(&counted.period), counted))
            .map(|(coverage, counted)| Used {
                start_ms: counted.period.start,
                end_ms: counted.period.end,
                opening: counted.opening,
                closing: counted.closing,
                amount: Quantity::new(counted.up, resolution),
                fell: counted.down,
                coverage: Coverage {
                    from_memory: coverage.from_memory.saturating_add(counted.closed_from_memory),
                    ..coverage
                },
                spread_unknown: counted.spread_unknown,
                in_gap: counted.in_gap,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use metering::Unit;
    use proptest::prelude::*;

    use super::*;

    const QUARTER_MS: i64 = 900_000;

    fn rows(step: Step, from: (i64, i64), to: (i64, i64)) -> Vec<Used> {
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        let mut counting = Counting::new(civil, step, i64::MIN..i64::MAX, |_| false);
        counting.link(Some(from), &Tally::of(to.0, to.1, false, 1));
        let litres = Resolution::new(0, Unit::Litre).unwrap();
        counting.finish(litres, |_| Coverage::NONE)
    }

    proptest! {
        /// Whatever the step, the shares of a gap add up to what was used in it, and none of them is a
        /// spike.
        #[test]
        fn shares_add_up_and_none_is_a_spike(
            at in 1_774_000_000_000..1_775_000_000_000_i64,
            length in 1..3 * 86_400_000_i64,
            used in 0..1_000_000_i64,
        ) {
            let (from, to) = ((at, 1_000), (at + length, 1_000 + used));
            let quarters = rows(Step::Quarter, from, to);
            for step in Step::ALL {
                let rows = rows(step, from, to);
                for row in &rows {
                    let inside = quarters.iter().filter(|it| (row.start_ms..row.end_ms).contains(&it.start_ms));
                    let sum: i64 = inside.map(|it| it.amount.mantissa()).sum();
                    prop_assert_eq!(sum, row.amount.mantissa());
                    prop_assert_eq!(row.closing - row.opening, sum);
                }
                prop_assert_eq!(rows.iter().map(|it| it.amount.mantissa()).sum::<i64>(), used);
                prop_assert!(rows.windows(2).all(|two| two[0].closing == two[1].opening));
            }
            let share = used * QUARTER_MS / (length - QUARTER_MS).max(QUARTER_MS);
            prop_assert!(quarters.iter().all(|it| it.amount.mantissa() <= share + 1));
            prop_assert!(quarters.iter().all(|it| it.spread_unknown == (quarters.len() > 1 && used > 0)));
        }
    }

    #[test]
    fn a_counter_that_fell_in_a_gap_used_nothing_that_anybody_knows() {
        let rows = rows(Step::Hour, (1_774_000_800_000, 9_990), (1_774_011_600_000, 4));
        let told: Vec<_> = rows.iter().map(|row| (row.amount.mantissa(), row.fell)).collect();
        assert_eq!(told, [(0, 9_986)]);
    }
}
