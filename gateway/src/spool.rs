//! Folders of the spool, one for each stage that keeps files, how they are read and written, and what is swept away at start.

mod checked;
mod cipher;
mod keys;
mod rotation;

pub(crate) use checked::is_damage;
pub(crate) use cipher::{Decrypting, Encrypting, MAGIC};
pub(crate) use keys::KEY_CREDENTIAL;
pub(crate) use keys::tag;
pub use keys::{FileKey, MasterKeyError, WrappedKey};
pub(crate) use rotation::next_of;
pub use rotation::{Action, RotationError, run};

use crate::config::Config;
use crate::journal::{DeliveryInstance, Journal, JournalError};
use crate::takeover;
use compressor::bundle::ReadSeek;
use seal::ids::DeliveryId;
use std::collections::HashSet;
use std::fs;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Room that must be free before another object is taken: journal and deliveries under way go on writing.
pub(crate) const FREE_BYTES_MIN: u64 = 256 << 20;

/// The state folder: journal and spool. Only the gateway's own user may enter.
#[derive(Clone, Debug)]
pub struct Spool {
    root: PathBuf,
}

impl Spool {
    /// Creates what is missing below `root`, mode 0700, and `root` unless it is one that can be taken over.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(root: &Path) -> io::Result<Self> {
        let spool = Self::at(root);
        let made =
            root.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
        if !takeover::is_place(root) {
            make_folder(root)?;
        }
        let stages = ["receive", "compress", "seal"].map(|stage| spool.folder(stage));
        for folder in std::iter::once(&root.join("spool")).chain(&stages) {
            make_one(folder)?;
        }
        sync_folder(&spool.root.join("spool"))?;
        // A power cut may have come between the making of a folder and the sync of the one above it: that one is synced at each start.
        for folder in spool.root.canonicalize()?.ancestors().take(made.max(1) + 1) {
            match sync_folder(folder) {
                // Made by somebody else, then.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && folder != spool.root => {}
                synced => synced?,
            }
        }
        Ok(spool)
    }

    /// Keeps other gateways away from this state folder as long as the file is held: they would sweep what is not theirs.
    ///
    /// # Errors
    /// `WouldBlock` if another gateway works here; any other I/O error.
    pub fn lock(&self) -> io::Result<fs::File> {
        lock(&self.lock_path())
    }

    /// What [`Self::lock`] locks, beside the folders of the stages.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Whether the disk has room for another object besides what the deliveries under way still need.
    pub fn has_room(&self) -> bool {
        self.has_room_beside(0)
    }

    /// [`Self::has_room`], once so many bytes more are written.
    pub fn has_room_beside(&self, bytes: u64) -> bool {
        let needed = FREE_BYTES_MIN.saturating_add(bytes);
        rustix::fs::statvfs(&self.root).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= needed)
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

    /// A file beside the bundles that has no name: nothing of it is there once it is closed, however that happens.
    ///
    /// # Errors
    /// Any I/O error.
    pub(crate) fn nameless(&self) -> io::Result<fs::File> {
        tempfile::tempfile_in(self.folder("compress"))
    }

    /// Pieces and cover of a delivery.
    pub fn sealed(&self, delivery: DeliveryId) -> PathBuf {
        self.folder("seal").join(delivery.to_string())
    }

    fn folder(&self, stage: &str) -> PathBuf {
        self.root.join("spool").join(stage)
    }

    /// Removes what no delivery needs: received files whose C-STORE was never answered with success, bundles begun and not
    /// finished, and everything of deliveries that are over. What a failed delivery has is kept for another try, and bundles whose residual
    /// may be asked for.
    ///
    /// # Errors
    /// [`JournalError`]; what cannot be removed is left for the next start.
    pub async fn sweep(&self, journal: &Journal) -> Result<usize, JournalError> {
        let Needed { files, unfinished, residuals } = Needed::by(journal).await?;
        let files = files.into_iter().collect();
        let bundles = unfinished.iter().chain(&residuals).map(|id| format!("{id}.bundle")).collect();
        let sealed = unfinished.iter().map(ToString::to_string).collect();
        Ok(keep_only(&self.receive(), &files)
            + keep_only(&self.folder("compress"), &bundles)
            + keep_only(&self.folder("seal"), &sealed))
    }

    /// Gives pieces and cover of a delivery back.
    pub fn release_sealed(&self, delivery: DeliveryId) {
        let _ = fs::remove_dir_all(self.sealed(delivery));
    }

    /// Gives received files back that nobody needs any more.
    pub fn release_received(&self, files: &[String]) {
        for file in files {
            let _ = fs::remove_file(self.receive().join(file));
        }
    }

    /// Gives the bundle of a delivery back.
    pub fn release_bundle(&self, delivery: DeliveryId) {
        let _ = fs::remove_file(self.bundle(delivery));
    }

    /// Gives all back that was made of a delivery: bundle, pieces, cover.
    pub fn release_made(&self, delivery: DeliveryId) {
        self.release_sealed(delivery);
        self.release_bundle(delivery);
    }
}

