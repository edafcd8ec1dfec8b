//! Takes what the buses said to the store and to the live values: the only task that sees all of
//! it.
//!
//! ```text
//! poll ──mpsc(256)──▶ ingest ──▶ unsaved ──commit──▶ store
//!                        └─────▶ live values (at once: they are shown, not yet stored)
//! ```
//!
//! A commit begins when a bus's round is over, and 60 s after the oldest unsaved reading at the
//! latest. While one runs, more is taken in. When the store refuses, because its disk is full, broken or
//! gone, what is unsaved stays here and is tried again: it is late, not lost. After [`MOST_UNSAVED`]
//! questions what comes is shown and no longer kept, and the pages say how much: a building is watched
//! over without a disk, too.

mod outdoors;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone as _;
use chrono_tz::{OffsetComponents as _, Tz};
use drivers::{Profile, Profiles, Readout};
use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use metering::{Clock, MeterId, NoReading, Origin, Quality, Reading};
use store::{MeterRound, Remembered, StoreError, Stored, Writer};
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant};
use web_ui::{LiveValue, Site};

pub(crate) use self::outdoors::Outdoors;
use crate::board::Board;
use crate::live::Newest;
use crate::poll::{Asked, Outcome, Polled};
use crate::wire;

/// Where readings go.
pub(crate) trait Save: Send {
    /// As [`Writer::commit`].
    fn save(
        &mut self,
        rounds: Vec<MeterRound>,
    ) -> impl Future<Output = Result<Stored, StoreError>> + Send;
}

impl Save for Writer {
    async fn save(&mut self, rounds: Vec<MeterRound>) -> Result<Stored, StoreError> {
        self.commit(rounds).await
    }
}

/// Shows what came and keeps what is unsaved.
#[derive(Debug)]
pub(crate) struct Ingest {
    /// The newest values.
    pub(crate) newest: Newest,
    /// What is installed: a meter's telegram may tell its medium.
    pub(crate) site: Arc<watch::Sender<Arc<Site>>>,
    /// What kind of number each register is.
    pub(crate) profiles: watch::Receiver<Arc<Profiles>>,
    /// How the store is doing goes there.
    pub(crate) board: Board,
    /// For the age of answers.
    pub(crate) clock: Arc<dyn Clock>,
    /// The meters that told more different series than are kept, in their last answer.
    pub(crate) beyond: BTreeSet<MeterId>,
    /// What thermometers outdoors showed before.
    pub(crate) outdoors: Outdoors,
}

/// Takes in what is polled until every bus has let go of its end, and all that came is stored.
///
/// If the store refuses to the end it is tried on and on: the caller has the deadline. A store
/// that is [closed](StoreError::Closed) never takes anything again, and this returns too.
pub(crate) async fn ingest(
    mut ingest: Ingest,
    polled: &mut mpsc::Receiver<Polled>,
    store: &mut impl Save,
) {
    let mut unsaved = Unsaved::default();
    let mut open = true;
    let mut ages = time::interval(AGE_EVERY);
    loop {
        // One commit after the other; while it runs, more is taken in.
        let rounds = unsaved.begin(Instant::now());
        let kept = rounds.clone();
        let mut commit = pin!(OptionFuture::from(rounds.map(|rounds| store.save(rounds))).fuse());
        loop {
            if !open && kept.is_none() && unsaved.rounds.is_empty() {
                return;
            }
            let due = unsaved.due();
            let waiting = unsaved.rounds.len() + kept.as_ref().map_or(0, Vec::len);
            tokio::select! {
                biased;
                Some(outcome) = &mut commit, if kept.is_some() => {
                    let closed = matches!(outcome, Err(StoreError::Closed));
                    let kept = kept.unwrap_or_default();
                    ingest.saved(&mut unsaved, kept, outcome);
                    if closed {
                        return;
                    }
                    break;
                }
                message = polled.recv(), if open => match message {
                    Some(Polled::Meter(asked)) => {
                        let round = ingest.take(*asked);
                        if waiting < MOST_UNSAVED {
                            unsaved.push(round, Instant::now());
                        } else {
                            unsaved.not_kept += 1;
                        }
                    }
                    Some(Polled::Glance(asked)) => drop(ingest.take(*asked)),
                    Some(Polled::RoundOver) => unsaved.round_over(),
                    None => {
                        open = false;
                        unsaved.round_over();
                    }
                },
                _ = ages.tick() => ingest.newest.age(ingest.clock.now().wall),
                () = time::sleep_until(due.unwrap_or_else(Instant::now)),
                    if kept.is_none() && due.is_some() => break,
            }
        }
    }
}

