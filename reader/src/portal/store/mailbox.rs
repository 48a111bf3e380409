//! Deliveries that were seen in a mailbox, and those that are gone from it.

use super::{Store, StoreError};
use seal::ids::DeliveryId;
use sqlx::Row;

impl Store {
    /// A cover was seen; true for the first portal that sees it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delivery_seen(
        &self,
        mailbox: &str,
        delivery: DeliveryId,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let first =
            sqlx::query("INSERT OR IGNORE INTO delivery (mailbox, delivery, seen_at_ms) VALUES ($1, $2, $3)")
                .bind(mailbox)
                .bind(delivery.0.as_slice())
                .bind(at_ms)
                .execute(&self.pool)
                .await?;
        Ok(first.rows_affected() == 1)
    }

    /// Its mail is no longer there, or is there again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delivery_gone(
        &self,
        mailbox: &str,
        delivery: DeliveryId,
        gone_at_ms: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE delivery SET gone_at_ms = $3 WHERE mailbox = $1 AND delivery = $2")
            .bind(mailbox)
            .bind(delivery.0.as_slice())
            .bind(gone_at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Deliveries that were seen and not found gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn deliveries_here(&self, mailbox: &str) -> Result<Vec<DeliveryId>, StoreError> {
        let rows = sqlx::query("SELECT delivery FROM delivery WHERE mailbox = $1 AND gone_at_ms IS NULL");
        let rows = rows.bind(mailbox).fetch_all(&self.pool).await?;
        let id = |bytes: Vec<u8>| bytes.try_into().ok().map(DeliveryId);
        Ok(rows.iter().filter_map(|row| id(row.get("delivery"))).collect())
    }

    /// Whether this delivery was there once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn was_here(&self, mailbox: &str, delivery: DeliveryId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM delivery WHERE mailbox = $1 AND delivery = $2");
        Ok(row.bind(mailbox).bind(delivery.0.as_slice()).fetch_optional(&self.pool).await?.is_some())
    }

    /// Forgets what is gone since before `before_ms`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn forget_gone(&self, before_ms: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM delivery WHERE gone_at_ms < $1").bind(before_ms).execute(&self.pool).await?;
        Ok(())
    }
}
