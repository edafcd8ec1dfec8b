//! `fyrhus mbus read` and `fyrhus modbus read`: one question, no gateway.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use drivers::{
    Bus, BusKind, BusSettings, Keyring, Meter, MeterAddress, Parity, PortSettings, Profile,
    Profiles, ReadError, Readout,
};
use metering::{MeterId, Origin};
use serde::Serialize;
use uuid::Uuid;

use super::mbus::to_hex;
use super::{Out, block_on};
use crate::clock::SystemClock;
use crate::config::kept::Found;
use crate::{control, meter_keys, takeover};

/// A wire, as far as a command has to know it.
#[derive(Debug, clap::Args)]
pub(super) struct Wire {
    /// Where the wire is: `serial:///dev/NAME`, `tcp://HOST:PORT`, on M-Bus also
    /// `udp://HOST:PORT`, on Modbus also `rtu+tcp://HOST:PORT`
    #[arg(long)]
    port: PortSettings,
    /// The rate of the wire, also behind a converter [default: 2400 on M-Bus, 9600 on Modbus]
    #[arg(long)]
    baud: Option<u32>,
    /// The parity of a serial line: even, none or odd
    #[arg(long, default_value = "even")]
    parity: Parity,
    /// How long a meter may take to begin its answer [default: as the bus's standard says]
    #[arg(long, value_name = "MS")]
    answer_within_ms: Option<u64>,
}

impl Wire {
    pub(super) fn settings(&self, kind: BusKind) -> BusSettings {
        let usual = match kind {
            BusKind::Mbus => 2_400,
            _ => 9_600,
        };
        BusSettings {
            kind,
            port: self.port.clone(),
            baud: self.baud.unwrap_or(usual),
            parity: self.parity,
            answer_within: self.answer_within_ms.map(Duration::from_millis),
            pause_after_connect: Duration::ZERO,
        }
    }
}

impl Wire {
    /// A wire has one master: two of them spoil each other's questions.
    ///
    /// # Errors
    ///
    /// If the gateway of the state directory runs and polls this wire.
    pub(super) fn expect_unpolled(&self, types: &Types, profiles: &Profiles) -> anyhow::Result<()> {
        if !control::is_running(&types.state) {
            return Ok(());
        }
        let (Found::Good { site, .. } | Found::LastGood { site, .. }) =
            takeover::find(&types.state, profiles)
        else {
            return Ok(());
        };
        if let Some(bus) = site.buses.iter().find(|bus| bus.port == self.port) {
            bail!(
                "the gateway is running and uses {} as its bus {}, and a wire has one master: stop \
                 the gateway first (systemctl stop fyrhus), or ask the meter on its page",
                self.port,
                bus.id
            );
        }
        Ok(())
    }
}

/// Where the profiles are that are not in the program, and the keys of meters that encrypt.
#[derive(Debug, clap::Args)]
pub(super) struct Types {
    /// The state directory, for device profiles that were added there, and for the keys of meters
    /// that encrypt
    #[arg(long, value_name = "DIR", default_value = "/var/lib/fyrhus")]
    state: PathBuf,
}

impl Types {
    pub(super) fn load(&self, out: &Out) -> Profiles {
        let (profiles, mistakes) = Profiles::load_over(&self.state.join("profiles"));
        for mistake in mistakes {
            out.trouble(&format!("{}:{}: {}", mistake.file, mistake.line, mistake.advice));
        }
        profiles
    }

    /// The keys that `fyrhus keys` has taken. Without them all but what is encrypted can be read.
    pub(super) fn keys(&self, out: &Out) -> Arc<Keyring> {
        Arc::new(meter_keys::load(&self.state).unwrap_or_else(|error| {
            let error = crate::chain(&error);
            out.trouble(&format!("fyrhus: what meters encrypt is not opened: {error}"));
            Keyring::new()
        }))
    }
}

fn named(profiles: &Profiles, id: &str) -> anyhow::Result<Arc<Profile>> {
    let profile = profiles.get(id);
    profile.with_context(|| format!("there is no profile {id}; see `fyrhus profile list`"))
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fyrhus mbus read --port serial:///dev/ttyUSB0 --address 5
  fyrhus mbus read --port tcp://10.0.4.2:10001 --secondary 67001122
  fyrhus mbus read --port tcp://10.0.4.2:10001 --secondary 6700FFFFKAM --json

Nobody answers? Most meters talk at 2400 baud, some at 300 or 9600 (--baud). A
meter from the factory has address 0. `fyrhus mbus scan` finds out who is
there.")]
pub(super) struct ReadMbus {
    #[command(flatten)]
    wire: Wire,
    /// The meter's primary address, 0 to 250 (254 asks whoever is there, if it is one alone)
    #[arg(
        long,
        value_parser = clap::value_parser!(u8).range(0..=254),
        conflicts_with = "secondary",
        required_unless_present = "secondary"
    )]
    address: Option<u8>,
    /// Its secondary address: eight digits, F for any, then maker, version and medium if wanted
    #[arg(long)]
    secondary: Option<String>,
    /// Its type, if it is not to be found by what the meter answers
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    #[command(flatten)]
    types: Types,
}

