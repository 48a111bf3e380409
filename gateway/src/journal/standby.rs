//! Doctors who stand behind others: who they are, and whose turn came.

use super::again::tell_again;
use super::answers::OPENED_AT;
use super::delivery::PART_COVER;
use super::duty::IS_REAL;
use super::sql::{self, Row};
use super::{Journal, JournalError, bytes16};
use crate::notify::Standing;
use seal::ids::{CaseId, DeliveryId};

impl Journal {
    /// Deliveries that are with their doctors, or with some of them, while nobody has opened them. Not what was added to a case that somebody has
    /// opened, unless it is urgent.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unopened_deliveries(&self) -> Result<Vec<DeliveryId>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT d.id FROM delivery d CROSS JOIN study_case c ON c.id = d.case_id
             WHERE d.state IN ('sealed', 'submitted', 'notified', 'pulled') AND d.residual_of IS NULL AND {IS_REAL}
             AND NOT EXISTS (SELECT 1 FROM delivery e JOIN recipient o ON o.delivery_id = e.id WHERE {OPENED_AT} IS NOT NULL
               AND (e.id = d.id OR (e.case_id = d.case_id AND e.residual_of IS NULL AND d.urgent = 0 AND e.sequence < d.sequence)))"
        ));
        let rows = sql::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?))).collect()
    }

    /// How each doctor of a delivery stands.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn standings(&self, id: DeliveryId) -> Result<Vec<Standing>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT r.*, p.accepted_at_ms, {OPENED_AT} AS opened_at_ms FROM recipient r
             LEFT JOIN accepted_part p ON p.delivery_id = r.delivery_id AND p.doctor = r.doctor AND p.part = $2
             WHERE r.delivery_id = $1 ORDER BY r.doctor"
        ));
        let rows = sql::query(sql).bind(id.0.as_slice()).bind(PART_COVER);
        let standing = |row: &Row| Standing {
            doctor: row.get("doctor"),
            stands_behind: row.get("stands_behind"),
            escalated_at_ms: row.get("escalated_at_ms"),
            submitted_at_ms: row.get("accepted_at_ms"),
            notified_at_ms: row.get("notified_at_ms"),
            has_opened: row.get::<Option<i64>, _>("opened_at_ms").is_some(),
            is_out: row.get::<Option<&str>, _>("refused").is_some()
                || row.get::<Option<i64>, _>("passed_on_at_ms").is_some(),
            level: row.get("level"),
            level_at_ms: row.get("level_at_ms"),
        };
        Ok(rows.fetch_all(&self.pool).await?.iter().map(standing).collect())
    }

    /// A doctor hands a case over: nobody waits for this one any more, whoever stands behind is to be told, and the hospital is alarmed anew where
    /// nobody does. Gives the deliveries of this doctor; none where that is known, or the case has ended.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn passed_on(
        &self,
        case: CaseId,
        doctor: &str,
        now_ms: i64,
    ) -> Result<Vec<DeliveryId>, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let passed_on = sql::query(
            "UPDATE recipient SET passed_on_at_ms = $3 WHERE doctor = $2 AND passed_on_at_ms IS NULL AND delivery_id IN
               (SELECT d.id FROM delivery d JOIN study_case c ON c.id = d.case_id WHERE c.id = $1 AND c.ended_at_ms IS NULL)
             RETURNING delivery_id",
        );
        let passed_on = passed_on.bind(case.0.as_slice()).bind(doctor).bind(now_ms);
        let rows = passed_on.fetch_all(&mut *transaction).await?;
        if !rows.is_empty() {
            sql::query("UPDATE study_case SET alarmed_at_ms = NULL, alarm_heard_at_ms = NULL, alarm_heard_by = NULL WHERE id = $1")
                .bind(case.0.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        let id = |row: &Row| Ok(DeliveryId(bytes16(row.get("delivery_id"), "recipient.delivery_id")?));
        rows.iter().map(id).collect()
    }

    /// It is this doctor's turn: the notice goes next. False where it was before, or somebody opened the delivery meanwhile.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn escalate(&self, id: DeliveryId, doctor: &str, now_ms: i64) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let escalate = sqlx::AssertSqlSafe(format!(
            "UPDATE recipient SET escalated_at_ms = $3 WHERE delivery_id = $1 AND doctor = $2 AND escalated_at_ms IS NULL
             AND EXISTS (SELECT 1 FROM delivery d WHERE d.id = $1 AND d.state IN ('sealed', 'submitted', 'notified', 'pulled'))
             AND NOT EXISTS (SELECT 1 FROM recipient o WHERE o.delivery_id = $1 AND {OPENED_AT} IS NOT NULL)"
        ));
        let escalated = sql::query(escalate)
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        if escalated.rows_affected() > 0 {
            tell_again(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(escalated.rows_affected() > 0)
    }
}
