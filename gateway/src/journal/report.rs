//! What page, command line and demo show of a delivery: no patient data, no UIDs.

use super::answers::AnswerReport;
use super::ending::{self, Ended};
use super::notices::NoticeReport;
use super::press::{self, Chosen, Pressed};
use super::sql::{self, Row};
use super::withdrawal::{self, WithdrawnMail};
use super::{Journal, JournalError, bytes16};
use crate::hex::hex;
use seal::ids::{CaseId, DeliveryId};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// One delivery as reported by `scanpost-gateway deliveries --json`.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryReport {
    /// Delivery id.
    pub id: DeliveryId,
    /// Case id.
    pub case: CaseId,
    /// 1 for the first of its case, more for supplements.
    pub sequence: u32,
    /// The delivery whose residual this one carries, and nothing else.
    pub residual_of: Option<DeliveryId>,
    /// Its own residual is kept back for who asks, until then at least; milliseconds since 1970-01-01 UTC.
    pub residual_until_ms: Option<i64>,
    /// When that was deleted.
    pub residual_gone_at_ms: Option<i64>,
    /// Last stage done.
    pub state: String,
    /// AE title it was sent to.
    pub destination: String,
    /// See `seal::cover::Completeness`; null while receiving.
    pub completeness: Option<serde_json::Value>,
    /// Instances received.
    pub instances: u64,
    /// Of these, instances whose SOP Instance UID the case has with other bytes too.
    pub conflicts: u64,
    /// Of these, instances whose file is damaged or gone in the spool.
    pub damaged: u64,
    /// Sum of the data sets' bytes.
    pub received_bytes: u64,
    /// Sizes from compression (`compressor::bundle::Summary`); null before.
    #[serde(flatten)]
    pub summary: Option<BTreeMap<String, serde_json::Value>>,
    /// Pieces, once sealed.
    pub pieces: Option<u32>,
    /// Parts accepted by the mail server so far, over all doctors, the cover included.
    pub accepted_parts: u32,
    /// When the first and the last of them was, milliseconds since 1970-01-01 UTC.
    pub accepted_between_ms: Option<(i64, i64)>,
    /// Bytes of all mails with headers, once sealed.
    pub mail_bytes: Option<u64>,
    /// Seconds of each stage that is done.
    pub seconds: BTreeMap<String, f64>,
    /// First instance to last accepted notice, in seconds.
    pub click_to_notified: Option<f64>,
    /// First instance to last receipt, in seconds.
    pub click_to_pulled: Option<f64>,
    /// First instance to the first image on a doctor's screen, in seconds: of the doctor who was first.
    pub click_to_first_image: Option<f64>,
    /// First instance to the first "seen" or answer, in seconds.
    pub click_to_seen: Option<f64>,
    /// Doctors of the delivery.
    pub doctors: Vec<DoctorReport>,
    /// Failures in a row.
    pub attempts: u32,
    /// It goes before others, as the person asked who pressed, or as the AE title has it.
    pub urgent: bool,
    /// The group of the roster that was on duty then: its rules hold.
    pub duty_group: Option<String>,
    /// Who asked for it at the page or by another system, and when.
    pub pressed: Option<Pressed>,
    /// Instances that the PACS listed last, while some of them are missing and a person's word is waited for.
    pub listed: Option<u32>,
    /// What a person said about that.
    pub chosen: Option<Chosen>,
    /// Who withdrew it, or closed its case.
    pub withdrawn_by: Option<String>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub withdrawn_at_ms: Option<i64>,
    /// How its case ended; null before.
    pub ended: Option<EndReport>,
    /// Nobody has opened its case in time; null where no alarm was raised.
    pub alarm: Option<AlarmReport>,
    /// What is wrong with the stage under way and who must act.
    pub trouble: Option<String>,
    /// What else the operator should know of this delivery, and who must act.
    pub remark: Option<String>,
}

/// How a case ended.
#[derive(Clone, Debug, Serialize)]
pub struct EndReport {
    /// How.
    pub how: Ended,
    /// Who closed it; null where its time was over.
    pub by: Option<String>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// The audit trail has the proof of its deletion since then, milliseconds since 1970-01-01 UTC.
    pub proved_at_ms: Option<i64>,
}

/// An alarm of the hospital.
#[derive(Clone, Debug, Serialize)]
pub struct AlarmReport {
    /// When it was raised, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// A person said then to have heard it.
    pub heard_at_ms: Option<i64>,
    /// Who.
    pub heard_by: Option<String>,
    /// Nobody has opened the case since, and nobody has heard it: the page rings.
    pub rings: bool,
}

