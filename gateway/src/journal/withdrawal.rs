//! Withdrawal: a case that is not to be delivered after all. Its deliveries end, its key is destroyed, what was mailed of it is noted to be
//! deleted, and what still lies here of the study waits for another press, as a case of its own.

use super::answers::forget_answers;
use super::delivery;
use super::hold_again::Old;
use super::link::end_links;
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, State, Step, bytes16};
use crate::queue::{LOOKED_FOR_MS, ON_ITS_WAY_MS};
use seal::ids::{CaseId, DeliveryId};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// All of a delivery was in the mailbox, of `withdrawn_mail` w and `delivery` d: as many mails were deleted as it has, pieces and the cover. Where one came
/// twice, nobody knows.
pub(super) const HAS_ARRIVED: &str = "(w.removed > coalesce(d.pieces, 0))";

/// Cases with a delivery that waits for a press and had nothing new for $2 before $1. The gateway has run for as long since: a clock that jumps
/// makes none older.
const HELD_SINCE: &str =
    "SELECT d.case_id FROM delivery d JOIN study_case c ON c.id = d.case_id WHERE d.state = 'held'
    AND c.opened_at_ms < $1 - $2 AND c.opened_running_ms <= (SELECT ms FROM running) - $2
    AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.delivery_id = d.id AND i.received_at_ms >= $1 - $2)
    AND NOT EXISTS (SELECT 1 FROM delivery_count n WHERE n.delivery_id = d.id AND n.last_received_running_ms > (SELECT ms FROM running) - $2)";

/// How a case is withdrawn.
#[derive(Clone, Copy)]
pub(super) struct Withdraw<'a> {
    /// The AE title under which the study waits for another press; where absent, what lies of it is given up.
    pub(super) hold: Option<&'a str>,
    /// It has served its purpose.
    pub(super) ends: bool,
    /// More of it may have been mailed than the journal knows, and to whom: the journal is a copy of before.
    pub(super) is_restored: bool,
    /// Who wants it.
    pub(super) by: &'a str,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) now_ms: i64,
}

impl<'a> Withdraw<'a> {
    /// What lies of it is given up.
    pub(super) fn of(by: &'a str, now_ms: i64) -> Self {
        Self { hold: None, ends: false, is_restored: false, by, now_ms }
    }
}

/// What a withdrawal did.
#[derive(Clone, Debug, Default)]
pub struct Withdrawal {
    /// Deliveries that ended, with the state that each has now.
    pub ended: Vec<(DeliveryId, State)>,
    /// The study waits here for another press.
    pub held: Option<CaseId>,
    /// Received files that nobody needs any more.
    pub files: Vec<String>,
}

/// Mails that are to be deleted from a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Of this delivery.
    pub delivery: DeliveryId,
    /// Name in the configuration.
    pub doctor: String,
    /// Also what the doctor said: the case has ended.
    pub receipts: bool,
    /// In all folders of the mailbox. Of a link that ended while its case is open only in the folder that mails come to: somebody else may read there
    /// what lies in the others.
    pub everywhere: bool,
}

/// What is known of a withdrawn delivery's mails in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithdrawnMail {
    /// Mails deleted.
    pub removed: u32,
    /// None was left then, milliseconds since 1970-01-01 UTC.
    pub looked_at_ms: Option<i64>,
    /// The mailbox gives no right to delete.
    pub stays: bool,
}

