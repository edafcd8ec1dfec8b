//! Asks the thermometers of one 1-Wire, and remembers what each said before.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metering::{
    Clock, Identity, Medium, Moment, NoReading, Quality, Quantity, Reading, Register, Unit,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::SensorId;
use super::answer::{self, Answer};
use crate::error::{Garble, ReadError};
use crate::number::{self, Scale};
use crate::port::{PortFault, PortSettings};
use crate::profile::RegisterSpec;
use crate::{BusSettings, Meter, MeterAddress, OddKind, OddRecord, Readout};

/// One 1-Wire, as the folder in which the kernel shows its devices.
#[derive(Debug)]
pub struct OneWireBus {
    port: PortSettings,
    root: PathBuf,
    past: HashMap<SensorId, Past>,
    /// A conversion that nobody waits for any more: the wire is not free before its end.
    under_way: Option<JoinHandle<io::Result<Answer>>>,
}

/// What a thermometer said before.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    /// The last temperature that was believed, in thousandths of a degree, and when.
    last: Option<(i64, Duration)>,
    /// Answers whose checksum was wrong, since the start.
    wrong: u64,
    /// How many of them have been told in a readout.
    told: u64,
}

impl OneWireBus {
    /// The wire in the folder that the port of `settings` names.
    pub(crate) fn open(settings: &BusSettings) -> Self {
        let root = match &settings.port {
            PortSettings::Sysfs(root) => root.clone(),
            // The configuration has seen to it that there is no other.
            _ => PathBuf::new(),
        };
        Self { port: settings.port.clone(), root, past: HashMap::new(), under_way: None }
    }

    /// As [`Bus::read`](crate::Bus::read).
    pub(crate) async fn read(
        &mut self,
        meter: &Meter,
        clock: &dyn Clock,
    ) -> Result<Readout, ReadError> {
        let address = meter.address;
        let MeterAddress::Sensor(sensor) = address else {
            let because = "a 1-Wire knows its sensors by their number, such as 28-0316a2795bff";
            return Err(ReadError::Misfit { address, because });
        };
        let spec = meter.profile.as_ref().and_then(|profile| {
            profile
                .registers()
                .find(|spec| spec.onewire.as_ref().is_some_and(|it| it.family == sensor.family()))
        });
        if meter.profile.is_some() && spec.is_none() {
            let because = "its profile is not for a 1-Wire sensor of this family: the first two \
                           digits of its number";
            return Err(ReadError::Misfit { address, because });
        }

        let begun = Instant::now();
        let at = clock.now();
        let mut believed = self.ask(sensor, address, at).await?;
        if believed.is_none() {
            // Its power failed while it measured. That is mostly over.
            believed = self.ask(sensor, address, at).await?;
        }
        let (value, quality) = shown(spec, believed);
        let register = match spec {
            Some(spec) => spec.register.clone(),
            None => {
                temperature().ok_or(ReadError::Misfit { address, because: "it has no name" })?
            }
        };
        Ok(Readout {
            identity: Identity { serial: sensor.to_string(), ..Identity::default() },
            medium: Some(meter.profile.as_ref().map_or(Medium::Climate, |it| it.medium)),
            odd: self.told(sensor, &register, believed),
            readings: vec![Reading { register, at, value, quality, origin: meter.origin }],
            remembered: Vec::new(),
            telegrams: Vec::new(),
            took: begun.elapsed(),
            profile: meter.profile.as_ref().map(|profile| profile.id.clone()),
        })
    }

    /// A temperature that can be believed; `None` if the thermometer has just got its power back.
    async fn ask(
        &mut self,
        sensor: SensorId,
        address: MeterAddress,
        at: Moment,
    ) -> Result<Option<i64>, ReadError> {
        let begun = Instant::now();
        let answer = self.convert(sensor).await;
        let waited = begun.elapsed();
        let answer = answer.map_err(|fault| self.trouble(address, sensor, fault))?;

        let past = self.past.entry(sensor).or_default();
        let undecodable = |what: &str| ReadError::Garbled {
            address,
            cause: Garble::Undecodable(what.to_owned()),
        };
        match answer {
            Answer::PoweredOn(_) => Ok(None),
            Answer::Measured(POWER_ON) if !past.is_near(POWER_ON, at) => Ok(None),
            Answer::Measured(millidegrees) => {
                past.last = Some((millidegrees, at.boottime));
                Ok(Some(millidegrees))
            }
            Answer::WrongChecksum => {
                past.wrong += 1;
                let cause = Garble::Checksum { times: past.wrong };
                Err(ReadError::Garbled { address, cause })
            }
            Answer::Nothing => Err(ReadError::Silent { address, waited }),
            Answer::Zeros => {
                Err(undecodable("every bit is 0, as on a wire that is short-circuited to ground"))
            }
            Answer::Odd => Err(undecodable("the kernel's file is not as `w1_therm` writes it")),
        }
    }

