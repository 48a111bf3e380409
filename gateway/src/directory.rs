//! The directory of doctors: which certificates a delivery is sealed for, and whose receipts count.
//!
//! The configuration says who a doctor is and where the mail goes; the journal says by which keys, because keys change while the
//! gateway runs. `[doctors.NAME] certificate` is one of them: it is taken over at start, and supersedes the one that stood there before.

mod audited;
mod authorities;
mod certify;
pub mod command;
mod enrolment;
mod expiry;
mod renewal;

pub(crate) use audited::{audit, audit_all};
pub use authorities::{Authorities, Directory, Vouched};
pub(crate) use enrolment::take_records;
pub(crate) use expiry::warn;
pub use expiry::{Expiry, expiry};

use crate::audit::AuditError;
use crate::clock::now_ms;
use crate::config::{Config, ConfigError, Kind};
use crate::journal::{Act, Actor, Device, Journal, JournalError, Origin, Standing};
use seal::native::Recipient;

/// Device name of what stands in the configuration.
const FROM_CONFIGURATION: &str = "configuration";

/// Why nothing can be sealed for a doctor: the operator must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// There is none.
    None,
    /// Each was revoked or superseded.
    Revoked,
    /// The last one ran out.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// No authority of `[directory] ca` vouches for it.
    Unvouched,
}

impl NoKey {
    /// What is wrong, and what the operator must do.
    pub fn parts(self, doctor: &str, kind: Kind) -> (String, String) {
        let remedy = match kind {
            Kind::Reader if self == Self::Unvouched => {
                format!("scanpost-gateway doctor certify {doctor}, or doctor add {doctor}")
            }
            Kind::Reader => format!("scanpost-gateway doctor invite {doctor}, or doctor add {doctor}"),
            Kind::Smime => format!("scanpost-gateway doctor add {doctor}"),
            Kind::Link => {
                "its link has ended or was not made: withdraw the study, and press again".to_owned()
            }
        };
        let what = match self {
            Self::None => "has no certificate",
            Self::Revoked => "has only revoked certificates",
            Self::Expired => "has only certificates that have expired",
            Self::NotYet => "has only a certificate that is not valid yet",
            Self::Unvouched => {
                "has only certificates that no authority of [directory] ca issued, or that it revoked"
            }
        };
        (format!("doctor {doctor} {what}"), remedy)
    }

    /// [`NoKey::parts`] as one sentence.
    pub fn words(self, doctor: &str, kind: Kind) -> String {
        let (what, remedy) = self.parts(doctor, kind);
        format!("{what} (operator: {remedy})")
    }
}

/// Takes the certificates of the configuration into the directory.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be used, or a certificate that another doctor has; [`JournalError`].
pub async fn take_configured(config: &Config, journal: &Journal) -> Result<(), DirectoryError> {
    for (name, doctor) in &config.doctors {
        if let Some(recipient) = doctor.recipient()? {
            take(name, recipient, journal).await?;
        }
    }
    Ok(())
}

async fn take(name: &str, recipient: Recipient, journal: &Journal) -> Result<(), DirectoryError> {
    let actor = Actor { by: FROM_CONFIGURATION, at_ms: now_ms() };
    let device = Device::new(name, FROM_CONFIGURATION, recipient, Origin::Configuration, actor);
    let devices = journal.devices().await?;
    if let Some(known) = devices.iter().find(|known| known.digest() == device.digest()) {
        if known.doctor != name || known.recipient != device.recipient {
            return Err(DirectoryError::Taken { doctor: name.to_owned(), by: known.doctor.clone() });
        }
        if known.standing == Standing::Revoked {
            tracing::warn!(
                doctor = name,
                "the certificate in the configuration is revoked and is not used (operator: replace it)"
            );
        }
        return Ok(());
    }
    let replaced = |known: &&Device| {
        known.doctor == name && known.origin == Origin::Configuration && known.standing == Standing::Active
    };
    journal.add_device(&device, Act::Added).await?;
    for known in devices.iter().filter(replaced) {
        journal.end_device(known, Standing::Superseded, actor).await?;
    }
    Ok(())
}

