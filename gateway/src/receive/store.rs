//! One data set on its way to the disk: written and hashed as it comes, durable before it has its final name.

use super::disk::Disk;
use super::limits::{OBJECT_BYTES_MAX, WRITE_BUFFER_BYTES};
use crate::spool::{FileKey, SpoolWriter};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

/// Ending of a file that is not whole yet.
const UNFINISHED: &str = ".part";
/// Hex digits of a file's name: 128 random bits.
const NAME_DIGITS: usize = 32;

/// Whether a file in the receive folder is one that a crash left half written.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED)
        .is_some_and(|stem| stem.len() == NAME_DIGITS && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Why a data set is not stored. Holds no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The disk is full, or the file cannot be made, written or renamed.
    #[error("the data set cannot be written: {}", .0.kind())]
    Write(io::Error),
    /// File or folder cannot be made durable; what the disk holds is no longer known.
    #[error("the data set cannot be made durable: {}", .0.kind())]
    Sync(io::Error),
    /// Longer than [`OBJECT_BYTES_MAX`].
    #[error("the data set is too long")]
    TooLong,
    /// The system gives no random bytes for a name or a key.
    #[error("no random numbers for a file name or key")]
    NoRandom,
}

/// A data set that is durable under its final name.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) file: String,
    pub(super) key: Option<FileKey>,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// A data set being written. Its file is removed when this is dropped before [`Unfinished::finish`] succeeded.
pub(super) struct Unfinished<D: Disk> {
    disk: Arc<D>,
    name: String,
    /// What the file is called at the moment.
    present: Option<String>,
    key: Option<FileKey>,
    writer: Option<SpoolWriter<BufWriter<D::File>>>,
    hasher: Sha256,
    bytes: u64,
}

impl<D: Disk> Unfinished<D> {
    /// Makes a file with a fresh name, encrypted if there is a key for it.
    pub(super) fn create(
        disk: Arc<D>,
        new_key: impl FnOnce() -> io::Result<Option<FileKey>>,
    ) -> Result<Self, StoreError> {
        let key = new_key().map_err(|_| StoreError::NoRandom)?;
        let name = format!("{:032x}", u128::from_le_bytes(random()?));
        let present = format!("{name}{UNFINISHED}");
        let file = disk.create(&present).map_err(StoreError::Write)?;
        let mut unfinished =
            Self { disk, name, present: Some(present), key, writer: None, hasher: Sha256::new(), bytes: 0 };
        let buffered = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
        // From here on a failure removes the file.
        unfinished.writer =
            Some(SpoolWriter::new(buffered, unfinished.key.as_ref()).map_err(StoreError::Write)?);
        Ok(unfinished)
    }

    /// Appends a fragment.
    pub(super) fn write(&mut self, fragment: &[u8]) -> Result<(), StoreError> {
        self.bytes = self.bytes.saturating_add(fragment.len() as u64);
        if self.bytes > OBJECT_BYTES_MAX {
            return Err(StoreError::TooLong);
        }
        self.hasher.update(fragment);
        let writer = self.writer.as_mut().ok_or_else(|| StoreError::Write(io::ErrorKind::NotFound.into()))?;
        writer.write_all(fragment).map_err(StoreError::Write)
    }

    /// Makes the data set durable under its final name: file, rename, folder (DESIGN 7).
    pub(super) fn finish(mut self) -> Result<Stored, StoreError> {
        let writer = self.writer.take().ok_or_else(|| StoreError::Write(io::ErrorKind::NotFound.into()))?;
        let buffered = writer.finish().map_err(StoreError::Write)?;
        let file = buffered.into_inner().map_err(|error| StoreError::Write(error.into_error()))?;
        self.disk.sync(&file).map_err(StoreError::Sync)?;
        if let Some(present) = &mut self.present {
            self.disk.rename(present, &self.name).map_err(StoreError::Write)?;
            present.clone_from(&self.name);
        }
        self.disk.sync_folder().map_err(StoreError::Sync)?;
        self.present = None;
        Ok(Stored {
            file: self.name.clone(),
            key: self.key.take(),
            bytes: self.bytes,
            sha256: std::mem::take(&mut self.hasher).finalize().into(),
        })
    }
}

impl<D: Disk> Drop for Unfinished<D> {
    fn drop(&mut self) {
        // What is still in the buffer would be written only to be deleted.
        match self.writer.take() {
            Some(SpoolWriter::Plain(buffered)) => drop(buffered.into_parts()),
            Some(SpoolWriter::Encrypted(encrypting)) => drop(encrypting.abandon().into_parts()),
            None => {}
        }
        if let Some(present) = self.present.take() {
            let _ = self.disk.remove(&present);
        }
    }
}

/// Random bytes from the kernel, for names and numbers that nobody can foresee.
///
/// Not the crypto library's generator: that one seeds itself anew in each thread, which costs as much as several images.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(|_| StoreError::NoRandom).map(|()| bytes)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
