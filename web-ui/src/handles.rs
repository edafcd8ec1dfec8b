//! What the daemon hands to the pages, and what the pages may ask of it.
//!
//! ```text
//! daemon ──watch──▶ Site     what is installed, from the configuration in force
//!        ──watch──▶ Live     the newest values of every meter
//!        ──watch──▶ Status   how buses, store, cloud and clock are doing
//!        ◀──mpsc─── Wish     what a person asks for; each carries its reply channel
//! ```
//!
//! A `watch` holds one value: whoever looks late sees the newest and nothing is queued. The queue of
//! wishes is bounded by whoever makes it; when it is full the person is told that the gateway is
//! busy, and nothing waits.
//!
//! **Invariant:** nothing in this crate sees the daemon. These types carry facts and no behaviour.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use metering::{
    GatewayId, Identity, Medium, MeterId, NoReading, Origin, Quality, Quantity, Register,
    Resolution, SiteId, Trust,
};

pub use crate::ports::{Heard, NotTried, PortFound, PortTried};
pub use crate::scan::{FoundMeter, NotScanned, ScanKind, ScanOrder, ScanState, ScanStatus};
use crate::told::{Said, Trouble};
pub use crate::wishes::{
    NewFigure, NewSpan, NotEnrolled, NotRead, NotRecorded, NotSaved, NotTaken, SpanChange, Wish,
};

/// What is installed: the configuration in force, as the pages show it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Of the building; `None` while the gateway is being commissioned and has no site yet.
    pub id: Option<SiteId>,
    /// Of this appliance. It exists from the first start on.
    pub gateway: GatewayId,
    /// What people call the building; empty without a site.
    pub name: String,
    /// Town or district, if the configuration tells one.
    pub place: Option<String>,
    /// In which days begin and end.
    pub time_zone: Tz,
    /// In the order of the configuration.
    pub buses: Vec<BusInfo>,
    /// In the order of the configuration.
    pub meters: Vec<MeterInfo>,
    /// How the attempts of the cloud's probe speak for time: they are fewer on a metered line.
    pub probes: ledger::Settings,
    /// The version of the configuration in force, as `Core` counts them; 0 when there is none.
    pub version: u64,
    /// What is wrong with a newer configuration that is therefore *not* in force.
    pub config_problem: Option<ConfigProblem>,
    /// What is wrong with device profiles that somebody has added, and that are therefore not used.
    pub wrong_profiles: Vec<WrongProfile>,
    /// No configuration has ever loaded: nothing is read, only the pages run.
    pub commissioning: bool,
}

impl Site {
    /// The meter with this id, if it is installed.
    pub fn meter(&self, id: MeterId) -> Option<&MeterInfo> {
        self.meters.iter().find(|meter| meter.id == id)
    }

    /// The meters whose consumption includes that of `meter`, the nearest first.
    pub(crate) fn wholes(&self, meter: &MeterInfo) -> impl Iterator<Item = MeterId> {
        let next = |id: &MeterId| self.meter(*id).and_then(|meter| meter.part_of);
        // The configuration refuses circles; one would end here.
        std::iter::successors(meter.part_of, next).take(self.meters.len())
    }
}

/// A wire with meters on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusInfo {
    /// As in the configuration: `riser-a`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `mbus` or `modbus`.
    pub kind: &'static str,
    /// As in the configuration: `tcp://10.0.4.2:10001`, `serial:///dev/ttyUSB0`.
    pub port: String,
}

/// A meter of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterInfo {
    /// Stays when the device is exchanged.
    pub id: MeterId,
    /// What people call it.
    pub name: String,
    /// The [`BusInfo::id`] of its bus.
    pub bus: String,
    /// Its address there as text: `5`, `67001122KAM3504`.
    pub address: String,
    /// What it counts, by configuration, profile or telegram; `None` until one of them tells.
    pub medium: Option<Medium>,
    /// The id of its device profile: `kamstrup.multical-601`.
    pub profile: Option<String>,
    /// Where it is, in people's words.
    pub place: Option<String>,
    /// Words by which people group their meters.
    pub tags: Vec<String>,
    /// The serial number that it must tell.
    pub serial: Option<String>,
    /// The meter whose consumption includes this one's. A medium's total sums only the meters
    /// that are part of no other, so that nothing is counted twice.
    pub part_of: Option<MeterId>,
    /// How often it is asked.
    pub poll_every: Duration,
    /// Its readings come from a simulation and are marked so.
    pub simulated: bool,
    /// Its temperature is that of the air outdoors.
    pub outdoor: bool,
}

/// A battery, or another supply, that is running low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowBattery {
    /// What tells so.
    pub sign: BatterySign,
    /// How much is left, where that is told.
    pub level: Option<Quantity>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who has taken notice of it, and when.
    pub seen: Option<(String, DateTime<Utc>)>,
}

/// What tells that a battery is running low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatterySign {
    /// The meter's status.
    Status,
    /// A register that says so.
    Flag,
    /// How full it is.
    Share,
    /// How long it will last.
    Lifetime,
}

