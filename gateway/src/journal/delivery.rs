//! A delivery's row: its state, its instances, its recipients, and the steps from one state to the next.

use super::damage::mark;
use super::press::{self, Choice, Pressed};
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16, bytes32, keys};
use crate::queue::{GivesUp, State, Step};
use crate::spool::WrappedKey;
use compressor::Uid;
use compressor::bundle::Summary;
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId, Digest};
use std::collections::BTreeSet;
use std::time::Duration;

/// A delivery as the pipeline needs it.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Its case.
    pub case: CaseId,
    /// 1 for the first of the case.
    pub sequence: u32,
    /// Where it stands.
    pub state: State,
    /// AE title it was sent to.
    pub destination: String,
    /// AE title that sent it.
    pub calling: String,
    /// Study Instance UID.
    pub study: Option<Uid>,
    /// Fixed once assembled.
    pub completeness: Option<Completeness>,
    /// The delivery whose residual this one carries.
    pub residual_of: Option<DeliveryId>,
    /// Its own residual is kept back for who asks, until then at least.
    pub residual_until_ms: Option<i64>,
    /// See [`Journal::handed_over`].
    pub handed_over: bool,
    /// Failures in a row of the stage under way.
    pub attempts: u32,
    /// When the first of these failures was.
    pub failing_since_ms: Option<i64>,
    /// It goes before others, and its notice says so: as the person asked who pressed, or as the AE title has it that it was sent to.
    pub urgent: bool,
    /// The group of the roster that was on duty at the press.
    pub duty_group: Option<String>,
    /// Who asked for it, where somebody did: the whole study is meant, not what was sent.
    pub pressed: Option<Pressed>,
    /// Instances that the PACS listed last, while some of them are missing.
    pub listed: Option<u32>,
    /// What a person said about missing instances.
    pub choice: Option<Choice>,
}

/// An instance of a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryInstance {
    /// Name in the spool folder `receive`.
    pub file: String,
    /// Key of that file under that of its case; none if it is plain.
    pub file_key: Option<WrappedKey>,
    /// Series Instance UID.
    pub series: Option<Uid>,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Transfer syntax.
    pub transfer_syntax: Uid,
    /// Length of the data set.
    pub bytes: u64,
    /// SHA-256 of the data set.
    pub sha256: [u8; 32],
    /// Same UID as another instance of the case, other bytes.
    pub conflict: bool,
    /// When it was recorded.
    pub received_at_ms: i64,
}

/// A series of a delivery that still collects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSoFar {
    /// Series Instance UID.
    pub series: Uid,
    /// So many are here.
    pub instances: i64,
    /// When the last of them came.
    pub last_at_ms: i64,
}

/// A doctor of a delivery.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Name in the configuration.
    pub doctor: String,
    /// Random id of the notice.
    pub notice: [u8; 16],
    /// Told at once, or the turn of who stands behind others came.
    pub is_told: bool,
    /// The mail server accepted the cover, and with it all pieces; or the message for a mail program.
    pub submitted: bool,
    /// The cover was seen in the mailbox.
    pub cover_seen: bool,
    /// A channel took the notice.
    pub notified: bool,
    /// The receipt is here.
    pub pulled: bool,
    /// A receipt is here: fetched, first image shown, seen, or an answer.
    pub opened: bool,
    /// This one handed the case over since.
    pub passed_on: bool,
    /// The turn of this one came, who stood behind others.
    pub escalated: bool,
    /// The first image was on the screen.
    pub first_image: bool,
    /// This one said so, or answered.
    pub seen: bool,
    /// When the doctor's last request for the residual of this delivery was signed, in seconds since 1970-01-01 UTC.
    pub exact_asked_at: Option<i64>,
    /// The mail server will never take mail for this doctor.
    pub refused: Option<String>,
}

/// The number under which the journal keeps what completes a delivery: the cover, or the message for a mail program. Pieces count from 1.
pub const PART_COVER: u32 = 0;

