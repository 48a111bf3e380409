//! `scanpost-gateway doctor`: what an administrator does with the directory, beside a running gateway or without one.

use super::{Authorities, DirectoryError, Expiry, certify, enrolment, expiry, is_vouched};
use crate::clock::now_ms;
use crate::config::{self, Config, Doctor, Kind};
use crate::journal::{Act, Actor, Device, Invitation, Journal, Origin, Standing};
use crate::spool::make_place_of_journal;
use crate::submit::Submitter;
use clap::Subcommand;
use seal::enrol::device_fits;
use seal::ids::Digest;
use seal::limits::DEVICE_BYTES_MAX;
use seal::mail::Address;
use seal::native::{Certificate, Recipient, SealError, sign_revocation};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Fewest digits that name a certificate.
const DIGITS_MIN: usize = 6;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show every doctor's certificates, and which end soon.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a certificate that the doctor or a CA handed over; what is there already stays.
    Add {
        /// Name in the configuration.
        doctor: String,
        /// PEM: P-256, or RSA of at least 3072 bits.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// PEM, P-256: signs receipts; an RSA certificate needs it.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Which device, in a few words.
        #[arg(long, default_value = "by hand")]
        device: String,
    },
    /// Show a one-time code, by which a device of the doctor's enrols itself.
    Invite {
        /// Name in the configuration.
        doctor: String,
        /// How long the code is good, in hours, at most 168.
        #[arg(long, default_value_t = 24)]
        hours: i64,
    },
    /// Show what device asks to be enrolled; with the fingerprint that its doctor reads out, take it.
    Confirm {
        /// Name in the configuration.
        doctor: String,
        /// As the device shows it.
        #[arg(long, value_name = "XXXX-XXXX-XXXX-XXXX")]
        fingerprint: Option<String>,
    },
    /// Show what an authority is to certify of a device that enrolled itself, as PEM; with its certificate, take that.
    Certify {
        /// Name in the configuration.
        doctor: String,
        /// The device's name, or the first digits of a SHA-256, as `list` shows them; not needed where there is one alone.
        device: Option<String>,
        /// PEM: what the authority issued.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// Seal nothing more for a device, and let its receipts count no more: from the next delivery on.
    Revoke {
        /// Name in the configuration.
        doctor: String,
        /// The device's name, or the first digits of a SHA-256, as `list` shows them. Every key of that device is revoked.
        #[arg(required_unless_present = "all")]
        device: Option<String>,
        /// Every device of the doctor's.
        #[arg(long, conflicts_with = "device")]
        all: bool,
    },
}

/// Does it; what is to be shown comes back.
///
/// # Errors
/// [`DirectoryError`].
pub async fn run(config: &Config, action: Action) -> Result<String, DirectoryError> {
    make_place_of_journal(config).map_err(|error| DirectoryError::Refused(error.to_string()))?;
    let journal = Journal::open_directory(config.database()?).await?;
    super::take_configured(config, &journal).await?;
    match action {
        Action::List { json } => {
            list(config, &journal.devices().await?, &journal.invitations(now_ms()).await?, json)
        }
        Action::Add { doctor, certificate, identity, device } => {
            let kind = known(config, &doctor)?.kind;
            add(config, &journal, (&doctor, kind), &certificate, identity.as_deref(), &device).await
        }
        Action::Invite { doctor, hours } => {
            has_our_reader(config, &doctor)?;
            enrolment::invite(config, &journal, &doctor, hours).await
        }
        Action::Confirm { doctor, fingerprint } => {
            has_our_reader(config, &doctor)?;
            enrolment::confirm(config, &journal, &doctor, fingerprint.as_deref()).await
        }
        Action::Certify { doctor, device, certificate } => {
            has_our_reader(config, &doctor)?;
            certify::certify(config, &journal, &doctor, device.as_deref(), certificate.as_deref()).await
        }
        Action::Revoke { doctor, device, .. } => revoke(config, &journal, &doctor, device.as_deref()).await,
    }
}

