//! What is done once more because a person asks: a dead letter, a notice.

use super::answers::OPENED_AT;
use super::sql::{self, Transaction};
use super::{Journal, JournalError, State, Step, random_id};
use crate::queue::Kept;
use seal::ids::DeliveryId;

/// What of delivery `d` is not as it was assembled: some of its instances were sent again and belong to another delivery now.
const IS_WHOLE: &str = "(completeness IS NULL OR json_extract(completeness, '$.instances') =
    (SELECT n.instances FROM delivery_count n WHERE n.delivery_id = delivery.id))";

/// A delivery waits for notices again; the wait for its doctors counts from the last of them.
pub(super) async fn tell_again(transaction: &mut Transaction, id: DeliveryId) -> Result<(), JournalError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = 'submitted' WHERE id = $1 AND state IN ({})",
        State::sql_before(Step::ToldAgain)
    ));
    let told = sql::query(sql).bind(id.0.as_slice()).execute(&mut **transaction).await?;
    if told.rows_affected() > 0 {
        sql::query("DELETE FROM stage_time WHERE delivery_id = $1 AND stage = 'pulled'")
            .bind(id.0.as_slice())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

impl Journal {
    /// Takes a dead letter up again, at the last stage that it has behind it. One of which no part was taken by the mail server is sealed anew,
    /// for all its doctors; of another the rest goes, with the same bytes, to all for whom it was sealed. False where it is none, or is no longer whole: what was sent again goes by itself.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn retry(&self, id: DeliveryId) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let mailed = sql::query("SELECT 1 FROM accepted_part WHERE delivery_id = $1").bind(id.0.as_slice());
        let mailed = mailed.fetch_optional(&mut *transaction).await?.is_some();
        let sql = sqlx::AssertSqlSafe(format!(
            "UPDATE delivery SET attempts = 0, failing_since_ms = NULL, trouble = NULL,
               state = CASE WHEN cover_digest IS NOT NULL AND $2 = 1 THEN 'sealed' WHEN summary IS NOT NULL THEN 'compressed'
                            WHEN completeness IS NOT NULL THEN 'assembled' ELSE 'received' END
             WHERE id = $1 AND state IN ({}) AND residual_of IS NULL AND {IS_WHOLE}",
            State::sql_before(Step::TakenUp(Kept::Instances))
        ));
        let taken_up = sql::query(sql).bind(id.0.as_slice()).bind(mailed).execute(&mut *transaction).await?;
        if taken_up.rows_affected() > 0 {
            sql::query(
                "UPDATE recipient SET refused = NULL, left_out = 0 WHERE delivery_id = $1 AND NOT ($2 = 1 AND left_out = 1)",
            )
            .bind(id.0.as_slice())
            .bind(mailed)
            .execute(&mut *transaction)
            .await?;
            // The stage that failed begins anew.
            sql::query("DELETE FROM stage_time WHERE delivery_id = $1 AND done_at_ms IS NULL")
                .bind(id.0.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(taken_up.rows_affected() > 0)
    }

    /// The doctors who have not opened a delivery get another notice, with an id of its own. Gives who.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn notify_again(&self, id: DeliveryId) -> Result<Vec<String>, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT r.doctor FROM recipient r JOIN delivery d ON d.id = r.delivery_id
             WHERE r.delivery_id = $1 AND d.state IN ('notified', 'pulled') AND d.residual_of IS NULL AND {OPENED_AT} IS NULL AND r.refused IS NULL AND r.passed_on_at_ms IS NULL
             AND (r.stands_behind = 0 OR r.escalated_at_ms IS NOT NULL)"
        ));
        let rows = sql::query(sql).bind(id.0.as_slice()).fetch_all(&mut *transaction).await?;
        for row in &rows {
            // All channels are asked again, as they are configured by then.
            sql::query("DELETE FROM notice WHERE delivery_id = $1 AND doctor = $2")
                .bind(id.0.as_slice())
                .bind(row.get::<&str, _>("doctor"))
                .execute(&mut *transaction)
                .await?;
            sql::query("UPDATE recipient SET notified_at_ms = NULL, notice_id = $3, told_level = NULL, notify_again = 1 WHERE delivery_id = $1 AND doctor = $2")
                .bind(id.0.as_slice())
                .bind(row.get::<&str, _>("doctor"))
                .bind(random_id()?.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        if !rows.is_empty() {
            tell_again(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(rows.iter().map(|row| row.get("doctor")).collect())
    }

    /// Dead letters that a person may take up again: what was made of them is kept.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn dead_letters(&self) -> Result<Vec<DeliveryId>, JournalError> {
        let rows = sql::query("SELECT id FROM delivery WHERE state = 'failed' AND residual_of IS NULL");
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(DeliveryId(super::bytes16(row.get("id"), "delivery.id")?))).collect()
    }
}
