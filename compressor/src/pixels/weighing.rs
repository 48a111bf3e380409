//! Whether the model of a series saves more than it weighs (the encoder's choice; SPEC 3.4).

use super::{Bound, Model, encode_slab, encode_without_model, pack_chunk};
use crate::dataset::ImageLayout;
use crate::limits::SMALL_SERIES_BYTES;
use std::io;

/// Slabs of a series, coded without loss with its model and without one.
pub struct Weighing<'m> {
    model: &'m Model,
    with: u64,
    without: u64,
    raw_bytes: u64,
}

impl<'m> Weighing<'m> {
    /// Whether a series may be better off without a model: nothing is lost, and it is small or looks like graphics throughout.
    pub fn is_worth_it(bound: &Bound, series_bytes: u64, all_graphics: bool) -> bool {
        bound.near == 0 && (all_graphics || series_bytes <= SMALL_SERIES_BYTES)
    }

    /// Of the model of a series.
    pub fn of(model: &'m Model) -> Self {
        Self { model, with: 0, without: 0, raw_bytes: 0 }
    }

    /// Codes a slab of the series both ways.
    ///
    /// # Errors
    /// As [`encode_slab`].
    pub fn add(&mut self, layout: &ImageLayout, raw: &[u8]) -> io::Result<()> {
        self.with += encode_slab(layout, raw, self.model, &Bound::LOSSLESS, &[])?.bytes() as u64;
        self.without += encode_without_model(layout, raw)?.bytes() as u64;
        self.raw_bytes += raw.len() as u64;
        Ok(())
    }

    /// Whether the slabs with their share of the model take no more than without one, in a series of `series_bytes` raw bytes.
    ///
    /// # Errors
    /// zstd fails to get memory.
    pub fn pays(&self, series_bytes: u64) -> io::Result<bool> {
        let model = pack_chunk(&self.model.write())?.len() as u64;
        let share = model * self.raw_bytes / series_bytes.max(1);
        Ok(self.with + share <= self.without)
    }
}