async fn add(
    config: &Config,
    journal: &Journal,
    (doctor, kind): (&str, Kind),
    certificate: &Path,
    identity: Option<&Path>,
    name: &str,
) -> Result<String, DirectoryError> {
    if !device_fits(name) {
        return Err(DirectoryError::Refused(format!("--device: 1 to {DEVICE_BYTES_MAX} bytes")));
    }
    let recipient = match kind {
        Kind::Reader => {
            Recipient::new(read(certificate)?, identity.map(read).transpose()?).map_err(refused)?
        }
        Kind::Smime if identity.is_some() => {
            return Err(DirectoryError::Refused(
                "--identity: a mail program signs no receipts, leave it out".into(),
            ));
        }
        Kind::Smime => Recipient::of_mail_program(read(certificate)?),
        Kind::Link => {
            return Err(DirectoryError::Refused(
                "an outside recipient gets a key with each link, and has no certificate here".into(),
            ));
        }
    };
    let (by, at_ms) = (administrator(), now_ms());
    let device = Device::new(doctor, name, recipient, Origin::Administrator, Actor { by: &by, at_ms });
    if expiry(&device, at_ms / 1000) == Expiry::Expired {
        return Err(DirectoryError::Refused("the certificate has expired: get a new one".into()));
    }
    let authorities = Authorities::read(&config.directory)?;
    if !is_vouched(&device, authorities.as_ref(), at_ms / 1000) {
        return Err(DirectoryError::Refused(
            "no authority of [directory] ca issued this certificate, or it revoked it".into(),
        ));
    }
    if !journal.add_device(&device, Act::Added).await? {
        return Err(DirectoryError::Refused(
            "this certificate is in the directory already, or its identity was revoked, which stays so"
                .into(),
        ));
    }
    Ok(format!("added {} for {doctor}", device.digest()))
}

async fn revoke(
    config: &Config,
    journal: &Journal,
    doctor: &str,
    named: Option<&str>,
) -> Result<String, DirectoryError> {
    let devices = journal.devices().await?;
    let theirs: Vec<&Device> = devices
        .iter()
        .filter(|device| device.doctor == doctor && device.standing != Standing::Revoked)
        .collect();
    let no_such = || DirectoryError::NoCertificate(named.unwrap_or("this name").to_owned());
    let lost: BTreeSet<Digest> = match named {
        None => theirs.iter().map(|device| identity_of(device)).collect(),
        Some(named) => identities_named(&theirs, named).ok_or_else(no_such)?,
    };
    let (by, mut digests) = (administrator(), Vec::new());
    // Again, until none is left: one that was renewed meanwhile is lost too. Once one is revoked, no other comes in under its identity.
    loop {
        let devices = journal.devices().await?;
        let is_lost =
            |device: &&Device| device.standing != Standing::Revoked && lost.contains(&identity_of(device));
        let ended: Vec<_> = devices.iter().filter(is_lost).collect();
        if ended.is_empty() {
            break;
        }
        for device in ended {
            journal.end_device(device, Standing::Revoked, Actor { by: &by, at_ms: now_ms() }).await?;
            digests.push(device.digest().to_string());
        }
    }
    if digests.is_empty() {
        return Err(no_such());
    }
    let told = match tell_portal(config, doctor, &lost).await {
        Ok(()) => String::new(),
        Err(error) => {
            format!("\nIf there is a portal, it could not be told: {error} (remove the device there)")
        }
    };
    Ok(format!(
        "revoked for {doctor}: {}\nWhat was sealed before can still be opened by who has the device and its passphrase, as long as it is in the mailbox.{told}",
        digests.join(" ")
    ))
}

/// Mails a revocation of each identity to the doctor's mailbox (SPEC 8.6), where a portal sees it: it ends the sessions of that device.
async fn tell_portal(config: &Config, doctor: &str, lost: &BTreeSet<Digest>) -> Result<(), DirectoryError> {
    // Of a mail program, or of a doctor who is no longer in the configuration: no portal has their keys.
    let Some(known) = config.doctors.get(doctor).filter(|known| known.kind == Kind::Reader) else {
        return Ok(());
    };
    let mailbox =
        Address::parse(&known.mailbox).ok_or_else(|| DirectoryError::NoDoctor(doctor.to_owned()))?;
    let (site, submitter) = (config.seal.site_key()?, Submitter::new(config)?);
    for identity in lost {
        let notice = sign_revocation(*identity, &site, now_ms() / 1000)?;
        let sent = submitter.answer(&notice, &mailbox).await;
        sent.map_err(|error| DirectoryError::Refused(error.to_string()))?;
    }
    Ok(())
}

/// Identities of the devices of this name, or of the one certificate that begins with these digits.
pub(super) fn identities_named(theirs: &[&Device], named: &str) -> Option<BTreeSet<Digest>> {
    let by_name: BTreeSet<_> =
        theirs.iter().filter(|device| device.device == named).map(|device| identity_of(device)).collect();
    if !by_name.is_empty() {
        return Some(by_name);
    }
    let fits = |device: &&&Device| device.digest().to_string().starts_with(&named.to_lowercase());
    let by_digits: BTreeSet<_> = theirs.iter().filter(fits).map(|device| identity_of(device)).collect();
    (named.len() >= DIGITS_MIN && by_digits.len() == 1).then_some(by_digits)
}

pub(super) fn identity_of(device: &Device) -> Digest {
    device.recipient.identity().digest()
}

