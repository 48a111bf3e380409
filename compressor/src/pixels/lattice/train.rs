//! Learns the model of a series from some of its images (the encoder's choice; codec SPEC 3 says only what is sent).

use super::super::{Bound, DamagedSlab, Slab, planes};
use super::ahead::{FEATURES_AHEAD, PhaseAhead};
use super::around;
use super::contexts::SYMBOLS;
use super::model::{
    FACTOR_MAX, FEATURES_AT_LAST, Model, PHASES, STEPS, StepModel, WEIGHTS_MAX, Weights, frequency_code,
    lanes,
};
use super::slots::{FINE_BITS, Quantiser, Slots, WEIGHT_BITS};
use super::solve::Sums;
use super::symbols::{CONTEXTS, symbol_of};
use super::values::{Example, Values};
use super::walk::{Reference, Samples, Spots, Walk};

/// Samples of one image that the model is learnt from.
const EXCERPT_SAMPLES_MAX: usize = 1 << 17;
/// Excerpts begin at one of so many places of an image, in steps that meet them all.
const EXCERPTS: usize = 8;
const EXCERPT_STRIDE: usize = 3;
/// Weights are learnt from one place of this many of each resolution (full, half, all coarser ones) in each round.
const PLACES_PER_LESSON: [[usize; STEPS / 2]; ROUNDS] = [[8, 4, 1], [2, 1, 1]];
/// The first round learns classes and first weights, the second better weights.
const ROUNDS: usize = 2;
/// Expected errors of one, in 1/4096.
const ERROR_ONE: f32 = 4096.0;
/// Errors of one, in 1/8.
const FINE_ONE: f32 = 8.0;
/// Expected error, in sample values, that is added before dividing by it: keeps flat places from ruling all others.
const ERROR_SOFT: f32 = 0.25;
/// How much a class listens to all classes together: as if it had this many samples of them.
const SHARED_SAMPLES: f64 = 60.0;
/// Symbols of a context below which its frequencies are not worth sending.
const SYMBOLS_MIN: u64 = 256;
/// Steps of the histogram of expected errors, for each octave.
const HISTOGRAM_STEPS: u32 = 16;
/// Raw bytes of a series below which all classes and resolutions of a step share their weights: others would cost more than they save.
const SHARING_BYTES: u64 = 1 << 18;
/// Raw bytes of a series from which on each resolution gets this many sizes of error.
const SIZES_BY_BYTES: [(u64, [usize; STEPS / 2]); 3] =
    [(1 << 22, [6, 4, 2]), (1 << 20, [4, 2, 1]), (0, [2, 1, 1])];
/// What weights are multiples of from which bound on, in 1/2048.
const GRAIN_BY_NEAR: [(u16, f64); 2] = [(4, 8.0), (1, 2.0)];
/// References are used where the slabs that have them shrink to less than this share,
const REFERENCE_SHARE_MAX: f64 = 0.99;
/// and this many times what the larger model takes is saved.
const REFERENCE_GAIN_MIN: f64 = 2.0;

/// What the model of a series is learnt from.
pub struct Lessons {
    lessons: Vec<Lesson>,
    bound: Bound,
}

/// An image to learn from.
struct Lesson {
    example: Example,
    /// The slabs before and after it.
    references: Vec<Example>,
    near: u16,
}

impl Lessons {
    /// Of a series that will be coded within `bound`.
    pub fn within(bound: &Bound) -> Self {
        Self { lessons: Vec::new(), bound: bound.clone() }
    }

