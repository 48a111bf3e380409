//! The end of a case: a person closes it, or its time is over. What was mailed of it is deleted, its key destroyed, and once the mailboxes are
//! known to be empty the journal forgets whose study it was.

use super::answers::OPENED_AT;
use super::duty::IS_REAL;
use super::sql::{self, Row};
use super::withdrawal::{HAS_ARRIVED, Withdraw};
use super::{Journal, JournalError, State, Withdrawal, bytes16};
use crate::notify::{Aged, Standing};
use seal::ids::{CaseId, DeliveryId};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A person closed it.
    Closed,
    /// Its time was over, and somebody had opened it.
    Expired,
    /// Its time was over, and the mail server had it for mail programs and guests alone: nobody says whether it was read.
    HandedOver,
    /// Its time was over, everybody had been told, a person at the hospital had heard the alarm, and nobody has opened it.
    Unopened,
}

impl Ended {
    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::HandedOver => "handed_over",
            Self::Unopened => "unopened",
        }
    }

    /// The words of the audit trail.
    pub fn told(self) -> &'static str {
        match self {
            Self::Closed => "close the case",
            Self::Expired | Self::HandedOver => "the time of the case is over",
            Self::Unopened => "the time of the case is over, and nobody has opened it",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, JournalError> {
        let mut all = [Self::Closed, Self::Expired, Self::HandedOver, Self::Unopened].into_iter();
        all.find(|ended| ended.word() == word).ok_or(JournalError::Unknown("study_case.ended_how"))
    }
}

/// A case that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCase {
    /// Its id.
    pub case: CaseId,
    /// How it ended.
    pub how: Ended,
    /// Who closed it; none where its time was over.
    pub by: Option<String>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Its deliveries, with what became of the mails of each.
    pub deliveries: Vec<DeliveryId>,
    /// What became of its mails.
    pub mails: Vec<EndedMail>,
}

/// What became of a case's mails in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndedMail {
    /// Name in the configuration.
    pub doctor: String,
    /// Mails deleted.
    pub removed: u32,
    /// A search found none then, milliseconds since 1970-01-01 UTC; null where the mailbox gives no right to delete.
    pub empty_at_ms: Option<i64>,
    /// Folders of the mailbox that were searched; null where that was not counted.
    pub folders: Option<u32>,
    /// Folders that were not, and may be of the mailbox.
    pub folders_unsearched: Option<u32>,
    /// All that was mailed had been there. Else some may be on its way still; it is searched for and deleted for five days.
    pub arrived: bool,
}

/// A case that nobody has opened yet.
#[derive(Clone, Debug)]
pub struct Unopened {
    /// Its id.
    pub case: CaseId,
    /// A delivery of it.
    pub delivery: DeliveryId,
    /// How its doctors stand.
    pub standings: Vec<Standing>,
    /// Since when the delivery does not get on; 0 for a dead letter.
    pub stuck_since_ms: Option<i64>,
}

