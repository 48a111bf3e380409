//! The folder that `enrol` and `renew` keep: this device's keys, made here and never sent, and the sites that they are known to.
//!
//! `identity.key`, `identity.pem`: signs receipts, requests and renewals. `encryption-NNNN.key`, `.pem`: opens covers; the highest number is the
//! newest, and a `.pem` is written last. `sites/NAME.pem`: pinned sites. `request-ID.bin`, `renewal-ID.bin`: messages that were not answered yet.

use crate::config::{ConfigError, read_text};
use crate::pull::durable;
use keyfile::{KeyFiles, Protection};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use seal::ids::{Digest, InvitationId};
use seal::mail::Site;
use seal::native::{Certificate, DoctorKey, sign_renewal};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// How long an identity lasts: the life of a device.
const IDENTITY_DAYS: i64 = 5 * 365;
/// How long a certificate is sealed for; both ends say so 30 days before its end.
const ENCRYPTION_DAYS: i64 = 365;
/// How long a key outlives the next one at least: a mail that was sealed before may be on its way for five days (RFC 5321 4.5.4.1).
const RETIRE_AFTER: Duration = Duration::days(7);
/// A clock that is somewhat late must not find a certificate that is not valid yet.
const BACKDATED: Duration = Duration::hours(1);
const IDENTITY: &str = "identity";
const ENCRYPTION: &str = "encryption-";
const SITES: &str = "sites";

/// See the top of this file.
pub struct KeyFolder {
    path: PathBuf,
    files: KeyFiles,
}

impl KeyFolder {
    /// At this path; nothing is read yet.
    pub fn at(path: &Path, protection: Protection) -> Self {
        Self { path: path.to_owned(), files: KeyFiles::new(protection) }
    }

    /// The keys, the newest first.
    ///
    /// # Errors
    /// [`ConfigError::NotEnrolled`] where there are none yet.
    pub fn doctors(&self) -> Result<Vec<DoctorKey>, ConfigError> {
        let mut numbers = self.numbers()?;
        numbers.reverse();
        if numbers.is_empty() {
            return Err(ConfigError::NotEnrolled);
        }
        let (identity_key, identity) = self.pair(IDENTITY);
        let (identity_key, identity) = (self.files.read(&identity_key)?, read_text(&identity)?);
        let read = |number: u32| {
            let (key, certificate) = self.pair(&encryption(number));
            let refused = |source| ConfigError::Key { path: key.clone(), source };
            let doctor = DoctorKey::from_pem(&self.files.read(&key)?, &read_text(&certificate)?);
            doctor.and_then(|doctor| doctor.with_identity(&identity_key, &identity)).map_err(refused)
        };
        numbers.into_iter().map(read).collect()
    }

