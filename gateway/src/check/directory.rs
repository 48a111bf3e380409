//! The directory of doctors: who can be sealed for, what ends soon, and whether the revocation lists are of today.

use super::Check;
use crate::config::{self, Config};
use crate::directory::{Authorities, Expiry, expiry, sealed_for};
use crate::journal::{Device, Standing};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use time::OffsetDateTime;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

pub(super) const AREA: &str = "directory";

pub(super) async fn check(config: &Config) -> Vec<Check> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut checks: Vec<Check> = config.directory.crl.iter().flat_map(|crl| lists(crl, now)).collect();
    let authorities = match Authorities::read(&config.directory) {
        Ok(authorities) => authorities,
        Err(error) => {
            checks.push(Check::fail(AREA, "directory", error, "correct the files of [directory]"));
            return checks;
        }
    };
    let devices = match super::database::opened(config).await {
        Ok(journal) => journal.devices().await.ok(),
        Err(_) => None,
    };
    let Some(devices) = devices else {
        let reason = "no gateway of this version has worked here yet";
        checks.push(Check::not_checked(AREA, "directory", reason));
        return checks;
    };
    for name in config.doctors.keys().filter(|name| !config.is_outside(name)) {
        checks.extend(doctor(config, &devices, name, authorities.as_ref(), now));
    }
    checks
}

fn doctor(
    config: &Config,
    devices: &[Device],
    name: &str,
    authorities: Option<&Authorities>,
    now: i64,
) -> Vec<Check> {
    let Some(table) = config.doctors.get(name) else { return Vec::new() };
    let subject = format!("doctors.{name}");
    let sealed = match sealed_for(devices, name, table.kind, authorities, now) {
        Err(no_key) => {
            let (found, mend) = no_key.parts(name, table.kind);
            return vec![Check::fail(AREA, subject, found, mend)];
        }
        Ok(recipients) => recipients.len(),
    };
    let active = |device: &&Device| device.doctor == name && device.standing == Standing::Active;
    let ending: Vec<Check> = devices
        .iter()
        .filter(active)
        .filter_map(|device| {
            let found = match expiry(device, now) {
                Expiry::Far => return None,
                Expiry::Soon(days) | Expiry::Urgent(days) => format!("\"{}\" ends in {days} days", device.device),
                Expiry::Expired => format!("\"{}\" has expired, nothing is sealed for it", device.device),
            };
            let mend = "renew it on the device (scanpost-reader renew), add a new certificate, or revoke it: docs/enrolment.md";
            Some(Check::fail(AREA, &subject, found, mend))
        })
        .collect();
    if ending.is_empty() {
        return vec![Check::pass(
            AREA,
            subject,
            format!("{sealed} certificates to seal for, none ends soon"),
        )];
    }
    ending
}

/// One check a list: an outdated one vouches for nobody.
fn lists(path: &Path, now: i64) -> Vec<Check> {
    let subject = format!("directory.crl {}", path.display());
    let unreadable = || Check::fail(AREA, &subject, "no revocation list can be read", "name a PEM file");
    let Ok(text) = config::read(path) else { return vec![unreadable()] };
    let read: Vec<Check> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes())
        .map(|list| {
            let list = list.ok().and_then(|der| CertificateList::from_der(&der).ok());
            list.map_or_else(unreadable, |list| fresh(&subject, &list, now))
        })
        .collect();
    if read.is_empty() { vec![unreadable()] } else { read }
}

fn fresh(subject: &str, list: &CertificateList, now: i64) -> Check {
    let next = list.tbs_cert_list.next_update.map(|next| next.to_unix_duration().as_secs());
    let next = next.and_then(|next| i64::try_from(next).ok());
    let Some((next, date)) =
        next.and_then(|at| Some((at, OffsetDateTime::from_unix_timestamp(at).ok()?.date())))
    else {
        return Check::not_checked(AREA, subject, "the list does not say when the next one comes");
    };
    if next <= now {
        let mend = "fetch the authority's current list: nothing is sealed for who needs it until then";
        return Check::fail(AREA, subject, format!("out of date since {date}"), mend);
    }
    Check::pass(AREA, subject, format!("good until {date}"))
}
