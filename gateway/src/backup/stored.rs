//! Files of a backup: written once, for the owner alone, durable, with their digest; what tells of patients under the spool's key.

use super::manifest::Entry;
use super::{BackupError, at};
use crate::hex::hex;
use crate::spool::{self, FileKey, SpoolWriter, make_folder};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// Who may read, write and run a file: no program of a backup becomes one that runs as its owner.
const PERMISSIONS: u32 = 0o777;

/// Counts and hashes what goes through it.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Copies what `source` gives to `path` below `folder`, under a key where there is one.
pub(super) fn store(
    folder: &Path,
    path: &Path,
    source: &mut dyn Read,
    mode: u32,
    key: Option<&FileKey>,
) -> Result<Entry, BackupError> {
    let to = folder.join(path);
    let mut stored = || -> io::Result<(u64, String)> {
        make_folder(to.parent().unwrap_or(folder))?;
        let out = Hashing { out: private(&to)?, hasher: Sha256::new(), bytes: 0 };
        let mut writer = SpoolWriter::new(out, key)?;
        io::copy(source, &mut writer)?;
        let Hashing { out, hasher, bytes } = writer.finish()?;
        out.sync_all()?;
        Ok((bytes, hex(&hasher.finalize())))
    };
    let (bytes, sha256) = stored().map_err(at(&to))?;
    Ok(Entry { path: path.to_owned(), bytes, sha256, mode, origin: None })
}

/// Puts a file of a backup where it belongs, decrypted where a key is given.
pub(super) fn put(from: &Path, to: &Path, mode: u32, key: Option<&FileKey>) -> io::Result<()> {
    make_folder(to.parent().unwrap_or(to))?;
    let (mut source, mut out) = (spool::open(from, key)?, private(to)?);
    io::copy(&mut source, &mut out)?;
    out.set_permissions(fs::Permissions::from_mode(mode & PERMISSIONS))?;
    out.sync_all()
}

/// The same beside what is in use: the file is there whole, with mode and owner, or not at all. What lies there is not touched.
pub(super) fn put_beside(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let unfinished = to.with_file_name(name);
    // Of a restore that was cut short.
    let _ = fs::remove_file(&unfinished);
    put(from, &unfinished, mode, None)?;
    own_as_folder(&unfinished)?;
    File::open(&unfinished)?.sync_all()?;
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        &unfinished,
        rustix::fs::CWD,
        to,
        rustix::fs::RenameFlags::NOREPLACE,
    )?;
    to.parent().map_or(Ok(()), spool::sync_folder)
}

/// Bytes and digest, in hex, of a file as it lies there.
pub(super) fn digest_of(path: &Path) -> io::Result<(u64, String)> {
    let mut hashing = Hashing { out: io::sink(), hasher: Sha256::new(), bytes: 0 };
    io::copy(&mut File::open(path)?, &mut hashing)?;
    Ok((hashing.bytes, hex(&hashing.hasher.finalize())))
}

/// Permission bits of a file.
pub(super) fn mode_of(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & PERMISSIONS)
}

/// A file that root made belongs to whom its folder belongs to.
pub(super) fn own_as_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| rustix::process::geteuid().is_root()) else { return Ok(()) };
    let owner = fs::metadata(folder)?;
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Names of a folder and all below it are durable.
pub(super) fn sync_all_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all_below(&path)?;
        }
    }
    spool::sync_folder(folder)
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
