//! One task for each bus: asks its meters when they are due and hands on what they said.
//!
//! ```text
//!  wishes ──mpsc(8)──▶ poll_bus ──mpsc(256)──▶ ingest ──▶ store, live values
//!  scans  ──mpsc(8)──▶     └────▶ board (how the bus is doing; the last one holds)
//! ```
//!
//! The task owns its bus, so a wire is never asked two things at once and needs no lock. When the
//! queue to the store is full the task waits and the bus is polled less often: readings are late,
//! never lost. A slot that a slow bus made us miss is recorded as not asked, and not made up for.
//! A person's wish that finds eight others before it is told that the bus is busy.

pub(crate) mod doctor;
mod lessons;
mod queue;
mod survey;
mod times;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use drivers::{Keyring, Load, ReadError, Readout, Scan, ScanStep};
use metering::{Clock, MeterId, Moment, Origin};
use store::Core;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use web_ui::{BusState, LiveMeter, NotRead, NotScanned, ScanOrder, ScanState};

use crate::board::Board;
use crate::config::PollEvery;
use crate::cycle::Cycles;
use doctor::DoctorsRound;
use lessons::Lessons;
use queue::{Next, Queue};
use survey::Survey;
pub(crate) use survey::{Kept, ScanNow};
use times::Times;

/// What is asked of a bus. Few methods, so that a test can be a bus in ten lines.
pub(crate) trait Wire: Send {
    /// As [`drivers::Bus::read`], cancellation and all.
    fn read(
        &mut self,
        meter: &drivers::Meter,
        clock: &dyn Clock,
    ) -> impl Future<Output = Result<Readout, ReadError>> + Send;

    /// As [`drivers::Bus::scan_step`], cancellation and all.
    fn scan_step(
        &mut self,
        scan: &mut Scan,
        clock: &dyn Clock,
    ) -> impl Future<Output = Result<ScanStep, ReadError>> + Send;

    /// As [`drivers::Bus::set_keys`].
    fn set_keys(&mut self, _keys: &Arc<Keyring>) {}

    /// As [`drivers::Bus::lessons`].
    fn lessons(&self) -> Option<String> {
        None
    }

    /// As [`drivers::Bus::recall`].
    fn recall(&mut self, _lessons: &str) {}

    /// As [`drivers::Bus::traffic`].
    fn traffic(&self) -> Option<&mbus::Traffic> {
        None
    }
}

impl Wire for drivers::Bus {
    async fn read(
        &mut self,
        meter: &drivers::Meter,
        clock: &dyn Clock,
    ) -> Result<Readout, ReadError> {
        Self::read(self, meter, clock).await
    }

    async fn scan_step(
        &mut self,
        scan: &mut Scan,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        Self::scan_step(self, scan, clock).await
    }

    fn set_keys(&mut self, keys: &Arc<Keyring>) {
        Self::set_keys(self, Arc::clone(keys));
    }

    fn lessons(&self) -> Option<String> {
        Self::lessons(self)
    }

    fn recall(&mut self, lessons: &str) {
        Self::recall(self, lessons);
    }

    fn traffic(&self) -> Option<&mbus::Traffic> {
        Self::traffic(self)
    }
}

/// A bus and when its meters are asked.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// As in the configuration.
    pub(crate) bus: String,
    /// The building's, whose midnight the slots are counted from.
    pub(crate) zone: Tz,
    /// The longest that one question may take.
    pub(crate) longest: Duration,
    /// What the wire carries.
    pub(crate) load: Load,
    /// In the order of the configuration.
    pub(crate) meters: Vec<Planned>,
}

/// A meter and when it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) meter: drivers::Meter,
    pub(crate) poll_every: PollEvery,
    /// When it last answered; in the slot under way it is not asked again.
    pub(crate) answered: Option<DateTime<Utc>>,
}

/// What goes to the store.
#[derive(Debug)]
pub(crate) enum Polled {
    /// A meter's slot came to its end, or a person's wish.
    Meter(Box<Asked>),
    /// As that, to be shown and not stored: a meter that speaks unasked said something.
    Glance(Box<Asked>),
    /// Nobody on the bus is due any more: what was read is to be stored.
    RoundOver,
}

