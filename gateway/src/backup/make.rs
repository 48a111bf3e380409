//! Makes a backup: the journal first, then what it names of the spool, the audit trail last. What is given back of the spool meanwhile was pulled, which the
//! mailbox shows, or ended, which the trail has by then.

use super::configuration::{self, Kept};
use super::manifest::{Entry, FORMAT, Manifest};
use super::stored::{mode_of, store, sync_all_below};
use super::{BackupError, at};
use crate::audit;
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Database, Journal, State};
use crate::serve::spool_keys;
use crate::spool::{FileKey, Needed, Spool, make_folder, sync_folder};
use crate::upgrade;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Folder in the state folder where the journal is copied to before it is encrypted.
const UNFINISHED: &str = "backup.unfinished";
/// Link in it to the folder that the backup is written to until it is whole.
const LINK: &str = "to";
/// Names in a backup, as in the state folder.
pub(super) const JOURNAL: &str = "journal.sqlite";
pub(super) const AUDIT: &str = "audit";
const CONTENT_KEY: &str = "content.key";

/// What was made.
pub struct Made {
    folder: PathBuf,
    files: usize,
    bytes: u64,
    is_encrypted: bool,
    left_out: Vec<PathBuf>,
    /// What the spool gave back while it was copied.
    gone: usize,
    /// Why the stamp that tells of it could not be written.
    unstamped: Option<BackupError>,
}

impl fmt::Display for Made {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, files, bytes, is_encrypted, left_out, gone, unstamped } = self;
        write!(formatter, "{}: {files} files, {bytes} bytes", folder.display())?;
        if *gone > 0 {
            write!(formatter, "; {gone} files of the spool were given back meanwhile and are not needed")?;
        }
        if !is_encrypted {
            write!(
                formatter,
                "\n[spool] encryption is off: journal, images and audit trail lie in it in plain (operator: encrypt the disk that holds it)"
            )?;
        }
        if let Some(error) = unstamped {
            write!(
                formatter,
                "\nthe backup is whole, but [check] backup_stamp cannot be written, and `check` will call it old: {error}"
            )?;
        }
        for path in left_out {
            write!(
                formatter,
                "\nleft out, a secret in the clear: {} (operator: keep it elsewhere; without it a restore is not of use)",
                path.display()
            )?;
        }
        Ok(())
    }
}

/// Makes a backup in the folder `to`, which is not there yet, beside a running gateway or without one. `file`: where `config` was read from.
///
/// # Errors
/// [`BackupError`]; nothing is left at `to` then.
pub async fn backup(
    config: &Config,
    file: &Path,
    to: &Path,
    with_secrets: bool,
) -> Result<Made, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    super::refuse_postgres(config)?;
    let site = config.seal.site_key()?;
    let mut keys = spool_keys(config)?;
    if keys.len() > 1 {
        return Err(BackupError::TwoKeys);
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = to.with_file_name(format!("{name}.unfinished"));
    let aside = config.state.join(UNFINISHED);
    make_folder(&aside).map_err(at(&aside))?;
    let _one_at_a_time = locked(&aside).map_err(at(&aside))?.ok_or(BackupError::UnderWay)?;
    drop_all(&aside).map_err(at(&aside))?;
    std::path::absolute(&unfinished).and_then(|to| symlink(to, aside.join(LINK))).map_err(at(&aside))?;
    let _ = fs::remove_dir_all(&unfinished);
    make_folder(&unfinished).map_err(at(&unfinished))?;
    let copy = Copying { folder: unfinished, key: keys.pop(), files: Vec::new(), gone: 0 };
    let folder = copy.folder.clone();
    let made = copy.all(config, &aside, file, with_secrets).await;
    let finish = |(manifest, gone): (Manifest, usize)| {
        manifest.write(&folder, &site)?;
        sync_all_below(&folder).map_err(at(&folder))?;
        fs::rename(&folder, to).map_err(at(to))?;
        let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(above).map_err(at(above))?;
        let stamp = config.check.backup_stamp.as_ref();
        let unstamped =
            stamp.and_then(|stamp| fs::write(stamp, format!("{}\n", to.display())).map_err(at(stamp)).err());
        let (files, bytes) = (manifest.files.len(), manifest.files.iter().map(|entry| entry.bytes).sum());
        let (is_encrypted, left_out) = (manifest.is_encrypted, manifest.left_out);
        Ok(Made { folder: to.to_owned(), files, bytes, is_encrypted, left_out, gone, unstamped })
    };
    let made = made.and_then(finish);
    if made.is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    let _ = fs::remove_dir_all(&aside);
    made
}

