//! `fyrhus mbus scan`: who is on the wire.

use drivers::{Bus, BusKind, Discovered, MeterAddress, Progress, scan_primary, scan_secondary};
use serde::Serialize;

use super::read::{Types, Wire};
use super::{Out, block_on};
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
pub(super) struct ScanMbus {
    #[command(flatten)]
    wire: Wire,
    /// Search by secondary address: finds meters that share a primary address, and takes longer
    #[arg(long)]
    secondary: bool,
    /// The first primary address that is asked
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=250))]
    from: u8,
    /// The last one
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u8).range(0..=250))]
    to: u8,
    #[command(flatten)]
    types: Types,
}

#[derive(Debug, Serialize)]
struct Found {
    address: String,
    primary: Option<u8>,
    serial: String,
    manufacturer: String,
    version: String,
    medium: Option<&'static str>,
    profile: Option<String>,
}

impl ScanMbus {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let profiles = self.types.load(out);
        let settings = self.wire.settings(BusKind::Mbus);
        let Bus::Mbus(mut bus) = Bus::open(&settings, profiles.into()) else {
            anyhow::bail!("this is no M-Bus");
        };
        let mut several = Vec::new();
        let note = |progress: Progress<'_>| {
            if let Progress::Several(address) = progress {
                several.push(address);
            }
        };
        let found = block_on(async {
            Ok(if self.secondary {
                scan_secondary(&mut bus, mbus::Place::START, note).await
            } else {
                scan_primary(&mut bus, self.from..=self.to, &SystemClock::new(), note).await
            })
        })?;
        for address in several {
            out.trouble(&several_at(address));
        }
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                out.trouble(&format!("fyrhus: {}", crate::chain(&error)));
                return Ok(false);
            }
        };
        if found.is_empty() {
            out.trouble("fyrhus: nobody answered; are the baud rate and the wiring right?");
        }
        for meter in &found {
            if out.json {
                out.object(&Found::of(meter))?;
            } else {
                out.line(&for_people(meter))?;
            }
        }
        Ok(!found.is_empty())
    }
}

fn several_at(address: MeterAddress) -> String {
    format!(
        "fyrhus: several meters answer at {address} at once: search with --secondary, and give \
         each an address of its own"
    )
}

impl Found {
    fn of(meter: &Discovered) -> Self {
        let identity = meter.identity.clone();
        Self {
            address: meter.address.to_string(),
            primary: meter.primary,
            serial: identity.serial,
            manufacturer: identity.manufacturer,
            version: identity.version,
            medium: meter.medium.map(metering::Medium::code),
            profile: meter.profile.clone(),
        }
    }
}

fn for_people(meter: &Discovered) -> String {
    let medium = meter.medium.map_or("?", metering::Medium::code);
    let profile = meter.profile.as_deref().unwrap_or("no profile, read as it is");
    format!(
        "{:<18} serial {:<10} maker {:<4} version {:<4} {medium:<12} {profile}",
        meter.address.to_string(),
        meter.identity.serial,
        meter.identity.manufacturer,
        meter.identity.version,
    )
}
