//! Puts a backup back into an empty state folder, and marks its journal: the first start looks into trail and mailboxes before it sends anything.

use super::make::{AUDIT, JOURNAL};
use super::manifest::Found;
use super::stored::{own_as_folder, put, sync_all_below};
use super::{BackupError, at};
use crate::audit;
use crate::clock::{now_ms, time_of};
use crate::config::Config;
use crate::journal::{Database, Journal, Restored};
use crate::serve::spool_keys;
use crate::spool::{FileKey, Spool, make_folder, sync_folder};
use seal::native::Certificate;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use time::format_description::well_known::Rfc3339;

/// Folder in the state folder, until all of it is there.
const UNFINISHED: &str = "restore.unfinished";

/// What a restore that is under way, or was cut short, has in the state folder: without its journal a start would begin a new one, and sweep the rest.
pub(crate) fn half_restored(state: &Path) -> Option<PathBuf> {
    Some(state.join(UNFINISHED)).filter(|aside| aside.exists())
}

/// What was put back.
pub struct PutBack {
    state: PathBuf,
    made_at_ms: i64,
    files: usize,
    site: Certificate,
    left_out: Vec<PathBuf>,
    has_newer_trail: bool,
}

impl fmt::Display for PutBack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, made_at_ms, files, site, left_out, has_newer_trail } = self;
        let made_at = time_of(*made_at_ms).format(&Rfc3339).unwrap_or_default();
        writeln!(formatter, "{}: {files} files as they were at {made_at}", state.display())?;
        writeln!(
            formatter,
            "signed by the site's certificate {} (operator: compare it with your records)",
            site.digest()
        )?;
        if !has_newer_trail {
            writeln!(
                formatter,
                "no newer audit trail was named: cases that were withdrawn or ended since then are not known to be, unless the mailboxes show it; the syslog server has them (operator: docs/backup.md)"
            )?;
        }
        for path in left_out.iter().filter(|path| !path.exists()) {
            writeln!(
                formatter,
                "missing, since no backup holds it: {} (operator: put it there)",
                path.display()
            )?;
        }
        write!(
            formatter,
            "next: start the gateway; it looks into the mailboxes first, and opens its ports then. What was changed since then at accounts, tokens, roster and devices must be done again"
        )
    }
}

/// Puts a backup that `site` signed into the empty state folder of `config`. `trail`: the audit trail of the machine, if it is newer.
///
/// # Errors
/// [`BackupError`]; the state folder is as it was then.
pub async fn restore(
    config: &Config,
    found: &Found,
    site: Certificate,
    trail: Option<&Path>,
) -> Result<PutBack, BackupError> {
    super::refuse_postgres(config)?;
    let state = &config.state;
    make_folder(state).map_err(at(state))?;
    refuse_what_is_there(state)?;
    // No gateway may start meanwhile.
    let spool = Spool::at(state);
    let lock = spool.lock_path();
    let _locked = spool.lock().map_err(at(&lock))?;
    own_as_folder(&lock).map_err(at(&lock))?;
    let aside = state.join(UNFINISHED);
    make_folder(&aside).map_err(at(&aside))?;
    let put = put_all(config, found, &aside, trail).await;
    if let Err(error) = put {
        fs::remove_dir_all(&aside).map_err(at(&aside))?;
        fs::remove_file(&lock).map_err(at(&lock))?;
        return Err(error);
    }
    move_into_place(&aside, state).map_err(at(state))?;
    let manifest = &found.manifest;
    Ok(PutBack {
        state: state.clone(),
        made_at_ms: manifest.made_at_ms,
        files: found.state_files().count(),
        site,
        left_out: manifest.left_out.clone(),
        has_newer_trail: trail.is_some(),
    })
}

/// Before anything is put anywhere: what is older must not be mixed with what is there.
///
/// # Errors
/// [`BackupError::NotEmpty`].
pub fn refuse_what_is_there(state: &Path) -> Result<(), BackupError> {
    match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        entries => match entries.map_err(at(state))?.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(state.to_owned())),
        },
    }
}

async fn put_all(
    config: &Config,
    found: &Found,
    aside: &Path,
    trail: Option<&Path>,
) -> Result<(), BackupError> {
    let key = match found.manifest.is_encrypted {
        true => Some(key_of(config, found)?),
        false => None,
    };
    for entry in found.state_files() {
        let is_sealed = entry.path == Path::new(JOURNAL) || entry.path.starts_with(AUDIT);
        let to = aside.join(&entry.path);
        put(&found.folder.join(&entry.path), &to, entry.mode, key.as_ref().filter(|_| is_sealed))
            .map_err(at(&to))?;
    }
    if let Some(trail) = trail {
        take_newer(&aside.join(AUDIT), trail)?;
    }
    let journal = Journal::open_directory(Database::File(Spool::at(aside).journal())).await?;
    let restored = Restored { backed_up_at_ms: found.manifest.made_at_ms, restored_at_ms: now_ms() };
    let marked = journal.mark_restored(restored).await;
    journal.close().await;
    Ok(marked?)
}

/// The one of the configured keys under which the journal opens; two while it is being changed.
fn key_of(config: &Config, found: &Found) -> Result<FileKey, BackupError> {
    let journal = found.folder.join(JOURNAL);
    let opens = |key: &FileKey| {
        let mut first = [0; 16];
        crate::spool::open(&journal, Some(key))
            .and_then(|mut file| io::Read::read_exact(&mut file, &mut first))
            .is_ok()
    };
    spool_keys(config)?.into_iter().find(opens).ok_or(BackupError::WrongKey)
}

/// Puts the trail of the machine in the place of that of the backup, which is its beginning.
fn take_newer(own: &Path, newer: &Path) -> Result<(), BackupError> {
    let names = audit::names(newer).map_err(at(newer))?;
    let read = |path: PathBuf| fs::read(&path).map_err(at(&path));
    for name in audit::names(own).map_err(at(own))? {
        let begins_so = || -> Result<bool, BackupError> {
            let path = newer.join(&name);
            Ok(path.is_file() && read(path)?.starts_with(&read(own.join(&name))?))
        };
        if audit::grows(&name) && !begins_so()? {
            return Err(BackupError::OtherTrail(newer.to_owned()));
        }
    }
    fs::remove_dir_all(own).map_err(at(own))?;
    for name in names {
        put(&newer.join(&name), &own.join(&name), 0o600, None).map_err(at(newer))?;
    }
    Ok(())
}

/// The journal last, and after all else is durable; then the folder that keeps a start away.
fn move_into_place(aside: &Path, state: &Path) -> io::Result<()> {
    own_all_below(aside)?;
    sync_all_below(aside)?;
    sync_folder(state)?;
    let mut names: Vec<_> = fs::read_dir(aside)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort_by_key(|name| name == JOURNAL);
    for name in names {
        if name == JOURNAL {
            sync_folder(state)?;
        }
        fs::rename(aside.join(&name), state.join(&name))?;
    }
    sync_folder(state)?;
    fs::remove_dir(aside)?;
    sync_folder(state)
}

/// As the state folder, where root puts it back.
fn own_all_below(folder: &Path) -> io::Result<()> {
    own_as_folder(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { own_all_below(&path)? } else { own_as_folder(&path)? }
    }
    Ok(())
}
