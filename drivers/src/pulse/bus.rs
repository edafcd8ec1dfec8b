//! The lines of one GPIO chip, as a bus that can be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metering::{
    Clock, Identity, MeterId, NoReading, Quality, Quantity, Reading, Register, Resolution, Unit,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::counts::{Counts, KEEP_EVERY};
use super::event::Cutter;
use super::input::{Input, Shape};
use super::source::{AT_ONCE, Source};
use crate::error::ReadError;
use crate::port::{PortFault, PortSettings};
use crate::profile::{Profile, PulseInput, PulseWeight, RegisterSpec};
use crate::{BusSettings, Meter, MeterAddress, OddKind, OddRecord, Readout};

/// The pulse inputs of one chip. They are counted for as long as it lives.
#[derive(Debug)]
pub struct PulseBus {
    port: PortSettings,
    counts: Counts,
    lines: Arc<Mutex<Lines>>,
    state: watch::Receiver<State>,
    listening: Option<JoinHandle<()>>,
}

/// By the number of the line.
type Lines = BTreeMap<u32, Line>;

#[derive(Debug)]
struct Line {
    meter: MeterId,
    input: Input,
    /// When a pulse ended last, as far as this process has seen one.
    last: Option<Instant>,
}

/// How the source of edges is doing; `None` before it was opened for the first time.
type State = Option<Result<(), PortFault>>;

impl Drop for PulseBus {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl PulseBus {
    /// Counts the pulses of `meters` from now on, at the chip that the port of `settings` names,
    /// into `counts`.
    ///
    /// A meter that is not a pulse input, or lacks what its pulses are worth, is not counted, and
    /// says so when it is asked. Needs a runtime.
    pub fn counting(settings: &BusSettings, meters: &[Meter], counts: Counts) -> Self {
        let mut lines = Lines::new();
        for meter in meters {
            let (Ok((line, weight)), Some((spec, pulse))) = (place(meter), register(meter)) else {
                continue;
            };
            let Some(weight) = weight.or(pulse.per_unit) else { continue };
            if !counts.has_room(meter.id) {
                continue;
            }
            counts.weigh(meter.id, spec, weight);
            let shape = Shape {
                edge: pulse.edge,
                debounce: pulse.debounce,
                least: pulse.min_low.unwrap_or(LEAST),
            };
            lines.insert(line, Line { meter: meter.id, input: Input::new(shape), last: None });
        }
        let shapes: Vec<(u32, Shape)> =
            lines.iter().map(|(line, it)| (*line, it.input.shape())).collect();
        let lines = Arc::new(Mutex::new(lines));
        let (told, state) = watch::channel(None);
        let listening = (!shapes.is_empty()).then(|| {
            let listener = Listener {
                port: settings.port.clone(),
                shapes,
                lines: Arc::clone(&lines),
                counts: counts.clone(),
                state: told,
            };
            tokio::spawn(listener.run())
        });
        let port = settings.port.clone();
        Self { port, counts, lines, state, listening }
    }

