//! The gateway's configuration: one TOML file, every key documented here and in `docs/config.md`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The whole file. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this site, domain-like: stands right of the `@` in Message-IDs.
    pub site: String,
    /// Folder for spool and journal; created with mode 0700.
    pub state: PathBuf,
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
    /// The mailbox store as seen by the gateway's own login: receipts come back through it.
    pub pulled: Pulled,
    /// Doctors by name.
    pub doctors: BTreeMap<String, Doctor>,
    /// Destinations by the AE title that stands for them.
    pub destinations: BTreeMap<String, Destination>,
}

/// `[dicom]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dicom {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Where the port really taken is written as text, for a port of 0.
    pub port_file: Option<PathBuf>,
    /// Silence after the last association of a study before the PACS is asked, in milliseconds.
    #[serde(default = "settle_ms_default")]
    pub settle_ms: u64,
    /// Silence after which a study that cannot be proved complete is delivered all the same, in milliseconds.
    #[serde(default = "silence_ms_default")]
    pub silence_ms: u64,
    /// Associations served at once; a further one is rejected as a temporary congestion (PS3.8 9.3.4).
    #[serde(default = "associations_max_default")]
    pub associations_max: usize,
    /// Longest wait for the next bytes of a peer, in milliseconds.
    #[serde(default = "idle_ms_default")]
    pub idle_ms: u64,
}

/// `[pacs.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacs {
    /// Its AE title, as it calls and is called.
    pub ae_title: String,
    /// Host name or address, and port.
    pub address: String,
    /// Our AE title when we call it.
    #[serde(default = "own_ae_title_default")]
    pub own_ae_title: String,
}

/// `[compress]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    /// Worker threads.
    pub threads: usize,
}

/// `[seal]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The site's signing key, PKCS#8 PEM, P-256, mode 0600.
    pub key: PathBuf,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Largest piece before base64, in bytes.
    #[serde(default = "piece_bytes_max_default")]
    pub piece_bytes_max: usize,
}

/// A server reached over implicit TLS, with a login.
#[derive(Clone, Debug, Deserialize)]
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
    /// Sender address of mails (submission only); the login name where absent.
    pub from: Option<String>,
}

/// `[notify]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Server for notices; that of `[submit]` where absent.
    pub server: Option<Server>,
    /// Wait for the cover to be seen in the mailbox before the notice goes, at most, in milliseconds.
    #[serde(default = "cover_seen_ms_default")]
    pub cover_seen_ms: u64,
}

/// `[pulled]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulled {
    /// The IMAP server.
    #[serde(flatten)]
    pub server: Server,
    /// Pause between two looks into a mailbox, in milliseconds.
    #[serde(default = "poll_ms_default")]
    pub poll_ms: u64,
}

/// `[doctors.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Mailbox address that pieces and cover go to.
    pub mailbox: String,
    /// Folder of that mailbox as the gateway's own login sees it (RFC 4314 rights l, r, t, e).
    pub folder: String,
    /// The doctor's certificate, PEM, P-256.
    pub certificate: PathBuf,
    /// Address of the phone that gets the notice.
    pub phone: String,
    /// Language of the notice.
    #[serde(default)]
    pub language: notifier::Language,
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
