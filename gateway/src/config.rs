//! The gateway's configuration: one TOML file, every key documented here and in `docs/config.md`.

mod case;
mod channels;
mod check;
mod doctors;
mod duty;
mod journal;
mod links;
mod listen;
mod mail_identity;
mod notify;
mod pacs;
mod page;
mod quiet;
mod smime;

pub use case::Case;
pub use channels::{Channel, MAIL, Way};
pub use check::{Check, Port, Protocol};
pub use doctors::{Doctor, Kind};
pub use duty::Duty;
pub use journal::JournalPlace;
pub use links::Links;
pub(crate) use listen::{reached_at, taken};
pub use mail_identity::Dkim;
pub use notify::{Group, Notify};
pub use pacs::{Dicomweb, Pacs};
pub use page::{Page, SecondFactor};
pub use quiet::QuietHours;
pub use smime::Smime;

use crate::directory::Directory;
use crate::journal::TEST_AE_TITLE;
use crate::takeover::{self, TakeoverError};
use compressor::bundle::{Near, Options, Summary};
use compressor::encapsulated::FrameDecoder;
use compressor::near::{Policy, PolicyError};
use keyfile::{KeyFileError, KeyFiles, Protection};
use seal::native::SiteKey;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tls::{ClientFiles, ServerFiles, TlsError};

/// A case is open for a day at least.
const RESIDUAL_HOURS: u32 = 24;
/// 30 days: what waits in the spool is a patient's study in the clear.
const RESIDUAL_HOURS_MAX: u32 = 30 * 24;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// The whole file. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this site, domain-like: stands right of the `@` in Message-IDs.
    pub site: String,
    /// Folder for spool and journal; created with mode 0700.
    pub state: PathBuf,
    /// Encryption of what lies in that folder.
    #[serde(default)]
    pub spool: SpoolKeys,
    /// Where the journal is kept.
    #[serde(default)]
    pub journal: JournalPlace,
    /// The DICOM listener.
    pub dicom: Dicom,
    /// PACS systems by name: who may be asked whether a series is complete.
    #[serde(default)]
    pub pacs: BTreeMap<String, Pacs>,
    /// Compression.
    #[serde(default)]
    pub compress: Compress,
    /// Keys for sealing.
    pub seal: Seal,
    /// The submission server.
    pub submit: Server,
    /// How notices are sent.
    pub notify: Notify,
    /// What carries notices beside mail, by name.
    #[serde(default)]
    pub channels: BTreeMap<String, Channel>,
    /// The mailbox store as seen by the gateway's own login: receipts come back through it.
    pub pulled: Pulled,
    /// The audit trail.
    #[serde(default)]
    pub audit: Audit,
    /// How long a case lasts.
    #[serde(default)]
    pub case: Case,
    /// Tests of who is on duty, and of the whole way once a day; none where absent.
    pub duty: Option<Duty>,
    /// Messages for mail programs.
    #[serde(default)]
    pub smime: Smime,
    /// Terms of links for outside recipients; needed where a doctor is of `kind = "link"`.
    pub links: Option<Links>,
    /// What `scanpost-gateway check` asks.
    #[serde(default)]
    pub check: Check,
    /// The technician's page; none where absent.
    pub page: Option<Page>,
    /// Whose certificates are taken from files.
    #[serde(default)]
    pub directory: Directory,
    /// What is otherwise for groups of the roster, by name.
    #[serde(default)]
    pub groups: BTreeMap<String, Group>,
    /// Doctors by name.
    pub doctors: BTreeMap<String, Doctor>,
    /// Destinations by the AE title that stands for them.
    pub destinations: BTreeMap<String, Destination>,
}

/// `[spool]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolKeys {
    /// Whether received images and bundles are encrypted on the disk.
    pub encryption: Encryption,
    /// File with the master key, 32 random bytes, mode 0600; not needed where the service manager hands over the credential `spool.key`.
    pub key_file: Option<PathBuf>,
}

/// `[spool] encryption`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Encrypted.
    #[default]
    On,
    /// Plain; said at every start.
    Off,
}

