//! What a backup needs of the state.

use super::{Store, StoreError};
use sqlx::Row;
use std::path::Path;

impl Store {
    /// Copies the state as it is at one moment into an empty file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn copy_into(&self, file: &Path) -> Result<(), StoreError> {
        sqlx::query("VACUUM INTO $1").bind(file.display().to_string()).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether SQLite finds no damage in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn is_whole(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("PRAGMA integrity_check(1)").fetch_one(&self.pool).await?;
        Ok(row.get::<String, _>(0) == "ok")
    }

    /// Nobody is signed in any more, nor about to be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn end_all_sessions(&self) -> Result<(), StoreError> {
        for sql in ["DELETE FROM session", "DELETE FROM challenge"] {
            sqlx::query(sql).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Waits until all of it is in its file.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }
}