    /// As [`Bus::read`](crate::Bus::read).
    pub(crate) async fn read(
        &mut self,
        meter: &Meter,
        clock: &dyn Clock,
    ) -> Result<Readout, ReadError> {
        let begun = Instant::now();
        let address = meter.address;
        let misfit = |because| ReadError::Misfit { address, because };
        let (line, weight) = place(meter).map_err(misfit)?;
        let profile = meter.profile.as_ref().ok_or_else(|| misfit(NO_PROFILE))?;
        let (spec, pulse) = register(meter).ok_or_else(|| misfit(NO_PROFILE))?;
        let weight = weight.or(pulse.per_unit).ok_or_else(|| misfit(NO_WEIGHT))?;
        if lock(&self.lines).get(&line).is_none_or(|it| it.meter != meter.id) {
            return Err(misfit(if self.counts.has_room(meter.id) {
                "its line is not one that is counted"
            } else {
                NO_ROOM
            }));
        }
        if let Ok(state) = self.state.wait_for(Option::is_some).await
            && let Some(Err(cause)) = &*state
        {
            return Err(ReadError::Port { port: self.port.clone(), cause: cause.clone() });
        }

        let (counts, id) = (self.counts.clone(), meter.id);
        let kept = tokio::task::spawn_blocking(move || counts.told(id)).await;
        let (counter, unkept) = kept.unwrap_or_else(|_gone| (self.counts.get(id), None));
        let at = clock.now();
        let value = counter.shows(spec, weight);
        let quality = value.map_or(Quality::Good, |it| spec.plausible.judge(it));
        let origin = meter.origin;
        let mut readings =
            vec![Reading { register: spec.register.clone(), at, value, quality, origin }];
        if let Some((register, unit)) = rate_of(spec) {
            let value = self
                .pace(line)
                .map_or(Err(NoReading::LeftOut), |pace| rate(spec, weight, pace, unit));
            readings.push(Reading { register, at, value, quality: Quality::Good, origin });
        }

        let odd = |kind, note| OddRecord {
            telegram: 0,
            at: 0,
            kind,
            what: spec.register.to_string(),
            note,
        };
        let lost = (counter.lost > 0).then(|| {
            let note = format!(
                "{} edges came faster than they could be fetched, and are not counted: set the \
                 counter to the meter's display",
                counter.lost
            );
            odd(OddKind::Lost, note)
        });
        let doubted = counter.doubted.then(|| {
            let note = "what was counted before is lost: set the counter to the meter's display";
            odd(OddKind::Lost, note.to_owned())
        });
        let unkept = unkept.map(|error| {
            odd(
                OddKind::Unread,
                format!("what is counted cannot be kept over a power cut: {error}"),
            )
        });
        Ok(Readout {
            identity: Identity::default(),
            medium: Some(profile.medium),
            readings,
            remembered: Vec::new(),
            odd: [lost, doubted, unkept].into_iter().flatten().collect(),
            telegrams: Vec::new(),
            took: begun.elapsed(),
            profile: Some(profile.id.clone()),
        })
    }

    /// The time between pulses: that of the last two, or longer if the next one is overdue.
    fn pace(&self, line: u32) -> Option<Duration> {
        let lines = lock(&self.lines);
        let line = lines.get(&line)?;
        Some(line.input.distance()?.max(line.last?.elapsed()))
    }
}

const NO_PROFILE: &str = "a pulse input needs a profile with a counter of pulses, such as \
                          `fyrhus profile list` shows";
const NO_ROOM: &str = "the counters of 400 other meters are kept, and no more are";
const NO_WEIGHT: &str = "what its pulses are worth stands on the meter's plate: write \
                         `pulses_per_unit`";

/// What EN 62053-31 asks of an S0 output, for types that do not say how long their pulses are.
const LEAST: Duration = Duration::from_millis(30);

fn place(meter: &Meter) -> Result<(u32, Option<PulseWeight>), &'static str> {
    match meter.address {
        MeterAddress::Line { line, weight } => Ok((line, weight)),
        _ => Err("a pulse input is a line of a GPIO chip: write its number as `address`"),
    }
}

/// The register of a meter that its pulses count.
fn register(meter: &Meter) -> Option<(&RegisterSpec, &PulseInput)> {
    let spec = meter.profile.as_deref()?.pulse_counter()?;
    Some((spec, spec.pulse.as_ref()?))
}

impl Profile {
    /// The register that the pulses of such a meter count; `None` if it gives none.
    pub fn pulse_counter(&self) -> Option<&RegisterSpec> {
        self.registers().find(|spec| spec.pulse.is_some())
    }
}

