//! What the model expects at a place: prediction, class and expected error (codec SPEC 5).

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

use super::model::{ORIENTATIONS, StepModel};
use super::plane::Plane;

/// Neighbours of a prediction.
pub(super) const TAPS: usize = 20;
/// Weights of a class: one a tap, and a constant.
pub(super) const WEIGHTS: usize = TAPS + 1;
/// The first taps are the nearest samples on all sides; opposite ones have indices of the same sum.
const NEAREST: usize = 4;
/// Taps of the second ring end before this one.
const SECOND_RING_END: usize = 12;
/// Features that the expected error is computed from.
pub(super) const FEATURES: usize = 8;
/// The feature that is known only once the prediction is.
pub(super) const FEATURE_OF_PREDICTION: usize = FEATURES - 1;
/// Bits behind the point of a weight.
pub(super) const WEIGHT_BITS: u32 = 11;
/// Bits behind the point of predictions, errors and features.
pub(super) const FINE_BITS: u32 = 3;
/// One sample value as a prediction.
const FINE: i32 = 1 << FINE_BITS;

/// Row and column of a tap, relative to the place.
type Tap = (isize, isize);

/// Diagonal step: places in odd rows and odd columns.
const DIAGONAL: [Tap; TAPS] = [
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
    (-1, -3),
    (-1, 3),
    (1, -3),
    (1, 3),
    (-3, -1),
    (-3, 1),
    (3, -1),
    (3, 1),
    (-2, 0),
    (-2, -2),
    (-2, 2),
    (0, -2),
    (-3, -3),
    (-3, 3),
    (3, -3),
    (3, 3),
];
/// Axial step: places whose row and column have an odd sum.
const AXIAL: [Tap; TAPS] = [
    (-1, 0),
    (0, -1),
    (0, 1),
    (1, 0),
    (-1, -2),
    (-1, 2),
    (1, -2),
    (1, 2),
    (-2, -1),
    (-2, 1),
    (2, -1),
    (2, 1),
    (-1, -1),
    (-1, 1),
    (0, -3),
    (0, 3),
    (-3, 0),
    (3, 0),
    (-2, 0),
    (0, -2),
];
/// Errors of the same step, one row of it above.
const DIAGONAL_ERRORS: [Tap; 3] = [(-2, 0), (-2, -2), (-2, 2)];
const AXIAL_ERRORS: [Tap; 3] = [(-1, -1), (-1, 1), (-2, 0)];

/// The neighbours of one step as distances in a plane.
pub(super) struct Around {
    taps: [isize; TAPS],
    errors: [isize; 3],
}

impl Around {
    pub(super) fn new(axial: bool, stride: usize) -> Self {
        let (taps, errors) = if axial { (AXIAL, AXIAL_ERRORS) } else { (DIAGONAL, DIAGONAL_ERRORS) };
        let distance = |(row, column): Tap| row * stride as isize + column;
        Self { taps: taps.map(distance), errors: errors.map(distance) }
    }

    /// The nearest samples on all sides.
    pub(super) fn nearest(&self) -> &[isize] {
        &self.taps[..NEAREST]
    }
}

/// What is expected at a place.
pub(super) struct Guess {
    /// Tap values less `middle`.
    pub(super) taps: [i32; TAPS],
    /// Mean of the nearest.
    pub(super) middle: i32,
    /// Index of the weights.
    pub(super) class: usize,
    /// Features, in 1/8 of a sample value.
    pub(super) features: [u32; FEATURES],
    /// Expected error before the prediction was known, in 1/4096.
    pub(super) error_before: u64,
    /// Expected error, in 1/4096.
    pub(super) error: u64,
    /// All samples and errors around say that nothing changes here.
    pub(super) still: bool,
    /// Prediction in 1/8, from 0 to the largest sample.
    pub(super) prediction: i32,
}

impl Guess {
    #[inline(always)]
    pub(super) fn new(
        samples: &Plane,
        errors: &Plane,
        place: usize,
        around: &Around,
        model: &StepModel,
        max: i32,
    ) -> Self {
        let sample = |distance: isize| samples.samples[place.wrapping_add_signed(distance)];
        let error = |distance: isize| errors.samples[place.wrapping_add_signed(distance)] as u32;
        let mut taps = around.taps.map(sample);
        let [first, second, third, fourth, ..] = taps;
        let middle = (first + second + third + fourth + 2) >> 2;
        taps.iter_mut().for_each(|tap| *tap -= middle);
        let slopes = [first.abs_diff(fourth), second.abs_diff(third)];
        let size = |taps: &[i32]| taps.iter().map(|tap| tap.unsigned_abs()).sum::<u32>();
        let spread =
            [2 * (slopes[0] + slopes[1]), size(&taps[..NEAREST]), size(&taps[NEAREST..SECOND_RING_END])];
        let nearest_errors = around.taps[..NEAREST].iter().map(|tap| error(*tap)).sum();
        let step_errors = around.errors.iter().map(|tap| error(*tap)).sum();
        let left_error = error(-2);
        let flat = spread == [0; 3];
        let fine = spread.map(|sum| sum << FINE_BITS);
        let mut features =
            [1 << FINE_BITS, fine[0], fine[1], fine[2], step_errors, nearest_errors, left_error, 0];
        let error_before = model.error_before(&features);
        let class = model.class(error_before) * ORIENTATIONS + orientation(slopes);
        let offset = if flat { 0 } else { weighted(&model.weights[class], &taps) };
        let prediction = ((middle << FINE_BITS) + offset).clamp(0, max << FINE_BITS);
        features[FEATURE_OF_PREDICTION] = prediction.abs_diff(middle << FINE_BITS);
        let error = model.error(&features);
        let still = flat && nearest_errors + step_errors + left_error == 0;
        Self { taps, middle, class, features, error_before, error, still, prediction }
    }

    /// The prediction as a sample, and what it was rounded by.
    #[inline(always)]
    pub(super) fn rounded(&self) -> (i32, i32) {
        let value = (self.prediction + FINE / 2) >> FINE_BITS;
        (value, self.prediction - (value << FINE_BITS))
    }

    /// The error of the prediction once the sample is known, in 1/8.
    #[inline(always)]
    pub(super) fn error_of(&self, sample: i32) -> i32 {
        ((sample << FINE_BITS) - self.prediction).abs()
    }
}

/// Sums wrap: what is left of a sum that fits is right whatever its parts did.
#[inline(always)]
fn weighted(weights: &[i16; WEIGHTS], taps: &[i32; TAPS]) -> i32 {
    let constant = i32::from(weights[TAPS]);
    let sum = weights
        .iter()
        .zip(taps)
        .fold(constant, |sum, (weight, tap)| sum.wrapping_add(i32::from(*weight).wrapping_mul(*tap)));
    // Far beyond any sample, so that adding to a sample cannot overflow.
    sum >> (WEIGHT_BITS - FINE_BITS)
}

#[inline(always)]
fn orientation([first, second]: [u32; 2]) -> usize {
    if 2 * first > 3 * second {
        0
    } else if 2 * second > 3 * first {
        1
    } else {
        2
    }
}
