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

    /// Whether the spool still has what was received.
    ///
    /// # Errors
    /// It cannot be read, and that says nothing about what it holds.
    pub(crate) fn is_whole(&self, instance: &DeliveryInstance) -> io::Result<bool> {
        match self.checked(instance).and_then(|mut data_set| io::copy(&mut data_set, &mut io::sink())) {
            Ok(_) => Ok(true),
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
