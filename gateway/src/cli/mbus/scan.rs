//! `fyrhus mbus scan`: who is on the wire.
//!
//! A meter is told as soon as it is found. Whoever has seen enough stops it (Ctrl-C), and is told
//! the place from which it goes on.

use anyhow::{Context as _, bail};
use drivers::{Bus, BusKind, Discovered, MeterAddress, Progress, Scan};
use mbus::{Place, Selection};
use serde::Serialize;

use super::super::read::{Types, Wire};
use super::super::status::Status;
use super::super::{Out, block_on};
use super::wrap::{plain, wrapped};
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each meter is told as soon as it answers. Ctrl-C stops the scan and says from
where it goes on.

By primary address, 251 addresses are asked: about a minute at 2400 baud. Two
meters with one address are told as such: search with --secondary, and give
each an address of its own with `fyrhus mbus set-address --secondary NUMBER`.
With --secondary the time grows with the number of meters: 1 to 2 minutes for
60 at 2400 baud. A meter that was not found though it is there, or a wire with
noise: --thorough asks everything twice and finds numbers with letters, too.

A number that differs from a known one in a few bits is most likely a fault of
the wire. Such a meter is asked again, and told as `nearly` the known one if it
cannot show that it is there.

Examples:
  fyrhus mbus scan --port serial:///dev/ttyUSB0
  fyrhus mbus scan --port tcp://10.0.4.2:10001 --secondary
  fyrhus mbus scan --port tcp://10.0.4.2:10001 --secondary --from 67FFFFFF")]
pub(in crate::cli) struct ScanMbus {
    #[command(flatten)]
    wire: Wire,
    /// Search by secondary address: finds meters that share a primary address, and takes longer
    #[arg(long)]
    secondary: bool,
    /// Where to begin: a primary address, with --secondary a number with F for open digits
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// The last primary address that is asked
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = 250,
        value_parser = clap::value_parser!(u8).range(0..=250),
        conflicts_with = "secondary",
    )]
    to: u8,
    /// Ask twice where nobody answers, and for every number there can be: two to three times as long
    #[arg(long)]
    thorough: bool,
    #[command(flatten)]
    types: Types,
}

impl ScanMbus {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let scan = self.scan()?;
        let profiles = self.types.load(out);
        self.wire.expect_unpolled(&self.types, &profiles)?;
        let settings = self.wire.settings(BusKind::Mbus);
        let Bus::Mbus(mut bus) = Bus::open(&settings, profiles.into()) else {
            bail!("this is no M-Bus");
        };
        bus.set_keys(self.types.keys(out));
        let status = Status::new();
        let mut seen = Seen { out, found: 0, asking: None, went_on: false, status, broken: None };
        let ended = block_on(async {
            let clock = SystemClock::new();
            let scan = scan.to_end(&mut bus, &clock, |progress| seen.note(progress));
            Ok(tokio::select! {
                ended = scan => Some(ended),
                _ = tokio::signal::ctrl_c() => None,
            })
        })?;
        seen.status.clear();
        if let Some(broken) = seen.broken {
            return Err(broken);
        }
        let (found, asking, went_on) = (seen.found, seen.asking, seen.went_on);
        match ended {
            None => {
                let from = asking.map_or_else(|| self.from.clone().unwrap_or_default(), place_of);
                if out.json {
                    out.object(&Stopped { stopped: true, from: from.clone() })?;
                }
                out.trouble(&format!("fyrhus: stopped; {} goes on there", self.options(&from)));
                Ok(false)
            }
            Some(Err(error)) => {
                out.trouble(&format!("fyrhus: {}", crate::chain(&error)));
                // From where it began anybody can go on.
                if let Some(from) = asking.filter(|_| went_on).map(place_of) {
                    out.trouble(&format!("fyrhus: {} goes on there", self.options(&from)));
                }
                Ok(false)
            }
            Some(Ok(_)) if found == 0 => {
                out.trouble(
                    "fyrhus: nobody answered; are the baud rate (most meters: 2400, some 300 or \
                     9600), the converter's mode and the wiring right?",
                );
                Ok(false)
            }
            Some(Ok(_)) => {
                let s = if found == 1 { "" } else { "s" };
                out.trouble(&format!("{found} meter{s} found"));
                Ok(true)
            }
        }
    }

    /// What goes on from a place in the same way.
    fn options(&self, from: &str) -> String {
        let kind = if self.secondary { "--secondary " } else { "" };
        let thorough = if self.thorough { " --thorough" } else { "" };
        format!("{kind}--from {from}{thorough}")
    }

    fn scan(&self) -> anyhow::Result<Scan> {
        let scan = self.place()?;
        Ok(if self.thorough { scan.thoroughly() } else { scan })
    }

    /// What is looked for, and from where on.
    fn place(&self) -> anyhow::Result<Scan> {
        let from = self.from.as_deref();
        if self.secondary {
            let place =
                from.map_or(Some(Place::START), |text| Place::at(text.parse::<Selection>().ok()?));
            let place = place.context(
                "--from takes eight digits, F for those that are open at the end, such as 67FFFFFF",
            )?;
            return Ok(Scan::secondary(place, Vec::new()));
        }
        let first = match from {
            None => 0,
            Some(text) => text.parse().ok().filter(|it| *it <= 250).with_context(|| {
                format!(
                    "--from {} is no address from 0 to 250; is --secondary missing?",
                    plain(text)
                )
            })?,
        };
        if first > self.to {
            bail!("there is no address from {first} to {}", self.to);
        }
        Ok(Scan::primary(first..=self.to))
    }
}