impl BatterySign {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Flag => "flag",
            Self::Share => "share",
            Self::Lifetime => "lifetime",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Status, Self::Flag, Self::Share, Self::Lifetime];
}

/// One thing that is wrong with a file of the folder of device profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongProfile {
    /// Where it lies.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What was found, what is allowed, and what to do; in English, like those of `site.toml`.
    pub advice: String,
}

/// Why the newest configuration is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// All of them, in the order of the lines.
    pub mistakes: Vec<Mistake>,
    /// When it was first seen.
    pub since: DateTime<Utc>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// What was found, what is allowed, what to write instead.
    pub advice: String,
}

/// The newest of everything.
///
/// At its start the daemon fills it from the store, so that a page shows old values with their age
/// rather than none.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Grows with every change.
    pub revision: u64,
    /// By meter. An entry that has not changed stays the same `Arc`: that is how the server-sent
    /// events know what to leave out.
    pub meters: HashMap<MeterId, Arc<LiveMeter>>,
}

/// What a meter said last, and how it is doing.
#[derive(Clone, Debug)]
pub struct LiveMeter {
    /// When it was asked last: when the answer began, or of a failure when it was asked.
    pub at: DateTime<Utc>,
    /// Whether it delivers.
    pub state: MeterState,
    /// Why the newest question has no answer; `None` if it has one.
    pub absent: Option<NoReading>,
    /// What went wrong with it, for a technician.
    pub error: Option<Trouble>,
    /// What the last *answer* held. It stays when a later question has none.
    pub values: Vec<LiveValue>,
    /// What else that answer said. Empty after a start, until the next one.
    pub said: Vec<Said>,
    /// When that answer began.
    pub last_answer: Option<DateTime<Utc>>,
    /// How long the last answer took.
    pub took: Option<Duration>,
    /// Which device gave it.
    pub identity: Option<Identity>,
    /// Its bytes: one telegram or several.
    pub telegrams: Vec<Vec<u8>>,
}

/// One register of the last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveValue {
    /// Which of the meter's numbers.
    pub register: Register,
    /// The number, or why the answer holds none.
    pub value: Result<Quantity, NoReading>,
    /// Whether it only ever grows, or goes up and down.
    pub kind: store::Kind,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
    /// When it was read.
    pub at: DateTime<Utc>,
}

/// Whether a meter delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeterState {
    /// It answered within its last two intervals.
    Ok,
    /// The last answer is older than two intervals, and it is still being tried.
    Late,
    /// It did not answer, after all tries.
    Silent,
    /// It has not been asked yet.
    New,
}

impl MeterState {
    /// As in the API; the language files have a word for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::New => "new",
        }
    }
}

/// The Modbus server for the building's management system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BmsStatus {
    /// Where it listens; `None` while it is off or cannot.
    pub listening: Option<String>,
    /// The first Modbus unit; `None` while it is off.
    pub unit: Option<u8>,
    /// What is wrong with it, as one English sentence.
    pub trouble: Option<String>,
    /// Every value that has registers, in the order of the registers.
    pub points: Vec<BmsPoint>,
}

/// A value that has Modbus registers, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BmsPoint {
    /// The Modbus unit.
    pub unit: u8,
    /// The first of its registers, counted from 0.
    pub address: u16,
    /// Whose value.
    pub meter: MeterId,
    /// Which one.
    pub register: Register,
    /// The steps that its integers count.
    pub resolution: Resolution,
}

/// How the parts of the gateway are doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// When the daemon started.
    pub started_at: DateTime<Utc>,
    /// Whether the wall clock can be believed.
    pub trust: Trust,
    /// One for each bus of the configuration in force, in its order.
    pub buses: Vec<BusStatus>,
    /// The store and its disk.
    pub store: StoreStatus,
    /// `None` if no cloud is configured.
    pub sync: Option<SyncStatus>,
    /// The batteries that are running low, by meter.
    pub batteries: BTreeMap<MeterId, LowBattery>,
    /// Who at the portfolio asks for something that somebody here has to allow.
    pub asked_by: Option<String>,
}

/// How a bus is doing. The counts are those since the daemon started.
#[derive(Clone, Debug)]
pub struct BusStatus {
    /// The [`BusInfo::id`].
    pub id: String,
    /// Whether its port can be used.
    pub state: BusState,
    /// What went wrong last on it, and when.
    pub last_error: Option<(DateTime<Utc>, Trouble)>,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not.
    pub failed: u64,
    /// Half of the answers came within this.
    pub median: Option<Duration>,
    /// 19 of 20 answers came within this.
    pub p95: Option<Duration>,
    /// How long the last round over all of its meters took.
    pub round: Option<Duration>,
    /// How its wire is; `None` where nobody can tell, as on a Modbus.
    pub health: Option<Arc<BusHealth>>,
    /// Who is heard on it and not configured; `None` where nobody can be.
    pub strangers: Option<Arc<Strangers>>,
    /// The scan that is under way or was the last; `None` before the first.
    pub scan: Option<Arc<ScanStatus>>,
}

/// Who is heard on a wire and is not one of its meters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// A bounded number of them; in no order.
    pub heard: Vec<HeardStranger>,
    /// How often one that was heard longest ago made room for another.
    pub forgotten: u64,
}

