//! What was damaged and set aside, had again from the portfolio.
//!
//! ```text
//! numbers     1 ▪▪▪▪▪▪▪▪▪▪          ▪▪▪▪▪▪▪▪▪▪▪▪▪ head
//!                         ░░░░░░░░░░                    lost: no file has them any more
//!                             ▲
//! portfolio   ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪             what it has of them comes back under its number
//! ```
//!
//! A reading keeps its number for good, here and in the portfolio. So one that comes back takes just the place
//! that it had: no other can be there, it is not told to the portfolio as something new, and a portfolio that
//! wants it once more gets what it had. Value, time, quality and origin are those that were uploaded. What was
//! not uploaded nobody knows any more: the boot, its clock, the round. In the place of the boot stands
//! [`RECALLED`], by which everybody can tell such a reading, and no seal takes it for one that it proves.
//!
//! The roll-ups have counted what was lost, unless they were made again meanwhile, or were not written before
//! the power went: what they lack is counted when it comes back.
//!
//! **Never true:** a reading that is there is changed by this, or one is stored under a number that was not lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use metering::{MeterId, NoReading, Origin, SeriesId};

use crate::civil::Step;
use crate::codec::Entry;
use crate::engine::{Engine, MOST_AT_ONCE};
use crate::error::{Doing, StoreError, free_bytes};
use crate::files::Month;
use crate::hot::failure_of;
use crate::outbox::{LossReason, OutboxReading};
use crate::repair::instant;
use crate::retention::HIGH_WATER_PERCENT;
use crate::rollup::{Answers, Failing, Newest, Progress};
use crate::spool;
use crate::tables;
use crate::tallied::{self, Kept};
use crate::tally_block::TallyBlock;
use crate::walk::{absent, holes};
use crate::wanted::{Wanted, write_asked};

/// In the place of the boot of a reading that came back from the portfolio.
pub(crate) const RECALLED: u128 = u128::from_be_bytes(*b"from a portfolio");

/// Ranges of numbers in one question; more than these are asked for as one.
const MOST_RANGES: usize = 100;

/// What the cloud is asked for: readings of one meter that were lost here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// Which of the damaged times it is for.
    number: i64,
    /// Whose numbers they are.
    pub epoch: u64,
    /// Of which meter.
    pub meter: MeterId,
    /// When they were measured, in milliseconds since 1970.
    pub span: Range<i64>,
    /// Which numbers were lost: the first and the last of each range, at most a hundred ranges.
    pub numbers: Vec<(u64, u64)>,
}

/// With so many left, a disk is not full.
const ROOM_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// A reading with the number that it had.
type Numbered = (u64, Entry);

impl Engine {
    /// What is asked for next; a damaged time of which nothing is left to ask for is done with.
    pub(crate) fn next_recall(&mut self) -> Result<Option<Recall>, StoreError> {
        // What comes back would push out what is there.
        if self.is_nearly_full() {
            return Ok(None);
        }
        while let Some(index) = self.wanted.iter().position(|it| !it.over) {
            let numbers = self.lost_of(index)?;
            if let Some(wanted) = self.wanted.get(index)
                && let Some((meter, span)) = self.next_about(wanted)
                && let Some((first, last)) = numbers.first().zip(numbers.last())
            {
                let numbers = if numbers.len() > MOST_RANGES {
                    vec![(first.0, last.1)]
                } else {
                    numbers.clone()
                };
                let (number, epoch) = (wanted.number, self.state().epoch);
                return Ok(Some(Recall { number, epoch, meter, span, numbers }));
            }
            self.asked_about_all(index)?;
        }
        Ok(None)
    }

    /// As it is told to people: where gigabytes are left no percentage is full.
    fn is_nearly_full(&self) -> bool {
        let room = free_bytes(&self.dir).filter(|_| self.pretended_full.is_none());
        self.percent_used() >= HIGH_WATER_PERCENT && room.unwrap_or(0) < ROOM_BYTES
    }

    /// The numbers that no file has any more and the cloud may have.
    fn lost_of(&mut self, index: usize) -> Result<Vec<(u64, u64)>, StoreError> {
        let Some(wanted) = self.wanted.get(index) else { return Ok(Vec::new()) };
        if let Some(lost) = &wanted.lost {
            return Ok(lost.clone());
        }
        let state = self.state();
        // Before the oldest that is there lies what went by its age, unless nothing is older than the damage.
        let older = state.files.iter().any(|held| held.month.end_ms() <= wanted.span.start);
        let find = if older { holes } else { absent };
        let mut lost = find(&state.files, state.acked)?;
        for (from, to) in self.thrown_away()? {
            lost = without(&lost, from..=to);
        }
        lost = without(&lost, state.acked.saturating_add(1)..=u64::MAX);
        if let Some(wanted) = self.wanted.get_mut(index) {
            wanted.lost = Some(lost.clone());
        }
        Ok(lost)
    }