    /// Takes a slab of the series, or as much of it as is worth the time, with the slabs before and after it, if it will be coded
    /// with references.
    pub fn add(&mut self, slab: &Slab, raw: &[u8], references: &[&[u8]]) {
        let mut components = planes::split(slab, raw);
        if slab.components == 3 {
            planes::subtract_green(slab, &mut components);
        }
        let shift = Values::shift(&components);
        let references: Vec<_> = references.iter().map(|raw| planes::split(slab, raw)).collect();
        for component in &components {
            let (bound, near) = (&self.bound, self.bound.near >> shift);
            let (values, near) = match Values::of(component, slab, shift, bound) {
                Some(values) => (Some(values), near),
                None => (Values::of(component, slab, shift, &Bound::LOSSLESS), 0),
            };
            let (Some(values), Some(frame)) = (values, middle_frame(slab, component)) else { continue };
            let part = Slab { rows: (EXCERPT_SAMPLES_MAX / slab.columns).clamp(1, slab.rows), ..*slab };
            let lesson = self.lessons.len();
            let example = values.example(&part, excerpt(slab, &part, frame, lesson));
            let referenced = || references.iter().filter_map(|components| components.first());
            let referenced =
                referenced().filter_map(|c| Some(excerpt(slab, &part, middle_frame(slab, c)?, lesson)));
            let referenced = referenced.filter(|_| slab.components == 1);
            let references = referenced.map(|frame| values.reference_example(&part, frame)).collect();
            self.lessons.push(Lesson { example, references, near });
        }
    }

    /// The model for a series of `raw_bytes` bytes.
    pub fn learn(&self, raw_bytes: u64) -> Model {
        let sizes =
            SIZES_BY_BYTES.iter().find(|(least, _)| raw_bytes >= *least).map_or([1; 3], |(_, sizes)| *sizes);
        let all: Vec<Learning<'_>> = self.lessons.iter().map(|lesson| (lesson, None)).collect();
        let sharing = raw_bytes < SHARING_BYTES;
        let model = Model::new(plain_steps(sizes), None, vec![None; CONTEXTS]);
        let model = Model::new(learn_steps(&all, model, false, sharing), None, vec![None; CONTEXTS]);
        let referenced: Vec<_> = self.lessons.iter().map(|lesson| lesson.with_reference(&model)).collect();
        let referenced: Vec<_> = referenced.iter().filter(|(_, reference)| reference.is_some()).collect();
        let referenced: Vec<_> =
            referenced.iter().map(|(lesson, reference)| (*lesson, reference.as_ref())).collect();
        if !referenced.is_empty() {
            let mut candidate = model.clone();
            candidate.steps_with_reference = Some(Box::new(plain_steps(sizes)));
            let steps = learn_steps(&referenced, candidate.clone(), true, sharing);
            candidate.steps_with_reference = Some(Box::new(steps));
            let with = learn(&referenced, &candidate, true, None);
            if pays(&referenced, &model, &candidate, &with, raw_bytes) {
                let mut counted = learn(&all, &candidate, false, None);
                counted.add_counts(&with);
                return Model::new(candidate.steps, candidate.steps_with_reference, counted.frequencies());
            }
        }
        let counted = learn(&all, &model, false, None);
        Model::new(model.steps, None, counted.frequencies())
    }
}

/// A lesson, and what it is predicted from besides itself.
type Learning<'l> = (&'l Lesson, Option<&'l Reference>);

impl Lesson {
    /// The reference as a decoder will have it: coded by `model` within the bound.
    fn with_reference(&self, model: &Model) -> (&Self, Option<Reference>) {
        let decoded = |reference: &Example| {
            if self.near == 0 {
                return Some(reference.samples.clone());
            }
            let Example { image, samples } = reference;
            let mut learnt = Learnt::new(model.steps(false), false, None);
            (learnt.samples, learnt.columns) = (samples, image.columns);
            learnt.quantiser = Quantiser::new(self.near, 0, image.max);
            let mut walk = Walk::base(image, &mut learnt).ok()?;
            walk.down_to(0, image, model, None, &mut learnt).ok()?;
            Some(walk.samples.inner_rows().flatten().copied().collect())
        };
        let decoded: Option<Vec<_>> = self.references.iter().map(decoded).collect();
        let image = &self.example.image;
        (
            self,
            decoded.and_then(|decoded| {
                let decoded: Vec<_> = decoded.iter().map(Vec::as_slice).collect();
                Reference::of(image.rows, image.columns, &decoded, |sample| sample)
            }),
        )
    }
}

