//! How far the newest studies have come, in numbers alone: what the operator's figures are made of.

use super::answers::OPENED_AT;
use super::duty::IS_REAL;
use super::ending::IS_DEAD_LETTER;
use super::report::{StageTime, stage_seconds};
use super::sql;
use super::studies::NEWEST;
use super::{Journal, JournalError, State};
use std::collections::{BTreeMap, HashMap};

/// How a delivery's trouble tells of a mailbox that has no room.
pub const MAILBOX_FULL: &str = "the doctor's mailbox is full";

/// The last delivery of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Last stage done.
    pub state: String,
    /// Sum of the data sets' bytes.
    pub received_bytes: u64,
    /// When the last instance came, or the case was opened where none has; milliseconds since 1970-01-01 UTC.
    pub received_at_ms: i64,
    /// Seconds of each stage that is done.
    pub seconds: BTreeMap<String, f64>,
}

/// What the deliveries of all cases that have not ended wait for, whatever was added to the case after them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outstanding {
    /// Dead letters.
    pub failed: i64,
    /// A person must do something.
    pub in_trouble: i64,
    /// A doctor's mailbox has no room for them.
    pub mailboxes_full: i64,
    /// Doctors who get nothing until a person mends what is wrong, of deliveries that nobody has opened.
    pub refused: i64,
    /// Notified before the moment that was asked for, and opened by nobody of those who can say so.
    pub unopened: i64,
    /// Of the one that waits longest for the mail server: when its last image came, or a person asked for it, milliseconds since 1970-01-01 UTC.
    pub unsent_since_ms: Option<i64>,
}

/// Mail programs and guests say nothing back: what was handed over to them alone waits for nobody's opening. Who gets nothing of it counts all the
/// same, until a person mends that or closes the case. $1: before when it was notified, $2: [`MAILBOX_FULL`].
fn outstanding() -> String {
    format!(
        "WITH outstanding AS (
    SELECT f.state, f.trouble, f.handed_over_at_ms, max(coalesce(n.last_received_ms, c.opened_at_ms), coalesce(f.pressed_at_ms, 0)) AS since_ms,
      (SELECT count(*) FROM recipient r WHERE r.delivery_id = f.id AND r.refused IS NOT NULL) AS refused,
      (SELECT max(notified_at_ms) FROM recipient r WHERE r.delivery_id = f.id) AS notified_at_ms,
      EXISTS (SELECT 1 FROM recipient o WHERE o.delivery_id = f.id AND {OPENED_AT} IS NOT NULL) AS opened
    FROM study_case c CROSS JOIN delivery f ON f.case_id = c.id LEFT JOIN delivery_count n ON n.delivery_id = f.id
    WHERE c.ended_at_ms IS NULL AND {IS_REAL} AND f.residual_of IS NULL
    AND ({IS_DEAD_LETTER} OR f.state NOT IN ('failed', {over})))
SELECT count(*) FILTER (WHERE state = 'failed') AS failed,
  count(*) FILTER (WHERE trouble IS NOT NULL) AS in_trouble,
  count(*) FILTER (WHERE instr(trouble, $2) > 0) AS mailboxes_full,
  CAST(coalesce(sum(refused) FILTER (WHERE NOT opened), 0) AS BIGINT) AS refused,
  count(*) FILTER (WHERE state = 'notified' AND handed_over_at_ms IS NULL AND notified_at_ms < $1 AND NOT opened) AS unopened,
  min(since_ms) FILTER (WHERE state IN ('received', 'assembled', 'compressed', 'sealed')) AS unsent_since_ms
FROM outstanding",
        over = State::sql_over()
    )
}

/// The last delivery of each of the newest cases that are no tests, with the number of its bytes and when the last of them came.
fn newest() -> String {
    format!(
        "WITH newest AS (
    SELECT d.id, d.state, n.last_received_ms, c.opened_at_ms, coalesce(n.bytes, 0) AS bytes
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
        for row in sql::query(sql).bind(limit).fetch_all(&self.pool).await? {
            stages.entry(row.get("id")).or_default().push(StageTime {
                stage: row.get("stage"),
                began_ms: row.get("began_at_ms"),
                done_ms: row.get("done_at_ms"),
            });
        }
        let sql = sqlx::AssertSqlSafe(format!("{} SELECT * FROM newest", newest()));
        let rows = sql::query(sql).bind(limit).fetch_all(&self.pool).await?;
        let progress = rows.iter().map(|row| {
            let last_received_ms: Option<i64> = row.get("last_received_ms");
            let stages = stages.remove(row.get::<&[u8], _>("id")).unwrap_or_default();
            Progress {
                state: row.get("state"),
                received_bytes: row.get::<i64, _>("bytes").unsigned_abs(),
                received_at_ms: last_received_ms.unwrap_or_else(|| row.get("opened_at_ms")),
                seconds: stage_seconds(&stages, last_received_ms).1,
            }
        });
        Ok(progress.collect())
    }

    /// Of all cases that have not ended. Unopened is what was notified before that moment, milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn outstanding(&self, notified_before_ms: i64) -> Result<Outstanding, JournalError> {
        let sql = sqlx::AssertSqlSafe(outstanding());
        let row = sql::query(sql).bind(notified_before_ms).bind(MAILBOX_FULL).fetch_one(&self.pool).await?;
        Ok(Outstanding {
            failed: row.get("failed"),
            in_trouble: row.get("in_trouble"),
            mailboxes_full: row.get("mailboxes_full"),
            refused: row.get("refused"),
            unopened: row.get("unopened"),
            unsent_since_ms: row.get("unsent_since_ms"),
        })
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
