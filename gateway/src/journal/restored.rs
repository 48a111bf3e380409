//! A journal that was put back from a backup: what is older in it than in the audit trail and the mailboxes is brought up to them.

use super::answers::OPENED_AT;
use super::delivery::advance;
use super::intake::add_recipient;
use super::sql::{self, Row, Transaction};
use super::withdrawal::Withdraw;
use super::{Ended, Journal, JournalError, PART_COVER, State, Step, Withdrawal, bytes16, random_id};
use crate::queue::Kept;
use seal::ids::{CaseId, DeliveryId, Digest};
use std::collections::BTreeSet;

/// What is said of a doctor for whom no cover was found, though one was for a colleague.
const NOT_FOUND: &str = "nothing was found in the mailbox after the restore from a backup, and what was sealed is lost (technician: telephone, or send the study again)";
/// What is said of a delivery that was mailed after the backup was made.
const FOUND: &str = "mailed after the backup was made from which this gateway was restored";
/// Where a delivery that the journal does not know stands as destination and caller: no AE title has these characters.
const UNKNOWN: &str = "(restored)";

/// When the backup was made, and when it was put back, milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) backed_up_at_ms: i64,
    pub(crate) restored_at_ms: i64,
}

/// How a case ended after the backup was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedAgain {
    /// None where it was withdrawn.
    pub(crate) how: Option<Ended>,
    /// Who did it; none where its time was over.
    pub(crate) by: Option<String>,
    /// Its deliveries: the journal may know none of them, or not the case.
    pub(crate) deliveries: BTreeSet<DeliveryId>,
}

