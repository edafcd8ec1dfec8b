//! What a gateway has again here of readings that it lost.
//!
//! ```text
//!  asked   from ─────────────────────────────────────────────────▶ until
//!  looks   ├ a day ┤├── two ──┤├──── four ────┤ …                  wider while little is found
//! ```
//!
//! A question takes some looks at the series of one meter, and the answer says where the next question goes on.
//! What is told is what the service keeps: of two readings of one instant the later, folded or not, each as it was
//! uploaded.

use std::ops::Range;

use metering::SeriesId;
use sync_wire::{RecallAsked, Recalled, SyncReading, limits};

use crate::folded::{DAY_MS, Kept, day_of};
use crate::repository::StoredReading;

/// Looks for one question: they reach from a day over a year, if little is there.
const LOOKS: u32 = 9;

/// Readings that are unpacked for one question, whoever's numbers they have; a look may go beyond it.
const UNPACKED: usize = 4 * limits::READINGS;

/// The widest look.
const WIDEST_MS: i64 = 32 * DAY_MS;

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
    found: Vec<SyncReading>,
}

impl Search {
    pub(crate) fn new(asked: RecallAsked, epoch_no: i64) -> Self {
        let (at_ms, wide_ms, found) = (asked.from_ms, DAY_MS, Vec::new());
        Self { asked, epoch_no, at_ms, wide_ms, looks: 0, unpacked: 0, found }
    }

    /// The answer to whoever asks for what is not here.
    pub(crate) fn nothing(asked: &RecallAsked) -> Recalled {
        Recalled { gateway: asked.gateway, next_ms: None, readings: Vec::new() }
    }

    /// What is to be looked at next; `None` if that is enough for an answer.
    pub(crate) fn next(&self) -> Option<Range<i64>> {
        let full = self.found.len() > limits::READINGS || self.unpacked >= UNPACKED;
        if full || self.looks >= LOOKS || self.at_ms >= self.asked.until_ms {
            return None;
        }
        // To the end of a day: it may be folded, and is unpacked once.
        let end = (day_of(self.at_ms) * DAY_MS).saturating_add(self.wide_ms);
        Some(self.at_ms..end.min(self.asked.until_ms))
    }

    /// Takes what is kept of a series, which the gateway calls so, in the span that [`next`](Self::next) said.
    pub(crate) fn take(&mut self, series: SeriesId, kept: &[Kept]) {
        self.unpacked = self.unpacked.saturating_add(kept.len());
        for Kept { number: (epoch_no, seq), reading } in kept {
            let StoredReading { at_ms, value, quality, origin } = *reading;
            let asked_for = self.next().is_some_and(|span| span.contains(&at_ms));
            if *epoch_no == self.epoch_no && asked_for && self.asked.wants(*seq) {
                self.found.push(SyncReading { seq: *seq, series, at_ms, value, quality, origin });
            }
        }
    }

    /// All series were looked at in `span`.
    pub(crate) fn looked(&mut self, span: &Range<i64>) {
        self.at_ms = span.end;
        self.looks += 1;
        if self.unpacked < UNPACKED / 8 {
            self.wide_ms = self.wide_ms.saturating_mul(2).min(WIDEST_MS);
        }
    }

    pub(crate) fn answer(self) -> Recalled {
        let next_ms = (self.at_ms < self.asked.until_ms).then_some(self.at_ms);
        Recalled { gateway: self.asked.gateway, next_ms, readings: self.found }
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
        search.take(SeriesId::new(7).unwrap(), &all);
        let span = search.next().unwrap();
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
        assert_eq!(ends, [1, 3, 7, 15, 31, 63, 95, 127, 159]);
        assert_eq!(search.answer().next_ms, Some(159 * DAY_MS));

        let mut search = Search::new(asked(0, 10_000 * DAY_MS), 3);
        let many: Vec<Kept> = (0..6_000).map(|ms| kept(ms, (3, 15))).collect();
        search.take(SeriesId::new(7).unwrap(), &many);
        search.looked(&search.next().unwrap());
        assert_eq!(search.next(), Some(DAY_MS..2 * DAY_MS), "no wider");
        search.take(SeriesId::new(8).unwrap(), &vec![kept(DAY_MS, (9, 1)); 40_000]);
        assert_eq!(search.next(), None, "however few of them were asked for");
    }
}
