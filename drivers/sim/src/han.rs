//! The customer port of an electricity meter: what it pushes, and when.
//!
//! | Device | Power alone | With currents and voltages | With energies |
//! |---|---|---|---|
//! | Aidon | every 2.5 s | every 10 s | at hh:00:10 |
//! | Kaifa | every 2 s | every 10 s | at hh:00:10 |
//! | Kamstrup | | every 10 s | at hh:00:05 |
//! | Kamstrup, sealed, and P1 | | | every 10 s |
//!
//! The energies of the first three are those of the full hour.
//!
//! Faults: `silence` and `refuse` (the network operator has not opened the port), `noise`, `half`,
//! `duplicate`, and `foreign`, which gives it another meter's number.
//!
//! Sources: NVE's letter of 2016-06-27 on the HAN interface; Kamstrup HAN-NVE, rev. 3.1.

mod cosem;
mod hdlc;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, DurationRound as _, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Europe::Oslo;
use metering::Clock;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::device::Device;
use crate::faults::spoiled;
use crate::meter::Meter;
use crate::outlet::Said;
use crate::place::Measure;

/// The port of one meter.
#[derive(Debug)]
pub(crate) struct CustomerPort {
    pub(crate) meter: Arc<Meter>,
    pub(crate) said: Said,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
    /// The last number under which it has encrypted.
    pub(crate) counter: AtomicU32,
}

/// How much is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    /// What comes in now.
    Short,
    /// With currents and voltages.
    Long,
    /// With energies.
    Hour,
}

/// The speed of the port's line.
pub(crate) const fn baud(device: Device) -> u32 {
    if matches!(device, Device::P1) { 115_200 } else { 2_400 }
}

/// The number on the meter: sixteen digits, the last of which are its own.
pub(crate) fn number(meter: &Meter) -> String {
    let maker = match meter.plan.device {
        Device::Aidon => 73_599_928,
        Device::Kaifa => 69_706_314,
        _ => 57_065_673,
    };
    format!("{maker}{:08}", meter.serial())
}

impl CustomerPort {
    /// Pushes until it is stopped.
    pub(crate) async fn serve(self) {
        let mut last = self.clock.now().wall;
        loop {
            let now = self.clock.now().wall;
            let next = self.due().into_iter().map(|it| it.after(now)).min();
            let wait = next.and_then(|next| (next - now).to_std().ok()).unwrap_or(SHORTEST);
            let wanted = tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.meter.handle.hour_wanted() => Some(List::Hour),
                () = time::sleep(wait.min(LONGEST)) => None,
            };
            let now = self.clock.now().wall;
            let due = self.due().into_iter().filter(|it| it.after(last) <= now);
            let list = due.map(|it| it.list).max().max(wanted);
            last = now;
            if let Some(list) = list {
                self.push(list, now).await;
            }
        }
    }

    fn due(&self) -> Vec<Due> {
        let each = |list, millis, behind| Due { list, millis, behind };
        match self.meter.plan.device {
            Device::Aidon => vec![
                each(List::Short, 2_500, 0),
                each(List::Long, 10_000, 0),
                each(List::Hour, 3_600_000, 10_000),
            ],
            Device::Kaifa => vec![
                each(List::Short, 2_000, 0),
                each(List::Long, 10_000, 0),
                each(List::Hour, 3_600_000, 10_000),
            ],
            Device::Kamstrup if !self.meter.plan.sealed => {
                vec![each(List::Long, 10_000, 0), each(List::Hour, 3_600_000, 5_000)]
            }
            _ => vec![each(List::Hour, 10_000, 0)],
        }
    }

    async fn push(&self, list: List, at: DateTime<Utc>) {
        let faults = self.meter.faults();
        if faults.refusal {
            return;
        }
        let shown = Shown::of(&self.meter, at, faults.foreign);
        let counter = self.counter.load(Ordering::Relaxed);
        let counter = counter.saturating_add(1).max(u32::try_from(at.timestamp()).unwrap_or(0));
        self.counter.store(counter, Ordering::Relaxed);
        let message = match self.meter.plan.device {
            Device::Aidon => cosem::aidon(&shown, list),
            Device::Kaifa => cosem::kaifa(&shown, list),
            Device::P1 => text::telegram(&shown),
            _ => cosem::kamstrup(&shown, list, self.meter.plan.sealed.then_some(counter)),
        };
        let number = at.timestamp_millis().unsigned_abs();
        for utterance in spoiled(&self.meter.handle, message, Duration::ZERO, number) {
            time::sleep(utterance.wait).await;
            // Without a listener nobody hears it.
            drop(self.said.send(utterance.bytes.into()));
            utterance.speaker.answered();
        }
    }
}

