//! Whole days at once, straight into blocks and roll-ups: how ten years come into a store.
//!
//! ```text
//! commit, import    readings ──▶ spool ──▶ pack ──▶ blocks, tallied one by one
//! bring             a day of UTC, a column for each series ──▶ blocks, tallied by column
//! ```
//!
//! For measurements and tests alone: nothing is looked for that is there already, and a day has to be
//! later than all that its series have. What is written is what a gateway would have written that read the
//! meters itself, bus round for bus round, and then packed the day; `tests/years.rs` holds it to that.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use metering::{MeterId, Origin, Quality, SeriesId, Trust};
use rusqlite::TransactionBehavior;

use crate::block::{Block, Numbered};
use crate::chunk::{self, Writing};
use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::Month;
use crate::registry::write_series;
use crate::rollup::{Answers, Newest, Progress, Tally};
use crate::spool::Held;
use crate::tables;
use crate::tallied::{self, ByMeter, Kept};
use crate::tally_block::TallyBlock;

/// Meters that were read in the same rounds all day.
#[derive(Debug)]
pub(crate) struct BusDay {
    /// When the rounds began, in milliseconds since 1970, rising; all of one day of UTC.
    pub(crate) rounds: Vec<i64>,
    pub(crate) meters: Vec<MeterDay>,
}

/// What one of them showed.
#[derive(Debug)]
pub(crate) struct MeterDay {
    pub(crate) meter: MeterId,
    /// How long after a round's beginning it answers.
    pub(crate) after_ms: i64,
    /// A value of each series in each round.
    pub(crate) columns: Vec<(SeriesId, Vec<i64>)>,
}

/// A day on its way into the files.
#[derive(Default)]
struct Day {
    blocks: Vec<(MeterId, Block)>,
    quarters: ByMeter,
    progress: BTreeMap<SeriesId, Progress>,
}

/// In which boot of which machine all of it was read.
const BOOT: u128 = 0x5EED;
const QUARTER_MS: i64 = 900_000;

impl Engine {
    /// Stores a day, and says how many readings it has.
    pub(crate) fn bring(&mut self, buses: &[BusDay]) -> Result<u64, StoreError> {
        let Some(first) = buses.iter().filter_map(|bus| bus.rounds.first()).min() else {
            return Ok(0);
        };
        let month = Month::of(*first);
        if !self.state().hot.tallies.is_empty() {
            self.write_tallies()?;
        }
        let before = self.state().head;
        let mut day = Day::default();
        let head = buses.iter().fold(before, |head, bus| day.take(head, bus));
        self.reserve(usize::try_from(head - before).unwrap_or(usize::MAX))?;
        self.write_chunk(month, &day, head)?;

        let Day { quarters, progress, .. } = day;
        let hot = self.shared.change(|state| {
            let hot = Arc::make_mut(&mut state.hot);
            hot.progress.extend(progress);
            (hot.applied_seq, hot.written_seq) = (head, head);
            Arc::clone(&state.hot)
        });
        let civil = self.shared.civil;
        let transaction = self.rollup.transaction().doing(WRITING)?;
        let days = quarters.iter().map(|(meter, block)| (*meter, tallied::days_of(block, civil)));
        tallied::write(&transaction, Kept::Days, days.collect())?;
        tallied::write_piece(&transaction, Kept::Quarters, quarters)?;
        tables::write_progress(&transaction, &hot)?;
        tables::set_meta(&transaction, "applied_seq", &head.to_string())?;
        transaction.commit().doing(WRITING)?;
        Ok(head - before)
    }

