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
/// The tap left of the place in the same step, known last.
pub(super) const LEFT: usize = TAPS - 1;
/// Features that the expected error is computed from.
pub(super) const FEATURES: usize = 8;
/// Features that do not need the sample to the left: those the class is chosen by.
pub(super) const FEATURES_AHEAD: usize = FEATURES - 2;
/// Bits behind the point of a weight.
pub(super) const WEIGHT_BITS: u32 = 11;
/// Bits behind the point of predictions, errors and features.
pub(super) const FINE_BITS: u32 = 3;
/// One sample value as a prediction.
const FINE: i32 = 1 << FINE_BITS;
/// Rows of the window around a place, which all taps lie in.
const WINDOW_ROWS: usize = 7;
/// Columns of the window; the place is in the fourth.
const WINDOW_COLUMNS: usize = 8;
/// Rows above the place, and columns left of it, in the window.
const REACH: usize = 3;
/// Numbers of a window.
pub(super) const WINDOW: usize = WINDOW_ROWS * WINDOW_COLUMNS;

/// Row and column of a tap, relative to the place.
type Tap = (isize, isize);

/// Diagonal step: places in odd rows and odd columns.
#[rustfmt::skip]
const DIAGONAL: [Tap; TAPS] = [
    (-1, -1), (-1, 1), (1, -1), (1, 1),
    (-1, -3), (-1, 3), (1, -3), (1, 3), (-3, -1), (-3, 1), (3, -1), (3, 1),
    (-2, 0), (-2, -2), (-2, 2), (-3, -3), (-3, 3), (3, -3), (3, 3), (0, -2),
];
/// Axial step: places whose row and column have an odd sum.
#[rustfmt::skip]
const AXIAL: [Tap; TAPS] = [
    (-1, 0), (0, -1), (0, 1), (1, 0),
    (-1, -2), (-1, 2), (1, -2), (1, 2), (-2, -1), (-2, 1), (2, -1), (2, 1),
    (-1, -1), (-1, 1), (0, -3), (0, 3), (-3, 0), (3, 0), (-2, 0), (0, -2),
];
/// Errors of the same step, in the rows above.
const DIAGONAL_ERRORS: [Tap; 3] = [(-2, 0), (-2, -2), (-2, 2)];
const AXIAL_ERRORS: [Tap; 3] = [(-1, -1), (-1, 1), (-2, 0)];

/// The neighbours of one step as distances in a plane and places in the window.
pub(super) struct Around {
    taps: [isize; TAPS],
    errors: [isize; 3],
    /// All bits set where a tap of the second ring lies in the window.
    ring: [u16; WINDOW],
    stride: usize,
}

impl Around {
    pub(super) fn new(axial: bool, stride: usize) -> Self {
        let (taps, errors) = if axial { (AXIAL, AXIAL_ERRORS) } else { (DIAGONAL, DIAGONAL_ERRORS) };
        let distance = |(row, column): Tap| row * stride as isize + column;
        let mut ring = [0; WINDOW];
        taps[NEAREST..SECOND_RING_END].iter().for_each(|tap| ring[in_window(*tap)] = u16::MAX);
        Self { taps: taps.map(distance), errors: errors.map(distance), ring, stride }
    }

    /// The window around a place, row by row, less `middle`. Differences beyond 16 bits wrap.
    #[inline(always)]
    fn window(&self, samples: &Plane, place: usize, middle: u16) -> [i16; WINDOW] {
        let mut window = [0; WINDOW];
        let first = place - REACH * self.stride - REACH;
        for (row, differences) in window.chunks_exact_mut(WINDOW_COLUMNS).enumerate() {
            let start = first + row * self.stride;
            let samples = &samples.samples[start..start + WINDOW_COLUMNS];
            for (difference, sample) in differences.iter_mut().zip(samples) {
                *difference = sample.wrapping_sub(middle) as i16;
            }
        }
        window
    }
}

/// The weights of a class where they lie in the window; the tap to the left is not among them.
pub(super) fn in_windows(axial: bool, weights: &[i16; WEIGHTS]) -> [i16; WINDOW] {
    let mut window = [0; WINDOW];
    let taps = if axial { AXIAL } else { DIAGONAL };
    taps.iter().zip(weights).take(LEFT).for_each(|(tap, weight)| window[in_window(*tap)] = *weight);
    window
}

fn in_window((row, column): Tap) -> usize {
    (row + REACH as isize) as usize * WINDOW_COLUMNS + (column + REACH as isize) as usize
}

/// What is known of a place before the sample to its left is: the places of a row can be looked at in any order.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead {
    /// Mean of the nearest.
    pub(super) middle: i32,
    /// Index of the weights.
    class: usize,
    /// Weighted sum of all taps but the left one.
    sum: i32,
    features: [u32; FEATURES_AHEAD],
    error: u64,
    flat: bool,
    /// Sum of the errors nearest.
    nearest_errors: u32,
}

impl Ahead {
    /// Looks at the nearest alone: enough for a hole.
    #[inline(always)]
    pub(super) fn of_nearest(samples: &Plane, errors: &Plane, place: usize, around: &Around) -> Self {
        let near =
            |plane: &Plane, tap: usize| i32::from(plane.samples[place.wrapping_add_signed(around.taps[tap])]);
        let sum = |plane: &Plane| near(plane, 0) + near(plane, 1) + near(plane, 2) + near(plane, 3);
        Self { middle: (sum(samples) + 2) >> 2, nearest_errors: sum(errors) as u32, ..Self::default() }
    }

