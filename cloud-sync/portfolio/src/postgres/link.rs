//! A connection to PostgreSQL, what was prepared on it, and a transaction on it.

use std::collections::HashMap;

use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Row, Statement, Transaction};

use super::{MIGRATIONS, OLDEST, TABLES, Trouble, tls};

pub(super) async fn connect(
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
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) prepared: HashMap<&'static str, Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// What is decided upon is locked by name.
    Write,
    /// A view that does not change.
    Read,
}

impl Link {
    pub(super) async fn begin(
        &mut self,
        access: Access,
    ) -> Result<Work<'_>, tokio_postgres::Error> {
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
    pub(super) async fn fit(&self) -> Result<Result<(), String>, Trouble> {
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
    pub(super) async fn migrate(&mut self) -> Result<(), Trouble> {
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
pub(super) struct Work<'l> {
    pub(super) transaction: Transaction<'l>,
    prepared: &'l mut HashMap<&'static str, Statement>,
}

/// What a statement is given.
pub(super) type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

impl Work<'_> {
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, Trouble> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.query(&statement, values).await?)
    }

    /// The one row, if there is one.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
    ) -> Result<Option<Row>, Trouble> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.query_opt(&statement, values).await?)
    }

    /// How many rows were changed.
    pub(super) async fn change(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
    ) -> Result<u64, Trouble> {
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
