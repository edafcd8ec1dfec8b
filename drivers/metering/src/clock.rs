//! What time it is, and how far that can be trusted.

use std::fmt::Debug;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Tells the time, to every crate that needs it.
///
/// Each binary has the one real implementation, and nothing else asks the system. A program
/// cannot see a leap of the wall clock in the wall clock, so every look shows both clocks.
pub trait Clock: Debug + Send + Sync {
    /// One look.
    fn now(&self) -> Moment;
}

/// One look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock showed. It may be set, in either direction, at any time.
    pub wall: DateTime<Utc>,
    /// How long this boot has lasted: never set, and it counts on through suspend.
    pub boottime: Duration,
    /// Which boot that is.
    pub boot_id: u128,
    /// Whether the wall clock can be believed.
    pub trust: Trust,
}

impl Moment {
    /// The wall clock in milliseconds since 1970, as in the store and on the wire.
    pub const fn wall_ms(&self) -> i64 {
        self.wall.timestamp_millis()
    }
}

/// What stands behind the wall clock, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Nothing: not set since the boot.
    Untrusted,
    /// No earlier than the last time that was saved.
    Floor,
    /// A server that can no longer be heard; the error grows.
    Holdover,
    /// A server that answers.
    Synced,
}

impl Trust {
    /// As in the store and on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Untrusted => 0,
            Self::Floor => 1,
            Self::Holdover => 2,
            Self::Synced => 3,
        }
    }

    /// The trust with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Untrusted),
            1 => Some(Self::Floor),
            2 => Some(Self::Holdover),
            3 => Some(Self::Synced),
            _ => None,
        }
    }
}
