//! The press: a person asks that a study be delivered (DESIGN 6). It is one transaction, so that two presses at once make one delivery.

use super::answers::OPENED_AT;
use super::intake::{add_recipient, next_number, open_case};
use super::keys::key_of_open_case;
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, State, Step, bytes16, note, random_id};
use crate::roster::Standby;
use compressor::Uid;
use compressor::bundle::Note;
use seal::ids::{CaseId, DeliveryId};
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Press {
    /// Of which study.
    pub study: PressedStudy,
    /// For whom: names in the configuration, one at least.
    pub doctors: Vec<String>,
    /// Who is told when none of those opens it.
    pub standby: Standby,
    /// It goes before others, and the notice says so.
    pub urgent: bool,
    /// What the sender has to say to the doctors.
    pub note: Option<Note>,
    /// Who asks: a login name.
    pub by: String,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
}

/// Which study is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PressedStudy {
    /// One that lies here.
    Case(CaseId),
    /// One that a PACS has; what of it lies here is taken too.
    AtPacs {
        /// Name of the PACS in the configuration.
        pacs: String,
        /// Study Instance UID.
        study: Uid,
    },
}

/// How a study of a PACS is received that is pressed before it is here.
#[derive(Clone, Copy, Debug)]
pub struct HeldAs<'a> {
    /// AE title of this gateway.
    pub hold: &'a str,
    /// AE title of the PACS.
    pub calling: &'a str,
}

/// Who asked for a delivery, and where the study is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pressed {
    /// Login name.
    pub by: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Name of the PACS in the configuration; by the sender's AE title where absent.
    pub pacs: Option<String>,
}

/// What became of a press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PressAnswer {
    /// This delivery was begun.
    Begun(DeliveryId),
    /// The study is on its way already, or was delivered in this case.
    Already {
        /// The delivery.
        delivery: DeliveryId,
        /// Who pressed, and when; none where the PACS sent it to a doctor's AE title.
        pressed: Option<Pressed>,
        /// For whom.
        doctors: Vec<String>,
    },
    /// No such study lies here.
    NotHere,
}

/// What a person says about instances that the PACS lists and does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Wait for them, however long.
    Wait,
    /// Deliver what is there, and say so.
    Partial,
}

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// What.
    pub choice: Choice,
    /// Login name.
    pub by: String,
}

impl Choice {
    fn word(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Partial => "partial",
        }
    }

    pub(super) fn parse(word: &str) -> Result<Self, JournalError> {
        let known = [Self::Wait, Self::Partial].into_iter().find(|choice| choice.word() == word);
        known.ok_or(JournalError::Unknown("delivery.choice"))
    }
}