    fn write_chunk(&mut self, month: Month, day: &Day, head: u64) -> Result<(), StoreError> {
        let registry = self.state().registry;
        let raw = self.raw(month)?;
        let unexplained: HashSet<SeriesId> =
            day.progress.keys().copied().filter(|it| !raw.explained.contains(it)).collect();
        let transaction = raw
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing("begin to store readings")?;
        let infos = unexplained.iter().filter_map(|series| registry.get(*series));
        write_series(&transaction, infos.map(|info| &**info))?;
        let mut writing = Writing::begin(&transaction)?;
        for (meter, block) in &day.blocks {
            writing.put(chunk::ensure_key(&transaction, *meter)?, block)?;
        }
        let chunk = writing.end()?;
        transaction.commit().doing("store readings")?;
        raw.explained.extend(unexplained);
        let path = month.path(&self.dir);
        self.shared.change(|state| {
            let files = Arc::make_mut(&mut state.files);
            if !files.iter().any(|held| held.month == month) {
                files.push(Held { path, month, seqs: None, times: None });
                files.sort_by_key(|held| held.month);
            }
            if let Some(held) = files.iter_mut().find(|held| held.month == month) {
                held.add_chunk(&chunk);
            }
            state.head = head;
        });
        Ok(())
    }
}

impl Day {
    /// Takes in what a bus brought, numbered behind `head` round by round, and returns the last number.
    fn take(&mut self, head: u64, bus: &BusDay) -> u64 {
        let width: usize = bus.meters.iter().map(|it| it.columns.len()).sum();
        let numbered = |round: usize, place: usize| {
            head + 1 + u64::try_from(round * width + place).unwrap_or_default()
        };
        let mut place = 0;
        for meter in &bus.meters {
            let at = |round: &i64| round + meter.after_ms;
            let mut block = Block::default();
            let mut answer = Vec::new();
            for (round, began) in bus.rounds.iter().enumerate() {
                answer.clear();
                let values = meter
                    .columns
                    .iter()
                    .filter_map(|(series, values)| Some((series, values.get(round).copied()?)));
                answer.extend(values.enumerate().map(|(index, (series, value))| Numbered {
                    seq: numbered(round, place + index),
                    entry: Entry {
                        series: series.get(),
                        at_ms: at(began),
                        boottime_ms: at(began),
                        cycle: began.div_euclid(1000),
                        trust: Some(Trust::Synced),
                        quality: Quality::Good,
                        origin: Origin::Live,
                        value: Ok(value),
                    },
                    imported: false,
                    begins: place == 0 && index == 0,
                    boot_id: BOOT,
                }));
                block.push(&answer);
            }
            self.blocks.push((meter.meter, block));

            let mut tallies = Vec::new();
            for (index, (series, values)) in meter.columns.iter().enumerate() {
                let mut quarters = Quarters::default();
                for (round, (began, value)) in bus.rounds.iter().zip(values).enumerate() {
                    let seq = numbered(round, place + index);
                    quarters.add(at(began), Tally::of(at(began), *value, false, seq));
                }
                if let Some(progress) = quarters.progress {
                    self.progress.insert(*series, progress);
                }
                let tallied = quarters.tallies.into_iter();
                tallies.extend(tallied.map(|(starts_at, it)| ((*series, 0, starts_at), it)));
            }
            let mut answers: BTreeMap<i64, Answers> = BTreeMap::new();
            for began in &bus.rounds {
                answers.entry(quarter_of(at(began))).or_default().answered += 1;
            }
            let block = TallyBlock { tallies: tallies.into_iter().collect(), answers };
            self.quarters.insert(meter.meter, block);
            place += meter.columns.len();
        }
        numbered(bus.rounds.len(), 0) - 1
    }
}

/// The tallies of one series, by time.
#[derive(Default)]
struct Quarters {
    tallies: Vec<(i64, Tally)>,
    progress: Option<Progress>,
}

impl Quarters {
    fn add(&mut self, at_ms: i64, tally: Tally) {
        match self.tallies.last_mut().filter(|(starts_at, _)| *starts_at == quarter_of(at_ms)) {
            Some((_, there)) => *there = there.plus(tally),
            None => self.tallies.push((quarter_of(at_ms), tally)),
        }
        let newest = Newest {
            seq: tally.seq,
            at_ms,
            value: Ok(tally.last),
            quality: Quality::Good,
            origin: Origin::Live,
        };
        self.progress = Some(Progress {
            era: 0,
            era_began_ms: i64::MIN,
            live_at: Some(at_ms),
            newest,
            value: Some((tally.seq, at_ms, tally.last)),
        });
    }
}

const fn quarter_of(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(QUARTER_MS)
}

const WRITING: &str = "write roll-ups";
