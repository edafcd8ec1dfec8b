//! The database of a service on one machine: SQLite, one writer, many readers.
//!
//! `journal_mode=WAL` and `synchronous=FULL`: a commit has reached the disk before it is answered.
//! Writers wait for each other here and not in SQLite; when more than [`WAITING`] wait, the next is
//! told that the database is busy, and the gateway comes again later.

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::SecretHash;
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId, UserId};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use sync_wire::{
    AccountDay, Accounts, Ack, Batch, Header, Latest, RecallAsked, Recalled, Refusal, SeriesTable,
};
use tokio::sync::Semaphore;
use tokio::task;

use crate::repository::{
    Change, Changed, Completeness, Kept, LastTold, Listed, MeterState, NewCertificate, NewCode,
    Person, Place, Reported, Repository, RepositoryError, Sample, Seen, Series, SeriesHistory,
    SeriesUse, Side, Site, SpendCode, StoredReading,
};

mod accounts;
mod books;
mod branches;
mod buildings;
mod dwellings;
mod enrolment;
mod errands;
mod folding;
mod gateways;
mod handover;
mod people;
mod proofs;
mod recall;
mod rows;

use rows::Trouble;

/// A database in one file. Clones share it.
#[derive(Clone, Debug)]
pub struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    may_write: Arc<Semaphore>,
    may_read: Arc<Semaphore>,
}

/// How many writes may be under way or waiting: at 20 ms for a full batch some seconds of work.
const WAITING: usize = 128;

/// How many questions are answered at once; further ones wait.
const READERS: usize = 8;

/// For how long a command line that writes beside the service may hold it up.
const BUSY: Duration = Duration::from_secs(5);

impl Sqlite {
    /// Opens the database, and makes or renews its tables. Blocks.
    ///
    /// # Errors
    ///
    /// [`RepositoryError`] if the file is no database, of a newer version, or out of reach.
    pub fn open(path: &Path) -> Result<Self, RepositoryError> {
        let failed = |cause| RepositoryError::Failed { doing: "be opened", cause };
        // SQLite makes its other files with the mode of this one.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|cause: io::Error| failed(cause.into()))?;
        let open = || {
            let mut writer = Connection::open(path)?;
            writer.busy_timeout(BUSY)?;
            writer.pragma_update(None, "journal_mode", "wal")?;
            writer.pragma_update(None, "synchronous", "full")?;
            writer.pragma_update(None, "foreign_keys", true)?;
            writer.set_prepared_statement_cache_capacity(64);
            migrate(&mut writer)?;
            Ok::<_, Trouble>(writer)
        };
        let writer = open().map_err(|trouble| trouble.when("be opened"))?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            may_write: Arc::new(Semaphore::new(WAITING)),
            may_read: Arc::new(Semaphore::new(READERS)),
        })))
    }

    /// Runs `work` in a transaction; its answer is given after the commit.
    ///
    /// # Cancellation
    ///
    /// A dropped future does not undo `work`: it is done or refused as a whole, and keeps its place
    /// until then.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let place = Arc::clone(&self.0.may_write);
        let place = place.try_acquire_owned().map_err(|_| RepositoryError::Busy)?;
        let inner = Arc::clone(&self.0);
        let written = task::spawn_blocking(move || {
            let _place = place;
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok::<_, Trouble>(answer)
        });
        match written.await {
            Ok(written) => written.map_err(|trouble| trouble.when(doing)),
            Err(died) => Err(RepositoryError::Failed { doing, cause: died.into() }),
        }
    }

    /// Runs `question` on a view that does not change.
    ///
    /// # Cancellation
    ///
    /// A question whose asker has left is answered all the same, and keeps its place until then.
    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let place = Arc::clone(&self.0.may_read).acquire_owned().await;
        let place = place.map_err(|_| RepositoryError::Busy)?;
        let inner = Arc::clone(&self.0);
        let answered = task::spawn_blocking(move || {
            let _place = place;
            let free = inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = match free {
                Some(reader) => reader,
                None => inner.reader()?,
            };
            let transaction = reader.transaction()?;
            let answer = question(&transaction)?;
            transaction.commit()?;
            inner.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            Ok::<_, Trouble>(answer)
        });
        match answered.await {
            Ok(answered) => answered.map_err(|trouble| trouble.when(doing)),
            Err(died) => Err(RepositoryError::Failed { doing, cause: died.into() }),
        }
    }
}