/// Deletes what a backup that was cut short left: in the state folder a journal in plain, and its own folder. Not of one that is under way.
///
/// # Errors
/// Any I/O error.
pub(crate) fn drop_unfinished(state: &Path) -> io::Result<()> {
    let aside = state.join(UNFINISHED);
    match locked(&aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(None) => Ok(()),
        locked => {
            let _locked = locked?;
            drop_all(&aside)?;
            fs::remove_dir(&aside)
        }
    }
}

/// None where another process has it.
fn locked(folder: &Path) -> io::Result<Option<File>> {
    let folder = File::open(folder)?;
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn drop_all(aside: &Path) -> io::Result<()> {
    if let Ok(unfinished) = fs::read_link(aside.join(LINK)) {
        let _ = fs::remove_dir_all(unfinished);
    }
    for entry in fs::read_dir(aside)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

struct Copying {
    folder: PathBuf,
    key: Option<FileKey>,
    files: Vec<Entry>,
    gone: usize,
}

impl Copying {
    async fn all(
        mut self,
        config: &Config,
        aside: &Path,
        file: &Path,
        with_secrets: bool,
    ) -> Result<(Manifest, usize), BackupError> {
        let made_at_ms = now_ms();
        let schema = self.journal_and_spool(config, aside).await?;
        // Made at the first start.
        self.one(&config.state, Path::new(CONTENT_KEY), false)?;
        self.trail(config)?;
        let Kept { files, left_out } = configuration::keep(&self.folder, file, config, with_secrets)?;
        self.files.extend(files);
        let manifest = Manifest {
            format: FORMAT,
            site: config.site.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            made_at_ms,
            is_encrypted: self.key.is_some(),
            files: self.files,
            left_out,
        };
        Ok((manifest, self.gone))
    }

    async fn journal_and_spool(&mut self, config: &Config, aside: &Path) -> Result<i64, BackupError> {
        let copy = aside.join(JOURNAL);
        let schema = upgrade::copy_into(&Spool::at(&config.state).journal(), &copy).await?;
        self.one(aside, Path::new(JOURNAL), true)?;
        let journal = Journal::open_directory(Database::File(copy.clone())).await?;
        let named = self.named(&journal).await;
        journal.close().await;
        fs::remove_file(&copy).map_err(at(&copy))?;
        for path in named? {
            let from = config.state.join(&path);
            if from.is_dir() {
                self.folder_of_pieces(&config.state, &path)?;
            } else if !self.one(&config.state, &path, false)? {
                self.gone += 1;
            }
        }
        Ok(schema)
    }

    /// What the journal names of the spool, below the state folder. What a stage may still be writing is made again.
    async fn named(&self, journal: &Journal) -> Result<Vec<PathBuf>, BackupError> {
        let below = Spool::at(Path::new(""));
        let Needed { files, unfinished, residuals } = Needed::by(journal).await?;
        let mut named: Vec<PathBuf> = files.into_iter().map(|file| below.receive().join(file)).collect();
        for id in unfinished {
            let state = journal.delivery(id).await?.state;
            if state >= State::Compressed {
                named.push(below.bundle(id));
            }
            if state >= State::Sealed {
                named.push(below.sealed(id));
            }
        }
        named.extend(residuals.into_iter().map(|id| below.bundle(id)));
        named.sort();
        named.dedup();
        Ok(named)
    }

    fn folder_of_pieces(&mut self, state: &Path, folder: &Path) -> Result<(), BackupError> {
        let entries = match fs::read_dir(state.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(folder))?,
        };
        for entry in entries {
            if !self.one(state, &folder.join(entry.map_err(at(folder))?.file_name()), false)? {
                self.gone += 1;
            }
        }
        Ok(())
    }

    /// A file that may be gone by now: false then. `sealed`: under the spool's key, as it is not yet.
    fn one(&mut self, root: &Path, path: &Path, sealed: bool) -> Result<bool, BackupError> {
        let from = root.join(path);
        let opened = File::open(&from).and_then(|file| Ok((file, mode_of(&from)?)));
        let (mut file, mode) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(at(&from))?,
        };
        let key = self.key.as_ref().filter(|_| sealed);
        self.files.push(store(&self.folder, path, &mut file, mode, key)?);
        Ok(true)
    }

    /// The signed end first, and what the syslog server has: the messages up to them are there by then. A last line that is being written is left out.
    fn trail(&mut self, config: &Config) -> Result<(), BackupError> {
        let folder = audit::folder(&config.state);
        let names = match audit::names(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map_err(at(&folder))?,
        };
        for name in names {
            let from = folder.join(&name);
            let bytes = fs::read(&from).map_err(at(&from))?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let mut lines = bytes.get(..whole).unwrap_or_default();
            let path = Path::new(AUDIT).join(name);
            let mode = mode_of(&from).map_err(at(&from))?;
            self.files.push(store(&self.folder, &path, &mut lines, mode, self.key.as_ref())?);
        }
        Ok(())
    }
}
