//! `fyrhus modbus scan`: who is on the wire, and of which type.
//!
//! A device is told as soon as it is found. Whoever has seen enough stops the scan (Ctrl-C), and
//! is told the unit from which it goes on.

use std::sync::Arc;

use anyhow::bail;
use drivers::BusKind;
use drivers::modbus::{FoundUnit, ModbusBus, SweepProgress, sweep};
use serde::Serialize;

use super::super::read::{Types, Wire};
use super::super::status::Status;
use super::super::{Out, block_on};
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each device is told as soon as it answers. Ctrl-C stops the scan and says from
where it goes on. Nothing is written to any device.

A unit that is not there costs one response time-out, 600 ms on a serial line:
two and a half minutes for all of them. --answer-within-ms 200 is enough for
most devices.

Examples:
  fyrhus modbus scan --port serial:///dev/ttyUSB0 --baud 19200
  fyrhus modbus scan --port tcp://10.0.4.7:502 --to 32
  fyrhus modbus scan --port rtu+tcp://10.0.4.8:4001 --answer-within-ms 300 --json")]
pub(in crate::cli) struct ScanModbus {
    #[command(flatten)]
    wire: Wire,
    /// The first unit that is asked
    #[arg(
        long,
        value_name = "UNIT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=247)
    )]
    from: u8,
    /// The last unit that is asked
    #[arg(
        long,
        value_name = "UNIT",
        default_value_t = 247,
        value_parser = clap::value_parser!(u8).range(1..=247)
    )]
    to: u8,
    #[command(flatten)]
    types: Types,
}

impl ScanModbus {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        if self.from > self.to {
            bail!("there is no unit from {} to {}", self.from, self.to);
        }
        let profiles = Arc::new(self.types.load(out));
        self.wire.expect_unpolled(&self.types, &profiles)?;
        let mut bus = ModbusBus::open(&self.wire.settings(BusKind::Modbus));
        let mut seen = Seen { out, found: 0, asking: None, status: Status::new(), broken: None };
        let ended = block_on(async {
            let note = |progress: SweepProgress<'_>| seen.note(progress);
            let clock = SystemClock::new();
            let scan = sweep(&mut bus, self.from..=self.to, &profiles, &clock, note);
            Ok(tokio::select! {
                ended = scan => Some(ended),
                _ = tokio::signal::ctrl_c() => None,
            })
        })?;
        seen.status.clear();
        if let Some(broken) = seen.broken {
            return Err(broken);
        }
        let (found, asking) = (seen.found, seen.asking.unwrap_or(self.from));
        match ended {
            None => {
                if out.json {
                    out.object(&Stopped { stopped: true, from: asking })?;
                }
                out.trouble(&format!("fyrhus: stopped; --from {asking} goes on there"));
                Ok(false)
            }
            Some(Err(error)) => {
                out.trouble(&format!("fyrhus: {}", crate::chain(&error)));
                out.trouble(&format!("fyrhus: --from {asking} goes on there"));
                Ok(false)
            }
            Some(Ok(_)) if found == 0 => {
                out.trouble(
                    "fyrhus: nobody answered; are the baud rate (mostly 9600 or 19200), the parity \
                     (even or none), the two wires A and B and the converter's mode (tcp:// or \
                     rtu+tcp://) right?",
                );
                Ok(false)
            }
            Some(Ok(_)) => {
                let s = if found == 1 { "" } else { "s" };
                out.trouble(&format!("{found} device{s} found"));
                Ok(true)
            }
        }
    }
}

/// What has been seen so far.
struct Seen<'o> {
    out: &'o mut Out,
    found: usize,
    /// What is being asked.
    asking: Option<u8>,
    status: Status,
    /// Whoever read the output has gone away.
    broken: Option<anyhow::Error>,
}

impl Seen<'_> {
    fn note(&mut self, progress: SweepProgress<'_>) {
        match progress {
            SweepProgress::Asking(unit) => {
                self.asking = Some(unit);
                self.status.show(&format!("asking unit {unit}, {} found", self.found));
            }
            SweepProgress::Found(device) => {
                self.found += 1;
                self.status.clear();
                let printed = if self.out.json {
                    self.out.object(&Found::of(device))
                } else {
                    self.out.line(&for_people(device))
                };
                self.broken = self.broken.take().or(printed.err());
            }
            SweepProgress::Garbled(unit) => {
                self.status.clear();
                if self.out.json {
                    let printed = self.out.object(&Garbled { garbled: unit });
                    self.broken = self.broken.take().or(printed.err());
                }
                self.out.trouble(&format!(
                    "fyrhus: what answers as unit {unit} is not one device: two have this number, \
                     or the baud rate or the parity is another"
                ));
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    unit: u8,
    profiles: &'a [String],
    serial: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Garbled {
    garbled: u8,
}

#[derive(Debug, Serialize)]
struct Stopped {
    stopped: bool,
    from: u8,
}

impl<'a> Found<'a> {
    fn of(device: &'a FoundUnit) -> Self {
        Self { unit: device.unit, profiles: &device.profiles, serial: device.serial.as_deref() }
    }
}

fn for_people(device: &FoundUnit) -> String {
    let FoundUnit { unit, profiles, serial } = device;
    let serial = serial.as_ref().map(|serial| format!("  serial {serial}")).unwrap_or_default();
    match profiles.as_slice() {
        [] => format!("unit {unit:<4} answers; no profile knows its type by a register"),
        profiles => format!("unit {unit:<4} {}{serial}", profiles.join(" or ")),
    }
}
