//! Errors of predictions as symbols in contexts (codec SPEC 6).

use super::super::DamagedSlab;
use super::contexts::{Context, SYMBOLS};
use super::guess::{FINE_BITS, Guess};
use super::model::Model;
use super::rans::{RansReader, RansWriter};

/// Sizes of expected error, three to the octave; 0 where everything is still.
const SIZES: usize = 48;
/// Size of an expected error of 2^-7.33 sample values, were there sizes below 1.
const SIZE_OFFSET: usize = 22;
/// Largest size whose errors are coded to the last bit by their symbol.
const WHOLE_SIZE_MAX: usize = 19;
/// Contexts of one size: by how far the prediction is from a whole number.
const FRACTIONS: usize = 3;
/// Predictions this near to 0, in half sample values, have contexts of their own.
const LOW_HALVES: i32 = 31;
/// Contexts of each such prediction, by size.
const LOW_SIZES: usize = 7;
/// First context of low predictions.
const LOW_FIRST: usize = SIZES * FRACTIONS;
/// All contexts.
pub(super) const CONTEXTS: usize = LOW_FIRST + LOW_HALVES as usize * LOW_SIZES;
/// The symbol of an error of 0.
const MIDDLE: i32 = 15;
/// The symbol in front of an error that has none.
const ESCAPE: usize = SYMBOLS - 1;
/// Bits of the length of an escaped error.
const ESCAPE_LENGTH_BITS: u32 = 5;
/// Ratio of the frequencies of neighbouring symbols, in 1/65536, for the sizes 0 to 19 where nothing was learnt.
const USUAL_RATIOS: [u32; 20] = [
    1290, 1624, 2046, 2576, 3243, 4080, 5129, 6439, 8068, 10077, 12529, 15471, 18922, 22847, 27146, 31654,
    36171, 40503, 44500, 48068,
];

/// Where and how the error of a prediction is coded.
#[derive(Clone, Copy)]
struct Slot {
    context: usize,
    /// Low bits that are coded as they are.
    low_bits: u32,
    /// The error is coded with its sign turned.
    turned: bool,
    /// The prediction as a sample.
    value: i32,
    /// Distance of two errors that are told apart: 2 near + 1.
    step: i32,
}

impl Slot {
    #[inline(always)]
    fn of(guess: &Guess, step: i32) -> Self {
        let (value, fraction) = guess.rounded();
        let size = if guess.still { 0 } else { size(guess.error / step as u64) };
        let low_bits = low_bits(size);
        let halves = (guess.prediction >> (FINE_BITS - 1)) / step;
        if size > 0 && low_bits == 0 && halves < LOW_HALVES {
            let context = LOW_FIRST + halves as usize * LOW_SIZES + low_size(size);
            return Self { context, low_bits, turned: false, value, step };
        }
        let context = size * FRACTIONS + fraction.unsigned_abs() as usize / 2;
        Self { context, low_bits, turned: fraction < 0, value, step }
    }

    #[inline(always)]
    fn error(self, sample: u16) -> i32 {
        let error = i32::from(sample) - self.value;
        let steps = (error.abs() + self.step / 2) / self.step * error.signum();
        if self.turned { -steps } else { steps }
    }

    /// The sample that an error, in steps, stands for.
    #[inline(always)]
    fn sample(self, error: i32, max: i32) -> i32 {
        let error = error.saturating_mul(self.step);
        self.value.saturating_add(if self.turned { -error } else { error }).clamp(0, max)
    }
}

#[inline(always)]
fn size(error: u64) -> usize {
    let log = (error | 1).ilog2();
    let sixteenths = (error | 1) << 4 >> log;
    let size = 3 * log as usize + usize::from(sixteenths >= 20) + usize::from(sixteenths >= 25);
    size.saturating_sub(SIZE_OFFSET).clamp(1, SIZES - 1)
}

#[inline(always)]
fn low_bits(size: usize) -> u32 {
    if size <= WHOLE_SIZE_MAX { 0 } else { (size as u32 - 17) / 3 }
}

fn low_size(size: usize) -> usize {
    (size.saturating_sub(6) / 2).min(LOW_SIZES - 1)
}

