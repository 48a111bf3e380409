//! Secrets that only we may read, and certificates of ours before they expire.

use super::Check;
use super::certificate::Certificate;
use crate::config::Config;
use std::path::Path;

const SECRETS: &str = "secrets";
const CERTIFICATES: &str = "certificates";
/// A certificate of ours is to be renewed so many days before it expires: an order at an authority and a visit of its bearer take weeks.
const RENEW_DAYS: i64 = 30;

pub(super) fn check(config: &Config) -> Vec<Check> {
    let mut checks =
        vec![private("state", &config.state, "700"), private("seal.key", &config.seal.key, "600")];
    checks.push(fresh("seal.certificate", &config.seal.certificate));
    for (table, server) in config.servers() {
        checks.push(private(&format!("{table}.password_file"), &server.password_file, "600"));
        let key = server.client_key.iter().map(|key| private(&format!("{table}.client_key"), key, "600"));
        checks.extend(key);
        let certificate = server.client_certificate.iter();
        checks.extend(certificate.map(|path| fresh(&format!("{table}.client_certificate"), path)));
        checks.extend(server.dkim.iter().map(|dkim| private(&format!("{table}.dkim.key"), &dkim.key, "600")));
    }
    if let Some(tls) = &config.dicom.tls {
        checks.push(private("dicom.tls.key", &tls.files.key, "600"));
        checks.push(fresh("dicom.tls.certificate", &tls.files.certificate));
    }
    let pacs =
        config.pacs.iter().filter_map(|(name, pacs)| Some((format!("pacs.{name}.tls"), pacs.tls.as_ref()?)));
    let syslog = config.audit.syslog.iter().map(|syslog| ("audit.syslog.tls".to_owned(), &syslog.tls));
    for (table, tls) in pacs.chain(syslog) {
        checks.extend(tls.client_key.iter().map(|key| private(&format!("{table}.client_key"), key, "600")));
        let certificate = tls.client_certificate.iter();
        checks.extend(certificate.map(|path| fresh(&format!("{table}.client_certificate"), path)));
    }
    for (name, doctor) in &config.doctors {
        checks.extend(
            doctor.certificate.iter().map(|path| fresh(&format!("doctors.{name}.certificate"), path)),
        );
        checks.extend(doctor.identity.iter().map(|path| fresh(&format!("doctors.{name}.identity"), path)));
    }
    checks
}

fn private(key: &str, path: &Path, wanted: &str) -> Check {
    let subject = format!("{key} {}", path.display());
    match std::fs::metadata(path) {
        Err(error) => Check::fail(SECRETS, subject, error.kind(), format!("make it, chmod {wanted}")),
        Ok(metadata) => match keyfile::open_to_others(&metadata) {
            Some(mode) => {
                let found = format!("mode {mode:04o}, open to others");
                Check::fail(SECRETS, subject, found, format!("chmod {wanted} it"))
            }
            None => Check::pass(SECRETS, subject, "ours alone"),
        },
    }
}

fn fresh(key: &str, path: &Path) -> Check {
    let subject = format!("{key} {}", path.display());
    match Certificate::of_file(path) {
        None => Check::fail(CERTIFICATES, subject, "no certificate can be read", "name a PEM certificate"),
        Some(certificate) => lasting(CERTIFICATES, subject, &certificate, RENEW_DAYS, ""),
    }
}

/// Passes while a certificate has more than `renew_days` left. `found` stands before the days.
pub(super) fn lasting(
    area: &'static str,
    subject: String,
    certificate: &Certificate,
    renew_days: i64,
    found: &str,
) -> Check {
    let (days, date) = (certificate.days_left(), certificate.not_after.date());
    if certificate.not_after <= time::OffsetDateTime::now_utc() {
        return Check::fail(area, subject, format!("{found}expired on {date}"), "renew the certificate now");
    }
    let found = format!("{found}{days} days left, until {date}");
    if days < renew_days {
        return Check::fail(area, subject, found, "renew the certificate");
    }
    Check::pass(area, subject, found)
}
