//! Folders and files that survive a power cut once a function here has returned.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use tempfile::NamedTempFile;

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

/// A new file that only the owner may read, with what `write` writes: it is there whole or not at all, and no other file is touched for it.
///
/// # Errors
/// Any I/O error, also where something has that name by then; nothing of the new file is left.
pub(crate) fn write_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(parent(path))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// [`write_file`] for what only the owner may read, from the first byte on.
///
/// # Errors
/// Any I/O error; then nothing of it is left.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE_SECRET).open(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
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
    sync_folder(parent(path))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_touches_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("case.zip"), folder.path().join("case.part"));
        fs::write(&other, "another's").unwrap();
        write_new(&path, |file| file.write_all(b"ours")).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(&other).unwrap()),
            (b"ours".to_vec(), b"another's".to_vec())
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["case.part", "case.zip"]);
    }

    #[test]
    fn a_file_that_was_made_meanwhile_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.zip");
        let made = write_new(&path, |_| fs::write(&path, "another's"));
        assert_eq!(made.map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert!(
            write_new(&folder.path().join("other.zip"), |_| Err(io::ErrorKind::StorageFull.into())).is_err()
        );
        assert_eq!(names(folder.path()), ["case.zip"]);
    }
}
