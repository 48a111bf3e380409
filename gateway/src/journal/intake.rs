//! Rows of received instances, committed in groups: one fsync serves every sender that waits at that moment.

use super::damage::{Damaged, damaged_twin, heal, waits_for_files};
use super::keys::{key_of_open_case, wrap};
use super::sql::{self, Pool, Row, Transaction};
use super::studies::add_card;
use super::subject::subject_row;
use super::{Journal, JournalError, State, bytes16, press, random_id};
use crate::queue::CASE_OPEN_MS;
use crate::spool::FileKey;
use compressor::Uid;
use compressor::dataset::Banner;
use seal::ids::{CaseId, DeliveryId};
use tokio::sync::{mpsc, oneshot};

/// Senders that may wait for the writer.
const WAITING_MAX: usize = 256;
/// Instances in one commit.
const GROUP_MAX: usize = 64;

/// An instance whose bytes are durable in the spool.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// Name in the spool folder `receive`.
    pub file: String,
    /// Key of that file; none if it is plain.
    pub file_key: Option<FileKey>,
    /// AE title it was sent to.
    pub destination: String,
    /// AE title that sent it.
    pub calling: String,
    /// Study Instance UID, where the data set names one.
    pub study: Option<Uid>,
    /// Series Instance UID, where the data set names one.
    pub series: Option<Uid>,
    /// The patient, as far as the audit trail names them.
    pub banner: Banner,
    /// SOP Class UID of the C-STORE request.
    pub sop_class: Uid,
    /// SOP Instance UID of the C-STORE request.
    pub sop_instance: Uid,
    /// Transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// Length of the data set.
    pub bytes: u64,
    /// SHA-256 of the data set.
    pub sha256: [u8; 32],
    /// Number of the association: keeps instances without a study apart from those of other associations.
    pub association: u64,
    /// The case that we asked a PACS for it for; none of what a peer sends by itself.
    pub asked_for: Option<CaseId>,
    /// The AE title stands for urgent studies.
    pub urgent: bool,
    /// Modality, where the data set names one.
    pub modality: Option<String>,
    /// Instance Number (0020,0013), where the data set has one.
    pub instance_number: Option<i32>,
    /// What a list of studies shows of this one.
    pub card: Banner,
    /// Doctors of the destination at this moment; nobody where it waits for a press.
    pub doctors: Vec<String>,
    /// Milliseconds since 1970-01-01 UTC.
    pub received_at_ms: i64,
}

/// What became of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It belongs to this delivery.
    New {
        /// The delivery that collects now.
        delivery: DeliveryId,
        /// Another instance of the case has the same SOP Instance UID and other bytes.
        conflict: bool,
        /// A delivery began with it that waits for no press.
        begins: bool,
        /// File of the same bytes in a delivery that failed: it may go.
        replaced: Option<String>,
    },
    /// The same bytes are in the case already: the file may go, once the one that has them is seen to be there.
    Duplicate {
        /// The delivery that has them.
        delivery: DeliveryId,
        /// Their file, which must be there; none where the delivery is past needing it.
        file: Option<String>,
    },
    /// The case has had the same bytes in a file that is damaged or gone: this one takes its place.
    Healed {
        /// The delivery that has them.
        delivery: DeliveryId,
        /// The damaged file: it may go.
        replaced: String,
    },
    /// It was asked for, and the case that it was asked for collects no more: nothing is kept of it, and no other case gets it.
    OfNoOpenCase,
}

/// One sender's wait.
pub(super) struct Request {
    instance: NewInstance,
    answer: oneshot::Sender<Result<Recorded, JournalError>>,
}

impl Journal {
    /// Records an instance; when this returns, the row survives a power cut.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was recorded, unless [`JournalError::may_be_kept`] says that it is not known.
    pub async fn record_instance(&self, instance: NewInstance) -> Result<Recorded, JournalError> {
        let (answer, recorded) = oneshot::channel();
        self.intake.send(Request { instance, answer }).await.map_err(|_| JournalError::Closed)?;
        recorded.await.map_err(|_| JournalError::Closed)?
    }
}

