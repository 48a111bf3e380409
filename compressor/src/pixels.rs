//! Samples to bytes and back: slabs by the lattice or the graphics coder, all else by zstd (SPEC 3.2, 3.3).

mod areas;
mod graphics;
mod lattice;
mod packed;
mod planes;
mod range;
mod residual;
mod slab;
#[cfg(test)]
mod tests;
mod weighing;

#[cfg(feature = "native")]
pub(crate) use areas::fills_areas;
pub use graphics::looks_like_graphics;
pub use lattice::{Lessons, Model};
pub use packed::{pack_chunk, unpack_chunk};
#[cfg(feature = "native")]
pub(crate) use planes::codes;
pub use residual::{add_residual, encode_residual};
pub use slab::{Slab, frame_bytes, references, slab_lengths, whole_frame};
use slab::{coarse_level, coarse_shape};
pub use weighing::Weighing;

use crate::dataset::ImageLayout;
use std::io;

/// First byte of a coarse part of the lattice coder.
const LATTICE: u8 = 2;
/// First byte of a coarse part of the graphics coder.
const GRAPHICS: u8 = 3;
/// First byte, and all, of the coarse part of a slab that is stored or coded by zstd.
const NO_PARTS: u8 = 0;

/// The coded bytes of a slab, chunk or model are not what a coder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged slab, chunk or model")]
pub struct DamagedSlab;

/// How far decoded values may be from those that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Largest absolute error, in stored values; 0 = lossless.
    pub near: u16,
    /// Stored values (as they lie in the data set, two's complement or not) that come back exactly and that no other value is
    /// decoded to: padding, codes of places outside the field, zeros.
    pub exact: Vec<u16>,
}

impl Bound {
    /// No error at all.
    pub const LOSSLESS: Self = Self { near: 0, exact: Vec::new() };

    /// Exact values in the order of values (codec SPEC 2.2).
    fn exact_of(&self, slab: &Slab) -> impl Iterator<Item = u16> {
        let flip = planes::sign_bit(slab);
        self.exact.iter().map(move |value| value ^ flip)
    }
}

/// A coded slab: a coarse picture that stands alone, and what is missing to the full resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedSlab {
    /// The coarse part. The first byte names the coder.
    pub coarse: Vec<u8>,
    /// The rest.
    pub fine: Vec<u8>,
    /// What a decoder will have, where it is not what came.
    pub decoded: Option<Vec<u8>>,
}

impl CodedSlab {
    /// Bytes of both parts.
    pub fn bytes(&self) -> usize {
        self.coarse.len() + self.fine.len()
    }
}

/// Codes one slab within `bound`: by the lattice coder with the model of its series, or without loss by the graphics coder or by zstd
/// where that is smaller. `references` are
/// none, one or two decoded slabs of the same length; they serve where [`Model::uses_references`].
///
/// # Errors
/// zstd fails to get memory; `InvalidInput` where `raw` is not a slab of `layout`.
pub fn encode_slab(
    layout: &ImageLayout,
    raw: &[u8],
    model: &Model,
    bound: &Bound,
    references: &[&[u8]],
) -> io::Result<CodedSlab> {
    let slab = Slab::of(layout, raw.len()).ok_or(io::ErrorKind::InvalidInput)?;
    let lattice::Coded { coarse, fine, decoded } =
        lattice::encode(&slab, raw, model, bound, references).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut coded = CodedSlab {
        coarse: [vec![LATTICE], coarse].concat(),
        fine,
        decoded: decoded.filter(|decoded| decoded != raw),
    };
    if bound.near == 0 && graphics::looks_like_graphics(&slab, raw) {
        let graphics = as_graphics(&slab, raw);
        if graphics.bytes() < coded.bytes() && graphics.coarse.len() <= lattice::COARSE_BYTES_MAX {
            coded = graphics;
        }
    }
    or_packed(coded, raw)
}

/// Codes one slab without loss and without a model: by the graphics coder, or by zstd where that is smaller.
///
/// # Errors
/// zstd fails to get memory; `InvalidInput` where `raw` is not a slab of `layout`.
pub fn encode_without_model(layout: &ImageLayout, raw: &[u8]) -> io::Result<CodedSlab> {
    let slab = Slab::of(layout, raw.len()).ok_or(io::ErrorKind::InvalidInput)?;
    if graphics::takes(&slab) {
        return or_packed(as_graphics(&slab, raw), raw);
    }
    Ok(CodedSlab { coarse: vec![NO_PARTS], fine: pack_chunk(raw)?, decoded: None })
}

fn as_graphics(slab: &Slab, raw: &[u8]) -> CodedSlab {
    let [coarse, fine] = graphics::encode(slab, raw);
    CodedSlab { coarse: [vec![GRAPHICS], coarse].concat(), fine, decoded: None }
}

fn or_packed(coded: CodedSlab, raw: &[u8]) -> io::Result<CodedSlab> {
    let packed = packed::smaller_than(coded.bytes(), raw)?;
    Ok(packed.map_or(coded, |fine| CodedSlab { coarse: vec![NO_PARTS], fine, decoded: None }))
}

/// Gives back the `raw_bytes` bytes of one slab; `model` is that of its series, if it has one, `references` those it was coded with.
///
/// # Errors
/// [`DamagedSlab`].
pub fn decode_slab(
    layout: &ImageLayout,
    coarse: &[u8],
    fine: &[u8],
    model: Option<&Model>,
    references: &[&[u8]],
    raw_bytes: usize,
) -> Result<Vec<u8>, DamagedSlab> {
    let slab = Slab::of(layout, raw_bytes).ok_or(DamagedSlab)?;
    match coarse.split_first() {
        Some((&LATTICE, coarse)) => {
            lattice::decode(&slab, coarse, fine, model.ok_or(DamagedSlab)?, references)
        }
        Some((&GRAPHICS, coarse)) => graphics::decode(&slab, coarse, fine),
        Some((&NO_PARTS, [])) => unpack_chunk(fine, raw_bytes),
        _ => Err(DamagedSlab),
    }
}

/// Gives the coarse picture of a slab of `raw_bytes` bytes: its shape and its raw bytes. `model` is that of its series, if it has one.
///
/// # Errors
/// [`DamagedSlab`], also where the slab was not coded in parts.
pub fn decode_coarse(
    layout: &ImageLayout,
    coarse: &[u8],
    model: Option<&Model>,
    raw_bytes: usize,
) -> Result<(Slab, Vec<u8>), DamagedSlab> {
    let slab = Slab::of(layout, raw_bytes).ok_or(DamagedSlab)?;
    match coarse.split_first() {
        Some((&LATTICE, coarse)) => lattice::decode_coarse(&slab, coarse, model.ok_or(DamagedSlab)?),
        Some((&GRAPHICS, coarse)) => graphics::decode_coarse(&slab, coarse),
        _ => Err(DamagedSlab),
    }
}
