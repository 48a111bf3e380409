//! A PostgreSQL server: whether it keeps what it acknowledges, its schema, and which gateway works with it.

use super::super::JournalError;
use super::super::database::{Others, Server, Start};
use super::pool::{BUSY_TIMEOUT, MIGRATOR_POSTGRES};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Postgres, Row, Transaction};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The lock of the gateway that works with this journal, held by a connection of its own.
const GATEWAY_LOCK: i64 = 5_980_071_172;
/// How long a gateway that is stopped, or out of reach, holds the lock still: its connection is ended by the server when nothing was asked on it for so long.
const LEASE: Duration = Duration::from_secs(15);
/// Between two looks at whether the lock is held still.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for an answer to one of them.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Longest wait for an answer: longer than the server waits for a lock.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often the lock is tried for at a start, a [`LOOK`] apart: a gateway that was killed holds it for a moment.
const TRIES: u32 = 5;
/// The first version with all that the schema is written in.
const VERSION_MIN: i32 = 140_000;

/// What each connection of ours asks of the server. One whose machine is gone without a word, in the middle of a transaction too, holds its locks for
/// less than another one waits for them.
pub(crate) fn with_limits(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "2"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("lock_timeout", &format!("{}s", BUSY_TIMEOUT.as_secs())),
    ])
}

/// What the server answers, if it does in time.
pub(super) async fn answered<T>(
    answer_max: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, JournalError> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(answer_max, Box::pin(answer))
        .await
        .map_err(late)
        .flatten()
        .map_err(JournalError::of_server)
}

/// For a command beside a gateway: the schema of this version. It is made or brought up to date only where no gateway works with the database.
pub(crate) async fn ready(server: &Server) -> Result<(), JournalError> {
    let mut connection = connected(server).await?;
    if is_older(&mut connection).await.map_err(JournalError::of_server)?
        && !locked(server, &mut connection).await?
    {
        return Err(JournalError::Older);
    }
    migrate(&mut connection).await
}

/// A connection to a server that keeps what it acknowledges. What it locks it holds for a [`LEASE`].
pub(crate) async fn connected(server: &Server) -> Result<PgConnection, JournalError> {
    let mut connection = answered(server.answer_max, server.options.connect()).await?;
    settings(server, &mut connection).await?;
    let lease = sqlx::query("SELECT set_config('idle_session_timeout', $1, false)")
        .bind(format!("{}s", LEASE.as_secs()));
    answered(server.answer_max, lease.execute(&mut connection)).await?;
    Ok(connection)
}

/// How long that takes is for the operator to judge: a large journal may take its time.
async fn migrate(connection: &mut PgConnection) -> Result<(), JournalError> {
    let done = MIGRATOR_POSTGRES.run(connection).await;
    done.map_err(|error| JournalError::of_migration(error, JournalError::of_server))
}

/// Whether the schema lacks what this version needs.
async fn is_older(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let has_table = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(has_table).fetch_one(&mut *connection).await? {
        return Ok(true);
    }
    let last = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations");
    let last = last.fetch_one(connection).await?;
    Ok(last < MIGRATOR_POSTGRES.iter().map(|migration| migration.version).max())
}

/// Whether a commit survives a power cut, as the server is set.
///
/// # Errors
/// [`JournalError::Setting`]; others of [`JournalError`].
async fn settings(server: &Server, connection: &mut PgConnection) -> Result<(), JournalError> {
    let row = sqlx::query(
        "SELECT current_setting('synchronous_commit') NOT IN ('off', 'local') AS waits, current_setting('fsync') = 'on' AS syncs,
           current_setting('full_page_writes') = 'on' AS whole, current_setting('server_encoding') = 'UTF8' AS utf8,
           current_setting('server_version_num')::integer AS version",
    );
    let row = answered(server.answer_max, row.fetch_one(connection)).await?;
    for (setting, needed) in [
        ("waits", "synchronous_commit = on"),
        ("syncs", "fsync = on"),
        ("whole", "full_page_writes = on"),
        ("utf8", "a database with encoding UTF8"),
    ] {
        if !row.get::<bool, _>(setting) {
            return Err(JournalError::Setting(needed));
        }
    }
    if row.get::<i32, _>("version") < VERSION_MIN {
        return Err(JournalError::Setting("version 14 or later"));
    }
    Ok(())
}

