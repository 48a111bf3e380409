//! What the inbound process is told, as one line of JSON on its standard input.

use super::record::folder_digest;
use crate::config::{self, Config, ConfigError, Kind};
use crate::directory::receipts_of;
use crate::journal::{Device, Removal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::ids::{DeliveryId, Digest};
use seal::native::{Certificate, Recipient, SealError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use tls::ClientFiles;

/// Longest request line, in bytes: some hundred doctors with their certificates.
pub(super) const REQUEST_BYTES_MAX: u64 = 4 << 20;

/// Where to look, and whose receipts count.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Right side of our Message-IDs.
    pub site: String,
    /// IMAP server, as in its certificate.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login name of the gateway.
    pub user: String,
    /// Password.
    pub password: String,
    /// Addresses of that host, which the process may not look up; the gateway fills them in before each start.
    pub addresses: Vec<SocketAddr>,
    /// Whom to trust, and who we are, by absolute paths; read before the process confines itself.
    pub tls: ClientFiles,
    /// Pause between two looks, in milliseconds.
    pub poll_ms: u64,
    /// The last thing heard of the mailbox was trouble: that it is over is worth a record.
    pub troubled: bool,
    /// One for each doctor.
    pub folders: Vec<Folder>,
}

/// A doctor's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// As the gateway's login sees it.
    pub folder: String,
    /// Whose receipts count in it: one for each certificate that covers were sealed for.
    pub recipients: Vec<Pinned>,
    /// What is to be deleted in it.
    #[serde(default)]
    pub withdrawn: Vec<Withdrawn>,
}

/// A delivery that was withdrawn, or a link that ended: its pieces, cover and statement are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// Its id.
    pub delivery: DeliveryId,
    /// Receipts are, too, once they were looked at.
    pub receipts: bool,
    /// In all folders of the mailbox, not only in the one that mails come to.
    pub everywhere: bool,
}

/// A recipient as two certificates, base64 of their DER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The one that covers are sealed for.
    pub certificate: String,
    /// The one that receipts are signed under.
    pub identity: String,
}

impl Pinned {
    /// As it is written into a request.
    pub fn of(recipient: &Recipient) -> Self {
        let text = |certificate: &Certificate| STANDARD.encode(certificate.der());
        Self { certificate: text(recipient.certificate()), identity: text(recipient.identity()) }
    }

    pub(super) fn recipient(&self) -> Result<Recipient, SealError> {
        let read = |text: &String| Certificate::from_der(&STANDARD.decode(text).unwrap_or_default());
        Recipient::new(read(&self.certificate)?, Some(read(&self.identity)?))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Request({}:{}, {} folders)", self.host, self.port, self.folders.len())
    }
}

/// Doctors whose folder this is.
pub(crate) fn doctors_of(config: &Config, folder: Digest) -> impl Iterator<Item = &String> {
    config
        .doctors
        .iter()
        .filter(move |(_, doctor)| folder_digest(&doctor.folder) == folder)
        .map(|(name, _)| name)
}

/// Reads the password that the configuration names; the certificates are those of the directory.
///
/// # Errors
/// [`ConfigError`].
pub fn inbound_request(
    config: &Config,
    devices: &[Device],
    withdrawn: &[Removal],
) -> Result<Request, ConfigError> {
    let server = &config.pulled.server;
    let folder = |(name, doctor): (&String, &config::Doctor)| Folder {
        folder: doctor.folder.clone(),
        recipients: receipts_of(devices, name).map(|device| Pinned::of(&device.recipient)).collect(),
        withdrawn: withdrawn
            .iter()
            .filter(|removal| removal.doctor == *name)
            .map(|removal| Withdrawn {
                delivery: removal.delivery,
                receipts: removal.receipts,
                everywhere: removal.everywhere,
            })
            .collect(),
    };
    let readers = config.doctors.iter().filter(|(_, doctor)| doctor.kind != Kind::Smime);
    Ok(Request {
        site: config.site.clone(),
        host: server.host.clone(),
        port: server.port,
        addresses: Vec::new(),
        user: server.user.clone(),
        password: server.password()?,
        // The inbound process starts in another folder.
        tls: server.tls().absolute()?,
        poll_ms: config.pulled.poll_ms,
        troubled: false,
        folders: readers.map(folder).collect(),
    })
}
