//! Predictions, contexts and samples of the places of one phase, four at a time (codec SPEC 5.4 to 6.4, 4.5).

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

use super::ahead::{FEATURE_MAX, LANES, PhaseAhead, cast, factor_of_first};
use super::model::{FEATURES_AHEAD, StepModel};
use super::symbols::{FRACTIONS, LOW_FIRST, LOW_HALVES, LOW_SIZES, SIZES, WHOLE_SIZE_MAX};
use multiversion::multiversion;
use wide::{f32x4, i16x8, i32x4};

/// Bits behind the point of a weight.
pub(super) const WEIGHT_BITS: u32 = 11;
/// Bits behind the point of predictions and errors.
pub(super) const FINE_BITS: u32 = 3;
/// Bits behind the point of the inverse of a step.
const INVERSE_BITS: u32 = 14;
/// Largest step whose low predictions have contexts of their own.
const LOW_STEP_MAX: i32 = 1023;
/// Size of an expected error of 2^-7.33 sample values, were there sizes below 1.
const SIZE_OFFSET: i32 = 22;
/// Context of a place that holds no sample.
pub(super) const HOLE: i32 = -1;
/// Bit of a context: its errors are coded with their sign turned.
const TURNED_BIT: u32 = 16;
/// The bits of a context that are its number.
pub(super) const CONTEXT_MASK: i32 = (1 << TURNED_BIT) - 1;

/// How errors are told apart: by steps.
#[derive(Clone, Copy)]
pub(super) struct Quantiser {
    /// An odd number.
    pub(super) step: i32,
    /// Three times the logarithm of the step, in 1/128, and the offset of sizes.
    size_offset: i32,
    /// 2^14 / step.
    inverse: i16,
    /// Largest sample.
    pub(super) max: i32,
}

impl Quantiser {
    /// Of a bound and, in a coarse part, of how many steps to each side are told apart later (SPEC 2.6), at most 15.
    pub(super) fn new(near: u16, spread: u8, max: i32) -> Self {
        let step = (2 * i32::from(near) + 1) * (2 * i32::from(spread) + 1);
        let log = |number: i32| (number as f32).to_bits() as i32 >> 16;
        let size_offset = 3 * log(step) + (SIZE_OFFSET << 7);
        Self { step, size_offset, inverse: ((1 << INVERSE_BITS) / step) as i16, max }
    }

    /// An error in steps.
    #[inline(always)]
    pub(super) fn steps(&self, error: i32) -> i32 {
        if self.step == 1 {
            return error;
        }
        (error.abs() + self.step / 2) / self.step * error.signum()
    }

    /// The sample `steps` away from another.
    pub(super) fn moved(&self, sample: u16, steps: i32) -> u16 {
        (i32::from(sample) + steps * self.step).clamp(0, self.max) as u16
    }
}

/// The places of one phase on their way. Made once and filled for each row.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) places: usize,
    /// Number of the context, and whether the sign is turned, or [`HOLE`].
    pub(super) contexts: Vec<i32>,
    /// In 1/8, from 0 to the largest sample.
    pub(super) predictions: Vec<i32>,
    /// Errors in steps, turned: what is coded.
    pub(super) steps: Vec<i32>,
    pub(super) samples: Vec<i32>,
    /// Errors of the predictions once the samples are known, in 1/8, at most [`FEATURE_MAX`].
    pub(super) errors: Vec<i32>,
    /// Expected errors, in 1/4096, and what they were computed from at last: errors of both neighbours, and distance of the
    /// prediction from the middle; kept for learning.
    pub(super) expected: Vec<i32>,
    pub(super) side_errors: Vec<i32>,
    pub(super) moved: Vec<i32>,
}

impl Slots {
    /// Predicts all places of a phase; `sides` are the places of the first phase, which lie between those of the second.
    pub(super) fn predict(
        &mut self,
        ahead: &PhaseAhead,
        places: usize,
        sides: Option<&Slots>,
        model: &StepModel,
        quantiser: &Quantiser,
    ) {
        self.resize(places);
        predict(self, ahead, sides, model, quantiser);
    }

