//! Mutations from a printed seed: what a fuzzer does, without feedback, the same in every run.

use crate::sample::Noise;

/// Values at which code decides: ends of ranges, signs, lengths.
const EDGES: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF, 2, 0x10];

/// Mutated inputs.
pub struct Mutations {
    noise: Noise,
    seeds: Vec<Vec<u8>>,
}

impl Mutations {
    /// Of `seeds`, which must not be empty. The same inputs for the same `number`.
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        Self { noise: Noise(number), seeds }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.noise.next() as usize % limit.max(1)
    }

    fn any_seed(&mut self) -> Vec<u8> {
        let number = self.below(self.seeds.len());
        self.seeds[number].clone()
    }

    /// One to eight changes: more leave nothing of the seed.
    fn mutated(&mut self) -> Vec<u8> {
        let mut bytes = self.any_seed();
        for _ in 0..1 + self.below(8) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len());
        let length = self.below(bytes.len() - place).min(64);
        match self.below(8) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place..place + length)),
            2 => bytes.extend_from_within(place..place + length),
            3 => {
                let other = self.any_seed();
                let from = self.below(other.len());
                let to = (from + 1 + self.below(64)).min(other.len());
                drop(bytes.splice(place..place + length, other[from.min(to)..to].iter().copied()));
            }
            4 => bytes.insert(place, self.noise.next() as u8),
            kind => self.change_byte(bytes.get_mut(place), kind),
        }
    }

    fn change_byte(&mut self, byte: Option<&mut u8>, kind: usize) {
        let Some(byte) = byte else { return };
        match kind {
            5 => *byte ^= 1 << self.below(8),
            6 => *byte = EDGES[self.below(EDGES.len())],
            _ => *byte = self.noise.next() as u8,
        }
    }
}

impl Iterator for Mutations {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.mutated())
    }
}
