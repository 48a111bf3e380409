//! Samples to bytes and back: the interface that a pixel coder fills (SPEC 3.2).

mod bits;
mod med;
mod model;
mod packed;
mod planes;
mod rice;
mod slab;
mod table;
#[cfg(test)]
mod tests;

pub use med::Med;
pub use packed::{pack_chunk, unpack_chunk};
pub use slab::{Slab, frame_bytes, slab_lengths};

use crate::dataset::ImageLayout;
use std::io;

/// A coder of single slabs, without memory between them (SPEC 3.2).
pub trait SlabCoder: Sync {
    /// First byte of what it codes.
    fn number(&self) -> u8;

    /// Codes the samples of a slab. `raw` has [`Slab::bytes`] bytes.
    fn encode(&self, slab: &Slab, raw: &[u8]) -> Vec<u8>;

    /// Gives the samples back, [`Slab::bytes`] of them whatever the coded bytes say.
    ///
    /// # Errors
    /// [`DamagedSlab`] where the coded bytes cannot come from [`SlabCoder::encode`].
    fn decode(&self, slab: &Slab, coded: &[u8]) -> Result<Vec<u8>, DamagedSlab>;
}

/// The coded bytes of a slab or chunk are not what a coder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged slab or chunk")]
pub struct DamagedSlab;

/// Codes one slab: by the pixel coder, or by zstd where that is smaller.
///
/// # Errors
/// zstd fails to get memory; `InvalidInput` where `raw` is not a slab of `layout`.
pub fn encode_slab(layout: &ImageLayout, raw: &[u8]) -> io::Result<Vec<u8>> {
    let slab = Slab::of(layout, raw.len()).ok_or(io::ErrorKind::InvalidInput)?;
    let mut coded = vec![Med.number()];
    coded.extend(Med.encode(&slab, raw));
    packed::smaller(coded, raw)
}

/// Gives back the `raw_bytes` bytes of one slab.
///
/// # Errors
/// [`DamagedSlab`].
pub fn decode_slab(layout: &ImageLayout, coded: &[u8], raw_bytes: usize) -> Result<Vec<u8>, DamagedSlab> {
    let slab = Slab::of(layout, raw_bytes).ok_or(DamagedSlab)?;
    match coded.split_first() {
        Some((number, coded)) if *number == Med.number() => Med.decode(&slab, coded),
        _ => unpack_chunk(coded, raw_bytes),
    }
}
