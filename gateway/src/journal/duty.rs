//! Tests with synthetic cases, as they are kept, and what tells their cases from real ones.

use super::intake::find_open_case;
use super::sql::{self, Row};
use super::{Journal, JournalError, bytes16};
use compressor::Uid;
use seal::ids::{CaseId, DeliveryId};
use serde::Serialize;
use std::collections::BTreeMap;

/// The AE title that synthetic studies are received under. No peer can call it, and neither a destination nor `[dicom] hold` may be named so.
pub const TEST_AE_TITLE: &str = "SCANPOST-TEST";

/// Of case `c`: no test. Nobody is alarmed of one, and no figure counts it.
pub(super) const IS_REAL: &str = "c.destination <> 'SCANPOST-TEST'";

/// Of case `c`: no test, or one that a doctor has answered in words, which somebody must read.
pub(super) const IS_LISTED: &str = "(c.destination <> 'SCANPOST-TEST'
    OR EXISTS (SELECT 1 FROM delivery t JOIN answer a ON a.delivery_id = t.id WHERE t.case_id = c.id))";

/// Asked at each change of the journal, like the next one: each begins at the few rows that an index has, among those of years.
const RECENT_OR_OPEN: &str = "SELECT * FROM duty_test INDEXED BY duty_test_began WHERE began_at_ms >= $1
    UNION SELECT * FROM duty_test INDEXED BY duty_test_open WHERE ended_at_ms IS NULL ORDER BY id";
const NOT_REACHABLE: &str =
    "SELECT doctor, min(began_at_ms) AS since_ms FROM duty_test INDEXED BY duty_test_unanswered
    WHERE answered_at_ms IS NULL AND kind = 'readiness' AND late_at_ms IS NOT NULL GROUP BY doctor";

/// What a test is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// The function test of each day (DIN 6868-159).
    Daily,
    /// Whether who goes on duty can be reached.
    Readiness,
}

impl TestKind {
    fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Readiness => "readiness",
        }
    }

    fn parse(word: &str) -> Result<Self, JournalError> {
        let known = [Self::Daily, Self::Readiness].into_iter().find(|kind| kind.word() == word);
        known.ok_or(JournalError::Unknown("duty_test.kind"))
    }
}

/// A test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DutyTest {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub kind: TestKind,
    /// Name in the configuration.
    pub doctor: String,
    /// Daily: the day, `2026-11-29`; readiness: when the duty began, `2026-11-29T08:00:00Z`.
    pub occasion: String,
    /// Study Instance UID of what is sent.
    #[serde(skip)]
    pub study: Uid,
    /// When it began, milliseconds since 1970-01-01 UTC.
    pub began_at_ms: i64,
    /// Its delivery; null before that was begun.
    pub delivery: Option<DeliveryId>,
    /// When the doctor opened it.
    pub returned_at_ms: Option<i64>,
    /// When the doctor opened it, or anything else since.
    pub answered_at_ms: Option<i64>,
    /// It was not answered in time, and that was said then.
    pub late_at_ms: Option<i64>,
    /// Seconds of each stage, and `total`, once it returned.
    pub seconds: Option<BTreeMap<String, f64>>,
    /// Its case was closed or withdrawn then.
    pub ended_at_ms: Option<i64>,
}

impl Journal {
    /// Tests that began since then, or have not ended, in their order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn duty_tests(&self, since_ms: i64) -> Result<Vec<DutyTest>, JournalError> {
        sql::query(RECENT_OR_OPEN).bind(since_ms).fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The newest tests of this kind, the newest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn newest_duty_tests(&self, kind: TestKind, limit: u32) -> Result<Vec<DutyTest>, JournalError> {
        let rows = sql::query("SELECT * FROM duty_test WHERE kind = $1 ORDER BY id DESC LIMIT $2");
        rows.bind(kind.word()).bind(limit).fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// When a daily test last returned in time, milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn daily_succeeded_at_ms(&self) -> Result<Option<i64>, JournalError> {
        let sql = "SELECT max(returned_at_ms) FROM duty_test WHERE kind = 'daily' AND late_at_ms IS NULL";
        Ok(sql::query(sql).fetch_one(&self.pool).await?.get(0))
    }

