//! One piece: which of its blocks are on the disk, and how the others are fetched.

use super::Cache;
use super::wrapped::{BLOCK_BYTES, BLOCK_OCTETS, Lenient, Rewrapped, blocks, decode};
use crate::portal::mailbox::Watched;
use crate::portal::refused::Refused;
use seal::limits::FETCH_BYTES_MAX;
use seal::mailbox::{Found, MailboxError};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use tokio::sync::Mutex;

/// Blocks of one fetch.
const BLOCKS_AT_ONCE: usize = FETCH_BYTES_MAX as usize / BLOCK_OCTETS;

/// A piece in the cache.
pub(crate) struct Piece {
    path: PathBuf,
    file: File,
    /// When it was last used, by the count of uses.
    pub(crate) used: AtomicU64,
    bytes: AtomicU64,
    /// Its mail is gone.
    ended: AtomicBool,
    here: Lock<Here>,
    /// Whoever fetches.
    fetching: Mutex<()>,
}

/// What is on the disk.
#[derive(Clone, Debug, Default)]
enum Here {
    /// Nothing is known yet.
    #[default]
    Nothing,
    /// Lines as we send them: these blocks.
    Blocks(Vec<bool>),
    /// A server touched the lines: the whole piece, so many bytes.
    Whole(u64),
}

impl Piece {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self {
            path,
            file,
            used: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            here: Lock::default(),
            fetching: Mutex::default(),
        })
    }

    /// At most `length` bytes from `offset`, one at least.
    ///
    /// # Errors
    /// [`Refused::Gone`], [`Refused::MailboxDown`], [`Refused::BadRequest`] beyond the end of the piece.
    pub(crate) async fn read(
        self: &Arc<Self>,
        offset: u64,
        length: u64,
        (cache, mailbox, found): (&Cache, &Watched, &Found),
    ) -> Result<Vec<u8>, Refused> {
        let end = loop {
            if self.ended.load(Ordering::Acquire) {
                return Err(Refused::Gone);
            }
            if let Some(end) = self.here_until(offset)? {
                break end;
            }
            let _turn = self.fetching.lock().await;
            // Another phone may have fetched it meanwhile.
            if self.here_until(offset)?.is_none() {
                cache.wrote(self.fetch(offset, mailbox, found).await?);
            }
        };
        let wanted = usize::try_from(length.min(end - offset)).map_err(|_| Refused::TooLarge)?;
        let piece = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; wanted];
            piece.file.read_exact_at(&mut bytes, offset).map(|()| bytes)
        });
        match read.await {
            Ok(Ok(bytes)) => Ok(bytes),
            // The last block ends before its room does.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refused::BadRequest),
            Ok(Err(error)) => Err(disk(&error)),
            Err(_) => Err(Refused::Ours),
        }
    }

    /// Where what is here without a gap from `offset` ends; none if nothing is.
    fn here_until(&self, offset: u64) -> Result<Option<u64>, Refused> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        match &*here {
            Here::Nothing => Ok(None),
            Here::Whole(bytes) if offset < *bytes => Ok(Some(*bytes)),
            Here::Whole(_) => Err(Refused::BadRequest),
            Here::Blocks(blocks) => {
                let first = usize::try_from(offset).map_err(|_| Refused::BadRequest)? / BLOCK_BYTES;
                let rest = blocks.get(first..).filter(|rest| !rest.is_empty()).ok_or(Refused::BadRequest)?;
                let count = rest.iter().take_while(|here| **here).count();
                Ok((count > 0).then_some(((first + count) * BLOCK_BYTES) as u64))
            }
        }
    }

    /// Fetches the block at `offset` and some after it that are missing too; gives the bytes written.
    async fn fetch(&self, offset: u64, mailbox: &Watched, found: &Found) -> Result<u64, Refused> {
        if matches!(self.here(), Here::Nothing) {
            let octets = mailbox.body_octets(found).await?;
            match blocks(octets) {
                Ok(count) => self.set(Here::Blocks(vec![false; count])),
                Err(Rewrapped) => return self.fetch_whole(mailbox, found).await,
            }
        }
        let Here::Blocks(mut blocks) = self.here() else { return Ok(0) };
        let first = usize::try_from(offset).map_err(|_| Refused::BadRequest)? / BLOCK_BYTES;
        let missing = blocks.get(first..).ok_or(Refused::BadRequest)?.iter().take_while(|here| !**here);
        let count = missing.count().min(BLOCKS_AT_ONCE);
        let is_last = first + count == blocks.len();
        let at = (first * BLOCK_OCTETS) as u64;
        let octets = u32::try_from(count * BLOCK_OCTETS).map_err(|_| Refused::Ours)?;
        let fetched = mailbox.body_range(found, at, octets).await?;
        if fetched.len() != count * BLOCK_OCTETS && !is_last {
            return self.fetch_whole(mailbox, found).await;
        }
        let Ok(bytes) = decode(&fetched, is_last) else { return self.fetch_whole(mailbox, found).await };
        self.write(&bytes, (first * BLOCK_BYTES) as u64)?;
        blocks.iter_mut().skip(first).take(count).for_each(|here| *here = true);
        self.set(Here::Blocks(blocks));
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len() as u64)
    }

    /// Of lines that a server touched no range can be computed.
    async fn fetch_whole(&self, mailbox: &Watched, found: &Found) -> Result<u64, Refused> {
        tracing::info!(
            mailbox = mailbox.name,
            "a mail server has changed the lines of a piece: it is fetched whole"
        );
        let (mut decoder, mut decoded) = (Lenient::default(), Vec::new());
        let (mut offset, mut written) = (0, 0);
        loop {
            let part = mailbox.body_range(found, offset, FETCH_BYTES_MAX).await?;
            offset += part.len() as u64;
            decoder.push(&part, &mut decoded);
            self.write(&decoded, written)?;
            written += decoded.len() as u64;
            decoded.clear();
            if part.len() < FETCH_BYTES_MAX as usize {
                break;
            }
            if offset > u64::from(found.rfc822_size) + u64::from(FETCH_BYTES_MAX) {
                return Err(MailboxError::TooLarge { bytes_max: u64::from(found.rfc822_size) }.into());
            }
        }
        decoder.finish(&mut decoded);
        self.write(&decoded, written)?;
        written += decoded.len() as u64;
        self.set(Here::Whole(written));
        Ok(written.saturating_sub(self.bytes.swap(written, Ordering::Relaxed)))
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), Refused> {
        // At most a megabyte into the page cache.
        self.file.write_all_at(bytes, at).map_err(|error| disk(&error))
    }

    fn here(&self) -> Here {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, here: Here) {
        *self.here.lock().unwrap_or_else(PoisonError::into_inner) = here;
    }

    /// Whoever still reads it is refused from now on.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Takes it off the disk; gives the bytes that it had there.
    pub(crate) fn remove(&self) -> u64 {
        if let Err(error) = std::fs::remove_file(&self.path) {
            disk(&error);
        }
        self.bytes.load(Ordering::Relaxed)
    }
}

fn disk(error: &io::Error) -> Refused {
    tracing::error!(
        act = "operator",
        "the cache cannot be used: {} (check the disk of portal.cache)",
        error.kind()
    );
    Refused::Ours
}
