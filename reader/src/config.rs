//! The reader's configuration: one TOML file, every key documented here.

use crate::key_folder::KeyFolder;
use crate::pull::Target;
use compressor::transcode::Coding;
use dimse::{AeTitle, InvalidAeTitle};
use keyfile::{KeyFileError, KeyFiles, Protection};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use seal::mail::Address;
use seal::mailbox::MailboxConfig;
use seal::native::{Certificate, DoctorKey, Recipient, SealError};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use tls::ClientFiles;
use zeroize::Zeroizing;

/// A config, key, certificate or password file: real ones are below 10 kB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Implicit TLS (RFC 8314 3.2).
const PORT_IMAPS: u16 = 993;

/// The whole file. Unknown keys are refused, so that a misspelt one is noticed. A relative path starts at the folder of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder that cases are written to, `CASE/SEQUENCE/sNN/NNNN.dcm`; created with mode 0700.
    pub output: PathBuf,
    /// How images that were compressed within a bound are written.
    #[serde(default)]
    pub images: Images,
    /// Certificates of the sites whose covers are accepted, PEM, P-256 (SPEC 5.3), beside those that `doctor.keys` has pinned.
    #[serde(default)]
    pub sites: Vec<PathBuf>,
    /// Who reads.
    pub doctor: Doctor,
    /// Where the mail is.
    pub mailbox: Mailbox,
    /// Where what was pulled goes on to.
    #[serde(default)]
    pub forward: Forward,
    /// `scanpost-reader portal` alone looks at it.
    #[serde(default)]
    pub portal: Option<serde::de::IgnoredAny>,
}

/// `images`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Images {
    /// As they can be shown: derived images under new UIDs, marked so.
    #[default]
    Shown,
    /// As they came, bit for bit, where the site gives what that takes.
    Exact,
}

/// `[doctor]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Folder with what `scanpost-reader enrol` made; in the place of the four files below.
    pub keys: Option<PathBuf>,
    /// The doctor's key, encrypted PKCS#8 PEM, P-256 or RSA of at least 3072 bits, mode 0600.
    pub key: Option<PathBuf>,
    /// Its certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// The key that signs receipts, PKCS#8 PEM, P-256, mode 0600; `key` itself where absent. An RSA key needs it.
    pub identity_key: Option<PathBuf>,
    /// Its certificate, PEM.
    pub identity_certificate: Option<PathBuf>,
    /// File with the passphrase of the keys, mode 0600. Where absent: the credential `scanpost-passphrase`, then the terminal.
    pub passphrase_file: Option<PathBuf>,
    /// Takes keys without encryption: whoever gets at the disk has them.
    #[serde(default)]
    pub plain_keys: bool,
    /// Sender address of receipts.
    pub address: String,
}

/// `[forward]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forward {
    /// Where every delivery is forwarded to once it is in its place; `--forward` goes before it.
    pub to: Option<Target>,
    /// AE title by which we call.
    pub own_ae_title: String,
    /// Set where an AE must speak TLS (PS3.15 B.12); how a DICOMweb service is trusted.
    pub tls: Option<ClientFiles>,
    /// Login name at a DICOMweb service, where it wants one (RFC 7617).
    pub user: Option<String>,
    /// File with the password, mode 0600; a trailing newline is dropped.
    pub password_file: Option<PathBuf>,
    /// How an AE that takes it is sent images that lie here uncompressed; as they lie here where absent.
    pub compress: Option<Compression>,
    /// Days after which `scanpost-reader serve` deletes the images of a delivery that was acknowledged whole; 0 is at once. Kept where absent.
    pub keep_days: Option<u16>,
}

/// `forward.compress`: a coding without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Compression {
    /// JPEG-LS Lossless.
    #[serde(rename = "jpeg_ls")]
    JpegLs,
    /// JPEG 2000 Lossless Only.
    #[serde(rename = "jpeg_2000")]
    Jpeg2000,
}

impl From<Compression> for Coding {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::JpegLs => Self::JpegLs,
            Compression::Jpeg2000 => Self::Jpeg2000,
        }
    }
}

impl Forward {
    /// What is shown to the DICOMweb service `to`: the login and our certificate are for the place that is named beside them, and for no other one.
    pub(crate) fn to_web(&self, to: &Target) -> Self {
        let mut shown = self.clone();
        if self.to.as_ref().is_some_and(|own| own != to) {
            (shown.user, shown.password_file) = (None, None);
            if let Some(tls) = &mut shown.tls {
                (tls.client_certificate, tls.client_key) = (None, None);
            }
        }
        shown
    }