    /// Makes an identity and a first key unless they are there; gives the newest.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn make(&self, now: OffsetDateTime) -> Result<DoctorKey, ConfigError> {
        if self.numbers()?.is_empty() {
            durable::create_folder(&self.path).map_err(|error| self.unreadable(error))?;
            let key = generated()?;
            let certificate = identity(now).self_signed(&key).map_err(not_made)?;
            self.write_key(IDENTITY, &key)?;
            self.write(&format!("{IDENTITY}.pem"), certificate.pem().as_bytes())?;
            let (key, certificate) = self.next_key(now)?;
            self.write_key(&encryption(1), &key)?;
            self.write(&format!("{}.pem", encryption(1)), certificate.as_bytes())?;
        }
        self.newest()
    }

    /// A new key, and the message that tells the sites of it; the same again until a cover was sealed for that key.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn renewal(&self, now: OffsetDateTime) -> Result<(InvitationId, Vec<u8>), ConfigError> {
        let newest = self.newest()?;
        let id = id_of(newest.certificate());
        if let Some(message) = self.kept(&renewal_name(id))? {
            return Ok((id, message));
        }
        let number = self.numbers()?.last().map_or(1, |number| number.saturating_add(1));
        let (key, certificate) = self.next_key(now)?;
        let pem = Zeroizing::new(key.serialize_pem());
        let (identity_key, identity) = self.pair(IDENTITY);
        let (identity_key, identity) = (self.files.read(&identity_key)?, read_text(&identity)?);
        let doctor = DoctorKey::from_pem(&pem, &certificate)
            .and_then(|doctor| doctor.with_identity(&identity_key, &identity))
            .and_then(|doctor| sign_renewal(&doctor, now.unix_timestamp()));
        let (id, message) = doctor.map_err(|error| ConfigError::MakeKeys(error.to_string()))?;
        self.write_key(&encryption(number), &key)?;
        self.write(&renewal_name(id), &message)?;
        self.write(&format!("{}.pem", encryption(number)), certificate.as_bytes())?;
        Ok((id, message))
    }

    /// Deletes keys that nothing is sealed for any more. `opened_by`: the certificates that covers were opened by; `in_mailbox`: those of the
    /// covers that are still in the mailbox, none if one of them was not opened.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn retire(
        &self,
        opened_by: &BTreeSet<Digest>,
        in_mailbox: Option<&BTreeSet<Digest>>,
        now: OffsetDateTime,
    ) -> Result<(), ConfigError> {
        let mut numbers = self.numbers()?;
        let Some(newest) = numbers.pop().map(|number| self.certificate(number)).transpose()? else {
            return Ok(());
        };
        // Until a site has sealed for the newest key, it may not know it.
        if !opened_by.contains(&newest.digest()) {
            return Ok(());
        }
        self.forget(&renewal_name(id_of(&newest)));
        let is_settled = now.unix_timestamp() - newest.not_before() >= RETIRE_AFTER.whole_seconds();
        let (Some(in_mailbox), true) = (in_mailbox, is_settled) else { return Ok(()) };
        for number in numbers {
            if !in_mailbox.contains(&self.certificate(number)?.digest()) {
                let (key, certificate) = self.pair(&encryption(number));
                fs::remove_file(certificate)
                    .and_then(|()| fs::remove_file(key))
                    .map_err(|error| self.unreadable(error))?;
                tracing::info!(number, "a key that nothing is sealed for any more is deleted");
            }
        }
        Ok(())
    }

    /// The sites that confirmed an enrolment.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn sites(&self) -> Result<Vec<Certificate>, ConfigError> {
        let names = self.site_names()?;
        names.iter().map(|site| crate::config::site_certificate(&self.site_path(site))).collect()
    }

    /// Their names.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn site_names(&self) -> Result<Vec<Site>, ConfigError> {
        let names = self.names(&self.path.join(SITES))?;
        Ok(names.iter().filter_map(|name| Site::parse(name.strip_suffix(".pem")?)).collect())
    }

    /// Trusts a site from now on.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn pin(&self, site: &Site, certificate: &Certificate) -> Result<(), ConfigError> {
        durable::create_folder(&self.path.join(SITES))
            .and_then(|()| durable::write_file(&self.site_path(site), certificate.to_pem().as_bytes()))
            .map_err(|error| self.unreadable(error))
    }

    /// The request of an invitation as it was sent before; the same bytes go again, because a code is good for one request.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn request(
        &self,
        invitation: InvitationId,
        make: impl FnOnce() -> Result<Vec<u8>, ConfigError>,
    ) -> Result<Vec<u8>, ConfigError> {
        let name = request_name(invitation);
        if let Some(request) = self.kept(&name)? {
            return Ok(request);
        }
        let request = make()?;
        self.write(&name, &request)?;
        Ok(request)
    }

    /// The request is of no use any more.
    pub fn forget_request(&self, invitation: InvitationId) {
        self.forget(&request_name(invitation));
    }

    fn newest(&self) -> Result<DoctorKey, ConfigError> {
        self.doctors()?.into_iter().next().ok_or(ConfigError::NotEnrolled)
    }

    fn certificate(&self, number: u32) -> Result<Certificate, ConfigError> {
        let path = self.pair(&encryption(number)).1;
        Certificate::from_pem(&read_text(&path)?).map_err(|source| ConfigError::Key { path, source })
    }

    /// Numbers of the keys that are whole, ascending.
    fn numbers(&self) -> Result<Vec<u32>, ConfigError> {
        let names = self.names(&self.path)?;
        let number = |name: &String| name.strip_prefix(ENCRYPTION)?.strip_suffix(".pem")?.parse().ok();
        let numbers: BTreeSet<u32> = names.iter().filter_map(number).collect();
        Ok(numbers.into_iter().collect())
    }

    /// A new key, and its certificate by the identity, as PEM.
    fn next_key(&self, now: OffsetDateTime) -> Result<(KeyPair, String), ConfigError> {
        let key = generated()?;
        let identity_key = KeyPair::from_pem(&self.files.read(&self.pair(IDENTITY).0)?).map_err(not_made)?;
        let leaf = params("Scanpost key", now, ENCRYPTION_DAYS, vec![KeyUsagePurpose::KeyAgreement]);
        let certificate =
            leaf.signed_by(&key, &Issuer::new(identity(now), identity_key)).map_err(not_made)?;
        Ok((key, certificate.pem()))
    }

    fn write_key(&self, name: &str, key: &KeyPair) -> Result<(), ConfigError> {
        let sealed = self.files.seal(&self.path, Zeroizing::new(key.serialize_pem()))?;
        durable::write_secret(&self.pair(name).0, sealed.as_bytes()).map_err(|error| self.unreadable(error))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ConfigError> {
        durable::write_file(&self.path.join(name), bytes).map_err(|error| self.unreadable(error))
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, ConfigError> {
        match fs::read(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(|error| self.unreadable(error)),
        }
    }

    fn forget(&self, name: &str) {
        // What stays is no secret and does no harm.
        let _ = fs::remove_file(self.path.join(name));
    }

    /// Names in a folder, in order; none where it is not there.
    fn names(&self, folder: &Path) -> Result<Vec<String>, ConfigError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.unreadable(error))?,
        };
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok());
        let names: io::Result<Vec<_>> = entries.map(name).collect();
        let mut names: Vec<String> =
            names.map_err(|error| self.unreadable(error))?.into_iter().flatten().collect();
        names.sort();
        Ok(names)
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path.join(format!("{name}.key")), self.path.join(format!("{name}.pem")))
    }

    fn site_path(&self, site: &Site) -> PathBuf {
        self.path.join(SITES).join(format!("{site}.pem"))
    }

    fn unreadable(&self, source: io::Error) -> ConfigError {
        ConfigError::Read { path: self.path.clone(), source }
    }
}