/// Starts the writer; it ends when every [`Journal`] is gone.
pub(super) fn start(pool: Pool, master: Option<FileKey>) -> mpsc::Sender<Request> {
    let (sender, mut waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            commit(&pool, master.as_ref(), &mut group).await;
        }
    });
    sender
}

/// What was recorded in a transaction whose commit was asked for and not answered.
type Unanswered = Option<Vec<Recorded>>;

/// A commit that was not answered is looked for once more: the row may be there, and then it is no duplicate. A group of which a row is refused is tried
/// again one by one, so that it does not fail its neighbours; but not after a failed fsync, which must not be tried again (DESIGN 7).
async fn commit(pool: &Pool, master: Option<&FileKey>, group: &mut Vec<Request>) {
    let mut unanswered = None;
    let mut recorded = record_all(pool, master, group, &mut unanswered).await;
    if unanswered.is_some() {
        recorded = record_all(pool, master, group, &mut unanswered).await;
    }
    match recorded {
        Ok(recorded) => {
            for (request, recorded) in group.drain(..).zip(recorded) {
                let _ = request.answer.send(Ok(recorded));
            }
        }
        // Before what is unclear: intake stops.
        Err(error) if error.is_disk_failure() && (unanswered.is_some() || group.len() > 1) => {
            refuse(group, || JournalError::DiskFailure);
        }
        Err(error) if unanswered.is_some() => {
            refuse(group, || JournalError::Unclear(error.to_string()));
        }
        Err(error) if group.len() == 1 => {
            if let Some(request) = group.pop() {
                let _ = request.answer.send(Err(error));
            }
        }
        Err(error) if error.is_away() => refuse(group, || JournalError::Server(sqlx::Error::PoolTimedOut)),
        Err(_) => {
            for request in group.drain(..) {
                let mut single = vec![request];
                Box::pin(commit(pool, master, &mut single)).await;
            }
        }
    }
}

fn refuse(group: &mut Vec<Request>, error: impl Fn() -> JournalError) {
    for request in group.drain(..) {
        let _ = request.answer.send(Err(error()));
    }
}

/// The writer's lock is had only once the transaction before is over, so that what became of it can be seen.
async fn record_all(
    pool: &Pool,
    master: Option<&FileKey>,
    group: &[Request],
    unanswered: &mut Unanswered,
) -> Result<Vec<Recorded>, JournalError> {
    let mut transaction = pool.begin_writing().await?;
    if let Some(recorded) = unanswered
        && is_kept(&mut transaction, group, recorded).await?
    {
        return Ok(std::mem::take(recorded));
    }
    *unanswered = None;
    let mut recorded = Vec::with_capacity(group.len());
    for request in group {
        recorded.push(record(&mut transaction, master, &request.instance).await?);
    }
    let committed = transaction.commit().await;
    if let Err(JournalError::Unclear(_)) = committed {
        *unanswered = Some(recorded);
        return committed.map(|()| Vec::new());
    }
    committed.map(|()| recorded)
}

/// Whether a transaction was committed that recorded this. One that named no file need not have been: it is done again.
async fn is_kept(
    transaction: &mut Transaction,
    group: &[Request],
    recorded: &[Recorded],
) -> Result<bool, JournalError> {
    for (request, recorded) in group.iter().zip(recorded) {
        if let Recorded::New { delivery, .. } | Recorded::Healed { delivery, .. } = recorded {
            let row = sql::query("SELECT 1 FROM instance WHERE delivery_id = $1 AND file = $2");
            let row = row.bind(delivery.0.as_slice()).bind(&request.instance.file);
            return Ok(row.fetch_optional(&mut **transaction).await?.is_some());
        }
    }
    Ok(false)
}

