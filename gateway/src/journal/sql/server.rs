//! A PostgreSQL server: whether it keeps what it acknowledges, its schema, and which gateway works with it.

use super::super::JournalError;
use super::pool::MIGRATOR_POSTGRES;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Row};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The lock of the gateway that works with this journal, held by a connection of its own.
const GATEWAY_LOCK: i64 = 5_980_071_172;
/// Between two looks at whether the lock is held still.
const LOOK: Duration = Duration::from_secs(1);
/// How often the lock is tried for at a start, a [`LOOK`] apart: a gateway that was killed holds it for a moment.
const TRIES: u32 = 5;
/// The first version with all that the schema is written in.
const VERSION_MIN: i32 = 140_000;

/// A connection to a server that keeps what it acknowledges, with the schema of this version.
pub(crate) async fn ready(options: &PgConnectOptions) -> Result<PgConnection, JournalError> {
    let mut connection = options.connect().await?;
    settings(&mut connection).await?;
    MIGRATOR_POSTGRES.run(&mut connection).await?;
    Ok(connection)
}

/// Whether a commit survives a power cut, as the server is set.
///
/// # Errors
/// [`JournalError::Setting`]; others of [`JournalError`].
pub(crate) async fn settings(connection: &mut PgConnection) -> Result<(), JournalError> {
    let row = sqlx::query(
        "SELECT current_setting('synchronous_commit') NOT IN ('off', 'local') AS waits, current_setting('fsync') = 'on' AS syncs,
           current_setting('full_page_writes') = 'on' AS whole, current_setting('server_encoding') = 'UTF8' AS utf8,
           current_setting('server_version_num')::integer AS version",
    );
    let row = row.fetch_one(connection).await?;
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

/// Takes the lock, and the next number of a start. The task ends when another gateway has taken a later one.
pub(crate) async fn take(options: &PgConnectOptions) -> Result<(i64, JoinHandle<()>), JournalError> {
    // A machine that is gone without a word holds the lock for less than half a minute.
    let options = options.clone().options([
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ]);
    let mut connection = ready(&options).await?;
    let mut tries = 1;
    while !locked(&mut connection).await? {
        if tries == TRIES {
            return Err(JournalError::Held);
        }
        tries += 1;
        tokio::time::sleep(LOOK).await;
    }
    let row = sqlx::query("UPDATE gateway_start SET number = number + 1 RETURNING number");
    let start = row.fetch_one(&mut connection).await?.get("number");
    Ok((start, tokio::spawn(hold(options, connection, start))))
}

async fn locked(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(GATEWAY_LOCK);
    Ok(row.fetch_one(connection).await?.get(0))
}

/// Ends when another gateway has the journal. A lock that went with its connection is taken again: until then writing is refused to neither, and
/// whoever takes it first makes the other's number an earlier one.
async fn hold(options: PgConnectOptions, mut connection: PgConnection, start: i64) {
    loop {
        tokio::time::sleep(LOOK).await;
        match number(&mut connection).await {
            Ok(number) if number != start => return,
            Ok(_) => {}
            Err(_) => {
                if let Ok(mut again) = options.connect().await
                    && locked(&mut again).await.is_ok_and(|locked| locked)
                {
                    connection = again;
                }
            }
        }
    }
}

async fn number(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    Ok(sqlx::query("SELECT number FROM gateway_start").fetch_one(connection).await?.get("number"))
}
