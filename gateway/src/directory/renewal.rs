//! A device that is enrolled has a new certificate: taken if its pinned identity signed it, and if it is newer than all before (SPEC 8.5).

use super::DirectoryError;
use super::enrolment::INBOUND;
use crate::clock::now_ms;
use crate::journal::{Actor, Device, Journal, Origin, Standing};
use seal::native::{Certificate, Recipient, Refusal, open_renewal};

/// Takes one message.
///
/// # Errors
/// [`DirectoryError`].
pub(super) async fn take(journal: &Journal, message: &[u8]) -> Result<(), DirectoryError> {
    let devices = journal.devices().await?;
    let is_pinned =
        |device: &&Device| device.origin == Origin::Enrolment && device.standing != Standing::Revoked;
    let pinned: Vec<&Device> = devices.iter().filter(is_pinned).collect();
    let identities: Vec<&Certificate> = pinned.iter().map(|device| device.recipient.identity()).collect();
    let renewal = match open_renewal(message, &identities) {
        Ok(renewal) => renewal,
        Err(refusal) => return refused(&refusal),
    };
    let of_device = |device: &&Device| device.recipient.identity().digest() == renewal.identity;
    let before: Vec<&Device> = pinned.into_iter().filter(of_device).collect();
    let Some(last) = before.iter().max_by_key(|device| device.recipient.certificate().not_before()) else {
        return Ok(());
    };
    // One that was held back and let go later must not replace a newer one.
    if renewal.certificate.not_before() <= last.recipient.certificate().not_before() {
        return Ok(());
    }
    let recipient = Recipient::new(renewal.certificate, Some(last.recipient.identity().clone()))?;
    let actor = Actor { by: INBOUND, at_ms: now_ms() };
    let device = Device::new(&last.doctor, &last.device, recipient, Origin::Enrolment, actor);
    if journal.renew_device(&device, &before).await? {
        tracing::info!(stage = "pulled", doctor = device.doctor, certificate = %device.digest(), "a device has a new certificate");
    }
    Ok(())
}

fn refused(refusal: &Refusal) -> Result<(), DirectoryError> {
    tracing::warn!(stage = "pulled", %refusal, "a message that names itself a renewal is not taken");
    Ok(())
}
