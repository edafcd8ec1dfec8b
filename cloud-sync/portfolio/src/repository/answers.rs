//! What the database is given and what it answers with, beside people.

use std::collections::BTreeMap;
use std::error::Error;

use metering::{
    GatewayId, Medium, MeterId, NoReading, Origin, Quality, Register, Resolution, SeriesId, SiteId,
};
use sync_wire::Kind;

use super::{Position, Released, TakenOver};
use crate::branches::TagId;
use crate::tally::DayTally;

/// Which of the two books of one promise of uptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The gateway's, of which this is a copy.
    Customer,
    /// The vendor's own.
    Vendor,
}

impl Side {
    /// As in the database.
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Customer => 0,
            Self::Vendor => 1,
        }
    }
}

/// A value that a report has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// By the gateway's own number.
    pub series: SeriesId,
    /// When it was read.
    pub at_ms: i64,
    /// What was read, in the steps of its series.
    pub mantissa: i64,
}

/// The database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// More is waiting for it than it will do in a few seconds.
    #[error("the database has more to do than it can")]
    Busy,
    /// It holds something that this version does not understand.
    #[error("the database has `{found}` for {what}, which this version does not know")]
    Foreign {
        /// What was read.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// What is acknowledged would not be safe in it.
    #[error("the database cannot be used: {why}")]
    Unfit {
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// It says no.
    #[error("the database cannot {doing}")]
    Failed {
        /// What it was asked to do.
        doing: &'static str,
        /// What it says.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// A one-time code to keep.
#[derive(Clone, Debug)]
pub struct NewCode {
    /// SHA-256 of its secret.
    pub sha256: [u8; 32],
    /// For which site.
    pub site_name: String,
    /// Where that is.
    pub place: Option<String>,
    /// Until when it is good.
    pub expires_ms: i64,
}

/// A code, and what is given for it.
#[derive(Clone, Debug)]
pub struct SpendCode {
    /// SHA-256 of the secret that was told.
    pub sha256: [u8; 32],
    /// Who told it.
    pub gateway: GatewayId,
    /// SHA-256 of the public key in the request.
    pub key_sha256: [u8; 32],
    /// The certificate to give.
    pub certificate: NewCertificate,
}

/// A certificate to put on the list.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// X.509, DER.
    pub der: Vec<u8>,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// When it ends.
    pub ends_ms: i64,
    /// SHA-256 of the newest authority that the gateway learns with it.
    pub told: [u8; 32],
}

/// A certificate on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is.
    pub gateway: GatewayId,
    /// When it ends.
    pub ends_ms: i64,
    /// Whether it was taken off.
    pub revoked: bool,
    /// SHA-256 of the newest authority that the gateway learned with it; `None` if that was not
    /// written down yet.
    pub told: Option<[u8; 32]>,
    /// Whether something is asked of the gateway, or was taken back, that it does not know of.
    pub unheard: bool,
}

/// A reading as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredReading {
    /// When the meter's answer began.
    pub at_ms: i64,
    /// The mantissa in the steps of its series, or why there is none.
    pub value: Result<i64, NoReading>,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
}

/// What the report answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The reading.
    pub reading: StoredReading,
    /// Its number.
    pub seq: u64,
    /// The steps it counts.
    pub resolution: Resolution,
}

/// A building.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its id here.
    pub id: SiteId,
    /// As its gateway calls it; before there is one, as its one-time code did.
    pub name: String,
    /// Where it is.
    pub place: Option<String>,
    /// By its IANA name.
    pub time_zone: String,
    /// How large its heated area is; `None` while nobody has said.
    pub area_m2: Option<u32>,
    /// The meters that count for all of it; `None` while nobody has said.
    pub counted: Option<Vec<MeterId>>,
    /// Of the tree; some may be gone.
    pub tags: Vec<TagId>,
    /// Where it is; `None` while nobody has said.
    pub position: Option<Position>,
    /// Its gateway went to another owner.
    pub released: Option<Released>,
    /// Its gateway came from another owner.
    pub taken_over: Option<TakenOver>,
    /// The gateway that was enrolled last.
    pub gateway: Option<Gateway>,
    /// What somebody has to look at, oldest first.
    pub alarms: Vec<Alarm>,
}

/// How much of what was expected came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// So many readings.
    pub expected: u64,
    /// Of these, in time or later, or put in their place.
    pub got: u64,
}