impl Journal {
    /// The gateway has run for so long since this was last said.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn ran(&self, ms: i64) -> Result<(), JournalError> {
        sql::query("UPDATE running SET ms = ms + $1").bind(ms.max(0)).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether a case may end so: none does while more of it is on its way to the doctors, or is a dead letter, which would be lost. Nobody closes what has
    /// a delivery that nobody has opened; what nobody has opened ends by its time only after an alarm that was heard.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn may_end(&self, case: CaseId, how: Ended) -> Result<bool, JournalError> {
        let sql = format!("SELECT 1 FROM study_case c WHERE c.id = $1 AND {}", may_end(how));
        let may =
            sql::query(sqlx::AssertSqlSafe(sql)).bind(case.0.as_slice()).fetch_optional(&self.pool).await?;
        Ok(may.is_some())
    }

    /// Ends a case: its deliveries are closed, its key is destroyed, and what was mailed of it is noted to be deleted. None where it ended before,
    /// or [may not](Self::may_end).
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end(
        &self,
        case: CaseId,
        how: Ended,
        by: Option<&str>,
        now_ms: i64,
    ) -> Result<Option<Withdrawal>, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let ended = sql::query(sqlx::AssertSqlSafe(format!(
            "UPDATE study_case AS c SET ended_at_ms = $2, ended_how = $3, ended_by = $4 WHERE c.id = $1 AND {}",
            may_end(how)
        )))
        .bind(case.0.as_slice())
        .bind(now_ms)
        .bind(how.word())
        .bind(by)
        .execute(&mut *transaction)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(None);
        }
        let by = by.unwrap_or(how.word());
        self.withdraw_in(transaction, case, Withdraw { ends: true, ..Withdraw::of(by, now_ms) }).await
    }

    /// Cases of which the mail server had the last part for longer than `age_ms` of the gateway's running, and what decides how they end.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn aged(&self, age_ms: i64) -> Result<Vec<(CaseId, Aged)>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "SELECT c.id, {} AS opened, {HAS_HANDED_OVER} AS handed_over, c.alarm_heard_at_ms IS NOT NULL AS heard,
               EXISTS (SELECT 1 FROM link l WHERE l.case_id = c.id AND l.ended_at_ms IS NULL) AS linked
             FROM study_case c, running WHERE c.ended_at_ms IS NULL AND c.mailed_running_ms <= running.ms - $1
               AND EXISTS (SELECT 1 FROM delivery d WHERE d.case_id = c.id AND d.state NOT IN ({}))",
            is_opened(),
            State::sql_over()
        )));
        let read = |row: &Row| {
            let aged = Aged {
                has_opened: row.get("opened"),
                is_handed_over: row.get("handed_over"),
                alarm_was_heard: row.get("heard"),
                has_good_link: row.get("linked"),
            };
            Ok((case_of(row)?, aged))
        };
        rows.bind(age_ms).fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// Deliveries of cases that nobody has opened and of which no alarm was raised: those that are with their doctors, and those that do not get there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unopened(&self) -> Result<Vec<Unopened>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "SELECT c.id, d.id AS delivery, CASE WHEN d.state = 'failed' THEN 0 WHEN d.state IN ('submitted', 'notified', 'pulled') THEN NULL ELSE d.failing_since_ms END AS stuck
             FROM study_case c JOIN delivery d ON d.case_id = c.id AND d.residual_of IS NULL
             WHERE c.ended_at_ms IS NULL AND c.alarmed_at_ms IS NULL AND d.handed_over_at_ms IS NULL AND {IS_REAL}
               AND d.state IN ('received', 'assembled', 'compressed', 'sealed', 'submitted', 'notified', 'pulled', 'failed')
               AND (d.state NOT IN ('received', 'assembled', 'compressed') OR d.failing_since_ms IS NOT NULL)
               AND NOT {}",
            is_opened()
        )));
        let mut unopened = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            let delivery = DeliveryId(bytes16(row.get("delivery"), "delivery.id")?);
            let standings = self.standings(delivery).await?;
            unopened.push(Unopened {
                case: case_of(&row)?,
                delivery,
                standings,
                stuck_since_ms: row.get("stuck"),
            });
        }
        Ok(unopened)
    }

    /// Alarms that are for somebody to hear.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn ringing(&self) -> Result<i64, JournalError> {
        let sql = format!("SELECT count(*) FROM study_case c WHERE {}", rings());
        Ok(sql::query(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await?.get(0))
    }

    /// Nobody has opened a case, and everybody was told: it is for the hospital now. False where an alarm was raised before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn alarm(&self, case: CaseId, now_ms: i64) -> Result<bool, JournalError> {
        let alarmed = sql::query(
            "UPDATE study_case SET alarmed_at_ms = $2, first_alarmed_at_ms = coalesce(first_alarmed_at_ms, $2) WHERE id = $1 AND alarmed_at_ms IS NULL AND ended_at_ms IS NULL",
        );
        let alarmed = alarmed.bind(case.0.as_slice()).bind(now_ms).execute(&self.pool).await?;
        Ok(alarmed.rows_affected() > 0)
    }

    /// A person at the hospital has heard the alarm. False where there is none, or somebody has heard it before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn alarm_heard(&self, case: CaseId, by: &str, now_ms: i64) -> Result<bool, JournalError> {
        let heard = sql::query(
            "UPDATE study_case SET alarm_heard_at_ms = $3, alarm_heard_by = $2
             WHERE id = $1 AND alarmed_at_ms IS NOT NULL AND alarm_heard_at_ms IS NULL AND ended_at_ms IS NULL",
        );
        let heard = heard.bind(case.0.as_slice()).bind(by).bind(now_ms).execute(&self.pool).await?;
        Ok(heard.rows_affected() > 0)
    }

    /// Cases that have ended, whose mails are known to be gone, or to stay, and of which the trail has no proof yet.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn to_prove(&self) -> Result<Vec<EndedCase>, JournalError> {
        let rows = sql::query(
            "SELECT c.id, c.ended_at_ms, c.ended_how, c.ended_by FROM study_case c
             WHERE c.ended_at_ms IS NOT NULL AND c.deletion_proved_at_ms IS NULL
               AND NOT EXISTS (SELECT 1 FROM delivery d JOIN withdrawn_mail w ON w.delivery_id = d.id
                 WHERE d.case_id = c.id AND w.looked_at_ms IS NULL AND w.stays = 0)
               AND NOT EXISTS (SELECT 1 FROM link l WHERE l.case_id = c.id AND l.gone_at_ms IS NULL AND l.stays = 0)",
        );
        let mut cases = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            let case = case_of(&row)?;
            let deliveries = sql::query("SELECT id FROM delivery WHERE case_id = $1 ORDER BY sequence");
            let deliveries = deliveries.bind(case.0.as_slice()).fetch_all(&self.pool).await?;
            let id = |row: &Row| Ok(DeliveryId(bytes16(row.get("id"), "delivery.id")?));
            cases.push(EndedCase {
                case,
                how: Ended::parse(row.get("ended_how"))?,
                by: row.get("ended_by"),
                at_ms: row.get("ended_at_ms"),
                deliveries: deliveries.iter().map(id).collect::<Result<_, JournalError>>()?,
                mails: self.mails_of(case).await?,
            });
        }
        Ok(cases)
    }

    /// One for each mailbox.
    async fn mails_of(&self, case: CaseId) -> Result<Vec<EndedMail>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "SELECT doctor, CAST(sum(removed) AS BIGINT) AS removed, CASE max(stays) WHEN 0 THEN min(looked_at_ms) END AS empty_at_ms, min(arrived) AS arrived,
               min(folders) AS folders, max(folders_unsearched) AS folders_unsearched FROM (
               SELECT w.doctor, w.removed, w.looked_at_ms, w.stays, CASE WHEN {HAS_ARRIVED} THEN 1 ELSE 0 END AS arrived, w.folders, w.folders_unsearched
                 FROM withdrawn_mail w JOIN delivery d ON d.id = w.delivery_id WHERE d.case_id = $1
               UNION ALL SELECT l.doctor, 0, l.gone_at_ms, l.stays, 1, NULL, NULL FROM link l WHERE l.case_id = $1) AS mails
             GROUP BY doctor ORDER BY doctor"
        )));
        let read = |row: &Row| EndedMail {
            doctor: row.get("doctor"),
            removed: row.get("removed"),
            empty_at_ms: row.get("empty_at_ms"),
            folders: row.get("folders"),
            folders_unsearched: row.get("folders_unsearched"),
            arrived: row.get("arrived"),
        };
        Ok(rows.bind(case.0.as_slice()).fetch_all(&self.pool).await?.iter().map(read).collect())
    }

    /// Mailboxes that nobody has looked into yet for mails of cases that have ended.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unlooked(&self) -> Result<Vec<(DeliveryId, String)>, JournalError> {
        let rows = sql::query(
            "SELECT w.delivery_id, w.doctor FROM withdrawn_mail w CROSS JOIN delivery d ON d.id = w.delivery_id
             WHERE d.state = 'closed' AND w.looked_at_ms IS NULL AND w.stays = 0",
        );
        let read = |row: &Row| {
            Ok((
                DeliveryId(bytes16(row.get("delivery_id"), "withdrawn_mail.delivery_id")?),
                row.get("doctor"),
            ))
        };
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The trail has the proof: the journal forgets whose study it was and which images it had. When the log of the journal is emptied next,
    /// nothing is left of them.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn forget(&self, case: CaseId, now_ms: i64) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        for sql in [
            "DELETE FROM instance WHERE case_id = $1",
            "DELETE FROM subject WHERE delivery_id IN (SELECT id FROM delivery WHERE case_id = $1)",
            // The list goes on to count series and images.
            "UPDATE case_series SET series_uid = hex(randomblob(16)) WHERE case_id = $1",
            "UPDATE study_case SET study_uid = 'forgotten ' || hex(id), deletion_proved_at_ms = $2 WHERE id = $1",
        ] {
            sql::query(sql).bind(case.0.as_slice()).bind(now_ms).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.log_holds_keys.store(true, Ordering::Release);
        Ok(())
    }
}

