//! Notices: a row for each channel that tells a doctor of a delivery, and what came of it.

use super::answers::OPENED_AT;
use super::delivery::{PART_COVER, marking};
use super::duty::IS_REAL;
use super::sql::{self, Row};
use super::{Journal, JournalError, bytes16};
use crate::config::Way;
use notifier::{MustAct, NoticeError};
use seal::ids::DeliveryId;
use serde::Serialize;
use std::collections::HashMap;

/// Of delivery `d` and recipient `r`: notices go. Those of a delivery that the mail server takes only in part go to who has all of it, and
/// nobody's turn comes who stands behind one who opened it; nobody is told who handed the case over. What is added to a case that the doctor has, and
/// was told of or opened, is no second alarm, unless it is urgent or a person asks for one (DESIGN 4). Of a delivery that was fetched those are told
/// who come after one who handed it over.
const IS_TOLD_OF: &str = "(d.sequence = 1 OR d.urgent = 1 OR r.notify_again = 1 OR NOT EXISTS (SELECT 1 FROM delivery e
      JOIN recipient q ON q.delivery_id = e.id AND q.doctor = r.doctor
      JOIN accepted_part a ON a.delivery_id = e.id AND a.doctor = q.doctor AND a.part = 0
      WHERE e.case_id = d.case_id AND e.sequence < d.sequence AND e.residual_of IS NULL
      AND e.state NOT IN ('failed', 'cancelled', 'recalled', 'closed') AND q.refused IS NULL
      AND (q.stands_behind = 0 OR coalesce(q.escalated_at_ms, q.pulled_at_ms, q.first_image_at_ms, q.seen_at_ms) IS NOT NULL)))
    AND d.residual_of IS NULL AND (d.state IN ('submitted', 'notified', 'pulled') OR (d.state = 'sealed' AND d.attempts > 0))
    AND r.refused IS NULL AND r.passed_on_at_ms IS NULL AND (r.stands_behind = 0 OR r.escalated_at_ms IS NOT NULL)
    AND NOT (r.escalated_at_ms IS NOT NULL AND EXISTS (SELECT 1 FROM recipient o WHERE o.delivery_id = d.id
             AND o.passed_on_at_ms IS NULL AND coalesce(o.pulled_at_ms, o.first_image_at_ms, o.seen_at_ms) IS NOT NULL))";

/// A doctor who has all of a delivery and is to be told by further channels.
#[derive(Clone, Debug)]
pub struct Untold {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Name in the configuration.
    pub doctor: String,
    /// Channels up to this level are to tell.
    pub level: u32,
    /// Up to this level they were begun; none at all where absent.
    pub told_level: Option<u32>,
    /// The cover was seen in the mailbox.
    pub cover_seen: bool,
    /// When the mail server had all of it, milliseconds since 1970-01-01 UTC.
    pub submitted_at_ms: i64,
}

/// A notice that is to be sent.
#[derive(Clone, Debug)]
pub struct DueNotice {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Name in the configuration.
    pub doctor: String,
    /// Name in the configuration.
    pub channel: String,
    /// Random id, the same for all channels.
    pub notice: [u8; 16],
    /// When it was begun, milliseconds since 1970-01-01 UTC: the same for all channels that were begun at once, and at each try.
    pub began_at_ms: i64,
    /// Tries that failed.
    pub attempts: u32,
    /// When it is to be sent, milliseconds since 1970-01-01 UTC.
    pub next_try_ms: i64,
    /// The last try was refused for good: it is tried again only because no other channel reaches the doctor.
    pub was_refused: bool,
    /// Another channel has told the doctor.
    pub is_notified: bool,
}

/// How one channel stands.
#[derive(Clone, Debug, Serialize)]
pub struct NoticeReport {
    /// Name in the configuration.
    pub channel: String,
    /// 0: told at once; higher: told when the doctor's level was raised.
    pub level: u32,
    /// `waiting`, `accepted` or `refused`.
    pub state: String,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next, milliseconds since 1970-01-01 UTC; null once accepted.
    pub next_try_ms: Option<i64>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Who must act: `operator` of the gateway, or who runs the `server`.
    pub must_act: Option<String>,
    /// When the channel took it, milliseconds since 1970-01-01 UTC.
    pub accepted_at_ms: Option<i64>,
}

