//! What was done to the directory: noted together with the change itself, handed to the audit trail by the running gateway.

use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError};

/// One change of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A one-time code was given out.
    Invited,
    /// A device asked to be enrolled, with the code.
    Requested,
    /// A code is dead: wrong messages, or two devices with one code.
    CodeDead,
    /// A certificate was put in by hand or by the configuration.
    Added,
    /// A device was enrolled after its fingerprint was compared.
    Enrolled,
    /// The hospital's authority certified the identity of a device.
    Certified,
    /// A device has a new certificate.
    Renewed,
    /// A certificate was replaced in the configuration.
    Superseded,
    /// A device was withdrawn.
    Revoked,
}

impl Act {
    const ALL: [Self; 9] = [
        Self::Invited,
        Self::Requested,
        Self::CodeDead,
        Self::Added,
        Self::Enrolled,
        Self::Certified,
        Self::Renewed,
        Self::Superseded,
        Self::Revoked,
    ];

    /// The words in journal and trail.
    pub fn words(self) -> &'static str {
        match self {
            Self::Invited => "a one-time code was given out",
            Self::Requested => "a device asks to be enrolled",
            Self::CodeDead => "a one-time code is dead: wrong messages, or two devices used it",
            Self::Added => "a certificate was added",
            Self::Enrolled => "a device was enrolled",
            Self::Certified => "an authority certified a device",
            Self::Renewed => "a device has a new certificate",
            Self::Superseded => "a certificate was replaced",
            Self::Revoked => "a device was revoked",
        }
    }

    fn parse(words: &str) -> Result<Self, JournalError> {
        Self::ALL
            .into_iter()
            .find(|act| act.words() == words)
            .ok_or(JournalError::Unknown("directory_act.act"))
    }
}

/// An act that is not in the audit trail yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedAct {
    /// Its number, ascending.
    pub number: i64,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// What.
    pub act: Act,
    /// Whom it concerns, by the name in the configuration.
    pub doctor: String,
    /// Which device, and by which key.
    pub device: String,
    /// Who did it.
    pub by: String,
}

/// Who acts, and when in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// Login name, or the part of the gateway.
    pub by: &'a str,
    /// When.
    pub at_ms: i64,
}

impl Journal {
    /// Acts that the trail must still be told of, the oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn acts(&self) -> Result<Vec<NotedAct>, JournalError> {
        let rows = sql::query("SELECT * FROM directory_act ORDER BY number").fetch_all(&self.pool).await?;
        let read = |row: &Row| {
            Ok(NotedAct {
                number: row.get("number"),
                at_ms: row.get("at_ms"),
                act: Act::parse(row.get("act"))?,
                doctor: row.get("doctor"),
                device: row.get("device"),
                by: row.get("acted_by"),
            })
        };
        rows.iter().map(read).collect()
    }

    /// The trail has it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn act_told(&self, number: i64) -> Result<(), JournalError> {
        sql::query("DELETE FROM directory_act WHERE number = $1").bind(number).execute(&self.pool).await?;
        Ok(())
    }
}

/// Notes an act together with what was done.
pub(super) async fn note(
    transaction: &mut Transaction,
    act: Act,
    doctor: &str,
    device: &str,
    actor: Actor<'_>,
) -> Result<(), JournalError> {
    sql::query(
        "INSERT INTO directory_act (at_ms, act, doctor, device, acted_by) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(actor.at_ms)
    .bind(act.words())
    .bind(doctor)
    .bind(device)
    .bind(actor.by)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