    /// The numbers that went because the disk was full.
    fn thrown_away(&self) -> Result<Vec<(u64, u64)>, StoreError> {
        const DOING: &str = "read what is lost";
        let mut statement = self
            .core
            .prepare_cached("SELECT from_seq, to_seq FROM lost WHERE reason = ?1")
            .doing(DOING)?;
        let rows = statement
            .query_map([LossReason::Retention.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing(DOING)?;
        rows.collect::<Result<_, _>>().doing(DOING)
    }

    /// About which meter, and which time, the cloud is asked next of a damaged time; `None`: it was asked about all.
    fn next_about(&self, wanted: &Wanted) -> Option<(MeterId, Range<i64>)> {
        let end = wanted.span.end;
        let begun = wanted.asked.filter(|(_, until)| *until < end);
        if let Some((meter, until)) = begun {
            return Some((meter, until.max(wanted.span.start)..end));
        }
        let done = wanted.asked.map(|(meter, _)| meter);
        let next = if let Some(one) = wanted.meter {
            done.is_none().then_some(one)
        } else {
            let meters: BTreeSet<MeterId> = self.state().registry.meters().collect();
            meters.into_iter().find(|meter| done.is_none_or(|done| *meter > done))
        };
        next.map(|meter| (meter, wanted.span.clone()))
    }

    /// Puts back what the cloud has told, and notes how far it was asked. Says how many readings came back.
    pub(crate) fn put_back(
        &mut self,
        recall: &Recall,
        told: &[OutboxReading],
        next_ms: Option<i64>,
    ) -> Result<u64, StoreError> {
        if told.len() > MOST_AT_ONCE {
            let (found, most) = (told.len(), MOST_AT_ONCE);
            return Err(StoreError::TooLarge {
                what: "a piece of readings had again",
                found,
                most,
            });
        }
        // One whose time has gone meanwhile is not wanted any more.
        let known = self.wanted.iter().position(|it| it.number == recall.number);
        let Some(index) = known.filter(|_| self.state().epoch == recall.epoch) else {
            return Ok(0);
        };
        let lost = self.lost_of(index)?;
        let registry = self.state().registry;
        let mut back: BTreeMap<u64, Entry> = BTreeMap::new();
        for reading in told {
            let info = registry.get(reading.series).filter(|info| info.meter == recall.meter);
            let wanted = recall.span.contains(&reading.at_ms) && holds(&lost, reading.seq);
            back.extend(info.filter(|_| wanted).map(|_| (reading.seq, entry(reading))));
        }
        let back: Vec<Numbered> = back.into_iter().collect();
        let counted = self.wanted.get(index).map_or(u64::MAX, |it| it.counted);
        let uncounted: Vec<Numbered> =
            back.iter().filter(|(seq, _)| *seq > counted).copied().collect();
        let there = self.instants_of(recall.meter, &uncounted)?;
        self.append_back(&back)?;
        if !uncounted.is_empty() {
            self.count_back(recall.meter, &uncounted, &there)?;
        }

        let asked_until =
            next_ms.filter(|next| *next > recall.span.start).unwrap_or(recall.span.end);
        for wanted in &mut self.wanted {
            // Another damaged time may have lost the same ones.
            if let Some(lost) = &mut wanted.lost {
                for run in runs(&back) {
                    let ends = run.first().zip(run.last());
                    *lost = ends.map_or_else(Vec::new, |(a, z)| without(lost, a.0..=z.0));
                }
            }
            if wanted.number == recall.number {
                wanted.asked = Some((recall.meter, asked_until.min(wanted.span.end)));
                wanted.recalled += u64::try_from(back.len()).unwrap_or_default();
                write_asked(&self.core, wanted)?;
            }
        }
        if let Some(wanted) = self.wanted.get(index)
            && self.next_about(wanted).is_none()
        {
            self.asked_about_all(index)?;
        }
        Ok(u64::try_from(back.len()).unwrap_or_default())
    }

    /// Writes readings to their months' files, each under its number.
    fn append_back(&mut self, back: &[Numbered]) -> Result<(), StoreError> {
        let mut months: BTreeMap<Month, (Vec<spool::SpoolRow>, Vec<Entry>)> = BTreeMap::new();
        for run in runs(back) {
            let Some((first_seq, head)) = run.first() else { continue };
            let entries: Vec<Entry> = run.iter().map(|(_, entry)| *entry).collect();
            let (rows, all) = months.entry(Month::of(head.at_ms)).or_default();
            rows.extend(spool::cut(*first_seq, RECALLED, is_imported(head), &entries));
            all.extend(entries);
        }
        for (month, (rows, entries)) in months {
            match self.append(month, &rows, &entries) {
                Err(error) if error.is_damage() => {
                    self.repair_raw(month)?;
                    self.append(month, &rows, &entries)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// When readings of a meter are there among the times of `back`.
    fn instants_of(&self, meter: MeterId, back: &[Numbered]) -> Result<BTreeSet<i64>, StoreError> {
        let times = || back.iter().map(|(_, entry)| entry.at_ms);
        let mut there = BTreeSet::new();
        if let Some((first, last)) = times().min().zip(times().max()) {
            let span = first..last.saturating_add(1);
            self.look(|store| {
                store.samples(
                    meter,
                    |_| true,
                    &span,
                    |it| {
                        there.insert(it.at_ms);
                    },
                )
            })?;
        }
        Ok(there)
    }

    /// Counts readings of a meter that no roll-up has, once they are in their files: the quarter hours are made
    /// again from what is there, and answers are added, but for the times of `there`, which have been counted.
    fn count_back(
        &mut self,
        meter: MeterId,
        back: &[Numbered],
        there: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let civil = self.shared.civil;
        let mut days: BTreeMap<(u32, i64), Vec<i64>> = BTreeMap::new();
        for (_, entry) in back.iter().filter(|(_, entry)| entry.value.is_ok()) {
            let day = civil.period(Step::Day, entry.at_ms).start;
            days.entry((entry.series, day)).or_default().push(entry.at_ms);
        }
        for ((series, _), ats) in days {
            self.recount(series, &ats)?;
        }

        let mut answers: BTreeMap<i64, Answers> = BTreeMap::new();
        let mut failed: Vec<Failing> = Vec::new();
        let mut by_time: BTreeMap<i64, Vec<(u64, Entry, MeterId)>> = BTreeMap::new();
        for (seq, entry) in back.iter().filter(|(_, entry)| !is_imported(entry)) {
            by_time.entry(entry.at_ms).or_default().push((*seq, *entry, meter));
        }
        let ends: Vec<i64> = by_time.keys().skip(1).copied().chain([i64::MAX]).collect();
        for ((at_ms, answer), next) in by_time.iter().zip(ends) {
            let Some((seq, head, _)) = answer.first().filter(|_| !there.contains(at_ms)) else {
                continue;
            };
            let counted = answers.entry(civil.period(Step::Quarter, *at_ms).start).or_default();
            match failure_of(answer) {
                _ if head.origin == Origin::MeterMemory => counted.remembered += 1,
                None => counted.answered += 1,
                Some(reason) => {
                    counted.failed += 1;
                    fail(&mut failed, meter, (*at_ms, next), *seq, reason);
                }
            }
        }
        let block = TallyBlock { tallies: BTreeMap::new(), answers };
        let transaction = self.rollup.transaction().doing("write roll-ups")?;
        tallied::write(&transaction, Kept::Quarters, [(meter, block)].into())?;
        for failing in &failed {
            tables::write_failing(&transaction, failing, "ON CONFLICT DO NOTHING")?;
        }
        transaction.commit().doing("write roll-ups")?;
        self.shared.change(|state| {
            let registry = Arc::clone(&state.registry);
            let hot = Arc::make_mut(&mut state.hot);
            for (seq, entry) in back {
                let Entry { at_ms, value, quality, origin, .. } = *entry;
                let Some(series) = SeriesId::new(entry.series) else { continue };
                let newest = Newest { seq: *seq, at_ms, value, quality, origin };
                let progress = hot.progress.entry(series).or_insert(Progress {
                    era: 0,
                    era_began_ms: i64::MIN,
                    live_at: None,
                    newest,
                    value: None,
                });
                if (at_ms, *seq) > (progress.newest.at_ms, progress.newest.seq) {
                    progress.newest = newest;
                }
                if matches!(origin, Origin::Live | Origin::Simulated) {
                    progress.live_at = progress.live_at.max(Some(at_ms));
                }
                if let Ok(mantissa) = value
                    && progress.value.is_none_or(|(known, at, _)| (at_ms, *seq) > (at, known))
                {
                    progress.value = Some((*seq, at_ms, mantissa));
                }
            }
            hot.recall_answered(&registry);
        });
        self.write_tallies()
    }

    /// The cloud has nothing more of a damaged time: says so, and does not ask again.
    fn asked_about_all(&mut self, index: usize) -> Result<(), StoreError> {
        let Some(wanted) = self.wanted.get_mut(index) else { return Ok(()) };
        wanted.over = true;
        let was_lost = wanted.recalled > 0 || wanted.asked.is_some();
        write_asked(&self.core, wanted)?;
        if !was_lost {
            return Ok(());
        }
        let of = wanted.meter.map_or_else(String::new, |meter| format!(" of meter {meter}"));
        let (from, until) = (instant(wanted.span.start), instant(wanted.span.end));
        let sentence = match wanted.recalled {
            0 => {
                format!("the portfolio has none of the damaged readings{of} from {from} to {until}")
            }
            count => format!(
                "{count} of the damaged readings{of} from {from} to {until} came back from the portfolio; it has \
                 no more of them"
            ),
        };
        tracing::info!("{sentence}");
        let now = self.clock.now().wall_ms();
        self.core
            .execute(
                "INSERT INTO damage (at_ms, sentence) VALUES (?1, ?2)",
                rusqlite::params![now, sentence],
            )
            .map(drop)
            .doing("write down what came back")
    }
}

/// As it is stored: the round is told by its time, since nobody knows its number.
const fn entry(reading: &OutboxReading) -> Entry {
    let OutboxReading { series, at_ms, value, quality, origin, .. } = *reading;
    Entry {
        series: series.get(),
        at_ms,
        boottime_ms: 0,
        cycle: at_ms,
        trust: None,
        quality,
        origin,
        value,
    }
}

/// Whether it was no answer of a meter.
const fn is_imported(entry: &Entry) -> bool {
    matches!(entry.origin, Origin::Correction | Origin::Import)
}

/// Readings whose numbers follow each other, of one month and one kind.
fn runs(back: &[Numbered]) -> impl Iterator<Item = &[Numbered]> {
    back.chunk_by(|(a, x), (b, y)| {
        a.checked_add(1) == Some(*b)
            && Month::of(x.at_ms) == Month::of(y.at_ms)
            && is_imported(x) == is_imported(y)
    })
}

/// Notes a failed answer `at` a time, until the next one: behind one of the same reason it goes on.
fn fail(
    failed: &mut Vec<Failing>,
    meter: MeterId,
    (from_ms, next): (i64, i64),
    first_seq: u64,
    reason: NoReading,
) {
    let until = if next == i64::MAX { from_ms.saturating_add(1) } else { next };
    match failed.last_mut() {
        Some(last) if last.reason == reason && last.until_ms == Some(from_ms) => {
            last.until_ms = Some(until);
            last.tries = last.tries.saturating_add(1);
        }
        _ => failed.push(Failing {
            meter,
            from_ms,
            first_seq,
            until_ms: Some(until),
            reason,
            tries: 1,
        }),
    }
}

fn holds(ranges: &[(u64, u64)], seq: u64) -> bool {
    let before = ranges.partition_point(|(first, _)| *first <= seq);
    before.checked_sub(1).and_then(|it| ranges.get(it)).is_some_and(|(_, last)| seq <= *last)
}

/// `ranges` without the numbers of `gone`.
fn without(ranges: &[(u64, u64)], gone: RangeInclusive<u64>) -> Vec<(u64, u64)> {
    let (from, to) = (*gone.start(), *gone.end());
    let mut left = Vec::with_capacity(ranges.len() + 1);
    for (first, last) in ranges.iter().copied() {
        if last < from || first > to {
            left.push((first, last));
            continue;
        }
        if first < from {
            left.push((first, from - 1));
        }
        if last > to {
            left.push((to + 1, last));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_out_of_ranges() {
        let ranges = [(1, 10), (20, 20), (30, 40)];
        for (gone, left) in [
            (11..=19, vec![(1, 10), (20, 20), (30, 40)]),
            (1..=10, vec![(20, 20), (30, 40)]),
            (5..=5, vec![(1, 4), (6, 10), (20, 20), (30, 40)]),
            (10..=30, vec![(1, 9), (31, 40)]),
            (0..=u64::MAX, vec![]),
        ] {
            let found = without(&ranges, gone.clone());
            assert_eq!(found, left);
            for seq in 0..50 {
                let expected = holds(&ranges, seq) && !gone.contains(&seq);
                assert_eq!(holds(&found, seq), expected, "{seq} without {gone:?}");
            }
        }
    }
}