fn encryption(number: u32) -> String {
    format!("{ENCRYPTION}{number:04}")
}

fn request_name(invitation: InvitationId) -> String {
    format!("request-{invitation}.bin")
}

fn renewal_name(id: InvitationId) -> String {
    format!("renewal-{id}.bin")
}

/// As in SPEC 8.5.
fn id_of(certificate: &Certificate) -> InvitationId {
    InvitationId(*certificate.digest().0.first_chunk().unwrap_or(&[0; 16]))
}

fn generated() -> Result<KeyPair, ConfigError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(not_made)
}

fn not_made(error: rcgen::Error) -> ConfigError {
    ConfigError::MakeKeys(error.to_string())
}

fn identity(now: OffsetDateTime) -> CertificateParams {
    let usage = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let mut params = params("Scanpost id", now, IDENTITY_DAYS, usage);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
}

fn params(name: &str, now: OffsetDateTime, days: i64, usage: Vec<KeyUsagePurpose>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    params.key_usages = usage;
    params
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use seal::native::{CodeKeys, new_code, open_renewal, open_request, sign_request};

    const WORDS: &str = "correct horse battery";

    fn folder(path: &Path) -> KeyFolder {
        let file = path.join("passphrase");
        durable::write_secret(&file, WORDS.as_bytes()).unwrap();
        KeyFolder::at(&path.join("keys"), Protection { passphrase_file: Some(file), plain: false })
    }

    fn set(digests: &[Digest]) -> BTreeSet<Digest> {
        digests.iter().copied().collect()
    }

    #[test]
    fn keys_are_made_once_encrypted_and_fit_into_a_request() {
        let (temporary, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
        let folder = folder(temporary.path());
        assert!(matches!(folder.doctors(), Err(ConfigError::NotEnrolled)));
        let made = folder.make(now).unwrap();
        assert_eq!(folder.make(now).unwrap().certificate(), made.certificate());
        for name in ["identity.key", "encryption-0001.key"] {
            let text = fs::read_to_string(temporary.path().join("keys").join(name)).unwrap();
            assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{name}");
        }
        let keys = CodeKeys::of(&new_code(Site::parse("hospital.example").unwrap()).unwrap()).unwrap();
        let request = sign_request(&made, "phone", &keys, now.unix_timestamp()).unwrap();
        assert_eq!(open_request(&request, &keys).unwrap().recipient.certificate(), made.certificate());
        let longest = made.certificate().der().len().max(made.identity().unwrap().der().len());
        assert!(longest <= 380, "{longest} bytes");
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        let (temporary, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
        folder(temporary.path()).make(now).unwrap();
        let path = temporary.path().join("keys");
        let plain = KeyFolder::at(&path, Protection { passphrase_file: None, plain: true });
        assert!(plain.doctors().is_err());
        durable::write_secret(&temporary.path().join("other"), b"another passphrase").unwrap();
        let other = Protection { passphrase_file: Some(temporary.path().join("other")), plain: false };
        let words = KeyFolder::at(&path, other).doctors().err().unwrap().to_string();
        assert!(words.contains("the passphrase is wrong"), "{words}");
    }

    #[test]
    fn an_old_key_opens_until_the_new_one_is_in_use_and_nothing_needs_it() {
        let (temporary, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
        let folder = folder(temporary.path());
        let old = folder.make(now).unwrap().certificate().digest();
        let (id, message) = folder.renewal(now).unwrap();
        assert_eq!(folder.renewal(now).unwrap(), (id, message.clone()), "the same until it is in use");
        let doctors = folder.doctors().unwrap();
        let new = doctors[0].certificate().digest();
        assert_eq!((doctors.len(), doctors[1].certificate().digest()), (2, old));
        let renewal = open_renewal(&message, &[doctors[0].identity().unwrap()]).unwrap();
        assert_eq!(renewal.certificate.digest(), new);
        let count = || folder.doctors().unwrap().len();
        let later = now + Duration::days(8);
        folder.retire(&set(&[old]), Some(&set(&[])), later).unwrap();
        assert_eq!(count(), 2, "no site has sealed for the new key yet");
        folder.retire(&set(&[old, new]), Some(&set(&[old, new])), later).unwrap();
        assert_eq!(count(), 2, "a mail that is still there needs it");
        folder.retire(&set(&[old, new]), None, later).unwrap();
        assert_eq!(count(), 2, "a mail that was not opened may need it");
        folder.retire(&set(&[old, new]), Some(&set(&[new])), now + Duration::days(6)).unwrap();
        assert_eq!(count(), 2, "a mail may be on its way");
        folder.retire(&set(&[old, new]), Some(&set(&[new])), later).unwrap();
        assert_eq!(count(), 1);
        assert_ne!(folder.renewal(now).unwrap().0, id, "the next renewal is a new one");
    }
}
