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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_wire::{Ack, Batch, Header, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tokio_postgres::Config;

use self::link::{Access, Link, Work, connect};
use crate::columns;
use crate::config::PostgresConfig;
use crate::repository::RepositoryError;

mod accounts;
mod books;
mod buildings;
mod days;
mod enrolment;
mod folding;
mod gateways;
mod link;
mod people;
mod recall;
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
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/postgres/0001_begin.sql"),
    include_str!("../migrations/postgres/0002_authorities.sql"),
    include_str!("../migrations/postgres/0003_folded.sql"),
    include_str!("../migrations/postgres/0004_accounts.sql"),
    include_str!("../migrations/postgres/0005_books.sql"),
    include_str!("../migrations/postgres/0006_concerned.sql"),
    include_str!("../migrations/postgres/0007_ways.sql"),
    include_str!("../migrations/postgres/0008_account_days.sql"),
    include_str!("../migrations/postgres/0009_tokens.sql"),
    include_str!("../migrations/postgres/0010_comparison.sql"),
    include_str!("../migrations/postgres/0011_proofs.sql"),
    include_str!("../migrations/postgres/0012_branches.sql"),
    include_str!("../migrations/postgres/0013_errands.sql"),
    include_str!("../migrations/postgres/0014_handover.sql"),
    include_str!("../migrations/postgres/0015_dwellings.sql"),
    include_str!("../migrations/postgres/0016_looks.sql"),
];

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

// Behind the macro, which they use.
mod branches;
mod dwellings;
mod errands;
mod handover;
mod proofs;
mod repository;

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

    async fn store_in_days(
        &self,
        shown: &[u8; 32],
        header: &Header,
        batch: &Batch,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let write = Access::Write;
        transaction!(
            self,
            write,
            "store a batch",
            db,
            gateways::store_batch(&mut db, shown, header, batch, now_ms)
        )
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
