//! The buses that run: one task each, started anew when the configuration of its wire changes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use drivers::pulse::Counts;
use drivers::{Keyring, Profiles};
use metering::{Clock, MeterId};
use store::Core;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web_ui::{Live, NotRead, NotScanned, ScanOrder, ScanStatus};

use crate::board::Board;
use crate::config::Site;
use crate::cycle::Cycles;
use crate::listen;
use crate::poll::{self, AskNow, Kept, Lines, Polled, Reply, ScanNow};
use crate::restart::{Task, restarted};
use crate::wire::{Wire, Wiring};

/// The tasks, and what each new one is given.
#[derive(Debug)]
pub(crate) struct Buses {
    running: HashMap<String, Running>,
    parts: Parts,
}

/// What every bus's task is given.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) keys: watch::Receiver<Arc<Keyring>>,
    pub(crate) polled: mpsc::Sender<Polled>,
    pub(crate) board: Board,
    pub(crate) cycles: Arc<Cycles>,
    pub(crate) core: Core,
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) counts: Counts,
    /// Where the gateway's own broker has its socket.
    pub(crate) state: PathBuf,
    pub(crate) shutdown: CancellationToken,
}

#[derive(Debug)]
struct Running {
    wiring: Wiring,
    profiles: Arc<Profiles>,
    leave: CancellationToken,
    wishes: mpsc::Sender<AskNow>,
    scans: mpsc::Sender<ScanNow>,
    survey: Kept,
    task: JoinHandle<()>,
}

impl Buses {
    /// None yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { running: HashMap::new(), parts }
    }

    /// Other profiles are known: at the next [`take_over`](Self::take_over) every bus begins anew.
    pub(crate) fn know(&mut self, profiles: Arc<Profiles>) {
        self.parts.profiles = profiles;
    }

    /// Makes the buses of `site` run, and no others.
    ///
    /// A bus whose wiring is the same goes on undisturbed. One that changed ends after the question
    /// that is under way; only then is its port opened anew, and what was due is asked then.
    pub(crate) fn take_over(&mut self, site: &Site) {
        self.parts.board.set_buses(site.buses.iter().map(|bus| bus.id.clone()));
        let mut wanted: HashMap<String, Wiring> = site
            .buses
            .iter()
            .map(|bus| (bus.id.clone(), Wiring::of(bus, site.time_zone)))
            .collect();

        let mut leaving = Vec::new();
        let mut kept = HashMap::new();
        for (id, running) in self.running.drain() {
            let same_types = Arc::ptr_eq(&running.profiles, &self.parts.profiles);
            if same_types && wanted.get(&id) == Some(&running.wiring) {
                wanted.remove(&id);
                kept.insert(id, running);
            } else {
                running.leave.cancel();
                leaving.push((id, running));
            }
        }
        self.running = kept;

        for (id, wiring) in wanted {
            // A bus may have got another id and kept its port, so each new one waits for all that
            // leave a port that it wants, or had its id.
            let (before, others): (Vec<_>, Vec<_>) = leaving
                .drain(..)
                .partition(|(old, it)| *old == id || it.wiring.port() == wiring.port());
            leaving = others;
            tracing::info!(bus = id, meters = wiring.meters(), "bus started");
            let running = self.start(wiring, before.into_iter().map(|(_, it)| it).collect());
            self.running.insert(id, running);
        }
        for (id, _) in leaving {
            tracing::info!(bus = id, "bus ended");
        }
    }

    /// Asks a meter between the polls, on the bus `id`.
    pub(crate) fn ask_now(&self, id: &str, meter: MeterId, reply: Reply) {
        // Whoever asked may have gone away: then the reply fails, and nobody misses it.
        let Some(bus) = self.running.get(id) else {
            return drop(reply.send(Err(NotRead::Unknown)));
        };
        if let Err(refused) = bus.wishes.try_send(AskNow { meter, reply }) {
            drop(refused.into_inner().reply.send(Err(NotRead::Busy)));
        }
    }

    /// Starts a scan of the bus `id`, or changes how it goes.
    pub(crate) fn scan(
        &self,
        id: &str,
        order: ScanOrder,
        reply: oneshot::Sender<Result<Arc<ScanStatus>, NotScanned>>,
    ) {
        let refused = match self.running.get(id) {
            None => (NotScanned::NoSuchBus, reply),
            Some(bus) if !bus.wiring.can_be_scanned(order) => (NotScanned::Kind, reply),
            Some(bus) => match bus.scans.try_send(ScanNow { order, reply }) {
                Ok(()) => return,
                Err(full) => (NotScanned::Busy, full.into_inner().reply),
            },
        };
        let (why, reply) = refused;
        drop(reply.send(Err(why)));
    }

    /// The tasks, which end by themselves at the shutdown, and the last end of their queue.
    pub(crate) fn stop(self) -> (Vec<JoinHandle<()>>, mpsc::Sender<Polled>) {
        let tasks = self.running.into_values().map(|running| running.task).collect();
        (tasks, self.parts.polled)
    }

    fn start(&self, wiring: Wiring, before: Vec<Running>) -> Running {
        let (wishes, wished) = mpsc::channel(MOST_WISHES);
        let (scans, scan_wished) = mpsc::channel(MOST_WISHES);
        // A scan goes on over the same wire alone.
        let same_wire = |it: &&Running| it.wiring.has_wire_of(&wiring);
        let survey = before.iter().find(same_wire).map(|it| it.survey.clone()).unwrap_or_default();
        let leave = CancellationToken::new();
        let parts = self.parts.clone();
        let lines = Lines {
            wishes: wished,
            scans: scan_wished,
            survey: survey.clone(),
            keys: parts.keys,
            polled: parts.polled,
            board: parts.board,
            cycles: parts.cycles,
            core: Some(parts.core),
            leave: leave.clone(),
            shutdown: parts.shutdown.clone(),
        };
        // Ends at the shutdown and when another plan takes over.
        let stop = parts.shutdown.child_token();
        let unchanged: Vec<MeterId> =
            before.iter().flat_map(|it| wiring.unchanged_meters(&it.wiring)).collect();
        let profiles = Arc::clone(&parts.profiles);
        let bus = BusTask {
            wiring: wiring.clone(),
            unchanged,
            lines,
            clock: parts.clock,
            profiles: parts.profiles,
            live: parts.live,
            counts: parts.counts,
            state: parts.state,
            stop: stop.clone(),
        };
        let task = tokio::spawn(async move {
            for bus in before {
                // It may have panicked, which was said; its port is free in any case.
                drop(bus.task.await);
            }
            restarted(bus, stop).await;
        });
        Running { wiring, profiles, leave, wishes, scans, survey, task }
    }
}

