//! Which ports this machine has, and at which speed an M-Bus behind one is answered.
//!
//! Everybody on the wire is asked at once (address 254), speed by speed. One meter answers; several
//! answer at the same time, which is noise, but at no speed but their own; and a wire without meters is
//! silent at all of them.
//!
//! **Never true:** a port that a bus has is tried: the bus would lose what it is being told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drivers::mbus::MbusBus;
use drivers::{
    BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Profiles, ReadError,
};
use metering::{Clock, MeterId, Origin};
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;
use web_ui::{Heard, NotTried, PortFound, PortTried, Site};

/// Tells the ports beside everything else: the folders of devices are a disk like another.
pub(crate) fn tell(site: Arc<Site>, reply: oneshot::Sender<Vec<PortFound>>) {
    // Whoever asked may have gone away.
    tokio::task::spawn_blocking(move || drop(reply.send(found(&site))));
}

/// Held while a port is tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trial(Arc<Mutex<()>>);

impl Trial {
    /// Tries `port` beside everything else.
    pub(crate) fn begin(
        &self,
        port: String,
        site: Arc<Site>,
        clock: Arc<dyn Clock>,
        reply: oneshot::Sender<Result<PortTried, NotTried>>,
    ) {
        let turn = Arc::clone(&self.0);
        tokio::spawn(async move {
            drop(reply.send(tried(&port, &site, &turn, &*clock).await));
        });
    }
}

/// The serial ports of this machine: by the name that stays when another is plugged in, where there is one.
fn found(site: &Site) -> Vec<PortFound> {
    listed(Path::new("/dev"))
        .into_iter()
        .map(|path| {
            let port = format!("serial://{}", path.display());
            let bus = taken(site, &path).map(|bus| bus.name.clone());
            PortFound { name: name(&path), port, bus }
        })
        .collect()
}

/// The paths below `dev`, each device once.
fn listed(dev: &Path) -> Vec<PathBuf> {
    let entries = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path())
    };
    let is_port = |path: &Path| {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut ports = BTreeMap::new();
    for path in entries(dev.to_owned()).filter(|path| is_port(path)) {
        ports.insert(real(&path), path);
    }
    for path in entries(dev.join("serial/by-id")) {
        ports.insert(real(&path), path);
    }
    ports.into_values().collect()
}

/// Those of boards and of adapters; of a PC's sixteen `ttyS` nobody knows which are there.
const PREFIXES: [&str; 5] = ["ttyUSB", "ttyACM", "ttyAMA", "ttymxc", "ttySC"];

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// `usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0` as people read it.
fn name(path: &Path) -> String {
    let file = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let known = file.strip_prefix("usb-").and_then(|it| it.split("-if").next());
    known.map(|it| it.replace('_', " ")).unwrap_or_default()
}

/// The bus that has the device.
fn taken<'s>(site: &'s Site, path: &Path) -> Option<&'s web_ui::BusInfo> {
    let device = real(path);
    site.buses.iter().find(|bus| {
        bus.port.strip_prefix("serial://").is_some_and(|it| real(Path::new(it)) == device)
    })
}

/// Tries `port` at every speed, one trial at a time.
async fn tried(
    port: &str,
    site: &Site,
    turn: &Mutex<()>,
    clock: &dyn Clock,
) -> Result<PortTried, NotTried> {
    let settings: PortSettings = port.parse().map_err(|_| NotTried::NoPort)?;
    let has_it = match &settings {
        PortSettings::Serial(path) => taken(site, path),
        PortSettings::Tcp(_) | PortSettings::Udp(_) => {
            site.buses.iter().find(|bus| bus.port == port)
        }
        _ => return Err(NotTried::NoPort),
    };
    if let Some(bus) = has_it {
        return Err(NotTried::Taken(bus.name.clone()));
    }
    let Ok(_turn) = turn.try_lock() else { return Err(NotTried::Busy) };
    // A converter has its own speed, which is not for us to choose.
    let speeds: &[u32] =
        if settings.is_network() { SPEEDS.get(..1).unwrap_or_default() } else { &SPEEDS };
    let mut tries = Vec::new();
    for baud in speeds {
        let heard = heard(&settings, *baud, clock).await?;
        tries.push((*baud, heard));
        if heard == Heard::Meter {
            break;
        }
    }
    Ok(PortTried { tries })
}

/// The usual first: nearly every M-Bus is at 2400.
const SPEEDS: [u32; 8] = [2_400, 9_600, 300, 4_800, 1_200, 19_200, 600, 38_400];

async fn heard(port: &PortSettings, baud: u32, clock: &dyn Clock) -> Result<Heard, NotTried> {
    let settings = BusSettings {
        kind: BusKind::Mbus,
        port: port.clone(),
        baud,
        parity: Parity::Even,
        answer_within: None,
        pause_after_connect: Duration::ZERO,
    };
    let everybody = Meter {
        id: MeterId::from_uuid(Uuid::nil()),
        address: MeterAddress::Primary(254),
        profile: None,
        serial: None,
        origin: Origin::Live,
    };
    let mut bus = MbusBus::open(&settings, Arc::new(Profiles::default()));
    match bus.read(&everybody, clock).await {
        Err(ReadError::Port { cause, .. }) => Err(NotTried::Closed(crate::chain(&cause))),
        Err(ReadError::Silent { .. }) => Ok(Heard::Nothing),
        Err(ReadError::Garbled { .. }) => Ok(Heard::Noise),
        // Refused, locked, half: somebody who understands the question.
        Ok(_) | Err(_) => Ok(Heard::Meter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_listed_once_by_the_name_that_stays() {
        let dev = tempfile::tempdir().unwrap();
        let by_id = dev.path().join("serial/by-id");
        fs::create_dir_all(&by_id).unwrap();
        for file in ["ttyUSB0", "ttyAMA0", "ttyS0", "null"] {
            fs::write(dev.path().join(file), "").unwrap();
        }
        let link = by_id.join("usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0");
        std::os::unix::fs::symlink("../../ttyUSB0", &link).unwrap();
        let listed = listed(dev.path());
        assert_eq!(listed, [dev.path().join("ttyAMA0"), link.clone()]);
        assert_eq!(name(&link), "FTDI FT232R USB UART A50285BI");
        assert_eq!(name(&dev.path().join("ttyAMA0")), "");
    }
}
