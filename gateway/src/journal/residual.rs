//! The residual of a delivery: kept for who asks, mailed once, gone when its time is over.

use super::intake::{add_recipient, next_number};
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, State, Step, bytes16, random_id};
use seal::ids::{CaseId, DeliveryId};

/// What became of a doctor's request for the residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This delivery was begun for it.
    Begun(DeliveryId),
    /// This delivery, begun earlier, carries it.
    Sent(DeliveryId),
    /// The same request, or an older one, read again.
    Replayed,
    /// It was kept, and is deleted.
    Gone,
    /// Nothing was kept back of this delivery.
    NothingKept,
    /// The doctor is no recipient of the delivery.
    NoRecipient,
}

/// How long a residual that was mailed waits for its doctor at least, in milliseconds: a day, as a request may come in the last minute of
/// the residual's time.
const PULL_MS: i64 = 24 * 60 * 60 * 1000;

/// Of delivery `d` at the time $1: its residual may be deleted. The bundle is needed until every delivery that carries the residual is
/// sealed.
fn over() -> String {
    format!(
        "d.residual_until_ms IS NOT NULL AND d.residual_gone_at_ms IS NULL AND d.state IN ('pulled', 'failed', 'cancelled', 'recalled', 'closed')
         AND ({} OR d.state IN ('cancelled', 'recalled', 'closed')
           OR EXISTS (SELECT 1 FROM delivery r WHERE r.residual_of = d.id AND r.state = 'pulled'))
         AND NOT EXISTS (SELECT 1 FROM delivery r WHERE r.residual_of = d.id AND r.state IN ('received', 'assembled', 'compressed'))",
        is_past("d")
    )
}

/// The time of this delivery's residual has passed at the time $1, by the clock and by the time that the gateway ran: a clock that jumps ends none.
fn is_past(delivery: &str) -> String {
    format!(
        "({delivery}.residual_until_ms <= $1 AND EXISTS (SELECT 1 FROM study_case k, running WHERE k.id = {delivery}.case_id
           AND k.opened_running_ms <= running.ms - ({delivery}.residual_until_ms - k.opened_at_ms)))"
    )
}

/// With a residual that ends without a receipt.
const NOT_PULLED: &str = "the exact files that were asked for were not pulled in time (technician: ask the doctor whether they are needed still)";

