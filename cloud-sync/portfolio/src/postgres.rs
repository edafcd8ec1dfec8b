//! The database of a service that is more than one machine: PostgreSQL 15 or newer.
//!
//! ```text
//!  receiver A ─┐            ┌ connections, at most CONNECTIONS of each receiver
//!  receiver B ─┼─ any of ───┤
//!  receiver C ─┘            └▶ gateway_state FOR UPDATE: one batch of a gateway at a time
//! ```
//!
//! Several receivers may share it: what decides about a batch is read and locked in the transaction
//! that stores it. A receiver holds nothing that another has to know; that a day's partition is
//! there it remembers, and asks again when it was wrong.
//!
//! **Invariant:** every key of what gateways sent begins with the gateway. Nothing is unique across
//! gateways, so that they can be spread over machines.
//!
//! **Never true:** that a database which does not write before it answers is taken:
//! `synchronous_commit = off` is refused at the start.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::{SecretHash, Session};
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId};
use sync_wire::{Ack, Batch, Header, Latest, Refusal, SeriesTable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Row, Statement, Transaction};

use crate::columns;
use crate::config::PostgresConfig;
use crate::repository::{
    Listed, MeterState, NewCertificate, NewCode, Person, Reported, Repository, RepositoryError,
    Series, SeriesHistory, Site, SpendCode, StoredReading,
};

mod buildings;
mod days;
mod enrolment;
mod gateways;
mod people;
mod rows;
mod series;
mod tls;

/// What went wrong inside a transaction, which is rolled back then.
type Trouble = columns::Trouble<tokio_postgres::Error>;

/// A database of PostgreSQL. Clones share it.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    config: Config,
    tls: Option<tls::Connector>,
    idle: Mutex<Vec<Link>>,
    may_connect: Arc<Semaphore>,
    may_wait: Semaphore,
    /// The days whose partitions were seen.
    days: Mutex<HashSet<i64>>,
}

/// The password does not stand in a log.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

/// Connections of one receiver. Ten receivers fit into the hundred that PostgreSQL has by default;
/// more at once than it has processors gains nothing.
const CONNECTIONS: usize = 8;

/// How many batches and questions may wait for one of them: some seconds of work. The next is told
/// that the database is busy, and a gateway comes again later.
const WAITING: usize = 256;

/// For how long one may wait. When it takes longer the database is away, and a gateway knows better
/// what to do with its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// To reach a server: three tries of a lost packet.
const CONNECT: Duration = Duration::from_secs(5);

/// For how long a server may be silent on the line: it is another machine now.
const SILENCE: Duration = Duration::from_secs(20);

/// Asked of every connection: neither a statement that hangs nor a receiver that vanished in the
/// middle of a transaction holds a gateway's row for ever.
const OPTIONS: &str = "-c statement_timeout=30s -c lock_timeout=10s \
                       -c idle_in_transaction_session_timeout=60s";

/// The oldest version that is tested.
const OLDEST: i32 = 15;

/// Receivers that start together take turns with the tables. Any number that nobody else locks.
const TABLES: i64 = 0x6679_7268_7573_0001;

/// Append only.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/postgres/0001_begin.sql")];

/// Does `$work` with `$db` in a transaction of its own, and answers after the commit. A macro
/// because the compiler then sees one future that may go to another thread.
///
/// Whoever is dropped in between leaves it done or undone as a whole.
macro_rules! transaction {
    ($self:ident, $access:expr, $doing:literal, $db:ident, $work:expr) => {{
        let (mut link, _place) = $self.link().await?;
        let done = async {
            let mut $db = link.begin($access).await?;
            let answer = $work.await?;
            $db.transaction.commit().await?;
            Ok(answer)
        };
        let done: Result<_, Trouble> = done.await;
        $self.done(link, done).map_err(|trouble| trouble.when($doing))
    }};
}

