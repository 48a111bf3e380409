//! Invitations: one-time codes as the site keeps them, which is only what is derived from them.

use super::acts::{Act, Actor, note};
use super::directory::{self, Device};
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError, bytes16, bytes32};
use seal::ids::{Digest, InvitationId};
use seal::native::{Certificate, CodeKeys, Enrolled, Recipient};

/// Messages with a wrong code that an invitation bears; the next one ends it.
pub const TRIES_MAX: i64 = 5;

/// An invitation that is not over.
pub struct Invitation {
    /// The doctor's name in the configuration.
    pub doctor: String,
    /// What is derived from the code.
    pub keys: CodeKeys,
    /// When it ends, milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
    /// What a device asked for, and waits for an administrator.
    pub requested: Option<Enrolled>,
    /// The administrator has agreed; the answer may still be owed.
    pub confirmed: bool,
}

/// What became of an invitation with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits for an administrator now.
    Waits,
    /// It was seen before, or the invitation is over.
    Nothing,
    /// Another request came with the same code: it is over, because two people have it.
    Dead,
}

impl Journal {
    /// Notes an invitation.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn invite(
        &self,
        doctor: &str,
        keys: &CodeKeys,
        expires_at_ms: i64,
        actor: Actor<'_>,
    ) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        sql::query(
            "INSERT INTO invitation
             (id, doctor, request_key, confirmation_key, state, expires_at_ms, invited_at_ms, invited_by)
             VALUES ($1, $2, $3, $4, 'open', $5, $6, $7)",
        )
        .bind(keys.invitation.0.to_vec())
        .bind(doctor)
        .bind(keys.request.to_vec())
        .bind(keys.confirmation.to_vec())
        .bind(expires_at_ms)
        .bind(actor.at_ms)
        .bind(actor.by)
        .execute(&mut *transaction)
        .await?;
        note(&mut transaction, Act::Invited, doctor, &keys.invitation.to_string(), actor).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Invitations whose keys are still there and whose time is not over.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn invitations(&self, now_ms: i64) -> Result<Vec<Invitation>, JournalError> {
        let rows = sql::query(
            "SELECT * FROM invitation WHERE request_key IS NOT NULL AND expires_at_ms > $1 ORDER BY invited_at_ms",
        );
        rows.bind(now_ms).fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// A message without the code named this invitation. True if that was one too many and it is over.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn wrong_code(
        &self,
        invitation: &Invitation,
        message: Digest,
        actor: Actor<'_>,
    ) -> Result<bool, JournalError> {
        let id = invitation.keys.invitation;
        let mut transaction = self.pool.begin_writing().await?;
        sql::query(
            "INSERT INTO enrolment_try (invitation_id, message) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id.0.to_vec())
        .bind(message.0.to_vec())
        .execute(&mut *transaction)
        .await?;
        let tries = sql::query("SELECT count(*) AS n FROM enrolment_try WHERE invitation_id = $1")
            .bind(id.0.to_vec())
            .fetch_one(&mut *transaction)
            .await?
            .get::<i64, _>("n");
        let over = tries >= TRIES_MAX && end(&mut transaction, id, "dead").await?;
        if over {
            note(&mut transaction, Act::CodeDead, &invitation.doctor, &id.to_string(), actor).await?;
        }
        transaction.commit().await?;
        Ok(over)
    }

    /// A request with the code came.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn requested(
        &self,
        invitation: &Invitation,
        message: Digest,
        enrolled: &Enrolled,
        actor: Actor<'_>,
    ) -> Result<Taken, JournalError> {
        let id = invitation.keys.invitation;
        let mut transaction = self.pool.begin_writing().await?;
        let row = sql::query(
            "SELECT state, message FROM invitation WHERE id = $1 AND request_key IS NOT NULL AND expires_at_ms > $2",
        );
        let row = row.bind(id.0.to_vec()).bind(actor.at_ms).fetch_optional(&mut *transaction).await?;
        let Some(row) = row else { return Ok(Taken::Nothing) };
        let known: Option<Vec<u8>> = row.get("message");
        let taken = match known {
            None => {
                sql::query(
                    "UPDATE invitation SET state = 'requested', message = $2, certificate = $3, identity = $4, device = $5
                     WHERE id = $1",
                )
                .bind(id.0.to_vec())
                .bind(message.0.to_vec())
                .bind(enrolled.recipient.certificate().der())
                .bind(enrolled.recipient.identity().der())
                .bind(&enrolled.device)
                .execute(&mut *transaction)
                .await?;
                note(&mut transaction, Act::Requested, &invitation.doctor, &enrolled.device, actor).await?;
                Taken::Waits
            }
            Some(known) if known == message.0 => Taken::Nothing,
            Some(_) if row.get::<&str, _>("state") == "confirmed" => Taken::Nothing,
            Some(_) => {
                end(&mut transaction, id, "dead").await?;
                note(&mut transaction, Act::CodeDead, &invitation.doctor, &id.to_string(), actor).await?;
                Taken::Dead
            }
        };
        transaction.commit().await?;
        Ok(taken)
    }

    /// The administrator agreed: the device is in the directory, and nothing else can come in by this code. False where the certificate was
    /// there before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn enrolled(&self, id: InvitationId, device: &Device) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let added = directory::add(&mut transaction, device, Act::Enrolled).await?;
        if added {
            sql::query("UPDATE invitation SET state = 'confirmed' WHERE id = $1 AND state = 'requested'")
                .bind(id.0.to_vec())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(added)
    }

    /// The answer is on its way: the keys of the code are forgotten.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn invitation_answered(&self, id: InvitationId) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        end(&mut transaction, id, "confirmed").await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Forgets the keys. False where that was done before.
async fn end(
    transaction: &mut Transaction,
    id: InvitationId,
    state: &'static str,
) -> Result<bool, JournalError> {
    let ended = sql::query(
        "UPDATE invitation SET state = $2, request_key = NULL, confirmation_key = NULL
         WHERE id = $1 AND request_key IS NOT NULL AND ($2 = 'confirmed' OR state <> 'confirmed')",
    )
    .bind(id.0.to_vec())
    .bind(state)
    .execute(&mut **transaction)
    .await?;
    Ok(ended.rows_affected() == 1)
}

fn read(row: &Row) -> Result<Invitation, JournalError> {
    let keys = CodeKeys {
        invitation: InvitationId(bytes16(row.get("id"), "invitation.id")?),
        request: bytes32(row.get("request_key"), "request_key")?,
        confirmation: bytes32(row.get("confirmation_key"), "confirmation_key")?,
    };
    let (certificate, identity, device): (Option<Vec<u8>>, Option<Vec<u8>>, Option<String>) =
        (row.get("certificate"), row.get("identity"), row.get("device"));
    let requested = match (certificate, identity, device) {
        (Some(certificate), Some(identity), Some(device)) => {
            let read = |der: &[u8]| {
                Certificate::from_der(der).map_err(|_| JournalError::Unknown("invitation.certificate"))
            };
            let recipient = Recipient::new(read(&certificate)?, Some(read(&identity)?))
                .map_err(|_| JournalError::Unknown("invitation.identity"))?;
            Some(Enrolled { recipient, device })
        }
        _ => None,
    };
    Ok(Invitation {
        doctor: row.get("doctor"),
        keys,
        expires_at_ms: row.get("expires_at_ms"),
        requested,
        confirmed: row.get::<&str, _>("state") == "confirmed",
    })
}