/// `[dicom]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dicom {
    /// Address and port to listen on without TLS.
    pub listen: Option<SocketAddr>,
    /// The listener with TLS.
    pub tls: Option<DicomTls>,
    /// Where the port really taken is written as text, for a port of 0.
    pub port_file: Option<PathBuf>,
    /// AE title whose studies wait for a press; fetched ones are received under it too.
    pub hold: Option<String>,
    /// How long a study waits for a press, in hours; then it is deleted.
    #[serde(default = "hold_hours_default")]
    pub hold_hours: u32,
    /// How long instances that the PACS lists and does not give are waited for when nobody says what to do, in milliseconds; then the delivery
    /// goes as partial.
    #[serde(default = "choice_ms_default")]
    pub choice_ms: u64,
    /// Silence after the last association of a study before the PACS is asked, in milliseconds.
    #[serde(default = "settle_ms_default")]
    pub settle_ms: u64,
    /// Silence after which a study that cannot be proved complete is delivered all the same, in milliseconds.
    #[serde(default = "silence_ms_default")]
    pub silence_ms: u64,
    /// Associations served at once; a further one is rejected as a temporary congestion (PS3.8 9.3.4).
    #[serde(default = "associations_max_default")]
    pub associations_max: usize,
    /// Of these, from one address: a peer that floods keeps no other out. Three quarters where absent.
    pub associations_of_address_max: Option<usize>,
    /// Longest wait for the next bytes of a peer, in milliseconds.
    #[serde(default = "idle_ms_default")]
    pub idle_ms: u64,
}

impl Dicom {
    /// Associations that one address may have at once.
    pub(crate) fn of_address_max(&self) -> usize {
        self.associations_of_address_max.unwrap_or((self.associations_max * 3).div_ceil(4))
    }
}

/// `[dicom.tls]`: a listener of its own, where every peer shows a certificate (PS3.15 B.12).
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "DicomTlsKeys")]
pub struct DicomTls {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Where the port really taken is written as text, for a port of 0.
    pub port_file: Option<PathBuf>,
    /// Our certificate, and whose peers may come.
    pub files: ServerFiles,
}

/// The keys of `[dicom.tls]` in one table; serde's `flatten` would let unknown ones pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DicomTlsKeys {
    listen: SocketAddr,
    port_file: Option<PathBuf>,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    crl: Option<PathBuf>,
    #[serde(default)]
    tls12: bool,
}

impl From<DicomTlsKeys> for DicomTls {
    fn from(keys: DicomTlsKeys) -> Self {
        let DicomTlsKeys { listen, port_file, certificate, key, client_ca, crl, tls12 } = keys;
        Self {
            listen,
            port_file,
            files: ServerFiles { certificate, key, client_ca: Some(client_ca), crl, tls12 },
        }
    }
}

/// `[compress]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    /// Worker threads.
    pub threads: usize,
    /// Series that are at rest are compressed while others of their study still arrive.
    pub ahead: bool,
    /// How far decoded pixels may be from those that came.
    pub near: NearKey,
    /// When what gives bounded pixels back exactly is mailed.
    pub residual: Residual,
    /// How long a residual is kept in the spool for who asks, in hours, counted from compression.
    pub residual_hours: u32,
    /// Rules for `near = "auto"`; those of docs/config.md where absent.
    pub policy: Policy,
}

/// `[compress] near`: the word `auto`, or stored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "near must be \"auto\" or a number from 0 (lossless) to 65535")]
pub enum NearKey {
    /// By the noise of each series and the policy.
    Word(NearWord),
    /// Largest absolute error in stored values.
    Stored(u16),
}

/// The one word of [`NearKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearWord {
    /// By the noise of each series and the policy.
    Auto,
}

/// `[compress] residual`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residual {
    /// With every delivery, behind all that is needed to read the study.
    AtOnce,
    /// When the doctor asks for it.
    OnRequest,
    /// Not at all.
    #[default]
    Never,
}

/// `[seal]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The site's signing key, encrypted PKCS#8 PEM, P-256, mode 0600.
    pub key: PathBuf,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// File with the passphrase of the key, mode 0600. Where absent: the credential `scanpost-passphrase`, then the terminal.
    pub passphrase_file: Option<PathBuf>,
    /// Takes a key without encryption: whoever gets at the disk can sign as this site.
    #[serde(default)]
    pub plain_keys: bool,
    /// Largest piece before base64, in bytes.
    #[serde(default = "piece_bytes_max_default")]
    pub piece_bytes_max: usize,
}

