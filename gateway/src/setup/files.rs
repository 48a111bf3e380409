//! The keys and files that a site begins with. What a run has written is gone again unless it came to its end.

use super::answers::Answers;
use super::{CREDENTIALS_OF_THE_UNIT, SetupError, at, random_text};
use crate::config::ConfigError;
use crate::spool::{FileKey, make_folder, sync_folder};
use crate::takeover;
use keyfile::{KeyFiles, Protection};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// Ten years: every doctor's device has pinned the site's certificate, so another one means that each enrols anew.
const SITE_DAYS: i64 = 3650;
/// The longest that phones and browsers of today take of a private authority.
const PAGE_DAYS: i64 = 825;
/// Clocks of doctors' devices may be some minutes behind.
const BACKDATED: Duration = Duration::hours(1);

/// Where everything lies. Two are named as the credentials of systemd that may take their place.
pub(super) struct Names {
    pub(super) config: PathBuf,
    pub(super) site_key: PathBuf,
    pub(super) site_certificate: PathBuf,
    pub(super) passphrase: PathBuf,
    pub(super) spool_key: PathBuf,
    pub(super) mail_password: PathBuf,
    pub(super) mail_ca: PathBuf,
    /// Ed25519, then RSA: not every receiver knows Ed25519 yet.
    pub(super) dkim: [PathBuf; 2],
    pub(super) page_key: PathBuf,
    pub(super) page_certificate: PathBuf,
    pub(super) doctor_certificate: PathBuf,
}

impl Names {
    /// All beside the configuration.
    pub(super) fn beside(config: &Path) -> Self {
        let named = |name: &str| config.with_file_name(name);
        Self {
            config: config.to_owned(),
            site_key: named("site.key.pem"),
            site_certificate: named("site.cert.pem"),
            passphrase: named("scanpost-passphrase"),
            spool_key: named("spool.key"),
            mail_password: named("mail.password"),
            mail_ca: named("mail-ca.pem"),
            dkim: ["s1", "s2"].map(|selector| named(&format!("{selector}.dkim.pem"))),
            page_key: named("page.key.pem"),
            page_certificate: named("page.cert.pem"),
            doctor_certificate: named("doctor.cert.pem"),
        }
    }

    /// Before anything is asked.
    pub(super) fn refuse_existing(&self) -> Result<(), SetupError> {
        for path in self.all() {
            if is_there(path)? {
                return Err(SetupError::Exists { path: path.to_owned() });
            }
        }
        Ok(())
    }

    /// Before anything is asked: the service would read what is older than what is written here.
    pub(super) fn refuse_credentials(&self, credstore: &Path) -> Result<(), SetupError> {
        for path in [&self.passphrase, &self.spool_key, &self.mail_password] {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let encrypted = credstore.join(format!("{CREDENTIALS_OF_THE_UNIT}{name}"));
            let found = is_there(&encrypted)?.then_some(encrypted).or_else(|| keyfile::credential(path));
            if let Some(credential) = found {
                return Err(SetupError::Credential { credential, path: path.to_owned() });
            }
        }
        Ok(())
    }

    fn all(&self) -> [&Path; 12] {
        [
            &self.config,
            &self.site_key,
            &self.site_certificate,
            &self.passphrase,
            &self.spool_key,
            &self.mail_password,
            &self.mail_ca,
            &self.dkim[0],
            &self.dkim[1],
            &self.page_key,
            &self.page_certificate,
            &self.doctor_certificate,
        ]
    }

    /// Selector of a DKIM key: the beginning of its file's name.
    pub(super) fn selector(path: &Path) -> &str {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.split('.').next())
            .unwrap_or("s1")
    }
}

/// Files that this run has made; they are removed with it unless they are to be kept.
#[derive(Default)]
pub(super) struct Written(Vec<PathBuf>);

impl Written {
    /// Mode 0600.
    pub(super) fn secret(&mut self, path: &Path, content: &[u8]) -> Result<(), SetupError> {
        self.write(path, content, 0o600)
    }

    /// Mode 0644.
    pub(super) fn public(&mut self, path: &Path, content: &[u8]) -> Result<(), SetupError> {
        self.write(path, content, 0o644)
    }