/// Takes the lock and the next number of a start, and brings the schema up to date. The task ends when another gateway has taken a later one, or may have.
pub(crate) async fn take(
    server: &Server,
    others: Others,
) -> Result<(Start, JoinHandle<JournalError>), JournalError> {
    let mut connection = connected(server).await?;
    if !locked(server, &mut connection).await? {
        return Err(JournalError::Held);
    }
    let known = "SELECT to_regclass('gateway_start') IS NOT NULL";
    let is_new =
        !answered(server.answer_max, sqlx::query_scalar::<_, bool>(known).fetch_one(&mut connection)).await?;
    if is_new {
        migrate(&mut connection).await?;
    }
    let start = answered(server.answer_max, next(&mut connection)).await?;
    // Who stood still, of an earlier version, is refused before there is a schema that it does not know.
    migrate(&mut connection).await?;
    Ok((start, tokio::spawn(hold(server.clone(), connection, start.number, others))))
}

/// As a writer, and so after whatever the gateway before had under way: nothing of it comes later than what this one reads.
async fn next(connection: &mut PgConnection) -> Result<Start, sqlx::Error> {
    let mut transaction = writing(connection, None).await?;
    let row = sqlx::query("UPDATE gateway_start SET number = number + 1 RETURNING number, taken");
    let row = row.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Start { number: row.get("number"), taken: row.get("taken") })
}

/// Notes that the start of this number has taken the state folder.
pub(crate) async fn note_taken(server: &Server) -> Result<(), JournalError> {
    let mut connection = connected(server).await?;
    let noted = async {
        let mut transaction = writing(&mut connection, server.start).await?;
        sqlx::query("UPDATE gateway_start SET taken = number").execute(&mut *transaction).await?;
        transaction.commit().await
    };
    answered(server.answer_max, noted).await
}

async fn writing(
    connection: &mut PgConnection,
    start: Option<i64>,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
    sqlx::query("SELECT begin_writing($1)").bind(start).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Returns once nobody has the lock. A server that is not there yet, as after a power cut, is waited for too.
pub(crate) async fn wait(server: &Server) -> Result<(), JournalError> {
    let (mut connection, mut told) = (None, None);
    loop {
        let is_free = match &mut connection {
            None => connected(server).await.map(|new| {
                connection = Some(new);
                None
            }),
            Some(connection) => answered(LOOK_MAX, try_lock(connection)).await.map(Some),
        };
        match is_free {
            Ok(None) => continue,
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) if told == Some(true) => {}
            Ok(Some(false)) => {
                tracing::info!("another gateway works with this database; this one waits to take over");
                told = Some(true);
            }
            Err(error) if error.is_for_the_operator() => return Err(error),
            Err(error) => {
                if told != Some(false) {
                    tracing::warn!(%error, act = "operator", "whether another gateway works is not known now");
                }
                (connection, told) = (None, Some(false));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tries for the gateway's lock.
async fn locked(server: &Server, connection: &mut PgConnection) -> Result<bool, JournalError> {
    for tries in 1..=TRIES {
        if answered(server.answer_max, try_lock(connection)).await? {
            return Ok(true);
        }
        if tries < TRIES {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(false)
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(GATEWAY_LOCK);
    Ok(row.fetch_one(connection).await?.get(0))
}

/// Ends when another gateway has the journal. A lock that went with its connection is taken again: until then writing is refused to neither, and
/// whoever takes it first makes the other's number an earlier one. Where others wait, one of them has it after a [`LEASE`] without an answer.
async fn hold(server: Server, mut connection: PgConnection, start: i64, others: Others) -> JournalError {
    let (mut is_locked, mut answer) = (true, Instant::now());
    loop {
        tokio::time::sleep(LOOK).await;
        match answered(LOOK_MAX, number(&mut connection)).await {
            Ok(number) if number != start => return JournalError::Lost,
            Ok(_) => {
                answer = Instant::now();
                if !is_locked {
                    is_locked = answered(LOOK_MAX, try_lock(&mut connection)).await.unwrap_or(false);
                }
            }
            Err(_) => {
                if let Ok(Ok(again)) = tokio::time::timeout(LOOK_MAX, connected(&server)).await {
                    (connection, is_locked) = (again, false);
                } else if others == Others::Wait && answer.elapsed() > LEASE {
                    return JournalError::Silent;
                }
            }
        }
    }
}

async fn number(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    Ok(sqlx::query("SELECT number FROM gateway_start").fetch_one(connection).await?.get("number"))
}
