//! A spool file at rest: AES-256-GCM in chunks, written as it comes and read at any place.
//!
//! | bytes | what |
//! |---|---|
//! | 0…7 | `SCPSPOOL` |
//! | 8 | format, 1 |
//! | 9…11 | 0 |
//! | 12…43 | salt, random |
//! | 44… | chunks of 65,536 bytes and a tag of 16; the last may be shorter |
//!
//! Key of a file = HKDF-SHA-256(key given, salt, info `scanpost spool` 1): each writing has a salt of its own, so no key is used for two
//! files, nor for two writings of one. Nonce = 1 in the last chunk, else 0; three zeros; number of the chunk in 8 bytes. The header is
//! bound to each chunk. A file that was cut, even between two chunks, has no chunk that is sealed as its last, and is refused.

use super::keys::FileKey;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::io::{self, Read, Seek, SeekFrom, Write};
use zeroize::Zeroizing;

/// Plain bytes of a chunk: memory of a reader or writer, and what one small read costs.
const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 44;
const SALT_BYTES: usize = 32;
/// First bytes of all that is encrypted.
pub(crate) const MAGIC: [u8; 8] = *b"SCPSPOOL";
const FORMAT: u8 = 1;
const INFO: &[u8] = b"scanpost spool\x01";

type Header = [u8; HEADER_BYTES];

/// The derived key of one file, with what is bound to each chunk.
struct Chunks {
    key: LessSafeKey,
    header: Header,
}

impl Chunks {
    fn new(key: &FileKey, header: Header) -> io::Result<Self> {
        let salt = header.get(HEADER_BYTES - SALT_BYTES..).unwrap_or_default();
        let extracted = Salt::new(HKDF_SHA256, salt).extract(key.bytes());
        let mut derived = Zeroizing::new([0; 32]);
        let filled = extracted.expand(&[INFO], HKDF_SHA256).and_then(|okm| okm.fill(&mut *derived));
        let key = filled.and_then(|()| UnboundKey::new(&AES_256_GCM, &*derived));
        Ok(Self {
            key: LessSafeKey::new(key.map_err(|_| io::Error::other("the cipher refused a key"))?),
            header,
        })
    }

    fn seal(&self, number: u64, last: bool, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.key
            .seal_in_place_append_tag(nonce(number, last), Aad::from(&self.header), bytes)
            .map_err(|_| io::Error::other("the cipher refused to seal"))
    }

    fn open(&self, number: u64, last: bool, bytes: &mut Vec<u8>) -> io::Result<()> {
        let opened = self.key.open_in_place(nonce(number, last), Aad::from(&self.header), bytes);
        let plain = opened.map_err(|_| damaged())?.len();
        bytes.truncate(plain);
        Ok(())
    }
}

/// Encrypts what is written to it. Without [`Encrypting::finish`] the file has no end and cannot be read.
pub(crate) struct Encrypting<W> {
    out: W,
    chunks: Chunks,
    number: u64,
    /// Plain bytes of the chunk under way, at most a whole one.
    pending: Vec<u8>,
}

impl<W: Write> Encrypting<W> {
    /// Writes the header. `salt`: fresh random bytes.
    pub(crate) fn new(mut out: W, key: &FileKey, salt: [u8; SALT_BYTES]) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        let fields = MAGIC.into_iter().chain([FORMAT, 0, 0, 0]).chain(salt);
        header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        out.write_all(&header)?;
        let pending = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        Ok(Self { out, chunks: Chunks::new(key, header)?, number: 0, pending })
    }

    /// Seals the last chunk and gives the file back, nothing of it flushed or synced.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }

    /// Gives the file back without its end.
    pub(crate) fn abandon(self) -> W {
        self.out
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        self.chunks.seal(self.number, last, &mut self.pending)?;
        self.out.write_all(&self.pending)?;
        self.number += 1;
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A whole chunk is kept until more comes: it may be the last.
        if self.pending.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.pending.len());
        self.pending.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    /// Seals nothing: a chunk is sealed once.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Decrypts, one chunk in memory.
pub(crate) struct Decrypting<R> {
    source: R,
    chunks: Chunks,
    plain_bytes: u64,
    position: u64,
    /// The chunk that the last read was in, opened.
    current: Option<(u64, Vec<u8>)>,
}

impl<R: Read + Seek> Decrypting<R> {
    /// Reads the header and opens the last chunk, so that a file that was cut is found here.
    ///
    /// # Errors
    /// `InvalidData` for another key, another file, a damaged one; any other I/O error as it is.
    pub(crate) fn new(mut source: R, key: &FileKey) -> io::Result<Self> {
        let bytes = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut header = [0; HEADER_BYTES];
        source.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(),
            // It says nothing about what the file holds.
            _ => error,
        })?;
        let format = header.get(8..HEADER_BYTES - SALT_BYTES);
        if !header.starts_with(&MAGIC) || format != Some(&[FORMAT, 0, 0, 0]) {
            return Err(damaged());
        }
        let plain_bytes = plain_bytes(bytes).ok_or_else(damaged)?;
        let chunks = Chunks::new(key, header)?;
        let mut opened = Self { source, chunks, plain_bytes, position: 0, current: None };
        opened.chunk(opened.last())?;
        Ok(opened)
    }

    fn last(&self) -> u64 {
        self.plain_bytes.saturating_sub(1) / CHUNK_BYTES as u64
    }

    fn chunk(&mut self, number: u64) -> io::Result<&[u8]> {
        let mut bytes = match self.current.take() {
            Some((current, bytes)) if current == number => {
                return Ok(&self.current.insert((current, bytes)).1);
            }
            Some((_, bytes)) => bytes,
            None => Vec::with_capacity(CHUNK_BYTES + TAG_BYTES),
        };
        let start = number * (CHUNK_BYTES + TAG_BYTES) as u64 + HEADER_BYTES as u64;
        bytes.clear();
        self.source.seek(SeekFrom::Start(start))?;
        (&mut self.source).take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut bytes)?;
        self.chunks.open(number, number == self.last(), &mut bytes)?;
        Ok(&self.current.insert((number, bytes)).1)
    }
}

impl<R: Read + Seek> Read for Decrypting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.plain_bytes || buffer.is_empty() {
            return Ok(0);
        }
        let (number, within) = (self.position / CHUNK_BYTES as u64, self.position % CHUNK_BYTES as u64);
        let rest = self.chunk(number)?.get(within as usize..).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl<R: Read + Seek> Seek for Decrypting<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.plain_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Whether a file that begins so is encrypted.
pub(crate) fn is_encrypted(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// Plain bytes in a file of so many; none if no file has that length.
fn plain_bytes(file_bytes: u64) -> Option<u64> {
    let (whole, tag) = ((CHUNK_BYTES + TAG_BYTES) as u64, TAG_BYTES as u64);
    let body = file_bytes.checked_sub(HEADER_BYTES as u64)?;
    let (chunks, rest) = (body / whole, body % whole);
    match rest {
        0 => (chunks > 0).then_some(chunks * CHUNK_BYTES as u64),
        // Only an empty file has an empty chunk.
        _ => (rest > tag || body == tag).then(|| chunks * CHUNK_BYTES as u64 + rest - tag),
    }
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    let fields = [u8::from(last), 0, 0, 0].into_iter().chain(number.to_be_bytes());
    nonce.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a spool file is damaged, cut, or of another key")
}

#[cfg(test)]
#[path = "cipher_tests.rs"]
mod tests;
