//! What is learnt of a series and sent with it: weights, classes, expected errors, first frequencies (codec SPEC 3).

use super::super::DamagedSlab;
pub(super) use super::ahead::FEATURES_AHEAD;
use super::around::{WINDOW, WINDOWS_AXIAL, WINDOWS_DIAGONAL, WINDOWS_MAX, WINDOWS_REFERENCE};
use super::contexts::{Context, SYMBOLS};
use super::symbols::{CONTEXTS, Contexts, usual_frequencies};
use wide::i16x8;

/// Classes of one size of expected error: one slope is steeper, or the other, or neither.
pub(super) const ORIENTATIONS: usize = 3;
/// Every second place of a row is coded first; the others know both their neighbours in the row.
pub(super) const PHASES: usize = 2;
/// Resolutions that have weights of their own: full, half, all coarser ones together.
const RESOLUTIONS: usize = 3;
/// Steps that have weights of their own: diagonal and axial of each resolution.
pub(super) const STEPS: usize = 2 * RESOLUTIONS;
/// The most weights of a class, but for those of the neighbours in the row and the constant.
pub(super) const WEIGHTS_MAX: usize = WINDOW * WINDOWS_MAX;
/// Features known at last: errors of both neighbours in the row, and how far the prediction is from the middle.
pub(super) const FEATURES_AT_LAST: usize = FEATURES_AHEAD + 2;
/// Largest factor of a feature (SPEC 9.3): keeps every sum of nine, of 32,767 each, below 2^31.
pub(super) const FACTOR_MAX: u16 = 7000;
/// Limits between classes in one step.
const LIMITS_MAX: usize = 7;
/// First byte of a model.
const VERSION: u8 = 3;
/// A frequency is sent as a whole number of half octaves.
const FREQUENCY_CODE_MAX: u8 = 24;

/// Index of the step model of a resolution, 0 being the full one.
pub(super) fn step_index(level: u32, axial: bool) -> usize {
    2 * (level as usize).min(RESOLUTIONS - 1) + usize::from(axial)
}

/// The weights of one class, in 1/2048.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    /// Of the windows, two in each eight.
    pub(super) lanes: [i16x8; WINDOWS_MAX / 2],
    /// Of the neighbours left and right, in pairs of 16 bits; 0 in the first phase.
    pub(super) sides: i32,
    pub(super) constant: i16,
}

impl Weights {
    /// Weights of the windows, row by row, of the neighbours left and right, and the constant.
    pub(super) fn new(windows: &[i16; WEIGHTS_MAX], [left, right]: [i16; 2], constant: i16) -> Self {
        let (eights, _) = windows.as_chunks();
        let mut lanes = [i16x8::splat(0); WINDOWS_MAX / 2];
        lanes.iter_mut().zip(eights).for_each(|(lanes, eight)| *lanes = i16x8::new(*eight));
        Self { lanes, sides: i32::from(left) & 0xFFFF | i32::from(right) << i16::BITS, constant }
    }

    fn windows(&self) -> impl Iterator<Item = i16> {
        self.lanes.iter().flat_map(|lanes| lanes.to_array())
    }

    fn sides(&self) -> [i16; 2] {
        [self.sides as i16, (self.sides >> i16::BITS) as i16]
    }
}

/// What is learnt of one step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepModel {
    /// Factors of the features for the expected error that chooses the class, in 1/4096 of a sample value.
    pub(super) ahead: [u16; FEATURES_AHEAD],
    pub(super) ahead_constant: u32,
    /// The same for the expected error that chooses the context.
    pub(super) at_last: [u16; FEATURES_AT_LAST],
    pub(super) at_last_constant: u32,
    /// Rising limits between the classes, in 1/4096 of a sample value.
    pub(super) limits: Vec<u32>,
    /// Weights of each class of the first phase, then of the second.
    pub(super) weights: Vec<Weights>,
}

impl StepModel {
    /// Predicts the middle.
    pub(super) fn plain(sizes: usize) -> Self {
        let weights = Weights::new(&[0; WEIGHTS_MAX], [0; 2], 0);
        Self {
            ahead: [614, 205, 0, 0, 0, 0, 0],
            ahead_constant: 1228,
            at_last: [614, 205, 0, 0, 0, 0, 0, 0, 0],
            at_last_constant: 1228,
            limits: (1..sizes as u32).map(|limit| 1 << (12 + limit)).collect(),
            weights: vec![weights; PHASES * ORIENTATIONS * sizes],
        }
    }

    fn write(&self, lanes: usize, bytes: &mut Vec<u8>) {
        bytes.push(self.limits.len() as u8);
        for number in self.limits.iter().chain([&self.ahead_constant, &self.at_last_constant]) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.ahead
            .iter()
            .chain(&self.at_last)
            .for_each(|factor| bytes.extend_from_slice(&factor.to_le_bytes()));
        for (number, weights) in self.weights.iter().enumerate() {
            let sides = weights.sides().into_iter().filter(|_| number >= self.weights.len() / PHASES);
            for weight in weights.windows().take(lanes).chain(sides).chain([weights.constant]) {
                bytes.extend_from_slice(&weight.to_le_bytes());
            }
        }
    }

