//! What is known in memory alone: the tallies since they were last written, and the newest of
//! everything.
//!
//! The roll-up file would be written hundreds of times as often as the raw file if every round
//! went into it, and flash wears. So the tallies of up to six hours are kept here, and questions add
//! them to the rows of the file. After a power cut they are counted again from the raw files.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use metering::{Identity, MeterId, NoReading, Origin, SeriesId};

use crate::civil::{Civil, Step};
use crate::codec::Entry;
use crate::registry::Registry;
use crate::rollup::{Answers, Failing, Key, Newest, Progress, Row, Tally};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hot {
    /// By quarter hour, of the readings after [`Self::written_seq`].
    pub(crate) tallies: BTreeMap<Key, Tally>,
    pub(crate) answers: BTreeMap<(MeterId, i64), Answers>,
    /// Failures that ended after [`Self::written_seq`].
    pub(crate) ended: Vec<Failing>,
    pub(crate) failing: HashMap<MeterId, Failing>,
    pub(crate) progress: HashMap<SeriesId, Progress>,
    /// The series that had a value when their meter last answered.
    pub(crate) answered: HashMap<MeterId, Vec<SeriesId>>,
    /// What the meters said last, since the start: at most [`MOST_TELEGRAM_BYTES`] of each.
    pub(crate) telegrams: HashMap<MeterId, Arc<Vec<Vec<u8>>>>,
    pub(crate) identities: HashMap<MeterId, Identity>,
    /// What the file had counted when these tallies were begun. If it has counted more since, it
    /// has all of them.
    pub(crate) written_seq: u64,
    /// All readings up to this one are counted, here or in the file.
    pub(crate) applied_seq: u64,
}

/// The longest M-Bus telegram has 261 bytes, and a meter with a long memory sends dozens.
pub(crate) const MOST_TELEGRAM_BYTES: usize = 65_536;

impl Hot {
    /// Counts the readings of one row of the spool, the first of which has the number `seq`.
    ///
    /// Readings that are counted already are left out.
    pub(crate) fn apply(
        &mut self,
        registry: &Registry,
        first_seq: u64,
        imported: bool,
        entries: &[Entry],
    ) {
        let numbered = || (first_seq..).zip(entries).filter(|(seq, _)| *seq > self.applied_seq);
        let fresh: Vec<(u64, Entry, MeterId)> = numbered()
            .filter_map(|(seq, entry)| {
                let info = registry.numbered(entry.series)?;
                Some((seq, *entry, info.meter))
            })
            .collect();
        if let Some((last, _)) = numbered().last() {
            self.applied_seq = last;
        }
        for (seq, entry, _) in &fresh {
            self.count(*seq, entry, imported);
        }
        if imported {
            return;
        }
        for round in fresh.chunk_by(|(_, a, meter), (_, b, other)| {
            (meter, a.cycle, remembered_at(a)) == (other, b.cycle, remembered_at(b))
        }) {
            self.answer(round);
        }
    }

    fn count(&mut self, seq: u64, entry: &Entry, imported: bool) {
        let Some(series) = SeriesId::new(entry.series) else { return };
        let at_once = !imported && matches!(entry.origin, Origin::Live | Origin::Simulated);
        let newest = Newest {
            seq,
            at_ms: entry.at_ms,
            value: entry.value,
            quality: entry.quality,
            origin: entry.origin,
        };
        let progress = self.progress.entry(series).or_insert(Progress {
            era: 0,
            era_began_ms: i64::MIN,
            live_at: None,
            newest,
            value: None,
        });
        if at_once {
            if progress.live_at.is_some_and(|before| entry.at_ms < before) {
                progress.era = progress.era.saturating_add(1);
                progress.era_began_ms = entry.at_ms;
            }
            progress.live_at = Some(entry.at_ms);
        }
        let era = progress.era_of(entry.at_ms);
        // What is put in the place of a reading is newer than that.
        let corrects = entry.origin == Origin::Correction;
        let newer = |than: i64| entry.at_ms > than || (corrects && entry.at_ms == than);
        if at_once || newer(progress.newest.at_ms) {
            progress.newest = newest;
        }
        let Ok(mantissa) = entry.value else { return };
        if at_once || progress.value.is_none_or(|(_, at_ms, _)| newer(at_ms)) {
            progress.value = Some((seq, entry.at_ms, mantissa));
        }
        let starts_at = entry.at_ms.saturating_sub(entry.at_ms.rem_euclid(QUARTER_MS));
        let remembered = entry.origin == Origin::MeterMemory;
        let tally = Tally::of(entry.at_ms, mantissa, remembered, seq);
        self.tallies
            .entry(Key { series, era, starts_at })
            .and_modify(|there| *there = there.plus(tally))
            .or_insert(tally);
    }

