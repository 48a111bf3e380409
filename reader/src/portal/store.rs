//! What the portal remembers, in SQLite: durable at each commit, shared by portals that run side by side.

mod account;
mod copy;
mod device;
mod link;
mod mailbox;
mod session;

pub(crate) use account::Account;
pub(crate) use device::{Device, PushTarget};
pub(crate) use link::{Counted, Most};
pub(crate) use session::Session;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

/// Connections: SQLite has one writer, the others read.
const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for the writer's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// File in the state folder.
pub(super) const FILE: &str = "portal.db";

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite or the driver.
    #[error("state: {0} (operator: check the disk that holds portal.state)")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error(
        "state: {0} (operator: another version has worked here: install that one again, or put a backup of portal.state in its place)"
    )]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The folder.
    #[error("cannot make {0}: {1} (operator: name a folder that this user may write in portal.state)")]
    Folder(std::path::PathBuf, std::io::Error),
}

/// Handle to the state; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// Makes a folder of the portal and what is missing above it, for its owner alone.
///
/// # Errors
/// Any I/O error.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Store {
    /// Opens the state, making and migrating it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        make_folder(folder).map_err(|error| StoreError::Folder(folder.to_owned(), error))?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL a power cut loses acknowledged commits.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self { pool })
    }

    /// A secret that all portals of this state share: the one that is there, or `made`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn secret(&self, name: &str, made: &[u8]) -> Result<Vec<u8>, StoreError> {
        sqlx::query("INSERT OR IGNORE INTO secret (name, value) VALUES ($1, $2)")
            .bind(name)
            .bind(made)
            .execute(&self.pool)
            .await?;
        let row = sqlx::query("SELECT value FROM secret WHERE name = $1").bind(name);
        Ok(row.fetch_one(&self.pool).await?.get("value"))
    }
}