/// A server reached over implicit TLS, with a login.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Host name, as in its certificate.
    pub host: String,
    /// Port: 465 for submission, 993 for IMAP.
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
    /// Sender address of mails (submission only); the login name where absent.
    pub from: Option<String>,
    /// Keys that sign what is mailed (submission and notices): one, or Ed25519 and RSA together.
    #[serde(default)]
    pub dkim: Vec<Dkim>,
}

/// `[pulled]`: the keys of a [`Server`] and `poll_ms`.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PulledKeys")]
pub struct Pulled {
    /// The IMAP server.
    pub server: Server,
    /// Pause between two looks into a mailbox, in milliseconds.
    pub poll_ms: u64,
}

/// The keys of `[pulled]` in one table; serde's `flatten` would let unknown ones pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PulledKeys {
    host: String,
    port: u16,
    user: String,
    password_file: PathBuf,
    ca: Option<PathBuf>,
    crl: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    #[serde(default)]
    tls12: bool,
    #[serde(default = "poll_ms_default")]
    poll_ms: u64,
}

impl From<PulledKeys> for Pulled {
    fn from(keys: PulledKeys) -> Self {
        let PulledKeys {
            host,
            port,
            user,
            password_file,
            ca,
            crl,
            client_certificate,
            client_key,
            tls12,
            poll_ms,
        } = keys;
        let server = Server {
            host,
            port,
            user,
            password_file,
            ca,
            crl,
            client_certificate,
            client_key,
            tls12,
            from: None,
            dkim: Vec::new(),
        };
        Self { server, poll_ms }
    }
}

/// `[audit]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The server that the trail is forwarded to; kept in the state folder alone where absent.
    pub syslog: Option<Syslog>,
}

/// `[audit.syslog]`: a syslog server inside the hospital, over TLS (RFC 5425).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    /// Host name, as in its certificate.
    pub host: String,
    /// Port.
    #[serde(default = "syslog_port_default")]
    pub port: u16,
    /// Whom to trust, and who we are.
    #[serde(default)]
    pub tls: ClientFiles,
}

/// `[destinations.AE_TITLE]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Names of the doctors it stands for: one, or the on-call group.
    pub doctors: Vec<String>,
    /// Urgent notices say so.
    #[serde(default)]
    pub urgent: bool,
}

