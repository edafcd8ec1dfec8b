//! `fyrhus import`: readings of another system, or simulated ones, into the store.
//!
//! ```text
//! time,meter,register,value,unit
//! 2026-11-21T12:00:00Z,019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01,energy,12345,kWh
//! ```
//!
//! A reading that is there already, of the same meter, register and time, is not taken twice, so an
//! import that broke off can be run again as a whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::DateTime;
use chrono_tz::Tz;
use clap::ValueEnum;
use drivers::Profiles;
use metering::{MeterId, Quantity, Register, Unit};
use serde::Serialize;
use store::{Imported, Kind, Options, Store};

use super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::config::Site;
use crate::wire;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file has a head line and five columns: time,meter,register,value,unit \
                        (time in RFC 3339, the meter's id as in site.toml, a register such as \
                        energy, a decimal number, a unit such as kWh)."
)]
pub(super) struct Import {
    /// The CSV file; - reads standard input
    file: PathBuf,
    /// What the readings are marked with
    #[arg(long, value_enum, default_value_t = Origin::Import)]
    origin: Origin,
    #[command(flatten)]
    files: Where,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Origin {
    Import,
    Simulated,
}

#[derive(Debug, Serialize)]
struct Done {
    imported: u64,
}

impl Import {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let kinds = Kinds { site: site.as_ref(), profiles: &profiles };
        let origin = match self.origin {
            Origin::Import => metering::Origin::Import,
            Origin::Simulated => metering::Origin::Simulated,
        };
        let input = input(&self.file)?;

        let zone = site.as_ref().map_or(Tz::Europe__Oslo, |site| site.time_zone);
        let options = Options::new(machine.state.clone(), zone);
        let (store, _) = Store::open(options, Arc::new(SystemClock::new())).with_context(|| {
            format!("the store in {} cannot be opened", machine.state.display())
        })?;
        let writer = store.writer();
        let mut imported = 0;
        let taken = block_on(async {
            let mut readings = Vec::with_capacity(AT_ONCE);
            let mut lines = (1..).zip(input.lines());
            match lines.next() {
                Some((_, Ok(head))) if head.trim_end() == HEAD => {}
                Some((_, Ok(head))) => bail!("line 1 is `{head}` and should be `{HEAD}`"),
                Some((_, Err(error))) => return Err(error).context("line 1 cannot be read"),
                None => bail!("there is nothing to import: the first line should be `{HEAD}`"),
            }
            for (number, line) in lines {
                let line = line.with_context(|| format!("line {number} cannot be read"))?;
                if line.is_empty() {
                    continue;
                }
                let reading = reading(&line, &kinds, origin);
                readings.push(reading.map_err(|wrong| {
                    anyhow::anyhow!("line {number}: {wrong}; the {imported} readings before are in")
                })?);
                if readings.len() == AT_ONCE {
                    imported += writer.import(std::mem::take(&mut readings)).await?.count;
                }
            }
            imported += writer.import(readings).await?.count;
            anyhow::Ok(())
        });
        drop(writer);
        let closed = store.close().context("the store was not closed in order");
        taken?;
        closed?;
        if out.json {
            out.object(&Done { imported })?;
        } else {
            out.line(&format!("{imported} readings imported"))?;
        }
        Ok(true)
    }
}

const HEAD: &str = "time,meter,register,value,unit";

/// A commit's worth: large enough that its disk writes are few, small enough for the memory of a
/// small machine.
const AT_ONCE: usize = 20_000;

fn input(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}

fn reading(line: &str, kinds: &Kinds<'_>, origin: metering::Origin) -> Result<Imported, String> {
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    let [time, meter, register, value, unit] = columns.as_slice() else {
        return Err(format!("there are {} columns and should be 5", columns.len()));
    };
    let at = DateTime::parse_from_rfc3339(time)
        .map_err(|_| format!("`{time}` is not a time such as 2026-11-21T12:00:00Z"))?;
    let meter: MeterId = meter.parse().map_err(|error| format!("{error}"))?;
    let register: Register = register.parse().map_err(|error| format!("{error}"))?;
    let unit =
        Unit::from_code(unit).ok_or_else(|| format!("`{unit}` is not a unit such as kWh"))?;
    let quantity = Quantity::from_decimal(value, unit).map_err(|error| error.to_string())?;
    let kind = kinds.of(meter, &register);
    Ok(Imported { meter, register, kind, at_ms: at.timestamp_millis(), quantity, origin })
}

/// Tells counters from the rest, by the meter's profile where it has one.
struct Kinds<'a> {
    site: Option<&'a Site>,
    profiles: &'a Profiles,
}

impl Kinds<'_> {
    fn of(&self, id: MeterId, register: &Register) -> Kind {
        let meters = self.site.into_iter().flat_map(|site| &site.buses).flat_map(|bus| &bus.meters);
        let meter = meters.into_iter().find(|meter| meter.id == id);
        wire::kind(self.profiles, meter.and_then(|meter| meter.profile.as_deref()), register)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let profiles = Profiles::embedded();
        let kinds = Kinds { site: None, profiles: &profiles };
        let read = reading(line, &kinds, metering::Origin::Import)
            .map(|it| format!("{} {} {} {:?}", it.at_ms, it.register, it.quantity, it.kind));
        assert_eq!(read.unwrap_or_else(|wrong| wrong), expected);
    }

    const METER: &str = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01";

    #[test]
    fn a_line_is_a_reading() {
        check(
            &format!("2026-11-21T13:00:00+01:00,{METER},energy,12.340,MWh"),
            "1795262400000 energy 12.340 MWh Counter",
        );
        check(
            &format!("2026-11-21T12:00:00Z, {METER}, flow_temperature, -0.5, C"),
            "1795262400000 flow_temperature -0.5 °C Gauge",
        );
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        check("a,b", "there are 2 columns and should be 5");
        check("12:00,b,c,d,e", "`12:00` is not a time such as 2026-11-21T12:00:00Z");
        check(
            &format!("2026-11-21T12:00:00Z,{METER},energy,\"1,5\",kWh"),
            "there are 6 columns and should be 5",
        );
        check(
            &format!("2026-11-21T12:00:00Z,{METER},energy,1e5,kWh"),
            "`1e5` is not a decimal number of at most 18 digits, such as 12.345",
        );
    }
}
