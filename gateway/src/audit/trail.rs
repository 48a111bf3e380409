//! The trail on the disk: lines are appended in groups, one fsync for each, and every second the chain is signed.

use super::line::{self, First, Hash, chain, statement};
use super::message::Message;
use super::walk::{self, End, Fault, HEAD, Head, STATEMENT, Walked};
use crate::hex::hex;
use crate::spool::sync_folder;
use compressor::Purpose;
use seal::native::SiteKey;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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
    /// Opens the trail in `folder`, or begins it. What a power cut left of a line that was never acknowledged is removed; after any other damage a
    /// new file goes on from the signed end, and the damage is given back.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn open(folder: &Path, site: Arc<SiteKey>, name: &str) -> io::Result<(Self, Option<Fault>)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut last = walk::files(folder)?.pop().unwrap_or(0);
        if last > 0 && cut_torn_line(&walk::path(folder, last))? == 0 {
            fs::remove_file(walk::path(folder, last))?;
            last -= 1;
        }
        let begin = walk::near_head(folder, site.certificate())?;
        let Walked { mut end, faults } = walk::walk_from(folder, site.certificate(), begin, &mut |_, _| ())?;
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

    /// Appends messages and makes them durable together.
    ///
    /// # Errors
    /// Any I/O error; what of the group is on the disk is then unknown, and the trail must not be used any more.
    pub(super) fn append<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m Message>,
        at: OffsetDateTime,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for message in messages {
            let number = self.end.number + 1;
            let text = line::syslog(message, number, at, &self.name, std::process::id());
            lines.extend(self.chained(text.expose_for(Purpose::Audit)));
            self.end.number = number;
        }
        self.write(&lines)?;
        if self.file_bytes >= FILE_BYTES_MAX {
            self.next_file(false)?;
        }
        Ok(())
    }

    /// Signs the chain as it is now, in the trail and beside it.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn anchor(&mut self) -> io::Result<()> {
        let (number, hash) = (self.end.number, self.end.hash);
        let signature =
            self.site.sign_statement(STATEMENT, &statement(number, &hash)).map_err(io::Error::other)?;
        let anchor = self.chained(&line::anchor(number, &signature));
        self.write(&anchor)?;
        self.end.anchored = number;
        let (head, unfinished) = (self.folder.join(HEAD), self.folder.join("head.unfinished"));
        let mut file = private().create(true).truncate(true).open(&unfinished)?;
        file.write_all(Head::text(number, &hash, &signature).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, head)?;
        sync_folder(&self.folder)
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
    fn next_file(&mut self, anew: bool) -> io::Result<()> {
        self.end.file += 1;
        self.file = private().create_new(true).open(walk::path(&self.folder, self.end.file))?;
        self.file_bytes = 0;
        let End { file, number, hash, .. } = self.end;
        let first = self.chained(&line::file(First { file, after: number, hash, anew }));
        self.write(&first)?;
        sync_folder(&self.folder)
    }

    /// The bytes of the next line; the chain goes on behind it.
    fn chained(&mut self, payload: &str) -> Vec<u8> {
        let hash: Hash = chain(&self.end.hash, payload.as_bytes());
        self.end.hash = hash;
        format!("{} {payload}\n", hex(&hash)).into_bytes()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.file_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// For the gateway's own user alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(false).write(true).mode(0o600);
    options
}

/// A line without its end was never durable whole, so nobody was told that it is. Gives the bytes that stay.
fn cut_torn_line(path: &Path) -> io::Result<usize> {
    let bytes = fs::read(path)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    if whole < bytes.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole as u64)?;
        file.sync_all()?;
    }
    Ok(whole)
}