impl Ingest {
    /// Shows what came of a question, tells whoever waits for it, and makes of it what is stored.
    fn take(&mut self, mut asked: Asked) -> MeterRound {
        let waiting = std::mem::take(&mut asked.reply);
        let readings: Vec<_> = match &mut asked.outcome {
            Outcome::Answered(readout) | Outcome::Told(readout) => {
                let readings = std::mem::take(&mut readout.readings);
                let profile = readout.profile.as_deref();
                let profiles = Arc::clone(&self.profiles.borrow());
                let kind = |reading: &Reading| wire::kind(&profiles, profile, &reading.register);
                let before = self.newest.of(asked.meter);
                let values = before.as_ref().map_or(&[][..], |it| it.values.as_slice());
                let outdoors = self.site.borrow().meter(asked.meter).is_some_and(|it| it.outdoor);
                let judged = |mut reading: Reading| {
                    let profile = profile.and_then(|id| profiles.get(id));
                    judge_growth(profile.as_deref(), values, &mut reading);
                    self.outdoors.judge(asked.meter, outdoors, &mut reading);
                    reading
                };
                readings.into_iter().map(judged).map(|it| (kind(&it), it)).collect()
            }
            Outcome::Failed(_) | Outcome::NotAsked => Vec::new(),
        };
        let values = readings.iter().map(|(kind, reading)| LiveValue {
            register: reading.register.clone(),
            value: reading.value,
            kind: *kind,
            quality: reading.quality,
            origin: reading.origin,
            at: reading.at.wall,
        });
        let live = self.newest.asked(&asked, values.collect());
        for reply in waiting {
            // Whoever asked may have gone away.
            drop(reply.send(Ok(Arc::clone(&live))));
        }

        let Asked { meter, at, cycle, origin, outcome, .. } = asked;
        let (mut identity, mut telegrams, mut remembered) = (None, Vec::new(), Vec::new());
        let outcome = match outcome {
            Outcome::Answered(readout) | Outcome::Told(readout) => {
                self.learn(meter, &readout);
                // What a simulated meter remembers could not be told from what a real one does.
                if origin == Origin::Live {
                    remembered = self.remembered(&readout.remembered);
                }
                (identity, telegrams) = (Some(readout.identity), readout.telegrams);
                Ok(readings.into_iter().map(|(kind, reading)| (reading, kind)).collect())
            }
            Outcome::Failed(error) => Err(error.no_reading()),
            Outcome::NotAsked => Err(NoReading::NotAsked),
        };
        MeterRound { meter, cycle, asked: at, identity, outcome, origin, remembered, telegrams }
    }

    /// What a meter remembers, by the clock of the building.
    fn remembered(&self, remembered: &[drivers::Remembered]) -> Vec<Remembered> {
        let zone = self.site.borrow().time_zone;
        remembered.iter().filter_map(|it| recalled(it, zone)).collect()
    }

    /// Completes what is known of a meter by what it says of itself.
    fn learn(&self, meter: MeterId, readout: &Readout) {
        self.site.send_if_modified(|site| {
            let info = site.meters.iter().position(|info| info.id == meter);
            let Some(at) = info else { return false };
            let known = site.meters.get(at);
            let new_medium = readout.medium.filter(|_| known.is_some_and(|it| it.medium.is_none()));
            let new_profile =
                readout.profile.clone().filter(|_| known.is_some_and(|it| it.profile.is_none()));
            if new_medium.is_none() && new_profile.is_none() {
                return false;
            }
            if let Some(info) = Arc::make_mut(site).meters.get_mut(at) {
                info.medium = info.medium.or(new_medium);
                info.profile = info.profile.take().or(new_profile);
            }
            true
        });
    }

    fn saved(
        &mut self,
        unsaved: &mut Unsaved,
        kept: Vec<MeterRound>,
        outcome: Result<Stored, StoreError>,
    ) {
        match outcome {
            Ok(stored) => {
                unsaved.pause = FIRST_PAUSE;
                match std::mem::take(&mut unsaved.not_kept) {
                    0 => {}
                    lost => tracing::error!(lost, "answers were not kept while the store refused"),
                }
                for round in kept.iter().filter(|round| round.outcome.is_ok()) {
                    self.beyond.remove(&round.meter);
                }
                for meter in stored.left_out {
                    if self.beyond.insert(meter) {
                        tracing::error!(%meter, "{}", self.too_many_series(meter));
                    }
                }
                let trouble = self.beyond.first().map(|meter| self.too_many_series(*meter));
                self.board.change(|status| {
                    status.store.stored += stored.count;
                    status.store.trouble = trouble;
                });
            }
            Err(error) => {
                let waiting = kept.len() + unsaved.rounds.len();
                let not_kept = unsaved.not_kept;
                let trouble = crate::chain(&error);
                tracing::error!(error = trouble, waiting, not_kept, "readings are not stored yet");
                let wait = if waiting == 1 { "answer waits" } else { "answers wait" };
                let more = match not_kept {
                    0 => String::new(),
                    more => format!(", and {more} more were shown and not kept"),
                };
                let trouble = format!("{trouble}; {waiting} {wait} in memory{more}");
                self.board.change(|status| status.store.trouble = Some(trouble));
                unsaved.put_back(kept, Instant::now());
            }
        }
    }
}