    /// Counts one answer of one meter, or that it failed.
    fn answer(&mut self, round: &[(u64, Entry, MeterId)]) {
        let Some((first_seq, head, meter)) = round.first() else { return };
        let remembered = head.origin == Origin::MeterMemory;
        let failure = failure_of(round);
        let starts_at = head.at_ms.saturating_sub(head.at_ms.rem_euclid(QUARTER_MS));
        let answers = self.answers.entry((*meter, starts_at)).or_default();
        match failure {
            _ if remembered => answers.remembered = answers.remembered.saturating_add(1),
            None => answers.answered = answers.answered.saturating_add(1),
            Some(_) => answers.failed = answers.failed.saturating_add(1),
        }
        if remembered {
            return;
        }
        let before = self.failing.remove(meter);
        match (failure, before) {
            (Some(reason), Some(before)) if before.reason == reason => {
                let tries = before.tries.saturating_add(1);
                self.failing.insert(*meter, Failing { tries, ..before });
            }
            (failure, before) => {
                self.ended
                    .extend(before.map(|before| Failing { until_ms: Some(head.at_ms), ..before }));
                if let Some(reason) = failure {
                    let failing = Failing {
                        meter: *meter,
                        from_ms: head.at_ms,
                        first_seq: *first_seq,
                        until_ms: None,
                        reason,
                        tries: 1,
                    };
                    self.failing.insert(*meter, failing);
                }
            }
        }
        let with_value: Vec<_> = round
            .iter()
            .filter(|(_, entry, _)| entry.value.is_ok())
            .filter_map(|(_, entry, _)| SeriesId::new(entry.series))
            .collect();
        if !with_value.is_empty() {
            self.answered.insert(*meter, with_value);
        }
    }

    /// After the tallies were written.
    pub(crate) fn written(&mut self) {
        self.written_seq = self.applied_seq;
        self.tallies.clear();
        self.answers.clear();
        self.ended.clear();
    }

    /// Finds out from the progress of the series which of them answered last: those with the
    /// newest numbers, since the readings of an answer follow each other.
    pub(crate) fn recall_answered(&mut self, registry: &Registry) {
        for meter in registry.meters() {
            let valued: Vec<(u64, SeriesId)> = registry
                .of_meter(meter)
                .filter_map(|info| {
                    let (seq, _, _) = self.progress.get(&info.series)?.value?;
                    Some((seq, info.series))
                })
                .collect();
            let Some(newest) = valued.iter().map(|(seq, _)| *seq).max() else { continue };
            let width = u64::try_from(valued.len()).unwrap_or(u64::MAX);
            let of_last = valued.iter().filter(|(seq, _)| seq.saturating_add(width) > newest);
            self.answered.insert(meter, of_last.map(|(_, series)| *series).collect());
        }
    }

    /// The tallies of one series since the last writing, added up by `step`, for the periods that
    /// begin in `span`, in their order.
    pub(crate) fn by_step(
        &self,
        series: SeriesId,
        civil: Civil,
        step: Step,
        span: &Range<i64>,
    ) -> Vec<Row> {
        let low = Key { series, era: 0, starts_at: i64::MIN };
        let high = Key { series, era: u32::MAX, starts_at: i64::MAX };
        let tallies = self.tallies.range(low..=high).map(|(key, tally)| key.row(*tally));
        let mut rows = add_up(tallies, civil, step);
        rows.retain(|row| span.contains(&row.starts_at));
        rows
    }
}

/// Adds up the tallies of one series, which are in their order, to those of longer periods.
pub(crate) fn add_up(rows: impl IntoIterator<Item = Row>, civil: Civil, step: Step) -> Vec<Row> {
    let mut sums: Vec<Row> = Vec::new();
    let mut period = 0..0;
    for row in rows {
        // Neighbours lie mostly in one period, and a calendar is slow.
        if !period.contains(&row.starts_at) {
            period = civil.period(step, row.starts_at);
        }
        match sums.last_mut().filter(|sum| sum.place() == (row.era, period.start)) {
            Some(sum) => sum.tally = sum.tally.plus(row.tally),
            None => sums.push(Row { starts_at: period.start, ..row }),
        }
    }
    sums
}

/// When it was, of a value out of the meter's memory: each such time is an answer of its own.
fn remembered_at(entry: &Entry) -> Option<i64> {
    (entry.origin == Origin::MeterMemory).then_some(entry.at_ms)
}

/// Why a meter's answer is none; `None` if it answered, whatever it said.
pub(crate) fn failure_of(round: &[(u64, Entry, MeterId)]) -> Option<NoReading> {
    let mut reasons = round.iter().map(|(_, entry, _)| entry.value.err());
    let first = reasons.next()??;
    let all_the_same = reasons.all(|reason| reason == Some(first));
    let it_answered =
        matches!(first, NoReading::LeftOut | NoReading::Invalid | NoReading::TooLarge);
    (all_the_same && !it_answered).then_some(first)
}

const QUARTER_MS: i64 = 900_000;
