//! `[doctors.NAME]`: who a doctor is, and by which keys.

use super::{ConfigError, MAIL, QuietHours, Way, read, wrong};
use seal::mail::Encryption;
use seal::native::{Certificate, Recipient, SealError};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What opens a doctor's mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Our reader, in a mailbox for Scanpost alone.
    #[default]
    Reader,
    /// Any mail program that knows S/MIME: key images, and DICOM files where they fit. No receipt comes back.
    Smime,
    /// No doctor but a mailbox for outside recipients without an account: each press makes one a link.
    Link,
}

/// `[doctors.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// How the technician's page names the doctor; the name of the table where absent.
    pub name: Option<String>,
    /// What opens the mail.
    #[serde(default)]
    pub kind: Kind,
    /// Mailbox address that pieces and cover, or the S/MIME message, go to.
    pub mailbox: String,
    /// Folder of that mailbox as the gateway's own login sees it (RFC 4314 rights l, r, t, e); a mail program's mailbox is nobody's business.
    #[serde(default)]
    pub folder: String,
    /// The mail program opens no AuthEnvelopedData: it gets AES-256-CBC, with RSA by PKCS #1 v1.5, and key images alone.
    #[serde(default)]
    pub quirk_cbc_recipient: bool,
    /// A certificate of the doctor's, PEM: P-256, or RSA of at least 3072 bits. Further ones, and those of doctors without it, are in the
    /// directory.
    pub certificate: Option<PathBuf>,
    /// The certificate that receipts are signed under, PEM, P-256; `certificate` itself where absent. An RSA certificate needs it.
    pub identity: Option<PathBuf>,
    /// Mail address of the phone that gets the notice: the short form of a first way by the channel `mail`.
    #[serde(default)]
    pub phone: String,
    /// By which channels the doctor is told, the first of them first; a mail program can do without any.
    #[serde(default)]
    pub notify: Vec<Way>,
    /// When the doctor is not woken for what is not urgent: `22:00-07:00`, by the site's clock.
    pub quiet_hours: Option<QuietHours>,
    /// Language of the notice.
    #[serde(default)]
    pub language: notifier::Language,
}

impl Doctor {
    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        let key = |key: &str| format!("doctors.{name}.{key}");
        match self.kind {
            Kind::Reader if self.folder.is_empty() => {
                wrong(key("folder"), "name the folder of the mailbox as the gateway's login sees it")
            }
            Kind::Reader if self.ways().next().is_none() => wrong(
                key("phone"),
                "name the mail address of the phone that gets the notice, or other channels in notify",
            ),
            Kind::Reader if self.ways().all(|way| way.level > 0) => {
                wrong(key("notify"), "nobody would be told at once: give one channel level 0, or none")
            }
            Kind::Reader if self.quirk_cbc_recipient => wrong(
                key("quirk_cbc_recipient"),
                "is for kind = \"smime\" alone: our reader refuses such mail",
            ),
            Kind::Smime if !self.folder.is_empty() || self.identity.is_some() => {
                wrong(key("kind"), "a mail program has neither folder nor identity: leave them out")
            }
            Kind::Link if self.folder.is_empty() => {
                wrong(key("folder"), "name the folder of the guest mailbox as the gateway's login sees it")
            }
            Kind::Link
                if self.certificate.is_some()
                    || self.identity.is_some()
                    || self.ways().next().is_some()
                    || self.quirk_cbc_recipient =>
            {
                wrong(
                    key("kind"),
                    "an outside recipient has neither certificate nor phone here: leave all but mailbox, folder, name and language out",
                )
            }
            Kind::Reader | Kind::Smime | Kind::Link => Ok(()),
        }
    }

    /// Every way to tell the doctor, in order.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        let mail = (!self.phone.is_empty()).then(|| Way {
            channel: MAIL.to_owned(),
            to: self.phone.clone(),
            level: 0,
        });
        mail.into_iter().chain(self.notify.iter().cloned())
    }

    /// The least level above this one that channels have.
    pub fn next_level(&self, level: u32) -> Option<u32> {
        self.ways().map(|way| way.level).filter(|one| *one > level).min()
    }

    /// How a message for the mail program is encrypted.
    pub fn encryption(&self) -> Encryption {
        if self.quirk_cbc_recipient { Encryption::QuirkCbc } else { Encryption::Authenticated }
    }

    /// Reads both certificates, if one is named.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Certificate`].
    pub fn recipient(&self) -> Result<Option<Recipient>, ConfigError> {
        let Some(path) = &self.certificate else { return Ok(None) };
        if self.kind == Kind::Smime {
            return Ok(Some(Recipient::of_mail_program(certificate_at(path)?)));
        }
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
