//! What the service asks of its database.
//!
//! [`Sqlite`](crate::Sqlite) is enough for the first customers, [`Postgres`](crate::Postgres) for
//! many receivers. Both keep the same promises, and no more:
//!
//! **Invariant:** a batch and the number up to which nothing is missing are written in one
//! transaction. What was answered with an acknowledgement survives the next power cut, and a
//! restored backup turns both back together.
//!
//! **Invariant:** a reading is replaced only by one with a later number of the same gateway.

use std::error::Error;
use std::fmt::{self, Debug};
use std::ops::Range;

use access::{SecretHash, Session};
use metering::{
    GatewayId, Medium, MeterId, NoReading, Origin, Quality, Register, Resolution, SeriesId, SiteId,
};
use sync_wire::{Ack, Batch, Header, Kind, Latest, Refusal, SeriesTable};

/// A database. Clones share it.
pub trait Repository: Clone + Debug + Send + Sync + 'static {
    /// Stores `batch`, whose header is `header`, if it is the next; the answer is given after the
    /// commit.
    fn store_batch(
        &self,
        header: Header,
        batch: Batch,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<Ack, Refusal>, RepositoryError>> + Send;

    /// Learns names and series. The answer is how far the gateway is.
    fn store_table(
        &self,
        table: SeriesTable,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<Ack, Refusal>, RepositoryError>> + Send;

    /// Keeps what the meters show now, of the series that are known. The answer is how far the
    /// gateway is; nothing becomes acknowledged by it.
    fn store_latest(
        &self,
        latest: Latest,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<Ack, Refusal>, RepositoryError>> + Send;

    /// The newest reading of a gateway's series, or the one at `at_ms`.
    fn report(
        &self,
        gateway: GatewayId,
        series: SeriesId,
        at_ms: Option<i64>,
    ) -> impl Future<Output = Result<Option<Reported>, RepositoryError>> + Send;

    /// Keeps a one-time code for a site of this name, which is made if there is none.
    fn add_code(
        &self,
        code: NewCode,
        now_ms: i64,
    ) -> impl Future<Output = Result<SiteId, RepositoryError>> + Send;

    /// Spends a code: the gateway joins its site, and its certificate the list. The answer is the
    /// certificate, the one of the first time if this gateway spent the code with the same key.
    fn spend_code(
        &self,
        spend: SpendCode,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<Vec<u8>, Refusal>, RepositoryError>> + Send;

    /// What the list says of the certificate with this hash.
    fn certificate(
        &self,
        sha256: [u8; 32],
    ) -> impl Future<Output = Result<Option<Listed>, RepositoryError>> + Send;

    /// Puts a renewed certificate on the list. The one before stays until it ends.
    fn add_certificate(
        &self,
        gateway: GatewayId,
        certificate: NewCertificate,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Takes all certificates of a site's gateways off the list; how many there were.
    fn revoke(
        &self,
        site: SiteId,
        now_ms: i64,
    ) -> impl Future<Output = Result<usize, RepositoryError>> + Send;

    /// All sites, by name.
    fn sites(&self) -> impl Future<Output = Result<Vec<Site>, RepositoryError>> + Send;

    /// One of them.
    fn site(
        &self,
        id: SiteId,
    ) -> impl Future<Output = Result<Option<Site>, RepositoryError>> + Send;

    /// The newest reading of each series of the site, by meter and register; of a register that had
    /// several devices, the newest device.
    fn newest(
        &self,
        site: SiteId,
    ) -> impl Future<Output = Result<Vec<MeterState>, RepositoryError>> + Send;

    /// Every series of a register, oldest first, with its readings in `span`, oldest first, and the
    /// last value before it.
    fn history(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> impl Future<Output = Result<Vec<SeriesHistory>, RepositoryError>> + Send;

    /// At most `limit` readings of a register in `span`, newest first.
    fn readings(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Series, StoredReading)>, RepositoryError>> + Send;

    /// Somebody has looked: whether there was such an alarm.
    fn clear_alarm(
        &self,
        site: SiteId,
        alarm: i64,
        now_ms: i64,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Makes the first person; `false`, and nothing done, if there is one.
    fn add_first_person(
        &self,
        person: Person,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Whether there is anybody.
    fn claimed(&self) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Who has this name, in any case.
    fn person_named(
        &self,
        folded: String,
    ) -> impl Future<Output = Result<Option<Person>, RepositoryError>> + Send;

    /// The session with this hash, and whose it is.
    fn session(
        &self,
        hash: SecretHash,
    ) -> impl Future<Output = Result<Option<(Session, Person)>, RepositoryError>> + Send;

    /// Keeps a session that is new, and drops those that have ended.
    fn keep_session(
        &self,
        session: Session,
        now_ms: i64,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Notes that a session was used, if it is still there.
    fn touch_session(
        &self,
        session: Session,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Ends a session.
    fn end_session(
        &self,
        hash: SecretHash,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// A small thing that is kept by its name.
    fn setting(
        &self,
        key: &'static str,
    ) -> impl Future<Output = Result<Option<String>, RepositoryError>> + Send;

    /// Keeps a small thing, or forgets it.
    fn put_setting(
        &self,
        key: &'static str,
        value: Option<String>,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;
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
    /// The gateway that was enrolled last.
    pub gateway: Option<Gateway>,
    /// What somebody has to look at, oldest first.
    pub alarms: Vec<Alarm>,
}

/// A gateway, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its id.
    pub id: GatewayId,
    /// When it was enrolled.
    pub enrolled_ms: i64,
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
    /// Its number here.
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

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: access::User,
    /// The password as argon2id in a PHC string.
    pub password: String,
    /// When they were made.
    pub made_ms: i64,
}

/// The password's hash does not stand in a log.
impl Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("user", &self.user).finish_non_exhaustive()
    }
}
