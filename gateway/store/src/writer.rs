//! The writer thread and its queue.
//!
//! One thread owns every connection that writes. It is asked by closures; at most [`QUEUE`] wait
//! or run at once, and whoever comes then *waits*: nothing is dropped, and readings back up to the
//! buses, which are slower than any disk.

use std::sync::{Arc, mpsc};
use std::thread;

use metering::{MeterId, Trust};
use tokio::sync::{Semaphore, oneshot};

use crate::correction::{Correction, NewCorrection, NotCorrected};
use crate::correction_span::{SpanCorrected, SpanCorrection};
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::repair::Damage;
use crate::retention::{Pruned, Retention};
use crate::round::{Imported, MeterRound, Stored};
use crate::seal::Sign;
use crate::telegrams::KeepTelegrams;

/// How many questions may wait for the thread.
const QUEUE: usize = 64;

/// Readings of an import in one transaction: other writers wait no longer than that.
const CHUNK: usize = 50_000;

/// Stores things. Cheap to clone.
///
/// # Cancellation
///
/// A future that is dropped no longer waits; what it asked for is done all the same.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) queue: Queue,
}

impl Writer {
    /// Stores what a bus round brought, in one transaction.
    ///
    /// When it returns, the readings are on the disk: they survive a power cut, may be told to the
    /// cloud and may be called stored. Empty rounds store nothing.
    ///
    /// What came by a clock that nobody has set survives a power cut too, but waits: it has no number, and
    /// is in no history, until its time is known.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Away`]: nothing of this round is stored, and the next one may
    /// be again. Any other error means the same of this round.
    pub async fn commit(&self, round: Vec<MeterRound>) -> Result<Stored, StoreError> {
        self.queue.ask(move |engine| engine.commit(round)).await
    }

    /// Stores readings from elsewhere, of any age and in any order, in transactions of 50 000.
    ///
    /// One that is there already, imported with the same point, time and origin, is left out, so
    /// an import that was interrupted is simply done again. `count` is of those that are new.
    pub async fn import(&self, readings: Vec<Imported>) -> Result<Stored, StoreError> {
        let mut all: Option<Stored> = None;
        let mut rest = readings;
        // By time, so that each month is looked through once for what is there already.
        rest.sort_by_key(|reading| reading.at_ms);
        loop {
            let after = rest.split_off(rest.len().min(CHUNK));
            let chunk = std::mem::replace(&mut rest, after);
            let stored = self.queue.ask(move |engine| engine.import(&chunk)).await?;
            let sum = match all {
                Some(before) if before.count > 0 => {
                    Stored { count: before.count + stored.count, ..before }
                }
                _ => stored,
            };
            if rest.is_empty() {
                return Ok(sum);
            }
            all = Some(sum);
        }
    }

    /// How many questions wait for the thread or are with it, of how many that may.
    pub fn waiting(&self) -> (usize, usize) {
        (QUEUE.saturating_sub(self.queue.room.available_permits()), QUEUE)
    }

    /// Puts a figure in the place of a reading, or where there was none.
    ///
    /// When it returns, the reading that has it is on the disk and will be told to the cloud, and the roll-ups
    /// are counted with it.
    ///
    /// # Errors
    ///
    /// [`NotCorrected`]: everything is as it was.
    pub async fn correct(&self, wanted: NewCorrection) -> Result<Correction, NotCorrected> {
        self.queue.ask(move |engine| engine.correct(&wanted)).await?
    }

    /// Corrects all readings of a register in a span of time that have a figure; with `preview` it only says
    /// which those are.
    ///
    /// # Errors
    ///
    /// [`NotCorrected`]: everything is as it was. If the disk takes nothing any more in the middle, a month of
    /// the span may be corrected: it is corrected anew by asking once more.
    pub async fn correct_span(
        &self,
        wanted: SpanCorrection,
        preview: bool,
    ) -> Result<SpanCorrected, NotCorrected> {
        self.queue.ask(move |engine| engine.correct_span(&wanted, preview)).await?
    }

    /// Keeps which meters are asked, and how often, from `from_ms` on: what completeness expects.
    ///
    /// `meters` is the whole list. What does not change is not written again. While nobody knows what time
    /// it is, `from_ms` says nothing, and the moment of this call counts once it is known when that was.
    pub async fn schedule(
        &self,
        from_ms: i64,
        meters: Vec<(MeterId, u32)>,
    ) -> Result<(), StoreError> {
        self.queue.ask(move |engine| engine.schedule(from_ms, meters)).await
    }

    /// Stores what came while nobody knew what time it was, if that is known by now; says how many readings
    /// still wait. Every [`commit`](Self::commit) does so too. To be called now and then.
    pub async fn stamp(&self) -> Result<u64, StoreError> {
        self.queue.ask(Engine::stamp_all).await
    }