/// What one meter said when it was asked, or why it said nothing.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who.
    pub(crate) meter: MeterId,
    /// When, for the last time. Readings have a time of their own: that of the answer.
    pub(crate) at: Moment,
    /// Which question of this gateway: a later one has a higher number.
    pub(crate) cycle: u64,
    /// How its answers come: `simulated` of a simulated meter, also where there is none.
    pub(crate) origin: Origin,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Who waits for it.
    pub(crate) reply: Vec<Reply>,
}

/// How a slot of a meter ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With an answer.
    Answered(Readout),
    /// Unasked: what it leaves out still holds.
    Told(Readout),
    /// With the last of its tries.
    Failed(ReadError),
    /// Without a question.
    NotAsked,
}

/// A wish to ask a meter at once.
#[derive(Debug)]
pub(crate) struct AskNow {
    /// Which one.
    pub(crate) meter: MeterId,
    /// The entry of the live values that comes of it.
    pub(crate) reply: Reply,
}

/// Where somebody waits for a meter's answer.
pub(crate) type Reply = oneshot::Sender<Result<Arc<LiveMeter>, NotRead>>;

/// The ends of the queues that a bus's task holds.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Wishes come in.
    pub(crate) wishes: mpsc::Receiver<AskNow>,
    /// So does what is wanted of a scan.
    pub(crate) scans: mpsc::Receiver<ScanNow>,
    /// The scan, from one plan to the next.
    pub(crate) survey: Kept,
    /// The keys of meters that encrypt.
    pub(crate) keys: watch::Receiver<Arc<Keyring>>,
    /// Answers go out.
    pub(crate) polled: mpsc::Sender<Polled>,
    /// How the bus is doing goes there.
    pub(crate) board: Board,
    /// What is known of each wire is kept there; `None` keeps nothing.
    pub(crate) core: Option<Core>,
    /// Numbers of questions come from there.
    pub(crate) cycles: Arc<Cycles>,
    /// Ends the task after the question that is under way: another plan takes over.
    pub(crate) leave: CancellationToken,
    /// Ends it at once. The question under way is dropped: its answer would find no store.
    pub(crate) shutdown: CancellationToken,
}

/// Asks the meters of `plan` over `wire` until it is told to leave.
pub(crate) async fn poll_bus(
    wire: &mut impl Wire,
    plan: Plan,
    clock: Arc<dyn Clock>,
    lines: &mut Lines,
) {
    let shutdown = lines.shutdown.clone();
    let doctor = DoctorsRound::begin(&plan, lines.core.clone()).await;
    let lessons = Lessons::begin(&plan.bus, lines.core.clone(), wire, clock.now().wall).await;
    let survey = lines.survey.take();
    let mut bus = Poll::new(wire, plan, clock, lines, (doctor, lessons), survey);
    bus.take_up_scan();
    shutdown.run_until_cancelled(bus.run()).await;
    bus.lines.survey.put(bus.survey.take());
    bus.doctor.keep().await;
    bus.lessons.keep(bus.wire, bus.clock.now().wall).await;
}

struct Poll<'a, W> {
    wire: &'a mut W,
    plan: Plan,
    clock: Arc<dyn Clock>,
    lines: &'a mut Lines,
    queue: Queue,
    /// Who waits for which meter.
    waiting: Vec<(usize, Reply)>,
    times: Times,
    doctor: DoctorsRound,
    lessons: Lessons,
    /// The scan that is under way or was the last.
    survey: Option<Survey>,
    /// When the round under way began.
    round: Option<Instant>,
}

/// The queue to the store is gone: nobody wants to know any more.
struct Gone;

impl<'a, W: Wire> Poll<'a, W> {
    fn new(
        wire: &'a mut W,
        plan: Plan,
        clock: Arc<dyn Clock>,
        lines: &'a mut Lines,
        (doctor, lessons): (DoctorsRound, Lessons),
        survey: Option<Survey>,
    ) -> Self {
        let meters = plan.meters.iter().map(|planned| (planned.poll_every, planned.answered));
        let queue = Queue::new(plan.zone, plan.longest, meters, clock.now().wall);
        let (waiting, times, round) = (Vec::new(), Times::default(), None);
        Self { wire, plan, clock, lines, queue, waiting, times, doctor, lessons, survey, round }
    }

