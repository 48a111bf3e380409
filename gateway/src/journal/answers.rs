//! What comes back from a doctor: that the first image was seen, that the case was, how long it was looked at, and a few words. Words die with
//! their case.

use super::delivery::marking;
use super::report::json_of;
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16};
use crate::hex::hex;
use crate::spool::{self, FileKey};
use compressor::Phi;
use seal::answer::{Answer, AnswerPoint, Words};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::native::{AnswerKey, SealError};
use serde::Serialize;
use std::collections::HashMap;

/// Answers of one doctor to one delivery that are kept: who says more telephones.
const ANSWERS_MAX: i64 = 20;
/// Readings of one delivery by one doctor that are kept; a telephone that is put down and taken up again begins another.
const READINGS_MAX: i64 = 200;

/// Of a recipient: a sign that the doctor looked at the delivery, and did not hand it over; null where there is none.
pub(super) const OPENED_AT: &str =
    "CASE WHEN passed_on_at_ms IS NULL THEN coalesce(pulled_at_ms, first_image_at_ms, seen_at_ms) END";

/// What an answer says, as far as everybody may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// Call me back.
    CallBack,
    /// A few words.
    Words,
    /// Signed by the doctor, and no plain text.
    Unreadable,
    /// It came after the case was over, and cannot be opened any more.
    Closed,
}

impl AnswerKind {
    const ALL: [Self; 4] = [Self::CallBack, Self::Words, Self::Unreadable, Self::Closed];

    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::CallBack => "call_back",
            Self::Words => "words",
            Self::Unreadable => "unreadable",
            Self::Closed => "closed",
        }
    }

    fn parse(word: &str) -> Result<Self, JournalError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.word() == word);
        kind.ok_or(JournalError::Unknown("answer.kind"))
    }
}

/// An answer as it came.
#[derive(Clone)]
pub enum Came {
    /// It was opened.
    Answer(Answer),
    /// It is no plain text.
    Unreadable,
    /// The case is over.
    Closed,
}

impl Came {
    /// What everybody may know of it.
    pub fn kind(&self) -> AnswerKind {
        match self {
            Self::Answer(Answer::CallBack) => AnswerKind::CallBack,
            Self::Answer(Answer::Words(_)) => AnswerKind::Words,
            Self::Unreadable => AnswerKind::Unreadable,
            Self::Closed => AnswerKind::Closed,
        }
    }
}

/// What became of an answer, or of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is new.
    New,
    /// It is here already.
    Known,
    /// The doctor has said so much that no more is kept.
    TooMany,
}

/// An answer as the page shows it.
#[derive(Clone)]
pub struct ShownAnswer {
    /// Name in the configuration.
    pub doctor: String,
    /// What it says.
    pub kind: AnswerKind,
    /// Its words; none where it has none, or once the case is over.
    pub words: Option<Words>,
    /// When it came, milliseconds since 1970-01-01 UTC.
    pub came_at_ms: i64,
}

/// That somebody answered, without the words.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AnswerReport {
    /// What it says.
    pub kind: AnswerKind,
    /// When it came, milliseconds since 1970-01-01 UTC.
    pub came_at_ms: i64,
}

