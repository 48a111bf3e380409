//! What some frames of a series, read before it is coded, show: noise, values that fill areas, values below zero.

use super::noise::Noise;
use super::samples::values;
use crate::bundle::Sigma;
use crate::pixels::Slab;

/// Foreground blocks that an estimate needs at least: 64 of 64 samples bring its own error below a tenth.
const BLOCKS_MIN: usize = 64;
/// A value fills areas where at least one sample of this many has it,
const AREA_SHARE: usize = 64;
/// and a row goes from it to other values, or back, at most once for this many of them.
const AREA_RUN: usize = 8;

/// What some frames of a series show.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    padding: Vec<u16>,
    noise: Noise,
    negative: bool,
    /// The lowest value of a frame where it fills areas.
    ground: Vec<i32>,
}

impl Survey {
    /// Of a series in which these values, as they lie in the data set, are padding.
    pub(super) fn with_padding(padding: &[u16]) -> Self {
        Self { padding: padding.to_vec(), ..Self::default() }
    }

    /// Takes the middle frame of a slab in.
    pub(crate) fn add(&mut self, slab: &Slab, raw: &[u8]) {
        let frame_bytes = slab.rows * slab.columns * slab.sample_bytes;
        let Some(frame) = raw.chunks_exact(frame_bytes.max(1)).nth(slab.frames / 2) else { return };
        let values: Vec<i32> = values(slab, frame).collect();
        let is_padding = |value: i32| self.padding.contains(&code(slab, value));
        self.negative |= values.iter().any(|value| *value < 0 && !is_padding(*value));
        let lowest = values.iter().copied().filter(|value| !is_padding(*value)).min();
        let ground = lowest.filter(|lowest| fills_areas(*lowest, &values, slab.columns));
        self.noise.add(&values, slab.columns, |value| is_padding(value) || Some(value) == ground);
        self.ground.extend(ground.filter(|ground| !self.ground.contains(ground)));
    }

    /// Noise; `None` where there was too little to measure it on.
    pub(super) fn sigma(&mut self) -> Option<Sigma> {
        let enough = self.noise.blocks() >= BLOCKS_MIN;
        enough.then(|| Sigma { fine: self.noise.fine(), blocks: self.noise.coarse() })
    }

    /// Whether a value other than padding lies below zero.
    pub(super) fn has_negative(&self) -> bool {
        self.negative
    }

    /// The lowest values that fill areas, at most one a frame surveyed, in the order they were found.
    pub(super) fn grounds(&self) -> &[i32] {
        &self.ground
    }
}

fn code(slab: &Slab, value: i32) -> u16 {
    if slab.sample_bytes == 1 { value as u8 as u16 } else { value as u16 }
}

fn fills_areas(value: i32, frame: &[i32], columns: usize) -> bool {
    let count = frame.iter().filter(|other| **other == value).count();
    let ends = |row: &[i32]| {
        row.windows(2).filter(|pair| matches!(pair, [a, b] if (*a == value) != (*b == value))).count()
    };
    let changes: usize = frame.chunks_exact(columns.max(1)).map(ends).sum();
    count * AREA_SHARE >= frame.len() && changes * AREA_RUN <= count
}
