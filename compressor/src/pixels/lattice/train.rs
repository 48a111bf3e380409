//! Learns the model of a series from some of its images (the encoder's choice; codec SPEC 3 says only what is sent).

use super::super::DamagedSlab;
use super::contexts::SYMBOLS;
use super::guess::{FEATURES, FEATURES_AHEAD, Guess, WEIGHT_BITS, WEIGHTS, in_windows};
use super::model::{Model, ORIENTATIONS, STEPS, StepModel, frequency_code};
use super::solve::Sums;
use super::symbols::{CONTEXTS, symbol_of};
use super::walk::{Image, Samples, Spot, walk};

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
    pub(super) samples: Vec<u16>,
}

/// Learns from examples of a series of `raw_bytes` bytes.
pub(super) fn train(examples: &[Example], raw_bytes: u64) -> Model {
    let sizes =
        SIZES_BY_BYTES.iter().find(|(least, _)| raw_bytes >= *least).map_or([1; 3], |(_, sizes)| *sizes);
    let mut model = first_model(sizes);
    for round in 0..2 {
        let learnt = learn(examples, &model, true);
        for (number, (step, learnt)) in model.steps.iter_mut().zip(&learnt.steps).enumerate() {
            learnt.improve(step, number % 2 == 1, round == 0);
        }
    }
    model.frequencies = learn(examples, &model, false).frequencies();
    model
}

/// Predicts the mean of the nearest.
fn first_model(sizes: [usize; STEPS / 2]) -> Model {
    let step = |axial, sizes: usize| {
        let limits = (1..sizes).map(|limit| 1 << (12 + limit)).collect();
        let weights = vec![[0; WEIGHTS]; ORIENTATIONS * sizes];
        StepModel::new(axial, [154, 0, 102, 0, 51, 0], [154, 0, 102, 0, 51, 0, 0, 0], limits, weights)
    };
    let [full, half, rest] = sizes;
    let steps = [(false, full), (true, full), (false, half), (true, half), (false, rest), (true, rest)];
    let steps = steps.map(|(axial, sizes)| step(axial, sizes));
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
    samples: &'e [u16],
    steps: Vec<StepSums>,
    /// Weights are learnt in this walk, not frequencies.
    sums: bool,
    counts: Vec<[u64; SYMBOLS]>,
}

struct StepSums {
    weights: Vec<Sums<WEIGHTS>>,
    ahead: Sums<FEATURES_AHEAD>,
    at_last: Sums<FEATURES>,
    /// How often each expected error occurred.
    histogram: Vec<u64>,
    samples: u64,
}

impl Learnt<'_> {
    fn new(model: &Model, sums: bool) -> Self {
        let step = |step: &StepModel| StepSums {
            weights: vec![Sums::new(); step.weights.len()],
            ahead: Sums::new(),
            at_last: Sums::new(),
            histogram: vec![0; (u64::BITS * HISTOGRAM_STEPS) as usize],
            samples: 0,
        };
        let steps = model.steps.iter().map(step).collect();
        Self { columns: 0, samples: &[], steps, sums, counts: vec![[0; SYMBOLS]; CONTEXTS] }
    }

    fn at(&self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
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
    fn base(&mut self, row: usize, column: usize) -> Result<u16, DamagedSlab> {
        self.at(row, column)
    }

    fn sample(&mut self, spot: &Spot<'_>, guess: &Guess) -> Result<u16, DamagedSlab> {
        let sample = self.at(spot.row, spot.column)?;
        if !self.sums {
            let (context, symbol) = symbol_of(guess, sample);
            let count = self.counts.get_mut(context).and_then(|counts| counts.get_mut(symbol));
            count.into_iter().for_each(|count| *count += 1);
        } else if let Some(sums) = self.steps.get_mut(spot.step) {
            sums.add(spot, guess, sample);
        }
        Ok(sample)
    }
}

impl StepSums {
    fn add(&mut self, spot: &Spot<'_>, guess: &Guess, sample: u16) {
        self.samples += 1;
        let inputs = guess.taps(spot.samples, spot.place, spot.around);
        let ahead = guess.error_ahead as f64 / ERROR_ONE + ERROR_SOFT;
        let at_last = guess.error as f64 / ERROR_ONE + ERROR_SOFT;
        if let Some(sums) = self.weights.get_mut(guess.class) {
            sums.add(&inputs, (i32::from(sample) - guess.middle).into(), 1.0 / (ahead * ahead));
        }
        let features = guess.features.map(|feature| f64::from(feature) / FINE_ONE);
        let error = f64::from(guess.error_of(sample)) / FINE_ONE;
        if let Some(features) = features.first_chunk() {
            self.ahead.add(features, error, 1.0 / (ahead * ahead));
        }
        self.at_last.add(&features, error, 1.0 / (at_last * at_last));
        if let Some(count) = self.histogram.get_mut(histogram_step(guess.error_ahead)) {
            *count += 1;
        }
    }

    /// `classes`: the classes are made anew as well.
    fn improve(&self, step: &mut StepModel, axial: bool, classes: bool) {
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
        step.windows = step.weights.iter().map(|weights| in_windows(axial, weights)).collect();
        if classes {
            step.ahead = factors(self.ahead.solve_not_negative());
            step.limits = self.limits(step.limits.len());
        }
        step.at_last = factors(self.at_last.solve_not_negative());
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

fn factors<const N: usize>(factors: [f64; N]) -> [u16; N] {
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
