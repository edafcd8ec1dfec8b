//! The gateway's own values as a Modbus TCP server, for the building's management system (BMS).
//!
//! ```text
//! live values ─▶ points: each has its place for ever ─▶ block of 16 registers ─▶ BMS
//!                    │
//!                    └─▶ bms.points in the state directory, list as CSV and XLSX
//! ```
//!
//! | Module   | Is                                                         |
//! |----------|------------------------------------------------------------|
//! | `block`  | the registers of one value                                 |
//! | `frame`  | questions and answers as bytes                             |
//! | `points` | which value has which registers, for ever                  |
//!
//! Off until `[bms]` in `site.toml` says where it listens. Modbus has no passwords: who may connect
//! is told by address. Source: Modbus application protocol 1.1b3; Modbus messaging on TCP/IP 1.0b.
//!
//! **Never true:** anything is written through it; a register changes its meaning, because a meter
//! was added, renamed or removed; a value that nobody knows is a zero.

mod block;
mod frame;
mod points;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, Moment};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use web_ui::{BmsPoint, BmsStatus, Live, Site};

use crate::config;
use crate::restart::Task;
use frame::{Exception, Question};
pub(crate) use points::read;
use points::{BLOCK, Points};

/// The task: keeps the points, and serves them while the configuration says so.
#[derive(Debug)]
pub(crate) struct Bms {
    pub(crate) state: PathBuf,
    pub(crate) wanted: watch::Receiver<Option<config::Bms>>,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) shown: Arc<watch::Sender<Arc<BmsStatus>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: CancellationToken,
}

impl Task for Bms {
    fn name(&self) -> String {
        "bms".to_owned()
    }

    async fn live(&mut self) {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.run() => {}
        }
    }
}

impl Bms {
    async fn run(&mut self) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            self.shown.send_replace(Arc::default());
            let mut changed = self.wanted.clone();
            tokio::select! {
                () = serve_if(self, wanted) => {}
                gone = changed.changed() => if gone.is_err() { return },
            }
        }
    }

    /// Gives places to what has none yet, and shows all of them. A place that cannot be kept is
    /// not given: after a restart it could be another's.
    async fn assign(&self, points: &mut Points, told: &mut Option<String>) {
        let (site, live) = (Arc::clone(&self.site.borrow()), Arc::clone(&self.live.borrow()));
        let new = points.missing(&site, &live);
        let trouble = if new.is_empty() {
            None
        } else {
            let mut more = points.clone();
            let beyond = more.add(new);
            let kept = if more.len() == points.len() {
                Ok(Ok(()))
            } else {
                let (state, text) = (self.state.clone(), more.to_string());
                tokio::task::spawn_blocking(move || points::keep(&state, &text)).await
            };
            match kept {
                Ok(Ok(())) => {
                    *points = more;
                    (beyond > 0).then(|| {
                        format!("{beyond} values have no registers: there are no units left")
                    })
                }
                Ok(Err(error)) => Some(format!("new values have no registers yet: {error}")),
                Err(_) => Some("new values have no registers yet".to_owned()),
            }
        };
        if trouble != *told
            && let Some(trouble) = &trouble
        {
            tracing::error!(trouble, "the Modbus server for the building's management system");
        }
        *told = trouble;
    }
}

async fn serve_if(bms: &Bms, wanted: Option<config::Bms>) {
    let Some(config) = wanted else { return std::future::pending().await };
    let (state, clock) = (bms.state.clone(), Arc::clone(&bms.clock));
    let mut said = None;
    let mut points = loop {
        let state = state.clone();
        let kept = tokio::task::spawn_blocking(move || read(&state)).await;
        match kept {
            Ok(Ok(points)) => break points,
            // Begun anew, every register would mean something else.
            Ok(Err(error)) => {
                let trouble = format!("the list of registers cannot be read: {error}");
                if said.as_ref() != Some(&trouble) {
                    tracing::error!(
                        trouble,
                        "the Modbus server for the building's management system"
                    );
                    let status =
                        BmsStatus { trouble: Some(trouble.clone()), ..BmsStatus::default() };
                    bms.shown.send_replace(Arc::new(status));
                    said = Some(trouble);
                }
            }
            Err(_) => return,
        }
        // Somebody puts the file of a backup there.
        time::sleep(READ_AGAIN).await;
    };
    let begun = clock.now();
    let (served, space) =
        watch::channel(Arc::new(Space { points: points.clone(), base: config.unit, begun }));
    let mut told = None;
    let mut listening = Ok(None);
    let (at, mut bound) = watch::channel(Ok(None));
    let mut listener = std::pin::pin!(listen(bms, &config, space, at));
    let mut looks = time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut listener => return,
            Ok(()) = bound.changed() => listening.clone_from(&bound.borrow_and_update()),
            _ = looks.tick() => {}
        }
        let before = points.len();
        bms.assign(&mut points, &mut told).await;
        if points.len() != before {
            let space = Space { points: points.clone(), base: config.unit, begun };
            served.send_replace(Arc::new(space));
        }
        let status = BmsStatus {
            listening: listening.as_ref().ok().copied().flatten().map(|it| it.to_string()),
            unit: Some(config.unit),
            trouble: listening.as_ref().err().cloned().or_else(|| told.clone()),
            points: points.shown(config.unit),
        };
        bms.shown.send_if_modified(|shown| {
            let changed = **shown != status;
            if changed {
                *shown = Arc::new(status);
            }
            changed
        });
    }
}