/// Somebody opened a delivery of case `c`.
pub(super) fn is_opened() -> String {
    format!(
        "EXISTS (SELECT 1 FROM delivery o JOIN recipient r ON r.delivery_id = o.id
           WHERE o.case_id = c.id AND o.residual_of IS NULL AND {OPENED_AT} IS NOT NULL)"
    )
}

/// The alarm of case `c` is for somebody to hear.
pub(super) fn rings() -> String {
    format!(
        "(c.alarmed_at_ms IS NOT NULL AND c.alarm_heard_at_ms IS NULL AND c.ended_at_ms IS NULL AND NOT {}
           AND EXISTS (SELECT 1 FROM delivery l WHERE l.case_id = c.id AND l.state NOT IN ({})))",
        is_opened(),
        State::sql_over()
    )
}

/// Mail programs or guests have a delivery of case `c`, and nobody else is waited for.
const HAS_HANDED_OVER: &str =
    "EXISTS (SELECT 1 FROM delivery o WHERE o.case_id = c.id AND o.handed_over_at_ms IS NOT NULL)";

/// More of case `c` is on its way to its doctors. Of one that is sealed somebody may have all.
const IS_UNDER_WAY: &str = "EXISTS (SELECT 1 FROM delivery u WHERE u.case_id = c.id AND u.residual_of IS NULL
    AND (u.state IN ('held', 'received', 'assembled', 'compressed') OR (u.state = 'sealed'
      AND NOT EXISTS (SELECT 1 FROM accepted_part p WHERE p.delivery_id = u.id AND p.part = 0))))";