/// A place as `--from` takes it.
fn place_of(address: MeterAddress) -> String {
    match address {
        // Where a search varies more than the number it begins anew at that number.
        MeterAddress::Secondary(Selection { id, .. }) => format!("{id:08X}"),
        _ => address.to_string(),
    }
}

/// What has been seen so far.
struct Seen<'o> {
    out: &'o mut Out,
    found: usize,
    /// What is being asked.
    asking: Option<MeterAddress>,
    /// That is not the first.
    went_on: bool,
    status: Status,
    /// Whoever read the output has gone away.
    broken: Option<anyhow::Error>,
}

impl Seen<'_> {
    fn note(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Asking(address) => {
                self.went_on |= self.asking.replace(address).is_some();
                self.status.show(&format!("asking {}, {} found", place_of(address), self.found));
            }
            Progress::Found(meter) => {
                self.found += 1;
                self.status.clear();
                let printed = if self.out.json {
                    self.out.object(&Found::of(meter))
                } else {
                    self.out.text(&for_people(meter))
                };
                self.broken = self.broken.take().or(printed.err());
            }
            Progress::Several(address) => {
                self.status.clear();
                self.several(address);
            }
        }
    }

    fn several(&mut self, address: MeterAddress) {
        let advice = advice(address);
        let address = address.to_string();
        if self.out.json {
            let printed = self.out.object(&Several { several: &address });
            self.broken = self.broken.take().or(printed.err());
        }
        self.out.trouble(&format!(
            "fyrhus: several meters answer at {address} at once, or the wire spoils the answer: \
             {advice}"
        ));
    }
}

/// What to do where several meters answer.
const fn advice(address: MeterAddress) -> &'static str {
    match address {
        MeterAddress::Secondary(_) => {
            "scan again; if it stays, two meters have one number: take one of them off the wire"
        }
        _ => "search with --secondary, and give each an address of its own",
    }
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
    nearly: Option<String>,
}

#[derive(Debug, Serialize)]
struct Several<'a> {
    several: &'a str,
}

#[derive(Debug, Serialize)]
struct Stopped {
    stopped: bool,
    from: String,
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
            nearly: meter.nearly.map(|nearly| nearly.to_string()),
        }
    }
}

fn for_people(meter: &Discovered) -> String {
    let by_secondary = matches!(meter.address, MeterAddress::Secondary(_));
    let head = match meter.primary.filter(|_| by_secondary) {
        Some(primary) => format!("{:<16} at {primary:<4}", meter.address.to_string()),
        None => format!("{:<16} ", meter.address.to_string()),
    };
    let identity = &meter.identity;
    if identity.serial.is_empty() {
        return wrapped(&head, "answers, and does not say who it is");
    }
    let told = [
        ("meter", identity.serial.as_str()),
        ("maker", &identity.manufacturer),
        ("version", &identity.version),
        ("medium", meter.medium.map_or("", metering::Medium::code)),
        ("profile", meter.profile.as_deref().unwrap_or_default()),
    ];
    let told = told.into_iter().filter(|(_, told)| !told.is_empty());
    let mut words: Vec<String> =
        told.map(|(name, told)| format!("{name} {}", plain(told))).collect();
    if let Some(nearly) = meter.nearly {
        words.push(format!("nearly {nearly}: most likely a fault of the wire, scan again"));
    }
    wrapped(&head, &words.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_do_what_he_has_just_done() {
        let selection = "67001122KAM3504".parse().unwrap();
        assert!(advice(MeterAddress::Primary(5)).contains("--secondary"));
        assert!(!advice(MeterAddress::Secondary(selection)).contains("--secondary"));
    }
}