/// One line a certificate, tab-free and of constant order, or JSON.
fn list(
    config: &Config,
    devices: &[Device],
    invitations: &[Invitation],
    json: bool,
) -> Result<String, DirectoryError> {
    let (now, authorities) = (now_ms() / 1000, Authorities::read(&config.directory)?);
    let shown = devices.iter().map(|device| Line::of(device, authorities.as_ref(), now));
    if json {
        let lines: Vec<Line> = shown.collect();
        return serde_json::to_string_pretty(&lines)
            .map_err(|error| DirectoryError::Refused(error.to_string()));
    }
    let without =
        config.doctors.iter().filter(|(name, _)| !devices.iter().any(|device| &device.doctor == *name));
    let without = without.map(|(name, doctor)| super::NoKey::None.words(name, doctor.kind));
    let open = invitations.iter().map(|invitation| match &invitation.requested {
        Some(enrolled) => {
            format!("{}: \"{}\" asks to be enrolled (doctor confirm)", invitation.doctor, enrolled.device)
        }
        None => format!(
            "{}: a code is out, good until {}",
            invitation.doctor,
            day(invitation.expires_at_ms / 1000)
        ),
    });
    Ok(shown.map(|line| line.text()).chain(without).chain(open).collect::<Vec<_>>().join("\n"))
}

/// What is shown of a certificate.
#[derive(serde::Serialize)]
struct Line {
    doctor: String,
    device: String,
    kind: &'static str,
    state: &'static str,
    /// Days left; none once expired.
    days: Option<i64>,
    /// Whether an authority certified the identity of a device that enrolled itself.
    certified: bool,
    /// False: no authority of `[directory] ca` stands behind it.
    vouched: bool,
    valid_until: String,
    origin: &'static str,
    added_by: String,
    ended_by: Option<String>,
    certificate: String,
    identity: String,
}

impl Line {
    fn of(device: &Device, authorities: Option<&Authorities>, now: i64) -> Self {
        let (certificate, until) = (device.recipient.certificate(), device.ends_at());
        Self {
            doctor: device.doctor.clone(),
            device: device.device.clone(),
            kind: if certificate.point().is_some() { "P-256" } else { "RSA" },
            state: device.standing.word(),
            days: (until >= now).then_some((until - now) / 86_400),
            certified: device.certified.is_some(),
            vouched: is_vouched(device, authorities, now),
            valid_until: day(until),
            origin: device.origin.word(),
            added_by: device.added_by.clone(),
            ended_by: device.ended.as_ref().map(|(_, by)| by.clone()),
            certificate: device.digest().to_string(),
            identity: device.recipient.identity().digest().to_string(),
        }
    }

    fn text(&self) -> String {
        let mark = match self.days {
            _ if self.state != "active" => "",
            _ if !self.vouched => "  NOT SEALED FOR: no authority of [directory] ca stands behind it",
            None => "  EXPIRED: get a new one",
            Some(0..=6) => "  ends within a week: get a new one now",
            Some(7..=29) => "  ends within 30 days",
            _ => "",
        };
        let Self { doctor, device, kind, state, valid_until, origin, certificate, .. } = self;
        let short: String = certificate.chars().take(16).collect();
        format!(
            "{doctor:<16} {device:<20} {kind:<5} {state:<10} until {valid_until}  {short}  by {origin}{mark}"
        )
    }
}

/// The UTC day of a time in seconds since 1970-01-01 UTC.
fn day(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at).map_or_else(|_| "for ever".into(), |time| time.date().to_string())
}

fn known<'a>(config: &'a Config, doctor: &str) -> Result<&'a Doctor, DirectoryError> {
    config.doctors.get(doctor).ok_or_else(|| DirectoryError::NoDoctor(doctor.to_owned()))
}

fn has_our_reader(config: &Config, doctor: &str) -> Result<(), DirectoryError> {
    match known(config, doctor)?.kind {
        Kind::Reader => Ok(()),
        Kind::Link => Err(DirectoryError::Refused(format!(
            "{doctor} is a mailbox for outside recipients, who have no devices here"
        ))),
        Kind::Smime => Err(DirectoryError::Refused(format!(
            "doctor {doctor} has only a mail program, which cannot enrol itself: scanpost-gateway doctor add {doctor}"
        ))),
    }
}

pub(super) fn read(path: &Path) -> Result<Certificate, DirectoryError> {
    Certificate::from_pem(&config::read(path)?).map_err(refused)
}

fn refused(error: SealError) -> DirectoryError {
    DirectoryError::Refused(error.to_string())
}

/// Who sits at the terminal, as far as the system says.
pub(crate) fn administrator() -> String {
    let names = ["SUDO_USER", "LOGNAME", "USER"];
    names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "unknown".to_owned())
}