/// What the registers are made of.
#[derive(Debug)]
struct Space {
    points: Points,
    /// The first unit.
    base: u8,
    begun: Moment,
}

/// Where the server listens, if it does yet; or why it cannot.
type Listening = Result<Option<SocketAddr>, String>;

/// Waits for connections; each has a task of its own, which ends with this future.
async fn listen(
    bms: &Bms,
    config: &config::Bms,
    space: watch::Receiver<Arc<Space>>,
    at: watch::Sender<Listening>,
) {
    let listener = bind(config.listen, &at).await;
    let address = listener.local_addr().unwrap_or(config.listen);
    tracing::info!(%address, unit = config.unit, "Modbus server for the building's management system");
    drop(at.send_replace(Ok(Some(address))));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, from)) = accepted else {
                    // No descriptor is left, mostly: one is soon.
                    time::sleep(AGAIN).await;
                    continue;
                };
                let from = from.ip().to_canonical();
                if !is_let_in(config, from) || connections.len() >= MOST_CONNECTIONS {
                    tracing::warn!(%from, connections = connections.len(), "not let in");
                    continue;
                }
                let registers = Registers {
                    space: space.clone(),
                    site: bms.site.clone(),
                    live: bms.live.clone(),
                    clock: Arc::clone(&bms.clock),
                };
                connections.spawn(converse(stream, registers));
            }
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Whether `from` may ask; everybody where the configuration names nobody.
fn is_let_in(config: &config::Bms, from: IpAddr) -> bool {
    config.clients.is_empty() || config.clients.contains(&from)
}

/// Tries until the port is free.
async fn bind(address: SocketAddr, at: &watch::Sender<Listening>) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if !said {
                    drop(at.send_replace(Err(format!("cannot listen at {address}: {error}"))));
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        %address,
                        error,
                        "the Modbus server cannot listen here; is another program on this port? \
                         Trying again until it is free"
                    );
                    said = true;
                }
            }
        }
        time::sleep(AGAIN).await;
    }
}

/// Answers the questions of one connection, one after the other, until it ends, says something
/// that is no Modbus, or is silent for [`IDLE`].
async fn converse(mut stream: TcpStream, registers: Registers) {
    drop(stream.set_nodelay(true));
    let mut heard = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let Ok(Ok(count @ 1..)) = time::timeout(IDLE, stream.read(&mut buffer)).await else {
            return;
        };
        heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
        loop {
            match Question::take(&mut heard) {
                Ok(Some(question)) => {
                    let answer = question
                        .answer(|unit, address, count| registers.words(unit, address, count));
                    let written = time::timeout(WRITE_WITHIN, stream.write_all(&answer)).await;
                    if !matches!(written, Ok(Ok(()))) {
                        return;
                    }
                }
                Ok(None) => break,
                Err(frame::NoModbus) => return,
            }
        }
    }
}

/// What a question is answered from: the newest of everything, as one.
#[derive(Debug)]
struct Registers {
    space: watch::Receiver<Arc<Space>>,
    site: watch::Receiver<Arc<Site>>,
    live: watch::Receiver<Arc<Live>>,
    clock: Arc<dyn Clock>,
}

impl Registers {
    fn words(&self, unit: u8, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        let space = Arc::clone(&self.space.borrow());
        let (site, live) = (Arc::clone(&self.site.borrow()), Arc::clone(&self.live.borrow()));
        let now = self.clock.now();
        // 0 and 255 are the device itself, as clients without a unit write them.
        let unit = if matches!(unit, 0 | 255) { space.base } else { unit };
        let page = usize::from(unit.checked_sub(space.base).ok_or(Exception::NoSuchUnit)?);
        let places = space.points.on_page(page).ok_or(Exception::NoSuchUnit)?;

        let end = u32::from(address) + u32::from(count);
        let blocks = u32::from(address) / u32::from(BLOCK)..=(end - 1) / u32::from(BLOCK);
        let mut words = Vec::new();
        for index in blocks {
            let block = match usize::try_from(index).unwrap_or_default().checked_sub(1) {
                None => block::head(places.len(), &space.begun, &now),
                Some(place) => {
                    let point = places.get(place).ok_or(Exception::NoSuchRegister)?;
                    block::of(point, &site, &live, now.wall)
                }
            };
            words.extend(block);
        }
        let skip = usize::from(address % BLOCK);
        Ok(words.into_iter().skip(skip).take(count.into()).collect())
    }
}

/// For the list: `meter` may have another name by now, its place is the same.
impl From<&points::Point> for BmsPoint {
    fn from(point: &points::Point) -> Self {
        Self {
            unit: 0,
            address: 0,
            meter: point.meter,
            register: point.register.clone(),
            resolution: point.resolution,
        }
    }
}

/// New values appear on the list within this.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A management system has one connection, a spare one and a technician's.
const MOST_CONNECTIONS: usize = 16;
/// A management system that asks once in a quarter of an hour keeps its connection.
const IDLE: Duration = Duration::from_mins(20);
/// Whoever does not take an answer of 260 bytes for so long has gone away.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How soon a list that cannot be read is looked at again.
const READ_AGAIN: Duration = Duration::from_secs(30);
/// How soon a port that was taken is tried again.
const AGAIN: Duration = Duration::from_secs(2);
