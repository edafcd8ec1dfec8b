//! What the cloud has not confirmed yet.
//!
//! Every reading has a number, its *seq*, given in the transaction that stored it; the *epoch* says
//! whose numbers they are. The cloud confirms a number and with it all before it. Nothing is deleted
//! here: a confirmed reading stays for thirty days at least, so the cursor can go back.

use metering::{NoReading, Origin, Quality, SeriesId};
use rusqlite::{OptionalExtension, named_params};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::query::Snapshot;
use crate::readers::Readers;
use crate::recalled::Recall;
use crate::registry::SeriesInfo;
use crate::spool::MOST_READINGS;
use crate::walk::{Next, walk};
use crate::writer::{self, Queue};

/// Hands out readings in the order of their numbers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(crate) queue: Queue,
    pub(crate) readers: Readers,
}

/// How far the cloud is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxState {
    /// The newest number that the cloud has confirmed; 0 is none.
    pub acked: u64,
    /// The newest number there is.
    pub head: u64,
    /// The oldest number that can still be sent.
    pub oldest_kept: u64,
}

/// What comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Readings, their numbers without a hole.
    pub readings: Vec<OutboxReading>,
    /// Numbers right behind those that are gone for good: announce them, then acknowledge them.
    pub lost: Option<Lost>,
}

/// A reading or an absence on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxReading {
    /// Its number.
    pub seq: u64,
    /// Of which series.
    pub series: SeriesId,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// How many steps of the series, or why nobody knows.
    pub value: Result<i64, NoReading>,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
}

/// Numbers that no reading has any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why.
    pub reason: LossReason,
}

/// Why readings are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The disk was full, and they were the oldest.
    Retention,
    /// A file was damaged, or nobody knows any more what they mean. Some of the numbers may never
    /// have been given.
    Damage,
}

impl LossReason {
    /// As in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Damage => "damage",
        }
    }
}

impl Outbox {
    /// Whose numbers these are: random, and new when the database was made anew.
    pub fn epoch(&self) -> u64 {
        self.readers.shared.state().epoch
    }

    /// How far the cloud is.
    pub fn state(&self) -> OutboxState {
        let state = self.readers.shared.state();
        let oldest = state.files.iter().filter_map(|held| held.seqs).map(|(first, _)| first).min();
        OutboxState {
            acked: state.acked,
            head: state.head,
            oldest_kept: oldest.unwrap_or(state.head + 1),
        }
    }

    /// The newest number, as it grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.readers.shared.watch()
    }

    /// What follows `after_seq`, at most `max_readings` and never more than 10 000; empty if that is
    /// the newest.
    pub async fn batch(&self, after_seq: u64, max_readings: usize) -> Result<Batch, StoreError> {
        self.readers.ask(move |snapshot| snapshot.batch(after_seq, max_readings)).await
    }

    /// What the numbers of these series mean; those that do not exist are left out.
    pub fn series(&self, wanted: &[SeriesId]) -> Vec<SeriesInfo> {
        let registry = self.readers.shared.state().registry;
        wanted
            .iter()
            .filter_map(|series| registry.get(*series))
            .map(|info| SeriesInfo::clone(info))
            .collect()
    }

    /// The cloud has everything up to `seq`. An older confirmation changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Ahead`] if there is no such reading.
    pub async fn acknowledge(&self, seq: u64) -> Result<(), StoreError> {
        self.queue
            .ask(move |engine| {
                let state = engine.state();
                if seq > state.head {
                    return Err(StoreError::Ahead { seq, head: state.head });
                }
                if seq <= state.acked { Ok(()) } else { writer::set_acked(engine, seq) }
            })
            .await
    }

    /// What the cloud is to be asked for next of what was damaged and lost here; `None` if that is nothing.
    ///
    /// To be asked when everything is confirmed: what was not told the cloud cannot have.
    pub async fn recall(&self) -> Result<Option<Recall>, StoreError> {
        self.queue.ask(Engine::next_recall).await
    }

    /// The cloud's answer: readings that are put back under the numbers that they had, if no file has these any
    /// more, and the time from which on it is to be asked on, if there may be more. Says how many were lost
    /// here and are there again.
    pub async fn restore(
        &self,
        recall: Recall,
        readings: Vec<OutboxReading>,
        next_ms: Option<i64>,
    ) -> Result<u64, StoreError> {
        self.queue.ask(move |engine| engine.put_back(&recall, &readings, next_ms)).await
    }

    /// The cloud has no more than what is up to `seq`: it was restored, and wants the rest again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Ahead`] if there is no such reading.
    pub async fn rewind(&self, seq: u64) -> Result<(), StoreError> {
        self.queue
            .ask(move |engine| {
                let head = engine.state().head;
                if seq > head {
                    return Err(StoreError::Ahead { seq, head });
                }
                writer::set_acked(engine, seq)
            })
            .await
    }
}

impl Snapshot<'_> {
    fn batch(&self, after_seq: u64, max_readings: usize) -> Result<Batch, StoreError> {
        let most = max_readings.clamp(1, MOST_READINGS);
        let head = self.state.head;
        let from = after_seq.saturating_add(1);
        let mut batch = Batch::default();
        let mut end = from;
        walk(&self.state.files, &self.desk.raws, from, |next| match next {
            Next::Piece(piece) => {
                let numbered = (piece.first_seq..).zip(&piece.entries);
                let room = most - batch.readings.len();
                let fresh = numbered.filter(|(seq, _)| (end..=head).contains(seq)).take(room);
                for (seq, entry) in fresh {
                    let known = self.state.registry.numbered(entry.series);
                    let Some(series) = known.map(|info| info.series) else {
                        // Nobody can say what it means, so the cloud could never take it.
                        batch.lost = Some(self.lost(seq, seq)?);
                        return Ok(false);
                    };
                    batch.readings.push(OutboxReading {
                        seq,
                        series,
                        at_ms: entry.at_ms,
                        value: entry.value,
                        quality: entry.quality,
                        origin: entry.origin,
                    });
                }
                end = end.max(piece.last_seq() + 1);
                Ok(batch.readings.len() < most)
            }
            Next::Hole(from, to) => {
                batch.lost = Some(self.lost(from, to.min(head))?);
                Ok(false)
            }
        })?;
        // The newest numbers may be gone too.
        let full = batch.readings.len() >= most;
        if batch.lost.is_none() && !full && end <= head {
            batch.lost = Some(self.lost(end, head)?);
        }
        Ok(batch)
    }

    fn lost(&self, from: u64, to: u64) -> Result<Lost, StoreError> {
        let reason: Option<String> = self
            .desk
            .core()?
            .query_row(
                "SELECT reason FROM lost WHERE from_seq <= :to AND to_seq >= :from
                  ORDER BY reason DESC LIMIT 1",
                named_params! { ":from": from, ":to": to },
                |row| row.get(0),
            )
            .optional()
            .doing("read what is lost")?;
        let by_retention = reason.as_deref() == Some(LossReason::Retention.as_str());
        let reason = if by_retention { LossReason::Retention } else { LossReason::Damage };
        Ok(Lost { from, to, reason })
    }
}