/// How far a delivery has come for one doctor.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// Name in the configuration.
    pub doctor: String,
    /// 0: told at once; 1 and more: told when those before did not open it.
    pub stands_behind: u32,
    /// When that was so, milliseconds since 1970-01-01 UTC.
    pub escalated_at_ms: Option<i64>,
    /// The notice was accepted, milliseconds since 1970-01-01 UTC.
    pub notified_at_ms: Option<i64>,
    /// How each channel stands that is to tell this one, in the order of their levels.
    pub notices: Vec<NoticeReport>,
    /// The receipt came, milliseconds since 1970-01-01 UTC.
    pub pulled_at_ms: Option<i64>,
    /// The receipt came that the first image was on the screen, milliseconds since 1970-01-01 UTC.
    pub first_image_at_ms: Option<i64>,
    /// The doctor said so, or answered; milliseconds since 1970-01-01 UTC.
    pub seen_at_ms: Option<i64>,
    /// The doctor handed the case over to whoever stands behind, milliseconds since 1970-01-01 UTC.
    pub passed_on_at_ms: Option<i64>,
    /// Seconds that the images were on the screen, as far as the reader told; null where it told nothing.
    pub read_seconds: Option<i64>,
    /// What the doctor answered, without the words, the oldest first.
    pub answers: Vec<AnswerReport>,
    /// When the doctor last asked for exact files, by the reader's clock, seconds since 1970-01-01 UTC.
    pub exact_asked_at: Option<i64>,
    /// Why the mail server will never take mail for this doctor.
    pub refused: Option<String>,
    /// What became of the mails of a delivery that was withdrawn; null for others, and where none was made.
    pub withdrawn: Option<WithdrawnMail>,
}

impl DoctorReport {
    /// When this one first looked at it, and did not hand it over since; milliseconds since 1970-01-01 UTC.
    pub fn opened_at_ms(&self) -> Option<i64> {
        let looked = [self.first_image_at_ms, self.pulled_at_ms, self.seen_at_ms].into_iter().flatten().min();
        looked.filter(|_| self.passed_on_at_ms.is_none())
    }

    /// Told at once, or the turn came.
    pub fn is_told(&self) -> bool {
        self.stands_behind == 0 || self.escalated_at_ms.is_some()
    }
}

/// Rows of deliveries for [`Journal::reports`]; a condition and an order may follow.
pub(super) fn rows() -> String {
    format!(
        "SELECT d.*, c.destination, c.study_uid, c.opened_at_ms,
           c.ended_at_ms, c.ended_how, c.ended_by, c.deletion_proved_at_ms, c.alarmed_at_ms, c.alarm_heard_at_ms, c.alarm_heard_by,
           {} AS rings,
           coalesce(n.instances, 0) AS instances, coalesce(n.conflicts, 0) AS conflicts, coalesce(n.bytes, 0) AS received_bytes,
           (SELECT count(*) FROM instance i WHERE i.delivery_id = d.id AND i.damaged_at_ms IS NOT NULL) AS damaged,
           n.last_received_ms, (SELECT count(*) FROM accepted_part p WHERE p.delivery_id = d.id) AS accepted_parts,
           (SELECT min(accepted_at_ms) FROM accepted_part p WHERE p.delivery_id = d.id AND d.state = 'sealed') AS first_part_ms,
           (SELECT max(accepted_at_ms) FROM accepted_part p WHERE p.delivery_id = d.id AND d.state = 'sealed') AS last_part_ms
         FROM delivery d JOIN study_case c ON c.id = d.case_id LEFT JOIN delivery_count n ON n.delivery_id = d.id",
        ending::rings()
    )
}

/// What many deliveries have, by the delivery's id.
type Of<T> = HashMap<Vec<u8>, Vec<T>>;

