//! What is known of a row before its first sample: it depends on no other place of the row (codec SPEC 5).
//!
//! Eight places at a time. A block of eight numbers of 16 bits is also four pairs of numbers, the first of each of the first phase, the
//! second of the second phase: [`phases`] parts them without moving anything.

#![allow(
    clippy::indexing_slicing,
    reason = "indices come from rows and columns alone, never from coded bytes"
)]

use super::around::{self, Quarter, Row, WINDOW, WINDOWS_MAX};
use super::model::{ORIENTATIONS, PHASES, StepModel, WEIGHTS_MAX};
use super::plane::{MARGIN, MARGIN_RIGHT, Quarters};
use multiversion::multiversion;
use std::ops::Range;
use wide::{i16x8, i32x4, u16x8};

/// Features known ahead: slopes, spread, ring, errors of the step, errors of the nearest, distance to the reference, and how far
/// its two slices are apart (SPEC 5.3).
pub(super) const FEATURES_AHEAD: usize = 7;
/// Largest feature.
pub(super) const FEATURE_MAX: u16 = i16::MAX as u16;
/// Places in a block.
const BLOCK: usize = 8;
/// Places of one phase in a block.
pub(super) const LANES: usize = BLOCK / PHASES;

/// The slice or slices that an image is predicted from besides itself, in quarters.
pub(super) struct ReferenceQuarters {
    /// Their mean.
    pub(super) mean: Quarters,
    /// How far they are apart.
    pub(super) apart: Quarters,
}

/// What is known of the places of one phase.
#[derive(Default)]
pub(super) struct PhaseAhead {
    /// Mean of the nearest.
    pub(super) middles: Vec<i32>,
    /// All bits set where the image does not change around the place.
    pub(super) flat: Vec<i32>,
    /// Zero where there was no error around the place.
    pub(super) known_errors: Vec<i32>,
    /// Sum of the errors of the nearest.
    pub(super) nearest_errors: Vec<i32>,
    /// Index of the weights.
    pub(super) classes: Vec<i32>,
    /// The part of the expected error at last that is known ahead, in 1/4096 of a sample value.
    pub(super) errors_at_last: Vec<i32>,
    /// Weighted sums of the windows, and the constant.
    pub(super) sums: Vec<i32>,
    /// Weights of both neighbours in the row, in pairs of 16 bits.
    pub(super) sides: Vec<i32>,
    /// Expected error that the class was chosen by; kept for learning.
    pub(super) errors_ahead: Vec<i32>,
    /// Kept for learning.
    pub(super) features: [Vec<i32>; FEATURES_AHEAD],
}

/// What is known of the places of a row. Made once and filled for each row.
#[derive(Default)]
pub(super) struct Ahead {
    /// Places in the row.
    pub(super) places: usize,
    /// Mean of the nearest, from one place left of the row on.
    middles: Vec<u16>,
    pub(super) phases: [PhaseAhead; PHASES],
    zeros: Vec<u16>,
}

impl Ahead {
    /// Looks at a row of `quarter`; places outside `wanted` are holes. `keep`: what only learning asks for is kept too.
    #[allow(clippy::too_many_arguments, reason = "all that a row depends on")]
    pub(super) fn look(
        &mut self,
        samples: &Quarters,
        errors: &Quarters,
        reference: Option<&ReferenceQuarters>,
        quarter: Quarter,
        row: usize,
        wanted: Range<usize>,
        (model, expectation): (&StepModel, &Expectation),
        keep: bool,
    ) {
        self.resize(quarter.of(samples).columns, keep);
        let zeros = std::mem::take(&mut self.zeros);
        let nearest = around::nearest(samples, quarter, row);
        let rows = Rows {
            nearest,
            ring: around::ring(samples, quarter, row).map(|row| row.unwrap_or(nearest[0])),
            step_errors: around::step_errors(errors, quarter, row).map(|row| row.unwrap_or(&zeros)),
            nearest_errors: around::nearest(errors, quarter, row),
            reference: reference.map(|reference| {
                [&reference.mean, &reference.apart]
                    .map(|quarters| around::centre(quarters, quarter, row).unwrap_or(&zeros))
            }),
        };
        blocks(self, &rows, expectation, keep);
        self.zeros = zeros;
        if wanted.is_empty() {
            return;
        }
        let windows = around::windows(samples, reference.map(|reference| &reference.mean), quarter, row);
        self.weigh(windows.rows(), wanted, model);
    }