/// One bus's task.
#[derive(Debug)]
struct BusTask {
    wiring: Wiring,
    /// The meters that the plan before asked in the same way.
    unchanged: Vec<MeterId>,
    lines: Lines,
    clock: Arc<dyn Clock>,
    profiles: Arc<Profiles>,
    live: watch::Receiver<Arc<Live>>,
    counts: Counts,
    state: PathBuf,
    stop: CancellationToken,
}

impl Task for BusTask {
    fn name(&self) -> String {
        format!("bus {}", self.wiring.id())
    }

    async fn live(&mut self) {
        let plan = self.wiring.plan(&self.profiles, &answered(&self.live, &self.unchanged));
        let clock = Arc::clone(&self.clock);
        let keys = Arc::clone(&self.lines.keys.borrow_and_update());
        match self.wiring.wire(&self.profiles, &self.counts, &keys, &self.state) {
            Wire::Asked(mut bus) => poll::poll_bus(&mut bus, plan, clock, &mut self.lines).await,
            Wire::Listened(mut ear) => {
                listen::listen_bus(&mut ear, plan, clock, &mut self.lines).await;
            }
        }
        if self.lines.leave.is_cancelled() {
            self.stop.cancel();
        }
    }
}

/// When `meters` answered last.
fn answered(
    live: &watch::Receiver<Arc<Live>>,
    meters: &[MeterId],
) -> HashMap<MeterId, DateTime<Utc>> {
    let live = live.borrow();
    meters.iter().filter_map(|id| Some((*id, live.meters.get(id)?.last_answer?))).collect()
}

/// Of people who wait for meters of one bus: each may take seconds.
const MOST_WISHES: usize = 8;