impl ReadMbus {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let address = match (self.address, &self.secondary) {
            (Some(address), _) => MeterAddress::Primary(address),
            (None, Some(written)) => {
                MeterAddress::Secondary(written.parse().ok().with_context(|| {
                    format!("{written} is not a secondary address such as 67001122KAM3504")
                })?)
            }
            (None, None) => bail!("give --address or --secondary"),
        };
        let profiles = self.types.load(out);
        self.wire.expect_unpolled(&self.types, &profiles)?;
        let profile = self.profile.map(|id| named(&profiles, &id)).transpose()?;
        let mut bus = Bus::open(&self.wire.settings(BusKind::Mbus), profiles.into());
        bus.set_keys(self.types.keys(out));
        ask_over(out, bus, address, profile)
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fyrhus modbus read --port serial:///dev/ttyUSB0 --unit 1 --profile eastron.sdm630
  fyrhus modbus read --port tcp://10.0.4.7:502 --unit 3 --profile abb.b23 --json

A converter that passes RS-485 through is rtu+tcp://, a Modbus gateway is
tcp://: each hears nothing in the other's language. `fyrhus modbus scan` finds
out who is there.")]
pub(super) struct ReadModbus {
    #[command(flatten)]
    wire: Wire,
    /// The device's unit, 1 to 247, or 255 for the device itself on Modbus TCP
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    unit: u8,
    /// Its type, such as eastron.sdm630: `fyrhus profile list` shows them
    #[arg(long, value_name = "ID")]
    profile: String,
    #[command(flatten)]
    types: Types,
}

impl ReadModbus {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let profiles = self.types.load(out);
        let profile = named(&profiles, &self.profile)?;
        self.wire.expect_unpolled(&self.types, &profiles)?;
        let settings = self.wire.settings(BusKind::Modbus);
        ask(out, &settings, MeterAddress::Unit(self.unit), Some(profile), profiles.into())
    }
}

pub(super) fn ask(
    out: &mut Out,
    settings: &BusSettings,
    address: MeterAddress,
    profile: Option<Arc<Profile>>,
    profiles: Arc<Profiles>,
) -> anyhow::Result<bool> {
    ask_over(out, Bus::open(settings, profiles), address, profile)
}

fn ask_over(
    out: &mut Out,
    mut bus: Bus,
    address: MeterAddress,
    profile: Option<Arc<Profile>>,
) -> anyhow::Result<bool> {
    let id = MeterId::from_uuid(Uuid::nil());
    let meter = Meter { id, address, profile, serial: None, origin: Origin::Live };
    let readout = block_on(async { Ok(bus.read(&meter, &SystemClock::new()).await) })?;
    match readout {
        Ok(readout) => {
            if out.json {
                out.object(&Answer::of(&readout))?;
            } else {
                out.text(&for_people(&readout))?;
            }
            Ok(true)
        }
        Err(error) => {
            if out.json {
                out.object(&Failure::of(&error))?;
            } else {
                out.trouble(&format!("fyrhus: {}", crate::chain(&error)));
            }
            Ok(false)
        }
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    serial: String,
    manufacturer: String,
    version: String,
    medium: Option<&'static str>,
    profile: Option<String>,
    took_ms: u128,
    readings: Vec<ReadingLine>,
    odd: Vec<OddLine>,
    telegrams: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ReadingLine {
    register: String,
    value: Option<String>,
    unit: Option<String>,
    reason: Option<&'static str>,
    quality: &'static str,
}

#[derive(Debug, Serialize)]
struct OddLine {
    what: String,
    note: String,
}

#[derive(Debug, Serialize)]
struct Failure {
    ok: bool,
    reason: &'static str,
    error: String,
}

impl Answer {
    fn of(readout: &Readout) -> Self {
        let readings = readout.readings.iter().map(|reading| ReadingLine {
            register: reading.register.to_string(),
            value: reading.value.ok().map(metering::Quantity::decimal),
            unit: reading.value.ok().map(|it| it.resolution().unit().code().to_owned()),
            reason: reading.value.err().map(metering::NoReading::as_str),
            quality: reading.quality.as_str(),
        });
        let odd =
            readout.odd.iter().map(|it| OddLine { what: it.what.clone(), note: it.note.clone() });
        let identity = readout.identity.clone();
        Self {
            ok: true,
            serial: identity.serial,
            manufacturer: identity.manufacturer,
            version: identity.version,
            medium: readout.medium.map(metering::Medium::code),
            profile: readout.profile.clone(),
            took_ms: readout.took.as_millis(),
            readings: readings.collect(),
            odd: odd.collect(),
            telegrams: readout.telegrams.iter().map(|it| to_hex(it)).collect(),
        }
    }
}

impl Failure {
    fn of(error: &ReadError) -> Self {
        Self { ok: false, reason: error.no_reading().as_str(), error: crate::chain(error) }
    }
}

/// A head that says who answered, and a line for each number.
fn for_people(readout: &Readout) -> String {
    let identity = &readout.identity;
    let told = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("  {name} {text}"),
    };
    let mut lines = vec![format!(
        "answered in {} ms{}{}{}{}{}",
        readout.took.as_millis(),
        told("serial", &identity.serial),
        told("maker", &identity.manufacturer),
        told("version", &identity.version),
        told("medium", readout.medium.map_or("", |medium| medium.code())),
        told("profile", readout.profile.as_deref().unwrap_or_default()),
    )];
    for reading in &readout.readings {
        let shown = match reading.value {
            Ok(value) => value.to_string(),
            Err(reason) => format!("- ({})", reason.as_str()),
        };
        lines.push(format!("  {:<32} {shown}", reading.register.to_string()));
    }
    for odd in &readout.odd {
        lines.push(format!("  {:<32} {}", odd.what, odd.note));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
