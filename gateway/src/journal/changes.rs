//! Tells that the journal changed, whoever changed it: this process or a command beside it.

use super::JournalError;
use super::database::{Database, Server};
use super::sql::{CHANGED, sqlite_options};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two looks: a fraction of the second within which a person is to see a change.
const LOOK: Duration = Duration::from_millis(100);

/// A receiver that is marked after each change of the journal, of several at once perhaps only once. The looking ends with the last receiver.
///
/// # Errors
/// [`JournalError`].
pub async fn changes(database: &Database) -> Result<watch::Receiver<()>, JournalError> {
    let (sender, receiver) = watch::channel(());
    match database {
        Database::File(path) => look(path, sender).await?,
        Database::Postgres(server) => listen(server, sender).await?,
    }
    Ok(receiver)
}

/// SQLite counts, for each connection, the commits of all others (pragma `data_version`).
async fn look(path: &Path, sender: watch::Sender<()>) -> Result<(), JournalError> {
    let mut connection = sqlite_options(path).read_only(true).connect().await.map_err(JournalError::Sql)?;
    tokio::spawn(async move {
        let mut seen = 0_i64;
        while !sender.is_closed() {
            match sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await {
                Ok(version) if version == seen => {}
                // After an error whoever waits looks too, and finds out what is wrong with the journal.
                looked => {
                    seen = looked.unwrap_or(seen);
                    sender.send_replace(());
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        let _ = connection.close().await;
    });
    Ok(())
}

/// Each commit tells of itself. What came while the connection was lost is not told again: whoever waits looks, as after an error.
async fn listen(server: &Server, sender: watch::Sender<()>) -> Result<(), JournalError> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(server.options.clone());
    let pool = pool.await.map_err(JournalError::of_server)?;
    let mut listener = PgListener::connect_with(&pool).await.map_err(JournalError::of_server)?;
    listener.listen(CHANGED).await.map_err(JournalError::of_server)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _told = listener.try_recv() => {
                    while listener.next_buffered().is_some() {}
                    sender.send_replace(());
                }
                () = sender.closed() => return,
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    Ok(())
}
