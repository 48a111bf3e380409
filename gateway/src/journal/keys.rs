//! Keys of the spool as the journal keeps them: that of a case under the master key, that of a received file under its case's.

use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, answers, bytes16};
use crate::queue::CASE_OPEN_MS;
use crate::spool::{FileKey, WrappedKey};
use seal::ids::CaseId;
use std::sync::atomic::Ordering;

/// Cases that were opened more than $2 before $1 and of which nothing is under way any more. The gateway has run for as long since: a clock that
/// jumps makes no case older.
const OVER: &str = "SELECT c.id FROM study_case c WHERE c.opened_at_ms < $1 - $2 AND c.opened_running_ms <= (SELECT ms FROM running) - $2
    AND NOT EXISTS (SELECT 1 FROM delivery u WHERE u.case_id = c.id AND u.residual_of IS NULL
      AND u.state NOT IN ('pulled', 'cancelled', 'recalled', 'closed') AND u.handed_over_at_ms IS NULL)";

impl Journal {
    /// The key of a case; none if the spool was plain when it began.
    ///
    /// # Errors
    /// [`JournalError`]; `KeyDestroyed` once it was destroyed.
    pub async fn case_key(&self, case: CaseId) -> Result<Option<FileKey>, JournalError> {
        let row = sql::query("SELECT spool_key, spool_key_destroyed_at_ms FROM study_case WHERE id = $1")
            .bind(case.0.as_slice())
            .fetch_one(&self.pool)
            .await?;
        if row.get::<Option<i64>, _>("spool_key_destroyed_at_ms").is_some() {
            return Err(JournalError::KeyDestroyed);
        }
        self.unwrapped(&row)
    }

    pub(super) fn unwrapped(&self, row: &Row) -> Result<Option<FileKey>, JournalError> {
        let Some(wrapped) = wrapped(row, "spool_key")? else { return Ok(None) };
        let master = self.master.as_ref().ok_or(JournalError::NoKey)?;
        master.unwrap(&wrapped).map(Some).ok_or(JournalError::WrongKey)
    }

    /// Destroys the keys of all cases that are over, which is the deletion of all that lay of them in the spool (DESIGN 4), and closes
    /// these cases. A case is over a day after it was opened, when the doctors, or the mail server for mail programs, have every delivery of it and no residual is kept. One
    /// with a delivery that failed is not: its files are all that is left.
    ///
    /// When this returns, neither journal nor write-ahead log holds the keys, nor those destroyed before; unless somebody reads the journal just
    /// then: the log is emptied by the next call, or [`Journal::empty_held_log`].
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn destroy_keys_over(&self, now_ms: i64) -> Result<Vec<CaseId>, JournalError> {
        self.forget_over(now_ms).await?;
        let rows = sql::query(
            "UPDATE study_case SET spool_key = NULL, spool_key_destroyed_at_ms = $1, closed_at_ms = coalesce(closed_at_ms, $1)
             WHERE spool_key IS NOT NULL AND opened_at_ms < $1 - $2 AND opened_running_ms <= (SELECT ms FROM running) - $2
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.case_id = study_case.id
               AND ((d.state NOT IN ('pulled', 'cancelled', 'recalled', 'closed') AND d.handed_over_at_ms IS NULL AND (d.state <> 'failed' OR d.residual_of IS NULL)) OR (d.residual_until_ms IS NOT NULL AND d.residual_gone_at_ms IS NULL)))
             RETURNING id",
        )
        .bind(now_ms)
        .bind(CASE_OPEN_MS)
        .fetch_all(&self.pool)
        .await?;
        let cases = rows.iter().map(|row| Ok(CaseId(bytes16(row.get("id"), "study_case.id")?)));
        let cases: Vec<_> = cases.collect::<Result<_, JournalError>>()?;
        if !cases.is_empty() {
            self.log_holds_keys.store(true, Ordering::Release);
        }
        match self.empty_held_log().await {
            // They are destroyed all the same; the next call empties the log.
            Ok(()) | Err(JournalError::Busy) => Ok(cases),
            Err(error) => Err(error),
        }
    }

    /// Empties the log where it may hold what was deleted.
    ///
    /// # Errors
    /// [`JournalError`]; after `Busy` it is in the log still, and the next call empties it.
    pub(crate) async fn empty_held_log(&self) -> Result<(), JournalError> {
        if self.log_holds_keys.load(Ordering::Acquire) {
            self.empty_log().await?;
            self.log_holds_keys.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Deletes what the list of studies shows of cases that are over, and what doctors answered to them.
    async fn forget_over(&self, now_ms: i64) -> Result<(), JournalError> {
        let [words, keys] = answers::forgetting(&format!("d.case_id IN ({OVER})"));
        for sql in [format!("DELETE FROM study_card WHERE case_id IN ({OVER})"), words, keys] {
            let sql = sqlx::AssertSqlSafe(sql);
            sql::query(sql).bind(now_ms).bind(CASE_OPEN_MS).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// `secure_delete` overwrote what was deleted in its pages; earlier versions of the pages are in the log until it is emptied. A PostgreSQL server
    /// does both by itself, in its own time (docs/threat-model.md).
    pub(crate) async fn empty_log(&self) -> Result<(), JournalError> {
        if !self.pool.is_sqlite() {
            return Ok(());
        }
        let row = sql::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
        if row.get::<i64, _>(0) == 0 { Ok(()) } else { Err(JournalError::Busy) }
    }
}

/// The key of a case while it takes an instance; a case that has none gets one.
pub(super) async fn key_of_open_case(
    transaction: &mut Transaction,
    master: &FileKey,
    case: CaseId,
) -> Result<FileKey, JournalError> {
    let row = sql::query("SELECT spool_key FROM study_case WHERE id = $1")
        .bind(case.0.as_slice())
        .fetch_one(&mut **transaction)
        .await?;
    if let Some(wrapped) = wrapped(&row, "spool_key")? {
        return master.unwrap(&wrapped).ok_or(JournalError::WrongKey);
    }
    let key = FileKey::random().map_err(|_| JournalError::Unknown("random"))?;
    sql::query("UPDATE study_case SET spool_key = $2 WHERE id = $1")
        .bind(case.0.as_slice())
        .bind(wrap(master, &key)?.as_slice())
        .execute(&mut **transaction)
        .await?;
    Ok(key)
}

pub(super) fn wrap(under: &FileKey, key: &FileKey) -> Result<WrappedKey, JournalError> {
    under.wrap(key).map_err(|_| JournalError::Unknown("key"))
}

/// A wrapped key as a row holds it.
pub(super) fn wrapped(row: &Row, column: &'static str) -> Result<Option<WrappedKey>, JournalError> {
    let bytes = row.get::<Option<Vec<u8>>, _>(column);
    bytes.map(|bytes| bytes.try_into().map_err(|_| JournalError::Unknown(column))).transpose()
}
