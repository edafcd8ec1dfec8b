//! A running building: its buses on real ports and ptys, and a handle for each of its meters.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use metering::{Clock, MeterId};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::building::Building;
use crate::device::Device;
use crate::faults::Handle;
use crate::forecast::Service;
use crate::han::{self, CustomerPort};
use crate::line::{Line, Party, Pty, listen};
use crate::mbus::{self, Slave, Slaves};
use crate::meter::Meter;
use crate::modbus::{Framing, Units};
use crate::mqtt;
use crate::onewire;
use crate::outlet::{self, Outlet};
use crate::plan::{BusKind, BusPlan, Plan};
use crate::pulses::Chip;
use crate::radio::Air;
use crate::receiver::Receiver;

/// How a building is put on the wires.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The first bus's TCP port; each further bus has the next one. Without it, any free ports.
    pub base_port: Option<u16>,
    /// Ids of buses that are a pty instead of a TCP port. A bus of Modbus TCP cannot be one.
    pub ptys: Vec<String>,
    /// Where folders and sockets are made; without it, in one that is removed at the end.
    pub folder: Option<PathBuf>,
}

/// A running building. Its buses close when it is dropped; [`Self::stop`] also waits for that.
#[derive(Debug)]
pub struct Simulator {
    plan: Plan,
    ports: Vec<Port>,
    meters: HashMap<MeterId, Arc<Meter>>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: TaskTracker,
    folder: PathBuf,
    /// Whether the folder is ours to remove.
    is_own_folder: bool,
    broker_password: String,
    receivers: HashMap<String, Arc<Receiver>>,
}

/// Where a bus can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// On this port of loopback.
    Tcp(u16),
    /// At the path of a pty.
    Pty(PathBuf),
    /// In this folder.
    Folder(PathBuf),
    /// At this socket.
    Socket(PathBuf),
    /// A broker is wanted on this port of loopback.
    Broker(u16),
}