/// Whether references are worth their weights in a series of `raw_bytes` bytes; `counted` is what they come to.
fn pays(
    referenced: &[Learning<'_>],
    alone: &Model,
    with: &Model,
    counted: &Learnt<'_>,
    raw_bytes: u64,
) -> bool {
    let bits_alone = learn(referenced, alone, false, None).bits();
    let bits_with = counted.bits();
    let places: usize = referenced.iter().map(|(lesson, _)| lesson.example.samples.len()).sum();
    // Half of the samples, of two bytes each, will have a reference.
    let saved = (bits_alone - bits_with) * raw_bytes as f64 / 4.0 / places as f64;
    let dearer = 8 * with.write().len().saturating_sub(alone.write().len());
    bits_with < bits_alone * REFERENCE_SHARE_MAX && saved > REFERENCE_GAIN_MIN * dearer as f64
}

fn middle_frame<'c>(slab: &Slab, component: &'c [u16]) -> Option<&'c [u16]> {
    component.chunks_exact(slab.rows * slab.columns).nth(slab.frames / 2)
}

/// Some rows of a frame: of each lesson others, from a quarter of the way to three quarters, since what matters lies in the middle.
fn excerpt<'f>(slab: &Slab, part: &Slab, frame: &'f [u16], lesson: usize) -> &'f [u16] {
    let place = lesson * EXCERPT_STRIDE % EXCERPTS;
    let slack = slab.rows - part.rows;
    let first = (slack / 4 + slack / 2 * place / (EXCERPTS - 1)) * slab.columns;
    frame.get(first..first + part.rows * slab.columns).unwrap_or_default()
}

fn plain_steps([full, half, rest]: [usize; STEPS / 2]) -> [StepModel; STEPS] {
    [full, full, half, half, rest, rest].map(StepModel::plain)
}

/// Learns the steps for images without or with references.
fn learn_steps(
    lessons: &[Learning<'_>],
    mut model: Model,
    referenced: bool,
    sharing: bool,
) -> [StepModel; STEPS] {
    for round in 0..ROUNDS {
        let mut learnt = learn(lessons, &model, referenced, Some(round));
        if sharing {
            learnt.share();
        }
        let steps = match &mut model.steps_with_reference {
            Some(steps) if referenced => steps.as_mut(),
            _ => &mut model.steps,
        };
        for (step, learnt) in steps.iter_mut().zip(&learnt.steps) {
            learnt.improve(step, round == 0, grain(lessons));
        }
    }
    match model.steps_with_reference {
        Some(steps) if referenced => *steps,
        _ => model.steps,
    }
}

/// `round`: weights are learnt, in this round; else symbols are counted.
fn learn<'l>(lessons: &[Learning<'l>], model: &Model, referenced: bool, round: Option<usize>) -> Learnt<'l> {
    let mut learnt = Learnt::new(model.steps(referenced), referenced, round);
    for (lesson, reference) in lessons {
        let Example { image, samples } = &lesson.example;
        learnt.samples = samples;
        learnt.columns = image.columns;
        // The first weights are learnt from samples as they came: those learnt from their own errors would keep them.
        let near = if round == Some(0) { 0 } else { lesson.near };
        learnt.quantiser = Quantiser::new(near, 0, image.max);
        let reference = reference.filter(|_| referenced);
        // An example has all the samples that its image asks for.
        if let Ok(mut walk) = Walk::base(image, &mut learnt) {
            let _ = walk.down_to(0, image, model, reference, &mut learnt);
        }
    }
    for step in &mut learnt.steps {
        step.weights.iter_mut().chain([&mut step.ahead, &mut step.at_last]).for_each(Sums::add_waiting);
    }
    learnt
}