/// Why a configuration cannot be used; the operator must mend the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file, or one that it names, could not be read.
    #[error("{path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{path}: {error}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        error: Box<toml::de::Error>,
    },
    /// A secret that others may read.
    #[error("{path} may be read by others: chmod 600 it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The site's signing key cannot be read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The site's signing key and its certificate cannot be used.
    #[error("seal.key: {0}")]
    SiteKey(Box<seal::native::SealError>),
    /// A certificate, a revocation list, or the key of a certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A doctor's certificate that cannot be used.
    #[error("{path}: {error}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<seal::native::SealError>,
    },
    /// A rule of `[compress.policy]` that cannot work.
    #[error("compress.policy: {0}")]
    Policy(PolicyError),
    /// A state folder that several machines reach.
    #[error(transparent)]
    Shared(#[from] TakeoverError),
    /// A value that cannot work.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong, and what to write instead.
        reason: &'static str,
    },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), error: Box::new(error) })?;
        config.check()?;
        if config.journal.shared_state {
            config.state = takeover::place(&config.state)?;
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !is_domain(&self.site) {
            return wrong(
                "site".into(),
                "write a name like hospital.example: letters, digits, hyphens and dots",
            );
        }
        if self.dicom.listen.is_none() && self.dicom.tls.is_none() {
            return wrong(
                "dicom.listen".into(),
                "write an address and port, or a [dicom.tls] table with one",
            );
        }
        if self.journal.shared_state && self.journal.postgres_url_file.is_none() {
            return wrong(
                "journal.shared_state".into(),
                "needs journal.postgres_url_file: an SQLite file has one machine",
            );
        }
        if self.dicom.associations_max == 0 || self.dicom.associations_of_address_max == Some(0) {
            return wrong(
                "dicom.associations_max".into(),
                "with 0 nobody can send anything: write at least 1",
            );
        }
        if let Some(hold) = &self.dicom.hold {
            if !is_ae_title(hold) {
                return wrong(
                    "dicom.hold".into(),
                    "an AE title has 1 to 16 characters, no backslash (PS3.5 6.2)",
                );
            }
            if self.destinations.contains_key(hold) {
                return wrong(
                    "dicom.hold".into(),
                    "stands for doctors in [destinations]: it can only be one of both",
                );
            }
            if hold == TEST_AE_TITLE {
                return wrong("dicom.hold".into(), "is for tests: name another one");
            }
        }
        self.directory.check()?;
        self.compress.check()?;
        self.page.as_ref().map_or(Ok(()), Page::check)?;
        for (name, pacs) in &self.pacs {
            pacs.check(name)?;
        }
        for (table, server) in self.servers() {
            server.check_dkim(table)?;
        }
        self.smime.check()?;
        self.case.check()?;
        self.duty.as_ref().map_or(Ok(()), |duty| duty.check(self))?;
        if self.compress.residual == Residual::OnRequest
            && self.case.expire_hours < self.compress.residual_hours
        {
            return wrong(
                "case.expire_hours".into(),
                "must be at least compress.residual_hours: the doctor is promised the exact files for as long",
            );
        }
        self.links.as_ref().map_or(Ok(()), Links::check)?;
        self.channels.iter().try_for_each(|(name, channel)| channel.check(name))?;
        self.groups.iter().try_for_each(|(name, group)| group.check(name))?;
        self.doctors.iter().try_for_each(|(name, doctor)| doctor.check(name))?;
        self.doctors.iter().try_for_each(|(name, doctor)| self.check_ways(name, doctor))?;
        if self.page.is_none() && self.doctors.values().any(|doctor| doctor.quiet_hours.is_some()) {
            return wrong(
                "page.time_zone".into(),
                "is needed: a doctor has quiet_hours, which are times of the site",
            );
        }
        if self.links.is_none() && self.doctors.keys().any(|doctor| self.is_outside(doctor)) {
            return wrong("links.portal_url".into(), "is needed: a doctor is of kind = \"link\"");
        }
        self.destinations
            .iter()
            .try_for_each(|(ae_title, destination)| self.check_destination(ae_title, destination))
    }

    fn check_destination(&self, ae_title: &str, destination: &Destination) -> Result<(), ConfigError> {
        let key = || format!("destinations.{ae_title}");
        if !is_ae_title(ae_title) {
            return wrong(key(), "an AE title has 1 to 16 characters, no backslash (PS3.5 6.2)");
        }
        if ae_title == TEST_AE_TITLE {
            return wrong(key(), "is for tests: name another one");
        }
        if destination.doctors.is_empty() {
            return wrong(key(), "name at least one doctor");
        }
        if destination.doctors.iter().any(|doctor| self.is_outside(doctor)) {
            return wrong(
                key(),
                "names a doctor of kind = \"link\": who presses is shown the passphrase, and here nobody presses",
            );
        }
        if destination.doctors.iter().any(|doctor| !self.doctors.contains_key(doctor)) {
            return wrong(key(), "names a doctor that has no [doctors.NAME] table");
        }
        Ok(())
    }

    /// The PACS that calls itself by this AE title, if one is configured: it can be asked.
    pub fn pacs_called(&self, ae_title: &str) -> Option<&Pacs> {
        self.pacs.values().find(|pacs| pacs.is_called(ae_title))
    }

    /// Every server that we log in to, by its table.
    pub fn servers(&self) -> impl Iterator<Item = (&'static str, &Server)> {
        let notify = self.notify.server.as_ref().map(|server| ("notify.server", server));
        [("submit", &self.submit), ("pulled", &self.pulled.server)].into_iter().chain(notify)
    }

    /// Whether a doctor has only a mail program.
    pub fn is_mail_program(&self, doctor: &str) -> bool {
        self.doctors.get(doctor).is_some_and(|doctor| doctor.kind == Kind::Smime)
    }

    /// Whether it is no doctor but a mailbox for outside recipients, who come by a link.
    pub fn is_outside(&self, doctor: &str) -> bool {
        self.doctors.get(doctor).is_some_and(|doctor| doctor.kind == Kind::Link)
    }

    /// Whether a person or a roster may name it: one who is told and opens by keys of their own.
    pub fn is_doctor(&self, name: &str) -> bool {
        self.doctors.contains_key(name) && !self.is_outside(name) && !self.is_for_tests(name)
    }

    /// Whether it is the mailbox of the daily test: a study that somebody sent there would be seen by nobody.
    pub fn is_for_tests(&self, name: &str) -> bool {
        self.duty.as_ref().is_some_and(|duty| duty.daily_to.as_deref() == Some(name))
    }

    /// The time zone of the site.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        self.page.as_ref().map_or_else(page::zone_default, Page::zone)
    }

    /// Whether receipts come back from there: neither mail programs nor guests send any.
    pub fn sends_receipts(&self, doctor: &str) -> bool {
        self.doctors.get(doctor).is_none_or(|doctor| doctor.kind == Kind::Reader)
    }

    /// Doctors of a destination, by name.
    pub fn doctors_of(&self, ae_title: &str) -> Vec<String> {
        self.destinations.get(ae_title).map(|destination| destination.doctors.clone()).unwrap_or_default()
    }
}

