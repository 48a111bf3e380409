//! Sealed pieces on the disk, as far as they were fetched: ciphertext, one file a piece, the least used one goes first.

mod piece;
mod wrapped;

pub(crate) use piece::Piece;

use super::store::make_folder;
use seal::ids::DeliveryId;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const LOCK: &str = "portal.lock";
/// Ending of the files in it.
const ENDING: &str = "piece";

/// Which piece: mailbox, delivery, number.
type Key = (String, DeliveryId, u32);

/// The cache of one portal.
pub(crate) struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
    pieces: Mutex<HashMap<Key, Arc<Piece>>>,
    /// Deliveries that each mailbox has, once it was looked at; only held together with `pieces`, which is taken first.
    here: Mutex<HashMap<String, HashSet<DeliveryId>>>,
    uses: AtomicU64,
    _lock: File,
}

/// Why the cache cannot be used: the operator must act.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The folder.
    #[error("cannot use {0}: {1} (operator: name a folder that this user may write in portal.cache)")]
    Folder(PathBuf, io::Error),
    /// Another portal.
    #[error(
        "{0} is used by another portal (operator: give each portal that shares a state a portal.cache of its own)"
    )]
    Taken(PathBuf),
}

impl Cache {
    /// Takes the folder and empties it.
    ///
    /// # Errors
    /// [`CacheError`].
    pub(crate) fn open(folder: &Path, bytes_max: u64) -> Result<Self, CacheError> {
        let failed = |error| CacheError::Folder(folder.to_owned(), error);
        make_folder(folder).map_err(failed)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Taken(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                std::fs::remove_file(path).map_err(failed)?;
            }
        }
        let (bytes, uses) = (AtomicU64::new(0), AtomicU64::new(0));
        let (pieces, here) = (Mutex::default(), Mutex::default());
        Ok(Self { folder: folder.to_owned(), bytes_max, bytes, pieces, here, uses, _lock: lock })
    }

    /// The piece, begun if it is not there. None where its delivery is gone: whoever asked may not have seen that yet, and nothing of it may be
    /// begun anew.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn piece(
        &self,
        mailbox: &str,
        delivery: DeliveryId,
        number: u32,
    ) -> io::Result<Option<Arc<Piece>>> {
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut pieces = self.pieces();
        if self.here().get(mailbox).is_some_and(|here| !here.contains(&delivery)) {
            return Ok(None);
        }
        let piece = match pieces.entry((mailbox.to_owned(), delivery, number)) {
            std::collections::hash_map::Entry::Occupied(known) => known.get().clone(),
            std::collections::hash_map::Entry::Vacant(place) => {
                // Numbers alone: neither mailbox nor delivery is read off the disk.
                let path = self.folder.join(format!("{used}.{ENDING}"));
                place.insert(Arc::new(Piece::create(path)?)).clone()
            }
        };
        piece.used.store(used, Ordering::Relaxed);
        Ok(Some(piece))
    }

    /// So many bytes more were written: makes room again by removing what was not used for longest.
    pub(crate) fn wrote(&self, bytes: u64) {
        let mut all = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if all <= self.bytes_max {
            return;
        }
        let mut pieces = self.pieces();
        let mut oldest: Vec<(u64, Key)> =
            pieces.iter().map(|(key, piece)| (piece.used.load(Ordering::Relaxed), key.clone())).collect();
        oldest.sort();
        // The newest is the one that is being written.
        oldest.pop();
        // A tenth at once, so that this is rare.
        let target = self.bytes_max / 10 * 9;
        for (_, key) in oldest {
            if all <= target {
                break;
            }
            if let Some(piece) = pieces.remove(&key) {
                all = self.drop_piece(&piece, all);
            }
        }
    }

    /// The mailbox has these and no others: whatever is cached of others goes, and whoever reads it is told.
    pub(crate) fn keep(&self, mailbox: &str, here: HashSet<DeliveryId>) {
        let mut pieces = self.pieces();
        let is_gone = |(of, delivery, _): &&Key| of == mailbox && !here.contains(delivery);
        let gone: Vec<Key> = pieces.keys().filter(is_gone).cloned().collect();
        self.here().insert(mailbox.to_owned(), here);
        for key in gone {
            if let Some(piece) = pieces.remove(&key) {
                piece.end();
                self.drop_piece(&piece, 0);
            }
        }
    }

    fn drop_piece(&self, piece: &Piece, all: u64) -> u64 {
        let bytes = piece.remove();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        all.saturating_sub(bytes)
    }

    fn here(&self) -> MutexGuard<'_, HashMap<String, HashSet<DeliveryId>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pieces(&self) -> MutexGuard<'_, HashMap<Key, Arc<Piece>>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