/// What a walk over the lessons gathers.
struct Learnt<'l> {
    columns: usize,
    samples: &'l [u16],
    quantiser: Quantiser,
    steps: Vec<StepSums>,
    round: Option<usize>,
    counts: Vec<[u64; SYMBOLS]>,
    low_bits: u64,
    places: usize,
}

struct StepSums {
    lanes: usize,
    /// For each class.
    weights: Vec<Sums>,
    ahead: Sums,
    at_last: Sums,
    /// How often each expected error occurred.
    histogram: Vec<u64>,
    samples: u64,
}

impl Learnt<'_> {
    fn new(steps: &[StepModel; STEPS], referenced: bool, round: Option<usize>) -> Self {
        let step = |(number, step): (usize, &StepModel)| {
            let lanes = lanes(number, referenced);
            StepSums {
                lanes,
                weights: vec![Sums::new(lanes + 3); step.weights.len()],
                ahead: Sums::new(FEATURES_AHEAD + 1),
                at_last: Sums::new(FEATURES_AT_LAST + 1),
                histogram: vec![0; (u64::BITS * HISTOGRAM_STEPS) as usize],
                samples: 0,
            }
        };
        let steps = if round.is_some() { steps.iter().enumerate().map(step).collect() } else { Vec::new() };
        Self {
            columns: 0,
            samples: &[],
            quantiser: Quantiser::new(0, 0, 0),
            steps,
            round,
            counts: vec![[0; SYMBOLS]; CONTEXTS],
            low_bits: 0,
            places: 0,
        }
    }

    /// Gives all classes of one phase, of all resolutions, the sums of them all.
    fn share(&mut self) {
        for axial in 0..2 {
            for phase in 0..PHASES {
                let range = |step: &StepSums| {
                    let count = step.weights.len() / PHASES;
                    phase * count..(phase + 1) * count
                };
                let mut all: Option<Sums> = None;
                for step in self.steps.iter().skip(axial).step_by(2) {
                    for sums in step.weights.get(range(step)).unwrap_or_default() {
                        match &mut all {
                            Some(all) => all.add_sums(sums, 1.0),
                            None => all = Some(sums.clone()),
                        }
                    }
                }
                for step in self.steps.iter_mut().skip(axial).step_by(2) {
                    let range = range(step);
                    let own = step.weights.get_mut(range).into_iter().flatten();
                    own.for_each(|sums| all.iter().for_each(|all| sums.clone_from(all)));
                }
            }
        }
    }

    fn at(&self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        self.samples.get(row * self.columns + column).copied().ok_or(DamagedSlab)
    }

    fn add_counts(&mut self, other: &Self) {
        for (counts, others) in self.counts.iter_mut().zip(&other.counts) {
            counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
        }
    }

    fn frequencies(&self) -> Vec<Option<[u8; SYMBOLS]>> {
        let codes = |counts: &[u64; SYMBOLS]| {
            let total: u64 = counts.iter().sum();
            (total >= SYMBOLS_MIN).then(|| counts.map(|count| frequency_code(count, total)))
        };
        self.counts.iter().map(codes).collect()
    }

    /// What the symbols would cost with the best frequencies.
    fn bits(&self) -> f64 {
        let cost = |counts: &[u64; SYMBOLS]| -> f64 {
            let total = counts.iter().sum::<u64>() as f64;
            counts
                .iter()
                .filter(|count| **count > 0)
                .map(|count| *count as f64 * (total / *count as f64).log2())
                .sum()
        };
        self.counts.iter().map(cost).sum::<f64>() + self.low_bits as f64
    }
}

