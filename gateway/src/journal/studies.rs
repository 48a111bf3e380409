//! The list of studies: what lies here and how far it has come, with what a list shows of a patient.

use super::intake::NewInstance;
use super::keys::key_of_open_case;
use super::report::{self, DeliveryReport, REPORT};
use super::{Journal, JournalError, bytes16};
use crate::spool::{self, FileKey};
use compressor::dataset::{Banner, BannerTexts};
use compressor::{Phi, Purpose, Uid};
use seal::ids::CaseId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
             AND ($2 IS NULL OR EXISTS (SELECT 1 FROM case_series s WHERE s.case_id = c.id AND s.modality = $2))
             ORDER BY c.opened_at_ms DESC, c.id LIMIT $3"
        ));
        let rows = sqlx::query(sql).bind(filter.before_ms).bind(&filter.modality).bind(filter.limit);
        self.studies_of(&rows.fetch_all(&self.pool).await?).await
    }

    /// One study.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn study_of(&self, case: CaseId) -> Result<Option<Study>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{REPORT} WHERE d.residual_of IS NULL AND d.case_id = $1 ORDER BY d.sequence DESC LIMIT 1"
        ));
        let rows = sqlx::query(sql).bind(case.0.as_slice()).fetch_all(&self.pool).await?;
        Ok(self.studies_of(&rows).await?.pop())
    }

    async fn studies_of(&self, rows: &[SqliteRow]) -> Result<Vec<Study>, JournalError> {
        let cases = report::ids(rows, "case_id");
        let (mut series, mut cards) = (self.series(&cases).await?, self.cards(&cases).await?);
        let deliveries = self.reports(rows).await?;
        let of = |(row, delivery): (&SqliteRow, DeliveryReport)| {
            let modalities = series.remove(&delivery.case).unwrap_or_default();
            Study {
                study: Uid::parse(row.get("study_uid")).ok(),
                card: cards.remove(&delivery.case),
                series: u32::try_from(modalities.len()).unwrap_or(u32::MAX),
                modalities: modalities.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect(),
                opened_at_ms: row.get("opened_at_ms"),
                last_received_ms: row.get("last_received_ms"),
                delivery,
            }
        };
        Ok(rows.iter().zip(deliveries).map(of).collect())
    }

    /// The modality of each series, where it has one.
    async fn series(&self, cases: &str) -> Result<HashMap<CaseId, Vec<Option<String>>>, JournalError> {
        let rows = sqlx::query(
            "SELECT s.case_id, s.modality FROM json_each($1) AS ids JOIN case_series s ON s.case_id = unhex(ids.value)",
        )
        .bind(cases);
        let mut series: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let case = CaseId(bytes16(row.get("case_id"), "case_series.case_id")?);
            series.entry(case).or_default().push(row.get("modality"));
        }
        Ok(series)
    }

    /// What the list shows of each case that is not over.
    async fn cards(&self, cases: &str) -> Result<HashMap<CaseId, Banner>, JournalError> {
        let rows = sqlx::query(
            "SELECT k.case_id, k.card, c.spool_key FROM json_each($1) AS ids JOIN study_card k ON k.case_id = unhex(ids.value)
             JOIN study_case c ON c.id = k.case_id WHERE c.spool_key_destroyed_at_ms IS NULL",
        )
        .bind(cases);
        let mut cards = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let case = CaseId(bytes16(row.get("case_id"), "study_card.case_id")?);
            // One that cannot be read hides no other study.
            if let Ok(card) = read_card(row.get("card"), self.unwrapped(&row)?.as_ref()) {
                cards.insert(case, card);
            }
        }
        Ok(cards)
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