async fn record(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    instance: &NewInstance,
) -> Result<Recorded, JournalError> {
    let (destination, study) = (&instance.destination, study_key(instance));
    if let Some(Damaged { id, file: replaced, case, delivery }) =
        damaged_twin(transaction, &study, instance).await?
    {
        let file_key = wrapped_file_key(transaction, master, case, instance).await?;
        heal(transaction, id, &instance.file, file_key).await?;
        return Ok(Recorded::Healed { delivery, replaced });
    }
    let case = match (instance.asked_for, &instance.study) {
        (Some(case), Some(_)) => {
            close_over(transaction, destination, &study, instance.received_at_ms, CASE_OPEN_MS).await?;
            if find_open_case(&mut **transaction, destination, &study).await? != Some(case) {
                return Ok(Recorded::OfNoOpenCase);
            }
            case
        }
        // An object that names no study is a case of its own wherever it comes from.
        _ => open_case(transaction, destination, &study, instance.received_at_ms).await?,
    };
    let twins = twins(transaction, case, instance).await?;
    let conflict = twins.iter().any(|twin| !twin.same);
    let same = twins.into_iter().find(|twin| twin.same);
    if let Some(Twin { delivery, file, failed: false, waits, .. }) = same {
        return Ok(Recorded::Duplicate { delivery, file: waits.then_some(file) });
    }
    let (delivery, begins) = collecting_delivery(transaction, case, instance).await?;
    let subject = subject_row(transaction, master, delivery, instance).await?;
    let file_key = wrapped_file_key(transaction, master, case, instance).await?;
    let replaced = same.as_ref().map(|twin| twin.file.clone());
    match same {
        Some(twin) => take_over(transaction, twin.id, delivery, subject, instance, file_key).await?,
        None => insert(transaction, case, delivery, subject, instance, file_key, conflict).await?,
    }
    add_card(transaction, master, case, instance).await?;
    Ok(Recorded::New { delivery, conflict, begins, replaced })
}

/// The key of the instance's file under that of its case, which gets one if it has none yet.
async fn wrapped_file_key(
    transaction: &mut Transaction,
    master: Option<&FileKey>,
    case: CaseId,
    instance: &NewInstance,
) -> Result<Option<Vec<u8>>, JournalError> {
    let (Some(master), Some(key)) = (master, &instance.file_key) else { return Ok(None) };
    let case_key = key_of_open_case(transaction, master, case).await?;
    wrap(&case_key, key).map(|wrapped| Some(wrapped.to_vec()))
}

/// An instance of the case with the same SOP Instance UID.
struct Twin {
    id: i64,
    file: String,
    delivery: DeliveryId,
    same: bool,
    failed: bool,
    /// Its file is needed still.
    waits: bool,
}

async fn twins(
    transaction: &mut Transaction,
    case: CaseId,
    instance: &NewInstance,
) -> Result<Vec<Twin>, JournalError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT i.id, i.file, i.delivery_id, i.sha256 = $3 AND i.transfer_syntax = $4 AS same, d.state = 'failed' AS failed,
           d.state IN ({}) AS waits
         FROM instance i JOIN delivery d ON d.id = i.delivery_id WHERE i.case_id = $1 AND i.sop_instance_uid = $2",
        waits_for_files()
    ));
    let rows = sql::query(sql)
        .bind(case.0.as_slice())
        .bind(instance.sop_instance.as_str())
        .bind(instance.sha256.as_slice())
        .bind(instance.transfer_syntax.as_str());
    let read = |row: Row| {
        let delivery = DeliveryId(bytes16(row.get("delivery_id"), "delivery_id")?);
        let (id, file) = (row.get("id"), row.get("file"));
        let (same, failed, waits) = (row.get("same"), row.get("failed"), row.get("waits"));
        Ok(Twin { id, file, delivery, same, failed, waits })
    };
    rows.fetch_all(&mut **transaction).await?.into_iter().map(read).collect()
}