impl Samples for Learnt<'_> {
    const LEARNS: bool = true;

    fn quantiser(&self) -> Quantiser {
        self.quantiser
    }

    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        self.at(row, column)
    }

    fn steps(&mut self, at: &Spots<'_>, slots: &mut Slots) -> Result<(), DamagedSlab> {
        for place in 0..slots.places {
            let Some(context) = slots.context(place) else { continue };
            let sample = self.at(at.row, at.column + place * at.columns)?;
            let steps = slots.steps_to(place, sample, &self.quantiser);
            slots.set_steps(place, steps);
            if self.round.is_none() {
                let (symbol, low_bits) = symbol_of(context, steps);
                let count = self.counts.get_mut(context).and_then(|counts| counts.get_mut(symbol));
                count.into_iter().for_each(|count| *count += 1);
                self.low_bits += u64::from(low_bits);
            } else if let Some(sums) = self.steps.get_mut(at.step) {
                self.places += 1;
                let every = self.round.and_then(|round| PLACES_PER_LESSON.get(round)?.get(at.step / 2));
                if self.places.is_multiple_of(every.copied().unwrap_or(1)) {
                    sums.add(at, slots, place, sample);
                }
            }
        }
        Ok(())
    }
}

impl StepSums {
    #[allow(clippy::indexing_slicing, reason = "a place of the row in work")]
    fn add(&mut self, at: &Spots<'_>, slots: &Slots, place: usize, sample: u16) {
        self.samples += 1;
        let ahead = &at.ahead.phases[at.phase];
        let expected_ahead = ahead.errors_ahead[place] as f32 / ERROR_ONE + ERROR_SOFT;
        let expected = slots.expected[place] as f32 / ERROR_ONE + ERROR_SOFT;
        if let Some(sums) = self.weights.get_mut(ahead.classes[place] as usize) {
            let inputs = inputs(at, ahead, place, self.lanes);
            let target = (i32::from(sample) - ahead.middles[place]) as f32;
            sums.add(&inputs[..self.lanes + 3], target, 1.0 / (expected_ahead * expected_ahead));
        }
        let error = (i32::from(sample) << FINE_BITS).abs_diff(slots.predictions[place]) as f32 / FINE_ONE;
        let mut features = [1.0; FEATURES_AT_LAST + 1];
        for (value, feature) in features.iter_mut().zip(&ahead.features) {
            *value = feature[place] as f32;
        }
        // What follows the features ahead is still one: the constant.
        self.ahead.add(&features[..=FEATURES_AHEAD], error, 1.0 / (expected_ahead * expected_ahead));
        features[FEATURES_AHEAD] = slots.side_errors[place] as f32;
        features[FEATURES_AHEAD + 1] = slots.moved[place] as f32;
        self.at_last.add(&features, error, 1.0 / (expected * expected));
        if let Some(count) = self.histogram.get_mut(histogram_step(ahead.errors_ahead[place] as u32)) {
            *count += 1;
        }
    }

    /// `classes`: the classes are made anew as well.
    fn improve(&self, step: &mut StepModel, classes: bool, grain: f64) {
        if self.samples == 0 {
            return;
        }
        let first_phase = step.weights.len() / PHASES;
        for phase in 0..PHASES {
            let range = phase * first_phase..(phase + 1) * first_phase;
            let sums = || self.weights.iter().take(range.end).skip(range.start);
            let mut all = Sums::new(self.lanes + 3);
            sums().for_each(|sums| all.add_sums(sums, 1.0));
            let mut used = vec![true; self.lanes + 3];
            used.iter_mut().skip(self.lanes).take(2).for_each(|side| *side = phase > 0);
            for (weights, sums) in step.weights.iter_mut().skip(range.start).zip(sums()) {
                let mut sums = sums.clone();
                sums.add_sums(&all, SHARED_SAMPLES / self.samples as f64);
                *weights = whole(&sums.solve(&used), self.lanes, grain);
            }
        }
        if classes {
            let (factors, constant) = factors(&self.ahead.solve_not_negative());
            (step.ahead, step.ahead_constant) = (factors, constant);
            step.limits = self.limits(step.limits.len());
        }
        (step.at_last, step.at_last_constant) = factors(&self.at_last.solve_not_negative());
    }