impl Completeness {
    /// Whether more than one reading of twenty did not come: nobody calls that in order.
    pub(crate) const fn lacks_much(&self) -> bool {
        (self.got as u128) * 20 < (self.expected as u128) * 19
    }
}

/// A gateway, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its id.
    pub id: GatewayId,
    /// When it was enrolled.
    pub enrolled_ms: i64,
    /// Of its program; `None` while it has not said.
    pub version: Option<String>,
    /// When the last of its certificates ends; `None` if all were taken off the list.
    pub certificate_until_ms: Option<i64>,
    /// `None` before its first message.
    pub state: Option<GatewayState>,
}

/// How far a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayState {
    /// The highest number up to which nothing is missing.
    pub acked: u64,
    /// The highest number that the gateway has given.
    pub head: u64,
    /// When it was last heard of.
    pub last_contact_ms: i64,
}

/// Something that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its number.
    pub alarm: i64,
    /// What it is.
    pub code: AlarmCode,
    /// The first reading concerned.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How many from there to there are concerned.
    pub count: u64,
    /// Since when.
    pub since_ms: i64,
}

/// What somebody may have to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmCode {
    /// Two gateways send under one identity.
    Clone,
    /// Readings that the gateway could not keep until they were sent.
    Lost,
    /// Readings that the portfolio could not read; they are still on the gateway.
    Parked,
}

impl AlarmCode {
    /// As in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Lost => "lost",
            Self::Parked => "parked",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Clone, Self::Lost, Self::Parked].into_iter().find(|code| code.as_str() == name)
    }
}

/// A meter, and what its registers show.
#[derive(Clone, Debug)]
pub struct MeterState {
    /// Its id.
    pub id: MeterId,
    /// As in the gateway's configuration.
    pub name: String,
    /// What it counts.
    pub medium: Medium,
    /// By name.
    pub registers: Vec<(Series, Option<NewestReading>)>,
}

impl MeterState {
    /// Of the series of a register the newest device comes last. One that has not said anything yet
    /// does not hide the one before it.
    pub(crate) fn learn(&mut self, series: Series, newest: Option<NewestReading>) {
        match self.registers.last_mut() {
            Some(last) if last.0.register == series.register => {
                if newest.is_some() || last.1.is_none() {
                    *last = (series, newest);
                }
            }
            _ => self.registers.push((series, newest)),
        }
    }
}

/// The meters of each site, by their ids.
pub(crate) fn by_site(
    meters: BTreeMap<(SiteId, MeterId), MeterState>,
) -> BTreeMap<SiteId, Vec<MeterState>> {
    let mut sites: BTreeMap<SiteId, Vec<MeterState>> = BTreeMap::new();
    for ((site, _), meter) in meters {
        sites.entry(site).or_default().push(meter);
    }
    sites
}

/// What a register shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestReading {
    /// The newest reading, with or without a value.
    pub reading: StoredReading,
    /// The newest that has a value.
    pub last_value: Option<(i64, i64)>,
}

/// One register of one installed device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The number of its gateway here.
    pub gateway: i64,
    /// Its own among those of the gateway.
    pub number: u32,
    /// Which of the meter's numbers.
    pub register: Register,
    /// How it moves.
    pub kind: Kind,
    /// One step.
    pub resolution: Resolution,
    /// When it began.
    pub begins_ms: i64,
}

/// The reading that a page of them ended with. Two devices of a meter may have been read at one
/// instant, so the time alone does not say which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTold {
    /// When it was read.
    pub at_ms: i64,
    /// [`Series::gateway`]
    pub gateway: i64,
    /// [`Series::number`]
    pub series: u32,
}

impl LastTold {
    /// Before which instant those of a series are that come after it.
    pub(crate) fn until(&self, gateway: i64, series: u32) -> i64 {
        let after_it = (gateway, series) < (self.gateway, self.series);
        self.at_ms.saturating_add(after_it.into())
    }
}

/// A series in a span of time.
#[derive(Clone, Debug)]
pub struct SeriesHistory {
    /// Which.
    pub series: Series,
    /// The last value before the span, and its time.
    pub before: Option<(i64, i64)>,
    /// Those in the span, oldest first.
    pub readings: Vec<StoredReading>,
}

/// What a series rose, day by day.
#[derive(Clone, Debug)]
pub struct SeriesUse {
    /// One step.
    pub resolution: Resolution,
    /// The last value before the days, and its time.
    pub before: Option<(i64, i64)>,
    /// Those with a value, oldest first.
    pub days: Vec<DayTally>,
}