impl Inner {
    fn reader(&self) -> Result<Connection, Trouble> {
        let reader = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        reader.busy_timeout(BUSY)?;
        Ok(reader)
    }
}

/// Runs the migrations that the database has not seen, each in a transaction.
fn migrate(db: &mut Connection) -> Result<(), Trouble> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let newest = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if done > newest {
        return Err(Trouble::foreign("its version", done));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(done).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", newest)?;
    transaction.commit()?;
    Ok(())
}

/// Append only.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/sqlite/0001_begin.sql"),
    include_str!("../migrations/sqlite/0002_authorities.sql"),
    include_str!("../migrations/sqlite/0003_folded.sql"),
    include_str!("../migrations/sqlite/0004_accounts.sql"),
    include_str!("../migrations/sqlite/0005_books.sql"),
    include_str!("../migrations/sqlite/0006_concerned.sql"),
    include_str!("../migrations/sqlite/0007_ways.sql"),
    include_str!("../migrations/sqlite/0008_account_days.sql"),
    include_str!("../migrations/sqlite/0009_tokens.sql"),
    include_str!("../migrations/sqlite/0010_comparison.sql"),
    include_str!("../migrations/sqlite/0011_proofs.sql"),
    include_str!("../migrations/sqlite/0012_branches.sql"),
    include_str!("../migrations/sqlite/0013_errands.sql"),
    include_str!("../migrations/sqlite/0014_handover.sql"),
    include_str!("../migrations/sqlite/0015_dwellings.sql"),
    include_str!("../migrations/sqlite/0016_looks.sql"),
];

impl Repository for Sqlite {
    async fn store_batch(
        &self,
        shown: [u8; 32],
        header: Header,
        batch: Batch,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.write("store a batch", move |db| {
            gateways::store_batch(db, &shown, &header, &batch, now_ms)
        })
        .await
    }

    async fn store_table(
        &self,
        table: SeriesTable,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.write("store a series table", move |db| gateways::store_table(db, &table, now_ms))
            .await
    }

    async fn store_latest(
        &self,
        latest: Latest,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.write("store the latest values", move |db| gateways::store_latest(db, &latest, now_ms))
            .await
    }

    async fn store_accounts(
        &self,
        accounts: Accounts,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.write("store accounts", move |db| gateways::store_accounts(db, &accounts, now_ms))
            .await
    }

    async fn accounts(
        &self,
        site: SiteId,
        span: Range<i64>,
    ) -> Result<Vec<AccountDay>, RepositoryError> {
        self.read("read accounts", move |db| accounts::of_site(db, site, &span)).await
    }

    async fn completeness(
        &self,
        site: Option<SiteId>,
        span: Range<i64>,
    ) -> Result<HashMap<SiteId, Completeness>, RepositoryError> {
        self.read("read accounts", move |db| accounts::completeness(db, site, &span)).await
    }

    async fn report(
        &self,
        gateway: GatewayId,
        series: SeriesId,
        at_ms: Option<i64>,
    ) -> Result<Option<Reported>, RepositoryError> {
        self.read("report a reading", move |db| gateways::report(db, gateway, series, at_ms)).await
    }

    async fn recall(&self, asked: RecallAsked) -> Result<Recalled, RepositoryError> {
        self.read("recall readings", move |db| recall::recall(db, asked)).await
    }

    async fn add_code(&self, code: NewCode, now_ms: i64) -> Result<SiteId, RepositoryError> {
        self.write("keep a one-time code", move |db| enrolment::add_code(db, &code, now_ms)).await
    }