    /// Limits that cut the expected errors into equal parts.
    fn limits(&self, count: usize) -> Vec<u32> {
        let total: u64 = self.histogram.iter().sum();
        let mut least = 0;
        (1..=count as u64)
            .map(|part| {
                let mut sum = 0;
                let reached = self.histogram.iter().position(|occurred| {
                    sum += occurred;
                    sum * (count as u64 + 1) >= total * part
                });
                let limit = error_of_step(reached.unwrap_or_default() as u32 + 1).max(least);
                least = limit.saturating_add(1);
                // Room for those that must be above it.
                limit.min(i32::MAX as u32 - (count as u64 - part) as u32)
            })
            .collect()
    }
}

/// Differences of the windows, then left, right, and a constant of one.
#[allow(clippy::indexing_slicing, reason = "at most as many lanes as there are weights")]
fn inputs(at: &Spots<'_>, ahead: &PhaseAhead, place: usize, lanes: usize) -> [f32; WEIGHTS_MAX + 3] {
    let reference = at.reference.map(|reference| &reference.mean);
    let windows = around::windows(at.samples, reference, at.quarter, at.quarter_row);
    let differences = at.ahead.differences(windows.rows(), PHASES * place + at.phase);
    let mut inputs = [0.0; WEIGHTS_MAX + 3];
    inputs
        .iter_mut()
        .zip(&differences[..lanes])
        .for_each(|(input, difference)| *input = (*difference).into());
    if let Some(sides) = at.sides {
        for (input, side) in inputs.iter_mut().skip(lanes).zip(&sides.samples[place..place + 2]) {
            *input = (side - ahead.middles[place]) as f32;
        }
    }
    inputs[lanes + 2] = 1.0;
    inputs
}

/// What weights are multiples of, in 1/2048: under a bound, coarser ones predict as well and take less.
fn grain(lessons: &[Learning<'_>]) -> f64 {
    let near = lessons.iter().map(|(lesson, _)| lesson.near).max().unwrap_or_default();
    GRAIN_BY_NEAR.iter().find(|(least, _)| near >= *least).map_or(1.0, |(_, grain)| *grain)
}

/// Weights in 1/2048.
fn whole(weights: &[f64], lanes: usize, grain: f64) -> Weights {
    let (mut windows, mut sides, mut constant) = ([0; WEIGHTS_MAX], [0; 2], 0);
    let targets = windows.iter_mut().take(lanes).chain(&mut sides).chain([&mut constant]);
    for (target, weight) in targets.zip(weights) {
        *target = ((weight * f64::from(1 << WEIGHT_BITS) / grain).round() * grain).max(-32_767.0) as i16;
    }
    Weights::new(&windows, sides, constant)
}

/// Factors of features, and the constant, in 1/4096.
fn factors<const N: usize>(factors: &[f64]) -> ([u16; N], u32) {
    let whole = |factor: Option<&f64>| {
        let factor = factor.copied().unwrap_or_default() * f64::from(ERROR_ONE);
        (factor.round() as u16).min(FACTOR_MAX)
    };
    let constant = factors.get(N).copied().unwrap_or_default() * f64::from(ERROR_ONE);
    (
        std::array::from_fn(|number| whole(factors.get(number))),
        (constant.round() as u32).min(8 * u32::from(FACTOR_MAX)),
    )
}

/// Steps of equal width within an octave.
fn histogram_step(error: u32) -> usize {
    let log = (error | 1).ilog2();
    let within = (u64::from(error | 1) * u64::from(HISTOGRAM_STEPS)) >> log;
    (log * HISTOGRAM_STEPS) as usize + within as usize - HISTOGRAM_STEPS as usize
}

/// The least error of a step, at most what 32 bits hold.
fn error_of_step(step: u32) -> u32 {
    let within = u64::from(HISTOGRAM_STEPS + step % HISTOGRAM_STEPS);
    let error = u128::from(within) << (step / HISTOGRAM_STEPS) >> HISTOGRAM_STEPS.ilog2();
    u32::try_from(error).unwrap_or(u32::MAX)
}