    /// Mean of the errors nearest.
    pub(super) fn mean_error(&self) -> u16 {
        (self.nearest_errors >> 2) as u16
    }

    #[inline(always)]
    pub(super) fn new(
        samples: &Plane,
        errors: &Plane,
        place: usize,
        around: &Around,
        model: &StepModel,
    ) -> Self {
        let Self { middle, nearest_errors, .. } = Self::of_nearest(samples, errors, place, around);
        let near = |tap: usize| i32::from(samples.samples[place.wrapping_add_signed(around.taps[tap])]);
        let error = |tap: usize| u32::from(errors.samples[place.wrapping_add_signed(around.errors[tap])]);
        let (first, second, third, fourth) = (near(0), near(1), near(2), near(3));
        let slopes = [first.abs_diff(fourth), second.abs_diff(third)];
        let window = around.window(samples, place, middle as u16);
        let spread = first.abs_diff(middle)
            + second.abs_diff(middle)
            + third.abs_diff(middle)
            + fourth.abs_diff(middle);
        let ring =
            window.iter().zip(&around.ring).map(|(d, mask)| u32::from(d.unsigned_abs() & mask)).sum::<u32>();
        let step_errors = error(0) + error(1) + error(2);
        let slope = 2 * (slopes[0] + slopes[1]);
        let features = [
            1 << FINE_BITS,
            slope << FINE_BITS,
            spread << FINE_BITS,
            ring << FINE_BITS,
            step_errors,
            nearest_errors,
        ];
        let error = model.error_ahead(&features);
        let class = model.class(error) * ORIENTATIONS + orientation(slopes);
        let weights = &model.windows[class];
        let sum = window.iter().zip(weights).fold(0_i32, |sum, (difference, weight)| {
            sum.wrapping_add(i32::from(*difference) * i32::from(*weight))
        });
        Self { middle, class, sum, features, error, flat: slope + spread + ring == 0, nearest_errors }
    }
}

/// What is expected at a place.
pub(super) struct Guess {
    /// Mean of the nearest.
    pub(super) middle: i32,
    /// The sample to the left less `middle`.
    left: i32,
    /// Index of the weights.
    pub(super) class: usize,
    /// Features, in 1/8 of a sample value.
    pub(super) features: [u32; FEATURES],
    /// Expected error that the class was chosen by, in 1/4096.
    pub(super) error_ahead: u64,
    /// Expected error, in 1/4096.
    pub(super) error: u64,
    /// All samples and errors around say that nothing changes here.
    pub(super) still: bool,
    /// Prediction in 1/8, from 0 to the largest sample.
    pub(super) prediction: i32,
}

impl Guess {
    /// `left` and `left_error`: the last sample and error of the row.
    #[inline(always)]
    pub(super) fn new(ahead: &Ahead, left: u16, left_error: u16, model: &StepModel, max: i32) -> Self {
        let middle = ahead.middle;
        let left = i32::from(left) - middle;
        let weights = &model.weights[ahead.class];
        // Far beyond any sample, so that adding to a sample cannot overflow.
        let sum =
            ahead.sum.wrapping_add(i32::from(weights[TAPS])).wrapping_add(left * i32::from(weights[LEFT]));
        let offset = if ahead.flat { 0 } else { sum >> (WEIGHT_BITS - FINE_BITS) };
        let prediction = ((middle << FINE_BITS) + offset).clamp(0, max << FINE_BITS);
        let left_error = u32::from(left_error);
        let [one, slope, spread, ring, step_errors, nearest_errors] = ahead.features;
        let moved = prediction.abs_diff(middle << FINE_BITS);
        let features = [one, slope, spread, ring, step_errors, nearest_errors, left_error, moved];
        let still = ahead.flat && step_errors + nearest_errors + left_error == 0;
        let error = model.error(&features);
        Self {
            middle,
            left,
            class: ahead.class,
            features,
            error_ahead: ahead.error,
            error,
            still,
            prediction,
        }
    }

    /// The taps less `middle`, and a constant of one.
    pub(super) fn taps(&self, samples: &Plane, place: usize, around: &Around) -> [f64; WEIGHTS] {
        let mut taps = [1.0; WEIGHTS];
        for (tap, distance) in taps.iter_mut().zip(&around.taps) {
            let sample = i32::from(samples.samples[place.wrapping_add_signed(*distance)]);
            *tap = (sample - self.middle).into();
        }
        taps[LEFT] = self.left.into();
        taps
    }

    /// The prediction as a sample, and what it was rounded by.
    #[inline(always)]
    pub(super) fn rounded(&self) -> (i32, i32) {
        let value = (self.prediction + FINE / 2) >> FINE_BITS;
        (value, self.prediction - (value << FINE_BITS))
    }

    /// The error of the prediction once the sample is known, in 1/8, at most what 16 bits hold.
    #[inline(always)]
    pub(super) fn error_of(&self, sample: u16) -> u16 {
        (i32::from(sample) << FINE_BITS).abs_diff(self.prediction).min(u16::MAX.into()) as u16
    }
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
