//! The database that the configuration names.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use access::{Link, SecretHash};
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId, UserId};
use sync_wire::{
    AccountDay, Accounts, Ack, Batch, Header, Latest, RecallAsked, Recalled, Refusal, SeriesTable,
};
use uuid::Uuid;

use crate::branches::{Tag, TagChange, TagId, WrongTag};
use crate::repository::{
    Branches, Bundle, Change, Changed, Completeness, Dwelling, Dwellings, Errand, ErrandMove,
    ErrandNote, Errands, Handover, Handovers, Kept, LastTold, LinkUse, Links, Listed, Look,
    MeterState, NewCertificate, NewCode, NotGiven, Owned, Person, Place, Position, Proofs,
    Reported, Repository, RepositoryError, Sample, Seen, Series, SeriesHistory, SeriesUse, Side,
    Site, SpendCode, StoredReading,
};
use crate::{Postgres, Sqlite};

/// One of the databases. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// The questions of [`Repository`] and [`Proofs`], each handed on.
macro_rules! hand_on {
    ($of:ident $(fn $question:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl $of for Database {
            $(async fn $question(&self, $($name: $kind),*) -> Result<$answer, RepositoryError> {
                match self {
                    Self::Sqlite(sqlite) => sqlite.$question($($name),*).await,
                    Self::Postgres(postgres) => postgres.$question($($name),*).await,
                }
            })*
        }
    };
}

hand_on! {
    Repository
    fn store_batch(shown: [u8; 32], header: Header, batch: Batch, now_ms: i64) -> Result<Ack, Refusal>;
    fn store_table(table: SeriesTable, now_ms: i64) -> Result<Ack, Refusal>;
    fn store_latest(latest: Latest, now_ms: i64) -> Result<Ack, Refusal>;
    fn store_accounts(accounts: Accounts, now_ms: i64) -> Result<Ack, Refusal>;
    fn accounts(site: SiteId, span: Range<i64>) -> Vec<AccountDay>;
    fn completeness(site: Option<SiteId>, span: Range<i64>) -> HashMap<SiteId, Completeness>;
    fn report(gateway: GatewayId, series: SeriesId, at_ms: Option<i64>) -> Option<Reported>;
    fn recall(asked: RecallAsked) -> Recalled;
    fn add_code(code: NewCode, now_ms: i64) -> SiteId;
    fn spend_code(spend: SpendCode, now_ms: i64) -> Result<Vec<u8>, Refusal>;
    fn certificate(sha256: [u8; 32]) -> Option<Listed>;
    fn renew_certificate(shown: [u8; 32], certificate: NewCertificate) -> bool;
    fn unprepared(authority: [u8; 32], now_ms: i64) -> Vec<String>;
    fn revoke(site: SiteId, now_ms: i64) -> usize;
    fn sites() -> Vec<Site>;
    fn site(id: SiteId) -> Option<Site>;
    fn newest(site: Option<SiteId>) -> BTreeMap<SiteId, Vec<MeterState>>;
    fn history(
        site: SiteId, meter: MeterId, register: Register, span: Range<i64>
    ) -> Vec<SeriesHistory>;
    fn used(
        site: SiteId, meter: MeterId, register: Register, span: Range<i64>
    ) -> Vec<SeriesUse>;
    fn change_facts(
        site: SiteId, area_m2: Option<u32>, counted: Option<Vec<MeterId>>
    ) -> bool;
    fn readings(
        site: SiteId, meter: MeterId, register: Register, span: Range<i64>, told: Option<LastTold>,
        limit: usize
    ) -> Vec<(Series, StoredReading)>;
    fn fold(before_ms: i64, from: Place) -> Option<Place>;
    fn clear_alarm(site: SiteId, alarm: i64, now_ms: i64) -> bool;
    fn add_first_person(person: Person) -> bool;
    fn claimed() -> bool;
    fn person_named(folded: String) -> Option<Person>;
    fn person(id: UserId) -> Option<Person>;
    fn people() -> Vec<Seen>;
    fn add_person(person: Person) -> bool;
    fn change_person(id: UserId, change: Change, spared: SecretHash) -> Changed;
    fn remove_person(id: UserId) -> Changed;
    fn end_sessions(id: UserId, spared: Option<SecretHash>) -> ();
    fn change_password(id: UserId, before: String, after: String, spared: SecretHash) -> bool;
    fn change_ways(id: UserId, before: String, after: String) -> bool;
    fn begin_app(id: UserId, secret: String) -> ();
    fn session(hash: SecretHash) -> Option<(Kept, Person)>;
    fn sessions_of(id: UserId) -> Vec<Kept>;
    fn keep_session(kept: Kept, now_ms: i64) -> ();
    fn touch_session(kept: Kept) -> ();
    fn end_session(hash: SecretHash) -> ();
    fn book_len(gateway: GatewayId, side: Side) -> u64;
    fn book(gateway: GatewayId, side: Side, from: u64, limit: u32) -> Vec<Vec<u8>>;
    fn append_book(gateway: GatewayId, side: Side, from: u64, entries: Vec<Vec<u8>>) -> u64;
    fn book_note(gateway: GatewayId) -> Option<String>;
    fn put_book_note(gateway: GatewayId, note: String) -> ();
    fn sample(gateway: GatewayId) -> Option<Sample>;
    fn setting(key: &'static str) -> Option<String>;
    fn add_to_setting(key: &'static str, line: String) -> ();
    fn put_setting(key: &'static str, value: Option<String>) -> ();
}

hand_on! {
    Errands
    fn add_errand(gateway: GatewayId, errand: Errand) -> bool;
    fn errands(gateway: GatewayId) -> Vec<Errand>;
    fn move_errand(gateway: GatewayId, id: Uuid, moved: ErrandMove, note: ErrandNote) -> bool;
    fn hear_errands(gateway: GatewayId, open: Vec<Uuid>) -> ();
    fn note_errand(gateway: GatewayId, id: Uuid, note: ErrandNote) -> ();
    fn errand_notes(gateway: GatewayId) -> Vec<(Uuid, ErrandNote)>;
    fn bundle(gateway: GatewayId, id: Uuid) -> Option<Bundle>;
    fn put_bundle(gateway: GatewayId, id: Uuid, from: u64, part: Bundle) -> ();
    fn tidy_errands(bundles_ms: i64, all_ms: i64) -> u64;
}

hand_on! {
    Handovers
    fn hand_over(given: Handover, now_ms: i64) -> Result<SiteId, NotGiven>;
    fn add_code_for(site: SiteId, sha256: [u8; 32], expires_ms: i64) -> bool;
    fn owned(gateway: GatewayId) -> Option<Owned>;
}

hand_on! {
    Dwellings
    fn dwellings(site: SiteId) -> Vec<Dwelling>;
    fn put_dwelling(site: SiteId, dwelling: Dwelling) -> bool;
    fn remove_dwelling(site: SiteId, meter: MeterId) -> bool;
    fn state_purpose(site: SiteId, look: Look, since_ms: i64) -> ();
    fn count_look(
        site: SiteId, meter: MeterId, user: UserId, since_ms: i64, now_ms: i64, is_download: bool
    ) -> bool;
    fn looks(site: SiteId, before: Option<Uuid>, limit: u32) -> Vec<Look>;
    fn tidy_looks(before_ms: i64) -> ();
}

hand_on! {
    Proofs
    fn proof(gateway: GatewayId, sha256: [u8; 32]) -> Option<(u64, Vec<u8>)>;
    fn proofs_len(gateway: GatewayId) -> u64;
    fn put_proof(
        gateway: GatewayId, sha256: [u8; 32], whole: u64, from: u64, part: Vec<u8>
    ) -> ();
    fn forget_proof(gateway: GatewayId, sha256: [u8; 32]) -> ();
}

hand_on! {
    Branches
    fn tags() -> Vec<Tag>;
    fn change_tags(change: TagChange) -> Result<(), WrongTag>;
    fn tagged() -> Vec<(SiteId, Vec<TagId>)>;
    fn tag_site(site: SiteId, tags: Vec<TagId>) -> bool;
    fn place_site(site: SiteId, position: Option<Position>) -> bool;
    fn note_version(gateway: GatewayId, version: String) -> ();
}

hand_on! {
    Links
    fn open_link(hash: SecretHash, used: LinkUse) -> Option<Person>;
    fn renew_link(id: UserId, link: Link) -> bool;
    fn link_uses(id: UserId) -> Vec<LinkUse>;
}
