//! `fyrhus readings telegram`: what a meter said when a reading was taken, byte by byte.

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use drivers::Profiles;
use mbus::crypto::Key;
use metering::MeterId;
use serde::Serialize;
use store::Readers;

use super::mbus::{WirePiece, explained, explained_for_people, to_hex};
use super::{Out, Where, block_on};
use crate::config::Site;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Telegrams are kept for as long as [keep] of fyrhus.toml says. The last answer at
that time or before it is shown: give the time of a reading for its own.

Examples:
  fyrhus readings telegram \"Heat, stairway A\" --explain
  fyrhus readings telegram Heat --at 2026-11-21T06:00:00Z

Exit status: 0 it was shown; 1 the meter told nothing then, or it is not kept.")]
pub(super) struct ShowTelegram {
    /// The meter's name as in site.toml, or the beginning of it, or its id
    meter: String,
    /// When, such as 2026-11-21T06:00:00Z; without it the last answer
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// Tell what every single byte of an M-Bus telegram means
    #[arg(long)]
    explain: bool,
    /// A key that may open encrypted telegrams, 32 hex digits; may be given several times
    #[arg(long = "key", value_name = "HEX")]
    keys: Vec<Key>,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Line {
    meter: MeterId,
    at: String,
    /// Which of the answer's telegrams, from 1 on.
    telegram: usize,
    hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<WirePiece>>,
}

impl ShowTelegram {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let meter = super::readings::meter(&self.meter, site.as_ref())?;
        if self.explain && site.as_ref().is_some_and(|site| !speaks_mbus(site, meter)) {
            bail!("this meter is not on an M-Bus: its bytes are shown without --explain");
        }
        let zone = site.map_or(Tz::Europe__Oslo, |site| site.time_zone);
        let readers = Readers::beside(&machine.state, zone)
            .with_context(|| format!("no store in {} can be read", machine.state.display()))?;
        let at = self.at.map(|at| at.timestamp_millis());
        let heard = block_on(async move {
            let ask = move |store: &store::Snapshot<'_>| {
                let at_ms = at.or_else(|| store.last_answer(meter));
                at_ms.map_or(Ok(None), |at_ms| store.heard(meter, at_ms))
            };
            Ok(readers.ask(ask).await?)
        })?;
        let Some(heard) = heard else {
            out.trouble("fyrhus: the meter told nothing in the month before");
            return Ok(false);
        };
        let at = DateTime::from_timestamp_millis(heard.at_ms).unwrap_or_default();
        if heard.telegrams.is_empty() {
            let at = at.with_timezone(&zone).format("%F %T %Z");
            out.trouble(&format!("fyrhus: what it said at {at} is not kept, or has no telegrams"));
            return Ok(false);
        }
        if !out.json {
            out.line(&at.with_timezone(&zone).format("%F %T %Z").to_string())?;
        }
        let pieces = self.explain.then(|| explained(&heard.telegrams, &self.keys));
        let mut pieces = pieces.into_iter().flatten();
        for (number, telegram) in (1..).zip(&heard.telegrams) {
            let explain = pieces.next();
            if out.json {
                out.object(&Line {
                    meter,
                    at: at.to_rfc3339_opts(SecondsFormat::Millis, true),
                    telegram: number,
                    hex: to_hex(telegram),
                    explain,
                })?;
                continue;
            }
            match explain {
                Some(pieces) => out.text(&format!("\n{}", explained_for_people(&pieces)))?,
                None => out.line(&to_hex(telegram))?,
            }
        }
        Ok(true)
    }
}

/// Whether the telegrams of `meter` are M-Bus; nobody knows of one that is not in the file any more.
fn speaks_mbus(site: &Site, meter: MeterId) -> bool {
    let bus = site.buses.iter().find(|bus| bus.meters.iter().any(|it| it.id == meter));
    bus.is_none_or(|bus| matches!(bus.kind.code(), "mbus" | "wmbus"))
}