    /// Name and password, where there are any.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`].
    pub(crate) fn login(&self) -> Result<Option<(&str, Zeroizing<String>)>, ConfigError> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else { return Ok(None) };
        let password = read_secret(file)?.trim_end_matches(['\r', '\n']).to_owned();
        Ok(Some((user, Zeroizing::new(password))))
    }
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            to: None,
            own_ae_title: "SCANPOST".to_owned(),
            tls: None,
            user: None,
            password_file: None,
            compress: None,
            keep_days: None,
        }
    }
}

/// `[mailbox]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Host name of the IMAPS server, as in its certificate.
    pub host: String,
    /// Its port.
    #[serde(default = "port_default")]
    pub port: u16,
    /// Login name.
    pub user: String,
    /// File with the password, mode 0600; a trailing newline is dropped.
    pub password_file: PathBuf,
    /// PEM file with the only roots to trust; the system's roots where absent.
    pub ca: Option<PathBuf>,
    /// PEM file with the revocation lists of every authority in the server's chain.
    pub crl: Option<PathBuf>,
    /// Our certificate for this server, PEM.
    pub client_certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600.
    pub client_key: Option<PathBuf>,
    /// Takes TLS 1.2 too, with AEAD suites only: for a server that cannot do 1.3.
    #[serde(default)]
    pub tls12: bool,
    /// Folders to search; one that does not exist is passed over. Receipts are put into the first.
    #[serde(default = "folders_default")]
    pub folders: Vec<String>,
}

impl Doctor {
    /// Whether the terminal would be asked for the passphrase of the keys, at each use.
    pub fn asks_for_passphrase(&self) -> bool {
        !self.plain_keys && !self.protection().is_kept()
    }

    /// How the private keys are kept.
    fn protection(&self) -> Protection {
        Protection { passphrase_file: self.passphrase_file.clone(), plain: self.plain_keys }
    }
}

impl Mailbox {
    /// What the IMAPS client needs, the password read from its file.
    pub(crate) fn login(&self) -> Result<MailboxConfig, ConfigError> {
        let password = read_secret(&self.password_file)?.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            return Err(ConfigError::Empty("the password file"));
        }
        Ok(MailboxConfig {
            host: self.host.clone(),
            port: self.port,
            user: self.user.clone(),
            password,
            tls: self.tls(),
            folders: self.folders.clone(),
        })
    }

    pub(crate) fn beside(&mut self, folder: &Path) {
        let optional = [&mut self.ca, &mut self.crl, &mut self.client_certificate, &mut self.client_key];
        for path in [&mut self.password_file].into_iter().chain(optional.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }

    /// Whom to trust, and who we are.
    fn tls(&self) -> ClientFiles {
        ClientFiles {
            ca: self.ca.clone(),
            crl: self.crl.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            tls12: self.tls12,
        }
    }
}

/// What opens covers and signs receipts.
pub struct Keys {
    /// The doctor's keys with their certificates, the newest first; never empty.
    pub doctors: Vec<DoctorKey>,
    /// Pinned site certificates.
    pub sites: Vec<Certificate>,
    /// The folder that they are in, where `enrol` made them.
    pub folder: Option<KeyFolder>,
}

/// A key and its certificate, PEM.
pub struct IdentityText {
    /// The key, without passphrase.
    pub key: Zeroizing<String>,
    /// The certificate.
    pub certificate: String,
}