/// Something that is pushed at regular times.
#[derive(Clone, Copy, Debug)]
struct Due {
    list: List,
    millis: i64,
    /// How long after the full hour, or the full step, it comes.
    behind: i64,
}

impl Due {
    /// The first time behind `at`.
    fn after(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let since = (at.timestamp_millis() - self.behind).rem_euclid(self.millis);
        at + TimeDelta::milliseconds(self.millis - since)
    }
}

/// What the meter shows.
#[derive(Debug)]
struct Shown<'m> {
    meter: &'m Meter,
    number: String,
    /// What a clock on the wall beside it shows.
    clock: NaiveDateTime,
    utc: DateTime<Utc>,
    /// W in and out, var in and out.
    powers: [i64; 4],
    /// mA.
    currents: [i64; 3],
    /// mV.
    voltages: [i64; 3],
    /// Wh in and out, varh in and out.
    energies: [i64; 4],
}

impl<'m> Shown<'m> {
    fn of(meter: &'m Meter, at: DateTime<Utc>, foreign: bool) -> Self {
        let sight = meter.sight(at);
        let of = |measure| meter.thousandths(&sight, measure).unwrap_or_default();
        let frozen = meter.plan.device.freezes_energies() && !meter.plan.sealed;
        let hour = at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at);
        let counted = meter.sight(if frozen { hour } else { at });
        let energy = |measure| meter.thousandths(&counted, measure).unwrap_or_default() / 1_000;
        let (import, export) = (energy(Measure::Energy), energy(Measure::Export));
        let (power_in, power_out) = (of(Measure::PowerIn) / 1_000, of(Measure::PowerOut) / 1_000);
        let number = number(meter);
        Self {
            meter,
            // Of the next one that left the factory.
            number: if foreign {
                format!("1{}", number.get(1..).unwrap_or_default())
            } else {
                number
            },
            clock: at.with_timezone(&Oslo).naive_local(),
            utc: at,
            powers: [power_in, power_out, reactive(power_in), 0],
            currents: [1, 2, 3].map(|phase| of(Measure::Current(phase))),
            voltages: [1, 2, 3].map(|phase| of(Measure::Voltage(phase))),
            energies: [import, export, reactive(import), 0],
        }
    }
}

/// Of a power factor of 0.96.
const fn reactive(active: i64) -> i64 {
    active / 24 * 7
}

/// A clock that was set just now.
const SHORTEST: Duration = Duration::from_millis(100);
/// Between two looks at a clock that may run fast.
const LONGEST: Duration = Duration::from_millis(2_500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_at_its_step_and_the_hours_some_seconds_behind_it() {
        let after = |millis, behind, at: &str| {
            let due = Due { list: List::Short, millis, behind };
            due.after(at.parse().unwrap()).to_rfc3339()
        };
        assert_eq!(after(2_500, 0, "2026-01-01T00:00:01Z"), "2026-01-01T00:00:02.500+00:00");
        assert_eq!(after(10_000, 0, "2026-01-01T00:00:10Z"), "2026-01-01T00:00:20+00:00");
        let hour = |at| after(3_600_000, 10_000, at);
        assert_eq!(hour("2026-01-01T00:00:05Z"), "2026-01-01T00:00:10+00:00");
        assert_eq!(hour("2026-01-01T00:00:10Z"), "2026-01-01T01:00:10+00:00");
    }
}
