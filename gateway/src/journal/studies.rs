//! The list of studies: what lies here and how far it has come, with what a list shows of a patient.

use super::answers::ShownAnswer;
use super::duty::{IS_LISTED, IS_REAL};
use super::intake::NewInstance;
use super::keys::key_of_open_case;
use super::report::{self, DeliveryReport};
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16};
use crate::hex::hex;
use crate::spool::{self, FileKey};
use compressor::dataset::{Banner, BannerTexts};
use compressor::{Phi, Purpose, Uid};
use seal::ids::CaseId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which studies a list shows.
#[derive(Clone, Debug, Default)]
pub struct StudyFilter {
    /// Only those behind this one; to go on where a list ended.
    pub after: Option<CaseId>,
    /// At most so many.
    pub limit: u32,
}

/// What a search goes through of a study.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its case.
    pub case: CaseId,
    /// Modalities of its series.
    pub modalities: BTreeSet<String>,
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
    /// Images that a technician marked as key images.
    pub key_images: u32,
    /// When its case was opened, milliseconds since 1970-01-01 UTC.
    pub opened_at_ms: i64,
    /// When the last instance came, milliseconds since 1970-01-01 UTC.
    pub last_received_ms: Option<i64>,
    /// What doctors answered to any delivery of its case, the oldest first.
    pub answers: Vec<ShownAnswer>,
    /// How far it has come.
    pub delivery: DeliveryReport,
}

/// Number of the delivery that stands for a case, of delivery `d` of it: the last one, but for what was added in silence and nobody has opened.
pub(super) const NEWEST: &str = "(SELECT max(l.sequence) FROM delivery l WHERE l.case_id = d.case_id AND l.residual_of IS NULL
    AND (l.sequence = 1 OR l.state <> 'notified' OR EXISTS
      (SELECT 1 FROM recipient t WHERE t.delivery_id = l.id AND coalesce(t.notified_at_ms, t.first_image_at_ms, t.seen_at_ms) IS NOT NULL)))";