impl Journal {
    /// Begins the delivery of a study, unless it is begun. One at a PACS is not here unless `held_as` says how it is received.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn press(
        &self,
        press: &Press,
        held_as: Option<HeldAs<'_>>,
    ) -> Result<PressAnswer, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let answer = match &press.study {
            PressedStudy::Case(case) => self.press_case(&mut transaction, *case, press, None).await?,
            PressedStudy::AtPacs { pacs, study } => {
                let Some(HeldAs { hold, calling }) = held_as else { return Ok(PressAnswer::NotHere) };
                // What the PACS may have sent by itself lies in the open case of the same AE title.
                let case = open_case(&mut transaction, hold, study.as_str(), press.at_ms).await?;
                match self.press_case(&mut transaction, case, press, Some(pacs)).await? {
                    PressAnswer::NotHere => {
                        let delivery = begin(&mut transaction, case, calling).await?;
                        self.ask(&mut transaction, case, delivery, press, Some(pacs)).await?;
                        PressAnswer::Begun(delivery)
                    }
                    answer => answer,
                }
            }
        };
        transaction.commit().await?;
        Ok(answer)
    }

    async fn press_case(
        &self,
        transaction: &mut Transaction,
        case: CaseId,
        press: &Press,
        pacs: Option<&str>,
    ) -> Result<PressAnswer, JournalError> {
        let last = sql::query(
            "SELECT id, state, pressed_at_ms, pressed_by, pacs FROM delivery WHERE case_id = $1 AND residual_of IS NULL
             AND state NOT IN ('failed', 'cancelled', 'recalled', 'closed')
             ORDER BY state = 'held' DESC, sequence DESC LIMIT 1",
        )
        .bind(case.0.as_slice())
        .fetch_optional(&mut **transaction)
        .await?;
        let Some(last) = last else { return Ok(PressAnswer::NotHere) };
        let delivery = DeliveryId(bytes16(last.get("id"), "delivery.id")?);
        let Some(received) = State::parse(last.get("state")).and_then(|state| state.after(Step::Pressed))
        else {
            let doctors = doctors_of(transaction, delivery).await?;
            return Ok(PressAnswer::Already { delivery, pressed: read(&last)?, doctors });
        };
        sql::query("UPDATE delivery SET state = $2 WHERE id = $1")
            .bind(delivery.0.as_slice())
            .bind(received.word())
            .execute(&mut **transaction)
            .await?;
        self.ask(transaction, case, delivery, press, pacs).await?;
        Ok(PressAnswer::Begun(delivery))
    }

    /// Notes who asked, and for whom. The clock of the delivery starts here, whenever its instances came.
    async fn ask(
        &self,
        transaction: &mut Transaction,
        case: CaseId,
        delivery: DeliveryId,
        press: &Press,
        pacs: Option<&str>,
    ) -> Result<(), JournalError> {
        let note = match (&press.note, &self.master) {
            (Some(note), Some(master)) => {
                Some(note::seal(note, Some(&key_of_open_case(transaction, master, case).await?))?)
            }
            (Some(note), None) => Some(note::seal(note, None)?),
            (None, _) => None,
        };
        sql::query(
            "UPDATE delivery SET urgent = $2, pressed_at_ms = $3, pressed_by = $4, pacs = $5, note = $6, duty_group = $7 WHERE id = $1",
        )
        .bind(delivery.0.as_slice())
        .bind(press.urgent)
        .bind(press.at_ms)
        .bind(&press.by)
        .bind(pacs)
        .bind(note)
        .bind(press.standby.group.as_ref())
        .execute(&mut **transaction)
        .await?;
        sql::query(
            "INSERT INTO stage_time (delivery_id, stage, began_at_ms) VALUES ($1, 'receive', $2)
             ON CONFLICT (delivery_id, stage) DO UPDATE SET began_at_ms = excluded.began_at_ms",
        )
        .bind(delivery.0.as_slice())
        .bind(press.at_ms)
        .execute(&mut **transaction)
        .await?;
        for doctor in &press.doctors {
            add_recipient(transaction, delivery, doctor, 0).await?;
        }
        for (doctor, stands_behind) in press.standby.doctors.iter().zip(1..) {
            add_recipient(transaction, delivery, doctor, stands_behind).await?;
        }
        Ok(())
    }

    /// What the sender has to say, until it lies in the bundle.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn note(&self, delivery: DeliveryId, case: CaseId) -> Result<Option<Note>, JournalError> {
        let row = sql::query("SELECT note FROM delivery WHERE id = $1").bind(delivery.0.as_slice());
        let Some(sealed) = row.fetch_one(&self.pool).await?.get::<Option<Vec<u8>>, _>("note") else {
            return Ok(None);
        };
        note::open(&sealed, self.case_key(case).await?.as_ref(), "delivery.note").map(Some)
    }

    /// When the clock of a delivery started: at the press, or with the first instance of a supplement.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn started_at_ms(&self, delivery: DeliveryId) -> Result<Option<i64>, JournalError> {
        let row =
            sql::query("SELECT began_at_ms FROM stage_time WHERE delivery_id = $1 AND stage = 'receive'");
        let row = row.bind(delivery.0.as_slice()).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.get("began_at_ms")))
    }

    /// What the PACS lists while some of it is missing; none once nothing is.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn listed(&self, id: DeliveryId, listed: Option<u32>) -> Result<(), JournalError> {
        sql::query("UPDATE delivery SET listed = $2 WHERE id = $1 AND state = 'received'")
            .bind(id.0.as_slice())
            .bind(listed)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// What a person says about missing instances. False where the delivery no longer waits for an answer.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn choose(&self, id: DeliveryId, choice: Choice, by: &str) -> Result<bool, JournalError> {
        let chosen = sql::query(
            "UPDATE delivery SET choice = $2, choice_by = $3 WHERE id = $1 AND state = 'received' AND listed IS NOT NULL",
        )
        .bind(id.0.as_slice())
        .bind(choice.word())
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(chosen.rows_affected() > 0)
    }
}

