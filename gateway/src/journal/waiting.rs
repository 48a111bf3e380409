//! Presses that can still be taken back.

use super::sql::{self, Row};
use super::{Journal, JournalError, PressedStudy, bytes16, note};
use crate::spool::FileKey;
use compressor::Uid;
use compressor::bundle::Note;
use seal::ids::CaseId;

/// A press that does not count yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingPress {
    /// Its number.
    pub id: i64,
    /// Which study.
    pub study: PressedStudy,
    /// For whom: names in the configuration.
    pub doctors: Vec<String>,
    /// It is to go before others.
    pub urgent: bool,
    /// What is said to the doctors.
    pub note: Option<Note>,
    /// Login name of who pressed.
    pub by: String,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// When it counts.
    pub due_at_ms: i64,
}

impl Journal {
    /// Keeps a press until it counts; its number is given here. None where one for the same study waits already.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn wait_press(&self, press: &WaitingPress) -> Result<Option<i64>, JournalError> {
        let (case, pacs, study) = match &press.study {
            PressedStudy::Case(case) => (Some(case.0.as_slice()), None, None),
            PressedStudy::AtPacs { pacs, study } => (None, Some(pacs), Some(study.as_str())),
        };
        let note = press.note.as_ref().map(|note| note::seal(note, self.master.as_ref()));
        let id = sql::query(
            "INSERT INTO press_wait (case_id, pacs, study_uid, doctors, urgent, pressed_by, at_ms, due_at_ms, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(case)
        .bind(pacs)
        .bind(study)
        .bind(serde_json::to_string(&press.doctors).unwrap_or_default())
        .bind(press.urgent)
        .bind(&press.by)
        .bind(press.at_ms)
        .bind(press.due_at_ms)
        .bind(note.transpose()?);
        Ok(id.fetch_optional(&self.pool).await?.map(|row| row.get(0)))
    }

    /// All that wait, the first one first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn waiting_presses(&self) -> Result<Vec<WaitingPress>, JournalError> {
        let rows =
            sql::query("SELECT * FROM press_wait ORDER BY due_at_ms, id").fetch_all(&self.pool).await?;
        rows.iter().map(|row| read(row, self.master.as_ref())).collect()
    }

    /// It has been done.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_waiting_press(&self, id: i64) -> Result<(), JournalError> {
        sql::query("DELETE FROM press_wait WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Takes one back. False where it does not wait any more.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn undo_press(&self, id: i64, now_ms: i64) -> Result<bool, JournalError> {
        let ended =
            sql::query("DELETE FROM press_wait WHERE id = $1 AND due_at_ms > $2").bind(id).bind(now_ms);
        Ok(ended.execute(&self.pool).await?.rows_affected() == 1)
    }
}

fn read(row: &Row, master: Option<&FileKey>) -> Result<WaitingPress, JournalError> {
    let unknown = |_| JournalError::Unknown("press_wait");
    let study = match (row.get::<Option<Vec<u8>>, _>("case_id"), row.get::<Option<String>, _>("pacs")) {
        (Some(case), _) => PressedStudy::Case(CaseId(bytes16(case, "press_wait.case_id")?)),
        (None, Some(pacs)) => PressedStudy::AtPacs {
            pacs,
            study: Uid::parse(row.get("study_uid"))
                .map_err(|_| JournalError::Unknown("press_wait.study_uid"))?,
        },
        (None, None) => return Err(JournalError::Unknown("press_wait")),
    };
    let note = row.get::<Option<Vec<u8>>, _>("note");
    let note = note.map(|sealed| note::open(&sealed, master, "press_wait.note"));
    Ok(WaitingPress {
        id: row.get("id"),
        study,
        doctors: serde_json::from_str(row.get("doctors")).map_err(unknown)?,
        urgent: row.get("urgent"),
        note: note.transpose()?,
        by: row.get("pressed_by"),
        at_ms: row.get("at_ms"),
        due_at_ms: row.get("due_at_ms"),
    })
}
