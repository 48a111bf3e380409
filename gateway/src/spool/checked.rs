//! What was received is compared with its digest whenever it is read, and what of it is damaged can be told from what cannot be read just now.

use super::Received;
use crate::journal::DeliveryInstance;
use aws_lc_rs::digest::{Context, SHA256};
use rustix::io::Errno;
use std::io::{self, Read};

impl Received<'_> {
    /// The data set of an instance. Its end is an error of the kind `InvalidData` where it is not the one that was received.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn checked(&self, instance: &DeliveryInstance) -> io::Result<impl Read + Send + use<>> {
        let source = self.open(instance)?;
        Ok(Checked { source, seen: Context::new(&SHA256), sha256: instance.sha256 })
    }

    /// Reads the data set of an instance to its end.
    ///
    /// # Errors
    /// As [`Self::checked`].
    pub(crate) fn check(&self, instance: &DeliveryInstance) -> io::Result<()> {
        io::copy(&mut self.checked(instance)?, &mut io::sink()).map(|_| ())
    }

    /// Whether the spool still has what was received.
    ///
    /// # Errors
    /// It cannot be read, and that says nothing about what it holds.
    pub(crate) fn is_whole(&self, instance: &DeliveryInstance) -> io::Result<bool> {
        match self.check(instance) {
            Ok(()) => Ok(true),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that a file of the spool is gone or not what was written: a disk says of what it has lost that it cannot be read (EIO).
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | InvalidData | UnexpectedEof)
        || error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// A data set that is compared, while it is read, with what was received.
struct Checked<R> {
    source: R,
    seen: Context,
    sha256: [u8; 32],
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(bytes)?;
        self.seen.update(bytes.get(..count).unwrap_or_default());
        if count == 0 && !bytes.is_empty() && self.seen.clone().finish().as_ref() != self.sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a received file changed in the spool"));
        }
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::spool::{FileKey, Spool, SpoolWriter};
    use compressor::Uid;
    use sha2::{Digest, Sha256};
    use std::fs;
    use std::io::Write;

    const CONTENT: &[u8] = b"a data set of some bytes";

    /// A received file, under a key of its own where there is one.
    fn received(spool: &Spool, case_key: Option<&FileKey>) -> DeliveryInstance {
        let key = case_key.map(|_| FileKey::random().unwrap());
        let mut writer = SpoolWriter::new(Vec::new(), key.as_ref()).unwrap();
        writer.write_all(CONTENT).unwrap();
        fs::write(spool.receive().join("file"), writer.finish().unwrap()).unwrap();
        let uid = || Uid::parse("1.2.3").unwrap();
        DeliveryInstance {
            file: "file".into(),
            file_key: case_key.zip(key.as_ref()).map(|(case, key)| case.wrap(key).unwrap()),
            series: None,
            sop_class: uid(),
            sop_instance: uid(),
            transfer_syntax: uid(),
            bytes: CONTENT.len() as u64,
            sha256: Sha256::digest(CONTENT).into(),
            conflict: false,
            received_at_ms: 0,
        }
    }

    #[test]
    fn each_changed_bit_each_cut_and_a_file_that_is_gone_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        for case_key in [None, Some(FileKey::random().unwrap())] {
            let instance = received(&spool, case_key.as_ref());
            let reader = Received { spool: &spool, case_key: case_key.as_ref() };
            let path = spool.receive().join("file");
            let whole = fs::read(&path).unwrap();
            assert!(reader.is_whole(&instance).unwrap());
            for bit in 0..8 * whole.len() {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, flipped).unwrap();
                assert!(!reader.is_whole(&instance).unwrap(), "bit {bit}");
            }
            for bytes in 0..whole.len() {
                fs::write(&path, &whole[..bytes]).unwrap();
                assert!(!reader.is_whole(&instance).unwrap(), "{bytes} bytes");
            }
            fs::remove_file(&path).unwrap();
            assert!(!reader.is_whole(&instance).unwrap());
        }
    }

    #[test]
    fn a_lost_sector_is_damage_and_a_file_that_may_not_be_read_is_not() {
        for (errno, is_lost) in [(Errno::IO, true), (Errno::ACCESS, false), (Errno::MFILE, false)] {
            assert_eq!(is_damage(&io::Error::from_raw_os_error(errno.raw_os_error())), is_lost, "{errno:?}");
        }
        // A directory stands where the file was: nothing is said of what the file held.
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        for case_key in [None, Some(FileKey::random().unwrap())] {
            let (instance, path) = (received(&spool, case_key.as_ref()), spool.receive().join("file"));
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert!(Received { spool: &spool, case_key: case_key.as_ref() }.is_whole(&instance).is_err());
            fs::remove_dir(path).unwrap();
        }
    }
}
