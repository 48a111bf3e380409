//! The trail on the disk: lines are appended in groups, one fsync for each, and every second the chain is signed.

use super::line::{self, First, Hash, chain, statement};
use super::message::Message;
use super::walk::{self, End, Fault, HEAD, Head, STATEMENT, Walked};
use crate::hex::hex;
use crate::spool::{create_anew, make_one, sync_folder};
use compressor::Purpose;
use seal::native::SiteKey;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;

/// A file of the trail that has so many bytes is followed by the next one.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;

/// How far a trail is on the disk: a file, and bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable {
    pub(super) file: u32,
    pub(super) bytes: u64,
}

/// The end of the trail, open for appending. One for each state folder, which the gateway's lock sees to.
pub(super) struct Trail {
    folder: PathBuf,
    file: File,
    file_bytes: u64,
    end: End,
    site: Arc<SiteKey>,
    name: String,
}

impl Trail {
    /// Opens the trail in `folder`, or begins it. What a power cut left behind the signed end of a group of lines that was never acknowledged is
    /// removed; after any other damage a new file goes on from the signed end, and the damage is given back.
    ///
    /// # Errors
    /// [`TrailError`].
    pub(super) fn open(
        folder: &Path,
        site: Arc<SiteKey>,
        name: &str,
    ) -> Result<(Self, Option<Fault>), TrailError> {
        make_one(folder)?;
        folder.parent().map_or(Ok(()), sync_folder)?;
        let walk = || {
            let begin = walk::near_head(folder, site.certificate())?;
            walk::walk_from(folder, site.certificate(), begin, &mut |_, _| ())
        };
        let mut walked = walk()?;
        if let Some((file, whole)) = walked.torn(folder)? {
            cut(&walk::path(folder, file), whole)?;
            walked = walk()?;
        }
        let last = walk::files(folder)?.pop().unwrap_or(0);
        let Walked { mut end, faults, .. } = walked;
        let fault = faults.into_iter().next();
        let mut trail = if fault.is_none() && last > 0 {
            let file = OpenOptions::new().append(true).open(walk::path(folder, last))?;
            let file_bytes = file.metadata()?.len();
            Self { folder: folder.to_owned(), file, file_bytes, end, site, name: name.to_owned() }
        } else {
            if let (Some(_), Ok(Some(head))) = (&fault, Head::read(folder, site.certificate())) {
                (end.number, end.hash) = (head.number, head.hash);
            }
            end.file = last;
            // Replaced at once by the first real one.
            let file = File::open(folder)?;
            let mut trail =
                Self { folder: folder.to_owned(), file, file_bytes: 0, end, site, name: name.to_owned() };
            trail.next_file(fault.is_some())?;
            trail
        };
        trail.anchor()?;
        Ok((trail, fault))
    }

    /// Appends messages, each with its time, and makes them durable together.
    ///
    /// # Errors
    /// [`TrailError::Full`]: none of them is in the trail. [`TrailError::Broken`]: what of the group is on the disk is unknown, and the trail must
    /// not be used any more.
    pub(super) fn append<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m (OffsetDateTime, Message)>,
    ) -> Result<(), TrailError> {
        let before = self.end;
        let mut lines = Vec::new();
        for (at, message) in messages {
            let number = self.end.number + 1;
            let text = line::syslog(message, number, *at, &self.name, std::process::id());
            lines.extend(self.chained(text.expose_for(Purpose::Audit)));
            self.end.number = number;
        }
        self.write(&lines, before)?;
        if self.file_bytes >= FILE_BYTES_MAX {
            match self.next_file(false) {
                // The messages are durable; the next ones try again.
                Err(TrailError::Full) => {}
                begun => begun?,
            }
        }
        Ok(())
    }

    /// Signs the chain as it is now, in the trail and beside it.
    ///
    /// # Errors
    /// [`TrailError::Full`]: it is signed at the next time. [`TrailError::Broken`].
    pub(super) fn anchor(&mut self) -> Result<(), TrailError> {
        let before = self.end;
        let (number, hash) = (before.number, before.hash);
        let signature =
            self.site.sign_statement(STATEMENT, &statement(number, &hash)).map_err(io::Error::other)?;
        let (head, unfinished) = (self.folder.join(HEAD), self.folder.join("head.unfinished"));
        let mut file = create_anew(&unfinished).map_err(TrailError::before)?;
        file.write_all(Head::text(number, &hash, &signature).as_bytes()).map_err(TrailError::before)?;
        file.sync_all()?;
        let anchor = self.chained(&line::anchor(number, &signature));
        self.write(&anchor, before)?;
        fs::rename(&unfinished, head).map_err(TrailError::before)?;
        sync_folder(&self.folder)?;
        self.end.anchored = number;
        Ok(())
    }

    /// Whether there is something that no anchor covers.
    pub(super) fn is_loose(&self) -> bool {
        self.end.anchored < self.end.number
    }

    /// Everything that was appended.
    pub(super) fn durable(&self) -> Durable {
        Durable { file: self.end.file, bytes: self.file_bytes }
    }

    /// `anew`: behind damage.
    fn next_file(&mut self, anew: bool) -> Result<(), TrailError> {
        let before = self.end;
        let number = before.file + 1;
        let path = walk::path(&self.folder, number);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(TrailError::before)?;
        let (last, last_bytes) =
            (std::mem::replace(&mut self.file, file), std::mem::take(&mut self.file_bytes));
        self.end.file = number;
        let first =
            self.chained(&line::file(First { file: number, after: before.number, hash: before.hash, anew }));
        if let Err(error) = self.write(&first, before) {
            (self.file, self.file_bytes) = (last, last_bytes);
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(sync_folder(&self.folder)?)
    }

    /// The bytes of the next line; the chain goes on behind it.
    fn chained(&mut self, payload: &str) -> Vec<u8> {
        let hash: Hash = chain(&self.end.hash, payload.as_bytes());
        self.end.hash = hash;
        format!("{} {payload}\n", hex(&hash)).into_bytes()
    }

    /// Writes lines behind which the chain goes on; on a full disk none of them, and the chain is at `before` again.
    fn write(&mut self, bytes: &[u8], before: End) -> Result<(), TrailError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(bytes) {
            // Else a power cut could bring back lines whose senders were told that they are not there.
            self.file.set_len(self.file_bytes)?;
            self.file.sync_data()?;
            self.end = before;
            return Err(TrailError::before(error));
        }
        self.file.sync_data()?;
        self.file_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Something could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrailError {
    /// The disk has no room: the trail is as it was.
    #[error("the disk is full")]
    Full,
    /// Anything else: what is on the disk is unknown.
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl TrailError {
    /// Of a call that fails before anything is promised to be on the disk.
    fn before(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Broken(error),
        }
    }
}

/// Keeps the first bytes of a file, and no file of none.
fn cut(path: &Path, whole: u64) -> io::Result<()> {
    if whole == 0 {
        fs::remove_file(path)?;
        return path.parent().map_or(Ok(()), sync_folder);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(whole)?;
    file.sync_all()
}
