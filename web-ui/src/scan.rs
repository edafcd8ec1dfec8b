//! A scan of a bus, as the daemon tells it and as the pages ask for it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{Medium, MeterId};

use crate::told::Trouble;

/// By which addresses is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanKind {
    /// By the 251 addresses on the bus.
    Primary,
    /// By the meters' own addresses.
    Secondary,
    /// By one after the other.
    Both,
    /// By the 247 unit numbers of a Modbus.
    Units,
}

impl ScanKind {
    /// As in the API; the language files have a word for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Both => "both",
            Self::Units => "units",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Primary, Self::Secondary, Self::Both, Self::Units];
}

/// What a person wants of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOrder {
    /// A new one.
    Start(ScanKind),
    /// That it waits.
    Pause,
    /// That it goes on where it was.
    Resume,
    /// That it ends. What it has found stays to be looked at.
    Cancel,
}

/// A scan that runs or was the last to run. A restart of the daemon forgets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanStatus {
    /// What was asked for.
    pub kind: ScanKind,
    /// How it is doing.
    pub state: ScanState,
    /// By which addresses it looks now; never [`ScanKind::Both`].
    pub looking: ScanKind,
    /// What is asked next; `None` at the end.
    pub place: Option<String>,
    /// How many addresses or selections have been asked.
    pub asked: u32,
    /// How much has been gone through, in thousandths. By own addresses it is the share of the
    /// numbers, over which meters are not spread evenly.
    pub permille: u16,
    /// How long it takes to the end if it goes on as until now; `None` while that is a guess.
    pub rest: Option<Duration>,
    /// When it was started.
    pub began: DateTime<Utc>,
    /// When it came to its end.
    pub ended: Option<DateTime<Utc>>,
    /// What it has found, in that order.
    pub found: Vec<FoundMeter>,
    /// Where several meters answer at once and cannot be told apart.
    pub several: Vec<String>,
    /// What keeps it from going on, or what ended it.
    pub trouble: Option<Trouble>,
}

/// How a scan is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanState {
    /// It goes on whenever no meter of the configuration is due.
    Running,
    /// Somebody has it wait.
    Paused,
    /// It has come to its end.
    Done,
    /// Somebody has ended it, or another bus took its place.
    Cancelled,
    /// It could not go on.
    Failed,
}

impl ScanState {
    /// As in the API; the language files have a word for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Whether it can still find anything.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// A meter that a scan has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMeter {
    /// By which it can be asked: `5`, `67001122KAM0807`.
    pub address: String,
    /// Its address on the bus, as far as it is known.
    pub primary: Option<u8>,
    /// Its own address, if it tells all of it.
    pub own: Option<String>,
    /// What it says that its number is; empty if it says nothing.
    pub serial: String,
    /// Its maker's three letters.
    pub manufacturer: String,
    /// Its generation.
    pub version: String,
    /// What it counts.
    pub medium: Option<Medium>,
    /// The id of the profile that fits it: a key of [`Devices`](crate::Devices).
    pub profile: Option<String>,
    /// The meter of the configuration that it is.
    pub meter: Option<MeterId>,
    /// The known address that its own is nearly: most likely a fault of the wire has made it up.
    pub nearly: Option<String>,
}

/// Why a scan was not started, or not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotScanned {
    /// No such bus is in force.
    NoSuchBus,
    /// Nothing on this kind of bus can be searched for in this way.
    Kind,
    /// One is under way already.
    Runs,
    /// None is under way.
    Nothing,
    /// The bus has too many wishes waiting; it can be tried again in a moment.
    Busy,
}
