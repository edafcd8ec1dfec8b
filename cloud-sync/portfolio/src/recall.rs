//! What a gateway has again here of readings that it lost.
//!
//! ```text
//!  asked   from ─────────────────────────────────────────────────▶ until
//!  looks   ├ a day ┤├── two ──┤├──── four ────┤ …                  wider while little is found
//! ```
//!
//! A question takes some looks at the series of one meter, and the answer says where the next question goes on.
//! What is told is what the service keeps: of two readings of one instant the later, folded or not, each as it was
//! uploaded. Where a look holds more than an answer, the latest of it are let go and the look becomes as much
//! shorter: the next question begins there. So what is held for one question is an answer, and one look at one
//! series.
//!
//! **Never true:** a question goes on behind a reading that it wants and no answer told.

use std::ops::Range;

use metering::SeriesId;
use sync_wire::{RecallAsked, Recalled, SyncReading, limits};

use crate::folded::{DAY_MS, Kept, day_of};
use crate::repository::StoredReading;

/// Looks for one question: they reach over two months, if little is there.
const LOOKS: u32 = 10;

/// Readings that are unpacked for one question, whoever's numbers they have; a look may go beyond it.
const UNPACKED: usize = 4 * limits::READINGS;

/// The widest look: however dense it becomes, a series that has a reading a second is unpacked for that long.
const WIDEST_MS: i64 = 8 * DAY_MS;

/// A question that is being answered.
#[derive(Debug)]
pub(crate) struct Search {
    asked: RecallAsked,
    /// What the database calls the epoch of the question.
    epoch_no: i64,
    at_ms: i64,
    wide_ms: i64,
    looks: u32,
    unpacked: usize,
    /// Nothing that is measured later goes into the answer.
    is_full: bool,
    found: Recalled,
}

impl Search {
    pub(crate) fn new(asked: RecallAsked, epoch_no: i64) -> Self {
        let (at_ms, wide_ms, found) = (asked.from_ms, DAY_MS, Self::nothing(&asked));
        Self { asked, epoch_no, at_ms, wide_ms, looks: 0, unpacked: 0, is_full: false, found }
    }

    /// The answer to whoever asks for what is not here.
    pub(crate) fn nothing(asked: &RecallAsked) -> Recalled {
        Recalled { gateway: asked.gateway, next_ms: None, readings: Vec::new() }
    }

    /// What is to be looked at next; `None` if that is enough for an answer.
    pub(crate) fn next(&self) -> Option<Range<i64>> {
        let full = self.found.readings.len() >= limits::READINGS || self.unpacked >= UNPACKED;
        if self.is_full || full || self.looks >= LOOKS || self.at_ms >= self.asked.until_ms {
            return None;
        }
        // To the end of a day: it may be folded, and is unpacked once.
        let end = (day_of(self.at_ms) * DAY_MS).saturating_add(self.wide_ms);
        Some(self.at_ms..end.min(self.asked.until_ms))
    }

    /// Takes what is kept of a series, which the gateway calls so, in the `span` that [`next`](Self::next) said:
    /// all of it, or as much as goes into an answer, and `span` ends there for the series that follow.
    pub(crate) fn take(&mut self, series: SeriesId, span: &mut Range<i64>, kept: &[Kept]) {
        self.unpacked = self.unpacked.saturating_add(kept.len());
        for Kept { number: (epoch_no, seq), reading } in kept {
            let StoredReading { at_ms, value, quality, origin } = *reading;
            let asked_for = span.contains(&at_ms) && self.asked.wants(*seq);
            if *epoch_no == self.epoch_no && asked_for {
                let seq = *seq;
                let reading = SyncReading { seq, series, at_ms, value, quality, origin };
                self.found.readings.push(reading);
            }
        }
        if self.found.readings.len() > limits::READINGS
            && self.found.keep_earliest()
            && let Some(next_ms) = self.found.next_ms
        {
            span.end = next_ms;
            self.is_full = true;
        }
    }

    /// All series were looked at in `span`, as [`take`](Self::take) left it.
    pub(crate) fn looked(&mut self, span: &Range<i64>) {
        self.at_ms = span.end;
        self.looks += 1;
        if self.unpacked < UNPACKED / 8 {
            self.wide_ms = self.wide_ms.saturating_mul(2).min(WIDEST_MS);
        }
    }

    pub(crate) fn answer(self) -> Recalled {
        let next_ms = (self.at_ms < self.asked.until_ms).then_some(self.at_ms);
        Recalled { next_ms, ..self.found }
    }
}

#[cfg(test)]
mod tests {
    use metering::{GatewayId, MeterId, Origin, Quality};
    use uuid::Uuid;

    use super::*;

    fn asked(from_ms: i64, until_ms: i64) -> RecallAsked {
        let (gateway, meter) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (gateway, meter) = (GatewayId::from_uuid(gateway), MeterId::from_uuid(meter));
        RecallAsked {
            gateway,
            epoch: 5,
            meter,
            from_ms,
            until_ms,
            numbers: vec![(10, 19), (30, 30)],
        }
    }

