//! What a profile says about a meter on an M-Bus as a whole: how it is recognised, what is odd
//! about it on the wire, and what it keeps of the past.
//!
//! ```text
//! storage 0      1                 32            33          …  46
//!         now    due date, a year  end of March  of February    of January a year ago
//!                └──── Memory ───┘ └───────────── Memory ─────────────────────────────┘
//! ```
//!
//! **Never true:** two embedded profiles fit one header.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use metering::{Identity, Register};

/// What the header of a telegram has to say; an empty list takes everything.
#[derive(Clone, Debug)]
pub(crate) struct MbusIdentity {
    pub(super) manufacturer: String,
    pub(super) versions: Vec<RangeInclusive<u8>>,
    pub(super) media: Vec<u8>,
}

impl MbusIdentity {
    pub(super) fn fits(&self, identity: &Identity, medium_code: u8) -> bool {
        let version = u8::from_str_radix(&identity.version, 16).ok();
        self.manufacturer == identity.manufacturer
            && (self.versions.is_empty() || version.is_some_and(|it| self.takes_version(it)))
            && self.takes_medium(medium_code)
    }

    /// Whether there is a header that fits both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let all = |takes: &dyn Fn(u8) -> bool| (0..=u8::MAX).any(takes);
        self.manufacturer == other.manufacturer
            && all(&|it| self.takes_version(it) && other.takes_version(it))
            && all(&|it| self.takes_medium(it) && other.takes_medium(it))
    }

    fn takes_version(&self, version: u8) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|range| range.contains(&version))
    }

    fn takes_medium(&self, medium: u8) -> bool {
        self.media.is_empty() || self.media.contains(&medium)
    }
}

/// What is odd about a type of meter on an M-Bus, for whoever asks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Whether it is reset before it is asked.
    pub reset: mbus::Reset,
    /// How many telegrams of an answer are worth having; the rest repeats them, or never ends.
    pub max_telegrams: Option<u8>,
    /// Asked more often than this it falls silent, or its battery ends before its time.
    pub min_interval: Option<Duration>,
    /// The speeds it knows, if they are not the usual 300 and 2400. Empty if nothing is known.
    pub baud: Vec<u32>,
    /// Who says so.
    pub because: Option<String>,
}

/// Values of an earlier time that a meter sends along, by storage number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Where they are.
    pub storages: RangeInclusive<u64>,
    /// How far they are apart.
    pub interval: Interval,
    /// Of which registers, as they are now.
    pub registers: BTreeSet<Register>,
    /// The record of the same storage that tells when: a day alone, or a day and a time.
    pub(crate) dated_to_the_minute: bool,
    pub(crate) taken: Taken,
}

/// How far apart the values of a meter's memory are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// One an hour.
    Hour,
    /// One a day.
    Day,
    /// One a month.
    Month,
    /// One a year, on a day that somebody has set.
    Year,
    /// On a day that somebody has set, once a year or once a month.
    DueDate,
}

/// When on the day of its date a value was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// At 00:00.
    StartOfDay,
    /// At 24:00.
    EndOfDay,
    /// No document says it: 24:00 is assumed, and what comes of it is marked.
    #[default]
    Unknown,
}

/// A text in the languages of the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Norwegian, bokmål.
    pub nb: String,
    /// English.
    pub en: String,
    /// Danish.
    pub da: String,
}

/// What a bit of a flag register means when it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagBit {
    /// Counted from 0, the least.
    pub bit: u8,
    /// In a few words.
    pub text: Texts,
}