/// Why the configuration cannot be used: the doctor, or who set up this machine, must act.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not the TOML expected.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A secret that others can read is no secret.
    #[error("{} is open to others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Key or certificate cannot be used.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// A private key cannot be read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// No keys yet, or no site that knows them.
    #[error("this device is not enrolled: ask the hospital for a code, then run scanpost-reader enrol")]
    NotEnrolled,
    /// Both ways to name keys, or neither.
    #[error(
        "name either doctor.keys, a folder for scanpost-reader enrol, or both doctor.key and doctor.certificate"
    )]
    WhichKeys,
    /// `enrol` and `renew` need a place.
    #[error("doctor.keys is missing: name the folder that scanpost-reader enrol is to keep keys in")]
    NoKeyFolder,
    /// Mistyped, or not a code.
    #[error("the code is mistyped, or is none: XXXX-XXXX-XXXX-XXXX-XXXX-XXXX@hospital.example")]
    Code,
    /// This device cannot make keys or a request.
    #[error("cannot make keys: {0}")]
    MakeKeys(String),
    /// A file of authorities that cannot be read.
    #[error("{}: no PEM certificates can be read", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
    },
    /// A mail program keeps one key.
    #[error(
        "a profile needs doctor.key and doctor.certificate: a mail program cannot follow the keys that enrol makes"
    )]
    NoKeyFiles,
    /// A list that must name something is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Nothing could sign receipts.
    #[error(
        "doctor.key is RSA and signs no receipts: name a P-256 key in doctor.identity_key and doctor.identity_certificate"
    )]
    NoIdentity,
    /// One of two keys that belong together.
    #[error("doctor.identity_key and doctor.identity_certificate go together")]
    HalfIdentity,
    /// What of `[portal]` must be mended, and how.
    #[error("[portal] {0}")]
    Portal(&'static str),
    /// A row of `[[portal.hanging]]`, counted from 1.
    #[error("[[portal.hanging]] row {row} (\"{name}\"): {what}")]
    Hanging {
        /// Its place in the file.
        row: usize,
        /// What it is called there.
        name: String,
        /// What must be mended, and how.
        what: &'static str,
    },
    /// One of two that belong together.
    #[error("forward.user and forward.password_file go together")]
    HalfLogin,
    /// Our own AE title.
    #[error("forward.own_ae_title: {0}")]
    AeTitle(#[from] InvalidAeTitle),
    /// Not a mail address.
    #[error("doctor.address is not a mail address")]
    Address,
}

impl Config {
    /// Reads the file and makes its paths absolute.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Parse`], [`ConfigError::Empty`] and [`ConfigError::Address`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.beside(folder).checked()
    }

    /// Reads the doctor's key and all certificates.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`], [`ConfigError::Key`] for a key or certificate that cannot be used, [`ConfigError::NotEnrolled`].
    pub fn keys(&self) -> Result<Keys, ConfigError> {
        let (doctors, pinned, folder) = match (&self.doctor.keys, &self.doctor.key, &self.doctor.certificate)
        {
            (Some(_), None, None) => {
                let folder = self.key_folder()?;
                (folder.doctors()?, folder.sites()?, Some(folder))
            }
            (None, Some(key), Some(certificate)) => {
                (vec![self.key_files(key, certificate)?], Vec::new(), None)
            }
            _ => return Err(ConfigError::WhichKeys),
        };
        let mut sites = self.site_certificates()?;
        sites.extend(pinned);
        if sites.is_empty() {
            return Err(ConfigError::NotEnrolled);
        }
        Ok(Keys { doctors, sites, folder })
    }

    /// The folder that this device's keys are kept in.
    ///
    /// # Errors
    /// [`ConfigError::NoKeyFolder`].
    pub fn key_folder(&self) -> Result<KeyFolder, ConfigError> {
        let path = self.doctor.keys.as_deref().ok_or(ConfigError::NoKeyFolder)?;
        Ok(KeyFolder::at(path, self.doctor.protection()))
    }

    fn key_files(&self, key: &Path, certificate: &Path) -> Result<DoctorKey, ConfigError> {
        let files = KeyFiles::new(self.doctor.protection());
        let refused = |source| ConfigError::Key { path: key.to_owned(), source };
        let mut doctor = DoctorKey::from_pem(&files.read(key)?, &read_text(certificate)?).map_err(refused)?;
        if let (Some(key), Some(certificate)) = (&self.doctor.identity_key, &self.doctor.identity_certificate)
        {
            let refused = |source| ConfigError::Key { path: key.clone(), source };
            doctor = doctor.with_identity(&files.read(key)?, &read_text(certificate)?).map_err(refused)?;
        }
        if doctor.identity().is_some() { Ok(doctor) } else { Err(ConfigError::NoIdentity) }
    }

    /// The doctor's key, decrypted, and its certificate, PEM.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`], [`ConfigError::Read`]; [`ConfigError::NoKeyFiles`] for a folder of keys that change.
    pub fn identity_text(&self) -> Result<IdentityText, ConfigError> {
        let files = self.doctor.key.as_ref().zip(self.doctor.certificate.as_ref());
        let (key, certificate) = files.ok_or(ConfigError::NoKeyFiles)?;
        let key = KeyFiles::new(self.doctor.protection()).read(key)?;
        Ok(IdentityText { key, certificate: read_text(certificate)? })
    }

    /// The pinned sites.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Key`].
    pub fn site_certificates(&self) -> Result<Vec<Certificate>, ConfigError> {
        self.sites.iter().map(|path| site_certificate(path)).collect()
    }

    /// DER of each certificate in the file of authorities that the mailbox is trusted by; none where those of the system are.
    ///
    /// # Errors
    /// [`ConfigError::Authorities`].
    pub fn mailbox_authorities(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        let Some(path) = &self.mailbox.ca else { return Ok(Vec::new()) };
        let unusable = |_| ConfigError::Authorities { path: path.clone() };
        let read = CertificateDer::pem_file_iter(path).map_err(unusable)?;
        read.map(|certificate| certificate.map(|der| der.to_vec()).map_err(unusable)).collect()
    }

    /// What the IMAPS client needs, the password read from its file.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`], [`ConfigError::Empty`].
    pub fn mailbox_login(&self) -> Result<MailboxConfig, ConfigError> {
        self.mailbox.login()
    }

    /// Sender address of receipts.
    ///
    /// # Errors
    /// [`ConfigError::Address`].
    pub fn address(&self) -> Result<Address, ConfigError> {
        Address::parse(&self.doctor.address).ok_or(ConfigError::Address)
    }

    /// The folder that receipts are put into.
    pub fn receipt_folder(&self) -> &str {
        self.mailbox.folders.first().map_or("INBOX", String::as_str)
    }

    fn beside(mut self, folder: &Path) -> Self {
        self.mailbox.beside(folder);
        if let Some(path) = &mut self.forward.password_file {
            *path = folder.join(&*path);
        }
        if let Some(files) = &mut self.forward.tls {
            files.beside(folder);
        }
        let doctor = &mut self.doctor;
        let optional = [
            &mut doctor.keys,
            &mut doctor.key,
            &mut doctor.certificate,
            &mut doctor.passphrase_file,
            &mut doctor.identity_key,
            &mut doctor.identity_certificate,
        ];
        for path in
            [&mut self.output].into_iter().chain(&mut self.sites).chain(optional.into_iter().flatten())
        {
            *path = folder.join(&*path);
        }
        self
    }

    fn checked(self) -> Result<Self, ConfigError> {
        if self.sites.is_empty() && self.doctor.keys.is_none() {
            return Err(ConfigError::Empty("sites"));
        }
        if self.doctor.identity_key.is_some() != self.doctor.identity_certificate.is_some() {
            return Err(ConfigError::HalfIdentity);
        }
        if self.mailbox.folders.is_empty() {
            return Err(ConfigError::Empty("mailbox.folders"));
        }
        if self.forward.user.is_some() != self.forward.password_file.is_some() {
            return Err(ConfigError::HalfLogin);
        }
        AeTitle::parse(&self.forward.own_ae_title)?;
        self.address().map(|_| self)
    }
}