impl Journal {
    /// The point that answers to a delivery are sealed to; its key is made once and lies under that of the case.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn answer_point(
        &self,
        id: DeliveryId,
        case_key: Option<&FileKey>,
    ) -> Result<AnswerPoint, JournalError> {
        let fresh = AnswerKey::generate().and_then(|key| key.to_bytes()).map_err(unknown)?;
        let fresh = spool::seal_text(&*fresh, case_key).map_err(|_| JournalError::Unknown("random"))?;
        let row = sql::query(
            "UPDATE delivery SET answer_key = coalesce(answer_key, $2) WHERE id = $1 RETURNING answer_key",
        );
        let row = row.bind(id.0.as_slice()).bind(fresh).fetch_one(&self.pool).await?;
        opened_key(row.get("answer_key"), case_key)?.point().map_err(unknown)
    }

    /// The key that opens answers to a delivery; none once its case is over.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn answer_key(&self, id: DeliveryId) -> Result<Option<AnswerKey>, JournalError> {
        let row = sql::query(
            "SELECT d.answer_key, c.spool_key, c.spool_key_destroyed_at_ms FROM delivery d JOIN study_case c ON c.id = d.case_id WHERE d.id = $1",
        );
        let row = row.bind(id.0.as_slice()).fetch_one(&self.pool).await?;
        let is_over = row.get::<Option<i64>, _>("spool_key_destroyed_at_ms").is_some();
        match row.get::<Option<Vec<u8>>, _>("answer_key") {
            // One that cannot be read must not keep what others say from being taken.
            Some(sealed) if !is_over => Ok(opened_key(&sealed, self.unwrapped(&row)?.as_ref()).ok()),
            _ => Ok(None),
        }
    }

    /// Whether this answer would be new.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn is_new_answer(
        &self,
        id: DeliveryId,
        doctor: &str,
        digest: &Digest,
    ) -> Result<Noted, JournalError> {
        let row = sql::query("SELECT count(*) AS n, count(*) FILTER (WHERE digest = $3) AS same FROM answer WHERE delivery_id = $1 AND doctor = $2")
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(digest.0.as_slice())
            .fetch_one(&self.pool)
            .await?;
        Ok(noted(&row, ANSWERS_MAX))
    }

    /// Takes an answer; the words are kept under the key of the case. False where it is here already.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn answered(
        &self,
        id: DeliveryId,
        doctor: &str,
        digest: &Digest,
        came: &Came,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let words = match came {
            Came::Answer(Answer::Words(words)) => {
                let case = self.delivery(id).await?.case;
                let text = words.expose_for(compressor::Purpose::Keep).as_bytes();
                let sealed = spool::seal_text(text, self.case_key(case).await?.as_ref());
                Some(sealed.map_err(|_| JournalError::Unknown("random"))?)
            }
            _ => None,
        };
        let mut transaction = self.pool.begin_writing().await?;
        let inserted = sql::query(
            "INSERT INTO answer (delivery_id, doctor, digest, kind, words, came_at_ms) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(id.0.as_slice())
        .bind(doctor)
        .bind(digest.0.as_slice())
        .bind(came.kind().word())
        .bind(words)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        // Whoever answers has seen it.
        sql::query(sqlx::AssertSqlSafe(marking("seen_at_ms")))
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Whether this reading would be new.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn is_new_reading(
        &self,
        id: DeliveryId,
        doctor: &str,
        ended_at: i64,
        seconds: u32,
    ) -> Result<Noted, JournalError> {
        let row = sql::query(
            "SELECT count(*) AS n, count(*) FILTER (WHERE ended_at = $3 AND seconds = $4) AS same FROM reading WHERE delivery_id = $1 AND doctor = $2",
        );
        let row = row.bind(id.0.as_slice()).bind(doctor).bind(ended_at).bind(seconds);
        Ok(noted(&row.fetch_one(&self.pool).await?, READINGS_MAX))
    }

    /// Takes a reading that ended at `ended_at`, seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn was_read(
        &self,
        id: DeliveryId,
        doctor: &str,
        ended_at: i64,
        seconds: u32,
    ) -> Result<(), JournalError> {
        sql::query("INSERT INTO reading (delivery_id, doctor, ended_at, seconds) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(id.0.as_slice())
            .bind(doctor)
            .bind(ended_at)
            .bind(seconds)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Answers to the deliveries of these cases, by case, the oldest first. Of cases that are over there are no words.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn answers(&self, cases: &[CaseId]) -> Result<HashMap<CaseId, Vec<ShownAnswer>>, JournalError> {
        self.answers_of(&json_of(cases.iter().map(|case| hex(&case.0)))).await
    }

    pub(super) async fn answers_of(
        &self,
        cases: &str,
    ) -> Result<HashMap<CaseId, Vec<ShownAnswer>>, JournalError> {
        let rows = sql::query(
            "SELECT d.case_id, a.doctor, a.kind, a.words, a.came_at_ms, c.spool_key FROM json_each($1) AS ids
             JOIN study_case c ON c.id = unhex(ids.value) JOIN delivery d ON d.case_id = c.id
             JOIN answer a ON a.delivery_id = d.id ORDER BY a.came_at_ms, a.id",
        );
        let mut answers: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows.bind(cases).fetch_all(&self.pool).await? {
            let case = CaseId(bytes16(row.get("case_id"), "delivery.case_id")?);
            answers.entry(case).or_default().push(ShownAnswer {
                doctor: row.get("doctor"),
                kind: AnswerKind::parse(row.get("kind"))?,
                words: self.words(&row),
                came_at_ms: row.get("came_at_ms"),
            });
        }
        Ok(answers)
    }

    /// What was answered to these deliveries, by delivery and doctor.
    pub(super) async fn answer_reports(
        &self,
        deliveries: &str,
    ) -> Result<HashMap<(Vec<u8>, String), Vec<AnswerReport>>, JournalError> {
        let rows = sql::query(
            "SELECT a.delivery_id, a.doctor, a.kind, a.came_at_ms FROM json_each($1) AS ids
             JOIN answer a ON a.delivery_id = unhex(ids.value) ORDER BY a.came_at_ms, a.id",
        );
        let mut reports: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows.bind(deliveries).fetch_all(&self.pool).await? {
            let kind = AnswerKind::parse(row.get("kind"))?;
            let report = AnswerReport { kind, came_at_ms: row.get("came_at_ms") };
            reports.entry((row.get("delivery_id"), row.get("doctor"))).or_default().push(report);
        }
        Ok(reports)
    }

    /// Words that cannot be read hide no other study.
    fn words(&self, row: &Row) -> Option<Words> {
        let sealed: Vec<u8> = row.get::<Option<_>, _>("words")?;
        let text = spool::open_text(&sealed, self.unwrapped(row).ok()?.as_ref()).ok()?;
        Words::new(Phi::new(std::str::from_utf8(&text).ok()?.to_owned()))
    }
}

/// Deletes the words, and the key that opens more of them, of deliveries for which the condition holds; `d` is the delivery.
pub(super) fn forgetting(condition: &str) -> [String; 2] {
    [
        format!(
            "UPDATE answer SET words = NULL WHERE words IS NOT NULL AND delivery_id IN (SELECT d.id FROM delivery d WHERE {condition})"
        ),
        format!("UPDATE delivery AS d SET answer_key = NULL WHERE answer_key IS NOT NULL AND {condition}"),
    ]
}

/// Deletes words and keys of a case that is withdrawn.
pub(super) async fn forget_answers(transaction: &mut Transaction, case: CaseId) -> Result<(), JournalError> {
    for sql in forgetting("d.case_id = $1") {
        let sql = sqlx::AssertSqlSafe(sql);
        sql::query(sql).bind(case.0.as_slice()).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn noted(row: &Row, max: i64) -> Noted {
    match (row.get::<Option<i64>, _>("same"), row.get::<i64, _>("n")) {
        (Some(same), _) if same > 0 => Noted::Known,
        (_, known) if known >= max => Noted::TooMany,
        _ => Noted::New,
    }
}

fn opened_key(sealed: &[u8], case_key: Option<&FileKey>) -> Result<AnswerKey, JournalError> {
    let bytes =
        spool::open_text(sealed, case_key).map_err(|_| JournalError::Unknown("delivery.answer_key"))?;
    AnswerKey::from_bytes(&bytes).map_err(unknown)
}

fn unknown(_: SealError) -> JournalError {
    JournalError::Unknown("delivery.answer_key")
}
