//! One task for each wire that is listened to: hears its meters and hands on what they said.
//!
//! ```text
//!  wishes ──mpsc(8)──▶ listen_bus ──mpsc(256)──▶ ingest ──▶ live values, at once
//!                          │                        └─────▶ store, at the end of a slot
//!                          └────▶ board (how the wire is doing; the last one holds)
//! ```
//!
//! A meter speaks when it wants to, some every two seconds. The pages show what it says, at most
//! every two seconds; the store gets, at the end of each of the meter's slots, the newest value of
//! every register that was heard in it, or the reason why there is none. What is said once, as the
//! register of an hour's end, is stored at once.
//!
//! When the queue to the store is full the task waits; what the meters say meanwhile is held by
//! the system's buffer, and beyond that is lost, as it is when nobody listens.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use drivers::{Heard, Keyring, Plaint, ReadError, Readout, Stranger};
use metering::{Clock, Moment, Reading};
use tokio::time::{self, Instant};
use web_ui::{BusState, HeardStranger, NotRead, Strangers};

use crate::poll::{AskNow, Asked, Lines, Outcome, Plan, Planned, Polled, Reply};

/// What is listened to. One method, so that a test can be a wire in ten lines.
pub(crate) trait Hear: Send {
    /// As [`drivers::Ear::hear`], cancellation and all.
    fn hear(&mut self, clock: &dyn Clock) -> impl Future<Output = Heard> + Send;

    /// As [`drivers::Ear::holds`].
    fn holds(&self, _index: usize) -> bool {
        false
    }

    /// As [`drivers::Ear::set_keys`].
    fn set_keys(&mut self, keys: &Arc<Keyring>);
}

impl Hear for drivers::Ear {
    async fn hear(&mut self, clock: &dyn Clock) -> Heard {
        Self::hear(self, clock).await
    }

    fn holds(&self, index: usize) -> bool {
        Self::holds(self, index)
    }

    fn set_keys(&mut self, keys: &Arc<Keyring>) {
        Self::set_keys(self, keys);
    }
}

/// Listens to the meters of `plan` with `ear` until it is told to leave.
pub(crate) async fn listen_bus(
    ear: &mut impl Hear,
    plan: Plan,
    clock: Arc<dyn Clock>,
    lines: &mut Lines,
) {
    let shutdown = lines.shutdown.clone();
    let mut bus = Listen::new(ear, plan, clock, lines);
    shutdown.run_until_cancelled(bus.run()).await;
}

struct Listen<'a, E> {
    ear: &'a mut E,
    bus: String,
    zone: chrono_tz::Tz,
    clock: Arc<dyn Clock>,
    lines: &'a mut Lines,
    meters: Vec<Heeded>,
    /// What was sent to the store and may still wait there for a reason to be stored.
    unstored: bool,
    /// When such a reason was last given.
    stored: Instant,
    heard: u64,
    failed: u64,
    /// Who else is heard, and when that was shown last.
    strangers: Arc<Strangers>,
    strangers_shown: Option<Instant>,
}

/// A meter that is listened to.
struct Heeded {
    planned: Planned,
    /// What it said in the slot under way that is not yet sent to the store.
    said: Option<Readout>,
    /// Whether anything of that slot was.
    is_told: bool,
    /// Whether it was listened to from the beginning of that slot.
    is_whole: bool,
    /// When that slot ends.
    ends: DateTime<Utc>,
    /// When it was last heard, or when the listening began.
    since: Instant,
    /// What has been wrong since it was last heard.
    error: Option<ReadError>,
    /// When it was last shown.
    shown: Option<Instant>,
    /// People who wait for it.
    waiting: Vec<Reply>,
    /// Since when the first of them does.
    asked: Option<Instant>,
}

/// The queue to the store is gone: nobody wants to know any more.
struct Gone;

