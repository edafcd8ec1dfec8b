//! A Modbus and the meters on it.
//!
//! A readout is planned with what the device taught us so far, and anew once it has taught us more.
//! A request that the device refuses because of an address or a length is cut at its largest hole and asked in
//! two parts; where both succeed the hole is remembered. A register that is refused by itself is
//! asked for alone until it is answered. A time-out teaches nothing: it has other causes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metering::{Clock, Moment};
use tokio::time::{self, Instant};
use tokio_modbus::ExceptionCode;

use super::client::{Client, Framing, Heard, REPEATED_WITHIN};
use super::frame::{Answer, Request};
use super::plan::{self, Cost, Learned, Planned};
use super::round::{Heardout, Round, cuts};
use crate::error::{Garble, ReadError};
use crate::port::{Port, PortFault, PortSettings};
use crate::profile::{Modbus, Profile, Profiles};
use crate::{BusSettings, Meter, MeterAddress, Readout};

/// A Modbus: one wire, one question at a time.
#[derive(Debug)]
pub struct ModbusBus {
    port: Port,
    client: Client,
    timing: Timing,
    /// What a question costs here, for the plan.
    cost: Cost,
    /// What each unit taught us about the profile it is read with, in earlier runs too.
    learned: BTreeMap<u8, (String, Learned)>,
    plans: BTreeMap<u8, Prepared>,
    /// By which devices are told that a scan finds.
    profiles: Arc<Profiles>,
    last_unit: Option<u8>,
    /// When the wire was last in use.
    last_used: Option<Instant>,
    /// Whether something may still be on its way that nobody waits for.
    unclean: bool,
}

/// The plan of a unit's readouts, and what it was made of.
#[derive(Debug)]
struct Prepared {
    profile: Arc<Profile>,
    learned: Learned,
    points: Arc<[Request]>,
    /// The last one first.
    requests: Vec<Planned>,
}

/// How long things take and may take on this bus.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// Until an answer has begun, without the time that it is on the wire.
    answer_within: Duration,
    /// One character of a serial line; zero on TCP.
    character: Duration,
    /// The silence that ends a frame.
    silence: Duration,
    /// After another unit was asked: slow ones need it to see that a frame is not for them.
    unit_change: Duration,
    /// After a connection was made: some gateways lose what comes before they are ready.
    after_connect: Duration,
}

impl ModbusBus {
    /// A bus that is opened when it is first needed.
    pub fn open(settings: &BusSettings) -> Self {
        let port = Port::new(settings.port.clone(), settings.baud, settings.parity);
        Self::over(port, settings)
    }

    /// As [`Self::open`]; a scan tells types by `profiles`.
    pub fn knowing(settings: &BusSettings, profiles: Arc<Profiles>) -> Self {
        Self { profiles, ..Self::open(settings) }
    }

    pub(crate) const fn profiles(&self) -> &Arc<Profiles> {
        &self.profiles
    }

    /// A bus over `port`, which is that of `settings`.
    pub(super) fn over(port: Port, settings: &BusSettings) -> Self {
        let framing = match settings.port {
            PortSettings::Tcp(_) => Framing::Tcp,
            _ => Framing::Rtu,
        };
        let serial = framing == Framing::Rtu;
        let character = Duration::from_secs(11) / settings.baud.max(1);
        let default = if serial { ANSWER_SERIAL } else { ANSWER_TCP };
        let answer_within = settings.answer_within.unwrap_or(default);
        let timing = Timing {
            answer_within,
            character: if serial { character } else { Duration::ZERO },
            silence: if serial { silence(settings) } else { Duration::ZERO },
            unit_change: if serial { UNIT_CHANGE } else { Duration::ZERO },
            after_connect: settings.pause_after_connect,
        };
        // A device that is three times as late as it may be is taken to have lost the question.
        let patience = (answer_within * 4).clamp(LEAST_PATIENCE, MOST_PATIENCE);
        let cost = if serial { Cost::serial(settings.baud, LATENCY) } else { Cost::NETWORK };
        Self {
            port,
            client: Client::new(framing, patience),
            timing,
            cost,
            learned: BTreeMap::new(),
            plans: BTreeMap::new(),
            profiles: Arc::default(),
            last_unit: None,
            last_used: None,
            unclean: false,
        }
    }

