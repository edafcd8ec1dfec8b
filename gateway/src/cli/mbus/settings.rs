//! `fyrhus mbus set-address`, `set-baud` and `set-clock`: what is set in a meter once.
//!
//! Each says which meter it is and what will change, and asks before it does; what was set is read
//! back from the meter.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::{Datelike as _, Local, NaiveDateTime, Timelike as _};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use drivers::mbus::{MbusBus, SetError, SpeedSet};
use drivers::{Bus, BusKind, Meter, MeterAddress, Readout};
use mbus::Baud;
use metering::{MeterId, Origin};
use serde::Serialize;
use uuid::Uuid;

use super::super::read::{Types, Wire};
use super::super::{Out, block_on};
use super::wrap::plain;
use crate::clock::SystemClock;

/// Which meter is meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Which {
    /// Its primary address as it is now, 0 to 250 (254: whoever is there, if it is one alone)
    #[arg(long, value_name = "ADDRESS")]
    address: Option<u8>,
    /// Its secondary address: eight digits as on the meter, then maker, version, medium if wanted
    #[arg(long, value_name = "NUMBER")]
    secondary: Option<String>,
}

impl Which {
    fn address(&self) -> anyhow::Result<MeterAddress> {
        match (self.address, &self.secondary) {
            (Some(address @ (0..=250 | 254)), _) => Ok(MeterAddress::Primary(address)),
            (Some(address), _) => bail!("{address} is not the address of a meter: 0 to 250 are"),
            (None, Some(text)) => match text.parse() {
                Ok(selection) => Ok(MeterAddress::Secondary(selection)),
                Err(mbus::InvalidAddress) => {
                    bail!("{} is not a secondary address such as 67001122KAM3504", plain(text))
                }
            },
            (None, None) => bail!("give --address or --secondary"),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new address must be free: it is asked first. The meter acknowledges, and is
then read at its new address. A meter whose address cannot be set over the bus
says so by staying as it was.

Examples:
  fyrhus mbus set-address --port serial:///dev/ttyUSB0 --secondary 67001122 5
  fyrhus mbus set-address --port tcp://10.0.4.2:10001 --address 0 12")]
pub(in crate::cli) struct SetAddress {
    #[command(flatten)]
    wire: Wire,
    #[command(flatten)]
    which: Which,
    /// The new primary address, 1 to 250
    #[arg(value_name = "NEW", value_parser = clap::value_parser!(u8).range(1..=250))]
    new: u8,
    /// Do not ask whether this is wanted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    types: Types,
}

impl SetAddress {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { wire, which, new, yes, types } = self;
        let address = which.address()?;
        let mut bus = open(out, &wire, &types)?;
        block_on(async {
            let Some(before) = look(out, &mut bus, address).await? else { return Ok(false) };
            if !wanted(yes, &before, &format!("Give it the address {new}?"))? {
                return Ok(false);
            }
            match bus.set_address(address, new, &SystemClock::new()).await {
                Ok(_) => {
                    done(out, &before, &format!("has the address {new} now, and was read there"))
                }
                Err(error) => failed(out, &error),
            }
        })
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The meter acknowledges at the old speed and then talks at the new one, at which
it is read. If it does not answer there, the command goes back to the old speed
and says what it found. All meters of a wire, its converter and the gateway's
configuration (`baud`) must have one speed.

Behind a TCP converter the speed of the wire is set at the converter: change it
there within a few minutes after the meter has acknowledged, or the meter falls
back.

Example:
  fyrhus mbus set-baud --port serial:///dev/ttyUSB0 --baud 2400 --address 5 9600")]
pub(in crate::cli) struct SetBaud {
    #[command(flatten)]
    wire: Wire,
    /// Its primary address, 0 to 250
    #[arg(long, value_name = "ADDRESS", value_parser = clap::value_parser!(u8).range(0..=250))]
    address: u8,
    /// The new speed
    #[arg(value_name = "BAUD", value_parser = speed())]
    new: Baud,
    /// Do not ask whether this is wanted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    types: Types,
}

/// One of those that meters can be told.
fn speed() -> impl clap::builder::TypedValueParser<Value = Baud> {
    let speeds = ["300", "600", "1200", "2400", "4800", "9600", "19200", "38400"];
    PossibleValuesParser::new(speeds).try_map(|text| {
        let baud = text.parse().ok().and_then(Baud::of);
        baud.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))
    })
}

impl SetBaud {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { wire, address, new, yes, types } = self;
        let mut bus = open(out, &wire, &types)?;
        let meter = MeterAddress::Primary(address);
        let baud = new.bits_per_second();
        block_on(async {
            let Some(before) = look(out, &mut bus, meter).await? else { return Ok(false) };
            if !wanted(yes, &before, &format!("Make it talk at {baud} baud?"))? {
                return Ok(false);
            }
            match bus.set_baud(address, new, &SystemClock::new()).await {
                Ok(SpeedSet::ReadBack(_)) => {
                    done(out, &before, &format!("talks at {baud} baud now, and was read so"))
                }
                Ok(SpeedSet::Acknowledged) => done(
                    out,
                    &before,
                    &format!(
                        "has acknowledged {baud} baud. Set the converter to {baud} baud now, and read \
                     the meter with --baud {baud}; after some minutes without a question most \
                     meters go back to their old speed"
                    ),
                ),
                Err(error) => failed(out, &error),
            }
        })
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Meters keep the time of their place, mostly without summer time. Values at a
due date are taken by this clock: set it when you know that it is wrong.

Examples:
  fyrhus mbus set-clock --port serial:///dev/ttyUSB0 --address 5
  fyrhus mbus set-clock --port serial:///dev/ttyUSB0 --address 5 2026-11-22T14:30")]
pub(in crate::cli) struct SetClock {
    #[command(flatten)]
    wire: Wire,
    #[command(flatten)]
    which: Which,
    /// The time, such as 2026-11-22T14:30 [default: this machine's, in its own time zone]
    #[arg(value_name = "TIME")]
    time: Option<String>,
    /// Do not ask whether this is wanted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    types: Types,
}

impl SetClock {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { wire, which, time, yes, types } = self;
        let address = which.address()?;
        let clock = SystemClock::new();
        let moment = match &time {
            Some(text) => {
                NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok().with_context(|| {
                    format!("{} is not a time such as 2026-11-22T14:30", plain(text))
                })?
            }
            None => metering::Clock::now(&clock).wall.with_timezone(&Local).naive_local(),
        };
        let (date, time) = of_meter(moment)
            .with_context(|| format!("{moment} is not a time that a meter can have"))?;
        let mut bus = open(out, &wire, &types)?;
        block_on(async {
            let Some(before) = look(out, &mut bus, address).await? else { return Ok(false) };
            if !wanted(yes, &before, &format!("Set its clock to {date} {time}?"))? {
                return Ok(false);
            }
            match bus.set_clock(address, date, time, &clock).await {
                Ok((date, time)) => done(out, &before, &format!("says that it is {date} {time}")),
                Err(error) => failed(out, &error),
            }
        })
    }
}

fn of_meter(moment: NaiveDateTime) -> Option<(mbus::Date, mbus::Time)> {
    let year = u16::try_from(moment.year()).ok()?;
    let month = u8::try_from(moment.month()).ok()?;
    let date = mbus::Date::new(year, month, u8::try_from(moment.day()).ok()?)?;
    let hour = u8::try_from(moment.hour()).ok()?;
    Some((date, mbus::Time::new(hour, u8::try_from(moment.minute()).ok()?, None)?))
}

fn open(out: &Out, wire: &Wire, types: &Types) -> anyhow::Result<Box<MbusBus>> {
    let profiles = types.load(out);
    wire.expect_unpolled(types, &profiles)?;
    match Bus::open(&wire.settings(BusKind::Mbus), Arc::new(profiles)) {
        Bus::Mbus(mut bus) => {
            bus.set_keys(types.keys(out));
            Ok(bus)
        }
        _ => bail!("this is no M-Bus"),
    }
}

/// Who the meter is; `None` if it cannot be read, which has been said.
async fn look(
    out: &mut Out,
    bus: &mut MbusBus,
    address: MeterAddress,
) -> anyhow::Result<Option<Readout>> {
    let id = MeterId::from_uuid(Uuid::nil());
    let meter = Meter { id, address, profile: None, serial: None, origin: Origin::Live };
    match bus.read(&meter, &SystemClock::new()).await {
        Ok(readout) => Ok(Some(readout)),
        Err(error) => {
            failed(out, &SetError::Before(error))?;
            Ok(None)
        }
    }
}

/// Whether the person in front of the terminal wants it.
fn wanted(yes: bool, meter: &Readout, question: &str) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        bail!("there is nobody to ask whether this is wanted; --yes says so");
    }
    let mut stderr = stderr().lock();
    write!(stderr, "This is {}. {question} [y/N] ", name(meter))?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    let wanted = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if !wanted {
        writeln!(stderr, "Nothing was changed.")?;
    }
    Ok(wanted)
}

fn name(meter: &Readout) -> String {
    let identity = &meter.identity;
    let medium = meter.medium.map_or("", metering::Medium::code);
    let words = ["meter", &identity.serial, &identity.manufacturer, medium];
    let words: Vec<&str> = words.into_iter().filter(|it| !it.is_empty()).collect();
    plain(&words.join(" "))
}

#[derive(Debug, Serialize)]
struct Done<'a> {
    ok: bool,
    serial: &'a str,
    manufacturer: &'a str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct Failed {
    ok: bool,
    error: String,
}

fn done(out: &mut Out, meter: &Readout, what: &str) -> anyhow::Result<bool> {
    let identity = &meter.identity;
    if out.json {
        let (serial, manufacturer) = (&identity.serial, &identity.manufacturer);
        out.object(&Done { ok: true, serial, manufacturer, message: what })?;
    } else {
        out.line(&format!("{} {what}", name(meter)))?;
    }
    Ok(true)
}

fn failed(out: &mut Out, error: &SetError) -> anyhow::Result<bool> {
    let error = crate::chain(error);
    if out.json {
        out.object(&Failed { ok: false, error })?;
    } else {
        out.trouble(&format!("fyrhus: {error}"));
    }
    Ok(false)
}