impl Journal {
    /// Studies, the newest first; of tests those alone that a doctor has answered in words.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn studies(&self, filter: &StudyFilter) -> Result<Vec<Study>, JournalError> {
        // Of cases of one moment the id decides: none is listed twice or left out between two pages.
        let after = "AND (c.opened_at_ms, c.id) < (SELECT opened_at_ms, id FROM study_case WHERE id = $1)";
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT c.id FROM study_case c WHERE {IS_LISTED} {} ORDER BY c.opened_at_ms DESC, c.id DESC LIMIT $2",
            if filter.after.is_some() { after } else { "" }
        ));
        let after = filter.after.map(|case| case.0.to_vec());
        let rows = sql::query(sql).bind(after).bind(filter.limit).fetch_all(&self.pool).await?;
        let cases = rows.iter().map(|row| Ok(CaseId(bytes16(row.get("id"), "study_case.id")?)));
        self.studies_at(&cases.collect::<Result<Vec<_>, JournalError>>()?).await
    }

    /// These studies, in this order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn studies_at(&self, cases: &[CaseId]) -> Result<Vec<Study>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{} WHERE c.id IN (SELECT unhex(value) FROM json_each($1)) AND d.residual_of IS NULL
             AND d.sequence = {NEWEST}",
            report::rows()
        ));
        let rows = sql::query(sql).bind(json_of(cases)).fetch_all(&self.pool).await?;
        let mut studies = self.studies_of(&rows).await?;
        let places: HashMap<_, _> = cases.iter().enumerate().map(|(place, case)| (*case, place)).collect();
        studies.sort_by_key(|study| places.get(&study.delivery.case));
        Ok(studies)
    }

    /// One study.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn study_of(&self, case: CaseId) -> Result<Option<Study>, JournalError> {
        Ok(self.studies_at(&[case]).await?.pop())
    }

    /// The newest studies of which a list shows something, the newest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn searched(&self, limit: u32) -> Result<Vec<Listed>, JournalError> {
        let rows = sql::query(sqlx::AssertSqlSafe(format!(
            "SELECT c.id, (SELECT group_concat(DISTINCT s.modality) FROM case_series s WHERE s.case_id = c.id) AS modalities
             FROM study_case c JOIN study_case h ON h.id = coalesce(c.held_as, c.id) JOIN study_card k ON k.case_id = h.id
             WHERE h.spool_key_destroyed_at_ms IS NULL AND {IS_REAL}
             ORDER BY c.opened_at_ms DESC, c.id DESC LIMIT $1"
        )))
        .bind(limit);
        let listed = |row: &Row| {
            let modalities = row.get::<Option<&str>, _>("modalities").unwrap_or_default();
            Ok(Listed {
                case: CaseId(bytes16(row.get("id"), "study_case.id")?),
                modalities: modalities.split(',').map(str::to_owned).collect(),
            })
        };
        rows.fetch_all(&self.pool).await?.iter().map(listed).collect()
    }

    /// What the list shows of each of these cases that is not over.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn cards(&self, cases: &[CaseId]) -> Result<HashMap<CaseId, Banner>, JournalError> {
        self.cards_of(&json_of(cases)).await
    }

    async fn studies_of(&self, rows: &[Row]) -> Result<Vec<Study>, JournalError> {
        let cases = report::ids(rows, "case_id");
        let (mut series, mut cards) = (self.series(&cases).await?, self.cards_of(&cases).await?);
        let mut key_images = self.numbers_of_key_images(&cases).await?;
        let (deliveries, mut answers) = (self.reports(rows).await?, self.answers_of(&cases).await?);
        let of = |(row, delivery): (&Row, DeliveryReport)| {
            let modalities = series.remove(&delivery.case).unwrap_or_default();
            Study {
                study: Uid::parse(row.get("study_uid")).ok(),
                card: cards.remove(&delivery.case),
                series: u32::try_from(modalities.len()).unwrap_or(u32::MAX),
                modalities: modalities.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect(),
                key_images: key_images.remove(&delivery.case).unwrap_or(0),
                opened_at_ms: row.get("opened_at_ms"),
                last_received_ms: row.get("last_received_ms"),
                answers: answers.remove(&delivery.case).unwrap_or_default(),
                delivery,
            }
        };
        Ok(rows.iter().zip(deliveries).map(of).collect())
    }

    async fn numbers_of_key_images(&self, cases: &str) -> Result<HashMap<CaseId, u32>, JournalError> {
        let rows = sql::query(
            "SELECT k.case_id, count(*) AS images FROM json_each($1) AS ids JOIN key_image k ON k.case_id = unhex(ids.value) GROUP BY k.case_id",
        );
        let rows = rows.bind(cases).fetch_all(&self.pool).await?;
        let number =
            |row: &Row| Ok((CaseId(bytes16(row.get("case_id"), "key_image.case_id")?), row.get("images")));
        rows.iter().map(number).collect()
    }

    /// The modality of each series, where it has one.
    async fn series(&self, cases: &str) -> Result<HashMap<CaseId, Vec<Option<String>>>, JournalError> {
        let rows = sql::query(
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

    async fn cards_of(&self, cases: &str) -> Result<HashMap<CaseId, Banner>, JournalError> {
        let rows = sql::query(
            "SELECT c.id AS case_id, k.card, h.spool_key FROM json_each($1) AS ids JOIN study_case c ON c.id = unhex(ids.value)
             JOIN study_case h ON h.id = coalesce(c.held_as, c.id) JOIN study_card k ON k.case_id = h.id
             WHERE h.spool_key_destroyed_at_ms IS NULL",
        )
        .bind(cases);
        let mut cards = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let case = CaseId(bytes16(row.get("case_id"), "study_case.id")?);
            // One that cannot be read hides no other study.
            if let Ok(card) = read_card(row.get("card"), self.unwrapped(&row)?.as_ref()) {
                cards.insert(case, card);
            }
        }
        Ok(cards)
    }
}

fn json_of(cases: &[CaseId]) -> String {
    report::json_of(cases.iter().map(|case| hex(&case.0)))
}

/// Notes what the list shows, from the first instance of a case.
pub(super) async fn add_card(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    case: CaseId,
    instance: &NewInstance,
) -> Result<(), JournalError> {
    let known = sql::query("SELECT 1 FROM study_card WHERE case_id = $1").bind(case.0.as_slice());
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
    sql::query("INSERT INTO study_card (case_id, card) VALUES ($1, $2)")
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