impl Journal {
    /// All deliveries, oldest case first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn report(&self) -> Result<Vec<DeliveryReport>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!("{} ORDER BY c.opened_at_ms, d.sequence", rows()));
        self.reports(&sql::query(sql).fetch_all(&self.pool).await?).await
    }

    /// One delivery; none where there is none of this id.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn report_of(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE d.id = $1", rows()));
        let rows = sql::query(sql).bind(id.0.as_slice()).fetch_all(&self.pool).await?;
        Ok(self.reports(&rows).await?.pop())
    }

    /// Those of one case, the first before its supplements.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn report_of_case(&self, case: CaseId) -> Result<Vec<DeliveryReport>, JournalError> {
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE d.case_id = $1 ORDER BY d.sequence", rows()));
        let rows = sql::query(sql).bind(case.0.as_slice()).fetch_all(&self.pool).await?;
        self.reports(&rows).await
    }

    /// Of [`rows`], in their order.
    pub(super) async fn reports(&self, rows: &[Row]) -> Result<Vec<DeliveryReport>, JournalError> {
        let ids = ids(rows, "id");
        let (mut doctors, mut stages) = (self.doctor_reports(&ids).await?, self.stages(&ids).await?);
        let mut of = |row: &Row| {
            let id: Vec<u8> = row.get("id");
            report(row, doctors.remove(&id).unwrap_or_default(), &stages.remove(&id).unwrap_or_default())
        };
        rows.iter().map(&mut of).collect()
    }

    /// A residual was asked for in the delivery that it is of.
    async fn doctor_reports(&self, ids: &str) -> Result<Of<DoctorReport>, JournalError> {
        let rows = sql::query(
            "SELECT r.delivery_id, r.doctor, r.stands_behind, r.escalated_at_ms, r.notified_at_ms, r.pulled_at_ms, r.first_image_at_ms, r.seen_at_ms, r.passed_on_at_ms, r.refused, w.removed, w.looked_at_ms, w.stays,
             (SELECT b.exact_asked_at FROM recipient b WHERE b.delivery_id = coalesce(d.residual_of, d.id) AND b.doctor = r.doctor) AS exact_asked_at,
             (SELECT CAST(sum(g.seconds) AS BIGINT) FROM reading g WHERE g.delivery_id = r.delivery_id AND g.doctor = r.doctor) AS read_seconds
             FROM json_each($1) AS ids JOIN recipient r ON r.delivery_id = unhex(ids.value) JOIN delivery d ON d.id = r.delivery_id
             LEFT JOIN withdrawn_mail w ON w.delivery_id = r.delivery_id AND w.doctor = r.doctor ORDER BY r.doctor",
        )
        .bind(ids);
        let (mut reports, mut answers) = (Of::new(), self.answer_reports(ids).await?);
        let mut notices = self.notice_reports(ids).await?;
        for row in rows.fetch_all(&self.pool).await? {
            let of = (row.get("delivery_id"), row.get("doctor"));
            reports.entry(row.get("delivery_id")).or_default().push(DoctorReport {
                doctor: row.get("doctor"),
                stands_behind: row.get("stands_behind"),
                escalated_at_ms: row.get("escalated_at_ms"),
                notified_at_ms: row.get("notified_at_ms"),
                pulled_at_ms: row.get("pulled_at_ms"),
                first_image_at_ms: row.get("first_image_at_ms"),
                seen_at_ms: row.get("seen_at_ms"),
                passed_on_at_ms: row.get("passed_on_at_ms"),
                read_seconds: row.get("read_seconds"),
                notices: notices.remove(&of).unwrap_or_default(),
                answers: answers.remove(&of).unwrap_or_default(),
                exact_asked_at: row.get("exact_asked_at"),
                refused: row.get("refused"),
                withdrawn: withdrawal::read_mail(&row),
            });
        }
        Ok(reports)
    }

    async fn stages(&self, ids: &str) -> Result<Of<StageTime>, JournalError> {
        let rows = sql::query(
            "SELECT s.* FROM json_each($1) AS ids JOIN stage_time s ON s.delivery_id = unhex(ids.value)",
        )
        .bind(ids);
        let mut stages = Of::new();
        for row in rows.fetch_all(&self.pool).await? {
            stages.entry(row.get("delivery_id")).or_default().push(StageTime {
                stage: row.get("stage"),
                began_ms: row.get("began_at_ms"),
                done_ms: row.get("done_at_ms"),
            });
        }
        Ok(stages)
    }
}

/// When a stage began and was done, milliseconds since 1970-01-01 UTC.
pub(super) struct StageTime {
    pub(super) stage: String,
    pub(super) began_ms: i64,
    pub(super) done_ms: Option<i64>,
}

/// The ids of rows as a JSON array of hexadecimal texts: one statement asks for what all of them have.
pub(super) fn ids(rows: &[Row], column: &str) -> String {
    json_of(rows.iter().map(|row| hex(row.get(column))))
}

pub(super) fn json_of(ids: impl Iterator<Item = String>) -> String {
    serde_json::to_string(&ids.collect::<Vec<_>>()).unwrap_or_default()
}

