//! Files of a sealed delivery: `piece-00001` …, then `cover.p7m`, each durable before it has its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Name of the cover; once it is there, the delivery is whole.
const COVER_NAME: &str = "cover.p7m";
/// An S/MIME message for one recipient.
const MESSAGE_PREFIX: &str = "smime-";
const PIECE_PREFIX: &str = "piece-";
/// Ends the name of a file that is still being written.
const PARTIAL: &str = ".partial";

/// A file under a temporary name until [`NewFile::publish`].
pub(super) struct NewFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl NewFile {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let partial = partial_path(&path);
        // Readable, because the first piece is digested when it is whole.
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&partial)?;
        Ok(Self { file, partial, path })
    }

    /// As [`create`](Self::create), in the place of one that was not finished.
    pub(super) fn again(path: PathBuf) -> io::Result<Self> {
        match fs::remove_file(partial_path(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Self::create(path)
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes the bytes durable, then gives the file its name. The name is durable after [`sync_folder`].
    pub(super) fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)
    }
}

fn partial_path(path: &Path) -> PathBuf {
    let mut partial = path.to_owned().into_os_string();
    partial.push(PARTIAL);
    partial.into()
}

pub(super) fn piece_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{PIECE_PREFIX}{number:05}"))
}

pub(super) fn message_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{MESSAGE_PREFIX}{number:03}.p7m"))
}

pub(super) fn cover_path(folder: &Path) -> PathBuf {
    folder.join(COVER_NAME)
}

/// Makes the folder where it is not there; the one above it must be: where it is gone, it was taken from whoever calls.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes the folder, or empties it of a delivery that was not finished.
///
/// # Errors
/// `AlreadyExists` if a finished delivery is there: its bytes may be on the way, and a retry must send the same.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    make(folder)?;
    if cover_path(folder).try_exists()? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder holds a finished delivery"));
    }
    for path in ours(folder)? {
        fs::remove_file(path)?;
    }
    sync_folder(folder)?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Writes the cover, durable with its name.
pub(super) fn write_cover(folder: &Path, der: &[u8]) -> io::Result<()> {
    let mut cover = NewFile::create(cover_path(folder))?;
    cover.file().write_all(der)?;
    cover.publish()?;
    sync_folder(folder)
}

/// Files with the name of a piece.
pub(super) fn count_pieces(folder: &Path) -> io::Result<usize> {
    Ok(ours(folder)?.iter().filter(|path| !path.ends_with(COVER_NAME)).count())
}

/// Makes names in the folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn ours(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = names.collect::<io::Result<_>>()?;
    Ok(paths.into_iter().filter(|path| is_ours(path)).collect())
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(PIECE_PREFIX) || name.starts_with(COVER_NAME)
}