    async fn spend_code(
        &self,
        spend: SpendCode,
        now_ms: i64,
    ) -> Result<Result<Vec<u8>, Refusal>, RepositoryError> {
        self.write("enrol a gateway", move |db| enrolment::spend_code(db, &spend, now_ms)).await
    }

    async fn certificate(&self, sha256: [u8; 32]) -> Result<Option<Listed>, RepositoryError> {
        self.read("look up a certificate", move |db| enrolment::certificate(db, &sha256)).await
    }

    async fn renew_certificate(
        &self,
        shown: [u8; 32],
        certificate: NewCertificate,
    ) -> Result<bool, RepositoryError> {
        self.write("renew a certificate", move |db| {
            enrolment::renew_certificate(db, &shown, &certificate)
        })
        .await
    }

    async fn unprepared(
        &self,
        authority: [u8; 32],
        now_ms: i64,
    ) -> Result<Vec<String>, RepositoryError> {
        let doing = "look through the certificates";
        self.read(doing, move |db| enrolment::unprepared(db, &authority, now_ms)).await
    }

    async fn revoke(&self, site: SiteId, now_ms: i64) -> Result<usize, RepositoryError> {
        self.write("revoke certificates", move |db| enrolment::revoke(db, site, now_ms)).await
    }

    async fn sites(&self) -> Result<Vec<Site>, RepositoryError> {
        self.read("list the sites", buildings::sites).await
    }

    async fn site(&self, id: SiteId) -> Result<Option<Site>, RepositoryError> {
        self.read("find a site", move |db| buildings::site(db, id)).await
    }

    async fn newest(
        &self,
        site: Option<SiteId>,
    ) -> Result<BTreeMap<SiteId, Vec<MeterState>>, RepositoryError> {
        self.read("read the newest values", move |db| buildings::newest(db, site)).await
    }

