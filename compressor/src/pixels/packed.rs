//! Bytes stored or coded by zstd: what is no image, and what zstd does better (SPEC 3.2, 3.3).

use super::DamagedSlab;
use std::io;

/// First byte of bytes that follow as they are.
const STORED: u8 = 0;
/// First byte of one zstd frame.
const ZSTD: u8 = 1;
/// A first look, at some hundred MB/s.
const LEVEL_FIRST: i32 = 1;
/// For what the first look found worth it; 2 MiB take about 10 MiB of memory.
const LEVEL_BEST: i32 = 13;

/// Codes a chunk (SPEC 3.3).
///
/// # Errors
/// zstd fails to get memory.
pub fn pack_chunk(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(raw.len() + 1);
    stored.push(STORED);
    stored.extend_from_slice(raw);
    smaller(stored, raw)
}

/// Gives back the `raw_bytes` bytes of a chunk.
///
/// # Errors
/// [`DamagedSlab`].
pub fn unpack_chunk(coded: &[u8], raw_bytes: usize) -> Result<Vec<u8>, DamagedSlab> {
    let (number, coded) = coded.split_first().ok_or(DamagedSlab)?;
    let raw = match *number {
        STORED if coded.len() == raw_bytes => coded.to_vec(),
        ZSTD => zstd::bulk::decompress(coded, raw_bytes).map_err(|_| DamagedSlab)?,
        _ => return Err(DamagedSlab),
    };
    if raw.len() == raw_bytes { Ok(raw) } else { Err(DamagedSlab) }
}

/// `coded`, or a zstd frame of `raw` where that is smaller. The dear level is tried only where the cheap one comes near.
pub(super) fn smaller(coded: Vec<u8>, raw: &[u8]) -> io::Result<Vec<u8>> {
    let first = zstd::bulk::compress(raw, LEVEL_FIRST)?;
    if first.len() / 4 > coded.len() / 3 {
        return Ok(coded);
    }
    let best = zstd::bulk::compress(raw, LEVEL_BEST)?;
    let frame = if best.len() < first.len() { best } else { first };
    if frame.len() + 1 >= coded.len() {
        return Ok(coded);
    }
    let mut packed = Vec::with_capacity(frame.len() + 1);
    packed.push(ZSTD);
    packed.extend_from_slice(&frame);
    Ok(packed)
}