/// Sent again after its delivery failed: the instance joins the delivery that collects now, so that a second press helps.
async fn take_over(
    transaction: &mut Transaction,
    id: i64,
    delivery: DeliveryId,
    subject: i64,
    instance: &NewInstance,
    file_key: Option<Vec<u8>>,
) -> Result<(), JournalError> {
    sql::query(
        "UPDATE instance SET delivery_id = $2, file = $3, received_at_ms = $4, subject_id = $5, file_key = $6,
           damaged_at_ms = NULL WHERE id = $1",
    )
    .bind(id)
    .bind(delivery.0.as_slice())
    .bind(&instance.file)
    .bind(instance.received_at_ms)
    .bind(subject)
    .bind(file_key)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert(
    transaction: &mut Transaction,
    case: CaseId,
    delivery: DeliveryId,
    subject: i64,
    instance: &NewInstance,
    file_key: Option<Vec<u8>>,
    conflict: bool,
) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO instance (case_id, delivery_id, file, series_uid, sop_class_uid, sop_instance_uid, transfer_syntax,
                               bytes, sha256, conflict, received_at_ms, subject_id, file_key, modality, instance_number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(case.0.as_slice())
    .bind(delivery.0.as_slice())
    .bind(&instance.file)
    .bind(instance.series.as_ref().map_or("", Uid::as_str))
    .bind(instance.sop_class.as_str())
    .bind(instance.sop_instance.as_str())
    .bind(instance.transfer_syntax.as_str())
    .bind(i64::try_from(instance.bytes).unwrap_or(i64::MAX))
    .bind(instance.sha256.as_slice())
    .bind(conflict)
    .bind(instance.received_at_ms)
    .bind(subject)
    .bind(file_key)
    .bind(instance.modality.as_deref())
    .bind(instance.instance_number)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The open case of this study at this destination; opened here by its first instance or by a press (DESIGN 6). A case whose
/// deliveries are all over is closed a day after it was opened, and the next press begins a new one. A residual that nobody pulls does
/// not count: it brings nothing that was not mailed.
pub(super) async fn open_case(
    transaction: &mut Transaction,
    destination: &str,
    study: &str,
    now_ms: i64,
) -> Result<CaseId, JournalError> {
    close_over(transaction, destination, study, now_ms, CASE_OPEN_MS).await?;
    if let Some(case) = find_open_case(&mut **transaction, destination, study).await? {
        return Ok(case);
    }
    let case = CaseId(random_id()?);
    sql::query("INSERT INTO study_case (id, destination, study_uid, opened_at_ms) VALUES ($1, $2, $3, $4)")
        .bind(case.0.as_slice())
        .bind(destination)
        .bind(study)
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
    Ok(case)
}

/// The open case in which a study lies that was sent there.
pub(super) async fn find_open_case(
    executor: impl Into<sql::On<'_>>,
    destination: &str,
    study: &str,
) -> Result<Option<CaseId>, JournalError> {
    let open = sql::query(
        "SELECT id FROM study_case WHERE destination = $1 AND study_uid = $2 AND closed_at_ms IS NULL",
    )
    .bind(destination)
    .bind(study)
    .fetch_optional(executor)
    .await?;
    open.map(|row| Ok(CaseId(bytes16(row.get("id"), "study_case.id")?))).transpose()
}

/// Closes the open case of a study at a destination, if it is over and was opened so long ago, by the clock and by the time that the gateway ran: a
/// clock that jumps lets no study that the PACS sends once more reach its doctors twice.
pub(super) async fn close_over(
    transaction: &mut Transaction,
    destination: &str,
    study: &str,
    now_ms: i64,
    open_ms: i64,
) -> Result<(), JournalError> {
    sql::query(
        "UPDATE study_case SET closed_at_ms = $3 WHERE destination = $1 AND study_uid = $2 AND closed_at_ms IS NULL
         AND opened_at_ms < $3 - $4 AND opened_running_ms <= (SELECT ms FROM running) - $4 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.case_id = study_case.id
           AND d.residual_of IS NULL AND d.handed_over_at_ms IS NULL AND d.state NOT IN ('pulled', 'failed', 'cancelled', 'recalled', 'closed'))",
    )
    .bind(destination)
    .bind(study)
    .bind(now_ms)
    .bind(open_ms)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// What tells studies apart. Instances that name none belong together only if one association brought them.
fn study_key(instance: &NewInstance) -> String {
    match &instance.study {
        Some(study) => study.as_str().to_owned(),
        None => format!("association {}", instance.association),
    }
}

/// The delivery of the case that still collects, though a residual may have been asked for since; a supplement is begun where none
/// does (DESIGN 4).
async fn collecting_delivery(
    transaction: &mut Transaction,
    case: CaseId,
    instance: &NewInstance,
) -> Result<(DeliveryId, bool), JournalError> {
    let collecting = sql::query(
        "SELECT id FROM delivery WHERE case_id = $1 AND state IN ('held', 'received') ORDER BY sequence DESC LIMIT 1",
    )
    .bind(case.0.as_slice())
    .fetch_optional(&mut **transaction)
    .await?;
    match collecting {
        Some(row) => Ok((DeliveryId(bytes16(row.get("id"), "delivery.id")?), false)),
        None => begin_delivery(transaction, case, instance).await,
    }
}

/// The sequence number of the next delivery of a case: a number is used once, as the reader refuses a second cover with it.
pub(super) async fn next_number(transaction: &mut Transaction, case: CaseId) -> Result<i64, JournalError> {
    let last = sql::query(
        "SELECT max(numbers_taken, coalesce((SELECT max(sequence) FROM delivery d WHERE d.case_id = c.id), 0)) FROM study_case c WHERE id = $1",
    );
    Ok(last.bind(case.0.as_slice()).fetch_one(&mut **transaction).await?.get::<i64, _>(0) + 1)
}

/// Whether it waits for no press is the second of the pair. What comes late of a study that was pressed follows to the same doctors.
async fn begin_delivery(
    transaction: &mut Transaction,
    case: CaseId,
    instance: &NewInstance,
) -> Result<(DeliveryId, bool), JournalError> {
    let delivery = DeliveryId(random_id()?);
    let pressed = press::last_of(transaction, case).await?;
    let held = instance.doctors.is_empty() && pressed.is_none();
    let state = if held { State::Held } else { State::Received };
    sql::query("INSERT INTO delivery (id, case_id, sequence, state, calling, urgent) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(delivery.0.as_slice())
        .bind(case.0.as_slice())
        .bind(next_number(transaction, case).await?)
        .bind(state.word())
        .bind(&instance.calling)
        .bind(instance.urgent)
        .execute(&mut **transaction)
        .await?;
    sql::query("INSERT INTO stage_time (delivery_id, stage, began_at_ms) VALUES ($1, 'receive', $2)")
        .bind(delivery.0.as_slice())
        .bind(instance.received_at_ms)
        .execute(&mut **transaction)
        .await?;
    if let Some(pressed) = pressed {
        press::follow(transaction, pressed, delivery).await?;
    }
    for doctor in &instance.doctors {
        add_recipient(transaction, delivery, doctor, 0).await?;
    }
    Ok((delivery, !held))
}

/// A doctor of a new delivery, with a random id for the notice. `stands_behind`: 0 for one who is told at once. Who handed the case over before is left
/// in peace.
pub(super) async fn add_recipient(
    transaction: &mut Transaction,
    delivery: DeliveryId,
    doctor: &str,
    stands_behind: u32,
) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO recipient (delivery_id, doctor, notice_id, stands_behind, passed_on_at_ms) VALUES ($1, $2, $3, $4,
           (SELECT max(p.passed_on_at_ms) FROM delivery d JOIN delivery e ON e.case_id = d.case_id
            JOIN recipient p ON p.delivery_id = e.id AND p.doctor = $2 WHERE d.id = $1))",
    )
    .bind(delivery.0.as_slice())
    .bind(doctor)
    .bind(random_id()?.as_slice())
    .bind(stands_behind)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
