//! What lies here of a withdrawn case waits for another press, as a case of its own.

use super::intake::close_over;
use super::keys::{key_of_open_case, wrap, wrapped};
use super::sql::{self, Row, Transaction};
use super::subject::copy_subject;
use super::{Journal, JournalError, random_id};
use crate::spool::{self, FileKey};
use seal::ids::{CaseId, DeliveryId};

/// The case that is withdrawn.
pub(super) struct Old {
    pub(super) case: CaseId,
    pub(super) key: Option<FileKey>,
    pub(super) now_ms: i64,
}

impl Journal {
    /// Moves what lies here of a withdrawn case into a new one, under a key of its own. None where the PACS has sent the study again
    /// already, so that it waits there.
    pub(super) async fn hold_again(
        &self,
        transaction: &mut Transaction,
        old: &Old,
        hold: &str,
        instances: &[Row],
    ) -> Result<Option<CaseId>, JournalError> {
        let Some(case) = new_case(transaction, old, hold).await? else { return Ok(None) };
        let delivery = held_delivery(transaction, old, case).await?;
        let key = self.new_key(transaction, old, case).await?;
        for row in instances {
            let file_key = match (wrapped(row, "file_key")?, &old.key, &key) {
                (Some(file_key), Some(old), Some(new)) => {
                    Some(wrap(new, &old.unwrap(&file_key).ok_or(JournalError::WrongKey)?)?.to_vec())
                }
                (None, ..) => None,
                // A key without that of its case is one that nobody can use any more.
                _ => return Err(JournalError::Unknown("instance.file_key")),
            };
            sql::query(
                "UPDATE instance SET case_id = $2, delivery_id = $3, file_key = $4, subject_id = NULL WHERE id = $1",
            )
            .bind(row.get::<i64, _>("id"))
            .bind(case.0.as_slice())
            .bind(delivery.0.as_slice())
            .bind(file_key)
            .execute(&mut **transaction)
            .await?;
            move_subject(transaction, self.master.as_ref(), row, delivery).await?;
        }
        sql::query("UPDATE key_image SET case_id = $2 WHERE case_id = $1")
            .bind(old.case.0.as_slice())
            .bind(case.0.as_slice())
            .execute(&mut **transaction)
            .await?;
        move_card(transaction, old, case, key.as_ref()).await?;
        // Of a study that was withdrawn before, too.
        sql::query("UPDATE study_case SET held_as = $2 WHERE id = $1 OR held_as = $1")
            .bind(old.case.0.as_slice())
            .bind(case.0.as_slice())
            .execute(&mut **transaction)
            .await?;
        Ok(Some(case))
    }

    async fn new_key(
        &self,
        transaction: &mut Transaction,
        old: &Old,
        case: CaseId,
    ) -> Result<Option<FileKey>, JournalError> {
        let (Some(master), Some(_)) = (&self.master, &old.key) else { return Ok(None) };
        key_of_open_case(transaction, master, case).await.map(Some)
    }
}

async fn new_case(
    transaction: &mut Transaction,
    old: &Old,
    hold: &str,
) -> Result<Option<CaseId>, JournalError> {
    let study = sql::query("SELECT study_uid FROM study_case WHERE id = $1")
        .bind(old.case.0.as_slice())
        .fetch_one(&mut **transaction)
        .await?;
    close_over(transaction, hold, study.get("study_uid"), old.now_ms, 0).await?;
    let case = CaseId(random_id()?);
    let made = sql::query(
        "INSERT INTO study_case (id, destination, study_uid, opened_at_ms) SELECT $1, $2, study_uid, $3 FROM study_case WHERE id = $4
         ON CONFLICT DO NOTHING",
    )
    .bind(case.0.as_slice())
    .bind(hold)
    .bind(old.now_ms)
    .bind(old.case.0.as_slice())
    .execute(&mut **transaction)
    .await?;
    Ok((made.rows_affected() > 0).then_some(case))
}

async fn held_delivery(
    transaction: &mut Transaction,
    old: &Old,
    case: CaseId,
) -> Result<DeliveryId, JournalError> {
    let delivery = DeliveryId(random_id()?);
    sql::query(
        "INSERT INTO delivery (id, case_id, sequence, state, calling)
         SELECT $1, $2, 1, 'held', calling FROM delivery WHERE case_id = $3 ORDER BY sequence LIMIT 1",
    )
    .bind(delivery.0.as_slice())
    .bind(case.0.as_slice())
    .bind(old.case.0.as_slice())
    .execute(&mut **transaction)
    .await?;
    sql::query("INSERT INTO stage_time (delivery_id, stage, began_at_ms) VALUES ($1, 'receive', $2)")
        .bind(delivery.0.as_slice())
        .bind(old.now_ms)
        .execute(&mut **transaction)
        .await?;
    Ok(delivery)
}

/// Whose study it is stays with the delivery that ended, too: a receipt may come.
async fn move_subject(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    instance: &Row,
    delivery: DeliveryId,
) -> Result<(), JournalError> {
    let Some(subject) = instance.get::<Option<i64>, _>("subject_id") else { return Ok(()) };
    let subject = copy_subject(transaction, master, subject, delivery).await?;
    sql::query("UPDATE instance SET subject_id = $2 WHERE id = $1")
        .bind(instance.get::<i64, _>("id"))
        .bind(subject)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn move_card(
    transaction: &mut Transaction,
    old: &Old,
    case: CaseId,
    key: Option<&FileKey>,
) -> Result<(), JournalError> {
    let row = sql::query("DELETE FROM study_card WHERE case_id = $1 RETURNING card")
        .bind(old.case.0.as_slice())
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let unusable = |_| JournalError::Unknown("study_card.card");
    let card = spool::open_text(row.get("card"), old.key.as_ref()).map_err(unusable)?;
    sql::query("INSERT INTO study_card (case_id, card) VALUES ($1, $2)")
        .bind(case.0.as_slice())
        .bind(spool::seal_text(&card, key).map_err(unusable)?)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
