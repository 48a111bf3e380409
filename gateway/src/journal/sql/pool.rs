//! Connections to either database, and transactions on them: one writer at a time in both.

use super::super::database::Server;
use super::super::{JournalError, MIGRATOR};
use super::{Done, Query, Wanted, server};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Error, Postgres, Sqlite};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Connections to the journal; there is one writer, the others read.
pub(crate) const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for the writer's lock, and for a server that is not there.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a sign of life on a connection that is taken, or comes back.
const PING_MAX: Duration = Duration::from_secs(5);
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
    /// Which start of a gateway this is; none for a command beside it.
    start: Option<i64>,
    /// Longest wait for an answer.
    answer_max: Duration,
    /// Rung for a commit that was asked for and not answered.
    unanswered: Arc<Notify>,
}

impl PostgresPool {
    async fn begin(&self, words: &'static str) -> Result<Transaction, JournalError> {
        let transaction = self.answered(self.connections.begin_with(words)).await?;
        Ok(Transaction(Connection::Postgres { transaction, changed: false, pool: self.clone() }))
    }

    /// What the server answers. Where it does not, the connection is closed on its way back, see [`Pool::postgres`].
    pub(super) async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, JournalError> {
        server::answered(self.answer_max, answer).await
    }
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
        Ok(Self::Sqlite(pool.connect_with(options).await.map_err(JournalError::Sql)?))
    }

    /// [`Pool::sqlite_as_it_is`], with the schema of this version.
    pub(crate) async fn sqlite(options: SqliteConnectOptions) -> Result<Self, JournalError> {
        let pool = Self::sqlite_as_it_is(options).await?;
        if let Self::Sqlite(connections) = &pool {
            MIGRATOR
                .run(connections)
                .await
                .map_err(|error| JournalError::of_migration(error, JournalError::Sql))?;
        }
        Ok(pool)
    }

    /// Every transaction reads, unless it says at its beginning that it writes: so nothing is written beside the one writer. A connection on which an
    /// answer is missing is closed when it comes back: what is under way on it would be the answer to whoever has it next.
    pub(crate) async fn postgres(server: &Server) -> Result<Self, JournalError> {
        let options = server.options.clone().options([("default_transaction_read_only", "on")]);
        let options = options.statement_cache_capacity(PREPARED_MAX);
        let connections = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(BUSY_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_with(options)
            .await
            .map_err(JournalError::of_server)?;
        let (start, answer_max) = (server.start, server.answer_max);
        let unanswered = Arc::default();
        Ok(Self::Postgres(PostgresPool { connections, start, answer_max, unanswered }))
    }

    /// A transaction that may write, once no other one does: all others, of whatever process, wait until it is over. Each of its statements sees what was
    /// committed before the lock was had, whatever level the server has by default.
    pub(crate) async fn begin_writing(&self) -> Result<Transaction, JournalError> {
        match self {
            Self::Sqlite(pool) => {
                let transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(JournalError::Sql)?;
                Ok(Transaction(Connection::Sqlite(transaction)))
            }
            Self::Postgres(pool) => {
                let mut transaction = pool.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
                let lock = super::query("SELECT begin_writing($1)").bind(pool.start);
                transaction.run(lock, Wanted::First).await?;
                Ok(transaction)
            }
        }
    }

    /// A transaction that reads one state of the journal, whatever is written meanwhile.
    pub(crate) async fn begin_reading(&self) -> Result<Transaction, JournalError> {
        match self {
            Self::Sqlite(pool) => {
                Ok(Transaction(Connection::Sqlite(pool.begin().await.map_err(JournalError::Sql)?)))
            }
            Self::Postgres(pool) => pool.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await,
        }
    }

    /// Returns once a commit was asked for and not answered: what it did, somebody has to find out. Never with SQLite.
    pub(crate) async fn unanswered(&self) {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(pool) => pool.unanswered.notified().await,
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

/// One that does not is closed without a word to it.
async fn answers(connection: &mut PgConnection) -> Result<bool, Error> {
    let answer = tokio::time::timeout(PING_MAX, connection.ping()).await;
    answer.unwrap_or(Err(Error::PoolTimedOut)).map(|()| true)
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
    ///
    /// # Errors
    /// [`JournalError::Unclear`] where the server was asked to and has not said that it did; others of [`JournalError`].
    pub(crate) async fn commit(self) -> Result<(), JournalError> {
        match self.0 {
            Connection::Sqlite(transaction) => transaction.commit().await.map_err(JournalError::Sql),
            Connection::Postgres { mut transaction, changed, pool } => {
                if changed {
                    let tell =
                        sqlx::query("SELECT pg_notify($1, '')").bind(CHANGED).execute(&mut *transaction);
                    pool.answered(tell).await?;
                }
                let committed = pool.answered(transaction.commit()).await.map_err(JournalError::unclear);
                if let Err(JournalError::Unclear(_)) = committed {
                    pool.unanswered.notify_one();
                }
                committed
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
    Postgres { transaction: sqlx::Transaction<'static, Postgres>, changed: bool, pool: PostgresPool },
}

impl Connection {
    pub(super) async fn run(&mut self, query: Query, wanted: Wanted) -> Result<Done, JournalError> {
        match self {
            Self::Sqlite(transaction) => {
                query.on_sqlite(wanted, &mut **transaction).await.map_err(JournalError::Sql)
            }
            Self::Postgres { transaction, changed, pool } => {
                let reads = query.reads();
                let done = pool.answered(query.on_postgres(wanted, &mut **transaction)).await?;
                *changed |= !reads && (done.affected > 0 || !done.rows.is_empty());
                Ok(done)
            }
        }
    }
}