    fn read(bytes: &mut Bytes<'_>, lanes: usize) -> Result<Self, DamagedSlab> {
        let limits = usize::from(bytes.take::<1>()?[0]);
        if limits > LIMITS_MAX {
            return Err(DamagedSlab);
        }
        let mut model = Self::plain(limits + 1);
        for number in model.limits.iter_mut().chain([&mut model.ahead_constant, &mut model.at_last_constant])
        {
            *number = u32::from_le_bytes(bytes.take()?);
        }
        for factor in model.ahead.iter_mut().chain(&mut model.at_last) {
            *factor = u16::from_le_bytes(bytes.take()?);
        }
        let first_phase = model.weights.len() / PHASES;
        for (number, weights) in model.weights.iter_mut().enumerate() {
            let (mut windows, mut sides, mut constant) = ([0; WEIGHTS_MAX], [0; 2], 0);
            let sent_sides = sides.iter_mut().filter(|_| number >= first_phase);
            for weight in windows.iter_mut().take(lanes).chain(sent_sides).chain([&mut constant]) {
                *weight = i16::from_le_bytes(bytes.take()?);
                // Two products of it would pass what 32 bits hold before they are added up.
                if *weight == i16::MIN {
                    return Err(DamagedSlab);
                }
            }
            *weights = Weights::new(&windows, sides, constant);
        }
        let in_range = model.ahead.iter().chain(&model.at_last).all(|factor| *factor <= FACTOR_MAX)
            && model.limits.iter().all(|limit| *limit <= i32::MAX as u32)
            && model.limits.is_sorted_by(|limit, next| limit < next)
            && model.ahead_constant.max(model.at_last_constant) <= 8 * u32::from(FACTOR_MAX);
        if in_range { Ok(model) } else { Err(DamagedSlab) }
    }
}

/// Weights of a step that are sent for each class, but for sides and constant.
pub(super) fn lanes(step: usize, reference: bool) -> usize {
    let own = if step % 2 == 1 { WINDOWS_AXIAL } else { WINDOWS_DIAGONAL };
    WINDOW * (own + if reference { WINDOWS_REFERENCE } else { 0 })
}

/// What is learnt of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(super) steps: [StepModel; STEPS],
    /// For images with a reference, where that pays.
    pub(super) steps_with_reference: Option<Box<[StepModel; STEPS]>>,
    /// Codes of the first frequencies of each context; `None` where too few symbols were seen.
    frequencies: Vec<Option<[u8; SYMBOLS]>>,
    /// The contexts that every stream starts with.
    contexts: Vec<Context>,
}

impl Model {
    pub(super) fn new(
        steps: [StepModel; STEPS],
        steps_with_reference: Option<Box<[StepModel; STEPS]>>,
        frequencies: Vec<Option<[u8; SYMBOLS]>>,
    ) -> Self {
        let first = |(number, codes): (usize, &Option<[u8; SYMBOLS]>)| {
            Context::new(&codes.map_or_else(|| usual_frequencies(number), |codes| codes.map(frequency)))
        };
        let contexts = frequencies.iter().enumerate().map(first).collect();
        Self { steps, steps_with_reference, frequencies, contexts }
    }

    /// The contexts that a stream starts with.
    pub(super) fn contexts(&self) -> Contexts {
        Contexts::new(self.contexts.clone())
    }

    /// Every second slab of the series is predicted also from the slabs before and after it.
    pub fn uses_references(&self) -> bool {
        self.steps_with_reference.is_some()
    }

    /// The step models for an image with or without a reference.
    pub(super) fn steps(&self, reference: bool) -> &[StepModel; STEPS] {
        self.steps_with_reference.as_deref().filter(|_| reference).unwrap_or(&self.steps)
    }

    /// The bytes of the model (codec SPEC 3).
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.uses_references().into()];
        let sets = [Some(&self.steps), self.steps_with_reference.as_deref()];
        for (steps, reference) in sets.into_iter().zip([false, true]) {
            let steps = steps.into_iter().flatten().enumerate();
            steps.for_each(|(step, model)| model.write(lanes(step, reference), &mut bytes));
        }
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
        let [VERSION, references @ (0 | 1)] = bytes.take()? else { return Err(DamagedSlab) };
        let steps = read_steps(&mut bytes, false)?;
        let steps_with_reference =
            if references == 1 { Some(Box::new(read_steps(&mut bytes, true)?)) } else { None };
        let mut frequencies = Vec::with_capacity(CONTEXTS);
        for _ in 0..CONTEXTS {
            frequencies.push(match bytes.take()? {
                [0] => None,
                [1] => Some(bytes.take::<SYMBOLS>()?),
                _ => return Err(DamagedSlab),
            });
        }
        let known = frequencies.iter().flatten().flatten().all(|code| *code <= FREQUENCY_CODE_MAX);
        let read = known && bytes.0.is_empty();
        if read { Ok(Self::new(steps, steps_with_reference, frequencies)) } else { Err(DamagedSlab) }
    }
}

fn read_steps(bytes: &mut Bytes<'_>, reference: bool) -> Result<[StepModel; STEPS], DamagedSlab> {
    let mut step = |step| StepModel::read(bytes, lanes(step, reference));
    Ok([step(0)?, step(1)?, step(2)?, step(3)?, step(4)?, step(5)?])
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
