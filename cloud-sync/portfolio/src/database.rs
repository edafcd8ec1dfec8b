//! The database that the configuration names.

use std::ops::Range;

use access::{SecretHash, Session};
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId};
use sync_wire::{Ack, Batch, Header, Latest, Refusal, SeriesTable};

use crate::repository::{
    Listed, MeterState, NewCertificate, NewCode, Person, Reported, Repository, RepositoryError,
    Series, SeriesHistory, Site, SpendCode, StoredReading,
};
use crate::{Postgres, Sqlite};

/// One of the databases. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// The questions of [`Repository`], each handed on.
macro_rules! hand_on {
    ($(fn $question:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl Repository for Database {
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
    fn store_batch(header: Header, batch: Batch, now_ms: i64) -> Result<Ack, Refusal>;
    fn store_table(table: SeriesTable, now_ms: i64) -> Result<Ack, Refusal>;
    fn store_latest(latest: Latest, now_ms: i64) -> Result<Ack, Refusal>;
    fn report(gateway: GatewayId, series: SeriesId, at_ms: Option<i64>) -> Option<Reported>;
    fn add_code(code: NewCode, now_ms: i64) -> SiteId;
    fn spend_code(spend: SpendCode, now_ms: i64) -> Result<Vec<u8>, Refusal>;
    fn certificate(sha256: [u8; 32]) -> Option<Listed>;
    fn add_certificate(gateway: GatewayId, certificate: NewCertificate) -> ();
    fn revoke(site: SiteId, now_ms: i64) -> usize;
    fn sites() -> Vec<Site>;
    fn site(id: SiteId) -> Option<Site>;
    fn newest(site: SiteId) -> Vec<MeterState>;
    fn history(
        site: SiteId, meter: MeterId, register: Register, span: Range<i64>
    ) -> Vec<SeriesHistory>;
    fn readings(
        site: SiteId, meter: MeterId, register: Register, span: Range<i64>, limit: usize
    ) -> Vec<(Series, StoredReading)>;
    fn clear_alarm(site: SiteId, alarm: i64, now_ms: i64) -> bool;
    fn add_first_person(person: Person) -> bool;
    fn claimed() -> bool;
    fn person_named(folded: String) -> Option<Person>;
    fn session(hash: SecretHash) -> Option<(Session, Person)>;
    fn keep_session(session: Session, now_ms: i64) -> ();
    fn touch_session(session: Session) -> ();
    fn end_session(hash: SecretHash) -> ();
    fn setting(key: &'static str) -> Option<String>;
    fn put_setting(key: &'static str, value: Option<String>) -> ();
}