impl Postgres {
    /// Connects, and makes or renews the tables.
    ///
    /// # Errors
    ///
    /// [`RepositoryError`] if it is out of reach, too old, of a newer version of ours, or does not
    /// keep what it acknowledges.
    pub async fn open(config: &PostgresConfig) -> Result<Self, RepositoryError> {
        let failed =
            |cause: io::Error| RepositoryError::Failed { doing: "be opened", cause: cause.into() };
        let mut wanted = config.server.clone();
        wanted
            .application_name("fyrhus-portfolio")
            .options(OPTIONS)
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE);
        if let Some(path) = &config.password_file {
            wanted.password(fs::read_to_string(path).map_err(failed)?.trim_end());
        }
        let tls = config.authority.as_deref().map(tls::Connector::new).transpose();
        let this = Self(Arc::new(Inner {
            config: wanted,
            tls: tls.map_err(failed)?,
            idle: Mutex::new(Vec::new()),
            may_connect: Arc::new(Semaphore::new(CONNECTIONS)),
            may_wait: Semaphore::new(WAITING),
            days: Mutex::new(HashSet::new()),
        }));
        let (mut link, _place) = this.link().await?;
        let fit = link.fit().await.map_err(|trouble| trouble.when("be opened"))?;
        fit.map_err(|why| RepositoryError::Unfit { why })?;
        let migrated = link.migrate().await;
        this.done(link, migrated).map_err(|trouble| trouble.when("be opened"))?;
        Ok(this)
    }

    /// A connection that nobody else has: one that is idle, or a new one.
    async fn link(&self) -> Result<(Link, OwnedSemaphorePermit), RepositoryError> {
        let place = {
            let _waits = self.0.may_wait.try_acquire().map_err(|_| RepositoryError::Busy)?;
            let place = Arc::clone(&self.0.may_connect).acquire_owned();
            match time::timeout(PATIENCE, place).await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) | Err(_) => return Err(RepositoryError::Busy),
            }
        };
        while let Some(link) = self.idle() {
            if !link.client.is_closed() {
                return Ok((link, place));
            }
        }
        let client = connect(&self.0.config, self.0.tls.as_ref()).await;
        let client = client.map_err(|cause| RepositoryError::Failed {
            doing: "be reached",
            cause: cause.into(),
        })?;
        Ok((Link { client, prepared: HashMap::new() }, place))
    }

    fn idle(&self) -> Option<Link> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a connection for the next. One that was in trouble is closed: whatever it had begun
    /// ends with it.
    fn done<T>(&self, link: Link, done: Result<T, Trouble>) -> Result<T, Trouble> {
        match &done {
            Ok(_) => self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link),
            Err(trouble) if days::is_missing(trouble) => self.days().clear(),
            Err(_) => {}
        }
        done
    }

    fn days(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there is a place for these readings. Apart from the transaction that stores
    /// them: whoever makes a partition waits for nobody who writes, and nobody waits for them.
    async fn make_days(&self, batch: &Batch) -> Result<(), RepositoryError> {
        let mut missing = days::of(batch);
        missing.retain(|day| !self.days().contains(day));
        for day in missing {
            transaction!(
                self,
                Access::Write,
                "make a place for a day",
                db,
                days::make(&mut db, day)
            )?;
            self.days().insert(day);
        }
        Ok(())
    }
}

async fn connect(
    config: &Config,
    tls: Option<&tls::Connector>,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = config.clone();
    // Each connection has a task of its own, which ends with it.
    if let Some(tls) = tls {
        let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls.clone()).await?;
        tokio::spawn(connection);
        return Ok(client);
    }
    let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A connection, and what was prepared on it.
struct Link {
    client: Client,
    prepared: HashMap<&'static str, Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// What is decided upon is locked by name.
    Write,
    /// A view that does not change.
    Read,
}