/// What of the spool the journal still needs.
pub(crate) struct Needed {
    /// Received files, by name.
    pub(crate) files: Vec<String>,
    /// Deliveries whose bundles and pieces are needed: under way, or dead letters.
    pub(crate) unfinished: Vec<DeliveryId>,
    /// Deliveries whose residual may be asked for.
    pub(crate) residuals: Vec<DeliveryId>,
}

impl Needed {
    /// # Errors
    /// [`JournalError`].
    pub(crate) async fn by(journal: &Journal) -> Result<Self, JournalError> {
        let (files, residuals) = (journal.files().await?, journal.residuals_kept().await?);
        let mut unfinished = journal.unfinished().await?;
        unfinished.extend(journal.dead_letters().await?);
        Ok(Self { files, unfinished, residuals })
    }
}

/// A file of the spool being written: encrypted under a key, or plain without one.
pub(crate) enum SpoolWriter<W: Write> {
    /// As it comes.
    Plain(W),
    /// See [`cipher`].
    Encrypted(Box<Encrypting<W>>),
}

impl<W: Write> SpoolWriter<W> {
    pub(crate) fn new(out: W, key: Option<&FileKey>) -> io::Result<Self> {
        Ok(match key {
            Some(key) => Self::Encrypted(Box::new(Encrypting::new(out, key, keys::random()?)?)),
            None => Self::Plain(out),
        })
    }

    /// Writes what is left and gives the file back, nothing of it synced.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Encrypted(encrypting) => encrypting.finish(),
        }
    }
}

impl<W: Write> Write for SpoolWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Encrypted(encrypting) => encrypting.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Encrypted(encrypting) => encrypting.flush(),
        }
    }
}

/// Opens a file of the spool under its key, or one that was written without.
///
/// # Errors
/// Any I/O error; `InvalidData` for a file that is damaged, cut, or of another key.
pub(crate) fn open(path: &Path, key: Option<&FileKey>) -> io::Result<Box<dyn ReadSeek + Send>> {
    let file = fs::File::open(path)?;
    Ok(match key {
        Some(key) => Box::new(Decrypting::new(file, key)?),
        None => Box::new(BufReader::new(file)),
    })
}

/// A small text under a key, in the format of a spool file; as it is without one.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn seal_text(text: &[u8], key: Option<&FileKey>) -> io::Result<Vec<u8>> {
    let mut writer = SpoolWriter::new(Vec::new(), key)?;
    writer.write_all(text)?;
    writer.finish()
}