    async fn run(&mut self) {
        while !self.lines.leave.is_cancelled() {
            while let Ok(wish) = self.lines.wishes.try_recv() {
                self.wish(wish);
            }
            while let Ok(wish) = self.lines.scans.try_recv() {
                self.scan_wish(wish);
            }
            if self.step().await.is_err() {
                return;
            }
        }
        // What was read is stored before the next plan's task reads on.
        let _gone = self.round_over().await;
    }

    async fn step(&mut self) -> Result<(), Gone> {
        let now = self.clock.now();
        for missed in self.queue.begin_slots(now.wall) {
            let outcome = missed.error.map_or(Outcome::NotAsked, Outcome::Failed);
            self.tell(missed.index, now, outcome).await?;
        }
        match self.queue.next(now.wall) {
            Next::Ask(index, within) => self.ask(index, within).await,
            Next::Wait { until, idle } => {
                if idle {
                    self.round_over().await?;
                }
                let scan = self.survey.as_ref().and_then(Survey::due_in);
                if scan.is_some_and(|wait| wait.is_zero()) {
                    self.scan_step().await;
                    return Ok(());
                }
                // A clock that is set while we wait is noticed half a minute later.
                let wait = (until - now.wall).to_std().unwrap_or_default();
                let wait = wait.min(scan.unwrap_or(Duration::from_secs(30)));
                let wait = wait.min(Duration::from_secs(30));
                tokio::select! {
                    () = time::sleep(wait) => {}
                    () = self.lines.leave.cancelled() => {}
                    wish = self.lines.wishes.recv() => match wish {
                        Some(wish) => self.wish(wish),
                        // The supervisor that held the other end is gone.
                        None => return Err(Gone),
                    },
                    wish = self.lines.scans.recv() => match wish {
                        Some(wish) => self.scan_wish(wish),
                        None => return Err(Gone),
                    },
                }
                Ok(())
            }
        }
    }

    async fn ask(&mut self, index: usize, within: Duration) -> Result<(), Gone> {
        if self.lines.keys.has_changed().unwrap_or(false) {
            let keys = Arc::clone(&self.lines.keys.borrow_and_update());
            self.wire.set_keys(&keys);
        }
        let Some(planned) = self.plan.meters.get(index) else { return Ok(()) };
        let begun = Instant::now();
        self.round.get_or_insert(begun);
        let at = self.clock.now();
        let asked = self.wire.read(&planned.meter, &*self.clock);
        let outcome = time::timeout(within, asked).await.unwrap_or_else(|_elapsed| {
            let address = planned.meter.address;
            Err(ReadError::Silent { address, waited: within })
        });
        let outcome = match self.wire.traffic() {
            Some(traffic) => self.doctor.hear(&planned.meter, at, traffic, outcome),
            None => outcome,
        };
        self.doctor.show(&self.lines.board);
        let took = begun.elapsed();
        let bus_is_up = !matches!(outcome, Err(ReadError::Port { .. }));
        match outcome {
            Ok(readout) => {
                self.queue.answered(index, took);
                self.times.answered(took);
                self.show(|bus| bus.state = BusState::Up);
                self.tell(index, at, Outcome::Answered(readout)).await
            }
            Err(error) => {
                let trouble = crate::told::trouble(&error);
                let meter = planned.meter.id;
                tracing::debug!(bus = self.plan.bus, %meter, error = trouble.text, "no answer");
                self.times.failed();
                let wall = at.wall;
                self.show(move |bus| {
                    bus.state = if bus_is_up { BusState::Up } else { BusState::Down };
                    bus.last_error = Some((wall, trouble));
                });
                match self.queue.failed(index, error, self.clock.now().wall) {
                    Some(error) => self.tell(index, at, Outcome::Failed(error)).await,
                    None => Ok(()),
                }
            }
        }
    }