impl<'a, E: Hear> Listen<'a, E> {
    fn new(ear: &'a mut E, plan: Plan, clock: Arc<dyn Clock>, lines: &'a mut Lines) -> Self {
        let now = clock.now().wall;
        let heeded = |planned: Planned| Heeded {
            ends: planned.poll_every.slot_after(now, plan.zone),
            planned,
            said: None,
            is_told: false,
            is_whole: false,
            since: Instant::now(),
            error: None,
            shown: None,
            waiting: Vec::new(),
            asked: None,
        };
        let meters = plan.meters.into_iter().map(heeded).collect();
        let (bus, zone) = (plan.bus, plan.zone);
        let stored = Instant::now();
        Self {
            ear,
            bus,
            zone,
            clock,
            lines,
            meters,
            unstored: false,
            stored,
            heard: 0,
            failed: 0,
            strangers: Arc::default(),
            strangers_shown: None,
        }
    }

    async fn run(&mut self) {
        while !self.lines.leave.is_cancelled() {
            if self.step().await.is_err() {
                return;
            }
        }
        // What was heard is stored before the next plan's task listens on.
        let now = self.clock.now();
        for index in 0..self.meters.len() {
            if self.tell(index, now).await.is_err() {
                return;
            }
        }
        let _gone = self.lines.polled.send(Polled::RoundOver).await;
    }

    async fn step(&mut self) -> Result<(), Gone> {
        let now = self.clock.now();
        self.end_slots(now).await?;
        self.give_up_wishes().await?;
        if self.lines.keys.has_changed().unwrap_or(false) {
            let keys = Arc::clone(&self.lines.keys.borrow_and_update());
            self.ear.set_keys(&keys);
        }
        let ends = self.meters.iter().map(|meter| meter.ends).min();
        let wait = ends.and_then(|ends| (ends - now.wall).to_std().ok());
        // A clock that is set while we wait is noticed half a minute later.
        let mut wait = wait.unwrap_or(Duration::MAX).min(Duration::from_secs(30));
        if self.meters.iter().any(|meter| meter.asked.is_some()) {
            wait = wait.min(Duration::from_secs(1));
        }
        tokio::select! {
            heard = self.ear.hear(&*self.clock) => self.heard(heard).await,
            () = time::sleep(wait) => Ok(()),
            () = self.lines.leave.cancelled() => Ok(()),
            Ok(()) = self.lines.keys.changed() => {
                self.lines.keys.mark_changed();
                Ok(())
            }
            wish = self.lines.wishes.recv() => match wish {
                Some(wish) => self.wish(wish).await,
                // The supervisor that held the other end is gone.
                None => Err(Gone),
            },
        }
    }

    async fn heard(&mut self, heard: Heard) -> Result<(), Gone> {
        let now = self.clock.now();
        match heard {
            Heard::Meter { index, readout, once } => {
                let Some(meter) = self.meters.get_mut(index) else { return Ok(()) };
                meter.hear(*readout);
                self.heard += 1;
                let heard = self.heard;
                self.show(|bus| (bus.state, bus.answered) = (BusState::Up, heard));
                // The first answer is stored at once: whoever has just installed the meter waits.
                let is_first = self.meters.get(index).is_some_and(|meter| meter.shown.is_none());
                if once || is_first {
                    self.tell(index, now).await
                } else {
                    self.glance(index).await
                }
            }
            Heard::Stranger(stranger) => {
                self.stranger(&stranger);
                Ok(())
            }
            Heard::Noise => {
                self.failed += 1;
                let failed = self.failed;
                self.show(|bus| bus.failed = failed);
                Ok(())
            }
            Heard::Trouble(Plaint { index, error }) => self.trouble(now, index, &error).await,
            Heard::Well => {
                self.show(|bus| bus.state = BusState::Up);
                for meter in &mut self.meters {
                    meter.error = None;
                    meter.since = Instant::now();
                }
                Ok(())
            }
        }
    }