impl Simulator {
    /// Puts the building of `plan` on its wires. When this returns every bus can be used.
    ///
    /// The meters show what they show at the time of `clock`.
    pub async fn start(
        plan: Plan,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SimulatorError> {
        if let Some(id) = options.ptys.iter().find(|id| plan.buses.iter().all(|it| it.id != **id)) {
            return Err(SimulatorError::NoSuchBus(id.clone()));
        }
        let building = Arc::new(Building::new(plan.seed));
        // Now, so that no master waits for it.
        building.reach(clock.now().wall);
        let meters: HashMap<MeterId, Arc<Meter>> = plan
            .meters
            .iter()
            .map(|meter| (meter.id, Arc::new(Meter::new(&plan, meter, &building))))
            .collect();
        let receivers = plan.buses.iter().filter_map(|bus| {
            bus.receiver.map(|kind| (bus.id.clone(), Arc::new(Receiver::new(kind))))
        });
        let receivers = receivers.collect();
        let mut simulator = Self {
            plan,
            ports: Vec::new(),
            meters,
            clock,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            is_own_folder: options.folder.is_none(),
            folder: options.folder.clone().unwrap_or_else(own_folder),
            broker_password: uuid::Uuid::now_v7().simple().to_string(),
            receivers,
        };
        for (index, bus) in simulator.plan.buses.clone().iter().enumerate() {
            let port = simulator.open(index, bus, options).await?;
            simulator.ports.push(port);
        }
        Ok(simulator)
    }

    async fn open(
        &self,
        index: usize,
        bus: &BusPlan,
        options: &Options,
    ) -> Result<Port, SimulatorError> {
        match bus.kind {
            BusKind::Mqtt => return self.open_sensors(index, bus, options).await,
            BusKind::OneWire => return self.open_folder(bus),
            BusKind::Pulse => return self.open_socket(bus),
            BusKind::Weather => {
                let (listener, address) = self.listen(index, bus, options).await?;
                let meter = self.on(bus).into_iter().next();
                let (clock, stop) = (Arc::clone(&self.clock), self.stop.clone());
                let service = Service { meter, clock, stop };
                self.tasks.spawn(service.serve(listener, self.tasks.clone()));
                return Ok(Port::Tcp(address.port()));
            }
            BusKind::Han | BusKind::Wmbus => return self.open_outlet(index, bus, options).await,
            BusKind::Mbus | BusKind::ModbusTcp | BusKind::ModbusRtu => {}
        }
        let line = Line {
            party: Arc::new(self.party(bus)),
            baud: bus.baud,
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        };
        let failed = |source| SimulatorError::Port { bus: bus.id.clone(), source };
        if options.ptys.contains(&bus.id) {
            if bus.kind == BusKind::ModbusTcp {
                return Err(SimulatorError::NoPty(bus.id.clone()));
            }
            let pty = Pty::open().map_err(failed)?;
            let path = pty.path().to_owned();
            self.tasks.spawn(line.serve_pty(pty));
            return Ok(Port::Pty(path));
        }
        let (listener, address) = self.listen(index, bus, options).await?;
        self.tasks.spawn(line.serve_port(listener, self.tasks.clone()));
        Ok(Port::Tcp(address.port()))
    }

    /// A wire on which the meters speak unasked.
    async fn open_outlet(
        &self,
        index: usize,
        bus: &BusPlan,
        options: &Options,
    ) -> Result<Port, SimulatorError> {
        let said = broadcast::Sender::new(outlet::UNHEARD);
        let (meters, clock, stop) = (self.on(bus), Arc::clone(&self.clock), self.stop.clone());
        let receiver = self.receivers.get(&bus.id).cloned();
        let own = receiver.as_ref().map(|it| it.baud());
        let baud = own.or_else(|| meters.first().map(|it| han::baud(it.plan.device)));
        let outlet = Outlet {
            said: said.clone(),
            receiver: receiver.clone(),
            baud: bus.baud.or(baud),
            stop: stop.clone(),
        };
        if let Some(receiver) = receiver {
            self.tasks.spawn(Air { meters, receiver, said, clock, stop }.serve());
        } else if let Some(meter) = meters.into_iter().next() {
            let port = CustomerPort { meter, said, clock, stop, counter: AtomicU32::new(0) };
            self.tasks.spawn(port.serve());
        }
        if bus.over_mqtt {
            let broker = self.broker(index, bus, options).await?;
            let port = Port::Broker(broker.port);
            let (bus, said, stop) = (bus.id.clone(), outlet.said, self.stop.clone());
            self.tasks.spawn(mqtt::Relay { bus, broker, said, stop }.serve());
            return Ok(port);
        }
        if options.ptys.contains(&bus.id) {
            let failed = |source| SimulatorError::Port { bus: bus.id.clone(), source };
            let pty = Pty::open().map_err(failed)?;
            let path = pty.path().to_owned();
            self.tasks.spawn(outlet.serve_pty(pty));
            return Ok(Port::Pty(path));
        }
        let (listener, address) = self.listen(index, bus, options).await?;
        self.tasks.spawn(outlet.serve_port(listener, self.tasks.clone()));
        Ok(Port::Tcp(address.port()))
    }

    /// The receiver of radio on a bus.
    pub(crate) fn receiver(&self, bus: &str) -> Option<&Receiver> {
        self.receivers.get(bus).map(|it| &**it)
    }

    /// The bus's TCP port.
    async fn listen(
        &self,
        index: usize,
        bus: &BusPlan,
        options: &Options,
    ) -> Result<(TcpListener, SocketAddr), SimulatorError> {
        let wanted = match options.base_port {
            None => 0,
            Some(base) => u16::try_from(index)
                .ok()
                .and_then(|index| base.checked_add(index))
                .ok_or_else(|| SimulatorError::NoPortsLeft(bus.id.clone()))?,
        };
        let failed = |source| SimulatorError::Port { bus: bus.id.clone(), source };
        listen(wanted).await.map_err(failed)
    }

    /// The one broker of the building, on the TCP port of the first bus that needs it.
    async fn broker(
        &self,
        index: usize,
        bus: &BusPlan,
        options: &Options,
    ) -> Result<mqtt::Broker, SimulatorError> {
        let known = self.ports.iter().find_map(|port| match port {
            Port::Broker(port) => Some(*port),
            _ => None,
        });
        let port = match known {
            Some(port) => port,
            // It is taken for a moment, so that no other bus is given it.
            None => self.listen(index, bus, options).await?.1.port(),
        };
        Ok(mqtt::Broker { port, password: self.broker_password.clone() })
    }

    /// Sensors that wait for the broker.
    async fn open_sensors(
        &self,
        index: usize,
        bus: &BusPlan,
        options: &Options,
    ) -> Result<Port, SimulatorError> {
        let broker = self.broker(index, bus, options).await?;
        let port = Port::Broker(broker.port);
        let sensors = mqtt::Sensors {
            bus: bus.id.clone(),
            broker,
            meters: self.on(bus),
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(sensors.serve());
        Ok(port)
    }

    /// What the sensors log in with: another one in each run.
    pub fn broker_password(&self) -> &str {
        &self.broker_password
    }

    /// A folder of thermometers, as the kernel has one.
    fn open_folder(&self, bus: &BusPlan) -> Result<Port, SimulatorError> {
        let failed = |source| SimulatorError::Port { bus: bus.id.clone(), source };
        let folder = self.folder.join(&bus.id);
        fs::create_dir_all(&folder).map_err(failed)?;
        let wire = onewire::Wire {
            folder: folder.clone(),
            meters: self.on(bus),
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        };
        wire.write(&mut HashMap::new()).map_err(failed)?;
        self.tasks.spawn(wire.serve());
        Ok(Port::Folder(folder))
    }

    /// A socket that tells the edges of a chip's lines.
    fn open_socket(&self, bus: &BusPlan) -> Result<Port, SimulatorError> {
        let failed = |source| SimulatorError::Port { bus: bus.id.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let socket = self.folder.join(format!("{}.sock", bus.id));
        // What is left of one that was killed.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let chip = Chip {
            socket: socket.clone(),
            meters: self.on(bus),
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(chip.serve(listener, self.tasks.clone()));
        Ok(Port::Socket(socket))
    }

    /// The meters on a bus.
    fn on(&self, bus: &BusPlan) -> Vec<Arc<Meter>> {
        let on_it = self.plan.meters.iter().filter(|meter| meter.bus == bus.id);
        on_it.filter_map(|meter| self.meters.get(&meter.id).cloned()).collect()
    }

    fn party(&self, bus: &BusPlan) -> Party {
        let meters = self.on(bus);
        let units = |framing, meters| Units { framing, meters, gateway: Handle::new() };
        match bus.kind {
            BusKind::Mbus => {
                let slaves = meters.into_iter().map(Slave::of_meter).collect();
                Party::Mbus(Mutex::new(Slaves::new(slaves, bus.baud)))
            }
            BusKind::ModbusTcp => Party::Modbus(units(Framing::Tcp, meters)),
            // The others have no line, and do not come here.
            _ => Party::Modbus(units(Framing::Rtu, meters)),
        }
    }

    /// The building that runs.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The buses and where they are, in the order of the plan.
    pub fn buses(&self) -> impl Iterator<Item = (&BusPlan, &Port)> {
        self.plan.buses.iter().zip(&self.ports)
    }

    /// What is wrong with a meter, and how often it was asked.
    pub fn handle(&self, id: MeterId) -> Option<&Handle> {
        self.meters.get(&id).map(|meter| &meter.handle)
    }

    /// The meter that people, or a configuration, call `text`: its name or its id.
    pub fn meter_called(&self, text: &str) -> Option<MeterId> {
        let id: Option<MeterId> = text.parse().ok();
        let mut plans = self.plan.meters.iter();
        plans.find(|meter| meter.name == text || Some(meter.id) == id).map(|meter| meter.id)
    }

    /// The text by which the device in a meter's place can be selected on an M-Bus,
    /// `67001122KAM0804`, and that is on its plate.
    pub fn plate(&self, id: MeterId) -> Option<String> {
        let meter = self.meters.get(&id)?;
        Some(match meter.plan.device {
            Device::Ds18b20 => onewire::number(meter),
            device if device.is_mbus() || device.speaks(BusKind::Wmbus) => {
                mbus::secondary(meter).to_string()
            }
            device if device.speaks(BusKind::Han) => han::number(meter),
            device if device.speaks(BusKind::Mqtt) => mqtt::name(meter),
            _ => meter.serial().to_string(),
        })
    }

    /// The keys of a meter that encrypts: of encryption, and of authentication if it has one.
    pub(crate) fn keys(&self, id: MeterId) -> Option<([u8; 16], Option<[u8; 16]>)> {
        let meter = self.meters.get(&id).filter(|meter| meter.plan.sealed)?;
        let authenticates = meter.plan.device.speaks(BusKind::Han);
        let authentication = authenticates.then(|| meter.key("authentication"));
        Some((meter.key("encryption"), authentication))
    }

    /// How long the M-Bus device in a meter's place takes before it answers; `None` where the line
    /// has no speed.
    pub fn reaction(&self, id: MeterId) -> Option<std::time::Duration> {
        let meter = self.meters.get(&id)?;
        let bus = self.plan.buses.iter().find(|bus| bus.id == meter.plan.bus)?;
        Some(mbus::reaction(meter, bus.baud?))
    }

    /// What a meter's counters and gauges show at `at`, as the register's text and the amount:
    /// what a reader of the wire must find.
    pub fn shows(&self, id: MeterId, at: DateTime<Utc>) -> Vec<(&'static str, metering::Quantity)> {
        let Some(meter) = self.meters.get(&id) else { return Vec::new() };
        let sight = meter.sight(at);
        let figures = meter.plan.device.figures().iter();
        figures.filter_map(|it| Some((it.register, meter.shows(&sight, it.measure)?))).collect()
    }

    /// The time in the building.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now().wall
    }

    /// Closes all buses and waits until they are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
        if self.is_own_folder {
            // Mostly there was no need of it.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// A folder that no other simulator has.
fn own_folder() -> PathBuf {
    std::env::temp_dir().join(format!("meter-sim-{}", uuid::Uuid::now_v7()))
}

/// Why a building cannot be put on its wires.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A bus that is to be a pty, and is not there.
    #[error("there is no bus `{0}` to be made a pty")]
    NoSuchBus(String),
    /// Modbus TCP on a serial line.
    #[error("bus `{0}` speaks Modbus TCP, which has no serial line")]
    NoPty(String),
    /// The ports end at 65535.
    #[error("no port is left for bus `{0}`: take a lower base port")]
    NoPortsLeft(String),
    /// A port that cannot be opened.
    #[error("the port of bus `{bus}` cannot be opened")]
    Port {
        /// Of this bus.
        bus: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}
