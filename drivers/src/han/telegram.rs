//! What a meter said, as far as it is known what it means.

use metering::{Moment, Origin, Quality, Quantity, Reading, Register};

use super::obis::Obis;
use super::time::MeterTime;

/// One push of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// Whose list it is.
    pub maker: Maker,
    /// Which version of it: `AIDON_V0001`.
    pub list_version: Option<String>,
    /// The meter's number.
    pub meter_id: Option<String>,
    /// Its type.
    pub meter_type: Option<String>,
    /// When it was sent, by the meter's clock.
    pub clock: Option<MeterTime>,
    /// Its numbers, in the order in which they came.
    pub values: Vec<Value>,
    /// What else it said, and what in it cannot be read.
    pub notes: Vec<Note>,
    /// Of one that was encrypted.
    pub opened: Option<Opened>,
    /// Whether it came with a checksum: the oldest P1 telegrams have none.
    pub has_checksum: bool,
}

impl Telegram {
    pub(super) const fn new(maker: Maker) -> Self {
        Self {
            maker,
            list_version: None,
            meter_id: None,
            meter_type: None,
            clock: None,
            values: Vec::new(),
            notes: Vec::new(),
            opened: None,
            has_checksum: true,
        }
    }

    /// Its numbers as readings of a meter that was heard at `heard`.
    ///
    /// A register that the meter froze has the time at which it did, told by `heard` as far as
    /// the meter leaves its zone open. If its clock and ours do not fit together, it has the time at
    /// which it was heard, as [`Quality::TimeEstimated`].
    pub fn readings(&self, heard: Moment, origin: Origin) -> Vec<Reading> {
        let now = heard.wall;
        let reading = |value: &Value| {
            // The hour is told by the clock of the telegram, which is of now.
            let frozen = value.at.map(|at| {
                let sent = self.clock?;
                let utc = sent.utc_near(now)?;
                utc.checked_sub_signed(sent.since(at))
            });
            let (at, quality) = match frozen {
                None => (heard, Quality::Good),
                Some(None) => (heard, Quality::TimeEstimated),
                Some(Some(wall)) => {
                    let ago = (now - wall).to_std().unwrap_or_default();
                    let boottime = heard.boottime.saturating_sub(ago);
                    (Moment { wall, boottime, ..heard }, Quality::Good)
                }
            };
            Some(Reading {
                register: value.register()?,
                at,
                value: Ok(value.quantity),
                quality,
                origin,
            })
        };
        self.values.iter().filter_map(reading).collect()
    }
}

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Scaler and unit beside each number.
    Aidon,
    /// By place in Norway, by code in Sweden.
    Kaifa,
    /// By code.
    Kamstrup,
    /// By code, of somebody else.
    Other,
    /// Text, whoever the maker.
    P1,
}

impl Maker {
    /// As on the meter; of a P1 telegram, whoever the maker, and of an unknown one none.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Aidon => "Aidon",
            Self::Kaifa => "Kaifa",
            Self::Kamstrup => "Kamstrup",
            Self::Other | Self::P1 => "",
        }
    }

    /// As in the JSON of the command line.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Aidon => "aidon",
            Self::Kaifa => "kaifa",
            Self::Kamstrup => "kamstrup",
            Self::Other => "other",
            Self::P1 => "p1",
        }
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub obis: Obis,
    /// As the meter sends it.
    pub quantity: Quantity,
    /// When the meter took it; `None` for a value of the moment at which it was sent.
    ///
    /// The energy registers of the Norwegian lists are those of the hour's end, seconds ago.
    pub at: Option<MeterTime>,
    /// Where it stands in the message.
    pub byte: usize,
}

impl Value {
    /// The register that it is, if it is one of ours.
    pub fn register(&self) -> Option<Register> {
        self.obis.register(self.quantity.resolution().unit())
    }
}

/// Something in a telegram that is no number, or none that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands in the message.
    pub byte: usize,
    /// Its code, as far as it has one.
    pub code: String,
    /// What it says, or why it cannot be read.
    pub text: String,
}

/// What is known of a telegram that was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Counts up with each telegram under one key.
    pub frame_counter: u32,
    /// Whether its tag was verified, so that nobody else can have written it.
    pub verified: bool,
}