    /// Somebody who is not configured is kept in mind, and shown now and then.
    fn stranger(&mut self, heard: &Stranger) {
        let strangers = Arc::make_mut(&mut self.strangers);
        let list = &mut strangers.heard;
        let now = HeardStranger {
            name: heard.name.clone(),
            identity: heard.identity.clone(),
            medium: heard.medium,
            rssi_dbm: heard.rssi_dbm,
            sealed: heard.sealed,
            at: heard.at.wall,
            count: 1,
        };
        if let Some(known) = list.iter_mut().find(|it| it.name == now.name) {
            let count = known.count + 1;
            *known = HeardStranger { count, rssi_dbm: now.rssi_dbm.or(known.rssi_dbm), ..now };
        } else {
            if list.len() >= MOST_STRANGERS {
                // Who was heard longest ago makes room.
                let oldest = list.iter().enumerate().min_by_key(|(_, it)| it.at);
                if let Some((oldest, _)) = oldest {
                    list.swap_remove(oldest);
                }
                strangers.forgotten += 1;
            }
            list.push(now);
        }
        if self.strangers_shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            self.strangers_shown = Some(Instant::now());
            let strangers = Arc::clone(&self.strangers);
            self.show(|bus| bus.strangers = Some(strangers));
        }
    }

    async fn trouble(
        &mut self,
        now: Moment,
        index: Option<usize>,
        error: &ReadError,
    ) -> Result<(), Gone> {
        let trouble = crate::told::trouble(error);
        tracing::debug!(bus = self.bus, error = trouble.text, "trouble");
        self.failed += 1;
        let failed = self.failed;
        let is_port = matches!(error, ReadError::Port { .. });
        self.show(|bus| {
            bus.state = if is_port { BusState::Down } else { BusState::Up };
            bus.failed = failed;
            bus.last_error = Some((now.wall, trouble));
        });
        // A garbled message between good ones is a matter of the wire; one meter's silence is shown.
        let shown = is_port || matches!(error, ReadError::Quiet { .. });
        for (at, meter) in self.meters.iter_mut().enumerate() {
            if index.is_none_or(|index| index == at) {
                meter.error = Some(error.clone());
                if shown {
                    let asked =
                        meter.asked(&self.lines.cycles, now, Outcome::Failed(error.clone()));
                    let glance = Polled::Glance(Box::new(asked));
                    self.lines.polled.send(glance).await.map_err(|_gone| Gone)?;
                }
            }
        }
        Ok(())
    }

    /// Shows what a meter has said in this slot, if it was not shown just now.
    async fn glance(&mut self, index: usize) -> Result<(), Gone> {
        let Some(meter) = self.meters.get_mut(index) else { return Ok(()) };
        let just_now = meter.shown.is_some_and(|shown| shown.elapsed() < SHOWN_EVERY);
        let Some(said) = meter.said.clone() else { return Ok(()) };
        if just_now && meter.waiting.is_empty() {
            return Ok(());
        }
        meter.shown = Some(Instant::now());
        let at = self.clock.now();
        let asked = meter.asked(&self.lines.cycles, at, Outcome::Told(said));
        self.lines.polled.send(Polled::Glance(Box::new(asked))).await.map_err(|_gone| Gone)
    }

    /// Sends what a meter has said in this slot to the store.
    async fn tell(&mut self, index: usize, at: Moment) -> Result<(), Gone> {
        let Some(meter) = self.meters.get_mut(index) else { return Ok(()) };
        let Some(said) = meter.said.take() else { return Ok(()) };
        meter.shown = Some(Instant::now());
        meter.is_told = true;
        let asked = meter.asked(&self.lines.cycles, at, Outcome::Told(said));
        self.unstored = true;
        self.lines.polled.send(Polled::Meter(Box::new(asked))).await.map_err(|_gone| Gone)
    }

    /// Sends what is due, and the reason where nothing was heard.
    async fn end_slots(&mut self, now: Moment) -> Result<(), Gone> {
        for index in 0..self.meters.len() {
            let Some(meter) = self.meters.get_mut(index) else { break };
            // A clock that was set back begins a slot that ends sooner.
            let next = meter.planned.poll_every.slot_after(now.wall, self.zone);
            if next == meter.ends {
                continue;
            }
            meter.ends = next;
            let was_whole = std::mem::replace(&mut meter.is_whole, true);
            let was_told = std::mem::take(&mut meter.is_told);
            if meter.said.is_some() {
                self.tell(index, now).await?;
                if let Some(meter) = self.meters.get_mut(index) {
                    meter.is_told = false;
                }
            } else if was_whole && !was_told && !self.ear.holds(index) {
                let outcome = Outcome::Failed(meter.absence());
                let asked = meter.asked(&self.lines.cycles, now, outcome);
                self.unstored = true;
                let polled = Polled::Meter(Box::new(asked));
                self.lines.polled.send(polled).await.map_err(|_gone| Gone)?;
            }
        }
        if self.unstored && self.stored.elapsed() >= STORED_EVERY {
            (self.unstored, self.stored) = (false, Instant::now());
            self.lines.polled.send(Polled::RoundOver).await.map_err(|_gone| Gone)?;
        }
        Ok(())
    }

    async fn wish(&mut self, wish: AskNow) -> Result<(), Gone> {
        let index = self.meters.iter().position(|it| it.planned.meter.id == wish.meter);
        let Some((index, meter)) = index.and_then(|at| Some((at, self.meters.get_mut(at)?))) else {
            // Whoever asked has gone away if this fails, and so for every reply.
            drop(wish.reply.send(Err(NotRead::Unknown)));
            return Ok(());
        };
        meter.waiting.push(wish.reply);
        meter.asked.get_or_insert_with(Instant::now);
        // What it has just said is as new as what it would say.
        self.glance(index).await
    }

    /// A meter that speaks when it wants to cannot be asked: whoever has waited long enough is
    /// shown what it said last.
    async fn give_up_wishes(&mut self) -> Result<(), Gone> {
        for meter in &mut self.meters {
            if meter.asked.is_some_and(|asked| asked.elapsed() >= WAITED_FOR) {
                let asked = meter.asked(&self.lines.cycles, self.clock.now(), Outcome::NotAsked);
                let glance = Polled::Glance(Box::new(asked));
                self.lines.polled.send(glance).await.map_err(|_gone| Gone)?;
            }
        }
        Ok(())
    }

    /// Shows how the wire is doing, after `change`.
    fn show(&self, change: impl FnOnce(&mut web_ui::BusStatus)) {
        self.lines.board.bus(&self.bus, change);
    }
}

