//! What the journal says happened to each delivery, for whoever asks whether that may be (`simulate --replay`).

use super::delivery::state;
use super::sql;
use super::{Journal, JournalError, State, bytes16};
use seal::ids::DeliveryId;

/// The history of a delivery. Times are milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug)]
pub struct History {
    /// Its id.
    pub delivery: DeliveryId,
    /// Where it stands.
    pub state: State,
    /// It carries a residual: it began with its bundle.
    pub is_residual: bool,
    /// Pieces, once sealed.
    pub pieces: u32,
    /// When a stage was done, by its word; none where it began and is not.
    pub stages: Vec<(String, Option<i64>)>,
    /// When the mail server took a part for a doctor: 0 for the cover, else the piece.
    pub parts: Vec<(u32, String, i64)>,
    /// Its doctors: when the cover was seen, a notice taken, and the first receipt there.
    pub doctors: Vec<DoctorHistory>,
    /// When it was withdrawn, or its case ended.
    pub withdrawn_at_ms: Option<i64>,
}

/// What the journal says of one doctor of a delivery.
#[derive(Clone, Debug)]
pub struct DoctorHistory {
    /// Name in the configuration.
    pub doctor: String,
    /// The mail server takes no mail for this one.
    pub refused: bool,
    /// When a channel took a notice.
    pub notified_at_ms: Option<i64>,
    /// When the study was fetched.
    pub pulled_at_ms: Option<i64>,
    /// When the first image was on the screen, or the doctor said to have seen it.
    pub opened_at_ms: Option<i64>,
}

impl Journal {
    /// The histories of all deliveries.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn histories(&self) -> Result<Vec<History>, JournalError> {
        let rows = sql::query(
            "SELECT id, state, residual_of IS NOT NULL AS is_residual, coalesce(pieces, 0) AS pieces, withdrawn_at_ms FROM delivery",
        );
        let mut histories = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            let delivery = DeliveryId(bytes16(row.get("id"), "delivery.id")?);
            let of = |sql: &'static str| sql::query(sql).bind(delivery.0.to_vec()).fetch_all(&self.pool);
            let stages = of("SELECT stage, done_at_ms FROM stage_time WHERE delivery_id = $1").await?;
            let parts = of("SELECT part, doctor, accepted_at_ms FROM accepted_part WHERE delivery_id = $1 ORDER BY accepted_at_ms, part = 0, part").await?;
            let doctors = of("SELECT * FROM recipient WHERE delivery_id = $1").await?;
            histories.push(History {
                delivery,
                state: state(row.get("state"))?,
                is_residual: row.get("is_residual"),
                pieces: row.get("pieces"),
                stages: stages.iter().map(|row| (row.get("stage"), row.get("done_at_ms"))).collect(),
                parts: parts
                    .iter()
                    .map(|row| (row.get("part"), row.get("doctor"), row.get("accepted_at_ms")))
                    .collect(),
                doctors: doctors
                    .iter()
                    .map(|row| DoctorHistory {
                        doctor: row.get("doctor"),
                        refused: row.get::<Option<&str>, _>("refused").is_some(),
                        notified_at_ms: row.get("notified_at_ms"),
                        pulled_at_ms: row.get("pulled_at_ms"),
                        opened_at_ms: row
                            .get::<Option<i64>, _>("first_image_at_ms")
                            .or(row.get("seen_at_ms")),
                    })
                    .collect(),
                withdrawn_at_ms: row.get("withdrawn_at_ms"),
            });
        }
        Ok(histories)
    }
}
