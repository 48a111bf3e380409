//! `[pacs.NAME]`: who is asked for studies, and how they are fetched.

use super::{ConfigError, is_ae_title, read_secret};
use crate::query::{CharacterSet, Root};
use crate::retrieve::How;
use hyper::Uri;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tls::ClientFiles;

/// `[pacs.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacs {
    /// Its AE title: the one that is called for queries, and under which it sends.
    pub ae_title: String,
    /// Host name or address, and port.
    pub address: String,
    /// Our AE title when we call it.
    #[serde(default = "own_ae_title_default")]
    pub own_ae_title: String,
    /// Further AE titles under which it sends.
    #[serde(default)]
    pub sends_as: Vec<String>,
    /// AE title that is called to fetch, where that is another one.
    pub retrieve_ae_title: Option<String>,
    /// How instances that are missing are fetched.
    #[serde(default)]
    pub retrieve: How,
    /// The information model in which studies are looked for.
    #[serde(default)]
    pub root: Root,
    /// In which character set it is asked for names.
    #[serde(default)]
    pub character_set: CharacterSet,
    /// Silence of the PACS after which a retrieval is given up, in milliseconds.
    #[serde(default = "retrieve_wait_ms_default")]
    pub retrieve_wait_ms: u64,
    /// Longest retrieval, in milliseconds.
    #[serde(default = "retrieve_total_ms_default")]
    pub retrieve_total_ms: u64,
    /// Set where it must speak TLS (PS3.15 B.12).
    pub tls: Option<ClientFiles>,
    /// Its DICOMweb service, for `retrieve = "dicomweb"`.
    pub dicomweb: Option<Dicomweb>,
}

/// `[pacs.NAME.dicomweb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dicomweb {
    /// Base URL, as `https://pacs.hospital.example/dicom-web`.
    pub url: String,
    /// Login name, where it wants one (RFC 7617).
    pub user: Option<String>,
    /// File with the password, mode 0600; a trailing newline is dropped.
    pub password_file: Option<PathBuf>,
    /// Takes `http:` too: images and password go over the hospital's network in the clear.
    #[serde(default)]
    pub plain: bool,
    /// PEM with the only roots to trust; the system's where absent.
    pub ca: Option<PathBuf>,
    /// PEM with the revocation lists of every authority in the server's chain.
    pub crl: Option<PathBuf>,
    /// PEM with our certificate and the chain above it.
    pub client_certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600.
    pub client_key: Option<PathBuf>,
    /// Takes TLS 1.2 too, with AEAD suites only.
    #[serde(default)]
    pub tls12: bool,
}

impl Dicomweb {
    /// The base URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn uri(&self) -> Result<Uri, &'static str> {
        let uri: Uri =
            self.url.parse().map_err(|_| "write a URL like https://pacs.hospital.example/dicom-web")?;
        if uri.host().is_none() || uri.query().is_some() {
            return Err("write a URL like https://pacs.hospital.example/dicom-web");
        }
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.plain => Ok(uri),
            Some("http") => Err(
                "http: sends images in the clear: write https:, or plain = true on the hospital's own network",
            ),
            _ => Err("write a URL that begins with https:"),
        }
    }

    /// User and password, where there are any.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Exposed`].
    pub(crate) fn login(&self) -> Result<Option<(&str, String)>, ConfigError> {
        let (Some(user), Some(path)) = (&self.user, &self.password_file) else { return Ok(None) };
        Ok(Some((user, read_secret(path)?.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Whom to trust, and who we are.
    pub(crate) fn tls(&self) -> ClientFiles {
        ClientFiles {
            ca: self.ca.clone(),
            crl: self.crl.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            tls12: self.tls12,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.user.is_some() != self.password_file.is_some() {
            return Err("user and password_file belong together: name both");
        }
        self.uri().map(|_| ())
    }
}

impl Pacs {
    /// A peer without TLS that is called by this AE title, with the keys that a table may leave out as they are without it.
    pub(crate) fn plain(ae_title: &str, address: SocketAddr, own_ae_title: &str) -> Self {
        Self {
            ae_title: ae_title.to_owned(),
            address: address.to_string(),
            own_ae_title: own_ae_title.to_owned(),
            sends_as: Vec::new(),
            retrieve_ae_title: None,
            retrieve: How::default(),
            root: Root::default(),
            character_set: CharacterSet::default(),
            retrieve_wait_ms: retrieve_wait_ms_default(),
            retrieve_total_ms: retrieve_total_ms_default(),
            tls: None,
            dicomweb: None,
        }
    }

    /// Its host name or address, as in its certificate, and its port.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
    }

    /// Whether it calls itself by this AE title when it sends.
    pub fn is_called(&self, ae_title: &str) -> bool {
        self.ae_title == ae_title || self.sends_as.iter().any(|other| other == ae_title)
    }

    /// AE title that is called to fetch.
    pub fn retrieve_ae_title(&self) -> &str {
        self.retrieve_ae_title.as_deref().unwrap_or(&self.ae_title)
    }

    /// [`Self::retrieve_wait_ms`].
    pub fn retrieve_wait(&self) -> Duration {
        Duration::from_millis(self.retrieve_wait_ms)
    }

    /// [`Self::retrieve_total_ms`].
    pub fn retrieve_total(&self) -> Duration {
        Duration::from_millis(self.retrieve_total_ms)
    }

    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        let wrong = |key: String, reason| Err(ConfigError::Value { key, reason });
        let titles = [&self.ae_title, &self.own_ae_title].into_iter().chain(&self.retrieve_ae_title);
        if !titles.chain(&self.sends_as).all(|title| is_ae_title(title)) {
            return wrong(
                format!("pacs.{name}"),
                "an AE title has 1 to 16 characters, no backslash (PS3.5 6.2)",
            );
        }
        if self.host_and_port().is_none() {
            return wrong(format!("pacs.{name}.address"), "write host:port");
        }
        match &self.dicomweb {
            None if self.retrieve == How::Dicomweb => {
                return wrong(
                    format!("pacs.{name}.retrieve"),
                    "needs a [pacs.NAME.dicomweb] table with its url",
                );
            }
            None => {}
            Some(web) => {
                if let Err(reason) = web.check() {
                    return wrong(format!("pacs.{name}.dicomweb"), reason);
                }
            }
        }
        if self.retrieve_wait_ms == 0 || self.retrieve_total_ms == 0 {
            return wrong(format!("pacs.{name}"), "a time of 0 ms leaves none to fetch");
        }
        Ok(())
    }
}

fn own_ae_title_default() -> String {
    "SCANPOST".to_owned()
}

/// A minute: an archive may fetch a study from tape before it says a word.
fn retrieve_wait_ms_default() -> u64 {
    60_000
}

/// Half an hour: 10 GB at 50 Mbit/s.
fn retrieve_total_ms_default() -> u64 {
    30 * 60_000
}