impl Journal {
    /// Withdraws a case. `hold`: the AE title under which the study waits for another press; where absent, what lies of it is given up.
    /// None where there is nothing to withdraw.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn withdraw(
        &self,
        case: CaseId,
        hold: Option<&str>,
        by: &str,
        now_ms: i64,
    ) -> Result<Option<Withdrawal>, JournalError> {
        let transaction = self.pool.begin_writing().await?;
        self.withdraw_in(transaction, case, Withdraw { hold, ..Withdraw::of(by, now_ms) }).await
    }

    /// Gives up a study that nobody asked for: [`Journal::withdraw`], unless somebody did meanwhile, or more of it came in the last `age_ms`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn give_up_held(
        &self,
        case: CaseId,
        age_ms: i64,
        by: &str,
        now_ms: i64,
    ) -> Result<Option<Withdrawal>, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let sql = sqlx::AssertSqlSafe(format!("{HELD_SINCE} AND d.case_id = $3"));
        let still = sql::query(sql).bind(now_ms).bind(age_ms).bind(case.0.as_slice());
        if still.fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(None);
        }
        self.withdraw_in(transaction, case, Withdraw::of(by, now_ms)).await
    }

    /// Deliveries of a case that can be withdrawn.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn to_withdraw(&self, case: CaseId) -> Result<Vec<DeliveryId>, JournalError> {
        let mut transaction = self.pool.begin_reading().await?;
        let rows = deliveries(&mut transaction, case).await?;
        rows.iter().map(|row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?))).collect()
    }

    pub(super) async fn withdraw_in(
        &self,
        mut transaction: Transaction,
        case: CaseId,
        withdraw: Withdraw<'_>,
    ) -> Result<Option<Withdrawal>, JournalError> {
        let Withdraw { hold, ends, is_restored, by, now_ms } = withdraw;
        let row = sql::query("SELECT spool_key FROM study_case WHERE id = $1").bind(case.0.as_slice());
        let row = row.fetch_optional(&mut *transaction).await?;
        let key = row.map(|row| self.unwrapped(&row)).transpose()?.flatten();
        let (mut withdrawal, mut instances) = (Withdrawal::default(), Vec::new());
        for row in deliveries(&mut transaction, case).await? {
            let id = DeliveryId(bytes16(row.get("id"), "delivery.id")?);
            let step = match (is_restored || row.get("mailed"), ends) {
                (false, _) => Step::Cancelled,
                (true, false) => Step::Recalled,
                (true, true) => Step::Closed,
            };
            let before = delivery::state(row.get("state"))?;
            let Some(state) = before.after(step) else { continue };
            if before != State::Pulled && !row.get::<bool, _>("handed_over") {
                instances.extend(instances_of(&mut transaction, id).await?);
            }
            end(&mut transaction, id, state, by, now_ms).await?;
            withdrawal.ended.push((id, state));
        }
        if withdrawal.ended.is_empty() {
            return Ok(None);
        }
        let old = Old { case, key, now_ms };
        close(&mut transaction, case, now_ms).await?;
        forget_answers(&mut transaction, case).await?;
        end_links(&mut transaction, case, now_ms).await?;
        match hold {
            Some(hold) if !instances.is_empty() => {
                withdrawal.held = self.hold_again(&mut transaction, &old, hold, &instances).await?;
            }
            _ => {}
        }
        if withdrawal.held.is_none() {
            forget_card(&mut transaction, case).await?;
            withdrawal.files = instances.iter().map(|row| row.get("file")).collect();
        }
        transaction.commit().await?;
        self.log_holds_keys.store(true, Ordering::Release);
        Ok(Some(withdrawal))
    }

    /// Mails of withdrawn deliveries, and of links that ended, that are still to be looked for. A link stands in the place of a delivery. For how long is
    /// counted while the gateway runs, as it looks only then: a clock that jumps leaves no mail behind that was on its way.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn mails_to_remove(&self, now_ms: i64) -> Result<Vec<Removal>, JournalError> {
        let over = format!("NOT {}", link_is_of_open_case());
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "SELECT delivery_id, doctor, max(CASE WHEN receipts THEN 1 ELSE 0 END) AS receipts, max(CASE WHEN everywhere THEN 1 ELSE 0 END) AS everywhere FROM (
             SELECT w.delivery_id, w.doctor, d.state = 'closed' AS receipts, TRUE AS everywhere FROM withdrawn_mail w JOIN delivery d ON d.id = w.delivery_id
             WHERE w.looked_at_ms IS NULL AND w.stays = 0
             UNION ALL SELECT w.delivery_id, w.doctor, d.state = 'closed', TRUE FROM delivery d JOIN withdrawn_mail w ON w.delivery_id = d.id
             WHERE d.withdrawn_running_ms > (SELECT ms FROM running) - $3
               AND (d.withdrawn_running_ms > (SELECT ms FROM running) - $2 OR (w.stays = 0 AND NOT {HAS_ARRIVED}))
             UNION ALL SELECT l.id, l.doctor, FALSE, {over} FROM link l WHERE l.ended_at_ms IS NOT NULL AND ((l.gone_at_ms IS NULL AND l.stays = 0) OR l.ended_at_ms > $1 - $2)
             UNION ALL SELECT d.id, l.doctor, d.state = 'closed', {over} FROM link l JOIN delivery d ON d.case_id = l.case_id
               WHERE l.ended_at_ms IS NOT NULL AND ((l.gone_at_ms IS NULL AND l.stays = 0) OR l.ended_at_ms > $1 - $2)) AS looked_for GROUP BY 1, 2 ORDER BY 1, 2",
        )))
        .bind(now_ms)
        .bind(LOOKED_FOR_MS)
        .bind(ON_ITS_WAY_MS);
        let read = |row: &Row| {
            let delivery = DeliveryId(bytes16(row.get("delivery_id"), "delivery_id")?);
            let (receipts, everywhere) = (row.get("receipts"), row.get("everywhere"));
            Ok(Removal { delivery, doctor: row.get("doctor"), receipts, everywhere })
        };
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// So many mails of a withdrawn delivery were deleted from a doctor's mailbox, besides those that were told of before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn mails_removed(
        &self,
        id: DeliveryId,
        doctor: &str,
        removed: u32,
    ) -> Result<(), JournalError> {
        sql::query("UPDATE withdrawn_mail SET removed = removed + $3 WHERE delivery_id = $1 AND doctor = $2")
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(removed)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A look into a doctor's mailbox has found no mail of a withdrawn delivery, or of a link that ended. `folders`: how many were searched, and how many
    /// were not. None where the look was into the folder alone that mails come to: that is enough for a link while its case is open, and for nothing else.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn no_mail_left(
        &self,
        id: DeliveryId,
        doctor: &str,
        folders: Option<(u16, u16)>,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let gone =
            "UPDATE link AS l SET gone_at_ms = $2, stays = 0 WHERE l.id = $1 AND l.ended_at_ms IS NOT NULL";
        let gone = match folders {
            Some(_) => gone.to_owned(),
            None => format!("{gone} AND {}", link_is_of_open_case()),
        };
        sql::query(sqlx::AssertSqlSafe(gone)).bind(id.0.as_slice()).bind(now_ms).execute(&self.pool).await?;
        let Some((searched, unsearched)) = folders else { return Ok(()) };
        sql::query(
            "UPDATE withdrawn_mail SET looked_at_ms = $3, stays = 0, folders = $4, folders_unsearched = $5
             WHERE delivery_id = $1 AND doctor = $2",
        )
        .bind(id.0.as_slice())
        .bind(doctor)
        .bind(now_ms)
        .bind(searched)
        .bind(unsearched)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A doctor's mailbox gives no right to delete.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn mails_stay(&self, id: DeliveryId, doctor: &str) -> Result<(), JournalError> {
        sql::query("UPDATE withdrawn_mail SET stays = 1 WHERE delivery_id = $1 AND doctor = $2")
            .bind(id.0.as_slice())
            .bind(doctor)
            .execute(&self.pool)
            .await?;
        sql::query(
            "UPDATE link SET stays = 1 WHERE doctor = $2 AND ended_at_ms IS NOT NULL
             AND (id = $1 OR case_id = (SELECT case_id FROM delivery WHERE id = $1))",
        )
        .bind(id.0.as_slice())
        .bind(doctor)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Cases of which nothing came for so long that nobody will press: their deliveries are held, and the last instance is older than `age_ms`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn held_since(&self, age_ms: i64, now_ms: i64) -> Result<Vec<CaseId>, JournalError> {
        let rows = sql::query(HELD_SINCE).bind(now_ms).bind(age_ms);
        let read = |row: &Row| Ok(CaseId(bytes16(row.get("case_id"), "delivery.case_id")?));
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }
}

