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

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::ops::Range;

use access::SecretHash;
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId, UserId};
use sync_wire::{
    AccountDay, Accounts, Ack, Batch, Header, Latest, RecallAsked, Recalled, Refusal, SeriesTable,
};

mod answers;
mod branches;
mod dwellings;
mod errands;
mod handover;
mod persons;
mod proofs;

pub(crate) use answers::by_site;
pub use answers::{
    Alarm, AlarmCode, Completeness, Gateway, GatewayState, LastTold, Listed, MeterState,
    NewCertificate, NewCode, NewestReading, Reported, RepositoryError, Sample, Series,
    SeriesHistory, SeriesUse, Side, Site, SpendCode, StoredReading,
};

pub(crate) use branches::USES;
pub use branches::{Branches, LinkUse, Links, Position};

pub use crate::folded::Place;
pub use crate::tally::DayTally;
pub use dwellings::{Dwelling, Dwellings, Look};
pub use errands::{Bundle, Errand, ErrandMove, ErrandNote, Errands};
pub use handover::{Handover, Handovers, NotGiven, Owned, Released, TakenOver};
pub use persons::{Change, Changed, Kept, Person, Seen, Token};
pub(crate) use persons::{without_app, written, written_link};
pub use proofs::Proofs;

/// A database. Clones share it.
pub trait Repository:
    Branches + Dwellings + Errands + Handovers + Links + Proofs + Clone + Debug + Send + Sync + 'static
{
    /// Stores `batch`, whose header is `header`, if it is the next, and the certificate with the hash `shown`
    /// is still that gateway's and on the list; the answer is given after the commit.
    fn store_batch(
        &self,
        shown: [u8; 32],
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

    /// Keeps what the gateway says was expected and came, instead of what it said before of the same
    /// meters and days. The answer is how far the gateway is; nothing becomes acknowledged by it.
    fn store_accounts(
        &self,
        accounts: Accounts,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<Ack, Refusal>, RepositoryError>> + Send;

    /// The accounts of the site's meters on the days that begin in `span`, by meter and time.
    fn accounts(
        &self,
        site: SiteId,
        span: Range<i64>,
    ) -> impl Future<Output = Result<Vec<AccountDay>, RepositoryError>> + Send;

    /// What was expected of all meters of each site, or of the one, on the days that begin in `span`,
    /// and what came. A site of which nothing was expected is absent.
    fn completeness(
        &self,
        site: Option<SiteId>,
        span: Range<i64>,
    ) -> impl Future<Output = Result<HashMap<SiteId, Completeness>, RepositoryError>> + Send;

    /// The newest reading of a gateway's series, or the one at `at_ms`.
    fn report(
        &self,
        gateway: GatewayId,
        series: SeriesId,
        at_ms: Option<i64>,
    ) -> impl Future<Output = Result<Option<Reported>, RepositoryError>> + Send;

    /// What is here of the readings that a gateway lost, some of it: where the next question goes on is said.
    fn recall(
        &self,
        asked: RecallAsked,
    ) -> impl Future<Output = Result<Recalled, RepositoryError>> + Send;

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

    /// Puts a renewed certificate on the list, for the gateway of the one with the hash `shown`, which stays
    /// until it ends; `false`, and nothing, if that was taken off the list.
    fn renew_certificate(
        &self,
        shown: [u8; 32],
        certificate: NewCertificate,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// The sites, at most a hundred, of gateways that have a certificate and do not know this
    /// authority yet, by name.
    fn unprepared(
        &self,
        authority: [u8; 32],
        now_ms: i64,
    ) -> impl Future<Output = Result<Vec<String>, RepositoryError>> + Send;

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

    /// The newest reading of each series of each site, or of the one, by meter and register; of a
    /// register that had several devices, the newest device. A site without meters is absent.
    fn newest(
        &self,
        site: Option<SiteId>,
    ) -> impl Future<Output = Result<BTreeMap<SiteId, Vec<MeterState>>, RepositoryError>> + Send;

    /// Every series of a register, oldest first, with its readings in `span`, oldest first, and the
    /// last value before it.
    fn history(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> impl Future<Output = Result<Vec<SeriesHistory>, RepositoryError>> + Send;

    /// What every series of a register rose on the days of UTC that `span` touches, oldest first, and
    /// the last value before them.
    fn used(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> impl Future<Output = Result<Vec<SeriesUse>, RepositoryError>> + Send;

    /// What a building is compared by: its heated area, and which meters count for all of it. Whether
    /// there is such a site.
    fn change_facts(
        &self,
        site: SiteId,
        area_m2: Option<u32>,
        counted: Option<Vec<MeterId>>,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// At most `limit` readings of a register in `span`, newest first; of those of one instant that of
    /// the newest series. Only those that come after the one that was told last, if there is one.
    fn readings(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
        told: Option<LastTold>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Series, StoredReading)>, RepositoryError>> + Send;

    /// Packs a few days of series, from this place on, of those before `before_ms` that still lie in
    /// rows. The answer is where to go on; `None` when every series had its turn. Changes no answer.
    fn fold(
        &self,
        before_ms: i64,
        from: Place,
    ) -> impl Future<Output = Result<Option<Place>, RepositoryError>> + Send;

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

    /// Somebody by their id.
    fn person(
        &self,
        id: UserId,
    ) -> impl Future<Output = Result<Option<Person>, RepositoryError>> + Send;

    /// Everybody, by name.
    fn people(&self) -> impl Future<Output = Result<Vec<Seen>, RepositoryError>> + Send;

    /// Lets somebody in; `false`, and nothing done, if somebody has their name.
    fn add_person(
        &self,
        person: Person,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Changes what somebody is. Their sessions end but the one that is spared.
    fn change_person(
        &self,
        id: UserId,
        change: Change,
        spared: SecretHash,
    ) -> impl Future<Output = Result<Changed, RepositoryError>> + Send;

    /// Takes somebody's access away, and ends their sessions.
    fn remove_person(
        &self,
        id: UserId,
    ) -> impl Future<Output = Result<Changed, RepositoryError>> + Send;

    /// Ends the sessions of somebody but the one that is spared; where none is, tokens too.
    fn end_sessions(
        &self,
        id: UserId,
        spared: Option<SecretHash>,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Another password for one's own; `false`, and nothing done, if it is not `before` any more. One's
    /// sessions end but the one that is spared.
    fn change_password(
        &self,
        id: UserId,
        before: String,
        after: String,
        spared: SecretHash,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Other [ways](Person::ways) to get in; `false`, and nothing done, if they are not `before` any more: of
    /// two who come with one code one is let in.
    fn change_ways(
        &self,
        id: UserId,
        before: String,
        after: String,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Keeps the secret of an app that has not shown a code yet.
    fn begin_app(
        &self,
        id: UserId,
        secret: String,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// The session with this hash, and whose it is.
    fn session(
        &self,
        hash: SecretHash,
    ) -> impl Future<Output = Result<Option<(Kept, Person)>, RepositoryError>> + Send;

    /// The browsers that somebody is logged in from, and their tokens.
    fn sessions_of(
        &self,
        id: UserId,
    ) -> impl Future<Output = Result<Vec<Kept>, RepositoryError>> + Send;

    /// Keeps a session that is new, and drops those that have ended.
    fn keep_session(
        &self,
        kept: Kept,
        now_ms: i64,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Notes that a session was used, if it is still there.
    fn touch_session(&self, kept: Kept)
    -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Ends a session.
    fn end_session(
        &self,
        hash: SecretHash,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// How many entries of a book there are.
    fn book_len(
        &self,
        gateway: GatewayId,
        side: Side,
    ) -> impl Future<Output = Result<u64, RepositoryError>> + Send;

    /// The entries of a book from the place `from` on, in order; at most `limit`.
    fn book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, RepositoryError>> + Send;

    /// Appends to a book that has `from` entries, and to no other; how many it has then.
    fn append_book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        entries: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<u64, RepositoryError>> + Send;

    /// The newest checkpoint of the gateway's book that both have signed.
    fn book_note(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<Option<String>, RepositoryError>> + Send;

    /// Keeps it.
    fn put_book_note(
        &self,
        gateway: GatewayId,
        note: String,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// The newest value of the series of a gateway that was known first: what the probe asks for.
    fn sample(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<Option<Sample>, RepositoryError>> + Send;

    /// A small thing that is kept by its name.
    fn setting(
        &self,
        key: &'static str,
    ) -> impl Future<Output = Result<Option<String>, RepositoryError>> + Send;

    /// Adds a line to a small thing that is kept by its name. Of more than 2,000 letters the oldest
    /// are forgotten.
    fn add_to_setting(
        &self,
        key: &'static str,
        line: String,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Keeps a small thing, or forgets it.
    fn put_setting(
        &self,
        key: &'static str,
        value: Option<String>,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;
}
