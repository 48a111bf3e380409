//! Chunks: stored, or one zstd frame.

use crate::input::Input;
use crate::sample::Noise;
use compressor::limits::CHUNK_BYTES_MAX;
use compressor::pixels::{pack_chunk, unpack_chunk};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    // A unit of a chunk's largest length needs 20 bits.
    let raw_bytes = (usize::from(input.word()) | usize::from(input.byte() & 0x1F) << 16).min(CHUNK_BYTES_MAX);
    if let Ok(raw) = unpack_chunk(input.0, raw_bytes) {
        assert_eq!(raw.len(), raw_bytes);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut noise = Noise(1);
    let wild: Vec<u8> = (0..300).map(|_| noise.next() as u8).collect();
    let text: Vec<u8> = (0..4000_u32).flat_map(|n| (n * n % 977).to_string().into_bytes()).collect();
    let chunks = [vec![], vec![7; 60_000], wild, text];
    chunks.iter().map(|raw| seed(raw, &pack_chunk(raw).unwrap())).collect()
}

fn seed(raw: &[u8], coded: &[u8]) -> Vec<u8> {
    let mut seed = (raw.len() as u32).to_le_bytes()[..3].to_vec();
    seed.extend(coded);
    seed
}
