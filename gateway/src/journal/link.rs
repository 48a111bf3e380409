//! Rows of links for outside recipients.

use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16};
use seal::ids::{CaseId, LinkId};
use seal::native::Certificate;

/// A link whose time is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its id.
    pub id: LinkId,
    /// The guest mailbox, by its name in the configuration.
    pub doctor: String,
    /// Whom covers are sealed for.
    pub certificate: Certificate,
    /// The signed statement, until the mail server has it.
    pub message: Option<Vec<u8>>,
    /// Milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
}

/// A link that was made just now.
#[derive(Clone, Copy, Debug)]
pub struct MadeLink<'a> {
    /// Of which case.
    pub case: CaseId,
    /// What is kept of it; its statement is there.
    pub row: &'a LinkRow,
    /// Login name of who asked for it.
    pub by: &'a str,
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
}

impl Journal {
    /// Keeps a link.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn add_link(&self, made: MadeLink<'_>) -> Result<(), JournalError> {
        let MadeLink { case, row, by, at_ms } = made;
        sql::query(
            "INSERT INTO link (id, case_id, doctor, certificate, message, expires_at_ms, made_at_ms, made_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(row.id.0.as_slice())
        .bind(case.0.as_slice())
        .bind(&row.doctor)
        .bind(row.certificate.der())
        .bind(row.message.as_deref())
        .bind(row.expires_at_ms)
        .bind(at_ms)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Links of a case that can be opened at `now_ms`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn links(&self, case: CaseId, now_ms: i64) -> Result<Vec<LinkRow>, JournalError> {
        let rows = sql::query(
            "SELECT * FROM link WHERE case_id = $1 AND ended_at_ms IS NULL AND expires_at_ms > $2 ORDER BY made_at_ms, id",
        )
        .bind(case.0.as_slice())
        .bind(now_ms);
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The mail server has its statement, which is not kept any longer.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn link_mailed(&self, id: LinkId, now_ms: i64) -> Result<(), JournalError> {
        sql::query("UPDATE link SET message = NULL, mailed_at_ms = $2 WHERE id = $1")
            .bind(id.0.as_slice())
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends links whose time is over: nothing is sealed for them, and their mails are to be deleted. Returns how many.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_links_over(&self, now_ms: i64) -> Result<u64, JournalError> {
        let ended = sql::query(
            "UPDATE link SET ended_at_ms = $1, message = NULL WHERE ended_at_ms IS NULL AND expires_at_ms <= $1",
        )
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected())
    }
}

/// Ends the links of a case that is withdrawn. Of those that ended before, only the folder that mails come to was looked into.
pub(super) async fn end_links(
    transaction: &mut Transaction,
    case: CaseId,
    now_ms: i64,
) -> Result<(), JournalError> {
    sql::query("UPDATE link SET ended_at_ms = coalesce(ended_at_ms, $2), message = NULL, gone_at_ms = NULL WHERE case_id = $1")
        .bind(case.0.as_slice())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read(row: &Row) -> Result<LinkRow, JournalError> {
    let certificate = Certificate::from_der(row.get("certificate"));
    Ok(LinkRow {
        id: LinkId(bytes16(row.get("id"), "link.id")?),
        doctor: row.get("doctor"),
        certificate: certificate.map_err(|_| JournalError::Unknown("link.certificate"))?,
        message: row.get("message"),
        expires_at_ms: row.get("expires_at_ms"),
    })
}
