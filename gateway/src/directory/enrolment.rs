//! Enrolment at the gateway: an administrator invites, a device asks, the administrator compares and confirms (SPEC 8).

use super::command::administrator;
use super::{DirectoryError, renewal};
use crate::clock::now_ms;
use crate::config::{self, Config};
use crate::journal::{Actor, Device, Invitation, Journal, Origin, Taken};
use crate::pulled::{Enrolment, EnrolmentKind};
use crate::submit::Submitter;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use seal::enrol::{fingerprint, is_same_fingerprint};
use seal::ids::Digest;
use seal::mail::{Address, Site};
use seal::native::{Certificate, CodeKeys, Enrolled, new_code, open_request, sign_confirmation};
use tokio::sync::mpsc;

const HOUR_MS: i64 = 3_600_000;
/// Longest life of a code, in hours: a week.
const HOURS_MAX: i64 = 168;

/// Who acts for what came by mail, in the audit trail.
pub(super) const INBOUND: &str = "mailbox";

/// Makes a code and what is to be shown of it, once.
pub(super) async fn invite(
    config: &Config,
    journal: &Journal,
    doctor: &str,
    hours: i64,
) -> Result<String, DirectoryError> {
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(DirectoryError::Refused(format!("--hours: 1 to {HOURS_MAX}")));
    }
    let code = new_code(site(config)?)?;
    let expires_at_ms = now_ms() + hours * HOUR_MS;
    let by = administrator();
    let actor = Actor { by: &by, at_ms: now_ms() };
    journal.invite(doctor, &CodeKeys::of(&code)?, expires_at_ms, actor).await?;
    let text = code.text();
    let drawn = QrCode::new(text.as_bytes()).map_err(|error| DirectoryError::Refused(error.to_string()))?;
    let drawn = drawn.render::<Dense1x2>().build();
    let site = Certificate::from_pem(&config::read(&config.seal.certificate)?)?.digest();
    Ok(format!(
        "{drawn}\n\nCode for {doctor}, good once and for {hours} hours; it is not kept and not shown again:\n\n  {}\n\n\
         On the doctor's device:  scanpost-reader enrol --config FILE\n\
         Then compare fingerprints, by telephone or side by side:  scanpost-gateway doctor confirm {doctor}\n\
         Certificate of this site: {site}",
        *text
    ))
}

/// Shows what waits for a doctor, or takes the keys with this fingerprint and answers.
pub(super) async fn confirm(
    config: &Config,
    journal: &Journal,
    doctor: &str,
    compared: Option<&str>,
) -> Result<String, DirectoryError> {
    let mut waiting = journal.invitations(now_ms()).await?;
    waiting.retain(|invitation| invitation.doctor == doctor && invitation.requested.is_some());
    let Some(compared) = compared else { return Ok(shown(doctor, &waiting)) };
    let found = waiting.iter().find_map(|invitation| {
        let enrolled = invitation.requested.as_ref()?;
        is_same_fingerprint(&print_of(invitation, enrolled), compared).then_some((invitation, enrolled))
    });
    let Some((invitation, enrolled)) = found else {
        return Err(DirectoryError::Refused(format!(
            "no request for {doctor} has this fingerprint. If it is what the doctor's device shows, somebody changed the request on its way: invite anew"
        )));
    };
    let (by, at_ms) = (administrator(), now_ms());
    let device = Device::new(
        doctor,
        &enrolled.device,
        enrolled.recipient.clone(),
        Origin::Enrolment,
        Actor { by: &by, at_ms },
    );
    if !journal.enrolled(invitation.keys.invitation, &device).await? && !invitation.confirmed {
        return Err(DirectoryError::Refused(
            "this key is in the directory already, or its identity was revoked: on the device, begin with an empty key folder".into(),
        ));
    }
    answer(config, doctor, invitation, enrolled).await.map_err(|error| {
        DirectoryError::Refused(format!(
            "{doctor} is enrolled, but the answer could not be sent: {error} (run the same command again)"
        ))
    })?;
    journal.invitation_answered(invitation.keys.invitation).await?;
    Ok(format!(
        "{doctor} is enrolled with \"{}\", {}; the answer is in the mail",
        enrolled.device,
        device.digest()
    ))
}