    /// Writes the roll-ups that are in memory alone. Done every six hours and at the end anyway;
    /// what is not written is counted again from the raw files.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.queue.ask(Engine::write_tallies).await
    }

    /// Deletes the months that may go. To be called once a day.
    pub async fn prune(&self, retention: Retention) -> Result<Pruned, StoreError> {
        self.queue.ask(move |engine| engine.prune(retention)).await
    }

    /// Reads all files through, one after the other, and repairs those that are damaged.
    pub async fn scrub_all(&self) -> Result<Vec<Damage>, StoreError> {
        let files = self.queue.ask(|engine| Ok(engine.state().files.len())).await?;
        let mut damages = Vec::new();
        for _ in 0..files {
            damages.extend(self.scrub().await?);
        }
        Ok(damages)
    }

    /// Packs what the spool no longer needs, in as many steps as it takes. To be called some minutes
    /// after every hour; commits take their turns between two steps. Returns how many readings moved.
    pub async fn pack(&self) -> Result<u64, StoreError> {
        let mut all = 0_u64;
        loop {
            let Some(packed) = self.queue.ask(Engine::pack).await? else { return Ok(all) };
            all = all.saturating_add(packed);
        }
    }

    /// Seals what was stored since the last seal, in as many steps as it takes, and says how many
    /// readings that were. To be called once an hour: what was never sealed nobody can prove.
    pub async fn seal(&self, sign: Arc<Sign>) -> Result<u64, StoreError> {
        let mut all = 0_u64;
        loop {
            let sign = Arc::clone(&sign);
            match self.queue.ask(move |engine| engine.seal(&sign)).await? {
                Some(sealed) => all = all.saturating_add(sealed),
                None => break,
            }
        }
        loop {
            let sign = Arc::clone(&sign);
            if self.queue.ask(move |engine| engine.seal_telegrams(&sign)).await?.is_none() {
                return Ok(all);
            }
        }
    }

    /// Has the newest version of the configuration and the newest entry of the audit log signed, and says whether
    /// there was anything new. To be called every few minutes: what was written since can be taken out unseen.
    pub async fn sign_history(&self, sign: Arc<Sign>) -> Result<bool, StoreError> {
        self.queue.ask(move |engine| engine.sign_history(&sign)).await
    }

    /// From now on the telegrams of so many answers are kept; none before this is called.
    pub fn keep_telegrams(&self, keep: KeepTelegrams) {
        // Whether the disk is there or not.
        self.queue.tell(move |engine| engine.keep_telegrams(keep));
    }

    /// Reads the next month's file through, and repairs it if it is damaged. To be called once an
    /// hour; with fourteen files every byte is looked at in less than a day.
    pub async fn scrub(&self) -> Result<Vec<Damage>, StoreError> {
        self.queue.ask(Engine::scrub).await
    }
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// Bounds `jobs`: each job holds a permit until it is done.
    room: Arc<Semaphore>,
}

enum Job {
    Do(Box<dyn FnOnce(&mut Engine) + Send>),
    Close(mpsc::Sender<Result<(), StoreError>>),
}

impl Queue {
    /// Has `work` done by the thread, after what was asked before.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Do(Box::new(move |engine| {
            let result = engine
                .be_back()
                .and_then(|()| work(engine))
                .map_err(|error| error.full_if_it_is(&engine.dir).away_if_it_is(&engine.dir));
            engine.note_disk(result.as_ref().err());
            if result.as_ref().is_err_and(StoreError::is_full) {
                engine.relieve();
            }
            // Nobody may be waiting any more, which is their affair.
            let _ = reply.send(result);
            drop(permit);
        }));
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Has `work` done without waiting for it, for room, or for the disk: at a start and in tests.
    pub(crate) fn tell(&self, work: impl FnOnce(&mut Engine) + Send + 'static) {
        // One that is closed needs to know nothing.
        let _ = self.jobs.send(Job::Do(Box::new(work)));
    }

    /// Ends the thread after what was asked before, and waits for its last words.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = mpsc::channel();
        self.jobs.send(Job::Close(reply)).map_err(|_| StoreError::Closed)?;
        answer.recv().map_err(|_| StoreError::Closed)?
    }
}

/// Starts the thread.
pub(crate) fn start(engine: Engine) -> Result<Queue, StoreError> {
    let (jobs, queue) = mpsc::channel();
    let dir = engine.dir.clone();
    thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || run(engine, &queue))
        .map_err(|cause| StoreError::Io { doing: "start the thread of", path: dir, cause })?;
    Ok(Queue { jobs, room: Arc::new(Semaphore::new(QUEUE)) })
}

fn run(mut engine: Engine, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Do(work) => work(&mut engine),
            Job::Close(reply) => {
                let _ = reply.send(engine.close());
                return;
            }
        }
    }
    // Every handle is gone: nobody closed the store, and nobody is left to hear of a failure.
    if let Err(error) = engine.close() {
        tracing::warn!(error = &error as &dyn std::error::Error, "store not closed properly");
    }
}

/// Moves the cursor of what the cloud has, and notes since when it has had it.
///
/// What it has forgotten it has not had for any time; and by a clock that nobody has set nobody can
/// tell, so the next confirmation counts.
pub(crate) fn set_acked(engine: &mut Engine, seq: u64) -> Result<(), StoreError> {
    const DOING: &str = "write what the cloud has";
    let now = engine.clock.now();
    let transaction = engine.core.transaction().doing(DOING)?;
    crate::engine::set_cursor(&transaction, "acked", seq)?;
    transaction.execute("DELETE FROM acknowledged WHERE seq > ?1", [seq]).doing(DOING)?;
    if now.trust != Trust::Untrusted {
        let day_ms = now.wall_ms().div_euclid(86_400_000) * 86_400_000;
        transaction
            .execute(
                "INSERT OR REPLACE INTO acknowledged (day_ms, seq) VALUES (?1, ?2)",
                rusqlite::params![day_ms, seq],
            )
            .doing(DOING)?;
    }
    transaction.commit().doing(DOING)?;
    engine.shared.change(|state| state.acked = seq);
    Ok(())
}