/// Opens what [`seal_text`] made: a text tells by its first bytes whether it was encrypted.
///
/// # Errors
/// `InvalidData` for a text that is damaged or of another key, or encrypted where there is no key.
pub(crate) fn open_text(sealed: &[u8], key: Option<&FileKey>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    match key {
        _ if !cipher::is_encrypted(sealed) => Cursor::new(sealed).read_to_end(&mut text)?,
        Some(key) => Decrypting::new(Cursor::new(sealed), key)?.read_to_end(&mut text)?,
        None => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a text is encrypted, and there is no key",
            ));
        }
    };
    Ok(text)
}

/// The data sets of a case as they were received, with the key that opens them.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) spool: &'a Spool,
    pub(crate) case_key: Option<&'a FileKey>,
}

impl Received<'_> {
    /// # Errors
    /// As [`open`]; `InvalidData` for a file whose key does not lie under that of the case.
    pub(crate) fn open(&self, instance: &DeliveryInstance) -> io::Result<Box<dyn ReadSeek + Send>> {
        let key = file_key(instance.file_key.as_ref(), self.case_key)?;
        open(&self.spool.receive().join(&instance.file), key.as_ref())
    }
}

/// The key of a received file, from how the journal has it.
fn file_key(wrapped: Option<&WrappedKey>, case_key: Option<&FileKey>) -> io::Result<Option<FileKey>> {
    let Some(wrapped) = wrapped else { return Ok(None) };
    let key = case_key.and_then(|case_key| case_key.unwrap(wrapped));
    let damaged =
        || io::Error::new(io::ErrorKind::InvalidData, "the journal has another key for a file than its case");
    key.map(Some).ok_or_else(damaged)
}

/// Opens a bundle, which tells by its first bytes whether it was encrypted: the key of its case may be younger.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_bundle(path: &Path, case_key: Option<&FileKey>) -> io::Result<Box<dyn ReadSeek + Send>> {
    read_bundle(fs::File::open(path)?, case_key)
}

/// [`open_bundle`] for a file that is open.
///
/// # Errors
/// As [`open`].
pub(crate) fn read_bundle(
    mut file: fs::File,
    case_key: Option<&FileKey>,
) -> io::Result<Box<dyn ReadSeek + Send>> {
    let mut start = [0; 8];
    file.read_exact(&mut start)?;
    file.rewind()?;
    match case_key {
        _ if !cipher::is_encrypted(&start) => Ok(Box::new(BufReader::new(file))),
        Some(key) => Ok(Box::new(Decrypting::new(file, key)?)),
        None => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a bundle is encrypted, and its case has no key"))
        }
    }
}

/// Removes every entry of `folder` that is not named in `needed`; returns how many.
fn keep_only(folder: &Path, needed: &HashSet<String>) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let stale = entries.filter(|entry| entry.file_name().to_str().is_none_or(|name| !needed.contains(name)));
    let remove = |path: &Path| if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    stale.filter(|entry| remove(&entry.path()).is_ok()).count()
}

/// Locks a file, made where there is none, for as long as it is held; what is written in it is of who has the lock.
///
/// # Errors
/// `WouldBlock` if somebody else has it; any other I/O error.
pub(crate) fn lock(path: &Path) -> io::Result<fs::File> {
    let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    lock.try_lock()?;
    lock.set_len(0)?;
    Ok(lock)
}

/// Makes a file for its owner alone, empty. Whoever has open what had the name before has another file.
///
/// # Errors
/// Any I/O error.
pub(crate) fn create_anew(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a folder and what is missing above it, for its owner alone.
///
/// # Errors
/// Any I/O error.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a folder, for its owner alone, where the one above it is there: where that is gone, it was taken from whoever calls.
///
/// # Errors
/// Any I/O error.
pub(crate) fn make_one(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes the folder that a journal's file lies in; a journal on a server needs none.
///
/// # Errors
/// Any I/O error.
pub(crate) fn make_place_of_journal(config: &Config) -> io::Result<()> {
    match config.journal.postgres_url_file {
        None => Spool::open(&config.state).map(drop),
        Some(_) => Ok(()),
    }
}

/// Makes a rename or a new file in `folder` durable.
///
/// # Errors
/// Any I/O error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
