//! What some frames of a series, read before it is coded, show: noise, values that fill areas, values below zero.

use super::noise::Noise;
use super::samples::values;
use crate::bundle::Sigma;
use crate::pixels::{Slab, fills_areas};

/// Foreground blocks that an estimate needs at least: 64 of 64 samples bring its own error below a tenth.
const BLOCKS_MIN: usize = 64;

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
