//! Folders of the spool, one for each stage that keeps files, and what is swept away at start.

use crate::journal::{Journal, JournalError};
use seal::ids::DeliveryId;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The state folder: journal and spool. Only the gateway's own user may enter.
#[derive(Clone, Debug)]
pub struct Spool {
    root: PathBuf,
}

impl Spool {
    /// Creates what is missing below `root`, mode 0700.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(root: &Path) -> io::Result<Self> {
        let spool = Self::at(root);
        for folder in [spool.receive(), spool.folder("compress"), spool.folder("seal")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(spool)
    }

    /// Names the folders below `root` without creating them.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.sqlite")
    }

    /// Where data sets lie as they were received.
    pub fn receive(&self) -> PathBuf {
        self.folder("receive")
    }

    /// The bundle of a delivery.
    pub fn bundle(&self, delivery: DeliveryId) -> PathBuf {
        self.folder("compress").join(format!("{delivery}.bundle"))
    }

    /// Pieces and cover of a delivery.
    pub fn sealed(&self, delivery: DeliveryId) -> PathBuf {
        self.folder("seal").join(delivery.to_string())
    }

    fn folder(&self, stage: &str) -> PathBuf {
        self.root.join("spool").join(stage)
    }

    /// Removes received files that no delivery needs: their C-STORE was never answered with success, or their delivery
    /// is pulled.
    ///
    /// # Errors
    /// [`JournalError`]; a file that cannot be removed is left for the next start.
    pub async fn sweep(&self, journal: &Journal) -> Result<usize, JournalError> {
        let needed: HashSet<String> = journal.files().await?.into_iter().collect();
        let entries = fs::read_dir(self.receive()).into_iter().flatten().flatten();
        let stale =
            entries.filter(|entry| entry.file_name().to_str().is_none_or(|name| !needed.contains(name)));
        Ok(stale.filter(|entry| fs::remove_file(entry.path()).is_ok()).count())
    }

    /// Gives back what a delivery took, once the doctors have it; the journal keeps its row.
    pub fn release(&self, delivery: DeliveryId, files: impl Iterator<Item = String>) {
        for file in files {
            let _ = fs::remove_file(self.receive().join(file));
        }
        let _ = fs::remove_file(self.bundle(delivery));
        let _ = fs::remove_dir_all(self.sealed(delivery));
    }
}

/// Makes a rename or a new file in `folder` durable.
///
/// # Errors
/// Any I/O error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