    /// Asks `meter` for all registers of its profile.
    ///
    /// Registers that it refuses, or that come in a request that fails after others succeeded, are
    /// absences in the readout.
    ///
    /// # Errors
    ///
    /// Why there is no value at all.
    ///
    /// # Cancellation
    ///
    /// When the future is dropped the answer to its last question is passed over by the next one.
    pub async fn read(&mut self, meter: &Meter, clock: &dyn Clock) -> Result<Readout, ReadError> {
        let MeterAddress::Unit(unit @ 1..) = meter.address else {
            let because = "a meter on a Modbus has a unit number, 1 to 247";
            return Err(ReadError::Misfit { address: meter.address, because });
        };
        let profile = meter.profile.as_ref().ok_or(ReadError::Misfit {
            address: meter.address,
            because: "on a Modbus nothing tells what a register means; give the meter a profile",
        })?;
        let modbus = profile.modbus.as_ref().ok_or(ReadError::Misfit {
            address: meter.address,
            because: "its profile has no section [modbus]; choose one for this wire",
        })?;

        let begun = Instant::now();
        let asked = clock.now();
        self.abandon_dropped();
        let (points, mut queue) = self.plan(unit, profile, modbus);
        let mut round = Round::new(unit, profile, modbus, asked, points);
        while let Some(planned) = queue.pop() {
            if round.has_failed() {
                round.leave(&planned);
                continue;
            }
            self.fetch(&mut round, planned, clock).await;
        }
        round.readout(meter, begun.elapsed())
    }

    /// What the devices on this bus taught us, as text to keep.
    pub fn lessons(&self) -> String {
        plan::lessons(&self.learned)
    }

    /// Takes over what [`lessons`](Self::lessons) said at another time. What of it cannot be read
    /// is left out: it is learned again.
    pub fn recall(&mut self, lessons: &str) {
        self.learned = plan::recalled(lessons);
    }

    /// The points of a readout, and its requests, the last one first.
    fn plan(
        &mut self,
        unit: u8,
        profile: &Arc<Profile>,
        modbus: &Modbus,
    ) -> (Arc<[Request]>, Vec<Planned>) {
        let (of, learned) = self.learned.entry(unit).or_default();
        if *of != profile.id {
            (*of, *learned) = (profile.id.clone(), Learned::default());
        }
        if let Some(it) = self.plans.get(&unit)
            && Arc::ptr_eq(&it.profile, profile)
            && it.learned == *learned
        {
            return (Arc::clone(&it.points), it.requests.clone());
        }
        let points = profile.modbus_points().map(|(points, _)| points).unwrap_or_default();
        let mut requests = plan::plan(&points, &modbus.limits, learned, self.cost);
        requests.reverse();
        let points: Arc<[Request]> = points.into();
        let prepared = Prepared {
            profile: Arc::clone(profile),
            learned: learned.clone(),
            points: Arc::clone(&points),
            requests: requests.clone(),
        };
        self.plans.insert(unit, prepared);
        (points, requests)
    }

    /// Asks for what was planned, in parts if need be, and keeps what came or why it did not.
    async fn fetch(&mut self, round: &mut Round<'_>, planned: Planned, clock: &dyn Clock) {
        let mut parts = vec![(planned, Tries::default())];
        while let Some((part, tries)) = parts.pop() {
            if round.has_failed() {
                round.leave(&part);
                continue;
            }
            // A question that looks like an overdue one is asked in two others, or in a longer one.
            let now = Instant::now();
            let free = |it: Request| {
                self.client
                    .ambiguous(round.unit, it, now)
                    .is_none_or(|left| left <= REPEATED_WITHIN)
            };
            let mut part = part;
            if !free(part.request) {
                let (points, limits) = (&round.points, &round.modbus.limits);
                if let Some((left, right)) = plan::of_other_lengths(&part, points, limits, free) {
                    parts.extend([(right, tries), (left, tries)]);
                    continue;
                }
                part = plan::longer(&part, limits, free).unwrap_or(part);
            }
            match self.ask(round.unit, part.request, round.modbus, clock).await {
                Ok(answer) => {
                    if let Some((left, right)) = tries.cut {
                        round.cut_succeeded(left, right);
                    }
                    round.take(&part, answer);
                }
                Err(ReadError::Refused { exception, .. }) if cuts(exception) => {
                    match plan::halves(&part, &round.points, &round.modbus.limits) {
                        Some((left, right)) => {
                            let cut = (left.request, right.request);
                            let tries = Tries { repeats: tries.repeats, cut: Some(cut) };
                            parts.extend([(right, tries), (left, tries)]);
                        }
                        None => round.refuse(&part, exception),
                    }
                }
                Err(ReadError::Refused { exception, .. }) if is_transient(exception) => {
                    if tries.repeats < REPEATS {
                        time::sleep(BUSY).await;
                        parts.push((part, tries.once_more()));
                    } else {
                        round.refuse(&part, exception);
                    }
                }
                Err(ReadError::Refused { exception, .. }) => round.refuse(&part, exception),
                Err(error @ (ReadError::Silent { .. } | ReadError::Garbled { .. }))
                    if tries.repeats < REPEATS =>
                {
                    round.remember(error);
                    parts.push((part, tries.once_more()));
                }
                Err(error) => round.fail(&part, error),
            }
        }
        if let Some((_, learned)) = self.learned.get_mut(&round.unit) {
            round.teach(learned);
        }
    }

