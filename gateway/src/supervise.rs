//! Starts the parts of the daemon in order, keeps them running, and stops them in reverse.
//!
//! ```text
//! start   keys ▶ store ▶ site.toml ▶ ingest ▶ broker ▶ buses ▶ housekeeping, cloud ▶ pages ▶ READY
//! stop    buses ▶ ingest, to the last reading ▶ cloud, pages ▶ store       within 5 s
//! ```

use std::collections::BTreeSet;
use std::future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use drivers::pulse::Counts;
use metering::Clock;
use sd_notify::NotifyState;
use store::{Core, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use web_ui::{Chronicle, Handles, NotRead, WebUi, Wish};

use self::between::{beating, beats, close};
use self::disk::with_a_disk;
use self::mount::Mount;
use self::opening::{Late, back, count_start, counts, note, open_keys, open_store, own_hosts};
use crate::back_door::BackDoor;
use crate::backup::Backups;
use crate::batteries::{Batteries, BatteryWatch};
use crate::bms::Bms;
use crate::board::Board;
use crate::books::{BookExchange, Handed};
use crate::buses::{self, Buses};
use crate::clock::{SystemClock, TrustWatch};
use crate::cloud::{self, CloudParts};
use crate::config::{self, Machine};
use crate::corrections::Corrections;
use crate::counters;
use crate::cycle::Cycles;
use crate::diagnosis;
use crate::errands::ErrandBoard;
use crate::history::Histories;
use crate::housekeeping::{Events, FLOOR_SETTING, Housekeeping, Signer};
use crate::housing;
use crate::ingest::{self, Ingest, Outdoors};
use crate::keys::Keys;
use crate::live::{self, Newest};
use crate::meter_keys::KeysInForce;
use crate::mqtt::{self, Mqtt};
use crate::ports;
use crate::restart::{Task, restarted};
use crate::restore::{self, Restores, Settled};
use crate::scribe::Scribe;
use crate::shelf::Shelf;
use crate::shown::{Renewal, Shown};
use crate::spending::Counters;
use crate::takeover::{self, InForce};
use crate::web::Served;

mod between;
mod disk;
mod mount;
mod opening;
mod towards_cloud;

/// What is told once the pages are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where the pages are served over TLS.
    pub https: SocketAddr,
    /// Where they are served in the clear, if at all.
    pub http: Option<SocketAddr>,
    /// The SHA-256 of the certificate.
    pub fingerprint: String,
    /// What makes the first user; `None` once there is one.
    pub claim_code: Option<String>,
}

/// Runs the daemon until `shutdown`. `ready` is called once the pages are there.
///
/// On a disk that takes nothing meters are read all the same; one that cannot be read either is waited for,
/// and one of its own that is not mounted, as [`mount`] tells.
///
/// # Errors
///
/// If the state directory, the keys or the store cannot be used for another reason: without them nothing
/// could be kept; and if the disk has not been mounted for some minutes. Nothing else ends it.
pub async fn run(
    mut machine: Machine,
    shutdown: CancellationToken,
    ready: impl FnOnce(Ready),
) -> anyhow::Result<()> {
    let mut ready = Some(ready);
    let mut listens = None;
    let cache = machine.cache.clone();
    let mount = cache.as_deref().map(|cache| Mount::of(&machine.state, cache));
    loop {
        let settled = beating(settled(&machine, mount.as_ref(), &shutdown)).await?;
        let Some(restored) = settled else { return Ok(()) };
        // What was restored stands where the pages are that somebody has restored it from.
        if let Some((https, http)) = listens {
            (machine.listen, machine.http) = (https, http);
        }
        let anew = shutdown.child_token();
        let told = |told: Ready| {
            listens = Some((told.https, told.http));
            if let Some(ready) = ready.take() {
                ready(told);
            }
        };
        life(&machine, mount.as_ref(), restored, (&shutdown, &anew), told).await?;
        if shutdown.is_cancelled() {
            return Ok(());
        }
        tracing::info!("starting anew");
    }
}