/// The certificates that a doctor's next delivery is sealed for; `now` in seconds since 1970-01-01 UTC. See [`is_vouched`].
///
/// # Errors
/// [`NoKey`] if it is none.
pub fn sealed_for(
    devices: &[Device],
    doctor: &str,
    kind: Kind,
    authorities: Option<&Authorities>,
    now: i64,
) -> Result<Vec<Recipient>, NoKey> {
    let theirs: Vec<_> =
        devices.iter().filter(|device| device.doctor == doctor && fits(device, kind)).collect();
    let active: Vec<_> = theirs.iter().filter(|device| device.standing == Standing::Active).collect();
    let valid: Vec<_> = active.iter().filter(|device| device.is_valid_at(now)).collect();
    let vouched = |device: &Device| is_vouched(device, authorities, now);
    let usable: Vec<_> =
        valid.iter().filter(|device| vouched(device)).map(|device| device.recipient.clone()).collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    let is_over = active.iter().any(|device| device.ends_at() < now);
    Err(match (theirs.is_empty(), active.is_empty(), valid.is_empty()) {
        (true, ..) => NoKey::None,
        (_, true, _) => NoKey::Revoked,
        (_, _, false) => NoKey::Unvouched,
        _ if is_over => NoKey::Expired,
        _ => NoKey::NotYet,
    })
}

/// Whether a certificate is of use to what opens the doctor's mail: no mail program has the key of a device that enrolled itself, and our reader
/// signs receipts.
fn fits(device: &Device, kind: Kind) -> bool {
    match kind {
        Kind::Reader => device.recipient.signs_receipts(),
        Kind::Smime => device.origin != Origin::Enrolment,
        Kind::Link => false,
    }
}

/// Whether the hospital's authorities stand behind a certificate, where some are named. A device that enrolled itself is vouched for by who
/// compared its fingerprint; what an authority certified of it counts all the same, and is asked for where the operator says so: of the
/// identity, which signs for every later key.
pub fn is_vouched(device: &Device, authorities: Option<&Authorities>, now: i64) -> bool {
    let Some(authorities) = authorities else { return true };
    match (device.origin, &device.certified) {
        (Origin::Enrolment, None) => authorities.enrolled == Vouched::Compared,
        (Origin::Enrolment, Some(certified)) => authorities.vouch_for(certified, now),
        _ => authorities.vouch_for(device.recipient.certificate(), now),
    }
}

/// Whose receipts count: of all that was sealed for a doctor, what is not revoked.
pub fn receipts_of<'a>(devices: &'a [Device], doctor: &'a str) -> impl Iterator<Item = &'a Device> {
    devices.iter().filter(move |device| {
        device.doctor == doctor && device.standing != Standing::Revoked && fits(device, Kind::Reader)
    })
}

/// Why the directory cannot be used: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A certificate names one person.
    #[error(
        "the certificate of doctor {doctor} is that of doctor {by} in the directory, or has another identity there (operator: each doctor has a certificate of their own)"
    )]
    Taken {
        /// Whose it should be.
        doctor: String,
        /// Whose it is.
        by: String,
    },
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A key of this site.
    #[error(transparent)]
    Seal(#[from] seal::native::SealError),
    /// No such doctor.
    #[error(
        "there is no [doctors.{0}] in the configuration (operator: write it first: mailbox, folder, phone)"
    )]
    NoDoctor(String),
    /// No such certificate.
    #[error("{0} fits no certificate of this doctor, or more than one; see scanpost-gateway doctor list")]
    NoCertificate(String),
    /// Not one that may come in.
    #[error("{0}")]
    Refused(String),
}

#[cfg(test)]
mod tests;
