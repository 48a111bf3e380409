//! Tells that the journal changed, whoever changed it: this process or a command beside it.

use super::{JournalError, options};
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
pub async fn changes(path: &Path) -> Result<watch::Receiver<()>, JournalError> {
    let mut connection = options(path).read_only(true).connect().await?;
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        // SQLite counts, for each connection, the commits of all others (pragma data_version).
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
    Ok(receiver)
}