    fn resize(&mut self, places: usize, keep: bool) {
        if self.places == places {
            return;
        }
        let padded = places.next_multiple_of(BLOCK);
        self.places = places;
        self.zeros.resize(MARGIN + padded + MARGIN_RIGHT, 0);
        self.middles.resize(1 + padded + MARGIN_RIGHT, 0);
        for phase in &mut self.phases {
            let PhaseAhead {
                middles,
                flat,
                known_errors,
                nearest_errors,
                classes,
                errors_at_last,
                sums,
                sides,
                errors_ahead,
                features,
            } = phase;
            for numbers in [middles, flat, known_errors, nearest_errors, classes, errors_at_last, sums, sides]
            {
                numbers.resize(padded / PHASES, 0);
            }
            for numbers in features.iter_mut().chain([errors_ahead]).filter(|_| keep) {
                numbers.resize(padded / PHASES, 0);
            }
        }
    }

    /// Weighted sums of the windows (SPEC 5.4).
    fn weigh(&mut self, windows: &[Row<'_>], wanted: Range<usize>, model: &StepModel) {
        let mut rows: [&[u16]; WINDOWS_MAX] = [&[]; WINDOWS_MAX];
        for (row, window) in rows.iter_mut().zip(windows) {
            *row = window.unwrap_or(&self.middles);
        }
        // From an even place on, so that the phases stay what they are.
        let wanted = wanted.start / PHASES * PHASES..wanted.end;
        let places = wanted.end;
        let middles = &self.middles[1..];
        for (number, phase) in self.phases.iter_mut().enumerate() {
            let first = wanted.start / PHASES;
            weigh(&rows, windows.len(), middles, (first, places), number, phase, model);
        }
    }

    /// The samples of all windows less the middle at one place.
    pub(super) fn differences(&self, windows: &[Row<'_>], place: usize) -> [i16; WEIGHTS_MAX] {
        let mut differences = [0; WEIGHTS_MAX];
        let middle = self.middles[1 + place];
        for (differences, window) in differences.chunks_exact_mut(WINDOW).zip(windows) {
            let samples = &window.unwrap_or(&self.middles)[place..place + WINDOW];
            for (difference, sample) in differences.iter_mut().zip(samples) {
                *difference = sample.wrapping_sub(middle) as i16;
            }
        }
        differences
    }
}

/// The rows that features are computed from; each begins with what the first place asks for.
struct Rows<'r> {
    nearest: [&'r [u16]; 4],
    ring: [&'r [u16]; 8],
    step_errors: [&'r [u16]; 3],
    nearest_errors: [&'r [u16]; 4],
    /// Mean, and how far apart.
    reference: Option<[&'r [u16]; 2]>,
}

/// What is seen around eight places.
struct Seen {
    middle: u16x8,
    /// 0, 1 or 2 (SPEC 5.3).
    orientation: u16x8,
    features: [u16x8; FEATURES_AHEAD],
}

impl<'r> Rows<'r> {
    /// All rows of the same length, so that it is compared with the place but once.
    fn cut(&self, places: usize) -> Self {
        Self {
            nearest: self.nearest.map(|row| &row[..places]),
            ring: self.ring.map(|row| &row[..places]),
            step_errors: self.step_errors.map(|row| &row[..places]),
            nearest_errors: self.nearest_errors.map(|row| &row[..places]),
            reference: self.reference.map(|rows| rows.map(|row| &row[..places])),
        }
    }

    #[inline(always)]
    fn see(&self, place: usize) -> Seen {
        // Written out: arrays mapped by closures are not always inlined.
        let [n0, n1, n2, n3] = self.nearest;
        let (n0, n1, n2, n3) = (block(n0, place), block(n1, place), block(n2, place), block(n3, place));
        let middle = mean(mean(n0, n3), mean(n1, n2));
        let (down, up) = (distance(n0, n3), distance(n1, n2));
        let mut spread = distance(n0, middle).saturating_add(distance(n1, middle));
        spread = spread.saturating_add(distance(n2, middle)).saturating_add(distance(n3, middle));
        let mut ring = u16x8::splat(0);
        for row in &self.ring {
            ring = ring.saturating_add(distance(block(row, place), middle));
        }
        let mut features = [u16x8::splat(0); FEATURES_AHEAD];
        features[0] = down.saturating_add(up);
        features[1] = spread;
        features[2] = ring;
        features[3] = sum(&self.step_errors, place);
        features[4] = sum(&self.nearest_errors, place);
        if let Some([mean, apart]) = self.reference {
            features[5] = distance(block(mean, place), middle);
            features[6] = block(apart, place);
        }
        for feature in &mut features {
            *feature = least(*feature, u16x8::splat(FEATURE_MAX));
        }
        let orientation = orientation(down, up);
        Seen { middle, orientation, features }
    }
}

/// Features, middles and expected errors of all places of a row, for the processor at hand.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn blocks(all: &mut Ahead, rows: &Rows<'_>, expectation: &Expectation, keep: bool) {
    let padded = all.places.next_multiple_of(BLOCK);
    let rows = &rows.cut(padded);
    for block in 0..all.places.div_ceil(BLOCK) {
        let place = block * BLOCK;
        let seen = rows.see(place);
        all.middles[1 + place..][..BLOCK].copy_from_slice(&seen.middle.to_array());
        let expected = expectation.of(&seen);
        let flat = (seen.features[0] | seen.features[1] | seen.features[2]).simd_eq(u16x8::splat(0));
        let known_errors = seen.features[3] | seen.features[4];
        let numbers = [phases(seen.middle), phases(known_errors), phases(seen.features[4])];
        let flat: [i32; BLOCK / 2] = cast(flat);
        for (phase, ahead) in all.phases.iter_mut().enumerate() {
            let start = block * LANES;
            let set = |numbers: &mut [i32], value: i32x4| {
                numbers[start..start + LANES].copy_from_slice(&value.to_array());
            };
            let [middle, known, nearest] = numbers;
            set(&mut ahead.middles, middle[phase]);
            set(&mut ahead.known_errors, known[phase]);
            set(&mut ahead.nearest_errors, nearest[phase]);
            let flat = if phase == 0 { i32x4::new(flat) << 16 } else { i32x4::new(flat) };
            set(&mut ahead.flat, flat >> 16);
            set(&mut ahead.classes, expected.classes[phase]);
            set(&mut ahead.errors_at_last, expected.at_last[phase]);
            if keep {
                set(&mut ahead.errors_ahead, expected.ahead[phase]);
                for (numbers, feature) in ahead.features.iter_mut().zip(seen.features) {
                    set(numbers, phases(feature)[phase]);
                }
            }
        }
    }
    let (first, last) = (all.middles[1], all.middles[all.places]);
    all.middles[0] = first;
    all.middles[1 + all.places..].fill(last);
}

/// A step model's factors as pairs for the first and the second phase.
pub(super) struct Expectation {
    ahead: [[i16x8; PHASES]; FEATURES_AHEAD],
    at_last: [[i16x8; PHASES]; FEATURES_AHEAD],
    constants: [i32x4; 2],
    limits: Vec<i32x4>,
    second_phase: i32x4,
}

/// Expected errors and classes of both phases (SPEC 5.3).
struct Expected {
    ahead: [i32x4; PHASES],
    at_last: [i32x4; PHASES],
    classes: [i32x4; PHASES],
}

impl Expectation {
    pub(super) fn new(model: &StepModel) -> Self {
        let pairs = |factor: &u16| [factor_of_first(*factor), factor_of_second(*factor)];
        let splat = |number: u32| i32x4::splat(number as i32);
        Self {
            ahead: std::array::from_fn(|feature| pairs(&model.ahead[feature])),
            at_last: std::array::from_fn(|feature| pairs(&model.at_last[feature])),
            constants: [splat(model.ahead_constant), splat(model.at_last_constant)],
            limits: model.limits.iter().map(|limit| splat(*limit)).collect(),
            second_phase: i32x4::splat((model.weights.len() / PHASES) as i32),
        }
    }

    #[inline(always)]
    fn of(&self, seen: &Seen) -> Expected {
        let [ahead, at_last] = self.constants;
        let (mut ahead, mut at_last) = ([ahead; PHASES], [at_last; PHASES]);
        for (number, feature) in seen.features.iter().enumerate() {
            let feature: i16x8 = cast(*feature);
            for phase in 0..PHASES {
                ahead[phase] += feature.dot(self.ahead[number][phase]);
                at_last[phase] += feature.dot(self.at_last[number][phase]);
            }
        }
        let mut classes = phases(seen.orientation);
        classes[1] += self.second_phase;
        for limit in &self.limits {
            for phase in 0..PHASES {
                let above: i32x4 = ahead[phase].simd_gt(*limit);
                classes[phase] += above & i32x4::splat(ORIENTATIONS as i32);
            }
        }
        Expected { ahead, at_last, classes }
    }
}

/// Eight numbers that lend a factor to the first number of each pair alone.
pub(super) fn factor_of_first(factor: u16) -> i16x8 {
    let factor = factor as i16;
    i16x8::new([factor, 0, factor, 0, factor, 0, factor, 0])
}

fn factor_of_second(factor: u16) -> i16x8 {
    let factor = factor as i16;
    i16x8::new([0, factor, 0, factor, 0, factor, 0, factor])
}

/// The same bits as another type.
#[inline(always)]
pub(super) fn cast<A: bytemuck::NoUninit, B: bytemuck::AnyBitPattern>(bits: A) -> B {
    bytemuck::cast(bits)
}

/// The numbers of the first phase, and of the second.
#[inline(always)]
pub(super) fn phases(numbers: u16x8) -> [i32x4; PHASES] {
    let pairs: wide::u32x4 = cast(numbers);
    [cast(pairs & wide::u32x4::splat(0xFFFF)), cast(pairs >> 16)]
}

#[inline(always)]
fn block(row: &[u16], place: usize) -> u16x8 {
    let mut numbers = [0; BLOCK];
    numbers.copy_from_slice(&row[place..place + BLOCK]);
    u16x8::new(numbers)
}

#[inline(always)]
fn least(a: u16x8, b: u16x8) -> u16x8 {
    a - a.saturating_sub(b)
}

#[inline(always)]
fn distance(a: u16x8, b: u16x8) -> u16x8 {
    a.saturating_sub(b) | b.saturating_sub(a)
}

#[inline(always)]
fn sum(rows: &[&[u16]], place: usize) -> u16x8 {
    let mut sum = u16x8::splat(0);
    for row in rows {
        sum = sum.saturating_add(block(row, place));
    }
    sum
}

/// Half the sum, rounded up, without a bit more than they have.
#[inline(always)]
fn mean(a: u16x8, b: u16x8) -> u16x8 {
    (a | b) - ((a ^ b) >> 1)
}

/// One slope is clearly steeper, or the other, or neither: 0, 1, 2 (SPEC 5.3).
#[inline(always)]
fn orientation(down: u16x8, up: u16x8) -> u16x8 {
    let zero = u16x8::splat(0);
    let steeper = |a: u16x8, b: u16x8| !a.saturating_sub(b.saturating_add(b >> 1)).simd_eq(zero);
    u16x8::splat(2) - (steeper(down, up) & u16x8::splat(2)) - (steeper(up, down) & u16x8::splat(1))
}

#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn weigh(
    rows: &[&[u16]; WINDOWS_MAX],
    windows: usize,
    middles: &[u16],
    range: (usize, usize),
    phase_number: usize,
    phase: &mut PhaseAhead,
    model: &StepModel,
) {
    match windows / 2 {
        3 => weigh_all::<6, 3>(rows, middles, range, phase_number, phase, model),
        5 => weigh_all::<10, 5>(rows, middles, range, phase_number, phase, model),
        6 => weigh_all::<12, 6>(rows, middles, range, phase_number, phase, model),
        _ => weigh_all::<16, 8>(rows, middles, range, phase_number, phase, model),
    }
}

#[inline(always)]
fn weigh_all<const ROWS: usize, const PAIRS: usize>(
    rows: &[&[u16]; WINDOWS_MAX],
    middles: &[u16],
    (first, places): (usize, usize),
    phase_number: usize,
    phase: &mut PhaseAhead,
    model: &StepModel,
) {
    let rows: [&[u16]; ROWS] = std::array::from_fn(|row| &rows[row][..places + WINDOW - 1]);
    let middles = &middles[..places];
    let weights = model.weights.as_slice();
    let places_of_phase = (phase_number..places).step_by(PHASES).enumerate().skip(first);
    let numbers = phase.classes.iter().zip(&mut phase.sums).zip(&mut phase.sides).zip(&phase.flat);
    for ((((class, sum), sides), flat), (_, place)) in numbers.skip(first).zip(places_of_phase) {
        // Nothing is added to the middle there.
        if *flat != 0 {
            continue;
        }
        let middle = i16x8::splat(middles[place] as i16);
        let weights = &weights[*class as usize];
        let mut lanes = i32x4::splat(0);
        for pair in 0..PAIRS {
            let mut samples = [0_u16; 2 * WINDOW];
            samples[..WINDOW].copy_from_slice(&rows[2 * pair][place..place + WINDOW]);
            samples[WINDOW..].copy_from_slice(&rows[2 * pair + 1][place..place + WINDOW]);
            let samples: i16x8 = cast(samples);
            lanes += (samples - middle).dot(weights.lanes[pair]);
        }
        *sum = lanes.reduce_add().wrapping_add(weights.constant.into());
        *sides = weights.sides;
    }
}