    fn kept(at_ms: i64, number: (i64, u64)) -> Kept {
        let (quality, origin) = (Quality::Good, Origin::Live);
        Kept { number, reading: StoredReading { at_ms, value: Ok(1), quality, origin } }
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let mut search = Search::new(asked(100, 200), 3);
        let all = [(99, 10), (100, 10), (120, 9), (130, 30), (140, 20), (199, 19), (200, 18)];
        let mut all: Vec<Kept> = all.into_iter().map(|(at, seq)| kept(at, (3, seq))).collect();
        all.push(kept(150, (2, 15)));
        let mut span = search.next().unwrap();
        search.take(SeriesId::new(7).unwrap(), &mut span, &all);
        assert_eq!(span, 100..200);
        search.looked(&span);
        assert_eq!(search.next(), None);
        let told = search.answer();
        let seqs: Vec<u64> = told.readings.iter().map(|it| it.seq).collect();
        assert_eq!((seqs, told.next_ms), (vec![10, 30, 19], None));
    }

    #[test]
    fn looks_become_wider_while_little_is_found_and_have_an_end() {
        let mut search = Search::new(asked(DAY_MS / 2, 10_000 * DAY_MS), 3);
        let mut ends = Vec::new();
        while let Some(span) = search.next() {
            ends.push(span.end / DAY_MS);
            search.looked(&span);
        }
        assert_eq!(ends, [1, 3, 7, 15, 23, 31, 39, 47, 55, 63]);
        assert_eq!(search.answer().next_ms, Some(63 * DAY_MS));

        let mut search = Search::new(asked(0, 10_000 * DAY_MS), 3);
        let many: Vec<Kept> = (0..6_000).map(|ms| kept(ms, (3, 15))).collect();
        let mut span = search.next().unwrap();
        search.take(SeriesId::new(7).unwrap(), &mut span, &many);
        search.looked(&span);
        let mut span = search.next().unwrap();
        assert_eq!(span, DAY_MS..2 * DAY_MS, "no wider");
        search.take(SeriesId::new(8).unwrap(), &mut span, &vec![kept(DAY_MS, (9, 1)); 40_000]);
        search.looked(&span);
        assert_eq!(search.next(), None, "however few of them were asked for");
        assert_eq!(search.answer().next_ms, Some(2 * DAY_MS));
    }

    /// Asks page after page for a meter with so many series, a reading of each every so often; how many questions
    /// that takes.
    #[track_caller]
    fn all_come(series: u32, every_ms: i64, days: Range<i64>) -> usize {
        let a_day = DAY_MS / every_ms;
        let number = |name: u32, nth: i64| nth.unsigned_abs() * u64::from(series) + u64::from(name);
        let stored = |name: u32, span: &Range<i64>| -> Vec<Kept> {
            // Folded days are had whole.
            let had = crate::folded::days(span);
            let (from, to) = (had.start.max(days.start), had.end.min(days.end));
            let nths = from * a_day..to * a_day;
            nths.map(|nth| kept(nth * every_ms, (3, number(name, nth)))).collect()
        };
        let question =
            RecallAsked { numbers: vec![(0, u64::MAX)], ..asked(0, (days.end + 1) * DAY_MS) };
        let (mut from_ms, mut questions, mut found) = (0, 0, Vec::new());
        loop {
            let mut search = Search::new(RecallAsked { from_ms, ..question.clone() }, 3);
            while let Some(mut span) = search.next() {
                for name in 1..=series {
                    let kept = stored(name, &span);
                    search.take(SeriesId::new(name).unwrap(), &mut span, &kept);
                    assert!(search.found.readings.len() <= limits::READINGS, "it is bounded");
                }
                search.looked(&span);
            }
            let told = Recalled::read(&search.answer().write()).unwrap();
            questions += 1;
            found.extend(told.readings.iter().map(|it| it.seq));
            let Some(next_ms) = told.next_ms else { break };
            assert!(next_ms > from_ms);
            from_ms = next_ms;
        }
        let nths = days.start * a_day..days.end * a_day;
        let expected: Vec<u64> =
            nths.flat_map(|nth| (1..=series).map(move |name| number(name, nth))).collect();
        assert_eq!(found.len(), expected.len());
        assert!(found == expected, "each of them once");
        questions
    }

    #[test]
    fn however_dense_they_are_all_readings_come_page_after_page() {
        let [quarter, minute, second] = [900_000, 60_000, 1_000];
        assert_eq!(all_come(6, quarter, 0..31), 2);
        assert_eq!(all_come(6, minute, 0..3), 3);
        assert_eq!(all_come(3, second, 1..2), 27);
        // Nothing for a while, and then more than an answer has, in the middle of a look.
        assert_eq!(all_come(6, minute, 10..12), 2);
        assert_eq!(all_come(40, quarter, 20..24), 2);
    }
}
