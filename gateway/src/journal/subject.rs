//! Whose study a delivery is: what the audit trail names of each patient, for as long as it may have to. It lies under the master key, not
//! under that of its case, which is destroyed before a late receipt comes.

use super::intake::NewInstance;
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16};
use crate::audit::Subject;
use crate::spool::{self, FileKey};
use compressor::dataset::{Banner, PersonName};
use compressor::{Phi, Purpose, Uid};
use seal::ids::DeliveryId;
use std::collections::BTreeMap;

/// How long the patients of a case are known at least, in milliseconds: a day longer than a residual may be kept
/// (`compress.residual_hours`). A receipt that comes later is recorded with the study alone.
pub(crate) const SUBJECTS_KEPT_MS: i64 = 31 * 24 * 60 * 60 * 1000;

impl Journal {
    /// Patients of a delivery with the instances of each, by the AE title that sent them. Those that lie under a key that was lost are not
    /// among them.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn subjects(&self, id: DeliveryId) -> Result<Vec<(String, Subject)>, JournalError> {
        let rows = sql::query(
            "SELECT s.id, s.calling, s.patient, c.study_uid, i.sop_class_uid, count(i.id) AS instances
             FROM subject s JOIN delivery d ON d.id = s.delivery_id JOIN study_case c ON c.id = d.case_id
             LEFT JOIN instance i ON i.delivery_id = s.delivery_id AND i.subject_id = s.id
             WHERE s.delivery_id = $1 AND (i.id IS NOT NULL OR d.state IN ('cancelled', 'recalled', 'closed')) GROUP BY s.id, c.study_uid, i.sop_class_uid ORDER BY s.id",
        )
        .bind(id.0.as_slice());
        let mut subjects: BTreeMap<i64, (String, Subject)> = BTreeMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let Some(patient) = open(&row, self.master.as_ref()) else {
                tracing::warn!(
                    "the journal cannot say whose study it was (operator: put the key back that [spool] had)"
                );
                continue;
            };
            let banner = banner(&patient)?;
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
        sql::query(
            "DELETE FROM subject WHERE delivery_id IN (
               SELECT d.id FROM delivery d JOIN study_case c ON c.id = d.case_id WHERE c.opened_at_ms < $1 - $2 AND c.opened_running_ms <= (SELECT ms FROM running) - $2
               AND NOT EXISTS (SELECT 1 FROM delivery u WHERE u.case_id = c.id AND u.handed_over_at_ms IS NULL
                 AND u.state NOT IN ('pulled', 'failed', 'cancelled', 'recalled', 'closed')))",
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
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    delivery: DeliveryId,
    instance: &NewInstance,
) -> Result<i64, JournalError> {
    let patient = text(&instance.banner);
    let patient = patient.expose_for(Purpose::Audit).as_bytes();
    row_of(transaction, master, delivery, &instance.calling, patient).await
}

/// The patient of a subject, under another delivery. None where the key it lay under was lost.
pub(super) async fn copy_subject(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    subject: i64,
    delivery: DeliveryId,
) -> Result<Option<i64>, JournalError> {
    let row = sql::query("SELECT calling, patient FROM subject WHERE id = $1").bind(subject);
    let Some(row) = row.fetch_optional(&mut **transaction).await? else { return Ok(None) };
    let Some(patient) = open(&row, master) else { return Ok(None) };
    row_of(transaction, master, delivery, row.get("calling"), &patient).await.map(Some)
}

/// Encrypts every patient under `to` who lies under `from` or in plain. One who lies under a key that was lost stays so; returns how many
/// did not.
pub(super) async fn seal_subjects(
    transaction: &mut Transaction,
    from: Option<&FileKey>,
    to: Option<&FileKey>,
) -> Result<u64, JournalError> {
    let rows = sql::query("SELECT id, delivery_id, patient FROM subject").fetch_all(&mut **transaction);
    let mut sealed = 0;
    for row in rows.await? {
        let Some(patient) = open(&row, from) else { continue };
        let delivery = DeliveryId(bytes16(row.get("delivery_id"), "subject.delivery_id")?);
        sql::query("UPDATE subject SET tag = $2, patient = $3 WHERE id = $1")
            .bind(row.get::<i64, _>("id"))
            .bind(tag(to, delivery, &patient).as_slice())
            .bind(seal(&patient, to)?)
            .execute(&mut **transaction)
            .await?;
        sealed += 1;
    }
    Ok(sealed)
}

async fn row_of(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    delivery: DeliveryId,
    calling: &str,
    patient: &[u8],
) -> Result<i64, JournalError> {
    let tag = tag(master, delivery, patient);
    let known = sql::query("SELECT id FROM subject WHERE delivery_id = $1 AND calling = $2 AND tag = $3")
        .bind(delivery.0.as_slice())
        .bind(calling)
        .bind(tag.as_slice());
    if let Some(row) = known.fetch_optional(&mut **transaction).await? {
        return Ok(row.get("id"));
    }
    let row = sql::query(
        "INSERT INTO subject (delivery_id, calling, tag, patient) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(delivery.0.as_slice())
    .bind(calling)
    .bind(tag.as_slice())
    .bind(seal(patient, master)?)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(row.get("id"))
}

/// Which patient of this delivery it is, told to nobody who has not the key.
fn tag(master: Option<&FileKey>, delivery: DeliveryId, patient: &[u8]) -> [u8; 32] {
    spool::tag(master, &[b"scanpost subject\x01", &delivery.0, patient])
}

fn seal(patient: &[u8], key: Option<&FileKey>) -> Result<Vec<u8>, JournalError> {
    spool::seal_text(patient, key).map_err(|_| JournalError::Unknown("random"))
}

fn open(row: &Row, key: Option<&FileKey>) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    spool::open_text(row.get("patient"), key).ok()
}

/// What the trail names of a patient (PS3.15 A.5.3), and nothing else.
fn text(banner: &Banner) -> Phi<String> {
    let PersonName { alphabetic, ideographic, phonetic } = &banner.name;
    let parts = [alphabetic, ideographic, phonetic, &banner.patient_id, &banner.accession]
        .map(|part| part.expose_for(Purpose::Audit));
    Phi::new(serde_json::to_string(&parts).unwrap_or_default())
}

fn banner(patient: &[u8]) -> Result<Banner, JournalError> {
    let parts: [String; 5] =
        serde_json::from_slice(patient).map_err(|_| JournalError::Unknown("subject.patient"))?;
    let [alphabetic, ideographic, phonetic, patient_id, accession] = parts.map(Phi::new);
    let name = PersonName { alphabetic, ideographic, phonetic };
    Ok(Banner { name, patient_id, accession, ..Banner::default() })
}
