//! Adaptive Golomb-Rice codes, and the code of run lengths (SPEC 6.6, 6.7).

use super::bits::{BitReader, BitWriter};

/// Zeros of the longest prefix: they announce a number in plain bits.
const PREFIX_MAX: u32 = 24;
/// Codes after which the mean is halved, so that it follows the image.
const COUNT_MAX: u32 = 64;

/// The running mean of the numbers coded in one context.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    sum: u32,
    count: u32,
}

impl Mean {
    /// A mean of about `start`.
    pub(super) fn new(start: u32) -> Self {
        Self { sum: start, count: 1 }
    }

    /// Bits that follow the prefix: the smallest k with count × 2^k ≥ sum / 2.
    #[inline(always)]
    fn low_bits(self) -> u32 {
        let half = self.sum >> 1;
        let near = (self.count.leading_zeros()).saturating_sub(half.leading_zeros());
        near + u32::from(self.count << near < half)
    }

    #[inline(always)]
    fn add(&mut self, number: u32) {
        self.sum += number;
        self.count += 1;
        if self.count > COUNT_MAX {
            self.sum >>= 1;
            self.count >>= 1;
        }
    }
}

/// Writes `number` < 2^`plain_bits` ≤ 2^16.
#[inline(always)]
pub(super) fn write(writer: &mut BitWriter, mean: &mut Mean, number: u32, plain_bits: u32) {
    let low_bits = mean.low_bits();
    let prefix = number >> low_bits;
    if prefix < PREFIX_MAX {
        let low = number & ((1 << low_bits) - 1);
        writer.put(u64::from(low << 1 | 1) << prefix, prefix + 1 + low_bits);
    } else {
        writer.put(u64::from(number) << PREFIX_MAX, PREFIX_MAX + plain_bits);
    }
    mean.add(number);
}

/// Reads a number. Damaged bits give any number below 2^`plain_bits`.
#[inline(always)]
pub(super) fn read(reader: &mut BitReader<'_>, mean: &mut Mean, plain_bits: u32) -> u32 {
    reader.refill();
    let low_bits = mean.low_bits();
    let prefix = reader.zeros();
    let number = if prefix < PREFIX_MAX {
        reader.consume(prefix + 1);
        prefix << low_bits | reader.take(low_bits)
    } else {
        reader.consume(PREFIX_MAX);
        reader.take(plain_bits)
    };
    // Damaged bits alone give more; the bound keeps sums and shifts small.
    let number = number.min((1 << plain_bits) - 1);
    mean.add(number);
    number
}

/// Run lengths in powers of two that grow with success (ITU-T T.87 A.7.1).
pub(super) struct Runs {
    step: usize,
}

/// log2 of the run that a one stands for, at each step (J of ITU-T T.87 A.2.1).
const RUN_BITS: [u8; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const STEP_MAX: usize = RUN_BITS.len() - 1;

impl Runs {
    pub(super) fn new() -> Self {
        Self { step: 0 }
    }

    fn bits(&self) -> u32 {
        RUN_BITS.get(self.step).copied().unwrap_or_default().into()
    }

    /// Writes a run of `length`, ended by another value or, at the `row_end`, by nothing.
    pub(super) fn write(&mut self, writer: &mut BitWriter, mut length: usize, row_end: bool) {
        while length >= 1 << self.bits() {
            writer.put(1, 1);
            length -= 1 << self.bits();
            self.step = (self.step + 1).min(STEP_MAX);
        }
        if !row_end {
            writer.put((length as u64) << 1, 1 + self.bits());
            self.step = self.step.saturating_sub(1);
        } else if length > 0 {
            writer.put(1, 1);
        }
    }

    /// Reads a run of at most `length_max`, which is what is left of the row.
    pub(super) fn read(&mut self, reader: &mut BitReader<'_>, length_max: usize) -> usize {
        let mut length = 0;
        while length < length_max {
            reader.refill();
            if reader.take(1) == 0 {
                length += reader.take(self.bits()) as usize;
                self.step = self.step.saturating_sub(1);
                break;
            }
            length += 1 << self.bits();
            if length <= length_max {
                self.step = (self.step + 1).min(STEP_MAX);
            }
        }
        length.min(length_max)
    }
}