    async fn history(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> Result<Vec<SeriesHistory>, RepositoryError> {
        self.read("read a history", move |db| buildings::history(db, site, meter, &register, &span))
            .await
    }

    async fn used(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> Result<Vec<SeriesUse>, RepositoryError> {
        self.read("read what was used", move |db| {
            buildings::used(db, site, meter, &register, &span)
        })
        .await
    }

    async fn change_facts(
        &self,
        site: SiteId,
        area_m2: Option<u32>,
        counted: Option<Vec<MeterId>>,
    ) -> Result<bool, RepositoryError> {
        self.write("change a site", move |db| {
            buildings::change_facts(db, site, area_m2, counted.as_deref())
        })
        .await
    }

    async fn readings(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
        told: Option<LastTold>,
        limit: usize,
    ) -> Result<Vec<(Series, StoredReading)>, RepositoryError> {
        self.read("read readings", move |db| {
            buildings::readings(db, site, meter, &register, &span, told, limit)
        })
        .await
    }

    async fn fold(&self, before_ms: i64, from: Place) -> Result<Option<Place>, RepositoryError> {
        self.write("fold readings", move |db| folding::fold(db, before_ms, from)).await
    }

    async fn clear_alarm(
        &self,
        site: SiteId,
        alarm: i64,
        now_ms: i64,
    ) -> Result<bool, RepositoryError> {
        self.write("clear an alarm", move |db| buildings::clear_alarm(db, site, alarm, now_ms))
            .await
    }

    async fn add_first_person(&self, person: Person) -> Result<bool, RepositoryError> {
        self.write("keep a person", move |db| people::add_first(db, &person)).await
    }

    async fn claimed(&self) -> Result<bool, RepositoryError> {
        self.read("look for people", people::claimed).await
    }

    async fn person_named(&self, folded: String) -> Result<Option<Person>, RepositoryError> {
        self.read("find a person", move |db| people::named(db, &folded)).await
    }

    async fn person(&self, id: UserId) -> Result<Option<Person>, RepositoryError> {
        self.read("find a person", move |db| people::with_id(db, id)).await
    }

    async fn people(&self) -> Result<Vec<Seen>, RepositoryError> {
        self.read("list the people", people::all).await
    }

    async fn add_person(&self, person: Person) -> Result<bool, RepositoryError> {
        self.write("keep a person", move |db| people::add(db, &person)).await
    }

    async fn change_person(
        &self,
        id: UserId,
        change: Change,
        spared: SecretHash,
    ) -> Result<Changed, RepositoryError> {
        self.write("change a person", move |db| people::change(db, id, &change, spared)).await
    }

    async fn remove_person(&self, id: UserId) -> Result<Changed, RepositoryError> {
        self.write("remove a person", move |db| people::remove(db, id)).await
    }

    async fn end_sessions(
        &self,
        id: UserId,
        spared: Option<SecretHash>,
    ) -> Result<(), RepositoryError> {
        self.write("end sessions", move |db| people::end_sessions(db, id, spared)).await
    }

    async fn change_password(
        &self,
        id: UserId,
        before: String,
        after: String,
        spared: SecretHash,
    ) -> Result<bool, RepositoryError> {
        self.write("change a password", move |db| {
            people::change_password(db, id, &before, &after, spared)
        })
        .await
    }

    async fn change_ways(
        &self,
        id: UserId,
        before: String,
        after: String,
    ) -> Result<bool, RepositoryError> {
        self.write("keep a way in", move |db| people::change_ways(db, id, &before, &after)).await
    }

    async fn begin_app(&self, id: UserId, secret: String) -> Result<(), RepositoryError> {
        self.write("keep a way in", move |db| people::begin_app(db, id, &secret)).await
    }

    async fn session(&self, hash: SecretHash) -> Result<Option<(Kept, Person)>, RepositoryError> {
        self.read("find a session", move |db| people::session(db, hash)).await
    }

    async fn sessions_of(&self, id: UserId) -> Result<Vec<Kept>, RepositoryError> {
        self.read("list sessions", move |db| people::sessions_of(db, id)).await
    }

    async fn keep_session(&self, kept: Kept, now_ms: i64) -> Result<(), RepositoryError> {
        self.write("keep a session", move |db| people::keep_session(db, &kept, now_ms)).await
    }

    async fn touch_session(&self, kept: Kept) -> Result<(), RepositoryError> {
        self.write("keep a session", move |db| people::touch_session(db, &kept)).await
    }

    async fn end_session(&self, hash: SecretHash) -> Result<(), RepositoryError> {
        self.write("end a session", move |db| people::end_session(db, hash)).await
    }

    async fn book_len(&self, gateway: GatewayId, side: Side) -> Result<u64, RepositoryError> {
        self.read("measure a book", move |db| books::len(db, gateway, side)).await
    }

    async fn book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, RepositoryError> {
        self.read("read a book", move |db| books::entries(db, gateway, side, from, limit)).await
    }

    async fn append_book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        entries: Vec<Vec<u8>>,
    ) -> Result<u64, RepositoryError> {
        self.write("write into a book", move |db| books::append(db, gateway, side, from, &entries))
            .await
    }

    async fn book_note(&self, gateway: GatewayId) -> Result<Option<String>, RepositoryError> {
        self.read("read a checkpoint", move |db| books::note(db, gateway)).await
    }

    async fn put_book_note(&self, gateway: GatewayId, note: String) -> Result<(), RepositoryError> {
        self.write("keep a checkpoint", move |db| books::put_note(db, gateway, &note)).await
    }

    async fn sample(&self, gateway: GatewayId) -> Result<Option<Sample>, RepositoryError> {
        self.read("find a sample", move |db| books::sample(db, gateway)).await
    }

    async fn setting(&self, key: &'static str) -> Result<Option<String>, RepositoryError> {
        self.read("read a setting", move |db| people::setting(db, key)).await
    }

    async fn add_to_setting(&self, key: &'static str, line: String) -> Result<(), RepositoryError> {
        self.write("keep a setting", move |db| people::add_to_setting(db, key, &line)).await
    }

    async fn put_setting(
        &self,
        key: &'static str,
        value: Option<String>,
    ) -> Result<(), RepositoryError> {
        self.write("keep a setting", move |db| people::put_setting(db, key, value.as_deref())).await
    }
}
