//! Another master key. Both are on the disk until nothing lies under the old one; a crash at any step is gone on from by the next run, and
//! until then the gateway works with whichever of both the journal lies under.

use super::keys::{FileKey, MasterKeyError};
use super::{Spool, create_anew, sync_folder};
use crate::config::{Config, ConfigError};
use crate::journal::{Database, Journal, JournalError, Others, Rewrapped};
use clap::Subcommand;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a new key, put all under it that lay under the old one, and let the new one take its place. Goes on from where a run broke off.
    RotateKey {
        /// File with the key, where the service manager hands it over as a credential; that of `[spool] key_file` otherwise.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

/// The spool has no other key yet: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Neither argument nor configuration names the file.
    #[error("which key? (operator: name its file by --key or in [spool] key_file)")]
    NoFile,
    /// A gateway holds the old key in memory.
    #[error("a gateway works here (operator: stop it, run this again, start it)")]
    Running,
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key.
    #[error(transparent)]
    Key(#[from] MasterKeyError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file.
    #[error("{path}: {error} (operator: run this again once it can be written)", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Does it; what is to be shown comes back.
///
/// # Errors
/// [`RotationError`].
pub async fn run(config: &Config, action: Action) -> Result<String, RotationError> {
    let Action::RotateKey { key } = action;
    let from_file = key.is_none();
    let file = key.or_else(|| config.spool.key_file.clone()).ok_or(RotationError::NoFile)?;
    let done = rotate(&Spool::at(&config.state), config.database()?, &file).await?;
    let Rewrapped { cases, patients, notes, secrets } = done;
    let next = if from_file { "keep a copy of it" } else { "hand it to the service manager, keep a copy" };
    Ok(format!(
        "{} holds a new key: {next}. Under it lie the keys of {cases} cases, {patients} patients of the audit trail, {notes} notes, {secrets} secrets of one-time codes. The old key \
         opens nothing here any more; a backup of the state folder from before still needs it.",
        file.display()
    ))
}

/// The file that the new key is in until it takes the old one's place.
pub(crate) fn next_of(key_file: &Path) -> PathBuf {
    beside(key_file, ".next")
}

/// A key file may be a link: what is renamed lies beside the file itself.
fn beside(key_file: &Path, suffix: &str) -> PathBuf {
    let mut path: OsString = fs::canonicalize(key_file).unwrap_or_else(|_| key_file.to_owned()).into();
    path.push(suffix);
    path.into()
}

async fn rotate(spool: &Spool, database: Database, file: &Path) -> Result<Rewrapped, RotationError> {
    let _lock = spool.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => RotationError::Running,
        _ => RotationError::Io { path: spool.root.clone(), error },
    })?;
    let old = FileKey::read(file, true)?;
    let new = next_key(file)?;
    let (database, _hold) = database.take(Others::None).await?;
    let done = rewrap(database, old, &new).await?;
    take_place(file).map_err(at(file))?;
    Ok(done)
}

/// The new key, durable before anything lies under it.
fn next_key(file: &Path) -> Result<FileKey, RotationError> {
    let next = next_of(file);
    if !next.exists() {
        let made = FileKey::random().and_then(|key| write_beside(file, &next, &key));
        made.map_err(at(&next))?;
    }
    Ok(FileKey::read(&next, true)?)
}

/// Whoever may read the old key may read the new one: the service, when somebody else runs this.
fn write_beside(file: &Path, next: &Path, key: &FileKey) -> io::Result<()> {
    let (unfinished, old) = (beside(file, ".unfinished"), fs::metadata(file)?);
    let mut out = create_anew(&unfinished)?;
    let made = out.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&out, Some(old.uid()), Some(old.gid()))?;
    }
    out.write_all(key.bytes())?;
    out.sync_all()?;
    fs::rename(&unfinished, next)?;
    next.parent().map_or(Ok(()), sync_folder)
}

/// What lay under the old key lies under the new one, and the journal's log holds nothing of before.
async fn rewrap(database: Database, old: FileKey, new: &FileKey) -> Result<Rewrapped, RotationError> {
    let journal = Journal::open_under(database, vec![old, new.clone()]).await?;
    let done = if journal.is_under(new) { Rewrapped::default() } else { journal.rewrap(new).await? };
    journal.empty_log().await?;
    Ok(done)
}

fn take_place(file: &Path) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    fs::rename(next_of(&file), &file)?;
    file.parent().map_or(Ok(()), sync_folder)
}

fn at(path: &Path) -> impl Fn(io::Error) -> RotationError + '_ {
    move |error| RotationError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "rotation_tests.rs"]
mod tests;
