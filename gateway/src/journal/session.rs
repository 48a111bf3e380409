//! Sessions of people at the page, by the digest of their cookie.

use super::sql;
use super::{Journal, JournalError, Role};

/// A session and who has it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Login name.
    pub account: String,
    /// What the person may do.
    pub role: Role,
    /// Sign-in, milliseconds since 1970-01-01 UTC.
    pub began_at_ms: i64,
    /// Last request that a person made.
    pub seen_at_ms: i64,
}

impl Journal {
    /// Begins a session; those that ended long ago are forgotten.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn begin_session(
        &self,
        digest: &[u8; 32],
        account: &str,
        at_ms: i64,
        forgotten_before_ms: i64,
    ) -> Result<(), JournalError> {
        sql::query("DELETE FROM page_session WHERE began_at_ms < $1")
            .bind(forgotten_before_ms)
            .execute(&self.pool)
            .await?;
        sql::query(
            "INSERT INTO page_session (digest, account, began_at_ms, seen_at_ms) VALUES ($1, $2, $3, $3)",
        )
        .bind(digest.as_slice())
        .bind(account)
        .bind(at_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The session of this digest, unless its account is locked.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn session(&self, digest: &[u8; 32]) -> Result<Option<Session>, JournalError> {
        let row = sql::query(
            "SELECT s.*, a.role FROM page_session s JOIN account a ON a.name = s.account
             WHERE s.digest = $1 AND a.locked = 0",
        )
        .bind(digest.as_slice())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Session {
            account: row.get("account"),
            role: Role::parse(row.get("role"))?,
            began_at_ms: row.get("began_at_ms"),
            seen_at_ms: row.get("seen_at_ms"),
        }))
    }

    /// The person is still there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn session_seen(&self, digest: &[u8; 32], at_ms: i64) -> Result<(), JournalError> {
        sql::query("UPDATE page_session SET seen_at_ms = $2 WHERE digest = $1")
            .bind(digest.as_slice())
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_session(&self, digest: &[u8; 32]) -> Result<(), JournalError> {
        sql::query("DELETE FROM page_session WHERE digest = $1")
            .bind(digest.as_slice())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
