//! Rows of the directory of doctors: certificates, with who put them there and who ended them.

use super::acts::{Act, Actor, note};
use super::sql::{self, Row, Transaction};
use super::{Journal, JournalError};
use seal::ids::Digest;
use seal::native::{Certificate, Recipient};

/// A certificate in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The doctor's name in the configuration.
    pub doctor: String,
    /// Which device it is on, in the administrator's or the doctor's words.
    pub device: String,
    /// Whom to seal for, and whose receipts count.
    pub recipient: Recipient,
    /// What an authority certified of a device that enrolled itself: the key of its identity.
    pub certified: Option<Certificate>,
    /// How it came in.
    pub origin: Origin,
    /// Whether it is sealed for.
    pub standing: Standing,
    /// When it came in, milliseconds since 1970-01-01 UTC.
    pub added_at_ms: i64,
    /// Login name of who brought it in.
    pub added_by: String,
    /// When it stopped to be active, and by whom.
    pub ended: Option<(i64, String)>,
}

/// How a certificate came into the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `[doctors.NAME] certificate`.
    Configuration,
    /// `scanpost-gateway doctor add`.
    Administrator,
    /// A one-time code.
    Enrolment,
}

/// Whether a certificate is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Sealed for, and its receipts count.
    Active,
    /// Replaced: not sealed for any more; receipts for what was sealed before still count.
    Superseded,
    /// Lost or withdrawn: not sealed for, and its receipts count no more.
    Revoked,
}

impl Origin {
    /// The word in journal and list.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Administrator => "administrator",
            Self::Enrolment => "enrolment",
        }
    }

    fn parse(word: &str) -> Result<Self, JournalError> {
        let all = [Self::Configuration, Self::Administrator, Self::Enrolment];
        all.into_iter().find(|origin| origin.word() == word).ok_or(JournalError::Unknown("origin"))
    }
}

impl Standing {
    /// The word in journal and list.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
        }
    }

    fn parse(word: &str) -> Result<Self, JournalError> {
        let all = [Self::Active, Self::Superseded, Self::Revoked];
        all.into_iter().find(|standing| standing.word() == word).ok_or(JournalError::Unknown("state"))
    }
}

impl Device {
    /// A certificate that comes in now.
    pub fn new(doctor: &str, device: &str, recipient: Recipient, origin: Origin, actor: Actor<'_>) -> Self {
        Self {
            doctor: doctor.to_owned(),
            device: device.to_owned(),
            recipient,
            certified: None,
            origin,
            standing: Standing::Active,
            added_at_ms: actor.at_ms,
            added_by: actor.by.to_owned(),
            ended: None,
        }
    }

    /// SHA-256 of the certificate, by which cover and receipt name it.
    pub fn digest(&self) -> Digest {
        self.recipient.certificate().digest()
    }

    /// Whether certificate and identity are valid at `now`, seconds since 1970-01-01 UTC.
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.recipient.certificate().is_valid_at(now) && self.recipient.identity().is_valid_at(now)
    }

    /// When the first of its certificates ends, seconds since 1970-01-01 UTC.
    pub fn ends_at(&self) -> i64 {
        let own = self.recipient.certificate().not_after().min(self.recipient.identity().not_after());
        self.certified.as_ref().map_or(own, |certified| own.min(certified.not_after()))
    }

    /// Its name and key, as the audit trail calls it.
    fn words(&self) -> String {
        format!("{} {}", self.device, self.digest())
    }
}