/// What was restored before this life, if anything; `None` at the end of the daemon.
async fn settled(
    machine: &Machine,
    mount: Option<&Mount>,
    end: &CancellationToken,
) -> anyhow::Result<Option<Option<Settled>>> {
    if let Some(mount) = mount
        && !mount.is_waited_for(end).await?
    {
        return Ok(None);
    }
    let settle = async || {
        let state = machine.state.clone();
        tokio::task::spawn_blocking(move || restore::settle(&state)).await?
    };
    with_a_disk(end, settle).await
}

/// From a start to a stop; `shutdown` ends it, which `end` cancels and a restore, too.
async fn life(
    machine: &Machine,
    mount: Option<&Mount>,
    restored: Option<Settled>,
    (end, shutdown): (&CancellationToken, &CancellationToken),
    ready: impl FnOnce(Ready),
) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let keys = async || open_keys(machine, &clock);
    let keys = beating(with_a_disk(shutdown, keys)).await.or_else(back(machine))?;
    let Some((keys, shown)) = keys else { return Ok(()) };
    if let Some(mount) = mount {
        mount.remember();
    }
    tracing::info!(version = VERSION, gateway = %keys.gateway, "starting");
    let shelf = Shelf::open(&machine.state);
    let found = takeover::find(&machine.state, &shelf.now());
    let zone = takeover::zone(&found);
    let store = async || open_store(&machine.state, zone, Arc::clone(&clock)).await;
    let store = beating(with_a_disk(shutdown, store)).await.or_else(back(machine))?;
    let Some((store, away)) = store else { return Ok(()) };
    if away {
        background(Late::of(&store, &machine.state), shutdown);
    } else {
        restore::started(&machine.state);
        housing::settle(&store.core()).await;
    }
    if let Some(restored) = restored {
        note(&store.core(), restored).await;
    }
    let daemon = Daemon::start(machine, clock, (&keys, &shown), shelf, found, &store, shutdown);
    let daemon = beating(daemon).await?;
    daemon.serve(machine, &shown, end, ready).await?;
    close(store, end).await
}

/// The parts, once they run.
struct Daemon {
    machine: Machine,
    clock: Arc<SystemClock>,
    core: Core,
    shelf: Shelf,
    devices: watch::Sender<Arc<web_ui::Devices>>,
    in_force: InForce,
    buses: Buses,
    cloud: CloudParts,
    bms: watch::Sender<Option<config::Bms>>,
    mqtt: Mqtt,
    handles: Handles,
    scribe: Scribe,
    wishes: mpsc::Receiver<Wish>,
    ingest: JoinHandle<()>,
    counts: Counts,
    corrections: Corrections,
    backups: Backups,
    certificate: Shown,
    restores: Restores,
    histories: Histories,
    batteries: Batteries,
    errands: ErrandBoard,
    shutdown: CancellationToken,
    meter_keys: KeysInForce,
    trial: ports::Trial,
    /// Why a changed `site.toml` is not in force, as it was said last.
    not_taken: Option<String>,
}

