//! What is learnt of a series and sent with it: weights, classes, expected errors, first frequencies (codec SPEC 3).

use super::super::DamagedSlab;
use super::contexts::SYMBOLS;
use super::guess::{FEATURES, FEATURES_AHEAD, WEIGHTS, WINDOW, in_windows};
use super::symbols::{CONTEXTS, usual_frequencies};

/// Classes of one size of expected error: one slope is steeper, or the other, or neither.
pub(super) const ORIENTATIONS: usize = 3;
/// Resolutions that have weights of their own: full, half, all coarser ones together.
const RESOLUTIONS: usize = 3;
/// Steps that have weights of their own: diagonal and axial of each resolution.
pub(super) const STEPS: usize = 2 * RESOLUTIONS;
/// Limits between classes in one step.
const LIMITS_MAX: usize = 7;
/// First byte of a model.
const VERSION: u8 = 1;
/// A frequency is sent as a whole number of half octaves.
const FREQUENCY_CODE_MAX: u8 = 24;

/// Index of the step model of a resolution, 0 being the full one.
pub(super) fn step_index(level: u32, axial: bool) -> usize {
    2 * (level as usize).min(RESOLUTIONS - 1) + usize::from(axial)
}

/// What is learnt of one step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepModel {
    /// Factors of the features for the expected error that chooses the class, in 1/512.
    pub(super) ahead: [u16; FEATURES_AHEAD],
    /// The same for the expected error that chooses the context.
    pub(super) at_last: [u16; FEATURES],
    /// Rising limits between the classes, in 1/4096 of a sample value.
    pub(super) limits: Vec<u64>,
    /// Weights of each class, in 1/2048.
    pub(super) weights: Vec<[i16; WEIGHTS]>,
    /// The weights of each class where they lie in the window.
    pub(super) windows: Vec<[i16; WINDOW]>,
}

impl StepModel {
    pub(super) fn new(
        axial: bool,
        ahead: [u16; FEATURES_AHEAD],
        at_last: [u16; FEATURES],
        limits: Vec<u64>,
        weights: Vec<[i16; WEIGHTS]>,
    ) -> Self {
        let windows = weights.iter().map(|weights| in_windows(axial, weights)).collect();
        Self { ahead, at_last, limits, weights, windows }
    }

    #[inline(always)]
    pub(super) fn error_ahead(&self, features: &[u32; FEATURES_AHEAD]) -> u64 {
        self.ahead
            .iter()
            .zip(features)
            .map(|(factor, feature)| u64::from(*factor) * u64::from(*feature))
            .sum()
    }

    #[inline(always)]
    pub(super) fn error(&self, features: &[u32; FEATURES]) -> u64 {
        self.at_last
            .iter()
            .zip(features)
            .map(|(factor, feature)| u64::from(*factor) * u64::from(*feature))
            .sum()
    }

    /// From 0 to the number of limits.
    #[inline(always)]
    pub(super) fn class(&self, error: u64) -> usize {
        self.limits.iter().map(|limit| usize::from(error > *limit)).sum()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.limits.len() as u8);
        self.limits.iter().for_each(|limit| bytes.extend_from_slice(&(*limit as u32).to_le_bytes()));
        for factor in self.ahead.iter().chain(&self.at_last) {
            bytes.extend_from_slice(&factor.to_le_bytes());
        }
        for weight in self.weights.iter().flatten() {
            bytes.extend_from_slice(&weight.to_le_bytes());
        }
    }

    fn read(bytes: &mut Bytes<'_>, axial: bool) -> Result<Self, DamagedSlab> {
        let limits = usize::from(bytes.take::<1>()?[0]);
        if limits > LIMITS_MAX {
            return Err(DamagedSlab);
        }
        let limits = (0..limits).map(|_| Ok(u32::from_le_bytes(bytes.take()?).into()));
        let limits = limits.collect::<Result<Vec<_>, _>>()?;
        let (mut ahead, mut at_last) = ([0; FEATURES_AHEAD], [0; FEATURES]);
        for factor in ahead.iter_mut().chain(&mut at_last) {
            *factor = u16::from_le_bytes(bytes.take()?);
        }
        let mut weights = vec![[0; WEIGHTS]; ORIENTATIONS * (limits.len() + 1)];
        for weight in weights.iter_mut().flatten() {
            *weight = i16::from_le_bytes(bytes.take()?);
        }
        Ok(Self::new(axial, ahead, at_last, limits, weights))
    }
}

/// What is learnt of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(super) steps: [StepModel; STEPS],
    /// Codes of the first frequencies of each context; `None` where too few symbols were seen.
    pub(super) frequencies: Vec<Option<[u8; SYMBOLS]>>,
}

impl Model {
    /// The bytes of the model (codec SPEC 3).
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        self.steps.iter().for_each(|step| step.write(&mut bytes));
        for frequencies in &self.frequencies {
            bytes.push(frequencies.is_some().into());
            bytes.extend(frequencies.iter().flatten());
        }
        bytes
    }

    /// Reads the bytes of [`Model::write`].
    ///
    /// # Errors
    /// [`DamagedSlab`].
    pub fn read(bytes: &[u8]) -> Result<Self, DamagedSlab> {
        let mut bytes = Bytes(bytes);
        if bytes.take() != Ok([VERSION]) {
            return Err(DamagedSlab);
        }
        let mut step = |axial| StepModel::read(&mut bytes, axial);
        let mut both = || Ok([step(false)?, step(true)?]);
        let [[a, b], [c, d], [e, f]] = [both()?, both()?, both()?];
        let steps = [a, b, c, d, e, f];
        let mut frequencies = Vec::with_capacity(CONTEXTS);
        for _ in 0..CONTEXTS {
            frequencies.push(match bytes.take()? {
                [0] => None,
                [1] => Some(bytes.take::<SYMBOLS>()?),
                _ => return Err(DamagedSlab),
            });
        }
        let known = frequencies.iter().flatten().flatten().all(|code| *code <= FREQUENCY_CODE_MAX);
        if known && bytes.0.is_empty() { Ok(Self { steps, frequencies }) } else { Err(DamagedSlab) }
    }

    /// The frequencies that each context starts with.
    pub(super) fn first_frequencies(&self) -> impl Iterator<Item = [u32; SYMBOLS]> {
        let sent = self.frequencies.iter().enumerate();
        sent.map(|(context, codes)| codes.map_or_else(|| usual_frequencies(context), |c| c.map(frequency)))
    }
}

/// 0, then 1, 1.41, 2, 2.83 … each in 1/2.
fn frequency(code: u8) -> u32 {
    let Some(steps) = code.checked_sub(1) else { return 0 };
    let octave = 2 << (steps / 2);
    if steps % 2 == 1 { octave * 181 / 128 } else { octave }
}

/// The code whose frequency is next to `share` of the range of codes.
pub(super) fn frequency_code(count: u64, total: u64) -> u8 {
    let most = u64::from(frequency(FREQUENCY_CODE_MAX));
    let wanted = count * most / total.max(1);
    (1..=FREQUENCY_CODE_MAX).rev().find(|code| u64::from(frequency(*code)) * 5 / 6 <= wanted).unwrap_or(0)
}

/// Bytes read front to back.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DamagedSlab> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(DamagedSlab)?;
        self.0 = rest;
        Ok(*taken)
    }
}