impl Journal {
    /// The whole directory, by doctor and age.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn devices(&self) -> Result<Vec<Device>, JournalError> {
        let rows = sql::query(
            "SELECT d.*, i.certificate AS certified FROM doctor_certificate d
             LEFT JOIN identity_certificate i ON i.identity = d.identity ORDER BY d.doctor, d.added_at_ms, d.digest",
        );
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// Whose certificate it is; nobody's once it is revoked.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn doctor_of(&self, certificate: Digest) -> Result<Option<String>, JournalError> {
        let row =
            sql::query("SELECT doctor FROM doctor_certificate WHERE digest = $1 AND state <> 'revoked'");
        let row = row.bind(certificate.0.to_vec()).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.get("doctor")))
    }

    /// Puts a certificate in. False where it is there already, whoever has it and however it stands, or where its identity was revoked: that
    /// stays so.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn add_device(&self, device: &Device, act: Act) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let added = add(&mut transaction, device, act).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Ends an active certificate, or revokes a superseded one. False where there is nothing to end.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn end_device(
        &self,
        device: &Device,
        standing: Standing,
        actor: Actor<'_>,
    ) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let ended = end(&mut transaction, device, standing, actor).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Keeps what an authority certified of a device's identity; it replaces what stood there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn certify_device(
        &self,
        device: &Device,
        certificate: &Certificate,
        actor: Actor<'_>,
    ) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        sql::query(
            "INSERT INTO identity_certificate (identity, certificate, added_at_ms, added_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (identity) DO UPDATE SET certificate = excluded.certificate, added_at_ms = excluded.added_at_ms, added_by = excluded.added_by",
        )
        .bind(device.recipient.identity().der())
        .bind(certificate.der())
        .bind(actor.at_ms)
        .bind(actor.by)
        .execute(&mut *transaction)
        .await?;
        note(&mut transaction, Act::Certified, &device.doctor, &device.words(), actor).await?;
        transaction.commit().await
    }

    /// Takes a new certificate of a device, and ends those of `before`. False as for [`Self::add_device`].
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn renew_device(&self, device: &Device, before: &[&Device]) -> Result<bool, JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        let added = add(&mut transaction, device, Act::Renewed).await?;
        if added {
            let actor = Actor { by: &device.added_by, at_ms: device.added_at_ms };
            for old in before {
                end(&mut transaction, old, Standing::Superseded, actor).await?;
            }
        }
        transaction.commit().await?;
        Ok(added)
    }
}

/// See [`Journal::add_device`].
pub(super) async fn add(
    transaction: &mut Transaction,
    device: &Device,
    act: Act,
) -> Result<bool, JournalError> {
    let added = sql::query(
        "INSERT INTO doctor_certificate
         (digest, doctor, device, certificate, identity, origin, state, added_at_ms, added_by)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
         WHERE NOT EXISTS (SELECT 1 FROM doctor_certificate WHERE identity = $5 AND state = 'revoked')
         ON CONFLICT DO NOTHING",
    )
    .bind(device.digest().0.to_vec())
    .bind(&device.doctor)
    .bind(&device.device)
    .bind(device.recipient.certificate().der())
    .bind(device.recipient.identity().der())
    .bind(device.origin.word())
    .bind(device.standing.word())
    .bind(device.added_at_ms)
    .bind(&device.added_by)
    .execute(&mut **transaction)
    .await?;
    let added = added.rows_affected() == 1;
    if added {
        let actor = Actor { by: &device.added_by, at_ms: device.added_at_ms };
        note(transaction, act, &device.doctor, &device.words(), actor).await?;
    }
    Ok(added)
}

async fn end(
    transaction: &mut Transaction,
    device: &Device,
    standing: Standing,
    actor: Actor<'_>,
) -> Result<bool, JournalError> {
    let ended = sql::query(
        "UPDATE doctor_certificate SET state = $2, ended_by = $3, ended_at_ms = $4
         WHERE digest = $1 AND (state = 'active' OR (state = 'superseded' AND $2 = 'revoked'))",
    )
    .bind(device.digest().0.to_vec())
    .bind(standing.word())
    .bind(actor.by)
    .bind(actor.at_ms)
    .execute(&mut **transaction)
    .await?;
    let ended = ended.rows_affected() == 1;
    if ended {
        let act = if standing == Standing::Revoked { Act::Revoked } else { Act::Superseded };
        note(transaction, act, &device.doctor, &device.words(), actor).await?;
    }
    Ok(ended)
}

fn read(row: &Row) -> Result<Device, JournalError> {
    let certificate = |column: &'static str| {
        Certificate::from_der(row.get(column)).map_err(|_| JournalError::Unknown(column))
    };
    let (own, identity) = (certificate("certificate")?, certificate("identity")?);
    // One that is its own identity and cannot sign is that of a mail program.
    let is_mail_program = own == identity && own.point().is_none();
    let recipient = if is_mail_program {
        Ok(Recipient::of_mail_program(own))
    } else {
        Recipient::new(own, Some(identity))
    };
    let certified = row.get::<Option<&[u8]>, _>("certified").map(Certificate::from_der).transpose();
    let (ended_at, ended_by): (Option<i64>, Option<String>) = (row.get("ended_at_ms"), row.get("ended_by"));
    Ok(Device {
        doctor: row.get("doctor"),
        device: row.get("device"),
        recipient: recipient.map_err(|_| JournalError::Unknown("identity"))?,
        certified: certified.map_err(|_| JournalError::Unknown("identity_certificate.certificate"))?,
        origin: Origin::parse(row.get("origin"))?,
        standing: Standing::parse(row.get("state"))?,
        added_at_ms: row.get("added_at_ms"),
        added_by: row.get("added_by"),
        ended: ended_at.zip(ended_by),
    })
}