async fn answer(
    config: &Config,
    doctor: &str,
    invitation: &Invitation,
    enrolled: &Enrolled,
) -> Result<(), DirectoryError> {
    let mailbox = config.doctors.get(doctor).and_then(|doctor| Address::parse(&doctor.mailbox));
    let mailbox = mailbox.ok_or_else(|| DirectoryError::NoDoctor(doctor.to_owned()))?;
    let signed =
        sign_confirmation(&enrolled.recipient, &config.seal.site_key()?, &invitation.keys, now_ms() / 1000)?;
    let submitter = Submitter::new(config)?;
    submitter.answer(&signed, &mailbox).await.map_err(|error| DirectoryError::Refused(error.to_string()))
}

fn shown(doctor: &str, waiting: &[Invitation]) -> String {
    let lines: Vec<String> = waiting
        .iter()
        .filter_map(|invitation| {
            let enrolled = invitation.requested.as_ref()?;
            Some(format!("  {}  \"{}\"", print_of(invitation, enrolled), enrolled.device))
        })
        .collect();
    if lines.is_empty() {
        return format!("no request of {doctor} waits");
    }
    format!(
        "{}\nAsk the doctor to read out what the device shows. Only if it is the same:\n  scanpost-gateway doctor confirm {doctor} --fingerprint XXXX-XXXX-XXXX-XXXX",
        lines.join("\n")
    )
}

fn print_of(invitation: &Invitation, enrolled: &Enrolled) -> String {
    let recipient = &enrolled.recipient;
    fingerprint(invitation.keys.invitation, &recipient.certificate().digest(), &recipient.identity().digest())
}

fn site(config: &Config) -> Result<Site, DirectoryError> {
    Site::parse(&config.site)
        .ok_or_else(|| DirectoryError::Refused("site: write a domain name in lower case".into()))
}

/// Notes what the inbound process hands over, until the sender is gone.
pub(crate) async fn take_records(journal: Journal, mut records: mpsc::Receiver<Enrolment>) {
    while let Some(record) = records.recv().await {
        // The process looks at the whole folder again after its next start: what is lost here comes again.
        if let Err(error) = take(&journal, &record).await {
            tracing::warn!(stage = "pulled", %error, "an enrolment could not be noted");
        }
    }
}

/// Notes one record. Nothing of it is believed before its MAC, or its signature, was checked here.
pub(super) async fn take(journal: &Journal, record: &Enrolment) -> Result<(), DirectoryError> {
    if record.kind == EnrolmentKind::Renewal {
        return renewal::take(journal, &record.message).await;
    }
    let invitations = journal.invitations(now_ms()).await?;
    let named = invitations.iter().find(|open| open.keys.invitation == record.id);
    let Some(invitation) = named else { return Ok(()) };
    let (id, actor) = (record.id, Actor { by: INBOUND, at_ms: now_ms() });
    let message = Digest::of(&record.message);
    let Ok(enrolled) = open_request(&record.message, &invitation.keys) else {
        tracing::warn!(stage = "pulled", invitation = %id, "a message names an invitation and does not have its code");
        if journal.wrong_code(invitation, message, actor).await? {
            tracing::error!(stage = "pulled", invitation = %id, "too many messages with a wrong code: the invitation is over (operator: find out who writes into the mailbox, then invite anew)");
        }
        return Ok(());
    };
    match journal.requested(invitation, message, &enrolled, actor).await? {
        Taken::Waits => {
            tracing::info!(stage = "pulled", invitation = %id, doctor = invitation.doctor, "a device asks to be enrolled (operator: scanpost-gateway doctor confirm)");
        }
        Taken::Dead => {
            tracing::error!(stage = "pulled", invitation = %id, "two devices used one code: the invitation is over (operator: ask the doctor who else has it, then invite anew)");
        }
        Taken::Nothing => {}
    }
    Ok(())
}
