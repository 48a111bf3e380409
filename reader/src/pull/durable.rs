//! Folders and files that survive a power cut once a function here has returned.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Only the owner: what lies in these folders belongs to a patient.
const MODE_OWNER: u32 = 0o700;
/// A key.
const MODE_SECRET: u32 = 0o600;

/// Creates `folder` below a durable parent, for the owner alone; one that is there stays as it is.
///
/// # Errors
/// Any I/O error.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(MODE_OWNER).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        created => created.and_then(|()| sync_parent(folder)),
    }
}

/// Writes a whole file under a temporary name, then renames it: it is there whole or not at all.
///
/// # Errors
/// Any I/O error.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&part, path)
}

/// [`write_file`] for what only the owner may read, from the first byte on.
///
/// # Errors
/// Any I/O error.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_private(path, |file| file.write_all(bytes))
}

/// [`write_secret`] of what `write` writes.
///
/// # Errors
/// Any I/O error; then nothing of it is left.
pub(crate) fn write_private(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE_SECRET).open(&part)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written?;
    rename(&part, path)
}

/// Renames within one file system and makes the new name durable.
///
/// # Errors
/// Any I/O error; a folder does not replace one that holds something.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_parent(to)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Any I/O error.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}
