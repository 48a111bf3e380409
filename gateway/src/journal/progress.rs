//! How far the newest studies have come, in numbers alone: what the operator's figures are made of.

use super::answers::OPENED_AT;
use super::duty::IS_REAL;
use super::report::{StageTime, stage_seconds};
use super::studies::NEWEST;
use super::{Journal, JournalError};
use sqlx::Row;
use std::collections::{BTreeMap, HashMap};

/// How a delivery's trouble tells of a mailbox that has no room.
pub const MAILBOX_FULL: &str = "the doctor's mailbox is full";

/// The last delivery of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Last stage done.
    pub state: String,
    /// A person must do something.
    pub in_trouble: bool,
    /// A doctor's mailbox has no room for it.
    pub mailbox_full: bool,
    /// Doctors who get nothing of it until a person mends what is wrong.
    pub refused: i64,
    /// Sum of the data sets' bytes.
    pub received_bytes: u64,
    /// When the last instance came, or the case was opened where none has; milliseconds since 1970-01-01 UTC.
    pub received_at_ms: i64,
    /// When a person asked for it, milliseconds since 1970-01-01 UTC.
    pub pressed_at_ms: Option<i64>,
    /// When the last notice was accepted, milliseconds since 1970-01-01 UTC.
    pub notified_at_ms: Option<i64>,
    /// Somebody looked at it.
    pub opened: bool,
    /// Seconds of each stage that is done.
    pub seconds: BTreeMap<String, f64>,
}

/// The last delivery of each of the newest cases that are no tests, with the number of its bytes and when the last of them came.
fn newest() -> String {
    format!(
        "WITH newest AS (
    SELECT d.id, d.state, d.trouble IS NOT NULL AS in_trouble, instr(coalesce(d.trouble, ''), $2) > 0 AS mailbox_full, d.pressed_at_ms, n.last_received_ms, c.opened_at_ms, coalesce(n.bytes, 0) AS bytes
    FROM (SELECT id, opened_at_ms FROM study_case c WHERE {IS_REAL} ORDER BY opened_at_ms DESC, id DESC LIMIT $1) c
    JOIN delivery d ON d.case_id = c.id AND d.residual_of IS NULL AND d.sequence = {NEWEST}
    LEFT JOIN delivery_count n ON n.delivery_id = d.id)"
    )
}

impl Journal {
    /// Of at most so many studies, the newest.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn progress(&self, limit: u32) -> Result<Vec<Progress>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{} SELECT w.id, s.stage, s.began_at_ms, s.done_at_ms FROM newest w CROSS JOIN stage_time s ON s.delivery_id = w.id",
            newest()
        ));
        let mut stages: HashMap<Vec<u8>, Vec<StageTime>> = HashMap::new();
        for row in sqlx::query(sql).bind(limit).bind(MAILBOX_FULL).fetch_all(&self.pool).await? {
            stages.entry(row.get("id")).or_default().push(StageTime {
                stage: row.get("stage"),
                began_ms: row.get("began_at_ms"),
                done_ms: row.get("done_at_ms"),
            });
        }
        let sql = sqlx::AssertSqlSafe(format!(
            "{} SELECT *, (SELECT max(notified_at_ms) FROM recipient r WHERE r.delivery_id = newest.id) AS notified_at_ms,
             (SELECT count(*) FROM recipient r WHERE r.delivery_id = newest.id AND r.refused IS NOT NULL) AS refused,
             EXISTS (SELECT 1 FROM recipient o WHERE o.delivery_id = newest.id AND {OPENED_AT} IS NOT NULL) AS opened FROM newest",
            newest()
        ));
        let rows = sqlx::query(sql).bind(limit).bind(MAILBOX_FULL).fetch_all(&self.pool).await?;
        let progress = rows.iter().map(|row| {
            let last_received_ms: Option<i64> = row.get("last_received_ms");
            let stages = stages.remove(row.get::<&[u8], _>("id")).unwrap_or_default();
            Progress {
                state: row.get("state"),
                in_trouble: row.get("in_trouble"),
                mailbox_full: row.get("mailbox_full"),
                refused: row.get("refused"),
                received_bytes: row.get::<i64, _>("bytes").unsigned_abs(),
                received_at_ms: last_received_ms.unwrap_or_else(|| row.get("opened_at_ms")),
                pressed_at_ms: row.get("pressed_at_ms"),
                notified_at_ms: row.get("notified_at_ms"),
                opened: row.get("opened"),
                seconds: stage_seconds(&stages, last_received_ms).1,
            }
        });
        Ok(progress.collect())
    }
}