/// A meter that is heard and not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardStranger {
    /// As the configuration would name it.
    pub name: String,
    /// What it says of itself.
    pub identity: Identity,
    /// What it counts, if it tells.
    pub medium: Option<Medium>,
    /// How strong it came in, in dBm.
    pub rssi_dbm: Option<i16>,
    /// Whether it takes a key to read it.
    pub sealed: bool,
    /// When it was heard last.
    pub at: DateTime<Utc>,
    /// How often it was heard since the daemon started.
    pub count: u64,
}

/// How a wire is, and what each meter on it has shown: kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusHealth {
    /// What is most likely wrong, the likeliest cause first; nothing if all is well.
    pub findings: Vec<BusFinding>,
    /// Those that have been asked, in the order of the configuration.
    pub meters: Vec<MeterHealth>,
    /// Unit loads of all meters together.
    pub unit_loads: u32,
    /// What the level converter is built for, if the configuration tells.
    pub max_unit_loads: Option<u32>,
    /// How often the port could not be used after it could.
    pub port_failures: u32,
}

/// One thing that is most likely wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusFinding {
    /// Which; the language files have a sentence and an advice for each.
    pub code: &'static str,
    /// At which meter; `None` for the wire as a whole.
    pub meter: Option<MeterId>,
    /// That meter's address.
    pub address: Option<String>,
    /// How many: meters, damaged answers, frames, unit loads.
    pub count: u32,
    /// Of how many; 0 where that means nothing.
    pub of: u32,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// The device that is known, and the one that is held back.
    pub devices: Option<(String, String)>,
}

/// What one meter has shown on its wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterHealth {
    /// Which.
    pub meter: MeterId,
    /// Since when it is watched.
    pub since: DateTime<Utc>,
    /// Each count with its name, in the order in which they are shown.
    pub counts: Vec<(&'static str, u32)>,
    /// How many answers began within a time: the longest time of each bin, and the count.
    pub times: Vec<(Duration, u32)>,
    /// Half of the answers began within this.
    pub median: Option<Duration>,
    /// 19 of 20 answers began within this.
    pub p95: Option<Duration>,
    /// When it answered last.
    pub answered: Option<DateTime<Utc>>,
    /// Since when it is silent.
    pub silent_since: Option<DateTime<Utc>>,
    /// How often it fell silent, for two questions or more.
    pub silent_times: u32,
    /// The longest silence that is over.
    pub silent_longest: Duration,
    /// The device that answers.
    pub device: Option<String>,
    /// The device that is held back.
    pub held: Option<String>,
}

/// Whether a bus can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusState {
    /// Nothing has been asked on it yet.
    Starting,
    /// Its port works.
    Up,
    /// Its port cannot be opened or broke; it is being tried again.
    Down,
}

impl BusState {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The store and its disk.
#[derive(Clone, Debug, Default)]
pub struct StoreStatus {
    /// How many readings were stored since the daemon started.
    pub stored: u64,
    /// How many are on the disk without a time, since nobody knows yet what time it is.
    pub waiting: u64,
    /// Bytes free on the disk of the state directory.
    pub disk_free: u64,
    /// Bytes of that disk in all.
    pub disk_size: u64,
    /// What is wrong with it, as one English sentence; `None` if all is well.
    pub trouble: Option<String>,
    /// What was found damaged of late, and what became of it: when, and one English sentence each, the newest
    /// first.
    pub damaged: Vec<(DateTime<Utc>, String)>,
}

/// Where the sync to the cloud stands.
#[derive(Clone, Debug)]
pub struct SyncStatus {
    /// As in the configuration, or as enrolled.
    pub url: String,
    /// Whether the gateway has a certificate of that cloud.
    pub enrolled: bool,
    /// The cloud has confirmed every reading up to this number.
    pub acked: u64,
    /// The newest reading has this number.
    pub head: u64,
    /// When the cloud was last heard.
    pub last_contact: Option<DateTime<Utc>>,
    /// What went wrong last, as one English sentence; `None` once it works again.
    pub last_error: Option<String>,
    /// Readings that the cloud could not read and that were put aside, since the start.
    pub parked: u64,
    /// What went over the line in this month; `None` until the clock is right.
    pub month: Option<MonthTraffic>,
    /// Until when the month's budget keeps what is new here; `None` when it does not.
    pub saves_until: Option<DateTime<Utc>>,
}

/// Bytes to and from the cloud in a calendar month of the building, TLS and HTTP included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthTraffic {
    /// Of the readings.
    pub sync_bytes: u64,
    /// Of the probes of its uptime.
    pub probe_bytes: u64,
    /// What may go over it, if there is a limit.
    pub budget_bytes: Option<u64>,
}

/// A credit that nobody has claimed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// `2026-11`
    pub month: String,
    /// In percent of the month's fee.
    pub tier: u8,
    /// In hundredths.
    pub ore: i64,
    /// `NOK`
    pub currency: String,
    /// The last day on which notice can be given.
    pub deadline: NaiveDate,
    /// Until then: 0 on the last day.
    pub days_left: i64,
}