impl Seal {
    /// Reads the site's signing key, asking for its passphrase where that is on the terminal alone.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`], [`ConfigError::Read`], [`ConfigError::SiteKey`].
    pub fn site_key(&self) -> Result<SiteKey, ConfigError> {
        let protection = Protection { passphrase_file: self.passphrase_file.clone(), plain: self.plain_keys };
        let key = KeyFiles::new(protection).read(&self.key)?;
        SiteKey::from_pem(&key, &read(&self.certificate)?)
            .map_err(|error| ConfigError::SiteKey(Box::new(error)))
    }
}

impl Server {
    /// Reads the password file; a trailing newline is dropped.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`].
    pub fn password(&self) -> Result<String, ConfigError> {
        Ok(read_secret(&self.password_file)?.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// How a check tells of it: by its table, host and port.
    pub(crate) fn told_as(&self, table: &str) -> String {
        format!("{table} {}:{}", self.host, self.port)
    }

    /// Whom to trust, and who we are.
    pub fn tls(&self) -> ClientFiles {
        ClientFiles {
            ca: self.ca.clone(),
            crl: self.crl.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            tls12: self.tls12,
        }
    }
}

/// Reads a secret that the configuration names, unless others may read it too. A credential of its name goes before the file.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::Exposed`].
pub fn read_secret(path: &Path) -> Result<String, ConfigError> {
    if let Some(credential) = keyfile::credential(path) {
        return read(&credential);
    }
    let metadata =
        std::fs::metadata(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    if keyfile::open_to_others(&metadata).is_some() {
        return Err(ConfigError::Exposed { path: path.to_owned() });
    }
    read(path)
}

/// Reads a text file that the configuration names.
///
/// # Errors
/// [`ConfigError::Read`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })
}

impl Default for Compress {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            ahead: true,
            near: NearKey::Word(NearWord::Auto),
            residual: Residual::default(),
            residual_hours: RESIDUAL_HOURS,
            policy: Policy::default(),
        }
    }
}

impl Compress {
    /// What the compressor is told.
    pub fn options(&self) -> Options {
        let near = match self.near {
            NearKey::Word(NearWord::Auto) => Near::Auto(self.policy.clone()),
            NearKey::Stored(near) => Near::Fixed(near),
        };
        let (residual, decoder) = (self.residual != Residual::Never, FrameDecoder::of_this_program());
        Options { near, residual, decoder: Some(decoder), ..Options::lossless(self.threads) }
    }

