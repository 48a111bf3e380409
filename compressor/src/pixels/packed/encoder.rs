//! zstd where it is smaller.

use super::ZSTD;
use std::io;
use zstd::zstd_safe::CParameter;

/// A quick look at what zstd can do.
const LEVEL_FIRST: i32 = 1;
/// For what the first look found worth it.
const LEVEL_BEST: i32 = 13;
/// Search tables of that level: 1 MiB and 512 KiB. Each worker has its own. With the
/// level's own choice, 8 workers took 318 MB on 300 MB of colour graphics instead of 110 MB, for the same bytes.
const CHAIN_LOG: u32 = 18;
const HASH_LOG: u32 = 17;

/// `coded`, or a zstd frame of `raw` where that is smaller. The dear level is tried only where the cheap one comes near.
pub(in crate::pixels) fn smaller(coded: Vec<u8>, raw: &[u8]) -> io::Result<Vec<u8>> {
    let first = zstd::bulk::compress(raw, LEVEL_FIRST)?;
    if first.len() / 4 > coded.len() / 3 {
        return Ok(coded);
    }
    let best = compress_best(raw)?;
    let frame = if best.len() < first.len() { best } else { first };
    if frame.len() + 1 >= coded.len() {
        return Ok(coded);
    }
    let mut packed = Vec::with_capacity(frame.len() + 1);
    packed.push(ZSTD);
    packed.extend_from_slice(&frame);
    Ok(packed)
}

fn compress_best(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL_BEST)?;
    compressor.set_parameter(CParameter::ChainLog(CHAIN_LOG))?;
    compressor.set_parameter(CParameter::HashLog(HASH_LOG))?;
    compressor.compress(raw)
}