impl Journal {
    /// Doctors who are to be told by channels that were not begun yet.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn untold(&self) -> Result<Vec<Untold>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(untold())).bind(PART_COVER).fetch_all(&self.pool).await?;
        let untold = |row: &Row| {
            Ok(Untold {
                delivery: DeliveryId(bytes16(row.get("delivery_id"), "notice.delivery_id")?),
                doctor: row.get("doctor"),
                level: row.get("level"),
                told_level: row.get("told_level"),
                cover_seen: row.get::<Option<i64>, _>("cover_seen_at_ms").is_some(),
                submitted_at_ms: row.get("accepted_at_ms"),
            })
        };
        rows.iter().map(untold).collect()
    }

    /// Begins the notices of a doctor by these ways. Nothing changes where the level was raised again meanwhile but that it is looked at again.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn begin_notices(
        &self,
        untold: &Untold,
        ways: &[Way],
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        for way in ways {
            sql::query(
                "INSERT INTO notice (delivery_id, doctor, channel, level, state, began_at_ms, next_try_ms) VALUES ($1, $2, $3, $4, 'waiting', $5, $5)
                 ON CONFLICT DO NOTHING",
            )
            .bind(untold.delivery.0.as_slice())
            .bind(&untold.doctor)
            .bind(&way.channel)
            .bind(way.level)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        }
        sql::query("UPDATE recipient SET told_level = $3 WHERE delivery_id = $1 AND doctor = $2")
            .bind(untold.delivery.0.as_slice())
            .bind(&untold.doctor)
            .bind(untold.level)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Notices that no channel has taken, the next one first. Whoever opened the delivery is not told again.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn due_notices(&self) -> Result<Vec<DueNotice>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(due())).fetch_all(&self.pool).await?;
        let due = |row: &Row| {
            Ok(DueNotice {
                delivery: DeliveryId(bytes16(row.get("delivery_id"), "notice.delivery_id")?),
                doctor: row.get("doctor"),
                channel: row.get("channel"),
                notice: bytes16(row.get("notice_id"), "notice_id")?,
                began_at_ms: row.get("began_at_ms"),
                attempts: row.get("attempts"),
                next_try_ms: row.get("next_try_ms"),
                was_refused: row.get::<&str, _>("state") == "refused",
                is_notified: row.get::<Option<i64>, _>("notified_at_ms").is_some(),
            })
        };
        rows.iter().map(due).collect()
    }

    /// Whether a notice stands as it was read: nobody has sent it, or tried to, since.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn is_still_due(&self, due: &DueNotice) -> Result<bool, JournalError> {
        let row = sql::query(
            "SELECT 1 FROM notice n JOIN recipient r ON r.delivery_id = n.delivery_id AND r.doctor = n.doctor
             WHERE n.delivery_id = $1 AND n.doctor = $2 AND n.channel = $3 AND n.state <> 'accepted' AND n.attempts = $4 AND r.notice_id = $5",
        )
        .bind(due.delivery.0.as_slice())
        .bind(&due.doctor)
        .bind(&due.channel)
        .bind(due.attempts)
        .bind(due.notice.as_slice());
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }

    /// A channel took a notice: the doctor is notified. Nothing is done where the doctor gets another one by now.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn notice_accepted(&self, due: &DueNotice, now_ms: i64) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let accepted = sql::query(
            "UPDATE notice SET state = 'accepted', attempts = attempts + 1, error = NULL, must_act = NULL, accepted_at_ms = $5
             WHERE delivery_id = $1 AND doctor = $2 AND channel = $3
             AND EXISTS (SELECT 1 FROM recipient r WHERE r.delivery_id = $1 AND r.doctor = $2 AND r.notice_id = $4)",
        )
        .bind(due.delivery.0.as_slice())
        .bind(&due.doctor)
        .bind(&due.channel)
        .bind(due.notice.as_slice())
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        if accepted.rows_affected() > 0 {
            sql::query(sqlx::AssertSqlSafe(marking("notified_at_ms")))
                .bind(due.delivery.0.as_slice())
                .bind(&due.doctor)
                .bind(now_ms)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// A channel did not take a notice; it is tried again then.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn notice_failed(
        &self,
        due: &DueNotice,
        error: &NoticeError,
        next_try_ms: i64,
    ) -> Result<(), JournalError> {
        let must_act = match error.must_act() {
            MustAct::Operator => "operator",
            MustAct::Server => "server",
        };
        sql::query(
            "UPDATE notice SET state = CASE WHEN $5 = 1 THEN 'refused' ELSE 'waiting' END, attempts = attempts + 1, error = $6, must_act = $7,
             next_try_ms = $8 WHERE delivery_id = $1 AND doctor = $2 AND channel = $3 AND state <> 'accepted'
             AND EXISTS (SELECT 1 FROM recipient r WHERE r.delivery_id = $1 AND r.doctor = $2 AND r.notice_id = $4)",
        )
        .bind(due.delivery.0.as_slice())
        .bind(&due.doctor)
        .bind(&due.channel)
        .bind(due.notice.as_slice())
        .bind(error.is_permanent())
        .bind(tls::bounded(&error.to_string()))
        .bind(must_act)
        .bind(next_try_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was refused or waits is tried at once: what is configured may have been mended since.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn try_notices_now(&self, now_ms: i64) -> Result<(), JournalError> {
        let sql = "UPDATE notice SET next_try_ms = min(next_try_ms, $1) WHERE state <> 'accepted'";
        sql::query(sql).bind(now_ms).execute(&self.pool).await?;
        Ok(())
    }

    /// Channels up to this level tell a doctor from now on. False where they do already, or there is no such doctor.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn raise_level(
        &self,
        id: DeliveryId,
        doctor: &str,
        level: u32,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let sql = "UPDATE recipient SET level = $3, level_at_ms = $4 WHERE delivery_id = $1 AND doctor = $2 AND level < $3";
        let raised = sql::query(sql).bind(id.0.as_slice()).bind(doctor).bind(level).bind(now_ms);
        Ok(raised.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Doctors who have all of a delivery and were not told yet. Not those who opened it while every channel failed once: they know of it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn not_notified(&self, id: DeliveryId) -> Result<Vec<String>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT r.doctor FROM recipient r JOIN delivery d ON d.id = r.delivery_id
             JOIN accepted_part p ON p.delivery_id = r.delivery_id AND p.doctor = r.doctor AND p.part = $2
             WHERE d.id = $1 AND r.notified_at_ms IS NULL AND {IS_TOLD_OF}
             AND NOT ({OPENED_AT} IS NOT NULL AND r.told_level IS NOT NULL AND NOT EXISTS
               (SELECT 1 FROM notice n WHERE n.delivery_id = r.delivery_id AND n.doctor = r.doctor AND n.attempts = 0))"
        ));
        let rows = sql::query(sql).bind(id.0.as_slice()).bind(PART_COVER).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.get("doctor")).collect())
    }

    /// Notices of deliveries that nobody has opened, by channel and state.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn notice_counts(&self) -> Result<Vec<(String, String, i64)>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT n.channel, n.state, count(*) AS notices FROM delivery d
             CROSS JOIN study_case c ON c.id = d.case_id
             CROSS JOIN recipient r ON r.delivery_id = d.id
             CROSS JOIN notice n ON n.delivery_id = r.delivery_id AND n.doctor = r.doctor
             WHERE NOT EXISTS (SELECT 1 FROM recipient o WHERE o.delivery_id = d.id AND {OPENED_AT} IS NOT NULL) AND {IS_TOLD_OF} AND {IS_REAL} GROUP BY n.channel, n.state ORDER BY n.channel, n.state"
        ));
        let rows = sql::query(sql).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| (row.get("channel"), row.get("state"), row.get("notices"))).collect())
    }

    /// How the channels stand, by delivery and doctor, in the order of their levels.
    pub(super) async fn notice_reports(
        &self,
        ids: &str,
    ) -> Result<HashMap<(Vec<u8>, String), Vec<NoticeReport>>, JournalError> {
        let rows = sql::query(
            "SELECT n.* FROM json_each($1) AS ids JOIN notice n ON n.delivery_id = unhex(ids.value) ORDER BY n.level, n.channel",
        )
        .bind(ids);
        let mut reports = HashMap::<_, Vec<NoticeReport>>::new();
        for row in rows.fetch_all(&self.pool).await? {
            let accepted_at_ms: Option<i64> = row.get("accepted_at_ms");
            let of = (row.get("delivery_id"), row.get("doctor"));
            reports.entry(of).or_default().push(NoticeReport {
                channel: row.get("channel"),
                level: row.get("level"),
                state: row.get("state"),
                attempts: row.get("attempts"),
                next_try_ms: accepted_at_ms.is_none().then(|| row.get("next_try_ms")),
                error: row.get("error"),
                must_act: row.get("must_act"),
                accepted_at_ms,
            });
        }
        Ok(reports)
    }
}

