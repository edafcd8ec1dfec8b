//! `fyrhus mbus doctor`: what is wrong with a wire, told from what the running gateway has seen.
//!
//! It reads the gateway's store and sends nothing. What it sees is up to ten minutes old.

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use drivers::{BusKind, Doctor, Finding, MeterAddress};
use mbus::Responses;
use metering::MeterId;
use serde::Serialize;
use store::Readers;

use super::wrap::plain;
use crate::cli::{Out, Where, block_on};
use crate::config::{Bus, Meter, WireKind};
use crate::poll::doctor;
use crate::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows of each bus what is most likely wrong with its wire, the likeliest cause first, and what each
meter has shown since it was asked first. Nothing is sent: it is read from the store of the gateway,
which writes it down every ten minutes.")]
pub(in crate::cli) struct AskDoctor {
    /// The bus, by its id in site.toml; all M-Buses without it
    bus: Option<String>,
    #[command(flatten)]
    files: Where,
}

impl AskDoctor {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let profiles = crate::shelf::Shelf::open(&machine.state).now();
        let Some(site) = crate::cli::site(&machine, &profiles) else {
            bail!("there is no site.toml in {} yet", machine.state.display());
        };
        let wanted = |bus: &&Bus| self.bus.as_ref().is_none_or(|id| *id == bus.id);
        let buses: Vec<&Bus> = site
            .buses
            .iter()
            .filter(|bus| bus.kind == WireKind::Asked(BusKind::Mbus))
            .filter(wanted)
            .collect();
        if buses.is_empty() {
            match &self.bus {
                Some(id) => bail!("site.toml has no M-Bus `{}`", plain(id)),
                None => bail!("site.toml has no M-Bus"),
            }
        }
        let readers = Readers::beside(&machine.state, site.time_zone)?;
        let mut well = true;
        for bus in buses {
            let key = doctor::setting(&bus.id);
            let kept = block_on(async { Ok(readers.setting(&key).await?) })?;
            let doctor: Doctor =
                kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            well &= show(out, bus, &doctor)?;
        }
        Ok(well)
    }
}

/// Prints what `doctor` has to say of `bus`; whether it found nothing wrong.
fn show(out: &mut Out, bus: &Bus, doctor: &Doctor) -> anyhow::Result<bool> {
    let addresses: Vec<(MeterId, MeterAddress)> =
        bus.meters.iter().map(|meter| (meter.id, meter.address)).collect();
    let load = wire::load(bus);
    let findings = doctor.findings(&addresses, load);
    if out.json {
        out.object(&BusLine {
            bus: &bus.id,
            unit_loads: load.sum,
            max_unit_loads: load.most,
            port_failures: doctor.port_failures(),
            findings: findings.iter().map(|it| FindingLine::of(it, bus)).collect(),
            meters: bus.meters.iter().filter_map(|it| MeterLine::of(it, doctor)).collect(),
        })?;
        return Ok(findings.is_empty());
    }
    out.line(&format!("{} ({})", bus.name, bus.port))?;
    let most = load.most.map(|most| format!(" of {most}")).unwrap_or_default();
    out.line(&format!("  {} unit loads{most}", load.sum))?;
    for finding in &findings {
        out.line(&format!("  ! {}", sentence(finding, bus)))?;
        out.line(&format!("    {}", finding.trouble.advice()))?;
    }
    let lines: Vec<MeterLine<'_>> =
        bus.meters.iter().filter_map(|it| MeterLine::of(it, doctor)).collect();
    if lines.is_empty() {
        out.line("  nothing is known of its meters yet")?;
    } else if findings.is_empty() {
        out.line("  no fault can be seen")?;
    }
    for line in &lines {
        out.line(&line.for_people())?;
    }
    Ok(findings.is_empty())
}

fn sentence(finding: &Finding, bus: &Bus) -> String {
    let meter = bus.meters.iter().find(|meter| Some(meter.id) == finding.meter);
    let said = finding.sentence(meter.map_or("", |meter| &meter.name));
    let since = finding.since_ms.map(|ms| format!(", since {}", time(ms)));
    plain(&format!("{said}{}", since.unwrap_or_default()))
}