impl Link {
    async fn begin(&mut self, access: Access) -> Result<Work<'_>, tokio_postgres::Error> {
        let Self { client, prepared } = self;
        let transaction = match access {
            Access::Write => client.transaction().await?,
            Access::Read => {
                let question = client.build_transaction().read_only(true);
                question.isolation_level(IsolationLevel::RepeatableRead).start().await?
            }
        };
        Ok(Work { transaction, prepared })
    }

    /// Whether the server is one that we can rely on, or why not.
    async fn fit(&self) -> Result<Result<(), String>, Trouble> {
        let said = self.client.query_one(
            "SELECT current_setting('server_version_num')::integer / 10000,
                    current_setting('synchronous_commit')",
            &[],
        );
        let said = said.await?;
        let (version, commits): (i32, String) = (said.try_get(0)?, said.try_get(1)?);
        if version < OLDEST {
            return Ok(Err(format!("it is PostgreSQL {version}; {OLDEST} or newer is needed")));
        }
        if commits == "off" {
            let why = "its synchronous_commit is off, so that a power cut loses what was \
                       acknowledged; set it to on";
            return Ok(Err(why.to_owned()));
        }
        Ok(Ok(()))
    }

    /// Runs the migrations that the database has not seen, all in one transaction.
    async fn migrate(&mut self) -> Result<(), Trouble> {
        let transaction = self.client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&TABLES]).await?;
        transaction
            .batch_execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
            .await?;
        let done = transaction.query_opt("SELECT version FROM schema_version", &[]).await?;
        let done: i32 = done.map_or(Ok(0), |row| row.try_get(0))?;
        let newest = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
        if done > newest {
            return Err(Trouble::foreign("its version", done));
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(done).unwrap_or_default()) {
            transaction.batch_execute(migration).await?;
        }
        transaction.execute("DELETE FROM schema_version", &[]).await?;
        transaction.execute("INSERT INTO schema_version VALUES ($1)", &[&newest]).await?;
        Ok(transaction.commit().await?)
    }
}

/// A transaction on a connection that remembers what was prepared on it.
struct Work<'l> {
    transaction: Transaction<'l>,
    prepared: &'l mut HashMap<&'static str, Statement>,
}

/// What a statement is given.
type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