const DELIVERY: &str =
    "SELECT d.id, d.case_id, d.sequence, d.state, d.calling, d.completeness, d.attempts, d.failing_since_ms,
    d.residual_of, d.residual_until_ms, d.handed_over_at_ms, d.urgent, d.duty_group, d.pressed_at_ms, d.pressed_by, d.pacs, d.listed, d.choice,
    c.destination, c.study_uid FROM delivery d JOIN study_case c ON c.id = d.case_id";

/// Instances of which the rows are held at once: a row is larger than what is kept of it.
const ROWS_AT_ONCE: u32 = 500;
/// Between two looks at a server that does not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Journal {
    /// One delivery.
    ///
    /// # Errors
    /// [`JournalError`], also when there is none.
    pub async fn delivery(&self, id: DeliveryId) -> Result<DeliveryRow, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!("{DELIVERY} WHERE d.id = $1"));
        read(&sql::query(sql).bind(id.0.as_slice()).fetch_one(&self.pool).await?)
    }

    /// Deliveries that are under way.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unfinished(&self) -> Result<Vec<DeliveryId>, JournalError> {
        let rows = sql::query("SELECT id FROM delivery WHERE state NOT IN ('held', 'pulled', 'failed', 'cancelled', 'recalled', 'closed') AND handed_over_at_ms IS NULL")
            .fetch_all(&self.pool);
        rows.await?.into_iter().map(|row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?))).collect()
    }

    /// [`Journal::unfinished`], after a commit that was not answered, and once it is over: whatever it was to begin or to let go on, nobody was told.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unfinished_after_silence(&self) -> Result<Vec<DeliveryId>, JournalError> {
        self.pool.unanswered().await;
        loop {
            let over = self.pool.begin_writing().await.map(drop);
            match over.and(self.unfinished().await) {
                Err(JournalError::Server(_) | JournalError::Unclear(_)) => {
                    tokio::time::sleep(LOOK_AGAIN).await
                }
                unfinished => return unfinished,
            }
        }
    }

    /// Instances of a delivery in the order of their arrival.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn instances(&self, id: DeliveryId) -> Result<Vec<DeliveryInstance>, JournalError> {
        let (mut instances, mut behind) = (Vec::new(), 0_i64);
        loop {
            let rows =
                sql::query("SELECT * FROM instance WHERE delivery_id = $1 AND id > $2 ORDER BY id LIMIT $3");
            let rows =
                rows.bind(id.0.as_slice()).bind(behind).bind(ROWS_AT_ONCE).fetch_all(&self.pool).await?;
            for row in &rows {
                instances.push(read_instance(row)?);
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_AT_ONCE as usize => behind = last.get("id"),
                _ => return Ok(instances),
            }
        }
    }

    /// How many instances a delivery has.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn instances_here(&self, id: DeliveryId) -> Result<u32, JournalError> {
        let rows = sql::query("SELECT count(*) AS n FROM instance WHERE delivery_id = $1");
        let instances: i64 = rows.bind(id.0.as_slice()).fetch_one(&self.pool).await?.get("n");
        Ok(u32::try_from(instances).unwrap_or(u32::MAX))
    }

    /// The series of a delivery that have a UID, as far as they are here.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn series_so_far(&self, id: DeliveryId) -> Result<Vec<SeriesSoFar>, JournalError> {
        let rows = sql::query(
            "SELECT series_uid, count(*) AS instances, max(received_at_ms) AS last_at_ms FROM instance
             WHERE delivery_id = $1 GROUP BY series_uid ORDER BY last_at_ms",
        );
        let rows = rows.bind(id.0.as_slice()).fetch_all(&self.pool).await?;
        let series = |row: &Row| {
            let series = Uid::parse(row.get("series_uid")).ok()?;
            Some(SeriesSoFar { series, instances: row.get("instances"), last_at_ms: row.get("last_at_ms") })
        };
        Ok(rows.iter().filter_map(series).collect())
    }

    /// SOP Instance UIDs that a case has, over all its deliveries that did not fail.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn held(&self, case: CaseId) -> Result<BTreeSet<Uid>, JournalError> {
        let rows = sql::query(
            "SELECT sop_instance_uid FROM instance i JOIN delivery d ON d.id = i.delivery_id
             WHERE i.case_id = $1 AND d.state <> 'failed'",
        )
        .bind(case.0.as_slice());
        rows.fetch_all(&self.pool).await?.iter().map(|row| uid(row, "sop_instance_uid")).collect()
    }

    /// Names of all spool files that a delivery still needs.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn files(&self) -> Result<Vec<String>, JournalError> {
        let rows = sql::query(
            "SELECT file FROM instance i JOIN delivery d ON d.id = i.delivery_id
             WHERE d.state NOT IN ('pulled', 'cancelled', 'recalled', 'closed') AND d.handed_over_at_ms IS NULL",
        );
        Ok(rows.fetch_all(&self.pool).await?.iter().map(|row| row.get("file")).collect())
    }

    /// Doctors of a delivery.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn recipients(&self, id: DeliveryId) -> Result<Vec<Recipient>, JournalError> {
        let rows = sql::query(
            "SELECT r.*, EXISTS (SELECT 1 FROM accepted_part p
               WHERE p.delivery_id = r.delivery_id AND p.doctor = r.doctor AND p.part = $2) AS submitted
             FROM recipient r WHERE r.delivery_id = $1 ORDER BY r.doctor",
        )
        .bind(id.0.as_slice())
        .bind(PART_COVER);
        rows.fetch_all(&self.pool).await?.iter().map(read_recipient).collect()
    }

    /// Digest of the cover sealed last in the case before `sequence`; the cover of a supplement names it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn previous_cover(&self, case: CaseId, sequence: u32) -> Result<Option<Digest>, JournalError> {
        let row = sql::query(
            "SELECT cover_digest FROM delivery WHERE case_id = $1 AND sequence < $2 AND cover_digest IS NOT NULL
             ORDER BY sequence DESC LIMIT 1",
        );
        let row = row.bind(case.0.as_slice()).bind(sequence).fetch_optional(&self.pool).await?;
        row.map(|row| Ok(Digest(bytes32(row.get("cover_digest"), "cover_digest")?))).transpose()
    }

    /// Whether an earlier delivery of the case is still on its way to being sealed.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn waits_for_earlier(&self, case: CaseId, sequence: u32) -> Result<bool, JournalError> {
        let row = sql::query(
            "SELECT count(*) AS n FROM delivery WHERE case_id = $1 AND sequence < $2
             AND state IN ('received', 'assembled', 'compressed')",
        );
        Ok(row.bind(case.0.as_slice()).bind(sequence).fetch_one(&self.pool).await?.get::<i64, _>("n") > 0)
    }

    /// Fixes what belongs to a delivery, if it still has just `instances`: later ones begin a supplement. False where another
    /// instance came since they were counted.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn assembled(
        &self,
        id: DeliveryId,
        instances: u32,
        completeness: Completeness,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let fixed = sql::query(
            "UPDATE delivery SET completeness = $2
             WHERE id = $1 AND state = 'received' AND (SELECT count(*) FROM instance WHERE delivery_id = $1) = $3",
        )
        .bind(id.0.as_slice())
        .bind(serde_json::to_string(&completeness).unwrap_or_default())
        .bind(instances)
        .execute(&mut *transaction)
        .await?;
        if fixed.rows_affected() == 0 {
            return Ok(false);
        }
        let advanced = advance(&mut transaction, id, Step::Assembled, now_ms).await?;
        transaction.commit().await?;
        Ok(advanced)
    }

    /// The bundle is durable. `residual_until_ms`: its residual is kept back until then.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn compressed(
        &self,
        id: DeliveryId,
        summary: &Summary,
        residual_until_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let summary = serde_json::to_string(summary).unwrap_or_default();
        let update =
            sql::query("UPDATE delivery SET summary = $2, residual_until_ms = $3, note = NULL WHERE id = $1")
                .bind(id.0.to_vec())
                .bind(summary)
                .bind(residual_until_ms);
        self.step(id, Step::Compressed, now_ms, update).await
    }

    /// Pieces and cover, and messages for mail programs, are durable; without readers there is no cover.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn sealed(
        &self,
        id: DeliveryId,
        pieces: u32,
        mail_bytes: u64,
        cover: Option<Digest>,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let update =
            sql::query("UPDATE delivery SET pieces = $2, mail_bytes = $3, cover_digest = $4 WHERE id = $1")
                .bind(id.0.to_vec())
                .bind(pieces)
                .bind(i64::try_from(mail_bytes).unwrap_or(i64::MAX))
                .bind(cover.map(|cover| cover.0.to_vec()));
        self.step(id, Step::Sealed, now_ms, update).await
    }

    /// A step that needs no further column. False where it is not for the state of the delivery: a doctor may have pulled it while the notice went.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn reached(&self, id: DeliveryId, step: Step, now_ms: i64) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let advanced = advance(&mut transaction, id, step, now_ms).await?;
        transaction.commit().await?;
        Ok(advanced)
    }

    /// The mail server has the messages of all who are left, and these have only mail programs: nobody will ask for anything, nor for a residual.
    /// False where it has been withdrawn.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn handed_over(&self, id: DeliveryId, now_ms: i64) -> Result<bool, JournalError> {
        let updated = sql::query(
            "UPDATE delivery SET handed_over_at_ms = $2, residual_gone_at_ms = CASE WHEN residual_until_ms IS NOT NULL THEN $2 END
             WHERE id = $1 AND state = 'notified' AND handed_over_at_ms IS NULL",
        );
        let updated = updated.bind(id.0.as_slice()).bind(now_ms).execute(&self.pool).await?;
        Ok(updated.rows_affected() == 1)
    }

    /// The step of a stage that has read what was received.
    async fn step(
        &self,
        id: DeliveryId,
        step: Step,
        now_ms: i64,
        columns: sql::Query,
    ) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        if advance(&mut transaction, id, step, now_ms).await? {
            columns.execute(&mut *transaction).await?;
            mark(&mut transaction, id, &[], now_ms).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// A stage begins; begun again after a restart, it keeps its first time.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn began(&self, id: DeliveryId, stage: &'static str, now_ms: i64) -> Result<(), JournalError> {
        sql::query("INSERT INTO stage_time (delivery_id, stage, began_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(id.0.as_slice())
            .bind(stage)
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes a failure of the stage under way and who must act. Returns whether it has become a dead letter.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn troubled(
        &self,
        id: DeliveryId,
        trouble: &str,
        gives_up: GivesUp,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let row = sql::query(sqlx::AssertSqlSafe(format!(
            "UPDATE delivery SET trouble = $2, attempts = attempts + 1, failing_since_ms = coalesce(failing_since_ms, $5),
             state = CASE WHEN $3 = 1 OR ($4 = 1 AND EXISTS (SELECT 1 FROM instance i WHERE i.delivery_id = $1 AND i.damaged_at_ms IS NOT NULL)) THEN 'failed'
                     ELSE state END
             WHERE id = $1 AND state IN ({}) RETURNING state = 'failed'",
            State::sql_before(Step::GivenUp)
        )))
        .bind(id.0.as_slice())
        .bind(trouble)
        .bind(gives_up == GivesUp::Yes)
        .bind(gives_up == GivesUp::WhileDamaged)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// Parts accepted so far: (part, doctor); [`PART_COVER`] or the number of a piece.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn accepted_parts(&self, id: DeliveryId) -> Result<Vec<(u32, String)>, JournalError> {
        let rows =
            sql::query("SELECT part, doctor FROM accepted_part WHERE delivery_id = $1").bind(id.0.as_slice());
        Ok(rows.fetch_all(&self.pool).await?.iter().map(|row| (row.get("part"), row.get("doctor"))).collect())
    }

    /// The mail server accepted a part for a doctor.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn accepted(
        &self,
        id: DeliveryId,
        part: u32,
        doctor: &str,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        sql::query("INSERT INTO accepted_part (delivery_id, part, doctor, accepted_at_ms) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(id.0.as_slice())
            .bind(part)
            .bind(doctor)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        // It gets on: a line that breaks with every piece is no server that is down, and is not waited for ever longer.
        sql::query("UPDATE delivery SET attempts = 1 WHERE id = $1 AND attempts > 1")
            .bind(id.0.as_slice())
            .execute(&mut *transaction)
            .await?;
        if part == PART_COVER {
            // The doctor has all of it: the age of the case is counted from here.
            sql::query(
                "UPDATE study_case SET mailed_running_ms = (SELECT ms FROM running)
                 WHERE id = (SELECT case_id FROM delivery WHERE id = $1 AND residual_of IS NULL)",
            )
            .bind(id.0.as_slice())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The mail server takes no mail for this doctor until somebody mends what is wrong; the reason holds no patient data.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn refused(&self, id: DeliveryId, doctor: &str, reason: &str) -> Result<(), JournalError> {
        self.gets_nothing(id, doctor, reason, false).await
    }

    /// Nothing is sealed for this doctor; the reason holds no patient data.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn left_out(&self, id: DeliveryId, doctor: &str, reason: &str) -> Result<(), JournalError> {
        self.gets_nothing(id, doctor, reason, true).await
    }

    async fn gets_nothing(
        &self,
        id: DeliveryId,
        doctor: &str,
        reason: &str,
        left_out: bool,
    ) -> Result<(), JournalError> {
        sql::query("UPDATE recipient SET refused = $3, left_out = $4 WHERE delivery_id = $1 AND doctor = $2")
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(reason)
            .bind(left_out)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The cover was seen in a doctor's mailbox.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn cover_seen(&self, id: DeliveryId, doctor: &str, now_ms: i64) -> Result<(), JournalError> {
        self.mark("cover_seen_at_ms", id, doctor, now_ms).await
    }

    /// A doctor's verified receipt came, for the cover that was sent.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn pulled(&self, id: DeliveryId, doctor: &str, now_ms: i64) -> Result<(), JournalError> {
        self.mark("pulled_at_ms", id, doctor, now_ms).await
    }

    /// The first image of a delivery was on a doctor's screen.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn first_image(&self, id: DeliveryId, doctor: &str, now_ms: i64) -> Result<(), JournalError> {
        self.mark("first_image_at_ms", id, doctor, now_ms).await
    }

    /// A doctor says that the delivery was seen.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn seen(&self, id: DeliveryId, doctor: &str, now_ms: i64) -> Result<(), JournalError> {
        self.mark("seen_at_ms", id, doctor, now_ms).await
    }

    async fn mark(
        &self,
        column: &'static str,
        id: DeliveryId,
        doctor: &str,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let sql = sqlx::AssertSqlSafe(marking(column));
        sql::query(sql).bind(id.0.as_slice()).bind(doctor).bind(now_ms).execute(&self.pool).await?;
        Ok(())
    }

    /// Digest of a delivery's cover, once sealed.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn cover_digest(&self, id: DeliveryId) -> Result<Option<Digest>, JournalError> {
        let row = sql::query("SELECT cover_digest FROM delivery WHERE id = $1").bind(id.0.as_slice());
        let digest: Option<Vec<u8>> =
            row.fetch_optional(&self.pool).await?.and_then(|row| row.get("cover_digest"));
        digest.map(|digest| Ok(Digest(bytes32(digest, "cover_digest")?))).transpose()
    }
}

