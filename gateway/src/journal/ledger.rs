//! The time ledger: when each case came how far, without whose it was. It outlives the case.

use super::duty::IS_REAL;
use super::ending::Ended;
use super::sql::{self, Row};
use super::{Journal, JournalError, bytes16};
use seal::ids::CaseId;

/// Lines that are read at most, the newest: years of a hospital's nights.
const LINES_MAX: u32 = 100_000;

/// A case. Times are milliseconds since 1970-01-01 UTC by the gateway's clock; of several doctors that of the first.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerLine {
    /// Its id.
    pub case: CaseId,
    /// It went before others.
    pub urgent: bool,
    /// The press, or the first instance where the PACS sent it to a doctor.
    pub clicked_at_ms: i64,
    /// The mail server had all of it for everybody.
    pub submitted_at_ms: Option<i64>,
    /// A notice was accepted.
    pub notified_at_ms: Option<i64>,
    /// The receipt came that all of it was verified at the reader.
    pub fetched_at_ms: Option<i64>,
    /// The receipt came that the first image was on the screen.
    pub first_image_at_ms: Option<i64>,
    /// The receipt came that it was seen, or an answer.
    pub acknowledged_at_ms: Option<i64>,
    /// The hospital was alarmed because nobody had opened it.
    pub alarmed: bool,
    /// How it ended; none before.
    pub ended: Option<Ended>,
}

impl Journal {
    /// Each case that was asked for since a moment and whose first delivery was not withdrawn, the oldest first; what came of any of its deliveries
    /// counts from the first press.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn ledger(&self, since_ms: i64) -> Result<Vec<LedgerLine>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT d.case_id, d.urgent, s.began_at_ms, c.first_alarmed_at_ms IS NOT NULL AS alarmed, c.ended_how,
               min(u.done_at_ms) AS submitted_at_ms, min(n.done_at_ms) AS all_notified_at_ms, min(r.notified_at_ms) AS notified_at_ms, min(r.pulled_at_ms) AS pulled_at_ms,
               min(r.first_image_at_ms) AS first_image_at_ms, min(r.seen_at_ms) AS seen_at_ms
             FROM stage_time s CROSS JOIN delivery d ON d.id = s.delivery_id CROSS JOIN study_case c ON c.id = d.case_id
             CROSS JOIN delivery e ON e.case_id = d.case_id AND e.residual_of IS NULL CROSS JOIN recipient r ON r.delivery_id = e.id
             LEFT JOIN stage_time u ON u.delivery_id = e.id AND u.stage = 'submit'
             LEFT JOIN stage_time n ON n.delivery_id = e.id AND n.stage = 'notify'
             WHERE s.stage = 'receive' AND s.began_at_ms >= $1 AND d.sequence = 1 AND d.state NOT IN ('cancelled', 'recalled') AND {IS_REAL}
             GROUP BY d.id, s.began_at_ms, c.first_alarmed_at_ms, c.ended_how ORDER BY s.began_at_ms DESC LIMIT $2"
        ));
        let read = |row: &Row| {
            let ended: Option<&str> = row.get("ended_how");
            // Whoever is told again later was told before.
            let (notified_at_ms, all_notified_at_ms): (Option<i64>, Option<i64>) =
                (row.get("notified_at_ms"), row.get("all_notified_at_ms"));
            Ok(LedgerLine {
                case: CaseId(bytes16(row.get("case_id"), "delivery.case_id")?),
                urgent: row.get("urgent"),
                clicked_at_ms: row.get("began_at_ms"),
                submitted_at_ms: row.get("submitted_at_ms"),
                notified_at_ms: notified_at_ms
                    .map(|at_ms| all_notified_at_ms.map_or(at_ms, |all_ms| at_ms.min(all_ms))),
                fetched_at_ms: row.get("pulled_at_ms"),
                first_image_at_ms: row.get("first_image_at_ms"),
                acknowledged_at_ms: row.get("seen_at_ms"),
                alarmed: row.get("alarmed"),
                ended: ended.map(Ended::parse).transpose()?,
            })
        };
        let rows = sql::query(sql).bind(since_ms).bind(LINES_MAX).fetch_all(&self.pool).await?;
        rows.iter().rev().map(read).collect()
    }
}