/// The frequencies that a context starts with where the model has none.
pub(super) fn usual_frequencies(context: usize) -> [u32; SYMBOLS] {
    let size = match context.checked_sub(LOW_FIRST) {
        Some(low) => 7 + 2 * (low % LOW_SIZES),
        None => context / FRACTIONS,
    };
    let size = if size <= WHOLE_SIZE_MAX { size } else { 17 + (size - 20) % 3 };
    let ratio = USUAL_RATIOS.get(size).copied().unwrap_or_default();
    let mut frequencies = [1 << 4; SYMBOLS];
    let mut frequency = 1 << 16;
    for distance in 0..=MIDDLE as usize {
        for symbol in [MIDDLE as usize - distance, MIDDLE as usize + distance] {
            if let Some(slot) = frequencies.get_mut(symbol).filter(|_| symbol != ESCAPE) {
                *slot = frequency + (1 << 4);
            }
        }
        frequency = ((u64::from(frequency) * u64::from(ratio)) >> 16) as u32;
    }
    frequencies
}

/// The context and symbol of a sample, for counting.
#[inline(always)]
pub(super) fn symbol_of(guess: &Guess, sample: u16) -> (usize, usize) {
    let slot = Slot::of(guess, 1);
    let error = slot.error(sample);
    (slot.context, symbol(high(error, slot.low_bits)))
}

/// The error without its low bits, rounded.
#[inline(always)]
fn high(error: i32, low_bits: u32) -> i32 {
    (error + half(low_bits)) >> low_bits
}

#[inline(always)]
fn half(low_bits: u32) -> i32 {
    (1 << low_bits) >> 1
}

#[inline(always)]
fn symbol(high: i32) -> usize {
    if high.abs() <= MIDDLE { (high + MIDDLE) as usize } else { ESCAPE }
}

/// All contexts of a slab.
pub(super) struct Contexts {
    all: Vec<Context>,
    /// Distance of two errors that are told apart: 2 near + 1.
    step: i32,
}

impl Contexts {
    pub(super) fn new(model: &Model, near: u16) -> Self {
        let all = model.first_frequencies().map(|frequencies| Context::new(&frequencies)).collect();
        Self { all, step: 2 * i32::from(near) + 1 }
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a slot's context is below the number of contexts")]
    fn at(&mut self, slot: Slot) -> &mut Context {
        &mut self.all[slot.context]
    }

    /// Codes a sample from 0 to `max`. Gives the one that a decoder will have.
    #[inline(always)]
    pub(super) fn put(&mut self, guess: &Guess, sample: u16, max: i32, writer: &mut RansWriter) -> u16 {
        let slot = Slot::of(guess, self.step);
        let error = slot.error(sample);
        let high = high(error, slot.low_bits);
        let symbol = symbol(high);
        self.at(slot).put(symbol, writer);
        if symbol == ESCAPE {
            put_escaped(high, writer);
        }
        if slot.low_bits > 0 {
            let low = error + half(slot.low_bits) - (high << slot.low_bits);
            writer.put_field(low as u32, slot.low_bits);
        }
        slot.sample(error, max) as u16
    }

    /// Reads a sample from 0 to `max`.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        guess: &Guess,
        max: i32,
        reader: &mut RansReader,
    ) -> Result<u16, DamagedSlab> {
        let slot = Slot::of(guess, self.step);
        let symbol = self.at(slot).take(reader);
        let high = if symbol == ESCAPE { take_escaped(reader) } else { symbol as i32 - MIDDLE };
        let low = if slot.low_bits > 0 { reader.field(slot.low_bits) as i32 } else { 0 };
        let error = (high << slot.low_bits) + low - half(slot.low_bits);
        Ok(slot.sample(error, max) as u16)
    }
}

#[cold]
fn put_escaped(high: i32, writer: &mut RansWriter) {
    let beyond = high.unsigned_abs() - MIDDLE as u32;
    let length = beyond.ilog2();
    writer.put_field(u32::from(high < 0), 1);
    writer.put_field(length, ESCAPE_LENGTH_BITS);
    writer.put_field(beyond - (1 << length), length);
}

/// At most 2^18 in size: what no error can be is found out by the sample's range.
#[cold]
fn take_escaped(reader: &mut RansReader) -> i32 {
    let negative = reader.field(1) == 1;
    let length = reader.field(ESCAPE_LENGTH_BITS).min(17);
    let size = (reader.field(length) + (1 << length)) as i32 + MIDDLE;
    if negative { -size } else { size }
}