    /// One conversion, on a thread for things that block.
    ///
    /// # Cancellation
    ///
    /// The conversion goes on by itself, and the next one waits for its end.
    async fn convert(&mut self, sensor: SensorId) -> io::Result<Answer> {
        if let Some(earlier) = &mut self.under_way {
            // Whoever asked it has gone away.
            drop(earlier.await);
        }
        let folder = self.root.join(sensor.to_string());
        let conversion = tokio::task::spawn_blocking(move || look(&folder));
        let answer = self.under_way.insert(conversion).await;
        self.under_way = None;
        answer.map_err(io::Error::other)?
    }

    fn trouble(&self, address: MeterAddress, sensor: SensorId, fault: io::Error) -> ReadError {
        let port = self.port.clone();
        match fault.kind() {
            io::ErrorKind::NotFound if self.root.is_dir() => ReadError::Gone { address },
            io::ErrorKind::NotFound => ReadError::Port { port, cause: PortFault::NoOneWire },
            io::ErrorKind::PermissionDenied => ReadError::Port { port, cause: PortFault::Denied },
            // The kernel took its folder away while we looked into it.
            _ if !self.root.join(sensor.to_string()).is_dir() => ReadError::Gone { address },
            _ => ReadError::Port { port, cause: PortFault::System(Arc::new(fault)) },
        }
    }

    /// What is to be said beside the temperature.
    fn told(
        &mut self,
        sensor: SensorId,
        register: &Register,
        believed: Option<i64>,
    ) -> Vec<OddRecord> {
        let past = self.past.entry(sensor).or_default();
        let odd = |kind, note: String| OddRecord {
            telegram: 0,
            at: 0,
            kind,
            what: register.to_string(),
            note,
        };
        let new = past.wrong - past.told;
        past.told = past.wrong;
        let wrong = (new > 0).then(|| {
            let note = format!(
                "{new} answers with a wrong checksum since the last reading, {} since the start",
                past.wrong
            );
            odd(OddKind::Unread, note)
        });
        let powered_on = believed.is_none().then(|| {
            let note = "it shows 85 °C, as it does after its power has failed: see its supply and \
                        the pull-up resistor of the wire";
            odd(OddKind::Invalid, note.to_owned())
        });
        [wrong, powered_on].into_iter().flatten().collect()
    }
}

impl Past {
    /// Whether `millidegrees` is no surprise after what was said last.
    fn is_near(&self, millidegrees: i64, at: Moment) -> bool {
        self.last.is_some_and(|(last, then)| {
            let age = at.boottime.saturating_sub(then);
            age <= NEAR_FOR && last.abs_diff(millidegrees) <= NEAR
        })
    }
}

/// What the thermometers of a wire show when their power has come back (DS18B20 data sheet), in
/// thousandths of a degree.
const POWER_ON: i64 = 85_000;

/// A pipe that was within so many thousandths of a degree so short a time ago may well have 85 °C.
const NEAR: u64 = 10_000;
const NEAR_FOR: Duration = Duration::from_mins(30);

/// What the register of a thermometer shows.
fn shown(
    spec: Option<&RegisterSpec>,
    believed: Option<i64>,
) -> (Result<Quantity, NoReading>, Quality) {
    let plain = |millidegrees: i64, decimals, unit| {
        number::of_integer(millidegrees.into(), Scale::MILLI, decimals, unit)
    };
    match (believed, spec) {
        (None, _) => (Err(NoReading::Invalid), Quality::Good),
        (Some(millidegrees), None) => (plain(millidegrees, None, Unit::Celsius), Quality::Good),
        // The profile refuses it out of hand; here it fits what was shown before.
        (Some(POWER_ON), Some(spec)) => {
            let value = plain(POWER_ON, spec.decimals, spec.unit);
            (value, value.map_or(Quality::Good, |it| spec.plausible.judge(it)))
        }
        (Some(millidegrees), Some(spec)) => spec.of_millidegrees(millidegrees),
    }
}

/// The register of a thermometer without a profile.
fn temperature() -> Option<Register> {
    "temperature".parse().ok().map(Register::new)
}

/// Looks into the files of the thermometer in `folder`; blocks for as long as it measures.
fn look(folder: &Path) -> io::Result<Answer> {
    match text(&folder.join("w1_slave")) {
        Ok(text) => Ok(answer::of_w1_slave(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(answer::of_temperature(&text(&folder.join("temperature"))?))
        }
        Err(error) => Err(error),
    }
}

/// A small file; of a larger one, which is none of the kernel's, the beginning.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(4_096).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The thermometers that the kernel knows in the folder `root`, by their numbers.
///
/// # Errors
///
/// Why the folder cannot be looked into: mostly [`PortFault::NoOneWire`].
pub fn sensors(root: &Path) -> Result<Vec<SensorId>, PortFault> {
    let entries = std::fs::read_dir(root).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PortFault::NoOneWire,
        io::ErrorKind::PermissionDenied => PortFault::Denied,
        _ => PortFault::System(Arc::new(error)),
    })?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut sensors: Vec<SensorId> = names
        .filter_map(|name| name.to_str()?.parse().ok())
        .filter(|it: &SensorId| it.model().is_some())
        .collect();
    sensors.sort();
    Ok(sensors)
}