/// A delivery of the case of `link` l is not over.
fn link_is_of_open_case() -> String {
    let over = State::sql_over();
    format!("EXISTS (SELECT 1 FROM delivery o WHERE o.case_id = l.case_id AND o.state NOT IN ({over}))")
}

/// From a row joined with `withdrawn_mail`.
pub(super) fn read_mail(row: &Row) -> Option<WithdrawnMail> {
    let removed = row.get::<Option<u32>, _>("removed")?;
    Some(WithdrawnMail { removed, looked_at_ms: row.get("looked_at_ms"), stays: row.get("stays") })
}

async fn deliveries(transaction: &mut Transaction, case: CaseId) -> Result<Vec<Row>, JournalError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT id, state, handed_over_at_ms IS NOT NULL AS handed_over,
           EXISTS (SELECT 1 FROM accepted_part p WHERE p.delivery_id = d.id) AS mailed
         FROM delivery d WHERE case_id = $1 AND state NOT IN ({}) ORDER BY sequence",
        State::sql_over()
    ));
    sql::query(sql).bind(case.0.as_slice()).fetch_all(&mut **transaction).await
}

async fn instances_of(transaction: &mut Transaction, delivery: DeliveryId) -> Result<Vec<Row>, JournalError> {
    let rows = sql::query("SELECT id, file, file_key, subject_id FROM instance WHERE delivery_id = $1")
        .bind(delivery.0.as_slice());
    rows.fetch_all(&mut **transaction).await
}

