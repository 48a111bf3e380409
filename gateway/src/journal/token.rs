//! Tokens of systems that use the interface for programs.

use super::account::{AccountAct, note};
use super::sql::{self, Row};
use super::{Actor, Journal, JournalError, Role};
use serde::Serialize;

/// A token as the journal has it.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// Name of the system.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub added_at_ms: i64,
    /// By whom.
    pub added_by: String,
    /// When it was withdrawn.
    pub ended_at_ms: Option<i64>,
}

impl Journal {
    /// Takes a token, of which it keeps the SHA-256. False if a system of this name has or had one: the audit trail names systems.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn add_token(
        &self,
        digest: &[u8; 32],
        name: &str,
        role: Role,
        actor: Actor<'_>,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let added = sql::query(
            "INSERT INTO api_token (digest, name, role, added_at_ms, added_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(digest.as_slice())
        .bind(name)
        .bind(role.as_str())
        .bind(actor.at_ms)
        .bind(actor.by)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added == 1 {
            note(&mut transaction, AccountAct::TokenAdded, name, actor).await?;
        }
        transaction.commit().await?;
        Ok(added == 1)
    }

    /// Withdraws a token. False if there is none of this name that is good.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_token(&self, name: &str, actor: Actor<'_>) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let ended =
            sql::query("UPDATE api_token SET ended_at_ms = $2 WHERE name = $1 AND ended_at_ms IS NULL")
                .bind(name)
                .bind(actor.at_ms)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        if ended == 1 {
            note(&mut transaction, AccountAct::TokenEnded, name, actor).await?;
        }
        transaction.commit().await?;
        Ok(ended == 1)
    }

    /// The token of this SHA-256, if it is good.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn token(&self, digest: &[u8; 32]) -> Result<Option<Token>, JournalError> {
        let row = sql::query("SELECT * FROM api_token WHERE digest = $1 AND ended_at_ms IS NULL")
            .bind(digest.as_slice());
        row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn tokens(&self) -> Result<Vec<Token>, JournalError> {
        let rows = sql::query("SELECT * FROM api_token ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<Token, JournalError> {
    Ok(Token {
        name: row.get("name"),
        role: Role::parse(row.get("role"))?,
        added_at_ms: row.get("added_at_ms"),
        added_by: row.get("added_by"),
        ended_at_ms: row.get("ended_at_ms"),
    })
}
