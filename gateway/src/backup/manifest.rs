//! What a backup says of itself, signed by the site.

use super::stored::{digest_of, store};
use super::{BackupError, at};
use crate::config::{self, Config};
use crate::upgrade::known_schema;
use seal::ids::Digest;
use seal::native::{Certificate, SiteKey};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The format of backups that this version makes and reads.
pub(super) const FORMAT: u32 = 1;
/// What the site's signature under a manifest is made for.
const STATEMENT: &str = "scanpost backup 1";
/// Names in the folder of a backup.
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";

/// See the top of this file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) site: String,
    /// Of the program that made it.
    pub(super) version: String,
    /// Number of the journal's last migration.
    pub(super) schema: i64,
    /// When the journal was copied, milliseconds since 1970-01-01 UTC: what the backup knows.
    pub(super) made_at_ms: i64,
    /// Journal and audit trail lie under the spool's key.
    pub(super) is_encrypted: bool,
    pub(super) files: Vec<Entry>,
    /// Secrets in the clear that are to be kept elsewhere.
    pub(super) left_out: Vec<PathBuf>,
}

/// A file of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the folder of the backup, and, but for what the configuration names, below the state folder.
    pub(super) path: PathBuf,
    /// As it lies in the backup.
    pub(super) bytes: u64,
    /// Hex, of these bytes.
    pub(super) sha256: String,
    /// Permission bits of the original.
    pub(super) mode: u32,
    /// Where a file of the configuration belongs; none for the configuration itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<PathBuf>,
}

impl Manifest {
    /// Writes and signs it: the last files of a backup.
    pub(super) fn write(&self, folder: &Path, site: &SiteKey) -> Result<(), BackupError> {
        let content = serde_json::to_vec_pretty(self).map_err(io::Error::other).map_err(at(folder))?;
        let signature = site.sign_statement(STATEMENT, &content)?;
        for (name, bytes) in [(MANIFEST, &content), (SIGNATURE, &signature)] {
            store(folder, Path::new(name), &mut bytes.as_slice(), 0o600, None)?;
        }
        Ok(())
    }
}

/// A backup that was found, of which nothing is proved yet.
pub struct Found {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    content: Vec<u8>,
    signature: Vec<u8>,
}

impl Found {
    /// Reads the manifest in a folder that its owner alone may enter.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let metadata = fs::metadata(folder).map_err(at(folder))?;
        if keyfile::open_to_others(&metadata).is_some() {
            return Err(BackupError::Exposed(folder.to_owned()));
        }
        let no_backup = || BackupError::NoBackup(folder.to_owned());
        let content = fs::read(folder.join(MANIFEST)).map_err(|_| no_backup())?;
        let signature = fs::read(folder.join(SIGNATURE)).map_err(|_| no_backup())?;
        let manifest: Manifest = serde_json::from_slice(&content).map_err(|_| BackupError::Damaged {
            path: folder.join(MANIFEST),
            what: "not what this program writes",
        })?;
        Ok(Self { folder: folder.to_owned(), manifest, content, signature })
    }

    /// Checks signature and every file: by the certificate that `config` names, where that is here, else by the backup's own, if its SHA-256 is `expected`:
    /// whoever made a backup can sign it with a key of their own.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn verify(
        &self,
        config: Option<&Config>,
        expected: Option<Digest>,
    ) -> Result<Certificate, BackupError> {
        let here = config.map(|config| &config.seal.certificate).filter(|path| path.exists());
        let site = self.certificate(here)?;
        let is_expected = expected.is_none_or(|expected| expected == site.digest());
        if !is_expected || !site.verifies_statement(STATEMENT, &self.content, &self.signature) {
            return Err(BackupError::Foreign);
        }
        if here.is_none() && expected.is_none() {
            return Err(BackupError::UnknownSite(site.digest()));
        }
        let Manifest { schema, version, format, .. } = &self.manifest;
        if *schema > known_schema() || *format != FORMAT {
            let (version, schema, known) = (version.clone(), *schema, known_schema());
            return Err(BackupError::Newer { version, schema, known });
        }
        for entry in &self.manifest.files {
            let path = self.folder.join(&entry.path);
            let damaged = |what| BackupError::Damaged { path: path.clone(), what };
            let is_below = entry.path.components().all(|part| matches!(part, Component::Normal(_)));
            if !is_below {
                return Err(damaged("not below the backup's folder"));
            }
            let found = match digest_of(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("missing")),
                found => found.map_err(at(&path))?,
            };
            if found != (entry.bytes, entry.sha256.clone()) {
                return Err(damaged("not what was written"));
            }
        }
        Ok(site)
    }

    /// Where the site's certificate is lost with the machine, that of the backup is all there is.
    fn certificate(&self, here: Option<&PathBuf>) -> Result<Certificate, BackupError> {
        let path = match here {
            Some(path) => path.clone(),
            None => {
                let name = |entry: &&Entry| entry.path.ends_with(super::configuration::SITE_CERTIFICATE);
                let entry = self.manifest.files.iter().find(name);
                let entry = entry.ok_or_else(|| BackupError::NoBackup(self.folder.clone()))?;
                self.folder.join(&entry.path)
            }
        };
        Ok(Certificate::from_pem(&config::read(&path)?)?)
    }
}