/// A delivery without an instance yet.
async fn begin(
    transaction: &mut Transaction,
    case: CaseId,
    calling: &str,
) -> Result<DeliveryId, JournalError> {
    let delivery = DeliveryId(random_id()?);
    sql::query(
        "INSERT INTO delivery (id, case_id, sequence, state, calling)
         VALUES ($1, $2, $3, 'received', $4)",
    )
    .bind(delivery.0.as_slice())
    .bind(case.0.as_slice())
    .bind(next_number(transaction, case).await?)
    .bind(calling)
    .execute(&mut **transaction)
    .await?;
    Ok(delivery)
}

/// The delivery of a case that was asked for last, if one was.
pub(super) async fn last_of(
    transaction: &mut Transaction,
    case: CaseId,
) -> Result<Option<DeliveryId>, JournalError> {
    let row = sql::query(
        "SELECT id FROM delivery WHERE case_id = $1 AND pressed_at_ms IS NOT NULL AND residual_of IS NULL
         AND state NOT IN ('cancelled', 'recalled', 'closed') ORDER BY sequence DESC LIMIT 1",
    )
    .bind(case.0.as_slice())
    .fetch_optional(&mut **transaction)
    .await?;
    row.map(|row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?))).transpose()
}

/// A supplement goes where the delivery went that it adds to; who was told of that one, or has opened it, stands behind nobody.
pub(super) async fn follow(
    transaction: &mut Transaction,
    pressed: DeliveryId,
    supplement: DeliveryId,
) -> Result<(), JournalError> {
    sql::query(
        "UPDATE delivery SET (urgent, pressed_at_ms, pressed_by, pacs, duty_group) =
           (SELECT urgent, pressed_at_ms, pressed_by, pacs, duty_group FROM delivery p WHERE p.id = $2) WHERE id = $1",
    )
    .bind(supplement.0.as_slice())
    .bind(pressed.0.as_slice())
    .execute(&mut **transaction)
    .await?;
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT doctor, CASE WHEN coalesce(escalated_at_ms, {OPENED_AT}) IS NULL THEN stands_behind ELSE 0 END AS stands_behind
         FROM recipient WHERE delivery_id = $1"
    ));
    for row in sql::query(sql).bind(pressed.0.as_slice()).fetch_all(&mut **transaction).await? {
        add_recipient(transaction, supplement, row.get("doctor"), row.get("stands_behind")).await?;
    }
    Ok(())
}

async fn doctors_of(
    transaction: &mut Transaction,
    delivery: DeliveryId,
) -> Result<Vec<String>, JournalError> {
    let rows = sql::query(
        "SELECT doctor FROM recipient WHERE delivery_id = $1 AND stands_behind = 0 ORDER BY doctor",
    )
    .bind(delivery.0.as_slice())
    .fetch_all(&mut **transaction)
    .await?;
    Ok(rows.iter().map(|row| row.get("doctor")).collect())
}

/// What was said about missing instances, from a row of `delivery`.
pub(super) fn read_choice(row: &Row) -> Result<Option<Chosen>, JournalError> {
    let Some(choice) = row.get::<Option<&str>, _>("choice") else { return Ok(None) };
    let by = row.get::<Option<String>, _>("choice_by").ok_or(JournalError::Unknown("delivery.choice_by"))?;
    Ok(Some(Chosen { choice: Choice::parse(choice)?, by }))
}

/// Who asked, from a row of `delivery`.
pub(super) fn read(row: &Row) -> Result<Option<Pressed>, JournalError> {
    let Some(at_ms) = row.get("pressed_at_ms") else { return Ok(None) };
    let by =
        row.get::<Option<String>, _>("pressed_by").ok_or(JournalError::Unknown("delivery.pressed_by"))?;
    Ok(Some(Pressed { by, at_ms, pacs: row.get("pacs") }))
}
