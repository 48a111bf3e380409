//! Connections to either database, and transactions on them: one writer at a time in both.

use super::super::{JournalError, MIGRATOR};
use super::{Done, Query, Row};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Error, Postgres, Sqlite};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

/// Connections to the journal; there is one writer, the others read.
pub(crate) const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for the writer's lock, and for a server that is not there.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements that a connection keeps prepared: all that the journal has.
const PREPARED_MAX: usize = 512;
/// What makes a journal of this version of an empty database, and of any before it.
pub(crate) static MIGRATOR_POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");
/// On which whoever waits for a change listens.
pub(crate) const CHANGED: &str = "scanpost_journal";

/// Connections to the journal; cheap to clone.
#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PostgresPool),
}

/// Connections that read, unless [`Pool::begin_writing`] says otherwise.
#[derive(Clone)]
pub(crate) struct PostgresPool {
    pub(super) connections: PgPool,
    /// Which start of a gateway this is; 0 for a command beside it.
    token: i64,
}

#[cfg(test)]
impl PostgresPool {
    pub(crate) fn connections(&self) -> &PgPool {
        &self.connections
    }
}

impl Pool {
    /// A connection is used again only between two transactions: a full disk makes SQLite roll back by itself, and the driver never learns of it.
    pub(crate) async fn sqlite_as_it_is(options: SqliteConnectOptions) -> Result<Self, JournalError> {
        let pool =
            SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            });
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    /// [`Pool::sqlite_as_it_is`], with the schema of this version.
    pub(crate) async fn sqlite(options: SqliteConnectOptions) -> Result<Self, JournalError> {
        let pool = Self::sqlite_as_it_is(options).await?;
        if let Self::Sqlite(connections) = &pool {
            MIGRATOR.run(connections).await?;
        }
        Ok(pool)
    }

    /// Every transaction reads, unless it says at its beginning that it writes: so nothing is written beside the one writer.
    pub(crate) async fn postgres(options: PgConnectOptions, token: i64) -> Result<Self, JournalError> {
        let options = options
            .options([
                ("default_transaction_read_only", "on"),
                ("lock_timeout", &BUSY_TIMEOUT.as_millis().to_string()),
            ])
            .statement_cache_capacity(PREPARED_MAX);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(BUSY_TIMEOUT);
        let connections = pool.connect_with(options).await?;
        Ok(Self::Postgres(PostgresPool { connections, token }))
    }

    /// A transaction that may write, once no other one does: all others, of whatever process, wait until it is over.
    pub(crate) async fn begin_writing(&self) -> Result<Transaction, Error> {
        match self {
            Self::Sqlite(pool) => {
                Ok(Transaction(Connection::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)))
            }
            Self::Postgres(pool) => {
                let mut transaction = pool.connections.begin_with("BEGIN READ WRITE").await?;
                sqlx::query("SELECT begin_writing($1)").bind(pool.token).execute(&mut *transaction).await?;
                Ok(Transaction(Connection::Postgres { transaction, changed: false }))
            }
        }
    }

    /// A transaction that reads one state of the journal, whatever is written meanwhile.
    pub(crate) async fn begin_reading(&self) -> Result<Transaction, Error> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction(Connection::Sqlite(pool.begin().await?))),
            Self::Postgres(pool) => {
                let transaction = pool.connections.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ");
                Ok(Transaction(Connection::Postgres { transaction: transaction.await?, changed: false }))
            }
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Waits until nothing is under way any more, in the driver's threads neither.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.connections.close().await,
        }
    }
}

/// `synchronous=FULL` is pinned here: with NORMAL a power cut loses acknowledged commits (DESIGN 3).
pub(crate) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
}

/// A transaction; rolled back where it is dropped before [`Transaction::commit`].
pub(crate) struct Transaction(Connection);

impl Transaction {
    /// Makes it durable, and tells whoever waits for a change.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Connection::Sqlite(transaction) => transaction.commit().await,
            Connection::Postgres { mut transaction, changed } => {
                if changed {
                    sqlx::query("SELECT pg_notify($1, '')").bind(CHANGED).execute(&mut *transaction).await?;
                }
                transaction.commit().await
            }
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// A connection in a transaction.
pub(crate) enum Connection {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres { transaction: sqlx::Transaction<'static, Postgres>, changed: bool },
}

impl Connection {
    pub(super) async fn execute(&mut self, query: Query) -> Result<Done, Error> {
        let rows = match self {
            Self::Sqlite(transaction) => query.sqlite().execute(&mut **transaction).await?.rows_affected(),
            Self::Postgres { transaction, changed } => {
                let rows = query.postgres().execute(&mut **transaction).await?.rows_affected();
                *changed |= rows > 0;
                rows
            }
        };
        Ok(Done { rows })
    }

    pub(super) async fn fetch_all(&mut self, query: Query) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(transaction) => {
                let rows = query.sqlite().fetch_all(&mut **transaction).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres { transaction, changed } => {
                let reads = query.reads();
                let rows = query.postgres().fetch_all(&mut **transaction).await?;
                *changed |= !reads && !rows.is_empty();
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }
}