    fn resize(&mut self, places: usize) {
        let padded = places.next_multiple_of(LANES) + LANES;
        if self.places == places && self.contexts.len() == padded {
            return;
        }
        self.places = places;
        let Self { contexts, predictions, steps, samples, errors, expected, side_errors, moved, .. } = self;
        for numbers in [contexts, predictions, steps, samples, errors, expected, side_errors, moved] {
            numbers.resize(padded, 0);
        }
    }

    /// Places that hold no sample are not coded.
    pub(super) fn leave_out(&mut self, holes: impl Iterator<Item = bool>) {
        for (context, hole) in self.contexts.iter_mut().take(self.places).zip(holes) {
            *context = if hole { HOLE } else { *context };
        }
    }

    /// Samples and errors, once the coded steps are known.
    pub(super) fn finish(&mut self, ahead: &PhaseAhead, quantiser: &Quantiser, holes: bool) {
        finish(self, ahead, quantiser, holes);
    }

    /// The context of a place; `None` where it holds no sample.
    #[inline(always)]
    pub(super) fn context(&self, place: usize) -> Option<usize> {
        let context = self.contexts[place];
        (context >= 0).then_some((context & CONTEXT_MASK) as usize)
    }

    #[inline(always)]
    pub(super) fn set_steps(&mut self, place: usize, steps: i32) {
        self.steps[place] = steps;
    }

    /// The error of a sample in steps, turned as it is coded (SPEC 6.1).
    #[inline(always)]
    pub(super) fn steps_to(&self, place: usize, sample: u16, quantiser: &Quantiser) -> i32 {
        let error = i32::from(sample) - ((self.predictions[place] + (1 << (FINE_BITS - 1))) >> FINE_BITS);
        let error = if self.contexts[place] >> TURNED_BIT & 1 == 1 { -error } else { error };
        quantiser.steps(error)
    }
}

/// [`Slots::predict`], for the processor at hand.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn predict(
    slots: &mut Slots,
    ahead: &PhaseAhead,
    sides: Option<&Slots>,
    model: &StepModel,
    quantiser: &Quantiser,
) {
    let places = slots.places;
    let [.., side_factor, moved_factor] = model.at_last;
    let (side_factor, moved_factor) = (factor_of_first(side_factor), factor_of_first(moved_factor));
    let most = i32x4::splat(quantiser.max << FINE_BITS);
    for start in (0..places).step_by(LANES) {
        let middle = lanes(&ahead.middles, start);
        let mut sum = lanes(&ahead.sums, start);
        let mut side_errors = i32x4::splat(0);
        if let Some(sides) = sides {
            let beside = |numbers: &[i32]| [lanes(numbers, start), lanes(numbers, start + 1)];
            let [left, right] = beside(&sides.samples).map(|side| side - middle);
            let pairs: i16x8 = cast((left & i32x4::splat(0xFFFF)) | (right << 16));
            sum += pairs.dot(cast(lanes(&ahead.sides, start)));
            let [left, right] = beside(&sides.errors);
            side_errors = smaller(left + right, i32x4::splat(FEATURE_MAX.into()));
        }
        let flat = lanes(&ahead.flat, start);
        let middle = middle << FINE_BITS;
        let offset = (sum >> (WEIGHT_BITS - FINE_BITS)) & !flat;
        let prediction = clamp(middle + offset, i32x4::splat(0), most);
        let moved = smaller((prediction - middle).abs(), i32x4::splat(FEATURE_MAX.into()));
        let expected = lanes(&ahead.errors_at_last, start)
            + as_pairs(side_errors).dot(side_factor)
            + as_pairs(moved).dot(moved_factor);
        let still = flat & (lanes(&ahead.known_errors, start) | side_errors).simd_eq(i32x4::splat(0));
        let context = context(prediction, expected, still, quantiser);
        set(&mut slots.contexts, start, context);
        set(&mut slots.predictions, start, prediction);
        set(&mut slots.expected, start, expected);
        set(&mut slots.side_errors, start, side_errors);
        set(&mut slots.moved, start, moved);
    }
}

