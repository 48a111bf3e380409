//! Devices: a passkey each, with the keys that it wrapped and where it is told of new cases.

use super::{Store, StoreError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A device of an account.
#[derive(Clone)]
pub(crate) struct Device {
    /// Credential id of its passkey.
    pub(crate) credential: Vec<u8>,
    /// Whose it is.
    pub(crate) account: String,
    /// In the doctor's words.
    pub(crate) name: String,
    /// P-256 point, uncompressed.
    pub(crate) public_key: Vec<u8>,
    /// Signatures that the passkey has counted; 0 where it does not count.
    pub(crate) sign_count: u32,
    /// When it came.
    pub(crate) added_at_ms: i64,
    /// When it last signed in.
    pub(crate) used_at_ms: i64,
    /// Keys as its browser wrapped them.
    pub(crate) keys: Option<Vec<u8>>,
    /// Whether it is told of new cases.
    pub(crate) has_push: bool,
}

/// Where a device is told of new cases (RFC 8291).
#[derive(Clone)]
pub(crate) struct PushTarget {
    /// The device.
    pub(crate) credential: Vec<u8>,
    /// URL at its push service.
    pub(crate) endpoint: String,
    /// Its public key, P-256, uncompressed point.
    pub(crate) p256dh: Vec<u8>,
    /// Its authentication secret, 16 bytes.
    pub(crate) auth: Vec<u8>,
}

const SELECT: &str =
    "SELECT d.*, EXISTS (SELECT 1 FROM push p WHERE p.credential = d.credential) AS has_push FROM device d";

impl Device {
    fn of(row: &SqliteRow) -> Self {
        Self {
            credential: row.get("credential"),
            account: row.get("account"),
            name: row.get("name"),
            public_key: row.get("public_key"),
            sign_count: row.get("sign_count"),
            added_at_ms: row.get("added_at_ms"),
            used_at_ms: row.get("used_at_ms"),
            keys: row.get("keys"),
            has_push: row.get("has_push"),
        }
    }
}

impl Store {
    /// Adds a device; false if its credential is known, or the account has `devices_max`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn add_device(&self, device: &Device, devices_max: u32) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT OR IGNORE INTO device (credential, account, name, public_key, sign_count, added_at_ms, used_at_ms)
             SELECT $1, $2, $3, $4, $5, $6, $6 WHERE (SELECT count(*) FROM device WHERE account = $2) < $7",
        )
        .bind(&device.credential)
        .bind(&device.account)
        .bind(&device.name)
        .bind(&device.public_key)
        .bind(device.sign_count)
        .bind(device.added_at_ms)
        .bind(devices_max)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The devices of an account, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn devices(&self, account: &str) -> Result<Vec<Device>, StoreError> {
        let query = format!("{SELECT} WHERE d.account = $1 ORDER BY d.added_at_ms");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(account).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(Device::of).collect())
    }

    /// The device of a credential.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn device(&self, credential: &[u8]) -> Result<Option<Device>, StoreError> {
        let query = format!("{SELECT} WHERE d.credential = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(credential).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(Device::of))
    }

    /// The device signed in with this counter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn device_used(
        &self,
        credential: &[u8],
        sign_count: u32,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE device SET sign_count = $2, used_at_ms = $3 WHERE credential = $1")
            .bind(credential)
            .bind(sign_count)
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Removes a device of an account: its sessions, wrapped keys and subscription go with it. False if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn remove_device(&self, account: &str, credential: &[u8]) -> Result<bool, StoreError> {
        let removed = sqlx::query("DELETE FROM device WHERE credential = $2 AND account = $1")
            .bind(account)
            .bind(credential)
            .execute(&self.pool)
            .await?;
        Ok(removed.rows_affected() == 1)
    }

    /// Keeps what a device wrapped; false for an identity that was revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put_keys(
        &self,
        credential: &[u8],
        blob: &[u8],
        identity: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let kept = sqlx::query(
            "UPDATE device SET keys = $2, identity = $3 WHERE credential = $1
             AND NOT EXISTS (SELECT 1 FROM revoked WHERE identity = $3)",
        )
        .bind(credential)
        .bind(blob)
        .bind(identity.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(kept.rows_affected() == 1)
    }

    /// The hospital has revoked an identity: devices that have it go, with sessions, wrapped keys and subscriptions, and every copy of its
    /// keys. True the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn revoke(&self, identity: &[u8; 32], at_ms: i64) -> Result<bool, StoreError> {
        let mut work = self.pool.begin().await?;
        let first = sqlx::query("INSERT OR IGNORE INTO revoked (identity, at_ms) VALUES ($1, $2)")
            .bind(identity.as_slice())
            .bind(at_ms)
            .execute(&mut *work)
            .await?;
        sqlx::query("DELETE FROM device WHERE identity = $1")
            .bind(identity.as_slice())
            .execute(&mut *work)
            .await?;
        sqlx::query(
            "UPDATE account SET recovery = NULL, recovery_identity = NULL WHERE recovery_identity = $1",
        )
        .bind(identity.as_slice())
        .execute(&mut *work)
        .await?;
        work.commit().await?;
        Ok(first.rows_affected() == 1)
    }

    /// Subscribes a device, in the place of an earlier subscription.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put_push(&self, target: &PushTarget) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO push (credential, endpoint, p256dh, auth) VALUES ($1, $2, $3, $4)",
        )
        .bind(&target.credential)
        .bind(&target.endpoint)
        .bind(&target.p256dh)
        .bind(&target.auth)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a device's subscription, if it is still to `endpoint`; to any where none is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn remove_push(
        &self,
        credential: &[u8],
        endpoint: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM push WHERE credential = $1 AND ($2 IS NULL OR endpoint = $2)")
            .bind(credential)
            .bind(endpoint)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whom to tell of a new case in a mailbox.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn push_targets(&self, mailbox: &str) -> Result<Vec<PushTarget>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.* FROM push p JOIN device d ON d.credential = p.credential
             JOIN account a ON a.name = d.account WHERE a.mailbox = $1",
        )
        .bind(mailbox)
        .fetch_all(&self.pool)
        .await?;
        let target = |row: &SqliteRow| PushTarget {
            credential: row.get("credential"),
            endpoint: row.get("endpoint"),
            p256dh: row.get("p256dh"),
            auth: row.get("auth"),
        };
        Ok(rows.iter().map(target).collect())
    }
}
