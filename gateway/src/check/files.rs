//! Secrets that only we may read, and certificates of ours before they expire.

use super::Check;
use super::certificate::Certificate;
use crate::config::{Config, Dicomweb};
use crate::spool::KEY_CREDENTIAL;
use std::path::Path;

pub(super) const SECRETS: &str = "secrets";
pub(super) const CERTIFICATES: &str = "certificates";
/// A certificate of ours is to be renewed so many days before it expires: an order at an authority and a visit of its bearer take weeks.
const RENEW_DAYS: i64 = 30;

/// Whether what only we may read is closed.
pub(super) fn secrets(config: &Config) -> Vec<Check> {
    let mut checks = vec![private("state", &config.state, "700")];
    checks.extend(handed(config).into_iter().map(|(key, path)| handed_over_or_private(&key, path)));
    checks.extend(spool_key(config));
    checks.extend(keys(config).into_iter().map(|(key, path)| private(&key, path, "600")));
    checks
}

/// Whether certificates of ours and of the doctors last.
pub(super) fn lifetimes(config: &Config) -> Vec<Check> {
    let mut checks: Vec<Check> =
        certificates(config).into_iter().map(|(key, path)| fresh(&key, path)).collect();
    for (name, doctor) in &config.doctors {
        checks.extend(
            doctor.certificate.iter().map(|path| fresh(&format!("doctors.{name}.certificate"), path)),
        );
        checks.extend(doctor.identity.iter().map(|path| fresh(&format!("doctors.{name}.identity"), path)));
    }
    checks
}

/// Passwords, tokens and passphrases, each by its key in the configuration: for these a credential of the same name goes before the file.
fn handed(config: &Config) -> Vec<(String, &Path)> {
    let mut secrets = Vec::new();
    for (table, server) in config.servers() {
        secrets.push((format!("{table}.password_file"), server.password_file.as_path()));
        secrets.extend(server.dkim.iter().map(|dkim| (format!("{table}.dkim.key"), dkim.key.as_path())));
    }
    for (name, channel) in &config.channels {
        secrets.extend(channel.secrets().map(|(key, path)| (format!("channels.{name}.{key}"), path)));
    }
    for (table, dicomweb) in web_services(config) {
        let password = dicomweb.password_file.iter();
        secrets.extend(password.map(|path| (format!("{table}.password_file"), path.as_path())));
    }
    let url = config.journal.postgres_url_file.iter();
    secrets.extend(url.map(|path| ("journal.postgres_url_file".to_owned(), path.as_path())));
    let passphrase = config.seal.passphrase_file.iter();
    secrets.extend(passphrase.map(|path| ("seal.passphrase_file".to_owned(), path.as_path())));
    secrets
}

/// The spool's key has one name among the credentials, whatever its file is called.
fn spool_key(config: &Config) -> Option<Check> {
    let (key, file) = ("spool.key_file", config.spool.key_file.as_deref()?);
    Some(match keyfile::credential(Path::new(KEY_CREDENTIAL)) {
        Some(_) => handed_over(key, file),
        None => private(key, file, "600"),
    })
}

/// All files that nobody else may read, each by its key in the configuration, but those for which a credential stands: that lies where only the
/// service manager writes.
pub(super) fn closed(config: &Config) -> impl Iterator<Item = (String, &Path)> {
    let files = handed(config).into_iter().filter(|(_, path)| keyfile::credential(path).is_none());
    let spool_key = config.spool.key_file.iter().map(|path| ("spool.key_file".to_owned(), path.as_path()));
    let spool_key = spool_key.filter(|_| keyfile::credential(Path::new(KEY_CREDENTIAL)).is_none());
    files.chain(keys(config)).chain(spool_key)
}

/// Private keys, each by its key in the configuration: they are always read from their files.
fn keys(config: &Config) -> Vec<(String, &Path)> {
    let mut keys = vec![("seal.key".to_owned(), config.seal.key.as_path())];
    for (table, server) in config.servers() {
        keys.extend(server.client_key.iter().map(|key| (format!("{table}.client_key"), key.as_path())));
    }
    for (name, channel) in &config.channels {
        let key = channel.client_key.iter();
        keys.extend(key.map(|key| (format!("channels.{name}.client_key"), key.as_path())));
    }
    keys.extend(config.dicom.tls.iter().map(|tls| ("dicom.tls.key".to_owned(), tls.files.key.as_path())));
    let page = config.page.iter().filter_map(|page| page.key.as_ref());
    keys.extend(page.map(|key| ("page.key".to_owned(), key.as_path())));
    for (table, tls) in clients(config) {
        keys.extend(tls.client_key.iter().map(|key| (format!("{table}.client_key"), key.as_path())));
    }
    for (table, dicomweb) in web_services(config) {
        keys.extend(dicomweb.client_key.iter().map(|key| (format!("{table}.client_key"), key.as_path())));
    }
    keys
}

/// Certificates that the hospital renews, each by its key in the configuration: its own, and those of the authorities that vouch for doctors.
pub(crate) fn certificates(config: &Config) -> Vec<(String, &Path)> {
    let mut found = vec![("seal.certificate".to_owned(), &config.seal.certificate)];
    for (table, server) in config.servers() {
        found.extend(
            server.client_certificate.iter().map(|path| (format!("{table}.client_certificate"), path)),
        );
    }
    for (name, channel) in &config.channels {
        let certificate = channel.client_certificate.iter();
        found.extend(certificate.map(|path| (format!("channels.{name}.client_certificate"), path)));
    }
    found.extend(
        config.dicom.tls.iter().map(|tls| ("dicom.tls.certificate".to_owned(), &tls.files.certificate)),
    );
    let page = config.page.iter().filter_map(|page| page.certificate.as_ref());
    found.extend(page.map(|path| ("page.certificate".to_owned(), path)));
    for (table, tls) in clients(config) {
        found.extend(tls.client_certificate.iter().map(|path| (format!("{table}.client_certificate"), path)));
    }
    for (table, dicomweb) in web_services(config) {
        let certificate = dicomweb.client_certificate.iter();
        found.extend(certificate.map(|path| (format!("{table}.client_certificate"), path)));
    }
    found.extend(config.directory.ca.iter().map(|path| ("directory.ca".to_owned(), path)));
    found.into_iter().map(|(key, path)| (key, path.as_path())).collect()
}

/// Whom we come to inside the hospital, by table.
fn clients(config: &Config) -> impl Iterator<Item = (String, &tls::ClientFiles)> {
    let pacs =
        config.pacs.iter().filter_map(|(name, pacs)| Some((format!("pacs.{name}.tls"), pacs.tls.as_ref()?)));
    let syslog = config.audit.syslog.iter().map(|syslog| ("audit.syslog.tls".to_owned(), &syslog.tls));
    pacs.chain(syslog)
}

/// DICOMweb services that studies are fetched from, by table.
fn web_services(config: &Config) -> impl Iterator<Item = (String, &Dicomweb)> {
    let services = config.pacs.iter();
    services.filter_map(|(name, pacs)| Some((format!("pacs.{name}.dicomweb"), pacs.dicomweb.as_ref()?)))
}

fn handed_over_or_private(key: &str, path: &Path) -> Check {
    match keyfile::credential(path) {
        Some(_) => handed_over(key, path),
        None => private(key, path, "600"),
    }
}

fn handed_over(key: &str, path: &Path) -> Check {
    Check::pass(SECRETS, format!("{key} {}", path.display()), "handed over by the service manager")
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
