//! `fyrhus store`: what the files of the readings hold, whether they are whole, all of it as CSV, and
//! their repair. Backups are in `backup.rs`.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::DateTime;
use chrono_tz::Tz;
use clap::Subcommand;
use drivers::Profiles;
use metering::{MeterId, NoReading, Quantity};
use serde::Serialize;
use store::{FileReport, HadAgain, Options, Order, Readers, Snapshot, Store, StoredReading};

use super::account::AccountOf;
use super::backup::{Backup, Restore};
use super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::config::Machine;

#[derive(Debug, Subcommand)]
pub(super) enum Files {
    /// Show what each file holds; the gateway may be running
    Stats(InPlace),
    /// Read every stored byte and say what is damaged; the gateway may be running
    Verify(InPlace),
    /// Print all readings as CSV; the gateway may be running
    Export(Export),
    /// Say what was expected of the meters, what came and why the rest did not; the gateway may be running
    Account(AccountOf),
    /// Keep all that this gateway is in one file that only a passphrase opens; it may be running
    Backup(Backup),
    /// Make this gateway what a backup holds; it must not be running, and have no store
    Restore(Restore),
    /// Put damaged files and blocks aside and save what can be read; the gateway must not be running
    Repair(InPlace),
}

/// Nothing but where the files are.
#[derive(Debug, clap::Args)]
pub(super) struct InPlace {
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// From this time on, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<chrono::Utc>>,
    /// Up to this time, which is not in it any more
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<chrono::Utc>>,
    /// The meter's id; without it: all meters
    #[arg(long)]
    meter: Option<MeterId>,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct FileState<'a> {
    file: &'a str,
    bytes: u64,
    readings: u64,
    spooled: u64,
    chunks: usize,
    set_aside: u32,
    damages: &'a [String],
}

#[derive(Debug, Serialize)]
struct Repaired {
    repaired: Vec<String>,
}

impl Files {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Stats(InPlace { files }) => {
                let state = files.machine()?.state;
                let found = store::stats(&state).with_context(|| no_store(&state))?;
                let whole = print(&found, false, out)?;
                tell_had_again(&state, out)?;
                Ok(whole)
            }
            Self::Verify(InPlace { files }) => {
                let state = files.machine()?.state;
                let found = store::verify(&state).with_context(|| no_store(&state))?;
                let whole = print(&found, true, out)?;
                tell_had_again(&state, out)?;
                Ok(whole)
            }
            Self::Export(command) => command.run(out),
            Self::Account(command) => command.run(out),
            Self::Backup(command) => command.run(out),
            Self::Restore(command) => command.run(out),
            Self::Repair(InPlace { files }) => repair(&files.machine()?, out),
        }
    }
}

pub(super) fn no_store(state: &std::path::Path) -> String {
    format!("no store in {} can be read", state.display())
}

/// Prints the reports; `false` if something is damaged.
pub(super) fn print(reports: &[FileReport], verified: bool, out: &mut Out) -> anyhow::Result<bool> {
    if reports.is_empty() {
        out.trouble("fyrhus: there is no store yet");
        return Ok(false);
    }
    if !out.json {
        out.line("file                        bytes     readings   spooled  chunks")?;
    }
    for report in reports {
        let FileReport { name, bytes, readings, spooled, chunks, set_aside, damages } = report;
        if out.json {
            let (spooled, chunks, set_aside) = (*spooled, *chunks, *set_aside);
            let (bytes, readings) = (*bytes, *readings);
            out.object(&FileState {
                file: name,
                bytes,
                readings,
                spooled,
                chunks,
                set_aside,
                damages,
            })?;
            continue;
        }
        out.line(&format!("{name:<20} {bytes:>12} {readings:>12} {spooled:>9} {chunks:>7}"))?;
        if *set_aside > 0 {
            out.line(&format!("  {set_aside} damaged blocks were set aside in it"))?;
        }
        for damage in damages {
            out.line(&format!("  {damage}"))?;
        }
    }
    let whole = reports.iter().all(|report| report.damages.is_empty());
    if !out.json {
        let sum = |of: fn(&FileReport) -> u64| reports.iter().map(of).sum::<u64>();
        out.line(&format!(
            "{:<20} {:>12} {:>12} {:>9}",
            "all",
            sum(|it| it.bytes),
            sum(|it| it.readings),
            sum(|it| it.spooled)
        ))?;
        if verified && whole {
            out.line("Every reading is as it was written.")?;
        } else if verified {
            out.line("Stop the gateway and run `fyrhus store repair`, or let its scrub find it.")?;
        }
    }
    Ok(whole)
}

#[derive(Debug, Serialize)]
struct Again {
    damaged_times: u64,
    still_asked: u64,
    from_portfolio: u64,
    from_meters: u64,
}