    /// One question, one answer.
    pub(super) async fn ask(
        &mut self,
        unit: u8,
        request: Request,
        modbus: &Modbus,
        clock: &dyn Clock,
    ) -> Result<Heardout, ReadError> {
        let address = MeterAddress::Unit(unit);
        self.make_ready(unit, modbus).await.map_err(|cause| self.out_of_reach(cause))?;
        // The answer before this one may be said again, but not for long.
        let left = self.client.ambiguous(unit, request, Instant::now());
        if let Some(left) = left.filter(|left| *left <= REPEATED_WITHIN) {
            let said = Instant::now() + left;
            self.pause(said).await.map_err(|cause| self.out_of_reach(cause))?;
        }
        let frame = self
            .client
            .ask(unit, request, Instant::now())
            .map_err(|remaining| ReadError::Unsettled { address, remaining })?;
        let outcome = self.exchange(&frame, request, clock).await;
        let now = Instant::now();
        self.last_used = Some(now);
        match outcome {
            Ok((Answer::Words(words), at)) => {
                let raw = self.client.answer().to_vec();
                self.client.settle(now);
                Ok(Heardout { words, at, raw })
            }
            Ok((Answer::Exception(code), _)) => {
                self.client.settle(now);
                let exception = u8::from(code);
                Err(match code {
                    ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice => {
                        ReadError::SilentBehindGateway { address, exception }
                    }
                    _ => ReadError::Refused { address, register: request.address, exception },
                })
            }
            Err(failure) => {
                let heard = self.client.abandon(now);
                self.unclean = true;
                // On TCP a new connection is the only way to know that the old one was alive.
                if self.port.may_be_half_open() {
                    self.port.close();
                }
                Err(match failure {
                    Failure::Garbled(cause) => ReadError::Garbled { address, cause },
                    Failure::Port(cause) => self.out_of_reach(cause),
                    Failure::Late(_) if heard > 0 => {
                        ReadError::Garbled { address, cause: Garble::BrokeOff(heard) }
                    }
                    Failure::Late(waited) => ReadError::Silent { address, waited },
                })
            }
        }
    }

    fn out_of_reach(&self, cause: PortFault) -> ReadError {
        ReadError::Port { port: self.port.settings().clone(), cause }
    }

    /// A question whose future was dropped is open no longer.
    fn abandon_dropped(&mut self) {
        if self.client.is_waiting() {
            self.client.abandon(Instant::now());
            self.unclean = true;
            if self.port.may_be_half_open() {
                self.port.close();
            }
        }
    }

    /// Opens the port, makes sure that nothing is left on it, and waits until the units are ready
    /// to listen.
    async fn make_ready(&mut self, unit: u8, modbus: &Modbus) -> Result<(), PortFault> {
        self.abandon_dropped();
        let opened = self.port.open().await?;
        let serial = !self.timing.silence.is_zero();
        if serial && (self.unclean || opened) {
            self.drain(self.timing.silence.max(QUIET)).await?;
        }
        self.unclean = false;
        let settling = self.timing.after_connect.max(modbus.after_connect);
        if opened && !settling.is_zero() {
            self.pause(Instant::now() + settling).await?;
        }

        let changes = self.last_unit.replace(unit).is_some_and(|last| last != unit);
        let pause = if changes {
            self.timing.unit_change.max(if serial { modbus.unit_change } else { Duration::ZERO })
        } else {
            modbus.min_interval
        };
        let ready = self.last_used.map(|last_used| last_used + pause.max(self.timing.silence));
        self.pause(ready.unwrap_or_else(Instant::now)).await
    }

    /// Waits until `ready`. What comes in the meantime was not asked for.
    async fn pause(&mut self, ready: Instant) -> Result<(), PortFault> {
        if self.timing.silence.is_zero() {
            // A timer counts in whole milliseconds, and would wait for one that nobody asked for.
            if ready > Instant::now() {
                time::sleep_until(ready).await;
            }
            return Ok(());
        }
        self.drain(ready.saturating_duration_since(Instant::now())).await
    }

