//! What of a study can be shown as a picture, and which of its images are key images.

use super::delivery::read_instance;
use super::sql::{self, Row};
use super::{DeliveryInstance, Journal, JournalError};
use crate::spool;
use compressor::Uid;
use seal::ids::CaseId;
use std::collections::BTreeSet;

/// Objects that show nothing (PS3.3 C.7.3.1.1.1): no picture is looked for in their series as long as there is another.
const NO_PICTURES: &str =
    "('SR', 'PR', 'KO', 'DOC', 'RTSTRUCT', 'RTPLAN', 'RTRECORD', 'REG', 'ECG', 'AU', 'FID')";

/// The order in which a series is shown.
const ORDER: &str = "i.instance_number IS NULL, i.instance_number, i.id";

/// An instance as a technician can choose it.
#[derive(Clone, Debug)]
pub struct Choosable {
    /// Its number in the journal.
    pub id: i64,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Its series; empty where it has none.
    pub series: String,
    /// Modality (0008,0060), where the data set names one.
    pub modality: Option<String>,
    /// It is marked as a key image.
    pub is_key: bool,
}

impl Journal {
    /// Instances of a case, series by series as they came, each by Instance Number.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn choosable(&self, case: CaseId) -> Result<Vec<Choosable>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT i.id, i.sop_instance_uid, i.series_uid, i.modality, k.case_id IS NOT NULL AS is_key FROM instance i
             LEFT JOIN key_image k ON k.case_id = i.case_id AND k.sop_instance_uid = i.sop_instance_uid
             WHERE i.case_id = $1 ORDER BY min(i.id) OVER (PARTITION BY i.series_uid), {ORDER}"
        ));
        let rows = sql::query(sql).bind(case.0.as_slice());
        let choosable = |row: &Row| Choosable {
            id: row.get("id"),
            sop_instance: row.get("sop_instance_uid"),
            series: row.get("series_uid"),
            modality: row.get("modality"),
            is_key: row.get("is_key"),
        };
        Ok(rows.fetch_all(&self.pool).await?.iter().map(choosable).collect())
    }

    /// An instance of a case by its number.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn instance(&self, case: CaseId, id: i64) -> Result<Option<DeliveryInstance>, JournalError> {
        let row = sql::query("SELECT * FROM instance WHERE case_id = $1 AND id = $2");
        let row = row.bind(case.0.as_slice()).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(read_instance).transpose()
    }

    /// The middle one of the series that has most images, by Instance Number, and the number of all instances.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn middle_instance(
        &self,
        case: CaseId,
    ) -> Result<Option<(u32, DeliveryInstance)>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "WITH longest AS (SELECT series_uid, count(*) AS n FROM instance WHERE case_id = $1
               GROUP BY series_uid ORDER BY coalesce(max(modality), '') IN {NO_PICTURES}, n DESC, min(id) LIMIT 1)
             SELECT i.*, (SELECT count(*) FROM instance WHERE case_id = $1) AS instances FROM instance i
             WHERE i.case_id = $1 AND i.series_uid = (SELECT series_uid FROM longest) ORDER BY {ORDER}
             LIMIT 1 OFFSET (SELECT n / 2 FROM longest)"
        ));
        let row = sql::query(sql).bind(case.0.as_slice()).fetch_optional(&self.pool).await?;
        row.map(|row| Ok((row.get("instances"), read_instance(&row)?))).transpose()
    }

    /// The little picture of a study, and how many instances were here when it was made. Empty where it has none to show.
    ///
    /// # Errors
    /// [`JournalError`]; `KeyDestroyed` once the case is over.
    pub async fn picture(&self, case: CaseId) -> Result<Option<(u32, Vec<u8>)>, JournalError> {
        let row = sql::query("SELECT instances, picture FROM study_picture WHERE case_id = $1");
        let Some(row) = row.bind(case.0.as_slice()).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        let key = self.case_key(case).await?;
        // One that cannot be read is made again.
        let picture = spool::open_text(row.get("picture"), key.as_ref()).ok();
        Ok(picture.map(|picture| (row.get("instances"), picture.to_vec())))
    }

    /// Keeps it as long as the list shows something of the study.
    ///
    /// # Errors
    /// [`JournalError`]; `KeyDestroyed` once the case is over.
    pub async fn keep_picture(
        &self,
        case: CaseId,
        instances: u32,
        picture: &[u8],
    ) -> Result<(), JournalError> {
        let sealed = spool::seal_text(picture, self.case_key(case).await?.as_ref());
        sql::query(
            "INSERT INTO study_picture (case_id, instances, picture) SELECT $1, $2, $3 FROM study_card WHERE case_id = $1
             ON CONFLICT (case_id) DO UPDATE SET instances = excluded.instances, picture = excluded.picture",
        )
        .bind(case.0.as_slice())
        .bind(instances)
        .bind(sealed.map_err(|_| JournalError::Unknown("random"))?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The key images of a case are these instances, by their numbers, and no others. False where its images are packed already.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn mark_key_images(&self, case: CaseId, instances: &[i64]) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let open = sql::query("SELECT 1 FROM delivery WHERE case_id = $1 AND state IN ('held', 'received')");
        if open.bind(case.0.as_slice()).fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(false);
        }
        sql::query("DELETE FROM key_image WHERE case_id = $1")
            .bind(case.0.as_slice())
            .execute(&mut *transaction)
            .await?;
        sql::query(
            "INSERT INTO key_image (case_id, sop_instance_uid) SELECT i.case_id, i.sop_instance_uid FROM json_each($2) n
             JOIN instance i ON i.id = CAST(n.value AS BIGINT) WHERE i.case_id = $1 ON CONFLICT DO NOTHING",
        )
        .bind(case.0.as_slice())
        .bind(serde_json::to_string(instances).unwrap_or_default())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The key images that were marked.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn key_images(&self, case: CaseId) -> Result<BTreeSet<Uid>, JournalError> {
        let rows =
            sql::query("SELECT sop_instance_uid FROM key_image WHERE case_id = $1").bind(case.0.as_slice());
        let uid = |row: &Row| {
            Uid::parse(row.get("sop_instance_uid"))
                .map_err(|_| JournalError::Unknown("key_image.sop_instance_uid"))
        };
        rows.fetch_all(&self.pool).await?.iter().map(uid).collect()
    }
}