    /// Notes a test that begins. False where there was one for the same occasion.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn begin_duty_test(
        &self,
        kind: TestKind,
        doctor: &str,
        occasion: &str,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let study = format!("2.25.{}", u128::from_be_bytes(super::random_id()?));
        let begun = sql::query(
            "INSERT INTO duty_test (kind, doctor, occasion, study_uid, began_at_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(kind.word())
        .bind(doctor)
        .bind(occasion)
        .bind(study)
        .bind(now_ms);
        Ok(begun.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// The open case in which a study lies that was sent there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_case(&self, destination: &str, study: &Uid) -> Result<Option<CaseId>, JournalError> {
        find_open_case(&self.pool, destination, study.as_str()).await
    }

    /// This delivery carries a test.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn duty_test_is(&self, id: i64, delivery: DeliveryId) -> Result<(), JournalError> {
        let sql = "UPDATE duty_test SET delivery_id = $2 WHERE id = $1";
        sql::query(sql).bind(id).bind(delivery.0.as_slice()).execute(&self.pool).await?;
        Ok(())
    }

    /// A test was not answered in time. False where that was noted before, or it was answered meanwhile.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn duty_test_is_late(&self, test: &DutyTest, now_ms: i64) -> Result<bool, JournalError> {
        let sql = match test.kind {
            TestKind::Daily => {
                "UPDATE duty_test SET late_at_ms = $2 WHERE id = $1 AND late_at_ms IS NULL AND returned_at_ms IS NULL"
            }
            TestKind::Readiness => {
                "UPDATE duty_test SET late_at_ms = $2 WHERE id = $1 AND late_at_ms IS NULL AND answered_at_ms IS NULL"
            }
        };
        Ok(sql::query(sql).bind(test.id).bind(now_ms).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// The case of a test is over. `seconds`: of each stage, where it returned.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_duty_test(
        &self,
        id: i64,
        seconds: Option<&BTreeMap<String, f64>>,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let seconds = seconds.map(|seconds| serde_json::to_string(seconds).unwrap_or_default());
        sql::query(
            "UPDATE duty_test SET ended_at_ms = coalesce(ended_at_ms, $3), seconds = $2 WHERE id = $1",
        )
        .bind(id)
        .bind(seconds)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Doctors whose test at the start of duty was not answered in time, and who have opened nothing since; with the time since when, milliseconds
    /// since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn not_reachable(&self) -> Result<BTreeMap<String, i64>, JournalError> {
        let rows = sql::query(NOT_REACHABLE).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| (row.get("doctor"), row.get("since_ms"))).collect())
    }
}

fn read(row: &Row) -> Result<DutyTest, JournalError> {
    let delivery: Option<Vec<u8>> = row.get("delivery_id");
    let seconds: Option<&str> = row.get("seconds");
    Ok(DutyTest {
        id: row.get("id"),
        kind: TestKind::parse(row.get("kind"))?,
        doctor: row.get("doctor"),
        occasion: row.get("occasion"),
        study: Uid::parse(row.get("study_uid")).map_err(|_| JournalError::Unknown("duty_test.study_uid"))?,
        began_at_ms: row.get("began_at_ms"),
        delivery: delivery.map(|id| bytes16(id, "duty_test.delivery_id").map(DeliveryId)).transpose()?,
        returned_at_ms: row.get("returned_at_ms"),
        answered_at_ms: row.get("answered_at_ms"),
        late_at_ms: row.get("late_at_ms"),
        seconds: seconds
            .map(|text| serde_json::from_str(text).map_err(|_| JournalError::Unknown("duty_test.seconds")))
            .transpose()?,
        ended_at_ms: row.get("ended_at_ms"),
    })
}

#[cfg(test)]
#[path = "duty_tests.rs"]
mod tests;
