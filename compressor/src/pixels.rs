//! Samples to bytes and back: slabs by the lattice coder, all else by zstd (SPEC 3.2, 3.3).

mod lattice;
mod packed;
mod planes;
mod slab;
#[cfg(test)]
mod tests;

pub use lattice::{Lessons, Model};
pub use packed::{pack_chunk, unpack_chunk};
pub use slab::{Slab, frame_bytes, slab_lengths};

use crate::dataset::ImageLayout;
use std::io;

/// First byte of a slab of the lattice coder.
const LATTICE: u8 = 2;

/// The coded bytes of a slab, chunk or model are not what a coder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged slab, chunk or model")]
pub struct DamagedSlab;

/// Codes one slab: by the lattice coder with the model of its series, or by zstd where that is smaller.
///
/// # Errors
/// zstd fails to get memory; `InvalidInput` where `raw` is not a slab of `layout`.
pub fn encode_slab(layout: &ImageLayout, raw: &[u8], model: &Model) -> io::Result<Vec<u8>> {
    let slab = Slab::of(layout, raw.len()).ok_or(io::ErrorKind::InvalidInput)?;
    let mut coded = vec![LATTICE];
    coded.extend(lattice::encode(&slab, raw, model));
    packed::smaller(coded, raw)
}

/// Gives back the `raw_bytes` bytes of one slab; `model` is that of its series, if it has one.
///
/// # Errors
/// [`DamagedSlab`].
pub fn decode_slab(
    layout: &ImageLayout,
    coded: &[u8],
    model: Option<&Model>,
    raw_bytes: usize,
) -> Result<Vec<u8>, DamagedSlab> {
    let slab = Slab::of(layout, raw_bytes).ok_or(DamagedSlab)?;
    match coded.split_first() {
        Some((&LATTICE, coded)) => lattice::decode(&slab, coded, model.ok_or(DamagedSlab)?),
        _ => unpack_chunk(coded, raw_bytes),
    }
}