pub(crate) fn site_certificate(path: &Path) -> Result<Certificate, ConfigError> {
    let pem = read_text(path)?;
    // A recipient that signs for itself is one that can sign: P-256.
    let site = Certificate::from_pem(&pem).and_then(|site| Recipient::new(site, None));
    let site = site.map_err(|source| ConfigError::Key { path: path.to_owned(), source })?;
    Ok(site.certificate().clone())
}

fn read_secret(path: &Path) -> Result<String, ConfigError> {
    if let Some(credential) = keyfile::credential(path) {
        return read_text(&credential);
    }
    let metadata = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if let Some(mode) = keyfile::open_to_others(&metadata) {
        return Err(ConfigError::Exposed { path: path.to_owned(), mode });
    }
    read_text(path)
}

pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    use io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|source| unreadable(path, source))?;
    Ok(text)
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::Read { path: path.to_owned(), source }
}

fn port_default() -> u16 {
    PORT_IMAPS
}

fn folders_default() -> Vec<String> {
    ["INBOX", "Junk"].map(String::from).to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SAMPLE: &str = r#"
        output = "scans"
        sites = ["site.pem", "/etc/scanpost/other.pem"]
        [doctor]
        key = "doctor.key"
        certificate = "doctor.pem"
        address = "doctor@lab.test"
        [mailbox]
        host = "imap.lab.test"
        user = "doctor@lab.test"
        password_file = "password"
    "#;

    fn load(text: &str) -> (tempfile::TempDir, Result<Config, ConfigError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path);
        (folder, config)
    }

    fn write(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_sample_loads() {
        let (_folder, config) = load(include_str!("../../deploy/reader.sample.toml"));
        assert_eq!(config.unwrap().mailbox.folders, ["INBOX", "Junk"]);
    }

    #[test]
    fn relative_paths_start_at_the_file_and_defaults_fill_in() {
        let (folder, config) = load(SAMPLE);
        let config = config.unwrap();
        assert_eq!(config.output, folder.path().join("scans"));
        assert_eq!(config.sites, [folder.path().join("site.pem"), PathBuf::from("/etc/scanpost/other.pem")]);
        assert_eq!((config.mailbox.port, config.mailbox.ca.clone()), (993, None));
        assert_eq!(config.mailbox.folders, ["INBOX", "Junk"]);
        assert_eq!(config.receipt_folder(), "INBOX");
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let (_folder, config) = load(&SAMPLE.replace("password_file", "pasword_file"));
        let words = config.unwrap_err().to_string();
        assert!(words.contains("pasword_file") && words.contains("reader.toml"), "{words}");
    }

    #[test]
    fn an_empty_list_of_sites_is_refused() {
        let (_folder, config) = load(&SAMPLE.replace(r#""site.pem", "/etc/scanpost/other.pem""#, ""));
        assert_eq!(config.unwrap_err().to_string(), "sites is empty");
    }

    #[test]
    fn a_password_that_others_can_read_is_refused_and_a_newline_dropped() {
        let (folder, config) = load(SAMPLE);
        let config = config.unwrap();
        write(folder.path(), "password", "secret\n", 0o640);
        let words = config.mailbox_login().err().unwrap().to_string();
        assert!(words.contains("is open to others (mode 0640); run: chmod 600"), "{words}");
        write(folder.path(), "password", "secret\n", 0o600);
        assert_eq!(config.mailbox_login().unwrap().password, "secret");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_before_it_is_read() {
        let (folder, config) = load(SAMPLE);
        write(folder.path(), "doctor.key", "not looked at", 0o604);
        let words = config.unwrap().keys().err().unwrap().to_string();
        assert!(words.contains("doctor.key is open to others (mode 0604)"), "{words}");
    }

    #[test]
    fn a_key_without_encryption_is_refused_unless_that_is_chosen() {
        let (folder, config) = load(SAMPLE);
        write(folder.path(), "doctor.key", "-----BEGIN PRIVATE KEY-----", 0o600);
        let words = config.unwrap().keys().err().unwrap().to_string();
        assert!(
            words.contains("doctor.key is not encrypted") && words.contains("plain_keys = true"),
            "{words}"
        );
        let (folder, config) = load(&SAMPLE.replace("[doctor]", "[doctor]\nplain_keys = true"));
        write(folder.path(), "doctor.key", "-----BEGIN PRIVATE KEY-----", 0o600);
        let words = config.unwrap().keys().err().unwrap().to_string();
        assert!(words.contains("doctor.pem"), "the key is taken, its certificate is missed: {words}");
    }

    #[test]
    fn keys_are_named_in_one_of_two_ways() {
        let both = SAMPLE.replace("[doctor]", "[doctor]\nkeys = \"keys\"");
        let neither = SAMPLE.replace("key = \"doctor.key\"", "");
        for text in [both, neither] {
            let words = load(&text).1.unwrap().keys().err().unwrap().to_string();
            assert!(words.starts_with("name either doctor.keys"), "{words}");
        }
        let folder_alone = SAMPLE
            .replace("key = \"doctor.key\"", "keys = \"keys\"")
            .replace("certificate = \"doctor.pem\"", "");
        let words = load(&folder_alone).1.unwrap().keys().err().unwrap().to_string();
        assert!(words.starts_with("this device is not enrolled"), "{words}");
    }

    #[test]
    fn login_and_certificate_are_for_the_target_beside_them() {
        let of = |to: Option<&str>| {
            let tls = ClientFiles {
                client_certificate: Some("ours.pem".into()),
                client_key: Some("ours.key".into()),
                ca: Some("ca.pem".into()),
                ..ClientFiles::default()
            };
            Forward {
                to: to.map(|to| to.parse().unwrap()),
                tls: Some(tls),
                user: Some("lab".into()),
                password_file: Some("password".into()),
                ..Forward::default()
            }
        };
        let target: Target = "https://pacs.example/dicom-web".parse().unwrap();
        for to in [None, Some("https://pacs.example/dicom-web/")] {
            let shown = of(to).to_web(&target);
            assert!(shown.user.is_some() && shown.password_file.is_some(), "{to:?}");
            assert!(shown.tls.is_some_and(|tls| tls.client_certificate.is_some()), "{to:?}");
        }
        for to in ["https://other.example/dicom-web", "https://pacs.example/other", "PACS@pacs.example:104"] {
            let shown = of(Some(to)).to_web(&target);
            assert_eq!((shown.user, shown.password_file), (None, None), "{to}");
            let tls = shown.tls.unwrap();
            assert_eq!((tls.client_certificate, tls.client_key), (None, None), "{to}");
            assert_eq!(tls.ca, Some("ca.pem".into()), "whom to trust is no secret");
        }
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let (_folder, config) = load(SAMPLE);
        let words = config.unwrap().keys().err().unwrap().to_string();
        assert!(words.starts_with("cannot read") && words.contains("doctor.key"), "{words}");
    }
}
