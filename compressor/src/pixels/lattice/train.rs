//! Learns the model of a series from some of its images (the encoder's choice; codec SPEC 3 says only what is sent).

use super::super::DamagedSlab;
use super::contexts::SYMBOLS;
use super::guess::{FEATURE_OF_PREDICTION, FEATURES, Guess, WEIGHT_BITS, WEIGHTS};
use super::model::{Model, ORIENTATIONS, STEPS, StepModel, frequency_code};
use super::solve::Sums;
use super::symbols::{CONTEXTS, symbol_of};
use super::walk::{Image, Samples, walk};

/// Expected errors of one, in 1/4096.
const ERROR_ONE: f64 = 4096.0;
/// Bits behind the point of the factors of features.
const FACTOR_ONE: f64 = 512.0;
/// Features and errors of one, in 1/8.
const FINE_ONE: f64 = 8.0;
/// Expected error, in sample values, that is added before dividing by it: keeps flat places from ruling all others.
const ERROR_SOFT: f64 = 0.25;
/// How much a class listens to all classes together: as if it had this many samples of them.
const SHARED_SAMPLES: f64 = 30.0;
/// Symbols of a context below which its frequencies are not worth sending.
const SYMBOLS_MIN: u64 = 256;
/// Steps of the histogram of expected errors, for each octave.
const HISTOGRAM_STEPS: u32 = 16;
/// Raw bytes of a series from which on each resolution gets this many sizes of error.
const SIZES_BY_BYTES: [(u64, [usize; STEPS / 2]); 3] =
    [(1 << 21, [6, 4, 2]), (1 << 19, [4, 2, 1]), (0, [2, 1, 1])];

/// An image to learn from.
pub(super) struct Example {
    pub(super) image: Image,
    /// Row by row.
    pub(super) samples: Vec<i32>,
}

/// Learns from examples of a series of `raw_bytes` bytes.
pub(super) fn train(examples: &[Example], raw_bytes: u64) -> Model {
    let sizes =
        SIZES_BY_BYTES.iter().find(|(least, _)| raw_bytes >= *least).map_or([1; 3], |(_, sizes)| *sizes);
    let mut model = first_model(sizes);
    for round in 0..2 {
        let learnt = learn(examples, &model, true);
        for (step, learnt) in model.steps.iter_mut().zip(&learnt.steps) {
            learnt.improve(step, round == 0);
        }
    }
    model.frequencies = learn(examples, &model, false).frequencies();
    model
}

/// Predicts the mean of the nearest.
fn first_model(sizes: [usize; STEPS / 2]) -> Model {
    let step = |sizes: usize| StepModel {
        before: [154, 0, 102, 0, 51, 0, 0, 0],
        after: [154, 0, 102, 0, 51, 0, 0, 0],
        limits: (1..sizes).map(|limit| 1 << (12 + limit)).collect(),
        weights: vec![[0; WEIGHTS]; ORIENTATIONS * sizes],
    };
    let [full, half, rest] = sizes.map(step);
    let steps = [full.clone(), full, half.clone(), half, rest.clone(), rest];
    Model { steps, frequencies: vec![None; CONTEXTS] }
}

fn learn<'e>(examples: &'e [Example], model: &Model, sums: bool) -> Learnt<'e> {
    let mut learnt = Learnt::new(model, sums);
    for example in examples {
        learnt.columns = example.image.columns;
        learnt.samples = &example.samples;
        // An example has all the samples that its image asks for.
        let _ = walk(&example.image, model, &mut learnt);
    }
    learnt
}

/// What a walk over the examples gathers.
struct Learnt<'e> {
    columns: usize,
    samples: &'e [i32],
    steps: Vec<StepSums>,
    /// Weights are learnt in this walk, not frequencies.
    sums: bool,
    counts: Vec<[u64; SYMBOLS]>,
}

struct StepSums {
    weights: Vec<Sums<WEIGHTS>>,
    before: Sums<FEATURES>,
    after: Sums<FEATURES>,
    /// How often each expected error occurred.
    histogram: Vec<u64>,
    samples: u64,
}

impl Learnt<'_> {
    fn new(model: &Model, sums: bool) -> Self {
        let step = |step: &StepModel| StepSums {
            weights: vec![Sums::new(); step.weights.len()],
            before: Sums::new(),
            after: Sums::new(),
            histogram: vec![0; (u64::BITS * HISTOGRAM_STEPS) as usize],
            samples: 0,
        };
        let steps = model.steps.iter().map(step).collect();
        Self { columns: 0, samples: &[], steps, sums, counts: vec![[0; SYMBOLS]; CONTEXTS] }
    }

    fn at(&self, row: usize, column: usize) -> Result<i32, DamagedSlab> {
        self.samples.get(row * self.columns + column).copied().ok_or(DamagedSlab)
    }

    fn frequencies(&self) -> Vec<Option<[u8; SYMBOLS]>> {
        let codes = |counts: &[u64; SYMBOLS]| {
            let total: u64 = counts.iter().sum();
            (total >= SYMBOLS_MIN).then(|| counts.map(|count| frequency_code(count, total)))
        };
        self.counts.iter().map(codes).collect()
    }
}

