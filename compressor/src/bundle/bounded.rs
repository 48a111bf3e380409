//! Slabs within the bound of their series, and the account of what they lost.

#[cfg(test)]
mod tests;

use super::manifest::hex;
use crate::dataset::ImageLayout;
use crate::near::{Decision, Errors, keeps};
use crate::pixels::{self, Bound, CodedSlab, Model};
use sha2::{Digest, Sha256};
use std::io;

/// How the slabs of one series are coded.
pub(super) struct SlabCoder {
    /// `None` where the series is coded without loss and without one.
    pub(super) model: Option<Model>,
    pub(super) bound: Bound,
    /// Largest mean error of a block, in stored values.
    block_max: Option<f64>,
    pub(super) residual: bool,
}

/// What a reader will see of a slab of a bounded series.
pub(super) struct Shown {
    /// Its bytes.
    pub(super) decoded: Vec<u8>,
    /// They are not those that came.
    differs: bool,
    errors: Errors,
    near: u16,
    pub(super) residual: Option<Vec<u8>>,
}

/// A coded part of a bundle.
pub(super) struct Encoded {
    /// The coarse picture of a slab.
    pub(super) coarse: Option<Vec<u8>>,
    pub(super) bytes: Vec<u8>,
    /// What a reader will see, where the series is bounded.
    pub(super) shown: Option<Shown>,
}

impl SlabCoder {
    pub(super) fn new(model: Option<Model>, decision: &Decision, residual: bool) -> Self {
        Self { model, bound: decision.bound.clone(), block_max: decision.block_max, residual }
    }

    /// Codes a slab; says what a reader will see where the series is bounded. One that was `decompressed` is not what came in any
    /// case, and has no residual of its own.
    pub(super) fn encode(
        &self,
        layout: &ImageLayout,
        raw: &[u8],
        references: &[&[u8]],
        decompressed: bool,
    ) -> io::Result<Encoded> {
        let lossless =
            |coded: CodedSlab| Encoded { coarse: Some(coded.coarse), bytes: coded.fine, shown: None };
        let Some(model) = &self.model else {
            return pixels::encode_without_model(layout, raw).map(lossless);
        };
        if self.bound.near == 0 {
            return pixels::encode_slab(layout, raw, model, &self.bound, references).map(lossless);
        }
        let (near, CodedSlab { coarse, fine, decoded }, errors) =
            self.within(layout, raw, model, references)?;
        let differs = decompressed || decoded.is_some();
        let decoded = decoded.unwrap_or_else(|| raw.to_vec());
        let residual =
            (self.residual && !decompressed).then(|| pixels::encode_residual(layout, raw, &decoded));
        let residual = residual.transpose()?;
        let shown = Shown { decoded, differs, errors, near, residual };
        Ok(Encoded { coarse: Some(coarse), bytes: fine, shown: Some(shown) })
    }

    /// The widest bound up to that of the series under which the slab keeps all that was promised, at last none.
    fn within(
        &self,
        layout: &ImageLayout,
        raw: &[u8],
        model: &Model,
        references: &[&[u8]],
    ) -> io::Result<(u16, CodedSlab, Errors)> {
        let mut bound = self.bound.clone();
        loop {
            let coded = pixels::encode_slab(layout, raw, model, &bound, references)?;
            let decoded = coded.decoded.as_deref().unwrap_or(raw);
            let errors = Errors::of(layout, raw, decoded);
            if bound.near == 0 || !keeps(layout, raw, decoded, &bound) {
                break;
            }
            if self.block_max.is_none_or(|most| errors.block() <= most) {
                return Ok((bound.near, coded, errors));
            }
            bound.near -= 1;
        }
        let coded = pixels::encode_slab(layout, raw, model, &Bound::LOSSLESS, references)?;
        let errors = Errors::of(layout, raw, coded.decoded.as_deref().unwrap_or(raw));
        Ok((0, coded, errors))
    }
}

/// What the slabs of one series lost, taken in their order.
pub(super) struct Account {
    pub(super) series: u32,
    pub(super) errors: Errors,
    /// The widest bound of a slab.
    pub(super) near: u16,
    /// Instances that are not as they came, and the digests of what is shown of them.
    pub(super) decoded: Vec<(u32, String)>,
    open: Option<(u32, Sha256, bool)>,
}

impl Account {
    pub(super) fn of(series: u32) -> Self {
        Self { series, errors: Errors::default(), near: 0, decoded: Vec::new(), open: None }
    }

    /// Takes the next slab in.
    pub(super) fn add(&mut self, instance: u32, shown: &Shown) {
        self.errors.merge(&shown.errors);
        self.near = self.near.max(shown.near);
        if self.open.as_ref().is_none_or(|(open, _, _)| *open != instance) {
            self.close();
        }
        let (_, hasher, differs) = self.open.get_or_insert_with(|| (instance, Sha256::new(), false));
        hasher.update(&shown.decoded);
        *differs |= shown.differs;
    }

    /// Ends the last instance.
    pub(super) fn close(&mut self) {
        if let Some((instance, hasher, true)) = self.open.take() {
            self.decoded.push((instance, hex(&hasher.finalize())));
        }
    }
}