/// A part that the server took may not have been noted: once sealed, the mailboxes are looked into.
async fn end(
    transaction: &mut Transaction,
    id: DeliveryId,
    state: State,
    by: &str,
    now_ms: i64,
) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO withdrawn_mail (delivery_id, doctor) SELECT r.delivery_id, r.doctor
         FROM recipient r JOIN delivery d ON d.id = r.delivery_id WHERE d.id = $1 AND d.mail_bytes IS NOT NULL
         ON CONFLICT DO NOTHING",
    )
    .bind(id.0.as_slice())
    .execute(&mut **transaction)
    .await?;
    sql::query(
        "UPDATE delivery SET state = $2, withdrawn_at_ms = $3, withdrawn_by = $4, trouble = NULL, listed = NULL, note = NULL,
           residual_gone_at_ms = CASE WHEN $2 = 'closed' AND residual_until_ms IS NOT NULL THEN coalesce(residual_gone_at_ms, $3) ELSE residual_gone_at_ms END
         WHERE id = $1",
    )
    .bind(id.0.as_slice())
    .bind(state.word())
    .bind(now_ms)
    .bind(by)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Closes the case for ever: a press is a new one, and nothing opens what lay of this one in the spool.
async fn close(transaction: &mut Transaction, case: CaseId, now_ms: i64) -> Result<(), JournalError> {
    sql::query(
        "UPDATE study_case SET closed_at_ms = coalesce(closed_at_ms, $2), spool_key = NULL, spool_key_destroyed_at_ms = $2 WHERE id = $1",
    )
    .bind(case.0.as_slice())
    .bind(now_ms)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn forget_card(transaction: &mut Transaction, case: CaseId) -> Result<(), JournalError> {
    sql::query("DELETE FROM study_card WHERE case_id = $1")
        .bind(case.0.as_slice())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