impl Journal {
    /// Marks the journal as restored. Nobody is signed in any more.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn mark_restored(&self, restored: Restored) -> Result<(), JournalError> {
        sql::query("INSERT INTO restored VALUES (1, $1, $2)")
            .bind(restored.backed_up_at_ms)
            .bind(restored.restored_at_ms)
            .execute(&self.pool)
            .await?;
        sql::query("DELETE FROM page_session").execute(&self.pool).await?;
        Ok(())
    }

    /// None where it was not restored, or is settled.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn restored(&self) -> Result<Option<Restored>, JournalError> {
        let row = sql::query("SELECT * FROM restored").fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Restored {
            backed_up_at_ms: row.get("backed_up_at_ms"),
            restored_at_ms: row.get("restored_at_ms"),
        }))
    }

    /// Trail and mailboxes were compared with, and receipts taken. Whoever has opened a delivery was told of it, though this journal does not know how.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn settled(&self) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let told = format!(
            "UPDATE recipient AS r SET told_level = level WHERE (told_level IS NULL OR told_level < level) AND {OPENED_AT} IS NOT NULL"
        );
        sql::query(sqlx::AssertSqlSafe(told)).execute(&mut *transaction).await?;
        sql::query("DELETE FROM restored").execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Ends or withdraws a case that the trail has as ended or withdrawn. `doctors`: whose mailboxes are looked into, since the journal does not know
    /// what was mailed. None where nothing of it is left to end.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn end_again(
        &self,
        case: CaseId,
        ended: &EndedAgain,
        hold: Option<&str>,
        doctors: &[String],
        now_ms: i64,
    ) -> Result<Option<Withdrawal>, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        if let Some(how) = ended.how {
            sql::query(
                "UPDATE study_case SET ended_at_ms = $2, ended_how = $3, ended_by = $4 WHERE id = $1 AND ended_at_ms IS NULL",
            )
            .bind(case.0.as_slice())
            .bind(now_ms)
            .bind(how.word())
            .bind(ended.by.as_ref())
            .execute(&mut *transaction)
            .await?;
        }
        for doctor in doctors {
            sql::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO withdrawn_mail (delivery_id, doctor) SELECT id, $2 FROM delivery WHERE case_id = $1 AND state NOT IN ({})
                 ON CONFLICT DO NOTHING",
                State::sql_over()
            )))
            .bind(case.0.as_slice())
            .bind(doctor)
            .execute(&mut *transaction)
            .await?;
        }
        let by = ended.by.as_deref().or(ended.how.map(Ended::word)).unwrap_or(UNKNOWN);
        let hold = hold.filter(|_| ended.how.is_none());
        let withdraw = Withdraw { hold, ends: ended.how.is_some(), is_restored: true, by, now_ms };
        self.withdraw_in(transaction, case, withdraw).await
    }

    /// Numbers of cases that are open: what was begun after the backup, and is known by its id alone, may bear the next ones of any case of its doctors.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn pass_over_numbers(&self) -> Result<(), JournalError> {
        let sql = format!(
            "UPDATE study_case AS c SET numbers_taken = (SELECT max(sequence) FROM delivery d WHERE d.case_id = c.id)
               + (SELECT count(DISTINCT u.id) FROM delivery u JOIN recipient s ON s.delivery_id = u.id
                  JOIN recipient r ON r.doctor = s.doctor JOIN delivery d ON d.id = r.delivery_id
                  WHERE d.case_id = c.id AND u.calling = $1 AND u.state NOT IN ({over}))
             WHERE destination <> $1 AND EXISTS (SELECT 1 FROM delivery d WHERE d.case_id = c.id AND d.state NOT IN ({over}))",
            over = State::sql_over()
        );
        sql::query(sqlx::AssertSqlSafe(sql)).bind(UNKNOWN).execute(&self.pool).await?;
        Ok(())
    }

    /// Deliveries of which nothing that was sealed is in the backup: sealed again they are other bytes.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn unsealed(&self) -> Result<Vec<DeliveryId>, JournalError> {
        let rows = sql::query(
            "SELECT id FROM delivery WHERE state IN ('held', 'received', 'assembled', 'compressed') OR (state = 'failed' AND cover_digest IS NULL)",
        );
        let id = |row: &Row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?));
        rows.fetch_all(&self.pool).await?.iter().map(id).collect()
    }

    /// The cover of a delivery lies in the mailboxes of these doctors: it is not sent to them again. One that the journal does not know was begun after
    /// the backup: it is known from here on by its id alone, as a case of its own, so that its receipts count, its time ends, and it can be deleted.
    /// False where the journal knows as much.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn found_mailed(
        &self,
        id: DeliveryId,
        doctors: &[String],
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let known = sql::query(
            "SELECT state, cover_digest IS NOT NULL AS sealed, coalesce(pieces, 0) AS pieces FROM delivery WHERE id = $1",
        );
        let row = known.bind(id.0.as_slice()).fetch_optional(&mut *transaction).await?;
        let (state, sealed, pieces) = match &row {
            Some(row) => (super::delivery::state(row.get("state"))?, row.get("sealed"), row.get("pieces")),
            None => {
                begin_unknown(&mut transaction, id, now_ms).await?;
                (State::Received, false, 0)
            }
        };
        match state {
            State::Sealed | State::Failed if sealed => {
                accept(&mut transaction, id, doctors, pieces, now_ms).await?;
                submit_if_with_all(&mut transaction, id, now_ms).await?;
            }
            State::Held | State::Received | State::Assembled | State::Compressed | State::Failed => {
                lead_to_submitted(&mut transaction, id, state, doctors, now_ms).await?;
            }
            _ => return Ok(false),
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The cover of a delivery that was found mailed is what its first receipt says, which its doctor signed: the reader has verified the site's
    /// signature on it. False for any other delivery.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn take_cover_of_receipt(
        &self,
        id: DeliveryId,
        doctor: &str,
        cover: Digest,
    ) -> Result<bool, JournalError> {
        let taken = sql::query(
            "UPDATE delivery SET cover_digest = $2 WHERE id = $1 AND cover_digest IS NULL AND found_mailed_at_ms IS NOT NULL
             AND EXISTS (SELECT 1 FROM recipient r WHERE r.delivery_id = $1 AND r.doctor = $3)",
        );
        let taken = taken.bind(id.0.as_slice()).bind(cover.0.as_slice()).bind(doctor);
        Ok(taken.execute(&self.pool).await?.rows_affected() > 0)
    }
}