    pub(super) fn keep(mut self) {
        self.0.clear();
    }

    fn write(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<(), SetupError> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(
            |error| match error.kind() {
                io::ErrorKind::AlreadyExists => SetupError::Exists { path: path.to_owned() },
                _ => at(path)(error),
            },
        )?;
        self.0.push(path.to_owned());
        file.write_all(content).and_then(|()| file.sync_all()).map_err(at(path))?;
        path.parent().map_or(Ok(()), sync_folder).map_err(at(path))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Before anything is asked: a new site key over an older audit trail.
pub(super) fn refuse_used(state: &Path) -> Result<(), SetupError> {
    for name in ["journal.sqlite", "audit"] {
        let path = state.join(name);
        if is_there(&path)? {
            return Err(SetupError::Used { path });
        }
    }
    match takeover::is_shared(state) {
        Ok(true) => Err(SetupError::Used { path: state.to_owned() }),
        _ => Ok(()),
    }
}

/// Whatever it is, a link that leads nowhere too.
fn is_there(path: &Path) -> Result<bool, SetupError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// Makes and writes all but the configuration.
pub(super) fn make(names: &Names, answers: &Answers, written: &mut Written) -> Result<(), SetupError> {
    if let Some(folder) = names.config.parent() {
        make_folder(folder).map_err(at(folder))?;
    }
    written.secret(&names.passphrase, random_text()?.as_bytes())?;
    let (key, certificate) = site(&answers.site)?;
    let sealed = KeyFiles::new(Protection { passphrase_file: Some(names.passphrase.clone()), plain: false });
    let key = sealed.seal(&names.site_key, key).map_err(ConfigError::from)?;
    written.secret(&names.site_key, key.as_bytes())?;
    written.public(&names.site_certificate, certificate.as_bytes())?;
    let spool_key = FileKey::random().map_err(|error| SetupError::Keys(error.to_string()))?;
    written.secret(&names.spool_key, spool_key.bytes())?;
    written.secret(&names.mail_password, answers.mail_password.as_bytes())?;
    if let Some(ca) = &answers.mail_ca {
        written.public(&names.mail_ca, ca.as_bytes())?;
    }
    if answers.own_domain {
        for (path, key) in names.dkim.iter().zip(dkim()?) {
            written.secret(path, key.as_bytes())?;
        }
    }
    if let Some(page) = &answers.page {
        let (key, certificate) = page_tls(page.listen.ip())?;
        written.secret(&names.page_key, key.as_bytes())?;
        written.public(&names.page_certificate, certificate.as_bytes())?;
    }
    if let Some(certificate) = &answers.doctor.certificate {
        written.public(&names.doctor_certificate, certificate.as_bytes())?;
    }
    Ok(())
}

/// The site's signing key, P-256, and its certificate, by itself.
fn site(name: &str) -> Result<(Zeroizing<String>, String), SetupError> {
    let mut params = params(name, SITE_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    self_signed(&params)
}

/// For the beginning: until the hospital's own authority has issued one, browsers warn.
fn page_tls(address: IpAddr) -> Result<(Zeroizing<String>, String), SetupError> {
    let mut params = params("Scanpost", PAGE_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![SanType::IpAddress(address)];
    let host = rustix::system::uname().nodename().to_str().ok().and_then(|name| name.try_into().ok());
    params.subject_alt_names.extend(host.map(SanType::DnsName));
    self_signed(&params)
}

fn params(name: &str, days: i64) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    params
}

fn self_signed(params: &CertificateParams) -> Result<(Zeroizing<String>, String), SetupError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(not_made)?;
    let certificate = params.self_signed(&key).map_err(not_made)?;
    Ok((Zeroizing::new(key.serialize_pem()), certificate.pem()))
}

fn dkim() -> Result<[Zeroizing<String>; 2], SetupError> {
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).map_err(not_made)?;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(not_made)?;
    Ok([ed25519, rsa].map(|key| Zeroizing::new(key.serialize_pem())))
}

fn not_made(error: rcgen::Error) -> SetupError {
    SetupError::Keys(error.to_string())
}