    /// Listens until the line has been silent for `quiet`, and takes note of what comes late.
    async fn drain(&mut self, quiet: Duration) -> Result<(), PortFault> {
        let late = self.port.drain(quiet, quiet + DRAIN_AT_MOST).await?;
        self.client.overhear(&late, Instant::now());
        Ok(())
    }

    /// Sends `frame` and listens until the answer is whole or the time is up.
    async fn exchange(
        &mut self,
        frame: &[u8],
        request: Request,
        clock: &dyn Clock,
    ) -> Result<(Answer, Moment), Failure> {
        let begun = Instant::now();
        self.port.write(frame).await.map_err(Failure::Port)?;
        // Request, perhaps its echo, and answer pass at the speed of the wire.
        let characters = u32::from(request.count) * 2 + 21;
        let deadline = begun + self.timing.answer_within + self.timing.character * characters;
        let mut began: Option<Moment> = None;
        let mut whole_by = deadline;
        let mut buffer = [0; 512];
        loop {
            let Ok(read) = time::timeout_at(whole_by, self.port.read(&mut buffer)).await else {
                return Err(Failure::Late(begun.elapsed()));
            };
            let count = read.map_err(Failure::Port)?;
            let at = *began.get_or_insert_with(|| clock.now());
            match self.client.hear(buffer.get(..count).unwrap_or_default(), Instant::now()) {
                Heard::More if self.timing.silence.is_zero() => {
                    whole_by = deadline.min(Instant::now() + PIECES_WITHIN);
                }
                Heard::More => {}
                Heard::Wrong(garble) => return Err(Failure::Garbled(garble)),
                Heard::Answer(answer) => {
                    self.confirm(&mut buffer).await?;
                    return Ok((answer, at));
                }
            }
        }
    }

    /// A frame of a serial line is over when the line is silent. What follows it at once makes it
    /// another frame.
    async fn confirm(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        if self.timing.silence.is_zero() {
            return Ok(());
        }
        match time::timeout(self.timing.silence, self.port.read(buffer)).await {
            Err(_silent) => Ok(()),
            Ok(Err(fault)) => Err(Failure::Port(fault)),
            Ok(Ok(count)) => {
                let what = format!("{count} bytes right behind the answer");
                Err(Failure::Garbled(Garble::Foreign(what)))
            }
        }
    }
}

/// Why an exchange has no answer.
enum Failure {
    Garbled(Garble),
    Late(Duration),
    Port(PortFault),
}

/// What was tried for a part of the plan.
#[derive(Clone, Copy, Default)]
struct Tries {
    repeats: u8,
    /// The two parts of a refused request, if this is one of them.
    cut: Option<(Request, Request)>,
}

impl Tries {
    const fn once_more(self) -> Self {
        Self { repeats: self.repeats + 1, ..self }
    }
}

/// Exceptions that pass: it needs time, it is busy.
const fn is_transient(exception: u8) -> bool {
    matches!(exception, 5 | 6)
}

/// The silence that ends a frame: 3.5 characters, 1.75 ms above 19 200 baud (Modbus over serial
/// line, section 2.5.1.1). A pause of the system, an adapter or a network can look like one, so
/// it is never less than the latency of the usual adapter.
fn silence(settings: &BusSettings) -> Duration {
    let wire = if settings.baud > 19_200 {
        Duration::from_micros(1_750)
    } else {
        Duration::from_micros(38_500_000 / u64::from(settings.baud.max(1)))
    };
    wire.max(LEAST_SILENCE)
}

const LEAST_SILENCE: Duration = Duration::from_millis(4);
/// What a device takes to answer, for the plan: Home Assistant and others wait as long.
const LATENCY: Duration = Duration::from_millis(30);
const UNIT_CHANGE: Duration = Duration::from_millis(30);
/// A slow device answers within this; a gateway with its own time-out of a second does too.
const ANSWER_SERIAL: Duration = Duration::from_millis(600);
const ANSWER_TCP: Duration = Duration::from_millis(1_500);
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
const MOST_PATIENCE: Duration = Duration::from_secs(15);
/// The line counts as quiet after this, and is not listened to for longer than that.
const QUIET: Duration = Duration::from_millis(50);
const DRAIN_AT_MOST: Duration = Duration::from_millis(500);
/// On TCP an answer comes in one piece, or in two with an acknowledgement between them, which a
/// system holds back for 40 ms, some for 200. What comes still later is something else.
const PIECES_WITHIN: Duration = Duration::from_millis(250);
/// A question is asked twice.
const REPEATS: u8 = 1;
/// What a busy device gets before the second try.
const BUSY: Duration = Duration::from_millis(100);
