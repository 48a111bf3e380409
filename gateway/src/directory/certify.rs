//! What the hospital's authority certifies of a device that enrolled itself: the key of its identity, once. Every later key of the device is
//! signed by that identity, so that a rotation needs no authority, and a revoked identity takes all keys with it.

use super::command::{administrator, identities_named, identity_of, read};
use super::{Authorities, DirectoryError};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Actor, Device, Journal, Origin, Standing};
use seal::native::Certificate;
use std::path::Path;

/// Shows the request, or takes the answer.
pub(super) async fn certify(
    config: &Config,
    journal: &Journal,
    doctor: &str,
    named: Option<&str>,
    certificate: Option<&Path>,
) -> Result<String, DirectoryError> {
    let devices = journal.devices().await?;
    let device = the_device(&devices, doctor, named)?;
    let Some(path) = certificate else {
        return Ok(device.recipient.identity().to_pem().trim_end().to_owned());
    };
    let certificate = read(path)?;
    check(config, device, &certificate)?;
    let by = administrator();
    journal.certify_device(device, &certificate, Actor { by: &by, at_ms: now_ms() }).await?;
    Ok(format!("\"{}\" of {doctor} is certified: {}", device.device, certificate.digest()))
}

/// The device of the doctor's that enrolled itself and is meant: all its keys have one identity.
fn the_device<'a>(
    devices: &'a [Device],
    doctor: &str,
    named: Option<&str>,
) -> Result<&'a Device, DirectoryError> {
    let is_enrolled = |device: &&Device| {
        device.doctor == doctor && device.origin == Origin::Enrolment && device.standing == Standing::Active
    };
    let theirs: Vec<&Device> = devices.iter().filter(is_enrolled).collect();
    let meant = match named {
        Some(named) => identities_named(&theirs, named).unwrap_or_default(),
        None => theirs.iter().map(|device| identity_of(device)).collect(),
    };
    let one = meant.first().filter(|_| meant.len() == 1);
    one.and_then(|one| theirs.into_iter().find(|device| identity_of(device) == *one))
        .ok_or_else(|| DirectoryError::NoCertificate(named.unwrap_or("no device").to_owned()))
}

fn check(config: &Config, device: &Device, certificate: &Certificate) -> Result<(), DirectoryError> {
    let refused = |words: &str| Err(DirectoryError::Refused(words.into()));
    if certificate.public_key() != device.recipient.identity().public_key() {
        return refused("this certificate is of another key: give the authority what doctor certify shows");
    }
    let Some(authorities) = Authorities::read(&config.directory)? else {
        return refused("no authority is named: write [directory] ca first");
    };
    if !authorities.vouch_for(certificate, now_ms() / 1000) {
        return refused(
            "no authority of [directory] ca issued this certificate, or it revoked it, or it is not valid now",
        );
    }
    Ok(())
}
