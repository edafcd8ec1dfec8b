//! `fyrhus bms`: what whoever programs a building's management system has to know.

use clap::Subcommand;
use serde::Serialize;
use web_ui::BmsStatus;

use super::{Out, Where, site};
use crate::bms;

/// The Modbus server for the building's management system.
#[derive(Debug, Subcommand)]
pub(super) enum Bms {
    /// List the registers; the gateway may be running
    Registers(Registers),
}

impl Bms {
    /// Does it; whether all of it went well.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Registers(command) => command.run(out),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A value has its registers from the moment at which it is first known, and keeps
them for ever. The server is off until site.toml has a section [bms].

Examples:
  fyrhus bms registers
  fyrhus bms registers --csv > registers.csv")]
pub(super) struct Registers {
    #[command(flatten)]
    place: Where,
    /// Print a table for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    unit: u8,
    address: u16,
    meter: String,
    meter_name: Option<String>,
    register: String,
    measured_in: String,
    decimals: i8,
}

impl Registers {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.place.machine()?;
        let (profiles, _) = drivers::Profiles::load_over(&machine.state.join("profiles"));
        let site = site(&machine, &profiles);
        let unit = site.as_ref().and_then(|site| site.bms.as_ref()).map(|bms| bms.unit);
        let points = bms::read(&machine.state)?.shown(unit.unwrap_or(1));
        let name = |id: metering::MeterId| {
            let mut meters = site.iter().flat_map(|site| &site.buses).flat_map(|bus| &bus.meters);
            meters.find(|meter| meter.id == id).map(|meter| meter.name.clone())
        };
        if points.is_empty() {
            out.trouble(match unit {
                Some(_) => "fyrhus: no value has registers yet: none has been read",
                None => "fyrhus: no value has registers: site.toml has no section [bms]",
            });
        }
        if self.csv {
            let status = BmsStatus { points, ..BmsStatus::default() };
            out.text(&documents::csv(&status.table(name)))?;
            return Ok(true);
        }
        for point in points {
            let (measured, decimals) = (point.resolution.unit(), point.resolution.decimals());
            let name = name(point.meter);
            if out.json {
                out.object(&Line {
                    unit: point.unit,
                    address: point.address,
                    meter: point.meter.to_string(),
                    meter_name: name,
                    register: point.register.to_string(),
                    measured_in: measured.code().to_owned(),
                    decimals,
                })?;
            } else {
                let name = name.unwrap_or_else(|| "(no longer configured)".to_owned());
                let (unit, address, register) = (point.unit, point.address, point.register);
                let measured = measured.code();
                out.line(&format!(
                    "unit {unit} at {address:<6} {:<32} {measured:<8} {decimals} decimals  {name}",
                    register.to_string()
                ))?;
            }
        }
        Ok(true)
    }
}
