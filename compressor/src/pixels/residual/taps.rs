//! A prediction from what came at the places before and from what was decoded behind (SPEC 3.5).

use super::super::{DamagedSlab, Slab};

/// Neighbours of a place.
pub(super) const TAPS: usize = 12;
/// Row and column of each, relative to the place. The first four, two that came and two that were decoded, give the mean.
const OFFSETS: [(isize, isize); TAPS] =
    [(0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (1, -1), (1, 1), (0, 2), (2, 0)];
/// Margin of a frame: as far as the taps reach.
const MARGIN: usize = 2;
/// Bits behind the point of a weight.
const WEIGHT_BITS: u32 = 12;
/// Of so many rows, and of so many columns, one is fitted to.
const FIT_STEP: usize = 2;
/// Keeps equations that say nothing from having no answer.
const RIDGE: f64 = 1.0;

/// Weights of the taps' differences from the mean.
pub(super) struct Weights([i16; TAPS]);

impl Weights {
    /// Those with the least squares of errors on a slab.
    pub(super) fn fitted(slab: &Slab, raws: &[u16], decoded: &[u16]) -> Self {
        let mut squares = [[0.0; TAPS + 1]; TAPS];
        let frame = slab.rows * slab.columns;
        for (raws, decoded) in raws.chunks_exact(frame).zip(decoded.chunks_exact(frame)) {
            let mut field = Field::new(decoded, slab.columns);
            for (place, raw) in raws.iter().enumerate() {
                if (place / slab.columns).is_multiple_of(FIT_STEP) && place.is_multiple_of(FIT_STEP) {
                    let (mean, differences) = field.differences(place);
                    let target = f64::from(4 * i32::from(*raw) - mean) / 4.0;
                    gather(&mut squares, &differences.map(|d| f64::from(d) / 4.0), target);
                }
                field.set(place, *raw, 4 * i32::from(*raw));
            }
        }
        for (tap, row) in squares.iter_mut().enumerate() {
            row.iter_mut().skip(tap).take(1).for_each(|square| *square += RIDGE);
        }
        Self(solve(squares).map(|weight| (weight * f64::from(1 << WEIGHT_BITS)).round() as i16))
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.0.iter().for_each(|weight| bytes.extend_from_slice(&weight.to_le_bytes()));
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Result<Self, DamagedSlab> {
        let mut weights = [0; TAPS];
        for weight in &mut weights {
            let (pair, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
            *weight = i16::from_le_bytes(*pair);
            *bytes = rest;
        }
        Ok(Self(weights))
    }
}

/// A frame with margins: what came up to a place, what was decoded from there on.
pub(super) struct Field {
    values: Vec<u16>,
    /// Sizes of the errors of prediction, in quarters of a value; 0 where none is known.
    errors: Vec<u32>,
    columns: usize,
    width: usize,
    offsets: [isize; TAPS],
}

impl Field {
    pub(super) fn new(decoded: &[u16], columns: usize) -> Self {
        let width = columns + 2 * MARGIN;
        let rows: Vec<&[u16]> = decoded.chunks_exact(columns).collect();
        let mut values = Vec::with_capacity(width * (rows.len() + 2 * MARGIN));
        for row in 0..rows.len() + 2 * MARGIN {
            let inside = row.saturating_sub(MARGIN).min(rows.len().saturating_sub(1));
            let row = rows.get(inside).copied().unwrap_or_default();
            values.extend(row.first().map(|value| [*value; MARGIN]).into_iter().flatten());
            values.extend_from_slice(row);
            values.extend(row.last().map(|value| [*value; MARGIN]).into_iter().flatten());
        }
        let offsets = OFFSETS.map(|(row, column)| row * width as isize + column);
        Self { errors: vec![0; values.len()], values, columns, width, offsets }
    }

    fn index(&self, place: usize) -> usize {
        (place / self.columns + MARGIN) * self.width + place % self.columns + MARGIN
    }

    /// What is known of a place: its decoded value until it is set.
    pub(super) fn known(&self, place: usize) -> u16 {
        self.values.get(self.index(place)).copied().unwrap_or_default()
    }

    /// Four times the mean of the nearest, and four times each tap's difference from it.
    fn differences(&self, place: usize) -> (i32, [i32; TAPS]) {
        let index = self.index(place);
        let tap = |offset: isize| {
            let value = self.values.get(index.wrapping_add_signed(offset));
            i32::from(value.copied().unwrap_or_default())
        };
        let taps = self.offsets.map(tap);
        let mean = taps.iter().take(4).sum();
        (mean, taps.map(|tap| 4 * tap - mean))
    }

    /// The prediction, in quarters of a value, and the error to expect of it, in eighths.
    pub(super) fn predict(&self, place: usize, weights: &Weights) -> (i32, u32) {
        let (mean, differences) = self.differences(place);
        let sum: i64 = differences.iter().zip(&weights.0).map(|(d, w)| i64::from(*d) * i64::from(*w)).sum();
        let most = 4 * i64::from(u16::MAX);
        let prediction = (i64::from(mean) + (sum >> WEIGHT_BITS)).clamp(0, most) as i32;
        let index = self.index(place);
        let error = |back: usize| self.errors.get(index - back).copied().unwrap_or_default();
        let width = self.width;
        let near =
            2 * (error(1) + error(width)) + error(width - 1) + error(width + 1) + error(2) + error(2 * width);
        (prediction, near / 4)
    }

    /// Learns what came at a place.
    pub(super) fn set(&mut self, place: usize, raw: u16, prediction: i32) {
        let index = self.index(place);
        self.values.iter_mut().skip(index).take(1).for_each(|value| *value = raw);
        let error = prediction.abs_diff(4 * i32::from(raw));
        self.errors.iter_mut().skip(index).take(1).for_each(|slot| *slot = error);
    }
}

/// Adds one equation.
fn gather(squares: &mut [[f64; TAPS + 1]; TAPS], differences: &[f64; TAPS], target: f64) {
    for (row, own) in squares.iter_mut().zip(differences) {
        for (square, other) in row.iter_mut().zip(differences.iter().chain([&target])) {
            *square += own * other;
        }
    }
}

/// Solves a symmetric positive system by elimination; what cannot be told is 0.
#[allow(clippy::indexing_slicing, reason = "all indices run over the arrays' own lengths")]
fn solve(mut rows: [[f64; TAPS + 1]; TAPS]) -> [f64; TAPS] {
    for pivot in 0..TAPS {
        for below in pivot + 1..TAPS {
            let factor = rows[below][pivot] / rows[pivot][pivot];
            let own = rows[pivot];
            for (number, above) in rows[below].iter_mut().zip(own).skip(pivot) {
                *number -= factor * above;
            }
        }
    }
    let mut weights = [0.0; TAPS];
    for pivot in (0..TAPS).rev() {
        let known: f64 = (pivot + 1..TAPS).map(|column| rows[pivot][column] * weights[column]).sum();
        let weight = (rows[pivot][TAPS] - known) / rows[pivot][pivot];
        weights[pivot] = if weight.is_finite() { weight } else { 0.0 };
    }
    weights
}
