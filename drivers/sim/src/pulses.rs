//! Pulse outputs at the lines of a GPIO chip, as the edges that the kernel would tell of them.
//!
//! ```text
//! counter ──▶ a pulse for each step ──▶ two edges, 48 bytes each ──▶ whoever is connected
//! ```
//!
//! The socket writes what a read of the kernel's line request gives (`struct gpio_v2_line_event`).
//! Edges have numbers, as there: whoever connects late, or reads too slowly, can see how many are
//! missing. Faults: `noise` makes contacts bounce and puts needles between pulses, `half` loses
//! edges as a full queue of the kernel does, `silence` holds the line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metering::Clock;
use nix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::device::Device;
use crate::meter::Meter;
use crate::place::Measure;

/// The chip, and what is on its lines.
#[derive(Debug)]
pub(crate) struct Chip {
    pub(crate) socket: PathBuf,
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

type Event = [u8; 48];

/// Edges that wait for a slow reader; then the oldest are lost, as in the kernel.
const QUEUED: usize = 1_024;
/// How long a pulse is, and the least between two.
const PULSE: Duration = Duration::from_millis(40);
const PAUSE: Duration = Duration::from_millis(40);
/// How often the counters are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How many pulses of `device` are one unit of its counter, as on its plate.
pub(crate) const fn per_unit(device: Device) -> Option<&'static str> {
    match device {
        Device::S0Electricity => Some("1000"),
        Device::S0Water => Some("100"),
        _ => None,
    }
}

/// What it has counted, in pulses.
fn pulses(meter: &Meter, clock: &dyn Clock) -> i64 {
    let sight = meter.sight(clock.now().wall);
    let (measure, thousandths) = match meter.plan.device {
        // A watt hour each.
        Device::S0Electricity => (Measure::Energy, 1_000),
        // Ten litres each.
        _ => (Measure::Volume, 10_000),
    };
    meter.thousandths(&sight, measure).unwrap_or(0).div_euclid(thousandths)
}

impl Chip {
    /// Serves whoever connects to `listener`, until the chip is stopped.
    pub(crate) async fn serve(self, listener: UnixListener, tasks: TaskTracker) {
        let (edges, _) = broadcast::channel(QUEUED);
        let stop = self.stop.clone();
        let socket = self.socket.clone();
        tasks.spawn(self.pulse(edges.clone()));
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else { continue };
            let (stop, edges) = (stop.clone(), edges.subscribe());
            tasks.spawn(async move { stop.run_until_cancelled(tell(stream, edges)).await });
        }
        drop(std::fs::remove_file(socket));
    }

    async fn pulse(self, edges: broadcast::Sender<Event>) {
        let mut lines: Vec<Line> = self
            .meters
            .iter()
            .map(|meter| Line {
                told: pulses(meter, &*self.clock),
                meter: Arc::clone(meter),
                number: 0,
                ends: None,
                free: Instant::now(),
            })
            .collect();
        let mut looks = time::interval(LOOK);
        while self.stop.run_until_cancelled(looks.tick()).await.is_some() {
            for line in &mut lines {
                line.look(&*self.clock, &edges);
            }
        }
    }
}

struct Line {
    meter: Arc<Meter>,
    /// The pulses that have been made.
    told: i64,
    number: u32,
    /// When the pulse that is under way ends.
    ends: Option<Instant>,
    /// Before then there is no other one.
    free: Instant,
}

impl Line {
    fn look(&mut self, clock: &dyn Clock, edges: &broadcast::Sender<Event>) {
        let now = Instant::now();
        if let Some(end) = self.ends {
            if now >= end {
                self.ends = None;
                self.free = now + PAUSE;
                self.edge(true, Duration::ZERO, edges);
            }
            return;
        }
        if now < self.free || self.meter.faults().silence {
            return;
        }
        if pulses(&self.meter, clock) <= self.told {
            return;
        }
        self.told += 1;
        if self.meter.faults().noise {
            // A needle, and then a contact that bounces.
            for (high, micros) in [(false, 0), (true, 900), (false, 15_000), (true, 15_400)] {
                self.edge(high, Duration::from_micros(micros), edges);
            }
            self.edge(false, Duration::from_millis(16), edges);
            self.ends = Some(now + PULSE + Duration::from_millis(20));
        } else {
            self.edge(false, Duration::ZERO, edges);
            self.ends = Some(now + PULSE);
        }
    }

    /// The line changes `later` than now.
    fn edge(&mut self, high: bool, later: Duration, edges: &broadcast::Sender<Event>) {
        self.number = self.number.wrapping_add(1);
        if self.meter.faults().half && self.number % 8 < 4 {
            return;
        }
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        let at = u64::try_from((now + later).as_nanos()).unwrap_or(u64::MAX);
        let id: u32 = if high { 1 } else { 2 };
        let mut event = [0; 48];
        let words = [id, self.meter.plan.address.into(), self.number, self.number];
        let bytes =
            at.to_ne_bytes().into_iter().chain(words.into_iter().flat_map(u32::to_ne_bytes));
        for (to, from) in event.iter_mut().zip(bytes) {
            *to = from;
        }
        // Nobody may be connected.
        let _nobody = edges.send(event);
    }
}

/// Writes edges to `stream` until its other end is gone.
async fn tell(mut stream: UnixStream, mut edges: broadcast::Receiver<Event>) {
    loop {
        match edges.recv().await {
            Ok(event) => {
                if stream.write_all(&event).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