impl Daemon {
    #[expect(
        clippy::too_many_lines,
        reason = "the one place where every part is made, in the order in which they need each other"
    )]
    async fn start(
        machine: &Machine,
        clock: Arc<SystemClock>,
        (keys, certificate): (&Keys, &Shown),
        shelf: Shelf,
        found: config::kept::Found,
        store: &Store,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let (core, writer, readers) = (store.core(), store.writer(), store.readers());
        let corrections =
            Corrections { core: core.clone(), readers: readers.clone(), writer: writer.clone() };
        let floor = core.setting(FLOOR_SETTING).await?;
        clock.set_floor(floor.and_then(|floor| floor.parse().ok()).unwrap_or_default());
        writer.keep_telegrams(machine.keep.telegrams);
        let board = Board::new(clock.now().wall);
        let profiles = shelf.now();
        let cycles = Arc::new(Cycles::of_start(count_start(&core).await?));

        let sign = Signer::of(keys.device.clone());
        let parts = takeover::Parts {
            state: machine.state.clone(),
            profiles: Arc::clone(&profiles),
            gateway: keys.gateway,
            core: core.clone(),
            writer: writer.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            sign: sign.clone(),
        };
        let mut in_force = InForce::start(parts, found).await;
        in_force.show_wrong(shelf.wrong());
        let shown = Arc::clone(in_force.shown());

        let meters: Vec<_> = shown.borrow().meters.iter().map(|meter| meter.id).collect();
        let seeds = readers.ask(move |snapshot| Ok(live::known(snapshot, &meters))).await?;
        let newest = Newest::new(shown.subscribe(), seeds, clock.now().wall);
        let live = newest.watch();

        let (polled, mut from_buses) = mpsc::channel(MOST_POLLED);
        let ingest = Ingest {
            newest,
            site: Arc::clone(&shown),
            profiles: shelf.watch(),
            board: board.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            beyond: BTreeSet::new(),
            outdoors: Outdoors::default(),
        };
        let mut saved_to = writer.clone();
        let ingest = tokio::spawn(async move {
            ingest::ingest(ingest, &mut from_buses, &mut saved_to).await;
        });

        let speaking = mqtt::Parts {
            state: machine.state.clone(),
            site: shown.subscribe(),
            live: live.clone(),
            shutdown: shutdown.clone(),
        };
        let mut mqtt = Mqtt::start(in_force.site(), certificate, speaking);
        mqtt.there().await;

        let counts = counts(&machine.state).await;
        let meter_keys = KeysInForce::open(&machine.state);
        let mut buses = Buses::new(buses::Parts {
            keys: meter_keys.watch(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            profiles: Arc::clone(&profiles),
            polled,
            board: board.clone(),
            cycles: Arc::clone(&cycles),
            core: core.clone(),
            live: live.clone(),
            counts: counts.clone(),
            state: machine.state.clone(),
            shutdown: shutdown.clone(),
        });
        if let Some(site) = in_force.site() {
            buses.take_over(site);
        }

        let renewal = Renewal { shown: certificate.clone(), clock: Arc::clone(&clock) as _ };
        background(renewal, shutdown);
        let watch = TrustWatch { clock: Arc::clone(&clock), source: machine.clock };
        background(watch, shutdown);
        let cloud = CloudParts {
            state: machine.state.clone(),
            gateway: keys.gateway,
            core: core.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            identity: watch::Sender::new(cloud::kept(&machine.state, keys.gateway)),
            wanted: watch::Sender::new(in_force.site().and_then(|site| site.cloud.clone())),
            counters: Counters::default(),
            alarm: Arc::default(),
            errands: Arc::default(),
        };
        towards_cloud::start(&cloud, store, shown.subscribe(), &board, &cycles, shutdown);

        let housekeeping = Housekeeping {
            state: machine.state.clone(),
            core: core.clone(),
            writer,
            board: board.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            cloud: cloud.identity.subscribe(),
            keep: machine.keep,
            sign,
        };
        background(housekeeping, shutdown);

        let bms = watch::Sender::new(in_force.site().and_then(|site| site.bms.clone()));
        let bms_shown = Arc::new(watch::Sender::default());
        let server = Bms {
            state: machine.state.clone(),
            wanted: bms.subscribe(),
            site: shown.subscribe(),
            live: live.clone(),
            shown: Arc::clone(&bms_shown),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            shutdown: shutdown.clone(),
        };
        background(server, shutdown);

        let scribe =
            Scribe::new(keys, &machine.state, core.clone(), Arc::clone(&clock) as Arc<dyn Clock>);
        background(scribe.clone(), shutdown);
        let exchange = BookExchange {
            core: core.clone(),
            scribe: scribe.clone(),
            identity: cloud.identity.subscribe(),
            wanted: cloud.wanted.subscribe(),
            traffic: Arc::clone(&cloud.counters.sync),
            keeper: None,
            said: None,
            handed: Handed::default(),
        };
        background(exchange, shutdown);
        let batteries = Batteries::new(board.clone(), core.clone(), Arc::clone(&clock) as _)
            .with_ledger(scribe.clone());
        let watch = BatteryWatch { batteries: batteries.clone(), live: live.clone() };
        background(watch, shutdown);

        let (wish, wishes) = mpsc::channel(MOST_WISHES);
        let devices = watch::Sender::new(Arc::new(crate::told::devices(&profiles)));
        let handles = Handles {
            readers,
            core: core.clone(),
            site: shown.subscribe(),
            live,
            status: board.watch(),
            bms: bms_shown.subscribe(),
            devices: devices.subscribe(),
            owed: scribe.owed.subscribe(),
            wishes: wish,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            certificate: certificate.watch(),
            version: VERSION,
        };
        let errands = towards_cloud::errands(&cloud, machine, &handles, &board, shutdown);
        let chronicle = Chronicle::new(handles.clone()).telling(Arc::clone(&cloud.alarm));
        background(Events(chronicle), shutdown);
        let back_door = BackDoor {
            scribe: scribe.clone(),
            machine: machine.clone(),
            handles: handles.clone(),
            counts: counts.clone(),
            profiles: shelf.watch(),
        };
        background(back_door, shutdown);
        let shutdown = shutdown.clone();
        let not_taken = None;
        Ok(Self {
            machine: machine.clone(),
            clock,
            core,
            shelf,
            devices,
            in_force,
            buses,
            cloud,
            bms,
            mqtt,
            handles,
            scribe,
            wishes,
            ingest,
            counts,
            corrections,
            backups: Backups::of(&machine.state, &machine.sticks),
            certificate: certificate.clone(),
            histories: Histories::of(store, &keys.device),
            restores: Restores::of(&machine.state, &machine.sticks, shutdown.clone()),
            batteries,
            errands,
            shutdown,
            meter_keys,
            trial: ports::Trial::default(),
            not_taken,
        })
    }

    /// Serves the pages, answers wishes and takes over changed files, until the shutdown.
    async fn serve(
        mut self,
        machine: &Machine,
        certificate: &Shown,
        end: &CancellationToken,
        ready: impl FnOnce(Ready),
    ) -> anyhow::Result<()> {
        let claim_code =
            web_ui::open_claim(&self.core, &*self.clock).await.unwrap_or_else(|error| {
                tracing::error!(error = crate::chain(&error), "no code for the first user");
                None
            });
        if let Some(code) = &claim_code {
            tracing::warn!(
                code,
                "nobody has claimed this gateway: whoever enters this code within an hour does"
            );
        }
        let certificate_told = certificate.watch().borrow().clone();
        let fingerprint = certificate_told.to_compare().to_owned();
        tracing::info!(fingerprint, "the certificate of the pages");

        let pages = WebUi::new(self.handles.clone(), own_hosts(&certificate_told));
        let https = Served::https(&pages, certificate, machine.listen, self.shutdown.clone());
        let http = machine.http;
        let http = http.map(|address| Served::plain(&pages, address, self.shutdown.clone()));
        let (mut https_at, mut http_at) = (https.listening(), http.as_ref().map(Served::listening));
        let listeners: Vec<_> = [Some(https), http]
            .into_iter()
            .flatten()
            .map(|served| tokio::spawn(restarted(served, self.shutdown.clone())))
            .collect();

        let listening = async {
            let https = address(&mut https_at).await?;
            let http = match &mut http_at {
                Some(http_at) => Some(address(http_at).await?),
                None => None,
            };
            Some(Ready { https, http, fingerprint, claim_code })
        };
        let up = async {
            let mut listening = pin!(listening);
            let mut addresses = time::timeout(LISTEN_WITHIN, &mut listening).await;
            if addresses.is_err() {
                // Better read meters without a page than be restarted again and again.
                let status = "the pages cannot be served: see the log";
                notify(&[NotifyState::Ready, NotifyState::Status(status)]);
                addresses = Ok(listening.await);
            }
            if let Ok(Some(addresses)) = addresses {
                notify(&[NotifyState::Ready, NotifyState::Status("")]);
                ready(addresses);
            }
            future::pending::<()>().await;
        };
        tokio::select! {
            () = up => {}
            done = self.events() => done?,
        }
        // Whoever says it and goes on after a restore is killed by systemd.
        if end.is_cancelled() {
            notify(&[NotifyState::Stopping]);
        }
        self.stop(listeners).await;
        Ok(())
    }

    /// What the daemon is asked, and what it looks for, until the shutdown.
    async fn events(&mut self) -> anyhow::Result<()> {
        let mut hangups = signal(SignalKind::hangup()).context("SIGHUP cannot be heard")?;
        let mut looks = time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = beats();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                // Without it nothing that is read is kept. Whoever started us starts us anew.
                _ = &mut self.ingest => bail!("the store has stopped: see the log for the reason"),
                Some(()) = hangups.recv() => self.look().await,
                _ = looks.tick() => self.look().await,
                Some(wish) = self.wishes.recv() => self.grant(wish).await,
                _ = beats.tick() => notify(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Takes over `site.toml` and the keys of meters if somebody has changed them.
    async fn look(&mut self) {
        self.look_at_profiles();
        self.meter_keys.look();
        match self.in_force.look().await {
            Ok(true) => {
                self.not_taken = None;
                self.take_over();
            }
            Ok(false) => self.not_taken = None,
            // It is looked at again; until then the old one holds.
            Err(error) => {
                let error = crate::chain(&error);
                if self.not_taken.as_ref() != Some(&error) {
                    tracing::error!(error, "site.toml is not taken over yet");
                }
                self.not_taken = Some(error);
            }
        }
    }

    /// Takes over the folder of profiles: the meters' buses begin anew with them.
    fn look_at_profiles(&mut self) {
        if !self.shelf.look() {
            return;
        }
        let profiles = self.shelf.now();
        self.devices.send_replace(Arc::new(crate::told::devices(&profiles)));
        self.in_force.know(Arc::clone(&profiles), self.shelf.wrong());
        self.buses.know(profiles);
        self.take_over();
    }

    fn take_over(&mut self) {
        if let Some(site) = self.in_force.site() {
            self.buses.take_over(site);
            self.bms.send_if_modified(|bms| {
                let changed = *bms != site.bms;
                bms.clone_from(&site.bms);
                changed
            });
            self.mqtt.take_over(site);
            let wanted = site.cloud.clone();
            self.cloud.wanted.send_if_modified(|cloud| {
                let changed = *cloud != wanted;
                *cloud = wanted;
                changed
            });
        }
    }

    /// Whoever wished may have gone away: then the reply fails, and nobody misses it.
    async fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::ReadNow { meter, reply } => {
                let bus = self.handles.site.borrow().meter(meter).map(|meter| meter.bus.clone());
                match bus {
                    Some(bus) => self.buses.ask_now(&bus, meter, reply),
                    None => drop(reply.send(Err(NotRead::Unknown))),
                }
            }
            Wish::Scan { bus, order, reply } => self.buses.scan(&bus, order, reply),
            Wish::SeeBattery { meter, who, reply } => {
                let batteries = self.batteries.clone();
                // Beside the others: it is written to the disk before it is told.
                tokio::spawn(async move {
                    let _gone = reply.send(batteries.see(meter, who).await);
                });
            }
            Wish::SetCounter { meter, display, who, reply } => {
                let site = self.handles.site.borrow().clone();
                let profiles = Arc::clone(&self.shelf.watch().borrow());
                let (counts, core) = (self.counts.clone(), self.core.clone());
                // Beside the others: it is on the disk before it is told.
                tokio::spawn(async move {
                    let meter = meter.to_string();
                    let set =
                        counters::set(&counts, &profiles, &site, &core, &who, &meter, &display);
                    drop(reply.send(set.await));
                });
            }
            Wish::Correct { figure, reply } => {
                let corrections = self.corrections.clone();
                tokio::spawn(async move { drop(reply.send(corrections.make(*figure).await)) });
            }
            Wish::CorrectSpan { span, reply } => {
                let corrections = self.corrections.clone();
                tokio::spawn(async move { drop(reply.send(corrections.make_span(*span).await)) });
            }
            Wish::Backup { passphrase, reply } => self.backups.make(passphrase, reply),
            Wish::Stick { order, reply } => self.backups.sticks.obey(order, reply),
            Wish::Diagnose { reply } => diagnosis::tell(&self.machine, &self.handles, reply),
            Wish::Certificate { order, reply } => {
                self.certificate.answer(order, self.clock.now().wall, reply);
            }
            Wish::Errand { order, reply } => self.errands.obey(order, reply),
            Wish::Restore { order, reply } => self.restores.obey(order, reply),
            Wish::ProveHistory { reply } => self.histories.prove(reply),
            Wish::SignedVersion { number, reply } => self.histories.export(number, reply),
            Wish::Keys { order, reply } => drop(reply.send(self.meter_keys.obey(order))),
            Wish::SaveSite { text, expected, who, why, reply } => {
                let saved = self.in_force.save(text, expected, who, why).await;
                if saved.is_ok() {
                    self.take_over();
                }
                drop(reply.send(saved));
            }
            Wish::Ports { reply } => ports::tell(self.handles.site.borrow().clone(), reply),
            Wish::TryPort { port, reply } => {
                let (site, clock) = (self.handles.site.borrow().clone(), self.clock.clone());
                self.trial.begin(port, site, clock, reply);
            }
            Wish::Record { fact, reply } => {
                let scribe = self.scribe.clone();
                tokio::spawn(async move { drop(reply.send(scribe.record(*fact).await)) });
            }
            Wish::Evidence { month, reply } => {
                let scribe = self.scribe.clone();
                tokio::spawn(async move { drop(reply.send(scribe.evidence(&month).await)) });
            }
            Wish::Enrol { url, code, reply } => {
                let cloud = self.cloud.clone();
                // Beside the others: a portfolio that does not answer takes its time.
                tokio::spawn(async move { drop(reply.send(cloud.enrol(&url, &code).await)) });
            }
        }
    }

    /// Stops in reverse. Everything together has less than five seconds.
    async fn stop(self, listeners: Vec<JoinHandle<()>>) {
        let Self { in_force, buses, ingest, counts, mqtt, .. } = self;
        drop(in_force);
        let (tasks, polled) = buses.stop();
        for task in tasks {
            drop(task.await);
        }
        let kept = tokio::task::spawn_blocking(move || counts.keep());
        if let Ok(Ok(Err(error))) = time::timeout(COUNTS_WITHIN, kept).await {
            tracing::error!(error = crate::chain(&error), "the last pulses are not kept");
        }
        // The last of its senders: ingest ends once it has stored what is left.
        drop(polled);
        if time::timeout(INGEST_WITHIN, ingest).await.is_err() {
            tracing::error!("the last readings could not be stored: the store refuses them");
        }
        let pages = async {
            for listener in listeners {
                drop(listener.await);
            }
        };
        drop(time::timeout(PAGES_WITHIN, pages).await);
        mqtt.stop().await;
    }
}

async fn address(listening: &mut watch::Receiver<Option<SocketAddr>>) -> Option<SocketAddr> {
    *listening.wait_for(Option::is_some).await.ok()?
}

/// Runs `task` beside the others until the shutdown, which drops it.
fn background(task: impl Task + 'static, shutdown: &CancellationToken) {
    let stop = shutdown.clone();
    tokio::spawn(async move { stop.run_until_cancelled(restarted(task, stop.clone())).await });
}

/// Tells systemd, if it started us.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "systemd is not told");
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Questions of all buses that may wait for ingest; then the buses wait.
const MOST_POLLED: usize = 256;

/// Wishes that may wait for the supervisor; then people are told that the gateway is busy.
const MOST_WISHES: usize = 16;

/// How soon a file that was changed by hand is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A listener whose port is taken for longer does not keep systemd waiting.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);

/// The parts of the five seconds of a stop.
const COUNTS_WITHIN: Duration = Duration::from_millis(500);
const INGEST_WITHIN: Duration = Duration::from_millis(1_200);
const PAGES_WITHIN: Duration = Duration::from_millis(1_200);
