//! Entropy coder: four interleaved rANS states over 16-bit words (codec SPEC 7).

use super::super::DamagedSlab;

/// Probabilities are parts of 2^15.
pub(super) const PROBABILITY_BITS: u32 = 15;
/// Least state; a state has 32 bits and words of 16 go in and out.
const STATE_MIN: u32 = 1 << 16;
/// Bits of a word.
const WORD_BITS: u32 = 16;
/// States that take turns, so that a processor can work on several decisions at once.
const STATES: usize = 4;
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

    /// The coded bytes: states, words. None where nothing was decided that could have been otherwise.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut words: Vec<u16> = Vec::with_capacity(self.parts.len());
        let mut states = [STATE_MIN; STATES];
        for part in self.parts.iter().rev() {
            let [first, second, third, mut state] = states;
            let length = u32::from(part.length);
            if state >> (2 * WORD_BITS - PROBABILITY_BITS) >= length {
                words.push(state as u16);
                state >>= WORD_BITS;
            }
            state = ((state / length) << PROBABILITY_BITS) + state % length + u32::from(part.start);
            states = [state, first, second, third];
        }
        if states == [STATE_MIN; STATES] && words.is_empty() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(size_of_val(&states) + 2 * words.len());
        states.iter().for_each(|state| bytes.extend_from_slice(&state.to_le_bytes()));
        words.iter().rev().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes
    }
}

/// Reads decisions. Behind the end it reads zeros; [`RansReader::finish`] finds out.
#[derive(Clone, Copy)]
pub(super) struct RansReader<'a> {
    /// The one whose turn it is comes first.
    states: [u32; STATES],
    words: &'a [[u8; 2]],
    /// Index of the next word.
    next: usize,
}

impl<'a> RansReader<'a> {
    pub(super) fn new(mut bytes: &'a [u8]) -> Result<Self, DamagedSlab> {
        let mut states = [STATE_MIN; STATES];
        let empty = bytes.is_empty();
        if !empty {
            for state in &mut states {
                let (first, rest) = bytes.split_first_chunk().ok_or(DamagedSlab)?;
                *state = u32::from_le_bytes(*first);
                bytes = rest;
            }
        }
        let (words, []) = bytes.as_chunks() else { return Err(DamagedSlab) };
        let whole = states.iter().all(|state| *state >= STATE_MIN);
        // Of a stream that decides nothing there is one form.
        let decides = states != [STATE_MIN; STATES] || !words.is_empty();
        if whole && decides != empty { Ok(Self { states, words, next: 0 }) } else { Err(DamagedSlab) }
    }

    /// Where in the range of 2^15 the next decision lies.
    #[inline(always)]
    pub(super) fn place(&self) -> u16 {
        let [state, ..] = self.states;
        (state & ((1 << PROBABILITY_BITS) - 1)) as u16
    }

    /// Takes the decision that [`RansReader::place`] lies in.
    #[inline(always)]
    pub(super) fn take(&mut self, part: Part) {
        let [state, second, third, fourth] = self.states;
        let within = u32::from(self.place().wrapping_sub(part.start));
        let state = u32::from(part.length).wrapping_mul(state >> PROBABILITY_BITS).wrapping_add(within);
        // Without a branch: whether a word is needed cannot be foreseen.
        let word = self.words.get(self.next).map_or(0, |word| u16::from_le_bytes(*word));
        let needed = state < STATE_MIN;
        self.next += usize::from(needed);
        let filled = state << WORD_BITS | u32::from(word);
        self.states = [second, third, fourth, if needed { filled } else { state }];
    }

    /// The next `bits` bits, at most 32.
    #[inline(always)]
    pub(super) fn field(&mut self, bits: u32) -> u32 {
        if bits > FIELD_BITS_MAX {
            let field;
            (field, *self) = self.long_field(bits);
            return field;
        }
        let shift = PROBABILITY_BITS - bits;
        let field = u32::from(self.place()) >> shift;
        self.take(Part { start: (field << shift) as u16, length: 1 << shift });
        field
    }

    #[cold]
    fn long_field(mut self, bits: u32) -> (u32, Self) {
        let (mut field, mut got) = (0, 0);
        while got < bits {
            let part = (bits - got).min(FIELD_BITS_MAX);
            field |= self.field(part) << got;
            got += part;
        }
        (field, self)
    }

    /// Checks that the words were those of the decisions read.
    pub(super) fn finish(self) -> Result<(), DamagedSlab> {
        let ended = self.next == self.words.len() && self.states == [STATE_MIN; STATES];
        if ended { Ok(()) } else { Err(DamagedSlab) }
    }
}
