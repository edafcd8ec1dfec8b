//! `fyrhus readings`: what the store has of a meter, also while the gateway runs.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use drivers::Profiles;
use metering::{MeterId, NoReading, Quantity, Register};
use serde::Serialize;
use store::{Order, Readers};

use super::correct::{Correct, CorrectSpan};
use super::proof::Verify;
use super::telegram::ShowTelegram;
use super::{Out, Where, block_on};
use crate::config::Site;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ShowReadings {
    #[command(subcommand)]
    other: Option<Other>,
    /// The meter's name as in site.toml, or the beginning of it, or its id
    #[arg(required = true)]
    meter: Option<String>,
    /// One register, such as energy: its last readings. Without it: the last of every register
    #[arg(long)]
    register: Option<Register>,
    /// How many readings of the register
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Prove that the readings of a month are those that were stored; the gateway may be running
    Verify(Verify),
    /// Put a figure in the place of a reading, or where there is none; the gateway must be running
    Correct(Correct),
    /// Correct all readings of a span of time, or say how many those are; the gateway must be running
    CorrectSpan(CorrectSpan),
    /// Show what a meter said when a reading was taken, byte by byte; the gateway may be running
    Telegram(ShowTelegram),
}

#[derive(Debug, Serialize)]
struct Line {
    meter: MeterId,
    register: String,
    at: String,
    value: Option<String>,
    unit: Option<String>,
    reason: Option<&'static str>,
    quality: &'static str,
    origin: &'static str,
}

/// A reading as it is printed.
struct Row {
    register: String,
    at_ms: i64,
    value: Result<Quantity, NoReading>,
    quality: &'static str,
    origin: &'static str,
}

impl ShowReadings {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self.other {
            Some(Other::Verify(command)) => return command.run(out),
            Some(Other::Correct(command)) => return command.run(out),
            Some(Other::CorrectSpan(command)) => return command.run(out),
            Some(Other::Telegram(command)) => return command.run(out),
            None => {}
        }
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let meter = meter(self.meter.as_deref().unwrap_or_default(), site.as_ref())?;
        let zone = site.map_or(Tz::Europe__Oslo, |site| site.time_zone);
        let readers = Readers::beside(&machine.state, zone)
            .with_context(|| format!("no store in {} can be read", machine.state.display()))?;
        let (register, limit) = (self.register, usize::from(self.limit));
        let rows = block_on(async move {
            Ok(readers
                .ask(move |store| match register {
                    Some(register) => {
                        let all = i64::MIN..i64::MAX;
                        let order = Order::NewestFirst;
                        let found = store.readings(meter, &register, all, order, limit)?;
                        Ok(found
                            .into_iter()
                            .map(|reading| Row {
                                register: register.to_string(),
                                at_ms: reading.at_ms,
                                value: reading.value,
                                quality: reading.quality.as_str(),
                                origin: reading.origin.as_str(),
                            })
                            .collect::<Vec<_>>())
                    }
                    None => Ok(store
                        .latest(meter)
                        .into_iter()
                        .map(|latest| Row {
                            register: latest.series.register.to_string(),
                            at_ms: latest.at_ms,
                            value: latest.value,
                            quality: latest.quality.as_str(),
                            origin: latest.origin.as_str(),
                        })
                        .collect()),
                })
                .await?)
        })?;
        if rows.is_empty() {
            out.trouble("fyrhus: nothing is stored of this meter yet");
        }
        for row in &rows {
            let at = DateTime::from_timestamp_millis(row.at_ms).unwrap_or_default();
            if out.json {
                out.object(&row.line(meter, at))?;
            } else {
                out.line(&row.for_people(at, zone))?;
            }
        }
        Ok(!rows.is_empty())
    }
}

impl Row {
    fn line(&self, meter: MeterId, at: DateTime<Utc>) -> Line {
        Line {
            meter,
            register: self.register.clone(),
            at: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            value: self.value.ok().map(Quantity::decimal),
            unit: self.value.ok().map(|it| it.resolution().unit().code().to_owned()),
            reason: self.value.err().map(NoReading::as_str),
            quality: self.quality,
            origin: self.origin,
        }
    }

    fn for_people(&self, at: DateTime<Utc>, zone: Tz) -> String {
        let at = at.with_timezone(&zone).format("%F %T %Z");
        let value = match self.value {
            Ok(value) => value.to_string(),
            Err(reason) => format!("- ({})", reason.as_str()),
        };
        let marks: Vec<&str> = [(self.quality, "good"), (self.origin, "live")]
            .into_iter()
            .filter_map(|(mark, usual)| (mark != usual).then_some(mark))
            .collect();
        let line = format!("{at}  {:<32} {value}  {}", self.register, marks.join(", "));
        line.trim_end().to_owned()
    }
}

/// The meter that `written` names.
pub(super) fn meter(written: &str, site: Option<&Site>) -> anyhow::Result<MeterId> {
    if let Ok(id) = written.parse() {
        return Ok(id);
    }
    let Some(site) = site else { bail!("there is no site.toml: give the meter's id") };
    let begins = |name: &str| name.to_lowercase().starts_with(&written.to_lowercase());
    let found: Vec<_> = (site.buses.iter())
        .flat_map(|bus| &bus.meters)
        .filter(|meter| begins(&meter.name))
        .collect();
    match found.as_slice() {
        [meter] => Ok(meter.id),
        [] => {
            let names: Vec<String> = (site.buses.iter())
                .flat_map(|bus| &bus.meters)
                .map(|meter| format!("\n  {}  {}", meter.id, meter.name))
                .collect();
            bail!("no meter is called {written}; there are:{}", names.concat())
        }
        several => {
            let exact = several.iter().find(|meter| meter.name == written);
            let names: Vec<&str> = several.iter().map(|meter| meter.name.as_str()).collect();
            match exact {
                Some(meter) => Ok(meter.id),
                None => bail!("{written} begins several names: {}", names.join(", ")),
            }
        }
    }
}
