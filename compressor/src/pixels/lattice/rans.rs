//! Entropy coder: two interleaved rANS states over 16-bit words (codec SPEC 7).

use super::super::DamagedSlab;

/// Probabilities are parts of 2^15.
pub(super) const PROBABILITY_BITS: u32 = 15;
/// Least state; a state has 32 bits and words of 16 go in and out.
const STATE_MIN: u32 = 1 << 16;
/// Bits of a word.
const WORD_BITS: u32 = 16;
/// Bytes of the two states in front of the words.
const STATES_BYTES: usize = 8;
/// Longest field that is coded in one step.
const FIELD_BITS_MAX: u32 = 8;

/// Part of the range of 2^15 that a decision has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u16,
    /// From 1 to 2^15.
    pub(super) length: u16,
}

/// Takes decisions in the order in which they will be read; codes them backwards at the end.
#[derive(Default)]
pub(super) struct RansWriter {
    parts: Vec<Part>,
}

impl RansWriter {
    #[inline(always)]
    pub(super) fn put(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Writes the low `bits` bits of `field`, at most 32.
    pub(super) fn put_field(&mut self, field: u32, bits: u32) {
        let low = bits.min(FIELD_BITS_MAX);
        let length = 1 << (PROBABILITY_BITS - low);
        self.put(Part { start: (field & ((1 << low) - 1)) as u16 * length, length });
        if bits > low {
            self.put_field(field >> low, bits - low);
        }
    }

    /// The coded bytes: states, words.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut words: Vec<u16> = Vec::with_capacity(self.parts.len());
        let (mut state, mut other) = (STATE_MIN, STATE_MIN);
        if self.parts.len() % 2 == 1 {
            std::mem::swap(&mut state, &mut other);
        }
        for part in self.parts.iter().rev() {
            std::mem::swap(&mut state, &mut other);
            let length = u32::from(part.length);
            if state >> (2 * WORD_BITS - PROBABILITY_BITS) >= length {
                words.push(state as u16);
                state >>= WORD_BITS;
            }
            state = ((state / length) << PROBABILITY_BITS) + state % length + u32::from(part.start);
        }
        let mut bytes = Vec::with_capacity(STATES_BYTES + 2 * words.len());
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(&other.to_le_bytes());
        words.iter().rev().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes
    }
}

/// Reads decisions. Behind the end it reads zeros; [`RansReader::finish`] finds out.
pub(super) struct RansReader<'a> {
    state: u32,
    other: u32,
    words: std::slice::ChunksExact<'a, u8>,
    missing: bool,
}

impl<'a> RansReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DamagedSlab> {
        let (state, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
        let (other, words) = rest.split_first_chunk().ok_or(DamagedSlab)?;
        if words.len() % 2 == 1 {
            return Err(DamagedSlab);
        }
        let (state, other) = (u32::from_le_bytes(*state), u32::from_le_bytes(*other));
        Ok(Self { state, other, words: words.chunks_exact(2), missing: state.min(other) < STATE_MIN })
    }

    /// Where in the range of 2^15 the next decision lies.
    #[inline(always)]
    pub(super) fn place(&self) -> u16 {
        (self.state & ((1 << PROBABILITY_BITS) - 1)) as u16
    }

    /// Takes the decision that [`RansReader::place`] lies in.
    #[inline(always)]
    pub(super) fn take(&mut self, part: Part) {
        let within = u32::from(self.place().wrapping_sub(part.start));
        let mut state =
            u32::from(part.length).wrapping_mul(self.state >> PROBABILITY_BITS).wrapping_add(within);
        if state < STATE_MIN {
            state = state << WORD_BITS | u32::from(self.word());
        }
        self.state = self.other;
        self.other = state;
    }

    #[inline(always)]
    fn word(&mut self) -> u16 {
        match self.words.next() {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            _ => {
                self.missing = true;
                0
            }
        }
    }

    /// The next `bits` bits, at most 32.
    pub(super) fn field(&mut self, bits: u32) -> u32 {
        let low = bits.min(FIELD_BITS_MAX);
        let shift = PROBABILITY_BITS - low;
        let field = u32::from(self.place()) >> shift;
        self.take(Part { start: (field << shift) as u16, length: 1 << shift });
        if bits > low { self.field(bits - low) << low | field } else { field }
    }

    /// Checks that the words were those of the decisions read.
    pub(super) fn finish(self) -> Result<(), DamagedSlab> {
        let ended = self.words.len() == 0 && self.state == STATE_MIN && self.other == STATE_MIN;
        if ended && !self.missing { Ok(()) } else { Err(DamagedSlab) }
    }
}