    fn wish(&mut self, wish: AskNow) {
        match self.plan.meters.iter().position(|it| it.meter.id == wish.meter) {
            Some(index) => {
                self.queue.ask_now(index, self.clock.now().wall);
                self.waiting.push((index, wish.reply));
            }
            // Whoever asked has gone away if this fails, and so for every reply.
            None => drop(wish.reply.send(Err(NotRead::Unknown))),
        }
    }

    /// Goes on with the scan of the plan before, if there is one.
    fn take_up_scan(&mut self) {
        if let Some(survey) = &mut self.survey {
            survey.compare(&self.doctor.known());
            return self.show_scan();
        }
        // One that was under way on another wire, or in a life of this task that ended in a panic.
        let at = self.clock.now().wall;
        self.show(|bus| {
            if let Some(scan) = &mut bus.scan
                && scan.state.is_under_way()
            {
                let scan = Arc::make_mut(scan);
                (scan.state, scan.ended) = (ScanState::Cancelled, Some(at));
                (scan.place, scan.rest) = (None, None);
            }
        });
    }

    fn scan_wish(&mut self, ScanNow { order, reply }: ScanNow) {
        let at = self.clock.now().wall;
        let done = match (&mut self.survey, order) {
            (Some(survey), order) if survey.is_under_way() => survey.obey(order, at),
            (_, ScanOrder::Start(kind)) => {
                self.survey = Some(Survey::begin(kind, &self.doctor.known(), at));
                Ok(())
            }
            _ => Err(NotScanned::Nothing),
        };
        if done.is_ok() {
            tracing::info!(bus = self.plan.bus, ?order, "scan");
        }
        let told = match (&self.survey, done) {
            (Some(survey), Ok(())) => Ok(survey.status()),
            (None, Ok(())) => Err(NotScanned::Nothing),
            (_, Err(refused)) => Err(refused),
        };
        self.show_scan();
        // Whoever asked has gone away if this fails.
        drop(reply.send(told));
    }

    async fn scan_step(&mut self) {
        let Some(survey) = &mut self.survey else { return };
        let step = self.wire.scan_step(survey.scan(), &*self.clock);
        let within = self.plan.longest;
        let step = time::timeout(within, step).await.unwrap_or_else(|_elapsed| {
            let address = survey.scan().place().unwrap_or(drivers::MeterAddress::Primary(0));
            Err(ReadError::Silent { address, waited: within })
        });
        survey.note(step, &self.doctor.known(), self.clock.now().wall);
        if !survey.is_under_way() {
            let found = survey.status().found.len();
            tracing::info!(bus = self.plan.bus, found, "the scan has ended");
        }
        self.show_scan();
    }

    fn show_scan(&self) {
        if let Some(survey) = &self.survey {
            let status = survey.status();
            self.show(|bus| bus.scan = Some(status));
        }
    }

    async fn tell(&mut self, index: usize, at: Moment, outcome: Outcome) -> Result<(), Gone> {
        let Some(planned) = self.plan.meters.get(index) else { return Ok(()) };
        let answers_wishes = !matches!(outcome, Outcome::NotAsked);
        let mut reply = Vec::new();
        if answers_wishes {
            for (_, waiting) in self.waiting.extract_if(.., |(waiting, _)| *waiting == index) {
                reply.push(waiting);
            }
        }
        let (meter, origin) = (planned.meter.id, planned.meter.origin);
        let cycle = self.lines.cycles.next();
        let asked = Asked { meter, at, cycle, origin, outcome, reply };
        self.lines.polled.send(Polled::Meter(Box::new(asked))).await.map_err(|_gone| Gone)
    }

    async fn round_over(&mut self) -> Result<(), Gone> {
        let Some(begun) = self.round.take() else { return Ok(()) };
        let round = begun.elapsed();
        self.show(|bus| bus.round = Some(round));
        self.doctor.round_over(&self.lines.board).await;
        self.lessons.keep(self.wire, self.clock.now().wall).await;
        self.lines.polled.send(Polled::RoundOver).await.map_err(|_gone| Gone)
    }

    /// Shows how the bus is doing, after `change`.
    fn show(&self, change: impl FnOnce(&mut web_ui::BusStatus)) {
        self.lines.board.bus(&self.plan.bus, |bus| {
            self.times.show(bus);
            change(bus);
        });
    }
}

#[cfg(test)]
mod tests;
