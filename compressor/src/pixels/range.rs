//! A byte-wise range coder without carries, and counts that learn (bundle SPEC 3.5, codec SPEC 10.3).

use super::DamagedSlab;

/// The range stays above this,
const RANGE_MIN: u32 = 1 << 16;
/// or the top bytes of both ends are equal and go out.
const TOP: u32 = 1 << 24;
/// Sum of counts at which all are halved; no more than [`RANGE_MIN`].
const TOTAL_MAX: u32 = 1 << 15;
/// What one symbol adds to its count.
const COUNT_STEP: u32 = 24;
/// Sum of the counts at the start: as much as this many symbols.
const PRIOR_SYMBOLS: u32 = 24;
/// A chance is a share of this much.
pub(super) const CHANCE_ONE: u32 = 1 << 16;
/// Most bits of equal chance coded at once.
const BITS_MAX: u32 = 16;

/// The range of both coders.
#[derive(Clone, Copy)]
struct Range {
    low: u32,
    range: u32,
}

impl Range {
    const WHOLE: Self = Self { low: 0, range: u32::MAX };

    fn narrow(&mut self, start: u32, size: u32) {
        self.low = self.low.wrapping_add(start.wrapping_mul(self.range));
        self.range = self.range.wrapping_mul(size);
    }

    /// Whether a byte is due; the range is cut where it would carry.
    fn is_byte_due(&mut self) -> bool {
        if (self.low ^ self.low.wrapping_add(self.range)) < TOP {
            return true;
        }
        if self.range < RANGE_MIN {
            self.range = self.low.wrapping_neg() & (RANGE_MIN - 1);
            return true;
        }
        false
    }

    fn shift(&mut self) {
        self.low <<= 8;
        self.range <<= 8;
    }
}

pub(super) struct RangeEncoder {
    range: Range,
    bytes: Vec<u8>,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        Self { range: Range::WHOLE, bytes: Vec::new() }
    }
}

impl RangeEncoder {
    fn put(&mut self, start: u32, size: u32, total: u32) {
        self.range.range /= total;
        self.range.narrow(start, size);
        while self.range.is_byte_due() {
            self.bytes.push((self.range.low >> 24) as u8);
            self.range.shift();
        }
    }

    /// Writes the low `bits` bits, at most 16.
    pub(super) fn put_bits(&mut self, number: u32, bits: u32) {
        let bits = bits.min(BITS_MAX);
        if bits > 0 {
            self.put(number & ((1 << bits) - 1), 1, 1 << bits);
        }
    }

    /// Writes yes or no; yes has the share `chance`, neither 0 nor 1, of [`CHANCE_ONE`].
    pub(super) fn put_decision(&mut self, yes: bool, chance: u32) {
        let (start, size) = if yes { (0, chance) } else { (chance, CHANCE_ONE - chance) };
        self.put(start, size, CHANCE_ONE);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.range.low.to_be_bytes());
        self.bytes
    }
}

pub(super) struct RangeDecoder<'b> {
    range: Range,
    code: u32,
    bytes: std::slice::Iter<'b, u8>,
    missing: bool,
}

impl<'b> RangeDecoder<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Result<Self, DamagedSlab> {
        let (code, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
        Ok(Self { range: Range::WHOLE, code: u32::from_be_bytes(*code), bytes: rest.iter(), missing: false })
    }

    /// Where below `total` the next decision lies. Narrows the range to a unit of it.
    fn place(&mut self, total: u32) -> u32 {
        self.range.range = (self.range.range / total).max(1);
        (self.code.wrapping_sub(self.range.low) / self.range.range).min(total - 1)
    }

    fn take(&mut self, start: u32, size: u32) {
        self.range.narrow(start, size);
        while self.range.is_byte_due() {
            let byte = self.bytes.next();
            self.missing |= byte.is_none();
            self.code = self.code << 8 | u32::from(byte.copied().unwrap_or_default());
            self.range.shift();
            if self.missing {
                return;
            }
        }
    }

    /// The next `bits` bits, at most 16.
    pub(super) fn bits(&mut self, bits: u32) -> u32 {
        let bits = bits.min(BITS_MAX);
        if bits == 0 {
            return 0;
        }
        let place = self.place(1 << bits);
        self.take(place, 1);
        place
    }

    /// The next yes or no.
    pub(super) fn decision(&mut self, chance: u32) -> bool {
        let yes = self.place(CHANCE_ONE) < chance;
        let (start, size) = if yes { (0, chance) } else { (chance, CHANCE_ONE - chance) };
        self.take(start, size);
        yes
    }

    /// Whether more was read than there is: what follows means nothing.
    pub(super) fn is_past_end(&self) -> bool {
        self.missing
    }

    /// Checks that the bytes were those of the decisions read.
    pub(super) fn finish(self) -> Result<(), DamagedSlab> {
        if self.missing || self.bytes.len() > 0 { Err(DamagedSlab) } else { Ok(()) }
    }
}

/// Counts of the symbols of one context.
pub(super) struct Counts {
    counts: Vec<u32>,
    total: u32,
}

impl Counts {
    /// Starts in these proportions.
    pub(super) fn new(weights: impl Iterator<Item = u32> + Clone) -> Self {
        let sum = weights.clone().fold(0_u64, |sum, weight| sum + u64::from(weight)).max(1);
        let prior = u64::from(PRIOR_SYMBOLS * COUNT_STEP);
        let counts: Vec<_> = weights.map(|weight| 1 + (u64::from(weight) * prior / sum) as u32).collect();
        let total = counts.iter().sum();
        Self { counts, total }
    }

    pub(super) fn put(&mut self, symbol: u32, encoder: &mut RangeEncoder) {
        let start = self.counts.iter().take(symbol as usize).sum();
        let size = self.counts.get(symbol as usize).copied().unwrap_or(1);
        encoder.put(start, size, self.total);
        self.learn(symbol);
    }

    pub(super) fn take(&mut self, decoder: &mut RangeDecoder<'_>) -> u32 {
        let place = decoder.place(self.total);
        let (mut start, mut symbol) = (0, 0);
        for count in &self.counts {
            if place < start + count {
                break;
            }
            start += count;
            symbol += 1;
        }
        decoder.take(start, self.counts.get(symbol as usize).copied().unwrap_or(1));
        self.learn(symbol);
        symbol
    }

    fn learn(&mut self, symbol: u32) {
        if let Some(count) = self.counts.get_mut(symbol as usize) {
            *count += COUNT_STEP;
            self.total += COUNT_STEP;
        }
        if self.total > TOTAL_MAX {
            self.counts.iter_mut().for_each(|count| *count = *count / 2 + 1);
            self.total = self.counts.iter().sum();
        }
    }
}