/// [`Slots::finish`], for the processor at hand.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn finish(slots: &mut Slots, ahead: &PhaseAhead, quantiser: &Quantiser, holes: bool) {
    let step = i32x4::splat(quantiser.step);
    let most = i32x4::splat(quantiser.max);
    for start in (0..slots.places).step_by(LANES) {
        let (context, prediction) = (lanes(&slots.contexts, start), lanes(&slots.predictions, start));
        let turned = (context << (31 - TURNED_BIT)) >> 31;
        let mut error = (lanes(&slots.steps, start) ^ turned) - turned;
        if quantiser.step > 1 {
            error *= step;
        }
        let mut sample = clamp(rounded(prediction) + error, i32x4::splat(0), most);
        let mut error = smaller(((sample << FINE_BITS) - prediction).abs(), i32x4::splat(FEATURE_MAX.into()));
        if holes {
            let hole = context.simd_lt(i32x4::splat(0));
            sample = (sample & !hole) | (lanes(&ahead.middles, start) & hole);
            error = (error & !hole) | ((lanes(&ahead.nearest_errors, start) >> 2) & hole);
        }
        set(&mut slots.samples, start, sample);
        set(&mut slots.errors, start, error);
    }
    if let Some(last) = slots.places.checked_sub(1) {
        slots.samples[last + 1] = slots.samples[last];
        slots.errors[last + 1] = slots.errors[last];
    }
}

/// The prediction as a sample.
#[inline(always)]
fn rounded(prediction: i32x4) -> i32x4 {
    (prediction + i32x4::splat(1 << (FINE_BITS - 1))) >> FINE_BITS
}

/// SPEC 6.2 and 6.4.
#[inline(always)]
fn context(prediction: i32x4, expected: i32x4, still: i32x4, quantiser: &Quantiser) -> i32x4 {
    let splat = i32x4::splat;
    // The upper bits of a floating point number are a logarithm in 1/128, straight between powers of two.
    let log: i32x4 = cast(f32x4::from_i32x4(expected | splat(1)));
    let log = log >> 16;
    let size = ((log << 1) + log - splat(quantiser.size_offset)) >> 7;
    let size = clamp(size, splat(1), splat(SIZES as i32 - 1)) & !still;
    let fraction = prediction - (rounded(prediction) << FINE_BITS);
    let turned = fraction >> 31;
    let usual = (size << 1) + size + (fraction.abs() >> 1) + (turned & splat(1 << TURNED_BIT));
    if quantiser.step > LOW_STEP_MAX {
        return usual;
    }
    let halves = smaller(prediction >> (FINE_BITS - 1), splat(LOW_HALVES * quantiser.step));
    let halves = as_pairs(halves).dot(factor_of_first(quantiser.inverse as u16)) >> INVERSE_BITS;
    let is_low = halves.simd_lt(splat(LOW_HALVES))
        & size.simd_gt(splat(0))
        & size.simd_lt(splat(WHOLE_SIZE_MAX as i32 + 1));
    let low_size = clamp((size - splat(6)) >> 1, splat(0), splat(LOW_SIZES as i32 - 1));
    let low = splat(LOW_FIRST as i32) + (halves << 3) - halves + low_size;
    (low & is_low) | (usual & !is_low)
}

const _: () = assert!(FRACTIONS == 3 && LOW_SIZES == 7 && FEATURES_AHEAD == 7);

#[inline(always)]
fn as_pairs(numbers: i32x4) -> i16x8 {
    cast(numbers)
}

#[inline(always)]
fn smaller(a: i32x4, b: i32x4) -> i32x4 {
    let above = a.simd_gt(b);
    (b & above) | (a & !above)
}

#[inline(always)]
fn clamp(number: i32x4, least: i32x4, most: i32x4) -> i32x4 {
    let below = number.simd_lt(least);
    smaller((least & below) | (number & !below), most)
}

#[inline(always)]
fn lanes(numbers: &[i32], start: usize) -> i32x4 {
    let mut four = [0; LANES];
    four.copy_from_slice(&numbers[start..start + LANES]);
    i32x4::new(four)
}

#[inline(always)]
fn set(numbers: &mut [i32], start: usize, four: i32x4) {
    numbers[start..start + LANES].copy_from_slice(&four.to_array());
}
