//! What comes into the store.

use metering::{
    Identity, MeterId, Moment, NoReading, Origin, Quality, Quantity, Reading, Register,
};

use crate::registry::Kind;

/// What one meter said, or did not say, when it was asked once.
#[derive(Clone, Debug)]
pub struct MeterRound {
    /// Which meter was asked.
    pub meter: MeterId,
    /// The how-manieth time since the start of the daemon.
    pub cycle: u64,
    /// When the question went out.
    pub asked: Moment,
    /// Which device answered, if it told.
    pub identity: Option<Identity>,
    /// Its readings, each with how to read it; or why there are none.
    ///
    /// A failure is kept as an absence of every series that the meter's last answer had; of
    /// register `answer` if there was no answer yet.
    pub outcome: Result<Vec<(Reading, Kind)>, NoReading>,
    /// How the answer came, or would have: an absence has it too.
    pub origin: Origin,
    /// What the answer told of an earlier time, out of the meter's own memory: it fills gaps, and
    /// nothing else. At most [`MOST_REMEMBERED`] are looked at.
    pub remembered: Vec<Remembered>,
    /// The answer as it came. The last one of each meter is kept in memory, up to 64 KiB.
    pub telegrams: Vec<Vec<u8>>,
}

/// What a register of a meter showed at an earlier time, as the meter itself remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Which of its numbers: the one that it shows now, too.
    pub register: Register,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it showed.
    pub quantity: Quantity,
    /// How far value and time can be believed.
    pub quality: Quality,
}

/// Three years of months, of seven registers.
pub const MOST_REMEMBERED: usize = 256;

/// A reading from somewhere else: a file, another system, a simulated year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// How to read it.
    pub kind: Kind,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The number.
    pub quantity: Quantity,
    /// How it came; it is marked for ever.
    pub origin: Origin,
}

/// What was stored, and survives a power cut from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of the first reading.
    pub first_seq: u64,
    /// How many there are; their numbers follow each other.
    pub count: u64,
    /// The meters of which values were left out, because they would have begun a series beyond
    /// [`MOST_SERIES`](crate::MOST_SERIES). Each is there once.
    pub left_out: Vec<MeterId>,
}
