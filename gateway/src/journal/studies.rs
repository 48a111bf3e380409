//! The list of studies: what lies here and how far it has come, with what a list shows of a patient.

use super::intake::NewInstance;
use super::keys::key_of_open_case;
use super::report::{DeliveryReport, REPORT};
use super::{Journal, JournalError, bytes16};
use crate::spool::{self, FileKey};
use compressor::dataset::{Banner, BannerTexts};
use compressor::{Phi, Purpose, Uid};
use seal::ids::CaseId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::collections::BTreeMap;

/// Which studies a list shows.
#[derive(Clone, Debug, Default)]
pub struct StudyFilter {
    /// Begun before, milliseconds since 1970-01-01 UTC; to go on where a list ended.
    pub before_ms: Option<i64>,
    /// Only those of this modality (0008,0060).
    pub modality: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// A study, as the last delivery of its case has it.
#[derive(Clone)]
pub struct Study {
    /// Study Instance UID.
    pub study: Option<Uid>,
    /// What the list shows of the patient; none once the case is over and that is deleted.
    pub card: Option<Banner>,
    /// Modalities, in the order of the alphabet.
    pub modalities: Vec<String>,
    /// Series that something came of.
    pub series: u32,
    /// When its case was opened, milliseconds since 1970-01-01 UTC.
    pub opened_at_ms: i64,
    /// When the last instance came, milliseconds since 1970-01-01 UTC.
    pub last_received_ms: Option<i64>,
    /// How far it has come.
    pub delivery: DeliveryReport,
}

impl Journal {
    /// Studies, the newest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn studies(&self, filter: &StudyFilter) -> Result<Vec<Study>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{REPORT} WHERE d.residual_of IS NULL AND d.sequence = (SELECT max(sequence) FROM delivery l
               WHERE l.case_id = d.case_id AND l.residual_of IS NULL)
             AND ($1 IS NULL OR c.opened_at_ms < $1)
             AND ($2 IS NULL OR EXISTS (SELECT 1 FROM instance i WHERE i.case_id = c.id AND i.modality = $2))
             ORDER BY c.opened_at_ms DESC, c.id LIMIT $3"
        ));
        let rows = sqlx::query(sql).bind(filter.before_ms).bind(&filter.modality).bind(filter.limit);
        let mut studies = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            studies.push(self.study(&row).await?);
        }
        Ok(studies)
    }

    /// One study.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn study_of(&self, case: CaseId) -> Result<Option<Study>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{REPORT} WHERE d.residual_of IS NULL AND d.case_id = $1 ORDER BY d.sequence DESC LIMIT 1"
        ));
        match sqlx::query(sql).bind(case.0.as_slice()).fetch_optional(&self.pool).await? {
            Some(row) => self.study(&row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn study(&self, row: &SqliteRow) -> Result<Study, JournalError> {
        let case = CaseId(bytes16(row.get("case_id"), "delivery.case_id")?);
        let series = sqlx::query("SELECT DISTINCT series_uid, modality FROM instance WHERE case_id = $1")
            .bind(case.0.as_slice())
            .fetch_all(&self.pool)
            .await?;
        let mut modalities: Vec<String> = series.iter().filter_map(|row| row.get("modality")).collect();
        modalities.sort_unstable();
        modalities.dedup();
        Ok(Study {
            study: Uid::parse(row.get("study_uid")).ok(),
            card: self.card(case).await?,
            modalities,
            series: u32::try_from(series.len()).unwrap_or(u32::MAX),
            opened_at_ms: row.get("opened_at_ms"),
            last_received_ms: row.get("last_received_ms"),
            delivery: self.report_row(row).await?,
        })
    }

    async fn card(&self, case: CaseId) -> Result<Option<Banner>, JournalError> {
        let row = sqlx::query("SELECT card FROM study_card WHERE case_id = $1").bind(case.0.as_slice());
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let key = match self.case_key(case).await {
            Err(JournalError::KeyDestroyed) => return Ok(None),
            key => key?,
        };
        read_card(row.get("card"), key.as_ref()).map(Some)
    }
}

/// Notes what the list shows, from the first instance of a case.
pub(super) async fn add_card(
    transaction: &mut Transaction<'static, Sqlite>,
    master: Option<&FileKey>,
    case: CaseId,
    instance: &NewInstance,
) -> Result<(), JournalError> {
    let known = sqlx::query("SELECT 1 FROM study_card WHERE case_id = $1").bind(case.0.as_slice());
    if known.fetch_optional(&mut **transaction).await?.is_some() {
        return Ok(());
    }
    let key = match master.filter(|_| instance.file_key.is_some()) {
        Some(master) => Some(key_of_open_case(transaction, master, case).await?),
        None => None,
    };
    let texts: BTreeMap<_, _> = instance.card.texts(Purpose::Keep).collect();
    let text = Phi::new(serde_json::to_string(&texts).unwrap_or_default());
    let card = spool::seal_text(text.expose_for(Purpose::Keep).as_bytes(), key.as_ref());
    sqlx::query("INSERT INTO study_card (case_id, card) VALUES ($1, $2)")
        .bind(case.0.as_slice())
        .bind(card.map_err(|_| JournalError::Unknown("random"))?)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read_card(sealed: &[u8], key: Option<&FileKey>) -> Result<Banner, JournalError> {
    let unknown = || JournalError::Unknown("study_card.card");
    let text = spool::open_text(sealed, key).map_err(|_| unknown())?;
    let texts: BannerTexts = serde_json::from_slice(&text).map_err(|_| unknown())?;
    Ok(texts.into())
}