    /// Until when the residual of a study of these sizes is kept back, in milliseconds since 1970-01-01 UTC; none where it has none, or
    /// it goes with the rest.
    pub fn residual_until_ms(&self, summary: &Summary, now_ms: i64) -> Option<i64> {
        let is_kept = self.residual == Residual::OnRequest && summary.residual_bytes > 0;
        is_kept.then(|| now_ms + i64::from(self.residual_hours) * HOUR_MS)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.threads == 0 {
            return wrong("compress.threads".into(), "must be at least 1");
        }
        if !(1..=RESIDUAL_HOURS_MAX).contains(&self.residual_hours) {
            return wrong("compress.residual_hours".into(), "must be 1 to 720");
        }
        self.policy.check().map_err(ConfigError::Policy)
    }
}

fn wrong(key: String, reason: &'static str) -> Result<(), ConfigError> {
    Err(ConfigError::Value { key, reason })
}

fn is_domain(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_ae_title(title: &str) -> bool {
    (1..=16).contains(&title.len())
        && title.trim() == title
        && title.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\')
}

/// RFC 5425 4.1.
fn syslog_port_default() -> u16 {
    6514
}

/// Three days: a weekend.
fn hold_hours_default() -> u32 {
    72
}

/// Five minutes: a doctor waits, and what is there may be enough.
fn choice_ms_default() -> u64 {
    5 * 60 * 1000
}

fn settle_ms_default() -> u64 {
    2_000
}

fn silence_ms_default() -> u64 {
    30_000
}

fn associations_max_default() -> usize {
    32
}

fn idle_ms_default() -> u64 {
    30_000
}

fn piece_bytes_max_default() -> usize {
    seal::limits::PIECE_BYTES_MAX
}

fn poll_ms_default() -> u64 {
    1_000
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    pub(super) const SAMPLE: &str = include_str!("../../deploy/gateway.sample.toml");

    pub(super) fn load(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path())
    }

    #[test]
    fn the_sample_loads_and_names_the_defaults() {
        let config = load(SAMPLE).unwrap();
        assert_eq!(config.doctors_of("DR_TANAKA"), ["tanaka"]);
        assert_eq!(config.pacs_called("PACS").unwrap().own_ae_title, "SCANPOST");
        assert_eq!(config.seal.piece_bytes_max, 6 << 20);
        assert!(matches!(config.compress.options(), Options { near: Near::Auto(_), residual: false, .. }));
        assert!(config.pacs_called("OTHER").is_none());
    }

    #[test]
    fn near_is_a_number_too_and_rules_replace_the_default_ones() {
        let fixed = load(
            &SAMPLE
                .replace("near = \"auto\"", "near = 2\nresidual = \"at_once\"")
                .replace("residual = \"never\"", ""),
        )
        .unwrap();
        assert!(matches!(fixed.compress.options(), Options { near: Near::Fixed(2), residual: true, .. }));
        let rule = "[[compress.policy.rules]]\nmodality = \"CT\"\npart = \"head\"\nunits = 1.0\n[seal]";
        let ruled = load(&SAMPLE.replace("[seal]", rule)).unwrap();
        assert_eq!(ruled.compress.policy.rules.len(), 1);
        assert!(!ruled.compress.policy.head_words.is_empty());
    }

    #[test]
    fn misspelt_and_impossible_values_are_refused_by_name() {
        for (from, to, named) in [
            ("settle_ms", "setle_ms", "setle_ms"),
            ("hospital.example", "hospital example", "site"),
            ("[\"tanaka\"]", "[\"sato\"]", "destinations.DR_TANAKA"),
            ("[\"tanaka\"]", "[]", "at least one doctor"),
            ("DR_TANAKA", "DOCTOR_TANAKA_ON_CALL", "16 characters"),
            ("near = \"auto\"", "near = \"automatic\"", "from 0 (lossless) to 65535"),
            ("near = \"auto\"", "near = -1", "from 0 (lossless) to 65535"),
            ("residual = \"never\"", "residual = \"on_demand\"", "on_request"),
            ("residual_hours = 24", "residual_hours = 721", "1 to 720"),
            ("[seal]", "[[compress.policy.rules]]\nmodality = \"MR\"\nsigma = 0.5\n[seal]", "needs a cap"),
        ] {
            let error = load(&SAMPLE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{named} not in: {error}");
        }
    }
}
