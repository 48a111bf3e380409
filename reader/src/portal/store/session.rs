//! Sessions by the digest of their cookie, and the challenges that passkeys sign.

use super::{Store, StoreError};
use sqlx::Row;

/// A session, whatever its age.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Login name; none of a guest who came by a link.
    pub(crate) account: Option<String>,
    /// The passkey that it was signed in with, or that was made in it.
    pub(crate) credential: Option<Vec<u8>>,
    /// The link that it came by.
    pub(crate) link: Option<Vec<u8>>,
    /// Sign-in, milliseconds since 1970-01-01 UTC.
    pub(crate) began_at_ms: i64,
    /// Last request.
    pub(crate) seen_at_ms: i64,
}

impl Store {
    /// Begins a session; those that began before `forgotten_before_ms` are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn begin_session(
        &self,
        digest: &[u8; 32],
        session: &Session,
        forgotten_before_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE began_at_ms < $1")
            .bind(forgotten_before_ms)
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO session (digest, account, credential, link, began_at_ms, seen_at_ms) VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(digest.as_slice())
        .bind(&session.account)
        .bind(&session.credential)
        .bind(&session.link)
        .bind(session.began_at_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The session of a cookie.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn session(&self, digest: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query("SELECT * FROM session WHERE digest = $1").bind(digest.as_slice());
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Session {
            account: row.get("account"),
            credential: row.get("credential"),
            link: row.get("link"),
            began_at_ms: row.get("began_at_ms"),
            seen_at_ms: row.get("seen_at_ms"),
        }))
    }

    /// Somebody is still there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn session_seen(&self, digest: &[u8; 32], at_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET seen_at_ms = $2 WHERE digest = $1")
            .bind(digest.as_slice())
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The session is of this device from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn session_of(&self, digest: &[u8; 32], credential: &[u8]) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET credential = $2 WHERE digest = $1")
            .bind(digest.as_slice())
            .bind(credential)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn end_session(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE digest = $1")
            .bind(digest.as_slice())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes a challenge, for an account that adds a device or for whoever signs in; false where `challenges_max` wait already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn add_challenge(
        &self,
        challenge: &[u8; 32],
        account: Option<&str>,
        (at_ms, forgotten_before_ms): (i64, i64),
        challenges_max: i64,
    ) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM challenge WHERE made_at_ms < $1")
            .bind(forgotten_before_ms)
            .execute(&self.pool)
            .await?;
        let added = sqlx::query(
            "INSERT INTO challenge (challenge, account, made_at_ms)
             SELECT $1, $2, $3 WHERE (SELECT count(*) FROM challenge) < $4",
        )
        .bind(challenge.as_slice())
        .bind(account)
        .bind(at_ms)
        .bind(challenges_max)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Uses up a challenge: true once, if it was made for this and is not too old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn take_challenge(
        &self,
        challenge: &[u8],
        account: Option<&str>,
        forgotten_before_ms: i64,
    ) -> Result<bool, StoreError> {
        let taken =
            sqlx::query("DELETE FROM challenge WHERE challenge = $1 AND account IS $2 AND made_at_ms >= $3")
                .bind(challenge)
                .bind(account)
                .bind(forgotten_before_ms)
                .execute(&self.pool)
                .await?;
        Ok(taken.rows_affected() == 1)
    }
}