#[derive(Debug, Serialize)]
struct BusLine<'b> {
    bus: &'b str,
    unit_loads: u32,
    max_unit_loads: Option<u32>,
    port_failures: u32,
    findings: Vec<FindingLine>,
    meters: Vec<MeterLine<'b>>,
}

#[derive(Debug, Serialize)]
struct FindingLine {
    code: &'static str,
    meter: Option<MeterId>,
    address: Option<String>,
    count: u32,
    of: u32,
    since: Option<String>,
    sentence: String,
    advice: &'static str,
}

impl FindingLine {
    fn of(finding: &Finding, bus: &Bus) -> Self {
        Self {
            code: finding.trouble.as_str(),
            meter: finding.meter,
            address: finding.address.clone(),
            count: finding.count,
            of: finding.of,
            since: finding.since_ms.map(time),
            sentence: sentence(finding, bus),
            advice: finding.trouble.advice(),
        }
    }
}

#[derive(Debug, Serialize)]
struct MeterLine<'b> {
    meter: MeterId,
    name: &'b str,
    address: String,
    counts: serde_json::Map<String, serde_json::Value>,
    /// Longest time of each bin in microseconds, and how many answers began within it.
    times: Vec<(u128, u32)>,
    median_ms: Option<u64>,
    p95_ms: Option<u64>,
    answered_at: Option<String>,
    silent_since: Option<String>,
    silent_times: u32,
    silent_longest_s: u32,
    device: Option<String>,
    held: Option<String>,
}

impl<'b> MeterLine<'b> {
    fn of(meter: &'b Meter, doctor: &Doctor) -> Option<Self> {
        let record = doctor.record(meter.id).filter(|record| record.all.polls > 0)?;
        let counts = doctor::counts(record).into_iter();
        let bins = record.times.iter().enumerate().filter(|(_, count)| **count > 0);
        Some(Self {
            meter: meter.id,
            name: &meter.name,
            address: meter.address.to_string(),
            counts: counts.map(|(name, count)| (name.to_owned(), count.into())).collect(),
            times: bins.map(|(bin, count)| (Responses::bound(bin).as_micros(), *count)).collect(),
            median_ms: record.within_ms(50),
            p95_ms: record.within_ms(95),
            answered_at: record.answered_ms.map(time),
            silent_since: record.silent_since_ms.filter(|_| record.in_vain > 1).map(time),
            silent_times: record.silent_times,
            silent_longest_s: record.silent_longest_s,
            device: record.known().map(|device| device.to_string()),
            held: record.suspect().map(|device| device.to_string()),
        })
    }

    /// Its counts, without those that are nothing.
    fn for_people(&self) -> String {
        let count = |name: &str| self.counts.get(name).and_then(serde_json::Value::as_u64);
        let counts: Vec<String> = SHOWN
            .iter()
            .filter_map(|(name, words)| {
                count(name).filter(|count| *count > 0).map(|count| format!("{count} {words}"))
            })
            .collect();
        let times = self.median_ms.zip(self.p95_ms);
        let times = times.map(|(half, most)| format!(", {half} ms (19 of 20 within {most} ms)"));
        let Self { name, address, .. } = self;
        let counts = counts.join(", ");
        plain(&format!("  {address:>8}  {name}: {counts}{}", times.unwrap_or_default()))
    }
}

/// The counts that people are shown, and what they call them.
const SHOWN: [(&str, &str); 11] = [
    ("polls", "asked"),
    ("answered", "answered"),
    ("retries", "said again"),
    ("checksum_errors", "wrong checksums"),
    ("line_errors", "wrong parities"),
    ("broken", "broken"),
    ("collisions", "collisions"),
    ("foreign", "not asked for"),
    ("stray_bytes", "stray bytes"),
    ("held", "held back"),
    ("others", "of other devices"),
];

fn time(ms: i64) -> String {
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