impl Ingest {
    /// What a person has to know of a meter that is ever another.
    fn too_many_series(&self, meter: MeterId) -> String {
        let name = self.site.borrow().meter(meter).map(|info| info.name.clone());
        format!(
            "{} calls itself or its registers ever differently: it has {} series, and what would \
             begin another is not stored; see what answers there, and give the meter a new `id` in \
             site.toml when that is in order",
            name.unwrap_or_else(|| format!("meter {meter}")),
            store::MOST_SERIES
        )
    }
}

/// Marks a counter that grew faster since its value before than its profile holds possible.
fn judge_growth(profile: Option<&Profile>, before: &[LiveValue], reading: &mut Reading) {
    let spec = profile.and_then(|it| it.registers().find(|it| it.register == reading.register));
    let before = before.iter().find(|it| it.register == reading.register);
    let (Some(spec), Some(before), Ok(now)) = (spec, before, reading.value) else { return };
    let (Ok(then), Ok(ago)) = (before.value, (reading.at.wall - before.at).to_std()) else {
        return;
    };
    if reading.quality == Quality::Good {
        reading.quality = spec.judge_growth(then, now, ago);
    }
}

/// `remembered` at an instant; `None` in the hour that the building's clocks leave out.
///
/// Many meters keep winter time all year, and none says whether it does in what it remembers. So a
/// time in summer is an estimate: it may be an hour later. Of the hour that comes twice the first
/// one is taken.
fn recalled(remembered: &drivers::Remembered, zone: Tz) -> Option<Remembered> {
    let at = zone.from_local_datetime(&remembered.at).earliest()?;
    let in_summer = !at.offset().dst_offset().is_zero();
    let quality = match remembered.quality {
        Quality::Good if in_summer => Quality::TimeEstimated,
        quality => quality,
    };
    Some(Remembered {
        register: remembered.register.clone(),
        at_ms: at.timestamp_millis(),
        quantity: remembered.value,
        quality,
    })
}

/// What has come and is not stored.
#[derive(Debug)]
struct Unsaved {
    /// In the order in which they came.
    rounds: Vec<MeterRound>,
    /// When they are to be stored; `None` if there are none.
    due: Option<Instant>,
    /// Not before: the store has just refused.
    not_before: Option<Instant>,
    /// How long the store is left alone when it refuses again.
    pause: Duration,
    /// Answers for which there was no room, since the store last took something.
    not_kept: usize,
}

impl Default for Unsaved {
    fn default() -> Self {
        Self { rounds: Vec::new(), due: None, not_before: None, pause: FIRST_PAUSE, not_kept: 0 }
    }
}

impl Unsaved {
    fn push(&mut self, round: MeterRound, now: Instant) {
        self.rounds.push(round);
        self.due.get_or_insert(now + UNSAVED_AT_MOST);
    }

    /// There is no reason to wait any longer.
    fn round_over(&mut self) {
        self.due = (!self.rounds.is_empty()).then(Instant::now);
    }

    fn due(&self) -> Option<Instant> {
        self.due.max(self.due.and(self.not_before))
    }

    /// What is to be stored now.
    fn begin(&mut self, now: Instant) -> Option<Vec<MeterRound>> {
        self.due().filter(|due| *due <= now)?;
        self.due = None;
        self.not_before = None;
        Some(std::mem::take(&mut self.rounds))
    }

    /// What the store refused goes before what has come since.
    fn put_back(&mut self, mut refused: Vec<MeterRound>, now: Instant) {
        refused.append(&mut self.rounds);
        self.rounds = refused;
        self.due = Some(now);
        self.not_before = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

/// So old may a reading become that a power cut would take.
const UNSAVED_AT_MOST: Duration = Duration::from_mins(1);

/// Twenty minutes of 250 meters that are asked every minute, some 20 MB.
const MOST_UNSAVED: usize = 5_000;

/// A store that refused is asked again after so long, and then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A page that shows an old answer as new may be wrong for so long.
const AGE_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