/// What a counter's growth is called, and its unit, which is a thousandth of the counter's an hour.
fn rate_of(spec: &RegisterSpec) -> Option<(Register, Unit)> {
    let (quantity, unit) = match spec.unit {
        Unit::KilowattHour => ("power", Unit::Watt),
        Unit::MegawattHour => ("power", Unit::Kilowatt),
        Unit::CubicMetre => ("volume_flow", Unit::LitrePerHour),
        _ => return None,
    };
    let quantity = quantity.parse().ok()?;
    Some((Register { quantity, direction: None, ..spec.register.clone() }, unit))
}

/// How fast a counter grows whose pulses are `pace` apart.
fn rate(
    spec: &RegisterSpec,
    weight: PulseWeight,
    pace: Duration,
    unit: Unit,
) -> Result<Quantity, NoReading> {
    let whole = Resolution::new(0, unit).ok_or(NoReading::TooLarge)?;
    if pace > STANDS_STILL {
        return Ok(Quantity::new(0, whole));
    }
    // Thousandths of a pulse an hour make thousandths of the unit an hour.
    let per_hour = 3_600_000_000_000_000 / pace.as_nanos().max(1);
    let per_hour = u64::try_from(per_hour).map_err(|_| NoReading::TooLarge)?;
    let grown = spec.of_pulses(per_hour, weight)?;
    let decimals = u32::from(grown.resolution().decimals().unsigned_abs());
    let step = 10_i64.checked_pow(decimals).ok_or(NoReading::TooLarge)?;
    let amount = if grown.resolution().decimals() < 0 {
        grown.mantissa().checked_mul(step).ok_or(NoReading::TooLarge)?
    } else {
        grown.mantissa() / step
    };
    Ok(Quantity::new(amount, whole))
}

/// After so long without a pulse nothing flows that is worth telling.
const STANDS_STILL: Duration = Duration::from_hours(1);

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    // A thread that panicked left whole lines behind.
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task that takes in edges, and keeps what they count.
struct Listener {
    port: PortSettings,
    shapes: Vec<(u32, Shape)>,
    lines: Arc<Mutex<Lines>>,
    counts: Counts,
    state: watch::Sender<State>,
}

impl Listener {
    async fn run(self) {
        let mut keep = time::interval(KEEP_EVERY);
        keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wait = FIRST_WAIT;
        loop {
            match Source::open(&self.port, &self.shapes).await {
                Ok(source) => {
                    wait = FIRST_WAIT;
                    self.state.send_replace(Some(Ok(())));
                    let fault = self.listen(source, &mut keep).await;
                    self.state.send_replace(Some(Err(fault)));
                }
                Err(fault) => {
                    self.state.send_replace(Some(Err(fault)));
                }
            }
            self.keep().await;
            time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Takes in edges until there is no source any more, and tells why.
    async fn listen(&self, mut source: Source, keep: &mut time::Interval) -> PortFault {
        for line in lock(&self.lines).values_mut() {
            line.input.reopened(source.first_number());
        }
        let mut cutter = Cutter::default();
        let mut buffer = vec![0; AT_ONCE];
        loop {
            tokio::select! {
                read = source.read(&mut buffer) => match read {
                    Ok(0) => return PortFault::Lost(None),
                    Ok(count) => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        for event in cutter.cut(bytes) {
                            self.take(&event);
                        }
                    }
                    Err(error) => return PortFault::Lost(Some(Arc::new(error))),
                },
                _ = keep.tick() => self.keep().await,
            }
        }
    }

    fn take(&self, event: &super::event::LineEvent) {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.get_mut(&event.line) else { return };
        let heard = line.input.edge(event);
        if heard.pulses > 0 {
            line.last = Some(Instant::now());
        }
        self.counts.add(line.meter, heard);
    }

    /// What fails here is told with the next reading, which keeps it first.
    async fn keep(&self) {
        let counts = self.counts.clone();
        drop(tokio::task::spawn_blocking(move || counts.keep()).await);
    }
}

/// A chip that is in use by another program, or a simulator that is started anew, is tried so soon.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
