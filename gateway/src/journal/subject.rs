//! Whose study a delivery is: what the audit trail names of each patient, for as long as it may have to.

use super::intake::NewInstance;
use super::{Journal, JournalError};
use crate::audit::Subject;
use compressor::dataset::{Banner, PersonName};
use compressor::{Phi, Purpose, Uid};
use seal::ids::DeliveryId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::collections::BTreeMap;

/// How long the patients of a case are known at least, in milliseconds: a day longer than a residual may be kept
/// (`compress.residual_hours`). A receipt that comes later is recorded with the study alone.
const SUBJECTS_KEPT_MS: i64 = 31 * 24 * 60 * 60 * 1000;

impl Journal {
    /// Patients of a delivery with the instances of each, by the AE title that sent them.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn subjects(&self, id: DeliveryId) -> Result<Vec<(String, Subject)>, JournalError> {
        let rows = sqlx::query(
            "SELECT s.id, s.calling, s.patient, c.study_uid, i.sop_class_uid, count(i.id) AS instances
             FROM subject s JOIN delivery d ON d.id = s.delivery_id JOIN study_case c ON c.id = d.case_id
             LEFT JOIN instance i ON i.delivery_id = s.delivery_id AND i.subject_id = s.id
             WHERE s.delivery_id = $1 AND (i.id IS NOT NULL OR d.state IN ('cancelled', 'recalled')) GROUP BY s.id, i.sop_class_uid ORDER BY s.id",
        )
        .bind(id.0.as_slice());
        let mut subjects: BTreeMap<i64, (String, Subject)> = BTreeMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let banner = banner(&row)?;
            let study = Uid::parse(row.get("study_uid")).ok();
            let fresh = || (row.get("calling"), Subject { study, banner, classes: BTreeMap::new() });
            let (_, subject) = subjects.entry(row.get("id")).or_insert_with(fresh);
            // None where its instances wait for another press.
            let Some(class) = row.get::<Option<&str>, _>("sop_class_uid") else { continue };
            let class = Uid::parse(class).map_err(|_| JournalError::Unknown("sop_class_uid"))?;
            *subject.classes.entry(class).or_default() += row.get::<i64, _>("instances").unsigned_abs();
        }
        Ok(subjects.into_values().collect())
    }

    /// Deletes what tells of patients in cases that are over for so long that no receipt is to be expected.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn forget_subjects(&self, now_ms: i64) -> Result<(), JournalError> {
        sqlx::query(
            "DELETE FROM subject WHERE delivery_id IN (
               SELECT d.id FROM delivery d JOIN study_case c ON c.id = d.case_id WHERE c.opened_at_ms < $1 - $2
               AND NOT EXISTS (SELECT 1 FROM delivery u WHERE u.case_id = c.id AND u.handed_over_at_ms IS NULL
                 AND u.state NOT IN ('pulled', 'failed', 'cancelled', 'recalled')))",
        )
        .bind(now_ms)
        .bind(SUBJECTS_KEPT_MS)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// The row of the patient whom an instance of this delivery tells of.
pub(super) async fn subject_row(
    transaction: &mut Transaction<'static, Sqlite>,
    delivery: DeliveryId,
    instance: &NewInstance,
) -> Result<i64, JournalError> {
    let patient = text(&instance.banner);
    let row = sqlx::query(
        "INSERT INTO subject (delivery_id, calling, patient) VALUES ($1, $2, $3)
         ON CONFLICT DO UPDATE SET calling = excluded.calling RETURNING id",
    )
    .bind(delivery.0.as_slice())
    .bind(&instance.calling)
    .bind(patient.expose_for(Purpose::Audit))
    .fetch_one(&mut **transaction)
    .await?;
    Ok(row.get("id"))
}

/// What the trail names of a patient (PS3.15 A.5.3), and nothing else.
fn text(banner: &Banner) -> Phi<String> {
    let PersonName { alphabetic, ideographic, phonetic } = &banner.name;
    let parts = [alphabetic, ideographic, phonetic, &banner.patient_id, &banner.accession]
        .map(|part| part.expose_for(Purpose::Audit));
    Phi::new(serde_json::to_string(&parts).unwrap_or_default())
}

fn banner(row: &SqliteRow) -> Result<Banner, JournalError> {
    let parts: [String; 5] =
        serde_json::from_str(row.get("patient")).map_err(|_| JournalError::Unknown("subject.patient"))?;
    let [alphabetic, ideographic, phonetic, patient_id, accession] = parts.map(Phi::new);
    let name = PersonName { alphabetic, ideographic, phonetic };
    Ok(Banner { name, patient_id, accession, ..Banner::default() })
}
