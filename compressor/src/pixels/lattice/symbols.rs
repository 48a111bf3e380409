//! Errors of predictions as symbols in contexts (codec SPEC 6.3, 6.4).

use super::contexts::{Context, SYMBOLS};
use super::rans::{RansReader, RansWriter};

/// Sizes of expected error, three to the octave; 0 where everything is still.
pub(super) const SIZES: usize = 48;
/// Largest size whose errors are coded to the last bit by their symbol.
pub(super) const WHOLE_SIZE_MAX: usize = 19;
/// Contexts of one size: by how far the prediction is from a whole number.
pub(super) const FRACTIONS: usize = 3;
/// Predictions this near to 0, in half sample values, have contexts of their own.
pub(super) const LOW_HALVES: i32 = 31;
/// Contexts of each such prediction, by size.
pub(super) const LOW_SIZES: usize = 7;
/// First context of low predictions.
pub(super) const LOW_FIRST: usize = SIZES * FRACTIONS;
/// All contexts.
pub(super) const CONTEXTS: usize = LOW_FIRST + LOW_HALVES as usize * LOW_SIZES;
/// First context whose errors have low bits.
const CONTEXT_WITH_LOW_BITS: usize = (WHOLE_SIZE_MAX + 1) * FRACTIONS;
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

/// Low bits that are coded as they are (SPEC 6.2).
#[inline(always)]
fn low_bits(context: usize) -> u32 {
    if (CONTEXT_WITH_LOW_BITS..LOW_FIRST).contains(&context) {
        (context as u32 / FRACTIONS as u32 - 17) / 3
    } else {
        0
    }
}

/// The frequencies that a context starts with where the model has none (SPEC 3.3).
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

/// The symbol and the low bits of an error in steps, for counting.
#[inline(always)]
pub(super) fn symbol_of(context: usize, steps: i32) -> (usize, u32) {
    let low_bits = low_bits(context);
    (symbol(high(steps, low_bits)), low_bits)
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

/// All contexts of a stream.
pub(super) struct Contexts(Vec<Context>);

impl Contexts {
    pub(super) fn new(contexts: Vec<Context>) -> Self {
        Self(contexts)
    }

    /// Codes an error in steps.
    #[inline(always)]
    pub(super) fn put(&mut self, context: usize, steps: i32, writer: &mut RansWriter) {
        let low_bits = low_bits(context);
        let high = high(steps, low_bits);
        let symbol = symbol(high);
        if let Some(context) = self.0.get_mut(context) {
            context.put(symbol, writer);
        }
        if symbol == ESCAPE {
            put_escaped(high, writer);
        }
        if low_bits > 0 {
            let low = steps + half(low_bits) - (high << low_bits);
            writer.put_field(low as u32, low_bits);
        }
    }

    /// Reads an error in steps.
    #[inline(always)]
    pub(super) fn take(&mut self, context: usize, reader: &mut RansReader) -> i32 {
        let symbol = self.0.get_mut(context).map_or(0, |context| context.take(reader));
        let mut high = symbol as i32 - MIDDLE;
        if symbol == ESCAPE {
            // By value, so that the reader of the usual path stays in registers.
            (high, *reader) = take_escaped(*reader);
        }
        if !(CONTEXT_WITH_LOW_BITS..LOW_FIRST).contains(&context) {
            return high;
        }
        let low_bits = low_bits(context);
        let low = reader.field(low_bits) as i32;
        high.wrapping_shl(low_bits).wrapping_add(low - half(low_bits))
    }
}

/// Contexts of corrections: by whether the sample of the coarse part was predicted, to its step, or was one step or more away.
const CORRECTION_CONTEXTS: usize = 3;

/// What the fine part tells of the samples of the coarse part (SPEC 2.6).
pub(super) struct Corrections {
    contexts: [Context; CORRECTION_CONTEXTS],
    /// Step of the coarse part.
    coarse_step: i32,
}

impl Corrections {
    /// `spread`: the most steps to each side, at most 15.
    pub(super) fn new(spread: u8, coarse_step: i32) -> Self {
        let spread = i32::from(spread);
        let even = std::array::from_fn(|symbol| u32::from((symbol as i32 - MIDDLE).abs() <= spread));
        Self { contexts: [(); CORRECTION_CONTEXTS].map(|()| Context::new(&even)), coarse_step }
    }

    fn context(&mut self, error: u16) -> Option<&mut Context> {
        let steps = (i32::from(error) + 4 * self.coarse_step) / (8 * self.coarse_step);
        self.contexts.get_mut((steps as usize).min(CORRECTION_CONTEXTS - 1))
    }

    /// Codes how many steps a sample is off; `error` is its error in the coarse part.
    pub(super) fn put(&mut self, error: u16, steps: i32, writer: &mut RansWriter) {
        self.context(error).into_iter().for_each(|context| context.put(symbol(steps), writer));
    }

    /// Reads how many steps a sample is off.
    pub(super) fn take(&mut self, error: u16, reader: &mut RansReader) -> i32 {
        self.context(error).map_or(0, |context| context.take(reader) as i32 - MIDDLE)
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

/// At most 2^18 in size (SPEC 6.3); what no error can be is brought to the sample's range.
#[cold]
fn take_escaped(mut reader: RansReader<'_>) -> (i32, RansReader<'_>) {
    let negative = reader.field(1) == 1;
    let length = reader.field(ESCAPE_LENGTH_BITS).min(17);
    let size = (reader.field(length) + (1 << length)) as i32 + MIDDLE;
    (if negative { -size } else { size }, reader)
}