/// Sets the time in this column of a recipient, delivery $1 and doctor $2, to $3, where there is none.
pub(super) fn marking(column: &'static str) -> String {
    format!("UPDATE recipient SET {column} = coalesce({column}, $3) WHERE delivery_id = $1 AND doctor = $2")
}

/// Sets the state that a step leads to, ends the stage under way and forgets its failures. Nothing is done where the step is not for the state.
pub(super) async fn advance(
    transaction: &mut Transaction,
    id: DeliveryId,
    step: Step,
    now_ms: i64,
) -> Result<bool, JournalError> {
    let before = sql::query("SELECT state FROM delivery WHERE id = $1")
        .bind(id.0.as_slice())
        .fetch_one(&mut **transaction)
        .await?;
    let Some(state) = state(before.get("state"))?.after(step) else { return Ok(false) };
    sql::query(
        "UPDATE delivery SET state = $2, attempts = 0, failing_since_ms = NULL, trouble = NULL WHERE id = $1",
    )
    .bind(id.0.as_slice())
    .bind(state.word())
    .execute(&mut **transaction)
    .await?;
    sql::query("UPDATE stage_time SET done_at_ms = $2 WHERE delivery_id = $1 AND done_at_ms IS NULL")
        .bind(id.0.as_slice())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
    if matches!(state, State::Notified | State::Pulled) {
        // In the same transaction: a history has no step without the stage that it leads to, wherever a gateway is killed.
        sql::query(
            "INSERT INTO stage_time (delivery_id, stage, began_at_ms, done_at_ms) VALUES ($1, 'pulled', $2, CASE WHEN $3 = 1 THEN $2 END)
             ON CONFLICT DO NOTHING",
        )
        .bind(id.0.as_slice())
        .bind(now_ms)
        .bind(state == State::Pulled)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(true)
}

pub(super) fn state(word: &str) -> Result<State, JournalError> {
    State::parse(word).ok_or(JournalError::Unknown("delivery.state"))
}

fn read(row: &Row) -> Result<DeliveryRow, JournalError> {
    let completeness: Option<String> = row.get("completeness");
    Ok(DeliveryRow {
        id: DeliveryId(bytes16(row.get("id"), "delivery.id")?),
        case: CaseId(bytes16(row.get("case_id"), "delivery.case_id")?),
        sequence: row.get("sequence"),
        state: state(row.get("state"))?,
        destination: row.get("destination"),
        calling: row.get("calling"),
        study: Uid::parse(row.get("study_uid")).ok(),
        completeness: completeness
            .map(|text| serde_json::from_str(&text).map_err(|_| JournalError::Unknown("completeness")))
            .transpose()?,
        residual_of: row
            .get::<Option<Vec<u8>>, _>("residual_of")
            .map(|id| bytes16(id, "residual_of").map(DeliveryId))
            .transpose()?,
        residual_until_ms: row.get("residual_until_ms"),
        handed_over: row.get::<Option<i64>, _>("handed_over_at_ms").is_some(),
        attempts: row.get("attempts"),
        failing_since_ms: row.get("failing_since_ms"),
        urgent: row.get("urgent"),
        duty_group: row.get("duty_group"),
        pressed: press::read(row)?,
        listed: row.get("listed"),
        choice: row.get::<Option<&str>, _>("choice").map(Choice::parse).transpose()?,
    })
}

pub(super) fn read_instance(row: &Row) -> Result<DeliveryInstance, JournalError> {
    Ok(DeliveryInstance {
        file: row.get("file"),
        file_key: keys::wrapped(row, "file_key")?,
        series: Uid::parse(row.get("series_uid")).ok(),
        sop_class: uid(row, "sop_class_uid")?,
        sop_instance: uid(row, "sop_instance_uid")?,
        transfer_syntax: uid(row, "transfer_syntax")?,
        bytes: u64::try_from(row.get::<i64, _>("bytes")).map_err(|_| JournalError::Unknown("bytes"))?,
        sha256: bytes32(row.get("sha256"), "sha256")?,
        conflict: row.get("conflict"),
        received_at_ms: row.get("received_at_ms"),
    })
}

fn read_recipient(row: &Row) -> Result<Recipient, JournalError> {
    let is_there = |column: &str| row.get::<Option<i64>, _>(column).is_some();
    Ok(Recipient {
        doctor: row.get("doctor"),
        notice: bytes16(row.get("notice_id"), "notice_id")?,
        is_told: row.get::<u32, _>("stands_behind") == 0 || is_there("escalated_at_ms"),
        submitted: row.get("submitted"),
        cover_seen: is_there("cover_seen_at_ms"),
        notified: is_there("notified_at_ms"),
        pulled: is_there("pulled_at_ms"),
        opened: !is_there("passed_on_at_ms")
            && ["pulled_at_ms", "first_image_at_ms", "seen_at_ms"].into_iter().any(is_there),
        passed_on: is_there("passed_on_at_ms"),
        escalated: is_there("escalated_at_ms"),
        first_image: is_there("first_image_at_ms"),
        seen: is_there("seen_at_ms"),
        exact_asked_at: row.get("exact_asked_at"),
        refused: row.get("refused"),
    })
}

fn uid(row: &Row, column: &'static str) -> Result<Uid, JournalError> {
    Uid::parse(row.get(column)).map_err(|_| JournalError::Unknown(column))
}
