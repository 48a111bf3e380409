//! Probabilities that learn: of 32 symbols in each context, and of yes and no (codec SPEC 6.5, 7.3).

use super::ahead::cast;
use super::rans::{PROBABILITY_BITS, Part, RansReader, RansWriter};
use wide::{i8x16, i16x8};

/// Symbols of a context.
pub(super) const SYMBOLS: usize = 32;
/// What one symbol adds to its count.
const COUNT_STEP: u16 = 16;
/// Sum of the counts that a context starts with.
const PRIOR_TOTAL: u32 = 1000 * COUNT_STEP as u32;
/// Sum of the counts at which all are halved.
const TOTAL_MAX: u32 = 1800 * COUNT_STEP as u32;
/// Symbols until the probabilities are first made anew; doubled each time.
const GAP_FIRST: u16 = 16;
/// The longest such gap.
const GAP_MAX: u16 = 256;
/// How fast a chance learns: by 1/32 of its error.
const CHANCE_SHIFT: u32 = 5;

/// Counts of the symbols of one context, and the parts of the range that they give.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Context {
    /// Start of each symbol's part, and the end of the last.
    starts: [u16; SYMBOLS + 1],
    counts: [u16; SYMBOLS],
    total: u32,
    gap: u16,
    due: u16,
}

impl Context {
    /// Starts with these relative frequencies, of which the sum is at least 1 and below 2^26.
    pub(super) fn new(frequencies: &[u32; SYMBOLS]) -> Self {
        let sum = frequencies.iter().sum::<u32>().max(1);
        let counts = frequencies.map(|f| (u64::from(f) * u64::from(PRIOR_TOTAL) / u64::from(sum)) as u16);
        let total = counts.iter().map(|count| u32::from(*count)).sum();
        let mut context = Self {
            starts: [1 << PROBABILITY_BITS; SYMBOLS + 1],
            counts,
            total,
            gap: GAP_FIRST,
            due: GAP_FIRST,
        };
        context.share();
        context
    }

    /// Shares out the range by the counts; what rounding leaves over falls to the last of the most frequent.
    fn share(&mut self) {
        const RANGE: u32 = (1 << PROBABILITY_BITS) - SYMBOLS as u32;
        let scale = (RANGE << 16) as u64 / u64::from(self.total.max(1));
        let lengths = self.counts.map(|count| 1 + ((u64::from(count) * scale) >> 16) as u16);
        let most = lengths.iter().enumerate().max_by_key(|(_, length)| **length).map_or(0, |(i, _)| i);
        let used: u16 = lengths.iter().sum();
        let left = (1 << PROBABILITY_BITS) - used;
        let mut start = 0;
        for (symbol, (slot, length)) in self.starts.iter_mut().zip(lengths).enumerate() {
            *slot = start;
            start += length + if symbol == most { left } else { 0 };
        }
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the masks keep both indices below the length")]
    fn part(&self, symbol: usize) -> Part {
        let start = self.starts[symbol & (SYMBOLS - 1)];
        Part { start, length: self.starts[(symbol & (SYMBOLS - 1)) + 1] - start }
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the mask keeps the index below the length")]
    fn learn(&mut self, symbol: usize) {
        self.counts[symbol & (SYMBOLS - 1)] += COUNT_STEP;
        self.total += u32::from(COUNT_STEP);
        self.due -= 1;
        if self.due == 0 {
            self.renew();
        }
    }

    #[cold]
    fn renew(&mut self) {
        if self.total > TOTAL_MAX {
            self.counts.iter_mut().for_each(|count| *count >>= 1);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
        self.share();
        self.gap = (2 * self.gap).min(GAP_MAX);
        self.due = self.gap;
    }

    #[inline(always)]
    pub(super) fn put(&mut self, symbol: usize, writer: &mut RansWriter) {
        writer.put(self.part(symbol));
        self.learn(symbol);
    }

    #[inline(always)]
    pub(super) fn take(&mut self, reader: &mut RansReader) -> usize {
        let symbol = self.symbol_at(reader.place());
        reader.take(self.part(symbol));
        self.learn(symbol);
        symbol
    }

    /// The last symbol whose part does not start behind `place`.
    #[inline(always)]
    fn symbol_at(&self, place: u16) -> usize {
        let place = i16x8::splat(place as i16);
        let (eights, _) = self.starts.as_chunks();
        let [first, second, third, fourth, ..] = eights else { return 0 };
        let behind = |eight: &[u16; 8]| cast::<_, i16x8>(*eight).simd_gt(place);
        let bits = |a, b| i8x16::from_i16x16_saturate(cast([behind(a), behind(b)])).to_bitmask();
        let behind = bits(first, second) | bits(third, fourth) << 16;
        // The first symbol starts at 0, so that at least one does not start behind.
        (behind.trailing_zeros() as usize).saturating_sub(1) & (SYMBOLS - 1)
    }
}

/// How likely a yes is, in parts of 2^15.
#[derive(Clone, Copy)]
pub(super) struct Chance(u16);

impl Chance {
    /// Even odds.
    pub(super) const EVEN: Self = Self(1 << (PROBABILITY_BITS - 1));

    fn part(self, yes: bool) -> Part {
        if yes {
            Part { start: 0, length: self.0 }
        } else {
            Part { start: self.0, length: (1 << PROBABILITY_BITS) - self.0 }
        }
    }

    /// Stays between 2^5 and 2^15 − 2^5, since the step is rounded down.
    fn learn(&mut self, yes: bool) {
        if yes {
            self.0 += ((1 << PROBABILITY_BITS) - self.0) >> CHANCE_SHIFT;
        } else {
            self.0 -= self.0 >> CHANCE_SHIFT;
        }
    }

    pub(super) fn put(&mut self, yes: bool, writer: &mut RansWriter) {
        writer.put(self.part(yes));
        self.learn(yes);
    }

    pub(super) fn take(&mut self, reader: &mut RansReader) -> bool {
        let yes = reader.place() < self.0;
        reader.take(self.part(yes));
        self.learn(yes);
        yes
    }
}
