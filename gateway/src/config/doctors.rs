//! `[doctors.NAME]`: who a doctor is, and by which keys.

use super::{ConfigError, read};
use seal::native::{Certificate, Recipient, SealError};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `[doctors.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// How the technician's page names the doctor; the name of the table where absent.
    pub name: Option<String>,
    /// Mailbox address that pieces and cover go to.
    pub mailbox: String,
    /// Folder of that mailbox as the gateway's own login sees it (RFC 4314 rights l, r, t, e).
    pub folder: String,
    /// A certificate of the doctor's, PEM: P-256, or RSA of at least 3072 bits. Further ones, and those of doctors without it, are in the
    /// directory.
    pub certificate: Option<PathBuf>,
    /// The certificate that receipts are signed under, PEM, P-256; `certificate` itself where absent. An RSA certificate needs it.
    pub identity: Option<PathBuf>,
    /// Address of the phone that gets the notice.
    pub phone: String,
    /// Language of the notice.
    #[serde(default)]
    pub language: notifier::Language,
}

impl Doctor {
    /// Reads both certificates, if one is named.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Certificate`].
    pub fn recipient(&self) -> Result<Option<Recipient>, ConfigError> {
        let Some(path) = &self.certificate else { return Ok(None) };
        let identity = self.identity.as_deref().map(certificate_at).transpose()?;
        Recipient::new(certificate_at(path)?, identity).map(Some).map_err(refused(path))
    }
}

fn certificate_at(path: &Path) -> Result<Certificate, ConfigError> {
    Certificate::from_pem(&read(path)?).map_err(refused(path))
}

fn refused(path: &Path) -> impl Fn(SealError) -> ConfigError + '_ {
    move |error| ConfigError::Certificate { path: path.to_path_buf(), error: Box::new(error) }
}
