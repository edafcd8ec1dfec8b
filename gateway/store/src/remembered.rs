//! What meters remember of an earlier time, where nobody read them then.
//!
//! ```text
//! read        ·  ·  ·  ·              ·  ·  ·
//! remembered           ▼      ▼       ▼
//!             ─────────┴──────┼───────┴────────▶
//!               known already │        known already
//!                             stored: the gap has a stand at a month's end
//! ```
//!
//! A meter tells the same values with each answer, for a year or more, so they are looked at with
//! suspicion. One is stored if all of this holds:
//!
//! * its series has a reading before it and one after it: the device was read here before. What a
//!   meter remembers of the place where it was built in earlier is nothing of this place's, and
//!   what it says of the future is a wrong clock;
//! * no reading of the series lies within a quarter hour of it, however that came: a live reading
//!   is never doubled, and the value of the answer before is not stored again;
//! * a counter's value lies between those of the two neighbours.
//!
//! Of a time whose readings were damaged (`wanted.rs`) the tallies know of readings that no file has any more:
//! there the files are asked instead.
//!
//! The tallies tell all of it, which are kept when raw files are deleted: what was known once is
//! not stored anew years later. **Never true:** a reading that is there is changed by this.

use metering::{MeterId, Origin};

use crate::civil::Step;
use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::files::Month;
use crate::query::{Side, Tallied};
use crate::registry::Kind;
use crate::rollup::Tally;
use crate::round::{MOST_REMEMBERED, MeterRound, Remembered};
use crate::tallied::{self, Kept};

impl Engine {
    /// Stores what the meters of `round`, which is stored, remember of gaps. A failure is logged: the
    /// meters say it again.
    pub(crate) fn fill_gaps(&mut self, round: &[MeterRound]) {
        for answer in round.iter().filter(|it| it.outcome.is_ok() && !it.remembered.is_empty()) {
            let MeterRound { meter, remembered, .. } = answer;
            if self.remembered.get(meter) == Some(remembered) {
                continue;
            }
            match self.fill_gaps_of(answer) {
                Ok(0) => {}
                Ok(count) => tracing::info!(%meter, count, "gaps filled from the meter's memory"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%meter, error, "what the meter remembers is not stored");
                    continue;
                }
            }
            self.remembered.insert(*meter, remembered.clone());
        }
    }

    fn fill_gaps_of(&mut self, answer: &MeterRound) -> Result<usize, StoreError> {
        let serial = answer.identity.as_ref().map(|identity| identity.serial.as_str());
        let (mut new, mut again) = (Vec::new(), Vec::new());
        for remembered in answer.remembered.iter().take(MOST_REMEMBERED) {
            if remembered.at_ms < answer.asked.wall_ms()
                && let Some((entry, counted)) = self.missing(answer.meter, serial, remembered)?
            {
                if counted { again.push(entry) } else { new.push(entry) }
            }
        }
        for entries in [&mut new, &mut again] {
            entries.sort_by_key(|entry| (entry.at_ms, entry.series));
            // Two that say the same of one time are one.
            entries.dedup_by_key(|entry| (entry.at_ms, entry.series));
        }
        let same = |a: &Entry, b: &Entry| Month::of(a.at_ms) == Month::of(b.at_ms);
        let boot_id = answer.asked.boot_id;
        for month in new.chunk_by(same) {
            let Some(head) = month.first() else { continue };
            let rows = self.store(Month::of(head.at_ms), boot_id, false, month)?;
            self.count(&rows, month);
        }
        for month in again.chunk_by(same) {
            self.store_again(answer.meter, boot_id, month)?;
        }
        Ok(new.len() + again.len())
    }

    /// `remembered` as it is stored, and whether the sums have it already; `None` if it is not to be.
    fn missing(
        &self,
        meter: MeterId,
        serial: Option<&str>,
        remembered: &Remembered,
    ) -> Result<Option<(Entry, bool)>, StoreError> {
        let Remembered { register, at_ms, quantity, quality } = remembered;
        let state = self.state();
        let Some((info, mantissa)) = state.registry.holding(meter, register, serial, *quantity)
        else {
            return Ok(None);
        };
        let Some(progress) = state.hot.progress.get(&info.series) else { return Ok(None) };
        let era = progress.era_of(*at_ms);
        // Whether it is known of a time whose tallies are gone nobody can tell any more.
        if *at_ms < tallied::thrown_away(&self.rollup, Kept::Quarters)? {
            return Ok(None);
        }
        let known = Tallied::of(&self.rollup, &state, self.shared.civil)?;

        let near = quarter(at_ms.saturating_sub(QUARTER_MS))..at_ms.saturating_add(QUARTER_MS);
        let counted = !known.tallies(info.series, Step::Quarter, &near)?.is_empty();
        if counted && !self.is_wanted(info, *at_ms, &near)? {
            return Ok(None);
        }
        // What is counted near it tells of the same readings.
        let (from, until) = if counted { (near.start, near.end) } else { (*at_ms, *at_ms) };
        let before = known.beside(info.series, era, from, Side::Before)?;
        let after = known.beside(info.series, era, until, Side::After)?;
        let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
        let Tally { last: least, .. } = before;
        let Tally { first: most, .. } = after;
        if info.kind == Kind::Counter && !(least..=most).contains(&mantissa) {
            return Ok(None);
        }
        let entry = Entry {
            series: info.series.get(),
            at_ms: *at_ms,
            boottime_ms: 0,
            cycle: 0,
            trust: None,
            quality: *quality,
            origin: Origin::MeterMemory,
            value: Ok(mantissa),
        };
        Ok(Some((entry, counted)))
    }
}

const fn quarter(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(QUARTER_MS)
}

const QUARTER_MS: i64 = 900_000;