async fn begin_unknown(
    transaction: &mut Transaction,
    id: DeliveryId,
    now_ms: i64,
) -> Result<(), JournalError> {
    let case = random_id()?;
    sql::query("INSERT INTO study_case (id, destination, study_uid, opened_at_ms, closed_at_ms) VALUES ($1, $2, $2 || hex($3), $4, $4)")
        .bind(case.as_slice())
        .bind(UNKNOWN)
        .bind(id.0.as_slice())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
    sql::query(
        "INSERT INTO delivery (id, case_id, sequence, state, calling) VALUES ($1, $2, 1, 'received', $3)",
    )
    .bind(id.0.as_slice())
    .bind(case.as_slice())
    .bind(UNKNOWN)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Where everybody has it, nothing is needed of the pieces, which may not be in the backup.
async fn submit_if_with_all(
    transaction: &mut Transaction,
    id: DeliveryId,
    now_ms: i64,
) -> Result<(), JournalError> {
    let lacking = sql::query(
        "SELECT 1 FROM recipient r WHERE r.delivery_id = $1 AND r.refused IS NULL
         AND NOT EXISTS (SELECT 1 FROM accepted_part p WHERE p.delivery_id = $1 AND p.doctor = r.doctor AND p.part = $2)",
    );
    let lacking = lacking.bind(id.0.as_slice()).bind(PART_COVER).fetch_optional(&mut **transaction).await?;
    if lacking.is_some() {
        return Ok(());
    }
    advance(transaction, id, Step::TakenUp(Kept::Parts), now_ms).await?;
    advance(transaction, id, Step::Submitted, now_ms).await?;
    done(transaction, id, "submit", now_ms).await
}

/// Each stage in its turn, as if it had been gone through now: what was made is in the mailboxes.
async fn lead_to_submitted(
    transaction: &mut Transaction,
    id: DeliveryId,
    state: State,
    doctors: &[String],
    now_ms: i64,
) -> Result<(), JournalError> {
    for doctor in doctors {
        let known = sql::query("SELECT 1 FROM recipient WHERE delivery_id = $1 AND doctor = $2");
        let known = known.bind(id.0.as_slice()).bind(doctor).fetch_optional(&mut **transaction).await?;
        if known.is_none() {
            add_recipient(transaction, id, doctor, 0).await?;
        }
    }
    let first = match state {
        State::Held => Some(Step::Pressed),
        State::Failed => Some(Step::TakenUp(Kept::Instances)),
        _ => None,
    };
    let stages = [Step::Assembled, Step::Compressed, Step::Sealed];
    for step in first.into_iter().chain(stages) {
        advance(transaction, id, step, now_ms).await?;
    }
    accept(transaction, id, doctors, 0, now_ms).await?;
    advance(transaction, id, Step::Submitted, now_ms).await?;
    for stage in ["receive", "compress", "seal", "submit"] {
        done(transaction, id, stage, now_ms).await?;
    }
    sql::query(
        "UPDATE delivery SET mail_bytes = coalesce(mail_bytes, 0), found_mailed_at_ms = $2, remark = $3, note = NULL, listed = NULL WHERE id = $1",
    )
    .bind(id.0.as_slice())
    .bind(now_ms)
    .bind(FOUND)
    .execute(&mut **transaction)
    .await?;
    sql::query(
        "UPDATE recipient SET refused = coalesce(refused, $2) WHERE delivery_id = $1
         AND NOT EXISTS (SELECT 1 FROM accepted_part p WHERE p.delivery_id = $1 AND p.doctor = recipient.doctor AND p.part = $3)",
    )
    .bind(id.0.as_slice())
    .bind(NOT_FOUND)
    .bind(PART_COVER)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn done(
    transaction: &mut Transaction,
    id: DeliveryId,
    stage: &str,
    now_ms: i64,
) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO stage_time (delivery_id, stage, began_at_ms, done_at_ms) VALUES ($1, $2, $3, $3)
         ON CONFLICT (delivery_id, stage) DO UPDATE SET done_at_ms = coalesce(stage_time.done_at_ms, $3)",
    )
    .bind(id.0.as_slice())
    .bind(stage)
    .bind(now_ms)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The mail server took all of it for these doctors: a cover goes last.
async fn accept(
    transaction: &mut Transaction,
    id: DeliveryId,
    doctors: &[String],
    pieces: u32,
    now_ms: i64,
) -> Result<(), JournalError> {
    for doctor in doctors {
        for part in (1..=pieces).chain([PART_COVER]) {
            sql::query(
                "INSERT INTO accepted_part (delivery_id, part, doctor, accepted_at_ms)
                 SELECT delivery_id, $2, doctor, $4 FROM recipient WHERE delivery_id = $1 AND doctor = $3 ON CONFLICT DO NOTHING",
            )
            .bind(id.0.as_slice())
            .bind(part)
            .bind(doctor)
            .bind(now_ms)
            .execute(&mut **transaction)
            .await?;
        }
        sql::query("UPDATE recipient SET cover_seen_at_ms = coalesce(cover_seen_at_ms, $3) WHERE delivery_id = $1 AND doctor = $2")
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(now_ms)
            .execute(&mut **transaction)
            .await?;
    }
    sql::query(
        "UPDATE study_case SET mailed_running_ms = (SELECT ms FROM running)
         WHERE id = (SELECT case_id FROM delivery WHERE id = $1 AND residual_of IS NULL)",
    )
    .bind(id.0.as_slice())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