impl Samples for Learnt<'_> {
    fn base(&mut self, row: usize, column: usize) -> Result<i32, DamagedSlab> {
        self.at(row, column)
    }

    fn sample(&mut self, step: usize, row: usize, column: usize, guess: &Guess) -> Result<i32, DamagedSlab> {
        let sample = self.at(row, column)?;
        if !self.sums {
            let (context, symbol) = symbol_of(guess, sample);
            let count = self.counts.get_mut(context).and_then(|counts| counts.get_mut(symbol));
            count.into_iter().for_each(|count| *count += 1);
        } else if let Some(sums) = self.steps.get_mut(step) {
            sums.add(guess, sample);
        }
        Ok(sample)
    }
}

impl StepSums {
    fn add(&mut self, guess: &Guess, sample: i32) {
        self.samples += 1;
        let mut inputs = [1.0; WEIGHTS];
        inputs.iter_mut().zip(guess.taps).for_each(|(input, tap)| *input = tap.into());
        let before = guess.error_before as f64 / ERROR_ONE + ERROR_SOFT;
        let after = guess.error as f64 / ERROR_ONE + ERROR_SOFT;
        if let Some(sums) = self.weights.get_mut(guess.class) {
            sums.add(&inputs, (sample - guess.middle).into(), 1.0 / (before * before));
        }
        let features = guess.features.map(|feature| f64::from(feature) / FINE_ONE);
        let error = f64::from(guess.error_of(sample)) / FINE_ONE;
        self.before.add(&features, error, 1.0 / (before * before));
        self.after.add(&features, error, 1.0 / (after * after));
        if let Some(count) = self.histogram.get_mut(histogram_step(guess.error_before)) {
            *count += 1;
        }
    }

    /// `classes`: the classes are made anew as well.
    fn improve(&self, step: &mut StepModel, classes: bool) {
        if self.samples == 0 {
            return;
        }
        let mut all = Sums::new();
        self.weights.iter().for_each(|sums| all.add_sums(sums, 1.0));
        for (weights, sums) in step.weights.iter_mut().zip(&self.weights) {
            let mut sums = sums.clone();
            sums.add_sums(&all, SHARED_SAMPLES / self.samples as f64);
            *weights = whole(sums.solve([true; WEIGHTS]));
        }
        if classes {
            let mut known = [true; FEATURES];
            known.iter_mut().skip(FEATURE_OF_PREDICTION).for_each(|used| *used = false);
            step.before = factors(self.before.solve_not_negative(known));
            step.limits = self.limits(step.limits.len());
        }
        step.after = factors(self.after.solve_not_negative([true; FEATURES]));
    }

    /// Limits that cut the expected errors into equal parts.
    fn limits(&self, count: usize) -> Vec<u64> {
        let total: u64 = self.histogram.iter().sum();
        (1..=count as u64)
            .map(|part| {
                let mut sum = 0;
                let reached = self.histogram.iter().position(|occurred| {
                    sum += occurred;
                    sum * (count as u64 + 1) >= total * part
                });
                error_of_step(reached.unwrap_or_default() as u32 + 1)
            })
            .collect()
    }
}

/// Weights in 1/2048.
fn whole(weights: [f64; WEIGHTS]) -> [i16; WEIGHTS] {
    weights.map(|weight| (weight * f64::from(1 << WEIGHT_BITS)).round() as i16)
}

fn factors(factors: [f64; FEATURES]) -> [u16; FEATURES] {
    factors.map(|factor| (factor * FACTOR_ONE).round() as u16)
}

/// Steps of equal width within an octave.
fn histogram_step(error: u64) -> usize {
    let log = (error | 1).ilog2();
    let within = ((error | 1) * u64::from(HISTOGRAM_STEPS)) >> log;
    (log * HISTOGRAM_STEPS) as usize + within as usize - HISTOGRAM_STEPS as usize
}

/// The least error of a step, at most what 32 bits hold.
fn error_of_step(step: u32) -> u64 {
    let within = u64::from(HISTOGRAM_STEPS + step % HISTOGRAM_STEPS);
    let error = u128::from(within) << (step / HISTOGRAM_STEPS) >> HISTOGRAM_STEPS.ilog2();
    u64::try_from(error).unwrap_or(u64::MAX).min(u32::MAX.into())
}