/// Prints what became of damaged times, if there are any.
fn tell_had_again(state: &std::path::Path, out: &mut Out) -> anyhow::Result<()> {
    // A file that cannot be read was told.
    let Ok(HadAgain { times, open, recalled, remembered }) = store::had_again(state) else {
        return Ok(());
    };
    if times == 0 {
        return Ok(());
    }
    if out.json {
        out.object(&Again {
            damaged_times: times,
            still_asked: open,
            from_portfolio: recalled,
            from_meters: remembered,
        })?;
    } else {
        out.line(&format!(
            "Of {times} damaged times {recalled} readings came back from the portfolio and {remembered} out of \
             meters' memories; {open} are still to be asked about."
        ))?;
    }
    Ok(())
}

fn repair(machine: &Machine, out: &mut Out) -> anyhow::Result<bool> {
    let options = Options::new(machine.state.clone(), zone(machine));
    let (store, report) = Store::open(options, Arc::new(SystemClock::new()))
        .with_context(|| format!("the store in {} cannot be opened", machine.state.display()))?;
    let mut repaired: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    let found = block_on(async { Ok(store.writer().scrub_all().await?) });
    let closed = store.close().context("the store was not closed in order");
    repaired.extend(found?.iter().map(ToString::to_string));
    closed?;
    if out.json {
        out.object(&Repaired { repaired })?;
    } else if repaired.is_empty() {
        out.line("Nothing is damaged.")?;
    } else {
        for sentence in repaired {
            out.line(&sentence)?;
        }
    }
    Ok(true)
}

fn zone(machine: &Machine) -> Tz {
    let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
    super::site(machine, &profiles).map_or(Tz::Europe__Oslo, |site| site.time_zone)
}

const HEAD: &str = "time,meter,register,value,unit,reason,quality,origin,seq";

/// A piece of the span that is held in memory at once, of one register.
const PIECE_MS: i64 = 7 * 86_400_000;

impl Export {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let readers = Readers::beside(&machine.state, zone(&machine))
            .with_context(|| no_store(&machine.state))?;
        let asked = (self.from.map_or(i64::MIN, |it| it.timestamp_millis()))
            ..(self.until.map_or(i64::MAX, |it| it.timestamp_millis()));
        if !out.json {
            out.line(HEAD)?;
        }
        let mut any = false;
        let answered = readers.ask_blocking(|store| {
            // What goes wrong with the output is told apart from what goes wrong in the store.
            Ok(self.print(store, &asked, out, &mut any))
        })?;
        answered?;
        Ok(any)
    }

    fn print(
        &self,
        store: &Snapshot<'_>,
        asked: &std::ops::Range<i64>,
        out: &mut Out,
        any: &mut bool,
    ) -> anyhow::Result<()> {
        let Some(there) = store.times() else { return Ok(()) };
        let (from, until) = (asked.start.max(there.start), asked.end.min(there.end));
        let mut meters = store.meters();
        meters.sort_unstable();
        for meter in meters.into_iter().filter(|it| self.meter.is_none_or(|wanted| *it == wanted)) {
            for point in store.points(meter) {
                let register = point.register.to_string();
                let mut at = from;
                while at < until {
                    let end = at.saturating_add(PIECE_MS).min(until);
                    let piece = at..end;
                    let order = Order::OldestFirst;
                    for reading in
                        store.readings(meter, &point.register, piece, order, usize::MAX)?
                    {
                        *any = true;
                        row(meter, &register, &reading, out)?;
                    }
                    at = end;
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    meter: MeterId,
    register: &'a str,
    value: Option<String>,
    unit: Option<String>,
    reason: Option<&'a str>,
    quality: &'a str,
    origin: &'a str,
    seq: u64,
}

fn row(
    meter: MeterId,
    register: &str,
    reading: &StoredReading,
    out: &mut Out,
) -> anyhow::Result<()> {
    let at = DateTime::from_timestamp_millis(reading.at_ms).unwrap_or_default();
    let line = Line {
        time: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        meter,
        register,
        value: reading.value.ok().map(Quantity::decimal),
        unit: reading.value.ok().map(|it| it.resolution().unit().code().to_owned()),
        reason: reading.value.err().map(NoReading::as_str),
        quality: reading.quality.as_str(),
        origin: reading.origin.as_str(),
        seq: reading.seq,
    };
    if out.json {
        return out.object(&line);
    }
    let Line { time, value, unit, reason, quality, origin, seq, .. } = line;
    let (value, unit, reason) =
        (value.unwrap_or_default(), unit.unwrap_or_default(), reason.unwrap_or_default());
    out.line(&format!("{time},{meter},{register},{value},{unit},{reason},{quality},{origin},{seq}"))
}