/// Asked at each change of the journal, so it begins at the few that are open (SQLite takes CROSS JOIN as the order of its loops); $1: the cover.
fn untold() -> String {
    format!(
        "SELECT r.delivery_id, r.doctor, r.level, r.told_level, r.cover_seen_at_ms, p.accepted_at_ms
         FROM recipient r CROSS JOIN delivery d ON d.id = r.delivery_id
         CROSS JOIN accepted_part p ON p.delivery_id = r.delivery_id AND p.doctor = r.doctor AND p.part = $1
         WHERE (r.told_level IS NULL OR r.told_level < r.level) AND {IS_TOLD_OF}"
    )
}

/// As [`untold`].
fn due() -> String {
    format!(
        "SELECT n.*, r.notice_id, r.notified_at_ms FROM notice n
         CROSS JOIN recipient r ON r.delivery_id = n.delivery_id AND r.doctor = n.doctor
         CROSS JOIN delivery d ON d.id = n.delivery_id
         WHERE n.state <> 'accepted' AND (n.state = 'waiting' OR r.notified_at_ms IS NULL)
         AND NOT (n.attempts > 0 AND {OPENED_AT} IS NOT NULL) AND {IS_TOLD_OF} ORDER BY n.next_try_ms"
    )
}

#[cfg(test)]
pub(super) mod tests;
