//! The receive folder as the store needs it, so that order and failure of its steps can be tested.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Files hold patients' images: nobody but the service may read them.
const FILE_MODE: u32 = 0o600;

/// A folder of files that can be made durable.
pub(crate) trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: Write;
    /// Makes a new file.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Makes a file's content durable.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Gives a file its final name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in the folder durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A real folder.
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    /// Opens a folder and removes what a crash left half written in it: files whose name `is_leftover`.
    pub(crate) fn open(path: PathBuf, is_leftover: impl Fn(&str) -> bool) -> io::Result<Self> {
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&is_leftover) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { handle: File::open(&path)?, path })
    }
}

impl Disk for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(self.path.join(name))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // The file's length is synced too, since the data could not be read back without it (fdatasync(2)).
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}
