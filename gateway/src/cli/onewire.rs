//! `fyrhus onewire`: which thermometers are on a 1-Wire, and what they show.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use drivers::onewire::{SensorId, sensors};
use drivers::{BusKind, BusSettings, MeterAddress, Parity, PortSettings, Profiles};
use serde::Serialize;

use super::Out;
use super::read::ask;

#[derive(Debug, Subcommand)]
pub(super) enum OneWire {
    /// List the thermometers that the kernel sees on the wire
    Scan(Scan),
    /// Ask one thermometer, or all of them; each takes up to a second
    Read(Read),
}

/// Where the wire is.
#[derive(Debug, clap::Args)]
struct Wire {
    /// The folder in which the kernel shows the sensors
    #[arg(long, value_name = "DIR", default_value = "/sys/bus/w1/devices")]
    root: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is listed? The kernel needs the drivers `w1-gpio` (or that of the
adapter) and `w1-therm`, the wire a resistor of 4.7 kΩ from data to plus, and
each sensor its own way back to the bus, not a star. It takes up to a minute
until the kernel has found a new sensor.")]
pub(super) struct Scan {
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, clap::Args)]
pub(super) struct Read {
    #[command(flatten)]
    wire: Wire,
    /// The sensor's number, such as 28-0316a2795bff; without it, all
    sensor: Option<SensorId>,
}

#[derive(Debug, Serialize)]
struct Found {
    sensor: String,
    model: Option<&'static str>,
}

impl OneWire {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Scan(scan) => scan.run(out),
            Self::Read(read) => read.run(out),
        }
    }
}

impl Wire {
    fn sensors(&self) -> anyhow::Result<Vec<SensorId>> {
        match sensors(&self.root) {
            Ok(sensors) => Ok(sensors),
            Err(fault) => bail!("{}: {}", self.root.display(), crate::chain(&fault)),
        }
    }
}

impl Scan {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let sensors = self.wire.sensors()?;
        for sensor in &sensors {
            if out.json {
                out.object(&Found { sensor: sensor.to_string(), model: sensor.model() })?;
            } else {
                out.line(&format!("{sensor}  {}", sensor.model().unwrap_or_default()))?;
            }
        }
        if sensors.is_empty() {
            out.trouble("fyrhus: no thermometer is on the wire; see `fyrhus onewire scan --help`");
        }
        Ok(!sensors.is_empty())
    }
}

impl Read {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let wanted = match self.sensor {
            Some(sensor) => vec![sensor],
            None => self.wire.sensors()?,
        };
        if wanted.is_empty() {
            bail!("no thermometer is on the wire; see `fyrhus onewire scan --help`");
        }
        let settings = BusSettings {
            kind: BusKind::OneWire,
            port: PortSettings::Sysfs(self.wire.root),
            baud: 0,
            parity: Parity::None,
            answer_within: None,
            pause_after_connect: Duration::ZERO,
        };
        let profiles = Arc::new(Profiles::default());
        let mut all = true;
        for sensor in wanted {
            let address = MeterAddress::Sensor(sensor);
            all &= ask(out, &settings, address, None, Arc::clone(&profiles))?;
        }
        Ok(all)
    }
}