impl Heeded {
    /// Takes over what was said: of each register the newest value.
    fn hear(&mut self, readout: Readout) {
        self.since = Instant::now();
        self.error = None;
        let Some(said) = &mut self.said else {
            self.said = Some(readout);
            return;
        };
        let before = std::mem::replace(said, readout);
        let kept =
            |old: &Reading| !said.readings.iter().any(|reading| reading.register == old.register);
        let kept: Vec<_> = before.readings.into_iter().filter(kept).take(MOST_READINGS).collect();
        said.readings.extend(kept);
        if said.identity.serial.is_empty() {
            said.identity = before.identity;
        }
        said.remembered.extend(before.remembered);
        said.remembered.truncate(MOST_READINGS);
    }

    /// Why nothing was heard of it in a whole slot.
    fn absence(&self) -> ReadError {
        self.error.clone().unwrap_or(ReadError::Quiet {
            address: self.planned.meter.address,
            waited: self.since.elapsed(),
        })
    }

    fn asked(&mut self, cycles: &crate::cycle::Cycles, at: Moment, outcome: Outcome) -> Asked {
        let (meter, origin) = (self.planned.meter.id, self.planned.meter.origin);
        let reply = if let Outcome::Failed(_) = outcome {
            Vec::new()
        } else {
            self.asked = None;
            std::mem::take(&mut self.waiting)
        };
        Asked { meter, at, cycle: cycles.next(), origin, outcome, reply }
    }
}

/// A page that changes more often is not read, and each change is sent to every browser.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// Two hundred meters that speak within seconds of each other are one commit.
const STORED_EVERY: Duration = Duration::from_secs(2);

/// The slowest meter at a customer port pushes every ten seconds.
const WAITED_FOR: Duration = Duration::from_secs(12);

/// Meters of the neighbours: a block of flats has some hundreds.
const MOST_STRANGERS: usize = 500;

/// More registers than any meter has.
const MOST_READINGS: usize = 256;

#[cfg(test)]
mod tests;
