//! The configuration and the files that it names. Secrets in the clear stay out unless they are asked for: beside what they open, a backup would be
//! worth as much to a thief as the machine.

use super::manifest::{Entry, Found};
use super::stored::{mode_of, put_beside, store};
use super::{BackupError, at};
use crate::config::Config;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder in a backup.
const FOLDER: &str = "configuration";
/// The configuration itself, in that folder.
const CONFIGURATION: &str = "gateway.toml";
/// The site's certificate, in that folder.
pub(super) const SITE_CERTIFICATE: &str = "site.cert.pem";
/// Keys whose values are files that the gateway or others write, or programs.
const NOT_KEPT: [&str; 3] = ["port_file", "backup_stamp", "command"];

/// What of the configuration went into a backup.
pub(super) struct Kept {
    pub(super) files: Vec<Entry>,
    pub(super) left_out: Vec<PathBuf>,
}

/// Stores the configuration in `file`, and what it names.
pub(super) fn keep(
    folder: &Path,
    file: &Path,
    config: &Config,
    with_secrets: bool,
) -> Result<Kept, BackupError> {
    let text = crate::config::read(file)?;
    let own = Path::new(FOLDER).join(CONFIGURATION);
    let mut files = vec![store(folder, &own, &mut text.as_bytes(), mode_of(file).map_err(at(file))?, None)?];
    let mut left_out = Vec::new();
    let mut named = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        collect(&toml::Value::Table(table), &mut named);
    }
    named.sort();
    named.dedup();
    for (number, origin) in (1..).zip(named) {
        let bytes = fs::read(&origin).map_err(at(&origin))?;
        let mode = mode_of(&origin).map_err(at(&origin))?;
        let is_site = origin == config.seal.certificate;
        if !with_secrets && !is_site && is_secret(&bytes, mode) {
            left_out.push(origin);
            continue;
        }
        // A random name of an operator's never becomes one of ours.
        let name = if is_site { SITE_CERTIFICATE.to_owned() } else { format!("{number:03}") };
        let entry = store(folder, &Path::new(FOLDER).join(name), &mut bytes.as_slice(), mode, None)?;
        files.push(Entry { origin: Some(origin), ..entry });
    }
    Ok(Kept { files, left_out })
}

/// Files that are there and that a value names.
fn collect(value: &toml::Value, named: &mut Vec<PathBuf>) {
    match value {
        toml::Value::String(text) if text.contains('/') && Path::new(text).is_file() => {
            named.push(PathBuf::from(text));
        }
        toml::Value::Array(values) => values.iter().for_each(|value| collect(value, named)),
        toml::Value::Table(table) => {
            let kept = table.iter().filter(|(key, _)| !NOT_KEPT.contains(&key.as_str()));
            kept.for_each(|(_, value)| collect(value, named));
        }
        _ => {}
    }
}

/// Whoever has the file has what it opens: a private key without a passphrase, a password, the spool's key.
fn is_secret(bytes: &[u8], mode: u32) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let is_sealed = text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----");
    let is_key = text.contains("PRIVATE KEY-----");
    let is_certificate = text.contains("-----BEGIN CERTIFICATE-----") && !is_key;
    !is_sealed && (is_key || (mode & 0o077 == 0 && !is_certificate))
}

impl Found {
    /// The configuration as it was.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn configuration(&self) -> Result<Config, BackupError> {
        Ok(Config::load(&self.folder.join(FOLDER).join(CONFIGURATION))?)
    }

    /// Puts the configuration to `file`, and what it names to its places, wherever nothing lies there; as the owner of the folder where this is run by
    /// root. Gives what was put.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn put_configuration(&self, file: &Path) -> Result<Vec<PathBuf>, BackupError> {
        let all = self.manifest.files.iter().filter(|entry| entry.path.starts_with(FOLDER));
        let all = all.map(|entry| (entry, entry.origin.clone().unwrap_or_else(|| file.to_owned())));
        let missing: Vec<(&Entry, PathBuf)> = all.filter(|(_, to)| !to.exists()).collect();
        let folders =
            missing.iter().filter_map(|(_, to)| to.parent()).filter(|folder| *folder != Path::new(""));
        if let Some(folder) = folders.into_iter().find(|folder| !folder.is_dir()) {
            return Err(BackupError::NoFolder(folder.to_owned()));
        }
        for (entry, to) in &missing {
            put_beside(&self.folder.join(&entry.path), to, entry.mode).map_err(at(to))?;
        }
        Ok(missing.into_iter().map(|(_, to)| to).collect())
    }

    /// Files of the state folder.
    pub(super) fn state_files(&self) -> impl Iterator<Item = &Entry> {
        self.manifest.files.iter().filter(|entry| !entry.path.starts_with(FOLDER))
    }
}