impl Work<'_> {
    async fn rows(&mut self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>, Trouble> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.query(&statement, values).await?)
    }

    /// The one row, if there is one.
    async fn row(&mut self, sql: &'static str, values: Values<'_>) -> Result<Option<Row>, Trouble> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.query_opt(&statement, values).await?)
    }

    /// How many rows were changed.
    async fn change(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64, Trouble> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.execute(&statement, values).await?)
    }

    async fn statement(&mut self, sql: &'static str) -> Result<Statement, Trouble> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Repository for Postgres {
    async fn store_batch(
        &self,
        header: Header,
        batch: Batch,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.make_days(&batch).await?;
        let (write, batch, header) = (Access::Write, &batch, &header);
        transaction!(
            self,
            write,
            "store a batch",
            db,
            gateways::store_batch(&mut db, header, batch, now_ms)
        )
    }

    async fn store_table(
        &self,
        table: SeriesTable,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let (write, table) = (Access::Write, &table);
        transaction!(
            self,
            write,
            "store a series table",
            db,
            gateways::store_table(&mut db, table, now_ms)
        )
    }

    async fn store_latest(
        &self,
        latest: Latest,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let (write, latest) = (Access::Write, &latest);
        transaction!(
            self,
            write,
            "store the latest values",
            db,
            gateways::store_latest(&mut db, latest, now_ms)
        )
    }

    async fn report(
        &self,
        gateway: GatewayId,
        series: SeriesId,
        at_ms: Option<i64>,
    ) -> Result<Option<Reported>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "report a reading",
            db,
            gateways::report(&mut db, gateway, series, at_ms)
        )
    }

    async fn add_code(&self, code: NewCode, now_ms: i64) -> Result<SiteId, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a one-time code",
            db,
            enrolment::add_code(&mut db, &code, now_ms)
        )
    }

    async fn spend_code(
        &self,
        spend: SpendCode,
        now_ms: i64,
    ) -> Result<Result<Vec<u8>, Refusal>, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "enrol a gateway",
            db,
            enrolment::spend_code(&mut db, &spend, now_ms)
        )
    }

    async fn certificate(&self, sha256: [u8; 32]) -> Result<Option<Listed>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "look up a certificate",
            db,
            enrolment::certificate(&mut db, &sha256)
        )
    }

    async fn add_certificate(
        &self,
        gateway: GatewayId,
        certificate: NewCertificate,
    ) -> Result<(), RepositoryError> {
        let (write, new) = (Access::Write, &certificate);
        transaction!(
            self,
            write,
            "keep a certificate",
            db,
            enrolment::add_certificate(&mut db, gateway, new)
        )
    }

    async fn revoke(&self, site: SiteId, now_ms: i64) -> Result<usize, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "revoke certificates",
            db,
            enrolment::revoke(&mut db, site, now_ms)
        )
    }

    async fn sites(&self) -> Result<Vec<Site>, RepositoryError> {
        transaction!(self, Access::Read, "list the sites", db, buildings::sites(&mut db))
    }

    async fn site(&self, id: SiteId) -> Result<Option<Site>, RepositoryError> {
        transaction!(self, Access::Read, "find a site", db, buildings::site(&mut db, id))
    }

    async fn newest(&self, site: SiteId) -> Result<Vec<MeterState>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "read the newest values",
            db,
            buildings::newest(&mut db, site)
        )
    }

    async fn history(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> Result<Vec<SeriesHistory>, RepositoryError> {
        let (read, of) = (Access::Read, &buildings::RegisterOf::new(site, meter, &register));
        transaction!(self, read, "read a history", db, buildings::history(&mut db, of, &span))
    }

    async fn readings(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
        limit: usize,
    ) -> Result<Vec<(Series, StoredReading)>, RepositoryError> {
        let (read, of) = (Access::Read, &buildings::RegisterOf::new(site, meter, &register));
        transaction!(
            self,
            read,
            "read readings",
            db,
            buildings::readings(&mut db, of, &span, limit)
        )
    }

    async fn clear_alarm(
        &self,
        site: SiteId,
        alarm: i64,
        now_ms: i64,
    ) -> Result<bool, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "clear an alarm",
            db,
            buildings::clear_alarm(&mut db, site, alarm, now_ms)
        )
    }

    async fn add_first_person(&self, person: Person) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Write, "keep a person", db, people::add_first(&mut db, &person))
    }

    async fn claimed(&self) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Read, "look for people", db, people::claimed(&mut db))
    }

    async fn person_named(&self, folded: String) -> Result<Option<Person>, RepositoryError> {
        transaction!(self, Access::Read, "find a person", db, people::named(&mut db, &folded))
    }

    async fn session(
        &self,
        hash: SecretHash,
    ) -> Result<Option<(Session, Person)>, RepositoryError> {
        transaction!(self, Access::Read, "find a session", db, people::session(&mut db, hash))
    }

    async fn keep_session(&self, session: Session, now_ms: i64) -> Result<(), RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a session",
            db,
            people::keep_session(&mut db, &session, now_ms)
        )
    }

    async fn touch_session(&self, session: Session) -> Result<(), RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a session",
            db,
            people::touch_session(&mut db, &session)
        )
    }

    async fn end_session(&self, hash: SecretHash) -> Result<(), RepositoryError> {
        transaction!(self, Access::Write, "end a session", db, people::end_session(&mut db, hash))
    }

    async fn setting(&self, key: &'static str) -> Result<Option<String>, RepositoryError> {
        transaction!(self, Access::Read, "read a setting", db, people::setting(&mut db, key))
    }

    async fn put_setting(
        &self,
        key: &'static str,
        value: Option<String>,
    ) -> Result<(), RepositoryError> {
        let (write, value) = (Access::Write, value.as_deref());
        transaction!(self, write, "keep a setting", db, people::put_setting(&mut db, key, value))
    }
}
