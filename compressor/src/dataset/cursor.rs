//! A bounded place in a data set: reads forward, skips without reading, and never passes the end.

use super::ScanError;
use std::io::{self, BufReader, Read, Seek};

/// Read buffer: headers of elements come by the hundred, one system call each would be most of the time.
const BUFFER_BYTES: usize = 32 << 10;
/// Step in which a stream that cannot seek is skipped.
const SKIP_BYTES: usize = 8 << 10;

/// Bytes that can be read, or passed over.
pub(super) trait Forward {
    /// Fills `buffer`.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()>;
    /// Passes over `bytes`.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// A source that seeks over values.
pub(super) struct Seekable<R>(BufReader<R>);

impl<R: Read + Seek> Seekable<R> {
    pub(super) fn new(source: R) -> Self {
        Self(BufReader::with_capacity(BUFFER_BYTES, source))
    }
}

impl<R: Read + Seek> Forward for Seekable<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(buffer)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let offset = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.0.seek_relative(offset)
    }
}

/// A deflate stream (PS3.5 A.5), inflated as far as it is read and never beyond its limit.
pub(super) struct Inflated<R>(io::Take<flate2::bufread::DeflateDecoder<BufReader<R>>>);

impl<R: Read> Inflated<R> {
    pub(super) fn new(source: R, bytes_max: u64) -> Self {
        let buffered = BufReader::with_capacity(BUFFER_BYTES, source);
        Self(flate2::bufread::DeflateDecoder::new(buffered).take(bytes_max))
    }
}

impl<R: Read> Forward for Inflated<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(buffer)
    }

    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        let mut buffer = [0; SKIP_BYTES];
        while bytes > 0 {
            let step = usize::try_from(bytes).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
            self.0.read_exact(buffer.get_mut(..step).unwrap_or_default())?;
            bytes -= step as u64;
        }
        Ok(())
    }
}

/// Position in a data set of known length. Every read and skip is checked against the bytes left.
pub(super) struct Cursor<F> {
    source: F,
    position: u64,
    end: u64,
    /// Tag last read, for error texts.
    pub(super) tag: u32,
}

impl<F: Forward> Cursor<F> {
    pub(super) fn new(source: F, end: u64) -> Self {
        Self { source, position: 0, end, tag: 0 }
    }

    /// Bytes from the start of the data set.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes to its end.
    pub(super) fn left(&self) -> u64 {
        self.end - self.position
    }

    /// Reads `N` bytes.
    pub(super) fn read<const N: usize>(&mut self) -> Result<[u8; N], ScanError> {
        let mut bytes = [0; N];
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Fills `buffer`.
    pub(super) fn read_into(&mut self, buffer: &mut [u8]) -> Result<(), ScanError> {
        self.advance(buffer.len() as u64, |source| source.fill(buffer))
    }

    /// Passes over `bytes`.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), ScanError> {
        self.advance(bytes, |source| source.skip(bytes))
    }

    /// An error here.
    pub(super) fn damaged(&self, reason: &'static str) -> ScanError {
        ScanError::Damaged { offset: self.position, tag: self.tag, reason }
    }

    fn advance(&mut self, bytes: u64, step: impl FnOnce(&mut F) -> io::Result<()>) -> Result<(), ScanError> {
        if bytes > self.left() {
            return Err(self.damaged("length beyond the end"));
        }
        step(&mut self.source).map_err(|error| match error.kind() {
            // What does not inflate, or ends early, is a damaged data set and not a failing disk.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                self.damaged("source ends early, or does not inflate")
            }
            _ => ScanError::Io(error),
        })?;
        self.position += bytes;
        Ok(())
    }
}
