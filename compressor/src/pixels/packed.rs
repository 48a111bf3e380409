//! Bytes stored or coded by zstd: what is no image, and what zstd does better (SPEC 3.2, 3.3).

use super::DamagedSlab;
use std::io;
use zstd::zstd_safe::CParameter;

/// First byte of bytes that follow as they are.
const STORED: u8 = 0;
/// First byte of one zstd frame.
const ZSTD: u8 = 1;
/// A quick look at what zstd can do.
const LEVEL_FIRST: i32 = 1;
/// The first look takes one part of so many.
const SAMPLES: usize = 8;
/// For what the first look found worth it.
const LEVEL_BEST: i32 = 13;
/// Search tables of that level: 1 MiB and 512 KiB. Each worker has its own. With the
/// level's own choice, 8 workers took 318 MB on 300 MB of colour graphics instead of 110 MB, for the same bytes.
const CHAIN_LOG: u32 = 18;
const HASH_LOG: u32 = 17;

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
        ZSTD => zstd::bulk::decompress(coded, raw_bytes).map_err(|_| DamagedSlab)?,
        _ => return Err(DamagedSlab),
    };
    if raw.len() == raw_bytes { Ok(raw) } else { Err(DamagedSlab) }
}

/// A zstd frame of `raw` behind its number, where that is smaller than `bytes`. The dear level is tried only where the cheap one comes near.
pub(super) fn smaller_than(bytes: usize, raw: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let sample = raw.chunks(raw.len().div_ceil(SAMPLES)).nth(SAMPLES / 2).unwrap_or(raw);
    let promises = |coded: usize, raw_part: &[u8]| coded / 4 * raw.len() <= bytes / 3 * raw_part.len();
    if !promises(zstd::bulk::compress(sample, LEVEL_FIRST)?.len(), sample) {
        return Ok(None);
    }
    let first = zstd::bulk::compress(raw, LEVEL_FIRST)?;
    if !promises(first.len(), raw) {
        return Ok(None);
    }
    let best = compress_best(raw)?;
    let frame = if best.len() < first.len() { best } else { first };
    if frame.len() + 1 >= bytes {
        return Ok(None);
    }
    let mut packed = Vec::with_capacity(frame.len() + 1);
    packed.push(ZSTD);
    packed.extend_from_slice(&frame);
    Ok(Some(packed))
}

fn compress_best(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL_BEST)?;
    compressor.set_parameter(CParameter::ChainLog(CHAIN_LOG))?;
    compressor.set_parameter(CParameter::HashLog(HASH_LOG))?;
    compressor.compress(raw)
}