impl Journal {
    /// Takes a request for the residual of `base`, which was signed at `asked_at` seconds since 1970-01-01 UTC. The delivery that
    /// answers it is begun here, with all recipients that the base could be mailed to.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn exact_asked(
        &self,
        base: DeliveryId,
        doctor: &str,
        asked_at: i64,
        now_ms: i64,
    ) -> Result<Asked, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let asked = match remember(&mut transaction, base, doctor, asked_at).await? {
            Some(refused) => refused,
            None => answer(&mut transaction, base, now_ms).await?,
        };
        transaction.commit().await?;
        Ok(asked)
    }

    /// Deliveries whose residual may be deleted: they are over, no delivery that carries it still needs the bundle, and its time has
    /// passed or it has arrived.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn residuals_over(&self, now_ms: i64) -> Result<Vec<DeliveryId>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT d.id FROM delivery AS d WHERE {}", over()));
        sql::query(sql).bind(now_ms).fetch_all(&self.pool).await?.iter().map(id).collect()
    }

    /// Ends residuals that nobody pulled: the time of what they carry has passed, and they lie in the mailboxes for a day. Gives which.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_unpulled(&self, now_ms: i64) -> Result<Vec<DeliveryId>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "UPDATE delivery SET state = 'failed', trouble = $3 WHERE state IN ({})
             AND EXISTS (SELECT 1 FROM delivery b WHERE b.id = delivery.residual_of AND {})
             AND EXISTS (SELECT 1 FROM stage_time t WHERE t.delivery_id = delivery.id AND t.stage = 'submit'
               AND t.done_at_ms <= $1 - $2)
             RETURNING id",
            State::sql_before(Step::NotFetched),
            is_past("b")
        )));
        let rows = rows.bind(now_ms).bind(PULL_MS).bind(NOT_PULLED);
        rows.fetch_all(&self.pool).await?.iter().map(id).collect()
    }

    /// Deliveries whose residual is kept: their bundles must stay in the spool.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn residuals_kept(&self) -> Result<Vec<DeliveryId>, JournalError> {
        let rows = sql::query(
            "SELECT id FROM delivery WHERE residual_until_ms IS NOT NULL AND residual_gone_at_ms IS NULL",
        );
        rows.fetch_all(&self.pool).await?.iter().map(id).collect()
    }

    /// The residual of a delivery is about to be deleted. False where it may not be, as it was asked for in the meantime.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn residual_gone(&self, base: DeliveryId, now_ms: i64) -> Result<bool, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "UPDATE delivery AS d SET residual_gone_at_ms = $1 WHERE d.id = $2 AND {}",
            over()
        ));
        let gone = sql::query(sql).bind(now_ms).bind(base.0.as_slice()).execute(&self.pool).await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Leaves words for the operator with a delivery, which goes on as it does.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn remarked(&self, id: DeliveryId, words: &str) -> Result<(), JournalError> {
        sql::query("UPDATE delivery SET remark = $2 WHERE id = $1")
            .bind(id.0.as_slice())
            .bind(words)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Notes the request; gives why it needs no answer, if it needs none.
async fn remember(
    transaction: &mut Transaction,
    base: DeliveryId,
    doctor: &str,
    asked_at: i64,
) -> Result<Option<Asked>, JournalError> {
    let before = sql::query("SELECT exact_asked_at FROM recipient WHERE delivery_id = $1 AND doctor = $2")
        .bind(base.0.as_slice())
        .bind(doctor)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(before) = before else { return Ok(Some(Asked::NoRecipient)) };
    if before.get::<Option<i64>, _>("exact_asked_at").is_some_and(|before| before >= asked_at) {
        return Ok(Some(Asked::Replayed));
    }
    sql::query("UPDATE recipient SET exact_asked_at = $3 WHERE delivery_id = $1 AND doctor = $2")
        .bind(base.0.as_slice())
        .bind(doctor)
        .bind(asked_at)
        .execute(&mut **transaction)
        .await?;
    Ok(None)
}

async fn answer(transaction: &mut Transaction, base: DeliveryId, now_ms: i64) -> Result<Asked, JournalError> {
    let sent = sql::query(
        "SELECT id FROM delivery WHERE residual_of = $1 AND state NOT IN ('failed', 'cancelled', 'recalled', 'closed')",
    )
    .bind(base.0.as_slice())
    .fetch_optional(&mut **transaction)
    .await?;
    if let Some(row) = sent {
        return Ok(Asked::Sent(id(&row)?));
    }
    let kept = sql::query(
        "SELECT residual_until_ms, residual_gone_at_ms IS NOT NULL OR state IN ('failed', 'cancelled', 'recalled', 'closed') AS gone FROM delivery WHERE id = $1",
    )
    .bind(base.0.as_slice())
    .fetch_one(&mut **transaction)
    .await?;
    match (kept.get::<Option<i64>, _>("residual_until_ms"), kept.get::<bool, _>("gone")) {
        (None, _) => Ok(Asked::NothingKept),
        (Some(_), true) => Ok(Asked::Gone),
        (Some(_), false) => begin(transaction, base, now_ms).await.map(Asked::Begun),
    }
}

/// The bundle is durable since the base was compressed, so that is the stage which the new delivery has behind it.
async fn begin(
    transaction: &mut Transaction,
    base: DeliveryId,
    now_ms: i64,
) -> Result<DeliveryId, JournalError> {
    let delivery = DeliveryId(random_id()?);
    let row = sql::query("SELECT case_id FROM delivery WHERE id = $1").bind(base.0.as_slice());
    let row = row.fetch_one(&mut **transaction).await?;
    let case = CaseId(bytes16(row.get("case_id"), "delivery.case_id")?);
    let number = next_number(transaction, case).await?;
    sql::query(
        "INSERT INTO delivery (id, case_id, sequence, state, calling, completeness, residual_of)
         SELECT $2, case_id, $3, 'compressed', calling, completeness, id FROM delivery WHERE id = $1",
    )
    .bind(base.0.as_slice())
    .bind(delivery.0.as_slice())
    .bind(number)
    .execute(&mut **transaction)
    .await?;
    let doctors = sql::query("SELECT doctor FROM recipient WHERE delivery_id = $1 AND refused IS NULL")
        .bind(base.0.as_slice())
        .fetch_all(&mut **transaction)
        .await?;
    for row in doctors {
        add_recipient(transaction, delivery, row.get("doctor"), 0).await?;
    }
    sql::query("INSERT INTO stage_time (delivery_id, stage, began_at_ms) VALUES ($1, 'seal', $2)")
        .bind(delivery.0.as_slice())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
    Ok(delivery)
}

fn id(row: &Row) -> Result<DeliveryId, JournalError> {
    Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?))
}
