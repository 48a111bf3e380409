//! Accounts: who may sign in, and to which mailbox.

use super::{Store, StoreError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// Somebody who may sign in.
#[derive(Clone)]
pub(crate) struct Account {
    /// Login name.
    pub(crate) name: String,
    /// Name of the mailbox in the configuration.
    pub(crate) mailbox: String,
    /// What passkeys know the account by.
    pub(crate) handle: Vec<u8>,
    /// PHC string.
    pub(crate) password: String,
    /// Secret of the one-time codes.
    pub(crate) totp: Vec<u8>,
    /// Failed sign-ins in a row.
    pub(crate) failures: u32,
    /// When the last one was.
    pub(crate) failed_at_ms: i64,
    /// Second copy of the keys, sealed under the recovery key.
    pub(crate) recovery: Option<Vec<u8>>,
}

impl Account {
    fn of(row: &SqliteRow) -> Self {
        Self {
            name: row.get("name"),
            mailbox: row.get("mailbox"),
            handle: row.get("handle"),
            password: row.get("password"),
            totp: row.get("totp"),
            failures: row.get("failures"),
            failed_at_ms: row.get("failed_at_ms"),
            recovery: row.get("recovery"),
        }
    }
}

impl Store {
    /// Makes an account; false if there is one of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn add_account(&self, account: &Account) -> Result<bool, StoreError> {
        let made = sqlx::query(
            "INSERT OR IGNORE INTO account (name, mailbox, handle, password, totp) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&account.name)
        .bind(&account.mailbox)
        .bind(&account.handle)
        .bind(&account.password)
        .bind(&account.totp)
        .execute(&self.pool)
        .await?;
        Ok(made.rows_affected() == 1)
    }

    /// Gives an account a new password and new codes, and ends its sessions; false if there is none. Its devices stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn reset_account(
        &self,
        name: &str,
        password: &str,
        totp: &[u8],
    ) -> Result<bool, StoreError> {
        let mut work = self.pool.begin().await?;
        let reset = sqlx::query(
            "UPDATE account SET password = $2, totp = $3, totp_step = 0, failures = 0 WHERE name = $1",
        )
        .bind(name)
        .bind(password)
        .bind(totp)
        .execute(&mut *work)
        .await?;
        sqlx::query("DELETE FROM session WHERE account = $1").bind(name).execute(&mut *work).await?;
        work.commit().await?;
        Ok(reset.rows_affected() == 1)
    }

    /// Removes an account with its devices, wrapped keys and sessions; false if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn remove_account(&self, name: &str) -> Result<bool, StoreError> {
        let removed =
            sqlx::query("DELETE FROM account WHERE name = $1").bind(name).execute(&self.pool).await?;
        Ok(removed.rows_affected() == 1)
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = sqlx::query("SELECT * FROM account ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.iter().map(Account::of).collect())
    }

    /// The account of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1").bind(name);
        Ok(row.fetch_optional(&self.pool).await?.as_ref().map(Account::of))
    }

    /// Counts a try as failed before it is known to be right: many at once count as many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn sign_in_failed(&self, name: &str, at_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE account SET failures = failures + 1, failed_at_ms = $2 WHERE name = $1")
            .bind(name)
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The password was right, and the code of this step; false if that step, or a later one, was used before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn sign_in_succeeded(&self, name: &str, step: i64) -> Result<bool, StoreError> {
        let first =
            sqlx::query("UPDATE account SET totp_step = $2, failures = 0 WHERE name = $1 AND totp_step < $2")
                .bind(name)
                .bind(step)
                .execute(&self.pool)
                .await?;
        Ok(first.rows_affected() == 1)
    }

    /// Keeps the copy of the keys that the recovery key opens; false for an identity that was revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put_recovery(
        &self,
        account: &str,
        blob: &[u8],
        identity: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let kept = sqlx::query(
            "UPDATE account SET recovery = $2, recovery_identity = $3 WHERE name = $1
             AND NOT EXISTS (SELECT 1 FROM revoked WHERE identity = $3)",
        )
        .bind(account)
        .bind(blob)
        .bind(identity.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(kept.rows_affected() == 1)
    }
}