/// Delivery `f` is a dead letter: its files are all that is left. One whose images were all sent again is none any more.
pub(super) const IS_DEAD_LETTER: &str =
    "(f.state = 'failed' AND EXISTS (SELECT 1 FROM instance i WHERE i.delivery_id = f.id))";

/// A delivery of case `c` is a dead letter.
fn has_failed() -> String {
    format!(
        "EXISTS (SELECT 1 FROM delivery f WHERE f.case_id = c.id AND f.residual_of IS NULL AND {IS_DEAD_LETTER})"
    )
}

/// See [`Journal::may_end`].
fn may_end(how: Ended) -> String {
    let has_failed = has_failed();
    let condition = match how {
        Ended::Closed => format!(
            "({opened} OR {HAS_HANDED_OVER}) AND NOT {has_failed} AND NOT EXISTS (SELECT 1 FROM delivery n WHERE n.case_id = c.id AND n.residual_of IS NULL
               AND n.state IN ('sealed', 'submitted', 'notified') AND n.handed_over_at_ms IS NULL AND (n.sequence = 1 OR n.urgent = 1)
               AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.delivery_id = n.id AND {OPENED_AT} IS NOT NULL))",
            opened = is_opened()
        ),
        Ended::Expired => format!("{} AND NOT {has_failed}", is_opened()),
        Ended::HandedOver => format!("{HAS_HANDED_OVER} AND NOT {has_failed}"),
        Ended::Unopened => format!("c.alarm_heard_at_ms IS NOT NULL AND NOT {has_failed} AND NOT {}", is_opened()),
    };
    format!(
        "c.ended_at_ms IS NULL AND c.mailed_running_ms IS NOT NULL AND NOT {IS_UNDER_WAY} AND {condition}"
    )
}

fn case_of(row: &Row) -> Result<CaseId, JournalError> {
    Ok(CaseId(bytes16(row.get("id"), "study_case.id")?))
}
