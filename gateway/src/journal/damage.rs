//! Received files that are damaged or gone in the spool. The mark lets the same bytes take their place when they come again: without it they would be a
//! duplicate of what is not there any more.

use super::delivery::read_instance;
use super::report::json_of;
use super::sql::{self, Transaction};
use super::{DeliveryInstance, Journal, JournalError, NewInstance, State, Step, bytes16};
use seal::ids::{CaseId, DeliveryId};

impl Journal {
    /// Of the received files of a delivery these are damaged or gone, and no others. Gives how many of them were not known to be.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn note_damaged(
        &self,
        id: DeliveryId,
        files: &[String],
        now_ms: i64,
    ) -> Result<u64, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let noted = mark(&mut transaction, id, files, now_ms).await?;
        transaction.commit().await?;
        Ok(noted)
    }

    /// A received file is gone, which a delivery waits for.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn note_gone(&self, id: DeliveryId, file: &str, now_ms: i64) -> Result<(), JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "UPDATE instance SET damaged_at_ms = $3 WHERE delivery_id = $1 AND file = $2 AND damaged_at_ms IS NULL
             AND EXISTS (SELECT 1 FROM delivery d WHERE d.id = instance.delivery_id AND d.state IN ({}))",
            waits_for_files()
        ));
        sql::query(sql).bind(id.0.as_slice()).bind(file).bind(now_ms).execute(&self.pool).await?;
        Ok(())
    }

    /// Instances of a delivery whose files are known to be damaged or gone.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn damaged(&self, id: DeliveryId) -> Result<Vec<DeliveryInstance>, JournalError> {
        let rows = sql::query(
            "SELECT * FROM instance WHERE delivery_id = $1 AND damaged_at_ms IS NOT NULL ORDER BY id",
        )
        .bind(id.0.as_slice());
        rows.fetch_all(&self.pool).await?.iter().map(read_instance).collect()
    }

    /// Whether an earlier delivery of the case is under way and waits for files that are damaged or gone: whether the case has their instances is not
    /// known before it is whole or a dead letter.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn earlier_is_damaged(&self, case: CaseId, sequence: u32) -> Result<bool, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT 1 FROM delivery d WHERE d.case_id = $1 AND d.sequence < $2 AND d.state IN ({})
             AND EXISTS (SELECT 1 FROM instance i WHERE i.delivery_id = d.id AND i.damaged_at_ms IS NOT NULL)",
            State::sql_before(Step::GivenUp)
        ));
        let row = sql::query(sql).bind(case.0.as_slice()).bind(sequence);
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }
}

/// See [`Journal::note_damaged`].
pub(super) async fn mark(
    transaction: &mut Transaction,
    id: DeliveryId,
    files: &[String],
    now_ms: i64,
) -> Result<u64, JournalError> {
    let files = json_of(files.iter().cloned());
    sql::query(
        "UPDATE instance SET damaged_at_ms = NULL WHERE delivery_id = $1 AND damaged_at_ms IS NOT NULL
         AND file NOT IN (SELECT value FROM json_each($2))",
    )
    .bind(id.0.as_slice())
    .bind(&files)
    .execute(&mut **transaction)
    .await?;
    let noted = sql::query(
        "UPDATE instance SET damaged_at_ms = $3 WHERE delivery_id = $1 AND damaged_at_ms IS NULL
         AND file IN (SELECT value FROM json_each($2))",
    )
    .bind(id.0.as_slice())
    .bind(&files)
    .bind(now_ms)
    .execute(&mut **transaction)
    .await?;
    Ok(noted.rows_affected())
}

/// States of deliveries that need their received files, as a list in SQL.
pub(super) fn waits_for_files() -> String {
    format!("'held', {}", State::sql_before(Step::GivenUp))
}

/// An instance that waits for the same bytes to come again.
pub(super) struct Damaged {
    pub(super) id: i64,
    pub(super) file: String,
    pub(super) case: CaseId,
    pub(super) delivery: DeliveryId,
}

/// The first of these that an instance heals: in any case of its study at its destination, since a dead letter that a person has tried again may be of
/// one that is closed. Led by the index of what is damaged, which is empty on most days: without statistics SQLite would walk all that is under way,
/// for each instance that comes.
pub(super) async fn damaged_twin(
    transaction: &mut Transaction,
    study: &str,
    instance: &NewInstance,
) -> Result<Option<Damaged>, JournalError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT i.id, i.file, i.case_id, i.delivery_id FROM instance i INDEXED BY instance_damaged
         CROSS JOIN delivery d ON d.id = i.delivery_id CROSS JOIN study_case c ON c.id = i.case_id
         WHERE i.damaged_at_ms IS NOT NULL AND i.sop_instance_uid = $3 AND i.sha256 = $4 AND i.transfer_syntax = $5
           AND c.destination = $1 AND c.study_uid = $2 AND d.state IN ({})
         ORDER BY i.id LIMIT 1",
        waits_for_files()
    ));
    let row = sql::query(sql)
        .bind(&instance.destination)
        .bind(study)
        .bind(instance.sop_instance.as_str())
        .bind(instance.sha256.as_slice())
        .bind(instance.transfer_syntax.as_str());
    let Some(row) = row.fetch_optional(&mut **transaction).await? else { return Ok(None) };
    let case = CaseId(bytes16(row.get("case_id"), "case_id")?);
    let delivery = DeliveryId(bytes16(row.get("delivery_id"), "delivery_id")?);
    Ok(Some(Damaged { id: row.get("id"), file: row.get("file"), case, delivery }))
}

/// The bytes of an instance came again, in a file that is durable: it takes the place of the damaged one.
pub(super) async fn heal(
    transaction: &mut Transaction,
    instance: i64,
    file: &str,
    file_key: Option<Vec<u8>>,
) -> Result<(), JournalError> {
    sql::query("UPDATE instance SET file = $2, file_key = $3, damaged_at_ms = NULL WHERE id = $1")
        .bind(instance)
        .bind(file)
        .bind(file_key)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
