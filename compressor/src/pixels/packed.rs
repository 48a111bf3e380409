//! Bytes stored or coded by zstd: what is no image, and what zstd does better (SPEC 3.2, 3.3).

use super::DamagedSlab;
use crate::zstd_frame;
use std::io;

#[cfg(feature = "native")]
mod encoder;
#[cfg(feature = "native")]
pub(super) use encoder::smaller_than;

/// First byte of bytes that follow as they are.
const STORED: u8 = 0;
/// First byte of one zstd frame.
const ZSTD: u8 = 1;

/// Codes a chunk (SPEC 3.3).
///
/// # Errors
/// zstd fails to get memory.
pub fn pack_chunk(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(raw.len() + 1);
    stored.push(STORED);
    stored.extend_from_slice(raw);
    Ok(smaller_than(stored.len(), raw)?.unwrap_or(stored))
}

/// Gives back the `raw_bytes` bytes of a chunk.
///
/// # Errors
/// [`DamagedSlab`].
pub fn unpack_chunk(coded: &[u8], raw_bytes: usize) -> Result<Vec<u8>, DamagedSlab> {
    let (number, coded) = coded.split_first().ok_or(DamagedSlab)?;
    let raw = match *number {
        STORED if coded.len() == raw_bytes => coded.to_vec(),
        ZSTD => zstd_frame::decode(coded, raw_bytes).ok_or(DamagedSlab)?,
        _ => return Err(DamagedSlab),
    };
    if raw.len() == raw_bytes { Ok(raw) } else { Err(DamagedSlab) }
}

/// Without an encoder of zstd, nothing is smaller.
#[cfg(not(feature = "native"))]
pub(super) fn smaller_than(_: usize, _: &[u8]) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}