fn report(
    row: &Row,
    doctors: Vec<DoctorReport>,
    stages: &[StageTime],
) -> Result<DeliveryReport, JournalError> {
    let base: Option<Vec<u8>> = row.get("residual_of");
    let (first_ms, seconds) = stage_seconds(stages, row.get("last_received_ms"));
    let since_click = |at_ms: i64| first_ms.map(|first| seconds_between(first, at_ms));
    Ok(DeliveryReport {
        id: DeliveryId(bytes16(row.get("id"), "delivery.id")?),
        case: CaseId(bytes16(row.get("case_id"), "delivery.case_id")?),
        sequence: row.get("sequence"),
        residual_of: base.map(|id| bytes16(id, "residual_of").map(DeliveryId)).transpose()?,
        residual_until_ms: row.get("residual_until_ms"),
        residual_gone_at_ms: row.get("residual_gone_at_ms"),
        state: row.get("state"),
        destination: row.get("destination"),
        completeness: json(row.get("completeness"), "completeness")?,
        instances: unsigned(row, "instances"),
        conflicts: unsigned(row, "conflicts"),
        damaged: unsigned(row, "damaged"),
        received_bytes: unsigned(row, "received_bytes"),
        summary: json(row.get("summary"), "summary")?,
        pieces: row.get("pieces"),
        accepted_parts: row.get("accepted_parts"),
        accepted_between_ms: Option::zip(row.get("first_part_ms"), row.get("last_part_ms")),
        mail_bytes: row.get::<Option<i64>, _>("mail_bytes").and_then(|bytes| u64::try_from(bytes).ok()),
        seconds,
        click_to_notified: last(&doctors, |doctor| doctor.notified_at_ms).and_then(since_click),
        click_to_pulled: last(&doctors, |doctor| doctor.pulled_at_ms).and_then(since_click),
        click_to_first_image: first(&doctors, |doctor| doctor.first_image_at_ms).and_then(since_click),
        click_to_seen: first(&doctors, |doctor| doctor.seen_at_ms).and_then(since_click),
        doctors,
        urgent: row.get("urgent"),
        duty_group: row.get("duty_group"),
        pressed: press::read(row)?,
        listed: row.get("listed"),
        chosen: press::read_choice(row)?,
        withdrawn_by: row.get("withdrawn_by"),
        withdrawn_at_ms: row.get("withdrawn_at_ms"),
        ended: ended(row)?,
        alarm: row.get::<Option<i64>, _>("alarmed_at_ms").map(|at_ms| AlarmReport {
            at_ms,
            heard_at_ms: row.get("alarm_heard_at_ms"),
            heard_by: row.get("alarm_heard_by"),
            rings: row.get("rings"),
        }),
        attempts: row.get("attempts"),
        trouble: row.get("trouble"),
        remark: row.get("remark"),
    })
}

fn ended(row: &Row) -> Result<Option<EndReport>, JournalError> {
    let Some(at_ms) = row.get("ended_at_ms") else { return Ok(None) };
    let (by, proved_at_ms) = (row.get("ended_by"), row.get("deletion_proved_at_ms"));
    Ok(Some(EndReport { how: Ended::parse(row.get("ended_how"))?, by, at_ms, proved_at_ms }))
}

/// Seconds of each stage; *receive* ends with the last instance, and *assemble* begins there. First in the pair: when the clock started.
pub(super) fn stage_seconds(
    stages: &[StageTime],
    last_received_ms: Option<i64>,
) -> (Option<i64>, BTreeMap<String, f64>) {
    let mut first_ms = None;
    let mut seconds = BTreeMap::new();
    for StageTime { stage, began_ms, done_ms } in stages {
        if stage == "receive" {
            first_ms = Some(*began_ms);
            // What was pressed may have lain here before.
            let received_ms = last_received_ms.unwrap_or(*began_ms).max(*began_ms);
            seconds.insert(stage.clone(), seconds_between(*began_ms, received_ms));
            if let Some(done_ms) = done_ms {
                seconds.insert("assemble".to_owned(), seconds_between(received_ms, *done_ms));
            }
        } else if let Some(done_ms) = done_ms {
            seconds.insert(stage.clone(), seconds_between(*began_ms, *done_ms));
        }
    }
    (first_ms, seconds)
}

fn last(doctors: &[DoctorReport], at_ms: impl Fn(&DoctorReport) -> Option<i64>) -> Option<i64> {
    doctors.iter().filter_map(at_ms).max()
}

fn first(doctors: &[DoctorReport], at_ms: impl Fn(&DoctorReport) -> Option<i64>) -> Option<i64> {
    doctors.iter().filter_map(at_ms).min()
}

fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a difference of milliseconds is far below 2^52")]
    let milliseconds = (to_ms - from_ms) as f64;
    milliseconds / 1000.0
}

fn json<T: serde::de::DeserializeOwned>(
    text: Option<String>,
    column: &'static str,
) -> Result<Option<T>, JournalError> {
    text.map(|text| serde_json::from_str(&text).map_err(|_| JournalError::Unknown(column))).transpose()
}

fn unsigned(row: &Row, column: &str) -> u64 {
    u64::try_from(row.get::<i64, _>(column)).unwrap_or(0)
}
